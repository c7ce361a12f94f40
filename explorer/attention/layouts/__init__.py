"""Where does a captured attention tensor lie on the image?

`TABLE` says it for every attention module that is known: its key is the source file and the class, so that a hybrid
that borrows another family's attention is placed right. A module that is not in the table gives its raw matrix and the
sentence `NO_POSITION`, never a wrong picture.

A pairwise layout is two index tables: for every group (a window, a pixel phase, a mask unit) and every entry, its
position on a grid that lies evenly over the input. Index tables are made by sending position numbers through the same
roll, pad and partition as the features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

from torch import nn

from explorer.attention.layouts.entries import Trace
from explorer.attention.layouts.operations import Call, Frame, Operation
from explorer.attention.layouts.placers import traced, unplaced
from explorer.attention.layouts.table import TABLE, Placing, layouts_of, mixers, row_of, why_none
from explorer.attention.layouts.weights import Computed, Cross, DotProduct, Path, Spread, Strips
from explorer.attention.maps import AttentionMap
from explorer.kinds import KINDS
from explorer.messages import Message, listed
from explorer.models.spec import WeightsState

__all__ = [
    "NO_POSITION",
    "TABLE",
    "Computed",
    "Cross",
    "DotProduct",
    "Frame",
    "Operation",
    "Path",
    "Placing",
    "Spread",
    "Strips",
    "layouts_of",
    "mixers",
    "place",
    "row_of",
    "why_none",
]

NO_POSITION = Message("no known position on the image")
_ON_PADDING = Message("near the border a part of the row lies on padding outside the image")

#: torch's own attention stands in anybody's network: without a trace nothing says what its tokens are.
_ANYBODYS = TABLE["activation.MultiheadAttention"]


def _calls(
    operations: Sequence[Operation], root: nn.Module, image_size: tuple[int, int], trace: Trace | None
) -> Iterator[tuple[Placing, Call]]:
    known = {} if trace is None else trace.of(operations)
    found = None if trace is None else Placing("found", partial(traced, known=known, prefix=trace.prefix))

    def owner(operation: Operation) -> tuple[int, Frame, Placing]:
        if found is not None and id(operation) in known:
            return len(operation.frames) - 1, operation.frames[-1], found
        for depth in range(len(operation.frames) - 1, -1, -1):
            row = row_of(operation.frames[depth].module)
            if row is not None and (trace is None or row is not _ANYBODYS):
                outer = (row_of(frame.module) for frame in operation.frames[:depth])
                return depth, operation.frames[depth], next((r for r in outer if r is not None and r.encloses), row)
        depth = len(operation.frames) - 1
        return depth, operation.frames[depth], Placing("unknown", unplaced)

    owned = ((owner(operation), operation) for operation in operations)
    for _, run in groupby(owned, key=lambda pair: id(pair[0][1])):
        owners, group = zip(*run)
        depth, frame, row = owners[0]
        outermost = group[0].frames[0]
        batch = outermost.shapes[0][0] if outermost.shapes else 1
        yield row, Call(group, frame, group[0].frames[:depth], root, image_size, batch)


def place(
    operations: Sequence[Operation],
    root: nn.Module,
    image_size: tuple[int, int],
    state_of: Callable[[str], WeightsState],
    trace: Trace | None = None,
) -> list[tuple[tuple[Operation, ...], AttentionMap]]:
    """Turn the operations of a forward pass into maps placed on the image, each with what it was made from.

    ``trace``: what is known of a network that somebody wrapped.
    """
    out = []
    for row, call in _calls(operations, root, image_size, trace):
        for placed in row.place(call):
            unit = placed.unit
            if not unit:
                count = placed.weights.shape[-1]
                unit = (
                    Message("softmax over {count} positions", count=count)
                    if placed.kind == "pairwise"
                    else KINDS[placed.kind]
                )
            note = placed.note
            if placed.layout is None and placed.kind != "channel":
                note = listed(filter(None, (NO_POSITION, note)), "{first}; {rest}")
            elif placed.layout is not None and bool((placed.layout.key_index == -1).any()):
                note = listed(filter(None, (note, _ON_PADDING)), "{first}; {rest}")
            attention_map = AttentionMap(
                layer=call.frame.path + (f" ({placed.part})" if placed.part else ""),
                mechanism=type(call.frame.module).__name__,
                kind=placed.kind,
                weights=placed.weights,
                layout=placed.layout,
                image_size=image_size,
                state=state_of(call.frame.path),
                unit=unit,
                note=note,
            )
            out.append((call.operations, attention_map))
    return out
