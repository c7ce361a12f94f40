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
from explorer.probes.attention_distance import CAPTURED, distances, placed_maps
from explorer.probes.base import PROBES, Bias, Probe, Run, Step
from explorer.probes.charting import lines
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.statistics import POSITIVE, SHARE

#: Numbers that are held at a time for each pair of heads.
_AT_A_TIME = 2**20


@PROBES.register("heads")
@dataclass(frozen=True)
class Heads(Probe):
    """How different are the heads of a layer: does each look elsewhere, or all at the same?

    Of each query on the image, what two heads attend to is compared as two distributions over the same keys, prefix
    tokens and all, by the Jensen-Shannon divergence in bits: 0 where they are the same, 1 where no key has weight from
    both. Head diversity is its mean over pairs of heads, queries and images. Beside it the least and the most different
    pair of a layer, each the mean over images; the entropy of a head's rows, which is log2 of the number of keys
    where it looks everywhere alike; by how much the farthest head looks farther than the nearest; and the divergence
    of a head's row from the same query's row in the picture before, which is 0 where places alone decide. Of
    attention by rows and columns the product (or mean) of the two is compared. Layers are numbered from 1 in the
    order of the forward pass, those with one head left out.
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
        found: list[tuple[Tensor, ...]] = []
        previous: list[AttentionMap | None] = []

        def read(x01: Tensor) -> list[tuple[Tensor, ...]]:
            maps = [one for one in placed_maps(model, x01) if one.heads > 1]
            layers[:] = [one.layer for one in maps]
            olds = previous or [None] * len(maps)
            each: list[tuple[Tensor, ...]] = [
                (divergences(one), distances(one)[..., 0], *over_pictures(one, old)) for one, old in zip(maps, olds)
            ]
            previous[:] = maps
            return each

        run.passes.size = min(run.passes.size, CAPTURED)
        for _, stop, part in run.passes.each(len(shown), lambda start, stop: shown.images[start:stop], read):
            if not part:
                raise MethodError(Message("its attention has one head a layer, so there are none to compare"))
            both = zip(found or [()] * len(part), part, strict=True)
            found = [tuple(map(torch.cat, zip(old, new))) if old else new for old, new in both]
            yield Step(stop / len(shown) * 0.99)
        rows: list[Row] = []
        for number, (layer, (values, far, entropy, change)) in enumerate(zip(layers, found, strict=True), start=1):
            where: dict[str, Any] = {"layer": number, "path": layer, "depth": number / len(layers)}
            of_pair = values.mean(0)
            named = (
                ("head diversity", values.mean(1)),
                (Message("most alike pair of heads"), values[:, int(of_pair.argmin())]),
                (Message("least alike pair of heads"), values[:, int(of_pair.argmax())]),
            )
            rows += [mean(name, one, "bits", SHARE, **where) for name, one in named]
            rows.append(mean(Message("entropy of a head's rows"), entropy.mean(1), "bits", POSITIVE, **where))
            apart = far.amax(1) - far.amin(1)
            rows.append(mean(Message("farthest head's distance minus the nearest's"), apart, "px", POSITIVE, **where))
            if len(known := change[~change.isnan().any(1)]):
                rows.append(mean(Message("change from picture to picture"), known.mean(1), "bits", SHARE, **where))
        every = torch.stack([values.mean(1) for values, *_ in found]).mean(0)
        yield Step(1.0, [*rows, mean(self.headline, every, "bits", SHARE)])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The mean over layers."""
        return score(rows, self.headline, "none")

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Diversity against depth."""
        drawn = (
            (
                "head diversity",
                Message("Head diversity against depth"),
                Message("mean divergence of two heads, bits"),
                Message("0: all heads look at the same; 1: no two heads look at a common place."),
            ),
            (
                Message("change from picture to picture"),
                Message("Do heads follow the picture?"),
                Message("mean divergence of a query's rows in two pictures, bits"),
                Message("0: the same whatever is shown, by place alone; 1: nothing in common."),
            ),
        )
        charts = []
        for measure, title, axis, said in drawn:
            if curves := lines(result, "depth", measure):
                depth = Axis(Message("depth, share of the attention layers"))
                charts.append((Chart(title, curves, depth, Axis(axis, low=0.0, high=1.0), unit=said),))
        return (Section(Message("How different are the heads of a layer?"), tuple(charts)),) if charts else ()


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


def over_pictures(one: AttentionMap, before: AttentionMap | None = None) -> tuple[Tensor, Tensor]:
    """Entropy of each head's rows, and their divergence from the picture's before, bits: (images, heads) float64 each.

    Means over queries on the image. ``before``: the map of the batch that came before; without it the first picture has
    none before it, and NaN.
    """
    layout = one.layout
    assert layout is not None
    assert layout.query_index is not None
    images, groups, heads, queries, keys = one.weights.shape
    entropy, change = (torch.zeros(images, heads, dtype=torch.float64) for _ in range(2))
    count = 0
    chunk = max(1, _AT_A_TIME // (heads * keys))
    for group in range(groups):
        index = layout.query_index[group if len(layout.query_index) > 1 else 0].cpu()
        for start in range(0, queries, chunk):
            here = index[start : start + chunk] >= 0
            count += int(here.sum())
            stop = start + len(here)
            shown = [] if before is None else [before.weights.block(before.weights.shape[0] - 1, group, start, stop)]
            shown += [one.weights.block(item, group, start, stop) for item in range(images)]
            rows = [row.cpu().double()[:, here] for row in shown]
            rows = [row / row.sum(-1, keepdim=True).clamp(min=1e-12) for row in rows]
            own = [_entropy(row) for row in rows]
            first = len(rows) - images
            for item in range(images):
                entropy[item] += own[first + item].sum(1)
            for item in range(1 - first, images):
                at, last = first + item, first + item - 1
                both = _entropy((rows[at] + rows[last]) / 2)
                change[item] += (both - (own[at] + own[last]) / 2).clamp(0, 1).sum(1)
    if before is None:
        change[0] = torch.nan
    return entropy / max(1, count), change / max(1, count)


def _entropy(weights: Tensor) -> Tensor:
    """-sum w log2 w over the last axis."""
    return -torch.special.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0, dtype=weights.dtype))
