"""Apple GPUs have no float64: every float64 is made on the CPU. A stand-in for such a device refuses it here."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

import explorer
from explorer import scenes
from explorer.attention import rollout
from explorer.attention.mass import mass_ratio
from explorer.attribution import METHODS
from explorer.comparison.compare import compare
from explorer.errors import MethodError
from explorer.lab import experiment, fit_data, fitting, tasks, training
from explorer.lab.networks import LabModel
from explorer.lessons import claims
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes import PROBES, steps
from explorer.transforms import Transform

#: The stand-in: the CPU by another name. PyTorch gives its tensors the device "cpu", so that the two can be told apart.
DEVICE = torch.device("cpu", 0)
_DOUBLE = (torch.float64, torch.complex128)
#: What may take tensors of the CPU and of the device: copies, and indices, which a device takes from the CPU.
_MIXING = ("copy", "index", "_to_copy", "set_")


class NoFloat64(contextlib.ExitStack):
    """While entered, what is moved to `DEVICE` and what is computed from it lies on a device that has no float64.

    Like such a device it refuses numpy and arithmetic with tensors on the CPU; ``.cpu()`` brings a tensor back.
    """

    def __enter__(self) -> NoFloat64:
        self._stored: dict[int, StorageWeakRef] = {}
        super().__enter__()
        self.enter_context(_Kernels(self))
        self.enter_context(_Calls(self))
        return self

    def has(self, value: Any) -> bool:
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            return False
        # The weak reference keeps the address from being given to another storage.
        return value.untyped_storage()._cdata in self._stored

    def keep(self, value: Tensor) -> Tensor:
        if value.dtype in _DOUBLE:
            raise TypeError("the device has no float64")
        storage = value.untyped_storage()
        self._stored.setdefault(storage._cdata, StorageWeakRef(storage))
        if len(self._stored) > 20_000:
            self._stored = {at: ref for at, ref in self._stored.items() if not ref.expired()}
        return value


class _Kernels(TorchDispatchMode):
    """What is computed from tensors on the device lies on the device."""

    def __init__(self, stand_in: NoFloat64) -> None:
        super().__init__()
        self.stand_in = stand_in

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [one for one in given if self.stand_in.has(one)]
        away = [one for one in given if one.ndim and not self.stand_in.has(one)]
        name = func.overloadpacket.__name__
        # In a backward pass no `_Calls` tells where a tensor lies.
        known = torch._C._current_graph_task_id() == -1
        if known and here and away and not any(word in name for word in _MIXING):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device")
        before = {one.untyped_storage()._cdata for one in given}
        out = func(*args, **kwargs)
        if here or _is_device(kwargs.get("device")):
            for one in tree_leaves(out):
                if isinstance(one, Tensor) and one.untyped_storage()._cdata not in before:
                    self.stand_in.keep(one)
        return out


class _Calls(TorchFunctionMode):
    """Moves to and from the device, which to PyTorch are none."""

    def __init__(self, stand_in: NoFloat64) -> None:
        super().__init__()
        self.stand_in = stand_in

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else None
        here = self.stand_in.has(first)
        if func == Tensor.device.__get__ and here:
            return DEVICE
        if func in (Tensor.numpy, Tensor.__array__) and here:
            raise TypeError("a tensor on the device cannot become a numpy array; use .cpu() first")
        if func is Tensor.cpu and here:
            return _copied_home(first)
        if func is Tensor.to:
            where = _target(args[1:], kwargs)
            if isinstance(where, Tensor):
                where = DEVICE if self.stand_in.has(where) else torch.device("cpu")
            if where is not None and _is_device(where) and not here:
                moved = func(*args, **kwargs)
                return self.stand_in.keep(moved if moved is not first else first.clone())
            if where is not None and not _is_device(where) and here:
                return _copied_home(func(*args, **kwargs))
        out = func(*args, **kwargs)
        if _is_device(kwargs.get("device")) or (func is Tensor.new_tensor and here):
            tree_map_only(Tensor, self.stand_in.keep, out)
        return out


def _is_device(where: Any) -> bool:
    return where is not None and torch.device(where) == DEVICE


def _target(args: Any, kwargs: Any) -> Any:
    given = [*args, kwargs.get("device"), kwargs.get("other")]
    return next((one for one in given if isinstance(one, (torch.device, str, Tensor))), None)


def _copied_home(value: Tensor) -> Tensor:
    """A copy on the CPU; made by a function whose outputs alias nothing and that no device tensor reaches."""
    return _Home.apply(value)


class _Home(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004 - signature of a Function
        home = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        return home.copy_(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return gradient.to(DEVICE)


SPECS = ("lab/mhsa", "random/test_resnet", "random/test_vit")
#: Parameters with which a probe or a method is quick.
QUICK: dict[str, dict[str, Any]] = {
    "translation": {"side": 3, "step": 2},
    "consistency": {"passes": 1},
    "patch-shuffle": {"draws": 1},
    "position": {"count": 4},
    "context": {"swaps": 1},
    "cost": {"sizes": "4,6,8,12,16", "widths": "8,16", "side": 4},
    "integrated_gradients": {"n_steps": 4},
    "smoothgrad": {"samples": 2},
}


@pytest.fixture
def device() -> Iterator[NoFloat64]:
    with NoFloat64() as stand_in:
        yield stand_in


@pytest.fixture(params=SPECS)
def model(device: NoFloat64, request: pytest.FixtureRequest) -> Model:
    found = load(request.param, str(DEVICE))
    assert all(device.has(one) for one in found.module.parameters())
    return found


@pytest.fixture
def lab(device: NoFloat64) -> Model:
    assert not device.has(torch.zeros(1))
    return load("lab/mhsa", str(DEVICE))


def picture(model: Model) -> Tensor:
    return torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))


@pytest.mark.usefixtures("device")
def test_the_stand_in_refuses_what_the_device_would() -> None:
    there, here = torch.ones(3).to(DEVICE), torch.ones(3, dtype=torch.float64)
    for make in (
        lambda: there.double(),
        lambda: there.to(torch.float64),
        lambda: (there + 1).sum(dtype=torch.float64),
        lambda: here.to(DEVICE),
        lambda: here.to(there.device),
        lambda: here[0] * there[0].double(),
        lambda: torch.zeros(3, dtype=torch.float64, device=DEVICE),
        lambda: torch.tensor([1.0], dtype=torch.float64, device=there.device),
        lambda: there.new_tensor([1.0], dtype=torch.float64),
        lambda: torch.zeros_like(there, dtype=torch.float64),
    ):
        with pytest.raises(TypeError, match="no float64"):
            make()
    with pytest.raises(RuntimeError, match="same device"):
        there * here
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(there)
    assert (there * here[0]).dtype == torch.float32  # a number of the CPU takes part as a number
    for back in (there.cpu(), there.to("cpu"), there.to(here.float()), there.to(here.device)):
        assert float((back.double() * here).sum()) == 3.0
        back.numpy()


@pytest.mark.usefixtures("device")
def test_gradients_pass_to_and_from_the_stand_in() -> None:
    there = torch.ones(3).to(DEVICE).requires_grad_()
    (there * 2).cpu().double().square().sum().backward()
    assert there.grad is not None
    assert there.grad.tolist() == [8.0] * 3


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_no_float64_on_the_device(model: Model, name: str) -> None:
    if METHODS[name].unavailable(model) is not None:
        pytest.skip(f"{name} cannot serve {model.spec}")
    assert explorer.attribute(model, picture(model), name, **QUICK.get(name, {})).values.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, QUICK.get(name, {})) for name in PROBES), *(("scale", {"remedy": one}) for one in ("pyramid", "fpn"))],
)
def test_a_probe_makes_no_float64_on_the_device(model: Model, name: str, options: dict[str, Any]) -> None:
    lab = model.spec.origin == "lab"
    if lab and name == "detection":
        model = load("lab/detect+c2f", str(DEVICE))
    shown = 2 if lab else [picture(model)[0].permute(1, 2, 0).mul(255).byte().numpy()]
    try:
        *_, last = steps(name, [model], shown if PROBES[name].looks else None, **options)
    except MethodError:
        assert not lab or options, "the laboratory's model is served by every probe"
        pytest.skip(f"{name} cannot serve {model.spec} and such pictures")
    assert last.rows


def test_maps_and_comparisons_make_no_float64_on_the_device(model: Model) -> None:
    x01 = picture(model)
    if model.architecture != "test_resnet":
        maps = explorer.capture(model, x01)
        assert maps
        if "vit" in model.architecture:
            assert rollout.rollout(maps).isfinite().all()
    compared = compare([model], x01[0], Transform(dx=8))
    assert explorer.tidy(compared)


@pytest.mark.usefixtures("device")
def test_lessons_and_masses_make_no_float64_on_the_device() -> None:
    values = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    mask = values > 0.5
    there = values.to(DEVICE)
    assert claims._correlation(there, 2 * there + 1, mask.to(DEVICE)) == pytest.approx(1.0)
    expected = float(values[mask].double().mean() / values.double().mean())
    for where in (mask, mask.to(DEVICE)):
        assert mass_ratio(there, where) == pytest.approx(expected, rel=1e-6)
    assert not math.isnan(expected)


def test_scenes_are_rendered_on_the_device_and_are_the_same(device: NoFloat64) -> None:
    drawn = scenes.draw(3, torch.arange(48))
    here, there = scenes.render(drawn), scenes.render(drawn, device=DEVICE)
    assert all(device.has(one) for one in there)
    assert not any(device.has(one) for one in here)
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one, other.cpu())


@pytest.mark.usefixtures("device")
def test_the_laboratory_trains_fits_and_measures_without_float64(
    lab: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "JUDGED", 24)
    short = training.Recipe(images=64, batch=32)
    record = training.train(LabModel("mhsa"), 0, tmp_path, short, DEVICE)
    assert 0 <= record["accuracy"]["in distribution"] <= 1
    assert tasks.TASKS["metaformer"].judge(lab.module, DEVICE)["in distribution"] > 0.5
    assert fit_data.of_scenes(lab, fitting.FitRecipe(scenes=24)).classes == scenes.CLASSES
    finder = load("lab/detect+c2f", str(DEVICE))
    for one in experiment.experiment(1):
        assert experiment.measure(finder if one.probe == "detection" else lab, one)
