"""Sweeps: what is done is never done again, whatever ends them, and what they give is what probes give."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import torch
from PIL import Image

import explorer
from explorer.cli.main import main
from explorer.errors import BusyError, ParameterError, UnknownNameError
from explorer.models.sets import matched_set
from explorer.models.spec import ModelSpec
from explorer.probes import probe
from explorer.probes.stimuli import scenes
from explorer.sweep.board import board
from explorer.sweep.plan import SweepPlan, probe_of
from explorer.sweep.run import ATTEMPTS, SweepProgress, estimate, sweep
from explorer.sweep.store import Store
from explorer.sweep.summary import Sweep, failures
from explorer.sweep.units import units
from tests.sweep.killing import LIMIT, begin, command, count, files, kill_at, killed_and_resumed

SMALL: dict[str, Any] = {
    "models": ["lab/none", "lab/mhsa"],
    "probes": ["edges", {"probe": "translation", "side": 3, "step": 4}, "heads"],
    "data": [24],
    "shard": 8,
    "batch": 8,
    "device": "cpu",
}
#: heads cannot be measured in parts.
UNITS = 2 * (3 + 3 + 1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep(SMALL, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    chance, root = np.random.default_rng(0), tmp_path / "pictures"
    for number in range(10):
        (root / f"n0{number % 2}").mkdir(parents=True, exist_ok=True)
        pixels = np.kron(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8), np.ones((30, 30, 1), dtype=np.uint8))
        Image.fromarray(pixels).save(root / f"n0{number % 2}" / f"{number}.png")
    return root


# ---- what it gives --------------------------------------------------------------------------------------------------


def test_it_gives_what_the_probes_give(undisturbed: Sweep) -> None:
    assert len(undisturbed.done) == len(undisturbed.units) == UNITS
    found = {one.probe: one for one in undisturbed.results()}
    assert list(found) == ["edges", "translation", "heads"]
    for name, given in (("edges", {}), ("translation", {"side": 3, "step": 4})):
        expected = probe(name, ["lab/none", "lab/mhsa"], 24, device="cpu", **given)
        assert found[name].summary.keys() == expected.summary.keys()
        assert len(found[name].summary) == 6
        for key, score in expected.summary.items():
            own = found[name].summary[key]
            for end in ("value", "low", "high"):
                assert getattr(own, end) == pytest.approx(getattr(score, end), abs=1e-6), (name, key)
            assert (own.n, own.unit, own.better, own.interval) == (score.n, score.unit, score.better, score.interval)
        assert len(found[name].rows) == len(expected.rows)
        assert not found[name].notes
    # A model that the probe cannot serve is no failure: it has no rows, and a note that says why.
    assert found["heads"].models == ("lab/none", "lab/mhsa")
    assert [name for name in found["heads"].stimuli if name in str(found["heads"].summary)] == ["lab/mhsa"]
    assert any(note.startswith("lab/none: ") for note in found["heads"].notes)
    assert not undisturbed.failed


def test_the_folder_is_one_table(undisturbed: Sweep) -> None:
    table = ds.dataset(undisturbed.root / "rows", format="parquet").to_table()
    assert table.num_rows > 100
    assert set(table["model"].to_pylist()) == {"lab/none", "lab/mhsa"}
    assert set(table["schema"].to_pylist()) == {1}
    own = table.filter(ds.field("measure") == "agreement").to_pylist()
    for row in own:
        # Of a share: successes and of how many, of the pictures of its shard.
        assert row["value"] == pytest.approx(row["items"][0] / row["items"][1])
        assert row["items"][1] == row["n"] == 8
    assert undisturbed.dataset().to_table().equals(table)


def test_a_figure_is_drawn_of_it(undisturbed: Sweep, tmp_path: Path) -> None:
    for number, one in enumerate(undisturbed.results()):
        assert one.save(tmp_path / f"{number}.svg").stat().st_size > 1000


@pytest.mark.parametrize("workers", [1, 2])
def test_neither_order_nor_workers_change_a_byte(undisturbed: Sweep, workers: int, tmp_path: Path) -> None:
    turned = {**SMALL, "models": SMALL["models"][::-1], "probes": SMALL["probes"][::-1]}
    assert files(sweep(turned, tmp_path, workers=workers).root) == files(undisturbed.root)


def test_every_number_that_it_tells_is_true(tmp_path: Path) -> None:
    told: list[SweepProgress] = []
    sweep({**SMALL, "probes": ["edges"]}, tmp_path, progress=told.append)
    assert [one.done for one in told] == [1, 2, 3, 4, 5, 6]
    assert [one.images for one in told] == [8, 16, 24, 32, 40, 48]
    assert all(one.units == 6 and one.failed == 0 for one in told)
    assert told[-1].left == 0
    assert all(one.left is not None and one.left > 0 for one in told[:-1])
    # Nothing is left to do: told once.
    again: list[SweepProgress] = []
    sweep({**SMALL, "probes": ["edges"]}, tmp_path, progress=again.append)
    assert [(one.done, one.images) for one in again] == [(6, 0)]


# ---- what ends it ---------------------------------------------------------------------------------------------------


def test_killed_and_resumed_it_has_the_same_rows(undisturbed: Sweep, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(SMALL))  # JSON is YAML
    out = tmp_path / "out"
    arguments = (str(tmp_path / "plan.json"), "--out", str(out), "--workers", "1")
    assert killed_and_resumed(arguments, out, UNITS, kills=3, seed=1) >= 2
    assert files(out) == files(undisturbed.root)
    assert not list(out.rglob("*.part"))


def test_workers_end_with_their_driver_and_what_is_left_is_done(undisturbed: Sweep, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(SMALL))
    out = tmp_path / "out"
    arguments = (str(tmp_path / "plan.json"), "--out", str(out), "--workers", "2")
    process = begin(*arguments)
    group = process.pid
    assert kill_at(process, out, 2, 0.05)
    _gone(group)
    assert main(["sweep", *arguments]) == 0
    assert files(out) == files(undisturbed.root)


def _gone(group: int) -> None:
    """Wait until no process of a group is left."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("processes outlive their driver")


def test_a_worker_that_is_killed_costs_its_unit_alone(undisturbed: Sweep, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(SMALL))
    out = tmp_path / "out"
    process = begin(str(tmp_path / "plan.json"), "--out", str(out), "--workers", "2")
    end = time.monotonic() + LIMIT
    while count(out) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    workers = [
        int(one.parent.name)
        for one in Path("/proc").glob("[0-9]*/stat")
        if _parent_of(one) == process.pid and b"spawn_main" in (one.parent / "cmdline").read_bytes()
    ]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=5 * LIMIT)
    assert process.returncode == 0, stdout + stderr
    assert files(out) == files(undisturbed.root)


def _parent_of(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_nothing_measures_on_after_an_interruption(tmp_path: Path) -> None:
    def ended(_: SweepProgress) -> None:
        assert "sweep-worker" in {one.name for one in threading.enumerate()}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(SMALL, tmp_path, workers=2, progress=ended)
    assert "sweep-worker" not in {one.name for one in threading.enumerate()}
    assert len(sweep(SMALL, tmp_path).done) == UNITS  # the folder is free again


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_it_in_a_sentence(workers: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(SMALL))
    out = tmp_path / "out"
    process = begin(str(tmp_path / "plan.json"), "--out", str(out), "--workers", workers)
    end = time.monotonic() + LIMIT
    while count(out) < 1:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all of them
    _, stderr = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    _gone(process.pid)
    assert not list(out.rglob("*.part"))


def test_files_that_are_not_whole_are_made_again(undisturbed: Sweep, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.root, tmp_path / "out")
    rows = sorted((tmp_path / "out" / "rows").glob("*.parquet"))
    good = [one.read_bytes() for one in rows]
    rows[0].write_bytes(good[0][: len(good[0]) // 2])
    rows[1].write_bytes(b"")
    middle = bytearray(good[2])
    middle[40:60] = bytes(20)
    rows[2].write_bytes(bytes(middle))
    rows[3].write_bytes(good[4])  # another unit's
    rows[5].unlink()
    (rows[0].parent / ".explorer-1-abcd.part").write_bytes(b"PAR1")
    told: list[SweepProgress] = []
    spoilt = {rows[number].stem for number in (0, 1, 2, 3, 5)}
    assert set(Sweep(tmp_path / "out").done) == set(undisturbed.done) - spoilt
    sweep(SMALL, tmp_path / "out", progress=told.append)
    assert len(told) == 5
    assert [one.read_bytes() for one in rows] == good
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_unit_that_fails_is_tried_again_and_recorded_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "private" / "empty"
    empty.mkdir(parents=True)
    plan = {**SMALL, "models": ["lab/none", f"local-dir:{empty}"], "probes": ["edges"]}
    tries: list[str] = []
    import explorer.sweep.work as work

    real = work.load
    monkeypatch.setattr(work, "load", lambda spec, device: (tries.append(str(spec)), real(spec, device))[1])
    told: list[SweepProgress] = []
    found = sweep(plan, tmp_path / "out", progress=told.append)
    assert tries.count(f"local-dir:{empty}") == 3 * ATTEMPTS
    assert (told[-1].done, told[-1].failed) == (3, 3)
    failed = found.failed
    assert len(failed) == 3
    for one in failed.values():
        assert one["attempts"] == ATTEMPTS
        assert "ModelError: " in one["error"] or "WeightsError: " in one["error"]
        assert "private" not in json.dumps(one)
    # Three units, one reason: it is said once.
    (line,) = failures(failed)
    assert line.startswith("failed: local-dir:empty, edges (3 units): ")
    assert [note for note in board(found).notes if "empty" in note] == [line]
    (result,) = found.results()
    assert {row["model"] for row in result.rows} == {"lab/none"}
    assert any("3 of 3 units are missing" in note for note in result.notes)
    # Once it can be measured it is, and no failure is left.
    flaky = iter([RuntimeError("for a moment"), RuntimeError("for a moment")])

    def mended(spec: Any, device: str) -> Any:
        if spec.source.scheme == "local-dir":
            for error in flaky:
                raise error
            return real("lab/conv", device)
        return real(spec, device)

    monkeypatch.setattr(work, "load", mended)
    assert not sweep(plan, tmp_path / "out").failed
    assert not list((tmp_path / "out" / "failed").iterdir())


def test_two_sweeps_do_not_write_into_one_folder(tmp_path: Path) -> None:
    def other(_: SweepProgress) -> None:
        with pytest.raises(BusyError, match="another sweep is at work"):
            sweep(SMALL, tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(SMALL, tmp_path, progress=other)
    assert len(Sweep(tmp_path).done) == 1


# ---- what a unit's name is made of ----------------------------------------------------------------------------------


def _keys(**changed: Any) -> list[str]:
    return [one.key for one in units(SweepPlan.of({**SMALL, **changed}))]


def test_what_numbers_depend_on_is_in_a_units_name() -> None:
    usual = set(_keys())
    assert len(usual) == UNITS
    assert usual == set(_keys(models=SMALL["models"][::-1]))
    for changed in ({"batch": 4}, {"threads": 2}, {"seed": 1}, {"data": [{"scenes": 24, "seed": 1}]}):
        assert not usual & set(_keys(**changed)), changed
    # More scenes begin with the same ones: only the probe that shows all at once is measured anew.
    assert len(usual & set(_keys(data=[48]))) == 2 * 2 * 3
    assert scenes(48, 3)[:24] == scenes(24, 3)
    plan = SweepPlan.of({**SMALL, "probes": ["edges"]})
    assert not {one.key for one in units(replace(plan, precision="bfloat16"))} & {one.key for one in units(plan)}
    assert not {one.key for one in units(replace(plan, device="cuda:0"))} & {one.key for one in units(plan)}


def test_pictures_are_known_by_what_is_in_them(pictures: Path, tmp_path: Path) -> None:
    def keys(folder: Path) -> list[str]:
        plan = {"models": ["random/test_vit"], "probes": ["edges"], "data": [{"images": str(folder), "name": "x"}]}
        return [one.key for one in units(SweepPlan.of({**plan, "shard": 4, "batch": 4, "device": "cpu"}))]

    before = keys(pictures)
    assert len(before) == 3
    moved = shutil.copytree(pictures, tmp_path / "elsewhere" / "moved")
    assert keys(moved) == before
    Image.new("RGB", (20, 20)).save(moved / "n01" / "9.png")  # of the last shard
    after = keys(moved)
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    (moved / "n00").rename(moved / "n0")  # other labels
    assert not set(keys(moved)) & set(before)


def test_weights_are_known_by_what_is_in_them(data: Path, tmp_path: Path) -> None:
    source = shutil.copytree(data / "weights" / "mobilenetv2_100", tmp_path / "one" / "net")

    def keys(folder: Path) -> set[str]:
        return set(_keys(models=[f"local-dir:{folder}"], probes=["edges"]))

    before = keys(source)
    assert keys(shutil.copytree(source, tmp_path / "two" / "net")) == before
    file = next(source.glob("*.safetensors"))
    file.write_bytes(file.read_bytes() + b"\0")
    assert not keys(source) & before


def test_nothing_private_is_written(
    pictures: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    plan = {
        "models": [f"local-dir:{data / 'weights' / 'mobilenetv2_100'}"],
        "probes": ["edges", "attention-distance", "heads", "cost", "receptive-field"],
        "data": [str(pictures)],
        "device": "cpu",
    }
    (pictures / "n00" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    found = sweep(plan, tmp_path / "out")
    assert any("local-dir:mobilenetv2_100: " in note for one in found.results() for note in one.notes)
    assert found.units[0]["model"] == "local-dir:mobilenetv2_100"
    written = b"".join(one.read_bytes() for one in (tmp_path / "out").rglob("*") if one.is_file())
    table = json.dumps(found.dataset().to_table().to_pylist())
    for secret in ("hf_secretsecret", str(data), str(tmp_path)):
        assert secret.encode() not in written
        assert secret not in table


def test_an_error_does_not_say_whose_machine_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import explorer.sweep.work as work

    (unit,) = units(SweepPlan.of({**SMALL, "models": ["lab/none"], "probes": ["edges"], "data": [4], "shard": 16}))
    monkeypatch.setattr(work, "HF_HUB_CACHE", "/srv/somebody/hub")
    monkeypatch.setenv("HOME", "/home/somebody")
    said = work.without_paths(unit, "not in /srv/somebody/hub, nor in /home/somebody/weights")
    assert said == "not in HF_HUB_CACHE, nor in ~/weights"


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_read_changes_no_others_numbers(pictures: Path, tmp_path: Path) -> None:
    (pictures / "n00" / "1broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (pictures / "n00" / "2empty.png").touch()
    plan = {"models": ["random/test_vit"], "probes": ["consistency"], "data": [str(pictures)], "device": "cpu"}
    found = sweep({**plan, "shard": 4, "batch": 4}, tmp_path / "parts")
    whole = sweep({**plan, "shard": 16, "batch": 4}, tmp_path / "whole")
    (one,), (other,) = found.results(), whole.results()
    assert other.summary["random/test_vit: consistency"].n == 10
    for name, score in other.summary.items():
        own = one.summary[name]
        assert (own.n, own.value) == (score.n, pytest.approx(score.value, abs=1e-6))
    # What is no picture at all is named as well as what cannot be decoded.
    for name in ("1broken.png", "2empty.png"):
        assert [note for note in one.notes if name in note]
        assert not [note for note in one.notes if str(pictures) in note]


def test_cue_conflicts_are_found_among_other_pictures(data: Path, tmp_path: Path) -> None:
    spec, folder = f"local-dir:{data / 'weights' / 'mobilenetv2_100'}", data / "cue_conflict"
    plan = {"models": [spec], "probes": ["shape-bias"], "data": [str(folder)], "shard": 32, "device": "cpu"}
    (found,) = sweep(plan, tmp_path).results()
    expected = probe("shape-bias", spec, folder, device="cpu")
    own = {key.rpartition(": ")[2]: one for key, one in found.summary.items()}
    for key, score in expected.summary.items():
        one = own[key.rpartition(": ")[2]]
        assert (one.value, one.low, one.high, one.n) == (score.value, score.low, score.high, score.n)
    assert len(own) == 2
    assert sum(row["measure"] == "shape bias" for row in found.rows) > 5


def test_own_modules_are_measured_in_this_process(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))
    module = torch.nn.Sequential(*module, torch.nn.Flatten(), torch.nn.Linear(8, 4))
    own = explorer.wrap(
        module.eval(), input_size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3, labels=["a", "b", "c", "d"]
    )
    plan = {**SMALL, "models": [own], "probes": ["edges"]}
    found = sweep(plan, tmp_path)
    assert not found.failed
    assert next(found.results()).rows
    with pytest.raises(ParameterError, match="module of this process"):
        sweep(plan, tmp_path, workers=2)


# ---- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"models": []}, "names its models"),
        ({"probes": None}, "names its probes"),
        ({"data": []}, "names its data"),
        ({"modles": ["lab/none"]}, "models"),
        ({"models": ["lab/none", "lab/none"]}, "called 'lab/none'"),
        ({"models": ["lab/nonesuch"]}, "nonesuch"),
        ({"models": [{"name": "x"}]}, "'model' is a text"),
        ({"models": [{"model": "lab/none", "token": "x"}]}, "field of models 'token'"),
        ({"models": [3]}, "an entry of models"),
        ({"models": [{"set": "nonesuch"}]}, "unknown matched set 'nonesuch'"),
        ({"models": [{"set": "resnet33ts", "name": "x"}]}, "field of models 'name'"),
        ({"models": [{"model": "lab/none", "input_size": "big"}]}, "input_size is a number of pixels"),
        ({"models": [{"model": "lab/none", "input_size": [48]}]}, "input_size is a number of pixels"),
        ({"models": [{"model": "lab/none", "head": "sigmod"}]}, "head is one of softmax"),
        ({"models": [{"model": "lab/none", "options": 3}]}, "options has names and values"),
        ({"models": [{"model": "lab/none", "block_options": ["a"]}]}, "block_options has names and values"),
        ({"models": [{"model": "lab/none", "preprocessing": [["a"]]}]}, "preprocessing has names and values"),
        ({"models": [{"model": "lab/none", "weights_file": "/nowhere"}]}, "no file '/nowhere'"),
        ({"models": [ModelSpec("lab", weights_file="/nowhere")]}, "no file '/nowhere'"),
        ({"models": [{"model": "local-dir:/nowhere", "name": "our ViT"}]}, "our ViT: there is no folder '/nowhere'"),
        ({"probes": ["edge"]}, "edges"),
        ({"probes": ["edges", "edges"]}, "called 'edges'"),
        ({"probes": [{"probe": "edges", "grid": 99}]}, "grid"),
        ({"probes": [{"probe": "edges", "gird": 4}]}, "has no parameter 'gird'"),
        ({"probes": [["edges"]]}, "a probe is its name"),
        ({"data": ["/nowhere"]}, "no folder '/nowhere'"),
        ({"data": [{"scenes": 0}]}, "scenes is a whole number from 1"),
        ({"data": [True]}, "an entry of data"),
        ({"data": [{"scenes": 4, "images": "x"}]}, "'images', a folder, or 'scenes'"),
        ({"data": [24, 24]}, "called '24 scenes'"),
        ({"shard": 10}, "multiple of batch"),
        ({"batch": 0}, "batch is a whole number from 1"),
        ({"threads": "two"}, "threads is a whole number"),
        ({"seed": -1}, "seed is a whole number from 0"),
        ({"data": [{"scenes": 24, "seed": 3}, {"scenes": 24, "seed": 3}]}, "called '24 scenes, seed 3'"),
        ({"device": "gpu9"}, "device"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there"),
        ({"precision": "float16"}, "precision is one of"),
        ({"precision": ["float32"]}, "precision is one of"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_before_anything_is_loaded(
    changed: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=says):
        sweep({**SMALL, **changed}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_matched_set_stands_for_its_models() -> None:
    plan = SweepPlan.of({**SMALL, "models": ["lab/none", {"set": "resnet33ts"}]})
    assert [one.name for one in plan.models] == ["lab/none", *matched_set("resnet33ts").models]


def test_plans_are_read_safely(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    for text in ("models: !!python/object/apply:os.system [echo]", "models: [", "- 1", "\x00"):
        file.write_text(text)
        with pytest.raises(ParameterError):
            SweepPlan.read(file)
    (tmp_path / "pictures").mkdir()
    file.write_text("models: {model: lab/none, name: plain}\nprobes: edges\ndata: pictures\n")
    plan = SweepPlan.read(file)
    assert (plan.models[0].name, plan.data[0].images) == ("plain", str(tmp_path / "pictures"))


def test_a_probe_is_written_as_a_flag() -> None:
    assert probe_of("translation:side=9, grid=axes") == {"probe": "translation", "side": 9, "grid": "axes"}
    assert probe_of("edges") == {"probe": "edges"}
    with pytest.raises(ParameterError, match="KEY=VALUE"):
        probe_of("translation:9")


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--model", "lab/none", "--probe", "edges:grid=3", "--scenes", "24", "--shard", "8", "--batch", "8"]
    out = ["--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["sweep", *flags, *out, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["units"], found["done"], found["images"], found["tried"]) == (3, 0, 24, 4)
    assert found["seconds"] > 0
    assert found["nbytes"] > 0
    assert not (tmp_path / "out").exists()
    assert main(["sweep", *flags, *out, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["done"] == 3
    lines = [json.loads(one) for one in told.err.splitlines()]
    assert lines[-1]["progress"]["done"] == 3
    assert main(["sweep", "status", str(tmp_path / "out")]) == 0
    assert "3 of 3 units done, 0 failed" in capsys.readouterr().out
    assert main(["sweep", *flags, *out, "--dry-run"]) == 0
    assert "3 units, 3 of them done; 0 pictures" in capsys.readouterr().out
    for wrong in (
        ["sweep", *out],
        ["sweep", *flags],
        ["sweep", "status"],
        ["sweep", "status", str(tmp_path)],
        ["sweep", str(tmp_path / "no.yaml"), *out],
        ["sweep", "plan.yaml", *flags, *out],
        ["sweep", *flags, "--out", str(tmp_path / "out"), "--workers", "0"],
    ):
        assert main(wrong) == 2, wrong
        said = capsys.readouterr().err
        assert said.startswith("explorer: error: ")
        assert said.count("\n") == 1


def test_an_estimate_is_of_the_right_size(tmp_path: Path) -> None:
    plan = SweepPlan.of({**SMALL, "data": [96], "probes": ["edges"], "shard": 32})
    expected = estimate(plan, tmp_path, pictures=8)
    begun = time.perf_counter()
    found = sweep(plan, tmp_path)
    spent = time.perf_counter() - begun
    size = sum(one.stat().st_size for one in (tmp_path / "rows").iterdir())
    assert spent / 20 < expected.seconds < 20 * spent
    assert size / 10 < expected.nbytes < 10 * size
    assert len(found.done) == expected.units == 6


def test_an_estimate_names_what_is_not_divided(tmp_path: Path) -> None:
    """Of scenes fewer probes can be measured in parts than of pictures; of no picture there are no parts."""
    plan = SweepPlan.of({**SMALL, "models": ["lab/none"], "probes": ["edges", "patch-shuffle", "cost"], "data": [4]})
    assert estimate(plan, tmp_path, pictures=1).whole == ("patch-shuffle",)


def test_a_store_of_another_version_is_refused(undisturbed: Sweep, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.root, tmp_path / "out")
    store = Store(tmp_path / "out")
    store.write_note("sweep.json", {**store.sweep(), "schema": 99})
    with pytest.raises(ParameterError, match="schema 99"):
        Sweep(tmp_path / "out")


def test_help_says_what_there_is() -> None:
    found = subprocess.run(command("--help"), capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    for flag in ("--dry-run", "--workers", "--ray", "--images", "status"):
        assert flag in found
