"""The laboratory's table: rows of probes, one a measurement of one model, in one Parquet file.

A row says what it takes to measure it again: `explorer.probe` with its probe, model, scenes and parameters gives the
same number, and `explorer.lab.experiment.again` puts these together.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import ParameterError
from explorer.lab.networks import LabModel
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.registry import parameters
from explorer.resources import asset
from explorer.writing import make_folder, write

if TYPE_CHECKING:
    import pyarrow as pa

#: The table's file.
FILE = "evaluation.parquet"
#: Raised whenever the same weights would give another table, or the table other columns.
PROTOCOL = 3


class OtherVersionError(ParameterError):
    """A table that another version of the laboratory wrote."""


@dataclass(frozen=True)
class TableRow:
    """One measurement of one model.

    Attributes:
        model: spec with its seed, as in lab/mhsa#1.
        weights: the beginning of a hash of its weights.
        probe: name in PROBES.
        parameters: of the probe, as JSON.
        scenes: what was shown, as JSON: the fields of `explorer.lab.experiment.ShownScenes`.
        conditions: of the row, as JSON: what the probe's rows have beside the columns here.
        measure: what was measured, as the probe calls it.
        unit: of the value; shares have "share".
        value: the measurement, to six digits after the point; None where it is no number.
        low: lower end of the 95 % interval over images, or None.
        high: upper end of it.
        interval: how it was had, or "".
        n: what the interval is over: images, answers that count, ...
    """

    model: str
    weights: str
    probe: str
    parameters: str
    scenes: str
    conditions: str
    measure: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    interval: str
    n: int

    @property
    def lab(self) -> LabModel:
        """Block, backbone and training of its model."""
        return _identity(self.model)[0]

    @property
    def seed(self) -> int:
        """Of the training run."""
        return _identity(self.model)[1]

    @property
    def where(self) -> Mapping[str, Any]:
        """Parameters and conditions together."""
        return {**unpacked(self.parameters), **unpacked(self.conditions)}


@lru_cache(maxsize=1024)
def _identity(text: str) -> tuple[LabModel, int]:
    spec = ModelSpec.parse(text)
    return LabModel.of(spec), spec.seed


def packed(values: Mapping[str, Any]) -> str:
    """Plain values as JSON, the same for the same values."""
    return json.dumps(dict(values), sort_keys=True, separators=(",", ":"), allow_nan=False)


@lru_cache(maxsize=65536)
def unpacked(text: str) -> Mapping[str, Any]:
    """What `packed` was given."""
    return json.loads(text)


def write_table(rows: Sequence[TableRow], folder: Path, about: Mapping[str, Any], kept: str = "") -> Path:
    """Write a table, whole or not at all; return its path.

    Args:
        rows: the table.
        folder: made where it is not there.
        about: how it was measured; stands in the file beside the rows.
        kept: what is not lost where it fails, a sentence for the error.

    Raises WriteError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema(
        [pa.field(name, types[one.kind]) for name, one in parameters(TableRow).items()],
        metadata={"about": packed(about)},
    )
    columns = {one.name: [getattr(row, one.name) for row in rows] for one in fields(TableRow)}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pydict(columns, schema=schema), buffer, compression="zstd")
    make_folder(folder)
    return write(folder / FILE, buffer.getvalue(), kept)


def read_table(file: Path, models: Sequence[str] | None = None) -> tuple[list[TableRow], dict[str, Any]]:
    """Read a table: its rows, and how it was measured.

    Args:
        file: the table.
        models: names of those whose rows are read, which takes a hundredth of the time; every row if None.

    Raises ParameterError where it is none, OtherVersionError where it is one of another version.
    """
    rows: list[TableRow] = []
    try:
        if file.suffix == ".json":  # what an older version wrote
            about = json.loads(file.read_text(encoding="utf-8"))["about"]
        else:
            import pyarrow.compute as pc

            table = _columns(file, file.stat().st_mtime_ns)
            about = json.loads(table.schema.metadata[b"about"])
            if models is not None:
                table = table.filter(pc.field("model").isin(list(models)))
            rows = _rows(table) if about["protocol"] == PROTOCOL else []
        protocol = about["protocol"]
        for row in rows[:: max(1, len(rows) // 100)]:  # read, to know that they can be
            LabModel.of(ModelSpec.parse(row.model))
            packed(row.where)
    except FileNotFoundError:
        raise ParameterError(
            Message("there is no table '{file}'; explorer lab evaluate writes one", file=file)
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(
            Message(
                "'{file}' is not a table of the laboratory ({error}); remove it and measure again",
                file=file,
                error=error,
            )
        ) from error
    if protocol != PROTOCOL:
        age = Message("an older") if isinstance(protocol, int) and protocol < PROTOCOL else "another"
        raise OtherVersionError(
            Message(
                "'{file}' is a table of {age} version of Attention Explorer (protocol {protocol}; this one reads "
                "{current}), whose numbers cannot be put beside today's; measure anew with explorer lab evaluate, "
                "which writes {table}",
                file=file,
                age=age,
                protocol=protocol,
                current=PROTOCOL,
                table=FILE,
            )
        )
    return rows, about


def _rows(table: Any) -> list[TableRow]:
    """The rows of an Arrow table: column by column, and each text once, which takes a third of the time."""
    columns = []
    for one in fields(TableRow):
        column = table[one.name].unify_dictionaries().combine_chunks()
        if one.type == "str":
            texts = column.dictionary.to_pylist()
            columns.append([texts[place] for place in column.indices.to_pylist()])
        else:
            columns.append(column.to_pylist())
    return [TableRow(*values) for values in zip(*columns)]


@lru_cache(maxsize=1)
def measured_models() -> tuple[str, ...]:
    """The models of the table that ships, in its order, from their column alone; empty where no table ships."""
    import pyarrow.parquet as pq

    file = asset("lab", FILE)
    return tuple(pq.read_table(file, columns=["model"])["model"].unique().to_pylist()) if file.is_file() else ()


@lru_cache(maxsize=1)
def _columns(file: Path, changed: int) -> pa.Table:  # noqa: ARG001 - a file that changed is another one
    """A table's columns, texts by number: 4 MB, of which a few rows are found in milliseconds."""
    import pyarrow.parquet as pq

    return pq.read_table(file, read_dictionary=[name for name, one in parameters(TableRow).items() if one.kind is str])


@lru_cache(maxsize=1)
def load_table() -> tuple[TableRow, ...]:
    """The table that ships; empty where none does."""
    file = asset("lab", FILE)
    return tuple(read_table(file)[0]) if file.is_file() else ()


def load_few(wanted: Iterable[tuple[str, str, tuple[tuple[str, Any], ...]]]) -> list[TableRow]:
    """A few rows of the table that ships, which takes a tenth of the time of `load_table`; none where none ships.

    Args:
        wanted: probe, measure and what parameters and conditions have to be, as `explorer.lab.summary.Key` has them.
    """
    file = asset("lab", FILE)
    if not file.is_file():
        return []
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = _columns(file, file.stat().st_mtime_ns)
    several: dict[tuple[str, str], list[tuple[tuple[str, Any], ...]]] = {}
    for probe, measure, where in wanted:
        several.setdefault((probe, measure), []).append(where)
    found = []
    for (probe, measure), choices in several.items():
        own = columns.filter((pc.field("probe") == probe) & (pc.field("measure") == measure))
        # Few texts stand for many rows: each is read once, and rows that have others never.
        kinds = own.group_by(["parameters", "conditions"]).aggregate([]).to_pylist()
        found += [
            own.filter((pc.field("parameters") == one["parameters"]) & (pc.field("conditions") == one["conditions"]))
            for one in kinds
            if any(_fits({**unpacked(one["parameters"]), **unpacked(one["conditions"])}, where) for where in choices)
        ]
    return _rows(pa.concat_tables(found)) if found else []


def _fits(values: Mapping[str, Any], where: Iterable[tuple[str, Any]]) -> bool:
    return all(name in values and values[name] == value for name, value in where)
