"""``explorer lab``: measure the trained models, and show what was measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from explorer.errors import ParameterError, UnknownNameError
from explorer.writing import check_writable, make_folder

if TYPE_CHECKING:
    from explorer.figures.sheet import Sheet
    from explorer.lab.table import TableRow

Found = TypeVar("Found")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what to do, from ``evaluate`` to ``scenes``, and the flags of each."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=type(parser))

    def action(name: str, text: str) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object and nothing else"
        )
        return one

    evaluate = action("evaluate", "Measure every bias of the trained models on the same new scenes; write the table.")
    evaluate.add_argument(
        "--models",
        nargs="+",
        metavar="SPEC",
        help="lab/BLOCK, lab/BLOCK-aug, lab/BLOCK-cue or lab/detect+BLOCK, every seed or one (#SEED); all if left out",
    )
    evaluate.add_argument("--checkpoints", metavar="DIR", help="weights and manifest; those that ship if left out")
    evaluate.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")
    evaluate.add_argument(
        "--out",
        dest="folder",
        default="out/lab",
        metavar="DIR",
        help="folder of the table, a .parquet file (%(default)s)",
    )
    evaluate.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, one thread each, a model a time (%(default)s)"
    )
    evaluate.add_argument("--quick", action="store_true", help="a third of the scenes, for a first look")
    evaluate.add_argument("--again", action="store_true", help="measure also what the table has of the same weights")
    show = action("show", "Show the table: what ships, or what was measured here.")
    show.add_argument("--table", metavar="FILE", help="a table that evaluate wrote; the one that ships if left out")
    show.add_argument("--html", metavar="FILE", help="also draw every chart into one .html file")
    findings = action("findings", "What was found on seeds 0 to 3, and whether it holds on seeds 4 to 7.")
    findings.add_argument("--table", metavar="FILE", help="a table that evaluate wrote; the one that ships if left out")
    claims = action("claims", "What is said of these blocks, and what the trained models say to it.")
    claims.add_argument("--table", metavar="FILE", help="a table that evaluate wrote; the one that ships if left out")
    series = action(
        "series", "What single choices change: positions, heads, padding, levels, a pyramid of the picture."
    )
    series.add_argument("--table", metavar="FILE", help="a table that evaluate wrote; the one that ships if left out")

    maps = action("maps", "Draw where every block looks, layer by layer, in three scenes, as one figure.")
    maps.add_argument("--out", dest="file", required=True, metavar="FILE", help=".png, .svg or .html")
    maps.add_argument("--set-up", default="centred", help="centred, aug or cue (%(default)s)")
    maps.add_argument("--blocks", nargs="+", metavar="BLOCK", help="which blocks; all that ship if left out")
    drawn = action("scenes", "Draw the first scenes that models of the laboratory are trained on, as one figure.")
    drawn.add_argument("--out", dest="file", required=True, metavar="FILE", help=".png, .svg or .html")
    drawn.add_argument("--count", type=int, default=100, metavar="N", help="how many scenes (%(default)s)")
    drawn.add_argument("--set-up", default="centred", help="centred, aug or cue (%(default)s)")


def run(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Do it; return the record for ``--json``, where that is asked for, and the lines to read."""
    actions = {"evaluate": _evaluate, "show": _show, "findings": _findings, "claims": _claims, "series": _series}
    return {**actions, "maps": _maps, "scenes": _scenes}[options.action](options)


def _evaluate(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from tqdm import tqdm

    from explorer.lab.experiment import PER_CLASS, QUICK, evaluate, trained_specs
    from explorer.lab.table import FILE
    from explorer.models.device import choose_device

    make_folder(options.folder)
    check_writable(Path(options.folder) / FILE)
    specs = trained_specs(options.models, None if options.checkpoints is None else Path(options.checkpoints))
    device, folder = str(choose_device(options.device)), Path(options.folder)
    with tqdm(total=len(specs), unit="model", disable=None, file=sys.stderr) as bar:

        def stepped(done: float, _: int, spec: str) -> None:
            bar.update(int(done) - bar.n)
            bar.set_postfix_str(spec)

        per_class = QUICK if options.quick else PER_CLASS
        rows = evaluate(specs, folder, device, per_class, options.again, stepped, options.workers)
    record, lines = _shown(rows, options.json)
    file = str(folder / FILE)
    return {**record, "files": [file]}, [*lines, f"wrote {file}"]


def _rows(table: str | None) -> Sequence[TableRow]:
    """The table of a file, or the one that ships. Raises ParameterError where there is none."""
    from explorer.lab.table import load_table, read_table

    rows: Sequence[TableRow] = load_table() if table is None else read_table(Path(table))[0]
    if not rows:
        raise ParameterError(
            "no table ships with this version; explorer lab evaluate writes one, which --table FILE shows"
        )
    return rows


def _claims(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.judging import judge_claims, lines, record

    judged = judge_claims(_rows(options.table))
    return {"claims": record(judged)}, lines(judged)


def _series(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.series import lines, members, pyramids, record

    rows = _rows(options.table)
    found = {"series": members(rows), "pyramid": pyramids(rows)}
    told = ["\n".join(lines(name, some)) for name, some in found.items() if some]
    return {name: record(some) for name, some in found.items()}, "\n\n".join(told).split("\n")


def _findings(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.findings import SET_UPS
    from explorer.lab.second_look import lines, record, second_look
    from explorer.lab.summary import SetUp, set_ups

    rows, told = _rows(options.table), []
    found = {set_up: second_look(SetUp(rows, set_up)) for set_up in set_ups(rows)}
    for set_up, some in found.items():
        told += [str(SET_UPS[set_up]), *lines(some), ""]
    return {"findings": [{"set_up": set_up, **one} for set_up, some in found.items() for one in record(some)]}, told


def _maps(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.contact import maps_sheet
    from explorer.lab.networks import Training
    from explorer.lab.summary import shipped, shipped_blocks

    check_writable(options.file)
    blocks = _one_of("set-up", options.set_up, {name: shipped_blocks()[name] for name in get_args(Training)})
    wanted = options.blocks or list(blocks)
    for block in wanted:
        _one_of("block", block, {name: name for name in blocks})
    return _drawn(maps_sheet(shipped(options.set_up), wanted), options.file)


def _scenes(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.contact import scenes_sheet
    from explorer.lab.recipes import RECIPES

    check_writable(options.file)
    if not 1 <= options.count <= 1000:
        raise ParameterError(f"--count is from 1 to 1000, got {options.count}")
    sets = {str(name): recipe.distribution for (backbone, name), recipe in RECIPES.items() if backbone == "metaformer"}
    return _drawn(scenes_sheet(options.count, _one_of("set-up", options.set_up, sets)), options.file)


def _one_of(what: str, name: str, there: Mapping[str, Found]) -> Found:
    if name not in there:
        raise UnknownNameError(what, name, there)
    return there[name]


def _drawn(sheet: Sheet, file: str) -> tuple[dict[str, Any], list[str]]:
    from explorer.figures.saving import save

    save(sheet, file)
    return {"files": [file]}, [f"wrote {file}"]


def _show(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    if options.html is not None:
        check_writable(options.html)
    rows = _rows(options.table)
    record, lines = _shown(rows, options.json)
    if options.html is None:
        return record, lines
    from explorer.figures.saving import save
    from explorer.lab.sheets import sheet

    save(sheet(rows), options.html)
    return {**record, "files": [options.html]}, [*lines, f"wrote {options.html}"]


def _shown(rows: Sequence[TableRow], recorded: bool) -> tuple[dict[str, Any], list[str]]:
    """The record, empty where nobody asks for it (it takes seconds), and the lines to read."""
    from explorer.lab.findings import findings_of, lines
    from explorer.lab.summary import set_ups, summary

    if not recorded:
        return {}, lines(rows)
    record = {
        "rows": [asdict(row) for row in rows],
        "summary": [asdict(one) for one in summary(rows)],
        "findings": [{"set_up": set_up, "sentences": findings_of(rows, set_up)} for set_up in set_ups(rows)],
    }
    return record, lines(rows)
