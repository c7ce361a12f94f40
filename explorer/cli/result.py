"""What a command has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.figures.sheet import Sheet


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command has found: one JSON object, lines to read, and how to draw it."""

    record: dict[str, Any]
    lines: list[str]
    sheet: Callable[[], Sheet] | None = None
    #: Writes the numbers as .csv or .json, where a command has more of them than a figure shows.
    save: Callable[[Path], Path] | None = None
