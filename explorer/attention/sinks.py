"""Which cells take weight whatever asks? Attention sinks of a map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap, Layout

#: How many even shares a sink gets from a query, and from what share of the queries at least.
#: In a pretrained ViT-Ti/16 the four corners, which its last four layers use so, get 7 to 38 even shares from nine
#: queries in ten; no other cell gets more than 3.3, and none of an untrained one more than 2. Five lies between.
TIMES, NEARLY_ALL = 5.0, 0.9
#: Of fewer queries than this nine in ten are not told from all.
FEWEST = 10
#: Weights that are looked at in one map; of a larger one every n-th query is.
MOST = 2**17


@dataclass(frozen=True)
class Sinks:
    """The sinks of one head, or of the mean over heads.

    Attributes:
        cells: their flat positions on the map's key grid, that with the most weight first.
        share: of all weight of all queries, what lies on them, 0 to 1.
    """

    cells: tuple[int, ...] = ()
    share: float = 0.0


def sinks(one: AttentionMap, item: int = 0) -> tuple[Sinks, ...]:
    """Which cells of a map are attention sinks, and how much of its weight do they take?

    A cell is a sink where at least 90 % of the queries that can attend to it, wherever they are and prefix tokens
    among them, give it at least five times an even share (five times 1 / keys) each. So its share over all queries is
    far above an even one, and not because of a few queries. A cell that some of the picture's queries attend to, as
    those on the same object, is none. Prefix tokens are not cells; `AttentionMap.prefix_mass` tells what they get.

    Args:
        one: the map; only pairwise attention, where queries differ, can have sinks.
        item: which image of the batch.

    Returns the sinks of the mean over heads, then of each head. Empty where the map is of another kind, or asked by
    fewer than ten queries. Of a map of more than 2^17 weights, queries spread evenly over the image are looked at.

    Source: Darcet et al. 2024, Vision Transformers Need Registers (patches of little own content that are used to hold
    what is global); Xiao et al. 2024, Efficient Streaming Language Models with Attention Sinks (the word).
    """
    layout = one.layout
    if one.kind != "pairwise" or layout is None or layout.query_index is None:
        return ()
    cells = layout.key_grid[0] * layout.key_grid[1]
    taken = torch.ones(1 + one.heads, cells, dtype=torch.bool)
    mass = torch.zeros(1 + one.heads, cells)
    reached = torch.zeros(cells, dtype=torch.bool)
    asked = 0
    for weights, keys in by_group(one, layout, item):
        if weights.shape[1] < FEWEST:
            return ()
        if (keys == -1).any():
            weights, keys = weights[:, :, keys != -1], keys[keys != -1]
        steady = (weights >= TIMES / len(keys)).float().mean(1) >= NEARLY_ALL
        here = keys >= 0
        taken[:, keys[here]] &= steady[:, here]
        mass.index_add_(1, keys[here], weights.sum(1)[:, here])
        reached[keys[here]] = True
        asked += weights.shape[1]
    taken &= reached
    return tuple(_told(own, share) for own, share in zip(taken, mass / max(asked, 1)))


def _told(taken: Tensor, share: Tensor) -> Sinks:
    order = torch.where(taken, share, -1.0).argsort(descending=True)[: int(taken.sum())]
    return Sinks(tuple(order.tolist()), float(share[order].sum()))


def by_group(one: AttentionMap, layout: Layout, item: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each group the weights of its queries, (1 + heads, queries, keys), their mean first, and its keys."""
    _, groups, heads, queries, keys = one.weights.shape
    assert layout.query_index is not None
    step = _step(groups * heads * queries * keys, layout.key_grid[1])
    for group in range(groups):
        index = layout.query_index[group if len(layout.query_index) > 1 else 0]
        if step == 1:
            weights = one.weights.block(item, group, 0, queries)[:, index != -1]
        else:
            chosen = (index != -1).nonzero()[::step, 0].tolist()
            weights = torch.cat([one.weights.block(item, group, at, at + 1) for at in chosen], 1)
        weights = weights.cpu()
        yield torch.cat([weights.mean(0, keepdim=True), weights]), layout.key_index[group % len(layout.key_index)]


def _step(weights: int, columns: int) -> int:
    """Every how many-th query is looked at; never all in the same columns."""
    step = -(-weights // MOST)
    while step > 1 and math.gcd(step, columns) > 1:
        step += 1
    return step
