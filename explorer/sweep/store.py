"""Where a sweep's rows lie: one Parquet file a unit, whole or not there, in a folder that is read as one table."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.errors import ParameterError
from explorer.lab.table import packed, unpacked
from explorer.messages import Message
from explorer.probes.rows import Items, Made, Row
from explorer.statistics import Range
from explorer.sweep.units import SCHEMA, Unit
from explorer.writing import make_folder, write

if TYPE_CHECKING:
    import pyarrow as pa

#: Files and folders of a sweep.
ROWS, FAILED, SWEEP, PROGRESS = "rows", "failed", "sweep.json", "progress.json"
#: Columns of a probe's rows that have columns of their own here; the rest are conditions.
_OWN = ("model", "weights", "stimuli", "measure", "value", "unit", "n", "low", "high", "interval")

#: Columns of the rows, in their order.
_COLUMNS = (
    *("schema", "key", "model", "weights", "fingerprint", "probe", "parameters", "data", "shard", "shards", "stimuli"),
    *("measure", "conditions", "unit", "value", "low", "high", "interval", "n"),
    *("items", "width", "by", "least", "most", "difference", "statistic"),
    *("seed", "batch", "threads", "precision", "device"),
)


class Store:
    """The files of one sweep.

    Args:
        root: its folder; made by `make`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def make(self) -> None:
        """Make the folders that are not there. Raises WriteError."""
        for name in (ROWS, FAILED):
            make_folder(self.root / name)

    def tidy(self) -> None:
        """Remove what a process that was killed left of files that it was about to write."""
        for folder in (self.root, self.root / ROWS, self.root / FAILED):
            for file in folder.glob(".explorer-*.part"):
                with contextlib.suppress(OSError):
                    file.unlink()

    # ---- rows ---------------------------------------------------------------------------------------------------

    def write_rows(self, unit: Unit, data: bytes) -> None:
        """Write a unit's rows as `encoded` gives them, whole or not at all. Raises WriteError."""
        write(self.file_of(unit.key), data, Message("Units that are done are kept; give the same command again"))
        with contextlib.suppress(OSError):
            (self.root / FAILED / f"{unit.key}.json").unlink(missing_ok=True)

    def file_of(self, key: str) -> Path:
        """Where a unit's rows are, or will be."""
        return self.root / ROWS / f"{key}.parquet"

    def has(self, key: str) -> bool:
        """Whether a unit is done: its file is there, whole, and of this version; any other file is as none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self.file_of(key)
        if not file.is_file():
            return False
        try:
            table = pq.read_table(io.BytesIO(file.read_bytes()), page_checksum_verification=True)
            about = json.loads(table.schema.metadata[b"unit"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return False
        return bool(about.get("key") == key and about.get("schema") == SCHEMA and about.get("rows") == len(table))

    def read_rows(self, key: str) -> tuple[list[Made], dict[str, Any]]:
        """A unit's rows, which know what they are made of, and what the file says of them."""
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(self.file_of(key).read_bytes()))
        about = json.loads(table.schema.metadata[b"unit"])
        return [_row_of(one) for one in table.to_pylist()], about

    # ---- what is kept beside them -------------------------------------------------------------------------------

    def write_note(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a small file of plain values. Raises WriteError."""
        write(self.root / name, json.dumps(values, ensure_ascii=False, indent=1) + "\n")

    def read_note(self, name: str) -> dict[str, Any] | None:
        """Read one; None where it is not there. Raises ParameterError for one that cannot be read."""
        file = self.root / name
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ParameterError(Message("'{file}' cannot be read: {error}", file=file, error=error)) from error
        return values if isinstance(values, dict) else None

    def sweep(self) -> dict[str, Any]:
        """What the folder's sweep is: its plan and units. Raises ParameterError where there is none."""
        found = self.read_note(SWEEP)
        if found is None:
            raise ParameterError(
                Message("'{root}' has no sweep; explorer sweep PLAN.yaml --out writes one", root=self.root)
            )
        if found.get("schema") != SCHEMA:
            raise ParameterError(
                Message(
                    "'{root}' has a sweep of another version (schema {found}; this one reads {schema}); sweep anew "
                    "into another folder",
                    root=self.root,
                    found=found.get("schema"),
                    schema=SCHEMA,
                )
            )
        return found

    def fail(self, unit: Unit, error: str, attempts: int) -> None:
        """Record that a unit cannot be measured. Raises WriteError."""
        self.write_note(f"{FAILED}/{unit.key}.json", {**unit.about(), "error": error, "attempts": attempts})

    def failed(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Of some units, those that failed and what was recorded: key -> record."""
        found = {key: self.read_note(f"{FAILED}/{key}.json") for key in keys}
        return {key: one for key, one in found.items() if one is not None}


def encoded(unit: Unit, rows: Sequence[Row], fingerprint: str, notes: Sequence[str]) -> bytes:
    """A unit's rows as a Parquet file, the same bytes for the same rows.

    Args:
        unit: what was measured.
        rows: what was found.
        fingerprint: the beginning of a hash of the model's weights.
        notes: what has to be said beside the rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {**unit.about(), "schema": SCHEMA, "rows": len(rows), "notes": list(map(str, notes))}
    schema = _schema().with_metadata({"unit": json.dumps(about, sort_keys=True, ensure_ascii=False)})
    records = [_record(unit, one, fingerprint) for one in rows]
    columns = {name: [one[name] for one in records] for name in schema.names}
    buffer = io.BytesIO()
    table = pa.Table.from_pydict(columns, schema=schema)
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    kinds = {
        **dict.fromkeys(("schema", "shard", "shards", "n", "width", "seed", "batch", "threads"), whole),
        **dict.fromkeys(("value", "low", "high", "least", "most"), number),
        "items": pa.list_(number),
        "difference": pa.bool_(),
    }
    return pa.schema([(name, kinds.get(name, text)) for name in _COLUMNS])


def _record(unit: Unit, row: Row, fingerprint: str) -> dict[str, Any]:
    items = row.items_of if isinstance(row, Made) else None
    values = None if items is None else np.asarray(items.values, dtype=np.float64)
    return {
        "schema": SCHEMA,
        "key": unit.key,
        "model": unit.model.name,
        "weights": row["weights"],
        "fingerprint": fingerprint,
        "probe": unit.probe.probe,
        "parameters": packed(unit.probe.parameters),
        "data": unit.data.name,
        "shard": unit.shard.number,
        "shards": unit.shard.of,
        "stimuli": row["stimuli"],
        "measure": row["measure"],
        "conditions": packed({name: value for name, value in row.items() if name not in _OWN}),
        "unit": row["unit"],
        **{name: row[name] for name in ("value", "low", "high", "interval", "n")},
        "items": None if values is None else values.ravel(),
        "width": None if values is None else 1 if values.ndim == 1 else values.shape[1],
        "by": "" if items is None else items.by,
        "least": None if items is None else items.within.low,
        "most": None if items is None else items.within.high,
        "difference": None if items is None else items.within.difference,
        "statistic": "" if items is None else items.statistic,
        "seed": unit.seed,
        "batch": unit.batch,
        "threads": unit.threads,
        "precision": unit.precision,
        "device": unit.device,
    }


def _row_of(record: Mapping[str, Any]) -> Made:
    made = Made({name: record[name] for name in ("model", "weights", "stimuli")})
    made |= dict(unpacked(record["conditions"]))
    made |= {name: record[name] for name in ("measure", "value", "unit", "n", "low", "high", "interval")}
    if record["by"]:
        values = np.array(record["items"], dtype=np.float64)
        if record["width"] > 1 or record["by"] == "rate":
            values = values.reshape(-1, record["width"])
        within = Range(record["least"], record["most"], record["difference"])
        made.items_of = Items(record["by"], values, within, record["statistic"])
    return made
