"""Intervals and fits that stand beside every rate; plain numbers and numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

#: Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054
#: Resamples of a bootstrap.
RESAMPLES = 1000

_Array = np.ndarray[Any, np.dtype[np.float64]]


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a rate (Wilson 1927): its ends stay within 0 and 1, also at 0 and n successes."""
    if n < 1:
        return 0.0, 1.0
    rate = successes / n
    middle = rate + _Z**2 / (2 * n)
    half = _Z * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def bootstrap(
    values: Any, statistic: Callable[[_Array], Any] | None = None, seed: int = 0
) -> tuple[float, float] | tuple[None, None]:
    """The 95 % percentile interval over resampled items (Efron 1979); none for fewer than two items.

    Args:
        values: (n, ...) one entry an item (an image, as a rule), or (n,) numbers.
        statistic: of the mean over items, (...) to a number; the mean itself if None.
        seed: of the resampling.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return None, None
    draw = np.random.default_rng(seed)
    # How often each item is drawn; the means of all resamples are one matrix product.
    weights = draw.multinomial(len(array), np.full(len(array), 1 / len(array)), RESAMPLES) / len(array)
    means = (weights @ array.reshape(len(array), -1)).reshape(RESAMPLES, *array.shape[1:])
    found = means if statistic is None else np.array([statistic(one) for one in means])
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


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


@lru_cache(maxsize=64)
def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t with a whole number of degrees of freedom.

    The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4, inverted by bisection.
    """

    def within(t: float) -> float:
        """P(|T| < t)."""
        angle = math.atan2(t, math.sqrt(freedom))
        sine, cosine = math.sin(angle), math.cos(angle)
        term, total = (1.0, 1.0) if freedom % 2 == 0 else (cosine, cosine)
        for k in range(2 if freedom % 2 == 0 else 3, freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        if freedom % 2 == 0:
            return sine * total
        return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))

    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
    return (low + high) / 2
