"""Where the entries of an unknown network's attention lie, as `explorer.attention.tracing` finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from explorer.attention.layouts.grids import with_prefix
from explorer.attention.layouts.operations import Operation


@dataclass(frozen=True, eq=False)
class Entries:
    """Where the entries of a sequence, or of the windows of one, lie.

    Attributes:
        grid: (rows, columns), evenly over the input frame.
        index: (groups, entries) long, as `explorer.attention.maps.Layout` has it.
        prefix: number of prefix tokens.
    """

    grid: tuple[int, int]
    index: Tensor
    prefix: int = 0

    @property
    def in_order(self) -> bool:
        """Whether it is one sequence: prefix tokens first, then places in reading order."""
        return self.index.shape == (1, self.prefix + self.grid[0] * self.grid[1]) and torch.equal(
            self.index, with_prefix(self.grid, self.prefix)
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """What running a network on changed pictures showed.

    Attributes:
        operations: of each attention operation the path of the module it ran in, and where its queries and its keys
            lie; None where that is not certain.
        outputs: dotted path of a module that gives one sequence of tokens -> where these lie.
        prefix: names of the prefix tokens.
        reads_places: whether the answer reads the tokens of places after the last module that gives tokens, and not a
            class token alone.
    """

    operations: tuple[tuple[str, Entries | None, Entries | None], ...] = ()
    outputs: Mapping[str, Entries] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    reads_places: bool = True

    def of(self, operations: Sequence[Operation]) -> dict[int, tuple[Entries | None, Entries]]:
        """What is known of operations, by their id: where queries (None: there is one that pools) and keys lie."""
        attention = [one for one in operations if one.kind in ("dot product", "softmax")]
        if not self.operations or len(attention) % len(self.operations):
            return {}
        known: dict[int, tuple[Entries | None, Entries]] = {}
        for number, one in enumerate(attention):
            path, queries, keys = self.operations[number % len(self.operations)]
            pooling = one.query is not None and one.query.shape[-2] == 1
            if path == one.frames[-1].path and keys is not None and (queries is not None or pooling):
                known[id(one)] = (queries, keys)
        return known
