"""Can maps be believed? What the laboratory's models say, as a table for the documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from explorer.blocks import short_name
from explorer.lab.experiment import FEW_BLOCKS
from explorer.lab.findings import in_percent, in_points, in_times
from explorer.lab.summary import Index, Key, SetUp
from explorer.lab.table import TableRow
from explorer.probes.faithfulness import GAIN
from explorer.statistics import CHANGE, SHARE, Estimate

_SHIFTED = {"move": "shift"}
#: Column -> its number: what follows the object, what the answer rests on, and what the weights have to do with it.
COLUMNS = {
    "Grad-CAM follows": Key.of("map-equivariance", "rank correlation", map="gradcam", layer="all", **_SHIFTED),
    "attention follows": Key.of(
        "map-equivariance", "rank correlation", map="attention", layer="all", head="mean", **_SHIFTED
    ),
    "answer stays": Key.of("map-equivariance", "answer stays", **_SHIFTED),
    "rests on Grad-CAM": Key.of("faithfulness", GAIN, map="gradcam"),
    "on attention": Key.of("faithfulness", GAIN, map="attention"),
    "on the middle": Key.of("faithfulness", GAIN, map="middle"),
    "on random places": Key.of("faithfulness", GAIN, map="random"),
    "Grad-CAM without what was learnt": Key.of("sanity", "rank correlation", map="gradcam", share=1.0),
    "attention without it": Key.of("sanity", "rank correlation", map="attention", share=1.0),
}


def markdown(rows: Index | Iterable[TableRow]) -> list[str]:
    """The table of the blocks that maps are measured of, each number a mean over seeds with its interval."""
    found = SetUp(rows, "centred")
    out = [f"| block | {' | '.join(COLUMNS)} |", "| --- " * (1 + len(COLUMNS)) + "|"]
    for block in FEW_BLOCKS:
        cells: Sequence[Estimate | None] = [found.mean(block, key) for key in COLUMNS.values()]
        out.append(f"| {short_name(block)} | {' | '.join(map(_cell, cells))} |")
    return out


def _cell(one: Estimate | None) -> str:
    if one is None:
        return ""
    if one.within == SHARE:
        return in_percent(one)
    return in_points(one) if one.within == CHANGE else in_times(one)
