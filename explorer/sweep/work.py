"""Measure one unit: what every worker does, wherever it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.constants import HF_HUB_CACHE

from explorer.errors import ImageError, MethodError, ParameterError
from explorer.images.folders import unread
from explorer.images.on_disk import OnDisk
from explorer.images.storage import public
from explorer.messages import Message, counted
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.weights import fingerprint
from explorer.probes import PROBES
from explorer.probes.rows import Row
from explorer.probes.run import steps
from explorer.probes.stimuli import Stimuli, Stimulus, mask_of, of_scene, rendered_anew, scenes
from explorer.scenes import Scene
from explorer.sweep.store import Store, encoded
from explorer.sweep.units import Unit

#: Digits of a fingerprint that a row keeps.
_HASH = 16


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    Attributes:
        key: of the unit.
        error: why it could not be measured, or "".
        seconds: how long it took, its model's loading left out.
        nbytes: of its file.
    """

    key: str
    error: str = ""
    seconds: float = 0.0
    nbytes: int = 0


class Station:
    """Measures units one after the other, and keeps the last model warm.

    Args:
        store: where rows go; None measures and keeps nothing, as a trial does.
        alive: called again and again while it measures; what it raises ends the work.
    """

    def __init__(self, store: Store | None, alive: Callable[[], None] = lambda: None) -> None:
        self._store, self._alive = store, alive
        self._spec: tuple[ModelSpec, str] | None = None
        self._model: Model | None = None
        self._fingerprint = ""

    @property
    def warm(self) -> ModelSpec | None:
        """The model that needs no loading."""
        return None if self._spec is None else self._spec[0]

    def do(self, unit: Unit) -> Outcome:
        """Measure a unit and write its rows; an error is its outcome, an interruption is raised."""
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(unit.threads)
            model = self._loaded(unit)
            begun = time.perf_counter()
            rows, notes = measure(unit, model, self._alive)
            data = encoded(unit, rows, self._fingerprint, notes)
            if self._store is not None:
                self._store.write_rows(unit, data)
            return Outcome(unit.key, "", time.perf_counter() - begun, len(data))
        except Exception as error:
            said = without_paths(unit, " ".join(str(error).split()))
            return Outcome(unit.key, f"{type(error).__name__}: {said}")
        finally:
            torch.set_num_threads(before)

    def _loaded(self, unit: Unit) -> Model:
        wanted = (unit.model.spec, unit.device)
        if self._model is None or self._spec != wanted:
            self._model = self._spec = None  # let go of it before the next one takes its memory
            self._model = load(unit.model.spec, unit.device)
            self._fingerprint = fingerprint(self._model.module)[:_HASH]
            self._spec = wanted
        return self._model


def measure(unit: Unit, model: Model, alive: Callable[[], None] = lambda: None) -> tuple[list[Row], list[str]]:
    """The rows of a unit, which know what they are made of, and what has to be said beside them.

    A model that the probe cannot serve has no rows, and a note that says why.
    """
    shown, notes = _stimuli(unit)
    if isinstance(shown, Stimuli) and not shown.items:
        return [], notes
    rows: list[Row] = []
    try:
        for found in steps(
            unit.probe.probe,
            [model],
            shown,
            seed=unit.seed,
            precision=unit.precision,
            batch=unit.batch,
            keep=True,
            **unit.probe.parameters,
        ):
            alive()
            rows = found.rows
        notes += found.notes
    except (MethodError, ParameterError) as error:
        notes.append(Message("{model}: {error}", model=unit.model.name, error=error))
        rows = []
    return rows, [without_paths(unit, str(one)) for one in notes]


def without_paths(unit: Unit, text: str) -> str:
    """What is said of a unit, with names in place of paths: where things lie is a person's own."""
    spec = unit.model.spec
    images = unit.data.images
    named = {str(spec): unit.model.name, images: unit.data.name}
    if "://" in images:
        named[public(images)] = unit.data.name
    if spec.source.scheme == "local-dir":
        named |= {spec.source.name: spec.source.folder.name, str(spec.source.folder): spec.source.folder.name}
    if spec.weights_file is not None:
        named[spec.weights_file] = Path(spec.weights_file).name
    # Whoever reads a board does not learn whose machine it was.
    named |= {HF_HUB_CACHE: "HF_HUB_CACHE", os.path.expanduser("~"): "~"}
    for path, name in named.items():
        if path and path not in ("/", "~"):
            text = text.replace(path, name)
    return text


@lru_cache(maxsize=1)
def _scenes(count: int, seed: int) -> tuple[Scene, ...]:
    """All scenes of a set: to draw a shard takes drawing those before it."""
    return tuple(scenes(count, seed))


def _stimuli(unit: Unit) -> tuple[Any, list[str]]:
    """What the probe is shown, and what could not be read."""
    shard, data, streams = unit.shard, unit.data, PROBES[unit.probe.probe].streams
    if not shard.count:
        return None, []
    if data.scenes:
        some = _scenes(data.scenes, data.seed)[shard.start : shard.start + shard.count]
        numbers = tuple(range(shard.start, shard.start + shard.count))
        return Stimuli(tuple(map(of_scene, some)), rendered_anew(len(some)), numbers=numbers), []
    if not shard.files:
        return data.images, []
    items, places, left_out, notes = list[Stimulus](), list[int](), list[str](), list[str]()
    for place, one in enumerate(shard.files):
        picture = OnDisk(one)
        try:
            if not streams:
                picture.image  # noqa: B018 - decoded, to know that it can be
        except ImageError:
            left_out.append(one.file_name)
            continue
        mask = None
        if one.mask is not None:
            try:
                mask = mask_of(one.mask)
            except ImageError as error:
                notes.append(Message("the mask of {name} was left out: {error}", name=one.file_name, error=error))
        items.append(Stimulus(one.file_name, picture, one.label, mask))
        places.append(shard.start + place)
    if left_out:
        notes.insert(0, unread(left_out))
    words = counted("{n} image", "{n} images", len(items))
    return Stimuli(tuple(items), words, numbers=tuple(places)), notes
