"""Attention weights as they were captured, read row by row: each is a `Weights` of explorer.attention.maps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.attention.maps import Weights


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
class _Axes:
    """Row attention (a group a row) and column attention (a group a column) of one grid, seen from a query in 2-D."""

    row: DotProduct
    column: DotProduct

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        batch, height, heads, width, _ = self.row.shape
        return batch, 1, heads, height * width, height * width

    @property
    def nbytes(self) -> int:
        return self.row.nbytes + self.column.nbytes

    def _places(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Row i and column j of each query, (Q,) each."""
        places = torch.arange(start, stop, device=self.row.query.device)
        return places // self.row.shape[-1], places % self.row.shape[-1]

    @staticmethod
    def _own(lines: DotProduct, item: int, line: Tensor, place: Tensor) -> Tensor:
        """(heads, Q, L): the weights of each query along its own line."""
        query, key = lines.query[item].float()[line, :, place], lines.key[item].float()[line]
        return (torch.einsum("qhd,qhld->hql", query, key) * lines.scale).softmax(-1)


@dataclass(frozen=True, eq=False)
class Cross(_Axes):
    """The mean of row and column attention: half of a query's weight along its row, half along its column."""

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:  # noqa: ARG002 - one group
        i, j = self._places(start, stop)
        out = self.row.query.new_zeros(self.shape[2], len(i), self.column.shape[-1], self.row.shape[-1]).float()
        queries = torch.arange(len(i), device=i.device)
        out[:, queries, i] += self._own(self.row, item, i, j) / 2
        out[:, queries, :, j] += self._own(self.column, item, j, i).transpose(0, 1) / 2
        return out.flatten(2)


@dataclass(frozen=True, eq=False)
class Path(_Axes):
    """Column attention and then row attention: E[(i, j), (a, b)] = R[i, j, b] C[b, i, a], in O(n) for a query.

    What (i, j) reads along its row at (i, b) has been read there along column b. Each row sums to 1.
    """

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:  # noqa: ARG002 - one group
        i, j = self._places(start, stop)
        rows, which = i.unique(return_inverse=True)
        # (W, heads, rows asked for, H): what every column weighs at these rows
        query, key = self.column.query[item][:, :, rows].float(), self.column.key[item].float()
        columns = (query @ key.transpose(-1, -2) * self.column.scale).softmax(-1)
        # (heads, Q, H, W)
        columns = columns.permute(1, 2, 3, 0)[:, which]
        return (columns * self._own(self.row, item, i, j)[:, :, None]).flatten(2)


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


def tensors_of(weights: Weights) -> list[Tensor]:
    """The tensors that weights hold, those of weights inside them too, in a fixed order."""
    found: list[Tensor] = []
    for value in (getattr(weights, one.name) for one in _fields(weights)):
        found += [value] if isinstance(value, Tensor) else tensors_of(value) if _fields(value) else []
    return found


def with_tensors(weights: Weights, tensors: Iterator[Tensor]) -> Weights:
    """The same weights held in other tensors, taken in the order of `tensors_of`."""
    changed: dict[str, Any] = {}
    for one in _fields(weights):
        value = getattr(weights, one.name)
        if isinstance(value, Tensor):
            changed[one.name] = next(tensors)
        elif _fields(value):
            changed[one.name] = with_tensors(value, tensors)
    return dataclasses.replace(weights, **changed) if changed else weights  # type: ignore[type-var]


def _fields(value: Any) -> Sequence[Any]:
    return dataclasses.fields(value) if is_dataclass(value) else ()
