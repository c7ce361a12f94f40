"""Loading: weights, labels, preprocessing, sizes, devices, seeds, errors; against timm itself and published answers."""

from __future__ import annotations

import http.server
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import REAL
from local_hub import serving, use_hub
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor

from explorer import models
from explorer.errors import ModelError, ParameterError, UnknownNameError, WeightsError
from explorer.models.catalogue import describe, search
from explorer.models.device import choose_device
from explorer.models.labels import headless_reason
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.store import ModelStore

ROOT = Path(__file__).resolve().parents[1]


def noise(model: models.Model, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, *model.input_size, generator=torch.Generator().manual_seed(3))


# ---- real weights -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REAL)
def test_photographs_are_named_as_an_independent_run_named_them(
    name: str, real_specs: dict[str, str], data: Path
) -> None:
    model = load(real_specs[name], "cpu")
    assert (model.state, model.num_classes, model.headless, model.label(258)) == ("pretrained", 1000, False, "Samoyed")
    for photo in json.loads((data / "photos" / "labels.json").read_text()):
        with Image.open(data / "photos" / photo["file"]) as image, torch.inference_mode():
            probabilities = model.logits(model.preprocess(image)).softmax(1)[0]
        expected = photo["expected"][name]
        assert int(probabilities.argmax()) == expected["top1"], photo["file"]
        assert float(probabilities.max()) == pytest.approx(expected["p"], abs=0.01), photo["file"]


@pytest.mark.parametrize("name", REAL)
def test_preprocessing_and_answers_are_timms_own_to_the_last_bit(name: str, real_specs: dict[str, str]) -> None:
    model = load(real_specs[name], "cpu")
    own = timm.create_model(real_specs[name], pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(own))
    for size in [(224, 224), (500, 333), (31, 77)]:
        image = Image.effect_noise(size, 80).convert("RGB")
        x = model.preprocess(image)
        assert (x.shape, x.dtype) == ((1, 3, *model.input_size), torch.float32)
        assert 0 <= x.min() <= x.max() <= 1
        assert torch.equal(model.normalise(x)[0], transform(image))
        with torch.inference_mode():
            assert torch.equal(model.logits(x), own(transform(image)[None]))
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert not model.module.training


def test_positions_are_resampled_to_another_size_as_timm_does(real_specs: dict[str, str]) -> None:
    text = real_specs["vit_tiny_patch16_224"]
    model = load(ModelSpec.parse(text, input_size=(160, 256)), "cpu")
    own = timm.create_model(text, pretrained=True, img_size=(160, 256)).eval()
    assert (model.input_size, model.stages[3].grid) == ((160, 256), (10, 16))
    x = noise(model)
    with torch.inference_mode():
        assert torch.equal(model.logits(x), own(model.normalise(x)))


def test_non_square_preprocessing_is_timms(real_specs: dict[str, str]) -> None:
    model = load(ModelSpec.parse(real_specs["mobilenetv2_100"], input_size=(96, 160)), "cpu")
    config = resolve_model_data_config(model.module, args={"input_size": (3, 96, 160)})
    for size in [(300, 200), (200, 300)]:
        image = Image.effect_noise(size, 80).convert("RGB")
        assert torch.equal(model.normalise(model.preprocess(image))[0], create_transform(**config)(image))


# ---- seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet", "test_maxvit"])
def test_random_weights_are_those_of_the_seed_and_leave_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(5)
    expected = timm.create_model(name).state_dict()
    before = torch.get_rng_state()
    got = load(f"random/{name}#5", "cpu").module.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(got[key], value) for key, value in expected.items())
    other = load(f"random/{name}#6", "cpu").module.state_dict()
    assert any(not torch.equal(other[key], value) for key, value in expected.items())


def test_random_weights_do_not_depend_on_what_other_threads_do() -> None:
    specs = [f"random/test_vit#{seed}" for seed in range(4)]
    alone = [load(spec, "cpu").module.state_dict() for spec in specs]
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            torch.randn(10)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda spec: load(spec, "cpu").module.state_dict(), specs))
    finally:
        stop.set()
        disturber.join()
    for a, b in zip(alone, together, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


# ---- stages, labels, heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "third", "count"),
    [
        ("resnet18", "layer3", 4),
        ("resnetv2_18", "stages.2", 4),
        ("test_convnext", "stages.2", 4),
        ("mobilenetv2_100", "blocks.2", 5),
        ("mobilenetv3_small_050", "blocks.3", 4),
        ("regnetx_002", "s3", 4),
        ("test_maxvit", "stages.2", 4),
        ("test_vit", "blocks.2", 6),
    ],
)
def test_stages_are_counted_from_one_without_the_stem(name: str, third: str, count: int) -> None:
    model = load(f"random/{name}", "cpu")
    assert [stage.number for stage in model.stages] == list(range(1, count + 1))
    assert model.stages[2].name == third


def test_stage_features_come_out_as_timm_gives_them() -> None:
    for name in ("test_vit", "resnet18", "swin_tiny_patch4_window7_224"):
        model = load(ModelSpec.parse(f"random/{name}", input_size=(64, 96)), "cpu")
        x = model.normalise(noise(model))
        wanted = model.module.forward_intermediates(x, intermediates_only=True)[-len(model.stages) :]
        for stage, expected in zip(model.stages, wanted, strict=True):
            seen: list[Tensor] = []
            part = model.module.get_submodule(stage.name)
            handle = part.register_forward_hook(lambda _m, _i, out, seen=seen: seen.append(out))
            model.module(x)
            handle.remove()
            assert tuple(expected.shape) == (1, stage.channels, *stage.grid)
            torch.testing.assert_close(stage.spatial(seen[0]), expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eva02_tiny_patch14_224.mim_in22k", "no classification head"),
        ("vit_xsmall_patch16_clip_224.tinyclip_yfcc15m", "CLIP.*512 outputs"),
    ],
)
def test_a_model_without_a_head_says_so_and_has_a_pooled_feature(name: str, said: str) -> None:
    model = load(ModelSpec.parse(f"random/{name}", input_size=(112, 112)), "cpu")
    assert model.headless
    assert (model.num_classes, model.labels) == (0, ())
    assert re.search(said, model.headless_reason)
    with torch.inference_mode():
        feature = model.pooled(noise(model))
    assert feature.ndim == 2
    assert feature.isfinite().all()


def test_heads_and_towers_of_every_published_model_are_told_apart() -> None:
    """timm's own names tell: fine-tuned ones end in the set they know, towers in the text pairs they saw."""
    for name in timm.list_pretrained():
        config = timm.get_pretrained_cfg(name).to_dict()
        classes = config.get("num_classes", 0)
        reason = headless_reason(timm.models.get_arch_name(name), config, classes)
        if classes == 0:
            assert "no classification head" in reason, name
        elif "_ft_in" in name or name.endswith(("in1k", "in21k", "in22k", "in12k", "inw21k", "bamboo")):
            assert reason == "", name
        elif re.search(r"openai|laion|dfn|metaclip|datacomp|merged2b|yfcc15m$|cc12m|mclip|pe_core", name):
            assert "CLIP" in reason, name


def test_class_names_of_the_imagenet_sets_by_index_and_else_by_number() -> None:
    def names(classes: int) -> Model:
        return load(ModelSpec.parse("random/test_resnet", options=(("num_classes", classes),)), "cpu")

    assert [names(1000).label(index) for index in (0, 258, 999)] == ["tench", "Samoyed", "toilet tissue"]
    for classes, subset in [(11821, "imagenet-12k"), (21841, "imagenet-22k"), (21843, "imagenet-21k-goog")]:
        model = names(classes)
        own = timm.data.ImageNetInfo(subset)
        assert len(model.labels) == classes
        for index in (0, 5000, classes - 1):
            assert own.index_to_description(index).split(",")[0] == model.label(index)
    ten = names(10)
    assert (ten.headless, ten.labels, ten.label(7)) == (False, (), "class 7")


# ---- sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_vit", "resnet18", "swin_tiny_patch4_window7_224"])
def test_non_square_input_where_the_model_takes_it(name: str) -> None:
    model = load(ModelSpec.parse(f"random/{name}", input_size=(96, 160)), "cpu")
    assert model.input_size == (96, 160)
    assert model.preprocess(Image.new("RGB", (50, 70))).shape == (1, 3, 96, 160)
    last = model.stages[-1]
    assert last.grid == (96 // last.reduction, 160 // last.reduction)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("test_vit", (100, 160), "patches of 16 x 16 px.*multiples"),
        ("efficientformer_l1", (256, 256), r"256 x 256 px \(its own size is 224 x 224 px\)"),
        ("test_maxvit", (100, 100), "divisible by window"),
        ("inception_v3", (20, 20), "too small"),
    ],
)
def test_a_size_that_is_not_possible_gives_the_reason(name: str, size: tuple[int, int], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        load(ModelSpec.parse(f"random/{name}", input_size=size), "cpu")


@pytest.mark.parametrize("size", [(0, 10), (10, 5000), (10,), (10.5, 10)])
def test_a_size_that_is_none_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ParameterError, match="input size"):
        load(ModelSpec("test_vit", "random", input_size=size), "cpu")


def test_extreme_shapes_are_prepared_without_growing_huge() -> None:
    model = load("random/test_vit", "cpu")
    for size in [(1, 1), (1, 5000), (5000, 1)]:
        start = time.perf_counter()
        x = model.preprocess(Image.new("RGB", size, (255, 0, 0)))
        assert time.perf_counter() - start < 2
        assert torch.equal(x, torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand_as(x))


# ---- files --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return {key: value.clone() for key, value in load("random/test_resnet#9", "cpu").module.state_dict().items()}


def test_a_safetensors_file_takes_the_place_of_the_weights(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "w.safetensors")
    # The published weights are not fetched for it: there is no network here.
    model = load(ModelSpec.parse("test_resnet.r160_in1k", weights_file=str(tmp_path / "w.safetensors")), "cpu")
    assert model.state == "file"
    assert all(torch.equal(value, tensors[key]) for key, value in model.module.state_dict().items())
    inserted = load(ModelSpec.parse("test_resnet+mhsa@2", weights_file=str(tmp_path / "w.safetensors")), "cpu")
    assert inserted.inserted is not None
    assert (inserted.state, inserted.state_of(inserted.inserted)) == ("file", "identity-init")
    with torch.inference_mode():
        assert torch.equal(inserted.logits(noise(model)), model.logits(noise(model)))


def test_a_file_with_a_trained_block_fills_the_block_too(tmp_path: Path) -> None:
    source = load("random/test_resnet+mhsa@2#3", "cpu")
    with torch.no_grad():
        source.module.get_submodule("layer2").gate.fill_(0.5)
    save_file(source.module.state_dict(), tmp_path / "w.safetensors")
    model = load(ModelSpec.parse("random/test_resnet+mhsa@2", weights_file=str(tmp_path / "w.safetensors")), "cpu")
    assert model.state_of("layer2.block.projections") == "file"
    with torch.inference_mode():
        assert torch.equal(model.logits(noise(model)), source.logits(noise(model)))
    with pytest.raises(WeightsError, match="inserts none"):
        load(ModelSpec.parse("random/test_resnet", weights_file=str(tmp_path / "w.safetensors")), "cpu")


def spoiled(tensors: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    key = "layer1.0.conv1.weight"
    changed = {name: value.clone() for name, value in tensors.items()}
    if how == "missing":
        del changed[key]
    elif how == "unexpected":
        changed["extra.weight"] = torch.zeros(1)
    elif how == "shape":
        changed[key] = torch.zeros(2, 2)
    else:
        changed[key].view(-1)[3] = float(how)
    return changed


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "1 missing, first 'layer1.0.conv1.weight'"),
        ("unexpected", "1 unexpected, first 'extra.weight'"),
        ("shape", r"1 of another shape, first 'layer1.0.conv1.weight' \(2, 2\)"),
        ("nan", "'layer1.0.conv1.weight' has values that are not finite"),
        ("inf", "'layer1.0.conv1.weight' has values that are not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    tensors: dict[str, Tensor], tmp_path: Path, how: str, said: str
) -> None:
    save_file(spoiled(tensors, how), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=said):
        load(ModelSpec.parse("random/test_resnet", weights_file=str(tmp_path / "w.safetensors")), "cpu")


def folder(path: Path, tensors: dict[str, Tensor] | None, config: object = None) -> str:
    path.mkdir(exist_ok=True)
    base = {"architecture": "test_resnet", "num_classes": 1000, "pretrained_cfg": {"input_size": [3, 160, 160]}}
    (path / "config.json").write_text(json.dumps(base if config is None else config))
    if tensors is not None:
        save_file(tensors, path / "model.safetensors")
    return f"local-dir:{path}"


def test_a_folder_is_read_as_timm_reads_it(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    text = folder(tmp_path / "with+plus#hash", tensors)
    model = load(text, "cpu")
    own = timm.create_model(text, pretrained=True).eval()
    with torch.inference_mode():
        assert torch.equal(model.logits(noise(model)), own(model.normalise(noise(model))))
    names = [f"kind {index}" for index in range(1000)]
    config = {"architecture": "test_resnet", "label_names": names, "pretrained_cfg": {"num_classes": 1000}}
    assert load(folder(tmp_path / "named", tensors, config), "cpu").label(12) == "kind 12"


@pytest.mark.parametrize("how", ["missing", "shape", "nan"])
def test_a_folder_with_wrong_weights_is_refused(tensors: dict[str, Tensor], tmp_path: Path, how: str) -> None:
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight"):
        load(folder(tmp_path / how, spoiled(tensors, how)), "cpu")


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ([1, 2], ModelError, "names no timm architecture"),
        ({"num_classes": 3}, ModelError, "names no timm architecture"),
        ({"architecture": "test_resnot"}, UnknownNameError, "test_resnet"),
        ({"architecture": "test_resnet", "pretrained_cfg": {"nonsense": 1}}, ModelError, "nonsense"),
        ({"architecture": "test_resnet", "pretrained_cfg": {}, "model_args": {"depth": -1}}, ModelError, "depth"),
    ],
)
def test_a_folder_with_a_wrong_config_is_refused(
    tmp_path: Path, config: object, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        load(folder(tmp_path / "x", None, config), "cpu")


def test_a_folder_that_is_not_one(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        load(f"local-dir:{tmp_path / 'absent'}", "cpu")
    with pytest.raises(ModelError, match=r"no config\.json"):
        load(f"local-dir:{tmp_path}", "cpu")
    text = folder(tmp_path / "model", tensors)
    (tmp_path / "model" / "config.json").write_text("{broken")
    with pytest.raises(ModelError, match="not readable JSON"):
        load(text, "cpu")
    folder(tmp_path / "model", tensors)
    file = tmp_path / "model" / "model.safetensors"
    for content in (b"", file.read_bytes()[:500], b"not weights at all"):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match="not a readable safetensors file"):
            load(text, "cpu")
    file.unlink()
    with pytest.raises(WeightsError, match="has no weights"):
        load(text, "cpu")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "weights.pt", "model.ckpt"])
def test_a_pickle_is_never_read(tmp_path: Path, tensors: dict[str, Tensor], name: str) -> None:
    mark = tmp_path / "mark"
    text = folder(tmp_path / "model", None)
    file = tmp_path / "model" / name
    file.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(WeightsError, match="run code"):
        load(text, "cpu")
    with pytest.raises(WeightsError, match="run code"):
        load(ModelSpec.parse("random/test_resnet", weights_file=str(file)), "cpu")
    # A pickle under another name is not read as one either.
    shutil.copy(file, tmp_path / "model" / "model.safetensors")
    with pytest.raises(WeightsError, match="not a readable safetensors"):
        load(text, "cpu")
    # Nor is one that timm would prefer, or that the config points at.
    (tmp_path / "model" / "model.safetensors").unlink()
    config = {
        "architecture": "test_resnet",
        "pretrained_cfg": {"file": str(file), "url": file.as_uri(), "custom_load": True},
        "model_args": {"checkpoint_path": str(file)},
    }
    folder(tmp_path / "model", None, config)
    save_file(tensors, tmp_path / "model" / "open_clip_model.safetensors")
    assert load(text, "cpu").state == "pretrained"
    assert not mark.exists()
    pickle.loads(file.read_bytes())
    assert mark.exists()  # it would have been seen


def test_options_that_could_bring_in_other_weights_are_refused() -> None:
    for key in ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "features_only"):
        with pytest.raises(ParameterError, match=key):
            load(ModelSpec.parse("random/test_resnet", options=((key, "x"),)), "cpu")
    with pytest.raises(ParameterError, match="num_classes"):
        load(ModelSpec.parse("test_resnet", options=(("num_classes", 10),)), "cpu")


# ---- the hub ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tensors: dict[str, Tensor], tmp_path: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """A hub on this machine, with a good model under two names, one that has only a pickle, and an empty one."""
    root = tmp_path / "hub"
    for repository in ("org/good", "org/pickled", "org/empty", "timm/test_resnet.r160_in1k"):
        (root / repository).mkdir(parents=True)
        folder(root / repository, None if repository in ("org/pickled", "org/empty") else tensors)
    (root / "org/empty" / "config.json").unlink()
    (root / "org/pickled" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    with serving(root) as server:
        yield server


GOOD, TAGGED = "hf-hub:org/good", "test_resnet.r160_in1k"


def test_weights_come_from_the_hub_then_from_the_cache_and_never_from_a_pickle(
    hub: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, hub.server_port, tmp_path / "cache")

    def answer(text: str) -> Tensor:
        model = load(text, "cpu")
        with torch.inference_mode():
            return model.logits(noise(model))

    expected = {GOOD: answer(f"local-dir:{tmp_path / 'hub' / 'org/good'}"), TAGGED: answer("random/test_resnet#9")}
    for name, logits in expected.items():
        assert torch.equal(answer(name), logits)
    for name, error, said in [
        ("hf-hub:org/pickled", WeightsError, "no safetensors weights.*run code"),
        ("hf-hub:org/empty", ModelError, r"no config\.json"),
        ("hf-hub:org/absent", WeightsError, "no model 'org/absent'"),
        ("hf-hub:org/good@v9", WeightsError, "no revision 'v9'"),
        ("hf-hub:gated/model", WeightsError, "gated.*HF_TOKEN"),
        ("hf-hub:a/b/c", WeightsError, "not a hub name"),
    ]:
        with pytest.raises(error, match=said):
            load(name, "cpu")
    # The pickle was not even fetched.
    assert not any(path.endswith(".bin") for path in hub.RequestHandlerClass.asked)  # type: ignore[attr-defined]
    assert not (tmp_path / "mark").exists()
    hub.shutdown()
    hub.server_close()
    for name, logits in expected.items():
        assert torch.equal(answer(name), logits)
    start = time.perf_counter()
    with pytest.raises(WeightsError, match=r"Connect to the network.*HF_HOME.*local-dir:.*random/"):
        load("resnet18.a1_in1k", "cpu")
    assert time.perf_counter() - start < 5


def test_a_hub_that_never_answers_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_hub(monkeypatch, silent.getsockname()[1], tmp_path / "cache")
        monkeypatch.setattr("explorer.models.hub.HUB_SECONDS", 0.3)
        start = time.perf_counter()
        with pytest.raises(WeightsError, match="cannot be reached"):
            load(GOOD, "cpu")
        assert time.perf_counter() - start < 3


def test_hf_endpoint_and_hf_home_are_respected(hub: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path / "home")}
    code = "from explorer.models.hub import hub_file\nfrom explorer.models.weights import hub_weights\n"
    code += "hub_file('org/good', 'config.json')\n"
    code += "print(hub_weights('org/good'))"
    path = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True, cwd=ROOT).strip()
    assert Path(path).is_relative_to(tmp_path / "home" / "hub")
    assert Path(path).read_bytes() == (tmp_path / "hub" / "org/good" / "model.safetensors").read_bytes()


def test_weights_that_are_published_only_as_a_pickle_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"published only as .*\.pth.*random/gcvit_xxtiny"):
        load("gcvit_xxtiny", "cpu")


# ---- names, devices, sizes in bytes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("resnet5O", UnknownNameError, "resnet50"),
        ("random/vit_tinny_patch16_224", UnknownNameError, "vit_tiny_patch16_224"),
        ("resnet18.nonsense_tag", UnknownNameError, "a1_in1k"),
        ("resnet18.a1_in", UnknownNameError, "a1_in1k"),
        ("timm/resnet18", ParameterError, "hf-hub:timm/resnet18"),
        ("ftp:resnet18", ParameterError, "ftp"),
        ("lab/ca_c2", UnknownNameError, "lab/ca_c2f"),
        ("random/vit_7b_patch16_dinov3", ModelError, r"25\.\d GiB.*up to 6 GiB"),
    ],
)
def test_a_name_that_cannot_be_served_says_why(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        load(text, "cpu")


def test_preprocessing_can_be_overridden_and_is_checked() -> None:
    changes = (("crop_pct", 1.0), ("interpolation", "nearest"), ("mean", (0.0, 0.0, 0.0)), ("std", (1.0, 1.0, 1.0)))
    model = load(ModelSpec.parse("random/test_vit", preprocessing=changes), "cpu")
    image = Image.effect_noise((160, 160), 80).convert("RGB")
    exact = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(160, 160, 3).permute(2, 0, 1) / 255
    x = model.preprocess(image)
    assert torch.equal(x[0], exact)
    assert torch.equal(model.normalise(x), x)
    for key, value in [("crop_pct", 2.0), ("interpolation", "magic"), ("mean", (0.5,)), ("colour", 1)]:
        with pytest.raises(ParameterError, match=key):
            load(ModelSpec.parse("random/test_vit", preprocessing=((key, value),)), "cpu")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("gpu", "cuda:99", "meta"):
        with pytest.raises(ParameterError, match="device"):
            choose_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device().type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device().type == "cpu"
    with pytest.raises(ParameterError, match="mps"):
        choose_device("mps")


def test_nothing_of_a_model_is_float64() -> None:
    model = load("random/test_vit+mhsa@2", "cpu")
    x = model.preprocess(Image.new("RGB", (300, 200)))
    held = [*model.module.parameters(), *model.module.buffers(), model.normalise(x), model._mean, model._std]
    assert all(tensor.dtype != torch.float64 for tensor in held)


def test_state_of_each_module() -> None:
    model = load("random/test_vit+mhsa@2", "cpu")
    assert model.inserted == "blocks.1.block"
    assert {model.state_of(path) for path in ("blocks.0.attn", "blocks.1.block", "blocks.1.wrapped.attn")} == {"random"}


def test_state_of_a_block_in_a_pretrained_model(real_specs: dict[str, str]) -> None:
    plain = load(real_specs["vit_tiny_patch16_224"], "cpu")
    model = load(real_specs["vit_tiny_patch16_224"] + "+mhsa@6", "cpu")
    assert model.state_of("blocks.5.block") == model.state_of("blocks.5.block.projections") == "identity-init"
    assert model.state_of("blocks.5.wrapped.attn") == model.state_of("blocks.50") == "pretrained"
    assert model.parameters == plain.parameters + 4 * 192 * 193 + 1
    with torch.inference_mode():
        assert torch.equal(model.logits(noise(model)), plain.logits(noise(model)))


def test_store_loads_once_keeps_to_its_bytes_and_sees_a_changed_file(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    original = load

    def counting(spec: ModelSpec, *rest: Any) -> Model:
        loaded.append(str(spec))
        return original(spec, *rest)

    monkeypatch.setattr("explorer.models.store.load", counting)
    one = original("random/test_resnet", "cpu").nbytes
    store = ModelStore(int(2.5 * one))
    with ThreadPoolExecutor(4) as pool:
        same = list(pool.map(lambda _: store.get("random/test_resnet", "cpu"), range(4)))
    assert len(loaded) == 1
    assert all(model is same[0] for model in same)
    store.get("random/test_resnet#1", "cpu")
    store.get("random/test_resnet", "cpu")
    store.get("random/test_resnet#2", "cpu")  # drives #1 out, the least recently used
    assert (len(store), store.nbytes <= 2.5 * one) == (2, True)
    assert store.get("random/test_resnet", "cpu") is same[0]
    store.get("random/test_resnet#1", "cpu")
    assert loaded == [f"random/test_resnet{seed}" for seed in ("", "#1", "#2", "#1")]
    same.clear()  # what is held counts
    text = folder(tmp_path / "model", tensors)
    first = store.get(text, "cpu")
    assert store.get(text, "cpu") is first
    del first
    save_file(spoiled(tensors, "7.0"), tmp_path / "model" / "model.safetensors")
    assert store.get(text, "cpu").module.get_parameter("layer1.0.conv1.weight").view(-1)[3] == 7


def test_bytes_and_parameters_are_those_of_the_file(real_specs: dict[str, str]) -> None:
    path = real_specs["vit_tiny_patch16_224"].partition(":")[2]
    held = load_file(Path(path) / "model.safetensors").values()
    model = load(real_specs["vit_tiny_patch16_224"], "cpu")
    assert model.parameters == sum(tensor.numel() for tensor in held) == 5_717_416
    assert model.nbytes == sum(tensor.nbytes for tensor in held)


# ---- the catalogue ------------------------------------------------------------------------------------------------


def test_search_finds_what_timm_has() -> None:
    found = search("swin", limit=None)
    assert [entry.name for entry in found if not any("swin" in tag for tag in entry.tags)] == timm.list_models("*swin*")
    entry = next(entry for entry in found if entry.name == "swin_tiny_patch4_window7_224")
    assert (entry.family, entry.input_size, entry.num_classes) == ("swin_transformer", (224, 224), 1000)
    assert entry.tags[0] == "ms_in1k"
    assert [entry.name for entry in search("RESNET18")] == timm.list_models("*resnet18*")
    assert [entry.name for entry in search("resnet1?")] == timm.list_models("resnet1?") == ["resnet10t", "resnet18"][1:]
    assert len(search("vit", limit=3)) == 3
    assert any(entry.name == "vit_small_patch14_dinov2" for entry in search("lvd142m"))
    assert search("no such model at all") == []
    gcvit = search("gcvit_xxtiny")[0]
    assert (gcvit.tags, gcvit.downloadable) == (("in1k",), ())


def test_describe_counts_parameters_without_building() -> None:
    entry, module = describe("vit_tiny_patch16_224")
    assert entry.parameters == 5_717_416
    assert all(parameter.is_meta for parameter in module.parameters())
    with pytest.raises(UnknownNameError, match="vit_tiny_patch16_224"):
        describe("vit_tiny_patch16_242")
