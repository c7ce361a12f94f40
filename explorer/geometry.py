"""Places on the picture.

A `Point` is in pixels of the model's input frame, x to the right and y down, pixel (i, j) covering
[j, j + 1) x [i, i + 1), so the frame is [0, W) x [0, H). Grids lie evenly on that frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from explorer.errors import ParameterError
from explorer.messages import Message


class Point(NamedTuple):
    """A place in the model's input frame, in pixels: x to the right, y down."""

    x: float
    y: float

    def check_inside(self, size: tuple[int, int]) -> None:
        """Raise ParameterError unless it lies in a frame of (height, width) pixels."""
        height, width = size
        if not (0 <= self.x < width and 0 <= self.y < height):
            raise ParameterError(
                Message(
                    "query ({x}, {y}) lies outside the {width} x {height} px input",
                    x=f"{self.x:g}",
                    y=f"{self.y:g}",
                    width=width,
                    height=height,
                )
            )


@dataclass(frozen=True, eq=False)
class PulledBack:
    """A map of the moved picture brought back to the frame of the picture before it was moved.

    Attributes:
        values: (h, w) float32.
        valid: (h, w) bool; False where the moved picture does not show that place.
    """

    values: Tensor
    valid: Tensor
