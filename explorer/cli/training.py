"""Train laboratory models and fit inserted blocks: ``explorer train``, ``fit`` and ``lab``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from explorer.cli import lab
from explorer.cli.files import or_elsewhere
from explorer.cli.flags import Verbs, add_device, add_parameters
from explorer.cli.result import Result
from explorer.cli.values import input_size_of, parameters_of
from explorer.errors import ParameterError
from explorer.registry import parameters
from explorer.writing import check_writable, make_folder


def add_verbs(verbs: Verbs) -> None:
    """Add ``train``, ``fit`` and ``lab``."""
    train = verbs.add("train", _train, "Train laboratory models: one recipe, the same scenes, only the block differs.")
    text = "lab/BLOCK, lab/BLOCK-aug, lab/BLOCK-cue or lab/detect+BLOCK, also with #SEED; all if none"
    train.add_argument("spec", nargs="*", metavar="SPEC", help=text)
    text = "seeds 0 to N - 1 of each that names none (%(default)s)"
    train.add_argument("--seeds", type=int, default=3, metavar="N", help=text)
    text = "weights and manifest (%(default)s)"
    train.add_argument("--out", dest="folder", default="out/checkpoints", metavar="DIR", help=text)
    text = "processes that share the cores (%(default)s)"
    train.add_argument("--workers", type=int, default=1, metavar="N", help=text)
    add_device(train)
    for name, kind, text in (
        ("images", int, "pictures"),
        ("epochs", int, "times each is seen"),
        ("batch", int, "pictures a step"),
        ("rate", float, "highest learning rate"),
    ):
        train.add_argument(f"--{name}", type=kind, metavar="N", help=f"{text}; the set-up's own if left out")
    fit = verbs.add(
        "fit", _fit, "Fine-tune an inserted block: an untrained one behind a closed gate shows nothing learnt."
    )
    fit.add_argument("spec", metavar="SPEC", help="a model with a block, as in resnet50.a1_in1k+mhsa@3")
    shown = fit.add_mutually_exclusive_group(required=True)
    text = "a folder with one folder of pictures a class, or with train and val that have"
    shown.add_argument("--images", metavar="DIR", help=text)
    shown.add_argument("--scenes", type=int, nargs="?", const=1000, metavar="N", help="N procedural scenes (1000)")
    fit.add_argument("--all", action="store_true", help="train the whole network, not the block and its gate alone")
    text = "what to write; see --weights of the other commands (%(default)s)"
    fit.add_argument("--out", dest="file", default="fitted.safetensors", metavar="FILE", help=text)
    fit.add_argument("--input-size", metavar="PX|HxW", help="the model's input; its own if left out")
    add_device(fit)
    if verbs.is_asked(fit):
        from explorer.lab.fit_data import FitRecipe

        # --scenes and --all have flags of their own above.
        declared = {name: one for name, one in parameters(FitRecipe).items() if name not in ("scenes", "whole")}
        add_parameters(fit, declared)
    lab.add_flags(verbs.add("lab", _lab, "Measure the trained laboratory models, or show what was measured."))


def _train(options: argparse.Namespace) -> Result:
    from tqdm import tqdm

    from explorer.lab.grid import train_grid
    from explorer.lab.networks import MANIFEST, LabModel, all_models
    from explorer.lab.tasks import TASKS
    from explorer.lab.training import Progress
    from explorer.models.device import choose_device
    from explorer.models.spec import ModelSpec

    if options.seeds < 1:
        raise ParameterError(f"--seeds is {options.seeds}; at least one seed is trained")
    given = {
        name: value for name in ("images", "epochs", "batch", "rate") if (value := getattr(options, name)) is not None
    }
    wanted = [(text, ModelSpec.parse(text)) for text in options.spec] or [("", model.spec()) for model in all_models()]
    # Seeds outermost: a grid that is interrupted has every model before it has one of them often.
    runs = [
        (LabModel.of(spec), seed)
        for seed in range(max(options.seeds, *(spec.seed + 1 for _, spec in wanted)))
        for text, spec in wanted
        if (seed == spec.seed if "#" in text else seed < options.seeds)
    ]
    folder = make_folder(options.folder)
    check_writable(folder / MANIFEST)
    device = choose_device(options.device)
    lines: list[str] = []
    with tqdm(total=len(runs), unit="run", disable=None, file=sys.stderr) as bar:

        def stepped(now: Progress) -> None:
            bar.set_postfix_str(
                f"{now.spec} step {now.step}/{now.steps}, loss {now.loss:.3f}", refresh=now.step % 10 == 0
            )

        def finished(record: dict[str, Any]) -> None:
            bar.update()
            headline = TASKS[record["backbone"]].headline
            score = f"{100 * record['accuracy'][headline]:.1f} % ({headline})"
            lines.append(f"{record['spec']}: {score} of {record['n']} scenes, {record['seconds']:.0f} s")

        manifest = train_grid(runs, folder, given, device, options.workers, stepped, finished)
    return Result({"folder": str(folder), **manifest}, [*lines, f"{folder / 'manifest.json'}"])


def _fit(options: argparse.Namespace) -> Result:
    from tqdm import tqdm

    from explorer.lab.fit_data import FitRecipe
    from explorer.lab.fitting import FitProgress, fit
    from explorer.models.spec import ModelSpec

    file = Path(options.file)
    if file.suffix != ".safetensors":
        raise ParameterError(f"--out is a .safetensors file in a folder that can be written, got '{file}'")
    check_writable(file)
    given = parameters_of(options, FitRecipe)
    if options.scenes is not None:
        given["scenes"] = options.scenes
    recipe = FitRecipe(**given, whole=options.all)
    spec = ModelSpec.parse(options.spec, input_size=input_size_of(options))
    with tqdm(unit="step", disable=None, file=sys.stderr) as bar:

        def stepped(now: FitProgress) -> None:
            bar.total = now.epochs * now.steps
            bar.set_postfix_str(f"epoch {now.epoch}/{now.epochs}, loss {now.loss:.3f}", refresh=False)
            bar.update()

        found = fit(spec, options.images, recipe, options.device, stepped)
    or_elsewhere(found.save, file)
    before, after = found.record["before"], found.record["after"]
    lines = [
        f"{spec}: {100 * before['accuracy']:.1f} % before, {100 * after['accuracy']:.1f} % after, of "
        f"{found.record['held_out']} held-out pictures (loss {before['loss']:.3f}, {after['loss']:.3f})",
        *(f"  {note}" for note in found.notes),
        f"wrote {file}",
    ]
    record = {**found.record, "history": found.history, "notes": found.notes, "file": str(file)}
    return Result(record, lines)


def _lab(options: argparse.Namespace) -> Result:
    return Result(*lab.run(options))
