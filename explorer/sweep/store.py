"""Where a sweep's rows lie: one Parquet file a unit, whole or not there, in a folder that is read as one table."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from explorer.errors import ParameterError
from explorer.lab.table import packed, unpacked
from explorer.messages import Message
from explorer.probes.rows import Items, Made, Row
from explorer.statistics import Range
from explorer.sweep.places import place_of
from explorer.sweep.units import SCHEMA, Unit

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Files that are read at once: those on storage take their time each.
_AT_ONCE = 16
#: What a file's footer calls the checksum of the bytes before it; and the bytes after it, its length and a mark.
_SUM, _TAIL = b"crc32", 8
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
        address: of its folder, a path or what `places.place_of` reads; made by `make`.

    Attributes:
        address: as it was given.
        root: what people call it.
    """

    def __init__(self, address: str | Path) -> None:
        self.address = address
        self.place = place_of(address)
        self.root = self.place.root

    def make(self) -> None:
        """Make the folders that are not there. Raises WriteError."""
        self.place.make(ROWS, FAILED)

    def tidy(self) -> None:
        """Remove what a process that was killed left of files that it was about to write."""
        self.place.tidy("", ROWS, FAILED)

    # ---- rows ---------------------------------------------------------------------------------------------------

    def write_rows(self, unit: Unit, data: bytes) -> None:
        """Write a unit's rows as `encoded` gives them, whole or not at all. Raises WriteError."""
        kept = Message("Units that are done are kept; give the same command again")
        self.place.write(name_of(unit.key), data, kept)
        self.place.remove(f"{FAILED}/{unit.key}.json")

    def there(self) -> set[str]:
        """Keys of the units that have a file."""
        return {name.removesuffix(".parquet") for name in self.place.names(ROWS) if name.endswith(".parquet")}

    def done(self, keys: Sequence[str]) -> list[str]:
        """Of some units, those whose file is there, whole, and of this version; any other file is as none."""
        there = self.there()
        some = [key for key in keys if key in there]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [key for key, found in zip(some, pool.map(lambda key: self._file(key) is not None, some)) if found]

    def rows_of(self, key: str) -> tuple[list[Made], dict[str, Any]] | None:
        """A unit's rows, which know what they are made of, and what its file says of them; None if it is not done."""
        found = self._file(key)
        if found is None:
            return None
        file, about = found
        return [_row_of(one) for one in file.read(use_threads=False).to_pylist()], about

    def _file(self, key: str) -> tuple[pq.ParquetFile, dict[str, Any]] | None:
        """A unit's file and what it says of itself; None where it is not there, not whole or of something else.

        What its rows are is not read for that: their bytes fit the checksum at its end, so thousands take seconds.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            data = self.place.read(name_of(key))
            file = pq.ParquetFile(pa.BufferReader(data))
            told: dict[bytes, bytes] = file.metadata.metadata
            about = json.loads(told[b"unit"])
            end = len(data) - _TAIL - int.from_bytes(data[-_TAIL : -_TAIL + 4], "little")
            whole = told[_SUM] == _sum_of(data[:end])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
            return None
        fits = (about.get("key"), about.get("schema"), about.get("rows")) == (key, SCHEMA, file.metadata.num_rows)
        return (file, about) if whole and fits else None

    # ---- what is kept beside them -------------------------------------------------------------------------------

    def write_note(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a small file of plain values. Raises WriteError."""
        text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
        self.place.write(name, text.encode("utf-8", "backslashreplace"))

    def read_note(self, name: str) -> dict[str, Any] | None:
        """Read one; None where it is not there. Raises ParameterError for one that cannot be read."""
        try:
            values = json.loads(self.place.read(name))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ParameterError(
                Message("'{file}' cannot be read: {error}", file=f"{self.root}/{name}", error=error)
            ) from error
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
        there = self.place.names(FAILED)
        found = {key: self.read_note(f"{FAILED}/{key}.json") for key in keys if f"{key}.json" in there}
        return {key: one for key, one in found.items() if one is not None}


def name_of(key: str) -> str:
    """Where a unit's rows are in a sweep's folder."""
    return f"{ROWS}/{key}.parquet"


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
    with pq.ParquetWriter(buffer, schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_SUM: _sum_of(buffer.getvalue())})
    return buffer.getvalue()


def _sum_of(data: bytes) -> bytes:
    """The checksum of a file's bytes before its footer, as the footer has it."""
    return b"%08x" % crc32(data)


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
