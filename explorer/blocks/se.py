"""Squeeze and excitation, for reference."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.squeeze_excite import SEModule
from torch import Tensor

from explorer.blocks.about import About, Node, gated
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import between
from explorer.kinds import MapKind


@BLOCKS.register("se")
class SqueezeExcite(Block):
    """How much of each channel is let through, judged by the whole image? Squeeze and excitation.

    Mean over all places -> d numbers; 1x1 to m = d / reduction channels (at least 8, at most d), ReLU, 1x1 back,
    sigmoid; out = x * gate.

    Cost: 2 m d multiply-adds and O(n d) elementwise; 2 m d + m + d parameters.
    Map: d numbers in 0 to 1, one a channel: bars, no picture.
    Source: Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018; timm's SEModule.
    """

    options: ClassVar = {"reduction": option(16, "channels of the input per channel between", 1, 64)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "channel"
    about: ClassVar = About(
        short="Squeeze and excitation",
        title="Squeeze and excitation",
        formula=(
            r"\mathrm{out}_c = x_c\; \sigma\left(W_2\, \mathrm{ReLU}(W_1\, \bar x)\right)_c,\qquad "
            r"\bar x = \mathrm{mean}_{H,W}\, x"
        ),
        plain="out[c] = x[c] * sigmoid(W2 ReLU(W1 mean of x))[c]",
        order="O(n d) for the mean and the product, O(d^2 / r) for the weights",
        means="How much of each channel is let through, judged by the mean of the whole picture.",
        means_not="It has no position: d numbers, shown as bars.",
        strengths=(
            "Context from the whole picture for few multiply-adds.",
            "Its gate is the same wherever the object is, as long as the mean stays.",
        ),
        weaknesses=("Blind to place: the mean has no where.", "Can only dim whole channels."),
        memory="O(n d)",
        reach="all places, by their mean; none is told from another",
        use="In any convolutional stage: it adds few multiply-adds.",
        difficulty="Easy: a mean, two 1×1 and a product.",
        diagram=gated(
            Node("m", "mean over all places"),
            Node("f", "1×1 to m, ReLU, 1×1"),
            Node("g", "sigmoid", "map"),
        ),
        example={"reduction": 8},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.between = between(channels, self.settings(options)["reduction"])
        self.attention = SEModule(channels, rd_channels=self.between)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return self.attention(x)

    def multiply_adds(self, height: int, width: int) -> int:  # noqa: ARG002 - every block has a size
        """2 m d."""
        return 2 * self.between * self.channels

    def parameter_count(self) -> int:
        """2 m d + m + d."""
        return 2 * self.between * self.channels + self.between + self.channels
