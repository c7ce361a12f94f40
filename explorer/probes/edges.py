"""Can the answer be given from edges or outlines alone?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from explorer.figures.sheet import Axis, Section
from explorer.messages import Message
from explorer.models.heads import Head
from explorer.models.model import Model
from explorer.probes.answers import points, probabilities
from explorer.probes.base import AS_IT_IS, PROBES, Bias, Example, Extremes, Probe, Run, Step, need_classes
from explorer.probes.filters import greyscale, laplacian, silhouette, sobel
from explorer.probes.masks import gaussian_blur
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, rate, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import SHARE
from explorer.transforms import random_orders, shuffle_patches


@PROBES.register("edges")
@dataclass(frozen=True)
class Edges(Probe):
    """What is left of the answer when only edges, or only patches, are left of the picture?

    The model's input is replaced by a view of it: Sobel magnitude, Laplacian on mid-grey, silhouette (the object black
    on white, for stimuli with a mask), Gaussian blur, N x N patches in random order, greyscale. Of each: agreement of
    the first choice with that for the untouched input, p of that class, and accuracy where the class is known.

    Views are computed on the input in 0..1: the formulas stand at `sobel`, `laplacian`, `gaussian_blur`,
    `shuffle_patches` and `greyscale`. Every model sees a picture's patches in the same order; patches are left out
    where N divides not the input. Intervals are Wilson's for shares and Student's t over images for p.
    """

    bias: ClassVar[Bias] = "shape"
    formula: ClassVar[str] = (
        "agreement = mean of [argmax f(view(x)) = argmax f(x)]; Sobel: sqrt(Gx^2 + Gy^2) / max; "
        "Laplacian: 1/2 + L / (2 max|L|)"
    )
    source: ClassVar[str] = (
        "views after Geirhos et al. 2019 (silhouettes, edges, greyscale) and Naseer et al. 2021 (patches)"
    )
    limits: ClassVar[str] = (
        "Edge pictures are unlike anything the model was trained on; a lost answer does not prove that shape is unused."
    )
    headline: ClassVar[str] = "agreement on Sobel"
    parts: ClassVar = "pictures and scenes"

    sigma: float = parameter(2.0, "blur", 0.1, 20.0, "% of the input's shorter side")
    grid: int = parameter(4, "patches a side that change places", 2, 32)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_classes(model)
        count = len(shown)
        known = _with_mask(shown)
        views = self._views(model, bool(known))
        begin, part = 1 / (len(views) + 1), 1 / (len(views) + 1)
        clean = yield from probabilities(run, count, lambda start, stop: shown.images[start:stop], 0.0, begin)
        yield Step(begin, _rows("clean", range(count), clean, clean, shown.truth, model.head))
        for view in views:
            which = known if view == "silhouette" else list(range(count))

            def make(start: int, stop: int, view: str = view, which: list[int] = which) -> Tensor:
                return self.view(view, shown, which[start:stop], run.seed)

            found = yield from probabilities(run, len(which), make, begin, begin + part)
            begin += part
            yield Step(min(1.0, begin), _rows(view, which, found, clean, shown.truth, model.head))

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:
        views = self._views(model, 0 in _with_mask(shown))
        made = [Example(Message(view), self.view(view, shown, [0], seed)[0]) for view in views]
        return [Example(AS_IT_IS, shown.images[0]), *made]

    def _views(self, model: Model, masked: bool) -> list[str]:
        """Names of the views that there can be of this model's input, of stimuli with a mask or without."""
        fits = not any(side % self.grid for side in model.input_size)
        views = ("Sobel", "Laplacian", "silhouette", "blur", "patches", "greyscale")
        return [one for one in views if (masked or one != "silhouette") and (fits or one != "patches")]

    def view(self, name: str, shown: Shown, which: Sequence[int], seed: int) -> Tensor:
        """Some stimuli in one view: (len(which), 3, H, W) in 0..1 on the model's device."""
        if name == "silhouette":
            return silhouette(torch.stack([mask for place in which if (mask := shown.masks[place]) is not None]))
        x = shown.images[list(which)]
        if name == "blur":
            return gaussian_blur(x, self.sigma / 100 * min(x.shape[2:]))
        if name == "patches":
            numbers = [shown.numbers[one] for one in which]
            orders = random_orders(max(shown.numbers) + 1, self.grid**2, seed)[numbers]
            return shuffle_patches(x, orders, (self.grid, self.grid))
        return {"Sobel": sobel, "Laplacian": laplacian, "greyscale": greyscale}[name](x)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "agreement", "higher", "agreement on Sobel", view="Sobel"),
            *score(rows, "agreement", "higher", Message("agreement on silhouettes"), view="silhouette"),
            *score(rows, "agreement", "lower", Message("agreement on patches"), view="patches"),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Shown edges alone (Sobel), {most} keeps its answer in {high} of the pictures, {least} in {low}."),
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        views = ("clean", "Sobel", "Laplacian", "silhouette", "blur", "patches", "greyscale")
        share = Axis(Message("agreement, share of images"), low=0.0, high=1.0)
        below = Message(
            "Blur: sigma {sigma} % of the input's shorter side. Patches: {grid} x {grid}. Bars are 95 % "
            "intervals over images.",
            sigma=f"{result.parameters['sigma']:g}",
            grid=result.parameters["grid"],
        )
        charts = [
            points(
                result, Message("First choice as on the untouched input"), "agreement", "view", views[1:], share, below
            ),
            points(
                result,
                Message("p of the untouched input's first choice"),
                Message("p(original class)"),
                "view",
                views,
                replace(share, title=Message("p(original class)")),
                Message("What p falls to in each view; clean is the untouched input."),
            ),
            points(
                result,
                Message("Right answers"),
                "accuracy",
                "view",
                views,
                replace(share, title=Message("accuracy, share of images")),
                Message("Of the stimuli whose class is known and is one of the model's."),
            ),
        ]
        return (Section(Message("What edges keep of the answer"), tuple((one,) for one in charts if one.lines)),)


def _rows(
    view: str,
    which: Sequence[int],
    found: Tensor,
    clean: Tensor,
    truth: Sequence[int | None],
    head: Head,
) -> list[Row]:
    """Agreement (not of the clean view), p and accuracy of stimuli number ``which`` in one view."""
    kept, said = clean[list(which)], head.answer(found)[:, 0]
    p = head.p_of(found, head.leading(kept))
    rows = [mean(Message("p(original class)"), p, head.p_unit, SHARE, view=view)]
    if view != "clean":
        rows.insert(0, rate("agreement", int(head.same(found, kept).sum()), len(which), view=view))
    right = [int(answer) == truth[place] for place, answer in zip(which, said) if truth[place] is not None]
    if right:
        rows.append(rate("accuracy", sum(right), len(right), view=view))
    return rows


def _with_mask(shown: Shown) -> list[int]:
    return [place for place, mask in enumerate(shown.masks) if mask is not None and bool(mask.any())]
