"""A block, method or probe of one's own: ``explorer new`` writes a package that works, with its test."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from string import Template

from explorer.cli.flags import Verbs
from explorer.cli.result import Result
from explorer.errors import ParameterError
from explorer.resources import asset
from explorer.writing import make_folder, write

#: What can be new: its group of entry points, and what it is called.
_KINDS = {
    "block": ("blocks", "an attention block"),
    "method": ("methods", "an attribution method"),
    "probe": ("probes", "a probe"),
}


def add_verbs(verbs: Verbs) -> None:
    """Add ``new``."""
    new = verbs.add("new", _new, "Write a small package with a block, method or probe of your own, and its test.")
    new.add_argument("kind", choices=_KINDS, help="what it is")
    new.add_argument("name", metavar="NAME", help="what it is called: small letters, digits and _")
    new.add_argument("--out", dest="folder", metavar="DIR", help="a new folder (NAME)")


def _new(options: argparse.Namespace) -> Result:
    kind, name = options.kind, options.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ParameterError(f"NAME begins with a small letter and has small letters, digits and _; got '{name}'")
    _check_free(kind, name)
    folder = Path(options.folder or name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParameterError(f"'{folder}' is there already; name a new folder with --out")
    group, what = _KINDS[kind]
    words = name.split("_")
    values = {
        "name": name,
        # No name of a module of Python's own is taken, whatever the block is called.
        "module": f"explorer_{name}",
        "title": " ".join(words).capitalize(),
        "class_name": "".join(word.capitalize() for word in words),
        "group": group,
        "what": what,
    }
    made = {
        f"{values['module']}.py": f"{kind}.py.txt",
        f"test_{name}.py": f"test_{kind}.py.txt",
        "pyproject.toml": "pyproject.toml.txt",
    }
    make_folder(folder)
    files = [
        str(write(folder / file, Template(asset("new", source).read_text(encoding="utf-8")).substitute(values)))
        for file, source in made.items()
    ]
    lines = [
        *(f"wrote {file}" for file in files),
        f"Install it beside the explorer with: uv pip install --no-deps -e {folder}",
        f"Then `explorer {group}` lists it, and `pytest {folder}` tests it.",
    ]
    return Result({"kind": kind, "name": name, "files": files}, lines)


def _check_free(kind: str, name: str) -> None:
    from explorer.attribution import METHODS
    from explorer.blocks import BLOCKS
    from explorer.probes import PROBES

    if name in {"block": set(BLOCKS), "method": set(METHODS), "probe": set(PROBES)}[kind]:
        raise ParameterError(f"there is a {kind} '{name}' already; take another name")
