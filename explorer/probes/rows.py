"""Rows of a probe's table: one measure each, with its unit, its interval and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from explorer.probes.result import Better, Score
from explorer.statistics import ANY, BY, Range, interval, wilson

Row = dict[str, Any]
"""One measurement: ``measure``, ``value``, ``unit``, ``n``, ``low``, ``high``, ``interval``, and its conditions."""


Pooled = Literal["sum", "mean"]
"""What becomes of a condition that depends on what is shown when parts are put together."""


@dataclass(frozen=True, eq=False)
class Items:
    """What a row's number is made of, image by image, so that the rows of several parts give that of the whole.

    Attributes:
        by: which function of this module made the row.
        values: (n,) or (n, k) float64, an entry an item; of a rate (1, 2), successes and of how many.
        within: between which values the mean, or the statistic, can lie.
        statistic: name of the function of the mean, or "" for the mean itself.
    """

    by: Literal["mean", "share", "rate"]
    values: np.ndarray[Any, np.dtype[np.float64]]
    within: Range = ANY
    statistic: str = ""


class Made(dict[str, Any]):
    """A row that knows what it is made of."""

    items_of: Items | None = None


class Step(NamedTuple):
    """How far a probe is with one model, 0 to 1, and the rows and notes that are new since the last step."""

    share: float
    rows: Sequence[Row] = ()
    notes: Sequence[str] = ()


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
    found = row(measure, successes / n, "share", n, wilson(successes, n), "Wilson", **conditions)
    return _made(found, Items("rate", np.array([[successes, n]], dtype=np.float64)))


def share(measure: str, values: Any, **conditions: Any) -> Row:
    """Make a row of a rate over images, each with a share 0 to 1 of its own (of its random orders, of zooms): (n,).

    The interval is Wilson's for n images: what is tried with one image is not independent, so it does not count as
    more. Shares between 0 and 1 vary less than yes and no, so the interval is if anything too wide. None for one image.
    """
    array = np.asarray(values, dtype=np.float64)
    total, n = float(array.sum()), len(array)
    found = rate(measure, total, n, **conditions) if n > 1 else row(measure, total, "share", **conditions)
    return _made(found, Items("share", array))


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
    made = row(measure, found.mean, unit, found.n, (found.low, found.high), BY, **conditions)
    name = "" if statistic is None else getattr(statistic, "__name__", "")
    if statistic is not None and not name.isidentifier():
        return made  # a function without a name cannot be found again
    return _made(made, Items("mean", np.asarray(values, dtype=np.float64), within, name))


def _made(found: Row, items: Items) -> Row:
    made = Made(found)
    made.items_of = items
    return made


def together(
    parts: Sequence[Row], functions: Mapping[str, Callable[[Any], float]], pooled: Mapping[str, Pooled]
) -> Row:
    """The row of a whole from the rows of its parts, in their order: the same n, number and interval, but for rounding.

    Args:
        parts: rows of one measure under the same conditions, as `Made` where they are made of items.
        functions: of the mean, by name.
        pooled: conditions that depend on what is shown, and what becomes of them.

    Raises ValueError for rows that are made of nothing and differ.
    """
    # A part in which nothing could be measured has a row of no item.
    some = [one for one in parts if one["n"]] or parts[:1]
    conditions = {name: value for name, value in some[0].items() if name not in _COLUMNS}
    for name, how in pooled.items():
        if name in conditions:
            weights = [one["n"] if how == "mean" else 1 for one in some]
            total = sum(one[name] * weight for one, weight in zip(some, weights))
            conditions[name] = total if how == "sum" else total / sum(weights)
    measure, unit = some[0]["measure"], some[0]["unit"]
    items = [one.items_of for one in some if isinstance(one, Made) and one.items_of is not None]
    if len(items) < len(some):
        if any(one["value"] != some[0]["value"] or one["n"] > 1 for one in some):
            raise ValueError(f"rows of '{measure}' differ from part to part and do not say what they are made of")
        return {**some[0], **conditions}
    values = np.concatenate([one.values for one in items])
    if items[0].by == "rate":
        successes, n = values.sum(0)
        return rate(measure, float(successes), int(n), **conditions)
    if items[0].by == "share":
        return share(measure, values, **conditions)
    function = functions[items[0].statistic] if items[0].statistic else None
    return mean(measure, values, unit, items[0].within, function, **conditions)


_COLUMNS = ("measure", "value", "unit", "n", "low", "high", "interval")


def score(rows: Sequence[Row], measure: str, better: Better, name: str = "", **conditions: Any) -> list[Score]:
    """The score that one row of a model is, under ``name``; an empty list where the row is not there yet."""
    for one in rows:
        if one["measure"] == measure and all(one.get(key) == value for key, value in conditions.items()):
            values = (one["value"], one["unit"], one["low"], one["high"], one["n"])
            return [Score(one["model"], name or measure, *values, better, one["interval"])]
    return []
