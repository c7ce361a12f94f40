"""How does a block's cost grow with the number of positions? Counted exactly, timed, and its memory read."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile
from torch.nn.attention import SDPBackend, sdpa_kernel

from explorer.blocks import BLOCKS, Block
from explorer.counting import MultiplyAdds
from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.seeding import Seeded

#: Powers of n that a cost on a square grid can have: of the side, 0 to 4.
_POWERS = (0.0, 0.5, 1.0, 1.5, 2.0)
#: A timing is at least this long, s: shorter calls are repeated.
_LONG_ENOUGH = 0.004
#: One thread profiles at a time.
_PROFILER = threading.Lock()


@dataclass(frozen=True)
class CostPoint:
    """One square grid: its side, its n positions, multiply-adds as torch counts them, and time of a forward pass."""

    side: int
    positions: int
    multiply_adds: int
    milliseconds: float


@dataclass(frozen=True)
class MeasuredCost:
    """How a block's cost grows.

    Attributes:
        block: name in BLOCKS.
        channels: d.
        points: one a size, ascending.
        terms: power of n -> coefficient, exact for square grids; terms that are zero are left out.
        order: the largest power of n that is there; 0 for what does not depend on n.
        exponent: slope of log time over log n at the three largest sizes, where calls cost less than the work.
        device: where it was timed; on a CPU the time of one thread, so that a busy machine does not decide.
    """

    block: str
    channels: int
    points: tuple[CostPoint, ...]
    terms: Mapping[float, float]
    order: float
    exponent: float
    device: str

    def __str__(self) -> str:
        return str(self.words)

    @property
    def words(self) -> str:
        """What was counted and timed, in a line."""
        words = {0.0: "", 0.5: " n^0.5", 1.0: " n", 1.5: " n^1.5", 2.0: " n^2"}
        counted = " + ".join(f"{self.terms[power]:g}{words[power]}" for power in sorted(self.terms, reverse=True))
        return Message(
            "{block}, d = {channels}: {multiply_adds} multiply-adds; time grows as n^{exponent}",
            block=self.block,
            channels=self.channels,
            multiply_adds=counted or "0",
            exponent=f"{self.exponent:.2f}",
        )


def measured_cost(
    block: str,
    sizes: Sequence[int] = (8, 16, 24, 32, 48),
    channels: int = 64,
    *,
    repeats: int = 3,
    device: str = "cpu",
    **options: Any,
) -> MeasuredCost:
    """Count multiply-adds and time the forward pass of one image at several square grids.

    Args:
        block: name in BLOCKS.
        sizes: sides of the grids, at least two.
        channels: d.
        repeats: of each timing; the shortest counts.
        device: where to time.
        options: the block's parameters.

    Takes about a second for every block at the default sizes. Raises ParameterError.
    """
    sides = sorted(set(sizes))
    if len(sides) < 2 or sides[0] < 1:
        raise ParameterError(f"sizes: at least two different sides from 1 are needed, got {list(sizes)}")
    counted, timed = (made(block, channels, sides[0], where, **options) for where in ("meta", device))
    points = []
    for side in sides:
        once = call(timed, side, device)
        milliseconds(once, device)  # the first call is slower
        times = repetitions(milliseconds(once, device))
        shortest = min(milliseconds(once, device, times) for _ in range(repeats))
        points.append(CostPoint(side, side * side, count(counted, side), shortest))
    terms = terms_of(counted)
    last = points[-3:]
    exponent = np.polyfit([math.log(p.positions) for p in last], [math.log(p.milliseconds) for p in last], 1)[0]
    return MeasuredCost(block, channels, tuple(points), terms, max(terms, default=0.0), float(exponent), device)


def made(block: str, channels: int, side: int, device: str | torch.device, **options: Any) -> Block:
    """Make a fresh block for a square grid, in eval mode; raises UnknownNameError, ParameterError."""
    kind = BLOCKS[block]
    if torch.device(device).type == "meta":
        with torch.device("meta"):
            return kind(channels, (side, side), **options).eval()
    with Seeded(0):  # a generator of the CPU's
        return kind(channels, (side, side), **options).eval().to(device)


def call(block: Block, side: int, device: str | torch.device, backward: bool = False) -> Callable[[], Any]:
    """What is measured: the block on one random image (1, C, side, side), and on request the gradients.

    Gradients are those of the input and of all parameters for an upstream gradient of ones; none is kept.
    """
    with Seeded(0):
        x = torch.randn(1, block.channels, side, side).to(device).requires_grad_(backward)
    if not backward:

        def forward() -> None:
            with torch.inference_mode():
                block(x)

        return forward
    upstream, wanted = torch.ones_like(x), [x, *block.parameters()]

    def both() -> None:
        with torch.enable_grad():
            torch.autograd.grad(block(x), wanted, upstream)

    return both


def count(block: Block, side: int, backward: bool = False) -> int:
    """Multiply-adds of one image; the block lies on the meta device."""
    once = call(block, side, "meta", backward)
    # torch's formulas know the fused kernels of a GPU only; the plain kernel shows the two matrix products.
    with MultiplyAdds() as counter, sdpa_kernel(SDPBackend.MATH):
        once()
    return counter.count


def terms_of(block: Block) -> dict[float, float]:
    """Power of n -> coefficient of a forward pass's multiply-adds on square grids; the block lies on "meta"."""
    # A cost is a polynomial in the side of degree 4, and five counts tell its coefficients.
    few = np.arange(1, 6)
    counts = [count(block, int(side)) for side in few]
    solved = np.linalg.solve(np.vander(few, increasing=True).astype(float), counts).round(3)
    return {power: float(value) for power, value in zip(_POWERS, solved) if value}


def powers(name: str, channels: int, **options: Any) -> tuple[float, float]:
    """Largest power of n, and of d, in the multiply-adds of a forward pass; 0 for what does not depend on it.

    The power of d is that of widths far beyond ``channels``, multiples of it for the sake of heads and groups.
    """
    of_n = max(terms_of(made(name, channels, 2, "meta", **options)), default=0.0)
    wide = [count(made(name, channels * factor, 2, "meta", **options), 2) for factor in (2**9, 2**10)]
    return of_n, float(round(math.log2(wide[1] / wide[0]))) if wide[0] else 0.0


def memory_power(name: str, **options: Any) -> float:
    """Power of n with which what a block holds at once grows: 2 where it writes out all pairs of positions."""
    if name == "none":
        return 0.0
    return 2.0 if name == "nonlocal" or options.get("position") == "relative" else 1.0


def repetitions(shortest: float) -> int:
    """How many calls of so many milliseconds make a timing long enough."""
    return max(1, math.ceil(_LONG_ENOUGH / max(shortest / 1000, 1e-7)))


def milliseconds(once: Callable[[], Any], device: str | torch.device, times: int = 1) -> float:
    """Mean time of a call; on a CPU one thread's own time, so that what others do meanwhile does not count."""
    cuda = torch.device(device).type == "cuda"
    clock = time.perf_counter if cuda else time.thread_time
    with _one_thread():
        start = clock()
        for _ in range(times):
            once()
        if cuda:
            torch.cuda.synchronize(device)
        return 1000 * (clock() - start) / times


def peak_memory(once: Callable[[], Any], device: str | torch.device) -> int:
    """Most bytes that a call holds at once, its result included; what is there before it does not count.

    On a CPU every request and release that torch's allocator sees in this thread is added up, which includes what
    kernels use inside (one thread) but not what oneDNN keeps for itself. On a GPU it is CUDA's own peak, which other
    work on the GPU in this process would raise.
    """
    if torch.device(device).type == "cuda":
        once()  # libraries keep a workspace from their first call on
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        once()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    # Without it, the profiler writes two lines on the terminal for every use.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with _PROFILER, _one_thread(), profile(profile_memory=True) as seen:
        once()
    live = peak = 0
    for event in seen.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
