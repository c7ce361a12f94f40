"""Fine-tune an inserted block on a folder of pictures or on scenes, so that it becomes more than identity-init."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer import scenes
from explorer.errors import ImageError, ParameterError, TrainingError
from explorer.images import read_image
from explorer.images.folders import Folder
from explorer.models.device import out_of_memory
from explorer.models.fitted import fit_settings
from explorer.models.labels import class_numbers
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.weights import FITTED, fingerprint, fitted_names
from explorer.registry import parameter, parameters
from explorer.seeding import Seeded
from explorer.writing import write

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


@dataclass(frozen=True)
class FitProgress:
    """Where a fit is: epoch and step, counted from 1, and the loss of this step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit gave.

    Attributes:
        tensors: the trained tensors by their name in the network: block, gate and a new classifier, or all.
        record: provenance: spec, backbone, classes, recipe, device, versions, accuracy and loss before and after.
        history: one record an epoch: loss of training, loss and accuracy on the held-out pictures.
        notes: what has to be said beside it (pictures that could not be read, an early end, ...).
    """

    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]
    history: tuple[Mapping[str, float], ...]
    notes: tuple[str, ...] = field(default=())

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file that ``load(ModelSpec(..., weights_file=path))`` reads; whole or not at all."""
        text = json.dumps({**self.record, "history": self.history, "notes": self.notes})
        return write(path, safetensors.torch.save(dict(self.tensors), {FITTED: text}))


class _Pictures:
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

    def part(self, which: Sequence[int]) -> _Pictures:
        """Some of them, in this order."""
        out = _Pictures(self._model)
        out._paths = [self._paths[one] for one in which]
        out._kept = {place: self._kept[one] for place, one in enumerate(which) if one in self._kept}
        return out

    def _read(self, path: Path) -> Tensor:
        return (self._model.preprocess(read_image(path).image) * 255).round().to(torch.uint8).cpu()


@dataclass(frozen=True, eq=False)
class _Data:
    """Pictures at a model's input size: (n, 3, H, W) uint8 and (n,) targets, some held out."""

    classes: tuple[str, ...]
    images: Tensor | _Pictures
    targets: Tensor
    held_images: Tensor | _Pictures
    held_targets: Tensor
    notes: tuple[str, ...] = ()


def fit(
    spec: ModelSpec | str,
    images: str | Path | None = None,
    recipe: FitRecipe = FitRecipe(),
    device: str | None = None,
    progress: Callable[[FitProgress], None] | None = None,
) -> Fitted:
    """Train the inserted block of a model and its gate (or the whole network) to name pictures' classes.

    Behind its closed gate (g = 0) a fresh block changes nothing, so only the gate has a gradient at first; the block
    begins to learn one step later. The backbone is frozen, its batch norms keep their statistics. The model's own
    classifier is kept where it knows the folder's classes; otherwise a new one is trained too.

    Args:
        spec: a model with a block, as in ``resnet50.a1_in1k+mhsa@3``.
        images: a folder with one folder a class (or with ``train`` and ``val`` that have), or None for scenes.
        recipe: how.
        device: where, or None to choose.
        progress: told after every step; a KeyboardInterrupt ends the fit and keeps its best weights.

    Raises:
        ParameterError: a spec without a block, a folder that does not do.
        TrainingError: the loss is no number, or memory does not suffice for a single picture.
    """
    spec = ModelSpec.parse(spec) if isinstance(spec, str) else spec
    if spec.block is None or spec.origin == "lab":
        raise ParameterError(f"'{spec}' has no inserted block to fit; write for example 'resnet50.a1_in1k+mhsa@3'")
    if spec.weights_file is not None:
        # The result names its backbone by the spec's text, which could not say that this file belongs to it too.
        raise ParameterError(f"a fit begins at published or random weights, not at a file; got '{spec.weights_file}'")
    model = load(spec, device)
    if not model.num_classes:
        raise ParameterError(f"'{spec}' has no classifier to fit a block with: {model.headless_reason}")
    data = _scenes(model, recipe) if images is None else _folder(model, Path(images), recipe)
    network = model.module
    if not isinstance(model.inserted, str):
        raise ParameterError(f"'{spec}' has no inserted block to fit")
    place = model.inserted.rsplit(".", 1)[0]
    backbone = fingerprint(network, f"{place}.")
    own = None if images is None else own_classes(model, data.classes)
    if own is None:
        with Seeded(recipe.seed):
            network.reset_classifier(len(data.classes))  # type: ignore[operator]
        network.to(model.device)
    else:
        index = torch.tensor(own)
        data = _Data(
            data.classes,
            data.images,
            index[data.targets],
            data.held_images,
            index[data.held_targets],
            (*data.notes, _kept_head(model, data.classes, own)),
        )
    wrapper = network.get_submodule(place)
    parts: list[nn.Module] = [network] if recipe.whole else [wrapper.get_submodule("block")]
    names = list(network.state_dict()) if recipe.whole else fitted_names(network, place, own is None)
    trained = [one for name, one in network.named_parameters() if name in names]
    with model.lock:
        return _fit(model, network, parts, trained, names, data, recipe, backbone, own is None, progress)


def _fit(
    model: Model,
    network: nn.Module,
    parts: Sequence[nn.Module],
    trained: Sequence[nn.Parameter],
    names: Sequence[str],
    data: _Data,
    recipe: FitRecipe,
    backbone: str,
    new_head: bool,
    progress: Callable[[FitProgress], None] | None,
) -> Fitted:
    def kept() -> dict[str, Tensor]:
        state = network.state_dict()
        return {name: state[name].detach().cpu().clone().contiguous() for name in names}

    batch, notes = recipe.batch, list(data.notes)
    optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=0.01)

    def within_memory(work: Callable[[int], Any]) -> Any:
        nonlocal batch
        while True:
            try:
                return work(batch)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                optimiser.zero_grad()
                if batch == 1:
                    raise TrainingError(f"'{model.spec}': memory does not suffice for a single picture") from None
                batch //= 2
                notes.append(f"memory did not suffice: batches of {batch}")

    before = within_memory(partial(_judge, model, data))
    best, best_epoch, history = (before, kept()), 0, []
    try:
        for one in trained:
            one.requires_grad_(True)
        for epoch in range(1, recipe.epochs + 1):
            for part in parts:
                part.train()
            total = within_memory(
                partial(_epoch, model, optimiser, trained, data, recipe, epoch=epoch, progress=progress)
            )
            for part in parts:
                part.eval()
            after = within_memory(partial(_judge, model, data))
            history.append({"epoch": epoch, "loss": total, "held_out_loss": after[0], "held_out_accuracy": after[1]})
            if after[0] < best[0][0]:
                best, best_epoch = (after, kept()), epoch
            elif epoch - best_epoch >= recipe.patience:
                notes.append(f"stopped after epoch {epoch}: the held-out loss was lowest after epoch {best_epoch}")
                break
    except KeyboardInterrupt:
        notes.append(f"interrupted; the weights are those after epoch {best_epoch}")
    finally:
        optimiser.zero_grad()
        network.requires_grad_(False).eval()
    if best_epoch == 0:
        notes.append("nothing was learnt: no epoch lowered the held-out loss, so the weights are those it began with")
    record = {
        "spec": str(model.spec),
        "settings": fit_settings(model.spec),
        "backbone": backbone,
        "whole": recipe.whole,
        "classes": list(data.classes) if new_head else None,
        "recipe": asdict(recipe),
        "device": str(model.device),
        "pictures": len(data.targets),
        "held_out": len(data.held_targets),
        "before": {"loss": before[0], "accuracy": before[1]},
        "after": {"loss": best[0][0], "accuracy": best[0][1]},
        "best_epoch": best_epoch,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": version("timm")},
    }
    return Fitted(best[1], record, tuple(history), tuple(notes))


def _epoch(
    model: Model,
    optimiser: torch.optim.Optimizer,
    trained: Sequence[nn.Parameter],
    data: _Data,
    recipe: FitRecipe,
    batch: int,
    epoch: int,
    progress: Callable[[FitProgress], None] | None,
) -> float:
    """One epoch; its mean loss."""
    order = torch.randperm(len(data.targets), generator=torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch))
    # The last picture alone would say little, and has no variance for a batch norm on a 1 x 1 grid.
    batches = [part for part in order.split(batch) if len(part) > 1 or batch == 1 or len(order) == 1]
    total = 0.0
    for step, which in enumerate(batches, start=1):
        share = (epoch - 1 + step / len(batches)) / recipe.epochs
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * 0.5 * (1 + math.cos(math.pi * share))
        loss = F.cross_entropy(model.logits(_shown(data.images[which], model)), data.targets[which].to(model.device))
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"'{model.spec}': the loss is {value} in epoch {epoch}; try a rate below {recipe.rate}")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        total += value * len(which)
        if progress is not None:
            progress(FitProgress(epoch, recipe.epochs, step, len(batches), value))
    return total / sum(len(part) for part in batches)


def _judge(model: Model, data: _Data, batch: int) -> tuple[float, float]:
    """Loss and accuracy on the held-out pictures."""
    loss = right = 0.0
    with torch.inference_mode():
        for which in torch.arange(len(data.held_targets)).split(batch):
            logits = model.logits(_shown(data.held_images[which], model))
            targets = data.held_targets[which].to(logits.device)
            loss += float(F.cross_entropy(logits.float(), targets, reduction="sum"))
            right += float((logits.argmax(1) == targets).sum())
    return loss / len(data.held_targets), right / len(data.held_targets)


def _shown(images: Tensor, model: Model) -> Tensor:
    return images.to(model.device).float().div(255)


# ---- the pictures ---------------------------------------------------------------------------------------------------


def own_classes(model: Model, folders: Sequence[str]) -> list[int] | None:
    """The model's classes that folders are named after (by index, name or ImageNet's synset), or None if not all."""
    known = class_numbers(model.labels, model.num_classes)
    found = [known.get(name.lower().replace("_", " "), known.get(name)) for name in folders]
    return None if None in found else [index for index in found if index is not None]


def _kept_head(model: Model, folders: Sequence[str], own: Sequence[int]) -> str:
    """What is to be said where folders are the model's own classes: "0" may have been meant as a digit."""
    pairs = [f"{folder} is {model.label(index)} ({index})" for folder, index in zip(folders[:3], own)]
    more = ", ..." if len(folders) > 3 else ""
    return f"the model's own classifier is kept: {', '.join(pairs)}{more}; rename the folders to train a new one"


def _folder(model: Model, folder: Path, recipe: FitRecipe) -> _Data:
    read = Folder(folder)
    pictures, labels, held = _Pictures(model), list[str](), list[bool | None]()
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
    return _Data(tuple(classes), pictures.part(sides[0]), some[0], pictures.part(sides[1]), some[1], tuple(notes))


def _scenes(model: Model, recipe: FitRecipe) -> _Data:
    height, width = model.input_size
    if height != width:
        raise ParameterError(f"scenes are square; '{model.spec}' looks at {width} x {height} px")

    def rendered(stream: int, count: int) -> tuple[Tensor, Tensor]:
        pieces = [
            scenes.render(scenes.draw(stream, which), height, model.device) for which in torch.arange(count).split(256)
        ]
        images = torch.cat([(piece.images * 255).round().to(torch.uint8).cpu() for piece in pieces])
        return images, torch.cat([piece.labels.cpu() for piece in pieces])

    return _Data(
        scenes.CLASSES,
        *rendered(FITTING_STREAM, recipe.scenes),
        *rendered(HELD_OUT_STREAM, max(1, recipe.scenes // 4)),
        notes=("scenes, not photographs",),
    )
