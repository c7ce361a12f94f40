"""The command says what the library says, as one JSON object or in words, and refuses bad input in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image

import explorer
from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.cli.main import main
from explorer.geometry import Point
from explorer.images import read_image, samples
from explorer.lab import networks
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view import View
from explorer.view.forms import link, of_record

VIT, RESNET = "random/test_vit", "random/test_resnet"  # timm's own little ones, 160 px
CUP = samples()["cup"]


@pytest.fixture(scope="module")
def vit() -> explorer.Model:
    return explorer.load(VIT, "cpu")


@pytest.fixture(scope="module")
def resnet() -> explorer.Model:
    return explorer.load(RESNET, "cpu")


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line with --json and return its object."""

    def run(line: str) -> dict[str, Any]:
        status = main([*shlex.split(line), "--json"])
        out, err = capsys.readouterr()
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
        record: dict[str, Any] = json.loads(out)
        assert record["command"] == line.split()[0]
        return record

    return run


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line and return what it prints."""

    def run(line: str) -> str:
        status = main(shlex.split(line))
        out, err = capsys.readouterr()
        assert (status, err) == (0, "")
        return out

    return run


# ----------------------------------------------------------------------------------------------------- answers


def test_predict_says_what_the_library_says(answer: Any, vit: explorer.Model, resnet: explorer.Model) -> None:
    record = answer(f"predict --image cup --model {VIT} --model {RESNET} --device cpu --top 3")
    assert record["image"] == {"name": "cup.jpg", "width": 600, "height": 400, "notes": []}
    assert record["versions"]["timm"] == timm.__version__
    for row, model in zip(record["models"], (vit, resnet)):
        expected = explorer.predict(model, CUP, top=3)
        assert (row["model"], row["weights"], row["device"]) == (str(model.spec), "random", "cpu")
        assert row["input_size"] == list(model.input_size)
        assert [one["label"] for one in row["prediction"]] == [one.label for one in expected.top]
        assert [one["probability"] for one in row["prediction"]] == [one.probability for one in expected.top]


def test_predict_answers_every_picture(answer: Any, resnet: explorer.Model, lines: Any) -> None:
    """Several pictures get several answers, each that of the picture alone."""
    both = answer(f"predict --image cup --image cat --model {RESNET} --device cpu --top 2")
    assert set(both) == {"command", "pictures", "top1", "notes", "versions"}
    for record, name in zip(both["pictures"], ("cup", "cat"), strict=True):
        alone = answer(f"predict --image {name} --model {RESNET} --device cpu --top 2")
        assert record["image"]["name"] == f"{name}.jpg"
        assert record["models"] == alone["models"]
    assert both["top1"] == [{"model": str(resnet.spec), "right": 0, "n": 0, "top1": None}]
    printed = lines(f"predict --image cup --image cat --model {RESNET} --device cpu")
    assert "cup.jpg" in printed
    assert "cat.jpg" in printed


def test_predict_of_a_folder_gives_top1_where_there_are_labels(
    answer: Any, resnet: explorer.Model, tmp_path: Path
) -> None:
    right = explorer.predict(resnet, CUP, top=1).top[0].index
    for label in (right, (right + 1) % 1000, "no class of it"):
        (tmp_path / str(label)).mkdir()
        shutil.copy(CUP, tmp_path / str(label) / "a.jpg")
    (tmp_path / str(right) / "broken.png").write_bytes(b"no picture")
    (tmp_path / str(right) / "half.jpg").write_bytes(Path(CUP).read_bytes()[:3000])
    found = answer(f"predict --images {tmp_path} --model {RESNET} --device cpu")
    assert [one["image"]["name"] for one in found["pictures"]] == sorted(
        f"{one}/a.jpg" for one in (right, (right + 1) % 1000, "no class of it")
    )
    assert found["top1"] == [{"model": str(resnet.spec), "right": 1, "n": 2, "top1": 0.5}]
    assert "2 pictures could not be read" in found["notes"][0]
    assert f"{right}/half.jpg" in found["notes"][0]


@pytest.mark.parametrize("verb", ["attend", "attribute", "compare", "report", "bench"])
def test_a_verb_of_one_picture_refuses_two(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(f"{verb} --image cup --image cat --model {RESNET}"))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"--image is given once, as {verb} shows one picture; got cup and cat" in err


def test_bands_are_chosen_by_a_flag(answer: Any, resnet: explorer.Model, capsys: pytest.CaptureFixture[str]) -> None:
    turned = answer(f"predict --image cup --bands 3,2,1 --model {RESNET} --device cpu --top 3")
    expected = explorer.predict(resnet, read_image(CUP, (3, 2, 1)), top=3)
    assert [one["index"] for one in turned["models"][0]["prediction"]] == [one.index for one in expected.top]
    for verb in ("predict", "report", "probe edges"):
        assert main(shlex.split(f"{verb} --image cup --bands red --model {RESNET}")) == 2
        assert "--bands is one number or three" in capsys.readouterr().err
        assert main(shlex.split(f"{verb} --scene label=star --bands 3,2,1 --model lab/conv")) == 2
        assert "red, green and blue alone" in capsys.readouterr().err


def test_a_probe_and_a_report_take_bands(answer: Any, resnet: explorer.Model, tmp_path: Path) -> None:
    """What they are shown is the picture of these bands, one alone or those of a folder."""
    flags = f"--model {RESNET} --device cpu"
    shutil.copy(CUP, tmp_path / "cup.jpg")
    expected = explorer.probe("edges", [resnet], [read_image(CUP, (3, 2, 1))])
    for shown in ("--image cup", f"--images {tmp_path}"):
        found = answer(f"probe edges {shown} --bands 3,2,1 {flags}")
        assert [row["value"] for row in found["rows"]] == [row["value"] for row in expected.rows]
        assert all("bands 3,2,1" in row["stimuli"] for row in found["rows"])
    assert [row["value"] for row in answer(f"probe edges --image cup {flags}")["rows"]] != [
        row["value"] for row in expected.rows
    ]
    file = tmp_path / "evidence.zip"
    answer(f"report --image cup --bands 3,2,1 {flags} --method none --out {file}")
    with zipfile.ZipFile(file) as bundle:
        rows = json.loads(bundle.read("results.json"))["rows"]
        page = bundle.read("report.html").decode()
    (first,) = explorer.predict(resnet, read_image(CUP, (3, 2, 1)), top=1).top
    top = next(row for row in rows if row["measure"] == "prediction")
    assert (top["class"], top["value"]) == (first.index, pytest.approx(first.probability, abs=1e-6))
    assert "bands=(3, 2, 1)" in page
    assert "--bands 3,2,1" in page


def test_predict_moves_the_picture(answer: Any, resnet: explorer.Model) -> None:
    record = answer(f"predict --image {CUP} --model {RESNET} --dx -20 --zoom 0.5 --flip --border mean --device cpu")
    move = Transform(dx=-20, zoom=0.5, flip=True, border="mean")
    with torch.inference_mode():
        logits = resnet.logits(move.apply(resnet.preprocess(read_image(CUP).image)))[0]
    assert record["transform"] == str(move)
    assert record["models"][0]["prediction"][0]["index"] == int(logits.argmax())
    assert record["models"][0]["prediction"][0]["logit"] == pytest.approx(float(logits.max()), abs=1e-5)


def test_attend_gives_the_rows_of_every_layer(answer: Any, vit: explorer.Model) -> None:
    maps = explorer.capture(vit, read_image(CUP).image)
    layers = answer(f"attend --image cup --model {VIT} --query 20,130 --device cpu")["models"][0]["layers"]
    assert [one["layer"] for one in layers] == [one.layer for one in maps]
    for record, one in zip(layers, maps):
        expected = one.row(Point(20, 130))
        assert (torch.tensor(record["values"]) - expected).abs().max() < 1e-6
        assert (record["kind"], record["layout"], record["grid"]) == ("pairwise", "tokens", list(expected.shape))
    head = answer(f"attend --image cup --model {VIT} --query class --layer 2 --head 1 --device cpu")
    (layer,) = head["models"][0]["layers"]
    assert layer["layer"] == maps[2].layer
    assert (torch.tensor(layer["values"]) - maps[2].row("class", 1)).abs().max() < 1e-6


def test_the_query_goes_with_the_move(answer: Any, vit: explorer.Model) -> None:
    moved = answer(f"attend --image cup --model {VIT} --query 20,130 --dx 32 --dy -16 --layer -1 --device cpu")
    assert moved["models"][0]["query"] == [52, 114]
    seen = Transform(dx=32, dy=-16).apply(vit.preprocess(read_image(CUP).image))
    expected = explorer.capture(vit, seen)[-1].row(Point(52, 114))
    assert (torch.tensor(moved["models"][0]["layers"][0]["values"]) - expected).abs().max() < 1e-5


def test_attribute_says_what_the_library_says(answer: Any, resnet: explorer.Model) -> None:
    record = answer(f"attribute --image cup --model {RESNET} --device cpu --method occlusion --window 40 --stride 40")
    expected = explorer.attribute(resnet, read_image(CUP).image, "occlusion", window=40, stride=40)
    (row,) = record["models"]
    assert (torch.tensor(row["values"]) - expected.values).abs().max() < 1e-5
    assert (row["target"], row["unit"]) == (expected.target, expected.unit)
    assert row["parameters"]["window"] == 40
    other = answer(f"attribute --image cup --model {RESNET} --device cpu --target 7")["models"][0]
    assert "(7)" in other["target"]
    assert other["method"] == "gradcam"


def test_seed_reaches_weights_and_noise(answer: Any) -> None:
    line = f"attribute --image cup --model {VIT} --device cpu --method smoothgrad --samples 1"
    first, again, other = (answer(f"{line} --seed {seed}")["models"][0] for seed in (3, 3, 4))
    assert first == again
    assert first["model"] == f"{VIT}#3"
    assert first["parameters"]["seed"] == 3
    assert first["values"] != other["values"]
    # what a spec says itself goes first
    assert answer(f"predict --image cup --model {VIT}#5 --seed 3 --device cpu")["models"][0]["model"] == f"{VIT}#5"


def test_compare_gives_before_after_and_difference(answer: Any, vit: explorer.Model, resnet: explorer.Model) -> None:
    # border wrap and a shift by whole cells of both models' maps
    record = answer(f"compare --image cup --model {VIT} --model {RESNET} --dx 32 --query 40,40 --device cpu --head 1")
    expected = explorer.compare([vit, resnet], CUP, Transform(dx=32), query=Point(40, 40))
    assert (record["transform"], record["method"]) == (expected.transform, "gradcam")
    for row, view in zip(record["models"], expected.rows):
        assert [tuple(one) for one in row["queries"]] == [tuple(one) for one in view.queries if one]
        assert row["shift"] == list(view.shift)
        for got, one in zip(row["predictions"], view.predictions):
            assert [c["index"] for c in got["prediction"]] == [c.index for c in one.top]
        assert view.attributions is not None
        assert view.pulled_back is not None
        assert view.difference is not None
        for got, one in zip(row["attributions"], view.attributions):
            assert (torch.tensor(got["values"]) - one.values).abs().max() < 1e-5
        hidden = [value is None for line in row["difference"] for value in line]
        assert hidden == (~view.pulled_back.valid).flatten().tolist()  # what cannot be seen is no number
        shown = torch.tensor([value or 0 for line in row["difference"] for value in line])
        assert (shown - view.difference.flatten()).abs().max() < 1e-5
    first, second = record["models"]
    assert second["attention"] is None
    assert any("no attention" in note for note in second["notes"])
    for item, place in enumerate(expected.rows[0].queries):
        row = expected.rows[0].maps[-1].row(place, 1, item)
        assert (torch.tensor(first["attention"][item]["values"]) - row).abs().max() < 1e-6


def test_input_size_and_weights_are_taken(answer: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    module = timm.create_model("test_resnet")
    file = tmp_path / "mine.safetensors"
    save_file(module.state_dict(), file)
    line = f"predict --image cup --model {RESNET} --weights {file} --input-size 96x128 --device cpu"
    (row,) = answer(line)["models"]
    assert (row["weights"], row["input_size"]) == ("file", [96, 128])
    assert answer(line.replace("96x128", "64"))["models"][0]["input_size"] == [64, 64]


# ------------------------------------------------------------------------------------------------------- lists


def test_models_are_found_with_what_they_are(answer: Any, lines: Any) -> None:
    rows = answer("models --search swin_tiny")["rows"]
    assert [row["name"] for row in rows] == [name for name in timm.list_models() if "swin_tiny" in name]
    (row,) = rows
    assert row["parameters"] == 28_288_354  # of the paper's 28 M, as built by timm
    assert row["input_size"] == [224, 224]
    assert row["layouts"] == ["windows, shifted"]
    text = lines("models --search resnet1*8 --limit 2")
    assert "11.7 M" in text
    assert "no attention" in text


def test_blocks_and_methods_list_the_registries(answer: Any, lines: Any) -> None:
    blocks = answer("blocks")["rows"]
    assert [row["name"] for row in blocks] == list(BLOCKS)
    assert blocks[0]["question"].endswith(".") or "?" in blocks[0]["question"]
    methods = answer("methods")["rows"]
    assert [row["name"] for row in methods] == list(METHODS)
    occlusion = next(row for row in methods if row["name"] == "occlusion")
    assert occlusion["parameters"]["window"]["default"] == 32
    text = lines("methods")
    assert "--window, --stride" in text
    assert all(row["question"] in text for row in methods)


# ------------------------------------------------------------------------------------------------------- flags


def test_every_field_of_a_move_and_of_a_method_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    for method in METHODS:
        with pytest.raises(SystemExit) as caught:
            main(["attribute", "--method", method, "--help"])
        assert caught.value.code == 0
        text = capsys.readouterr().out
        for one in (*dataclasses.fields(METHODS[method]), *dataclasses.fields(Transform)):
            assert f"--{one.name.replace('_', '-')}" in text
    with pytest.raises(SystemExit):
        main(["attribute", "--help"])
    assert "--stage" in capsys.readouterr().out  # of the method that is used when none is named


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "models", "blocks", "methods", "predict", "attend", "attribute", "compare"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        text = capsys.readouterr().out
        assert "--json" in text
        assert "--out" in text or command == "serve"


def test_a_link_is_said_as_a_command_that_asks_the_same(answer: Any) -> None:
    shown = View(
        ("lab/mhsa", "lab/c2f"),
        Scene("star", "dots"),
        Transform(dx=6, border="zero"),
        [(0.25, 0.5)],
        unit="share",
        pin="place",
        method="occlusion",
    )
    said = answer(f"view 'https://host/path?x=1#{link(shown)}&lang=zh'")
    assert of_record(said["view"]) == shown.in_pixels((48, 48))
    found = answer(said["command_line"].removeprefix("explorer "))
    assert [one["model"] for one in found["models"]] == ["lab/mhsa", "lab/c2f"]
    assert found["models"][0]["queries"] == [[12, 24], [12, 24]]
    assert found["method"] == "occlusion"
    assert "explorer.Transform(dx=6" in said["python"]


def test_what_view_cannot_say_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.zip").write_bytes(b"no bundle")
    (tmp_path / "results.json").write_text("[]", encoding="utf-8")
    for source, said in {
        f"#models=lab/conv&picture=own:{'0' * 24}": "given to its server",
        "#dx=3": "choose at least one model",
        str(tmp_path / "none.zip"): "cannot be read",
        str(tmp_path / "results.json"): "is no evidence bundle",
        str(tmp_path / "notes.zip"): "is no evidence bundle",
    }.items():
        assert main(["view", source]) == 2
        assert said in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    "line",
    [
        f"predict --image cup --model {VIT}",
        f"attend --image cup --model {VIT} --model {VIT}#1 --layer 0 --query class",
        f"attribute --image cup --model {VIT}",
        f"compare --image cup --model {VIT} --model {RESNET} --dy 16",
        "blocks",
    ],
    ids=lambda line: line.split()[0],
)
def test_out_draws_a_png_and_a_page(line: str, answer: Any, tmp_path: Path) -> None:
    files = answer(f"{line} --out {tmp_path / 'new'}")["files"]
    command = line.split()[0]
    assert files == [str(tmp_path / "new" / f"{command}.{ending}") for ending in ("png", "svg", "html")]
    with Image.open(files[0]) as image:
        assert image.format == "PNG"
        assert image.size[0] >= 640
        assert len(image.convert("RGB").getcolors(2**24)) > 8
    page = Path(files[2]).read_text(encoding="utf-8")
    if "--model" in line:
        assert VIT.replace("/", "\\u002f") in page or VIT in page
        assert "random weights" in page  # what the weights are, where the eye falls


def test_out_takes_a_file(lines: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    assert f"wrote {file}" in lines(f"attribute --image cup --model {RESNET} --out {file}")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


# ------------------------------------------------------------------------------------------------------- refusals

WRONG = {
    "": "COMMAND",
    "nonsense": "nonsense",
    "predict --image cup": "--model",
    f"predict --model {VIT}": "--image",
    f"predict --image nofile.png --model {VIT}": "no picture file 'nofile.png'",
    "predict --image cup --model resnet5000": "resnet50",
    "predict --image cup --model random/resnet18+mhza@3": "mhsa",
    "predict --image cup --model random/resnet18+mhsa@9": "stage",
    "predict --image cup --model random/resnet18+mhsa": "after which stage",
    f"predict --image cup --model {VIT} --device tpu": "tpu",
    f"predict --image cup --model {VIT} --zoom 9": "zoom is a number from 0.25 to 4",
    f"predict --image cup --model {VIT} --dx nan": "dx",
    f"predict --image cup --model {VIT} --dx far": "--dx",
    f"predict --image cup --model {VIT} --border black": "zero, mean, reflect, wrap",
    f"predict --image cup --model {VIT} --centre here": "--centre is a place X,Y",
    f"predict --image cup --model {VIT} --input-size big": "--input-size",
    f"predict --image cup --model {VIT} --seed -1": "--seed",
    f"predict --image cup --model {VIT} --top 0": "--top",
    f"predict --image cup --model {VIT} --weights nofile.safetensors": "nofile.safetensors",
    f"predict --image cup --model {VIT} --model {VIT} --weights x.safetensors": "one model",
    f"predict --image cup --model {VIT} --out x.pdf": ".png, .svg or .html",
    f"predict --image cup --model {VIT} --out nofolder/x.png": "no folder",
    f"predict --image cup --model {VIT} --unknown 3": "--unknown",
    f"attend --image cup --model {RESNET}": "attention",
    f"attend --image cup --model {VIT} --query 500,3": "outside the 160 x 160 px",
    f"attend --image cup --model {VIT} --query 1,2,3": "--query is a place X,Y",
    f"attend --image cup --model {VIT} --query class --layer 0 --head 99": "head 99",
    f"attend --image cup --model {VIT} --query register --layer 0": "register",
    f"attend --image cup --model {VIT} --query 150,3 --dx 50": "left the frame",
    f"attend --image cup --model {VIT} --layer 99": "layers 0 to 5",
    f"attend --image cup --model {VIT} --layer blocks.6.attn": "blocks.5.attn",
    f"attribute --image cup --model {VIT} --method gradcan": "gradcam",
    f"attribute --image cup --model {RESNET} --method attention_rollout": "attention rollout cannot serve",
    f"attribute --image cup --model {VIT} --method occlusion --window 0": "window",
    f"attribute --image cup --model {VIT} --window 8": "--window",
    f"attribute --image cup --model {VIT} --target 5000": "5000",
    f"attribute --image cup --model {VIT} --method": "--method",
    f"compare --image cup {f'--model {VIT} ' * 7}": "at most 6",
    f"compare --image cup --model {VIT} --layer nowhere": "nowhere",
    "models --search swim_tiny": "swin_s3_tiny_224",
    "models --limit 0": "--limit",
    "serve --port 99999": "--port",
    "serve --model random/resnet18+mhsa": "after which stage",
}


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_gives_status_2_and_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(shlex.split(line))
    except SystemExit as left:  # argparse's own way out
        status = left.code  # type: ignore[assignment]
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert "error: " in err
    assert WRONG[line] in err


def test_a_damaged_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cat.png"
    file.write_text("not a picture")
    assert main(["predict", "--image", str(file), "--model", VIT]) == 2
    assert "cat.png is a text file" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- as a process


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "explorer", *arguments], capture_output=True, text=True, check=False, **options
    )


def test_json_alone_is_on_standard_output() -> None:
    result = run("predict", "--image", "cup", "--model", RESNET, "--json", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["models"][0]["model"] == RESNET
    assert result.stdout.count("\n") == 1


@pytest.fixture
def light(tmp_path: Path) -> dict[str, str]:
    """An environment in which the heavy packages cannot be imported."""
    for name in ("torch", "timm", "gradio", "plotly", "captum"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('imported')")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(explorer.__file__).parents[1])))}


def test_help_and_mistakes_do_not_wait_for_torch(light: dict[str, str]) -> None:
    result = run("--help", env=light)
    assert result.returncode == 0, result.stderr
    assert "compare" in result.stdout
    wrong = run("nonsense", env=light)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_a_reader_that_leaves_early_is_no_error(light: dict[str, str]) -> None:
    code = (
        "import sys; from explorer.cli import listing, main; "
        "listing._blocks = lambda _: main.Result({}, ['line'] * 100_000, None); "
        "sys.exit(main.main(['blocks']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=light
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


# ------------------------------------------------------------------------------------------------ the laboratory


@pytest.mark.skipif(not networks.available(), reason="no trained models in this tree")
def test_scenes_are_pictures_too(answer: Any) -> None:
    record = answer(
        "predict --scene label=star,texture=dots,seed=3 --model lab/conv --model lab/ca_c2f --dx 8 --device cpu"
    )
    assert record["scene"]["label"] == "star"
    scene = explorer.Scene(label="star", texture="dots", seed=3, dx=8 / 48)
    for row in record["models"]:
        expected = explorer.predict(explorer.load(row["model"], "cpu"), scene).top[0]
        assert row["prediction"][0]["label"] == expected.label
        assert row["prediction"][0]["probability"] == pytest.approx(expected.probability, abs=1e-6)
        assert row["weights"] == "lab"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predict --model lab/conv --scene label=stra", "unknown label 'stra'. Did you mean star"),
        ("predict --model lab/conv --scene colour=red", "unknown property of a scene 'colour'"),
        ("predict --model lab/conv --scene scale=big", "scale is a number, got 'big'"),
        ("predict --model lab/conv --scene star", "NAME=VALUE"),
        ("predict --model lab/conv --scene scale=99", "scale is 99.0; it is a number from 0.1 to 4"),
        ("train lab/none --batch 0", "a batch no larger than the images"),
        ("train lab/none --rate -1", "a rate above 0"),
        ("train lab/nothing", "unknown laboratory model 'lab/nothing'"),
        ("train lab/none --seeds 0", "--seeds is 0"),
    ],
)
def test_a_bad_scene_or_recipe_is_one_line(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert message in error


def test_train_writes_weights_and_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "weights"
    small = "--images 64 --epochs 1 --batch 32 --device cpu --json"
    assert main(shlex.split(f"train lab/conv#1 --out {shlex.quote(str(folder))} {small}")) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["spec"] for one in record["models"]] == ["lab/conv#1"]
    assert (folder / "conv-1.safetensors").is_file()
    assert json.loads((folder / "manifest.json").read_text())["models"] == record["models"]


# ---- probes ---------------------------------------------------------------------------------------------------------


def test_a_probe_prints_what_the_library_gives(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from explorer.probes import probe

    flags = ["probe", "consistency", "--model", "lab/conv", "--scenes", "4", "--passes", "1"]
    assert main([*flags, "--json", "--out", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    own = probe("consistency", "lab/conv", 4, passes=1)
    assert printed["rows"] == own.rows
    assert set(printed["summary"]) == set(own.summary)
    assert {"value", "unit", "low", "high", "n"} <= set(printed["summary"]["lab/conv: consistency"])
    assert sorted(Path(file).suffix for file in printed["files"]) == [".csv", ".html", ".json", ".png", ".svg"]
    assert main(flags) == 0


def test_probes_are_listed_from_their_declarations(capsys: pytest.CaptureFixture[str]) -> None:
    from explorer.probes import PROBES

    assert main(["probes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == list(PROBES)
    assert all(row["question"].endswith("?") and row["limits"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["probe", "consistancy", "--model", "lab/conv"], "consistency"),
        (["probe", "consistency", "--model", "lab/conv", "--passes", "0"], "passes lies from 1"),
        (["probe", "consistency", "--model", "lab/conv", "--precision", "bfloat16"], "float32 only"),
        (["probe", "shape-bias", "--model", "random/test_resnet", "--scenes", "12"], "cue conflicts"),
        (["probe", "consistency", "--model", "lab/conv", "--out", "x.xlsx"], ".csv or .json"),
    ],
)
def test_wrong_probes_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize("command", [["-m", "explorer", "serve", "--port", "0"], ["app.py"]])
def test_serving_says_that_it_starts_before_it_imports_what_takes_seconds(command: list[str]) -> None:
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *command],
        cwd=root,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr is not None
        imported = []
        for line in process.stderr:
            if "import time" not in line:
                break
            imported.append(line.rpartition("|")[2].strip())
        process.kill()
    assert line.startswith("Starting")
    assert not {"gradio", "torch", "timm"} & set(imported)
