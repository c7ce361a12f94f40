"""What is shown and in which order: a figure as plain data, which `explorer.figures` draws.

Maps that are never negative are drawn in cividis (equal steps look equal, also to the colour-blind) from 0 up; signed
maps in red and blue around a white zero. One model has one colour everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from torch import Tensor

from explorer.geometry import Point

#: Colours of models that have no block of ours, told apart by the colour-blind too (Wong 2011, Nature Methods 8:441;
#: without black and yellow).
MODEL_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
#: Cividis (Nunez 2018), from 0 to the largest value.
SEQUENTIAL: Final = (
    *("#00224E", "#123570", "#3B496C", "#575D6D", "#707173"),
    *("#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838"),
)
#: ColorBrewer's RdBu, blue below zero and red above.
DIVERGING: Final = (
    *("#053061", "#2166AC", "#4393C3", "#92C5DE", "#D1E5F0", "#F7F7F7"),
    *("#FDDBC7", "#F4A582", "#D6604D", "#B2182B", "#67001F"),
)
#: matplotlib's other two (Smith & van der Walt 2015), ten anchors each.
VIRIDIS: Final = (
    *("#440154", "#482878", "#3E4989", "#31688E", "#26828E"),
    *("#1F9E89", "#35B779", "#6ECE58", "#B5DE2B", "#FDE725"),
)
MAGMA: Final = (
    *("#000004", "#180F3D", "#440F76", "#721F81", "#9E2F7F"),
    *("#CD4071", "#F1605D", "#FD9668", "#FECA8D", "#FCFDBF"),
)
#: Every map that numbers are drawn in, all perceptually uniform: cividis first, which the colour-blind see alike.
PALETTES: Final = {
    "cividis": SEQUENTIAL,
    "viridis": VIRIDIS,
    "magma": MAGMA,
    "grey": ("#000000", "#FFFFFF"),
    "diverging": DIVERGING,
}


#: Words, words of less weight, thin lines, the ground, and what has no value.
INK, FAINT, RULE, PAPER, INVALID = "#1A1A1A", "#595959", "#E3E3E3", "#FFFFFF", "#BDBDBD"
LINKED = "#1D4ED8"


@dataclass(frozen=True, eq=False)
class InputPicture:
    """What a model sees: ``image`` (3, H, W) in 0..1; ``mark``: the query, px."""

    title: str
    image: Tensor
    mark: Point | None = None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Map:
    """Numbers on a grid that lies evenly over ``frame`` (height, width), px.

    Values are drawn from ``low`` to ``high``, in the diverging colours where ``low`` is negative; NaN is grey. Where
    the grid is no image, ``origin`` is the (x, y) of its upper left corner and ``axes`` name its x and y with units.
    """

    title: str
    values: Tensor
    frame: tuple[int, int]
    low: float
    high: float
    unit: str = ""
    mark: Point | None = None
    origin: Point = Point(0.0, 0.0)  # noqa: RUF009 - immutable
    axes: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Bars:
    """Lengths from 0 to ``high``: a line with its label each, or, without labels, columns side by side."""

    title: str
    values: tuple[float, ...]
    high: float
    labels: tuple[str, ...] = ()
    unit: str = ""
    colour: str = MODEL_COLOURS[0]


@dataclass(frozen=True, eq=False)
class Words:
    """Why there is nothing to draw."""

    title: str
    text: str
    unit: str = ""


#: How a curve is drawn.
Dash = Literal["solid", "dash", "dot"]
#: The marker at a point.
Symbol = Literal[
    "circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "pentagon", "hexagon", "star"
]


@dataclass(frozen=True, eq=False)
class Line:
    """One curve, or a set of points, of a `Chart`.

    Attributes:
        name: what it is, for the legend: mostly a model.
        x: numbers, or the names of categories.
        y: numbers; NaN interrupts.
        low: lower ends of the 95 % intervals, or None where there are none.
        high: upper ends.
        colour: of its model.
        dash: how it is drawn: "solid", "dash" or "dot".
        joined: whether points are joined; a curve's interval is a band, a point's a bar.
        symbol: the marker at its points.
        hollow: which of its points are drawn hollow; the chart's ``unit`` says what that means. None if empty.
    """

    name: str
    x: tuple[float, ...] | tuple[str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    colour: str = MODEL_COLOURS[0]
    dash: Dash = "solid"
    joined: bool = True
    symbol: Symbol = "circle"
    hollow: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Axis:
    """One axis of a `Chart`: its title with the unit, whether it is logarithmic, its range (the data's if None)."""

    title: str
    log: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves and points of all models together.

    Attributes:
        title: what is shown.
        lines: the curves.
        x: the axis to the right.
        y: the axis upwards.
        marks: places on the x axis with a thin line and a word each (the strides of a network).
        unit: a sentence below it.
        levels: places on the y axis with a thin line and a word each (chance).
    """

    title: str
    lines: tuple[Line, ...]
    x: Axis
    y: Axis
    marks: tuple[tuple[float, str], ...] = ()
    unit: str = ""
    levels: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Radar:
    """Scores from 0 to 1 around a circle: ``lines`` hold the axes' names as x."""

    title: str
    lines: tuple[Line, ...]
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """Words and numbers in rows; ``colours`` mark the rows, or are empty."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    colours: tuple[str, ...] = ()
    unit: str = ""


Panel = InputPicture | Map | Bars | Words | Chart | Radar | Table


@dataclass(frozen=True, eq=False)
class Section:
    """Rows of panels under one heading, with a mark in the model's colour and sentences below."""

    heading: str
    rows: tuple[tuple[Panel, ...], ...]
    colour: str = MODEL_COLOURS[0]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sheet:
    """A whole figure; ``link``: the address that shows the same, or ""."""

    title: str
    sections: tuple[Section, ...]
    footer: str = ""
    link: str = ""


def frame_of(image: Tensor) -> tuple[int, int]:
    """(height, width) of an image (3, H, W)."""
    return image.shape[-2], image.shape[-1]
