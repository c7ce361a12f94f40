"""What programs may ask of the page, by gradio_client or as tools of an agent (MCP): predict, attend and probe.

All other events are the page's own. Pictures come by upload, or are samples; an address is never followed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from explorer.comparison.result import ModelView
from explorer.errors import ParameterError
from explorer.images import samples
from explorer.messages import Message
from explorer.models.model import Model
from explorer.ui.guard import pathless, uploaded
from explorer.ui.handlers import Handlers, checked
from explorer.ui.measuring import Measuring, Wanted
from explorer.ui.request import Failure, Request
from explorer.ui.upload import pick
from explorer.ui.worker import ANSWERS, MEASUREMENTS, Lane, Worker
from explorer.writing import plain

#: Most classes that predict gives.
MOST_CLASSES = 100


class Endpoints:
    """The three of them; each is checked and bounded as the page's own events are.

    Args:
        measuring: the page's probes.
    """

    def __init__(self, measuring: Measuring) -> None:
        self.measuring = measuring
        self.handlers: Handlers = measuring.handlers

    def predict(self, picture: str, models: list[str], top: int = 5) -> list[dict[str, Any]]:
        """What do models answer to a picture?

        Args:
            picture: the name of a sample (cat, coffee, ...), or the path by which an upload was answered.
            models: 1 to 6 names, as resnet50.a1_in1k, lab/mhsa, random/resnet18+mhsa@3, hf-hub:ORG/NAME, hf:ORG/NAME.
            top: how many classes, 1 to 100.
            language: of texts, en or zh.

        Returns:
            One record a model: model, weights, answer, unit, top (index, label, p), notes, and problem, which is "" or
            says why the model gave no answer.
        """
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= MOST_CLASSES:
            raise ParameterError(
                Message("top is a whole number from 1 to {most}, got {top}", most=MOST_CLASSES, top=top)
            )

        def told(model: Model, view: ModelView) -> dict[str, Any]:
            found = view.predictions[0]
            logits = self.handlers.answers.logits(model, view.images[0][None]) if found.top else None
            order = [] if logits is None else model.head.probabilities(logits)[0].sort(descending=True)
            best = zip(*(one[:top].tolist() for one in order)) if logits is not None else ()
            return {
                "answer": found.answer,
                "unit": found.unit,
                "top": [{"index": index, "label": model.label(index), "p": p} for p, index in best],
                "reason": found.reason,
            }

        return self._each(self._asked(picture, models), told)

    def attend(
        self,
        picture: str,
        models: list[str],
        x: float = 0.5,
        y: float = 0.5,
        layer: str = "",
    ) -> list[dict[str, Any]]:
        """What do models attend to from one place of a picture?

        Args:
            picture: the name of a sample (cat, coffee, ...), or the path by which an upload was answered.
            models: 1 to 6 names, as for predict.
            x: the place from which attention is asked, as a share of the picture's width from the left.
            y: as a share of its height from the top.
            layer: a number in the order of the forward pass from 0, or a name; the last with a place on the image if
                left out.
            language: of texts, en or zh.

        Returns:
            One record a model: model, weights, layers (all their names), layer, kind, unit, heads, values (rows x
            columns over the picture, the mean over heads), notes and problem.
        """

        def told(_: Model, view: ModelView) -> dict[str, Any]:
            number = int(layer) if layer.strip().lstrip("-").isdecimal() else layer.strip() or None
            one = view.map(number)
            if one is None:
                return {"layers": [each.layer for each in view.maps], "layer": "", "values": None}
            return {
                "layers": [each.layer for each in view.maps],
                "layer": one.layer,
                "kind": one.kind,
                "unit": one.unit,
                "heads": one.heads,
                "values": view.attention(number)[0][0],
            }

        return self._each(self._asked(picture, models, [{"x": x, "y": y}]), told)

    def probe(
        self,
        name: str,
        models: list[str],
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Measure one spatial bias of models, on what the probe shows by itself.

        Args:
            name: of the probe, as translation, scale, shape-bias, sinks.
            models: 1 to 6 names, as for predict.
            parameters: of the probe, by their names.
            language: of texts, en or zh.

        Returns:
            The probe's record: what was measured and how, and rows with measure, value, unit, low, high and n.
        """
        wanted = checked(Wanted.parse, {"probe": name, "parameters": parameters})
        live, _ = self.measuring.asked(models, None)
        found: dict[str, Any] = {}
        for result in self.measuring.stream(wanted, live, None):
            found = result.record()
        record: dict[str, Any] = _without_paths(plain(found))
        return record

    def _asked(self, picture: Any, models: Any, pins: Any = None) -> Request:
        """A request of the page's, of a picture that is a sample or was uploaded."""
        if not isinstance(picture, str) or picture not in samples():
            # gradio_client sends what it uploaded as an object.
            path = picture.get("path") if isinstance(picture, Mapping) else picture
            picked = pick(checked(uploaded, path))
            if picked.image is None:
                raise ParameterError(picked.problem)
            picture = self.handlers.answers.own.add(picked)
        return self.handlers.ask(models, {"picture": picture, "pins": pins})

    def _each(self, asked: Request, told: Callable[[Model, ModelView], dict[str, Any]]) -> list[dict[str, Any]]:
        def record(text: str, model: Model | Failure) -> dict[str, Any]:
            view = model if isinstance(model, Failure) else self.handlers.answers.view(model, asked, None)
            if isinstance(view, Failure) or isinstance(model, Failure):
                return {"model": text, "problem": view.problem if isinstance(view, Failure) else ""}
            about = {"model": text, "weights": view.state, **told(model, view)}
            return {**about, "notes": [*map(pathless, view.notes)], "problem": ""}

        answered: list[dict[str, Any]] = plain(
            [record(text, model) for text, model in zip(asked.view.texts, asked.models)]
        )
        return answered


def _without_paths(record: Any) -> Any:
    """A record in which a module's path is called so: gradio_client takes what has a ``path`` for a file to fetch."""
    if isinstance(record, dict):
        return {"module" if key == "path" else key: _without_paths(one) for key, one in record.items()}
    return [_without_paths(one) for one in record] if isinstance(record, list) else record


def offer(worker: Worker, measuring: Measuring) -> None:
    """Make the endpoints of the page that is being built."""
    ours = Endpoints(measuring)
    for work, lane in ((ours.predict, ANSWERS), (ours.attend, ANSWERS), (ours.probe, MEASUREMENTS)):
        gr.api(_typed(worker, lane, work), api_name=work.__name__)  # type: ignore[attr-defined]


def _typed(worker: Worker, lane: Lane, work: Callable[..., Any]) -> Callable[..., Any]:
    """Work done in a lane, whose types and text gradio finds."""
    done = worker.event(lane, work)
    done.__annotations__ |= {**inspect.get_annotations(work, eval_str=True), "language": str}
    return done
