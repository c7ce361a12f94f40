"""The laboratory's table as figures: one chart a bias, one look a block, intervals over seeds visible.

What is not shown to differ from the control is drawn hollow, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from explorer.errors import ParameterError
from explorer.figures.looks import LOOKS, look_of
from explorer.figures.sheet import Axis, Chart, Line, Section, Sheet
from explorer.lab.findings import GAP, LEARNT_PERCENT, ON_OBJECT, SET_UPS, WHOLE, findings_of, grouped, marked
from explorer.lab.summary import CONTROL, Key, SetUp, set_ups
from explorer.lab.table import TableRow
from explorer.messages import Message, sentences
from explorer.probes.background import MIXED
from explorer.scenes import CLASSES

#: Accuracy of guessing: one class of twelve.
CHANCE = 1 / len(CLASSES)
_CHANCE = ((CHANCE, Message("chance, 1/12")),)
_SHARE = Axis(Message("accuracy (share of scenes)"), low=0.0, high=1.0)


def task(found: SetUp, blocks: Sequence[str]) -> Chart:
    """How well is the task learnt, on scenes as in training?"""
    named: dict[str, Key] = {
        Message("all classes"): WHOLE,
        Message("one part"): grouped(Message("one part")),
        Message("arrangement of two"): grouped("arrangements"),
    }
    return _points(Message("In distribution"), found, blocks, named, _SHARE, _CHANCE)


def translation(found: SetUp, blocks: Sequence[str]) -> Chart:
    """Does the answer stay when the object moves?"""
    x = Axis(Message("shift of the object right, left, down or up, px of 48"))
    return _curves(Message("Translation"), found, blocks, Key("translation", "accuracy"), "distance", x)


def scale(found: SetUp, blocks: Sequence[str]) -> Chart:
    """Does the answer stay when the object shrinks or grows?"""
    x = Axis(Message("size of the object over its training size"), log=True)
    return _curves(Message("Scale"), found, blocks, Key.of("scale", "accuracy", remedy="none"), "zoom", x)


def shape(found: SetUp, blocks: Sequence[str]) -> Chart:
    """Where shape and texture disagree, which wins?"""
    bias = {
        background: Key.of("shape-bias", "shape bias", category="all", background=background)
        for background in ("neither", Message("the texture's class"))
    }
    named: dict[str, Key] = {
        Message("background of neither"): bias["neither"],
        Message("background of the texture's class"): bias["the texture's class"],
    }
    y = Axis(Message("shape bias (share of answers)"), low=0.0, high=1.0)
    return _points(Message("Shape against texture"), found, blocks, named, y, ((0.5, Message("as often texture")),))


def context(found: SetUp, blocks: Sequence[str]) -> Chart:
    """How much of the answer rests on the background?"""
    named: dict[str, Key] = {
        Message("own class's - another's"): GAP,
        "mixed-same - mixed-rand": Key.of("context", "BG-gap", between=MIXED),
    }
    y = Axis(Message("BG-gap (difference of shares)"))
    return _points(Message("Background"), found, blocks, named, y, ((0.0, Message("no gap")),))


def arrangement(found: SetUp, blocks: Sequence[str]) -> Chart:
    """Is an arrangement still known when it is tilted or drawn apart?"""
    named: dict[str, Key] = {
        Message("as in training"): grouped("arrangements"),
        Message("tilted 25 to 40°"): grouped(Message("tilted 25 to 40 degrees")),
        Message("1.4 to 1.7 x apart"): grouped(Message("1.4 to 1.7 x apart")),
    }
    y = Axis(Message("accuracy on arrangements (share)"), low=0.0, high=1.0)
    return _points(Message("Arrangement"), found, blocks, named, y, _CHANCE)


def patch_shuffle(found: SetUp, blocks: Sequence[str]) -> Chart:
    """How much is known when the patches of the picture have changed places?"""
    x = Axis(Message("patches that changed places (1: none)"), log=True)
    key = Key.of("patch-shuffle", "accuracy", group="all")
    return _curves(Message("Patch shuffle"), found, blocks, key, "patches", x)


def maps(found: SetUp, blocks: Sequence[str]) -> Chart:
    """How much of each map lies on the object?

    Of maps with queries (pairwise, axial): from queries on the object. Context scores and gates have one map for all.
    """
    named: dict[str, Key] = {
        Message("native map"): ON_OBJECT,
        "Grad-CAM": Key.of("context", Message("attribution mass ratio"), method="gradcam"),
    }
    y = Axis(Message("mass on the object, x an even map"), low=0.0)
    return _points(Message("Maps on the object"), found, blocks, named, y, ((1.0, Message("an even map")),))


def detection(found: SetUp, blocks: Sequence[str]) -> Chart:
    """How well are several objects found?"""
    named: dict[str, Key] = {
        Message("overlap of 0.5 to 0.95"): Key.of("detection", "AP"),
        "0.5": Key.of("detection", "AP50", size="all"),
        "0.75": Key.of("detection", "AP75"),
        Message("0.5, small objects"): Key.of("detection", "AP50", size="small"),
        Message("0.5, large objects"): Key.of("detection", "AP50", size="large"),
    }
    y = Axis(Message("average precision"), low=0.0, high=1.0)
    drawn = _points(Message("Finding several objects"), found, blocks, named, y, ())
    more = Message(
        "With more pictures they find still more (tried with three blocks): compared here after equal training, not at "
        "their best."
    )
    return replace(drawn, unit=sentences(drawn.unit, more))


#: The charts by name, in their order.
CHARTS: Final[Mapping[str, Callable[[SetUp, Sequence[str]], Chart]]] = {
    "in distribution": task,
    "translation": translation,
    "scale": scale,
    "shape": shape,
    "context": context,
    "arrangement": arrangement,
    "patch-shuffle": patch_shuffle,
    "maps": maps,
    "detection": detection,
}


def charts(found: SetUp, blocks: Sequence[str] | None = None) -> dict[str, Chart]:
    """Every chart of what was measured of a set-up, by name.

    Args:
        found: the set-up.
        blocks: which; all if None. Raises ParameterError for one that was not measured.
    """
    there = found.blocks
    if blocks is not None and (missing := [block for block in blocks if block not in there]):
        raise ParameterError(
            Message(
                "no measurement of '{missing}' in “{set_up}”; there are: {none}",
                missing=missing[0],
                set_up=SET_UPS[found.name],
                none=", ".join(there) or Message("none"),
            )
        )
    known = [*LOOKS, *(block for block in there if block not in LOOKS)]
    wanted = [block for block in known if block in there and (blocks is None or block in blocks)]
    drawn = {name: draw(found, wanted) for name, draw in CHARTS.items()}
    return {name: chart for name, chart in drawn.items() if chart.lines}


def sheet(rows: Sequence[TableRow]) -> Sheet:
    """The whole table as a figure: for each set-up its findings and charts, two beside each other."""
    sections = []
    for set_up in set_ups(rows):
        found = SetUp(rows, set_up)
        drawn = list(charts(found).values())
        pairs = tuple(tuple(drawn[place : place + 2]) for place in range(0, len(drawn), 2))
        sections.append(Section(SET_UPS[set_up], pairs, notes=tuple(findings_of(rows, set_up))))
    return Sheet(Message("The laboratory"), tuple(sections))


# ---- the two forms --------------------------------------------------------------------------------------------------


def _curves(title: str, found: SetUp, blocks: Sequence[str], key: Key, over: str, x: Axis) -> Chart:
    """Accuracy over a condition: a line a block, its 95 % interval over seeds as a band."""
    places = found.places(key, over)
    keys = {place: Key(key.probe, key.measure, (*key.where, (over, place))) for place in places}
    lines = _lines(found, blocks, keys, joined=True)
    return Chart(title, lines, x, _SHARE, unit=_unit(found, lines), levels=_CHANCE)


def _points(
    title: str,
    found: SetUp,
    blocks: Sequence[str],
    named: Mapping[str, Key],
    y: Axis,
    levels: tuple[tuple[float, str], ...],
) -> Chart:
    """A point with its 95 % interval over seeds for each block and condition."""
    lines = _lines(found, blocks, named, joined=False)
    return Chart(title, lines, Axis(""), y, unit=_unit(found, lines), levels=levels)


def _lines(found: SetUp, blocks: Sequence[str], keys: Mapping[Any, Key], joined: bool) -> tuple[Line, ...]:
    judged = {place: found.against_control(key) for place, key in keys.items()}
    lines = []
    for block in blocks:
        means = {place: mean for place, key in keys.items() if (mean := found.mean(block, key)) is not None}
        if not means:
            continue
        look, nan, name = look_of(block), float("nan"), marked(found, block)
        lows, highs = (
            tuple(nan if (end := getattr(mean, name)) is None else end for mean in means.values())
            for name in ("low", "high")
        )
        lines.append(
            Line(
                Message("{block} (control)", block=name) if block == CONTROL else name,
                tuple(means),
                tuple(mean.mean for mean in means.values()),
                lows,
                highs,
                look.colour,
                look.dash,
                joined,
                look.symbol,
                tuple(block in judged[place] and judged[place][block].shown is False for place in means),
            )
        )
    return tuple(lines)


def _unit(found: SetUp, lines: Sequence[Line]) -> str:
    hollow = Message("Hollow: not shown to differ from the control.") if any(any(line.hollow) for line in lines) else ""
    if found.seeds < 2:
        return Message("One seed, no interval.")
    learnt = (
        Message("†: right on less than {learnt} %.", learnt=LEARNT_PERCENT)
        if any(line.name.endswith("†") for line in lines)
        else ""
    )
    return sentences(Message("Bands and bars are 95 % intervals over seeds."), hollow, learnt)
