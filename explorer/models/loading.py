"""From a ModelSpec to a live model: timm creation, weights, preprocessing, class names, device, inserted block."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import torch
from timm.data.imagenet_info import infer_imagenet_subset
from timm.data.transforms_factory import create_transform
from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn

from explorer.blocks import BLOCKS
from explorer.errors import ExplorerError, ModelError, ParameterError, UnknownNameError, WeightsError
from explorer.messages import Message, listed
from explorer.models.backbone import Backbone, arguments_of, build, channels_of, first_line, only_from, resolve
from explorer.models.device import choose_device
from explorer.models.fitted import expect, has_block, read_fit
from explorer.models.heads import Head, find_head
from explorer.models.insertion import insert
from explorer.models.labels import Names, class_names, headless_reason
from explorer.models.model import CHANNEL_NOTES, Model
from explorer.models.origins import builder_of
from explorer.models.preprocessing import preprocessing_of
from explorer.models.sizes import Limits, Size, counted, size_on_meta
from explorer.models.spec import HeadKind, ModelSpec, WeightsState
from explorer.models.stages import find_stages
from explorer.models.weights import (
    check_finite,
    fitted_names,
    lay_over,
    read_tensors,
    unlike,
)


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
    if (builder := builder_of(spec)) is not None:
        return builder.load(spec, where, token, limits)
    if spec.block is not None and spec.block not in BLOCKS:
        raise UnknownNameError("block", spec.block, BLOCKS)  # before anything is fetched
    source = resolve(spec.source, token)
    arguments = arguments_of(spec, source)
    limits.check(spec, size_of(spec, token, limits))
    overlay: dict[str, Any] = {}
    state: WeightsState = "random" if spec.origin == "random" else "pretrained"
    tensors, fitted = None, None
    if spec.weights_file is not None:
        tensors, fitted = read_tensors(spec.weights_file), read_fit(spec)
    if tensors is not None and (fitted is None or fitted["whole"]):
        state = "file"
    elif state == "pretrained":
        overlay = only_from(source.weights())
    if tensors is not None and fitted is None and not has_block(tensors):
        with torch.device("meta"):
            skeleton = build(source, arguments, 0, {})
        arguments |= unlike(skeleton, tensors, int(getattr(skeleton, "num_classes", 0)))
    channels = channels_of(source, arguments)
    module = build(source, arguments, spec.seed, overlay)
    if fitted is not None:
        expect(module, fitted, spec, tensors or {})
    path = overlay.get("file")
    if path is not None:
        check_finite(_trained(module), spec.backbone)
    data = preprocessing_of(spec, source, module, channels)
    height, width = data["input_size"][1:]
    if tensors is not None and fitted is None and not has_block(tensors):
        lay_over(module, tensors, str(spec.weights_file))
        tensors = None
    module.requires_grad_(False).eval().to(where)
    patches = getattr(module, "patch_embed", None)
    if isinstance(patches, PatchEmbed) and not patches.dynamic_img_pad:
        rows, columns = patches.patch_size
        if height % rows or width % columns:
            # timm would leave out the last pixels, and every map would be drawn askew.
            raise ModelError(
                Message(
                    "'{backbone}' cuts its input into patches of {columns} x {rows} px, so {width} x {height} px is "
                    "not possible; take multiples",
                    backbone=spec.backbone,
                    columns=columns,
                    rows=rows,
                    width=width,
                    height=height,
                )
            )
    probe = torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(0)).to(where)
    try:
        stages, answer = find_stages(module, probe)
    except ExplorerError:
        raise
    except Exception as error:
        own = source.config.get("input_size", (3, 224, 224))
        what = Message(
            "'{spec}' cannot run on an input of {width} x {height} px", spec=spec, width=width, height=height
        )
        if spec.input_size is not None:
            what = Message("{what} (its own size is {width} x {height} px)", what=what, width=own[2], height=own[1])
        raise ModelError(listed([what, first_line(error)], "{first}: {rest}")) from error
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
            Message(
                "'{weights_file}' holds an inserted block, but '{spec}' inserts none; add +BLOCK@STAGE",
                weights_file=spec.weights_file,
                spec=spec,
            )
        )
    outputs = int(answer.shape[-1]) if isinstance(answer, Tensor) else 0
    num_classes = int(getattr(module, "num_classes", outputs))
    if fitted is not None and fitted["classes"]:
        num_classes = len(fitted["classes"])
    head, reason, called = _outputs(
        spec, source, num_classes, "num_classes" in arguments, fitted["classes"] if fitted is not None else None
    )
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
        transform=create_transform(**data, normalize=False),
        head=head,
        label_source=called.source,
        notes=tuple(filter(None, (head.note, CHANNEL_NOTES.get(channels, ""), *called.notes))),
    )


def _outputs(
    spec: ModelSpec, source: Backbone, count: int, own: bool, fitted: list[str] | None
) -> tuple[Head, str, Names]:
    """How ``count`` outputs are read, why they are no classes or "", and what they are called.

    ``own``: whether the classifier is another than the published one.
    """
    config = source.stored or source.config
    nameless = Names((), "")
    if fitted is not None:
        if spec.head not in (None, "softmax"):
            raise ParameterError(
                Message("'{spec}' was fitted to classes of which one holds; its head is softmax", spec=spec)
            )
        return (
            Head(),
            "",
            Names(tuple(fitted), Message("folders of the pictures that the file of weights was fitted to")),
        )
    if spec.head not in (None, *get_args(HeadKind)):
        raise ParameterError(
            Message("head is one of {kinds}; got '{head}'", kinds=", ".join(get_args(HeadKind)), head=spec.head)
        )
    if count == 0:
        if spec.head in ("softmax", "sigmoid"):
            raise ParameterError(
                Message(
                    "'{spec}' has no classifier that could be read as {head}; leave the head out",
                    spec=spec,
                    head=spec.head,
                )
            )
        return Head("none"), headless_reason(source.architecture, config, count), nameless
    if spec.head is None and (reason := headless_reason(source.architecture, config, count)):
        return Head("none"), reason, nameless
    # The outputs of timm's own models are classes of which one holds; of others it has to be said.
    published = not source.stored and not own
    known = published or infer_imagenet_subset({"num_classes": count}) is not None
    try:
        head, reason = find_head(spec.head, config, count, known)
    except ParameterError as error:
        raise ParameterError(Message("'{spec}': {error}", spec=spec, error=error)) from None
    return head, reason, nameless if reason else class_names(config, count)


def size_of(spec: ModelSpec, token: bool | None = None, limits: Limits = Limits()) -> Size:  # noqa: B008 - frozen
    """Return what a model would take, counted on torch's meta device: nothing is allocated, fetched or run.

    For an inserted block the bytes are an upper guess. Raises the errors of `load` that concern names and
    configurations, and ModelError for a network that exceeds ``limits`` while it is being counted. ``token`` as for
    `load`.
    """
    return _size_of(spec, fingerprint_of(spec), token, limits)


@lru_cache(maxsize=256)
def _size_of(spec: ModelSpec, _files: str, token: bool | None, limits: Limits) -> Size:
    if (builder := builder_of(spec)) is not None:
        return builder.size_of(spec, token, limits)
    source = resolve(spec.source, token)
    arguments = arguments_of(spec, source)
    with torch.device("meta"), counted(spec, limits):
        skeleton = build(source, arguments, 0, {})
    channels = channels_of(source, arguments)
    height, width = preprocessing_of(spec, source, skeleton, channels)["input_size"][1:]
    return size_on_meta(skeleton, (height, width), spec, channels)


def _trained(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network that training sets; attention masks may rightly hold infinities."""
    running = {name: tensor for name, tensor in module.named_buffers() if ".running_" in f".{name}"}
    return {**{name: parameter.detach() for name, parameter in module.named_parameters()}, **running}


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
