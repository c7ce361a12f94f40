"""Objects found, to be looked at: what detecting models find in two scenes of those that they are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from explorer.detection import Found, matched, overlap
from explorer.lab.networks import LabModel, available
from explorer.lab.summary import Index, Key, SetUp
from explorer.lab.table import load_few
from explorer.probes.stimuli import STREAM
from explorer.scenes import CLASSES, draw_groups, render_groups
from explorer.scenes.groups import RenderedGroups
from explorer.statistics import Estimate

#: The blocks that are put beside each other: the control, coordinate attention, C2f, and both.
SHOWN = ("none", "coord", "c2f", "ca_c2f")
#: Which scenes of the stream: its first of three objects, and its first of five.
SCENES = (0, 4)
#: Boxes with a lower score are not drawn.
LEAST = 0.3
#: The overlap with an object of its class at which a box has found it.
ENOUGH = 0.5
_AP = Key.of("detection", "AP")


@dataclass(frozen=True)
class Box:
    """A box that a model drew.

    Attributes:
        edges: left, top, right and bottom, shares of the frame.
        label: name of its class.
        score: 0 to 1.
        found: whether it is the first to find an object of its class, with an overlap of `ENOUGH` or more.
    """

    edges: tuple[float, float, float, float]
    label: str
    score: float
    found: bool


@lru_cache(maxsize=1)
def scenes(size: int) -> RenderedGroups:
    """The two scenes, in pictures of this size, px, with the exact boxes of what counts in them."""
    return render_groups(draw_groups(STREAM, torch.tensor(SCENES)), size)


def specs(blocks: Sequence[str] = SHOWN) -> dict[str, str]:
    """Block -> spec of the model that is shown of it; without those whose weights did not ship."""
    texts = {block: str(LabModel(block, "detect", "aug").spec()) for block in blocks}
    return {block: text for block, text in texts.items() if text in available()}


def boxes_of(found: Found, shown: RenderedGroups) -> list[list[Box]]:
    """The boxes that are drawn of what was found in some scenes, by falling score."""
    out = []
    for at in range(len(shown.images)):
        order = found.scores[at].argsort(descending=True)
        order = order[found.scores[at][order] >= LEAST]
        boxes, labels, scores = found.boxes[at][order], found.labels[at][order], found.scores[at][order].tolist()
        hits = torch.zeros(len(order), dtype=torch.bool)
        for label in labels.unique():
            objects = shown.boxes[at][shown.counts[at] & (shown.labels[at] == label)]
            shared = overlap(boxes[labels == label].double().numpy(), objects.double().numpy())
            (hit,), _ = matched(shared, np.zeros(len(objects), bool), (ENOUGH,))
            hits[labels == label] = torch.from_numpy(hit)
        out.append(
            [
                Box((left, top, right, bottom), CLASSES[label], score, hit)
                for (left, top, right, bottom), label, score, hit in zip(
                    boxes.tolist(), labels.tolist(), scores, hits.tolist()
                )
            ]
        )
    return out


def truth(shown: RenderedGroups) -> list[list[tuple[Sequence[float], str]]]:
    """The exact boxes of the objects that count in each scene, with the names of their classes."""
    return [
        [(edges.tolist(), CLASSES[int(label)]) for edges, label in zip(edges_[counts], labels[counts])]
        for edges_, labels, counts in zip(shown.boxes, shown.labels, shown.counts)
    ]


@lru_cache(maxsize=8)
def precision(block: str) -> Estimate | None:
    """A block's average precision in the table that ships, over its seeds; None where it has none."""
    return SetUp(Index(load_few([_AP])), "detect").mean(block, _AP)
