"""The explorer's data types. Torch and numpy only: nothing here builds, loads or draws.

Coordinates: a `Point` is in pixels of the model's input frame, x to the right and y down, pixel (i, j) covering
[j, j + 1) x [i, i + 1), so the frame is [0, W) x [0, H). Grids lie evenly on that frame.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.writing import write

WeightsState = Literal["pretrained", "lab", "identity-init", "random", "file"]
MapKind = Literal["pairwise", "axial", "context", "gate", "channel"]
Origin = Literal["pretrained", "random", "lab"]
Scheme = Literal["timm", "hf-hub", "local-dir"]
HeadKind = Literal["softmax", "sigmoid", "none"]

WEIGHTS_STATES: Mapping[WeightsState, str] = {
    "pretrained": "weights as published for this model",
    "lab": "trained in the laboratory with one recipe; only the block differs",
    "identity-init": "untrained block behind a closed gate; predictions are the backbone's own",
    "random": "random weights: the map shows the architecture, not anything learnt",
    "file": "weights from a safetensors file",
}

KINDS: Mapping[MapKind, str] = {
    "pairwise": "softmax over positions",
    "axial": "softmax along rows and columns",
    "context": "context score, one per position",
    "gate": "gate, 0 to 1",
    "channel": "over channels: no position",
}


class Point(NamedTuple):
    """A place in the model's input frame, in pixels: x to the right, y down."""

    x: float
    y: float


class Source(NamedTuple):
    """Where a backbone's configuration and weights come from, taken apart once so that no spelling decides anything.

    ``str`` gives the one way in which it is written.

    Attributes:
        scheme: "timm" for a name of timm's own, "hf-hub" for a repository of the hub, "local-dir" for a folder.
        name: timm's name; ``ORG/NAME[@REVISION]``; or a path, in which ``~`` is the home folder.
    """

    scheme: Scheme
    name: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``NAME``, ``hf-hub:ORG/NAME`` or ``local-dir:PATH``, the scheme in any case, as timm does.

        Raises ParameterError for another scheme, or for none of the characters that have to follow it.
        """
        before, colon, after = text.partition(":")
        if not colon:
            return cls("timm", text.strip())
        scheme = _SCHEMES.get(before.strip().lower())
        if scheme is None:
            raise ParameterError(
                f"'{text}': there is no source '{before}:'; write hf-hub:ORG/NAME for a model of the hub, "
                f"local-dir:PATH for a folder, or a model's name alone for one of timm's"
            )
        name = after.strip()
        if not name or "\0" in name:
            raise ParameterError(f"'{text}': after {scheme}: {_AFTER[scheme]} is expected")
        return cls(scheme, name)

    @property
    def folder(self) -> Path:
        """The folder of a ``local-dir``."""
        path = Path(self.name)
        # On a machine that knows no home folder the sign stays, and no such folder is found.
        with contextlib.suppress(RuntimeError):
            path = path.expanduser()
        return path

    def same(self, other: Source) -> bool:
        """Whether both mean one thing, however it is written."""
        if self.scheme != other.scheme or self.scheme != "local-dir":
            return self == other
        return os.path.realpath(self.folder) == os.path.realpath(other.folder)

    def __str__(self) -> str:
        return self.name if self.scheme == "timm" else f"{self.scheme}:{self.name}"


#: ``hf_hub`` is timm's old way to write it.
_SCHEMES: Mapping[str, Scheme] = {"hf-hub": "hf-hub", "hf_hub": "hf-hub", "local-dir": "local-dir"}
_AFTER: Mapping[Scheme, str] = {"hf-hub": "ORG/NAME", "local-dir": "the path of a folder"}


@dataclass(frozen=True)
class ModelSpec:
    """What to build: a timm backbone, its weights, and at most one inserted block.

    Text form: ``[random/ | lab/]BACKBONE[+BLOCK@STAGE][#SEED]``. BACKBONE is a timm name with or without tag, or
    timm's own ``hf-hub:ORG/NAME`` and ``local-dir:PATH``, as `Source` reads them. No prefix means pretrained. Stages
    count from 1.
    ``parse`` and ``str`` round-trip; the other fields have no text form.

    Attributes:
        backbone: timm name.
        origin: where the weights come from.
        block: name of the inserted block, or None.
        stage: the stage after which it stands, counted from 1; None exactly when ``block`` is None, or for the lab's
            own models, which name none.
        seed: seed of random weights and of the inserted block.
        options: keyword arguments for ``timm.create_model``, as sorted pairs.
        block_options: parameters of the block, as sorted pairs.
        input_size: (height, width) in pixels, or None for the model's own.
        weights_file: a safetensors file laid over the built model, or None.
        preprocessing: overrides of timm's data config (mean, std, interpolation, crop_pct), as sorted pairs.
        head: what the outputs are: "softmax", one of several classes; "sigmoid", one label or several independent
            ones; "none", no classes. None: as its configuration says, see `explorer.heads`.
    """

    backbone: str
    origin: Origin = "pretrained"
    block: str | None = None
    stage: int | None = None
    seed: int = 0
    options: tuple[tuple[str, Any], ...] = ()
    block_options: tuple[tuple[str, Any], ...] = ()
    input_size: tuple[int, int] | None = None
    weights_file: str | None = None
    preprocessing: tuple[tuple[str, Any], ...] = ()
    head: HeadKind | None = None

    def __post_init__(self) -> None:
        # Written in one way: what is compared, kept or looked up by it means one thing.
        object.__setattr__(self, "backbone", str(Source.parse(self.backbone)))

    @property
    def source(self) -> Source:
        """Where the backbone comes from."""
        return Source.parse(self.backbone)

    @classmethod
    def parse(cls, text: str, **fields: Any) -> ModelSpec:
        """Read the text form; ``fields`` set the fields that have none. Raises ParameterError."""
        rest = text.strip()
        origin: Origin = "pretrained"
        for prefix in ("random", "lab"):
            if rest.startswith(prefix + "/"):
                origin, rest = prefix, rest[len(prefix) + 1 :].lstrip()
                break
        # A folder may have + and # in its name: there, only a whole +BLOCK@STAGE or #SEED at the end is one.
        folder = ":" in rest and Source.parse(rest).scheme == "local-dir"
        seed = 0
        if (match := re.search(r"#([^#/+@]*)$", rest)) is not None and not (folder and not match.group(1).isdecimal()):
            if not match.group(1).isdecimal() or int(match.group(1)) >= 2**63:
                raise ParameterError(f"'{text}': after # a seed (0, 1, 2, ...) is expected, got '{match.group(1)}'")
            seed, rest = int(match.group(1)), rest[: match.start()]
        block: str | None = None
        stage: int | None = None
        match = re.search(r"\+([A-Za-z0-9_]+)(?:@([^+@/]*))?$", rest)
        if match is not None and not (folder and match.group(2) is None):
            block, rest = match.group(1), rest[: match.start()]
            if match.group(2) is not None:
                if not match.group(2).isdecimal() or int(match.group(2)) < 1:
                    raise ParameterError(f"'{text}': after @ a stage (1, 2, ...) is expected, got '{match.group(2)}'")
                stage = int(match.group(2))
            elif origin != "lab":
                raise ParameterError(f"'{text}': say after which stage the block stands, as in '{text}@3'")
        if not rest:
            raise ParameterError(f"'{text}': no backbone is named; write for example 'resnet50.a1_in1k+mhsa@3'")
        if ":" not in rest and (match := re.search(r"[+@#\s]", rest)) is not None:
            raise ParameterError(f"'{text}': '{rest}' is no model name; the form is BACKBONE[+BLOCK@STAGE][#SEED]")
        return cls(rest, origin, block, stage, seed, **fields)

    def __str__(self) -> str:
        head = "" if self.origin == "pretrained" else self.origin + "/"
        block = "" if self.block is None else f"+{self.block}" + ("" if self.stage is None else f"@{self.stage}")
        # Without its seed, a folder named 'runs#7' would be read as 'runs' with seed 7.
        seed = bool(self.seed) or (not block and re.search(r"#\d+$", self.backbone) is not None)
        return f"{head}{self.backbone}{block}" + (f"#{self.seed}" if seed else "")


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the entries of an attention matrix lie on the image.

    Attributes:
        name: what the layout is called in the field ("tokens", "shifted windows", "pooled keys", ...).
        key_grid: (rows, columns) of the grid on which keys lie, evenly over the input frame.
        key_index: (groups, Nk) long; flat position on ``key_grid``, -1 for an entry that lies nowhere (padding),
            ``-2 - p`` for prefix token p.
        query_grid: the grid on which queries lie, or None where every query has the same row (context, gates).
        query_index: (groups, Nq) long, as ``key_index``; None with ``query_grid``.
        prefix: names of the prefix tokens ("class", "distillation", "register 1", ...).
    """

    name: str
    key_grid: tuple[int, int]
    key_index: Tensor
    query_grid: tuple[int, int] | None = None
    query_index: Tensor | None = None
    prefix: tuple[str, ...] = ()

    def find(self, code: int) -> list[tuple[int, int]]:
        """Every (group, index) of the query with this code: one, but for overlapping windows (outlook attention).

        Raises ParameterError where there is none.
        """
        if self.query_index is None:
            return [(0, 0)]
        hits = (self.query_index == code).nonzero().tolist()
        if not hits:
            raise ParameterError(f"layout '{self.name}': no query at position {code} of grid {self.query_grid}")
        return [(int(group), int(index)) for group, index in hits]

    def cell(self, point: Point, image_size: tuple[int, int]) -> int:
        """Flat position on the query grid of the cell that holds ``point``; raises ParameterError outside the frame."""
        if self.query_grid is None:
            return 0
        (rows, columns), (height, width) = self.query_grid, image_size
        if not (0 <= point.x < width and 0 <= point.y < height):
            raise ParameterError(f"query ({point.x:g}, {point.y:g}) lies outside the {width} x {height} px input")
        return int(point.y * rows / height) * columns + int(point.x * columns / width)


class Weights(Protocol):
    """Attention weights of one operation, shaped (batch, groups, heads, Nq, Nk) in thought, held cheaply."""

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(batch, groups, heads, Nq, Nk)."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        """(heads, stop - start, Nk) float32: the rows of queries start to stop of one image and group."""
        ...


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """One attention map of one forward pass (of a batch), placed on the image.

    Attributes:
        layer: dotted path of the module that computed it.
        mechanism: class of that module.
        kind: what the numbers are; never mixed up in a figure.
        weights: the numbers, row by row on demand.
        layout: where they lie, or None: channel maps, and families without a known position.
        image_size: (height, width) of the model's input, px.
        state: what the weights that made it are.
        unit: what a value means ("softmax over 196 positions", "gate, 0 to 1").
        note: one sentence that belongs beside the map, or "".
    """

    layer: str
    mechanism: str
    kind: MapKind
    weights: Weights
    layout: Layout | None
    image_size: tuple[int, int]
    state: WeightsState = "pretrained"
    unit: str = ""
    note: str = ""

    @property
    def module(self) -> str:
        """Dotted path of the module that computed it, without the part of the map."""
        return self.layer.partition(" (")[0]

    @property
    def part(self) -> str:
        """Which of a module's maps it is ("row", "rows x columns"), or "" where it has one."""
        return self.layer.partition(" (")[2].removesuffix(")")

    @property
    def heads(self) -> int:
        """Number of heads (of channels, for gates; of groups, for channel attention)."""
        return self.weights.shape[2]

    @property
    def per_query(self) -> bool:
        """Whether the row depends on the query."""
        return self.layout is not None and self.layout.query_grid is not None

    @property
    def grid(self) -> tuple[int, int] | None:
        """(rows, columns) of a row's picture, or None without a position."""
        return None if self.layout is None else self.layout.key_grid

    def row(self, query: Point | str | None = None, head: int | None = None, item: int = 0) -> Tensor:
        """The query's attention over the image: (rows, columns) float32 for one head, or the mean over heads.

        Args:
            query: a Point in input pixels, the name of a prefix token ("class"), or None where it does not matter.
            head: which head, or None for the mean.
            item: which image of the batch.

        Costs O(n d). Raises ParameterError for a query or head that does not exist, or a map without positions.
        """
        rows = self.rows(query, item)
        if head is None:
            return rows.mean(0)
        if not 0 <= head < len(rows):
            raise ParameterError(f"{self.layer}: head {head} asked for, it has heads 0 to {len(rows) - 1}")
        return rows[head]

    def rows(self, query: Point | str | None = None, item: int = 0) -> Tensor:
        """The query's attention over the image for every head: (heads, rows, columns) float32."""
        return self.split(query, item)[0]

    def prefix_mass(self, query: Point | str | None = None, item: int = 0) -> Tensor:
        """The query's attention to each prefix token: (heads, prefix tokens) float32."""
        return self.split(query, item)[1]

    def split(self, query: Point | str | None = None, item: int = 0) -> tuple[Tensor, Tensor]:
        """What `rows` and `prefix_mass` give, for the cost of one of them."""
        rows, columns = self._positioned().key_grid
        values = self._scatter(query, item)
        return values[:, : rows * columns].view(-1, rows, columns), values[:, rows * columns :]

    def _scatter(self, query: Point | str | None, item: int) -> Tensor:
        """(heads, positions + prefix tokens): the query's weights by what they lie on; those of padding are dropped."""
        layout = self._positioned()
        positions = layout.key_grid[0] * layout.key_grid[1]
        out = torch.zeros(self.heads, positions + len(layout.prefix))
        for group, index in self._locate(query):
            values = self.weights.block(item, group, index, index + 1)[:, 0].cpu()
            keys = layout.key_index[group if len(layout.key_index) > 1 else 0]
            keys = torch.where(keys < -1, positions - 2 - keys, keys)
            out.index_add_(1, keys[keys >= 0], values[:, keys >= 0])
        return out

    def matrix(self, head: int = 0, item: int = 0, group: int = 0) -> Tensor:
        """The raw matrix of one head: (Nq, Nk) float32; the only view of a map that has no position on the image."""
        _, groups, heads, queries, _ = self.weights.shape
        if not (0 <= head < heads and 0 <= group < groups):
            raise ParameterError(f"{self.layer}: head {head}, group {group} asked for, it has {heads} x {groups}")
        return self.weights.block(item, group, 0, queries)[head]

    def _positioned(self) -> Layout:
        if self.layout is None:
            raise ParameterError(f"{self.layer} ({self.kind}): no known position on the image; use matrix()")
        return self.layout

    def _locate(self, query: Point | str | None) -> list[tuple[int, int]]:
        layout = self._positioned()
        if layout.query_grid is None:
            return [(0, 0)]
        if isinstance(query, str):
            if query not in layout.prefix:
                names = ", ".join(layout.prefix) or "none"
                raise ParameterError(f"{self.layer}: no prefix token '{query}'; it has: {names}")
            return layout.find(-2 - layout.prefix.index(query))
        if query is None:
            raise ParameterError(f"{self.layer}: a query is needed, a point in pixels or a prefix token's name")
        return layout.find(layout.cell(Point(*query), self.image_size))


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a model bases one answer on: signed values on the model's input frame.

    Attributes:
        values: (h, w) float32 on the CPU, signed; its grid lies evenly over the input frame (Grad-CAM's is coarse).
        method: name in METHODS.
        target: what was explained ("Samoyed (258)", "norm of the pooled feature").
        layer: the layer it was computed at, or None for input attributions.
        delta: convergence delta of integrated gradients (sum of values minus the change of the target), else None.
        unit: what a value means.
        state: what the model's weights are.
        parameters: the method's parameters as used.
        note: one sentence that belongs beside the map, or "".
    """

    values: Tensor
    method: str
    target: str
    layer: str | None = None
    delta: float | None = None
    unit: str = ""
    state: WeightsState = "pretrained"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


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
    unit: str = "softmax probability"
    decided: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """The answer in words: the class; of a sigmoid the labels, or "no label"."""
        return ", ".join(self.labels) if self.labels or not self.top else "no label"


@dataclass(frozen=True, eq=False)
class PulledBack:
    """A map of the moved picture brought back to the frame of the picture before it was moved.

    Attributes:
        values: (h, w) float32.
        valid: (h, w) bool; False where the moved picture does not show that place.
    """

    values: Tensor
    valid: Tensor


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
            flat = [one for one in self.maps if one.grid is not None and min(one.grid) > 1]
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
class Comparison:
    """Several models, one picture, one transform: a row each.

    Attributes:
        rows: one view per model, in the order asked for.
        transform: the transform in words.
        method: the attribution method.
        versions: package versions that made it.
    """

    rows: tuple[ModelView, ...]
    transform: str
    method: str
    versions: Mapping[str, str]


#: Which way a score is better; "none" where more is neither.
Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Score:
    """One number that stands for a probe's rows of one model.

    Attributes:
        model: text form of the model, or the name of a block.
        measure: what was measured, in the field's term.
        value: the number.
        unit: of the number; shares have "share".
        low: lower end of the 95 % interval, or None where there is none.
        high: upper end of it.
        n: what the interval is over: images, pairs, ...; 1 for what is exact.
        better: which way is better.
        interval: how the interval was had ("Wilson", "Student's t over images"), or "".
    """

    model: str
    measure: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: int = 1
    better: Better = "none"
    interval: str = ""


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What a probe measured of some models; of a probe that still runs, what it has measured so far.

    Attributes:
        probe: name in PROBES.
        bias: which spatial inductive bias it is about.
        rows: tidy records: model, weights, stimuli, measure, value, unit, n, low, high, interval (how it was had), and
            the probe's own conditions.
        summary: "MODEL: MEASURE" -> the number that stands for its rows.
        notes: what has to be said beside it: models that it cannot serve and why, conditions that were left out.
        models: text form of every model asked for, in order; a model's colour is that of its place.
        parameters: the probe's parameters as used.
        stimuli: model -> what it was shown, border policy included.
        mode: "paper" (the protocol's fixed sizes) or "model" (the model's own crop, interpolation, mean and std).
        seed: of every random choice.
        device: where it ran.
        dtype: of the forward passes.
        versions: package -> version.
        share: how much of the work is done, 0 to 1.
        input_sizes: model -> (height, width) of its input, px.
    """

    probe: str
    bias: str
    rows: list[dict[str, Any]]
    summary: Mapping[str, Score]
    notes: tuple[str, ...]
    models: tuple[str, ...]
    parameters: Mapping[str, Any]
    stimuli: Mapping[str, str]
    mode: str
    seed: int
    device: str
    dtype: str
    versions: Mapping[str, str]
    share: float = 1.0
    input_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, model: str, **conditions: Any) -> list[dict[str, Any]]:
        """The rows of one model that have these values, in order."""
        return [
            row
            for row in self.rows
            if row["model"] == model and all(row.get(name) == value for name, value in conditions.items())
        ]

    def record(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        out = {one.name: getattr(self, one.name) for one in fields(self)}
        out["summary"] = {name: asdict(score) for name, score in self.summary.items()}
        return {
            name: dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            for name, value in out.items()
        }

    def save(self, path: str | Path) -> Path:
        """Write it to ``path``: .json, everything, or .csv, the rows. Raises ParameterError."""
        path = Path(path)
        if path.suffix not in (".json", ".csv"):
            raise ParameterError(f"a probe's result is written as .json or .csv, got '{path.name}'")
        if path.suffix == ".json":
            return write(path, json.dumps(self.record(), ensure_ascii=False, allow_nan=False, indent=1))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self.rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        return write(path, text.getvalue())
