"""Efficient channel attention, for reference."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.eca import EcaModule
from torch import Tensor

from explorer.blocks.base import BLOCKS, Block
from explorer.types import MapKind


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
