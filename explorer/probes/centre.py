"""The centre instead of the average: what would a model answer if its pooling saw the middle cell alone?"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from explorer.models.model import Model
from explorer.models.stages import Stage
from explorer.probes.base import Run, Step


def centre_answers(model: Model, run: Run, images: Tensor) -> Generator[Step, None, Tensor | None]:
    """Logits where the last features of every position are those of the middle: (n, classes), or None.

    None for models that do not pool the last features by average: those whose answer changes when every position is
    given the average (they pool otherwise), or does not change when every position is given the middle (they pool by
    class token).
    """
    stage = next((one for one in reversed(model.stages) if not one.problem), None)
    if stage is None:
        return None
    module: Any = model.module

    def read(x01: Tensor) -> tuple[Tensor, ...] | None:
        features = module.forward_features(model.normalise(x01))
        if not isinstance(features, Tensor):
            return None
        several = (features.clone(), spread(features, stage, middle=False), spread(features, stage, middle=True))
        if any(one is None for one in several):
            return None
        return tuple(module.forward_head(one).float().cpu() for one in several)

    found: list[tuple[Tensor, ...]] = []
    for _, stop, answers in run.passes.each(len(images), lambda start, stop: images[start:stop], read):
        if answers is None:
            return None
        found.append(answers)
        yield Step(0.5 + 0.05 * stop / len(images))
    pooled, average, centre = (torch.cat(one) for one in zip(*found))
    small = 1e-4 * float(pooled.abs().max())
    if float((average - pooled).abs().max()) > small or float((centre - pooled).abs().max()) <= small:
        return None
    return centre


def spread(features: Tensor, stage: Stage, middle: bool) -> Tensor | None:
    """The last features with one vector at all positions: that of the middle cell, or the average; prefix tokens stay.

    Args:
        features: what the head is given: (B, C, h, w), (B, h, w, C) or (B, tokens, C), laid out as the last stage's.
        stage: the last stage whose place is known.
        middle: the mean of the middle one, two or four cells instead of that of all.

    Returns None where the features are laid out in another way.
    """
    if features.ndim == 3 and stage.layout == "tokens":
        rows, columns = stage.grid
        if features.shape[1] != stage.prefix + rows * columns:
            return None
        grid = features[:, stage.prefix :].unflatten(1, (rows, columns))
    elif features.ndim == 4 and stage.layout in ("NCHW", "NHWC"):
        grid = features if stage.layout == "NHWC" else features.permute(0, 2, 3, 1)
    else:
        return None
    _, rows, columns, _ = grid.shape
    chosen = grid[:, (rows - 1) // 2 : rows // 2 + 1, (columns - 1) // 2 : columns // 2 + 1] if middle else grid
    even = chosen.mean((1, 2), keepdim=True).expand_as(grid)
    if features.ndim == 3:
        return torch.cat([features[:, : stage.prefix], even.flatten(1, 2)], 1)
    return (even if stage.layout == "NHWC" else even.permute(0, 3, 1, 2)).contiguous()
