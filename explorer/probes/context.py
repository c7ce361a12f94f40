"""How much of the answer comes from what lies around the object?"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from explorer.attribution import METHODS, attribute
from explorer.attribution.base import baseline_like
from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Chart, Line, Section, colour_of
from explorer.images import Bands, Picture
from explorer.images.folders import Folder
from explorer.lab.evaluation import mass_ratio
from explorer.models.heads import Head
from explorer.models.model import Model
from explorer.models.stages import Stage
from explorer.probes.base import (
    PROBES,
    Bias,
    Probe,
    Row,
    Run,
    Step,
    mean,
    need_classes,
    need_one_class,
    rate,
    row,
    score,
    share,
)
from explorer.probes.passes import collected
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import Shown, Stimuli, Stimulus, checked, in_words, knows_scenes, render_many
from explorer.probes.stimuli import scenes as drawn_scenes
from explorer.registry import parameter
from explorer.scenes import BACKGROUNDS, CLASSES, Scene
from explorer.statistics import CHANGE, POSITIVE, SHARE, wilson

#: IN-9's folders, and what the paper calls them.
PARTS = {"mixed_same": "mixed-same", "mixed_rand": "mixed-rand"}
#: The challenge's map from ImageNet's classes to the nine of IN-9.
IN9_MAP = "in_to_in9.json"
#: Sigma of the blur that fills in, share of the input's shorter side: 11 px of 224.
BLUR = 0.05
_WITHOUT, _OBJECT, _CUT = "background occluded", "object occluded", "object cut out"
_SWAPPED, _CENTRE = "background swapped", "centre cell"


def newcombe(first: int, n_first: int, second: int, n_second: int, phi: float = 0.0) -> tuple[float, float]:
    """The 95 % interval of the difference of two shares, from their Wilson intervals.

    Newcombe 1998, Statistics in Medicine 17:873, method 10, for independent shares; 17:2635, method 10, for paired ones
    (see `paired`). Unlike Student's t it has a width also where both shares are 0 or 1.

    Args:
        first: successes of the first.
        n_first: of how many.
        second: successes of the second.
        n_second: of how many.
        phi: correlation of the pairs; 0 for independent shares.
    """
    p, q = first / n_first, second / n_second
    (low_p, high_p), (low_q, high_q) = wilson(first, n_first), wilson(second, n_second)

    def length(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return p - q - length(p - low_p, high_q - q), p - q + length(high_p - p, q - low_q)


def paired(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The correlation of two paired shares, corrected for continuity, as Newcombe's method 10 asks for it."""
    pairs = list(zip(first, second))
    a, b, c, d = (pairs.count(one) for one in ((True, True), (True, False), (False, True), (False, False)))
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if not margins:
        return 0.0
    over = a * d - b * c
    return (max(over - len(pairs) / 2, 0.0) if over > 0 else over) / math.sqrt(margins)


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
        parts = [_in9_part(folder / part, bands) for part in PARTS]
        items = tuple(one for found, _ in parts for one in found)
        words = f"{len(items)} images of IN-9's mixed-same and mixed-rand, as they are" + in_words(bands)
        return Stimuli(items, words, folder, tuple(note for _, notes in parts for note in notes))

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        if shown.stimuli.folder is not None and is_in9(shown.stimuli.folder):
            yield from _in9(model, shown, run, in9_map(shown.stimuli.folder))
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
            yield from _scene_gap(model, shown.scenes, run)
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


def boxes(masks: Tensor) -> Tensor:
    """The bounding boxes of masks, filled: (..., H, W) bool to the same."""

    def span(seen: Tensor) -> Tensor:
        """From the first True to the last."""
        return (seen.cumsum(-1) > 0) & (seen.flip(-1).cumsum(-1) > 0).flip(-1)

    return span(masks.any(-1))[..., :, None] & span(masks.any(-2))[..., None, :]


@dataclass(frozen=True, eq=False)
class Objects:
    """The stimuli whose object is known, as one model sees them.

    Attributes:
        shown: all stimuli.
        places: which of them have a mask.
        images: (n, 3, H, W) in 0..1.
        masks: (n, H, W) bool, True on the object.
    """

    shown: Shown
    places: tuple[int, ...]
    images: Tensor
    masks: Tensor

    @classmethod
    def of(cls, shown: Shown) -> Objects:
        """Those of all stimuli; raises MethodError where none has a mask that covers a part of the input."""
        masks = {place: mask for place, mask in enumerate(shown.masks) if mask is not None and mask.any()}
        masks = {place: mask for place, mask in masks.items() if not mask.all()}
        if not masks:
            raise MethodError(
                "no stimulus has a mask of its object: put dog_mask.png, white on the object, beside dog.jpg and give "
                "that file or its folder; or give a number of scenes, whose masks are exact"
            )
        places = tuple(masks)
        return cls(shown, places, shown.images[list(places)], torch.stack(list(masks.values())))

    def swaps(self, count: int, seed: int) -> list[tuple[int, Any]]:
        """Objects and the backgrounds they are given, at most ``count`` each: (number of the object, background).

        A background is a name of BACKGROUNDS, neither the scene's own nor its class's, or the place of another stimulus
        without the object's label. The same for every model.
        """
        generator = torch.Generator().manual_seed(seed)
        out: list[tuple[int, Any]] = []
        for number, place in enumerate(self.places):
            item = self.shown.stimuli.items[place]
            choices: list[Any]
            if isinstance(item.source, Scene):
                own = {item.source.background, BACKGROUNDS[CLASSES.index(item.source.label)]}
                choices = [name for name in BACKGROUNDS if name not in own]
            else:
                choices = [
                    other
                    for other, one in enumerate(self.shown.stimuli.items)
                    if other != place and not (item.label and one.label == item.label)
                ]
            order = torch.randperm(len(choices), generator=generator).tolist()
            out += [(number, choices[one]) for one in order[:count]]
        return out

    def swapped(self, pairs: Sequence[tuple[int, Any]]) -> Any:
        """(start, stop) to those of the pairs: (stop - start, 3, H, W), as `Passes.each` makes its pictures."""
        shown = self.shown

        def make(start: int, stop: int) -> Tensor:
            some = pairs[start:stop]
            if shown.rendered:
                scenes = [replace(shown.scenes[self.places[number]], background=name) for number, name in some]
                return render_many(scenes, shown.model.input_size[0])[0].to(shown.model.device)
            numbers = [number for number, _ in some]
            behind = shown.images[[place for _, place in some]]
            return torch.where(self.masks[numbers][:, None], self.images[numbers], behind)

        return make


def view_rows(
    view: str,
    clean: Tensor,
    after: Tensor,
    numbers: Tensor | None = None,
    head: Head = Head(),  # noqa: B008 - frozen
) -> list[Row]:
    """Agreement, p, p kept and the change of p in one view.

    Args:
        view: what was changed.
        clean: (n, classes) p of the images as they are.
        after: (m, classes) p of the changed images.
        numbers: (m,) which of the n images each is, where an image is changed in several ways: these are averaged
            first, so that the intervals are over images. None: image by image.
        head: how answers are read off p.
    """
    original = head.leading(clean)
    which = torch.arange(len(original)) if numbers is None else numbers
    p_each = head.p_of(after, original[which])
    same_each = head.same(after, clean[which]).double()
    images = which.unique().tolist()
    p = torch.stack([p_each[which == image].mean() for image in images])
    same = torch.stack([same_each[which == image].mean() for image in images])
    before = head.p_of(clean, original)[images]
    agreement = rate("agreement", int(same.sum()), len(same), view=view)
    if numbers is not None:
        agreement = share("agreement", same, view=view)
    return [
        agreement,
        mean("p(original class)", p, head.p_unit, SHARE, view=view),
        mean("p kept", torch.stack([before, p], 1), "of p before", POSITIVE, lambda both: both[1] / both[0], view=view),
        mean("change of p", p - before, head.p_unit, CHANGE, view=view),
    ]


# ---- the centre instead of the average ------------------------------------------------------------------------------


def centre_answers(model: Model, run: Run, images: Tensor) -> Generator[Step, None, Tensor | None]:
    """Logits where the last features of every position are those of the middle: (n, classes), or None.

    None for models that do not pool the last features by average: those whose answer changes when every position is
    given the average (they pool otherwise), or does not change when every position is given the middle (they pool by
    class token).
    """
    stage = next((one for one in reversed(model.stages) if not one.problem), None)
    if stage is None:
        return None
    module: Any = model.module

    def read(x01: Tensor) -> tuple[Tensor, ...] | None:
        features = module.forward_features(model.normalise(x01))
        if not isinstance(features, Tensor):
            return None
        several = (features.clone(), spread(features, stage, middle=False), spread(features, stage, middle=True))
        if any(one is None for one in several):
            return None
        return tuple(module.forward_head(one).float().cpu() for one in several)

    found: list[tuple[Tensor, ...]] = []
    for _, stop, answers in run.passes.each(len(images), lambda start, stop: images[start:stop], read):
        if answers is None:
            return None
        found.append(answers)
        yield Step(0.5 + 0.05 * stop / len(images))
    pooled, average, centre = (torch.cat(one) for one in zip(*found))
    small = 1e-4 * float(pooled.abs().max())
    if float((average - pooled).abs().max()) > small or float((centre - pooled).abs().max()) <= small:
        return None
    return centre


def spread(features: Tensor, stage: Stage, middle: bool) -> Tensor | None:
    """The last features with one vector at all positions: that of the middle cell, or the average; prefix tokens stay.

    Args:
        features: what the head is given: (B, C, h, w), (B, h, w, C) or (B, tokens, C), laid out as the last stage's.
        stage: the last stage whose place is known.
        middle: the mean of the middle one, two or four cells instead of that of all.

    Returns None where the features are laid out in another way.
    """
    if features.ndim == 3 and stage.layout == "tokens":
        rows, columns = stage.grid
        if features.shape[1] != stage.prefix + rows * columns:
            return None
        grid = features[:, stage.prefix :].unflatten(1, (rows, columns))
    elif features.ndim == 4 and stage.layout in ("NCHW", "NHWC"):
        grid = features if stage.layout == "NHWC" else features.permute(0, 2, 3, 1)
    else:
        return None
    _, rows, columns, _ = grid.shape
    chosen = grid[:, (rows - 1) // 2 : rows // 2 + 1, (columns - 1) // 2 : columns // 2 + 1] if middle else grid
    even = chosen.mean((1, 2), keepdim=True).expand_as(grid)
    if features.ndim == 3:
        return torch.cat([features[:, : stage.prefix], even.flatten(1, 2)], 1)
    return (even if stage.layout == "NHWC" else even.permute(0, 3, 1, 2)).contiguous()


# ---- BG-gap ---------------------------------------------------------------------------------------------------------


def mixed(scenes: Sequence[Scene], seed: int) -> dict[str, list[Scene]]:
    """Scenes before the backgrounds of other, freshly drawn scenes: of the same class, and of another.

    All else stays: object, texture, colours, noise. A background drawn with another scene goes with that scene's class
    about as often as in training, as those of IN-9 do.
    """
    labels = [CLASSES.index(scene.label) for scene in scenes]
    count = len(CLASSES)
    # One donor of every class for each scene; of the next seed's stream, so that none is the scene itself.
    donors = drawn_scenes(count * len(scenes), seed + 1)
    out: dict[str, list[Scene]] = {}
    for part, classes in (("mixed-same", labels), ("mixed-rand", others(labels)[0])):
        out[part] = [
            replace(scene, background=donors[number * count + label].background)
            for number, (scene, label) in enumerate(zip(scenes, classes))
        ]
    return out


def _scene_gap(model: Model, scenes: Sequence[Scene], run: Run) -> Iterator[Step]:
    labels = torch.tensor([CLASSES.index(scene.label) for scene in scenes])
    right: dict[str, list[bool]] = {}
    rows: list[Row] = []
    for part, some in mixed(scenes, run.seed).items():

        def make(start: int, stop: int, some: Sequence[Scene] = some) -> Tensor:
            return render_many(some[start:stop], model.input_size[0])[0].to(model.device)

        p = yield from probabilities(run, len(some), make, 0.55, 0.6)
        right[part] = (p.argmax(1) == labels).tolist()
        rows.append(rate("accuracy", sum(right[part]), len(labels), view=part, protocol="scenes"))
    same, rand = right["mixed-same"], right["mixed-rand"]
    rows.append(gap_row(sum(same), len(same), sum(rand), len(rand), "scenes", paired(same, rand)))
    yield Step(0.6, rows)


def gap_row(same: int, n_same: int, rand: int, n_rand: int, protocol: str, phi: float = 0.0) -> Row:
    """The row of a BG-gap: right answers of mixed-same and of mixed-rand; see `newcombe`."""
    low, high = newcombe(same, n_same, rand, n_rand, phi)
    value = same / n_same - rand / n_rand
    return row(
        "BG-gap",
        value,
        "difference of shares",
        min(n_same, n_rand),
        (max(low, -1.0), min(high, 1.0)),
        "Newcombe",
        protocol=protocol,
    )


def is_in9(folder: Path) -> bool:
    """Whether a folder has IN-9's layout: both mixed_same and mixed_rand."""
    return all((folder / part).is_dir() for part in PARTS)


def in9_map(folder: Path) -> dict[int, int]:
    """The challenge's map from ImageNet's classes to the nine of IN-9; classes of none are left out.

    Raises ParameterError where the file is not there, or is of another form.
    """
    file = next((one / IN9_MAP for one in (folder, folder.resolve().parent) if (one / IN9_MAP).is_file()), None)
    if file is None:
        raise ParameterError(
            f"'{folder}' has IN-9's layout but no {IN9_MAP}, the map from ImageNet's classes to its nine; it lies in "
            "github.com/MadryLab/backgrounds_challenge: put it into the folder or beside it"
        )
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        pairs = read.items() if isinstance(read, dict) else enumerate(read)
        found = {int(index): int(number) for index, number in pairs if number is not None}
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ParameterError(f"'{file}' maps no class index to a number of IN-9: {error}") from None
    return {index: number for index, number in found.items() if number >= 0}


def _in9_part(folder: Path, bands: Bands | None) -> tuple[list[Stimulus], tuple[str, ...]]:
    """The pictures of mixed_same or mixed_rand, and what is to be said; label: part and class, as in mixed-same/3."""
    read = Folder(folder)
    found = [
        Stimulus(one.path.name, picture, f"{PARTS[folder.name]}/{int(match[1])}")
        for one, picture in checked(read, bands)
        if (match := re.match(r"(\d+)_", one.label))
    ]
    if not found:
        raise ParameterError(
            f"'{folder}' has no pictures in folders that are numbered by class: val/00_dog or 00_dog, ..., are "
            f"expected; found: {read.contents()}"
        )
    return found, read.notes


def _in9(model: Model, shown: Shown, run: Run, nine: dict[int, int]) -> Iterator[Step]:
    need_one_class(model, "IN-9's map is from ImageNet's 1000 classes, of which one is answered")
    if model.num_classes != 1000:
        raise MethodError(
            f"IN-9's map is from ImageNet's 1000 classes; {model.spec} has {model.num_classes or 'no'} classes"
        )
    items = shown.stimuli.items

    def make(start: int, stop: int) -> Tensor:
        sources = [one.source for one in items[start:stop] if isinstance(one.source, Picture)]
        return torch.cat([as_it_is(model, source) for source in sources])

    p = yield from probabilities(run, len(items), make)
    right: dict[str, list[bool]] = {part: [] for part in PARTS.values()}
    for item, answer in zip(items, p.argmax(1).tolist()):
        part, _, label = item.label.partition("/")
        right[part].append(nine.get(answer) == int(label))
    (same, n_same), (rand, n_rand) = ((sum(one), len(one)) for one in right.values())
    yield Step(
        1.0,
        [
            rate("accuracy", same, n_same, view="mixed-same", protocol="IN-9"),
            rate("accuracy", rand, n_rand, view="mixed-rand", protocol="IN-9"),
            gap_row(same, n_same, rand, n_rand, "IN-9"),
        ],
    )


# ---- what the probes of shape and of context share ------------------------------------------------------------------


def as_it_is(model: Model, picture: Picture) -> Tensor:
    """A data set's picture without resize or crop: (1, 3, H, W) in 0..1 on the model's device.

    Only where the model's input is of another size the whole picture is resized to it, with the model's interpolation.
    """
    image, (height, width) = picture.image, model.input_size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling[model.interpolation.upper()])
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div(255).to(model.device)


def one_folder(images: Any) -> Path | None:
    """The folder that ``images`` is, or the only one in it; None where it is anything else."""
    if isinstance(images, (list, tuple)) and len(images) == 1:
        images = images[0]
    return Path(images) if isinstance(images, (str, os.PathLike)) and Path(images).is_dir() else None


def probabilities(
    run: Run, count: int, make: Any, begin: float = 0.0, end: float = 1.0
) -> Generator[Step, None, Tensor]:
    """p of every output of pictures 0 to ``count`` - 1, (count, classes) float64 on the CPU; yields progress.

    Args:
        run: what the probe is run with.
        count: how many pictures, at least one.
        make: (start, stop) to pictures in 0..1, as of `Passes.each`.
        begin: share of the probe's work that is done before.
        end: and after.
    """
    logits, _ = yield from collected(run.passes, count, make, begin, end)
    return run.passes.model.head.probabilities(logits.double())


def others(labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """For each of many scenes another class, and a third one; within a class both change from scene to scene.

    Args:
        labels: places in CLASSES.
    """
    count, seen = len(CLASSES), Counter[int]()
    second, third = [], []
    for label in labels:
        number = seen[label]
        seen[label] += 1
        second.append((label + 1 + number % (count - 1)) % count)
        rest = [one for one in range(count) if one not in (label, second[-1])]
        third.append(rest[(number + label) % len(rest)])
    return second, third


def points(
    result: ProbeResult,
    title: str,
    measure: str,
    key: str,
    places: Sequence[str],
    y: Axis,
    unit: str = "",
    **given: Any,
) -> Chart:
    """One measure of all models over the values of a condition: points with their intervals.

    Args:
        result: complete or not.
        title: of the chart.
        measure: which rows.
        key: the condition.
        places: its values in order; those that no model has are left out.
        y: the axis upwards.
        unit: the sentence below.
        given: other conditions.
    """
    rows = [{row[key]: row for row in result.of(model, measure=measure, **given)} for model in result.models]
    shown = tuple(place for place in places if any(place in one for one in rows))

    def column(one: Mapping[str, Row], name: str) -> tuple[float, ...]:
        found = [one[place][name] if place in one else None for place in shown]
        return tuple(float("nan") if value is None else float(value) for value in found)

    lines = tuple(
        Line(
            model,
            shown,
            column(one, "value"),
            column(one, "low"),
            column(one, "high"),
            colour=colour_of(number),
            joined=False,
        )
        for number, (model, one) in enumerate(zip(result.models, rows))
        if one
    )
    return Chart(title, lines, Axis(key), y, unit=unit)


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Blur pictures (B, C, H, W): Gaussian weights cut at 4 sigma and normalised, the edge pixel repeated.

    Args:
        x: pictures.
        sigma: standard deviation, px; 0 leaves them as they are.
    """
    if sigma <= 0:
        return x
    reach = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(x)
    channels = x.shape[1]
    for shape, border in (((1, 1, -1, 1), (0, 0, reach, reach)), ((1, 1, 1, -1), (reach, reach, 0, 0))):
        weight = kernel.view(*shape).expand(channels, -1, -1, -1)
        x = F.conv2d(F.pad(x, border, mode="replicate"), weight, groups=channels)
    return x
