"""What has each block's bias done to the trained models? The probes, over the laboratory's models and seeds.

An experiment is a list of probes with their parameters and what they are shown; every model is measured on the same
scenes, of classes in turn, of streams that no model was trained or judged on. Where a probe moves or enlarges the
object, the scenes are such that it stays in the frame. All networks run in float32. A model is measured in what it has:
one that finds objects by how well it does, one with attention by how far it looks and how its heads differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from explorer.blocks import BLOCKS
from explorer.errors import ParameterError
from explorer.lab.networks import BLOCK_OPTIONS, MANIFEST, SIZE, LabModel, Training, available, read_manifest
from explorer.lab.table import FILE, PROTOCOL, OtherVersionError, TableRow, packed, read_table, unpacked, write_table
from explorer.lab.workers import end_with_parent, finish, processes
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.weights import fingerprint
from explorer.probes import PROBES, probe
from explorer.probes.cues import BEHIND
from explorer.probes.result import ProbeResult
from explorer.probes.stimuli import knows_scenes, scenes
from explorer.scenes import CENTRED, CLASSES, DATA_VERSION, Scene, Scenes, render

#: Scenes of each class that a probe shows; twice as many in distribution. And for a first look.
PER_CLASS, QUICK = 12, 2
#: The largest shift, px of 48, and the sizes over the training size, that leave the whole object in the frame.
REACH = 10
SMALLEST, LARGEST = 0.5, 1.5
#: Blocks that what takes long is measured of, those that learn the task whole: a pyramid of the picture at test time,
#: with three passes for each picture, each of another size; and whether maps can be believed, with many maps for each.
FEW_BLOCKS = ("conv", "mhsa", "axial", "c2f", "ca_c2f")
#: Digits of a fingerprint that the table keeps, and of its numbers after the point.
_HASH, _DIGITS = 16, 6
#: Columns of a probe's rows that are the table's own, or said by them; the rest are conditions.
_COLUMNS = ("model", "weights", "stimuli", "measure", "value", "unit", "n", "low", "high", "interval")


@dataclass(frozen=True)
class ShownScenes:
    """Which scenes are shown?

    Attributes:
        count: how many, of classes in turn; 0 for a probe that shows scenes of its own, or none.
        seed: of the stream that they are drawn from, and of the probe's own choices.
        room: what the object has room for in the frame: nothing special, to "move" by `REACH`, or to "grow" to
            `LARGEST`.
    """

    count: int
    seed: int = 0
    room: Literal["", "move", "grow"] = ""

    def scenes(self) -> list[Scene]:
        """Draw them."""
        return list(_drawn(self))


@lru_cache(maxsize=8)
def _drawn(shown: ShownScenes) -> tuple[Scene, ...]:
    if shown.room == "":
        return tuple(scenes(shown.count, shown.seed))
    if shown.room == "move":
        # Scenes at the smaller end of the training sizes have room to move; so have pairs that stand close.
        near = replace(CENTRED, scales=(0.9, 0.92), gaps=(0.95, 0.97))
        return tuple(scenes(shown.count, shown.seed, near, lambda some: in_frame(some, REACH)))
    upright = replace(CENTRED, scales=(1.0, 1.0), gaps=(0.95, 0.97))

    def grown(some: Sequence[Scene]) -> list[bool]:
        return in_frame([replace(one, scale=LARGEST) for one in some], 1)

    return tuple(scenes(shown.count, shown.seed, upright, grown))


def in_frame(some: Sequence[Scene], margin: int) -> list[bool]:
    """Whether no pixel of each object comes nearer to the edge of a frame of 48 px than ``margin``, px."""
    masks = render(Scenes.of(some), SIZE).masks
    inner = masks[:, margin : SIZE - margin, margin : SIZE - margin]
    return (inner.flatten(1).sum(1) == masks.flatten(1).sum(1)).tolist()


@dataclass(frozen=True)
class Measurement:
    """One probe of the experiment: its name in PROBES, what it is shown, and parameters that are not as usual."""

    probe: str
    shown: ShownScenes
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def run(self, model: Model | str, progress: Callable[[float], None] | None = None) -> ProbeResult:
        """Measure one model; see `explorer.probe` for the errors."""
        return probe(
            self.probe,
            [model],
            self.shown.scenes() if PROBES[self.probe].looks else None,
            seed=self.shown.seed,
            progress=progress,
            **self.parameters,
        )

    def applies(self, model: LabModel) -> bool:
        """Whether a model has what is measured: classes, or places of objects; weights between places; heads."""
        if (self.probe == "detection") != (model.backbone == "detect"):
            return False
        if self.parameters.get("remedy") == "pyramid" or PROBES[self.probe].bias == "maps":
            return model.block in FEW_BLOCKS and model == LabModel(model.block)
        if self.probe in ("attention-distance", "heads") and BLOCKS[model.block].kind not in ("pairwise", "axial"):
            return False
        heads = {**BLOCK_OPTIONS.get(model.block, {}), **dict(model.options)}.get("heads", 1)
        return self.probe != "heads" or heads > 1

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells its rows from those of others: the columns probe, parameters and scenes."""
        return self.probe, packed(self.parameters), packed(asdict(self.shown))


def experiment(per_class: int = PER_CLASS) -> list[Measurement]:
    """Everything that is measured of every model.

    Args:
        per_class: scenes of each class. More of them resolve smaller differences: with one picture more or less right,
            an accuracy changes by 1 / (12 per_class).
    """
    if per_class < 1:
        raise ParameterError(f"per_class is {per_class}; at least one scene of each class is needed")
    count = per_class * len(CLASSES)
    usual, growing = ShownScenes(count), ShownScenes(count, room="grow")
    few = ShownScenes(max(1, per_class // 6) * len(CLASSES))
    sizes = {"steps": 9, "smallest": SMALLEST, "largest": LARGEST}
    return [
        Measurement("patch-shuffle", ShownScenes(2 * count), {"draws": 1}),
        Measurement("translation", ShownScenes(count, room="move"), {"side": REACH + 1, "step": 2, "grid": "axes"}),
        Measurement("scale", growing, sizes),
        *(Measurement("shape-bias", usual, {"behind": behind}) for behind in BEHIND),
        Measurement("context", usual),
        Measurement("edges", usual),
        Measurement("position", usual),
        Measurement("effective-receptive-field", usual),
        Measurement("attention-distance", usual),
        Measurement("heads", usual),
        Measurement("detection", ShownScenes(0), {"count": 40 * per_class}),
        Measurement("scale", growing, {**sizes, "remedy": "pyramid"}),
        Measurement("map-equivariance", replace(few, room="move")),
        Measurement("faithfulness", few),
        Measurement("sanity", few),
    ]


def again(row: TableRow) -> Measurement:
    """The measurement that a row of the table came from."""
    return Measurement(row.probe, ShownScenes(**unpacked(row.scenes)), unpacked(row.parameters))


# ---- one model ------------------------------------------------------------------------------------------------------


def measure(model: Model, one: Measurement, progress: Callable[[float], None] | None = None) -> list[TableRow]:
    """Rows of the table for one model and one measurement. Raises ParameterError for a model of other classes."""
    if not (knows_scenes(model) or model.detects):
        raise ParameterError(
            f"{model.spec} has {model.num_classes} classes; the laboratory's scenes have {len(CLASSES)}"
        )
    name, weights = name_of(model.spec), fingerprint(model.module)[:_HASH]
    return [row_of(found, name, weights, one) for found in one.run(model, progress).rows]


def row_of(found: Mapping[str, Any], model: str, weights: str, one: Measurement) -> TableRow:
    """A row of the table from a row of a probe."""
    conditions = {name: value for name, value in found.items() if name not in _COLUMNS}
    value, low, high = (None if (end := found[name]) is None else round(end, _DIGITS) for name in _ENDS)
    return TableRow(
        model, weights, *one.key, packed(conditions), found["measure"], found["unit"], value, low, high,
        found["interval"], found["n"],
    )  # fmt: skip


_ENDS = ("value", "low", "high")


def name_of(spec: ModelSpec) -> str:
    """A laboratory model's name in the table: its spec with the seed, whatever file its weights are from."""
    return str(LabModel.of(spec).spec(spec.seed))


# ---- all models -----------------------------------------------------------------------------------------------------


def trained_specs(wanted: Sequence[str] | None = None, folder: Path | None = None) -> list[ModelSpec]:
    """The trained models, those that ship or those of a folder that `explorer train` wrote.

    Args:
        wanted: which; without #SEED, every seed of one. All if left out.
        folder: of weights and their manifest.

    Raises ParameterError where there is none.
    """
    if folder is None:
        known = [ModelSpec.parse(text) for text in available()]
    else:
        file = folder / MANIFEST
        if not file.is_file():
            raise ParameterError(f"'{folder}' has no {MANIFEST}; explorer train writes one beside its weights")
        records = read_manifest(folder)
        known = [ModelSpec.parse(one["spec"], weights_file=str(folder / one["file"])) for one in records]
    if not known:
        raise ParameterError("no trained models are there; explorer train makes them")
    if wanted is None:
        return known
    out: dict[ModelSpec, None] = {}
    for text in wanted:
        asked = ModelSpec.parse(text)
        if asked.origin != "lab":
            raise ParameterError(f"'{text}' is not one of the laboratory's models; write for example lab/mhsa")
        model = LabModel.of(asked)
        every = [one for one in known if LabModel.of(one) == model]
        found = [one for one in every if "#" not in text or one.seed == asked.seed]
        if not found:
            raise ParameterError(f"no trained model '{text}'; there are: {', '.join(map(str, every)) or 'none of it'}")
        out |= dict.fromkeys(found)
    return list(out)


Key = tuple[str, str, str]
"""Of a measurement: the columns probe, parameters and scenes."""
Progress = Callable[[float, int, str], None]
"""Told how many models are done (and what part of the present one), of all, and the spec of the present one, or ""."""


def evaluate(
    specs: Sequence[ModelSpec],
    folder: Path,
    device: str | None = None,
    per_class: int = PER_CLASS,
    again: bool = False,
    progress: Progress | None = None,
    workers: int = 1,
) -> list[TableRow]:
    """Measure many models and write the table after each; return all of its rows.

    Args:
        specs: which models.
        folder: has the table, or will. What it holds of other models, and of these with the same weights, is kept; what
            was measured in another way (other scenes, parameters or versions) is not.
        device: where; None chooses.
        per_class: see `experiment`.
        again: measure also what the table has.
        progress: told before every model, within it and at the end; with several workers, after every model. What it
            raises ends the work.
        workers: how many models are measured at once, each in a process of its own with one thread.

    Raises ParameterError for a table that cannot be read, WriteError, and the errors of `load`.
    """
    if workers < 1:
        raise ParameterError(f"workers is {workers}; at least one process measures")
    about = {"protocol": PROTOCOL, "data_version": DATA_VERSION}
    wanted = {one.key: one for one in experiment(per_class)}
    kept = _kept(folder / FILE, about, wanted)

    def job(spec: ModelSpec) -> _Job:
        had = {} if again else {key: rows[0].weights for key, rows in kept.get(name_of(spec), {}).items()}
        return _Job(spec, device, per_class, had)

    def done(found: _Found) -> None:
        kept.setdefault(name_of(found.spec), {}).update(found.rows)
        if found.rows:
            told = (
                "What was measured before is kept in the table; give the same command again when there is room, and "
                f"it goes on with {found.spec}"
            )
            write_table(_ordered(kept, wanted), folder, about, told)

    if workers == 1:
        for number, spec in enumerate(specs):

            def within(share: float, number: int = number, spec: ModelSpec = spec) -> None:
                if progress is not None:
                    progress(number + share, len(specs), str(spec))

            within(0)
            done(_measured(job(spec), within))
    else:
        finished = itertools.count(1)

        def done_there(found: _Found) -> None:
            done(found)
            if progress is not None:
                progress(next(finished), len(specs), str(found.spec))

        with processes(workers, 1) as pool:
            finish(pool, [pool.submit(_measured_there, job(spec)) for spec in specs], done_there)
    if progress is not None:
        progress(len(specs), len(specs), "")
    return _ordered(kept, wanted)


class _Job(NamedTuple):
    """A model to be measured; ``had``: what was measured before -> the weights that it was measured of."""

    spec: ModelSpec
    device: str | None
    per_class: int
    had: Mapping[Key, str]


class _Found(NamedTuple):
    """What was missing of a model: measurement -> rows."""

    spec: ModelSpec
    rows: dict[Key, list[TableRow]]


def _measured(job: _Job, progress: Callable[[float], None]) -> _Found:
    model = load(job.spec, job.device)
    weights, lab = fingerprint(model.module)[:_HASH], LabModel.of(job.spec)
    missing = [one for one in experiment(job.per_class) if one.applies(lab) and job.had.get(one.key) != weights]
    rows: dict[Key, list[TableRow]] = {}
    for number, one in enumerate(missing):

        def within(share: float, begin: int = number) -> None:
            progress((begin + share) / len(missing))

        rows[one.key] = measure(model, one, within)
    return _Found(job.spec, rows)


def _measured_there(job: _Job) -> _Found:
    return _measured(job, lambda _: end_with_parent())


_TRAININGS = get_args(Training)


def _kept(
    file: Path, about: Mapping[str, Any], wanted: Mapping[Key, Measurement]
) -> dict[str, dict[Key, list[TableRow]]]:
    """What a table has that was measured in the way that is wanted: model -> measurement -> rows."""
    kept: dict[str, dict[Key, list[TableRow]]] = {}
    if not file.is_file():
        return kept
    try:
        rows, how = read_table(file)
    except OtherVersionError:
        return kept
    for row in rows if how == about else ():
        key = (row.probe, row.parameters, row.scenes)
        if key in wanted:
            kept.setdefault(row.model, {}).setdefault(key, []).append(row)
    return kept


def _ordered(kept: Mapping[str, Mapping[Key, Sequence[TableRow]]], wanted: Mapping[Key, Measurement]) -> list[TableRow]:
    """The rows: trainings as declared, series after blocks, blocks as registered, seeds counting up."""
    blocks = list(BLOCKS)

    def place(model: str) -> tuple[Any, ...]:
        spec = ModelSpec.parse(model)
        one = LabModel.of(spec)
        known = blocks.index(one.block) if one.block in blocks else len(blocks)
        return one.backbone, _TRAININGS.index(one.training), bool(one.options), known, model.split("#")[0], spec.seed

    return [row for model in sorted(kept, key=place) for key in wanted for row in kept[model].get(key, ())]
