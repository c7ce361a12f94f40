"""Separable self-attention by space: along rows and along columns."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import channels_last, channels_second, divisor, resized
from explorer.kinds import MapKind


class LineAttention(nn.Module):
    """Multi-head self-attention inside every line: (B, lines, L, C) to the same, softmax over L."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, lines, L, C) to (B, lines, L, C)."""
        batch, lines, length, channels = x.shape
        # (3, B lines, heads, L, d_h), without a copy
        split = self.projections(x).view(batch * lines, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*split.unbind(0))
        return self.out(mixed.transpose(1, 2).reshape(batch, lines, length, channels))


@BLOCKS.register("axial")
class Axial(Block):
    """Which places of its own row and of its own column does each place look at? Separable self-attention by space.

    Row attention: per head softmax(Q K^T / sqrt(d_h)) V inside each row, over W positions; column attention inside each
    column, over H. Each has its own Q, K, V and output projections. ``merge``: sum (both from x, added) or sequence
    (column first, then row: two steps reach every place). ``position``: none; absolute (a learnt vector per place,
    added to x, interpolated to the grid at hand).

    Cost: 8 n d^2 + 2 n (H + W) d multiply-adds, O(n^1.5 d) beside the projections on a square; 8 d (d + 1) parameters,
    and d rows columns for absolute positions, rows and columns those of the grid it was made for.
    Map: a row map (h, H, W, W) and a column map (h, W, H, H): a cross for each query. In sequence also their composed
    path, column and then row: E[(i, j), (a, b)] = R[i, j, b] C[b, i, a].
    Source: Ho et al., "Axial Attention in Multidimensional Transformers", 2019; Wang et al., "Axial-DeepLab", 2020.
    Criss-cross attention (Huang et al., CCNet, 2019) is the variant with one softmax over the cross.
    """

    options: ClassVar = {
        "heads": option(0, "number of heads, a divisor of the channels; 0: nearest to 32 channels each", 0, 64),
        "merge": option("sum", "both from x and added, or column first and then row", choices=("sum", "sequence")),
        "position": option("none", "what it knows of places", choices=("none", "absolute")),
    }
    residual: ClassVar[bool] = True
    kind: ClassVar[MapKind | None] = "axial"
    about: ClassVar = About(
        short="Rows and columns",
        title="Row and column attention",
        formula=(
            r"R_{i} = \mathrm{softmax}\!\left(\tfrac{Q_i K_i^\top}{\sqrt{d_h}}\right)\ \text{in row } i,"
            r"\quad\allowbreak C_{j}\ \text{likewise in column } j;\quad\allowbreak "
            r"E_{(i,j),(a,b)} = R_{i,j,b}\, C_{b,i,a}\ \text{(sequence)}"
        ),
        plain=(
            "R[i] = softmax(Q K^T / sqrt(d_h)) in row i, C[j] in column j; sequence: E[(i,j),(a,b)] = R[i,j,b] C[b,i,a]"
        ),
        order="O(n (H + W) d), that is O(n^1.5 d) on a square, and O(n d^2) for the projections",
        means=(
            "How much of each place of its own row, and of its own column, flows into the query's place: two lines, a "
            "cross. In sequence the path says how much reaches it from anywhere in two steps; its rows sum to 1."
        ),
        means_not=(
            "A query sees one vector of W and one of H weights, not a picture: an object off the cross is not seen in "
            "one step. The path multiplies weights alone; values and the projections between the steps are left out."
        ),
        strengths=(
            "Reaches along whole rows and columns for O(H + W) instead of H W comparisons a place.",
            "In sequence two steps reach every place.",
        ),
        weaknesses=(
            "Ties a place to what lies level with it or upright above and below: a diagonal neighbour is two steps "
            "away.",
            "Two sets of projections make it dearer than full attention on small grids: cheaper only where "
            "n > 2 d + H + W.",
            "Merged by sum, it never sees what is off the cross.",
        ),
        memory="O(n d) with a fused kernel; O(h n (H + W)) where the maps are written out",
        reach="its row and its column in one step; all places in two (sequence)",
        use="On large grids, where full attention is too dear: cheaper than it only where n > 2 d + H + W.",
        difficulty="Moderate: two attentions over lines, and an order or a sum to choose.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("rq", "Q, K, V: 1×1"), Node("cq", "Q, K, V: 1×1")),
                (Node("r", "softmax in the row", "map"), Node("c", "softmax in the column", "map")),
                (Node("rv", "× V, 1×1"), Node("cv", "× V, 1×1")),
                (Node("sum", "+", "join"),),
                (OUTPUT,),
            ),
            (
                ("x", "rq"),
                ("x", "cq"),
                ("rq", "r"),
                ("cq", "c"),
                ("r", "rv"),
                ("c", "cv"),
                ("rv", "sum"),
                ("cv", "sum"),
                ("sum", "y"),
            ),
        ),
        correction=(
            "Separable attention is sometimes said to cost O(n d + n^2). Each place is compared with H + W "
            "others, so this costs O(n (H + W) d): no term of it grows with n^2. At 14 x 14 and d = 384 it "
            "takes 471 MFLOP and full attention 290; at 56 x 56 and d = 96 it takes 597 and full attention 4008."
        ),
        example={"merge": "sequence"},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        settings = self.settings(options)
        self.merge, self.position = settings["merge"], settings["position"]
        self.heads = divisor(channels, settings["heads"], "heads")
        self.row, self.column = LineAttention(channels, self.heads), LineAttention(channels, self.heads)
        if self.position == "absolute":
            self.places = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, channels, *grid), std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        if self.position == "absolute":
            x = x + resized(self.places, *x.shape[-2:])
        x = channels_last(x)
        columns = self.column(x.transpose(1, 2)).transpose(1, 2)
        return channels_second(self.row(columns) if self.merge == "sequence" else self.row(x) + columns)

    def multiply_adds(self, height: int, width: int) -> int:
        """8 n d^2 + 2 n (H + W) d."""
        n, d = height * width, self.channels
        return 8 * n * d * d + 2 * n * (height + width) * d

    def parameter_count(self) -> int:
        """8 d (d + 1), and the positions'."""
        places = self.channels * self.grid[0] * self.grid[1] if self.position == "absolute" else 0
        return 8 * self.channels * (self.channels + 1) + places
