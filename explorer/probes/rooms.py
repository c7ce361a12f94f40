"""How far what is shown can be moved within the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

from explorer.probes.stimuli import Shown


@dataclass(frozen=True)
class MovingRoom:
    """How far an object can move and still lie wholly in the frame: whole px in each direction, infinite if none."""

    left: float = math.inf
    up: float = math.inf
    right: float = math.inf
    down: float = math.inf

    def holds(self, dx: float, dy: float) -> bool:
        """Whether the object lies wholly in the frame after this shift."""
        return -self.left <= dx <= self.right and -self.up <= dy <= self.down


def rooms(shown: Shown) -> list[MovingRoom]:
    """The room of every scene's object; of pictures, which are moved as a whole, there is no end to it."""
    if not shown.rendered:
        return [MovingRoom()] * len(shown)
    out = []
    for mask in shown.masks:
        assert mask is not None
        (rows,), (columns,) = (mask.any(axis).nonzero(as_tuple=True) for axis in (1, 0))
        if not len(rows):
            out.append(MovingRoom(-1, -1, -1, -1))
            continue
        height, width = mask.shape
        ends = (columns[0], rows[0], width - 1 - columns[-1], height - 1 - rows[-1])
        out.append(MovingRoom(*(int(one) for one in ends)))
    return out
