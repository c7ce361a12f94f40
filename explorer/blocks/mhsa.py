"""Multi-head self-attention."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.blocks.about import About, attended
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import channels_last, channels_second, divisor, resized
from explorer.kinds import MapKind


@BLOCKS.register("mhsa")
class MultiHeadSelfAttention(Block):
    """Which other places does each place look at? Multi-head self-attention over all n = H W positions.

    Q, K, V are 1x1 convolutions of x; per head softmax(Q K^T / sqrt(d_h) + bias) V over the n positions; heads joined,
    then a 1x1 convolution. ``position``: none; absolute (a learnt vector per place, added to x); relative (a learnt
    bias per head from (dy, dx)). Learnt positions are interpolated to the grid at hand.

    Cost: 4 n d^2 + 2 n^2 d multiply-adds; 4 d (d + 1) parameters, and d rows columns (absolute) or
    h (2 rows - 1) (2 columns - 1) (relative), rows and columns those of the grid it was made for.
    Map: (h, n, n), softmax over positions.
    Source: Vaswani et al., "Attention Is All You Need", 2017; relative bias as in Swin (Liu et al. 2021).
    """

    options: ClassVar = {
        "heads": option(0, "number of heads, a divisor of the channels; 0: nearest to 32 channels each", 0, 64),
        "position": option("none", "what it knows of places", choices=("none", "absolute", "relative")),
    }
    residual: ClassVar[bool] = True
    kind: ClassVar[MapKind | None] = "pairwise"
    about: ClassVar = About(
        short="Self-attention",
        title="Multi-head self-attention",
        formula=(
            r"A = \mathrm{softmax}\!\left(\tfrac{Q K^\top}{\sqrt{d_h}} + B\right),\qquad "
            r"\mathrm{out} = W^O\,[A_1 V_1;\dots;A_h V_h]"
        ),
        plain="A = softmax(Q K^T / sqrt(d_h) + B) over n positions, for each head; out = W^O [A V of every head]",
        order="O(n^2 d), and O(n d^2) for the projections",
        means="How much of each place's value flows into the query's place, for each head; every row sums to 1.",
        means_not=(
            "It is not what the answer rests on: values, the projection after them and later layers decide that. A "
            "large weight on an empty background may be the place where a head puts what it does not need."
        ),
        strengths=(
            "Reaches every place in one step, and chooses anew in every picture.",
            "Its map is a picture for every query.",
        ),
        weaknesses=(
            "Quadratic in the number of positions: four times the places cost its products sixteen times as much, "
            "its projections four times.",
            "Without a position term it does not know where anything is: shuffled places give the same "
            "output, shuffled.",
            "Has to learn from data that near places belong together.",
        ),
        memory=(
            "O(n d) with a fused kernel, which is used here where there is one; O(h n^2) where the map is written out"
            " or has a relative bias"
        ),
        reach="all places in one step, chosen anew for each place",
        use="In late stages, where n is small: at n > 2 d its products cost more than its projections.",
        difficulty="Easy to write; fused kernels and positions that fit every size take care.",
        diagram=attended("softmax(Q Kᵀ / √d_h + B)", "heads joined, 1×1"),
        example={"heads": 4, "position": "relative"},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        settings = self.settings(options)
        self.heads, self.position = divisor(channels, settings["heads"], "heads"), settings["position"]
        self.projections = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        rows, columns = grid
        if self.position == "absolute":
            self.places = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, channels, rows, columns), std=0.02))
        elif self.position == "relative":
            table = torch.empty(1, self.heads, 2 * rows - 1, 2 * columns - 1)
            self.bias = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        batch, channels, height, width = x.shape
        if self.position == "absolute":
            x = x + resized(self.places, height, width)
        # (3, B, heads, n, d_h), without a copy
        split = self.projections(channels_last(x)).view(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        mask = self._relative(height, width) if self.position == "relative" else None
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return channels_second(self.out(mixed.transpose(1, 2).reshape(batch, height, width, channels)))

    def _relative(self, height: int, width: int) -> Tensor:
        """The bias of every (query, key) pair: (1, heads, n, n)."""
        table = resized(self.bias, 2 * height - 1, 2 * width - 1)[0]
        device = table.device
        dy = torch.arange(height, device=device)[:, None] - torch.arange(height, device=device) + height - 1
        dx = torch.arange(width, device=device)[:, None] - torch.arange(width, device=device) + width - 1
        # (heads, Hq, Wq, Hk, Wk): the entry of (row difference, column difference)
        pairs = table[:, dy[:, None, :, None], dx[None, :, None, :]]
        return pairs.reshape(1, self.heads, height * width, height * width)

    def multiply_adds(self, height: int, width: int) -> int:
        """4 n d^2 + 2 n^2 d."""
        n, d = height * width, self.channels
        return 4 * n * d * d + 2 * n * n * d

    def parameter_count(self) -> int:
        """4 d (d + 1), and the positions'."""
        rows, columns = self.grid
        places = {
            "none": 0,
            "absolute": self.channels * rows * columns,
            "relative": self.heads * (2 * rows - 1) * (2 * columns - 1),
        }
        return 4 * self.channels * (self.channels + 1) + places[self.position]
