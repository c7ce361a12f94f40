"""Pictures resampled by an affine map, by windows where nothing has to be interpolated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Where a sampling point is taken to lie on a pixel centre, in pixels: far below what can be seen, far above rounding.
EXACT = 1e-6
Array = np.ndarray[Any, np.dtype[np.float64]]


def invert(linear: Array, offset: Array) -> tuple[Array, Array]:
    # By hand: exact for quarter turns, where a general solver need not be.
    (a, b), (c, d) = linear
    inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
    return inverse, -inverse @ offset


def grid_of(linear: Array, offset: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """x and y, each (h, w), of where every pixel centre goes."""
    x, y = np.arange(size[1]) + 0.5, np.arange(size[0])[:, None] + 0.5
    return linear[0, 0] * x + linear[0, 1] * y + offset[0], linear[1, 0] * x + linear[1, 1] * y + offset[1]


def samples_of(linear: Array) -> int:
    """Samples per output pixel and axis: as many as the pixels it covers, the longer way."""
    return max(1, math.ceil(np.linalg.norm(linear, 2) - EXACT))


def resample(images: Tensor, linear: Array, offset: Array, border: str) -> Tensor:
    """Show at every pixel centre p what ``images`` (B, C, h, w) have at ``linear @ p + offset``."""
    size = (images.shape[-2], images.shape[-1])
    tables = _tables(linear, offset, size)
    if tables is not None:
        rows, columns, transposed = tables
        out = extend(images, rows, columns, border)
        return out.transpose(-2, -1).contiguous() if transposed else out
    if border == "mean":
        mean = images.mean((-2, -1), keepdim=True)
        return _sample(images - mean, linear, offset, "zero") + mean
    return _sample(images, linear, offset, border)


def _tables(linear: Array, offset: Array, size: tuple[int, int]) -> tuple[Sequence[int], Sequence[int], bool] | None:
    """Which rows and columns to take, and whether to transpose, where pixel centres go to pixel centres; else None."""
    transposed = bool(abs(linear[0, 0]) < 0.5)
    signs = linear[::-1] if transposed else linear
    if np.abs(np.abs(signs) - np.eye(2)).max() > 1e-9:
        return None
    # Of the source pixel's index along x: source = sign * index + start
    sign_x, sign_y = (linear[0, 1], linear[1, 0]) if transposed else (linear[0, 0], linear[1, 1])
    start = offset + np.array([sign_x, sign_y]) / 2 - 0.5
    whole = np.rint(start)
    if np.abs(start - whole).max() > EXACT:
        return None
    height, width = size
    along_x, along_y = (height, width) if transposed else (width, height)
    columns = [round(sign_x) * k + int(whole[0]) for k in range(along_x)]
    rows = [round(sign_y) * k + int(whole[1]) for k in range(along_y)]
    return rows, columns, transposed


def extend(images: Tensor, rows: Sequence[int], columns: Sequence[int], border: str) -> Tensor:
    """Take rows and columns of ``images`` (..., H, W), continued beyond their frame by the border."""
    height, width = images.shape[-2:]
    if border == "mean":
        mean = images.mean((-2, -1), keepdim=True)
    kept = []
    for wanted, size, axis in ((rows, height, -2), (columns, width, -1)):
        index = np.asarray(wanted)
        if border == "wrap":
            source = index % size
        elif border == "reflect":
            source = index % (2 * size)
            source = np.minimum(source, 2 * size - 1 - source)
        else:
            source = index.clip(0, size - 1)
        kept.append(torch.from_numpy((index >= 0) & (index < size)).to(images.device))
        images = images.index_select(axis, torch.from_numpy(source).to(images.device))
    if border in ("zero", "mean"):
        inside = kept[0][:, None] & kept[1]
        return torch.where(inside, images, mean if border == "mean" else 0)
    return images


def _sample(images: Tensor, linear: Array, offset: Array, border: str) -> Tensor:
    """As `resample`, by bilinear samples; ``border`` may also be "clamp", the edge continued."""
    height, width = images.shape[-2:]
    # float64 where the images are, float32 otherwise: half precision cannot tell pixels apart, and MPS has no float64.
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    source = images.to(dtype)
    margin = 0
    if border == "wrap":
        source, margin = F.pad(source, (1, 1, 1, 1), mode="circular"), 1  # samples between the last and first pixel
    samples = samples_of(linear)
    x, y = grid_of(linear, offset, (height, width))
    total = torch.zeros_like(images, dtype=dtype)
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    for across in steps:
        for down in steps:
            shifted = []
            for axis, (values, size) in enumerate(((x, width), (y, height))):
                place = values + (linear[axis, 0] * across + linear[axis, 1] * down)
                if border == "wrap":
                    place = place % size
                elif border == "reflect":
                    place = place % (2 * size)
                    place = np.minimum(place, 2 * size - place)
                shifted.append((place + margin) * (2 / (size + 2 * margin)) - 1)
            grid = torch.from_numpy(np.stack(shifted, -1)).to(dtype).to(images.device)
            total += F.grid_sample(
                source,
                grid.expand(len(images), -1, -1, -1),
                mode="bilinear",
                padding_mode="zeros" if border == "zero" else "border",
                align_corners=False,
            )
    return (total / samples**2).to(images.dtype)
