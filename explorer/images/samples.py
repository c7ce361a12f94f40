"""The photographs that ship with the explorer, and pictures made of them."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.resources import asset


def samples() -> dict[str, Path]:
    """Name the pictures that ship with the explorer: name -> file. ``alt_text`` describes each."""
    return {entry["name"]: _file(entry) for entry in _index()}


def photographs() -> dict[str, Path]:
    """Those of `samples` that are photographs as they were taken, not made of others (`made` and `conflicts` here)."""
    return {entry["name"]: _file(entry) for entry in _index() if "made" not in entry}


def alt_text(name: str) -> str:
    """Say in words what the sample photograph ``name`` shows."""
    return next(entry["alt"] for entry in _index() if entry["name"] == name)


def _file(entry: dict[str, str]) -> Path:
    return asset(entry.get("folder", "images"), entry["file"])


def _index() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(asset("images", "index.json").read_text(encoding="utf-8"))
    return entries
