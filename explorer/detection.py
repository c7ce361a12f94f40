"""Where are objects, as a dense head answers it, and how good is the answer (average precision)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.scenes import CLASSES

#: Most objects that are read from one picture.
FOUND = 30
#: The unit of a box's sides before their logarithm: about the middle of the objects' sizes, a share of the frame.
SIDE = 0.3
#: Peaks of a heat-map below this are none.
_LEAST = 0.01
#: Overlaps at which precision is averaged (COCO), and the recalls at which it is read.
OVERLAPS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)


# ---- how it is read -------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What was found in n pictures: boxes (n, FOUND, 4), shares of the frame; labels and scores (n, FOUND)."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


def decode(answers: Tensor) -> Found:
    """Read a dense head: the strongest peaks of the heat-maps, and the boxes there; (n, CHANNELS, H, W)."""
    height, width = answers.shape[-2:]
    chance = answers[:, : len(CLASSES)].sigmoid()
    peaks = torch.where((chance == F.max_pool2d(chance, 3, 1, 1)) & (chance >= _LEAST), chance, 0.0)
    scores, index = peaks.flatten(1).topk(FOUND)
    labels, place = index // (height * width), index % (height * width)
    told = answers[:, len(CLASSES) :].flatten(2).gather(2, place[:, None].expand(-1, 4, -1)).transpose(1, 2)
    unit = torch.tensor([width, height], device=answers.device)
    centre = (torch.stack([place % width, place // width], -1) + 0.5 + told[..., :2]) / unit
    sides = told[..., 2:].clamp(max=2.0).exp() * SIDE
    return Found(torch.cat([centre - sides / 2, centre + sides / 2], -1), labels, scores)


# ---- how good it is -------------------------------------------------------------------------------------------------


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of boxes: (n, 4) and (m, 4) to (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (areas(first)[:, None] + areas(second) - shared)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Of boxes (n, 4): (n,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def average_precision(
    found: Found, truth: Mapping[str, Tensor], area: tuple[float, float] = (0.0, float("inf"))
) -> np.ndarray:
    """Average precision at each of OVERLAPS, as COCO has it: mean over classes of the interpolated precision.

    Found boxes are taken by falling score and matched each to the free object of its class that it overlaps most.

    Args:
        found: what was found.
        truth: "boxes" (n, K, 4), shares of the frame, "labels" (n, K) and "counts" (n, K), which are objects.
        area: only objects of at least and at most this area count, shares of the frame; others are passed over, as is
            what was found outside it and matches nothing.

    Returns:
        (10,) float64; nan where nothing counts.
    """
    values = [
        one for label in range(len(CLASSES)) if (one := _of_class(found, truth, label, area)) is not None
    ]  # fmt: skip
    return np.mean(values, 0) if values else np.full(len(OVERLAPS), np.nan)


def _pictures(found: Found, truth: Mapping[str, Tensor]) -> Iterator[tuple[np.ndarray, ...]]:
    """Of each picture its boxes, labels and counts, and the boxes, labels and scores that were found."""
    given = [*(truth[name] for name in ("boxes", "labels", "counts")), *found]
    return zip(*(one.cpu().double().numpy() for one in given))


def _of_class(found: Found, truth: Mapping[str, Tensor], label: int, area: tuple[float, float]) -> np.ndarray | None:
    scores, hits, passed, objects = [], [], [], 0
    for boxes, labels, counts, f_boxes, f_labels, f_scores in _pictures(found, truth):
        own = boxes[(counts > 0) & (labels == label)]
        mine = (f_labels == label) & (f_scores > 0)
        if not len(own) and not mine.any():
            continue
        order = np.argsort(-f_scores[mine], kind="stable")
        given, sure = f_boxes[mine][order], f_scores[mine][order]
        sizes = areas(own)
        out = (sizes < area[0]) | (sizes > area[1])
        own, out = own[np.argsort(out, kind="stable")], np.sort(out)  # those that count first
        objects += int((~out).sum())
        hit, passing = matched(overlap(given, own), out)
        own_size = areas(given)
        passing |= ~hit & ((own_size < area[0]) | (own_size > area[1]))
        scores.append(sure)
        hits.append(hit)
        passed.append(passing)
    if not objects:
        return None
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit, passing = (np.concatenate(one, 1)[:, order] for one in (hits, passed))
    return np.array([_area_under(h[~p], objects) for h, p in zip(hit, passing)])


def matched(
    overlaps: np.ndarray, out: np.ndarray, levels: Sequence[float] | np.ndarray = OVERLAPS
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the found (by falling score) match an object, and which match one that does not count: two (levels, n).

    Args:
        overlaps: (n, objects), of one class; the objects that count come first.
        out: (objects,), whether one does not count.
        levels: the least overlaps that are a match.
    """
    hit = np.zeros((len(levels), len(overlaps)), bool)
    passing = np.zeros_like(hit)
    for level, least in enumerate(levels):
        taken = np.zeros(overlaps.shape[1], bool)
        for number, row in enumerate(overlaps):
            best, bar = -1, min(least, 1 - 1e-10)
            for place, value in enumerate(row):
                if taken[place]:
                    continue
                if best >= 0 and not out[best] and out[place]:
                    break  # what counts goes before what does not
                if value >= bar:
                    best, bar = place, value
            if best >= 0:
                taken[best] = True
                hit[level, number], passing[level, number] = True, out[best]
    return hit, passing


def _area_under(hit: np.ndarray, objects: int) -> float:
    right = np.cumsum(hit)
    recall = right / objects
    precision = right / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.where(place < len(hit), np.append(precision, 0.0)[np.minimum(place, len(hit))], 0.0).mean())


#: Sizes of objects: areas between those of squares of these sides, shares of the frame (10 and 18 px of 48).
SIZES: Mapping[str, tuple[float, float]] = {
    "small": (0.0, (10 / 48) ** 2),
    "medium": ((10 / 48) ** 2, (18 / 48) ** 2),
    "large": ((18 / 48) ** 2, float("inf")),
}


def scores(found: Found, truth: Mapping[str, Tensor], side: int) -> dict[str, float]:
    """AP at 0.5:0.95, 0.5 and 0.75, AP50 by size, and the median error of a centre, px of a frame of this side."""
    every = average_precision(found, truth)
    out = {"AP": float(every.mean()), "AP50": float(every[0]), "AP75": float(every[5])}
    for name, area in SIZES.items():
        out[f"AP50 {name}"] = float(average_precision(found, truth, area)[0])
    out["centre error"] = float(np.median(centre_errors(found, truth))) * side
    return out


def centre_errors(found: Found, truth: Mapping[str, Tensor]) -> Sequence[float]:
    """From every object's centre to that of the nearest box of its class that was found with a score above 0.1.

    Shares of the frame, an object at a time; infinite where there is no such box.
    """
    out = []
    for boxes, labels, counts, f_boxes, f_labels, f_scores in _pictures(found, truth):
        for box, label in zip(boxes[counts > 0], labels[counts > 0]):
            same = f_boxes[(f_labels == label) & (f_scores > 0.1)]
            apart = (same[:, :2] + same[:, 2:] - box[:2] - box[2:]) / 2
            out.append(float(np.min(np.hypot(*apart.T), initial=np.inf)))
    return out
