"""Bounded: bytes, order of use, one making per key, nobody waits for another's."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from explorer.cache import Bounded


def fail() -> bytes:
    raise AssertionError("made again")


def test_least_recently_used_goes_first_and_bytes_stay_below_the_bound() -> None:
    cache: Bounded[str, bytes] = Bounded(10, len)
    cache.get("a", lambda: b"1234")
    cache.get("b", lambda: b"1234")
    cache.get("a", fail)  # used, so b is the oldest now
    cache.get("c", lambda: b"1234")
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
    assert (cache.nbytes, len(cache)) == (8, 2)
    cache.get("d", lambda: b"1234567890")  # fills it all
    assert (len(cache), cache.nbytes) == (1, 10)
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_a_value_larger_than_the_bound_is_returned_and_drives_nothing_out() -> None:
    cache: Bounded[str, bytes] = Bounded(4, len)
    cache.get("a", lambda: b"123")
    assert cache.get("large", lambda: b"12345") == b"12345"
    assert "large" not in cache
    assert "a" in cache


def test_threads_asking_for_one_key_make_it_once() -> None:
    cache: Bounded[str, bytes] = Bounded(100, len)
    made = []

    def make() -> bytes:
        made.append(threading.get_ident())
        time.sleep(0.05)
        return bytes(5)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: cache.get("k", make), range(8)))
    assert len(made) == 1
    assert all(value is values[0] for value in values)


def test_nobody_waits_for_the_making_of_another_key() -> None:
    cache: Bounded[str, bytes] = Bounded(100, len)
    cache.get("kept", lambda: b"k")
    started, release = threading.Event(), threading.Event()

    def slow() -> bytes:
        started.set()
        assert release.wait(10)
        return b"slow"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, "slow", slow)
        assert started.wait(10)
        # Both would hang here if the lock were held while making.
        assert cache.get("kept", fail) == b"k"
        assert cache.get("other", lambda: b"o") == b"o"
        assert not waiting.done()
        release.set()
        assert waiting.result(10) == b"slow"


def test_a_failing_making_raises_in_all_who_wait_and_is_not_remembered() -> None:
    cache: Bounded[str, bytes] = Bounded(100, len)
    started, release, calls = threading.Event(), threading.Event(), []

    def broken() -> bytes:
        calls.append(1)
        started.set()
        assert release.wait(10)
        raise OSError("no network")

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(cache.get, "k", broken)
        assert started.wait(10)
        others = [pool.submit(cache.get, "k", broken) for _ in range(2)]
        time.sleep(0.1)
        release.set()
        for future in (first, *others):
            with pytest.raises(OSError, match="no network"):
                future.result(10)
    assert len(calls) == 1
    assert cache.get("k", lambda: b"now") == b"now"


def test_a_making_that_asks_for_itself_fails_instead_of_hanging() -> None:
    cache: Bounded[str, bytes] = Bounded(100, len)
    with pytest.raises(RuntimeError, match="asks for itself"):
        cache.get("k", lambda: cache.get("k", fail))


def test_bytes_add_up_under_many_threads() -> None:
    cache: Bounded[int, bytes] = Bounded(50, len)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cache.get(i % 23, lambda: bytes(i % 7 + 1)), range(2000)))
    assert cache.nbytes <= 50
    assert cache.nbytes == sum(len(cache.get(key, fail)) for key in range(23) if key in cache)
