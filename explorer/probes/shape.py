"""Shape or texture? The shape bias on cue conflicts, and what is left of the answer when only edges are left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Section
from explorer.images import Bands, Picture
from explorer.images.folders import Folder
from explorer.models.heads import Head
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Probe, Row, Run, Step, mean, need_classes, need_one_class, rate, score
from explorer.probes.context import as_it_is, gaussian_blur, one_folder, others, points, probabilities
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import Shown, Stimuli, Stimulus, checked, in_words, knows_scenes, read, render_many
from explorer.registry import parameter
from explorer.scenes import BACKGROUNDS, CLASSES, TEXTURES, Scene
from explorer.statistics import SHARE
from explorer.transforms import random_orders, shuffle_patches

# ---- shape bias -----------------------------------------------------------------------------------------------------

#: ImageNet classes of the sixteen entry-level categories by index: names of MSCOCO, members by the WordNet hierarchy
#: (Geirhos et al. 2018, "Generalisation in humans and deep neural networks"; code/helper/human_categories.py of the
#: authors' texture-vs-shape). The map is part of the protocol's definition.
_MEMBERS = {
    "airplane": "404",
    "bear": "294-297",
    "bicycle": "444 671",
    "bird": "8 10-16 18-20 22-24 80-83 87-96 98-100 127-133 135-145",
    "boat": "472 554 625 814 914",
    "bottle": "440 720 737 898-899 901 907",
    "car": "436 511 817",
    "cat": "281-286",
    "chair": "423 559 765 857",
    "clock": "409 530 892",
    "dog": "152-191 193-203 205-226 228-241 243-250 252-257 259 261-263 265-268",
    "elephant": "385-386",
    "keyboard": "508 878",
    "knife": "499",
    "oven": "766",
    "truck": "555 569 656 675 717 734 864 867",
}


def _indices(ranges: str) -> tuple[int, ...]:
    out: list[int] = []
    for one in ranges.split():
        first, _, last = one.partition("-")
        out += range(int(first), int(last or first) + 1)
    return tuple(out)


#: Category -> the indices of its ImageNet classes.
CATEGORIES: Mapping[str, tuple[int, ...]] = {name: _indices(ranges) for name, ranges in _MEMBERS.items()}
#: <shape><number>-<texture><number>: how a cue conflict's file is named.
_CONFLICT = re.compile(rf"({'|'.join(CATEGORIES)})\d+-({'|'.join(CATEGORIES)})\d+$")
#: Scenes shown to models that know them, where nothing else is asked for: twelve of each class.
CONFLICTS = 144
_LAYOUT = (
    "give a folder of cue conflicts named like cat7-elephant2.png, shape first: "
    "stimuli/style-transfer-preprocessed-512 of github.com/rgeirhos/texture-vs-shape"
)


def category_answers(logits: Tensor) -> list[str]:
    """The category that each answer names: of the softmax over all 1000 classes, that of the largest mean.

    Args:
        logits: (n, 1000).
    """
    p = logits.double().softmax(1)
    means = torch.stack([p[:, list(members)].mean(1) for members in CATEGORIES.values()], 1)
    names = list(CATEGORIES)
    return [names[place] for place in means.argmax(1).tolist()]


def bias_rows(shapes: Sequence[str], textures: Sequence[str], answers: Sequence[str], protocol: str) -> list[Row]:
    """The rows of one model's answers to cue conflicts, all together and by the shape's category.

    Args:
        shapes: of each picture.
        textures: of each picture; pictures whose shape and texture agree do not count.
        answers: what the model says each is.
        protocol: whose pictures they are.

    There is no row for a bias where no answer names the shape or the texture.
    """
    conflicts = [one for one in zip(shapes, textures, answers) if one[0] != one[1]]
    rows: list[Row] = []
    for category in ("all", *dict.fromkeys(shape for shape, _, _ in conflicts)):
        some = [one for one in conflicts if category in ("all", one[0])]
        by_shape = sum(answer == shape for shape, _, answer in some)
        by_texture = sum(answer == texture for _, texture, answer in some)
        either = by_shape + by_texture
        where = {"category": category, "protocol": protocol}
        if either:
            rows.append(rate("shape bias", by_shape, either, **where))
        rows.append(rate("shape or texture answers", either, len(some), **where))
        if category == "all":
            rows.append(rate("shape answers", by_shape, len(some), **where))
            rows.append(rate("texture answers", by_texture, len(some), **where))
    return rows


@PROBES.register("shape-bias")
@dataclass(frozen=True)
class ShapeBias(Probe):
    """Where shape and texture contradict each other, which of the two does the answer follow?

    ImageNet models are shown a folder of Geirhos' cue conflicts (<shape>N-<texture>M.png, in it or in its folders;
    files that begin with mask_ do not count). The softmax over the 1000 classes is averaged within each of sixteen
    categories, and the largest mean is the answer; pictures whose shape and texture agree are dropped. The pictures are
    shown as they are, without resize or crop, with the model's own mean and standard deviation; only a model whose
    input is of another size sees them resized as a whole. Models that know the laboratory's scenes are shown those,
    their texture replaced by that of another class and their background by that of a third; the answer is the largest
    of the twelve logits.

    The bias counts only answers that name the shape or the texture; their share stands beside it. Intervals are
    Wilson's over those answers. Better is "higher" because people follow the shape (95.9 % on these pictures).
    """

    bias: ClassVar[Bias] = "shape"
    formula: ClassVar[str] = "shape bias = S / (S + T), S and T the answers that name the shape and the texture"
    source: ClassVar[str] = "Geirhos et al. 2019, ICLR, figure 4 and its section; scenes: the laboratory's own version"
    limits: ClassVar[str] = (
        "It says which cue wins where they conflict, not how well either is read: beside a small share of shape or "
        "texture answers it rests on few pictures."
    )
    headline: ClassVar[str] = "shape bias"

    mode: str = parameter(
        "paper", "paper: pictures as they are; model: its own resize and crop", choices=("paper", "model")
    )

    def stimuli(self, images: Any, models: Sequence[Model], seed: int, bands: Bands | None = None) -> Stimuli | None:
        """A folder's cue conflicts; where nothing is given, scenes if one of the models knows them."""
        if images is None and bands is None:
            return read(CONFLICTS, seed) if any(map(knows_scenes, models)) else None
        folder = one_folder(images)
        if folder is None:
            return None
        pictures, items, dropped = Folder(folder), [], 0
        for found, picture in checked(pictures, bands):
            name = found.path
            match = None if name.name.startswith("mask_") else _CONFLICT.match(name.stem)
            if match is None:
                continue
            if match[1] == match[2]:
                dropped += 1
            else:
                items.append(Stimulus(name.name, picture, f"{match[1]}/{match[2]}"))
        if not items:
            raise ParameterError(f"'{folder}' has no cue conflicts; {_LAYOUT}; found: {pictures.contents()}")
        words = f"{len(items)} cue conflicts" + (f", {dropped} with shape = texture dropped" if dropped else "")
        return Stimuli(tuple(items), words + in_words(bands), folder, pictures.notes)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        if shown.rendered:
            yield from self._scenes(model, shown, run)
            return
        cues = [one.label.split("/") for one in shown.stimuli.items]
        if not all(len(cue) == 2 and set(cue) <= set(CATEGORIES) for cue in cues):
            raise MethodError(f"{model.spec} needs cue conflicts; {_LAYOUT}")
        need_one_class(model, "the largest of sixteen categories of classes is the answer here")
        if model.num_classes != 1000:
            raise MethodError(
                f"the sixteen categories are made of ImageNet's 1000 classes; {model.spec} has "
                f"{model.num_classes or 'no'} classes"
            )

        def make(start: int, stop: int) -> Tensor:
            pictures = [one.source for one in shown.stimuli.items[start:stop] if isinstance(one.source, Picture)]
            if self.mode == "model":
                return torch.cat([model.preprocess(one.image) for one in pictures])
            return torch.cat([as_it_is(model, one) for one in pictures])

        answers: list[str] = []
        for _, stop, found in run.passes.each(len(cues), make, run.passes.answers):
            answers += category_answers(found[0])
            yield Step(stop / len(cues))
        yield Step(1.0, bias_rows([one[0] for one in cues], [one[1] for one in cues], answers, "Geirhos 2019"))

    def _scenes(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_one_class(model, "the largest of the scenes' classes is the answer here")
        if not knows_scenes(model):
            raise MethodError(f"{model.spec} does not know the scenes' classes; {_LAYOUT}")
        scenes, textures = conflicts(shown.scenes)

        def make(start: int, stop: int) -> Tensor:
            return render_many(scenes[start:stop], model.input_size[0])[0].to(model.device)

        p = yield from probabilities(run, len(scenes), make)
        answers = [CLASSES[place] for place in p.argmax(1).tolist()]
        yield Step(1.0, bias_rows([scene.label for scene in scenes], textures, answers, "scenes"))

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "shape bias", "higher", category="all"),
            *score(rows, "shape or texture answers", "none", category="all"),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        share = Axis("share of answers", low=0.0, high=1.0)
        out = []
        for protocol in dict.fromkeys(row["protocol"] for row in result.rows):
            rows = [row for row in result.rows if row["protocol"] == protocol]
            categories = sorted({row["category"] for row in rows} - {"all"})
            people = " People: 0.959 on all 1200 pictures." if protocol == "Geirhos 2019" else ""
            bars = [
                points(
                    result,
                    name,
                    name,
                    "category",
                    ("all", *categories),
                    replace(share, title=title),
                    unit,
                    protocol=protocol,
                )
                for name, title, unit in (
                    (
                        "shape bias",
                        "S / (S + T)",
                        f"1: all shape, 0: all texture.{people} By category of the shape; bars are Wilson's 95 % "
                        "intervals over the answers that name shape or texture.",
                    ),
                    (
                        "shape or texture answers",
                        "(S + T) / n",
                        "The share of pictures whose answer names the shape or the texture: only these count above.",
                    ),
                )
            ]
            pictures = "Geirhos' cue conflicts" if protocol == "Geirhos 2019" else "scenes with another class's texture"
            out.append(Section(f"Shape against texture: {pictures}", tuple((one,) for one in bars)))
        return tuple(out)


def conflicts(scenes: Sequence[Scene]) -> tuple[list[Scene], list[str]]:
    """Scenes with the texture of another class and the background of a third, and the class of each texture."""
    second, third = others([CLASSES.index(scene.label) for scene in scenes])
    changed = [
        replace(scene, texture=TEXTURES[texture], background=BACKGROUNDS[background])
        for scene, texture, background in zip(scenes, second, third)
    ]
    return changed, [CLASSES[one] for one in second]


# ---- edges ----------------------------------------------------------------------------------------------------------

#: ITU-R BT.601: the weights of red, green and blue in the brightness.
_LUMA = (0.299, 0.587, 0.114)
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def greyscale(x: Tensor) -> Tensor:
    """0.299 R + 0.587 G + 0.114 B in all three channels: (B, 3, H, W) to (B, 3, H, W)."""
    return (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True).expand(-1, 3, -1, -1)


def sobel(x: Tensor) -> Tensor:
    """The length of the Sobel gradient of the brightness over its maximum in the picture: bright edges on black.

    sqrt(Gx^2 + Gy^2) with Gx correlated with [-1 0 1; -2 0 2; -1 0 1] and Gy with its transpose, the edge pixel
    repeated; black where the picture has no edge. (B, 3, H, W) in 0..1 to the same.
    """
    across = _filtered(x, _SOBEL)
    down = _filtered(x, tuple(zip(*_SOBEL)))
    length = torch.hypot(across, down)
    return _over(length, length.amax((2, 3), keepdim=True)).expand(-1, 3, -1, -1)


def laplacian(x: Tensor) -> Tensor:
    """The Laplacian of the brightness on mid-grey: 0.5 + 0.5 L / max |L|, the maximum over the picture.

    L is correlated with [0 1 0; 1 -4 1; 0 1 0], the edge pixel repeated; mid-grey where the picture has no edge.
    (B, 3, H, W) in 0..1 to the same.
    """
    found = _filtered(x, _LAPLACIAN)
    return (0.5 + 0.5 * _over(found, found.abs().amax((2, 3), keepdim=True))).expand(-1, 3, -1, -1)


def silhouette(masks: Tensor) -> Tensor:
    """The object black on white: (B, H, W) bool to (B, 3, H, W)."""
    return (~masks)[:, None].float().expand(-1, 3, -1, -1)


def _filtered(x: Tensor, kernel: Sequence[Sequence[float]]) -> Tensor:
    """The brightness correlated with a 3 x 3 kernel, the edge pixel repeated: (B, 3, H, W) to (B, 1, H, W)."""
    return F.conv2d(F.pad(greyscale(x)[:, :1], (1, 1, 1, 1), mode="replicate"), x.new_tensor(kernel)[None, None])


def _over(values: Tensor, largest: Tensor) -> Tensor:
    """Values over the largest of their picture; what is below rounding counts as no edge."""
    return torch.where(largest > 1e-5, values / largest.clamp(min=1e-5), 0.0)


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

    sigma: float = parameter(2.0, "blur", 0.1, 20.0, "% of the input's shorter side")
    grid: int = parameter(4, "patches a side that change places", 2, 32)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_classes(model)
        count, (height, width) = len(shown), model.input_size
        known = [place for place, mask in enumerate(shown.masks) if mask is not None and bool(mask.any())]
        views = ["Sobel", "Laplacian", "silhouette", "blur", "patches", "greyscale"]
        if not known:
            views.remove("silhouette")
        if height % self.grid or width % self.grid:
            views.remove("patches")
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

    def view(self, name: str, shown: Shown, which: Sequence[int], seed: int) -> Tensor:
        """Some stimuli in one view: (len(which), 3, H, W) in 0..1 on the model's device."""
        if name == "silhouette":
            return silhouette(torch.stack([mask for place in which if (mask := shown.masks[place]) is not None]))
        x = shown.images[list(which)]
        if name == "blur":
            return gaussian_blur(x, self.sigma / 100 * min(x.shape[2:]))
        if name == "patches":
            return shuffle_patches(
                x, random_orders(len(shown), self.grid**2, seed)[list(which)], (self.grid, self.grid)
            )
        return {"Sobel": sobel, "Laplacian": laplacian, "greyscale": greyscale}[name](x)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "agreement", "higher", "agreement on Sobel", view="Sobel"),
            *score(rows, "agreement", "higher", "agreement on silhouettes", view="silhouette"),
            *score(rows, "agreement", "lower", "agreement on patches", view="patches"),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        views = ("clean", "Sobel", "Laplacian", "silhouette", "blur", "patches", "greyscale")
        share = Axis("agreement, share of images", low=0.0, high=1.0)
        below = (
            f"Blur: sigma {result.parameters['sigma']:g} % of the input's shorter side. Patches: "
            f"{result.parameters['grid']} x {result.parameters['grid']}. Bars are 95 % intervals over images."
        )
        charts = [
            points(result, "First choice as on the untouched input", "agreement", "view", views[1:], share, below),
            points(
                result,
                "p of the untouched input's first choice",
                "p(original class)",
                "view",
                views,
                replace(share, title="p(original class)"),
                "What p falls to in each view; clean is the untouched input.",
            ),
            points(
                result,
                "Right answers",
                "accuracy",
                "view",
                views,
                replace(share, title="accuracy, share of images"),
                "Of the stimuli whose class is known and is one of the model's.",
            ),
        ]
        return (Section("What edges keep of the answer", tuple((one,) for one in charts if one.lines)),)


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
    rows = [mean("p(original class)", p, head.p_unit, SHARE, view=view)]
    if view != "clean":
        rows.insert(0, rate("agreement", int(head.same(found, kept).sum()), len(which), view=view))
    right = [int(answer) == truth[place] for place, answer in zip(which, said) if truth[place] is not None]
    if right:
        rows.append(rate("accuracy", sum(right), len(right), view=view))
    return rows
