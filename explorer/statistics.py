"""Intervals and fits that stand beside every rate; plain numbers and numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

#: Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054
#: What is left of equal values by rounding, of the largest of them: a spread below it is none.
_EQUAL = 1e-6
#: No exponential of more is a float.
_LARGEST = 700.0

_Array = np.ndarray[Any, np.dtype[np.float64]]


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a rate (Wilson 1927): its ends stay within 0 and 1, also at 0 and n successes."""
    if n < 1:
        return 0.0, 1.0
    rate = successes / n
    middle = rate + _Z**2 / (2 * n)
    half = _Z * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    # By rounding, an end at 0 or at 1 may lie a little on the wrong side of the rate.
    return max(0.0, min(rate, (middle - half) / scale)), min(1.0, max(rate, (middle + half) / scale))


class Range(NamedTuple):
    """Between which values a quantity can lie, ends included, and whether it is a difference of two others."""

    low: float = -math.inf
    high: float = math.inf
    difference: bool = False


#: Decibels, R2 from below: no bound that matters.
ANY = Range()
#: Distances, masses, ratios, absolute values.
POSITIVE = Range(0.0)
#: Shares and probabilities.
SHARE = Range(0.0, 1.0)
COSINE = Range(-1.0, 1.0)
#: The coefficient of determination.
R2 = Range(high=1.0)
#: Shares or probabilities, one minus another.
CHANGE = Range(-1.0, 1.0, difference=True)
#: Quantities with a bound, one minus another, where the difference has none.
DIFFERENCE = Range(difference=True)

#: How `interval` has its interval, as it stands beside numbers of images.
BY = "Student's t over images"


@dataclass(frozen=True)
class Estimate:
    """A mean (or a statistic of it) over independent items, with its 95 % interval.

    Attributes:
        mean: the number.
        low: lower end of the interval, as high the upper; None with one item.
        n: how many items.
        error: standard error on the scale of `within`; nan with one item.
        freedom: degrees of freedom; 0 with one item.
        within: where the quantity can lie.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    error: float = math.nan
    freedom: int = 0
    within: Range = ANY

    def p_value(self, null: float) -> float | None:
        """Two-sided p of Student's t against ``null``, on the scale of the interval; None with one item.

        It is below 0.05 where the interval leaves ``null`` out. Items without any spread give 0, or 1 at ``null``.
        """
        if not self.freedom:
            return None
        apart = abs(_Scale(self.mean, self.within).to(null) - _Scale(self.mean, self.within).to(self.mean))
        if not self.error:
            return 1.0 if apart <= 1e-12 else 0.0
        return p_of_student(apart / self.error, self.freedom)

    def least(self, level: float = 0.05, power: float = 0.5) -> float | None:
        """How far from 0 a difference of this spread has to lie for its p to be below a level; None with one item.

        ``power``: how often it is below, as often as not or more often, of new items with the same spread.
        """
        if not self.freedom:
            return None
        return (student(self.freedom, 1 - level) + student(self.freedom, 2 * power - 1)) * self.error


class _Scale:
    """The scale on which an interval is symmetric about a mean: the quantity itself, its logarithm or its logit.

    Near a bound the spread of a mean depends on the mean; on these scales it hardly does, so that Student's t holds for
    skewed quantities too, and no end lies beyond the bound. Differences stay as they are and are cut at their bounds,
    so that what is said of their interval is said of the t test too. So does a mean that lies on its bound.
    """

    def __init__(self, mean: float, within: Range) -> None:
        self.low, self.high = within.low, within.high
        inside = self.low < mean < self.high
        self.bounded = not within.difference and inside and (math.isfinite(self.low) or math.isfinite(self.high))

    def to(self, value: float) -> float:
        """A value on the scale."""
        if not self.bounded:
            return value
        below = math.log(value - self.low) if value > self.low > -math.inf else -math.inf
        above = math.log(self.high - value) if value < self.high < math.inf else -math.inf
        if not math.isfinite(self.high):
            return below
        return -above if not math.isfinite(self.low) else below - above

    def slope(self, value: float) -> float:
        """The derivative of `to`."""
        if not self.bounded:
            return 1.0
        below = 1 / (value - self.low) if math.isfinite(self.low) else 0.0
        return below + (1 / (self.high - value) if math.isfinite(self.high) else 0.0)

    def back(self, place: float) -> float:
        """The value at a place of the scale, within the bounds."""
        if not self.bounded:
            return min(max(place, self.low), self.high)
        if not math.isfinite(self.high):
            return self.low + math.exp(min(place, _LARGEST))
        if not math.isfinite(self.low):
            return self.high - math.exp(min(-place, _LARGEST))
        return self.low + (self.high - self.low) / (1 + math.exp(min(-place, _LARGEST)))


def interval(values: Any, within: Range, statistic: Callable[[_Array], Any] | None = None) -> Estimate:
    """The mean over items with its 95 % interval: g(m) +- t(0.975, n - 1) g'(m) s / sqrt(n) (Student 1908).

    g is the logit of a quantity with two bounds, the logarithm of the distance from one bound, and the quantity itself
    where there is none or where it is a difference (the delta method; e.g. Efron and Tibshirani 1993, section 12.6).
    Of a statistic of the mean, a ratio for example, s / sqrt(n) is the jackknife's standard error (Tukey 1958), which
    is the same for the mean itself. The statistic has to be smooth: the jackknife does not see what moves in jumps.

    Args:
        values: (n, ...) one entry an item (an image, as a rule), or (n,) numbers.
        within: between which values the mean, or the statistic, can lie.
        statistic: of the mean over items, (...) to a number; the mean itself if None.
    """
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    middle = array.mean(0)
    value = float(middle if statistic is None else statistic(middle))
    if n < 2 or not math.isfinite(value):
        return Estimate(value, None, None, n, within=within)
    if statistic is None:
        error = float(array.std(0, ddof=1)) / math.sqrt(n)
    else:
        without = np.array([float(statistic((array.sum(0) - one) / (n - 1))) for one in array])
        error = math.sqrt((n - 1) * float(without.var()))
    if not math.isfinite(error):
        return Estimate(value, None, None, n, within=within)
    # What is left of equal numbers by rounding is no spread.
    error = error if error > 1e-14 * abs(value) else 0.0
    return _estimate(value, error, n, n - 1, within)


def _estimate(value: float, error: float, n: int, freedom: int, within: Range) -> Estimate:
    """An estimate from a standard error of the value itself."""
    scale = _Scale(value, within)
    error *= scale.slope(value)
    middle, half = scale.to(value), student(freedom) * error
    # The value itself may lie beyond an end by rounding.
    low, high = min(scale.back(middle - half), value), max(scale.back(middle + half), value)
    return Estimate(value, low, high, n, error, freedom, within)


def ratio(both: Any) -> float:
    """The first of two numbers over the second."""
    return float(both[0] / both[1])


def welch(first: Any, second: Any, within: Range = DIFFERENCE) -> Estimate:
    """The difference of the means of two independent samples with its 95 % interval (Welch 1947).

    Degrees of freedom are rounded down; n is the size of the smaller sample, and with one item there is no interval.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    value, n = float(one.mean() - two.mean()), min(len(one), len(two))
    if n < 2:
        return Estimate(value, None, None, n, within=within)
    squares = [float(each.var(ddof=1)) / len(each) for each in (one, two)]
    if not sum(squares):
        return _estimate(value, 0.0, n, n - 1, within)
    freedom = sum(squares) ** 2 / sum(each**2 / (len(of) - 1) for each, of in zip(squares, (one, two)))
    return _estimate(value, math.sqrt(sum(squares)), n, max(1, int(freedom)), within)


def holm(p: Sequence[float]) -> list[float]:
    """p of several comparisons, corrected so that 0.05 holds for all of them together (Holm 1979); in their order."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    out, highest = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        out[place] = highest
    return out


def exponent(x: Sequence[float], y: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The slope of log y over log x by least squares, with its 95 % interval (Student's t); none for two points."""
    a, b = np.log(np.asarray(x, dtype=np.float64)), np.log(np.asarray(y, dtype=np.float64))
    count = len(a)
    spread = float(((a - a.mean()) ** 2).sum())
    slope = float(((a - a.mean()) * (b - b.mean())).sum() / spread)
    if count < 3:
        return slope, None, None
    rest = b - b.mean() - slope * (a - a.mean())
    half = student(count - 2) * math.sqrt(float((rest**2).sum()) / (count - 2) / spread)
    return slope, slope - half, slope + half


def p_of_student(t: float, freedom: int) -> float:
    """Two-sided p of Student's t, ``t`` at least 0, with a whole number of degrees of freedom.

    The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    # The angle from the far end: what is left beyond a large t is not lost in the rounding of 1.
    angle = math.atan2(math.sqrt(freedom), t)
    cosine, sine = math.sin(angle), math.cos(angle)
    term, total = (1.0, 1.0) if freedom % 2 == 0 else (cosine, cosine)
    for k in range(2 if freedom % 2 == 0 else 3, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    if freedom % 2 == 0:
        return max(0.0, 1 - sine * total)
    return max(0.0, 2 / math.pi * (angle - (sine * total if freedom > 1 else 0.0)))


@lru_cache(maxsize=256)
def student(freedom: int, share: float = 0.95) -> float:
    """The t that a share of Student's distribution lies within, on both sides of 0; found by bisection.

    Args:
        freedom: a whole number of degrees of freedom.
        share: 0.95 gives the 97.5 % quantile.
    """
    low, high = 0.0, 1.0
    while p_of_student(high, freedom) > 1 - share:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if p_of_student(middle, freedom) > 1 - share else (low, middle)
    return (low + high) / 2


def rank_correlation(first: Any, second: Any) -> float:
    """Spearman's rank correlation of two samples: the correlation of their ranks, equal values at their mean rank.

    Args:
        first: (n,) numbers, as ``second``.

    Returns -1 to 1; nan where either is constant (up to rounding of float32) or has fewer than three values.

    Source: Spearman 1904, American Journal of Psychology 15:72.
    """
    one, two = (np.asarray(each, dtype=np.float64).ravel() for each in (first, second))
    if len(one) < 3 or is_constant(one) or is_constant(two):
        return math.nan
    a, b = _ranks(one), _ranks(two)
    return float(np.clip((a @ b) / math.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def is_constant(values: Any) -> bool:
    """Whether numbers differ by no more than the rounding of float32 leaves of equal ones."""
    array = np.asarray(values, dtype=np.float64)
    return bool(not array.size or array.max() - array.min() <= _EQUAL * np.abs(array).max())


def _ranks(values: _Array) -> _Array:
    """Ranks about their mean, equal values at the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: _Array = (np.cumsum(counts) - (counts + 1) / 2)[place] - (len(values) - 1) / 2
    return found
