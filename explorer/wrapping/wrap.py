"""Any module as a `Model`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

import torch
from timm.data.transforms_factory import create_transform
from torch import nn

from explorer.attention.layouts.entries import Entries
from explorer.attention.layouts.grids import with_prefix
from explorer.attention.tracing import trace
from explorer.errors import ExplorerError, ModelError, ParameterError
from explorer.messages import Message
from explorer.models.adapter import Adapter, Output
from explorer.models.backbone import first_line
from explorer.models.heads import find_head
from explorer.models.insertion import insert
from explorer.models.model import CHANNEL_NOTES, Model
from explorer.models.spec import HeadKind, ModelSpec, WeightsState
from explorer.models.stages import Stage
from explorer.wrapping.found import EXAMPLE, HOW, find_stages
from explorer.wrapping.module import keep, spec_of


def wrap(
    module: nn.Module,
    *,
    input_size: int | tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    labels: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    head: HeadKind = "softmax",
    output: Output = None,
    layout: Mapping[str, Any] | None = None,
) -> Model:
    """Serve a module of one's own: predict, capture, attribute, compare, probe, as far as it can be served.

    The module stays where it is and is put into eval mode; its parameters no longer ask for gradients. Give a copy of
    one that goes on being trained.

    Args:
        module: takes pictures (B, C, H, W) as its first argument; C is how many numbers ``mean`` has.
        input_size: (height, width) of its input, px, or the side of a square.
        mean: of each channel, of a picture in 0..1: three numbers; one for a network of grey pictures; four for one
            of red, green, blue and a fourth channel, which is given as 1 everywhere.
        std: of each channel.
        labels: names of its classes, in the order of its outputs.
        stages: dotted paths of the modules whose outputs Grad-CAM and the probes of features read; found if None.
        head: "softmax", one of several classes; "sigmoid", one label or several independent ones; "none", no classes.
        output: which part of what it gives is its answer (B, outputs): the name of an entry or attribute, a number, or
            a function of what it gives; None where there is one tensor, or ``logits``.
        layout: where its tokens lie, where that is not certain: ``{"prefix": ["class"], "grid": (14, 14)}``, names of
            the tokens that come first and rows and columns of the others, in reading order.

    Raises:
        ParameterError: an argument of the wrong form, or stages that have no known place on the image.
        ModelError: the module does not run on such a picture, or does not say which part of its output is the answer.
        UnknownNameError: a stage that is not there.
    """
    if not isinstance(module, nn.Module):
        raise ParameterError(Message("a torch.nn.Module is expected, got {got}", got=type(module).__name__))
    told = {
        "input_size": input_size,
        "mean": mean,
        "std": std,
        "labels": labels,
        "stages": stages,
        "head": head,
        "output": output,
        "layout": layout,
    }
    model = wrapped(
        spec_of(module, told),
        module,
        input_size=(input_size, input_size) if isinstance(input_size, int) else input_size,
        mean=mean,
        std=std,
        labels=labels,
        stages=stages,
        head=head,
        output=output,
        layout=layout,
        state="own",
        label_source=Message("given to explorer.wrap") if labels else "",
    )
    keep(model)
    return model


def wrapped(
    spec: ModelSpec,
    module: nn.Module,
    *,
    input_size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    labels: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    head: HeadKind | None = None,
    output: Output = None,
    layout: Mapping[str, Any] | None = None,
    state: WeightsState = "own",
    interpolation: str = "bicubic",
    crop_pct: float = 1.0,
    crop_mode: str = "center",
    label_source: str = "",
    config: Mapping[str, Any] = MappingProxyType({}),
    headless: str = "",
    notes: Sequence[str] = (),
) -> Model:
    """A module as the model of a spec; arguments and errors as of `wrap`.

    Args:
        config: its config.json, which may say how its outputs are read.
        headless: why its outputs are no classes, in a sentence, or "".
        notes: what else has to be said of it.
    """
    if headless and head in ("softmax", "sigmoid"):
        raise ParameterError(
            Message("'{spec}' has no classifier that could be read as {head}; leave the head out", spec=spec, head=head)
        )
    head = "none" if headless else head
    height, width = _checked(input_size, mean, std, head, layout)
    module.requires_grad_(False).eval()
    tensor = next((one for one in (*module.parameters(), *module.buffers())), None)
    device = torch.device("cpu") if tensor is None else tensor.device
    adapter = Adapter(module, output)
    picture = torch.randn(1, len(mean), height, width, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        with torch.inference_mode():
            # Of a network without classes the answer itself is the feature.
            answer = adapter(picture) if head == "none" else adapter.find_classifier(picture)
        found = trace(
            adapter, (height, width), device, _entries(layout), tuple((layout or {}).get("prefix", ())), len(mean)
        )
    except ExplorerError:
        raise
    except Exception as error:
        raise ModelError(
            Message(
                "the module cannot run on pictures (B, {channels}, {height}, {width}): {error}",
                channels=len(mean),
                height=height,
                width=width,
                error=first_line(error),
            )
        ) from error
    levels = find_stages(adapter, picture, found, stages)
    inserted = None
    if spec.block is not None:
        inserted = insert(adapter, levels, spec, picture)
        found = trace(adapter, (height, width), device, channels=len(mean))
    if stages is not None and (unknown := [one for one in levels if one.problem]):
        raise ParameterError(Message("stage '{name}': {problem}", name=unknown[0].name, problem=unknown[0].problem))
    count = int(answer.shape[1])
    read, reason = find_head(head, config, count, known=True)
    reason = headless or reason
    if isinstance(labels, str):
        raise ParameterError(Message("labels are a list of names, got '{labels}'", labels=labels))
    if labels is not None and len(labels) != count:
        raise ParameterError(
            Message("{labels} labels for {outputs} outputs; give one for each", labels=len(labels), outputs=count)
        )
    data: dict[str, Any] = {
        "input_size": (len(mean), height, width),
        "interpolation": interpolation,
        "crop_pct": crop_pct,
    }
    data["crop_mode"] = crop_mode
    means, stds = tuple(map(float, mean)), tuple(map(float, std))
    said = (read.note, CHANNEL_NOTES.get(len(mean), ""), *notes, *_notes(module, adapter, levels, bool(reason)))
    return Model(
        spec=spec,
        module=adapter,
        architecture=type(module).__name__,
        input_size=(height, width),
        mean=means,
        std=stds,
        interpolation=interpolation,
        crop_pct=crop_pct,
        labels=() if reason else tuple(labels or ()),
        num_classes=0 if reason else count,
        headless_reason=reason,
        stages=levels,
        device=device,
        state=state,
        inserted=inserted,
        inserted_state="random" if state == "random" else "identity-init",
        transform=create_transform(**data, mean=means, std=stds, normalize=False),
        head=read,
        label_source=label_source,
        notes=tuple(filter(None, said)),
        trace=found,
    )


def _notes(module: nn.Module, adapter: Adapter, stages: Sequence[Stage], headless: bool) -> list[str]:
    """What has to be said of a wrapped module beside its answers."""
    said: list[str] = []
    if any(isinstance(one, nn.MultiheadAttention) for one in module.modules()):
        said.append(
            Message(
                "torch.nn.MultiheadAttention leaves its fused path while it is watched: outputs can differ from the "
                "bare pass by rounding"
            )
        )
    if not (headless or adapter.has_classifier):
        said.append(
            Message("no linear layer gives its answer, so the answer stands for the feature before the classifier too")
        )
    if not any(not one.problem for one in stages):
        said.append(Message("no module was found whose features have a certain place on the image; {how}", how=HOW))
    return said


def _entries(layout: Mapping[str, Any] | None) -> Entries | None:
    if layout is None:
        return None
    (rows, columns), prefix = layout["grid"], len(layout.get("prefix", ()))
    return Entries((rows, columns), with_prefix((rows, columns), prefix), prefix)


def _checked(input_size: Any, mean: Any, std: Any, head: Any, layout: Any) -> tuple[int, int]:
    if (
        not isinstance(input_size, (tuple, list))
        or len(input_size) != 2
        or not all(isinstance(side, int) and 1 <= side <= 4096 for side in input_size)
    ):
        raise ParameterError(
            Message("input_size is (height, width) in pixels, each from 1 to 4096, got {size}", size=f"{input_size!r}")
        )
    for name, values in (("mean", mean), ("std", std)):
        if (
            not isinstance(values, (tuple, list))
            or len(values) not in (1, 3, 4)
            or not all(isinstance(one, (int, float)) and math.isfinite(one) for one in values)
        ):
            raise ParameterError(
                Message(
                    "{name} is three numbers, or one or four for a network of so many channels; got {values}",
                    name=name,
                    values=f"{values!r}",
                )
            )
    if len(mean) != len(std):
        raise ParameterError(
            Message("mean has {means} numbers and std {stds}; give as many", means=len(mean), stds=len(std))
        )
    if not all(one > 0 for one in std):
        raise ParameterError(Message("std is numbers above 0, got {values}", values=f"{std!r}"))
    if head not in (None, *get_args(HeadKind)):
        raise ParameterError(
            Message("head is one of {kinds}; got '{head}'", kinds=", ".join(get_args(HeadKind)), head=head)
        )
    if layout is not None:
        grid = layout.get("grid") if isinstance(layout, Mapping) else None
        prefix = layout.get("prefix", ()) if isinstance(layout, Mapping) else None
        right = (
            isinstance(grid, (tuple, list))
            and len(grid) == 2
            and all(isinstance(one, int) and one > 0 for one in grid)
            and isinstance(prefix, (tuple, list))
            and all(isinstance(one, str) for one in prefix)
            and set(layout) <= {"grid", "prefix"}
        )
        if not right:
            raise ParameterError(
                Message(
                    "layout names the tokens before the grid, and its rows and columns, as in {example}; got {layout}",
                    example=EXAMPLE,
                    layout=f"{layout!r}",
                )
            )
    return int(input_size[0]), int(input_size[1])
