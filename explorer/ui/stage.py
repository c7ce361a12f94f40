"""The page's own components: gradio carries their values, assets/web/ draws them.

gr.HTML evaluates what is templated into it, so nothing is: every component gets JSON and sets textContent.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.resources import asset
from explorer.ui import words

#: In the order in which they need each other.
_SCRIPTS = (
    *("core.js", "net.js", "state.js", "colours.js", "pointing.js", "maps.js", "panel.js", "scene.js"),
    *("controls.js", "models.js", "samples.js", "row.js", "stage.js", "share.js", "link.js", "early.js"),
    *("blocks.js", "example.js", "sheet.js", "figures.js", "biases.js", "lecture.js"),
)
_STYLES = ("page.css", "tabs.css", "biases.css", "figures.css", "example.css", "lecture.css", "net.css")


def part(
    draw: str,
    value: Any = None,
    *,
    label: str = "",
    events: Sequence[str] = (),
    options: Any = None,
    skeleton: str = "",
    elem_id: str | None = None,
) -> gr.HTML:
    """Make a part of the page that is drawn by one function of assets/web/.

    A function and no subclass: for those gradio writes a .pyi file into the package.

    Args:
        draw: name of the function on ``window.explorer`` that gets the element and gradio's handles.
        value: JSON value; a text where it is large, as gradio compares values by serialising them.
        label: what it is, for those who do not see it.
        events: names of the events it triggers beside gradio's own.
        options: what the function needs to know once.
        skeleton: markup shown until the function has run; constant, never made from input.
        elem_id: id in the page.
    """
    names = ", ".join(f'"{name}"' for name in events)
    return gr.HTML(
        value,
        html_template=f'<section class="part" aria-label="{html.escape(label, quote=True)}">{skeleton}</section>',
        js_on_load="explorer.sayWithin(element); "
        f'explorer.mount("{draw}", "{elem_id}", {{ element, trigger, props, watch, events: [{names}] }});',
        apply_default_css=False,
        elem_id=elem_id,
        padding=False,
        options=options,
    )


def listen(component: gr.HTML, event: str) -> Callable[..., Any]:
    """The listener of one of a part's own events."""
    listener: Callable[..., Any] = getattr(component, event)
    return listener


def head() -> str:
    """Scripts and styles of the page, in line: nothing is fetched, and nothing is shown before it is styled."""
    scripts = "\n".join(asset("web", name).read_text(encoding="utf-8") for name in _SCRIPTS)
    styles = "\n".join(asset("web", name).read_text(encoding="utf-8") for name in _STYLES)
    return f"<style>\n{styles}\n</style>\n{words.script()}<script>\n{scripts}\n</script>\n"


class InHead:
    """Puts `head` into the page as it is sent.

    What ``launch(head=...)`` is given, gradio adds once its own scripts run: too late to choose its language, and much
    too late to paint the first view.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.head = app, head().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; only the page itself is changed."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def changed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if Headers(raw=message["headers"]).get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start is not None:
                parts.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                body = b"".join(parts).replace(b"</head>", self.head + b"</head>", 1)
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self.app(scope, receive, changed)
