"""Bring many tensors from a device to the CPU at once: each transfer by itself would wait for the device."""

from __future__ import annotations

from collections.abc import Sequence

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
