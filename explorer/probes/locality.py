"""How far a model looks: its effective receptive field, its attention and its evidence, all in input pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.attention.watch import capture
from explorer.attribution import answer
from explorer.errors import MethodError, NoAttentionError
from explorer.figures.sheet import Axis, Chart, Line, Section, colour_of
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Probe, Row, Run, Step, curve, mean, row, score
from explorer.probes.passes import stage_features
from explorer.probes.result import ProbeResult, Score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import BY, POSITIVE, SHARE, Range, interval

#: Shares of the mass whose square is reported (Ding et al. 2022).
SHARES = (0.2, 0.3, 0.5, 0.99)
#: Points of the curve of mass against side.
POINTS = 29
#: Attention weights made at a time, in numbers: 16 MB of float32.
_AT_A_TIME = 4 * 1024 * 1024
#: Images captured at a time: some networks give their whole attention matrices.
_CAPTURED = 8
#: Images of one backward pass at most; their gradients take several times the memory of a forward pass.
_GRADIENTS = 8
#: Shares of |attribution| whose radius is reported.
RADII = (0.5, 0.9)
_METHODS = ("gradcam", "saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "gradient_rollout")


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _size(model: Model) -> str:
    height, width = model.input_size
    return f"{width} x {height} px"


@PROBES.register("effective-receptive-field")
@dataclass(frozen=True)
class EffectiveReceptiveField(Probe):
    """How large is the part of the input that a stage's centre really depends on?

    The score of an image is the sum over channels of ReLU of the stage's feature at its centre (row and column number
    size // 2). A is the mean over images of the sum over R, G and B of ReLU(d score / d x), x the normalised input;
    A(i, j) has one value a pixel. Reported are

    - the raw mass: the sum of A. It has the scale of the features, so it is no measure between models;
    - sigma, px: sqrt(sum of A d^2 / (2 sum of A)), d the distance of a pixel from the image's centre pixel (H // 2,
      W // 2): the standard deviation along one axis, as of Luo's Gaussian;
    - the side, px, of the smallest square around the image's centre pixel (1, 3, 5, ... px, at most the image) that
      holds more than a share t of the mass, and its area over the image's, the area ratio, for t of 20, 30, 50, 99 %.

    A size that is reported belongs to the input size it was measured at.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = (
        "A = mean over images of sum over RGB of ReLU(d sum over channels of ReLU(f at its centre) / d x); area ratio "
        "at t = area of the smallest centred square with more than t of sum A / area of the image"
    )
    source: ClassVar[str] = (
        "Luo et al., Understanding the Effective Receptive Field, NeurIPS 2016; Ding et al., Scaling Up Your Kernels "
        "to 31x31 (RepLKNet), CVPR 2022, section 5.1"
    )
    limits: ClassVar[str] = "A gradient says what a small change would do; it says nothing about what a large one does."
    headline: ClassVar[str] = "area ratio at 50 %"

    stage: int | None = parameter(None, "stage whose centre is asked about; none: the last", 1, 99)
    variant: str = parameter(
        "raw",
        "raw: A as it is; replknet-log: log10(A + 1) over its maximum before the squares, as RepLKNet's script has it, "
        "which depends on the gradient's scale and has no interval here",
        choices=("raw", "replknet-log"),
    )

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One gradient an image; raises MethodError where the stage cannot be read or no gradient reaches the input."""
        stage = self._stage(model)
        profiles: list[Tensor] = []
        moments: list[Tensor] = []
        total = torch.zeros(model.input_size, dtype=torch.float64)
        batch = max(1, min(_GRADIENTS, run.passes.size // 2))
        for start in range(0, len(shown), batch):
            with run.passes.exact():
                maps = input_gradient(model, shown.images[start : start + batch], stage).cpu().double()
            total += maps.sum(0)
            profiles += square_profile(maps)
            moments += second_moment(maps)
            yield Step(min(1.0, (start + batch) / len(shown)) * 0.99)
        if not float(total.sum()) > 0:
            raise MethodError(f"no gradient of stage {stage} reaches the input, so it has no field")
        yield Step(1.0, self._rows(model, stage, torch.stack(profiles), torch.stack(moments), total / len(shown)))

    def _stage(self, model: Model) -> int:
        usable = [one.number for one in model.stages if not one.problem]
        if self.stage is None and usable:
            return usable[-1]
        if self.stage is None or self.stage not in usable:
            named = ", ".join(map(str, usable)) or "none"
            raise MethodError(f"there is no stage {self.stage or 'at all'} with a known place; it has: {named}")
        return self.stage

    def _rows(self, model: Model, stage: int, profiles: Tensor, moments: Tensor, field: Tensor) -> list[Row]:
        height, width = model.input_size
        where: dict[str, Any] = {"stage": stage, "layer": next(one.name for one in model.stages if one.number == stage)}
        where |= {"input": _size(model), "variant": self.variant}
        count = len(profiles)

        def sigma(sums: Any) -> float:
            return math.sqrt(sums[1] / (2 * sums[0])) if sums[0] > 0 else math.nan

        rows = [
            mean("raw mass", profiles[:, -1], "sum of gradients", POSITIVE, **where),
            mean("sigma", moments, "px", POSITIVE, sigma, **where),
        ]
        if self.variant == "replknet-log":
            scaled = (field + 1).log10()
            profiles = square_profile((scaled / scaled.max())[None])

        extent = max(height, width)
        for share in SHARES:
            # What jumps from one odd side to the next has no smooth interval: the place where the mass is met has one.
            met = interval(profiles, Range(0.0, extent), partial(_side_holding, share=share))

            def area(place: float) -> float:
                side = _odd(place, extent)
                return min(side, height) * min(side, width) / (height * width)

            def side(place: float) -> float:
                return _odd(place, extent)

            ends = [None if one is None else (area(one), side(one)) for one in (met.low, met.mean, met.high)]
            named = f"area ratio at {_percent(share)}", f"side of the square at {_percent(share)}"
            for number, (name, unit) in enumerate(zip(named, ("share", "px"))):
                low, value, high = (None if one is None else one[number] for one in ends)
                assert value is not None
                rows.append(row(name, value, unit, count, (low, high), BY, **where, share=share))
        for radius in np.unique(np.linspace(0, profiles.shape[1] - 1, POINTS).round().astype(int)).tolist():

            def within(profile: Any, radius: int = radius) -> float:
                return float(profile[radius] / profile[-1]) if profile[-1] > 0 else math.nan

            where["side"] = min(2 * radius + 1, extent)
            one = mean("share of mass", profiles, "share", SHARE, within, **where)
            rows.append({**one, "n": count})
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The area ratio at 50 %, the side of its square and sigma."""
        wanted = (self.headline, "side of the square at 50 %", "side of the square at 99 %", "sigma")
        return [one for name in wanted for one in score(rows, name, "none")]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """The share of the mass inside a centred square against its side."""
        lines = []
        for number, model in enumerate(result.models):
            rows = result.of(model, measure="share of mass")
            if rows:
                lines.append(curve(f"{model}, {rows[0]['input']}", number, rows, "side"))
        chart = Chart(
            "Share of the effective receptive field inside a centred square",
            tuple(lines),
            Axis("side of the square, px of the input"),
            Axis("share of the mass", low=0.0, high=1.0),
            unit="Sizes hold for the input size named; another size may turn the order of two models round.",
        )
        return (Section("How far does a stage's centre look?", ((chart,),)),) if lines else ()


def input_gradient(model: Model, x01: Tensor, stage: int) -> Tensor:
    """A of each image: (B, H, W), the sum over R, G and B of ReLU(d score / d x), x the normalised input.

    Args:
        model: a live model; hold its lock.
        x01: (B, 3, H, W) in 0..1 on the model's device.
        stage: its number.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x01 = x01.clone().detach().requires_grad_()
        features = stage_features(model, x01, [stage])[stage]
        score = features[..., features.shape[-2] // 2, features.shape[-1] // 2].relu().sum()
        (gradient,) = torch.autograd.grad(score, x01)
    # x = (x01 - mean) / std
    return (gradient * gradient.new_tensor(model.std).view(1, -1, 1, 1)).relu().sum(1)


def _from_centre(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """|row - H // 2| (H, 1) and |column - W // 2| (1, W) of each pixel."""
    height, width = size
    rows = (torch.arange(height) - height // 2).abs()[:, None]
    return rows, (torch.arange(width) - width // 2).abs()[None]


def square_profile(maps: Tensor) -> Tensor:
    """Mass inside the centred squares of side 1, 3, 5, ... px: (B, H, W) to (B, squares)."""
    rings = torch.maximum(*_from_centre((maps.shape[-2], maps.shape[-1]))).flatten()
    out = maps.new_zeros(len(maps), int(rings.max()) + 1)
    return out.index_add_(1, rings, maps.flatten(1)).cumsum(1)


def second_moment(maps: Tensor) -> Tensor:
    """(B, 2): the mass of each map (B, H, W); the sum of mass times squared distance from the centre pixel, px^2."""
    rows, columns = _from_centre((maps.shape[-2], maps.shape[-1]))
    return torch.stack([maps.sum((1, 2)), (maps * (rows**2 + columns**2)).sum((1, 2))], 1)


def _side_holding(profile: Any, share: float) -> float:
    """The side of the centred square that holds a share of the mass, px, linear between odd sides; see `_odd`."""
    wanted = share * profile[-1]
    above = profile > wanted
    place = int(above.argmax()) if above.any() else len(profile) - 1
    inside = float(profile[place - 1]) if place else 0.0
    ring = float(profile[place]) - inside
    # The square of one pixel has no smaller one beside it but that of side 0.
    begin, step = (2 * place - 1, 2) if place else (0, 1)
    return begin + step * ((float(wanted) - inside) / ring if ring > 0 else 0.5)


def _odd(side: float, extent: int) -> float:
    """The smallest odd side above a side, px: whole pixels about the centre's; at most the frame's."""
    return float(min(2 * math.floor((side + 1) / 2) + 1, extent))


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
    link = "layer"

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One forward pass an image; raises MethodError where no attention depends on the query."""
        layers: list[tuple[str, bool]] = []
        found: list[Tensor] = []

        def read(x01: Tensor) -> list[Tensor]:
            maps = _placed(model, x01)
            layers[:] = [(one.layer, bool(one.layout and one.layout.prefix)) for one in maps]
            return [distances(one) for one in maps]

        run.passes.size = min(run.passes.size, _CAPTURED)
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
                rows.append(mean("attention distance, renormalised", one[:, 1], "px", POSITIVE, **where, head=head))
                if prefixed:
                    rows.append(mean("mass on prefix tokens", one[:, 2], "share", SHARE, **where, head=head))
        over = torch.stack([values.mean(1) for values in found]).mean(0)
        rows.append(mean("mean attention distance", over[:, 0], "px", POSITIVE))
        rows.append(mean("mean attention distance, renormalised", over[:, 1], "px", POSITIVE))
        if any(prefixed for _, prefixed in layers):
            rows.append(mean("mean mass on prefix tokens", over[:, 2], "share", SHARE))
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The mean over layers and heads, as it is and renormalised, and the mass on prefix tokens."""
        wanted = (self.headline, "mean attention distance, renormalised", "mean mass on prefix tokens")
        return [one for name in wanted for one in score(rows, name, "none")]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Distance, renormalised distance and mass on prefix tokens against depth; heads are points."""
        charts = []
        for measure, title in (
            ("attention distance", "attention distance, px of the input"),
            ("attention distance, renormalised", "attention distance, renormalised, px of the input"),
            ("mass on prefix tokens", "share of attention on prefix tokens"),
        ):
            lines = []
            for number, model in enumerate(result.models):
                rows = result.of(model, measure=measure)
                middle = [one for one in rows if one["head"] == "mean"]
                heads = [one for one in rows if one["head"] != "mean"]
                if middle:
                    lines.append(curve(model, number, middle, "depth"))
                    x, y = (tuple(float(one[name]) for one in heads) for name in ("depth", "value"))
                    lines.append(Line(f"{model}, heads", x, y, colour=colour_of(number), joined=False))
            if lines:
                axes = Axis("depth, share of the attention layers"), Axis(title, low=0.0)
                said = "A line is the mean over heads with its interval over images, a point one head."
                charts.append(Chart(measure.capitalize() + " against depth", tuple(lines), *axes, unit=said))
        return (Section("How far does attention look?", tuple((one,) for one in charts)),) if charts else ()


def _placed(model: Model, x01: Tensor) -> list[AttentionMap]:
    """The maps of a batch that have a row of its own for each query on the image; raises MethodError for none."""
    try:
        maps = capture(model, x01)
    except NoAttentionError as error:
        raise MethodError(str(error).removeprefix(f"{model.spec}: ")) from None
    # Of attention by rows and by columns, what a place reads from both.
    whole = [one for one in maps if one.kind == "pairwise" or (one.layout and one.layout.name == "row and column")]
    found = [one for one in whole if one.per_query and one.kind in ("pairwise", "axial")]
    if not found:
        kinds = ", ".join(dict.fromkeys(one.kind for one in maps))
        raise MethodError(
            "no attention whose weights depend on the query and have a known place on the image "
            f"(its maps: {kinds}), so there is no distance from query to key"
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


@PROBES.register("attribution-radius")
@dataclass(frozen=True)
class AttributionRadius(Probe):
    """How far apart does the evidence for a model's answer lie?

    The radius, px, of the circle around the centre of mass of |attribution| that holds 50 % and 90 % of it: the
    smallest distance within which the centres of pixels hold at least that share. The mean over images. Each image's
    attribution is for the model's own first choice. A coarse map (Grad-CAM's has the stage's grid) is spread over the
    area of its cells, so that its radius is never below that of one cell. Images whose attribution is zero everywhere
    are left out, which n tells.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = "r_s = min r: sum of |a| within r of the centre of mass of |a| >= s sum of |a|"
    source: ClassVar[str] = "this project; attributions by the sources of their methods"
    limits: ClassVar[str] = (
        "Two compact regions far apart give a large radius; and an attribution is one method's account of the answer."
    )
    headline: ClassVar[str] = "radius holding 50 %"

    method: str = parameter("gradcam", "attribution method", choices=_METHODS)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One attribution an image; raises MethodError where the method cannot serve the model."""
        found: list[list[float]] = []
        for index in range(len(shown)):
            with run.passes.exact():
                maps = answer(model, shown.images[index : index + 1], maps=False, method=self.method).attributions
            assert maps is not None
            values = maps[0].values.abs().double()
            if float(values.sum()) > 0:
                found.append(radii(spread(values, model.input_size), RADII))
            yield Step((index + 1) / len(shown) * 0.99)
        if not found:
            raise MethodError(f"its attributions by {self.method} are zero everywhere")
        columns = zip(RADII, zip(*found, strict=True), strict=True)
        yield Step(
            1.0,
            [
                mean(f"radius holding {_percent(share)}", values, "px", POSITIVE, input=_size(model), share=share)
                for share, values in columns
            ],
        )

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """Both radii."""
        return [one for share in RADII for one in score(rows, f"radius holding {_percent(share)}", "none")]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """Both radii of every model."""
        lines = []
        for number, model in enumerate(result.models):
            rows = result.of(model)
            if rows:
                named = [{**one, "held": _percent(one["share"])} for one in rows]
                lines.append(curve(f"{model}, {rows[0]['input']}", number, named, "held", joined=False))
        chart = Chart(
            f"Radius around the centre of mass of |attribution| ({result.parameters.get('method', '')})",
            tuple(lines),
            Axis("share of |attribution| held"),
            Axis("radius, px of the input", low=0.0),
        )
        return (Section("How far apart does the evidence lie?", ((chart,),)),) if lines else ()


def spread(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Spread each cell of a map (h, w) evenly over its area of a frame of size (H, W) px; the sum stays."""

    def overlap(cells: int, pixels: int) -> Tensor:
        """(pixels, cells): the share of each cell that lies on each pixel."""
        edges = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
        pixel = torch.arange(pixels, dtype=torch.float64)[:, None]
        shared = torch.minimum(edges[1:], pixel + 1) - torch.maximum(edges[:-1], pixel)
        return shared.clamp(min=0) * cells / pixels

    return overlap(values.shape[0], size[0]) @ values.double() @ overlap(values.shape[1], size[1]).T


def radii(mass: Tensor, shares: Sequence[float]) -> list[float]:
    """The radii, px, around the centre of mass that hold these shares of a map (H, W) of values from 0 up."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=mass.dtype) for side in mass.shape), indexing="ij")
    total = mass.sum()
    away = torch.hypot(y - (mass * y).sum() / total, x - (mass * x).sum() / total).flatten()
    order = away.argsort()
    held = mass.flatten()[order].cumsum(0) / total
    # 1e-12: the last pixel of a share that is met exactly is not missed by rounding.
    places = torch.searchsorted(held, torch.tensor(shares, dtype=held.dtype) - 1e-12).clamp(max=len(held) - 1)
    return [float(away[order[place]]) for place in places]


def on_one_axis(results: Sequence[ProbeResult]) -> Section:
    """How far could a model look, how far does it look, and how far apart is its evidence? All in px of the input.

    Args:
        results: of the four probes of locality, in any number; what is missing is left out. Models have the colours of
            their places in the order in which the results name them.

    Squares are shown by half their side, beside distances and radii.
    """
    models = list(dict.fromkeys(model for result in results for model in result.models))
    lines = []
    for number, model in enumerate(models):
        points = {name: one for result in results for name, one in _radii_of(result, model).items()}
        rows = [{**points[name], "category": name} for name in CATEGORIES if name in points]
        if rows:
            lines.append(curve(model, number, rows, "category", joined=False))
    chart = Chart(
        "Receptive fields, attention and evidence on one axis",
        tuple(lines),
        Axis("measure"),
        Axis("distance, px of the input", log=True),
        unit="Fields are shown by half their side. A field without an end inside the input is drawn at half the input.",
    )
    return Section("How far could it look, how far does it look, where is the evidence?", ((chart,),))


#: What `on_one_axis` shows, from left to right: name -> probe, measure, factor.
CATEGORIES: dict[str, tuple[str, str, float]] = {
    "receptive field, half side": ("receptive-field", "receptive field", 0.5),
    "effective field, half side, 99 %": ("effective-receptive-field", "side of the square at 99 %", 0.5),
    "effective field, half side, 50 %": ("effective-receptive-field", "side of the square at 50 %", 0.5),
    "attention distance, last layer": ("attention-distance", "attention distance", 1.0),
    "attention distance, mean over layers": ("attention-distance", "mean attention distance", 1.0),
    "evidence, radius, 90 %": ("attribution-radius", "radius holding 90 %", 1.0),
    "evidence, radius, 50 %": ("attribution-radius", "radius holding 50 %", 1.0),
}


def _radii_of(result: ProbeResult, model: str) -> dict[str, Row]:
    """The points of `on_one_axis` that one result has of a model: category -> row, values scaled."""
    out = {}
    for name, (probe, measure, factor) in CATEGORIES.items():
        if probe != result.probe:
            continue
        # The last row is that of the last stage, or of the last layer's mean over heads.
        rows = [one for one in result.of(model, measure=measure) if one.get("head", "mean") == "mean"]
        if rows:
            scaled = {
                key: None if rows[-1][key] is None else rows[-1][key] * factor for key in ("value", "low", "high")
            }
            out[name] = {**rows[-1], **scaled}
    return out
