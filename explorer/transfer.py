"""From tensors to what others read: to the CPU together, as each transfer would wait for the device; or to JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

#: Bytes to which each storage is padded, so that numbers of any type may begin there.
_ALIGNED = 16


def to_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Bring tensors to the CPU, those of one device in one transfer; what is there already is returned as it is.

    Args:
        tensors: of any types, shapes and strides, without a graph. What shares memory there shares it here, and a view
            that is expanded stays one.
    """
    out = list(tensors)
    for device in {one.device for one in tensors} - {torch.device("cpu")}:
        places = [place for place, one in enumerate(tensors) if one.device == device]
        for place, one in zip(places, _fetched([tensors[place] for place in places])):
            out[place] = one
    return out


def _fetched(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies of one device's tensors on the CPU, by one transfer of all the memory they lie in."""
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage() for one in tensors}
    begins: dict[int, int] = {}
    parts, size = [], 0
    for pointer, storage in storages.items():
        raw = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        parts += [raw, raw.new_zeros(-len(raw) % _ALIGNED)]
        begins[pointer] = size
        size += len(raw) + len(parts[-1])
    everything = torch.cat(parts).cpu()
    out = []
    for one in tensors:
        begin = begins[one.untyped_storage().data_ptr()]
        numbers = everything[begin : begin + one.untyped_storage().nbytes()].view(one.dtype)
        out.append(numbers.as_strided(one.shape, one.stride(), numbers.storage_offset() + one.storage_offset()))
    return out


def plain(value: Any) -> Any:
    """Turn tensors, tuples and what JSON does not have (NaN) into what it has."""
    if hasattr(value, "detach"):
        return plain(value.detach().cpu().float().tolist())
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
