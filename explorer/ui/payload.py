"""A comparison as the browser gets it: one JSON text, its numbers as low-resolution float16 arrays in base64.

Raw numbers go over once per answer; colouring, enlarging, layer, head, overlay and reading a value happen in the
browser. float16 keeps 11 bits: more than a colour or three printed digits can show. Two kinds of text:

- `live` follows every move: predictions, what the model sees, each map's rows for the present query, attributions;
- `bank` comes once a move has settled: whole attention matrices within a budget, so that a further query needs no
  round trip, and what `live` left out for being large.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor

from explorer.attention.dependence import opening_map
from explorer.attention.maps import AttentionMap, Weights
from explorer.attention.mass import by_area
from explorer.attribution import method_title
from explorer.comparison.compare import NO_MAP, REFUSED, Pair
from explorer.comparison.result import ModelView, Prediction
from explorer.figures.looks import colours_of
from explorer.geometry import Point
from explorer.kinds import KINDS
from explorer.messages import Message, listed
from explorer.models.spec import WEIGHTS_STATES
from explorer.transforms import Transform
from explorer.ui.arrays import Blob, matrices, matrix_bytes, queries_of, sinks_of
from explorer.ui.request import Failure, Request
from explorer.ui.words import dumps
from explorer.view import View
from explorer.view.forms import MOVES
from explorer.view.forms import request as asked_form

#: Bytes of attention rows in a live text; maps beyond it give the mean of their heads until the move has settled.
LIVE_BYTES = 1_500_000
#: Bytes of attention matrices in a bank: of those that are looked at (queries and keys of 4096 tokens and 6 heads of
#: 64 channels take 13 MB), and of others.
LOOKED_AT_BYTES, BANK_BYTES = 32_000_000, 6_000_000
#: Pictures of at most this many pixels a side are sent as they are.
EXACT_SIDE = 112
#: Cells a side of the grid on which the object of a scene is told.
MASK_SIDE = 48


def asked_of(view: View) -> dict[str, Any]:
    """What was asked, as every reply carries it: by it the browser tells a late answer from the present one."""
    models, question = asked_form(view)
    at = {name: question[name] for name in (*MOVES, "scene", "picture")}
    return {"models": models, "at": at, **{name: question[name] for name in ("pins", "pin", "method", "parameters")}}


def live(
    slots: Sequence[ModelView | Failure],
    request: Request,
    key: str,
    pending: str = "",
) -> str:
    """Return the text that follows a move.

    Args:
        slots: a view or a failure for each model, in the order asked for.
        request: what was asked.
        key: names the answer; a bank of the same key belongs to it.
        pending: why there is no attribution yet although the method can serve the model, or "".
    """
    blob = Blob()
    images = _Images(blob)
    rows: list[dict[str, Any]] = []
    view, full = request.view, is_complete(slots, request.view)
    for place, (text, slot, colour) in enumerate(zip(view.texts, slots, colours_of(view.texts))):
        if isinstance(slot, Failure):
            rows.append({"asked": text, "colour": colour, "spec": slot.spec, "error": slot.problem})
        else:
            rows.append({"asked": text, "colour": colour, **_row(place, slot, request, blob, images, full, pending)})
    return dumps(
        {
            "key": key,
            "transform": request.words,
            "identity": view.transform.is_identity,
            "frame": list(request.frame),
            "truth": request.truth,
            "cues": request.cues,
            **asked_of(view),
            "notes": list(request.notes),
            "gone": request.gone,
            "lost": request.lost,
            "rows": rows,
            "images": images.told,
            "masks": [blob.add(_cover(mask), "u1") for mask in request.masks()],
            "complete": full,
            "blob": blob.text(),
        }
    )


def bank(slots: Sequence[ModelView | Failure], asked: View, key: str, complete: bool) -> str:
    """Return what every row of the moved picture's maps can be had from, for as many as there is room for.

    First come the maps that are looked at, up to LOOKED_AT_BYTES, then others, the last layers first, up to BANK_BYTES.

    Args:
        slots: as for `live`.
        asked: what was asked.
        key: names the answer this belongs to.
        complete: whether the live text already had every head of every map.
    """
    blob = Blob()
    rows: list[dict[str, Any]] = [{"maps": {}} for _ in slots]
    views = [(index, slot) for index, slot in enumerate(slots) if isinstance(slot, ModelView)]
    depth = max((len(view.maps) for _, view in views), default=0)
    looked = [(index, number) for index, view in views if (number := looked_at(asked, index, view)) is not None]
    # Counted from the end, because the last layers are looked at first.
    others = [
        (index, len(view.maps) - behind)
        for behind in range(1, depth + 1)
        for index, view in views
        if behind <= len(view.maps)
    ]
    views_at = dict(views)
    left, before = LOOKED_AT_BYTES, len(looked)
    for rank, (index, number) in enumerate(dict.fromkeys([*looked, *others])):
        if rank == before:
            left = min(left, BANK_BYTES)
        view = views_at[index]
        one = view.maps[number]
        entry: dict[str, Any] = {}
        if not complete:
            entry["rows"] = queries_of(one, view, blob, mean=False)
        if one.per_query and (size := matrix_bytes(one)) <= left:
            left -= size
            entry |= matrices(one, blob)
        if entry:
            rows[index]["maps"][number] = entry
    return json.dumps(
        {"key": key, "layers": list(asked.layer_of_each), "rows": rows, "blob": blob.text()}, allow_nan=False
    )


def _cover(mask: Tensor) -> Tensor:
    """How much of each cell of a coarse grid a mask covers, 0 to 255: fine enough for shares in whole percent."""
    grid = (min(mask.shape[0], MASK_SIDE), min(mask.shape[1], MASK_SIDE))
    return (by_area(mask, grid) * 255).round()


def _row(
    place: int,
    view: ModelView,
    request: Request,
    blob: Blob,
    images: _Images,
    full: bool,
    pending: str,
) -> dict[str, Any]:
    height, width = view.images[0].shape[-2:]
    opens = looked_at(request.view, place, view)
    return {
        "spec": view.spec,
        "state": view.state,
        "state_title": WEIGHTS_STATES[view.state],
        "device": view.device,
        "size": [height, width],
        "shift": list(view.shift),
        # Why there is no map is said where it would be.
        "notes": [note for note in view.notes if not _is(note, NO_MAP)],
        "no_map": next((note.values["why"] for note in view.notes if _is(note, NO_MAP)), ""),
        "move": _move(request.places((height, width)), (height, width)),
        "images": [images.add(image) for image in view.images],
        "predictions": [_prediction(one) for one in view.predictions],
        "maps": [_map(one, view, blob, mean=not full, looked=number == opens) for number, one in enumerate(view.maps)],
        "opens": opens,
        "attribution": _attribution(view, blob, pending),
    }


def _is(note: str, which: str) -> TypeGuard[Message]:
    """Whether a note is this message, whatever stands in its places."""
    return isinstance(note, Message) and note.template == which


def looked_at(asked: View, index: int, view: ModelView) -> int | None:
    """The number of the map that is looked at: where none was said, one in which the query matters.

    The picture before its move decides, so that no step of a drag opens another, or has to look for it.
    """
    layer = asked.layers.get(index)
    if not view.maps:
        return None
    numbers = [number for number, one in enumerate(view.maps) if layer in (number, one.layer)]
    if numbers:
        return numbers[0]
    weights = view.maps[0].weights
    first = weights.before if isinstance(weights, Pair) else weights
    if first not in _OPENS:
        _OPENS[first] = opening_map(view.maps)
    return _OPENS[first]


#: The first map's weights of the pictures that are alive -> the map that opens.
_OPENS: WeakKeyDictionary[Weights, int | None] = WeakKeyDictionary()


def _move(transform: Transform, frame: tuple[int, int]) -> dict[str, Any]:
    """The move as x, y -> linear (x, y) + offset on shares of the frame, so that the browser can follow an object."""
    height, width = frame
    plain = dataclasses.replace(transform, border="zero")
    origin, right, down = (plain.point(Point(x, y), frame) for x, y in ((0, 0), (width, 0), (0, height)))
    beyond = Point(-width, -height)
    return {
        "linear": [
            [(right.x - origin.x) / width, (down.x - origin.x) / width],
            [(right.y - origin.y) / height, (down.y - origin.y) / height],
        ],
        "offset": [origin.x / width, origin.y / height],
        "cyclic": transform.point(beyond, frame) != plain.point(beyond, frame),
    }


@dataclass
class _Images:
    """What the models see, each picture once however many models see the same."""

    blob: Blob
    #: Of few pixels each one is looked at: those lie in the blob as they are, and are there without being decoded.
    told: list[str | dict[str, Any]] = field(default_factory=list)
    _known: list[Tensor] = field(default_factory=list)

    def add(self, image: Tensor) -> int:
        for index, known in enumerate(self._known):
            if known is image or (known.shape == image.shape and torch.equal(known, image)):
                return index
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        self._known.append(image)
        if max(image.shape[1:]) <= EXACT_SIDE:
            self.told.append(self.blob.add(pixels, "u1"))
        else:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=88)
            self.told.append("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii"))
        return len(self.told) - 1


#: Beside bars that do not sum to 1.
_INDEPENDENT = Message("each label by itself, part of the answer from 50 % on")


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "reason": prediction.reason,
        "about": ""
        if prediction.unit == Prediction.unit
        else listed([prediction.unit, _INDEPENDENT], "{first}: {rest}"),
        "answer": prediction.answer,
        "decided": list(prediction.decided),
        "top": [{"index": one.index, "label": one.label, "p": one.probability} for one in prediction.top],
    }


def _unit(one: AttentionMap) -> str:
    """What a map's numbers are, in words; its kind is named where the unit does not say it already."""
    kind = KINDS[one.kind]
    if not one.unit or one.kind == "axial":
        return one.unit or kind
    said = one.unit.startswith(re.split(r"[ ,]", kind)[0])
    return one.unit if said else listed([Message(kind), one.unit], "{first}; {rest}")


def _map(one: AttentionMap, view: ModelView, blob: Blob, mean: bool, looked: bool) -> dict[str, Any]:
    layout = one.layout
    described: dict[str, Any] = {
        "layer": one.layer,
        "module": one.module,
        "part": one.part,
        "mechanism": one.mechanism,
        "kind": one.kind,
        "kind_title": KINDS[one.kind],
        "unit": _unit(one),
        "state": one.state,
        "state_title": WEIGHTS_STATES[one.state],
        "note": one.note,
        "heads": one.heads,
        "grid": None if one.grid is None else list(one.grid),
        "layout": "" if layout is None else layout.name,
        "query_grid": None if layout is None or layout.query_grid is None else list(layout.query_grid),
        "prefix": [] if layout is None else list(layout.prefix),
        "sinks": sinks_of(one, looked),
    }
    described["rows"] = queries_of(one, view, blob, mean)
    return described


def is_complete(slots: Sequence[ModelView | Failure], asked: View) -> bool:
    """Whether a live text has room for every head of every map."""
    total = 0
    for view in slots:
        for one in view.maps if isinstance(view, ModelView) else ():
            if one.grid is not None:
                queries = len(asked.queries) + len(one.layout.prefix) if one.per_query and one.layout else 1
                total += 2 * one.heads * one.grid[0] * one.grid[1] * queries * one.weights.shape[0]
    return total <= LIVE_BYTES


def _attribution(view: ModelView, blob: Blob, pending: str) -> dict[str, Any]:
    if view.attributions is None or view.pulled_back is None or view.difference is None:
        refused = any(_is(note, REFUSED) for note in view.notes)
        return {"why": "" if refused else pending}
    before, after = view.attributions
    return {
        "method": after.method,
        "called": method_title(after.method),
        "layer": after.layer,
        "target": after.target,
        "delta": [before.delta, after.delta],
        "unit": after.unit,
        "note": after.note,
        "state": after.state,
        "state_title": WEIGHTS_STATES[after.state],
        "before": blob.add(before.values),
        "after": blob.add(after.values),
        "pulled": blob.add(view.pulled_back.values),
        "valid": blob.add(view.pulled_back.valid, "u1"),
        "difference": blob.add(view.difference),
    }
