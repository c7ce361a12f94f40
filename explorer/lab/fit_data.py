"""What an inserted block is fitted to: the pictures of a folder, or procedural scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from explorer import scenes
from explorer.errors import ImageError, ParameterError
from explorer.images import read_image
from explorer.images.folders import Folder
from explorer.models.labels import class_numbers
from explorer.models.model import Model
from explorer.registry import parameter, parameters

#: Seeds of the streams of scenes that a block is fitted and judged on.
FITTING_STREAM, HELD_OUT_STREAM = 11, 12
#: Bytes of pictures at the model's input size that are kept; what is beyond is read again whenever it is shown.
HELD_BYTES = 2 * 2**30


@dataclass(frozen=True)
class FitRecipe:
    """How is an inserted block fitted?

    Attributes:
        epochs: how often each picture is seen at most.
        rate: highest learning rate, of AdamW; it falls along a cosine.
        batch: pictures a step; halved where memory does not suffice.
        patience: epochs without a lower loss on the held-out pictures after which it stops.
        held_out: share of each class's pictures that is never trained on, where the folder has no train and val.
        scenes: how many scenes are trained on, where it is scenes; a quarter as many are held out.
        whole: train the whole network, not the block and its gate alone.
        seed: of a new classifier and of the order.
    """

    epochs: int = parameter(20, "times each picture is seen at most", 1, 10_000)
    rate: float = parameter(2e-3, "highest learning rate", 1e-9, 10.0)
    batch: int = parameter(32, "pictures a step", 1, 4096)
    patience: int = parameter(4, "epochs without improvement before it stops", 1, 10_000)
    held_out: float = parameter(0.2, "share of each class that is held out", 0.01, 0.9)
    scenes: int = parameter(1000, "scenes to train on, with --scenes", 16, 1_000_000)
    whole: bool = parameter(False, "train the whole network, not the block alone")
    seed: int = parameter(0, "of a new classifier and of the order", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for name, one in parameters(FitRecipe).items():
            value = getattr(self, name)
            if not one.allows(value):
                if not one.is_number:
                    raise ParameterError(f"{name} is True or False, got {value!r}")
                raise ParameterError(f"{name} is {value}; it lies from {one.low:g} to {one.high:g}")


class FitPictures:
    """Pictures of files at a model's input size, uint8.

    As many as fit `HELD_BYTES` are kept, the others are read when they are asked for. Indexed by a tensor of numbers,
    as a tensor (n, 3, H, W) is.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._paths: list[Path] = []
        self._kept: dict[int, Tensor] = {}
        self._room = HELD_BYTES

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: Path) -> None:
        """Take a file. Raises ImageError where it cannot be read."""
        picture = self._read(path)
        if picture.numel() <= self._room:
            self._room -= picture.numel()
            self._kept[len(self._paths)] = picture
        self._paths.append(path)

    def __getitem__(self, which: Tensor) -> Tensor:
        numbers = which.tolist()
        return torch.cat([self._kept[one] if one in self._kept else self._read(self._paths[one]) for one in numbers])

    def part(self, which: Sequence[int]) -> FitPictures:
        """Some of them, in this order."""
        out = FitPictures(self._model)
        out._paths = [self._paths[one] for one in which]
        out._kept = {place: self._kept[one] for place, one in enumerate(which) if one in self._kept}
        return out

    def _read(self, path: Path) -> Tensor:
        return (self._model.preprocess(read_image(path).image) * 255).round().to(torch.uint8).cpu()


@dataclass(frozen=True, eq=False)
class FitData:
    """Pictures at a model's input size: (n, 3, H, W) uint8 and (n,) targets, some held out."""

    classes: tuple[str, ...]
    images: Tensor | FitPictures
    targets: Tensor
    held_images: Tensor | FitPictures
    held_targets: Tensor
    notes: tuple[str, ...] = ()


# ---- the pictures ---------------------------------------------------------------------------------------------------


def own_classes(model: Model, folders: Sequence[str]) -> list[int] | None:
    """The model's classes that folders are named after (by index, name or ImageNet's synset), or None if not all."""
    known = class_numbers(model.labels, model.num_classes)
    found = [known.get(name.lower().replace("_", " "), known.get(name)) for name in folders]
    return None if None in found else [index for index in found if index is not None]


def kept_head(model: Model, folders: Sequence[str], own: Sequence[int]) -> str:
    """What is to be said where folders are the model's own classes: "0" may have been meant as a digit."""
    pairs = [f"{folder} is {model.label(index)} ({index})" for folder, index in zip(folders[:3], own)]
    more = ", ..." if len(folders) > 3 else ""
    return f"the model's own classifier is kept: {', '.join(pairs)}{more}; rename the folders to train a new one"


def of_folder(model: Model, folder: Path, recipe: FitRecipe) -> FitData:
    read = Folder(folder)
    pictures, labels, held = FitPictures(model), list[str](), list[bool | None]()
    parts: set[str] = set()
    passed = 0
    for found in read:
        if not found.label or found.split.lower() == "test":  # what is to be judged later is not looked at now
            passed += 1
            continue
        try:
            pictures.add(found.path)
        except ImageError as error:
            read.leave_out(found.path, error)
            continue
        part = found.split.lower()
        parts.add("train" if part == "train" else "val" if part else "")
        labels.append(found.label)
        held.append(part != "train" if part else None)
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise ParameterError(
            f"'{folder}' has {len(classes)} classes with pictures that can be read ({', '.join(classes) or 'none'}); "
            f"one folder a class, in it or in its train and val, and at least two classes are expected; found: "
            f"{read.contents()}"
        )
    own_split = parts == {"train", "val"}
    sides: tuple[list[int], list[int]] = ([], [])
    for name in classes:
        which = [place for place, label in enumerate(labels) if label == name]
        if own_split:
            for place in which:
                sides[bool(held[place])].append(place)
            if all(held[place] for place in which):
                raise ParameterError(f"'{folder}': no picture of '{name}' to train on")
            continue
        if len(which) < 2:
            raise ParameterError(
                f"'{folder / name}' has {len(which)} pictures that can be read; at least two are needed, one to "
                f"train on and one to hold out"
            )
        order = torch.randperm(len(which), generator=torch.Generator().manual_seed(recipe.seed)).tolist()
        count = min(len(which) - 1, max(1, round(recipe.held_out * len(which))))
        sides[0].extend(which[one] for one in order[count:])
        sides[1].extend(which[one] for one in order[:count])
    target = {name: number for number, name in enumerate(classes)}
    some = [torch.tensor([target[labels[place]] for place in side]) for side in sides]
    notes = list(read.notes)
    if passed:
        notes.append(f"{passed} pictures without a class, or in a folder named test, were left out")
    return FitData(tuple(classes), pictures.part(sides[0]), some[0], pictures.part(sides[1]), some[1], tuple(notes))


def of_scenes(model: Model, recipe: FitRecipe) -> FitData:
    height, width = model.input_size
    if height != width:
        raise ParameterError(f"scenes are square; '{model.spec}' looks at {width} x {height} px")

    def rendered(stream: int, count: int) -> tuple[Tensor, Tensor]:
        pieces = [
            scenes.render(scenes.draw(stream, which), height, model.device) for which in torch.arange(count).split(256)
        ]
        images = torch.cat([(piece.images * 255).round().to(torch.uint8).cpu() for piece in pieces])
        return images, torch.cat([piece.labels.cpu() for piece in pieces])

    return FitData(
        scenes.CLASSES,
        *rendered(FITTING_STREAM, recipe.scenes),
        *rendered(HELD_OUT_STREAM, max(1, recipe.scenes // 4)),
        notes=("scenes, not photographs",),
    )
