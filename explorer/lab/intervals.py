"""What a difference between seeds can say: intervals, paired comparisons, and Holm's correction for several."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

from explorer.statistics import Estimate, Range, holm, interval, welch

#: What p a difference may have to be called shown.
LEVEL = 0.05
#: How often a difference that "could have been seen" is shown.
POWER = 0.8

_Name = TypeVar("_Name", bound=Hashable)


def difference(first: Mapping[int, float], second: Mapping[int, float], of: Range) -> Estimate:
    """First minus second, each a value a seed: paired where two or more seeds match, else Welch's of two samples.

    Seeds share their pictures and the order of training, so a pair of one seed differs by less than two of different.

    Args:
        first: seed -> value.
        second: as first.
        of: where the values can lie.
    """
    apart = of.high - of.low
    range_ = Range(-apart, apart, difference=True)
    both = [seed for seed in first if seed in second]
    if len(both) >= 2:
        return interval([first[seed] - second[seed] for seed in both], range_)
    return welch(list(first.values()), list(second.values()), range_)


class Verdict(NamedTuple):
    """What a test says of one of several estimates.

    Attributes:
        estimate: the number.
        p: of Student's t, corrected for the others (Holm); None with one seed.
        shown: whether p is at most 0.05; None with one seed. What is not shown may be all the same.
        least: how far from 0 a difference with this spread between seeds would have had to lie to be shown beside the
            others; None with one seed.
        likely: as least, but to be shown four times of five and not as often as not.
    """

    estimate: Estimate
    p: float | None = None
    shown: bool | None = None
    least: float | None = None
    likely: float | None = None


def judge(estimates: Mapping[_Name, Estimate], null: float = 0.0) -> dict[_Name, Verdict]:
    """Which of several estimates are shown to differ from ``null``? Student's t, corrected after Holm (1979)."""
    raw = {name: p for name, one in estimates.items() if (p := one.p_value(null)) is not None}
    corrected = dict(zip(raw, holm(list(raw.values()))))
    # Holm's level for the first that is not shown.
    left = sum(p > LEVEL for p in corrected.values())
    level = LEVEL / max(1, left)
    return {
        name: Verdict(one, corrected[name], corrected[name] <= LEVEL, one.least(level), one.least(level, POWER))
        if name in corrected
        else Verdict(one)
        for name, one in estimates.items()
    }
