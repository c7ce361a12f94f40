"""Train the laboratory's models: one recipe, the same pictures for all, resumable at any moment."""

from __future__ import annotations

import contextlib
import io
import json
import math
import platform
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer import scenes
from explorer.blocks import BLOCKS
from explorer.errors import ParameterError, TrainingError
from explorer.lab.networks import MEAN, SIZE, STD, LabModel, build, file_name, width_of
from explorer.models.weights import RECORD, check_finite
from explorer.scenes import AUGMENTED, CENTRED, Distribution
from explorer.writing import make_folder, write

#: Seed of the stream of training scenes, the same for every model, and of the scenes that training is judged on.
TRAINING_STREAM, JUDGING_STREAM = 1, 2
#: Scenes that a finished run is judged on, in each of the conditions below.
JUDGED = 1000
#: Seconds between two checkpoints of a run.
CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Recipe:
    """How is every model of the laboratory trained?

    Attributes:
        images: how many pictures there are; every model of a set-up sees the same ones.
        epochs: how often each is seen.
        batch: pictures a step.
        rate: highest learning rate, of AdamW; it rises over the first tenth and falls along a cosine to zero.
        decay: weight decay of matrices and kernels.
        clip: largest norm of the gradient.
        distribution: which scenes; the augmented models take AUGMENTED's shifts and scales instead.
    """

    images: int = 10_000
    epochs: int = 3
    batch: int = 64
    rate: float = 1e-2
    decay: float = 0.05
    clip: float = 1.0
    distribution: Distribution = field(default=CENTRED)

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= self.images or self.epochs < 1 or not self.rate > 0:
            raise ParameterError(
                f"{self.images} images, {self.epochs} epochs, batches of {self.batch}, rate {self.rate}: at least one "
                f"epoch, a batch no larger than the images, and a rate above 0 are needed"
            )

    @property
    def steps(self) -> int:
        """Steps of one training run."""
        return self.epochs * (self.images // self.batch)

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(1, self.steps // 10)
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def scenes_for(self, model: LabModel) -> Distribution:
        """Which scenes a model is trained on."""
        if not model.augmented:
            return self.distribution
        return replace(self.distribution, shift=AUGMENTED.shift, scales=AUGMENTED.scales)


#: The recipe of each set-up. A ResNet has convolutions beside its block and learns the task in a third of the time.
RECIPES: Mapping[str, Recipe] = {"metaformer": Recipe(), "resnet": Recipe(epochs=1)}


@lru_cache(maxsize=2)  # the centred set and the augmented one, each shared by all runs of a process
def pictures(distribution: Distribution, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Render a training set: (count, 3, 48, 48) uint8 pictures and (count,) labels, on the device."""
    images = torch.empty(count, 3, SIZE, SIZE, dtype=torch.uint8, device=device)
    labels = torch.empty(count, dtype=torch.int64, device=device)
    for start in range(0, count, 1024):
        stop = min(start + 1024, count)
        drawn = scenes.draw(TRAINING_STREAM, torch.arange(start, stop), distribution)
        rendered = scenes.render(drawn, SIZE, device)
        images[start:stop] = (rendered.images * 255).round().to(torch.uint8)
        labels[start:stop] = rendered.labels
    return images, labels


def autocast_type(model: LabModel, device: torch.device) -> torch.dtype | None:
    """The dtype in which this device trains this model fastest, or None for float32 throughout.

    bfloat16 where there are units for it: a GPU, or a CPU with AMX for convolutions (attention with heads this small
    was twice as fast in float32 there).
    """
    if device.type == "cuda":
        return torch.bfloat16
    if device.type == "cpu" and BLOCKS[model.block].kind not in ("pairwise", "axial", "channel"):
        return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else None
    return None


@dataclass(frozen=True)
class Progress:
    """Where a run is: the model's spec, steps done and in all, and the running mean of the loss."""

    spec: str
    step: int
    steps: int
    loss: float


def train(
    model: LabModel,
    seed: int,
    folder: Path,
    recipe: Recipe | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train one model from one seed; return its record.

    The same on the same machine with as many threads, interrupted or not.

    Args:
        model: which.
        seed: of its first weights and of the order of the pictures.
        folder: gets ``NAME.safetensors`` (float16, the record in its metadata) and, while training, ``NAME.resume``,
            from which an interrupted run goes on as if nothing had happened.
        recipe: how; the set-up's own of RECIPES if None.
        device: where.
        progress: told after every step; what it raises interrupts.

    Raises:
        TrainingError: the loss is no number, or the folder holds a started run of another recipe or a damaged one.
        WriteError: a file cannot be written; the run goes on from its last checkpoint another time.
    """
    device, recipe = torch.device(device), recipe or RECIPES[model.backbone]
    name = file_name(model, seed)
    started, spec = folder / f"{name}.resume", str(model.spec(seed))
    make_folder(folder)
    images, labels = pictures(recipe.scenes_for(model), recipe.images, device)
    width = width_of(model)
    network = build(model, seed, width).to(device).to(memory_format=torch.channels_last).train()
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": weights, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}], lr=recipe.rate
    )
    made = json.dumps({"recipe": asdict(recipe), "data": scenes.DATA_VERSION, "width": width}, sort_keys=True)
    step, loss_mean, seconds = 0, float("nan"), 0.0
    if started.exists():
        saved = _started(started, made, spec, recipe, device)
        try:
            network.load_state_dict(saved["network"])
            optimiser.load_state_dict(saved["optimiser"])
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
            raise _damaged(started, spec, error) from error
        step, loss_mean, seconds = saved["step"], saved["loss"], saved["seconds"]
    saved_at = step
    dtype = autocast_type(model, device)
    begun = kept = time.monotonic()
    for which in _batches(recipe, seed, step, device):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate(step)
        batch = normalised(images[which]).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype) if dtype else contextlib.nullcontext():
            logits = network(batch)
        loss = F.cross_entropy(logits.float(), labels[which])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        step += 1
        if device.type == "cpu" or step % 20 == 0 or step == recipe.steps:  # reading the loss waits for a GPU
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(f"{spec}: the loss is {value} at step {step}; try a lower rate than {recipe.rate}")
            loss_mean = value if math.isnan(loss_mean) else loss_mean + 0.05 * (value - loss_mean)
        if time.monotonic() - kept > CHECKPOINT_SECONDS and step < recipe.steps:
            kept = time.monotonic()
            packed = io.BytesIO()
            torch.save(
                {
                    "made": made,
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "loss": loss_mean,
                    "seconds": seconds + kept - begun,
                },
                packed,
            )
            write(started, packed.getvalue(), _kept(spec, saved_at, recipe))
            saved_at = step
        if progress is not None:
            progress(Progress(spec, step, recipe.steps, loss_mean))
    seconds += time.monotonic() - begun
    network.eval()
    exact = judge(network, device)
    # The running variances of batch norms may exceed float16's range, so buffers stay as they are.
    parameters = dict(network.named_parameters())
    halved = {name: value.half() if name in parameters else value for name, value in network.state_dict().items()}
    check_finite(halved, spec)
    network.load_state_dict(halved)
    record = {
        "spec": spec,
        "block": model.block,
        "backbone": model.backbone,
        "augmented": model.augmented,
        "seed": seed,
        "width": width,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "accuracy": judge(network, device),
        "accuracy_float32": exact,
        "n": JUDGED,
        "loss": loss_mean,
        "seconds": round(seconds, 1),
        "recipe": {**asdict(recipe), "distribution": asdict(recipe.scenes_for(model))},
        "data_version": scenes.DATA_VERSION,
        "commit": _commit(),
        "device": _device_name(device),
        "dtype": str(dtype or torch.float32).removeprefix("torch."),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": version("timm")},
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in halved.items()}
    weights_file = safetensors.torch.save(tensors, {RECORD: json.dumps(record)})
    write(folder / f"{name}.safetensors", weights_file, _kept(spec, saved_at, recipe))
    with contextlib.suppress(OSError):  # it does no harm: what is finished is not trained again
        started.unlink(missing_ok=True)
    return record


def _kept(spec: str, step: int, recipe: Recipe) -> str:
    """What is not lost where a file of a run cannot be written."""
    begins = f"goes on after step {step} of {recipe.steps}" if step else "begins anew"
    return f"Finished models are kept; give the same command again when there is room: {spec} {begins}"


def _started(file: Path, made: str, spec: str, recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """What a checkpoint holds; raises TrainingError where it is damaged or of another recipe."""
    try:
        with zipfile.ZipFile(file) as packed:
            broken = packed.testzip()
        if broken is not None:
            raise ValueError(f"its part '{broken}' is not what was written")
        saved = torch.load(file, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file fails in any way that a reader of zip files, pickles or tensors has
        raise _damaged(file, spec, error) from error
    kinds = {"made": str, "network": dict, "optimiser": dict, "step": int, "loss": float, "seconds": float}
    if not isinstance(saved, dict):
        raise _damaged(file, spec, f"it holds {type(saved).__name__}")
    for name, kind in kinds.items():
        if not isinstance(saved.get(name), kind):
            raise _damaged(file, spec, f"its '{name}' is missing or of the wrong form")
    if saved["made"] != made:
        raise TrainingError(f"'{file}' is a run of {spec} with another recipe; remove it, or choose a new --out")
    if not 0 < saved["step"] < recipe.steps:
        raise _damaged(file, spec, f"it says step {saved['step']} of {recipe.steps}")
    return saved


def _damaged(file: Path, spec: str, what: object) -> TrainingError:
    said = " ".join(str(what).split())[:200] or type(what).__name__
    return TrainingError(
        f"'{file}' should hold a started run of {spec} and cannot be read ({said}); remove it, and the run begins anew"
    )


def normalised(images: Tensor) -> Tensor:
    """Bring uint8 pictures to what the networks read."""
    return (images.float() / 255 - MEAN) / STD


def _batches(recipe: Recipe, seed: int, done: int, device: torch.device) -> Iterator[Tensor]:
    """The pictures of every step from ``done`` on; the order depends on the seed and the epoch alone."""
    per_epoch = recipe.images // recipe.batch
    for epoch in range(done // per_epoch, recipe.epochs):
        order = torch.randperm(recipe.images, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        skipped = max(0, done - epoch * per_epoch)
        yield from order[: per_epoch * recipe.batch].to(device).view(per_epoch, recipe.batch)[skipped:].unbind(0)


def judge(network: nn.Module, device: torch.device) -> dict[str, float]:
    """Accuracy on held-out scenes: in distribution, shifted by 8 px, at 0.7 of the size, and with swapped cues."""
    which = torch.arange(JUDGED)
    own = scenes.draw(JUDGING_STREAM, which)
    conditions = {
        "in distribution": own,
        "shifted right 8 px": own.moved(dx=8 / SIZE),
        "scale 0.7": own.moved(zoom=0.7),
        "texture and background of other classes": scenes.draw(
            JUDGING_STREAM, which, replace(CENTRED, texture_agreement=0.0, background_agreement=0.0)
        ),
    }
    found = {}
    for name, some in conditions.items():
        rendered = scenes.render(some, SIZE, device)
        images = (rendered.images * 255).round().to(torch.uint8)
        with torch.inference_mode():
            answers = torch.cat([network(normalised(part)).argmax(1) for part in images.split(250)])
        found[name] = float((answers == rendered.labels).cpu().double().mean())
    return found


def _commit() -> str:
    """The commit of the code, with + where the working tree differs; "" where there is no git."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + "+" * bool(git("status", "--porcelain", "--untracked-files=no", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return ""


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"{device.type}: {platform.machine()}, {torch.get_num_threads()} threads"
