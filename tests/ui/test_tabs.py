"""The tabs that explain and report, and files that visitors bring, asked as plain functions."""

from __future__ import annotations

import json
import shutil

import gradio as gr
import pytest
import torch
from safetensors.torch import save_file

from explorer.blocks import BLOCKS
from explorer.blocks.explain import explain
from explorer.compare import predict
from explorer.lab.networks import manifest
from explorer.lab.scenes import CLASSES, Scene
from explorer.lab.table import CONTROL, load_table
from explorer.models import load
from explorer.resources import asset
from explorer.types import ModelSpec
from explorer.ui import fitted
from explorer.ui.answers import Answers
from explorer.ui.fitted import split
from explorer.ui.handlers import Handlers
from explorer.ui.tabs import blocks, lab

from .conftest import FITTED_SPEC
from .unpack import Unpacked


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_explained_from_its_own_declaration(name):
    said, told = blocks.head(name), json.loads(blocks.body(name))
    found = explain(name)
    assert found.title in said
    assert f"$$ {found.formula} $$" in said
    assert told["diagram"].startswith("<svg")
    assert "<script" not in told["diagram"]
    assert told["order"] == found.order
    assert {label for label, _ in told["facts"]} >= {"Map", "Source"}
    assert told["measured"] is None


def test_a_cost_is_measured_beside_full_attention():
    own, other = blocks.measured("conv"), blocks.measured("mhsa")
    table = json.loads(blocks.body("conv", (own, other)))["measured"]
    assert table["blocks"] == ["conv", "mhsa"]
    assert [row[1] for row in table["rows"]] == [64, 256, 576, 1024, 2304]
    assert [row[2] for row in table["rows"]] == [one.multiply_adds for one in own.points]
    assert json.loads(blocks.body("mhsa", (other, other)))["measured"]["blocks"] == ["mhsa"]


needs_table = pytest.mark.skipif(not load_table(), reason="no table of measurements ships yet")


@needs_table
def test_a_set_up_is_drawn_with_its_table_and_findings():
    set_up = lab.there()[0]
    wanted = lab.blocks_of(set_up)[:3]
    said, sheet, runs = lab.tell(set_up, wanted)
    assert len(lab.paint(set_up, wanted)) == len(lab.ORDER)
    assert "In distribution" in said
    rows = json.loads(sheet)["rows"]
    assert [row["name"] for row in rows] == wanted
    assert all(not cell["alike"] for row in rows if row["name"] == CONTROL for cell in row["cells"])
    assert [row["name"] for row in json.loads(runs)["rows"]] == wanted
    assert any("Recipe" in note for note in json.loads(runs)["notes"])


@needs_table
@pytest.mark.parametrize(("set_up", "chosen"), [("Transformer", []), (None, None), (["MetaFormer"], [])])
def test_unknown_set_ups_are_refused(set_up, chosen):
    with pytest.raises(gr.Error):
        lab.tell(set_up, chosen)
    with pytest.raises(gr.Error):
        lab.paint(set_up, chosen)


@needs_table
def test_blocks_that_were_not_measured_are_left_out():
    set_up = lab.there()[0]
    known = lab.blocks_of(set_up)[0]
    assert [row["name"] for row in json.loads(lab.tell(set_up, [known, "no such block"])[1])["rows"]] == [known]
    assert json.loads(lab.tell(set_up, None)[1])["rows"] == []


# ---- files that visitors bring --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(Answers(folders=False))


def test_a_fitted_block_stands_beside_the_others_with_its_state(handlers, fitted_file):
    models = handlers.bring(str(fitted_file), ["lab/conv"])
    assert models[0] == "lab/conv"
    assert models[1].startswith(f"{FITTED_SPEC} file:")
    assert handlers.bring(str(fitted_file), models) == models
    scene = Scene("drop")
    got = Unpacked(handlers.answer(models, {"scene": {"label": "drop"}}))
    row = got.data["rows"][1]
    assert row["state"] == "file"
    assert any("from the file" in note for note in row["notes"])
    assert {one["state"] for one in row["maps"]} == {"file"}
    expected = predict(load(ModelSpec.parse(FITTED_SPEC, weights_file=str(fitted_file)), "cpu"), scene)
    assert [(one["label"], one["p"]) for one in row["predictions"][1]["top"]] == [
        (one.label, one.probability) for one in expected.top
    ]
    assert expected.top[0].label in CLASSES


def test_a_trained_laboratory_model_can_be_brought_too(handlers):
    record = manifest()["lab/linear#1"]
    (text,) = handlers.bring(str(asset("checkpoints", record["file"])), ["lab/conv"])[1:]
    assert split(text)[0] == "lab/linear#1"
    own, shipped = Unpacked(handlers.answer([text, "lab/linear#1"], {"scene": {}})).data["rows"]
    assert own["state"] == "file"
    assert "All weights are from the file." in own["notes"]
    assert own["predictions"] == shipped["predictions"]


def test_a_full_page_gives_its_last_place(handlers, fitted_file):
    models = handlers.bring(str(fitted_file), [f"lab/conv#{seed}" for seed in range(6)])
    assert len(models) == 6
    assert models[-1].startswith(FITTED_SPEC)


def test_a_file_that_is_gone_is_said(fitted_file):
    answers = Answers(folders=False)
    text = answers.files.add(fitted_file)
    shutil.rmtree(answers.files.folder)
    failure = answers.model(text)
    assert "load it again" in failure.problem


def test_old_files_make_room(fitted_file, monkeypatch, tmp_path):
    monkeypatch.setattr(fitted, "KEPT_BYTES", fitted_file.stat().st_size + 10)
    files = fitted.Files(tmp_path)
    first = files.add(fitted_file)
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(4)}, other, {"fitted": json.dumps({"spec": FITTED_SPEC})})
    files.add(other)
    left = {path.name for path in tmp_path.iterdir()} - {"other.safetensors"}
    assert len(left) == 1
    assert f"{fitted.split(first)[1]}.safetensors" not in left


@pytest.mark.parametrize("what", ["text", "pickle", "empty", "plain", "spec", "json", "folder", "large", "long"])
def test_bad_files_are_refused_in_a_sentence(handlers, tmp_path, monkeypatch, what):
    path = tmp_path / ("weights.pt" if what == "pickle" else "weights.safetensors")
    notes = {
        "plain": {},
        "spec": {"fitted": json.dumps({"spec": 3})},
        "json": {"fitted": "{"},
        "folder": {"fitted": json.dumps({"spec": "local-dir:/etc+mhsa@3"})},
        "long": {"fitted": json.dumps({"spec": "x" * 1000 + "+mhsa@3"})},
        "large": {"fitted": json.dumps({"spec": FITTED_SPEC})},
    }
    if what in notes:
        save_file({"a": torch.zeros(4)}, path, notes[what])
    else:
        path.write_bytes(b"" if what == "empty" else b"hello" * 100)
    if what == "large":
        monkeypatch.setattr(fitted, "MAX_BYTES", 10)
    with pytest.raises(gr.Error) as error:
        handlers.bring(str(path), ["lab/conv"])
    assert str(tmp_path) not in str(error.value)
    assert len(str(error.value)) > 30


def test_a_file_for_another_model_fails_in_its_row_alone(handlers, tmp_path):
    path = tmp_path / "odd.safetensors"
    record = {"spec": FITTED_SPEC, "backbone": "x", "whole": False, "classes": None}
    save_file({"a": torch.zeros(4)}, path, {"fitted": json.dumps(record)})
    models = handlers.bring(str(path), ["lab/conv"])
    good, bad = Unpacked(handlers.answer(models, {"scene": {}})).data["rows"]
    assert good["predictions"]
    assert "other weights" in bad["error"]
    assert str(handlers.answers.files.folder) not in bad["error"]
