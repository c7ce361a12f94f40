"""Files on storage that is reached by an address: s3://, gs:// by pyarrow, any other by fsspec.

Access is by the environment, as the store's own tools have it. An address may hold what gives access too, so it is
kept away from names, errors and hashes: `StoredFile.__str__` is what people read.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

from explorer.errors import ParameterError
from explorer.messages import Message

#: Bytes that are asked for at a time: an archive's entries are small and many.
_AT_ONCE = 2**20


def public(address: str) -> str:
    """An address as people may read it: without user, password and query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


@lru_cache(maxsize=64)
def reach(address: str) -> tuple[Any, str]:
    """A `pyarrow.fs.FileSystem` and the path in it. Raises ParameterError for an address that cannot be used."""
    from pyarrow import ArrowException
    from pyarrow import fs as storage

    try:
        try:
            files, path = storage.FileSystem.from_uri(address)
        except ArrowException:
            import fsspec

            found, path = fsspec.core.url_to_fs(address)
            files = storage.PyFileSystem(storage.FSSpecHandler(found))
    except (OSError, ValueError, ImportError, ArrowException) as error:
        # The address may hold what gives access to it, and so may the error.
        raise ParameterError(
            Message("'{root}' cannot be reached: {error}", root=public(address), error=type(error).__name__)
        ) from None
    return files, path.rstrip("/")


@dataclass(frozen=True)
class StoredFile:
    """A file or a folder on storage, with as much of a path's ways as pictures need.

    Attributes:
        address: of the place it was found from, with what gives access.
        below: its path below that place, "" for the place itself.
    """

    address: str = field(repr=False)
    below: str = ""

    def __str__(self) -> str:
        return posixpath.join(public(self.address), self.below) if self.below else public(self.address)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(str(self))

    @property
    def stem(self) -> str:
        """Its name without its ending."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The ending of its name, as in .tar."""
        return posixpath.splitext(self.name)[1]

    def is_file(self) -> bool:
        """Whether it is a file. Raises ParameterError where the storage does not answer."""
        from pyarrow.fs import FileType

        files, path = self._at()
        try:
            return bool(files.get_file_info(path).type == FileType.File)
        except OSError as error:
            raise ParameterError(
                Message("'{root}' cannot be reached: {error}", root=self, error=self._said(error))
            ) from None

    def files(self, deep: bool = True) -> list[StoredFile]:
        """The files below it, by their paths; with ``deep`` those of its folders too. Raises ParameterError."""
        from pyarrow.fs import FileSelector

        files, path = self._at()
        try:
            every = files.get_file_info(FileSelector(path, allow_not_found=True, recursive=deep))
        except OSError as error:
            raise ParameterError(
                Message("'{root}' cannot be reached: {error}", root=self, error=self._said(error))
            ) from None
        below = [one.path.strip("/").removeprefix(path.strip("/")).strip("/") for one in every if one.is_file]
        return [StoredFile(self.address, posixpath.join(self.below, one)) for one in sorted(below)]

    def open(self) -> BinaryIO:
        """Open it to be read here and there. Raises OSError."""
        try:
            return io.BufferedReader(self.native(), _AT_ONCE)
        except OSError as error:
            raise OSError(self._said(error)) from None

    def native(self) -> Any:
        """The same as a `pyarrow.NativeFile`. Raises OSError."""
        files, path = self._at()
        return files.open_input_file(path)

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """Its bytes from a place on, all that follow or so many. Raises OSError."""
        try:
            with self.native() as file:
                length = file.size() - start if size is None else size
                return bytes(file.read_at(max(0, length), start))
        except OSError as error:
            raise OSError(self._said(error)) from None

    def _at(self) -> tuple[Any, str]:
        files, root = reach(self.address)
        return files, f"{root}/{self.below}" if self.below else root

    def _said(self, error: OSError) -> str:
        """What an error says, without what gives access."""
        parts = urlsplit(self.address)
        secrets = [parts.username, parts.password, *(value for _, value in parse_qsl(parts.query))]
        said = " ".join(str(error).split())
        for one in filter(None, secrets):
            for form in {one, unquote(one)}:
                said = said.replace(form, "***") if len(form) > 3 else said
        return said


def picture_place(text: str) -> Path | StoredFile:
    """Where pictures lie: a path of this machine, or an address on storage."""
    if "://" not in text:
        return Path(text)
    return Path(urlsplit(text).path) if text.startswith("file://") else StoredFile(text)


def below(path: Path | StoredFile, root: Path | StoredFile) -> str:
    """The path of a file below a place, with slashes; the name of the place itself where it is that file."""
    if isinstance(path, StoredFile):
        return path.below or path.name
    assert isinstance(root, Path)
    return path.name if path == root else path.relative_to(root).as_posix()


def ordered(paths: list[StoredFile], splits: tuple[str, ...]) -> Iterator[tuple[StoredFile, str, list[str]]]:
    """Files of a folder as `folders.Folder` walks them, each with its split and the parts of its path below that."""
    found = []
    for one in paths:
        parts = one.below.split("/")
        split = parts.pop(0) if len(parts) > 1 and parts[0].lower() in splits else ""
        found.append((one, split, parts))
    yield from sorted(found, key=lambda each: (each[1], len(each[2]) > 1, each[2]))
