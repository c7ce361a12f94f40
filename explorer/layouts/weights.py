"""Attention weights as they were captured, read row by row: each is a `Weights` of explorer.types."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.types import Weights


@dataclass(frozen=True, eq=False)
class DotProduct:
    """softmax(scale q k^T + bias), kept as q (B, G, h, Nq, d) and k (B, G, h or 1, Nk, d); rows on demand."""

    query: Tensor
    key: Tensor
    scale: float
    bias: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        batch, groups, heads, queries, _ = self.query.shape
        return batch, groups, heads, queries, self.key.shape[-2]

    @property
    def nbytes(self) -> int:
        return sum(t.untyped_storage().nbytes() for t in (self.query, self.key, self.bias) if t is not None)

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        query = self.query[item, group, :, start:stop].float()
        scores = query @ self.key[item, group].float().transpose(-1, -2) * self.scale
        if self.bias is not None:
            bias = self.bias[item, group, :, start:stop]
            scores = scores.masked_fill(~bias, -math.inf) if bias.dtype == torch.bool else scores + bias.float()
        return scores.softmax(-1)


@dataclass(frozen=True, eq=False)
class Computed:
    """Weights that the model itself computed: (B, G, h, Nq, Nk)."""

    weights: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        batch, groups, heads, queries, keys = self.weights.shape
        return batch, groups, heads, queries, keys

    @property
    def nbytes(self) -> int:
        return self.weights.untyped_storage().nbytes()

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        return self.weights[item, group, :, start:stop].float()


@dataclass(frozen=True, eq=False)
class Strips:
    """The product of a gate per row (B, C, H, 1) and a gate per column (B, C, 1, W), one picture a channel."""

    rows: Tensor
    columns: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        batch, channels, height, _ = self.rows.shape
        return batch, 1, channels, 1, height * self.columns.shape[-1]

    @property
    def nbytes(self) -> int:
        return self.rows.untyped_storage().nbytes() + self.columns.untyped_storage().nbytes()

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:  # noqa: ARG002 - one group, one row
        return (self.rows[item].float() * self.columns[item].float()).flatten(1)[:, None]


@dataclass(frozen=True, eq=False)
class Spread:
    """Keys that are the mean of ``run`` consecutive tokens: each passes its weight on to them in equal parts."""

    inner: Weights
    run: int

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        batch, groups, heads, queries, keys = self.inner.shape
        return batch, groups, heads, queries, keys * self.run

    @property
    def nbytes(self) -> int:
        return self.inner.nbytes

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        return self.inner.block(item, group, start, stop).repeat_interleave(self.run, -1) / self.run
