"""Read a lesson's file; what is wrong in it is told with file, line and reason."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import yaml

from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.comparison.compare import PINS
from explorer.errors import ExplorerError, LessonError, UnknownNameError
from explorer.geometry import Point
from explorer.images import samples
from explorer.lab import networks
from explorer.lab.boxes import SCENES, specs
from explorer.lab.networks import LabModel
from explorer.lab.summary import Key
from explorer.lessons.claims import MEASURES, OF_BLOCKS, OF_NUMBERS
from explorer.lessons.entry import Entry
from explorer.lessons.lesson import (
    CHARTED,
    LOOKS,
    MOST_CHOICES,
    MOST_MODELS,
    PANELS,
    STEP_MINUTES,
    Claim,
    CostChart,
    FoundBoxes,
    Lesson,
    LessonStep,
    Look,
)
from explorer.lessons.numbers import TableNumber
from explorer.models.spec import ModelSpec
from explorer.probes import PROBES
from explorer.registry import parameters
from explorer.resources import asset
from explorer.scenes import Scene, motion
from explorer.transforms import Transform
from explorer.view import MAX_QUERIES, View
from explorer.view.forms import MOVES

#: The lessons that ship, in the order of a course.
SHIPPED = (
    "gates-and-attention",
    "equivariance-invariance-aliasing",
    "rows-and-columns",
    "scale",
    "texture-and-shape",
    "background",
    "architecture-or-training",
    "finding-objects",
    "can-a-map-be-believed",
    "cost-in-n",
    "published-models",
)

_MOST_BYTES = 1_000_000
_MIDDLE = (Point(0.5, 0.5),)


def shipped() -> tuple[Lesson, ...]:
    """The lessons that come with the explorer."""
    # Their numbers are held by tests: the table is not read before a lesson is.
    return tuple(read(asset("lessons", f"{name}.yaml"), find_numbers=False) for name in SHIPPED)


def read(file: str | Path, find_numbers: bool = True) -> Lesson:
    """Read a lesson; raises LessonError with the file, the line, what is wrong there and what was expected.

    Args:
        file: YAML.
        find_numbers: look now whether the table has the numbers of its texts.
    """
    path = Path(file)
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise LessonError(f"{path}: a lesson has at most {_MOST_BYTES:,} bytes, this file has {size:,}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LessonError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise LessonError(f"{path}: a lesson is a text in UTF-8; byte {error.start} is none of it") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise LessonError(f"{path}, line {line}: this is no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise LessonError(f"{path}: this is no YAML: {error}") from None
    if root is None:
        raise LessonError(f"{path}, line 1: the file is empty; a lesson has title and steps")
    entry = Entry(root, str(path))
    parts = entry.fields(("title", "steps"))
    entries = parts["steps"].items(1, 50, "steps")
    steps = tuple(_step(one) for one in entries)
    if find_numbers:
        for one, step in zip(entries, steps):
            _find_numbers(one, step.numbers)
    return Lesson(path.stem, parts["title"].words(), steps)


_SHOWN = ("models", "scene", "picture", "move", "query", "pin", "method", "look")

#: What is shown in place of models on the workbench.
_INSTEAD = {"cost": "a chart of costs", "boxes": "boxes of models that find objects"}
_STEP = (
    *_INSTEAD,
    "numbers",
    *_SHOWN,
    "panels",
    "cover",
    "choices",
    "right",
    "reveal",
    "formula",
    "sources",
    "claims",
    "minutes",
    "notes",
)


def _step(entry: Entry) -> LessonStep:
    found = entry.fields(("title", "question", "explanation"), _STEP)
    texts = {name: found[name].words() for name in ("title", "question", "explanation")}
    choices = (
        tuple(one.words() for one in found["choices"].items(2, MOST_CHOICES, "choices")) if "choices" in found else ()
    )
    right = 0
    if "right" in found:
        right = int(found["right"].number())
        if not 1 <= right <= len(choices):
            raise found["right"].wrong(f"the number of the right choice is expected here, from 1 to {len(choices)}")
    before = after = None
    cost = _cost(found["cost"]) if "cost" in found else None
    boxes = _boxes(found["boxes"]) if "boxes" in found else None
    looks: tuple[Look, Look] = ({}, {})
    numbers = {name: _number(one) for name, one in found["numbers"].pairs().items()} if "numbers" in found else {}
    for name in ("title", "question", "explanation", "notes"):
        if name in found:
            _places(found[name], numbers)
    instead = [name for name in _INSTEAD if name in found]
    for kind in instead:
        for name in (*_SHOWN, "reveal", "panels", "cover", *instead):
            if name in found and name != kind:
                raise found[name].wrong(f"a step with {_INSTEAD[kind]} has no '{name}'")
    if not instead:
        before = after = _shown(entry, found, None)
        looks = (_looks(found, {}),) * 2
        if "reveal" in found:
            revealed = found["reveal"].fields((), _SHOWN)
            after = _shown(found["reveal"], revealed, before)
            looks = (looks[0], _looks(revealed, looks[0]))
    panels = found["panels"].list_of(PANELS, "panel") if "panels" in found else PANELS[:2]
    cover = found["cover"].list_of(PANELS, "panel") if "cover" in found else ()
    for name in cover:
        if name not in panels:
            raise found["cover"].wrong(f"'{name}' is not among the panels of this step: {', '.join(panels)}")
    claims = found["claims"].items(0, 50, "claims") if "claims" in found else []
    return LessonStep(
        **texts,
        choices=choices,
        right=right,
        before=before,
        after=after,
        looks=looks,
        cost=cost,
        boxes=boxes,
        numbers=numbers,
        panels=panels,
        cover=cover,
        formula=found["formula"].string() if "formula" in found else "",
        sources=tuple(one.string() for one in found["sources"].items(0, 10, "sources")) if "sources" in found else (),
        claims=tuple(_claim(one, before, after, cost, numbers) for one in claims),
        minutes=found["minutes"].number(0.5, 90) if "minutes" in found else STEP_MINUTES,
        notes=found["notes"].words() if "notes" in found else None,
    )


def _cost(entry: Entry) -> CostChart:
    found = entry.fields(("blocks",), ("show",))
    blocks = tuple(one.one_of(BLOCKS, "block") for one in found["blocks"].items(1, 6, "blocks"))
    return CostChart(blocks, found["show"].one_of(CHARTED, "chart") if "show" in found else CHARTED[0])


def _boxes(entry: Entry) -> FoundBoxes:
    found = entry.fields(("blocks",), ("scene",))
    able = tuple(specs(tuple(BLOCKS)))
    blocks = tuple(
        one.one_of(able, "block of a model that finds objects") for one in found["blocks"].items(1, 4, "blocks")
    )
    return FoundBoxes(blocks, int(found["scene"].number(1, len(SCENES))) if "scene" in found else 1)


def _number(entry: Entry) -> TableNumber:
    found = entry.fields(("model", "probe", "measure"), ("minus", "where"))
    where = {name: one.plain() for name, one in found["where"].pairs().items()} if "where" in found else {}
    texts = [_lab(found[name]) if name in found else "" for name in ("model", "minus")]
    measure = found["measure"].string()
    return TableNumber(Key.of(found["probe"].one_of(PROBES, "probe"), measure, **where), *texts)


def _find_numbers(step: Entry, numbers: Mapping[str, TableNumber]) -> None:
    for name, number in numbers.items():
        try:
            number.estimate  # noqa: B018 - whether it can be found
        except LookupError:
            raise (
                step.pairs()["numbers"]
                .pairs()[name]
                .wrong(
                    f"the table has several numbers of '{number.key.measure}' that differ in a condition; say under "
                    "'where' which is meant"
                )
            ) from None


def _lab(entry: Entry) -> str:
    text = entry.string()
    try:
        LabModel.of(ModelSpec.parse(text))
    except ExplorerError as error:
        raise entry.wrong(str(error)) from None
    return text


def _places(entry: Entry, numbers: Mapping[str, TableNumber]) -> None:
    """Check that every place in a text has its number."""
    for text in entry.words().values():
        for name in re.findall(r"\{(\w+)\}", text):
            if name not in numbers:
                raise entry.wrong(str(UnknownNameError("number", name, tuple(numbers))))


def _shown(entry: Entry, found: Mapping[str, Entry], base: View | None) -> View:
    """What a step, or its reveal on top of that, shows."""
    if "scene" in found and "picture" in found:
        raise found["picture"].wrong("a step shows a scene or a picture, not both")
    given: dict[str, Any] = {}
    if "models" in found:
        given["models"] = tuple(_model(one) for one in found["models"].items(1, MOST_MODELS, "models"))
    if "scene" in found:
        own = found["scene"].fields((), tuple(parameters(Scene)))
        changed = {name: entry.checked(Scene, name, one) for name, one in own.items()}
        given["source"] = dataclasses.replace((base and base.scene) or Scene(), **changed)
    if "picture" in found:
        given["source"] = found["picture"].one_of(samples(), "photograph")
    if base is None:
        if "models" not in given:
            raise entry.wrong("'models' is missing here, or 'cost' for a chart")
        if "source" not in given:
            raise entry.wrong("'scene' or 'picture' is missing here")
    if "move" in found:
        own = found["move"].fields((), MOVES)
        changed = {name: entry.checked(Transform, name, one) for name, one in own.items()}
        given["transform"] = dataclasses.replace(base.transform if base else Transform(), **changed)
    if "query" in found:
        several = isinstance(found["query"].node, yaml.SequenceNode)
        places = found["query"].items(1, MAX_QUERIES, "places") if several else [found["query"]]
        given["queries"] = tuple(_place(one) for one in places)
    if "pin" in found:
        given["pin"] = found["pin"].one_of(PINS, "pin")
    if "method" in found:
        given["method"] = found["method"].one_of(METHODS, "method")
    shown = base.changed(**given) if base else View(**{"queries": _MIDDLE, **given}, unit="share")
    if shown.scene is not None:
        try:
            motion.moved(shown.scene, shown.transform, (48, 48))
        except ExplorerError as error:
            raise found.get("move", entry).wrong(str(error)) from None
    return shown


def _looks(found: Mapping[str, Entry], base: Look) -> Look:
    """How a step, or its reveal on top of that, draws its maps."""
    own = found["look"].fields((), tuple(LOOKS)) if "look" in found else {}
    return {**base, **{name: _look(name, one) for name, one in own.items()}}


def _model(entry: Entry) -> str:
    text = entry.string()
    try:
        spec = ModelSpec.parse(text)
        if spec.origin == "lab":
            if text not in networks.available():
                raise UnknownNameError("laboratory model", text, networks.available())
        elif spec.source.scheme == "timm" and not timm.is_model(spec.backbone):
            raise UnknownNameError("model", spec.backbone, [*timm.list_models(), *timm.list_pretrained()])
        if spec.block and spec.block not in BLOCKS:
            raise UnknownNameError("block", spec.block, BLOCKS)
    except ExplorerError as error:
        raise entry.wrong(str(error)) from None
    return text


def _place(entry: Entry) -> Point:
    found = entry.fields(("x", "y"))
    place = Point(found["x"].number(0, 1), found["y"].number(0, 1))
    if max(place) >= 1:
        raise entry.wrong("a place lies inside the frame: x and y from 0 to below 1")
    return place


def _look(name: str, entry: Entry) -> Any:
    if name == "opacity":
        return entry.number(0, 1)
    value = entry.plain()
    if value not in LOOKS[name]:
        known = ", ".join(str(one).lower() if isinstance(one, bool) else one for one in LOOKS[name])
        raise entry.wrong(f"{name} is one of {known}; got '{value}'")
    return value


def _claim(
    entry: Entry,
    before: View | None,
    after: View | None,
    cost: CostChart | None,
    numbers: Mapping[str, TableNumber],
) -> Claim:
    found = entry.fields(("measure",), ("model", "block", "number", "when", "about", "is", "at least", "at most"))
    measure = found["measure"].one_of(MEASURES, "measure")
    who = "block" if measure in OF_BLOCKS else "number" if measure in OF_NUMBERS else "model"
    if who not in found:
        raise entry.wrong(f"'{who}' is missing here: '{measure}' is measured of a {who}")
    if measure in OF_NUMBERS:
        known: tuple[str, ...] = tuple(numbers)
    elif cost is not None:
        known = cost.blocks
    else:
        known = () if after is None or before is None else (*before.texts, *after.texts)
    of = found[who].one_of(known, f"{who} of this step")
    about = found["about"].string() if "about" in found else ""
    if (measure in ("probability", "multiply-adds over")) != bool(about):
        raise entry.wrong(f"'{measure}' {'takes no' if about else 'needs'} 'about'")
    bounds = [name for name in ("at least", "at most") if name in found]
    if ("is" in found) == bool(bounds):
        raise entry.wrong("a claim has either 'is', or 'at least' or 'at most' or both")
    return Claim(
        measure,
        of,
        found["when"].one_of(("before", "after"), "time") if "when" in found else "after",
        about,
        found["is"].plain() if "is" in found else None,
        found["at least"].number() if "at least" in found else -math.inf,
        found["at most"].number() if "at most" in found else math.inf,
        entry.line,
    )
