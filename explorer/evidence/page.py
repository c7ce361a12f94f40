"""The page in a bundle: figures, numbers and what they depend on; it opens without a network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from explorer.attribution import method_title
from explorer.comparison.compare import PINS
from explorer.comparison.result import Comparison
from explorer.errors import ParameterError
from explorer.evidence.provenance import shown_as, versions_of
from explorer.evidence.rows import TidyRow, rows_of
from explorer.images import Picture
from explorer.probes import PROBES
from explorer.probes.result import ProbeResult
from explorer.probes.show import provenance
from explorer.registry import question
from explorer.scenes import Scene
from explorer.view import View
from explorer.view.code import command, python

#: Grids up to this many cells are printed in the page; larger ones are in the table alone.
_CELLS = 600

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1A1A1A; max-width: 1640px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; } caption { text-align: left; font-weight: 600; }
th, td { text-align: left; padding: 0.15rem 0.8rem 0.15rem 0; border-bottom: 1px solid #E3E3E3; vertical-align: top; }
td.n, .grid td { text-align: right; font-variant-numeric: tabular-nums; } .grid { font-size: 12px; }
.wide { overflow-x: auto; } pre { overflow-x: auto; background: #F6F6F6;
padding: 0.8rem; }
"""


def page_of(
    view: View,
    picture: Scene | Picture,
    found: Comparison,
    models: Sequence[Mapping[str, Any]],
    probes: Mapping[str, ProbeResult],
    drawn: Mapping[str, tuple[str, str]],
) -> str:
    """The page, one self-contained HTML text; ``drawn``: name of a figure -> its title and its SVG."""
    parts = ["<h1>Evidence</h1>", _table("", ("", ""), _facts(view, picture, found))]
    parts += ["<h2>What is seen</h2>", _figure(*drawn["comparison"]), *_answers(found, view)]
    for name, result in probes.items():
        parts += [f"<h2>{_e(name)}: {_e(question(PROBES[result.probe]))}</h2>", _figure(*drawn[name])]
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
    parts += ["<h2>Versions</h2>", _table("", ("package", "version"), list(versions_of(found).items()))]
    parts += ["<h2>The same in Python</h2>", f"<pre>{_e(python(view))}</pre>"]
    try:
        parts += ["<h2>The same as a command</h2>", f"<pre>{_e(command(view))}</pre>"]
    except ParameterError as error:
        parts.append(f"<p>{_e(str(error))}.</p>")
    # Nothing may be fetched, whatever a name or a note holds.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Evidence: {_e(shown_as(view, picture))}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _facts(view: View, picture: Scene | Picture, found: Comparison) -> list[tuple[str, str]]:
    places = "; ".join(f"({one.x:g}, {one.y:g})" for one, _ in found.rows[0].asked)
    given = ", ".join(f"{name} {value}" for name, value in view.parameters.items())
    facts = [
        ("Shown", shown_as(view, picture)),
        ("Move", f"{found.transform} (px of the first model's input)"),
        ("Queries", f"{places} px, before the move; {PINS[view.pin]}"),
        ("Attribution", method_title(found.method) + (f" ({given})" if given else "")),
    ]
    return facts + [("Note", note) for note in getattr(picture, "notes", ())]


def _answers(found: Comparison, view: View) -> Iterator[str]:
    """The tables of one comparison."""
    for row, layer in zip(found.rows, view.layer_of_each):
        listed = list(rows_of(row))
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


def _displayed(one: TidyRow, head: int | None) -> bool:
    """Whether a row of attention is of the head that is displayed: a gate has its mean alone, channels have none."""
    if one["kind"] == "gate":
        return one["head"] is None
    return bool(one["head"] == (head or 0 if one["kind"] == "channel" else head))


def _at(one: TidyRow) -> str:
    place = one["values"].index(one["value"])
    return f"{place // one['columns']}, {place % one['columns']}"


def _numbers_table(one: TidyRow) -> str:
    """A grid as it lies on the image."""
    query = "" if one["query"] is None else f", query {one['query'] + 1}"
    title = f"{one['layer'] or one['kind']}, {one['side']}{query}: {one['label'] or ''} {one['unit']}"
    if len(one["values"]) > _CELLS:
        return f"<p>{_e(title)}: {one['rows']} x {one['columns']} numbers, in results.parquet.</p>"
    lines = [one["values"][start : start + one["columns"]] for start in range(0, len(one["values"]), one["columns"])]
    body = "".join(f"<tr>{''.join(f'<td>{_short(value)}</td>' for value in line)}</tr>" for line in lines)
    grid = f'<div class="wide"><table class="grid">{body}</table></div>'
    return f"<details><summary>{_e(title)}: every number</summary>{grid}</details>"


def _figure(title: str, drawn: str) -> str:
    """A figure, its SVG in a document of its own, so that identifiers are kept from those of other figures."""
    packed = base64.b64encode(drawn.encode()).decode("ascii")
    return f'<div class="wide"><img alt="{_e(title)}" src="data:image/svg+xml;base64,{packed}"></div>'


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
