"""What the page does when the server is away, starts anew, is full, busy, slow or out of memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


@pytest.mark.browser
def test_a_server_that_is_killed_and_started_again_is_asked_again_by_itself(chromium: Any, mortal: Server):
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    visit = Visit(page, mortal.address).open()
    visit.idle()
    page.evaluate("window.same = true")
    shifted = page.evaluate("window.shifted")
    mortal.kill()
    says(visit, AWAY)  # without anything having been asked
    assert page.evaluate("window.shifted") == shifted
    assert bar(visit).get_by_role("button", name="Ask again now").is_visible()
    for value in (5, 6, 7, 8):
        visit.sets("move-dx", value)
    page.wait_for_timeout(500)
    assert page.locator(".toast-body").count() == 0
    mortal.start()
    visit.settled("8 px right; rendered anew")
    says(visit, "")
    visit.sets("move-dx", -4)
    visit.settled("4 px left; rendered anew")
    assert page.evaluate("window.same") is True, "the page was loaded anew"
    assert page.locator(".toast-body").count() == 0
    assert own_complaints(visit) == []
    page.close()


@pytest.mark.browser
def test_without_a_network_the_last_that_was_asked_is_asked_when_it_is_back(visit: Visit):
    visit.idle()
    visit.page.route("**/gradio_api/**", lambda route: route.abort())
    visit.sets("move-dx", 3)
    says(visit, AWAY)
    visit.sets("move-dx", 9)
    visit.page.wait_for_timeout(300)
    visit.page.unroute_all()
    joins: list[Any] = []
    visit.page.on("request", lambda request: joins.append(request.post_data_json) if "/join" in request.url else None)
    bar(visit).get_by_role("button", name="Ask again now").click()
    visit.settled("9 px right; rendered anew")
    says(visit, "")
    moves = [one["data"][1]["dx"] for one in joins if len(one["data"]) == 2 and isinstance(one["data"][1], dict)]
    assert moves == [9], "what was asked before the last was asked too"
    assert own_complaints(visit) == []


@pytest.mark.browser
def test_a_full_queue_is_asked_again_and_nothing_piles_up(visit: Visit):
    visit.idle()
    asked: list[float] = []

    def full(route: Any) -> None:
        asked.append(time.monotonic())
        route.fulfill(status=503, json={"detail": "Queue is full. Max size is 64 and size is 64."})

    visit.page.route("**/queue/join*", full)
    for value in range(2, 12):
        visit.sets("move-dx", value)
        visit.page.wait_for_timeout(30)
    says(visit, MANY)
    visit.page.wait_for_timeout(1500)
    assert 2 <= len(asked) <= 3
    visit.page.unroute_all()
    visit.settled("11 px right; rendered anew")
    says(visit, "")
    assert visit.page.locator(".toast-body").count() == 0


def _stream(*messages: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(one, separators=(',', ':'))}\n\n" for one in messages)


def _once(visit: Visit, *messages: dict[str, Any]) -> None:
    """Answer the next request of the page with these messages, and all others by the server."""
    left = ["join", "data"]

    def instead(what: str, answer: Callable[[Any], None]) -> Callable[[Any], None]:
        def route(one: Any) -> None:
            if what in left:
                left.remove(what)
                answer(one)
            else:
                one.continue_()

        return route

    visit.page.route("**/queue/join*", instead("join", lambda one: one.fulfill(json={"event_id": "e1"})))
    visit.page.route(
        "**/queue/data*",
        instead("data", lambda one: one.fulfill(content_type="text/event-stream", body=_stream(*messages))),
    )


@pytest.mark.browser
def test_a_turn_that_did_not_come_is_asked_for_again(visit: Visit):
    visit.idle()
    output = {"error": "Many are asking at once; ask again in a moment.", "title": BUSY, "visible": True}
    _once(
        visit,
        {"msg": "process_completed", "event_id": "e1", "output": output, "success": False},
        {"msg": "close_stream", "event_id": None},
    )
    visit.sets("move-dx", 7)
    says(visit, MANY)
    visit.settled("7 px right; rendered anew")
    says(visit, "")
    assert visit.page.locator(".toast-body").count() == 0
    assert own_complaints(visit) == []


@pytest.mark.browser
def test_what_goes_step_by_step_is_not_begun_again_unasked(visit: Visit):
    visit.idle()
    output = {"data": [{"__type__": "update"}, {"share": 0.2, "model": "lab/conv"}], "is_generating": True}
    _once(visit, {"msg": "process_generating", "event_id": "e1", "output": output, "success": True})
    visit.page.evaluate("explorer.question.set({ method: 'occlusion' }, false)")
    visit.page.locator("#controls .costly button.main").click()
    visit.page.get_by_text("The connection was lost while this was computed. Start it again.").wait_for()
    visit.page.locator("#controls .running").wait_for(state="hidden")


@pytest.mark.browser
def test_a_slow_answer_says_that_it_is_computed(visit: Visit):
    visit.idle()
    held: list[Any] = []
    visit.page.route("**/queue/data*", lambda route: held.append(route), times=1)
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
    visit.page.route("**/queue/join*", lambda route: route.abort())
    visit.page.route("**/gradio_api/app_id", lambda route: route.fulfill(json={"app_id": 1}))
    visit.page.route("**/config", lambda route: route.fulfill(json={"dependencies": []}))
    visit.sets("move-dx", 7)
    says(visit, "This page's session has ended; nothing is lost.")
    visit.page.wait_for_timeout(500)  # the address follows
    visit.page.unroute_all()
    bar(visit).get_by_role("button", name="Reload").click()
    visit.settled("7 px right; rendered anew")


def test_an_answer_that_comes_before_its_name_is_no_loss(visit: Visit):
    """While a stream is open for one request, it may tell of another that is over before that one knows its name."""
    visit.page.get_by_label("Attribution method").select_option("integrated_gradients")
    visit.page.evaluate("explorer.question.set({ parameters: { n_steps: 200 } })")
    visit.idle()

    def late(route: Any) -> None:
        response = route.fetch()
        visit.page.wait_for_timeout(1500)
        route.fulfill(response=response)

    visit.page.evaluate("explorer.compute()")
    visit.page.locator("#controls .running").wait_for()
    visit.page.route("**/queue/join*", late, times=1)
    visit.page.evaluate("explorer.question.set({ pins: [{ x: 0.3, y: 0.3 }] })")
    visit.page.wait_for_function("() => explorer.now.answer.pins[0].x === 0.3")
    visit.page.locator("#controls .running").wait_for(state="hidden")
    visit.sets("move-dx", 5)
    visit.settled("5 px right; rendered anew")
    visit.page.wait_for_timeout(3500)
    says(visit, "")
