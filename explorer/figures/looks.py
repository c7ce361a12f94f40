"""How each block and model is drawn everywhere: by what it is, not by where it stands in a list."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from explorer.blocks import short_name
from explorer.errors import ExplorerError
from explorer.figures.sheet import MODEL_COLOURS, Dash, Symbol
from explorer.messages import Message
from explorer.models.spec import ModelSpec


@dataclass(frozen=True)
class Look:
    """How a block is drawn everywhere: its CSS colour, how its curves are dashed, and its marker."""

    colour: str
    dash: Dash = "solid"
    symbol: Symbol = "circle"


#: One look a block. The colours keep a distance in OKLab under normal vision and with each kind of dichromacy (after
#: Machado 2009); fourteen hues are too many for any eye, so controls are grey, blocks for reference dashed, and markers
#: differ too.
LOOKS: Final[Mapping[str, Look]] = {
    "none": Look("#1F1F1F", "dot", "x"),
    "conv": Look("#ABABAB", "solid", "square"),
    "mhsa": Look("#0072B2", "solid", "circle"),
    "axial": Look("#56B4E9", "solid", "cross"),
    "channel": Look("#0000BF", "solid", "triangle-down"),
    "linear": Look("#E69F00", "solid", "triangle-up"),
    "c2f": Look("#D55E00", "solid", "diamond"),
    "c2f_gate": Look("#4C0073", "solid", "hexagon"),
    "coord": Look("#009E73", "solid", "star"),
    "ca_c2f": Look("#882255", "solid", "pentagon"),
    "se": Look("#D9BF8D", "dash", "square"),
    "eca": Look("#593B00", "dash", "triangle-up"),
    "cbam": Look("#73561D", "dash", "circle"),
    "nonlocal": Look("#CD3BEB", "dash", "diamond"),
}
_UNKNOWN = Look("#777777", "dash", "circle")


def look_of(block: str) -> Look:
    """How a block is drawn."""
    return LOOKS.get(block, _UNKNOWN)


def colours_of(models: Sequence[str]) -> tuple[str, ...]:
    """The colours of models that are shown together, one each.

    A model of the laboratory, and one with an inserted block, has its block's colour; any other has one by its name.
    Where that is taken, by an equal block or by chance, the later one has the next that is free.

    Args:
        models: texts of specs, or names of blocks.
    """
    found: dict[str, str] = {}
    blocks = {text: _block_of(text) for text in models}
    firsts = {block: text for text, block in reversed(blocks.items())}
    # The first of a block has its colour, whatever stands before it; then come its equals, and then all others.
    for text in sorted(blocks, key=lambda one: (blocks[one] not in LOOKS, firsts[blocks[one]] != one)):
        known = LOOKS.get(blocks[text])
        found[text] = _free(known.colour if known else _by_name(text), found.values())
    return tuple(found[text] for text in models)


def names_of(models: Sequence[str]) -> dict[str, str]:
    """What models that are shown together are called: text of a spec -> name.

    A model of the laboratory is called as its block; where several have the same block, its spec stands behind it. Any
    other is called by its spec.

    Args:
        models: texts of specs, or names of blocks.
    """
    own = {text: Message(short_name(_block_of(text))) for text in models if text in LOOKS or _is_lab(text)}
    return {
        text: text
        if text not in own
        else Message("{name} ({text})", name=own[text], text=text)
        if list(own.values()).count(own[text]) > 1
        else own[text]
        for text in models
    }


def _is_lab(text: str) -> bool:
    try:
        return ModelSpec.parse(text).origin == "lab" and _block_of(text) in LOOKS
    except ExplorerError:
        return False


def _block_of(text: str) -> str:
    if text in LOOKS:
        return text
    try:
        spec = ModelSpec.parse(text)
    except ExplorerError:
        return ""
    return spec.block or (spec.backbone.removesuffix("-aug") if spec.origin == "lab" else "")


def _by_name(text: str) -> str:
    return MODEL_COLOURS[hashlib.sha256(text.encode()).digest()[0] % len(MODEL_COLOURS)]


def _free(wanted: str, taken: Collection[str]) -> str:
    """The colour, or the next one of those for models that no other model has."""
    if wanted not in taken:
        return wanted
    start = MODEL_COLOURS.index(wanted) if wanted in MODEL_COLOURS else 0
    others = (MODEL_COLOURS[(start + step) % len(MODEL_COLOURS)] for step in range(len(MODEL_COLOURS)))
    free = [*others, *(look.colour for look in LOOKS.values())]
    return next((one for one in free if one not in taken), wanted)
