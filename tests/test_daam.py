"""DAAM: by hand in plain torch, from a network whose attention is written out, and where it is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import explorer
from explorer.attribution import METHODS, answer, attribute
from explorer.errors import MethodError, ParameterError
from explorer.models.loading import load
from explorer.models.model import Model


def _model(**options: Any) -> Model:
    spec = explorer.ModelSpec(
        "test_vit", "random", options=tuple(sorted({"depth": 3, **options}.items())), input_size=(64, 96), seed=3
    )
    model = load(spec, "cpu")
    for number, one in enumerate(model.module.modules()):
        if isinstance(one, nn.Linear):  # timm begins with nearly even attention and a head of nearly zero
            nn.init.normal_(one.weight, std=0.2, generator=torch.Generator().manual_seed(number))
    return model


def by_hand(network: Any, x: Tensor, target: int, blocks: int) -> Tensor:
    """The accumulated map (patches,): every patch's part of the class token's attention output, channel by channel."""
    tokens = network._pos_embed(network.patch_embed(x))
    prefix = tokens.shape[1] - network.patch_embed.num_patches
    parts, outputs = [], []
    for block in network.blocks:
        batch, count, width = tokens.shape
        heads = block.attn.num_heads
        qkv = block.attn.qkv(block.norm1(tokens)).reshape(batch, count, 3, heads, width // heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = block.attn.q_norm(query), block.attn.k_norm(key)
        weights = (query @ key.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1)
        each = (weights[:, :, 0, :, None] * value).transpose(1, 2).reshape(batch, count, width)
        output = (weights @ value).transpose(1, 2).reshape(batch, count, width)
        if not output.requires_grad:
            output = output.requires_grad_()
        torch.testing.assert_close(each.sum(1), output[:, 0])
        parts.append(each)
        outputs.append(output)
        tokens = tokens + block.ls1(block.attn.proj(output))
        tokens = tokens + block.ls2(block.mlp(block.norm2(tokens)))
    logit = network.head(network.norm(tokens)[:, 0])[0, target]
    slopes = torch.autograd.grad(logit, outputs)
    maps = [(slope[:, :1].clamp(min=0) * each).sum(-1)[0].clamp(min=0) for slope, each in zip(slopes, parts)]
    return torch.stack(maps[:blocks]).sum(0)[prefix:].detach()


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "init_values": 0.5}, {"reg_tokens": 2}])
@pytest.mark.parametrize("block", [1, 2, None])
def test_it_is_what_is_computed_by_hand(options: dict[str, Any], block: int | None) -> None:
    model = _model(**options)
    x01 = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    found = attribute(model, x01, "daam", 5, block=block)
    expected = by_hand(model.module, model.normalise(x01), 5, block or 3)
    assert found.values.shape == (4, 6)
    assert float(expected.max()) > 0
    torch.testing.assert_close(found.values.flatten(), expected, rtol=1e-3, atol=1e-5 * float(expected.max()))
    assert bool((found.values >= 0).all())


def test_blocks_add_up_and_targets_differ() -> None:
    model = _model()
    x01 = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    first, second, whole = (attribute(model, x01, "daam", 5, block=block).values for block in (1, 2, 3))
    assert bool((second >= first).all())
    assert torch.equal(whole, attribute(model, x01, "daam", 5).values)
    assert not torch.allclose(whole, attribute(model, x01, "daam", 6).values)
    with pytest.raises(ParameterError, match="blocks 1 to 3, block 4 asked for"):
        attribute(model, x01, "daam", 5, block=4)


def test_a_batch_is_its_pictures_one_by_one() -> None:
    model = _model()
    pictures = torch.rand(2, 3, *model.input_size, generator=torch.Generator().manual_seed(1))
    both = answer(model, pictures, target=3, method="daam").attributions
    assert both is not None
    for picture, one in zip(pictures, both):
        torch.testing.assert_close(one.values, attribute(model, picture[None], "daam", 3).values, rtol=1e-4, atol=1e-7)


def test_it_wants_a_class_token_and_values_that_can_be_read() -> None:
    without = _model(class_token=False, global_pool="avg")
    assert METHODS["daam"].unavailable(without) == "its answer is not read from a class token"
    bare = _model()
    network: Any = bare.module
    for block in network.blocks:
        block.attn.fused_attn = False
    assert "values of its attention" in (METHODS["daam"].unavailable(bare) or "")
    with pytest.raises(MethodError, match="cannot serve"):
        attribute(load("random/test_resnet", "cpu"), explorer.samples()["cat"], "daam")


def test_the_one_token_that_is_no_place_answers_whatever_it_is_called() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.qkv(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
            y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            return x + nn.functional.gelu(self.out(y))

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 16, 8, 8)
            self.c = nn.Parameter(torch.randn(1, 1, 16))
            self.blocks = nn.ModuleList([Block(), Block()])
            self.head = nn.Linear(16, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.c.expand(len(x), -1, -1), x], 1)
            for block in self.blocks:
                x = block(x)
            found: Tensor = self.head(x[:, 0])
            return found

    torch.manual_seed(0)
    net, x = Own(), torch.rand(1, 3, 64, 64)
    how = {"input_size": 64, "mean": [0.5] * 3, "std": [0.5] * 3}
    guessed = explorer.wrap(net, **how)
    told = explorer.wrap(net, layout={"prefix": ["class"], "grid": (8, 8)}, **how)
    for method in ("attention_rollout", "gradient_rollout", "daam"):
        one, other = (explorer.attribute(model, x, method, target=4) for model in (guessed, told))
        torch.testing.assert_close(torch.as_tensor(one.values), torch.as_tensor(other.values))
        assert "pools" not in one.note
