"""Differences of shares with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from explorer.statistics import wilson


def newcombe(first: int, n_first: int, second: int, n_second: int, phi: float = 0.0) -> tuple[float, float]:
    """The 95 % interval of the difference of two shares, from their Wilson intervals.

    Newcombe 1998, Statistics in Medicine 17:873, method 10, for independent shares; 17:2635, method 10, for paired ones
    (see `paired`). Unlike Student's t it has a width also where both shares are 0 or 1.

    Args:
        first: successes of the first.
        n_first: of how many.
        second: successes of the second.
        n_second: of how many.
        phi: correlation of the pairs; 0 for independent shares.
    """
    p, q = first / n_first, second / n_second
    (low_p, high_p), (low_q, high_q) = wilson(first, n_first), wilson(second, n_second)

    def length(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return p - q - length(p - low_p, high_q - q), p - q + length(high_p - p, q - low_q)


def paired(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The correlation of two paired shares, corrected for continuity, as Newcombe's method 10 asks for it."""
    pairs = list(zip(first, second))
    a, b, c, d = (pairs.count(one) for one in ((True, True), (True, False), (False, True), (False, False)))
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if not margins:
        return 0.0
    over = a * d - b * c
    return (max(over - len(pairs) / 2, 0.0) if over > 0 else over) / math.sqrt(margins)
