"""Spatial relations: does it matter where the parts are, to each other (patch-shuffle) and in the frame (position)?"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from timm.models.eva import Eva
from torch import Tensor, nn

from explorer.blocks.mhsa import MultiHeadSelfAttention
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Line, Section
from explorer.lab.evaluation import PAIRS
from explorer.models.heads import Head
from explorer.models.model import Model
from explorer.probes.base import PROBES, Probe, Row, Run, Step, curve, mean, need_classes, score, share
from explorer.probes.passes import Passes, collected, stage_features
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import Pictures, Shown, knows_scenes, render_many, scenes
from explorer.registry import parameter
from explorer.scenes import ARRANGEMENTS, CLASSES, Scene
from explorer.statistics import R2, SHARE
from explorer.transforms import random_orders, shuffle_patches

#: Rows x columns of patches that a picture is cut into (Naseer 2021).
GRIDS = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (14, 14), (16, 16))
#: Scenes drawn to tell arrangements from scenes of one part: twelve of each class, before those that do not fit.
DRAWN = 12 * len(CLASSES)
#: Turns of an arrangement's axis and distances of its parts that no model was trained on; largest gap tried for room.
TILTS, GAPS = (25.0, 40.0), (1.4, 1.7)


# ---- what several probes of one picture against its own answer share -------------------------------------------------


def _window(images: Tensor | Pictures, start: int, stop: int) -> Tensor:
    return images[start:stop]


def compared(
    logits: Tensor,
    clean: Tensor,
    truth: Sequence[int | None],
    repeats: int = 1,
    head: Head = Head(),  # noqa: B008 - frozen
    **conditions: Any,
) -> list[Row]:
    """Rows of agreement, p(original class) and accuracy where labels are known.

    Args:
        logits: (n * repeats, classes) of changed images, the repeats of an image side by side.
        clean: (n, classes) of the images as they are, for the original class of each.
        truth: the n labels.
        repeats: how often each image was changed.
        head: how the logits are read.
        conditions: of the rows.
    """
    n = len(clean)
    before, after = head.probabilities(clean), head.probabilities(logits).view(n, repeats, -1)
    p = head.p_of(after, head.leading(before)[:, None].expand(n, repeats))
    rows = [
        share("agreement", head.same(after, before[:, None]).double().mean(1), **conditions),
        mean("p(original class)", p.double().mean(1), head.p_unit, SHARE, **conditions),
    ]
    known = [index for index, label in enumerate(truth) if label is not None]
    if known:
        labels = torch.tensor([truth[index] for index in known])
        said = head.answer(after[known])[..., 0]
        rows.append(share("accuracy", (said == labels[:, None]).double().mean(1), **conditions))
    return rows


def lines(result: ProbeResult, over: str, measure: str, **conditions: Any) -> tuple[Line, ...]:
    """A curve for each model that has rows of this measure under these conditions."""
    found = [
        (number, name, result.of(name, measure=measure, **conditions)) for number, name in enumerate(result.models)
    ]
    return tuple(curve(name, number, rows, over) for number, name, rows in found if rows)


# ---- patch-shuffle --------------------------------------------------------------------------------------------------


def _cut(images: Tensor | Pictures, orders: Tensor, grid: tuple[int, int], start: int, stop: int) -> Tensor:
    """Pictures ``start`` to ``stop`` of all images in all orders, those of an image side by side."""
    which = torch.arange(start, stop, device=images.device) // (len(orders) // len(images))
    return shuffle_patches(images[which], orders[start:stop], grid)


class _Set(NamedTuple):
    """Pictures that are shuffled: (n, 3, H, W), the labels, and which of them belong to each group."""

    images: Tensor | Pictures
    truth: list[int | None]
    groups: dict[str, list[int]]


@PROBES.register("patch-shuffle")
@dataclass(frozen=True)
class PatchShuffle(Probe):
    """How much of the answer is left when the picture is cut into patches that change places?

    Every picture is cut into rows x columns equal patches, which are put into several random orders, never the original
    one. Grids that do not divide the input are left out. A model that knows the laboratory's scenes, shown scenes, is
    also shown freshly drawn ones: of one part (whose texture tells as much as the shape) and of two, where only the
    arrangement tells the class; these also tilted and apart further than in training, with the four arrangements to
    choose from. "one part" and "arrangements" are those, one order of each; "all" is what is shown.
    """

    bias: ClassVar = "relations"
    formula: ClassVar[str] = (
        "agreement = mean over images and orders of [argmax f(shuffle(x)) = argmax f(x)]; "
        "p(original class) = softmax f(shuffle(x)) at argmax f(x)"
    )
    source: ClassVar[str] = "Naseer et al. 2021, Intriguing Properties of Vision Transformers, section 3.3"
    limits: ClassVar[str] = (
        "Edges that appear between patches, and parts cut in two, change the answer too: not the arrangement alone is "
        "taken away."
    )
    headline: ClassVar[str] = "agreement at 4x4"

    draws: int = parameter(4, "random orders of each picture", 1, 64)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Rows of each grid, finer and finer; "1x1" is the picture as it is."""
        need_classes(model)
        height, width = model.input_size
        grids = [one for one in GRIDS if height % one[0] == 0 and width % one[1] == 0]
        if not grids:
            raise MethodError(f"none of the grids divides the {width} x {height} px that {model.spec} looks at")
        left_out = ", ".join(_named(one) for one in GRIDS if one not in grids)
        count = len(shown)
        sets = [_Set(shown.images, shown.truth, {"all": list(range(count))})]
        pairs: list[Scene] = []
        if shown.rendered and knows_scenes(model):
            drawn = _roomy(scenes(DRAWN, run.seed), height)
            pairs = [one for one in drawn if one.label in ARRANGEMENTS]
            labels: list[int | None] = [CLASSES.index(one.label) for one in drawn]
            two = [index for index, one in enumerate(drawn) if one.label in ARRANGEMENTS]
            one_part = [index for index in range(len(drawn)) if index not in set(two)]
            images = render_many(drawn, height)[0].to(model.device)
            sets.append(_Set(images, labels, {"one part": one_part, "arrangements": two}))
        parts = (len(grids) + 1) * len(sets) + (2 if pairs else 0)
        done = 0

        def part() -> tuple[float, float]:
            nonlocal done
            done += 1
            return (done - 1) / parts, done / parts

        clean: list[Tensor] = []
        for one in sets:
            begin, end = part()
            logits, _ = yield from collected(run.passes, len(one.images), partial(_window, one.images), begin, end)
            clean.append(logits)
            yield Step(done / parts, self._rows(one, logits, logits, (1, 1), 1, left_out, model.head))
        for grid in grids:
            for number, one in enumerate(sets):
                # Of drawn scenes there are many; another scene tells more than another order of the same one.
                draws = self.draws if number == 0 else 1
                orders = random_orders(len(one.images) * draws, grid[0] * grid[1], run.seed)
                make = partial(_cut, one.images, orders, grid)
                logits, _ = yield from collected(run.passes, len(orders), make, *part())
                yield Step(done / parts, self._rows(one, logits, clean[number], grid, draws, left_out, model.head))
        if pairs:
            yield from self._arrangements(model, pairs, run, part)

    def _rows(
        self, one: _Set, logits: Tensor, clean: Tensor, grid: tuple[int, int], draws: int, left_out: str, head: Head
    ) -> list[Row]:
        rows = []
        split = logits.view(len(clean), draws, -1)
        for group, members in one.groups.items():
            conditions: dict[str, Any] = {
                "grid": _named(grid),
                "patches": grid[0] * grid[1],
                "orders": draws if grid != (1, 1) else 0,
                "group": group,
                "left_out": left_out,
            }
            truth = [one.truth[index] for index in members]
            rows += compared(split[members].flatten(0, 1), clean[members], truth, draws, head, **conditions)
            if group == "arrangements":
                right = _among(split[members]) == torch.tensor(truth)[:, None]
                rows.append(share("accuracy among arrangements", right.double().mean(1), **conditions))
        return rows

    def _arrangements(
        self, model: Model, pairs: list[Scene], run: Run, part: Callable[[], tuple[float, float]]
    ) -> Iterator[Step]:
        """The arrangements, not shuffled, tilted and apart further than in training."""
        chance = torch.Generator().manual_seed(run.seed)
        u = torch.rand(len(pairs), 2, generator=chance, dtype=torch.float64).tolist()
        tilted = [
            replace(one, tilt=(TILTS[0] + (TILTS[1] - TILTS[0]) * a) * (1 if b < 0.5 else -1))
            for one, (a, b) in zip(pairs, u)
        ]
        apart = [replace(one, gap=GAPS[0] + (GAPS[1] - GAPS[0]) * a) for one, (a, _) in zip(pairs, u)]
        truth = torch.tensor([CLASSES.index(one.label) for one in pairs])
        for name, some in (("tilted 25 to 40 degrees", tilted), ("1.4 to 1.7 x apart", apart)):

            def make(start: int, stop: int, some: list[Scene] = some) -> Tensor:
                return render_many(some[start:stop], model.input_size[0])[0].to(model.device)

            begin, end = part()
            logits, _ = yield from collected(run.passes, len(some), make, begin, end)
            conditions = {"grid": "1x1", "patches": 1, "orders": 0, "group": name}
            yield Step(
                end,
                [
                    share("accuracy", (logits.argmax(1) == truth).double(), **conditions),
                    share("accuracy among arrangements", (_among(logits) == truth).double(), **conditions),
                ],
            )

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """Agreement and p at 4x4; of the laboratory's models also the accuracy among arrangements."""
        there: dict[str, Any] = {"grid": "4x4", "group": "all"}
        found = score(rows, "agreement", "none", self.headline, **there)
        found += score(rows, "p(original class)", "none", "p(original class) at 4x4", **there)
        for group in _CONDITIONS:
            name = f"accuracy among arrangements, {_CONDITIONS[group]}"
            found += score(rows, "accuracy among arrangements", "higher", name, grid="1x1", group=group)
        return found

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Agreement, p and accuracy against the number of patches; arrangements below."""
        x = Axis("patches in the picture", log=True)
        marks = tuple((float(rows * columns), _named((rows, columns))) for rows, columns in GRIDS)
        missing = {one["model"]: one["left_out"] for one in result.rows if one.get("left_out")}
        unit = "Several random orders of each picture, never the original one; 1 patch is the picture as it is."
        for name, left_out in missing.items():
            unit += f" Left out for {name}, whose input they do not divide: {left_out}."

        def chart(title: str, measure: str, axis: str, group: str = "all", says: str = unit) -> Chart:
            return Chart(
                title, lines(result, "patches", measure, group=group), x, Axis(axis, low=0, high=1), marks, says
            )

        panels = [
            chart("Same answer as without shuffling", "agreement", "agreement (share of pictures)"),
            chart("What is left of the answer", "p(original class)", "p(original class)"),
        ]
        if any(one["measure"] == "accuracy" and one["group"] == "all" for one in result.rows):
            panels.append(chart("Right answers", "accuracy", "accuracy (share of pictures)"))
        made = [Section("Patches that change places", (tuple(panels),))]
        if any(one["group"] in _CONDITIONS for one in result.rows):
            made.append(self._scenes(result, chart))
        return tuple(made)

    def _scenes(self, result: ProbeResult, chart: Callable[..., Chart]) -> Section:
        own: list[Line] = []
        for number, name in enumerate(result.models):
            rows = [
                {**one, "condition": _CONDITIONS[group]}
                for group in _CONDITIONS
                for one in result.of(name, measure="accuracy among arrangements", grid="1x1", group=group)
            ]
            if rows:
                own.append(curve(name, number, rows, "condition", joined=False))
        y = Axis("accuracy among the four (chance 0.25)", low=0, high=1)
        further = Chart("Arrangements, not shuffled", tuple(own), Axis("how the two parts stand"), y)
        says = "Freshly drawn scenes; accuracy with all twelve classes to choose from (chance 0.083)."
        alike = chart("Scenes of one part", "accuracy", "accuracy (share of scenes)", "one part", says)
        two = chart(
            "Scenes whose arrangement is the class", "accuracy", "accuracy (share of scenes)", "arrangements", says
        )
        return Section("One part, and arrangements of two", ((alike, two, further),))


_CONDITIONS = {
    "arrangements": "in distribution",
    "tilted 25 to 40 degrees": "tilted 25 to 40 degrees",
    "1.4 to 1.7 x apart": "1.4 to 1.7 x apart",
}


def _named(grid: tuple[int, int]) -> str:
    return f"{grid[0]}x{grid[1]}"


def _among(logits: Tensor) -> Tensor:
    """Which arrangement is the likeliest of the four: (..., classes) to (...) class numbers."""
    return torch.tensor(PAIRS)[logits[..., list(PAIRS)].argmax(-1)]


def _roomy(some: Sequence[Scene], size: int) -> list[Scene]:
    """The scenes without those arrangements that would leave the frame when their parts stand furthest apart."""
    wide = [replace(one, gap=GAPS[1]) if one.label in ARRANGEMENTS else one for one in some]
    masks = render_many(wide, size)[1]
    edge = masks[:, [0, -1]].flatten(1).any(1) | masks[:, :, [0, -1]].flatten(1).any(1)
    return [one for one, out in zip(some, edge.tolist()) if not (out and one.label in ARRANGEMENTS)]


# ---- where a model keeps its positions ------------------------------------------------------------------------------

#: Last part of the names of learnt position tables in timm and in the laboratory's blocks.
_ABSOLUTE = re.compile(
    r"(^|\.)(pos_embed\d?|pos_embed_(spatial|win|window)|absolute_pos(_embed)?|patch_pos|places|position_embedding_table)$"
)
_RELATIVE = re.compile(
    r"(^|\.)(relative_position_bias_table|attention_biases|rel_pos_[hw]|(height|width)_rel)$"
    r"|(^|\.)(cpb_mlp|meta_mlp|rel_pos)\."
)
#: What each kind is called, and whether it has places that can be moved.
KINDS = ("absolute", "relative", "rotary")


def position_kinds(module: nn.Module) -> tuple[str, ...]:
    """Which kinds of learnt or computed position the network has, of `KINDS`."""
    absolute, relative = position_names(module)
    rotary = isinstance(module, Eva) and module.rope is not None
    return tuple(kind for kind, has in zip(KINDS, (absolute, relative, rotary)) if has)


def without_position(model: Model, kind: str) -> Model:
    """A copy of the model with one kind of position zeroed.

    Of tables with rows for prefix tokens (class, registers), these rows stay: they are no place on the image. A rotary
    embedding turns by nothing. The model itself is not touched.
    """
    changed = _copied(model)
    module = changed.module
    absolute, relative = position_names(module)
    with torch.no_grad():
        for name in absolute if kind == "absolute" else relative if kind == "relative" else ():
            table = module.get_parameter(name)
            if kind == "absolute":
                grid_part(table, _placed(table, model))[...] = 0
            else:
                table[: len(table) - _class_rows(name, table)] = 0
    if kind == "rotary":
        _change_rotary(module, _no_turn)
    return changed


def with_moved_position(model: Model, kind: str) -> Model | None:
    """A copy of the model whose positions on the grid are rolled by half the grid both ways.

    None where they have no places of their own (relative tables) or where these are not known.
    """
    changed = _copied(model)
    module = changed.module
    if kind == "rotary":
        _change_rotary(module, _rolled_tokens)
        return changed
    if kind == "relative":
        return None
    with torch.no_grad():
        for name in position_names(module)[0]:
            table = module.get_parameter(name)
            placed = _placed(table, model)
            if placed.grid is None:
                return None
            part = grid_part(table, placed)
            rows, columns = placed.grid
            if placed.layout == "tokens":
                part.copy_(_rolled_tokens(part, placed.grid))
            else:
                axes = (1, 2) if placed.layout == "NHWC" else (2, 3)
                part.copy_(part.roll((rows // 2, columns // 2), axes))
    return changed


class Placed(NamedTuple):
    """Where an absolute table keeps the places of a grid.

    Attributes:
        layout: "tokens" (..., prefix + rows * columns, C), "NHWC" or "NCHW".
        prefix: rows of prefix tokens, which come first.
        grid: (rows, columns), or None where not known.
    """

    layout: str
    prefix: int
    grid: tuple[int, int] | None


def grid_part(table: Tensor, placed: Placed) -> Tensor:
    """The view of a table without the rows of its prefix tokens."""
    return table[..., placed.prefix :, :] if placed.layout == "tokens" else table


def _placed(table: Tensor, model: Model) -> Placed:
    """Find out how a table lies on the grid of patches or of a stage."""
    module = model.module
    own = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    grids = [(int(own[0]), int(own[1]))] if own else []
    grids += [one.grid for one in model.stages if one.grid != (0, 0)]
    if table.ndim == 4:
        for grid in grids:
            if tuple(table.shape[2:]) == grid:
                return Placed("NCHW", 0, grid)
            if tuple(table.shape[1:3]) == grid:
                return Placed("NHWC", 0, grid)
        if table.shape[2] == table.shape[3]:
            return Placed("NCHW", 0, (table.shape[2], table.shape[3]))
        if table.shape[1] == table.shape[2]:
            return Placed("NHWC", 0, (table.shape[1], table.shape[2]))
        return Placed("NCHW", 0, None)
    tokens, most = table.shape[-2], max(1, int(getattr(module, "num_prefix_tokens", 0) or 0))
    for rows, columns in grids:
        if 0 <= tokens - rows * columns <= most:
            return Placed("tokens", tokens - rows * columns, (rows, columns))
    for prefix in {0, most}:
        side = math.isqrt(tokens - prefix)
        if side * side == tokens - prefix:
            return Placed("tokens", prefix, (side, side))
    return Placed("tokens", 0, None)


def position_names(module: nn.Module) -> tuple[list[str], list[str]]:
    """Names of the parameters that are absolute and relative positions."""
    names = [name for name, _ in module.named_parameters()]
    # The laboratory's attention calls its relative table "bias", as linear layers do theirs.
    own = [
        f"{path}.bias" if path else "bias"
        for path, part in module.named_modules()
        if isinstance(part, MultiHeadSelfAttention) and part.position == "relative"
    ]
    relative = [name for name in names if _RELATIVE.search(name) or name in own]
    return [name for name in names if _ABSOLUTE.search(name) and name not in relative], relative


def _class_rows(name: str, table: Tensor) -> int:
    """The last rows of a relative table that belong to the class token (BEiT: 3), which has no place."""
    length = len(table)
    square = math.isqrt(length) ** 2 == length
    with_class = length > 3 and math.isqrt(length - 3) ** 2 == length - 3
    return 3 if name.endswith("relative_position_bias_table") and table.ndim == 2 and with_class and not square else 0


def _copied(model: Model) -> Model:
    """The model with a copy of its network, which may be changed."""
    with model.lock:
        module = copy.deepcopy(model.module)
    for part in module.modules():
        if isinstance(cache := getattr(part, "attention_bias_cache", None), dict):
            cache.clear()  # LeViT and its kin keep the bias that they computed of their table
    return dataclasses.replace(model, module=module)


def _change_rotary(module: Any, change: Callable[[Tensor, tuple[int, int]], Tensor]) -> None:
    """Change the rotary embedding of a copied network (sines and cosines, (..., N, 2 d)) whenever it is read."""
    grid, read = tuple(module.patch_embed.grid_size), module.rope.get_embed
    module.rope.get_embed = lambda *arguments, **named: change(read(*arguments, **named), grid)


def _no_turn(turn: Tensor, _: tuple[int, int]) -> Tensor:
    """Sines 0 and cosines 1, side by side as in ``turn``."""
    sines, cosines = turn.chunk(2, -1)
    return torch.cat([torch.zeros_like(sines), torch.ones_like(cosines)], -1)


def _rolled_tokens(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens (..., rows * columns, C) rolled by half the grid both ways."""
    rows, columns = grid
    return tokens.unflatten(-2, grid).roll((rows // 2, columns // 2), (-3, -2)).flatten(-3, -2)


# ---- reading positions off features ---------------------------------------------------------------------------------

#: Ridge penalties that are tried, per sample of standardised features; places in an image at most.
PENALTIES = tuple(10.0**power for power in range(-6, 3))
PLACES = 256
FOLDS = 4


def ridge(x: Tensor, y: Tensor, penalties: Sequence[float]) -> list[Callable[[Tensor], Tensor]]:
    """Ridge regression of y (n, d) from features x (n, p), standardised, for each penalty; in closed form.

    Minimises |y - z w|^2 / n + penalty |w|^2. Returns a prediction for each penalty: (m, p) to (m, d).
    """
    middle, spread = x.mean(0), x.std(0, correction=0)
    # A channel that never changes is left out by an infinite spread.
    spread = torch.where(spread > 1e-6 * spread.max(), spread, torch.inf)
    z, level = (x - middle) / spread, y.mean(0)
    n, p = z.shape
    # Of the two equal forms of the solution the one whose matrix is smaller.
    wide = p > n
    values, vectors = torch.linalg.eigh(z @ z.T if wide else z.T @ z)
    right = vectors.T @ ((y - level) if wide else z.T @ (y - level))

    def solved(penalty: float) -> Callable[[Tensor], Tensor]:
        inner = vectors @ (right / (values.clamp(min=0) + penalty * n)[:, None])
        weights = z.T @ inner if wide else inner
        return lambda new: (new - middle) / spread @ weights + level

    return [solved(penalty) for penalty in penalties]


def readable(features: Tensor, places: Tensor) -> np.ndarray[Any, Any]:
    """How well places can be read off features of images that were not fitted.

    Args:
        features: (n, places, channels) of n images, at least 4.
        places: (n, places, 2), x and y of each.

    In each of four folds half of the images are fitted, the penalty is the best on a quarter, and the last quarter is
    predicted. Returns (n, 4): for each image the squared error of x and of y, and the squares of x and y about their
    means over all; R2 is 1 - sum of errors / sum of squares.
    """
    features, places = features.double(), places.double()
    fold = torch.arange(len(features)) % FOLDS
    middle = places.flatten(0, 1).mean(0)
    errors = torch.zeros(len(features), 2, dtype=torch.float64)
    for number in range(FOLDS):
        test, choose = fold == number, fold == (number + 1) % FOLDS
        fit = ~(test | choose)
        models = ridge(features[fit].flatten(0, 1), places[fit].flatten(0, 1), PENALTIES)
        # x and y each have their own penalty: one may be known and the other not.
        tried = torch.stack([((one(features[choose]) - places[choose]) ** 2).sum((0, 1)) for one in models])
        for axis, best in enumerate(tried.argmin(0).tolist()):
            errors[test, axis] = ((models[best](features[test]) - places[test]) ** 2)[..., axis].sum(1)
    return torch.cat([errors, ((places - middle) ** 2).sum(1)], 1).numpy()


def position_rows(features: Tensor, places: Tensor, **conditions: Any) -> list[Row]:
    """Rows of R2 of x, of y and their mean, with intervals over images; see `readable`."""
    sums = readable(features, places)
    statistics: dict[str, Callable[[Any], float]] = {
        "R2 of x": lambda m: float(1 - m[0] / m[2]),
        "R2 of y": lambda m: float(1 - m[1] / m[3]),
        "R2 of position": lambda m: float(1 - (m[0] / m[2] + m[1] / m[3]) / 2),
    }
    return [mean(name, sums, "R2", R2, statistic, **conditions) for name, statistic in statistics.items()]


@PROBES.register("position")
@dataclass(frozen=True)
class Position(Probe):
    """Does the model know where in the frame things are, and does its answer need that?

    (a) The answers are compared with those of copies of the model whose positions are zeroed (off the training
    distribution) and moved by half the grid both ways; rows of prefix tokens stay. Absolute embeddings, relative
    position bias (zeroed alone, as it has no places) and the rotary embedding of EVA's kin are told apart. (b) The
    place of every cell of a stage's grid, -1 to 1 along x and y, is read off its features by ridge regression, on
    pictures of noise (each pixel even between 0 and 1) and of one colour each: what it can read is no content of the
    picture. Half of the pictures are fitted, the penalty is chosen on a quarter, R2 is that of the last quarter, in
    turn.
    """

    bias: ClassVar = "relations"
    formula: ClassVar[str] = (
        "R2 = 1 - sum |place - ridge(features)|^2 / sum |place - mean place|^2 over pictures not fitted, mean of x and "
        "y; agreement = mean of [argmax f'(x) = argmax f(x)], f' with its positions changed"
    )
    source: ClassVar[str] = (
        "Islam et al. 2020, How Much Position Information Do Convolutional Neural Networks Encode? (read by ridge "
        "regression instead of a network); Touvron et al. 2021, DeiT; Naseer et al. 2021, section 3.3"
    )
    limits: ClassVar[str] = (
        "Zeroed or moved positions are off the training distribution, so a changed answer is no proof that a model "
        "trained without them would be worse; and what can be read need not be used."
    )
    headline: ClassVar[str] = "R2 of noise images, last stage"

    input: str = parameter("both", "pictures that places are read from", choices=("noise", "constant", "both"))
    count: int = parameter(16, "pictures of each kind that places are read from", 4, 256)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Rows of the answers with changed positions, then of each stage."""
        kinds = () if model.headless else position_kinds(model.module)
        half = 0.5 if kinds else 0.0
        if kinds:
            yield from self._changed(model, shown, run, kinds, half)
        names = ("noise", "constant") if self.input == "both" else (self.input,)
        for number, name in enumerate(names):
            begin, width = half + (1 - half) * number / len(names), (1 - half) / len(names)
            yield from self._read(model, run, name, begin, width)

    def _changed(self, model: Model, shown: Shown, run: Run, kinds: Sequence[str], end: float) -> Iterator[Step]:
        images, parts = shown.images, 1 + 2 * len(kinds)
        clean, _ = yield from collected(run.passes, len(images), partial(_window, images), 0, end / parts)
        done = 1
        for kind in kinds:
            tables = 1 if kind == "rotary" else len(position_names(model.module)[KINDS.index(kind)])
            conditions: dict[str, Any] = {"kind": kind, "tables": tables}
            yield Step(
                end * done / parts,
                compared(clean, clean, shown.truth, head=model.head, position="unchanged", **conditions),
            )
            for name, make in (("zeroed", without_position), ("moved", with_moved_position)):
                changed = make(model, kind)
                done += 1
                if changed is None:
                    continue
                passes = Passes(changed, run.passes.dtype)
                passes.size = run.passes.size
                logits, _ = yield from collected(
                    passes, len(images), partial(_window, images), end * (done - 1) / parts, end * done / parts
                )
                rows = compared(logits, clean, shown.truth, head=model.head, position=name, **conditions)
                yield Step(end * done / parts, rows)

    def _read(self, model: Model, run: Run, name: str, begin: float, width: float) -> Iterator[Step]:
        height, across = model.input_size
        chance = torch.Generator().manual_seed(run.seed)
        size = (height, across) if name == "noise" else (1, 1)
        images = torch.rand(self.count, 3, *size, generator=chance)
        features: dict[int, list[Tensor]] = {}
        chosen: dict[int, Tensor] = {}
        for one in model.stages:
            cells = one.grid[0] * one.grid[1]
            # At random, so that borders do not count for more than they are.
            order = torch.rand(self.count, cells, generator=chance).argsort(1)
            chosen[one.number] = order[:, :PLACES] if cells > PLACES else torch.arange(cells).expand(self.count, -1)

        def make(start: int, stop: int) -> Tensor:
            return images[start:stop].expand(-1, -1, height, across).to(model.device)

        for start, stop, found in run.passes.each(
            self.count, make, lambda x: {key: value.float().cpu() for key, value in stage_features(model, x).items()}
        ):
            for number, maps in found.items():
                flat = maps.flatten(2).transpose(1, 2)
                index = chosen[number][start:stop, :, None].expand(-1, -1, flat.shape[2])
                features.setdefault(number, []).append(flat.gather(1, index))
            yield Step(begin + 0.5 * width * stop / self.count)
        for done, (number, parts) in enumerate(sorted(features.items()), start=1):
            rows, columns = model.stages[number - 1].grid
            fresh: list[Row] = []
            if rows > 1 and columns > 1:  # else there is but one place along an axis, and nothing to read
                y, x = chosen[number] // columns, chosen[number] % columns
                places = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1], -1)
                conditions = {
                    "input": name,
                    "stage": number,
                    "depth": number / len(model.stages),
                    "cells": f"{rows}x{columns}",
                }
                fresh = position_rows(torch.cat(parts), places, **conditions)
            yield Step(begin + width * (0.5 + 0.5 * done / len(features)), fresh)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """R2 at the last stage that was read, and the agreement with changed positions."""
        found: list[Score] = []
        for name in ("noise", "constant"):
            stages = [one["stage"] for one in rows if one.get("input") == name]
            if stages:
                called = f"R2 of {name} images, last stage"
                found += score(rows, "R2 of position", "none", called, input=name, stage=max(stages))
        for kind in KINDS:
            for how in ("zeroed", "moved"):
                called = f"agreement, {kind} position {how}"
                found += score(rows, "agreement", "none", called, kind=kind, position=how)
        return found

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """R2 against depth, then the answers with changed positions."""
        made = []
        read = []
        for name in ("noise", "constant"):
            curves = lines(result, "depth", "R2 of position", input=name)
            if curves:
                title = f"Position read from pictures of {'noise' if name == 'noise' else 'one colour'}"
                unit = "Pictures that were not fitted; mean of x and y. At 0 and below, nothing can be read."
                read.append(
                    Chart(
                        title,
                        curves,
                        Axis("depth (stage over stages)", low=0, high=1),
                        Axis("R2 of position", high=1),
                        unit=unit,
                    )
                )
        if read:
            made.append(Section("Where am I? Read from the features of each stage", (tuple(read),)))
        changed = []
        for measure, title, axis in (
            ("agreement", "Same answer as with its positions", "agreement (share of pictures)"),
            ("p(original class)", "What is left of the answer", "p(original class)"),
            ("accuracy", "Right answers", "accuracy (share of pictures)"),
        ):
            curves = tuple(
                curve(
                    name,
                    number,
                    [{**one, "what": f"{one['kind']} {one['position']}"} for one in rows],
                    "what",
                    joined=False,
                )
                for number, name in enumerate(result.models)
                if (rows := result.of(name, measure=measure))
            )
            if curves:
                unit = (
                    "Zeroed: its positions on the grid are 0, off the training distribution. Moved: rolled by half the "
                    "grid both ways."
                )
                changed.append(Chart(title, curves, Axis("position"), Axis(axis, low=0, high=1), unit=unit))
        if changed:
            made.append(Section("Positions taken away and moved", (tuple(changed),), notes=_without(result)))
        return tuple(made)


def _without(result: ProbeResult) -> tuple[str, ...]:
    """Which models have been read but have no positions that could be changed."""
    names = [
        name
        for name in result.models
        if result.of(name, measure="R2 of position") and not result.of(name, measure="agreement")
    ]
    return (f"No position to take away is known, or no classes are given: {', '.join(names)}.",) if names else ()
