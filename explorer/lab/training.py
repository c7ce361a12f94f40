"""Train the laboratory's models: one recipe, the same pictures for all, resumable at any moment."""

from __future__ import annotations

import contextlib
import io
import json
import math
import platform
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer import scenes
from explorer.errors import TrainingError
from explorer.lab import tasks
from explorer.lab.networks import LabModel, build, file_name, width_of
from explorer.lab.pool import Pool
from explorer.lab.recipes import Recipe, recipe_of
from explorer.lab.tasks import TASKS, TRAINING_STREAM, LearningTask, normalised
from explorer.models.weights import RECORD, check_finite
from explorer.writing import make_folder, write

#: The folder of rendered pictures beside the weights, where no other is named.
PICTURES = "pictures"
#: Seconds between two checkpoints of a run.
CHECKPOINT_SECONDS = 10.0
#: Steps between two looks at the loss on a GPU, which wait for it; and steps before its graph is captured.
_READ_EVERY, _WARM = 20, 3
#: Weights are drawn from torch's one generator, and a device captures one graph at a time: threads take turns.
_BUILDING, _CAPTURING = threading.Lock(), threading.Lock()


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
    """The dtype in which this device trains a trunk fastest, or None for float32: bfloat16 with AMX.

    On a GPU so small a network is bound by the number of its kernels, and narrow types need more of them.
    """
    return torch.bfloat16 if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else None


class _Run:
    """A network that learns from its pictures, a step at a time.

    On a GPU a step of so small a network is bound by the launches of its kernels: it is captured once as a CUDA graph,
    with pictures, their order and the learning rates in the device's memory, and replayed.
    """

    def __init__(
        self, network: nn.Module, task: LearningTask, recipe: Recipe, shown: Pool, seed: int, device: torch.device
    ) -> None:
        self.network, self.task, self.recipe, self.device = network, task, recipe, device
        network.to(memory_format=torch.channels_last)
        self.captured = device.type == "cuda"
        self.shown = shown.on(device) if self.captured else shown
        self.order = _order(recipe, seed)
        weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
        rate = torch.tensor(recipe.rate, device=device) if self.captured else recipe.rate
        self.optimiser = torch.optim.AdamW(
            [{"params": weights, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}],
            lr=rate,
            capturable=self.captured,
        )

    def steps(self, done: int) -> Iterator[Tensor]:
        """Take every step from ``done`` on; yields each one's loss, which the next overwrites."""
        if not self.captured:
            for step in range(done, self.recipe.steps):
                yield self._step(self.order[step], self.recipe.learning_rate(step))
            return
        order = self.order.to(self.device)
        rates = torch.tensor([self.recipe.learning_rate(step) for step in range(self.recipe.steps)], device=self.device)
        at = torch.tensor([done], device=self.device)

        def one() -> Tensor:
            loss = self._step(order.index_select(0, at)[0], rates.index_select(0, at)[0])
            at.add_(1)
            return loss

        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            # The first steps, real ones, make what is made once: the optimiser's state, the libraries' workspaces.
            for _ in range(min(_WARM, self.recipe.steps - done)):
                loss = one()
                yield loss
            left = self.recipe.steps - done - _WARM
            if left > 0:
                graph = torch.cuda.CUDAGraph()
                with _CAPTURING, torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    loss = one()
                for _ in range(left):
                    graph.replay()
                    yield loss
        torch.cuda.current_stream(self.device).wait_stream(stream)

    def _step(self, which: Tensor, rate: float | Tensor) -> Tensor:
        for group in self.optimiser.param_groups:
            if isinstance(rate, Tensor):
                group["lr"].copy_(rate)
            else:
                group["lr"] = rate
        truth = {name: one.to(self.device) for name, one in self.shown[which].items()}
        batch = normalised(truth.pop("images")).contiguous(memory_format=torch.channels_last)
        with _precision(self.device, autocast_type(self.device)):
            answers = self.network(batch)
        loss = self.task.loss(answers.float(), truth)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        return loss.detach()


def _order(recipe: Recipe, seed: int) -> Tensor:
    """(steps, batch) int64: the pictures of every step; the order depends on the seed and the epoch alone."""
    per_epoch = recipe.images // recipe.batch
    epochs = [
        torch.randperm(recipe.images, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        for epoch in range(recipe.epochs)
    ]
    return torch.cat([one[: per_epoch * recipe.batch].view(per_epoch, recipe.batch) for one in epochs])


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
    with _BUILDING:
        network = build(model, seed, width)
    run = _Run(network.to(device).train(), task, recipe, shown, seed, device)
    made = json.dumps({"recipe": asdict(recipe), "data": scenes.DATA_VERSION, "width": width}, sort_keys=True)
    step, loss_mean, seconds, worked = 0, float("nan"), 0.0, 0.0
    if started.exists():
        saved = _started(started, made, spec, recipe, device)
        try:
            network.load_state_dict(saved["network"])
            run.optimiser.load_state_dict(saved["optimiser"])
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
            raise _damaged(started, spec, error) from error
        step, loss_mean, seconds, worked = (saved[name] for name in ("step", "loss", "seconds", "worked"))
    saved_at = step
    begun = kept = time.monotonic()
    clock = time.thread_time if run.captured else time.process_time  # threads share a GPU, processes the CPU
    busy = clock()
    for loss in run.steps(step):
        step += 1
        if device.type == "cpu" or step % _READ_EVERY == 0 or step == recipe.steps:
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
                    "optimiser": run.optimiser.state_dict(),
                    "step": step,
                    "loss": loss_mean,
                    "seconds": seconds + kept - begun,
                    "worked": worked + clock() - busy,
                },
                packed,
            )
            write(started, packed.getvalue(), _kept(spec, saved_at, recipe))
            saved_at = step
        if progress is not None:
            progress(Progress(spec, step, recipe.steps, loss_mean))
    seconds += time.monotonic() - begun
    worked += clock() - busy
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
        "dtype": str(autocast_type(device) or torch.float32).removeprefix("torch."),
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
