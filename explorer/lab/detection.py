"""Find objects: what a dense head is taught. `explorer.detection` reads its answers and says how good they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.detection import SIDE
from explorer.scenes import CLASSES


def loss(answers: Tensor, truth: Mapping[str, Tensor]) -> Tensor:
    """How wrong is a dense head? A heat-map of centres for each class, and boxes at the centres.

    Focal loss with a penalty that falls around each centre, and L1 of offset and logarithm of the sides, as in
    CenterNet (Zhou et al. 2019, "Objects as points").

    Args:
        answers: (B, CHANNELS, H, W).
        truth: "boxes" (B, K, 4), shares of the frame, "labels" (B, K) and "counts" (B, K), which are objects.

    Returns:
        A scalar, for each object.
    """
    height, width = answers.shape[-2:]
    boxes, labels, counts = truth["boxes"], truth["labels"], truth["counts"]
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    # No tensor comes from the CPU and no number goes there: a step is captured on a GPU.
    unit = torch.cat([boxes.new_full((1,), side) for side in (width, height)])
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 * unit  # in places
    place = centre.minimum(unit - 1).clamp(min=0).long()
    # A heat-map is 1 in the place of a centre, and falls off with a third of the object's half sides.
    spread = (sides * unit / 6).clamp(min=0.35)
    apart = [
        (torch.arange(size, device=boxes.device) - place[..., axis, None]) ** 2 / (2 * spread[..., axis, None] ** 2)
        for axis, size in ((0, width), (1, height))
    ]
    bumps = torch.exp(-apart[1][..., :, None] - apart[0][..., None, :]) * counts[..., None, None]  # (B, K, H, W)
    heat = torch.zeros_like(answers[:, : len(CLASSES)])
    index = labels[..., None, None].expand_as(bumps)
    heat = heat.scatter_reduce(1, index, bumps, "amax")
    logits = answers[:, : len(CLASSES)]
    chance = logits.sigmoid()
    at = heat == 1
    focal = torch.where(
        at, -((1 - chance) ** 2) * F.logsigmoid(logits), -((1 - heat) ** 4) * chance**2 * F.logsigmoid(-logits)
    )
    index = (place[..., 1] * width + place[..., 0])[:, None].expand(-1, answers.shape[1] - len(CLASSES), -1)
    told = answers[:, len(CLASSES) :].flatten(2).gather(2, index).transpose(1, 2)  # (B, K, 4)
    wanted = torch.cat([centre - place - 0.5, (sides / SIDE).log()], -1)
    boxes_off = (told - wanted).abs().sum(-1) * counts
    return (focal.sum() + boxes_off.sum()) / counts.sum().clamp(min=1)
