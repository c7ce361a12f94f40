"""The laboratory's table: one row a measurement, intervals over seeds, and what the numbers say in words.

Plain numbers: neither torch nor a plotting library is needed to read the table or to draw it.

A model's *set-up* is its backbone and whether it was trained with augmentation; within a set-up only the block differs,
and the block `none` is the control. Intervals are over seeds: they say how far training the same model again moves a
number. They do not cover the choice of pictures, which all models and seeds share; n says how many there are.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from explorer.errors import ParameterError
from explorer.registry import parameters
from explorer.resources import asset
from explorer.statistics import CHANGE, POSITIVE, SHARE, Estimate, Range, holm, interval, welch
from explorer.writing import make_folder, write

#: The block that mixes nothing, to which every other is compared.
CONTROL = "none"
#: Accuracy of guessing: one class of twelve.
CHANCE = 1 / 12
#: What p a difference may have to be called shown.
LEVEL = 0.05


class Measure(NamedTuple):
    """What the numbers of a measure are, their unit (that of the probes' rows of this name), and where they can lie."""

    text: str
    unit: str
    within: Range


#: What is measured, by name.
MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure("share of right answers", "share", SHARE),
    "accuracy among arrangements": Measure(
        "share of right answers where only the four arrangements may be answered", "share", SHARE
    ),
    "shape bias": Measure("shape answers / (shape + texture answers); n is their number", "share", SHARE),
    "shape answers": Measure("share of answers that name the shape's class", "share", SHARE),
    "texture answers": Measure("share of answers that name the texture's class", "share", SHARE),
    "BG-gap": Measure(
        "accuracy with backgrounds of the own class minus accuracy with those of others",
        "difference of shares",
        CHANGE,
    ),
    "mass ratio": Measure(
        "share of the map's mass on the object over the object's share of the frame; 1: no preference",
        "x an even map",
        POSITIVE,
    ),
}
#: File names, without ending, of the table.
NAME = "evaluation"


@dataclass(frozen=True)
class Row:
    """One measurement of one model.

    Attributes:
        model: lab/<block>, lab/resnet+<block> or lab/<block>-aug; the seed stands beside it.
        block: name of the block.
        backbone: "metaformer" or "resnet".
        augmented: whether it was trained with shift and scale augmentation.
        seed: of the training run.
        weights: the beginning of a hash of its weights.
        bias: which panel it belongs to ("translation", "scale", ...).
        measure: what was measured, a key of MEASURES.
        condition: under which condition ("right", "own background", ...).
        value_of_condition: its number (8.0 for a shift of 8 px), or None.
        unit: of the condition's number.
        value: the measurement.
        n: number of pictures (of answers that count, for the shape bias).
    """

    model: str
    block: str
    backbone: str
    augmented: bool
    seed: int
    weights: str
    bias: str
    measure: str
    condition: str
    value_of_condition: float | None
    unit: str
    value: float
    n: int


Key = tuple[str, str, str, "float | None"]
"""What a number measures: bias, measure, condition, value of the condition."""


def key_of(one: Row | Summary) -> Key:
    """What a row or a summary measures."""
    return one.bias, one.measure, one.condition, one.value_of_condition


# ---- files ----------------------------------------------------------------------------------------------------------


def write_table(rows: Sequence[Row], folder: Path, about: Mapping[str, Any], kept: str = "") -> list[Path]:
    """Write a table as evaluation.json and evaluation.parquet, each whole or not at all; return their paths.

    Raises WriteError.

    Args:
        rows: the table.
        folder: made where it is not there.
        about: how it was measured; stands beside the rows in both files.
        kept: what is not lost where it fails, a sentence for the error.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    head = json.dumps(dict(about), sort_keys=True)
    # A line a row: a table that changes a little gives a difference that can be read.
    lines = ",\n".join(json.dumps(asdict(row), separators=(",", ":"), allow_nan=False) for row in rows)
    types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema(
        [pa.field(name, types[one.kind]) for name, one in parameters(Row).items()],
        metadata={"about": head},
    )
    columns = {one.name: [getattr(row, one.name) for row in rows] for one in fields(Row)}
    table = pa.Table.from_pydict(columns, schema=schema)
    packed = io.BytesIO()
    pq.write_table(table, packed)
    make_folder(folder)
    # The .json last: it is what a later run reads to know what is measured already.
    parquet = write(folder / f"{NAME}.parquet", packed.getvalue(), kept)
    return [write(folder / f"{NAME}.json", f'{{"about":{head},"rows":[\n{lines}\n]}}\n', kept), parquet]


def read_table(file: Path) -> tuple[list[Row], dict[str, Any]]:
    """Read a table, .json or .parquet: its rows, and how it was measured. Raises ParameterError."""
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(file)
            about, records = json.loads(table.schema.metadata[b"about"]), table.to_pylist()
        else:
            read = json.loads(file.read_text(encoding="utf-8"))
            about, records = read["about"], read["rows"]
        return [Row(**record) for record in records], about
    except FileNotFoundError:
        raise ParameterError(f"there is no table '{file}'; explorer lab evaluate writes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(
            f"'{file}' is not a table of the laboratory ({error}); remove it and measure again"
        ) from error


@lru_cache(maxsize=1)
def load_table() -> tuple[Row, ...]:
    """The table that ships; empty where none does."""
    file = asset("lab", f"{NAME}.json")
    return tuple(read_table(file)[0]) if file.is_file() else ()


# ---- intervals ------------------------------------------------------------------------------------------------------


def within(key: Key) -> Range:
    """Between which values the numbers of a measure can lie."""
    return MEASURES[key[1]].within


def difference(first: Mapping[int, float], second: Mapping[int, float], of: Range) -> Estimate:
    """First minus second, each a value a seed: paired where two or more seeds match, else Welch's of two samples.

    Seeds share their pictures and the order of training, so a pair of one seed differs by less than two of different.

    Args:
        first: seed -> value.
        second: as first.
        of: where the values can lie.
    """
    apart = of.high - of.low
    range_ = Range(-apart, apart, difference=True)
    both = [seed for seed in first if seed in second]
    if len(both) >= 2:
        return interval([first[seed] - second[seed] for seed in both], range_)
    return welch(list(first.values()), list(second.values()), range_)


class Verdict(NamedTuple):
    """What a test says of one of several estimates.

    Attributes:
        estimate: the number.
        p: of Student's t, corrected for the others (Holm); None with one seed.
        shown: whether p is at most 0.05; None with one seed. What is not shown may be all the same.
        least: how far from 0 a difference with this spread between seeds would have had to lie to be shown beside the
            others; None with one seed.
    """

    estimate: Estimate
    p: float | None = None
    shown: bool | None = None
    least: float | None = None


def judge(estimates: Mapping[str, Estimate], null: float = 0.0) -> dict[str, Verdict]:
    """Which of several estimates are shown to differ from ``null``? Student's t, corrected after Holm (1979)."""
    raw = {name: p for name, one in estimates.items() if (p := one.p_value(null)) is not None}
    corrected = dict(zip(raw, holm(list(raw.values()))))
    # Holm's level for the first that is not shown.
    left = sum(p > LEVEL for p in corrected.values())
    level = LEVEL / max(1, left)
    return {
        name: Verdict(one, corrected[name], corrected[name] <= LEVEL, one.least(level))
        if name in corrected
        else Verdict(one)
        for name, one in estimates.items()
    }


# ---- the summary ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """One measurement of one block in one set-up, over its seeds.

    Attributes:
        block: name of the block; backbone and augmented are its set-up.
        bias: as measure, condition, value_of_condition and unit: see `Row`.
        mean: over seeds.
        low: as high: ends of the 95 % interval; None with one seed.
        seeds: how many.
        n: pictures, or answers that count, of all seeds together.
        difference: mean minus that of the control, with the ends of its interval, paired by seed where seeds match;
            None for the control itself and where there is none.
        p: of the t test of that difference, corrected after Holm for the blocks of the set-up; None where there
            is none.
        shown_to_differ: whether p is at most 0.05; None where there is none.
        least: the smallest difference that would have been shown; see `Verdict`.
    """

    block: str
    backbone: str
    augmented: bool
    bias: str
    measure: str
    condition: str
    value_of_condition: float | None
    unit: str
    mean: float
    low: float | None
    high: float | None
    seeds: int
    n: int
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    shown_to_differ: bool | None = None
    least: float | None = None


def summary(rows: Iterable[Row]) -> list[Summary]:
    """Mean, interval and comparison with the control of every measurement, in the order of the rows."""
    groups: dict[tuple[str, bool, str, Key], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        groups[row.backbone, row.augmented, row.block, key_of(row)][row.seed] = row
    verdicts: dict[tuple[str, bool, Key], dict[str, Verdict]] = {}
    values = {key: {seed: row.value for seed, row in seeds.items()} for key, seeds in groups.items()}
    for backbone, augmented, key in dict.fromkeys((one[0], one[1], one[3]) for one in groups):
        control = values.get((backbone, augmented, CONTROL, key))
        if control is not None:
            others = {
                one[2]: found for one, found in values.items() if (one[0], one[1], one[3]) == (backbone, augmented, key)
            }
            verdicts[backbone, augmented, key] = judge(
                {block: difference(found, control, within(key)) for block, found in others.items() if block != CONTROL}
            )
    out = []
    for (backbone, augmented, block, key), seeds in groups.items():
        found, unit = (
            interval(list(values[backbone, augmented, block, key].values()), within(key)),
            next(iter(seeds.values())).unit,
        )
        verdict = verdicts.get((backbone, augmented, key), {}).get(block)
        beside: tuple[Any, ...] = ()
        if verdict is not None:
            gap = verdict.estimate
            beside = (gap.mean, gap.low, gap.high, verdict.p, verdict.shown, verdict.least)
        n = sum(row.n for row in seeds.values())
        out.append(
            Summary(block, backbone, augmented, *key, unit, found.mean, found.low, found.high, found.n, n, *beside)
        )
    return out


@lru_cache(maxsize=1)
def load_summary() -> tuple[Summary, ...]:
    """The summary of the table that ships; empty where none does."""
    return tuple(summary(load_table()))


# ---- in words -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Headline:
    """One column of the short table: a number that stands for a bias.

    Attributes:
        name: its heading.
        key: what it measures.
        percent: whether it is shown in per cent.
        before: what it is a loss from, or None.
    """

    name: str
    key: Key
    percent: bool = True
    before: Key | None = None


#: What the short table shows and the sentences are about; a native map stands for any kind of map.
HEADLINES: Sequence[Headline] = (
    Headline("in distribution", ("in distribution", "accuracy", "all", None)),
    Headline(
        "8 px off",
        ("translation", "accuracy", "four directions", 8.0),
        before=("translation", "accuracy", "four directions", 0.0),
    ),
    Headline("half size", ("scale", "accuracy", "scaled", 0.5), before=("scale", "accuracy", "scaled", 1.0)),
    Headline("1.5 x size", ("scale", "accuracy", "scaled", 1.5), before=("scale", "accuracy", "scaled", 1.0)),
    Headline("shape bias", ("shape", "shape bias", "background of neither", None)),
    Headline("BG-gap", ("context", "BG-gap", "own - another's", None)),
    Headline(
        "tilted pair",
        ("arrangement", "accuracy", "tilted 25 to 40 degrees", None),
        before=("arrangement", "accuracy", "in distribution", None),
    ),
    Headline(
        "4x4 shuffled",
        ("patch-shuffle", "accuracy", "shuffled", 4.0),
        before=("patch-shuffle", "accuracy", "shuffled", 1.0),
    ),
    Headline("map on object", ("maps", "mass ratio", "native", None), percent=False),
    Headline("Grad-CAM", ("maps", "mass ratio", "Grad-CAM", None), percent=False),
)


class SetUp:
    """The values of one set-up by block, key and seed."""

    def __init__(self, rows: Iterable[Row], backbone: str, augmented: bool) -> None:
        self.values: dict[str, dict[Key, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        for row in rows:
            if row.backbone == backbone and row.augmented == augmented:
                self.values[row.block][key_of(row)][row.seed] = row.value

    @property
    def blocks(self) -> list[str]:
        """The blocks that were measured."""
        return list(self.values)

    @property
    def seeds(self) -> int:
        """The number of seeds that every block has."""
        return min((len(seeds) for keys in self.values.values() for seeds in keys.values()), default=0)

    def of(self, block: str, key: Key) -> dict[int, float]:
        """A block's value a seed; of a native map, whatever its kind; empty where it was not measured."""
        keys = self.values[block]
        if key[2] == "native":
            key = next((one for one in keys if _is_native(one)), key)
        return keys.get(key, {})

    def mean(self, block: str, key: Key) -> Estimate | None:
        """A block's mean and interval."""
        values = self.of(block, key)
        return interval(list(values.values()), within(key)) if values else None

    def lost(self, before: Key, after: Key) -> dict[str, Verdict]:
        """Block -> how much it loses between two conditions, paired by seed, and whether that is shown."""
        found = {block: (self.of(block, before), self.of(block, after)) for block in self.blocks}
        return judge({block: difference(*both, within(after)) for block, both in found.items() if all(both)})

    def against_control(self, key: Key) -> dict[str, Verdict]:
        """Block -> its value minus the control's, and whether they are shown to differ."""
        control = self.of(CONTROL, key)
        found = {block: self.of(block, key) for block in self.blocks if control and block != CONTROL}
        return judge({block: difference(values, control, within(key)) for block, values in found.items() if values})


def _is_native(key: Key) -> bool:
    return key[0] == "maps" and key[2].startswith("native ") and key[3] is None


def findings(rows: Sequence[Row], backbone: str = "metaformer", augmented: bool = False) -> list[str]:
    """What do the numbers of one set-up say? Sentences made from the numbers, whatever they are."""
    found = SetUp(rows, backbone, augmented)
    if not found.blocks:
        return []
    several = found.seeds > 1
    out = [
        f"{len(found.blocks)} blocks, {found.seeds} seeds or more each; in brackets the 95 % interval over seeds. "
        "A difference counts as shown where a t test paired by seed finds it after Holm's correction for all blocks of "
        "the sentence, so an interval that leaves out 0 is not enough by itself. “Seen from 20 points”: with this "
        "spread between seeds a smaller one would not have been shown; “none could be seen”: nor would the largest "
        "possible one."
        if several
        else "Some blocks have one seed only: a difference from theirs may be chance, and no interval is given."
    ]
    first, *rest = HEADLINES
    ranked = _ranked(found, first.key)
    if ranked:
        same = {block: one for block, one in found.against_control(first.key).items() if one.shown is False}
        listed = [f"{block} {_percent(one)}" for block, one in ranked if block not in same]
        tail = [_seen(f"{block} {one.mean * 100:.0f} %", same[block]) for block, one in ranked if block in same]
        out.append(
            f"In distribution: {_joined(listed)}; chance is 8 %."
            + (
                f" Not shown to differ from the control {CONTROL} ({found.seeds} seeds): {_joined(tail)}."
                if tail
                else ""
            )
        )
    for headline in rest:
        if headline.before is not None:
            out += _loss(found, headline)
    for headline in rest:
        if headline.before is None:
            out += _level(found, headline)
    if augmented:
        out += _counter(rows, found, backbone)
    return out


def _ranked(found: SetUp, key: Key) -> list[tuple[str, Estimate]]:
    means = [(block, one) for block in found.blocks if (one := found.mean(block, key)) is not None]
    return sorted(means, key=lambda pair: -pair[1].mean)


_WHEN = {
    "8 px off": "With the object 8 px off",
    "half size": "At half the size",
    "1.5 x size": "At one and a half times the size",
    "tilted pair": "With arrangements tilted by 25 to 40 degrees",
    "4x4 shuffled": "Cut into 4 x 4 patches and shuffled",
}


def _loss(found: SetUp, headline: Headline) -> list[str]:
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
    words = [f"{_loses(block, one.estimate)}, {left.mean * 100:.0f} % left" for block, one, left in told]
    same = [_seen(_loses(block, one.estimate), one) for block, one, _ in lost if one.shown is False]
    tail = f" Not shown to change ({found.seeds} seeds): {_joined(_ends(same))}." if same else ""
    return [f"{_WHEN[headline.name]} {_joined(_ends(words)) or 'no block is shown to lose'}.{tail}"]


def _level(found: SetUp, headline: Headline) -> list[str]:
    ranked = _ranked(found, headline.key)
    if not ranked:
        return []

    def listed(words: Callable[[Estimate], str]) -> str:
        return _joined(_ends([f"{block} {words(one)}" for block, one in ranked]))

    if headline.name == "shape bias":
        judged = judge(dict(ranked), 0.5)
        texture, shape = (
            [block for block, one in ranked if judged[block].shown is not False and sign * (one.mean - 0.5) > 0]
            for sign in (-1, 1)
        )
        verdicts = [f"Shape wins in {', '.join(shape)}."] if shape else []
        if texture:
            verdicts.append(f"Texture wins in {', '.join(texture)}.")
        open_ = [block for block, _ in ranked if judged[block].shown is False]
        if open_:
            verdicts.append(f"Not shown to favour either ({found.seeds} seeds): {', '.join(open_)}.")
        said = f"Where shape and texture disagree, of the answers that name either the shape gets: {listed(_percent)}."
        return [" ".join([said, *verdicts])]
    if headline.name == "BG-gap":
        gaps = judge(dict(ranked))
        shown = [f"{block} {_points(one.estimate)}" for block, one in gaps.items() if one.shown is not False]
        none = [_seen(f"{block} {_points(one.estimate)}", one) for block, one in gaps.items() if one.shown is False]
        tail = f" Not shown to have a gap ({found.seeds} seeds): {_joined(_ends(none))}." if none else ""
        costs = _joined(_ends(shown)) or "nothing that is shown"
        return [f"Another class's background instead of the own costs: {costs}.{tail}"]
    below = [block for block, one in judge(dict(ranked), 1.0).items() if one.shown and one.estimate.mean < 1]
    tail = f" Less than an even spread: {', '.join(below)}." if below else ""
    if headline.name == "map on object":
        return [f"The native map has on the object, as a multiple of an even spread: {listed(_times)}.{tail}"]
    return [f"Grad-CAM has on the object, as a multiple of an even spread: {listed(_times)}.{tail}"]


def _counter(rows: Sequence[Row], found: SetUp, backbone: str) -> list[str]:
    """What augmentation changed, where a block was trained both ways."""
    plain, out = SetUp(rows, backbone, False), []
    for headline in HEADLINES:
        if headline.before is None or headline.name not in ("8 px off", "half size"):
            continue
        words = []
        before = plain.lost(headline.before, headline.key)
        for block, now in found.lost(headline.before, headline.key).items():
            if block in before:
                lost = round(now.estimate.mean * 100), round(before[block].estimate.mean * 100)
                words.append(f"{block} {lost[0]} instead of {lost[1]}")
        if words:
            where = headline.name
            out.append(
                f"Trained with shifts and sizes, models lose in points (below 0: gain), {where}: {_joined(words)}."
            )
    return out


def _seen(said: str, one: Verdict) -> str:
    """What is said of a block, and from which difference on a test would have shown it, if seeds differ at all."""
    if not one.least:
        return said
    if one.least > one.estimate.within.high:
        return f"{said}, none could be seen"
    points = one.least * 100
    return f"{said}, seen from {points:.{0 if points >= 9.95 else 1}f} points"


def _ends(words: Sequence[str]) -> Sequence[str]:
    """The first and last three of many."""
    return words if len(words) <= 7 else [*words[:3], f"{len(words) - 6} in between", *words[-3:]]


def _joined(words: Sequence[str]) -> str:
    return "; ".join(words)


def _interval(one: Estimate, digits: int, factor: float = 100) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" ({one.low * factor:.{digits}f} to {one.high * factor:.{digits}f})"


def _percent(one: Estimate) -> str:
    return f"{one.mean * 100:.0f} %{_interval(one, 0)}"


def _points(one: Estimate) -> str:
    digits = 0 if abs(one.mean) >= 0.0995 else 1
    return f"{one.mean * 100:.{digits}f} points{_interval(one, digits)}"


def _loses(block: str, change: Estimate) -> str:
    if change.mean >= 0:
        return f"{block} loses {_points(change)}"
    low, high = (None if end is None else -end for end in (change.high, change.low))
    return f"{block} gains {_points(replace(change, mean=-change.mean, low=low, high=high))}"


def _times(one: Estimate) -> str:
    return f"{one.mean:.2f}{_interval(one, 2, 1)}"


def lines(rows: Sequence[Row]) -> list[str]:
    """The short table in the terminal, a part for each set-up, with its findings."""
    out: list[str] = []
    set_ups = dict.fromkeys((row.backbone, row.augmented) for row in rows)
    for backbone, augmented in set_ups:
        found = SetUp(rows, backbone, augmented)
        out += [f"{backbone}{', trained with shifts and sizes' if augmented else ''}", ""]
        out += _columns(found)
        out += ["", *(f"- {sentence}" for sentence in findings(rows, backbone, augmented)), ""]
    if out:
        out.append(
            "Accuracy and shape bias in %, BG-gap in points, maps as a multiple of an even spread. "
            "In brackets the 95 % interval over seeds. ~ marks what is not shown to differ from the control none "
            "(t tests paired by seed, Holm's correction for the blocks of a column), . what there is not."
        )
    return out


def cell(one: Estimate, headline: Headline) -> str:
    """A number of the short table with its interval."""
    factor, digits = (100, 1 if headline.name == "BG-gap" else 0) if headline.percent else (1, 2)
    return f"{one.mean * factor:.{digits}f}{_interval(one, digits, factor)}"


def _columns(found: SetUp) -> list[str]:
    heads = ["block", *(headline.name for headline in HEADLINES)]
    table = [heads]
    judged = {headline.name: found.against_control(headline.key) for headline in HEADLINES}
    for block in found.blocks:
        cells = [block]
        for headline in HEADLINES:
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
