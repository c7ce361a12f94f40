"""What do single choices change? Models of series beside the usual ones, and a pyramid of the picture at test time.

A series varies what is trained; a pyramid of the picture at test time leaves the model as it is, and averages what it
says of the picture at half, at its own and at twice its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.lab.findings import LEARNT, LEARNT_PERCENT, WHOLE, shifted, zoomed
from explorer.lab.intervals import difference
from explorer.lab.networks import SERIES, LabModel
from explorer.lab.summary import Index, Key
from explorer.lab.table import TableRow
from explorer.messages import Message
from explorer.statistics import SHARE, Estimate, interval

#: What is compared, %: name -> accuracy under that condition.
COLUMNS: Mapping[str, Key] = {
    Message("in distribution"): WHOLE,
    Message("8 px off"): shifted(8),
    Message("half size"): zoomed(0.5),
    Message("1.5 x size"): zoomed(1.5),
}


@dataclass(frozen=True)
class Member:
    """One model of a series, or the usual one of its block.

    Attributes:
        model: which; without options the usual one.
        seeds: how many seeds of it were measured.
        accuracy: column -> mean over seeds with its 95 % interval.
        change: column -> the same minus that of what it is compared with, paired by seed; empty for a usual one.
    """

    model: LabModel
    seeds: int
    accuracy: Mapping[str, Estimate]
    change: Mapping[str, Estimate]

    @property
    def name(self) -> str:
        """Its spec, with † where it has not learnt the task: right in distribution less often than `LEARNT`."""
        whole = self.accuracy.get("in distribution")
        return str(self.model.spec()) + (" †" if whole is not None and whole.mean < LEARNT else "")


#: Sizes over the training size at which the pyramid is judged: name -> zoom.
SIZES: Mapping[str, float] = {
    Message("training size"): 1.0,
    Message("half size"): 0.5,
    Message("1.5 x size"): 1.5,
}


def members(rows: Index | Iterable[TableRow]) -> list[Member]:
    """Every block of `SERIES` as it usually is, and after it what was varied of it, where the table has them."""
    index = Index.of(rows)
    out = []
    for block, several in SERIES.items():
        varied = [LabModel(block, options=tuple(sorted(one.items()))) for one in several]
        plain = {name: _of(index, LabModel(block), key) for name, key in COLUMNS.items()}
        for model in (LabModel(block), *varied):
            values = {name: _of(index, model, key) for name, key in COLUMNS.items()}
            out += _member(model, values, plain if model.options else {})
    return out


def pyramids(rows: Index | Iterable[TableRow]) -> list[Member]:
    """The blocks that a pyramid of the picture was tried on, with it; the change is against the same weights without.

    Seeds whose weights do not ship were not measured with it.
    """
    index = Index.of(rows)
    out = []
    for model in index.models:
        with_, without = (
            {
                name: _of(index, model, Key.of("scale", "accuracy", zoom=zoom, remedy=one))
                for name, zoom in SIZES.items()
            }
            for one in ("pyramid", "none")
        )
        out += _member(model, with_, without)
    return out


def _member(
    model: LabModel, values: Mapping[str, Mapping[int, float]], plain: Mapping[str, Mapping[int, float]]
) -> list[Member]:
    """What there is to say of a model's values by column and seed; nothing where nothing was measured."""
    there = {name: one for name, one in values.items() if one}
    if not there:
        return []
    accuracy = {name: interval(list(one.values()), SHARE) for name, one in there.items()}
    change = {name: difference(one, plain[name], SHARE) for name, one in there.items() if plain.get(name)}
    return [Member(model, len(set().union(*there.values())), accuracy, change)]


def _of(index: Index, model: LabModel, key: Key) -> dict[int, float]:
    return {seed: row.value for seed, row in index.by_seed(model, key).items() if row.value is not None}


#: What each table shows.
ABOUT: Mapping[str, str] = {
    "series": Message(
        "Accuracy in % over seeds, and after it the change in points against the same block as it usually is, paired "
        "by seed, with its 95 % interval. † marks models that are right on less than {percent} % in distribution: "
        "they have not learnt the task whole.",
        percent=LEARNT_PERCENT,
    ),
    "pyramid": Message(
        "The same models with a pyramid of the picture at test time, the mean of what a model says of it at half, at "
        "its own and at twice its size: accuracy in %, and after it the change in points against the same weights "
        "without, with its 95 % interval."
    ),
}


def table(found: Sequence[Member]) -> list[tuple[str, int, list[str]]]:
    """(name, seeds, a text for each column) of each member."""
    return [(one.name, one.seeds, [_cell(one, name) for name in _columns(found)]) for one in found]


def _columns(found: Sequence[Member]) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one.accuracy))


def _cell(one: Member, name: str) -> str:
    if name not in one.accuracy:
        return "."
    accuracy = f"{100 * one.accuracy[name].mean:.1f}"
    change = one.change.get(name)
    if change is None:
        return accuracy
    if change.low is None or change.high is None:
        return f"{accuracy}; {100 * change.mean:+.1f}"
    return f"{accuracy}; {100 * change.mean:+.1f} ({100 * change.low:.1f} to {100 * change.high:.1f})"


def lines(name: str, found: Sequence[Member]) -> list[str]:
    """A table of `ABOUT` to read in a terminal, with what it shows before it."""
    rows = [(one, str(seeds), *texts) for one, seeds, texts in table(found)]
    heads = (str(Message("model")), str(Message("seeds")), *map(str, _columns(found)))
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    told = ("  ".join(one.ljust(width) for one, width in zip(row, widths)).rstrip() for row in (heads, *rows))
    return [str(ABOUT[name]), "", *told]


def markdown(name: str, found: Sequence[Member]) -> list[str]:
    """The same in Markdown."""
    heads = _columns(found)
    out = [str(ABOUT[name]), "", f"| model | seeds | {' | '.join(heads)} |", "| --- " * (2 + len(heads)) + "|"]
    return [*out, *(f"| {one} | {seeds} | {' | '.join(texts)} |" for one, seeds, texts in table(found))]


def record(found: Sequence[Member]) -> list[dict[str, Any]]:
    """The members as plain values."""

    def plain(one: Estimate) -> dict[str, Any]:
        return {"mean": one.mean, "low": one.low, "high": one.high, "seeds": one.n}

    return [
        {
            "model": str(one.model.spec()),
            "seeds": one.seeds,
            "accuracy": {str(name): plain(value) for name, value in one.accuracy.items()},
            "change": {str(name): plain(value) for name, value in one.change.items()},
        }
        for one in found
    ]
