"""Asks a page's server as its browser does while something moves."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

Found = TypeVar("Found")


def run_alone(work: Coroutine[Any, Any, Found]) -> Found:
    """Run it to its end in a thread of its own: the browser of other tests leaves an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def opening_of(module: str) -> dict[str, Any]:
    """What the file says that a page opens with."""
    told: dict[str, Any] = json.loads(module.partition("begin(")[2].rpartition(");")[0])
    return told


class Asking:
    """One open page, without a browser.

    Args:
        address: of the server.
    """

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=300)
        config = self.client.get("/config").json()
        self.places = {name: one["id"] for one in config["components"] for name in one["props"].get("server_fns") or ()}
        named = re.search(r'src="([^"]+)"', config["head"])
        assert named
        self.build = opening_of(self.client.get(named[1]).text)["masthead"]["options"]["build"]
        self.page, self.numbers = uuid.uuid4().hex, itertools.count(1)

    def body(self, name: str, asked: Any, **changed: Any) -> dict[str, Any]:
        """The body of a request; ``changed`` goes before what the page would send."""
        data = {"page": self.page, "build": self.build, "number": next(self.numbers), "asked": asked, **changed}
        return {"data": data, "fn_name": name, "component_id": self.places[name], "session_hash": "test"}

    def post(self, body: Any) -> httpx.Response:
        """Send a request."""
        return self.client.post("/gradio_api/component_server", json=body)

    def ask(self, name: str, asked: Any, **changed: Any) -> dict[str, Any]:
        """The envelope that answers a request."""
        reply: dict[str, Any] = self.post(self.body(name, asked, **changed)).json()
        return reply
