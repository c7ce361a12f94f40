"""One registry class; BLOCKS, METHODS and PROBES are its instances; and what an entry's parameters are.

An entry's docstring and typed fields are its whole declaration: the page's controls, the command's flags, the checks
and the parametrised tests are made from `parameters`, by type.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from explorer.errors import ParameterError, UnknownNameError
from explorer.messages import Message

Entry = TypeVar("Entry")

#: What a value of each kind is called in a message.
_KINDS: Mapping[type, str] = {
    int: Message("a whole number"),
    float: Message("a number"),
    str: Message("a text"),
    bool: Message("True or False"),
}


def question(entry: type) -> str:
    """The question that an entry answers: the first line of its docstring."""
    return (inspect.getdoc(entry) or "").split("\n", 1)[0]


def unknown_parameter(owner: str, given: str, known: Iterable[str]) -> ParameterError:
    """The error for a parameter that its owner does not have."""
    names = ", ".join(known) or "none"
    return ParameterError(
        Message("{owner} has no parameter '{given}'; it has: {known}", owner=owner, given=given, known=names)
    )


@dataclass(frozen=True)
class Parameter:
    """What is a parameter, and which values may it have?

    Attributes:
        kind: bool, int, float or str; of choices that of each of them; or a class of another kind, whose values the
            entry checks itself.
        default: its value if none is given.
        text: what it does, in a phrase.
        low: least value, or None; ``high``: largest.
        unit: of the value and its range, or "".
        choices: the only values there are, or empty.
        optional: whether it may be None.
    """

    kind: type
    default: Any
    text: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[Any, ...] = ()
    optional: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is a number that is not one of a few."""
        return self.kind in (int, float) and not self.choices

    @property
    def type(self) -> str:
        """Its type as it is written in Python."""
        if self.choices:
            return f"Literal[{', '.join(map(repr, self.choices))}]" + " | None" * self.optional
        return self.kind.__name__ + " | None" * self.optional

    def record(self) -> dict[str, Any]:
        """What it declares, as plain values."""
        return {name: getattr(self, name) for name in ("default", "text", "low", "high", "unit", "choices")}

    def allows(self, value: Any) -> bool:
        """Whether it may have a value."""
        if value is None and self.optional:
            return True
        if self.choices:
            # True is no choice where 1 is one.
            return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.choices)
        return self._is_of_its_kind(value) and self._is_in_range(value)

    def check(self, owner: str, name: str, value: Any) -> None:
        """Raise ParameterError for a value that it may not have; ``name`` is the parameter's, of the ``owner``."""
        if self.allows(value):
            return
        if self.choices:
            raise ParameterError(
                Message(
                    "{owner}: {name} is one of {choices}, got {value}",
                    owner=owner,
                    name=name,
                    choices=", ".join(map(str, self.choices)),
                    value=f"{value!r}",
                )
            )
        if not self._is_of_its_kind(value):
            raise ParameterError(
                Message(
                    "{owner}: {name} is {kind}, got {value}",
                    owner=owner,
                    name=name,
                    kind=_KINDS[self.kind],
                    value=f"{value!r}",
                )
            )
        if self.high is None:
            said = Message("{owner}: {name} is {low}{unit} or more, got {value}")
        elif self.low is None:
            said = Message("{owner}: {name} is {high}{unit} or less, got {value}")
        else:
            said = Message("{owner}: {name} lies from {low} to {high}{unit}, got {value}")
        unit = f" {self.unit}" if self.unit else ""
        raise ParameterError(
            Message(said, owner=owner, name=name, low=self.low, high=self.high, unit=unit, value=value)
        )

    def _is_of_its_kind(self, value: Any) -> bool:
        if self.kind not in _KINDS:  # the entry checks it itself
            return True
        if isinstance(value, bool) and self.kind is not bool:
            return False
        # What is not a number (NaN) is none.
        return isinstance(value, (int, float) if self.kind is float else self.kind) and value == value

    def _is_in_range(self, value: Any) -> bool:
        return not self.is_number or (
            (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        )


def parameter(
    default: Any,
    text: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: Sequence[str] = (),
) -> Any:
    """Return a dataclass field that carries what its type does not say: a description, a range (inclusive), a unit.

    A few fixed choices are the field's type, a Literal; ``choices`` are names of a table that is known when the program
    runs, as those of a registry.
    """
    return field(
        default=default, metadata={"text": text, "low": low, "high": high, "unit": unit, "choices": tuple(choices)}
    )


def parameters(entry: Any) -> Mapping[str, Parameter]:
    """What are an entry's parameters? Those of a dataclass are its fields, by name.

    Raises TypeError for a field of a type that is not one kind of value or None, or one that is known to type checkers
    alone.
    """
    return _parameters(entry)


@cache
def _parameters(entry: Any) -> Mapping[str, Parameter]:
    try:
        types = get_type_hints(entry)
    except NameError as error:
        raise TypeError(
            f"{entry.__name__}: the type of a field is not known when the program runs ({error}); import it outside "
            "TYPE_CHECKING"
        ) from error
    found = {}
    for one in fields(entry):
        default = None if one.default is dataclasses.MISSING else one.default
        kind, choices, optional = _kind(entry, one.name, types[one.name])
        said = dict(one.metadata)
        choices = choices or said.pop("choices", ())
        said = {name: said[name] for name in ("text", "low", "high", "unit") if name in said}
        found[one.name] = Parameter(kind, default, **{"text": one.name, **said}, choices=choices, optional=optional)
    return found


def _kind(entry: Any, name: str, declared: Any) -> tuple[type, tuple[Any, ...], bool]:
    """(kind, choices, whether it may be None) of a type."""
    members = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    optional = type(None) in members
    rest = [one for one in members if one is not type(None)]
    choices: tuple[Any, ...] = ()
    if len(rest) == 1 and get_origin(rest[0]) is Literal:
        # None may stand among the choices themselves.
        optional = optional or None in get_args(rest[0])
        choices = tuple(one for one in get_args(rest[0]) if one is not None)
        rest = list(dict.fromkeys(map(type, choices)))
    if len(rest) == 1:
        kind = get_origin(rest[0]) or rest[0]
        if isinstance(kind, type):
            return kind, choices, optional
    raise TypeError(f"{entry.__name__}.{name} is declared as {declared}; a parameter has one kind of value, or None")


def check_fields(entry: Any) -> None:
    """Check the values of an entry against what its fields declare; raises ParameterError."""
    for name, one in parameters(type(entry)).items():
        one.check(type(entry).__name__, name, getattr(entry, name))


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A read-only mapping from name to entry that is filled by its ``register`` decorator."""

    def __init__(self, what: str, needs: Sequence[str] = ()) -> None:
        self._what, self._needs = what, needs
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Return a decorator that files an entry under ``name``; raises ValueError for a second entry of
        that name, or one that does not declare what every entry needs."""

        def add(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"{self._what} '{name}' is registered twice")
            if missing := [one for one in self._needs if not hasattr(entry, one)]:
                raise ValueError(
                    Message(
                        "{what} '{name}' does not declare {missing}",
                        what=self._what,
                        name=name,
                        missing=", ".join(missing),
                    )
                )
            self._entries[name] = entry
            return entry

        return add

    def make(self, name: str, parameters: Mapping[str, Any]) -> Any:
        """Make an entry with its parameters; raises UnknownNameError, or ParameterError for a parameter or a value."""
        entry: Any = self[name]
        known = [one.name for one in fields(entry)]
        for given in parameters:
            if given not in known:
                raise unknown_parameter(name, given, known)
        return entry(**parameters)

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self._what, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self._what}: {', '.join(self._entries)})"


def differing(kind: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an entry's parameters whose values are not its own; one of None was not given."""
    defaults = {one.name: one.default for one in fields(kind)}
    return {
        name: value
        for name, value in parameters.items()
        if value is not None and (name not in defaults or value != defaults[name])
    }
