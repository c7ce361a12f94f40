"""Answers to pictures that are shown as they are."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.figures.sheet import Axis, Chart, Line
from explorer.images import Picture
from explorer.models.model import Model
from explorer.probes.base import Run, Step
from explorer.probes.passes import collected
from explorer.probes.result import ProbeResult
from explorer.probes.rows import Row


def as_it_is(model: Model, picture: Picture) -> Tensor:
    """A data set's picture without resize or crop: (1, 3, H, W) in 0..1 on the model's device.

    Only where the model's input is of another size the whole picture is resized to it, with the model's interpolation.
    """
    image, (height, width) = picture.image, model.input_size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling[model.interpolation.upper()])
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div(255).to(model.device)


def one_folder(images: Any) -> Path | None:
    """The folder that ``images`` is, or the only one in it; None where it is anything else."""
    if isinstance(images, (list, tuple)) and len(images) == 1:
        images = images[0]
    return Path(images) if isinstance(images, (str, os.PathLike)) and Path(images).is_dir() else None


def probabilities(
    run: Run, count: int, make: Any, begin: float = 0.0, end: float = 1.0
) -> Generator[Step, None, Tensor]:
    """p of every output of pictures 0 to ``count`` - 1, (count, classes) float64 on the CPU; yields progress.

    Args:
        run: what the probe is run with.
        count: how many pictures, at least one.
        make: (start, stop) to pictures in 0..1, as of `Passes.each`.
        begin: share of the probe's work that is done before.
        end: and after.
    """
    logits, _ = yield from collected(run.passes, count, make, begin, end)
    return run.passes.model.head.probabilities(logits.double())


def points(
    result: ProbeResult,
    title: str,
    measure: str,
    key: str,
    places: Sequence[str],
    y: Axis,
    unit: str = "",
    **given: Any,
) -> Chart:
    """One measure of all models over the values of a condition: points with their intervals.

    Args:
        result: complete or not.
        title: of the chart.
        measure: which rows.
        key: the condition.
        places: its values in order; those that no model has are left out.
        y: the axis upwards.
        unit: the sentence below.
        given: other conditions.
    """
    rows = [{row[key]: row for row in result.of(model, measure=measure, **given)} for model in result.models]
    shown = tuple(place for place in places if any(place in one for one in rows))

    def column(one: Mapping[str, Row], name: str) -> tuple[float, ...]:
        found = [one[place][name] if place in one else None for place in shown]
        return tuple(float("nan") if value is None else float(value) for value in found)

    lines = tuple(
        Line(
            model,
            shown,
            column(one, "value"),
            column(one, "low"),
            column(one, "high"),
            colour=result.colours[number],
            joined=False,
        )
        for number, (model, one) in enumerate(zip(result.models, rows))
        if one
    )
    return Chart(title, lines, Axis(key), y, unit=unit)
