"""An evidence bundle holds the view's numbers, draws them, and computes them again; a number that was changed fails."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import explorer
from explorer.cli.main import main
from explorer.errors import ExplorerError
from explorer.evidence.bundle import report
from explorer.evidence.rows import tidy
from explorer.images import read_image, samples
from explorer.models.spec import ModelSpec
from explorer.models.weights import fingerprint
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view import View
from explorer.view.code import command
from explorer.view.forms import of_record

SVG = "{http://www.w3.org/2000/svg}"
SCENE = View(
    ("lab/mhsa", "lab/coord-aug#1"),
    Scene("star", "dots", seed=3),
    Transform(dx=8, dy=-3.5),
    ((24, 24), (40, 12)),
    layers={0: 1},
)


@pytest.fixture(scope="module")
def scene_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a scene, unpacked."""
    folder = tmp_path_factory.mktemp("scene")
    probe = explorer.probe("consistency", ["lab/conv"], 3, passes=1)
    again = explorer.probe("consistency", ["lab/mhsa"], 2, passes=1)
    return unpacked(report(SCENE, folder / "evidence.zip", [probe, again]), folder / "evidence")


@pytest.fixture(scope="module")
def photo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a visitor's photograph and file of weights, unpacked without that file."""
    folder = tmp_path_factory.mktemp("photo")
    with Image.open(samples()["cup"]) as image:
        image.resize((300, 200)).save(folder / "holiday.jpg", quality=95)
    save_file(timm.create_model("test_resnet").state_dict(), folder / "mine.safetensors")
    own = ModelSpec.parse("random/test_resnet", weights_file=str(folder / "mine.safetensors"))
    view = View(
        ("random/test_vit", own, "random/test_resnet+se@2"),
        str(folder / "holiday.jpg"),
        method="occlusion",
        parameters={"window": 60, "stride": 50},
    )
    return unpacked(report(view, folder / "evidence.zip"), folder / "evidence")


def unpacked(bundle: Path, folder: Path) -> Path:
    with zipfile.ZipFile(bundle) as held:
        assert held.testzip() is None
        held.extractall(folder)
    return folder


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "reproduce.py")], capture_output=True, text=True, check=False, cwd=folder.parent
    )


def run_notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    notebook = json.loads((folder / "reproduce.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 4)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in notebook["cells"]:
            assert cell["cell_type"] in ("markdown", "code")
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), names)
    return printed.getvalue()


# ------------------------------------------------------------------------------------------------------------ numbers


def test_the_view_is_read_back(scene_bundle: Path, photo_bundle: Path) -> None:
    assert of_record(results(scene_bundle)["view"]) == SCENE
    own = of_record(results(photo_bundle)["view"])
    assert own.source == "holiday.jpg"
    assert own.specs[1] == ModelSpec.parse("random/test_resnet", weights_file="mine.safetensors")
    assert (own.method, own.parameters) == ("occlusion", {"window": 60, "stride": 50})


def test_a_bundle_is_said_as_the_command_that_asks_the_same(
    scene_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(scene_bundle / "results.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command_line"] == command(SCENE)


def test_rows_are_the_numbers_of_the_view() -> None:
    found = SCENE.compare()
    rows = tidy(found)
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    mhsa, coord = found.rows

    def of(view: Any, **conditions: Any) -> list[dict[str, Any]]:
        wanted = {"model": view.spec, **conditions}
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    for view in found.rows:
        for side, answer in zip(("before", "after"), view.predictions):
            own = of(view, measure="prediction", side=side, unit="softmax probability")
            assert [(row["class"], row["label"], row["value"]) for row in own] == [
                (one.index, one.label, one.probability) for one in answer.top
            ]
            logits = of(view, measure="prediction", side=side, unit="logit")
            assert [row["value"] for row in logits] == [one.logit for one in answer.top]
        assert view.attributions is not None
        assert view.pulled_back is not None
        grids = [row for row in of(view, measure="attribution") if row["values"]]
        for row, values in zip(grids, (*(one.values for one in view.attributions), view.pulled_back.values)):
            known = [math.nan if one is None else one for one in row["values"]]
            grid = torch.tensor(known).view(row["rows"], row["columns"])
            valid = view.pulled_back.valid if row["side"] == "brought back" else torch.ones_like(grid, dtype=torch.bool)
            assert torch.equal(grid[valid], values[valid])
            assert grid[~valid].isnan().all()
        assert [row["side"] for row in grids] == ["before", "after", "brought back"]
    first = mhsa.maps[0]
    row = of(mhsa, layer=first.layer, side="after", query=1, head=1)
    assert row == []  # the second query has left the frame: 40 + 8 px of 48
    (row,) = of(mhsa, layer=first.layer, side="after", query=0, head=1)
    assert torch.equal(torch.tensor(row["values"]), first.row(mhsa.queries[1], 1, 1).flatten())
    assert (row["x"], row["y"], row["value"]) == (32, 20.5, max(row["values"]))
    (mean,) = of(mhsa, layer=first.layer, side="before", query=1, head=None)
    assert torch.equal(torch.tensor(mean["values"]), first.row(mhsa.asked[1][0], None, 0).flatten())
    gates = of(coord, measure="attention", kind="gate")
    assert gates
    assert {row["head"] for row in gates} == {None}
    assert {row["query"] for row in gates} == {None}
    still = View(("lab/mhsa",), Scene("star")).compare()
    assert {row["side"] for row in tidy(still)} == {"before"}


def test_tables_agree_with_each_other(scene_bundle: Path) -> None:
    stored = results(scene_bundle)
    assert pq.read_table(scene_bundle / "results.parquet").to_pylist() == stored["rows"]
    assert stored["rows"] == json.loads(json.dumps(tidy(SCENE.compare())))
    for name in ("consistency", "consistency-2"):
        record = json.loads((scene_bundle / "probes" / f"{name}.json").read_text(encoding="utf-8"))
        assert record["probe"] == "consistency"
        rows = pq.read_table(scene_bundle / "probes" / f"{name}.parquet").to_pylist()
        assert rows == record["rows"]
    assert stored["transform"]["dx"] == 8
    assert stored["scene"]["texture"] == "dots"
    assert stored["queries"] == [[24, 24], [40, 12]]


def test_models_say_what_they_are(photo_bundle: Path) -> None:
    vit, own, se = json.loads((photo_bundle / "models.json").read_text(encoding="utf-8"))["models"]
    assert (vit["model"], vit["weights"], own["weights"], se["inserted_weights"]) == (
        *("random/test_vit", "random", "file", "random"),
    )
    assert vit["weights_sha256"] == fingerprint(explorer.load("random/test_vit", "cpu").module)
    assert vit["input_size"] == [160, 160]
    assert own["weights_file"]["name"] == own["spec"]["weights_file"] == "mine.safetensors"
    assert "ImageNet" in vit["labels"]
    text = (photo_bundle / "README.txt").read_text(encoding="utf-8")
    assert f"{own['model']} needs mine.safetensors in this folder" in text
    assert own["weights_file"]["sha256"] in text
    everything = "".join(path.read_text("utf-8", "ignore") for path in photo_bundle.rglob("*") if path.is_file())
    assert str(photo_bundle.parent) not in everything  # where a visitor's files lay is nobody's business


# ------------------------------------------------------------------------------------------------------------ figures


def test_figures_and_page(scene_bundle: Path) -> None:
    assert sorted(path.name for path in (scene_bundle / "figures").iterdir()) == [
        f"{name}.{ending}" for name in ("comparison", "consistency-2", "consistency") for ending in ("png", "svg")
    ]
    stored = results(scene_bundle)["rows"]
    top = next(row for row in stored if row["unit"] == "softmax probability")
    for file in (scene_bundle / "figures").glob("*.svg"):
        root = ElementTree.parse(file).getroot()
        words = ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]
        if file.stem == "comparison":
            assert f"{top['value']:.1%}" in words
            assert top["label"] in words
    for file in (scene_bundle / "figures").glob("*.png"):
        with Image.open(file) as image:
            assert image.format == "PNG"
            image.load()
    with Image.open(scene_bundle / "picture.png") as image:
        assert image.size == (48, 48)
    page = (scene_bundle / "report.html").read_text(encoding="utf-8")
    # Nothing that a browser would fetch: no script, no address but data: and places in the page itself.
    assert "default-src 'none'" in page
    assert "<script" not in page
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert addresses
    assert all(one.startswith(("data:", "#")) for one in addresses)
    assert "@import" not in page
    # The figures are those of the files, each a document of its own.
    shown = [base64.b64decode(one).decode() for one in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)]
    assert sorted(shown) == sorted(one.read_text(encoding="utf-8") for one in (scene_bundle / "figures").glob("*.svg"))
    assert all(re.findall(r'<img alt="([^"]*)"', page))
    for word in ("procedural scene label=star,texture=dots,seed=3", "8 px right", f"{top['value']:.4g}", "torch"):
        assert word in page
    for model in json.loads((scene_bundle / "models.json").read_text(encoding="utf-8"))["models"]:
        assert model["weights_sha256"][:16] in page
    assert "lab: trained in the laboratory with one recipe" in page
    assert "consistency" in page


def test_the_same_view_gives_the_same_bytes(tmp_path: Path) -> None:
    view = View(("lab/conv", "lab/se"), Scene("ring"), Transform(zoom=0.7))
    first, second = (report(view, tmp_path / f"{name}.zip").read_bytes() for name in "ab")
    assert first == second


# ---------------------------------------------------------------------------------------------------- computed again


def test_a_scene_is_computed_again(scene_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(scene_bundle)
    assert done.returncode == 0, done.stderr
    count = len(results(scene_bundle)["rows"])
    assert f"All {count} rows agree" in done.stdout
    assert "lab/coord-aug#1 (lab weights)" in done.stdout
    assert run_notebook(scene_bundle, monkeypatch) == done.stdout


def test_a_photograph_is_computed_again_with_its_owners_weights(
    photo_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExplorerError, match=r"mine\.safetensors"):
        run_notebook(photo_bundle, monkeypatch)
    # With the file in the folder it runs; with another file of the same form the numbers are not the stored ones.
    file = photo_bundle / "mine.safetensors"
    tensors = load_file(photo_bundle.parent / "mine.safetensors")
    save_file(tensors, file)
    printed = run_notebook(photo_bundle, monkeypatch)
    assert f"All {len(results(photo_bundle)['rows'])} rows agree" in printed
    save_file({name: one * 1.01 if name.startswith("fc") else one for name, one in tensors.items()}, file)
    with pytest.raises(AssertionError, match=r"rows differ, the first: \{'model': 'random/test_resnet'"):
        run_notebook(photo_bundle, monkeypatch)


@pytest.mark.parametrize("measure", ["prediction", "attention", "attribution"])
def test_a_changed_number_is_found(measure: str, scene_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = results(scene_bundle)
    text = (scene_bundle / "results.json").read_text(encoding="utf-8")
    row = next(row for row in reversed(stored["rows"]) if row["measure"] == measure)
    if row["values"]:
        place = next(place for place, value in enumerate(row["values"]) if value)
        row["values"][place] += 0.001 * max(abs(value or 0) for value in row["values"])
    else:
        row["value"] += 0.01
    try:
        (scene_bundle / "results.json").write_text(json.dumps(stored), encoding="utf-8")
        with pytest.raises(AssertionError, match=rf"1 of {len(stored['rows'])} rows differ.*{measure}"):
            run_notebook(scene_bundle, monkeypatch)
    finally:
        (scene_bundle / "results.json").write_text(text, encoding="utf-8")


# ------------------------------------------------------------------------------------------------------- the command


def test_the_command_writes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.zip"
    line = f"report --image cup --model random/test_vit --dx 16 --query 30,40 --pin place --method none --out {file}"
    assert main([*shlex.split(line), "--probe", "receptive-field", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["file"] == str(file)
    assert {"probes/receptive-field.parquet", "figures/receptive-field.svg", "report.html"} <= set(record["holds"])
    folder = unpacked(file, tmp_path / "out")
    expected = View(("random/test_vit",), "cup", Transform(dx=16), ((30, 40),), "place", None)
    assert results(folder)["rows"] == json.loads(json.dumps(tidy(expected.compare())))
    with Image.open(folder / "picture.png") as image:
        assert image.tobytes() == read_image(samples()["cup"]).image.tobytes()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report --image cup --out x.zip", "--model"),
        ("report --image cup --model random/test_vit --out x.pdf", "written as .zip, got 'x.pdf'"),
        ("report --image cup --model random/test_vit --out nofolder/x.zip", "no folder 'nofolder'"),
        ("report --image cup --model random/test_vit --out x.zip --probe consistancy", "consistency"),
        ("report --image cup --model random/test_vit --out x.zip --query class", "--query is a place"),
        ("report --image cup --model random/test_vit --out x.zip --layer nowhere", "no layer 'nowhere'"),
        ("report --image no.png --model random/test_vit --out x.zip", "no picture file 'no.png'"),
        ("report --image cup --model resnet5000 --out x.zip", "resnet50"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(shlex.split(line))
    except SystemExit as left:
        status = left.code  # type: ignore[assignment]
    out, error = capsys.readouterr()
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert message in error
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    for path in (tmp_path / "folder.zip", tmp_path / "none" / "x.zip", tmp_path / "x.html"):
        with pytest.raises(ExplorerError, match="written"):
            report(View(("resnet5000",), "no.png"), path)
