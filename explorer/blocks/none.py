"""The control that does nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from explorer.blocks.about import INPUT, OUTPUT, About, chain
from explorer.blocks.base import BLOCKS, Block
from explorer.kinds import MapKind


@BLOCKS.register("none")
class Nothing(Block):
    """What is there without a block? The identity, the control that every comparison needs.

    Cost: nothing.
    Map: none.
    Source: the control; nothing is claimed of it.
    """

    options: ClassVar = {}
    residual: ClassVar[bool] = False
    kind: ClassVar[MapKind | None] = None
    no_map: ClassVar[str] = "The identity mixes no positions, so there is nothing to show."
    about: ClassVar = About(
        short="No mixing",
        title="No block",
        formula=r"\mathrm{out} = x",
        plain="out = x",
        order="nothing",
        means="",
        means_not="",
        strengths=(
            "Tells what the rest of the network does alone: what another block adds is the difference to this.",
        ),
        weaknesses=("Mixes nothing: neither positions nor channels.",),
        memory="nothing: the output is the input",
        reach="none: nothing is mixed",
        use="As the control beside every other block.",
        difficulty="Trivial: the identity.",
        diagram=chain(INPUT, OUTPUT),
    )

    def __init__(self, channels: int, grid: tuple[int, int] = (14, 14), **options: Any) -> None:
        super().__init__(channels, grid)
        self.settings(options)

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x

    def multiply_adds(self, height: int, width: int) -> int:  # noqa: ARG002 - every block has a size
        """None."""
        return 0

    def parameter_count(self) -> int:
        """None."""
        return 0
