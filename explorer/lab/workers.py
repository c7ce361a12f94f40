"""Work that several processes share, which end with the one that began them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

_Result = TypeVar("_Result")


def processes(workers: int, threads: int) -> ProcessPoolExecutor:
    """Processes, each with this many threads; what they do calls `end_with_parent` now and then."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=begin, initargs=(threads, os.getpid()))


def finish(pool: Executor, futures: Sequence[Future[_Result]], done: Callable[[_Result], Any]) -> None:
    """Tell every result as it comes; the first error, of the work or of ``done``, ends what has not begun."""
    try:
        for future in as_completed(futures):
            done(future.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


_parent = 0


def begin(threads: int, parent: int) -> None:
    """What a process does first: it has this many threads, and ends with its parent."""
    global _parent
    _parent = parent
    torch.set_num_threads(threads)


def end_with_parent() -> None:
    """End a process whose parent was killed, which cannot stop it: what was not handed over is done another time."""
    if os.getppid() != _parent:
        os._exit(1)
