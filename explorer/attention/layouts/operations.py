"""What was intercepted, and what a placer is given and gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from explorer.attention.maps import Layout, Weights
from explorer.kinds import MapKind


@dataclass(frozen=True, eq=False)
class Frame:
    """One module call on the way to an operation: its path, the shapes of its tensors, its (h, w) arguments."""

    path: str
    module: nn.Module
    shapes: tuple[tuple[int, ...], ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Operation:
    """One intercepted operation, as it was computed; see `capture`.

    ``frames`` runs from the outermost module call to the innermost. A dot product has query, key, scale and bias (and
    value and output where they were asked for); a softmax, a gate or a
    normalised score has weights.
    """

    kind: Literal["dot product", "softmax", "gate", "score"]
    frames: tuple[Frame, ...]
    query: Tensor | None = None
    key: Tensor | None = None
    bias: Tensor | None = None
    scale: float = 1.0
    value: Tensor | None = None
    output: Tensor | None = None
    weights: Tensor | None = None
    dim: int = -1


@dataclass(frozen=True, eq=False)
class Call:
    """The operations of one call of one attention module, with all that is needed to place them."""

    operations: tuple[Operation, ...]
    frame: Frame
    outer: tuple[Frame, ...]
    root: nn.Module
    image_size: tuple[int, int]
    batch: int

    @property
    def module(self) -> Any:
        return self.frame.module

    def parent(self, class_name: str) -> Frame | None:
        """The innermost enclosing call of a module of this class."""
        return next((frame for frame in reversed(self.outer) if type(frame.module).__name__ == class_name), None)


@dataclass(frozen=True, eq=False)
class Placed:
    """What a placer says of one map."""

    weights: Weights
    layout: Layout | None
    kind: MapKind = "pairwise"
    unit: str = ""
    note: str = ""
    part: str = ""


Placer = Callable[[Call], Sequence[Placed]]
