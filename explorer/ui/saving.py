"""What was measured as files: the figures of one probe, or everything, with the address that shows it again."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import gradio as gr

from explorer.errors import ParameterError
from explorer.figures.looks import names_of
from explorer.figures.saving import save
from explorer.figures.sheet import Section
from explorer.messages import ENGLISH, Message, language_of
from explorer.probes import show
from explorer.probes.finding import finding
from explorer.probes.result import ProbeResult
from explorer.ui.handlers import checked
from explorer.ui.measuring import Kept, Wanted
from explorer.ui.scratch import Recent
from explorer.ui.words import translated
from explorer.writing import write

#: Signs of a figure's link at most.
LONGEST = 8000

_exports = Recent("biases")


def figures_of(kept: Kept | None, asked: Any, link: Any = "", language: Any = ENGLISH) -> list[str]:
    """Write the figures of the probe that is shown, with what was found and what they depend on: PNG and SVG.

    Args:
        kept: the session's results.
        asked: the probe, as for a measurement.
        link: the address that shows them again.
        language: of the texts.

    Raises gr.Error where nothing of it is measured.
    """
    result = (kept or {}).get(checked(Wanted.parse, asked).name)
    if result is None:
        raise gr.Error(Message("Nothing has been measured yet."), print_exception=False)
    drawn = show.sheet(result)
    sections = (Section("", (), notes=(finding(result),)), *drawn.sections)
    found = dataclasses.replace(drawn, sections=sections, link=checked(_address, link))
    told = translated(found, language_of(language), names_of(result.models))
    folder = _exports.new()
    return checked(lambda one: [str(save(told, folder / f"{one}.{end}")) for end in ("png", "svg")], result.probe)


def _address(link: Any) -> str:
    """The address that a figure carries, as the visitor's browser has it; raises ParameterError."""
    if not isinstance(link, str) or len(link) > LONGEST or not re.fullmatch(r"(https?://[!-~]+)?", link):
        raise ParameterError(
            Message("the link of a figure is an http address of at most {count} signs, or nothing", count=str(LONGEST))
        )
    return link


def export(kept: Kept | None, link: Any = "") -> list[str]:
    """Write everything a session has measured: CSV and JSON of every row, PNG and HTML of every figure.

    Args:
        kept: the session's results.
        link: the address that shows them again.
    """
    if not kept:
        raise gr.Error(Message("Nothing has been measured yet."), print_exception=False)
    return checked(lambda address: _exported(list(kept.values()), _address(address)), link)


def _exported(results: list[ProbeResult], link: str) -> list[str]:
    folder = _exports.new()
    drawn = dataclasses.replace(show.whole_sheet(results), link=link)
    files = [save(drawn, folder / f"biases.{ending}") for ending in ("png", "html")]
    told = json.dumps([result.record() for result in results], ensure_ascii=False, allow_nan=False)
    records = write(folder / "biases.json", told)
    rows = [{"probe": result.probe, **row} for result in results for row in result.rows]
    together = dataclasses.replace(results[0], rows=rows).save(folder / "biases.csv")
    return [str(path) for path in (together, records, *files)]
