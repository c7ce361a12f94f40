"""Models of transformers by name: the library's own answers and pictures, from safetensors alone, running no code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hubs import served, use_hub
from PIL import Image
from safetensors.torch import load_file, save_file
from wrapped import SIDE, made

import explorer
from explorer.cli.main import main
from explorer.errors import ExplorerError, ModelError, ParameterError, WeightsError
from explorer.models.loading import size_of
from explorer.models.sizes import Limits
from explorer.ui.controls import parse_spec

transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install transformers)")

LABELS = {0: "tench", 1: "goldfish", 2: "shark", 3: "ray", 4: "cock"}
_SQUARE = {"height": SIDE, "width": SIDE}
#: Of each network of `wrapped`: which class prepares its pictures, and how.
PROCESSORS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ViT": ("ViTImageProcessor", {"size": _SQUARE}),
    "DINOv2": ("BitImageProcessor", {"size": {"shortest_edge": 80}, "crop_size": _SQUARE, "resample": 3}),
    "Swin": ("ViTImageProcessor", {"size": _SQUARE, "resample": 3, "image_mean": [0.4, 0.5, 0.6]}),
    "BEiT": ("BeitImageProcessor", {"size": {"height": 72, "width": 72}, "crop_size": _SQUARE, "do_center_crop": True}),
    "ConvNeXt": ("ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875}),
    "CLIP": ("CLIPImageProcessor", {"size": {"shortest_edge": SIDE}, "crop_size": _SQUARE}),
    "SigLIP": ("SiglipImageProcessor", {"size": _SQUARE}),
    # Preparations of other families, before the same network.
    "ViT as MobileViT": ("MobileViTImageProcessor", {"size": {"shortest_edge": 72}, "crop_size": _SQUARE}),
    "ViT as EfficientNet": ("EfficientNetImageProcessor", {"size": _SQUARE, "rescale_offset": True}),
    "ViT as ConvNeXt": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories as the library writes them."""
    root = tmp_path_factory.mktemp("repositories")
    for name, (processor, told) in PROCESSORS.items():
        network: Any = made(f"transformers {name.split(' as ')[0]}")
        if hasattr(network.config, "id2label") and name not in ("CLIP", "SigLIP"):
            network.config.id2label, network.config.label2id = LABELS, {text: at for at, text in LABELS.items()}
        folder = root / "org" / name.replace(" ", "-")
        network.save_pretrained(folder)
        getattr(transformers, processor)(**told).save_pretrained(folder)
    return root


@pytest.fixture
def hub(repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with served(repositories) as server:
        use_hub(monkeypatch, server.server_port, tmp_path / "cache")
        yield server.RequestHandlerClass.asked  # type: ignore[attr-defined]


def _changed(repositories: Path, name: str, source: str = "ViT", **entries: Any) -> str:
    """Another repository, its config.json with other entries; None takes one out."""
    folder = repositories / "org" / name
    folder.mkdir(exist_ok=True)
    for file in (repositories / "org" / source).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = {**json.loads((folder / "config.json").read_text(encoding="utf-8")), **entries}
    kept = {key: one for key, one in config.items() if one is not None}
    (folder / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    return f"hf:org/{name}"


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", PROCESSORS)
def test_answers_labels_and_pictures_are_the_librarys_own(name: str, repositories: Path) -> None:
    folder = repositories / "org" / name.replace(" ", "-")
    asked = f"hf:org/{folder.name}"
    assert size_of(explorer.ModelSpec.parse(asked)).nbytes > 0
    model = explorer.load(asked, device="cpu")
    assert model.state == "pretrained"
    # The library's processor for its own network, as a program that knows neither of us would write it.
    rows, columns = np.mgrid[:90, :140] / 90
    smooth = np.stack([rows, columns / 1.6, 0.5 + 0.4 * np.sin(5 * rows + 3 * columns)], -1)
    picture = Image.fromarray((255 * smooth).clip(0, 255).astype(np.uint8))
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    theirs = processor(picture, return_tensors="pt")["pixel_values"]
    ours = model.normalise(model.preprocess(picture))
    if name == "ViT as MobileViT":
        ours = ours.flip(1)
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().mean()) < 0.05, "resampling apart"
    network: Any = made(f"transformers {name.split(' as ')[0]}")
    inputs = {"interpolate_pos_encoding": True} if name == "ViT as ConvNeXt" else {}
    with torch.inference_mode():
        bare = network(model.normalise(model.preprocess(picture)).flip(1) if "Mobile" in name else ours, **inputs)
        given = model.logits(model.preprocess(picture))
    for part in ("logits", "image_embeds", "pooler_output"):
        bare = getattr(bare, part, bare)
    torch.testing.assert_close(given, bare)
    if name in ("CLIP", "SigLIP"):
        assert "image tower" in model.headless_reason
    else:
        assert model.labels == tuple(LABELS.values())
        assert model.label_source.startswith("'id2label'")
        assert model.head.kind == "softmax"


@pytest.mark.usefixtures("hub")
def test_it_is_asked_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--image", "cat", "--model", "hf:org/ViT", "--device", "cpu"]) == 0
    assert "tench" in capsys.readouterr().out
    model = explorer.load("random/hf:org/Swin#3", device="cpu")
    assert model.state == "random"
    assert all(one.layout is not None for one in explorer.capture(model, explorer.samples()["cat"]))
    again = explorer.load("random/hf:org/Swin#3", device="cpu")
    assert all(torch.equal(*pair) for pair in zip(model.module.parameters(), again.module.parameters()))
    blocked = explorer.load("hf:org/ConvNeXt+mhsa@2", device="cpu")
    x = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.equal(blocked.logits(x), explorer.load("hf:org/ConvNeXt", device="cpu").logits(x))
    assert str(parse_spec("HF:org/ViT", False, [])) == "hf:org/ViT"


def test_heads_are_read_as_its_configuration_says(hub: list[str], repositories: Path) -> None:  # noqa: ARG001
    text = _changed(repositories, "several", problem_type="multi_label_classification")
    assert explorer.load(text, device="cpu").head.kind == "sigmoid"
    text = _changed(repositories, "numbers", problem_type="regression")
    assert "regression" in explorer.load(text, device="cpu").headless_reason
    base = _changed(repositories, "base", architectures=["ViTModel"])
    assert "feature vector" in explorer.load(f"random/{base}", device="cpu").headless_reason
    with pytest.raises(ParameterError, match="no classifier"):
        explorer.load(explorer.ModelSpec.parse(f"random/{base}", head="softmax"), device="cpu")


def test_a_repository_that_does_not_say_how_pictures_are_prepared(hub: list[str], repositories: Path) -> None:  # noqa: ARG001
    text = _changed(repositories, "unprepared")
    (repositories / "org" / "unprepared" / "preprocessor_config.json").unlink()
    model = explorer.load(explorer.ModelSpec.parse(text, input_size=(SIDE, SIDE)), device="cpu")
    assert any("does not say how pictures are prepared" in note for note in model.notes)
    assert model.mean == (0.5, 0.5, 0.5), "as the library's class for ViT does"


def test_nothing_of_a_repository_is_run_or_read_but_numbers(
    hub: list[str], repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').close()\n"
    remote = {"AutoConfig": "code.Config", "AutoModelForImageClassification": "code.Model"}
    text = _changed(repositories, "remote", auto_map=remote, _attn_implementation="org/kernel", attn_implementation="x")
    (repositories / "org" / "remote" / "code.py").write_text(code, encoding="utf-8")
    assert explorer.load(text, device="cpu").num_classes == 5, "the library's own network of that kind"
    unknown = _changed(repositories, "unknown", auto_map=remote, model_type="mine")
    with pytest.raises(ModelError, match=r"'mine'.*is not run here"):
        explorer.load(unknown, device="cpu")
    pickled = _changed(repositories, "pickled")
    weights = repositories / "org" / "pickled" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(WeightsError, match=r"no safetensors weights.*run code"):
        explorer.load(pickled, device="cpu")
    assert not mark.exists()
    assert not any(one.endswith((".py", ".bin")) for one in hub)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'attention-explorer\[transformers\]'"):
        explorer.load("hf:org/ViT", device="cpu")


@pytest.mark.parametrize(
    ("entries", "error", "said"),
    [
        ({"model_type": None, "architecture": "resnet18"}, ModelError, "hf-hub:ORG/NAME"),
        ({"model_type": "timm_wrapper"}, ModelError, "hf-hub: instead of hf:"),
        ({"model_type": "vit9"}, ModelError, "does not know it"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, ModelError, r"BertModel.*explorer\.wrap"),
        ({"num_hidden_layers": 10**9}, ModelError, "cannot be right"),
        ({"num_hidden_layers": 100_000}, ModelError, "more than 20,000 modules"),
        ({"hidden_size": 2**17, "intermediate_size": 2**19}, ModelError, "cannot be right|up to 6 GiB"),
        ({"num_hidden_layers": 3}, WeightsError, "are missing, first"),
        ({"intermediate_size": 60}, WeightsError, r"'vit\.layers\.0.*is \(64,\), and \(60,\) is expected"),
        ({"hidden_size": "wide"}, ModelError, "cannot be"),
        ({"hidden_act": "os.system"}, ModelError, "cannot be"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_cannot_be_served_says_why(
    repositories: Path, entries: dict[str, Any], error: type[ExplorerError], said: str
) -> None:
    text = _changed(repositories, "wrong", **entries)
    with pytest.raises(error, match=said):
        explorer.load(text, device="cpu")


@pytest.mark.usefixtures("hub")
def test_names_that_are_none_and_sizes() -> None:
    with pytest.raises(WeightsError, match="no model 'org/absent'"):
        explorer.load("hf:org/absent")
    with pytest.raises(ParameterError, match="takes no options"):
        explorer.load(explorer.ModelSpec.parse("hf:org/ViT", options=(("depth", 1),)))
    with pytest.raises(ParameterError, match="ORG/NAME is expected"):
        explorer.ModelSpec.parse("hf: ")
    with pytest.raises(ModelError, match="hf:ORG/NAME"):
        explorer.load("hf-hub:org/ViT")
    with pytest.raises(ModelError, match="are accepted here"):
        explorer.load("hf:org/ViT", limits=Limits(nbytes=80_000))
    spec = explorer.ModelSpec.parse("hf:org/ViT")
    assert size_of(spec).nbytes == explorer.load(spec, device="cpu").nbytes
    assert (size_of(spec).multiply_adds or 0) > 0


@pytest.mark.usefixtures("hub")
def test_a_file_takes_the_place_of_its_weights(repositories: Path, tmp_path: Path) -> None:
    tensors = load_file(repositories / "org" / "ViT" / "model.safetensors")
    bias = next(name for name in tensors if name.startswith("classifier") and name.endswith("bias"))
    save_file({**tensors, bias: tensors[bias] + 1}, tmp_path / "own.safetensors")
    own = explorer.load(
        explorer.ModelSpec.parse("hf:org/ViT", weights_file=str(tmp_path / "own.safetensors")), device="cpu"
    )
    x = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(own.logits(x), explorer.load("hf:org/ViT", device="cpu").logits(x) + 1)
    assert own.state == "file"


def test_who_asks_as_a_stranger_gets_nothing_from_the_cache_unasked(
    repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(repositories) as server:
        use_hub(monkeypatch, server.server_port, tmp_path / "cache")
        assert explorer.load("hf:org/ViT", device="cpu").num_classes == 5
    assert explorer.load("hf:org/ViT", device="cpu").num_classes == 5, "without network, from the cache"
    with pytest.raises(WeightsError, match="cannot be asked now"):
        explorer.load("hf:org/ViT", device="cpu", token=False)


@pytest.mark.usefixtures("hub")
def test_another_size_than_its_own() -> None:
    model = explorer.load(explorer.ModelSpec.parse("hf:org/ViT", input_size=(96, 96)), device="cpu")
    assert model.input_size == (96, 96)
    assert explorer.capture(model, explorer.samples()["cat"])[0].grid == (12, 12)


# ------------------------------------------------------------------------------------------ one channel, many files


def _grey(repositories: Path, **told: Any) -> tuple[str, Any]:
    """A repository of a network that reads grey pictures, as the library writes it, and the network."""
    folder = repositories / "org" / "-".join(("grey", *told))
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8,
        num_channels=1, id2label=LABELS, label2id={text: at for at, text in LABELS.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.ViTForImageClassification(config).eval()
    network.save_pretrained(folder)
    side = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(**{"size": side, "image_mean": [0.4], "image_std": [0.3], **told}).save_pretrained(
        folder
    )
    return f"hf:org/{folder.name}", network


@pytest.mark.usefixtures("hub")
def test_a_network_of_one_channel_is_given_grey_pictures(repositories: Path) -> None:
    spec, network = _grey(repositories)
    model = explorer.load(spec, device="cpu")
    assert (model.channels, model.mean, model.std) == (1, (0.4,), (0.3,))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8))
    pixels = (torch.from_numpy(np.array(picture))[None, None].float() / 255 - 0.4) / 0.3
    with torch.inference_mode():
        found = model.logits(model.preprocess(explorer.read_image(picture).image))
        torch.testing.assert_close(found, network(pixels).logits, rtol=1e-3, atol=1e-4)
    assert size_of(explorer.ModelSpec.parse(spec)).nbytes == model.nbytes
    assert (size_of(explorer.ModelSpec.parse(spec)).multiply_adds or 0) > 0
    assert explorer.capture(model, picture)
    for method in ("gradcam", "saliency", "attnlrp", "daam"):
        assert explorer.attribute(model, picture, method).values.any(), method


@pytest.mark.usefixtures("hub")
def test_pictures_prepared_for_other_channels_are_refused(repositories: Path) -> None:
    spec, _ = _grey(repositories, image_mean=[0.5, 0.5, 0.5])
    with pytest.raises(ModelError, match=r"reads 1 channels, and its preprocessor_config\.json has 3 means and 1"):
        explorer.load(spec, device="cpu")
    two = _changed(repositories, "two-channels", num_channels=2)
    with pytest.raises(ModelError, match="reads 2 channels; models of 1"):
        explorer.load(two, device="cpu")


def _in_parts(repositories: Path, name: str, parts: int = 3) -> Path:
    """The repository of ViT with its weights in several files, as the library writes large ones."""
    _changed(repositories, name)
    folder = repositories / "org" / name
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for number in range(parts):
        file = f"model-{number + 1:05}-of-{parts:05}.safetensors"
        own = {key: one for at, (key, one) in enumerate(sorted(tensors.items())) if at % parts == number}
        save_file(own, folder / file)
        weight_map |= dict.fromkeys(own, file)
    index = {"metadata": {"total_size": sum(one.nbytes for one in tensors.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def test_weights_in_several_files_are_one_models(hub: list[str], repositories: Path) -> None:
    _in_parts(repositories, "parts")
    model, whole = explorer.load("hf:org/parts", device="cpu"), explorer.load("hf:org/ViT", device="cpu")
    x = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(x), whole.logits(x))
    own, other = model.module.state_dict(), whole.module.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)
    assert model.state == "pretrained"
    assert len({path for path in hub if "org/parts" in path and "-of-00003" in path}) == 3


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("absent", "has no model-00002-of-00003.safetensors, which its model.safetensors.index.json names"),
        ("outside", "weight_map of model.safetensors.index.json has to name"),
        ("pickle", "weight_map of model.safetensors.index.json has to name"),
        ("empty", "weight_map of model.safetensors.index.json has to name"),
        ("twice", "is in model-00002-of-00003.safetensors and in a file before it"),
        ("less", "tensors of the network are missing, first"),
        ("no JSON", "not readable JSON"),
    ],
)
def test_parts_that_do_not_make_a_whole_say_so(repositories: Path, what: str, says: str) -> None:
    folder = _in_parts(repositories, f"parts-{what.replace(' ', '-')}")
    index = folder / "model.safetensors.index.json"
    stored = json.loads(index.read_text(encoding="utf-8"))
    second = folder / "model-00002-of-00003.safetensors"
    first = folder / "model-00001-of-00003.safetensors"
    if what == "absent":
        second.unlink()
    elif what in ("outside", "pickle"):
        stored["weight_map"]["bias"] = "../../ViT/model.safetensors" if what == "outside" else "pytorch_model.bin"
    elif what == "empty":
        stored["weight_map"] = {}
    elif what == "twice":
        save_file({**load_file(second), **load_file(first)}, second)
    elif what == "less":
        stored["weight_map"] = {key: name for key, name in stored["weight_map"].items() if name != second.name}
    index.write_text("{" if what == "no JSON" else json.dumps(stored), encoding="utf-8")
    with pytest.raises((WeightsError, ModelError), match=says):
        explorer.load(f"hf:org/{folder.name}", device="cpu")
