"""How large is a bias, what is the evidence, what does it cost? ``explorer report``, ``probe`` and ``bench``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import zipfile
from pathlib import Path
from typing import Any

from explorer.cli.files import or_elsewhere
from explorer.cli.flags import Verbs, add_method, add_out, add_picture, add_probe, add_query, add_stimuli
from explorer.cli.listing import listed
from explorer.cli.result import Result
from explorer.cli.values import bands_of, parameters_of, query_of, read_one, scene_of, specs_of, view_of
from explorer.errors import ParameterError


def add_verbs(verbs: Verbs) -> None:
    """Add ``report``, ``probe`` and ``bench``."""
    report = verbs.add(
        "report", _report, "Write an evidence bundle: figures, numbers, provenance, code that checks them."
    )
    text = "also measure this bias, repeatable; see explorer probes"
    report.add_argument("--probe", action="append", default=[], metavar="NAME", help=text)
    report.add_argument("--out", dest="file", default="evidence.zip", metavar="FILE", help="a .zip file (%(default)s)")
    add_picture(report, verbs.is_asked(report))
    add_query(report, tokens=False)
    add_method(report, verbs.arguments(report))
    probe = verbs.add("probe", _probe, "Measure one bias of models, as numbers with units and intervals.")
    probe.add_argument("name", metavar="NAME", help="see explorer probes")
    add_stimuli(probe)
    add_probe(probe, verbs.arguments(probe))
    add_out(probe)
    bench = verbs.add(
        "bench", _bench, "What does seeing attention cost? Ratios against the bare model, in one process."
    )
    bench.add_argument("--repeats", type=int, default=15, metavar="N", help="alternating runs a pair (%(default)s)")
    # What seeing attention costs does not depend on a move, so that there is none to ask for.
    add_picture(bench, moves=False, scenes=False)
    add_out(bench)


def _report(options: argparse.Namespace) -> Result:
    from explorer.evidence.bundle import check, report
    from explorer.models.device import choose_device
    from explorer.probes import PROBES, probe

    source = options.image if options.scene is None else scene_of(options.scene)
    if isinstance(source, str):
        read_one(source, options)
    if (token := query_of(options)[1]) is not None:
        raise ParameterError(f"--query is a place X,Y in pixels, as in 112,80; got '{token}'")
    view = view_of(options, None if options.method == "none" else options.method, source)
    for name in options.probe:
        PROBES[name]  # raises
    check(options.file)
    models = view.load(str(choose_device(options.device)))
    measured = [probe(name, models, seed=options.seed or 0) for name in options.probe]
    file = or_elsewhere(lambda path: report(view, path, measured, models), Path(options.file))
    with zipfile.ZipFile(file) as bundle:
        held = bundle.namelist()
    return Result({"file": str(file), "holds": held}, [f"wrote {file}", *(f"  {name}" for name in held)])


def _probe(options: argparse.Namespace) -> Result:
    from tqdm import tqdm

    from explorer.images import samples
    from explorer.models.device import choose_device
    from explorer.models.loading import load
    from explorer.probes import PROBES, probe, sheet, spoken

    given = parameters_of(options, PROBES[options.name])
    images: Any = options.images or options.scenes
    if options.image is not None:
        images = [str(samples().get(one, one)) for one in options.image]
    elif options.scene is not None:
        images = scene_of(options.scene)
    device = str(choose_device(options.device))
    specs = specs_of(options)
    with tqdm(total=100, unit="%", disable=None, file=sys.stderr) as bar:
        result = probe(
            options.name,
            [load(spec, device) for spec in specs],
            images,
            seed=options.seed or 0,
            precision=options.precision,
            bands=bands_of(options),
            progress=lambda share: bar.update(int(100 * share) - bar.n),
            **given,
        )
    return Result(result.record(), spoken(result), lambda: sheet(result), result.save)


def _bench(options: argparse.Namespace) -> Result:
    if options.repeats < 1:
        raise ParameterError(f"--repeats is 1 or more, got {options.repeats}")
    from explorer.bench import run
    from explorer.models.device import choose_device
    from explorer.models.loading import load

    picture, specs = read_one(options.image, options), specs_of(options)
    device = str(choose_device(options.device))
    measured = run([load(spec, device) for spec in specs], picture.image, options.repeats)
    rows = [dataclasses.asdict(one) for one in measured]
    lines = [
        f"{one.ratio:6.2f}  {one.name}, {one.goal}: {one.first * 1e3:.1f} / {one.second * 1e3:.1f} ms, "
        f"n = {one.n}, {one.model}" + (f" ({one.note})" if one.note else "")
        for one in measured
    ]
    return listed("bench", rows, lines)
