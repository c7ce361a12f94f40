"""What models are shown: pictures, folders of them, or scenes; and how each is moved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.cache import Bounded
from explorer.errors import MethodError, ParameterError
from explorer.images import SUFFIXES, Picture, read_image, samples
from explorer.lab import motion
from explorer.lab.scenes import BACKGROUNDS, CLASSES, TEXTURES, Scene, Scenes, draw, render
from explorer.labels import class_numbers
from explorer.models import Model
from explorer.transforms import Transform, apply_many

#: The stream of scenes that probes draw from; training, judging and the laboratory's table have others.
STREAM = 20
#: Scenes shown where nothing else is asked for: as many of each of the twelve classes.
SCENES = 24
#: A file of this ending beside ``dog.jpg``, ``dog_mask.png``, is its object: white, or not black, on black.
MASK = "_mask"


@dataclass(frozen=True, eq=False)
class Stimulus:
    """One picture or scene.

    Attributes:
        name: of its file, or what it shows.
        source: the picture, or the scene.
        label: name of the folder it lay in (a class's index, name or ImageNet synset), the scene's class, or "".
        mask: (H, W) bool of the picture, True on the object, at the picture's own size; None where none is known. A
            scene has an exact one of its own.
    """

    name: str
    source: Picture | Scene
    label: str = ""
    mask: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Stimuli:
    """What one run of a probe shows: stimuli and, where they came from a folder, which.

    Attributes:
        items: pictures or scenes.
        origin: in words, for the result: "scenes, rendered anew" or "3 images".
        folder: where they lie, or None.
    """

    items: tuple[Stimulus, ...]
    origin: str
    folder: Path | None = None


def read(images: Any, seed: int = 0) -> Stimuli:
    """Read what is to be shown.

    Args:
        images: one or several of: a picture in any form that `read_image` takes, a Scene, a folder. Of a folder every
            picture is taken, also those in its folders, whose names are then their labels; `MASK` files are masks.
            An int n: n scenes, classes in turn.
        seed: of the scenes drawn.

    Raises ParameterError, ImageError.
    """
    if isinstance(images, int) and not isinstance(images, bool):
        return Stimuli(tuple(_scene(one) for one in scenes(images, seed)), f"{images} scenes, rendered anew")
    several = images if isinstance(images, (list, tuple)) else [images]
    items: list[Stimulus] = []
    folder = None
    for one in several:
        if isinstance(one, Stimulus):
            items.append(one)
        elif isinstance(one, Scene):
            items.append(_scene(one))
        elif isinstance(one, (str, os.PathLike)) and Path(one).is_dir():
            folder = Path(one)
            items += _folder(folder)
        else:
            picture = read_image(one)
            mask = _mask_beside(Path(one)) if isinstance(one, (str, os.PathLike)) else None
            items.append(Stimulus(picture.name, picture, mask=mask))
    if not items:
        raise ParameterError("no picture is given; give pictures, scenes or a folder of pictures")
    kinds = {isinstance(one.source, Scene) for one in items}
    if len(kinds) > 1:
        raise ParameterError("pictures and scenes are measured apart: give one kind")
    count = len(items)
    what = "scene" if kinds == {True} else "image"
    words = f"{count} {what}{'' if count == 1 else 's'}" + (", rendered anew" if what == "scene" else "")
    return Stimuli(tuple(items), words, folder if len(several) == 1 else None)


def default(model: Model, seed: int = 0) -> Stimuli:
    """What a model is shown where nothing is asked for: scenes if it knows their classes, else the sample images."""
    return read(SCENES if knows_scenes(model) else [str(path) for path in samples().values()], seed)


def knows_scenes(model: Model) -> bool:
    """Whether the model answers with the laboratory's classes."""
    return model.labels == CLASSES


def scenes(count: int, seed: int = 0) -> list[Scene]:
    """Scenes as the laboratory's models were trained on, of classes in turn, never shown to them: ``count`` of them."""
    drawn = draw(STREAM + seed, torch.arange(40 * max(12, count)))
    turn: list[list[int]] = [(drawn.label == label).nonzero()[:, 0].tolist() for label in range(len(CLASSES))]
    chosen = [turn[place % len(CLASSES)][place // len(CLASSES)] for place in range(count)]
    out = []
    for index in chosen:
        properties = {
            name: float(getattr(drawn, name)[index]) for name in ("dx", "dy", "scale", "angle", "tilt", "gap")
        }
        out.append(
            Scene(
                label=CLASSES[int(drawn.label[index])],
                texture=TEXTURES[int(drawn.texture[index])],
                background=BACKGROUNDS[int(drawn.background[index])],
                noise=float(drawn.noise[index]),
                seed=index,
                **properties,
            )
        )
    return out


def render_many(some: Sequence[Scene], size: int) -> tuple[Tensor, Tensor]:
    """Images (n, 3, size, size) in 0..1 and masks (n, size, size) bool of scenes, on the CPU.

    They are kept for the models to come, which are shown the same ones: rendering takes longer than a small network.
    """

    def make() -> tuple[Tensor, Tensor]:
        # A tensor made under inference_mode could take part in no graph later.
        with torch.inference_mode(False):
            rendered = render(Scenes.of(some), size)
            return rendered.images, rendered.masks

    return _RENDERED.get((tuple(some), size), make)


_RENDERED: Bounded[Any, tuple[Tensor, Tensor]] = Bounded(
    256 * 2**20, lambda pair: sum(one.numel() * one.element_size() for one in pair)
)


class Shown:
    """Stimuli as one model sees them; each is brought to the model's input once.

    Attributes:
        model: the model.
        stimuli: what is shown.
    """

    def __init__(self, model: Model, stimuli: Stimuli) -> None:
        self.model, self.stimuli = model, stimuli
        if self.rendered and model.input_size[0] != model.input_size[1]:
            height, width = model.input_size
            raise MethodError(f"scenes are square; {model.spec} looks at {width} x {height} px")

    def __len__(self) -> int:
        return len(self.stimuli.items)

    @property
    def rendered(self) -> bool:
        """Whether these are scenes, which are rendered anew when their object moves, instead of pictures."""
        return any(isinstance(one.source, Scene) for one in self.stimuli.items)

    @property
    def scenes(self) -> list[Scene]:
        """The scenes; empty for pictures."""
        return [one.source for one in self.stimuli.items if isinstance(one.source, Scene)]

    @cached_property
    def images(self) -> Tensor:
        """(n, 3, H, W) float32 in 0..1 on the model's device: the stimuli, not moved."""
        if self.rendered:
            return render_many(self.scenes, self.model.input_size[0])[0].to(self.model.device)
        with torch.inference_mode(False):
            return torch.cat([self.model.preprocess(one.source.image) for one in self.stimuli.items])  # type: ignore[union-attr]

    @cached_property
    def masks(self) -> list[Tensor | None]:
        """The object of each stimulus, (H, W) bool on the model's device in its input frame; None where not known."""
        if self.rendered:
            return list(render_many(self.scenes, self.model.input_size[0])[1].to(self.model.device))
        out: list[Tensor | None] = []
        for one in self.stimuli.items:
            if one.mask is None:
                out.append(None)
                continue
            picture = Image.fromarray(one.mask.astype(np.uint8) * 255).convert("RGB")
            out.append(self.model.preprocess(picture)[0, 0] > 0.5)
        return out

    @cached_property
    def truth(self) -> list[int | None]:
        """The class of the model that each stimulus shows; None where it is not known.

        Of independent labels one name does not tell whether the others hold too, so there it is never known.
        """
        if self.model.head.kind == "sigmoid":
            return [None] * len(self)
        known = class_numbers(self.model.labels, self.model.num_classes)
        return [known.get(one.label.lower().replace("_", " "), known.get(one.label)) for one in self.stimuli.items]

    def moved(self, index: int, moves: Sequence[Transform]) -> Tensor:
        """One stimulus moved in many ways: (N, 3, H, W) in 0..1 on the model's device.

        A scene's object is rendered anew at each place before its still background, and the moves' border is not
        used; a picture is moved as a whole, and the border fills in. Raises ParameterError for a move that a scene
        cannot make (see `in_range`).
        """
        source = self.stimuli.items[index].source
        if not isinstance(source, Scene):
            return apply_many(moves, self.images[index])
        some = [motion.moved(source, replace(move, border="zero"), self.model.input_size) for move in moves]
        return render_many(some, self.model.input_size[0])[0].to(self.model.device)

    def in_range(self, move: Transform) -> bool:
        """Whether every stimulus can make this move; only of scenes can it be that one cannot."""
        try:
            for scene in self.scenes:
                motion.moved(scene, replace(move, border="zero"), self.model.input_size)
        except ParameterError:
            return False
        return True

    def border(self, name: str) -> str:
        """What fills in beside what is moved, in words."""
        return "rendered anew" if self.rendered else name


def _scene(scene: Scene) -> Stimulus:
    return Stimulus(f"{scene.label}, {scene.texture}, on {scene.background}", scene, scene.label)


def _folder(folder: Path) -> Iterable[Stimulus]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    pictures = [path for path in files if not path.stem.endswith(MASK)]
    if not pictures:
        raise ParameterError(f"'{folder}' has no pictures; {', '.join(SUFFIXES)} files are looked for")
    for path in pictures:
        label = path.parent.name if path.parent != folder else ""
        yield Stimulus(path.name, read_image(path), label, _mask_beside(path))


def _mask_beside(path: Path) -> np.ndarray[Any, Any] | None:
    file = path.with_name(f"{path.stem}{MASK}.png")
    if not file.is_file():
        return None
    return np.asarray(read_image(file).image.convert("L")) > 127
