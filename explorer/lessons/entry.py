"""A part of a lesson's file that knows where it stands, so that what is wrong is told with its line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from explorer.errors import ExplorerError, LessonError, UnknownNameError
from explorer.lessons.lesson import Text
from explorer.messages import codes


class Entry:
    """A part of a file that knows where it stands."""

    def __init__(self, node: yaml.Node, file: str) -> None:
        self.node, self.file = node, file

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def wrong(self, why: str) -> LessonError:
        return LessonError(f"{self.file}, line {self.line}: {why}")

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Entry]:
        """The values of a mapping with these keys."""
        known = (*required, *optional)
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(f"a list of keys and values is expected here: {', '.join(known)}")
        found: dict[str, Entry] = {}
        for key, value in self.node.value:
            name = str(key.value)
            if name not in known:
                raise Entry(key, self.file).wrong(str(UnknownNameError("key", name, known)))
            if name in found:
                raise Entry(key, self.file).wrong(f"'{name}' stands here a second time")
            found[name] = Entry(value, self.file)
        for name in required:
            if name not in found:
                raise self.wrong(f"'{name}' is missing here; needed are {', '.join(required)}")
        return found

    def pairs(self) -> dict[str, Entry]:
        """The values of a mapping with any names as keys."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("names and their values are expected here")
        return self.fields([str(key.value) for key, _ in self.node.value])

    def items(self, least: int, most: int, what: str) -> list[Entry]:
        """The parts of a list of so many."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong(f"a list of {what} is expected here")
        if not least <= len(self.node.value) <= most:
            raise self.wrong(f"{least} to {most} {what} are expected here, there are {len(self.node.value)}")
        return [Entry(one, self.file) for one in self.node.value]

    def plain(self) -> Any:
        """The value of a scalar as YAML reads it."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong("a single value is expected here")
        try:
            return SafeConstructor().construct_object(self.node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.wrong(f"'{self.node.value}' cannot be read: {error}") from None

    def string(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            raise self.wrong("a text is expected here")
        return str(self.node.value).strip()

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """A number in a range."""
        value = self.plain()
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            limits = f" from {low:g} to {high:g}" if high < math.inf else ""
            raise self.wrong(f"a number{limits} is expected here, not '{value}'")
        return float(value)

    def one_of(self, known: Iterable[str], what: str) -> str:
        """A name out of several."""
        names, value = tuple(known), self.string()
        if value not in names:
            raise self.wrong(str(UnknownNameError(what, value, names)))
        return value

    def words(self) -> Text:
        """A text, or one in several languages; English is always among them."""
        if isinstance(self.node, yaml.ScalarNode):
            return {"en": self.string()}
        return {name: one.string() for name, one in self.fields(("en",), codes()[1:]).items()}

    def list_of(self, known: Sequence[str], what: str) -> tuple[str, ...]:
        """Several names out of some, in the order of those."""
        chosen = {one.one_of(known, what) for one in self.items(0, len(known), f"names of {what}s")}
        return tuple(name for name in known if name in chosen)

    def checked(self, make: Callable[..., Any], name: str, entry: Entry) -> Any:
        """The value of a field of something that is checked by being made."""
        value = entry.plain()
        try:
            make(**{name: value})
        except ExplorerError as error:
            raise entry.wrong(str(error)) from None
        return value
