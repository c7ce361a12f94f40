"""What all attribution methods share: how they are declared, what they explain, how their progress is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from explorer.attribution.labels import with_score
from explorer.messages import Message, listed
from explorer.registry import Registry, check_fields

if TYPE_CHECKING:
    from explorer.attention.layouts import Operation
    from explorer.attention.maps import AttentionMap
    from explorer.models.model import Model

    Placed = tuple[tuple[Operation, ...], AttentionMap]

#: Told the share done, 0 to 1, between steps; what it raises ends the work and reaches the caller.
Progress = Callable[[float], None]


class PassCount(NamedTuple):
    """Cost of one attribution: passes through the network, the prediction's own forward pass included."""

    forwards: int
    backwards: int

    def __str__(self) -> str:
        parts = [(self.forwards, "forward"), (self.backwards, "backward")]
        return ", ".join(f"{count} {name} pass{'' if count == 1 else 'es'}" for count, name in parts if count)


@dataclass(frozen=True)
class Explanation:
    """What a method found for a batch, before it is given its labels.

    Attributes:
        values: (B, h, w) signed, on the model's device.
        layer: dotted path of the module it was computed at, or None.
        delta: convergence delta per image, or None where the method has none.
        note: one sentence that belongs beside the map, or "".
        noted: whether the note holds, () bool on the model's device, where only the numbers tell; None: it does.
    """

    values: Tensor
    layer: str | None = None
    delta: tuple[float, ...] | None = None
    note: str = ""
    noted: Tensor | None = None


@dataclass(frozen=True)
class Method:
    """An attribution method; its fields are its parameters, its docstring says what it answers."""

    #: The name for people, as the field writes it; the registry's name with spaces where it is left out.
    title: ClassVar[str] = ""
    #: Cheap enough to follow a drag.
    live: ClassVar[bool] = False
    #: What a value means.
    unit: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        """Why the method cannot serve this model, known before it is run; None where it can."""
        raise NotImplementedError

    def cost(self, input_size: tuple[int, int]) -> PassCount:
        """Passes through the network for one image of this (height, width)."""
        raise NotImplementedError


@dataclass(frozen=True)
class InputMethod(Method):
    """A method that runs the network on inputs of its own."""

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        """Explain a batch.

        Args:
            model: the model; its lock is held.
            x01: (B, 3, H, W) in 0..1, on the model's device.
            target: (B,) long: column of what `Scores` returns.
            progress: told between passes.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class PassMethod(Method):
    """A method that reads the prediction's own forward pass, and at most one backward pass of it."""

    #: Whether a graph is built in the forward pass.
    differentiates: ClassVar[bool] = True
    #: Whether attention is recorded, and whether with its graph.
    records: ClassVar[bool] = False
    records_graph: ClassVar[bool] = False

    def attached(self, model: Model) -> AbstractContextManager[Any]:
        """A context in which the forward pass runs; what it yields is handed to `read`."""
        raise NotImplementedError

    def read(self, model: Model, watched: Any, placed: Sequence[Placed], scores: Tensor | None) -> Explanation:
        """Explain the batch after its forward pass.

        Args:
            model: the model; its lock is held.
            watched: what `attached` yielded.
            placed: attention maps with their operations, empty unless the method records.
            scores: (B,) the targets, with graph; None unless the method differentiates.
        """
        raise NotImplementedError


def captum_attr() -> Any:
    """captum's methods, imported when one is first used: captum imports a plotting library, which takes seconds."""
    return import_module("captum.attr")


class Scores(nn.Module):
    """The function that is explained: a picture (B, 3, H, W) in 0..1 to logits (B, classes), normalisation included.

    For a model without a head: to the L2 norm of its pooled feature, (B, 1).
    """

    def __init__(self, model: Model, progress: Progress = lambda _: None, passes: int = 1) -> None:
        super().__init__()
        self.network = model.module
        self.training = model.module.training
        self._model, self._progress, self._passes, self._done = model, progress, passes, 0

    def forward(self, x01: Tensor) -> Tensor:
        scores = scores_of(self._model, x01)[1]
        self._done += 1
        self._progress(min(1.0, self._done / self._passes))
        return scores


def scores_of(model: Model, x01: Tensor) -> tuple[Tensor, Tensor]:
    """The model's output (logits, or pooled features where it has no head) and what is explained of it, (B, K)."""
    output = model.module(model.normalise(x01))
    return output, explained(model, output)


def explained(model: Model, output: Tensor) -> Tensor:
    """What is explained of a model's output, (B, K): its logits, or the norm of the feature where it has no head.

    Where several classes are asked about as one, the last column is their score.
    """
    return output.norm(dim=1, keepdim=True) if model.headless else with_score(model, output)


BASELINES = {
    "mean": Message("the colour that normalisation maps to zero: the data set's mean"),
    "black": Message("black"),
    "white": Message("white"),
}
REFERENCE = Message(
    "reference picture: {choices}",
    choices=listed([listed(one, "{first}: {rest}") for one in BASELINES.items()], "{first}; {rest}"),
)


def baseline_like(model: Model, x01: Tensor, name: str) -> Tensor:
    """The reference picture of a batch's shape, in 0..1."""
    if name == "mean":
        return x01.new_tensor(model.mean_colour).view(1, -1, 1, 1).expand_as(x01).contiguous()
    return torch.full_like(x01, float(name == "white"))


def largest(gradient: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, H, W): of the three channels' values the one of the largest magnitude, with its sign."""
    return gradient.gather(1, gradient.abs().argmax(1, keepdim=True)).squeeze(1)


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put back what a library leaves on the modules when it fails: hooks, attributes, training flags.

    Captum removes its hooks on success; DeepLIFT also leaves tensors on modules that its backward pass did not reach.
    """
    kept = [
        (one, set(one.__dict__), one.training, [set(getattr(one, hooks)) for hooks in _HOOKS])
        for one in module.modules()
    ]
    try:
        yield
    finally:
        for one, names, training, hooks in kept:
            one.training = training
            for name in set(one.__dict__) - names:
                delattr(one, name)
            for attribute, known in zip(_HOOKS, hooks):
                for handle in set(getattr(one, attribute)) - known:
                    del getattr(one, attribute)[handle]


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

METHODS: Registry[type[Method]] = Registry("attribution method")


def method_title(name: str) -> str:
    """A method's name for people: "Grad-CAM" of "gradcam"; what is no method's name stays as it is."""
    entry = METHODS.get(name)
    return name if entry is None else Message(entry.title or name.replace("_", " "))
