"""What do single choices inside a block change? Each model of a series beside the same block as it usually is."""

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
        change: column -> the same minus the usual model's, paired by seed; empty for the usual one.
    """

    model: LabModel
    seeds: int
    accuracy: Mapping[str, Estimate]
    change: Mapping[str, Estimate]

    @property
    def name(self) -> str:
        """Its spec, with † where it has not learnt the task: right in distribution less often than `LEARNT`."""
        whole = next(iter(self.accuracy.values()))
        return str(self.model.spec()) + (" †" if whole.mean < LEARNT else "")


def members(rows: Index | Iterable[TableRow]) -> list[Member]:
    """Every block of `SERIES` as it usually is, and after it what was varied of it, where the table has them."""
    index = Index.of(rows)
    there = set(index.models)
    out = []
    for block, several in SERIES.items():
        usual = LabModel(block)
        varied = [LabModel(block, options=tuple(sorted(one.items()))) for one in several]
        plain = {name: _of(index, usual, key) for name, key in COLUMNS.items()}
        for model in (usual, *varied):
            if model not in there:
                continue
            values = {name: _of(index, model, key) for name, key in COLUMNS.items()}
            out.append(
                Member(
                    model,
                    index.seeds(model),
                    {name: interval(list(one.values()), SHARE) for name, one in values.items() if one},
                    {
                        name: difference(one, plain[name], SHARE)
                        for name, one in values.items()
                        if model.options and one and plain[name]
                    },
                )
            )
    return out


def _of(index: Index, model: LabModel, key: Key) -> dict[int, float]:
    return {row.seed: row.value for row in index.rows(model, key) if row.value is not None}


def about() -> str:
    """What the table shows."""
    return Message(
        "Accuracy in % over seeds, and after it the change in points against the same block as it usually is, paired "
        "by seed, with its 95 % interval. † marks models that are right on less than {percent} % in distribution: "
        "they have not learnt the task whole.",
        percent=LEARNT_PERCENT,
    )


def table(found: Sequence[Member]) -> list[tuple[str, int, list[str]]]:
    """(name, seeds, a text for each of COLUMNS) of each member."""
    return [(one.name, one.seeds, [_cell(one, name) for name in COLUMNS]) for one in found]


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


def lines(found: Sequence[Member]) -> list[str]:
    """The table to read in a terminal."""
    rows = [(name, str(seeds), *texts) for name, seeds, texts in table(found)]
    heads = (str(Message("model")), str(Message("seeds")), *map(str, COLUMNS))
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    return [
        str(about()),
        "",
        *("  ".join(one.ljust(width) for one, width in zip(row, widths)) for row in (heads, *rows)),
    ]


def markdown(found: Sequence[Member]) -> list[str]:
    """The table in Markdown, with what it shows before it."""
    out = [str(about()), "", f"| model | seeds | {' | '.join(COLUMNS)} |", "| --- " * (2 + len(COLUMNS)) + "|"]
    return [*out, *(f"| {name} | {seeds} | {' | '.join(texts)} |" for name, seeds, texts in table(found))]


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
