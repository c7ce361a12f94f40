"""The insertion of blocks into backbones of every layout."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from explorer.blocks import BLOCKS
from explorer.errors import InsertionError, UnknownNameError
from explorer.models.insertion import Inserted, insert
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.models.stages import find_stages

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
        return load(ModelSpec.parse(text, **fields), "cpu").module.get_submodule("layer3.block.projections").weight

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
        ("random/tnt_s_legacy_patch16_224+mhsa@12", None, "has no effect"),
        ("random/pit_ti_224+mhsa@3", None, "has no effect"),
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


# Six families, small, at a depth at which they still have every kind of stage: three layouts of features, and a hybrid.
BACKBONES: dict[str, tuple[str, dict[str, object]]] = {
    "test_resnet": ("NCHW", {}),
    "test_convnext": ("NCHW", {}),
    "swin_tiny_patch4_window7_224": ("NHWC", {"img_size": 64, "depths": (1, 1, 2, 1), "embed_dim": 24}),
    "vit_tiny_patch16_224": ("tokens", {"img_size": 64, "depth": 3}),
    "deit_tiny_distilled_patch16_224": ("tokens", {"img_size": 64, "depth": 3}),
    "test_coatnet": ("NCHW", {"img_size": 64}),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_every_block_at_every_stage_leaves_the_answer_as_it_was(name: str) -> None:
    layout, options = BACKBONES[name]
    network = timm.create_model(name, num_classes=10, **options).eval()
    probe = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    stages, _ = find_stages(network, probe)
    assert {stage.layout for stage in stages} == {layout}
    names = list(network.state_dict())
    unread = layout == "tokens"  # after the last block of a class-token model nothing reads the patch tokens
    with torch.inference_mode():
        answer = network(probe)
        for stage in stages:
            original = network.get_submodule(stage.name)
            for block in BLOCKS:
                spec = ModelSpec(name, "random", block, stage.number)
                if unread and stage is stages[-1] and block != "none":
                    with pytest.raises(InsertionError, match="no effect"):
                        insert(network, stages, spec, probe)
                else:
                    assert insert(network, stages, spec, probe) == f"{stage.name}.block"
                    assert torch.equal(network(probe), answer), (block, stage)
                    network.set_submodule(stage.name, original)
                assert network.get_submodule(stage.name) is original
        assert torch.equal(network(probe), answer)
    assert list(network.state_dict()) == names


def test_the_control_alone_may_have_no_effect() -> None:
    model = load("random/test_vit+none@6", "cpu")
    assert model.inserted == "blocks.5.block"
    with pytest.raises(InsertionError, match="no effect"):
        load("random/test_vit+conv@6", "cpu")
