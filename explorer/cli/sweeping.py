"""Probes over many models and pictures: ``explorer sweep`` and its ``status``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from explorer.cli.flags import SPEC, Parser, Verbs, add_device, add_sets
from explorer.cli.result import Result
from explorer.errors import ParameterError

if TYPE_CHECKING:
    from explorer.sweep.plan import SweepPlan
    from explorer.sweep.run import SweepProgress

#: Seconds between two lines of progress where nobody looks at a terminal.
_OFTEN = 10.0


def add_verbs(verbs: Verbs) -> None:
    """Add ``sweep`` and ``board``."""
    one = verbs.add(
        "sweep",
        _sweep,
        "Run probes over many models and pictures; what is done is never done again. "
        "'explorer sweep status DIR' says how far one is.",
    )
    _add_plan(one)
    one.add_argument(
        "--out", dest="folder", metavar="DIR", help="the sweep's folder, or its address as s3://BUCKET/PATH"
    )
    text = "processes of this machine; as many as there are cores for their threads if left out, one on a GPU"
    one.add_argument("--workers", type=int, metavar="N", help=text)
    one.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster that measures instead: auto or HOST:PORT")
    text = "of a GPU, for each worker of the cluster; 0.25 puts four on each (1)"
    one.add_argument("--gpu-share", type=float, default=1.0, metavar="SHARE", help=text)
    one.add_argument("--dry-run", action="store_true", help="say what it would take, from a few pictures of each")
    made = verbs.add("board", _board, "Models and measures of a sweep as a page, as tables or as a data set.")
    made.add_argument("folder", metavar="DIR", help="a sweep's folder")
    text = "a self-contained .html page, a .csv or .parquet table, or a folder to push as a data set; repeatable "
    made.add_argument("--out", dest="files", action="append", metavar="FILE|DIR", help=f"{text}(board.html)")
    text = "where the explorer's page is, for links to views (http://127.0.0.1:7860/)"
    made.add_argument("--page", metavar="ADDRESS", help=text)


def _add_plan(one: Parser) -> None:
    text = "a plan (.yaml): models, probes, data; or the word status, and a sweep's folder"
    one.add_argument("plan", nargs="*", metavar="PLAN", help=text)
    one.add_argument("--model", action="append", metavar="SPEC", help=f"repeatable: {SPEC}")
    add_sets(one)
    text = "a probe with its parameters, as in translation:side=9,step=2; repeatable; see explorer probes"
    one.add_argument("--probe", action="append", metavar="NAME[:KEY=VALUE,...]", help=text)
    text = "a folder of pictures, those of one class in one folder; repeatable, measured apart"
    one.add_argument("--images", action="append", metavar="DIR", help=text)
    one.add_argument("--scenes", type=int, metavar="N", help="N procedural scenes, classes in turn")
    one.add_argument("--shard", type=int, metavar="N", help="pictures of a unit, a multiple of --batch (256)")
    one.add_argument("--batch", type=int, metavar="N", help="pictures of a forward pass at most (16)")
    one.add_argument("--threads", type=int, metavar="N", help="of the CPU, for each worker (1)")
    one.add_argument("--precision", choices=("float32", "bfloat16"), help="of the forward passes (float32)")
    one.add_argument("--seed", type=int, help="of every random choice (0)")
    add_device(one)


def _sweep(options: argparse.Namespace) -> Result:
    if options.plan and options.plan[0] == "status":
        if len(options.plan) != 2:
            raise ParameterError("explorer sweep status takes one folder, as in: explorer sweep status out/sweep")
        return _status(options.plan[1])
    plan = _plan(options)
    if options.folder is None:
        raise ParameterError("say where the rows go, as in --out out/sweep")
    if options.dry_run:
        return _dry(plan, options)
    from explorer.sweep.run import sweep

    workers = options.workers
    if workers is None:
        workers = 1 if options.ray or not plan.device.startswith("cpu") else max(1, _cores() // plan.threads)
    try:
        with _shown(options.json) as told:
            sweep(
                plan,
                options.folder,
                workers=workers,
                ray=options.ray,
                gpu_share=options.gpu_share,
                progress=told,
            )
    except KeyboardInterrupt:
        print("ended; what is done is kept, and the same command goes on from there", file=sys.stderr)
        raise
    return _status(options.folder)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(options: argparse.Namespace) -> SweepPlan:
    from explorer.sweep.plan import SweepPlan, probe_of

    flags = {name: getattr(options, name) for name in ("shard", "batch", "threads", "precision", "device", "seed")}
    given = {name: value for name, value in flags.items() if value is not None}
    names = {"model": "model", "sets": "set", "probe": "probe", "images": "images", "scenes": "scenes"}
    said = [flag for name, flag in names.items() if getattr(options, name) is not None]
    if options.plan:
        if len(options.plan) > 1 or said or given:
            more = ", ".join([*options.plan[1:], *(f"--{name}" for name in (*said, *given))])
            raise ParameterError(f"a plan says what is measured; leave out {more}, or write it into the plan")
        return SweepPlan.read(options.plan[0])
    models = [*(options.model or ()), *({"set": name} for name in options.sets or ())]
    if not models or options.probe is None:
        raise ParameterError("give a plan (.yaml), or --model or --set, --probe, and --images or --scenes")
    data = [*(options.images or ()), *([] if options.scenes is None else [options.scenes])]
    return SweepPlan.of({"models": models, "probes": [probe_of(one) for one in options.probe], "data": data, **given})


def _dry(plan: SweepPlan, options: argparse.Namespace) -> Result:
    import dataclasses

    from tqdm import tqdm

    from explorer.sweep.run import estimate

    with tqdm(total=100, unit="%", disable=None, file=sys.stderr) as bar:
        found = estimate(plan, options.folder, progress=lambda share: bar.update(int(100 * share) - bar.n))
    lines = [
        f"{found.units} units, {found.done} of them done; {found.images} pictures to be shown, each once a model and "
        "probe",
        f"about {_time(found.seconds)} of one worker, {_bytes(found.nbytes)} of rows"
        + (f" (tried on {found.tried} pictures of each model and probe)" if found.tried else ""),
    ]
    if found.whole:
        lines.append(f"one unit for a whole set, as it cannot be measured in parts: {', '.join(found.whole)}")
    lines += [f"cannot be measured: {name}: {why}" for name, why in found.refused.items()]
    return Result(dataclasses.asdict(found), lines)


def _status(folder: str) -> Result:
    from explorer.sweep.store import PROGRESS
    from explorer.sweep.summary import Sweep, failures

    found = Sweep(folder)
    total, done, failed = len(found.units), len(found.done), found.failed
    record: dict[str, Any] = {"folder": str(found.root), "units": total, "done": done, "failed": list(failed.values())}
    lines = [f"{found.root}: {done} of {total} units done, {len(failed)} failed"]
    last = found.store.read_note(PROGRESS)
    if last is not None and done + len(failed) < total:
        record["progress"] = {name: last[name] for name in ("images", "seconds", "rate", "left", "at")}
        ago = max(0.0, time.time() - float(last["at"]))
        left = "" if last["left"] is None else f", {_time(float(last['left']))} to go"
        lines.append(f"{last['rate']:.3g} images/s{left}, as of {_time(ago)} ago")
    lines += failures(failed)
    return Result(record, lines)


def _board(options: argparse.Namespace) -> Result:
    from explorer.sweep.board import PAGE, board
    from explorer.sweep.publishing import board_path, save, size_of
    from explorer.sweep.summary import Sweep

    page = options.page or PAGE
    if not page.startswith(("http://", "https://")):
        raise ParameterError(f"--page is an address that begins with http:// or https://, got '{page}'")
    out = options.files or ["board.html"]
    for file in out:
        board_path(file)  # all of them, before anything is read or written
    found = Sweep(options.folder)
    made = board(found, page)
    files = [str(save(made, file, found)) for file in out]
    record = {"folder": str(found.root), "models": len(made.models), "measures": len(made.columns), "files": files}
    return Result(record, [size_of(made), *(f"wrote {one}" for one in files)])


@contextmanager
def _shown(as_json: bool) -> Iterator[Callable[[SweepProgress], None]]:
    """What tells people how far it is: a bar on a terminal, elsewhere a line now and then; lines of JSON for --json."""
    import dataclasses

    from tqdm import tqdm

    if sys.stderr.isatty() and not as_json:
        with tqdm(unit="unit", file=sys.stderr, dynamic_ncols=True) as bar:

            def drawn(now: SweepProgress) -> None:
                bar.total, bar.n = now.units, now.done + now.failed
                left = "" if now.left is None else f", {_time(now.left)} to go"
                bar.set_postfix_str(f"{now.rate:.3g} images/s{left}; {now.model}, {now.probe}")

            yield drawn
        return
    last = float("-inf")

    def told(now: SweepProgress) -> None:
        nonlocal last
        if time.monotonic() - last < _OFTEN and now.done + now.failed < now.units:
            return
        last = time.monotonic()
        if as_json:
            text = json.dumps({"progress": dataclasses.asdict(now)})
        else:
            left = "" if now.left is None else f", {_time(now.left)} to go"
            text = f"{now.done} of {now.units} units, {now.failed} failed, {now.rate:.3g} images/s{left}"
        print(text, file=sys.stderr, flush=True)

    yield told


def _time(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _bytes(count: float) -> str:
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
