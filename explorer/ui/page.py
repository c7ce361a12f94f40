"""Build the page and serve it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

# Read by gradio when it is imported: no analytics, whatever the environment says.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import timm
from starlette.middleware import Middleware

from explorer.images import MAX_BYTES
from explorer.lab import networks
from explorer.lessons import read, shipped
from explorer.models.spec import HeadKind, ModelSpec
from explorer.ui import share
from explorer.ui.answers import Answers
from explorer.ui.guard import Guard, Hosts
from explorer.ui.handlers import Handlers
from explorer.ui.measuring import Measuring
from explorer.ui.memory import give_back
from explorer.ui.scratch import remove_when_ended, take_uploads
from explorer.ui.stage import InHead, part
from explorer.ui.tabs import biases, blocks, compare, lab, lecture
from explorer.ui.words import ENGLISH, gradio_tables, i18n
from explorer.ui.worker import AT_ONCE, Listening, Worker

#: What the page opens with: trained alike, they differ in one block, and work offline.
FIRST_MODELS = ("lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f")
#: What it opens with where none of those ships: they say of themselves that they have learnt nothing.
UNTRAINED = ("random/vit_tiny_patch16_224", "random/resnet18+mhsa@3")
#: Requests in gradio's own queue at most; `worker` bounds each kind by itself, long before.
WAITING = 1024
#: Sessions whose measurements are remembered; the one that asked longest ago goes first. Each costs half a megabyte.
SESSIONS = 128


def opening() -> tuple[tuple[str, ...], str]:
    """The models of the first view, and what has to be said about them, or ""."""
    there = tuple(text for text in FIRST_MODELS if text in networks.available())
    missing = [text for text in FIRST_MODELS if text not in there]
    if not missing:
        return there, ""
    gone = f"No trained weights of {', '.join(missing)} came with this installation"
    if there:
        return there, f"{gone}; the others are shown."
    return UNTRAINED, f"{gone}; the models shown have learnt nothing."


def build(
    models: Sequence[str] | None = None,
    folders: bool = True,
    device: str | None = None,
    warm: bool = False,
    lessons: Sequence[str] = (),
    hub_token: bool = True,
    listening: Listening | None = None,
    heads: Mapping[str, HeadKind] = MappingProxyType({}),
) -> gr.Blocks:
    """Build the page.

    Args:
        models: specs on opening, 1 to 6; those of `opening` if None. A wrong one raises ParameterError.
        folders: whether visitors may name ``local-dir:`` folders of this machine.
        device: where models run, or None to choose.
        warm: load the first models now, not when the first visitor asks for them: those that ship with the explorer
            before the page is built, which then comes with their answers, others in the background.
        lessons: files of lessons that come before those that ship; with any, the page opens with the lecture. A wrong
            one raises LessonError.
        hub_token: whether visitors' models are looked up on the hub with this machine's token; those named here always
            are.
        listening: the middleware that tells who still listens, installed by who serves the page; without it work goes
            on when its visitor is gone, until its time is over.
        heads: what the outputs of some of ``models`` are, where their configuration does not say so.
    """
    own = tuple(read(file) for file in lessons)
    taught = (*own, *shipped())
    first, notice = (tuple(models), "") if models else opening()
    for text in first:
        ModelSpec.parse(text)
    shown = (part for one in own for step in one.steps for part in (step.before, step.after) if part is not None)
    named = (*(first if models else ()), *(text for one in shown for text in one.texts))
    answers = Answers(folders, named, device, hub_token, heads)
    handlers, worker = Handlers(answers), Worker(listening)
    ready = warm and not models and all(text.startswith("lab/") for text in first)
    if warm and not ready:
        threading.Thread(target=lambda: [answers.model(text) for text in first], daemon=True).start()
    with gr.Blocks(
        title="Attention Explorer", delete_cache=(3600, 3600), analytics_enabled=False, fill_width=True
    ) as page:
        masthead = part(
            "masthead",
            label="Attention Explorer",
            elem_id="masthead",
            events=("code", "evidence"),
            options={"notice": notice},
            skeleton="<header><h1>Attention Explorer</h1></header>",
        )
        language = gr.Textbox(ENGLISH, visible="hidden", elem_id="language")
        page.load(None, None, language, js="() => explorer.language", api_visibility="private")
        with gr.Tabs(elem_id="tabs", selected="lecture" if lessons else None):
            # Compare and Lecture share the workbench below, which stands outside of the tabs.
            compare_tab = gr.Tab(i18n("Compare"), id="compare")
            with gr.Tab(i18n("Lecture"), id="lecture") as lecture_tab:
                lecture.draw(worker, answers, taught)
            biases_tab = gr.Tab(i18n("Biases"), id="biases")
            with gr.Tab(i18n("Blocks"), id="blocks") as blocks_tab:
                blocks.draw(worker, answers, blocks_tab)
            with gr.Tab(i18n("Laboratory"), id="lab") as lab_tab:
                lab.draw(worker, lab_tab, language)
        asked = compare.draw(worker, handlers, first, timm.list_models() + timm.list_pretrained(), ready)
        with biases_tab:
            kept = biases.draw(
                worker, Measuring(handlers), asked, [compare_tab, lecture_tab, blocks_tab, lab_tab], language
            )
        share.draw(worker, handlers, masthead, asked, kept)
    page.queue(max_size=WAITING, default_concurrency_limit=None)
    return page


def serve(
    models: Sequence[str] | None = None,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    device: str | None = None,
    open_browser: bool = False,
    wait: bool = True,
    lessons: Sequence[str] = (),
    allow_hosts: Sequence[str] = (),
    allow_hub_token: bool = False,
    heads: Mapping[str, HeadKind] = MappingProxyType({}),
) -> Any:
    """Serve the page until it is interrupted.

    Args:
        models: specs on opening, or None.
        host: address to listen on; folders of this machine can be named on the page only on a loopback address.
        port: TCP port.
        device: where models run, or None to choose.
        open_browser: open it in the browser of this machine.
        wait: block; otherwise return what gradio's launch returns.
        lessons: as for `build`.
        allow_hosts: names under which the page may be opened beside its own, as that of a proxy before it.
        allow_hub_token: look visitors' models up on the hub with this machine's token; on a loopback address they are.
        heads: as for `build`.
    """
    give_back()
    take_uploads()
    remove_when_ended()
    hosts, listening = Hosts(host, allow_hosts), Listening()
    page = build(models, hosts.loopback, device, True, lessons, hosts.loopback or allow_hub_token, listening, heads)
    return page.launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        prevent_thread_lock=not wait,
        show_error=False,
        share=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        strict_cors=True,
        max_file_size=MAX_BYTES,
        pwa=False,
        mcp_server=False,
        footer_links=[],
        theme=gr.themes.Base(
            font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
            font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
        ),
        i18n=gradio_tables(),
        max_threads=AT_ONCE,
        state_session_capacity=SESSIONS,
        app_kwargs={"middleware": [Middleware(Guard, hosts=hosts), Middleware(InHead), Middleware(listening)]},
    )
