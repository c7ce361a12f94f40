"""How far from the object does what an answer rests on lie?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explorer.attribution import answer
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message, listed
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Extremes, Probe, Run, Step
from explorer.probes.charting import curve, percent, size_in_words
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import POSITIVE

#: Shares of |attribution| whose radius is reported.
RADII = (0.5, 0.9)
_METHODS = ("gradcam", "saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "gradient_rollout")


@PROBES.register("attribution-radius")
@dataclass(frozen=True)
class AttributionRadius(Probe):
    """How far apart does the evidence for a model's answer lie?

    The radius, px, of the circle around the centre of mass of |attribution| that holds 50 % and 90 % of it: the
    smallest distance within which the centres of pixels hold at least that share. The mean over images. Each image's
    attribution is for the model's own first choice. A coarse map (Grad-CAM's has the stage's grid) is spread over the
    area of its cells, so that its radius is never below that of one cell. Images whose attribution is zero everywhere
    are left out, which n tells.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = "r_s = min r: sum of |a| within r of the centre of mass of |a| >= s sum of |a|"
    source: ClassVar[str] = "this project; attributions by the sources of their methods"
    limits: ClassVar[str] = (
        "Two compact regions far apart give a large radius; and an attribution is one method's account of the answer."
    )
    headline: ClassVar[str] = "radius holding 50 %"
    parts: ClassVar = "pictures and scenes"

    method: str = parameter("gradcam", "attribution method", choices=_METHODS)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One attribution an image; raises MethodError where the method cannot serve the model."""
        found: list[list[float]] = []
        for index in range(len(shown)):
            with run.passes.exact():
                maps = answer(model, shown.images[index : index + 1], maps=False, method=self.method).attributions
            assert maps is not None
            values = maps[0].values.abs().double()
            if float(values.sum()) > 0:
                found.append(radii(spread(values, model.input_size), RADII))
            yield Step((index + 1) / len(shown) * 0.99)
        if not found:
            raise MethodError(Message("its attributions by {method} are zero everywhere", method=self.method))
        columns = zip(RADII, zip(*found, strict=True), strict=True)
        yield Step(
            1.0,
            [
                mean(
                    Message("radius holding {share}", share=percent(share)),
                    values,
                    "px",
                    POSITIVE,
                    input=size_in_words(model),
                    share=share,
                )
                for share, values in columns
            ],
        )

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """Both radii."""
        return [
            one
            for share in RADII
            for one in score(rows, Message("radius holding {share}", share=percent(share)), "none")
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(Message("Half of the evidence lies within {high} in {most}, within {low} in {least}."))

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Both radii of every model."""
        lines = []
        for number, model in enumerate(result.models):
            rows = result.of(model)
            if rows:
                named = [{**one, "held": percent(one["share"])} for one in rows]
                lines.append(
                    curve(listed([model, rows[0]["input"]]), result.colours[number], named, "held", joined=False)
                )
        chart = Chart(
            Message(
                "Radius around the centre of mass of |attribution| ({method})",
                method=result.parameters.get("method", ""),
            ),
            tuple(lines),
            Axis(Message("share of |attribution| held")),
            Axis(Message("radius, px of the input"), low=0.0),
        )
        return (Section(Message("How far apart does the evidence lie?"), ((chart,),)),) if lines else ()


def spread(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Spread each cell of a map (h, w) evenly over its area of a frame of size (H, W) px; the sum stays."""

    def overlap(cells: int, pixels: int) -> Tensor:
        """(pixels, cells): the share of each cell that lies on each pixel."""
        edges = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
        pixel = torch.arange(pixels, dtype=torch.float64)[:, None]
        shared = torch.minimum(edges[1:], pixel + 1) - torch.maximum(edges[:-1], pixel)
        return shared.clamp(min=0) * cells / pixels

    return overlap(values.shape[0], size[0]) @ values.double() @ overlap(values.shape[1], size[1]).T


def radii(mass: Tensor, shares: Sequence[float]) -> list[float]:
    """The radii, px, around the centre of mass that hold these shares of a map (H, W) of values from 0 up."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=mass.dtype) for side in mass.shape), indexing="ij")
    total = mass.sum()
    away = torch.hypot(y - (mass * y).sum() / total, x - (mass * x).sum() / total).flatten()
    order = away.argsort()
    held = mass.flatten()[order].cumsum(0) / total
    # 1e-12: the last pixel of a share that is met exactly is not missed by rounding.
    places = torch.searchsorted(held, torch.tensor(shares, dtype=held.dtype) - 1e-12).clamp(max=len(held) - 1)
    return [float(away[order[place]]) for place in places]
