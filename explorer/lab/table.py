"""The laboratory's table: one row a measurement, intervals over seeds, and what the numbers say in words.

Plain numbers: neither torch nor a plotting library is needed to read the table or to draw it.

A model's *set-up* is its backbone and whether it was trained with augmentation; within a set-up only the block differs,
and the block `none` is the control. Intervals are over seeds: they say how far training the same model again moves a
number. They do not cover the choice of pictures, which all models and seeds share; n says how many there are.
"""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from explorer.errors import ParameterError
from explorer.resources import asset
from explorer.statistics import student
from explorer.writing import make_folder, write

#: The block that mixes nothing, to which every other is compared.
CONTROL = "none"
#: Accuracy of guessing: one class of twelve.
CHANCE = 1 / 12
#: What the numbers of a measure are. All but the mass ratio are shares, 0 to 1, or differences of shares.
MEASURES: Mapping[str, str] = {
    "accuracy": "share of right answers",
    "accuracy among arrangements": "share of right answers where only the four arrangements may be answered",
    "shape bias": "shape answers / (shape + texture answers); n is their number",
    "shape answers": "share of answers that name the shape's class",
    "texture answers": "share of answers that name the texture's class",
    "BG-gap": "accuracy with backgrounds of the own class minus accuracy with those of others",
    "mass ratio": "share of the map's mass on the object over the object's share of the frame; 1: no preference",
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
    types = {"str": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema(
        [pa.field(one.name, types[str(one.type).partition(" |")[0]]) for one in fields(Row)],
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


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval, which one seed does not have."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def includes_zero(self) -> bool | None:
        """Whether 0 lies in the interval, ends included; None without an interval."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of one value a seed: mean +- t(0.975, n - 1) s / sqrt(n) (Student 1908)."""
    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return Estimate(mean, None, None, count)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = student(count - 1) * deviation / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half, count)


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate:
    """First minus second, each a value a seed: paired where two or more seeds match, else of two samples.

    Of two samples the interval is Welch's (1947), its degrees of freedom rounded down.
    """
    both = [seed for seed in first if seed in second]
    if len(both) >= 2:
        return estimate([first[seed] - second[seed] for seed in both])
    one, other = estimate(list(first.values())), estimate(list(second.values()))
    mean, seeds = one.mean - other.mean, min(one.seeds, other.seeds)
    if seeds < 2:
        return Estimate(mean, None, None, seeds)
    squares = [_variance_of_mean(list(values.values())) for values in (first, second)]
    total = sum(squares)
    if total == 0:
        return Estimate(mean, mean, mean, seeds)
    freedom = total**2 / (squares[0] ** 2 / (one.seeds - 1) + squares[1] ** 2 / (other.seeds - 1))
    half = student(max(1, int(freedom))) * math.sqrt(total)
    return Estimate(mean, mean - half, mean + half, seeds)


def _variance_of_mean(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)


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
        distinguishable: whether that interval leaves out 0; None where there is none.
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
    distinguishable: bool | None = None


def summary(rows: Iterable[Row]) -> list[Summary]:
    """Mean, interval and comparison with the control of every measurement, in the order of the rows."""
    groups: dict[tuple[str, bool, str, Key], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        groups[row.backbone, row.augmented, row.block, key_of(row)][row.seed] = row
    out = []
    for (backbone, augmented, block, key), seeds in groups.items():
        values = {seed: row.value for seed, row in seeds.items()}
        found, unit = estimate(list(values.values())), next(iter(seeds.values())).unit
        beside: tuple[Any, ...] = ()
        control = groups.get((backbone, augmented, CONTROL, key))
        if control is not None and block != CONTROL:
            gap = difference(values, {seed: row.value for seed, row in control.items()})
            distinguishable = None if gap.includes_zero is None else not gap.includes_zero
            beside = (gap.mean, gap.low, gap.high, distinguishable)
        n = sum(row.n for row in seeds.values())
        out.append(
            Summary(block, backbone, augmented, *key, unit, found.mean, found.low, found.high, found.seeds, n, *beside)
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
        return estimate(list(values.values())) if values else None

    def lost(self, block: str, before: Key, after: Key) -> Estimate | None:
        """How much a block loses between two conditions, paired by seed."""
        first, second = self.of(block, before), self.of(block, after)
        return difference(first, second) if first and second else None

    def against_control(self, block: str, key: Key) -> Estimate | None:
        """A block's value minus the control's."""
        first, second = self.of(block, key), self.of(CONTROL, key)
        return difference(first, second) if first and second and block != CONTROL else None


def _is_native(key: Key) -> bool:
    return key[0] == "maps" and key[2].startswith("native ") and key[3] is None


def findings(rows: Sequence[Row], backbone: str = "metaformer", augmented: bool = False) -> list[str]:
    """What do the numbers of one set-up say? Sentences made from the numbers, whatever they are."""
    found = SetUp(rows, backbone, augmented)
    if not found.blocks:
        return []
    several = found.seeds > 1
    out = [
        f"{len(found.blocks)} blocks, {found.seeds} seeds or more each; in brackets the 95 % interval over seeds."
        if several
        else "Some blocks have one seed only: a difference from theirs may be chance, and no interval is given."
    ]
    first, *rest = HEADLINES
    ranked = _ranked(found, first.key)
    if ranked:
        same = _like_control(found, first.key)
        listed = [f"{block} {_percent(one)}" for block, one in ranked if block not in same]
        tail = [f"{block} {one.mean * 100:.0f} %" for block, one in ranked if block in same]
        out.append(
            f"In distribution: {_joined(listed)}; chance is 8 %."
            + (f" Indistinguishable from the control {CONTROL}: {_joined(tail)}." if tail else "")
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
    for block in found.blocks:
        change, left = found.lost(block, headline.before, headline.key), found.mean(block, headline.key)
        if change is not None and left is not None:
            lost.append((block, change, left))
    if not lost:
        return []
    lost.sort(key=lambda one: -one[1].mean)
    # Without an interval every loss is told; with one, those that seeds alone would not make.
    told = [one for one in lost if not one[1].includes_zero]
    words = [f"{block} {_loses(change)}, {left.mean * 100:.0f} % left" for block, change, left in told]
    same = [f"{block} ({left.mean * 100:.0f} %)" for block, change, left in lost if change.includes_zero]
    tail = f" No change beyond the chance of seeds: {_joined(same)}." if same else ""
    return [f"{_WHEN[headline.name]} {'; '.join(_ends(words)) or 'no block is known to lose'}.{tail}"]


def _level(found: SetUp, headline: Headline) -> list[str]:
    ranked = _ranked(found, headline.key)
    if not ranked:
        return []

    def listed(words: Callable[[Estimate], str]) -> str:
        return _joined(_ends([f"{block} {words(one)}" for block, one in ranked]))

    if headline.name == "shape bias":
        texture = [block for block, one in ranked if (one.mean if one.high is None else one.high) < 0.5]
        shape = [block for block, one in ranked if (one.mean if one.low is None else one.low) > 0.5]
        verdicts = [
            f"{words} {_joined(blocks)}."
            for words, blocks in (("Shape wins in", shape), ("Texture wins in", texture))
            if blocks
        ]
        said = f"Where shape and texture disagree, of the answers that name either the shape gets: {listed(_percent)}."
        return [" ".join([said, *verdicts])]
    if headline.name == "BG-gap":
        none = [block for block, one in ranked if one.includes_zero]
        tail = f" No gap beyond the chance of seeds: {_joined(none)}." if none else ""
        return [f"Another class's background instead of the own costs: {listed(_points)}.{tail}"]
    what = "The native map" if headline.name == "map on object" else "Grad-CAM"
    below = [block for block, one in ranked if one.high is not None and one.high < 1]
    tail = f" Less than an even spread: {_joined(below)}." if below else ""
    return [f"{what} has on the object, as a multiple of an even spread: {listed(_times)}.{tail}"]


def _counter(rows: Sequence[Row], found: SetUp, backbone: str) -> list[str]:
    """What augmentation changed, where a block was trained both ways."""
    plain, out = SetUp(rows, backbone, False), []
    for headline in HEADLINES:
        if headline.before is None or headline.name not in ("8 px off", "half size"):
            continue
        words = []
        for block in found.blocks:
            now = found.lost(block, headline.before, headline.key)
            before = plain.lost(block, headline.before, headline.key) if block in plain.blocks else None
            if now is not None and before is not None:
                words.append(f"{block} {round(now.mean * 100)} instead of {round(before.mean * 100)}")
        if words:
            when = _WHEN[headline.name]
            out.append(f"{when}, models trained with shifts and sizes lose, in points: {_joined(words)}.")
    return out


def _like_control(found: SetUp, key: Key) -> list[str]:
    """The blocks whose difference from the control may be none."""
    return [
        block for block in found.blocks if (gap := found.against_control(block, key)) is not None and gap.includes_zero
    ]


def _ends(words: Sequence[str]) -> Sequence[str]:
    """The first and last three of many."""
    return words if len(words) <= 6 else [*words[:3], "...", *words[-3:]]


def _joined(words: Sequence[str]) -> str:
    return ", ".join(words)


def _interval(one: Estimate, digits: int, factor: float = 100) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" ({one.low * factor:.{digits}f} to {one.high * factor:.{digits}f})"


def _percent(one: Estimate) -> str:
    if one.low is not None and one.high is not None:  # a share has no value beyond 0 and 100 %
        one = replace(one, low=max(0.0, one.low), high=min(1.0, one.high))
    return f"{one.mean * 100:.0f} %{_interval(one, 0)}"


def _points(one: Estimate) -> str:
    digits = 0 if abs(one.mean) >= 0.0995 else 1
    return f"{one.mean * 100:.{digits}f} points{_interval(one, digits)}"


def _loses(change: Estimate) -> str:
    if change.mean >= 0:
        return f"loses {_points(change)}"
    low, high = (None if end is None else -end for end in (change.high, change.low))
    return f"gains {_points(Estimate(-change.mean, low, high, change.seeds))}"


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
            "~ marks what is indistinguishable from the control none, . what there is not."
        )
    return out


def _columns(found: SetUp) -> list[str]:
    heads = ["block", *(headline.name for headline in HEADLINES)]
    table = [heads]
    for block in found.blocks:
        cells = [block]
        for headline in HEADLINES:
            one = found.mean(block, headline.key)
            if one is None:
                cells.append(".")
                continue
            factor, digits = (100, 1 if headline.name == "BG-gap" else 0) if headline.percent else (1, 2)
            half = "" if one.high is None else f"±{(one.high - one.mean) * factor:.{digits}f}"
            gap = found.against_control(block, headline.key)
            same = "~" if gap is not None and gap.includes_zero else ""
            cells.append(f"{same}{one.mean * factor:.{digits}f}{half}")
        table.append(cells)
    widths = [max(len(cells[index]) for cells in table) for index in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths))
        )
        for cells in table
    ]
