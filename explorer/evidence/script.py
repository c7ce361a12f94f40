"""The code in a bundle that computes its numbers again and checks them, as a script and as a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from explorer.images import Picture
from explorer.scenes import Scene
from explorer.view import View
from explorer.view.code import printing, statements

#: How far a number may lie from the stored one when it is computed again, over the largest of its map or answer.
TOLERANCE = 1e-4

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


def cells_of(view: View, picture: Scene | Picture) -> list[tuple[str, str]]:
    """(words, code) of each part."""
    shown = None if isinstance(picture, Scene) else '"picture.png"'
    where = "A scene is rendered anew." if shown is None else "The picture is picture.png in this folder."
    return [
        ("What was stored. Needs the attention-explorer package in the version that models.json names.", _BEGINNING),
        (f"The view again. {where}", "\n".join(statements(view, shown))),
        ("What it says.", "\n".join(printing(view))),
        (
            f"Every number against the stored one: at most {TOLERANCE:g} of the largest of its map or answer apart. "
            "That holds on the same kind of machine and versions; another processor or GPU rounds differently.",
            _CHECK,
        ),
    ]


def script_of(cells: Sequence[tuple[str, str]]) -> str:
    """The parts as a script."""

    def comment(words: str) -> str:
        return "\n".join(f"# {line}" for line in textwrap.wrap(words, 100))

    return "\n\n".join(f"{comment(words)}\n{code}" for words, code in cells) + "\n"


def notebook_of(cells: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parts as a notebook, in its own JSON."""
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
