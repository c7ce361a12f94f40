"""What the page does when the server is away, starts anew, is full, busy, slow or out of memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch

from explorer.models.loading import load
from explorer.models.model import Model
from explorer.ui import answers as shared
from explorer.ui.answers import BUSY, Answers
from explorer.ui.handlers import Handlers

from .conftest import ROOT, answering, free_port
from .unpack import Unpacked
from .visit import Visit

CNN = "random/resnet18"
VIT = "random/vit_tiny_patch16_224"
AWAY = "The server cannot be reached. The page keeps what you see and asks again in"
MANY = "Many are asking at once. The page asks again in"


# ---- in the server


def _failing(model: Model, times: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a model's forward pass run out of memory so many times; returns what counts its passes."""
    forward, passes = model.module.forward, []

    def limited(x: torch.Tensor) -> Any:
        passes.append(len(passes))
        if len(passes) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(x)

    monkeypatch.setattr(model.module, "forward", limited)
    return passes


def test_a_model_that_runs_out_of_memory_says_what_to_do_and_the_others_live_on(monkeypatch: pytest.MonkeyPatch):
    handlers = Handlers(Answers(folders=False, device="cpu"))
    alone = Unpacked(handlers.answer([VIT], {})).data["rows"][0]
    model = handlers.answers.model(CNN)
    assert isinstance(model, Model)
    passes = _failing(model, 10**6, monkeypatch)
    failed, lives = Unpacked(handlers.answer([CNN, VIT], {})).data["rows"]
    assert failed["error"].startswith("the memory of cpu does not suffice for this model; show fewer models")
    assert len(passes) == 2  # once more after everything was forgotten, and no further
    assert lives["predictions"] == alone["predictions"]
    assert len(handlers.answers.models) == 0


def test_memory_that_suffices_once_the_rest_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    handlers = Handlers(Answers(folders=False, device="cpu"))
    model = handlers.answers.model(CNN)
    assert isinstance(model, Model)
    _failing(model, 1, monkeypatch)
    row = Unpacked(handlers.answer([CNN], {})).data["rows"][0]
    monkeypatch.undo()
    assert row["predictions"] == Unpacked(handlers.answer([CNN], {})).data["rows"][0]["predictions"]


def test_a_model_that_does_not_fit_when_it_is_loaded_is_loaded_again(monkeypatch: pytest.MonkeyPatch):
    answers, loads = Answers(folders=False, device="cpu"), []

    def limited(*what: Any) -> Model:
        loads.append(what)
        if len(loads) == 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return load(*what)

    monkeypatch.setattr("explorer.models.store.load", limited)
    assert isinstance(answers.model(CNN), Model)
    assert len(loads) == 2


def test_a_turn_that_does_not_come_is_a_message_by_which_the_page_asks_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared, "PATIENCE", 0.3)
    handlers = Handlers(Answers(folders=False, device="cpu"))
    with handlers.answers.turn, pytest.raises(gr.Error) as error:
        handlers.answer([CNN], {})
    assert error.value.title == BUSY
    assert error.value.message == "Many are asking at once; ask again in a moment."
    assert "error" not in Unpacked(handlers.answer([CNN], {})).data["rows"][0]


# ---- in the browser


class Server:
    """A page's server that can be killed and started again on its port."""

    def __init__(self, log: Path) -> None:
        self.port, self._log = free_port(), log
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        code = f"from explorer.ui.page import serve; serve(['lab/conv'], port={self.port})"
        with self._log.open("a") as log:
            self._process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=log, stderr=log)
        answering(self.address, self._process, self._log)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "log.txt")
    yield server
    server.kill()


def bar(visit: Visit) -> Any:
    return visit.page.locator("#net")


def says(visit: Visit, text: str) -> None:
    """Wait until the bar says this, in sight; "" for no bar."""
    visit.page.wait_for_function(
        """(text) => {
            const bar = document.querySelector("#net");
            const shown = bar && getComputedStyle(bar).display !== "none";
            return text ? shown && bar.querySelector("p").textContent.startsWith(text) : !shown;
        }""",
        arg=text,
    )


def own_complaints(visit: Visit) -> list[str]:
    """What the console says beside the browser's own lines about requests that failed."""
    return [line for line in visit.complaints if not line.startswith("Failed to load resource")]


#: Where the page asks while something moves, and where it asks whether the server is there.
LIVE, THERE = "**/gradio_api/component_server**", "**/web/*/build"


@pytest.mark.browser
def test_a_server_that_is_killed_and_started_again_is_asked_again_by_itself(chromium: Any, mortal: Server):
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    visit = Visit(page, mortal.address).open()
    visit.idle()
    page.evaluate("window.same = true")
    shifted = page.evaluate("window.shifted")
    mortal.kill()
    visit.sets("move-dx", 4)
    says(visit, AWAY)
    assert page.evaluate("window.shifted") == shifted
    assert bar(visit).get_by_role("button", name="Ask again now").is_visible()
    for value in (5, 6, 7, 8):
        visit.sets("move-dx", value)
    page.wait_for_timeout(500)
    assert page.get_by_role("alert").locator("visible=true").count() == 0
    mortal.start()
    visit.settled("8 px right; rendered anew")
    says(visit, "")
    visit.sets("move-dx", -4)
    visit.settled("4 px left; rendered anew")
    assert page.evaluate("window.same") is True, "the page was loaded anew"
    assert page.get_by_role("alert").locator("visible=true").count() == 0
    assert own_complaints(visit) == []
    page.close()


def asked_of(request: Any) -> dict[str, Any]:
    """What a live request asks for."""
    found: dict[str, Any] = request.post_data_json["data"]["asked"]
    return found


@pytest.mark.browser
def test_without_a_network_the_last_that_was_asked_is_asked_when_it_is_back(visit: Visit):
    visit.idle()
    for address in (LIVE, THERE):
        visit.page.route(address, lambda route: route.abort())
    visit.sets("move-dx", 3)
    says(visit, AWAY)
    visit.sets("move-dx", 9)
    visit.page.wait_for_timeout(300)
    visit.page.unroute_all()
    sent: list[Any] = []
    visit.page.on("request", lambda one: sent.append(asked_of(one)) if "component_server" in one.url else None)
    bar(visit).get_by_role("button", name="Ask again now").click()
    visit.settled("9 px right; rendered anew")
    says(visit, "")
    moves = [one["question"]["dx"] for one in sent if "models" in one]
    assert moves == [9], "what was asked before the last was asked too"
    assert own_complaints(visit) == []


@pytest.mark.browser
def test_a_full_server_is_asked_again_and_nothing_piles_up(visit: Visit):
    visit.idle()
    asked: list[float] = []

    def full(route: Any) -> None:
        asked.append(time.monotonic())
        route.fulfill(status=429, json={"detail": "Many are asking at once; ask again in a moment."})

    visit.page.route(LIVE, full)
    for value in range(2, 12):
        visit.sets("move-dx", value)
        visit.page.wait_for_timeout(30)
    says(visit, MANY)
    visit.page.wait_for_timeout(1500)
    assert 2 <= len(asked) <= 4
    visit.page.unroute_all()
    visit.settled("11 px right; rendered anew")
    says(visit, "")
    assert visit.page.get_by_role("alert").locator("visible=true").count() == 0


@pytest.mark.browser
def test_a_turn_that_did_not_come_is_asked_for_again(visit: Visit):
    visit.idle()
    error = {"kind": "busy", "template": "Many are asking at once; ask again in a moment.", "values": {}}
    visit.page.route(LIVE, lambda one: one.fulfill(json={"build": "", "request": 1, "error": error}), times=1)
    visit.sets("move-dx", 7)
    says(visit, MANY)
    visit.settled("7 px right; rendered anew")
    says(visit, "")
    assert visit.page.get_by_role("alert").locator("visible=true").count() == 0
    assert own_complaints(visit) == []


@pytest.mark.browser
def test_what_is_wrong_with_a_question_is_said_in_the_head_of_the_page(visit: Visit):
    visit.idle()
    visit.page.evaluate("explorer.question.set({ parameters: { nothing: 1 } })")
    said = visit.page.locator("#masthead .notice")
    said.wait_for()
    assert "nothing" in said.inner_text()
    visit.page.evaluate("explorer.question.set({ parameters: {}, dx: 3 })")
    visit.settled("3 px right; rendered anew")


@pytest.mark.browser
def test_a_slow_answer_says_that_it_is_computed(visit: Visit):
    visit.idle()
    held: list[Any] = []
    visit.page.route(LIVE, lambda route: held.append(route), times=1)
    shifted = visit.page.evaluate("window.shifted")
    visit.sets("move-dx", 6)
    visit.page.wait_for_timeout(1500)
    says(visit, "")
    says(visit, "Still computing: ")
    assert not bar(visit).get_by_role("button").first.is_visible()
    assert visit.page.evaluate("window.shifted") == shifted
    (route,) = held
    route.continue_()
    visit.settled("6 px right; rendered anew")
    says(visit, "")


@pytest.mark.browser
def test_a_server_with_another_page_asks_to_load_it(visit: Visit):
    visit.sets("move-dx", 5)
    visit.settled("5 px right; rendered anew")
    visit.idle()
    visit.page.route(LIVE, lambda route: route.abort())
    visit.page.route(THERE, lambda route: route.fulfill(body="another"))
    visit.sets("move-dx", 7)
    says(visit, "This page's session has ended; nothing is lost.")
    visit.page.wait_for_timeout(500)  # the address follows
    visit.page.unroute_all()
    bar(visit).get_by_role("button", name="Reload").click()
    visit.settled("7 px right; rendered anew")
