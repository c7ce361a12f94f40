"""The page's own components: gradio carries their values, assets/web/ draws them.

gr.HTML evaluates what is templated into it, so nothing is: every component gets JSON and sets textContent.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from explorer.messages import encoded
from explorer.ui import web
from explorer.ui.words import dumps

#: Shown in place of a part whose file is not there: gradio alone serves none of this page's files.
_NOT_SERVED = (
    "The files of this page are not served here. Start it with build().launch(), or put it into an application with "
    "explorer.ui.page.mount(app, path=...)."
)


class Opening:
    """What the first view is drawn from. It is sent beside the page, so that nothing of it waits for gradio."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def add(self, draw: str, label: str, options: Any, first: Any) -> None:
        """Take a part by the name that `part` knows it by, with what it has to know and what it shows at first."""
        self._parts[draw] = {"label": label, "options": options, "first": first}

    def file(self) -> tuple[str, web.File]:
        """The name, which changes with the content, and the file: a module that runs with the page's own."""
        content = f'import {{ begin }} from "./{web.ENTRY}";\nbegin({dumps(self._parts)});\n'.encode()
        return f"opening-{hashlib.sha256(content).hexdigest()[:16]}.js", web.packed(".js", content)


def part(
    draw: str,
    value: Any = None,
    *,
    label: str = "",
    events: Sequence[str] = (),
    options: Any = None,
    skeleton: str = "",
    elem_id: str | None = None,
    live: Sequence[Callable[..., Any]] = (),
    opening: Opening | None = None,
    first: Any = None,
) -> gr.HTML:
    """Make a part of the page that is drawn by one function of assets/web/page.js.

    A function and no subclass: for those gradio writes a .pyi file into the package.

    Args:
        draw: name of the part in assets/web/page.js, whose function gets the element and gradio's handles.
        value: JSON value; a text where it is large, as gradio compares values by serialising them.
        label: what it is, for those who do not see it.
        events: names of the events it triggers beside gradio's own.
        options: what the function needs to know once.
        skeleton: markup shown until the function has run; constant, never made from input.
        elem_id: id in the page.
        live: functions of the server that it can call, made by `explorer.ui.live.Live`.
        opening: given for a part of the first view: its options and `first` are sent in a file of their own.
        first: what it shows at first.
    """
    if opening is not None:
        opening.add(draw, label, options, first)
        options = None
    names = ", ".join(f'"{name}"' for name in events)
    handles = f"element, trigger, props, watch, upload, events: [{names}]" + (", server" if live else "")
    return gr.HTML(
        value,
        html_template=f'<section class="part" {_labelled(label)}>{skeleton}</section>',
        js_on_load=f"{web.module()}.then((page) => page.mount({draw!r}, {{ {handles} }}), "
        f"() => {{ element.textContent = {_NOT_SERVED!r}; }});",
        apply_default_css=False,
        elem_id=elem_id,
        padding=False,
        # As a text: gradio copies, walks and wraps each value within a property, on the server and in the browser.
        options=dumps(options),
        server_functions=list(live) or None,
    )


def _labelled(label: str) -> str:
    """Attributes that name a part; what was filled in goes along, so that the browser can say it in its language."""
    told = encoded(label)
    further = "" if isinstance(told, str) else f' data-label="{html.escape(json.dumps(told), quote=True)}"'
    return f'aria-label="{html.escape(label, quote=True)}"{further}'


def listen(component: gr.HTML, event: str) -> Callable[..., Any]:
    """The listener of one of a part's own events."""
    listener: Callable[..., Any] = getattr(component, event)
    return listener
