"""How much of a map lies on the object? Its mass there, over what an even map would have there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap


def mass_ratio(values: Tensor, mask: Tensor) -> float | None:
    """The share of a map's mass on the object, over the object's share of the frame; 1 for an even map.

    Args:
        values: (h, w), none negative.
        mask: (H, W) bool; brought to the map's grid by area.

    Returns None where the map has no mass, or the mask no pixel.
    """
    covered = by_area(mask, (values.shape[0], values.shape[1]))
    values = values.cpu().double()
    mass, share = float(values.sum()), float(covered.mean())
    if mass <= 0 or share <= 0:
        return None
    return float((values * covered).sum()) / mass / share


def by_area(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """The share of each cell of a grid that a mask (H, W) covers: (rows, columns) float64."""
    rows, columns = (_overlap(size, cells) for size, cells in zip(mask.shape, grid))
    return rows @ mask.cpu().double() @ columns.T


@lru_cache(maxsize=16)
def _overlap(size: int, cells: int) -> Tensor:
    """(cells, size): the share of each cell that each of ``size`` pixels has, both lying evenly on one length."""
    pixel, cell = torch.arange(size) * cells, torch.arange(cells)[:, None] * size  # left ends; whole numbers are exact
    common = torch.minimum(pixel + cells, cell + size) - torch.maximum(pixel, cell)
    return common.clamp(min=0).double() / size


def placed(maps: Iterable[AttentionMap]) -> dict[str, AttentionMap]:
    """One map a module: the last that lies on the image in both directions (of strips their product), if any."""
    out: dict[str, AttentionMap] = {}
    for one in maps:
        if one.on_image:
            out[one.module] = one
    return out


def map_ratios(one: AttentionMap, masks: Tensor) -> list[float | None]:
    """The `mass_ratio` of a native map for every picture of its batch, heads (or channels) averaged.

    Of a map with queries, the mean over the queries on the object, each counted by the part of its cell that the object
    covers; a gate's ratio is its mean on the object over its mean everywhere.

    Args:
        one: the map.
        masks: (batch, H, W) bool.

    None for a picture whose map has no mass on the image, or whose mask has no pixel.
    """
    layout = one.layout
    assert layout is not None
    out: list[float | None] = []
    for item, mask in enumerate(masks):
        keys = torch.cat([by_area(mask, layout.key_grid).flatten(), torch.zeros(1, dtype=torch.float64)])
        on_object = on_image = 0.0
        for group in range(one.weights.shape[1]):
            weights = one.weights.block(item, group, 0, one.weights.shape[3]).mean(0).cpu().double()
            index = layout.key_index[group if len(layout.key_index) > 1 else 0]
            asked = torch.ones(len(weights), dtype=torch.float64)
            if layout.query_grid is not None and layout.query_index is not None:
                queries = torch.cat([by_area(mask, layout.query_grid).flatten(), torch.zeros(1, dtype=torch.float64)])
                where = layout.query_index[group if len(layout.query_index) > 1 else 0]
                asked = queries[where.clamp(min=-1)]  # prefix tokens and padding lie nowhere: the zero at the end
            mass = asked @ weights
            on_object += float((mass * keys[index.clamp(min=-1)]).sum())
            on_image += float(mass[index >= 0].sum())
        share = float(mask.cpu().double().mean())
        out.append(on_object / on_image / share if on_image > 0 and share > 0 else None)
    return out


def received(one: AttentionMap) -> Tensor:
    """What each place on the image gets: (images, heads, rows, columns) float64 on the CPU, the mean over queries.

    Queries are those on the image. A map without queries is its own row, and its heads (channels of a gate) are
    averaged into one.
    """
    layout = one.layout
    assert layout is not None
    images, groups, heads, queries, _ = one.weights.shape
    heads = heads if one.per_query else 1
    cells = layout.key_grid[0] * layout.key_grid[1]
    out = torch.zeros(images, heads, cells, dtype=torch.float64)
    asked = 0
    for group in range(groups):
        keys = layout.key_index[group if len(layout.key_index) > 1 else 0].cpu()
        on_image = torch.ones(queries, dtype=torch.bool)
        if layout.query_index is not None:
            on_image = layout.query_index[group if len(layout.query_index) > 1 else 0].cpu() >= 0
        asked += int(on_image.sum())
        for item in range(images):
            weights = one.weights.block(item, group, 0, queries).cpu().double()
            mass = (weights if one.per_query else weights.mean(0, keepdim=True))[:, on_image].sum(1)
            out[item].index_add_(1, keys[keys >= 0], mass[:, keys >= 0])
    return out.view(images, heads, *layout.key_grid) / max(1, asked)
