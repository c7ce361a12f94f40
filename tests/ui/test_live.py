"""What the browser asks while something moves: the envelope, what is dropped or refused, and how much is taken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.ui.guard import LIVE_BURST, LIVE_RATE, MAX_LIVE_BYTES, Rate
from explorer.ui.live import Latest, Live
from explorer.ui.worker import BUSY, Lane, Worker, task

from .asking import Asking, run_alone
from .unpack import english

LANE = Lane("tests-of-live", 1, 8, 30)


class Browser:
    """Stands for a request's connection; gone once its browser is."""

    def __init__(self) -> None:
        self.gone = False

    async def is_disconnected(self) -> bool:
        return self.gone


def body(number: int = 1, asked: Any = None, **changed: Any) -> dict[str, Any]:
    return {"page": "page-1234", "build": "b1", "number": number, "asked": asked or {"value": 3}, **changed}


def ask(work: Callable[..., Any], *bodies: Any, browser: Browser | None = None, pause: float = 0.1) -> list[Any]:
    """The replies to requests that come one shortly after the other."""
    function = Live(Worker(), "b1").function("work", LANE, work)

    async def all_of_them() -> list[Any]:
        running = []
        for one in bodies:
            running.append(asyncio.ensure_future(function(one, browser or Browser())))
            await asyncio.sleep(pause)
        return list(await asyncio.gather(*running))

    return run_alone(all_of_them())


def test_an_answer_comes_in_an_envelope_with_the_build_and_the_number_of_its_request():
    assert ask(lambda value: value + 1, body(7)) == [{"build": "b1", "request": 7, "ok": 4}]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ParameterError("dx is a finite number, got inf"), "wrong", "dx is a finite number, got inf"),
        (gr.Error("Many ask.", title=BUSY, print_exception=False), "busy", "Many ask."),
        (ZeroDivisionError("/srv/secret"), "failed", "This failed; the server's log says why."),
    ],
)
def test_an_error_is_a_value(error: Exception, kind: str, said: str):
    def work(value: Any) -> Any:
        assert value == 3
        raise error

    (reply,) = ask(work, body())
    assert reply == {"build": "b1", "request": 1, "error": {"kind": kind, "template": said, "values": {}}}


@pytest.mark.parametrize("file", ["/srv/secret/mine.png", "/srv/a secret/mine.png", "C:\\secret\\mine.png"])
def test_an_error_says_no_place_of_the_server(file: str):
    def filled_in(value: Any) -> Any:
        why = f"see {file.replace(' ', '')}"
        raise ParameterError(Message("'{file}' is {kind}: {why}", file=file, kind=value, why=why))

    def plain(value: Any) -> Any:
        raise ParameterError(f"no {value} '{file}'")

    (reply,) = ask(filled_in, body())
    assert reply["error"]["values"] == {"file": "mine.png", "kind": 3, "why": "see mine.png"}
    (reply,) = ask(plain, body())
    assert reply["error"]["template"] == "no 3 'mine.png'"


def test_a_page_of_another_build_is_told_to_load_itself_again():
    done: list[Any] = []
    (reply,) = ask(done.append, body(build="b0"))
    assert reply["error"]["kind"] == "old"
    assert done == []


@pytest.mark.parametrize(
    "wrong",
    [
        None, "text", [], {}, body(page="short"), body(page="x" * 41), body(page=7), body(number=-1), body(number=True),
        body(number=1.5), body(number="1"), body(number=2**53), {**body(), "asked": None}, {**body(), "asked": [1]},
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_an_envelope(wrong: Any):
    done: list[Any] = []
    (reply,) = ask(done.append, wrong)
    assert reply["error"]["kind"] == "wrong"
    assert reply["build"] == "b1"
    assert done == []


def test_what_is_older_than_what_was_asked_since_is_ended_or_never_begun():
    begun: list[int] = []
    all_asked, ended = threading.Event(), threading.Event()

    def work(value: int) -> int:
        begun.append(value)
        if value > 1:
            return value
        all_asked.wait(20)
        try:
            while True:
                task().check()
                time.sleep(0.01)
        finally:
            ended.set()

    async def asked() -> list[Any]:
        function = Live(Worker(), "b1").function("work", LANE, work)
        running = [asyncio.ensure_future(function(body(1, {"value": 1}), Browser()))]
        while not begun:
            await asyncio.sleep(0.01)
        # The second one waits for the lane's only place while the third one comes.
        for number in (2, 3):
            running.append(asyncio.ensure_future(function(body(number, {"value": number}), Browser())))
            await asyncio.sleep(0.01)
        all_asked.set()
        return list(await asyncio.gather(*running))

    first, second, third = run_alone(asked())
    assert first["error"]["kind"] == second["error"]["kind"] == "superseded"
    assert third["ok"] == 3
    assert begun == [1, 3]
    assert ended.is_set()


def test_what_comes_later_with_a_smaller_number_is_older():
    newest, late = ask(lambda value: value, body(9), body(4), pause=2)
    assert newest["ok"] == 3
    assert late["error"]["kind"] == "superseded"


def test_two_pages_do_not_disturb_each_other():
    one, two = ask(lambda value: value, body(9), body(1, page="another-page"))
    assert (one["ok"], two["ok"]) == (3, 3)


def test_work_ends_when_its_browser_is_gone():
    browser, ended = Browser(), threading.Event()

    def work(value: int) -> None:
        browser.gone = bool(value)
        try:
            while True:
                task().check()
                time.sleep(0.01)
        finally:
            ended.set()

    (reply,) = ask(work, body(), browser=browser)
    assert reply["error"]["kind"] == "superseded"
    assert ended.is_set()


def test_pages_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("explorer.ui.live.PAGES", 2)
    latest = Latest()
    assert latest.came("a", "answer", 5)
    assert not latest.came("a", "answer", 4)
    assert latest.came("a", "bank", 1)
    assert latest.came("b", "answer", 1)
    assert latest.came("a", "answer", 4), "what was forgotten begins anew"


def test_an_address_asks_so_often_and_no_oftener():
    rate = Rate(10, 3)
    assert [rate.admits("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert rate.admits("b", 0.0)
    assert not rate.admits("a", 0.05)
    assert rate.admits("a", 0.2)
    assert sum(rate.admits("a", 100.0) for _ in range(10)) == 3


@pytest.mark.browser
def test_a_served_page_answers_bounds_and_refuses(server: str):
    asking = Asking(server)
    question = {"models": ["lab/conv"], "question": {"scene": {"label": "star"}}}
    reply = asking.ask("answer", question)
    assert set(reply) == {"build", "request", "ok"}
    assert reply["build"] == asking.build
    wrong = asking.ask("answer", {"models": ["lab/conv"] * 7, "question": {}})
    assert english({**wrong["error"]}).startswith("at most 6 models fit side by side")
    assert asking.ask("answer", question, build="other")["error"]["kind"] == "old"
    large = asking.post(asking.body("answer", {"models": ["x" * MAX_LIVE_BYTES]}))
    assert large.status_code == 413
    assert asking.post({"fn_name": "nothing", "component_id": asking.places["answer"], "data": {}}).status_code in (
        400,
        404,
    )
    assert httpx.post(f"{server}/gradio_api/component_server", content=b"{").status_code == 400


def test_a_flood_from_one_address_is_told_to_come_back(tmp_path: Path):
    from .test_trust import serving

    with serving(tmp_path, "['random/test_resnet']") as served:
        asking = Asking(served.address)
        began = time.monotonic()
        # Refused by the page's build, so that none of them costs anything.
        found = [asking.post(asking.body("layers", {}, build="x")).status_code for _ in range(int(LIVE_BURST) + 150)]
        taken = found.count(200)
        assert found.count(429) + taken == len(found)
        assert LIVE_BURST <= taken <= LIVE_BURST + LIVE_RATE * (time.monotonic() - began) + 1
