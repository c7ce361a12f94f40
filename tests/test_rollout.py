"""Rollout against explicit products of full matrices, taken from timm's own modules with fused attention off."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from explorer.attention import rollout as subject
from explorer.attention.maps import AttentionMap, Layout
from explorer.attribution import answer
from explorer.errors import MethodError, ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec

NARROW = (("depth", 4), ("embed_dim", 48), ("num_heads", 3))


def lively(model: Model) -> Model:
    """Larger random weights: with timm's initial ones attention is so uniform that a wrong row would look right."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.module.named_parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * (0.5 if "pos_embed" in name else 0.12)
    return model


@pytest.fixture(scope="module")
def vit() -> Model:
    return lively(load(ModelSpec.parse("random/vit_tiny_patch16_224", options=NARROW, input_size=(96, 64)), "cpu"))


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def maps_of(model: Model, x01: Tensor) -> tuple[AttentionMap, ...]:
    return answer(model, x01, method=None).maps


def explicit(model: Model, x01: Tensor, target: int) -> tuple[list[Tensor], list[Tensor]]:
    """Attention (B, h, N, N) of each block and the target's gradient with respect to it, without fused attention."""
    module = copy.deepcopy(model.module)
    kept: list[Tensor] = []

    def keep(_module: object, _args: object, out: Tensor) -> None:
        out.retain_grad()
        kept.append(out)

    for block in module.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(keep)
    logits = module(model.normalise(x01).requires_grad_())
    logits[:, target].sum().backward()
    return [one.detach() for one in kept], [one.grad for one in kept]  # type: ignore[misc]


def product(factors: list[Tensor]) -> Tensor:
    """Last layer on the left."""
    out = torch.eye(factors[0].shape[-1])
    for one in factors:
        out = one @ out
    return out


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_rollout_is_the_row_of_the_explicit_product(vit: Model, picture: Tensor, heads: str) -> None:
    matrices, _ = explicit(vit, picture, 0)
    reduce = {"mean": lambda a: a.mean(0), "max": lambda a: a.amax(0), "min": lambda a: a.amin(0)}[heads]
    maps = maps_of(vit, picture)
    for item in range(2):
        whole = product([0.5 * torch.eye(25) + 0.5 * reduce(one[item]) for one in matrices])
        ours = subject.rollout(maps, "class", item=item, heads=heads)
        assert ours.shape == (6, 4)
        torch.testing.assert_close(ours, whole[0, 1:].view(6, 4), atol=1e-6, rtol=1e-5)
        # Row 2, column 3 of the grid is the patch that holds pixel (x 55, y 40).
        torch.testing.assert_close(
            subject.rollout(maps, Point(55, 40), item=item, heads=heads),
            whole[1 + 2 * 4 + 3, 1:].view(6, 4),
            atol=1e-6,
            rtol=1e-5,
        )
        torch.testing.assert_close(
            subject.rollout(maps, None, item=item, heads=heads), whole[1:, 1:].mean(0).view(6, 4), atol=1e-6, rtol=1e-5
        )


def test_the_residual_is_a_parameter(vit: Model, picture: Tensor) -> None:
    matrices, _ = explicit(vit, picture[:1], 0)
    whole = product([0.2 * torch.eye(25) + 0.8 * one[0].mean(0) for one in matrices])
    ours = subject.rollout(maps_of(vit, picture[:1]), "class", residual=0.2)
    torch.testing.assert_close(ours, whole[0, 1:].view(6, 4), atol=1e-6, rtol=1e-5)
    only = subject.rollout(maps_of(vit, picture[:1]), Point(0, 0), residual=1.0)
    assert only[0, 0] == 1
    assert only.sum() == 1


def test_gradient_rollout_is_the_row_of_the_explicit_product(vit: Model, picture: Tensor) -> None:
    found = answer(vit, picture, target=7, method="gradient_rollout")
    matrices, gradients = explicit(vit, picture, 7)
    for item in range(2):
        factors = [torch.eye(25) + (a[item] * g[item]).clamp(min=0).mean(0) for a, g in zip(matrices, gradients)]
        expected = product(factors)[0, 1:].view(6, 4)
        assert expected.max() > 0
        assert found.attributions is not None
        torch.testing.assert_close(found.attributions[item].values, expected, atol=1e-7, rtol=1e-4)


def test_gradient_rollout_of_a_softmax_that_is_not_fused(picture: Tensor) -> None:
    model = lively(load(ModelSpec.parse("random/vit_tiny_patch16_224", options=NARROW, input_size=(96, 64)), "cpu"))
    fused = answer(model, picture, target=7, method="gradient_rollout").attributions
    for block in model.module.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = False
    plain = answer(model, picture, target=7, method="gradient_rollout").attributions
    assert fused is not None
    assert plain is not None
    torch.testing.assert_close(plain[1].values, fused[1].values, atol=1e-7, rtol=1e-4)


def test_a_pool_by_attention_gives_the_row() -> None:
    spec = ModelSpec.parse("random/test_vit3", options=(("depth", 3),))
    model = lively(load(spec, "cpu"))
    x01 = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    maps = maps_of(model, x01)
    assert maps[-1].layer == "attn_pool"
    matrices = [one.weights.block(0, 0, 0, one.weights.shape[3]).mean(0) for one in maps]
    size = matrices[0].shape[0]
    whole = matrices[-1] @ product([0.5 * torch.eye(size) + 0.5 * one for one in matrices[:-1]])
    prefix = len(maps[0].layout.prefix)  # type: ignore[union-attr]
    ours = subject.rollout(maps)
    torch.testing.assert_close(ours.flatten(), whole[0, prefix:], atol=1e-6, rtol=1e-5)


@dataclass(frozen=True)
class Matrix:
    """Weights given outright, which count how many of their rows are asked for at a time."""

    values: Tensor
    asked: list[int]

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        return 1, 1, *self.values.shape  # type: ignore[return-value]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:  # noqa: ARG002 - one of each
        self.asked.append(stop - start)
        return self.values[:, start:stop]


def uniform(layers: int, size: int, heads: int = 2) -> tuple[list[AttentionMap], list[int]]:
    index = torch.arange(size).view(1, -1)
    layout = Layout("tokens", (1, size), index, (1, size), index)
    asked: list[int] = []
    weights = Matrix(torch.full((heads, size, size), 1 / size), asked)
    maps = [AttentionMap(f"blocks.{n}", "Attention", "pairwise", weights, layout, (8, 8 * size)) for n in range(layers)]
    return maps, asked


def test_uniform_attention_has_its_closed_form() -> None:
    maps, _ = uniform(3, 10)
    row = subject.rollout(maps, Point(17, 4))
    expected = torch.full((1, 10), (1 - 0.5**3) / 10)
    expected[0, 2] += 0.5**3
    torch.testing.assert_close(row, expected)


def test_no_whole_matrix_is_ever_made(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, asked = uniform(3, 10)
    whole = subject.rollout(maps, Point(17, 4))
    asked.clear()
    monkeypatch.setattr(subject, "_AT_A_TIME", 60)
    torch.testing.assert_close(subject.rollout(maps, Point(17, 4)), whole)
    assert max(asked) == 3  # 60 numbers of 2 heads and 10 keys
    # One row to learn the device, one of the last layer, then all ten of each of the others.
    assert sum(asked) == 1 + 1 + 10 + 10


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        (
            "random/swin_tiny_patch4_window7_224",
            (("depths", (1, 1)), ("embed_dim", 24), ("num_heads", (1, 2))),
            "windows",
        ),
        ("random/pvt_v2_b0", (("depths", (1, 1, 1, 1)),), "not the same tokens"),
        ("random/convit_tiny", (("depth", 12), ("embed_dim", 16), ("num_heads", 4)), "not those of"),
        ("random/test_convnext", (), "no layer attends"),
    ],
)
def test_where_rollout_is_not_defined_it_says_why(
    spec: str, options: tuple[tuple[str, object], ...], words: str
) -> None:
    model = load(ModelSpec.parse(spec, options=options), "cpu")
    x01 = torch.rand(1, 3, *model.input_size)
    with pytest.raises(MethodError, match=words):
        subject.rollout(maps_of(model, x01), "class")


def test_bad_parameters(vit: Model, picture: Tensor) -> None:
    maps = maps_of(vit, picture[:1])
    for wrong in ({"heads": "median"}, {"residual": 1.5}):
        with pytest.raises(ParameterError):
            subject.rollout(maps, "class", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="register 1"):
        subject.rollout(maps, "register 1")
    with pytest.raises(ParameterError, match="outside"):
        subject.rollout(maps, Point(64, 0))
