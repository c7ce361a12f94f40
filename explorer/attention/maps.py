"""Attention maps: weights, and where their entries lie on the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from explorer.drawn import Drawn
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.kinds import MapKind
from explorer.messages import Message
from explorer.models.spec import WeightsState


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the entries of an attention matrix lie on the image.

    Attributes:
        name: what the layout is called in the field ("tokens", "shifted windows", "pooled keys", ...).
        key_grid: (rows, columns) of the grid on which keys lie, evenly over the input frame.
        key_index: (groups, Nk) long; flat position on ``key_grid``, -1 for an entry that lies nowhere (padding),
            ``-2 - p`` for prefix token p.
        query_grid: the grid on which queries lie, or None where every query has the same row (context, gates).
        query_index: (groups, Nq) long, as ``key_index``; None with ``query_grid``.
        prefix: names of the prefix tokens ("class", "distillation", "register 1", ...).
    """

    name: str
    key_grid: tuple[int, int]
    key_index: Tensor
    query_grid: tuple[int, int] | None = None
    query_index: Tensor | None = None
    prefix: tuple[str, ...] = ()

    def find(self, code: int) -> list[tuple[int, int]]:
        """Every (group, index) of the query with this code: one, but for overlapping windows (outlook attention).

        Raises ParameterError where there is none.
        """
        if self.query_index is None:
            return [(0, 0)]
        hits = (self.query_index == code).nonzero().tolist()
        if not hits:
            raise ParameterError(
                Message(
                    "layout '{name}': no query at position {code} of grid {query_grid}",
                    name=self.name,
                    code=code,
                    query_grid=self.query_grid,
                )
            )
        return [(int(group), int(index)) for group, index in hits]

    def cell(self, point: Point, image_size: tuple[int, int]) -> int:
        """Flat position on the query grid of the cell that holds ``point``; raises ParameterError outside the frame."""
        if self.query_grid is None:
            return 0
        (rows, columns), (height, width) = self.query_grid, image_size
        point.check_inside(image_size)
        return int(point.y * rows / height) * columns + int(point.x * columns / width)


class Weights(Protocol):
    """Attention weights of one operation, shaped (batch, groups, heads, Nq, Nk) in thought, held cheaply."""

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(batch, groups, heads, Nq, Nk)."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        """(heads, stop - start, Nk) float32: the rows of queries start to stop of one image and group."""
        ...


@dataclass(frozen=True, eq=False)
class AttentionMap(Drawn):
    """One attention map of one forward pass (of a batch), placed on the image.

    Attributes:
        layer: dotted path of the module that computed it.
        mechanism: class of that module.
        kind: what the numbers are; never mixed up in a figure.
        weights: the numbers, row by row on demand.
        layout: where they lie, or None: channel maps, and families without a known position.
        image_size: (height, width) of the model's input, px.
        state: what the weights that made it are.
        unit: what a value means ("softmax over 196 positions", "gate, 0 to 1").
        note: one sentence that belongs beside the map, or "".
    """

    drawn_by: ClassVar[str] = "figures.results:map_sheet"

    layer: str
    mechanism: str
    kind: MapKind
    weights: Weights
    layout: Layout | None
    image_size: tuple[int, int]
    state: WeightsState = "pretrained"
    unit: str = ""
    note: str = ""

    def __repr__(self) -> str:
        where = "no place on the image" if self.grid is None else "{} x {}".format(*self.grid)
        from_where = ", a row for each query" if self.per_query else ""
        return f"AttentionMap({self.layer}: {self.kind}, {self.heads} heads, {where}{from_where}, {self.state})"

    @property
    def module(self) -> str:
        """Dotted path of the module that computed it, without the part of the map."""
        return self.layer.partition(" (")[0]

    @property
    def part(self) -> str:
        """Which of a module's maps it is ("row", "rows x columns"), or "" where it has one."""
        return self.layer.partition(" (")[2].removesuffix(")")

    @property
    def heads(self) -> int:
        """Number of heads (of channels, for gates; of groups, for channel attention)."""
        return self.weights.shape[2]

    @property
    def on_image(self) -> bool:
        """Whether it lies on the image in both directions, as a gate in a strip and what weighs channels do not."""
        return self.grid is not None and min(self.grid) > 1

    @property
    def per_query(self) -> bool:
        """Whether the row depends on the query."""
        return self.layout is not None and self.layout.query_grid is not None

    @property
    def grid(self) -> tuple[int, int] | None:
        """(rows, columns) of a row's picture, or None without a position."""
        return None if self.layout is None else self.layout.key_grid

    def row(self, query: Point | str | None = None, head: int | None = None, item: int = 0) -> Tensor:
        """The query's attention over the image: (rows, columns) float32 for one head, or the mean over heads.

        Args:
            query: a Point in input pixels, the name of a prefix token ("class"), or None where it does not matter.
            head: which head, or None for the mean.
            item: which image of the batch.

        Costs O(n d). Raises ParameterError for a query or head that does not exist, or a map without positions.
        """
        rows = self.rows(query, item)
        if head is None:
            return rows.mean(0)
        if not 0 <= head < len(rows):
            raise ParameterError(
                Message(
                    "{layer}: head {head} asked for, it has heads 0 to {rows}",
                    layer=self.layer,
                    head=head,
                    rows=len(rows) - 1,
                )
            )
        return rows[head]

    def rows(self, query: Point | str | None = None, item: int = 0) -> Tensor:
        """The query's attention over the image for every head: (heads, rows, columns) float32."""
        return self.split(query, item)[0]

    def prefix_mass(self, query: Point | str | None = None, item: int = 0) -> Tensor:
        """The query's attention to each prefix token: (heads, prefix tokens) float32."""
        return self.split(query, item)[1]

    def split(self, query: Point | str | None = None, item: int = 0) -> tuple[Tensor, Tensor]:
        """What `rows` and `prefix_mass` give, for the cost of one of them."""
        rows, columns = self._positioned().key_grid
        values = self._scatter(query, item)
        return values[:, : rows * columns].view(-1, rows, columns), values[:, rows * columns :]

    def _scatter(self, query: Point | str | None, item: int) -> Tensor:
        """(heads, positions + prefix tokens): the query's weights by what they lie on; those of padding are dropped."""
        layout = self._positioned()
        positions = layout.key_grid[0] * layout.key_grid[1]
        out = torch.zeros(self.heads, positions + len(layout.prefix))
        for group, index in self._locate(query):
            values = self.weights.block(item, group, index, index + 1)[:, 0].cpu()
            keys = layout.key_index[group if len(layout.key_index) > 1 else 0]
            keys = torch.where(keys < -1, positions - 2 - keys, keys)
            out.index_add_(1, keys[keys >= 0], values[:, keys >= 0])
        return out

    def matrix(self, head: int = 0, item: int = 0, group: int = 0) -> Tensor:
        """The raw matrix of one head: (Nq, Nk) float32; the only view of a map that has no position on the image."""
        _, groups, heads, queries, _ = self.weights.shape
        if not (0 <= head < heads and 0 <= group < groups):
            raise ParameterError(f"{self.layer}: head {head}, group {group} asked for, it has {heads} x {groups}")
        return self.weights.block(item, group, 0, queries)[head]

    def _positioned(self) -> Layout:
        if self.layout is None:
            raise ParameterError(f"{self.layer} ({self.kind}): no known position on the image; use matrix()")
        return self.layout

    def _locate(self, query: Point | str | None) -> list[tuple[int, int]]:
        layout = self._positioned()
        if layout.query_grid is None:
            return [(0, 0)]
        if isinstance(query, str):
            if query not in layout.prefix:
                names = ", ".join(layout.prefix) or "none"
                raise ParameterError(
                    Message(
                        "{layer}: no prefix token '{query}'; it has: {names}",
                        layer=self.layer,
                        query=query,
                        names=names,
                    )
                )
            return layout.find(-2 - layout.prefix.index(query))
        if query is None:
            raise ParameterError(f"{self.layer}: a query is needed, a point in pixels or a prefix token's name")
        return layout.find(layout.cell(Point(*query), self.image_size))
