"""Does the answer depend on where the parts of a picture are?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Line, Section
from explorer.messages import Message, sentences
from explorer.models.heads import Head
from explorer.models.model import Model
from explorer.probes.base import AS_IT_IS, PROBES, Example, Extremes, Probe, Run, Step, need_classes
from explorer.probes.charting import curve, lines
from explorer.probes.cues import uninformative
from explorer.probes.pairs import compared, window
from explorer.probes.passes import collected
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, score, share
from explorer.probes.stimuli import Pictures, Shown, knows_scenes, render_many, scenes
from explorer.registry import parameter
from explorer.scenes import ARRANGEMENTS, CLASSES, PAIRS, Scene
from explorer.transforms import random_orders, shuffle_patches

#: Rows x columns of patches that a picture is cut into (Naseer 2021).
GRIDS = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (14, 14), (16, 16))
#: Scenes that tell arrangements from scenes of one part: at least twelve of each class, before those that do not fit.
DRAWN = 12 * len(CLASSES)
#: Turns of an arrangement's axis and distances of its parts that no model was trained on; largest gap tried for room.
TILTS, GAPS = (25.0, 40.0), (1.4, 1.7)


def _cut(images: Tensor | Pictures, orders: Tensor, grid: tuple[int, int], start: int, stop: int) -> Tensor:
    """Pictures ``start`` to ``stop`` of all images in all orders, those of an image side by side."""
    which = torch.arange(start, stop, device=images.device) // (len(orders) // len(images))
    return shuffle_patches(images[which], orders[start:stop], grid)


def _grids(model: Model) -> list[tuple[int, int]]:
    """Those of the grids that divide a model's input."""
    height, width = model.input_size
    return [one for one in GRIDS if height % one[0] == 0 and width % one[1] == 0]


class _Set(NamedTuple):
    """Pictures that are shuffled: (n, 3, H, W), the labels, and which of them belong to each group."""

    images: Tensor | Pictures
    truth: list[int | None]
    groups: dict[str, list[int]]


@PROBES.register("patch-shuffle")
@dataclass(frozen=True)
class PatchShuffle(Probe):
    """How much of the answer is left when the picture is cut into patches that change places?

    Every picture is cut into rows x columns equal patches, which are put into several random orders, never the original
    one. Grids that do not divide the input are left out. Of a model that knows the laboratory's scenes, shown scenes,
    it is also told apart what it does with those of one part (whose texture tells as much as the shape) and those of
    two, where only the arrangement tells the class; these also tilted and apart further than in training, and with
    texture and background that tell nothing, with the four arrangements to choose from. Where fewer than 144 scenes are
    shown, "one part" and "arrangements" are freshly drawn ones, one order of each; "all" is what is shown. Arrangements
    that would leave the frame when they stand furthest apart do not count among them.
    """

    bias: ClassVar = "relations"
    formula: ClassVar[str] = (
        "agreement = mean over images and orders of [argmax f(shuffle(x)) = argmax f(x)]; "
        "p(original class) = softmax f(shuffle(x)) at argmax f(x)"
    )
    source: ClassVar[str] = "Naseer et al. 2021, Intriguing Properties of Vision Transformers, section 3.3"
    limits: ClassVar[str] = (
        "Edges that appear between patches, and parts cut in two, change the answer too: not the arrangement alone is "
        "taken away."
    )
    headline: ClassVar[str] = "agreement at 4x4"
    #: To scenes it adds some that every model is shown.
    parts: ClassVar = "pictures"

    draws: int = parameter(4, "random orders of each picture", 1, 64)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Rows of each grid, finer and finer; "1x1" is the picture as it is."""
        need_classes(model)
        height, width = model.input_size
        grids = _grids(model)
        if not grids:
            raise MethodError(
                Message(
                    "none of the grids divides the {width} x {height} px that {spec} looks at",
                    width=width,
                    height=height,
                    spec=model.spec,
                )
            )
        left_out = ", ".join(_named(one) for one in GRIDS if one not in grids)
        count = len(shown)
        sets = [_Set(shown.images, shown.truth, {"all": list(range(count))})]
        pairs: list[Scene] = []
        if shown.rendered and knows_scenes(model):
            enough = count >= DRAWN
            drawn = shown.scenes if enough else scenes(DRAWN, run.seed)
            two = roomy(drawn, height)
            pairs = [drawn[index] for index in two]
            one_part = [index for index, one in enumerate(drawn) if one.label not in ARRANGEMENTS]
            groups = {"one part": one_part, "arrangements": two}
            if enough:
                sets[0].groups.update(groups)
            else:
                images = render_many(drawn, height)[0].to(model.device)
                sets.append(_Set(images, [CLASSES.index(one.label) for one in drawn], groups))
        parts = (len(grids) + 1) * len(sets) + (len(_OTHERS) if pairs else 0)
        done = 0

        def part() -> tuple[float, float]:
            nonlocal done
            done += 1
            return (done - 1) / parts, done / parts

        clean: list[Tensor] = []
        for one in sets:
            begin, end = part()
            logits, _ = yield from collected(run.passes, len(one.images), partial(window, one.images), begin, end)
            clean.append(logits)
            yield Step(done / parts, self._rows(one, logits, logits, (1, 1), 1, left_out, model.head))
        for grid in grids:
            for number, one in enumerate(sets):
                # Of drawn scenes there are many; another scene tells more than another order of the same one.
                draws = self.draws if number == 0 else 1
                places = shown.numbers if number == 0 else range(len(one.images))
                orders = _orders(places, draws, grid, run.seed)
                make = partial(_cut, one.images, orders, grid)
                logits, _ = yield from collected(run.passes, len(orders), make, *part())
                yield Step(done / parts, self._rows(one, logits, clean[number], grid, draws, left_out, model.head))
        if pairs:
            yield from self._arrangements(model, pairs, run, part)

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:
        made = [Example(AS_IT_IS, shown.images[0])]
        for grid in _grids(model):
            orders = _orders(shown.numbers, self.draws, grid, seed)
            made.append(Example(_named(grid), shuffle_patches(shown.images[:1], orders[:1], grid)[0]))
        return made

    def _rows(
        self, one: _Set, logits: Tensor, clean: Tensor, grid: tuple[int, int], draws: int, left_out: str, head: Head
    ) -> list[Row]:
        rows = []
        split = logits.view(len(clean), draws, -1)
        for group, members in one.groups.items():
            conditions: dict[str, Any] = {
                "grid": _named(grid),
                "patches": grid[0] * grid[1],
                "orders": draws if grid != (1, 1) else 0,
                "group": group,
                "left_out": left_out,
            }
            truth = [one.truth[index] for index in members]
            rows += compared(split[members].flatten(0, 1), clean[members], truth, draws, head, **conditions)
            if group == "arrangements":
                right = _among(split[members]) == torch.tensor(truth)[:, None]
                rows.append(share(Message("accuracy among arrangements"), right.double().mean(1), **conditions))
        return rows

    def _arrangements(
        self, model: Model, pairs: list[Scene], run: Run, part: Callable[[], tuple[float, float]]
    ) -> Iterator[Step]:
        """The arrangements, not shuffled, under conditions that no model was trained on."""
        chance = torch.Generator().manual_seed(run.seed)
        u = torch.rand(len(pairs), 2, generator=chance, dtype=torch.float64).tolist()
        tilted = [
            replace(one, tilt=(TILTS[0] + (TILTS[1] - TILTS[0]) * a) * (1 if b < 0.5 else -1))
            for one, (a, b) in zip(pairs, u)
        ]
        apart = [replace(one, gap=GAPS[0] + (GAPS[1] - GAPS[0]) * a) for one, (a, _) in zip(pairs, u)]
        truth = torch.tensor([CLASSES.index(one.label) for one in pairs])
        for name, some in zip(_OTHERS, (tilted, apart, uninformative(pairs, run.seed))):

            def make(start: int, stop: int, some: list[Scene] = some) -> Tensor:
                return render_many(some[start:stop], model.input_size[0])[0].to(model.device)

            begin, end = part()
            logits, _ = yield from collected(run.passes, len(some), make, begin, end)
            conditions = {"grid": "1x1", "patches": 1, "orders": 0, "group": name}
            yield Step(
                end,
                [
                    share("accuracy", (logits.argmax(1) == truth).double(), **conditions),
                    share(Message("accuracy among arrangements"), (_among(logits) == truth).double(), **conditions),
                ],
            )

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """Agreement and p at 4x4; of the laboratory's models also the accuracy among arrangements."""
        there: dict[str, Any] = {"grid": "4x4", "group": "all"}
        found = score(rows, "agreement", "none", self.headline, **there)
        found += score(rows, Message("p(original class)"), "none", Message("p(original class) at 4x4"), **there)
        for group in _CONDITIONS:
            name = Message("accuracy among arrangements, {group}", group=_CONDITIONS[group])
            found += score(rows, Message("accuracy among arrangements"), "higher", name, grid="1x1", group=group)
        return found

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Shuffled in 4 x 4 patches, {most} keeps its answer in {high} of the pictures, {least} in {low}."),
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Agreement, p and accuracy against the number of patches; arrangements below."""
        x = Axis(Message("patches in the picture"), log=True)
        marks = tuple((float(rows * columns), _named((rows, columns))) for rows, columns in GRIDS)
        missing = {one["model"]: one["left_out"] for one in result.rows if one.get("left_out")}
        unit: str = Message(
            "Several random orders of each picture, never the original one; 1 patch is the picture as it is."
        )
        for name, left_out in missing.items():
            unit = sentences(
                unit,
                Message(
                    "Left out for {name}, whose input they do not divide: {left_out}.", name=name, left_out=left_out
                ),
            )

        def chart(title: str, measure: str, axis: str, group: str = "all", says: str = unit) -> Chart:
            return Chart(
                title, lines(result, "patches", measure, group=group), x, Axis(axis, low=0, high=1), marks, says
            )

        panels = [
            chart(Message("Same answer as without shuffling"), "agreement", Message("agreement (share of pictures)")),
            chart(Message("What is left of the answer"), Message("p(original class)"), Message("p(original class)")),
        ]
        if any(one["measure"] == "accuracy" and one["group"] == "all" for one in result.rows):
            panels.append(chart(Message("Right answers"), "accuracy", Message("accuracy (share of pictures)")))
        made = [Section(Message("Patches that change places"), (tuple(panels),))]
        if any(one["group"] in _CONDITIONS for one in result.rows):
            made.append(self._scenes(result, chart))
        return tuple(made)

    def _scenes(self, result: ProbeResult, chart: Callable[..., Chart]) -> Section:
        own: list[Line] = []
        for number, name in enumerate(result.models):
            rows = [
                {**one, "condition": _CONDITIONS[group]}
                for group in _CONDITIONS
                for one in result.of(name, measure=Message("accuracy among arrangements"), grid="1x1", group=group)
            ]
            if rows:
                own.append(curve(name, result.colours[number], rows, "condition", joined=False))
        y = Axis(Message("accuracy among the four (chance 0.25)"), low=0, high=1)
        further = Chart(Message("Arrangements, not shuffled"), tuple(own), Axis(Message("how the two parts stand")), y)
        says = Message("Freshly drawn scenes; accuracy with all twelve classes to choose from (chance 0.083).")
        alike = chart(
            Message("Scenes of one part"), "accuracy", Message("accuracy (share of scenes)"), Message("one part"), says
        )
        two = chart(
            Message("Scenes whose arrangement is the class"),
            "accuracy",
            Message("accuracy (share of scenes)"),
            "arrangements",
            says,
        )
        return Section(Message("One part, and arrangements of two"), ((alike, two, further),))


#: Conditions of arrangements that no model was trained on; and what each group of arrangements is, in words.
_OTHERS = (Message("tilted 25 to 40 degrees"), Message("1.4 to 1.7 x apart"), Message("uninformative cues"))
_CONDITIONS: dict[str, str] = {"arrangements": Message("in distribution"), **{str(name): name for name in _OTHERS}}


def _orders(numbers: Sequence[int], draws: int, grid: tuple[int, int], seed: int) -> Tensor:
    """``draws`` random orders of each picture, (pictures * draws, patches), whichever others are shown with it."""
    every = random_orders((max(numbers) + 1) * draws, grid[0] * grid[1], seed)
    return every.view(-1, draws, every.shape[1])[list(numbers)].flatten(0, 1)


def _named(grid: tuple[int, int]) -> str:
    return f"{grid[0]}x{grid[1]}"


def _among(logits: Tensor) -> Tensor:
    """Which arrangement is the likeliest of the four: (..., classes) to (...) class numbers."""
    return torch.tensor(PAIRS)[logits[..., list(PAIRS)].argmax(-1)]


def roomy(some: Sequence[Scene], size: int) -> list[int]:
    """Which scenes are arrangements that stay in the frame when their parts stand furthest apart?"""
    pairs = [index for index, one in enumerate(some) if one.label in ARRANGEMENTS]
    if not pairs:
        return []
    masks = render_many([replace(some[index], gap=GAPS[1]) for index in pairs], size)[1]
    edge = masks[:, [0, -1]].flatten(1).any(1) | masks[:, :, [0, -1]].flatten(1).any(1)
    return [index for index, out in zip(pairs, edge.tolist()) if not out]
