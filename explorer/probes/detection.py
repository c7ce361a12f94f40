"""How well are several objects found, each with its class and its box?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from explorer.detection import SIZES, Found, areas, average_precision, centre_errors, decode
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Probe, Run, Step
from explorer.probes.charting import curve
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, row, score
from explorer.probes.stimuli import STREAM, Shown
from explorer.registry import parameter
from explorer.scenes import draw_groups, render_groups

#: Stands for objects of every size.
_ALL = "all"
#: Sizes in words.
_SIZES: Mapping[str, str] = {"small": Message("small"), "medium": Message("medium"), "large": Message("large")}


@PROBES.register("detection")
@dataclass(frozen=True)
class Detection(Probe):
    """How well does a model find several objects, each with its class and its box?

    Scenes of 1 to 5 objects of 0.3 to 1 times the training size, some of them partly hidden, are rendered anew, with
    exact boxes of what is seen; an object counts where at least 30 % of it is seen. Average precision (AP) is COCO's:
    the mean over classes of the precision, interpolated at 101 recalls, at one overlap of the boxes (AP50, AP75) or as
    the mean over overlaps of 0.5 to 0.95; by size, the objects whose boxes are smaller than a square of 10 px of 48,
    larger than one of 18 px, or between. Centre error: the median distance from an object's centre to that of the
    nearest box of its class with a score above 0.1; there is none where half of the objects have no such box.
    """

    bias: ClassVar[Bias] = "relations"
    formula: ClassVar[str] = (
        "AP = mean over classes and overlaps of 1/101 sum over recalls r of max precision at recall >= r; "
        "overlap = intersection / union of the boxes"
    )
    source: ClassVar[str] = (
        "Lin et al. 2014, Microsoft COCO, and pycocotools; heads after Zhou et al. 2019, Objects as Points (CenterNet)"
    )
    limits: ClassVar[str] = (
        "AP mixes finding, naming and placing: a low one does not say which failed; the centre error speaks of placing."
    )
    looks = False
    shows: ClassVar[str] = Message("scenes of several objects, rendered anew")
    headline: ClassVar[str] = "AP"

    count: int = parameter(500, "scenes, of 1 to 5 objects each", 10, 5_000)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:  # noqa: ARG002 - scenes of its own
        """One forward pass a scene; raises MethodError for a model that does not find objects."""
        if not model.detects:
            raise MethodError(Message("it was not trained to find objects; lab/detect+BLOCK is, as in lab/detect+c2f"))
        if model.input_size[0] != model.input_size[1]:
            raise MethodError(Message("scenes are square, and its input is not"))
        side = model.input_size[0]
        truth: dict[int, dict[str, Tensor]] = {}

        def make(start: int, stop: int) -> Tensor:
            # Drawn anew from a stream that no model of the laboratory was trained on.
            made = render_groups(draw_groups(STREAM + run.seed, torch.arange(start, stop)), side)
            # By its beginning: a batch that does not fit the memory is made again, shorter.
            truth[start] = {"boxes": made.boxes, "labels": made.labels, "counts": made.counts}
            return made.images.to(model.device)

        parts = []
        for _, stop, part in run.passes.each(self.count, make, lambda x: model.logits(x).float().cpu()):
            parts.append(part)
            yield Step(0.9 * stop / self.count)
        known = {name: torch.cat([one[name] for one in truth.values()]) for name in truth[0]}
        yield Step(1.0, rows_of(decode(torch.cat(parts)), known, side))

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        return [
            *score(rows, "AP", "higher", size=_ALL),
            *score(rows, "AP50", "higher", size=_ALL),
            *score(rows, "AP75", "higher", size=_ALL),
            *score(rows, Message("centre error"), "lower", size=_ALL),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """AP at overlaps, and AP50 by size."""
        charts = []
        for title, x, places in (
            (Message("Average precision"), Message("overlap of the boxes that counts as found"), _by_overlap),
            (Message("Average precision by size, at an overlap of 0.5"), Message("size of the object"), _by_size),
        ):
            lines = tuple(
                curve(model, result.colours[number], rows, "place", joined=False)
                for number, model in enumerate(result.models)
                if (rows := places(result.of(model)))
            )
            if lines:
                charts.append(Chart(title, lines, Axis(x), Axis(Message("average precision"), low=0.0, high=1.0)))
        return (Section(Message("How well are objects found?"), (tuple(charts),)),) if charts else ()


def rows_of(found: Found, truth: Mapping[str, Tensor], side: int) -> list[Row]:
    """Rows of what was found in scenes whose objects are known; ``side``: of the frame, px."""
    every = average_precision(found, truth)
    errors = np.array(centre_errors(found, truth))
    objects = len(errors)
    rows = [
        row("AP", float(every.mean()), "share", objects, size=_ALL),
        row("AP50", float(every[0]), "share", objects, size=_ALL),
        row("AP75", float(every[5]), "share", objects, size=_ALL),
    ]
    sizes = areas(truth["boxes"][truth["counts"]].double().numpy())
    for name, (low, high) in SIZES.items():
        some = int(((sizes >= low) & (sizes <= high)).sum())
        if some:
            rows.append(row("AP50", float(average_precision(found, truth, (low, high))[0]), "share", some, size=name))
    error = float(np.median(errors)) * side
    if np.isfinite(error):
        rows.append(row(Message("centre error"), error, "px", objects, size=_ALL))
    return rows


def _by_overlap(rows: Sequence[Row]) -> list[Row]:
    overlaps = {"AP": "0.5:0.95", "AP50": "0.5", "AP75": "0.75"}
    return [{**one, "place": overlaps[one["measure"]]} for one in rows if one["measure"] in overlaps and _whole(one)]


def _by_size(rows: Sequence[Row]) -> list[Row]:
    return [{**one, "place": _SIZES[one["size"]]} for one in rows if one["measure"] == "AP50" and not _whole(one)]


def _whole(one: Row) -> bool:
    return one["size"] == _ALL
