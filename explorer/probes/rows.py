"""Rows of a probe's table: one measure each, with its unit, its interval and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from explorer.probes.result import Better, Score
from explorer.statistics import BY, Range, interval, wilson

Row = dict[str, Any]
"""One measurement: ``measure``, ``value``, ``unit``, ``n``, ``low``, ``high``, ``interval``, and its conditions."""


class Step(NamedTuple):
    """How far a probe is with one model, 0 to 1, and the rows that are new since the last step."""

    share: float
    rows: Sequence[Row] = ()


def row(
    measure: str,
    value: float,
    unit: str,
    n: int = 1,
    ends: tuple[float | None, float | None] = (None, None),
    by: str = "",
    **conditions: Any,
) -> Row:
    """Make a row; ``ends`` are those of its 95 % interval, which was had by ``by``."""
    low, high = ends
    how = by if low is not None else ""
    found = {"measure": measure, "value": value, "unit": unit, "n": n, "low": low, "high": high, "interval": how}
    return {**conditions, **found}


def rate(measure: str, successes: float, n: int, **conditions: Any) -> Row:
    """Make a row of a share of ``n`` with Wilson's interval."""
    return row(measure, successes / n, "share", n, wilson(successes, n), "Wilson", **conditions)


def share(measure: str, values: Any, **conditions: Any) -> Row:
    """Make a row of a rate over images, each with a share 0 to 1 of its own (of its random orders, of zooms): (n,).

    The interval is Wilson's for n images: what is tried with one image is not independent, so it does not count as
    more. Shares between 0 and 1 vary less than yes and no, so the interval is if anything too wide. None for one image.
    """
    total, n = float(np.asarray(values, dtype=np.float64).sum()), len(values)
    return rate(measure, total, n, **conditions) if n > 1 else row(measure, total, "share", **conditions)


def mean(
    measure: str,
    values: Any,
    unit: str,
    within: Range,
    statistic: Callable[[Any], float] | None = None,
    **conditions: Any,
) -> Row:
    """Make a row of the mean over items (images), or of a statistic of it; see `statistics.interval`."""
    found = interval(values, within, statistic)
    return row(measure, found.mean, unit, found.n, (found.low, found.high), BY, **conditions)


def score(rows: Sequence[Row], measure: str, better: Better, name: str = "", **conditions: Any) -> list[Score]:
    """The score that one row of a model is, under ``name``; an empty list where the row is not there yet."""
    for one in rows:
        if one["measure"] == measure and all(one.get(key) == value for key, value in conditions.items()):
            values = (one["value"], one["unit"], one["low"], one["high"], one["n"])
            return [Score(one["model"], name or measure, *values, better, one["interval"])]
    return []
