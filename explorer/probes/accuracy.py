"""How often is the answer right?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.images import Bands, Picture
from explorer.images.folders import Folder, unread
from explorer.images.on_disk import OnDisk
from explorer.messages import Message, counted
from explorer.models.model import Model
from explorer.probes.ahead import Ahead
from explorer.probes.answers import one_folder
from explorer.probes.base import PROBES, Bias, Extremes, Probe, Run, Step, need_classes, need_one_class
from explorer.probes.charting import curve
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, rate, score
from explorer.probes.stimuli import Shown, Stimuli, Stimulus, with_bands

#: How many choices count beside the first, for models with more than twice as many classes.
SEVERAL = 5
_TOP, _SEVERAL = "accuracy", Message("top-5 accuracy")


@PROBES.register("accuracy")
@dataclass(frozen=True)
class Accuracy(Probe):
    """How often is the answer right?

    Every picture is shown once, resized and cropped as the model's own configuration says, as in timm's validation. The
    class is what the folder says (its number, its name, or ImageNet's synset); pictures whose class is not one of the
    model's are left out. Top-5 is measured of models with more than ten classes. Intervals are Wilson's over pictures.

    Pictures are read while the model computes, some ahead, so that memory does not grow with their number.
    """

    bias: ClassVar[Bias] = "cost"
    formula: ClassVar[str] = "top-1 = mean of [argmax f(x) = class]; top-5 = mean of [class among the 5 largest f(x)]"
    source: ClassVar[str] = "Russakovsky et al. 2015, IJCV (ILSVRC), section 4.1; preprocessing: timm's validation"
    limits: ClassVar[str] = "It does not say why an answer is right, nor whether it stays right on other pictures."
    headline: ClassVar[str] = _TOP
    parts: ClassVar = "pictures and scenes"
    streams: ClassVar[bool] = True

    def stimuli(
        self,
        images: Any,
        models: Sequence[Model],  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002
        bands: Bands | None = None,
    ) -> Stimuli | None:
        """The pictures of a folder, not decoded yet."""
        root = one_folder(images)
        if root is None:
            return None
        folder = Folder(root)
        items = tuple(Stimulus(one.file_name, OnDisk(one, bands), one.label) for one in folder)
        words = counted("{n} image", "{n} images", len(items))
        return Stimuli(items, with_bands(words, bands), root, folder.notes)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        need_classes(model)
        need_one_class(model, Message("the class with the largest logit is the answer here"))
        known = [(place, truth) for place, truth in enumerate(shown.truth) if truth is not None]
        if not known:
            raise MethodError(
                Message(
                    "{spec} has none of these pictures' classes; they are told by folders that are named after a "
                    "class, by its number, its name or ImageNet's synset",
                    spec=model.spec,
                )
            )
        places, ranks, lost = [place for place, _ in known], list[int](), set[int]()
        with ExitStack() as stack:
            if shown.rendered:

                def make(start: int, stop: int) -> Tensor:
                    return shown.images[places[start:stop]]

            else:
                sources = [one for place in places if isinstance(one := shown.stimuli.items[place].source, Picture)]
                read = stack.enter_context(Ahead(model, sources))
                make, lost = read.batch, read.lost
            for start, stop, (logits, _) in run.passes.each(len(known), make, run.passes.answers):
                ranks += _ranks(logits, [truth for _, truth in known[start:stop]])
                yield Step(stop / len(known))
        kept = [rank for number, rank in enumerate(ranks) if number not in lost]
        notes = [unread([shown.stimuli.items[places[number]].name for number in sorted(lost)])] if lost else []
        if len(known) < len(shown):
            notes.append(
                counted(
                    "{n} picture was left out, as its class is not known or none of the model's",
                    "{n} pictures were left out, as their classes are not known or none of the model's",
                    len(shown) - len(known),
                )
            )
        rows = [rate(_TOP, sum(rank < 1 for rank in kept), len(kept))] if kept else []
        if kept and model.num_classes > 2 * SEVERAL:
            rows.append(rate(_SEVERAL, sum(rank < SEVERAL for rank in kept), len(kept)))
        yield Step(1.0, rows, notes)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [*score(rows, _TOP, "higher"), *score(rows, _SEVERAL, "higher")]

    def finding(self, found: Extremes) -> str:
        return found.say(Message("{most} answers right for {high} of the pictures, {least} for {low}."))

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        lines = []
        for number, model in enumerate(result.models):
            rows = [row for name in (_TOP, _SEVERAL) for row in result.of(model, measure=name)]
            if rows:
                lines.append(curve(model, result.colours[number], rows, "measure", joined=False))
        chart = Chart(
            Message("Right answers"),
            tuple(lines),
            Axis(""),
            Axis(Message("share of pictures"), low=0.0, high=1.0),
            unit=Message("Bars are Wilson's 95 % intervals over pictures."),
        )
        return (Section(Message("How often the answer is right"), ((chart,),)),) if lines else ()


def _ranks(logits: Tensor, truth: Sequence[int]) -> list[int]:
    """Before how many other classes each picture's own comes: 0 where the answer is right.

    Of equal logits the first counts as the larger, as argmax has it. Where a logit is no number nothing is right.
    """
    classes = logits.shape[1]
    own = torch.tensor(truth)[:, None]
    mine = logits.gather(1, own)
    above = (logits > mine) | ((logits == mine) & (torch.arange(classes)[None] < own))
    return torch.where(logits.isfinite().all(1), above.sum(1), classes).tolist()
