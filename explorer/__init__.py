"""See what attention does to a vision model: capture it, place it on the image, compare models that differ in it.

    import explorer

    model = explorer.load("vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    maps = explorer.capture(model, "dog.jpg")
    maps[-1].row("class", head=0)  # (14, 14): where the class token looks
    explorer.attribute(model, "dog.jpg", "gradcam").values  # (14, 14): what the answer is based on

The names below load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.attention.maps import AttentionMap as AttentionMap
    from explorer.attention.watch import capture as capture
    from explorer.attribution import METHODS as METHODS
    from explorer.attribution import attribute as attribute
    from explorer.attribution.result import Attribution as Attribution
    from explorer.blocks import BLOCKS as BLOCKS
    from explorer.comparison.compare import compare as compare
    from explorer.comparison.compare import predict as predict
    from explorer.comparison.result import Comparison as Comparison
    from explorer.comparison.result import Prediction as Prediction
    from explorer.errors import ExplorerError as ExplorerError
    from explorer.evidence.bundle import report as report
    from explorer.evidence.rows import tidy as tidy
    from explorer.geometry import Point as Point
    from explorer.images import read_image as read_image
    from explorer.images import samples as samples
    from explorer.models.loading import load as load
    from explorer.models.model import Model as Model
    from explorer.models.sets import matched_set as matched_set
    from explorer.models.spec import ModelSpec as ModelSpec
    from explorer.probes import PROBES as PROBES
    from explorer.probes import probe as probe
    from explorer.probes.result import ProbeResult as ProbeResult
    from explorer.scenes import Scene as Scene
    from explorer.scenes import render as render
    from explorer.sweep.run import sweep as sweep
    from explorer.transforms import Transform as Transform
    from explorer.view import View as View
    from explorer.wrapping.wrap import wrap as wrap

_HOME = {
    "AttentionMap": "attention.maps",
    "capture": "attention.watch",
    "METHODS": "attribution",
    "attribute": "attribution",
    "Attribution": "attribution.result",
    "BLOCKS": "blocks",
    "compare": "comparison.compare",
    "predict": "comparison.compare",
    "Comparison": "comparison.result",
    "Prediction": "comparison.result",
    "ExplorerError": "errors",
    "report": "evidence.bundle",
    "tidy": "evidence.rows",
    "Point": "geometry",
    "read_image": "images",
    "samples": "images",
    "load": "models.loading",
    "Model": "models.model",
    "matched_set": "models.sets",
    "ModelSpec": "models.spec",
    "PROBES": "probes",
    "probe": "probes",
    "ProbeResult": "probes.result",
    "Scene": "scenes",
    "render": "scenes",
    "sweep": "sweep.run",
    "Transform": "transforms",
    "View": "view",
    "wrap": "wrapping.wrap",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'explorer' has no attribute '{name}'")
    return getattr(import_module(f"explorer.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
