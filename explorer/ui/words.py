"""In which language is the page? English texts are the keys, assets/locales/ has their translations.

A table maps an English text to its translation; {names} stand for what is filled in. A text that the library composed
("softmax over 144 positions") is found by the table's templates ("softmax over {n} positions"), and what stands in
their places is translated in turn, but for names: ImageNet's class "stage" is none of timm's stages. A text without a
translation stays English. assets/web/words.js does the same in the browser, step by step: whoever changes one changes
both, and a test compares them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr
from gradio.i18n import I18nData

from explorer.figures.sheet import Axis, Bars, Chart, Line, Map, Panel, Radar, Section, Sheet, Table, Words
from explorer.resources import asset
from explorer.scenes import CLASSES

if TYPE_CHECKING:
    pass

#: The language of the keys.
ENGLISH = "en"
_PLACE = re.compile(r"\{(\w+)\}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“(])")
#: A measure, and which way of it is better.
_SIGN = re.compile(r"(.*\S) ([-+↑↓])", re.DOTALL)
#: Places that hold names, of which only those of scenes' classes, and what is no single word, are translated.
_NAMES = {"label", "before", "after", "target", "model", "layer", "path", "spec", "block", "blocks", "mode"}
#: The number behind a class.
_NUMBER = re.compile(r" \(\d+\)$")
#: A thing, and what it is.
_ASIDE = re.compile(r"([^()]*[^() ]) \(([^()]*[a-z]{2}[^()]*)\)")
#: Letters that a template has to have beside its places: "{number} of {count}" would be found in any sentence.
FIXED_LETTERS = 4
#: A template with fewer that begins with a place takes no list.
LONG = 9
_NOTHING, _SEVERAL, _LISTED = re.compile(r"(?!)"), re.compile("; "), re.compile(r"\n|\. |; |: | · |, ")
#: A number, with its interval, before its unit; and from where a range goes.
_VALUE = re.compile(r"([-+]?\d[\d.e+-]*(?: %)?(?: \([^()]*\))?) ([A-Za-z].*)", re.DOTALL)
_RANGE = re.compile(r"(\d) to (?=[-+]?\d)")
#: English prose: half a sentence must not stay English beside a translated half.
_PROSE = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b")
#: Where a text may be cut if it has no translation as a whole, in the order in which it is tried.
_CUTS = ("\n", ". ", "; ", ": ", " · ", ", ")


@lru_cache(maxsize=1)
def tables() -> dict[str, dict[str, str]]:
    """Language -> English text -> translation, for every language but English."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(asset("locales").glob("*.json"))
        if path.stem != ENGLISH
    }


def languages() -> dict[str, str]:
    """Language code -> its name in that language."""
    return {ENGLISH: "English"} | {code: table["English"] for code, table in tables().items()}


def language_of(asked: Any) -> str:
    """The language that a browser asked for, English where it is none of the page's."""
    return asked if isinstance(asked, str) and asked in tables() else ENGLISH


def say(text: str, language: str, **values: Any) -> str:
    """An English text, its {names} filled in, in a language; texts that are filled in are said themselves."""
    if language not in tables():
        return _filled(text, {name: str(_plain(value)) for name, value in values.items()})
    found = tables()[language].get(text)
    if found is None:
        found = text if values else _translated(text, language)
    return _filled(found, {name: _said(name, value, language) for name, value in values.items()})


def _said(name: str, value: Any, language: str) -> str:
    """What stands in a place."""
    if not isinstance(value, str):
        return str(_plain(value))
    if name not in _NAMES:
        return _translated(value, language)
    label = _NUMBER.sub("", value)
    if label in CLASSES:
        return _translated(label, language) + value[len(label) :]
    return tables()[language].get(value, value) if " " in value else value


def _plain(value: Any) -> Any:
    """A number as the browser would write it: 2, not 2.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)


@lru_cache(maxsize=4096)
def _translated(text: str, language: str) -> str:
    """A composed text: as a whole, by a template, sentence by sentence, or in pieces."""
    table = tables()[language]
    inner = text.strip()
    if inner != text:
        lead = text[: len(text) - len(text.lstrip())]
        return lead + _translated(inner, language) + text[len(lead) + len(inner) :] if inner else text
    return _RANGE.sub(lambda found: found[1] + table.get(" to ", " to "), _composed(text, language, table))


def _composed(text: str, language: str, table: Mapping[str, str]) -> str:
    for one, end in _variants(text):
        if one in table:
            return _ended(table[one], end, table)
    for one, end in _variants(text):
        for pattern, names, translation, refused in _templates(language):
            found = pattern.fullmatch(one)
            if found and not any(_SENTENCE.search(part) or refused.search(part) for part in found.groups()):
                values = {name: _said(name, part, language) for name, part in zip(names, found.groups())}
                return _ended(_filled(translation, values), end, table)
    signed = _SIGN.fullmatch(text)
    if signed:
        return f"{_translated(signed[1], language)} {signed[2]}"
    sentences = _SENTENCE.split(text)
    if len(sentences) > 1:
        return _joined([_translated(one, language) for one in sentences])
    for cut in _CUTS:
        parts = text.split(cut, 1 if cut == ": " else -1)
        if len(parts) < 2:
            continue
        said = [_translated(one, language) for one in parts]
        # Of a list that has names in it nothing is translated; otherwise no prose may stay English beside Chinese.
        left = [new for new, old in zip(said, parts) if new == old]
        if len(left) < len(parts) and not any(cut == ", " or _PROSE.search(one) for one in left):
            return table.get(cut, cut).join(said)
    aside = _ASIDE.fullmatch(text)
    if aside:
        # One word is a name: of a block, of a layer.
        thing = _translated(aside[1], language) if " " in aside[1] else aside[1]
        return f"{thing} ({_translated(aside[2], language)})"
    measured = _VALUE.fullmatch(text)
    return f"{measured[1]} {_translated(measured[2], language)}" if measured else text


def _variants(text: str) -> Iterator[tuple[str, str]]:
    """Ways in which a text may stand in a table, and the end that was taken off: errors are made sentences of."""
    yield text, ""
    small = text[:1].lower() + text[1:]
    if small != text:
        yield small, ""
    if text.endswith(".") and len(text) > 1:
        yield text[:-1], "."
        if small != text:
            yield small[:-1], "."


def _ended(text: str, end: str, table: Mapping[str, str]) -> str:
    return text + table.get(end, end) if end else text


def _joined(sentences: list[str]) -> str:
    """Sentences one behind the other; after a full-width stop there is no space."""
    said = ""
    for one in sentences:
        said += one if not said or said[-1] in "。！？）" else f" {one}"
    return said


@lru_cache(maxsize=8)
def _templates(language: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...], str, re.Pattern[str]], ...]:
    """Patterns of the keys that have places, those with the most fixed text first: (pattern, places' names,
    translation, what no place may take).
    """
    keys = [key for key in tables()[language] if _PLACE.search(key) and _letters(key) >= FIXED_LETTERS]
    keys.sort(key=lambda key: (-len(_PLACE.sub("", key)), key))
    return tuple((_pattern(key), tuple(_PLACE.findall(key)), tables()[language][key], _refused(key)) for key in keys)


def _refused(key: str) -> re.Pattern[str]:
    """What no place of a key takes: "{n} px down" is not all of "3 px right, 2 px down"."""
    if key[0] != "{":
        return _NOTHING
    return _LISTED if _letters(key) < LONG else _SEVERAL


def _letters(key: str) -> int:
    return len(re.findall("[A-Za-z]", _PLACE.sub("", key)))


def _pattern(key: str) -> re.Pattern[str]:
    pieces = _PLACE.split(key)
    fixed = [re.escape(piece) for piece in pieces[::2]]
    return re.compile("(.*?)".join(fixed), re.DOTALL)


# ---- gradio's own components: it translates in the browser, by tables that are given to launch

_keys: set[str] = set()
_marker = gr.I18n()


def i18n(text: str) -> I18nData:
    """A text for a gradio component that is built once: ``gr.Tab(i18n("Compare"))``. It has no {names}."""
    _keys.add(text)
    return _marker(text)


def gradio_tables() -> gr.I18n:
    """The tables for ``launch(i18n=...)``: of the texts that `i18n` was asked for, and no others."""
    return gr.I18n(
        **{ENGLISH: {key: key for key in sorted(_keys)}},
        **{code: {key: table[key] for key in sorted(_keys & table.keys())} for code, table in tables().items()},
    )


# ---- figures that the server draws

AnyPanel = TypeVar("AnyPanel", bound=Panel)


def translated(sheet: Sheet, language: str) -> Sheet:
    """A figure with every text for people in a language; names of models stay."""
    if language not in tables():
        return sheet
    return dataclasses.replace(
        sheet,
        title=say(sheet.title, language),
        footer=say(sheet.footer, language),
        sections=tuple(translated_section(one, language) for one in sheet.sections),
    )


def translated_section(section: Section, language: str) -> Section:
    """A section with every text in a language."""
    return dataclasses.replace(
        section,
        heading=say(section.heading, language),
        notes=tuple(say(note, language) for note in section.notes),
        rows=tuple(tuple(translated_panel(panel, language) for panel in row) for row in section.rows),
    )


def translated_panel(panel: AnyPanel, language: str) -> AnyPanel:
    """A panel with every text in a language."""
    if language not in tables():
        return panel
    plain: dict[str, Any] = {"title": say(panel.title, language), "unit": say(panel.unit, language)}
    if isinstance(panel, Map) and panel.axes is not None:
        plain["axes"] = (say(panel.axes[0], language), say(panel.axes[1], language))
    elif isinstance(panel, Bars):
        plain["labels"] = _all(panel.labels, language)
    elif isinstance(panel, Words):
        plain["text"] = say(panel.text, language)
    elif isinstance(panel, (Chart, Radar)):
        plain["lines"] = _lines(panel.lines, language)
    elif isinstance(panel, Table):
        plain["columns"] = _all(panel.columns, language)
        plain["rows"] = tuple(_all(row, language) for row in panel.rows)
    if isinstance(panel, Chart):
        plain["marks"] = tuple((place, say(word, language)) for place, word in panel.marks)
        plain["levels"] = tuple((place, say(word, language)) for place, word in panel.levels)
        plain |= {"x": _axis(panel.x, language), "y": _axis(panel.y, language)}
    return dataclasses.replace(panel, **plain)


def _all(texts: tuple[str, ...], language: str) -> tuple[str, ...]:
    return tuple(say(text, language) for text in texts)


def _axis(axis: Axis, language: str) -> Axis:
    return dataclasses.replace(axis, title=say(axis.title, language))


def _lines(lines: tuple[Line, ...], language: str) -> tuple[Line, ...]:
    """Curves with their names and categories in a language; a legend's model name is in no table and stays."""
    said = []
    for line in lines:
        x: Any = tuple(say(one, language) if isinstance(one, str) else one for one in line.x)
        said.append(dataclasses.replace(line, name=say(line.name, language), x=x))
    return tuple(said)
