"""What programs may ask the page: three typed, documented endpoints, also as tools of the Model Context Protocol.

Everything else that the page's browser calls is its own and may change. No ``from __future__ import annotations``:
gradio makes the endpoints' schema from these annotations.
"""

import base64
import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import gradio as gr

from explorer.attention.maps import AttentionMap
from explorer.comparison.result import ModelView
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import samples
from explorer.messages import Message, say
from explorer.models.model import Model
from explorer.probes.finding import finding
from explorer.probes.run import steps
from explorer.transfer import plain
from explorer.ui.answers import Answers
from explorer.ui.guard import uploaded
from explorer.ui.handlers import Handlers, checked
from explorer.ui.measuring import BATCH, Wanted
from explorer.ui.request import Failure, Request
from explorer.ui.scratch import Recent
from explorer.ui.upload import pick
from explorer.ui.worker import ANSWERS, MEASUREMENTS, Worker, task
from explorer.view.forms import MOVES
from explorer.writing import write

Language = Literal["en", "zh"]


class Endpoints:
    """The functions behind the endpoints. What is wrong with a request is told as on the page.

    Args:
        handlers: of the page, which check and answer.
    """

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.answers: Answers = handlers.answers
        self._sent = Recent("sent")

    def predict(
        self,
        models: list[str],
        picture: gr.FileData | None = None,
        scene: dict[str, Any] | None = None,
        move: dict[str, Any] | None = None,
        language: Language = "en",
    ) -> dict[str, Any]:
        """What do models answer about a picture or a scene?

        Args:
            models: one to six, as "vit_tiny_patch16_224.augreg_in21k_ft_in1k" or "lab/mhsa".
            picture: an upload, a sample's name, or a data: URI; no address. The first sample without it and a scene.
            scene: instead of a picture, with the fields of explorer.Scene, as {"label": "star", "dx": 0.2}.
            move: what is done to it: dx, dy (px of the first model's input), zoom, angle (degrees), flip, border.
            language: of labels and messages, "en" or "zh".

        Returns:
            For each model its spec, what its weights are, and its first classes with their probabilities; or a problem.
        """
        asked = self._asked(models, picture, scene, move)

        def told(view: ModelView) -> dict[str, Any]:
            one = view.predictions[1]
            classes = [{"label": say(score.label, language), "probability": score.probability} for score in one.top]
            return {"classes": classes, "unit": say(one.unit, language)}

        return self._told(asked, told, language)

    def attend(
        self,
        models: list[str],
        picture: gr.FileData | None = None,
        scene: dict[str, Any] | None = None,
        move: dict[str, Any] | None = None,
        x: float = 0.5,
        y: float = 0.5,
        head: int | None = None,
        language: Language = "en",
    ) -> dict[str, Any]:
        """What do models attend to, asked from a place of the picture?

        Args:
            models: one to six, as "vit_tiny_patch16_224.augreg_in21k_ft_in1k" or "lab/mhsa".
            picture: an upload, a sample's name, or a data: URI; no address. The first sample without it and a scene.
            scene: instead of a picture, with the fields of explorer.Scene, as {"label": "star", "dx": 0.2}.
            move: what is done to it: dx, dy (px of the first model's input), zoom, angle (degrees), flip, border.
            x: the query's place before the move, 0 at the left edge and 1 at the right.
            y: the same downwards.
            head: which head, counted from 0; the mean over heads if left out.
            language: of messages, "en" or "zh".

        Returns:
            For each model and layer the query's attention over the image: rows of numbers, from the top left, with the
            unit, the mechanism, and whether it depends on the query at all.
        """
        asked = self._asked(models, picture, scene, move, {"pins": [{"x": x, "y": y}]})

        def told(view: ModelView) -> dict[str, Any]:
            layers = [_map(one, view.queries[1], head, language) for one in view.maps]
            return {"layers": layers, "notes": [say(note, language) for note in view.notes]}

        return self._told(asked, told, language)

    def probe(
        self,
        models: list[str],
        probe: str,
        parameters: dict[str, Any] | None = None,
        picture: gr.FileData | None = None,
        scene: dict[str, Any] | None = None,
        language: Language = "en",
    ) -> Iterator[dict[str, Any]]:
        """Measure one bias of models with a probe.

        Args:
            models: one to six, as "vit_tiny_patch16_224.augreg_in21k_ft_in1k" or "lab/mhsa".
            probe: its name, as "translation"; explorer probe --help lists them.
            parameters: of the probe, by name.
            picture: an upload, a sample's name, or a data: URI; no address. Most probes need many: left out, their own.
            scene: instead of a picture, with the fields of explorer.Scene, as {"label": "star", "dx": 0.2}.
            language: of sentences, "en" or "zh".

        Returns:
            What is known so far, again and again until "share" is 1: the summary with 95 % intervals, the rows as
            columns and data, a sentence that says what was found, and notes.
        """
        wanted = checked(Wanted.parse, {"probe": probe, "parameters": parameters})
        asked = self._asked(models, picture, scene, None)
        live = [one for one in asked.models if isinstance(one, Model)]
        failed = [one for one in asked.models if isinstance(one, Failure)]
        if failed:
            raise gr.Error(failed[0].problem, print_exception=False)
        shown = None if picture is None and scene is None else asked.source
        for result in steps(wanted.name, live, shown, memory=BATCH, **wanted.parameters):
            task().check()
            record = result.record()
            columns = list(dict.fromkeys(name for row in result.rows for name in row))
            # Not a record a row: gradio's client takes one with a field "path" for a file, and fetches it.
            record["rows"] = {"columns": columns, "data": [[row.get(name) for name in columns] for row in result.rows]}
            record["notes"] = [say(note, language) for note in result.notes]
            found = finding(result) if result.share == 1 else ""
            yield plain({**record, "finding": say(found, language)})

    def _asked(
        self, models: Any, picture: Any, scene: Any, move: Any, more: Mapping[str, Any] | None = None
    ) -> Request:
        if picture is not None and scene is not None:
            raise gr.Error(Message("give a picture or a scene, not both"), print_exception=False)
        question = {**checked(_moved, move), **(more or {}), "scene": scene, "picture": self._picture(picture)}
        return self.handlers.ask(models, question)

    def _picture(self, given: Any) -> str | None:
        """The name under which the page keeps an uploaded picture."""
        if given is None or (isinstance(given, str) and given in samples()):
            return given
        if isinstance(given, str):  # a tool's client has no upload of its own
            path = write(self._sent.new() / "picture", checked(_decoded, given))
        else:
            path = checked(uploaded, given.get("path") if isinstance(given, Mapping) else getattr(given, "path", None))
        picked = pick(path)
        if picked.image is None:
            raise gr.Error(picked.problem, title=Message("This picture cannot be used"), print_exception=False)
        return str(checked(self.answers.own.add, picked))

    def _told(self, asked: Request, told: Callable[[ModelView], dict[str, Any]], language: str) -> dict[str, Any]:
        """What is told of every model; one that cannot answer says why, and the others answer all the same."""
        rows = []
        for text, model in zip(asked.view.texts, asked.models):
            view = model if isinstance(model, Failure) else self.answers.view(model, asked, None)
            if isinstance(view, Failure):
                rows.append({"model": text, "problem": say(view.problem, language)})
            else:
                about = {"model": text, "weights": view.state, "device": view.device, "problem": ""}
                rows.append({**about, **told(view)})
        record = {"shown": asked.truth or asked.name, "move": say(asked.words, language), "models": rows}
        made: dict[str, Any] = plain({**record, "notes": [say(note, language) for note in asked.notes]})
        return made


def _decoded(text: str) -> bytes:
    """The bytes of a data: URI; raises ParameterError."""
    head, comma, body = text.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        with contextlib.suppress(ValueError):
            return base64.b64decode(body, validate=True)
    raise ParameterError(Message("a picture is an uploaded file, or a data: URI in base64; addresses are not fetched"))


def _moved(given: Any) -> dict[str, Any]:
    """The fields of a move; raises ParameterError."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or (unknown := [name for name in given if name not in MOVES]):
        named = "" if not isinstance(given, Mapping) else str(unknown[0])[:40]
        raise ParameterError(
            Message("a {what} has no field '{name}'; it has: {known}", what="move", name=named, known=", ".join(MOVES))
        )
    return dict(given)


def _map(one: AttentionMap, query: Point | None, head: int | None, language: str) -> dict[str, Any]:
    """One layer's map of the picture after the move; ``values`` is null where the query or its place is not there."""
    values, error = None, ""
    try:
        if one.layout is None:
            raise ParameterError(Message("this map has no place on the image"))
        if one.per_query and query is None:
            raise ParameterError(Message("the query has left the frame"))
        values = one.row(query if one.per_query else None, head, one.weights.shape[0] - 1)
    except ParameterError as found:
        error = say(found.message, language)
    return {
        "layer": one.layer,
        "mechanism": say(one.mechanism, language),
        "kind": one.kind,
        "asks": one.per_query,
        "heads": one.heads,
        "unit": say(one.unit, language),
        "values": values,
        "error": error,
    }


def draw(worker: Worker, handlers: Handlers) -> None:
    """Add the endpoints to the page that is being built."""
    endpoints = Endpoints(handlers)
    for lane, work in ((ANSWERS, endpoints.predict), (ANSWERS, endpoints.attend), (MEASUREMENTS, endpoints.probe)):
        event: Any = worker.event(lane, work)
        # Of a generator the client is told what it yields, not that it yields.
        event.__signature__ = inspect.signature(event).replace(return_annotation=dict[str, Any])
        gr.api(event, api_name=work.__name__)  # type: ignore[attr-defined]  # gradio leaves it out of its __all__
