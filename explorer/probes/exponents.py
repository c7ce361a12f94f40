"""How the cost of a block grows: with which power it should, and with which it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from explorer.blocks import cost
from explorer.messages import Message
from explorer.probes.rows import Row, row
from explorer.statistics import exponent

AxisName = Literal["n", "d"]
#: What is measured, and its unit.
UNITS: Mapping[str, str] = {"time": "ms", "memory": "MiB", "multiply-adds": ""}
#: Exponents are fitted over the largest sizes only: at small ones a call costs more than the work.
FITTED = 5
#: The column of an axis.
PLACES: Mapping[AxisName, str] = {"n": "positions", "d": "channels"}

Theory = Mapping[tuple[str, AxisName], float]
"""(quantity, axis) -> the power that it is expected to grow with."""


def theories(name: str, channels: int, **options: Any) -> Theory:
    """The power that each quantity is expected to grow with on each axis, for large n or large d.

    Of the multiply-adds the leading term of the count; of time the same, and 1 at least where anything is done, since
    every number is touched; of memory see `cost.memory_power` (and nothing is claimed for its growth with d).
    """
    n, d = cost.powers(name, channels, **options)
    least = 0.0 if name == "none" else 1.0
    return {
        ("time", "n"): max(n, least),
        ("time", "d"): max(d, least),
        ("multiply-adds", "n"): n,
        ("multiply-adds", "d"): d,
        ("memory", "n"): cost.memory_power(name, **options),
    }


def fits(rows: Sequence[Row], theory: Theory) -> list[Row]:
    """The exponents of one model's measurements, over the largest sizes; none where fewer than two are above zero."""
    found = []
    for axis, place in PLACES.items():
        for quantity in UNITS:
            points = sorted(
                (one[place], one["value"]) for one in rows if is_of(one, quantity, axis) and one["value"] > 0
            )
            if len(points) < 2:
                continue
            x, y = zip(*points[-FITTED:])
            slope, low, high = exponent(x, y)
            head = {key: rows[0][key] for key in ("block", "direction")}
            found.append(
                row(
                    Message("{quantity} exponent in {axis}", quantity=quantity, axis=axis),
                    slope,
                    "",
                    len(x),
                    (low, high),
                    Message("Student's t over sizes"),
                    **head,
                    quantity=quantity,
                    axis=axis,
                    theory=theory.get((quantity, axis)),
                )
            )
    return found


def is_of(one: Row, quantity: str, axis: str) -> bool:
    return one["measure"] == quantity and one.get("axis") == axis
