"""The ``explorer`` command: what the page and the library can do, from a shell.

Each group of verbs has a file with their flags and what they do; here are the way in, the way out, and errors.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from explorer.cli import fetching, listing, making, measuring, seeing, serving, sweeping, teaching, training, viewing
from explorer.cli.files import check_out, write_files
from explorer.cli.flags import Parser, Verbs
from explorer.cli.result import Result
from explorer.errors import ExplorerError, WriteError
from explorer.writing import NO_ROOM, cannot_write, reason

_DESCRIPTION = "See what attention does to a vision model: move what is in the picture, compare what models attend to."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 2 after one line on standard error."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    # What libraries have to say is not the user's answer; one line of error stays one line.
    warnings.simplefilter("ignore")
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        options = parser_of(arguments).parse_args(arguments)
        if options.command == "serve":
            return serving.serve(options)
        drawing = getattr(options, "out", None)  # commands that draw nothing have no such flag
        if drawing is not None:
            check_out(drawing, options.command)
        # Nothing but the answer on standard output, whatever a library prints.
        files: list[str] = []
        failed: WriteError | None = None
        with contextlib.redirect_stdout(sys.stderr):
            result: Result = options.run(options)
            try:
                for file in write_files(result, drawing, options.command) if drawing is not None else ():
                    files.append(file)
            except WriteError as error:  # what was found is told all the same
                failed = error
        if options.json:
            from explorer.transfer import plain

            record = {"command": options.command, **result.record, **({"files": files} if files else {})}
            _print(json.dumps(plain(record), ensure_ascii=False, allow_nan=False))
        else:
            _print("\n".join([*result.lines, *(f"wrote {file}" for file in files)]))
        if failed is not None:
            written = f"; written is {', '.join(files)}" if files else ""
            raise WriteError(f"{failed}. What was found is printed all the same{written}")
    except ExplorerError as error:
        return _failed(str(error))
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return _failed(f"'{error.filename or 'a file'}' cannot be written: {reason(error)}")  # by a library
    except KeyboardInterrupt:
        return 130
    return 0


def _failed(text: str) -> int:
    print(f"explorer: error: {' '.join(text.split())}", file=sys.stderr)
    return 2


def _print(text: str) -> None:
    """Write the answer to standard output, which may lead to a file on a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would try once more
        raise cannot_write("standard output", error) from error


def _version() -> str:
    try:
        return importlib.metadata.version("attention-explorer")
    except importlib.metadata.PackageNotFoundError:
        return "run from its folder, not installed"


def parser_of(arguments: Sequence[str]) -> Parser:
    """The command's parser; of attribution methods and probes it knows the flags of the one ``arguments`` name."""
    parser = Parser(prog="explorer", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"explorer {_version()}", help="print the version")
    verbs = Verbs(parser, arguments)
    for group in (serving, listing, seeing, measuring, sweeping, training, making, viewing, teaching, fetching):
        group.add_verbs(verbs)
    return parser
