"""Pictures in shards: WebDataset's .tar files, and Parquet files as data sets of the hub have them.

- ``.tar``: files of one sample have one name up to its first dot; ``.cls`` beside a picture is its class, or ``.txt``
  where there is none. A picture is read where it lies, so the file is not compressed.
- ``.parquet``: the column ``image`` has a picture's bytes, by itself or as {bytes, path}; ``label`` its class, a text
  or a number, whose names the file may have (the hub's ClassLabel).
"""

from __future__ import annotations

import json
import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from explorer.errors import ImageError, ParameterError
from explorer.images.first import format_of
from explorer.images.folders import FoundPicture
from explorer.images.storage import StoredFile
from explorer.messages import Message

#: Endings of shards.
ENDINGS = (".tar", ".parquet")
#: Files beside a picture in a .tar that name its class, the first of them that there is.
_LABELS = ("cls", "txt")
#: Most bytes of such a file.
_MAX_LABEL = 4096
_IMAGE, _LABEL = "image", "label"


@dataclass(frozen=True)
class PackedPicture(FoundPicture):
    """A picture in a shard.

    Attributes:
        name: of the picture in its shard.
        start: where its bytes begin in a .tar; the number of its row in a Parquet file.
        size: of its bytes in a .tar; 0 in a Parquet file.
    """

    name: str = ""
    start: int = 0
    size: int = 0

    @property
    def file_name(self) -> str:
        return self.name.rpartition("/")[2]

    def bytes(self) -> bytes:
        """Its file's bytes. Raises ImageError."""
        try:
            if self.path.suffix == ".parquet":
                return _row(self.path, self.start)
            if isinstance(self.path, StoredFile):
                return self.path.read(self.start, self.size)
            with self.path.open("rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except (OSError, ValueError) as error:
            raise ImageError(Message("'{name}' cannot be read: {error}", name=self.path, error=error)) from error


def shards_of(path: Path | StoredFile) -> list[Path] | list[StoredFile]:
    """The shards that a path names: itself, or those of a folder by their names; none for a folder of pictures."""
    if path.suffix in ENDINGS and path.is_file():
        return [path]  # type: ignore[return-value] # one of the two
    if isinstance(path, StoredFile):
        return [one for one in path.files(deep=False) if one.suffix in ENDINGS and not one.name.startswith(".")]
    if not path.is_dir():
        return []
    return sorted(one for one in path.iterdir() if one.suffix in ENDINGS and not one.name.startswith("."))


def pictures_of(shards: Sequence[Path | StoredFile]) -> Iterator[PackedPicture]:
    """The pictures of shards, in their order. Raises ParameterError for a file that is none."""
    for path in shards:
        try:
            yield from _of_tar(path) if path.suffix == ".tar" else _of_parquet(path)
        except (OSError, tarfile.TarError, ValueError, KeyError) as error:
            raise ParameterError(
                Message("'{path}' cannot be read as a shard of pictures: {error}", path=path, error=error)
            ) from error


def _of_tar(path: Path | StoredFile) -> Iterator[PackedPicture]:
    with (
        path.open() if isinstance(path, StoredFile) else path.open("rb") as file,
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        key, members = "", list[tarfile.TarInfo]()
        for one in archive:
            if not one.isfile():
                continue
            folder, _, name = one.name.rpartition("/")
            own = f"{folder}/{name.partition('.')[0]}"
            if own != key and members:
                yield from _sample(path, archive, members)
                members = []
            key = own
            members.append(one)
        if members:
            yield from _sample(path, archive, members)


def _sample(
    path: Path | StoredFile, archive: tarfile.TarFile, members: list[tarfile.TarInfo]
) -> Iterator[PackedPicture]:
    """The pictures of one sample."""
    ending = {one.name.rpartition("/")[2].partition(".")[2].lower(): one for one in members}
    label = ""
    named = next((ending[one] for one in _LABELS if one in ending), None)
    if named is not None and named.size <= _MAX_LABEL:
        file = archive.extractfile(named)
        assert file is not None
        label = file.read().decode("utf-8", "replace").strip()
    for one in members:
        file = archive.extractfile(one)
        assert file is not None
        if format_of(file.read(16)) is not None:
            yield PackedPicture(path, label, name=one.name, start=one.offset_data, size=one.size)


@contextmanager
def _parquet(path: Path | StoredFile) -> Iterator[Any]:
    """A Parquet file, open."""
    import pyarrow.parquet as pq

    with (
        path.native() if isinstance(path, StoredFile) else path.open("rb") as source,
        pq.ParquetFile(source) as file,
    ):
        yield file


def _of_parquet(path: Path | StoredFile) -> Iterator[PackedPicture]:
    with _parquet(path) as file:
        schema = file.schema_arrow
        if _IMAGE not in schema.names:
            raise ValueError(f"it has no column '{_IMAGE}' but {', '.join(schema.names)}")
        names = _class_names((schema.metadata or {}).get(b"huggingface"))
        wanted = [one for one in (_LABEL,) if one in schema.names]
        row = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            labels = file.read_row_group(group, columns=wanted)[_LABEL].to_pylist() if wanted else [None] * count
            for label in labels:
                text = names[label] if names and isinstance(label, int) and 0 <= label < len(names) else label
                yield PackedPicture(path, "" if text is None else str(text), name=str(row), start=row)
                row += 1


def _class_names(told: bytes | None) -> list[str]:
    """The names of the hub's ClassLabel, or none."""
    try:
        found = json.loads(told or b"{}")["info"]["features"][_LABEL]["names"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _row(path: Path | StoredFile, row: int) -> bytes:
    """The bytes of a row's picture; its row group is kept, as the next one is likely to be in it."""
    changed = 0 if isinstance(path, StoredFile) else path.stat().st_mtime_ns
    ends = _ends(path, changed)
    group = bisect_right(ends, row)
    if group == len(ends):
        raise ValueError(f"there is no row {row}")
    value: Any = _images(path, changed, group)[row - (ends[group - 1] if group else 0)].as_py()
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        raise ValueError(f"row {row} has no bytes of a picture")
    return found


@lru_cache(maxsize=64)
def _ends(path: Path | StoredFile, changed: int) -> list[int]:  # noqa: ARG001 - a file that changed is another one
    """The numbers of the rows at which the row groups of a file end."""
    with _parquet(path) as file:
        counts = (file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
        return list(accumulate(counts))


@lru_cache(maxsize=2)
def _images(path: Path | StoredFile, changed: int, group: int) -> Any:  # noqa: ARG001
    with _parquet(path) as file:
        return file.read_row_group(group, columns=[_IMAGE])[_IMAGE]
