"""Any module is served as far as it can be, and its attention lies where it is."""

from __future__ import annotations

import gc
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models as tv
from safetensors.torch import save_file
from torch import Tensor, nn
from wrapped import NETWORKS, SIDE, Encoder, Tokens, made, wrapped

import explorer
from explorer.attention.maps import AttentionMap
from explorer.cli.main import main
from explorer.errors import (
    ExplorerError,
    MethodError,
    ModelError,
    NoAttentionError,
    ParameterError,
    UnknownNameError,
    WeightsError,
)
from explorer.models.stages import find_stages
from explorer.ui.controls import parse_spec
from explorer.view import View

CAT = explorer.samples()["cat"]
DOCUMENT = Path(__file__).parents[1] / "docs" / "wrapping.md"


def _maps(model: explorer.Model) -> list[AttentionMap]:
    found = explorer.capture(model, CAT)
    if unplaced := [one for one in found if one.layout is None]:
        raise MethodError(f"not placed: {unplaced}")
    return found


#: The columns of the table in the documents, and what is run for each.
ABILITIES: dict[str, Callable[[explorer.Model], Any]] = {
    "maps": _maps,
    "CAM": lambda model: explorer.attribute(model, CAT, "gradcam"),
    "IG": lambda model: explorer.attribute(model, CAT, "integrated_gradients", n_steps=4),
    "occlusion": lambda model: explorer.attribute(model, CAT, "occlusion"),
    "rollout": lambda model: explorer.attribute(model, CAT, "attention_rollout"),
    "gradient rollout": lambda model: explorer.attribute(model, CAT, "gradient_rollout"),
    "compare": lambda model: explorer.compare([model], CAT, explorer.Transform(dx=8)),
    "answers": lambda model: explorer.probe("consistency", model, [CAT], passes=1),
    "features": lambda model: explorer.probe("equivariance", model, [CAT]),
    "field": lambda model: explorer.probe("receptive-field", model),
}


def row_of(name: str, model: explorer.Model) -> str:
    """A model's row of the table: what it serves, by running it. Only errors of ours count as a no."""
    cells = []
    for run in ABILITIES.values():
        try:
            run(model)
            cells.append("yes")
        except (MethodError, NoAttentionError):
            cells.append("-")
    return f"| {name} | {' | '.join(cells)} |"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_says_what_each_serves(name: str) -> None:
    assert row_of(name, wrapped(made(name), **NETWORKS[name][1])) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_the_table_has_these_columns_and_rows() -> None:
    lines = [
        one
        for one in DOCUMENT.read_text(encoding="utf-8").partition("What each can do")[2].splitlines()
        if one[:1] == "|"
    ]
    assert lines[0] == f"| | {' | '.join(ABILITIES)} |"
    assert [one.split(" | ")[0].removeprefix("| ") for one in lines[2:]] == list(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_are_the_networks_own(name: str) -> None:
    network = made(name)
    model = wrapped(network, **NETWORKS[name][1])
    x = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        bare = network((x - 0.5) / 0.25)
        given = model.logits(x)
    for part in ("logits", "image_embeds", "pooler_output"):
        bare = getattr(bare, part, bare)
    assert torch.equal(given, bare)
    assert set(model.module.state_dict()) == set(network.state_dict())


# --------------------------------------------------------------------------------------------- where attention lies


@pytest.mark.parametrize("shuffled", [False, True])
def test_tokens_lie_where_they_are_in_any_order(shuffled: bool) -> None:
    """The order of the places is the network's own, and found."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1)) if shuffled else torch.arange(64)
    torch.manual_seed(0)
    model = wrapped(Tokens(registers=2, order=order))
    (first, _) = explorer.capture(model, CAT)
    assert first.layout is not None
    assert first.layout.prefix == ("class", "register 1", "register 2")
    assert first.layout.key_grid == (8, 8)
    expected = torch.cat([torch.tensor([-2, -3, -4]), order])
    assert torch.equal(first.layout.key_index[0], expected)
    assert first.layout.query_index is not None
    assert torch.equal(first.layout.query_index[0], expected)
    # Only tokens in reading order make a stage whose features lie on the image.
    assert all(bool(stage.problem) == shuffled for stage in model.stages)


def test_a_row_is_the_networks_own_attention() -> None:
    torch.manual_seed(0)
    network = Tokens(registers=1)
    model = wrapped(network)
    given: list[Tensor] = []
    handle = network.blocks[0].register_forward_pre_hook(lambda _, args: given.append(args[0]))
    (first, _) = explorer.capture(model, CAT)
    handle.remove()
    query, key, _ = network.blocks[0].qkv(given[0]).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2) * 8**-0.5).softmax(-1)[0]
    torch.testing.assert_close(first.rows("class"), weights[:, 0, 2:].unflatten(-1, (8, 8)))
    at = explorer.Point(3.5 * 8, 5.5 * 8)
    torch.testing.assert_close(first.rows(at), weights[:, 2 + 5 * 8 + 3, 2:].unflatten(-1, (8, 8)))


SMALL = {
    "vit_tiny_patch16_224": {"depth": 2, "embed_dim": 48},
    "swin_tiny_patch4_window7_224": {"depths": (2, 2), "embed_dim": 24, "num_heads": (2, 4)},
    "levit_128s": {},
}


@pytest.mark.parametrize("timms", SMALL)
def test_what_is_found_is_what_timm_says(timms: str) -> None:
    """Wrapped like a stranger's, a network of timm's has the layouts that are written down for it."""
    spec = explorer.ModelSpec(timms, "random", options=tuple(sorted(SMALL[timms].items())))
    known = explorer.load(spec, device="cpu")
    model = wrapped(timm.create_model(timms, **SMALL[timms]), input_size=224)
    picture = torch.rand(1, 3, 224, 224)
    for ours, theirs in zip(explorer.capture(model, picture), explorer.capture(known, picture), strict=True):
        assert ours.layer == theirs.layer
        assert ours.layout is not None
        assert theirs.layout is not None
        assert ours.layout.key_grid == theirs.layout.key_grid
        assert torch.equal(ours.layout.key_index, theirs.layout.key_index), ours.layer
        assert ours.layout.prefix == theirs.layout.prefix


def test_the_fast_path_is_left_while_watched_and_taken_again() -> None:
    network = Encoder().eval()
    model = wrapped(network)
    assert any("fused path" in note for note in model.notes)
    hooks = [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in network.modules()]
    assert not any(hooks)
    ran: list[str] = []
    layer = torch._transformer_encoder_layer_fwd

    def fast(*args: Any, **kwargs: Any) -> Any:
        ran.append("fast")
        return layer(*args, **kwargs)

    x = torch.rand(1, 3, SIDE, SIDE)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(torch, "_transformer_encoder_layer_fwd", fast)
        bare = model.logits(x)
        assert ran == ["fast", "fast"]
        maps = explorer.capture(model, x)
        assert ran == ["fast", "fast"], "nothing would be seen in it"
        assert len(maps) == 2
        again = model.logits(x)
        assert len(ran) == 4
    assert torch.equal(bare, again)


def test_what_is_not_certain_is_asked_for() -> None:
    """Behind a mixing of all places nothing tells which token is where; the layout can be said."""

    class Mixed(Tokens):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + x.mean((2, 3), keepdim=True).roll(1, 0) + x.flip(3))

    torch.manual_seed(0)
    network = Mixed(registers=0)
    model = wrapped(network)
    assert explorer.capture(model, CAT)[0].layout is None
    with pytest.raises(ParameterError, match=r"layout=\{'prefix'"):
        wrapped(network, stages=["blocks.0"])
    told = wrapped(network, stages=["blocks.0"], layout={"prefix": ["class"], "grid": (8, 8)})
    assert told.stages[0].grid == (8, 8)
    assert told.stages[0].prefix == 1
    layout = explorer.capture(told, CAT)[0].layout
    assert layout is not None
    assert layout.prefix == ("class",)
    assert layout.key_index[0, :3].tolist() == [-2, 0, 1]
    assert told.spec != model.spec, "another layout is another model"


# ------------------------------------------------------------------------------------------------------- known answers


def test_gradcam_reads_any_named_layer() -> None:
    network = made("torchvision ResNet")
    model = wrapped(network, stages=["layer2", "layer3.0.conv1"])
    found = explorer.attribute(model, CAT, "gradcam", stage=2)
    assert found.layer == "layer3.0.conv1"
    picture = model.normalise(model.preprocess(explorer.read_image(CAT).image))
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, out: Tensor) -> Tensor:
        kept.append(out.requires_grad_())
        return out

    handle = network.layer3[0].conv1.register_forward_hook(keep)
    logits = network(picture)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits.max(), kept[0])
    expected = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1)[0]
    torch.testing.assert_close(found.values, expected.detach(), rtol=1e-4, atol=1e-7)


def test_pooled_is_what_the_classifier_is_given() -> None:
    network = made("torchvision ResNet")
    model = wrapped(network)
    x = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(network.fc(model.pooled(x)), model.logits(x))
    assert model.pooled(x).shape == (2, 512)


def test_stages_of_a_resnet_are_timms() -> None:
    torchvisions = wrapped(made("torchvision ResNet"))
    timms, _ = find_stages(timm.create_model("resnet18"), torch.rand(1, 3, SIDE, SIDE))
    for ours, theirs in zip(torchvisions.stages, timms, strict=True):
        assert (ours.name, ours.grid, ours.channels, ours.reduction, ours.layout) == (
            theirs.name,
            theirs.grid,
            theirs.channels,
            theirs.reduction,
            theirs.layout,
        )


def test_a_map_with_as_many_channels_as_rows_is_told_by_what_it_follows() -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1)

    def network(*last: nn.Module) -> nn.Module:
        body = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.ReLU(), *last)
        return nn.Sequential(body, nn.Flatten(), nn.Linear(16**3, 3))

    torch.manual_seed(0)
    assert wrapped(network(), stages=["0"]).stages[0].layout == "NCHW"
    assert wrapped(network(Last()), stages=["0"]).stages[0].layout == "NHWC"


def test_rollout_follows_what_the_answer_reads() -> None:
    by_class = wrapped(made("`scaled_dot_product_attention`, registers"))
    by_mean = wrapped(made("`torch.nn.TransformerEncoder`"))
    assert not by_class.trace.reads_places
    assert by_mean.trace.reads_places


# --------------------------------------------------------------------------------------------- its text, and errors


def test_a_model_is_found_by_its_text_as_long_as_it_is_alive() -> None:
    network = made("torchvision ResNet")
    model = wrapped(network)
    text = str(model.spec)
    assert re.fullmatch(r"module:ResNet@[0-9a-f]{12}", text)
    assert explorer.load(text) is model
    assert str(wrapped(made("torchvision ResNet")).spec) == text, "the same weights, told the same"
    assert str(wrapped(network, labels=list("abcde")).spec) != text
    with torch.no_grad():
        network.fc.bias.add_(1)
    assert str(wrapped(network).spec) != text
    with pytest.raises(ModelError, match=r"explorer\.wrap"):
        explorer.load(f"{text}+mhsa@2")
    del model
    gc.collect()
    with pytest.raises(ModelError, match=r"explorer\.wrap"):
        explorer.load(text)
    with pytest.raises(ParameterError, match="by name alone"):
        parse_spec(text, True, [text])


def test_two_functions_without_a_name_are_two_models() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    first, second, again = (
        explorer.wrap(network, input_size=16, mean=(0, 0, 0), std=(1, 1, 1), output=one)
        for one in (lambda given: given[:, :4], lambda given: given[:, 2:], lambda given: given[:, :4])
    )
    assert first.spec == again.spec != second.spec
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(first.logits(picture), explorer.load(str(first.spec)).logits(picture))
    assert not torch.equal(first.logits(picture), explorer.load(str(second.spec)).logits(picture))


def test_the_bundle_of_a_wrapped_model_computes_its_numbers_again(tmp_path: Path) -> None:
    model = wrapped(made("`scaled_dot_product_attention`, registers"), labels=list("abcde"))
    file = explorer.report(View(models=(str(model.spec),), source="cat"), tmp_path / "evidence.zip")
    with zipfile.ZipFile(file) as bundle:
        bundle.extractall(tmp_path / "bundle")
    program = (tmp_path / "bundle" / "reproduce.py").read_text(encoding="utf-8")
    assert f'# "{model.spec}" is your own module: give it to explorer.wrap' in program
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exec(compile(program, "reproduce.py", "exec"), {"__file__": str(tmp_path / "bundle" / "reproduce.py")})


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        ({"input_size": 0}, ParameterError, "from 1 to 4096"),
        ({"input_size": (64, 64, 3)}, ParameterError, r"\(height, width\)"),
        ({"mean": (0.5, 0.5)}, ParameterError, "mean is three numbers, or one or four"),
        ({"mean": (0.5,)}, ParameterError, "mean has 1 numbers and std 3"),
        ({"std": (0.5, 0, 1)}, ParameterError, "std is numbers above 0"),
        ({"mean": (0.5, float("nan"), 0.5)}, ParameterError, "mean is three numbers"),
        ({"std": (0.5, float("inf"), 1)}, ParameterError, "std is three numbers"),
        ({"labels": "abcde"}, ParameterError, "labels are a list of names"),
        ({"stages": [4]}, ParameterError, "list of paths"),
        ({"head": "argmax"}, ParameterError, "head is one of softmax, sigmoid, none"),
        ({"labels": ["a"]}, ParameterError, "1 labels for 5 outputs"),
        ({"stages": ["layer9"]}, UnknownNameError, "layer"),
        ({"stages": "layer4"}, ParameterError, "list of paths"),
        ({"stages": ["fc"]}, ParameterError, "no feature map"),
        ({"layout": {"grid": (7, 7)}}, ParameterError, "make 49"),
        ({"layout": (7, 7)}, ParameterError, r"as in \{'prefix'"),
        ({"output": "logits"}, ParameterError, "not among what the module gives"),
        ({"output": lambda given: given[:, :, None, None].expand(-1, -1, 2, 2)}, ModelError, "say with output"),
    ],
)
def test_what_is_wrong_is_said(told: dict[str, Any], error: type[ExplorerError], said: str) -> None:
    with pytest.raises(error, match=said):
        wrapped(made("torchvision ResNet"), **told)


def test_where_no_stage_is_found_it_is_said_how_to_name_one() -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 2)
    )
    told: dict[str, Any] = {"input_size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    with pytest.raises(MethodError, match=r"stages=\["):
        explorer.attribute(explorer.wrap(module, **told), CAT, "gradcam")
    named = explorer.wrap(module, stages=["0"], **told)
    assert explorer.attribute(named, CAT, "gradcam").values.ndim == 2


def test_what_does_not_run_is_said() -> None:
    with pytest.raises(ModelError, match=r"cannot run on pictures \(B, 3, 64, 64\)"):
        wrapped(nn.Linear(5, 2))
    with pytest.raises(ParameterError, match=r"torch\.nn\.Module is expected, got str"):
        wrapped("resnet18")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="say with output"):
        wrapped(nn.Conv2d(3, 4, 3))


# ------------------------------------------------------------------------------------------------------- torchvision


def test_torchvision_by_name(tmp_path: Path) -> None:
    model = explorer.load("random/tv:resnet18#4", device="cpu")
    assert (model.input_size, model.crop_pct, model.interpolation, model.state) == (
        (224, 224),
        0.875,
        "bilinear",
        "random",
    )
    assert len(model.labels) == model.num_classes == 1000
    with pytest.raises(WeightsError, match=r"\.pth.*resnet18\.tv_in1k"):
        explorer.load("tv:resnet18")
    with pytest.raises(UnknownNameError, match="resnet18"):
        explorer.load("random/tv:resnet81")
    file = tmp_path / "own.safetensors"
    save_file({name: one.clone() for name, one in model.module.state_dict().items()}, file)
    again = explorer.load(explorer.ModelSpec.parse("tv:resnet18", weights_file=str(file)), device="cpu")
    assert again.state == "file"
    x = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(again.logits(x), model.logits(x))


def test_the_list_of_models_has_torchvisions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--search", "swin_t", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {"tv:swin_t"} <= {name for name in rows if name.startswith("tv:")}
    assert rows["tv:swin_t"]["parameters"] == sum(one.numel() for one in tv.swin_t().parameters())
    assert rows["tv:swin_t"]["input_size"] == [224, 224]
    assert main(["models", "--search", "tv:*"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("tv:alexnet")
    assert main(["models", "--search", "tv:swim_t"]) == 2
    assert "tv:swin_t" in capsys.readouterr().err


def test_a_block_stands_in_a_model_of_torchvisions() -> None:
    plain = explorer.load("random/tv:resnet18", device="cpu")
    model = explorer.load("random/tv:resnet18+mhsa@3", device="cpu")
    x = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(model.logits(x), plain.logits(x)), "behind a closed gate"
    (found,) = explorer.capture(model, x)
    assert found.layer.startswith("layer3.block")
    assert found.grid == (14, 14)


# ------------------------------------------------------------------------------------------------------- the command

PROGRAM = """
import torch
import explorer

def model():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, 8), torch.nn.Flatten(), torch.nn.Linear(512, 3))
    return explorer.wrap(net, input_size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), labels=["a", "b", "c"])

def other():
    return 3
"""


def test_the_command_takes_a_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    file.write_text(PROGRAM, encoding="utf-8")
    assert (
        main(["compare", "--image", "cat", "--model", "lab/conv", "--module", f"{file}:model", "--device", "cpu"]) == 0
    )
    said = capsys.readouterr().out
    assert "module:Sequential@" in said
    assert "lab/conv" in said
    for text, wrong in (
        (f"{file}:other", "what explorer.wrap gives is expected, got int"),
        (f"{file}:gone", "no attribute 'gone'"),
        (f"{file}", "FILE.py:FUNCTION"),
        (f"{tmp_path}/no.py:model", "there is no file"),
    ):
        assert main(["predict", "--image", "cat", "--module", text]) == 2
        assert wrong in capsys.readouterr().err
    assert main(["predict", "--image", "cat"]) == 2
    assert "--module FILE.py:FUNCTION" in capsys.readouterr().err
