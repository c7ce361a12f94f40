"""A text for people: which sentence it is, and what it was filled in with.

`Message` is a str, and reads as English everywhere: in a terminal, in an error, in a file. It also keeps its template
and its values, so that the page can say it in another language: the template is looked up in a catalogue, then filled
in. Nothing parses prose.

A value that is itself a text for people is a Message too, and is said in the same language; a plain str is a name (of a
model, a layer, a file) and stays as it is.

Catalogues are gettext's: ``assets/locales/zh.po``. Babel extracts the texts and keeps them up to date; CONTRIBUTING.md
says how.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from gettext import GNUTranslations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from explorer.resources import asset

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

#: The language of the templates.
ENGLISH = "en"
_PLACE = re.compile(r"\{(\w+)\}")

Value: TypeAlias = "str | int | float"
"""What stands in a template's place: a name or a number as it is, or a Message."""


class Message(str):
    """A text for people that keeps its template and values: ``Message("softmax over {n} positions", n=144)``.

    Args:
        template: English, with ``{name}`` where a value stands.
        values: what stands there. An error stands for its message, a number is written as Python writes it (a whole
            float without its ".0"), anything else by its str.

    Attributes:
        template: as given; the key in a catalogue.
        plural: the template for another number than one, or "".
        number: that which decides between the two.
        values: what stands in its places.
    """

    template: str
    plural: str
    number: int
    values: Mapping[str, Value]

    def __new__(cls, template: str, /, **values: Any) -> Message:
        return cls._made(template, "", 1, {name: _value(one) for name, one in values.items()})

    @classmethod
    def _made(cls, template: str, plural: str, number: int, values: Mapping[str, Value]) -> Message:
        one = super().__new__(cls, filled(plural if plural and number != 1 else template, values))
        one.template, one.plural, one.number = str(template), str(plural), number
        one.values = MappingProxyType(dict(values))
        return one

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.template, self.plural, self.number, dict(self.values))

    def each(self, change: Callable[[str], str]) -> Message:
        """The same message with every plain text in it changed, in messages within it too."""
        changed = {name: _each(one, change) for name, one in self.values.items()}
        return Message._made(self.template, self.plural, self.number, changed)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text in which names (of models, ...) are replaced: the text itself, and what stands in a message's places."""
    return text.each(lambda one: names.get(one, one)) if isinstance(text, Message) else names.get(text, text)


def _again(template: str, plural: str, number: int, values: Mapping[str, Value]) -> Message:
    return Message._made(template, plural, number, values)


def _each(value: Value, change: Callable[[str], str]) -> Value:
    if isinstance(value, Message):
        return value.each(change)
    return change(value) if isinstance(value, str) else value


def _value(value: Any) -> Value:
    if isinstance(value, BaseException):
        return message_of(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return str(value)
    return value


def filled(template: str, values: Mapping[str, Value]) -> str:
    """A template with its values written into their places."""
    return _PLACE.sub(lambda found: _written(values[found[1]]) if found[1] in values else found[0], template)


def _written(value: Value) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def counted(one: str, many: str, n: int, /, **values: Any) -> Message:
    """A message that depends on a number: ``counted("{n} seed", "{n} seeds", n=3)``; ``n`` is one of its values."""
    return Message._made(one, many, n, {"n": n, **{name: _value(value) for name, value in values.items()}})


#: How two texts are put together.
PAIRS = (
    Message("{first}, {rest}"),
    Message("{first}; {rest}"),
    Message("{first}: {rest}"),
    Message("{first} {rest}"),
    Message("{first} · {rest}"),
    Message("{first}. {rest}"),
    Message("{first} or {rest}"),
    Message("{first} and {rest}"),
)


def listed(parts: Iterable[Any], pair: str = "{first}, {rest}") -> str:
    """Texts one after another.

    Args:
        parts: texts, or errors.
        pair: how two of them are put together, one of `PAIRS`.

    Raises ValueError for another pair: no catalogue would have it.
    """
    if pair not in PAIRS:
        raise ValueError(f"two texts are put together by one of {', '.join(map(repr, PAIRS))}; got {pair!r}")
    found = [_value(one) for one in parts]
    if not found:
        return ""
    said = found[-1]
    for one in reversed(found[:-1]):
        said = Message(pair, first=one, rest=said)
    return said if isinstance(said, Message) else str(said)


def ranged(value: str, low: str | None, high: str | None) -> str:
    """A value with the ends of its interval, where it has any: "52 % (40 to 64)"."""
    if low is None or high is None:
        return value
    return Message("{value} ({low} to {high})", value=value, low=low, high=high)


def sentences(*parts: Any) -> str:
    """Whole sentences one after another; those that are "" are left out."""
    return listed([one for one in parts if one], "{first} {rest}")


def message_of(error: BaseException) -> str:
    """What an error says, as a Message where it was raised with one."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Message) else str(error)


# ---- on the way to another process, or to a browser


def encoded(value: Any) -> Any:
    """A value for JSON that keeps its messages: {template, values}, and for those that count {plural, number} too.

    A message without values is its template, which the browser looks up as it stands.
    """
    # An answer has thousands of plain values and few messages, and follows a drag.
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Message):
        return apart(value) if value.values or value.plural else value.template
    if isinstance(value, (list, tuple)):
        return [encoded(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): encoded(one) for name, one in value.items()}
    return value


_PLAIN = (str, int, float, bool, type(None))


def apart(text: str) -> dict[str, Any]:
    """A text as its template and its values."""
    if not isinstance(text, Message):
        return {"template": text, "values": {}}
    values = {name: apart(one) if isinstance(one, Message) else one for name, one in text.values.items()}
    counting = {"plural": text.plural, "number": text.number} if text.plural else {}
    return {"template": text.template, "values": values, **counting}


def decoded(value: Any) -> Any:
    """What `encoded` made of a value; a message that had no values stays its template."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "template" not in value:
        return {name: decoded(one) for name, one in value.items()}
    values = {name: decoded(one) for name, one in value["values"].items()}
    return Message._made(value["template"], value.get("plural", ""), value.get("number", 1), values)


# ---- catalogues


def codes() -> tuple[str, ...]:
    """The codes of the languages that there are: English, and those that have a catalogue."""
    return (ENGLISH, *_files())


def languages() -> dict[str, str]:
    """Language code -> its name in that language."""
    return {code: say(Message("English"), code) for code in codes()}


def language_of(asked: Any) -> str:
    """The language that somebody asked for, English where there is no catalogue for it."""
    return asked if isinstance(asked, str) and asked in _files() else ENGLISH


def say(text: str, language: str) -> str:
    """A text in a language; what has no translation stays as it is.

    A plain str is looked up as it stands; in a Message's places it is a name and stays.
    """
    if not text or language == ENGLISH or language not in _files():
        return text
    table = catalogue(language)
    if not isinstance(text, Message):
        return table.gettext(text)
    if text.plural:
        template = table.ngettext(text.template, text.plural, text.number)
    else:
        template = table.gettext(text.template) if text.template else ""
    said = {name: say(one, language) if isinstance(one, Message) else one for name, one in text.values.items()}
    return filled(template, said)


#: Where the catalogues are, one a language.
FOLDER = asset("locales")


def _files() -> dict[str, Path]:
    return _found(FOLDER)


@lru_cache(maxsize=4)
def _found(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.po"))}


def entries(language: str) -> Catalog:
    """The catalogue of a language that has a file, as Babel reads it."""
    return _read(_files()[language])[0]


def catalogue(language: str) -> GNUTranslations:
    """The translations of a language that has a file, for lookups."""
    return _read(_files()[language])[1]


@lru_cache(maxsize=8)
def _read(path: Path) -> tuple[Catalog, GNUTranslations]:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        found = read_po(file, locale=path.stem)
    compiled = io.BytesIO()
    write_mo(compiled, found)
    compiled.seek(0)
    return found, GNUTranslations(compiled)
