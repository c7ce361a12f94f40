"""What a block says of itself beside its docstring, as data without markup: the page and the command draw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal


@dataclass(frozen=True)
class Node:
    """A box of a diagram.

    Attributes:
        name: what edges call it.
        label: what is written in it.
        role: "data" (what goes in and out), "step", "map" (a step whose numbers are shown as the block's map), or
            "join" (a sum or a product, drawn as a circle).
        at: its centre as a share of the width; None for boxes that share their row evenly.
    """

    name: str
    label: str
    role: Literal["data", "step", "map", "join"] = "step"
    at: float | None = None


@dataclass(frozen=True)
class Diagram:
    """Boxes in rows, from the input above to the output below, and arrows between them.

    Attributes:
        rows: the boxes.
        edges: (from, to), or (from, to, share of the width that the arrow swings out to).
    """

    rows: tuple[tuple[Node, ...], ...]
    edges: tuple[tuple[str, str] | tuple[str, str, float], ...]


@dataclass(frozen=True)
class About:
    """What a block's docstring leaves out. n = H W positions, d channels, h heads, d_h = d / h.

    Attributes:
        title: its name in words.
        formula: LaTeX.
        plain: the formula for a terminal.
        order: how its cost grows; the exact number is in the docstring.
        means: what its map means; for a block without one, why it has none.
        means_not: what must not be read into it.
        strengths: each a sentence.
        weaknesses: each a sentence.
        memory: how what it holds at once grows, beside input and parameters.
        reach: how much of the picture one place is told of in one block.
        use: where it belongs, and why.
        difficulty: how hard it is to write, and what is hard.
        diagram: how the numbers flow.
        correction: what is often said of it and what is so, or "".
        example: parameters with which the example of use builds it.
        short: what it is called in a list or a figure, in at most four words; "": its title is short enough.
    """

    title: str
    formula: str
    plain: str
    order: str
    means: str
    means_not: str
    diagram: Diagram
    strengths: tuple[str, ...] = ()
    weaknesses: tuple[str, ...] = ()
    memory: str = ""
    reach: str = ""
    use: str = ""
    difficulty: str = ""
    correction: str = ""
    example: Mapping[str, Any] = field(default_factory=dict)
    short: str = ""


#: The ends of every diagram.
INPUT, OUTPUT = Node("x", "x (C, H, W)", "data"), Node("y", "out (C, H, W)", "data")


def chain(*nodes: Node) -> Diagram:
    """Boxes one below the other."""
    edges = tuple((one.name, other.name) for one, other in pairwise(nodes))
    return Diagram(tuple((node,) for node in nodes), edges)


def gated(*nodes: Node) -> Diagram:
    """Boxes one below the other whose last is a gate that multiplies the input."""
    product = Node("times", "×", "join")
    inner = chain(INPUT, *nodes, product, OUTPUT)
    return Diagram(inner.rows, (*inner.edges, ("x", "times", 0.93)))


def attended(weights: str, joined: str) -> Diagram:
    """Queries, keys, values by 1x1 convolutions: ``weights`` of the first two multiply the third; then ``joined``."""
    rows = (
        (INPUT,),
        (Node("q", "Q: 1×1"), Node("k", "K: 1×1"), Node("v", "V: 1×1")),
        (Node("a", weights, "map", 0.34),),
        (Node("times", "×", "join", 0.5),),
        (Node("o", joined),),
        (OUTPUT,),
    )
    projected = (("x", "q"), ("x", "k"), ("x", "v"))
    mixed = (("q", "a"), ("k", "a"), ("a", "times"), ("v", "times", 0.83), ("times", "o"), ("o", "y"))
    return Diagram(rows, (*projected, *mixed))
