"""What mixes positions: said only where it is known, and shown where it can be; no model is called what it is not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models import list_models, model_entrypoint
from torch import Tensor, nn

from explorer.attention.layouts import layouts_of, mixers, why_none
from explorer.attention.maps import AttentionMap
from explorer.attention.watch import capture, recording
from explorer.errors import ModelError
from explorer.models.catalogue import describe
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec

CONV = "convolutions"
MLP, LINEAR = "an MLP over positions", "a linear layer over positions"
#: What mixes positions in one model of each kind without a map, by timm's source of it.
WITHOUT_MAPS: dict[str, tuple[str, ...]] = {
    "mixer_s32_224": (MLP,),
    "gmixer_12_224": (MLP,),
    "resmlp_12_224": (LINEAR,),
    "gmlp_ti16_224": (f"{LINEAR} that acts as a gate",),
    "sequencer2d_s": ("LSTMs along rows and columns",),
    "efficientvit_b0": ("linear attention with ReLU (it forms no weights that could be drawn)", CONV),
    "bat_resnext26ts": ("bilinear attention (its matrices over rows and columns are not drawn)", CONV),
    "focalnet_tiny_srf": ("focal modulation", CONV),
    "efficientvim_m1": ("a state space model", CONV),
    "poolformer_s12": ("average pooling", CONV),
    "poolformerv2_s12": ("average pooling", CONV),
    "convformer_s18": (CONV,),
    "convmixer_768_32": (CONV,),
    "convnext_atto": (CONV,),
    "starnet_s1": (CONV,),
    "mambaout_femto": (CONV,),
    "fasternet_t0": (CONV,),
    "inception_next_atto": (CONV,),
    "vgg11": (CONV,),
    "regnetx_004": (CONV,),
    "mobilenetv2_100": (CONV,),
    "mobilenetv4_conv_small": (CONV,),
    "resnetv2_18": (CONV,),
    "res2net50_14w_8s": (CONV,),
    "dla34": (CONV,),
    "densenet121": (CONV,),
}


@pytest.mark.parametrize("name", WITHOUT_MAPS)
def test_the_sentence_names_what_mixes_there(name: str) -> None:
    _, module = describe(name)
    assert mixers(module) == WITHOUT_MAPS[name]
    said = why_none(module)
    assert f"What mixes its positions, as far as this explorer knows: {', '.join(WITHOUT_MAPS[name])}." in said
    assert "plain" not in said


@pytest.mark.parametrize("name", ["mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224"])
def test_without_its_mixer_no_position_hears_of_another(name: str) -> None:
    """Independent of the table: what is not named as mixing does not mix."""
    module = timm.create_model(name, pretrained=False).eval()
    x = torch.rand(1, 3, 224, 224)
    changed = x.clone()
    changed[..., :32, :32] = 1 - changed[..., :32, :32]
    side = 224 // module.stem.patch_size[0]  # type: ignore[operator, union-attr]
    far = torch.arange(side * side).view(side, side)[side // 2 :].flatten()

    def heard() -> bool:
        with torch.inference_mode():
            before, after = (module.forward_features(one)[:, far] for one in (x, changed))  # type: ignore[operator]
        return not torch.equal(before, after)

    assert heard()
    for child in module.modules():
        kind = type(child).__name__
        if kind == "MixerBlock":
            child.mlp_tokens = _Zero()
        elif kind == "ResBlock":
            child.linear_tokens = _Zero()
        elif kind == "SpatialGatingUnit":
            child.proj = nn.Identity()
    assert not heard()


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_what_is_not_known_is_not_named() -> None:
    class Fourier(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft2(x).real

    cut = nn.Conv2d(3, 8, 16, 16)  # patches side by side mix nothing
    assert why_none(nn.Sequential(cut, Fourier())) == "This explorer does not know what mixes its positions."
    assert mixers(nn.Sequential(cut, nn.LSTM(8, 8), nn.Conv2d(8, 8, 3))) == ("a recurrent network", CONV)
    assert mixers(nn.Conv2d(3, 3, (1, 3))) == (CONV,)


@pytest.mark.long
def test_of_every_family_something_true_is_known() -> None:
    """Every model file of timm: its first model either has modules in the table or something that mixes."""
    families: dict[str, str] = {}
    for name in list_models():
        families.setdefault(model_entrypoint(name).__module__.rpartition(".")[2], name)
    for family, name in families.items():
        try:
            _, module = describe(name)
        except ModelError:
            continue
        assert layouts_of(module) or mixers(module), family


# ---- additive attention -------------------------------------------------------------------------------------------


def rows(one: AttentionMap, item: int = 0) -> Tensor:
    _, groups, _, queries, _ = one.weights.shape
    return torch.cat([one.weights.block(item, group, 0, queries) for group in range(groups)])


def test_additive_scores_are_the_modules_own() -> None:
    model = load("random/swiftformer_xs", "cpu")
    modules = {path: one for path, one in model.module.named_modules() if "AdditiveAttention" in type(one).__name__}
    given: dict[str, Tensor] = {}
    for path, one in modules.items():
        one.register_forward_pre_hook(lambda _, args, path=path: given.update({path: args[0]}))
    x = torch.rand(2, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        bare = model.logits(x)
        with recording(model) as recorder:
            assert torch.equal(model.logits(x), bare)
    maps = {one.layer: one for one in recorder.maps()}
    assert maps.keys() == modules.keys()
    for path, module in modules.items():
        one, own = maps[path], given[path]
        weigh: Any = module
        with torch.inference_mode():
            query = F.normalize(weigh.to_query(own.flatten(2).transpose(1, 2)), dim=-1)
            scores = (query @ weigh.w_g * weigh.scale_factor)[..., 0]
            scores = scores / scores.norm(dim=1, keepdim=True)
        assert (one.kind, one.grid, one.per_query) == ("context", tuple(own.shape[2:]), False)
        for item in range(2):
            assert (one.row(item=item).flatten() - scores[item].abs()).abs().max() < 1e-5
            assert float(one.row(item=item).square().sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["legacy_seresnet18", "hgnet_tiny"])
def test_gates_written_anew_in_a_family_are_seen(name: str) -> None:
    _, module = describe(name)
    assert layouts_of(module) == ("channel gate",)
    if name == "hgnet_tiny":
        return
    model = load(f"random/{name}", "cpu")
    maps = capture(model, torch.rand(1, 3, 64, 64))
    assert {one.unit for one in maps} == {"gate a channel, 0 to 1"}
    assert all(0 <= float(rows(one).min()) <= float(rows(one).max()) <= 1 for one in maps)


# ---- torch's own multi-head attention -----------------------------------------------------------------------------


class Encoder(nn.Module):
    """4 x 4 patches, then torch's own encoder layers, the mean over tokens and a linear head."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.patch, self.inner, self.head = nn.Conv2d(3, 16, 8, 8), inner, nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.patch(x).flatten(2).transpose(1, 2)).mean(1))


class Attend(nn.Module):
    """Self-attention with masks and whatever else the module is made with."""

    def __init__(self, masked: bool = False, **more: Any) -> None:
        super().__init__()
        self.masked, self.first = masked, more.get("batch_first", False)
        self.attend = nn.MultiheadAttention(16, 4, **more)

    def arguments(self, x: Tensor) -> dict[str, Any]:
        if not self.masked:
            return {}
        n = 16
        away = torch.zeros(len(x), n, dtype=torch.bool)
        away[:, -3:] = True
        return {"attn_mask": torch.ones(n, n, dtype=torch.bool).triu(1), "key_padding_mask": away}

    def forward(self, x: Tensor) -> Tensor:
        given = self.arguments(x)
        x = x if self.first else x.transpose(0, 1)
        out = self.attend(x, x, x, need_weights=False, **given)[0]
        return out if self.first else out.transpose(0, 1)


def wrapped(inner: nn.Module) -> Model:
    return Model(
        spec=ModelSpec.parse("random/resnet18"),
        module=Encoder(inner).requires_grad_(False).eval(),
        architecture="resnet18",
        input_size=(32, 32),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        interpolation="bicubic",
        crop_pct=1.0,
        labels=(),
        num_classes=5,
        headless_reason="",
        stages=(),
        device=torch.device("cpu"),
        state="random",
        inserted=None,
        inserted_state="random",
        transform=None,
        lock=threading.RLock(),
    )


@pytest.mark.parametrize(
    "more",
    [
        {"batch_first": True},
        {"batch_first": False},
        {"batch_first": True, "masked": True},
        {"batch_first": True, "bias": False},
        {"kdim": 16, "vdim": 16},
        {"add_bias_kv": True, "add_zero_attn": True, "masked": True},
    ],
    ids=str,
)
def test_the_weights_of_torchs_own_attention_are_what_it_returns(more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    inner = Attend(**more)
    for parameter in inner.attend.parameters():  # biases are zero at first
        nn.init.normal_(parameter, std=0.5)
    model = wrapped(inner)
    x = torch.rand(2, 3, 32, 32)
    (one,) = capture(model, x)
    with torch.no_grad():
        tokens = model.module.patch(x).flatten(2).transpose(1, 2)  # type: ignore[operator]
        seq = tokens if inner.first else tokens.transpose(0, 1)
        given = inner.arguments(tokens)
        _, own = inner.attend(seq, seq, seq, need_weights=True, average_attn_weights=False, **given)
    for item in range(2):
        assert (rows(one, item) - own[item]).abs().max() < 1e-5
    assert (one.mechanism, one.kind) == ("MultiheadAttention", "pairwise")
    # With two keys of its own the module has 18 of them, and no grid fits.
    assert one.grid == (None if "add_bias_kv" in more else (4, 4))


def test_an_encoder_layer_shows_its_attention_and_answers_as_before() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = wrapped(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    x = torch.rand(2, 3, 32, 32)
    maps = capture(model, x)
    assert [one.layer for one in maps] == ["inner.layers.0.self_attn", "inner.layers.1.self_attn"]
    bare = model.logits(x.requires_grad_())  # with gradients torch's fused path for inference is off
    with recording(model) as recorder:
        assert torch.equal(model.logits(x), bare)
    assert len(recorder.maps()) == 2
    with torch.inference_mode():
        fused = model.logits(x.detach())
        with recording(model):
            watched = model.logits(x.detach())
    assert (fused - watched).abs().max() < 1e-5
    for module in model.module.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
