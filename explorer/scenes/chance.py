"""Random numbers that depend on (seed, index) alone, never on a generator's state: the same on a CPU and a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

#: 2^64 and 2^32 over the golden ratio, odd, as signed numbers: steps of the two counters.
_GOLDEN_64, _GOLDEN_32 = -7046029254386353131, -1640531527


def mix(x: Tensor) -> Tensor:
    """Scramble int64 numbers (the finaliser of splitmix64, Steele et al. 2014; products wrap)."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def hashed(keys: Tensor, count: int) -> Tensor:
    """Uniform numbers in [0, 1): (n,) int64 keys to (n, count) float64, both on the CPU."""
    counter = torch.arange(1, count + 1, dtype=torch.int64) * _GOLDEN_64
    return ((mix(keys[:, None] + counter) >> 11) & 0x1FFFFFFFFFFFFF).double() * 2.0**-53


def keys_of(seed: int, indices: Tensor) -> Tensor:
    """One int64 key for each scene: (n,) indices of a seed's stream."""
    start = mix(torch.tensor([seed], dtype=torch.int64) + 0x5EED)
    return mix(start + indices.long() * _GOLDEN_64)


def bits(keys: Tensor, count: int) -> Tensor:
    """Many random bits, for pixels: (n,) int64 keys to (n, count) int32, on the keys' device.

    A counter scrambled by lowbias32 (Wellons 2018). In 32 bits, as no CPU multiplies vectors of 64.
    """
    start = (mix(keys) >> 32).to(torch.int32)
    x = start[:, None] + torch.arange(count, dtype=torch.int32, device=keys.device) * _GOLDEN_32
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32), (16, 1)):
        x ^= (x >> shift).bitwise_and_((1 << (32 - shift)) - 1)
        if factor != 1:
            x *= factor
    return x
