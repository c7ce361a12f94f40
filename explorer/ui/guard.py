"""What may come in from a browser and what may go out to one: hosts, files, addresses, and paths in messages.

docs/trust.md says who is trusted with what. Gradio checks some of this too, for some forms of a request; here all of it
is checked for every form, and nothing relies on gradio's checks.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import stat
import time
from collections import OrderedDict
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.errors import ParameterError
from explorer.messages import Message

#: Bytes of an event's request; the page's own have some thousands. Files go another way, in pieces.
MAX_REQUEST_BYTES = 4 * 2**20
#: Bytes of what the browser asks while something moves; the page's own have some hundreds.
MAX_LIVE_BYTES = 256 * 2**10
#: Bytes of what phones and the lecturer's page send of a class vote.
MAX_VOTE_BYTES = 2**10
#: Live requests a second that one address may send for long, and how many at once: a hall behind one address has many.
LIVE_RATE, LIVE_BURST = 100.0, 300.0
_LIVE = "/gradio_api/component_server"
#: The one way for files: gradio writes them into its upload folder, and refuses those that are too large.
_UPLOAD = "/gradio_api/upload"
_FILE, _PROXY = re.compile(r"/gradio_api/file[=/]"), "/gradio_api/proxy="
#: Headers by which a proxy says under which name it was asked; gradio builds the page's addresses from the last two.
_HOST_HEADERS = ("host", "x-forwarded-host", "x-gradio-server")

#: Whoever may show the page in a frame: itself, and Hugging Face, where a Space is shown in one.
FRAME_ANCESTORS = ("'self'", "https://huggingface.co", "https://*.hf.space")
#: Gradio needs scripts and styles in line, and eval. What counts is that nothing else is loaded, asked or framed.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        f"frame-ancestors {' '.join(FRAME_ANCESTORS)}",
    )
)
#: The address of the page may hold a hosting token; it is told to nobody else.
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": CONTENT_POLICY,
}


def uploaded(path: Any) -> Path:
    """The file of a path that a browser sent, if it lies in the folder of uploads; raises ParameterError.

    The folder is the one that `explorer.ui.scratch.take_uploads` has gradio keep uploads in. Links are resolved first;
    what is no file (a folder, a device, a pipe) is refused too.
    """
    refused = ParameterError(Message("this file was not uploaded here, or is no longer on the server; choose it again"))
    folder = os.environ.get("GRADIO_TEMP_DIR")
    if not folder or not isinstance(path, (str, Path)) or not str(path):
        raise refused
    try:
        home, real = os.path.realpath(folder), os.path.realpath(path)
        within = os.path.commonpath([home, real]) == home and real != home
        regular = within and stat.S_ISREG(os.stat(real).st_mode)
    except (OSError, ValueError):  # a NUL byte, a name too long, another drive
        raise refused from None
    if not regular:
        raise refused
    return Path(real)


# ---- paths in messages ----------------------------------------------------------------------------------------------

#: A path in quotes may hold spaces; one without ends at the next of them.
_QUOTED = re.compile(r"(?<=['\"‘“])(?:file:/*|~?/|~?\\|[A-Za-z]:[\\/])[^'\"’”\n]*(?=['\"’”])")
_BARE = re.compile(r"(?<![\w/\\:.~)<'\"‘“-])(?:file:/+|~?/|\\\\|[A-Za-z]:[\\/])[\w.@+~][^\s'\"“”‘’,;:)\]>]*")


def pathless(text: str) -> str:
    """A message without the places of files on this machine: of each path its last part is left."""
    if isinstance(text, Message):
        return text.each(_without_place)

    def last(found: re.Match[str]) -> str:
        return re.split(r"[\\/]", found.group().rstrip("\\/"))[-1]

    return _BARE.sub(last, _QUOTED.sub(last, text))


def _without_place(value: str) -> str:
    """What stands in a place of a message: a path alone may hold spaces."""
    alone = not re.search(r"['\"‘’“”]|[:,;] ", value)
    return pathless(f"'{value}'")[1:-1] if alone else pathless(value)


# ---- hosts ----------------------------------------------------------------------------------------------------------

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]?#\\]+)(?::\d{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Hosts:
    """The names under which a server may be asked.

    Otherwise the page of a stranger could have its own name lead to this server, and read it through the visitor's
    browser (DNS rebinding). Numbers cannot be made to lead elsewhere.

    Args:
        host: the address that the server listens on.
        names: further names, as of a proxy before it.
    """

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        self.loopback = is_loopback(host)
        self.names = {"localhost", *(one.strip().lower().rstrip(".") for one in names)} - {""}
        # A Space is asked through the proxy of its host.
        self.names |= {one.strip().lower() for one in os.environ.get("SPACE_HOST", "").split(",")} - {""}
        if not self.loopback:
            own = socket.gethostname().lower()
            self.names |= {host.lower(), own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
        self._on_a_space = bool(os.environ.get("SPACE_ID"))

    def allows(self, host: str) -> bool:
        """Whether the value of a Host header is one of them, with any port."""
        found = _HOST.fullmatch(host.strip().lower())
        if found is None:
            return False
        name = found.group(1).strip("[]").rstrip(".")
        try:
            number = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names or (self._on_a_space and name.endswith(".hf.space"))
        return number.is_loopback or not self.loopback

    def foreign(self, headers: Headers) -> str | None:
        """The first name in a request's headers that is none of them, or None; a request has to have one."""
        if len(headers.getlist("host")) != 1:
            return ", ".join(headers.getlist("host"))
        for header in _HOST_HEADERS:
            for value in headers.getlist(header):
                for one in value.split(","):
                    name = re.sub(r"^https?://|/.*$", "", one.strip()) if header == "x-gradio-server" else one
                    if not self.allows(name):
                        return one.strip()
        return None


# ---- every request and every answer ----------------------------------------------------------------------------------


class Guard:
    """Stands before gradio: turns away what is not meant for this server, and says to browsers how to keep an answer.

    Args:
        app: what answers.
        hosts: the names under which it may be asked; None where the application that this page is part of sees to it.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts | None = None) -> None:
        self.app, self.hosts, self.rate = app, hosts, Rate(LIVE_RATE, LIVE_BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if scope["type"] == "websocket":
            if refused is None:
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return

        begun = False

        async def sealed(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        if refused is None and scope["method"] not in ("GET", "HEAD", "OPTIONS") and not _is_upload(scope):
            most = MAX_LIVE_BYTES if _is_live(scope) else MAX_VOTE_BYTES if _is_vote(scope) else MAX_REQUEST_BYTES
            admitted = _admitted(await _read(receive, most), most)
            if isinstance(admitted, Response):
                refused = admitted
            else:
                scope, receive = _again(scope, receive, admitted)
        try:
            await (refused or self.app)(scope, receive, sealed)
        except Exception:
            # What gradio lays around this one would answer without these headers.
            if not begun:
                await PlainTextResponse("This failed; the server's log says why.\n", 500)(scope, receive, sealed)
            raise

    def _refused(self, scope: Scope) -> Response | None:
        """Why a request is not answered, seen from its head, or None."""
        foreign = None if self.hosts is None else self.hosts.foreign(Headers(scope=scope))
        if foreign is not None:
            return PlainTextResponse(
                f"This server does not answer under the name '{foreign[:100]}'. Open it under the address that it "
                "printed when it was started; whoever runs it can allow another name with "
                "explorer serve --allow-host NAME.\n",
                421,
            )
        path = str(scope.get("path", ""))
        if _is_live(scope) and not self.rate.admits((scope.get("client") or ("",))[0]):
            return JSONResponse({"detail": "Many are asking at once; ask again in a moment."}, 429)
        if _PROXY in path:
            return PlainTextResponse("This server fetches nothing for anybody.\n", 403)
        if (found := _FILE.search(path)) is not None:
            try:
                uploaded(path[found.end() :])
            except ParameterError as error:
                return PlainTextResponse(f"{error}\n", 403)
        return None


class Rate:
    """How often each address may ask: so many a second for long, and more for a moment.

    Args:
        rate: requests a second.
        burst: requests at once.
    """

    #: Addresses that are remembered; the one that asked longest ago goes first.
    _MOST = 4096

    def __init__(self, rate: float, burst: float) -> None:
        self.per_second, self.burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, address: str, now: float | None = None) -> bool:
        """Whether one more request of an address is within its rate, and count it if so; ``now`` in seconds."""
        now = time.monotonic() if now is None else now
        left, since = self._left.pop(address, (self.burst, now))
        left = min(self.burst, left + self.per_second * (now - since))
        self._left[address] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > self._MOST:
            self._left.popitem(last=False)
        return left >= 1


def _is_live(scope: Scope) -> bool:
    return scope["type"] == "http" and str(scope["path"]).rstrip("/").endswith(_LIVE)


def _is_vote(scope: Scope) -> bool:
    return re.search(r"/vote(?:/|$)", str(scope["path"])) is not None


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and str(scope["path"]).rstrip("/").endswith(_UPLOAD)


async def _read(receive: Receive, most: int) -> bytes | None:
    """A request's body; None where it is larger than ``most`` bytes or its sender went away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _admitted(body: bytes | None, most: int) -> bytes | Response:
    """An event's body with its files checked, written anew so that gradio reads what was checked; or a refusal."""
    if body is None:
        return JSONResponse({"detail": f"a request has at most {most // 1024} kB"}, 413)
    try:
        return json.dumps(_files_checked(json.loads(body))).encode() if body.strip() else body
    except ParameterError as error:
        return JSONResponse({"detail": str(error)}, 400)
    except (ValueError, RecursionError):
        return JSONResponse({"detail": "a request is JSON"}, 400)


def _files_checked(value: Any) -> Any:
    """A value with the files in it, in any depth: each a path of an upload, and no address to fetch one from."""
    if isinstance(value, list):
        return [_files_checked(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("path") is not None:
        value = {**value, "path": str(uploaded(value["path"]))}
    # Gradio writes the address at which a browser finds a file beside its path; coming back, it is of no use.
    return {name: None if name == "url" else _files_checked(one) for name, one in value.items()}


def _again(scope: Scope, receive: Receive, body: bytes) -> tuple[Scope, Receive]:
    """A request whose body is read a second time."""
    headers = [(name, one) for name, one in scope["headers"] if name not in (b"content-length", b"transfer-encoding")]
    scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return scope, again
