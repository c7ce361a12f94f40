"""One registry class; BLOCKS, METHODS and (later) PROBES are its instances.

An entry's docstring and fields are its whole declaration: the page's controls, the command's flags and the
parametrised tests are derived from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Generic, TypeVar

from explorer.errors import UnknownNameError

Entry = TypeVar("Entry")


def parameter(
    default: Any,
    text: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: Sequence[str] = (),
) -> Any:
    """Return a dataclass field that carries its description, range (inclusive), unit and choices."""
    return field(
        default=default, metadata={"text": text, "low": low, "high": high, "unit": unit, "choices": tuple(choices)}
    )


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A read-only mapping from name to entry that is filled by its ``register`` decorator."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Return a decorator that files an entry under ``name``; a second entry of that name raises ValueError."""

        def add(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"{self._what} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self._what, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self._what}: {', '.join(self._entries)})"
