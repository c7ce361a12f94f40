"""Pictures that are read and brought to a model's input by threads while the model computes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch
from torch import Tensor

from explorer.errors import ImageError
from explorer.images import Picture
from explorer.models.model import Model

#: Threads that read pictures at most, and how many batches they are ahead.
_READERS, _BATCHES = 8, 2


class Ahead:
    """Reads pictures in their order, a few batches ahead of what is asked for, whatever their number.

    Args:
        model: which brings them to its input.
        sources: the pictures.

    Attributes:
        lost: numbers of those that could not be read; they are black.
    """

    def __init__(self, model: Model, sources: Sequence[Picture]) -> None:
        self._model, self._sources = model, sources
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(min(_READERS, cores))
        self._under_way: dict[int, Future[Tensor | None]] = {}
        self.lost: set[int] = set()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, start: int, stop: int) -> Tensor:
        """Pictures number ``start`` to ``stop`` - 1: (stop - start, 3, H, W) in 0..1 on the model's device."""
        for number in range(start, min(len(self._sources), stop + _BATCHES * (stop - start))):
            if number not in self._under_way:
                self._under_way[number] = self._pool.submit(self._read, number)
        for number in [one for one in self._under_way if one < start]:
            del self._under_way[number]
        made = [self._under_way[number].result() for number in range(start, stop)]
        self.lost.update(start + place for place, one in enumerate(made) if one is None)
        black = torch.zeros((1, 3, *self._model.input_size), device=self._model.device)
        return torch.cat([black if one is None else one for one in made])

    def _read(self, number: int) -> Tensor | None:
        try:
            return self._model.preprocess(self._sources[number].image)
        except ImageError:
            return None
