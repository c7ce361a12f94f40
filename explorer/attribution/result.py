"""What an attribution gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from explorer.drawn import Drawn
from explorer.models.spec import WeightsState


@dataclass(frozen=True, eq=False)
class Attribution(Drawn):
    """What a model bases one answer on: signed values on the model's input frame.

    Attributes:
        values: (h, w) float32 on the CPU, signed; its grid lies evenly over the input frame (Grad-CAM's is coarse).
        method: name in METHODS.
        target: what was explained ("Samoyed (258)", "norm of the pooled feature").
        layer: the layer it was computed at, or None for input attributions.
        delta: convergence delta of integrated gradients (sum of values minus the change of the target), else None.
        unit: what a value means.
        state: what the model's weights are.
        parameters: the method's parameters as used.
        note: one sentence that belongs beside the map, or "".
    """

    drawn_by: ClassVar[str] = "figures.results:attribution_sheet"

    values: Tensor
    method: str
    target: str
    layer: str | None = None
    delta: float | None = None
    unit: str = ""
    state: WeightsState = "pretrained"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __repr__(self) -> str:
        rows, columns = self.values.shape
        where = f" at {self.layer}" if self.layer else ""
        low, high = float(self.values.min()), float(self.values.max())
        return (
            f"Attribution({self.method}{where} of {self.target}: {rows} x {columns}, {low:.3g} to {high:.3g}, "
            f"{self.state})"
        )
