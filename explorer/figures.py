"""Show results: each function takes a result and returns a `Sheet`, which becomes a plotly figure, a page or a PNG.

A sheet says what is shown and in which order; where each panel stands is computed once, in pixels, so that the plotly
figure and the PNG are the same picture. The PNG is drawn with Pillow: plotly's own export starts a Chrome browser,
which a server or a container seldom has.

Maps that are never negative are drawn in cividis (equal steps look equal, also to the colour-blind) from 0 up; signed
maps in red and blue around a white zero. One model has one colour everywhere.
"""

from __future__ import annotations

import base64
import html
import io
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from explorer.errors import ParameterError
from explorer.types import (
    KINDS,
    WEIGHTS_STATES,
    AttentionMap,
    Attribution,
    Comparison,
    ModelView,
    Point,
    Prediction,
    WeightsState,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: One colour a model, told apart by the colour-blind too (Wong 2011, Nature Methods 8:441; without black and yellow).
MODEL_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
#: Cividis (Nunez 2018), from 0 to the largest value.
SEQUENTIAL: Final = (
    *("#00224E", "#123570", "#3B496C", "#575D6D", "#707173"),
    *("#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838"),
)
#: ColorBrewer's RdBu, blue below zero and red above.
DIVERGING: Final = (
    *("#053061", "#2166AC", "#4393C3", "#92C5DE", "#D1E5F0", "#F7F7F7"),
    *("#FDDBC7", "#F4A582", "#D6604D", "#B2182B", "#67001F"),
)

_INK, _FAINT, _INVALID, _PAPER = "#1A1A1A", "#595959", "#BDBDBD", "#FFFFFF"
_MARK = ("#FFFFFF", "#D00000")  # of a query: legible on any map

# Pixels.
_MARGIN, _GAP, _SIDE, _BAR, _LINE, _LABELS = 24, 28, 224, 14, 17, 150
_TEXT, _HEADING, _TITLE = 12, 14, 18


@dataclass(frozen=True, eq=False)
class Picture:
    """What a model sees: ``image`` (3, H, W) in 0..1; ``mark``: the query, px."""

    title: str
    image: Tensor
    mark: Point | None = None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Map:
    """Numbers on a grid that lies evenly over ``frame`` (height, width), px.

    Values are drawn from ``low`` to ``high``, in the diverging colours where ``low`` is negative; NaN is grey.
    """

    title: str
    values: Tensor
    frame: tuple[int, int]
    low: float
    high: float
    unit: str = ""
    mark: Point | None = None


@dataclass(frozen=True, eq=False)
class Bars:
    """Lengths from 0 to ``high``: a line with its label each, or, without labels, columns side by side."""

    title: str
    values: tuple[float, ...]
    high: float
    labels: tuple[str, ...] = ()
    unit: str = ""
    colour: str = MODEL_COLOURS[0]


@dataclass(frozen=True, eq=False)
class Words:
    """Why there is nothing to draw."""

    title: str
    text: str
    unit: str = ""


Panel = Picture | Map | Bars | Words


@dataclass(frozen=True, eq=False)
class Section:
    """Rows of panels under one heading, with a mark in the model's colour and sentences below."""

    heading: str
    rows: tuple[tuple[Panel, ...], ...]
    colour: str = MODEL_COLOURS[0]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sheet:
    """A whole figure."""

    title: str
    sections: tuple[Section, ...]
    footer: str = ""

    def figure(self) -> go.Figure:
        """Return the sheet as a plotly figure."""
        return _plotly(self)

    def image(self) -> Image.Image:
        """Return the sheet as a picture."""
        return _pillow(self)


def save(sheet: Sheet, path: str | Path) -> Path:
    """Write a sheet to ``path``: .png, or .html, one file with everything in it that asks for nothing from elsewhere.

    Raises ParameterError for another ending, or where the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".html"):
        raise ParameterError(f"a figure is written as .png or .html, got '{path.name}'")
    try:
        if suffix == ".png":
            sheet.image().save(path, "PNG")
        else:
            path.write_text(_page(sheet), encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"'{path}' cannot be written: {error.strerror or error}") from error
    return path


def prediction_sheet(prediction: Prediction, image: Tensor, spec: str, state: WeightsState) -> Sheet:
    """What does a model answer? ``image`` (3, H, W) in 0..1 is what it saw."""
    panels = (Picture("What the model sees", image), _bars(prediction, MODEL_COLOURS[0]))
    return Sheet(f"{spec}: prediction", (Section(_state_in_words(state), (panels,)),))


def attention_sheet(
    maps: Sequence[AttentionMap],
    image: Tensor,
    spec: str = "",
    query: Point | str | None = None,
    head: int | None = None,
    item: int = 0,
) -> Sheet:
    """What does each layer attend to?

    Args:
        maps: attention maps of one forward pass.
        image: (3, H, W) in 0..1, what the model saw.
        spec: the model, for the title.
        query: a Point in input pixels or a prefix token's name; by default the centre.
        head: which head, or None for the mean over heads.
        item: which image of the batch.

    Raises ParameterError where a single map is asked for something that it does not have; of several, such a map says
    so in its place.
    """
    height, width = image.shape[-2:]
    point = Point(width / 2, height / 2) if query is None else query
    if len(maps) == 1:
        _attention(maps[0], point, head, item)  # raises
    panels = [_attention_panel(one, point, head, item) for one in maps]
    mark = point if not isinstance(point, str) else None
    rows = [tuple(panels[start : start + 4]) for start in range(0, len(panels), 4)]
    seen = Picture("What the model sees", image, mark, "" if mark is None else "cross: the query")
    # An inserted block's weights differ from its backbone's.
    states = "; ".join(map(_state_in_words, dict.fromkeys(one.state for one in maps)))
    return Sheet(f"{spec}: attention", (Section(states, ((seen, *rows[0]), *rows[1:]) if rows else ((seen,),)),))


def attribution_sheet(attribution: Attribution, image: Tensor, spec: str = "") -> Sheet:
    """What does the answer rest on? ``image`` (3, H, W) in 0..1 is what the model saw."""
    panels = (Picture("What the model sees", image), _attribution_panel(attribution, _frame(image)))
    notes = tuple(filter(None, (attribution.note, _delta(attribution))))
    section = Section(_state_in_words(attribution.state), (panels,), notes=notes)
    return Sheet(f"{spec}: {attribution.method} of {attribution.target}", (section,))


def joined(title: str, sheets: Sequence[Sheet], footer: str = "") -> Sheet:
    """Put several models' sheets below each other, each in its model's colour."""
    sections: list[Section] = []
    for number, sheet in enumerate(sheets):
        colour = MODEL_COLOURS[number % len(MODEL_COLOURS)]
        for section in sheet.sections:
            heading = f"{sheet.title} ({section.heading})" if section.heading else sheet.title
            rows = tuple(
                tuple(replace(panel, colour=colour) if isinstance(panel, Bars) else panel for panel in row)
                for row in section.rows
            )
            sections.append(replace(section, heading=heading, colour=colour, rows=rows))
    return Sheet(title, tuple(sections), footer)


def lines_sheet(title: str, lines: Sequence[str]) -> Sheet:
    """A list in words."""
    return Sheet(title, (Section("", (), notes=tuple(lines)),))


def comparison_sheet(
    comparison: Comparison, layer: int | str | None = None, head: int | None = None, query: str | None = None
) -> Sheet:
    """Where do models differ, and what changes when the picture is moved? A section a model.

    Args:
        comparison: as `compare` returns it.
        layer: which attention map: its number in the order of the forward pass (negative from the end) or its dotted
            path; by default the last that lies on the image.
        head: which head, or None for the mean over heads.
        query: a prefix token's name ("class"); by default the comparison's own query point.
    """
    moved = any(row.images[0] is not row.images[1] and not torch.equal(*row.images) for row in comparison.rows)
    sections = tuple(_section(row, number, moved, layer, head, query) for number, row in enumerate(comparison.rows))
    footer = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    return Sheet(f"Picture: {comparison.transform}. Attribution: {comparison.method}", sections, footer)


def _section(
    row: ModelView, number: int, moved: bool, layer: int | str | None, head: int | None, query: str | None
) -> Section:
    colour = MODEL_COLOURS[number % len(MODEL_COLOURS)]
    chosen = choose_map(row.maps, layer)
    limits = _limits([one.values for one in row.attributions]) if row.attributions else (0.0, 1.0)
    rows = []
    for item, name in enumerate(("Before", "After") if moved else ("What the model sees",)):
        place = row.queries[item]
        panels: list[Panel] = [Picture(name, row.images[item], place, "" if place is None else "cross: the query")]
        panels.append(_bars(row.predictions[item], colour))
        if chosen is None:
            panels.append(Words("Attention", "none to show" if not row.maps else f"no layer '{layer}'"))
        elif query is None and place is None and chosen.per_query:
            panels.append(Words(_map_title(chosen, head), "the query has left the frame"))
        else:
            # A batch of one picture has one item: what was not moved was not run twice.
            last = min(item, chosen.weights.shape[0] - 1)
            panels.append(_attention_panel(chosen, query or place, head, last))
        if row.attributions is not None:
            panels.append(_attribution_panel(row.attributions[item], _frame(row.images[0]), limits))
            if moved and row.pulled_back is not None and row.difference is not None:
                if item == 0:
                    values, title = row.pulled_back.values, "The attribution after, brought back"
                else:
                    values, title = row.difference, "Difference: brought back minus before"
                shown = torch.where(row.pulled_back.valid, values.float(), torch.nan)
                bounds = limits if item == 0 else _limits([values], signed=True)
                unit = "grey: not in the moved picture"
                panels.append(Map(title, shown, _frame(row.images[0]), *bounds, unit))
        rows.append(tuple(panels))
    if moved and chosen is not None:
        rows = _same_scale(rows)
    heading = f"{row.spec} ({_state_in_words(row.state)}; {row.device})"
    deltas = filter(None, map(_delta, row.attributions or ()))
    said = [chosen.note if chosen else "", *(one.note for one in row.attributions or ()), *deltas]
    return Section(heading, tuple(rows), colour, tuple(dict.fromkeys(filter(None, (*row.notes, *said)))))


def _same_scale(rows: list[tuple[Panel, ...]]) -> list[tuple[Panel, ...]]:
    """Give the attention maps before and after one colour scale, so that equal colours are equal values."""
    maps = [panels[2] for panels in rows if isinstance(panels[2], Map)]
    if not maps:
        return rows
    high = max(one.high for one in maps)
    return [
        (*panels[:2], replace(panels[2], high=high), *panels[3:]) if isinstance(panels[2], Map) else panels
        for panels in rows
    ]


def choose_map(maps: Sequence[AttentionMap], layer: int | str | None) -> AttentionMap | None:
    """The map of a layer, by number (negative from the end) or dotted path; by default the last on the image."""
    if layer is None:
        # Of a gate in two strips its product is shown.
        flat = [one for one in maps if one.grid is not None and min(one.grid) > 1]
        return next(reversed(flat or maps), None)
    if isinstance(layer, int):
        return maps[layer] if -len(maps) <= layer < len(maps) else None
    return next((one for one in maps if one.layer == layer), None)


def _map_title(one: AttentionMap, head: int | None) -> str:
    part = "channel" if one.kind == "gate" else "head"
    which = "" if one.heads == 1 else f", mean of {part}s" if head is None else f", {part} {head}"
    return f"{one.layer}{which}"


def _attention(one: AttentionMap, query: Point | str | None, head: int | None, item: int) -> Panel:
    title = _map_title(one, head)
    unit = f"{one.state}; {one.unit or KINDS[one.kind]}"
    if one.layout is None:
        matrix = one.matrix(head or 0, item)
        title = f"{one.layer}" + (f", head {head or 0}" if one.heads > 1 else "")
        high = 1.0 if one.kind == "gate" or "gate" in one.unit else float(matrix.max()) or 1.0
        if min(matrix.shape) == 1:
            return Bars(title, tuple(matrix.flatten().tolist()), high, unit=unit)
        return Map(title, matrix, (matrix.shape[0], matrix.shape[1]), 0.0, high, f"{unit}; no picture of the image")
    values = one.row(query if one.per_query else None, head, item)
    if one.per_query and isinstance(query, str):
        title += f", from the {query} token"
    low, high = (0.0, 1.0) if one.kind == "gate" else _limits([values])
    mark = query if one.per_query and not isinstance(query, str) else None
    return Map(title, values, one.image_size, low, high, unit, mark)


def _attention_panel(one: AttentionMap, query: Point | str | None, head: int | None, item: int) -> Panel:
    try:
        return _attention(one, query, head, item)
    except ParameterError as error:
        return Words(_map_title(one, head), str(error))


def _attribution_panel(one: Attribution, frame: tuple[int, int], limits: tuple[float, float] | None = None) -> Map:
    where = f" at {one.layer}" if one.layer else ""
    low, high = limits or _limits([one.values])
    return Map(f"{one.method}{where}, of {one.target}", one.values, frame, low, high, f"{one.state}; {one.unit}")


def _delta(one: Attribution) -> str:
    return "" if one.delta is None else f"{one.method}: convergence delta {one.delta:.3g}."


def _bars(prediction: Prediction, colour: str) -> Panel:
    if not prediction.top:
        return Words("Prediction", prediction.reason or "no classes")
    labels = tuple(one.label.split(",")[0] for one in prediction.top)
    values = tuple(one.probability for one in prediction.top)
    return Bars("Prediction", values, 1.0, labels, "softmax probability", colour)


def _state_in_words(state: WeightsState) -> str:
    return f"{state}: {WEIGHTS_STATES[state]}"


def _frame(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _limits(maps: Sequence[Tensor], signed: bool = False) -> tuple[float, float]:
    """One range for all of them: from 0, or even around 0 where any is negative."""
    largest = max(float(one.abs().max()) for one in maps) or 1.0
    return (-largest if signed or any(float(one.min()) < 0 for one in maps) else 0.0), largest


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


def _slot(panel: Panel) -> int:
    """Width that a panel takes up with everything beside it."""
    if isinstance(panel, Bars):
        return _SIDE + (_LABELS if panel.labels else 0)
    return _body(panel)[0] + (_BAR + 70 if isinstance(panel, Map) else 0)


def _body(panel: Panel) -> tuple[int, int]:
    """(width, height) of the drawing itself: its frame fitted into a square, oblong ones a little wider."""
    if isinstance(panel, Picture):
        height, width = _frame(panel.image)
    elif isinstance(panel, Map):
        height, width = panel.frame
    else:
        return _SIDE, _SIDE
    scale = min(_SIDE / height, 1.5 * _SIDE / width)
    return max(8, round(width * scale)), max(8, round(height * scale))


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
    elif isinstance(panel, Map):
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
    else:
        plan.texts.extend(_wrapped(panel.text, x, y, width))


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


def _pillow(sheet: Sheet) -> Image.Image:
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
    marks = [(one.mark, _frame(one.image), box) for one, box in plan.pictures]
    marks += [(one.mark, one.frame, box) for one, box in plan.maps]
    return [(mark, frame, box) for mark, frame, box in marks if mark is not None]


def _plotly(sheet: Sheet) -> go.Figure:
    import plotly.graph_objects as go  # takes a second, which the PNG does not need

    plan = _plan(sheet)
    figure = go.Figure()
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
            figure.add_scatter(
                x=[panel.mark.x], y=[panel.mark.y], mode="markers", marker=symbol, hoverinfo="skip", **on
            )

    for picture, box in plan.pictures:
        height, width = _frame(picture.image)
        buffer = io.BytesIO()
        Image.fromarray(_pixels(picture.image)).save(buffer, "PNG")
        source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        on = axes(box, [0, width], [height, 0])
        figure.add_image(
            source=source, x0=0.5, y0=0.5, dx=1, dy=1, hovertemplate="x %{x:.0f}, y %{y:.0f}<extra></extra>", **on
        )
        mark(picture, on)
    for panel, box in plan.maps:
        (height, width), (rows, columns) = panel.frame, panel.values.shape
        on = axes(box, [0, width], [height, 0])
        anchors = _anchors(panel)
        figure.add_heatmap(
            z=panel.values.detach().cpu().double().numpy(),
            x0=width / columns / 2,
            dx=width / columns,
            y0=height / rows / 2,
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
            hovertemplate="x %{x:.1f}, y %{y:.1f} px<br>%{z:.4g}<extra></extra>",
            name=html.escape(panel.title),
            **on,
        )
        mark(panel, on)
    for bars, box in plan.bars:
        for one, label, value in zip(
            _bar_boxes(bars, box), bars.labels or map(str, range(len(bars.values))), bars.values
        ):
            layout["shapes"].append(_rectangle(plan, one))
            if bars.labels:  # a shape has no hover text
                on = axes(one, [0, 1], [0, 1])
                figure.add_scatter(
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
    figure.update_layout(layout)
    return figure


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
    inner = sheet.figure().to_html(
        full_html=False, include_plotlyjs=True, include_mathjax=False, div_id="sheet", config={"displaylogo": False}
    )
    title = html.escape(sheet.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body>{inner}</body></html>\n"
    )
