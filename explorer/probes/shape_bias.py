"""Does the answer follow shape or texture, where the two conflict?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Section
from explorer.images import Bands, Picture
from explorer.images.conflicts import conflicts as shipped
from explorer.images.folders import Folder, FoundPicture
from explorer.images.on_disk import checked
from explorer.messages import Message, sentences
from explorer.models.model import Model
from explorer.probes.answers import as_it_is, one_folder, points, probabilities
from explorer.probes.base import PROBES, Bias, Example, Extremes, Probe, Run, Step, need_imagenet, need_one_class
from explorer.probes.categories import CATEGORIES
from explorer.probes.cues import BEHIND, conflicts, uninformative
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, rate, score
from explorer.probes.stimuli import Shown, Stimuli, Stimulus, knows_scenes, read, render_many, with_bands
from explorer.registry import parameter
from explorer.scenes import CLASSES, Scene

#: <shape><number>-<texture><number>: how a cue conflict's file is named.
_CONFLICT = re.compile(rf"({'|'.join(CATEGORIES)})\d+-({'|'.join(CATEGORIES)})\d+$")
#: Scenes shown to models that know them, where nothing else is asked for: twelve of each class.
CONFLICTS = 144
_LAYOUT = Message(
    "give a folder of cue conflicts named like cat7-elephant2.png, shape first: "
    "stimuli/style-transfer-preprocessed-512 of github.com/rgeirhos/texture-vs-shape"
)
#: What the pictures that ship can tell and what they cannot.
_SMALL = Message(
    "These cue conflicts ship with the explorer and are few. How many answers follow the shape depends on how such "
    "pictures are made: compare models on them, and compare no number with one measured on other pictures."
)
#: Whose pictures cue conflicts are, and how a figure names them.
_GEIRHOS, _SHIPPED = "Geirhos 2019", "shipped"
_WHOSE = {
    _GEIRHOS: Message("Geirhos' cue conflicts"),
    _SHIPPED: Message("the cue conflicts that ship"),
    "scenes": Message("scenes with another class's texture"),
}


def _cues(found: FoundPicture) -> tuple[str, str] | None:
    """The categories of shape and texture in a file's name; None for another file."""
    name = Path(found.file_name)
    match = None if name.name.startswith("mask_") else _CONFLICT.match(name.stem)
    return None if match is None else (match[1], match[2])


def category_answers(logits: Tensor) -> list[str]:
    """The category that each answer names: of the softmax over all 1000 classes, that of the largest mean.

    Args:
        logits: (n, 1000).
    """
    p = logits.double().softmax(1)
    means = torch.stack([p[:, list(members)].mean(1) for members in CATEGORIES.values()], 1)
    names = list(CATEGORIES)
    return [names[place] for place in means.argmax(1).tolist()]


def bias_rows(
    shapes: Sequence[str], textures: Sequence[str], answers: Sequence[str], protocol: str, **conditions: Any
) -> list[Row]:
    """The rows of one model's answers to cue conflicts, all together and by the shape's category.

    Args:
        shapes: of each picture.
        textures: of each picture; pictures whose shape and texture agree do not count.
        answers: what the model says each is.
        protocol: whose pictures they are.
        conditions: further ones, of every row.

    There is no row for a bias where no answer names the shape or the texture.
    """
    conflicts = [one for one in zip(shapes, textures, answers) if one[0] != one[1]]
    rows: list[Row] = []
    for category in ("all", *dict.fromkeys(shape for shape, _, _ in conflicts)):
        some = [one for one in conflicts if category in ("all", one[0])]
        by_shape = sum(answer == shape for shape, _, answer in some)
        by_texture = sum(answer == texture for _, texture, answer in some)
        either = by_shape + by_texture
        where = {"category": category, "protocol": protocol, **conditions}
        if either:
            rows.append(rate("shape bias", by_shape, either, **where))
        rows.append(rate(Message("shape or texture answers"), either, len(some), **where))
        if category == "all":
            rows.append(rate(Message("shape answers"), by_shape, len(some), **where))
            rows.append(rate(Message("texture answers"), by_texture, len(some), **where))
    return rows


#: What is said of an example, and how many there are.
_CUES, _FEW = Message("shape {shape}, texture {texture}"), 6


def _spread(items: Sequence[Stimulus]) -> Sequence[Stimulus]:
    """A few from begin to end: files stand by their shapes, and the first ones would all be of one."""
    return [items[place * len(items) // _FEW] for place in range(_FEW)] if len(items) > _FEW else items


@PROBES.register("shape-bias")
@dataclass(frozen=True)
class ShapeBias(Probe):
    """Where shape and texture contradict each other, which of the two does the answer follow?

    ImageNet models are shown a folder of Geirhos' cue conflicts (<shape>N-<texture>M.png, in it or in its folders;
    files that begin with mask_ do not count), and where none is given the few that ship (`explorer.images.conflicts`).
    The softmax over the 1000 classes is averaged within each of sixteen
    categories, and the largest mean is the answer; pictures whose shape and texture agree are dropped. The pictures are
    shown as they are, without resize or crop, with the model's own mean and standard deviation; only a model whose
    input is of another size sees them resized as a whole. Models that know the laboratory's scenes are shown those,
    their texture replaced by that of another class and their background by that of a third, or of the class that
    ``behind`` says; the answer is the largest of the twelve logits. Beside these stands how often the answer is right
    where texture and background tell nothing.

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
    by_itself: ClassVar[str] = Message("scenes, or the cue conflicts that ship")
    #: What scenes of uninformative cues are made of depends on all of them.
    parts: ClassVar = "pictures"

    mode: str = parameter(
        "paper", "paper: pictures as they are; model: its own resize and crop", choices=("paper", "model")
    )
    behind: str = parameter("neither", "of scenes: whose class the background goes with", choices=BEHIND)

    def stimuli(
        self,
        images: Any,
        models: Sequence[Model],  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002
        bands: Bands | None = None,
    ) -> Stimuli | None:
        """A folder's cue conflicts."""
        folder = one_folder(images)
        if folder is None:
            return None
        pictures, items, dropped = Folder(folder), [], 0
        for found, picture in checked(pictures, bands):
            cues = _cues(found)
            if cues is not None and cues[0] == cues[1]:
                dropped += 1
            elif (label := self.label(found)) is not None:
                items.append(Stimulus(found.path.name, picture, label))
        if not items:
            raise ParameterError(
                Message(
                    "'{folder}' has no cue conflicts; {expected}; found: {contents}",
                    folder=folder,
                    expected=_LAYOUT,
                    contents=pictures.contents(),
                )
            )
        words = Message("{items} cue conflicts", items=len(items))
        if dropped:
            words = Message("{shown}, {dropped} with shape = texture dropped", shown=words, dropped=dropped)
        return Stimuli(tuple(items), with_bands(words, bands), folder, pictures.notes)

    def default(self, model: Model, seed: int) -> Stimuli:
        """Scenes to a model that knows them, and to others the cue conflicts that ship."""
        if knows_scenes(model):
            return read(CONFLICTS, seed)
        found = self.stimuli(shipped(), [model], seed)
        assert found is not None  # it is a folder
        words = Message("the {items} cue conflicts that ship", items=len(found.items))
        return replace(found, origin=words, notes=(*found.notes, _SMALL))

    def label(self, found: FoundPicture) -> str | None:
        """Shape and texture of a cue conflict, as in cat/elephant."""
        cues = _cues(found)
        return None if cues is None or cues[0] == cues[1] else "/".join(cues)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        if shown.rendered:
            yield from self._scenes(model, shown, run)
            return
        cues = [one.label.split("/") for one in shown.stimuli.items]
        if not all(len(cue) == 2 and set(cue) <= set(CATEGORIES) for cue in cues):
            raise MethodError(Message("{spec} needs cue conflicts; {expected}", spec=model.spec, expected=_LAYOUT))
        need_one_class(model, Message("the largest of sixteen categories of classes is the answer here"))
        need_imagenet(model, Message("the sixteen categories are made of ImageNet's 1000 classes"))

        def make(start: int, stop: int) -> Tensor:
            pictures = [one.source for one in shown.stimuli.items[start:stop] if isinstance(one.source, Picture)]
            return torch.cat([self._as_shown(model, one) for one in pictures])

        answers: list[str] = []
        for _, stop, found in run.passes.each(len(cues), make, run.passes.answers):
            answers += category_answers(found[0])
            yield Step(stop / len(cues))
        protocol = _SHIPPED if shown.stimuli.folder == shipped() else _GEIRHOS
        yield Step(1.0, bias_rows([one[0] for one in cues], [one[1] for one in cues], answers, protocol))

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:  # noqa: ARG002 - the contract
        if not shown.rendered:
            return [
                Example(Message(_CUES, shape=shape, texture=texture), self._as_shown(model, one.source)[0])
                for one in _spread(shown.stimuli.items)
                if isinstance(one.source, Picture)
                for shape, _, texture in [one.label.partition("/")]
            ]
        scenes, textures = conflicts(shown.scenes[:_FEW], self.behind)
        images = render_many(scenes, model.input_size[0])[0]
        names = [(Message(one.label), Message(texture)) for one, texture in zip(scenes, textures)]
        return [Example(Message(_CUES, shape=one, texture=other), image) for (one, other), image in zip(names, images)]

    def _as_shown(self, model: Model, picture: Picture) -> Tensor:
        """A cue conflict at a model's input: (1, 3, H, W) in 0..1."""
        return model.preprocess(picture.image) if self.mode == "model" else as_it_is(model, picture)

    def _scenes(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_one_class(model, Message("the largest of the scenes' classes is the answer here"))
        if not knows_scenes(model):
            raise MethodError(
                Message("{spec} does not know the scenes' classes; {expected}", spec=model.spec, expected=_LAYOUT)
            )
        scenes, textures = conflicts(shown.scenes, self.behind)
        labels = [scene.label for scene in scenes]
        answers: list[list[str]] = []
        for begin, some in ((0.0, scenes), (0.5, uninformative(shown.scenes, run.seed))):

            def make(start: int, stop: int, some: Sequence[Scene] = some) -> Tensor:
                return render_many(some[start:stop], model.input_size[0])[0].to(model.device)

            p = yield from probabilities(run, len(some), make, begin, begin + 0.5)
            answers.append([CLASSES[place] for place in p.argmax(1).tolist()])
        right = [answer == label for answer, label in zip(answers[1], labels)]
        rows = bias_rows(labels, textures, answers[0], "scenes", background=self.behind)
        where = {"category": "all", "protocol": "scenes", "background": Message("uninformative cues")}
        yield Step(1.0, [*rows, rate("accuracy", sum(right), len(right), **where)])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "shape bias", "higher", category="all"),
            *score(rows, Message("shape or texture answers"), "none", category="all"),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Where shape and texture disagree, {most} follows the shape in {high} of cases, {least} in {low}."),
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        share = Axis(Message("share of answers"), low=0.0, high=1.0)
        out = []
        for protocol in dict.fromkeys(row["protocol"] for row in result.rows):
            rows = [row for row in result.rows if row["protocol"] == protocol]
            categories = sorted({row["category"] for row in rows} - {"all"})
            people = Message("People: 0.959 on all 1200 pictures.") if protocol == _GEIRHOS else ""
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
                        sentences(
                            Message("1: all shape, 0: all texture."),
                            people,
                            Message(
                                "By category of the shape; bars are Wilson's 95 % intervals over the answers that name "
                                "shape or texture."
                            ),
                        ),
                    ),
                    (
                        Message("shape or texture answers"),
                        "(S + T) / n",
                        Message(
                            "The share of pictures whose answer names the shape or the texture: only these count above."
                        ),
                    ),
                )
            ]
            pictures = _WHOSE.get(protocol, _WHOSE["scenes"])
            out.append(
                Section(Message("Shape against texture: {pictures}", pictures=pictures), tuple((one,) for one in bars))
            )
        return tuple(out)
