"""Efficient channel attention, for reference."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.eca import EcaModule
from torch import Tensor

from explorer.blocks.about import About, Node, gated
from explorer.blocks.base import BLOCKS, Block
from explorer.kinds import MapKind


@BLOCKS.register("eca")
class EfficientChannelAttention(Block):
    """How much of each channel is let through, judged by a few neighbouring channels? Efficient channel attention.

    Mean over all places -> d numbers; a convolution of k numbers along the channels (k odd, near (log2 d + 1) / 2, at
    least 3); sigmoid; out = x * gate. That channels have neighbours is an assumption: their order means nothing.

    Cost: k d multiply-adds and O(n d) elementwise; k parameters.
    Map: d numbers in 0 to 1, one a channel: bars, no picture.
    Source: Wang et al., "ECA-Net", CVPR 2020; timm's EcaModule.
    """

    options: ClassVar = {}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "channel"
    about: ClassVar = About(
        short="Efficient channel attention",
        title="Efficient channel attention",
        formula=(
            r"\mathrm{out}_c = x_c\; \sigma\Big("
            r"\sum_{o=-\lfloor k/2\rfloor}^{\lfloor k/2\rfloor} w_o\, \bar x_{c+o}\Big)"
        ),
        plain="out[c] = x[c] * sigmoid(sum over o of w[o] mean[c + o])",
        order="O(n d) for the mean and the product, O(k d) for the weights",
        means="How much of each channel is let through, judged by its own mean and its neighbours'.",
        means_not="It has no position: d numbers, shown as bars.",
        strengths=("A handful of parameters in all.",),
        weaknesses=(
            "Assumes that neighbouring channels belong together; their order means nothing.",
            "Blind to place; can only dim whole channels.",
        ),
        memory="O(n d)",
        reach="all places, by their mean; none is told from another",
        use="As squeeze and excitation, where even its weights are too many.",
        difficulty="Easy: a mean, a convolution of k numbers and a product.",
        diagram=gated(
            Node("m", "mean over all places"),
            Node("f", "convolution along channels"),
            Node("g", "sigmoid", "map"),
        ),
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.settings(options)
        self.attention = EcaModule(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return self.attention(x)

    def multiply_adds(self, height: int, width: int) -> int:  # noqa: ARG002 - every block has a size
        """k d."""
        return self.parameter_count() * self.channels

    def parameter_count(self) -> int:
        """k."""
        return int(self.attention.conv.kernel_size[0])
