"""What several blocks share: how many heads, how many channels between, and channels last."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from explorer.errors import ParameterError
from explorer.messages import Message


def divisor(channels: int, asked: int, what: str) -> int:
    """Into how many heads (or groups) do the channels go? As asked, or for 0 those nearest to 32 channels each.

    Nearest as a ratio: 48 channels make 2 heads of 24, 128 make 4 of 32, 37 make one. Raises ParameterError where what
    is asked does not divide the channels.
    """
    if asked and channels % asked:
        raise ParameterError(
            Message(
                "{count} {parts} do not divide {channels} channels; take a divisor, or 0",
                count=asked,
                parts=what,
                channels=channels,
            )
        )
    divisors = [count for count in range(1, channels + 1) if channels % count == 0]
    return asked or min(divisors, key=lambda count: abs(math.log2(channels / count / 32)))


def between(channels: int, reduction: int) -> int:
    """Channels of a bottleneck: ``channels`` / ``reduction``, at least 8, and never more than there are."""
    return max(channels // reduction, min(channels, 8))


def resized(places: Tensor, rows: int, columns: int) -> Tensor:
    """Interpolate learnt positions (1, C, rows made for, columns made for) to the grid at hand."""
    if places.shape[-2:] == (rows, columns):
        return places
    return F.interpolate(places.float(), (rows, columns), mode="bilinear", align_corners=True).to(places.dtype)


def channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H, W, C), where a 1x1 convolution is one matrix product over the last axis."""
    return x.permute(0, 2, 3, 1)


def channels_second(x: Tensor) -> Tensor:
    """(B, H, W, C) back to (B, C, H, W)."""
    return x.permute(0, 3, 1, 2)


class ConvNormSilu(nn.Sequential):
    """Convolution without bias that keeps the size, batch norm, SiLU."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out),
            nn.SiLU(inplace=True),
        )
