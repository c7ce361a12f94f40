"""Where the files that ship with the product are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
#: A wheel carries assets/ inside the package; a checkout has it beside the package.
ASSETS = _PACKAGE / "assets" if (_PACKAGE / "assets").is_dir() else _PACKAGE.parent / "assets"


def asset(*parts: str) -> Path:
    """Return the path of a shipped file or folder, e.g. ``asset("images", "cat.jpg")``."""
    return ASSETS.joinpath(*parts)
