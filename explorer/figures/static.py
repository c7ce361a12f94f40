"""Draw a `Sheet`: as a plotly figure, as a self-contained page, as a PNG, as an SVG.

Where each panel stands is computed once, in pixels, so that they are all the same picture. The PNG is drawn with
Pillow: plotly's own export starts a Chrome browser, which a server or a container seldom has. In an SVG words stay
words, and a map is a picture of one pixel a cell, which is enlarged where it is looked at.
"""

from __future__ import annotations

import base64
import html
import io
from bisect import bisect
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from explorer.errors import ParameterError
from explorer.figures import charts
from explorer.figures.sheet import (
    DIVERGING,
    SEQUENTIAL,
    Bars,
    Chart,
    Map,
    Panel,
    Picture,
    Radar,
    Sheet,
    Table,
    Words,
    frame_of,
)
from explorer.geometry import Point
from explorer.writing import write

if TYPE_CHECKING:
    import plotly.graph_objects as go

_INK, _FAINT, _INVALID, _PAPER = "#1A1A1A", "#595959", "#BDBDBD", "#FFFFFF"
_MARK = ("#FFFFFF", "#D00000")  # of a query: legible on any map

# Pixels.
_MARGIN, _GAP, _SIDE, _BAR, _LINE, _LABELS = 24, 28, 224, 14, 17, 150
_TEXT, _HEADING, _TITLE = 12, 14, 18
_CHART, _RADAR = (520, 320), (460, 380)
_ROW, _WIDEST = 22, 340
#: Room for numbers to the left of a map with axes, and below it.
_BESIDE = (40, 40)


def save(sheet: Sheet, path: str | Path) -> Path:
    """Write a sheet to ``path``: .png, .svg, or .html; each is one file that asks for nothing from elsewhere.

    Raises ParameterError for another ending, or where the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg", ".html"):
        raise ParameterError(f"a figure is written as .png, .svg or .html, got '{path.name}'")
    if suffix == ".png":
        buffer = io.BytesIO()
        image(sheet).save(buffer, "PNG")
        return write(path, buffer.getvalue())
    return write(path, svg(sheet) if suffix == ".svg" else _page(sheet))


# ------------------------------------------------------------------------------------------------ where things stand


@dataclass(frozen=True)
class _Text:
    x: int
    y: int
    text: str
    size: int = _TEXT
    colour: str = _INK
    width: int = 10_000  # it is cut to this


@dataclass(frozen=True)
class _Box:
    """A rectangle in pixels, y down."""

    x: int
    y: int
    width: int
    height: int
    colour: str = _PAPER


@dataclass(eq=False)
class _Plan:
    """Where everything of a sheet stands; drawn by either backend."""

    width: int = 0
    height: int = 0
    texts: list[_Text] = field(default_factory=list)
    boxes: list[_Box] = field(default_factory=list)
    pictures: list[tuple[Picture, _Box]] = field(default_factory=list)
    maps: list[tuple[Map, _Box]] = field(default_factory=list)
    bars: list[tuple[Bars, _Box]] = field(default_factory=list)
    charts: list[tuple[Chart | Radar, _Box]] = field(default_factory=list)


def _slot(panel: Panel) -> int:
    """Width that a panel takes up with everything beside it."""
    if isinstance(panel, Bars):
        return _SIDE + (_LABELS if panel.labels else 0)
    return _body(panel)[0] + (_BAR + 70 if isinstance(panel, Map) else 0)


def _body(panel: Panel) -> tuple[int, int]:
    """(width, height) of the drawing itself: its frame fitted into a square, oblong ones a little wider."""
    if isinstance(panel, (Chart, Radar)):
        width, height = _CHART if isinstance(panel, Chart) else _RADAR
        return width, height + _LINE * len(_legend(panel, 0, 0, width))
    if isinstance(panel, Table):
        return sum(_columns(panel)), _ROW * (len(panel.rows) + 1)
    if isinstance(panel, Picture):
        height, width = frame_of(panel.image)
    elif isinstance(panel, Map):
        height, width = panel.frame
    else:
        return _SIDE, _SIDE
    scale = min(_SIDE / height, 1.5 * _SIDE / width)
    left, below = _BESIDE if isinstance(panel, Map) and panel.axes else (0, 0)
    return max(8, round(width * scale)) + left, max(8, round(height * scale)) + below


def _columns(panel: Table) -> list[int]:
    """Widths of a table's columns."""
    cells = zip(panel.columns, *panel.rows)
    return [14 + min(_WIDEST, round(max(_measure(text, _TEXT) for text in column)) + 14) for column in cells]


def _legend(panel: Chart | Radar, x: int, y: int, width: int) -> list[list[tuple[_Box, _Text]]]:
    """Lines of marks and names that fit the width."""
    lines: list[list[tuple[_Box, _Text]]] = [[]]
    place = x
    for colour, name in charts.legend(panel):
        takes = round(min(_measure(name, _TEXT), width - 16)) + 34
        if place > x and place + takes > x + width:
            lines.append([])
            place = x
        top = y + _LINE * (len(lines) - 1)
        lines[-1].append((_Box(place, top + 3, 11, 11, colour), _Text(place + 16, top, name, width=takes - 18)))
        place += takes
    return lines


def separate(panel: Panel) -> go.Figure:
    """A panel as a figure of its own that takes the width it is given: for the page."""
    import plotly.graph_objects as go

    if isinstance(panel, (Chart, Radar)):
        return charts.figure(panel)
    if not isinstance(panel, Map):
        raise ParameterError(f"only charts, radars and maps stand alone, got {type(panel).__name__}")
    (height, width), (rows, columns), anchors = panel.frame, panel.values.shape, _anchors(panel)
    across, down = (html.escape(name) for name in panel.axes or ("x, px", "y, px"))
    heat = go.Heatmap(
        z=panel.values.detach().cpu().double().numpy(),
        x0=panel.origin.x + width / columns / 2,
        dx=width / columns,
        y0=panel.origin.y + height / rows / 2,
        dy=height / rows,
        zmin=panel.low,
        zmax=panel.high,
        colorscale=[[index / (len(anchors) - 1), colour] for index, colour in enumerate(anchors)],
        colorbar={"title": {"text": html.escape(panel.unit), "side": "right"}, "thickness": 14, "outlinewidth": 0},
        hovertemplate=_hover(panel),
    )
    plain = {"constrain": "domain", "showgrid": False, "zeroline": False, "ticks": "outside", "ticklen": 4}
    return go.Figure(
        heat,
        {
            "autosize": True,
            "height": 430,
            "title": {"text": html.escape(panel.title), "x": 0.01, "xanchor": "left", "font": {"size": 17}},
            "font": {"family": "system-ui, sans-serif", "size": 14, "color": _INK},
            "margin": {"l": 60, "r": 10, "t": 50, "b": 55},
            "paper_bgcolor": _PAPER,
            "plot_bgcolor": _INVALID,
            "xaxis": {**plain, "title": {"text": across}, "range": [panel.origin.x, panel.origin.x + width]},
            "yaxis": {
                **plain,
                "title": {"text": down},
                "range": [panel.origin.y + height, panel.origin.y],
                "scaleanchor": "x",
            },
        },
    )


def _plan(sheet: Sheet) -> _Plan:
    plan = _Plan()
    rows = [row for section in sheet.sections for row in section.rows]
    columns = [
        max(_slot(row[index]) for row in rows if index < len(row)) for index in range(max(map(len, rows), default=0))
    ]
    plan.width = max(640, 2 * _MARGIN + sum(columns) + _GAP * (len(columns) - 1))
    plan.texts += _wrapped(sheet.title, _MARGIN, _MARGIN, plan.width - 2 * _MARGIN, _TITLE, _INK)
    y = plan.texts[-1].y + _TITLE + 16
    for section in sheet.sections:
        if section.heading:
            heading = _wrapped(section.heading, _MARGIN + 14, y + 2, plan.width - 2 * _MARGIN - 14, _HEADING, _INK)
            plan.texts += heading
            tall = heading[-1].y - y + _HEADING + 4
            plan.boxes.append(_Box(_MARGIN, y, 6, tall, section.colour))
            y += tall + 10
        for row in section.rows:
            x = _MARGIN
            for panel, column in zip(row, columns):
                _plan_panel(plan, panel, x, y, column)
                x += column + _GAP
            y += _LINE + 4 + max(_body(panel)[1] for panel in row) + 2 * _LINE + 16
        for note in section.notes:
            plan.texts.extend(_wrapped(note, _MARGIN, y, plan.width - 2 * _MARGIN))
            y = plan.texts[-1].y + _LINE
        y += 12
    if sheet.footer:
        plan.texts.extend(_wrapped(sheet.footer, _MARGIN, y, plan.width - 2 * _MARGIN))
        y = plan.texts[-1].y + _LINE
    plan.height = y + _MARGIN - 12
    plan.texts = [replace(one, width=min(one.width, plan.width - _MARGIN - one.x)) for one in plan.texts]
    return plan


def _plan_panel(plan: _Plan, panel: Panel, x: int, y: int, width: int) -> None:
    plan.texts.append(_Text(x, y, panel.title, width=width))
    y += _LINE + 4
    body_width, body_height = _body(panel)
    plan.texts.extend(_wrapped(panel.unit, x, y + body_height + 5, width)[:2])
    box = _Box(x, y, body_width, body_height)
    if isinstance(panel, Picture):
        plan.pictures.append((panel, box))
    elif isinstance(panel, (Chart, Radar)):
        lines = _legend(panel, x, y, body_width)
        for mark, name in (one for line in lines for one in line):
            plan.boxes.append(mark)
            plan.texts.append(name)
        tall = _LINE * len(lines)
        plan.charts.append((panel, _Box(x, y + tall, body_width, body_height - tall)))
    elif isinstance(panel, Table):
        _plan_table(plan, panel, x, y)
    elif isinstance(panel, Map):
        if panel.axes:
            left, below = _BESIDE
            box = _Box(x + left, y, body_width - left, body_height - below)
            plan.texts += _ticks(panel, box)
        x, body_width, body_height = box.x, box.width, box.height
        plan.maps.append((panel, box))
        right = x + body_width + _BAR + 12
        for share in (0.0, 0.5, 1.0):
            value = panel.high + share * (panel.low - panel.high)
            place = y + round(share * (body_height - _TEXT)) - 2
            plan.texts.append(_Text(right, place, f"{value:.3g}", colour=_FAINT, width=58))
    elif isinstance(panel, Bars) and panel.labels:
        plan.bars.append((panel, replace(box, x=x + _LABELS)))
        step = body_height / len(panel.labels)
        for index, (label, value) in enumerate(zip(panel.labels, panel.values)):
            place = round(y + (index + 0.5) * step - _TEXT / 2 - 2)
            plan.texts.append(_Text(x, place, label, width=_LABELS - 10))
            plan.texts.append(_Text(x + _LABELS + 6, place - 16, f"{value:.1%}", colour=_FAINT))
    elif isinstance(panel, Bars):
        plan.bars.append((panel, box))
        plan.texts.append(_Text(x, y - 2, f"{panel.high:.3g}", colour=_FAINT))
    elif isinstance(panel, Words):
        plan.texts.extend(_wrapped(panel.text, x, y, width))


def _plan_table(plan: _Plan, panel: Table, x: int, y: int) -> None:
    widths = _columns(panel)
    for number, cells in enumerate((panel.columns, *panel.rows)):
        top, left = y + _ROW * number, x
        if number and panel.colours:
            plan.boxes.append(_Box(x, top + 1, 5, _ROW - 6, panel.colours[number - 1]))
        for text, width in zip(cells, widths):
            plan.texts.append(_Text(left + 10, top, text, colour=_INK if number else _FAINT, width=width - 12))
            left += width


def _ticks(panel: Map, box: _Box) -> list[_Text]:
    """The names of a map's axes and the numbers at their ends and middles."""
    assert panel.axes is not None
    height, width = panel.frame
    across = [panel.origin.x + share * width for share in (0, 0.5, 1)]
    down = [panel.origin.y + share * height for share in (0, 0.5, 1)]
    below, right = box.y + box.height + 3, box.x + box.width
    out = [
        _Text(place, below, f"{value:g}", colour=_FAINT)
        for value, place in zip(across, (box.x, box.x + box.width // 2 - 6, right - 20))
    ]
    out += [
        _Text(box.x - _BESIDE[0], place, f"{value:g}", colour=_FAINT, width=_BESIDE[0] - 4)
        for value, place in zip(down, (box.y, box.y + box.height // 2 - 8, box.y + box.height - 16))
    ]
    out.append(
        _Text(
            box.x, below + _LINE, f"across: {panel.axes[0]}; down: {panel.axes[1]}", colour=_FAINT, width=box.width + 60
        )
    )
    return out


def _bar_boxes(panel: Bars, box: _Box) -> list[_Box]:
    count = len(panel.values)
    boxes = []
    for index, value in enumerate(panel.values):
        share = min(1.0, max(0.0, value / panel.high))
        if panel.labels:
            top = box.y + round((index + 0.5) * box.height / count) - 5
            boxes.append(_Box(box.x, top, max(1, round(share * box.width)), 12, panel.colour))
        else:
            left, right = (box.x + round(edge * box.width / count) for edge in (index, index + 1))
            tall = max(1, round(share * (box.height - _LINE)))
            boxes.append(_Box(left, box.y + box.height - tall, max(1, right - left), tall, panel.colour))
    return boxes


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _measure(text: str, size: int) -> float:
    # The fonts that a browser may choose are up to an eighth wider than the one that the PNG is drawn with.
    return float(_font(size).getlength(text)) * 1.125


def _printable(text: str) -> str:
    # Pillow's own font has Latin letters and little else.
    return text.translate({0xD7: "x", 0x2013: "-", 0x2014: "-", 0x2192: "->", 0x2212: "-", 0xB2: "^2"})


def _cut(text: str, size: int, width: int) -> str:
    """Shorten a text that is wider than ``width`` px."""
    if _measure(text, size) <= width:
        return text
    fits = bisect(range(len(text)), float(width), key=lambda count: _measure(text[:count] + "...", size))
    return text[: max(0, fits - 1)] + "..."


def _wrapped(text: str, x: int, y: int, width: int, size: int = _TEXT, colour: str = _FAINT) -> list[_Text]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _measure(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_Text(x, y + index * (size + 5), line, size, colour, width) for index, line in enumerate(lines)]


# ------------------------------------------------------------------------------------------------------ backends


def _pixels(image: Tensor) -> np.ndarray:
    return (image.detach().cpu().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _anchors(panel: Map) -> tuple[str, ...]:
    return DIVERGING if panel.low < 0 else SEQUENTIAL


def _coloured(panel: Map, values: np.ndarray) -> np.ndarray:
    """(h, w) -> (h, w, 3) uint8."""
    colours = np.array([[int(one[k : k + 2], 16) for k in (1, 3, 5)] for one in _anchors(panel)], dtype=np.float64)
    place = np.clip((values - panel.low) / ((panel.high - panel.low) or 1), 0, 1) * (len(colours) - 1)
    whole = np.nan_to_num(place)
    rgb = np.stack([np.interp(whole, np.arange(len(colours)), colours[:, k]) for k in range(3)], -1)
    rgb[np.isnan(values)] = [int(_INVALID[k : k + 2], 16) for k in (1, 3, 5)]
    return np.rint(rgb).astype(np.uint8)


def image(sheet: Sheet) -> Image.Image:
    """Draw a sheet as a picture."""
    plan = _plan(sheet)
    canvas = Image.new("RGB", (plan.width, plan.height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for picture, box in plan.pictures:
        shown = Image.fromarray(_pixels(picture.image)).resize((box.width, box.height), Image.Resampling.LANCZOS)
        canvas.paste(shown, (box.x, box.y))
    for panel, box in plan.maps:
        # Enlarged cell by cell: nothing is drawn that was not computed.
        cells = Image.fromarray(_coloured(panel, panel.values.detach().cpu().double().numpy()))
        large = panel.values.shape[0] > box.height or panel.values.shape[1] > box.width
        how = Image.Resampling.BOX if large else Image.Resampling.NEAREST
        canvas.paste(cells.resize((box.width, box.height), how), (box.x, box.y))
        scale = np.linspace(panel.high, panel.low, box.height)[:, None].repeat(_BAR, 1)
        canvas.paste(Image.fromarray(_coloured(panel, scale)), (box.x + box.width + 8, box.y))
    for chart, box in plan.charts:
        canvas.paste(charts.picture(chart, box.width, box.height), (box.x, box.y))
    for one in plan.boxes + [part for bars, box in plan.bars for part in _bar_boxes(bars, box)]:
        draw.rectangle((one.x, one.y, one.x + one.width - 1, one.y + one.height - 1), fill=one.colour)
    for mark, frame, box in _marks(plan):
        x, y = box.x + mark.x * box.width / frame[1], box.y + mark.y * box.height / frame[0]
        for colour, line in zip(_MARK, (5, 2)):
            draw.line((x - 8, y, x + 8, y), fill=colour, width=line)
            draw.line((x, y - 8, x, y + 8), fill=colour, width=line)
    for text in plan.texts:
        shown_text = _cut(_printable(text.text), text.size, text.width)
        draw.text((text.x, text.y), shown_text, fill=text.colour, font=_font(text.size))
    return canvas


def _marks(plan: _Plan) -> list[tuple[Point, tuple[int, int], _Box]]:
    marks = [(one.mark, frame_of(one.image), box) for one, box in plan.pictures]
    marks += [(one.mark, one.frame, box) for one, box in plan.maps]
    return [(mark, frame, box) for mark, frame, box in marks if mark is not None]


def svg(sheet: Sheet) -> str:
    """Draw a sheet as a text of SVG."""
    plan = _plan(sheet)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{plan.width}" height="{plan.height}" viewBox="0 0 {plan.width} {plan.height}" '
        f'font-family="system-ui, sans-serif" role="img"><title>{html.escape(sheet.title)}</title>',
        _gradient("sequential", SEQUENTIAL),
        _gradient("diverging", DIVERGING),
        _rect(_Box(0, 0, plan.width, plan.height)),
    ]
    for picture, box in plan.pictures:
        parts.append(_raster(_pixels(picture.image), box, picture.title))
    for panel, box in plan.maps:
        values = panel.values.detach().cpu().double().numpy()
        parts.append(_raster(_coloured(panel, values), box, panel.title, "image-rendering:pixelated"))
        scale = _Box(box.x + box.width + 8, box.y, _BAR, box.height)
        parts.append(_rect(replace(scale, colour=f"url(#{'diverging' if panel.low < 0 else 'sequential'})")))
    for number, (chart, box) in enumerate(plan.charts):
        frame = f'viewBox="0 0 {0.72 * box.width:g} {0.72 * box.height:g}"'
        parts.append(f"<svg {_place(box)} {frame}>{charts.vector(chart, box.width, box.height, number)}</svg>")
    parts += [_rect(one) for one in plan.boxes]
    parts += [_rect(part) for bars, box in plan.bars for part in _bar_boxes(bars, box)]
    for mark, frame_size, box in _marks(plan):
        x, y = box.x + mark.x * box.width / frame_size[1], box.y + mark.y * box.height / frame_size[0]
        for colour, line in zip(_MARK, (5, 2)):
            cross = f"M{x - 8:g} {y:g}h16M{x:g} {y - 8:g}v16"
            parts.append(f'<path d="{cross}" stroke="{colour}" stroke-width="{line}" fill="none"/>')
    for text in plan.texts:
        shown = _cut(text.text, text.size, text.width)
        whole = f"<title>{html.escape(text.text)}</title>" if shown != text.text else ""
        # Of a place the upper edge is known; letters stand on their baseline.
        at = f'x="{text.x}" y="{text.y + text.size:g}" font-size="{text.size}" fill="{text.colour}"'
        parts.append(f'<text {at} xml:space="preserve">{whole}{html.escape(shown)}</text>')
    return "\n".join((*parts, "</svg>", ""))


def _place(box: _Box) -> str:
    return f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'


def _rect(box: _Box) -> str:
    return f'<rect {_place(box)} fill="{box.colour}"/>'


def _raster(pixels: np.ndarray, box: _Box, title: str, style: str = "") -> str:
    """Pixels (h, w, 3) stretched over a box, none of them lost."""
    how = f' style="{style}"' if style else ""
    source = f'preserveAspectRatio="none" href="{_inline(pixels)}"'
    return f"<image {_place(box)}{how} {source}><title>{html.escape(title)}</title></image>"


def _gradient(name: str, colours: tuple[str, ...]) -> str:
    """Colours from below to above, for the bar beside a map."""
    stops = "".join(
        f'<stop offset="{index / (len(colours) - 1):.6g}" stop-color="{colour}"/>'
        for index, colour in enumerate(colours)
    )
    return f'<defs><linearGradient id="{name}" x1="0" y1="1" x2="0" y2="0">{stops}</linearGradient></defs>'


def _inline(pixels: np.ndarray) -> str:
    """Pixels (h, w, 3) as the address of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def figure(sheet: Sheet) -> go.Figure:
    """Draw a sheet as a plotly figure."""
    import plotly.graph_objects as go  # takes a second, which the PNG does not need

    plan = _plan(sheet)
    drawn = go.Figure()
    layout: dict[str, Any] = {
        "width": plan.width,
        "height": plan.height,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": _PAPER,
        "plot_bgcolor": _INVALID,
        "showlegend": False,
        "font": {"family": "system-ui, sans-serif", "color": _INK},
        "annotations": [],
        "shapes": [],
        "hovermode": "closest",
    }
    count = 0

    def axes(box: _Box, x: list[float], y: list[float], **more: Any) -> dict[str, str]:
        """Make a pair of axes that covers a box, and return what a trace needs to stand on it."""
        nonlocal count
        count += 1
        suffix = "" if count == 1 else str(count)
        plain = {"visible": False, "fixedrange": False, **more}
        layout[f"xaxis{suffix}"] = {
            "domain": [box.x / plan.width, (box.x + box.width) / plan.width],
            "range": x,
            "anchor": f"y{suffix}",
            **plain,
        }
        layout[f"yaxis{suffix}"] = {
            "domain": [1 - (box.y + box.height) / plan.height, 1 - box.y / plan.height],
            "range": y,
            "anchor": f"x{suffix}",
            **plain,
        }
        return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}

    def mark(panel: Picture | Map, on: dict[str, str]) -> None:
        if panel.mark is None:
            return
        for colour, line in zip(_MARK, (5, 2)):
            symbol = {"symbol": "cross-thin", "size": 16, "line": {"width": line, "color": colour}}
            drawn.add_scatter(x=[panel.mark.x], y=[panel.mark.y], mode="markers", marker=symbol, hoverinfo="skip", **on)

    for picture, box in plan.pictures:
        height, width = frame_of(picture.image)
        source = _inline(_pixels(picture.image))
        on = axes(box, [0, width], [height, 0])
        drawn.add_image(
            source=source, x0=0.5, y0=0.5, dx=1, dy=1, hovertemplate="x %{x:.0f}, y %{y:.0f}<extra></extra>", **on
        )
        mark(picture, on)
    for panel, box in plan.maps:
        (height, width), (rows, columns) = panel.frame, panel.values.shape
        left, top = panel.origin
        on = axes(box, [left, left + width], [top + height, top])
        anchors = _anchors(panel)
        drawn.add_heatmap(
            z=panel.values.detach().cpu().double().numpy(),
            x0=left + width / columns / 2,
            dx=width / columns,
            y0=top + height / rows / 2,
            dy=height / rows,
            zmin=panel.low,
            zmax=panel.high,
            colorscale=[[index / (len(anchors) - 1), colour] for index, colour in enumerate(anchors)],
            colorbar={
                "x": (box.x + box.width + 8) / plan.width,
                "y": 1 - box.y / plan.height,
                "len": box.height,
                "lenmode": "pixels",
                "thickness": _BAR,
                "xanchor": "left",
                "yanchor": "top",
                "xpad": 0,
                "ypad": 0,
                "outlinewidth": 0,
                "showticklabels": False,
            },
            hovertemplate=_hover(panel),
            name=html.escape(panel.title),
            **on,
        )
        mark(panel, on)
    for chart, box in plan.charts:
        if isinstance(chart, Radar):
            count += 1
            name = f"polar{count}"
            domain = {
                "x": [(box.x + 60) / plan.width, (box.x + box.width - 60) / plan.width],
                "y": [1 - (box.y + box.height - 30) / plan.height, 1 - (box.y + 30) / plan.height],
            }
            layout[name] = {**charts.polar(), "domain": domain}
            drawn.add_traces([{**trace, "subplot": name} for trace in charts.traces(chart)])
            continue
        inner = _Box(box.x + 62, box.y + 14, box.width - 74, box.height - 64)
        on = axes(inner, [0, 1], [0, 1], visible=True)
        own, shapes, words = charts.placed(chart, count)
        for name, one in own.items():
            layout[name] |= one
        layout["shapes"] += shapes
        layout["annotations"] += words
        drawn.add_traces([{**trace, **on} for trace in charts.traces(chart)])
    for bars, box in plan.bars:
        for one, label, value in zip(
            _bar_boxes(bars, box), bars.labels or map(str, range(len(bars.values))), bars.values
        ):
            layout["shapes"].append(_rectangle(plan, one))
            if bars.labels:  # a shape has no hover text
                on = axes(one, [0, 1], [0, 1])
                drawn.add_scatter(
                    x=[0.5],
                    y=[0.5],
                    mode="markers",
                    marker={"opacity": 0, "size": 12},
                    hovertemplate=f"{html.escape(label)}: {value:.4g}<extra></extra>",
                    **on,
                )
    layout["shapes"] += [_rectangle(plan, one) for one in plan.boxes]
    for text in plan.texts:
        layout["annotations"].append(
            {
                "x": text.x / plan.width,
                "y": 1 - text.y / plan.height,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "top",
                "align": "left",
                "showarrow": False,
                "borderpad": 0,
                "text": html.escape(_cut(text.text, text.size, text.width)) or " ",
                "hovertext": html.escape(text.text),
                "font": {"size": text.size, "color": text.colour},
            }
        )
    drawn.update_layout(layout)
    return drawn


def _hover(panel: Map) -> str:
    across, down = (html.escape(name) for name in panel.axes) if panel.axes else ("x, px", "y, px")
    return f"{across}: %{{x:.4g}}<br>{down}: %{{y:.4g}}<br>%{{z:.4g}}<extra></extra>"


def _rectangle(plan: _Plan, box: _Box) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "paper",
        "yref": "paper",
        "x0": box.x / plan.width,
        "x1": (box.x + box.width) / plan.width,
        "y0": 1 - (box.y + box.height) / plan.height,
        "y1": 1 - box.y / plan.height,
        "fillcolor": box.colour,
        "line": {"width": 0},
    }


def _page(sheet: Sheet) -> str:
    inner = figure(sheet).to_html(
        full_html=False, include_plotlyjs=True, include_mathjax=False, div_id="sheet", config={"displaylogo": False}
    )
    title = html.escape(sheet.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body>{inner}</body></html>\n"
    )
