"""Do features move along (equivariance)? And how fast does the answer change when things move (invariance)?"""

# ruff: noqa: RUF009 (the calls in the dataclasses make their fields)
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Dash, Section
from explorer.messages import Message, listed
from explorer.models.model import Model
from explorer.models.stages import Stage
from explorer.probes.base import PROBES, Extremes, Probe, Run, Step
from explorer.probes.charting import at_one_place, curve
from explorer.probes.passes import stage_features
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rooms import rooms
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import ANY, POSITIVE
from explorer.transforms import Border, Transform

#: Shifts in strides of a stage, beside one pixel.
STRIDES = (0.25, 0.5, 1.0, 2.0)
#: Below this share of the range, squared, a difference is rounding of float32: no EQ-T is above 138.5 dB.
ROUNDING = torch.finfo(torch.float32).eps ** 2
RELATIVE, DECIBELS = Message("relative error"), "EQ-T"


@PROBES.register("equivariance")
@dataclass(frozen=True)
class Equivariance(Probe):
    """Do a stage's features move along when the picture or the object moves (equivariance)?

    Every picture is moved by one pixel and by 1/4, 1/2, 1 and 2 strides of each stage, as far as these are whole
    pixels and at most half the frame. What the features should then be is the features before, moved by as many
    cells: a roll for whole cells; for fractions a Fourier shift where the border is "wrap", and linear interpolation
    otherwise. With "wrap" all cells are compared; with other borders those whose content both pictures show; of scenes,
    before whose still background the object is rendered anew, those that lie mostly on the object before and after,
    while it lies wholly in the frame. What a network's own padding does at the frame's edge counts as error. Stages
    whose grid does not divide the input are left out. The range in EQ-T is that of all channels together: a few very
    large activations, as many ViTs have, raise it.
    """

    bias = "translation"
    formula = (
        "|f(Tx) - T f(x)| / |T f(x)| over valid cells and channels; "
        "EQ-T = 20 log10(max f - min f) - 10 log10(mean (f(Tx) - T f(x))^2), dB"
    )
    source = "EQ-T: Karras et al. 2021 (NeurIPS), there of a generator's images, here of the features of a stage"
    limits = (
        "Equivariance of features only: whether the answer stays (invariance) is another property, and features that "
        "hardly vary over the image have a small error whatever they do."
    )
    headline = "relative error at the stride"
    parts = "pictures and scenes"

    border: Border = parameter("wrap", "what fills in beside a picture that is moved")
    along: Literal["x", "y"] = parameter("x", "which way things move")

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        shifts = _shifts(model, self.along)
        distances = sorted({distance for one in shifts.values() for distance in one})
        moves = [Transform(), *(self._move(distance) for distance in distances)]
        errors: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for image, room in enumerate(rooms(shown)):
            own = [(0, moves[0])]
            own += [(d, move) for d, move in zip(distances, moves[1:]) if room.holds(move.dx, move.dy)]
            still: dict[int, Tensor] = {}
            passes = run.passes.each(
                len(own),
                lambda a, b, image=image, own=own: shown.moved(image, [move for _, move in own[a:b]]),  # type: ignore[misc]
                lambda x: {key: one.float().cpu() for key, one in stage_features(model, x, list(shifts)).items()},
            )
            for start, stop, found in passes:
                still = still or {number: features[0] for number, features in found.items()}
                for place in range(max(1, start), stop):
                    distance = own[place][0]
                    for number, features in found.items():
                        if distance in shifts[number]:
                            error = self._error(still[number], features[place - start], distance, shown, image)
                            if error is not None:
                                errors.setdefault((number, distance), []).append(error)
            yield Step((image + 1) / len(shown))
        yield Step(1.0, self._rows(model, shown, shifts, errors))

    def _move(self, distance: int) -> Transform:
        dx, dy = (distance, 0) if self.along == "x" else (0, distance)
        return Transform(dx, dy, border=self.border)

    def _error(
        self, still: Tensor, moved: Tensor, distance: int, shown: Shown, image: int
    ) -> tuple[float, float] | None:
        """Relative error and mean squared difference over the squared range; None where no cell can be compared."""
        wrap = self.border == "wrap" and not shown.rendered
        expected, valid = carried(still, self._cells(still, distance, shown), self.along, wrap)
        if shown.rendered:
            mask = shown.masks[image]
            assert mask is not None
            mask = mask.to(still.device)
            before = _coverage(mask, still)
            move = self._move(distance)
            after = _coverage(Transform(move.dx, move.dy).apply(mask[None, None].float())[0, 0], still)
            source, _ = carried(before[None], self._cells(still, distance, shown), self.along, False)
            valid = valid & (source[0] > 0.5) & (after > 0.5)
        if not valid.any():
            return None
        expected, moved = expected[:, valid].double(), moved[:, valid].double()
        size, spread = float(expected.norm()), float(still.max() - still.min())
        if not size or not spread:
            return None
        return float((moved - expected).norm()) / size, float((moved - expected).square().mean()) / spread**2

    def _cells(self, features: Tensor, distance: int, shown: Shown) -> float:
        axis = {"x": 1, "y": 0}[self.along]
        return distance * features.shape[1 + axis] / shown.model.input_size[axis]

    def _rows(self, model: Model, shown: Shown, shifts: Any, errors: Any) -> list[Row]:
        compared = (
            Message("cells on the object")
            if shown.rendered
            else Message("all cells")
            if self.border == "wrap"
            else Message("valid cells")
        )
        how = {"border": shown.border(self.border), "along": self.along, "compared": compared}
        rows: list[Row] = []
        for number, distances in shifts.items():
            stride = _stride(model, number, self.along)
            for distance in distances:
                values = np.array(errors.get((number, distance), ()))
                if not len(values):
                    continue
                where = {"stage": number, "stride": stride, "shift": distance, "strides": distance / stride, **how}
                rows.append(mean(RELATIVE, values[:, 0], Message("of the norm"), POSITIVE, **where))
                rows.append(mean(DECIBELS, values[:, 1], "dB", ANY, _decibels, **where))
        if not rows:
            raise MethodError(
                Message(
                    "no cell of a stage of {spec} can be compared after a shift; show larger objects", spec=model.spec
                )
            )
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        deepest = _deepest(rows)
        return [
            *score(
                rows,
                RELATIVE,
                "lower",
                Message("{measure} at the stride", measure=RELATIVE),
                stage=deepest,
                strides=1.0,
            ),
            *score(
                rows,
                RELATIVE,
                "lower",
                Message("{measure} at half the stride", measure=RELATIVE),
                stage=deepest,
                strides=0.5,
            ),
            *score(
                rows,
                DECIBELS,
                "higher",
                Message("{measure} at the stride", measure=DECIBELS),
                stage=deepest,
                strides=1.0,
            ),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Moved by a stride, the features of {least} miss their place by {low}, those of {most} by {high}.")
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        if not result.rows:
            return ()
        how = sorted(
            {
                Message(
                    "Border: {border}; compared: {compared}",
                    border=Message(one["border"]),
                    compared=Message(one["compared"]),
                )
                for one in result.rows
            }
        )
        charts = []
        for measure, axis in (
            (RELATIVE, Axis("|f(Tx) - T f(x)| / |T f(x)|", low=0.0)),
            (DECIBELS, Axis("EQ-T, dB")),
        ):
            shifts, stages = [], []
            for number, model in enumerate(result.models):
                rows = result.of(model, measure=measure)
                last = [one for one in rows if one["stage"] == _deepest(rows)]
                if last:
                    shifts.append(curve(model, result.colours[number], last, "strides"))
                drawn: tuple[tuple[float, Dash], ...] = ((1.0, "solid"), (0.5, "dot"))
                for strides, dash in drawn:
                    some = [one for one in rows if one["strides"] == strides]
                    if some:
                        name = model if strides == 1 else Message("{model}, half a stride", model=model)
                        stages.append(curve(name, result.colours[number], some, "stage", dash))
            unit = Message("{how}. Bands: 95 % over images.", how=listed(how, "{first}; {rest}"))
            charts.append(
                (
                    Chart(
                        Message("Equivariance of the deepest stage: {measure}", measure=measure),
                        tuple(shifts),
                        Axis(Message("shift along {along}, strides of the stage", along=self.along)),
                        axis,
                        ((1.0, "stride"), (2.0, "2")),
                        unit,
                    ),
                    at_one_place(
                        Chart(
                            Message(
                                "Equivariance of every stage: {measure} at the stride and at half of it",
                                measure=measure,
                            ),
                            tuple(stages),
                            Axis("stage"),
                            axis,
                            unit=unit,
                        )
                    ),
                )
            )
        return (Section(Message("Translation equivariance: whether features move along"), tuple(charts)),)


def carried(features: Tensor, cells: float, along: str, wrap: bool) -> tuple[Tensor, Tensor]:
    """Features moved by ``cells`` >= 0 to the right or down, and which cells then have content.

    Args:
        features: (channels, rows, columns).
        cells: how far; fractions by a Fourier shift where it wraps, by linear interpolation otherwise.
        along: "x" or "y".
        wrap: whether what leaves on one side comes in on the other.

    Returns (channels, rows, columns) and (rows, columns) bool.
    """
    axis = -1 if along == "x" else -2
    whole, part = math.floor(cells), cells - math.floor(cells)
    valid = torch.ones(features.shape[-2:], dtype=torch.bool, device=features.device)
    if wrap:
        return (fourier_shift(features, cells, axis) if part else features.roll(whole, axis)), valid
    out = features.roll(whole, axis)
    if part:
        out = (1 - part) * out + part * features.roll(whole + 1, axis)
    valid.narrow(axis, 0, min(math.ceil(cells), valid.shape[axis])).fill_(False)
    return out, valid


def fourier_shift(values: Tensor, distance: float, axis: int = -1) -> Tensor:
    """Shift periodic samples by any distance towards larger indices, exactly for what they can hold.

    Whole distances are rolls. The highest frequency of an even number of samples has no sign: it is multiplied by the
    cosine, the mean of both.
    """
    count = values.shape[axis]
    frequencies = torch.fft.rfftfreq(count, dtype=torch.float64)
    turns = torch.polar(torch.ones_like(frequencies), -2 * math.pi * distance * frequencies)
    shape = [1] * values.ndim
    shape[axis] = len(turns)
    spectrum = torch.fft.rfft(values, dim=axis) * turns.to(torch.complex64).to(values.device).view(shape)
    return torch.fft.irfft(spectrum, n=count, dim=axis)


def _coverage(mask: Tensor, features: Tensor) -> Tensor:
    """(rows, columns): the share of each cell of (channels, rows, columns) that lies on the object (H, W)."""
    _, rows, columns = features.shape
    return F.adaptive_avg_pool2d(mask[None].float(), (rows, columns))[0]


def _shifts(model: Model, along: str) -> dict[int, list[int]]:
    """Stage number -> the shifts to measure it at, whole px; raises MethodError where there is none."""
    extent = model.input_size[1 if along == "x" else 0]
    out = {}
    for one in model.stages:
        if one.problem or any(size % cells for size, cells in zip(model.input_size, one.grid)):
            continue
        wanted = {1.0, *(share * _stride(model, one.number, along) for share in STRIDES)}
        out[one.number] = sorted(int(px) for px in wanted if px.is_integer() and px <= extent / 2)
    if not out:
        raise MethodError(
            Message(
                "{spec} has no stage whose features have a known place and whose grid fits its input", spec=model.spec
            )
        )
    return out


def _stride(model: Model, number: int, along: str) -> int:
    """Input px per cell of a stage."""
    stage: Stage = next(one for one in model.stages if one.number == number)
    axis = 1 if along == "x" else 0
    return model.input_size[axis] // stage.grid[axis]


def _decibels(square: Any) -> float:
    return -10 * math.log10(max(float(square), ROUNDING))


def _deepest(rows: Sequence[Row]) -> int:
    """The last stage that was measured at its stride."""
    return max((one["stage"] for one in rows if one["strides"] == 1), default=0)
