"""Depthwise 3x3 convolution."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Node, chain
from explorer.blocks.base import BLOCKS, Block
from explorer.kinds import MapKind


@BLOCKS.register("conv")
class DepthwiseConvolution(Block):
    """What do the eight neighbours of each place tell? A depthwise 3x3 convolution, the local control.

    out[c, i, j] = bias[c] + sum over (a, b) in -1..1 of weight[c, a, b] x[c, i + a, j + b], zero outside.
    The same weights everywhere, whatever the image: equivariant to translation (but for the border), and blind beyond
    one step.

    Cost: 9 n d multiply-adds; 10 d parameters.
    Map: none; its weights do not depend on the image.
    Source: depthwise convolution, as in Howard et al., "MobileNets", 2017.
    """

    options: ClassVar = {}
    residual: ClassVar[bool] = True
    kind: ClassVar[MapKind | None] = None
    no_map: ClassVar[str] = "A convolution weighs its neighbours alike in every image, so it has no map of this one."
    about: ClassVar = About(
        short="Convolution",
        title="Depthwise 3×3 convolution",
        formula=r"\mathrm{out}_{c,i,j} = b_c + \sum_{a,b=-1}^{1} w_{c,a,b}\; x_{c,i+a,j+b}",
        plain="out[c,i,j] = b[c] + sum over a, b in -1..1 of w[c,a,b] x[c,i+a,j+b]",
        order="O(n d)",
        means="",
        means_not="",
        strengths=(
            "Equivariant to translation: where the object goes, its features go, but for the border.",
            "The cheapest block here that hands features from place to place, with a "
            "prior that fits most pictures: what is near belongs together.",
        ),
        weaknesses=(
            "Sees one step; relations over a distance need many layers.",
            "Weighs its neighbours alike in every picture.",
            "Knows places all the same: the zeros beyond the border tell where it is.",
        ),
        memory="O(n d)",
        reach="one step; far places need many layers",
        use="In early stages, where n is large and what matters is near.",
        difficulty="Easy: one layer of every library.",
        diagram=chain(INPUT, Node("conv", "3×3, each channel by itself"), OUTPUT),
        correction=(
            "Convolution is often said to give translation invariance. It gives equivariance (the features "
            "move with the object), up to borders and stride; pooling over space gives invariance, and a stride "
            "without low-pass filter breaks both."
        ),
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.settings(options)
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return self.convolution(x)

    def multiply_adds(self, height: int, width: int) -> int:
        """9 n d."""
        return 9 * height * width * self.channels

    def parameter_count(self) -> int:
        """10 d."""
        return 10 * self.channels
