"""Maps that are right, known in advance for a linear model; curves, squares and hits by naive loops and by captum."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import captum.metrics
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import explorer
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes.erasing import (
    NEAR,
    area,
    centre_map,
    edge_map,
    erased,
    infidelity,
    points_at,
    random_map,
    random_squares,
    ranks_of,
)

SIDE = 24
GREY = [
    (torch.rand(SIDE, SIDE, 1, generator=torch.Generator().manual_seed(n)) * 255).byte().expand(-1, -1, 3).numpy()
    for n in range(4)
]


class Linear(nn.Module):
    """Logits that are sums over pixels, the same weights for all three channels."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(5)
        self.weight = nn.Parameter(scale * torch.randn(3, SIDE, SIDE, generator=chance), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bchw,khw->bk", x, self.weight)


def linear(scale: float = 0.05) -> Model:
    made = load(ModelSpec("test_resnet", "random", input_size=(SIDE, SIDE)), "cpu")
    grey = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    return dataclasses.replace(made, module=Linear(scale).eval(), stages=(), num_classes=3, labels=(), **grey)


def contributions(model: Model) -> list[np.ndarray]:
    """What every pixel adds to the first choice's logit, picture by picture."""
    out = []
    weight = model.module.weight.numpy()  # type: ignore[union-attr,operator]
    for picture in GREY:
        x = (model.preprocess(Image.fromarray(picture))[0, 0].double().numpy() - 0.5) / 0.5
        best = max(range(3), key=lambda k, x=x: float((weight[k] * x).sum()))
        out.append(3 * weight[best] * x)
    return out


@pytest.fixture(scope="module")
def of_linear() -> tuple[Model, Any]:
    model = linear()
    return model, explorer.probe("faithfulness", model, GREY, method="input_x_gradient", steps=8, samples=12)


def value(found: Any, measure: str, map_: str = "input_x_gradient") -> dict[str, Any]:
    (one,) = found.of(found.models[0], measure=measure, map=map_)
    return dict(one)


# ---- known answers --------------------------------------------------------------------------------------------------


def test_the_area_of_the_true_weights_is_the_sum_of_what_is_left(of_linear: tuple[Model, Any]) -> None:
    model, found = of_linear
    areas = []
    for own in contributions(model):
        left = sorted(own.ravel().tolist(), reverse=True)
        curve = [sum(left[round(step * len(left) / 8) :]) for step in range(9)]
        areas.append(sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / 8)
    assert value(found, "deletion area of the logit")["value"] == pytest.approx(np.mean(areas), abs=1e-4)


def test_the_true_weights_beat_every_map_that_knows_nothing(of_linear: tuple[Model, Any]) -> None:
    _, found = of_linear
    for other in ("random", "middle", "edges"):
        assert value(found, "insertion minus deletion")["low"] > value(found, "insertion minus deletion", other)["high"]
        smaller, larger = (value(found, "deletion area of the logit", one) for one in ("input_x_gradient", other))
        assert smaller["high"] < larger["low"]
    above = value(found, "insertion minus deletion, above a random map")
    apart = (
        value(found, "insertion minus deletion")["value"] - value(found, "insertion minus deletion", "random")["value"]
    )
    assert above["value"] == pytest.approx(apart)


def test_the_true_weights_tell_what_every_square_takes(of_linear: tuple[Model, Any]) -> None:
    _, found = of_linear
    assert value(found, "infidelity")["value"] == pytest.approx(0, abs=1e-9)
    for other in ("random", "middle", "edges"):
        assert 0.2 < value(found, "infidelity", other)["value"] <= 1


def test_maps_that_ignore_the_picture_are_not_sensitive(of_linear: tuple[Model, Any]) -> None:
    _, found = of_linear
    assert value(found, "max-sensitivity", "random")["value"] == 0
    assert value(found, "max-sensitivity", "middle")["value"] == 0
    # the map is the weights times the picture, which moves by 0.02 of 1 at most
    assert 0 < value(found, "max-sensitivity")["value"] < 0.2


def test_curves_begin_and_end_where_nothing_and_all_is_replaced(of_linear: tuple[Model, Any]) -> None:
    model, found = of_linear
    for one in ("input_x_gradient", "random", "middle", "edges"):
        deleted, inserted = (
            found.of(str(model.spec), measure=measure, map=one) for measure in ("p after deletion", "p after insertion")
        )
        assert [row["share"] for row in deleted] == [step / 8 for step in range(9)]
        assert deleted[-1]["value"] == pytest.approx(1 / 3, abs=1e-5)  # the mean colour, where all logits are 0
        assert deleted[0]["value"] == pytest.approx(inserted[-1]["value"], abs=1e-6)


def test_a_map_without_order_gives_no_number() -> None:
    with pytest.raises(MethodError, match="same everywhere"):
        explorer.probe("faithfulness", linear(0.0), GREY, method="input_x_gradient")
    with pytest.raises(MethodError, match="Grad-CAM"):
        explorer.probe("faithfulness", linear(), GREY)


def test_maps_of_a_network_stand_beside_those_that_know_nothing() -> None:
    found = explorer.probe("faithfulness", "lab/mhsa", 6, device="cpu", steps=4, samples=2)
    assert {one["map"] for one in found.rows} == {"gradcam", "attention", "random", "middle", "edges"}
    assert all(one["undefined"] == 0 for one in found.rows)
    assert value(found, "pointing game", "attention")["n"] == 6
    assert (
        value(found, "energy on the object", "gradcam")["value"]
        > value(found, "energy on the object", "random")["value"]
    )


# ---- by loops, and by captum ----------------------------------------------------------------------------------------


def test_pixels_are_replaced_in_the_order_of_the_map() -> None:
    chance = torch.Generator().manual_seed(0)
    image, other = torch.rand(2, 3, 6, 5, generator=chance)
    values = torch.rand(6, 5, generator=chance)
    made = erased(image, ranks_of(values), torch.tensor([0.0, 0.2, 0.5, 1.0]), other)
    order = sorted(((float(values[y, x]), y, x) for y in range(6) for x in range(5)), reverse=True)
    for picture, count in zip(made, (0, 6, 15, 30)):
        expected = image.clone()
        for _, y, x in order[:count]:
            expected[:, y, x] = other[:, y, x]
        assert torch.equal(picture, expected)


def test_areas_are_trapezoids() -> None:
    curve = torch.rand(2, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert area(curve).numpy() == pytest.approx(np.trapezoid(curve.numpy(), dx=1 / 6, axis=1))
    assert float(area(torch.ones(5))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_infidelity_is_captums_over_the_mean_squared_loss(seed: int) -> None:
    model = linear()
    chance = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 3, SIDE, SIDE, generator=chance)
    values = torch.rand(SIDE, SIDE, generator=chance)
    squares = random_squares(10, (SIDE, SIDE), seed)
    without = x * (1 - squares[:, None]) + 0.5 * squares[:, None]

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        return squares[:, None].expand_as(inputs), without

    with torch.no_grad():
        lost = (model.logits(x) - model.logits(without))[:, 1].double()
    theirs = captum.metrics.infidelity(
        model.logits,
        perturb,
        x,
        (values / 3).expand(1, 3, -1, -1),
        target=1,
        n_perturb_samples=10,
        normalize=True,
    )
    assert infidelity(values, squares, lost) == pytest.approx(float(theirs) / float(lost.square().mean()), rel=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_hits_are_near_the_object(seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    values = torch.rand(48, 48, generator=chance)
    mask = torch.zeros(48, 48, dtype=torch.bool)
    y0, x0 = torch.randint(0, 40, (2,), generator=chance).tolist()
    mask[y0 : y0 + 8, x0 : x0 + 8] = True
    best, at = max((float(values[y, x]), (y, x)) for y in range(48) for x in range(48))
    assert best > 0
    near = min(math.dist(at, (y, x)) for y in range(48) for x in range(48) if mask[y, x]) <= NEAR * 48
    assert points_at(values, mask) == near


def test_maps_that_know_nothing_are_what_they_say() -> None:
    middle = centre_map((7, 7), (224, 224))
    assert int(middle.argmax()) == 24
    assert torch.allclose(middle, middle.flip(0))
    assert torch.allclose(middle, middle.T)
    assert float(middle[3, 3 + 2] / middle[3, 3]) == pytest.approx(math.exp(-0.5 * (64 / 56) ** 2))
    assert torch.equal(random_map((3, 4), 1), random_map((3, 4), 1))
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 16:] = 1
    edges = edge_map(picture, (4, 4))[0]
    assert torch.equal(edges[:, 0], torch.zeros(4))
    assert (edges[:, 1] > 0).all()
    squares = random_squares(50, (32, 24), 0)
    assert squares.sum((1, 2)).unique().tolist() == [36]
