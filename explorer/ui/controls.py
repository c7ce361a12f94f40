"""What can be asked on the page: controls made from the library's declarations, and a check of what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from explorer.attribution import METHODS, method_of
from explorer.comparison.compare import PINS, Pin
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import samples
from explorer.models.spec import ModelSpec
from explorer.registry import parameters
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.ui.scene import parse_scene
from explorer.ui.upload import OWN

MAX_MODELS = 6
#: Places asked from at once: as many as there are colours of pins.
MAX_PINS = 4
#: Characters of a model's name: longer than any of timm's, short enough to be repeated in a message.
MAX_SPEC_CHARS = 300
#: How far the sliders reach where that differs from what the library accepts, and how finely they step; a shift's
#: range is a share of the frame, as its pixels differ from model to model. "picture": a scene has no use for it.
_SLIDERS: Mapping[str, Mapping[str, Any]] = {
    "dx": {"label": "Shift right", "share": 0.5, "step": 1},
    "dy": {"label": "Shift down", "share": 0.5, "step": 1},
    "zoom": {"label": "Zoom", "step": 0.05, "log": True},
    "angle": {"label": "Turn", "low": -180, "high": 180, "step": 1, "advanced": True},
    "flip": {"label": "Mirror", "advanced": True, "picture": True},
    "border": {"label": "Border", "advanced": True, "picture": True},
}
DEFAULT_METHOD = "gradcam"


@dataclass(frozen=True)
class Question:
    """What is asked of every model.

    Attributes:
        transform: how the picture is moved, in pixels of the first model's input.
        pins: where attention is asked from, each as a share (0 to 1) of the frame before the move.
        pin: what they stay on when the picture is moved.
        method: attribution method.
        parameters: the method's parameters, as sorted pairs.
        scene: what is moved, or None for a picture.
        picture: the name of a sample photograph, or that of a visitor's own picture.
        layers: for each model the number of the map that is looked at, or None.
        heads: for each model the head that is looked at, or None for the mean.
    """

    transform: Transform = Transform()  # noqa: RUF009 - frozen
    pins: tuple[Point, ...] = (Point(0.5, 0.5),)
    pin: Pin = "image"
    method: str = DEFAULT_METHOD
    parameters: tuple[tuple[str, Any], ...] = ()
    scene: Scene | None = None
    picture: str = ""
    layers: tuple[int | None, ...] = ()
    heads: tuple[int | None, ...] = ()


def moves() -> list[dict[str, Any]]:
    """Describe the controls of a move, one per field of Transform that the page offers."""
    described = []
    for name, one in parameters(Transform).items():
        extra = _SLIDERS.get(name)
        if extra is not None:
            described.append({"name": name, **one.record(), **extra})
    return described


def methods() -> list[dict[str, Any]]:
    """Describe the attribution methods: name, the question each answers, whether it can follow a drag."""
    return [
        {
            "name": name,
            "title": (method.__doc__ or name).strip().splitlines()[0],
            "live": method.live,
            "unit": method.unit,
            "parameters": parameters_of(method),
        }
        for name, method in METHODS.items()
    ]


def parameters_of(entry: Any) -> list[dict[str, Any]]:
    """Describe the parameters of a registry's entry: one control a field."""
    return [
        {
            "name": name,
            **one.record(),
            "whole": one.kind is int,
            "words": one.kind is str,
            "yes": one.kind is bool,
        }
        for name, one in parameters(entry).items()
    ]


def parse_question(asked: Any) -> Question:
    """Check what a browser sent; raises ParameterError. Nothing in it is trusted."""
    if asked is None:
        asked = {}
    if not isinstance(asked, Mapping):
        raise ParameterError(f"a question is an object with the names of the controls, got {type(asked).__name__}")
    known = {one["name"] for one in moves()}
    chosen = {name: asked[name] for name in known if asked.get(name) is not None}
    for name, value in chosen.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(f"{name} is a finite number, got {value}")
    transform = Transform(**chosen)
    method = asked.get("method") or DEFAULT_METHOD
    if not isinstance(method, str):
        raise ParameterError("method is the name of an attribution method")
    given = asked.get("parameters") or {}
    if not isinstance(given, Mapping):
        raise ParameterError("parameters is an object with the names of the method's parameters")
    parameters = {name: value for name, value in given.items() if value is not None}
    method_of(method, parameters)  # raises for names and values that it does not take
    scene = parse_scene(asked.get("scene"))
    pin = asked.get("pin") or "image"
    if not isinstance(pin, str) or pin not in PINS:
        raise ParameterError(f"pin is one of {', '.join(PINS)}; got '{str(pin)[:40]}'")
    return Question(
        transform,
        _pins(asked.get("pins")),
        cast(Pin, pin),
        method,
        tuple(sorted(parameters.items())),
        scene,
        _picture(asked.get("picture")),
        _numbers(asked.get("layers")),
        _numbers(asked.get("heads")),
    )


def _picture(value: Any) -> str:
    known = samples()
    if not value:
        return next(iter(known))
    if not isinstance(value, str) or not (value in known or OWN.fullmatch(value)):
        raise ParameterError(f"there is no sample photograph '{str(value)[:40]}'; there are: {', '.join(known)}")
    return value


def _numbers(value: Any) -> tuple[int | None, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MAX_MODELS:
        raise ParameterError("layers and heads are lists of numbers, one a model")
    return tuple(one if isinstance(one, int) and one >= 0 else None for one in value)


def _pins(value: Any) -> tuple[Point, ...]:
    if value is None:
        return Question.pins
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= MAX_PINS:
        raise ParameterError(f"pins is a list of 1 to {MAX_PINS} places")
    return tuple(_place(one) for one in value)


def _place(value: Any) -> Point:
    try:
        point = Point(float(value["x"]), float(value["y"]))
    except (TypeError, KeyError, ValueError):
        raise ParameterError("a pin is a place {x, y}, each from 0 to 1") from None
    if not all(0 <= part < 1 for part in point):
        raise ParameterError(f"the pin ({point.x:g}, {point.y:g}) lies outside the picture; x and y go from 0 to 1")
    return point


def parse_models(asked: Any) -> list[str]:
    """Check a list of models sent by a browser: 1 to 6 texts; raises ParameterError. The texts are read one by one."""
    if not isinstance(asked, Sequence) or isinstance(asked, str) or not all(isinstance(one, str) for one in asked):
        raise ParameterError("models is a list of names")
    named = [one.strip() for one in asked if one.strip()]
    if not named:
        raise ParameterError("choose at least one model")
    if len(named) > MAX_MODELS:
        raise ParameterError(f"at most {MAX_MODELS} models fit side by side, got {len(named)}")
    for one in named:
        if len(one) > MAX_SPEC_CHARS:
            raise ParameterError(f"a model's name has at most {MAX_SPEC_CHARS} characters, got {len(one)}")
    return named


def parse_spec(text: str, folders: bool, named_at_launch: Sequence[str]) -> ModelSpec:
    """Read one model's text; a folder of this server only where that is allowed. Raises ParameterError."""
    spec = ModelSpec.parse(text)
    if spec.source.scheme == "local-dir" and not folders and not is_offered(spec, named_at_launch):
        raise ParameterError(
            "folders of the server are open only on the machine itself; start the page there with --model to offer one"
        )
    return spec


def is_offered(spec: ModelSpec, named_at_launch: Sequence[str]) -> bool:
    """Whether a model's backbone is that of one named when the page was started, however either is written."""
    return any(ModelSpec.parse(one).source.same(spec.source) for one in named_at_launch)
