"""How much of the answer comes from what lies around the object?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.attribution import METHODS, attribute
from explorer.attribution.base import baseline_like
from explorer.figures.sheet import Axis, Section
from explorer.images import Bands
from explorer.lab.evaluation import mass_ratio
from explorer.models.model import Model
from explorer.probes.answers import one_folder, points, probabilities
from explorer.probes.background import PARTS, in9_gap, in9_map, in9_part, is_in9, scene_gap
from explorer.probes.base import PROBES, Bias, Probe, Run, Step, need_classes
from explorer.probes.masks import BLUR, boxes, gaussian_blur
from explorer.probes.objects import Objects, centre_answers, view_rows
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown, Stimuli, in_words, knows_scenes
from explorer.registry import parameter
from explorer.statistics import POSITIVE, SHARE

_WITHOUT, _OBJECT, _CUT = "background occluded", "object occluded", "object cut out"
_SWAPPED, _CENTRE = "background swapped", "centre cell"


@PROBES.register("context")
@dataclass(frozen=True)
class Context(Probe):
    """How much of the answer comes from the object, and how much from what lies around it?

    Of every stimulus with a mask (scenes have exact ones; a picture's lies beside it, dog_mask.png beside dog.jpg): p
    of the first choice for the untouched input ("original class"), and whether it stays the first choice, when
    everything outside the object is occluded, when the object's bounding box is (Xiao's Only-BG-B), when the object is
    cut out by its mask (No-FG: its outline can still be seen), and when the background is swapped. A scene is rendered
    anew before backgrounds of other classes; a picture's object is pasted on other stimuli, of another label where
    labels are known. Beside these: the share of an attribution's positive mass that lies on the object (energy
    pointing game), and that over the object's share of the area (1: no preference).

    BG-gap is the accuracy before the background of another stimulus of the same class (mixed-same) minus that before
    one of another class (mixed-rand): for models that know the scenes, on scenes, each before both, with Newcombe's
    interval for paired shares; or on a folder of IN-9 given as images (mixed_same and mixed_rand, each with
    val/00_dog ... or 00_dog ..., and in_to_in9.json in it or in its parent), whose pictures are shown as they are.
    There the interval is that for independent shares: which pictures show the same object is not known, and leaving
    that out makes it wider, as a rule, not narrower.

    Centre cell: for models that pool by average, the last features at all positions are replaced by those of the
    middle cell (the mean of the middle two or four of an even grid), so that pooling gives the centre's answer.
    """

    bias: ClassVar[Bias] = "context"
    formula: ClassVar[str] = (
        "mass ratio = (sum of A+ on the object / sum of A+) / (object's share of the area); "
        "p kept = mean p after / mean p before; BG-gap = accuracy(mixed-same) - accuracy(mixed-rand)"
    )
    source: ClassVar[str] = (
        "Xiao et al. 2020, arXiv:2006.09994 (BG-gap, IN-9); Wang et al. 2020, Score-CAM, section 4.2 (energy pointing "
        "game); Newcombe 1998, Statistics in Medicine 17:873 and 17:2635, method 10"
    )
    limits: ClassVar[str] = (
        "Occluded and pasted pictures have edges that photographs have not, so a part of each change is due to the cut "
        "and not to what is missing."
    )
    headline: ClassVar[str] = "p kept without background"

    fill: str = parameter(
        "mean",
        "what occludes: the data set's mean colour, black, or the input blurred",
        choices=("mean", "black", "blur"),
    )
    method: str = parameter("gradcam", "attribution whose mass is measured", choices=tuple(METHODS))
    swaps: int = parameter(3, "other backgrounds for each object", 1, 11)

    def stimuli(
        self,
        images: Any,
        models: Sequence[Model],  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002
        bands: Bands | None = None,
    ) -> Stimuli | None:
        """The pictures of a folder with IN-9's layout."""
        folder = one_folder(images)
        if folder is None or not is_in9(folder):
            return None
        in9_map(folder)
        parts = [in9_part(folder / part, bands) for part in PARTS]
        items = tuple(one for found, _ in parts for one in found)
        words = f"{len(items)} images of IN-9's mixed-same and mixed-rand, as they are" + in_words(bands)
        return Stimuli(items, words, folder, tuple(note for _, notes in parts for note in notes))

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        if shown.stimuli.folder is not None and is_in9(shown.stimuli.folder):
            yield from in9_gap(model, shown, run, in9_map(shown.stimuli.folder))
            return
        need_classes(model)
        objects = Objects.of(shown)
        images, masks = objects.images, objects.masks[:, None]
        count = len(images)
        clean = yield from probabilities(run, count, lambda start, stop: images[start:stop], 0.0, 0.1)
        head = model.head
        original = head.leading(clean)
        before = head.p_of(clean, original)
        yield Step(0.1, [mean("p(original class)", before, head.p_unit, SHARE, view="clean")])
        for view, keep, begin in ((_WITHOUT, masks, 0.1), (_OBJECT, ~boxes(masks), 0.2), (_CUT, ~masks, 0.3)):

            def make(start: int, stop: int, keep: Tensor = keep) -> Tensor:
                some = images[start:stop]
                return torch.where(keep[start:stop], some, self._filling(model, some))

            after = yield from probabilities(run, count, make, begin, begin + 0.1)
            yield Step(begin + 0.1, view_rows(view, clean, after, head=head))
        pairs = objects.swaps(self.swaps, run.seed)
        if pairs:
            after = yield from probabilities(run, len(pairs), objects.swapped(pairs), 0.4, 0.5)
            numbers = torch.tensor([number for number, _ in pairs])
            yield Step(0.5, view_rows(_SWAPPED, clean, after, numbers, head))
        centre = yield from centre_answers(model, run, images)
        if centre is not None:
            yield Step(0.55, view_rows(_CENTRE, clean, head.probabilities(centre.double()), head=head))
        if shown.rendered and knows_scenes(model):
            yield from scene_gap(model, shown.scenes, run)
        if METHODS[self.method].unavailable(model) is None:
            yield from self._attributions(model, run, objects, original)

    def _filling(self, model: Model, images: Tensor) -> Tensor:
        if self.fill == "blur":
            return gaussian_blur(images, BLUR * min(images.shape[2:]))
        return baseline_like(model, images, self.fill)

    def _attributions(self, model: Model, run: Run, objects: Objects, original: Tensor) -> Iterator[Step]:
        ratios, energies, count = [], [], len(objects.images)
        for place in range(count):
            mask = objects.masks[place]
            with run.passes.exact():
                found = attribute(
                    model,
                    objects.images[place],
                    self.method,
                    model.head.target(int(original[place]), model.num_classes),
                )
            ratio = mass_ratio(found.values.clamp(min=0), mask)
            if ratio is not None:  # a map that is nowhere positive has no mass to place
                ratios.append(ratio)
                energies.append(ratio * float(mask.cpu().double().mean()))
            yield Step(0.6 + 0.4 * (place + 1) / count)
        if ratios:
            found_of = (
                ("attribution mass ratio", ratios, "x an even map", POSITIVE),
                ("attribution mass on the object", energies, "share", SHARE),
            )
            rows = [mean(*one, view="clean", method=self.method) for one in found_of]
            yield Step(1.0, rows)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "attribution mass ratio", "higher"),
            *score(rows, "p kept", "higher", "p kept without background", view=_WITHOUT),
            *score(rows, "p kept", "lower", "p kept without object", view=_OBJECT),
            *score(rows, "BG-gap", "lower"),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        settings = result.parameters
        share = Axis("share of images", low=0.0, high=1.0)
        views = (_WITHOUT, _OBJECT, _CUT, _SWAPPED, _CENTRE)
        answers = [
            points(
                result,
                "p of the original class, kept",
                "p kept",
                "view",
                views,
                Axis("mean p after / mean p before", low=0.0),
                f"Occluded by: {settings['fill']}. Centre cell: pooling replaced by the middle of the last features, "
                "for models that pool by average. Bars are 95 % intervals over images.",
            ),
            points(
                result,
                "First choice stays",
                "agreement",
                "view",
                views,
                replace(share, title="agreement with the untouched input, share of images"),
                f"Swapped: the mean over up to {settings['swaps']} other backgrounds for each object.",
            ),
        ]
        masses = [
            points(
                result,
                "Attribution mass on the object over its share of the area",
                "attribution mass ratio",
                "method",
                (settings["method"],),
                Axis("mass ratio, x an even map", low=0.0),
                "Positive mass; 1: the map does not prefer the object. No point: the method cannot serve the model.",
            ),
            points(
                result,
                "Attribution mass on the object (energy pointing game)",
                "attribution mass on the object",
                "method",
                (settings["method"],),
                replace(share, title="share of the positive mass"),
            ),
        ]
        gaps = [
            points(
                result,
                "Accuracy before backgrounds of other stimuli",
                "accuracy",
                "view",
                tuple(PARTS.values()),
                replace(share, title="accuracy, share of images"),
                "mixed-same: the background of another stimulus of the same class; mixed-rand: of another class.",
            ),
            points(
                result,
                "BG-gap: mixed-same minus mixed-rand",
                "BG-gap",
                "protocol",
                ("scenes", "IN-9"),
                Axis("BG-gap (difference of shares)"),
                "0: the background makes no difference. Newcombe's 95 % intervals: for paired shares on scenes, for "
                "independent ones on IN-9.",
            ),
        ]
        headings = (
            ("What the answer keeps", answers),
            ("Where the evidence lies", masses),
            ("Background gap", gaps),
        )
        rows = [(heading, tuple((one,) for one in charts if one.lines)) for heading, charts in headings]
        return tuple(Section(heading, charts) for heading, charts in rows if charts)
