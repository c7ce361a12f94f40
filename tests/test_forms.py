"""A view is one value in many forms: each is read back as it was written, and what is wrong is one sentence."""

from __future__ import annotations

import json
import math
import random
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from explorer import lessons
from explorer.attribution import METHODS
from explorer.cli.main import parser_of
from explorer.cli.values import scene_of, view_of
from explorer.errors import ExplorerError, ParameterError
from explorer.geometry import Point
from explorer.images import samples
from explorer.lab.networks import available
from explorer.models.spec import ModelSpec
from explorer.registry import Parameter, parameters
from explorer.resources import asset
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view import MAX_MODELS, MAX_QUERIES, View
from explorer.view.code import command, python
from explorer.view.forms import lesson as lesson_of
from explorer.view.forms import link, of_link, of_record, of_request, record, request, schema
from explorer.view.types import declarations

SEEDS = range(60)


class Drawn:
    """Views at random, the same for a seed everywhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def maybe(self, make: Callable[[], Any], other: Any) -> Any:
        return make() if self.random.random() < 0.6 else other

    def value(self, one: Parameter) -> Any:
        if one.optional and self.random.random() < 0.3:
            return None
        if one.choices:
            return self.random.choice(one.choices)
        if one.kind is bool:
            return self.random.random() < 0.5
        if one.kind is int:
            return self.random.randint(int(one.low or 0), int(min(one.high or 99, 10**6)))
        low, high = one.low or 0.0, one.high or 1.0
        return self.random.choice([round(self.random.uniform(low, high), 2), self.random.uniform(low, high), low, high])

    def scene(self) -> Scene:
        some = {name: self.value(one) for name, one in parameters(Scene).items() if self.random.random() < 0.5}
        # A scene's own place leaves room for a move.
        return Scene(**{**some, "dx": self.random.uniform(-0.1, 0.1), "dy": 0.0, "scale": 1.0})

    def move(self, scene: bool, centre: bool = False) -> Transform:
        found = {"dx": self.random.uniform(-20, 20), "dy": float(self.random.randint(-8, 8))}
        found |= {"zoom": self.random.uniform(0.5, 2), "angle": self.random.uniform(-360, 360)}
        if not scene:
            found |= {"flip": self.random.random() < 0.5}
            found |= {"border": self.value(parameters(Transform)["border"])}
            if centre:
                found |= {"centre": self.maybe(lambda: Point(self.random.uniform(0, 99), 3.0), None)}
        return Transform(**{name: value for name, value in found.items() if self.random.random() < 0.7})

    def method(self) -> tuple[str, dict[str, Any]]:
        name = self.random.choice(list(METHODS))
        found = {}
        for key, one in parameters(METHODS[name]).items():
            value = self.value(one)
            if value is not None and value != one.default and self.random.random() < 0.7:
                found[key] = value
        return name, found

    def shares(self, most: int = MAX_QUERIES) -> tuple[Point, ...]:
        return tuple(Point(self.random.random(), self.random.random()) for _ in range(self.random.randint(1, most)))

    def texts(self, most: int = MAX_MODELS) -> tuple[str, ...]:
        known = [*available(), "resnet50.a1_in1k+mhsa@3", "random/test_vit#7", "hf-hub:org/some name@v1.0"]
        return tuple(self.random.choice(known) for _ in range(self.random.randint(1, most)))

    def of_page(self) -> View:
        """What the page can show."""
        scene = self.maybe(self.scene, None)
        models, (method, given) = self.texts(), self.method()
        places = [place for place in range(len(models)) if self.random.random() < 0.5]
        return View(
            models=models,
            source=self.random.choice([*samples(), "own:" + "0a" * 12]) if scene is None else scene,
            transform=self.move(scene is not None),
            queries=self.shares(),
            pin=self.random.choice(["image", "place"]),
            method=method,
            parameters=given,
            layers={place: self.random.choice([0, 11, "blocks.2.attn", "a b;c:d#x"]) for place in places},
            heads={place: self.random.randint(0, 12) for place in places if self.random.random() < 0.5},
            unit="share",
        )

    def of_library(self) -> View:
        """What Python can ask."""
        scene = self.maybe(self.scene, None)
        method, given = self.maybe(self.method, (None, {}))
        fields = {
            "head": self.maybe(lambda: "sigmoid", None),
            "weights_file": self.maybe(lambda: "my w.safetensors", None),
        }
        size = self.maybe(lambda: (96, 128), None)
        models = tuple(
            ModelSpec.parse(
                text, input_size=size, **{key: one for key, one in fields.items() if self.random.random() < 0.5}
            )
            for text in self.texts()
        )
        layer = lambda: self.random.choice([0, -1, "blocks.2.attn"])  # noqa: E731
        return View(
            models=models,
            source=self.random.choice([*samples(), "my cup.png"]) if scene is None else scene,
            transform=self.move(scene is not None, centre=True),
            queries=self.maybe(lambda: tuple(Point(99 * one.x, -7.5 * one.y) for one in self.shares()), ()),
            pin=self.random.choice(["image", "place"]),
            method=method,
            parameters=given,
            layers={place: layer() for place in range(len(models)) if self.random.random() < 0.5},
            head=self.maybe(lambda: self.random.randint(-3, 12), None),
            target=self.maybe(lambda: self.random.choice([self.random.randint(0, 999), "151..268,7"]), None),
            bands=self.maybe(lambda: self.random.choice([(4,), (3, 2, 1)]), None) if scene is None else None,
        )


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_form_gives_the_view_back(seed: int, tmp_path: Path) -> None:
    drawn = Drawn(seed)
    page, library = drawn.of_page(), drawn.of_library()
    assert of_record(through_json(record(page))) == page
    assert of_record(through_json(record(library))) == library
    assert of_request(*through_json(request(page))) == page
    assert of_link(link(page)) == page
    assert of_link(f"https://host/path?x=1#{link(page)}&tab=lecture&lang=zh&look=smooth:true") == page
    assert from_command(command(library)) == library
    step = page.changed(
        models=tuple(one for one in page.texts if one in available())[: lessons.MOST_MODELS] or ("lab/conv",),
        source=page.source if page.scene or page.source in samples() else "cat",
        layers={},
        heads={},
        parameters={},
    )
    text = {"title": "One", "question": "What?", "explanation": "That.", **lesson_of(step)}
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"title": "Own", "steps": [text]}), encoding="utf-8")
    assert lessons.read(file).steps[0].before == step


def from_command(line: str) -> View:
    """What the command makes of a command line, before a picture is read."""
    program, *arguments = shlex.split(line)
    assert program == "explorer"
    options = parser_of(arguments).parse_args(arguments)
    source = options.image if options.scene is None else scene_of(options.scene)
    return view_of(options, None if options.method == "none" else options.method, source)


def test_a_link_is_as_the_page_writes_it() -> None:
    """Word for word what link.js makes of this state."""
    view = View(
        ("lab/mhsa", "resnet50.a1_in1k+mhsa@3"),
        Scene("star", "dots"),
        Transform(dx=8, zoom=0.5),
        (Point(0.25, 0.5), Point(0.5, 0.75)),
        "place",
        "occlusion",
        {"window": 24},
        {0: "net.a b"},
        heads={0: 2},
        unit="share",
    )
    scene = (
        "label:star;texture:dots;background:green%20gradient;dx:0;dy:0;scale:1;angle:0;tilt:0;gap:1;"
        "wobble:0.06;shade:0.5;clutter:0.3;noise:0.04;seed:0"
    )
    assert link(view) == (
        "models=lab/mhsa,resnet50.a1_in1k%2Bmhsa@3&dx=8&dy=0&zoom=0.5&angle=0&flip=false&border=zero"
        f"&pins=0.25,0.5;0.5,0.75&pin=place&method=occlusion&scene={scene}&parameters=window:24&layers=0:net.a%20b%232"
    )
    # An old link says only what it changes.
    assert of_link("#models=lab/conv&dx=3") == View(
        ("lab/conv",), next(iter(samples())), Transform(dx=3), (Point(0.5, 0.5),), unit="share"
    )


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (View(("lab/conv",), "/etc/passwd"), "no file of this machine"),
        (View(("lab/conv",), "cup", method=None), "without a method"),
        (View(("lab/conv",), "cup", target=3), "no 'target'"),
        (View(("lab/conv",), "cup", queries=((3, 4),)), "shares of the frame, and these are pixels"),
        (View(("lab/conv",), "cup", Transform(centre=Point(1, 2), zoom=2)), "about the middle"),
        (View((ModelSpec.parse("lab/conv", head="sigmoid"),), "cup"), "that its name does not hold"),
    ],
)
def test_what_a_form_cannot_say_is_refused(view: View, why: str) -> None:
    for form in (request, link, lesson_of):
        with pytest.raises(ParameterError, match=why):
            form(view)


def test_shares_have_no_code_until_they_are_pixels() -> None:
    view = View(("lab/conv",), "cup", queries=((0.5, 0.25),), unit="share")
    for form in (python, command):
        with pytest.raises(ParameterError, match=r"take view\.in_pixels\(frame\)"):
            form(view)
    placed = view.in_pixels((48, 96))
    assert (placed.queries, placed.unit) == ((Point(48, 12),), "px")
    assert placed.in_pixels((1, 1)) is placed
    assert "--query 48,12" in command(placed)


def shown(*given: Any, **named: Any) -> View:
    return View(("lab/conv",), *given, **named)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no source": (lambda: View(("lab/conv",)), "a view needs source: a scene, a picture"),
    "a field of no view": (lambda: shown("cup", heed=3), "a view has no field 'heed'; it has: models"),
    "twice": (lambda: shown("cup", source="cat"), "a view's source is given twice"),
    "one text": (lambda: View("lab/conv", "cup"), "models is a list of models: texts .*; got lab/conv"),
    "no text": (lambda: View((3,), "cup"), "models is a list of models"),
    "a number": (lambda: shown(3), "source is a scene, a picture, .*; got 3"),
    "scene": (lambda: shown({"label": "stra"}), "unknown label 'stra'. Did you mean star"),
    "scene's field": (lambda: shown({"size": 3}), "a scene has no field 'size'; it has: label"),
    "move": (lambda: shown("cup", {"zoom": 9}), "zoom is a number from 0.25 to 4, got 9$"),
    "move's field": (lambda: shown("cup", {"dz": 9}), "a move has no field 'dz'"),
    "no move": (lambda: shown("cup", 3), "transform is a move: a Transform, or an object .*; got 3"),
    "place": (lambda: shown("cup", queries=("here",)), r"a place is \(x, y\) or \{x, y\}, two numbers"),
    "nowhere": (lambda: shown("cup", queries=((math.nan, 0),)), "two finite numbers"),
    "five": (lambda: shown("cup", queries=((1, 1),) * 5), "at most 4 places can be asked from at once, got 5"),
    "outside": (lambda: shown("cup", queries=((1, 0),), unit="share"), r"the pin \(1, 0\) lies outside"),
    "unit": (lambda: shown("cup", unit="mm"), "unit is one of px, share; got 'mm'"),
    "pin": (lambda: shown("cup", pin="wall"), "pin is one of image, place; got 'wall'"),
    "method": (lambda: shown("cup", method=3), "method is the name of an attribution method; got 3"),
    "parameter": (lambda: shown("cup", method="occlusion", parameters={"window": 0}), "window lies from 1"),
    "head": (lambda: shown("cup", head="2"), "head is a whole number, from 0; got 2"),
    "true": (lambda: shown("cup", target=True), "target is the index of a class, or several as '151..268'; got True"),
    "layer": (lambda: shown("cup", layers={0: 1.5}), "layers is an object: a model's place"),
    "bands": (lambda: shown(Scene(), bands=(1,)), "bands are chosen of a picture"),
    "record": (lambda: of_record([]), "a view is an object with the names of its fields, got list"),
    "both": (lambda: of_record({"models": [], "scene": {}, "picture": "cup"}), "a scene or a picture, one of"),
    "spec": (lambda: of_record({"models": [{"model": "x", "size": 3}], "scene": {}}), "a model has no field 'size'"),
    "link": (lambda: of_link("models=lab/conv&pins=a,b"), "a pin is a place"),
    "link's models": (lambda: of_link("dx=3"), "choose at least one model"),
    "link's layers": (lambda: of_link("models=lab/conv&layers=x:1"), "layers names models by their places"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_of_ours(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ExplorerError, match=message) as caught:
        make()
    said = str(caught.value)
    assert "\n" not in said
    assert not isinstance(caught.value, pydantic.ValidationError)
    assert not any(word in said.lower() for word in ("pydantic", "input should", "validation", "type="))


def test_nothing_random_from_a_browser_is_more_than_a_sentence() -> None:
    """Whatever is sent: a view, or a ParameterError."""
    drawn = random.Random(0)
    junk: list[Any] = [None, True, -1, 1e308, "", "x" * 500, [], {}, [None], {"x": 1}, [[1, 2]], {"0": []}, "own:zz"]
    names = [
        *parameters(Transform),
        "scene",
        "picture",
        "pins",
        "pin",
        "method",
        "parameters",
        "layers",
        "heads",
        "else",
    ]
    for _ in range(600):
        question = {name: drawn.choice(junk) for name in drawn.sample(names, 4)}
        models = drawn.choice([["lab/conv"], ["lab/conv", "resnet18"], *junk])
        try:
            assert isinstance(of_request(models, question), View)
        except ParameterError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_the_schema_says_the_limits() -> None:
    view = View.model_json_schema()["properties"]
    assert (view["models"]["minItems"], view["models"]["maxItems"]) == (1, MAX_MODELS)
    assert view["queries"]["maxItems"] == MAX_QUERIES
    assert view["pin"]["enum"] == ["image", "place"]
    question = schema()["properties"]["question"]["properties"]
    sent = request(Drawn(1).of_page())[1]
    assert set(question) == set(sent)
    assert question["pins"]["maxItems"] == MAX_QUERIES
    assert (question["zoom"]["minimum"], question["zoom"]["maximum"]) == (0.25, 4)
    assert set(question["scene"]["anyOf"][0]["properties"]) == set(parameters(Scene))


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["explorer.view"])
    runpy.run_module("explorer.view", run_name="__main__")
    assert json.loads(capsys.readouterr().out) == schema()


def test_the_types_of_the_browser_are_those_of_the_schema(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["explorer.view", "--types"])
    runpy.run_module("explorer.view", run_name="__main__")
    assert asset("web", "view.d.ts").read_text(encoding="utf-8") == capsys.readouterr().out, (
        "assets/web/view.d.ts is not what View says now: write it anew with "
        "`python -m explorer.view --types > assets/web/view.d.ts`"
    )


def test_types_say_what_a_schema_says() -> None:
    place = {"title": "Place", "type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    made = declarations(
        {
            "title": "Asked",
            "type": "object",
            "properties": {
                "pins": {"type": "array", "items": {"anyOf": [place, {"type": "null"}]}},
                "centre": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}]},
                "pin": {"enum": ["image", "place"], "description": "what it stays on"},
                "fields": {"type": "object", "additionalProperties": True},
                "plain": {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "string"}}},
            },
            "required": ["pins"],
        }
    )
    assert "export interface Place {\n  x: number;\n}" in made
    assert made.endswith(
        "export interface Asked {\n  pins: (Place | null)[];\n  centre?: [number, number];\n  /** what it stays on */\n"
        '  pin?: "image" | "place";\n  fields?: Record<string, unknown>;\n  plain?: { a?: boolean; b?: string };\n}'
    )
    with pytest.raises(KeyError):
        declarations({"type": "date"})
