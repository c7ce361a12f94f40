"""Weights files that `explorer fit` wrote: for which model, and what they hold."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from explorer.errors import WeightsError
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.models.weights import (
    FITTED,
    fingerprint,
    read_note,
)


def read_fit(spec: ModelSpec) -> dict[str, Any] | None:
    """The record of `explorer fit` in the spec's weights file, or None; raises WeightsError for another model's."""
    record = read_note(str(spec.weights_file), FITTED)
    if record is None:
        return None
    name, wanted = Path(str(spec.weights_file)).name, ("spec", "backbone", "whole", "classes")
    if missing := [one for one in wanted if one not in record]:
        raise WeightsError(
            Message("'{name}': its record of explorer fit lacks '{missing}'", name=name, missing=missing[0])
        )
    classes = record["classes"]
    named = isinstance(classes, list) and len(classes) > 1 and all(isinstance(one, str) for one in classes)
    if not isinstance(record["whole"], bool) or not (classes is None or named):
        raise WeightsError(
            Message("'{name}': 'whole' or 'classes' of its record of explorer fit is of the wrong form", name=name)
        )
    if record["spec"] != str(spec):
        raise WeightsError(
            Message("'{name}' was fitted for '{fitted}', not for '{spec}'", name=name, fitted=record["spec"], spec=spec)
        )
    if (given := record.get("settings", {})) != (settings := fit_settings(spec)):
        # Heads and the like change what the same tensors compute, not their shapes: nothing else would notice.
        said = textwrap.shorten(str(given), 200)
        raise WeightsError(
            Message(
                "'{name}' was fitted with the settings {said}, not with {settings}",
                name=name,
                said=said,
                settings=settings,
            )
        )
    return record


def fit_settings(spec: ModelSpec) -> dict[str, Any]:
    """What changes a fitted model and has no place in its spec's text, as JSON gives it back."""
    given = {name: dict(getattr(spec, name)) for name in ("options", "block_options", "preprocessing")}
    found: dict[str, Any] = json.loads(json.dumps({name: one for name, one in given.items() if one}, default=str))
    return found


def expect(module: nn.Module, fitted: Mapping[str, Any], spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    """Check that a backbone is the one a block was fitted to, and give it the classes of the fit."""
    name = Path(str(spec.weights_file)).name
    if not fitted["whole"] and fingerprint(module) != fitted["backbone"]:
        raise WeightsError(
            Message(
                "'{name}' was fitted to other weights of '{backbone}' than those here",
                name=name,
                backbone=spec.backbone,
            )
        )
    if fitted["classes"]:
        # Before it is allocated: a record may name any number of classes.
        if not any(one.ndim > 1 and len(one) == len(fitted["classes"]) for one in tensors.values()):
            raise WeightsError(
                Message(
                    "'{name}' names {classes} classes but has no classifier for so many",
                    name=name,
                    classes=len(fitted["classes"]),
                )
            )
        module.reset_classifier(len(fitted["classes"]))  # type: ignore[operator]


def has_block(tensors: Mapping[str, Tensor]) -> bool:
    # The wrapper of an inserted block renames what it wraps; no timm model has such a key.
    return any(".wrapped." in f".{name}" for name in tensors)
