"""Visitors' own sets of pictures: a zip, or pictures themselves, unpacked within bounds and kept for a while.

Nothing that an archive says of itself is believed: names lead nowhere outside, links are refused, and what an entry
declares is an upper bound on what is unpacked of it. Each picture is decoded once in a process that can be ended before
any probe reads it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from explorer.errors import ImageError, ParameterError
from explorer.images.picture import MAX_BYTES, SUFFIXES
from explorer.images.worker import decode
from explorer.messages import Message, counted, listed
from explorer.ui.guard import uploaded
from explorer.ui.scratch import new_folder
from explorer.ui.worker import task
from explorer.writing import make_folder, write

#: How a set is named: by the bytes and names of its files, so that only those who have them can name it.
SET = re.compile(r"set:[0-9a-f]{24}")
#: Of one set: files, bytes of all files unpacked, folders in folders, and letters of a name.
MOST_FILES, MOST_BYTES, DEEPEST, LONGEST = 2000, 256 * 2**20, 5, 120
#: Bytes of all sets kept on the server; the oldest go first.
SETS_BYTES = 1024 * 2**20
#: What a probe's folder may hold beside pictures: labels, and IN-9's classes.
BESIDE = (".csv", ".json")
#: What operating systems add to archives.
_LITTER = {"__macosx", "thumbs.db", "desktop.ini", ".ds_store"}
_PIECE = 2**16


@dataclass(frozen=True)
class Set:
    """A set that was brought.

    Attributes:
        name: that it goes by.
        folder: where it lies.
        count: pictures in it.
        nbytes: of all its files.
        notes: what was left out, and why.
    """

    name: str
    folder: Path
    count: int
    nbytes: int
    notes: tuple[str, ...] = ()


class Sets:
    """The sets of all visitors, for as long as there is room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Set, Path]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, sent: Any) -> Set:
        """Take what a browser brought; raises ParameterError, which says what is wrong with it.

        Args:
            sent: of each file a record with its ``path`` among the uploads and its ``name``: where it lies in what was
                brought.
        """
        files = [_sent(one) for one in sent] if isinstance(sent, list) else []
        if not files:
            raise ParameterError(Message("no file came; bring a zip of pictures, or pictures"))
        digest = hashlib.sha256()
        for path, name in files:
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        name = f"set:{digest.hexdigest()[:24]}"
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name][0]
        home = new_folder("set")
        gone = [home]
        try:
            made = replace(_unpacked(files, home), name=name)
            with self._lock:
                # The same set may come twice at once: each is unpacked, and the first is kept.
                if name not in self._kept:
                    self._kept[name] = made, home
                    gone.remove(home)
                while len(self._kept) > 1 and sum(one.nbytes for one, _ in self._kept.values()) > SETS_BYTES:
                    gone.append(self._kept.popitem(last=False)[1][1])
                return self._kept[name][0]
        finally:
            for one in gone:
                shutil.rmtree(one, ignore_errors=True)

    def get(self, name: str) -> Set:
        """The set of a name; raises ParameterError where it is gone."""
        with self._lock:
            found = self._kept.get(name)
        if found is None:
            raise ParameterError(Message("your pictures are no longer on the server; bring them again"))
        return found[0]


def _sent(one: Any) -> tuple[Path, str]:
    """File and name of an upload."""
    if not isinstance(one, Mapping):
        raise ParameterError(Message("no file came; bring a zip of pictures, or pictures"))
    path = uploaded(one.get("path"))
    return path, str(one.get("name") or path.name)


def _unpacked(files: Sequence[tuple[Path, str]], folder: Path) -> Set:
    """Lay the files out in a folder, those of archives unpacked, and read each picture once."""
    root, total, taken, folders = make_folder(folder / "set"), 0, set[str](), set[str]()
    for number, (name, read) in enumerate(_entries(files), 1):
        task().check()
        if number > MOST_FILES:
            raise ParameterError(Message("there are more than {most} files; bring fewer", most=MOST_FILES))
        # Some file systems take a.png and A.PNG for one.
        called, above = str(name).casefold(), {str(one).casefold() for one in name.parents} - {"."}
        if called in taken:
            raise ParameterError(Message("two files are called '{name}'; give each a name of its own", name=name))
        if called in folders or above & taken:
            raise ParameterError(
                Message("'{name}' is a file and a folder at once; give each a name of its own", name=name)
            )
        taken.add(called)
        folders |= above
        content = bytearray()
        for piece in read:
            content += piece
            if total + len(content) > MOST_BYTES:
                raise _too_large()
        total += len(content)
        write(make_folder((root / name).parent) / name.name, bytes(content))
    # An archive's one folder is its cover.
    inner = list(root.iterdir())
    if len(inner) == 1 and inner[0].is_dir():
        root = inner[0]
    count, wrong = 0, list[str]()
    for path in sorted(one for one in root.rglob("*") if one.suffix.lower() in SUFFIXES):
        task().check()
        try:
            decode(path)
            count += 1
        except ImageError as error:
            path.unlink()
            wrong.append(listed([path.name, error.message], "{first}: {rest}"))
    if not count:
        why = Message("nothing in it is a picture that can be read; bring PNG, JPEG or WebP files, or a zip of them")
        raise ParameterError(listed([why, *wrong[:3]], "{first}; {rest}"))
    notes = (
        [
            counted(
                "{n} file could not be read and was left out: {named}",
                "{n} files could not be read and were left out: {named}",
                len(wrong),
                named=listed(wrong[:5], "{first}; {rest}"),
            )
        ]
        if wrong
        else []
    )
    return Set("", root, count, total, tuple(notes))


def _entries(files: Sequence[tuple[Path, str]]) -> Iterator[tuple[PurePosixPath, Iterator[bytes]]]:
    """Every picture, and what may stand beside pictures: where it belongs in the set, and its bytes."""
    for path, name in files:
        if name.lower().endswith(".zip"):
            yield from _archived(path, name)
        elif (place := _placed(name)) is not None:
            yield place, _pieces(path)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


@contextmanager
def _readable(called: str) -> Iterator[None]:
    """Whatever is broken in an archive is told as that."""
    try:
        yield
    except ParameterError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ParameterError(
            Message("'{name}' is no zip that can be read; pack the pictures anew", name=called)
        ) from error


def _archived(path: Path, called: str) -> Iterator[tuple[PurePosixPath, Iterator[bytes]]]:
    with _readable(called), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > 2 * MOST_FILES:
            raise ParameterError(Message("there are more than {most} files; bring fewer", most=MOST_FILES))
        # Declared sizes first, so that most of what is too large costs nothing.
        if sum(one.file_size for one in entries) > MOST_BYTES:
            raise _too_large()
        for one in entries:
            if stat.S_ISLNK(one.external_attr >> 16):
                raise ParameterError(
                    Message("'{name}' is a link; put the file itself into the archive", name=one.filename)
                )
            if one.flag_bits & 1:
                raise ParameterError(Message("'{name}' is locked by a password; pack it without", name=called))
            place = _placed(one.filename)
            if place is not None and not one.is_dir():
                yield place, _unzipped(archive, one, called)


def _unzipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, called: str) -> Iterator[bytes]:
    """An entry's bytes; more than it declares are not taken."""
    if entry.file_size > MAX_BYTES:
        raise ParameterError(Message("'{name}' is larger than {size} MB", name=entry.filename, size=MAX_BYTES // 2**20))
    left = entry.file_size
    with _readable(called), archive.open(entry) as file:
        while piece := file.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise _too_large()
            yield piece


def _placed(name: str) -> PurePosixPath | None:
    """Where an entry belongs in the set, None where it is no part of it; raises ParameterError where it leads out."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise ParameterError(Message("'{name}' leads out of the archive; pack the pictures anew", name=name))
    parts = [one for one in parts if one not in ("", ".")]
    if not parts or any(one.lower() in _LITTER or one.startswith("._") for one in parts):
        return None
    if len(parts) > DEEPEST or any(len(one) > LONGEST or not one.isprintable() for one in parts):
        raise ParameterError(
            Message(
                "'{name}' lies too deep or its name is too long: at most {deep} folders and {long} letters",
                name=name[:LONGEST],
                deep=DEEPEST - 1,
                long=LONGEST,
            )
        )
    return PurePosixPath(*parts) if parts[-1].lower().endswith((*SUFFIXES, *BESIDE)) else None


def _too_large() -> ParameterError:
    return ParameterError(
        Message("unpacked these files take more than {size} MB; bring fewer or smaller ones", size=MOST_BYTES // 2**20)
    )
