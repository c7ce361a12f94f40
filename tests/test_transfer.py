"""An answer waits for its device once: tensors are brought to the CPU together, whatever they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from explorer.attention.layouts.weights import tensors_of
from explorer.attribution import explain
from explorer.comparison.compare import look, view
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.transfer import _fetched, to_cpu
from explorer.transforms import Transform

#: What makes the processor wait for a device, where its tensor lies there.
WAITS = {
    getattr(Tensor, name)
    for name in (
        *("cpu", "item", "tolist", "numpy", "nonzero", "unique", "masked_select", "allclose", "equal"),
        *("__bool__", "__float__", "__int__", "__index__", "__contains__"),
    )
} | {torch.nonzero, torch.unique, torch.equal, torch.allclose, torch.masked_select}


class Elsewhere(TorchFunctionMode):
    """Plays that tensors, and all that is computed from them, lie on a device, and notes who waits for it."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.fetched = 0
        self.there: Any = WeakTensorKeyDictionary()
        for one in tensors:
            self.there[one] = True

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        there = any(one in self.there for one in given)
        moved = func is Tensor.to and "cpu" in [one for one in tree_leaves((args[1:], kwargs)) if isinstance(one, str)]
        if there and (func in WAITS or moved):
            self.waits.append(func.__name__)
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out) if there else ():
            if isinstance(one, Tensor):
                self.there[one] = True
        return out

    def fetch(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """As `to_cpu`: copies that lie on the CPU."""
        self.fetched += 1
        copies = [one.clone() for one in tensors]
        for one in copies:
            self.there.pop(one, None)
        return copies


@pytest.mark.parametrize(
    "text",
    ["random/vit_tiny_patch16_224", "random/mobilenetv2_050", "random/resnet18+coord@2", "lab/mhsa", "lab/axial"],
)
def test_an_answer_is_one_transfer(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(text, "cpu")
    picture = torch.rand(1, 3, *model.input_size)
    method = "gradcam"
    expected = look(model, picture, Transform(dx=3.5), method)
    network = [*model.module.parameters(), *model.module.buffers()]
    elsewhere = Elsewhere([picture, model._mean, model._std, *network])
    monkeypatch.setattr(explain, "to_cpu", elsewhere.fetch)
    with elsewhere:
        found = look(model, picture, Transform(dx=3.5), method)
        assert elsewhere.fetched == 1
        # All that is drawn of it is made on the CPU.
        both = view(model, picture, Transform(dx=3.5), found, found, Point(9.0, 9.0))
        for one in both.maps:
            if one.grid is not None:
                one.rows(Point(9.0, 9.0) if one.per_query else None)
    assert elsewhere.waits == []
    assert elsewhere.fetched == 1
    assert found.prediction == expected.prediction
    assert torch.equal(found.image, expected.image)
    assert found.attribution is not None
    assert expected.attribution is not None
    assert torch.equal(found.attribution.values, expected.attribution.values)
    for got, wanted in zip(found.maps, expected.maps, strict=True):
        for a, b in zip(tensors_of(got.weights), tensors_of(wanted.weights), strict=True):
            assert torch.equal(a, b)


def test_one_who_waits_is_noticed() -> None:
    there = torch.rand(3)
    with Elsewhere([there]) as elsewhere:
        float(there.sum())
        (there * 2).cpu()
        (there > 0).any().item()
        torch.rand(3).tolist()
    assert elsewhere.waits == ["__float__", "cpu", "item"]


def test_what_is_brought_is_what_was_there() -> None:
    base = torch.arange(60, dtype=torch.float32)
    tensors = [
        base.view(3, 4, 5).transpose(0, 2)[1:],
        base[7:20:3],
        torch.tensor(True),
        torch.arange(5),
        torch.rand(1, 1, 3).expand(4, 2, 3),
        torch.rand(7).half(),
        torch.empty(0, 3),
        torch.rand(2, 2, dtype=torch.float64),
    ]
    brought = _fetched(tensors)
    for got, wanted in zip(brought, tensors, strict=True):
        assert got.dtype == wanted.dtype
        assert got.stride() == wanted.stride()
        assert torch.equal(got, wanted)
    assert brought[0].untyped_storage().data_ptr() != base.untyped_storage().data_ptr()
    assert to_cpu(tensors)[0] is tensors[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("text", ["random/vit_tiny_patch16_224", "random/mobilenetv2_050", "lab/axial"])
def test_an_answer_is_one_transfer_from_a_gpu(text: str) -> None:
    model = load(text, "cuda")
    picture = torch.rand(1, 3, *model.input_size)
    look(model, picture, Transform(dx=3.5), "gradcam")
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        look(model, picture, Transform(dx=3.5), "gradcam")
        torch.cuda.synchronize()
    assert sum(one.count for one in profile.key_averages() if "Memcpy DtoH" in one.key) == 1
