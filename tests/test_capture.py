"""Capture against timm's own numbers: logits untouched, weights equal, nothing left behind, little held."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from timm.layers import set_fused_attn
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.attention.layouts import DotProduct, Spread
from explorer.attention.maps import AttentionMap
from explorer.attention.watch import Watch, capture, recording
from explorer.errors import NoAttentionError, ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec


def noise(model: Model, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, *model.input_size, generator=torch.Generator().manual_seed(3))


def hooks(module: nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) + len(m._backward_pre_hooks)
        for m in module.modules()
    )


def full(one: AttentionMap) -> Tensor:
    """Every weight of a map: (batch, groups, heads, Nq, Nk)."""
    batch, groups, _, queries, _ = one.weights.shape
    return torch.stack(
        [torch.stack([one.weights.block(b, g, 0, queries) for g in range(groups)]) for b in range(batch)]
    )


@contextmanager
def attention_is(fused: bool) -> Iterator[None]:
    """timm decides at construction whether attention is fused, and in some families only when asked to experiment."""
    set_fused_attn(fused, experimental=fused)
    try:
        yield
    finally:
        set_fused_attn(True)


# Each layout's fused family, at a depth at which it still has every kind of layer. timm's own explicit attention is
# what its `attn_drop` (or `softmax`) receives or returns.
FUSED: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"depth": 2},
    "deit_tiny_distilled_patch16_224": {"depth": 2},
    "eva02_tiny_patch14_224": {"depth": 2},
    "beit_base_patch16_224": {"depth": 2},
    "vit_relpos_small_patch16_224": {"depth": 2},
    "swin_tiny_patch4_window7_224": {"depths": (2, 2, 2, 2)},
    "maxvit_rmlp_pico_rw_256": {},
    "coatnet_nano_rw_224": {},
    "pvt_v2_b0": {},
    "twins_svt_small": {"depths": (2, 2, 2, 2)},
    "mobilenetv4_hybrid_medium": {},
    "mobilevit_xxs": {},
    "davit_tiny": {"depths": (1, 1, 2, 1)},
    "nest_tiny_jx": {},
    "nextvit_small": {"depths": (1, 1, 5, 1)},
    "visformer_tiny": {},
    "caformer_s18": {},
    "samvit_base_patch16_224": {"depth": 3},
}


@pytest.mark.parametrize("name", FUSED)
def test_fused_weights_equal_timms_own_explicit_attention(name: str) -> None:
    with attention_is(fused=True):
        model = load(ModelSpec(name, "random", options=tuple(FUSED[name].items())))
    image = noise(model)
    with attention_is(fused=False):
        explicit = timm.create_model(name, pretrained=False, **FUSED[name]).eval()
    explicit.load_state_dict(model.module.state_dict())
    given: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    maps = {}
    for one in capture(model, image):
        weights = one.weights.inner if isinstance(one.weights, Spread) else one.weights
        if isinstance(weights, DotProduct):
            maps[one.layer] = replace(one, weights=weights)
    assert maps
    for path in maps:
        model.module.get_submodule(path).register_forward_pre_hook(
            lambda _, args, kwargs, path=path: given.__setitem__(path, (args, kwargs)), with_kwargs=True
        )
    with torch.inference_mode():
        model.logits(image)
        for path, one in maps.items():
            # timm's explicit attention, on the same input: its map is what its dropout receives.
            module, theirs = explicit.get_submodule(path), []
            dropout = module.attn_drop if hasattr(module, "attn_drop") else module.softmax
            dropout.register_forward_hook(lambda _, args, out: theirs.append(out))  # noqa: B023, ARG005
            module(*given[path][0], **given[path][1])
            ours, heads = full(one), one.heads
            # timm keeps windows and pixel phases, or heads, in the batch axis.
            if theirs[0].dim() == 5:
                natural = theirs[0].shape[1:3] == ours.shape[1:3]
                expected = theirs[0] if natural else theirs[0].transpose(1, 2)
            else:
                expected = theirs[0].reshape(2, -1, heads, *theirs[0].shape[-2:])
            assert (ours - expected).abs().max() < 1e-5, path


def test_a_pass_under_capture_is_the_bare_pass_to_the_last_bit(any_family: Model) -> None:
    image = noise(any_family)
    with torch.inference_mode():
        bare = any_family.logits(image)
    before = hooks(any_family.module)
    with recording(any_family), torch.inference_mode():
        watched = any_family.logits(image)
    assert torch.equal(bare, watched)
    assert hooks(any_family.module) == before == 0


@pytest.fixture(params=["vit_tiny_patch16_224", "swinv2_cr_tiny_ns_224", "mobilevitv2_050", "resnet18+coord@2"])
def any_family(request: pytest.FixtureRequest) -> Model:
    return load(f"random/{request.param}")


def test_context_scores_are_the_modules_own() -> None:
    model = load("random/mobilevitv2_050")
    image = noise(model)
    path = "stages.3.1.transformer.1.attn"
    module = model.module.get_submodule(path)
    given: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, args, out: given.append(args[0]))  # noqa: ARG005
    maps = {one.layer: one for one in capture(model, image)}
    handle.remove()
    x = given[0]  # (B, C, P, N)
    weight, bias = module.qkv_proj.weight[:1, :, 0, 0], module.qkv_proj.bias[:1]
    scores = (torch.einsum("oc,bcpn->bopn", weight, x) + bias[:, None, None]).exp()
    scores = scores / scores.sum(-1, keepdim=True)
    got = full(maps[path]).view(2, 1, *scores.shape[-2:])
    assert (got - scores).abs().max() < 1e-5


def test_cross_covariance_is_the_modules_own() -> None:
    model = load("random/xcit_nano_12_p16_224")
    image = noise(model)
    path = "blocks.3.attn"
    module = model.module.get_submodule(path)
    given: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, args, out: given.append(args[0]))  # noqa: ARG005
    one = next(one for one in capture(model, image) if one.layer == path)
    handle.remove()
    batch, count, _ = given[0].shape
    q, k, _ = module.qkv(given[0]).view(batch, count, 3, one.heads, -1).permute(2, 0, 3, 4, 1)
    q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
    theirs = ((q @ k.transpose(-1, -2)) * module.temperature).softmax(-1)
    assert one.kind == "channel"
    assert (full(one)[:, 0] - theirs).abs().max() < 1e-5
    with pytest.raises(ParameterError, match="no known position"):
        one.row(Point(3, 3))


def test_coordinate_gates_are_the_modules_own() -> None:
    model = load("random/resnet18+coord@3")
    image = noise(model)
    maps = [one for one in capture(model, image) if one.kind == "gate"]
    assert [one.grid for one in maps] == [(14, 1), (1, 14), (14, 14)]
    rows, columns, product = (full(one)[:, 0, :, 0] for one in maps)
    assert torch.equal(product.view(2, -1, 14, 14), rows.view(2, -1, 14, 1) * columns.view(2, -1, 1, 14))
    path = maps[0].layer.split(" ")[0]
    module = model.module.get_submodule(path)
    features: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, args, out: features.extend((args[0], out)))
    with torch.inference_mode():
        model.logits(image)
    handle.remove()
    # Whatever the module did, its output is its input times what we call its gate.
    assert torch.allclose(features[1], features[0] * product.view(2, -1, 14, 14), atol=1e-6)
    assert 0 < product.min() < product.max() < 1


def test_squeeze_and_excitation_is_a_vector_not_a_picture() -> None:
    maps = capture(load("random/mobilenetv3_small_100"), torch.rand(1, 3, 224, 224))
    assert {one.kind for one in maps} == {"channel"}
    assert all(one.layout is None and one.weights.shape[:4] == (1, 1, 1, 1) for one in maps)
    assert all(one.matrix().min() >= 0 and one.matrix().max() <= 1 for one in maps)


def test_convit_shows_the_gated_mixture() -> None:
    model = load("random/convit_tiny")
    image = noise(model)
    module = model.module.get_submodule("blocks.2.attn")
    given: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, args, out: given.append(args[0]))  # noqa: ARG005
    one = next(one for one in capture(model, image) if one.layer == "blocks.2.attn")
    handle.remove()
    assert (full(one)[:, 0] - module.get_attention(given[0])).abs().max() < 1e-6


def test_untrained_blocks_are_labelled_so() -> None:
    maps = capture(load("random/resnet18+mhsa@3"), torch.rand(1, 3, 224, 224))
    assert [one.state for one in maps] == ["random"]
    assert maps[0].layout is not None
    assert maps[0].layout.name == "tokens"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("mobilenetv2_100", "explorer knows: convolutions"), ("efficientvit_b0", "linear attention with ReLU")],
)
def test_no_attention_is_an_error_that_says_why(name: str, reason: str) -> None:
    with pytest.raises(NoAttentionError, match=reason):
        capture(load(f"random/{name}"), torch.rand(1, 3, 224, 224))


def test_hooks_go_when_the_pass_fails() -> None:
    model = load("random/vit_tiny_patch16_224")
    with pytest.raises(Exception, match=r"[Ss]ize|[Ss]hape|height|doesn't match"), recording(model):
        model.logits(torch.rand(1, 3, 64, 64))
    assert hooks(model.module) == 0
    assert capture(model, noise(model, 1))


class Sometimes(nn.Module):
    """Weighs its features by a softmax, of bright pictures alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.flatten(2).softmax(-1).view_as(x) if x.mean() > 0 else x


def test_a_network_known_to_run_no_attention_is_not_watched_again() -> None:
    model = load("random/mobilenetv2_050")
    for step in range(2):
        with recording(model) as recorder, torch.no_grad():
            assert (hooks(model.module) == 0) == bool(step)
            model.logits(noise(model, 1))
        assert recorder.maps() == []


def test_a_network_that_may_do_otherwise_with_another_picture_is_watched_always() -> None:
    model = load("random/mobilenetv2_050")
    model.module.bn1 = nn.Sequential(model.module.bn1, Sometimes())  # type: ignore[operator]
    seen = []
    for sign in (-1, 1):
        model.module.bn1[0].weight.data.zero_()  # type: ignore[index, union-attr, operator]
        model.module.bn1[0].bias.data.fill_(sign)  # type: ignore[index, union-attr, operator]
        model.module.bn1[0].act = nn.Identity()  # type: ignore[index, union-attr]
        with recording(model) as recorder, torch.no_grad():
            model.logits(noise(model, 1))
        seen.append(len(recorder.maps()))
    assert seen == [0, 1]


def test_large_inputs_hold_queries_and_keys_only() -> None:
    spec = ModelSpec("vit_small_patch16_224", "random", input_size=(1024, 1024), options=(("depth", 2),))
    maps = capture(load(spec), torch.rand(1, 3, 1024, 1024))
    assert len(maps) == 2
    queries_and_keys = 2 * 2 * 4097 * 384 * 4
    storages = {}
    for one in maps:
        assert isinstance(one.weights, DotProduct)
        for tensor in (one.weights.query, one.weights.key):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    assert queries_and_keys <= sum(storages.values()) <= 1.2 * queries_and_keys
    assert sum(one.weights.nbytes for one in maps) <= 1.2 * queries_and_keys

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor):
                self.numel = max(self.numel, out.numel())
            return out

    with Largest() as seen:
        row = maps[1].row(Point(511, 300))
    assert row.shape == (64, 64)
    assert seen.numel <= 4097 * 384


def test_two_threads_see_their_own_operations() -> None:
    model = load("random/vit_tiny_patch16_224")
    images = [torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    alone = [[full(one) for one in capture(model, image)] for image in images]
    together: dict[int, list[Tensor]] = {}

    def work(number: int) -> None:
        together[number] = [full(one) for one in capture(model, images[number])]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, maps in together.items():
        assert len(maps) == 12
        assert all(torch.equal(one, two) for one, two in zip(maps, alone[number]))


def test_gradients_reach_the_kept_operations() -> None:
    model = load("random/vit_tiny_patch16_224")
    image = noise(model, 1).requires_grad_()
    with recording(model, values=True) as recorder:
        model.logits(image)[0, 7].backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(operation.value is not None and operation.output is not None for operation in recorder.operations)


def test_masks_and_causal_attention_are_applied() -> None:
    """A hand-made module that uses every argument of the fused function."""
    torch.manual_seed(0)

    class Attend(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            one = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)
            mask = torch.ones(1, 1, 5, 5, dtype=torch.bool)
            mask[..., 2] = False
            two = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return one + two

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Attend()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x, x + 1, x)

    watch = Watch()
    outer = Outer()
    for path, module in outer.named_modules():
        watch.paths[module] = path
        module.register_forward_pre_hook(watch.enter, with_kwargs=True)
        module.register_forward_hook(watch.leave)
    x = torch.randn(1, 2, 5, 4)
    with watch:
        outer(x)
    scores = x @ (x + 1).transpose(-1, -2)
    causal = (scores * 0.3).masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    masked = (scores / 2).index_fill(-1, torch.tensor([2]), -torch.inf).softmax(-1)
    for operation, expected in zip(watch.operations, (causal, masked)):
        assert operation.query is not None
        assert operation.key is not None
        assert operation.bias is not None
        bias = operation.bias.expand(1, 2, 5, 5)[:, None]
        weights = DotProduct(operation.query[:, None], operation.key[:, None], operation.scale, bias)
        assert torch.allclose(weights.block(0, 0, 0, 5), expected[0], atol=1e-6)
