"""What can be asked on the page: controls made from the library's declarations, and which models may be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explorer.attribution import METHODS, method_title
from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.registry import parameters, question
from explorer.transforms import Transform

#: How far a shift reaches to each side, as a share of the frame.
REACH = 0.5
#: How far the sliders reach where that differs from what the library accepts, and how finely they step; a shift's
#: range is a share of the frame, as its pixels differ from model to model. "picture": a scene has no use for it.
_SLIDERS: Mapping[str, Mapping[str, Any]] = {
    "dx": {"label": Message("Shift right"), "share": REACH, "step": 1},
    "dy": {"label": Message("Shift down"), "share": REACH, "step": 1},
    "zoom": {"label": Message("Zoom"), "step": 0.05, "log": True},
    "angle": {"label": Message("Turn"), "low": -180, "high": 180, "step": 1, "advanced": True},
    "flip": {"label": Message("Mirror"), "advanced": True, "picture": True},
    "border": {"label": Message("Border"), "advanced": True, "picture": True},
}


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
            "called": method_title(name),
            "title": question(method) or name,
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
            "called": [method_title(choice) if isinstance(choice, str) else choice for choice in one.choices],
            "whole": one.kind is int,
            "words": one.kind is str,
            "yes": one.kind is bool,
        }
        for name, one in parameters(entry).items()
    ]


def parse_spec(text: str, folders: bool, named_at_launch: Sequence[str]) -> ModelSpec:
    """Read one model's text; a folder of this server only where that is allowed. Raises ParameterError."""
    spec = ModelSpec.parse(text)
    if spec.source.scheme == "module":
        raise ParameterError(
            Message("'{spec}' is a module in somebody's program; the page opens models by name alone", spec=spec)
        )
    if spec.source.scheme == "local-dir" and not folders and not is_offered(spec, named_at_launch):
        raise ParameterError(
            Message(
                "folders of the server are open only on the machine itself; start the page there with --model to "
                "offer one"
            )
        )
    return spec


def is_offered(spec: ModelSpec, named_at_launch: Sequence[str]) -> bool:
    """Whether a model's backbone is that of one named when the page was started, however either is written."""
    return any(ModelSpec.parse(one).source.same(spec.source) for one in named_at_launch)
