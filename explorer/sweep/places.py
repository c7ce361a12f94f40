"""A sweep's folder on this machine, or on storage that is reached by an address: s3://, gs://, or any of fsspec's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from explorer.errors import BusyError
from explorer.images.storage import public, reach
from explorer.messages import Message
from explorer.writing import cannot_write, make_folder, write


class Place(Protocol):
    """Files in a folder, each written whole or not at all. Names are relative, with slashes.

    Attributes:
        root: what people call it: a path, or an address without what gives access to it.
    """

    root: Path | str

    def make(self, *folders: str) -> None:
        """Make it, and folders in it. Raises WriteError."""

    def tidy(self, *folders: str) -> None:
        """Remove what a process that was killed left of files that it was about to write."""

    def names(self, folder: str) -> set[str]:
        """Names of the files in one of its folders, without the folder's."""

    def read(self, name: str) -> bytes:
        """All of a file. Raises OSError, FileNotFoundError where it is not there."""

    def write(self, name: str, data: bytes, kept: str = "") -> None:
        """Write a file; ``kept`` is what is not lost where it fails. Raises WriteError."""

    def remove(self, name: str) -> None:
        """Remove a file that may not be there."""

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Keep others out as far as that is possible. Raises BusyError."""

    def dataset(self, folder: str) -> Any:
        """The Parquet files of a folder as a `pyarrow.dataset`."""


def place_of(address: str | Path) -> Place:
    """The place of a path or an address. Raises ParameterError for an address that cannot be used."""
    text = str(address)
    if "://" not in text:
        return LocalPlace(Path(address))
    if text.startswith("file://"):
        return LocalPlace(Path(urlsplit(text).path))
    return RemotePlace(text)


class LocalPlace:
    """A folder of this machine.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root: Path | str = root
        self._root = root

    def make(self, *folders: str) -> None:
        for name in folders:
            make_folder(self._root / name)

    def tidy(self, *folders: str) -> None:
        for name in folders:
            for file in (self._root / name).glob(".explorer-*.part"):
                with contextlib.suppress(OSError):
                    file.unlink()

    def names(self, folder: str) -> set[str]:
        path = self._root / folder
        return {one.name for one in path.iterdir()} if path.is_dir() else set()

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def write(self, name: str, data: bytes, kept: str = "") -> None:
        write(self._root / name, data, kept)

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._root / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        lock = FileLock(self._root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                Message("another sweep is at work in '{root}'; wait for it, or choose another folder", root=self.root)
            ) from None
        try:
            yield
        finally:
            lock.release()

    def dataset(self, folder: str) -> Any:
        import pyarrow.dataset as ds

        return ds.dataset(self._root / folder, format="parquet")


class RemotePlace:
    """A folder of an object store. What is uploaded is there once all of it is.

    Two sweeps in one folder are not kept apart there: they write the same bytes under the same names.

    Args:
        address: as `pyarrow.fs.FileSystem.from_uri` reads it, which knows s3://BUCKET/PATH?region=... and gs://; any
            other as fsspec does. Access is by the environment, as the store's own tools have it.
    """

    def __init__(self, address: str) -> None:
        self.root: Path | str = public(address)
        self._files, self._path = reach(address)

    def make(self, *folders: str) -> None:
        for name in folders:
            try:
                self._files.create_dir(f"{self._path}/{name}", recursive=True)
            except OSError as error:
                raise cannot_write(f"{self.root}/{name}", error) from error

    def tidy(self, *folders: str) -> None:
        """Nothing is left: what was not uploaded whole is not there."""

    def names(self, folder: str) -> set[str]:
        from pyarrow.fs import FileSelector

        every = self._files.get_file_info(FileSelector(f"{self._path}/{folder}", allow_not_found=True))
        return {one.base_name for one in every if one.is_file}

    def read(self, name: str) -> bytes:
        with self._files.open_input_stream(f"{self._path}/{name}") as file:
            found: bytes = file.read()
        return found

    def write(self, name: str, data: bytes, kept: str = "") -> None:
        try:
            with self._files.open_output_stream(f"{self._path}/{name}") as file:
                file.write(data)
        except OSError as error:
            raise cannot_write(f"{self.root}/{name}", error, kept) from error

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._files.delete_file(f"{self._path}/{name}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        yield

    def dataset(self, folder: str) -> Any:
        import pyarrow.dataset as ds

        return ds.dataset(f"{self._path}/{folder}", format="parquet", filesystem=self._files)
