"""The non-local block, for reference."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.non_local_attn import NonLocalAttn
from torch import Tensor, nn

from explorer.blocks.base import BLOCKS, Block, Option
from explorer.blocks.parts import between
from explorer.types import MapKind


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

    options: ClassVar = {"reduction": Option(8, "channels of the input per channel of Q, K and V", 1, 64)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "pairwise"

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
