"""The one way to write a file: whole, beside its place, and then renamed; what fails is a sentence.

A full disk, a process that is ended or a machine that loses power leaves what was there before, never half a file under
its name. So everything is made in memory first, and no other module opens a file for writing.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any

from explorer.errors import WriteError
from explorer.messages import Message, listed

_FULL = Message("the disk is full; make room on it, or choose another place")
#: What the system says, as a reason and what can be done about it.
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: Message("your share of this disk (quota) is used up; make room in it, or choose another place"),
    errno.EFBIG: Message("it is larger than a file may be here (ulimit -f); raise the limit, or choose another place"),
    errno.EACCES: Message("you may not write there; choose another place"),
    errno.EPERM: Message("you may not write there; choose another place"),
    errno.EROFS: Message("this disk can only be read; choose another place"),
    errno.ENAMETOOLONG: Message("its name is too long; choose a shorter one"),
    errno.EISDIR: Message("a folder has this name; choose another one"),
    errno.ENOTDIR: Message("what should be its folder is a file; choose another place"),
    errno.EEXIST: Message("a file has this name; choose another one"),
    errno.ELOOP: Message("it is a link that leads in a circle; choose another place"),
    errno.EMFILE: Message("too many files are open; close some programs and try again"),
    errno.ENFILE: Message("too many files are open; close some programs and try again"),
    errno.EIO: Message("the disk does not work as it should; choose another place"),
}
#: Of errors that more room on the disk would mend.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(path: str | Path, data: bytes | str, kept: str = "") -> Path:
    """Write a file whole or not at all; one that is there is replaced, and a link to it followed.

    Args:
        path: where to; its folder has to be there.
        data: all of it; text as UTF-8.
        kept: what is not lost where it fails, a sentence for the error.

    Raises WriteError.
    """
    path = Path(path)
    # In JSON this is the escape of what UTF-8 does not have: a file's name may hold bytes that are no text.
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    try:
        place = _place(path)
        unfinished = _beside(place)
        try:
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if place.exists():
                os.chmod(unfinished, stat.S_IMODE(place.stat().st_mode))
            os.replace(unfinished, place)
        finally:
            with contextlib.suppress(OSError):  # after the renaming it is gone
                unfinished.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error, kept) from error
    return path


def check_writable(path: str | Path) -> Path:
    """Raise a WriteError where a file could not be written now, before minutes of work are spent on it."""
    path = Path(path)
    try:
        place = _place(path)
        trial = _beside(place)
        try:
            trial.touch(exist_ok=False)
        finally:
            with contextlib.suppress(OSError):
                trial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
    return path


def make_folder(path: str | Path) -> Path:
    """Make a folder, and those above it, where it is not there. Raises WriteError."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
    return path


def make_temporary_folder(prefix: str, parent: Path) -> Path:
    """Make a new folder in ``parent`` that its owner alone may enter. Raises WriteError."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise cannot_write(parent, error) from error


def temporary_folder() -> Path:
    """The system's folder of temporary files; a WriteError where no file can be written there."""
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise WriteError(
            Message(
                "no temporary file can be written: the disk for them is full, or not yours to write; make room on "
                "it, or set TMPDIR to a folder that has some"
            )
        ) from error


def cannot_write(path: str | Path, error: Exception, kept: str = "") -> WriteError:
    """The error that says why a path cannot be written, what to do, and what is kept."""
    said = reason(error)
    if getattr(error, "errno", None) == errno.ENOENT:
        said = Message("there is no folder '{parent}'; make it, or choose another place", parent=Path(path).parent)
    what = Message("'{path}' cannot be written: {error}", path=path, error=said)
    return WriteError(listed([what, kept], "{first}. {rest}") if kept else what)


def reason(error: Exception) -> str:
    """What the system's complaint means, and what can be done about it."""
    number = getattr(error, "errno", None)
    return _REASONS.get(number or 0) or getattr(error, "strerror", None) or str(error) or type(error).__name__


def _place(path: Path) -> Path:
    """Where a file really is, or will be; raises OSError where nothing can be put in its place."""
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if place.exists():
        if not place.is_file():
            # To rename a file onto /dev/full would replace the device.
            raise OSError(None, Message("it is a device or a pipe, not a file; choose another place"))
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return place


def _beside(place: Path) -> Path:
    # Not made of the file's own name, which may be as long as a name can be.
    return place.with_name(f".explorer-{os.getpid()}-{secrets.token_hex(4)}.part")


def plain(value: Any) -> Any:
    """Turn tensors, tuples and what JSON does not have (NaN) into what it has."""
    if hasattr(value, "detach"):
        return plain(value.detach().cpu().float().tolist())
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
