"""Lessons on paper: ``explorer lesson NAME --pdf FILE`` writes a handout, with answers or without."""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.cli.flags import Verbs, add_device
from explorer.cli.result import Result
from explorer.errors import UnknownNameError
from explorer.writing import check_writable, write


def add_verbs(verbs: Verbs) -> None:
    """Add ``lesson``."""
    one = verbs.add("lesson", _lesson, "A lesson's steps, and its handout as PDF.")
    one.add_argument("name", metavar="NAME", help="a lesson that ships, or a lesson's YAML file")
    one.add_argument("--pdf", metavar="FILE", help="write the handout: questions, pictures and maps")
    one.add_argument("--answers", action="store_true", help="with what was right, what was seen, and why")
    one.add_argument("--language", default="en", metavar="CODE", help="of the handout (%(default)s)")
    add_device(one)


def _lesson(options: argparse.Namespace) -> Result:
    from explorer.lessons import SHIPPED, read
    from explorer.messages import codes
    from explorer.resources import asset

    if options.language not in codes():
        raise UnknownNameError("language", options.language, codes())
    if options.name in SHIPPED:
        lesson = read(asset("lessons", f"{options.name}.yaml"))
    elif Path(options.name).suffix in (".yaml", ".yml"):
        lesson = read(options.name)
    else:
        raise UnknownNameError("lesson", options.name, SHIPPED)
    steps = [one.title["en"] for one in lesson.steps]
    lines = [lesson.title["en"], *(f"{number}. {title}" for number, title in enumerate(steps, 1))]
    record = {"lesson": lesson.name, "title": lesson.title["en"], "minutes": lesson.minutes, "steps": steps}
    if options.pdf is None:
        return Result(record, lines)
    check_writable(options.pdf)
    from explorer.lessons.handout import handout

    write(options.pdf, handout(lesson, options.answers, options.language, options.device))
    return Result({**record, "pdf": options.pdf}, [*lines, f"wrote {options.pdf}"])
