"""AttnLRP: every rule of the paper written out with relevances in float64, the authors' library, and who is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import explorer
from explorer.attribution import METHODS, answer, attribute
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model

GAMMAS = {"gamma": 0.05, "gamma_conv": 0.25}
EPSILON = {"gamma": 0.0, "gamma_conv": 0.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "query and key normalised, layer scale": {"qk_norm": True, "init_values": 0.5},
    "mean of all patches": {"class_token": False, "global_pool": "avg"},
}


def _model(name: str = "test_vit", size: tuple[int, int] = (32, 48), **options: Any) -> Model:
    spec = explorer.ModelSpec(name, "random", options=tuple(sorted(options.items())), input_size=size, seed=3)
    model = load(spec, "cpu")
    for number, one in enumerate(model.module.parameters()):  # timm begins with even attention and without biases
        std = 0.5 * one.shape[-1] ** -0.5 if one.dim() > 1 else 0.1
        noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(number)) * std
        one.data = one.data + noise
    return model


class Ledger:
    """Relevance from the output down, layer by layer, by the formulas; what constants keep is summed up."""

    def __init__(self) -> None:
        self.kept = torch.zeros((), dtype=torch.float64)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None, relevance: Tensor, gamma: float) -> Tensor:
        parts = x[..., None, :] * weight  # (..., out, in)
        own = torch.zeros_like(weight[:, 0]) if bias is None else bias
        sign = (parts.sum(-1) + own).sign()
        parts = parts + gamma * torch.where(parts.sign() == sign[..., None], parts, 0.0)
        own = own + gamma * torch.where(own.sign() == sign, own, 0.0)
        ratio = relevance / (parts.sum(-1) + own)
        self.kept += (ratio * own).sum()
        return (parts * ratio[..., None]).sum(-2)

    def add(self, a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        ratio = relevance / (a + b)
        return a * ratio, b * ratio

    def constant(self, x: Tensor, added: Tensor, relevance: Tensor) -> Tensor:
        down, kept = self.add(x, added.expand_as(x), relevance)
        self.kept += kept.sum()
        return down

    def product(self, a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """Of a @ b."""
        ratio = relevance / (a @ b)
        return a * (ratio @ b.transpose(-1, -2)) / 2, b * (a.transpose(-1, -2) @ ratio) / 2

    def softmax(self, x: Tensor, relevance: Tensor) -> Tensor:
        down = x * (relevance - x.softmax(-1) * relevance.sum(-1, keepdim=True))
        self.kept += relevance.sum() - down.sum()
        return down

    def norm(self, layer: nn.LayerNorm, x: Tensor, relevance: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (x.var(-1, correction=0, keepdim=True) + layer.eps).sqrt() * layer.weight
        down = self.constant(scaled, layer.bias, relevance)
        matrix = torch.eye(x.shape[-1], dtype=x.dtype) - 1 / x.shape[-1]
        return self.linear(x, matrix, None, down, 0.0)


def by_hand(network: Any, x: Tensor, target: int, gamma: float, gamma_conv: float) -> tuple[Tensor, Tensor, Tensor]:
    """Relevance of each pixel (H, W), the target's logit and what constants and softmax kept, of timm's ViT."""
    ledger = Ledger()
    size = network.patch_embed.patch_size[0]
    rows, columns = x.shape[-2] // size, x.shape[-1] // size
    patches = F.unfold(x, size, stride=size)[0].T
    conv = network.patch_embed.proj
    kernel = conv.weight.flatten(1)
    embedded = patches @ kernel.T + conv.bias
    prefix = 0 if network.cls_token is None else 1
    whole = embedded if not prefix else torch.cat([network.cls_token[0], embedded])
    tokens = whole + network.pos_embed[0]
    kept: list[tuple[Any, ...]] = []
    for block in network.blocks:
        attn, mlp = block.attn, block.mlp
        normed = block.norm1(tokens)
        heads = attn.num_heads
        parts = attn.qkv(normed).unflatten(-1, (3, heads, -1)).permute(1, 2, 0, 3)  # (3, heads, tokens, width)
        query, key = attn.q_norm(parts[0]), attn.k_norm(parts[1])
        scores = query @ key.transpose(-1, -2) * attn.scale
        mixed = (scores.softmax(-1) @ parts[2]).transpose(0, 1).flatten(1)
        change = block.ls1(attn.proj(mixed))
        middle = tokens + change
        hidden = mlp.fc1(block.norm2(middle))
        more = block.ls2(mlp.fc2(mlp.act(hidden)))
        kept.append((block, tokens, normed, parts, query, key, scores, mixed, change, middle, hidden, more))
        tokens = middle + more
    by_class = network.global_pool == "token"
    seen = network.norm(tokens)[0] if by_class else tokens.mean(0)
    read = seen if by_class else network.fc_norm(seen)
    logit = network.head(read)[target]

    start = torch.zeros_like(network.head.bias)
    start[target] = logit
    down = ledger.linear(read, network.head.weight, network.head.bias, start, gamma)
    relevance = torch.zeros_like(tokens)
    if by_class:
        relevance[0] = ledger.norm(network.norm, tokens[0], down)
    else:
        down = ledger.norm(network.fc_norm, seen, down)
        relevance = tokens / len(tokens) * down / seen
    for block, before, normed, parts, query, key, scores, mixed, change, middle, hidden, more in reversed(kept):
        attn, mlp = block.attn, block.mlp
        relevance, of_mlp = ledger.add(middle, more, relevance)
        of_mlp = ledger.linear(mlp.act(hidden), mlp.fc2.weight, mlp.fc2.bias, of_mlp, gamma)
        of_mlp = ledger.linear(block.norm2(middle), mlp.fc1.weight, mlp.fc1.bias, of_mlp, gamma)
        relevance = relevance + ledger.norm(block.norm2, middle, of_mlp)
        relevance, of_attn = ledger.add(before, change, relevance)
        of_attn = ledger.linear(mixed, attn.proj.weight, attn.proj.bias, of_attn, 0.0)
        of_attn = of_attn.unflatten(-1, (attn.num_heads, -1)).transpose(0, 1)
        of_weights, of_value = ledger.product(scores.softmax(-1), parts[2], of_attn)
        of_query, of_key = ledger.product(query, key.transpose(-1, -2), ledger.softmax(scores, of_weights))
        of_key = of_key.transpose(-1, -2)
        if not isinstance(attn.q_norm, nn.Identity):
            of_query, of_key = ledger.norm(attn.q_norm, parts[0], of_query), ledger.norm(attn.k_norm, parts[1], of_key)
        of_qkv = torch.stack([of_query, of_key, of_value]).permute(2, 0, 1, 3).flatten(1)
        relevance = relevance + ledger.norm(
            block.norm1, before, ledger.linear(normed, attn.qkv.weight, attn.qkv.bias, of_qkv, 0.0)
        )
    relevance = ledger.constant(whole, network.pos_embed[0], relevance)
    ledger.kept += relevance[:prefix].sum()
    pixels = ledger.linear(patches, kernel, conv.bias, relevance[prefix:], gamma_conv)
    found = pixels.view(rows, columns, 3, size, size).sum(2).permute(0, 2, 1, 3).reshape(rows * size, columns * size)
    return found, logit, ledger.kept


def _pictures(model: Model, count: int = 1) -> Tensor:
    return torch.rand(count, 3, *model.input_size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("gammas", [GAMMAS, EPSILON], ids=["gamma", "epsilon"])
@pytest.mark.parametrize("options", OPTIONS)
def test_it_is_the_papers_rules_written_out(options: str, gammas: dict[str, float], fused: bool) -> None:
    model = _model(depth=2, **OPTIONS[options])
    network: Any = model.module
    for block in network.blocks:
        block.attn.fused_attn = fused
    x01 = _pictures(model)
    found = attribute(model, x01, "attnlrp", 5, **gammas).values.double()
    network.double()
    expected, logit, kept = by_hand(network, model.normalise(x01).double(), 5, **gammas)
    scale = float(expected.abs().max())
    assert scale > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * scale)
    # Nothing is lost or made: the logit is what reaches the pixels and what constants keep.
    torch.testing.assert_close(expected.sum() + kept, logit, rtol=1e-9, atol=1e-9)


def test_without_constants_the_map_sums_to_the_logit() -> None:
    """Attention sees one token each, so that its softmax is a constant of a single number, and has no part."""

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 8, 8, bias=False)
            self.norm = nn.LayerNorm(8, bias=False)
            self.gate, self.up, self.down = (nn.Linear(8, 8, bias=False) for _ in range(3))
            self.head = nn.Linear(8, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            inside = self.norm(x)
            x = x + self.down(F.silu(self.gate(inside)) * self.up(inside)) + (x @ x.transpose(1, 2)) @ x
            return self.head(x.mean(1))

    torch.manual_seed(0)
    network = Mixer().eval().requires_grad_(False)
    from explorer.attribution.relevance import Rules

    x = torch.randn(2, 3, 16, 16, requires_grad=True)
    for gamma in (0.0, 0.3):
        with Rules(gamma=gamma, gamma_conv=gamma) as rules:
            logits = network(x)
        assert not rules.unknown
        torch.testing.assert_close(logits, network(x), rtol=0, atol=0)
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), x)
        torch.testing.assert_close((x * gradient).sum((1, 2, 3)), logits[:, 1], rtol=1e-4, atol=1e-5)


def with_lxt(network: Any, x: Tensor, target: int) -> Tensor:
    """Relevance of each pixel (H, W), timm's ViT put together from the authors' operations."""
    lf, rules = pytest.importorskip("lxt.explicit.functional"), pytest.importorskip("lxt.explicit.rules")
    tiny = 1e-12

    def linear(layer: nn.Linear, value: Tensor) -> Tensor:
        return lf.linear_epsilon(value, layer.weight, layer.bias, tiny)  # type: ignore[no-any-return]

    def norm(layer: nn.LayerNorm, value: Tensor) -> Tensor:
        # Its wrapper leaves no place for epsilon.
        return lf.layer_norm_grad_fn.apply(value, layer.weight, layer.bias, layer.eps, tiny)  # type: ignore[no-any-return]

    size = network.patch_embed.patch_size[0]
    patches = F.unfold(x, size, stride=size)[0].T.clone().requires_grad_()
    conv = network.patch_embed.proj
    embedded = lf.linear_epsilon(patches, conv.weight.flatten(1), conv.bias, tiny)
    tokens = lf.add2(torch.cat([network.cls_token[0], embedded]), network.pos_embed[0], False, tiny)
    for block in network.blocks:
        attn, mlp = block.attn, block.mlp
        query, key, value = (
            linear(attn.qkv, norm(block.norm1, tokens)).unflatten(-1, (3, attn.num_heads, -1)).permute(1, 2, 0, 3)
        )
        scores = lf.matmul(query, key.transpose(-1, -2), False, tiny)
        # A product with a constant hands on relevance whole, which is no gradient in this form.
        weights = lf.softmax(rules.identity(partial(torch.mul, other=attn.scale), scores), -1)
        mixed = lf.matmul(weights, value, False, tiny).transpose(0, 1).flatten(1)
        tokens = lf.add2(tokens, linear(attn.proj, mixed), False, tiny)
        hidden = rules.identity(mlp.act, linear(mlp.fc1, norm(block.norm2, tokens)))
        tokens = lf.add2(tokens, linear(mlp.fc2, hidden), False, tiny)
    logits = linear(network.head, norm(network.norm, tokens)[0])
    (relevance,) = torch.autograd.grad(logits[target], patches, logits[target].detach())
    rows, columns = x.shape[-2] // size, x.shape[-1] // size
    pixels = relevance.view(rows, columns, 3, size, size).sum(2)
    return pixels.permute(0, 2, 1, 3).reshape(rows * size, columns * size)


def test_it_is_what_the_authors_library_finds() -> None:
    model = _model(depth=3)
    x01 = _pictures(model)
    found = attribute(model, x01, "attnlrp", 5, **EPSILON).values.double()
    model.module.double()
    expected = with_lxt(model.module, model.normalise(x01).double(), 5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_a_batch_is_its_pictures_one_by_one() -> None:
    model = _model(depth=2)
    pictures = _pictures(model, 2)
    both = answer(model, pictures, target=3, method="attnlrp").attributions
    assert both is not None
    for picture, one in zip(pictures, both):
        alone = attribute(model, picture[None], "attnlrp", 3)
        torch.testing.assert_close(one.values, alone.values, rtol=1e-3, atol=1e-5 * float(alone.values.abs().max()))


class Layer(nn.Module):
    """A block with `nn.MultiheadAttention`, whose operations torch hides, or with the same written out."""

    def __init__(self, written_out: bool, weights: bool) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm, self.written_out, self.weights = nn.LayerNorm(16), written_out, weights

    def forward(self, x: Tensor) -> Tensor:
        inside = self.norm(x)
        if not self.written_out:
            return x + self.attn(inside, inside, inside, need_weights=self.weights)[0]
        qkv = F.linear(inside, self.attn.in_proj_weight, self.attn.in_proj_bias)
        query, key, value = qkv.unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) / 8**0.5).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        return x + F.linear(mixed, self.attn.out_proj.weight, self.attn.out_proj.bias)


class Small(nn.Module):
    def __init__(self, layer: Callable[[], nn.Module], act: nn.Module) -> None:
        super().__init__()
        self.patches, self.act, self.head = nn.Conv2d(3, 16, 8, 8), act, nn.Linear(16, 5)
        self.layers = nn.Sequential(layer(), layer())

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.act(self.patches(x)).flatten(2).transpose(1, 2)
        return self.head(self.layers(tokens).mean(1))


def _wrapped(layer: Callable[[], nn.Module], act: nn.Module | None = None) -> Model:
    torch.manual_seed(0)
    network = Small(layer, act or nn.Identity()).eval()
    return explorer.wrap(network, input_size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("weights", [True, False])
def test_attention_that_torch_hides_is_followed_as_if_written_out(weights: bool) -> None:
    hidden, written = _wrapped(lambda: Layer(False, weights)), _wrapped(lambda: Layer(True, weights))
    x01 = _pictures(hidden)
    found, expected = (attribute(one, x01, "attnlrp", 2, gamma=0.0).values for one in (hidden, written))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("lab/conv", "runs no attention"),
        ("lab/mhsa", "batch normalisation"),
        ("random/test_resnet", "runs no attention"),
    ],
)
def test_networks_of_other_kinds_are_refused(spec: str, reason: str) -> None:
    model = load(spec, "cpu")
    assert reason in (METHODS["attnlrp"].unavailable(model) or "")
    with pytest.raises(MethodError, match="cannot serve"):
        attribute(model, explorer.samples()["cat"], "attnlrp")


def test_an_operation_without_a_rule_is_named_with_its_module() -> None:
    model = _wrapped(lambda: Layer(True, False), nn.Sigmoid())
    assert METHODS["attnlrp"].unavailable(model) == "the network itself runs sigmoid, for which AttnLRP has no rule"
