"""How much of the answer comes from what lies around the object?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.attention.mass import map_ratios, mass_ratio, placed
from explorer.attribution import METHODS, answer
from explorer.attribution.base import PassMethod, baseline_like
from explorer.figures.sheet import Axis, Section
from explorer.images import Bands
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.answers import one_folder, points, probabilities
from explorer.probes.background import MIXED, PARTS, PURE, in9_gap, in9_map, in9_part, is_in9, scene_gap
from explorer.probes.base import AS_IT_IS, PROBES, Bias, Example, Extremes, Probe, Run, Step, need_classes
from explorer.probes.centre import centre_answers
from explorer.probes.masks import BLUR, boxes, gaussian_blur
from explorer.probes.objects import Objects, view_rows
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown, Stimuli, knows_scenes, with_bands
from explorer.registry import parameter
from explorer.statistics import POSITIVE, SHARE

_WITHOUT, _OBJECT, _CUT = Message("background occluded"), Message("object occluded"), Message("object cut out")
_SWAPPED, _CENTRE = Message("background swapped"), Message("centre cell")
#: What stands for the layer where the mean over all is meant.
_EVERY = "all"
#: Pictures that are explained together; a pass with its graph takes several times the memory of one without.
_TOGETHER = 8


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
    pointing game), and that over the object's share of the area (1: no preference); so of every attention map that lies
    on the image, averaged over its heads and, where it has queries, over those on the object.

    BG-gap is the accuracy before the background of another stimulus of the same class (mixed-same) minus that before
    one of another class (mixed-rand): for models that know the scenes, on scenes, each before both, with Newcombe's
    interval for paired shares, and so between the kind of background that goes with the class (own) and that of
    another class; or on a folder of IN-9 given as images (mixed_same and mixed_rand, each with
    val/00_dog ... or 00_dog ..., and in_to_in9.json in it or in its parent), whose pictures are shown as they are.
    There the interval is that for independent shares: which pictures show the same object is not known, and leaving
    that out makes it wider, as a rule, not narrower.

    Centre cell: for models that pool by average, the last features at all positions are replaced by those of the
    middle cell (the mean of the middle two or four of an even grid), so that pooling gives the centre's answer.
    """

    bias: ClassVar[Bias] = "context"
    formula: ClassVar[str] = (
        "mass ratio = (sum of A+ on the object / sum of A+) / (object's share of the area), A an attribution or a map; "
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
        words = Message("{items} images of IN-9's mixed-same and mixed-rand, as they are", items=len(items))
        return Stimuli(items, with_bands(words, bands), folder, tuple(note for _, notes in parts for note in notes))

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
        yield Step(0.1, [mean(Message("p(original class)"), before, head.p_unit, SHARE, view="clean")])
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
        yield from self._masses(model, run, objects, original)

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:
        if shown.stimuli.folder is not None and is_in9(shown.stimuli.folder):
            return ()
        objects = Objects.of(shown)
        image, mask = objects.images[:1], objects.masks[:1, None]
        filling = self._filling(model, image)
        kept = ((_WITHOUT, mask), (_OBJECT, ~boxes(mask)), (_CUT, ~mask))
        made = [Example(view, torch.where(keep, image, filling)[0]) for view, keep in kept]
        pairs = [one for one in objects.swaps(self.swaps, seed) if one[0] == 0][:1]
        if pairs:
            made.append(Example(_SWAPPED, objects.swapped(pairs)(0, 1)[0]))
        return [Example(AS_IT_IS, image[0]), *made]

    def _filling(self, model: Model, images: Tensor) -> Tensor:
        if self.fill == "blur":
            return gaussian_blur(images, BLUR * min(images.shape[2:]))
        return baseline_like(model, images, self.fill)

    def _masses(self, model: Model, run: Run, objects: Objects, original: Tensor) -> Iterator[Step]:
        """Rows of the mass that attributions and attention maps have on the object."""
        count, masks = len(objects.images), objects.masks
        method = None if METHODS[self.method].unavailable(model) else self.method
        size = _TOGETHER if method is None or issubclass(METHODS[method], PassMethod) else 1
        ratios, energies = list[float](), list[float]()
        native: dict[str, dict[str, dict[int, float]]] = {}
        for start in range(0, count, size):
            places = range(start, min(start + size, count))
            target = [model.head.target(int(original[place]), model.num_classes) for place in places]
            with run.passes.exact():
                found = answer(model, objects.images[start : places.stop], target=target, maps=True, method=method)
            for place, one in zip(places, found.attributions or ()):
                ratio = mass_ratio(one.values.clamp(min=0), masks[place])
                if ratio is not None:  # a map that is nowhere positive has no mass to place
                    ratios.append(ratio)
                    energies.append(ratio * float(masks[place].cpu().double().mean()))
            for layer, seen in placed(found.maps).items():
                of_layer = native.setdefault(seen.kind, {}).setdefault(layer, {})
                known = map_ratios(seen, masks[start : places.stop])
                of_layer.update({place: ratio for place, ratio in zip(places, known) if ratio is not None})
            yield Step(0.6 + 0.4 * places.stop / count)
        rows: list[Row] = []
        if ratios:
            found_of = (
                (Message("attribution mass ratio"), ratios, Message("x an even map"), POSITIVE),
                (Message("attribution mass on the object"), energies, "share", SHARE),
            )
            rows += [mean(*one, view="clean", method=self.method) for one in found_of]
        yield Step(1.0, [*rows, *_native_rows(native)])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, Message("attribution mass ratio"), "higher"),
            *score(rows, "p kept", "higher", "p kept without background", view=_WITHOUT),
            *score(rows, "p kept", "lower", Message("p kept without object"), view=_OBJECT),
            *score(rows, "BG-gap", "lower", between=MIXED),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(Message("Without its background, {most} keeps {high} of its probability, {least} {low}."))

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        settings = result.parameters
        share = Axis(Message("share of images"), low=0.0, high=1.0)
        views = (_WITHOUT, _OBJECT, _CUT, _SWAPPED, _CENTRE)
        answers = [
            points(
                result,
                Message("p of the original class, kept"),
                "p kept",
                "view",
                views,
                Axis(Message("mean p after / mean p before"), low=0.0),
                Message(
                    "Occluded by: {fill}. Centre cell: pooling replaced by the middle of the last features, for models "
                    "that pool by average. Bars are 95 % intervals over images.",
                    fill=settings["fill"],
                ),
            ),
            points(
                result,
                Message("First choice stays"),
                "agreement",
                "view",
                views,
                replace(share, title=Message("agreement with the untouched input, share of images")),
                Message(
                    "Swapped: the mean over up to {swaps} other backgrounds for each object.", swaps=settings["swaps"]
                ),
            ),
        ]
        masses = [
            points(
                result,
                Message("Attribution mass on the object over its share of the area"),
                Message("attribution mass ratio"),
                "method",
                (settings["method"],),
                Axis(Message("mass ratio, x an even map"), low=0.0),
                Message(
                    "Positive mass; 1: the map does not prefer the object. No point: the method cannot serve the model."
                ),
            ),
            points(
                result,
                Message("Attribution mass on the object (energy pointing game)"),
                Message("attribution mass on the object"),
                "method",
                (settings["method"],),
                replace(share, title=Message("share of the positive mass")),
            ),
            points(
                result,
                Message("Attention mass on the object over its share of the area"),
                Message("attention mass ratio"),
                "kind",
                tuple(dict.fromkeys(row["kind"] for row in result.rows if "kind" in row)),
                Axis(Message("mass ratio, x an even map"), low=0.0),
                Message(
                    "Mean over the layers that have a map on the image; of maps with queries, those on the object. "
                    "1: the map does not prefer the object. No point: the model has no such map."
                ),
                layer=_EVERY,
            ),
        ]
        gaps = [
            points(
                result,
                Message("Accuracy before backgrounds of other stimuli"),
                "accuracy",
                "view",
                (*PARTS.values(), *PURE.split(" - ")),
                replace(share, title=Message("accuracy, share of images")),
                Message(
                    "mixed-same: the background of another stimulus of the same class; mixed-rand: of another class. "
                    "Own: the kind of background that goes with the class; another's: that of another class."
                ),
            ),
            points(
                result,
                Message("BG-gap: the first background's accuracy minus the second's"),
                "BG-gap",
                "between",
                (MIXED, PURE),
                Axis(Message("BG-gap (difference of shares)")),
                Message(
                    "0: the background makes no difference. Newcombe's 95 % intervals: for paired shares on scenes, "
                    "for independent ones on IN-9."
                ),
            ),
        ]
        headings = (
            (Message("What the answer keeps"), answers),
            (Message("Where the evidence lies"), masses),
            (Message("Background gap"), gaps),
        )
        rows = [(heading, tuple((one,) for one in charts if one.lines)) for heading, charts in headings]
        return tuple(Section(heading, charts) for heading, charts in rows if charts)


def _native_rows(native: Mapping[str, Mapping[str, Mapping[int, float]]]) -> list[Row]:
    """Rows of the mass ratio of maps, over all layers and layer by layer: kind -> layer -> picture -> ratio."""
    rows = []
    for kind, layers in native.items():
        of_picture: dict[int, list[float]] = {}
        for values in layers.values():
            for place, ratio in values.items():
                of_picture.setdefault(place, []).append(ratio)
        every = [(_EVERY, [sum(values) / len(values) for values in of_picture.values()])]
        for layer, some in [*every, *((layer, list(values.values())) for layer, values in layers.items())]:
            if some:
                unit = Message("x an even map")
                rows.append(
                    mean(Message("attention mass ratio"), some, unit, POSITIVE, view="clean", kind=kind, layer=layer)
                )
    return rows
