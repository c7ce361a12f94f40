"""C2f with coordinate attention."""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.coord_attn import CoordAttn
from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, option
from explorer.blocks.c2f import C2F_OPTIONS, Bottleneck, C2f
from explorer.kinds import MapKind


class CoordBottleneck(Bottleneck):
    """A bottleneck whose branch, or whose output, is gated by coordinate attention."""

    def __init__(self, channels: int, between: int, on_branch: bool) -> None:
        super().__init__(channels)
        self.coord = CoordAttn(channels, rd_channels=between)
        self.on_branch = on_branch

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, H, W) to (B, c, H, W)."""
        branch = self.convolutions(x)
        return x + self.coord(branch) if self.on_branch else self.coord(x + branch)


@BLOCKS.register("ca_c2f")
class CoordC2f(C2f):
    """Which rows and columns matter to a convolutional bottleneck? C2f with coordinate attention.

    C2f (see there) with the gate of ``coord``. No placement is canonical, published codes differ, so it is a parameter:
    branch (before each bottleneck's skip is added), bottleneck (on each bottleneck's output) or output (after the last
    1x1 convolution, where the gate has d channels).

    Cost: C2f's, and for each gate of k channels through r between, 2 r k (H + W) multiply-adds and 3 r k + 2 r
    parameters: m gates of k = c, or one of k = d (output).
    Map: the gates of its ``coord`` modules, in 0 to 1.
    Source: C2f (YOLOv8, 2023) and coordinate attention (Hou, Zhou, Feng, CVPR 2021), joined in many later detectors.
    """

    options: ClassVar = {
        **C2F_OPTIONS,
        "placement": option("branch", "where the gate stands", choices=("branch", "bottleneck", "output")),
        "reduction": option(32, "channels of the gate's input per channel between", 1, 64),
    }
    kind: ClassVar[MapKind | None] = "gate"
    no_map: ClassVar[str] = ""
    about: ClassVar = About(
        short="C2f + coordinate attention",
        title="C2f with coordinate attention",
        formula=(
            r"[p_0, p_1] = f_1(x),\qquad p_{k+1} = p_k + \mathrm{coord}\left(f_3(f_3(p_k))\right),\qquad "
            r"\mathrm{out} = f_1\left([p_0, \dots, p_{m+1}]\right)"
        ),
        plain="as c2f with p(k+1) = p(k) + coord(f3(f3(p(k)))); other placements: coord(p + f3(f3(p))), coord(out)",
        order="O(n d^2), to which coordinate attention adds O(n d) and a small term in H + W",
        means="The gates of its coordinate attention: which rows and columns of the bottleneck's features pass.",
        means_not=(
            "With the gate on the branch, what it shuts still passes by the skip and by the other pieces: a dark place "
            "is not an unused one."
        ),
        strengths=(
            "Local features, with context along whole rows and columns.",
            "Hardly more multiply-adds than C2f.",
        ),
        weaknesses=(
            "No placement is canonical, so two works of this name may differ.",
            "The gate has coordinate attention's limits: two strips, no order.",
        ),
        memory="O(n c m), as C2f",
        reach="its row and its column, by the gate's means; features 2 m steps far",
        use="In a detector that has C2f, where context along rows and columns is wanted for little.",
        difficulty="Moderate: C2f's, and a placement of the gate to choose.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("first", "1×1 to 2c, split in halves"),),
                (Node("b", "3×3, 3×3", at=0.36),),
                (Node("g", "coordinate gate", "map", 0.36),),
                (Node("sum", "+", "join", 0.36),),
                (Node("cat", "all m + 2 pieces joined"),),
                (Node("last", "1×1 to d"),),
                (OUTPUT,),
            ),
            (
                ("x", "first"),
                ("first", "b"),
                ("first", "sum", 0.08),
                ("first", "cat", 0.86),
                ("first", "cat", 0.93),
                ("b", "g"),
                ("g", "sum"),
                ("sum", "cat"),
                ("cat", "last"),
                ("last", "y"),
            ),
        ),
        example={"placement": "branch"},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        settings = self.settings(options)
        super().__init__(channels, grid, **options)
        self.placement = settings["placement"]
        self.gated = channels if self.placement == "output" else self.hidden
        self.between = max(8, self.gated // settings["reduction"])
        if self.placement == "output":
            self.coord = CoordAttn(channels, rd_channels=self.between)
        else:
            self.bottlenecks = nn.ModuleList(
                CoordBottleneck(self.hidden, self.between, self.placement == "branch") for _ in self.bottlenecks
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        out = super().forward(x)
        return self.coord(out) if self.placement == "output" else out

    def multiply_adds(self, height: int, width: int) -> int:
        """C2f's, and 2 r k (H + W) for each gate."""
        return super().multiply_adds(height, width) + self._gates() * 2 * self.between * self.gated * (height + width)

    def parameter_count(self) -> int:
        """C2f's, and 3 r k + 2 r for each gate."""
        return super().parameter_count() + self._gates() * (3 * self.between * self.gated + 2 * self.between)

    def _gates(self) -> int:
        return 1 if self.placement == "output" else len(self.bottlenecks)
