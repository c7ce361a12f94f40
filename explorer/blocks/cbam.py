"""Convolutional block attention, for reference."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.cbam import CbamModule
from torch import Tensor

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import between
from explorer.kinds import MapKind


@BLOCKS.register("cbam")
class Cbam(Block):
    """Which channels, and then which places, are let through? A gate a channel and a gate a place.

    Channels: mean and maximum over all places, each through the same 1x1 to m = d / reduction channels (at least 8, at
    most d), ReLU, 1x1 back; their sum through a sigmoid gates x. Places: mean and maximum over channels, a 7x7
    convolution to one channel, batch norm, sigmoid.

    Cost: 4 m d + 98 n multiply-adds and O(n d) elementwise; 2 m d + 100 parameters.
    Map: a gate a place (1, H, W), and d numbers, one a channel; all in 0 to 1.
    Source: Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018; timm's CbamModule.
    """

    options: ClassVar = {"reduction": option(16, "channels of the input per channel between", 1, 64)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "gate"
    about: ClassVar = About(
        short="CBAM",
        title="Convolutional block attention (CBAM)",
        formula=(
            r"x' = x \odot \sigma\left(f(\mathrm{mean}\, x) + f(\max x)\right),\qquad "
            r"\mathrm{out} = x' \odot "
            r"\sigma\big(\mathrm{norm}(w_{7\times7} * [\mathrm{mean}_C\, x';\ \max\nolimits_C x'])\big)"
        ),
        plain="x' = x * sigmoid(f(mean) + f(max)) by channel; "
        "out = x' * sigmoid(norm(conv7x7([mean, max over channels])))",
        order="O(n d) for means, maxima and products, O(d^2 / r + 49 n) for the weights",
        means="How much of each channel, and then of each place, is let through.",
        means_not="Neither is a softmax: nothing competes. The gate of a place is the same for all channels.",
        strengths=("What and where, one after the other, at little cost.",),
        weaknesses=("Can only dim.", "The gate of a place sees three steps and two numbers a place."),
        memory="O(n d)",
        reach="of channels all places, by mean and maximum; of places three steps",
        use="In convolutional stages, where both which channel and which place matter.",
        difficulty="Easy: two gates, one after the other.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("c", "mean, max, 1×1, sigmoid", "map", 0.42),),
                (Node("times", "×", "join"),),
                (Node("s", "mean, max, 7×7, sigmoid", "map", 0.42),),
                (Node("again", "×", "join"),),
                (OUTPUT,),
            ),
            (
                ("x", "c"),
                ("x", "times", 0.93),
                ("c", "times"),
                ("times", "s"),
                ("times", "again", 0.93),
                ("s", "again"),
                ("again", "y"),
            ),
        ),
        example={"reduction": 8},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.between = between(channels, self.settings(options)["reduction"])
        self.attention = CbamModule(channels, rd_channels=self.between)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return self.attention(x)

    def multiply_adds(self, height: int, width: int) -> int:
        """4 m d + 98 n."""
        return 4 * self.between * self.channels + 98 * height * width

    def parameter_count(self) -> int:
        """2 m d + 98 + 2."""
        return 2 * self.between * self.channels + 100
