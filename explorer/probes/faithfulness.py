"""Does the answer rest on what a map marks?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from explorer.attention.mass import mass_ratio, placed, received
from explorer.attribution import METHODS, answer, method_title
from explorer.attribution.base import baseline_like
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Dash, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.answers import points
from explorer.probes.base import AS_IT_IS, PROBES, Bias, Example, Extremes, Probe, Run, Step, need_classes
from explorer.probes.charting import curve
from explorer.probes.erasing import (
    BLUR,
    REACH,
    area,
    centre_map,
    edge_map,
    enlarged,
    erased,
    infidelity,
    points_at,
    random_map,
    random_squares,
    ranks_of,
)
from explorer.probes.masks import gaussian_blur
from explorer.probes.passes import collected
from explorer.probes.result import Better, ProbeResult, Score
from explorer.probes.rows import Row, mean, rate, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import ANY, CHANGE, DIFFERENCE, POSITIVE, SHARE, is_constant

_RANDOM, _CENTRE, _EDGES = Message("random"), Message("middle"), Message("edges")
_ATTENTION = Message("attention")
DELETION, INSERTION = Message("deletion area"), Message("insertion area")
GAIN, ABOVE = Message("insertion minus deletion"), Message("insertion minus deletion, above a random map")
LOGIT_DELETION, LOGIT_INSERTION = Message("deletion area of the logit"), Message("insertion area of the logit")
INFIDELITY, SENSITIVITY = Message("infidelity"), Message("max-sensitivity")
ENERGY, POINTING = Message("energy on the object"), Message("pointing game")
DELETED, INSERTED = Message("p after deletion"), Message("p after insertion")
#: The largest change of a pixel for max-sensitivity, of pictures in 0..1.
RADIUS = 0.02

Explained = Callable[[Tensor], Tensor]
"""Of pictures (B, 3, H, W), a map each: (B, h, w)."""
_Found = dict[str, dict[str, list[Any]]]
"""Of each map, of each measure, what was found in each picture."""


@PROBES.register("faithfulness")
@dataclass(frozen=True)
class Faithfulness(Probe):
    """Does the answer rest on what a map marks?

    A map of every picture orders its pixels. Deletion replaces them by the data set's mean colour, the largest first,
    and follows p of the first choice; insertion uncovers them in a blurred picture (11 x 11 px, sigma 5 px). The area
    under the first curve is small and under the second large where the answer rests on what the map marks. Softmax
    saturates, so the same is told of the logit. The maps are an attribution and the last layer's attention (what each
    place receives), and beside them three that know nothing of the model, on the attribution's grid: random values, the
    middle of the frame (a Gaussian, sigma a quarter of it), and the picture's edges (Sobel). What does not beat these
    is no explanation.

    Infidelity: random squares, a quarter of the frame wide, are replaced by the mean colour; the map's sum over each
    should tell what the logit loses. It is the mean squared error of that, the map scaled to fit best, over the mean
    squared loss: 0 where the map tells it all, 1 where it tells nothing. Max-sensitivity is the largest change of the
    map, relative to its norm, under noise of at most 0.02 a pixel: 0 for a map that ignores the picture. Where the
    object is known: how much of the positive mass lies on it (energy pointing game), and whether the largest value is
    on it or within 15 px of 224 (pointing game). Pictures whose map is the same everywhere have no order and
    are left out, which "undefined" counts.
    """

    bias: ClassVar[Bias] = "maps"
    formula: ClassVar[str] = (
        "area = integral over s of p(original class | first s of the pixels replaced); "
        "infidelity = E[(b sum of a in I - d)^2] / E[d^2], d = f(x) - f(x without I); "
        "max-sensitivity = max |a(x + e) - a(x)| / |a(x)|"
    )
    source: ClassVar[str] = (
        "Petsiuk et al. 2018 (BMVC), section 4.2 (deletion and insertion); Yeh et al. 2019 (NeurIPS; infidelity by "
        "square removal, and max-sensitivity, by captum); Zhang et al. 2016 (pointing game); Wang et al. 2020 (energy)"
    )
    limits: ClassVar[str] = (
        "Erased pictures are unlike any that a model was trained on, so a part of each curve is due to that; the maps "
        "beside it are erased in the same way."
    )
    headline: ClassVar[str] = "insertion minus deletion"

    method: str = parameter("gradcam", "attribution method", choices=tuple(METHODS))
    steps: int = parameter(10, "steps in which pixels are replaced", 4, 224)
    samples: int = parameter(8, "squares for infidelity, and noisy pictures for max-sensitivity", 2, 200)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """Two curves for each map of each picture; raises MethodError where the method cannot serve the model."""
        need_classes(model)
        refused = METHODS[self.method].unavailable(model)
        if refused:
            raise MethodError(Message("{method}: {why}", method=method_title(self.method), why=refused))
        found: _Found = {}
        for image, mask in enumerate(shown.masks):
            x01 = shown.images[image : image + 1]
            maps, explain = self._maps(model, run, x01, run.seed * 1_000_003 + image)
            begin, end = image / len(shown), (image + 1) / len(shown)
            logits = yield from self._curves(model, run, x01, maps, 0.99 * begin, 0.99 * (0.7 * end + 0.3 * begin))
            p = model.head.probabilities(logits.double())
            original = model.head.leading(p[0, 0, :1])
            target = model.head.target(int(original), model.num_classes)
            with run.passes.exact(), torch.inference_mode():
                removed = self._squares(model, x01, target, run.seed * 1_000_003 + image)
            for place, (name, values) in enumerate(maps.items()):
                if is_constant(values):
                    continue
                of_image: dict[str, Any] = {
                    "image": image,
                    "p": model.head.p_of(p[place], original.expand(p[place].shape[:-1])).numpy(),
                    "logit": area(logits[place, ..., target].double()).numpy(),
                }
                large = enlarged(values[None], model.input_size)[0]
                of_image[INFIDELITY] = infidelity(large, *removed)
                with run.passes.exact():
                    of_image[SENSITIVITY] = self._sensitivity(x01, explain[name], run.seed + image)
                if mask is not None and mask.any() and not mask.all():
                    ratio = mass_ratio(values.clamp(min=0), mask)
                    if ratio is not None:  # a map that is nowhere positive has no mass to place
                        of_image[ENERGY] = ratio * float(mask.cpu().double().mean())
                    of_image[POINTING] = points_at(large, mask.cpu())
                own = found.setdefault(name, {})
                for measure, value in of_image.items():
                    own.setdefault(measure, []).append(value)
            yield Step(0.99 * end)
        rows = [one for name in found for one in _rows(name, found, model.head.p_unit, len(shown))]
        if self.method not in found:
            raise MethodError(Message("its maps by {method} are the same everywhere", method=method_title(self.method)))
        yield Step(1.0, rows)

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:  # noqa: ARG002 - the contract
        if model.headless or METHODS[self.method].unavailable(model):
            return ()
        x01 = shown.images[:1]
        values = answer(model, x01, maps=False, method=self.method).attributions[0].values  # type: ignore[index]
        ranks = ranks_of(enlarged(values[None], model.input_size)[0]).to(x01.device)
        share = torch.tensor([(self.steps // 4) / self.steps])
        deleted, inserted = (erased(one, ranks, share, other)[0] for one, other in self._ends(model, x01))
        named = ((Message("the first quarter deleted"), deleted), (Message("the first quarter inserted"), inserted))
        return [Example(AS_IT_IS, x01[0]), *(Example(*one) for one in named)]

    def _ends(self, model: Model, x01: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """What deletion and insertion begin with, and what they put in its place: each (3, H, W)."""
        return (x01[0], baseline_like(model, x01, "mean")[0]), (gaussian_blur(x01, BLUR, REACH)[0], x01[0])

    def _maps(self, model: Model, run: Run, x01: Tensor, seed: int) -> tuple[dict[str, Tensor], dict[str, Explained]]:
        """The maps of one picture, (h, w) on the CPU, and how each is made of pictures like it."""
        with run.passes.exact():
            said = answer(model, x01, method=self.method, fetch=True)
        p = model.head.probabilities(said.logits)
        target = model.head.target(int(model.head.leading(p)), model.num_classes)
        assert said.attributions is not None
        maps: dict[str, Tensor] = {self.method: said.attributions[0].values}
        grid = (maps[self.method].shape[0], maps[self.method].shape[1])

        def attribution(pictures: Tensor) -> Tensor:
            again = answer(model, pictures, target=target, maps=False, method=self.method).attributions
            assert again is not None
            return torch.stack([one.values for one in again])

        def attention(pictures: Tensor) -> Tensor:
            last = list(placed(answer(model, pictures, method=None).maps).values())[-1]
            return received(last).mean(1).float()

        explain: dict[str, Explained] = {self.method: attribution}
        layers = placed(said.maps)
        if layers:
            maps[_ATTENTION], explain[_ATTENTION] = received(list(layers.values())[-1])[0].mean(0).float(), attention
        chance, middle = random_map(grid, seed), centre_map(grid, model.input_size)
        maps |= {_RANDOM: chance, _CENTRE: middle, _EDGES: edge_map(x01, grid)[0].cpu()}
        explain |= {
            _RANDOM: lambda pictures: chance.expand(len(pictures), -1, -1),
            _CENTRE: lambda pictures: middle.expand(len(pictures), -1, -1),
            _EDGES: lambda pictures: edge_map(pictures, grid).cpu(),
        }
        return maps, explain

    def _curves(self, model: Model, run: Run, x01: Tensor, maps: dict[str, Tensor], begin: float, end: float) -> Any:
        """Logits (maps, 2, steps + 1, classes): after deletion and after insertion of 0 to all pixels."""
        shares = torch.arange(self.steps + 1) / self.steps
        ends = self._ends(model, x01)
        ranks = [ranks_of(enlarged(one[None], model.input_size)[0]).to(x01.device) for one in maps.values()]

        def make(start: int, stop: int) -> Tensor:
            out = []
            for number in range(start, stop):
                rest, step = divmod(number, len(shares))
                place, way = divmod(rest, 2)
                out.append(erased(ends[way][0], ranks[place], shares[step : step + 1], ends[way][1]))
            return torch.cat(out)

        def read(pictures: Tensor) -> tuple[Tensor, Tensor]:
            logits = model.logits(pictures).float().cpu()
            return logits, logits[:, :0]

        logits, _ = yield from collected(run.passes, len(maps) * 2 * len(shares), make, begin, end, read)
        return logits.view(len(maps), 2, len(shares), -1)

    def _squares(self, model: Model, x01: Tensor, target: int, seed: int) -> tuple[Tensor, Tensor]:
        """Random squares, (samples, H, W) of 0 and 1, and what the logit loses without each, (samples,)."""
        squares = random_squares(self.samples, model.input_size, seed)
        gone = squares[:, None].to(x01.device) > 0
        without = torch.where(gone, baseline_like(model, x01, "mean"), x01)
        logits = model.logits(torch.cat([x01, without])).cpu().double()[:, target]
        return squares, logits[0] - logits[1:]

    def _sensitivity(self, x01: Tensor, explain: Explained, seed: int) -> float:
        """The largest change of the map under small noise, relative to its norm; hold the lock."""
        chance = torch.Generator().manual_seed(seed)

        def near(inputs: Any, radius: float) -> Tensor:
            one = inputs[0] if isinstance(inputs, tuple) else inputs
            return one + radius * (2 * torch.rand(one.shape, generator=chance) - 1).to(one)

        metric = import_module("captum.metrics").sensitivity_max

        def explained(inputs: Any) -> Any:
            return (explain(inputs[0]),) if isinstance(inputs, tuple) else explain(inputs)

        return float(metric(explained, x01, near, RADIUS, self.samples))

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """Of the attribution: the gap between the areas, alone and above chance, and what captum measures."""
        wanted: tuple[tuple[str, Better], ...] = (
            (GAIN, "higher"),
            (ABOVE, "higher"),
            (INFIDELITY, "lower"),
            (SENSITIVITY, "lower"),
            (ENERGY, "higher"),
            (POINTING, "higher"),
        )
        return [one for measure, better in wanted for one in score(rows, measure, better, map=self.method)]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message(
                "What the map marks matters most to {most} (insertion minus deletion {high}), least to {least}: {low}."
            )
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        method = str(result.parameters["method"])
        maps = (method, _ATTENTION, _RANDOM, _CENTRE, _EDGES)
        p = Axis(Message("mean p of the original class"), low=0.0, high=1.0)
        bars = Message("Bars: 95 % over images.")
        curves = [
            _curves(result, method, DELETED, Message("Deletion: the largest first"), p),
            _curves(result, method, INSERTED, Message("Insertion: the largest first"), p),
            points(result, Message("The gap between both areas"), GAIN, "map", maps, Axis(GAIN), bars),
        ]
        noise = [
            points(
                result,
                INFIDELITY,
                INFIDELITY,
                "map",
                maps,
                Axis(Message("infidelity, of the squared change"), low=0.0, high=1.0),
                Message("0: the map's sum over a square tells what the logit loses without it; 1: it tells nothing."),
            ),
            points(
                result,
                SENSITIVITY,
                SENSITIVITY,
                "map",
                maps,
                Axis(Message("largest change, of the map's norm"), low=0.0),
                Message("0 for a map that ignores the picture: a steady map need not be a true one."),
            ),
        ]
        objects = [
            points(
                result,
                ENERGY,
                ENERGY,
                "map",
                maps,
                Axis(Message("share of the positive mass"), low=0.0, high=1.0),
                bars,
            ),
            points(
                result,
                POINTING,
                POINTING,
                "map",
                maps,
                Axis(Message("hits, share of images"), low=0.0, high=1.0),
                bars,
            ),
        ]
        headings = (
            (Message("Does the answer rest on what the map marks?"), curves),
            (Message("Without squares, and under noise"), noise),
            (Message("Does the map lie on the object?"), objects),
        )
        drawn = ((heading, tuple((one,) for one in charts if one.lines)) for heading, charts in headings)
        return tuple(Section(heading, charts) for heading, charts in drawn if charts)


def _rows(name: str, found: _Found, p_unit: str, count: int) -> list[Row]:
    """Rows of one map, of ``count`` pictures those whose map has an order."""
    own = found[name]
    p = np.array(own["p"])  # (pictures, 2, steps + 1)
    areas, of_logit = area(torch.from_numpy(p)).numpy(), np.array(own["logit"])
    gains = areas[:, 1] - areas[:, 0]
    where: dict[str, Any] = {"map": name, "undefined": count - len(p)}
    rows = [
        mean(DELETION, areas[:, 0], p_unit, SHARE, **where),
        mean(INSERTION, areas[:, 1], p_unit, SHARE, **where),
        mean(GAIN, gains, p_unit, CHANGE, **where),
        mean(LOGIT_DELETION, of_logit[:, 0], "logit", ANY, **where),
        mean(LOGIT_INSERTION, of_logit[:, 1], "logit", ANY, **where),
        mean(INFIDELITY, own[INFIDELITY], Message("of the squared change"), SHARE, **where),
        mean(SENSITIVITY, own[SENSITIVITY], Message("of the map's norm"), POSITIVE, **where),
    ]
    if name != _RANDOM:
        by_chance = area(torch.from_numpy(np.array(found[_RANDOM]["p"]))).numpy()  # a random map always has an order
        by_chance = by_chance[[found[_RANDOM]["image"].index(image) for image in own["image"]]]
        rows.append(mean(ABOVE, gains - (by_chance[:, 1] - by_chance[:, 0]), p_unit, DIFFERENCE, **where))
    if ENERGY in own:
        rows.append(mean(ENERGY, own[ENERGY], "share", SHARE, **where))
    if POINTING in own:
        rows.append(rate(POINTING, sum(own[POINTING]), len(own[POINTING]), **where))
    for way, measure in enumerate((DELETED, INSERTED)):
        for step in range(p.shape[2]):
            rows.append(mean(measure, p[:, way, step], p_unit, SHARE, **where, share=step / (p.shape[2] - 1)))
    return rows


def _curves(result: ProbeResult, method: str, measure: str, title: str, y: Axis) -> Chart:
    """p over the share of pixels: of each model a line for the method, dashed for edges, dotted for chance."""
    drawn: tuple[tuple[str, Dash], ...] = ((method, "solid"), (_EDGES, "dash"), (_RANDOM, "dot"))
    lines = []
    for number, model in enumerate(result.models):
        for name, dash in drawn:
            rows = result.of(model, measure=measure, map=name)
            if rows:
                line = curve(model, result.colours[number], rows, "share", dash)
                lines.append(line if name == method else replace(line, low=None, high=None))
    said = Message(
        "Solid: {method}, with its 95 % over images; dashed: edges; dotted: a random map.", method=method_title(method)
    )
    return Chart(title, tuple(lines), Axis(Message("share of the pixels"), low=0.0, high=1.0), y, unit=said)
