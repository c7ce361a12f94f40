"""What the charts of a sheet show and where: legends, categories, ranges and ticks."""

from __future__ import annotations

import math
from typing import Any

from explorer.figures.sheet import Chart, Line, Radar


def legend(panel: Chart | Radar) -> list[tuple[str, str]]:
    """(colour, name) of what is told apart, each once."""
    return list(dict.fromkeys((line.colour, line.name) for line in panel.lines))


def categories(panel: Chart) -> list[str]:
    """Names on the x axis, in order; empty where it is numbers."""
    return list(dict.fromkeys(x for line in panel.lines for x in line.x if isinstance(x, str)))


def places(line: Line, panel: Chart) -> list[float]:
    """Where a line's points stand on the x axis; those of several models stand side by side in one category."""
    names = categories(panel)
    apart = [one for one in panel.lines if not one.joined]
    beside = 0.6 * ((apart.index(line) + 0.5) / len(apart) - 0.5) if names and line in apart else 0.0
    return [names.index(x) + beside if isinstance(x, str) else float(x) for x in line.x]


def span(panel: Chart, along: str) -> tuple[float, float]:
    """The range of an axis: as declared, else what is drawn and a little more."""
    one = panel.x if along == "x" else panel.y
    names = categories(panel)
    if along == "x" and names:
        return -0.5, len(names) - 0.5
    values: list[float] = []
    for line in panel.lines:
        parts = (places(line, panel),) if along == "x" else (line.y, line.low or (), line.high or ())
        values += [value for part in parts for value in part if is_number(value) and not (one.log and value <= 0)]
    values += [place for place, _ in (panel.marks if along == "x" else panel.levels)]
    low, high = (min(values), max(values)) if values else (0.1, 1.0)
    if one.log:
        factor = max((high / low) ** 0.05, 1.05)
        low, high = low / factor, high * factor
    else:
        margin = 0.05 * (high - low) or 0.5
        low, high = low - margin, high + margin
    # A little beyond what is declared, so that a point at its end is drawn whole.
    room = 0.0 if one.log or one.low is None or one.high is None else 0.02 * (one.high - one.low)
    return low if one.low is None else one.low - room, high if one.high is None else one.high + room


def ticks(panel: Chart, along: str) -> list[tuple[float, str]] | None:
    """Places and names of an axis's ticks; None where the backend's own will do."""
    names = categories(panel)
    if along == "x" and names:
        return list(enumerate(names))
    if not (panel.x if along == "x" else panel.y).log:
        return None
    if along == "x":
        values = sorted({place for line in panel.lines for place in places(line, panel)})
        if len(values) <= 9:
            return [(value, _brief(value)) for value in values]
    low, high = span(panel, along)
    steps = (1, 2, 5) if high / low < 200 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    thin = max(1, len(every) // 8)
    return [(value, _brief(value)) for value in every[::thin]]


def _brief(value: float) -> str:
    """A number in two digits, or whole."""
    if value >= 100_000:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{float(f'{value:.2g}'):g}" if value < 100 else f"{value:g}"


def few(panel: Chart) -> bool:
    """Whether the categories fit side by side, in lines of some ten letters."""
    return len(categories(panel)) <= 7


def is_number(value: Any) -> bool:
    """Whether there is something to draw: neither None, nor NaN, nor infinite."""
    return value is not None and math.isfinite(value)
