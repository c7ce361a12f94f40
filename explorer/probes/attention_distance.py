"""How far from its query does attention look?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.attention.watch import capture
from explorer.errors import MethodError, NoAttentionError
from explorer.figures.sheet import Axis, Chart, Line, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Extremes, Probe, Run, Step
from explorer.probes.charting import curve
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, score
from explorer.probes.stimuli import Shown
from explorer.statistics import POSITIVE, SHARE

#: Attention weights made at a time, in numbers: 16 MB of float32.
_AT_A_TIME = 4 * 1024 * 1024
#: Images captured at a time: some networks give their whole attention matrices.
CAPTURED = 8


@PROBES.register("attention-distance")
@dataclass(frozen=True)
class AttentionDistance(Probe):
    """How far does each attention head look?

    For each layer and head the mean over queries of the sum over keys of attention times the distance between the
    cells' centres, in px of the input:

    - attention distance: as the weights are, prefix tokens (class, registers) left out and not renormalised, so weight
      on a prefix token counts as distance 0;
    - attention distance, renormalised: each query's weights over image positions divided by their sum first;
    - mass on prefix tokens: what the two differ by. Attention that rests on the class token looks local without being
      so.

    Queries are the positions of the image; prefix tokens and padding are none, and a place that lies in several windows
    counts once for each. Windows, shifted windows and pooled keys are placed as they lie on the image. Of attention by
    rows and columns the product (or mean) of the two is measured. Layers are numbered from 1 in the order of the
    forward pass, depth is number over count. Values are means over images; "mean" is the mean over heads.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = "D_h = 1/N sum over q, k of A_h[q, k] |position of q - position of k|"
    source: ClassVar[str] = (
        "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, section 4.5; Raghu et al., Do Vision "
        "Transformers See Like Convolutional Neural Networks?, NeurIPS 2021, section 4"
    )
    limits: ClassVar[str] = "It shows where weights lie, not what the values there contribute, nor what skips pass by."
    headline: ClassVar[str] = "mean attention distance"
    parts: ClassVar = "pictures and scenes"
    link = "layer"

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One forward pass an image; raises MethodError where no attention depends on the query."""
        layers: list[tuple[str, bool]] = []
        found: list[Tensor] = []

        def read(x01: Tensor) -> list[Tensor]:
            maps = placed_maps(model, x01)
            layers[:] = [(one.layer, bool(one.layout and one.layout.prefix)) for one in maps]
            return [distances(one) for one in maps]

        run.passes.size = min(run.passes.size, CAPTURED)
        for _, stop, part in run.passes.each(len(shown), lambda start, stop: shown.images[start:stop], read):
            found = [torch.cat(pair) for pair in zip(found, part, strict=True)] if found else part
            yield Step(stop / len(shown) * 0.99)
        yield Step(1.0, self._rows(layers, found))

    def _rows(self, layers: Sequence[tuple[str, bool]], found: Sequence[Tensor]) -> list[Row]:
        """``found``: per layer (images, heads, 3)."""
        rows: list[Row] = []
        for number, ((layer, prefixed), values) in enumerate(zip(layers, found, strict=True), start=1):
            where: dict[str, Any] = {"layer": number, "path": layer, "depth": number / len(layers)}
            heads: list[tuple[int | str, Tensor]] = [*enumerate(values.unbind(1)), ("mean", values.mean(1))]
            for head, one in heads:
                rows.append(mean("attention distance", one[:, 0], "px", POSITIVE, **where, head=head))
                rows.append(
                    mean(Message("attention distance, renormalised"), one[:, 1], "px", POSITIVE, **where, head=head)
                )
                if prefixed:
                    rows.append(mean(Message("mass on prefix tokens"), one[:, 2], "share", SHARE, **where, head=head))
        over = torch.stack([values.mean(1) for values in found]).mean(0)
        rows.append(mean("mean attention distance", over[:, 0], "px", POSITIVE))
        rows.append(mean(Message("mean attention distance, renormalised"), over[:, 1], "px", POSITIVE))
        if any(prefixed for _, prefixed in layers):
            rows.append(mean(Message("mean mass on prefix tokens"), over[:, 2], "share", SHARE))
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The mean over layers and heads, as it is and renormalised, and the mass on prefix tokens."""
        wanted = (
            self.headline,
            Message("mean attention distance, renormalised"),
            Message("mean mass on prefix tokens"),
        )
        return [one for name in wanted for one in score(rows, name, "none")]

    def finding(self, found: Extremes) -> str:
        return found.say(Message("A place looks {high} away on average in {most}, {low} in {least}."))

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Distance, renormalised distance and mass on prefix tokens against depth; heads are points."""
        charts = []
        for measure, title, axis in (
            (
                "attention distance",
                Message("Attention distance against depth"),
                Message("attention distance, px of the input"),
            ),
            (
                Message("attention distance, renormalised"),
                Message("Attention distance, renormalised, against depth"),
                Message("attention distance, renormalised, px of the input"),
            ),
            (
                Message("mass on prefix tokens"),
                Message("Mass on prefix tokens against depth"),
                Message("share of attention on prefix tokens"),
            ),
        ):
            lines = []
            for number, model in enumerate(result.models):
                rows = result.of(model, measure=measure)
                middle = [one for one in rows if one["head"] == "mean"]
                heads = [one for one in rows if one["head"] != "mean"]
                if middle:
                    lines.append(curve(model, result.colours[number], middle, "depth"))
                    x, y = (tuple(float(one[name]) for one in heads) for name in ("depth", "value"))
                    lines.append(
                        Line(Message("{model}, heads", model=model), x, y, colour=result.colours[number], joined=False)
                    )
            if lines:
                axes = Axis(Message("depth, share of the attention layers")), Axis(axis, low=0.0)
                said = Message("A line is the mean over heads with its interval over images, a point one head.")
                charts.append(Chart(title, tuple(lines), *axes, unit=said))
        return (Section(Message("How far does attention look?"), tuple((one,) for one in charts)),) if charts else ()


def placed_maps(model: Model, x01: Tensor) -> list[AttentionMap]:
    """The maps of a batch that have a row of its own for each query on the image; raises MethodError for none."""
    try:
        maps = capture(model, x01)
    except NoAttentionError as error:
        said = error.message
        # Without the model, which stands before it already.
        raise MethodError(said.values["rest"] if isinstance(said, Message) else said) from None
    # Of attention by rows and by columns, what a place reads from both.
    whole = [one for one in maps if one.kind == "pairwise" or (one.layout and one.layout.name == "row and column")]
    found = [one for one in whole if one.per_query and one.kind in ("pairwise", "axial")]
    if not found:
        kinds = ", ".join(dict.fromkeys(one.kind for one in maps))
        raise MethodError(
            Message(
                "no attention whose weights depend on the query and have a known place on the image (its maps: "
                "{kinds}), so there is no distance from query to key",
                kinds=kinds,
            )
        )
    return found


def distances(one: AttentionMap) -> Tensor:
    """Distances of one map: (images, heads, 3) float64 on the CPU.

    The last axis: distance, px; distance with each query's weights over image positions renormalised, px; mass on
    prefix tokens. Means over the queries on the image; a query without any weight on the image counts in the first and
    third alone.
    """
    layout = one.layout
    assert layout is not None
    assert layout.query_grid is not None
    assert layout.query_index is not None
    images, groups, heads, queries, keys = one.weights.shape
    sums = torch.zeros(images, heads, 3, dtype=torch.float64)
    counts = torch.zeros(images, heads, 3, dtype=torch.float64)
    chunk = max(1, _AT_A_TIME // (heads * keys))
    for group in range(groups):
        query_index, key_index = _of_group(layout.query_index, group), _of_group(layout.key_index, group)
        to = _centres(key_index, layout.key_grid, one.image_size)
        for start in range(0, queries, chunk):
            codes = query_index[start : start + chunk]
            away = torch.cdist(_centres(codes, layout.query_grid, one.image_size), to)
            for item in range(images):
                weights = one.weights.block(item, group, start, start + len(codes))[:, codes >= 0]
                _add(weights, away[codes >= 0], key_index, sums[item], counts[item])
    return sums / counts.clamp(min=1)


def _add(weights: Tensor, away: Tensor, key_index: Tensor, sums: Tensor, counts: Tensor) -> None:
    """Add queries' weights (heads, Q, Nk), distances (Q, Nk) px apart, to sums and counts (heads, 3)."""
    on_image, on_prefix = (key_index >= 0).to(weights), (key_index < -1).to(weights)
    away = away.float().to(weights) * on_image
    far = (weights * away).sum(-1)
    held = weights @ on_image
    apart = torch.where(held > 0, far / held, 0.0)
    sums += torch.stack([far.sum(1), apart.sum(1), (weights @ on_prefix).sum(1)], 1).cpu().double()
    number = torch.full((len(weights),), float(weights.shape[1]))
    counts += torch.stack([number, (held > 0).sum(1).cpu(), number], 1)


def _of_group(index: Tensor, group: int) -> Tensor:
    """The positions of one group, (N,); one row may stand for all groups."""
    return index[group if len(index) > 1 else 0].cpu()


def _centres(index: Tensor, grid: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """(N, 2) float64: y and x, px, of the centres of cells; anything for entries that lie nowhere."""
    (rows, columns), (height, width) = grid, image_size
    y = (index.div(columns, rounding_mode="floor") + 0.5) * height / rows
    return torch.stack([y.double(), (index.remainder(columns) + 0.5).double() * width / columns], 1)
