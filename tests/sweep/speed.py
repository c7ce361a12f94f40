"""How much does a sweep cost beside a plain loop, and what do two workers gain? ``python -m tests.sweep.speed``.

Ratios of runs that alternate, so that a busy machine disturbs both alike; honest on a quiet machine alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from explorer.models.loading import load
from explorer.probes.run import steps
from explorer.probes.stimuli import read
from explorer.sweep.run import sweep

MODELS = ("lab/mhsa", "lab/c2f")
GIVEN = {"side": 9, "step": 2}
BATCH = 16


def plan(scenes: int) -> dict[str, Any]:
    probe = {"probe": "translation", **GIVEN}
    return {"models": list(MODELS), "probes": [probe], "data": [scenes], "shard": 64, "batch": BATCH, "device": "cpu"}


def swept(scenes: int, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(plan(scenes), folder, workers=workers)
        assert not found.failed


def plain(scenes: int) -> None:
    """The same numbers by a loop over models."""
    for name in MODELS:
        model = load(name, "cpu")
        for _ in steps("translation", [model], read(scenes), batch=BATCH, **GIVEN):
            pass


def alternate(first: Callable[[], None], second: Callable[[], None], repeats: int) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the runs' own ratios, first over second."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            begun = time.perf_counter()
            (first, second)[which]()
            times[which].append(time.perf_counter() - begun)
    return median(times[0]), median(times[1]), median(a / b for a, b in zip(*times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=192, help="(%(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="(%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plain(16)  # what is loaded once is loaded
    for name, first, second in (
        ("a sweep / a plain loop", lambda: swept(options.scenes, 1), lambda: plain(options.scenes)),
        ("one worker / two", lambda: swept(8 * options.scenes, 1), lambda: swept(8 * options.scenes, 2)),
    ):
        one, other, ratio = alternate(first, second, options.repeats)
        print(f"{name}: {ratio:.3f} ({one:.2f} s and {other:.2f} s, {options.repeats} times)", flush=True)


if __name__ == "__main__":
    main()
