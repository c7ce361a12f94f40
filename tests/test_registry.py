"""One declaration: flags, controls and checks are made from an entry's typed fields, whatever their kinds."""

from __future__ import annotations

import argparse
import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, Optional

import pytest

from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.cli.flags import Parser, add_parameters
from explorer.cli.values import parameters_of as given_by
from explorer.errors import ParameterError
from explorer.lab.fitting import FitRecipe
from explorer.probes import PROBES
from explorer.registry import Parameter, check_fields, parameter, parameters
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.ui.controls import parameters_of as controls_of

#: Choices whose names hold the names of types, which once were read as types.
Way = Literal["points", "strict", "boolean"]


@dataclass(frozen=True)
class Toy:
    """Does it take every kind?"""

    way: Way = parameter("points", "how")  # noqa: RUF009 - a field
    few: Literal[1, 2, 4] = parameter(2, "how many at once")
    perhaps: Literal["a", "b"] | None = parameter(None, "which; none if left out")
    named: str = parameter("pint", "name of a table", choices=("pint", "floater"))
    words: str = parameter("hint", "any text")
    yes: bool = parameter(False, "whether")
    maybe: Optional[bool] = parameter(None, "whether; as it is if left out")  # noqa: UP045 - both ways to write it
    count: int = parameter(3, "how many", 1, 9)
    stage: int | None = parameter(None, "which; the last if left out", 1)
    least: int = parameter(0, "at most", high=5)
    share: float = parameter(0.5, "how much", 0.0, 1.0, "of the frame")
    free: float = parameter(0.0, "how far")
    bare: int = 7

    def __post_init__(self) -> None:
        check_fields(self)


KINDS: dict[str, tuple[type, bool]] = {
    "way": (str, False),
    "few": (int, False),
    "perhaps": (str, True),
    "named": (str, False),
    "words": (str, False),
    "yes": (bool, False),
    "maybe": (bool, True),
    "count": (int, False),
    "stage": (int, True),
    "least": (int, False),
    "share": (float, False),
    "free": (float, False),
    "bare": (int, False),
}
WRONG: list[tuple[str, Any, str]] = [
    ("way", "point", "Toy: way is one of points, strict, boolean, got 'point'"),
    ("way", None, "Toy: way is one of points, strict, boolean, got None"),
    ("few", 3, "Toy: few is one of 1, 2, 4, got 3"),
    ("few", True, "Toy: few is one of 1, 2, 4, got True"),
    ("few", "2", "Toy: few is one of 1, 2, 4, got '2'"),
    ("few", [1], r"Toy: few is one of 1, 2, 4, got \[1\]"),
    ("perhaps", "c", "Toy: perhaps is one of a, b, got 'c'"),
    ("named", "int", "Toy: named is one of pint, floater, got 'int'"),
    ("words", 3, "Toy: words is a text, got 3"),
    ("words", None, "Toy: words is a text, got None"),
    ("yes", 1, "Toy: yes is True or False, got 1"),
    ("yes", "True", "Toy: yes is True or False, got 'True'"),
    ("maybe", 0, "Toy: maybe is True or False, got 0"),
    ("count", 0, "Toy: count lies from 1 to 9, got 0"),
    ("count", 2.0, "Toy: count is a whole number, got 2.0"),
    ("count", True, "Toy: count is a whole number, got True"),
    ("stage", 0, "Toy: stage is 1 or more, got 0"),
    ("stage", "1", "Toy: stage is a whole number, got '1'"),
    ("least", 6, "Toy: least is 5 or less, got 6"),
    ("share", 1.5, "Toy: share lies from 0 to 1 of the frame, got 1.5"),
    ("share", math.nan, "Toy: share is a number, got nan"),
    ("share", None, "Toy: share is a number, got None"),
    ("free", math.nan, "Toy: free is a number, got nan"),
    ("bare", "7", "Toy: bare is a whole number, got '7'"),
]


def test_types_are_read_as_types() -> None:
    assert {name: (one.kind, one.optional) for name, one in parameters(Toy).items()} == KINDS
    assert parameters(Toy)["way"].choices == ("points", "strict", "boolean")
    assert parameters(Toy)["perhaps"].choices == ("a", "b")
    assert parameters(Toy)["bare"] == Parameter(int, 7, "bare")
    written = [one.type for one in parameters(Toy).values()]
    assert written[1:3] == ["Literal[1, 2, 4]", "Literal['a', 'b'] | None"]
    assert written[6:9] == ["bool | None", "int", "int | None"]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_value_is_checked_by_its_type(name: str, value: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{message}$"):
        Toy(**{name: value})


def test_what_the_type_allows_is_taken() -> None:
    right = {"way": "boolean", "few": 4, "perhaps": "b", "named": "floater", "words": "", "yes": True, "maybe": False}
    assert Toy(**right, count=9, stage=10**6, least=-7, share=1, free=math.inf).few == 4  # type: ignore[arg-type]
    assert Toy(maybe=None, perhaps=None, stage=None) == Toy()


def test_flags_are_made_by_type() -> None:
    parser = Parser(prog="explorer toy")
    add_parameters(parser.add_argument_group("toy"), parameters(Toy))

    def toy(line: str) -> Toy:
        return Toy(**given_by(parser.parse_args(line.split()), Toy))

    assert toy("") == Toy()
    assert toy("--way strict --few 4 --perhaps b --named floater --words 12 --yes --no-maybe") == Toy(
        "strict", 4, "b", "floater", "12", True, False
    )
    assert toy("--count 9 --stage 2 --least -3 --share 0.25 --free 2 --bare 8") == Toy(
        count=9, stage=2, least=-3, share=0.25, free=2.0, bare=8
    )
    with pytest.raises(ParameterError, match="way is one of points, strict, boolean, got 'int'"):
        toy("--way int")
    for line in ("--count 1.5", "--few one", "--share much"):
        with pytest.raises(SystemExit):
            toy(line)
    text = parser.format_help()
    for words in (
        "--way NAME",
        "--words NAME",
        "--count N",
        "how: points, strict, boolean (points)",
        "--yes, --no-yes",
    ):
        assert words in text


def test_controls_are_made_by_type() -> None:
    controls = {one["name"]: one for one in controls_of(Toy)}
    assert list(controls) == [one.name for one in dataclasses.fields(Toy)]
    for name, (kind, _) in KINDS.items():
        said = (controls[name]["whole"], controls[name]["words"], controls[name]["yes"])
        assert said == (kind is int, kind is str, kind is bool), name
    assert list(controls["few"]["choices"]) == [1, 2, 4]
    assert (controls["share"]["low"], controls["share"]["high"], controls["share"]["unit"]) == (0, 1, "of the frame")


def test_a_type_that_is_no_kind_of_value_is_refused() -> None:
    @dataclass(frozen=True)
    class Mixed:
        either: int | str = 3

    @dataclass(frozen=True)
    class Unknown:
        what: Nowhere = 3  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"Mixed\.either is declared as"):
        parameters(Mixed)
    with pytest.raises(TypeError, match="Unknown: the type of a field is not known"):
        parameters(Unknown)


ENTRIES = [*METHODS.values(), *PROBES.values(), Transform, Scene, FitRecipe]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_every_entry_declares_once(entry: Any) -> None:
    """Its defaults are allowed, and choices stand in one place: in the type, or in a table's names."""
    for one in dataclasses.fields(entry):
        declared = parameters(entry)[one.name]
        assert declared.allows(declared.default), one.name
        assert declared.text
        if one.metadata.get("choices"):
            assert "Literal" not in str(one.type), one.name
    parser = argparse.ArgumentParser(conflict_handler="error")
    add_parameters(parser, parameters(entry))
    assert given_by(parser.parse_args([]), entry) == {}


def test_a_block_declares_by_the_same_kind() -> None:
    for block in BLOCKS.values():
        for one in block.options.values():
            assert isinstance(one, Parameter)
            assert one.kind is type(one.default)
