"""Write a board: as a page, as a table, or as a folder that can be pushed as a data set, with its card."""

from __future__ import annotations

import json
import os
from pathlib import Path

from explorer.errors import ParameterError
from explorer.messages import counted
from explorer.probes import PROBES
from explorer.sweep.board import Board
from explorer.sweep.board_page import page_of
from explorer.sweep.store import ROWS, name_of
from explorer.sweep.summary import Sweep
from explorer.writing import make_folder, write


def board_path(out: str | Path) -> Path:
    """Where a board goes, if one can be written there by that name.

    Raises ParameterError for an ending that no board has; a folder with a dot in its name is there, or ends with "/".
    """
    path, folder = Path(out), str(out).endswith(("/", os.sep))
    file = path.suffix in (".html", ".csv", ".parquet")
    if file and (folder or path.is_dir()):
        raise ParameterError(f"a board's {path.suffix} is a file, and '{path.name}' is a folder; give it another name")
    if file or folder or path.is_dir() or not (path.suffix or path.is_file()):
        return path
    raise ParameterError(
        f"a board is a .html, .csv or .parquet file, or a folder; got '{path.name}' (a folder of that name ends with /)"
    )


def save(made: Board, out: str | Path, sweep: Sweep | None = None) -> Path:
    """Write a board: a .html page, a .csv or .parquet table, or a folder that can be pushed as a data set.

    Args:
        made: the board.
        out: where to; without one of these endings it is a folder.
        sweep: whose rows the folder holds too.

    Raises ParameterError, WriteError.
    """
    path = board_path(out)
    if path.suffix == ".html":
        return write(path, page_of(made))
    if path.suffix == ".csv":
        return write(path, made.csv())
    if path.suffix == ".parquet":
        return write(path, made.parquet())
    make_folder(path / "scores")
    write(path / "scores" / "scores.parquet", made.parquet())
    if sweep is not None:
        make_folder(path / ROWS)
        for key in sweep.done:
            write(path / name_of(key), sweep.store.place.read(name_of(key)))
    write(path / "board.html", page_of(made))
    write(path / "README.md", _card(made, sweep is not None))
    return path


def size_of(made: Board) -> str:
    """How large a board is, in words."""
    models = counted("{n} model", "{n} models", len(made.models))
    measures = counted("{n} measure", "{n} measures", len(made.columns))
    return f"{models}, {measures}"


def _card(made: Board, rows: bool) -> str:
    """The card of the data set, as a hub reads it: what its tables are, then what was measured."""
    configs = [{"config_name": "scores", "data_files": "scores/*.parquet", "default": True}]
    if rows:
        configs.append({"config_name": "rows", "data_files": f"{ROWS}/*.parquet"})
    head = {"pretty_name": f"Sweep: {made.name}", "tags": ["vision", "attention", "evaluation"], "configs": configs}
    probes = {one.probe: one.question for one in made.columns}
    lines = [
        "---",
        # JSON is YAML, and says every name as it is.
        *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()),
        "---",
        "",
        f"# Sweep: {made.name}",
        "",
        f"{size_of(made)}, made with Attention Explorer. `board.html` shows them and opens without a network.",
        "",
        "| table | one row is |",
        "| --- | --- |",
        "| `scores` | a number of a model on a whole set, with its 95 % interval |",
        *(["| `rows` | a number of a model on a part of a set, with what it is made of (`items`) |"] if rows else []),
        "",
        "## Probes",
        "",
        *(f"- `{name}`: {asked} {_limits(name)}" for name, asked in probes.items()),
        "",
        "## Models",
        "",
        *(f"- `{name}`" + (f" ({weights} weights)" if weights else "") for name, weights in made.models.items()),
        "",
        "## Measured with",
        "",
        *(f"- {name}: {value}" for name, value in made.about.items()),
        *(["", "## Notes", "", *(f"- {note}" for note in made.notes)] if made.notes else []),
        "",
    ]
    return "\n".join(lines)


def _limits(name: str) -> str:
    return f"Not shown: {PROBES[name].limits}"
