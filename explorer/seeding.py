"""Random weights that depend on a seed alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DRAWS: frozenset[Any] = frozenset(
    [
        *(getattr(Tensor, name) for name in ("normal_", "uniform_", "bernoulli_", "exponential_", "random_")),
        *(getattr(Tensor, name) for name in ("log_normal_", "cauchy_", "geometric_", "multinomial")),
        *(getattr(torch, name) for name in ("rand", "randn", "randint", "randperm", "normal", "bernoulli")),
        torch.multinomial,
    ]
)

#: Modules of functions that fill a tensor; transformers puts its own in the place of torch's while it builds a network.
_INITS = frozenset(("torch.nn.init", "transformers.initialization"))


@lru_cache(maxsize=256)
def _takes_generator(function: Callable[..., Any]) -> bool:
    if function in _DRAWS:
        return True
    if getattr(function, "__module__", "") not in _INITS:
        return False
    return "generator" in inspect.signature(function).parameters


class Seeded(TorchFunctionMode):
    """Draw every random number of this thread from a generator of its own.

    Same numbers as after ``torch.manual_seed(seed)``, but the global generator is neither used nor moved, so modules
    can be built in many threads at once.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if _takes_generator(func) and kwargs.get("generator") is None:
            kwargs["generator"] = self._generator
        return func(*args, **kwargs)
