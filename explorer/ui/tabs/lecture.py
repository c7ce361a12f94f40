"""The tab of lessons: a question to predict, a reveal, two sentences and a formula, above the live workbench."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr

from explorer.blocks.cost import MeasuredCost
from explorer.comparison.result import Comparison
from explorer.errors import ModelError, ParameterError
from explorer.figures.looks import look_of
from explorer.lab.table import FILE
from explorer.lessons import Lesson, as_json, course
from explorer.lessons.handout import handout as written
from explorer.messages import ENGLISH, Message, codes, language_of, listed
from explorer.models.backbone import resolve
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.resources import asset
from explorer.ui import web
from explorer.ui.answers import Answers
from explorer.ui.boxes import drawing
from explorer.ui.live import Live
from explorer.ui.request import Failure
from explorer.ui.scratch import Recent
from explorer.ui.stage import listen, part
from explorer.ui.tabs.blocks import LATEX, measured
from explorer.ui.worker import ANSWERS, DOWNLOADS, MEASUREMENTS
from explorer.view import View
from explorer.writing import write


def draw(
    live: Live,
    answers: Answers,
    lessons: Sequence[Lesson],
    files: Mapping[str, str],
    language: gr.Textbox,
    vote: bool = False,
) -> None:
    """Lay the tab out.

    Args:
        live: makes the functions that the browser calls; its worker does what is asked.
        answers: what all sessions share; a measurement takes its turn like a model.
        lessons: in the order of the menu.
        files: language -> name of the file of `served` that the browser gets them from.
        language: holds the page's language.
        vote: whether a class may bet by phone.
    """
    worker = live.worker
    blocks, taken, boxed = charted(lessons), course(lessons), _boxed(lessons)
    lecture = part(
        "lecture",
        "",
        label="Lecture",
        elem_id="lecture",
        events=("costs", "handout"),
        options={
            "files": dict(files),
            "colours": {name: look_of(name).colour for name in blocks},
            "vote": vote,
            "missing": {one.name: found for one in lessons if (found := _missing(one))},
            "course": {"minutes": sum(one.minutes for one in taken), "lessons": [one.name for one in taken]},
        },
        live=[live.function("boxes", ANSWERS, lambda: drawing(answers, boxed))],
    )
    file = gr.File(label="Handout", interactive=False, elem_id="handout", visible="hidden")
    over = part("written", "", label="", elem_id="handout-written", options={"what": "handout"})
    folders = Recent("handout")
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
        api_visibility="private",
    )

    def handout(event: gr.EventData, language: Any = ENGLISH) -> tuple[str, str]:
        """Write a lesson's handout as PDF: (file, name of its folder)."""
        lesson, with_answers = _wanted(lessons, event.lesson, event.answers)
        folder = folders.new()
        paper = written(lesson, with_answers, language_of(language), compare=partial(_compared, answers))
        name = re.sub(r"[^\w-]+", "-", lesson.name) + ("-answers.pdf" if with_answers else ".pdf")
        return str(write(folder / name, paper)), folder.name

    asked = listen(lecture, "handout")(
        worker.event(DOWNLOADS, handout),
        inputs=language,
        outputs=[file, over],
        show_progress="hidden",
        trigger_mode="once",
        api_name="handout",
        api_visibility="private",
    )
    # The same handout is the same file: that it is written is the event, not that the file is another one.
    asked.success(
        None,
        file,
        None,
        js=f"(file) => {{ {web.module()}.then((page) => page.save(file)); }}",
        api_visibility="private",
    )
    asked.failure(lambda: f"!{uuid.uuid4()}", outputs=over, show_progress="hidden", api_visibility="private")


def _wanted(lessons: Sequence[Lesson], number: Any, with_answers: Any) -> tuple[Lesson, bool]:
    """Which handout a browser asked for; raises ParameterError."""
    if type(number) is not int or not 0 <= number < len(lessons) or type(with_answers) is not bool:
        raise ParameterError(
            Message(
                "a handout is asked for by the number of a lesson, 0 to {last}, and whether it has answers",
                last=len(lessons) - 1,
            )
        )
    return lessons[number], with_answers


def _compared(answers: Answers, view: View) -> Comparison:
    """What a step shows, from the models that the page has, in turn with everybody else's answers."""
    found = answers.several(view.texts)
    for one in found:
        if isinstance(one, Failure):
            raise ModelError(listed([one.spec, one.problem], "{first}: {rest}"))
    with answers.turn_to_compute():
        return view.compare([one for one in found if isinstance(one, Model)])


def served(lessons: Sequence[Lesson]) -> dict[str, web.LateFile]:
    """Name -> file of the lessons for the browser, one for each language; the names change with their content.

    They are written when somebody opens them: numbers in their texts are read from the laboratory's table.
    """
    rests_on = hashlib.sha256(repr(lessons).encode())
    for file in (asset("lab", FILE), *sorted(asset("locales").glob("*.po"))):
        rests_on.update(file.read_bytes() if file.is_file() else b"")
    return {
        f"lessons-{code}-{rests_on.hexdigest()[:16]}.json": web.late(partial(_written, lessons, code))
        for code in codes()
    }


def _written(lessons: Sequence[Lesson], code: str) -> web.File:
    content = json.dumps([as_json(one, code) for one in lessons], ensure_ascii=False).encode()
    return web.packed(".json", content)


def charted(lessons: Sequence[Lesson]) -> list[str]:
    """The blocks of all charts, once each."""
    return list(dict.fromkeys(name for one in lessons for step in one.steps if step.cost for name in step.cost.blocks))


def _missing(lesson: Lesson) -> list[str]:
    """The published models of a lesson whose weights are not on this machine; no hub is asked."""
    published = [(text, ModelSpec.parse(text).source) for text in lesson.needs]
    # Whether a repository's configuration is here is not known without asking for it, so that of the hub's own is not.
    return [text for text, source in published if source.scheme == "timm" and not resolve(source, False).in_cache]


def _boxed(lessons: Sequence[Lesson]) -> list[str]:
    """The blocks of all boxes, once each."""
    return list(
        dict.fromkeys(name for one in lessons for step in one.steps if step.boxes for name in step.boxes.blocks)
    )


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
