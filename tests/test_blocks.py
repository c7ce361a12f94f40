"""Every registered block: its contract, its formulas, and its numbers against independent ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import timm.layers
import torch
import torch.nn.functional as F
from naive_blocks import NAIVE
from timm.layers.bottleneck_attn import BottleneckAttn
from timm.layers.cbam import CbamModule
from timm.layers.coord_attn import CoordAttn
from timm.models import davit, metaformer, mobilevit, xcit
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from explorer.blocks import BLOCKS, Block
from explorer.blocks.axial import Axial
from explorer.blocks.c2f_gate import C2fGate
from explorer.blocks.channel import ChannelAttention
from explorer.blocks.coord import Coord
from explorer.blocks.linear import LinearAttention
from explorer.blocks.mhsa import MultiHeadSelfAttention
from explorer.blocks.parts import divisor
from explorer.errors import ParameterError

#: Every block as it comes, and with each of its parameters set otherwise.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in BLOCKS),
    ("mhsa", {"heads": 3}),
    ("mhsa", {"position": "absolute"}),
    ("mhsa", {"position": "relative", "heads": 3}),
    ("axial", {"heads": 3}),
    ("axial", {"merge": "sequence"}),
    ("axial", {"position": "absolute"}),
    ("channel", {"groups": 3}),
    ("channel", {"scale": "davit", "groups": 1}),
    ("c2f", {"bottlenecks": 3, "hidden": 5}),
    ("c2f_gate", {"width": 4}),
    ("coord", {"reduction": 4}),
    ("ca_c2f", {"placement": "bottleneck", "bottlenecks": 2}),
    ("ca_c2f", {"placement": "output", "reduction": 4, "hidden": 7}),
    ("se", {"reduction": 2}),
    ("cbam", {"reduction": 2}),
    ("nonlocal", {"reduction": 2}),
]
IDS = [" ".join([name, *(f"{key}={value}" for key, value in options.items())]) for name, options in VARIANTS]
each_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
#: Those with an independent implementation to compare with.
each_known = pytest.mark.parametrize(("name", "options"), [one for one in VARIANTS if one[0] in NAIVE])


def made(name: str, channels: int, grid: tuple[int, int], options: Mapping[str, Any], seed: int = 0) -> Block:
    """A block as after training: no parameter and no running statistic is at its start."""
    torch.manual_seed(seed)
    block = BLOCKS[name](channels, grid, **options)  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random) * 0.3)
        for key, value in block.named_buffers():
            if key.endswith("running_mean"):
                value.copy_(torch.randn(value.shape, generator=random) * 0.3)
            elif key.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=random) + 0.5)
    return block.eval()


def features(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the contract ---------------------------------------------------------------------------------------------------


@each_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_type_are_kept_at_any_size(name: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    for channels, height, width in [(3, 1, 1), (12, 5, 9), (96, 7, 7)]:
        block = BLOCKS[name](channels, (7, 7), **options).eval().to(dtype)  # type: ignore[arg-type]
        x = features(2, channels, height, width).to(dtype)
        y = block(x)
        assert (y.shape, y.dtype) == (x.shape, dtype)
        assert y.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@each_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_as_on_the_cpu(name: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    block, x = made(name, 12, (5, 9), options), features(2, 12, 5, 9)
    expected = block(x)
    got = block.to("cuda", dtype)(x.to("cuda", dtype)).float().cpu()
    torch.testing.assert_close(got, expected, atol=1e-3 if dtype == torch.float32 else 0.3, rtol=0.1)


@each_variant
def test_channels_last_and_bf16_give_the_same_numbers(name: str, options: dict[str, Any]) -> None:
    block, x = made(name, 12, (5, 9), options), features(2, 12, 5, 9)
    with torch.no_grad():
        expected = block(x)
        torch.testing.assert_close(block(x.to(memory_format=torch.channels_last)), expected, atol=1e-5, rtol=1e-4)
        rough = block.bfloat16()(x.bfloat16()).float()
    assert (rough - expected).abs().mean() < 0.05 * expected.abs().mean()


@each_variant
def test_every_parameter_learns(name: str, options: dict[str, Any]) -> None:
    block, x = made(name, 24, (6, 5), options).train(), features(2, 24, 6, 5).requires_grad_()
    (block(x) * features(2, 24, 6, 5, seed=2)).sum().backward()
    for key, parameter in block.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@each_variant
def test_a_forward_pass_leaves_nothing_behind(name: str, options: dict[str, Any]) -> None:
    block, x = made(name, 12, (5, 9), options), features(2, 12, 5, 9)
    before = {key: value.clone() for key, value in block.state_dict().items()}
    given = x.clone()
    first, second = block(x), block(x)
    assert torch.equal(first, second)
    assert torch.equal(x, given)
    assert all(torch.equal(value, before[key]) for key, value in block.state_dict().items())
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in block.modules())
    # What was made for one grid loads where another is made for it: nothing but learnt positions has the grid's size.
    again = BLOCKS[name](12, (5, 9), **options)  # type: ignore[arg-type]
    again.load_state_dict(block.state_dict())
    assert torch.equal(again.eval()(x), first)


@pytest.mark.parametrize("name", list(BLOCKS))
def test_declaration_is_complete(name: str) -> None:
    kind = BLOCKS[name]
    assert kind.__doc__ is not None
    assert "?" in kind.__doc__.splitlines()[0]
    assert "Cost:" in kind.__doc__
    assert "Source:" in kind.__doc__
    assert (kind.kind is None) == bool(kind.no_map)
    for option, declared in kind.options.items():
        assert declared.allows(declared.default), option
        assert declared.text
    with pytest.raises(ParameterError, match="no parameter 'nonsense'"):
        kind(8, (4, 4), nonsense=1)  # type: ignore[call-arg]


def test_the_controls_come_first_and_what_is_for_reference_last() -> None:
    ours = [name for name in BLOCKS if name in NAIVE]
    assert list(BLOCKS)[:2] == ours[:2] == ["none", "conv"]
    assert ours[-4:] == ["se", "eca", "cbam", "nonlocal"]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="heads"):
        MultiHeadSelfAttention(8, heads=65)
    with pytest.raises(ParameterError, match="3 heads do not divide 8 channels"):
        Axial(8, heads=3)
    with pytest.raises(ParameterError, match="5 groups do not divide 8 channels"):
        ChannelAttention(8, groups=5)
    with pytest.raises(ParameterError, match="position"):
        MultiHeadSelfAttention(8, position="sinus")
    with pytest.raises(ParameterError, match="reduction"):
        Coord(8, reduction=0)


def test_heads_are_near_to_32_channels() -> None:
    assert [divisor(d, 0, "heads") for d in (1, 3, 16, 37, 48, 64, 96, 128, 384, 768)] == [
        1,
        1,
        1,
        1,
        2,
        2,
        3,
        4,
        12,
        24,
    ]


# ---- costs ----------------------------------------------------------------------------------------------------------


@each_variant
@pytest.mark.parametrize(("channels", "height", "width"), [(12, 1, 1), (24, 6, 10), (48, 9, 7), (60, 16, 16)])
def test_cost_formulas_are_what_torch_counts(
    name: str, options: dict[str, Any], channels: int, height: int, width: int
) -> None:
    block = BLOCKS[name](channels, (6, 10), **options).eval()  # type: ignore[arg-type]
    assert block.parameter_count() == sum(parameter.numel() for parameter in block.parameters())
    # FlopCounterMode counts two operations a multiply-add, in matrix products and convolutions; the math kernel shows
    # attention as the two matrix products it is.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        block(torch.randn(1, channels, height, width))
    assert counter.get_total_flops() == 2 * block.multiply_adds(height, width)


def test_published_costs() -> None:
    # 290 against 471 MFLOP at 14 x 14 and d = 384, 4008 against 597 at 56 x 56 and d = 96: full and axial attention.
    assert round(2 * MultiHeadSelfAttention(384).multiply_adds(14, 14) / 1e6) == 290
    assert round(2 * Axial(384).multiply_adds(14, 14) / 1e6) == 471
    assert round(2 * MultiHeadSelfAttention(96).multiply_adds(56, 56) / 1e6) == 4008
    assert round(2 * Axial(96).multiply_adds(56, 56) / 1e6) == 597
    # Where both cost the same: n = 2 d + H + W.
    d, side = 112, 16
    assert side * side == 2 * d + 2 * side
    assert Axial(d).multiply_adds(side, side) == MultiHeadSelfAttention(d).multiply_adds(side, side)


# ---- against independent numbers ------------------------------------------------------------------------------------


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def precision(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """The type that everything is made in."""
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


@each_known
@pytest.mark.parametrize(("channels", "height", "width"), [(6, 4, 4), (12, 3, 5)])
def test_each_block_is_its_definition(
    name: str, options: dict[str, Any], channels: int, height: int, width: int, precision: torch.dtype
) -> None:
    block, x = made(name, channels, (height, width), options), features(2, channels, height, width)
    with torch.no_grad():
        expected, _ = NAIVE[name](block, x)
        # In float64 nothing but the order of sums is left, so that a small mistake cannot pass for rounding.
        assert (block(x) - expected).abs().max() < (1e-5 if precision == torch.float32 else 1e-12)


def copied(theirs: nn.Module, names: Mapping[str, str], block: Block) -> nn.Module:
    """Give timm's module the block's weights: ``names`` says how its parameters' prefixes are called here."""
    ours = block.state_dict()
    state = {}
    for key, value in theirs.state_dict().items():
        prefix, _, rest = key.partition(".")
        name = names.get(prefix, prefix) + ("." + rest if rest else "")
        state[key] = ours[name].reshape(value.shape)
    theirs.load_state_dict(state)
    return theirs.eval()


def by_tokens(module: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: module(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)


def timms(case: str, block: Any) -> Callable[[Tensor], Tensor]:
    d, projected = block.channels, {"qkv": "projections", "proj": "out"}
    if case == "metaformer.Attention":
        module = metaformer.Attention(
            d, num_heads=block.heads, head_dim=d // block.heads, qkv_bias=True, proj_bias=True
        )
        return by_tokens(copied(module, projected, block))
    if case == "BottleneckAttn":
        bottleneck = BottleneckAttn(
            d, feat_size=(3, 4), num_heads=block.heads, dim_head=d // block.heads, qkv_bias=True
        )
        bottleneck.qkv.weight.copy_(block.projections.weight[..., None, None])
        bottleneck.qkv.bias.copy_(block.projections.bias)
        bottleneck.pos_embed.height_rel.zero_()
        bottleneck.pos_embed.width_rel.zero_()
        return lambda x: block.out(bottleneck(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    if case == "xcit.XCA":
        return by_tokens(copied(xcit.XCA(d, block.groups, qkv_bias=True), projected, block))
    if case == "davit.ChannelAttentionV2":
        return by_tokens(copied(davit.ChannelAttentionV2(d, block.groups), projected, block))
    if case == "davit.ChannelAttention":
        # DaViT's first form calls q, k, v what here is v, q, k, and scales by the group's width: n is made equal to it.
        theirs = copied(davit.ChannelAttention(d, block.groups, qkv_bias=True), projected, block)
        q, k, v = block.projections.weight.chunk(3)
        theirs.qkv.weight.copy_(torch.cat([v, q, k]))
        q, k, v = block.projections.bias.chunk(3)
        theirs.qkv.bias.copy_(torch.cat([v, q, k]))
        return by_tokens(theirs)
    if case == "mobilevit.LinearSelfAttention":
        names = {"qkv_proj": "projections", "out_proj": "out"}
        module = copied(mobilevit.LinearSelfAttention(d), names, block)
        return lambda x: module(x.flatten(2)[:, :, None]).reshape(x.shape)
    wrapped: dict[str, Callable[[], nn.Module]] = {
        "CoordAttn": lambda: CoordAttn(d, rd_channels=8),
        "SEModule": lambda: timm.layers.SEModule(d, rd_channels=8),
        "EcaModule": lambda: timm.layers.EcaModule(d),
        "CbamModule": lambda: CbamModule(d, rd_channels=8),
        "NonLocalAttn": lambda: timm.layers.NonLocalAttn(d, rd_channels=8),
    }
    module = wrapped[case]()
    module.load_state_dict(block.attention.state_dict())
    return module.eval()


@pytest.mark.parametrize(
    ("case", "name", "options", "grid"),
    [
        ("metaformer.Attention", "mhsa", {"heads": 3}, (3, 4)),
        ("BottleneckAttn", "mhsa", {"heads": 3}, (3, 4)),
        ("xcit.XCA", "channel", {"groups": 3}, (3, 4)),
        ("davit.ChannelAttentionV2", "channel", {"groups": 3, "scale": "davit"}, (3, 4)),
        ("davit.ChannelAttention", "channel", {"groups": 3, "scale": "davit"}, (2, 4)),
        ("mobilevit.LinearSelfAttention", "linear", {}, (3, 4)),
        ("CoordAttn", "coord", {}, (3, 4)),
        ("SEModule", "se", {}, (3, 4)),
        ("EcaModule", "eca", {}, (3, 4)),
        ("CbamModule", "cbam", {}, (3, 4)),
        ("NonLocalAttn", "nonlocal", {}, (3, 4)),
    ],
)
def test_each_block_is_timms_where_timm_has_it(
    case: str, name: str, options: dict[str, Any], grid: tuple[int, int]
) -> None:
    block, x = made(name, 24, grid, options), features(2, 24, *grid)
    with torch.no_grad():
        assert (block(x) - timms(case, block)(x)).abs().max() < 1e-5


def test_relative_positions_are_timms() -> None:
    block = made("mhsa", 6, (3, 4), {"position": "relative", "heads": 2})
    assert isinstance(block, MultiHeadSelfAttention)
    theirs = timm.layers.RelPosBias((3, 4), 2)
    with torch.no_grad():
        theirs.relative_position_bias_table.copy_(block.bias[0].flatten(1).T)
        assert torch.equal(theirs.get_bias(), block._relative(3, 4))


# ---- what each block can and cannot know ----------------------------------------------------------------------------


def shuffled(x: Tensor) -> Tensor:
    order = torch.randperm(x.shape[2] * x.shape[3], generator=torch.Generator().manual_seed(0))
    return x.flatten(2)[..., order].view_as(x)


@pytest.mark.parametrize(
    ("name", "options", "commutes"),
    [
        ("none", {}, True),
        ("conv", {}, False),
        ("mhsa", {}, True),
        ("mhsa", {"position": "absolute"}, False),
        ("mhsa", {"position": "relative"}, False),
        ("axial", {}, False),
        ("channel", {}, True),
        ("linear", {}, True),
        ("c2f", {}, False),
        ("c2f_gate", {}, False),
        ("coord", {}, False),
        ("se", {}, True),
        ("eca", {}, True),
        ("cbam", {}, False),
        ("nonlocal", {}, True),
    ],
)
def test_who_notices_that_the_places_are_shuffled(name: str, options: dict[str, Any], commutes: bool) -> None:
    block, x = made(name, 8, (4, 5), options), features(1, 8, 4, 5)
    with torch.no_grad():
        difference = (block(shuffled(x)) - shuffled(block(x))).abs().max()
    assert (difference < 1e-4) == commutes


@pytest.mark.parametrize("name", ["coord", "axial"])
def test_rows_and_columns_are_known_but_not_their_order(name: str) -> None:
    block, x = made(name, 16, (6, 5), {}), features(2, 16, 6, 5)
    rows, columns = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 4, 0, 1, 3])

    def permuted(y: Tensor) -> Tensor:
        return y[:, :, rows][..., columns]

    with torch.no_grad():
        torch.testing.assert_close(block(permuted(x)), permuted(block(x)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("merge", "reached"), [("sum", 4 + 6 - 1), ("sequence", 4 * 6)])
def test_how_many_places_axial_attention_reaches(merge: str, reached: int) -> None:
    block, x = made("axial", 8, (4, 6), {"merge": merge}), features(1, 8, 4, 6).requires_grad_()
    block(x)[0, :, 1, 2].sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(0) > 0).sum() == reached


def test_coord_is_a_gate() -> None:
    block, x = made("coord", 16, (6, 5), {}), features(2, 16, 6, 5)
    with torch.no_grad():
        gate = block(x) / x
        assert ((gate > 0) & (gate < 1)).all()
        # Rank one per channel: g_h g_w.
        outer = gate[:, :, :1, :1] * gate
        torch.testing.assert_close(outer, gate[:, :, :, :1] * gate[:, :, :1, :], atol=1e-5, rtol=1e-4)


def test_the_notes_gate_is_one_convolution_and_a_sigmoid() -> None:
    block, x = made("c2f_gate", 6, (5, 4), {"width": 3}), features(2, 6, 5, 4)
    assert isinstance(block, C2fGate)
    with torch.no_grad():
        fused = torch.einsum("ow,wcij->ocij", block.fuse.weight[..., 0, 0], block.a.weight + block.b.weight)
        bias = block.fuse.weight[0, :, 0, 0] @ (block.a.bias + block.b.bias) + block.fuse.bias  # type: ignore[operator]
        gate = torch.sigmoid(F.conv2d(x, fused, bias, padding=1))
        torch.testing.assert_close(block(x), x * gate, atol=1e-5, rtol=1e-4)


def test_the_context_is_the_same_for_every_query() -> None:
    block, x = made("linear", 8, (4, 4), {}), features(1, 8, 4, 4)
    assert isinstance(block, LinearAttention)
    with torch.no_grad():
        inputs, key, value = block.projections(x.permute(0, 2, 3, 1)).split([1, 8, 8], -1)
        context = (inputs.flatten().softmax(0)[:, None] * key.flatten(0, 2)).sum(0)
        expected = block.out(value.clamp(min=0) * context).permute(0, 3, 1, 2)
        torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-4)


def test_attention_between_channels_ignores_how_long_they_are() -> None:
    block, x = made("channel", 8, (4, 4), {"groups": 2}), features(1, 8, 4, 4)
    assert isinstance(block, ChannelAttention)
    with torch.no_grad():
        block.projections.bias.zero_()
        block.out.bias.zero_()
        # Every channel is divided by its length, so a brighter picture changes only the values.
        torch.testing.assert_close(block(3 * x), 3 * block(x), atol=1e-5, rtol=1e-4)


def test_positions_are_interpolated_to_the_grid_at_hand() -> None:
    block = MultiHeadSelfAttention(4, (3, 3), position="relative", heads=1)
    ramp = torch.arange(5.0)
    with torch.no_grad():
        block.bias.copy_((ramp[:, None] * 10 + ramp)[None, None])
    # A ramp over differences -2..2 stays a ramp over -4..4: corners kept, half steps between.
    table = F.interpolate(block.bias, (9, 9), mode="bilinear", align_corners=True)
    assert torch.allclose(table[0, 0], torch.arange(0, 4.1, 0.5)[:, None] * 10 + torch.arange(0, 4.1, 0.5))
    mask = block._relative(5, 5)[0, 0]
    assert mask[0, 24].item() == pytest.approx(0.0)  # query first, key last: differences -4, -4
    assert mask[24, 0].item() == pytest.approx(44.0)
    assert mask[7, 7].item() == pytest.approx(22.0)  # no difference
    assert math.isclose(mask[0, 0].item(), 22.0, abs_tol=1e-4)
