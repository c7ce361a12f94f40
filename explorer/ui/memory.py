"""The server's resident memory: what was freed goes back to the system."""

from __future__ import annotations

import ctypes
import threading

#: Seconds between two rounds.
_EVERY = 30.0
#: glibc's number for the bound on its arenas, and the bound: each thread would otherwise keep free memory of its own.
_ARENAS, _BOUND = -8, 2


def give_back() -> None:
    """Let glibc share its free memory between threads, and return it to the system from time to time.

    Pictures and activations of every size come and go; without this, what lies free between them grew to several
    hundred megabytes in an hour. Does nothing where there is another C library.
    """
    try:
        library = ctypes.CDLL(None)
        bound, trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError, TypeError):
        return
    bound(_ARENAS, _BOUND)

    def again() -> None:
        while not ended.wait(_EVERY):
            trim(0)

    ended = threading.Event()
    threading.Thread(target=again, name="memory", daemon=True).start()
