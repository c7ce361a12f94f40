"""What is there? ``explorer models``, ``blocks``, ``methods``, ``probes`` and ``sets``."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explorer.cli.flags import Verbs, add_out
from explorer.cli.result import Result
from explorer.errors import ExplorerError, ParameterError, UnknownNameError
from explorer.guests import LEFT_OUT, Group
from explorer.registry import parameters, question

if TYPE_CHECKING:
    from explorer.blocks.explain import BlockExplanation
    from explorer.figures.sheet import Sheet


def add_verbs(verbs: Verbs) -> None:
    """Add ``models``, ``blocks``, ``methods``, ``probes`` and ``sets``."""
    models = verbs.add(
        "models", _models, "List timm's and torchvision's models with parameters, input size and attention layouts."
    )
    models.add_argument("--search", default="", metavar="PART", help="a part of the name, or a pattern with * and ?")
    models.add_argument("--limit", type=int, default=25, metavar="N", help="at most so many (%(default)s)")
    blocks = verbs.add("blocks", _blocks, "List the attention blocks that can be inserted, or explain one.")
    blocks.add_argument("name", nargs="?", metavar="NAME", help="explain this block; all are listed if left out")
    blocks.add_argument("--measure", action="store_true", help="count and time its cost beside full attention's")
    methods = verbs.add("methods", _methods, "List the attribution methods with their parameters.")
    probes = verbs.add("probes", _probes, "List the probes, each with the question it answers and its parameters.")
    sets = verbs.add("sets", _sets, "List the matched sets: models that differ in their attention, and what else does.")
    sets.add_argument("name", nargs="?", metavar="NAME", help="this set; all are listed if left out")
    for one in (models, blocks, methods, probes, sets):
        add_out(one)


def _models(options: argparse.Namespace) -> Result:
    from explorer.attention.layouts import layouts_of, mixers
    from explorer.models.catalogue import describe, search
    from explorer.wrapping import torchvision

    if options.limit < 1:
        raise ParameterError(f"--limit is 1 or more, got {options.limit}")
    # timm's names come first; where they fill the list, torchvision's are asked for as tv:NAME.
    timms = {one.name: one for one in search(options.search, options.limit)}
    names = [*timms, *torchvision.search(options.search)][: options.limit]
    if not names:
        known = [*(one.name for one in search("", None)), *torchvision.search()]
        raise UnknownNameError("model", options.search, known)
    rows, lines = [], []
    for name in names:
        own = name.startswith("tv:")
        try:
            entry, module = (torchvision.describe if own else describe)(name)
            layouts, note = list(layouts_of(module)), ""
            mixed = list(mixers(module))
        except ExplorerError as error:
            entry, layouts, mixed, note = timms[name], [], [], str(error)
        height, width = entry.input_size
        rows.append({**dataclasses.asdict(entry), "layouts": layouts, "mixed_by": mixed, "note": note})
        size = "?" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M"
        unknown = "where its attention lies is found as it is loaded" if own else "no attention map known"
        without = f"no attention map; mixed by {', '.join(mixed)}" if mixed else unknown
        words = note or ", ".join(layouts) or without
        lines.append(f"{entry.name:40} {size:>9}  {f'{width} x {height} px':14} {words}")
    if len(names) == options.limit:
        lines.append(f"(the first {options.limit}; more with --limit)")
    return listed(f"models with '{options.search}'" if options.search else "models", rows, lines)


def _blocks(options: argparse.Namespace) -> Result:
    from explorer.blocks import BLOCKS
    from explorer.blocks.explain import explain

    if options.name is not None:
        return _block(options)
    if options.measure:
        raise ParameterError("--measure needs a block's name, as in explorer blocks axial --measure")
    rows, lines = [], []
    for name, block in BLOCKS.items():
        one = explain(name)
        rows.append({**_explained(one), "text": inspect.getdoc(block)})
        lines.append(f"{name:10} {one.kind or 'no map':9} {one.question}")
        lines.append(f"{'':20} cost {one.order}")
    return listed("blocks", rows, [*lines, *_left_out("explorer.blocks")])


def _block(options: argparse.Namespace) -> Result:
    from explorer.blocks.cost import measured_cost
    from explorer.blocks.explain import explain

    one = explain(options.name)
    shown = f"{one.kind} ({one.kind_title}): {one.map}" if one.kind else ""
    parts = [
        (f"{one.name}: {one.title}", (one.question, one.definition)),
        ("Formula", (one.plain,)),
        ("Cost, n = H W positions and d channels", (one.order, one.cost, one.correction)),
        ("Map", (shown, one.means, one.means_not)),
        ("Strengths", one.strengths),
        ("Weaknesses", one.weaknesses),
        ("Parameters", tuple(f"{key}: {about.text} ({about.default})" for key, about in one.options.items())),
        ("Source", (one.source,)),
    ]
    lines: list[str] = []
    for title, texts in parts:
        wrapped = [line for text in texts if text for line in textwrap.wrap(text, 110, break_on_hyphens=False)]
        if wrapped:
            lines += [title, *(f"  {line}" for line in wrapped), ""]
    lines += ["In Python", *(f"  {line}".rstrip() for line in one.example.splitlines())]
    record = _explained(one)
    if options.measure:
        measured = [measured_cost(name) for name in dict.fromkeys((one.name, "mhsa"))]
        record["measured"] = [dataclasses.asdict(each) for each in measured]
        lines += ["", "Measured, a forward pass of one picture (one thread)"]
        for each in measured:
            lines.append(f"  {each}")
            lines += [
                f"    {point.side:3} x {point.side:<3} n = {point.positions:<5} "
                f"{point.multiply_adds / 1e6:10.3f} M multiply-adds {point.milliseconds:9.3f} ms"
                for point in each.points
            ]
    return Result(record, lines, _sheet_of(f"explorer: {one.name}", lines))


def _explained(one: BlockExplanation) -> dict[str, Any]:
    """The explanation as plain values; its diagram stays behind."""
    options = {
        name: {"default": about.default, "help": about.text, "low": about.low or 0, "high": about.high or 0}
        | {"choices": about.choices}
        for name, about in one.options.items()
    }
    plain = dataclasses.asdict(dataclasses.replace(one, options={}))
    return {key: options if key == "options" else value for key, value in plain.items() if key != "diagram"}


def _methods(options: argparse.Namespace) -> Result:  # noqa: ARG001 - the contract of all commands
    from explorer.attribution import METHODS

    rows: list[dict[str, Any]] = []
    lines = []
    for name, method in METHODS.items():
        declared = {
            key: {"default": one.default, "type": one.type, **one.record()} for key, one in parameters(method).items()
        }
        row = {"name": name, "question": question(method), "unit": method.unit, "live": method.live}
        rows.append({**row, "parameters": declared, "text": inspect.getdoc(method)})
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in declared)
        lines.append(f"{name:20} {row['question']}" + (f" [{flags}]" if flags else ""))
    return listed("methods", rows, [*lines, *_left_out("explorer.methods")])


def _probes(_: argparse.Namespace) -> Result:
    from explorer.probes import PROBES

    rows, lines = [], []
    for name, probe in PROBES.items():
        declared = {key: one.record() for key, one in parameters(probe).items()}
        rows.append(
            {
                "name": name,
                "bias": probe.bias,
                "question": question(probe),
                "formula": probe.formula,
                "source": probe.source,
                "limits": probe.limits,
                "parameters": declared,
            }
        )
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in declared)
        lines.append(f"{name:26} {question(probe)}" + (f" [{flags}]" if flags else ""))
    return listed("probes", rows, [*lines, *_left_out("explorer.probes")])


def _sets(options: argparse.Namespace) -> Result:
    from explorer.models.sets import matched_set, matched_sets

    rows, lines = [], []
    for one in matched_sets().values() if options.name is None else [matched_set(options.name)]:
        rows.append(dataclasses.asdict(one) | {"members": [dataclasses.asdict(member) for member in one.members()]})
        columns = one.columns()
        widths = [max(map(len, (title, *values))) for title, values in columns.items()]
        lines.append(f"{one.name}: {one.title}")
        for cells in (tuple(columns), *zip(*columns.values())):
            lines.append("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths)).rstrip())
    return listed("matched sets", rows, lines)


def _left_out(group: Group) -> list[str]:
    """A line for each guest that could not be loaded."""
    return [f"left out: {name} ({' '.join(why.split())})" for name, why in LEFT_OUT.get(group, {}).items()]


def listed(name: str, rows: list[dict[str, Any]], lines: list[str]) -> Result:
    """A list as an answer, drawn as its lines."""
    return Result({"rows": rows}, lines, _sheet_of(f"explorer: {name}", lines))


def _sheet_of(title: str, lines: list[str]) -> Callable[[], Sheet]:
    def sheet() -> Sheet:
        from explorer.figures.results import lines_sheet

        return lines_sheet(title, [" ".join(line.split()) for line in lines])

    return sheet
