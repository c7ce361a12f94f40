"""The board as one page that opens without a network: its numbers, style and code are in it."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import asdict
from hashlib import sha256

from explorer.resources import asset
from explorer.sweep.board import Board, cells_of, reasons_of


def page_of(made: Board, framed: bool = False) -> str:
    """The page, the same text for the same board.

    Args:
        made: the board.
        framed: whether it stands in a frame of the explorer's page, which its links lead to a view.
    """
    script = asset("board", "board.js").read_text(encoding="utf-8")
    style = asset("board", "board.css").read_text(encoding="utf-8")
    weights = {name: f"{state} weights" if state else "not measured" for name, state in made.models.items()}
    models = [
        {"name": name, "title": made.titles[name], "colour": colour, "weights": weights[name]}
        for name, colour in made.colours.items()
    ]
    values = {
        "models": models,
        "target": "_top" if framed else "_blank",
        "measures": [asdict(one) for one in made.columns],
        "cells": cells_of(made),
        "missing": reasons_of(made),
    }
    # Whatever a name holds, it ends no element.
    data = json.dumps(values, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    allowed = base64.b64encode(sha256(script.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; base-uri 'none'"
    facts = "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in made.about.items())
    notes = "".join(f"<li>{_e(note)}</li>" for note in made.notes)
    where = "." if framed else ", where the explorer's page runs."
    leads = f" A number leads to a view of what was measured{where}" if made.links else ""
    title = _e(f"Sweep: {made.name}")
    return f"""<!doctype html>
<html lang="en"{" data-framed" if framed else ""}>
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title><style>{style}</style></head>
<body>
<main>
<h1>{title}</h1>
<p class="soft">Each number with its 95 % interval (bar), on its column's own scale.{leads}</p>
<noscript><p>The board is drawn by a script, which is off in this browser. The same numbers are written by
<code>explorer board DIR --out board.csv</code>.</p></noscript>
<div class="tools"><label for="filter">Models <input type="search" id="filter" placeholder="lab/ mhsa"></label>
<button type="button" id="csv">Save as CSV</button><span class="soft" id="count" role="status"></span></div>
<details><summary>Measures in the table</summary><div id="choice"></div></details>
<div class="wide" tabindex="0" role="region" aria-label="Models and measures"><table><thead id="head"></thead>
<tbody id="body"></tbody></table></div>
<h2>One measure against another</h2>
<div class="tools"><label for="y">Up <select id="y"></select></label>
<label for="x">Across <select id="x"></select></label></div>
<figure><svg id="scatter" role="group"></svg><figcaption class="soft">Bars are 95 % intervals.
<span id="without"></span> <span id="point" role="status"></span></figcaption></figure>
<h2>What it rests on</h2>
<dl>{facts}</dl>
{f"<details><summary>Notes ({len(made.notes)})</summary><ul>{notes}</ul></details>" if notes else ""}
</main>
<script type="application/json" id="board">{data}</script>
<script type="module">{script}</script>
</body></html>
"""


def _e(text: str) -> str:
    return html.escape(text)
