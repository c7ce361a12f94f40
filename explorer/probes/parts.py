"""The rows of a whole from those of its parts: a probe that measures every picture by itself can be run on shards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from explorer import statistics
from explorer.probes.base import Probe
from explorer.probes.rows import Row, together

#: Columns of a row that do not tell what was measured.
_FOUND = ("value", "n", "low", "high", "interval", "stimuli")


def whole(kind: type[Probe], parts: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of one model on a whole set from its rows on the parts, given in the order of the set.

    Numbers, intervals and n are those of the probe run on all at once; conditions of `Probe.pooled` too.

    Args:
        kind: a probe that can be measured in parts.
        parts: rows of each, which know what they are made of (``keep`` of `explorer.probes.run.steps`).

    Raises ValueError where they do not.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for rows in parts:
        for one in rows:
            key = tuple(
                (name, value) for name, value in sorted(one.items()) if name not in _FOUND and name not in kind.pooled
            )
            groups.setdefault(key, []).append(one)
    functions = functions_of(kind)
    return [together(some, functions, kind.pooled) for some in groups.values()]


def functions_of(kind: type[Probe]) -> Mapping[str, Callable[[Any], float]]:
    """The functions of a mean that a probe's rows may name: those of its module, and of `explorer.statistics`."""
    found = {**vars(statistics), **vars(sys.modules[kind.__module__])}
    return {name: one for name, one in found.items() if callable(one) and not isinstance(one, type)}
