"""Separable self-attention by channels."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from explorer.blocks.about import About, attended
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import channels_last, channels_second, divisor
from explorer.kinds import MapKind


@BLOCKS.register("channel")
class ChannelAttention(Block):
    """Which channels does each channel listen to? Self-attention between the channels of a group.

    Q, K, V are 1x1 convolutions of x, their channels in g groups of d_g; in each group A = softmax(Q^T K s) of
    (d_g, d_g), where Q and K are (n, d_g), and the output is V A^T; groups joined, then a 1x1 convolution. ``scale``:
    xcit (Q and K of each channel divided by their length over n, s a learnt temperature a group, 1 at first) or davit
    (s = n^-0.5). It has no position: shuffling the places shuffles the output and leaves the map.

    Cost: 4 n d^2 + 2 n d^2 / g multiply-adds, linear in n; 4 d (d + 1) parameters and g temperatures (xcit).
    Map: (g, d_g, d_g), softmax over channels.
    Source: El-Nouby et al., "XCiT: Cross-Covariance Image Transformers", 2021; Ding et al., "DaViT", 2022 (the scale as
    in timm's ChannelAttentionV2).
    """

    options: ClassVar = {
        "groups": option(0, "number of groups, a divisor of the channels; 0: nearest to 32 channels each", 0, 64),
        "scale": option("xcit", "how the products are scaled before the softmax", choices=("xcit", "davit")),
    }
    residual: ClassVar[bool] = True
    kind: ClassVar[MapKind | None] = "channel"
    about: ClassVar = About(
        short="Between channels",
        title="Attention between channels",
        formula=(
            r"A = \mathrm{softmax}\!\left(\tau\, \hat Q^\top \hat K\right) \in \mathbb{R}^{d_g\times d_g},\qquad "
            r"\mathrm{out} = W^O\,[V_1 A_1^\top;\dots;V_g A_g^\top]"
        ),
        plain="A = softmax(t Q^T K) between the d_g channels of a group, Q and K of (n, d_g); out = W^O [V A^T]",
        order="O(n d^2 / g), and O(n d^2) for the projections: linear in n",
        means=(
            "Which channels are mixed into each channel, chosen from how alike the query of one and the key of "
            "the other are over the whole picture; every row sums to 1. What "
            "place a channel stands for is seen in its activation, not here."
        ),
        means_not="It has no position: it is a matrix, and no picture of the image can be made of it.",
        strengths=(
            "Linear in the number of positions, with context from the whole picture.",
            "Works at any size without positions to interpolate.",
        ),
        weaknesses=(
            "Never moves anything from one place to another: places are mixed only inside the sums.",
            "Knows nothing of where: shuffled places give the same output, shuffled.",
            "More groups are cheaper, but channels of different groups are not compared.",
        ),
        memory="O(n d), and d^2 / g for the map",
        reach="all places, by sums over them; none is told from another",
        use="On large grids and where the size of pictures changes: linear in n, and no positions to interpolate.",
        difficulty="Easy: attention with its axes swapped; the scale of the products must not grow with n.",
        diagram=attended("softmax(t Qᵀ K), d_g × d_g", "groups joined, 1×1"),
        correction=(
            "Separable attention is sometimes said to cost O(n d + n^2). Attention between channels costs "
            "O(n d^2 / g) and is linear in n. Merely splitting Q, K and V into channel groups is multi-head attention "
            "and saves nothing: the comparison has to be between channels."
        ),
        example={"groups": 2, "scale": "xcit"},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        settings = self.settings(options)
        self.groups, self.scale = divisor(channels, settings["groups"], "groups"), settings["scale"]
        self.projections = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        if self.scale == "xcit":
            self.temperature = nn.Parameter(torch.ones(self.groups, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        batch, channels, height, width = x.shape
        n = height * width
        # (3, B, groups, d_g, n), without a copy
        split = self.projections(channels_last(x)).view(batch, n, 3, self.groups, -1).permute(2, 0, 3, 4, 1)
        query, key, value = split.unbind(0)
        products = query @ key.transpose(-1, -2)
        if self.scale == "xcit":
            # Dividing the few products by the lengths is dividing the many Q and K by them.
            lengths = [torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp(min=1e-12) for y in (query, key)]
            products = products * (self.temperature / lengths[0]) / lengths[1].transpose(-1, -2)
        else:
            products = products * n**-0.5
        mixed = products.softmax(-1) @ value
        joined = mixed.permute(0, 3, 1, 2).reshape(batch, height, width, channels)
        return channels_second(self.out(joined))

    def multiply_adds(self, height: int, width: int) -> int:
        """4 n d^2 + 2 n d^2 / g."""
        n, d = height * width, self.channels
        return 4 * n * d * d + 2 * n * d * d // self.groups

    def parameter_count(self) -> int:
        """4 d (d + 1), and g temperatures (xcit)."""
        return 4 * self.channels * (self.channels + 1) + (self.groups if self.scale == "xcit" else 0)
