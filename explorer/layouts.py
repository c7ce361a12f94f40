"""Where does a captured attention tensor lie on the image?

`TABLE` says it for every attention module that is known: its key is the source file and the class, so that a hybrid
that borrows another family's attention is placed right. A module that is not in the table gives its raw matrix and the
sentence `NO_POSITION`, never a wrong picture.

A pairwise layout is two index tables: for every group (a window, a pixel phase, a mask unit) and every entry, its
position on a grid that lies evenly over the input. Index tables are made by sending position numbers through the same
roll, pad and partition as the features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.types import KINDS, AttentionMap, Layout, MapKind, Weights, WeightsState

NO_POSITION = "no known position on the image"


@dataclass(frozen=True, eq=False)
class Frame:
    """One module call on the way to an operation: its path, the shapes of its tensors, its (h, w) arguments."""

    path: str
    module: nn.Module
    shapes: tuple[tuple[int, ...], ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Operation:
    """One intercepted operation, as it was computed; see `capture`.

    ``frames`` runs from the outermost module call to the innermost. A dot product has query, key, scale and bias (and
    value and output where they were asked for); a softmax or a gate has weights.
    """

    kind: Literal["dot product", "softmax", "gate"]
    frames: tuple[Frame, ...]
    query: Tensor | None = None
    key: Tensor | None = None
    bias: Tensor | None = None
    scale: float = 1.0
    value: Tensor | None = None
    output: Tensor | None = None
    weights: Tensor | None = None
    dim: int = -1
    name: str = ""


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


@dataclass(frozen=True, eq=False)
class Call:
    """The operations of one call of one attention module, with all that is needed to place them."""

    operations: tuple[Operation, ...]
    frame: Frame
    outer: tuple[Frame, ...]
    root: nn.Module
    image_size: tuple[int, int]
    batch: int

    @property
    def module(self) -> Any:
        return self.frame.module

    def parent(self, class_name: str) -> Frame | None:
        """The innermost enclosing call of a module of this class."""
        return next((frame for frame in reversed(self.outer) if type(frame.module).__name__ == class_name), None)


@dataclass(frozen=True, eq=False)
class Placed:
    """What a placer says of one map."""

    weights: Weights
    layout: Layout | None
    kind: MapKind = "pairwise"
    unit: str = ""
    note: str = ""
    part: str = ""


Placer = Callable[[Call], Sequence[Placed]]


# ------------------------------------------------------------------------------------------------ arranging tensors


def _five(tensor: Tensor, call: Call, order: str) -> Tensor:
    """View a tensor (..., N, d) as (batch, groups, heads, N, d); ``order`` names its leading axes."""
    batch = call.batch
    *leading, queries, last = tensor.shape
    if order == "(b g) h":
        return tensor.reshape(batch, -1, leading[1], queries, last)
    if order == "b g h":
        return tensor
    if order == "b h g":
        return tensor.transpose(1, 2)
    if order == "(b g)":
        return tensor.reshape(batch, -1, 1, queries, last)
    heads = int(call.module.num_heads)
    if order == "(b g h)":
        return tensor.reshape(batch, -1, heads, queries, last)
    if order == "(b h) g":
        return tensor.reshape(batch, heads, -1, queries, last).transpose(1, 2)
    raise ValueError(f"unknown order {order!r}")


def _weights(call: Call, order: str | None = None, index: int = 0) -> Weights:
    """The weights of one operation, arranged; the order of four- and three-dimensional tensors has a usual default."""
    operation = call.operations[index]
    tensor = operation.weights if operation.query is None else operation.query
    assert tensor is not None
    order = order or {4: "(b g) h", 3: "(b g)", 5: "b g h"}[tensor.dim()]
    if operation.query is None:
        return Computed(_five(tensor, call, order))
    assert operation.key is not None
    bias = operation.bias
    if bias is not None:
        bias = _five(bias.expand(*operation.query.shape[:-1], operation.key.shape[-2]), call, order)
    return DotProduct(_five(operation.query, call, order), _five(operation.key, call, order), operation.scale, bias)


# ------------------------------------------------------------------------------------------------ grids and indices


def _positions(grid: tuple[int, int]) -> Tensor:
    return torch.arange(grid[0] * grid[1]).view(1, -1)


def _windows(
    grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int] = (0, 0), dilated: bool = False
) -> Tensor:
    """Positions (windows, entries) after roll, zero padding at the end and partition; ``dilated`` is MaxViT's grid."""
    index = _positions(grid).view(*grid)
    if any(shift):
        index = index.roll((-shift[0], -shift[1]), (0, 1))
    index = F.pad(index, (0, -grid[1] % window[1], 0, -grid[0] % window[0]), value=-1)
    rows, columns = index.shape
    if dilated:
        index = index.view(window[0], rows // window[0], window[1], columns // window[1]).permute(1, 3, 0, 2)
    else:
        index = index.view(rows // window[0], window[0], columns // window[1], window[1]).transpose(1, 2)
    return index.reshape(-1, window[0] * window[1])


def _grid(tokens: int, call: Call, prefixes: Sequence[int] = (0,)) -> tuple[int, int, int] | None:
    """(rows, columns, prefix tokens) of a token sequence over the input frame, or None if no grid fits.

    The grid has the frame's aspect ratio exactly, or is the frame divided by one whole stride, rounded.
    """
    height, width = call.image_size
    for prefix in prefixes:
        count = tokens - prefix
        if count <= 0:
            continue
        rows = math.isqrt(count * height // width)
        for candidate in (rows, rows + 1):
            if candidate and count % candidate == 0 and candidate * width == count // candidate * height:
                return candidate, count // candidate, prefix
        for stride in range(1, min(height, width) + 1):
            for up_rows in (0, 1):
                for up_columns in (0, 1):
                    rows, columns = -(-height // stride), -(-width // stride)
                    rows, columns = (rows if up_rows else height // stride), (columns if up_columns else width // stride)
                    if rows * columns == count:
                        return rows, columns, prefix
    return None


def _prefix_names(root: Any, count: int) -> tuple[str, ...]:
    learnt = getattr(root, "reg_token", None)
    registers = min(count, learnt.shape[1] if isinstance(learnt, Tensor) else int(getattr(root, "num_reg_tokens", 0) or 0))
    leading = ("class", "distillation")[: count - registers]
    names = leading + tuple(f"register {number + 1}" for number in range(registers))
    return names + tuple(f"prefix {number + 1}" for number in range(len(names), count))


def _with_prefix(grid: tuple[int, int], prefix: int) -> Tensor:
    return torch.cat([-2 - torch.arange(prefix).view(1, -1), _positions(grid)], 1)


def _expected_prefixes(call: Call) -> list[int]:
    # In the middle of some models (xcit, cait) the class token has not joined yet, so none comes next; then any.
    expected = int(getattr(call.root, "num_prefix_tokens", 0) or 0)
    return list(dict.fromkeys([expected, 0, 1, 2, 4, 5, 8]))


# ------------------------------------------------------------------------------------------------ placers


def tokens(
    call: Call, order: str | None = None, note: str = "", prefix_name: str | None = None
) -> list[Placed]:
    """Queries and keys are tokens of one sequence, or queries of one grid and keys of another (pooled keys).

    A single query over many keys is a pooling query (a class token, an attention pool): one row for all places.
    """
    weights = _weights(call, order)
    _, groups, _, queries, keys = weights.shape
    key_fit = _grid(keys, call, _expected_prefixes(call)) if groups == 1 else None
    if key_fit is None:
        return [Placed(weights, None, note=note)]
    *key_grid, prefix = key_fit
    names = (prefix_name,) * prefix if prefix_name else _prefix_names(call.root, prefix)
    grid = (key_grid[0], key_grid[1])
    key_index = _with_prefix(grid, prefix)
    if queries == 1 and keys > 1:
        layout = Layout("pooling query", grid, key_index, prefix=names)
        return [Placed(weights, layout, note=note or "one query, the same row for every place: what is pooled into the answer")]
    # Strided attention (PVT, MViT) keeps the class token on both sides, so the prefix is the keys'.
    query_fit = key_fit if queries == keys else _grid(queries, call, [prefix])
    if query_fit is None:
        return [Placed(weights, None, note=note)]
    query_grid = (query_fit[0], query_fit[1])
    name = "tokens" if query_grid == grid else "pooled keys" if query_grid[0] > grid[0] else "pooled queries"
    layout = Layout(name, grid, key_index, query_grid, _with_prefix(query_grid, prefix), names)
    return [Placed(weights, layout, note=note)]


def _windowed(call: Call, name: str, grid: tuple[int, int], index: Tensor, order: str | None = None) -> list[Placed]:
    weights = _weights(call, order)
    return [Placed(weights, Layout(name, grid, index, grid, index))]


def _square(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


def block_windows(call: Call, block: str, channels_last: bool = True, order: str | None = None) -> list[Placed]:
    """Windows, shifted or not, that an enclosing block makes of its (B, H, W, C) or (B, C, H, W) input."""
    parent = call.parent(block)
    if parent is None:
        return tokens(call, order)
    shape = parent.shapes[0]
    grid = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
    module: Any = parent.module
    size = getattr(module, "window_size", None)
    window = _square(call.module.window_size if size is None else size)
    if window == (0, 0):
        return tokens(call, order)
    shift = _square(getattr(module, "shift_size", 0) or 0)
    name = "shifted windows" if any(shift) else "windows"
    return _windowed(call, name, grid, _windows(grid, window, shift), order)


def own_windows(call: Call) -> list[Placed]:
    """Twins' locally grouped attention: the grid is an argument of the call."""
    grid = call.frame.sizes[0]
    return _windowed(call, "windows", grid, _windows(grid, _square(call.module.ws)), "b g h")


def iformer_windows(call: Call) -> list[Placed]:
    """iFormer's single-head modulation attention: its own windows, or the whole map."""
    size = call.module.window_size
    if not size:
        return tokens(call)
    _, _, height, width = call.frame.shapes[0]
    return _windowed(call, "windows", (height, width), _windows((height, width), _square(size)))


def maxvit(call: Call) -> list[Placed]:
    """MaxViT: blocks of neighbours, then a grid of places a window's width apart; CoAtNet's whole-map attention."""
    for name, channels_last in (
        ("PartitionAttentionCl", True),
        ("PartitionAttention2d", False),
        ("ParallelPartitionAttention", True),
    ):
        parent = call.parent(name)
        if parent is None:
            continue
        shape, module = parent.shapes[0], parent.module
        grid = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
        block = getattr(module, "partition_block", not call.frame.path.endswith("attn_grid"))
        size: Any = module.partition_size
        return _windowed(
            call,
            "windows" if block else "dilated grid",
            grid,
            _windows(grid, _square(size), dilated=not block),
        )
    return tokens(call)


def cascaded_groups(call: Call) -> list[Placed]:
    """EfficientViT (MSRA): one softmax a head, in windows."""
    parent = call.parent("LocalWindowAttention")
    assert parent is not None
    _, _, height, width = parent.shapes[0]
    stacked = torch.stack([op.weights for op in call.operations if op.weights is not None], 1)
    index = _windows((height, width), _square(call.module.resolution))
    layout = Layout("windows", (height, width), index, (height, width), index)
    return [Placed(Computed(_five(stacked, call, "(b g) h")), layout)]


def nested_blocks(call: Call) -> list[Placed]:
    """NesT: a square arrangement of square image blocks."""
    _, blocks, entries, _ = call.frame.shapes[0]
    side, edge = math.isqrt(blocks), math.isqrt(entries)
    grid = (side * edge, side * edge)
    return _windowed(call, "windows", grid, _windows(grid, (edge, edge)), "b h g")


def sam2_windows(call: Call) -> list[Placed]:
    """SAM 2's Hiera: windows, of which a stage's first block pools the queries."""
    parent = call.parent("MultiScaleBlock")
    assert parent is not None
    _, height, width, _ = parent.shapes[0]
    block: Any = parent.module
    if not block.is_windowed:
        return tokens(call)
    key_index = _windows((height, width), block.window_size)
    if block.q_stride is None:
        return _windowed(call, "windows", (height, width), key_index)
    stride = _square(block.q_stride)
    grid = (height // stride[0], width // stride[1])
    window = (block.window_size[0] // stride[0], block.window_size[1] // stride[1])
    layout = Layout("windows, pooled queries", (height, width), key_index, grid, _windows(grid, window))
    return [Placed(_weights(call), layout)]


def mask_units(call: Call) -> list[Placed]:
    """Hiera: mask units; tokens are unrolled so that each pooling takes whole quarters of the sequence."""
    root: Any = call.root
    fine = (int(root.unroll.size[0]), int(root.unroll.size[1]))
    order = root.unroll(torch.arange(fine[0] * fine[1]).view(1, -1, 1)).view(-1)
    tokens_in = call.frame.shapes[0][1]
    scale, grid = 1, fine
    while len(order) > tokens_in:  # every earlier pooling took the maximum over leading quarters
        order, scale = order.view(4, -1)[0], scale * 2
    grid = (fine[0] // scale, fine[1] // scale)

    def coarse(index: Tensor, step: int) -> Tensor:
        return (index // fine[1] // step) * (fine[1] // step) + index % fine[1] // step

    weights = _weights(call, "b h g" if call.module.use_mask_unit_attn else None)
    _, groups, _, queries, keys = weights.shape
    by_group = order.view(keys, groups).T
    key_index = coarse(by_group, scale)
    if queries == keys:
        query_grid, query_index = grid, key_index
    else:
        scale *= 2
        query_grid = (fine[0] // scale, fine[1] // scale)
        query_index = coarse(by_group.reshape(groups, 4, queries)[:, 0], scale)
    name = "mask units" if call.module.use_mask_unit_attn else "tokens"
    return [Placed(weights, Layout(name, grid, key_index, query_grid, query_index))]


def pixel_phases(call: Call) -> list[Placed]:
    """MobileViT: the pixels at the same place of every patch attend to each other: each pixel phase is a group."""
    parent = call.parent("MobileVitBlock")
    assert parent is not None
    _, _, height, width = parent.shapes[0]
    block: Any = parent.module
    patch = _square(block.patch_size)
    grid = (math.ceil(height / patch[0]) * patch[0], math.ceil(width / patch[1]) * patch[1])
    index = _windows(grid, patch).T.contiguous()
    return [Placed(_weights(call), Layout("patch-unfolded", grid, index, grid, index))]


def phase_scores(call: Call) -> list[Placed]:
    """MobileViTv2: one context score a position, a softmax for each pixel phase; every query has the same."""
    parent = call.parent("MobileVitV2Block")
    scores = call.operations[0].weights
    assert scores is not None
    phases = scores.shape[-2]
    if parent is None:
        return [Placed(Computed(scores[:, None]), None, "context")]
    block: Any = parent.module
    _, _, height, width = parent.shapes[0]
    patch = _square(block.patch_size)
    grid = (math.ceil(height / patch[0]) * patch[0], math.ceil(width / patch[1]) * patch[1])
    index = _windows(grid, patch).T.reshape(1, -1)
    layout = Layout("context scores", grid, index)
    unit = f"softmax over the positions of each of {phases} pixel phases: sums to {phases}"
    return [Placed(Computed(scores.flatten(2)[:, None, :, None]), layout, "context", unit)]


def context(call: Call, note: str = "") -> list[Placed]:
    """A softmax over positions that no query enters: (B, ..., N), one picture a leading channel."""
    scores = call.operations[0].weights
    assert scores is not None
    if call.operations[0].dim % scores.dim() != scores.dim() - 1:
        scores = scores.transpose(-1, call.operations[0].dim)
    flat = scores.reshape(call.batch, 1, -1, 1, scores.shape[-1])
    fit = _grid(scores.shape[-1], call, _expected_prefixes(call))
    if fit is None:
        return [Placed(Computed(flat), None, "context", note=note)]
    rows, columns, prefix = fit
    layout = Layout("context scores", (rows, columns), _with_prefix((rows, columns), prefix), prefix=_prefix_names(call.root, prefix))
    return [Placed(Computed(flat), layout, "context", note=note)]


def channels(call: Call) -> list[Placed]:
    """Attention between channels: a matrix a head (XCiT, EdgeNeXt, DaViT), never a picture of the image."""
    return [Placed(_weights(call), None, "channel", "softmax over channels")]


def squeezed(call: Call) -> list[Placed]:
    """A gate a channel (squeeze and excitation and its kin), shown as bars."""
    gate = call.operations[-1].weights
    assert gate is not None
    return [Placed(Computed(gate.reshape(call.batch, 1, 1, 1, -1)), None, "channel", "gate a channel, 0 to 1")]


def branches(call: Call) -> list[Placed]:
    """Which of several branches does each channel listen to (SKNet, ResNeSt): a matrix (channels, branches)."""
    scores = call.operations[0].weights
    assert scores is not None
    flat = scores.movedim(call.operations[0].dim, -1)
    flat = flat.reshape(call.batch, 1, 1, -1, flat.shape[-1])
    return [Placed(Computed(flat), None, "channel", "softmax over branches, for each channel")]


def gate_pictures(call: Call) -> list[Placed]:
    """A gate a position (and perhaps a channel): (B, C or 1, H, W)."""
    gate = call.operations[-1].weights
    assert gate is not None
    _, _, height, width = gate.shape
    layout = Layout("gate", (height, width), _positions((height, width)))
    return [Placed(Computed(gate.flatten(2)[:, None, :, None]), layout, "gate")]


def gate_strips(call: Call) -> list[Placed]:
    """Coordinate attention: a gate a row, a gate a column, and their product."""
    first, second = (operation.weights for operation in call.operations)
    assert first is not None
    assert second is not None
    rows, columns = (first, second) if first.shape[-1] == 1 else (second, first)
    grid = (rows.shape[2], columns.shape[3])

    def strip(gate: Tensor, shape: tuple[int, int], part: str) -> Placed:
        return Placed(
            Computed(gate.flatten(2)[:, None, :, None]), Layout("gate", shape, _positions(shape)), "gate", part=part
        )

    return [
        Placed(Strips(rows, columns), Layout("gate", grid, _positions(grid)), "gate", part="rows x columns"),
        strip(rows, (grid[0], 1), "rows"),
        strip(columns, (1, grid[1]), "columns"),
    ]


def halo(call: Call) -> list[Placed]:
    """HaloNet: blocks of queries, each over a window with a halo around it; outside the map the halo is empty."""
    module = call.module
    _, _, height, width = call.frame.shapes[0]
    size, border, window = int(module.block_size), int(module.halo_size), int(module.win_size)
    padded = F.pad(_positions((height, width)).view(height, width), (border,) * 4, value=-1)
    key_index = padded.unfold(0, window, size).unfold(1, window, size).reshape(-1, window * window)
    stride = int(module.block_stride)
    grid = (height // stride, width // stride)
    query_index = _windows(grid, _square(int(module.block_size_ds)))
    weights = _weights(call, "(b h) g")
    return [Placed(weights, Layout("halo", (height, width), key_index, grid, query_index))]


def outlook(call: Call) -> list[Placed]:
    """VOLO's outlook attention: every window of 3 x 3 mixes its places; a place lies in 1 to 4 windows."""
    module = call.module
    _, height, width, _ = call.frame.shapes[0]
    kernel, pad, stride = int(module.kernel_size), int(module.padding), int(module.stride)
    # The unfold of the features, done to position numbers; 0 is the padding.
    numbers = (_positions((height, width)).view(1, 1, height, width) + 1).float()
    index = F.unfold(numbers, kernel, padding=pad, stride=stride)[0].T.long() - 1
    layout = Layout("outlook", (height, width), index, (height, width), index)
    return [Placed(_weights(call, "b h g"), layout, unit="sum over the windows that hold the query, each a softmax")]


def gated_mixture(call: Call) -> list[Placed]:
    """ConViT: content and position softmax, mixed by a learnt gate a head; the mixture is the map."""
    content, position = (operation.weights for operation in call.operations)
    assert content is not None
    assert position is not None
    gate = call.module.gating_param.detach().sigmoid().view(1, -1, 1, 1)
    mixture = (1 - gate) * content + gate * position
    mixture = mixture / mixture.sum(-1, keepdim=True)
    frames = call.operations[0].frames
    mixed = Call(
        (Operation("softmax", frames, weights=mixture),), call.frame, call.outer, call.root, call.image_size, call.batch
    )
    return tokens(mixed)


def averaged_runs(call: Call) -> list[Placed]:
    """Next-ViT: keys are means of runs of consecutive tokens in reading order, not of squares."""
    run = int(call.module.N_ratio)
    weights = _weights(call)
    fit = _grid(weights.shape[3], call)
    if run == 1 or fit is None or weights.shape[4] * run != weights.shape[3]:
        return tokens(call) if run == 1 else [Placed(weights, None)]
    grid = (fit[0], fit[1])
    layout = Layout("keys pooled along reading order", grid, _positions(grid), grid, _positions(grid))
    return [Placed(Spread(weights, run), layout)]


def inner_and_outer(call: Call) -> list[Placed]:
    """TNT: pixels inside each patch attend to each other, then patches do."""
    if not call.frame.path.endswith("attn_in"):
        return tokens(call)
    weights = _weights(call)
    fit = _grid(weights.shape[1], call)
    edge = math.isqrt(weights.shape[3])
    if fit is None or edge * edge != weights.shape[3]:
        return [Placed(weights, None)]
    grid = (fit[0] * edge, fit[1] * edge)
    index = _windows(grid, (edge, edge))
    return [Placed(weights, Layout("windows", grid, index, grid, index))]


def several_softmaxes(call: Call) -> list[Placed]:
    """Differential attention: the difference of two softmaxes; each is shown."""
    out = []
    for number, operation in enumerate(call.operations, 1):
        one = Call((operation,), call.frame, call.outer, call.root, call.image_size, call.batch)
        note = "one of two softmaxes whose weighted difference is the attention"
        out += [Placed(p.weights, p.layout, p.kind, p.unit, note, f"softmax {number}") for p in tokens(one)]
    return out


def unplaced(call: Call) -> list[Placed]:
    """What is not in the table: the raw matrix."""
    out = []
    for operation in call.operations:
        tensor = operation.weights if operation.query is None else operation.query
        assert tensor is not None
        if operation.query is None:
            flat = tensor.transpose(operation.dim, -1)
            # A batch axis that was folded into others still leads, so it comes out as batch and groups.
            if flat.dim() >= 2 and flat.shape[0] % call.batch == 0:
                flat = flat.reshape(call.batch, -1, 1, flat.shape[-2] if flat.dim() > 2 else 1, flat.shape[-1])
            else:
                flat = flat.reshape(1, 1, 1, -1, flat.shape[-1]).expand(call.batch, -1, -1, -1, -1)
            out.append(Placed(Computed(flat), None))
        else:
            assert operation.key is not None
            shape = (call.batch, -1, 1)
            bias = operation.bias
            if bias is not None:
                bias = bias.expand(*tensor.shape[:-1], operation.key.shape[-2])
                bias = bias.reshape(*shape, *bias.shape[-2:])
            key = operation.key.expand(*tensor.shape[:-2], *operation.key.shape[-2:])
            out.append(
                Placed(
                    DotProduct(
                        tensor.reshape(*shape, *tensor.shape[-2:]), key.reshape(*shape, *key.shape[-2:]), operation.scale, bias
                    ),
                    None,
                )
            )
    return out


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Row:
    """One line of the table: what the layout is called, who places it, and which child modules make gates."""

    layout: str
    place: Placer = field(repr=False)
    gates: tuple[str, ...] = ()
    #: Rearranges the features before the attention modules inside it see them, so it places their maps.
    encloses: bool = False


_TALKING = "talking heads: after this softmax the heads are mixed before they weigh the values"
_TOKENS = Row("tokens", tokens)
_POOLED = Row("pooled keys", tokens)
_CLASS = Row("pooling query", tokens)
_CHANNELS = Row("channel", channels)
_SQUEEZE = Row("channel gate", squeezed, ("gate",))

#: Which attention module has which layout on the image; key: source file without ending, dot, class.
TABLE: dict[str, Row] = {
    # inserted blocks
    "mhsa.MultiHeadSelfAttention": _TOKENS,
    # plain token sequences
    "attention.Attention": _TOKENS,
    "attention.AttentionRope": _TOKENS,
    "beit.Attention": _TOKENS,
    "eva.EvaAttention": _TOKENS,
    "vision_transformer.ParallelScalingBlock": _TOKENS,
    "vision_transformer.DiffParallelScalingBlock": Row("tokens", several_softmaxes),
    "vision_transformer_relpos.RelPosAttention": _TOKENS,
    "volo.Attention": _TOKENS,
    "visformer.Attention": _TOKENS,
    "metaformer.Attention": _TOKENS,
    "fastvit.Attention": _TOKENS,
    "shvit.SHSA": _TOKENS,
    "lowformer.ConvAttention": _TOKENS,
    "cpubone.ConvAttention": _TOKENS,
    "efficientformer.Attention": _TOKENS,
    "efficientformer_v2.Attention2d": Row("tokens", partial(tokens, note=_TALKING)),
    "efficientformer_v2.Attention2dDownsample": Row("pooled queries", tokens),
    "levit.Attention": _TOKENS,
    "levit.AttentionDownsample": Row("pooled queries", tokens),
    "convit.GPSA": Row("tokens", gated_mixture),
    "convit.MHSA": _TOKENS,
    "cait.TalkingHeadAttn": Row("tokens", partial(tokens, note=_TALKING)),
    "attention2d.Attention2d": _TOKENS,
    "bottleneck_attn.BottleneckAttn": Row("tokens", partial(tokens, order="(b g h)")),
    "non_local_attn.NonLocalAttn": _TOKENS,
    "diff_attention.DiffAttention": Row("tokens", several_softmaxes),
    "tnt.Attention": Row("windows and tokens", inner_and_outer),
    "gemma4_vit.Gemma4Attention": _TOKENS,
    # one query that pools
    "cait.ClassAttn": _CLASS,
    "volo.ClassAttention": _CLASS,
    "crossvit.Attention": _TOKENS,
    "crossvit.CrossAttention": _CLASS,
    "attention_pool.AttentionPoolLatent": _CLASS,
    "attention_pool.AttentionPoolPrr": _CLASS,
    "attention_pool2d.RotAttentionPool2d": Row("tokens", partial(tokens, prefix_name="mean of all places")),
    "attention_pool2d.AttentionPool2d": Row("tokens", partial(tokens, prefix_name="mean of all places")),
    # keys (or queries) on a reduced grid
    "pvt_v2.Attention": _POOLED,
    "twins.GlobalSubSampleAttn": _POOLED,
    "mvitv2.MultiScaleAttention": _POOLED,
    "mvitv2.MultiScaleAttentionPoolFirst": _POOLED,
    "attention2d.MultiQueryAttention2d": _POOLED,
    "nextvit.EfficientAttention": Row("keys pooled along reading order", averaged_runs),
    # windows
    "swin_transformer.WindowAttention": Row("windows, shifted", partial(block_windows, block="SwinTransformerBlock")),
    "swin_transformer_v2.WindowAttention": Row(
        "windows, shifted", partial(block_windows, block="SwinTransformerV2Block")
    ),
    "swin_transformer_v2_cr.WindowMultiHeadAttention": Row(
        "windows, shifted", partial(block_windows, block="SwinTransformerV2CrBlock")
    ),
    "davit.WindowAttention": Row("windows", partial(block_windows, block="SpatialBlock", channels_last=False)),
    "gcvit.WindowAttentionGlobal": Row("windows", partial(block_windows, block="GlobalContextVitBlock")),
    "tiny_vit.Attention": Row("windows", partial(block_windows, block="TinyVitBlock")),
    "vision_transformer_sam.Attention": Row("windows and tokens", partial(block_windows, block="Block", order="(b g h)")),
    "twins.LocallyGroupedAttn": Row("windows", own_windows),
    "iformer.SHMA": Row("windows and tokens", iformer_windows),
    "maxxvit.Attention2d": Row("windows and dilated grid", maxvit),
    "maxxvit.AttentionCl": Row("windows and dilated grid", maxvit),
    "efficientvit_msra.CascadedGroupAttention": Row("windows", cascaded_groups),
    "nest.Attention": Row("windows", nested_blocks),
    "hieradet_sam2.MultiScaleAttention": Row("windows", sam2_windows),
    "hiera.MaskUnitAttention": Row("mask units", mask_units),
    "halo_attn.HaloAttn": Row("halo", halo),
    "volo.OutlookAttention": Row("outlook", outlook),
    # patch-unfolded
    "mobilevit.MobileVitBlock": Row("patch-unfolded", pixel_phases, encloses=True),
    "mobilevit.LinearSelfAttention": Row("context scores", phase_scores),
    # a score a position, no query
    "coat.FactorAttnConvRelPosEnc": Row("context scores", context),
    "global_context.GlobalContext": Row("context scores", context),
    "lambda_layer.LambdaLayer": Row(
        "context scores", partial(context, note="softmax over keys, one picture a key channel; a lambda layer has no query map")
    ),
    # between channels
    "xcit.XCA": _CHANNELS,
    "davit.ChannelAttention": _CHANNELS,
    "davit.ChannelAttentionV2": _CHANNELS,
    "edgenext.CrossCovarianceAttn": _CHANNELS,
    "selective_kernel.SelectiveKernelAttn": Row("channel", branches),
    "split_attn.RadixSoftmax": Row("channel", branches),
    # gates
    "coord_attn.CoordAttn": Row("gate", gate_strips, ("gate",)),
    "coord_attn.EfficientLocalAttn": Row("gate", gate_strips, ("gate",)),
    "coord_attn.SimpleCoordAttn": Row("gate", gate_pictures, ("gate",)),
    "coord_attn.StripAttn": Row("gate", gate_pictures, ("gate",)),
    "cbam.SpatialAttn": Row("gate", gate_pictures, ("gate",)),
    "cbam.LightSpatialAttn": Row("gate", gate_pictures, ("gate",)),
    "cbam.ChannelAttn": _SQUEEZE,
    "gather_excite.GatherExcite": Row("gate", gate_pictures, ("gate",)),
    "squeeze_excite.SEModule": _SQUEEZE,
    "squeeze_excite.EffectiveSEModule": _SQUEEZE,
    "squeeze_excite.SqueezeExciteCl": _SQUEEZE,
    "_efficientnet_blocks.SqueezeExcite": _SQUEEZE,
    "eca.EcaModule": _SQUEEZE,
    "eca.CecaModule": _SQUEEZE,
}


def row_of(module: nn.Module) -> Row | None:
    """The table's row for a module, by its class or the first of its bases that has one."""
    for base in type(module).__mro__:
        row = TABLE.get(f"{base.__module__.rsplit('.', 1)[-1]}.{base.__name__}")
        if row is not None:
            return row
    return None


def layouts_of(module: nn.Module) -> tuple[str, ...]:
    """Which layouts do a model's attention modules have, in the order of the model, each once? Empty for none."""
    rows = (row_of(child) for child in module.modules())
    return tuple(dict.fromkeys(row.layout for row in rows if row is not None))


def why_none(module: nn.Module) -> str:
    """Why a model shows no attention map, in a sentence."""
    name = type(module).__name__
    if "EfficientVit" in name:
        return "Its linear attention has no softmax."
    if layouts_of(module):
        return "Its attention modules ran no softmax and no gate."
    return "It has no attention module, as a plain convolutional network."


def _calls(operations: Sequence[Operation], root: nn.Module, image_size: tuple[int, int]) -> Iterator[tuple[Row, Call]]:
    def owner(operation: Operation) -> tuple[int, Frame, Row]:
        for depth in range(len(operation.frames) - 1, -1, -1):
            row = row_of(operation.frames[depth].module)
            if row is not None:
                outer = (row_of(frame.module) for frame in operation.frames[:depth])
                return depth, operation.frames[depth], next((r for r in outer if r is not None and r.encloses), row)
        depth = len(operation.frames) - 1
        return depth, operation.frames[depth], Row("unknown", unplaced)

    for _, run in groupby(operations, key=lambda operation: id(owner(operation)[1])):
        group = tuple(run)
        depth, frame, row = owner(group[0])
        outermost = group[0].frames[0]
        batch = outermost.shapes[0][0] if outermost.shapes else 1
        yield row, Call(group, frame, group[0].frames[:depth], root, image_size, batch)


def place(
    operations: Sequence[Operation],
    root: nn.Module,
    image_size: tuple[int, int],
    state_of: Callable[[str], WeightsState],
) -> list[tuple[tuple[Operation, ...], AttentionMap]]:
    """Turn the operations of a forward pass into maps placed on the image, each with what it was made from."""
    out = []
    for row, call in _calls(operations, root, image_size):
        for placed in row.place(call):
            unit = placed.unit
            if not unit:
                count = placed.weights.shape[-1]
                unit = f"softmax over {count} positions" if placed.kind == "pairwise" else KINDS[placed.kind]
            note = placed.note
            if placed.layout is None and placed.kind != "channel":
                note = f"{NO_POSITION}; {note}" if note else NO_POSITION
            elif placed.layout is not None and bool((placed.layout.key_index == -1).any()):
                note = "; ".join(filter(None, (note, "near the border a part of the row lies on padding outside the image")))
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
