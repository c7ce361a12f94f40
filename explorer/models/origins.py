"""Who builds a model, where it is not timm: by the origin that its spec names.

An origin lies in a room above this one, so it is named here as text and imported when a spec asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, cast

import torch

from explorer.models.model import Model
from explorer.models.sizes import Limits, Size
from explorer.models.spec import ModelSpec, Origin, Scheme

#: The module of each origin, which has the two functions of a `Builder`.
ORIGINS: Mapping[Origin, str] = MappingProxyType({"lab": "explorer.lab.origin"})
#: The same of each scheme of a source.
SCHEMES: Mapping[Scheme, str] = MappingProxyType(
    {
        "tv": "explorer.wrapping.torchvision",
        "hf": "explorer.wrapping.transformers",
        "module": "explorer.wrapping.module",
    }
)


class Builder(Protocol):
    """What builds the models of an origin."""

    def load(self, spec: ModelSpec, device: torch.device, token: bool | None, limits: Limits) -> Model:
        """Return the live model of a spec; arguments and errors as of `explorer.load`."""

    def size_of(self, spec: ModelSpec, token: bool | None, limits: Limits) -> Size:
        """Return what it would take, before it is built."""


def builder_of(spec: ModelSpec) -> Builder | None:
    """Return what builds a spec's model, or None where timm does."""
    module = ORIGINS.get(spec.origin) or SCHEMES.get(spec.source.scheme)
    return None if module is None else cast(Builder, import_module(module))
