"""Measure a drag of the page while 200 phones vote: ``python -m tests.ui.voting``.

A page is served on 127.0.0.1 with the class vote. The moves of a drag are asked one after another, as its browser asks
them: first by themselves, then while 200 phones load their page and bet
within 2 s, spread evenly; both in turn. Not a test: a shared machine keeps no limits.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from .asking import Asking, run_alone
from .conftest import ROOT, answering, free_port

PHONES, WITHIN_S, ROUNDS = 200, 2.0, 4
MODELS = ["lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f"]
_PAGE = (
    "import explorer.ui.vote as vote; vote.is_loopback = lambda host: False\n"
    "from explorer.ui.page import serve; serve(None, port={port}, vote=True)"
)


async def exchanged(port: int, method: str, path: str, body: str = "") -> tuple[int, bytes]:
    """One request on a connection of its own: status and answer. By hand, as a client for all ends costs as much CPU as
    what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "connection: close"]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    writer.write("\r\n".join([*lines, "", body]).encode())
    answer = await reader.read(-1)
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer


async def class_of(port: int, room: str, number: int) -> tuple[list[int], list[float]]:
    """All phones within 2 s: statuses of the bets, and ms from asking for the page to the answer to the bet."""

    async def phone(at: int) -> tuple[int, float]:
        await asyncio.sleep(WITHIN_S * at / PHONES)
        since, token = time.perf_counter(), secrets.token_hex(16)
        status, _ = await exchanged(port, "GET", room)
        assert status == 200
        bet = json.dumps({"token": token, "number": number, "choice": 1 + at % 2})
        status, _ = await exchanged(port, "POST", f"{room}/bet", bet)
        return status, 1000 * (time.perf_counter() - since)

    found = await asyncio.gather(*(phone(at) for at in range(PHONES)))
    return [one for one, _ in found], [one for _, one in found]


def dragged(page: Asking, until: threading.Event) -> list[float]:
    """Ms of each answer of a drag, one asked after another."""
    times, step = [], 0
    while not until.is_set():
        step += 1
        # Every place is another, so that nothing is known already.
        move = {"scene": {"label": "star", "seed": secrets.randbelow(10_000)}, "dx": step % 12, "dy": 0}
        since = time.perf_counter()
        page.ask("answer", {"models": MODELS, "question": move})
        times.append(1000 * (time.perf_counter() - since))
    return times


def main() -> None:
    """Serve, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        port, log = free_port(), Path(folder) / "log.txt"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", _PAGE.format(port=port)], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )
        try:
            address = f"http://127.0.0.1:{port}"
            answering(address, process, log)
            print(json.dumps(measured(address)))
        finally:
            process.terminate()
            process.wait(20)


def measured(address: str) -> dict[str, object]:
    """Medians of a drag alone and beside a class that votes, in turn, and how the class fared."""
    page = Asking(address)
    told = httpx.post(f"{address}/vote", json={"base": f"{address}/"}).json()
    room, key = f"{address}/vote/{told['room']}", {"key": told["key"]}
    alone: list[float] = []
    beside: list[float] = []
    phones: list[float] = []
    counted = []
    for _ in range(ROUNDS):
        number = httpx.post(f"{room}/ask", json={**key, "lesson": 0, "step": 0}).json()["number"]
        for times in (alone, beside):
            over = threading.Event()
            drag = threading.Thread(target=lambda: times.extend(dragged(page, over)))  # noqa: B023 - joined below
            drag.start()
            if times is beside:
                statuses, took = run_alone(class_of(urlsplit(address).port or 80, urlsplit(room).path, number))
                assert set(statuses) == {200}, statuses
                phones += took
            else:
                time.sleep(WITHIN_S)
            over.set()
            drag.join()
        counted.append(sum(httpx.post(f"{room}/reveal", json=key).json()["counts"]))
    ways = {"alone": alone[2:], "beside": beside}
    return {
        **{f"drag {name} p50 ms": round(statistics.median(times), 1) for name, times in ways.items()},
        **{f"drag {name} p95 ms": round(statistics.quantiles(times, n=20)[-1], 1) for name, times in ways.items()},
        "ratio of medians": round(statistics.median(beside) / statistics.median(ways["alone"]), 2),
        "phone p50 ms": round(statistics.median(phones), 1),
        "phone p95 ms": round(statistics.quantiles(phones, n=20)[-1], 1),
        "counted": counted,
    }


if __name__ == "__main__":
    main()
