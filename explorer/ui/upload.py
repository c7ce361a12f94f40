"""The picture's place on the page: upload, paste, webcam; read by explorer.images, never by gradio."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL.Image import Image

from explorer.cache import Bounded
from explorer.errors import ImageError
from explorer.images import read_image

#: Bytes of decoded pictures kept for all sessions together: a drag must not decode its picture at every step.
PICTURES_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class Picked:
    """What came from the picture's place on the page.

    Attributes:
        image: the picture, or None where it could not be read.
        key: digest of its pixels, "" without a picture.
        notes: what its owner should know, a sentence each.
        path: where gradio keeps it on the server.
        problem: why it could not be read, or "".
    """

    image: Image | None
    key: str = ""
    notes: tuple[str, ...] = ()
    path: str = ""
    problem: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return 1024 if self.image is None else self.image.width * self.image.height * 3 + 1024


_pictures: Bounded[tuple[str, int, int], Picked] = Bounded(PICTURES_BYTES, lambda picked: picked.nbytes)
#: Decoding is the one step whose memory a stranger chooses; two at once stay far below what the models take.
_decoding = threading.BoundedSemaphore(2)


def pick(path: str | Path) -> Picked:
    """Read a picture that lies on this server, once; a picture that cannot be read is answered by its problem."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError:
        return Picked(None, problem="the picture is no longer on the server; choose it again")

    def read() -> Picked:
        with _decoding:
            try:
                picture = read_image(path)
            except ImageError as error:
                return Picked(None, path=str(path), problem=str(error))
        digest = hashlib.sha256(repr(picture.image.size).encode() + picture.image.tobytes()).hexdigest()[:24]
        return Picked(picture.image, digest, picture.notes, str(path))

    return _pictures.get((str(path), status.st_mtime_ns, status.st_size), read)


def picture_input(path: Path, **options: Any) -> gr.Image:
    """Make a gr.Image that answers a bad file with a sentence and decodes nothing before its limits are checked.

    Args:
        path: what it shows first.
        options: of gr.Image.
    """
    component = gr.Image(str(path), **options)
    # Not a subclass: for those gradio writes a .pyi file into the package. It builds a component anew when a handler
    # returns an update for it, so none may for this one.
    setattr(component, "preprocess", _preprocess)  # noqa: B010 - a method is replaced on purpose
    setattr(component, "postprocess", _postprocess)  # noqa: B010
    return component


def _preprocess(payload: ImageData | None) -> Picked | None:
    """The picture, or None where there is none; gradio has checked that the path is one of its own uploads."""
    if payload is None or payload.path is None:
        return None
    return pick(payload.path)


def _postprocess(value: str | Path | None) -> ImageData | None:
    """Show a file as it is; nothing is decoded on the way out."""
    return None if value is None else ImageData(path=str(value), orig_name=Path(value).name)
