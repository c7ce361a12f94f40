"""Lessons: files of steps that a lecturer writes; each has something to predict, a reveal, and claims to check.

README says what stands in a file. What a step shows is asked of the library as it is asked of the page, so that a claim
about it ("this model changes its answer") is measured, never assumed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import timm
import torch
import yaml
from torch import Tensor
from yaml.constructor import SafeConstructor

from explorer.attention.mass import mass_ratio
from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.blocks.cost import count, made, terms_of
from explorer.comparison.compare import PINS, Pin, compare
from explorer.comparison.result import ModelView
from explorer.errors import ExplorerError, LessonError, UnknownNameError
from explorer.figures.sheet import PALETTES
from explorer.geometry import Point
from explorer.images import samples
from explorer.lab import networks
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.resources import asset
from explorer.scenes import Scene, motion, render
from explorer.transforms import Transform

#: A text in the languages that the lecturer wrote: language code -> text. English is always there.
Text = Mapping[str, str]

#: The lessons that ship, in the order of a course.
SHIPPED = (
    "gates-and-attention",
    "equivariance-invariance-aliasing",
    "rows-and-columns",
    "scale",
    "texture-and-shape",
    "background",
    "cost-in-n",
)
LANGUAGES = ("en", "zh")
#: What of a model's row a step shows, and what it may cover until the reveal.
PANELS = ("answers", "attention", "attribution")
MOST_MODELS, MOST_QUERIES, MOST_CHOICES = 4, 4, 4
#: What a cost chart draws: multiply-adds as torch counts them, or the time measured on the machine that serves.
CHARTED = ("multiply-adds", "milliseconds")
#: The width that costs are counted at, and the sides of the grids.
CHANNELS, SIDES = 64, (8, 16, 24, 32, 48, 64)
#: How maps are drawn: name -> what it may be. The page has more of these; a lesson needs no others.
LOOKS: Mapping[str, tuple[Any, ...]] = {
    "view": ("after", "before", "pulled", "difference"),
    "overlay": (True, False),
    "smooth": (True, False),
    "scale": ("kind", "all", "own"),
    "map": tuple(name for name in PALETTES if name != "diverging"),
    "opacity": (),
}
_MOVES = ("dx", "dy", "zoom", "angle", "flip", "border")
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Shown:
    """What the workbench shows.

    Attributes:
        models: texts of the models.
        scene: what is moved, or None for a picture.
        picture: name of a sample photograph where there is no scene.
        move: in pixels of the first model's input.
        queries: where attention is asked from, shares of the frame before the move.
        pin: what they stay on.
        method: attribution method.
        look: how maps are drawn, where it differs from the page's own way.
    """

    models: tuple[str, ...]
    scene: Scene | None
    picture: str = ""
    move: Transform = Transform()  # noqa: RUF009 - frozen
    queries: tuple[Point, ...] = (Point(0.5, 0.5),)
    pin: Pin = "image"
    method: str = "gradcam"
    look: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """A chart of blocks' costs against the number of positions, in place of the workbench."""

    blocks: tuple[str, ...]
    show: str = CHARTED[0]


@dataclass(frozen=True)
class Claim:
    """One thing that a step says, in a form that can be measured.

    Attributes:
        measure: name in MEASURES.
        of: the model, or the block.
        when: "before" or "after" the reveal, where that matters.
        about: a class, or another block, where the measure needs one.
        expected: the answer, or yes or no; None where there are bounds.
        low: least value; ``high``: largest.
        line: where it stands in the file.
    """

    measure: str
    of: str
    when: str = "after"
    about: str = ""
    expected: str | bool | float | None = None
    low: float = -math.inf
    high: float = math.inf
    line: int = 0

    def holds(self, value: str | bool | float) -> bool:
        """Whether a measured value is what the claim says."""
        if self.expected is not None:
            return value == self.expected
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def __str__(self) -> str:
        wanted = [] if self.expected is None else [f"is {self.expected}"]
        wanted += [f"at least {self.low:g}"] * (self.low > -math.inf) + [f"at most {self.high:g}"] * (
            self.high < math.inf
        )
        return " ".join(part for part in (self.of, self.when, self.measure, self.about, *wanted) if part)


@dataclass(frozen=True)
class Step:
    """One step of a lesson.

    Attributes:
        title: what it is about.
        question: what is predicted first.
        choices: bets that can be taken, at most four; ``right`` is the number of the right one, from 1, or 0.
        before: what is shown until the reveal; None with ``cost``.
        after: what is shown after it.
        cost: the chart shown instead.
        panels: which parts of a model's row are shown; ``cover``: which of them only after the reveal.
        explanation: shown with the reveal.
        formula: LaTeX, or "".
        sources: papers.
        claims: what must hold of what is shown.
    """

    title: Text
    question: Text
    explanation: Text
    choices: tuple[Text, ...] = ()
    right: int = 0
    before: Shown | None = None
    after: Shown | None = None
    cost: Cost | None = None
    panels: tuple[str, ...] = PANELS[:2]
    cover: tuple[str, ...] = ()
    formula: str = ""
    sources: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A sequence of steps; ``name`` is that of its file without the ending."""

    name: str
    title: Text
    steps: tuple[Step, ...]


# ---- reading --------------------------------------------------------------------------------------------------------


def shipped() -> tuple[Lesson, ...]:
    """The lessons that come with the explorer."""
    return tuple(read(asset("lessons", f"{name}.yaml")) for name in SHIPPED)


def read(file: str | Path) -> Lesson:
    """Read a lesson; raises LessonError with the file, the line, what is wrong there and what was expected."""
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
    entry = _Entry(root, str(path))
    parts = entry.fields(("title", "steps"))
    steps = tuple(_step(one) for one in parts["steps"].items(1, 50, "steps"))
    return Lesson(path.stem, parts["title"].words(), steps)


class _Entry:
    """A part of a file that knows where it stands."""

    def __init__(self, node: yaml.Node, file: str) -> None:
        self.node, self.file = node, file

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def wrong(self, why: str) -> LessonError:
        return LessonError(f"{self.file}, line {self.line}: {why}")

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, _Entry]:
        """The values of a mapping with these keys."""
        known = (*required, *optional)
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(f"a list of keys and values is expected here: {', '.join(known)}")
        found: dict[str, _Entry] = {}
        for key, value in self.node.value:
            name = str(key.value)
            if name not in known:
                raise _Entry(key, self.file).wrong(str(UnknownNameError("key", name, known)))
            if name in found:
                raise _Entry(key, self.file).wrong(f"'{name}' stands here a second time")
            found[name] = _Entry(value, self.file)
        for name in required:
            if name not in found:
                raise self.wrong(f"'{name}' is missing here; needed are {', '.join(required)}")
        return found

    def items(self, least: int, most: int, what: str) -> list[_Entry]:
        """The parts of a list of so many."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong(f"a list of {what} is expected here")
        if not least <= len(self.node.value) <= most:
            raise self.wrong(f"{least} to {most} {what} are expected here, there are {len(self.node.value)}")
        return [_Entry(one, self.file) for one in self.node.value]

    def plain(self) -> Any:
        """The value of a scalar as YAML reads it."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong("a single value is expected here")
        try:
            return SafeConstructor().construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.wrong(f"'{self.node.value}' cannot be read: {error}") from None

    def string(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            raise self.wrong("a text is expected here")
        return str(self.node.value).strip()

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """A number in a range."""
        value = self.plain()
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            limits = f" from {low:g} to {high:g}" if high < math.inf else ""
            raise self.wrong(f"a number{limits} is expected here, not '{value}'")
        return float(value)

    def one_of(self, known: Iterable[str], what: str) -> str:
        """A name out of several."""
        names, value = tuple(known), self.string()
        if value not in names:
            raise self.wrong(str(UnknownNameError(what, value, names)))
        return value

    def words(self) -> Text:
        """A text, or one in several languages; English is always among them."""
        if isinstance(self.node, yaml.ScalarNode):
            return {"en": self.string()}
        return {name: one.string() for name, one in self.fields(("en",), LANGUAGES[1:]).items()}

    def list_of(self, known: Sequence[str], what: str) -> tuple[str, ...]:
        """Several names out of some, in the order of those."""
        chosen = {one.one_of(known, what) for one in self.items(0, len(known), f"names of {what}s")}
        return tuple(name for name in known if name in chosen)

    def checked(self, make: Callable[..., Any], name: str, entry: _Entry) -> Any:
        """The value of a field of something that is checked by being made."""
        value = entry.plain()
        try:
            make(**{name: value})
        except ExplorerError as error:
            raise entry.wrong(str(error)) from None
        return value


_SHOWN = ("models", "scene", "picture", "move", "query", "pin", "method", "look")
_STEP = ("cost", *_SHOWN, "panels", "cover", "choices", "right", "reveal", "formula", "sources", "claims")


def _step(entry: _Entry) -> Step:
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
    cost = before = after = None
    if "cost" in found:
        for name in (*_SHOWN, "reveal", "panels", "cover"):
            if name in found:
                raise found[name].wrong(f"a step with a chart of costs has no '{name}'")
        cost = _cost(found["cost"])
    else:
        before = _shown(entry, found, None)
        after = before
        if "reveal" in found:
            after = _shown(found["reveal"], found["reveal"].fields((), _SHOWN), before)
    panels = found["panels"].list_of(PANELS, "panel") if "panels" in found else PANELS[:2]
    cover = found["cover"].list_of(PANELS, "panel") if "cover" in found else ()
    for name in cover:
        if name not in panels:
            raise found["cover"].wrong(f"'{name}' is not among the panels of this step: {', '.join(panels)}")
    claims = found["claims"].items(0, 50, "claims") if "claims" in found else []
    return Step(
        **texts,
        choices=choices,
        right=right,
        before=before,
        after=after,
        cost=cost,
        panels=panels,
        cover=cover,
        formula=found["formula"].string() if "formula" in found else "",
        sources=tuple(one.string() for one in found["sources"].items(0, 10, "sources")) if "sources" in found else (),
        claims=tuple(_claim(one, before, after, cost) for one in claims),
    )


def _cost(entry: _Entry) -> Cost:
    found = entry.fields(("blocks",), ("show",))
    blocks = tuple(one.one_of(BLOCKS, "block") for one in found["blocks"].items(1, 6, "blocks"))
    return Cost(blocks, found["show"].one_of(CHARTED, "chart") if "show" in found else CHARTED[0])


def _shown(entry: _Entry, found: Mapping[str, _Entry], base: Shown | None) -> Shown:
    """What a step, or its reveal on top of that, shows."""
    if "scene" in found and "picture" in found:
        raise found["picture"].wrong("a step shows a scene or a picture, not both")
    given: dict[str, Any] = {}
    if "models" in found:
        given["models"] = tuple(_model(one) for one in found["models"].items(1, MOST_MODELS, "models"))
    if "scene" in found:
        own = found["scene"].fields((), [one.name for one in dataclasses.fields(Scene)])
        changed = {name: entry.checked(Scene, name, one) for name, one in own.items()}
        given["scene"] = dataclasses.replace((base and base.scene) or Scene(), **changed)
        given["picture"] = ""
    if "picture" in found:
        given["picture"] = found["picture"].one_of(samples(), "photograph")
        given["scene"] = None
    if base is None:
        if "models" not in given:
            raise entry.wrong("'models' is missing here, or 'cost' for a chart")
        if "scene" not in given:
            raise entry.wrong("'scene' or 'picture' is missing here")
    if "move" in found:
        own = found["move"].fields((), _MOVES)
        changed = {name: entry.checked(Transform, name, one) for name, one in own.items()}
        given["move"] = dataclasses.replace(base.move if base else Transform(), **changed)
    if "query" in found:
        several = isinstance(found["query"].node, yaml.SequenceNode)
        places = found["query"].items(1, MOST_QUERIES, "places") if several else [found["query"]]
        given["queries"] = tuple(_place(one) for one in places)
    if "pin" in found:
        given["pin"] = cast(Pin, found["pin"].one_of(PINS, "pin"))
    if "method" in found:
        given["method"] = found["method"].one_of(METHODS, "method")
    if "look" in found:
        own = found["look"].fields((), tuple(LOOKS))
        given["look"] = {**(base.look if base else {}), **{name: _look(name, one) for name, one in own.items()}}
    shown = dataclasses.replace(base, **given) if base else Shown(**given)
    if shown.scene is not None:
        try:
            motion.moved(shown.scene, shown.move, (48, 48))
        except ExplorerError as error:
            raise found.get("move", entry).wrong(str(error)) from None
    return shown


def _model(entry: _Entry) -> str:
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


def _place(entry: _Entry) -> Point:
    found = entry.fields(("x", "y"))
    place = Point(found["x"].number(0, 1), found["y"].number(0, 1))
    if max(place) >= 1:
        raise entry.wrong("a place lies inside the frame: x and y from 0 to below 1")
    return place


def _look(name: str, entry: _Entry) -> Any:
    if name == "opacity":
        return entry.number(0, 1)
    value = entry.plain()
    if value not in LOOKS[name]:
        known = ", ".join(str(one).lower() if isinstance(one, bool) else one for one in LOOKS[name])
        raise entry.wrong(f"{name} is one of {known}; got '{value}'")
    return value


# ---- claims ---------------------------------------------------------------------------------------------------------

#: Measure -> what it is. Those of blocks are about a chart, the others about a model that is shown.
MEASURES: Mapping[str, str] = {
    "answer": "the class that the model puts first",
    "changed": "whether that class changes with the reveal",
    "probability": "of a class (about)",
    "map mean": "the map's mean over all places",
    "map on object": "the map's share on the object over the object's share of the frame; 1 for an even map",
    "map stays": "correlation of the map before and after the reveal, place by place",
    "map follows": "the same after the map is brought back to where things were before the move",
    "attribution on object": "as for the map, of what speaks for the answer",
    "attribution stays": "as for the map",
    "attribution follows": "as for the map",
    "power of n": "largest power of n in a block's multiply-adds on square grids",
    "multiply-adds grow": "how many times as many on the chart's largest grid as on one of half its sides",
    "multiply-adds over": "how many times those of another block (about), on the largest grid of the chart",
}
_OF_BLOCKS = ("power of n", "multiply-adds grow", "multiply-adds over")


def _claim(entry: _Entry, before: Shown | None, after: Shown | None, cost: Cost | None) -> Claim:
    found = entry.fields(("measure",), ("model", "block", "when", "about", "is", "at least", "at most"))
    measure = found["measure"].one_of(MEASURES, "measure")
    who = "block" if measure in _OF_BLOCKS else "model"
    if who not in found:
        raise entry.wrong(f"'{who}' is missing here: '{measure}' is measured of a {who}")
    shown = cost.blocks if cost else () if after is None or before is None else (*before.models, *after.models)
    of = found[who].one_of(shown, f"{who} of this step")
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


@dataclass(frozen=True)
class Checked:
    """A claim with what was measured."""

    step: int
    claim: Claim
    value: str | bool | float

    @property
    def holds(self) -> bool:
        return self.claim.holds(self.value)

    def __str__(self) -> str:
        value = f"{self.value:.3g}" if isinstance(self.value, float) else str(self.value)
        return f"step {self.step}, line {self.claim.line}: {self.claim}: measured {value}"


def check(lesson: Lesson, device: str | None = None) -> list[Checked]:
    """Measure everything that a lesson claims.

    Args:
        lesson: whose claims.
        device: where models run, or None to choose.

    Returns each claim with its value. Raises what loading a model raises.
    """
    checked = []
    for number, step in enumerate(lesson.steps, 1):
        views: dict[tuple[str, str], _Seen] = {}
        for claim in step.claims:
            if claim.measure in _OF_BLOCKS:
                value: str | bool | float = _of_block(claim)
            else:
                for when, shown in (("before", step.before), ("after", step.after)):
                    if (when, claim.of) not in views and shown is not None:
                        # A model that comes or goes with the reveal is asked about both.
                        views[when, claim.of] = _Seen.of(shown, claim.of, device)
                value = _of_model(claim, views["before", claim.of], views["after", claim.of])
            checked.append(Checked(number, claim, value))
    return checked


def _of_block(claim: Claim) -> float:
    if claim.measure == "power of n":
        return max(terms_of(made(claim.of, CHANNELS, SIDES[0], "meta")), default=0.0)
    if claim.measure == "multiply-adds grow":
        few, many = (count(made(claim.of, CHANNELS, side, "meta"), side) for side in (SIDES[-1] // 2, SIDES[-1]))
        return many / few
    own, other = (count(made(name, CHANNELS, SIDES[-1], "meta"), SIDES[-1]) for name in (claim.of, claim.about))
    return own / other


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one model shows, and where the object is."""

    view: ModelView
    move: Transform
    size: tuple[int, int]
    mask: Tensor | None

    @classmethod
    def of(cls, shown: Shown, model: str, device: str | None) -> _Seen:
        first, own = load(shown.models[0], device), load(model, device)
        height, width = first.input_size
        image = shown.scene if shown.scene is not None else samples()[shown.picture]
        places = [Point(one.x * own.input_size[1], one.y * own.input_size[0]) for one in shown.queries]
        move = shown.move.scaled(own.input_size[1] / width, own.input_size[0] / height)
        view = compare([own], image, move, shown.method, places, pin=shown.pin).rows[0]
        mask = None
        if shown.scene is not None:
            mask = render(motion.moved(shown.scene, move, own.input_size), own.input_size[0]).masks[0]
            move = motion.about_object(shown.scene, move, own.input_size)
        return cls(view, move, own.input_size, mask)

    def map(self, attribution: bool) -> Tensor:
        """The map that the page shows."""
        if attribution:
            found = self.view.attributions and self.view.attributions[1].values
        else:
            found = next((pair[1] for pair in self.view.attention()), None)
        if found is None:
            raise LessonError(f"'{self.view.spec}' has no {'attribution' if attribution else 'attention map'} here")
        return found


def _of_model(claim: Claim, before: _Seen, after: _Seen) -> str | bool | float:
    one = before if claim.when == "before" else after
    if claim.measure in ("answer", "changed", "probability"):
        answer = one.view.predictions[1]
        if claim.measure == "changed":
            return before.view.predictions[1].labels != after.view.predictions[1].labels
        if claim.measure == "answer":
            return answer.answer
        return next((score.probability for score in answer.top if score.label == claim.about), 0.0)
    kind, _, what = claim.measure.partition(" ")
    attribution = kind == "attribution"
    if what == "mean":
        return float(one.map(attribution).mean())
    if what == "on object":
        values = one.map(attribution).clamp(min=0)
        found = None if one.mask is None else mass_ratio(values, one.mask)
        return math.nan if found is None else found
    maps = before.map(attribution), after.map(attribution)
    if what == "stays":
        return _correlation(*maps, torch.ones_like(maps[0], dtype=torch.bool))
    back = [side.move.pull_back(values.float(), side.size) for side, values in zip((before, after), maps)]
    return _correlation(back[0].values, back[1].values, back[0].valid & back[1].valid)


def _correlation(one: Tensor, two: Tensor, valid: Tensor) -> float:
    """Pearson's, over the valid places; of even maps 1 where they are the same and 0 where not."""
    if one.shape != two.shape:
        return math.nan
    a, b = (values.cpu().double()[valid.cpu()] for values in (one, two))
    if float(a.std()) == 0 or float(b.std()) == 0:
        return float(torch.equal(a, b))
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


# ---- for the browser ------------------------------------------------------------------------------------------------


def as_json(lesson: Lesson) -> dict[str, Any]:
    """A lesson as the page needs it: what is shown is a state that the page can apply."""
    steps = []
    for step in lesson.steps:
        steps.append(
            {
                "title": dict(step.title),
                "question": dict(step.question),
                "explanation": dict(step.explanation),
                "choices": [dict(one) for one in step.choices],
                "right": step.right,
                "cost": step.cost and {"blocks": list(step.cost.blocks), "show": step.cost.show},
                "before": step.before and _state(step.before),
                "after": step.after and _state(step.after),
                "panels": list(step.panels),
                "cover": list(step.cover),
                "formula": step.formula,
                "sources": list(step.sources),
            }
        )
    return {"name": lesson.name, "title": dict(lesson.title), "steps": steps}


def _state(shown: Shown) -> dict[str, Any]:
    moved = {name: getattr(shown.move, name) for name in (_MOVES if shown.scene is None else _MOVES[:4])}
    question = {
        "scene": None if shown.scene is None else dataclasses.asdict(shown.scene),
        **({} if shown.scene is not None else {"picture": shown.picture}),
        **moved,
        "pins": [{"x": one.x, "y": one.y} for one in shown.queries],
        "pin": shown.pin,
        "method": shown.method,
        "parameters": {},
    }
    return {"models": list(shown.models), "question": question, "look": dict(shown.look)}
