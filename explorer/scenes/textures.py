"""Textures as patterns over the plane."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from explorer.scenes.shapes import TURN


def edge(values: Tensor, softness: float = 0.35) -> Tensor:
    """A soft step at 0, so that patterns do not alias."""
    return (values / softness + 0.5).clamp(0, 1)


_PERIOD = 0.42  # of a pattern, in radii of the object: 5.4 px at 48 px


def _wave(x: Tensor) -> Tensor:
    return torch.sin(x * (TURN / _PERIOD))


def _cell(x: Tensor, period: float) -> Tensor:
    """Distance to the middle of the cell of a period, as a share of it, -0.5 to 0.5."""
    return x / period - torch.floor(x / period) - 0.5


def _bricks(x: Tensor, y: Tensor) -> Tensor:
    row = torch.floor(y / 0.36)
    across = _cell(x + 0.36 * (row % 2), 0.72)
    return torch.minimum((0.5 - _cell(y, 0.36).abs()) * 0.36, (0.5 - across.abs()) * 0.72) / 0.12 - 0.6


PATTERN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "plain": lambda x, _y: torch.ones_like(x),
    "stripes": lambda _x, y: _wave(y),
    "pales": lambda x, _y: _wave(x),
    "checks": lambda x, y: 2 * _wave(x * 0.75) * _wave(y * 0.75),
    "dots": lambda x, y: 0.3 - torch.hypot(_cell(x, 0.44), _cell(y, 0.44)),
    "rings": lambda x, y: _wave(torch.hypot(x, y)),
    "zigzag": lambda x, y: _wave(y + 0.5 * (_cell(x, 0.7).abs())),
    "grid": lambda x, y: torch.maximum(_cell(x, 0.5).abs(), _cell(y, 0.5).abs()) * 2 - 0.62,
    "bricks": _bricks,
    "speckle": lambda x, y: (
        torch.sin(9.1 * x + 3.7 * y) + torch.sin(-5.3 * x + 8.9 * y + 1.3) + torch.sin(12.7 * x - 7.9 * y + 4.1)
    ),
    "rays": lambda x, y: torch.sin(9 * torch.atan2(y, x)),
    "waves": lambda x, y: _wave(0.75 * (x - y) + 0.13 * torch.sin(6 * (x + y))),
}
