"""Procedural pictures with exact masks, rendered from signed distance functions on any device.

Moving or scaling a scene renders it anew, so a shift has no interpolation and no border.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.scenes.backgrounds import CONTRAST, STICK, backdrop, colours, detail, stick
from explorer.scenes.chance import bits, hashed, mix
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
)
from explorer.scenes.shapes import DISTANCE, TURN
from explorer.scenes.textures import PATTERN, edge

#: Sticks that may lie behind the object and before it.
BEHIND, BEFORE = 4, 2
#: Where a scene's random numbers are among those of its key: of its look, its background's family, its sticks.
_FAMILY, _STICKS = 24, 60
_COUNT = _STICKS + (BEHIND + BEFORE) * STICK


class Rendered(NamedTuple):
    """Pictures of scenes: images (n, 3, size, size) float32 in 0..1, masks (n, size, size) bool, labels (n,) int64.

    A mask holds what is seen of the object: what lies before it is not in it, nor is its shadow.
    """

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
    images, masks, _ = render_layers(scenes, [scenes], torch.ones(len(scenes), 1, dtype=torch.bool), size, device)
    return Rendered(images, masks[:, 0], scenes.label.to(device))


def render_layers(
    ground: Scenes, objects: Sequence[Scenes], present: Tensor, size: int, device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Render backgrounds with several objects each, one over the other.

    Args:
        ground: n scenes, whose background, sticks, light and noise are taken.
        objects: K times n scenes, whose objects are taken, the hindmost first.
        present: (n, K) bool, which of them are there.
        size: height and width of the pictures, px.
        device: where the pictures are made.

    Returns:
        Pictures (n, 3, size, size); masks (n, K, size, size) of what is seen of each object; and areas (n, K) int64,
        the pixels that each would have were nothing before it.
    """
    if not 8 <= size <= 2048:
        raise ParameterError(Message("size is {size}; pictures of 8 to 2048 px are rendered", size=size))
    n, where = len(ground), torch.device(device)
    images = torch.empty(n, 3, size, size, device=where)
    masks = torch.empty(n, len(objects), size, size, dtype=torch.bool, device=where)
    areas = torch.empty(n, len(objects), dtype=torch.int64, device=where)
    # On a CPU in pieces that stay in its cache, on a GPU in large ones; a picture is the same in any. Pieces of like
    # scenes are rendered in fewer calls.
    chunk = max(1, (32 if where.type == "cpu" else 4096) * 64**2 // size**2)
    for rows in torch.argsort(objects[0].label, stable=True).split(chunk):
        some = [layer[rows] for layer in objects]
        to = rows.to(where)
        images[to], masks[to], areas[to] = _render(ground[rows], some, present[rows], size, where)
    return images, masks, areas


def _render(
    ground: Scenes, objects: Sequence[Scenes], present: Tensor, size: int, where: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    # What a scene is stays on the CPU, in float64, which not every device has; pixels are float32 and made where asked.
    u = hashed(ground.key, _COUNT).float().to(where)
    shade, clutter = (one.float().to(where) for one in (ground.shade, ground.clutter))
    axis = (torch.arange(size, device=where, dtype=torch.float32) + 0.5) / size
    x, y = axis[None, :].expand(size, size), axis[:, None].expand(size, size)
    light = torch.stack([torch.cos(TURN * u[:, 9]), torch.sin(TURN * u[:, 9])], 1)

    images = _background(ground, u, x, y)
    for number in range(BEHIND):
        _lay_stick(images, u, number, clutter, x, y)
    masks = torch.zeros(len(ground), len(objects), size, size, dtype=torch.bool, device=where)
    areas = torch.zeros(len(ground), len(objects), dtype=torch.int64, device=where)
    for number, layer in enumerate(objects):
        here = present[:, number].nonzero()[:, 0]
        rows = here.to(where)
        canvas = images[rows]
        seen = _lay_object(canvas, layer[here], light[rows], shade[rows], x, y)
        images[rows] = canvas
        masks[rows, :number] &= ~seen[:, None]
        masks[rows, number] = seen
        areas[rows, number] = seen.flatten(1).sum(1)
    for number in range(BEHIND, BEHIND + BEFORE):
        rows, before = _lay_stick(images, u, number, clutter, x, y)
        masks[rows] &= ~before[:, None]
    toward = (x - 0.5) * light[:, 0, None, None] + (y - 0.5) * light[:, 1, None, None]
    images *= (1 + 0.8 * shade[:, None, None] * toward)[:, None]
    if bool((ground.noise > 0).any()):
        random = bits(mix(ground.key + 2).to(where), size * size).view(-1, size, size)
        amplitude = (1.5 * ground.noise).float().to(where)[:, None, None]
        for channel, shift in enumerate((0, 10, 20)):  # ten bits for each colour
            grain = ((random >> shift) & 0x3FF).float() * (2.0 / 0x3FF) - 1
            images[:, channel] += amplitude * grain
    return images.clamp_(0, 1), masks, areas


def _background(scenes: Scenes, u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    background = scenes.background.to(u.device)
    family = background % len(FAMILIES)
    contrast = torch.tensor([CONTRAST[name] for name in FAMILIES], device=u.device)[family]
    tone = detail(scenes.key.to(u.device), contrast, len(x))
    for number, name in enumerate(FAMILIES):
        rows = (family == number).nonzero()[:, 0]
        if len(rows):
            tone[rows] += 0.45 * backdrop(name, x, y, u[rows, _FAMILY:_STICKS])[:, None]
    hue = (background // len(FAMILIES)).float() / len(HUES) + 0.1 * (u[:, 0] - 0.5)
    base = colours(hue % 1, 0.45 + 0.25 * u[:, 1], 0.34 + 0.1 * u[:, 2])
    return tone.add_(1).mul_(base[:, :, None, None])


def _lay_stick(images: Tensor, u: Tensor, number: int, clutter: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Lay one stick over pictures, in place; return which have it, (k,) int64, and where it is, (k, H, W) bool."""
    start = _STICKS + number * STICK
    rows = (u[:, start] < clutter).nonzero()[:, 0]
    distance, colour = stick(x, y, u[rows, start : start + STICK])
    cover = (0.5 - distance * len(x)).clamp_(0, 1)[:, None]
    images[rows] = torch.lerp(images[rows], colour[:, :, None, None], cover)
    return rows, distance < 0


def _lay_object(images: Tensor, scenes: Scenes, light: Tensor, shade: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Lay each scene's object and its shadow over pictures, in place; return (n, H, W) bool, where it is."""
    where, size = images.device, len(x)
    u = hashed(scenes.key, _FAMILY).float().to(where)
    bright = colours(u[:, 3], 0.2 + 0.5 * u[:, 4], 0.85 + 0.15 * u[:, 5])
    dark = colours((u[:, 3] + 0.3 + 0.4 * u[:, 6]) % 1, 0.5 + 0.4 * u[:, 7], 0.48 + 0.16 * u[:, 8])
    wobble, texture = scenes.wobble.float().to(where), scenes.texture.to(where)
    masks = torch.zeros(len(scenes), size, size, dtype=torch.bool, device=where)
    for shapes, cx, cy, share in parts(scenes):
        radius, turn, left, top = (
            some.float().to(where) for some in (RADIUS * share * scenes.scale, scenes.angle * (math.pi / 180), cx, cy)
        )
        for number in shapes.unique().tolist():
            if number < 0:
                continue
            rows = (shapes == number).nonzero()[:, 0].to(where)
            every = len(rows) == len(scenes)

            def of(values: Tensor, rows: Tensor = rows, every: bool = every) -> Tensor:
                return values if every else values[rows]

            canvas, own = of(images), of(u)
            r, c, s, bend, dim, left_, top_, to_x, to_y = (
                of(v)[:, None, None]
                for v in (radius, torch.cos(turn), torch.sin(turn), wobble, shade, left, top, *light.unbind(1))
            )
            off_x, off_y = (x - left_) / r, (y - top_) / r
            turned_x, turned_y = c * off_x + s * off_y, c * off_y - s * off_x
            bent_x, bent_y = _bent(turned_x, turned_y, bend, own)
            distance_of = DISTANCE[SHAPES[number]]
            if bool((dim > 0).any()):
                # A shadow lies away from the light; its edge is softer than the object's.
                away_x, away_y = 0.25 * (c * to_x + s * to_y), 0.25 * (c * to_y - s * to_x)
                fallen = distance_of(bent_x + away_x, bent_y + away_y)
                canvas *= (1 - 0.8 * dim * (0.5 - fallen / 0.3).clamp_(0, 1))[:, None]
            distance = distance_of(bent_x, bent_y)
            cover = (0.5 - distance * r * size).clamp_(0, 1)[:, None]
            # The pattern keeps its period whatever share of the object a part is.
            grain = _weave(of(texture), turned_x, turned_y, share, own)[:, None]
            near, far = of(bright)[:, :, None, None], of(dark)[:, :, None, None]
            front = torch.lerp(far, near, grain)
            front *= (1 + 0.5 * dim * (off_x * to_x + off_y * to_y))[:, None]
            canvas.lerp_(front, cover)
            if every:
                masks |= distance < 0
            else:
                images[rows] = canvas
                masks[rows] |= distance < 0
    return masks


def _bent(x: Tensor, y: Tensor, bend: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Where a point lay before the object's plane was stretched and bent: in radii, as ``bend`` is, (n, 1, 1)."""
    if not bool((bend > 0).any()):
        return x, y
    long = 1 + 2 * bend * (2 * u[:, 10, None, None] - 1)
    first, second = TURN * u[:, 11, None, None], TURN * u[:, 12, None, None]
    return x * long + bend * torch.sin(2.6 * y + first), y / long + bend * torch.sin(2.6 * x + second)


def parts(scenes: Scenes) -> Iterator[tuple[Tensor, Tensor, Tensor, float]]:
    """The one or two parts of each scene: (n,) shape or -1, (n,) centre x, (n,) centre y, share of the radius."""
    label, x, y = scenes.label, 0.5 + scenes.dx, 0.5 + scenes.dy
    yield torch.where(label < 8, label, -1), x, y, 1.0
    tilt = scenes.tilt * (math.pi / 180)
    half = 0.5 * SPREAD * RADIUS * scenes.scale * scenes.gap
    table = [(SHAPES.index(a), direction, SHAPES.index(b)) for a, direction, b in ARRANGEMENTS.values()]
    which = (label - 8).clamp(min=0)
    direction = torch.tensor([row[1] for row in table], dtype=torch.float64)[which]
    off_x = half * (direction[:, 0] * torch.cos(tilt) - direction[:, 1] * torch.sin(tilt))
    off_y = half * (direction[:, 0] * torch.sin(tilt) + direction[:, 1] * torch.cos(tilt))
    for side, sign in ((0, 1.0), (2, -1.0)):
        shape = torch.tensor([row[side] for row in table])[which]
        yield torch.where(label < 8, -1, shape), x + sign * off_x, y + sign * off_y, PART


def _weave(texture: Tensor, x: Tensor, y: Tensor, share: float, u: Tensor) -> Tensor:
    """The pattern of each scene's texture: (n,) int64 and two (n, H, W) to (n, H, W) in 0 to 1."""
    period = (share * (0.85 + 0.3 * u[:, 13]))[:, None, None]
    x, y = (across * period + (0.3 * u[:, place] - 0.15)[:, None, None] for across, place in ((x, 14), (y, 15)))
    out = torch.empty_like(x)
    for number in texture.unique().tolist():
        rows = (texture == number).nonzero()[:, 0]
        name = TEXTURES[number]
        softness = 0.12 if name == "dots" else 0.35 if name == "grid" else 0.8
        out[rows] = edge(PATTERN[name](x[rows], y[rows]), softness)
    return out
