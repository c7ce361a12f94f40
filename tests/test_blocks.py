"""Every registered block, and the insertion of blocks into backbones of every layout."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from explorer.blocks import BLOCKS
from explorer.blocks.coord import Coord
from explorer.blocks.insertion import Inserted
from explorer.blocks.mhsa import MultiHeadSelfAttention
from explorer.errors import InsertionError, ParameterError, UnknownNameError
from explorer.models import load
from explorer.types import ModelSpec

VARIANTS = [
    ("mhsa", {}),
    ("mhsa", {"heads": 3}),
    ("mhsa", {"position": "absolute"}),
    ("mhsa", {"position": "relative", "heads": 3}),
    ("coord", {}),
    ("coord", {"reduction": 4}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_type_are_kept_at_any_size(name: str, options: dict[str, object], dtype: torch.dtype) -> None:
    for channels, height, width in [(3, 1, 1), (12, 5, 9), (96, 7, 7)]:
        block = BLOCKS[name](channels, (7, 7), **options).eval().to(dtype)  # type: ignore[arg-type]
        x = torch.randn(2, channels, height, width, dtype=dtype)
        y = block(x)
        assert (y.shape, y.dtype) == (x.shape, dtype)
        assert y.isfinite().all()


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_cost_formulas_are_what_torch_counts(name: str, options: dict[str, object]) -> None:
    block = BLOCKS[name](48, (6, 10), **options).eval()  # type: ignore[arg-type]
    assert block.parameter_count() == sum(parameter.numel() for parameter in block.parameters())
    # FlopCounterMode counts two operations a multiply-add, in matrix products and convolutions; the math kernel shows
    # attention as the two matrix products it is.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        block(torch.randn(1, 48, 6, 10))
    assert counter.get_total_flops() == 2 * block.multiply_adds(6, 10)


def test_published_costs() -> None:
    # 290 against 471 MFLOP at 14 x 14 and d = 384, 4008 against 597 at 56 x 56 and d = 96: full attention's are these.
    assert round(2 * MultiHeadSelfAttention(384).multiply_adds(14, 14) / 1e6) == 290
    assert round(2 * MultiHeadSelfAttention(96).multiply_adds(56, 56) / 1e6) == 4008


@pytest.mark.parametrize("name", list(BLOCKS))
def test_declaration_is_complete(name: str) -> None:
    kind = BLOCKS[name]
    assert kind.__doc__ is not None
    assert kind.__doc__.splitlines()[0].endswith("?") or "?" in kind.__doc__.splitlines()[0]
    assert "Cost:" in kind.__doc__
    assert "Source:" in kind.__doc__
    for option, declared in kind.options.items():
        assert declared.check(option, declared.default) == declared.default
        assert declared.help
    with pytest.raises(ParameterError, match="no parameter 'nonsense'"):
        kind(8, (4, 4), nonsense=1)  # type: ignore[call-arg]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="heads"):
        MultiHeadSelfAttention(8, heads=65)
    with pytest.raises(ParameterError, match="divide"):
        MultiHeadSelfAttention(8, heads=3)
    with pytest.raises(ParameterError, match="position"):
        MultiHeadSelfAttention(8, position="sinus")
    with pytest.raises(ParameterError, match="reduction"):
        Coord(8, reduction=0)


def naive_attention(block: MultiHeadSelfAttention, x: Tensor, bias: Tensor | None) -> Tensor:
    """Position by position and head by head, in loops."""
    _, channels, height, width = x.shape
    q, k, v = (part(x)[0].reshape(channels, -1) for part in (block.query, block.key, block.value))
    size = channels // block.heads
    out = torch.zeros(channels, height * width)
    for head in range(block.heads):
        rows = slice(head * size, (head + 1) * size)
        for i in range(height * width):
            scores = torch.stack([q[rows, i] @ k[rows, j] / math.sqrt(size) for j in range(height * width)])
            if bias is not None:
                for j in range(height * width):
                    dy, dx = i // width - j // width, i % width - j % width
                    scores[j] += bias[0, head, dy + height - 1, dx + width - 1]
            out[rows, i] = v[rows] @ scores.softmax(0)
    return block.out(out.view(1, channels, height, width))


@pytest.mark.parametrize("position", ["none", "relative"])
def test_mhsa_is_attention(position: str) -> None:
    block = MultiHeadSelfAttention(6, (3, 4), heads=2, position=position)
    x = torch.randn(1, 6, 3, 4)
    with torch.no_grad():
        if position == "relative":
            block.bias.normal_()
        expected = naive_attention(block, x, block.bias if position == "relative" else None)
        torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_mhsa_without_position_commutes_with_permuting_places_and_with_position_does_not() -> None:
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))

    def permute(x: Tensor) -> Tensor:
        return x.flatten(2)[..., order].view_as(x)

    x = torch.randn(1, 8, 4, 5)
    with torch.no_grad():
        for position, commutes in [("none", True), ("absolute", False), ("relative", False)]:
            block = MultiHeadSelfAttention(8, (4, 5), position=position)
            for parameter in block.parameters():
                parameter.normal_()
            difference = (block(permute(x)) - permute(block(x))).abs().max()
            assert (difference < 1e-3) == commutes


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


def test_coord_is_a_gate_that_knows_rows_and_columns_but_not_their_order() -> None:
    block = Coord(16).eval()
    x = torch.randn(2, 16, 6, 5)
    with torch.no_grad():
        gate = block(x) / x
        assert ((gate > 0) & (gate < 1)).all()
        # Rank one per channel: g_h g_w.
        outer = gate[:, :, :1, :1] * gate
        torch.testing.assert_close(outer, gate[:, :, :, :1] * gate[:, :, :1, :], atol=1e-5, rtol=1e-4)
        rows = torch.tensor([3, 0, 5, 1, 4, 2])
        torch.testing.assert_close(block(x[:, :, rows]), block(x)[:, :, rows], atol=1e-6, rtol=1e-5)


# ---- insertion ----------------------------------------------------------------------------------------------------

# (model, input side, stage, layout, prefix): every layout; small ones, at small sizes where they can.
TAKES = [
    ("test_resnet", None, 3, "NCHW", 0),
    ("resnet18", 64, 4, "NCHW", 0),
    ("resnetv2_18", 64, 3, "NCHW", 0),
    ("test_convnext", None, 2, "NCHW", 0),
    ("test_efficientnet", None, 3, "NCHW", 0),
    ("test_nfnet", None, 3, "NCHW", 0),
    ("test_maxvit", None, 2, "NCHW", 0),
    ("test_coatnet", None, 2, "NCHW", 0),
    ("test_byobnet", None, 2, "NCHW", 0),
    ("mobilenetv2_100", 64, 5, "NCHW", 0),
    ("mobilenetv3_small_050", 64, 2, "NCHW", 0),
    ("regnetx_002", 64, 4, "NCHW", 0),
    ("pvt_v2_b0", 64, 2, "NCHW", 0),
    ("mobilevitv2_050", 64, 4, "NCHW", 0),
    ("edgenext_xx_small", 64, 4, "NCHW", 0),
    ("efficientvit_b0", 64, 3, "NCHW", 0),
    ("swin_tiny_patch4_window7_224", 64, 3, "NHWC", 0),
    ("volo_d1_224", 64, 1, "NHWC", 0),
    ("test_vit", None, 5, "tokens", 1),
    ("test_vit_relpos", None, 3, "tokens", 0),
    ("deit_tiny_distilled_patch16_224", 64, 11, "tokens", 2),
    ("xcit_nano_12_p16_224", 64, 12, "tokens", 0),
    ("convit_tiny", 64, 11, "tokens", 1),
    ("eva02_tiny_patch14_224", 56, 12, "tokens", 1),
    ("levit_128s", 128, 2, "tokens", 0),
    ("mixer_s32_224", 64, 8, "tokens", 0),
    ("hiera_tiny_224", 64, 4, "tokens", 0),
    ("twins_pcpvt_small", 64, 3, "tokens", 0),
    ("mvitv2_tiny", 64, 4, "tokens", 0),
]


def sized(text: str, side: int | None, **fields: object) -> ModelSpec:
    return ModelSpec.parse(text, input_size=None if side is None else (side, side), **fields)


@pytest.mark.parametrize(("name", "side", "stage", "layout", "prefix"), TAKES, ids=[case[0] for case in TAKES])
def test_inserted_block_changes_nothing_until_its_gate_opens(
    name: str, side: int | None, stage: int, layout: str, prefix: int
) -> None:
    block = "coord" if stage % 2 else "mhsa"
    model = load(sized(f"random/{name}+{block}@{stage}", side), "cpu")
    placed = model.stages[stage - 1]
    assert (placed.layout, placed.prefix) == (layout, prefix)
    x = torch.randn(2, 3, *model.input_size, generator=torch.Generator().manual_seed(1))
    wrapper = model.module.get_submodule(placed.name)
    assert isinstance(wrapper, Inserted)
    with torch.inference_mode():
        logits, pooled = model.logits(x), model.pooled(x)
        wrapper.gate.fill_(1.0)
        assert not torch.equal(model.pooled(x), pooled)
        model.module.set_submodule(placed.name, wrapper.wrapped)
        assert torch.equal(model.logits(x), logits)
        assert torch.equal(model.pooled(x), pooled)
    assert model.inserted == f"{placed.name}.block"
    assert isinstance(wrapper.block, BLOCKS[block])


class Plus(nn.Module):
    """A block that adds its column number: shows where on the image a block works."""

    residual = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.arange(x.shape[3], dtype=x.dtype).expand_as(x)


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("test_vit", "random", "mhsa", 2, options=(("reg_tokens", 4),)),
        ModelSpec("swin_tiny_patch4_window7_224", "random", "mhsa", 3, input_size=(64, 96)),
    ],
    ids=["tokens", "NHWC"],
)
def test_block_works_on_the_image_and_leaves_prefix_tokens_alone(spec: ModelSpec) -> None:
    model = load(spec, "cpu")
    assert spec.stage is not None
    stage = model.stages[spec.stage - 1]
    wrapper = model.module.get_submodule(stage.name)
    wrapper.block = Plus()
    outputs = []
    handles = [
        part.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for part in (wrapper.wrapped, wrapper)
    ]
    with torch.inference_mode():
        wrapper.gate.fill_(1.0)
        model.logits(torch.randn(1, 3, *model.input_size))
    for handle in handles:
        handle.remove()
    inner, outer = outputs
    change = outer - inner
    columns = torch.arange(float(stage.grid[1]))
    if stage.layout == "tokens":
        assert stage.prefix == 5
        assert torch.equal(outer[:, :5], inner[:, :5])
        change = change[:, 5:].unflatten(1, stage.grid)
    torch.testing.assert_close(change, columns.view(1, 1, -1, 1).expand_as(change), atol=1e-5, rtol=0)


def test_wrapper_delegates_and_survives_deepcopy() -> None:
    model = load("random/test_vit+mhsa@2", "cpu")
    wrapper = model.module.get_submodule("blocks.1")
    assert wrapper.attn is wrapper.wrapped.attn
    with pytest.raises(AttributeError):
        _ = wrapper.nothing_of_that_name
    twin = copy.deepcopy(model.module)
    x = torch.randn(1, 3, *model.input_size)
    with torch.inference_mode():
        assert torch.equal(twin(x), model.module(x))
        twin.get_submodule("blocks.1").gate.fill_(1.0)
        assert not torch.equal(twin(x), model.module(x))


def test_seed_and_parameters_reach_the_block() -> None:
    def weights(text: str, **fields: object) -> Tensor:
        return load(ModelSpec.parse(text, **fields), "cpu").module.get_submodule("layer3.block.query").weight

    first = weights("random/test_resnet+mhsa@3#1")
    assert torch.equal(first, weights("random/test_resnet+mhsa@3#1"))
    assert not torch.equal(first, weights("random/test_resnet+mhsa@3#2"))
    model = load(ModelSpec.parse("random/test_resnet+mhsa@3", block_options=(("heads", 2), ("position", "relative"))))
    block = model.module.get_submodule("layer3.block")
    assert (block.heads, block.position, block.grid) == (2, "relative", model.stages[2].grid)


def test_only_the_gate_has_a_gradient_at_first() -> None:
    model = load("random/test_resnet+mhsa@3", "cpu")
    wrapper = model.module.get_submodule("layer3")
    for parameter in (wrapper.gate, *wrapper.block.parameters()):
        parameter.requires_grad_(True)
    model.logits(torch.randn(1, 3, *model.input_size))[0, 0].backward()
    assert wrapper.gate.grad.abs() > 0
    assert all(parameter.grad.abs().max() == 0 for parameter in wrapper.block.parameters())


@pytest.mark.parametrize(
    ("text", "side", "said"),
    [
        ("random/test_vit+mhsa@6", None, r"has no effect.*stage 5 or earlier.*average"),
        ("random/deit_tiny_distilled_patch16_224+coord@12", 64, "has no effect"),
        ("random/test_resnet+mhsa@9", None, r"no stage 9.*1 \(layer1, .*4 \(layer4, "),
        ("random/hiera_tiny_224+mhsa@2", 64, "raster order.*stages that can: 4"),
        ("random/hrnet_w18_small+mhsa@2", 64, "several tensors"),
        ("random/tnt_s_legacy_patch16_224+mhsa@3", None, "several tensors"),
        ("random/crossvit_9_240+mhsa@2", None, "one module"),
        ("random/coat_tiny+mhsa@3", 64, "one module.*stages that can: 1"),
    ],
)
def test_where_a_block_cannot_stand_the_reason_is_the_error(text: str, side: int | None, said: str) -> None:
    with pytest.raises(InsertionError, match=said):
        load(sized(text, side), "cpu")


def test_unknown_block_offers_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="mhsa"):
        load("random/test_resnet+mhas@3", "cpu")


def test_class_token_model_that_pools_by_average_takes_a_block_at_the_end() -> None:
    spec = ModelSpec.parse("random/test_vit+mhsa@6", options=(("global_pool", "avg"),))
    assert load(spec, "cpu").inserted == "blocks.5.block"
