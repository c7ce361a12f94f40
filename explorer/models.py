"""From a ModelSpec to a live model: timm creation, weights, preprocessing, class names, device, inserted block."""

from __future__ import annotations

import json
import os
import textwrap
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import timm
import torch
from PIL import Image
from timm.data.config import resolve_model_data_config
from timm.data.imagenet_info import infer_imagenet_subset
from timm.data.transforms_factory import create_transform
from timm.layers.patch_embed import PatchEmbed
from timm.models import (
    PretrainedCfg,
    get_arch_pretrained_cfgs,
    get_deprecated_models,
    get_pretrained_cfg,
    is_model,
    list_models,
    split_model_name_tag,
)
from timm.models._hub import load_model_config_from_path
from torch import Tensor, nn

from explorer.blocks import BLOCKS
from explorer.blocks.insertion import insert
from explorer.counting import MultiplyAdds
from explorer.errors import ExplorerError, ModelError, ParameterError, UnknownNameError, WeightsError
from explorer.heads import CONFIG_KEYS, Head, find_head
from explorer.images import MAX_ASPECT
from explorer.lab import networks, scenes
from explorer.labels import NAME_KEYS, Names, class_names, headless_reason
from explorer.seeding import Seeded
from explorer.sizes import Limits, Size, check_numbers, counted, nbytes_of
from explorer.stages import Stage, find_stages
from explorer.types import HeadKind, ModelSpec, Source, WeightsState
from explorer.weights import (
    FITTED,
    check_finite,
    check_readable,
    fingerprint,
    fitted_names,
    folder_weights,
    hub_file,
    hub_weights,
    lay_over,
    read_config,
    read_note,
    read_tensors,
)

#: What ``ModelSpec.preprocessing`` may override.
PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "crop_mode")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
#: Arguments of timm.create_model that the other fields of a ModelSpec stand for, or that could read a pickle.
_RESERVED = frozenset(
    {
        *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args", "pretrained_strict"),
        *("pretrained_filter_fn", "checkpoint_path", "cache_dir", "model_name", "features_only", "out_indices"),
        *("in_chans", "img_size", "scriptable", "exportable", "no_jit"),
    }
)


def _numbers(value: Any) -> bool:
    """Whether a value is a list of finite numbers."""
    return isinstance(value, (list, tuple)) and all(_number(one) for one in value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


#: What a configuration's preprocessing has to be, and how that is said.
_EXPECTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "input_size": (
        lambda size: _numbers(size) and len(size) == 3 and all(isinstance(one, int) and one > 0 for one in size),
        "(channels, height, width) is expected",
    ),
    "mean": (lambda mean: _numbers(mean) and len(mean) in (1, 3), "three numbers are expected"),
    "std": (lambda std: _numbers(std) and len(std) in (1, 3) and all(std), "three numbers other than 0 are expected"),
    "interpolation": (lambda name: name in list(_INTERPOLATIONS), f"one of {', '.join(_INTERPOLATIONS)} is expected"),
    "crop_pct": (lambda share: _number(share) and 0 < share <= 1, "a number above 0 and at most 1 is expected"),
}


@dataclass(eq=False)
class Model:
    """A live model, ready to answer; it belongs to a store, never to a session.

    Attributes:
        spec: what was asked for.
        module: the network, in eval mode, no parameter asks for a gradient.
        architecture: timm's name of it, without tag.
        input_size: (height, width) of its input, px.
        mean: per channel, of a picture in 0..1.
        std: per channel, of a picture in 0..1.
        interpolation: how pictures are resized.
        crop_pct: share of the resized picture's shorter side that is seen.
        labels: class names by index, or () where they are not known.
        num_classes: number of outputs that are classes; 0 without a head.
        headless: whether the outputs are no classes.
        headless_reason: why, in a sentence, or "".
        stages: its stages, stems left out.
        device: where it lives.
        state: what its weights are (of the backbone, where a block is inserted).
        inserted: dotted path of the inserted block, or None.
        inserted_state: what the inserted block's weights are.
        nbytes: bytes of its parameters and buffers.
        parameters: number of its parameters.
        lock: hold it while hooking into the module.
        head: how its outputs are read.
        label_source: where the class names are from, in words.
        notes: what has to be said beside its answers: of its head and its class names.
    """

    spec: ModelSpec
    module: nn.Module
    architecture: str
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    labels: tuple[str, ...]
    num_classes: int
    headless_reason: str
    stages: tuple[Stage, ...]
    device: torch.device
    state: WeightsState
    inserted: str | None
    inserted_state: WeightsState
    nbytes: int
    parameters: int
    transform: Any = field(repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    head: Head = Head()  # noqa: RUF009 - frozen
    label_source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._mean = torch.tensor(self.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(self.std, device=self.device).view(1, -1, 1, 1)

    @property
    def headless(self) -> bool:
        """Whether the outputs are no classes."""
        return bool(self.headless_reason)

    def preprocess(self, image: Image.Image) -> Tensor:
        """Bring a picture to the model's input as timm does: (1, 3, H, W) float32 in 0..1, on the device."""
        image = image.convert("RGB")
        width, height = image.size
        short = min(width, height)
        if max(width, height) > MAX_ASPECT * short:
            # 1 x 5000 px would first grow to 248 x 1,240,000; only its centre is ever seen.
            keep_w, keep_h = min(width, MAX_ASPECT * short), min(height, MAX_ASPECT * short)
            left, top = (width - keep_w) // 2, (height - keep_h) // 2
            image = image.crop((left, top, left + keep_w, top + keep_h))
        return self.transform(image).float().div(255).unsqueeze(0).to(self.device)

    def normalise(self, x: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation: (B, 3, H, W) in 0..1 to the network's own range."""
        return (x - self._mean) / self._std

    def logits(self, x: Tensor) -> Tensor:
        """Return the network's output for pictures (B, 3, H, W) in 0..1: (B, classes), or (B, width) without a head."""
        return self.module(self.normalise(x))

    def pooled(self, x: Tensor) -> Tensor:
        """Return the pooled feature before the classifier for pictures (B, 3, H, W) in 0..1: (B, width)."""
        return self.module.forward_head(self.module.forward_features(self.normalise(x)), pre_logits=True)  # type: ignore[operator]

    def label(self, index: int) -> str:
        """Return the name of a class, or "class 7" where names are not known; `notes` say so."""
        return self.labels[index] if 0 <= index < len(self.labels) else f"class {index}"

    def state_of(self, module_path: str) -> WeightsState:
        """Return what the weights of one module are; an untrained inserted block differs from its backbone."""
        if self.inserted is not None and (module_path + ".").startswith(self.inserted + "."):
            return self.inserted_state
        return self.state


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the memory did not suffice; CUDA has a class for it, of MPS and the CPU it is only said."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "can't allocate memory" in said


def choose_device(name: str | None = None) -> torch.device:
    """Return the device asked for, or the best there is: CUDA, else MPS, else CPU. Raises ParameterError."""
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ParameterError(f"unknown device '{name}'; write cpu, cuda, cuda:1, mps or auto") from None
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise ParameterError(
                f"device '{name}' is not there; this machine has {torch.cuda.device_count()} CUDA GPUs"
            )
        return device if device.index is not None else torch.device("cuda", torch.cuda.current_device())
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ParameterError("device 'mps' is not there; it needs an Apple GPU")
    if device.type not in ("cpu", "mps"):
        raise ParameterError(f"device '{name}' is not supported; write cpu, cuda, mps or auto")
    return device


def load(
    spec: ModelSpec | str,
    device: str | None = None,
    token: bool | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Model:
    """Build the model that a spec describes, with its weights, on a device ("cpu", "cuda:1", "mps"; None chooses).

    What is larger than ``limits`` is refused before it is built. ``token``: False asks the hub as somebody unknown, who
    may have what everybody may; None with this machine's token, if it has one.

    Raises:
        UnknownNameError: no such model, tag or block; the closest names are offered.
        WeightsError: weights that cannot be had, do not fit, are not finite, or would come from a pickle.
        InsertionError: the block cannot stand there.
        ModelError: anything else that cannot be built or run as asked.
        ParameterError: a field of the spec, or the device, is of the wrong form.
    """
    spec = ModelSpec.parse(spec) if isinstance(spec, str) else spec
    where = choose_device(device)
    if spec.origin == "lab":
        return _laboratory(spec, where)
    if spec.block is not None and spec.block not in BLOCKS:
        raise UnknownNameError("block", spec.block, BLOCKS)  # before anything is fetched
    source = _resolve(spec.source, token)
    arguments = _arguments(spec, source)
    limits.check(spec, size_of(spec, token, limits))
    overlay: dict[str, Any] = {}
    state: WeightsState = "random" if spec.origin == "random" else "pretrained"
    tensors, fitted = None, None
    if spec.weights_file is not None:
        tensors, fitted = read_tensors(spec.weights_file), _fitted(spec)
    if tensors is not None and (fitted is None or fitted["whole"]):
        state = "file"
    elif state == "pretrained":
        overlay = _only(source.weights())
    module = _build(source, arguments, spec.seed, overlay)
    if fitted is not None:
        _expect(module, fitted, spec, tensors or {})
    path = overlay.get("file")
    if path is not None:
        check_finite(_trained(module), spec.backbone)
    data = _data_config(spec, source, module)
    height, width = data["input_size"][1:]
    if tensors is not None and fitted is None and not _has_block(tensors):
        lay_over(module, tensors, str(spec.weights_file))
        tensors = None
    module.requires_grad_(False).eval().to(where)
    patches = getattr(module, "patch_embed", None)
    if isinstance(patches, PatchEmbed) and not patches.dynamic_img_pad:
        rows, columns = patches.patch_size
        if height % rows or width % columns:
            # timm would leave out the last pixels, and every map would be drawn askew.
            raise ModelError(
                f"'{spec.backbone}' cuts its input into patches of {columns} x {rows} px, so {width} x "
                f"{height} px is not possible; take multiples"
            )
    probe = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(where)
    try:
        stages, answer = find_stages(module, probe)
    except ExplorerError:
        raise
    except Exception as error:
        own = source.config.get("input_size", (3, 224, 224))
        hint = "" if spec.input_size is None else f" (its own size is {own[2]} x {own[1]} px)"
        what = f"'{spec}' cannot run on an input of {width} x {height} px{hint}"
        raise ModelError(f"{what}: {_first_line(error)}") from error
    inserted = None
    inserted_state: WeightsState = "random" if state == "random" else "identity-init"
    if spec.block is not None:
        inserted = insert(module, stages, spec, probe)
        if tensors is not None:
            place = inserted.rsplit(".", 1)[0]
            part = fitted is not None and not fitted["whole"]
            names = fitted_names(module, place, bool(fitted and fitted["classes"])) if part else None
            lay_over(module, tensors, str(spec.weights_file), names)
            # A fit that never got better keeps what it began with; to call that "file" would claim it had learnt.
            if fitted is None or bool(module.get_parameter(f"{place}.gate") != 0):
                inserted_state = "file"
    elif tensors is not None:
        raise WeightsError(
            f"'{spec.weights_file}' holds an inserted block, but '{spec}' inserts none; add +BLOCK@STAGE"
        )
    outputs = int(answer.shape[-1]) if isinstance(answer, Tensor) else 0
    num_classes = int(getattr(module, "num_classes", outputs))
    if fitted is not None and fitted["classes"]:
        num_classes = len(fitted["classes"])
    head, reason, called = _outputs(spec, source, num_classes, fitted["classes"] if fitted is not None else None)
    num_classes = 0 if reason else num_classes
    return Model(
        spec=spec,
        module=module,
        architecture=source.architecture,
        input_size=(height, width),
        mean=data["mean"],
        std=data["std"],
        interpolation=data["interpolation"],
        crop_pct=float(data["crop_pct"]),
        labels=called.names,
        num_classes=num_classes,
        headless_reason=reason,
        stages=stages,
        device=where,
        state=state,
        inserted=inserted,
        inserted_state=inserted_state,
        nbytes=nbytes_of(module),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        transform=create_transform(**data, normalize=False),
        head=head,
        label_source=called.source,
        notes=tuple(filter(None, (head.note, *called.notes))),
    )


def _outputs(spec: ModelSpec, source: _Source, count: int, fitted: list[str] | None) -> tuple[Head, str, Names]:
    """How ``count`` outputs are read, why they are no classes or "", and what they are called."""
    config = source.stored or source.config
    nameless = Names((), "")
    if fitted is not None:
        if spec.head not in (None, "softmax"):
            raise ParameterError(f"'{spec}' was fitted to classes of which one holds; its head is softmax")
        return Head(), "", Names(tuple(fitted), "folders of the pictures that the file of weights was fitted to")
    if spec.head not in (None, *get_args(HeadKind)):
        raise ParameterError(f"head is one of {', '.join(get_args(HeadKind))}; got '{spec.head}'")
    if count == 0:
        if spec.head in ("softmax", "sigmoid"):
            raise ParameterError(f"'{spec}' has no classifier that could be read as {spec.head}; leave the head out")
        return Head("none"), headless_reason(source.architecture, config, count), nameless
    if spec.head is None and (reason := headless_reason(source.architecture, config, count)):
        return Head("none"), reason, nameless
    # The outputs of timm's own models are classes of which one holds; of others it has to be said.
    published = not source.stored and "num_classes" not in dict(spec.options)
    known = published or infer_imagenet_subset({"num_classes": count}) is not None
    try:
        head, reason = find_head(spec.head, config, count, known)
    except ParameterError as error:
        raise ParameterError(f"'{spec}': {error}") from None
    return head, reason, nameless if reason else class_names(config, count)


def _laboratory(spec: ModelSpec, device: torch.device) -> Model:
    """One of the laboratory's trained models, as `load` gives it."""
    if spec.options or spec.block_options or spec.preprocessing:
        raise ParameterError(f"'{spec}': a laboratory model is as it was trained; it takes no options")
    if spec.head not in (None, "softmax"):
        raise ParameterError(
            f"'{spec}': a laboratory model was trained with a softmax over its classes; leave the "
            f"head out, got '{spec.head}'"
        )
    module, model = networks.trained(spec)
    module.requires_grad_(False).eval().to(device)
    height, width = spec.input_size or (networks.SIZE, networks.SIZE)
    stages, _ = find_stages(module, torch.zeros(1, 3, height, width, device=device))
    state: WeightsState = "lab" if spec.weights_file is None else "file"
    data: dict[str, Any] = {"input_size": (3, height, width), "interpolation": "bicubic", "crop_pct": 1.0}
    mean, std = (networks.MEAN,) * 3, (networks.STD,) * 3
    return Model(
        spec=spec,
        module=module,
        architecture=model.backbone,
        input_size=(height, width),
        mean=mean,
        std=std,
        interpolation=data["interpolation"],
        crop_pct=data["crop_pct"],
        labels=scenes.CLASSES,
        num_classes=len(scenes.CLASSES),
        headless_reason="",
        stages=stages,
        device=device,
        state=state,
        inserted="layer3.block" if model.backbone == "resnet" else None,
        inserted_state=state,
        nbytes=nbytes_of(module),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        transform=create_transform(**data, mean=mean, std=std, normalize=False),
        label_source="classes of the procedural scenes",
    )


@dataclass(frozen=True)
class _Source:
    """A backbone as timm knows it, before anything is built."""

    name: str
    architecture: str
    config: Mapping[str, Any]
    arguments: Mapping[str, Any]
    folder: Path | None = None
    repository: str | None = None
    token: bool | None = None
    #: Its config.json as it stands there; {} for timm's own models.
    stored: Mapping[str, Any] = field(default_factory=dict)

    def weights(self) -> Path:
        """Return the safetensors file with its published weights, fetched if need be; raises WeightsError."""
        if self.folder is not None:
            return folder_weights(self.folder)
        if self.repository is not None:
            return hub_weights(self.repository, None, self.token, self.token is not False)
        if hub := self.config.get("hf_hub_id"):
            # What timm lists is there for everybody: it may come from the cache too.
            return hub_weights(hub, self.config.get("hf_hub_filename"), self.token)
        if url := self.config.get("url"):
            raise WeightsError(
                f"the weights of '{self.name}' are published only as {Path(str(url)).name}, not as safetensors; such "
                f"a file can run code when it is read, so it is refused. Use random/{self.name}"
            )
        tags = [name for name, config in get_arch_pretrained_cfgs(self.architecture).items() if config.hf_hub_id]
        hint = f"a tag with weights: {', '.join(tags)}" if tags else f"random/{self.name}"
        raise WeightsError(f"timm publishes no weights for '{self.name}'; use {hint}")


def _resolve(source: Source, token: bool | None) -> _Source:
    """Find out what a backbone's name means, as timm reads it."""
    name, backbone = source.name, str(source)
    if source.scheme == "timm":
        if "/" in name or "\\" in name:
            raise ParameterError(
                f"'{name}' is no name of timm's; write hf-hub:{name} for a model of the hub, or local-dir:{name} for a "
                f"folder"
            )
        architecture, tag = split_model_name_tag(name)
        if not is_model(architecture):
            raise UnknownNameError("model", name, list_models())
        if architecture in get_deprecated_models():
            current = get_deprecated_models()[architecture]
            hint = f"it is called '{current}' now" if current else "it was removed"
            raise ModelError(f"timm's model '{architecture}' is no more; {hint}")
        tagged = get_arch_pretrained_cfgs(architecture)
        if tag and name not in tagged:
            tags = sorted(known.partition(".")[2] for known in tagged)
            raise UnknownNameError(f"tag of '{architecture}'", tag, [known for known in tags if known])
        published = get_pretrained_cfg(name)
        return _Source(name, architecture, published.to_dict() if published is not None else {}, {}, token=token)
    folder, repository = source.folder, None
    if source.scheme == "hf-hub":
        found = hub_file(name, "config.json", token, token is not False)
        if found is None:
            raise ModelError(f"the hub's '{name}' has no config.json, so it is not a model timm can read")
        folder, repository = found.parent, name
    elif not folder.is_dir():
        raise ModelError(f"'{backbone}': there is no folder '{source.name}'")
    elif not (folder / "config.json").is_file():
        raise ModelError(f"'{backbone}': the folder has no config.json; timm's save_for_hf writes one")
    stored = read_config(folder / "config.json")
    # What others write beside timm's entries is read here, and not by timm.
    left_out = {"url", "file", "state_dict", "hf_hub_id", *NAME_KEYS, *CONFIG_KEYS, "label_descriptions"}
    try:
        cfg, architecture, arguments = load_model_config_from_path(folder)
        cfg = {key: value for key, value in cfg.items() if key not in left_out}
        config = PretrainedCfg(**cfg)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelError(f"'{backbone}': config.json is not one of timm's ({_first_line(error)})") from None
    if not is_model(architecture):
        raise UnknownNameError("model", architecture, list_models())
    own = None if repository else folder
    return _Source(backbone, architecture, config.to_dict(), arguments, own, repository, token, stored)


def _arguments(spec: ModelSpec, source: _Source) -> dict[str, Any]:
    """Put together what timm's model function is called with, apart from weights."""
    options = dict(spec.options)
    if reserved := sorted(_RESERVED & options.keys()):
        raise ParameterError(f"option '{reserved[0]}' cannot be set here; use the fields of ModelSpec")
    if spec.origin == "pretrained" and spec.weights_file is None and options.get("num_classes", 0) != 0:
        raise ParameterError("option 'num_classes' would leave the classifier untrained; only 0 (no head) is accepted")
    arguments = {**source.arguments, **options}
    check_numbers(arguments, spec.backbone)
    for key in _RESERVED - {"img_size"}:
        arguments.pop(key, None)
    if source.arguments:
        arguments["pretrained_model_args"] = dict(source.arguments)
    if spec.input_size is not None:
        size = spec.input_size
        if len(size) != 2 or not all(isinstance(side, int) and 1 <= side <= 4096 for side in size):
            raise ParameterError(f"input size {size} is not (height, width) in pixels, each from 1 to 4096")
        if source.config.get("fixed_input_size", False) or "img_size" in source.arguments:
            arguments["img_size"] = tuple(size)
    return arguments


def _build(source: _Source, arguments: Mapping[str, Any], seed: int, overlay: Mapping[str, Any]) -> nn.Module:
    """Create the network; with a safetensors ``file`` in the overlay, with its weights."""
    try:
        with Seeded(seed):
            return timm.create_model(
                source.architecture,
                pretrained=bool(overlay),
                pretrained_cfg=dict(source.config),
                pretrained_cfg_overlay=dict(overlay),
                **arguments,
            )
    except ExplorerError:
        raise
    except Exception as error:
        if overlay and isinstance(error, (RuntimeError, OSError)):
            raise WeightsError(f"'{overlay['file']}' does not fit '{source.name}': {_first_line(error, 2)}") from error
        size = arguments.get("img_size")
        what = f" with an input of {size[1]} x {size[0]} px" if isinstance(size, tuple) else ""
        raise ModelError(f"'{source.name}' cannot be built{what}: {_first_line(error)}") from error


def _only(file: Path) -> dict[str, Any]:
    """Return a config overlay that leaves timm one place to take weights from: this safetensors file."""
    check_readable(file)
    nowhere = dict.fromkeys(("state_dict", "source", "url", "hf_hub_id", "hf_hub_filename"))
    return {**nowhere, "custom_load": False, "file": str(file)}


def size_of(spec: ModelSpec, token: bool | None = None, limits: Limits = Limits()) -> Size:  # noqa: B008 - frozen
    """Return what a model would take, counted on torch's meta device: nothing is allocated, fetched or run.

    For an inserted block the bytes are an upper guess. Raises the errors of `load` that concern names and
    configurations, and ModelError for a network that exceeds ``limits`` while it is being counted. ``token`` as for
    `load`.
    """
    return _size_of(spec, fingerprint_of(spec), token, limits)


@lru_cache(maxsize=256)
def _size_of(spec: ModelSpec, _files: str, token: bool | None, limits: Limits) -> Size:
    if spec.origin == "lab":
        return Size(networks.nbytes(spec), None)
    source = _resolve(spec.source, token)
    arguments = _arguments(spec, source)
    with torch.device("meta"), counted(spec, limits):
        skeleton = _build(source, arguments, 0, {})
    nbytes = nbytes_of(skeleton)
    height, width = _data_config(spec, source, skeleton)["input_size"][1:]
    counter = MultiplyAdds()
    try:
        with torch.no_grad(), counter:
            skeleton.eval()(torch.empty(1, 3, height, width, device="meta"))
        multiply_adds: int | None = counter.count
    except Exception:  # some networks look at numbers, which a meta tensor has not
        multiply_adds = None
    return Size(nbytes + nbytes // 4 if spec.block else nbytes, multiply_adds)


def _data_config(spec: ModelSpec, source: _Source, module: nn.Module) -> dict[str, Any]:
    """Return timm's preprocessing of a model, with the spec's overrides."""
    overrides = dict(spec.preprocessing)
    if unknown := sorted(overrides.keys() - set(PREPROCESSING)):
        raise ParameterError(f"preprocessing '{unknown[0]}' is not known; it has {', '.join(PREPROCESSING)}")
    for key in ("mean", "std"):
        if key in overrides and len(overrides[key]) != 3:
            raise ParameterError(f"preprocessing '{key}' takes three numbers, got {overrides[key]!r}")
    if overrides.get("interpolation", "bicubic") not in _INTERPOLATIONS:
        raise ParameterError(f"interpolation '{overrides['interpolation']}' is not one of {', '.join(_INTERPOLATIONS)}")
    if not 0 < float(overrides.get("crop_pct", 1)) <= 1:
        raise ParameterError(f"crop_pct {overrides['crop_pct']} is not above 0 and at most 1")
    try:
        data: dict[str, Any] = resolve_model_data_config(module, args=overrides)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise ModelError(f"'{spec}': its configuration says no preprocessing ({_first_line(error)})") from error
    for key, (right, wanted) in _EXPECTED.items():
        if not right(data[key]):
            said = textwrap.shorten(repr(data[key]), 100)
            raise ModelError(f"'{spec}': '{key}' of its configuration is {said}; {wanted}")
    channels, height, width = data["input_size"]
    if channels != 3:
        raise ModelError(f"'{spec}' reads {channels} channels; only models of RGB pictures are served")
    fixed = source.arguments.get("img_size")
    if spec.input_size is not None:
        height, width = spec.input_size
    elif fixed is not None:
        height, width = (fixed, fixed) if isinstance(fixed, int) else fixed
    return {**data, "input_size": (3, int(height), int(width)), "mean": tuple(data["mean"]), "std": tuple(data["std"])}


def _fitted(spec: ModelSpec) -> dict[str, Any] | None:
    """The record of `explorer fit` in the spec's weights file, or None; raises WeightsError for another model's."""
    record = read_note(str(spec.weights_file), FITTED)
    if record is None:
        return None
    name, wanted = Path(str(spec.weights_file)).name, ("spec", "backbone", "whole", "classes")
    if missing := [one for one in wanted if one not in record]:
        raise WeightsError(f"'{name}': its record of explorer fit lacks '{missing[0]}'")
    classes = record["classes"]
    named = isinstance(classes, list) and len(classes) > 1 and all(isinstance(one, str) for one in classes)
    if not isinstance(record["whole"], bool) or not (classes is None or named):
        raise WeightsError(f"'{name}': 'whole' or 'classes' of its record of explorer fit is of the wrong form")
    if record["spec"] != str(spec):
        raise WeightsError(f"'{name}' was fitted for '{record['spec']}', not for '{spec}'")
    if (given := record.get("settings", {})) != (settings := fit_settings(spec)):
        # Heads and the like change what the same tensors compute, not their shapes: nothing else would notice.
        said = textwrap.shorten(str(given), 200)
        raise WeightsError(f"'{name}' was fitted with the settings {said}, not with {settings}")
    return record


def fit_settings(spec: ModelSpec) -> dict[str, Any]:
    """What changes a fitted model and has no place in its spec's text, as JSON gives it back."""
    given = {name: dict(getattr(spec, name)) for name in ("options", "block_options", "preprocessing")}
    found: dict[str, Any] = json.loads(json.dumps({name: one for name, one in given.items() if one}, default=str))
    return found


def _expect(module: nn.Module, fitted: Mapping[str, Any], spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    """Check that a backbone is the one a block was fitted to, and give it the classes of the fit."""
    name = Path(str(spec.weights_file)).name
    if not fitted["whole"] and fingerprint(module) != fitted["backbone"]:
        raise WeightsError(f"'{name}' was fitted to other weights of '{spec.backbone}' than those here")
    if fitted["classes"]:
        # Before it is allocated: a record may name any number of classes.
        if not any(one.ndim > 1 and len(one) == len(fitted["classes"]) for one in tensors.values()):
            raise WeightsError(f"'{name}' names {len(fitted['classes'])} classes but has no classifier for so many")
        module.reset_classifier(len(fitted["classes"]))  # type: ignore[operator]


def _has_block(tensors: Mapping[str, Tensor]) -> bool:
    # The wrapper of an inserted block renames what it wraps; no timm model has such a key.
    return any(".wrapped." in f".{name}" for name in tensors)


def _trained(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network that training sets; attention masks may rightly hold infinities."""
    running = {name: tensor for name, tensor in module.named_buffers() if ".running_" in f".{name}"}
    return {**{name: parameter.detach() for name, parameter in module.named_parameters()}, **running}


def _first_line(error: Exception, lines: int = 1) -> str:
    text = " ".join(part.strip() for part in str(error).strip().splitlines()[:lines])
    return text[:300] or type(error).__name__


def fingerprint_of(spec: ModelSpec) -> str:
    """Tell apart the versions of files on disk that a spec names, so that a store never serves an old one."""
    files = [Path(spec.weights_file)] if spec.weights_file else []
    if spec.source.scheme == "local-dir":
        folder = spec.source.folder
        files += [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    marks = []
    for file in files:
        try:
            status = os.stat(file)
            marks.append(f"{status.st_mtime_ns}-{status.st_size}")
        except OSError:
            marks.append("absent")
    return ",".join(marks)
