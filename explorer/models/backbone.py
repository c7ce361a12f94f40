"""From the name of a timm backbone, a repository of the hub or a folder to its configuration and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
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
from torch import nn

from explorer.errors import ExplorerError, ModelError, ParameterError, UnknownNameError, WeightsError
from explorer.messages import Message
from explorer.models.heads import CONFIG_KEYS
from explorer.models.hub import hub_file
from explorer.models.labels import NAME_KEYS
from explorer.models.sizes import check_numbers
from explorer.models.spec import ModelSpec, Source
from explorer.models.weights import (
    check_readable,
    folder_weights,
    hub_weights,
    in_cache,
    read_config,
)
from explorer.seeding import Seeded

#: Arguments of timm.create_model that the other fields of a ModelSpec stand for, or that could read a pickle.
_RESERVED = frozenset(
    {
        *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args", "pretrained_strict"),
        *("pretrained_filter_fn", "checkpoint_path", "cache_dir", "model_name", "features_only", "out_indices"),
        *("img_size", "scriptable", "exportable", "no_jit"),
    }
)


@dataclass(frozen=True)
class Backbone:
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

    @property
    def in_cache(self) -> bool:
        """Whether its published weights are on this machine, so that nothing has to be fetched; no hub is asked."""
        hub = self.repository or self.config.get("hf_hub_id")
        return self.folder is not None or (hub is not None and in_cache(str(hub), self.config.get("hf_hub_filename")))

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
                Message(
                    "the weights of '{name}' are published only as {file}, not as safetensors; such a file can run "
                    "code when it is read, so it is refused. Use random/{name}",
                    name=self.name,
                    file=Path(str(url)).name,
                )
            )
        tags = [name for name, config in get_arch_pretrained_cfgs(self.architecture).items() if config.hf_hub_id]
        hint = Message("a tag with weights: {tags}", tags=", ".join(tags)) if tags else f"random/{self.name}"
        raise WeightsError(Message("timm publishes no weights for '{name}'; use {hint}", name=self.name, hint=hint))


def resolve(source: Source, token: bool | None) -> Backbone:
    """Find out what a backbone's name means, as timm reads it."""
    name, backbone = source.name, str(source)
    if source.scheme == "timm":
        if "/" in name or "\\" in name:
            raise ParameterError(
                Message(
                    "'{name}' is no name of timm's; write hf-hub:{name} for a model of the hub, or local-dir:{name} "
                    "for a folder",
                    name=name,
                )
            )
        architecture, tag = split_model_name_tag(name)
        if not is_model(architecture):
            raise UnknownNameError("model", name, list_models())
        if architecture in get_deprecated_models():
            current = get_deprecated_models()[architecture]
            hint = Message("it is called '{current}' now", current=current) if current else Message("it was removed")
            raise ModelError(
                Message("timm's model '{architecture}' is no more; {hint}", architecture=architecture, hint=hint)
            )
        tagged = get_arch_pretrained_cfgs(architecture)
        if tag and name not in tagged:
            tags = sorted(known.partition(".")[2] for known in tagged)
            raise UnknownNameError(
                Message("tag of '{architecture}'", architecture=architecture), tag, [known for known in tags if known]
            )
        published = get_pretrained_cfg(name)
        return Backbone(name, architecture, published.to_dict() if published is not None else {}, {}, token=token)
    folder, repository = source.folder, None
    if source.scheme == "hf-hub":
        found = hub_file(name, "config.json", token, token is not False)
        if found is None:
            raise ModelError(
                Message("the hub's '{name}' has no config.json, so it is not a model timm can read", name=name)
            )
        folder, repository = found.parent, name
    elif not folder.is_dir():
        raise ModelError(Message("'{backbone}': there is no folder '{folder}'", backbone=backbone, folder=source.name))
    elif not (folder / "config.json").is_file():
        raise ModelError(
            Message("'{backbone}': the folder has no config.json; timm's save_for_hf writes one", backbone=backbone)
        )
    stored = read_config(folder / "config.json")
    # What others write beside timm's entries is read here, and not by timm.
    left_out = {"url", "file", "state_dict", "hf_hub_id", *NAME_KEYS, *CONFIG_KEYS, "label_descriptions"}
    try:
        cfg, architecture, arguments = load_model_config_from_path(folder)
        cfg = {key: value for key, value in cfg.items() if key not in left_out}
        config = PretrainedCfg(**cfg)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelError(
            Message(
                "'{backbone}': config.json is not one of timm's ({error})", backbone=backbone, error=first_line(error)
            )
        ) from None
    if not is_model(architecture):
        raise UnknownNameError("model", architecture, list_models())
    own = None if repository else folder
    return Backbone(backbone, architecture, config.to_dict(), arguments, own, repository, token, stored)


def arguments_of(spec: ModelSpec, source: Backbone) -> dict[str, Any]:
    """Put together what timm's model function is called with, apart from weights."""
    options = dict(spec.options)
    if reserved := sorted(_RESERVED & options.keys()):
        raise ParameterError(f"option '{reserved[0]}' cannot be set here; use the fields of ModelSpec")
    if spec.origin == "pretrained" and spec.weights_file is None and options.get("num_classes", 0) != 0:
        raise ParameterError("option 'num_classes' would leave the classifier untrained; only 0 (no head) is accepted")
    outputs = options.get("num_classes", 0)
    if not isinstance(outputs, int) or isinstance(outputs, bool) or outputs < 0:
        raise ParameterError(
            Message("option 'num_classes' is a whole number, 0 (no head) or more; got {outputs}", outputs=outputs)
        )
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


def channels_of(source: Backbone, arguments: Mapping[str, Any]) -> int:
    """How many channels the network reads; raises ModelError for a number that no picture is made into."""
    channels = arguments.get("in_chans", (source.config.get("input_size") or (3,))[0])
    if channels not in (1, 3, 4):
        raise ModelError(
            Message(
                "'{name}' reads {channels} channels; models of 1 (grey), 3 (red, green, blue) or 4 are served",
                name=source.name,
                channels=channels,
            )
        )
    return int(channels)


def build(source: Backbone, arguments: Mapping[str, Any], seed: int, overlay: Mapping[str, Any]) -> nn.Module:
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
            raise WeightsError(
                Message(
                    "'{file}' does not fit '{name}': {error}",
                    file=overlay["file"],
                    name=source.name,
                    error=first_line(error, 2),
                )
            ) from error
        size = arguments.get("img_size")
        why = first_line(error)
        if isinstance(size, tuple):
            said = Message(
                "'{name}' cannot be built with an input of {width} x {height} px: {error}",
                name=source.name,
                width=size[1],
                height=size[0],
                error=why,
            )
        else:
            said = Message("'{name}' cannot be built: {error}", name=source.name, error=why)
        raise ModelError(said) from error


def only_from(file: Path) -> dict[str, Any]:
    """Return a config overlay that leaves timm one place to take weights from: this safetensors file."""
    check_readable(file)
    nowhere = dict.fromkeys(("state_dict", "source", "url", "hf_hub_id", "hf_hub_filename"))
    return {**nowhere, "custom_load": False, "file": str(file)}


def first_line(error: Exception, lines: int = 1) -> str:
    text = " ".join(part.strip() for part in str(error).strip().splitlines()[:lines])
    return text[:300] or type(error).__name__
