"""Intervals and fits against values known from elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from explorer.statistics import (
    ANY,
    CHANGE,
    COSINE,
    DIFFERENCE,
    POSITIVE,
    R2,
    SHARE,
    Range,
    exponent,
    holm,
    interval,
    p_of_student,
    student,
    welch,
    wilson,
)


def test_wilson_equals_the_published_example():
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    table = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
    for successes, n, *ends in table:
        assert wilson(successes, n) == pytest.approx(ends, abs=5e-5)


def test_p_and_quantiles_of_student_equal_the_printed_tables():
    # two-sided p 0.05, 0.01 and 0.001 (Abramowitz and Stegun, table 26.10)
    table = {
        1: (12.706, 63.657, 636.619),
        2: (4.303, 9.925, 31.598),
        5: (2.571, 4.032, 6.869),
        30: (2.042, 2.75, 3.646),
    }
    for freedom, values in table.items():
        for share, t in zip((0.95, 0.99, 0.999), values):
            assert student(freedom, share) == pytest.approx(t, rel=4e-4)
            assert p_of_student(t, freedom) == pytest.approx(1 - share, rel=2e-3)
    assert p_of_student(0.0, 4) == pytest.approx(1)
    # Far out the density with 3 degrees of freedom is 6 sqrt(3) / (pi t^4).
    assert p_of_student(1e4, 3) == pytest.approx(4 * math.sqrt(3) / math.pi * 1e-12, rel=1e-3)


def test_an_interval_of_a_difference_is_students_and_cut_at_the_bounds():
    found = interval([1.0, 2.0, 3.0], DIFFERENCE)
    half = 4.30265 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), abs=1e-4)
    assert found.p_value(0.0) == pytest.approx(0.0742, abs=1e-4)  # t = 2 sqrt(3), 2 degrees of freedom
    assert found.p_value(found.low) == pytest.approx(0.05, rel=1e-6)
    assert found.least() == pytest.approx(half, abs=1e-4)
    assert interval([0.9, 1.0, 0.2], CHANGE).high == 1
    assert interval([-0.9, -1.0, -0.2], CHANGE).low == -1


def test_an_interval_of_a_share_is_symmetric_on_the_logit():
    found = interval([0.9, 0.95, 1.0, 0.99], SHARE)
    logit = lambda p: math.log(p / (1 - p))  # noqa: E731
    half = 3.18245 * np.std([0.9, 0.95, 1.0, 0.99], ddof=1) / 2 / (0.96 * 0.04)
    assert logit(found.high) - logit(0.96) == pytest.approx(half, rel=1e-5)
    assert logit(0.96) - logit(found.low) == pytest.approx(half, rel=1e-5)
    positive = interval([1.0, 2.0, 4.0], POSITIVE)
    assert positive.high / positive.mean == pytest.approx(positive.mean / positive.low)
    below = interval([0.5, 0.8, 0.9], R2)
    assert (1 - below.low) / (1 - below.mean) == pytest.approx((1 - below.mean) / (1 - below.high))


@pytest.mark.parametrize("within", [SHARE, POSITIVE, COSINE, R2, CHANGE])
def test_no_end_lies_beyond_what_is_possible_and_the_mean_lies_between(within: Range) -> None:
    draw = np.random.default_rng(3)
    low, high = max(within.low, -3.0), min(within.high, 5.0)
    for number in range(300):
        n = 2 + number % 9
        values = low + (high - low) * draw.beta(*draw.choice([0.02, 0.3, 5.0], 2), n)
        values = np.where(draw.random(n) < 0.3, draw.choice([low, high]), values)
        found = interval(values, within)
        assert within.low <= found.low <= found.mean <= found.high <= within.high
        assert found.high > found.low or np.ptp(values) < 1e-12


def test_equal_values_have_no_width_and_one_has_no_interval():
    for value in (0.0, 0.1, 0.7, 1.0):
        found = interval([value] * 3, SHARE)
        assert (found.low, found.high) == pytest.approx((value, value), abs=1e-12)
        assert found.p_value(value) == 1
        assert found.p_value(0.4) == 0
    alone = interval([0.3], SHARE)
    assert (alone.mean, alone.low, alone.high, alone.p_value(0.0), alone.least()) == (0.3, None, None, None, None)
    assert (
        interval([[0.0, 1.0], [0.0, 2.0]], POSITIVE, lambda sums: sums[1] / sums[0] if sums[0] else math.nan).low
        is None
    )


def test_a_statistic_of_the_mean_has_the_jackknifes_error():
    values = np.random.default_rng(1).lognormal(0, 0.5, 9)
    same = interval(values, POSITIVE, lambda mean: mean)
    assert (same.low, same.high) == pytest.approx((interval(values, POSITIVE).low, interval(values, POSITIVE).high))
    # twice the mean of the squares' root, by the delta method
    many = np.random.default_rng(2).lognormal(0, 0.3, 4000)
    found = interval(many**2, POSITIVE, lambda mean: 2 * math.sqrt(mean))
    plain = interval(many**2, POSITIVE)
    assert found.high / found.mean == pytest.approx(math.sqrt(plain.high / plain.mean), rel=1e-4)


def test_welch_by_hand_and_against_numpy():
    # variances of the means 0.01 and 0.04, freedom 0.05^2 / (0.01^2 / 1 + 0.04^2 / 1) -> 1
    found = welch([0.9, 0.7], [0.4, 0.8])
    half = 12.7062 * math.sqrt(0.05)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half), abs=1e-3)
    assert welch([1.0], [2.0, 3.0]).low is None


def test_holm_corrects_as_in_the_papers_rule():
    # 0.01 x 4, 0.013 x 3 (not below the one before), 0.02 x 2 (the same), 0.5 x 1
    assert holm([0.5, 0.01, 0.02, 0.013]) == pytest.approx([0.5, 0.04, 0.04, 0.04])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


#: Name -> (draws of a shape, true mean, where the quantity lies): as many as a user would meet.
DRAWN = {
    "normal": (lambda draw, shape: draw.normal(3, 1, shape), 3.0, ANY),
    "beta(2, 5)": (lambda draw, shape: draw.beta(2, 5, shape), 2 / 7, SHARE),
    "lognormal(0, 0.5)": (lambda draw, shape: draw.lognormal(0, 0.5, shape), math.exp(0.125), POSITIVE),
}
#: Harder ones, and how much at least is covered: what Student's t on the scale of the bounds cannot mend.
HARDER = {
    "beta(0.5, 0.5)": (lambda draw, shape: draw.beta(0.5, 0.5, shape), 0.5, SHARE, 0.93),
    "beta(8, 1)": (lambda draw, shape: draw.beta(8, 1, shape), 8 / 9, SHARE, 0.93),
    "exponential": (lambda draw, shape: draw.exponential(1, shape), 1.0, POSITIVE, 0.92),
    "lognormal(0, 1)": (lambda draw, shape: draw.lognormal(0, 1, shape), math.exp(0.5), POSITIVE, 0.87),
}


def _ratio(draw: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """p of pictures before and after: dependent, (repeats, n, 2); the ratio of the means is 0.6."""
    before = draw.beta(5, 2, shape)
    return np.stack([before, before * draw.beta(3, 2, shape)], -1)


def _coverage(
    draw: Any, truth: float, within: Range, n: int, repeats: int, statistic: Any = None, seed: int = 0
) -> float:
    samples = draw(np.random.default_rng([seed, n]), (repeats, n))
    found = (interval(one, within, statistic) for one in samples)
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def _after_over_before(mean: Any) -> float:
    return float(mean[1] / mean[0])


@pytest.mark.parametrize("n", [5, 12, 24, 100])
def test_intervals_cover_95_percent(n: int) -> None:
    # 800 repeats: four standard deviations of a coverage of 0.95 are 0.031.
    for draw, truth, within in DRAWN.values():
        assert _coverage(draw, truth, within, n, 800) == pytest.approx(0.95, abs=0.031)
    assert _coverage(_ratio, 0.6, POSITIVE, n, 300, _after_over_before) == pytest.approx(0.95, abs=0.05)


@pytest.mark.long
def test_coverage_is_93_to_97_percent_in_20000_repeats() -> None:
    lines = []
    for name, (draw, truth, within, *least) in {**DRAWN, **HARDER}.items():
        for n in (2, 3, 5, 12, 24, 100):
            covered = _coverage(draw, truth, within, n, 20_000)
            lines.append((name, n, covered))
            if n >= 5:
                assert (least[0] if least else 0.93) <= covered <= 0.97, (name, n)
    for n in (5, 12, 24, 100):
        covered = _coverage(_ratio, 0.6, POSITIVE, n, 5_000, _after_over_before)
        lines.append(("ratio of means", n, covered))
        assert 0.93 <= covered <= 0.97, n
    print(*(f"{name:20} n = {n:3}: {100 * covered:.1f} %" for name, n, covered in lines), sep="\n")


def test_an_exponent_is_found_with_its_interval():
    x = np.array([10, 20, 40, 80, 160])
    assert exponent(x, 3 * x**1.5)[0] == pytest.approx(1.5)
    noise = np.exp(np.array([0.05, -0.04, 0.02, -0.06, 0.03]))
    slope, low, high = exponent(x, 3 * x**1.5 * noise)
    assert low < 1.5 < high
    assert slope == pytest.approx(np.polyfit(np.log(x), np.log(3 * x**1.5 * noise), 1)[0])
    assert exponent([1, 2], [1, 4]) == (pytest.approx(2.0), None, None)
