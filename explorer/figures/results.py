"""Results as sheets: each function takes a result and says what is shown of it; `explorer.figures` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.attribution.base import method_title
from explorer.attribution.result import Attribution
from explorer.comparison.result import Comparison, ModelView, Prediction
from explorer.errors import ParameterError
from explorer.figures.looks import colours_of
from explorer.figures.sheet import Bars, InputPicture, Map, Panel, Section, Sheet, Words, frame_of
from explorer.geometry import Point
from explorer.kinds import KINDS
from explorer.models.spec import WEIGHTS_STATES, WeightsState


def prediction_sheet(prediction: Prediction, image: Tensor, spec: str, state: WeightsState) -> Sheet:
    """What does a model answer? ``image`` (3, H, W) in 0..1 is what it saw."""
    panels = (InputPicture("What the model sees", image), _bars(prediction, colours_of((spec,))[0]))
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
    seen = InputPicture("What the model sees", image, mark, "" if mark is None else "cross: the query")
    # An inserted block's weights differ from its backbone's.
    states = "; ".join(map(_state_in_words, dict.fromkeys(one.state for one in maps)))
    return Sheet(f"{spec}: attention", (Section(states, ((seen, *rows[0]), *rows[1:]) if rows else ((seen,),)),))


def map_sheet(one: AttentionMap) -> Sheet:
    """What does one layer attend to from the centre? Without the picture, which a map does not hold."""
    height, width = one.image_size
    centre = Point(width / 2, height / 2)
    panel = _attention_panel(one, centre if one.per_query else None, None, 0)
    notes = (one.note,) if one.note else ()
    return Sheet(f"{one.layer}: attention", (Section(_state_in_words(one.state), ((panel,),), notes=notes),))


def attribution_sheet(attribution: Attribution, image: Tensor | None = None, spec: str = "") -> Sheet:
    """What does the answer rest on? ``image`` (3, H, W) in 0..1 is what the model saw; without it, the map alone."""
    seen = () if image is None else (InputPicture("What the model sees", image),)
    rows, columns = attribution.values.shape
    frame = (rows, columns) if image is None else frame_of(image)
    notes = tuple(filter(None, (attribution.note, _delta(attribution))))
    section = Section(
        _state_in_words(attribution.state), ((*seen, _attribution_panel(attribution, frame)),), notes=notes
    )
    title = f"{method_title(attribution.method)} of {attribution.target}"
    return Sheet(f"{spec}: {title}" if spec else title, (section,))


def joined(title: str, sheets: Sequence[tuple[str, Sheet]], footer: str = "") -> Sheet:
    """Put several sheets below each other, each of a model and in its colour."""
    sections: list[Section] = []
    for (_, sheet), colour in zip(sheets, colours_of([model for model, _ in sheets])):
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
    comparison: Comparison,
    layer: int | str | Sequence[int | str | None] | None = None,
    head: int | None = None,
    query: str | None = None,
) -> Sheet:
    """Where do models differ, and what changes when the picture is moved? A section a model.

    Args:
        comparison: as `compare` returns it.
        layer: which attention map: its number in the order of the forward pass (negative from the end) or its dotted
            path; by default the last that lies on the image. Or one of these for each model.
        head: which head, or None for the mean over heads.
        query: a prefix token's name ("class"); by default the comparison's own query points.
    """
    one_each = [layer] * len(comparison.rows) if layer is None or isinstance(layer, (int, str)) else list(layer)
    moved = any(row.images[0] is not row.images[1] and not torch.equal(*row.images) for row in comparison.rows)
    colours = colours_of([row.spec for row in comparison.rows])
    sections = tuple(
        _section(row, colour, moved, layer, head, query)
        for row, layer, colour in zip(comparison.rows, one_each, colours)
    )
    footer = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    return Sheet(f"Picture: {comparison.transform}. Attribution: {method_title(comparison.method)}", sections, footer)


def _section(
    row: ModelView, colour: str, moved: bool, layer: int | str | None, head: int | None, query: str | None
) -> Section:
    chosen = row.map(layer)
    limits = _limits([one.values for one in row.attributions]) if row.attributions else (0.0, 1.0)
    rows = []
    for item, name in enumerate(("Before", "After") if moved else ("What the model sees",)):
        place = row.queries[item]
        panels: list[Panel] = [InputPicture(name, row.images[item], place, "" if place is None else "cross: the query")]
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
            panels.append(_attribution_panel(row.attributions[item], frame_of(row.images[0]), limits))
            if moved and row.pulled_back is not None and row.difference is not None:
                if item == 0:
                    values, title = row.pulled_back.values, "The attribution after, brought back"
                else:
                    values, title = row.difference, "Difference: brought back minus before"
                shown = torch.where(row.pulled_back.valid, values.float(), torch.nan)
                bounds = limits if item == 0 else _limits([values], signed=True)
                unit = "grey: not in the moved picture"
                panels.append(Map(title, shown, frame_of(row.images[0]), *bounds, unit))
        rows.append(tuple(panels))
    if moved and chosen is not None:
        rows = _same_scale(rows)
    if chosen is not None and chosen.per_query and query is None:
        rows += [_further(row, chosen, places, head, moved) for places in row.further]
    heading = f"{row.spec} ({_state_in_words(row.state)}; {row.device})"
    deltas = filter(None, map(_delta, row.attributions or ()))
    said = [chosen.note if chosen else "", *(one.note for one in row.attributions or ()), *deltas]
    return Section(heading, tuple(rows), colour, tuple(dict.fromkeys(filter(None, (*row.notes, *said)))))


def _further(
    row: ModelView, one: AttentionMap, places: tuple[Point, Point | None], head: int | None, moved: bool
) -> tuple[Panel, ...]:
    """What is attended to from another query: before and, where something moved, after."""
    panels: list[Panel] = []
    for item, place in enumerate(places[: 2 if moved else 1]):
        if place is None:
            panels.append(Words(_map_title(one, head), "the query has left the frame"))
        else:
            panels.append(_attention_panel(one, place, head, min(item, one.weights.shape[0] - 1)))
    high = max((panel.high for panel in panels if isinstance(panel, Map)), default=1.0)
    shown = [replace(panel, high=high) if isinstance(panel, Map) else panel for panel in panels]
    pictures = [InputPicture("Another query", row.images[0], places[0], "cross: the query")]
    return (*pictures, *shown)


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
    return Map(
        f"{method_title(one.method)}{where}, of {one.target}", one.values, frame, low, high, f"{one.state}; {one.unit}"
    )


def _delta(one: Attribution) -> str:
    return "" if one.delta is None else f"{method_title(one.method)}: convergence delta {one.delta:.3g}."


def _bars(prediction: Prediction, colour: str) -> Panel:
    if not prediction.top:
        return Words("Prediction", prediction.reason or "no classes")
    labels = tuple(one.label.split(",")[0] for one in prediction.top)
    values = tuple(one.probability for one in prediction.top)
    return Bars("Prediction", values, 1.0, labels, prediction.unit, colour)


def _state_in_words(state: WeightsState) -> str:
    return f"{state}: {WEIGHTS_STATES[state]}"


def _limits(maps: Sequence[Tensor], signed: bool = False) -> tuple[float, float]:
    """One range for all of them: from 0, or even around 0 where any is negative."""
    largest = max(float(one.abs().max()) for one in maps) or 1.0
    return (-largest if signed or any(float(one.min()) < 0 for one in maps) else 0.0), largest
