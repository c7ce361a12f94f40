"""Coordinate attention."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.coord_attn import CoordAttn
from torch import Tensor

from explorer.blocks.base import BLOCKS, Block, Option
from explorer.types import MapKind


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

    options: ClassVar = {"reduction": Option(32, "channels of the input per channel between", 1, 64)}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = "gate"

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
