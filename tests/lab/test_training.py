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
from explorer.lab import networks, pool, recipes, tasks, training
from explorer.lab.grid import train_grid, write_manifest
from explorer.lab.networks import LabModel, all_models, build, width_of
from explorer.lab.recipes import Recipe
from explorer.lab.training import train
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.scenes import AUGMENTED, CENTRED, CROWDED, DATA_VERSION, draw, draw_groups, render, render_groups

CHANGED = {"images": 96, "epochs": 2, "batch": 32}
SHORT = Recipe(**CHANGED)
LITTLE = LabModel("conv")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(tasks, "JUDGED", 50)
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


@pytest.mark.parametrize(
    "model", [LITTLE, LabModel("coord", "detect", "aug")], ids=lambda model: str(model.spec()).removeprefix("lab/")
)
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
from explorer.lab import recipes, tasks, training
from explorer.lab.networks import LabModel
torch.set_num_threads(int(sys.argv[2]))
tasks.JUDGED, training.CHECKPOINT_SECONDS = 50, -1.0
training.train(LabModel("conv"), 0, Path(sys.argv[1]), recipes.Recipe(images=96, epochs=40, batch=32))
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conv-0.safetensors", "pictures"]


def test_a_grid_trains_what_is_missing_and_says_what_each_file_is(tmp_path):
    train(LITTLE, 0, tmp_path, SHORT)
    finished = []
    runs = [(LITTLE, 0), (LabModel("none"), 0)]
    manifest = train_grid(runs, tmp_path, CHANGED, finished=lambda record: finished.append(record["spec"]))
    assert finished == ["lab/none"]
    assert manifest == json.loads((tmp_path / "manifest.json").read_text())
    for record in manifest["models"]:
        assert record["sha256"] == hashlib.sha256((tmp_path / record["file"]).read_bytes()).hexdigest()
        assert record["recipe"]["images"] == 96
        assert record["data_version"] == DATA_VERSION
        assert record["training"] == "centred"
        assert record["n"] == 50
        assert set(record["accuracy"]) == set(record["accuracy_float32"])
    with pytest.raises(ParameterError, match="workers is 0"):
        train_grid(runs, tmp_path, CHANGED, workers=0)


def test_workers_train_the_same(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs = [(LITTLE, 0), (LITTLE, 1)]
        train_grid(runs, tmp_path / "one", CHANGED)
        train_grid(runs, tmp_path / "two", CHANGED, workers=2)
    finally:
        torch.set_num_threads(threads)
    for name in ("conv-0", "conv-1"):
        assert _same(_tensors(tmp_path / "one", name), _tensors(tmp_path / "two", name))


def test_trained_weights_load_as_a_model(tmp_path):
    record = train(LITTLE, 0, tmp_path, SHORT)
    file = str(tmp_path / "conv-0.safetensors")
    model = load(ModelSpec("conv", "lab", weights_file=file))
    assert (model.state, model.input_size, model.num_classes) == ("file", (48, 48), 12)
    assert tasks.TASKS["metaformer"].judge(model.module, model.device) == record["accuracy"]
    with pytest.raises(WeightsError, match="holds 'lab/conv'"):
        load(ModelSpec("mhsa", "lab", weights_file=file))
    assert write_manifest(tmp_path)["models"][0]["spec"] == "lab/conv"


def test_a_model_that_finds_objects_is_looked_at_as_one_without_classes(tmp_path):
    record = train(LabModel("conv", "detect", "aug"), 0, tmp_path, SHORT)
    assert set(record["accuracy"]) >= {"AP", "AP50", "AP75", "centre error"}
    model = load(ModelSpec("detect", "lab", "conv", weights_file=str(tmp_path / "detect-conv-0.safetensors")))
    assert (model.headless, model.num_classes, model.labels) == (True, 0, ())
    assert [stage.grid for stage in model.stages] == [(12, 12)]
    assert model.pooled(torch.rand(2, 3, 48, 48)).shape == (2, 48)


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
    aim, most = 92_000, 0.01
    network = build(model, 0)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert abs(count - aim) < most * aim
    shape = (1, networks.CHANNELS, 12, 12) if model.backbone == "detect" else (1, 12)
    assert network(torch.zeros(1, 3, 48, 48)).shape == shape
    assert sum(p.numel() for p in build(model, 0, width_of(model)).parameters()) == count


@pytest.mark.parametrize("model", all_models(), ids=lambda model: str(model.spec()))
def test_a_model_is_found_by_its_spec_and_has_a_file_of_its_own(model):
    for text in (str(model.spec()), str(model.spec(5))):
        spec = ModelSpec.parse(text)
        assert LabModel.of(spec) == model
        assert str(spec) == text
    names = [networks.file_name(one, 0) for one in all_models()]
    assert names.count(networks.file_name(model, 0)) == 1
    assert set(networks.file_name(model, 0)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert recipes.recipe_of(model).images > 0


def test_a_series_changes_what_it_says():
    whole = {
        "position": build(LabModel("mhsa", options=(("position", "none"),)), 0),
        "heads": build(LabModel("mhsa", options=(("heads", 8),)), 0),
        "padding": build(LabModel("conv", options=(("padding", "circular"),)), 0),
        "plain": build(LabModel("conv"), 0),
    }
    assert not any("places" in name for name, _ in whole["position"].named_parameters())
    assert whole["heads"].get_submodule("stages.0.blocks.0.token_mixer").heads == 8
    modes = {
        key: {one.padding_mode for one in whole[key].modules() if getattr(one, "kernel_size", 0) == (3, 3)}
        for key in ("padding", "plain")
    }
    assert modes == {"padding": {"circular"}, "plain": {"zeros"}}
    # A network padded in a circle is equivariant: rolled by a place of the grid, features roll, and logits stay.
    circular = whole["padding"].eval().double()
    x = torch.rand(1, 3, 48, 48, dtype=torch.double)
    rolled = circular.forward_features(x.roll((4, 8), (2, 3)))
    assert torch.allclose(rolled, circular.forward_features(x).roll((1, 2), (2, 3)), atol=1e-10)


# ---- the pool of pictures -------------------------------------------------------------------------------------------


def test_a_pool_holds_the_scenes_of_its_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "SHARD", 40)
    made = pool.singles(3, CENTRED, 100, tmp_path, torch.device("cpu"))
    assert len(made) == 100
    which = torch.tensor([99, 0, 41, 40, 39])
    expected = render(draw(3, which))
    found = made[which]
    assert torch.equal(found["images"], (expected.images * 255).round().to(torch.uint8))
    assert torch.equal(found["labels"], expected.labels)


def test_a_larger_pool_begins_with_a_smaller_and_nothing_is_rendered_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "SHARD", 40)
    pool.singles(3, CENTRED, 80, tmp_path, torch.device("cpu"))
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.safetensors")}
    assert len(before) == 2
    pool.singles(3, CENTRED, 120, tmp_path, torch.device("cpu"))
    after = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.safetensors")}
    assert len(after) == 3
    assert {name: after[name] for name in before} == before
    # other scenes, another stream: other files
    pool.singles(3, AUGMENTED, 40, tmp_path, torch.device("cpu"))
    pool.singles(4, CENTRED, 40, tmp_path, torch.device("cpu"))
    assert len(list(tmp_path.glob("*.safetensors"))) == 5


def test_a_pool_of_groups_has_their_boxes(tmp_path):
    which = torch.tensor([20, 3])
    found = pool.groups(3, CROWDED, 24, tmp_path, torch.device("cpu"))[which]
    expected = render_groups(draw_groups(3, which))
    assert torch.equal(found["boxes"], expected.boxes)
    assert torch.equal(found["counts"], expected.counts)
    assert torch.equal(found["labels"], expected.labels)


def test_no_scene_of_training_is_judged_on():
    trained_on = render(draw(tasks.TRAINING_STREAM, torch.arange(500))).images.flatten(1)
    judged = render(draw(tasks.JUDGING_STREAM, torch.arange(100))).images.flatten(1)
    assert torch.cdist(judged, trained_on).min() > 1


def test_conditions_change_what_they_say():
    shown = tasks._conditions(60)
    own, labels = shown["in distribution"]
    for name, (images, same) in shown.items():
        assert images.shape == own.shape
        if name != "in distribution":
            assert not torch.equal(images, own), name
        assert torch.equal(labels, same), name
    moved = render(draw(tasks.JUDGING_STREAM, torch.arange(60)).moved(dx=8 / 48))
    assert torch.equal(shown["shifted right 8 px"][0], pool.quantised(moved.images))


def test_attention_stays_in_float32_under_a_narrow_trunk():
    seen = []

    class Heads(torch.nn.Module):
        def forward(self, x):
            x = x @ torch.eye(8)
            seen.append(x.dtype)
            out = torch.nn.functional.scaled_dot_product_attention(x, x, x)
            seen.append(out.dtype)
            return out

    x = torch.randn(1, 2, 5, 8)
    with training._precision(torch.device("cpu"), torch.bfloat16):
        out = Heads()(x)
        narrow = x.to(torch.bfloat16)
        exact = torch.nn.functional.scaled_dot_product_attention(narrow.float(), narrow.float(), narrow.float())
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert torch.equal(out, exact.to(torch.bfloat16))
    with training._precision(torch.device("cpu"), None):
        assert Heads()(x).dtype == torch.float32


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
    # The stem's windows of 7 x 7 px lie 4 px apart, so a pixel is seen by one or two of them along each axis.
    assert 1 <= int(changed.sum()) <= 4


SHIPPED = networks.manifest()


@pytest.mark.skipif(not SHIPPED, reason="no trained models in this tree")
class TestShipped:
    """The models that ship are what their manifest says."""

    def test_all_are_there_and_small(self):
        folder = networks.asset("checkpoints")
        assert sum(file.stat().st_size for file in folder.iterdir()) < 45e6
        for record in SHIPPED.values():
            data = (folder / record["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == record["sha256"], record["file"]
        assert set(SHIPPED) == {str(model.spec(seed)) for model in all_models() for seed in range(3)}

    def test_every_one_loads(self):
        for spec in SHIPPED:
            network, _ = networks.trained(ModelSpec.parse(spec))  # refuses weights that are not finite or do not fit
            assert sum(parameter.numel() for parameter in network.parameters()) == SHIPPED[spec]["parameters"]

    def test_half_precision_changes_no_metric_by_more_than_a_point(self):
        for record in SHIPPED.values():
            for condition, value in record["accuracy"].items():
                assert abs(value - record["accuracy_float32"][condition]) <= 0.01 + 1e-9, (record["spec"], condition)

    def test_the_task_needs_spatial_mixing(self):
        seeds = {
            block: [SHIPPED[str(LabModel(block).spec(seed))]["accuracy"]["in distribution"] for seed in range(3)]
            for block in BLOCKS
        }
        mean = {block: sum(values) / len(values) for block, values in seeds.items()}
        assert mean["none"] < 0.7
        assert max(mean.values()) > 0.95

    @pytest.mark.parametrize("spec", ["lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f", "lab/coord#1"])
    def test_a_model_is_as_accurate_as_its_record(self, spec, monkeypatch):
        monkeypatch.setattr(tasks, "JUDGED", 1000)
        model = load(spec)
        assert model.state == "lab"
        found = tasks.TASKS[model.architecture].judge(model.module, model.device)
        for condition, value in SHIPPED[spec]["accuracy"].items():
            assert found[condition] == pytest.approx(value, abs=0.003), condition  # another machine rounds otherwise
