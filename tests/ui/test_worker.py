"""The page's worker: lanes that do not close each other, work that ends when nobody listens, and time limits."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest
from starlette.middleware import Middleware

from explorer.errors import Cancelled, ParameterError
from explorer.messages import Message, listed
from explorer.ui.listening import Listening
from explorer.ui.worker import AT_ONCE, BUSY, Lane, Worker, sentence, task, told

from .conftest import free_port

SLOW, QUICK, SHORT = Lane("slow", 1, 3, 60), Lane("quick", 2, 4, 60), Lane("short", 1, 1, 0.5)


class Site:
    """A small page whose events are held up and counted by the test."""

    def __init__(self) -> None:
        self.go_on, self.begun, self.ended = threading.Event(), [], []
        listening = Listening()
        worker = Worker(listening)
        with gr.Blocks() as page:
            box = gr.Textbox()
            for name, lane, work in (
                ("slow", SLOW, self.slow),
                ("quick", QUICK, self.quick),
                ("short", SHORT, self.slow),
                ("steps", SLOW, self.steps),
                ("wrong", QUICK, self.wrong),
            ):
                gr.on([box.change], worker.event(lane, work), inputs=box, outputs=box, api_name=name)
        page.queue(max_size=1024, default_concurrency_limit=None)
        self.port = free_port()
        page.launch(
            server_port=self.port,
            prevent_thread_lock=True,
            quiet=True,
            max_threads=AT_ONCE,
            app_kwargs={"middleware": [Middleware(listening)]},
        )
        self.page = page
        self.functions = {one["api_name"]: one["id"] for one in page.config["dependencies"]}

    def slow(self, text: str) -> str:
        """Wait until the test lets it go on, or nobody waits."""
        self.begun.append(text)
        try:
            while not self.go_on.wait(0.05):
                task().check()
        except Cancelled:
            self.ended.append(text)
            raise
        return text.upper()

    def quick(self, text: str) -> str:
        return text.upper()

    def steps(self, text: str) -> Iterator[str]:
        self.begun.append(text)
        try:
            for number in range(1000):
                yield f"{text} {number} {threading.get_ident()}"
                time.sleep(0.05)
        finally:
            self.ended.append(text)

    def wrong(self, text: str) -> str:
        raise ParameterError(f"'{text}' is <wrong>")

    def join(self, name: str, text: str) -> str:
        """Ask; returns the session."""
        session = uuid.uuid4().hex[:10]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = {"data": [text], "fn_index": self.functions[name], "session_hash": session}
        connection.request("POST", "/gradio_api/queue/join", json.dumps(body), {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        return session

    def listen(self, session: str, until: Callable[[dict[str, Any]], bool] = lambda _: False) -> list[dict[str, Any]]:
        """Hear what comes, to the end or until a message."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        heard = []
        for line in connection.getresponse():
            if line.startswith(b"data:"):
                heard.append(json.loads(line[5:]))
                if heard[-1]["msg"] == "close_stream" or until(heard[-1]):
                    break
        connection.close()
        return heard

    def ask(self, name: str, text: str) -> dict[str, Any]:
        """The output of one request."""
        return next(one for one in self.listen(self.join(name, text)) if one["msg"] == "process_completed")


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.go_on.set()
    made.page.close()


def soon(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_flood_of_one_kind_is_told_to_come_back_and_closes_no_other(site: Site) -> None:
    with ThreadPoolExecutor(72) as pool:
        flood = [pool.submit(site.ask, "slow", f"a{number}") for number in range(72)]
        soon(lambda: sum(one.done() for one in flood) >= 72 - SLOW.at_once - SLOW.waiting)
        turned_away = [one.result()["output"] for one in flood if one.done()]
        assert {one["title"] for one in turned_away} == {BUSY}
        began = time.monotonic()
        assert site.ask("quick", "other")["output"]["data"] == ["OTHER"]
        assert time.monotonic() - began < 5
        assert len(site.begun) == SLOW.at_once
        site.go_on.set()
        done = [one.result()["output"] for one in flood]
    assert sum("data" in one for one in done) == SLOW.at_once + SLOW.waiting


def test_work_ends_when_its_visitor_is_gone_and_what_waits_is_never_begun(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.ui.listening.SILENCE", 0.5)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.ask, "slow", "first")
        soon(lambda: site.begun == ["first"])
        site.listen(site.join("slow", "left"), until=lambda one: one["msg"] == "process_starts")
        site.join("slow", "unheard")
        time.sleep(1.5)  # longer than the silence that ends work: somebody listens to the first
        site.go_on.set()
        assert first.result()["output"]["data"] == ["FIRST"]
        assert site.ask("slow", "next")["output"]["data"] == ["NEXT"]
        assert site.begun == ["first", "next"]
        site.go_on.clear()
        site.listen(site.join("slow", "gone"), until=lambda one: one["msg"] == "process_starts")
        soon(lambda: site.ended == ["gone"])
        site.go_on.set()
        assert site.ask("slow", "last")["output"]["data"] == ["LAST"]


def test_steps_come_from_one_thread_and_end_with_their_listener(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.ui.listening.SILENCE", 0.5)
    heard: list[str] = []

    def enough(one: dict[str, Any]) -> bool:
        if one["msg"] == "process_generating":
            heard.append(str(one["output"]["data"][0]))
        return len(heard) >= 2

    site.listen(site.join("steps", "s"), until=enough)
    soon(lambda: site.ended == ["s"])


def test_what_takes_too_long_is_ended_with_a_sentence(site: Site) -> None:
    output = site.ask("short", "long")["output"]
    assert output["error"].startswith("This took longer than 0 seconds and was ended")


def test_a_complaint_is_a_message_without_markup(site: Site) -> None:
    output = site.ask("wrong", "x")["output"]
    assert output["error"] == "'x' is ‹wrong›"


def test_the_other_way_to_ask_is_heard_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.ui.listening.SILENCE", 0.5)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    headers = {"content-type": "application/json"}
    connection.request("POST", "/gradio_api/call/slow", json.dumps({"data": ["call"]}), headers)
    name = json.loads(connection.getresponse().read())["event_id"]
    threading.Timer(1.5, site.go_on.set).start()
    connection.request("GET", f"/gradio_api/call/slow/{name}")
    assert b'["CALL"]' in connection.getresponse().read()


def test_progress_told_to_a_function_comes_as_steps_and_closing_ends_the_work() -> None:
    ended = threading.Event()

    def work(tell: Callable[[int], None]) -> None:
        try:
            for number in range(10**6):
                tell(number)
                time.sleep(0.001)
        finally:
            ended.set()

    running = told(work)
    assert next(running) >= 0
    running.close()
    assert ended.wait(5)

    def failing(tell: Callable[[int], None]) -> None:
        tell(1)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(told(failing))


def test_an_answer_that_nobody_hears_is_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.ui.listening.SILENCE", 0.5)
    site.go_on.set()
    session = site.join("slow", "unheard " * 1000)
    soon(lambda: bool(site.begun))
    time.sleep(1.5)
    (end,) = (one for one in site.listen(session) if one["msg"] == "process_completed")
    assert end["output"]["error"] == "Nobody waited for this any more."


def test_a_sentence_begins_with_a_capital_but_a_file_stays_as_it_is() -> None:
    assert sentence("at most six fit", "en") == "At most six fit"
    assert sentence(Message("at most {n} fit", n=6), "en") == "At most 6 fit"
    assert sentence(Message("{file} is empty", file="cut.png"), "en") == "cut.png is empty"
    assert sentence(Message("{what} is empty", what=Message("no picture")), "en") == "No picture is empty"
    assert sentence(Message("{field} is 3", field="noise"), "en") == "Noise is 3"
    named = listed([Message("{model} is unknown", model="lab/b"), "choose another"], "{first}; {rest}")
    assert sentence(named, "en") == "lab/b is unknown; choose another"
