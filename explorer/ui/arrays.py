"""Numbers as the browser gets them: a map's rows and matrices as low-resolution arrays, one behind the other.

float16 keeps 11 bits: more than a colour or three printed digits can show.
"""

from __future__ import annotations

import base64
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from torch import Tensor

from explorer.attention.layouts.weights import DotProduct
from explorer.attention.maps import AttentionMap, Weights
from explorer.attention.sinks import Sinks, sinks
from explorer.cache import Bounded
from explorer.comparison.compare import Pair
from explorer.comparison.result import ModelView
from explorer.geometry import Point

#: Largest side of a matrix without a place on the image; larger ones are averaged in blocks, and say so.
MATRIX_SIDE = 96


@dataclass
class Blob:
    """Arrays one behind the other; a reference tells where each lies."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, values: Tensor | np.ndarray[Any, Any], dtype: str = "f2") -> dict[str, Any]:
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        if dtype == "f2":
            # Beyond float16's range a number would become infinite, which no colour bar can show.
            array = np.clip(array, -65504, 65504)
        array = np.ascontiguousarray(array, dtype="<" + dtype if dtype != "u1" else dtype)
        reference = {"o": self.size, "s": list(array.shape), "t": dtype}
        data = array.tobytes()
        data += b"\0" * (-len(data) % 4)
        self.parts.append(data)
        self.size += len(data)
        return reference

    def text(self) -> str:
        return base64.b64encode(b"".join(self.parts)).decode("ascii")


def _items(one: AttentionMap) -> tuple[int, int]:
    """Items before and after: a picture that is not moved runs once."""
    return 0, one.weights.shape[0] - 1


def queries_of(one: AttentionMap, view: ModelView, blob: Blob, mean: bool) -> dict[str, Any]:
    """Rows of every head, (heads, rows, columns), before and after: of each pin, by number, and each prefix token."""
    first, last = _items(one)
    if one.layout is None:
        return {"matrix": [_matrix(one, item, blob) for item in dict.fromkeys((first, last))]}
    wanted: dict[str, tuple[Point | str | None, Point | str | None]] = {"0": (None, None)}
    if one.per_query:
        wanted = {str(number): pair for number, pair in enumerate(view.asked)}
        wanted |= {name: (name, name) for name in one.layout.prefix}
    found: dict[str, Any] = {}
    for name, (before, after) in wanted.items():
        pair: list[dict[str, Any] | None] = []
        for query, item in ((before, first), (after, last)):
            if pair and first == last and query == before:
                pair.append(pair[0])
            elif query is None and one.per_query:
                pair.append(None)
            else:
                pair.append(_one_row(one, query, item, blob, mean))
        found[name] = pair
    return found


#: Bytes of rows kept for all sessions together, and the rows with what lies on prefix tokens, of weights by reference.
_ROWS_BYTES = 16 * 2**20
_ROWS: Bounded[Hashable, tuple[Tensor, Tensor]] = Bounded(
    _ROWS_BYTES, lambda found: sum(one.numel() * one.element_size() for one in found)
)


def _one_row(one: AttentionMap, query: Point | str | None, item: int, blob: Blob, mean: bool) -> dict[str, Any] | None:
    pair = one.weights
    weights, item = ((pair.before, pair.after)[item], 0) if isinstance(pair, Pair) else (pair, item)
    try:
        # At every step of a drag the rows of the picture before it moved are asked for again.
        rows, prefix = _ROWS.get(
            (ref(weights), one.layer, query, item), lambda: replace(one, weights=weights).split(query, item)
        )
    except ValueError:  # a layout may have no query at this place (padding, a token that was dropped)
        return None
    entry = blob.add(rows.mean(0, keepdim=True) if mean else rows)
    if one.layout is not None and one.layout.prefix and one.kind == "pairwise":
        entry["prefix"] = round(float(prefix.sum(1).mean()), 5)
    return entry


#: Sinks of weights that are alive: at every step of a drag those of the picture before it moved are asked for again.
_KNOWN: WeakKeyDictionary[Weights, tuple[Sinks, ...]] = WeakKeyDictionary()


def sinks_of(one: AttentionMap, looked: bool) -> list[list[dict[str, Any]] | None]:
    """The sinks of the mean over heads and of each head, before and after; empty where there are none.

    Looking for them takes as long as a layer of the forward pass, so after a move it is done for the map that is
    ``looked`` at; None stands for the others'.
    """
    if one.kind != "pairwise":
        return []
    pair = one.weights
    sides = (pair.before, pair.after) if isinstance(pair, Pair) else (pair, pair)
    for weights in sides[: 2 if looked else 1]:
        if weights not in _KNOWN:
            _KNOWN[weights] = sinks(replace(one, weights=weights))
    found = [_KNOWN.get(weights) for weights in sides]
    if not any(side is None or any(each.cells for each in side) for side in found):
        return []
    return [
        None if side is None else [{"cells": list(each.cells), "share": round(each.share, 4)} for each in side]
        for side in found
    ]


def _matrix(one: AttentionMap, item: int, blob: Blob) -> dict[str, Any]:
    """(heads, n, m) of a map without a place on the image, averaged in blocks where it is large."""
    _, groups, heads, queries, keys = one.weights.shape
    step = max(1, -(-queries // MATRIX_SIDE), -(-keys // MATRIX_SIDE))
    values = torch.stack([_blocks(one.weights, item, start, step) for start in range(0, queries, step)], 1)
    entry = blob.add(values)
    entry |= {"full": [queries, keys], "step": step, "groups": groups, "heads": heads}
    return entry


def _blocks(weights: Any, item: int, start: int, step: int) -> Tensor:
    """(heads, ceil(Nk / step)): the mean of ``step`` rows from ``start`` in blocks of ``step`` columns, group 0."""
    rows = weights.block(item, 0, start, min(start + step, weights.shape[3])).float().mean(1)
    return torch.stack([part.mean(1) for part in rows.split(step, 1)], 1) if step > 1 else rows


def matrix_bytes(one: AttentionMap) -> int:
    _, groups, heads, queries, keys = one.weights.shape
    whole = 2 * groups * heads * queries * keys
    product = _product(one)
    return whole if product is None else min(whole, 4 * (product[0].numel() + product[1].numel()))


def _product(one: AttentionMap) -> tuple[Tensor, Tensor, float] | None:
    """Queries (G, h, Nq, d), keys (G, h or 1, Nk, d) and scale of the moved picture's weights, where they are that."""
    weights = one.weights.after if isinstance(one.weights, Pair) else one.weights
    if not isinstance(weights, DotProduct) or weights.bias is not None:
        return None
    return weights.query[-1], weights.key[-1], weights.scale


def matrices(one: AttentionMap, blob: Blob) -> dict[str, Any]:
    """Every row of the moved picture, with the tables that say where queries and keys lie.

    As computed, or, where that is less, the queries and keys they are the softmax of: O(n d) instead of O(n^2). These
    go over as float32, for a softmax makes much of a small error.
    """
    assert one.layout is not None
    assert one.layout.query_index is not None
    _, item = _items(one)
    _, groups, heads, queries, keys = one.weights.shape
    tables = {"keys": blob.add(one.layout.key_index, "i4"), "queries": blob.add(one.layout.query_index, "i4")}
    product = _product(one)
    if product is not None and matrix_bytes(one) < 2 * groups * heads * queries * keys:
        query, key, scale = product
        return {"q": blob.add(query.float(), "f4"), "k": blob.add(key.float(), "f4"), "scale": scale, **tables}
    values = torch.stack([one.weights.block(item, group, 0, queries) for group in range(groups)])
    return {"weights": blob.add(values), **tables}
