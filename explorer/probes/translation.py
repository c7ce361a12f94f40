"""Does the answer stay when things move? Maps over all shifts, and consistency between pairs of shifts: invariance."""

# ruff: noqa: RUF009 (the calls in the dataclasses make their fields)
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Chart, Map, Section
from explorer.geometry import Point
from explorer.messages import Message, listed
from explorer.models.model import Model
from explorer.probes.base import AS_IT_IS, PROBES, Example, Extremes, Probe, Run, Step, need_classes
from explorer.probes.charting import curve
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rooms import rooms
from explorer.probes.rows import Pooled, Row, mean, rate, row, score, share
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import COSINE, POSITIVE, SHARE, ratio
from explorer.transforms import Border, Transform

CHANGED = Message("p(original class)")


@PROBES.register("translation")
@dataclass(frozen=True)
class Translation(Probe):
    """Does the answer stay when the picture or the object moves by a few pixels (invariance)?

    One forward pass for every picture at every shift of a square grid. "p kept" is the mean p of the class answered
    unshifted, over all non-zero shifts and pictures, over its mean unshifted; a shift flips the answer where top-1
    is another class. Scenes count at the shifts at which their object lies wholly in the frame. Where labels are known,
    the accuracy at a distance is that over the shifts right, left, down and up by it. Intervals are over images: an
    image's shifts are no independent draws, so a share's is Wilson's with the number of images as n.
    """

    bias = "translation"
    formula = (
        "p kept = mean p(c | T_t x) / mean p(c | x), c = argmax f(x), t over all non-zero shifts; "
        "flip rate = P(argmax f(T_t x) != c); cosine = cos(g(T_t x), g(x)), g the pooled feature"
    )
    source = "Azulay & Weiss 2019 (JMLR 20:184); Zhang 2019 (ICML), figure 1: p of the right class over diagonal shifts"
    limits = "Invariance of the answer only: whether features move along (equivariance) is another property."
    headline = "p kept"
    parts = "pictures and scenes"
    pooled: ClassVar[Mapping[str, Pooled]] = {"whole": "mean"}
    link = "shift"

    side: int = parameter(17, "shifts along each axis, odd: side x side in all", 3, 65)
    step: int = parameter(1, "distance of neighbouring shifts", 1, 32, "px")
    grid: Literal["square", "axes"] = parameter("square", "every shift, or those along the axes alone")
    border: Border = parameter("zero", "what fills in beside a picture that is moved")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side % 2 == 0:
            raise ParameterError(
                Message("side is odd, so that no shift lies in the middle; got {side}", side=self.side)
            )

    @property
    def shifts(self) -> list[tuple[int, int]]:
        """(dx, dy) of every shift, px, row by row from the upper left; no shift lies in the middle."""
        along = [self.step * (place - self.side // 2) for place in range(self.side)]
        return [(dx, dy) for dy in along for dx in along if self.grid == "square" or not (dx and dy)]

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:  # noqa: ARG002 - the contract
        far = self.step * (self.side // 2)
        if far >= min(model.input_size):
            return ()
        ways = ((0, 0), (-far, 0), (far, 0), (0, -far), (0, far))
        moves = [Transform(dx, dy, border=self.border) for dx, dy in ways]
        fits = [move for move in moves if shown.in_range(move)]
        return [Example(listed(move.moves) or AS_IT_IS, image) for move, image in zip(fits, shown.moved(0, fits))]

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_classes(model)
        shifts, reach = self.shifts, self.step * (self.side // 2)
        if reach >= min(model.input_size):
            raise MethodError(
                Message(
                    "shifts up to {reach} px leave nothing of an input of {input_size} px",
                    reach=reach,
                    input_size=min(model.input_size),
                )
            )
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
        said = torch.empty(count, dtype=torch.int64)
        for start, stop, (logits, pooled) in run.passes.each(count, make, run.passes.answers):
            image = torch.arange(start, stop) // len(moves)
            shares = head.probabilities(logits)
            p[start:stop] = head.p_of(shares, classes[image])
            flips[start:stop] = (~head.same(shares, unshifted_p[image])).float()
            said[start:stop] = head.answer(shares)[:, 0]
            cosine[start:stop] = F.cosine_similarity(pooled, features[image])
            yield Step(stop / count)

        found = tuple(one.view(images, len(moves)).double().numpy() for one in (p, flips, cosine))
        whole = np.array([[one.holds(*shift) for shift in shifts] for one in rooms(shown)])
        rows = _overall(found, first.double().numpy(), whole, shifts)
        rows += _cells(found, whole, shifts, head.p_unit)
        rows += _right(said.view(images, len(moves)), shown.truth, whole, shifts)
        rows += [row("stride", one.reduction, "px", stage=one.number) for one in model.stages]
        yield Step(1.0, rows)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "p kept", "higher"),
            *score(rows, Message("flip rate"), "lower"),
            *score(rows, Message("mean cosine"), "higher"),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Moved by up to {reach} px, {most} keeps {high} of its probability, {least} {low}."),
            reach=self.step * (self.side // 2),
        )

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
                values[(one["dy"] + half) // step, (one["dx"] + half) // step] = or_nan(one["value"])
            corner = Point(-side * step / 2, -side * step / 2)
            frame, axes = (side * step, side * step), ("dx, px", "dy, px")
            maps.append(Map(model, values, frame, 0.0, top, f"mean {CHANGED}", origin=corner, axes=axes))
            profile = [one for one in rows if one["dy"] == 0]
            lines.append(curve(model, result.colours[number], profile, "dx"))
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
            Message("Invariance along x: {measure} at dy = 0", measure=CHANGED),
            tuple(lines),
            Axis("dx, px"),
            Axis(Message("mean {measure}", measure=CHANGED), low=0.0),
            tuple(sorted(marks.items())),
            Message(
                "Marks: multiples of the strides of the last two stages. A period of a stride is aliasing. "
                "Band: 95 % over images."
            ),
        )
        charts = [chart, *_right_answers(result)]
        drawn = (tuple(maps), tuple(charts)) if self.grid == "square" else (tuple(charts),)
        heading = Message("Translation invariance: how sure of its first answer a model is when things move")
        return (Section(heading, drawn),)


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
        mean("p kept", pairs, Message("of p before"), POSITIVE, ratio),
        rate(Message("flip rate"), float(over_shifts(flips).sum()), int(kept.sum())),
        mean(Message("mean cosine"), over_shifts(cosine), "cosine", COSINE),
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
            rate(Message("top-1 flips"), flipped * n, n, **where),
            mean("cosine", cosine[:, place], "cosine", COSINE, **where),
        ]
    return rows


def _right(said: Tensor, truth: Sequence[int | None], whole: Any, shifts: Any) -> list[Row]:
    """The rows of right answers, at each shift and over the directions of each distance along the axes.

    Args:
        said: (images, shifts) what was answered.
        truth: the labels.
        whole: (images, shifts) whether the object lies wholly in the frame.
        shifts: (dx, dy) of each shift.
    """
    known = [image for image, label in enumerate(truth) if label is not None]
    if not known:
        return []
    labels = torch.tensor([truth[image] for image in known])
    right = (said[known] == labels[:, None]).double()
    rows = [
        share("accuracy", right[:, place], dx=dx, dy=dy, whole=float(whole[known, place].mean()))
        for place, (dx, dy) in enumerate(shifts)
    ]
    for distance in sorted({abs(dx) for dx, _ in shifts}):
        along = [place for place, (dx, dy) in enumerate(shifts) if not (dx and dy) and abs(dx + dy) == distance]
        there = {"distance": distance, "directions": len(along), "whole": float(whole[known][:, along].mean())}
        rows.append(share("accuracy", right[:, along].mean(1), **there))
    return rows


def _right_answers(result: ProbeResult) -> list[Chart]:
    """The chart of right answers over the distance, where labels are known."""
    lines = tuple(
        curve(model, result.colours[number], rows, "distance")
        for number, model in enumerate(result.models)
        if (rows := [one for one in result.of(model, measure="accuracy") if "distance" in one])
    )
    unit = Message("Mean over right, left, down and up. Band: 95 % over images.")
    y = Axis(Message("accuracy (share of pictures)"), low=0.0, high=1.0)
    return [Chart(Message("Right answers"), lines, Axis(Message("distance, px")), y, unit=unit)] if lines else []


#: Zhang's protocol, px: what is seen of how large a picture.
SEEN, CANVAS = 224, 256


def or_nan(value: float | None) -> float:
    return math.nan if value is None else value
