"""Masks of objects, and pictures with parts taken out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Sigma of the blur that fills in, share of the input's shorter side: 11 px of 224.
BLUR = 0.05


def boxes(masks: Tensor) -> Tensor:
    """The bounding boxes of masks, filled: (..., H, W) bool to the same."""

    def span(seen: Tensor) -> Tensor:
        """From the first True to the last."""
        return (seen.cumsum(-1) > 0) & (seen.flip(-1).cumsum(-1) > 0).flip(-1)

    return span(masks.any(-1))[..., :, None] & span(masks.any(-2))[..., None, :]


def gaussian_blur(x: Tensor, sigma: float, reach: int | None = None) -> Tensor:
    """Blur pictures (B, C, H, W): Gaussian weights, cut and normalised, the edge pixel repeated.

    Args:
        x: pictures.
        sigma: standard deviation, px; 0 leaves them as they are.
        reach: where the weights are cut, px from their middle; 4 sigma if None.
    """
    if sigma <= 0:
        return x
    reach = int(4 * sigma + 0.5) if reach is None else reach
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(x)
    channels = x.shape[1]
    for shape, border in (((1, 1, -1, 1), (0, 0, reach, reach)), ((1, 1, 1, -1), (reach, reach, 0, 0))):
        weight = kernel.view(*shape).expand(channels, -1, -1, -1)
        x = F.conv2d(F.pad(x, border, mode="replicate"), weight, groups=channels)
    return x
