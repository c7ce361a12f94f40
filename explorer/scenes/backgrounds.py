"""Backgrounds: four families in three hues."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.scenes.shapes import TURN


def colours(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """HSV to RGB: three (n,) in 0 to 1 to (n, 3)."""
    k = (torch.tensor([5.0, 3.0, 1.0], device=hue.device, dtype=hue.dtype) + hue[:, None] * 6) % 6
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] * ramp)


def backdrop(family: str, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """One family of backgrounds: (H, W) frame coordinates and (n, 40) random numbers to (n, H, W) in about -1 to 1."""

    def col(i: int) -> Tensor:
        return u[:, i, None, None]

    if family == "gradient":
        turn = col(0) * TURN
        return 1.6 * ((x - 0.5) * torch.cos(turn) + (y - 0.5) * torch.sin(turn)) + 0 * col(0)
    if family == "noise":
        total = torch.zeros((), device=x.device, dtype=x.dtype)
        for i in range(5):
            turn, rate = col(3 * i) * TURN, TURN * (1.0 + 3.0 * col(3 * i + 1))
            total = total + torch.sin(rate * (x * torch.cos(turn) + y * torch.sin(turn)) + TURN * col(3 * i + 2))
        return total / 2.4
    if family == "clutter":
        total = torch.zeros((), device=x.device, dtype=x.dtype)
        for i in range(9):
            r, tone = 0.03 + 0.07 * col(4 * i + 2), 1.6 * col(4 * i + 3) - 0.8
            off_x, off_y = x - col(4 * i), y - col(4 * i + 1)
            far = torch.hypot(off_x, off_y) if i % 2 else torch.maximum(off_x.abs(), off_y.abs())
            total = total + tone * ((r - far) * 60 + 0.5).clamp(0, 1)
        return total.clamp(-1, 1)
    turn, rate = col(0) * TURN, TURN * (7.0 + 3.0 * col(1))
    along, across = x * torch.cos(turn) + y * torch.sin(turn), -x * torch.sin(turn) + y * torch.cos(turn)
    return 0.8 * torch.sin(rate * along) * torch.sin(rate * across)
