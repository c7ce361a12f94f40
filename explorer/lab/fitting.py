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

from explorer.errors import ParameterError, TrainingError
from explorer.lab.fit_data import FitData, FitRecipe, kept_head, of_folder, of_scenes, own_classes
from explorer.models.device import out_of_memory
from explorer.models.fitted import fit_settings
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.weights import FITTED, fingerprint, fitted_names
from explorer.seeding import Seeded
from explorer.writing import write


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


def fit(
    spec: ModelSpec | str,
    images: str | Path | None = None,
    recipe: FitRecipe = FitRecipe(),  # noqa: B008 - frozen
    device: str | None = None,
    progress: Callable[[FitProgress], None] | None = None,
) -> Fitted:
    """Train the inserted block of a model and its gate (or the whole network) to name pictures' classes.

    Behind its closed gate (g = 0) a fresh block changes nothing, so only the gate has a gradient at first; the block
    begins to learn one step later. The backbone is frozen, its batch norms keep their statistics. The model's own
    classifier is kept where it knows the folder's classes; otherwise a new one is trained too, of classes of which one
    holds whatever the old head was.

    Args:
        spec: a model with a block, as in ``resnet50.a1_in1k+mhsa@3``.
        images: a folder with one folder a class (or with ``train`` and ``val`` that have), or None for scenes.
        recipe: how.
        device: where, or None to choose.
        progress: told after every step; a KeyboardInterrupt ends the fit and keeps its best weights.

    Raises:
        ParameterError: a spec without a block, a folder that does not do, or that names independent labels of the
            model's own.
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
    data = of_scenes(model, recipe) if images is None else of_folder(model, Path(images), recipe)
    network = model.module
    if not isinstance(model.inserted, str):
        raise ParameterError(f"'{spec}' has no inserted block to fit")
    place = model.inserted.rsplit(".", 1)[0]
    backbone = fingerprint(network, f"{place}.")
    own = None if images is None else own_classes(model, data.classes)
    if own is not None and model.head.kind == "sigmoid":
        raise ParameterError(
            f"'{spec}' answers with independent labels, and folders say one label of a picture and nothing of the "
            "others, so its own classifier cannot be fitted to them; rename the folders to train a new one, of classes "
            "of which one holds, or, where that is what its own are, say so: ModelSpec(..., head='softmax')"
        )
    if own is None:
        with Seeded(recipe.seed):
            network.reset_classifier(len(data.classes))  # type: ignore[operator]
        network.to(model.device)
    else:
        index = torch.tensor(own)
        data = FitData(
            data.classes,
            data.images,
            index[data.targets],
            data.held_images,
            index[data.held_targets],
            (*data.notes, kept_head(model, data.classes, own)),
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
    data: FitData,
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
    data: FitData,
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


def _judge(model: Model, data: FitData, batch: int) -> tuple[float, float]:
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
