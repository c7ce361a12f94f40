"""What a method has to know of a network before it runs: its nonlinearities, and whether rollout is defined.

Module lists alone do not tell: a ReLU may be a function call, or one module called twice. So one forward pass of a
grey picture is watched, once for each network, and what it showed is remembered while the network lives.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer.attention import rollout
from explorer.attention.watch import recording
from explorer.messages import Message

if TYPE_CHECKING:
    from explorer.models.model import Model

_NAMES = """
relu relu_ relu6 hardtanh hardtanh_ gelu silu mish hardswish hardsigmoid leaky_relu leaky_relu_ elu elu_ selu celu prelu
sigmoid sigmoid_ logsigmoid tanh tanh_ softplus softsign softmax log_softmax glu
max_pool2d layer_norm group_norm normalize
"""
_NONLINEAR: dict[Any, str] = {
    getattr(owner, name): name.rstrip("_")
    for owner in (F, torch, Tensor)
    for name in _NAMES.split()
    if callable(getattr(owner, name, None))
}
_NONLINEAR[F.scaled_dot_product_attention] = "attention"


@dataclass(frozen=True)
class Nonlinearity:
    """One nonlinear operation of a forward pass: its name, and path, class and number of calls of its module."""

    name: str
    path: str
    module: type[nn.Module]
    calls: int


@dataclass(eq=False)
class _Callers(TorchFunctionMode):
    stack: list[tuple[str, nn.Module]]
    seen: list[tuple[str, str, type[nn.Module]]]

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _NONLINEAR and self.stack:
            path, module = self.stack[-1]
            self.seen.append((_NONLINEAR[func], path, type(module)))
        return out


_nonlinearities: WeakKeyDictionary[nn.Module, tuple[Nonlinearity, ...]] = WeakKeyDictionary()
_rollouts: WeakKeyDictionary[nn.Module, tuple[str | None, str | None]] = WeakKeyDictionary()


def nonlinearities(model: Model) -> tuple[Nonlinearity, ...]:
    """The nonlinear operations of one forward pass, one entry for each module and operation, in order."""
    with model.lock:
        if model.module not in _nonlinearities:
            _nonlinearities[model.module] = _watched(model)
        return _nonlinearities[model.module]


def rollouts(model: Model) -> tuple[str | None, str | None]:
    """Why attention rollout and why gradient rollout are not defined for a model; None where they are."""
    with model.lock:
        if model.module not in _rollouts:
            with recording(model, values=True) as recorder:
                grey(model)
            placed = [pair for pair in recorder.placed() if pair[1].kind == "pairwise"]
            plain = rollout.why_not([one for _, one in placed])
            closed = (one.layer for operations, one in placed if rollout.differentiable(operations, one) is None)
            layer = next(closed, None)
            weighted = (
                None
                if layer is None
                else Message("{layer}: the gradient of its attention map cannot be had", layer=layer)
            )
            _rollouts[model.module] = (plain, plain or weighted)
        return _rollouts[model.module]


def grey(model: Model) -> None:
    """Run a model once on a grey picture."""
    with torch.inference_mode():
        picture = torch.full((1, 3, *model.input_size), 0.5, device=model.device)
        model.module(model.normalise(picture))


def _watched(model: Model) -> tuple[Nonlinearity, ...]:
    watch = _Callers([], [])
    calls: dict[str, int] = {}
    with ExitStack() as hooks:
        for path, module in model.module.named_modules():

            def enter(module: nn.Module, args: Any, path: str = path) -> None:  # noqa: ARG001 - signature of a hook
                watch.stack.append((path, module))
                calls[path] = calls.get(path, 0) + 1

            def leave(module: nn.Module, args: Any, out: Any) -> None:  # noqa: ARG001 - signature of a hook
                watch.stack.pop()

            hooks.callback(module.register_forward_pre_hook(enter).remove)
            hooks.callback(module.register_forward_hook(leave).remove)
        with watch:
            grey(model)
    entries = dict.fromkeys(watch.seen)
    return tuple(Nonlinearity(name, path, module, calls[path]) for name, path, module in entries)
