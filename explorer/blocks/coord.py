"""Coordinate attention."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.coord_attn import CoordAttn
from torch import Tensor

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block, option
from explorer.kinds import MapKind


@BLOCKS.register("coord")
class Coord(Block):
    """Which rows and which columns matter? A gate from the mean of every row and every column.

    Mean over W -> (C, H, 1) and mean over H -> (C, 1, W), joined along space; 1x1 to m = max(8, C / reduction)
    channels, batch norm, hard-swish; split; one 1x1 and a sigmoid each: g_h (C, H, 1), g_w (C, 1, W);
    out = x * g_h * g_w.
    It knows which row and column, not their order: permuting rows permutes the gate.

    Cost: 2 m C (H + W) multiply-adds and O(C H W) elementwise; 3 m C + 2 m parameters.
    Map: g_h * g_w, (C, H, W) in 0 to 1.
    Source: Hou, Zhou, Feng, "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021; timm's CoordAttn.
    """

    options: ClassVar = {"reduction": option(32, "channels of the input per channel between", 1, 64)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "gate"
    about: ClassVar = About(
        short="Coordinate attention",
        title="Coordinate attention",
        formula=(
            r"\mathrm{out}_{c,i,j} = x_{c,i,j}\; g^h_{c,i}\; g^w_{c,j},\qquad "
            r"g^h = \sigma\!\left(W_h\, f(\mathrm{mean}_W\, x)\right),\ "
            r"g^w = \sigma\!\left(W_w\, f(\mathrm{mean}_H\, x)\right)"
        ),
        plain="out[c,i,j] = x[c,i,j] gh[c,i] gw[c,j]; gh = sigmoid(Wh f(mean over W)), gw likewise over H",
        order="O(n d) for the means and the products, O((H + W) d^2 / r) for the convolutions",
        means=(
            "How much of each row and of each column is let through, for each channel; their product is the gate of a "
            "place."
        ),
        means_not=(
            "The product is made of two strips and cannot outline an object: two bright spots make two more at the "
            "corners between them. It knows which row and which column, not their order."
        ),
        strengths=("Context along whole rows and columns for few multiply-adds.", "A gate for every channel."),
        weaknesses=(
            "Can only dim: no place receives another's features, only a number made from them.",
            "Permuting rows permutes the gate: above and below are alike to it.",
            "A mean over a row hides how many objects are in it.",
        ),
        memory="O(n d), of which the strips are O((H + W) d)",
        reach="its row and its column, by their means",
        use="In small networks for telephones, where a gate must cost little and know about place.",
        difficulty="Easy: two means, two 1×1 and a product; joining and splitting the strips takes care.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("h", "mean of rows", at=0.24), Node("w", "mean of columns", at=0.66)),
                (Node("f", "joined, 1×1, norm, hard-swish"),),
                (Node("gh", "1×1, sigmoid", "map", 0.27), Node("gw", "1×1, sigmoid", "map", 0.67)),
                (Node("times", "×", "join"),),
                (OUTPUT,),
            ),
            (
                ("x", "h"),
                ("x", "w"),
                ("h", "f"),
                ("w", "f"),
                ("f", "gh"),
                ("f", "gw"),
                ("gh", "times"),
                ("gw", "times"),
                ("x", "times", 0.95),
                ("times", "y"),
            ),
        ),
        example={"reduction": 8},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        reduction = self.settings(options)["reduction"]
        self.between = max(8, channels // reduction)
        self.attention = CoordAttn(channels, rd_channels=self.between)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return self.attention(x)

    def multiply_adds(self, height: int, width: int) -> int:
        """2 m C (H + W)."""
        return 2 * self.between * self.channels * (height + width)

    def parameter_count(self) -> int:
        """3 m C + 2 m."""
        return 3 * self.between * self.channels + 2 * self.between
