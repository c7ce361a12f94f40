"""Draw a `Sheet` as a still picture with matplotlib: PNG, or SVG in which words stay words and curves stay curves.

Plotly's own export starts a Chrome browser, which a server or a container seldom has. In an SVG a map is a picture of
one pixel a cell, which is enlarged where it is looked at.
"""

from __future__ import annotations

import base64
import html as entities
import io
import math
import textwrap
import threading
from functools import cache
from typing import Any

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from PIL import Image

from explorer.figures.charts import categories, few, is_number, places, span, ticks
from explorer.figures.plan import (
    BAR,
    MARK,
    Area,
    Plan,
    bar_boxes,
    coloured,
    cut,
    marks,
    measure,
    pixels,
    plan_of,
)
from explorer.figures.sheet import FAINT, INK, PAPER, RULE, Axis, Chart, Line, Radar, Sheet

#: Points to a pixel: figures are laid out in pixels of 1/100 inch.
_POINT = 0.72
#: Size of the numbers and names at the axes, px.
_NUMBER = 12.5
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
#: Tilt of names that do not fit side by side, degrees.
_TILT = 40
#: What a name in Chinese is drawn with where matplotlib's own font has no letter for it.
_OTHER_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei")
#: Held while matplotlib's settings, which all threads share, are others than usual.
_SETTINGS = threading.Lock()


def image(sheet: Sheet) -> Image.Image:
    """Draw a sheet as a picture."""
    drawn = _drawn(sheet, still=True)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def svg(sheet: Sheet) -> str:
    """Draw a sheet as a text of SVG, the same each time."""
    buffer = io.StringIO()
    with (
        _SETTINGS,
        rc_context({"svg.fonttype": "none", "svg.hashsalt": "explorer", "image.composite_image": False}),
    ):
        about = {"Date": None, "Title": sheet.title, **({"Source": sheet.link} if sheet.link else {})}
        _drawn(sheet, still=False).savefig(buffer, format="svg", metadata=about)
    return buffer.getvalue()


def html(sheet: Sheet) -> str:
    """Draw a sheet as a piece of HTML, which holds the picture: what a notebook shows."""
    buffer = io.BytesIO()
    image(sheet).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    alternative = entities.escape(sheet.title)
    return f'<img alt="{alternative}" src="data:image/png;base64,{data}" style="max-width: 100%; height: auto">'


def _drawn(sheet: Sheet, still: bool) -> Figure:
    """Draw a sheet; ``still``: for pixels, to which pictures are fitted, rather than for vectors, which keep them."""
    plan = plan_of(sheet)
    drawn = Figure(figsize=(plan.width / 100, plan.height / 100), dpi=100, facecolor=PAPER)
    # One pair of axes in pixels, y down, for all that is no chart.
    ground = drawn.add_axes((0, 0, 1, 1), xlim=(0, plan.width), ylim=(plan.height, 0))
    ground.set_axis_off()
    for picture, box in plan.pictures:
        _paint(ground, pixels(picture.image), box, "lanczos" if still else "none")
    for panel, box in plan.maps:
        values = panel.values.detach().cpu().double().numpy()
        large = values.shape[0] > box.height or values.shape[1] > box.width
        # Enlarged cell by cell: nothing is drawn that was not computed.
        _paint(ground, coloured(panel, values), box, "antialiased" if still and large else "none")
        scale = np.linspace(panel.high, panel.low, box.height)[:, None]
        _paint(ground, coloured(panel, scale), Area(box.x + box.width + 8, box.y, BAR, box.height), "none")
    for one in plan.boxes + [part for bars, box in plan.bars for part in bar_boxes(bars, box)]:
        ground.add_patch(
            Rectangle((one.x, one.y), one.width, one.height, facecolor=one.colour, linewidth=0, antialiased=False)
        )
    for mark, frame, box in marks(plan):
        x, y = box.x + mark.x * box.width / frame[1], box.y + mark.y * box.height / frame[0]
        for colour, wide in zip(MARK, (5, 2)):
            ground.plot([x - 8, x + 8], [y, y], color=colour, linewidth=_POINT * wide, solid_capstyle="butt")
            ground.plot([x, x], [y - 8, y + 8], color=colour, linewidth=_POINT * wide, solid_capstyle="butt")
    for text in (*plan.texts, *plan.links):
        # Of a place the upper edge is known; letters stand on their baseline.
        ground.text(
            text.x,
            text.y + text.size,
            cut(text.text, text.size, text.width),
            fontsize=_POINT * text.size,
            color=text.colour,
            fontfamily=_fonts(),
            va="baseline",
            parse_math=False,
            url=sheet.link if text in plan.links else None,
        )
    ground.set(xlim=(0, plan.width), ylim=(plan.height, 0))
    for chart, box in plan.charts:
        if isinstance(chart, Radar):
            inner = Area(box.x + 60, box.y + 30, box.width - 120, box.height - 60)
            _draw_round(drawn.add_axes(_share(inner, plan), projection="polar"), chart)
        else:
            _draw_straight(drawn.add_axes(_share(_inner(chart, box), plan)), chart)
    return drawn


@cache
def _fonts() -> list[str]:
    there = {one.name for one in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in there)]


def _paint(on: Axes, colours: np.ndarray, box: Area, how: str) -> None:
    """Stretch pixels (h, w, 3) over a box."""
    extent = (box.x, box.x + box.width, box.y + box.height, box.y)
    on.imshow(colours, extent=extent, aspect="auto", interpolation=how)


def _share(box: Area, plan: Plan) -> tuple[float, float, float, float]:
    """A box as shares of the figure, counted from below, as matplotlib wants it."""
    bottom = plan.height - box.y - box.height
    return box.x / plan.width, bottom / plan.height, box.width / plan.width, box.height / plan.height


def _inner(panel: Chart, box: Area) -> Area:
    """Where a chart's axes stand: inside of its names and numbers."""
    numbers = max((measure(text, _NUMBER) for _, text in ticks(panel, "y") or ()), default=measure("0.000", _NUMBER))
    left, below = round(numbers) + (34 if panel.y.title else 14), 24
    if (named := ticks(panel, "x")) is not None:
        widths = [measure(text, _NUMBER) for _, text in named] or [0.0]
        below = 10 + 15 * max((len(textwrap.wrap(text, 14)) for _, text in named), default=1)
        if _tilted(panel):
            tilt = math.radians(_TILT)
            below = round(math.sin(tilt) * max(widths)) + 22
            # A tilted name ends below its place and begins far to the left of it.
            left = max(left, round(math.cos(tilt) * widths[0] - box.width / (3 * len(widths))) + 10)
    below += 22 if panel.x.title else 0
    return Area(box.x + left, box.y + 14, box.width - left - 10, box.height - below - 16)


def _tilted(panel: Chart) -> bool:
    return bool(categories(panel)) and not few(panel)


def _draw_straight(on: Any, panel: Chart) -> None:
    for line in panel.lines:
        _draw_line(on, line, panel)
    for one, along in ((panel.x, "x"), (panel.y, "y")):
        _draw_axis(on, one, along, panel)
    for place, text in panel.marks:
        on.axvline(place, color="#9A9A9A", linewidth=0.8, linestyle=":")
        on.annotate(text, (place, 1.0), xycoords=("data", "axes fraction"), fontsize=7, color=FAINT, ha="center")
    for place, text in panel.levels:
        on.axhline(place, color="#9A9A9A", linewidth=0.8, linestyle=":")
        at = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        on.annotate(text, (1.0, place), fontsize=7, color=FAINT, **at)
    on.grid(color=RULE, linewidth=0.7, axis="y" if categories(panel) else "both")
    on.set_axisbelow(True)
    on.tick_params(labelsize=_POINT * _NUMBER, colors=FAINT)
    for side in ("top", "right"):
        on.spines[side].set_visible(False)


def _draw_line(on: Any, line: Line, panel: Chart) -> None:
    x, y = places(line, panel), [_float(one) for one in line.y]
    low, high = ([_float(one) for one in ends] if ends is not None else None for ends in (line.low, line.high))
    if any(line.hollow):
        some = [(a, b) for a, b, hollow in zip(x, y, line.hollow) if hollow]
        look = {"color": line.colour, "markerfacecolor": PAPER, "linestyle": "none", "zorder": 3}
        on.plot(*zip(*some), marker=_SYMBOLS[line.symbol], markersize=4.5 if line.joined else 6, **look)
    if line.joined:
        look = {"color": line.colour, "linestyle": _DASH[line.dash], "linewidth": 2}
        on.plot(x, y, marker=_SYMBOLS[line.symbol], markersize=3.5, **look)
        if low is not None and high is not None:
            on.fill_between(x, low, high, color=line.colour, alpha=0.2, linewidth=0)
        return
    whiskers = None
    if low is not None and high is not None:
        whiskers = [
            [max(0.0, a - b) if is_number(b) else 0.0 for a, b in zip(y, low)],
            [max(0.0, b - a) if is_number(b) else 0.0 for a, b in zip(y, high)],
        ]
    on.errorbar(x, y, yerr=whiskers, color=line.colour, fmt=_SYMBOLS[line.symbol], markersize=6, elinewidth=1.8)


def _draw_axis(on: Any, one: Axis, along: str, panel: Chart) -> None:
    getattr(on, f"set_{along}label")(one.title, color=INK, fontsize=10, fontfamily=_fonts(), parse_math=False)
    if one.log:
        getattr(on, f"set_{along}scale")("log")
    getattr(on, f"set_{along}lim")(*span(panel, along))
    if (named := ticks(panel, along)) is None:
        return
    turned = along == "x" and _tilted(panel)
    how: dict[str, Any] = {"rotation": _TILT, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    names = [text if turned or along == "y" else textwrap.fill(text, 14) for _, text in named]
    getattr(on, f"set_{along}ticks")([place for place, _ in named], names, **how)
    getattr(on, f"{along}axis").set_minor_locator(NullLocator())


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
    on.tick_params(axis="y", labelsize=8, colors=FAINT)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
