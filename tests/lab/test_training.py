"""Training: the same from the same seed, interrupted or not; networks equal in parameters, mixed by the block alone."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from explorer.blocks import BLOCKS
from explorer.errors import ParameterError, TrainingError, UnknownNameError, WeightsError
from explorer.lab import networks, training
from explorer.lab.grid import train_grid, write_manifest
from explorer.lab.networks import LabModel, all_models, build, width_of
from explorer.lab.training import Recipe, train
from explorer.models.loading import load
from explorer.models.spec import ModelSpec

SHORT = Recipe(images=96, epochs=2, batch=32)
LITTLE = LabModel("conv")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(training, "JUDGED", 50)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)  # after every step


def _tensors(folder: Path, name: str = "conv-0") -> dict[str, torch.Tensor]:
    return load_file(folder / f"{name}.safetensors")


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    for folder in ("a", "b"):
        train(LITTLE, 0, tmp_path / folder, SHORT)
    train(LITTLE, 1, tmp_path / "a", SHORT)
    assert _same(_tensors(tmp_path / "a"), _tensors(tmp_path / "b"))
    assert not _same(_tensors(tmp_path / "a"), _tensors(tmp_path / "a", "conv-1"))


class _Stop(Exception):
    pass


def _stop(_progress):
    raise _Stop


@pytest.mark.parametrize("model", [LITTLE, LabModel("coord", "resnet")], ids=["conv", "resnet+coord"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, model):
    train(model, 0, tmp_path / "whole", SHORT)

    def stop(progress):
        if progress.step in (2, 4):
            raise _Stop

    for _ in range(2):  # in the first epoch, and in the second
        with pytest.raises(_Stop):
            train(model, 0, tmp_path / "cut", SHORT, progress=stop)
    steps = []
    train(model, 0, tmp_path / "cut", SHORT, progress=lambda progress: steps.append(progress.step))
    assert steps == [5, 6]
    name = networks.file_name(model, 0)
    assert _same(_tensors(tmp_path / "whole", name), _tensors(tmp_path / "cut", name))
    assert not list((tmp_path / "cut").glob("*.resume"))


_CHILD = """
import sys
from pathlib import Path
import torch
from explorer.lab import training
from explorer.lab.networks import LabModel
torch.set_num_threads(int(sys.argv[2]))
training.JUDGED, training.CHECKPOINT_SECONDS = 50, -1.0
training.train(LabModel("conv"), 0, Path(sys.argv[1]), training.Recipe(images=96, epochs=40, batch=32))
"""


def test_a_killed_run_loses_nothing(tmp_path):
    long = replace(SHORT, epochs=40)
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path / "cut"), str(torch.get_num_threads())])
    started = tmp_path / "cut" / "conv-0.resume"
    try:
        end = time.monotonic() + 120
        while not started.is_file() and time.monotonic() < end and child.poll() is None:
            time.sleep(0.05)
        time.sleep(0.3)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert started.is_file()
    first = torch.load(started, weights_only=True)["step"]
    assert 0 < first < long.steps
    steps = []
    train(LITTLE, 0, tmp_path / "cut", long, progress=lambda progress: steps.append(progress.step))
    assert steps[0] == first + 1
    train(LITTLE, 0, tmp_path / "whole", long)
    assert _same(_tensors(tmp_path / "whole"), _tensors(tmp_path / "cut"))


def test_a_run_of_another_recipe_is_not_continued(tmp_path):
    with pytest.raises(_Stop):
        train(LITTLE, 0, tmp_path, SHORT, progress=_stop)
    with pytest.raises(TrainingError, match="another recipe"):
        train(LITTLE, 0, tmp_path, replace(SHORT, rate=0.5))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    with pytest.raises(TrainingError, match="loss is nan"):
        train(LITTLE, 0, tmp_path, replace(SHORT, rate=1e30, clip=1e30, epochs=6))
    assert not list(tmp_path.glob("*.safetensors"))


def test_training_leaves_nothing_behind(tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(LITTLE, 0, tmp_path, SHORT)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conv-0.safetensors"]


def test_a_grid_trains_what_is_missing_and_says_what_each_file_is(tmp_path):
    train(LITTLE, 0, tmp_path, SHORT)
    finished = []
    runs = [(LITTLE, 0), (LabModel("none"), 0)]
    manifest = train_grid(runs, tmp_path, SHORT, finished=lambda record: finished.append(record["spec"]))
    assert finished == ["lab/none"]
    assert manifest == json.loads((tmp_path / "manifest.json").read_text())
    for record in manifest["models"]:
        assert record["sha256"] == hashlib.sha256((tmp_path / record["file"]).read_bytes()).hexdigest()
        assert record["recipe"]["images"] == 96
        assert record["data_version"] == 1
        assert record["n"] == 50
        assert set(record["accuracy"]) == set(record["accuracy_float32"])
    with pytest.raises(ParameterError, match="workers is 0"):
        train_grid(runs, tmp_path, SHORT, workers=0)


def test_workers_train_the_same(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs = [(LITTLE, 0), (LITTLE, 1)]
        train_grid(runs, tmp_path / "one", SHORT)
        train_grid(runs, tmp_path / "two", SHORT, workers=2)
    finally:
        torch.set_num_threads(threads)
    for name in ("conv-0", "conv-1"):
        assert _same(_tensors(tmp_path / "one", name), _tensors(tmp_path / "two", name))


def test_trained_weights_load_as_a_model(tmp_path):
    record = train(LITTLE, 0, tmp_path, SHORT)
    file = str(tmp_path / "conv-0.safetensors")
    model = load(ModelSpec("conv", "lab", weights_file=file))
    assert (model.state, model.input_size, model.num_classes) == ("file", (48, 48), 12)
    assert training.judge(model.module, model.device) == record["accuracy"]
    with pytest.raises(WeightsError, match="holds 'lab/conv'"):
        load(ModelSpec("mhsa", "lab", weights_file=file))
    assert write_manifest(tmp_path)["models"][0]["spec"] == "lab/conv"


def test_unknown_models_and_seeds_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean"):
        load("lab/mhsaa")
    with pytest.raises(UnknownNameError):
        load("lab/conv#99")
    with pytest.raises(ParameterError, match="no options"):
        load(ModelSpec("conv", "lab", options=(("drop_rate", 0.1),)))


def test_learning_rate_rises_and_falls():
    recipe = Recipe()
    rates = [recipe.learning_rate(step) for step in range(recipe.steps)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(recipe.rate)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.001 * recipe.rate


@pytest.mark.parametrize("model", all_models(), ids=lambda model: str(model.spec()))
def test_models_of_a_set_up_are_equal_in_parameters(model):
    aim = {"metaformer": 92_000, "resnet": 330_000}[model.backbone]
    network = build(model, 0)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert abs(count - aim) < 0.1 * aim
    assert network(torch.zeros(1, 3, 48, 48)).shape == (1, 12)
    assert sum(p.numel() for p in build(model, 0, width_of(model)).parameters()) == count


@pytest.mark.parametrize("block", BLOCKS)
def test_only_the_block_mixes_space_beyond_the_stem(block):
    """A changed pixel reaches other places through the block alone: without it only the stem's window changes."""
    network = build(LabModel(block), 0).eval().double()
    for name in [name for name, _ in network.named_modules()]:
        if name.endswith("token_mixer"):
            network.set_submodule(name, torch.nn.Identity())
    x = torch.rand(1, 3, 48, 48, dtype=torch.double)
    y = x.clone()
    y[..., 24, 24] += 1
    changed = (network.forward_features(x) != network.forward_features(y)).any(1)[0]
    # The stem's 7 x 7 windows lie 4 px apart, so a pixel is seen by one or two of them along each axis.
    assert 1 <= int(changed.sum()) <= 4


SHIPPED = networks.manifest()


@pytest.mark.skipif(not SHIPPED, reason="no trained models in this tree")
class TestShipped:
    """The models that ship are what their manifest says."""

    def test_all_are_there_and_small(self):
        folder = networks.asset("checkpoints")
        assert sum(file.stat().st_size for file in folder.iterdir()) < 60e6
        for record in SHIPPED.values():
            data = (folder / record["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == record["sha256"], record["file"]
        missing = {str(model.spec(seed)) for model in all_models() for seed in range(3)} - set(SHIPPED)
        assert not missing

    def test_every_one_loads(self):
        for spec in SHIPPED:
            network, _ = networks.trained(ModelSpec.parse(spec))  # refuses weights that are not finite or do not fit
            assert sum(parameter.numel() for parameter in network.parameters()) == SHIPPED[spec]["parameters"]

    def test_half_precision_changes_no_metric_by_more_than_half_a_point(self):
        for record in SHIPPED.values():
            for condition, value in record["accuracy"].items():
                assert abs(value - record["accuracy_float32"][condition]) <= 0.005 + 1e-9, (record["spec"], condition)

    def test_the_task_needs_spatial_mixing(self):
        seeds = {
            block: [SHIPPED[str(LabModel(block).spec(seed))]["accuracy"]["in distribution"] for seed in range(3)]
            for block in BLOCKS
        }
        mean = {block: sum(values) / len(values) for block, values in seeds.items()}
        assert mean["none"] < 0.7
        assert max(mean.values()) > 0.95

    @pytest.mark.parametrize("spec", ["lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f", "lab/resnet+coord#1"])
    def test_a_model_is_as_accurate_as_its_record(self, spec, monkeypatch):
        monkeypatch.setattr(training, "JUDGED", 1000)
        model = load(spec)
        assert model.state == "lab"
        found = training.judge(model.module, model.device)
        for condition, value in SHIPPED[spec]["accuracy"].items():
            assert found[condition] == pytest.approx(value, abs=0.003), condition  # another machine rounds otherwise
