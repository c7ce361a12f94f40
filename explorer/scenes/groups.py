"""Scenes with several objects, for detection: exact boxes and masks of what is seen of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from explorer.scenes.chance import hashed, keys_of, mix
from explorer.scenes.rendering import render_layers
from explorer.scenes.scene import CROWDED, RADIUS, Distribution, Scenes, draw

#: The most objects of a group.
MOST = 5
#: Their sizes, over the training size; uniform in the logarithm.
SCALES = (0.3, 1.0)
#: Objects whose circles come nearer than this share of touching are moved elsewhere where there is room.
_APART = 0.6
#: Places that are tried for each object.
_TRIES = 6
#: What must be seen of an object for it to count, a share of its own area.
SEEN = 0.3


@dataclass(frozen=True, eq=False)
class Groups:
    """Many scenes of 1 to MOST objects, on the CPU.

    Attributes:
        ground: n scenes, whose background, light, sticks and noise are the groups'.
        objects: MOST times n scenes, whose objects are the groups', the hindmost first.
        present: (n, MOST) bool, which of them are there.
    """

    ground: Scenes
    objects: tuple[Scenes, ...]
    present: Tensor

    def __len__(self) -> int:
        return len(self.ground)


class RenderedGroups(NamedTuple):
    """Pictures of groups, and what is in them; K is MOST.

    Attributes:
        images: (n, 3, size, size) float32 in 0..1.
        masks: (n, K, size, size) bool, what is seen of each object.
        boxes: (n, K, 4) float32, left, top, right and bottom edge of each mask, shares of the frame; 0 where none is.
        labels: (n, K) int64.
        counts: (n, K) bool, whether there is an object of which enough is seen (SEEN).
    """

    images: Tensor
    masks: Tensor
    boxes: Tensor
    labels: Tensor
    counts: Tensor


def draw_groups(seed: int, indices: Tensor, distribution: Distribution = CROWDED) -> Groups:
    """Draw groups of a seed's stream; group i depends on (seed, i) alone.

    Args:
        seed: of the stream.
        indices: (n,).
        distribution: of textures, turns, outlines, light and noise; places and sizes are the group's (SCALES).
    """
    ground = draw(seed, indices, distribution)
    keys = mix(keys_of(seed, indices) + 4)
    present = torch.arange(MOST) < 1 + (hashed(keys, 1) * MOST).long()
    objects: list[Scenes] = []
    small, large = (math.log(scale) for scale in SCALES)
    for number in range(MOST):
        # An object is that of a scene of its own, elsewhere in the stream.
        own = draw(seed, MOST * indices + number + 2**40, distribution)
        u = hashed(mix(keys + 1 + number), 1 + 2 * _TRIES)
        scale = torch.exp(small + (large - small) * u[:, 0])
        reach = (RADIUS * scale)[:, None]
        places = reach + (1 - 2 * reach) * u[:, 1:].view(-1, 2, _TRIES).transpose(0, 1)  # (2, n, tries)
        room = torch.ones_like(places[0])
        for other in objects:
            far = torch.hypot(places[0] - 0.5 - other.dx[:, None], places[1] - 0.5 - other.dy[:, None])
            room = torch.minimum(room, far / (reach + (RADIUS * other.scale)[:, None]) - _APART)
        # The first place with room, or else that with the most.
        best = torch.where((room >= 0).any(1), (room >= 0).double().argmax(1), room.argmax(1))[:, None]
        x, y = (along.gather(1, best)[:, 0] - 0.5 for along in places)
        objects.append(own.changed(dx=x, dy=y, scale=scale))
    return Groups(ground, tuple(objects), present)


def render_groups(groups: Groups, size: int = 48, device: torch.device | str = "cpu") -> RenderedGroups:
    """Render groups as pictures with exact masks and boxes; see `render` for the arguments and errors."""
    images, masks, areas = render_layers(groups.ground, groups.objects, groups.present, size, device)
    seen = masks.flatten(2).sum(2)
    labels = torch.stack([one.label for one in groups.objects], 1).to(device)
    return RenderedGroups(images, masks, boxes_of(masks), labels, (seen > 0) & (seen >= SEEN * areas))


def boxes_of(masks: Tensor) -> Tensor:
    """The box around each mask: (..., H, W) bool to (..., 4), left, top, right, bottom, shares of the frame."""
    out = []
    for across, size in ((masks.any(-2), masks.shape[-1]), (masks.any(-1), masks.shape[-2])):
        place = torch.arange(size, device=masks.device)
        first = torch.where(across, place, size).amin(-1)
        last = torch.where(across, place + 1, 0).amax(-1)
        out.append((torch.minimum(first, last).float() / size, last.float() / size))
    (left, right), (top, bottom) = out
    return torch.stack([left, top, right, bottom], -1)
