"""The page's own files, assets/web/: under an address that changes with their content, so that it can be kept for ever.

The hash stands in the folder (``web/HASH/page.js``), so that what a file asks for beside itself is of the same content.
The address is relative: it is right behind a proxy under a path, in a frame, and where the page is mounted into another
application.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.messages import codes
from explorer.resources import asset
from explorer.ui import modules, words

_TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".html": "text/html"}
#: Browsers keep a file for as long as they like: another content has another address.
_KEPT = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
_NEVER_KEPT = {"cache-control": "no-store"}
#: What is not the page: gradio's answers, and the small pages, which need none of its files.
_OTHERS = re.compile(r"/gradio_api/|/web/[0-9a-f]{16}/|/vote(?:/|$)")
#: Under this name a page asks whether the server that made it is still there.
BUILD = "build"
#: Styles that gradio sends with the page itself; the others are served as one file, in the order of their names.
_FRAME, STYLES = "frame.css", "page.css"
#: The window in which a lecturer has what the class does not see.
PRESENTER = "presenter.html"
#: The module that the page begins with, and those that the small pages beside it begin with.
ENTRY, SMALL = "page.js", ("phone.js", "presenter.js")


@dataclass(frozen=True)
class File:
    """One of the page's files.

    Attributes:
        kind: its media type.
        plain: its bytes.
        packed: the same, compressed by gzip.
    """

    kind: str
    plain: bytes
    packed: bytes


#: A file that is written when it is first asked for.
LateFile = Callable[[], File]


def late(write: LateFile) -> LateFile:
    """Have a file written once, by whoever asks for it first."""
    return lru_cache(maxsize=1)(write)


@lru_cache(maxsize=1)
def files() -> dict[str, File]:
    """Name -> file, of what is served: the modules as one, the styles, and texts for each further language."""
    folder = sorted(asset("web").iterdir(), key=lambda one: one.name)
    sources = {one.name: one.read_text(encoding="utf-8") for one in folder if re.fullmatch(r"[^.]+\.js", one.name)}
    entries = (ENTRY, *SMALL)
    found = {
        entry: modules.joined(sources, entry, [one for one in entries if one != entry]).encode() for entry in entries
    }
    found[STYLES] = b"".join(one.read_bytes() for one in folder if one.suffix == ".css" and one.name != _FRAME)
    found[PRESENTER] = asset("web", PRESENTER).read_bytes()
    for code in codes()[1:]:
        found[f"texts-{code}.json"] = json.dumps(words.table(code), ensure_ascii=False, separators=(",", ":")).encode()
    return {name: packed(name[name.rfind(".") :], content) for name, content in found.items()}


def packed(ending: str, content: bytes) -> File:
    """A file to be served."""
    return File(_TYPES[ending], content, gzip.compress(content, 9, mtime=0))


@lru_cache(maxsize=1)
def folder() -> str:
    """The relative address of the files, "web/HASH"."""
    digest = hashlib.sha256()
    for name, file in files().items():
        digest.update(f"{name}\0{len(file.plain)}\0".encode() + file.plain)
    return f"web/{digest.hexdigest()[:16]}"


def frame() -> str:
    """Styles that say where everything stands, needed before anything is drawn."""
    return asset("web", _FRAME).read_text(encoding="utf-8")


def module() -> str:
    """JavaScript that loads the page's entry module, wherever the page is served."""
    return f"import(new URL('{folder()}/{ENTRY}', document.baseURI))"


def head(opening: str) -> str:
    """Markup for the page's head, which gradio puts there once it runs; the files have come by then.

    Args:
        opening: name of the file that says what the page opens with.
    """
    return (
        f'<link rel="stylesheet" href="{folder()}/{STYLES}"><script type="module" src="{folder()}/{opening}"></script>'
    )


def links(opening: str) -> str:
    """The same files as the value of a header, which browsers have before the markup, and long before gradio runs."""
    modules = (f"<{folder()}/{name}>;rel=modulepreload" for name in (ENTRY, opening))
    return ",".join([f"<{folder()}/{STYLES}>;rel=preload;as=style", *modules])


def routes(build: str, own: Mapping[str, File | LateFile]) -> list[Route]:
    """The routes that serve them.

    Args:
        build: what the page that is served was made of; a page of another build is told to load itself again.
        own: further files, of this page alone.
    """

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name == BUILD:
            return PlainTextResponse(build, headers=_NEVER_KEPT)
        one = files().get(name) or own.get(name)
        if one is None:
            return PlainTextResponse("There is no such file.\n", 404, headers=_NEVER_KEPT)
        one = one if isinstance(one, File) else one()
        if "gzip" in Headers(scope=request.scope).get("accept-encoding", ""):
            return Response(one.packed, media_type=one.kind, headers={**_KEPT, "content-encoding": "gzip"})
        return Response(one.plain, media_type=one.kind, headers=_KEPT)

    return [Route(f"/{folder()}/{{name}}", file)]


class Packed:
    """Compresses the page itself, which gradio sends as it is, and says ahead which files it needs.

    Its answers and streams pass as they are.

    Args:
        app: what answers.
        links: the files, as `links` makes them.
    """

    def __init__(self, app: ASGIApp, links: str) -> None:
        self.app, self.packing = app, GZipMiddleware(app, minimum_size=1000, compresslevel=6)
        self.links = links

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("link", self.links)
            await send(message)

        page = scope["type"] == "http" and scope["method"] == "GET" and not _OTHERS.search(scope["path"])
        if page:
            await self.packing(scope, receive, told)
        else:
            await self.app(scope, receive, send)
