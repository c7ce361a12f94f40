"""What is usually done about scale: image pyramids, feature pyramids, other test sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.errors import ExplorerError, MethodError
from explorer.messages import Message
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes.passes import Passes, stage_features
from explorer.probes.position_embeddings import position_names
from explorer.probes.stimuli import Shown
from explorer.transforms import Border, Transform

#: Scales of the image pyramid whose predictions are averaged.
PYRAMID = tuple(2.0**power for power in (-1, -0.5, 0, 0.5, 1))
#: Channels of every level of the feature pyramid (Lin 2017, section 3).
FPN_WIDTH = 256
#: Other test sizes over the model's own, rounded to multiples of what networks divide their input by.
SIZES, MULTIPLE = (1 / 1.5, 1.5), 32

Read = Callable[[Tensor], tuple[Tensor, Tensor]]


class Sized(NamedTuple):
    """A model at one input size, what it is shown there, and how it is run."""

    model: Model
    shown: Shown
    passes: Passes

    @property
    def size(self) -> str:
        """Its input, as "224x224" (rows x columns, px)."""
        return "{}x{}".format(*self.model.input_size)


def pyramid(read: Read, x01: Tensor, border: Border) -> tuple[Tensor, Tensor]:
    """What is read of pictures (B, 3, H, W), averaged over those pictures at the scales of `PYRAMID`."""
    found = [read(Transform(zoom=zoom, border=border).apply(x01)) for zoom in PYRAMID]
    return torch.stack([one for one, _ in found]).mean(0), torch.stack([two for _, two in found]).mean(0)


def fuse(maps: Sequence[Tensor], laterals: Sequence[Tensor]) -> Tensor:
    """Join features as a feature pyramid network does, and pool every level.

    Args:
        maps: (B, C_k, h_k, w_k), finest first.
        laterals: (width, C_k), the 1x1 convolutions.

    Returns (B, levels * width), finest first.
    """
    pooled: list[Tensor] = []
    above: Tensor | None = None
    for features, lateral in zip(reversed(maps), reversed(laterals)):
        level = torch.einsum("oc,bchw->bohw", lateral, features)
        if above is not None:
            level = level + F.interpolate(above, level.shape[-2:], mode="nearest")
        above = level
        pooled.append(level.mean((2, 3)))
    return torch.cat(pooled[::-1], 1)


def orthogonal(width: int, channels: int, seed: int) -> Tensor:
    """A random matrix (width, channels) whose shorter side is orthonormal."""
    chance = torch.Generator().manual_seed(seed)
    return torch.nn.init.orthogonal_(torch.empty(width, channels), generator=chance)


def other_sizes(own: Sized) -> list[Sized]:
    """The model at the other test sizes that it can be loaded for; raises MethodError, with the reason, for none."""
    found: list[Sized] = []
    reason = ""
    for size in test_sizes(own.model.input_size):
        try:
            model = load(replace(own.model.spec, input_size=size), str(own.model.device))
            shown = Shown(model, own.shown.stimuli)
        except ExplorerError as error:
            reason = error.message
            continue
        if not _same_weights(own.model, model):
            reason = Message("its weights are not those that its name stands for, so it cannot be loaded anew")
            continue
        passes = Passes(model, own.passes.dtype)
        area = math.prod(own.model.input_size) / math.prod(size)
        passes.size = max(1, int(own.passes.size * min(1.0, area)))
        found.append(Sized(model, shown, passes))
    if not found:
        raise MethodError(
            Message("{spec} cannot be given another test size: {reason}", spec=own.model.spec, reason=reason)
        )
    return found


def test_sizes(own: tuple[int, int]) -> list[tuple[int, int]]:
    """(height, width) of the other test sizes, px."""
    sizes = [tuple(max(MULTIPLE, round(side * factor / MULTIPLE) * MULTIPLE) for side in own) for factor in SIZES]
    return [(height, width) for height, width in dict.fromkeys(sizes) if (height, width) != own]


def _same_weights(one: Model, two: Model) -> bool:
    """Whether all parameters are equal, but for position tables, whose size may be the input's."""
    here, there = dict(one.module.named_parameters()), dict(two.module.named_parameters())
    if here.keys() != there.keys():
        return False
    absolute, relative = position_names(one.module)
    return all(name in (*absolute, *relative) or torch.equal(here[name], there[name]) for name in here)


def fused(model: Model, seed: int) -> Read:
    """Read the fused feature, twice; raises MethodError for a model without a pyramid of stages."""
    stages = [one for one in model.stages if not one.problem]
    if len({one.grid for one in stages}) < 2:
        raise MethodError(
            Message("{spec} has stages of one grid only, so there is no feature pyramid to join", spec=model.spec)
        )
    numbers = [one.number for one in stages]
    # Finest first: some networks list their stages otherwise.
    numbers.sort(key=lambda number: -math.prod(model.stages[number - 1].grid))
    laterals: dict[int, Tensor] = {}

    def read(x01: Tensor) -> tuple[Tensor, Tensor]:
        maps = stage_features(model, x01, numbers)
        for number in numbers:
            if number not in laterals:
                lateral = orthogonal(FPN_WIDTH, maps[number].shape[1], seed + number)
                laterals[number] = lateral.to(maps[number])
        fused = fuse([maps[number] for number in numbers], [laterals[number] for number in numbers]).float().cpu()
        return fused, fused

    return read
