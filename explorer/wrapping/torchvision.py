"""torchvision's classification models, as `explorer.load` gives them: ``tv:NAME``."""

from __future__ import annotations

import fnmatch
from typing import Any

import timm
import torch
from torch import nn
from torchvision import models as tv

from explorer.blocks import BLOCKS
from explorer.errors import ModelError, ParameterError, UnknownNameError, WeightsError
from explorer.messages import Message
from explorer.models.backbone import first_line
from explorer.models.catalogue import CatalogueEntry, Unfilled, wanted_by
from explorer.models.model import Model
from explorer.models.sizes import Limits, Size, size_on_meta
from explorer.models.spec import ModelSpec
from explorer.models.weights import lay_over, read_tensors, unlike
from explorer.seeding import Seeded
from explorer.wrapping.wrap import wrapped


def names() -> list[str]:
    """torchvision's classification models."""
    return tv.list_models(module=tv)


def search(pattern: str = "") -> list[str]:
    """Which of them have this in their name? As ``tv:NAME``; patterns as of `explorer.models.catalogue.search`."""
    wanted = wanted_by(pattern)
    return [f"tv:{name}" for name in names() if fnmatch.fnmatch(f"tv:{name}", wanted) or fnmatch.fnmatch(name, wanted)]


def describe(name: str) -> tuple[CatalogueEntry, nn.Module]:
    """What is ``tv:NAME``? Its entry, parameters counted, and its modules on the meta device."""
    spec = ModelSpec.parse(f"random/{name}")
    with torch.device("meta"), Unfilled():
        module = _build(spec)
    entry = CatalogueEntry(
        name=str(spec.source),
        family=type(module).__module__.rpartition(".")[2],
        tags=(),
        downloadable=(),
        input_size=_size(spec),
        num_classes=len(tv.get_model_weights(spec.source.name).DEFAULT.meta["categories"]),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )
    return entry, module


def size_of(spec: ModelSpec, _token: bool | None, _limits: Limits) -> Size:
    """What a model takes, counted on torch's meta device."""
    height, width = _size(spec)
    with torch.device("meta"):
        skeleton = _build(spec)
    return size_on_meta(skeleton, (height, width), spec)


def load(spec: ModelSpec, device: torch.device, _token: bool | None, limits: Limits) -> Model:
    """Return a model with random weights, or those of a safetensors file.

    Raises UnknownNameError; WeightsError for weights as torchvision publishes them, which are pickles; ParameterError
    for options, which it takes none; and the errors of `explorer.wrapping.wrap.wrapped`.
    """
    if spec.options or spec.preprocessing:
        raise ParameterError(
            Message("'{spec}': a model of torchvision's is as it is there; it takes no options", spec=spec)
        )
    if spec.block is not None and spec.block not in BLOCKS:
        raise UnknownNameError("block", spec.block, BLOCKS)
    limits.check(spec, size_of(spec, None, limits))
    tensors = None if spec.weights_file is None else read_tensors(spec.weights_file)
    if tensors is None and spec.origin != "random":
        same = timm.list_pretrained(f"{spec.source.name}.tv_*")
        raise WeightsError(
            Message(
                "the weights of '{spec}' are published only as .pth, not as safetensors; such a file can run code when "
                "it is read, so it is refused. Give a safetensors file of weights, or use {others}",
                spec=spec,
                others=", ".join([*same[:1], f"random/{spec.backbone}"]),
            )
        )
    labels = tv.get_model_weights(spec.source.name).DEFAULT.meta["categories"]
    own: dict[str, int] = {}
    if tensors is not None:
        with torch.device("meta"):
            own = unlike(_build(spec), tensors, len(labels))
        own.pop("in_chans", None)  # its networks read three
    with Seeded(spec.seed):
        module = _build(spec, **own)
    if tensors is not None:
        lay_over(module, tensors, str(spec.weights_file))
    preset = _preset(spec.source.name)
    named = {} if own else {"labels": labels, "label_source": Message("torchvision's names of ImageNet's classes")}
    return wrapped(
        spec,
        module.to(device),
        input_size=_size(spec),
        mean=preset.mean,
        std=preset.std,
        **named,
        head=spec.head,
        state="random" if tensors is None else "file",
        interpolation=preset.interpolation.value,
        crop_pct=preset.crop_size[0] / preset.resize_size[0],
    )


def _preset(name: str) -> Any:
    """How torchvision prepares a model's pictures."""
    return tv.get_model_weights(name).DEFAULT.transforms()


def _size(spec: ModelSpec) -> tuple[int, int]:
    """(height, width) of a model's input, px; raises UnknownNameError."""
    if spec.source.name not in names():
        raise UnknownNameError(Message("model of torchvision's"), spec.source.name, names())
    if spec.input_size is not None:
        return spec.input_size
    side = _preset(spec.source.name).crop_size[0]
    return side, side


def _build(spec: ModelSpec, **own: int) -> nn.Module:
    """The network, without weights, for the spec's input size; ``own`` as torchvision takes it; raises ModelError."""
    name, (height, width) = spec.source.name, _size(spec)
    arguments: dict[str, Any] = dict(own)
    if name.startswith("vit_"):
        arguments["image_size"] = height
    elif name.startswith("maxvit_"):
        arguments["input_size"] = (height, width)
    elif name in ("inception_v3", "googlenet"):  # or torchvision warns that this may change
        arguments["init_weights"] = True
    try:
        return tv.get_model(name, weights=None, **arguments)
    except Exception as error:
        raise ModelError(
            Message(
                "'{name}' cannot be built with an input of {width} x {height} px: {error}",
                name=name,
                width=width,
                height=height,
                error=first_line(error),
            )
        ) from error
