"""The CSP bottleneck with two convolutions of YOLOv8, written from its description."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block, option
from explorer.blocks.parts import ConvNormSilu
from explorer.kinds import MapKind

C2F_OPTIONS = {
    "bottlenecks": option(1, "bottlenecks in a row", 1, 8),
    "hidden": option(0, "channels of a bottleneck; 0: half of the input's", 0, 4096),
}


class Bottleneck(nn.Module):
    """Two 3x3 convolutions and a skip: (B, c, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(ConvNormSilu(channels, channels, 3), ConvNormSilu(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, H, W) to (B, c, H, W)."""
        return x + self.convolutions(x)


@BLOCKS.register("c2f")
class C2f(Block):
    """What do neighbourhoods that grow step by step tell together? The CSP bottleneck with two convolutions of YOLOv8.

    1x1 convolution to 2c channels, split in halves; m bottlenecks in a row (3x3, 3x3, skip), each fed by the last
    piece; all m + 2 pieces joined; 1x1 convolution to d. Every convolution is followed by batch norm and SiLU.
    C2f stands for the faster CSP bottleneck with two convolutions.

    Cost: n (2 c d + 18 m c^2 + (m + 2) c d) multiply-adds; as many parameters without n, and 2 for each channel after a
    convolution: 2 (2 c + 2 m c + d).
    Map: none; attribute instead.
    Source: Jocher et al., YOLOv8, 2023; Wang et al., "CSPNet", 2020. Written from this description.
    """

    options: ClassVar = C2F_OPTIONS
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = None
    no_map: ClassVar[str] = "C2f is made of convolutions and weighs no positions: what it looks at is an attribution's."
    about: ClassVar = About(
        short="C2f",
        title="C2f: CSP bottleneck with two convolutions",
        formula=(
            r"[p_0, p_1] = f_1(x),\qquad p_{k+1} = p_k + f_3(f_3(p_k)),\qquad "
            r"\mathrm{out} = f_1\left([p_0, p_1, \dots, p_{m+1}]\right)"
        ),
        plain="[p0, p1] = f1(x); p(k+1) = p(k) + f3(f3(p(k))); out = f1([p0 .. p(m+1)]); f = conv + norm + SiLU",
        order="O(n d^2)",
        means="",
        means_not="",
        strengths=(
            "Features of several receptive fields side by side, with short ways for the gradient.",
            "Equivariant to translation as its convolutions are, but for the border.",
        ),
        weaknesses=(
            "Sees 2 m steps far: 5 x 5 places with one bottleneck.",
            "Weighs its neighbours alike in every picture.",
        ),
        memory="O(n c m), all m + 2 pieces of c channels held until they are joined",
        reach="2 m steps far",
        use="In the backbone and neck of a detector, in place of a plain stage of convolutions.",
        difficulty="Moderate: which piece feeds which has to be right; each part is a common layer.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("first", "1×1 to 2c, split in halves"),),
                (Node("b", "3×3, 3×3, + skip", at=0.42),),
                (Node("m", "… m in a row", at=0.42),),
                (Node("cat", "all m + 2 pieces joined"),),
                (Node("last", "1×1 to d"),),
                (OUTPUT,),
            ),
            (
                ("x", "first"),
                ("first", "b"),
                ("first", "cat", 0.86),
                ("first", "cat", 0.93),
                ("b", "m"),
                ("b", "cat", 0.76),
                ("m", "cat"),
                ("cat", "last"),
                ("last", "y"),
            ),
        ),
        correction=(
            'The name is sometimes spelt out as "Cascaded Cross Fusion". C2f is the faster CSP bottleneck with two '
            "convolutions (CSP: cross stage partial)."
        ),
        example={"bottlenecks": 2},
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        settings = self.settings(options)
        self.hidden = settings["hidden"] or max(1, channels // 2)
        self.first = ConvNormSilu(channels, 2 * self.hidden, 1)
        self.bottlenecks = nn.ModuleList(Bottleneck(self.hidden) for _ in range(settings["bottlenecks"]))
        self.last = ConvNormSilu((settings["bottlenecks"] + 2) * self.hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        pieces = list(self.first(x).chunk(2, 1))
        for bottleneck in self.bottlenecks:
            pieces.append(bottleneck(pieces[-1]))
        return self.last(torch.cat(pieces, 1))

    def multiply_adds(self, height: int, width: int) -> int:
        """n (2 c d + 18 m c^2 + (m + 2) c d)."""
        return height * width * self._weights()

    def parameter_count(self) -> int:
        """2 c d + 18 m c^2 + (m + 2) c d + 2 (2 c + 2 m c + d)."""
        m, c = len(self.bottlenecks), self.hidden
        return self._weights() + 2 * (2 * c + 2 * m * c + self.channels)

    def _weights(self) -> int:
        m, c, d = len(self.bottlenecks), self.hidden, self.channels
        return 2 * c * d + 18 * m * c * c + (m + 2) * c * d
