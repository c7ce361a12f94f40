"""The ways about the page: which tab is open is told to the browser's modules, and opened where a link leads there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from explorer.blocks import BLOCKS
from explorer.probes import PROBES
from explorer.ui import web
from explorer.ui.stage import Opening, listen, part

_QUIET: dict[str, Any] = {"api_visibility": "private"}


def tells_tab(tab: gr.Tab, name: str) -> gr.Tab:
    """Tell the browser's modules when a tab of the page is opened.

    Before anything else listens to the tab: gradio tells its listeners one after the other, and waits for each.
    """
    tab.select(None, js=f"() => {{ {web.module()}.then((page) => page.opened({name!r})); }}", **_QUIET)
    return tab


def tells_bias(tab: gr.Tab, number: int) -> gr.Tab:
    """The same for the tab of a bias, counted from 1."""
    tab.select(None, js=f"() => {{ {web.module()}.then((page) => page.openedBias({number})); }}", **_QUIET)
    return tab


def tells_block(block: gr.Radio) -> gr.Radio:
    """The same for the choice of a block."""
    block.change(None, block, None, js=f"(name) => {{ {web.module()}.then((page) => page.chose(name)); }}", **_QUIET)
    return block


def tells_fold(fold: gr.Accordion, name: str) -> gr.Accordion:
    """The same for a part of the laboratory that is closed at first."""
    for event, is_open in ((fold.expand, "true"), (fold.collapse, "false")):
        event(None, js=f"() => {{ {web.module()}.then((page) => page.folded({name!r}, {is_open})); }}", **_QUIET)
    return fold


def draw(
    tabs: gr.Tabs,
    biases: tuple[gr.Tabs, Sequence[gr.Tab]],
    block: gr.Radio,
    folds: Mapping[str, gr.Accordion],
    unfolded: gr.Textbox,
    opens: str,
    opening: Opening,
    names: Sequence[str],
) -> gr.HTML:
    """Let the browser's modules open a tab and choose a block.

    Args:
        tabs: of the page.
        biases: their tabs, and each of them.
        block: the choice of the block that is explained.
        folds: what is closed at first in the laboratory, by name.
        unfolded: told which of them a link opened, as gradio tells of those that a visitor opens alone.
        opens: the tab that is open at first.
        opening: takes what the first view is drawn from.
        names: of the page's tabs, in their order.

    Returns the part that triggers "tab", "bias", "block" and "fold", each with a name, "language", and "figures" when
    somebody goes for a tab.
    """
    inner, each = biases
    ways = part(
        "ways",
        elem_id="ways",
        events=("tab", "bias", "block", "fold", "language", "figures"),
        options={
            "tabs": list(names),
            "opens": opens,
            "blocks": list(BLOCKS),
            "biases": len(each),
            "probes": list(PROBES),
            "folds": list(folds),
        },
        opening=opening,
    )

    # What draws gradio's figures is megabytes, brought with the first one: an empty one comes early, out of sight.
    ahead = gr.Plot(show_label=False, visible=False, elem_id="ahead")

    def bring() -> Any:
        from plotly.graph_objects import Figure

        return gr.update(value=Figure(), visible=True)

    def open_tab(event: gr.EventData) -> Any:
        return gr.Tabs(selected=event.name) if event.name in names else gr.skip()

    def open_bias(event: gr.EventData) -> Any:
        ids = [tab.id for tab in each]
        number = event.number
        return gr.Tabs(selected=ids[number - 1]) if isinstance(number, int) and 0 < number <= len(ids) else gr.skip()

    def choose_block(event: gr.EventData) -> Any:
        return event.name if event.name in BLOCKS else gr.skip()

    def open_fold(event: gr.EventData) -> list[Any]:
        opened = [gr.update(open=True) if name == event.name else gr.skip() for name in folds]
        return [*opened, event.name if event.name in folds else gr.skip()]

    at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", **_QUIET}
    listen(ways, "tab")(open_tab, None, tabs, **at_once)
    listen(ways, "figures")(bring, None, ahead, **at_once)
    listen(ways, "bias")(open_bias, None, inner, **at_once)
    listen(ways, "block")(choose_block, None, block, **at_once)
    if folds:
        opened = listen(ways, "fold")(open_fold, None, [*folds.values(), unfolded], **at_once)
        opened.then(None, js=f"() => {{ {web.module()}.then((page) => page.arrived()); }}", **_QUIET)
    return ways
