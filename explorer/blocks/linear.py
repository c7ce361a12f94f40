"""MobileViTv2's separable self-attention."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.blocks.about import INPUT, OUTPUT, About, Diagram, Node
from explorer.blocks.base import BLOCKS, Block
from explorer.blocks.parts import channels_last, channels_second
from explorer.kinds import MapKind


@BLOCKS.register("linear")
class LinearAttention(Block):
    """Which places matter to all places alike? Separable self-attention with one context score a place.

    I, K, V are 1x1 convolutions of x to 1, d and d channels; scores = softmax(I) over the n positions; the context is
    the sum of scores times K, one d-vector for the image; the output is a 1x1 convolution of ReLU(V) * context.

    Cost: 3 n d^2 + 2 n d multiply-adds (n d for I, n d for the context), linear in n; (d + 1) (3 d + 1) parameters.
    Map: (1, n), softmax over positions, the same for every query.
    Source: Mehta & Rastegari, "Separable Self-attention for Mobile Vision Transformers", 2022 (MobileViTv2).
    """

    options: ClassVar = {}
    residual: ClassVar[bool] = True
    kind: ClassVar[MapKind | None] = "context"
    about: ClassVar = About(
        short="Linear attention",
        title="Linear separable attention",
        formula=(
            r"s = \mathrm{softmax}(x W_I) \in \mathbb{R}^{n},\qquad c = \sum_i s_i\, x_i W_K,\qquad "
            r"\mathrm{out} = W^O\left(\mathrm{ReLU}(x W_V) \odot c\right)"
        ),
        plain="s = softmax(x W_I) over n positions; c = sum of s K; out = W^O (ReLU(V) * c)",
        order="O(n d), and O(n d^2) for the projections",
        means=(
            "How much each place counts in the one context vector that is handed to all places; the scores sum to 1."
        ),
        means_not="There is no query: every place has the same map, so it cannot show what one place looks at.",
        strengths=(
            "Linear in the number of positions.",
            "One picture for the whole block: easy to read.",
        ),
        weaknesses=(
            "All places receive the same context; two objects cannot ask for different things.",
            "Knows nothing of where, without something before it that does.",
        ),
        memory="O(n d)",
        reach="all places, by one context vector that is the same for every place",
        use="On telephones and large grids, where every step that grows with n^2 is too dear.",
        difficulty="Easy: three projections, one softmax, one sum.",
        diagram=Diagram(
            (
                (INPUT,),
                (Node("i", "I: 1×1 to one"), Node("k", "K: 1×1"), Node("v", "V: 1×1")),
                (Node("s", "softmax over n", "map", 0.17), Node("r", "ReLU", at=0.83)),
                (Node("c", "sum over n: context", at=0.33),),
                (Node("times", "×", "join", 0.5),),
                (Node("o", "1×1"),),
                (OUTPUT,),
            ),
            (
                ("x", "i"),
                ("x", "k"),
                ("x", "v"),
                ("i", "s"),
                ("s", "c"),
                ("k", "c", 0.5),
                ("v", "r"),
                ("c", "times"),
                ("r", "times", 0.83),
                ("times", "o"),
                ("o", "y"),
            ),
        ),
        correction=(
            "Separable attention is sometimes said to cost O(n d + n^2). This one costs O(n d), and O(n d^2) for "
            "its projections; no term grows with n^2."
        ),
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.settings(options)
        self.projections = nn.Linear(channels, 1 + 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        batch, channels, height, width = x.shape
        inputs, key, value = self.projections(channels_last(x)).flatten(1, 2).split([1, channels, channels], -1)
        scores = torch.softmax(inputs, 1)  # (B, n, 1)
        context = scores.transpose(1, 2) @ key  # (B, 1, d)
        return channels_second(self.out(F.relu(value) * context).view(batch, height, width, channels))

    def multiply_adds(self, height: int, width: int) -> int:
        """3 n d^2 + 2 n d."""
        n, d = height * width, self.channels
        return 3 * n * d * d + 2 * n * d

    def parameter_count(self) -> int:
        """(d + 1) (2 d + 1) for I, K and V, and d (d + 1)."""
        d = self.channels
        return (d + 1) * (2 * d + 1) + d * (d + 1)
