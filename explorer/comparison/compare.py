"""One picture, one move, several models: what does each see, answer, attend to and base its answer on?"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from explorer.attention import layouts
from explorer.attention.maps import AttentionMap, Weights
from explorer.attribution import METHODS, answer, method_title
from explorer.attribution.result import Attribution
from explorer.comparison.result import ClassScore, Comparison, ModelView, Prediction
from explorer.errors import ParameterError
from explorer.geometry import Point, PulledBack
from explorer.images import read_image
from explorer.messages import Message
from explorer.models.model import Model
from explorer.scenes import Scene, motion, render
from explorer.transforms import Transform

#: How many classes a prediction names.
TOP = 5
#: What a query stays on when the picture is moved.
Pin = Literal["image", "place"]
PINS: Mapping[Pin, str] = MappingProxyType(
    {
        "image": Message("it moves with what it was put on: with the object of a scene, with the content of a picture"),
        "place": Message("it stays where it is in the frame, whatever moves there"),
    }
)
#: How many models one comparison holds: as many as there are colours that can be told apart.
MAX_MODELS = 6

#: Why a model shows no attention map, among its notes.
NO_MAP = Message("no attention map: {why}")
#: Why a method cannot serve a model, among its notes.
REFUSED = Message("{method}: {why}")
_VERSIONED = ("attention-explorer", "torch", "timm", "captum")


@cache
def versions() -> Mapping[str, str]:
    """The versions that a result depends on: package name -> version, with Python's own."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = Message("not installed")
    return MappingProxyType(found)


def seen(model: Model, image: Any, transform: Transform = Transform()) -> Tensor:  # noqa: B008 - frozen
    """What does the model see of a picture or a scene, moved?

    Args:
        model: a live model.
        image: a picture in any form that `read_image` takes; a Scene, which is rendered at the model's input size; or
            (1, 3, H, W) in 0..1 at that size already, as this gives for a picture that is not moved. A picture is
            brought to the model's input first and moved there, so that the moves of one picture can share it.
        transform: the move, in pixels of this model's input.

    Returns (1, 3, H, W) float32 in 0..1, on the model's device. Raises ParameterError for a tensor of another size, and
    for a scene where the input is not square.
    """
    if isinstance(image, Tensor) and image.ndim == 4:
        if image.shape != (1, 3, *model.input_size):
            raise ParameterError(
                f"'{model.spec}' takes one picture (1, 3, {model.input_size[0]}, {model.input_size[1]}), "
                f"got {tuple(image.shape)}; give the picture itself"
            )
        return transform.apply(image.to(model.device))
    if not isinstance(image, Scene):
        return transform.apply(model.preprocess(read_image(image).image))
    height, width = model.input_size
    if height != width:
        raise ParameterError(
            Message(
                "scenes are square; '{spec}' looks at {width} x {height} px, choose another model",
                spec=model.spec,
                width=width,
                height=height,
            )
        )
    return _rendered(motion.moved(image, transform, model.input_size), height).to(model.device)


@lru_cache(maxsize=4)
def _rendered(scene: Scene, size: int) -> Tensor:
    """A scene's picture; models that are compared look at the same ones."""
    return render(scene, size).images


def predict(model: Model, image: Any, top: int = TOP) -> Prediction:
    """What does the model answer?

    Args:
        model: a live model.
        image: a picture in any form that `read_image` takes, or a Scene.
        top: how many classes, best first.
    """
    with model.lock, torch.inference_mode():
        logits = model.logits(seen(model, image))
    return prediction(model, logits[0], top)


def prediction(model: Model, logits: Tensor, top: int = TOP) -> Prediction:
    """Name the largest classes or labels of one answer; ``logits`` (classes,)."""
    if model.headless:
        return Prediction((), model.headless_reason)
    logits = logits.detach().float()
    p = model.head.probabilities(logits)
    # Labels that are all but sure have one p and different logits.
    order = (p if model.head.kind == "softmax" else logits).topk(min(top, len(logits))).indices.tolist()
    answer = model.head.answer(p)
    decided = answer.nonzero()[:, 0].tolist() if model.head.kind == "sigmoid" else answer.tolist()
    return Prediction(
        top=tuple(ClassScore(i, model.label(i), float(p[i]), float(logits[i])) for i in order),
        unit=model.head.unit,
        decided=tuple(decided),
        labels=tuple(model.label(i) for i in decided),
    )


@dataclass(frozen=True, eq=False)
class Side:
    """One model's answers about one picture: half of a view, and worth keeping while the other half moves.

    Attributes:
        image: what the model saw, (3, H, W) float32 in 0..1 on the CPU.
        prediction: its answer.
        maps: its attention maps.
        attribution: of its answer, or None.
        notes: what has to be said beside it.
    """

    image: Tensor
    prediction: Prediction
    maps: tuple[AttentionMap, ...]
    attribution: Attribution | None
    notes: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        tensors = [self.image] if self.attribution is None else [self.image, self.attribution.values]
        held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return held + sum(one.weights.nbytes for one in self.maps)


def look(
    model: Model,
    image: Any,
    transform: Transform = Transform(),  # noqa: B008 - frozen
    method: str | None = "gradcam",
    target: int | str | None = None,
    progress: Callable[[float], None] | None = None,
    **parameters: Any,
) -> Side:
    """What does one model answer about one picture, moved? One forward pass, and at most one backward pass.

    Args:
        model: a live model.
        image: as for `seen`, and ``transform`` too.
        transform: the move, in pixels of this model's input.
        method: an attribution method, or None for none. Where it cannot serve the model, the notes say why.
        target: class to explain, or several as one ("151..268"), or None for the first.
        progress: told the share done, from 0 to 1; what it raises cancels.
        parameters: the method's parameters.
    """
    notes: list[str] = []
    refused = METHODS[method].unavailable(model) if method else None
    if refused:
        notes.append(Message(REFUSED, method=method_title(str(method)), why=refused))
    chosen = None if refused else method
    batch = seen(model, image, transform)
    given = parameters if chosen else {}
    result = answer(model, batch, target=target, method=chosen, progress=progress, fetch=True, **given)
    if model.headless:
        notes.append(model.headless_reason)
    notes += model.notes
    if not result.maps:
        notes.append(Message(NO_MAP, why=layouts.why_none(model.module)))
    attribution = result.attributions[0] if result.attributions else None
    return Side(result.pictures[0], prediction(model, result.logits[0]), tuple(result.maps), attribution, tuple(notes))


def compare(
    models: Sequence[Model],
    image: Any,
    transform: Transform = Transform(),  # noqa: B008 - frozen
    method: str | None = "gradcam",
    query: Point | Sequence[Point] | None = None,
    target: int | str | None = None,
    progress: Callable[[float], None] | None = None,
    pin: Pin = "image",
    **parameters: Any,
) -> Comparison:
    """Compare models on a picture before and after a transform.

    Of a Scene the object alone moves: it is rendered anew at each model's own input size, the background stays, and
    zoom and turn are about the object's centre. The query and the maps that are pulled back keep their places on the
    object. Mirrors, borders and a centre do not apply.

    Args:
        models: one to six live models.
        image: a picture in any form that `read_image` takes, or a Scene.
        transform: the move, in pixels of the first model's input. A model with another input size gets the same share
            of its frame; its view says how many pixels that is.
        method: an attribution method, or None for none. Where it cannot serve a model, the view's notes say why.
        query: the place whose attention is asked for, in pixels of the first model's input and of the picture before
            it is moved; or several such places. The centre if None.
        target: class to explain, or several as one ("151..268"); by default each model's own top class of the picture
            before it is moved, for both.
        progress: told the share done, from 0 to 1; what it raises cancels.
        pin: what the query stays on when the picture is moved, see PINS.
        parameters: the method's parameters.

    Raises:
        ParameterError: no model, too many, a parameter that does not exist, or a move that a scene cannot make.
    """
    if not 1 <= len(models) <= MAX_MODELS:
        raise ParameterError(
            Message("1 to {most} models can be compared, got {count}", most=MAX_MODELS, count=len(models))
        )
    if pin not in PINS:
        raise ParameterError(Message("pin is one of {join}; got '{pin}'", join=", ".join(PINS), pin=pin))
    picture = image if isinstance(image, Scene) else read_image(image)
    height, width = models[0].input_size
    places = _places(query) or [Point(width / 2, height / 2)]
    for place in places:
        place.check_inside((height, width))
    rows = []
    sides = 1 if transform.is_identity else 2
    done = 0
    for model in models:
        rows_factor, columns_factor = model.input_size[0] / height, model.input_size[1] / width
        own = transform.scaled(columns_factor, rows_factor)
        shown = picture if isinstance(picture, Scene) else seen(model, picture)

        def side(move: Transform, target: int | str | None, model: Model = model, shown: Any = shown) -> Side:
            nonlocal done
            before = done

            def told(share: float) -> None:
                if progress is not None:
                    progress((before + share) / (sides * len(models)))

            found = look(model, shown, move, method, target, told, **parameters)
            done += 1
            return found

        first = side(Transform(), target)
        second = first if sides == 1 else side(own, target_of(first, target))
        asked, *further = (Point(place.x * columns_factor, place.y * rows_factor) for place in places)
        rows.append(view(model, picture, own, first, second, asked, pin, further))
    words = motion.in_words(transform) if isinstance(picture, Scene) else transform.words
    return Comparison(tuple(rows), words, method or "none", versions())


def _places(query: Point | Sequence[Point] | None) -> list[Point]:
    """One place, several or none, as a list."""
    several: Any = () if query is None else query
    if len(several) == 2 and not isinstance(several[0], Sequence):
        several = (several,)
    return [Point(*one) for one in several]


def target_of(before: Side, target: int | str | None = None) -> int | str | None:
    """The class that is explained after a move: that of the picture before, so that both maps are of one answer."""
    return before.prediction.top[0].index if target is None and before.prediction.top else target


def view(
    model: Model,
    image: Any,
    transform: Transform,
    before: Side,
    after: Side,
    query: Point,
    pin: Pin = "image",
    further: Sequence[Point] = (),
) -> ModelView:
    """Put the two halves of a view together.

    Args:
        model: who answered.
        image: as for `seen`.
        transform: the move, in pixels of this model's input.
        before: about the picture as it was; ``after`` the same for the identity.
        after: about the picture as moved.
        query: in pixels of this model's input, before the move.
        pin: what it stays on, see PINS.
    """
    if isinstance(image, Scene):
        transform = motion.about_object(image, transform, model.input_size)
    attributions: tuple[Attribution, Attribution] | None = None
    pulled: PulledBack | None = None
    difference: Tensor | None = None
    if before.attribution is not None and after.attribution is not None:
        attributions = (before.attribution, after.attribution)
        pulled = transform.pull_back(after.attribution.values, model.input_size)
        difference = torch.where(pulled.valid, pulled.values - before.attribution.values, 0)
    maps = before.maps
    if after is not before:
        maps = tuple(
            replace(one, weights=Pair(one.weights, two.weights))
            for one, two in zip(before.maps, after.maps, strict=True)
        )
    return ModelView(
        spec=str(model.spec),
        state=model.state,
        device=str(model.device),
        images=(before.image, after.image),
        predictions=(before.prediction, after.prediction),
        maps=maps,
        attributions=attributions,
        pulled_back=pulled,
        difference=difference,
        queries=(query, follow(transform, query, model.input_size, pin)),
        shift=(transform.dx, transform.dy),
        notes=tuple(dict.fromkeys((*before.notes, *after.notes))),
        further=tuple((place, follow(transform, place, model.input_size, pin)) for place in further),
    )


def follow(move: Transform, query: Point, size: tuple[int, int], pin: Pin = "image") -> Point | None:
    """Where is a query asked from after a move? None where that is outside the frame.

    Args:
        move: what happens to places: for a scene, to those on its object.
        query: before the move, in pixels of the frame.
        size: (height, width) of the frame, px.
        pin: what it stays on, see PINS.
    """
    to = move.point(query, size) if pin == "image" else query
    return to if 0 <= to.x < size[1] and 0 <= to.y < size[0] else None


@dataclass(frozen=True, eq=False)
class Pair:
    """Weights of a picture before and after a move, as a batch of two that ran one by one."""

    before: Weights
    after: Weights

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        return (2, *self.before.shape[1:])

    @property
    def nbytes(self) -> int:
        return self.before.nbytes + self.after.nbytes

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        return (self.before, self.after)[item].block(0, group, start, stop)
