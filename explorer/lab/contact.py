"""Contact sheets: what the models are trained on, and where every block looks, to be looked over by eye.

A number over many pictures says how much of a map lies on the object; only looking says what the map looks like.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.attention.mass import placed
from explorer.attention.watch import capture
from explorer.attribution import attribute
from explorer.errors import NoAttentionError
from explorer.figures.looks import look_of
from explorer.figures.results import attention_sheet, attribution_sheet
from explorer.figures.sheet import InputPicture, Panel, Section, Sheet, Words
from explorer.geometry import Point
from explorer.lab.findings import GRADCAM_ON_OBJECT, ON_OBJECT, in_times, marked
from explorer.lab.networks import LabModel, Training
from explorer.lab.summary import Key, SetUp
from explorer.lab.tasks import TRAINING_STREAM
from explorer.messages import Message, listed
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes.stimuli import scenes as unseen
from explorer.scenes import CENTRED, CLASSES, Distribution, draw, render

#: Pictures beside each other, and scenes of a sheet of maps.
_BESIDE, SCENES = 10, 3
#: Pixels of a picture's side on the sheet of scenes: twice what the models see.
_SIDE = 96


def scenes_sheet(count: int, distribution: Distribution = CENTRED) -> Sheet:
    """The first scenes that models of the laboratory are trained on.

    Args:
        count: how many.
        distribution: what the scenes are like.
    """
    drawn = draw(TRAINING_STREAM, torch.arange(count), distribution)
    pictures = [
        InputPicture(CLASSES[label], image)
        for label, image in zip(drawn.label.tolist(), render(drawn, _SIDE).images, strict=True)
    ]
    rows = tuple(tuple(pictures[start : start + _BESIDE]) for start in range(0, count, _BESIDE))
    return Sheet(Message("The first {count} scenes of training", count=count), (Section("", rows),))


def maps_sheet(found: SetUp, blocks: list[str] | None = None) -> Sheet:
    """Where every block looks, layer by layer, and what its answer rests on, in scenes that no model was trained on.

    Args:
        found: the set-up, as it was measured: one whose models tell classes, and ship.
        blocks: which; all if None.

    Below each block stands how much of its maps lies on the object over many scenes, with intervals over seeds.
    """
    shown = unseen(len(CLASSES))[:: len(CLASSES) // SCENES]
    training = cast(Training, found.name)
    sections = []
    for block in found.blocks if blocks is None else blocks:
        model = load(str(LabModel(block, training=training).spec()))
        size = model.input_size[0]
        rows: list[tuple[Panel, ...]] = []
        for scene, image in zip(shown, render(shown, size).images):
            centre = Point((0.5 + scene.dx) * size, (0.5 + scene.dy) * size)
            maps = _maps(model, image)
            sections_of = attention_sheet(maps, image, query=centre).sections if maps else ()
            asked = [panel for section in sections_of for row in section.rows for panel in row]
            based = attribution_sheet(attribute(model, image), image).sections[0].rows[0][1:]
            nothing = [Words(Message("Attention"), Message("This block has no map that lies on the picture."))]
            rows.append((*(asked or [InputPicture(Message("What the model sees"), image), *nothing]), *based))
        sections.append(Section(marked(found, block), tuple(rows), look_of(block).colour, _said(found, block)))
    return Sheet(
        Message("Where each block looks"),
        tuple(sections),
        Message("Times what an even map would have on the object, with the 95 % interval over seeds; 1 is chance."),
    )


def _maps(model: Model, image: Tensor) -> list[AttentionMap]:
    """Those of a model's maps that lie on the picture, one a layer; none of a block that has no map."""
    try:
        return list(placed(capture(model, image)).values())
    except NoAttentionError:
        return []


def _said(found: SetUp, block: str) -> tuple[str, ...]:
    """How much of a block's maps lies on the object, a layer each, and what that says."""
    ratio = Key.of(ON_OBJECT.probe, ON_OBJECT.measure)
    layers = {layer: found.mean(block, Key.of(*ratio[:2], layer=layer)) for layer in found.places(ratio, "layer")}
    told = [
        Message("{layer}: {times}", layer=layer, times=in_times(one))
        for layer, one in layers.items()
        if one is not None
    ]
    lines = [Message("Attention on the object, {layers}.", layers=listed(told, "{first}; {rest}"))] if told else []
    whole = layers.get("all")
    if whole is not None and whole.low is not None and whole.high is not None and whole.low <= 1:
        lines.append(
            Message("Its map is not on the object.")
            if whole.high < 1
            else Message("Its map is not shown to be on the object.")
        )
    based = found.mean(block, GRADCAM_ON_OBJECT)
    if based is not None:
        lines.append(Message("Grad-CAM on the object: {times}.", times=in_times(based)))
    return tuple(lines)
