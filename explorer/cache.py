"""A cache bounded in bytes, safe for many threads, that makes each thing once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """Keep values up to a number of bytes; the least recently used goes first.

    Threads that ask for the same key at once wait for one making; nobody waits for the making of another key. A making
    that fails raises in everyone who waits for it and is not remembered. A value larger than the whole bound is
    returned but not kept.

    Args:
        max_bytes: the bound.
        size: bytes of a value.
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self.max_bytes = max_bytes
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._making: dict[Key, tuple[int, Future[Value]]] = {}
        self._bytes = 0

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of ``key``; the first who asks makes it with ``make``, outside any lock."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
            flight = self._making.get(key)
            if flight is None:
                future: Future[Value] = Future()
                self._making[key] = (threading.get_ident(), future)
        if flight is not None:
            maker, future = flight
            if maker == threading.get_ident():
                raise RuntimeError(f"making {key!r} asks for itself")
            return future.result()
        try:
            value = make()
            size = self._size(value)
        except BaseException as error:
            with self._lock:
                del self._making[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            if size <= self.max_bytes:
                self._kept[key] = (value, size)
                self._bytes += size
                while self._bytes > self.max_bytes:
                    self._bytes -= self._kept.popitem(last=False)[1][1]
        future.set_result(value)
        return value

    def clear(self) -> None:
        """Forget everything kept; what is being made is still delivered."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes kept now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: object) -> bool:
        return key in self._kept
