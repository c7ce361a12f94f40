"""Derivatives of a network along a group of movements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.messages import Message
from explorer.probes.equivariance import fourier_shift

Group = Literal["translation x", "translation y", "scale", "rotation"]
#: What the derivative is with respect to, by group.
PER: dict[str, str] = {
    "translation x": "px",
    "translation y": "px",
    "scale": Message("unit of log zoom"),
    "rotation": "radian",
}
#: How pictures are moved: see `displaced`.
Scheme = Literal["fourier", "central", "one-sided"]


def lie_derivative(
    f: Callable[[Tensor], Tensor],
    images: Tensor,
    group: Group = "translation x",
    step: float = 0.02,
    scheme: Scheme = "fourier",
) -> Tensor:
    """How fast a function's outputs change as its input moves: d/dt f(T_t x) at t = 0, a central difference.

    Of a function whose outputs should not depend on t this is the error of invariance.

    Args:
        f: (B, 3, H, W) to (B, outputs); called twice.
        images: (B, 3, H, W) float32.
        group: what moves: everything to the right ("translation x") or down ("translation y"), or about the middle,
            larger ("scale") or anticlockwise ("rotation").
        step: how far either way, px; for scale and rotation of the middle of the frame's left and right edge.
        scheme: see `displaced`.

    Returns (B, outputs): per px for translations, per unit of log zoom for scale, per radian for rotation. Its error
    is of order step^2 for "fourier". Times (W - 1) / 2, or (H - 1) / 2, a translation's is in the units of
    affine_grid with aligned corners, in which scale and rotation are already.
    """
    less, more = (f(displaced(images, group, sign * step, scheme)) for sign in (-1, 1))
    return (more - less) / (2 * amount(group, step, images.shape[-1]))


def amount(group: Group, step: float, width: int) -> float:
    """A step in px in the group's own unit; see `PER`."""
    return step if group.startswith("translation") else step / (width / 2)


def displaced(images: Tensor, group: Group, step: float, scheme: str = "fourier") -> Tensor:
    """Images (B, C, H, W) moved by a signed step in px, see `lie_derivative`.

    Translations of scheme "fourier" are Fourier shifts, round the frame. Everything else is sampled bilinearly, with
    what lies outside the frame reflected. (`Transform` averages more samples where it shrinks than where it enlarges,
    which would be taken for a derivative.) Scheme "one-sided" is no move but goes along the `tangent` of sampling at
    rest.
    """
    if scheme == "one-sided":
        return images + amount(group, step, images.shape[-1]) * tangent(images, group)
    if scheme == "fourier" and group.startswith("translation"):
        return fourier_shift(images, step, -1 if group.endswith("x") else -2)
    height, width = images.shape[-2:]
    by = amount(group, step, width)
    # Where each output pixel is read, in affine_grid's units: the inverse of the move.
    read = {
        "translation x": [[1.0, 0.0, -2 * by / width], [0.0, 1.0, 0.0]],
        "translation y": [[1.0, 0.0, 0.0], [0.0, 1.0, -2 * by / height]],
        "scale": [[math.exp(-by), 0.0, 0.0], [0.0, math.exp(-by), 0.0]],
        "rotation": [
            [math.cos(by), -math.sin(by) * height / width, 0.0],
            [math.sin(by) * width / height, math.cos(by), 0.0],
        ],
    }[group]
    theta = torch.tensor(read, dtype=images.dtype, device=images.device).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def tangent(images: Tensor, group: Group) -> Tensor:
    """How fast bilinear sampling changes images (B, C, H, W) as they begin to move, by automatic differentiation.

    At rest every sample lies on a pixel, where bilinear interpolation has a kink: its derivative is the difference to
    one neighbour, and to which is left to the rounding of the sampling position in float32. This follows what the code
    of Gruver et al. 2023 does: positions of affine_grid with aligned corners, rounded down, and an edge that goes on.

    Returns (B, C, H, W), per unit of `amount`.
    """
    height, width = images.shape[-2:]
    still = torch.eye(2, 3, device=images.device)[None]
    grid = F.affine_grid(still, [1, 1, height, width], align_corners=True)[0]
    x, y = (grid[..., 0] + 1) / 2 * (width - 1), (grid[..., 1] + 1) / 2 * (height - 1)
    left, top = x.floor(), y.floor()

    def at(row: Tensor, column: Tensor) -> Tensor:
        return images[..., row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]

    over, down = x - left, y - top
    along_x = torch.lerp(at(top, left + 1) - at(top, left), at(top + 1, left + 1) - at(top + 1, left), down)
    along_y = torch.lerp(at(top + 1, left) - at(top, left), at(top + 1, left + 1) - at(top, left + 1), over)
    # Where each pixel is read moves against the picture; scale and rotation are about the middle.
    right, below = x - (width - 1) / 2, y - (height - 1) / 2
    speed_x, speed_y = {
        "translation x": (-torch.ones_like(x), torch.zeros_like(y)),
        "translation y": (torch.zeros_like(x), -torch.ones_like(y)),
        "scale": (-right, -below),
        "rotation": (-below, right),
    }[group]
    return along_x * speed_x + along_y * speed_y
