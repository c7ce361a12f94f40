"""Fitting a block: only it changes, it learns what only it can, and what is written loads as what was fitted."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from explorer.cli.main import main
from explorer.errors import ParameterError, TrainingError, WeightsError
from explorer.lab import fitting
from explorer.lab.fit_data import FitRecipe, own_classes
from explorer.lab.fitting import fit
from explorer.models.loading import load
from explorer.models.spec import ModelSpec

SPEC = "random/test_resnet+mhsa@3"
SIZE = (64, 64)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
QUICK = FitRecipe(epochs=3, batch=8, patience=10)


def _spec(text: str = SPEC, **fields: object) -> ModelSpec:
    return ModelSpec.parse(text, input_size=SIZE, **fields)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes by colour, ten noisy pictures each."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / name).mkdir()
        for number in range(10):
            pixels = noise.integers(0, 90, (64, 64, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_only_the_block_its_gate_and_a_new_classifier_change(pictures, tmp_path):
    untouched = load(_spec())
    model = load(_spec())
    before = copy.deepcopy(model.module.state_dict())
    found = fit(_spec(), pictures, QUICK)
    assert found.tensors.keys() == {
        *(name for name in before if name.startswith("layer3.block.") or name == "layer3.gate"),
        "fc.weight",
        "fc.bias",
    }
    assert found.tensors["layer3.gate"] != 0
    fitted = _loaded(found, tmp_path)
    after = fitted.module.state_dict()
    for name, tensor in before.items():
        if name not in found.tensors:
            assert torch.equal(after[name], tensor), name
    assert any(not torch.equal(after[name], before[name]) for name in before if name.startswith("layer3.block."))
    # a model that others use is not touched
    assert torch.equal(untouched.module.layer3.gate, torch.zeros(()))


def test_a_head_of_independent_labels_is_replaced_or_refused(pictures, tmp_path):
    found = fit(_spec(head="sigmoid"), pictures, QUICK)  # of classes that the model does not know
    assert found.record["classes"] == ["blue", "red"]
    assert _loaded(found, tmp_path).head.kind == "softmax"
    for folder, name in (("red", "3"), ("blue", "7")):
        shutil.copytree(pictures / folder, tmp_path / "own" / name)
    with pytest.raises(ParameterError, match=r"independent labels.*rename the folders.*head='softmax'"):
        fit(_spec(head="sigmoid"), tmp_path / "own", QUICK)
    assert fit(_spec(head="softmax"), tmp_path / "own", QUICK).record["classes"] is None


def _loaded(found, folder):
    return load(_spec(weights_file=str(found.save(folder / "fitted.safetensors"))))


def test_the_block_alone_learns_and_the_frozen_backbone_keeps_every_bit(pictures, tmp_path, monkeypatch):
    """Folders named as the model's own classes: no classifier is trained, so only the block can have learnt it."""
    for index, name in enumerate(("red", "blue")):
        shutil.copytree(pictures / name, tmp_path / "own" / str(index))
    made = []
    monkeypatch.setattr(fitting, "load", lambda *given: made.append(load(*given)) or made[0])
    found = fit(_spec(), tmp_path / "own", FitRecipe(epochs=25, batch=8, patience=25, rate=1e-2))
    assert {name.split(".")[1] for name in found.tensors} == {"block", "gate"}
    assert (found.record["before"]["accuracy"], found.record["after"]["accuracy"]) == (0.0, 1.0)
    assert any("own classifier is kept: 0 is tench (0)" in note for note in found.notes)
    network, fresh = made[0].module, load(_spec()).module.state_dict()
    for name, tensor in network.state_dict().items():  # the network that was trained, its batch norms' buffers too
        if name not in found.tensors:
            assert torch.equal(tensor, fresh[name]), name
    assert not any(one.requires_grad or one.grad is not None for one in network.parameters())
    assert not any(part.training or part._forward_hooks or part._backward_hooks for part in network.modules())
    network.load_state_dict(found.tensors, strict=False)
    x = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(_loaded(found, tmp_path).logits(x), made[0].logits(x))


def test_accuracy_rises_and_the_file_gives_it_again(pictures, tmp_path):
    found = fit(_spec(), pictures, FitRecipe(epochs=12, batch=8, patience=12, rate=5e-3))
    assert found.record["after"]["loss"] < found.record["before"]["loss"]
    assert found.record["after"]["accuracy"] == 1.0
    model = _loaded(found, tmp_path)
    assert model.labels == ("blue", "red")
    assert (model.state, model.inserted_state, model.num_classes) == ("random", "file", 2)
    for index, name in enumerate(model.labels):
        image = model.preprocess(Image.open(pictures / name / "0.png"))
        assert int(model.logits(image).argmax()) == index
    with safe_open(tmp_path / "fitted.safetensors", "pt") as opened:
        record = json.loads(opened.metadata()["fitted"])
    assert record["spec"] == SPEC
    assert record["versions"]["torch"] == torch.__version__


def test_the_same_seed_gives_the_same_tensors(pictures):
    first, again = fit(_spec(), pictures, QUICK), fit(_spec(), pictures, QUICK)
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)


def test_early_end_keeps_the_best_weights(pictures):
    # At this rate the loss only rises, so the weights from before the first epoch are the best.
    found = fit(_spec(), pictures, FitRecipe(epochs=30, batch=8, patience=2, rate=9.0))
    assert len(found.history) < 30
    assert any("stopped after epoch" in note for note in found.notes)
    losses = [found.record["before"]["loss"], *(one["held_out_loss"] for one in found.history)]
    assert found.record["after"]["loss"] == min(losses)
    assert found.record["best_epoch"] == losses.index(min(losses))


def test_an_interrupt_keeps_what_there_is(pictures):
    def stop(now):
        if now.epoch == 2:
            raise KeyboardInterrupt

    found = fit(_spec(), pictures, QUICK, progress=stop)
    assert len(found.history) == 1
    assert any("interrupted" in note for note in found.notes)


def test_whole_trains_everything(pictures, tmp_path):
    found = fit(_spec(), pictures, FitRecipe(epochs=1, batch=8, whole=True))
    model = _loaded(found, tmp_path)
    assert found.tensors.keys() == model.module.state_dict().keys()
    assert (model.state, model.inserted_state) == ("file", "file")


def test_scenes(tmp_path):
    found = fit(_spec(), None, FitRecipe(epochs=1, batch=16, scenes=32))
    assert found.record["held_out"] == 8
    assert len(_loaded(found, tmp_path).labels) == 12


def test_memory_that_does_not_suffice_halves_the_batch(pictures, monkeypatch):
    calls = []
    own = fitting._epoch

    def scarce(model, optimiser, trained, data, recipe, batch, epoch, progress):
        calls.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError
        return own(model, optimiser, trained, data, recipe, batch, epoch, progress)

    monkeypatch.setattr(fitting, "_epoch", scarce)
    found = fit(_spec(), pictures, FitRecipe(epochs=1, batch=8))
    assert calls == [8, 4, 2]
    assert any("batches of 2" in note for note in found.notes)


def test_batches_of_one(pictures):
    assert len(fit(_spec(), pictures, FitRecipe(epochs=1, batch=1)).history) == 1


def test_memory_that_does_not_suffice_for_judging(pictures, monkeypatch):
    own = fitting._judge

    def scarce(model, data, batch):
        if batch > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return own(model, data, batch)

    monkeypatch.setattr(fitting, "_judge", scarce)
    assert any("batches of 4" in note for note in fit(_spec(), pictures, FitRecipe(epochs=1, batch=8)).notes)
    monkeypatch.setattr(fitting, "out_of_memory", lambda _: False)
    with pytest.raises(RuntimeError, match="can't allocate"):
        fit(_spec(), pictures, FitRecipe(epochs=1, batch=8))


def test_a_fit_that_learnt_nothing_is_not_called_fitted(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_judge", lambda *_: (1.0, 0.5))
    found = fit(_spec(), pictures, FitRecipe(epochs=1, batch=8))
    assert any("nothing was learnt" in note for note in found.notes)
    assert _loaded(found, tmp_path).inserted_state == "random"


def test_a_loss_that_is_no_number_is_an_error(pictures, monkeypatch):
    monkeypatch.setattr(fitting.F, "cross_entropy", lambda *_, **__: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1; try a rate below 0\.002"):
        fit(_spec(), pictures, QUICK)


def test_unreadable_pictures_are_named_and_left_out(pictures, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(pictures, folder)
    (folder / "red" / "broken.png").write_bytes(b"no picture")
    found = fit(_spec(), folder, FitRecipe(epochs=1))
    assert any("1 picture could not be read" in note and "red/broken.png" in note for note in found.notes)


def test_train_and_val_folders_are_used_as_they_are(pictures, tmp_path):
    for part, numbers in (("train", range(6)), ("val", range(6, 9))):
        for name in ("red", "blue"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in numbers:
                shutil.copy(pictures / name / f"{number}.png", tmp_path / part / name)
    found = fit(_spec(), tmp_path, FitRecipe(epochs=1))
    assert (found.record["pictures"], found.record["held_out"]) == (12, 6)


def test_bad_input_is_refused_before_training(pictures, tmp_path):
    with pytest.raises(ParameterError, match="no inserted block"):
        fit("random/test_resnet", pictures)
    with pytest.raises(ParameterError, match="there is no folder"):
        fit(_spec(), tmp_path / "nowhere")
    (tmp_path / "one").mkdir()
    with pytest.raises(ParameterError, match=r"has no pictures: expected are .* found: one/"):
        fit(_spec(), tmp_path)
    shutil.copy(pictures / "red" / "0.png", tmp_path / "one")
    with pytest.raises(ParameterError, match=r"has 1 classes .*\(one\).* found: one/"):
        fit(_spec(), tmp_path)
    (tmp_path / "two").mkdir()
    shutil.copy(pictures / "red" / "0.png", tmp_path / "two")
    with pytest.raises(ParameterError, match="has 1 pictures that can be read; at least two"):
        fit(_spec(), tmp_path)
    with pytest.raises(ParameterError, match="epochs is 0"):
        FitRecipe(epochs=0)


def test_a_fitted_block_belongs_to_its_model(pictures, tmp_path):
    file = str(fit(_spec(), pictures, FitRecipe(epochs=1)).save(tmp_path / "fitted.safetensors"))
    with pytest.raises(WeightsError, match="was fitted for 'random/test_resnet\\+mhsa@3'"):
        load(_spec("random/test_resnet+mhsa@2", weights_file=file))
    with pytest.raises(WeightsError, match="was fitted for"):
        load(_spec(SPEC + "#5", weights_file=file))


def test_settings_that_the_text_does_not_say_have_to_be_the_same(pictures, tmp_path):
    heads = {"block_options": (("heads", 2),)}
    file = str(fit(_spec(**heads), pictures, FitRecipe(epochs=1)).save(tmp_path / "fitted.safetensors"))
    assert load(_spec(weights_file=file, **heads)).num_classes == 2
    with pytest.raises(WeightsError, match=r"fitted with the settings.*heads.*not with"):
        load(_spec(weights_file=file))
    with pytest.raises(ParameterError, match="begins at published or random weights"):
        fit(_spec(weights_file=file, **heads), pictures)


@pytest.fixture(scope="module")
def fitted_file(pictures, tmp_path_factory):
    return fit(_spec(), pictures, FitRecipe(epochs=1)).save(tmp_path_factory.mktemp("file") / "fitted.safetensors")


def _changed(source, target, tensors=None, **fields):
    with safe_open(source, "pt") as opened:
        record = json.loads(opened.metadata()["fitted"])
    save_file(load_file(source) if tensors is None else tensors, target, {"fitted": json.dumps({**record, **fields})})
    return _spec(weights_file=str(target))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"classes": 7}, "wrong form"),
        ({"classes": "ab"}, "wrong form"),
        ({"classes": [1, 2]}, "wrong form"),
        ({"whole": "yes"}, "wrong form"),
        ({"classes": ["a"] * 100_000}, "names 100000 classes but has no classifier"),
        ({"backbone": 3}, "other weights"),
    ],
)
def test_a_record_is_not_believed(fitted_file, tmp_path, fields, said):
    with pytest.raises(WeightsError, match=said):
        load(_changed(fitted_file, tmp_path / "f.safetensors", **fields))


def test_a_fitted_file_holds_what_was_trained_and_nothing_else(fitted_file, tmp_path):
    """A part of a block would be labelled fitted; a tensor of the backbone would change what is called published."""
    tensors = load_file(fitted_file)
    less = {name: one for name, one in tensors.items() if name != "layer3.block.projections.weight"}
    assert len(less) < len(tensors)
    with pytest.raises(WeightsError, match="1 missing"):
        load(_changed(fitted_file, tmp_path / "less.safetensors", less))
    own = load(_spec()).module.state_dict()
    more = {**tensors, "conv1.0.weight": own["conv1.0.weight"] + 1}
    with pytest.raises(WeightsError, match="1 unexpected"):
        load(_changed(fitted_file, tmp_path / "more.safetensors", more))


def test_a_class_without_a_picture_to_train_on_is_refused(pictures, tmp_path):
    for part, names in (("train", ("red", "blue")), ("val", ("red", "blue", "green"))):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            shutil.copy(pictures / "red" / "0.png", tmp_path / part / name)
    with pytest.raises(ParameterError, match="no picture of 'green' to train on"):
        fit(_spec(), tmp_path)


def test_own_classes_are_found_by_index_name_and_synset():
    class Known:
        num_classes = 1000
        labels = (*(f"label {i}" for i in range(999)), "Samoyed, Samoyede")

    assert own_classes(Known, ["7", "label 3", "samoyed"]) == [7, 3, 999]
    assert own_classes(Known, ["n01440764"]) == [0]
    assert own_classes(Known, ["7", "spoon of mine"]) is None


def test_the_command(pictures, tmp_path, capsys):
    file = tmp_path / "block.safetensors"
    line = ["fit", SPEC, "--images", str(pictures), "--epochs", "1", "--input-size", "64", "--out", str(file)]
    assert main([*line, "--json", "--device", "cpu"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["file"] == str(file)
    assert record["held_out"] == 4
    picture = str(pictures / "red" / "0.png")
    shown = ["predict", "--model", SPEC, "--image", picture, "--input-size", "64", "--weights", str(file), "--json"]
    assert main(shown) == 0
    answer = json.loads(capsys.readouterr().out)["models"][0]["prediction"]
    assert {one["label"] for one in answer} == {"red", "blue"}
    assert main(["fit", SPEC, "--images", str(pictures), "--out", str(tmp_path / "x.bin")]) == 2
    assert "--out is a .safetensors file" in capsys.readouterr().err


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real weights is absent")
def test_real_weights_keep_their_classifier(tmp_path):
    """Two ImageNet classes by index: MobileNet's own head stays, its answers are right before and after."""
    weights = f"local-dir:{DATA / 'weights' / 'mobilenetv2_100'}+coord@4"
    model = load(weights)
    picture = DATA / "photos" / "samoyed.png"
    index = int(model.logits(model.preprocess(Image.open(picture))).argmax())
    for target in (index, (index + 1) % 1000):
        (tmp_path / str(target)).mkdir()
        for number in range(2):
            shutil.copy(picture, tmp_path / str(target) / f"{number}.png")
    found = fit(weights, tmp_path, FitRecipe(epochs=1, batch=2))
    assert found.record["classes"] is None
    assert not any("classifier" in name for name in found.tensors)
    assert found.record["before"]["accuracy"] == 0.5  # the same picture under two names
