"""Files that are not what they should be: configurations, manifests and records of any form end in a sentence."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

from explorer.cli.main import main
from explorer.errors import ExplorerError, ModelError, WeightsError
from explorer.lab import networks
from explorer.lab.experiment import trained_specs
from explorer.lab.networks import MANIFEST, read_manifest
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.models.weights import RECORD
from explorer.resources import asset

#: What no JSON object is.
NO_OBJECT = {
    "empty": b"",
    "cut": b'{"models": [{"spec": "lab/co',
    "latin-1": '{"é": 1}'.encode("latin-1"),
    "utf-16": '{"models": []}'.encode("utf-16"),
    "binary": bytes(range(256)),
    "list": b"[]",
    "number": b"7",
    "null": b"null",
    "text": b'"models"',
    "deep": b"[" * 200_000,
    "long number": b"{" + b'"models": ' + b"9" * 10_000 + b"}",
}
WRONG: list[Any] = [
    *(None, True, -1, 0, 3, 1.5, 10**30, float("nan"), float("inf"), "", "x", "é" * 2000),
    *([], {}, [None], [[]], [1, 2, 3], ["a", "b", "c"], {"a": 1}, {"0": None}, [-1, -1, -1], [3, 0, 0], [1, 8, 8]),
]


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return timm.create_model("test_resnet", num_classes=10).state_dict()


@pytest.mark.parametrize("name", NO_OBJECT)
def test_a_configuration_that_is_no_object(tmp_path: Path, name):
    (tmp_path / "config.json").write_bytes(NO_OBJECT[name])
    with pytest.raises(ModelError, match=r"config\.json"):
        load(f"random/local-dir:{tmp_path}", "cpu")


PLACES = [
    *("architecture", "num_classes", "num_features", "global_pool", "model_args", "pretrained_cfg", "label_names"),
    *("id2label", "label_descriptions", "problem_type", "multi_label", "activation"),
    *(f"pretrained_cfg.{name}" for name in ("input_size", "test_input_size", "fixed_input_size", "interpolation")),
    *(f"pretrained_cfg.{name}" for name in ("crop_pct", "test_crop_pct", "crop_mode", "mean", "std", "num_classes")),
    *(f"pretrained_cfg.{name}" for name in ("pool_size", "first_conv", "classifier", "label_names", "custom_load")),
    *(f"model_args.{name}" for name in ("img_size", "in_chans", "num_classes", "channels", "layers", "act_layer")),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_configuration_with_an_entry_of_any_form(tmp_path: Path, place, every):
    """It is read, or answered by a sentence; never by what Python says of a wrong type."""
    for value in WRONG if every else WRONG[PLACES.index(place) % 8 :: 8]:
        config: dict[str, Any] = {"architecture": "test_resnet", "num_classes": 10}
        config["pretrained_cfg"] = {"input_size": [3, 32, 32]}
        part, _, key = place.rpartition(".")
        (config.setdefault(part, {}) if part else config)[key] = value
        (tmp_path / "config.json").write_text(json.dumps(config))
        with contextlib.suppress(ExplorerError):
            model = load(f"random/local-dir:{tmp_path}", "cpu")
            with torch.inference_mode():
                model.logits(torch.zeros(1, 3, *model.input_size))


# ---- manifests ------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Two of the models that ship, with their manifest."""
    records = [networks.manifest()[name] for name in ("lab/conv", "lab/none")]
    for record in records:
        shutil.copy(asset("checkpoints", record["file"]), tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps({"models": [dict(one) for one in records]}))
    return tmp_path


@pytest.mark.parametrize("name", NO_OBJECT)
def test_a_manifest_that_is_no_object(checkpoints: Path, capsys, name):
    (checkpoints / MANIFEST).write_bytes(NO_OBJECT[name])
    with pytest.raises(WeightsError, match=r"is no manifest of trained models.*remove it"):
        read_manifest(checkpoints)
    assert main(["lab", "evaluate", "--checkpoints", str(checkpoints), "--out", str(checkpoints / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("entry", ["", "spec", "file", "sha256", "backbone", "training", "seed", "width"])
def test_a_manifest_with_an_entry_of_any_form(checkpoints: Path, entry):
    good = json.loads((checkpoints / MANIFEST).read_text())
    for value in [*WRONG, "../conv-0.safetensors", "/etc/passwd", "..", "a\\b", 10**9]:
        broken = json.loads(json.dumps(good))
        if entry:
            broken["models"][0][entry] = value
        else:
            broken["models"][0] = value
        (checkpoints / MANIFEST).write_text(json.dumps(broken))
        with contextlib.suppress(ExplorerError):
            for spec in trained_specs(None, checkpoints):
                assert Path(str(spec.weights_file)).parent == checkpoints
                load(spec, "cpu")
    if entry in ("spec", "file"):
        del good["models"][0][entry]
        (checkpoints / MANIFEST).write_text(json.dumps(good))
        with pytest.raises(WeightsError, match=f"'{entry}' of a model"):
            trained_specs(None, checkpoints)


def test_a_checkpoint_that_its_manifest_was_not_written_for_is_refused(checkpoints: Path, monkeypatch):
    spec = ModelSpec.parse("lab/conv", weights_file=str(checkpoints / "conv-0.safetensors"))
    assert load(spec, "cpu").state == "file"
    file = checkpoints / "conv-0.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # the last bit of a weight
    with pytest.raises(WeightsError, match=r"not the file that manifest\.json .* written for.*get it anew") as caught:
        load(spec, "cpu")
    assert str(checkpoints) not in str(caught.value)
    # One that ships, too.
    monkeypatch.setattr(networks, "asset", lambda _, name: checkpoints / name)
    networks.manifest.cache_clear()
    try:
        with pytest.raises(WeightsError, match="not the file that"):
            load("lab/conv", "cpu")
        assert load("lab/none", "cpu").state == "lab"
    finally:
        networks.manifest.cache_clear()
    (checkpoints / MANIFEST).unlink()
    assert load(spec, "cpu").state == "file"  # nothing says what it should be


@pytest.mark.parametrize("entry", ["spec", "backbone", "training", "seed", "width"])
def test_a_record_of_training_of_any_form(tmp_path: Path, tensors, entry):
    good = {"spec": "lab/conv", "backbone": "metaformer", "training": "centred", "seed": 0, "width": 10}
    file = tmp_path / "a.safetensors"
    for value in WRONG:
        safetensors.torch.save_file(tensors, file, {RECORD: json.dumps({**good, entry: value})})
        with pytest.raises(ExplorerError):
            load(ModelSpec.parse("lab/conv", weights_file=str(file)), "cpu")
