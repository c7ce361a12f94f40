"""One picture, one move, several models: what does each see, answer, attend to and base its answer on?"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from explorer import layouts
from explorer.attribution import METHODS, answer
from explorer.errors import ParameterError
from explorer.images import read_image
from explorer.models import Model
from explorer.transforms import Transform
from explorer.types import Attribution, ClassScore, Comparison, ModelView, Point, Prediction

#: How many classes a prediction names.
TOP = 5
#: How many models one comparison holds: as many as there are colours that can be told apart.
MAX_MODELS = 6

_VERSIONED = ("attention-explorer", "torch", "timm", "captum")


@cache
def versions() -> Mapping[str, str]:
    """The versions that a result depends on: package name -> version, with Python's own."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return MappingProxyType(found)


def predict(model: Model, image: Any, top: int = TOP) -> Prediction:
    """What does the model answer?

    Args:
        model: a live model.
        image: a picture in any form that `read_image` takes.
        top: how many classes, best first.
    """
    with model.lock, torch.inference_mode():
        logits = model.logits(model.preprocess(read_image(image).image))
    return prediction(model, logits[0], top)


def prediction(model: Model, logits: Tensor, top: int = TOP) -> Prediction:
    """Name the largest classes of one answer; ``logits`` (classes,)."""
    if model.headless:
        return Prediction((), model.headless_reason)
    logits = logits.detach().float()
    probabilities = logits.softmax(0)
    order = probabilities.topk(min(top, len(logits))).indices.tolist()
    return Prediction(tuple(ClassScore(i, model.label(i), float(probabilities[i]), float(logits[i])) for i in order))


def compare(
    models: Sequence[Model],
    image: Any,
    transform: Transform = Transform(),  # noqa: B008 - frozen
    method: str | None = "gradcam",
    query: Point | None = None,
    target: int | None = None,
    progress: Callable[[float], None] | None = None,
    **parameters: Any,
) -> Comparison:
    """Compare models on a picture before and after a transform: one call, one batch a model.

    Args:
        models: one to six live models.
        image: a picture in any form that `read_image` takes.
        transform: the move, in pixels of the first model's input. A model with another input size gets the same share
            of its frame; its view says how many pixels that is.
        method: an attribution method, or None for none. Where it cannot serve a model, the view's notes say why.
        query: the place whose attention is asked for, in pixels of the first model's input and of the picture before
            it is moved; it follows the picture. The centre if None.
        target: class to explain; by default each model's own top class of the picture before it is moved, for both.
        progress: told the share done, from 0 to 1; what it raises cancels.
        parameters: the method's parameters.

    Raises:
        ParameterError: no model, too many, or a parameter that does not exist.
    """
    if not 1 <= len(models) <= MAX_MODELS:
        raise ParameterError(f"1 to {MAX_MODELS} models can be compared, got {len(models)}")
    picture = read_image(image).image
    height, width = models[0].input_size
    place = Point(*query) if query is not None else Point(width / 2, height / 2)
    if not (0 <= place.x < width and 0 <= place.y < height):
        raise ParameterError(f"query ({place.x:g}, {place.y:g}) lies outside the {width} x {height} px input")
    rows = []
    for number, model in enumerate(models):
        rows_factor, columns_factor = model.input_size[0] / height, model.input_size[1] / width

        def told(share: float, done: int = number) -> None:
            if progress is not None:
                progress((done + share) / len(models))

        rows.append(
            _view(
                model,
                picture,
                transform.scaled(columns_factor, rows_factor),
                method,
                Point(place.x * columns_factor, place.y * rows_factor),
                target,
                told,
                parameters,
            )
        )
    return Comparison(tuple(rows), str(transform), method or "none", versions())


def _view(
    model: Model,
    picture: Any,
    transform: Transform,
    method: str | None,
    query: Point,
    target: int | None,
    progress: Callable[[float], None],
    parameters: Mapping[str, Any],
) -> ModelView:
    before = model.preprocess(picture)
    # The identity runs one image, so that "not moved" costs half and its answers are the picture's own.
    batch = before if transform.is_identity else torch.cat([before, transform.apply(before)])
    after = len(batch) - 1
    notes = []
    refused = METHODS[method].unavailable(model) if method else None
    if refused:
        notes.append(f"{method}: {refused}")
    result = answer(
        model,
        batch,
        target=target,
        method=None if refused else method,
        progress=progress,
        **({} if refused or not method else parameters),
    )
    if model.headless:
        notes.append(model.headless_reason)
    if not result.maps:
        notes.append(f"no attention map: {layouts.why_none(model.module)}")
    moved = transform.point(query, model.input_size)
    inside = 0 <= moved.x < model.input_size[1] and 0 <= moved.y < model.input_size[0]
    attributions: tuple[Attribution, Attribution] | None = None
    pulled = difference = None
    if result.attributions:
        attributions = (result.attributions[0], result.attributions[after])
        pulled = transform.pull_back(attributions[1].values, model.input_size)
        difference = torch.where(pulled.valid, pulled.values - attributions[0].values, 0)
    return ModelView(
        spec=str(model.spec),
        state=model.state,
        device=str(model.device),
        images=(batch[0].cpu(), batch[after].cpu()),
        predictions=(prediction(model, result.logits[0]), prediction(model, result.logits[after])),
        maps=tuple(result.maps),
        attributions=attributions,
        pulled_back=pulled,
        difference=difference,
        queries=(query, moved if inside else None),
        shift=(transform.dx, transform.dy),
        notes=tuple(notes),
    )
