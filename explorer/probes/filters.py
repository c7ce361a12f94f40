"""Pictures reduced to their edges or outlines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: ITU-R BT.601: the weights of red, green and blue in the brightness.
_LUMA = (0.299, 0.587, 0.114)
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def greyscale(x: Tensor) -> Tensor:
    """0.299 R + 0.587 G + 0.114 B in all three channels: (B, 3, H, W) to (B, 3, H, W)."""
    return (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True).expand(-1, 3, -1, -1)


def sobel(x: Tensor) -> Tensor:
    """The length of the Sobel gradient of the brightness over its maximum in the picture: bright edges on black.

    sqrt(Gx^2 + Gy^2) with Gx correlated with [-1 0 1; -2 0 2; -1 0 1] and Gy with its transpose, the edge pixel
    repeated; black where the picture has no edge. (B, 3, H, W) in 0..1 to the same.
    """
    across = _filtered(x, _SOBEL)
    down = _filtered(x, tuple(zip(*_SOBEL)))
    length = torch.hypot(across, down)
    return _over(length, length.amax((2, 3), keepdim=True)).expand(-1, 3, -1, -1)


def laplacian(x: Tensor) -> Tensor:
    """The Laplacian of the brightness on mid-grey: 0.5 + 0.5 L / max |L|, the maximum over the picture.

    L is correlated with [0 1 0; 1 -4 1; 0 1 0], the edge pixel repeated; mid-grey where the picture has no edge.
    (B, 3, H, W) in 0..1 to the same.
    """
    found = _filtered(x, _LAPLACIAN)
    return (0.5 + 0.5 * _over(found, found.abs().amax((2, 3), keepdim=True))).expand(-1, 3, -1, -1)


def silhouette(masks: Tensor) -> Tensor:
    """The object black on white: (B, H, W) bool to (B, 3, H, W)."""
    return (~masks)[:, None].float().expand(-1, 3, -1, -1)


def _filtered(x: Tensor, kernel: Sequence[Sequence[float]]) -> Tensor:
    """The brightness correlated with a 3 x 3 kernel, the edge pixel repeated: (B, 3, H, W) to (B, 1, H, W)."""
    return F.conv2d(F.pad(greyscale(x)[:, :1], (1, 1, 1, 1), mode="replicate"), x.new_tensor(kernel)[None, None])


def _over(values: Tensor, largest: Tensor) -> Tensor:
    """Values over the largest of their picture; what is below rounding counts as no edge."""
    return torch.where(largest > 1e-5, values / largest.clamp(min=1e-5), 0.0)
