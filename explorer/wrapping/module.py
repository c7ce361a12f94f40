"""Modules that this program wrapped, by the text of their spec: ``module:CLASS@KEY``.

The key is made of the weights and of what `explorer.wrap` was told, so that one text means one thing. It loads as long
as the model that `explorer.wrap` returned is alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import nn

from explorer.errors import ModelError
from explorer.messages import Message
from explorer.models.model import Model
from explorer.models.sizes import Limits, Size
from explorer.models.spec import ModelSpec
from explorer.models.weights import fingerprint

_ALIVE: WeakValueDictionary[ModelSpec, Model] = WeakValueDictionary()


def spec_of(module: nn.Module, told: Mapping[str, Any]) -> ModelSpec:
    """The spec of a module, and of what `explorer.wrap` is told of it."""
    said = {name: _written(one) if callable(one) else one for name, one in told.items()}
    key = sha256(f"{fingerprint(module)} {said!r}".encode()).hexdigest()
    return ModelSpec(f"module:{type(module).__name__}@{key[:12]}")


def _written(function: Any) -> Any:
    """A function's name and what it does, so that two without a name are two; where it lies in memory says nothing."""
    name, code = getattr(function, "__qualname__", type(function).__qualname__), getattr(function, "__code__", None)
    if code is None:
        return name
    constants = [one for one in code.co_consts if not hasattr(one, "co_code")]
    return name, code.co_code.hex(), code.co_names, constants


def keep(model: Model) -> None:
    """Let `explorer.load` find a model as long as it is alive."""
    _ALIVE[model.spec] = model


def size_of(spec: ModelSpec, _token: bool | None, _limits: Limits) -> Size:
    """What a wrapped module takes; raises ModelError as `load` does."""
    return Size(_found(spec).nbytes, None)


def load(spec: ModelSpec, _device: torch.device, _token: bool | None, _limits: Limits) -> Model:
    """Return the model that this program wrapped; raises ModelError where there is none, or with other settings."""
    return _found(spec)


def _found(spec: ModelSpec) -> Model:
    found = _ALIVE.get(spec)
    if found is None:
        raise ModelError(
            Message(
                "'{spec}' is a module of somebody's own, and no such model is alive in this program: give the module "
                "to explorer.wrap, and keep the model that it returns. It is as it was wrapped: no other weights, size "
                "or block can be asked for by its text",
                spec=spec,
            )
        )
    return found
