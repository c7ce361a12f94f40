"""Build the page and serve it."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

# Read by gradio when it is imported: no analytics, whatever the environment says.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import timm
from fastapi import FastAPI
from starlette.middleware import Middleware

from explorer.errors import ParameterError
from explorer.images import MAX_BYTES
from explorer.lab import networks
from explorer.lessons import read, shipped
from explorer.messages import ENGLISH, Message, codes, language_of, languages, say
from explorer.models.spec import HeadKind, ModelSpec
from explorer.ui import endpoints, navigation, share, web
from explorer.ui.answers import Answers
from explorer.ui.guard import Guard, Hosts
from explorer.ui.handlers import Handlers
from explorer.ui.listening import Listening
from explorer.ui.live import Live
from explorer.ui.measuring import Measuring
from explorer.ui.memory import give_back
from explorer.ui.navigation import tells_tab
from explorer.ui.scratch import remove_when_ended, take_uploads
from explorer.ui.stage import Opening, listen, part
from explorer.ui.tabs import biases, blocks, board, compare, lab, lecture
from explorer.ui.vote import Voting, reachable
from explorer.ui.words import gradio_tables, i18n, text_of
from explorer.ui.worker import AT_ONCE, Worker

#: What the page opens with: trained alike, they differ in one block, and work offline.
FIRST_MODELS = ("lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f")
#: What it opens with where none of those ships: they say of themselves that they have learnt nothing.
UNTRAINED = ("random/vit_tiny_patch16_224", "random/resnet18+mhsa@3")
#: Requests in gradio's own queue at most; `worker` bounds each kind by itself, long before.
WAITING = 1024
#: Names of the tabs of the page in their order; one of a sweep's board follows where the page has one.
TABS = ("compare", "lecture", "biases", "blocks", "lab")
#: Sessions whose measurements are remembered; the one that asked longest ago goes first. Each costs half a megabyte.
SESSIONS = 128


def opening() -> tuple[tuple[str, ...], str]:
    """The models of the first view, and what has to be said about them, or ""."""
    there = tuple(text for text in FIRST_MODELS if text in networks.available())
    missing = [text for text in FIRST_MODELS if text not in there]
    if not missing:
        return there, ""
    gone = Message("No trained weights of {missing} came with this installation", missing=", ".join(missing))
    if there:
        return there, Message("{gone}; the others are shown.", gone=gone)
    return UNTRAINED, Message("{gone}; the models shown have learnt nothing.", gone=gone)


class Page(gr.Blocks):
    """The page, with what it takes to serve it.

    ``launch()`` is gradio's, with the settings that this page is made for; whatever is given to it goes before them.
    """

    #: What the page is made of.
    made_of: str
    #: Tells who still waits for an answer.
    listening: Listening
    #: Files that are served for this page alone: its lessons, and what its first view is drawn from.
    files: Mapping[str, web.File | web.LateFile]
    #: The name of the last.
    opening: str
    #: Class votes on its lessons, or None.
    voting: Voting | None = None
    #: Whether its endpoints are tools of the Model Context Protocol too.
    tools: bool = False

    def served(self, hosts: Hosts | None) -> dict[str, Any]:
        """The settings that serving this page in any way needs.

        Args:
            hosts: the names under which it may be asked; None where the application around it sees to that.
        """
        middleware = [
            Middleware(Guard, hosts=hosts),
            Middleware(web.Packed, links=web.links(self.opening)),
            Middleware(self.listening),
        ]
        votes = self.voting.routes(hosts) if self.voting else []
        return {
            "app_kwargs": {"routes": [*web.routes(self.made_of, self.files), *votes], "middleware": middleware},
            "show_error": False,
            "ssr_mode": False,
            "run_history": False,
            "enable_monitoring": False,
            "max_file_size": MAX_BYTES,
            "pwa": False,
            "mcp_server": self.tools,
            "footer_links": [],
            "theme": gr.themes.Base(
                font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
                font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
            ),
            "i18n": gradio_tables(),
            "css": web.frame(),
            "head": web.head(self.opening),
        }

    def launch(self, *arguments: Any, **options: Any) -> Any:
        """Serve the page, as gradio's ``launch`` does; further routes and middleware may be given in ``app_kwargs``."""
        hosts = options.pop("hosts", None) or Hosts(options.get("server_name") or "127.0.0.1")
        ours = {
            **self.served(hosts),
            "share": False,
            "strict_cors": True,
            "max_threads": AT_ONCE,
            "state_session_capacity": SESSIONS,
        }
        # The page's files and somebody's own markup stand beside each other.
        ours["head"] += options.pop("head", None) or ""
        own = dict(options.pop("app_kwargs", None) or {})
        for name, values in ours.pop("app_kwargs").items():
            own[name] = [*values, *own.get(name, ())]
        return super().launch(*arguments, **{**ours, **options, "app_kwargs": own})


def mount(app: FastAPI, path: str, **options: Any) -> Page:
    """Put the page into somebody's application, and return it.

    Args:
        app: a FastAPI application; it sees to the names under which it may be asked, and to who may ask.
        path: where the page stands in it, as "/explorer".
        options: of `build`; visitors may not name folders of this machine, and the hub is asked as by somebody
            unknown, unless they say otherwise.
    """
    page = build(**{"folders": False, "hub_token": False, **options})
    gr.mount_gradio_app(app, page, path=path, **page.served(None))
    return page


def build(
    models: Sequence[str] | None = None,
    folders: bool = True,
    device: str | None = None,
    warm: bool = False,
    lessons: Sequence[str] = (),
    hub_token: bool = True,
    heads: Mapping[str, HeadKind] = MappingProxyType({}),
    vote: bool = False,
    tools: bool = False,
    sweep: str | None = None,
) -> Page:
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
        heads: what the outputs of some of ``models`` are, where their configuration does not say so.
        vote: whether a class may bet on the lessons' questions by phone.
        tools: whether its endpoints (`explorer.ui.endpoints`) are tools of the Model Context Protocol too, for which
            the package mcp is needed; raises ParameterError without it.
        sweep: the folder of a sweep, or its address, whose board stands in a tab as it is now.
    """
    if tools and find_spec("mcp") is None:
        raise ParameterError(
            Message("endpoints as tools need the package mcp: install attention-explorer[mcp], or mcp below version 2")
        )
    take_uploads()
    own = tuple(read(file) for file in lessons)
    taught = (*own, *shipped())
    first, notice = (tuple(models), "") if models else opening()
    for text in first:
        ModelSpec.parse(text)
    shown = (part for one in own for step in one.steps for part in (step.before, step.after) if part is not None)
    named = (*(first if models else ()), *(text for one in shown for text in one.texts))
    listening = Listening()
    answers = Answers(folders, named, device, hub_token, heads)
    handlers, worker = Handlers(answers), Worker(listening)
    boards = {} if sweep is None else board.served(sweep)
    made_of = _digest(web.folder(), version("attention-explorer"), gr.__version__, *first, *map(repr, taught), *boards)
    live = Live(worker, made_of)
    ready = warm and not models and all(text.startswith("lab/") for text in first)
    if warm and not ready:
        threading.Thread(target=lambda: [answers.model(text) for text in first], daemon=True).start()
    opens, shown_first, taught_files = "lecture" if lessons else "compare", Opening(), lecture.served(taught)
    with Page(title="Attention Explorer", delete_cache=(3600, 3600), analytics_enabled=False, fill_width=True) as page:
        page.made_of, page.listening, page.voting = made_of, listening, Voting(taught) if vote else None
        page.tools = tools
        masthead = part(
            "masthead",
            label="Attention Explorer",
            elem_id="masthead",
            events=("code", "evidence"),
            options={"notice": notice, "languages": languages(), "build": made_of},
            skeleton="<header><h1>Attention Explorer</h1></header>",
            opening=shown_first,
        )
        language = gr.Textbox(ENGLISH, visible="hidden", elem_id="language")
        unfolded = gr.Textbox("", visible="hidden", elem_id="unfolded")
        page.load(
            None,
            None,
            language,
            js=f"() => {web.module()}.then((page) => page.loaded())",
            api_visibility="private",
        )
        with gr.Tabs(elem_id="tabs", selected=opens) as tabs:
            # Compare and Lecture share the workbench below, which stands outside of the tabs.
            compare_tab = tells_tab(gr.Tab(i18n("Compare"), id="compare"), "compare")
            with tells_tab(gr.Tab(i18n("Lecture"), id="lecture"), "lecture") as lecture_tab:
                lecture.draw(live, answers, taught, dict(zip(codes(), taught_files)), language, vote)
            biases_tab = tells_tab(gr.Tab(i18n("Biases"), id="biases"), "biases")
            with tells_tab(gr.Tab(i18n("Blocks"), id="blocks"), "blocks") as blocks_tab:
                block = blocks.draw(worker, live, answers, blocks_tab, language)
            with tells_tab(gr.Tab(i18n("Laboratory"), id="lab"), "lab") as lab_tab:
                folds = lab.draw(worker, live, answers, lab_tab, language, unfolded)
            board_tabs = []
            for name in boards:
                with tells_tab(gr.Tab(i18n("Board"), id="board"), "board") as board_tab:
                    board.draw(name)
                board_tabs.append(board_tab)
        asked = compare.draw(
            worker, live, handlers, language, shown_first, first, timm.list_models() + timm.list_pretrained(), ready
        )
        with biases_tab:
            others = [compare_tab, lecture_tab, blocks_tab, lab_tab, *board_tabs]
            inner, kept = biases.draw(live, Measuring(handlers), asked, others)
        share.draw(worker, handlers, masthead, asked, kept)
        names = (*TABS, *(["board"] if boards else []))
        ways = navigation.draw(tabs, inner, block, folds, unfolded, opens, shown_first, names)
        _relabelled(page, ways)
        endpoints.draw(worker, handlers)
    page.opening, opened = shown_first.file()
    page.files = {**taught_files, **boards, page.opening: opened}
    page.queue(max_size=WAITING, default_concurrency_limit=None)
    return page


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _relabelled(page: gr.Blocks, ways: gr.HTML) -> None:
    """Let the browser ask for gradio's labels in the page's language, where gradio chose another.

    Gradio goes by the browser's language and has no way to be told another.
    """
    found: dict[Any, dict[str, str]] = {
        block: {
            name: text
            for name in ("label", "value", "placeholder")
            if (text := text_of(getattr(block, name, None))) is not None
        }
        for block in page.blocks.values()
    }
    labelled = [block for block, texts in found.items() if texts]

    def relabel(event: gr.EventData) -> list[Any]:
        language = language_of(event.name)
        said: list[dict[str, Any]] = [
            {name: say(text, language) for name, text in found[block].items()} for block in labelled
        ]
        return [gr.update(**one) for one in said]

    listen(ways, "language")(relabel, None, labelled, queue=False, show_progress="hidden", api_visibility="private")


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
    vote: bool = False,
    tools: bool = False,
    sweep: str | None = None,
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
        tools: as for `build`.
        sweep: as for `build`.
        vote: as for `build`; where phones find the page, or why they cannot, is written to stderr.
    """
    give_back()
    remove_when_ended()
    # All that is imported stays: looking through it for what may go, a third of a second, would hold up every answer.
    gc.freeze()
    hosts = Hosts(host, allow_hosts)
    token = hosts.loopback or allow_hub_token
    page = build(models, hosts.loopback, device, True, lessons, token, heads, vote, tools, sweep)
    if vote:
        print(_said_of_votes(hosts, port), file=sys.stderr, flush=True)
    return page.launch(
        server_name=host, server_port=port, inbrowser=open_browser, prevent_thread_lock=not wait, hosts=hosts
    )


def _said_of_votes(hosts: Hosts, port: int | None) -> str:
    """Where a class finds the page with its phones, or why it cannot."""
    if (space := os.environ.get("SPACE_HOST", "").partition(",")[0]) and not hosts.loopback:
        return Message("Class vote: phones find it at {address}", address=f"https://{space}/")
    try:
        return Message("Class vote: phones find it at {address}", address=reachable(f"http://127.0.0.1:{port}/", hosts))
    except ParameterError as error:
        return Message("Class vote: {problem}.", problem=error)
