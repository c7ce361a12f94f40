"""What has each block's bias done to the trained models? Every model on the same freshly drawn pictures.

The pictures are of streams that no model was trained or judged on, drawn with equally many of each class, so that
chance is one in twelve under every condition. They are rendered once and kept; every model sees the same ones. All
networks run in float32.

What is measured, by bias (the table's column of that name):

- in distribution: scenes as in training; all, those of one part, those of two.
- translation: the object of the same scenes further right, left, down or up, never leaving the frame.
- scale: the object of the same scenes at other sizes, never leaving the frame.
- shape: scenes whose texture goes with another class than their shape (Geirhos 2019), the background going with
  neither, with the shape's class or with the texture's; and scenes whose texture and background tell nothing.
- context: the same objects, texture, colours and noise held, before other kinds of background: the own class's, any
  other class's, and as in IN-9 (Xiao 2020) that of another scene of the same class (mixed-same) and of a scene of
  another class (mixed-rand).
- arrangement: pairs in distribution, tilted further and standing further apart than in training, and with texture and
  background that tell nothing; with all twelve classes to choose from, and with the four arrangements alone.
- patch-shuffle: pictures cut into n x n patches that change places (Naseer 2021).
- maps: how much of each native map, and of Grad-CAM for the model's own answer, lies on the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.attribution import METHODS, answer
from explorer.blocks import BLOCKS
from explorer.errors import ParameterError
from explorer.lab.networks import MANIFEST, SIZE, LabModel, available, read_manifest
from explorer.lab.table import (
    NAME,
    Row,
    Summary,
    findings,
    load_summary,
    load_table,
    read_table,
    summary,
    write_table,
)
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.weights import fingerprint
from explorer.scenes import (
    ARRANGEMENTS,
    CENTRED,
    CLASSES,
    DATA_VERSION,
    Distribution,
    Scenes,
    draw,
    hashed,
    keys_of,
    render,
)
from explorer.transforms import shuffle_patches

__all__ = [
    "PER_CLASS",
    "QUICK",
    "Row",
    "Summary",
    "evaluate",
    "evaluate_all",
    "findings",
    "load_summary",
    "load_table",
    "mass_ratio",
    "read_table",
    "summary",
    "trained_specs",
    "write_table",
]

#: Raised whenever the same weights would give another table.
PROTOCOL = 1
#: The first of the streams of evaluation scenes; training draws from 1, judging from 2.
STREAM = 3
#: Pictures of each class under every condition; four times as many in distribution. And for a first look.
PER_CLASS, QUICK = 12, 3
#: Distances that leave the whole object in the frame, px of 48.
SHIFTS = (0, 2, 4, 6, 8, 10)
DIRECTIONS: Mapping[str, tuple[int, int]] = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}
#: Sizes over the training size; the whole object is in the frame.
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
#: Patches a side; 48 px can be cut into each.
GRIDS = (1, 2, 3, 4, 6)
#: Numbers of the arrangements among the classes.
PAIRS = tuple(CLASSES.index(name) for name in ARRANGEMENTS)
_BATCH = 64
#: Digits of a fingerprint that the table keeps.
_HASH = 16


# ---- the pictures ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one condition.

    Attributes:
        images: (n, 3, size, size) uint8, where the models are; all else is on the CPU.
        label: (n,) int64.
        texture: (n,) int64, the class that the texture goes with.
        masks: (n, size, size) bool, the object; None where nobody asks.
    """

    images: Tensor
    label: Tensor
    texture: Tensor
    masks: Tensor | None = None


Condition = tuple[str, str, "float | None", str]
"""Bias, condition, its value and the value's unit."""

_ALL: Condition = ("in distribution", "all", None, "")


@lru_cache(maxsize=2)
def pictures(per_class: int = PER_CLASS, size: int = SIZE, device: str = "cpu") -> Mapping[Condition, Pictures]:
    """Render everything that every model is shown: the pictures of each condition."""
    if per_class < 1:
        raise ParameterError(f"per_class is {per_class}; at least one picture of each class is needed")

    def rendered(some: Scenes, masks: bool = False) -> Pictures:
        got = render(some, size, device)
        images = (got.images * 255).round().to(torch.uint8)
        return Pictures(images, some.label, some.texture, got.masks.cpu() if masks else None)

    out: dict[Condition, Pictures] = {}
    plain = _balanced(STREAM, 4 * per_class)
    out[_ALL] = rendered(plain, masks=True)
    plain = plain[: per_class * len(CLASSES)]
    number = torch.arange(len(plain)) // len(CLASSES)  # of a scene among those of its class
    count = len(CLASSES)

    # Scenes at the smaller end of the training sizes have room to move; so have pairs that stand close.
    reach = max(SHIFTS) / SIZE
    roomy = replace(CENTRED, scales=(0.9, 0.92), gaps=(0.95, 0.97))
    still = _balanced(STREAM + 1, per_class, roomy, lambda some: _in_frame(some, reach))
    for distance in SHIFTS:
        for name, (x, y) in DIRECTIONS.items():
            if distance or name == "right":
                moved = rendered(still.moved(dx=x * distance / SIZE, dy=y * distance / SIZE))
            out["translation", name, float(distance), "px"] = moved

    upright = replace(CENTRED, scales=(1.0, 1.0), gaps=(0.95, 0.97))
    sized = _balanced(STREAM + 2, per_class, upright, lambda some: _in_frame(some.changed(scale=max(SCALES)), 1 / SIZE))
    for scale in SCALES:
        out["scale", "scaled", scale, "x"] = rendered(sized.changed(scale=scale))

    other = (plain.label + 1 + number % (count - 1)) % count
    # Neither the shape's class nor the texture's: the next of the ten that remain.
    third = (other + 1 + number // (count - 1) % (count - 2)) % count
    third = torch.where(third == plain.label, (third + 1) % count, third)
    third = torch.where(third == other, (third + 1) % count, third)
    for name, background in (("neither", third), ("the shape's class", plain.label), ("the texture's class", other)):
        conflict = plain.changed(texture=other, background=background)
        out["shape", f"background of {name}", None, ""] = rendered(conflict)
    out["shape", "uninformative cues", None, ""] = rendered(_silent(plain))

    by_class = torch.arange(len(plain)).view(-1, count)  # of the scenes that are drawn in turn
    twin = by_class.roll(1, 0).flatten()
    stranger = by_class[number, other]
    backgrounds = {
        "own": plain.label,
        "another's": other,
        "mixed-same": plain.background[twin],
        "mixed-rand": plain.background[stranger],
    }
    for name, background in backgrounds.items():
        out["context", name, None, ""] = rendered(plain.changed(background=background))

    pairs = _balanced(
        STREAM + 3, 3 * per_class, keep=lambda some: _in_frame(some.changed(gap=1.7), 1 / SIZE), classes=PAIRS
    )
    u = hashed(keys_of(STREAM + 4, torch.arange(len(pairs))), 2)
    steep = (25 + 15 * u[:, 0]) * torch.where(u[:, 1] < 0.5, -1.0, 1.0)
    out["arrangement", "in distribution", None, ""] = rendered(pairs)
    out["arrangement", "tilted 25 to 40 degrees", None, ""] = rendered(pairs.changed(tilt=steep))
    out["arrangement", "1.4 to 1.7 x apart", None, ""] = rendered(pairs.changed(gap=1.4 + 0.3 * u[:, 0]))
    out["arrangement", "uninformative cues", None, ""] = rendered(_silent(pairs))

    whole = out[_ALL]
    for grid in GRIDS:
        cut = shuffled(whole.images[: len(plain)], grid)
        out["patch-shuffle", "shuffled", float(grid), "patches a side"] = Pictures(
            cut, whole.label[: len(plain)], whole.texture[: len(plain)]
        )
    return out


def _balanced(
    stream: int,
    per_class: int,
    distribution: Distribution = CENTRED,
    keep: Callable[[Scenes], Tensor] | None = None,
    classes: Sequence[int] = tuple(range(len(CLASSES))),
) -> Scenes:
    """The first scenes of a stream that are kept, equally many of each class, the classes in turn."""
    drawn = draw(stream, torch.arange(40 * per_class * len(CLASSES)), distribution)
    chosen = []
    for label in classes:
        waiting = (drawn.label == label).nonzero()[:, 0]
        found = waiting[:0]
        for some in waiting.split(2 * per_class):
            if len(found) >= per_class:
                break
            found = torch.cat([found, some if keep is None else some[keep(drawn[some])]])
        if len(found) < per_class:
            raise ParameterError(
                f"of {len(waiting)} scenes of class '{CLASSES[label]}' {len(found)} leave enough room in the frame, "
                f"{per_class} are needed; shorten SHIFTS or SCALES"
            )
        chosen.append(found[:per_class])
    return drawn[torch.stack(chosen, 1).flatten()]


def _silent(some: Scenes) -> Scenes:
    """The same scenes, texture and background telling nothing: the texture is the class's own once in twelve times."""
    count = len(CLASSES)
    places = torch.arange(len(some))
    number = (some.label[None, :] == some.label[:, None]).tril(-1).sum(1)  # of a scene among those of its class
    anything = (hashed(keys_of(STREAM + 6, places), 1)[:, 0] * count).long()
    return some.changed(texture=(2 * some.label + number) % count, background=anything)


def _in_frame(some: Scenes, margin: float) -> Tensor:
    """(n,) bool: whether no pixel of the object comes nearer to the frame's edge than ``margin``, a share of it."""
    masks, edge = render(some, SIZE).masks, round(margin * SIZE)
    inner = masks[:, edge : SIZE - edge, edge : SIZE - edge]
    return inner.flatten(1).sum(1) == masks.flatten(1).sum(1)


def shuffled(images: Tensor, grid: int) -> Tensor:
    """Cut pictures (n, C, size, size) into grid x grid patches and let these change places, the same for every model.

    Every picture has its own order, never the original one.
    """
    if grid == 1:
        return images
    count, size = len(images), images.shape[-1]
    if size % grid:
        raise ParameterError(f"pictures of {size} px cannot be cut into {grid} x {grid} equal patches")
    order = hashed(keys_of(STREAM + 5, torch.arange(count)), grid * grid).argsort(1)
    same = (order == torch.arange(grid * grid)).all(1, keepdim=True)
    return shuffle_patches(images, torch.where(same, order.flip(1), order), (grid, grid))


# ---- one model ------------------------------------------------------------------------------------------------------


def evaluate(model: Model, per_class: int = PER_CLASS) -> list[Row]:
    """Measure every bias of one model: rows that can be compared with those of any other.

    Args:
        model: a live model of the laboratory's twelve classes, of the laboratory or not.
        per_class: pictures of each class under every condition. More of them resolve smaller differences: with one
            picture more or less right, an accuracy over one condition changes by 1 / (12 per_class).

    Raises ParameterError for a model of other classes.
    """
    if model.num_classes != len(CLASSES):
        raise ParameterError(
            f"{model.spec} has {model.num_classes} classes; the laboratory's scenes have {len(CLASSES)}"
        )
    height, width = model.input_size
    if height != width:
        raise ParameterError(f"{model.spec} reads {width} x {height} px; scenes are square")
    shown = pictures(per_class, height, str(model.device))
    head = _Head(model)
    with model.lock, torch.inference_mode(), _exact():
        logits = {condition: _logits(model, some.images) for condition, some in shown.items()}
    rows: list[Row] = []
    for condition, some in shown.items():
        rows += head.answers(condition, some, logits[condition])
    rows += head.gaps(shown, logits)
    with _exact():
        rows += head.maps(model, shown[_ALL], logits[_ALL].argmax(1), per_class * len(CLASSES))
    order = list(dict.fromkeys(condition[0] for condition in shown))
    return sorted(rows, key=lambda row: order.index(row.bias) if row.bias in order else len(order))


def _exact() -> AbstractContextManager[None]:
    """Float32 throughout, also where a GPU's convolutions would round to TF32."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _logits(model: Model, images: Tensor) -> Tensor:
    """(n, 12) float32 on the CPU for uint8 pictures."""
    return torch.cat([model.logits(_floats(part, model)).float().cpu() for part in images.split(_BATCH)])


def _floats(images: Tensor, model: Model) -> Tensor:
    """Pictures in 0..1, in the memory order that the model's backbone is faster in."""
    order = torch.channels_last if model.architecture == "resnet" else torch.contiguous_format
    return (images.float() / 255).contiguous(memory_format=order)


class _Head:
    """Makes the rows of one model."""

    def __init__(self, model: Model) -> None:
        self._identity, self._weights = _identity(model.spec), fingerprint(model.module)[:_HASH]

    def row(self, condition: Condition, measure: str, value: float, n: int) -> Row:
        bias, name, number, unit = condition
        return Row(
            *self._identity,
            self._weights,
            bias=bias,
            measure=measure,
            condition=name,
            value_of_condition=number,
            unit=unit,
            value=round(value, 6),
            n=n,
        )

    def share(self, condition: Condition, right: Tensor, measure: str = "accuracy") -> Row:
        """The row of a rate: (n,) bool."""
        return self.row(condition, measure, float(right.double().mean()), len(right))

    def answers(self, condition: Condition, some: Pictures, logits: Tensor) -> list[Row]:
        """The rates of one condition."""
        bias, name, _, _ = condition
        said = logits.argmax(1)
        right = said == some.label
        if condition == _ALL:
            pair = some.label >= min(PAIRS)
            return [
                self.share(condition, right),
                self.share((bias, "one part", None, ""), right[~pair]),
                self.share((bias, "arrangements", None, ""), right[pair]),
            ]
        if bias == "shape" and name.startswith("background"):
            texture = said == some.texture
            rows = [self.share(condition, right, "shape answers"), self.share(condition, texture, "texture answers")]
            either = right | texture
            # Where no answer named either there is no bias to speak of, and no row.
            return [*rows, self.share(condition, right[either], "shape bias")] if bool(either.any()) else rows
        rows = [self.share(condition, right)]
        if bias == "arrangement":
            among = logits[:, list(PAIRS)].argmax(1) + min(PAIRS)
            rows.append(self.share(condition, among == some.label, "accuracy among arrangements"))
        return rows

    def gaps(self, shown: Mapping[Condition, Pictures], logits: Mapping[Condition, Tensor]) -> list[Row]:
        """What is the difference of, or the mean over, several conditions."""
        right = {
            condition: logits[condition].argmax(1) == some.label
            for condition, some in shown.items()
            if condition[0] in ("context", "translation")
        }
        rows = []
        for distance in SHIFTS:
            # A shift by nothing is the same picture in all directions, and counts once.
            names = list(DIRECTIONS) if distance else list(DIRECTIONS)[:1]
            of_all = torch.cat([right["translation", name, float(distance), "px"] for name in names])
            rows.append(self.share(("translation", "four directions", float(distance), "px"), of_all))
        for same, strange in (("own", "another's"), ("mixed-same", "mixed-rand")):
            one, two = (right["context", name, None, ""].double() for name in (same, strange))
            gap = float(one.mean() - two.mean())
            rows.append(self.row(("context", f"{same} - {strange}", None, ""), "BG-gap", gap, len(one)))
        return rows

    def maps(self, model: Model, some: Pictures, said: Tensor, count: int) -> list[Row]:
        """How much of the native maps and of Grad-CAM lies on the object, on the first ``count`` pictures."""
        assert some.masks is not None
        native: dict[tuple[str, str], list[float]] = {}
        cam: list[float] = []
        method = "gradcam" if METHODS["gradcam"].unavailable(model) is None else None
        for which in torch.arange(count).split(_BATCH):
            x01, target = _floats(some.images[which], model), said[which].tolist()
            found = answer(model, x01, target=target, maps=True, method=method)
            masks = some.masks[which]
            for layer, one in _drawn(found.maps).items():
                native.setdefault((one.kind, layer), []).extend(map_ratios(one, masks))
            for one_picture, mask in zip(found.attributions or (), masks):
                ratio = mass_ratio(one_picture.values.clamp(min=0), mask)
                if ratio is not None:  # a map that is zero everywhere has no mass to place
                    cam.append(ratio)
        rows = []
        for kind in dict.fromkeys(kind for kind, _ in native):
            name, layers = f"native {kind}", [values for (one, _), values in native.items() if one == kind and values]
            if not layers:
                continue
            means = [sum(values) / len(values) for values in layers]
            rows.append(self.row(("maps", name, None, ""), "mass ratio", sum(means) / len(means), count))
            for number, (mean, values) in enumerate(zip(means, layers), start=1):
                rows.append(self.row(("maps", name, float(number), "layer"), "mass ratio", mean, len(values)))
        if cam:
            rows.append(self.row(("maps", "Grad-CAM", None, ""), "mass ratio", sum(cam) / len(cam), len(cam)))
        return rows


def _identity(spec: ModelSpec) -> tuple[str, str, str, bool, int]:
    """Model, block, backbone, augmented, seed."""
    if spec.origin == "lab":
        model = LabModel.of(spec)
        return str(model.spec()), model.block, model.backbone, model.augmented, spec.seed
    return str(replace(spec, seed=0)), spec.block or "none", spec.backbone, False, spec.seed


# ---- mass on the object ---------------------------------------------------------------------------------------------


def mass_ratio(values: Tensor, mask: Tensor) -> float | None:
    """The share of a map's mass on the object, over the object's share of the frame; 1 for an even map.

    Args:
        values: (h, w), none negative.
        mask: (H, W) bool; brought to the map's grid by area.

    Returns None where the map has no mass, or the mask no pixel.
    """
    covered = _by_area(mask, (values.shape[0], values.shape[1]))
    values = values.cpu().double()
    mass, share = float(values.sum()), float(covered.mean())
    if mass <= 0 or share <= 0:
        return None
    return float((values * covered).sum()) / mass / share


def _by_area(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """The share of each cell of a grid that a mask (H, W) covers: (rows, columns) float64."""
    rows, columns = (_overlap(size, cells) for size, cells in zip(mask.shape, grid))
    return rows @ mask.cpu().double() @ columns.T


@lru_cache(maxsize=16)
def _overlap(size: int, cells: int) -> Tensor:
    """(cells, size): the share of each cell that each of ``size`` pixels has, both lying evenly on one length."""
    pixel, cell = torch.arange(size) * cells, torch.arange(cells)[:, None] * size  # left ends; whole numbers are exact
    common = torch.minimum(pixel + cells, cell + size) - torch.maximum(pixel, cell)
    return common.clamp(min=0).double() / size


def _drawn(maps: Iterable[AttentionMap]) -> dict[str, AttentionMap]:
    """One map a module: the last that lies on the image in both directions (of strips their product), if any."""
    out: dict[str, AttentionMap] = {}
    for one in maps:
        if one.kind != "channel" and one.grid is not None and min(one.grid) > 1:
            out[one.module] = one
    return out


def map_ratios(one: AttentionMap, masks: Tensor) -> list[float]:
    """The `mass_ratio` of a native map for every picture of its batch, heads (or channels) averaged.

    Of a map with queries, the mean over the queries on the object, each counted by the part of its cell that the object
    covers; a gate's ratio is its mean on the object over its mean everywhere.

    Args:
        one: the map.
        masks: (batch, H, W) bool.
    """
    layout = one.layout
    assert layout is not None
    out = []
    for item, mask in enumerate(masks):
        keys = torch.cat([_by_area(mask, layout.key_grid).flatten(), torch.zeros(1, dtype=torch.float64)])
        on_object = on_image = 0.0
        for group in range(one.weights.shape[1]):
            weights = one.weights.block(item, group, 0, one.weights.shape[3]).mean(0).cpu().double()
            index = layout.key_index[group if len(layout.key_index) > 1 else 0]
            asked = torch.ones(len(weights), dtype=torch.float64)
            if layout.query_grid is not None and layout.query_index is not None:
                queries = torch.cat([_by_area(mask, layout.query_grid).flatten(), torch.zeros(1, dtype=torch.float64)])
                where = layout.query_index[group if len(layout.query_index) > 1 else 0]
                asked = queries[where.clamp(min=-1)]  # prefix tokens and padding lie nowhere: the zero at the end
            mass = asked @ weights
            on_object += float((mass * keys[index.clamp(min=-1)]).sum())
            on_image += float(mass[index >= 0].sum())
        share = float(mask.cpu().double().mean())
        if on_image > 0 and share > 0:
            out.append(on_object / on_image / share)
    return out


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


Progress = Callable[[int, int, str], None]
"""Told the number of models done, of all, and the spec of the one that is measured now, or ""."""


def evaluate_all(
    specs: Sequence[ModelSpec],
    folder: Path,
    device: str | None = None,
    per_class: int = PER_CLASS,
    again: bool = False,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure many models and write the table after each; return all of its rows.

    Args:
        specs: which models.
        folder: has the table, or will. What it holds of other models, and of these with the same weights, is kept; what
            was measured in another way is not.
        device: where; None chooses.
        per_class: see `evaluate`.
        again: measure also those that the table has.
        progress: told before every model and at the end; what it raises ends the work.
    """
    about = {"protocol": PROTOCOL, "data_version": DATA_VERSION, "per_class": per_class}
    kept: dict[tuple[str, int], list[Row]] = {}
    file = folder / f"{NAME}.json"
    if file.is_file():
        rows, how = read_table(file)
        if how == about:
            for row in rows:
                kept.setdefault((row.model, row.seed), []).append(row)
    for done, spec in enumerate(specs):
        if progress is not None:
            progress(done, len(specs), str(spec))
        model = load(spec, device)
        name, _, _, _, seed = _identity(model.spec)
        old = kept.get((name, seed))
        if old and not again and old[0].weights == fingerprint(model.module)[:_HASH]:
            continue
        kept[name, seed] = evaluate(model, per_class)
        told = (
            "What was measured before is kept in the table; give the same command again when there is room, and it "
            f"goes on with {spec}"
        )
        write_table(_ordered(kept), folder, about, told)
    if progress is not None:
        progress(len(specs), len(specs), "")
    return _ordered(kept)


def _ordered(kept: Mapping[tuple[str, int], Sequence[Row]]) -> list[Row]:
    """The rows, plain set-ups before augmented ones, blocks as registered, seeds counting up."""
    blocks = list(BLOCKS)

    def place(rows: Sequence[Row]) -> tuple[Any, ...]:
        one = rows[0]
        known = blocks.index(one.block) if one.block in blocks else len(blocks)
        return one.backbone, one.augmented, known, one.block, one.seed

    return [row for rows in sorted(kept.values(), key=place) for row in rows]
