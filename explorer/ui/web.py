"""The page's own files, assets/web/: under an address that changes with their content, so that it can be kept for ever.

The hash stands in the folder (``web/HASH/maps.js``), so that a module imports another by its plain name. The address is
relative: it is right behind a proxy under a path, in a frame, and where the page is mounted into another application.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.messages import codes
from explorer.resources import asset
from explorer.ui import words

_TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
#: Browsers keep a file for as long as they like: another content has another address.
_KEPT = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
_NEVER_KEPT = {"cache-control": "no-store"}
#: Under this name a page asks whether the server that made it is still there.
BUILD = "build"
#: Styles that gradio sends with the page itself.
_FRAME = "frame.css"


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


@lru_cache(maxsize=1)
def files() -> dict[str, File]:
    """Name -> file, of everything that is served: modules, styles, and a table of texts for each further language."""
    found = {}
    for path in sorted(asset("web").iterdir(), key=lambda one: one.name):
        ending = path.name[path.name.rfind(".") :]
        if ending in (".js", ".css") and not path.name.endswith(".test.js") and path.name != _FRAME:
            found[path.name] = path.read_bytes()
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
    return f"import(new URL('{folder()}/page.js', document.baseURI))"


def head() -> str:
    """Markup for the page's head: all files are fetched at once, not one after another has asked for it."""
    styles = [f'<link rel="stylesheet" href="{folder()}/{name}">' for name in files() if name.endswith(".css")]
    modules = [f'<link rel="modulepreload" href="{folder()}/{name}">' for name in files() if name.endswith(".js")]
    return "".join([*styles, *modules])


def routes(build: str, own: Mapping[str, File]) -> list[Route]:
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
        if "gzip" in Headers(scope=request.scope).get("accept-encoding", ""):
            return Response(one.packed, media_type=one.kind, headers={**_KEPT, "content-encoding": "gzip"})
        return Response(one.plain, media_type=one.kind, headers=_KEPT)

    return [Route(f"/{folder()}/{{name}}", file)]


class Packed:
    """Compresses the page itself, which gradio sends as it is; its answers and streams pass as they are.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.packing = app, GZipMiddleware(app, minimum_size=1000, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        page = scope["type"] == "http" and scope["method"] == "GET" and "/gradio_api/" not in scope["path"]
        await (self.packing if page else self.app)(scope, receive, send)
