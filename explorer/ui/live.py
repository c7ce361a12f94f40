"""What the browser asks while something moves: answers, whole maps, layers, the example of a block.

These are gradio's ``server_functions``: one plain request and one reply, no queue. Gradio bounds, times and cancels
nothing there, and an error does not reach the browser. So each is worked on in a lane of the `Worker`, ends when its
browser is gone or has asked for something newer, and replies with an envelope:

- asked: ``{page, build, number, asked: {name: value}}``: the page's own token, the build it was made by, a number that
  grows, and the arguments;
- replied: ``{build, request, ok}`` or ``{build, request, error: {kind, template, values}}``, never nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from explorer.messages import Message, apart
from explorer.ui.guard import pathless
from explorer.ui.worker import BUSY, LOOK, SUPERSEDED, Lane, Worker

log = logging.getLogger(__name__)

#: Pages whose latest requests are remembered; the one that asked longest ago goes first.
PAGES = 4096
_TOKEN_CHARS = 40


class Latest:
    """The number of the latest request of each page and kind."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def came(self, page: str, kind: str, number: int) -> bool:
        """Note a request; False where a newer one has come before it."""
        with self._lock:
            newest = max(number, self._numbers.get((page, kind), number))
            self._numbers[page, kind] = newest
            self._numbers.move_to_end((page, kind))
            while len(self._numbers) > PAGES:
                self._numbers.popitem(last=False)
            return number == newest

    def is_latest(self, page: str, kind: str, number: int) -> bool:
        """Whether nothing newer has come since."""
        with self._lock:
            return self._numbers.get((page, kind), number) <= number


class Live:
    """Makes functions that a page's browser can call.

    Args:
        worker: does what is asked.
        build: what the page is made of; a page of another build is told so instead of being answered.
    """

    def __init__(self, worker: Worker, build: str) -> None:
        self.worker, self.build, self.latest = worker, build, Latest()

    def function(self, name: str, lane: Lane, work: Callable[..., Any]) -> Callable[..., Any]:
        """A server function of a plain one, whose parameters are given by their names."""
        parameters = tuple(inspect.signature(work).parameters)

        async def asked(body: Any, request: gr.Request) -> dict[str, Any]:
            number = body.get("number") if isinstance(body, Mapping) else None
            try:
                return self._reply(number, ok=await self._answer(name, lane, work, parameters, body, request))
            except gr.Error as error:
                kind = error.title if error.title in _KINDS else "wrong"
                return self._reply(number, error=_error(kind, error.message))
            except Exception:
                log.exception("answering %s", name)
                return self._reply(number, error=_error("failed", Message("This failed; the server's log says why.")))

        asked.__name__ = name
        # Gradio finds out by it which argument is the request.
        asked.__annotations__ = {"body": Any, "request": gr.Request}
        return asked

    def _reply(self, number: Any, **said: Any) -> dict[str, Any]:
        return {"build": self.build, "request": number if isinstance(number, int) else None, **said}

    async def _answer(
        self, name: str, lane: Lane, work: Callable[..., Any], parameters: tuple[str, ...], body: Any, request: Any
    ) -> Any:
        page, number, given = _checked(body)
        if body.get("build") != self.build:
            raise gr.Error(Message("This page's session has ended; nothing is lost."), title=OLD, print_exception=False)
        if not self.latest.came(page, name, number):
            raise gr.Error("Something newer was asked.", title=SUPERSEDED, print_exception=False)
        gone = False

        async def watch() -> None:
            nonlocal gone
            asker = getattr(request, "request", request)
            while not gone:
                await asyncio.sleep(LOOK)
                gone = await asker.is_disconnected()

        def waits() -> bool:
            return not gone and self.latest.is_latest(page, name, number)

        watching = asyncio.ensure_future(watch())
        try:
            arguments = {one: given.get(one) for one in parameters}
            return await self.worker.once(lane, waits, page, lambda: work(**arguments))
        finally:
            watching.cancel()


#: Title of the error by which a page is told to load itself again.
OLD = "Old"
#: Titles of errors -> what the browser makes of them.
_KINDS = {BUSY: "busy", OLD: "old", SUPERSEDED: "superseded"}


def _error(kind: str, message: str) -> dict[str, Any]:
    """An error as a value: what it says, without paths, for the browser to say in the page's language."""
    return {"kind": _KINDS.get(kind, kind), **apart(pathless(message))}


def _checked(body: Any) -> tuple[str, int, Mapping[str, Any]]:
    """The page's token, the number and the arguments of a request; raises gr.Error."""
    if not isinstance(body, Mapping):
        raise _wrong(f"a request is an object with page, build, number and asked; got {type(body).__name__}")
    page, number, given = body.get("page"), body.get("number"), body.get("asked")
    if not isinstance(page, str) or not 8 <= len(page) <= _TOKEN_CHARS:
        raise _wrong(f"a request's page is a text of 8 to {_TOKEN_CHARS} characters")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53:
        raise _wrong("a request's number is a whole number that grows with every request")
    if not isinstance(given, Mapping):
        raise _wrong("what is asked is an object with the names of the arguments")
    return page, number, given


def _wrong(text: str) -> gr.Error:
    return gr.Error(text, print_exception=False)
