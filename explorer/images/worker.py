"""Decode strangers' pictures in a process of their own, which is ended at a time limit and bounded in memory.

What `first` lets through may still take a decoder long, and a decoder written in C can be neither interrupted nor kept
from the memory of its process. So a page's pictures are decoded in a small process that knows Pillow and numpy alone;
it stays from picture to picture, and is ended and replaced when one takes too long. Memory is bounded where the system
keeps RLIMIT_AS (Linux; macOS takes it and does not keep it, Windows has none: there the limits on pixels are the
bound).
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from PIL import Image

from explorer.errors import ImageError
from explorer.images.picture import Picture
from explorer.images.reading import read_image
from explorer.messages import Message, decoded, encoded

#: Seconds that one picture may take to decode; the largest photographs accepted take one.
TIME_LIMIT: Final = 6.0
#: Seconds that a process may take to start, on a machine that is busy.
START_LIMIT: Final = 60.0
#: Bytes of address space of a process: the largest picture accepted, some copies of it, and the libraries.
MEMORY: Final = 3 * 2**30
#: Processes at most; what they hold at once is what strangers choose.
PROCESSES: Final = 2


class _Gone(Exception):
    """The process ended, or was ended."""


class _Process:
    """One decoding process: asked by a line of JSON, it answers with a line of JSON, pixels and a digest."""

    def __init__(self, command: Sequence[str]) -> None:
        # Threads of numerical libraries only take address space here.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).resolve().parents[2],  # where this package is found first, whatever lies around
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal is the server's to hear
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._limited(START_LIMIT, self._line)

    def ask(self, question: dict[str, Any], limit: float) -> tuple[dict[str, Any], np.ndarray, str]:
        """Return its answer, pixels and their digest; raises _Gone."""
        return self._limited(limit, lambda: self._asked(question))

    def _asked(self, question: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray, str]:
        self._in.write(json.dumps(question).encode() + b"\n")
        answer = self._line()
        if "error" in answer:
            return answer, np.empty(0, np.uint8), ""
        pixels = np.empty(answer["size"][0] * answer["size"][1] * 3, np.uint8)
        view, done = memoryview(pixels.data), 0
        while done < len(pixels):
            read = self._out.readinto(view[done:])  # type: ignore[attr-defined]
            if not read:
                raise _Gone
            done += read
        return answer, pixels, self._line()["digest"]

    def _line(self) -> dict[str, Any]:
        line = bytearray()
        while not line.endswith(b"\n"):
            if not (one := self._out.read(1)):
                raise _Gone
            line += one
        found: dict[str, Any] = decoded(json.loads(line))
        return found

    def _limited(self, seconds: float, work: Any) -> Any:
        """Do what waits for the process, which is ended after so many seconds: then the waiting ends with _Gone."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            return work()
        except BaseException as error:
            self.end()
            if isinstance(error, (OSError, ValueError)):
                raise _Gone from error
            raise
        finally:
            timer.cancel()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it; nothing of it is left."""
        self._process.kill()
        self._in.close()
        self._out.close()
        self._process.wait()


class Decoders:
    """Decoding processes, started when they are first needed.

    Args:
        limit: seconds for one picture.
        command: what is run; another one for tests.
    """

    def __init__(
        self, limit: float = TIME_LIMIT, command: Sequence[str] = (sys.executable, "-m", "explorer.images.worker")
    ) -> None:
        self.limit, self._command = limit, tuple(command)
        self._free: list[_Process] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PROCESSES)

    def decode(self, path: str | Path) -> tuple[Picture, str]:
        """Read a picture file as `read_image` does; returns it and the SHA-256 of its size and pixels.

        Waits while all processes are busy. Raises ImageError, also where the time or the memory did not suffice.
        """
        path, began = Path(path).absolute(), False
        with self._places:
            try:
                with self._lock:
                    process = self._free.pop() if self._free else None
                if process is not None and not process.alive:
                    process.end()
                    process = None
                if process is None:
                    process = _Process(self._command)
                began = True
                answer, pixels, digest = process.ask({"path": str(path), "limit": self.limit}, self.limit)
            except _Gone:
                if not began:
                    raise ImageError(
                        Message("{name} cannot be decoded now: no process for it starts; try again", name=path.name)
                    ) from None
                raise ImageError(
                    Message(
                        "{name} took more than {limit} seconds or more memory than there is to decode, which no "
                        "photograph does; open it, save it anew and choose that",
                        name=path.name,
                        limit=f"{self.limit:g}",
                    )
                ) from None
            with self._lock:
                self._free.append(process)
        if "error" in answer:
            raise ImageError(answer["error"])
        width, height = answer["size"]
        image = Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)
        return Picture(image, tuple(answer["notes"]), answer["name"]), digest

    def close(self) -> None:
        """End the processes that are free; one that is busy ends with its picture's limit."""
        with self._lock:
            free, self._free = self._free, []
        for one in free:
            one.end()


_decoders = Decoders()
atexit.register(_decoders.close)


def decode(path: str | Path) -> tuple[Picture, str]:
    """Read a picture file in a process of its own; see `Decoders.decode`."""
    return _decoders.decode(path)


# ---- in the process -------------------------------------------------------------------------------------------------


def main() -> None:
    """Answer questions until there is nobody to ask them."""
    questions: IO[bytes] = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    bound_memory()
    Image.init()
    _tell(answers, {"ready": True})
    for line in questions:
        question = json.loads(line)
        if hasattr(signal, "setitimer"):  # ends a decoder whose server is gone, in C or not
            signal.setitimer(signal.ITIMER_REAL, 2 * question["limit"])
        _answer(answers, question["path"])
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(answers: IO[bytes], path: str) -> None:
    try:
        picture = read_image(path)
        pixels = picture.image.tobytes()
    except ImageError as error:
        gone = not os.path.isfile(path)  # whose message would name its place
        _tell(
            answers,
            {
                "error": Message("{name} is no longer there; choose it again", name=Path(path).name)
                if gone
                else error.message
            },
        )
        return
    except MemoryError:
        _tell(
            answers,
            {
                "error": Message(
                    "{name} needs too much memory to decode; save a smaller copy of it", name=Path(path).name
                )
            },
        )
        return
    _tell(answers, {"size": picture.image.size, "notes": picture.notes, "name": picture.name})
    answers.write(pixels)
    answers.flush()
    # While the other side makes an image of them.
    digest = hashlib.sha256(repr(picture.image.size).encode())
    digest.update(pixels)
    _tell(answers, {"digest": digest.hexdigest()})


def _tell(answers: IO[bytes], what: dict[str, Any]) -> None:
    answers.write(json.dumps(encoded(what)).encode() + b"\n")
    answers.flush()


def bound_memory() -> None:
    """Bound this process's address space, where the system knows how."""
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    except (ValueError, OSError):  # macOS may refuse
        return


if __name__ == "__main__":
    main()
