"""Draw the laboratory's table: one panel a bias, one look a block, intervals visible.

Every function takes the summary of a table (`explorer.lab.table.summary`) and returns a plotly figure of one set-up.
Two forms are enough: curves with their 95 % band where the condition is a quantity, and points with their 95 % interval
elsewhere. What is not shown to differ from the control is drawn hollow, everywhere.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from explorer.errors import ParameterError
from explorer.lab.table import CHANCE, CONTROL, Summary

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Look:
    """How a block is drawn everywhere: CSS colour, plotly's line dash and marker symbol."""

    colour: str
    dash: str = "solid"
    symbol: str = "circle"


#: One look a block. The colours keep a distance in OKLab under normal vision and with each kind of dichromacy (after
#: Machado 2009); fourteen hues are too many for any eye, so controls are grey, blocks for reference dashed, and markers
#: differ too.
LOOKS: Final[Mapping[str, Look]] = {
    "none": Look("#1F1F1F", "dot", "x"),
    "conv": Look("#ABABAB", "solid", "square"),
    "mhsa": Look("#0072B2", "solid", "circle"),
    "axial": Look("#56B4E9", "solid", "cross"),
    "channel": Look("#0000BF", "solid", "triangle-down"),
    "linear": Look("#E69F00", "solid", "triangle-up"),
    "c2f": Look("#D55E00", "solid", "diamond"),
    "c2f_gate": Look("#4C0073", "solid", "hexagon"),
    "coord": Look("#009E73", "solid", "star"),
    "ca_c2f": Look("#882255", "solid", "pentagon"),
    "se": Look("#D9BF8D", "dash", "square"),
    "eca": Look("#593B00", "dash", "triangle-up"),
    "cbam": Look("#73561D", "dash", "circle"),
    "nonlocal": Look("#CD3BEB", "dash", "diamond"),
}
_UNKNOWN = Look("#777777", "dashdot", "circle")

_INK, _FAINT, _LINE = "#1A1A1A", "#595959", "#E3E3E3"
_FONT, _TITLE = 16, 20


def look_of(block: str) -> Look:
    """How a block is drawn."""
    return LOOKS.get(block, _UNKNOWN)


# ---- the panels -----------------------------------------------------------------------------------------------------


def task(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """How well is the task learnt, on scenes as in training?"""
    return _points(
        _Wanted(table, backbone, augmented, blocks),
        "In distribution",
        "accuracy, %",
        [
            ("all classes", ("in distribution", "accuracy", "all")),
            ("one part", ("in distribution", "accuracy", "one part")),
            ("arrangement of two", ("in distribution", "accuracy", "arrangements")),
        ],
        chance=CHANCE,
    )


def translation(
    table: Sequence[Summary],
    backbone: str = "metaformer",
    augmented: bool = False,
    blocks: Sequence[str] | None = None,
    direction: str = "four directions",
) -> go.Figure:
    """Does the answer stay when the object moves? ``direction``: right, left, down, up or all four."""
    where = "right, left, down or up" if direction == "four directions" else direction
    return _curves(
        _Wanted(table, backbone, augmented, blocks),
        "Translation",
        ("translation", "accuracy", direction),
        f"shift of the object {where}, px of 48",
    )


def scale(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """Does the answer stay when the object shrinks or grows?"""
    return _curves(
        _Wanted(table, backbone, augmented, blocks),
        "Scale",
        ("scale", "accuracy", "scaled"),
        "size of the object over its training size",
        labelled=(0.5, 0.7, 1.0, 1.5),
    )


def shape(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """Where shape and texture disagree, which wins?"""
    return _points(
        _Wanted(table, backbone, augmented, blocks),
        "Shape against texture",
        "shape answers / (shape + texture answers), %",
        [
            ("background of neither", ("shape", "shape bias", "background of neither")),
            ("background of the texture's class", ("shape", "shape bias", "background of the texture's class")),
        ],
        line=(0.5, "as often texture"),
    )


def context(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """How much of the answer rests on the background?"""
    return _points(
        _Wanted(table, backbone, augmented, blocks),
        "Background",
        "accuracy lost to another class's background, points",
        [
            ("own class's - another's", ("context", "BG-gap", "own - another's")),
            ("mixed-same - mixed-rand", ("context", "BG-gap", "mixed-same - mixed-rand")),
        ],
        line=(0.0, "no gap"),
        whole=False,
    )


def arrangement(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """Is an arrangement still known when it is tilted or drawn apart?"""
    return _points(
        _Wanted(table, backbone, augmented, blocks),
        "Arrangement",
        "accuracy on arrangements of two, %",
        [
            ("as in training", ("arrangement", "accuracy", "in distribution")),
            ("tilted 25 to 40°", ("arrangement", "accuracy", "tilted 25 to 40 degrees")),
            ("1.4 to 1.7 x apart", ("arrangement", "accuracy", "1.4 to 1.7 x apart")),
        ],
        chance=CHANCE,
    )


def patch_shuffle(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """How much is known when the patches of the picture have changed places?"""
    return _curves(
        _Wanted(table, backbone, augmented, blocks),
        "Patch shuffle",
        ("patch-shuffle", "accuracy", "shuffled"),
        "patches a side that changed places (1: none)",
    )


def maps(
    table: Sequence[Summary], backbone: str = "metaformer", augmented: bool = False, blocks: Sequence[str] | None = None
) -> go.Figure:
    """How much of each map lies on the object?

    Of maps with queries (pairwise, axial): from queries on the object. Context scores and gates have one map for all.
    """
    wanted = _Wanted(table, backbone, augmented, blocks)
    kinds = {one.block: one.condition.removeprefix("native ") for one in wanted.rows if _native(one)}
    return _points(
        wanted,
        "Maps on the object",
        "map on the object, times an even map's",
        [("native map", ("maps", "mass ratio", "native")), ("Grad-CAM", ("maps", "mass ratio", "Grad-CAM"))],
        line=(1.0, "an even map"),
        whole=False,
        percent=False,
        labels={block: f"{block} ({kinds.get(block, 'no map')})" for block in wanted.blocks},
    )


#: The panels by name, in their order.
PANELS: Final[Mapping[str, Callable[..., go.Figure]]] = {
    "in distribution": task,
    "translation": translation,
    "scale": scale,
    "shape": shape,
    "context": context,
    "arrangement": arrangement,
    "patch-shuffle": patch_shuffle,
    "maps": maps,
}


def page(table: Sequence[Summary], title: str, sentences: Mapping[tuple[str, bool], Sequence[str]]) -> str:
    """Every panel of every set-up, one HTML file that asks for nothing from elsewhere.

    Args:
        table: the summary.
        title: of the page.
        sentences: the findings of each set-up, (backbone, augmented).
    """
    parts, first = [], True
    for backbone, augmented in dict.fromkeys((one.backbone, one.augmented) for one in table):
        parts.append(f"<h2>{html.escape(set_up_in_words(backbone, augmented))}</h2><ul>")
        parts += [f"<li>{html.escape(one)}</li>" for one in sentences.get((backbone, augmented), ())]
        parts.append("</ul><div class='panels'>")
        for draw in PANELS.values():
            inner = draw(table, backbone, augmented).to_html(
                full_html=False,
                include_plotlyjs=first,
                include_mathjax=False,
                config={"responsive": True, "displaylogo": False, "displayModeBar": False},
            )
            parts.append(f"<section>{inner}</section>")
            first = False
        parts.append("</div>")
    style = (
        "body{font:17px/1.45 system-ui,sans-serif;color:#1A1A1A;margin:0 auto;max-width:1500px;padding:12px}"
        ".panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr));gap:16px}"
        "section{min-width:0}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{style}</style></head>\n'
        f"<body><h1>{html.escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def set_up_in_words(backbone: str, augmented: bool) -> str:
    """A set-up's heading."""
    return f"{backbone}, trained on {'objects anywhere, of all sizes' if augmented else 'centred objects'}"


# ---- what is to be drawn --------------------------------------------------------------------------------------------

_Name = tuple[str, str, str]
"""Bias, measure and condition."""


class _Wanted:
    """The part of a summary that is drawn: one set-up, chosen blocks in the order of LOOKS."""

    def __init__(self, table: Sequence[Summary], backbone: str, augmented: bool, blocks: Sequence[str] | None) -> None:
        rows = [one for one in table if one.backbone == backbone and one.augmented == augmented]
        there = dict.fromkeys(one.block for one in rows)
        if blocks is not None and (missing := [block for block in blocks if block not in there]):
            raise ParameterError(
                f"no measurement of '{missing[0]}' in {set_up_in_words(backbone, augmented)}; "
                f"there are: {', '.join(there) or 'none'}"
            )
        known = [*LOOKS, *(block for block in there if block not in LOOKS)]
        self.blocks = [block for block in known if block in there and (blocks is None or block in blocks)]
        self.rows = [one for one in rows if one.block in self.blocks]
        self.subtitle = set_up_in_words(backbone, augmented)
        self._by_name: dict[tuple[str, _Name], list[Summary]] = {}
        for one in self.rows:
            condition = "native" if _native(one) else one.condition
            self._by_name.setdefault((one.block, (one.bias, one.measure, condition)), []).append(one)

    def of(self, block: str, name: _Name) -> list[Summary]:
        """A block's measurements under a condition, by its number."""
        found = self._by_name.get((block, name), [])
        if name[2] == "native":  # the mean of the layers, not each of them
            found = [one for one in found if one.value_of_condition is None]
        return sorted(found, key=lambda one: one.value_of_condition or 0.0)


def _native(one: Summary) -> bool:
    return one.bias == "maps" and one.condition.startswith("native ")


def _same(one: Summary) -> bool:
    """Whether it is not shown to differ from the control."""
    return one.shown_to_differ is False


def _hover(one: Summary, what: str, percent: bool) -> str:
    factor, unit, digits = (100, " %", 1) if percent else (1, "", 2)
    interval = (
        "one seed, no interval"
        if one.low is None or one.high is None
        else f"95 % interval {one.low * factor:.{digits}f} to {one.high * factor:.{digits}f}, {one.seeds} seeds"
    )
    same = f"<br>not shown to differ from the control ({one.seeds} seeds)" if _same(one) else ""
    return f"<b>{one.block}</b>, {what}<br>{one.mean * factor:.{digits}f}{unit}; {interval}; n = {one.n}{same}"


# ---- the two forms --------------------------------------------------------------------------------------------------


def _curves(wanted: _Wanted, title: str, name: _Name, axis: str, labelled: Sequence[float] | None = None) -> go.Figure:
    """Accuracy over a quantity: a line a block, its 95 % interval as a band, hollow where it is like the control's.

    Args:
        wanted: what is drawn.
        title: of the panel.
        name: what is drawn.
        axis: what the quantity is.
        labelled: for a logarithmic axis, the places that have room for their number.
    """
    figure = _figure(wanted, title)
    places: dict[float, None] = {}
    for block in wanted.blocks:
        found, look = wanted.of(block, name), look_of(block)
        if not found:
            continue
        x = [one.value_of_condition or 0.0 for one in found]
        places.update(dict.fromkeys(x))
        if all(one.low is not None and one.high is not None for one in found):
            edge = [100 * (one.high or 0.0) for one in found] + [100 * (one.low or 0.0) for one in reversed(found)]
            figure.add_scatter(
                x=[*x, *reversed(x)],
                y=edge,
                fill="toself",
                fillcolor=_faded(look.colour, 0.16 if len(wanted.blocks) <= 6 else 0.08),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=block,
            )
        line = {"color": look.colour, "dash": look.dash, "width": 3}
        figure.add_scatter(
            x=x,
            y=[100 * one.mean for one in found],
            mode="lines+markers",
            legendgroup=block,
            showlegend=False,
            line=line,
            marker=_marker(look, [_same(one) for one in found]),
            text=[_hover(one, f"{one.value_of_condition:g} {one.unit}", percent=True) for one in found],
            hovertemplate="%{text}<extra></extra>",
        )
        # The legend would show the curve's first marker, hollow or not.
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines+markers",
            name=f"{block} (control)" if block == CONTROL else block,
            legendgroup=block,
            line=line,
            marker=_marker(look, [False]),
        )
    ticks = sorted(places)
    words = [f"{one:g}" if labelled is None or one in labelled else "" for one in ticks]
    figure.update_xaxes(title_text=_lines(axis), tickvals=ticks, ticktext=words, tickangle=0)
    if labelled is not None:
        figure.update_xaxes(type="log")
    figure.update_yaxes(title_text="accuracy, %", range=[0, 102], tickvals=[0, 25, 50, 75, 100])
    figure.add_hline(y=100 * CHANCE, line={"color": _FAINT, "width": 1})
    # Beside the drawing, where no line can run into it.
    figure.add_annotation(x=1, xref="paper", xanchor="left", y=100 * CHANCE, text="chance<br>1/12", **_SMALL)
    figure.update_layout(margin={"r": 62}, height=460 + 16 * len(wanted.blocks))  # the legend takes its part
    return _finished(figure, any(_same(one) for one in wanted.rows if (one.bias, one.measure, one.condition) == name))


def _points(
    wanted: _Wanted,
    title: str,
    axis: str,
    conditions: Sequence[tuple[str, _Name]],
    chance: float | None = None,
    line: tuple[float, str] | None = None,
    whole: bool = True,
    percent: bool = True,
    labels: Mapping[str, str] | None = None,
) -> go.Figure:
    """A row a block, a point with its 95 % interval a condition; hollow where it is like the control's.

    Args:
        wanted: what is drawn.
        title: of the panel.
        axis: what the numbers are.
        conditions: (words, name) of each; the marker tells them apart.
        chance: where the line of chance stands.
        line: (value, words) of another line.
        whole: whether the axis goes from 0 to 100 %.
        percent: whether numbers are shown in per cent.
        labels: of the rows, where they are not the blocks' names.
    """
    figure = _figure(wanted, title)
    factor = 100.0 if percent else 1.0
    count, names = len(conditions), [(labels or {}).get(block, block) for block in wanted.blocks]
    hollow = False
    for number, (words, name) in enumerate(conditions):
        place = 0.0 if count == 1 else 0.26 - 0.52 * number / (count - 1)
        for row, block in enumerate(wanted.blocks):
            for one in wanted.of(block, name):
                hollow = hollow or _same(one)
                above, below = (0.0 if end is None else abs(end - one.mean) * factor for end in (one.high, one.low))
                figure.add_scatter(
                    x=[one.mean * factor],
                    y=[len(names) - 1 - row + place],
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [above],
                        "arrayminus": [below],
                        "color": look_of(block).colour,
                        "thickness": 2.5,
                        "width": 0,
                    },
                    mode="markers",
                    marker=_marker(Look(look_of(block).colour, symbol=_SYMBOLS[number]), [_same(one)], 12),
                    text=[_hover(one, words, percent)],
                    hovertemplate="%{text}<extra></extra>",
                    showlegend=False,
                )
        # A marker in ink explains the condition; the rows' own are coloured by block.
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=words,
            marker=_marker(Look(_INK, symbol=_SYMBOLS[number]), [False], 12),
        )
    for value, words in filter(None, ((chance, "chance, 1/12") if chance is not None else None, line)):
        figure.add_vline(x=value * factor, line={"color": _FAINT, "width": 1})
        figure.add_annotation(x=value * factor, y=1, yref="paper", yanchor="bottom", text=words, **_SMALL)
    figure.update_xaxes(title_text=_lines(axis), rangemode="tozero")
    if whole:
        figure.update_xaxes(range=[0, 102], tickvals=[0, 25, 50, 75, 100])
    ticks = [
        f"<span style='color:{look_of(block).colour}'>●</span> {html.escape(name)}"
        for block, name in zip(wanted.blocks, names)
    ]
    figure.update_yaxes(
        tickvals=list(range(len(names) - 1, -1, -1)), ticktext=ticks, range=[-0.6, len(names) - 0.4], showgrid=False
    )
    figure.update_layout(height=190 + 44 * max(len(names), 4))
    for row in range(0, len(names), 2):  # a faint stripe leads the eye from the name to its points
        figure.add_hrect(y0=row - 0.5, y1=row + 0.5, fillcolor="#F4F4F4", line_width=0, layer="below")
    return _finished(figure, hollow)


_SYMBOLS = ("circle", "diamond", "square")
_SMALL = {"showarrow": False, "font": {"size": 13, "color": _FAINT}}


def _marker(look: Look, hollow: Sequence[bool], size: int = 10) -> dict[str, object]:
    """A marker for each point, white inside where it is hollow."""
    return {
        "symbol": look.symbol,
        "size": size,
        "color": ["#FFFFFF" if one else look.colour for one in hollow],
        "line": {"color": look.colour, "width": 2},
    }


def _lines(text: str) -> str:
    """An axis title in lines that a telephone has room for."""
    return "<br>".join(textwrap.wrap(html.escape(text), 28))


def _faded(colour: str, share: float) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def _figure(wanted: _Wanted, title: str) -> go.Figure:
    import plotly.graph_objects as go  # takes a second

    seeds = sorted({one.seeds for one in wanted.rows})
    many = (
        "no measurements"
        if not seeds
        else f"{seeds[0]} seed{'s' * (seeds[0] > 1)}"
        if len(seeds) == 1
        else f"{seeds[0]} to {seeds[-1]} seeds"
    )
    figure = go.Figure()
    figure.update_layout(
        title={
            "text": f"<b>{title}</b>",
            "subtitle": {"text": f"{wanted.subtitle}; {many}", "font": {"size": 13, "color": _FAINT}},
            "font": {"size": _TITLE},
            "x": 0,
            "xanchor": "left",
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "pad": {"l": 8, "t": 10},
        },
        font={"family": "system-ui, sans-serif", "size": _FONT, "color": _INK},
        paper_bgcolor="#FFFFFF",
        plot_bgcolor="#FFFFFF",
        margin={"l": 8, "r": 12, "t": 84, "b": 8},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "font": {"size": 14}},
        hoverlabel={"font": {"size": 14}, "align": "left"},
        hovermode="closest",
        height=520,
    )
    axes = {
        "gridcolor": _LINE,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": _FONT}},
        "linecolor": _FAINT,
    }
    figure.update_xaxes(showline=True, ticks="outside", **axes)
    figure.update_yaxes(**axes)
    return figure


def _finished(figure: go.Figure, hollow: bool) -> go.Figure:
    if hollow:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="hollow: not shown to differ from the control",
            marker={"symbol": "circle", "size": 11, "color": "#FFFFFF", "line": {"color": _FAINT, "width": 2}},
        )
    return figure
