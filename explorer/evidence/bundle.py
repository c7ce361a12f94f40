"""The evidence bundle: one zip with a view's figures and numbers, what they depend on, and code that checks them."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import io
import json
import platform
import re
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.comparison.compare import PINS
from explorer.comparison.result import Comparison, ModelView
from explorer.errors import ParameterError
from explorer.figures.results import comparison_sheet
from explorer.figures.sheet import Sheet
from explorer.figures.static import image, svg
from explorer.geometry import Point
from explorer.images import Picture, samples
from explorer.models.model import Model
from explorer.models.spec import WEIGHTS_STATES
from explorer.models.weights import fingerprint
from explorer.probes import sheet as probe_sheet
from explorer.probes.result import ProbeResult
from explorer.probes.show import provenance, question
from explorer.scenes import Scene, render
from explorer.view import View, scene_text
from explorer.writing import check_writable, write

#: How far a number may lie from the stored one when it is computed again, over the largest of its map or answer.
TOLERANCE = 1e-4
#: Grids up to this many cells are printed in the page; larger ones are in the table alone.
_CELLS = 600
#: The same bytes each time: a zip's clock begins here.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SIDES = ("before", "after")

Row = dict[str, Any]


def tidy(comparison: Comparison) -> list[Row]:
    """Every number of a comparison as records of the same columns; None where a column does not apply.

    The columns: ``model``; ``weights`` (what they are); ``measure`` (prediction, attention, attribution); ``side``
    (before, after; of an attribution also brought back: after, in the frame before); ``rank``, ``class`` and ``label``
    of a prediction, ``label`` the target of an attribution; ``layer``, ``kind``, ``head`` (None: the mean over heads);
    ``query`` (its number, from 0), ``x`` and ``y`` (where it is on this side, px); ``unit``; ``value``: the number, or
    the largest of a grid; ``values``: the grid row by row, with ``rows`` and ``columns``, None where it is not known.

    Of a gate, whose heads are channels, the mean alone is listed. A side that was not moved is listed once.
    """
    return [row for view in comparison.rows for row in _rows(view)]


def report(
    view: View,
    path: str | Path,
    probes: Sequence[ProbeResult] = (),
    models: Sequence[Model] | None = None,
    device: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write the evidence bundle of a view: a .zip; its README.txt says what is in it.

    Args:
        view: what is looked at.
        path: where to; an existing file is replaced.
        probes: results to add, as `explorer.probe` gives them.
        models: the view's live models, where they are loaded already.
        device: where they are loaded otherwise.
        progress: told the share of the answers that is done, from 0 to 1; what it raises cancels.

    Raises ParameterError where the file cannot be written or a layer does not exist, and what `View.compare` raises.
    """
    path = check(path)
    picture = view.picture()
    live = view.load(device) if models is None else list(models)
    found = view.compare(live, progress=progress)
    for row, layer in zip(found.rows, view.layer_of_each):
        if layer is not None and row.map(layer) is None:
            raise ParameterError(f"{row.spec} has no layer '{layer}'; it has {', '.join(m.layer for m in row.maps)}")
    described = [_model(one) for one in live]
    rows = tidy(found)
    figures = {"comparison": comparison_sheet(found, view.layer_of_each, view.head)}
    named = dict(zip(_names([one.probe for one in probes]), probes))
    figures |= {name: probe_sheet(one) for name, one in named.items()}
    drawn = {name: svg(one) for name, one in figures.items()}
    cells = _cells(view, picture)

    files: dict[str, bytes | str] = {"README.txt": _readme(view, picture, described, list(named))}
    files["report.html"] = _page(view, picture, found, described, named, drawn)
    for name, one in figures.items():
        files[f"figures/{name}.png"] = _png(one)
        files[f"figures/{name}.svg"] = drawn[name]
    record = {**_about(view, picture, found), "tolerance": TOLERANCE, "rows": rows}
    files["results.json"] = _json(record)
    files["results.parquet"] = _parquet(rows)
    for name, result in named.items():
        files[f"probes/{name}.json"] = _json(result.record())
        files[f"probes/{name}.parquet"] = _parquet(result.rows)
    files["models.json"] = _json({"versions": _versions(found), "models": described})
    files["picture.png"] = _shown(picture, live[0])
    files["reproduce.py"] = _script(cells)
    files["reproduce.ipynb"] = _json(_notebook(cells))
    return write(path, _zip(files))


def check(path: str | Path) -> Path:
    """Refuse a place that cannot be written before minutes of work are spent on it; raises ParameterError."""
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise ParameterError(f"an evidence bundle is written as .zip, got '{path.name}'")
    return check_writable(path)


# ---------------------------------------------------------------------------------------------------------- numbers

_COLUMNS: Mapping[str, Any] = dict.fromkeys(
    (
        *("model", "weights", "measure", "side", "rank", "class", "label", "layer", "kind", "head"),
        *("query", "x", "y", "unit", "value", "rows", "columns", "values"),
    )
)


def _rows(view: ModelView) -> Iterator[Row]:
    sides = _SIDES[: 1 if view.images[0] is view.images[1] else 2]
    head = {**_COLUMNS, "model": view.spec, "weights": view.state}
    for item, side in enumerate(sides):
        for rank, one in enumerate(view.predictions[item].top, 1):
            own = {**head, "measure": "prediction", "side": side, "rank": rank, "class": one.index, "label": one.label}
            yield {**own, "unit": view.predictions[item].unit, "value": one.probability}
            yield {**own, "unit": "logit", "value": one.logit}
    for one_map in view.maps:
        places = view.asked if one_map.per_query else [(None, None)]
        for number, pair in enumerate(places):
            for item, side in enumerate(sides):
                place = pair[item]
                own = {**head, "weights": one_map.state, "measure": "attention", "side": side, "layer": one_map.layer}
                own |= {"kind": one_map.kind, "unit": one_map.unit}
                if one_map.per_query:
                    if place is None:
                        continue  # it has left the frame
                    own |= {"query": number, "x": float(place.x), "y": float(place.y)}
                for which, values in _heads(one_map, place, min(item, one_map.weights.shape[0] - 1)):
                    yield {**own, "head": which, **_grid(values)}
    if view.attributions is not None and view.pulled_back is not None:
        shown = [(side, one, one.values) for side, one in zip(sides, view.attributions)]
        if len(sides) == 2:
            back = view.pulled_back
            seen = back.values.float().masked_fill(~back.valid, float("nan"))
            shown.append(("brought back", view.attributions[1], seen))
        for side, answer, values in shown:
            own = {**head, "measure": "attribution", "side": side, "label": answer.target, "layer": answer.layer}
            own |= {"kind": answer.method, "unit": answer.unit}
            yield {**own, **_grid(values)}
            if answer.delta is not None and side in sides:
                yield {**own, "unit": "convergence delta", "value": float(answer.delta)}


def _heads(one: AttentionMap, place: Point | None, item: int) -> Iterator[tuple[int | None, Tensor]]:
    """The mean over heads (None) and each head of a map, as (rows, columns)."""
    if one.layout is None:
        for head in range(one.heads):
            yield head, one.matrix(head, item)
        return
    every = one.rows(place, item)
    yield None, every.mean(0)
    if one.heads > 1 and one.kind != "gate":
        yield from enumerate(every)


def _grid(values: Tensor) -> Row:
    numbers = _numbers(values)
    known = [one for one in numbers if one is not None]
    return {
        "value": max(known) if known else None,
        "rows": int(values.shape[0]),
        "columns": int(values.shape[1]),
        "values": numbers,
    }


def _numbers(values: Tensor) -> list[float | None]:
    """float32 in as few digits as read back as the same; NaN is None."""
    flat = values.detach().cpu().float().flatten().numpy()
    return [float(str(one)) if np.isfinite(one) else None for one in flat]


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # words and numbers in one column
            columns[name] = pa.array([None if one is None else str(one) for one in values])
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


# ------------------------------------------------------------------------------------------------------ what it was


def _about(view: View, picture: Scene | Picture, found: Comparison) -> dict[str, Any]:
    """What was asked, in JSON's words."""
    return {
        "shown": _shown_as(view, picture),
        "scene": dataclasses.asdict(picture) if isinstance(picture, Scene) else None,
        "move": found.transform,
        "transform": dataclasses.asdict(view.transform),
        "queries": [list(before) for before, _ in found.rows[0].asked],
        "pin": view.pin,
        "method": found.method,
        "parameters": dict(view.parameters),
        "target": view.target,
        "layers": [
            None if chosen is None else chosen.layer
            for chosen in (row.map(layer) for row, layer in zip(found.rows, view.layer_of_each))
        ],
        "head": view.head,
        "models": [str(spec) for spec in view.specs],
        "device": found.rows[0].device,
        "versions": _versions(found),
    }


def _shown_as(view: View, picture: Scene | Picture) -> str:
    if isinstance(picture, Scene):
        return f"procedural scene {scene_text(picture)}"
    width, height = picture.image.size
    sample = isinstance(view.source, str) and view.source in samples()
    what = f"sample photograph '{view.source}'" if sample else f"picture '{picture.name}'"
    bands = "" if view.bands is None else f", bands {','.join(map(str, view.bands))}"
    return f"{what}, {width} x {height} px{bands}"


def _versions(found: Comparison) -> dict[str, str]:
    return {**found.versions, "system": f"{platform.system()} {platform.machine()}"}


def _model(model: Model) -> dict[str, Any]:
    """What a model is, as plain values."""
    fields = dataclasses.asdict(model.spec)
    file = model.spec.weights_file
    own = None
    if file is not None:
        fields["weights_file"] = Path(file).name
        own = {"name": Path(file).name, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
    return {
        "model": str(model.spec),
        "spec": _plain(fields),
        "weights": model.state,
        "weights_are": WEIGHTS_STATES[model.state],
        "inserted": model.inserted,
        "inserted_weights": None if model.inserted is None else model.inserted_state,
        "weights_sha256": fingerprint(model.module),
        "weights_file": own,
        "seed": model.spec.seed,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "input_size": list(model.input_size),
        "mean": list(model.mean),
        "std": list(model.std),
        "interpolation": model.interpolation,
        "crop_pct": model.crop_pct,
        "classes": model.num_classes,
        "head": model.head.kind,
        "notes": list(model.notes),
        "labels": _labels(model),
        "device": str(model.device),
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _labels(model: Model) -> str:
    """Where the names of a model's classes are from."""
    if model.headless:
        return model.headless_reason
    return model.label_source


def _shown(picture: Scene | Picture, first: Model) -> bytes:
    """The picture as it was given; a scene as the first model sees it before the move."""
    if isinstance(picture, Picture):
        drawn = picture.image
    else:
        pixels = render(picture, first.input_size[0]).images[0].clamp(0, 1)
        drawn = Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def _names(names: Sequence[str]) -> list[str]:
    """File names, one each: a probe that was run twice gets a number."""
    return [
        name if name not in names[:place] else f"{name}-{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def _png(sheet: Sheet) -> bytes:
    buffer = io.BytesIO()
    image(sheet).save(buffer, "PNG")
    return buffer.getvalue()


def _zip(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, data)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------- computing again

_BEGINNING = """\
import json
import os
from pathlib import Path

import explorer

os.chdir(Path(globals().get("__file__", "here")).parent)  # a notebook runs in its folder already
stored = json.loads(Path("results.json").read_text(encoding="utf-8"))"""

_CHECK = """\
NUMBERS = ("value", "values")


def words(row):
    return {name: one for name, one in row.items() if name not in NUMBERS}


def numbers(row):
    return [row["value"], *(row["values"] or [])]


def together(row):
    # The classes of one answer are on one scale; a map has its own.
    names = ("model", "measure", "side", "layer", "head", "query", "unit")
    return tuple(row[name] for name in names)


largest = {}
for row in stored["rows"]:
    known = [abs(one) for one in numbers(row) if one is not None]
    largest[together(row)] = max([largest.get(together(row), 0), *known])


def agrees(new, old):
    first, second, room = numbers(new), numbers(old), stored["tolerance"] * largest[together(old)]
    return words(new) == words(old) and len(first) == len(second) and all(
        (a is None) == (b is None) and (a is None or abs(a - b) <= room) for a, b in zip(first, second)
    )


found = json.loads(json.dumps(explorer.tidy(result)))
assert len(found) == len(stored["rows"]), f"{len(found)} rows were computed, {len(stored['rows'])} are stored"
wrong = [words(old) for new, old in zip(found, stored["rows"]) if not agrees(new, old)]
assert not wrong, f"{len(wrong)} of {len(found)} rows differ, the first: {wrong[0]}"
print(f"All {len(found)} rows agree with results.json within {stored['tolerance']:g} of the largest of their map.")"""


def _cells(view: View, picture: Scene | Picture) -> list[tuple[str, str]]:
    """(words, code) of each part."""
    shown = None if isinstance(picture, Scene) else '"picture.png"'
    where = "A scene is rendered anew." if shown is None else "The picture is picture.png in this folder."
    return [
        ("What was stored. Needs the attention-explorer package in the version that models.json names.", _BEGINNING),
        (f"The view again. {where}", "\n".join(view.statements(shown))),
        ("What it says.", "\n".join(view.printing())),
        (
            f"Every number against the stored one: at most {TOLERANCE:g} of the largest of its map or answer apart. "
            "That holds on the same kind of machine and versions; another processor or GPU rounds differently.",
            _CHECK,
        ),
    ]


def _script(cells: Sequence[tuple[str, str]]) -> str:
    def comment(words: str) -> str:
        return "\n".join(f"# {line}" for line in textwrap.wrap(words, 100))

    return "\n\n".join(f"{comment(words)}\n{code}" for words, code in cells) + "\n"


def _notebook(cells: Sequence[tuple[str, str]]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for words, code in cells:
        parts.append({"cell_type": "markdown", "metadata": {}, "source": words.splitlines(keepends=True)})
        own: dict[str, Any] = {
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": code.splitlines(keepends=True),
        }
        parts.append({"cell_type": "code", **own})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    meta = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": parts, "metadata": meta, "nbformat": 4, "nbformat_minor": 4}


def _readme(view: View, picture: Scene | Picture, models: Sequence[Mapping[str, Any]], probes: Sequence[str]) -> str:
    drawn = "the scene as the first model sees it" if isinstance(picture, Scene) else "the picture"
    lines = [
        "Evidence of what models attend to and base their answers on.",
        "",
        f"Shown: {_shown_as(view, picture)}",
        *(f"Model: {one['model']} ({one['weights']}: {one['weights_are']})" for one in models),
        "",
        "report.html        everything on one page; opens without a network",
        "figures/           the figures, .png and .svg",
        "results.json       every number: what was asked, and tidy rows (see explorer.tidy)",
        "results.parquet    the same rows",
        "models.json        each model: its spec, its weights' SHA-256, its input, the versions of the packages",
        f"picture.png        {drawn}",
        "reproduce.py       computes the numbers again and checks that they are the stored ones",
        "reproduce.ipynb    the same as a notebook",
        *(f"probes/{name}.json, .parquet    what {name} measured" for name in probes),
        "",
        "Where attention-explorer is installed, in the version that models.json names: python reproduce.py",
        f"Numbers agree within {TOLERANCE:g} of the largest of their map or answer on the same kind of machine.",
    ]
    for one in models:
        if one["weights_file"] is not None:
            lines += [
                "",
                f"{one['model']} needs {one['weights_file']['name']} in this folder. It is yours and is not in here.",
                f"Its SHA-256 is {one['weights_file']['sha256']}",
            ]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------------------- the page

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1A1A1A; max-width: 1640px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; } caption { text-align: left; font-weight: 600; }
th, td { text-align: left; padding: 0.15rem 0.8rem 0.15rem 0; border-bottom: 1px solid #E3E3E3; vertical-align: top; }
td.n, .grid td { text-align: right; font-variant-numeric: tabular-nums; } .grid { font-size: 12px; }
.wide { overflow-x: auto; } pre { overflow-x: auto; background: #F6F6F6;
padding: 0.8rem; }
"""


def _page(
    view: View,
    picture: Scene | Picture,
    found: Comparison,
    models: Sequence[Mapping[str, Any]],
    probes: Mapping[str, ProbeResult],
    drawn: Mapping[str, str],
) -> str:
    parts = ["<h1>Evidence</h1>", _table("", ("", ""), _facts(view, picture, found))]
    parts += ["<h2>What is seen</h2>", _figure(drawn["comparison"], 0), *_answers(found, view)]
    for number, (name, result) in enumerate(probes.items(), 1):
        parts += [f"<h2>{_e(name)}: {_e(question(result.probe))}</h2>", _figure(drawn[name], number)]
        scores = [
            (one.model, one.measure, *map(_short, (one.value, one.low, one.high)), one.unit, one.n, one.interval)
            for one in result.summary.values()
        ]
        columns = ("model", "measure", "value", "low", "high", "unit", "n", "95 % interval by")
        parts.append(_table("In numbers", columns, scores))
        parts += [f"<p>{_e(note)}</p>" for note in (*result.notes, provenance(result))]
    rows = [
        (
            one["model"],
            f"{one['weights']}: {one['weights_are']}"
            + (f"; inserted block {one['inserted_weights']}" if one["inserted"] else "")
            + (f"; file {one['weights_file']['name']}" if one["weights_file"] else ""),
            one["weights_sha256"][:16],
            f"{one['input_size'][1]} x {one['input_size'][0]}",
            one["parameters"],
            one["seed"],
            one["labels"],
            one["device"],
        )
        for one in models
    ]
    columns = ("model", "weights", "SHA-256 begins", "input, px", "parameters", "seed", "class names from", "device")
    parts += ["<h2>Models</h2>", _table("", columns, rows)]
    parts += ["<h2>Versions</h2>", _table("", ("package", "version"), list(_versions(found).items()))]
    parts += ["<h2>The same in Python</h2>", f"<pre>{_e(view.python())}</pre>"]
    try:
        parts += ["<h2>The same as a command</h2>", f"<pre>{_e(view.command())}</pre>"]
    except ParameterError as error:
        parts.append(f"<p>{_e(str(error))}.</p>")
    # Nothing may be fetched, whatever a name or a note holds.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Evidence: {_e(_shown_as(view, picture))}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _facts(view: View, picture: Scene | Picture, found: Comparison) -> list[tuple[str, str]]:
    places = "; ".join(f"({one.x:g}, {one.y:g})" for one, _ in found.rows[0].asked)
    given = ", ".join(f"{name} {value}" for name, value in view.parameters.items())
    facts = [
        ("Shown", _shown_as(view, picture)),
        ("Move", f"{found.transform} (px of the first model's input)"),
        ("Queries", f"{places} px, before the move; {PINS[view.pin]}"),
        ("Attribution", found.method + (f" ({given})" if given else "")),
    ]
    return facts + [("Note", note) for note in getattr(picture, "notes", ())]


def _answers(found: Comparison, view: View) -> Iterator[str]:
    """The tables of one comparison."""
    for row, layer in zip(found.rows, view.layer_of_each):
        listed = list(_rows(row))
        yield f"<h3>{_e(row.spec)} ({_e(row.state)} weights)</h3>"
        predicted = [one for one in listed if one["measure"] == "prediction"]
        probabilities = [one for one in predicted if one["unit"] != "logit"]
        logits = [one["value"] for one in predicted if one["unit"] == "logit"]
        answers = [
            (one["side"], one["label"], one["class"], _short(one["value"]), _short(logit))
            for one, logit in zip(probabilities, logits)
        ]
        if answers:
            yield _table("Predictions", ("", "class", "number", row.predictions[0].unit, "logit"), answers)
        maps = [
            (
                *(one["layer"], one["kind"], one["side"], "-" if one["query"] is None else one["query"] + 1),
                *("mean" if one["head"] is None else one["head"], _short(one["value"]), _at(one), one["unit"]),
            )
            for one in listed
            if one["measure"] == "attention" and _displayed(one, view.head)
        ]
        if maps:
            columns = ("layer", "kind", "", "query", "head", "largest", "row, column", "unit")
            yield _table("Attention: the largest value of each map, and its cell", columns, maps)
        chosen = row.map(layer)
        for one in listed:
            attention = one["measure"] == "attention" and chosen is not None and one["layer"] == chosen.layer
            if (attention and _displayed(one, view.head)) or (one["measure"] == "attribution" and one["values"]):
                yield _numbers_table(one)
        yield from (f"<p>{_e(note)}</p>" for note in row.notes)


def _displayed(one: Row, head: int | None) -> bool:
    """Whether a row of attention is of the head that is displayed: a gate has its mean alone, channels have none."""
    if one["kind"] == "gate":
        return one["head"] is None
    return bool(one["head"] == (head or 0 if one["kind"] == "channel" else head))


def _at(one: Row) -> str:
    place = one["values"].index(one["value"])
    return f"{place // one['columns']}, {place % one['columns']}"


def _numbers_table(one: Row) -> str:
    """A grid as it lies on the image."""
    query = "" if one["query"] is None else f", query {one['query'] + 1}"
    title = f"{one['layer'] or one['kind']}, {one['side']}{query}: {one['label'] or ''} {one['unit']}"
    if len(one["values"]) > _CELLS:
        return f"<p>{_e(title)}: {one['rows']} x {one['columns']} numbers, in results.parquet.</p>"
    lines = [one["values"][start : start + one["columns"]] for start in range(0, len(one["values"]), one["columns"])]
    body = "".join(f"<tr>{''.join(f'<td>{_short(value)}</td>' for value in line)}</tr>" for line in lines)
    grid = f'<div class="wide"><table class="grid">{body}</table></div>'
    return f"<details><summary>{_e(title)}: every number</summary>{grid}</details>"


def _figure(text: str, number: int) -> str:
    """An SVG inside a page; its identifiers are kept from those of other figures."""
    own = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>figure{number}-", text)
    return f'<div class="wide">{own}</div>'


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{_e(one)}</th>" for one in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_e(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    title = f"<caption>{_e(caption)}</caption>" if caption else ""
    first = f"<tr>{head}</tr>" if any(columns) else ""
    return f'<div class="wide"><table>{title}{first}{body}</table></div>'


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _e(text: str) -> str:
    return html.escape(text)
