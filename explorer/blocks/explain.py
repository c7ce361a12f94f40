"""What is each block, what does its map say, and what does it cost? One record for the page and the command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass

from explorer.blocks import BLOCKS, Block
from explorer.blocks.about import Diagram
from explorer.kinds import KINDS, MapKind
from explorer.registry import Parameter


@dataclass(frozen=True)
class BlockExplanation:
    """A block explained: its docstring taken apart, and its `About`.

    Attributes:
        name: in BLOCKS.
        title: in words.
        question: the question it answers (first line of the docstring).
        definition: what it computes, in words.
        formula: LaTeX.
        plain: the formula for a terminal.
        diagram: for `explorer.blocks.diagram.laid_out`.
        order: how its cost grows with n = H W and d.
        cost: multiply-adds and parameters, exact.
        kind: of its map, or None.
        kind_title: what the numbers of that kind are, or "".
        map: shape of its map.
        means: what its map means, or why it has none.
        means_not: what must not be read into it.
        strengths: each a sentence.
        weaknesses: each a sentence.
        memory: how what it holds at once grows.
        reach: how much of the picture one place is told of in one block.
        use: where it belongs, and why.
        difficulty: how hard it is to write, and what is hard.
        source: where it comes from.
        correction: what is often said of it and what is so, or "".
        options: its parameters by name.
        example: lines of Python that use it.
    """

    name: str
    title: str
    question: str
    definition: str
    formula: str
    plain: str
    diagram: Diagram
    order: str
    cost: str
    kind: MapKind | None
    kind_title: str
    map: str
    means: str
    means_not: str
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    memory: str
    reach: str
    use: str
    difficulty: str
    source: str
    correction: str
    options: Mapping[str, Parameter]
    example: str


def explain(name: str) -> BlockExplanation:
    """Explain a registered block; raises UnknownNameError."""
    block = BLOCKS[name]
    question, parts = _parts(block)
    about = block.about
    return BlockExplanation(
        name=name,
        title=about.title,
        question=question,
        definition=parts[""],
        formula=about.formula,
        plain=about.plain,
        diagram=about.diagram,
        order=about.order,
        cost=parts.get("Cost", ""),
        kind=block.kind,
        kind_title=KINDS[block.kind] if block.kind else "",
        map=parts.get("Map", ""),
        means=about.means or block.no_map,
        means_not=about.means_not,
        strengths=about.strengths,
        weaknesses=about.weaknesses,
        memory=about.memory,
        reach=about.reach,
        use=about.use,
        difficulty=about.difficulty,
        source=parts.get("Source", ""),
        correction=about.correction,
        options=block.options,
        example=_example(name, block),
    )


def _parts(block: type[Block]) -> tuple[str, dict[str, str]]:
    """The docstring's first line, and its paragraphs by label ("" for those without), each as one line."""
    first, _, rest = (inspect.getdoc(block) or "").partition("\n")
    pieces = re.split(r"^(Cost|Map|Source): ", rest, flags=re.MULTILINE)
    labels = ["", *pieces[1::2]]
    return first, {label: " ".join(text.split()).replace("``", "") for label, text in zip(labels, pieces[::2])}


def _example(name: str, block: type[Block]) -> str:
    given = "".join(f", {key}={value!r}" for key, value in block.about.example.items())
    if block.kind is None:
        public, look = "attribute", 'print(attribute(model, picture, "gradcam").values.shape)'
    else:
        public = "capture"
        read = "one.matrix(0)" if block.kind == "channel" else "one.row(Point(80, 80))"
        if name == "cbam":
            read = "one.row(Point(80, 80)) if one.layout else one.matrix(0)"
        look = f"for one in capture(model, picture):\n    print(one.layer, one.kind, one.unit)\n    print({read}.shape)"
    names = ", ".join(sorted({"BLOCKS", public, "load", *(["Point"] if "Point" in look else [])}))
    return (
        "import torch\n"
        f"from explorer import {names}\n"
        "\n"
        f'block = BLOCKS["{name}"](64, grid=(14, 14){given})\n'
        "out = block(torch.randn(2, 64, 14, 14))\n"
        "print(out.shape, block.parameter_count(), block.multiply_adds(14, 14))\n"
        "\n"
        f'model = load("random/test_resnet+{name}@3", "cpu")  # behind a closed gate: the answer is the backbone\'s\n'
        "picture = torch.rand(1, 3, *model.input_size)\n"
        f"{look}\n"
    )
