"""Does a map depend on what the network has learnt?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from explorer.attention.mass import placed, received
from explorer.attribution import METHODS, answer, method_title
from explorer.attribution.base import PassMethod
from explorer.errors import MethodError
from explorer.figures.sheet import Axis, Chart, Dash, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Extremes, Probe, Run, Step, need_classes
from explorer.probes.charting import curve
from explorer.probes.erasing import edge_map
from explorer.probes.position_embeddings import copied
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, mean, rate, row, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.statistics import COSINE, rank_correlation

RANKS, MAGNITUDES = Message("rank correlation"), Message("rank correlation of magnitudes")
EDGES, STAYS = Message("rank correlation with edges"), Message("answer stays")
_ATTENTION = Message("attention")
#: Pictures that are explained together.
_TOGETHER = 8


class _MapsAndAnswers(NamedTuple):
    """What a network shows of all pictures: kind of map -> (images, h, w), and p, (images, classes)."""

    maps: dict[str, Tensor]
    p: Tensor


@PROBES.register("sanity")
@dataclass(frozen=True)
class Sanity(Probe):
    """Does a map depend on what the network has learnt?

    The weights of a copy of the network are drawn anew, layer by layer from the top: first the classifier, in the end
    all. Each tensor keeps its mean and standard deviation, and its values are those of a normal distribution; what
    batch norms have counted stays. After each step the map of the same class is made again and its rank correlation
    (Spearman) with the map of the whole network taken, as it is and of its magnitudes. A map that stays alike when
    nothing learnt is left does not tell what was learnt. The last layer's attention (what each place receives) knows
    nothing of the classifier, so its first step is 1. Beside these: the rank correlation with the picture's edges
    (Sobel), which a map may owe its looks to, and whether the answer stays. Layers are the modules that hold weights,
    in the order in which the network names them. Intervals are over pictures; another seed draws other weights.
    Pictures with a map that is the same everywhere give no number; "undefined" counts them.
    """

    bias: ClassVar[Bias] = "maps"
    formula: ClassVar[str] = "Spearman(m(x; w), m(x; w with its top layers drawn anew)), and of |m|"
    source: ClassVar[str] = "Adebayo et al. 2018 (NeurIPS), Sanity Checks for Saliency Maps, section 3 (cascading)"
    limits: ClassVar[str] = (
        "A map that changes need not be true; and on smooth maps, or where the picture itself is a factor of the map, "
        "ranks agree by themselves."
    )
    headline: ClassVar[str] = "rank correlation, all layers random"

    method: str = parameter("gradcam", "attribution method", choices=tuple(METHODS))
    steps: int = parameter(8, "steps from the classifier to the whole network", 2, 64)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """The maps of all pictures once for each step; raises MethodError where the method cannot serve the model."""
        need_classes(model)
        refused = METHODS[self.method].unavailable(model)
        if refused:
            raise MethodError(Message("{method}: {why}", method=method_title(self.method), why=refused))
        layers = layers_of(model.module)
        counts = _counts(layers, classifier_of(model, layers), self.steps)
        whole = yield from self._seen(model, shown, run, None, 0.0, 1 / (len(counts) + 1))
        leading = model.head.leading(whole.p)
        targets = [model.head.target(int(one), model.num_classes) for one in leading]
        changed = copied(model)
        chance = torch.Generator().manual_seed(run.seed)
        rows = [one for name in whole.maps for one in self._rows(name, 0, "", layers, whole, whole, shown)]
        done = 0
        for number, count in enumerate(counts, start=1):
            for path in layers[::-1][done:count]:
                draw_anew(changed.module.get_submodule(path), chance)
            done = count
            begin, end = number / (len(counts) + 1), (number + 1) / (len(counts) + 1)
            seen = yield from self._seen(changed, shown, run, targets, begin, 0.99 * end)
            for name in whole.maps:
                rows += self._rows(name, count, layers[-count], layers, whole, seen, shown)
            same = model.head.same(seen.p, whole.p)
            rows.append(
                rate(STAYS, int(same.sum()), len(same), drawn=count, layers=len(layers), share=count / len(layers))
            )
        yield Step(1.0, rows)

    def _seen(
        self, model: Model, shown: Shown, run: Run, targets: Sequence[int] | None, begin: float, end: float
    ) -> Any:
        """The maps of all pictures of one network, of given classes, or of each picture's first choice."""
        size = _TOGETHER if targets and issubclass(METHODS[self.method], PassMethod) else 1
        parts: dict[str, list[Tensor]] = {}
        p: list[Tensor] = []
        for start in range(0, len(shown), size):
            x01 = shown.images[start : start + size]
            target = targets[start : start + size] if targets else None
            with run.passes.exact():
                said = answer(model, x01, target=target, method=self.method, fetch=True)
            p.append(model.head.probabilities(said.logits.double()))
            assert said.attributions is not None
            parts.setdefault(self.method, []).append(torch.stack([one.values for one in said.attributions]).double())
            layers = list(placed(said.maps).values())
            if layers:
                parts.setdefault(_ATTENTION, []).append(received(layers[-1]).mean(1))
            yield Step(begin + (end - begin) * min(1.0, (start + size) / len(shown)))
        return _MapsAndAnswers({name: torch.cat(several) for name, several in parts.items()}, torch.cat(p))

    def _rows(
        self,
        name: str,
        drawn: int,
        path: str,
        layers: Sequence[str],
        whole: _MapsAndAnswers,
        seen: _MapsAndAnswers,
        shown: Shown,
    ) -> list[Row]:
        where: dict[str, Any] = {"map": name, "drawn": drawn, "layers": len(layers), "share": drawn / len(layers)}
        before, after = whole.maps[name], seen.maps[name]
        edges = [
            edge_map(shown.images[n : n + 1], (after.shape[1], after.shape[2]))[0].cpu() for n in range(len(after))
        ]
        found = {
            RANKS: [rank_correlation(a, b) for a, b in zip(before, after)],
            MAGNITUDES: [rank_correlation(a.abs(), b.abs()) for a, b in zip(before, after)],
            EDGES: [rank_correlation(a.abs(), b) for a, b in zip(after, edges)],
        }
        rows = []
        for measure, values in found.items():
            known = [one for one in values if math.isfinite(one)]
            own = {**where, "path": path, "undefined": len(values) - len(known)}
            rows.append(mean(measure, known, "", COSINE, **own) if known else row(measure, math.nan, "", 0, **own))
        return rows

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """What is left of the map without the classifier, and without anything learnt."""
        first = min((one["drawn"] for one in rows if one["drawn"]), default=0)
        of = {"map": self.method}
        return [
            one
            for one in (
                *score(rows, RANKS, "lower", Message("rank correlation, all layers random"), share=1.0, **of),
                *score(
                    rows,
                    MAGNITUDES,
                    "lower",
                    Message("rank correlation of magnitudes, all layers random"),
                    share=1.0,
                    **of,
                ),
                *score(rows, RANKS, "lower", Message("rank correlation, classifier random"), drawn=first, **of),
                *score(rows, EDGES, "none", Message("rank correlation with edges"), drawn=0, **of),
            )
            if one.n
        ]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message(
                "With all weights drawn anew, the map of {least} agrees with the one before by a rank correlation of "
                "{low}, that of {most} by {high}."
            )
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        method = str(result.parameters["method"])
        ranks = Axis(Message("rank correlation (Spearman)"), high=1.0)
        said = Message(
            "From the classifier alone, on the left, to every layer. Solid: {method}; dashed: attention. Bands: 95 % "
            "over images.",
            method=method_title(method),
        )
        charts = (
            _cascade(result, RANKS, method, Message("The map against the one of the whole network"), ranks, said),
            _cascade(result, MAGNITUDES, method, Message("The same, of magnitudes"), ranks, said),
            _cascade(result, EDGES, method, Message("The map against the picture's edges"), ranks, said),
            _cascade(
                result,
                STAYS,
                "",
                Message("Does the answer stay?"),
                Axis(Message("answer stays, share of images"), low=0, high=1),
                said,
            ),
        )
        drawn = tuple((one,) for one in charts if one.lines)
        return (Section(Message("Is the map lost with what was learnt?"), drawn),) if drawn else ()


def layers_of(module: nn.Module) -> list[str]:
    """Dotted paths of the modules that hold weights of their own, in the order in which the network names them."""
    return [path for path, one in module.named_modules() if any(True for _ in one.parameters(recurse=False))]


def classifier_of(model: Model, layers: Sequence[str]) -> int:
    """How many layers at the end make up the classifier, at least one."""
    ends = getattr(model.module, "get_classifier", lambda: None)()
    own = {id(one) for one in ends.modules()} if isinstance(ends, nn.Module) else set()
    last = len(layers)
    while last and id(model.module.get_submodule(layers[last - 1])) in own:
        last -= 1
    return max(1, len(layers) - last)


def _counts(layers: Sequence[str], first: int, steps: int) -> list[int]:
    """How many layers are drawn anew after each step: the classifier's, and evenly on to all."""
    rest = len(layers) - first
    return sorted({first + round(rest * step / max(1, steps - 1)) for step in range(steps)})


@torch.no_grad()
def draw_anew(module: nn.Module, chance: torch.Generator) -> None:
    """Draw a module's own weights anew, normal with the mean and the standard deviation of each tensor; in place."""
    for one in module.parameters(recurse=False):
        if one.numel() > 1 and one.is_floating_point():
            drawn = torch.randn(one.shape, generator=chance)
            one.copy_(one.mean() + one.std() * drawn.to(one))


def _cascade(result: ProbeResult, measure: str, method: str, title: str, y: Axis, said: str) -> Chart:
    """A measure over the share of the layers that were drawn anew: a line for the method, dashed for attention."""
    drawn: tuple[tuple[str, Dash], ...] = ((method, "solid"), (_ATTENTION, "dash")) if method else (("", "solid"),)
    lines = []
    for number, model in enumerate(result.models):
        for name, dash in drawn:
            rows = result.of(model, measure=measure, **({"map": name} if name else {}))
            if rows:
                lines.append(curve(model, result.colours[number], rows, "share", dash))
    return Chart(title, tuple(lines), Axis(Message("share of the layers drawn anew"), low=0.0, high=1.0), y, unit=said)
