"""Measure what a lesson claims of models and blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.attention.mass import mass_ratio
from explorer.blocks.cost import count, made, terms_of
from explorer.comparison.compare import compare
from explorer.comparison.result import ModelView
from explorer.errors import LessonError
from explorer.geometry import Point
from explorer.lessons.lesson import CHANNELS, SIDES, Claim, Lesson
from explorer.models.loading import load
from explorer.scenes import motion, render
from explorer.transforms import Transform
from explorer.view import View

#: Measure -> what it is. Those of blocks are about a chart, that of numbers about the table, the others about
#: a model that is shown.
MEASURES: Mapping[str, str] = {
    "answer": "the class that the model puts first",
    "changed": "whether that class changes with the reveal",
    "probability": "of a class (about)",
    "map mean": "the map's mean over all places",
    "map on object": "the map's share on the object over the object's share of the frame; 1 for an even map",
    "map stays": "correlation of the map before and after the reveal, place by place",
    "map follows": "the same after the map is brought back to where things were before the move",
    "attribution on object": "as for the map, of what speaks for the answer",
    "attribution stays": "as for the map",
    "attribution follows": "as for the map",
    "power of n": "largest power of n in a block's multiply-adds on square grids",
    "multiply-adds grow": "how many times as many on the chart's largest grid as on one of half its sides",
    "multiply-adds over": "how many times those of another block (about), on the largest grid of the chart",
    "in the table": "one of the step's numbers, as the laboratory's table has it",
}

OF_BLOCKS = ("power of n", "multiply-adds grow", "multiply-adds over")
OF_NUMBERS = ("in the table",)


@dataclass(frozen=True)
class Checked:
    """A claim with what was measured."""

    step: int
    claim: Claim
    value: str | bool | float

    @property
    def holds(self) -> bool:
        return self.claim.holds(self.value)

    def __str__(self) -> str:
        value = f"{self.value:.3g}" if isinstance(self.value, float) else str(self.value)
        return f"step {self.step}, line {self.claim.line}: {self.claim}: measured {value}"


def check(lesson: Lesson, device: str | None = None) -> list[Checked]:
    """Measure everything that a lesson claims.

    Args:
        lesson: whose claims.
        device: where models run, or None to choose.

    Returns each claim with its value. Raises what loading a model raises.
    """
    checked = []
    for number, step in enumerate(lesson.steps, 1):
        views: dict[tuple[str, str], _Seen] = {}
        for claim in step.claims:
            if claim.measure in OF_BLOCKS:
                value: str | bool | float = _of_block(claim)
            elif claim.measure in OF_NUMBERS:
                estimate = step.numbers[claim.of].estimate
                value = math.nan if estimate is None else estimate.mean
            else:
                for when, shown in (("before", step.before), ("after", step.after)):
                    if (when, claim.of) not in views and shown is not None:
                        # A model that comes or goes with the reveal is asked about both.
                        views[when, claim.of] = _Seen.of(shown, claim.of, device)
                value = _of_model(claim, views["before", claim.of], views["after", claim.of])
            checked.append(Checked(number, claim, value))
    return checked


def _of_block(claim: Claim) -> float:
    if claim.measure == "power of n":
        return max(terms_of(made(claim.of, CHANNELS, SIDES[0], "meta")), default=0.0)
    if claim.measure == "multiply-adds grow":
        few, many = (count(made(claim.of, CHANNELS, side, "meta"), side) for side in (SIDES[-1] // 2, SIDES[-1]))
        return many / few
    own, other = (count(made(name, CHANNELS, SIDES[-1], "meta"), SIDES[-1]) for name in (claim.of, claim.about))
    return own / other


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one model shows, and where the object is."""

    view: ModelView
    move: Transform
    size: tuple[int, int]
    mask: Tensor | None

    @classmethod
    def of(cls, shown: View, model: str, device: str | None) -> _Seen:
        first, own = load(shown.specs[0], device), load(model, device)
        height, width = first.input_size
        places = [Point(one.x * own.input_size[1], one.y * own.input_size[0]) for one in shown.queries]
        move = shown.transform.scaled(own.input_size[1] / width, own.input_size[0] / height)
        view = compare([own], shown.picture(), move, shown.method, places, pin=shown.pin).rows[0]
        mask = None
        if shown.scene is not None:
            mask = render(motion.moved(shown.scene, move, own.input_size), own.input_size[0]).masks[0]
            move = motion.about_object(shown.scene, move, own.input_size)
        return cls(view, move, own.input_size, mask)

    def map(self, attribution: bool) -> Tensor:
        """The map that the page shows."""
        if attribution:
            found = self.view.attributions and self.view.attributions[1].values
        else:
            found = next((pair[1] for pair in self.view.attention()), None)
        if found is None:
            raise LessonError(f"'{self.view.spec}' has no {'attribution' if attribution else 'attention map'} here")
        return found


def _of_model(claim: Claim, before: _Seen, after: _Seen) -> str | bool | float:
    one = before if claim.when == "before" else after
    if claim.measure in ("answer", "changed", "probability"):
        answer = one.view.predictions[1]
        if claim.measure == "changed":
            return before.view.predictions[1].labels != after.view.predictions[1].labels
        if claim.measure == "answer":
            return answer.answer
        return next((score.probability for score in answer.top if score.label == claim.about), 0.0)
    kind, _, what = claim.measure.partition(" ")
    attribution = kind == "attribution"
    if what == "mean":
        return float(one.map(attribution).mean())
    if what == "on object":
        values = one.map(attribution).clamp(min=0)
        found = None if one.mask is None else mass_ratio(values, one.mask)
        return math.nan if found is None else found
    maps = before.map(attribution), after.map(attribution)
    if what == "stays":
        return _correlation(*maps, torch.ones_like(maps[0], dtype=torch.bool))
    back = [side.move.pull_back(values.float(), side.size) for side, values in zip((before, after), maps)]
    return _correlation(back[0].values, back[1].values, back[0].valid & back[1].valid)


def _correlation(one: Tensor, two: Tensor, valid: Tensor) -> float:
    """Pearson's, over the valid places; of even maps 1 where they are the same and 0 where not."""
    if one.shape != two.shape:
        return math.nan
    a, b = (values.cpu().double()[valid.cpu()] for values in (one, two))
    if float(a.std()) == 0 or float(b.std()) == 0:
        return float(torch.equal(a, b))
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
