"""Where everything of a sheet stands, in pixels: computed once, so that all ways of drawing show the same picture."""

from __future__ import annotations

import threading
from bisect import bisect
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font, LoadFlags
from torch import Tensor

from explorer.figures import charts
from explorer.figures.sheet import (
    DIVERGING,
    FAINT,
    INK,
    INVALID,
    LINKED,
    PAPER,
    SEQUENTIAL,
    Bars,
    Chart,
    InputPicture,
    Map,
    Panel,
    Radar,
    Sheet,
    Table,
    Words,
    frame_of,
)
from explorer.geometry import Point

MARK = ("#FFFFFF", "#D00000")  # of a query: legible on any map
# Pixels.
MARGIN, GAP, SIDE, BAR, LINE, LABELS = 24, 28, 224, 14, 17, 150
TEXT, HEADING, TITLE = 12, 14, 18
_CHART, _RADAR = (520, 320), (460, 380)
_ROW, _WIDEST = 22, 340
#: Held while a font is asked, which is no work for two threads at once.
_FONT = threading.Lock()
#: Room for numbers to the left of a map with axes, and below it.
_BESIDE = (40, 40)


@dataclass(frozen=True)
class Text:
    """A line of words; ``(x, y)`` is its upper left corner, px."""

    x: int
    y: int
    text: str
    size: int = TEXT
    colour: str = INK
    width: int = 10_000  # it is cut to this


@dataclass(frozen=True)
class Area:
    """A rectangle in pixels, y down."""

    x: int
    y: int
    width: int
    height: int
    colour: str = PAPER


@dataclass(eq=False)
class Plan:
    """Where everything of a sheet stands."""

    width: int = 0
    height: int = 0
    texts: list[Text] = field(default_factory=list)
    boxes: list[Area] = field(default_factory=list)
    pictures: list[tuple[InputPicture, Area]] = field(default_factory=list)
    maps: list[tuple[Map, Area]] = field(default_factory=list)
    bars: list[tuple[Bars, Area]] = field(default_factory=list)
    charts: list[tuple[Chart | Radar, Area]] = field(default_factory=list)
    links: list[Text] = field(default_factory=list)


def _slot(panel: Panel) -> int:
    """Width that a panel takes up with everything beside it."""
    if isinstance(panel, Bars):
        return SIDE + (LABELS if panel.labels else 0)
    return _body(panel)[0] + (BAR + 70 if isinstance(panel, Map) else 0)


def _body(panel: Panel) -> tuple[int, int]:
    """(width, height) of the drawing itself: its frame fitted into a square, oblong ones a little wider."""
    if isinstance(panel, (Chart, Radar)):
        width, height = _CHART if isinstance(panel, Chart) else _RADAR
        return width, height + LINE * len(_legend(panel, 0, 0, width))
    if isinstance(panel, Table):
        return sum(_columns(panel)), _ROW * (len(panel.rows) + 1)
    if isinstance(panel, InputPicture):
        height, width = frame_of(panel.image)
    elif isinstance(panel, Map):
        height, width = panel.frame
    else:
        return SIDE, SIDE
    scale = min(SIDE / height, 1.5 * SIDE / width)
    left, below = _BESIDE if isinstance(panel, Map) and panel.axes else (0, 0)
    return max(8, round(width * scale)) + left, max(8, round(height * scale)) + below


def _columns(panel: Table) -> list[int]:
    """Widths of a table's columns."""
    cells = zip(panel.columns, *panel.rows)
    return [14 + min(_WIDEST, round(max(measure(text, TEXT) for text in column)) + 14) for column in cells]


def _legend(panel: Chart | Radar, x: int, y: int, width: int) -> list[list[tuple[Area, Text]]]:
    """Lines of marks and names that fit the width."""
    lines: list[list[tuple[Area, Text]]] = [[]]
    place = x
    for colour, name in charts.legend(panel):
        takes = round(min(measure(name, TEXT), width - 16)) + 34
        if place > x and place + takes > x + width:
            lines.append([])
            place = x
        top = y + LINE * (len(lines) - 1)
        lines[-1].append((Area(place, top + 3, 11, 11, colour), Text(place + 16, top, name, width=takes - 18)))
        place += takes
    return lines


def plan_of(sheet: Sheet) -> Plan:
    """Lay out a sheet."""
    plan = Plan()
    rows = [row for section in sheet.sections for row in section.rows]
    columns = [
        max(_slot(row[index]) for row in rows if index < len(row)) for index in range(max(map(len, rows), default=0))
    ]
    plan.width = max(640, 2 * MARGIN + sum(columns) + GAP * (len(columns) - 1))
    plan.texts += _wrapped(sheet.title, MARGIN, MARGIN, plan.width - 2 * MARGIN, TITLE, INK)
    y = plan.texts[-1].y + TITLE + 16
    for section in sheet.sections:
        if section.heading:
            heading = _wrapped(section.heading, MARGIN + 14, y + 2, plan.width - 2 * MARGIN - 14, HEADING, INK)
            plan.texts += heading
            tall = heading[-1].y - y + HEADING + 4
            plan.boxes.append(Area(MARGIN, y, 6, tall, section.colour))
            y += tall + 10
        for row in section.rows:
            x = MARGIN
            for panel, column in zip(row, columns):
                _plan_panel(plan, panel, x, y, column)
                x += column + GAP
            y += LINE + 4 + max(_body(panel)[1] for panel in row) + 2 * LINE + 16
        for note in section.notes:
            plan.texts.extend(_wrapped(note, MARGIN, y, plan.width - 2 * MARGIN))
            y = plan.texts[-1].y + LINE
        y += 12
    if sheet.footer:
        plan.texts.extend(_wrapped(sheet.footer, MARGIN, y, plan.width - 2 * MARGIN))
        y = plan.texts[-1].y + LINE
    if sheet.link:
        plan.links = _broken(sheet.link, MARGIN, y, plan.width - 2 * MARGIN)
        y = plan.links[-1].y + LINE
    plan.height = y + MARGIN - 12
    plan.texts = [replace(one, width=min(one.width, plan.width - MARGIN - one.x)) for one in plan.texts]
    return plan


def _plan_panel(plan: Plan, panel: Panel, x: int, y: int, width: int) -> None:
    plan.texts.append(Text(x, y, panel.title, width=width))
    y += LINE + 4
    body_width, body_height = _body(panel)
    plan.texts.extend(_wrapped(panel.unit, x, y + body_height + 5, width)[:2])
    box = Area(x, y, body_width, body_height)
    if isinstance(panel, InputPicture):
        plan.pictures.append((panel, box))
    elif isinstance(panel, (Chart, Radar)):
        lines = _legend(panel, x, y, body_width)
        for mark, name in (one for line in lines for one in line):
            plan.boxes.append(mark)
            plan.texts.append(name)
        tall = LINE * len(lines)
        plan.charts.append((panel, Area(x, y + tall, body_width, body_height - tall)))
    elif isinstance(panel, Table):
        _plan_table(plan, panel, x, y)
    elif isinstance(panel, Map):
        if panel.axes:
            left, below = _BESIDE
            box = Area(x + left, y, body_width - left, body_height - below)
            plan.texts += _ticks(panel, box)
        x, body_width, body_height = box.x, box.width, box.height
        plan.maps.append((panel, box))
        right = x + body_width + BAR + 12
        for share in (0.0, 0.5, 1.0):
            value = panel.high + share * (panel.low - panel.high)
            place = y + round(share * (body_height - TEXT)) - 2
            plan.texts.append(Text(right, place, f"{value:.3g}", colour=FAINT, width=58))
    elif isinstance(panel, Bars) and panel.labels:
        plan.bars.append((panel, replace(box, x=x + LABELS)))
        step = body_height / len(panel.labels)
        for index, (label, value) in enumerate(zip(panel.labels, panel.values)):
            place = round(y + (index + 0.5) * step - TEXT / 2 - 2)
            plan.texts.append(Text(x, place, label, width=LABELS - 10))
            plan.texts.append(Text(x + LABELS + 6, place - 16, f"{value:.1%}", colour=FAINT))
    elif isinstance(panel, Bars):
        plan.bars.append((panel, box))
        plan.texts.append(Text(x, y - 2, f"{panel.high:.3g}", colour=FAINT))
    elif isinstance(panel, Words):
        plan.texts.extend(_wrapped(panel.text, x, y, width))


def _plan_table(plan: Plan, panel: Table, x: int, y: int) -> None:
    widths = _columns(panel)
    for number, cells in enumerate((panel.columns, *panel.rows)):
        top, left = y + _ROW * number, x
        if number and panel.colours:
            plan.boxes.append(Area(x, top + 1, 5, _ROW - 6, panel.colours[number - 1]))
        for text, width in zip(cells, widths):
            plan.texts.append(Text(left + 10, top, text, colour=INK if number else FAINT, width=width - 12))
            left += width


def _ticks(panel: Map, box: Area) -> list[Text]:
    """The names of a map's axes and the numbers at their ends and middles."""
    assert panel.axes is not None
    height, width = panel.frame
    across = [panel.origin.x + share * width for share in (0, 0.5, 1)]
    down = [panel.origin.y + share * height for share in (0, 0.5, 1)]
    below, right = box.y + box.height + 3, box.x + box.width
    out = [
        Text(place, below, f"{value:g}", colour=FAINT)
        for value, place in zip(across, (box.x, box.x + box.width // 2 - 6, right - 20))
    ]
    out += [
        Text(box.x - _BESIDE[0], place, f"{value:g}", colour=FAINT, width=_BESIDE[0] - 4)
        for value, place in zip(down, (box.y, box.y + box.height // 2 - 8, box.y + box.height - 16))
    ]
    out.append(
        Text(box.x, below + LINE, f"across: {panel.axes[0]}; down: {panel.axes[1]}", colour=FAINT, width=box.width + 60)
    )
    return out


def bar_boxes(panel: Bars, box: Area) -> list[Area]:
    """The bars of a panel as rectangles."""
    count = len(panel.values)
    boxes = []
    for index, value in enumerate(panel.values):
        share = min(1.0, max(0.0, value / panel.high))
        if panel.labels:
            top = box.y + round((index + 0.5) * box.height / count) - 5
            boxes.append(Area(box.x, top, max(1, round(share * box.width)), 12, panel.colour))
        else:
            left, right = (box.x + round(edge * box.width / count) for edge in (index, index + 1))
            tall = max(1, round(share * (box.height - LINE)))
            boxes.append(Area(left, box.y + box.height - tall, max(1, right - left), tall, panel.colour))
    return boxes


@cache
def _advance(letter: str) -> float:
    """Width of a letter, in shares of the size of the letters."""
    with _FONT:
        font = FT2Font(font_manager.findfont("DejaVu Sans"))
        font.set_size(72, 72)
        if not font.get_char_index(ord(letter)):
            return 1.0  # a sign of a font with square ones
        return font.load_char(ord(letter), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / 72


def measure(text: str, size: float) -> float:
    """Width of a text, px, in the font of the stills; those that a browser chooses are no wider."""
    return size * sum(map(_advance, text))


def cut(text: str, size: int, width: int) -> str:
    """Shorten a text that is wider than ``width`` px."""
    if measure(text, size) <= width:
        return text
    fits = bisect(range(len(text)), float(width), key=lambda count: measure(text[:count] + "...", size))
    return text[: max(0, fits - 1)] + "..."


def _wrapped(text: str, x: int, y: int, width: int, size: int = TEXT, colour: str = FAINT) -> list[Text]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and measure(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [Text(x, y + index * (size + 5), line, size, colour, width) for index, line in enumerate(lines)]


def _broken(address: str, x: int, y: int, width: int) -> list[Text]:
    """The lines of an address, which has no spaces and is broken anywhere."""
    lines = [""]
    for sign in address:
        if lines[-1] and measure(lines[-1] + sign, TEXT) > width:
            lines.append(sign)
        else:
            lines[-1] += sign
    return [Text(x, y + index * (TEXT + 5), line, TEXT, LINKED, width) for index, line in enumerate(lines)]


def pixels(image: Tensor) -> np.ndarray:
    """(3, h, w) in 0..1 -> (h, w, 3) uint8."""
    return (image.detach().cpu().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def anchors(panel: Map) -> tuple[str, ...]:
    """The colours of a map from low to high."""
    return DIVERGING if panel.low < 0 else SEQUENTIAL


def coloured(panel: Map, values: np.ndarray) -> np.ndarray:
    """(h, w) -> (h, w, 3) uint8."""
    colours = np.array([[int(one[k : k + 2], 16) for k in (1, 3, 5)] for one in anchors(panel)], dtype=np.float64)
    place = np.clip((values - panel.low) / ((panel.high - panel.low) or 1), 0, 1) * (len(colours) - 1)
    whole = np.nan_to_num(place)
    rgb = np.stack([np.interp(whole, np.arange(len(colours)), colours[:, k]) for k in range(3)], -1)
    rgb[np.isnan(values)] = [int(INVALID[k : k + 2], 16) for k in (1, 3, 5)]
    return np.rint(rgb).astype(np.uint8)


def marks(plan: Plan) -> list[tuple[Point, tuple[int, int], Area]]:
    """The queries of pictures and maps, each with the frame it lies in and the box that shows it."""
    found = [(one.mark, frame_of(one.image), box) for one, box in plan.pictures]
    found += [(one.mark, one.frame, box) for one, box in plan.maps]
    return [(mark, frame, box) for mark, frame, box in found if mark is not None]
