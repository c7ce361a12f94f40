"""Two runs of a model over the same pictures, compared picture by picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from explorer.messages import Message
from explorer.models.heads import Head
from explorer.probes.rows import Row, mean, share
from explorer.probes.stimuli import Pictures
from explorer.statistics import SHARE


def window(images: Tensor | Pictures, start: int, stop: int) -> Tensor:
    return images[start:stop]


def compared(
    logits: Tensor,
    clean: Tensor,
    truth: Sequence[int | None],
    repeats: int = 1,
    head: Head = Head(),  # noqa: B008 - frozen
    **conditions: Any,
) -> list[Row]:
    """Rows of agreement, p(original class) and accuracy where labels are known.

    Args:
        logits: (n * repeats, classes) of changed images, the repeats of an image side by side.
        clean: (n, classes) of the images as they are, for the original class of each.
        truth: the n labels.
        repeats: how often each image was changed.
        head: how the logits are read.
        conditions: of the rows.
    """
    n = len(clean)
    before, after = head.probabilities(clean), head.probabilities(logits).view(n, repeats, -1)
    p = head.p_of(after, head.leading(before)[:, None].expand(n, repeats))
    rows = [
        share("agreement", head.same(after, before[:, None]).double().mean(1), **conditions),
        mean(Message("p(original class)"), p.double().mean(1), head.p_unit, SHARE, **conditions),
    ]
    known = [index for index, label in enumerate(truth) if label is not None]
    if known:
        labels = torch.tensor([truth[index] for index in known])
        said = head.answer(after[known])[..., 0]
        rows.append(share("accuracy", (said == labels[:, None]).double().mean(1), **conditions))
    return rows
