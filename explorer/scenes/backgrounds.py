"""Backgrounds: four families in three hues, over the statistics of photographs, with things that lie about."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from explorer.scenes.chance import bits, mix
from explorer.scenes.shapes import TURN

#: Cosines along each axis of a field; the finest has a wave of 1/8 of the frame.
FREQUENCIES = 20
#: Share of a cosine's half period that the frame does not show: its ends would look like a mirror.
_MARGIN = 0.1
#: Contrast of a background's fields by family, shares of its brightness, and that of their colours.
CONTRAST = {"noise": 0.45, "gradient": 0.22, "clutter": 0.18, "weave": 0.18}
_COLOUR = 0.09
#: Numbers that describe one stick: whether it is there, its middle, turn, length, width and colours.
STICK = 8


def colours(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """HSV to RGB: three (n,) in 0 to 1 to (n, 3)."""
    k = (torch.tensor([5.0, 3.0, 1.0], device=hue.device, dtype=hue.dtype) + hue[:, None] * 6) % 6
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] * ramp)


@lru_cache(maxsize=8)
def _waves(size: int) -> tuple[Tensor, Tensor]:
    """Cosines at the pixels of a frame (size, FREQUENCIES), and the amplitude of each product (F, F)."""

    def cosines(pixels: int) -> Tensor:
        axis = _MARGIN + (1 - 2 * _MARGIN) * (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels
        return torch.cos(math.pi * axis[:, None] * torch.arange(FREQUENCIES))

    frequency = torch.arange(FREQUENCIES, dtype=torch.float64)
    amplitude = 1 / torch.hypot(frequency[:, None], frequency).clamp(min=1)
    amplitude[0, 0] = 0.0
    power = cosines(1024).square().mean(0)  # the same for every size
    # Uniform numbers in -1 to 1 have a variance of 1/3.
    amplitude = amplitude / (amplitude**2 * power[:, None] * power / 3).sum().sqrt()
    return cosines(size).float(), amplitude.float()


def fields(keys: Tensor, size: int) -> Tensor:
    """Random fields whose amplitude falls as 1/f, as that of photographs does (Field 1987).

    A sum of products of cosines, so a field is the same at any resolution: (n,) int64 keys to (n, 3, size, size), mean
    about 0 and standard deviation about 1.
    """
    wave, amplitude = (one.to(keys.device) for one in _waves(size))
    random = bits(keys, 3 * FREQUENCIES**2).view(-1, FREQUENCIES, FREQUENCIES)
    mixed = random.float().mul_(2.0**-31).mul_(amplitude)
    rows = wave.expand(len(mixed), -1, -1)
    return torch.bmm(torch.bmm(rows, mixed), rows.transpose(1, 2)).view(len(keys), 3, size, size)


def detail(keys: Tensor, contrast: Tensor, size: int) -> Tensor:
    """What any background varies by: (n,) keys and contrasts to (n, 3, size, size), the three colours much alike."""
    light, first, second = fields(mix(keys + 3), size).unbind(1)
    light = light * contrast[:, None, None]
    first, second = _COLOUR * first, _COLOUR * second
    return torch.stack([light + first, light - 0.5 * (first + second), light + second], 1)


def backdrop(family: str, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """A family's pattern: (H, W) frame coordinates and (n, 36) random numbers to (n, H, W) in about -1 to 1."""

    def col(i: int) -> Tensor:
        return u[:, i, None, None]

    if family == "noise":
        return torch.zeros(len(u), *x.shape, device=x.device)
    if family == "gradient":
        turn = col(0) * TURN
        return 1.6 * ((x - 0.5) * torch.cos(turn) + (y - 0.5) * torch.sin(turn)) + 0 * col(0)
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


def stick(x: Tensor, y: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A stick with round ends: (H, W) coordinates and (n, STICK) random numbers to its distance and its colour.

    Returns (n, H, W), shares of the frame, negative inside; and (n, 3).
    """
    turn, half = u[:, 3] * TURN, 0.08 + 0.17 * u[:, 4]
    c, s, long = (v[:, None, None] for v in (torch.cos(turn), torch.sin(turn), half))
    off_x, off_y = x - u[:, 1, None, None], y - u[:, 2, None, None]
    beyond = (off_x * c + off_y * s).abs_().sub_(long).clamp_(min=0)
    across = off_y * c - off_x * s
    distance = (beyond * beyond + across * across).sqrt() - (0.012 + 0.014 * u[:, 5])[:, None, None]
    return distance, colours(u[:, 6], 0.15 + 0.35 * u[:, 6], 0.2 + 0.6 * u[:, 7])
