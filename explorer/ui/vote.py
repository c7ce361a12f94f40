"""The class vote's own routes: a page of a few kB for phones, and what the lecturer's page asks.

None of it goes through gradio: 200 phones load some kB each, and a drag on the lecturer's page does not wait for them.
Phones get the question of a lesson that is served here and nothing that a visitor wrote.
"""

from __future__ import annotations

import html
import json
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import segno
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from explorer.errors import ParameterError
from explorer.lessons import Lesson, as_json
from explorer.messages import ENGLISH, Message, codes, encoded, message_of, say
from explorer.resources import asset
from explorer.ui import web
from explorer.ui.ballots import Room, Rooms
from explorer.ui.guard import Hosts, Rate, is_loopback

#: Requests a second that one address may send for long, and how many at once: a hall behind one address has hundreds.
RATE, BURST = 150.0, 800.0
#: Votes that one address may open: a second for long, and at once.
OPENING_RATE, OPENING_BURST = 0.1, 8.0
#: Characters of an address that a code is made of.
_MOST_ADDRESS = 300
_NEVER_KEPT = {"cache-control": "no-store"}
_ALIKE = re.compile(r"[a-z]{2,3}")
#: Texts that a phone says by itself, where the server does not answer.
_UNHEARD = Message("The page cannot be reached. It tries again by itself.")

Answering = Callable[[Request], Awaitable[Response]]


def reachable(base: str, hosts: Hosts | None) -> str:
    """The address under which phones find the page.

    Args:
        base: the address under which the lecturer's browser has it.
        hosts: the names of this server; None where the application around the page sees to that.

    Raises:
        ParameterError: it is no address of this server, or one that only this machine reaches.
    """
    parts = urlsplit(base)
    wrong = ParameterError(Message("this is not an address of this page: {address}", address=base[:_MOST_ADDRESS]))
    try:
        name, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not name or "@" in parts.netloc or len(base) > _MOST_ADDRESS:
        raise wrong
    if hosts is not None and not hosts.allows(parts.netloc):
        raise wrong
    path = parts.path.rsplit("/", 1)[0] + "/"
    if not is_loopback(name):
        return f"{parts.scheme}://{parts.netloc}{path}"
    own = None if hosts is None or hosts.loopback else address_in_network()
    if own is None:
        raise ParameterError(
            Message(
                "phones cannot reach {address}, it is this machine alone; start the page with {command}, "
                "or open it by an address that phones reach",
                address=parts.netloc,
                command="explorer serve --vote --host 0.0.0.0",
            )
        )
    return f"{parts.scheme}://{own}{f':{port}' if port else ''}{path}"


def address_in_network() -> str | None:
    """This machine's number in the network that it is on, or None. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # kept for documentation (RFC 5737): nobody has it
            own = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if is_loopback(own) or own == "0.0.0.0" else own


class Voting:
    """Class votes on the questions of some lessons.

    Args:
        lessons: as the page has them, in their order.
    """

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self.rooms = Rooms()
        self._told = {code: [as_json(one, code) for one in lessons] for code in codes()}
        self._rate, self._opening = Rate(RATE, BURST), Rate(OPENING_RATE, OPENING_BURST)

    def routes(self, hosts: Hosts | None) -> list[Route]:
        """The routes that serve them; `hosts` as for `reachable`."""

        async def opened(request: Request) -> Response:
            if not self._opening.admits(_address(request)):
                raise ParameterError(Message("many votes were opened at once; try again in a moment"))
            base = reachable(_text(await _body(request), "base"), hosts)
            room = self.rooms.open()
            address = f"{base}vote/{room.name}"
            code = segno.make(address, error="m", micro=False).svg_data_uri(scale=8, border=3, light="#fff")
            return _json({"room": room.name, "key": room.key, "address": address, "code": code})

        async def asked(request: Request) -> Response:
            room, told = await self._led(request)
            lesson, step = (value if type(value) is int else -1 for value in (told.get("lesson"), told.get("step")))
            found = self._step(ENGLISH, lesson, step)
            if found is None or not found["choices"]:
                raise ParameterError(Message("there is nothing to bet on in this step"))
            return _json({"number": room.ask(lesson, step, len(found["choices"])).number})

        async def counted(request: Request) -> Response:
            room, _ = await self._led(request)
            return _json({"votes": len(room.question.bets) if room.question else 0})

        async def revealed(request: Request) -> Response:
            room, _ = await self._led(request)
            return _json({"counts": room.reveal()})

        async def closed(request: Request) -> Response:
            room, _ = await self._led(request)
            self.rooms.close(room)
            return _json({})

        async def phone(request: Request) -> Response:
            language = language_asked(request.headers.get("accept-language", ""))
            room = self.rooms.find(request.path_params["room"])
            page, status = _page(language, room is not None), 404 if room is None else 200
            # It comes with what is asked now, which saves a request of every phone.
            shown = json.dumps(self._shown(language, room, ""), ensure_ascii=False)
            return HTMLResponse(page.replace("%NOW%", html.escape(shown)), status, headers=_NEVER_KEPT)

        async def now(request: Request) -> Response:
            room = self.rooms.find(request.path_params["room"])
            return self._seen(request, room, request.headers.get("x-ballot", ""))

        async def bet(request: Request) -> Response:
            told = await _body(request)
            room = self.rooms.find(request.path_params["room"])
            token, number, choice = _text(told, "token"), told.get("number"), told.get("choice")
            if room is None:
                return self._seen(request, None, token)
            if type(number) is not int or type(choice) is not int:
                raise ParameterError(Message("a bet is a number"))
            try:
                said = room.bet(token, number, choice)
            except ParameterError as error:
                return self._seen(request, room, token, message_of(error), 409)
            return self._seen(request, room, token, said)

        routes = {
            ("/vote", "POST"): opened,
            ("/vote/{room}", "GET"): phone,
            ("/vote/{room}/now", "GET"): now,
            ("/vote/{room}/bet", "POST"): bet,
            ("/vote/{room}/ask", "POST"): asked,
            ("/vote/{room}/count", "POST"): counted,
            ("/vote/{room}/reveal", "POST"): revealed,
            ("/vote/{room}/close", "POST"): closed,
        }
        return [Route(path, self._bounded(act), methods=[method]) for (path, method), act in routes.items()]

    def _bounded(self, act: Answering) -> Answering:
        """An answer at a bounded rate, and a sentence where it is refused."""

        async def answered(request: Request) -> Response:
            try:
                if not self._rate.admits(_address(request)):
                    return _refused(request, Message("many are asking at once; try again in a moment"), 429)
                return await act(request)
            except ParameterError as error:
                return _refused(request, message_of(error), 400)

        return answered

    async def _led(self, request: Request) -> tuple[Room, Mapping[str, Any]]:
        told = await _body(request)
        return self.rooms.led(request.path_params["room"], _text(told, "key")), told

    def _step(self, language: str, lesson: int, step: int) -> dict[str, Any] | None:
        lessons = self._told[language]
        steps: list[dict[str, Any]] = lessons[lesson]["steps"] if 0 <= lesson < len(lessons) else []
        return steps[step] if 0 <= step < len(steps) else None

    def _seen(self, request: Request, room: Room | None, token: str, said: str = "", status: int = 200) -> Response:
        language = language_asked(request.headers.get("accept-language", ""))
        return _json(self._shown(language, room, token, said), 404 if room is None else status)

    def _shown(self, language: str, room: Room | None, token: str, said: str = "") -> dict[str, Any]:
        """What a phone shows now; it says how things stand, or ``said``."""
        if room is None:
            gone = Message("This vote is over. Scan the code on the screen again if there is a new one.")
            return {"number": 0, "question": "", "choices": [], "own": 0, "said": say(gone, language)}
        question = room.question
        if question is None:
            over = Message("This vote is over: look at the screen, and wait for the next question.")
            next_one = over if room.asked else Message("Wait for the first question.")
            waiting = _whole(said, language) or say(next_one, language)
            return {"number": 0, "question": "", "choices": [], "own": 0, "said": waiting}
        shown = self._step(language, question.lesson, question.step) or {"question": "", "choices": []}
        own = question.bets.get(token, 0)
        if not said:
            counts = Message("Your bet counts: {choice}. You can change it until the answer is shown.", choice=own)
            said = counts if own else Message("What do you bet on?")
        told = {"number": question.number, "question": shown["question"], "choices": shown["choices"], "own": own}
        return {**told, "said": _whole(said, language)}


@lru_cache(maxsize=16)
def _page(language: str, there: bool) -> str:
    """The page that a phone opens."""
    gone = Message("There is no vote here. It is over, or the address was mistyped; scan the code on the screen.")
    texts = {
        "LANGUAGE": language,
        "TITLE": say(Message("Class vote"), language),
        "SAID": "" if there else say(gone, language),
        "CHOICES": say(Message("Your bet"), language),
        "UNHEARD": say(_UNHEARD, language),
        "PRIVATE": say(Message("No name is asked for, and nothing is kept after the vote."), language),
    }
    page = asset("vote", "phone.html").read_text(encoding="utf-8")
    for name, text in texts.items():
        page = page.replace(f"%{name}%", html.escape(text))
    return page.replace("%SCRIPT%", web.files()["phone.js"].plain.decode() if there else "")


def language_asked(header: str) -> str:
    """The first language of an Accept-Language header that there is a catalogue for, or English."""
    for one in header.lower().split(",")[:20]:
        found = _ALIKE.match(one.strip())
        if found and found.group() in codes():
            return found.group()
    return ENGLISH


def _whole(text: str, language: str) -> str:
    """A text as a sentence: errors begin with a small letter, for a terminal."""
    said = say(text, language).strip()
    if not said:
        return ""
    ends = "" if said[-1] in ".?!。？！" else ("。" if language == "zh" else ".")
    return said[0].upper() + said[1:] + ends


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _body(request: Request) -> Mapping[str, Any]:
    """A request's JSON; `Guard` has bounded its length. A stranger's page cannot send this kind without being asked."""
    kind = Headers(scope=request.scope).get("content-type", "").partition(";")[0].strip()
    try:
        told = json.loads(await request.body()) if kind == "application/json" else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ParameterError(Message("a request is a JSON object"))
    return told


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        raise ParameterError(Message("'{name}' is missing in this request", name=name))
    return value


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(value, status, headers=_NEVER_KEPT)


def _refused(request: Request, why: str, status: int) -> Response:
    """A refusal for both readers: the lecturer's page says it in its own language, a phone in that of its browser."""
    language = language_asked(request.headers.get("accept-language", ""))
    return _json({"problem": encoded(why), "said": _whole(why, language)}, status)
