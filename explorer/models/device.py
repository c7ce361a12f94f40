"""Where models run."""

from __future__ import annotations

import torch

from explorer.errors import ParameterError


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the memory did not suffice; CUDA has a class for it, of MPS and the CPU it is only said."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "can't allocate memory" in said


def choose_device(name: str | None = None) -> torch.device:
    """Return the device asked for, or the best there is: CUDA, else MPS, else CPU. Raises ParameterError."""
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ParameterError(f"unknown device '{name}'; write cpu, cuda, cuda:1, mps or auto") from None
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise ParameterError(
                f"device '{name}' is not there; this machine has {torch.cuda.device_count()} CUDA GPUs"
            )
        return device if device.index is not None else torch.device("cuda", torch.cuda.current_device())
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ParameterError("device 'mps' is not there; it needs an Apple GPU")
    if device.type not in ("cpu", "mps"):
        raise ParameterError(f"device '{name}' is not supported; write cpu, cuda, mps or auto")
    return device
