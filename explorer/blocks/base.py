"""What every attention block declares, and the registry of blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from explorer.blocks.about import About
from explorer.errors import ParameterError
from explorer.kinds import MapKind
from explorer.messages import Message
from explorer.registry import Parameter, Registry, unknown_parameter


def option(default: int | str, text: str, low: int = 0, high: int = 0, choices: tuple[str, ...] = ()) -> Parameter:
    """Declare a parameter of a block: a whole number in a range, or one of several words."""
    if choices:
        return Parameter(str, default, text, choices=choices)
    return Parameter(int, default, text, low, high)


class Block(nn.Module):
    """An attention block: (B, C, H, W) to the same shape, any C, H and W.

    Class attributes are its declaration; the page's controls and the command's flags are made from them.

    Attributes:
        options: its parameters by name.
        residual: whether it computes a residual (x + g block(x)) or replaces its input (x + g (block(x) - x)).
        kind: what kind of map it gives, or None for a block without one.
        gates: names of the child modules whose outputs are its map, for a gate.
        no_map: why it has none, in a sentence; shown wherever its map is looked for.
        about: what there is to say of it beyond its docstring; see `explorer.blocks.explain`.
    """

    options: ClassVar[Mapping[str, Parameter]]
    residual: ClassVar[bool]
    kind: ClassVar[MapKind | None]
    gates: ClassVar[tuple[str, ...]] = ()
    no_map: ClassVar[str] = ""
    about: ClassVar[About]

    @classmethod
    def settings(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, defaults filled in; raises ParameterError for one unknown or out of range."""
        if unknown := sorted(given.keys() - cls.options.keys()):
            raise unknown_parameter(cls.__name__, unknown[0], cls.options)
        settings = {name: given.get(name, one.default) for name, one in cls.options.items()}
        for name, value in settings.items():
            one = cls.options[name]
            if one.allows(value):
                continue
            if one.choices:
                raise ParameterError(
                    Message(
                        "{name} is '{value}'; it can be {choices}",
                        name=name,
                        value=value,
                        choices=", ".join(one.choices),
                    )
                )
            raise ParameterError(
                Message(
                    "{name} is {value}; it is a whole number from {low} to {high}",
                    name=name,
                    value=f"{value!r}",
                    low=one.low,
                    high=one.high,
                )
            )
        return settings

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.channels, self.grid = channels, grid

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""

    @abstractmethod
    def multiply_adds(self, height: int, width: int) -> int:
        """Multiply-adds of one forward pass of one image in matrix products and convolutions (FLOPs are twice that)."""

    @abstractmethod
    def parameter_count(self) -> int:
        """Number of parameters, from the formula in the docstring."""


BLOCKS: Registry[type[Block]] = Registry("block", ("options", "residual", "kind", "about"))


def short_name(block: str) -> str:
    """What a registered block is called where there is little room, as "Rows and columns"; raises UnknownNameError."""
    about = BLOCKS[block].about
    return about.short or about.title
