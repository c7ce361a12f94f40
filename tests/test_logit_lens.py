"""Logit lens against the weights of the classifier, by loops over places."""

from __future__ import annotations

import pytest
import torch

from explorer.attribution import METHODS, answer, attribute
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec


def vit(pool: str) -> Model:
    given = {"depth": 2, "global_pool": pool, "num_classes": 7, "fc_norm": False}
    spec = ModelSpec("vit_tiny_patch16_224", "random", options=tuple(sorted(given.items())), input_size=(64, 96))
    model = load(spec, "cpu")
    # timm leaves a new classifier near zero
    chance = torch.Generator().manual_seed(2)
    model.module.head.weight.data = torch.randn(model.module.head.weight.shape, generator=chance)  # type: ignore[union-attr,arg-type]
    return model


def picture(model: Model) -> torch.Tensor:
    return torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_of_a_vit_it_is_the_classifier_at_every_token(pool: str) -> None:
    model = vit(pool)
    x01 = picture(model)
    found = attribute(model, x01, "logit_lens", target=3).values
    assert found.shape == (4, 6)
    with torch.no_grad():
        tokens = model.module.forward_features(model.normalise(x01))[0, 1:]  # type: ignore[operator]
        weight, bias = model.module.head.weight[3], model.module.head.bias[3]  # type: ignore[union-attr,index]
        for place in range(24):
            expected = float(sum(a * b for a, b in zip(tokens[place].tolist(), weight.tolist())) + bias)
            assert float(found[place // 6, place % 6]) == pytest.approx(expected, abs=1e-3)
        if pool == "avg":
            assert float(found.mean()) == pytest.approx(float(model.logits(x01)[0, 3]), abs=1e-4)


def test_of_a_network_that_pools_the_mean_it_is_the_class_activation_map() -> None:
    model = load("random/resnet18", "cpu")
    x01 = picture(model)
    found = answer(model, torch.cat([x01, x01.flip(3)]), target=[5, 8], method="logit_lens")
    assert found.attributions is not None
    with torch.no_grad():
        features = model.module.forward_features(model.normalise(torch.cat([x01, x01.flip(3)])))  # type: ignore[operator]
        fc = model.module.fc
        for item, target in enumerate((5, 8)):
            expected = torch.einsum("c,chw->hw", fc.weight[target], features[item]) + fc.bias[target]  # type: ignore[union-attr,index]
            assert torch.allclose(found.attributions[item].values, expected, atol=1e-5)
            mean = float(found.attributions[item].values.mean())
            assert mean == pytest.approx(float(found.logits[item, target]), abs=1e-5)


def test_every_model_of_the_laboratory_is_served_or_told_why() -> None:
    for spec in ("lab/mhsa", "lab/conv", "lab/coord", "lab/detect+conv"):
        model = load(spec, "cpu")
        reason = METHODS["logit_lens"].unavailable(model)
        assert reason is None or str(reason).strip()
        if reason is None:
            assert attribute(model, picture(model), "logit_lens").values.any()
    assert METHODS["logit_lens"].unavailable(load("lab/mhsa", "cpu")) is None
