"""Sweeps that are killed at moments drawn from a seed, and resumed until they are done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

#: Seconds that a sweep of these tests may take to get on by a unit.
LIMIT = 120.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "explorer", "sweep", *arguments]


def begin(*arguments: str) -> subprocess.Popen[str]:
    """Begin a sweep in a process group of its own."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that are run in the background of a shell inherit that Ctrl+C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every unit's file, by name."""
    return {one.name: one.read_bytes() for one in sorted((folder / "rows").glob("*.parquet"))}


def count(folder: Path) -> int:
    return len(list((folder / "rows").glob("*.parquet")))


def kill_at(process: subprocess.Popen[str], folder: Path, units: int, delay: float) -> bool:
    """Kill a sweep's driver with SIGKILL once so many units are done and a delay has passed; whether it still ran."""
    end = time.monotonic() + LIMIT
    while count(folder) < units and process.poll() is None:
        assert time.monotonic() < end, f"not {units} units in {LIMIT} s"
        time.sleep(0.005)
    time.sleep(delay)
    running = process.poll() is None
    if running:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    return running


def killed_and_resumed(arguments: Sequence[str], folder: Path, total: int, kills: int, seed: int) -> int:
    """Begin a sweep again and again, kill it at moments drawn from a seed, and let it end at last.

    Returns how many times it was killed while it ran. Files that were whole when it was killed are not made again.
    """
    chance = random.Random(seed)
    killed = 0
    for number in range(kills):
        before = {one.name: one.stat().st_mtime_ns for one in (folder / "rows").glob("*.parquet")}
        # Some are killed while they begin, the others after one unit more and a part of the next.
        more = 0 if chance.random() < 0.2 else 1
        until = min(total - 1, len(before) + more) if number < kills - 1 else total - 1
        killed += kill_at(begin(*arguments), folder, until, chance.uniform(0.0, 0.6))
        after = {one.name: one.stat().st_mtime_ns for one in (folder / "rows").glob("*.parquet")}
        assert before.items() <= after.items(), "a unit that was done was done again, or is gone"
    process = begin(*arguments)
    out, err = process.communicate(timeout=5 * LIMIT)
    assert process.returncode == 0, out + err
    return killed
