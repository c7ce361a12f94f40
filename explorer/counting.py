"""Multiply-adds, counted as they happen."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class MultiplyAdds(TorchDispatchMode):
    """Counts the multiply-adds of what runs inside, by torch's own formulas.

    torch's FlopCounterMode hooks into the modules of every thread at once, and so into what others compute meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula = flop_registry.get(func._overloadpacket)
        if formula is None and func is not torch.ops.prim.device.default:
            with self:
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        found = func(*args, **(kwargs or {}))
        if formula is not None:
            self.count += formula(*args, **(kwargs or {}), out_val=found) // 2
        return found
