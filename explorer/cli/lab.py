"""``explorer lab``: measure the trained models, and show what was measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import ParameterError
from explorer.writing import check_writable, make_folder, write

if TYPE_CHECKING:
    from explorer.lab.table import Row


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what to do, ``evaluate`` or ``show``, and the flags of both."""
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
        help="lab/BLOCK, lab/resnet+BLOCK or lab/BLOCK-aug, every seed of it or one (#SEED); all if left out",
    )
    evaluate.add_argument("--checkpoints", metavar="DIR", help="weights and manifest; those that ship if left out")
    evaluate.add_argument("--device", help="cpu, cuda, cuda:1 or mps; the best there is if left out")
    evaluate.add_argument(
        "--out", dest="folder", default="out/lab", metavar="DIR", help="the table, .json and .parquet (%(default)s)"
    )
    evaluate.add_argument("--quick", action="store_true", help="a quarter of the pictures, for a first look")
    evaluate.add_argument("--again", action="store_true", help="measure also what the table has of the same weights")
    show = action("show", "Show the table: what ships, or what was measured here.")
    show.add_argument("--table", metavar="FILE", help="a table, .json or .parquet; the one that ships if left out")
    show.add_argument("--html", metavar="FILE", help="also draw every panel into one .html file")


def run(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Do it; return the record for ``--json`` and the lines to read."""
    return _evaluate(options) if options.action == "evaluate" else _show(options)


def _evaluate(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from tqdm import tqdm

    from explorer.lab.evaluation import PER_CLASS, QUICK, evaluate_all, trained_specs
    from explorer.models.device import choose_device

    make_folder(options.folder)
    check_writable(Path(options.folder) / "evaluation.json")
    specs = trained_specs(options.models, None if options.checkpoints is None else Path(options.checkpoints))
    device, folder = str(choose_device(options.device)), Path(options.folder)
    with tqdm(total=len(specs), unit="model", disable=None, file=sys.stderr) as bar:

        def stepped(done: int, _: int, spec: str) -> None:
            bar.update(done - bar.n)
            bar.set_postfix_str(spec)

        rows = evaluate_all(specs, folder, device, QUICK if options.quick else PER_CLASS, options.again, stepped)
    record, lines = _shown(rows)
    files = [str(folder / f"evaluation.{ending}") for ending in ("json", "parquet")]
    return {**record, "files": files}, [*lines, *(f"wrote {file}" for file in files)]


def _show(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.table import findings, load_table, read_table, summary

    if options.html is not None:
        check_writable(options.html)
    rows: Sequence[Row] = load_table() if options.table is None else read_table(Path(options.table))[0]
    if not rows:
        raise ParameterError(
            "no table ships with this version; explorer lab evaluate writes one, which --table FILE shows"
        )
    record, lines = _shown(rows)
    if options.html is None:
        return record, lines
    from explorer.lab.figures import page

    set_ups = dict.fromkeys((row.backbone, row.augmented) for row in rows)
    write(options.html, page(summary(rows), "The laboratory", {one: findings(rows, *one) for one in set_ups}))
    return {**record, "files": [options.html]}, [*lines, f"wrote {options.html}"]


def _shown(rows: Sequence[Row]) -> tuple[dict[str, Any], list[str]]:
    from explorer.lab.table import findings, lines, summary

    set_ups = dict.fromkeys((row.backbone, row.augmented) for row in rows)
    record = {
        "rows": [asdict(row) for row in rows],
        "summary": [asdict(one) for one in summary(rows)],
        "findings": [
            {"backbone": backbone, "augmented": augmented, "sentences": findings(rows, backbone, augmented)}
            for backbone, augmented in set_ups
        ],
    }
    return record, lines(rows)
