"""The tab of the laboratory: what each block's bias did to models that differ in nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from statistics import mean
from typing import Any

import gradio as gr

from explorer.figures.interactive import separate
from explorer.figures.looks import look_of
from explorer.figures.sheet import Chart
from explorer.lab.findings import HEADLINES, cell, findings
from explorer.lab.networks import LabModel, manifest
from explorer.lab.sheets import charts
from explorer.lab.summary import CONTROL, set_ups, shipped
from explorer.lab.table import FILE, load_table
from explorer.models.spec import ModelSpec
from explorer.resources import asset
from explorer.ui.measuring import told
from explorer.ui.stage import part
from explorer.ui.words import ENGLISH, i18n, language_of, translated_panel
from explorer.ui.worker import ANSWERS, Worker

#: Set-ups in words: (backbone, augmented) -> what stands on its button.
SET_UPS = {
    ("metaformer", False): "MetaFormer",
    ("metaformer", True): "MetaFormer, trained with shifts and sizes",
    ("resnet", False): "ResNet",
}
#: The panels in the order of the page: two that stand beside each other are equally high.
ORDER = ("in distribution", "arrangement", "translation", "scale", "shape", "context", "patch-shuffle", "maps")
_INTRO = (
    "Small networks that differ in one block alone, trained alike from several seeds on scenes with the object in the "
    "centre at one size. What they do with scenes unlike those is the bias that the block brought in. Bands and bars "
    "are 95 % intervals over seeds; hollow marks and ~ say: not shown to differ from the control, which mixes nothing."
    " That is no proof of sameness: three seeds show large differences only."
)
_NO_TABLE = "No table of measurements came with this installation. `explorer lab evaluate` writes one."


def draw(worker: Worker, tab: gr.Tab, language: gr.Textbox) -> None:
    """Lay the tab out.

    Args:
        worker: does what is asked.
        tab: figures are drawn when it is opened, not before.
        language: holds the page's language.
    """
    offered = there()
    with gr.Column(elem_id="lab"):
        gr.Markdown(i18n(_INTRO), elem_id="lab-intro")
        if not offered:
            gr.Markdown(i18n(_NO_TABLE))
            return
        with gr.Row(equal_height=False, elem_id="lab-choice", elem_classes=["say"]):
            set_up = gr.Radio(offered, value=offered[0], label=i18n("Backbone and training"), scale=0, min_width=350)
            chosen = gr.CheckboxGroup(blocks_of(offered[0]), value=blocks_of(offered[0]), label=i18n("Blocks"), scale=1)
        sheet = part("sheet", "", label="Measurements in short", elem_id="lab-sheet")
        with gr.Row(elem_id="lab-panels", equal_height=False):
            plots = [gr.Plot(show_label=False, elem_classes=["panel-of-lab"], min_width=440) for _ in ORDER]
        said = gr.Markdown(elem_id="lab-findings", elem_classes=["say"])
        runs = part("sheet", "", label="The models and their training", elem_id="lab-runs")
        with gr.Row(elem_classes=["say"]):
            gr.DownloadButton("Download the table, Parquet", str(asset("lab", FILE)), size="sm", scale=0, min_width=250)
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    renewed = set_up.input(worker.event(ANSWERS, _offered), set_up, chosen, api_visibility="private", **quiet)
    # The words come at once, the figures when they are drawn.
    for fill, outputs, name in ((tell, [said, sheet, runs], "laboratory"), (paint, plots, "laboratory_figures")):
        asked = [set_up, chosen, *([language] if fill is paint else [])]
        filled = worker.event(ANSWERS, fill)
        gr.on([tab.select, chosen.input], filled, asked, outputs, api_name=name, **quiet)
        renewed.then(filled, asked, outputs, api_visibility="private", **quiet)


def there() -> list[str]:
    """The set-ups that were measured, in words."""
    measured = set_ups(load_table())
    return [words for key, words in SET_UPS.items() if key in measured]


def blocks_of(set_up: str) -> list[str]:
    """The blocks that were measured in a set-up."""
    return shipped(*_key(set_up)).blocks


def tell(set_up: Any, blocks: Any) -> tuple[str, str, str]:
    """Say what a set-up's numbers are: findings in Markdown, the short table and the runs as JSON."""
    backbone, augmented = _key(set_up)
    wanted = _wanted(set_up, blocks)
    plain = shipped(backbone, False) if augmented else None
    lines = (f"- {_escaped(sentence)}" for sentence in findings(shipped(backbone, augmented), plain))
    said = "\n".join(["### What the numbers say", "", *lines])
    return said, short(backbone, augmented, wanted), trained(backbone, augmented, wanted)


def paint(set_up: Any, blocks: Any, language: Any = ENGLISH) -> list[Any]:
    """Draw a set-up: a figure for each panel."""
    drawn = _charts(*_key(set_up), _wanted(set_up, blocks))
    return [
        separate(translated_panel(one, language_of(language))).update_layout(meta={"told": told(one)}) for one in drawn
    ]


@lru_cache(maxsize=32)
def _charts(backbone: str, augmented: bool, blocks: tuple[str, ...]) -> tuple[Chart, ...]:
    drawn = charts(shipped(backbone, augmented), blocks)
    return tuple(drawn[name] for name in ORDER)


def _wanted(set_up: Any, blocks: Any) -> tuple[str, ...]:
    """Those blocks that were measured, in their order."""
    chosen = blocks if isinstance(blocks, list) else []
    return tuple(block for block in blocks_of(set_up) if block in chosen)


def short(backbone: str, augmented: bool, blocks: Sequence[str]) -> str:
    """The short table as JSON: a row a block, a column a bias."""
    found = shipped(backbone, augmented)
    rows = []
    judged = [found.against_control(headline.key) for headline in HEADLINES]
    for block in blocks:
        cells = []
        for headline, verdicts in zip(HEADLINES, judged):
            one = found.mean(block, headline.key)
            alike = block in verdicts and verdicts[block].shown is False
            cells.append({"text": "–" if one is None else cell(one, headline), "alike": alike})
        rows.append({"name": block, "colour": look_of(block).colour, "cells": cells})
    notes = [
        "Accuracy and shape bias in %, BG-gap in points, maps as a multiple of an even spread; in brackets the 95 % "
        f"interval. ~: not shown to differ from the control '{CONTROL}' (t tests paired by seed, Holm's correction for "
        "the blocks of a column). –: there is none."
    ]
    return _sheet("Measurements in short", [headline.name for headline in HEADLINES], rows, notes)


def trained(backbone: str, augmented: bool, blocks: Sequence[str]) -> str:
    """The table of runs as JSON: what each model is and what its training took; and the recipe."""
    records: dict[str, list[Any]] = {block: [] for block in blocks}
    for spec, record in manifest().items():
        model = LabModel.of(ModelSpec.parse(spec))
        if model.block in records and (model.backbone, model.augmented) == (backbone, augmented):
            records[model.block].append(record)
    rows = []
    for block, own in records.items():
        if not own:
            continue
        right = [100 * one["accuracy"]["in distribution"] for one in own]
        seconds = [one["seconds"] for one in own]
        texts = [
            f"{own[0]['parameters']:,}".replace(",", " "),
            str(own[0]["width"]),
            str(len(own)),
            f"{mean(right):.1f}" + (f" ({min(right):.1f} to {max(right):.1f})" if len(own) > 1 else ""),
            f"{mean(seconds):.0f}",
        ]
        rows.append({"name": block, "colour": look_of(block).colour, "cells": [{"text": text} for text in texts]})
    width = "width of stage 4" if backbone == "resnet" else "MLP width"
    columns = ["parameters", width, "seeds", "accuracy, % (least to most)", "s per run"]
    every = [one for own in records.values() for one in own]
    return _sheet("The models and their training", columns, rows, _recipe(every[0]) if every else [])


def _recipe(record: Any) -> list[str]:
    recipe = record["recipe"]
    scenes = recipe["distribution"]
    low, high = scenes["scales"]
    return [
        f"Recipe, the same for every block: {recipe['images']} scenes, {recipe['epochs']} epochs, batches of "
        f"{recipe['batch']}, AdamW with a highest rate of {recipe['rate']:g} and a decay of {recipe['decay']:g}, "
        f"gradients clipped at {recipe['clip']:g}.",
        f"Scenes: texture agrees with the class in {scenes['texture_agreement']:.0%}, background in "
        f"{scenes['background_agreement']:.0%}; objects within {scenes['shift']:.0%} of the frame from the centre, "
        f"{low:g} to {high:g} x the size, turned by at most {scenes['angle']:g}°.".replace("%", " %"),
        f"Trained on {record['device']}, in {record['dtype']}, with torch {record['versions']['torch']} and timm "
        f"{record['versions']['timm']}; accuracy on {record['n']} scenes that none was trained on.",
    ]


def _sheet(title: str, columns: Sequence[str], rows: Sequence[Any], notes: Sequence[str]) -> str:
    return json.dumps({"title": title, "columns": columns, "rows": rows, "notes": notes})


def _offered(set_up: Any) -> Any:
    """The blocks of a set-up, all chosen."""
    blocks = blocks_of(set_up)
    return gr.update(choices=blocks, value=blocks)


def _key(set_up: Any) -> tuple[str, bool]:
    for key, words in SET_UPS.items():
        if words == set_up:
            return key
    raise gr.Error("There is no such set-up.", print_exception=False)


def _escaped(text: str) -> str:
    """A sentence whose signs Markdown leaves alone."""
    return "".join(f"\\{sign}" if sign in "*_~<>[]`#|" else sign for sign in text)
