"""Do features know where they are?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.base import PROBES, Extremes, Probe, Run, Step
from explorer.probes.charting import at_one_place, curve, lines
from explorer.probes.pairs import compared, window
from explorer.probes.passes import Passes, collected, stage_features
from explorer.probes.position_embeddings import (
    KINDS,
    position_kinds,
    position_names,
    with_moved_position,
    without_position,
)
from explorer.probes.result import ProbeResult, Score
from explorer.probes.ridge import PLACES, readable
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import R2


def position_rows(features: Tensor, places: Tensor, **conditions: Any) -> list[Row]:
    """Rows of R2 of x, of y and their mean, with intervals over images; see `readable`."""
    sums = readable(features, places)
    statistics: dict[str, Callable[[Any], float]] = {
        "R2 of x": lambda m: float(1 - m[0] / m[2]),
        "R2 of y": lambda m: float(1 - m[1] / m[3]),
        "R2 of position": lambda m: float(1 - (m[0] / m[2] + m[1] / m[3]) / 2),
    }
    return [mean(name, sums, "R2", R2, statistic, **conditions) for name, statistic in statistics.items()]


@PROBES.register("position")
@dataclass(frozen=True)
class Position(Probe):
    """Does the model know where in the frame things are, and does its answer need that?

    (a) The answers are compared with those of copies of the model whose positions are zeroed (off the training
    distribution) and moved by half the grid both ways; rows of prefix tokens stay. Absolute embeddings, relative
    position bias (zeroed alone, as it has no places) and the rotary embedding of EVA's kin are told apart. (b) The
    place of every cell of a stage's grid, -1 to 1 along x and y, is read off its features by ridge regression, on
    pictures of noise (each pixel even between 0 and 1) and of one colour each: what it can read is no content of the
    picture. Half of the pictures are fitted, the penalty is chosen on a quarter, R² is that of the last quarter, in
    turn.
    """

    bias: ClassVar = "relations"
    formula: ClassVar[str] = (
        "R² = 1 - sum |place - ridge(features)|^2 / sum |place - mean place|^2 over pictures not fitted, mean of x and "
        "y; agreement = mean of [argmax f'(x) = argmax f(x)], f' with its positions changed"
    )
    source: ClassVar[str] = (
        "Islam et al. 2020, How Much Position Information Do Convolutional Neural Networks Encode? (read by ridge "
        "regression instead of a network); Touvron et al. 2021, DeiT; Naseer et al. 2021, section 3.3"
    )
    limits: ClassVar[str] = (
        "Zeroed or moved positions are off the training distribution, so a changed answer is no proof that a model "
        "trained without them would be worse; and what can be read need not be used."
    )
    headline: ClassVar[str] = "R² of noise images, last stage"

    input: str = parameter("both", "pictures that places are read from", choices=("noise", "constant", "both"))
    count: int = parameter(16, "pictures of each kind that places are read from", 4, 256)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Rows of the answers with changed positions, then of each stage."""
        kinds = () if model.headless else position_kinds(model.module)
        half = 0.5 if kinds else 0.0
        if kinds:
            yield from self._changed(model, shown, run, kinds, half)
        names = ("noise", "constant") if self.input == "both" else (self.input,)
        for number, name in enumerate(names):
            begin, width = half + (1 - half) * number / len(names), (1 - half) / len(names)
            yield from self._read(model, run, name, begin, width)

    def _changed(self, model: Model, shown: Shown, run: Run, kinds: Sequence[str], end: float) -> Iterator[Step]:
        images, parts = shown.images, 1 + 2 * len(kinds)
        clean, _ = yield from collected(run.passes, len(images), partial(window, images), 0, end / parts)
        done = 1
        for kind in kinds:
            tables = 1 if kind == "rotary" else len(position_names(model.module)[KINDS.index(kind)])
            conditions: dict[str, Any] = {"kind": kind, "tables": tables}
            yield Step(
                end * done / parts,
                compared(clean, clean, shown.truth, head=model.head, position="unchanged", **conditions),
            )
            for name, make in (("zeroed", without_position), ("moved", with_moved_position)):
                changed = make(model, kind)
                done += 1
                if changed is None:
                    continue
                passes = Passes(changed, run.passes.dtype)
                passes.size = run.passes.size
                logits, _ = yield from collected(
                    passes, len(images), partial(window, images), end * (done - 1) / parts, end * done / parts
                )
                rows = compared(logits, clean, shown.truth, head=model.head, position=name, **conditions)
                yield Step(end * done / parts, rows)

    def _read(self, model: Model, run: Run, name: str, begin: float, width: float) -> Iterator[Step]:
        height, across = model.input_size
        chance = torch.Generator().manual_seed(run.seed)
        size = (height, across) if name == "noise" else (1, 1)
        images = torch.rand(self.count, 3, *size, generator=chance)
        features: dict[int, list[Tensor]] = {}
        chosen: dict[int, Tensor] = {}
        for one in model.stages:
            cells = one.grid[0] * one.grid[1]
            # At random, so that borders do not count for more than they are.
            order = torch.rand(self.count, cells, generator=chance).argsort(1)
            chosen[one.number] = order[:, :PLACES] if cells > PLACES else torch.arange(cells).expand(self.count, -1)

        def make(start: int, stop: int) -> Tensor:
            return images[start:stop].expand(-1, -1, height, across).to(model.device)

        for start, stop, found in run.passes.each(
            self.count, make, lambda x: {key: value.float().cpu() for key, value in stage_features(model, x).items()}
        ):
            for number, maps in found.items():
                flat = maps.flatten(2).transpose(1, 2)
                index = chosen[number][start:stop, :, None].expand(-1, -1, flat.shape[2])
                features.setdefault(number, []).append(flat.gather(1, index))
            yield Step(begin + 0.5 * width * stop / self.count)
        for done, (number, parts) in enumerate(sorted(features.items()), start=1):
            rows, columns = model.stages[number - 1].grid
            fresh: list[Row] = []
            if rows > 1 and columns > 1:  # else there is but one place along an axis, and nothing to read
                y, x = chosen[number] // columns, chosen[number] % columns
                places = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1], -1)
                conditions = {
                    "input": name,
                    "stage": number,
                    "depth": number / len(model.stages),
                    "cells": f"{rows}x{columns}",
                }
                fresh = position_rows(torch.cat(parts), places, **conditions)
            yield Step(begin + width * (0.5 + 0.5 * done / len(features)), fresh)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """R2 at the last stage that was read, and the agreement with changed positions."""
        found: list[Score] = []
        for name in ("noise", "constant"):
            stages = [one["stage"] for one in rows if one.get("input") == name]
            if stages:
                called = Message("R² of {name} images, last stage", name=name)
                found += score(rows, Message("R2 of position"), "none", called, input=name, stage=max(stages))
        for kind in KINDS:
            for how in ("zeroed", "moved"):
                called = Message("agreement, {kind} position {how}", kind=kind, how=how)
                found += score(rows, "agreement", "none", called, kind=kind, position=how)
        return found

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message(
                "From noise, places can be read off the features of {most} with an R² of {high}, of {least} with {low}."
            ),
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """R2 against depth, then the answers with changed positions."""
        made = []
        read = []
        for name in ("noise", "constant"):
            curves = lines(result, "depth", Message("R2 of position"), input=name)
            if curves:
                title = Message(
                    "Position read from pictures of {colour}",
                    colour="noise" if name == "noise" else Message("one colour"),
                )
                unit = Message("Pictures that were not fitted; mean of x and y. At 0 and below, nothing can be read.")
                read.append(
                    Chart(
                        title,
                        curves,
                        Axis(Message("depth (stage over stages)"), low=0, high=1),
                        Axis(Message("R² of the position"), high=1),
                        unit=unit,
                    )
                )
        if read:
            each = tuple(map(at_one_place, read))
            made.append(Section(Message("Where am I? Read from the features of each stage"), (each,)))
        changed = []
        for measure, title, axis in (
            ("agreement", Message("Same answer as with its positions"), Message("agreement (share of pictures)")),
            (Message("p(original class)"), Message("What is left of the answer"), Message("p(original class)")),
            ("accuracy", Message("Right answers"), Message("accuracy (share of pictures)")),
        ):
            curves = tuple(
                curve(
                    name,
                    result.colours[number],
                    [{**one, "what": _CHANGED[one["kind"], one["position"]]} for one in rows],
                    "what",
                    joined=False,
                )
                for number, name in enumerate(result.models)
                if (rows := result.of(name, measure=measure))
            )
            if curves:
                unit = Message(
                    "Zeroed: its positions on the grid are 0, off the training distribution. Moved: rolled by half the "
                    "grid both ways."
                )
                changed.append(Chart(title, curves, Axis("position"), Axis(axis, low=0, high=1), unit=unit))
        if changed:
            made.append(Section(Message("Positions taken away and moved"), (tuple(changed),), notes=_without(result)))
        return tuple(made)


_CHANGED: Mapping[tuple[str, str], str] = {
    ("absolute", "unchanged"): Message("absolute unchanged"),
    ("absolute", "zeroed"): Message("absolute zeroed"),
    ("absolute", "moved"): Message("absolute moved"),
    ("relative", "unchanged"): Message("relative unchanged"),
    ("relative", "zeroed"): Message("relative zeroed"),
    ("relative", "moved"): Message("relative moved"),
}


def _without(result: ProbeResult) -> tuple[str, ...]:
    """Which models have been read but have no positions that could be changed."""
    names = [
        name
        for name in result.models
        if result.of(name, measure=Message("R2 of position")) and not result.of(name, measure="agreement")
    ]
    return (
        (Message("No position to take away is known, or no classes are given: {names}.", names=", ".join(names)),)
        if names
        else ()
    )
