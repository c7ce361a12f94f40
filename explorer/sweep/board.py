"""The board of a sweep: models x measures with their intervals, as a page, as tables, as a data set."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError, ParameterError
from explorer.figures.looks import colours_of, names_of
from explorer.images import samples
from explorer.lab.table import packed
from explorer.probes import PROBES
from explorer.probes.charting import in_words
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import scenes
from explorer.registry import differing, question
from explorer.scenes import Scene
from explorer.sweep.summary import Sweep, failures
from explorer.transforms import Transform
from explorer.view import View
from explorer.view.forms import link

#: Where the explorer's page is, for links to views.
PAGE = "http://127.0.0.1:7860/"
#: Columns of the board as a table.
COLUMNS = (
    *("model", "weights", "data", "probe", "parameters", "measure", "value", "low", "high", "unit", "n", "interval"),
    "better",
)
#: The largest shift of a view that a link shows, px of a scene: objects stay in the frame.
_SHIFT = 8


@dataclass(frozen=True)
class BoardColumn:
    """A measure of the board: one score of one probe on one set.

    Attributes:
        id: tells it from others.
        data: the set.
        probe: name in PROBES.
        parameters: those that are not as usual, in words.
        measure: what was measured.
        unit: of the number.
        better: which way is better.
        headline: whether it stands for its probe.
        question: that the probe answers.
    """

    id: str
    data: str
    probe: str
    parameters: str
    measure: str
    unit: str
    better: str
    headline: bool
    question: str


@dataclass
class Board:
    """Models x measures.

    Attributes:
        name: of the sweep's folder.
        models: name -> what its weights are.
        columns: measures, in the order of the plan.
        scores: (model, id of a column) -> the number.
        links: (model, id of a column) -> address of the view that shows it, where there is one.
        missing: (model, id of a column) -> why there is no number.
        parameters: id of a column -> every parameter of its probe, as JSON.
        notes: what has to be said.
        about: what it was measured with, in words.
        specs: name of a model -> its spec, "" of a person's own.
    """

    name: str
    models: dict[str, str] = field(default_factory=dict)
    columns: list[BoardColumn] = field(default_factory=list)
    scores: dict[tuple[str, str], Score] = field(default_factory=dict)
    links: dict[tuple[str, str], str] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)
    specs: Mapping[str, str] = field(default_factory=dict)

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each model, that of its block where it has one, as everywhere."""
        return dict(zip(self.models, colours_of([self.specs.get(name) or name for name in self.models])))

    @property
    def titles(self) -> dict[str, str]:
        """What people call each model: one of the laboratory as its block, unless the plan gave it a name."""
        return {name: str(names_of([name])[name]) if self.specs.get(name) == name else name for name in self.models}

    def rows(self) -> list[dict[str, Any]]:
        """The board as tidy records with `COLUMNS`, model by model."""
        return [
            {
                "model": model,
                "weights": weights,
                "data": one.data,
                "probe": one.probe,
                "parameters": self.parameters[one.id],
                "measure": one.measure,
                **{name: getattr(score, name) for name in ("value", "low", "high", "unit", "n", "interval", "better")},
            }
            for model, weights in self.models.items()
            for one in self.columns
            if (score := self.scores.get((model, one.id))) is not None
        ]

    def csv(self) -> str:
        """The rows as CSV."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(self.rows())
        return text.getvalue()

    def parquet(self) -> bytes:
        """The rows as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "n": pa.int64()}
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
        rows = self.rows()
        buffer = io.BytesIO()
        columns = {name: [row[name] for row in rows] for name in COLUMNS}
        pq.write_table(pa.Table.from_pydict(columns, schema=schema), buffer, compression="zstd")
        return buffer.getvalue()


def board(sweep: Sweep | str | Path, page: str = PAGE) -> Board:
    """Make the board of a sweep; units that are missing leave their cells empty, with the reason.

    Args:
        sweep: the sweep, or its folder.
        page: where the explorer's page is, for links to views.

    Raises ParameterError where the folder has no sweep, or nothing of it is done.
    """
    found = Sweep(sweep) if isinstance(sweep, (str, Path)) else sweep
    made = Board(Path(found.root).name, dict.fromkeys(found.plan["models"], ""))
    specs = {one["model"]: one["spec"] for one in found.units}
    made.specs = specs
    sets = {one["name"]: one for one in found.plan["data"]}
    for number, (data, result) in enumerate(found.by_set()):
        _add(made, number, result, data, specs, sets.get(data, {}), page)
    done, failed = len(found.done), found.failed
    if not made.scores:
        raise ParameterError(
            " ".join(
                [f"'{found.root}' has no number yet: {done} of {len(found.units)} units are done", *failures(failed)]
            )
        )
    # Each failure once, not for every probe and set that it left without a number.
    errors = tuple(str(one["error"]) for one in failed.values())
    made.notes = [*failures(failed), *(note for note in made.notes if not note.endswith(errors))]
    made.about = {
        "units": f"{done} of {len(found.units)} done, {len(failed)} failed",
        "data": ", ".join(sets),
        "seed": str(found.plan["seed"]),
        "computed": f"{found.plan['precision']} on {found.plan['device']}, batch {found.plan['batch']}, "
        f"threads {found.plan['threads']}",
        "versions": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
    }
    return made


def _add(
    made: Board,
    number: int,
    result: ProbeResult,
    data: str,
    specs: Mapping[str, str],
    about: Mapping[str, Any],
    page: str,
) -> None:
    """Add what one probe found on one set, of which the plan says what is ``about`` it."""
    kind = PROBES[result.probe]
    told = differing(kind, result.parameters)
    columns: dict[str, BoardColumn] = {}
    source, move = _shown(about), _move(result)
    for score in result.summary.values():
        if score.value is None or not math.isfinite(score.value):
            continue
        if score.measure not in columns:
            columns[score.measure] = BoardColumn(
                id=f"{number}.{len(columns)}",
                data=data,
                probe=result.probe,
                parameters=", ".join(f"{name} {in_words(value)}" for name, value in told.items()),
                measure=str(score.measure),
                unit=score.unit_in_words,
                better=score.better,
                headline=score.measure == kind.headline,
                question=question(kind),
            )
        one = columns[score.measure]
        made.scores[score.model, one.id] = score
        if spec := specs[score.model]:
            with suppress(ExplorerError):  # a link cannot say every model
                shown = View(models=(spec,), source=source, transform=move)
                made.links[score.model, one.id] = f"{page}#{link(shown)}&tab=compare"
    if columns and not any(one.headline for one in columns.values()):
        first = next(iter(columns))
        columns[first] = BoardColumn(**{**vars(columns[first]), "headline": True})
    made.columns += columns.values()
    made.parameters |= {one.id: packed(result.parameters) for one in columns.values()}
    for row in result.rows:
        made.models[row["model"]] = row["weights"]
    for model in result.models:
        said = next((str(note) for note in result.notes if note.startswith(f"{model}: ")), "")
        for one in columns.values():
            if (model, one.id) not in made.scores and said:
                made.missing[model, one.id] = said.partition(": ")[2]
    made.notes += [f"{result.probe}, {data}: {note}" for note in result.notes]


def _shown(data: Mapping[str, Any]) -> Scene | str:
    """A scene of a set, or a photograph that ships where the set is a folder of somebody's own."""
    return scenes(1, data.get("seed", 0))[0] if data.get("scenes") else next(iter(samples()))


def _move(result: ProbeResult) -> Transform:
    """A move as the probe makes it."""
    given = result.parameters
    if PROBES[result.probe].link == "shift" and "side" in given:
        return Transform(dx=min(_SHIFT, int(given["step"]) * (int(given["side"]) // 2)))
    if PROBES[result.probe].link == "zoom" and "smallest" in given:
        return Transform(zoom=max(0.5, float(given["smallest"])))
    return Transform(dx=_SHIFT) if PROBES[result.probe].bias == "translation" else Transform()


def cells_of(made: Board) -> dict[str, dict[str, Any]]:
    """model -> id of a column -> what the page's cell says."""
    out: dict[str, dict[str, Any]] = {model: {} for model in made.models}
    for (model, column), score in made.scores.items():
        values = {name: getattr(score, name) for name in ("value", "low", "high", "n", "interval")}
        out[model][column] = {**values, "link": made.links.get((model, column), "")}
    return out


def reasons_of(made: Board) -> dict[str, dict[str, str]]:
    """model -> id of a column -> why there is no number."""
    out: dict[str, dict[str, str]] = {}
    for (model, column), why in made.missing.items():
        out.setdefault(model, {})[column] = why
    return out
