"""How a model's pictures are prepared, as timm's configuration and the spec say."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from timm.data.config import resolve_model_data_config
from torch import nn

from explorer.errors import ModelError, ParameterError
from explorer.messages import Message
from explorer.models.backbone import Backbone, first_line
from explorer.models.spec import ModelSpec

#: What ``ModelSpec.preprocessing`` may override.
PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "crop_mode")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")


def _numbers(value: Any) -> bool:
    """Whether a value is a list of finite numbers."""
    return isinstance(value, (list, tuple)) and all(_number(one) for one in value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


#: What a configuration's preprocessing has to be, and how that is said.
_EXPECTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "input_size": (
        lambda size: _numbers(size) and len(size) == 3 and all(isinstance(one, int) and one > 0 for one in size),
        Message("(channels, height, width) is expected"),
    ),
    "mean": (lambda mean: _numbers(mean) and len(mean) in (1, 3, 4), Message("three numbers are expected")),
    "std": (
        lambda std: _numbers(std) and len(std) in (1, 3, 4) and all(std),
        Message("three numbers other than 0 are expected"),
    ),
    "interpolation": (
        lambda name: name in list(_INTERPOLATIONS),
        Message("one of {join} is expected", join=", ".join(_INTERPOLATIONS)),
    ),
    "crop_pct": (
        lambda share: _number(share) and 0 < share <= 1,
        Message("a number above 0 and at most 1 is expected"),
    ),
}


def preprocessing_of(spec: ModelSpec, source: Backbone, module: nn.Module, channels: int = 3) -> dict[str, Any]:
    """Return timm's preprocessing of a model that reads so many channels, with the spec's overrides."""
    overrides = dict(spec.preprocessing)
    if unknown := sorted(overrides.keys() - set(PREPROCESSING)):
        raise ParameterError(f"preprocessing '{unknown[0]}' is not known; it has {', '.join(PREPROCESSING)}")
    for key in ("mean", "std"):
        if key in overrides and len(overrides[key]) not in (3, channels):
            raise ParameterError(f"preprocessing '{key}' takes three numbers, got {overrides[key]!r}")
    if overrides.get("interpolation", "bicubic") not in _INTERPOLATIONS:
        raise ParameterError(f"interpolation '{overrides['interpolation']}' is not one of {', '.join(_INTERPOLATIONS)}")
    if not 0 < float(overrides.get("crop_pct", 1)) <= 1:
        raise ParameterError(f"crop_pct {overrides['crop_pct']} is not above 0 and at most 1")
    # timm wants as many as there are channels, and takes three for granted where they are its own.
    kept = dict.fromkeys(("mean", "std"))
    try:
        data: dict[str, Any] = resolve_model_data_config(module, args={**overrides, **kept})
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise ModelError(
            Message("'{spec}': its configuration says no preprocessing ({error})", spec=spec, error=first_line(error))
        ) from error
    for key, (right, wanted) in _EXPECTED.items():
        if not right(data[key]):
            said = textwrap.shorten(repr(data[key]), 100)
            raise ModelError(
                Message(
                    "'{spec}': '{key}' of its configuration is {said}; {wanted}",
                    spec=spec,
                    key=key,
                    said=said,
                    wanted=wanted,
                )
            )
    data |= {key: overrides[key] for key in kept if key in overrides}
    _, height, width = data["input_size"]
    fixed = source.arguments.get("img_size")
    if spec.input_size is not None:
        height, width = spec.input_size
    elif fixed is not None:
        height, width = (fixed, fixed) if isinstance(fixed, int) else fixed
    means, stds = (_of_channels(data[key], channels) for key in ("mean", "std"))
    return {**data, "input_size": (channels, int(height), int(width)), "mean": means, "std": stds}


def _of_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """A number for each channel that is read: the mean over colours where none is said of it."""
    if len(values) == channels:
        return tuple(values)
    mean = sum(values) / len(values)
    return (mean,) if channels == 1 else (*values, *(mean,) * (channels - len(values)))
