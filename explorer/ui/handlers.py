"""What the page's events call; plain functions of plain values, each checked here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import gradio as gr

from explorer.attribution import METHODS
from explorer.comparison.compare import REFUSED
from explorer.comparison.result import ModelView
from explorer.errors import ExplorerError
from explorer.images import samples
from explorer.messages import Message, say
from explorer.models.model import Model
from explorer.scenes import CLASSES
from explorer.ui import payload
from explorer.ui.answers import Answers
from explorer.ui.controls import parse_spec
from explorer.ui.fitted import split
from explorer.ui.guard import uploaded
from explorer.ui.request import Failure, Request
from explorer.ui.scene import layers
from explorer.ui.upload import pick, sent
from explorer.ui.worker import sentence, task, told
from explorer.view import DEFAULT_METHOD, MAX_MODELS, View
from explorer.view.forms import OWN, of_models, of_request, of_scene


class Handlers:
    """The events of the page's first tab."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def answer(self, models: Any, question: Any) -> str:
        """Answer one question for every model: the text that follows a drag.

        Args:
            models: texts of the models.
            question: the controls' value.
        """
        return self._live(self.ask(models, question))

    def bank(self, models: Any, question: Any) -> str:
        """Deliver what makes asking from elsewhere instant, for an answer that has settled."""
        asked = self.ask(models, question)
        slots = self.slots(asked)
        complete = payload.is_complete(slots, asked.view)
        return payload.bank(slots, asked.view, asked.key(complete), complete)

    def layers(self, question: Any) -> str:
        """Deliver the layers of the question's scene, which the browser moves over each other; "" without a scene."""
        scene = checked(of_scene, question.get("scene") if isinstance(question, Mapping) else None)
        return "" if scene is None else layers(scene)

    def attribute(self, models: Any, question: Any) -> Iterator[tuple[Any, Any]]:
        """Compute a costly attribution step by step: yields (the page's text or nothing new, progress).

        Closing the generator cancels it at its next step.
        """
        asked = self.ask(models, question)
        of = payload.asked_of(asked.view)
        live = [one for one in asked.models if isinstance(one, Model)]

        def work(tell: Callable[[tuple[int, float]], None]) -> None:
            for number, model in enumerate(live):

                def progress(share: float, number: int = number) -> None:
                    task().check()
                    tell((number, share))

                self.answers.view(model, asked, asked.view.method, progress)

        for number, share in told(work):
            yield gr.skip(), {"share": (number + share) / len(live), "model": str(live[number].spec), "of": of}
        yield self._live(asked), {"share": 1.0, "model": "", "of": of}

    def choose(self, payload: Any) -> tuple[Any, None]:
        """Take a visitor's own picture, as gradio sends it, or say what is wrong with it.

        Returns its name, and None: the place it came through is free for the next one.
        """
        picture = sent(payload)
        if picture is not None and picture.image is None:
            language = task().language
            title = say(Message("This picture cannot be used"), language)
            gr.Warning(sentence(picture.problem, language), duration=12, title=title)
        if picture is None or picture.image is None:
            return gr.skip(), None
        return checked(self.answers.own.add, picture), None

    def bring(self, path: Any, models: Any) -> list[str]:
        """Take a weights file that explorer fit wrote, and add its model to the models."""
        texts = checked(of_models, models)
        text, *_ = checked(of_models, [checked(lambda one: self.answers.files.add(uploaded(one)), path)])
        checked(lambda name: parse_spec(name, self.answers.folders, self.answers.named), split(text)[0])
        if text in texts:
            return texts
        # A page that is full gives its last place to what was just brought.
        return [*texts[: MAX_MODELS - 1], text]

    def ask(self, models: Any, question: Any) -> Request:
        """Check a request and load its models; what is wrong with it is raised as a message on the page."""
        view: View = checked(lambda one: of_request(models, one), question)
        gone = lost = ""
        if view.scene is None and OWN.fullmatch(str(view.source)):
            own = self.answers.own.get(str(view.source))
            if own.image is None:
                gone, lost, view = own.problem, str(view.source), view.changed(source=next(iter(samples())))
        found = tuple(self.answers.several(view.texts))
        frame = next((one.input_size for one in found if isinstance(one, Model)), (224, 224))
        if view.scene is not None:
            return cast(Request, checked(lambda one: Request.scene(one, frame, found), view))
        name = str(view.source)
        picture = self.answers.own.get(name) if OWN.fullmatch(name) else pick(samples()[name])
        if picture.image is None:
            raise gr.Error(picture.problem, title=Message("This picture cannot be used"), print_exception=False)
        return Request(view, picture.image, picture.key, picture.notes, frame, picture.name, found, gone, lost)

    def slots(self, asked: Request) -> list[ModelView | Failure]:
        """One answer a model. A costly method is shown where it was computed before, and never computed here."""
        slots: list[ModelView | Failure] = []
        for text, model in zip(asked.view.texts, asked.models):
            if isinstance(model, Failure):
                slots.append(model)
                continue
            wanted = method_asked(asked.view)
            method = wanted if METHODS[wanted].live or self.answers.has(model, asked) else None
            view = self.answers.view(model, asked, method)
            if isinstance(view, ModelView):
                notes = [*view.notes, *_strangers(model, asked)]
                if split(text)[1]:
                    state = model.state if model.inserted is None else model.inserted_state
                    notes.append(_WHOLE if model.state == "file" else _BROUGHT if state == "file" else _UNFITTED)
                    view = replace(view, state=state)
                if method is None and (refused := METHODS[wanted].unavailable(model)):
                    notes.append(Message(REFUSED, method=wanted, why=refused))
                view = replace(view, notes=tuple(notes))
            slots.append(view)
        return slots

    def _live(self, asked: Request) -> str:
        pending = "" if METHODS[method_asked(asked.view)].live else "press"
        slots = self.slots(asked)
        return payload.live(slots, asked, asked.key(payload.is_complete(slots, asked.view)), pending)


def method_asked(view: View) -> str:
    """The attribution method of a view of the page, which always has one."""
    return view.method or DEFAULT_METHOD


_WHOLE = Message("All weights are from the file.")
_BROUGHT = Message("The block is from the file; the rest of the model is as it was before it was fitted.")
_UNFITTED = Message("The fit in this file learnt nothing: its gate is still closed, so the block changes no answer.")


def _strangers(model: Model, asked: Request) -> list[str]:
    """What has to be said where a model is shown what it was not made for."""
    if asked.truth and model.labels and asked.truth not in model.labels:
        return [Message("This model knows no scenes: what it shows is none of its classes.")]
    if not asked.truth and model.labels == CLASSES:
        return [Message("Trained on scenes alone: its classes are shapes, whatever the photograph shows.")]
    return []


def checked(read: Callable[[Any], Any], value: Any) -> Any:
    """What a check makes of a value, its complaint as a message on the page."""
    try:
        return read(value)
    except ExplorerError as error:
        raise gr.Error(error.message, print_exception=False) from error
