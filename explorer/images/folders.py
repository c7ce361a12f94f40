"""Folders of pictures on this machine: one reader for everything that reads one. `stored` reads them elsewhere.

What is expected:

- ``DIR/CLASS/...`` or ``DIR/train/CLASS/...`` (also val, valid, validation, test, in any case): the class is the first
  folder, whatever lies deeper belongs to it;
- ``DIR/*``, pictures beside each other: a class is what the folder's .csv file says (columns filename and label, with a
  header or without), or ImageNet's synset in the name (``n02111889_123.JPEG``), or not known.

A picture is what a decoder of `reading` knows by its first bytes, whatever its name; ``dog_mask.png`` beside
``dog.jpg`` is its object. Hidden files and what systems and programs leave behind are passed over. Links are followed
once: a link to a place that is read anyway adds nothing.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from explorer.errors import ParameterError
from explorer.images.first import format_of
from explorer.images.picture import SUFFIXES
from explorer.images.storage import StoredFile
from explorer.messages import Message, counted, listed, message_of

#: Folders whose folders are classes, in any case.
SPLITS: Final = ("train", "val", "valid", "validation", "test")
#: A file of this ending beside ``dog.jpg``, ``dog_mask.png``, is its object: white, or not black, on black.
MASK: Final = "_mask.png"
#: How many of the files that could not be read a note names.
NAMED: Final = 20
#: Most bytes of a .csv file with labels.
_MAX_CSV = 64 * 2**20
_SKIPPED = {"__macosx", "thumbs.db", "desktop.ini"}
#: Names that say that a file is meant as a picture, whether or not it can be read.
MEANT = {*SUFFIXES, ".jfif", ".jpe", ".heic", ".heif", ".avif", ".svg", ".jp2", ".psd"}
_SYNSET = re.compile(r"(?<![a-z0-9])(n\d{8})(?!\d)", re.IGNORECASE)
_FILE_COLUMNS = ("filename", "file_name", "file", "image", "imageid", "image_id", "path", "filepath", "name", "id")
_LABEL_COLUMNS = ("label", "class", "classname", "class_name", "category", "synset", "target", "predictionstring")
_EXPECTED = Message(
    "expected are DIR/CLASS/picture, DIR/train/CLASS/picture (or val, valid, validation, test), or pictures beside "
    "each other with a .csv file of filename and label, or with synsets in their names"
)


@dataclass(frozen=True)
class FoundPicture:
    """A picture that was found somewhere, not read yet.

    Attributes:
        path: where it is.
        label: its class, as the folder or file says it; "" where that is not known.
        split: "train", "val", ... as the folder writes it, or "".
        mask: file of its object, or None.
    """

    path: Path | StoredFile
    label: str = ""
    split: str = ""
    mask: Path | StoredFile | None = None

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return self.path.name


@dataclass(frozen=True)
class FolderPicture(FoundPicture):
    """A picture in a folder of this machine."""

    path: Path
    mask: Path | None = None


@dataclass
class Folder:
    """The pictures of a folder; iterating walks it anew, a file at a time, in the order of the names.

    Attributes:
        root: the folder.
        left_out: what was meant as a picture and could not be read: path (below the root) -> why; grows while walking
            and reading.
    """

    root: Path
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = Path(self.root)
        if not self.root.is_dir():
            raise ParameterError(Message("there is no folder '{root}'; {expected}", root=self.root, expected=_EXPECTED))
        self._real = Path(os.path.realpath(self.root))

    def __iter__(self) -> Iterator[FolderPicture]:
        """Walk it. Raises ParameterError where the layout is another one, or nothing in it is a picture."""
        splits, classes = self._top()
        labels = self._csv()
        seen: set[str] = set()
        count = 0
        for path, mask in self._pictures(self.root, seen, deep=False):
            count += 1
            yield FolderPicture(path, self._flat(path, labels), "", mask)
        for folder in splits or classes:
            if not splits:
                for path, mask in self._pictures(folder, seen):
                    count += 1
                    yield FolderPicture(path, labels.get(self._key(path)) or folder.name, "", mask)
                continue
            for path, mask in self._pictures(folder, seen, deep=False):
                count += 1
                yield FolderPicture(path, self._flat(path, labels), folder.name, mask)
            for inner in self._folders(folder):
                for path, mask in self._pictures(inner, seen):
                    count += 1
                    yield FolderPicture(path, labels.get(self._key(path)) or inner.name, folder.name, mask)
        if not count:
            raise ParameterError(
                Message(
                    "'{root}' has no pictures: {expected}; found: {contents}",
                    root=self.root,
                    expected=_EXPECTED,
                    contents=self.contents(),
                )
            )

    def leave_out(self, path: Path, error: Exception | str) -> None:
        """Remember a picture that could not be read."""
        self.left_out.setdefault(self._key(path), message_of(error) if isinstance(error, Exception) else error)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of what was left out so far: how many, and which."""
        return (unread([str(self.root / name) for name in self.left_out]),) if self.left_out else ()

    def contents(self) -> str:
        """What lies in the folder itself, in words, for an error."""
        names = [entry for entry in _entries(self.root) if not skipped(entry.name)]
        folders = [entry.name + "/" for entry in names if entry.is_dir()]
        kinds = Counter(
            Path(entry.name).suffix.lower() or Message("no ending") for entry in names if not entry.is_dir()
        )
        files = [
            Message("{number} files with {kind}", number=number, kind=kind) for kind, number in kinds.most_common(5)
        ]
        shown = [*folders[:10], *(["..."] if len(folders) > 10 else []), *files]
        broken = [Message("{left_out} that cannot be read", left_out=len(self.left_out))] if self.left_out else []
        return listed([*shown, *broken]) or Message("nothing")

    def _top(self) -> tuple[list[Path], list[Path]]:
        """The folders of splits, and those of classes; of one kind there are none."""
        folders = self._folders(self.root)
        splits = [one for one in folders if one.name.lower() in SPLITS]
        rest = [one for one in folders if one not in splits]
        if not splits:
            return [], rest
        strangers = [one.name for one in rest if next(self._pictures(one, set(), quiet=True), None) is not None]
        if strangers:
            raise ParameterError(
                Message(
                    "'{root}' has both {splits} and {strangers} with pictures: {expected}. Give the folder of one of "
                    "them, or move the others away",
                    root=self.root,
                    splits=", ".join(one.name for one in splits),
                    strangers=", ".join(strangers[:5]),
                    expected=_EXPECTED,
                )
            )
        return splits, []

    def _folders(self, folder: Path) -> list[Path]:
        return [folder / one.name for one in _entries(folder) if not skipped(one.name) and self._is_folder(one)]

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_dir() and not (entry.is_symlink() and self._inside(entry.path))

    def _inside(self, path: str) -> bool:
        """Whether what a link leads to is read anyway."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._real):
            return self._real.is_relative_to(real)  # a folder around this one
        return not any(skipped(part) for part in real.relative_to(self._real).parts)

    def _pictures(
        self, folder: Path, seen: set[str], deep: bool = True, quiet: bool = False
    ) -> Iterator[tuple[Path, Path | None]]:
        """The pictures of a folder, and of its folders where ``deep``, each with its mask."""
        real = os.path.realpath(folder)
        if deep:
            if real in seen:
                return
            seen.add(real)
        try:
            entries = _entries(folder)
        except OSError as error:
            if not quiet:
                self.leave_out(folder, error.strerror or Message("cannot be opened"))
            return
        stems = {os.path.splitext(one.name)[0] for one in entries}
        names = {one.name for one in entries}
        for entry in entries:
            if skipped(entry.name):
                continue
            path = folder / entry.name
            if entry.is_dir():
                if deep and self._is_folder(entry):
                    yield from self._pictures(path, seen, quiet=quiet)
                continue
            if entry.is_symlink() and os.path.exists(path) and self._inside(entry.path):
                continue
            if entry.name.endswith(MASK) and entry.name[: -len(MASK)] in stems:
                continue
            problem = _problem(path)
            if problem is None:
                mask = os.path.splitext(entry.name)[0] + MASK
                yield path, folder / mask if mask in names else None
            elif problem and not quiet:
                self.leave_out(path, problem)

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _flat(self, path: Path, labels: dict[str, str]) -> str:
        found = next((labels[one] for one in (self._key(path), path.name, path.stem) if one in labels), None)
        return label_of_name(path.stem) if found is None else found

    def _csv(self) -> dict[str, str]:
        """Name of a file, as the .csv file of the folder writes it -> label; empty where there is none."""
        files = [one for one in _entries(self.root) if one.name.lower().endswith(".csv") and not skipped(one.name)]
        if not files:
            return {}
        if len(files) > 1:
            named = [one for one in files if one.name.lower() == "labels.csv"]
            if not named:
                return {}
            files = named
        path = self.root / files[0].name
        if path.stat().st_size > _MAX_CSV:
            raise ParameterError(
                Message(
                    "'{path}' has {size} MB; at most 64 MB are read for labels",
                    path=path,
                    size=f"{path.stat().st_size / 2**20:.0f}",
                )
            )
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                return labels_of(csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ParameterError(
                Message(
                    "'{path}' cannot be read as labels ({error}); two columns, filename and label, in UTF-8 are "
                    "expected",
                    path=path,
                    error=error,
                )
            ) from None


def labels_of(rows: Iterator[list[str]]) -> dict[str, str]:
    """Name of a file -> label, of the rows of a .csv file."""
    out: dict[str, str] = {}
    name, label = 0, 1
    for number, cells in enumerate(rows):
        cells = [cell.strip() for cell in cells]
        if number == 0:
            heads = [cell.lower() for cell in cells]
            names = [heads.index(one) for one in _FILE_COLUMNS if one in heads]
            labels = [heads.index(one) for one in _LABEL_COLUMNS if one in heads]
            if names and labels:
                name, label = names[0], labels[0]
                continue
        if len(cells) > max(name, label) and cells[name]:
            # "n03995372 85 1 499 272": a synset, and boxes.
            synset = re.match(r"n\d{8}(?=\s)", cells[label])
            out[cells[name].replace("\\", "/").removeprefix("./")] = synset[0] if synset else cells[label]
    return out


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name: real things before links, so that a link never takes their place."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda one: (one.is_symlink(), one.name))


def label_of_name(stem: str) -> str:
    """ImageNet's synset in a file's name, or ""."""
    synset = _SYNSET.search(stem)
    return synset[1].lower() if synset else ""


def skipped(name: str) -> bool:
    """Whether a file or folder of this name is passed over: hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in _SKIPPED


def _problem(path: Path) -> str | None:
    """None for a picture, by its first bytes; "" for something else; or why what is meant as one cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        return (error.strerror or Message("cannot be opened")) if path.suffix.lower() in MEANT else ""
    if format_of(head) is not None:
        return None
    return Message("no picture that can be read") if path.suffix.lower() in MEANT else ""


def unread(names: Sequence[str]) -> str:
    """What is said of pictures that were left out: how many, and which."""
    named = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return counted(
        "{n} picture could not be read and was left out: {named}",
        "{n} pictures could not be read and were left out: {named}",
        len(names),
        named=named,
    )
