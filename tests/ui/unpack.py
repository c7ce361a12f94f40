"""Reads what the browser reads, independently of the code that writes it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

_TYPES = {"f2": np.dtype("<f2"), "f4": np.dtype("<f4"), "i4": np.dtype("<i4"), "u1": np.dtype("u1")}


class Unpacked:
    """A text for the browser: ``data`` as JSON, arrays by reference."""

    def __init__(self, text: str) -> None:
        self.data: dict[str, Any] = json.loads(text)
        self._bytes = base64.b64decode(self.data["blob"])

    def array(self, reference: dict[str, Any]) -> np.ndarray:
        """The numbers a reference points to, in float64."""
        kind = _TYPES[reference["t"]]
        count = int(np.prod(reference["s"]))
        return np.frombuffer(self._bytes, kind, count, reference["o"]).reshape(reference["s"]).astype(np.float64)
