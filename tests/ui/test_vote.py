"""The class vote: bets and their sentences, its routes asked from outside, and a class with phones in real browsers."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from explorer.errors import ParameterError
from explorer.lessons import as_json, shipped
from explorer.ui import ballots, vote, web
from explorer.ui.ballots import Rooms
from explorer.ui.guard import MAX_VOTE_BYTES, Guard, Hosts
from explorer.ui.vote import Voting, language_asked, reachable

from .asking import run_alone
from .conftest import _serving
from .test_lecture import WIDE
from .test_lecture import visit as visit_lecture

ONE, TWO = "a" * 32, "b" * 32
PHONES, WITHIN_S = 200, 2.0


# ---- bets


def test_one_bet_a_phone_and_a_later_one_replaces_it() -> None:
    room = Rooms().open()
    number = room.ask(0, 0, 3).number
    assert room.bet(ONE, number, 2) == "Your bet counts: 2."
    assert room.bet(ONE, number, 2) == "Your bet 2 was counted already; it counts once."
    assert room.bet(ONE, number, 3) == "Your bet is now 3; the earlier one no longer counts."
    assert room.bet(TWO, number, 3) == "Your bet counts: 3."
    assert room.reveal() == [0, 0, 2]


def test_after_the_reveal_nothing_is_kept_and_a_late_bet_is_told() -> None:
    rooms = Rooms()
    room = rooms.open()
    number = room.ask(0, 0, 2).number
    room.bet(ONE, number, 1)
    assert room.reveal() == [1, 0]
    assert ONE not in repr(vars(rooms)) + repr(room)
    with pytest.raises(ParameterError, match="too late, this vote is over"):
        room.bet(TWO, number, 1)
    with pytest.raises(ParameterError, match="no vote is open"):
        room.reveal()
    # A bet on the question before is none on the next.
    room.ask(0, 1, 2)
    with pytest.raises(ParameterError, match="too late"):
        room.bet(TWO, number, 1)
    assert room.reveal() == [0, 0]


@pytest.mark.parametrize(
    ("token", "choice", "why"),
    [
        ("", 1, "told from others"),
        ("A" * 32, 1, "told from others"),
        ("a" * 33, 1, "told from others"),
        (ONE, 0, "answers are 1 to 2, got 0"),
        (ONE, 3, "answers are 1 to 2, got 3"),
    ],
)
def test_what_is_no_bet_is_told(token: str, choice: int, why: str) -> None:
    room = Rooms().open()
    number = room.ask(0, 0, 2).number
    with pytest.raises(ParameterError, match=why):
        room.bet(token, number, choice)
    assert room.reveal() == [0, 0]


def test_bets_and_rooms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(ballots, "MOST_BETS", 1)
    rooms = Rooms(lambda: now)
    room = rooms.open()
    number = room.ask(0, 0, 2).number
    room.bet(ONE, number, 1)
    with pytest.raises(ParameterError, match="1 phones have bet, more are not counted"):
        room.bet(TWO, number, 1)
    room.bet(ONE, number, 2)  # a change is no further bet
    for _ in range(ballots.MOST_ROOMS - 1):
        rooms.open()
    with pytest.raises(ParameterError, match="classes vote here already"):
        rooms.open()
    now = ballots.YIELDED_S + 1
    rooms.led(room.name, room.key)
    rooms.open()  # in the place of those that nobody leads any more
    assert rooms.find(room.name) is room
    now += ballots.FORGOTTEN_S + 1
    assert rooms.find(room.name) is None


# ---- routes


@pytest.fixture
def client() -> TestClient:
    hosts = Hosts("0.0.0.0")
    routes = Voting(shipped()).routes(hosts)
    app = Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)])
    return TestClient(app, base_url="http://192.0.2.7:7860")


def opened(client: TestClient) -> tuple[str, str]:
    """The path of a new room, and its key."""
    told = client.post("/vote", json={"base": "http://192.0.2.7:7860/"}).json()
    assert told["address"] == f"http://192.0.2.7:7860/vote/{told['room']}"
    assert told["code"].startswith("data:image/svg+xml")
    return f"/vote/{told['room']}", told["key"]


def test_a_class_votes_and_only_its_leader_sees_on_what(client: TestClient) -> None:
    room, key = opened(client)
    now = client.get(f"{room}/now").json()
    assert (now["number"], now["said"]) == (0, "Wait for the first question.")
    number = client.post(f"{room}/ask", json={"key": key, "lesson": 0, "step": 0}).json()["number"]
    step = as_json(shipped()[0])["steps"][0]
    now = client.get(f"{room}/now", headers={"x-ballot": ONE}).json()
    assert (now["number"], now["question"], now["choices"], now["own"]) == (
        number,
        step["question"],
        step["choices"],
        0,
    )
    told = client.post(f"{room}/bet", json={"token": ONE, "number": number, "choice": 2})
    assert (told.status_code, told.json()["own"], told.json()["said"]) == (200, 2, "Your bet counts: 2.")
    # After a reload the phone is told what it bet on.
    again = client.get(f"{room}/now", headers={"x-ballot": ONE}).json()
    assert (again["own"], again["said"]) == (2, "Your bet counts: 2. You can change it until the answer is shown.")
    # Before the reveal nobody is told more than how many have bet.
    assert client.post(f"{room}/count", json={"key": key}).json() == {"votes": 1}
    for path in ("count", "reveal", "close", "ask"):
        refused = client.post(f"{room}/{path}", json={"key": "0" * 32, "lesson": 0, "step": 0})
        assert (refused.status_code, "counts" in refused.json()) == (400, False)
    assert client.post(f"{room}/reveal", json={"key": key}).json() == {"counts": [0, 1]}
    late = client.post(f"{room}/bet", json={"token": TWO, "number": number, "choice": 1})
    assert (late.status_code, late.json()["said"]) == (409, "Too late, this vote is over; wait for the next question.")
    assert client.post(f"{room}/close", json={"key": key}).status_code == 200
    gone = client.post(f"{room}/bet", json={"token": TWO, "number": number, "choice": 1})
    assert (gone.status_code, "This vote is over" in gone.json()["said"]) == (404, True)
    assert client.get(room).status_code == 404


def test_a_phone_is_answered_in_its_own_language(client: TestClient) -> None:
    room, key = opened(client)
    number = client.post(f"{room}/ask", json={"key": key, "lesson": 0, "step": 0}).json()["number"]
    bet = {"token": ONE, "number": number, "choice": 1}
    told = client.post(f"{room}/bet", json=bet, headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}).json()
    step = as_json(shipped()[0], "zh")["steps"][0]
    assert told["question"] == step["question"] != as_json(shipped()[0])["steps"][0]["question"]
    assert "Your bet" not in told["said"]
    assert "1" in told["said"]
    assert [language_asked(one) for one in ("zh-TW", "de,zh;q=0.5", "de", "", "*", "x" * 99)] == [
        *("zh", "zh"),
        *("en",) * 4,
    ]


def test_the_page_of_a_phone_is_small_and_by_itself(client: TestClient) -> None:
    room, _ = opened(client)
    page = client.get(room)
    assert page.status_code == 200
    assert len(page.content) < 10_000
    assert "%" + "SCRIPT" not in page.text
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) == {"data:,"}
    assert "link" not in page.headers
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{", "application/json"),
        ("[1]", "application/json"),
        ("{}", "application/json"),
        ('{"base": 3}', "application/json"),
        ('{"base": "http://192.0.2.7/"}', "text/plain"),  # as a stranger's page can send it unasked
        ('{"base": "javascript:alert(1)"}', "application/json"),
        ('{"base": "http://elsewhere.example/"}', "application/json"),
        ('{"base": "http://192.0.2.7:99999/"}', "application/json"),
        ('{"base": "http://user@192.0.2.7/"}', "application/json"),
    ],
)
def test_bad_requests_are_refused_with_a_sentence(client: TestClient, body: str, kind: str) -> None:
    answer = client.post("/vote", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["said"] if "said" in answer.json() else answer.json()["detail"]


@pytest.mark.parametrize("place", [(-1, 0), (0, 99), (99, 0), (True, 0), ("0", 0), (None, None), (0, 0.5)])
def test_only_questions_of_the_lessons_can_be_asked(client: TestClient, place: tuple[Any, Any]) -> None:
    room, key = opened(client)
    answer = client.post(f"{room}/ask", json={"key": key, "lesson": place[0], "step": place[1]})
    assert answer.status_code == 400
    assert "nothing to bet on" in answer.json()["said"]


def test_body_rate_and_host_are_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    room, _ = opened(client)
    assert client.post(f"{room}/bet", json={"token": "a" * MAX_VOTE_BYTES}).status_code == 413
    foreign = client.get(room, headers={"host": "stranger.example"})
    assert foreign.status_code == 421
    statuses = {client.post("/vote", json={"base": "http://192.0.2.7:7860/"}).status_code for _ in range(20)}
    assert statuses == {200, 400}  # the sentence says that many votes were opened
    monkeypatch.setattr(vote, "BURST", 5.0)
    monkeypatch.setattr(vote, "RATE", 0.001)
    few = TestClient(Starlette(routes=Voting(shipped()).routes(None)))
    assert [few.get("/vote/abcde/now").status_code for _ in range(7)] == [404] * 5 + [429] * 2


def test_phones_are_led_to_an_address_that_they_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all = Hosts("0.0.0.0", ["lecture.example"])
    monkeypatch.setattr(vote, "address_in_network", lambda: "192.0.2.9")
    assert reachable("http://192.0.2.7:7860/a/b?x=1", open_to_all) == "http://192.0.2.7:7860/a/"
    assert reachable("https://lecture.example/", open_to_all) == "https://lecture.example/"
    assert reachable("http://localhost:7860/", open_to_all) == "http://192.0.2.9:7860/"
    monkeypatch.setattr(vote, "address_in_network", lambda: None)
    for hosts in (Hosts("127.0.0.1"), open_to_all, None):
        with pytest.raises(ParameterError, match="this machine alone; start the page with explorer serve --vote"):
            reachable("http://127.0.0.1:7860/", hosts)


def test_without_the_flag_there_is_no_vote() -> None:
    from explorer.ui.page import build

    page = build(["lab/conv"])
    assert page.voting is None
    assert not [one for one in page.served(None)["app_kwargs"]["routes"] if "vote" in one.path]
    assert "phone.js" in web.files()


# ---- in browsers


@pytest.fixture(scope="module")
def voting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # The browser is on this machine: what it has for an address would be refused, as phones cannot reach it.
    lines = "import explorer.ui.vote as vote; vote.is_loopback = lambda host: False\n"
    with _serving(tmp_path_factory, "None, vote=True", lines) as address:
        yield address


@pytest.mark.browser
def test_a_class_votes_by_phone(chromium: Any, voting_server: str) -> None:
    for lecture in visit_lecture(chromium, voting_server, WIDE):
        page = lecture.open("equivariance-invariance-aliasing", 2).page
        page.keyboard.press("v")
        address = page.locator("#class-vote .address")
        page.wait_for_function("document.querySelector('#class-vote .address').textContent")
        assert page.get_by_role("img", name="A code that opens").is_visible()
        where = f"http://{address.inner_text()}"
        assert urlsplit(where).netloc == urlsplit(voting_server).netloc
        context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
        phone = context.new_page()
        sent: list[str] = []
        phone.on("request", lambda request, sent=sent: sent.append(request.url))
        phone.goto(where)
        phone.locator("#choices button").nth(1).wait_for()
        assert phone.locator("#question").inner_text() == as_json(shipped()[1], "zh")["steps"][1]["question"]
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        phone.keyboard.press("2")
        phone.locator("#choices button[aria-pressed=true]").wait_for()
        page.get_by_role("status").filter(has_text=re.compile(r"^1 vote$")).wait_for()
        assert page.locator("#lecture .bets").count() == 0
        # A reloaded phone has the same vote, and its bet counts once.
        phone.reload()
        phone.locator("#choices button[aria-pressed=true]").wait_for()
        phone.locator("#choices button").nth(0).click()
        phone.wait_for_function("document.querySelector('#choices button').ariaPressed === 'true'")
        page.keyboard.press("v")
        assert not page.locator("#class-vote").is_visible()
        assert page.locator("#lecture .betting .votes").is_visible()
        lecture.press("Enter")
        page.locator("#lecture .bets").first.wait_for()
        assert page.locator("#lecture .bets").all_inner_texts() == ["1 of 1", "0 of 1", "0 of 1"]
        # The phone goes along: it waits, and has the next question once that is asked.
        phone.locator("#choices:empty").wait_for(state="attached")
        lecture.press("ArrowRight")
        phone.locator("#choices button").nth(1).wait_for()
        assert phone.locator("#question").inner_text() == as_json(shipped()[1], "zh")["steps"][2]["question"]
        # Taken back, the counts stay what they were and are covered again.
        lecture.press("ArrowLeft")
        assert page.locator("#lecture .bets").count() == 0
        lecture.press("Enter")
        assert page.locator("#lecture .bets").all_inner_texts() == ["1 of 1", "0 of 1", "0 of 1"]
        page.keyboard.press("v")
        page.get_by_role("button", name="End the vote").click()
        page.locator("#class-vote").wait_for(state="hidden")
        assert httpx.get(where).status_code == 404
        assert not [url for url in sent if not url.startswith(where)]
        context.close()


@pytest.mark.browser
def test_where_phones_cannot_reach_the_page_it_says_what_to_do(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with _serving(tmp_path_factory, "None, vote=True") as address:
        for lecture in visit_lecture(chromium, address, WIDE):
            page = lecture.open("scale", 1).page
            page.get_by_role("button", name="Class vote").click()
            page.get_by_role("alert").filter(has_text="explorer serve --vote --host 0.0.0.0").wait_for()
            assert not page.locator("#class-vote img").is_visible()


@pytest.mark.browser
def test_the_page_without_the_flag_has_no_button(chromium: Any, server: str) -> None:
    for lecture in visit_lecture(chromium, server, WIDE):
        page = lecture.open("scale", 1).page
        assert page.get_by_role("button", name="Class vote").count() == 0
        page.keyboard.press("v")
        assert page.locator("#class-vote").count() == 0


# ---- a whole class at once


async def everybody(room: str, number: int, phones: int) -> tuple[list[int], float]:
    """Load the page, look and bet, all phones at once; statuses, and seconds in all."""
    # A server closes a connection that is idle for five seconds, which a busy machine may leave it; browsers then ask
    # again on another, httpx does not. So no connection is used twice.
    limits = httpx.Limits(max_connections=phones, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def phone(at: int) -> int:
            token = secrets.token_hex(16)
            assert (await client.get(room)).status_code == 200
            assert (await client.get(f"{room}/now", headers={"x-ballot": token})).status_code == 200
            bet = {"token": token, "number": number, "choice": 1 + at % 2}
            return (await client.post(f"{room}/bet", json=bet)).status_code

        since = time.perf_counter()
        statuses = await asyncio.gather(*(phone(at) for at in range(phones)))
    return list(statuses), time.perf_counter() - since


def test_every_phone_of_a_large_class_is_counted(voting_server: str) -> None:
    told = httpx.post(f"{voting_server}/vote", json={"base": f"{voting_server}/"}).json()
    room, key = f"{voting_server}/vote/{told['room']}", {"key": told["key"]}
    number = httpx.post(f"{room}/ask", json={**key, "lesson": 0, "step": 0}).json()["number"]
    statuses, _ = run_alone(everybody(room, number, PHONES))
    assert statuses == [200] * PHONES
    assert httpx.post(f"{room}/reveal", json=key).json() == {"counts": [PHONES // 2] * 2}
