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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer import scenes
from explorer.errors import ParameterError, TrainingError
from explorer.lab import tasks
from explorer.lab.networks import LabModel, Training, build, file_name, width_of
from explorer.lab.tasks import TASKS, TRAINING_STREAM, normalised
from explorer.models.weights import RECORD, check_finite
from explorer.scenes import AUGMENTED, CENTRED, CUED, Distribution
from explorer.writing import make_folder, write

#: The folder of rendered pictures beside the weights, where no other is named.
PICTURES = "pictures"
#: Seconds between two checkpoints of a run.
CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Recipe:
    """How is a model of the laboratory trained?

    Attributes:
        images: how many pictures there are; every model of a set-up sees the same ones.
        epochs: how often each is seen.
        batch: pictures a step.
        rate: highest learning rate, of AdamW; it rises over the first tenth and falls along a cosine to zero.
        decay: weight decay of matrices and kernels.
        clip: largest norm of the gradient.
        distribution: which scenes.
    """

    images: int = 32_000
    epochs: int = 1
    batch: int = 32
    rate: float = 5e-3
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


#: The recipe of each set-up, (backbone, training): fresh pictures, each seen once, as many as it takes to converge.
RECIPES: Mapping[tuple[str, Training], Recipe] = {
    ("metaformer", "centred"): Recipe(),
    ("metaformer", "aug"): Recipe(images=96_000, distribution=AUGMENTED),
    ("metaformer", "cue"): Recipe(images=16_000, distribution=CUED),
    ("resnet", "centred"): Recipe(images=16_000),
    ("detect", "aug"): Recipe(images=32_000, distribution=AUGMENTED),
}


def recipe_of(model: LabModel) -> Recipe:
    """The recipe of a model's set-up."""
    return RECIPES[model.backbone, model.training]


class _AttentionInFloat32(TorchFunctionMode):
    """Attention in float32 under a trunk in bfloat16: with heads this small its products take three times as long."""

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        query = args[0]
        kwargs = {name: _wide(one) for name, one in kwargs.items()}
        with torch.autocast(query.device.type, enabled=False):
            return func(*map(_wide, args), **kwargs).to(query.dtype)


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


@contextlib.contextmanager
def _precision(device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Run the trunk in a narrow dtype, or all of it in float32 where that is None."""
    if dtype is None:
        yield
        return
    with torch.autocast(device.type, dtype), _AttentionInFloat32():
        yield


def autocast_type(device: torch.device) -> torch.dtype | None:
    """The dtype in which this device trains a trunk fastest, or None for float32: bfloat16 on a GPU or with AMX."""
    narrow = device.type == "cuda" or (device.type == "cpu" and torch.cpu._is_amx_tile_supported())
    return torch.bfloat16 if narrow else None


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
    pool: Path | None = None,
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
        pool: the folder of rendered pictures, which runs share; ``folder/pictures`` if None.

    Raises:
        TrainingError: the loss is no number, or the folder holds a started run of another recipe or a damaged one.
        WriteError: a file cannot be written; the run goes on from its last checkpoint another time.
    """
    device, recipe = torch.device(device), recipe or recipe_of(model)
    name = file_name(model, seed)
    started, spec = folder / f"{name}.resume", str(model.spec(seed))
    make_folder(folder)
    task = TASKS[model.backbone]
    shown = task.pictures(TRAINING_STREAM, recipe.distribution, recipe.images, pool or folder / PICTURES, device)
    width = width_of(model)
    network = build(model, seed, width).to(device).to(memory_format=torch.channels_last).train()
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": weights, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}], lr=recipe.rate
    )
    made = json.dumps({"recipe": asdict(recipe), "data": scenes.DATA_VERSION, "width": width}, sort_keys=True)
    step, loss_mean, seconds, worked = 0, float("nan"), 0.0, 0.0
    if started.exists():
        saved = _started(started, made, spec, recipe, device)
        try:
            network.load_state_dict(saved["network"])
            optimiser.load_state_dict(saved["optimiser"])
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
            raise _damaged(started, spec, error) from error
        step, loss_mean, seconds, worked = (saved[name] for name in ("step", "loss", "seconds", "worked"))
    saved_at = step
    dtype = autocast_type(device)
    begun = kept = time.monotonic()
    busy = time.process_time()
    for which in _batches(recipe, seed, step):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate(step)
        truth = {name: one.to(device) for name, one in shown[which].items()}
        batch = normalised(truth.pop("images")).contiguous(memory_format=torch.channels_last)
        with _precision(device, dtype):
            answers = network(batch)
        loss = task.loss(answers.float(), truth)
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
                    "worked": worked + time.process_time() - busy,
                },
                packed,
            )
            write(started, packed.getvalue(), _kept(spec, saved_at, recipe))
            saved_at = step
        if progress is not None:
            progress(Progress(spec, step, recipe.steps, loss_mean))
    seconds += time.monotonic() - begun
    worked += time.process_time() - busy
    network.eval()
    exact = task.judge(network, device)
    # The running variances of batch norms may exceed float16's range, so buffers stay as they are.
    parameters = dict(network.named_parameters())
    halved = {name: value.half() if name in parameters else value for name, value in network.state_dict().items()}
    check_finite(halved, spec)
    network.load_state_dict(halved)
    record = {
        "spec": spec,
        "block": model.block,
        "backbone": model.backbone,
        "training": model.training,
        "options": dict(model.options),
        "seed": seed,
        "width": width,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "accuracy": task.judge(network, device),
        "accuracy_float32": exact,
        "n": tasks.JUDGED,
        "loss": loss_mean,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(worked, 1),
        "recipe": asdict(recipe),
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
    kinds = {
        "made": str,
        "network": dict,
        "optimiser": dict,
        "step": int,
        "loss": float,
        "seconds": float,
        "worked": float,
    }
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


def _batches(recipe: Recipe, seed: int, done: int) -> Iterator[Tensor]:
    """The pictures of every step from ``done`` on; the order depends on the seed and the epoch alone."""
    per_epoch = recipe.images // recipe.batch
    for epoch in range(done // per_epoch, recipe.epochs):
        order = torch.randperm(recipe.images, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        skipped = max(0, done - epoch * per_epoch)
        yield from order[: per_epoch * recipe.batch].view(per_epoch, recipe.batch)[skipped:].unbind(0)


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
