"""Does a map go where the object goes?"""

# ruff: noqa: RUF009 (the calls in the dataclasses make their fields)
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from explorer.attention.mass import by_area, placed, received
from explorer.attribution import METHODS, answer, method_title
from explorer.attribution.base import PassMethod
from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Chart, Line, Section
from explorer.messages import Message
from explorer.models.model import Model
from explorer.probes.agreement import Agreement, agreement
from explorer.probes.answers import points
from explorer.probes.base import AS_IT_IS, PROBES, Bias, Example, Extremes, Probe, Run, Step
from explorer.probes.charting import curve
from explorer.probes.masks import boxes
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rooms import rooms
from explorer.probes.rows import Row, mean, row, score, share
from explorer.probes.stimuli import Shown
from explorer.registry import parameter
from explorer.scenes import motion
from explorer.statistics import ANY, COSINE, SHARE, Range
from explorer.transforms import Border, Transform

_SHIFT, _ZOOM, _TURN = Message("shift"), Message("rescale"), Message("turn")
KINDS = (_SHIFT, _ZOOM, _TURN)
RANKS, STILL = Message("rank correlation"), Message("rank correlation, not brought back")
TOP, SLOPE, STAYS = Message("overlap of the top tenth"), Message("slope of the centre of mass"), Message("answer stays")
_ATTENTION, _RANDOM = Message("attention"), Message("random maps")
#: What stands for the layer where the mean over all is meant, and for the head.
_EVERY, _MEAN = "all", "mean"
#: Pairs of random maps for each move of each picture.
_DRAWS = 4
#: Pictures that are explained together.
_TOGETHER = 8


class _Of(NamedTuple):
    """Which map: what it is, the number, path and depth of its layer, and the head."""

    map: str
    layer: int | str
    path: str
    depth: float
    head: int | str


#: Of each picture, of each map, what was found in each kind of move.
_Found = dict[tuple[_Of, str], list[list[Agreement]]]


@PROBES.register("map-equivariance")
@dataclass(frozen=True)
class MapEquivariance(Probe):
    """Does an attention map or an attribution go where the object goes?

    Every picture is shifted in four directions, made smaller and larger, and turned both ways; of scenes the object
    alone, rendered anew before its still background, while it lies in the frame. The map of the moved picture is
    brought back and compared with the map before: by the rank correlation (Spearman) and by the overlap of the largest
    tenth of the cells (random maps share about 0.1), over the cells that both pictures show, of scenes those in the
    object's bounding box. Beside it the rank correlation of the map that is not brought back, which is 1 for a map that
    stays. The slope is the way that the centre of the map's positive mass goes, over the way it should go: 1 follows, 0
    stays. In a shift the whole frame counts, so what leaves it lowers the slope; round the frame (border "wrap") the
    centre is that on a circle. Of scenes it is told of shifts alone, as they grow and turn about their own centre.

    Attention is what each place receives: the mean over the queries on the image, or a gate itself; for each head, and
    for the mean over heads. The attribution is of the first choice for the picture before, also after the move. Beside
    them the same numbers of random maps, independent from cell to cell, and how often the answer stays. A map that is
    the same everywhere has no order and no centre: it gives no number, and "undefined" counts such pictures.
    """

    bias: ClassVar[Bias] = "maps"
    formula: ClassVar[str] = (
        "Spearman(T^-1 m(Tx), m(x)) over valid cells; top = |top 10 % of both| / |top 10 %|; "
        "slope = sum of (c' - c) . (Tc - c) / sum of |Tc - c|^2, c and c' the centres of m(x)+ and m(Tx)+"
    )
    source: ClassVar[str] = (
        "this project; explanation equivariance: Crabbe and van der Schaar 2023 (NeurIPS), there by the cosine; "
        "Spearman 1904, American Journal of Psychology 15:72"
    )
    limits: ClassVar[str] = (
        "A map that follows need not be true to the model, and on smooth maps ranks agree also beside the place: "
        "compare with the map that is not brought back."
    )
    headline: ClassVar[str] = "rank correlation of the attribution"

    method: str = parameter("gradcam", "attribution method", choices=tuple(METHODS))
    shift: int | None = parameter(
        None,
        "how far things are shifted; the largest power of two up to a sixth of the frame if left out",
        1,
        512,
        "px",
    )
    zoom: float = parameter(1.25, "how much larger things are made, and how much smaller", 1.01, 2.0)
    angle: float = parameter(30.0, "how far things are turned, both ways", 1.0, 180.0, "degrees")
    border: Border = parameter("wrap", "what fills in beside a picture that is moved")

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:
        """One explained pass for each move of each picture; raises MethodError for a model without any map."""
        refused = METHODS[self.method].unavailable(model)
        moves = self._moves(model)
        found: _Found = {}
        stays: dict[str, list[float]] = {}
        for image, room in enumerate(rooms(shown)):
            some = [
                (kind, move)
                for kind, move in moves
                if (kind != _SHIFT or room.holds(move.dx, move.dy)) and _possible(shown, image, move)
            ]
            if some:
                pictures = shown.moved(image, [Transform(border=self.border), *(move for _, move in some)])
                maps, same = self._maps(model, run, pictures, refused)
                if not maps:
                    why = refused or Message("it has no map that lies on the image")
                    raise MethodError(Message("nothing to follow: {why}", why=why))
                self._compare(maps, shown, image, some, run.seed, found)
                for kind in dict.fromkeys(kind for kind, _ in some) if same else ():
                    own = [stayed for stayed, (other, _) in zip(same, some) if other == kind]
                    stays.setdefault(kind, []).append(sum(own) / len(own))
            yield Step((image + 1) / len(shown) * 0.99)
        if not found:
            raise MethodError(Message("no object can be moved so far within its frame; ask for smaller moves"))
        rows = [one for (of, kind), images in found.items() for one in _rows(of, kind, images)]
        rows += [share(STAYS, values, move=kind) for kind, values in stays.items()]
        yield Step(1.0, rows)

    def examples(self, model: Model, shown: Shown, seed: int) -> Sequence[Example]:  # noqa: ARG002 - the contract
        room = rooms(shown)[0]
        some = [
            move
            for kind, move in self._moves(model)
            if (kind != _SHIFT or room.holds(move.dx, move.dy)) and _possible(shown, 0, move)
        ]
        first = {kind: move for kind, move in reversed(self._moves(model)) if move in some}
        made = shown.moved(0, list(first.values()))
        named = [Example(kind, picture) for kind, picture in zip(first, made)]
        return [Example(AS_IT_IS, shown.images[0]), *reversed(named)]

    def _moves(self, model: Model) -> list[tuple[str, Transform]]:
        short = min(model.input_size)
        distance = self.shift or 2 ** int(math.log2(max(1, short / 6)))
        if distance > short / 3:
            raise ParameterError(
                Message(
                    "a shift is at most a third of the frame, {most} px of {spec}; got {shift} px",
                    most=short // 3,
                    spec=model.spec,
                    shift=distance,
                )
            )
        ways = ((distance, 0), (-distance, 0), (0, distance), (0, -distance))
        return [
            *((_SHIFT, Transform(dx, dy, border=self.border)) for dx, dy in ways),
            *((_ZOOM, Transform(zoom=zoom, border=self.border)) for zoom in (1 / self.zoom, self.zoom)),
            *((_TURN, Transform(angle=angle, border=self.border)) for angle in (self.angle, -self.angle)),
        ]

    def _maps(
        self, model: Model, run: Run, pictures: Tensor, refused: str | None
    ) -> tuple[dict[_Of, Tensor], list[bool]]:
        """Of pictures, the first not moved, each map (pictures, h, w); and of the moved ones whether the answer stays.

        The latter is empty for a model that has no classes.
        """
        method = None if refused else self.method
        size = _TOGETHER if method is None or issubclass(METHODS[method], PassMethod) else 1
        parts: dict[_Of, list[Tensor]] = {}
        logits: list[Tensor] = []
        target: int | None = None
        for start in range(0, len(pictures), size):
            with run.passes.exact():
                said = answer(model, pictures[start : start + size], target=target, method=method, fetch=True)
            logits.append(said.logits)
            if target is None and not model.headless:
                p = model.head.probabilities(logits[0][:1])
                target = model.head.target(int(model.head.leading(p)), model.num_classes)
            layers = placed(said.maps)
            for number, (path, one) in enumerate(layers.items(), start=1):
                mass = received(one)
                where = (_ATTENTION, number, path, number / len(layers))
                heads: list[tuple[int | str, Tensor]] = [(_MEAN, mass.mean(1))]
                heads += enumerate(mass.unbind(1)) if mass.shape[1] > 1 else ()
                for head, values in heads:
                    parts.setdefault(_Of(*where, head), []).append(values)
            for found in said.attributions or ():
                of = _Of(self.method, _EVERY, found.layer or "", 1.0, _MEAN)
                parts.setdefault(of, []).append(found.values[None].double())
        maps = {of: torch.cat(several) for of, several in parts.items()}
        if model.headless:
            return maps, []
        p = model.head.probabilities(torch.cat(logits))
        return maps, model.head.same(p[1:], p[:1].expand_as(p[1:])).tolist()

    def _compare(
        self,
        maps: Mapping[_Of, Tensor],
        shown: Shown,
        image: int,
        moves: Sequence[tuple[str, Transform]],
        seed: int,
        found: _Found,
    ) -> None:
        """Add what one picture's maps say to ``found``."""
        frame = shown.model.input_size
        chance = torch.Generator().manual_seed(seed * 1_000_003 + image)
        last = list(maps.values())[-1]
        random = torch.rand(_DRAWS, *last.shape, generator=chance, dtype=torch.float64)
        box = boxes(shown.masks[image]) if shown.rendered else None  # type: ignore[arg-type]
        regions: dict[tuple[int, ...], Tensor] = {}
        own: dict[tuple[_Of, str], list[Agreement]] = {}
        by_chance = _Of(_RANDOM, _EVERY, "", 1.0, _MEAN)
        for of, values in [*maps.items(), *((by_chance, one) for one in random)]:
            grid = values.shape[-2], values.shape[-1]
            if box is not None and grid not in regions:
                regions[grid] = by_area(box, grid) > 0.5
            for place, (kind, move) in enumerate(moves, start=1):
                wraps = kind == _SHIFT and self.border == "wrap" and not shown.rendered
                if shown.rendered:
                    move = motion.about_object(shown.scenes[image], _plain(move), frame)
                one = agreement(values[0], values[place], move, frame, regions.get(grid), wraps)
                if shown.rendered and kind != _SHIFT:
                    one = one._replace(along=math.nan, squared=math.nan)
                own.setdefault((of, kind), []).append(one)
        for key, each in own.items():
            found.setdefault(key, []).append(each)
        layers = [key for key in own if key[0].map == _ATTENTION and key[0].head == _MEAN]
        for kind in dict.fromkeys(kind for kind, _ in moves) if layers else ():
            every = [_mean([np.array(one) for one in own[key]]) for key in layers if key[1] == kind]
            key = (_Of(_ATTENTION, _EVERY, "", 1.0, _MEAN), kind)
            found.setdefault(key, []).append([Agreement(*_mean(every))])

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """Of shifts: ranks and slope of the attribution and of attention, and how often the answer stays."""
        of_attribution = {"map": self.method, "move": _SHIFT}
        of_attention = {"map": _ATTENTION, "move": _SHIFT, "layer": _EVERY}
        wanted = [
            *score(rows, RANKS, "higher", Message("rank correlation of the attribution"), **of_attribution),
            *score(rows, SLOPE, "none", Message("slope of the attribution"), **of_attribution),
            *score(rows, RANKS, "higher", Message("rank correlation of attention"), **of_attention),
            *score(rows, SLOPE, "none", Message("slope of attention"), **of_attention),
            *score(rows, STAYS, "higher", move=_SHIFT),
        ]
        return [one for one in wanted if math.isfinite(math.nan if one.value is None else one.value)]

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message(
                "Brought back after a shift, the attribution of {most} agrees with the one before by a rank "
                "correlation of {high}, that of {least} by {low}."
            )
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        method = str(result.parameters["method"])
        called = method_title(method)
        maps = (_ATTENTION, method, _RANDOM)
        ranks = Axis(Message("rank correlation (Spearman)"), high=1.0)
        said = Message("Bars: 95 % over images. No point: the model has no such map, or it is the same everywhere.")
        shifted = {"move": _SHIFT, "layer": _EVERY}
        by_map = [
            points(result, Message("Shifted: do ranks agree?"), RANKS, "map", maps, ranks, said, **shifted),
            points(
                result,
                Message("Shifted: does the centre of mass follow?"),
                SLOPE,
                "map",
                maps,
                Axis(Message("slope: 1 follows, 0 stays")),
                said,
                **shifted,
            ),
            points(
                result,
                Message("Shifted: does the top tenth overlap?"),
                TOP,
                "map",
                maps,
                Axis(Message("share of the top tenth in common"), low=0.0, high=1.0),
                said,
                **shifted,
            ),
        ]
        by_move = [
            points(result, Message("{method}, by move", method=called), RANKS, "move", KINDS, ranks, said, map=method),
            points(
                result,
                Message("{method}, not brought back", method=called),
                STILL,
                "move",
                KINDS,
                ranks,
                Message("1: the map stays where it was. Below the points beside it, the map goes along."),
                map=method,
            ),
            points(
                result,
                Message("Does the answer stay?"),
                STAYS,
                "move",
                KINDS,
                Axis(Message("share of moves"), low=0.0, high=1.0),
                Message("The map may follow while the answer stays, and the other way round."),
            ),
        ]
        by_layer = [
            _depth(result, RANKS, Message("Attention, shifted: ranks against depth"), ranks),
            _depth(
                result,
                SLOPE,
                Message("Attention, shifted: slope against depth"),
                Axis(Message("slope: 1 follows, 0 stays")),
            ),
        ]
        headings = (
            (Message("Does the map go where the object goes?"), by_map),
            (Message("Move by move"), by_move),
            (Message("Layer by layer"), by_layer),
        )
        drawn = ((heading, tuple((one,) for one in charts if one.lines)) for heading, charts in headings)
        return tuple(Section(heading, charts) for heading, charts in drawn if charts)


def _rows(of: _Of, kind: str, images: Sequence[Sequence[Agreement]]) -> list[Row]:
    """Rows of one map in one kind of move; each image is the mean over its moves."""
    # The ways are ratios of sums; a move without a number counts in neither.
    values = np.array([_mean([np.array(one) for one in each]) for each in images])
    kinds: tuple[tuple[str, tuple[int, ...], str, Range, Any], ...] = (
        (RANKS, (0,), "", COSINE, None),
        (STILL, (1,), "", COSINE, None),
        (TOP, (2,), "share", SHARE, None),
        (SLOPE, (3, 4), Message("of the object's way"), ANY, lambda both: both[0] / both[1]),
    )
    rows = []
    for measure, columns, unit, within, statistic in kinds:
        some = values[:, columns] if len(columns) > 1 else values[:, columns[0]]
        some = some[np.isfinite(values[:, columns[0]])]
        if len(columns) > 1 and len(some) and some[:, 1].mean() <= 0:
            some = some[:0]
        where = {**of._asdict(), "move": kind, "undefined": len(values) - len(some)}
        found = mean(measure, some, unit, within, statistic, **where) if len(some) else None
        rows.append(found or row(measure, math.nan, unit, 0, **where))
    return rows


def _mean(values: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of each column over the entries that are numbers; nan where none is."""
    array = np.array(values)
    known = np.isfinite(array)
    counts = known.sum(0)
    return np.where(counts > 0, np.where(known, array, 0).sum(0) / np.maximum(counts, 1), math.nan)


def _possible(shown: Shown, image: int, move: Transform) -> bool:
    """Whether a scene may be moved so; a picture always may."""
    if shown.rendered:
        try:
            motion.moved(shown.scenes[image], _plain(move), shown.model.input_size)
        except ParameterError:
            return False
    return True


def _plain(move: Transform) -> Transform:
    """The move without its border, which a scene has no use for."""
    return Transform(move.dx, move.dy, move.zoom, move.angle)


def _depth(result: ProbeResult, measure: str, title: str, y: Axis) -> Chart:
    """A measure of attention over the layers of every model: a line for the mean over heads, a point for each head."""
    drawn = []
    for number, model in enumerate(result.models):
        rows = result.of(model, measure=measure, map=_ATTENTION, move=_SHIFT)
        rows = [one for one in rows if one["layer"] != _EVERY and one["value"] is not None]
        middle = [one for one in rows if one["head"] == _MEAN]
        heads = [one for one in rows if one["head"] != _MEAN]
        if middle:
            drawn.append(curve(model, result.colours[number], middle, "depth"))
        if heads:
            x, value = (tuple(float(one[name]) for one in heads) for name in ("depth", "value"))
            name = Message("{model}, heads", model=model)
            drawn.append(Line(name, x, value, colour=result.colours[number], joined=False))
    said = Message("A line is the mean map over heads with its interval over images, a point one head.")
    return Chart(title, tuple(drawn), Axis(Message("depth, share of the attention layers")), y, unit=said)
