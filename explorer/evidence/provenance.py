"""What a view showed, and what each model was: what its numbers depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

from explorer.comparison.result import Comparison
from explorer.images import Picture, samples
from explorer.models.model import Model
from explorer.models.spec import WEIGHTS_STATES
from explorer.models.weights import fingerprint
from explorer.scenes import Scene
from explorer.view import View, scene_text
from explorer.view.forms import record


def about(view: View, picture: Scene | Picture, found: Comparison) -> dict[str, Any]:
    """What was asked, in JSON's words."""
    return {
        "view": record(view),
        "shown": shown_as(view, picture),
        "scene": dataclasses.asdict(picture) if isinstance(picture, Scene) else None,
        "move": found.transform,
        "transform": dataclasses.asdict(view.transform),
        "queries": [list(before) for before, _ in found.rows[0].asked],
        "pin": view.pin,
        "method": found.method,
        "parameters": dict(view.parameters),
        "target": view.target,
        "layers": [
            None if chosen is None else chosen.layer
            for chosen in (row.map(layer) for row, layer in zip(found.rows, view.layer_of_each))
        ],
        "head": view.head,
        "models": [str(spec) for spec in view.specs],
        "device": found.rows[0].device,
        "versions": versions_of(found),
    }


def shown_as(view: View, picture: Scene | Picture) -> str:
    """What is shown, in words."""
    if isinstance(picture, Scene):
        return f"procedural scene {scene_text(picture)}"
    width, height = picture.image.size
    sample = isinstance(view.source, str) and view.source in samples()
    what = f"sample photograph '{view.source}'" if sample else f"picture '{picture.name}'"
    bands = "" if view.bands is None else f", bands {','.join(map(str, view.bands))}"
    return f"{what}, {width} x {height} px{bands}"


def versions_of(found: Comparison) -> dict[str, str]:
    """The versions of the packages, and the kind of machine."""
    return {**found.versions, "system": f"{platform.system()} {platform.machine()}"}


def model_record(model: Model) -> dict[str, Any]:
    """What a model is, as plain values."""
    fields = dataclasses.asdict(model.spec)
    file = model.spec.weights_file
    own = None
    if file is not None:
        fields["weights_file"] = Path(file).name
        own = {"name": Path(file).name, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
    return {
        "model": str(model.spec),
        "spec": _plain(fields),
        "weights": model.state,
        "weights_are": WEIGHTS_STATES[model.state],
        "inserted": model.inserted,
        "inserted_weights": None if model.inserted is None else model.inserted_state,
        "weights_sha256": fingerprint(model.module),
        "weights_file": own,
        "seed": model.spec.seed,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "input_size": list(model.input_size),
        "mean": list(model.mean),
        "std": list(model.std),
        "interpolation": model.interpolation,
        "crop_pct": model.crop_pct,
        "classes": model.num_classes,
        "head": model.head.kind,
        "notes": list(model.notes),
        "labels": _labels(model),
        "device": str(model.device),
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _labels(model: Model) -> str:
    """Where the names of a model's classes are from."""
    if model.headless:
        return model.headless_reason
    return model.label_source
