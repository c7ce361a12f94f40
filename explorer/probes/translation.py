"""Does the answer stay when things move? Maps over all shifts, and consistency between pairs of shifts: invariance."""

# ruff: noqa: RUF009 (the calls in the dataclasses make their fields)
from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Chart, Map, Section
from explorer.geometry import Point
from explorer.images import Picture
from explorer.models.model import Model
from explorer.probes.base import PROBES, Probe, Row, Run, Step, curve, mean, need_classes, rate, row, score
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import COSINE, POSITIVE, SHARE
from explorer.transforms import BORDERS, Border, Transform, apply_many

CHANGED = "p(original class)"


@PROBES.register("translation")
@dataclass(frozen=True)
class Translation(Probe):
    """Does the answer stay when the picture or the object moves by a few pixels (invariance)?

    One forward pass for every picture at every shift of a square grid. "p kept" is the mean p of the class answered
    unshifted, over all non-zero shifts and pictures, over its mean unshifted; a shift flips the answer where top-1
    is another class. Scenes count at the shifts at which their object lies wholly in the frame. Intervals are over
    images: an image's shifts are no independent draws, so a share's is Wilson's with the number of images as n.
    """

    bias = "translation"
    formula = (
        "p kept = mean p(c | T_t x) / mean p(c | x), c = argmax f(x), t over all non-zero shifts; "
        "flip rate = P(argmax f(T_t x) != c); cosine = cos(g(T_t x), g(x)), g the pooled feature"
    )
    source = "Azulay & Weiss 2019 (JMLR 20:184); Zhang 2019 (ICML), figure 1: p of the right class over diagonal shifts"
    limits = "Invariance of the answer only: whether features move along (equivariance) is another property."
    headline = "p kept"
    link = "shift"

    side: int = parameter(17, "shifts along each axis, odd: side x side in all", 3, 65)
    step: int = parameter(1, "distance of neighbouring shifts", 1, 32, "px")
    border: Border = parameter("zero", "what fills in beside a picture that is moved")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side % 2 == 0:
            raise ParameterError(f"side is odd, so that no shift lies in the middle; got {self.side}")

    @property
    def shifts(self) -> list[tuple[int, int]]:
        """(dx, dy) of every shift, px, row by row from the upper left; no shift lies in the middle."""
        along = [self.step * (place - self.side // 2) for place in range(self.side)]
        return [(dx, dy) for dy in along for dx in along]

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_classes(model)
        shifts, reach = self.shifts, self.step * (self.side // 2)
        if reach >= min(model.input_size):
            raise MethodError(f"shifts up to {reach} px leave nothing of an input of {min(model.input_size)} px")
        moves = [Transform(dx, dy, border=self.border) for dx, dy in shifts]
        images, count = len(shown), len(shown) * len(moves)

        answers = run.passes.answers
        unshifted = [answer for _, _, answer in run.passes.each(images, lambda a, b: shown.images[a:b], answers)]
        logits, features = (torch.cat(part) for part in zip(*unshifted))
        head = model.head
        unshifted_p = head.probabilities(logits)
        classes = head.leading(unshifted_p)
        first = head.p_of(unshifted_p, classes)

        def make(start: int, stop: int) -> Tensor:
            parts = []
            while start < stop:
                image, place = divmod(start, len(moves))
                some = moves[place : place + stop - start]
                parts.append(shown.moved(image, some))
                start += len(some)
            return torch.cat(parts)

        p, flips, cosine = torch.empty(count), torch.empty(count), torch.empty(count)
        for start, stop, (logits, pooled) in run.passes.each(count, make, run.passes.answers):
            image = torch.arange(start, stop) // len(moves)
            shares = head.probabilities(logits)
            p[start:stop] = head.p_of(shares, classes[image])
            flips[start:stop] = (~head.same(shares, unshifted_p[image])).float()
            cosine[start:stop] = F.cosine_similarity(pooled, features[image])
            yield Step(stop / count)

        found = tuple(one.view(images, len(moves)).double().numpy() for one in (p, flips, cosine))
        whole = np.array([[one.holds(*shift) for shift in shifts] for one in rooms(shown)])
        rows = _overall(found, first.double().numpy(), whole, shifts)
        rows += _cells(found, whole, shifts, head.p_unit)
        rows += [row("stride", one.reduction, "px", stage=one.number) for one in model.stages]
        yield Step(1.0, rows)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "p kept", "higher"),
            *score(rows, "flip rate", "lower"),
            *score(rows, "mean cosine", "higher"),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        side, step = int(result.parameters["side"]), int(result.parameters["step"])
        half = step * (side // 2)
        maps, lines, strides = [], [], set()
        by_model = {model: result.of(model, measure=CHANGED) for model in result.models}
        top = max((one["value"] or 0.0 for rows in by_model.values() for one in rows), default=1.0)
        for number, (model, rows) in enumerate(by_model.items()):
            if not rows:
                continue
            values = torch.full((side, side), math.nan)
            for one in rows:
                values[(one["dy"] + half) // step, (one["dx"] + half) // step] = _number(one["value"])
            corner = Point(-side * step / 2, -side * step / 2)
            frame, axes = (side * step, side * step), ("dx, px", "dy, px")
            maps.append(Map(model, values, frame, 0.0, top, f"mean {CHANGED}", origin=corner, axes=axes))
            profile = [one for one in rows if one["dy"] == 0]
            lines.append(curve(model, number, profile, "dx"))
            strides |= {int(one["value"]) for one in result.of(model, measure="stride")[-2:]}
        if not maps:
            return ()
        # A place that is a multiple of several strides is named after the largest.
        marks = {
            float(place): f"{stride} px"
            for stride in sorted(strides)
            for place in range(-(half // stride) * stride, half + 1, stride)
            if place
        }
        chart = Chart(
            f"Invariance along x: {CHANGED} at dy = 0",
            tuple(lines),
            Axis("dx, px"),
            Axis(f"mean {CHANGED}", low=0.0),
            tuple(sorted(marks.items())),
            "Marks: multiples of the strides of the last two stages. A period of a stride is aliasing. "
            "Band: 95 % over images.",
        )
        heading = "Translation invariance: how sure of its first answer a model is when things move"
        return (Section(heading, (tuple(maps), (chart,))),)


def _overall(found: tuple[Any, ...], first: Any, whole: Any, shifts: Any) -> list[Row]:
    """The rows over all non-zero shifts.

    Args:
        found: p, flips and cosine, (images, shifts) each.
        first: (images,) p unshifted.
        whole: (images, shifts) whether the object lies wholly in the frame.
        shifts: (dx, dy) of each shift.
    """
    p, flips, cosine = found
    used = whole & np.array([shift != (0, 0) for shift in shifts])
    kept = used.any(1)
    if not kept.any():
        return []

    def over_shifts(values: Any) -> Any:
        return (values * used).sum(1)[kept] / used.sum(1)[kept]

    pairs = np.stack([over_shifts(p), first[kept]], 1)
    return [
        mean("p kept", pairs, "of p unshifted", POSITIVE, lambda one: one[0] / one[1]),
        rate("flip rate", float(over_shifts(flips).sum()), int(kept.sum())),
        mean("mean cosine", over_shifts(cosine), "cosine", COSINE),
    ]


def _cells(found: tuple[Any, ...], whole: Any, shifts: Any, unit: str = "probability") -> list[Row]:
    """A row for each shift and measure, see `_overall`; their ``whole`` is the share of objects wholly in the frame."""
    p, flips, cosine = found
    n, rows = len(p), []
    for place, (dx, dy) in enumerate(shifts):
        where = {"dx": dx, "dy": dy, "whole": float(whole[:, place].mean())}
        flipped = float(flips[:, place].mean())
        rows += [
            mean(CHANGED, p[:, place], unit, SHARE, **where),
            rate("top-1 flips", flipped * n, n, **where),
            mean("cosine", cosine[:, place], "cosine", COSINE, **where),
        ]
    return rows


@dataclass(frozen=True)
class Room:
    """How far an object can move and still lie wholly in the frame: whole px in each direction, infinite if none."""

    left: float = math.inf
    up: float = math.inf
    right: float = math.inf
    down: float = math.inf

    def holds(self, dx: float, dy: float) -> bool:
        """Whether the object lies wholly in the frame after this shift."""
        return -self.left <= dx <= self.right and -self.up <= dy <= self.down


def rooms(shown: Shown) -> list[Room]:
    """The room of every scene's object; of pictures, which are moved as a whole, there is no end to it."""
    if not shown.rendered:
        return [Room()] * len(shown)
    out = []
    for mask in shown.masks:
        assert mask is not None
        (rows,), (columns,) = (mask.any(axis).nonzero(as_tuple=True) for axis in (1, 0))
        if not len(rows):
            out.append(Room(-1, -1, -1, -1))
            continue
        height, width = mask.shape
        ends = (columns[0], rows[0], width - 1 - columns[-1], height - 1 - rows[-1])
        out.append(Room(*(int(one) for one in ends)))
    return out


def _number(value: float | None) -> float:
    return math.nan if value is None else value


# ---- consistency ----------------------------------------------------------------------------------------------------

#: Zhang's protocol, px: what is seen of how large a picture.
SEEN, CANVAS = 224, 256


@dataclass(frozen=True, eq=False)
class Looked:
    """What a model answered to pairs of shifts.

    Attributes:
        middle: (images,) the answer to the picture in the middle: the class, or a number of the set of labels.
        first: (images, passes) the answer at each pair's first shift.
        second: (images, passes) at its second.
        near: (images, passes) at its first shift and one pixel further up and left.
        jump: (images, passes) |change of p(class answered at the first shift)| by that pixel.
    """

    middle: Tensor
    first: Tensor
    second: Tensor
    near: Tensor
    jump: Tensor


@PROBES.register("consistency")
@dataclass(frozen=True)
class Consistency(Probe):
    """Does a model answer alike at two random shifts of one picture (invariance)?

    Shifts are U{0..31}^2 of 224 px, scaled by the input. Border "crop" is Zhang's: two crops at independent offsets of
    a larger picture; "wrap" rolls what the model sees (Chaman & Dokmanic); "zero", "mean" and "reflect" fill in. The
    three are different tests. Mode "paper" resizes bilinearly to 256/224 of the input; mode "model" resizes with the
    model's interpolation as far as its crop_pct says, but at least so far that the crops have room. Objects of scenes
    are rendered anew at two shifts, bounded so that they stay in the frame. Jaggedness is what one pixel along the
    diagonal, from each pair's first shift, changes. Pairs of one image are no independent draws: Wilson's interval is
    taken with the number of images as n, which holds however strongly they are correlated.
    """

    bias = "translation"
    formula = "consistency = P(argmax f(T_a x) = argmax f(T_b x)), a, b ~ U{0..31}^2 px of 224, independent"
    source = (
        "crop: Zhang 2019 (ICML), classification consistency; wrap: Chaman & Dokmanic 2021 (CVPR), circular shifts; "
        "jaggedness: Azulay & Weiss 2019 (JMLR 20:184)"
    )
    limits = "A model that is right more often agrees with itself more often: read it beside the accuracy."
    headline = "consistency"

    border: str = parameter("crop", "what comes in beside a picture that moves", choices=("crop", *BORDERS))
    passes: int = parameter(5, "random pairs of shifts of each image", 1, 100)
    mode: str = parameter("paper", "how pictures are resized", choices=("paper", "model"))

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        looked = yield from self.look(model, shown, run)
        conditions = {"border": shown.border(self.border), "pairs": len(shown) * self.passes}
        yield Step(1.0, consistency_rows(looked, shown.truth, model.head.p_unit, **conditions))

    def look(self, model: Model, shown: Shown, run: Run) -> Generator[Step, None, Looked]:
        """The forward passes: yields how far they are, returns the answers image by image.

        Raises MethodError for a model without classes, an input that is not square, an object without room to move.
        """
        need_classes(model)
        height, width = model.input_size
        if height != width:
            raise MethodError(f"consistency is defined for square inputs; {model.spec} looks at {width} x {height} px")
        places = self.places(shown, run.seed)
        each = places.shape[1]
        count = len(shown) * each

        @lru_cache(maxsize=2)
        def whole(image: int) -> Tensor:
            return self._picture(model, shown, image)

        def make(start: int, stop: int) -> Tensor:
            parts = []
            for image in range(start // each, (stop - 1) // each + 1):
                some = places[image, max(0, start - image * each) : stop - image * each]
                if self.border == "crop" and not shown.rendered:
                    centre = margin(height) // 2
                    corners = centre - some
                    parts += [whole(image)[:, y : y + height, x : x + width] for x, y in corners.tolist()]
                    continue
                border: Any = "zero" if shown.rendered else self.border
                moves = [Transform(dx, dy, border=border) for dx, dy in some.tolist()]
                parts += shown.moved(image, moves) if shown.rendered else apply_many(moves, whole(image))
            return torch.stack(parts)

        head, known = model.head, dict[bytes, int]()
        top, lead = torch.empty(count, dtype=torch.long), torch.empty(count, dtype=torch.long)
        p, other = torch.empty(count), torch.empty(count)
        for start, stop, (logits, _) in run.passes.each(count, make, run.passes.answers):
            shares = head.probabilities(logits)
            top[start:stop] = _numbered(head.answer(shares), known)
            lead[start:stop] = head.leading(shares)
            p[start:stop] = head.p_of(shares, lead[start:stop])
            # p of the class that the view before this one was answered with.
            before = lead[(torch.arange(start, stop) - 1).clamp(min=0)]
            other[start:stop] = head.p_of(shares, before)
            yield Step(stop / count)
        top, p, other = (one.view(len(shown), each) for one in (top, p, other))
        jump = (other[:, 2::3] - p[:, 1::3]).abs()
        return Looked(top[:, 0], top[:, 1::3], top[:, 3::3], top[:, 2::3], jump)

    def places(self, shown: Shown, seed: int) -> Any:
        """The shift (x, y) of every view, whole px: (images, 1 + 3 * passes, 2).

        The middle; then of each pair its first shift, that and one pixel up and left, its second. An image's are the
        same for every model, up to the size of its input, and whatever other images are shown.
        """
        room, size = margin(shown.model.input_size[0]), shown.model.input_size[0]
        out = np.zeros((len(shown), 1 + 3 * self.passes, 2), dtype=np.int64)
        for number, one in enumerate(rooms(shown)):
            # A crop at offset o shows the picture moved by room // 2 - o; the pixel further must have room as well.
            low = np.array([max(room // 2 - room + 1, 1 - end) for end in (one.left, one.up)])
            high = np.array([min(room // 2, end) for end in (one.right, one.down)])
            if (high <= low).any():
                name = shown.stimuli.items[number].name
                raise MethodError(f"the object of '{name}' has no room to move within a frame of {size} px")
            share = np.random.default_rng([seed, number]).random((self.passes, 2, 2))
            drawn = (high - np.floor(share * (high - low + 1))).astype(np.int64)
            out[number, 1::3], out[number, 2::3], out[number, 3::3] = drawn[:, 0], drawn[:, 0] - 1, drawn[:, 1]
        return out

    def _picture(self, model: Model, shown: Shown, image: int) -> Tensor:
        """What is cropped, or moved, of one picture: (3, h, w) in 0..1 on the model's device."""
        if self.border != "crop" and self.mode == "model":
            return shown.images[image]
        source = shown.stimuli.items[image].source
        assert isinstance(source, Picture)
        found = canvas(source.image, model, self.mode).to(model.device)
        if self.border == "crop":
            return found
        size = model.input_size[0]
        corner = margin(size) // 2
        return found[:, corner : corner + size, corner : corner + size]

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "consistency", "higher"),
            *score(rows, "consistency, right at first", "higher"),
            *score(rows, "accuracy", "higher"),
            *score(rows, "one-pixel flips", "lower"),
            *score(rows, "one-pixel change of p", "lower"),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        if not result.rows:
            return ()
        how = "border: " + ", ".join(sorted({str(one["border"]) for one in result.rows}))
        charts = []
        for title, axis, names in (
            (
                "Invariance: equal answers at two random shifts",
                Axis("share", low=0.0, high=1.0),
                ("consistency", "consistency, right at first", "accuracy"),
            ),
            (
                "Jaggedness: what one pixel along the diagonal changes",
                Axis("share; mean |change of p|", low=0.0),
                ("one-pixel flips", "one-pixel change of p"),
            ),
        ):
            lines = []
            for number, model in enumerate(result.models):
                rows = [one for name in names for one in result.of(model, measure=name)]
                if rows:
                    lines.append(curve(model, number, rows, "measure", joined=False))
            charts.append(
                Chart(title, tuple(lines), Axis(""), axis, unit=f"{how.capitalize()}. Bars: 95 % over images.")
            )
        return (Section(f"Shift consistency (invariance), {how}", (tuple(charts),)),)


def consistency_rows(
    looked: Looked, truth: Sequence[int | None], unit: str = "probability", **conditions: Any
) -> list[Row]:
    """The rows of `Consistency` from its answers; ``truth`` is each image's class, or None where it is not known."""
    n = len(looked.middle)
    same = (looked.first == looked.second).double().mean(1)
    flips = (looked.first != looked.near).double().mean(1)
    rows = [rate("consistency", float(same.sum()), n, **conditions)]
    known = torch.tensor([one is not None for one in truth])
    right = torch.tensor([one == given for one, given in zip(truth, looked.middle.tolist())])
    if known.any():
        rows.append(rate("accuracy", int(right.sum()), int(known.sum()), **conditions))
    if right.any():
        rows.append(rate("consistency, right at first", float(same[right].sum()), int(right.sum()), **conditions))
    rows.append(rate("one-pixel flips", float(flips.sum()), n, **conditions))
    rows.append(mean("one-pixel change of p", looked.jump.mean(1), unit, SHARE, **conditions))
    return rows


def _numbered(answers: Tensor, known: dict[bytes, int]) -> Tensor:
    """A number for each answer, equal for equal ones: (B, 1 or labels) to (B,); ``known`` keeps those given so far."""
    if answers.shape[1] == 1:
        return answers[:, 0]
    texts = [row.tobytes() for row in answers.bool().numpy()]
    return torch.tensor([known.setdefault(text, len(known)) for text in texts])


def margin(size: int) -> int:
    """How much larger than the input of this size the picture is that crops are taken of, px: 32 of 224."""
    return max(2, round(size * (CANVAS - SEEN) / SEEN))


def canvas(picture: Image.Image, model: Model, mode: str) -> Tensor:
    """What crops are taken of: (3, side, side) float32 in 0..1, side the input's plus `margin`.

    Args:
        picture: RGB.
        model: its input is square.
        mode: "paper" resizes bilinearly, with antialias, so that the shorter side is the canvas's; "model" with the
            model's interpolation, as far as its crop_pct says where that is further.
    """
    size = model.input_size[0]
    side = size + margin(size)
    if mode == "paper":
        shorter, how = side, Image.Resampling.BILINEAR
    else:
        shorter, how = max(side, math.floor(size / model.crop_pct)), Image.Resampling[model.interpolation.upper()]
    # Sides and corner are rounded as torchvision rounds them.
    short = min(picture.size)
    width, height = (int(shorter * one / short) for one in picture.size)
    left, top = (round((one - side) / 2) for one in (width, height))
    cropped = picture.resize((width, height), how).crop((left, top, left + side, top + side))
    return torch.from_numpy(np.array(cropped)).permute(2, 0, 1).float().div(255)
