"""Shapes as signed distance functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TURN = 2 * math.pi


# Each takes coordinates in radii of the object, y down, and gives the distance to its edge, negative inside: exact near
# the edge, where antialiasing looks, but for the tips and inner corners of shapes made of two, where it is a bound.


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    dx, dy = x.abs() - half_width, y.abs() - half_height
    return torch.hypot(dx.clamp(min=0), dy.clamp(min=0)) + torch.maximum(dx, dy).clamp(max=0)


def _polygon(x: Tensor, y: Tensor, corners: Sequence[tuple[float, float]]) -> Tensor:
    """Distance to a simple polygon: the nearest edge, and the sign by counting crossings."""
    nearest = torch.full_like(x, math.inf)
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0])):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        nearest = torch.minimum(nearest, (px - ex * along) ** 2 + (py - ey * along) ** 2)
        if ey != 0:
            inside ^= ((y >= min(ay, by)) & (y < max(ay, by))) & (px - ex * (py / ey) < 0)
    distance = nearest.sqrt()
    return torch.where(inside, -distance, distance)


def _around(count: int, radii: Sequence[float], start: float = -math.pi / 2) -> list[tuple[float, float]]:
    angles = [start + 2 * math.pi * i / count for i in range(count)]
    return [(radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles)]


def _heart(t: float) -> tuple[float, float]:
    height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
    return 0.96 * math.sin(t) ** 3, -0.06 * height


_HEART = [_heart(TURN * i / 24) for i in range(24)]
DISTANCE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": lambda x, y: torch.hypot(x, y) - 0.86,
    "ring": lambda x, y: (torch.hypot(x, y) - 0.68).abs() - 0.24,
    "square": lambda x, y: _box(x, y, 0.76, 0.76),
    "bar": lambda x, y: _box(x, y, 1.05, 0.36),
    "cross": lambda x, y: torch.minimum(_box(x, y, 0.98, 0.3), _box(x, y, 0.3, 0.98)),
    "triangle": lambda x, y: _polygon(x, y + 0.12, _around(3, (1.08,))),
    "star": lambda x, y: _polygon(x, y, _around(10, (1.1, 0.45))),
    "heart": lambda x, y: _polygon(x, y, _HEART),
    "crescent": lambda x, y: torch.maximum(torch.hypot(x, y) - 0.95, 0.72 - torch.hypot(x - 0.48, y)),
    # a disc and the two tangents from a point above it
    "drop": lambda x, y: torch.minimum(
        torch.hypot(x, y - 0.35) - 0.6, _polygon(x, y, [(0.0, -1.1), (0.546, 0.102), (-0.546, 0.102)])
    ),
}
