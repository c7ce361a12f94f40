"""One folder for all that visitors leave behind: it goes with the process, however that ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import threading
from collections import deque
from functools import lru_cache
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from explorer.writing import cannot_write, make_folder, make_temporary_folder, temporary_folder

_PREFIX, _LOCK = "explorer-", "in-use"
#: How often a folder is tried that another process took.
_ATTEMPTS = 5


@lru_cache(maxsize=1)
def scratch() -> Path:
    """This process's folder of temporary files; made, and those of processes that are gone removed, at the first call.

    It lies in GRADIO_TEMP_DIR as that was given, or among the system's temporary files, and only its owner may enter.
    """
    # Resolved, as paths of uploads are before they are compared with it.
    parent = Path(os.path.realpath(os.environ.get("GRADIO_TEMP_DIR") or temporary_folder()))
    make_folder(parent)
    _sweep(parent)
    for attempt in range(_ATTEMPTS):
        folder = make_temporary_folder(_PREFIX, parent)
        lock = FileLock(folder / _LOCK)
        try:  # another that begins may take it for one that was left
            lock.acquire(timeout=0)
            if (folder / _LOCK).exists():
                break
        except (Timeout, OSError) as error:
            if attempt == _ATTEMPTS - 1:
                raise cannot_write(folder / _LOCK, error) from error
    _held.append(lock)
    atexit.register(_remove, folder, os.getpid())
    return folder


#: The system gives a lock back when its process ends, in whatever way.
_held: list[FileLock] = []


def new_folder(name: str) -> Path:
    """A new folder in `scratch`."""
    return make_temporary_folder(f"{name}-", scratch())


class Recent:
    """Folders for what is written for visitors, who fetch gradio's copy of it at once: the oldest go first.

    Args:
        name: what their names begin with.
        most: how many there are at once.
    """

    def __init__(self, name: str, most: int = 16) -> None:
        self._name, self._most = name, most
        self._folders: deque[Path] = deque()

    def new(self) -> Path:
        """A new folder."""
        folder = new_folder(self._name)
        self._folders.append(folder)
        while len(self._folders) > self._most:
            shutil.rmtree(self._folders.popleft(), ignore_errors=True)
        return folder


def take_uploads() -> None:
    """Have gradio keep uploads in `scratch`; before a page is built."""
    home = scratch() / "uploads"
    make_folder(home)
    os.environ["GRADIO_TEMP_DIR"] = str(home)


def remove_when_ended() -> None:
    """Remove `scratch` when the process is told to end, too; without this it would end without another step."""
    if threading.current_thread() is not threading.main_thread():
        return
    folder = scratch()

    def ended(number: int, _: FrameType | None) -> None:
        _remove(folder, os.getpid())
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, ended)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not a child that inherited this
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove the folders of processes that were killed."""
    for lock_file in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        folder = lock_file.parent
        with contextlib.suppress(Timeout, OSError):
            if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
                continue
            with FileLock(lock_file, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
