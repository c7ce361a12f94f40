"""Intervals and fits against values known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.statistics import bootstrap, exponent, wilson


def test_wilson_equals_the_published_example():
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    table = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
    for successes, n, *ends in table:
        assert wilson(successes, n) == pytest.approx(ends, abs=5e-5)


def test_a_bootstrap_covers_the_normal_interval_of_a_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = bootstrap(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert bootstrap(values) == (low, high)
    assert bootstrap(values, seed=1) != (low, high)


def test_a_bootstrap_takes_a_statistic_of_the_mean_profile():
    profiles = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    low, high = bootstrap(profiles, lambda mean: mean[1] / mean.sum())
    assert 0 <= low < profiles[:, 1].mean() < high <= 1


def test_one_item_has_no_interval():
    assert bootstrap([1.0]) == (None, None)


def test_an_exponent_is_found_with_its_interval():
    x = np.array([10, 20, 40, 80, 160])
    assert exponent(x, 3 * x**1.5)[0] == pytest.approx(1.5)
    noise = np.exp(np.array([0.05, -0.04, 0.02, -0.06, 0.03]))
    slope, low, high = exponent(x, 3 * x**1.5 * noise)
    assert low < 1.5 < high
    assert slope == pytest.approx(np.polyfit(np.log(x), np.log(3 * x**1.5 * noise), 1)[0])
    assert exponent([1, 2], [1, 4]) == (pytest.approx(2.0), None, None)
