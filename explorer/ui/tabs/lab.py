"""The tab of the laboratory: what each block's bias did to models that differ in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from statistics import mean
from typing import Any

import gradio as gr

from explorer.figures.interactive import separate
from explorer.figures.looks import look_of
from explorer.figures.sheet import Chart
from explorer.lab.findings import LEARNT_PERCENT, SET_UPS, cell, findings, marked, measured
from explorer.lab.judging import VERDICTS, Judged, shipped_claims
from explorer.lab.networks import LabModel, manifest
from explorer.lab.second_look import COLUMNS, about, second_look, table
from explorer.lab.sheets import charts
from explorer.lab.summary import CONTROL, set_up_of, shipped, shipped_blocks
from explorer.lab.table import FILE
from explorer.lab.tasks import TASKS
from explorer.messages import ENGLISH, Message, encoded, language_of, listed, ranged, say
from explorer.models.spec import ModelSpec
from explorer.probes.charting import percent
from explorer.resources import asset
from explorer.ui.answers import Answers
from explorer.ui.boxes import drawing
from explorer.ui.cards import large, tables
from explorer.ui.live import Live
from explorer.ui.navigation import tells_fold
from explorer.ui.stage import part
from explorer.ui.telling import told
from explorer.ui.words import dumps, i18n, translated_panel
from explorer.ui.worker import ANSWERS, Worker

#: The panels in the order of the page: two that stand beside each other are equally high.
ORDER = (
    "in distribution",
    "arrangement",
    "translation",
    "scale",
    "shape",
    "context",
    "patch-shuffle",
    "maps",
    "detection",
)
_INTRO = Message(
    "Small networks that differ in one block alone, trained alike from several seeds on scenes with the object in the "
    "centre at one size. What they do with scenes unlike those is the bias that the block brought in."
)
_HOW = Message(
    "Bands and bars are 95 % intervals over seeds; hollow marks and ~ say: not shown to differ from the control, which "
    "mixes nothing. That is no proof of sameness: few seeds show large differences only."
)
#: What is closed at first; a link opens it by its name.
_FOLDS: Mapping[str, str] = {
    "detection": Message("Objects found, with their boxes"),
    "measurements": Message("All measurements"),
}
_NO_TABLE = Message("No table of measurements came with this installation. `explorer lab evaluate` writes one.")


def draw(
    worker: Worker, live: Live, answers: Answers, tab: gr.Tab, language: gr.Textbox, unfolded: gr.Textbox
) -> dict[str, gr.Accordion]:
    """Lay the tab out.

    Args:
        worker: does what is asked.
        live: makes what the browser asks.
        answers: has the models that draw boxes.
        tab: figures are drawn when it is opened, not before.
        language: holds the page's language.
        unfolded: changes where a link opens what is closed at first.

    Returns name -> what is closed at first.
    """
    offered = there()
    with gr.Column(elem_id="lab"):
        if not offered:
            gr.Markdown(i18n(_NO_TABLE))
            return {}
        intro = gr.Markdown(_INTRO, elem_id="lab-intro")
        found = [
            part("findings", "", label=Message("What the laboratory found"), elem_id="lab-found"),
            part("factors", "", label=Message("Architecture or training?"), elem_id="lab-factors"),
            part("claims", "", label=Message("What is said of these blocks"), elem_id="lab-claims"),
        ]
        folds = {
            name: tells_fold(gr.Accordion(i18n(label), open=False, elem_id=f"lab-{name}"), name)
            for name, label in _FOLDS.items()
        }
        with folds["detection"]:
            part(
                "boxes",
                label=_FOLDS["detection"],
                elem_id="lab-boxes",
                live=[live.function("boxes", ANSWERS, partial(drawing, answers))],
            )
        with folds["measurements"]:
            with gr.Row(equal_height=False, elem_id="lab-choice"):
                set_up = gr.Radio(offered, value=offered[0], label=i18n("Training"), scale=0, min_width=350)
                blocks = blocks_of(offered[0])
                chosen = gr.CheckboxGroup(blocks, value=blocks, label=i18n("Blocks"), scale=1)
            how = gr.Markdown(_HOW, elem_id="lab-how")
            sheet = part("sheet", "", label=Message("Measurements in short"), elem_id="lab-sheet")
            with gr.Row(elem_id="lab-panels", equal_height=False):
                plots = [gr.Plot(show_label=False, elem_classes=["panel-of-lab"], min_width=440) for _ in ORDER]
            said = gr.Markdown(elem_id="lab-findings")
            again = part("sheet", "", label=Message("Findings and a second look"), elem_id="lab-second-look")
            runs = part("sheet", "", label=Message("The models and their training"), elem_id="lab-runs")
            with gr.Row():
                gr.DownloadButton(
                    i18n("Download the table, Parquet"),
                    str(asset("lab", FILE)),
                    size="sm",
                    scale=0,
                    min_width=250,
                )
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    renewed = set_up.input(
        worker.event(ANSWERS, _offered), [set_up, language], chosen, api_visibility="private", **quiet
    )

    def named(language: Any) -> tuple[str, str, Any]:
        language = language_of(language)
        choices = [(say(words, language), words) for words in offered]
        return say(_INTRO, language), say(_HOW, language), gr.update(choices=choices)

    tab.select(named, language, [intro, how, set_up], api_visibility="private", **quiet)
    tab.select(worker.event(ANSWERS, first), None, found, api_visibility="private", **quiet)
    # The words come at once, the figures when they are drawn.
    for fill, outputs, name in (
        (tell, [said, sheet, again, runs], "laboratory"),
        (paint, plots, "laboratory_figures"),
    ):
        asked = [set_up, chosen, language]
        filled = worker.event(ANSWERS, fill)
        gr.on(
            [folds["measurements"].expand, unfolded.change, chosen.input],
            filled,
            asked,
            outputs,
            api_name=name,
            api_visibility="private",
            **quiet,
        )
        renewed.then(filled, asked, outputs, api_visibility="private", **quiet)
    return folds


def first() -> tuple[str, str, str]:
    """What the tab opens with, as JSON: the largest findings, the tables of blocks and trainings, the claims."""
    return large(), tables(), board()


def there() -> list[str]:
    """The set-ups that were measured, in words."""
    return [words for key, words in SET_UPS.items() if key in shipped_blocks()]


def blocks_of(set_up: str) -> list[str]:
    """The blocks that were measured in a set-up."""
    return list(shipped_blocks().get(_key(set_up), ()))


def tell(set_up: Any, blocks: Any, language: Any = ENGLISH) -> tuple[str, str, str, str]:
    """Say what a set-up's numbers are.

    Returns findings in Markdown, and as JSON the short table, the second look at findings and the runs.
    """
    name = _key(set_up)
    wanted = _wanted(set_up, blocks)
    plain = shipped("centred") if name == "aug" else None
    found = [say(one, language_of(language)) for one in findings(shipped(name), plain)]
    heading = say(Message("What the numbers say"), language_of(language))
    said = "\n".join([f"### {heading}", "", *(f"- {_escaped(one)}" for one in found)])
    return said, short(name, wanted), looked_again(name), trained(name, wanted)


def paint(set_up: Any, blocks: Any, language: Any = ENGLISH) -> list[Any]:
    """Draw a set-up: a figure for each panel that it has."""
    drawn = _charts(_key(set_up), _wanted(set_up, blocks))
    return [gr.update(visible=False) if one is None else _figure(one, language_of(language)) for one in drawn]


def _figure(chart: Chart, language: str) -> Any:
    drawn = separate(translated_panel(chart, language)).update_layout(meta=encoded({"told": told(chart)}))
    return gr.update(value=drawn, visible=True)


@lru_cache(maxsize=32)
def _charts(set_up: str, blocks: tuple[str, ...]) -> tuple[Chart | None, ...]:
    drawn = charts(shipped(set_up), blocks)
    return tuple(drawn.get(name) for name in ORDER)


def _wanted(set_up: Any, blocks: Any) -> tuple[str, ...]:
    """Those blocks that were measured, in their order."""
    chosen = blocks if isinstance(blocks, list) else []
    return tuple(block for block in blocks_of(set_up) if block in chosen)


def short(set_up: str, blocks: Sequence[str]) -> str:
    """The short table as JSON: a row a block, a column a bias."""
    found = shipped(set_up)
    rows, headlines = [], measured(found)
    judged = [found.against_control(headline.key) for headline in headlines]
    for block in blocks:
        cells = []
        for headline, verdicts in zip(headlines, judged):
            one = found.mean(block, headline.key)
            alike = block in verdicts and verdicts[block].shown is False
            cells.append({"text": "–" if one is None else cell(one, headline), "alike": alike})
        rows.append({"name": marked(found, block), "colour": look_of(block).colour, "cells": cells})
    notes = [
        Message(
            "Accuracy, shape bias and AP in %, BG-gap in points, maps as a multiple of an even spread; in brackets "
            "the 95 % interval. ~: not shown to differ from the control '{control}' (t tests paired by seed, "
            "Holm's correction for the blocks of a column). –: there is none. †: its models are right on less than "
            "{learnt} % of the scenes and have not learnt the task whole.",
            control=CONTROL,
            learnt=LEARNT_PERCENT,
        )
    ]
    return _sheet(Message("Measurements in short"), [headline.name for headline in headlines], rows, notes)


@lru_cache(maxsize=8)
def looked_again(set_up: str) -> str:
    """What was found on the first seeds and on the others, as JSON; "" where there is no second look."""
    found = second_look(shipped(set_up))
    if not found:
        return ""
    rows = [
        {"name": name, "colour": _PLAIN, "cells": [{"text": columns[held] or "–"} for held in COLUMNS]}
        for name, columns in table(found)
    ]
    more = {"first": Message("effect"), "words": True}
    return _sheet(Message("Findings and a second look"), list(COLUMNS.values()), rows, about(found), more)


@lru_cache(maxsize=1)
def board() -> str:
    """The claims by their verdicts, as JSON: each with the test that decided, and all its tests."""
    judged = shipped_claims()
    groups = []
    for verdict, words in VERDICTS.items():
        if own := [one for one in judged if one.verdict == verdict]:
            groups.append({"verdict": words, "colour": _COLOURS[verdict], "claims": [_claim(one) for one in own]})
    note = Message(
        "Each claim, its tests and what has to be exceeded were fixed before the models of seeds 4 to 7 were "
        "measured, and those judge where there are eight seeds. In brackets the 95 % interval over seeds. A claim "
        "is supported where each of its tests is, contradicted where one is (t tests, Holm's correction for all "
        "claims); undecided says that these seeds cannot tell. Below a claim stands the test that decided; opened, it "
        "shows all."
    )
    return dumps({"title": Message("What is said of these blocks"), "groups": groups, "note": note})


def _claim(one: Judged) -> dict[str, Any]:
    tests = [Message("{what}: {effect}", what=test.says, effect=test.effect) for test in one.results]
    decides = next((test for test in one.results if test.verdict == one.verdict), one.results[0])
    return {"sentence": one.claim.sentence, "what": decides.says, "effect": decides.effect, "tests": tests}


#: Colours of verdicts.
_PLAIN = "#888888"
_COLOURS = {"supported": "#1B7837", "contradicted": "#B2182B", "undecided": _PLAIN, "not tested": "#DDDDDD"}


def trained(set_up: str, blocks: Sequence[str]) -> str:
    """The table of runs as JSON: what each model is and what its training took; and the recipe."""
    records: dict[str, list[Any]] = {block: [] for block in blocks}
    for spec, record in manifest().items():
        model = LabModel.of(ModelSpec.parse(spec))
        if model.block in records and set_up_of(model) == set_up:
            records[model.block].append(record)
    rows = []
    for block, own in records.items():
        if not own:
            continue
        right = [100 * one["accuracy"][TASKS[one["backbone"]].headline] for one in own]
        seconds = [one["seconds"] for one in own]
        texts = [
            f"{own[0]['parameters']:,}".replace(",", " "),
            str(own[0]["width"]),
            str(len(own)),
            ranged(f"{mean(right):.1f}", *((f"{end(right):.1f}" if len(own) > 1 else None) for end in (min, max))),
            f"{mean(seconds):.0f}",
        ]
        rows.append({"name": block, "colour": look_of(block).colour, "cells": [{"text": text} for text in texts]})
    columns = [
        Message("parameters"),
        Message("MLP width"),
        Message("seeds"),
        Message("AP50, % (least to most)") if set_up == "detect" else Message("accuracy, % (least to most)"),
        Message("s per run"),
    ]
    every = [one for own in records.values() for one in own]
    return _sheet(Message("The models and their training"), columns, rows, _recipe(every) if every else [])


def _each(records: Sequence[Any], name: str, form: str) -> str:
    """What recipes have for a field; where they differ, which blocks have which."""
    blocks: dict[str, list[str]] = {}
    for record in records:
        blocks.setdefault(form.format(record["recipe"][name]).replace(",", " "), []).append(record["block"])
    if len(blocks) == 1:
        return next(iter(blocks))
    usual, *others = sorted(blocks, key=lambda value: -len(blocks[value]))
    return listed(
        [usual, *(_of(value, ", ".join(dict.fromkeys(blocks[value]))) for value in others)], "{first}; {rest}"
    )


def _of(value: str, blocks: str) -> str:
    return Message("{value} for {blocks}", value=value, blocks=blocks)


def _recipe(every: Sequence[Any]) -> list[str]:
    record = every[0]
    recipe = record["recipe"]
    scenes = recipe["distribution"]
    low, high = scenes["scales"]
    return [
        Message(
            "Recipe: {images} scenes, each seen once, in batches of {batch}; AdamW with a highest rate of {rate} and "
            "a decay of {decay}, gradients clipped at {clip}.",
            images=_each(every, "images", "{:,}"),
            batch=recipe["batch"],
            rate=_each(every, "rate", "{:g}"),
            decay=f"{recipe['decay']:g}",
            clip=f"{recipe['clip']:g}",
        ),
        Message(
            "Scenes: texture agrees with the class in {texture_agreement}, background in {background_agreement}; "
            "objects within {shift} of the frame from the centre, {low} to {high} x the size, turned by at most "
            "{angle}°.",
            texture_agreement=percent(scenes["texture_agreement"]),
            background_agreement=percent(scenes["background_agreement"]),
            shift=percent(scenes["shift"]),
            low=f"{low:g}",
            high=f"{high:g}",
            angle=f"{scenes['angle']:g}",
        ),
        Message(
            "Trained on {device}, in {dtype}, with torch {torch} and timm {timm}; accuracy on {record} scenes "
            "that none was trained on.",
            device=record["device"],
            dtype=record["dtype"],
            torch=record["versions"]["torch"],
            timm=record["versions"]["timm"],
            record=record["n"],
        ),
    ]


def _sheet(
    title: str, columns: Sequence[str], rows: Sequence[Any], notes: Sequence[str], more: Mapping[str, Any] | None = None
) -> str:
    return dumps({"title": title, "columns": columns, "rows": rows, "notes": notes, **(more or {})})


def _offered(set_up: Any) -> Any:
    """The blocks of a set-up, all chosen."""
    blocks = blocks_of(set_up)
    return gr.update(choices=blocks, value=blocks)


def _key(set_up: Any) -> str:
    for key, words in SET_UPS.items():
        if words == set_up:
            return key
    raise gr.Error(Message("There is no such set-up."), print_exception=False)


def _escaped(text: str) -> str:
    """A sentence whose signs Markdown leaves alone."""
    return "".join(f"\\{sign}" if sign in "*_~<>[]`#|" else sign for sign in text)
