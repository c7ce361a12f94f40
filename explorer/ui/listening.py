"""Who listens for the answers of gradio's events: work that nobody waits for is ended."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any

import gradio as gr
from starlette.types import ASGIApp, Receive, Scope, Send

#: Seconds without anybody listening after which a request counts as given up: a page that lost its connection is back
#: by then.
SILENCE = 5.0


class Listening:
    """Who is listening for answers; a piece of ASGI middleware that sees gradio's streams begin and end."""

    def __init__(self) -> None:
        self._streams: dict[str, int] = {}
        self._silent_since: dict[str, float] = {}

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "") if scope["type"] == "http" else ""
            if scope.get("method") == "POST" and path.rstrip("/").rpartition("/")[0].endswith(("/queue", "/call")):
                await self._asked(app, scope, receive, send)
                return
            name = ""
            if path.endswith("/queue/data"):
                query = dict(part.split("=", 1) for part in scope["query_string"].decode().split("&") if "=" in part)
                name = query.get("session_hash", "")
            elif "/call/" in path and scope["method"] == "GET":
                name = path.rstrip("/").rpartition("/")[2]
            if not name:
                await app(scope, receive, send)
                return
            self._streams[name] = self._streams.get(name, 0) + 1
            try:
                await app(scope, receive, send)
            finally:
                self._streams[name] -= 1
                if not self._streams[name]:
                    del self._streams[name]
                    self._now_silent(name)

        return watched

    async def _asked(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """A request is posted; its event's name, by which some listen, is known from the answer."""
        said = scope["explorer.event"] = {"name": ""}
        told = bytearray()

        async def seen(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body" and len(told) < 200:
                told.extend(message.get("body", b""))
                if b'"event_id":"' in told:
                    said["name"] = bytes(told).partition(b'"event_id":"')[2].partition(b'"')[0].decode("latin-1")
            await send(message)

        await app(scope, receive, seen)

    def _now_silent(self, name: str) -> None:
        now = time.monotonic()
        self._silent_since = {one: since for one, since in self._silent_since.items() if now - since < 60 * SILENCE}
        self._silent_since[name] = now

    def hears(self, request: gr.Request) -> bool:
        """Whether somebody listens for the answer to a request now."""
        names = self._names(request)
        return names is None or any(name in self._streams for name in names)

    def waits(self, request: gr.Request, since: float) -> bool:
        """Whether somebody waits for the answer to a request that came at ``since``, or may be back for it."""
        names = self._names(request)
        if names is None or any(name in self._streams for name in names):
            return True
        last = max(since, *(self._silent_since.get(name, 0.0) for name in names))
        return time.monotonic() - last < SILENCE

    @staticmethod
    def _names(request: gr.Request) -> tuple[str, str] | None:
        """By what some may listen for an answer; None for a request that did not come through this middleware."""
        event = getattr(request.request, "scope", {}).get("explorer.event")
        return None if event is None else (request.session_hash or "", event["name"])
