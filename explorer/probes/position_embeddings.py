"""Where a network keeps position: found by the names of its parameters, taken out or moved."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from timm.models.eva import Eva
from torch import Tensor, nn

from explorer.blocks.mhsa import MultiHeadSelfAttention
from explorer.models.model import Model

#: Last part of the names of learnt position tables in timm and in the laboratory's blocks.
_ABSOLUTE = re.compile(
    r"(^|\.)(pos_embed\d?|pos_embed_(spatial|win|window)|absolute_pos(_embed)?|patch_pos|places|position_embedding_table)$"
)
_RELATIVE = re.compile(
    r"(^|\.)(relative_position_bias_table|attention_biases|rel_pos_[hw]|(height|width)_rel)$"
    r"|(^|\.)(cpb_mlp|meta_mlp|rel_pos)\."
)
#: What each kind is called, and whether it has places that can be moved.
KINDS = ("absolute", "relative", "rotary")


def position_kinds(module: nn.Module) -> tuple[str, ...]:
    """Which kinds of learnt or computed position the network has, of `KINDS`."""
    absolute, relative = position_names(module)
    rotary = isinstance(module, Eva) and module.rope is not None
    return tuple(kind for kind, has in zip(KINDS, (absolute, relative, rotary)) if has)


def without_position(model: Model, kind: str) -> Model:
    """A copy of the model with one kind of position zeroed.

    Of tables with rows for prefix tokens (class, registers), these rows stay: they are no place on the image. A rotary
    embedding turns by nothing. The model itself is not touched.
    """
    changed = copied(model)
    module = changed.module
    absolute, relative = position_names(module)
    with torch.no_grad():
        for name in absolute if kind == "absolute" else relative if kind == "relative" else ():
            table = module.get_parameter(name)
            if kind == "absolute":
                grid_part(table, _placed(table, model))[...] = 0
            else:
                table[: len(table) - _class_rows(name, table)] = 0
    if kind == "rotary":
        _change_rotary(module, _no_turn)
    return changed


def with_moved_position(model: Model, kind: str) -> Model | None:
    """A copy of the model whose positions on the grid are rolled by half the grid both ways.

    None where they have no places of their own (relative tables) or where these are not known.
    """
    changed = copied(model)
    module = changed.module
    if kind == "rotary":
        _change_rotary(module, _rolled_tokens)
        return changed
    if kind == "relative":
        return None
    with torch.no_grad():
        for name in position_names(module)[0]:
            table = module.get_parameter(name)
            placed = _placed(table, model)
            if placed.grid is None:
                return None
            part = grid_part(table, placed)
            rows, columns = placed.grid
            if placed.layout == "tokens":
                part.copy_(_rolled_tokens(part, placed.grid))
            else:
                axes = (1, 2) if placed.layout == "NHWC" else (2, 3)
                part.copy_(part.roll((rows // 2, columns // 2), axes))
    return changed


class GridPlaces(NamedTuple):
    """Where an absolute table keeps the places of a grid.

    Attributes:
        layout: "tokens" (..., prefix + rows * columns, C), "NHWC" or "NCHW".
        prefix: rows of prefix tokens, which come first.
        grid: (rows, columns), or None where not known.
    """

    layout: str
    prefix: int
    grid: tuple[int, int] | None


def grid_part(table: Tensor, placed: GridPlaces) -> Tensor:
    """The view of a table without the rows of its prefix tokens."""
    return table[..., placed.prefix :, :] if placed.layout == "tokens" else table


def _placed(table: Tensor, model: Model) -> GridPlaces:
    """Find out how a table lies on the grid of patches or of a stage."""
    module = model.module
    own = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    grids = [(int(own[0]), int(own[1]))] if own else []
    grids += [one.grid for one in model.stages if one.grid != (0, 0)]
    if table.ndim == 4:
        for grid in grids:
            if tuple(table.shape[2:]) == grid:
                return GridPlaces("NCHW", 0, grid)
            if tuple(table.shape[1:3]) == grid:
                return GridPlaces("NHWC", 0, grid)
        if table.shape[2] == table.shape[3]:
            return GridPlaces("NCHW", 0, (table.shape[2], table.shape[3]))
        if table.shape[1] == table.shape[2]:
            return GridPlaces("NHWC", 0, (table.shape[1], table.shape[2]))
        return GridPlaces("NCHW", 0, None)
    tokens, most = table.shape[-2], max(1, int(getattr(module, "num_prefix_tokens", 0) or 0))
    for rows, columns in grids:
        if 0 <= tokens - rows * columns <= most:
            return GridPlaces("tokens", tokens - rows * columns, (rows, columns))
    for prefix in {0, most}:
        side = math.isqrt(tokens - prefix)
        if side * side == tokens - prefix:
            return GridPlaces("tokens", prefix, (side, side))
    return GridPlaces("tokens", 0, None)


def position_names(module: nn.Module) -> tuple[list[str], list[str]]:
    """Names of the parameters that are absolute and relative positions."""
    names = [name for name, _ in module.named_parameters()]
    # The laboratory's attention calls its relative table "bias", as linear layers do theirs.
    own = [
        f"{path}.bias" if path else "bias"
        for path, part in module.named_modules()
        if isinstance(part, MultiHeadSelfAttention) and part.position == "relative"
    ]
    relative = [name for name in names if _RELATIVE.search(name) or name in own]
    return [name for name in names if _ABSOLUTE.search(name) and name not in relative], relative


def _class_rows(name: str, table: Tensor) -> int:
    """The last rows of a relative table that belong to the class token (BEiT: 3), which has no place."""
    length = len(table)
    square = math.isqrt(length) ** 2 == length
    with_class = length > 3 and math.isqrt(length - 3) ** 2 == length - 3
    return 3 if name.endswith("relative_position_bias_table") and table.ndim == 2 and with_class and not square else 0


def copied(model: Model) -> Model:
    """The model with a copy of its network, which may be changed."""
    with model.lock:
        module = copy.deepcopy(model.module)
    for part in module.modules():
        if isinstance(cache := getattr(part, "attention_bias_cache", None), dict):
            cache.clear()  # LeViT and its kin keep the bias that they computed of their table
    return dataclasses.replace(model, module=module)


def _change_rotary(module: Any, change: Callable[[Tensor, tuple[int, int]], Tensor]) -> None:
    """Change the rotary embedding of a copied network (sines and cosines, (..., N, 2 d)) whenever it is read."""
    grid, read = tuple(module.patch_embed.grid_size), module.rope.get_embed
    module.rope.get_embed = lambda *arguments, **named: change(read(*arguments, **named), grid)


def _no_turn(turn: Tensor, _: tuple[int, int]) -> Tensor:
    """Sines 0 and cosines 1, side by side as in ``turn``."""
    sines, cosines = turn.chunk(2, -1)
    return torch.cat([torch.zeros_like(sines), torch.ones_like(cosines)], -1)


def _rolled_tokens(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens (..., rows * columns, C) rolled by half the grid both ways."""
    rows, columns = grid
    return tokens.unflatten(-2, grid).roll((rows // 2, columns // 2), (-3, -2)).flatten(-3, -2)
