"""Where units are measured: in this process, or by several of this machine. `ray` has a third engine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from explorer.lab.workers import begin, end_with_parent
from explorer.models.spec import ModelSpec
from explorer.sweep.store import Store
from explorer.sweep.units import Unit
from explorer.sweep.work import Outcome, Station

#: Seconds that a process may take to end by itself.
_PATIENCE = 5.0


class Engine(Protocol):
    """Measures units. A worker has one unit at a time, and a model that needs no loading."""

    def idle(self) -> dict[int, ModelSpec | None]:
        """Workers that wait for a unit, and the model that each has."""

    def give(self, worker: int, unit: Unit) -> None:
        """Give a waiting worker a unit."""

    def outcomes(self) -> Iterator[Outcome]:
        """Wait until something is known of a unit, or for a moment, and tell it."""

    def end(self) -> None:
        """End what still works; units under way are lost."""


class Here:
    """Measures in this process, one unit after the other.

    Args:
        store: where rows go.
    """

    def __init__(self, store: Store) -> None:
        self._station = Station(store)
        self._waiting: Unit | None = None

    def idle(self) -> dict[int, ModelSpec | None]:
        return {} if self._waiting else {0: self._station.warm}

    def give(self, worker: int, unit: Unit) -> None:  # noqa: ARG002 - there is one
        self._waiting = unit

    def outcomes(self) -> Iterator[Outcome]:
        unit, self._waiting = self._waiting, None
        if unit is not None:
            yield self._station.do(unit)

    def end(self) -> None:
        self._waiting = None


class _Worker:
    """A process, the pipe to it, and what it does."""

    def __init__(self, address: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there, address, os.getpid()), daemon=True)
        with _without_interrupts():
            self.process.start()
        there.close()
        self.unit: Unit | None = None
        self.warm: ModelSpec | None = None

    def ended(self) -> str:
        """How it ended, once it has."""
        self.process.join(_PATIENCE)
        return f"the process that measured it ended (exit status {self.process.exitcode})"

    def stop(self) -> None:
        """Let it end, at once where it measures."""
        self.pipe.close()
        if self.unit is not None:
            self.process.terminate()

    def gone(self) -> None:
        """Wait until it has ended."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class _Stopped(BaseException):
    """Raised in the thread of a worker that is to end."""


class _Own:
    """This process as one of the workers, by a thread: its libraries are loaded, so that it begins at once."""

    def __init__(self, store: Store) -> None:
        self.pipe, self._there = multiprocessing.Pipe()
        self.unit: Unit | None = None
        self.warm: ModelSpec | None = None
        self._stopped = threading.Event()
        self._station = Station(store, self._alive)
        self._thread = threading.Thread(target=self._live, name="sweep-worker", daemon=True)
        self._thread.start()

    def _alive(self) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def _live(self) -> None:
        with contextlib.suppress(EOFError, OSError, _Stopped), self._there:
            while True:
                self._there.send(self._station.do(self._there.recv()))

    def ended(self) -> str:
        """How it ended, once it has."""
        return "the thread that measured it ended"

    def stop(self) -> None:
        """Let it end after the step that it is at."""
        self._stopped.set()
        self.pipe.close()

    def gone(self) -> None:
        """Wait until it has ended, but not for a step that takes long: what it may still write is whole."""
        self._thread.join(_PATIENCE)


class Processes:
    """Measures in processes of this machine, of which this one is the first: it begins while others load libraries.

    One that ends costs the unit it was at, and another takes its place.

    Args:
        store: where rows go.
        workers: how many.
    """

    def __init__(self, store: Store, workers: int) -> None:
        self._address = str(store.address)
        # The others first: a thread that computes would hold up their beginning.
        others = [_Worker(self._address) for _ in range(workers - 1)]
        self._workers: list[_Worker | _Own] = [_Own(store), *others]

    def idle(self) -> dict[int, ModelSpec | None]:
        return {number: one.warm for number, one in enumerate(self._workers) if one.unit is None}

    def give(self, worker: int, unit: Unit) -> None:
        one = self._workers[worker]
        one.unit, one.warm = unit, unit.model.spec
        with contextlib.suppress(OSError):  # it has ended, which is found when its outcome is waited for
            one.pipe.send(unit)

    def outcomes(self) -> Iterator[Outcome]:
        busy: dict[Any, int] = {one.pipe: number for number, one in enumerate(self._workers) if one.unit is not None}
        for ready in wait(list(busy), timeout=1.0):
            number = busy[ready]
            one = self._workers[number]
            unit, one.unit = one.unit, None
            assert unit is not None
            try:
                outcome = one.pipe.recv()
            except (EOFError, OSError):
                outcome = Outcome(unit.key, one.ended())
                self._workers[number] = _Worker(self._address)
            yield outcome

    def end(self) -> None:
        for one in self._workers:
            one.stop()
        for one in self._workers:
            one.gone()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here never hears of Ctrl+C, which reaches every process of a terminal: its parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which lets interrupts in again where it begins
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, address: str, parent: int) -> None:
    """A process's whole life: a unit, its outcome, and so on until its parent is gone."""
    begin(1, parent)
    station = Station(Store(address), end_with_parent)
    while True:
        try:
            unit = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(station.do(unit))
