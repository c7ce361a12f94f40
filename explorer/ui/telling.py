"""What was measured, for the browser: tables as JSON, and a figure's numbers for those who do not see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from explorer.figures.looks import names_of
from explorer.figures.sheet import Chart, Map, Radar, Table
from explorer.messages import Message, renamed, sentences
from explorer.probes import show
from explorer.probes.result import ProbeResult, Score
from explorer.ui.words import dumps

#: Points of a curve that are all told to those who do not see it.
FEW_POINTS = 6


def scores(result: ProbeResult) -> str:
    """The summary of a result as JSON for a table: a row a model, a column a measure."""
    measures = list(dict.fromkeys(score.measure for score in result.summary.values()))
    if not measures:
        return ""
    found = {(score.model, score.measure): score for score in result.summary.values()}
    better = {score.measure: score.better for score in result.summary.values()}
    signs = {"higher": "↑", "lower": "↓", "none": ""}
    names = names_of(result.models)
    rows = [
        {
            "name": names[model],
            "spec": model,
            "colour": result.colours[place],
            "cells": [
                {"text": "–"} if (one := found.get((model, measure))) is None else _cell(one) for measure in measures
            ],
        }
        for place, model in enumerate(result.models)
    ]
    counts = sorted({score.n for score in result.summary.values()})
    over = (
        Message("n = {n}", n=counts[0])
        if len(counts) == 1
        else Message("n = {least} to {most}, see each number", least=counts[0], most=counts[-1])
    )
    notes = [
        Message("95 % intervals in brackets; {over}. ↑ higher is better, ↓ lower is better.", over=over),
        show.provenance(result),
    ]
    columns = [
        Message("{measure} {sign}", measure=Message(measure), sign=signs[better[measure]])
        if signs[better[measure]]
        else measure
        for measure in measures
    ]
    return dumps(
        {"title": Message("In numbers"), "first": Message("model"), "columns": columns, "rows": rows, "notes": notes}
    )


def _cell(score: Score) -> dict[str, Any]:
    said = sentences(Message("n = {n}.", n=score.n), Message(score.interval))
    return {"text": show.number(score), "value": score.value, "title": said}


def table(panel: Table, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """A table as JSON for the browser; ``names``: what models are called."""
    colours = panel.colours or ("",) * len(panel.rows)
    rows = [
        {
            "name": renamed(cells[0], names),
            "spec": cells[0] if cells[0] in names else "",
            "colour": colour,
            "cells": [{"text": renamed(text, names)} for text in cells[1:]],
        }
        for cells, colour in zip(panel.rows, colours)
    ]
    first, *columns = panel.columns
    notes = [panel.unit] if panel.unit else []
    told = {"title": panel.title, "first": first, "columns": columns, "rows": rows, "notes": notes, "words": True}
    return dumps(told)


def told(panel: Chart | Radar | Map) -> dict[str, Any]:
    """A figure's numbers for those who do not see it; put into sentences by assets/web/figures.js.

    Of a long curve the first, the least, the largest and the last point are told.
    """
    title = panel.title
    if isinstance(panel, Map):
        values = panel.values.detach().cpu().double()
        known = values[values.isfinite()]
        ends = [float(known.min()), float(known.max())] if known.numel() else []
        return {"title": title, "unit": panel.unit, "ends": ends}
    lines = []
    for line in panel.lines:
        points: list[Any] = [
            [x, y, *(ends[place] if ends is not None else None for ends in (line.low, line.high))]
            for place, (x, y) in enumerate(zip(line.x, line.y))
            if y is not None and math.isfinite(y)
        ]
        if len(points) > FEW_POINTS:
            by_height: list[Any] = sorted(points, key=lambda point: float(point[1]))
            points = [one for one in points if one in (points[0], points[-1], by_height[0], by_height[-1])]
        lines.append({"name": line.name, "points": [[_finite(value) for value in point] for point in points]})
    axes = [] if isinstance(panel, Radar) else [panel.x.title, panel.y.title]
    return {"title": title, "axes": axes, "lines": lines}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
