"""Which models are there? A search over timm's names, without building or fetching anything.

torchvision's are searched by `explorer.wrapping.torchvision.search`.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models import (
    get_arch_pretrained_cfgs,
    get_pretrained_cfg,
    list_models,
    model_entrypoint,
    split_model_name_tag,
)
from torch import nn
from torch.overrides import TorchFunctionMode

from explorer.errors import ModelError, UnknownNameError
from explorer.messages import Message


@dataclass(frozen=True)
class CatalogueEntry:
    """One architecture.

    Attributes:
        name: the architecture's name, of torchvision's as ``tv:NAME``; the default weights' tag is the first of
            ``tags``.
        family: the source file of it ("swin_transformer").
        tags: the weights published for it; "" stands for weights without a tag.
        downloadable: the tags whose weights are on the hub, where alone safetensors are; others cannot be loaded.
        input_size: (height, width) in pixels, of the default weights.
        num_classes: outputs, of the default weights; 0 without a head.
        parameters: number of parameters, or None where it was not built; ``describe`` counts them.
    """

    name: str
    family: str
    tags: tuple[str, ...]
    downloadable: tuple[str, ...]
    input_size: tuple[int, int]
    num_classes: int
    parameters: int | None = None


def search(pattern: str = "", limit: int | None = 50) -> list[CatalogueEntry]:
    """Which models have this in their name or tag? Sorted as timm sorts them.

    Args:
        pattern: a part of the name or of ``name.tag``, case ignored; with * or ? a pattern for all of it.
        limit: at most so many entries, or None for all.
    """
    wanted = wanted_by(pattern)
    found: list[CatalogueEntry] = []
    for name in list_models():
        if limit is not None and len(found) >= limit:
            break
        tagged = list(get_arch_pretrained_cfgs(name)) if "." in wanted or not fnmatch.fnmatch(name, wanted) else []
        if fnmatch.fnmatch(name, wanted) or any(fnmatch.fnmatch(full.lower(), wanted) for full in tagged):
            found.append(_entry(name))
    return found


def wanted_by(pattern: str) -> str:
    """A part of a name, or a pattern of all of it, as a pattern in lower case."""
    wanted = pattern.strip().lower()
    return wanted if any(mark in wanted for mark in "*?[") else f"*{wanted}*"


def describe(name: str) -> tuple[CatalogueEntry, nn.Module]:
    """What is this model? Its entry, parameters counted, and its modules on the meta device (no memory, no weights).

    Raises UnknownNameError, or ModelError where it cannot be built.
    """
    architecture, tag = split_model_name_tag(name)
    tagged = get_arch_pretrained_cfgs(architecture)
    if architecture not in list_models() or (tag and name not in tagged):
        raise UnknownNameError("model", name, [*list_models(), *tagged])
    try:
        with torch.device("meta"), Unfilled():
            module = timm.create_model(name, pretrained=False)
    except Exception as error:
        raise ModelError(Message("'{name}' cannot be built: {error}", name=name, error=error)) from error
    entry = _entry(architecture, name, sum(parameter.numel() for parameter in module.parameters()))
    return entry, module


class Unfilled(TorchFunctionMode):
    """Meta tensors hold no numbers: initialising them takes most of the time and does nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        filled = args[0] if args and getattr(func, "__name__", "") in _FILLING else None
        if isinstance(filled, torch.Tensor) and filled.is_meta:
            return filled
        return func(*args, **(kwargs or {}))


_FILLING = frozenset(("normal_", "uniform_", "erfinv_", "clamp_", "mul_", "add_", "fill_", "zero_"))


def _entry(architecture: str, name: str | None = None, parameters: int | None = None) -> CatalogueEntry:
    configs = get_arch_pretrained_cfgs(architecture)
    weighted = {full.partition(".")[2]: config for full, config in configs.items() if config.has_weights}
    default = get_pretrained_cfg(name or architecture)
    size = (224, 224) if default is None else (int(default.input_size[1]), int(default.input_size[2]))
    return CatalogueEntry(
        name=architecture,
        family=model_entrypoint(architecture).__module__.rpartition(".")[2],
        tags=tuple(weighted),
        downloadable=tuple(tag for tag, config in weighted.items() if config.hf_hub_id),
        input_size=size,
        num_classes=1000 if default is None else int(default.num_classes),
        parameters=parameters,
    )
