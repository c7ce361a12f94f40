"""What a probe showed the models, for the browser: some pictures, and what each model answers to them."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import interpolate

from explorer.figures.looks import colours_of, names_of
from explorer.models.model import Model
from explorer.probes import examples
from explorer.probes.stimuli import knows_scenes
from explorer.ui.handlers import checked
from explorer.ui.measuring import Measuring, Wanted
from explorer.ui.scene import uri
from explorer.ui.words import dumps

#: Side of a picture in the strip, px of the page; larger ones are made smaller.
SIDE = 112


def strip(measuring: Measuring, models: Any, question: Any, asked: Any) -> str:
    """What assets/web/examples.js draws, as JSON: {pictures: [{name, image}], models: [{name, colour, answers}]}.

    An answer is {label, p}, the class that the model is most sure of. Of models whose input differs, each
    answers what it is shown itself; the pictures are those of the first. Where nothing is asked for, models of scenes
    and models of photographs are shown different things, and only those answer that are shown what the first is. Both
    lists are empty where the probe changes no picture or serves none of the models.

    Args:
        measuring: has the models, and checks the request.
        models: texts of the models.
        question: what is on the stage.
        asked: the probe, its parameters, and whether it is shown what is on the stage.
    """
    wanted = checked(Wanted.parse, asked)
    live, stage = measuring.asked(models, question)
    with measuring.answers.turn_to_compute():
        source = measuring.shown_to(wanted, stage)
        shown = checked(lambda name: examples(name, live, source, **wanted.parameters), wanted.name)
    texts = [str(model.spec) for model in live]
    names, colours = names_of(texts), colours_of(texts)
    of_scenes = next((knows_scenes(model) for model, own in zip(live, shown) if own), False)
    rows = [
        {"name": names[text], "colour": colour, "answers": _answers(measuring, model, own)}
        for text, colour, model, own in zip(texts, colours, live, shown)
        if own and not model.headless and (source is not None or knows_scenes(model) == of_scenes)
    ]
    pictures = next((own for own in shown if own), ())
    drawn = [{"name": one.name, "image": uri(_small(one.image), lossless=True)} for one in pictures]
    return dumps({"pictures": drawn, "models": rows})


def _answers(measuring: Measuring, model: Model, own: Any) -> list[dict[str, Any]]:
    """What a model answers to each of its pictures."""
    logits = measuring.answers.logits(model, torch.stack([one.image for one in own]))
    p = model.head.probabilities(logits.float())
    leading = model.head.leading(p)
    found = model.head.p_of(p, leading)
    return [
        {"label": model.label(place), "p": round(value, 4)} for place, value in zip(leading.tolist(), found.tolist())
    ]


def _small(image: torch.Tensor) -> torch.Tensor:
    """A picture (3, H, W), made smaller where it is larger than the strip shows it."""
    height, width = image.shape[1:]
    if max(height, width) <= SIDE:
        return image.cpu()
    scale = SIDE / max(height, width)
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    return interpolate(image[None].cpu(), size, mode="bilinear", antialias=True, align_corners=False)[0]
