"""The non-local block, for reference."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.non_local_attn import NonLocalAttn
from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import between
from explorer.kinds import MapKind


@BLOCKS.register("nonlocal")
class NonLocal(Block):
    """Which other places does each place look at, with one head and few channels? The non-local block.

    Q, K, V are 1x1 convolutions of x to m = d / reduction channels (at least 8, at most d); softmax(Q K^T / sqrt(d)) V
    over the n positions; 1x1 back to d, batch norm, and x added. timm starts the norm's weight at zero; here it starts
    at one, since behind a closed gate a second zero would never receive a gradient.

    Cost: 4 n m d + 2 n^2 m multiply-adds; 4 m d + 3 m + 3 d parameters.
    Map: (1, n, n), softmax over positions.
    Source: Wang et al., "Non-local Neural Networks", CVPR 2018; timm's NonLocalAttn.
    """

    options: ClassVar = {"reduction": option(8, "channels of the input per channel of Q, K and V", 1, 64)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "pairwise"
    about: ClassVar = About(
        short="Non-local attention",
        title="The non-local block",
        formula=(
            r"A = \mathrm{softmax}\!\left(\tfrac{Q K^\top}{\sqrt{d}}\right),\qquad "
            r"\mathrm{out} = x + \mathrm{norm}\left(W^O A V\right)"
        ),
        plain="A = softmax(Q K^T / sqrt(d)) over n positions, Q, K, V of m channels; out = x + norm(W^O A V)",
        order="O(n^2 m), and O(n m d) for the projections",
        means="How much of each place's value flows into the query's place; every row sums to 1.",
        means_not="As of self-attention: not what the answer rests on.",
        strengths=("Reaches every place in one step, with few channels.",),
        weaknesses=("Quadratic in the number of positions.", "One head, and no position term."),
        memory="O(n^2): the map is written out",
        reach="all places in one step, chosen anew for each place",
        use="Once or twice in a late stage, where n is small; its map fills the memory on large grids.",
        difficulty="Easy: three 1×1, one softmax and a sum.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("q", "Q: 1×1", at=0.16), Node("k", "K: 1×1", at=0.46), Node("v", "V: 1×1", at=0.76)),
                (Node("a", "softmax(Q Kᵀ / √d)", "map", 0.31),),
                (Node("times", "×", "join", 0.5),),
                (Node("o", "1×1, norm"),),
                (Node("sum", "+", "join"),),
                (OUTPUT,),
            ),
            (
                ("x", "q"),
                ("x", "k"),
                ("x", "v"),
                ("q", "a"),
                ("k", "a"),
                ("a", "times"),
                ("v", "times", 0.76),
                ("times", "o"),
                ("o", "sum"),
                ("x", "sum", 0.97),
                ("sum", "y"),
            ),
        ),
        example={"reduction": 8},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.between = between(channels, self.settings(options)["reduction"])
        self.attention = NonLocalAttn(channels, rd_channels=self.between)
        nn.init.ones_(self.attention.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return self.attention(x)

    def multiply_adds(self, height: int, width: int) -> int:
        """4 n m d + 2 n^2 m."""
        n = height * width
        return 4 * n * self.between * self.channels + 2 * n * n * self.between

    def parameter_count(self) -> int:
        """4 m d + 3 m + 3 d."""
        return 4 * self.between * self.channels + 3 * self.between + 3 * self.channels
