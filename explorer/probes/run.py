"""Run a probe: one or several models, step by step or at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import torch

from explorer.comparison.compare import versions
from explorer.errors import ExplorerError, MethodError, ParameterError
from explorer.images import Bands
from explorer.messages import Message, listed
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes import stimuli as shown_by
from explorer.probes.base import PROBES, Example, Probe, Run
from explorer.probes.passes import MEMORY, Passes
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Made, Row

PRECISIONS: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


#: The share of a run whose last rows may still be to come: only what is complete has 1, and is drawn as such once.
_NEARLY = 0.999


def steps(
    name: str,
    models: Sequence[Model],
    images: Any = None,
    *,
    seed: int = 0,
    precision: str = "float32",
    memory: int = MEMORY,
    bands: Bands | None = None,
    batch: int | None = None,
    keep: bool = False,
    **parameters: Any,
) -> Generator[ProbeResult, None, None]:
    """Run a probe and yield what it has measured so far after every step; the last one is complete.

    The generator may be closed at any time, which ends the work. See `probe` for the arguments and errors.

    Args:
        batch: pictures in a batch, as many as ``memory`` holds if None.
        keep: whether rows keep what they are made of, see `rows.Made`.
    """
    one: Probe = PROBES.make(name, parameters)
    if not models:
        raise ParameterError(Message("a probe needs at least one model"))
    if precision not in PRECISIONS:
        raise ParameterError(
            Message("precision is one of {join}, got '{precision}'", join=", ".join(PRECISIONS), precision=precision)
        )
    if precision != "float32" and not one.half:
        able = ", ".join(other for other, kind in PROBES.items() if kind.half) or "none"
        raise ParameterError(
            Message(
                "{name} is measured in float32 only; {precision} may be used for: {able}",
                name=name,
                precision=precision,
                able=able,
            )
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ParameterError(Message("seed is 0, 1, 2, ..., got {seed}", seed=f"{seed!r}"))
    given = one.stimuli(images, models, seed, bands) if one.looks else None
    if one.looks and given is None and (images is not None or bands is not None):
        given = shown_by.read(images, seed, bands)
    rows: list[Row] = []
    notes: list[str] = [] if given is None else list(given.notes)
    shows: dict[str, str] = {}
    summary: dict[str, Score] = {}
    failed: list[ExplorerError] = []
    settings: Mapping[str, Any] = dataclasses.asdict(one)

    def so_far(share: float) -> ProbeResult:
        return ProbeResult(
            probe=name,
            bias=one.bias,
            rows=list(rows),
            summary=dict(summary),
            notes=tuple(notes),
            models=tuple(str(model.spec) for model in models),
            parameters=settings,
            stimuli=dict(shows),
            mode=str(settings.get("mode", "model")),
            seed=seed,
            device=str(models[0].device),
            dtype=precision,
            versions=versions(),
            share=share,
            input_sizes={str(model.spec): model.input_size for model in models},
        )

    for number, model in enumerate(models):
        own: list[Row] = []
        try:
            if one.looks:
                seen = shown_by.Shown(model, given or one.default(model, seed))
                if given is None:
                    notes += [note for note in seen.stimuli.notes if note not in notes]
                shows[str(model.spec)] = (
                    Message("{shown}, border {border}", shown=seen.stimuli.origin, border=Message(settings["border"]))
                    if "border" in settings and not seen.rendered
                    else seen.stimuli.origin
                )
            else:
                seen = shown_by.Shown(model, shown_by.Stimuli((), one.shows))
                shows[str(model.spec)] = one.shows
            run = Run(Passes(model, PRECISIONS[precision], memory), seed)
            if batch is not None:
                run.passes.size = batch
            notes += [listed([model.spec, note], "{first}: {rest}") for note in (_read_as(model) if one.looks else ())]
            for step in one.measure(model, seen, run):
                head = {"model": str(model.spec), "weights": model.state, "stimuli": shows[str(model.spec)]}
                fresh = [_row(head, found, keep) for found in step.rows]
                own += fresh
                notes += [listed([model.spec, note], "{first}: {rest}") for note in step.notes]
                rows += fresh
                if fresh:
                    summary |= {f"{found.model}: {found.measure}": found for found in one.scores(own)}
                yield so_far(min(_NEARLY, (number + step.share) / len(models)))
        except (MethodError, ParameterError) as error:
            failed.append(error)
            notes.append(listed([model.spec, error], "{first}: {rest}"))
            if len(failed) == len(models):
                raise
            yield so_far(min(_NEARLY, (number + 1) / len(models)))
    yield so_far(1.0)


def examples(
    name: str, models: Sequence[Model], images: Any = None, *, seed: int = 0, **parameters: Any
) -> list[Sequence[Example]]:
    """Some of the pictures that a probe shows each of several models, made of the first of what they are shown.

    Args: as of `probe`; the models are live ones. Returns one list a model, empty for one that the probe cannot serve
    and for probes that change no picture. Raises ParameterError, UnknownNameError.
    """
    one: Probe = PROBES.make(name, parameters)
    if not one.looks:
        return [()] * len(models)
    given = one.stimuli(images, models, seed)
    if given is None and images is not None:
        given = shown_by.read(images, seed)
    found: list[Sequence[Example]] = []
    for model in models:
        try:
            found.append(one.examples(model, shown_by.Shown(model, given or one.default(model, seed)), seed))
        except MethodError:
            found.append(())
    return found


def probe(
    name: str,
    models: Sequence[Model | ModelSpec | str] | Model | ModelSpec | str,
    images: Any = None,
    *,
    seed: int = 0,
    device: str | None = None,
    precision: str = "float32",
    memory: int = MEMORY,
    bands: Bands | None = None,
    progress: Callable[[float], None] | None = None,
    **parameters: Any,
) -> ProbeResult:
    """Measure one bias of one or several models.

    Args:
        name: name in PROBES.
        models: live models, specs or their text forms.
        images: pictures, scenes, a folder, or how many scenes (see `probes.stimuli.read`); the probe's own folder
            layout where it has one. None: models that know the laboratory's classes are shown scenes, others the
            sample images, or the cue conflicts that ship where the probe needs such.
        seed: of every random choice.
        device: where models given by name are loaded.
        precision: "float32", or "bfloat16" for probes whose answer does not depend on it.
        memory: bytes that a batch may take; halved where that is too much.
        bands: which bands of the pictures are shown, see `explorer.images.read_image`.
        progress: told the share done, 0 to 1; what it raises ends the work.
        parameters: of the probe.

    Returns the rows, their summary and everything they depend on. A model that the probe cannot serve stands in the
    notes; where it can serve none, the last one's error is raised.

    Raises UnknownNameError, ParameterError, MethodError, and the errors of `load`.
    """
    several = [models] if isinstance(models, (Model, ModelSpec, str)) else models
    live = [one if isinstance(one, Model) else load(one, device) for one in several]
    result: ProbeResult | None = None
    for result in steps(name, live, images, seed=seed, precision=precision, memory=memory, bands=bands, **parameters):
        if progress is not None:
            progress(result.share)
    assert result is not None
    return result


def _read_as(model: Model) -> list[str]:
    """How a model's answers are read, where that is no softmax or not certain."""
    said = [model.head.note] if model.head.note else []
    if model.head.kind == "sigmoid":
        said.append(
            Message(
                "p is after the sigmoid; the answer is the set of labels with p of 0.5 and more, and stays where all "
                "of them stay; of several labels, p is that of the one that was largest"
            )
        )
    return said


def _row(head: Row, found: Row, keep: bool) -> Row:
    """A row of a model; what JSON has no word for is no number."""
    made = Made(head)
    for name, value in found.items():
        made[name] = None if isinstance(value, float) and not math.isfinite(value) else value
    if not keep:
        return dict(made)
    made.items_of = found.items_of if isinstance(found, Made) else None
    return made
