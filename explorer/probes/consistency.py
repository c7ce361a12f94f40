"""Does the answer stay when the picture is shifted by a few pixels?"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.images import Picture
from explorer.messages import Message, listed
from explorer.models.model import Model
from explorer.probes.base import PROBES, Extremes, Probe, Run, Step, need_classes
from explorer.probes.charting import curve
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rooms import rooms
from explorer.probes.rows import Pooled, Row, mean, rate, score
from explorer.probes.stimuli import Shown
from explorer.probes.translation import CANVAS, SEEN
from explorer.registry import parameter
from explorer.statistics import SHARE
from explorer.transforms import BORDERS, Transform, apply_many


@dataclass(frozen=True, eq=False)
class Looked:
    """What a model answered to pairs of shifts.

    Attributes:
        middle: (images,) the answer to the picture in the middle: the class, or a number of the set of labels.
        first: (images, passes) the answer at each pair's first shift.
        second: (images, passes) at its second.
        near: (images, passes) at its first shift and one pixel further up and left.
        jump: (images, passes) |change of p(class answered at the first shift)| by that pixel.
    """

    middle: Tensor
    first: Tensor
    second: Tensor
    near: Tensor
    jump: Tensor


@PROBES.register("consistency")
@dataclass(frozen=True)
class Consistency(Probe):
    """Does a model answer alike at two random shifts of one picture (invariance)?

    Shifts are U{0..31}^2 of 224 px, scaled by the input. Border "crop" is Zhang's: two crops at independent offsets of
    a larger picture; "wrap" rolls what the model sees (Chaman & Dokmanic); "zero", "mean" and "reflect" fill in. The
    three are different tests. Mode "paper" resizes bilinearly to 256/224 of the input; mode "model" resizes with the
    model's interpolation as far as its crop_pct says, but at least so far that the crops have room. Objects of scenes
    are rendered anew at two shifts, bounded so that they stay in the frame. Jaggedness is what one pixel along the
    diagonal, from each pair's first shift, changes. Pairs of one image are no independent draws: Wilson's interval is
    taken with the number of images as n, which holds however strongly they are correlated.
    """

    bias = "translation"
    formula = "consistency = P(argmax f(T_a x) = argmax f(T_b x)), a, b ~ U{0..31}^2 px of 224, independent"
    source = (
        "crop: Zhang 2019 (ICML), classification consistency; wrap: Chaman & Dokmanic 2021 (CVPR), circular shifts; "
        "jaggedness: Azulay & Weiss 2019 (JMLR 20:184)"
    )
    limits = "A model that is right more often agrees with itself more often: read it beside the accuracy."
    headline = "consistency"
    parts = "pictures and scenes"
    pooled: ClassVar[Mapping[str, Pooled]] = {"pairs": "sum"}

    border: str = parameter("crop", "what comes in beside a picture that moves", choices=("crop", *BORDERS))
    passes: int = parameter(5, "random pairs of shifts of each image", 1, 100)
    mode: str = parameter("paper", "how pictures are resized", choices=("paper", "model"))

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        looked = yield from self.look(model, shown, run)
        conditions = {"border": shown.border(self.border), "pairs": len(shown) * self.passes}
        yield Step(1.0, consistency_rows(looked, shown.truth, model.head.p_unit, **conditions))

    def look(self, model: Model, shown: Shown, run: Run) -> Generator[Step, None, Looked]:
        """The forward passes: yields how far they are, returns the answers image by image.

        Raises MethodError for a model without classes, an input that is not square, an object without room to move.
        """
        need_classes(model)
        height, width = model.input_size
        if height != width:
            raise MethodError(
                Message(
                    "consistency is defined for square inputs; {spec} looks at {width} x {height} px",
                    spec=model.spec,
                    width=width,
                    height=height,
                )
            )
        places = self.places(shown, run.seed)
        each = places.shape[1]
        count = len(shown) * each

        @lru_cache(maxsize=2)
        def whole(image: int) -> Tensor:
            return self._picture(model, shown, image)

        def make(start: int, stop: int) -> Tensor:
            parts = []
            for image in range(start // each, (stop - 1) // each + 1):
                some = places[image, max(0, start - image * each) : stop - image * each]
                if self.border == "crop" and not shown.rendered:
                    centre = margin(height) // 2
                    corners = centre - some
                    parts += [whole(image)[:, y : y + height, x : x + width] for x, y in corners.tolist()]
                    continue
                border: Any = "zero" if shown.rendered else self.border
                moves = [Transform(dx, dy, border=border) for dx, dy in some.tolist()]
                parts += shown.moved(image, moves) if shown.rendered else apply_many(moves, whole(image))
            return torch.stack(parts)

        head, known = model.head, dict[bytes, int]()
        top, lead = torch.empty(count, dtype=torch.long), torch.empty(count, dtype=torch.long)
        p, other = torch.empty(count), torch.empty(count)
        for start, stop, (logits, _) in run.passes.each(count, make, run.passes.answers):
            shares = head.probabilities(logits)
            top[start:stop] = _numbered(head.answer(shares), known)
            lead[start:stop] = head.leading(shares)
            p[start:stop] = head.p_of(shares, lead[start:stop])
            # p of the class that the view before this one was answered with.
            before = lead[(torch.arange(start, stop) - 1).clamp(min=0)]
            other[start:stop] = head.p_of(shares, before)
            yield Step(stop / count)
        top, p, other = (one.view(len(shown), each) for one in (top, p, other))
        jump = (other[:, 2::3] - p[:, 1::3]).abs()
        return Looked(top[:, 0], top[:, 1::3], top[:, 3::3], top[:, 2::3], jump)

    def places(self, shown: Shown, seed: int) -> Any:
        """The shift (x, y) of every view, whole px: (images, 1 + 3 * passes, 2).

        The middle; then of each pair its first shift, that and one pixel up and left, its second. An image's are the
        same for every model, up to the size of its input, and whatever other images are shown.
        """
        room, size = margin(shown.model.input_size[0]), shown.model.input_size[0]
        out = np.zeros((len(shown), 1 + 3 * self.passes, 2), dtype=np.int64)
        for number, one in enumerate(rooms(shown)):
            # A crop at offset o shows the picture moved by room // 2 - o; the pixel further must have room as well.
            low = np.array([max(room // 2 - room + 1, 1 - end) for end in (one.left, one.up)])
            high = np.array([min(room // 2, end) for end in (one.right, one.down)])
            if (high <= low).any():
                name = shown.stimuli.items[number].name
                raise MethodError(
                    Message(
                        "the object of '{name}' has no room to move within a frame of {size} px", name=name, size=size
                    )
                )
            share = np.random.default_rng([seed, shown.numbers[number]]).random((self.passes, 2, 2))
            drawn = (high - np.floor(share * (high - low + 1))).astype(np.int64)
            out[number, 1::3], out[number, 2::3], out[number, 3::3] = drawn[:, 0], drawn[:, 0] - 1, drawn[:, 1]
        return out

    def _picture(self, model: Model, shown: Shown, image: int) -> Tensor:
        """What is cropped, or moved, of one picture: (3, h, w) in 0..1 on the model's device."""
        if self.border != "crop" and self.mode == "model":
            return shown.images[image]
        source = shown.stimuli.items[image].source
        assert isinstance(source, Picture)
        found = canvas(source.image, model, self.mode).to(model.device)
        if self.border == "crop":
            return found
        size = model.input_size[0]
        corner = margin(size) // 2
        return found[:, corner : corner + size, corner : corner + size]

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "consistency", "higher"),
            *score(rows, Message("consistency, right at first"), "higher"),
            *score(rows, "accuracy", "higher"),
            *score(rows, Message("one-pixel flips"), "lower"),
            *score(rows, Message("one-pixel change of p"), "lower"),
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Shown at two places, {most} gives the same answer in {high} of the pairs, {least} in {low}.")
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        if not result.rows:
            return ()
        borders = sorted({one["border"] for one in result.rows})
        how = Message("border: {borders}", borders=listed(map(Message, borders)))
        charts = []
        for title, axis, names in (
            (
                Message("Invariance: equal answers at two random shifts"),
                Axis("share", low=0.0, high=1.0),
                ("consistency", Message("consistency, right at first"), "accuracy"),
            ),
            (
                Message("Jaggedness: what one pixel along the diagonal changes"),
                Axis(Message("share; mean |change of p|"), low=0.0),
                (Message("one-pixel flips"), Message("one-pixel change of p")),
            ),
        ):
            lines = []
            for number, model in enumerate(result.models):
                rows = [one for name in names for one in result.of(model, measure=name)]
                if rows:
                    lines.append(curve(model, result.colours[number], rows, "measure", joined=False))
            charts.append(
                Chart(
                    title,
                    tuple(lines),
                    Axis(""),
                    axis,
                    unit=Message("{how}. Bars: 95 % over images.", how=how.capitalize()),
                )
            )
        return (Section(Message("Shift consistency (invariance), {how}", how=how), (tuple(charts),)),)


def consistency_rows(
    looked: Looked, truth: Sequence[int | None], unit: str = "probability", **conditions: Any
) -> list[Row]:
    """The rows of `Consistency` from its answers; ``truth`` is each image's class, or None where it is not known."""
    n = len(looked.middle)
    same = (looked.first == looked.second).double().mean(1)
    flips = (looked.first != looked.near).double().mean(1)
    rows = [rate("consistency", float(same.sum()), n, **conditions)]
    known = torch.tensor([one is not None for one in truth])
    right = torch.tensor([one == given for one, given in zip(truth, looked.middle.tolist())])
    if known.any():
        rows.append(rate("accuracy", int(right.sum()), int(known.sum()), **conditions))
    if right.any():
        rows.append(
            rate(Message("consistency, right at first"), float(same[right].sum()), int(right.sum()), **conditions)
        )
    rows.append(rate(Message("one-pixel flips"), float(flips.sum()), n, **conditions))
    rows.append(mean(Message("one-pixel change of p"), looked.jump.mean(1), unit, SHARE, **conditions))
    return rows


def _numbered(answers: Tensor, known: dict[bytes, int]) -> Tensor:
    """A number for each answer, equal for equal ones: (B, 1 or labels) to (B,); ``known`` keeps those given so far."""
    if answers.shape[1] == 1:
        return answers[:, 0]
    texts = [row.tobytes() for row in answers.bool().numpy()]
    return torch.tensor([known.setdefault(text, len(known)) for text in texts])


def margin(size: int) -> int:
    """How much larger than the input of this size the picture is that crops are taken of, px: 32 of 224."""
    return max(2, round(size * (CANVAS - SEEN) / SEEN))


def canvas(picture: Image.Image, model: Model, mode: str) -> Tensor:
    """What crops are taken of: (3, side, side) float32 in 0..1, side the input's plus `margin`.

    Args:
        picture: RGB.
        model: its input is square.
        mode: "paper" resizes bilinearly, with antialias, so that the shorter side is the canvas's; "model" with the
            model's interpolation, as far as its crop_pct says where that is further.
    """
    size = model.input_size[0]
    side = size + margin(size)
    if mode == "paper":
        shorter, how = side, Image.Resampling.BILINEAR
    else:
        shorter, how = max(side, math.floor(size / model.crop_pct)), Image.Resampling[model.interpolation.upper()]
    # Sides and corner are rounded as torchvision rounds them.
    short = min(picture.size)
    width, height = (int(shorter * one / short) for one in picture.size)
    left, top = (round((one - side) / 2) for one in (width, height))
    cropped = picture.resize((width, height), how).crop((left, top, left + side, top + side))
    return torch.from_numpy(np.array(cropped)).permute(2, 0, 1).float().div(255)
