"""``explorer serve``: open the page."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from typing import Any

from explorer.cli.flags import SPEC, Verbs, add_device, add_head
from explorer.cli.values import kinds_of
from explorer.errors import ParameterError
from explorer.writing import temporary_folder


def add_verbs(verbs: Verbs) -> None:
    """Add ``serve``."""
    one = verbs.add("serve", serve, "Open the page in a browser on this machine.")
    one.add_argument("--model", action="append", metavar="SPEC", help=f"on opening, repeatable: {SPEC}")
    add_head(one)
    one.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    one.add_argument("--port", type=int, default=7860, help="TCP port (%(default)s)")
    add_device(one)
    one.add_argument("--open", action="store_true", help="open it in the browser")
    text = "a lesson to begin with, repeatable; the README says how to write one"
    one.add_argument("--lesson", action="append", default=[], metavar="FILE", help=text)
    text = "a name under which the page may be opened beside its own, as that of a proxy before it; repeatable"
    one.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=text)
    text = "a sweep's folder, or its address as s3://BUCKET/PATH, whose board stands in a tab"
    one.add_argument("--board", metavar="DIR", help=text)
    text = "let a class bet on the lessons' questions by phone; phones need --host 0.0.0.0, or a proxy that they reach"
    one.add_argument("--vote", action="store_true", help=text)
    text = "offer what programs may ask as tools of the Model Context Protocol, at /gradio_api/mcp"
    one.add_argument("--mcp", action="store_true", help=text)
    text = "look up models that visitors name on the hub with this machine's token, private ones too"
    one.add_argument("--allow-hub-token", action="store_true", help=text)


def serve(options: argparse.Namespace) -> int:
    """Open the page and stay until it is interrupted; returns the exit status."""
    from explorer.models.spec import ModelSpec

    if not 0 <= options.port <= 65535:
        raise ParameterError(f"--port is a number from 0 to 65535, got {options.port}")
    models = options.model or []
    for text in models:
        ModelSpec.parse(text)  # a mistake is told before the page is built
    heads = {text: kind for text, kind in zip(models, kinds_of(options, len(models))) if kind is not None}
    if getattr(options, "kinds", ()) and not heads:
        raise ParameterError("--head says what the outputs of a --model are; name one")
    temporary_folder()  # gradio needs one while it is imported
    print("Starting: libraries first, then the models of the first view.", file=sys.stderr, flush=True)
    from explorer.ui.page import serve as open_page

    given: dict[str, Any] = {"lessons": options.lesson, "allow_hosts": options.allow_host}
    given |= {"allow_hub_token": options.allow_hub_token, "heads": heads, "vote": options.vote, "tools": options.mcp}
    given["sweep"] = options.board
    where = (options.model, options.host, options.port, options.device, options.open)
    try:
        if not options.json:
            open_page(*where, **given)
            return 0
        with contextlib.redirect_stdout(sys.stderr):
            launched = open_page(*where, False, **given)
    except OSError as error:
        first = str(error).strip().splitlines()[0]
        raise ParameterError(f"cannot listen on {options.host}:{options.port}; try another --port ({first})") from error
    print(json.dumps({"command": "serve", "url": launched[1]}), flush=True)
    threading.Event().wait()  # until it is interrupted
    return 0
