"""One registry class; BLOCKS, METHODS and (later) PROBES are its instances.

An entry's docstring and fields are its whole declaration: the page's controls, the command's flags and the
parametrised tests are derived from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, fields
from typing import Any, Generic, TypeVar

from explorer.errors import ParameterError, UnknownNameError

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


def check_fields(entry: Any) -> None:
    """Check the values of an entry made of `parameter` fields against what they declare; raises ParameterError."""
    name = type(entry).__name__
    for one in fields(entry):
        value, rules = getattr(entry, one.name), one.metadata
        if value is None and one.default is None:
            continue
        if rules["choices"]:
            if value not in rules["choices"]:
                raise ParameterError(f"{name}: {one.name} is one of {', '.join(rules['choices'])}, got {value!r}")
            continue
        if "str" in str(one.type) or "bool" in str(one.type):
            kind = str if "str" in str(one.type) else bool
            if not isinstance(value, kind):
                raise ParameterError(f"{name}: {one.name} is {_KINDS[kind]}, got {value!r}")
            continue
        whole = "int" in str(one.type)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ParameterError(f"{name}: {one.name} is {_KINDS[int if whole else float]}, got {value!r}")
        low, high = rules["low"], rules["high"]
        if not ((low is None or value >= low) and (high is None or value <= high)):
            raise ParameterError(f"{name}: {one.name} lies from {low} to {high} {rules['unit']}, got {value}".rstrip())


_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A read-only mapping from name to entry that is filled by its ``register`` decorator."""

    def __init__(self, what: str, needs: Sequence[str] = ()) -> None:
        self._what, self._needs = what, needs
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Return a decorator that files an entry under ``name``; raises ValueError for a second entry of
        that name, or one that does not declare what every entry needs."""

        def add(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"{self._what} '{name}' is registered twice")
            if missing := [one for one in self._needs if not hasattr(entry, one)]:
                raise ValueError(f"{self._what} '{name}' does not declare {', '.join(missing)}")
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
