"""What a probe gives."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from explorer.drawn import Drawn
from explorer.errors import ParameterError
from explorer.figures.looks import colours_of
from explorer.figures.saving import FIGURES
from explorer.writing import write

#: Which way a score is better; "none" where more is neither.
Better = Literal["higher", "lower", "none"]

#: Units that rows have in plain letters.
_WRITTEN = {"R2": "R²"}


@dataclass(frozen=True)
class Score:
    """One number that stands for a probe's rows of one model.

    Attributes:
        model: text form of the model, or the name of a block.
        measure: what was measured, in the field's term.
        value: the number.
        unit: of the number; shares have "share".
        low: lower end of the 95 % interval, or None where there is none.
        high: upper end of it.
        n: what the interval is over: images, pairs, ...; 1 for what is exact.
        better: which way is better.
        interval: how the interval was had ("Wilson", "Student's t over images"), or "".
    """

    model: str
    measure: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: int = 1
    better: Better = "none"
    interval: str = ""

    @property
    def unit_in_words(self) -> str:
        """The unit as the field writes it, where rows have it in plain letters."""
        return _WRITTEN.get(self.unit, self.unit)


@dataclass(frozen=True, eq=False)
class ProbeResult(Drawn):
    """What a probe measured of some models; of a probe that still runs, what it has measured so far.

    Attributes:
        probe: name in PROBES.
        bias: which spatial inductive bias it is about.
        rows: tidy records: model, weights, stimuli, measure, value, unit, n, low, high, interval (how it was had), and
            the probe's own conditions.
        summary: "MODEL: MEASURE" -> the number that stands for its rows.
        notes: what has to be said beside it: models that it cannot serve and why, conditions that were left out.
        models: text form of every model asked for, in order.
        parameters: the probe's parameters as used.
        stimuli: model -> what it was shown, border policy included.
        mode: "paper" (the protocol's fixed sizes) or "model" (the model's own crop, interpolation, mean and std).
        seed: of every random choice.
        device: where it ran.
        dtype: of the forward passes.
        versions: package -> version.
        share: how much of the work is done, 0 to 1.
        input_sizes: model -> (height, width) of its input, px.
        origin: where its rows are from, in a sentence, where they were not measured just now; else "".
    """

    drawn_by: ClassVar[str] = "probes.show:sheet"

    probe: str
    bias: str
    rows: list[dict[str, Any]]
    summary: Mapping[str, Score]
    notes: tuple[str, ...]
    models: tuple[str, ...]
    parameters: Mapping[str, Any]
    stimuli: Mapping[str, str]
    mode: str
    seed: int
    device: str
    dtype: str
    versions: Mapping[str, str]
    share: float = 1.0
    input_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    origin: str = ""

    def __repr__(self) -> str:
        done = "" if self.share == 1 else f", {self.share:.0%} done"
        return f"ProbeResult({self.probe} of {', '.join(self.models)}: {len(self.rows)} rows{done})"

    @property
    def colours(self) -> tuple[str, ...]:
        """The colour of each model."""
        return colours_of(self.models)

    def of(self, model: str, **conditions: Any) -> list[dict[str, Any]]:
        """The rows of one model that have these values, in order."""
        return [
            row
            for row in self.rows
            if row["model"] == model and all(row.get(name) == value for name, value in conditions.items())
        ]

    def record(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        out = {one.name: getattr(self, one.name) for one in fields(self)}
        out["summary"] = {name: asdict(score) for name, score in self.summary.items()}
        return {
            name: dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            for name, value in out.items()
        }

    def save(self, path: str | Path) -> Path:
        """Write it to ``path``: .json, everything; .csv, the rows; .png, .svg or .html, its figure.

        Raises ParameterError for another ending.
        """
        path = Path(path)
        if path.suffix not in (".json", ".csv"):
            if path.suffix.lower() not in FIGURES:
                endings = ", ".join(FIGURES)
                raise ParameterError(
                    f"a probe's result is written as .json or .csv, its figure as {endings}; got '{path.name}'"
                )
            return super().save(path)
        if path.suffix == ".json":
            return write(path, json.dumps(self.record(), ensure_ascii=False, allow_nan=False, indent=1))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self.rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        return write(path, text.getvalue())
