"""What the laboratory's networks learn, from which pictures, and how well they have: classes, or where objects are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer import scenes
from explorer.lab import detection
from explorer.lab.networks import MEAN, SIZE, STD
from explorer.lab.pool import Pool, groups, singles
from explorer.scenes import AUGMENTED, CLASSES, Distribution

#: Seed of the stream of training scenes, the same for every model, and of the scenes that training is judged on.
TRAINING_STREAM, JUDGING_STREAM = 1, 2
#: Scenes that a finished run is judged on, in each condition.
JUDGED = 1000
_AT_ONCE = 250


def normalised(images: Tensor) -> Tensor:
    """Bring uint8 pictures to what the networks read."""
    return (images.float() / 255 - MEAN) / STD


@dataclass(frozen=True)
class Task:
    """One thing to learn.

    Attributes:
        pictures: (stream, distribution, count, folder, device) to the pictures and what is true of them.
        loss: of a network's answers, given the truth of the batch.
        judge: a network on a device to its scores, held-out scenes.
        headline: the score that stands for all.
    """

    pictures: Callable[[int, Distribution, int, Path, torch.device], Pool]
    loss: Callable[[Tensor, Mapping[str, Tensor]], Tensor]
    judge: Callable[[nn.Module, torch.device], dict[str, float]]
    headline: str


def _class_loss(answers: Tensor, truth: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(answers, truth["labels"])


@lru_cache(maxsize=2)
def _conditions(count: int) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Scenes to judge on: condition -> (count, 3, 48, 48) uint8 and the classes that are counted."""
    which = torch.arange(count)
    own = scenes.draw(JUDGING_STREAM, which)
    classes = len(CLASSES)
    other = (own.label + 1 + which % (classes - 1)) % classes
    third = (other + 1 + (other + 1 == own.label).long()) % classes
    conflict = own.changed(texture=other, background=third)
    shown: dict[str, tuple[Any, Tensor]] = {
        "in distribution": (own, own.label),
        "shifted right 8 px": (own.moved(dx=8 / SIZE), own.label),
        "shifted left 8 px": (own.moved(dx=-8 / SIZE), own.label),
        "scale 0.6": (own.moved(zoom=0.6), own.label),
        "scale 1.4": (own.moved(zoom=1.4), own.label),
        "background of the class": (own.changed(background=own.label), own.label),
        "background of another class": (own.changed(background=other), own.label),
        "cue conflict, shape": (conflict, own.label),
        "cue conflict, texture": (conflict, other),
        "augmented": (drawn := scenes.draw(JUDGING_STREAM, which, AUGMENTED), drawn.label),
    }
    made: dict[int, Tensor] = {}
    for some, _ in shown.values():
        if id(some) not in made:
            made[id(some)] = (scenes.render(some, SIZE).images * 255).round().to(torch.uint8)
    return {name: (made[id(some)], labels) for name, (some, labels) in shown.items()}


def _judge_classes(network: nn.Module, device: torch.device) -> dict[str, float]:
    """Accuracy on held-out scenes as trained on, moved, scaled, before other backgrounds and with cues in conflict."""
    answers: dict[int, Tensor] = {}
    found = {}
    for name, (images, labels) in _conditions(JUDGED).items():
        if id(images) not in answers:
            answers[id(images)] = _answers(network, images, device).argmax(1)
        found[name] = float((answers[id(images)] == labels).double().mean())
    return found


@lru_cache(maxsize=2)
def _group_scenes(count: int) -> Mapping[str, Tensor]:
    rendered = scenes.render_groups(scenes.draw_groups(JUDGING_STREAM, torch.arange(count)), SIZE)
    images = (rendered.images * 255).round().to(torch.uint8)
    return {"images": images, "boxes": rendered.boxes, "labels": rendered.labels, "counts": rendered.counts}


def _judge_boxes(network: nn.Module, device: torch.device) -> dict[str, float]:
    """Average precision on held-out scenes of several objects."""
    truth = _group_scenes(JUDGED)
    return detection.scores(detection.decode(_answers(network, truth["images"], device)), truth, SIZE)


def _answers(network: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(normalised(part.to(device))).cpu() for part in images.split(_AT_ONCE)])


_CLASSES = Task(singles, _class_loss, _judge_classes, "in distribution")
#: The task of each backbone.
TASKS: Mapping[str, Task] = {
    "metaformer": _CLASSES,
    "resnet": _CLASSES,
    "detect": Task(groups, detection.loss, _judge_boxes, "AP50"),
}
