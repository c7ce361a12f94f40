"""Which places take weight whatever asks, and are they the same in every picture?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from explorer.attention.sinks import FEWEST, NEARLY_ALL, TIMES, Sinks, sinks
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.attention_distance import CAPTURED, placed_maps
from explorer.probes.base import PROBES, Bias, Probe, Run, Step
from explorer.probes.charting import lines
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, rate, score
from explorer.probes.stimuli import Shown
from explorer.statistics import POSITIVE, SHARE


@PROBES.register("sinks")
@dataclass(frozen=True)
class AttentionSinks(Probe):
    """Which places take weight whatever asks: how much attention lies on sinks, and are they always the same?

    A cell of a layer's map, the mean over heads, is a sink in a picture where at least 90 % of the queries that can
    attend to it give it at least five times an even share each: the rule by which the page names sinks and hides them.
    Weight on sinks is the share of all weight of all queries that lies on them, 0 where there are none; sinks a picture
    their number. Of a picture's sinks, which share are sinks of another picture too, the mean over the other pictures,
    says whether they are chosen by place (1) or by what is there (near 0). Layers are numbered from 1 in the order of
    the forward pass. Prefix tokens are no cells, so a class or register token that takes weight is none.
    """

    bias: ClassVar[Bias] = "maps"
    formula: ClassVar[str] = (
        "sink: w(query, cell) >= 5 / keys for 0.9 of the queries or more; weight on sinks = sum over queries and sinks "
        "of w / queries"
    )
    source: ClassVar[str] = (
        "Darcet et al. 2024, Vision Transformers Need Registers; Xiao et al. 2024, Efficient Streaming Language Models "
        "with Attention Sinks; the thresholds are ours, from a pretrained ViT-Ti/16"
    )
    limits: ClassVar[str] = (
        "A map's sink need not have features of a large norm, by which Darcet et al. find them; that is not measured."
    )
    headline: ClassVar[str] = "mean weight on sinks"
    link = "layer"

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One forward pass an image; raises MethodError where no layer's map can have sinks."""
        layers: list[str] = []
        found: list[list[Sinks]] = []

        def read(x01: Any) -> list[list[Sinks]]:
            maps = [one for one in placed_maps(model, x01) if sinks(one)]
            layers[:] = [one.layer for one in maps]
            return [[sinks(one, item)[0] for item in range(len(x01))] for one in maps]

        run.passes.size = min(run.passes.size, CAPTURED)
        for _, stop, part in run.passes.each(len(shown), lambda start, stop: shown.images[start:stop], read):
            if not part:
                raise MethodError(
                    Message(
                        "no layer of its attention is between the same places of queries and keys, asked by {fewest} "
                        "queries or more, so that sinks could be told",
                        fewest=FEWEST,
                    )
                )
            found = [[*pair[0], *pair[1]] for pair in zip(found, part, strict=True)] if found else part
            yield Step(stop / len(shown) * 0.99)
        rows: list[Row] = []
        for number, (layer, each) in enumerate(zip(layers, found, strict=True), start=1):
            where: dict[str, Any] = {"layer": number, "path": layer, "depth": number / len(layers)}
            rows += [
                mean(Message("weight on sinks"), [one.share for one in each], "share", SHARE, **where),
                mean(Message("sinks a picture"), [float(len(one.cells)) for one in each], "cells", POSITIVE, **where),
                rate(Message("pictures with sinks"), sum(bool(one.cells) for one in each), len(each), **where),
            ]
            if len(again := recurring([one.cells for one in each])):
                rows.append(mean(Message("sinks that are sinks of other pictures"), again, "share", SHARE, **where))
        every = np.mean([[one.share for one in each] for each in found], axis=0)
        yield Step(1.0, [*rows, mean(self.headline, every, "share", SHARE)])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The mean over layers."""
        return score(rows, self.headline, "none")

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Weight on sinks against depth, and whether they are chosen by place."""
        depth = Axis(Message("depth, share of the attention layers"))
        rule = Message(
            "A sink gets {times} even shares and more from {most} of the queries.",
            times=f"{TIMES:g}",
            most=f"{NEARLY_ALL:.0%}".replace("%", " %"),
        )
        drawn = (
            (Message("weight on sinks"), Message("Weight on sinks against depth"), rule),
            (
                Message("sinks that are sinks of other pictures"),
                Message("Are sinks chosen by place?"),
                Message("1: the same cells in every picture; near 0: wherever the picture has them."),
            ),
        )
        charts = []
        for measure, title, said in drawn:
            if curves := lines(result, "depth", measure):
                charts.append((Chart(title, curves, depth, Axis(measure, low=0.0, high=1.0), unit=said),))
        return (Section(Message("Which places take weight whatever asks?"), tuple(charts)),) if charts else ()


def recurring(cells: Sequence[Sequence[int]]) -> list[float]:
    """Of each picture that has sinks, the share of them that another picture has too, the mean over all others.

    ``cells``: of each picture the positions of its sinks. Empty for one picture, or where none has sinks.
    """
    own = [set(one) for one in cells]
    return [
        float(np.mean([len(one & other) / len(one) for place, other in enumerate(own) if place != here]))
        for here, one in enumerate(own)
        if one and len(own) > 1
    ]
