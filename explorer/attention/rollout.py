"""Through all layers, which parts of the picture does a query's attention reach?

Attention rollout (Abnar & Zuidema 2020) and its gradient-weighted form (Chefer, Gur & Wolf, ICCV 2021) multiply the
attention matrices of all layers. One query's row of that product needs no matrix: the row is carried from the last
layer to the first, and each layer's attention is made and dropped a few queries at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap, Layout
from explorer.errors import MethodError, ParameterError
from explorer.geometry import Point
from explorer.messages import Message

if TYPE_CHECKING:
    from explorer.attention.layouts import Operation

#: Attention weights made at a time, in numbers: 16 MB of float32.
_AT_A_TIME = 4 * 1024 * 1024

HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda weights: weights.mean(0),
    "max": lambda weights: weights.amax(0),
    "min": lambda weights: weights.amin(0),
}


def why_not(maps: Sequence[AttentionMap]) -> str | None:
    """Why is rollout not defined over these maps? None where it is.

    Rollout multiplies matrices, so every layer has to go from all tokens to the same tokens. An attention pool, one
    query over those tokens, may come last.
    """
    body, _ = split(maps)
    if not body:
        return Message("no layer attends from every position to every position with one softmax")
    first = body[0].layout
    for number, one in enumerate(body):
        layout, (_, groups, _, queries, keys) = one.layout, one.weights.shape
        if layout is None or first is None:
            return Message("{layer}: its attention has no known position on the image", layer=one.layer)
        if groups != 1:
            return Message(
                "{layer}: its attention stays inside {groups} {name}; rollout needs one matrix over all",
                layer=one.layer,
                groups=groups,
                name=layout.name,
            )
        if queries != keys or layout.query_index is None or not _same(layout.query_index, layout.key_index):
            return Message(
                "{layer}: queries and keys are not the same tokens ({queries} queries, {keys} keys)",
                layer=one.layer,
                queries=queries,
                keys=keys,
            )
        if layout.prefix != first.prefix or layout.key_grid != first.key_grid:
            return Message(
                "{layer}: its tokens are not those of {first} (grid {grid} with {prefix} prefix tokens, before "
                "{first_grid} with {first_prefix})",
                layer=one.layer,
                first=body[0].layer,
                grid=layout.key_grid,
                prefix=len(layout.prefix),
                first_grid=first.key_grid,
                first_prefix=len(first.prefix),
            )
        if not _same(layout.key_index, first.key_index):
            return Message(
                "{layer}: its tokens are in another order than those of {first}", layer=one.layer, first=body[0].layer
            )
        if number and one.module == body[number - 1].module:
            return Message(
                "{layer}: its attention is made of several softmaxes, none of which is the matrix", layer=one.layer
            )
    return None


def split(maps: Sequence[AttentionMap]) -> tuple[list[AttentionMap], AttentionMap | None]:
    """The pairwise maps, and apart from them the attention pool that may come last: one query over the same tokens."""
    pairwise = [one for one in maps if one.kind == "pairwise"]
    if len(pairwise) > 1:
        last, before = pairwise[-1], pairwise[-2]
        same = last.layout is not None and before.layout is not None
        if same and last.weights.shape[3] == 1 and _same(last.layout.key_index, before.layout.key_index):  # type: ignore[union-attr]
            return pairwise[:-1], last
    return pairwise, None


def rollout(
    maps: Sequence[AttentionMap],
    query: Point | str | None = None,
    *,
    item: int = 0,
    heads: str = "mean",
    residual: float = 0.5,
) -> Tensor:
    """Through all layers, how much of each patch flows into the query's token?

    row of prod_l (residual I + (1 - residual) A_l), A_l reduced over heads (Abnar & Zuidema 2020: mean, 0.5).

    Args:
        maps: the maps of one forward pass, in its order; those that are not pairwise are left out.
        query: a point in input pixels, a prefix token's name, or None for what an attention pool at the end asks for,
            or else the mean over all patches.
        item: which image of the batch.
        heads: "mean", "max" or "min" over the heads.
        residual: share of the skip connection, 0 to 1.

    Returns:
        (rows, columns) float32. What stays on prefix tokens is not shown, so the sum is below 1 where there are some.

    Raises:
        MethodError: the maps do not share one set of tokens.
    """
    if heads not in HEADS:
        raise ParameterError(
            Message("rollout: heads is one of {join}, got '{heads}'", join=", ".join(HEADS), heads=heads)
        )
    if not 0 <= residual <= 1:
        raise ParameterError(
            Message("rollout: residual is a share from 0 to 1, got {residual}", residual=f"{residual:g}")
        )
    body, pool = _defined(maps)
    row = start_row(body[-1], query)
    if pool is not None and query is None:
        row = HEADS[heads](pool.weights.block(item, 0, 0, 1))[0]
    for one in reversed(body):

        def weights(start: int, stop: int, one: AttentionMap = one) -> Tensor:
            return HEADS[heads](one.weights.block(item, 0, start, stop))

        row = residual * row + (1 - residual) * step(row, weights, one.weights.shape)
    return on_image(row, body[0])


def gradient_rollout(
    placed: Sequence[tuple[Sequence[Operation], AttentionMap]],
    gradients: Sequence[Tensor],
    query: Point | str | None = None,
    *,
    item: int = 0,
) -> Tensor:
    """Through all layers, which patches reach the query's token along attention that raises the target?

    row of prod_l (I + mean over heads of (A_l * dtarget/dA_l)^+), minus the query itself (Chefer, Gur & Wolf, ICCV
    2021, equations 5 and 6).

    Args:
        placed: the pairwise maps, no others, and the operations they were made from, as ``Recorder.placed`` gives them
            after a recording with ``values=True``.
        gradients: of the target, for each map: with respect to `differentiable` of it.
        query: as in `rollout`.
        item: which image of the batch.

    Returns:
        (rows, columns) float32.
    """
    body, pool = _defined([one for _, one in placed])
    layers = [
        (one, _weighted(one, operations[0], gradient, item)) for (operations, one), gradient in zip(placed, gradients)
    ]
    row = start_row(body[-1], query)
    if pool is not None and query is None:
        row = layers[-1][1](0, 1)[0]
    for one, weights in reversed(layers[: len(body)]):
        row = row + step(row, weights, one.weights.shape)
    return on_image(row, body[0])


def _weighted(one: AttentionMap, operation: Operation, gradient: Tensor, item: int) -> Callable[[int, int], Tensor]:
    """Rows of the mean over heads of (A * dtarget/dA)^+."""

    def rows(start: int, stop: int) -> Tensor:
        slope = gradient[item, :, start:stop].float()
        if operation.value is not None:
            # O = A V, so dL/dA[i, j] = dL/dO[i] . V[j]: the gradient of the map without the map.
            slope = slope @ operation.value[item].detach().float().transpose(-1, -2)
        return (one.weights.block(item, 0, start, stop) * slope).clamp(min=0).mean(0)

    return rows


def differentiable(operations: Sequence[Operation], one: AttentionMap) -> Tensor | None:
    """The tensor of the forward pass with respect to which `gradient_rollout` wants the target's gradient.

    It is the softmax's own output, or the output of the fused attention; None where the map is not simply one of them
    (heads folded into the batch, mixed after the softmax, shared between queries).
    """
    if len(operations) != 1:
        return None
    batch, _, heads, queries, keys = one.weights.shape
    operation = operations[0]
    if operation.value is not None and operation.output is not None:
        fits = operation.value.shape[:-1] == (batch, heads, keys) and operation.output.shape[:-1] == (
            batch,
            heads,
            queries,
        )
        return operation.output if fits else None
    if operation.weights is not None and operation.weights.shape == (batch, heads, queries, keys):
        return operation.weights
    return None


def step(row: Tensor, weights: Callable[[int, int], Tensor], shape: tuple[int, ...]) -> Tensor:
    """Row times matrix, (N,) float32, with ``weights(start, stop) -> (stop - start, N)`` made a few rows at a time."""
    heads, keys = shape[2], shape[4]
    chunk = max(1, _AT_A_TIME // (heads * keys))
    out = torch.zeros_like(row)
    # The last layer's row is one token alone: the other rows would be multiplied by zero.
    wanted = row.nonzero()
    if len(wanted) == 0:
        return out
    for start in range(int(wanted[0, 0]), int(wanted[-1, 0]) + 1, chunk):
        stop = min(start + chunk, int(wanted[-1, 0]) + 1)
        out += row[start:stop] @ weights(start, stop)
    return out


def start_row(one: AttentionMap, query: Point | str | None) -> Tensor:
    """The query as a row over tokens, (N,) float32: one at its token, or spread over all patches for None."""
    layout = _layout(one)
    row = torch.zeros(one.weights.shape[4], device=one.weights.block(0, 0, 0, 1).device)
    if query is None:
        patches = (layout.key_index[0] >= 0).to(row.device)
        row[patches] = 1 / int(patches.sum())
    elif isinstance(query, str):
        if query not in layout.prefix:
            raise ParameterError(
                Message(
                    "{layer}: no prefix token '{query}'; it has: {names}",
                    layer=one.layer,
                    query=query,
                    names=", ".join(layout.prefix) or "none",
                )
            )
        row[layout.find(-2 - layout.prefix.index(query))[0][1]] = 1
    else:
        row[layout.find(layout.cell(Point(*query), one.image_size))[0][1]] = 1
    return row


def on_image(row: Tensor, one: AttentionMap) -> Tensor:
    """The row's patches in their places: (rows, columns) float32."""
    layout = _layout(one)
    index = layout.key_index[0].to(row.device)
    out = row.new_zeros(layout.key_grid[0] * layout.key_grid[1])
    return out.index_add(0, index[index >= 0], row[index >= 0]).view(layout.key_grid)


def _defined(maps: Sequence[AttentionMap]) -> tuple[list[AttentionMap], AttentionMap | None]:
    if (reason := why_not(maps)) is not None:
        raise MethodError(Message("rollout is not defined here: {reason}", reason=reason))
    return split(maps)


def _layout(one: AttentionMap) -> Layout:
    if one.layout is None:
        raise MethodError(Message("{layer}: no known position on the image", layer=one.layer))
    return one.layout


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one == other).all())
