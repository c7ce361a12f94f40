"""One server for all browser tests, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .modules import Chromium
from .visit import Visit

PLAIN_MODELS = ("random/vit_tiny_patch16_224", "random/resnet18+mhsa@3")
FITTED_SPEC = "random/test_resnet+coord@3"
ROOT = Path(__file__).resolve().parents[2]
# The shell has no windows to draw, and so opens a page in half the time.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    """A port that stays free while a server begins: none of those that the system gives to connections."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page as anybody gets it: the models of the first view, on a loopback address."""
    with _serving(tmp_path_factory, "None") as address:
        yield address


@pytest.fixture(scope="session")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page that was started with two models of photographs."""
    with _serving(tmp_path_factory, repr(PLAIN_MODELS)) as address:
        yield address


def answering(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; one that ends before fails the test with the end of its log."""
    deadline = time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the page did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)


@contextmanager
def running(code: str, folder: Path, path: str = "/", **values: Any) -> Iterator[str]:
    """A server in a process of its own; its address."""
    port, log = free_port(), folder / f"log-{free_port()}.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code.format(port=port, **values)], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        answering(f"http://127.0.0.1:{port}{path}", process, log)
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _serving(tmp_path_factory: pytest.TempPathFactory, models: str, before: str = "") -> Iterator[str]:
    code = f"{before}from explorer.ui.page import serve; serve({models}, port={{port}})"
    with running(code, tmp_path_factory.mktemp("server"), path="") as address:
        yield address


@pytest.fixture(scope="session")
def fitted_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What explorer fit writes, after next to no training, but enough that the block's gate has opened."""
    from explorer.lab.fit_data import FitRecipe
    from explorer.lab.fitting import fit

    made = fit(FITTED_SPEC, recipe=FitRecipe(epochs=2, scenes=128, batch=16, rate=0.002), device="cpu")
    assert made.record["best_epoch"] > 0
    return made.save(tmp_path_factory.mktemp("fit") / "fitted.safetensors")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A real browser; without one the tests are skipped, but never in CI."""
    try:
        from playwright.sync_api import Error, sync_playwright

        with sync_playwright() as playwright:
            try:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            except Error as error:
                _missing(str(error))
            yield Chromium(browser)
            browser.close()
    except ImportError as error:
        _missing(str(error))


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Chromium to test the page with: {reason}")
    pytest.skip(f"no Chromium to test the page with: {reason[:200]}")


@pytest.fixture
def visit(chromium: Any, server: str) -> Iterator[Visit]:
    """The page as it opens: a scene and the laboratory's models."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    yield Visit(page, server).open()
    page.close()


@pytest.fixture
def plain(chromium: Any, plain_server: str) -> Iterator[Visit]:
    """The page with a photograph and two models of photographs."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    yield Visit(page, plain_server).open()
    page.close()
