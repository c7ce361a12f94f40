"""Where the files that ship with the product are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
#: A wheel carries assets/ inside the package; a checkout has it beside the package.
ASSETS = next((path for path in (_PACKAGE / "assets", _PACKAGE.parent / "assets") if path.is_dir()), _PACKAGE / "assets")


def asset(*parts: str) -> Path:
    """Return the path of a shipped file or folder, e.g. ``asset("images", "cat.jpg")``."""
    return ASSETS.joinpath(*parts)
