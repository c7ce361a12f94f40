"""Visitors' own pictures: uploaded, pasted, from a webcam; read by explorer.images, never by gradio."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL.Image import Image

from explorer.cache import Bounded
from explorer.errors import ImageError, ParameterError
from explorer.images.worker import decode
from explorer.messages import Message
from explorer.ui.guard import uploaded
from explorer.ui.scratch import new_folder
from explorer.writing import write

#: Bytes of decoded pictures kept for all sessions together: a drag must not decode its picture at every step.
PICTURES_BYTES = 512 * 2**20
#: Bytes of own pictures' files kept on the server; the oldest go first.
OWN_BYTES = 512 * 2**20
#: How a visitor's own picture is named: by the bytes and the name of its file, so that only those who have it can name


@dataclass(frozen=True, eq=False)
class Picked:
    """What came from the picture's place on the page.

    Attributes:
        image: the picture, or None where it could not be read.
        key: digest of its pixels, "" without a picture.
        notes: what its owner should know, a sentence each.
        path: where gradio keeps it on the server.
        problem: why it could not be read, or "".
        name: of the file as its owner called it.
    """

    image: Image | None
    key: str = ""
    notes: tuple[str, ...] = ()
    path: str = ""
    problem: str = ""
    name: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return 1024 if self.image is None else self.image.width * self.image.height * 3 + 1024


_pictures: Bounded[tuple[str, int, int], Picked] = Bounded(PICTURES_BYTES, lambda picked: picked.nbytes)


def pick(path: str | Path) -> Picked:
    """Read a picture that lies on this server, once; a picture that cannot be read is answered by its problem."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError:
        return Picked(None, problem=Message("the picture is no longer on the server; choose it again"))

    def read() -> Picked:
        try:
            picture, digest = decode(path)
        except ImageError as error:
            return Picked(None, path=str(path), problem=error.message)
        return Picked(picture.image, digest[:24], picture.notes, str(path), name=path.name)

    return _pictures.get((str(path), status.st_mtime_ns, status.st_size), read)


class Own:
    """Visitors' own pictures by name, kept for as long as there is room, so that a link or a reload finds them."""

    def __init__(self) -> None:
        self._home = new_folder("pictures")
        self._kept: OrderedDict[str, tuple[Path, int, str]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, picked: Picked) -> str:
        """Keep a copy of a picture's file and return its name; gradio deletes its own after a while."""
        source = Path(picked.path)
        content = source.read_bytes()
        digest = hashlib.sha256(content + b"\0" + picked.name.encode()).hexdigest()[:24]
        name = f"own:{digest}"
        with self._lock:
            if name not in self._kept:
                target = self._home / f"{digest}{source.suffix}"
                write(target, content)
                self._kept[name] = (target, target.stat().st_size, picked.name)
            self._kept.move_to_end(name)
            while len(self._kept) > 1 and sum(size for _, size, _ in self._kept.values()) > OWN_BYTES:
                self._kept.popitem(last=False)[1][0].unlink(missing_ok=True)
        return name

    def get(self, name: str) -> Picked:
        """The picture of a name; one that is gone is answered by its problem."""
        with self._lock:
            path, _, called = self._kept.get(name, (None, 0, ""))
        if path is None:
            return Picked(None, problem=Message("your own picture is no longer on the server; choose it again"))
        return replace(pick(path), name=called)


def sent(payload: Any) -> Picked | None:
    """The picture of what gradio's place for one sends, a dict with the path of an upload; None where there is none.

    Gradio itself must not read it (``preprocess=False``): it would decode before any limit is checked, and answer a bad
    file with the word "Error".
    """
    path = payload.get("path") if isinstance(payload, Mapping) else None
    if path is None:
        return None
    try:
        return pick(uploaded(path))
    except ParameterError as error:
        return Picked(None, problem=error.message)
