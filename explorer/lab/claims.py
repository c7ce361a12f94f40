"""What is said of these blocks, and by which tests the laboratory's models are asked.

Each claim stands as textbooks and surveys have it, with the tests that were chosen for it, their direction and the
least effect that matters. They were fixed before the models of seeds 4 to 7 were measured, and where a block has
eight seeds, those four judge; findings on the first four led to the claims' tests, so they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from explorer.blocks.cost import count, made, memory_power, powers
from explorer.lab.findings import GAP, ON_OBJECT, SHAPE_BIAS, WHOLE, grouped, shifted, zoomed
from explorer.lab.summary import Key
from explorer.messages import Message

#: The first seed that judges a claim, of models that have as many and more.
JUDGES = 4
#: Blocks that learn the task well, which claims about all are tested on.
FIVE = ("conv", "mhsa", "axial", "c2f", "ca_c2f")
#: Units of effects: how they are written, and their factor.
UNITS: Mapping[str, tuple[str, float, int]] = {
    "points": (Message("points"), 100, 1),
    "px": ("px", 1, 1),
    "x": (Message("x an even map"), 1, 2),
    "R2": ("R²", 1, 2),
}


class Term(NamedTuple):
    """A number of a model: its spec without a seed, what is measured, and whether of several rows their spread."""

    model: str
    key: Key
    spread: bool = False


@dataclass(frozen=True)
class Effect:
    """Is an effect, paired by seed, larger than what matters?

    Attributes:
        says: the effect in words.
        first: the effect is this,
        second: minus this, where there is one.
        above: what it has to exceed; the claim is contradicted where it is shown to be below.
        unit: one of `UNITS`.
    """

    says: str
    first: Term
    second: Term | None = None
    above: float = 0.0
    unit: str = "points"

    @property
    def threshold(self) -> str:
        """What the effect has to exceed, in its unit."""
        words, factor, digits = UNITS[self.unit]
        return Message("{value} {unit}", value=f"{self.above * factor:.{digits}f}", unit=words)


@dataclass(frozen=True)
class Count:
    """A number that is the same for every seed, as multiply-adds are.

    Attributes:
        says: what it is.
        of: counts it.
        holds: whether it is as the claim has it.
        digits: how many are written after the point.
    """

    says: str
    of: Callable[[], float]
    holds: Callable[[float], bool]
    digits: int = 1


@dataclass(frozen=True)
class BlockClaim:
    """A sentence about blocks, and the tests that it has to pass, all of them."""

    name: str
    sentence: str
    tests: tuple[Effect | Count, ...]


def _multiply_adds(block: str, side: int, channels: int) -> int:
    return count(made(block, channels, side, "meta"), side)


def _ratio(first: str, second: str, side: int, channels: int) -> Callable[[], float]:
    return lambda: _multiply_adds(first, side, channels) / _multiply_adds(second, side, channels)


_SIGMA = Key.of("effective-receptive-field", "sigma", variant="raw", stage=1)
_AP = Key.of("detection", "AP")
_R2 = Key.of("position", "R2 of position", input="noise")
_DISTANCE = Key.of("attention-distance", "attention distance", layer=1)


def _more(says: str, first: str, second: str, key: Key, above: float, unit: str = "points") -> Effect:
    """That one model has more of what is measured than another."""
    return Effect(says, Term(f"lab/{first}", key), Term(f"lab/{second}", key), above, unit)


def _stays(training: str, after: Key, before: Key, most: float, what: str) -> list[Effect]:
    """That no block of the five loses more than ``most`` between two conditions."""
    return [
        Effect(
            Message("{what}, {block}", what=what, block=block),
            Term(f"lab/{block}{training}", after),
            Term(f"lab/{block}{training}", before),
            -most,
        )
        for block in FIVE
    ]


CLAIMS: Sequence[BlockClaim] = (
    BlockClaim(
        "local-global",
        Message("Convolution is local, attention is global."),
        (_more(Message("sigma of the effective receptive field, mhsa minus conv"), "mhsa", "conv", _SIGMA, 1.0, "px"),),
    ),
    BlockClaim(
        "pooling-invariance",
        Message("Global pooling makes answers translation-invariant."),
        tuple(_stays("", shifted(8), shifted(0), 0.05, Message("accuracy gained when the object is 8 px off"))),
    ),
    BlockClaim(
        "augmentation-translation",
        Message("Training with shifts and sizes makes answers invariant to both, whatever the block."),
        (
            *_stays("-aug", shifted(8), shifted(0), 0.02, Message("accuracy gained when the object is 8 px off")),
            *_stays("-aug", zoomed(0.5), zoomed(1.0), 0.05, Message("accuracy gained at half the size")),
        ),
    ),
    BlockClaim(
        "positions-relations",
        Message("Position encodings carry spatial relations: attention without them cannot tell arrangements."),
        (
            _more(
                Message("accuracy on arrangements, mhsa minus mhsa without positions"),
                "mhsa",
                "mhsa(position=none)",
                grouped("arrangements"),
                0.1,
            ),
        ),
    ),
    # Written when the first two seeds' records of training were known; their table and further seeds were not.
    BlockClaim(
        "absolute-positions-translation",
        Message("Absolute positions cost attention its translation; relative ones, or none, keep it."),
        (
            _more(
                Message("accuracy 8 px off, mhsa with relative positions minus mhsa with absolute ones"),
                "mhsa(position=relative)",
                "mhsa",
                shifted(8),
                0.1,
            ),
            _more(
                Message("accuracy 8 px off, axial without positions minus axial with absolute ones"),
                "axial(position=none)",
                "axial",
                shifted(8),
                0.1,
            ),
        ),
    ),
    BlockClaim(
        "padding-translation",
        Message("Zero padding tells convolutions where they are, and costs them translation."),
        (
            _more(
                Message("accuracy 8 px off, conv with circular padding minus conv"),
                "conv(padding=circular)",
                "conv",
                shifted(8),
                0.01,
            ),
        ),
    ),
    BlockClaim(
        "pyramids-scale",
        Message("A feature pyramid helps with objects of other sizes."),
        (
            _more(
                Message("accuracy at half the size, c2f of two levels with a pyramid minus without"),
                "c2f(levels=2,pyramid=true)",
                "c2f(levels=2)",
                zoomed(0.5),
                0.02,
            ),
        ),
    ),
    BlockClaim(
        "context",
        Message("Global pooling and attention make use of context."),
        (
            Effect(Message("BG-gap of mhsa"), Term("lab/mhsa", GAP), None, 0.01),
            _more(Message("BG-gap, mhsa minus conv"), "mhsa", "conv", GAP, 0.01),
        ),
    ),
    BlockClaim(
        "attention-shape",
        Message("Attention prefers shape where convolution prefers texture."),
        (
            _more(
                Message("shape bias where both cues agreed in training, mhsa minus conv"),
                "mhsa-cue",
                "conv-cue",
                SHAPE_BIAS,
                0.05,
            ),
        ),
    ),
    BlockClaim(
        "edges",
        Message("Edges are enough: they keep much of the answer."),
        tuple(
            Effect(
                Message("accuracy on Sobel edges, {block}", block=block),
                Term(f"lab/{block}", Key.of("edges", "accuracy", view="Sobel")),
                None,
                0.5,
            )
            for block in FIVE
        ),
    ),
    BlockClaim(
        "diverse-heads",
        Message("Heads are diverse: each looks elsewhere."),
        (
            Effect(
                Message("attention distance, the farthest head of the first layer minus the nearest"),
                Term("lab/mhsa", _DISTANCE, spread=True),
                None,
                2.0,
                "px",
            ),
        ),
    ),
    BlockClaim(
        "map-on-object",
        Message("Attention lies on the object."),
        (
            Effect(Message("attention's mass on the object, mhsa"), Term("lab/mhsa", ON_OBJECT), None, 1.2, "x"),
            Effect(Message("attention's mass on the object, axial"), Term("lab/axial", ON_OBJECT), None, 1.2, "x"),
        ),
    ),
    BlockClaim(
        "quadratic",
        Message("Full attention costs n² d in time and memory."),
        (
            Count(
                Message("power of n in the multiply-adds of mhsa"), lambda: powers("mhsa", 48)[0], lambda x: x == 2, 0
            ),
            Count(Message("power of n in the memory of mhsa"), lambda: memory_power("mhsa"), lambda x: x == 2, 0),
        ),
    ),
    BlockClaim(
        "separable-cheaper",
        Message("Separable attention is cheaper than full attention."),
        (
            Count(
                Message("multiply-adds of axial over mhsa at 14 x 14 places, 384 channels"),
                _ratio("axial", "mhsa", 14, 384),
                lambda x: x < 1,
                2,
            ),
        ),
    ),
    BlockClaim(
        "separable-long",
        Message("Separable attention suits long inputs."),
        (
            Count(
                Message("multiply-adds of axial over mhsa at 56 x 56 places, 96 channels"),
                _ratio("axial", "mhsa", 56, 96),
                lambda x: x < 0.5,
                2,
            ),
        ),
    ),
    BlockClaim(
        "separable-global",
        Message("Separable attention loses global information."),
        (
            _more(Message("accuracy, mhsa minus axial"), "mhsa", "axial", WHOLE, 0.01),
            _more(Message("accuracy, mhsa minus linear"), "mhsa", "linear", WHOLE, 0.01),
            _more(Message("accuracy, mhsa minus channel"), "mhsa", "channel", WHOLE, 0.01),
        ),
    ),
    BlockClaim(
        "coordinate-position",
        Message("Coordinate attention knows where things are."),
        (
            _more(
                Message("R² of a place decoded from its features, coord minus none"), "coord", "none", _R2, 0.05, "R2"
            ),
        ),
    ),
    BlockClaim(
        "coordinate-selects",
        Message("Coordinate attention selects what matters."),
        (
            _more(Message("accuracy, coord minus none"), "coord", "none", WHOLE, 0.02),
            Effect(Message("its gates' mass on the object"), Term("lab/coord", ON_OBJECT), None, 1.1, "x"),
        ),
    ),
    BlockClaim(
        "coordinate-detection",
        Message("Coordinate attention helps to find objects."),
        (_more(Message("AP, coord minus none"), "detect+coord", "detect+none", _AP, 0.02),),
    ),
    BlockClaim(
        "c2f-features",
        Message("C2f gives better features than a convolution, at little cost."),
        (
            _more(Message("accuracy, c2f minus conv"), "c2f", "conv", WHOLE, 0.01),
            _more(Message("AP, c2f minus conv"), "detect+c2f", "detect+conv", _AP, 0.02),
            Count(
                Message("multiply-adds of c2f over mhsa at 12 x 12 places, 48 channels"),
                _ratio("c2f", "mhsa", 12, 48),
                lambda x: x < 1,
                2,
            ),
        ),
    ),
    BlockClaim(
        "coordinates-c2f",
        Message("Coordinate attention adds to C2f."),
        (
            _more(Message("accuracy, ca_c2f minus c2f"), "ca_c2f", "c2f", WHOLE, 0.005),
            _more(Message("AP, ca_c2f minus c2f"), "detect+ca_c2f", "detect+c2f", _AP, 0.005),
        ),
    ),
)
