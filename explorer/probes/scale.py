"""Scale: does the answer stay when things get smaller or larger, and what do the usual remedies change?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Dash, Line, Section
from explorer.geometry import Point
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.base import PROBES, Example, Extremes, Probe, Run, Step
from explorer.probes.charting import curve
from explorer.probes.derivative import lie_derivative
from explorer.probes.passes import collected
from explorer.probes.remedies import Read, Sized, fused, other_sizes, pyramid
from explorer.probes.result import Better, ProbeResult, Score
from explorer.probes.rows import Row, mean, score, share
from explorer.probes.stimuli import Shown, render_many
from explorer.registry import parameter
from explorer.scenes import motion
from explorer.statistics import COSINE, POSITIVE, SHARE
from explorer.transforms import Border, Transform

#: Smallest and largest zoom, and the range whose mean is the score.
ZOOMS, RANGE = (0.25, 4.0), (0.5, 2.0)
#: Step either way in log zoom of scenes rendered anew: at larger ones kinks of edges and ReLUs blur the slope.
STEP = 0.001
#: Unit of each measure, and which way it is better.
MEASURES: dict[str, tuple[str, Better]] = {
    "consistency": ("share", "higher"),
    "p(original class)": ("probability", "higher"),
    "cosine of the pooled feature": ("cosine", "higher"),
}
LIE = Message("scale Lie derivative")


@PROBES.register("scale")
@dataclass(frozen=True)
class Scale(Probe):
    """Does the answer stay when things get smaller or larger?

    Zoom from 1/4 to 4, or in a part of that range, in equal steps of its logarithm, against the answer at zoom 1 with
    the same remedy. Variant
    "resize": a picture is rescaled as a whole about its middle, antialiased, cropped or bordered; of a scene the object
    is rendered anew. Variant "canvas": the object alone, cut out by its mask, is rescaled about its own centre on the
    picture's mean colour. Zooms that a scene's object cannot take are left out.

    Remedies: "pyramid", softmax averaged over an image pyramid (1/2 to 2) of the zoomed picture; "fpn", the stages'
    features joined as in a feature pyramid network (lateral random orthogonal projections to 256 channels, nearest
    upsampling and addition from the top down, no 3x3 convolution), pooled and concatenated: untrained, so it has a
    cosine and no answer, and as it is pooled it weighs the stages' mean features; "test size", the model at 1/1.5 and
    1.5 times its input size too, each against the answer at its own size and zoom 1.
    """

    bias: ClassVar = "scale"
    formula: ClassVar[str] = (
        "consistency(s) = mean over images of [argmax f(x_s) = argmax f(x_1)]; p(s) = softmax f(x_s) at argmax f(x_1); "
        "Lie derivative = mean over outputs of |d f(x_s) / d log s| at s = 1"
    )
    source: ClassVar[str] = (
        "Zhang 2019 (consistency, with zoom for shift); Gruver et al. 2023 (Lie derivative, here of the outputs); "
        "Lin et al. 2017, section 3 (FPN); Touvron et al. 2019, FixRes (test size)"
    )
    limits: ClassVar[str] = (
        "Enlarging crops a picture and shrinking adds a border, so what is seen changes along with its scale; the "
        "variant canvas keeps the surroundings but takes the context away."
    )
    headline: ClassVar[str] = "consistency over zoom 0.5 to 2"
    parts: ClassVar = "pictures and scenes"
    link = "zoom"

    variant: str = parameter(
        "resize", "what is rescaled: everything, or the object alone", choices=("resize", "canvas")
    )
    remedy: str = parameter("none", "what is done about it", choices=("none", "pyramid", "fpn", "test size"))
    steps: int = parameter(9, "zooms from the smallest to the largest; 1 is always one of them", 5, 41)
    smallest: float = parameter(ZOOMS[0], "smallest zoom", ZOOMS[0], 1.0, "x")
    largest: float = parameter(ZOOMS[1], "largest zoom", 1.0, ZOOMS[1], "x")
    border: Border = parameter("mean", "what fills in beside a smaller picture")  # noqa: RUF009

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Rows of each zoom, zoom 1 first, then of the zooms together and of the Lie derivative."""
        which = _cut_out(shown) if self.variant == "canvas" else list(range(len(shown)))
        zooms = [
            zoom for zoom in zoom_steps(self.steps, self.smallest, self.largest) if shown.in_range(Transform(zoom=zoom))
        ]
        own = Sized(model, shown, run.passes)
        sized = [own, *other_sizes(own)] if self.remedy == "test size" else [own]
        parts, done = len(sized) * len(zooms) + 1, 0
        original: tuple[Tensor, Tensor] | None = None
        for one in sized:
            read = self._reader(one, run.seed)
            conditions = {"variant": self.variant, "remedy": self.remedy, "input": one.size}
            truth = [one.shown.truth[index] for index in which]
            values: dict[float, dict[str, Tensor]] = {}
            for zoom in sorted(zooms, key=lambda zoom: zoom != 1):
                make = partial(self._pictures, one.shown, which, zoom)
                found = yield from collected(one.passes, len(which), make, done / parts, (done + 1) / parts, read)
                done += 1
                original = found if original is None else original
                values[zoom] = self._compared(model, found, original)
                rows = _rows(values[zoom], model.head.p_unit, Message, zoom=zoom, **conditions)
                known = [place for place, label in enumerate(truth) if label is not None]
                if known and "consistency" in values[zoom]:
                    labels = torch.tensor([truth[place] for place in known])
                    right = model.head.answer(found[0][known])[:, 0] == labels
                    rows.append(share("accuracy", right.double(), zoom=zoom, **conditions))
                yield Step(done / parts, rows)
            inside = [zoom for zoom in zooms if RANGE[0] <= zoom <= RANGE[1] and zoom != 1]
            if inside and self._spans:
                together = {name: torch.stack([values[zoom][name] for zoom in inside]).mean(0) for name in values[1.0]}
                yield Step(
                    done / parts,
                    _rows(together, model.head.p_unit, over_zoom, zooms=len(inside), **conditions),
                )
        if self.variant == "resize" and self.remedy == "none":
            yield from self._lie(own, run, done / parts)

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:  # noqa: ARG002 - the contract
        which = _cut_out(shown)[:1] if self.variant == "canvas" else [0]
        zooms = zoom_steps(self.steps, self.smallest, self.largest)
        fits = [zoom for zoom in zooms if shown.in_range(Transform(zoom=zoom))]
        return [Example(f"× {zoom:.2g}", self._pictures(shown, which, zoom, 0, 1)[0]) for zoom in fits if which]

    def _pictures(self, shown: Shown, which: Sequence[int], zoom: float, start: int, stop: int) -> Tensor:
        """Pictures ``start`` to ``stop`` of those that are shown, zoomed: (stop - start, 3, H, W)."""
        if self.variant == "canvas":
            return torch.cat([on_canvas(shown, index, zoom) for index in which[start:stop]])
        move = Transform(zoom=zoom, border=self.border)
        return torch.cat([shown.moved(index, [move]) for index in which[start:stop]])

    def _reader(self, one: Sized, seed: int) -> Read:
        """What is taken of a batch of pictures: probabilities (B, classes) and the pooled feature (B, width)."""
        if self.remedy == "fpn":
            return fused(one.model, seed)

        def answers(x01: Tensor) -> tuple[Tensor, Tensor]:
            logits, pooled = one.passes.answers(x01)
            return one.model.head.probabilities(logits), pooled

        return partial(pyramid, answers, border=self.border) if self.remedy == "pyramid" else answers

    def _compared(
        self, model: Model, found: tuple[Tensor, Tensor], original: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """Each measure of each picture: (n,) float64."""
        cosine = F.cosine_similarity(found[1].double(), original[1].double(), dim=1)
        values = {"cosine of the pooled feature": cosine}
        if self.remedy == "fpn" or model.headless:
            return values
        head = model.head
        p = head.p_of(found[0], head.leading(original[0])).double()
        return {"consistency": head.same(found[0], original[0]).double(), "p(original class)": p, **values}

    def _lie(self, own: Sized, run: Run, begin: float) -> Iterator[Step]:
        """The scale Lie derivative of the outputs: sampled for pictures, rendered anew for scenes."""
        model, shown = own.model, own.shown
        count = len(shown)
        if shown.rendered:
            ends = [Transform(zoom=math.exp(sign * STEP)) for sign in (-1, 1)]

            def pair(start: int, stop: int) -> Tensor:
                return torch.cat([shown.moved(k // 2, [ends[k % 2]]) for k in range(start, stop)])

            outputs, _ = yield from collected(run.passes, 2 * count, pair, begin, 1.0)
            slope = (outputs[1::2] - outputs[::2]) / (2 * STEP)
        else:

            def derived(x01: Tensor) -> tuple[Tensor, Tensor]:
                found = lie_derivative(model.logits, x01, group="scale").float().cpu()
                return found, found

            def window(start: int, stop: int) -> Tensor:
                return shown.images[start:stop]

            slope, _ = yield from collected(run.passes, count, window, begin, 1.0, derived)
        unit = Message("outputs per unit of log zoom")
        conditions: dict[str, Any] = {"variant": self.variant, "remedy": self.remedy, "input": own.size}
        yield Step(1.0, [mean(LIE, slope.abs().mean(1), unit, POSITIVE, **conditions)])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The means over zoom 0.5 to 2, zoom 1 left out, at each input size; and the Lie derivative.

        Of zooms that do not reach so far, the consistency at their ends.
        """
        own = rows[0]["input"]
        found: list[Score] = []
        for size in dict.fromkeys(one["input"] for one in rows):
            for measure, (_, better) in MEASURES.items():
                over = over_zoom(measure)
                name = over if size == own else Message("{measure}, input {size}", measure=over, size=size)
                found += score(rows, over, better, name, input=size)
        if not self._spans:
            for zoom in self._ends:
                name = Message("consistency at zoom {zoom}", zoom=zoom)
                found += score(rows, "consistency", "higher", name, input=own, zoom=zoom)
        return found + score(rows, LIE, "lower")

    @property
    def _spans(self) -> bool:
        """Whether the zooms reach over the range that the means are over."""
        return self.smallest <= RANGE[0] and RANGE[1] <= self.largest

    @property
    def _ends(self) -> list[float]:
        """The smallest and the largest zoom, 1 left out."""
        return [zoom for zoom in (round(self.smallest, 4), round(self.largest, 4)) if zoom != 1]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("From half to twice its size, {most} keeps its answer in {high} of the pictures, {least} in {low}.")
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Every measure against zoom."""
        x = Axis(Message("zoom (1: as it is; 2: twice as large)"), log=True, low=self.smallest, high=self.largest)
        variant = result.parameters["variant"]
        what = (
            Message("The object alone, on the mean colour.")
            if variant == "canvas"
            else Message("The whole picture, or the object of a scene.")
        )
        panels = []
        for measure, title, axis in (
            ("p(original class)", Message("P(original class)"), Message("p(class answered at zoom 1)")),
            ("consistency", Message("Consistency"), Message("consistency with zoom 1 (share of pictures)")),
            (
                "cosine of the pooled feature",
                Message("Cosine of the pooled feature"),
                Message("cosine with the feature at zoom 1"),
            ),
            ("accuracy", Message("Accuracy"), Message("accuracy (share of pictures)")),
        ):
            curves = _curves(result, measure)
            if curves:
                low = None if measure.startswith("cosine") else 0
                chart = Chart(title, curves, x, Axis(axis, low=low, high=1), unit=what)
                panels.append(chart)
        return (
            Section(
                Message("Smaller and larger; remedy: {remedy}", remedy=result.parameters.get("remedy", self.remedy)),
                (tuple(panels),),
            ),
        )


def zoom_steps(count: int, smallest: float = ZOOMS[0], largest: float = ZOOMS[1]) -> tuple[float, ...]:
    """``count`` zooms in equal steps of the logarithm, to four digits, and 1."""
    return tuple(sorted({round(float(zoom), 4) for zoom in np.geomspace(smallest, largest, count)} | {1.0}))


def on_canvas(shown: Shown, index: int, zoom: float) -> Tensor:
    """The object of one stimulus, zoomed about its centre, on the mean colour of the picture: (1, 3, H, W) in 0..1.

    Scenes are rendered anew and then cut out; pictures are cut out and then sampled, mask and colour together.
    """
    image = shown.images[index]
    colour = image.mean((1, 2))[:, None, None]
    if shown.rendered:
        scene = motion.moved(shown.scenes[index], Transform(zoom=zoom), shown.model.input_size)
        pictures, masks = (one.to(image.device) for one in render_many([scene], image.shape[-1]))
        return torch.where(masks[:, None], pictures, colour)
    mask = shown.masks[index]
    assert mask is not None
    cover = mask[None].to(image.dtype)
    row, column = mask.nonzero().cpu().double().mean(0).tolist()
    move = Transform(zoom=zoom, centre=Point(column + 0.5, row + 0.5), border="zero")
    both = move.apply(torch.cat([image * cover, cover])[None])
    return both[:, :3] + (1 - both[:, 3:]) * colour


def _cut_out(shown: Shown) -> list[int]:
    """Which stimuli have an object that can be cut out; raises MethodError for none."""
    which = [index for index, mask in enumerate(shown.masks) if mask is not None and bool(mask.any())]
    if not which:
        raise MethodError(
            Message(
                "variant canvas needs the object's mask and no picture has one: put NAME_mask.png, white on the "
                "object, beside NAME, or show scenes"
            )
        )
    return which


def over_zoom(measure: str) -> str:
    """The name of a measure's mean over `RANGE`."""
    return Message("{measure} over zoom 0.5 to 2", measure=Message(measure))


def _rows(values: dict[str, Tensor], p_unit: str, named: Callable[[str], str], **conditions: Any) -> list[Row]:
    """A row of each measure: shares with Wilson's interval, the rest with Student's t.

    Args:
        values: of each measure, an image each.
        p_unit: the unit of p.
        named: what a row calls its measure.
        conditions: under which it was measured.
    """
    units = {name: unit if unit != "probability" else p_unit for name, (unit, _) in MEASURES.items()}
    return [
        share(named(measure), per_image, **conditions)
        if units[measure] == "share"
        else mean(named(measure), per_image, units[measure], COSINE if "cosine" in measure else SHARE, **conditions)
        for measure, per_image in values.items()
    ]


def _curves(result: ProbeResult, measure: str) -> tuple[Line, ...]:
    """One curve a model, and a dashed one for each other input size."""
    dashes: tuple[Dash, ...] = ("solid", "dash", "dot")
    curves = []
    for number, name in enumerate(result.models):
        rows = result.of(name, measure=measure)
        sizes = list(dict.fromkeys(one["input"] for one in rows))
        for place, size in enumerate(sizes):
            called = name if len(sizes) == 1 else Message("{name}, input {size} px", name=name, size=size)
            some = [one for one in rows if one["input"] == size]
            curves.append(curve(called, result.colours[number], some, "zoom", dashes[place % len(dashes)]))
    return tuple(curves)
