"""Scenes on the page: what is offered, what may be changed, and the layers that follow the pointer in the browser."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from functools import lru_cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.registry import parameters
from explorer.scenes import ARRANGEMENTS, PART, PRESETS, RADIUS, SPREAD, Scene, render

#: What moves an object is under Move, for every picture alike.
_MOVED = ("dx", "dy", "scale", "angle")
_OF_ARRANGEMENTS = ("tilt", "gap")
#: Sides of the layers, px: of the background, and of the object, which fills its own.
_BACKGROUND, _OBJECT = 384, 256


def fields() -> list[dict[str, Any]]:
    """Describe the controls of a scene, one per field that the page offers."""
    described = []
    for name, one in parameters(Scene).items():
        if name in _MOVED:
            continue
        whole, step = one.kind is int, None
        if one.low is not None and one.high is not None:
            step = 1 if whole or one.high - one.low > 10 else 0.05 if one.high > 1 else 0.01
        described.append(
            {"name": name, **one.record(), "whole": whole, "step": step, "arrangements": name in _OF_ARRANGEMENTS}
        )
    return described


def presets() -> list[dict[str, Any]]:
    """The strip's scenes for the browser: name, fields, words, thumbnail."""
    made = render([scene for scene, _ in PRESETS.values()], 112).images
    return [
        {"name": name, "alt": alt, "scene": dataclasses.asdict(scene), "image": uri(image)}
        for (name, (scene, alt)), image in zip(PRESETS.items(), made)
    ]


@lru_cache(maxsize=64)
def layers(scene: Scene) -> str:
    """The scene as two pictures that the browser lays over each other while its object moves.

    JSON: scene; background; object, with transparency, centred; and share, how wide the object's picture lies on the
    scene's frame as it is. What models are shown is rendered by the library, never put together from these.
    """
    away = dataclasses.replace(scene, dx=1.0, dy=1.0, scale=0.1)
    background = render(away, _BACKGROUND).images[0]
    reach = PART * 1.1 + 0.5 * SPREAD * scene.gap if scene.label in ARRANGEMENTS else 1.15
    reach *= 1 + 3 * scene.wobble  # stretched and bent
    scale = min(0.49 / (RADIUS * reach), 4.0)
    # Twice as fine as it is sent, so that its edge is soft; without noise and sticks, which belong to the picture.
    alone = render(dataclasses.replace(scene, dx=0.0, dy=0.0, scale=scale, noise=0.0, clutter=0.0), 2 * _OBJECT)
    mask = alone.masks.float()[:, None]
    cover = torch.nn.functional.avg_pool2d(mask, 2)
    colours = torch.nn.functional.avg_pool2d(alone.images * mask, 2) / cover.clamp(min=1e-6)
    return json.dumps(
        {
            "scene": dataclasses.asdict(scene),
            "background": uri(background),
            "object": uri(torch.cat([colours, cover], 1)[0]),
            "share": scene.scale / scale,
        }
    )


def uri(image: Tensor, lossless: bool = False) -> str:
    """(3 or 4, H, W) in 0..1 as a data URI."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=lossless, quality=80, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
