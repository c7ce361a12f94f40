"""Every block once more, written out place by place from its definition: what the tests compare with.

Nothing here uses the blocks' own forward passes, attention kernels, batch norm or convolutions; only their weights.
Each function takes a block in evaluation mode and features (B, C, H, W), and returns the output and the maps by part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Naive = tuple[Tensor, dict[str, Tensor]]


def softmax(values: Tensor) -> Tensor:
    """Over the last axis."""
    powers = (values - values.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def pointwise(module: nn.Module, x: Tensor) -> Tensor:
    """1x1 convolution."""
    weight: Any = module.weight
    out = torch.einsum("oc,bchw->bohw", weight.reshape(len(weight), -1), x)
    return out if module.bias is None else out + module.bias.view(1, -1, 1, 1)  # type: ignore[union-attr, operator]


def convolution(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """k x k convolution, zero outside, place by place: weight (O, C, k, k)."""
    reach = weight.shape[-1] // 2
    batch, _, height, width = x.shape
    out = torch.zeros(batch, len(weight), height, width)
    for i in range(height):
        for j in range(width):
            for a in range(-reach, reach + 1):
                for b in range(-reach, reach + 1):
                    if 0 <= i + a < height and 0 <= j + b < width:
                        out[:, :, i, j] += x[:, :, i + a, j + b] @ weight[:, :, reach + a, reach + b].T
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def norm(module: Any, x: Tensor) -> Tensor:
    """Batch norm by its running statistics."""
    mean, variance, weight, bias = (
        value.view(1, -1, 1, 1) for value in (module.running_mean, module.running_var, module.weight, module.bias)
    )
    return (x - mean) / (variance + module.eps).sqrt() * weight + bias


def silu(x: Tensor) -> Tensor:
    return x * sigmoid(x)


def heads(x: Tensor, count: int) -> Tensor:
    """(B, C, H, W) to (B, heads, H, W, d_h)."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, count, channels // count, height, width).permute(0, 1, 3, 4, 2)


def joined(x: Tensor) -> Tensor:
    """(B, heads, H, W, d_h) to (B, C, H, W)."""
    return x.permute(0, 1, 4, 2, 3).flatten(1, 2)


def none(block: Any, x: Tensor) -> Naive:  # noqa: ARG001 - every function has a block
    return x, {}


def conv(block: Any, x: Tensor) -> Naive:
    # A depthwise convolution is a full one whose other weights are zero.
    full = torch.zeros(x.shape[1], x.shape[1], 3, 3)
    for c in range(x.shape[1]):
        full[c, c] = block.convolution.weight[c, 0]
    return convolution(full, block.convolution.bias, x), {}


def mhsa(block: Any, x: Tensor) -> Naive:
    batch, channels, height, width = x.shape
    if block.position == "absolute":
        assert block.places.shape[-2:] == (height, width)
        x = x + block.places
    q, k, v = (heads(part, block.heads) for part in pointwise(block.projections, x).chunk(3, 1))
    weights = torch.zeros(batch, block.heads, height, width, height, width)
    out = torch.zeros_like(v)
    for i in range(height):
        for j in range(width):
            scores = torch.einsum("bhd,bhyxd->bhyx", q[:, :, i, j], k) / math.sqrt(channels // block.heads)
            if block.position == "relative":
                for y in range(height):
                    for z in range(width):
                        scores[:, :, y, z] += block.bias[0, :, i - y + height - 1, j - z + width - 1]
            weights[:, :, i, j] = softmax(scores.flatten(2)).view_as(scores)
            out[:, :, i, j] = torch.einsum("bhyx,bhyxd->bhd", weights[:, :, i, j], v)
    return pointwise(block.out, joined(out)), {"": weights}


def _rows(line: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Attention along every row: output (B, C, H, W) and weights (B, heads, H, W query, W key)."""
    q, k, v = (heads(part, line.heads) for part in pointwise(line.projections, x).chunk(3, 1))
    weights = torch.zeros(*q.shape[:-1], q.shape[3])
    out = torch.zeros_like(v)
    for i in range(q.shape[2]):
        for j in range(q.shape[3]):
            scores = [(q[:, :, i, j] * k[:, :, i, b]).sum(-1) / math.sqrt(q.shape[-1]) for b in range(q.shape[3])]
            weights[:, :, i, j] = softmax(torch.stack(scores, -1))
            out[:, :, i, j] = sum(weights[:, :, i, j, b, None] * v[:, :, i, b] for b in range(q.shape[3]))
    return pointwise(line.out, joined(out)), weights


def axial(block: Any, x: Tensor) -> Naive:
    """The two maps as matrices over all places, so that their path is an ordinary product of matrices."""
    batch, _, height, width = x.shape
    if block.position == "absolute":
        x = x + block.places
    turned, down = _rows(block.column, x.transpose(2, 3))  # (B, heads, W, H query, H key)
    column = torch.zeros(batch, block.heads, height, width, height, width)
    row = torch.zeros(batch, block.heads, height, width, height, width)
    for j in range(width):
        column[:, :, :, j, :, j] = down[:, :, j]
    x = turned.transpose(2, 3) if block.merge == "sequence" else x
    out, across = _rows(block.row, x)
    for i in range(height):
        row[:, :, i, :, i, :] = across[:, :, i]
    maps = {" (column)": column, " (row)": row}
    if block.merge == "sequence":
        # First the column attention is applied and then, to its result, the row attention.
        matrix = row.flatten(4).flatten(2, 3) @ column.flatten(4).flatten(2, 3)
        return out, maps | {" (path)": matrix.view_as(row)}
    return out + turned.transpose(2, 3), maps | {" (cross)": (row + column) / 2}


def channel(block: Any, x: Tensor) -> Naive:
    batch, channels, height, width = x.shape
    n, size = height * width, channels // block.groups
    q, k, v = (part.flatten(2) for part in pointwise(block.projections, x).chunk(3, 1))
    weights = torch.zeros(batch, block.groups, size, size)
    out = torch.zeros(batch, channels, n)
    for group in range(block.groups):
        for one in range(size):
            for other in range(size):
                a, b = q[:, group * size + one], k[:, group * size + other]
                product = (a * b).sum(-1)
                if block.scale == "xcit":
                    product = product / (a.square().sum(-1).sqrt() * b.square().sum(-1).sqrt())
                    product = product * block.temperature[group]
                else:
                    product = product / math.sqrt(n)
                weights[:, group, one, other] = product
        weights[:, group] = softmax(weights[:, group])
        for one in range(size):
            out[:, group * size + one] = torch.einsum(
                "bc,bcn->bn", weights[:, group, one], v[:, group * size : (group + 1) * size]
            )
    return pointwise(block.out, out.view_as(x)), {"": weights}


def linear(block: Any, x: Tensor) -> Naive:
    channels = x.shape[1]
    parts = pointwise(block.projections, x)
    scores = softmax(parts[:, :1].flatten(2)).view_as(parts[:, :1])  # (B, 1, H, W)
    context = (scores * parts[:, 1 : 1 + channels]).sum((2, 3), keepdim=True)
    return pointwise(block.out, parts[:, 1 + channels :].clamp(min=0) * context), {"": scores}


def _conv_norm_silu(module: Any, x: Tensor) -> Tensor:
    return silu(norm(module[1], convolution(module[0].weight, None, x)))


def _c2f(block: Any, x: Tensor, gate: Callable[[Any, Tensor, Tensor], Tensor]) -> Tensor:
    first = _conv_norm_silu(block.first, x)
    pieces = [first[:, : block.hidden], first[:, block.hidden :]]
    for bottleneck in block.bottlenecks:
        branch = pieces[-1]
        for one in bottleneck.convolutions:
            branch = _conv_norm_silu(one, branch)
        pieces.append(gate(bottleneck, pieces[-1], branch))
    return _conv_norm_silu(block.last, torch.cat(pieces, 1))


def c2f(block: Any, x: Tensor) -> Naive:
    return _c2f(block, x, lambda _, skip, branch: skip + branch), {}


def c2f_gate(block: Any, x: Tensor) -> Naive:
    a = convolution(block.a.weight, block.a.bias, x)
    b = convolution(block.b.weight, block.b.bias, x)
    gate = sigmoid(pointwise(block.fuse, a + b))
    return x * gate, {"": gate}


def _coord(module: Any, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    height, width = x.shape[2:]

    def gate(means: Tensor, out: nn.Module) -> Tensor:
        y = norm(module.bn1, pointwise(module.conv1, means))
        return sigmoid(pointwise(out, y * (y + 3).clamp(0, 6) / 6))

    rows = gate(sum(x[..., j : j + 1] for j in range(width)) / width, module.conv_h)  # type: ignore[arg-type]
    columns = gate(sum(x[:, :, i : i + 1] for i in range(height)) / height, module.conv_w)  # type: ignore[arg-type]
    return x * rows * columns, {" (rows)": rows, " (columns)": columns, " (rows x columns)": rows * columns}


def coord(block: Any, x: Tensor) -> Naive:
    out, gates = _coord(block.attention, x)
    return out, {".attention" + part: gate for part, gate in gates.items()}


def ca_c2f(block: Any, x: Tensor) -> Naive:
    maps: dict[str, Tensor] = {}

    def gated(module: Any, name: str, y: Tensor) -> Tensor:
        out, gates = _coord(module.coord, y)
        maps.update({f".{name}coord{part}": gate for part, gate in gates.items()})
        return out

    numbers = {id(bottleneck): number for number, bottleneck in enumerate(block.bottlenecks)}

    def bottleneck(module: Any, skip: Tensor, branch: Tensor) -> Tensor:
        name = f"bottlenecks.{numbers[id(module)]}."
        if block.placement == "branch":
            return skip + gated(module, name, branch)
        return gated(module, name, skip + branch) if block.placement == "bottleneck" else skip + branch

    out = _c2f(block, x, bottleneck)
    return (gated(block, "", out) if block.placement == "output" else out), maps


def se(block: Any, x: Tensor) -> Naive:
    module = block.attention
    mean = x.flatten(2).mean(-1)[..., None, None]
    gate = sigmoid(pointwise(module.fc2, pointwise(module.fc1, mean).clamp(min=0)))
    return x * gate, {".attention": gate}


def eca(block: Any, x: Tensor) -> Naive:
    kernel = block.attention.conv.weight.flatten()
    mean, reach = x.flatten(2).mean(-1), len(kernel) // 2
    sums = torch.zeros_like(mean)
    for c in range(x.shape[1]):
        for offset in range(-reach, reach + 1):
            if 0 <= c + offset < x.shape[1]:
                sums[:, c] += kernel[reach + offset] * mean[:, c + offset]
    gate = sigmoid(sums)[..., None, None]
    return x * gate, {".attention": gate}


def cbam(block: Any, x: Tensor) -> Naive:
    channels, places = block.attention.channel, block.attention.spatial
    pooled = [x.flatten(2).mean(-1), x.flatten(2).amax(-1)]
    sums = sum(pointwise(channels.fc2, pointwise(channels.fc1, one[..., None, None]).clamp(min=0)) for one in pooled)
    first = sigmoid(sums)  # type: ignore[arg-type]
    x = x * first
    pair = torch.stack([x.mean(1), x.amax(1)], 1)
    second = sigmoid(norm(places.conv.bn, convolution(places.conv.conv.weight, None, pair)))
    return x * second, {".attention.channel": first, ".attention.spatial": second}


def nonlocal_(block: Any, x: Tensor) -> Naive:
    module = block.attention
    q, k, v = (pointwise(part, x).flatten(2) for part in (module.t, module.p, module.g))
    weights = softmax(torch.einsum("bci,bcj->bij", q, k) / math.sqrt(x.shape[1]))
    mixed = torch.einsum("bij,bcj->bci", weights, v).unflatten(2, x.shape[2:])
    out = norm(module.norm, pointwise(module.z, mixed)) + x
    height, width = x.shape[2:]
    return out, {".attention": weights.view(len(x), 1, height, width, height, width)}


NAIVE: dict[str, Callable[[Any, Tensor], Naive]] = {
    "none": none,
    "conv": conv,
    "mhsa": mhsa,
    "axial": axial,
    "channel": channel,
    "linear": linear,
    "c2f": c2f,
    "c2f_gate": c2f_gate,
    "coord": coord,
    "ca_c2f": ca_c2f,
    "se": se,
    "eca": eca,
    "cbam": cbam,
    "nonlocal": nonlocal_,
}
