"""Every number of a comparison as tidy rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.comparison.result import Comparison, ModelView
from explorer.geometry import Point

TidyRow = dict[str, Any]

SIDES = ("before", "after")

_COLUMNS: Mapping[str, Any] = dict.fromkeys(
    (
        *("model", "weights", "measure", "side", "rank", "class", "label", "layer", "kind", "head"),
        *("query", "x", "y", "unit", "value", "rows", "columns", "values"),
    )
)


def tidy(comparison: Comparison) -> list[TidyRow]:
    """Every number of a comparison as records of the same columns; None where a column does not apply.

    The columns: ``model``; ``weights`` (what they are); ``measure`` (prediction, attention, attribution); ``side``
    (before, after; of an attribution also brought back: after, in the frame before); ``rank``, ``class`` and ``label``
    of a prediction, ``label`` the target of an attribution; ``layer``, ``kind``, ``head`` (None: the mean over heads);
    ``query`` (its number, from 0), ``x`` and ``y`` (where it is on this side, px); ``unit``; ``value``: the number, or
    the largest of a grid; ``values``: the grid row by row, with ``rows`` and ``columns``, None where it is not known.

    Of a gate, whose heads are channels, the mean alone is listed. A side that was not moved is listed once.
    """
    return [row for view in comparison.rows for row in rows_of(view)]


def rows_of(view: ModelView) -> Iterator[TidyRow]:
    """One model's rows."""
    sides = SIDES[: 1 if view.images[0] is view.images[1] else 2]
    head = {**_COLUMNS, "model": view.spec, "weights": view.state}
    for item, side in enumerate(sides):
        for rank, one in enumerate(view.predictions[item].top, 1):
            own = {**head, "measure": "prediction", "side": side, "rank": rank, "class": one.index, "label": one.label}
            yield {**own, "unit": view.predictions[item].unit, "value": one.probability}
            yield {**own, "unit": "logit", "value": one.logit}
    for one_map in view.maps:
        places = view.asked if one_map.per_query else [(None, None)]
        for number, pair in enumerate(places):
            for item, side in enumerate(sides):
                place = pair[item]
                own = {**head, "weights": one_map.state, "measure": "attention", "side": side, "layer": one_map.layer}
                own |= {"kind": one_map.kind, "unit": one_map.unit}
                if one_map.per_query:
                    if place is None:
                        continue  # it has left the frame
                    own |= {"query": number, "x": float(place.x), "y": float(place.y)}
                for which, values in _heads(one_map, place, min(item, one_map.weights.shape[0] - 1)):
                    yield {**own, "head": which, **_grid(values)}
    if view.attributions is not None and view.pulled_back is not None:
        shown = [(side, one, one.values) for side, one in zip(sides, view.attributions)]
        if len(sides) == 2:
            back = view.pulled_back
            seen = back.values.float().masked_fill(~back.valid, float("nan"))
            shown.append(("brought back", view.attributions[1], seen))
        for side, answer, values in shown:
            own = {**head, "measure": "attribution", "side": side, "label": answer.target, "layer": answer.layer}
            own |= {"kind": answer.method, "unit": answer.unit}
            yield {**own, **_grid(values)}
            if answer.delta is not None and side in sides:
                yield {**own, "unit": "convergence delta", "value": float(answer.delta)}


def _heads(one: AttentionMap, place: Point | None, item: int) -> Iterator[tuple[int | None, Tensor]]:
    """The mean over heads (None) and each head of a map, as (rows, columns)."""
    if one.layout is None:
        for head in range(one.heads):
            yield head, one.matrix(head, item)
        return
    every = one.rows(place, item)
    yield None, every.mean(0)
    if one.heads > 1 and one.kind != "gate":
        yield from enumerate(every)


def _grid(values: Tensor) -> TidyRow:
    numbers = _numbers(values)
    known = [one for one in numbers if one is not None]
    return {
        "value": max(known) if known else None,
        "rows": int(values.shape[0]),
        "columns": int(values.shape[1]),
        "values": numbers,
    }


def _numbers(values: Tensor) -> list[float | None]:
    """float32 in as few digits as read back as the same; NaN is None."""
    flat = values.detach().cpu().float().flatten().numpy()
    return [float(str(one)) if np.isfinite(one) else None for one in flat]
