"""How pictures are prepared: from an image processor of transformers to timm's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.errors import ModelError
from explorer.messages import Message

_INTERPOLATIONS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by PIL's numbers


def prepared(processor: Any, side: tuple[int, int], channels: int = 3) -> dict[str, Any]:
    """How pictures are prepared, in timm's words, as arguments of `explorer.wrapping.wrap.wrapped`.

    Args:
        processor: the library's image processor, or None.
        side: (height, width) of the network's input as its configuration says, px.
        channels: that the network reads.

    Raises ModelError where pictures would be prepared for another number of channels.
    """
    has = {name: getattr(processor, name, None) for name in ("size", "crop_size", "crop_pct")}
    size, crop = _sides(has["size"]), _sides(has["crop_size"])
    crop = crop if getattr(processor, "do_center_crop", False) else {}
    interpolation = _INTERPOLATIONS[int(getattr(processor, "resample", None) or 2)]
    mean, std = _normalisation(processor, channels)
    mode, share, target = "squash", 1.0, side
    if not getattr(processor, "do_resize", False) or not size:
        target = _both(crop) or side
    elif (edge := size.get("shortest_edge")) is not None:
        if has["crop_pct"] is not None and not crop:  # as ConvNeXt's: cropped where it is small, else squashed
            target = (edge, edge)
            if edge < 384:
                mode, share = "center", float(has["crop_pct"])
        else:
            target = _both(crop) or (edge, edge)
            mode, share = "center", min(target) / edge
    else:
        whole = _both(size) or side
        target = _both(crop) or whole
        share = target[0] / whole[0]
    return {
        "input_size": target,
        "crop_pct": min(share, 1.0),
        "crop_mode": mode,
        "interpolation": interpolation,
        "mean": mean,
        "std": std,
    }


def _sides(size: Any) -> dict[str, int]:
    """The entries of a size of the library's that are set."""
    if size is None:
        return {}
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {name: int(value) for name, value in dict(size).items() if value is not None}


def _both(size: Mapping[str, int]) -> tuple[int, int] | None:
    return (size["height"], size["width"]) if {"height", "width"} <= set(size) else None


def _normalisation(processor: Any, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of a picture in 0..1, with the library's factor put into them."""
    rescaled = getattr(processor, "do_rescale", True)
    factor = 255 * float(getattr(processor, "rescale_factor", None) or 1 / 255) if rescaled else 255.0
    offset = 1.0 if rescaled and getattr(processor, "rescale_offset", False) else 0.0
    mean, std = [0.0] * channels, [1.0] * channels
    if getattr(processor, "do_normalize", False):
        given = (processor.image_mean, processor.image_std)
        mean, std = ([one] * channels if isinstance(one, (int, float)) else list(one) for one in given)
        if {len(mean), len(std)} != {channels}:
            raise ModelError(
                Message(
                    "its network reads {channels} channels, and its preprocessor_config.json has {means} means and "
                    "{stds} standard deviations; as many of each are expected",
                    channels=channels,
                    means=len(mean),
                    stds=len(std),
                )
            )
    # EfficientNet's divides by the standard deviation twice where its network has a classifier.
    again = std if getattr(processor, "include_top", False) else [1.0] * channels
    return (
        tuple((one + offset) / factor for one in mean),
        tuple(one * more / factor for one, more in zip(std, again)),
    )
