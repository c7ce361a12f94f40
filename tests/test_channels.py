"""Networks of grey pictures and of four channels, and weights with another head or first layer than the published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision.models as tv
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from wrapped import wrapped

import explorer
from explorer.cli.main import main
from explorer.errors import ModelError, WeightsError
from explorer.view.code import command

CAT = explorer.samples()["cat"]


def _spec(name: str, channels: int, **fields: Any) -> explorer.ModelSpec:
    return explorer.ModelSpec.parse(name, options=(("in_chans", channels),), **fields)


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / 3


@pytest.mark.parametrize("channels", [1, 4])
def test_the_network_is_given_what_it_reads(channels: int) -> None:
    model = explorer.load(_spec("random/test_resnet", channels), device="cpu")
    assert model.channels == channels
    image = Image.effect_noise((160, 160), 80).convert("RGB")
    image.putpixel((3, 4), (255, 0, 10))
    x = model.preprocess(image)
    given = model.normalise(x)
    config: Any = model.module.pretrained_cfg
    means, stds = config["mean"], config["std"]
    seen = Image.fromarray((255 * x[0].permute(1, 2, 0)).round().byte().numpy())
    if channels == 1:
        grey = torch.from_numpy(np.asarray(seen.convert("L"), dtype=np.float32) / 255)[None, None]
        expected = (grey - _mean(means)) / _mean(stds)
        assert float((given - expected).abs().max()) <= 0.51 / 255 / _mean(stds), "rounded by PIL to whole levels"
    else:
        opaque = torch.from_numpy(np.asarray(seen.convert("RGBA"), dtype=np.float32) / 255).permute(2, 0, 1)[None]
        all_means, all_stds = (torch.tensor([*one, _mean(one)]).view(1, 4, 1, 1) for one in (means, stds))
        torch.testing.assert_close(given, (opaque - all_means) / all_stds)
    with torch.inference_mode():
        assert torch.equal(model.logits(x), model.module(given))
    assert any("channel" in note for note in model.notes)


@pytest.mark.parametrize("channels", [1, 4])
def test_it_serves_what_others_serve(channels: int) -> None:
    convolutional = explorer.load(_spec("random/test_resnet+mhsa@3", channels), device="cpu")
    vit = explorer.load(_spec("random/test_vit", channels), device="cpu")
    assert explorer.capture(convolutional, CAT)
    assert explorer.capture(vit, CAT)
    few = {"n_steps": 2, "baseline": "mean"}
    for method, told in {"gradcam": {}, "integrated_gradients": few, "occlusion": {}}.items():
        assert torch.isfinite(explorer.attribute(vit, CAT, method, **told).values).all()
    assert len(explorer.compare([convolutional, vit], CAT, explorer.Transform(dx=8)).rows) == 2
    for probe in ("receptive-field", "position"):
        assert explorer.probe(probe, convolutional).rows
    for probe in ("consistency", "equivariance", "effective-receptive-field"):
        assert explorer.probe(probe, convolutional, [CAT]).rows


def test_published_weights_are_summed_over_colours_as_timm_does(tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=10)
    told: dict[str, Any] = {"architecture": "test_resnet", "num_classes": 10}
    (tmp_path / "config.json").write_text(json.dumps({**told, "pretrained_cfg": {"first_conv": "conv1.0"}}))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    model = explorer.load(_spec(f"local-dir:{tmp_path}", 1), device="cpu")
    grey = torch.rand(1, 1, 160, 160)
    with torch.inference_mode():
        torch.testing.assert_close(model.module(grey), network.eval()(grey.expand(-1, 3, -1, -1)))
    # A repository may say itself that it reads one channel.
    own = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    (tmp_path / "config.json").write_text(json.dumps({**told, "pretrained_cfg": {}, "model_args": {"in_chans": 1}}))
    save_file(own.state_dict(), tmp_path / "model.safetensors")
    model = explorer.load(f"local-dir:{tmp_path}", device="cpu")
    assert model.channels == 1
    with torch.inference_mode():
        torch.testing.assert_close(model.module(grey), own.eval()(grey))
    with pytest.raises(ModelError, match="reads 2 channels; models of 1"):
        explorer.load(_spec("random/test_resnet", 2), device="cpu")


def test_a_module_of_ones_own_may_read_grey_pictures() -> None:
    network = nn.Sequential(nn.Conv2d(1, 6, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    model = wrapped(network, mean=(0.5,), std=(0.25,))
    assert model.channels == 1
    explorer.attribute(model, CAT, "integrated_gradients", n_steps=2)
    white = torch.ones(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(white), network((white[:, :1] - 0.5) / 0.25))


def _file(network: nn.Module, path: Path) -> str:
    save_file({name: one.clone() for name, one in network.state_dict().items()}, path)
    return str(path)


@pytest.mark.parametrize(("classes", "channels"), [(7, 3), (10, 1), (7, 4)])
def test_a_file_with_another_head_makes_the_model_fit(tmp_path: Path, classes: int, channels: int) -> None:
    network = timm.create_model("test_vit", num_classes=classes, in_chans=channels).eval()
    file = _file(network, tmp_path / "own.safetensors")
    model = explorer.load(explorer.ModelSpec.parse("random/test_vit", weights_file=file), device="cpu")
    assert (model.num_classes, model.channels, model.state) == (classes, channels, "file")
    assert model.labels == (), "ImageNet's names would be wrong"
    x: Tensor = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(x), network(model.normalise(x)))
    assert any("softmax" in note for note in model.notes), "its own head says nothing of how it is read"


def test_a_file_with_another_head_of_torchvisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tv.resnet18(num_classes=4), tmp_path / "own.safetensors")
    assert main(["predict", "--image", "cat", "--model", "tv:resnet18", "--weights", file, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "class " in said
    assert "tabby" not in said


def test_what_does_not_fit_says_what_came_and_what_was_expected(tmp_path: Path) -> None:
    network = timm.create_model("test_vit", num_classes=7)
    state = {name: one.clone() for name, one in network.state_dict().items()}
    state["norm.weight"] = torch.ones(5)
    save_file(state, tmp_path / "own.safetensors")
    spec = explorer.ModelSpec.parse("random/test_vit", weights_file=str(tmp_path / "own.safetensors"))
    with pytest.raises(WeightsError, match=r"of another shape, first 'norm.weight' \(5,\) for \(64,\)"):
        explorer.load(spec, device="cpu")


def test_the_command_says_channels_and_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", "random/test_vit", "--device", "cpu"]
    assert main(["predict", "--image", "cat", *model, "--in-chans", "1", "--num-classes", "7", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["models"]
    spec = explorer.ModelSpec("test_vit", "random", options=(("in_chans", 1), ("num_classes", 7)))
    expected = explorer.predict(explorer.load(spec, device="cpu"), CAT)
    assert [one["index"] for one in told["prediction"]] == [one.index for one in expected.top]
    assert told["prediction"][0]["probability"] == pytest.approx(expected.top[0].probability, rel=1e-5)
    assert main(["predict", "--image", "cat", "--model", "test_vit.r160_in1k", "--num-classes", "7"]) != 0
    assert "leave the classifier untrained" in capsys.readouterr().err
    assert main(["predict", "--image", "cat", *model, "--in-chans", "2"]) != 0
    assert "reads 2 channels; models of 1" in capsys.readouterr().err
    assert main(["predict", "--image", "cat", "--model", "lab/mhsa", "--in-chans", "1"]) != 0
    assert "option" in capsys.readouterr().err
    view = explorer.View((spec,), "cat")
    assert "--in-chans 1 --num-classes 7" in command(view)
