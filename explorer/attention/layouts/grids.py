"""Grids over the input frame, and index tables: position numbers sent through the same partition as the features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.attention.layouts.operations import Call


def positions(grid: tuple[int, int]) -> Tensor:
    """(1, rows x columns): the positions of a grid in reading order."""
    return torch.arange(grid[0] * grid[1]).view(1, -1)


def windows(
    grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int] = (0, 0), dilated: bool = False
) -> Tensor:
    """Positions (windows, entries) after roll, zero padding at the end and partition; ``dilated`` is MaxViT's grid."""
    index = positions(grid).view(*grid)
    if any(shift):
        index = index.roll((-shift[0], -shift[1]), (0, 1))
    index = F.pad(index, (0, -grid[1] % window[1], 0, -grid[0] % window[0]), value=-1)
    rows, columns = index.shape
    if dilated:
        index = index.view(window[0], rows // window[0], window[1], columns // window[1]).permute(1, 3, 0, 2)
    else:
        index = index.view(rows // window[0], window[0], columns // window[1], window[1]).transpose(1, 2)
    return index.reshape(-1, window[0] * window[1])


def fit_grid(tokens: int, call: Call, prefixes: Sequence[int] = (0,)) -> tuple[int, int, int] | None:
    """(rows, columns, prefix tokens) of a token sequence over the input frame, or None if no grid fits.

    The grid has the frame's aspect ratio exactly, or is the frame divided by one whole stride, rounded.
    """
    for prefix in prefixes:
        if (grid := grid_of(tokens - prefix, call.image_size)) is not None:
            return *grid, prefix
    return None


def grid_of(count: int, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, columns) of ``count`` places over the input frame (height, width), as `fit_grid` has it, or None."""
    height, width = image_size
    if count <= 0:
        return None
    rows = math.isqrt(count * height // width)
    for candidate in (rows, rows + 1):
        if candidate and count % candidate == 0 and candidate * width == count // candidate * height:
            return candidate, count // candidate
    for stride in range(1, min(height, width) + 1):
        for up_rows in (0, 1):
            for up_columns in (0, 1):
                rows = -(-height // stride) if up_rows else height // stride
                columns = -(-width // stride) if up_columns else width // stride
                if rows * columns == count:
                    return rows, columns
    return None


def prefix_names(root: Any, count: int) -> tuple[str, ...]:
    """What the leading tokens of a sequence are, as the network tells: class, distillation, registers."""
    learnt = getattr(root, "reg_token", None)
    known = learnt.shape[1] if isinstance(learnt, Tensor) else int(getattr(root, "num_reg_tokens", 0) or 0)
    registers = min(count, known)
    leading = ("class", "distillation")[: count - registers]
    names = leading + tuple(f"register {number + 1}" for number in range(registers))
    return names + tuple(f"prefix {number + 1}" for number in range(len(names), count))


def with_prefix(grid: tuple[int, int], prefix: int) -> Tensor:
    """(1, prefix + rows x columns): the index of a token sequence, prefix tokens by their codes."""
    return torch.cat([-2 - torch.arange(prefix).view(1, -1), positions(grid)], 1)


def expected_prefixes(call: Call) -> list[int]:
    """How many prefix tokens a sequence may have, likeliest first."""
    # In the middle of some models (xcit, cait) the class token has not joined yet, so none comes next; then any.
    expected = int(getattr(call.root, "num_prefix_tokens", 0) or 0)
    return list(dict.fromkeys([expected, 0, 1, 2, 4, 5, 8]))


def square(size: Any) -> tuple[int, int]:
    """A side or a (height, width) as timm keeps it: always a pair."""
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
