"""How each kind of attention module lays out its weights: a function from one call of the module to its maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.attention.layouts.entries import Entries
from explorer.attention.layouts.grids import (
    expected_prefixes,
    fit_grid,
    positions,
    prefix_names,
    square,
    windows,
    with_prefix,
)
from explorer.attention.layouts.operations import Call, Frame, Operation, Placed
from explorer.attention.layouts.weights import Computed, Cross, DotProduct, Path, Spread, Strips
from explorer.attention.maps import Layout, Weights
from explorer.messages import Message

_POOLING = Message("one query, the same row for every place: what is pooled into the answer")


#: The part of a map of rows and columns that shows both.
_CROSS = Message("cross")


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
    raise ValueError(Message("unknown order {order}", order=f"{order!r}"))


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


def tokens(call: Call, order: str | None = None, note: str = "", prefix_name: str | None = None) -> list[Placed]:
    """Queries and keys are tokens of one sequence, or queries of one grid and keys of another (pooled keys).

    A single query over many keys is a pooling query (a class token, an attention pool): one row for all places.
    """
    weights = _weights(call, order)
    _, groups, _, queries, keys = weights.shape
    key_fit = fit_grid(keys, call, expected_prefixes(call)) if groups == 1 else None
    if key_fit is None:
        return [Placed(weights, None, note=note)]
    *key_grid, prefix = key_fit
    names = (prefix_name,) * prefix if prefix_name else prefix_names(call.root, prefix)
    grid = (key_grid[0], key_grid[1])
    key_index = with_prefix(grid, prefix)
    if queries == 1 and keys > 1:
        layout = Layout(Message("pooling query"), grid, key_index, prefix=names)
        return [Placed(weights, layout, note=note or _POOLING)]
    # Strided attention (PVT, MViT) keeps the class token on both sides, so the prefix is the keys'.
    query_fit = key_fit if queries == keys else fit_grid(queries, call, [prefix])
    if query_fit is None:
        return [Placed(weights, None, note=note)]
    query_grid = (query_fit[0], query_fit[1])
    name = (
        Message("tokens")
        if query_grid == grid
        else Message("pooled keys")
        if query_grid[0] > grid[0]
        else Message("pooled queries")
    )
    query_index = key_index if query_grid == grid else with_prefix(query_grid, prefix)
    return [Placed(weights, Layout(name, grid, key_index, query_grid, query_index, names), note=note)]


def whole_map(call: Call) -> list[Placed]:
    """A module that is given features (B, C, H, W) attends over all their places: the grid is known, not guessed."""
    grid = _given(call)
    return [Placed(_weights(call), Layout(Message("tokens"), grid, positions(grid), grid, positions(grid)))]


def _given(call: Call) -> tuple[int, int]:
    """(H, W) of the features (B, C, H, W) that the module was given."""
    return _grid_of(call.frame)


def _grid_of(frame: Frame) -> tuple[int, int]:
    """(H, W) of the features (B, C, H, W) that a module was given."""
    _, _, height, width = frame.shapes[0]
    return height, width


def _windowed(call: Call, name: str, grid: tuple[int, int], index: Tensor, order: str | None = None) -> list[Placed]:
    weights = _weights(call, order)
    return [Placed(weights, Layout(name, grid, index, grid, index))]


def block_windows(call: Call, block: str, channels_last: bool = True, order: str | None = None) -> list[Placed]:
    """Windows, shifted or not, that an enclosing block makes of its (B, H, W, C) or (B, C, H, W) input."""
    parent = call.parent(block)
    if parent is None:
        return tokens(call, order)
    shape = parent.shapes[0]
    grid = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
    module: Any = parent.module
    size = getattr(module, "window_size", None)
    window = square(call.module.window_size if size is None else size)
    if window == (0, 0):
        return tokens(call, order)
    shift = square(getattr(module, "shift_size", 0) or 0)
    name = Message("shifted windows") if any(shift) else Message("windows")
    return _windowed(call, name, grid, windows(grid, window, shift), order)


def own_windows(call: Call) -> list[Placed]:
    """Twins' locally grouped attention: the grid is an argument of the call."""
    grid = call.frame.sizes[0]
    return _windowed(call, Message("windows"), grid, windows(grid, square(call.module.ws)), "b g h")


def iformer_windows(call: Call) -> list[Placed]:
    """iFormer's single-head modulation attention: its own windows, or the whole map."""
    size = call.module.window_size
    if not size:
        return tokens(call)
    _, _, height, width = call.frame.shapes[0]
    return _windowed(call, Message("windows"), (height, width), windows((height, width), square(size)))


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
            Message("windows") if block else Message("dilated grid"),
            grid,
            windows(grid, square(size), dilated=not block),
        )
    return tokens(call)


def torchvision_maxvit(call: Call) -> list[Placed]:
    """torchvision's MaxViT: blocks of neighbours, or a grid of places a number of windows apart."""
    parent = call.parent("PartitionAttentionLayer")
    if parent is None:
        return unplaced(call)
    module: Any = parent.module
    grid = _grid_of(parent)
    dilated = module.partition_type == "grid"
    index = windows(grid, square(module.g if dilated else module.p), dilated=dilated)
    return _windowed(call, Message("dilated grid") if dilated else Message("windows"), grid, index)


def cascaded_groups(call: Call) -> list[Placed]:
    """EfficientViT (MSRA): one softmax a head, in windows."""
    parent = call.parent("LocalWindowAttention")
    assert parent is not None
    _, _, height, width = parent.shapes[0]
    stacked = torch.stack([op.weights for op in call.operations if op.weights is not None], 1)
    index = windows((height, width), square(call.module.resolution))
    layout = Layout(Message("windows"), (height, width), index, (height, width), index)
    return [Placed(Computed(_five(stacked, call, "(b g) h")), layout)]


def nested_blocks(call: Call) -> list[Placed]:
    """NesT: a square arrangement of square image blocks."""
    _, blocks, entries, _ = call.frame.shapes[0]
    side, edge = math.isqrt(blocks), math.isqrt(entries)
    grid = (side * edge, side * edge)
    return _windowed(call, Message("windows"), grid, windows(grid, (edge, edge)), "b h g")


def sam2_windows(call: Call) -> list[Placed]:
    """SAM 2's Hiera: windows, of which a stage's first block pools the queries."""
    parent = call.parent("MultiScaleBlock")
    assert parent is not None
    _, height, width, _ = parent.shapes[0]
    block: Any = parent.module
    if not block.is_windowed:
        return tokens(call)
    key_index = windows((height, width), block.window_size)
    if block.q_stride is None:
        return _windowed(call, Message("windows"), (height, width), key_index)
    stride = square(block.q_stride)
    grid = (height // stride[0], width // stride[1])
    window = (block.window_size[0] // stride[0], block.window_size[1] // stride[1])
    layout = Layout(Message("windows, pooled queries"), (height, width), key_index, grid, windows(grid, window))
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
    name = Message("mask units") if call.module.use_mask_unit_attn else Message("tokens")
    return [Placed(weights, Layout(name, grid, key_index, query_grid, query_index))]


def pixel_phases(call: Call) -> list[Placed]:
    """MobileViT: the pixels at the same place of every patch attend to each other: each pixel phase is a group."""
    parent = call.parent("MobileVitBlock")
    assert parent is not None
    _, _, height, width = parent.shapes[0]
    block: Any = parent.module
    patch = square(block.patch_size)
    grid = (math.ceil(height / patch[0]) * patch[0], math.ceil(width / patch[1]) * patch[1])
    index = windows(grid, patch).T.contiguous()
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
    patch = square(block.patch_size)
    grid = (math.ceil(height / patch[0]) * patch[0], math.ceil(width / patch[1]) * patch[1])
    index = windows(grid, patch).T.reshape(1, -1)
    layout = Layout(Message("context scores"), grid, index)
    unit = Message(
        "softmax over the positions of each of {phases} pixel phases: sums to {phases}",
        phases=phases,
    )
    return [Placed(Computed(scores.flatten(2)[:, None, :, None]), layout, "context", unit)]


def context(call: Call, note: str = "") -> list[Placed]:
    """A softmax over positions that no query enters: (B, ..., N), one picture a leading channel."""
    scores = call.operations[0].weights
    assert scores is not None
    if call.operations[0].dim % scores.dim() != scores.dim() - 1:
        scores = scores.transpose(-1, call.operations[0].dim)
    flat = scores.reshape(call.batch, 1, -1, 1, scores.shape[-1])
    fit = fit_grid(scores.shape[-1], call, expected_prefixes(call))
    if fit is None:
        return [Placed(Computed(flat), None, "context", note=note)]
    rows, columns, prefix = fit
    index = with_prefix((rows, columns), prefix)
    layout = Layout(Message("context scores"), (rows, columns), index, prefix=prefix_names(call.root, prefix))
    return [Placed(Computed(flat), layout, "context", note=note)]


def additive(call: Call) -> list[Placed]:
    """SwiftFormer's additive attention: a score a place, normalised over the places; it weighs the queries' sum.

    The scores have signs; a picture shows their magnitude. (B, N, 1), of features (B, C, H, W).
    """
    grid, scores = _given(call), call.operations[0].weights
    assert scores is not None
    layout = Layout(Message("context scores"), grid, positions(grid))
    unit = Message("magnitude of the score over {grid} positions, squares sum to 1", grid=grid[0] * grid[1])
    note = Message("additive attention: no softmax; the same for every query, signs left out")
    return [Placed(Computed(scores.abs().reshape(call.batch, 1, 1, 1, -1)), layout, "context", unit, note)]


def one_context(call: Call) -> list[Placed]:
    """One score a place, softmax over all places of the features (B, C, H, W) that the module was given."""
    grid, scores = _given(call), call.operations[0].weights
    assert scores is not None
    layout = Layout(Message("context scores"), grid, positions(grid))
    unit = Message("softmax over {grid} positions, the same for every query", grid=grid[0] * grid[1])
    return [Placed(Computed(scores.reshape(call.batch, 1, 1, 1, -1)), layout, "context", unit)]


def axes(call: Call) -> list[Placed]:
    """Row and column attention: each along its lines, and last what a place reads from both."""
    grid = _given(call)
    order = "(b g) h"
    first, second = (_weights(call, order, index) for index in (0, 1))
    assert isinstance(first, DotProduct)
    assert isinstance(second, DotProduct)
    names = [operation.frames[-1].path.rsplit(".", 1)[-1] for operation in call.operations]
    column, row = (first, second) if names == ["column", "row"] else (second, first)
    rows, columns = windows(grid, (1, grid[1])), windows(grid, (grid[0], 1))
    everywhere = positions(grid)
    both: Placed
    layout = Layout(Message("row and column"), grid, everywhere, grid, everywhere)
    if call.module.merge == "sequence":
        note = Message(
            "the path of two steps, along the column and then along the row; of the weights alone, without values"
        )
        both = Placed(Path(row, column), layout, "axial", Message("product of two softmaxes: sums to 1"), note, "path")
    else:
        note = Message("row and column attention are added; drawn is the mean of their weights")
        both = Placed(
            Cross(row, column), layout, "axial", Message("mean of two softmaxes: sums to 1"), note, Message("cross")
        )
    return [
        Placed(
            column,
            Layout(Message("columns"), grid, columns, grid, columns),
            "axial",
            Message("softmax over {grid} positions of the column", grid=grid[0]),
            part=Message("column"),
        ),
        Placed(
            row,
            Layout(Message("rows"), grid, rows, grid, rows),
            "axial",
            Message("softmax over {grid} positions of the row", grid=grid[1]),
            part=Message("row"),
        ),
        both,
    ]


def channels(call: Call) -> list[Placed]:
    """Attention between channels: a matrix a head (XCiT, EdgeNeXt, DaViT), never a picture of the image."""
    return [Placed(_weights(call), None, "channel", Message("softmax over channels"))]


def squeezed(call: Call) -> list[Placed]:
    """A gate a channel (squeeze and excitation and its kin), shown as bars."""
    gate = call.operations[-1].weights
    assert gate is not None
    return [Placed(Computed(gate.reshape(call.batch, 1, 1, 1, -1)), None, "channel", Message("gate a channel, 0 to 1"))]


def branches(call: Call) -> list[Placed]:
    """Which of several branches does each channel listen to (SKNet, ResNeSt): a matrix (channels, branches)."""
    scores = call.operations[0].weights
    assert scores is not None
    flat = scores.movedim(call.operations[0].dim, -1)
    flat = flat.reshape(call.batch, 1, 1, -1, flat.shape[-1])
    return [Placed(Computed(flat), None, "channel", Message("softmax over branches, for each channel"))]


def gate_pictures(call: Call) -> list[Placed]:
    """A gate a position (and perhaps a channel): (B, C or 1, H, W)."""
    gate = call.operations[-1].weights
    assert gate is not None
    _, _, height, width = gate.shape
    layout = Layout(Message("gate"), (height, width), positions((height, width)))
    return [Placed(Computed(gate.flatten(2)[:, None, :, None]), layout, "gate")]


def gate_strips(call: Call) -> list[Placed]:
    """Coordinate attention: a gate a row, a gate a column, and last their product, the picture to look at first."""
    first, second = (operation.weights for operation in call.operations)
    assert first is not None
    assert second is not None
    rows, columns = (first, second) if first.shape[-1] == 1 else (second, first)
    grid = (rows.shape[2], columns.shape[3])

    def strip(gate: Tensor, shape: tuple[int, int], part: str) -> Placed:
        return Placed(
            Computed(gate.flatten(2)[:, None, :, None]),
            Layout(Message("gate"), shape, positions(shape)),
            "gate",
            part=part,
        )

    whole = Layout(Message("gate"), grid, positions(grid))
    return [
        strip(rows, (grid[0], 1), Message("rows")),
        strip(columns, (1, grid[1]), Message("columns")),
        Placed(Strips(rows, columns), whole, "gate", part=Message("rows x columns")),
    ]


def halo(call: Call) -> list[Placed]:
    """HaloNet: blocks of queries, each over a window with a halo around it; outside the map the halo is empty."""
    module = call.module
    _, _, height, width = call.frame.shapes[0]
    size, border, window = int(module.block_size), int(module.halo_size), int(module.win_size)
    padded = F.pad(positions((height, width)).view(height, width), (border,) * 4, value=-1)
    key_index = padded.unfold(0, window, size).unfold(1, window, size).reshape(-1, window * window)
    stride = int(module.block_stride)
    grid = (height // stride, width // stride)
    query_index = windows(grid, square(int(module.block_size_ds)))
    weights = _weights(call, "(b h) g")
    return [Placed(weights, Layout(Message("halo"), (height, width), key_index, grid, query_index))]


def outlook(call: Call) -> list[Placed]:
    """VOLO's outlook attention: every window of 3 x 3 mixes its places; a place lies in 1 to 4 windows."""
    module = call.module
    _, height, width, _ = call.frame.shapes[0]
    kernel, pad, stride = int(module.kernel_size), int(module.padding), int(module.stride)
    # The unfold of the features, done to position numbers; 0 is the padding.
    numbers = (positions((height, width)).view(1, 1, height, width) + 1).float()
    index = F.unfold(numbers, kernel, padding=pad, stride=stride)[0].T.long() - 1
    layout = Layout(Message("outlook"), (height, width), index, (height, width), index)
    return [
        Placed(
            _weights(call, "b h g"), layout, unit=Message("sum over the windows that hold the query, each a softmax")
        )
    ]


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
    fit = fit_grid(weights.shape[3], call)
    if run == 1 or fit is None or weights.shape[4] * run != weights.shape[3]:
        return tokens(call) if run == 1 else [Placed(weights, None)]
    grid = (fit[0], fit[1])
    layout = Layout(Message("keys pooled along reading order"), grid, positions(grid), grid, positions(grid))
    return [Placed(Spread(weights, run), layout)]


def inner_and_outer(call: Call) -> list[Placed]:
    """TNT: pixels inside each patch attend to each other, then patches do."""
    if not call.frame.path.endswith("attn_in"):
        return tokens(call)
    weights = _weights(call)
    fit = fit_grid(weights.shape[1], call)
    edge = math.isqrt(weights.shape[3])
    if fit is None or edge * edge != weights.shape[3]:
        return [Placed(weights, None)]
    grid = (fit[0] * edge, fit[1] * edge)
    index = windows(grid, (edge, edge))
    return [Placed(weights, Layout(Message("windows"), grid, index, grid, index))]


def several_softmaxes(call: Call) -> list[Placed]:
    """Differential attention: the difference of two softmaxes; each is shown."""
    out = []
    for number, operation in enumerate(call.operations, 1):
        one = Call((operation,), call.frame, call.outer, call.root, call.image_size, call.batch)
        note = Message("one of two softmaxes whose weighted difference is the attention")
        out += [Placed(p.weights, p.layout, p.kind, p.unit, note, f"softmax {number}") for p in tokens(one)]
    return out


def traced(call: Call, known: Mapping[int, tuple[Entries | None, Entries]], prefix: tuple[str, ...]) -> list[Placed]:
    """What was placed by running an unknown network on changed pictures (`explorer.attention.tracing`)."""
    out = []
    for number, operation in enumerate(call.operations):
        queries, keys = known[id(operation)]
        names = prefix[: keys.prefix]
        weights = _weights(call, index=number)
        if queries is None:
            layout = Layout(Message("pooling query"), keys.grid, keys.index, prefix=names)
            out.append(Placed(weights, layout, note=_POOLING))
            continue
        name = (
            Message("windows")
            if len(keys.index) > 1
            else Message("tokens")
            if queries.grid == keys.grid
            else Message("pooled keys")
        )
        out.append(Placed(weights, Layout(name, keys.grid, keys.index, queries.grid, queries.index, names)))
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
            query = tensor.reshape(*shape, *tensor.shape[-2:])
            key = operation.key.expand(*tensor.shape[:-2], *operation.key.shape[-2:])
            key = key.reshape(*shape, *key.shape[-2:])
            out.append(Placed(DotProduct(query, key, operation.scale, bias), None))
    return out
