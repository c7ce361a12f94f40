"""How much do features change per unit of an infinitesimal movement?"""

# ruff: noqa: RUF009 (the calls in the dataclasses make their fields)
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from explorer.figures.sheet import Axis, Chart, Section, Table
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.base import PROBES, Extremes, Probe, Run, Step, need_classes
from explorer.probes.charting import curve
from explorer.probes.derivative import Group, Scheme, amount, displaced
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import POSITIVE
from explorer.transforms import Transform


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
    parts = "pictures and scenes"

    group: Group = parameter(Message("translation x"), "what changes")
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
            how = Message("rendered anew")
        elif self.scheme == "fourier" and self.group.startswith("translation"):
            how = Message("Fourier shift, border: wrap")
        elif self.scheme == "one-sided":
            how = Message("one-sided slope of bilinear sampling, border: edge")
        else:
            how = Message("bilinear, border: reflect")
        half = {"translation x": (width - 1) / 2, "translation y": (height - 1) / 2}.get(self.group, 1.0)
        # At the middle of the left and right edges, a unit of log zoom or a radian moves things by width / 2 px.
        per_px = 1.0 if self.group.startswith("translation") else 2 / width
        rows = []
        for number, step in enumerate((self.step, self.step / 2)):
            change = found[:, 2 * number + 1] - found[:, 2 * number]
            own = (change / (2 * amount(self.group, step, width))).abs().mean(1)
            where: dict[str, Any] = {"group": self.group, "output": self.output, "scheme": how, "step": step}
            rows.append(
                mean(
                    "Lie derivative per px",
                    own * per_px,
                    Message("{output} per px", output=self.output),
                    POSITIVE,
                    **where,
                )
            )
            unit = Message("{output} per unit of affine_grid", output=self.output)
            rows.append(mean(Message("Lie derivative"), own * half, unit, POSITIVE, **where))
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "Lie derivative per px", "lower", step=self.step),
            *score(rows, Message("Lie derivative"), "lower", step=self.step),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(Message("Moved by a pixel, {most} changes its outputs by {high}, {least} by {low}."))

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        lines, table, colours = [], [], []
        for number, model in enumerate(result.models):
            rows = result.of(model, measure="Lie derivative per px")
            if rows:
                lines.append(curve(model, result.colours[number], rows, "step"))
            for one in result.of(model):
                ends = (
                    ""
                    if one["low"] is None
                    else Message("{low} to {high}", low=f"{one['low']:.3g}", high=f"{one['high']:.3g}")
                )
                words = (model, f"{one['step']:g} px", f"{one['value']:.3g}", ends, one["unit"], one["scheme"])
                table.append(words)
                colours.append(result.colours[number])
        if not lines:
            return ()
        chart = Chart(
            Message("Lie derivative of the {output} (invariance), {group}", output=self.output, group=self.group),
            tuple(lines),
            Axis(Message("step of the central difference, px"), low=0.0),
            Axis(Message("mean |d {output} / d px|", output=self.output), low=0.0),
            unit=Message("A flat line has converged. Bands: 95 % over images."),
        )
        columns = ("model", "step", Message("mean |derivative|"), "95 %", "unit", Message("how things move"))
        listed = Table(Message("Lie derivative"), columns, tuple(table), tuple(colours))
        return (Section(Message("Lie derivative of invariance: {group}", group=self.group), ((chart, listed),)),)
