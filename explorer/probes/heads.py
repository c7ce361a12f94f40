"""How different are the heads of a layer?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.attention_distance import CAPTURED, placed_maps
from explorer.probes.base import PROBES, Bias, Probe, Run, Step
from explorer.probes.charting import lines
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.statistics import SHARE

#: Numbers that are held at a time for each pair of heads.
_AT_A_TIME = 2**20


@PROBES.register("heads")
@dataclass(frozen=True)
class Heads(Probe):
    """How different are the heads of a layer: does each look elsewhere, or all at the same?

    Of each query on the image, what two heads attend to is compared as two distributions over the same keys, prefix
    tokens and all, by the Jensen-Shannon divergence in bits: 0 where they are the same, 1 where no key has weight from
    both. Head diversity is its mean over pairs of heads, queries and images. Beside it the least and the most different
    pair of a layer, each the mean over images. Of attention by rows and columns the product (or mean) of the two is
    compared. Layers are numbered from 1 in the order of the forward pass, those with one head left out.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = (
        "JS(a, b) = H((a + b) / 2) - (H(a) + H(b)) / 2, H(a) = - sum over keys of a log2 a; "
        "diversity = mean over pairs of heads and over queries"
    )
    source: ClassVar[str] = (
        "Clark et al. 2019, What Does BERT Look At?, section 5 (heads by the Jensen-Shannon divergence); Lin 1991, "
        "IEEE Transactions on Information Theory 37:145"
    )
    limits: ClassVar[str] = (
        "It compares where heads look, not what they carry from there: heads that look alike may read other values."
    )
    headline: ClassVar[str] = "mean head diversity"
    link = "layer"

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One forward pass an image; raises MethodError where no layer has attention with several heads."""
        layers: list[str] = []
        found: list[Tensor] = []

        def read(x01: Tensor) -> list[Tensor]:
            maps = [one for one in placed_maps(model, x01) if one.heads > 1]
            layers[:] = [one.layer for one in maps]
            return [divergences(one) for one in maps]

        run.passes.size = min(run.passes.size, CAPTURED)
        for _, stop, part in run.passes.each(len(shown), lambda start, stop: shown.images[start:stop], read):
            if not part:
                raise MethodError(Message("its attention has one head a layer, so there are none to compare"))
            found = [torch.cat(pair) for pair in zip(found, part, strict=True)] if found else part
            yield Step(stop / len(shown) * 0.99)
        rows: list[Row] = []
        for number, (layer, values) in enumerate(zip(layers, found, strict=True), start=1):
            where: dict[str, Any] = {"layer": number, "path": layer, "depth": number / len(layers)}
            of_pair = values.mean(0)
            named = (
                ("head diversity", values.mean(1)),
                (Message("most alike pair of heads"), values[:, int(of_pair.argmin())]),
                (Message("least alike pair of heads"), values[:, int(of_pair.argmax())]),
            )
            rows += [mean(name, one, "bits", SHARE, **where) for name, one in named]
        every = torch.stack([values.mean(1) for values in found]).mean(0)
        yield Step(1.0, [*rows, mean(self.headline, every, "bits", SHARE)])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The mean over layers."""
        return score(rows, self.headline, "none")

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Diversity against depth."""
        curves = lines(result, "depth", "head diversity")
        if not curves:
            return ()
        chart = Chart(
            Message("Head diversity against depth"),
            curves,
            Axis(Message("depth, share of the attention layers")),
            Axis(Message("mean divergence of two heads, bits"), low=0.0, high=1.0),
            unit=Message("0: all heads look at the same; 1: no two heads look at a common place."),
        )
        return (Section(Message("How different are the heads of a layer?"), ((chart,),)),)


def divergences(one: AttentionMap) -> Tensor:
    """The divergence of each pair of heads, bits, the mean over queries on the image: (images, pairs) float64."""
    layout = one.layout
    assert layout is not None
    assert layout.query_index is not None
    images, groups, heads, queries, keys = one.weights.shape
    first, second = torch.triu_indices(heads, heads, 1)
    sums = torch.zeros(images, len(first), dtype=torch.float64)
    count = 0
    chunk = max(1, _AT_A_TIME // (len(first) * keys))
    for group in range(groups):
        index = layout.query_index[group if len(layout.query_index) > 1 else 0].cpu()
        for start in range(0, queries, chunk):
            here = index[start : start + chunk] >= 0
            count += int(here.sum())
            for item in range(images):
                weights = one.weights.block(item, group, start, start + len(here)).cpu().double()[:, here]
                weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
                own = _entropy(weights)
                both = _entropy((weights[first] + weights[second]) / 2)
                sums[item] += (both - (own[first] + own[second]) / 2).clamp(0, 1).sum(1)
    return sums / max(1, count)


def _entropy(weights: Tensor) -> Tensor:
    """-sum w log2 w over the last axis."""
    return -torch.special.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0, dtype=weights.dtype))
