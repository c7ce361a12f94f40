"""What can be taken away from the page: the code of what is on the screen, and the evidence of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.comparison.result import ModelView
from explorer.errors import ParameterError
from explorer.evidence.bundle import report
from explorer.images import Picture
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.result import ProbeResult
from explorer.scenes import Scene
from explorer.ui import web
from explorer.ui.guard import pathless
from explorer.ui.handlers import Handlers, checked
from explorer.ui.measuring import Wanted
from explorer.ui.payload import looked_at
from explorer.ui.request import Request
from explorer.ui.scratch import Recent
from explorer.ui.stage import listen, part
from explorer.ui.worker import ANSWERS, DOWNLOADS, Worker
from explorer.view import ProbeRequest, View, probe_command, probe_python
from explorer.view.code import command, python
from explorer.view.forms import OWN

#: What a bundle is called when it is saved; another name each time, or the browser would not see that it is new.
_NAME = "evidence-%Y%m%d-%H%M%S.zip"


def draw(worker: Worker, handlers: Handlers, masthead: gr.HTML, asked: dict[str, Any], kept: gr.State) -> None:
    """Lay out what the buttons of the head of the page open.

    Args:
        worker: does what is asked.
        handlers: answer what is asked.
        masthead: has the buttons; triggers "code" and "evidence".
        asked: name -> component that says what is on the screen: models, question, and the page's language.
        kept: the session's measured biases, which go into the bundle.
    """
    code_shown = part("code", "", label=Message("The code of what is on the screen"), elem_id="code-shown")
    file = gr.File(label="Evidence", interactive=False, elem_id="bundle", visible="hidden")
    folders = Recent("evidence")
    written = part("written", "", label="", elem_id="bundle-written", options={"what": "evidence"})
    file.change(
        None,
        file,
        None,
        js=f"(file) => {{ {web.module()}.then((page) => page.save(file)); }}",
        api_visibility="private",
    )

    def code(event: gr.EventData, models: Any, question: Any) -> str:
        return written_out(handlers, models, question, event.probe, event.number)

    def evidence(models: Any, question: Any, kept: Any) -> tuple[str, str]:
        view, live = on_screen(handlers, models, question)
        folder = checked(Recent.new, folders)
        results: list[ProbeResult] = [one for one in (kept or {}).values() if one.share >= 1]
        path = checked(lambda one: report(one, folder / time.strftime(_NAME), results, live), view)
        return str(path), folder.name

    quiet: dict[str, Any] = {"show_progress": "hidden"}
    listen(masthead, "code")(
        worker.event(ANSWERS, code),
        inputs_kwargs=asked,
        outputs=code_shown,
        api_name="code",
        api_visibility="private",
        **quiet,
    )
    written_event = listen(masthead, "evidence")(
        worker.event(DOWNLOADS, evidence),
        inputs_kwargs={**asked, "kept": kept},
        outputs=[file, written],
        api_name="evidence",
        api_visibility="private",
        **quiet,
    )
    # Another one each time: the browser hears of changes alone.
    written_event.failure(lambda: f"!{uuid.uuid4()}", outputs=written, show_progress="hidden", api_visibility="private")


def written_out(handlers: Handlers, models: Any, question: Any, probe: Any = None, number: Any = None) -> str:
    """The code of what is on the screen, or of a probe of it: JSON of Python and command line.

    Args:
        handlers: answer what is asked.
        models: texts of the models.
        question: what is on the stage.
        probe: what a tab of a bias asks for, or None.
        number: the page's number of the request, which goes back with the code.
    """
    view, _ = on_screen(handlers, models, question)
    number = number if isinstance(number, int) else None
    if probe is None:
        return _told(lambda: python(view), lambda: command(view), number)
    wanted = checked(Wanted.parse, probe)
    request = ProbeRequest(wanted.name, view.models, wanted.parameters)
    # A set has no name on its owner's machine that is known here.
    shown = Path("pictures") if wanted.on_set else view.source if wanted.on_stage else None
    return _told(lambda: probe_python(request, shown), lambda: probe_command(request, shown), number)


def _told(program: Callable[[], str], line: Callable[[], str], number: int | None) -> str:
    """Not every view has a command line; then its place says why."""
    try:
        said = line()
    except ParameterError as error:
        said = f"# {pathless(str(error))}"
    return json.dumps({"python": program(), "command": said, "number": number})


def on_screen(handlers: Handlers, models: Any, question: Any) -> tuple[View, list[Model]]:
    """What is on a visitor's screen as a value of the library, and its live models; those that failed are left out."""
    asked = handlers.ask(models, question)
    live = [one for one in asked.models if isinstance(one, Model)]
    if not live:
        raise gr.Error(Message("No model on the screen has an answer."), print_exception=False)
    layers, head = _layers(handlers, asked), _head(asked)
    found: View = checked(
        lambda view: view.in_pixels(asked.frame).changed(
            models=tuple(one.spec for one in live), source=_source(asked), layers=layers, heads={}, head=head
        ),
        asked.view.changed(layers={}, heads={}),
    )
    return found, live


def _source(asked: Request) -> Any:
    if isinstance(asked.source, Scene) or not OWN.fullmatch(str(asked.view.source)):
        return asked.view.source
    return Picture(asked.source, asked.notes, asked.name)


def _layers(handlers: Handlers, asked: Request) -> dict[int, int]:
    """Which maps are looked at, where that is not the one which the library shows by itself."""
    found = {}
    views = [one for one in handlers.slots(asked) if isinstance(one, ModelView)]
    for place, view in enumerate(views):
        number = looked_at(asked.view, place, view)
        if number is not None and view.maps[number] is not view.map():
            found[place] = number
    return found


def _head(asked: Request) -> int | None:
    """The head that every model shows; where they show different ones, the mean stands for all."""
    heads = set(asked.view.head_of_each)
    return heads.pop() if len(heads) == 1 else None
