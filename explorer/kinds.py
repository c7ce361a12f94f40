"""The kinds of attention maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

MapKind = Literal["pairwise", "axial", "context", "gate", "channel"]
KINDS: Mapping[MapKind, str] = {
    "pairwise": "softmax over positions",
    "axial": "softmax along rows and columns",
    "context": "context score, one per position",
    "gate": "gate, 0 to 1",
    "channel": "over channels: no position",
}
