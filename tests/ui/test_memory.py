"""The server's memory stays where it is once its caches are full."""

from __future__ import annotations

import pytest

from .memory import EVERY, measure


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_thousand_requests_leave_the_memory_as_it_was_after_two_hundred() -> None:
    found = measure(2000)
    after = found[200 // EVERY :]
    assert max(after) <= 1.1 * after[0]
