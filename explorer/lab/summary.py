"""The laboratory's table over seeds: means, intervals, and the comparison with the control.

A model's *set-up* is what it was trained on; within a set-up only the block differs, and the block `none` is the
control. Intervals are over seeds: they say how far training the same model again moves a
number. They do not cover the choice of scenes, which all models and seeds share; n says how many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from explorer.lab.intervals import Verdict, difference, judge
from explorer.lab.networks import LabModel
from explorer.lab.table import TableRow, load_table, measured_models
from explorer.models.spec import ModelSpec
from explorer.probes.faithfulness import ABOVE, GAIN
from explorer.statistics import ANY, CHANGE, COSINE, POSITIVE, R2, SHARE, Estimate, Range, interval

#: The block that mixes nothing, to which every other is compared.
CONTROL = "none"
#: Between which values the numbers of a unit can lie; others are not negative.
_WITHIN = {
    "share": SHARE,
    "probability": SHARE,
    "cosine": COSINE,
    "difference of shares": CHANGE,
    "R2": R2,
    "logit": ANY,
    "of the object's way": ANY,
}
#: Measures whose unit does not tell it.
_DIFFERENCES = ("change of p", GAIN, ABOVE)
_CORRELATION = "rank correlation"


class Key(NamedTuple):
    """What a number measures: the rows of a probe and a measure that have these parameters and conditions."""

    probe: str
    measure: str
    where: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, probe: str, measure: str, **where: Any) -> Key:
        """Put one together from conditions."""
        return cls(probe, measure, tuple(where.items()))

    def fits(self, row: TableRow) -> bool:
        """Whether a row of the probe and measure has them."""
        where = row.where
        return all(name in where and where[name] == value for name, value in self.where)


def within(measure: str, unit: str) -> Range:
    """Between which values the numbers of a measure can lie."""
    if measure in _DIFFERENCES:
        return CHANGE
    return COSINE if measure.startswith(_CORRELATION) else _WITHIN.get(unit, POSITIVE)


class Index:
    """A table's rows by model, probe and measure: how everything that is said of the table finds its rows."""

    def __init__(self, rows: Iterable[TableRow]) -> None:
        self._rows: dict[LabModel, dict[tuple[str, str], list[TableRow]]] = {}
        self._seeds: dict[LabModel, set[int]] = defaultdict(set)
        for row in rows:
            self._rows.setdefault(row.lab, defaultdict(list))[row.probe, row.measure].append(row)
            self._seeds[row.lab].add(row.seed)

    @classmethod
    def of(cls, rows: Index | Iterable[TableRow]) -> Index:
        """The index of a table; one that there is already is taken as it is."""
        return rows if isinstance(rows, Index) else cls(rows)

    @property
    def models(self) -> list[LabModel]:
        """The models that were measured, in the table's order."""
        return list(self._rows)

    def seeds(self, model: LabModel) -> int:
        """The number of a model's seeds."""
        return len(self._seeds[model])

    def rows(self, model: LabModel, key: Key) -> list[TableRow]:
        """The rows of a model that a key fits, of all seeds, without those whose measurement is no number."""
        return [row for row in self.named(model, key) if row.value is not None and key.fits(row)]

    def by_seed(self, model: LabModel, key: Key) -> dict[int, TableRow]:
        """A model's row a seed; empty where it was not measured.

        Raises LookupError for a key that two rows of a seed have: it leaves a condition open.
        """
        found: dict[int, TableRow] = {}
        for row in self.rows(model, key):
            if row.seed in found:
                raise LookupError(f"{key} is {found[row.seed].conditions} and {row.conditions} of {row.model}")
            found[row.seed] = row
        return found

    def named(self, model: LabModel, key: Key) -> Sequence[TableRow]:
        """The rows of a model that have a key's probe and measure, under whatever conditions."""
        return self._rows.get(model, {}).get((key.probe, key.measure), ())


class SetUp:
    """The values of one set-up by block, key and seed.

    Args:
        rows: a table or its index, of which the models of other set-ups are passed over.
        name: of the set-up: "centred", "aug", "cue" or "detect"; see `set_up_of`.
    """

    def __init__(self, rows: Index | Iterable[TableRow], name: str) -> None:
        self.name = name
        self._index = Index.of(rows)
        self._models = {one.block: one for one in self._index.models if set_up_of(one) == name}

    @property
    def blocks(self) -> list[str]:
        """The blocks that were measured."""
        return list(self._models)

    @property
    def seeds(self) -> int:
        """The number of seeds that every block has."""
        return min((self._index.seeds(one) for one in self._models.values()), default=0)

    def rows(self, block: str, key: Key) -> dict[int, TableRow]:
        """A block's row a seed; empty where it was not measured.

        Raises LookupError for a key that two rows of a model have: it leaves a condition open.
        """
        return self._index.by_seed(self._models[block], key) if block in self._models else {}

    def of(self, block: str, key: Key) -> dict[int, float]:
        """A block's value a seed."""
        return {seed: row.value for seed, row in self.rows(block, key).items() if row.value is not None}

    def places(self, key: Key, condition: str) -> list[Any]:
        """The values of a condition that the rows of a key have, whatever the block, in ascending order."""
        return sorted({row.where[condition] for row in self._every(key) if condition in row.where and key.fits(row)})

    def mean(self, block: str, key: Key) -> Estimate | None:
        """A block's mean and interval."""
        values = self.of(block, key)
        return interval(list(values.values()), self._within(key)) if values else None

    def lost(self, before: Key, after: Key) -> dict[str, Verdict]:
        """Block -> how much it loses between two conditions, paired by seed, and whether that is shown."""
        found = {block: (self.of(block, before), self.of(block, after)) for block in self.blocks}
        range_ = self._within(after)
        return judge({block: difference(*both, range_) for block, both in found.items() if all(both)})

    def against_control(self, key: Key) -> dict[str, Verdict]:
        """Block -> its value minus the control's, and whether they are shown to differ."""
        control, range_ = self.of(CONTROL, key), self._within(key)
        found = {block: self.of(block, key) for block in self.blocks if control and block != CONTROL}
        return judge({block: difference(values, control, range_) for block, values in found.items() if values})

    def _every(self, key: Key) -> Iterator[TableRow]:
        for one in self._models.values():
            yield from self._index.named(one, key)

    def _within(self, key: Key) -> Range:
        return next((within(row.measure, row.unit) for row in self._every(key)), SHARE)


def set_ups(rows: Iterable[TableRow]) -> list[str]:
    """Every set-up of a table, in order."""
    return list(dict.fromkeys(found for row in rows if (found := set_up_of(row.lab))))


def set_up_of(model: LabModel) -> str:
    """The set-up of a model: what it was trained on, "detect" where it finds objects; "" for one of a series."""
    if model.options:
        return ""
    return "detect" if model.backbone == "detect" else model.training


@lru_cache(maxsize=1)
def shipped_index() -> Index:
    """The index of the table that ships."""
    return Index(load_table())


@lru_cache(maxsize=8)
def shipped(name: str) -> SetUp:
    """A set-up of the table that ships."""
    return SetUp(shipped_index(), name)


@lru_cache(maxsize=1)
def shipped_blocks() -> Mapping[str, tuple[str, ...]]:
    """Set-up -> blocks of the table that ships, both in its order; its rows are not read for it."""
    found: dict[str, dict[str, None]] = {}
    for text in measured_models():
        model = LabModel.of(ModelSpec.parse(text))
        if set_up := set_up_of(model):
            found.setdefault(set_up, {})[model.block] = None
    return {set_up: tuple(blocks) for set_up, blocks in found.items()}


# ---- every measurement ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """One measurement of one block in one set-up, over its seeds.

    Attributes:
        block: name of the block.
        set_up: see `set_up_of`.
        probe: as parameters, scenes, conditions, measure and unit: see `TableRow`.
        mean: over seeds.
        low: as high: ends of the 95 % interval; None with one seed.
        seeds: how many.
        n: images, or answers that count, of all seeds together.
        difference: mean minus that of the control, with the ends of its interval, paired by seed where seeds match;
            None for the control itself and where there is none.
        p: of the t test of that difference, corrected after Holm for the blocks of the set-up; None where there
            is none.
        shown_to_differ: whether p is at most 0.05; None where there is none.
        least: the smallest difference that would have been shown; see `Verdict`.
    """

    block: str
    set_up: str
    probe: str
    parameters: str
    scenes: str
    conditions: str
    measure: str
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


class _Measured(NamedTuple):
    """What the blocks of a set-up are compared in."""

    set_up: str
    probe: str
    parameters: str
    scenes: str
    conditions: str
    measure: str
    unit: str


def summary(rows: Iterable[TableRow]) -> list[Summary]:
    """Mean, interval and comparison with the control of every measurement, in the order of the rows."""
    groups: dict[_Measured, dict[str, dict[int, TableRow]]] = defaultdict(lambda: defaultdict(dict))
    order: dict[tuple[str, _Measured], None] = {}
    for row in rows:
        if row.value is not None and (set_up := set_up_of(row.lab)):
            what = (row.probe, row.parameters, row.scenes, row.conditions, row.measure, row.unit)
            measured = _Measured(set_up, *what)
            groups[measured][row.lab.block][row.seed] = row
            order[row.lab.block, measured] = None
    verdicts: dict[tuple[str, _Measured], Verdict] = {}
    for measured, blocks in groups.items():
        range_ = within(measured.measure, measured.unit)
        values = {block: {seed: row.value or 0.0 for seed, row in seeds.items()} for block, seeds in blocks.items()}
        control = values.pop(CONTROL, None)
        if control is not None:
            judged = judge({block: difference(own, control, range_) for block, own in values.items()})
            verdicts |= {(block, measured): verdict for block, verdict in judged.items()}
    out = []
    for block, measured in order:
        seeds = groups[measured][block]
        found = interval([row.value for row in seeds.values()], within(measured.measure, measured.unit))
        n = sum(row.n for row in seeds.values())
        beside: tuple[Any, ...] = ()
        if (verdict := verdicts.get((block, measured))) is not None:
            gap = verdict.estimate
            beside = (gap.mean, gap.low, gap.high, verdict.p, verdict.shown, verdict.least)
        out.append(Summary(block, *measured, found.mean, found.low, found.high, found.n, n, *beside))
    return out
