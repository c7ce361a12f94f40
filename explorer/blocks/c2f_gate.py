"""A gate a place from two 3x3 convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block, option
from explorer.kinds import MapKind


@BLOCKS.register("c2f_gate")
class C2fGate(Block):
    """How much of each place is let through? One gate a place, from two 3x3 convolutions.

    a = 3x3 convolution of x; b = another; gate = sigmoid(1x1 convolution of a + b to one channel); out = x * gate.
    A spatial gate that is sometimes drawn under the name C2f, which it is not. Nothing nonlinear stands before the 1x1,
    so the three convolutions equal a single 3x3 convolution to one channel; kept as it is drawn.

    Cost: n (18 d w + w) multiply-adds for convolutions of w channels; 18 d w + 3 w + 1 parameters.
    Map: (1, H, W) in 0 to 1.
    Source: none published; compare Woo et al., "CBAM", 2018, whose spatial gate has one 7x7 convolution.
    """

    options: ClassVar = {"width": option(0, "channels of the two 3x3 convolutions; 0: as many as the input", 0, 4096)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "gate"
    gates: ClassVar = ("gate",)
    about: ClassVar = About(
        short="C2f gate",
        title="Spatial gate drawn as C2f",
        formula=(
            r"g = \sigma\left(w * (A * x + B * x)\right) \in (0,1)^{1\times H\times W},\qquad "
            r"\mathrm{out} = x \odot g"
        ),
        plain="gate = sigmoid(conv1x1(conv3x3(x) + conv3x3(x))), one number a place; out = x * gate",
        order="O(n d w)",
        means="How much of each place is let through, the same for all its channels: 0 shuts it, 1 lets it pass.",
        means_not=(
            "It is no softmax: the places do not compete, and the numbers need not sum to anything. A gate that is the "
            "same everywhere tells no place from another."
        ),
        strengths=("One picture, easy to read.", "Equivariant to translation, but for the border."),
        weaknesses=(
            "Can only dim: no place receives another's features, only a number made from them.",
            "Sees one step.",
            "Its three convolutions equal a single 3×3 to one channel, since nothing nonlinear stands between them: "
            "all parameters beyond 9 d + 1 are spent for nothing.",
        ),
        memory="O(n w)",
        reach="one step, and only by the gate",
        use="Where a cheap picture of which places pass is wanted; a single 3×3 does the same.",
        difficulty="Easy: three convolutions and a product.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("a", "3×3", at=0.3), Node("b", "3×3", at=0.6)),
                (Node("sum", "+", "join", 0.45),),
                (Node("g", "1×1 to one, sigmoid", "map", 0.45),),
                (Node("times", "×", "join"),),
                (OUTPUT,),
            ),
            (
                ("x", "a"),
                ("x", "b"),
                ("a", "sum"),
                ("b", "sum"),
                ("sum", "g"),
                ("g", "times"),
                ("x", "times", 0.9),
                ("times", "y"),
            ),
        ),
        correction=(
            "Sometimes drawn under the name C2f. It is a spatial gate, and its output has as many channels as its "
            "input; a C2f joins the pieces of a row of bottlenecks. It stands here under a name of its own."
        ),
        example={"width": 16},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.width = self.settings(options)["width"] or channels
        self.a = nn.Conv2d(channels, self.width, 3, padding=1)
        self.b = nn.Conv2d(channels, self.width, 3, padding=1)
        self.fuse = nn.Conv2d(self.width, 1, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return x * self.gate(self.fuse(self.a(x) + self.b(x)))

    def multiply_adds(self, height: int, width: int) -> int:
        """n (18 d w + w)."""
        return height * width * (18 * self.channels * self.width + self.width)

    def parameter_count(self) -> int:
        """18 d w + 3 w + 1."""
        return 18 * self.channels * self.width + 3 * self.width + 1
