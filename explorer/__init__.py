"""See what attention does to a vision model: capture it, place it on the image, compare models that differ in it.

    import explorer

    model = explorer.load("vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    maps = explorer.capture(model, "dog.jpg")
    maps[-1].row("class", head=0)  # (14, 14): where the class token looks
    explorer.attribute(model, "dog.jpg", "gradcam").values  # (14, 14): what the answer is based on

The names below load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.attribution import METHODS as METHODS
    from explorer.attribution import attribute as attribute
    from explorer.blocks import BLOCKS as BLOCKS
    from explorer.capture import capture as capture
    from explorer.compare import compare as compare
    from explorer.compare import predict as predict
    from explorer.errors import ExplorerError as ExplorerError
    from explorer.images import samples as samples
    from explorer.lab.scenes import Scene as Scene
    from explorer.lab.scenes import render as render
    from explorer.models import Model as Model
    from explorer.models import load as load
    from explorer.probes import PROBES as PROBES
    from explorer.probes import probe as probe
    from explorer.report import report as report
    from explorer.report import tidy as tidy
    from explorer.transforms import Transform as Transform
    from explorer.types import AttentionMap as AttentionMap
    from explorer.types import Attribution as Attribution
    from explorer.types import Comparison as Comparison
    from explorer.types import ModelSpec as ModelSpec
    from explorer.types import Point as Point
    from explorer.types import Prediction as Prediction
    from explorer.types import ProbeResult as ProbeResult
    from explorer.view import View as View

_HOME = {
    "METHODS": "attribution",
    "attribute": "attribution",
    "BLOCKS": "blocks",
    "capture": "capture",
    "compare": "compare",
    "predict": "compare",
    "ExplorerError": "errors",
    "samples": "images",
    "Scene": "lab.scenes",
    "render": "lab.scenes",
    "Model": "models",
    "load": "models",
    "PROBES": "probes",
    "probe": "probes",
    "report": "report",
    "tidy": "report",
    "Transform": "transforms",
    "AttentionMap": "types",
    "Attribution": "types",
    "Comparison": "types",
    "ModelSpec": "types",
    "Point": "types",
    "Prediction": "types",
    "ProbeResult": "types",
    "View": "view",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'explorer' has no attribute '{name}'")
    return getattr(import_module(f"explorer.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing explorer.capture binds that module to this name, which belongs to the function in it.
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
