"""Draw the charts of a sheet, curves, points and radars, with plotly for the screen and matplotlib for PNG and SVG."""

from __future__ import annotations

import html
import io
import math
import re
import textwrap
import threading
from typing import TYPE_CHECKING, Any

from PIL import Image

from explorer.figures.sheet import Chart, Line, Radar

if TYPE_CHECKING:
    import plotly.graph_objects as go

_INK, _FAINT, _RULE = "#1A1A1A", "#595959", "#E3E3E3"
_FONT = 14
#: Height of a line of the legend, px.
_LEGEND = 28
#: Held while matplotlib's settings, which all threads share, are others than usual.
_SETTINGS = threading.Lock()
_DASH = {"solid": "-", "dash": "--", "dot": ":"}
_SYMBOLS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "cross": "P",
    "x": "X",
    "triangle-up": "^",
    "triangle-down": "v",
    "pentagon": "p",
    "hexagon": "h",
    "star": "*",
}
#: What a hollow point is filled with.
_GROUND = "#FFFFFF"


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
        values += [value for part in parts for value in part if _number(value) and not (one.log and value <= 0)]
    if along == "x":
        values += [place for place, _ in panel.marks]
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


# ---- plotly ---------------------------------------------------------------------------------------------------------


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
        if _number(low) and _number(high)
    ]
    if not line.joined:
        main["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [high - y if _number(high) else 0 for y, high in zip(line.y, line.high)],
            "arrayminus": [y - low if _number(low) else 0 for y, low in zip(line.y, line.low)],
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
        marker["color"] = [_GROUND if hollow else line.colour for hollow in line.hollow]
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
        "gridcolor": _RULE,
        "zerolinecolor": _RULE,
        "linecolor": _FAINT,
        "ticks": "outside",
        "ticklen": 4,
        "range": [math.log10(low), math.log10(high)] if one.log else [low, high],
    }
    if one.log:
        out["type"] = "log"
    if (named := ticks(panel, along)) is not None:
        out |= {
            "tickvals": [place for place, _ in named],
            "ticktext": [_wrapped(text, 11) if _few(panel) else html.escape(text) for _, text in named],
        }
    if along == "x" and categories(panel):
        out |= {"showgrid": False, "zeroline": False, "tickfont": {"size": 12}}
        # Few ones stand upright where there is room for that, as on a telephone there is not: plotly sees to it.
        out |= {"autotickangles": [0, -40, -90]} if _few(panel) else {"tickangle": -40}
    return out


def _few(panel: Chart) -> bool:
    """Whether the categories fit side by side, in lines of some ten letters."""
    return len(categories(panel)) <= 7


def figure(panel: Chart | Radar) -> go.Figure:
    """A panel as a figure of its own that takes the width it is given."""
    import plotly.graph_objects as go

    # The legend stands between the title and the chart, where neither long names nor tilted ones are in its way.
    title = _wrapped(panel.title, 40)
    rows = math.ceil(sum(len(name) + 8 for _, name in legend(panel)) / 42)
    tall = 22 * (title.count("<br>") + 1)
    # A radar's names stand around it.
    left, right, room = (16, 16, 22) if isinstance(panel, Radar) else (70, 16, 0)
    layout: dict[str, Any] = {
        "autosize": True,
        "height": 360 + tall + _LEGEND * rows,
        "font": {"family": "system-ui, sans-serif", "size": _FONT, "color": _INK},
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
    return go.Figure(traces(panel, legends=True), layout)


def _wrapped(text: str, width: int) -> str:
    """A text in lines, escaped."""
    return "<br>".join(map(html.escape, textwrap.wrap(text, width, break_long_words=False)))


def polar() -> dict[str, Any]:
    """Plotly's layout of a radar's axes, without its domain."""
    radial = {"range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1], "gridcolor": _RULE, "angle": 90, "tickangle": 90}
    around = {"rotation": 90, "direction": "clockwise", "gridcolor": _RULE, "linecolor": _FAINT}
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
        "font": {"size": 11, "color": _FAINT},
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


# ---- matplotlib -----------------------------------------------------------------------------------------------------


def picture(panel: Chart | Radar, width: int, height: int) -> Image.Image:
    """Draw a panel, without its title and legend, on ``width`` x ``height`` px."""
    buffer = io.BytesIO()
    _drawn(panel, width, height).savefig(buffer, format="png", dpi=100)
    buffer.seek(0)
    return Image.open(buffer).convert("RGB").resize((width, height))


def vector(panel: Chart | Radar, width: int, height: int, number: int) -> str:
    """Draw a panel as `picture` does, as the inside of an <svg> element of 72 units to 100 px; its words stay words.

    ``number``: tells its identifiers from those of other panels of the same file.
    """
    import matplotlib

    buffer = io.StringIO()
    with _SETTINGS, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "explorer"}):
        _drawn(panel, width, height).savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    inside = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    inside = re.sub(r"<metadata>.*?</metadata>", "", inside, flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>chart{number}-", inside)


def _drawn(panel: Chart | Radar, width: int, height: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width / 100, height / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(drawn)
    if isinstance(panel, Radar):
        _draw_round(drawn.add_subplot(projection="polar"), panel)
    else:
        _draw_straight(drawn.add_subplot(), panel)
    return drawn


def _draw_straight(on: Any, panel: Chart) -> None:
    from matplotlib.ticker import NullLocator

    for line in panel.lines:
        x, y = places(line, panel), [_float(one) for one in line.y]
        low, high = ([_float(one) for one in ends] if ends is not None else None for ends in (line.low, line.high))
        if line.joined:
            look = {"color": line.colour, "linestyle": _DASH[line.dash], "linewidth": 2}
            on.plot(x, y, marker=_SYMBOLS[line.symbol], markersize=3.5, **look)
            if low is not None and high is not None:
                on.fill_between(x, low, high, color=line.colour, alpha=0.2, linewidth=0)
        else:
            whiskers = None
            if low is not None and high is not None:
                whiskers = [
                    [max(0.0, a - b) if _number(b) else 0.0 for a, b in zip(y, low)],
                    [max(0.0, b - a) if _number(b) else 0.0 for a, b in zip(y, high)],
                ]
            on.errorbar(x, y, yerr=whiskers, color=line.colour, fmt=_SYMBOLS[line.symbol], markersize=6, elinewidth=1.8)
        if any(line.hollow):
            some = [(a, b) for a, b, hollow in zip(x, y, line.hollow) if hollow]
            look = {"color": line.colour, "markerfacecolor": _GROUND, "linestyle": "none"}
            size = 4.5 if line.joined else 6
            on.plot(*zip(*some), marker=_SYMBOLS[line.symbol], markersize=size, zorder=3, **look)
    for one, along in ((panel.x, "x"), (panel.y, "y")):
        getattr(on, f"set_{along}label")(one.title, color=_INK, fontsize=10, parse_math=False)
        if one.log:
            getattr(on, f"set_{along}scale")("log")
        getattr(on, f"set_{along}lim")(*span(panel, along))
        if (named := ticks(panel, along)) is not None:
            turned = {"rotation": 40, "ha": "right"} if along == "x" and not _few(panel) else {}
            names = [text if turned or along == "y" else textwrap.fill(text, 14) for _, text in named]
            getattr(on, f"set_{along}ticks")([place for place, _ in named], names, **turned)
            getattr(on, f"{along}axis").set_minor_locator(NullLocator())
    for place, text in panel.marks:
        on.axvline(place, color="#9A9A9A", linewidth=0.8, linestyle=":")
        on.annotate(text, (place, 1.0), xycoords=("data", "axes fraction"), fontsize=7, color=_FAINT, ha="center")
    for place, text in panel.levels:
        on.axhline(place, color="#9A9A9A", linewidth=0.8, linestyle=":")
        at = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        on.annotate(text, (1.0, place), fontsize=7, color=_FAINT, **at)
    on.grid(color=_RULE, linewidth=0.7, axis="y" if categories(panel) else "both")
    on.set_axisbelow(True)
    on.tick_params(labelsize=9, colors=_FAINT)
    for side in ("top", "right"):
        on.spines[side].set_visible(False)


def _draw_round(on: Any, panel: Radar) -> None:
    for line in panel.lines:
        angles = [math.tau * index / len(line.x) for index in range(len(line.x) + 1)]
        values = [_float(one) for one in (*line.y, line.y[0])]
        on.plot(angles, values, color=line.colour, linestyle=_DASH[line.dash], linewidth=2, marker="o", markersize=4)
    if panel.lines:
        names = [str(x) for x in panel.lines[0].x]
        on.set_xticks([math.tau * index / len(names) for index in range(len(names))], names, fontsize=9)
    on.set_theta_zero_location("N")
    on.set_theta_direction(-1)
    on.set_ylim(0, 1)
    on.set_yticks([0.25, 0.5, 0.75, 1])
    on.tick_params(axis="y", labelsize=8, colors=_FAINT)


def _number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
