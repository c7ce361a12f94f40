"""What a lesson is: steps, each with something to predict, a reveal, and claims to check.

README says what stands in a file. What a step shows is a `View`, asked of the library as it is asked of the page, so
that a claim about it ("this model changes its answer") is measured, never assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from explorer.figures.sheet import PALETTES
from explorer.lessons.numbers import TableNumber
from explorer.messages import ENGLISH, Message, filled, say
from explorer.models.spec import ModelSpec
from explorer.view import View
from explorer.view.forms import MOVES, request

#: A text in the languages that the lecturer wrote: language code -> text. English is always there.
Text = Mapping[str, str]

#: What of a model's row a step shows, and what it may cover until the reveal.
PANELS = ("answers", "attention", "attribution")

MOST_MODELS, MOST_CHOICES = 4, 4

#: How long a step takes where its file does not say so: to read, bet, see and talk; and a course, minutes.
STEP_MINUTES, COURSE_MINUTES = 2.0, 45.0

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
#: How maps are drawn, where that differs from the page's own way: names and values of LOOKS.
Look = Mapping[str, Any]
_USUAL: Look = MappingProxyType({})


@dataclass(frozen=True)
class CostChart:
    """A chart of blocks' costs against the number of positions, in place of the workbench."""

    blocks: tuple[str, ...]
    show: str = CHARTED[0]


@dataclass(frozen=True)
class FoundBoxes:
    """Boxes that detecting models of the laboratory draw in a scene, in place of the workbench.

    Attributes:
        blocks: of the models.
        scene: which of the scenes of `explorer.lab.boxes`, from 1.
    """

    blocks: tuple[str, ...]
    scene: int = 1


@dataclass(frozen=True)
class Claim:
    """One thing that a step says, in a form that can be measured.

    Attributes:
        measure: name in MEASURES.
        of: the model, the block, or the name of one of the step's numbers.
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
class LessonStep:
    """One step of a lesson.

    Attributes:
        title: what it is about.
        question: what is predicted first.
        choices: bets that can be taken, at most four; ``right`` is the number of the right one, from 1, or 0.
        before: what is shown until the reveal; None with ``cost`` and with ``boxes``.
        after: what is shown after it.
        looks: how maps are drawn before and after it.
        cost: the chart shown instead.
        boxes: the boxes shown instead; they wait for the reveal.
        numbers: name -> number of the laboratory's table, which stands in the texts where ``{name}`` is written.
        panels: which parts of a model's row are shown; ``cover``: which of them only after the reveal.
        explanation: shown with the reveal.
        formula: LaTeX, or "".
        sources: papers, by author and year, and places of the page.
        claims: what must hold of what is shown.
        minutes: how long it should take.
        notes: for the lecturer alone, in the presenter window; or None.
    """

    title: Text
    question: Text
    explanation: Text
    choices: tuple[Text, ...] = ()
    right: int = 0
    before: View | None = None
    after: View | None = None
    looks: tuple[Look, Look] = (_USUAL, _USUAL)
    cost: CostChart | None = None
    boxes: FoundBoxes | None = None
    numbers: Mapping[str, TableNumber] = field(default_factory=dict)
    panels: tuple[str, ...] = PANELS[:2]
    cover: tuple[str, ...] = ()
    formula: str = ""
    sources: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    minutes: float = STEP_MINUTES
    notes: Text | None = None

    def said(self, text: Text, language: str) -> str:
        """One of its texts in a language, with the numbers that stand in it."""
        values = {name: one.said for name, one in self.numbers.items()}
        if language in text:
            return filled(text[language], {name: say(one, language) for name, one in values.items()})
        return say(Message(text[ENGLISH], **values) if values else text[ENGLISH], language)


@dataclass(frozen=True)
class Lesson:
    """A sequence of steps; ``name`` is that of its file without the ending."""

    name: str
    title: Text
    steps: tuple[LessonStep, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """The published models that it shows, whose weights have to be fetched once."""
        shown = [text for step in self.steps for view in (step.before, step.after) if view for text in view.texts]
        return tuple(text for text in dict.fromkeys(shown) if ModelSpec.parse(text).origin == "pretrained")

    @property
    def minutes(self) -> float:
        """How long it should take."""
        return sum(step.minutes for step in self.steps)


def course(lessons: Sequence[Lesson], minutes: float = COURSE_MINUTES) -> tuple[Lesson, ...]:
    """The lessons that fit into a time, in their order; one that is too long for what is left is left out.

    Args:
        lessons: to choose from.
        minutes: there are.
    """
    chosen, left = [], minutes
    for lesson in lessons:
        if lesson.minutes <= left:
            chosen.append(lesson)
            left -= lesson.minutes
    return tuple(chosen)


def as_json(lesson: Lesson, language: str = ENGLISH) -> dict[str, Any]:
    """A lesson as the page needs it, its texts in one language: what is shown is a state that the page can apply."""

    steps = []
    for step in lesson.steps:

        def said(text: Text, step: LessonStep = step) -> str:
            return step.said(text, language)

        steps.append(
            {
                "title": said(step.title),
                "question": said(step.question),
                "explanation": said(step.explanation),
                "choices": [said(one) for one in step.choices],
                "right": step.right,
                "cost": step.cost and {"blocks": list(step.cost.blocks), "show": step.cost.show},
                "boxes": step.boxes and {"blocks": list(step.boxes.blocks), "scene": step.boxes.scene},
                "before": step.before and _state(step.before, step.looks[0]),
                "after": step.after and _state(step.after, step.looks[1]),
                "panels": list(step.panels),
                "cover": list(step.cover),
                "formula": step.formula,
                "sources": [say(one, language) for one in step.sources],
                "minutes": step.minutes,
                "notes": said(step.notes) if step.notes else "",
            }
        )
    title = lesson.title.get(language) or say(lesson.title[ENGLISH], language)
    return {"name": lesson.name, "title": title, "steps": steps}


def _state(view: View, look: Look) -> dict[str, Any]:
    models, asked = request(view)
    # A scene has no use for what fills in beside a picture, nor for a mirror; and nothing is said of layers and heads.
    moves = MOVES if view.scene is None else MOVES[: MOVES.index("flip")]
    question = {
        "scene": asked["scene"],
        **({} if view.scene is not None else {"picture": asked["picture"]}),
        **{name: asked[name] for name in (*moves, "pins", "pin", "method", "parameters")},
    }
    return {"models": models, "question": question, "look": dict(look)}
