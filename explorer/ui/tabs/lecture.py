"""The tab of lessons: a question to predict, a reveal, two sentences and a formula, above the live workbench."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from explorer.blocks.cost import MeasuredCost
from explorer.figures.looks import look_of
from explorer.lessons import Lesson, as_json, course
from explorer.messages import codes
from explorer.ui import web
from explorer.ui.answers import Answers
from explorer.ui.stage import listen, part
from explorer.ui.tabs.blocks import LATEX, measured
from explorer.ui.worker import MEASUREMENTS, Worker


def draw(
    worker: Worker,
    answers: Answers,
    lessons: Sequence[Lesson],
    files: Mapping[str, str],
    language: gr.Textbox,
    vote: bool = False,
) -> None:
    """Lay the tab out.

    Args:
        worker: does what is asked.
        answers: what all sessions share; a measurement takes its turn like a model.
        lessons: in the order of the menu.
        files: language -> name of the file of `served` that the browser gets them from.
        language: holds the page's language.
        vote: whether a class may bet by phone.
    """
    blocks, taken = charted(lessons), course(lessons)
    lecture = part(
        "lecture",
        "",
        label="Lecture",
        elem_id="lecture",
        events=("costs",),
        options={
            "files": dict(files),
            "colours": {name: look_of(name).colour for name in blocks},
            "vote": vote,
            "course": {"minutes": sum(one.minutes for one in taken), "lessons": [one.name for one in taken]},
        },
    )
    # Formulas are set once, unseen, and moved to where they belong in the browser.
    gr.Markdown(
        formulas(lessons),
        latex_delimiters=LATEX,
        elem_id="lecture-formulas",
    )

    def costs() -> str:
        """Count and time the blocks of every chart: (JSON)."""
        with answers.turn_to_compute():
            return json.dumps({name: _curve(measured(name)) for name in blocks})

    listen(lecture, "costs")(
        worker.event(MEASUREMENTS, costs),
        inputs=language,
        outputs=lecture,
        show_progress="hidden",
        trigger_mode="once",
        api_name="costs",
    )


def served(lessons: Sequence[Lesson]) -> dict[str, web.File]:
    """Name -> file of the lessons for the browser, one for each language; the names change with their content."""
    found = {}
    for code in codes():
        content = json.dumps([as_json(one, code) for one in lessons], ensure_ascii=False).encode()
        found[f"lessons-{code}-{hashlib.sha256(content).hexdigest()[:16]}.json"] = web.packed(".json", content)
    return found


def charted(lessons: Sequence[Lesson]) -> list[str]:
    """The blocks of all charts, once each."""
    return list(dict.fromkeys(name for one in lessons for step in one.steps if step.cost for name in step.cost.blocks))


def formulas(lessons: Sequence[Lesson]) -> str:
    """All formulas in the order of lessons and steps, in Markdown."""
    found = (step.formula for one in lessons for step in one.steps if step.formula)
    return "\n\n".join(f"$${' '.join(formula.split())}$$" for formula in found)


def _curve(cost: MeasuredCost) -> dict[str, Any]:
    return {
        "points": [[one.positions, one.multiply_adds, one.milliseconds] for one in cost.points],
        "channels": cost.channels,
        "order": cost.order,
    }
