"""Do two maps agree? Ranks, the top tenth, and the way that the centre of mass went."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from explorer.geometry import Point
from explorer.statistics import is_constant, rank_correlation
from explorer.transforms import Transform

#: The share of the cells whose place is compared by `top_overlap`.
TOP = 0.1
#: Below this share of the mass, the resultant of a map on a circle is rounding: it has no centre.
_NO_CENTRE = 1e-6


class Agreement(NamedTuple):
    """How a map of the moved picture agrees with the map before; nan is no number.

    Attributes:
        ranks: rank correlation of the map brought back and the map before.
        still: the same of the map as it is, not brought back: 1 for a map that stays.
        top: overlap of their top tenths.
        along: the way that the centre of mass went times the way of what was moved, px^2.
        squared: the latter way squared, px^2; ``along / squared`` is the slope.
    """

    ranks: float
    still: float
    top: float
    along: float
    squared: float


NONE = Agreement(*[math.nan] * 5)


def top_overlap(first: Tensor, second: Tensor) -> float:
    """The share of the largest tenth of the cells that two maps have in common, 0 to 1; nan for a constant map.

    Args:
        first: (n,), as ``second``. Cells tied for the last places share them evenly, so that equal maps have 1.
    """
    if is_constant(first) or is_constant(second):
        return math.nan
    count = max(1, round(TOP * first.numel()))
    return float(np.minimum(_membership(first, count), _membership(second, count)).sum()) / count


def _membership(values: Tensor, count: int) -> np.ndarray:
    """(n,): 1 for cells among the ``count`` largest, 0 for others, in between for those tied at the last place."""
    array = values.numpy()
    last = np.sort(array)[-count]
    above, tied = array > last, array == last
    return above + tied * ((count - above.sum()) / tied.sum())


def agreement(
    before: Tensor, after: Tensor, move: Transform, frame: tuple[int, int], region: Tensor | None, wraps: bool
) -> Agreement:
    """Compare the map of a moved picture with the map before.

    Args:
        before: (h, w) signed, on the CPU, as ``after``; its cells lie evenly over the frame.
        after: of the moved picture.
        move: what happened to what is compared, in px of the frame.
        frame: (height, width), px.
        region: (h, w) bool, which cells before the move are compared; all if None. Those that the move took out of
            the frame are left out in any case.
        wraps: whether this is a shift round the frame, whose centre of mass lies on a circle.
    """
    if is_constant(before) or is_constant(after):
        return NONE
    pulled = move.pull_back(after, frame)
    back, valid = pulled.values, pulled.valid
    inside = valid if region is None else valid & region
    ranks = rank_correlation(back[inside], before[inside])
    still = rank_correlation(after[inside], before[inside])
    top = top_overlap(back[inside], before[inside]) if inside.any() else math.nan
    along, squared = travelled(before, after, move, frame, valid, wraps)
    return Agreement(ranks, still, top, along, squared if math.isfinite(along) else math.nan)


def travelled(
    before: Tensor, after: Tensor, move: Transform, frame: tuple[int, int], valid: Tensor, wraps: bool
) -> tuple[float, float]:
    """The way of the centre of the positive mass times the way it should go, and the latter squared, px^2.

    In a shift the whole frame counts; round the frame the centre is the angle of the mean on a circle. In other moves
    the cells count that both pictures show. nan where a map has no positive mass, or no centre on the circle.
    """
    height, width = before.shape
    if wraps:
        total = squared = 0.0
        for distance, axis, size in ((move.dx, 0, frame[1]), (move.dy, 1, frame[0])):
            if distance:
                start, stop = (_angle(one.clamp(min=0).double().sum(axis).numpy()) for one in (before, after))
                # The shorter way round: about 0, so that what goes anywhere goes nowhere on average.
                total += distance * size * (((stop - start) / (2 * math.pi) + 0.5) % 1 - 0.5)
                squared += distance**2
        return total, squared
    if not (move.zoom == 1 and move.angle % 360 == 0):
        cells = move.scaled(width / frame[1], height / frame[0])
        before, after = before * valid, after * cells.valid(height, width)
    start_at, stop_at = _centre(before, frame), _centre(after, frame)
    goal = move.point(start_at, frame)
    way, due = np.subtract(stop_at, start_at), np.subtract(goal, start_at)
    return float(way @ due), float(due @ due)


def _angle(profile: np.ndarray) -> float:
    """The angle of the mean of a profile on a circle; nan where it has none."""
    resultant = profile @ np.exp(2j * math.pi * np.arange(len(profile)) / len(profile))
    return math.nan if abs(resultant) <= _NO_CENTRE * profile.sum() else float(np.angle(resultant))


def _centre(values: Tensor, frame: tuple[int, int]) -> Point:
    """The centre of the positive mass of (h, w), px; nan where there is none."""
    mass = values.clamp(min=0).double().numpy()
    if mass.sum() <= 0:
        return Point(math.nan, math.nan)
    x, y = (
        float(mass.sum(axis) @ (np.arange(cells) + 0.5)) / float(mass.sum()) * size / cells
        for axis, cells, size in ((0, mass.shape[1], frame[1]), (1, mass.shape[0], frame[0]))
    )
    return Point(x, y)
