"""The laboratory's trained models, as `explorer.load` gives them."""

from __future__ import annotations

from typing import Any

import torch
from timm.data.transforms_factory import create_transform

from explorer import scenes
from explorer.errors import ParameterError
from explorer.lab import networks
from explorer.messages import Message
from explorer.models.model import Model
from explorer.models.sizes import Limits, Size
from explorer.models.spec import ModelSpec, WeightsState
from explorer.models.stages import find_stages


def size_of(spec: ModelSpec, _token: bool | None, _limits: Limits) -> Size:
    """What a trained model takes, from its file."""
    return Size(networks.nbytes(spec), None)


def load(spec: ModelSpec, device: torch.device, _token: bool | None, _limits: Limits) -> Model:
    """Return a trained model; raises ParameterError for what it was not trained with, and WeightsError."""
    if spec.options or spec.block_options or spec.preprocessing:
        raise ParameterError(
            Message("'{spec}': a laboratory model is as it was trained; it takes no options", spec=spec)
        )
    if spec.head not in (None, "softmax"):
        raise ParameterError(
            Message(
                "'{spec}': a laboratory model was trained with a softmax over its classes; leave the head out, got "
                "'{head}'",
                spec=spec,
                head=spec.head,
            )
        )
    module, model = networks.trained(spec)
    module.requires_grad_(False).eval().to(device)
    height, width = spec.input_size or (networks.SIZE, networks.SIZE)
    stages, _ = find_stages(module, torch.zeros(1, 3, height, width, device=device))
    state: WeightsState = "lab" if spec.weights_file is None else "file"
    data: dict[str, Any] = {"input_size": (3, height, width), "interpolation": "bicubic", "crop_pct": 1.0}
    detects = model.backbone == "detect"
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
        # Words of ours: they are said in the page's language, where the classes of other models are names.
        labels=() if detects else tuple(map(Message, scenes.CLASSES)),
        num_classes=0 if detects else len(scenes.CLASSES),
        headless_reason=Message("it was trained to find objects, and gives no class of a whole picture")
        if detects
        else "",
        stages=stages,
        device=device,
        state=state,
        inserted=None,
        inserted_state=state,
        transform=create_transform(**data, mean=mean, std=std, normalize=False),
        detects=detects,
        label_source="" if detects else Message("classes of the procedural scenes"),
    )
