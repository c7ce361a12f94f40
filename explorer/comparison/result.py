"""What a comparison gives: answers, maps and attributions before and after a move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.attribution.result import Attribution
from explorer.drawn import Drawn
from explorer.geometry import Point, PulledBack
from explorer.messages import Message
from explorer.models.spec import WeightsState


@dataclass(frozen=True)
class ClassScore:
    """One class or label of a prediction: its index, its name, its p (see `Prediction.unit`) and its logit."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True)
class Prediction:
    """What a model answered.

    Attributes:
        top: the classes or labels with the largest p, best first; empty with a reason for a model without a head.
        reason: why there are none, or "".
        unit: what p is: "softmax probability", or "p after the sigmoid", which does not sum to 1.
        decided: the answer: of a softmax the class with the largest p; of a sigmoid every label with p of 0.5 and
            more, in ascending order, which may be none.
        labels: names of ``decided``.
    """

    top: tuple[ClassScore, ...]
    reason: str = ""
    unit: str = Message("softmax probability")
    decided: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        best = ", ".join(f"{one.label} {one.probability:.3g}" for one in self.top[:3])
        return f"Prediction({best or self.reason})"

    @property
    def answer(self) -> str:
        """The answer in words: the class; of a sigmoid the labels, or "no label"."""
        return ", ".join(self.labels) if self.labels or not self.top else Message("no label")


@dataclass(frozen=True, eq=False)
class ModelView:
    """One model's answers about a picture before and after a transform.

    Every pair is (before, after). ``maps[i].rows(query, item)`` with item 0 is before, item 1 after.

    Attributes:
        spec: text form of the model.
        state: what its weights are.
        device: where it ran.
        images: what the model saw, each (3, H, W) float32 in 0..1 on the CPU, before normalisation.
        predictions: before and after.
        maps: the attention maps of both, in the order of the forward pass; item 0 before, item 1 after.
        attributions: before and after, or None where the method cannot serve the model.
        pulled_back: the attribution after, in the frame before; None with ``attributions``.
        difference: pulled back minus before, zero where invalid; None with ``attributions``.
        queries: the query in this model's input pixels before and after; the second is None where it left the frame.
        shift: the shift in this model's pixels (dx, dy).
        notes: what has to be said beside the row ("no attention in this model", "outside its training size", ...).
        further: the other queries that were asked, each as ``queries``.
    """

    spec: str
    state: WeightsState
    device: str
    images: tuple[Tensor, Tensor]
    predictions: tuple[Prediction, Prediction]
    maps: tuple[AttentionMap, ...]
    attributions: tuple[Attribution, Attribution] | None
    pulled_back: PulledBack | None
    difference: Tensor | None
    queries: tuple[Point, Point | None]
    shift: tuple[float, float]
    notes: tuple[str, ...] = ()
    further: tuple[tuple[Point, Point | None], ...] = ()

    def __repr__(self) -> str:
        before, after = (one.answer or "no class" for one in self.predictions)
        method = f", {self.attributions[0].method}" if self.attributions else ""
        return f"ModelView({self.spec}: {before}, then {after}; {len(self.maps)} maps{method}, {self.state})"

    @property
    def asked(self) -> tuple[tuple[Point, Point | None], ...]:
        """Every query before and after the move, in the order asked."""
        return (self.queries, *self.further)

    def map(self, layer: int | str | None = None) -> AttentionMap | None:
        """The map of a layer, by number (negative from the end) or dotted path; by default the last on the image.

        None where there is no such map.
        """
        if layer is None:
            # Of a gate in two strips its product is shown.
            flat = [one for one in self.maps if one.on_image]
            return next(reversed(flat or self.maps), None)
        if isinstance(layer, int):
            return self.maps[layer] if -len(self.maps) <= layer < len(self.maps) else None
        return next((one for one in self.maps if one.layer == layer), None)

    def attention(
        self, layer: int | str | None = None, head: int | None = None
    ) -> list[tuple[Tensor | None, Tensor | None]]:
        """What does a layer attend to from each query, before and after the move?

        Args:
            layer: as for `map`.
            head: which head, or None for the mean over heads; of a map without a place on the image, the first.

        Returns for each of `asked` a pair of (rows, columns) float32; None where the query has left the frame. Empty
        where there is no such map. Raises ParameterError for a head that it does not have.
        """
        one = self.map(layer)
        if one is None:
            return []
        last = one.weights.shape[0] - 1  # a picture that is not moved runs once
        return [
            (self._from(one, places[0], head, 0), self._from(one, places[1], head, min(1, last)))
            for places in self.asked
        ]

    def _from(self, one: AttentionMap, place: Point | None, head: int | None, item: int) -> Tensor | None:
        if one.layout is None:
            return one.matrix(head or 0, item)
        if one.per_query and place is None:
            return None
        return one.row(place if one.per_query else None, head, item)


@dataclass(frozen=True, eq=False)
class Comparison(Drawn):
    """Several models, one picture, one transform: a row each.

    Attributes:
        rows: one view per model, in the order asked for.
        transform: the transform in words.
        method: the attribution method.
        versions: package versions that made it.
    """

    drawn_by: ClassVar[str] = "figures.results:comparison_sheet"

    rows: tuple[ModelView, ...]
    transform: str
    method: str
    versions: Mapping[str, str]

    def __repr__(self) -> str:
        models = ", ".join(row.spec for row in self.rows)
        return f"Comparison({models}: {self.transform}, {self.method})"
