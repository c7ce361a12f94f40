"""The first tab: one picture, one move, several models side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.blocks import BLOCKS, short_name
from explorer.figures.sheet import PALETTES
from explorer.images import alt_text, photographs, read_image, samples
from explorer.lab import networks
from explorer.messages import Message
from explorer.models.sets import matched_set, matched_sets
from explorer.registry import question
from explorer.scenes import PRESETS, Scene
from explorer.ui import places
from explorer.ui.cards import cards
from explorer.ui.controls import methods, moves
from explorer.ui.handlers import Handlers
from explorer.ui.live import Live
from explorer.ui.scene import fields, layers, presets
from explorer.ui.stage import Opening, listen, part
from explorer.ui.words import i18n
from explorer.ui.worker import ANSWERS, ATTRIBUTIONS, PLACES, UPLOADS, Worker
from explorer.view import DEFAULT_METHOD, MAX_MODELS


def draw(
    worker: Worker,
    live: Live,
    handlers: Handlers,
    language: gr.Textbox,
    opening: Opening,
    models: Sequence[str],
    names: Sequence[str],
    ready: bool = False,
) -> dict[str, Any]:
    """Lay the tab out inside the Blocks that are being built.

    Args:
        worker: does what is asked.
        live: makes what the browser asks while something moves.
        handlers: the tab's events.
        language: holds the page's language.
        opening: takes what the first view is drawn from.
        models: specs on opening.
        names: model names for the search.
        ready: answer the first question now, so that the page comes with its first view.

    Returns name -> component of what is asked here: models, question and language.
    """
    shown, _ = next(iter(PRESETS.values()))
    # Models of photographs are met with a photograph.
    scene_first = any(text.startswith("lab/") for text in models)
    trained = networks.available()
    first = {"scene": dataclasses.asdict(shown) if scene_first else None, "picture": next(iter(samples()))}
    with gr.Row(elem_id="workbench", equal_height=False):
        with gr.Column(elem_id="bench", scale=0, min_width=300):
            part(
                "scene",
                opening=opening,
                first=layers(shown),
                label=Message("What is shown"),
                elem_id="scene",
                skeleton=_SCENE_SKELETON,
                live=[live.function("layers", ANSWERS, handlers.layers)],
            )
            part(
                "samples",
                opening=opening,
                label=Message("Scenes and photographs"),
                elem_id="samples",
                options={
                    "scenes": presets(),
                    "photographs": [
                        {"name": name, "alt": alt_text(name), "image": _thumbnail(path)}
                        for name, path in photographs().items()
                    ],
                    # Those of lessons are shown too, without a tile of their own.
                    "pictures": list(samples()),
                },
            )
            picture = gr.Image(
                sources=["upload", "clipboard", "webcam"],
                label=i18n("Your own picture"),
                show_label=False,
                buttons=[],
                height=96,
                elem_id="picture",
                placeholder=i18n("Drop or paste your own picture, or click"),
            )
            controls = part(
                "controls",
                label=Message("Controls"),
                elem_id="controls",
                options={
                    "moves": moves(),
                    "methods": methods(),
                    "method": DEFAULT_METHOD,
                    "scene": fields(),
                    "blank": dataclasses.asdict(Scene()),
                },
                value=first,
                events=("compute", "cancel"),
                opening=opening,
                first=first,
            )
            part(
                "places",
                label=Message("Answers wherever it is moved"),
                elem_id="places",
                options={"side": places.SIDE},
                live=[live.function("row", PLACES, partial(places.row, handlers))],
            )
        with gr.Column(elem_id="answers", scale=1, min_width=320):
            chosen = part(
                "models",
                list(models),
                label=Message("Models"),
                elem_id="models",
                opening=opening,
                first=list(models),
                options={
                    "most": MAX_MODELS,
                    "names": "\n".join([*trained, *names]),
                    "short": [*(name for name in trained if "#" not in name), *SHORT_LIST],
                    "lab": list(trained),
                    "blocks": [[name, question(block), short_name(name)] for name, block in BLOCKS.items()],
                },
            )
            stage = part(
                "stage",
                opening=opening,
                first=handlers.answer(list(models), first) if ready else None,
                label=Message("Answers"),
                elem_id="stage",
                options={"palettes": {name: list(anchors) for name, anchors in PALETTES.items()}},
                skeleton=_SKELETON,
                live=[
                    live.function("answer", ANSWERS, handlers.answer),
                    live.function("bank", ANSWERS, handlers.bank),
                ],
            )
            file = gr.UploadButton(
                i18n("Load a fitted block (.safetensors)"),
                file_types=[".safetensors"],
                type="filepath",
                size="sm",
                elem_id="bring",
            )
    part(
        "sets",
        label=Message("Matched sets"),
        elem_id="sets",
        options={"sets": [dataclasses.asdict(one) for one in matched_sets().values()]},
        live=[live.function("columns", PLACES, columns)],
    )
    part(
        "cards",
        label=Message("What the laboratory found"),
        elem_id="cards",
        live=[live.function("cards", ANSWERS, cards)],
    )
    progress = part("progress", label="", elem_id="progress")
    own = part("own", "", label="", elem_id="own")

    asked = {"models": chosen, "question": controls, "language": language}
    picture.input(
        worker.event(UPLOADS, handlers.choose),
        inputs=[picture, language],
        outputs=[own, picture],
        preprocess=False,  # `choose` reads the file, within its limits
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    bring = worker.event(UPLOADS, handlers.bring)
    # The browser asks what the model says as soon as it hears of it.
    file.upload(bring, [file, chosen, language], chosen, show_progress="hidden", api_visibility="private")
    computing = listen(controls, "compute")(
        worker.event(ATTRIBUTIONS, handlers.attribute),
        inputs_kwargs=asked,
        outputs=[stage, progress],
        show_progress="hidden",
        api_name="attribute",
        api_visibility="private",
    )
    # An error must not leave the bar standing.
    computing.failure(_over, outputs=progress, show_progress="hidden", api_visibility="private")
    listen(controls, "cancel")(None, cancels=[computing], api_visibility="private")
    return asked


def _over() -> dict[str, Any]:
    return {"share": 1.0, "model": ""}


def columns(name: str) -> dict[str, Any]:
    """What the models of a matched set have of their own, and what differs besides."""
    columns = matched_set(name).columns()
    return {"name": name, "columns": [{"title": title, "values": values} for title, values in columns.items()]}


def _thumbnail(path: Path) -> str:
    import base64
    import io

    from PIL import ImageOps

    file = io.BytesIO()
    ImageOps.fit(read_image(path).image, (112, 112)).save(file, "WEBP", quality=75, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


#: Models for a first choice; any other name can be typed.
SHORT_LIST: tuple[str, ...] = (
    "random/vit_tiny_patch16_224",
    "random/resnet18+mhsa@3",
    "random/resnet18+coord@3",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "deit_tiny_distilled_patch16_224.fb_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "resnet50.a1_in1k",
    "resnet50.a1_in1k+mhsa@3",
    "convnext_tiny.fb_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "mobilenetv4_hybrid_medium.ix_e550_r256_in1k",
    "mobilevitv2_100.cvnets_in1k",
    "maxvit_tiny_tf_224.in1k",
    "xcit_tiny_12_p16_224.fb_in1k",
    "pvt_v2_b0.in1k",
)

_SCENE_SKELETON = '<div class="large"></div><div class="seen"></div>'
_SKELETON = (
    '<div class="skeleton" role="status"><p></p><div class="ghost-row"></div><div class="ghost-row"></div></div>'
)
