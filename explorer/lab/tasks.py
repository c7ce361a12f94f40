"""What the laboratory's networks learn, from which pictures, and how well they have: classes, or where objects are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer import detection, scenes
from explorer.lab.detection import loss
from explorer.lab.networks import MEAN, SIZE, STD
from explorer.lab.pool import Pool, grouped, groups, quantised, singles
from explorer.scenes import CENTRED, CROWDED, Distribution

#: Seed of the stream of training scenes, the same for every model, and of the scenes that training is judged on.
TRAINING_STREAM, JUDGING_STREAM = 1, 2
#: Scenes that a finished run is judged on, in each condition.
JUDGED = 1000
_AT_ONCE = 250


def normalised(images: Tensor) -> Tensor:
    """Bring uint8 pictures to what the networks read."""
    return (images.float() / 255 - MEAN) / STD


@dataclass(frozen=True)
class LearningTask:
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
    """Scenes to judge on: condition -> (count, 3, 48, 48) uint8 and classes; few, as the bench measures the biases."""
    which = torch.arange(count)
    own = scenes.draw(JUDGING_STREAM, which)
    shown = {
        "in distribution": own,
        "shifted right 8 px": own.moved(dx=8 / SIZE),
        "scale 0.7": own.moved(zoom=0.7),
        "texture and background of other classes": scenes.draw(
            JUDGING_STREAM, which, replace(CENTRED, texture_agreement=0.0, background_agreement=0.0)
        ),
    }
    return {name: (quantised(scenes.render(some, SIZE).images), some.label) for name, some in shown.items()}


def _judge_classes(network: nn.Module, device: torch.device) -> dict[str, float]:
    """Accuracy on held-out scenes: in distribution, shifted by 8 px, at 0.7 of the size, and with swapped cues."""
    return {
        name: float((_answers(network, images, device).argmax(1) == labels).double().mean())
        for name, (images, labels) in _conditions(JUDGED).items()
    }


@lru_cache(maxsize=2)
def _group_scenes(count: int) -> Mapping[str, Tensor]:
    return grouped(JUDGING_STREAM, torch.arange(count), CROWDED, torch.device("cpu"))


def _judge_boxes(network: nn.Module, device: torch.device) -> dict[str, float]:
    """Average precision on held-out scenes of several objects."""
    truth = _group_scenes(JUDGED)
    return detection.scores(detection.decode(_answers(network, truth["images"], device)), truth, SIZE)


def _answers(network: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(normalised(part.to(device))).cpu() for part in images.split(_AT_ONCE)])


_CLASSES = LearningTask(singles, _class_loss, _judge_classes, "in distribution")
#: The task of each backbone.
TASKS: Mapping[str, LearningTask] = {
    "metaformer": _CLASSES,
    "detect": LearningTask(groups, loss, _judge_boxes, "AP50"),
}
