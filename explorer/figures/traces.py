"""The charts of a sheet, curves, points and radars, as plotly's traces and axes."""

from __future__ import annotations

import html
import math
import textwrap
from typing import TYPE_CHECKING, Any

from explorer.figures.sheet import Chart, Line, Radar

if TYPE_CHECKING:
    import plotly.graph_objects as go
from explorer.figures.charts import categories, few, is_number, legend, places, span, ticks
from explorer.figures.sheet import FAINT, INK, PAPER, RULE

_FONT = 14
#: Height of a line of the legend, px.
_LEGEND = 28


def traces(panel: Chart | Radar, legends: bool = False) -> list[dict[str, Any]]:
    """The traces of a panel; ``legends``: whether plotly's own legend names them."""
    if isinstance(panel, Radar):
        return [_round(line, legends) for line in panel.lines]
    named: set[str] = set()
    out: list[dict[str, Any]] = []
    for line in panel.lines:
        out += _straight(line, panel, legends and line.name not in named)
        named.add(line.name)
    return out


def _straight(line: Line, panel: Chart, named: bool) -> list[dict[str, Any]]:
    name = html.escape(line.name)
    title = html.escape(panel.y.title)
    where = "%{customdata}" if categories(panel) else "%{x:.4g}"
    main: dict[str, Any] = {
        "type": "scatter",
        "x": places(line, panel),
        "y": list(line.y),
        "customdata": list(line.x),
        "name": name,
        "legendgroup": name,
        "showlegend": named,
        "mode": "lines+markers" if line.joined else "markers",
        "line": {"color": line.colour, "dash": line.dash, "width": 2.5},
        "marker": _marker(line),
        "hovertemplate": f"{name}<br>{where}: %{{y:.4g}}<br>{title}<extra></extra>",
    }
    if line.low is None or line.high is None:
        return [main]
    whole = [
        (x, y, low, high)
        for x, y, low, high in zip(places(line, panel), line.y, line.low, line.high)
        if is_number(low) and is_number(high)
    ]
    if not line.joined:
        main["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [high - y if is_number(high) else 0 for y, high in zip(line.y, line.high)],
            "arrayminus": [y - low if is_number(low) else 0 for y, low in zip(line.y, line.low)],
            "color": line.colour,
            "thickness": 2,
        }
        return [main]
    if len(whole) < 2:
        return [main]
    around = [*((x, high) for x, _, _, high in whole), *((x, low) for x, _, low, _ in reversed(whole))]
    band: dict[str, Any] = {
        "type": "scatter",
        "x": [x for x, _ in around],
        "y": [y for _, y in around],
        "fill": "toself",
        "mode": "lines",
        "line": {"width": 0, "color": line.colour},
        "opacity": 0.22,
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
    }
    return [band, main]


def _marker(line: Line) -> dict[str, Any]:
    marker: dict[str, Any] = {"color": line.colour, "size": 7 if line.joined else 10}
    if line.symbol != "circle":
        marker["symbol"] = line.symbol
    if any(line.hollow):
        marker["color"] = [PAPER if hollow else line.colour for hollow in line.hollow]
        marker["line"] = {"color": line.colour, "width": 2}
    return marker


def _round(line: Line, named: bool) -> dict[str, Any]:
    name = html.escape(line.name)
    return {
        "type": "scatterpolar",
        "theta": [html.escape(str(one)) for one in (*line.x, line.x[0])],
        "r": [*line.y, line.y[0]],
        "name": name,
        "showlegend": named,
        "mode": "lines+markers",
        "line": {"color": line.colour, "width": 2.5, "dash": line.dash},
        "marker": {"color": line.colour, "size": 7},
        "hovertemplate": f"{name}<br>%{{theta}}: %{{r:.3g}}<extra></extra>",
    }


def axis(panel: Chart, along: str) -> dict[str, Any]:
    """Plotly's layout of an axis, "x" or "y"."""
    one = panel.x if along == "x" else panel.y
    low, high = span(panel, along)
    out: dict[str, Any] = {
        "title": {"text": _wrapped(one.title, 34), "standoff": 6},
        "gridcolor": RULE,
        "zerolinecolor": RULE,
        "linecolor": FAINT,
        "ticks": "outside",
        "ticklen": 4,
        "range": [math.log10(low), math.log10(high)] if one.log else [low, high],
    }
    if one.log:
        out["type"] = "log"
    if (named := ticks(panel, along)) is not None:
        out |= {
            "tickvals": [place for place, _ in named],
            "ticktext": [_wrapped(text, 11) if few(panel) else html.escape(text) for _, text in named],
        }
    if along == "x" and categories(panel):
        out |= {"showgrid": False, "zeroline": False, "tickfont": {"size": 12}}
        # Few ones stand upright where there is room for that, as on a telephone there is not: plotly sees to it.
        out |= {"autotickangles": [0, -40, -90]} if few(panel) else {"tickangle": -40}
    return out


def alone(panel: Chart | Radar, legends: bool = True) -> go.Figure:
    """A panel as a figure of its own that takes the width it is given, with a legend or without."""
    import plotly.graph_objects as go

    # The legend stands between the title and the chart, where neither long names nor tilted ones are in its way.
    title = _wrapped(panel.title, 40)
    rows = math.ceil(sum(len(name) + 8 for _, name in legend(panel)) / 42) if legends else 0
    tall = 22 * (title.count("<br>") + 1)
    # A radar's names stand around it.
    left, right, room = (16, 16, 22) if isinstance(panel, Radar) else (70, 16, 0)
    layout: dict[str, Any] = {
        "autosize": True,
        "height": 360 + tall + _LEGEND * rows,
        "font": {"family": "system-ui, sans-serif", "size": _FONT, "color": INK},
        "paper_bgcolor": "#FFFFFF",
        "plot_bgcolor": "#FFFFFF",
        "margin": {"l": left, "r": right, "t": tall + _LEGEND * rows + 24 + room, "b": 60},
        "legend": {
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.03 + room / 260,
            "x": 0,
            "xref": "paper",
            "font": {"size": 13},
        },
        "hovermode": "closest",
        "annotations": [
            {
                "text": title,
                "xref": "paper",
                "yref": "paper",
                "x": 0,
                "y": 1,
                "xanchor": "left",
                "yanchor": "bottom",
                "xshift": 16 - left,
                "yshift": _LEGEND * rows + 14 + room,
                "align": "left",
                "showarrow": False,
                "font": {"size": 16},
            }
        ],
    }
    if isinstance(panel, Radar):
        layout["polar"] = {**polar(), "domain": {"x": [0.28, 0.68], "y": [0, 1]}}
    else:
        layout |= {"xaxis": {**axis(panel, "x"), "automargin": True}, "yaxis": {**axis(panel, "y"), "automargin": True}}
        layout["shapes"] = [_mark(place, "x", "y domain") for place, _ in panel.marks]
        layout["shapes"] += [_level(place, "x domain", "y") for place, _ in panel.levels]
        layout["annotations"] += [_word(place, text, "x", "y domain") for place, text in panel.marks if text]
        layout["annotations"] += [_level_word(place, text, "x domain", "y") for place, text in panel.levels if text]
    return go.Figure(traces(panel, legends), layout)


def _wrapped(text: str, width: int) -> str:
    """A text in lines, escaped."""
    return "<br>".join(map(html.escape, textwrap.wrap(text, width, break_long_words=False)))


def polar() -> dict[str, Any]:
    """Plotly's layout of a radar's axes, without its domain."""
    radial = {"range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1], "gridcolor": RULE, "angle": 90, "tickangle": 90}
    around = {"rotation": 90, "direction": "clockwise", "gridcolor": RULE, "linecolor": FAINT}
    return {"bgcolor": "#FFFFFF", "radialaxis": radial, "angularaxis": around}


def _mark(place: float, x: str, y: str) -> dict[str, Any]:
    line = {"color": "#9A9A9A", "width": 1, "dash": "dot"}
    return {"type": "line", "xref": x, "yref": y, "x0": place, "x1": place, "y0": 0, "y1": 1, "line": line}


def _word(place: float, text: str, x: str, y: str) -> dict[str, Any]:
    return {
        "x": place,
        "y": 1,
        "xref": x,
        "yref": y,
        "text": html.escape(text),
        "showarrow": False,
        "yanchor": "bottom",
        "font": {"size": 11, "color": FAINT},
    }


def _level(place: float, x: str, y: str) -> dict[str, Any]:
    return {**_mark(place, x, y), "x0": 0, "x1": 1, "y0": place, "y1": place}


def _level_word(place: float, text: str, x: str, y: str) -> dict[str, Any]:
    return {**_word(place, text, x, y), "x": 1, "y": place, "xanchor": "right"}


def placed(panel: Chart, number: int) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Axes (without their domains), shapes and annotations of a chart that stands in a larger figure."""
    suffix = "" if number == 1 else str(number)
    layout = {f"xaxis{suffix}": axis(panel, "x"), f"yaxis{suffix}": axis(panel, "y")}
    # The larger figure's ground is grey, which in a map means: no value.
    ground = {
        "type": "rect",
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "x0": 0,
        "x1": 1,
        "y0": 0,
        "y1": 1,
    }
    shapes = [{**ground, "fillcolor": "#FFFFFF", "line": {"width": 0}, "layer": "below"}]
    shapes += [_mark(place, f"x{suffix}", f"y{suffix} domain") for place, _ in panel.marks]
    shapes += [_level(place, f"x{suffix} domain", f"y{suffix}") for place, _ in panel.levels]
    words = [_word(place, text, f"x{suffix}", f"y{suffix} domain") for place, text in panel.marks if text]
    words += [_level_word(place, text, f"x{suffix} domain", f"y{suffix}") for place, text in panel.levels if text]
    return layout, shapes, words
