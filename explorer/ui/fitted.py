"""Weights files that visitors bring: what `explorer fit` or `explorer train` wrote, shown beside the other models."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

from explorer.errors import WeightsError
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.models.weights import FITTED, RECORD, read_note
from explorer.ui.guard import pathless
from explorer.ui.scratch import new_folder
from explorer.writing import write

#: Largest file, and bytes of all together; the oldest go first. Gradio refuses larger uploads before they are read.
MAX_BYTES, KEPT_BYTES = 32 * 2**20, 512 * 2**20
_TEXT = re.compile(r"(.+) file:([0-9a-f]{12})")


class Files:
    """Files by the digest of their bytes, which only those know who have the file.

    A model of one is named ``SPEC file:DIGEST`` on the page, SPEC being what the file says that it was made for.

    Args:
        folder: where they are kept; None for a folder that goes with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            folder = new_folder("weights")
        self.folder = folder
        self._kept: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, path: Path) -> str:
        """Keep a copy of a file and return the text of its model.

        Raises WeightsError for what is no such file, ParameterError for what it says that it was made for, WriteError
        where there is no room for it.
        """
        size = path.stat().st_size
        if path.suffix != ".safetensors":
            raise WeightsError(
                Message("'{name}' is no safetensors file; give the one that explorer fit wrote", name=path.name)
            )
        if size > MAX_BYTES:
            raise WeightsError(
                Message(
                    "'{name}' has {size} MB; at most {most} MB are taken",
                    name=path.name,
                    size=f"{size / 2**20:.0f}",
                    most=MAX_BYTES // 2**20,
                )
            )
        try:
            record = read_note(path, FITTED) or read_note(path, RECORD)
        except WeightsError as error:
            raise WeightsError(pathless(error.message)) from None
        if record is None or not isinstance(record.get("spec"), str):
            raise WeightsError(
                Message(
                    "'{name}' does not say which model it is for; give the one that explorer fit wrote", name=path.name
                )
            )
        spec = ModelSpec.parse(record["spec"])
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        with self._lock:
            if digest not in self._kept:
                write(self._file(digest), content)
                self._kept[digest] = size
            self._kept.move_to_end(digest)
            while sum(self._kept.values()) > KEPT_BYTES:
                self._file(self._kept.popitem(last=False)[0]).unlink(missing_ok=True)
        return f"{spec} file:{digest}"

    def spec(self, spec: ModelSpec, digest: str) -> ModelSpec:
        """The spec with the file of a digest laid over it; raises WeightsError where the file is gone."""
        if not self._file(digest).is_file():
            raise WeightsError(Message("the file {digest} is no longer on the server; load it again", digest=digest))
        return replace(spec, weights_file=str(self._file(digest)))

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.safetensors"


def split(text: str) -> tuple[str, str]:
    """The spec's text and the digest of a model's text; the digest is "" for a model without a file."""
    found = _TEXT.fullmatch(text.strip())
    return (found.group(1), found.group(2)) if found else (text, "")
