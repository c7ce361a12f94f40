"""What the house asks of every file: it can be read at one go, and a name means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = (*sorted((ROOT / "explorer").rglob("*.py")), ROOT / "app.py")
#: Lines of a file at most.
MOST = 400
#: Files that are tables: one entry after another, each read by itself.
TABLES = {
    "explorer/attention/layouts/placers.py": "a placer a family of models, with the forward pass that it stands for",
}


def test_no_file_is_too_long_to_be_read_at_one_go() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in (*CODE, *(ROOT / "assets" / "web").glob("*.css"))
    }
    too_long = {name for name, lines in lengths.items() if lines > MOST}
    assert not too_long - set(TABLES), f"above {MOST} lines and not said to be a table: divide by what is in it"
    assert not set(TABLES) - too_long, "no longer above the bound, or gone: take it out of TABLES"


def test_a_class_name_is_used_once() -> None:
    made = defaultdict(list)
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                made[node.name].append(f"{path.relative_to(ROOT).as_posix()}:{node.lineno}")
    twice = {name: places for name, places in made.items() if len(places) > 1}
    assert not twice, f"a name that means two things: call each what it is: {twice}"
