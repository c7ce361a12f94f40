"""What do the laboratory's numbers say? A short table, and sentences made from the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from explorer.lab.intervals import Verdict, judge
from explorer.lab.summary import CONTROL, Key, SetUp, set_ups
from explorer.lab.table import TableRow
from explorer.messages import Message, listed, ranged, sentences
from explorer.probes.background import PURE
from explorer.statistics import Estimate


@dataclass(frozen=True)
class FindingsColumn:
    """One column of the short table: a number that stands for a bias.

    Attributes:
        name: its heading.
        key: what it measures.
        percent: whether it is shown in per cent.
        before: what it is a loss from, or None.
        null: what it is where nothing is lost or preferred; None where the control says that.
    """

    name: str
    key: Key
    percent: bool = True
    before: Key | None = None
    null: float | None = None


def grouped(group: str) -> Key:
    """The accuracy on a group of scenes of patch-shuffle, not shuffled."""
    return Key.of("patch-shuffle", "accuracy", grid="1x1", group=group)


def shifted(distance: int) -> Key:
    """The accuracy with the object this far off, px."""
    return Key.of("translation", "accuracy", distance=distance)


def zoomed(zoom: float) -> Key:
    """The accuracy with the object at this size over the training size."""
    return Key.of("scale", "accuracy", zoom=zoom, remedy="none")


#: The set-ups in words.
SET_UPS: Mapping[str, str] = {
    "centred": Message("Trained on centred objects"),
    "aug": Message("Trained on objects anywhere, of all sizes"),
    "cue": Message("Trained where shape and texture agree"),
    "detect": Message("Trained to find several objects"),
}
#: Accuracy in distribution; which of shape and texture wins; what a foreign background costs; maps on the object.
WHOLE = grouped("all")
SHAPE_BIAS = Key.of("shape-bias", "shape bias", category="all", background="neither")
GAP = Key.of("context", "BG-gap", between=PURE)
ON_OBJECT = Key.of("context", "attention mass ratio", layer="all")
GRADCAM_ON_OBJECT = Key.of("context", "attribution mass ratio", method="gradcam")
#: What the short table shows and the sentences are about; a native map stands for any kind of map.
HEADLINES: Sequence[FindingsColumn] = (
    FindingsColumn(Message("in distribution"), WHOLE),
    FindingsColumn(Message("8 px off"), shifted(8), before=shifted(0)),
    FindingsColumn(Message("half size"), zoomed(0.5), before=zoomed(1.0)),
    FindingsColumn(Message("1.5 x size"), zoomed(1.5), before=zoomed(1.0)),
    FindingsColumn("shape bias", SHAPE_BIAS, null=0.5),
    FindingsColumn("BG-gap", GAP, null=0.0),
    FindingsColumn(Message("tilted pair"), grouped("tilted 25 to 40 degrees"), before=grouped("arrangements")),
    FindingsColumn(Message("4x4 shuffled"), Key.of("patch-shuffle", "accuracy", grid="4x4", group="all"), before=WHOLE),
    FindingsColumn(Message("map on object"), ON_OBJECT, percent=False, null=1.0),
    FindingsColumn("Grad-CAM", GRADCAM_ON_OBJECT, percent=False, null=1.0),
    FindingsColumn("AP", Key.of("detection", "AP")),
    FindingsColumn("AP50", Key.of("detection", "AP50", size="all")),
    FindingsColumn("AP75", Key.of("detection", "AP75")),
)


def measured(found: SetUp) -> list[FindingsColumn]:
    """The columns that a set-up has: models that find objects give no classes."""
    return [headline for headline in HEADLINES if any(found.of(block, headline.key) for block in found.blocks)]


#: Models that are right less often have not learnt the task, and what they do elsewhere says little of their block.
LEARNT = 0.95
#: The same for a sentence, per cent.
LEARNT_PERCENT = f"{100 * LEARNT:.0f}"


def marked(found: SetUp, block: str) -> str:
    """A block's name, with † where its models have not learnt the task: accuracy in distribution below `LEARNT`."""
    mean = found.mean(block, WHOLE)
    return block if mean is None or mean.mean >= LEARNT else f"{block} †"


def findings(found: SetUp, plain: SetUp | None = None) -> list[str]:
    """What do the numbers of one set-up say? Sentences made from the numbers, whatever they are.

    Args:
        found: the set-up.
        plain: the same blocks trained on centred objects, where that is to be compared.
    """
    if not found.blocks:
        return []
    several = found.seeds > 1
    out: list[str] = [
        Message(
            "{blocks} blocks, {seeds} seeds or more each; in brackets the 95 % interval over seeds. A difference "
            "counts as shown where a t test paired by seed finds it after Holm's correction for all blocks of "
            "the sentence, so an interval that leaves out 0 is not enough by itself. “Seen from 20 points”: with "
            "this spread between seeds a smaller one would not have been shown; “none could be seen”: nor would "
            "the largest possible one.",
            blocks=len(found.blocks),
            seeds=found.seeds,
        )
        if several
        else Message(
            "Some blocks have one seed only: a difference from theirs may be chance, and no interval is given."
        )
    ]
    for headline in HEADLINES:
        if headline.before is None and headline.null is None:
            out += _against(found, headline)
    for headline in HEADLINES:
        if headline.before is not None:
            out += _loss(found, headline)
    for headline in HEADLINES:
        if headline.null is not None:
            out += _level(found, headline)
    if plain is not None:
        out += _counter(found, plain)
    return out


def findings_of(rows: Sequence[TableRow], set_up: str = "centred") -> list[str]:
    """The findings of a set-up of a table; of an augmented one, what augmentation changed too."""
    plain = SetUp(rows, "centred") if set_up == "aug" else None
    return findings(SetUp(rows, set_up), plain)


def _ranked(found: SetUp, key: Key) -> list[tuple[str, Estimate]]:
    means = [(block, one) for block in found.blocks if (one := found.mean(block, key)) is not None]
    return sorted(means, key=lambda pair: -pair[1].mean)


_COMPARED = {
    "in distribution": Message("In distribution: {listed}; chance is 8 %."),
    "AP": Message("Average precision over overlaps of 0.5 to 0.95: {listed}."),
    "AP50": Message("At an overlap of 0.5: {listed}."),
    "AP75": Message("At an overlap of 0.75: {listed}."),
}


def _against(found: SetUp, headline: FindingsColumn) -> list[str]:
    ranked = _ranked(found, headline.key)
    if not ranked:
        return []
    same = {block: one for block, one in found.against_control(headline.key).items() if one.shown is False}
    shown = [_of(block, in_percent(one)) for block, one in ranked if block not in same]
    tail = [_seen(f"{block} {one.mean * 100:.0f} %", same[block]) for block, one in ranked if block in same]
    left_over = tail and Message(
        "Not shown to differ from the control {control} ({seeds} seeds): {blocks}.",
        control=CONTROL,
        seeds=found.seeds,
        blocks=_joined(tail),
    )
    return [sentences(Message(_COMPARED[headline.name], listed=_joined(shown)), left_over)]


_WHEN = {
    "8 px off": Message("With the object 8 px off {lost}."),
    "half size": Message("At half the size {lost}."),
    "1.5 x size": Message("At one and a half times the size {lost}."),
    "tilted pair": Message("With arrangements tilted by 25 to 40 degrees {lost}."),
    "4x4 shuffled": Message("Cut into 4 x 4 patches and shuffled {lost}."),
}


def _loss(found: SetUp, headline: FindingsColumn) -> list[str]:
    assert headline.before is not None
    lost = []
    for block, verdict in found.lost(headline.before, headline.key).items():
        left = found.mean(block, headline.key)
        assert left is not None
        lost.append((block, verdict, left))
    if not lost:
        return []
    lost.sort(key=lambda one: -one[1].estimate.mean)
    # Without a test every loss is told; with one, those that are shown.
    told = [one for one in lost if one[1].shown is not False]
    words = [
        Message("{lost}, {mean} % left", lost=_loses(block, one.estimate), mean=f"{left.mean * 100:.0f}")
        for block, one, left in told
    ]
    same = [_seen(_loses(block, one.estimate), one) for block, one, _ in lost if one.shown is False]
    left_over = same and Message(
        "Not shown to change ({seeds} seeds): {blocks}.", seeds=found.seeds, blocks=_joined(_ends(same))
    )
    said = _joined(_ends(words)) or Message("no block is shown to lose")
    return [sentences(Message(_WHEN[headline.name], lost=said), left_over)]


def _level(found: SetUp, headline: FindingsColumn) -> list[str]:
    ranked = _ranked(found, headline.key)
    if not ranked:
        return []

    def each(words: Callable[[Estimate], str]) -> str:
        return _joined(_ends([_of(block, words(one)) for block, one in ranked]))

    if headline.name == "shape bias":
        judged = judge(dict(ranked), headline.null or 0.0)
        texture, shape = (
            [block for block, one in ranked if judged[block].shown is not False and sign * (one.mean - 0.5) > 0]
            for sign in (-1, 1)
        )
        verdicts = [Message("Shape wins in {blocks}.", blocks=", ".join(shape))] if shape else []
        if texture:
            verdicts.append(Message("Texture wins in {blocks}.", blocks=", ".join(texture)))
        open_ = [block for block, _ in ranked if judged[block].shown is False]
        if open_:
            verdicts.append(
                Message(
                    "Not shown to favour either ({seeds} seeds): {open_}.", seeds=found.seeds, open_=", ".join(open_)
                )
            )
        said = Message(
            "Where shape and texture disagree, of the answers that name either the shape gets: {percent}.",
            percent=each(in_percent),
        )
        return [sentences(said, *verdicts)]
    if headline.name == "BG-gap":
        gaps = judge(dict(ranked))
        shown = [_of(block, in_points(one.estimate)) for block, one in gaps.items() if one.shown is not False]
        none = [_seen(_of(block, in_points(one.estimate)), one) for block, one in gaps.items() if one.shown is False]
        tail = none and Message(
            "Not shown to have a gap ({seeds} seeds): {blocks}.", seeds=found.seeds, blocks=_joined(_ends(none))
        )
        costs = _joined(_ends(shown)) or Message("nothing that is shown")
        return [
            sentences(Message("Another class's background instead of the own costs: {points}.", points=costs), tail)
        ]
    below = [block for block, one in judge(dict(ranked), 1.0).items() if one.shown and one.estimate.mean < 1]
    tail = below and Message("Less than an even spread: {blocks}.", blocks=", ".join(below))
    if headline.name == "map on object":
        return [
            sentences(
                Message(
                    "The native map has on the object, as a multiple of an even spread: {times}.", times=each(in_times)
                ),
                tail,
            )
        ]
    return [
        sentences(
            Message("Grad-CAM has on the object, as a multiple of an even spread: {times}.", times=each(in_times)), tail
        )
    ]


def _counter(found: SetUp, plain: SetUp) -> list[str]:
    """What augmentation changed, where a block was trained both ways."""
    out: list[str] = []
    for headline in HEADLINES:
        if headline.before is None or headline.name not in ("8 px off", "half size"):
            continue
        words = []
        before = plain.lost(headline.before, headline.key)
        for block, now in found.lost(headline.before, headline.key).items():
            if block in before:
                lost = round(now.estimate.mean * 100), round(before[block].estimate.mean * 100)
                words.append(Message("{block} {mean} instead of {mean_}", block=block, mean=lost[0], mean_=lost[1]))
        if words:
            where = headline.name
            out.append(
                Message(
                    "Trained with shifts and sizes, models lose in points (below 0: gain), {where}: {words}.",
                    where=where,
                    words=_joined(words),
                )
            )
    return out


def _seen(said: str, one: Verdict) -> str:
    """What is said of a block, and from which difference on a test would have shown it, if seeds differ at all."""
    if not one.least:
        return said
    if one.least > one.estimate.within.high:
        return Message("{said}, none could be seen", said=said)
    points = one.least * 100
    return Message("{said}, seen from {points} points", said=said, points=f"{points:.{0 if points >= 9.95 else 1}f}")


def _ends(words: Sequence[str]) -> Sequence[str]:
    """The first and last three of many."""
    return words if len(words) <= 7 else [*words[:3], Message("{n} in between", n=len(words) - 6), *words[-3:]]


def _joined(words: Sequence[str]) -> str:
    return listed(words, "{first}; {rest}")


def _of(block: str, said: str) -> str:
    return Message("{block} {said}", block=block, said=said)


def _number(said: str, one: Estimate, digits: int, factor: float = 100) -> str:
    """A number with its interval."""
    low, high = (None if end is None else f"{end * factor:.{digits}f}" for end in (one.low, one.high))
    return ranged(said, low, high)


def in_percent(one: Estimate) -> str:
    """A share in words, with its interval."""
    return _number(f"{one.mean * 100:.0f} %", one, 0)


def in_points(one: Estimate) -> str:
    """A difference of shares in words, with its interval."""
    digits = 0 if abs(one.mean) >= 0.0995 else 1
    return _number(Message("{n} points", n=f"{one.mean * 100:.{digits}f}"), one, digits)


def _loses(block: str, change: Estimate) -> str:
    if change.mean >= 0:
        return Message("{block} loses {points}", block=block, points=in_points(change))
    low, high = (None if end is None else -end for end in (change.high, change.low))
    return Message(
        "{block} gains {points}", block=block, points=in_points(replace(change, mean=-change.mean, low=low, high=high))
    )


def in_times(one: Estimate) -> str:
    """A multiple in words, with its interval."""
    return _number(f"{round(one.mean, 2) + 0.0:.2f}", one, 2, 1)  # there is no -0.00


def lines(rows: Sequence[TableRow]) -> list[str]:
    """The short table in the terminal, a part for each set-up, with its findings."""
    out: list[str] = []
    for set_up in set_ups(rows):
        out += [str(SET_UPS[set_up]), ""]
        out += _columns(SetUp(rows, set_up))
        out += ["", *(f"- {sentence}" for sentence in findings_of(rows, set_up)), ""]
    if out:
        out.append(
            "Accuracy, shape bias and AP in %, BG-gap in points, maps as a multiple of an even spread. "
            "In brackets the 95 % interval over seeds. ~ marks what is not shown to differ from the control none "
            "(t tests paired by seed, Holm's correction for the blocks of a column), . what there is not, † blocks "
            f"whose models are right on less than {LEARNT_PERCENT} % of the scenes: they have not learnt the task "
            "whole."
        )
    return out


def cell(one: Estimate, headline: FindingsColumn) -> str:
    """A number of the short table with its interval."""
    factor, digits = (100, 1 if headline.name == "BG-gap" else 0) if headline.percent else (1, 2)
    return _number(f"{one.mean * factor:.{digits}f}", one, digits, factor)


def _columns(found: SetUp) -> list[str]:
    headlines = measured(found)
    heads = ["block", *(headline.name for headline in headlines)]
    table = [heads]
    judged = {headline.name: found.against_control(headline.key) for headline in headlines}
    for block in found.blocks:
        cells = [marked(found, block)]
        for headline in headlines:
            one = found.mean(block, headline.key)
            if one is None:
                cells.append(".")
                continue
            gap = judged[headline.name].get(block)
            same = "~" if gap is not None and gap.shown is False else ""
            cells.append(same + cell(one, headline))
        table.append(cells)
    widths = [max(len(cells[index]) for cells in table) for index in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths))
        )
        for cells in table
    ]
