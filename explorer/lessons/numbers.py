"""Numbers in a lesson's texts: read from the laboratory's table when the lesson is said, never typed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from explorer.lab.findings import in_percent, in_points, in_times
from explorer.lab.intervals import difference
from explorer.lab.networks import LabModel
from explorer.lab.summary import Index, Key, within
from explorer.lab.table import load_few
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.statistics import CHANGE, SHARE, Estimate, interval


@dataclass(frozen=True)
class TableNumber:
    """A number of the table that ships: a mean over a model's seeds, or a difference of two, paired by seed.

    Attributes:
        key: what was measured.
        model: of which model of the laboratory, ``lab/mhsa``.
        minus: the model whose number is taken from it, or "".
    """

    key: Key
    model: str
    minus: str = ""

    @property
    def estimate(self) -> Estimate | None:
        """Its mean with the 95 % interval over seeds; None where the table does not have it."""
        return _estimate(self)

    @property
    def said(self) -> str:
        """Its mean and interval in words, with its unit."""
        found = self.estimate
        if found is None:
            return Message("(not measured yet)")
        if found.within == SHARE:
            return in_percent(found)
        return in_points(found) if found.within == CHANGE else in_times(found)


@lru_cache(maxsize=256)
def _estimate(number: TableNumber) -> Estimate | None:
    index = Index(load_few([number.key]))
    own, other = (_by_seed(index, text, number.key) for text in (number.model, number.minus))
    if not own or (number.minus and not other):
        return None
    ((measure, unit),) = {(row.measure, row.unit) for row in index.rows(_model(number.model), number.key)}
    limits = within(measure, unit)
    return difference(own, other, limits) if number.minus else interval(list(own.values()), limits)


def _model(text: str) -> LabModel:
    return LabModel.of(ModelSpec.parse(text))


def _by_seed(index: Index, text: str, key: Key) -> dict[int, float]:
    if not text:
        return {}
    return {seed: row.value for seed, row in index.by_seed(_model(text), key).items() if row.value is not None}
