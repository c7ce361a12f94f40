"""What does each kind of attention cost? Time, memory and multiply-adds of its block as the grid and the width grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from explorer.blocks import BLOCKS, cost
from explorer.blocks.explain import explain
from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Axis, Chart, Line, Section, Table
from explorer.messages import Message, listed, ranged
from explorer.models.device import out_of_memory
from explorer.models.model import Model
from explorer.probes.base import PROBES, Probe, Run, Step
from explorer.probes.exponents import PLACES, UNITS, AxisName, Theory, fits, theories
from explorer.probes.passes import MEMORY
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, row, score
from explorer.probes.stimuli import Shown
from explorer.registry import parameter

#: Rounds of timings; every round goes through all sizes, so that a busy minute disturbs all alike.
ROUNDS = 5
BACKWARD = Message("forward + backward")
#: Sides of grids, and widths, are at most these.
SIDES, WIDTHS = 1024, 4096


@dataclass(frozen=True)
class _Size:
    """One grid and width of one block: what to call, and what was found: time (the shortest), memory, multiply-adds."""

    axis: AxisName
    side: int
    channels: int
    once: Callable[[], Any]
    found: dict[str, float]

    @property
    def at(self) -> int:
        """Where it stands on its axis."""
        return self.side**2 if self.axis == "n" else self.channels


@PROBES.register("cost")
@dataclass(frozen=True)
class Cost(Probe):
    """What does a model's kind of attention cost as the number of positions n and the width d grow?

    The subject is the block alone: the one that a model of the laboratory is named after, with its own defaults, or the
    one inserted into a backbone, with the options given. A fresh one is made for every size and given one random image
    (1, d, side, side), float32, n = side^2. Multiply-adds are counted (half of torch's count of FLOPs), memory is the
    most that a call holds at once beside input and parameters, time is the shortest of several rounds; on a CPU that of
    one thread. Exponents are slopes of the logarithms over the five largest sizes, with Student's t interval over
    sizes; "theory" beside them is the leading power of the count, and at least 1 for what touches every position.
    A size whose call is foreseen to take too long, or too much memory, is left out with those beyond it.
    """

    bias = "cost"
    formula = "cost(n, d) = a n^p at fixed d (and a d^q at fixed n); p is the slope of log cost over log n"
    source = (
        "measured here; the leading terms are counted with torch.utils.flop_counter and stand with each block "
        "(Vaswani et al. 2017, table 1, for attention over positions: n^2 d)"
    )
    limits = (
        "Times are this machine's, for one image and one block alone; where calls or caches decide rather than the "
        "work, the exponent differs from the theory's."
    )
    looks = False
    headline = "time exponent in n"

    sizes: str = parameter("24,32,48,64,96,128,192,256,384,512", "sides of the square grids, at fixed d")
    channels: int = parameter(8, "width d while the grid grows; a small one lets n dominate", 1, 1024)
    widths: str = parameter("16,32,64,128,256", "widths d, at a fixed grid")
    side: int = parameter(32, "side of the grid while the width grows, and where blocks are compared", 1, 512)
    direction: str = parameter("forward", "what is measured", choices=("forward", BACKWARD))
    longest: float = parameter(1.0, "a size whose call would take longer is left out", 0.001, 60, "s")

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers("sizes", self.sizes, SIDES)
        numbers("widths", self.widths, WIDTHS)

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:  # noqa: ARG002 - nothing is looked at
        name, options = subject(model)
        if model.device.type not in ("cpu", "cuda"):
            raise MethodError(
                Message("time and memory are measured on a CPU or a CUDA GPU, not on {type}", type=model.device.type)
            )
        theory = theories(name, self.channels, **options)
        head: Row = {"block": name, "direction": self.direction}
        rows: list[Row] = []
        sizes: list[_Size] = []
        for share, size in self._sizes(name, options, model.device, run, theory):
            fresh = [] if size is None else [_row("memory", size, head), _row("multiply-adds", size, head)]
            sizes += [] if size is None else [size]
            rows += fresh
            yield Step(0.3 * share, fresh)

        timings = ROUNDS * len(sizes)
        for number in range(timings):
            size = sizes[number % len(sizes)]
            with run.passes.exact():
                found = cost.milliseconds(size.once, model.device, cost.repetitions(size.found["time"]))
            size.found["time"] = min(size.found["time"], found)
            fresh = [_row("time", size, head)] if number >= timings - len(sizes) else []
            rows += fresh
            yield Step(0.3 + 0.7 * (number + 1) / timings, fresh)

        parameters = cost.made(name, self.channels, self.side, "meta", **options).parameter_count()
        at: Row = {"positions": self.side**2, "channels": self.channels}
        yield Step(1.0, [row("parameters", parameters, "", **head, **at), *fits(rows, theory)])

    def _sizes(
        self, name: str, options: Mapping[str, Any], device: torch.device, run: Run, theory: Theory
    ) -> Iterator[tuple[float, _Size | None]]:
        """Yield the share done, and each size that fits time and memory with all but its final time; or None."""
        grids = sorted({*numbers("sizes", self.sizes, SIDES), self.side})
        widths = numbers("widths", self.widths, WIDTHS)
        planned: list[tuple[AxisName, int, int]] = [
            *(("n", side, self.channels) for side in grids),
            *(("d", self.side, width) for width in widths),
        ]
        before: dict[AxisName, _Size] = {}
        full: set[AxisName] = set()
        for done, (axis, side, channels) in enumerate(planned, 1):
            size = None
            at = side**2 if axis == "n" else channels
            if axis in before and self._beyond(before[axis], at, theory["time", axis]):
                full.add(axis)
            if axis not in full:
                try:
                    with run.passes.exact():
                        before[axis] = size = self._size(name, options, axis, (side, channels), device)
                except ParameterError:
                    if axis == "n":  # else a width that the options (heads, groups) do not divide
                        raise
                except RuntimeError as error:
                    if not out_of_memory(error):
                        raise
                    full.add(axis)
            yield done / len(planned), size

    def _size(
        self, name: str, options: Mapping[str, Any], axis: AxisName, at: tuple[int, int], device: torch.device
    ) -> _Size:
        side, channels = at
        backward = self.direction == BACKWARD
        once = cost.call(cost.made(name, channels, side, device, **options), side, device, backward)
        found = {
            "memory": cost.peak_memory(once, device) / 2**20,
            "multiply-adds": cost.count(cost.made(name, channels, side, "meta", **options), side, backward),
            "time": cost.milliseconds(once, device),
        }
        return _Size(axis, side, channels, once, found)

    def _beyond(self, before: _Size, at: int, power: float) -> bool:
        """Whether a size is foreseen to take too long; or, as if memory grew as fast as it can, too much."""
        ratio = at / before.at
        too_long = before.found["time"] * ratio**power > 1000 * self.longest
        return too_long or before.found["memory"] * 2**20 * ratio**2 > MEMORY

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        here = {"axis": "n", "positions": self.side**2}
        where = Message("at {side} x {side}, d = {channels}", side=self.side, channels=self.channels)
        return [
            *score(rows, self.headline, "lower"),
            *score(rows, "time", "lower", Message("time {where}", where=where), **here),
            *score(rows, "memory", "lower", Message("memory {where}", where=where), **here),
            *score(rows, "parameters", "none", Message("parameters {where}", where=where)),
        ]

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        width, side, direction = (result.parameters[one] for one in ("channels", "side", "direction"))
        at_width = Message("{direction}, one image, d = {width}", direction=direction, width=width)
        dashed = Message("dashed: the power of the leading term, through the largest size")
        alone = "" if result.device.startswith("cuda") else Message("one thread's own time")
        against_n = [
            _chart(result, "time", "n", listed(filter(None, (at_width, alone, dashed)), "{first}; {rest}")),
            _chart(
                result,
                "memory",
                "n",
                Message("{at_width}; beside input and parameters; {dashed}", at_width=at_width, dashed=dashed),
            ),
            _chart(
                result, "multiply-adds", "n", Message("{at_width}; counted; {dashed}", at_width=at_width, dashed=dashed)
            ),
        ]
        against_d = _chart(
            result,
            "time",
            "d",
            Message(
                "{direction}, one image, {side} x {side} positions; {alone}{dashed} (for large d)",
                direction=direction,
                side=side,
                alone=alone,
                dashed=dashed,
            ),
        )
        words, colours = _comparison(result)
        found = [
            Section(Message("Cost against the number of positions"), tuple((one,) for one in against_n if one)),
            Section(Message("Cost against the width"), ((against_d,),) if against_d else ()),
            Section(
                Message("The blocks side by side"), ((Table("Comparison", COLUMNS, words, colours),),) if words else ()
            ),
        ]
        return tuple(one for one in found if one.rows)


def numbers(name: str, text: str, most: int) -> list[int]:
    """Read "16, 24, 32": at least two different whole numbers from 1 to ``most``, ascending. Raises ParameterError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= most for part in parts) or len(set(map(int, parts))) < 2:
        raise ParameterError(
            Message(
                "{name}: two or more different whole numbers from 1 to {most}, as 16,24,32; got '{text}'",
                name=name,
                most=most,
                text=text,
            )
        )
    return sorted(set(map(int, parts)))


def subject(model: Model) -> tuple[str, dict[str, Any]]:
    """The name of a model's attention block, and the options given with it; raises MethodError where it has none."""
    spec = model.spec
    if spec.origin == "lab":
        # Its block is not inserted but a part of the network, the outermost of the registry's modules.
        kinds: dict[type, str] = {kind: name for name, kind in BLOCKS.items()}
        return next(kinds[type(module)] for module in model.module.modules() if type(module) in kinds), {}
    if spec.block is None:
        raise MethodError(
            Message(
                "{spec} has no attention block of the registry whose cost could be measured alone; take a model of "
                "the laboratory (lab/mhsa) or one with a block inserted ({spec}+mhsa@1)",
                spec=spec,
            )
        )
    return spec.block, dict(spec.block_options)


def _row(quantity: str, size: _Size, head: Mapping[str, Any]) -> Row:
    repeats = ROUNDS + 1 if quantity == "time" else 1
    return row(
        quantity,
        float(size.found[quantity]),
        UNITS[quantity],
        repeats,
        **head,
        quantity=quantity,
        axis=size.axis,
        positions=size.side**2,
        channels=size.channels,
    )


def _chart(result: ProbeResult, quantity: str, axis: AxisName, said: str) -> Chart | None:
    """All models' curves on logarithmic axes, each with its theory; None where there is nothing yet."""
    lines: list[Line] = []
    for number, model in enumerate(result.models):
        points = [(one[PLACES[axis]], one["value"]) for one in result.of(model, measure=quantity, axis=axis)]
        points = sorted((x, y) for x, y in points if y)
        if not points:
            continue
        x, y = (tuple(map(float, part)) for part in zip(*points))
        colour = result.colours[number]
        lines.append(Line(model, x, y, colour=colour))
        for fit in result.of(model, measure=Message("{quantity} exponent in {axis}", quantity=quantity, axis=axis)):
            if fit["theory"] is not None:
                expected = tuple(y[-1] * (one / x[-1]) ** fit["theory"] for one in x)
                lines.append(
                    Line(
                        listed([model, f"{axis}^{fit['theory']:g}"], "{first}: {rest}"),
                        x,
                        expected,
                        colour=colour,
                        dash="dash",
                    )
                )
    if not lines:
        return None
    what = Message("positions n = H W") if axis == "n" else Message("width d, channels")
    title = _TITLES[quantity, axis]
    measured = listed(filter(None, (Message(quantity), UNITS[quantity])))
    return Chart(title, tuple(lines), Axis(what, log=True), Axis(measured, log=True), unit=said)


COLUMNS = (
    *(Message("model"), Message("block"), Message("complexity"), Message("time exponent in n (95 %)")),
    *(Message("theory"), Message("time at the largest n")),
    *(
        Message("memory at the largest n"),
        Message("memory grows"),
        Message("global reach"),
        Message("where to use"),
        Message("how hard to implement"),
    ),
)


_TITLES: Mapping[tuple[str, str], str] = {
    ("time", "n"): Message("Time against the number of positions"),
    ("memory", "n"): Message("Memory against the number of positions"),
    ("multiply-adds", "n"): Message("Multiply-adds against the number of positions"),
    ("time", "d"): Message("Time against the width"),
    ("memory", "d"): Message("Memory against the width"),
    ("multiply-adds", "d"): Message("Multiply-adds against the width"),
}


def _comparison(result: ProbeResult) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The blocks compared by measured numbers: words a model, and the models' colours."""
    words, colours = [], []
    for number, model in enumerate(result.models):
        fitted = result.of(model, measure="time exponent in n")
        if not fitted:
            continue
        fit, about = fitted[0], explain(fitted[0]["block"])
        ends = (None if fit[end] is None else f"{fit[end]:.2f}" for end in ("low", "high"))
        exponent = ranged(f"{fit['value']:.2f}", *ends)
        largest = [
            _largest(result.of(model, measure="time", axis="n"), "ms"),
            _largest(result.of(model, measure="memory", axis="n"), "MiB"),
        ]
        measured = (exponent, f"{fit['theory']:g}", *largest)
        words.append(
            (model, about.title, about.order, *measured, about.memory, about.reach, about.use, about.difficulty)
        )
        colours.append(result.colours[number])
    return tuple(words), tuple(colours)


def _largest(rows: Sequence[Row], unit: str) -> str:
    last = max(rows, key=lambda one: one["positions"])
    return Message(
        "{value} {unit} at n = {positions}", value=f"{last['value']:.3g}", unit=unit, positions=last["positions"]
    )
