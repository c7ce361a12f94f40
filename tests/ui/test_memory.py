"""The server's memory stays where it is once its caches are full."""

from __future__ import annotations

import statistics

import pytest

from .memory import EVERY, measure


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_thousand_requests_leave_the_memory_as_it_was_after_five_hundred() -> None:
    """By then what is kept is full. One reading says little: it falls on an answer that is being made, or on none."""
    found = measure(2000)
    full = found[500 // EVERY :]
    before, after = (statistics.median(some) for some in (full[:6], full[-6:]))
    assert after <= 1.1 * before, found
    assert max(full) <= 1.25 * before, found
