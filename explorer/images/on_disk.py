"""Pictures that are read when they are looked at, those of a folder too: a data set's thousands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.cache import Bounded
from explorer.errors import ImageError
from explorer.images import Bands, Picture, read_image
from explorer.images.folders import Folder, FolderPicture, FoundPicture
from explorer.images.packed import PackedPicture
from explorer.images.storage import StoredFile
from explorer.images.stored import StoredPicture
from explorer.messages import Message

#: Bytes of decoded pictures that are kept, so that those of a small folder are decoded once.
DECODED_BYTES = 256 * 2**20


class OnDisk(Picture):
    """A picture that is read when it is looked at: a data set's thousands would not fit the memory."""

    path: Path | StoredFile
    bands: Bands | None
    packed: PackedPicture | StoredPicture | None

    def __init__(self, found: Path | FoundPicture, bands: Bands | None = None) -> None:
        path = found if isinstance(found, Path) else found.path
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "name", path.name if isinstance(found, Path) else found.file_name)
        object.__setattr__(self, "bands", None if bands is None else tuple(bands))
        object.__setattr__(self, "packed", found if isinstance(found, (PackedPicture, StoredPicture)) else None)

    @property
    def image(self) -> Image.Image:
        """RGB, 8 bits, upright. Raises ImageError."""
        packed = self.packed
        if isinstance(self.path, StoredFile):
            assert packed is not None
            return _DECODED.get((packed, self.bands), lambda: read_image(packed.bytes(), self.bands).image)
        try:
            changed = self.path.stat().st_mtime_ns
        except OSError as error:
            raise ImageError(
                Message("'{name}' cannot be opened: {error}", name=self.path, error=error.strerror or error)
            ) from error
        if packed is not None:
            key = (packed, changed, self.bands)
            return _DECODED.get(key, lambda: read_image(packed.bytes(), self.bands).image)
        return _DECODED.get((self.path, changed, self.bands), lambda: read_image(self.path, self.bands).image)


_DECODED: Bounded[Any, Image.Image] = Bounded(DECODED_BYTES, lambda image: 4 * image.width * image.height)


def checked(folder: Folder, bands: Bands | None = None) -> Iterator[tuple[FolderPicture, OnDisk]]:
    """The pictures of a folder that can be read; the others are left out of it, and remembered by it."""
    for found in folder:
        picture = OnDisk(found, bands)
        try:
            picture.image  # noqa: B018 - decoded, to know that it can be
        except ImageError as error:
            folder.leave_out(found.path, error)
        else:
            yield found, picture
