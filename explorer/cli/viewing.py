"""What does a link of the page ask, and what is in a bundle? ``explorer view`` says it as a command and as Python."""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.cli.flags import Verbs
from explorer.cli.result import Result
from explorer.errors import ParameterError
from explorer.writing import reason

if TYPE_CHECKING:
    from explorer.view import View


def add_verbs(verbs: Verbs) -> None:
    """Add ``view``."""
    view = verbs.add("view", _view, "Say what a link of the page asks as a command and as Python that ask the same.")
    view.add_argument(
        "source", metavar="LINK", help="a link of the page, or an evidence bundle: its .zip, or its results.json"
    )


def _view(options: argparse.Namespace) -> Result:
    from explorer.models.loading import load
    from explorer.view.code import command, python
    from explorer.view.forms import OWN, of_link, of_record, record

    bundle = options.source.endswith((".zip", ".json")) and "#" not in options.source
    view: View = of_record(_recorded(Path(options.source))) if bundle else of_link(options.source)
    if isinstance(view.source, str) and OWN.fullmatch(view.source):
        raise ParameterError(
            "this link shows a picture that was given to its server, and does not hold it; "
            "give the picture itself: explorer compare --image FILE"
        )
    # Code has places in pixels of the first model's input, and its size is known when it is loaded.
    if view.queries and view.unit != "px":
        view = view.in_pixels(load(view.specs[0]).input_size)
    program, line = python(view), command(view)
    return Result({"view": record(view), "command_line": line, "python": program}, [line, "", program.rstrip()])


def _recorded(file: Path) -> Any:
    """What a bundle says was asked."""
    try:
        if file.suffix == ".json":
            return json.loads(file.read_bytes())["view"]
        with zipfile.ZipFile(file) as bundle:
            return json.loads(bundle.read("results.json"))["view"]
    except OSError as error:
        raise ParameterError(f"'{file}' cannot be read: {reason(error)}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ParameterError(f"'{file}' is no evidence bundle; explorer report writes one") from error
