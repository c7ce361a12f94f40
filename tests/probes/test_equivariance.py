"""Equivariance of features and Lie derivatives: exact cases, closed forms, convergence."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from explorer.errors import MethodError
from explorer.figures.sheet import Chart, Table
from explorer.images import read_image, samples
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.stages import find_stages
from explorer.probes import probe
from explorer.probes.derivative import PER, amount, displaced, lie_derivative
from explorer.probes.equivariance import DECIBELS, RELATIVE, Equivariance, carried, fourier_shift
from explorer.probes.lie_derivative import LieDerivative
from explorer.probes.result import ProbeResult
from explorer.scenes import CLASSES, Scene
from explorer.transforms import Transform

SIZE = 32


def wrapped(module: nn.Module, size: int = SIZE, labels: tuple[str, ...] = (), classes: int = 4) -> Model:
    """A network as the loader gives it; what it sees is not normalised."""
    module = module.requires_grad_(False).eval()
    return Model(
        spec=ModelSpec.parse("random/resnet18"),
        module=module,
        architecture="resnet18",
        input_size=(size, size),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        interpolation="bicubic",
        crop_pct=1.0,
        labels=labels,
        num_classes=classes,
        headless_reason="",
        stages=find_stages(module, torch.rand(1, 3, size, size))[0],
        device=torch.device("cpu"),
        state="random",
        inserted=None,
        inserted_state="random",
        transform=lambda picture: torch.from_numpy(np.array(picture)).permute(2, 0, 1),
        lock=threading.RLock(),
    )


class Net(nn.Module):
    """Named stages one after the other, then the mean over places and a linear head, as timm's networks."""

    def __init__(self, head: nn.Module, **stages: tuple[nn.Module, int, int]) -> None:
        super().__init__()
        self.stages = nn.ModuleDict({name: one for name, (one, _, _) in stages.items()})
        self.head = head
        self.feature_info = [
            {"module": f"stages.{name}", "num_chs": channels, "reduction": reduction}
            for name, (_, channels, reduction) in stages.items()
        ]

    def forward_features(self, x: Tensor) -> Tensor:
        for one in self.stages.values():
            x = one(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        pooled = x.mean((2, 3))
        return pooled if pre_logits else self.head(pooled)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def circular(labels: tuple[str, ...] = (), size: int = SIZE) -> Model:
    """A strided network whose padding goes round the frame."""
    with torch.random.fork_rng():
        torch.manual_seed(0)

        def layer(before: int, after: int, stride: int) -> nn.Module:
            conv = nn.Conv2d(before, after, 3, stride, 1, padding_mode="circular")
            return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())

        a, b = layer(3, 8, 2), layer(8, 12, 4)
        return wrapped(Net(nn.Linear(12, 4), a=(a, 8, 2), b=(b, 12, 8)), size, labels)


def patches(size: int = SIZE, patch: int = 4, labels: tuple[str, ...] = ()) -> Model:
    """Non-overlapping patches alone: no feature sees beyond its cell."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = nn.Conv2d(3, 6, patch, patch)
        return wrapped(Net(nn.Linear(6, 4), a=(one, 6, patch)), size, labels)


def noise(count: int = 2, size: int = SIZE, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def of(result: ProbeResult, measure: str, **where: Any) -> dict[float, float]:
    """Shift in strides -> value."""
    return {one["strides"]: one["value"] for one in result.of(result.models[0], measure=measure, **where)}


# ---- equivariance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("along", ["x", "y"])
def test_a_circular_network_is_equivariant_at_its_stride_and_not_below(along: str) -> None:
    result = probe("equivariance", circular(), noise(), along=along)
    for stage, stride in ((1, 2), (2, 8)):
        found = of(result, RELATIVE, stage=stage)
        assert set(found) == {1 / stride, 0.25 if stride == 8 else 0.5, 0.5, 1, 2}
        for strides, error in found.items():
            assert error < 1e-5 if strides >= 1 else error > 0.05, (stage, strides, error)
        for strides, decibels in of(result, DECIBELS, stage=stage).items():
            assert decibels > 100 if strides >= 1 else decibels < 40
    scores = {one.measure: one.value for one in result.summary.values()}
    assert scores["relative error at the stride"] == of(result, RELATIVE, stage=2)[1.0]
    assert scores["relative error at half the stride"] == of(result, RELATIVE, stage=2)[0.5]
    assert Equivariance.headline in scores


def test_tokens_of_a_vit_without_positions_roll_and_its_answers_stay() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for pool in ("token", "avg"):
            vit = VisionTransformer(
                img_size=SIZE, patch_size=8, depth=2, embed_dim=24, num_heads=2, num_classes=5, global_pool=pool
            )
            vit.pos_embed.data.zero_()
            model = wrapped(vit, classes=5)
            result = probe("equivariance", model, noise())
            for stage in (1, 2):
                found = of(result, RELATIVE, stage=stage)
                assert found[1.0] < 1e-5
                assert found[2.0] < 1e-5
                assert found[0.5] > 0.05
            x = torch.from_numpy(noise(1)[0]).permute(2, 0, 1)[None] / 255
            assert torch.allclose(model.logits(x.roll(8, -1)), model.logits(x), atol=1e-5)
            # With positions neither holds.
            vit.pos_embed.data.normal_()
            assert of(probe("equivariance", model, noise()), RELATIVE, stage=2)[1.0] > 0.05


def test_features_that_know_their_place_have_the_error_of_what_they_know() -> None:
    """Every stage adds its column's number: f(Tx) - T f(x) is known, and so are error and EQ-T."""

    class Ramp(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(x, 4) + torch.arange(8.0)

    model = wrapped(Net(nn.Linear(3, 4), a=(Ramp(), 3, 4)))
    (picture,) = noise(1)
    result = probe("equivariance", model, [picture], border="wrap")
    content = torch.nn.functional.avg_pool2d(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, 4)
    features = (content + torch.arange(8.0))[0].numpy()
    for cells in (1, 2):
        moved = np.roll(features, cells, -1)
        off = np.broadcast_to(np.arange(8.0) - np.roll(np.arange(8.0), cells), features.shape)
        assert of(result, RELATIVE)[cells] == pytest.approx(np.linalg.norm(off) / np.linalg.norm(moved), rel=1e-5)
        decibels = 20 * math.log10(features.max() - features.min()) - 10 * math.log10((off**2).mean())
        assert of(result, DECIBELS)[cells] == pytest.approx(decibels, rel=1e-5)
    # With a border only cells that show something of both count: there the ramp is off by as much as it moved.
    filled = probe("equivariance", model, [picture], border="zero")
    valid = np.roll(features, 2, -1)[:, :, 2:]
    assert of(filled, RELATIVE)[2] == pytest.approx(2 * math.sqrt(valid.size) / np.linalg.norm(valid), rel=1e-5)


@pytest.mark.parametrize("border", ["zero", "mean", "reflect"])
def test_what_comes_in_at_the_border_is_not_compared(border: str) -> None:
    result = probe("equivariance", patches(), noise(), border=border)
    found = of(result, RELATIVE)
    assert found[1.0] < 1e-6
    assert found[2.0] < 1e-6
    assert found[0.5] > 0.05
    assert {one["compared"] for one in result.rows} == {"valid cells"}


def test_features_are_carried_as_documented() -> None:
    features = torch.rand(3, 6, 8)
    out, valid = carried(features, 2, "x", wrap=True)
    assert torch.equal(out, features.roll(2, -1))
    assert valid.all()
    out, valid = carried(features, 1.25, "y", wrap=False)
    assert torch.allclose(out[:, 2:], 0.75 * features[:, 1:-1] + 0.25 * features[:, :-2])
    assert valid.sum(1).tolist() == [0, 0, 8, 8, 8, 8]
    out, valid = carried(features, 3, "x", wrap=False)
    assert torch.equal(out[..., 3:], features[..., :-3])
    assert valid.sum(0).tolist() == [0, 0, 0, 6, 6, 6, 6, 6]


@pytest.mark.parametrize("count", [16, 15])
def test_a_fourier_shift_moves_waves_exactly(count: int) -> None:
    place = torch.arange(count, dtype=torch.float64)
    for turns in range(1, (count - 1) // 2 + 1):
        wave = torch.cos(2 * math.pi * turns * place / count + 0.3).float()[:, None]
        expected = torch.cos(2 * math.pi * turns * (place - 0.37) / count + 0.3).float()[:, None]
        assert torch.allclose(fourier_shift(wave, 0.37, 0), expected, atol=1e-5)
    values = torch.rand(2, count)
    assert torch.allclose(fourier_shift(values, -3.0), values.roll(-3, -1), atol=1e-6)
    there = fourier_shift(fourier_shift(values, 0.4), -0.4)
    assert torch.allclose(there, values, atol=1e-6) == (count % 2 == 1)  # the sign of an even count's last is lost


def test_scenes_are_compared_on_their_object() -> None:
    """A stage that sees one pixel: the object's pixels move along exactly, the still background does not."""
    labels = CLASSES
    scenes = [Scene(label="square", noise=0.0, dx=0.01), Scene(label="heart", noise=0.0)]
    one = wrapped(Net(nn.Linear(3, 12), a=(nn.Conv2d(3, 3, 1), 3, 1)), 48, labels, 12)
    result = probe("equivariance", one, scenes)
    assert {row["compared"] for row in result.rows} == {"cells on the object"}
    assert {row["border"] for row in result.rows} == {"rendered anew"}
    for error in of(result, RELATIVE).values():
        assert error < 0.05  # half-covered pixels of the edge mix in the background
    # Objects that would leave the frame are not compared: a shift of 16 px is beyond the room of both.
    coarse = probe("equivariance", patches(48, 8, labels), scenes)
    assert set(of(coarse, RELATIVE)) == {1 / 8, 1 / 4, 1 / 2, 1}


def test_stages_without_a_place_are_refused_and_those_that_do_not_fit_left_out() -> None:
    with pytest.raises(MethodError, match="no stage"):
        probe("equivariance", wrapped(Net(nn.Linear(3, 4), a=(nn.Conv2d(3, 3, 1), 99, 1))), noise())
    with pytest.raises(MethodError, match="no stage"):
        probe("equivariance", patches(34), noise(size=34))  # eight cells of 34 px
    model = circular()
    probe("equivariance", model, noise())
    assert not any(one._forward_hooks for one in model.module.modules())


def test_equivariance_is_drawn_for_all_models() -> None:
    other = replace(circular(), spec=ModelSpec.parse("random/resnet34"))
    result = probe("equivariance", [circular(), other], noise())
    (section,) = Equivariance().sections(result)
    charts = [one for line in section.rows for one in line]
    assert len(charts) == 4
    assert all(isinstance(one, Chart) and one.title.startswith("Equivariance") for one in charts)
    assert len(charts[0].lines) == 2
    assert charts[0].lines[0].x == (0.125, 0.25, 0.5, 1.0, 2.0)
    assert charts[0].lines[0].low is not None


# ---- Lie derivative -------------------------------------------------------------------------------------------------

WIDTH, SIGMA, MIDDLE = 48, 5.0, (22.0, 27.0)


def blob() -> tuple[Tensor, Tensor, Tensor]:
    """A Gaussian (1, 1, 48, 48) and its derivatives to x and y, float64."""
    x, y = (torch.arange(WIDTH, dtype=torch.float64) + 0.5)[None, :], (torch.arange(WIDTH, dtype=torch.float64) + 0.5)
    y = y[:, None]
    values = torch.exp(-((x - MIDDLE[0]) ** 2 + (y - MIDDLE[1]) ** 2) / (2 * SIGMA**2))
    return values[None, None], -(x - MIDDLE[0]) / SIGMA**2 * values, -(y - MIDDLE[1]) / SIGMA**2 * values


def linear(outputs: int = 3) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A smooth linear map of pictures and its weights (outputs, 48, 48)."""
    x, y = torch.arange(WIDTH)[None, :] / WIDTH, torch.arange(WIDTH)[:, None] / WIDTH
    weights = torch.stack([torch.sin(2 * (k + 1) * x + k) * torch.cos((k + 1) * y - k) for k in range(outputs)])
    return lambda images: torch.einsum("bchw,khw->bk", images, weights.to(images.dtype)), weights.double()


def closed_form(group: str) -> Tensor:
    """d/dt of the linear map of the moved blob, by hand."""
    _, by_x, by_y = blob()
    x = (torch.arange(WIDTH, dtype=torch.float64) + 0.5 - WIDTH / 2)[None, :]
    y = (torch.arange(WIDTH, dtype=torch.float64) + 0.5 - WIDTH / 2)[:, None]
    # Every place moves with a velocity v; the picture changes by -v . grad. y points down: anticlockwise is (y, -x).
    change = {
        "translation x": -by_x,
        "translation y": -by_y,
        "scale": -(x * by_x + y * by_y),
        "rotation": -(y * by_x - x * by_y),
    }[group]
    return torch.einsum("hw,khw->k", change, linear()[1])


@pytest.mark.parametrize("scheme", ["fourier", "central"])
@pytest.mark.parametrize("group", list(PER))
def test_a_blob_under_a_linear_map_has_its_closed_form(group: Any, scheme: Any) -> None:
    found = lie_derivative(linear()[0], blob()[0].float(), group, 0.5, scheme)[0].double()
    expected = closed_form(group)
    assert (found - expected).norm() < 0.01 * expected.norm()


def test_the_central_difference_converges_with_the_square_of_the_step() -> None:
    expected = closed_form("translation x")
    errors = []
    for step in (4.0, 2.0, 1.0):
        found = lie_derivative(linear()[0], blob()[0], "translation x", step)[0]
        errors.append(float((found - expected).norm()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("group", list(PER))
def test_pictures_move_as_transforms_move_them(group: Any) -> None:
    image = blob()[0].float()
    by = amount(group, 2.0, WIDTH)
    field = {"translation x": "dx", "translation y": "dy", "scale": "zoom", "rotation": "angle"}[group]
    move = Transform(**{field: {"zoom": math.exp(by), "angle": math.degrees(by)}.get(field, 2.0)})
    for scheme in ("fourier", "central"):
        assert torch.allclose(displaced(image, group, 2.0, scheme), move.apply(image), atol=2e-3)
    assert (displaced(image, group, 2.0) - image).abs().max() > 0.02


def test_what_does_not_depend_on_the_picture_or_on_places_has_none() -> None:
    images = torch.rand(2, 3, 20, 20)
    for group in PER:
        still = lie_derivative(lambda x: torch.ones(len(x), 4), images, group)  # type: ignore[arg-type]
        assert still.shape == (2, 4)
        assert not still.any()
    for group in ("translation x", "translation y"):
        found = lie_derivative(lambda x: x.double().mean((2, 3)), images, group, 1.0)  # type: ignore[arg-type]
        assert found.abs().max() < 1e-6


def test_the_probe_reports_the_mean_over_outputs_in_both_units() -> None:
    """A head on one column of the picture: its derivative is the picture's own, by a Fourier sum."""

    class Column(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 5:6, 9:10]

    pictures = noise(3)
    head = nn.Linear(3, 4)
    model = wrapped(Net(head, a=(Column(), 3, 1)))
    result = probe("lie-derivative", model, pictures, step=0.02)
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double() / 255
    turns = 2j * math.pi * torch.fft.fftfreq(SIZE, 1 / SIZE, dtype=torch.float64) / SIZE
    turns[SIZE // 2] = 0  # the highest frequency has no sign
    slope = -torch.fft.ifft(torch.fft.fft(x, dim=-1) * turns, dim=-1).real[:, :, 5, 9]
    expected = float((slope @ head.weight.double().T).abs().mean())
    for one in result.rows:
        units = (SIZE - 1) / 2 if one["measure"] == "Lie derivative" else 1.0
        assert one["value"] == pytest.approx(expected * units, rel=2e-3)
        assert one["n"] == 3
        assert one["low"] < one["value"] < one["high"]
    assert sorted(one["step"] for one in result.rows) == [0.01, 0.01, 0.02, 0.02]
    (found,) = [one for one in result.summary.values() if one.measure == LieDerivative.headline]
    assert found.unit == "logits per px"
    (section,) = LieDerivative().sections(result)
    chart, table = section.rows[0]
    assert isinstance(chart, Chart)
    assert chart.lines[0].x == (0.01, 0.02)
    assert isinstance(table, Table)
    assert len(table.rows) == 4
    assert "nvariance" in section.heading


def test_a_circular_mean_is_invariant_and_its_features_are_not_equivariant_below_the_stride() -> None:
    """Two properties: a network without strides is invariant to whole and fractional shifts only if it is linear."""
    blur = nn.Conv2d(3, 5, 3, 1, 1, padding_mode="circular")
    model = wrapped(Net(nn.Linear(5, 4), a=(blur, 5, 1)))
    for output in ("logits", "probabilities", "pooled feature"):
        result = probe("lie-derivative", model, noise(), output=output, step=1.0)
        assert max(one["value"] for one in result.rows) < 1e-5
    assert min(one["value"] for one in probe("lie-derivative", circular(), noise()).rows) > 1e-4


def test_objects_of_scenes_are_rendered_at_fractions_of_a_pixel() -> None:
    """The object's centre of mass, as an output, moves by one pixel a pixel; by a scale it stays."""

    class Place(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    class Sum(nn.Module):
        def forward(self, pooled: Tensor) -> Tensor:
            return pooled.repeat(1, 4)

    model = wrapped(Net(Sum(), a=(Place(), 3, 1)), 48, CLASSES, 12)
    scene = Scene(label="square", noise=0.0)
    result = probe("lie-derivative", model, [scene], group="scale", step=1.0)
    rows = result.of(result.models[0], measure="Lie derivative", step=1.0)
    e = 1.0 / 24
    from explorer.scenes import Scenes, render

    a, b = (render(Scenes.of([Scene(label="square", noise=0.0, scale=math.exp(k * e))]), 48).images for k in (1, -1))
    expected = float(((a - b).mean((0, 2, 3)) / (2 * e)).abs().mean())
    assert rows[0]["value"] == pytest.approx(expected, rel=1e-4)
    assert rows[0]["scheme"] == "rendered anew"


def sampled(image: torch.Tensor, group: str, t: torch.Tensor) -> torch.Tensor:
    """Bilinear sampling as the literature's code does it, for automatic differentiation in t: (1, C, H, W)."""
    height, width = image.shape[-2:]
    one, zero = torch.ones_like(t), torch.zeros_like(t)
    theta = {
        "translation x": [[one, zero, -2 * t / (width - 1)], [zero, one, zero]],
        "scale": [[torch.exp(-t), zero, zero], [zero, torch.exp(-t), zero]],
        "rotation": [[torch.cos(t), -torch.sin(t), zero], [torch.sin(t), torch.cos(t), zero]],
    }[group]
    matrix = torch.stack([torch.stack(row) for row in theta])[None]
    grid = F.affine_grid(matrix, [1, 1, height, width], align_corners=True)
    x, y = ((grid[0, ..., 0] + 1) / 2) * (width - 1), ((grid[0, ..., 1] + 1) / 2) * (height - 1)
    left, top = torch.floor(x).detach(), torch.floor(y).detach()

    def pixel(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        return image[..., row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]

    right, below = x - left, y - top
    return (
        pixel(top, left) * (1 - right) * (1 - below)
        + pixel(top, left + 1) * right * (1 - below)
        + pixel(top + 1, left) * (1 - right) * below
        + pixel(top + 1, left + 1) * right * below
    )


@pytest.mark.parametrize("group", ["translation x", "scale", "rotation"])
@pytest.mark.parametrize("name", ["lab/conv", "lab/mhsa", "random/test_resnet", "random/test_vit"])
def test_one_sided_is_automatic_differentiation_through_bilinear_sampling(name: str, group: Any) -> None:
    """The slope that forward-mode differentiation gives at rest; the step along it is finite."""
    model = load(name, "cpu")
    image = model.preprocess(read_image(next(iter(samples().values()))).image)
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has no forward derivative
        _, slope = torch.func.jvp(
            lambda t: model.logits(sampled(image, group, t)), (torch.zeros(()),), (torch.ones(()),)
        )
    with torch.no_grad():
        found = lie_derivative(model.logits, image, group, 0.02, "one-sided")
    assert found.abs().mean().item() == pytest.approx(slope.abs().mean().item(), rel=0.15)
