"""Pictures in a folder on storage, by the rules of `folders`; what is a picture is told by a file's name there.

To look at the first bytes of each, as on a disk, would ask the storage as often as there are files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from explorer.errors import ImageError, ParameterError
from explorer.images.folders import MASK, MEANT, SPLITS, FoundPicture, label_of_name, labels_of, skipped
from explorer.images.picture import MAX_BYTES
from explorer.images.storage import StoredFile, ordered
from explorer.messages import Message


@dataclass(frozen=True)
class StoredPicture(FoundPicture):
    """A picture that is a file on storage."""

    path: StoredFile
    mask: StoredFile | None = None

    def bytes(self) -> bytes:
        """Its file's bytes, or as many as are too many. Raises ImageError."""
        try:
            with self.path.native() as file:
                return bytes(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise ImageError(Message("'{name}' cannot be read: {error}", name=self.path, error=error)) from None


def stored_pictures(root: StoredFile) -> Iterator[StoredPicture]:
    """The pictures of a folder on storage in the order of `folders.Folder`. Raises ParameterError for one of none."""
    every = [one for one in root.files() if not any(map(skipped, one.below.split("/")))]
    labels = _csv(every)
    names = {one.below for one in every}
    stems = {one.below.rpartition(".")[0]: one for one in every if not one.below.endswith(MASK)}
    count = 0
    for one, split, parts in ordered(every, SPLITS):
        if one.suffix.lower() not in MEANT or (one.below.endswith(MASK) and one.below[: -len(MASK)] in stems):
            continue
        count += 1
        own = next((labels[key] for key in (one.below, one.name, one.stem) if key in labels), "")
        label = own or (parts[0] if len(parts) > 1 else label_of_name(one.stem))
        mask = one.below.rpartition(".")[0] + MASK
        yield StoredPicture(one, label, split, StoredFile(one.address, mask) if mask in names else None)
    if not count:
        raise ParameterError(
            Message("'{root}' has no pictures, or no one may read them: {count} files", root=root, count=len(every))
        )


def _csv(every: list[StoredFile]) -> dict[str, str]:
    """The labels that the folder's own .csv file gives; of several, labels.csv."""
    files = [one for one in every if "/" not in one.below and one.suffix.lower() == ".csv"]
    if len(files) > 1:
        files = [one for one in files if one.name.lower() == "labels.csv"]
    if not files:
        return {}
    try:
        return labels_of(csv.reader(io.StringIO(files[0].read().decode("utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(
            Message(
                "'{path}' cannot be read as labels ({error}); two columns, filename and label, in UTF-8 are expected",
                path=files[0],
                error=error,
            )
        ) from None
