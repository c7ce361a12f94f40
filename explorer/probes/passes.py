"""Forward passes in batches that fit the memory: made, run and read a part at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from explorer.errors import MethodError
from explorer.messages import Message, listed
from explorer.models.device import out_of_memory
from explorer.models.model import Model
from explorer.probes.rows import Step

Read = TypeVar("Read")

#: Bytes that one batch may take, and how many times its own size a picture takes on its way through a network.
MEMORY, EXPANSION = 2**30, 64
#: Pictures in a batch at most: larger batches are no faster.
LARGEST = 64


class Passes:
    """Runs one model on many pictures.

    Args:
        model: a live model.
        dtype: of the forward passes: float32, or bfloat16 by autocast.
        memory: bytes that a batch may take.

    Attributes:
        size: pictures a batch; halved whenever the memory did not suffice.
    """

    def __init__(self, model: Model, dtype: torch.dtype = torch.float32, memory: int = MEMORY) -> None:
        self.model, self.dtype = model, dtype
        height, width = model.input_size
        self.size = max(1, min(LARGEST, memory // (height * width * 3 * 4 * EXPANSION)))

    def each(
        self, count: int, make: Callable[[int, int], Tensor], read: Callable[[Tensor], Read] | None = None
    ) -> Iterator[tuple[int, int, Read]]:
        """Read the model's answers to pictures number 0 to ``count`` - 1, batch by batch.

        Args:
            count: how many pictures.
            make: (start, stop) to pictures (stop - start, 3, H, W) in 0..1 on the model's device.
            read: what to take of a batch of pictures, under `torch.inference_mode`; `answers` if None.

        Yields (start, stop, what was read). The lock is held while a batch is computed, not between.
        """
        taken: Callable[[Tensor], Any] = self.answers if read is None else read
        start = 0
        while start < count:
            stop = min(count, start + self.size)
            try:
                with self.exact(), torch.inference_mode():
                    found = taken(make(start, stop))
            except RuntimeError as error:
                if not out_of_memory(error) or stop - start == 1:
                    raise
                self.size = max(1, (stop - start) // 2)
                if self.model.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            yield start, stop, found
            start = stop

    def answers(self, x01: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, classes) and the pooled feature before the classifier (B, width), float32 on the CPU, of one pass.

        A model without a head gives its pooled feature twice.
        """
        module: Any = self.model.module
        features = module.forward_features(self.model.normalise(x01))
        pooled = module.forward_head(features, pre_logits=True).flatten(1)
        logits = pooled if self.model.headless else module.forward_head(features)
        return logits.float().cpu(), pooled.float().cpu()

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Hold the model's lock and set the precision: float32 without TF32, or autocast to the dtype asked for."""
        with self.model.lock, ExitStack() as stack:
            for one in self._precision():
                stack.enter_context(one)
            yield

    def _precision(self) -> list[AbstractContextManager[Any]]:
        if self.dtype != torch.float32:
            return [torch.autocast(self.model.device.type, self.dtype)]
        return [torch.backends.cudnn.flags(enabled=True, allow_tf32=False), _no_tf32()]


_TF32 = threading.Lock()


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Matrix products of a GPU in full float32; PyTorch's own default, but others may have changed it."""
    with _TF32:
        before = torch.backends.cuda.matmul.allow_tf32
        if before:
            torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        if before:
            torch.backends.cuda.matmul.allow_tf32 = True


def collected(
    passes: Passes,
    count: int,
    make: Callable[[int, int], Tensor],
    begin: float,
    end: float,
    read: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
) -> Generator[Step, None, tuple[Tensor, Tensor]]:
    """The two tensors that are read of pictures 0 to ``count`` - 1, put together; see `Passes.each`.

    Yields the share done after each batch, from ``begin`` to ``end``.
    """
    first, second = [], []
    for _, stop, found in passes.each(count, make, read):
        first.append(found[0])
        second.append(found[1])
        yield Step(begin + (end - begin) * stop / count)
    return torch.cat(first), torch.cat(second)


def stage_features(model: Model, x01: Tensor, numbers: list[int] | None = None) -> dict[int, Tensor]:
    """The features of a model's stages: stage number -> (B, channels, rows, columns), prefix tokens dropped.

    The graph is kept where gradients are on. Stages whose features have no known place on the image are left out.

    Args:
        model: a live model; hold its lock.
        x01: (B, 3, H, W) in 0..1, on the model's device; of the size that the model was loaded for.
        numbers: which stages; all if None.

    Raises MethodError where no stage asked for can be read.
    """
    wanted = [one for one in model.stages if not one.problem and (numbers is None or one.number in numbers)]
    if not wanted:
        each = [Message("stage {number}: {problem}", number=one.number, problem=one.problem) for one in model.stages]
        reasons = listed(each, "{first}; {rest}") or Message("timm names none")
        raise MethodError(
            Message(
                "no stage of {spec} has features with a known place on the image ({reasons})",
                spec=model.spec,
                reasons=reasons,
            )
        )
    found: dict[int, Tensor] = {}
    with ExitStack() as stack:
        for one in wanted:

            def keep(_module: Any, _inputs: Any, output: Any, stage: Any = one) -> None:
                tensor = output if isinstance(output, Tensor) else output[stage.part]
                # Cloned, because an in-place activation may follow.
                found[stage.number] = stage.spatial(tensor).clone()

            stack.callback(model.module.get_submodule(one.name).register_forward_hook(keep).remove)
        model.module.forward_features(model.normalise(x01))  # type: ignore[operator]
    return found
