"""Vision models of the transformers library, as `explorer.load` gives them: ``hf:ORG/NAME``.

The network is one of the library's own classes, built from numbers of the repository's config.json; code that lies in a
repository is never run, and weights are read from safetensors alone.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from explorer.blocks import BLOCKS
from explorer.errors import ExplorerError, ModelError, ParameterError, UnknownNameError, WeightsError
from explorer.messages import Message
from explorer.models.backbone import first_line
from explorer.models.hub import hub_file
from explorer.models.labels import NAME_KEYS, class_names
from explorer.models.model import Model
from explorer.models.sizes import Limits, Size, check_numbers, counted, size_on_meta
from explorer.models.spec import ModelSpec, WeightsState
from explorer.models.weights import check_finite, hub_parts, read_json, read_parts
from explorer.seeding import Seeded
from explorer.wrapping.preparation import prepared
from explorer.wrapping.wrap import wrapped

#: What is read as the picture's feature of a network that was published as a pair of towers.
_TOWERS: Mapping[str, tuple[str, str]] = {
    "clip": ("CLIPVisionModelWithProjection", "vision_config"),
    "clip_vision_model": ("CLIPVisionModelWithProjection", ""),
    "siglip": ("SiglipVisionModel", "vision_config"),
    "siglip_vision_model": ("SiglipVisionModel", ""),
    "metaclip_2": ("MetaClip2VisionModelWithProjection", "vision_config"),
}
#: Entries of a config.json that would fetch something else, run code or choose another arithmetic.
_LEFT_OUT = frozenset(
    {
        *("auto_map", "custom_pipelines", "quantization_config", "fusion_config", "kernel_config", "use_kernels"),
        *("attn_implementation", "experts_implementation", "transformers_weights", "distributed_config", "dtype"),
        *("torch_dtype", "backbone", "use_timm_backbone", "use_pretrained_backbone", "name_or_path"),
        *("output_attentions", "output_hidden_states", "return_dict", "use_return_dict", "torchscript"),
    }
)
#: The library puts other functions in the place of torch's while it builds: one network at a time.
_BUILDING = threading.Lock()


class _Published(NamedTuple):
    """What a repository says of its model.

    Attributes:
        folder: in which its files lie.
        stored: its config.json.
        network: the library's class of it.
        config: the library's configuration of it.
        tower: whether it is one tower of a pair.
        classes: whether its outputs are classes.
    """

    folder: Path
    stored: Mapping[str, Any]
    network: type[nn.Module]
    config: Any
    tower: bool
    classes: bool


def size_of(spec: ModelSpec, token: bool | None = None, limits: Limits = Limits()) -> Size:  # noqa: B008 - frozen
    """What a model takes, counted on torch's meta device."""
    found = _published(spec, token)
    with torch.device("meta"), counted(spec, limits):
        skeleton = _built(spec, found)
    return size_on_meta(_Answer(skeleton), spec.input_size or _side(found), spec, _channels(found, spec))


def load(
    spec: ModelSpec,
    device: torch.device,
    token: bool | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Model:
    """Return a model with its published weights, random ones, or those of a safetensors file.

    Raises UnknownNameError; WeightsError; ModelError for what is no vision model of the library's, or would run code of
    the repository; ParameterError for options, which it takes none; and the errors of `explorer.wrapping.wrap.wrapped`.
    """
    if spec.options or spec.preprocessing:
        raise ParameterError(
            Message("'{spec}': a model of transformers' is as it is published; it takes no options", spec=spec)
        )
    if spec.block is not None and spec.block not in BLOCKS:
        raise UnknownNameError("block", spec.block, BLOCKS)
    found = _published(spec, token)
    limits.check(spec, size_of(spec, token, limits))
    processor, notes = _processor(found, spec, token)
    state: WeightsState = "random" if spec.origin == "random" else "pretrained"
    files: tuple[str | Path, ...] = ()
    if spec.weights_file is not None:
        state, files = "file", (spec.weights_file,)
    elif state == "pretrained":
        files = hub_parts(spec.source.name, token, token is not False)
    module = _built(spec, found, files)
    told = prepared(processor, _side(found), _channels(found, spec))
    size = told["input_size"] = spec.input_size or told["input_size"]
    own = _side(found)
    if size != own and "interpolate_pos_encoding" in inspect.signature(module.forward).parameters:
        module.register_forward_pre_hook(_interpolating, with_kwargs=True)
    if getattr(processor, "do_flip_channel_order", False):
        module.register_forward_pre_hook(_bgr)
        notes = [*notes, Message("its channels are given to it as blue, green, red, as it was trained")]
    names = class_names(found.stored, int(found.config.num_labels)) if found.classes else None
    return wrapped(
        spec,
        module.to(device),
        labels=names.names if names else None,
        label_source=names.source if names else "",
        head=spec.head,
        config=found.stored,
        headless="" if found.classes else _why_none(found),
        state=state,
        notes=(*notes, *(names.notes if names else ())),
        **told,
    )


# ------------------------------------------------------------------------------------------------ what is published


def _library(spec: ModelSpec) -> ModuleType:
    """The library; raises ModelError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise ModelError(
            Message(
                "'{spec}' is built by the package transformers, which is not installed here: "
                "pip install 'attention-explorer[transformers]'",
                spec=spec,
            )
        ) from None
    return transformers


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the library neither draw bars nor warn of what is checked here, and leave its settings as they were."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _published(spec: ModelSpec, token: bool | None) -> _Published:
    """Find out what a repository holds; raises ModelError, and WeightsError where it cannot be had."""
    library = _library(spec)
    file = hub_file(spec.source.name, "config.json", token, token is not False)
    if file is None:
        raise ModelError(Message("'{spec}': the repository has no config.json", spec=spec))
    return _read(str(spec.source), file, library.__version__, _mark(file))


def _mark(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _read(source: str, file: Path, _version: str, _mark: tuple[int, int]) -> _Published:
    import transformers
    from transformers.models.auto import modeling_auto as auto

    stored = read_json(file)
    kind = stored.get("model_type")
    if not isinstance(kind, str):
        raise ModelError(
            Message(
                "'{source}': its config.json names no model_type of transformers'; a model of timm's is written "
                "hf-hub:ORG/NAME",
                source=source,
            )
        )
    if kind in ("timm_wrapper", "timm_backbone"):
        raise ModelError(
            Message("'{source}' is a model of timm's; write it with hf-hub: instead of hf:", source=source)
        )
    if kind not in transformers.CONFIG_MAPPING:
        why = (
            Message("its network is code that lies in the repository, which is not run here")
            if "auto_map" in stored
            else Message("the installed transformers {version} does not know it", version=transformers.__version__)
        )
        raise ModelError(Message("'{source}' is of model_type '{kind}', and {why}", source=source, kind=kind, why=why))
    named = stored.get("architectures")
    first = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    classifiers = auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(kind, ())
    classifiers = (classifiers,) if isinstance(classifiers, str) else classifiers
    tower, part = _TOWERS.get(kind, ("", ""))
    base = auto.MODEL_FOR_IMAGE_MAPPING_NAMES.get(kind, "")
    name = first if first in classifiers else tower or base
    if not name:
        raise ModelError(
            Message(
                "'{source}' is a {name}; of transformers' models those that classify pictures are served, and image "
                "towers and backbones that give a feature of the whole picture. Any other is served by explorer.wrap",
                source=source,
                name=first or kind,
            )
        )
    fields = _clean(stored)
    check_numbers({key: value for key, value in fields.items() if key not in NAME_KEYS}, source)
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(fields)
        if name == tower and part:
            whole = config
            config = getattr(whole, part)
            config.projection_dim = getattr(whole, "projection_dim", getattr(config, "projection_dim", None))
    except Exception as error:
        raise ModelError(
            Message("'{source}': its config.json cannot be used: {error}", source=source, error=first_line(error))
        ) from error
    return _Published(
        file.parent, stored, getattr(transformers, name), config, bool(tower) and name == tower, name in classifiers
    )


def _clean(value: Any) -> Any:
    """A config.json without the entries that are not numbers of the network."""
    if isinstance(value, Mapping):
        return {
            key: one if key in NAME_KEYS else _clean(one)
            for key, one in value.items()
            if key not in _LEFT_OUT and not str(key).startswith("_")
        }
    return [_clean(one) for one in value] if isinstance(value, list) else value


def _why_none(found: _Published) -> str:
    if found.tower:
        return Message(
            "this is the image tower of a model of pictures and texts; its outputs are an embedding, not classes"
        )
    return Message("this model has no classification head; what it gives is a feature vector")


# ------------------------------------------------------------------------------------------------------- the network


class _Answer(nn.Module):
    """A network that is counted: what it gives is nobody's concern."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> Any:
        return self.network(x)


def _built(spec: ModelSpec, found: _Published, files: Sequence[str | Path] = ()) -> nn.Module:
    """The network, with the weights of files or random ones; raises ModelError and WeightsError."""
    tensors = read_parts(files) if files else None
    if tensors is not None:
        check_finite(tensors, str(spec.source if spec.weights_file is None else Path(spec.weights_file).name))
    network: Any = found.network
    try:
        with _BUILDING, _quiet():
            if tensors is None:
                with Seeded(spec.seed):
                    made: nn.Module = network(found.config)
                return made.float() if spec.origin == "random" else made
            module, told = network.from_pretrained(
                None,
                config=found.config,
                state_dict=tensors,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except ExplorerError:
        raise
    except Exception as error:
        raise ModelError(Message("'{spec}' cannot be built: {error}", spec=spec, error=first_line(error))) from error
    _check_fit(spec, told)
    fitted: nn.Module = module
    return fitted


def _check_fit(spec: ModelSpec, told: Mapping[str, Any]) -> None:
    """Raise a WeightsError where the file lacked a tensor of the network, or had it in another shape."""
    where = str(spec.source) if spec.weights_file is None else Path(spec.weights_file).name
    if differing := sorted(told["mismatched_keys"], key=str):
        name, stored, expected = differing[0]
        raise WeightsError(
            Message(
                "the weights of '{where}' do not fit: '{name}' is {stored}, and {expected} is expected",
                where=where,
                name=name,
                stored=tuple(stored),
                expected=tuple(expected),
            )
        )
    if missing := sorted(told["missing_keys"]):
        raise WeightsError(
            Message(
                "the weights of '{where}' do not fit: {count} tensors of the network are missing, first '{name}'",
                where=where,
                count=len(missing),
                name=missing[0],
            )
        )


def _interpolating(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Let tables of positions be enlarged to another input size than their own."""
    return args, {**kwargs, "interpolate_pos_encoding": True}


def _bgr(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (args[0].flip(1), *args[1:])


def _side(found: _Published) -> tuple[int, int]:
    """(height, width) of the input that the network's own configuration says, px; 224 where it says none."""
    size = getattr(found.config, "image_size", None) or 224
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _channels(found: _Published, spec: ModelSpec) -> int:
    """How many channels the network reads; raises ModelError for a number that no picture is made into."""
    channels = getattr(found.config, "num_channels", 3)
    if channels not in (1, 3, 4):
        raise ModelError(
            Message(
                "'{name}' reads {channels} channels; models of 1 (grey), 3 (red, green, blue) or 4 are served",
                name=spec,
                channels=channels,
            )
        )
    return int(channels)


def _processor(found: _Published, spec: ModelSpec, token: bool | None) -> tuple[Any, list[str]]:
    """The library's own preparation of pictures, and what has to be said of it; None where there is none."""
    import transformers
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING

    for name in ("preprocessor_config.json", "processor_config.json"):
        file = hub_file(spec.source.name, name, token, token is not False)
        if file is None:
            continue
        try:
            return (
                transformers.AutoImageProcessor.from_pretrained(
                    str(file.parent), local_files_only=True, trust_remote_code=False
                ),
                [],
            )
        except Exception as error:
            raise ModelError(
                Message(
                    "'{spec}': its {file} says no preparation of pictures that transformers knows: {error}",
                    spec=spec,
                    file=name,
                    error=first_line(error),
                )
            ) from error
    known: Any = IMAGE_PROCESSOR_MAPPING.get(type(found.config), None) or ()
    kinds = [one for one in (known.values() if isinstance(known, Mapping) else known) if one is not None]
    said = Message(
        "its repository does not say how pictures are prepared; they are prepared as transformers does for its kind"
    )
    return (kinds[0]() if kinds else None), [said]
