"""How does a block's cost grow with the number of positions? Counted exactly, and timed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from explorer.blocks import BLOCKS, Block
from explorer.errors import ParameterError

#: Powers of n that a cost on a square grid can have: of the side, 0 to 4.
_POWERS = (0.0, 0.5, 1.0, 1.5, 2.0)
#: A timing is at least this long, s: shorter calls are repeated.
_LONG_ENOUGH = 0.004


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
        words = {0.0: "", 0.5: " n^0.5", 1.0: " n", 1.5: " n^1.5", 2.0: " n^2"}
        counted = " + ".join(f"{self.terms[power]:g}{words[power]}" for power in sorted(self.terms, reverse=True))
        return f"{self.block}, d = {self.channels}: {counted or '0'} multiply-adds; time grows as n^{self.exponent:.2f}"


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
    kind = BLOCKS[block]

    def made(where: str) -> Block:
        with torch.device(where):
            return kind(channels, (sides[0], sides[0]), **options).eval()

    counted, timed = made("meta"), made(device)
    points = []
    for side in sides:
        x = torch.randn(1, channels, side, side, device=device)
        points.append(CostPoint(side, side * side, _count(counted, side), _milliseconds(timed, x, repeats)))
    # A cost is a polynomial in the side of degree 4, and five counts tell its coefficients.
    few = np.arange(1, 6)
    counts = [_count(counted, int(side)) for side in few]
    solved = np.linalg.solve(np.vander(few, increasing=True).astype(float), counts).round(3)
    terms = {power: float(value) for power, value in zip(_POWERS, solved) if value}
    last = points[-3:]
    exponent = np.polyfit([math.log(p.positions) for p in last], [math.log(p.milliseconds) for p in last], 1)[0]
    return MeasuredCost(block, channels, tuple(points), terms, max(terms, default=0.0), float(exponent), device)


def _count(block: Block, side: int) -> int:
    """Multiply-adds of one image, counted by torch on tensors without memory."""
    x = torch.empty(1, block.channels, side, side, device="meta")
    # torch's counter knows the fused kernels of a GPU only; the plain kernel shows the two matrix products.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        block(x)
    return counter.get_total_flops() // 2


def _milliseconds(block: Block, x: torch.Tensor, repeats: int) -> float:
    # One thread's own time on a CPU: what others do on the machine meanwhile does not count.
    clock = time.perf_counter if x.is_cuda else time.thread_time

    def once(times: int) -> float:
        start = clock()
        for _ in range(times):
            block(x)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        return (clock() - start) / times

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            once(1)
            times = max(1, math.ceil(_LONG_ENOUGH / max(once(1), 1e-7)))
            return 1000 * min(once(times) for _ in range(repeats))
    finally:
        torch.set_num_threads(threads)
