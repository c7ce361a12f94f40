"""What models are shown: pictures, folders of them, or scenes; and how each is moved."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.cache import Bounded
from explorer.errors import ImageError, MethodError, ParameterError
from explorer.images import Bands, Picture, photographs, read_image
from explorer.images.folders import MASK, Folder
from explorer.images.on_disk import checked
from explorer.images.storage import StoredFile
from explorer.messages import Message, counted, sentences
from explorer.models.labels import class_numbers
from explorer.models.model import Model
from explorer.registry import parameters
from explorer.scenes import BACKGROUNDS, CENTRED, CLASSES, TEXTURES, Distribution, Scene, Scenes, draw, motion, render
from explorer.transforms import Transform, apply_many

#: The stream of scenes that probes draw from; training and judging have others.
STREAM = 20
#: Scenes shown where nothing else is asked for: as many of each of the twelve classes.
SCENES = 24
#: Bytes that pictures at a model's input may take to be kept all at once; beyond them they are read when looked at.
HELD_BYTES = 2**30


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
        notes: what has to be said of them: what could not be read.
        numbers: of a part of a larger set, the place of each item in it, which random choices go by.
    """

    items: tuple[Stimulus, ...]
    origin: str
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


def read(images: Any, seed: int = 0, bands: Bands | None = None) -> Stimuli:
    """Read what is to be shown.

    Args:
        images: one or several of: a picture in any form that `read_image` takes, a Scene, a folder (see `Folder` for
            labels, masks and what is left out); or Stimuli, which stay as they are.
            An int n: n scenes, classes in turn.
        seed: of the scenes drawn.
        bands: which bands of pictures are shown, see `read_image`.

    Raises ParameterError, ImageError.
    """
    if isinstance(images, Stimuli):
        return images
    if bands is not None and (isinstance(images, (int, Scene)) or images is None):
        raise ParameterError(
            Message("bands are chosen of pictures, and none is given; scenes have red, green and blue alone")
        )
    if isinstance(images, int) and not isinstance(images, bool):
        shown = tuple(of_scene(one) for one in scenes(images, seed))
        return Stimuli(shown, Message("{images} scenes, rendered anew", images=images))
    several = images if isinstance(images, (list, tuple)) else [images]
    items: list[Stimulus] = []
    folder, notes = None, list[str]()
    for one in several:
        if isinstance(one, Stimulus):
            items.append(one)
        elif isinstance(one, Scene):
            items.append(of_scene(one))
        elif isinstance(one, (str, os.PathLike)) and Path(one).is_dir():
            folder = Path(one)
            items += _folder(read_from := Folder(folder), notes, bands)
            notes += read_from.notes
        else:
            picture = read_image(one, bands)
            mask = _mask_beside(Path(one)) if isinstance(one, (str, os.PathLike)) else None
            items.append(Stimulus(picture.name, picture, mask=mask))
    if not items:
        raise ParameterError(Message("no picture is given; give pictures, scenes or a folder of pictures"))
    kinds = {isinstance(one.source, Scene) for one in items}
    if len(kinds) > 1:
        raise ParameterError(Message("pictures and scenes are measured apart: give one kind"))
    count = len(items)
    words = rendered_anew(count) if kinds == {True} else counted("{n} image", "{n} images", count)
    return Stimuli(tuple(items), with_bands(words, bands), folder if len(several) == 1 else None, tuple(notes))


def rendered_anew(count: int) -> str:
    """How many scenes were shown, in words."""
    return counted("{n} scene, rendered anew", "{n} scenes, rendered anew", count)


def with_bands(shown: str, bands: Bands | None) -> str:
    """What was shown in words, and of which bands it was made where they were chosen."""
    if bands is None:
        return shown
    return Message("{shown}, bands {bands}", shown=shown, bands=",".join(map(str, bands)))


def default(model: Model, seed: int = 0) -> Stimuli:
    """What a model is shown where nothing is asked for: scenes if it knows their classes, else the sample images."""
    return read(SCENES if knows_scenes(model) else [str(path) for path in photographs().values()], seed)


def knows_scenes(model: Model) -> bool:
    """Whether the model answers with the laboratory's classes."""
    return model.labels == CLASSES


def scenes(
    count: int,
    seed: int = 0,
    distribution: Distribution = CENTRED,
    keep: Callable[[Sequence[Scene]], Sequence[bool]] | None = None,
) -> list[Scene]:
    """Scenes of classes in turn that no model of the laboratory was trained on: ``count`` of them.

    Args:
        count: how many.
        seed: of the stream that they are drawn from.
        distribution: what they are like; as what most models were trained on if left out.
        keep: which of several scenes may be shown; all if None.

    Raises ParameterError where too few may be.
    """
    drawn = draw(STREAM + seed, torch.arange(40 * max(len(CLASSES), count)), distribution)
    turn: list[list[Scene]] = []
    for label, name in enumerate(CLASSES):
        needed = len(range(label, count, len(CLASSES)))
        waiting = (drawn.label == label).nonzero()[:, 0]
        found: list[Scene] = []
        for some in waiting.split(2 * max(1, needed)):
            if len(found) >= needed:
                break
            made = [_drawn(drawn, index) for index in some.tolist()]
            found += made if keep is None else [one for one, kept in zip(made, keep(made)) if kept]
        if len(found) < needed:
            raise ParameterError(
                Message(
                    "of {waiting} scenes of class '{name}' {found} may be shown and {needed} are needed; ask for fewer",
                    waiting=len(waiting),
                    name=name,
                    found=len(found),
                    needed=needed,
                )
            )
        turn.append(found)
    return [turn[place % len(CLASSES)][place // len(CLASSES)] for place in range(count)]


def _drawn(some: Scenes, index: int) -> Scene:
    """One of many drawn scenes; colours, details and noise are those of its number."""
    properties = {
        name: float(getattr(some, name)[index]) for name, one in parameters(Scene).items() if one.kind is float
    }
    return Scene(
        label=CLASSES[int(some.label[index])],
        texture=TEXTURES[int(some.texture[index])],
        background=BACKGROUNDS[int(some.background[index])],
        seed=index,
        **properties,
    )


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


class Pictures:
    """Pictures as a model sees them, made when they are looked at: more than memory should hold.

    Indexed as a tensor (n, 3, H, W) is along its first axis: by a number, a slice, a list or a tensor of numbers.
    """

    def __init__(self, model: Model, sources: Sequence[Picture]) -> None:
        self._model, self._sources = model, sources
        self.device = model.device
        self.shape = torch.Size((len(sources), 3, *model.input_size))

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, which: int | slice | Sequence[int] | Tensor) -> Tensor:
        if isinstance(which, int):
            return self[[which]][0]
        numbers = range(len(self))[which] if isinstance(which, slice) else [int(one) for one in which]
        with torch.inference_mode(False):  # a tensor made under it could take part in no graph later
            made = {one: self._model.preprocess(self._sources[one].image) for one in dict.fromkeys(numbers)}
            if not made:
                return torch.empty((0, *self.shape[1:]), device=self.device)
            return torch.cat([made[one] for one in numbers])


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
            raise MethodError(
                Message(
                    "scenes are square; {spec} looks at {width} x {height} px",
                    spec=model.spec,
                    width=width,
                    height=height,
                )
            )

    def __len__(self) -> int:
        return len(self.stimuli.items)

    @property
    def numbers(self) -> Sequence[int]:
        """The place of each in the whole set that is shown, of which these may be a part."""
        return self.stimuli.numbers or range(len(self))

    @property
    def rendered(self) -> bool:
        """Whether these are scenes, which are rendered anew when their object moves, instead of pictures."""
        return any(isinstance(one.source, Scene) for one in self.stimuli.items)

    @property
    def scenes(self) -> list[Scene]:
        """The scenes; empty for pictures."""
        return [one.source for one in self.stimuli.items if isinstance(one.source, Scene)]

    @cached_property
    def images(self) -> Tensor | Pictures:
        """(n, 3, H, W) float32 in 0..1 on the model's device: the stimuli, not moved; read anew where they are many."""
        if self.rendered:
            return render_many(self.scenes, self.model.input_size[0])[0].to(self.model.device)
        pictures = Pictures(self.model, [one.source for one in self.stimuli.items if isinstance(one.source, Picture)])
        height, width = self.model.input_size
        return pictures if len(pictures) * height * width * 12 > HELD_BYTES else pictures[:]

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
        return Message("rendered anew") if self.rendered else name


def of_scene(scene: Scene) -> Stimulus:
    """A scene as a stimulus, by its class."""
    return Stimulus(
        Message(
            "{label}, {texture}, on {background}",
            label=Message(scene.label),
            texture=Message(scene.texture),
            background=Message(scene.background),
        ),
        scene,
        scene.label,
    )


def _folder(folder: Folder, notes: list[str], bands: Bands | None) -> list[Stimulus]:
    items = []
    for found, picture in checked(folder, bands):
        mask = None
        if found.mask is not None:
            try:
                mask = mask_of(found.mask)
            except ImageError as error:
                notes.append(Message("the mask of {name} was left out: {error}", name=found.path.name, error=error))
        items.append(Stimulus(found.path.name, picture, found.label, mask))
    if not items:
        raise ParameterError(
            Message(
                "'{root}' has no picture that can be read: {notes}", root=folder.root, notes=sentences(*folder.notes)
            )
        )
    return items


def mask_of(file: Path | StoredFile) -> np.ndarray[Any, Any]:
    """The object that a file draws white on black: (H, W) bool. Raises ImageError."""
    try:
        image = read_image(file.read() if isinstance(file, StoredFile) else file).image
    except OSError as error:
        raise ImageError(Message("'{name}' cannot be read: {error}", name=file, error=error)) from None
    return np.asarray(image.convert("L")) > 127


def _mask_beside(path: Path) -> np.ndarray[Any, Any] | None:
    file = path.with_name(path.stem + MASK)
    return mask_of(file) if file.is_file() else None
