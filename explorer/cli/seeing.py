"""What do models answer, attend to and rest on? ``explorer predict``, ``attend``, ``attribute`` and ``compare``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from explorer.cli.flags import Verbs, add_method, add_out, add_picture, add_query
from explorer.cli.records import (
    about,
    attention_of,
    attribution_of,
    context,
    head_of,
    map_line,
    peak,
    prediction_of,
    title_of,
    wanted,
)
from explorer.cli.result import Result
from explorer.cli.values import answered, layers_of, query_of, shown_by, specs_of, transform_of
from explorer.errors import NoAttentionError, ParameterError

if TYPE_CHECKING:
    from explorer.figures.sheet import Sheet
    from explorer.images import Picture
    from explorer.models.model import Model
    from explorer.scenes import Scene
    from explorer.transforms import Transform


def add_verbs(verbs: Verbs) -> None:
    """Add ``predict``, ``attend``, ``attribute`` and ``compare``."""
    predict = verbs.add("predict", _predict, "What do models answer?")
    predict.add_argument("--top", type=int, default=5, metavar="N", help="how many classes (%(default)s)")
    attend = verbs.add("attend", _attend, "What do models attend to?")
    attribute = verbs.add("attribute", _attribute, "What do models' answers rest on?")
    compare = verbs.add("compare", _compare, "Compare models on a picture before and after a move.")
    for one in (predict, attend, attribute, compare):
        add_picture(one, verbs.is_asked(one), several=one is predict)
    for one in (attend, compare):
        add_query(one)
    for one in (attribute, compare):
        add_method(one, verbs.arguments(one), optional=one is compare)
    for one in (predict, attend, attribute, compare):
        add_out(one)


#: Most pictures that predict draws together.
_DRAWN = 24


def _predict(options: argparse.Namespace) -> Result:
    if options.top < 1:
        raise ParameterError(f"--top is 1 or more, got {options.top}")
    from explorer.images import Picture
    from explorer.models.device import choose_device
    from explorer.models.labels import class_numbers
    from explorer.models.loading import load
    from explorer.scenes import motion

    transform, specs = transform_of(options), specs_of(options)
    several = options.images is not None or len(options.image or ()) > 1
    # One, and those that are named, are read before models are loaded, which may take minutes.
    shown: Any = shown_by(options) if options.images is not None else list(shown_by(options))
    device = str(choose_device(options.device))
    models = [load(spec, device) for spec in specs]
    known = [class_numbers(model.labels, model.num_classes) for model in models]
    records: list[dict[str, Any]] = []
    lines: list[str] = []
    sheets: list[Any] = []
    right, judged = [0] * len(models), [0] * len(models)
    for picture, label in shown:
        words = transform.words if isinstance(picture, Picture) else motion.in_words(transform)
        rows, said, drawn = _predicted(options, picture, models, transform, words)
        for place, row in enumerate(rows):
            truth = known[place].get(label.lower().replace("_", " "), known[place].get(label))
            if label and truth is not None and row["prediction"]:
                judged[place] += 1
                right[place] += row["prediction"][0]["index"] == truth
        lines += said
        records.append({**context(picture, words), **({"label": label} if several else {}), "models": rows})
        if options.out is not None and len(records) <= _DRAWN:
            sheets += drawn
    if options.out is not None and len(records) > _DRAWN:
        raise ParameterError(f"--out draws at most {_DRAWN} pictures, got {len(records)}; leave it out, or give fewer")
    if not records:
        raise ParameterError(f"'{options.images}' has no picture that can be read: {' '.join(options.left_out)}")

    def sheet() -> Sheet:
        from explorer.figures.results import joined, prediction_sheet

        each = [(one[2], prediction_sheet(*one)) for one in sheets]
        return joined(f"Prediction. Picture: {records[0]['transform']}", each)

    if not several:
        return Result(records[0], lines, sheet)
    top1 = [
        {"model": str(model.spec), "right": good, "n": count, "top1": good / count if count else None}
        for model, good, count in zip(models, right, judged)
    ]
    for one in top1:
        if one["n"]:
            lines.append(f"{one['model']}: {one['top1']:.1%} right, {one['right']} of {one['n']} pictures with a label")
    notes = list(getattr(options, "left_out", ()))
    versions = records[0]["versions"]
    pictures = [{key: value for key, value in one.items() if key != "versions"} for one in records]
    return Result({"pictures": pictures, "top1": top1, "notes": notes, "versions": versions}, [*lines, *notes], sheet)


def _predicted(
    options: argparse.Namespace, picture: Picture | Scene, models: Sequence[Model], transform: Transform, words: str
) -> tuple[list[dict[str, Any]], list[str], list[Any]]:
    """One picture's answers of all models: as records, as lines, and as what is drawn of them."""
    import torch

    from explorer.comparison.compare import prediction, seen

    rows, lines, sheets = [], about(picture, words), []
    first = models[0].input_size
    for model in models:
        move = transform.scaled(model.input_size[1] / first[1], model.input_size[0] / first[0])
        with model.lock, torch.inference_mode():
            shown = seen(model, picture, move)
            answer = prediction(model, model.logits(shown)[0], options.top)
        head = head_of(str(model.spec), model.state, str(model.device), shown.shape[-2:])
        rows.append({**head, **prediction_of(answer), "notes": list(model.notes)})
        lines += [title_of(head), *(f"  {one.probability:7.2%}  {one.label} ({one.index})" for one in answer.top)]
        if answer.top and model.head.kind != "softmax":
            lines.append(f"  {answer.unit}; answer, the labels with p of 0.5 and more: {answer.answer}")
        lines += [f"  {note}" for note in (answer.reason, *model.notes) if note]
        if options.out is not None:
            sheets.append((answer, shown[0].cpu(), str(model.spec), model.state))
    return rows, lines, sheets


def _attend(options: argparse.Namespace) -> Result:
    from explorer.figures.results import attention_sheet, joined

    picture, models, found = answered(options, None)
    layers, (_, token) = layers_of(options), query_of(options)
    rows, lines, sheets = [], about(picture, found.transform), []
    for model, view, layer in zip(models, found.rows, layers):
        if not view.maps:
            raise NoAttentionError(f"{view.spec}: {' '.join(view.notes)}")
        chosen = list(view.maps) if layer is None else [wanted(view, layer)]
        item = chosen[0].weights.shape[0] - 1
        head = head_of(view.spec, view.state, view.device, model.input_size)
        lines.append(title_of(head))
        asked = []
        for place in [token] if token else [after for _, after in view.asked]:
            if place is None and any(one.per_query for one in chosen):
                raise ParameterError(f"{view.spec}: the query has left the frame; it goes with the picture's move")
            records = [attention_of(one, place, options.head, item, strict=layer is not None) for one in chosen]
            asked.append({"query": place, "layers": records})
            lines += [f"  {view.maps.index(one):3}  {map_line(one, record)}" for one, record in zip(chosen, records)]
            sheets.append((chosen, view.images[1], view.spec, place, options.head, item))
        rows.append({**head, **asked[0], "further": asked[1:], "notes": view.notes})
        lines += [f"  {note}" for note in view.notes]

    def sheet() -> Sheet:
        each = [(one[2], attention_sheet(*one)) for one in sheets]
        return joined(f"Attention. Picture: {found.transform}", each)

    return Result({**context(picture, found), "models": rows}, lines, sheet)


def _attribute(options: argparse.Namespace) -> Result:
    from explorer.attribution import METHODS, method_title
    from explorer.errors import MethodError
    from explorer.figures.results import attribution_sheet, joined

    picture, models, found = answered(options, options.method)
    rows, lines, sheets = [], about(picture, found.transform), []
    for model, view in zip(models, found.rows):
        if view.attributions is None:
            reason = METHODS[options.method].unavailable(model)
            raise MethodError(f"{method_title(options.method)} cannot serve {view.spec}: {reason}")
        one = view.attributions[1]
        head = head_of(view.spec, view.state, view.device, model.input_size)
        rows.append({**head, **attribution_of(one), "notes": view.notes})
        x, y = peak(one, model.input_size)
        largest = f"largest at ({x:.0f}, {y:.0f}) px: {float(one.values.max()):.3g}"
        delta = "" if one.delta is None else f"; convergence delta {one.delta:.3g}"
        where = f" at {one.layer}" if one.layer else ""
        lines += [
            title_of(head),
            f"  {method_title(one.method)}{where}, of {one.target}: {largest} ({one.unit}){delta}",
        ]
        lines += [f"  {note}" for note in (*view.notes, one.note) if note]
        sheets.append((one, view.images[1], view.spec))

    def sheet() -> Sheet:
        each = [(one[2], attribution_sheet(*one)) for one in sheets]
        return joined(f"Attribution. Picture: {found.transform}", each)

    return Result({**context(picture, found), "models": rows}, lines, sheet)


def _compare(options: argparse.Namespace) -> Result:
    from explorer.figures.results import comparison_sheet

    picture, models, found = answered(options, None if options.method == "none" else options.method)
    layers, (_, token) = layers_of(options), query_of(options)
    named = [(view, layer) for view, layer in zip(found.rows, layers) if layer is not None]
    if len(named) == len(layers) and all(view.map(layer) is None for view, layer in named):
        wanted(*named[0])  # raises
    rows, lines = [], about(picture, found.transform)
    for model, view, layer in zip(models, found.rows, layers):
        head = head_of(view.spec, view.state, view.device, model.input_size)
        chosen = view.map(layer)
        asked: list[dict[str, Any]] = [{"queries": places, "attention": None} for places in view.asked]
        if chosen is not None:
            last = chosen.weights.shape[0] - 1
            for one in asked:
                one["attention"] = [
                    attention_of(chosen, token or place, options.head, min(item, last), strict=False)
                    for item, place in enumerate(one["queries"])
                ]
        attributions = None if view.attributions is None else [attribution_of(one) for one in view.attributions]
        pulled = difference = None
        if view.pulled_back is not None and view.difference is not None:
            hidden = ~view.pulled_back.valid
            pulled = view.pulled_back.values.float().masked_fill(hidden, math.nan)
            difference = view.difference.float().masked_fill(hidden, math.nan)
        rows.append(
            {
                **head,
                "shift": view.shift,
                **asked[0],
                "further": asked[1:],
                "predictions": [prediction_of(one) for one in view.predictions],
                "attributions": attributions,
                "pulled_back": pulled,
                "difference": difference,
                "notes": view.notes,
            }
        )
        lines.append(title_of(head))
        for name, answer in zip(("before", "after"), view.predictions):
            top = ", ".join(f"{one.label.split(',')[0]} {one.probability:.1%}" for one in answer.top[:3])
            unit = "" if model.head.kind == "softmax" or not top else f"; {answer.unit}; answer: {answer.answer}"
            lines.append(f"  {name:7} {top or answer.reason}{unit}")
        if chosen is not None:
            lines += [f"  attention: {map_line(chosen, one['attention'][-1])}" for one in asked]
        lines += [f"  {note}" for note in view.notes]
    record = {**context(picture, found), "method": found.method, "models": rows}
    return Result(record, lines, lambda: comparison_sheet(found, layers, options.head, token))
