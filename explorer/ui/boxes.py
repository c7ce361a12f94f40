"""Objects found, for the browser: two scenes, with what each block's model finds in them drawn over the picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from explorer.blocks import short_name
from explorer.detection import decode
from explorer.figures.looks import look_of
from explorer.lab.boxes import ENOUGH, LEAST, SHOWN, boxes_of, precision, scenes, specs, truth
from explorer.lab.findings import in_percent
from explorer.lab.networks import SIZE
from explorer.messages import Message
from explorer.models.model import Model
from explorer.scenes.groups import RenderedGroups
from explorer.ui.answers import Answers
from explorer.ui.request import Failure
from explorer.ui.scene import uri
from explorer.ui.words import dumps

_NO_WEIGHTS = Message("No weights of models that find objects came with this installation, so nothing can be drawn.")
_NOTE = Message(
    "Two scenes of those that average precision (AP) is measured on, which no model was trained on. Thin white: the "
    "objects' exact boxes. In the block's colour: boxes with a score of {least} or more, with class and score; dashed "
    "where the box finds nothing: no object of its class, overlapped by {enough} or more, is left for it. "
    "The boxes are those of one model (seed 0), AP is the mean over seeds with its 95 % interval.",
    least=LEAST,
    enough=ENOUGH,
)


def drawing(answers: Answers, blocks: Sequence[str] = SHOWN) -> str:
    """What assets/web/boxes.js draws, as JSON: real forward passes of the models that find objects."""
    models = specs(blocks)
    if not models:
        return dumps({"scenes": [], "panels": [], "note": _NO_WEIGHTS})
    shown = scenes(SIZE)
    pictures = [
        {"image": uri(image, lossless=True), "boxes": [{"edges": edges, "label": label} for edges, label in true]}
        for image, true in zip(shown.images, truth(shown))
    ]
    panels = [
        _panel(answers, shown, block, model) for block, model in zip(models, answers.several(list(models.values())))
    ]
    return dumps({"scenes": pictures, "panels": panels, "note": _NOTE})


def _panel(answers: Answers, shown: RenderedGroups, block: str, model: Model | Failure) -> dict[str, Any]:
    mean = precision(block)
    told = {
        "block": block,
        "name": short_name(block),
        "colour": look_of(block).colour,
        "precision": "" if mean is None else Message("AP {share}", share=in_percent(mean)),
    }
    if isinstance(model, Failure):
        return {**told, "scenes": [], "problem": model.problem}
    found = boxes_of(decode(answers.logits(model, shown.images).float()), shown)
    counts = [len(one) for one in truth(shown)]
    made = [
        {
            "boxes": [dataclasses.asdict(one) for one in own],
            "said": Message(
                "{found} of {count} objects found; boxes that find nothing: {wrong}",
                found=sum(one.found for one in own),
                count=count,
                wrong=sum(not one.found for one in own),
            ),
        }
        for own, count in zip(found, counts)
    ]
    return {**told, "scenes": made, "problem": ""}
