"""Procedural pictures with exact masks, rendered from signed distance functions on any device.

Moving or scaling a scene renders it anew, so a shift has no interpolation and no border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.scenes.backgrounds import backdrop, colours
from explorer.scenes.scene import (
    ARRANGEMENTS,
    FAMILIES,
    HUES,
    PART,
    RADIUS,
    SHAPES,
    SPREAD,
    TEXTURES,
    Scene,
    Scenes,
    _mix,
    hashed,
)
from explorer.scenes.shapes import DISTANCE
from explorer.scenes.textures import PATTERN, edge


class Rendered(NamedTuple):
    """Pictures of scenes: images (n, 3, size, size) float32 in 0..1, masks (n, size, size) bool, labels (n,) int64."""

    images: Tensor
    masks: Tensor
    labels: Tensor


def render(scenes: Scenes | Sequence[Scene] | Scene, size: int = 48, device: torch.device | str = "cpu") -> Rendered:
    """Render scenes as pictures with exact masks.

    Args:
        scenes: what to render.
        size: height and width of the pictures, px.
        device: where the pictures are made.

    Returns:
        Pictures, masks (a pixel belongs to the object where its centre does), and labels.
    """
    if isinstance(scenes, Scene):
        scenes = [scenes]
    if not isinstance(scenes, Scenes):
        scenes = Scenes.of(scenes)
    if not 8 <= size <= 2048:
        raise ParameterError(Message("size is {size}; pictures of 8 to 2048 px are rendered", size=size))
    where = torch.device(device)
    images = torch.empty(len(scenes), 3, size, size, device=where)
    masks = torch.empty(len(scenes), size, size, dtype=torch.bool, device=where)
    # On a CPU in pieces that stay in its cache, on a GPU in large ones; a picture is the same in any.
    chunk = max(1, (32 if where.type == "cpu" else 4096) * 64**2 // size**2)
    for start in range(0, len(scenes), chunk):
        piece = slice(start, start + chunk)
        images[piece], masks[piece] = _render(scenes[piece], size, where)
    return Rendered(images, masks, scenes.label.to(where))


def _render(scenes: Scenes, size: int, where: torch.device) -> tuple[Tensor, Tensor]:
    n = len(scenes)
    # What a scene is stays on the CPU, in float64, which not every device has; pixels are float32 and made where asked.
    u, background, texture = (
        some.to(where) for some in (hashed(scenes.key, 64).float(), scenes.background, scenes.texture)
    )
    axis = (torch.arange(size, device=where, dtype=torch.float32) + 0.5) / size
    x, y = axis[None, :].expand(size, size), axis[:, None].expand(size, size)

    tone = torch.empty(n, size, size, device=where)
    for number, family in enumerate(FAMILIES):
        rows = (background % len(FAMILIES) == number).nonzero()[:, 0]
        if len(rows):
            tone[rows] = backdrop(family, x, y, u[rows, 24:])
    hue = (background // len(FAMILIES)).float() / len(HUES) + 0.1 * (u[:, 0] - 0.5)
    base = colours(hue % 1, 0.45 + 0.25 * u[:, 1], 0.34 + 0.1 * u[:, 2])
    images = base[:, :, None, None] * (1 + 0.45 * tone[:, None])

    bright = colours(u[:, 3], 0.2 + 0.5 * u[:, 4], 0.85 + 0.15 * u[:, 5])
    dark = colours((u[:, 3] + 0.3 + 0.4 * u[:, 6]) % 1, 0.5 + 0.4 * u[:, 7], 0.42 + 0.16 * u[:, 8])
    masks = torch.zeros(n, size, size, dtype=torch.bool, device=where)
    for shapes, cx, cy, share in _parts(scenes):
        radius, turn, left, top = (
            some.float().to(where) for some in (RADIUS * share * scenes.scale, scenes.angle * (math.pi / 180), cx, cy)
        )
        for number in shapes.unique().tolist():
            if number < 0:
                continue
            rows = (shapes == number).nonzero()[:, 0].to(where)
            r, c, s = (v[rows, None, None] for v in (radius, torch.cos(turn), torch.sin(turn)))
            off_x, off_y = (x - left[rows, None, None]) / r, (y - top[rows, None, None]) / r
            local_x, local_y = c * off_x + s * off_y, c * off_y - s * off_x
            distance = DISTANCE[SHAPES[number]](local_x, local_y)
            cover = (0.5 - distance * r * size).clamp(0, 1)[:, None]
            # The pattern keeps its period whatever share of the object a part is.
            grain = _weave(texture[rows], local_x, local_y, share)[:, None]
            front = bright[rows, :, None, None] * grain + dark[rows, :, None, None] * (1 - grain)
            images[rows] = images[rows] * (1 - cover) + front * cover
            masks[rows] |= distance < 0
    if bool((scenes.noise > 0).any()):
        pixel = torch.arange(size * size, device=where, dtype=torch.int64) * -7046029254386353131
        bits = _mix(_mix(scenes.key + 2).to(where)[:, None] + pixel).view(n, size, size)
        amplitude = 1.5 * scenes.noise.float().to(where)[:, None, None]
        for channel, shift in enumerate((0, 21, 42)):  # 21 bits for each colour out of one hash
            grain = ((bits >> shift) & 0x1FFFFF).float() * (2.0 / 0x1FFFFF) - 1
            images[:, channel] += amplitude * grain
    return images.clamp(0, 1), masks


def _parts(scenes: Scenes) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    """The one or two parts of each scene: (n,) shape or -1, (n,) centre x, (n,) centre y, share of the radius."""
    label, x, y = scenes.label, 0.5 + scenes.dx, 0.5 + scenes.dy
    single = torch.where(label < 8, label, -1)
    parts = [(single, x, y, 1.0)]
    tilt = scenes.tilt * (math.pi / 180)
    half = 0.5 * SPREAD * RADIUS * scenes.scale * scenes.gap
    table = [(SHAPES.index(a), direction, SHAPES.index(b)) for a, direction, b in ARRANGEMENTS.values()]
    which = (label - 8).clamp(min=0)
    direction = torch.tensor([row[1] for row in table], dtype=torch.float64)[which]
    off_x = half * (direction[:, 0] * torch.cos(tilt) - direction[:, 1] * torch.sin(tilt))
    off_y = half * (direction[:, 0] * torch.sin(tilt) + direction[:, 1] * torch.cos(tilt))
    for side, sign in ((0, 1.0), (2, -1.0)):
        shape = torch.tensor([row[side] for row in table])[which]
        parts.append((torch.where(label < 8, -1, shape), x + sign * off_x, y + sign * off_y, PART))
    return parts


def _weave(texture: Tensor, x: Tensor, y: Tensor, share: float) -> Tensor:
    """The pattern of each scene's texture: (n,) int64 and two (n, H, W) to (n, H, W) in 0 to 1."""
    out = torch.empty_like(x)
    for number in texture.unique().tolist():
        rows = (texture == number).nonzero()[:, 0]
        name = TEXTURES[number]
        softness = 0.12 if name == "dots" else 0.35 if name == "grid" else 0.8
        out[rows] = edge(PATTERN[name](x[rows] * share, y[rows] * share), softness)
    return out
