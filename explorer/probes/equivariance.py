"""Do features move along (equivariance)? And how fast does the answer change when things move (invariance)?"""

# ruff: noqa: RUF009 (the calls in the dataclasses make their fields)
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Dash, Section, Table, colour_of
from explorer.models.model import Model
from explorer.models.stages import Stage
from explorer.probes.base import PROBES, Probe, Row, Run, Step, curve, mean, need_classes, score
from explorer.probes.passes import stage_features
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import Shown
from explorer.probes.translation import rooms
from explorer.registry import parameter
from explorer.statistics import ANY, POSITIVE
from explorer.transforms import Border, Transform

#: Shifts in strides of a stage, beside one pixel.
STRIDES = (0.25, 0.5, 1.0, 2.0)
#: Below this share of the range, squared, a difference is rounding of float32: no EQ-T is above 138.5 dB.
ROUNDING = torch.finfo(torch.float32).eps ** 2
RELATIVE, DECIBELS = "relative error", "EQ-T"


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
        compared = "cells on the object" if shown.rendered else "all cells" if self.border == "wrap" else "valid cells"
        how = {"border": shown.border(self.border), "along": self.along, "compared": compared}
        rows: list[Row] = []
        for number, distances in shifts.items():
            stride = _stride(model, number, self.along)
            for distance in distances:
                values = np.array(errors.get((number, distance), ()))
                if not len(values):
                    continue
                where = {"stage": number, "stride": stride, "shift": distance, "strides": distance / stride, **how}
                rows.append(mean(RELATIVE, values[:, 0], "of the norm", POSITIVE, **where))
                rows.append(mean(DECIBELS, values[:, 1], "dB", ANY, _decibels, **where))
        if not rows:
            raise MethodError(f"no cell of a stage of {model.spec} can be compared after a shift; show larger objects")
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        deepest = _deepest(rows)
        return [
            *score(rows, RELATIVE, "lower", f"{RELATIVE} at the stride", stage=deepest, strides=1.0),
            *score(rows, RELATIVE, "lower", f"{RELATIVE} at half the stride", stage=deepest, strides=0.5),
            *score(rows, DECIBELS, "higher", f"{DECIBELS} at the stride", stage=deepest, strides=1.0),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        if not result.rows:
            return ()
        how = sorted({f"border: {one['border']}; compared: {one['compared']}" for one in result.rows})
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
                    shifts.append(curve(model, number, last, "strides"))
                drawn: tuple[tuple[float, Dash], ...] = ((1.0, "solid"), (0.5, "dot"))
                for strides, dash in drawn:
                    some = [one for one in rows if one["strides"] == strides]
                    if some:
                        name = model if strides == 1 else f"{model}, half a stride"
                        stages.append(curve(name, number, some, "stage", dash))
            unit = f"{'; '.join(how).capitalize()}. Bands: 95 % over images."
            charts.append(
                (
                    Chart(
                        f"Equivariance of the deepest stage: {measure}",
                        tuple(shifts),
                        Axis(f"shift along {self.along}, strides of the stage"),
                        axis,
                        ((1.0, "stride"), (2.0, "2")),
                        unit,
                    ),
                    Chart(
                        f"Equivariance of every stage: {measure} at the stride and at half of it",
                        tuple(stages),
                        Axis("stage"),
                        axis,
                        unit=unit,
                    ),
                )
            )
        return (Section("Translation equivariance: whether features move along", tuple(charts)),)


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
        raise MethodError(f"{model.spec} has no stage whose features have a known place and whose grid fits its input")
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


# ---- Lie derivative -------------------------------------------------------------------------------------------------

Group = Literal["translation x", "translation y", "scale", "rotation"]
#: What the derivative is with respect to, by group.
PER: dict[str, str] = {
    "translation x": "px",
    "translation y": "px",
    "scale": "unit of log zoom",
    "rotation": "radian",
}


#: How pictures are moved: see `displaced`.
Scheme = Literal["fourier", "central", "one-sided"]


def lie_derivative(
    f: Callable[[Tensor], Tensor],
    images: Tensor,
    group: Group = "translation x",
    step: float = 0.02,
    scheme: Scheme = "fourier",
) -> Tensor:
    """How fast a function's outputs change as its input moves: d/dt f(T_t x) at t = 0, a central difference.

    Of a function whose outputs should not depend on t this is the error of invariance.

    Args:
        f: (B, 3, H, W) to (B, outputs); called twice.
        images: (B, 3, H, W) float32.
        group: what moves: everything to the right ("translation x") or down ("translation y"), or about the middle,
            larger ("scale") or anticlockwise ("rotation").
        step: how far either way, px; for scale and rotation of the middle of the frame's left and right edge.
        scheme: see `displaced`.

    Returns (B, outputs): per px for translations, per unit of log zoom for scale, per radian for rotation. Its error
    is of order step^2 for "fourier". Times (W - 1) / 2, or (H - 1) / 2, a translation's is in the units of
    affine_grid with aligned corners, in which scale and rotation are already.
    """
    less, more = (f(displaced(images, group, sign * step, scheme)) for sign in (-1, 1))
    return (more - less) / (2 * amount(group, step, images.shape[-1]))


def amount(group: Group, step: float, width: int) -> float:
    """A step in px in the group's own unit; see `PER`."""
    return step if group.startswith("translation") else step / (width / 2)


def displaced(images: Tensor, group: Group, step: float, scheme: str = "fourier") -> Tensor:
    """Images (B, C, H, W) moved by a signed step in px, see `lie_derivative`.

    Translations of scheme "fourier" are Fourier shifts, round the frame. Everything else is sampled bilinearly, with
    what lies outside the frame reflected. (`Transform` averages more samples where it shrinks than where it enlarges,
    which would be taken for a derivative.) Scheme "one-sided" is no move but goes along the `tangent` of sampling at
    rest.
    """
    if scheme == "one-sided":
        return images + amount(group, step, images.shape[-1]) * tangent(images, group)
    if scheme == "fourier" and group.startswith("translation"):
        return fourier_shift(images, step, -1 if group.endswith("x") else -2)
    height, width = images.shape[-2:]
    by = amount(group, step, width)
    # Where each output pixel is read, in affine_grid's units: the inverse of the move.
    read = {
        "translation x": [[1.0, 0.0, -2 * by / width], [0.0, 1.0, 0.0]],
        "translation y": [[1.0, 0.0, 0.0], [0.0, 1.0, -2 * by / height]],
        "scale": [[math.exp(-by), 0.0, 0.0], [0.0, math.exp(-by), 0.0]],
        "rotation": [
            [math.cos(by), -math.sin(by) * height / width, 0.0],
            [math.sin(by) * width / height, math.cos(by), 0.0],
        ],
    }[group]
    theta = torch.tensor(read, dtype=images.dtype, device=images.device).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def tangent(images: Tensor, group: Group) -> Tensor:
    """How fast bilinear sampling changes images (B, C, H, W) as they begin to move, by automatic differentiation.

    At rest every sample lies on a pixel, where bilinear interpolation has a kink: its derivative is the difference to
    one neighbour, and to which is left to the rounding of the sampling position in float32. This follows what the code
    of Gruver et al. 2023 does: positions of affine_grid with aligned corners, rounded down, and an edge that goes on.

    Returns (B, C, H, W), per unit of `amount`.
    """
    height, width = images.shape[-2:]
    still = torch.eye(2, 3, device=images.device)[None]
    grid = F.affine_grid(still, [1, 1, height, width], align_corners=True)[0]
    x, y = (grid[..., 0] + 1) / 2 * (width - 1), (grid[..., 1] + 1) / 2 * (height - 1)
    left, top = x.floor(), y.floor()

    def at(row: Tensor, column: Tensor) -> Tensor:
        return images[..., row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]

    over, down = x - left, y - top
    along_x = torch.lerp(at(top, left + 1) - at(top, left), at(top + 1, left + 1) - at(top + 1, left), down)
    along_y = torch.lerp(at(top + 1, left) - at(top, left), at(top + 1, left + 1) - at(top, left + 1), over)
    # Where each pixel is read moves against the picture; scale and rotation are about the middle.
    right, below = x - (width - 1) / 2, y - (height - 1) / 2
    speed_x, speed_y = {
        "translation x": (-torch.ones_like(x), torch.zeros_like(y)),
        "translation y": (torch.zeros_like(x), -torch.ones_like(y)),
        "scale": (-right, -below),
        "rotation": (-below, right),
    }[group]
    return along_x * speed_x + along_y * speed_y


@PROBES.register("lie-derivative")
@dataclass(frozen=True)
class LieDerivative(Probe):
    """How fast does the answer change as things begin to move (invariance)?

    A central difference of the outputs at a step either way, and once more at half of it: where both agree, it has
    converged. Translations of pictures are Fourier shifts round the frame (scheme "fourier") or sampled bilinearly;
    scale and rotation are always sampled, with the frame's outside reflected; objects of scenes are rendered anew.
    Absolute values are averaged over outputs, then over images.
    """

    bias = "translation"
    formula = "mean over outputs k and images x of |d/dt f_k(T_t x)| at t = 0, by (f(T_h x) - f(T_-h x)) / 2h"
    source = "Gruver et al. 2023 (ICLR), the Lie derivative, here of the outputs, which should be invariant"
    limits = (
        "Invariance of the outputs to small moves only; logits of different models differ in scale, so compare the "
        "probabilities too. The paper's code takes the slope of bilinear sampling on one side of 0, where it is not "
        "differentiable, and finds mostly 1.5 to 3 times these numbers; scheme one-sided gives the code's."
    )
    headline = "Lie derivative per px"

    group: Group = parameter("translation x", "what changes")
    output: Literal["logits", "probabilities", "pooled feature"] = parameter("logits", "outputs of the model")
    scheme: Scheme = parameter(
        "fourier",
        "how pictures are moved: shifts exactly, sampled bilinearly, or along the one-sided slope of bilinear sampling "
        "that the paper's code takes",
    )
    step: float = parameter(0.02, "step of the central difference, at the frame's edge", 0.001, 4.0, "px")

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        if self.output != "pooled feature":
            need_classes(model)
        places = [sign * step for step in (self.step, self.step / 2) for sign in (-1, 1)]
        moves = [self._move(place, model) for place in places]

        def make(start: int, stop: int) -> Tensor:
            parts = []
            for number in range(start, stop):
                image, place = divmod(number, len(places))
                if shown.rendered:
                    parts.append(shown.moved(image, [moves[place]]))
                else:
                    parts.append(displaced(shown.images[image : image + 1], self.group, places[place], self.scheme))
            return torch.cat(parts)

        count = len(shown) * len(places)
        outputs = []
        for _, stop, (logits, pooled) in run.passes.each(count, make, run.passes.answers):
            outputs.append(self._output(model, logits, pooled))
            yield Step(stop / count)
        found = torch.cat(outputs).double().unflatten(0, (len(shown), len(places)))
        yield Step(1.0, self._rows(found, model, shown))

    def _output(self, model: Model, logits: Tensor, pooled: Tensor) -> Tensor:
        if self.output == "pooled feature":
            return pooled
        return logits if self.output == "logits" else model.head.probabilities(logits)

    def _move(self, place: float, model: Model) -> Transform:
        """The move of a scene's object; scale and turn are about its centre."""
        by = amount(self.group, place, model.input_size[1])
        if self.group == "scale":
            return Transform(zoom=math.exp(by))
        if self.group == "rotation":
            return Transform(angle=math.degrees(by))
        return Transform(dx=by) if self.group == "translation x" else Transform(dy=by)

    def _rows(self, found: Tensor, model: Model, shown: Shown) -> list[Row]:
        """Rows of outputs (images, places, outputs)."""
        height, width = model.input_size
        if shown.rendered:
            how = "rendered anew"
        elif self.scheme == "fourier" and self.group.startswith("translation"):
            how = "Fourier shift, border: wrap"
        elif self.scheme == "one-sided":
            how = "one-sided slope of bilinear sampling, border: edge"
        else:
            how = "bilinear, border: reflect"
        half = {"translation x": (width - 1) / 2, "translation y": (height - 1) / 2}.get(self.group, 1.0)
        # At the middle of the left and right edges, a unit of log zoom or a radian moves things by width / 2 px.
        per_px = 1.0 if self.group.startswith("translation") else 2 / width
        rows = []
        for number, step in enumerate((self.step, self.step / 2)):
            change = found[:, 2 * number + 1] - found[:, 2 * number]
            own = (change / (2 * amount(self.group, step, width))).abs().mean(1)
            where: dict[str, Any] = {"group": self.group, "output": self.output, "scheme": how, "step": step}
            rows.append(mean("Lie derivative per px", own * per_px, f"{self.output} per px", POSITIVE, **where))
            unit = f"{self.output} per unit of affine_grid"
            rows.append(mean("Lie derivative", own * half, unit, POSITIVE, **where))
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "Lie derivative per px", "lower", step=self.step),
            *score(rows, "Lie derivative", "lower", step=self.step),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        lines, table, colours = [], [], []
        for number, model in enumerate(result.models):
            rows = result.of(model, measure="Lie derivative per px")
            if rows:
                lines.append(curve(model, number, rows, "step"))
            for one in result.of(model):
                ends = "" if one["low"] is None else f"{one['low']:.3g} to {one['high']:.3g}"
                words = (model, f"{one['step']:g} px", f"{one['value']:.3g}", ends, one["unit"], one["scheme"])
                table.append(words)
                colours.append(colour_of(number))
        if not lines:
            return ()
        chart = Chart(
            f"Lie derivative of the {self.output} (invariance), {self.group}",
            tuple(lines),
            Axis("step of the central difference, px", low=0.0),
            Axis(f"mean |d {self.output} / d px|", low=0.0),
            unit="A flat line has converged. Bands: 95 % over images.",
        )
        columns = ("model", "step", "mean |derivative|", "95 %", "unit", "how things move")
        listed = Table("Lie derivative", columns, tuple(table), tuple(colours))
        return (Section(f"Lie derivative of invariance: {self.group}", ((chart, listed),)),)
