"""What a model takes, and the largest that is built: known before a byte of it is allocated or fetched."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from explorer.counting import MultiplyAdds
from explorer.errors import ModelError
from explorer.messages import Message
from explorer.models.spec import ModelSpec

#: Modules of a network: timm's largest has some four thousand.
MAX_MODULES = 20_000
#: Numbers and lists of a configuration: no width, depth or number of classes comes near.
MAX_NUMBER, MAX_LENGTH = 2**20, 1024


@dataclass(frozen=True)
class Size:
    """What a model takes, known before a byte of it is allocated or fetched.

    Attributes:
        nbytes: bytes of its parameters and buffers.
        multiply_adds: of one forward pass of one picture, or None where its network does not say without numbers.
    """

    nbytes: int
    multiply_adds: int | None


@dataclass(frozen=True)
class Limits:
    """The largest model that is built.

    Attributes:
        nbytes: bytes of parameters and buffers; the largest of timm's would fill any machine.
        multiply_adds: of one forward pass of one picture. A processor core does some 50 billion in a second.
    """

    nbytes: int = 6 * 2**30
    multiply_adds: int = 5 * 10**12

    def check(self, spec: ModelSpec, size: Size) -> None:
        """Raises ModelError where a model is larger."""
        if size.nbytes > self.nbytes:
            raise ModelError(
                Message(
                    "'{spec}' takes {size}; models of up to {most} GiB are accepted here. Take a smaller variant of it",
                    spec=spec,
                    size=gib(size.nbytes),
                    most=f"{self.nbytes / 2**30:g}",
                )
            )
        if size.multiply_adds is not None and size.multiply_adds > self.multiply_adds:
            raise ModelError(
                Message(
                    "'{spec}' needs {multiply_adds} billion multiply-adds for one picture; up to {most} "
                    "billion are accepted here. Take a smaller variant or input size",
                    spec=spec,
                    multiply_adds=f"{size.multiply_adds / 1e9:,.0f}",
                    most=f"{self.multiply_adds / 1e9:,.0f}",
                )
            )


def gib(nbytes: int) -> str:
    """A number of bytes in words."""
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 / 10 else f"{nbytes / 2**20:.1f} MiB"


def size_on_meta(skeleton: nn.Module, input_size: tuple[int, int], spec: ModelSpec, channels: int = 3) -> Size:
    """What a network on torch's meta device takes; for an inserted block the bytes are an upper guess.

    Args:
        skeleton: the network without its block; left in evaluation mode.
        input_size: (height, width), px.
        spec: of the model.
        channels: that it reads.
    """
    nbytes, counter = nbytes_of(skeleton), MultiplyAdds()
    try:
        with torch.no_grad(), counter:
            skeleton.eval()(torch.empty(1, channels, *input_size, device="meta"))
        multiply_adds: int | None = counter.count
    except Exception:  # some networks look at numbers, which a meta tensor has not
        multiply_adds = None
    return Size(nbytes + nbytes // 4 if spec.block else nbytes, multiply_adds)


def nbytes_of(module: nn.Module) -> int:
    """Bytes of a network's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


@contextmanager
def counted(spec: ModelSpec, limits: Limits) -> Iterator[None]:
    """Count modules and bytes while a network is being built, and end it where it grows beyond every bound."""
    mine, modules, nbytes = threading.get_ident(), 0, 0

    def module(_: nn.Module, name: str, part: nn.Module | None) -> None:  # noqa: ARG001
        nonlocal modules
        if threading.get_ident() == mine:
            modules += 1
            if modules > MAX_MODULES:
                raise ModelError(
                    Message(
                        "'{spec}' has more than {most} modules; its configuration cannot be right",
                        spec=spec,
                        most=f"{MAX_MODULES:,}",
                    )
                )

    def parameter(_: nn.Module, name: str, part: Tensor | None) -> None:  # noqa: ARG001
        nonlocal nbytes
        if threading.get_ident() == mine and part is not None:
            nbytes += part.nbytes
            # Shared parameters count twice here, so the bound is a loose one; the finished network is counted exactly.
            if nbytes > 8 * limits.nbytes:
                raise ModelError(
                    Message(
                        "'{spec}' takes more than {nbytes}; its configuration cannot be right",
                        spec=spec,
                        nbytes=gib(nbytes),
                    )
                )

    handles = (register_module_module_registration_hook(module), register_module_parameter_registration_hook(parameter))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_numbers(value: Any, backbone: str) -> None:
    """Refuse a configuration whose numbers alone would keep Python busy; raises ModelError."""
    several = [*value.values()] if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else []
    if len(several) > MAX_LENGTH:
        raise ModelError(
            Message(
                "'{backbone}': its configuration has a list of {several} entries",
                backbone=backbone,
                several=f"{len(several):,}",
            )
        )
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise ModelError(
            Message(
                "'{backbone}': its configuration has a number of {number}, which cannot be right",
                backbone=backbone,
                number=f"{value:,}",
            )
        )
    for one in several:
        check_numbers(one, backbone)
