"""Curves over the rows of probes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from explorer.attribution import method_title
from explorer.figures.sheet import Axis, Chart, Dash, Line
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.result import ProbeResult
from explorer.probes.rows import Row


def curve(name: str, colour: str, rows: Sequence[Row], x: str, dash: Dash = "solid", joined: bool = True) -> Line:
    """Rows over their condition ``x``, numbers in ascending order, in its model's colour.

    A row without an interval has its value as both ends; where none has one, the line has none.
    """
    if rows and not isinstance(rows[0][x], str):
        rows = sorted(rows, key=lambda one: one[x])

    def column(key: str) -> tuple[float, ...]:
        found = (one["value"] if one[key] is None else one[key] for one in rows)
        return tuple(math.nan if value is None else float(value) for value in found)

    some = any(one["low"] is not None for one in rows)
    low, high = (column("low"), column("high")) if some else (None, None)
    return Line(name, tuple(in_words(one[x]) for one in rows), column("value"), low, high, colour, dash, joined)


def in_words(value: Any) -> Any:
    """A condition or a parameter as it is shown: a method under its name."""
    return method_title(value) if isinstance(value, str) else value


def lines(result: ProbeResult, over: str, measure: str, **conditions: Any) -> tuple[Line, ...]:
    """A curve for each model that has rows of this measure under these conditions."""
    found = [
        (number, name, result.of(name, measure=measure, **conditions)) for number, name in enumerate(result.models)
    ]
    return tuple(curve(name, result.colours[number], rows, over) for number, name, rows in found if rows)


def at_one_place(chart: Chart) -> Chart:
    """The chart, or, where all of its lines have one point at the same number, the models' points beside each other.

    Networks of one stage have no curve over stages, and an axis around their only number would say nothing.
    """
    places = {x for line in chart.lines for x in line.x}
    if len(places) != 1 or isinstance(place := next(iter(places)), str):
        return chart
    alone = tuple(replace(line, x=(f"{place:g}",), joined=False) for line in chart.lines)
    return replace(chart, lines=alone, x=Axis(chart.x.title))


def percent(share: float) -> str:
    """A share from 0 to 1 in words, as in "50 %"."""
    return f"{share:.0%}".replace("%", " %")


def size_in_words(model: Model) -> str:
    """A model's input, as in "224 x 224 px"."""
    height, width = model.input_size
    return Message("{width} x {height} px", width=width, height=height)
