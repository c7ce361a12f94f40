"""Reads what the browser reads, independently of the code that writes it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

_TYPES = {"f2": np.dtype("<f2"), "f4": np.dtype("<f4"), "i4": np.dtype("<i4"), "u1": np.dtype("u1")}


def read(text: str) -> Any:
    """JSON for the browser, its messages as English texts."""
    return english(json.loads(text))


def english(value: Any) -> Any:
    """A value whose messages, {template, values}, are filled in."""
    if isinstance(value, list):
        return [english(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "template" not in value:
        return {name: english(one) for name, one in value.items()}
    said = value["plural"] if value.get("plural") and value["number"] != 1 else value["template"]
    for name, one in value["values"].items():
        said = said.replace(f"{{{name}}}", str(english(one)))
    return said


class Unpacked:
    """A text for the browser: ``data`` as JSON, arrays by reference."""

    def __init__(self, text: str) -> None:
        self.data: dict[str, Any] = read(text)
        self._bytes = base64.b64decode(self.data["blob"])

    def array(self, reference: dict[str, Any]) -> np.ndarray:
        """The numbers a reference points to, in float64."""
        kind = _TYPES[reference["t"]]
        count = int(np.prod(reference["s"]))
        return np.frombuffer(self._bytes, kind, count, reference["o"]).reshape(reference["s"]).astype(np.float64)
