"""How each block is drawn everywhere: by what it is, not by where it stands in a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from explorer.figures.sheet import Dash, Symbol


@dataclass(frozen=True)
class Look:
    """How a block is drawn everywhere: its CSS colour, how its curves are dashed, and its marker."""

    colour: str
    dash: Dash = "solid"
    symbol: Symbol = "circle"


#: One look a block. The colours keep a distance in OKLab under normal vision and with each kind of dichromacy (after
#: Machado 2009); fourteen hues are too many for any eye, so controls are grey, blocks for reference dashed, and markers
#: differ too.
LOOKS: Final[Mapping[str, Look]] = {
    "none": Look("#1F1F1F", "dot", "x"),
    "conv": Look("#ABABAB", "solid", "square"),
    "mhsa": Look("#0072B2", "solid", "circle"),
    "axial": Look("#56B4E9", "solid", "cross"),
    "channel": Look("#0000BF", "solid", "triangle-down"),
    "linear": Look("#E69F00", "solid", "triangle-up"),
    "c2f": Look("#D55E00", "solid", "diamond"),
    "c2f_gate": Look("#4C0073", "solid", "hexagon"),
    "coord": Look("#009E73", "solid", "star"),
    "ca_c2f": Look("#882255", "solid", "pentagon"),
    "se": Look("#D9BF8D", "dash", "square"),
    "eca": Look("#593B00", "dash", "triangle-up"),
    "cbam": Look("#73561D", "dash", "circle"),
    "nonlocal": Look("#CD3BEB", "dash", "diamond"),
}
_UNKNOWN = Look("#777777", "dash", "circle")


def look_of(block: str) -> Look:
    """How a block is drawn."""
    return LOOKS.get(block, _UNKNOWN)
