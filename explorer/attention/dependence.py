"""Does it matter which place asks? How much a layer's attention depends on the query, and which layer opens."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.attention.maps import AttentionMap
from explorer.attention.sinks import by_group

#: A layer's queries matter where its dependence is at least this part of the largest in the network, and this at least.
#: Pretrained ViTs fall from 0.7 to 0.1 in the last layers, where sinks take over; untrained ones have 0.02 throughout.
PART, LEAST = 0.5, 0.05


def query_dependence(one: AttentionMap, item: int = 0) -> float | None:
    """How much does what a map attends to depend on which place asks?

    The mean over queries of the total variation distance, half the sum of |a - b|, between a query's row (heads
    averaged) and the mean row of all queries that share its keys: 0 where every place gets the same row, towards 1
    where no two look at the same cells.

    Args:
        one: the map; of a large one, as for `sinks`, some of the queries are looked at.
        item: which image of the batch.

    Returns None where the row is the same for every query by construction, or the map has no place on the image.
    """
    layout = one.layout
    if layout is None or layout.query_index is None:
        return None
    total, asked = 0.0, 0
    for weights, _ in by_group(one, layout, item):
        mean = weights[0]
        total += float((mean - mean.mean(0)).abs().sum()) / 2
        asked += len(mean)
    return total / asked if asked else None


def opening_map(maps: Sequence[AttentionMap], item: int = 0) -> int | None:
    """Which map of a network says most at first: the last one in which the query matters?

    Of the maps that lie on the image and have queries, the last whose dependence is at least half of the largest, and
    at least 0.05; where there is none, the last map of all. Of several maps of one module the last says most.

    Args:
        maps: in the order of the forward pass.
        item: which image of the batch.

    Returns its number, None without maps.
    """
    found = {
        one.module: (number, depends)
        for number, one in enumerate(maps)
        if one.on_image and (depends := query_dependence(one, item)) is not None
    }
    floor = max(LEAST, PART * max((depends for _, depends in found.values()), default=0.0))
    good = [number for number, depends in found.values() if depends >= floor]
    return max(good, default=len(maps) - 1 if maps else None)
