"""What was found, as plain values for --json and as lines to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from explorer.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from explorer.attention.maps import AttentionMap
    from explorer.attribution.result import Attribution
    from explorer.comparison.result import Comparison, ModelView, Prediction
    from explorer.geometry import Point
    from explorer.images import Picture
    from explorer.scenes import Scene


def context(picture: Picture | Scene, found: Comparison | str) -> dict[str, Any]:
    from explorer.comparison.compare import versions
    from explorer.images import Picture

    shown: dict[str, Any]
    if isinstance(picture, Picture):
        width, height = picture.image.size
        shown = {"image": {"name": picture.name, "width": width, "height": height, "notes": picture.notes}}
    else:
        shown = {"scene": dataclasses.asdict(picture)}
    transform = found if isinstance(found, str) else found.transform
    return {**shown, "transform": transform, "versions": dict(versions())}


def about(picture: Picture | Scene, transform: str) -> list[str]:
    from explorer.images import Picture

    if isinstance(picture, Picture):
        return [f"{picture.name}: {transform}", *picture.notes]
    return [f"scene of {picture.label}, {picture.texture}, on {picture.background}: {transform}"]


def head_of(spec: str, state: str, device: str, input_size: Sequence[int]) -> dict[str, Any]:
    return {"model": spec, "weights": state, "device": device, "input_size": list(input_size)}


def title_of(head: dict[str, Any]) -> str:
    height, width = head["input_size"]
    return f"{head['model']}  [{head['weights']} weights, {width} x {height} px, {head['device']}]"


def prediction_of(one: Prediction) -> dict[str, Any]:
    top = [dataclasses.asdict(score) for score in one.top]
    return {"prediction": top, "unit": one.unit, "answer": list(one.labels), "reason": one.reason}


def attribution_of(one: Attribution) -> dict[str, Any]:
    return {
        "method": one.method,
        "target": one.target,
        "layer": one.layer,
        "unit": one.unit,
        "parameters": dict(one.parameters),
        "delta": one.delta,
        "note": one.note,
        "values": one.values,
    }


def attention_of(
    one: AttentionMap, query: Point | str | None, head: int | None, item: int, strict: bool
) -> dict[str, Any]:
    """A map as a record; where the query or head is not there, its ``values`` are null and ``error`` says why."""
    record: dict[str, Any] = {
        "layer": one.layer,
        "mechanism": one.mechanism,
        "kind": one.kind,
        "layout": None if one.layout is None else one.layout.name,
        "grid": one.grid,
        "heads": one.heads,
        "head": head,
        "unit": one.unit,
        "weights": one.state,
        "note": one.note,
        "values": None,
        "error": "",
    }
    try:
        if one.layout is None:
            record["head"] = head or 0
            record["values"] = one.matrix(head or 0, item)
        elif one.per_query and query is None:
            raise ParameterError("the query has left the frame")
        else:
            record["values"] = one.row(query if one.per_query else None, head, item)
    except ParameterError as error:
        if strict:
            raise
        record["error"] = str(error)
    return record


def map_line(one: AttentionMap, record: dict[str, Any]) -> str:
    where = "no position on the image" if one.grid is None else f"{one.grid[0]} x {one.grid[1]} cells"
    layout = "" if one.layout is None else f"{one.layout.name}, "
    text = f"{one.layer}: {one.kind}, {layout}{where}, {one.heads} heads, {one.unit} ({one.state})"
    if record["error"]:
        return f"{text}: {record['error']}"
    return text


def peak(one: Attribution, frame: Sequence[int]) -> tuple[float, float]:
    rows, columns = one.values.shape
    index = int(one.values.argmax())
    return (index % columns + 0.5) * frame[1] / columns, (index // columns + 0.5) * frame[0] / rows


def wanted(view: ModelView, layer: int | str) -> AttentionMap:
    found = view.map(layer)
    if found is not None:
        return found
    if isinstance(layer, int):
        raise ParameterError(f"{view.spec}: --layer {layer} asked for, it has layers 0 to {len(view.maps) - 1}")
    raise UnknownNameError(f"layer of {view.spec}", layer, [one.layer for one in view.maps])
