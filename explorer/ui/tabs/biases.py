"""The tabs of the biases: each measures the models of the first tab, and a last one puts them side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from explorer.images.picture import MAX_BYTES, SUFFIXES
from explorer.messages import ENGLISH, Message, sentences
from explorer.probes import BIASES, QUESTIONS, show
from explorer.probes.categories import CATEGORIES
from explorer.ui import web
from explorer.ui.brought import BESIDE, MOST_BYTES, MOST_FILES
from explorer.ui.examples import strip
from explorer.ui.live import Live
from explorer.ui.measuring import PLOTS, Measuring, described, refused
from explorer.ui.navigation import tells_bias
from explorer.ui.saving import export, figures_of
from explorer.ui.stage import listen, part
from explorer.ui.words import dumps, i18n
from explorer.ui.worker import ANSWERS, DOWNLOADS, MEASUREMENTS, PLACES, UPLOADS, Worker

#: Before figures are written the browser says which address shows them again: the last input but one.
_LINKED = f"async (...given) => {{ const page = await {web.module()}; return given.with(-2, page.address()); }}"
#: What a folder of one's own has to look like, of the biases whose probes read one.
_LAYOUTS = {
    "shape": Message(
        "Expected are cue conflicts: pictures named like cat7-elephant2.png, the shape first and then the texture, "
        "each one of {categories}. Models with the classes of ImageNet answer them. At most {most} files and {size} "
        "MB, a file of at most {file} MB; several zips may come together.",
        categories=", ".join(CATEGORIES),
        most=str(MOST_FILES),
        size=str(MOST_BYTES // 2**20),
        file=str(MAX_BYTES // 2**20),
    ),
    "context": Message(
        "Expected are pictures with their masks beside them: dog.jpg with dog_mask.png, white where the object is; in "
        "folders named by their class where that is known. At most {most} files and {size} MB, a file of at most "
        "{file} MB; several zips may come together.",
        most=str(MOST_FILES),
        size=str(MOST_BYTES // 2**20),
        file=str(MAX_BYTES // 2**20),
    ),
}
_INTRO = Message("Measures the models that are chosen under Compare.")


def draw(
    live: Live, measuring: Measuring, asked: dict[str, Any], others: list[gr.Tab]
) -> tuple[tuple[gr.Tabs, list[gr.Tab]], gr.State]:
    """Lay the tabs out.

    Args:
        live: makes the functions that the browser calls; its worker does what is asked.
        measuring: runs the probes.
        asked: name -> component that says what is measured: models, question, and the page's language.
        others: the page's other tabs; opening one ends what is being measured.

    Returns the tabs with each of them, and the session's results.
    """
    kept = gr.State({})
    running: list[Any] = []
    with gr.Tabs(elem_id="biases") as tabs:
        inner = [
            (bias, tells_bias(gr.Tab(i18n(show.HEADLINES[bias].heading), id=bias), number))
            for number, bias in enumerate(BIASES, 1)
        ]
        last = tells_bias(gr.Tab(i18n("All biases"), id="all"), len(inner) + 1)
    for bias, own in inner:
        with own:
            running.append(_bias(live, measuring, asked, kept, bias))
    with last:
        running.append(_all(live.worker, measuring, asked, kept, last))
    quiet: dict[str, Any] = {"cancels": running, "show_progress": "hidden", "api_visibility": "private"}
    gr.on([one.select for one in (*(own for _, own in inner), last, *others)], None, **quiet)
    return (tabs, [*(own for _, own in inner), last]), kept


def _bias(live: Live, measuring: Measuring, asked: dict[str, Any], kept: gr.State, bias: Any) -> Any:
    controls = part(
        "probe",
        label=Message("{bias}: what to measure", bias=show.HEADLINES[bias].heading),
        events=("open", "measure", "stop"),
        options={"bias": bias, "question": QUESTIONS[bias], "intro": _INTRO, "probes": described(bias)},
        elem_id=f"probe-{bias}",
    )
    if bias in _LAYOUTS:
        _drop(live.worker, measuring, asked["language"], bias)
    state = part(
        "working", "", label=Message("State of the measurement"), elem_id=f"state-{bias}", options={"bias": bias}
    )
    part(
        "examples",
        label=Message("What the models are shown, and what they answer"),
        elem_id=f"examples-{bias}",
        options={"bias": bias},
        live=[live.function("examples", PLACES, partial(strip, measuring))],
    )
    with gr.Row(elem_id=f"plots-{bias}", elem_classes=["bias-plots"], equal_height=False):
        plots = [
            gr.Plot(show_label=False, visible=False, min_width=300, elem_classes=["bias-plot"]) for _ in range(PLOTS)
        ]
    scores = part("sheet", "", label=Message("The measurements in numbers"), elem_id=f"scores-{bias}")
    table = part("sheet", "", label=Message("Comparison"), elem_id=f"table-{bias}")
    with gr.Row(elem_id=f"files-{bias}"):
        write = gr.Button(i18n("Save these figures"), size="sm", scale=0, min_width=240, elem_id=f"save-{bias}")
        link = gr.Textbox(visible="hidden")
        files = gr.File(label="PNG, SVG", file_count="multiple", visible=False, elem_id=f"saved-{bias}")
    worker = live.worker
    write.click(
        worker.event(DOWNLOADS, _saved),
        [kept, controls, link, asked["language"]],
        files,
        js=_LINKED,
        show_progress="hidden",
        api_visibility="private",
    )
    listen(controls, "open")(
        worker.event(ANSWERS, measuring.open),
        inputs_kwargs={"kept": kept, "models": asked["models"], "asked": controls, "language": asked["language"]},
        outputs=[state, kept, scores, table, *plots],
        # Of several probes chosen quickly the last one is shown.
        trigger_mode="always_last",
        show_progress="hidden",
        api_name=f"open_{bias}",
        api_visibility="private",
    )
    event = listen(controls, "measure")(
        worker.event(MEASUREMENTS, measuring.measure),
        inputs_kwargs={"kept": kept, **asked, "asked": controls},
        outputs=[state, kept, scores, table, *plots],
        show_progress="hidden",
        api_name=f"measure_{bias}",
        api_visibility="private",
    )
    event.failure(_failed, outputs=state, show_progress="hidden", api_visibility="private")
    listen(controls, "stop")(None, cancels=[event], show_progress="hidden", api_visibility="private")
    return event


def _drop(worker: Worker, measuring: Measuring, language: gr.Textbox, bias: str) -> None:
    """A place for one's own pictures, which become one of the things that can be measured on."""
    with gr.Accordion(i18n("Your own pictures"), open=False, elem_id=f"bring-{bias}", elem_classes=["bring-set"]):
        brought = part(
            "brought",
            "",
            label=Message("Your own pictures"),
            elem_id=f"brought-{bias}",
            events=("sent",),
            options={
                "bias": bias,
                "layout": _LAYOUTS[bias],
                "endings": [".zip", *SUFFIXES, *BESIDE],
                "most": MOST_FILES,
                "size": MOST_BYTES,
                "single": MAX_BYTES,
            },
        )

    def bring(event: gr.EventData) -> str:
        return measuring.bring(event.files)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    taken = listen(brought, "sent")(worker.event(UPLOADS, bring), [language], brought, **quiet)
    # Whatever went wrong was told; the place is free for others.
    taken.failure(
        lambda: refused(Message("These files could not be read now. Bring them again.")), None, brought, **quiet
    )


def _all(worker: Worker, measuring: Measuring, asked: dict[str, Any], kept: gr.State, tab: gr.Tab) -> Any:
    controls = part(
        "probe",
        label=Message("All biases: what to measure"),
        events=("measure", "stop"),
        options={
            "bias": "all",
            "question": Message("How do the models compare over all biases?"),
            "intro": sentences(
                _INTRO, Message("One probe stands for each bias; what was measured under its own tab counts.")
            ),
            "probes": [],
        },
        elem_id="probe-all",
    )
    state = part("working", "", label=Message("State of the measurement"), elem_id="state-all", options={"bias": "all"})
    scores = part("sheet", "", label=Message("Models and biases"), elem_id="scores-all")
    with gr.Row(elem_classes=["bias-plots"], equal_height=False, elem_id="plots-all"):
        radar = gr.Plot(show_label=False, visible=False, min_width=300, elem_classes=["bias-plot"])
    with gr.Row():
        write = gr.Button(i18n("Export what was measured"), size="sm", scale=0, min_width=240, elem_id="export")
        link = gr.Textbox(visible="hidden")
        files = gr.File(label="CSV, JSON, PNG, HTML", file_count="multiple", visible=False, elem_id="exported")
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    event = listen(controls, "measure")(
        worker.event(MEASUREMENTS, measuring.measure_all),
        inputs_kwargs={"kept": kept, **asked},
        outputs=[state, kept, scores, radar],
        show_progress="hidden",
        api_name="measure_all",
        api_visibility="private",
    )
    event.failure(_failed, outputs=state, **quiet)
    listen(controls, "stop")(None, cancels=[event], **quiet)
    opened = [kept, asked["models"], asked["language"]]
    tab.select(worker.event(ANSWERS, measuring.open_all), opened, [state, kept, scores, radar], **quiet)
    write.click(worker.event(DOWNLOADS, _exported), [kept, link, asked["language"]], files, js=_LINKED, **quiet)
    return event


def _saved(kept: Any, asked: Any, link: Any, language: Any = ENGLISH) -> Any:
    return gr.update(value=figures_of(kept, asked, link, language), visible=True)


def _exported(kept: Any, link: Any) -> Any:
    return gr.update(value=export(kept, link), visible=True)


def _failed() -> str:
    return dumps({"words": "", "share": 1, "notes": [], "finding": "", "models": [], "asked": None})
