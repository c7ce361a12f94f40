"""The photographs that ship with the explorer."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.resources import asset


def samples() -> dict[str, Path]:
    """Name the photographs that ship with the explorer: name -> file. ``alt_text`` describes each."""
    return {entry["name"]: asset("images", entry["file"]) for entry in _index()}


def alt_text(name: str) -> str:
    """Say in words what the sample photograph ``name`` shows."""
    return next(entry["alt"] for entry in _index() if entry["name"] == name)


def _index() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(asset("images", "index.json").read_text(encoding="utf-8"))
    return entries
