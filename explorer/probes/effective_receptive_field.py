"""Which pixels does one place of a stage depend on, and how far do they lie?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message, listed
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Extremes, Probe, Run, Step
from explorer.probes.charting import curve, percent, size_in_words
from explorer.probes.passes import stage_features
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, row, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import BY, POSITIVE, SHARE, Range, interval

#: Shares of the mass whose square is reported (Ding et al. 2022).
SHARES = (0.2, 0.3, 0.5, 0.99)
#: Points of the curve of mass against side.
POINTS = 29
#: Images of one backward pass at most; their gradients take several times the memory of a forward pass.
_GRADIENTS = 8


@PROBES.register("effective-receptive-field")
@dataclass(frozen=True)
class EffectiveReceptiveField(Probe):
    """How large is the part of the input that a stage's centre really depends on?

    The score of an image is the sum over channels of ReLU of the stage's feature at its centre (row and column number
    size // 2). A is the mean over images of the sum over R, G and B of ReLU(d score / d x), x the normalised input;
    A(i, j) has one value a pixel. Reported are

    - the raw mass: the sum of A. It has the scale of the features, so it is no measure between models;
    - sigma, px: sqrt(sum of A d^2 / (2 sum of A)), d the distance of a pixel from the image's centre pixel (H // 2,
      W // 2): the standard deviation along one axis, as of Luo's Gaussian;
    - the side, px, of the smallest square around the image's centre pixel (1, 3, 5, ... px, at most the image) that
      holds more than a share t of the mass, and its area over the image's, the area ratio, for t of 20, 30, 50, 99 %.

    A size that is reported belongs to the input size it was measured at.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = (
        "A = mean over images of sum over RGB of ReLU(d sum over channels of ReLU(f at its centre) / d x); area ratio "
        "at t = area of the smallest centred square with more than t of sum A / area of the image"
    )
    source: ClassVar[str] = (
        "Luo et al., Understanding the Effective Receptive Field, NeurIPS 2016; Ding et al., Scaling Up Your Kernels "
        "to 31x31 (RepLKNet), CVPR 2022, section 5.1"
    )
    limits: ClassVar[str] = "A gradient says what a small change would do; it says nothing about what a large one does."
    headline: ClassVar[str] = "area ratio at 50 %"

    stage: int | None = parameter(None, "stage whose centre is asked about; none: the last", 1, 99)
    variant: str = parameter(
        "raw",
        "raw: A as it is; replknet-log: log10(A + 1) over its maximum before the squares, as RepLKNet's script has it, "
        "which depends on the gradient's scale and has no interval here",
        choices=("raw", "replknet-log"),
    )

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One gradient an image; raises MethodError where the stage cannot be read or no gradient reaches the input."""
        stage = self._stage(model)
        profiles: list[Tensor] = []
        moments: list[Tensor] = []
        total = torch.zeros(model.input_size, dtype=torch.float64)
        batch = max(1, min(_GRADIENTS, run.passes.size // 2))
        for start in range(0, len(shown), batch):
            with run.passes.exact():
                maps = input_gradient(model, shown.images[start : start + batch], stage).cpu().double()
            total += maps.sum(0)
            profiles += square_profile(maps)
            moments += second_moment(maps)
            yield Step(min(1.0, (start + batch) / len(shown)) * 0.99)
        if not float(total.sum()) > 0:
            raise MethodError(
                Message("no gradient of stage {stage} reaches the input, so it has no field", stage=stage)
            )
        yield Step(1.0, self._rows(model, stage, torch.stack(profiles), torch.stack(moments), total / len(shown)))

    def _stage(self, model: Model) -> int:
        usable = [one.number for one in model.stages if not one.problem]
        if self.stage is None and usable:
            return usable[-1]
        if self.stage is None or self.stage not in usable:
            named = ", ".join(map(str, usable)) or "none"
            raise MethodError(
                Message(
                    "there is no stage {all} with a known place; it has: {named}",
                    all=self.stage or Message("at all"),
                    named=named,
                )
            )
        return self.stage

    def _rows(self, model: Model, stage: int, profiles: Tensor, moments: Tensor, field: Tensor) -> list[Row]:
        height, width = model.input_size
        where: dict[str, Any] = {"stage": stage, "layer": next(one.name for one in model.stages if one.number == stage)}
        where |= {"input": size_in_words(model), "variant": self.variant}
        count = len(profiles)

        def sigma(sums: Any) -> float:
            return math.sqrt(sums[1] / (2 * sums[0])) if sums[0] > 0 else math.nan

        rows = [
            mean(Message("raw mass"), profiles[:, -1], Message("sum of gradients"), POSITIVE, **where),
            mean("sigma", moments, "px", POSITIVE, sigma, **where),
        ]
        if self.variant == "replknet-log":
            scaled = (field + 1).log10()
            profiles = square_profile((scaled / scaled.max())[None])

        extent = max(height, width)
        for share in SHARES:
            # What jumps from one odd side to the next has no smooth interval: the place where the mass is met has one.
            met = interval(profiles, Range(0.0, extent), partial(_side_holding, share=share))

            def area(place: float) -> float:
                side = _odd(place, extent)
                return min(side, height) * min(side, width) / (height * width)

            def side(place: float) -> float:
                return _odd(place, extent)

            ends = [None if one is None else (area(one), side(one)) for one in (met.low, met.mean, met.high)]
            named = (
                Message("area ratio at {share}", share=percent(share)),
                Message("side of the square at {share}", share=percent(share)),
            )
            for number, (name, unit) in enumerate(zip(named, ("share", "px"))):
                low, value, high = (None if one is None else one[number] for one in ends)
                assert value is not None
                rows.append(row(name, value, unit, count, (low, high), BY, **where, share=share))
        for radius in np.unique(np.linspace(0, profiles.shape[1] - 1, POINTS).round().astype(int)).tolist():

            def within(profile: Any, radius: int = radius) -> float:
                return float(profile[radius] / profile[-1]) if profile[-1] > 0 else math.nan

            where["side"] = min(2 * radius + 1, extent)
            one = mean(Message("share of mass"), profiles, "share", SHARE, within, **where)
            rows.append({**one, "n": count})
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The area ratio at 50 %, the side of its square and sigma."""
        wanted = (self.headline, Message("side of the square at 50 %"), Message("side of the square at 99 %"), "sigma")
        return [one for name in wanted for one in score(rows, name, "none")]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Half of the effective receptive field covers {high} of the picture in {most}, {low} in {least}."),
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """The share of the mass inside a centred square against its side."""
        lines = []
        alike = len(set(result.input_sizes.values())) == 1
        for number, model in enumerate(result.models):
            rows = result.of(model, measure=Message("share of mass"))
            if rows:
                # Sizes are named where they differ: another size may turn the order of two models round.
                name = model if alike else listed([model, rows[0]["input"]])
                lines.append(curve(name, result.colours[number], rows, "side"))
        chart = Chart(
            Message("Share of the effective receptive field inside a centred square"),
            tuple(lines),
            Axis(Message("side of the square, px of the input")),
            Axis(Message("share of the mass"), low=0.0, high=1.0),
            unit=Message("Sizes hold for the input size named; another size may turn the order of two models round."),
        )
        return (Section(Message("How far does a stage's centre look?"), ((chart,),)),) if lines else ()


def input_gradient(model: Model, x01: Tensor, stage: int) -> Tensor:
    """A of each image: (B, H, W), the sum over R, G and B of ReLU(d score / d x), x the normalised input.

    Args:
        model: a live model; hold its lock.
        x01: (B, 3, H, W) in 0..1 on the model's device.
        stage: its number.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x01 = x01.clone().detach().requires_grad_()
        features = stage_features(model, x01, [stage])[stage]
        score = features[..., features.shape[-2] // 2, features.shape[-1] // 2].relu().sum()
        (gradient,) = torch.autograd.grad(score, x01)
    # x = (x01 - mean) / std
    return (gradient * gradient.new_tensor(model.std_colour).view(1, -1, 1, 1)).relu().sum(1)


def _from_centre(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """|row - H // 2| (H, 1) and |column - W // 2| (1, W) of each pixel."""
    height, width = size
    rows = (torch.arange(height) - height // 2).abs()[:, None]
    return rows, (torch.arange(width) - width // 2).abs()[None]


def square_profile(maps: Tensor) -> Tensor:
    """Mass inside the centred squares of side 1, 3, 5, ... px: (B, H, W) to (B, squares)."""
    rings = torch.maximum(*_from_centre((maps.shape[-2], maps.shape[-1]))).flatten()
    out = maps.new_zeros(len(maps), int(rings.max()) + 1)
    return out.index_add_(1, rings, maps.flatten(1)).cumsum(1)


def second_moment(maps: Tensor) -> Tensor:
    """(B, 2): the mass of each map (B, H, W); the sum of mass times squared distance from the centre pixel, px^2."""
    rows, columns = _from_centre((maps.shape[-2], maps.shape[-1]))
    return torch.stack([maps.sum((1, 2)), (maps * (rows**2 + columns**2)).sum((1, 2))], 1)


def _side_holding(profile: Any, share: float) -> float:
    """The side of the centred square that holds a share of the mass, px, linear between odd sides; see `_odd`."""
    wanted = share * profile[-1]
    above = profile > wanted
    place = int(above.argmax()) if above.any() else len(profile) - 1
    inside = float(profile[place - 1]) if place else 0.0
    ring = float(profile[place]) - inside
    # The square of one pixel has no smaller one beside it but that of side 0.
    begin, step = (2 * place - 1, 2) if place else (0, 1)
    return begin + step * ((float(wanted) - inside) / ring if ring > 0 else 0.5)


def _odd(side: float, extent: int) -> float:
    """The smallest odd side above a side, px: whole pixels about the centre's; at most the frame's."""
    return float(min(2 * math.floor((side + 1) / 2) + 1, extent))
