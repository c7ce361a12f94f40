"""The page's texts at the edge: components of gradio, figures that the server draws, and what goes to the browser.

The browser looks its texts up itself, in a table that comes from the same catalogue: assets/web/words.js.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from gettext import c2py
from types import MappingProxyType
from typing import Any, TypeVar

import gradio as gr

from explorer.figures.sheet import Bars, Chart, Line, Map, Panel, Radar, Section, Sheet, Table, Words
from explorer.lessons import shipped
from explorer.messages import ENGLISH, encoded, entries, languages, renamed, say
from explorer.scenes import CLASSES

#: How far the browser's table of plural forms goes; beyond it they repeat every hundred.
_PLURALS = 200


def dumps(value: Any) -> str:
    """A value with messages as JSON text for the browser."""
    return json.dumps(encoded(value), allow_nan=False)


def table(language: str) -> dict[str, Any]:
    """What the browser needs to say texts in a language: each text's translation, or its plural forms in a list.

    ``plurals``: which of them a number takes, from 0 on; ``names``: the classes of scenes, which are translated though
    they are names. Lessons come translated, so their texts are not among them.
    """
    found, elsewhere = entries(language), of_lessons()
    texts = {_key(one.id): one.string for one in found if one.id and one.string and one.id not in elsewhere}
    form = c2py(found.plural_expr)
    return {"texts": texts, "plurals": [form(n) for n in range(_PLURALS)], "names": sorted(CLASSES)}


def of_lessons() -> set[str]:
    """The sentences of the lessons that ship, which are said nowhere else."""
    steps = (step for lesson in shipped() for step in lesson.steps)
    return {texts[ENGLISH] for one in steps for texts in (one.question, one.explanation, one.notes) if texts}


def _key(found: str | list[str] | tuple[str, ...]) -> str:
    return found if isinstance(found, str) else found[0]


# ---- gradio's own components: it translates in the browser, by tables that are given to launch

_marked: dict[str, Any] = {}
_marker = gr.I18n()


def i18n(text: str) -> Any:
    """A text for a gradio component that is built once: ``gr.Tab(i18n("Compare"))``. It has no {names}."""
    if str(text) not in _marked:
        _marked[str(text)] = _marker(str(text))
    return _marked[str(text)]


def text_of(value: Any) -> str | None:
    """The text that `i18n` made a component's label of, or None where it made none; Markdown keeps it as a string."""
    return next((text for text, made in _marked.items() if made is value or str(made) == value), None)


def gradio_tables() -> gr.I18n:
    """The tables for ``launch(i18n=...)``: of the texts that `i18n` was asked for, and no others."""
    return gr.I18n(**{code: {key: say(key, code) for key in sorted(_marked)} for code in languages()})


# ---- figures that the server draws

AnyPanel = TypeVar("AnyPanel", bound=Panel)


def translated(sheet: Sheet, language: str, names: Mapping[str, str] = MappingProxyType({})) -> Sheet:
    """A figure with every text for people in a language; ``names``: as of `translated_panel`."""
    if language == ENGLISH and not names:
        return sheet
    return dataclasses.replace(
        sheet,
        title=say(renamed(sheet.title, names), language),
        footer=say(sheet.footer, language),
        sections=tuple(_translated_section(one, language, names) for one in sheet.sections),
    )


def _translated_section(section: Section, language: str, names: Mapping[str, str]) -> Section:
    return dataclasses.replace(
        section,
        heading=say(renamed(section.heading, names), language),
        notes=tuple(say(renamed(note, names), language) for note in section.notes),
        rows=tuple(tuple(translated_panel(panel, language, names) for panel in row) for row in section.rows),
    )


def translated_panel(panel: AnyPanel, language: str, names: Mapping[str, str] = MappingProxyType({})) -> AnyPanel:
    """A panel with every text in a language.

    Args:
        panel: with texts as messages.
        language: code of a language.
        names: what models are called; those that are not in it keep their names.
    """
    if language == ENGLISH and not names:
        return panel

    def told(text: str) -> str:
        return say(renamed(text, names), language)

    def every(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(told, texts))

    plain: dict[str, Any] = {"title": told(panel.title), "unit": told(panel.unit)}
    if isinstance(panel, Map) and panel.axes is not None:
        plain["axes"] = (told(panel.axes[0]), told(panel.axes[1]))
    elif isinstance(panel, Bars):
        plain["labels"] = every(panel.labels)
    elif isinstance(panel, Words):
        plain["text"] = told(panel.text)
    elif isinstance(panel, (Chart, Radar)):
        plain["lines"] = tuple(_line(line, told) for line in panel.lines)
    elif isinstance(panel, Table):
        plain["columns"] = every(panel.columns)
        plain["rows"] = tuple(map(every, panel.rows))
    if isinstance(panel, Chart):
        plain["marks"] = tuple((place, told(word)) for place, word in panel.marks)
        plain["levels"] = tuple((place, told(word)) for place, word in panel.levels)
        plain |= {
            name: dataclasses.replace(axis, title=told(axis.title)) for name, axis in (("x", panel.x), ("y", panel.y))
        }
    return dataclasses.replace(panel, **plain)


def _line(line: Line, told: Callable[[str], str]) -> Line:
    """A curve with its name and categories said."""
    x: Any = tuple(told(one) if isinstance(one, str) else one for one in line.x)
    return dataclasses.replace(line, name=told(line.name), x=x)
