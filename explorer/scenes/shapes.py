"""Shapes as signed distance functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

TURN = 2 * math.pi


# Each takes coordinates in radii of the object, y down, and gives the distance to its edge, negative inside: exact near
# the edge, where antialiasing looks, but for the tips and inner corners of shapes made of two, where it is a bound.
# Folding the plane along a shape's mirrors leaves one straight edge to measure.


def _norm(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt()  # three times as fast as hypot on a CPU, and nothing here overflows


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    dx, dy = x.abs() - half_width, y.abs() - half_height
    return _norm(dx.clamp(min=0), dy.clamp(min=0)) + torch.maximum(dx, dy).clamp(max=0)


def _folded(x: Tensor, y: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Bring what lies beyond a mirror through the origin, whose normal has this angle, to the side before it."""
    nx, ny = math.cos(angle), math.sin(angle)
    beyond = 2 * (x * nx + y * ny).clamp(min=0)
    return x - beyond * nx, y - beyond * ny


def _edge(x: Tensor, y: Tensor, a: tuple[float, float], b: tuple[float, float]) -> Tensor:
    """Distance to the segment from a to b; negative on the right of who goes from a to b, y being down."""
    ex, ey = b[0] - a[0], b[1] - a[1]
    px, py = x - a[0], y - a[1]
    along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0, 1)
    return torch.copysign(_norm(px - ex * along, py - ey * along), px * ey - py * ex)


def _star(x: Tensor, y: Tensor, count: int, outer: float, inner: float) -> Tensor:
    """A star of ``count`` points, one of them up; a polygon where the inner radius is that of its sides' middles."""
    half = math.pi / count
    # All is brought to the right half of the upper point: first from the left, then from sector after sector.
    x = x.abs()
    for turns in range(count // 2, 0, -1):
        x, y = _folded(x, y, (2 * turns - 1) * half)
        x = x.abs()
    return _edge(x, y, (0.0, -outer), (inner * math.sin(half), -inner * math.cos(half)))


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """A square on its corner, and half a disc on each of its upper sides."""
    x, y, high = x.abs(), 0.88 - y, 1.58  # from the tip up to where the discs meet
    disc = _norm(x - high / 4, y - 0.75 * high) - high * math.sqrt(2) / 4
    middle = 0.5 * (x + y).clamp(min=0)
    square = torch.minimum(x * x + (y - high) ** 2, (x - middle) ** 2 + (y - middle) ** 2).sqrt()
    return torch.where(x + y > high, disc, torch.copysign(square, x - y))


def _drop(x: Tensor, y: Tensor) -> Tensor:
    """A disc and the two tangents from a point above it."""
    x = x.abs()
    cone = torch.maximum(_edge(x, y, (0.0, -1.1), (0.546, 0.102)), y - 0.102)
    return torch.minimum(_norm(x, y - 0.35) - 0.6, cone)


DISTANCE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": lambda x, y: _norm(x, y) - 0.86,
    "ring": lambda x, y: (_norm(x, y) - 0.68).abs() - 0.24,
    "square": lambda x, y: _box(x, y, 0.76, 0.76),
    "bar": lambda x, y: _box(x, y, 1.05, 0.36),
    "cross": lambda x, y: torch.minimum(_box(x, y, 0.98, 0.3), _box(x, y, 0.3, 0.98)),
    "triangle": lambda x, y: _star(x, y + 0.12, 3, 1.08, 0.54),
    "star": lambda x, y: _star(x, y, 5, 1.1, 0.45),
    "heart": _heart,
    "crescent": lambda x, y: torch.maximum(_norm(x, y) - 0.95, 0.72 - _norm(x - 0.48, y)),
    "drop": _drop,
}
