"""LeGrad: by hand in plain torch, without the explorer's recording, and where it is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import explorer
from explorer.attribution import METHODS, answer, attribute
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model

SMALL = (("depth", 3), ("embed_dim", 24), ("num_heads", 3))


def _model(name: str, **options: Any) -> Model:
    spec = explorer.ModelSpec(name, "random", options=tuple(sorted({**dict(SMALL), **options}.items())), seed=3)
    model = load(spec, "cpu")
    for number, one in enumerate(model.module.modules()):
        if isinstance(one, nn.Linear):  # timm begins with nearly even attention and a head of nearly zero
            nn.init.normal_(one.weight, std=0.3, generator=torch.Generator().manual_seed(number))
    return model


def by_hand(network: Any, x: Tensor, target: int, prefix: int) -> Tensor:
    """The mean over layers of the slopes, attention written out: (patches,)."""
    tokens = network.norm_pre(network._pos_embed(network.patch_embed(x)))
    total = torch.zeros(tokens.shape[1] - prefix)
    for block in network.blocks:
        normed = block.norm1(tokens)
        batch, count, width = normed.shape
        heads = block.attn.num_heads
        qkv = block.attn.qkv(normed).reshape(batch, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv
        weights = (query @ key.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1).detach().requires_grad_()
        mixed = (weights @ value).transpose(1, 2).reshape(batch, count, width)
        after = tokens + block.attn.proj(mixed)
        after = after + block.mlp(block.norm2(after))
        pooled = network.fc_norm(network.norm(after.mean(1)))
        (slope,) = torch.autograd.grad(network.head(pooled)[0, target], weights)
        total += slope.clamp(min=0).mean((0, 1, 2))[prefix:]
        tokens = after.detach()
    return total / len(network.blocks)


@pytest.mark.parametrize(
    ("name", "options", "prefix"),
    [
        ("vit_tiny_patch16_224", {}, 1),
        ("vit_tiny_patch16_224", {"global_pool": "avg"}, 1),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}, 0),
        ("vit_base_patch16_siglip_gap_224", {"num_classes": 7}, 0),
    ],
)
def test_it_is_what_is_computed_by_hand(name: str, options: dict[str, Any], prefix: int) -> None:
    model = _model(name, **options)
    x01 = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    found = attribute(model, x01, "legrad", None if model.headless else 5)
    expected = by_hand(model.module, model.normalise(x01), 5, prefix)
    assert found.values.shape == (14, 14)
    assert float(expected.max()) > 0
    torch.testing.assert_close(found.values.flatten(), expected, rtol=1e-3, atol=1e-5 * float(expected.max()))
    assert bool((found.values >= 0).all())


def test_a_batch_is_its_pictures_one_by_one() -> None:
    model = _model("vit_tiny_patch16_224")
    pictures = torch.rand(2, 3, *model.input_size, generator=torch.Generator().manual_seed(1))
    both = answer(model, pictures, target=3, method="legrad").attributions
    assert both is not None
    for picture, one in zip(pictures, both):
        alone = attribute(model, picture[None], "legrad", 3)
        torch.testing.assert_close(one.values, alone.values, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("spec", ["lab/conv", "random/test_resnet", "random/swin_tiny_patch4_window7_224"])
def test_networks_of_other_kinds_are_refused(spec: str) -> None:
    model = load(spec, "cpu")
    assert METHODS["legrad"].unavailable(model)
    with pytest.raises(MethodError, match="LeGrad cannot serve"):
        attribute(model, explorer.samples()["cat"], "legrad")
