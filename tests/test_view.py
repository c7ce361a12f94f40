"""The code and the command that a view writes give its numbers, to the last bit."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import explorer
from explorer.cli.main import main
from explorer.comparison.result import Comparison
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import read_image, samples
from explorer.models.spec import ModelSpec
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view import ProbeRequest, View, probe_command, probe_python, scene_text
from explorer.view.code import command, python

VIT, RESNET = "random/test_vit", "random/test_resnet"

VIEWS = {
    "scene with a move": View(
        ("lab/mhsa", "lab/coord-aug#1"),
        Scene("triangle above circle", "dots", dx=-0.1, seed=3),
        Transform(dx=8.5, dy=-1e-05, zoom=0.8, angle=30),
        (Point(20, 24.123456789), Point(10, 30)),
    ),
    "what all values are usual in": View(("lab/conv",), Scene()),
    "sample photograph": View((VIT, RESNET), "cup", Transform(dx=-20, flip=True, border="reflect")),
    "a query at a place": View((VIT,), "cup", Transform(dx=32), (Point(100, 80),), pin="place"),
    "a method with parameters": View(
        (RESNET, f"{VIT}#2"),
        "cup",
        method="occlusion",
        parameters={"window": 40, "stride": 40, "baseline": "black"},
    ),
    "a method with a seed": View(
        (VIT, RESNET), "cup", method="smoothgrad", parameters={"seed": 3, "samples": 2, "noise": 0.1}
    ),
    "an inserted block, no method": View(
        ("random/test_resnet+axial@3#1",), "cup", Transform(dy=16), method=None, target=7
    ),
    "layers and a head": View((VIT, f"{VIT}#1"), "cup", layers={0: "blocks.2.attn", 1: -2}, head=1),
    "another input size": View(
        (ModelSpec.parse(RESNET, input_size=(96, 128)),), "cup", Transform(centre=(3, 4), zoom=2)
    ),
}


def executed(code: str) -> tuple[dict[str, Any], str]:
    """The names that a piece of Python makes, and what it prints."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "generated", "exec"), names)
    return names, printed.getvalue()


def same(found: Comparison, expected: Comparison) -> None:
    assert (found.transform, found.method) == (expected.transform, expected.method)
    for one, two in zip(found.rows, expected.rows, strict=True):
        assert (one.spec, one.state, one.asked, one.predictions) == (two.spec, two.state, two.asked, two.predictions)
        for first, second in zip(one.maps, two.maps, strict=True):
            for pair, other in zip(one.attention(first.layer), two.attention(second.layer), strict=True):
                assert all(a is b or torch.equal(a, b) for a, b in zip(pair, other))
        assert (one.attributions is None) == (two.attributions is None)
        for a, b in zip(one.attributions or (), two.attributions or ()):
            assert torch.equal(a.values, b.values)
            assert a.parameters == b.parameters


def close(values: Any, expected: torch.Tensor) -> bool:
    return bool((torch.tensor(values) - expected).abs().max() < 1e-6)


@pytest.mark.parametrize("name", VIEWS)
def test_code_and_command_give_the_view(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    view = VIEWS[name]
    expected = view.compare()
    code = python(view)
    assert "\nimport" not in code
    assert code.startswith("import explorer\n")
    names, printed = executed(code)
    same(names["result"], expected)
    for row, layer in zip(expected.rows, view.layer_of_each):
        assert f"{row.spec} ({row.state} weights)" in printed
        assert f"{row.predictions[1].top[0].label} {row.predictions[1].top[0].probability:.6f}" in printed
        for pair in row.attention(layer, view.head):
            assert all(f"largest {float(one.max()):.6f}" in printed for one in pair if one is not None)

    program, *arguments = shlex.split(command(view))
    assert (program, main([*arguments, "--json"])) == ("explorer", 0)
    record = json.loads(capsys.readouterr().out)
    assert record["transform"] == expected.transform
    for row, one, layer in zip(record["models"], expected.rows, view.layer_of_each, strict=True):
        assert row["model"] == one.spec
        for got, answer in zip(row["predictions"], one.predictions):
            assert [(each["label"], each["probability"]) for each in got["prediction"]] == [
                (each.label, each.probability) for each in answer.top
            ]
        for got, places, pair in zip([row, *row["further"]], one.asked, one.attention(layer, view.head)):
            assert [place and tuple(place) for place in got["queries"]] == list(places)
            for map_, values in zip(got["attention"], pair):
                assert (map_["values"] is None) == (values is None)
                assert values is None or close(map_["values"], values)
        assert (row["attributions"] is None) == (one.attributions is None)
        for got, attribution in zip(row["attributions"] or (), one.attributions or ()):
            assert close(got["values"], attribution.values)


def test_attend_takes_several_queries(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"attend --image cup --model {VIT} --model {VIT}#1 --query 20,30 --query 90,100 --dx 8 --layer 2 --layer -1"
    assert main([*shlex.split(line), "--pin", "place", "--json"]) == 0
    found = View((VIT, f"{VIT}#1"), "cup", Transform(dx=8), ((20, 30), (90, 100)), "place").compare().rows
    for row, one, layer in zip(json.loads(capsys.readouterr().out)["models"], found, (2, -1)):
        for got, (_, after) in zip([row, *row["further"]], one.attention(layer), strict=True):
            assert after is not None
            assert close(got["layers"][0]["values"], after)
    assert main(shlex.split(f"attend --image cup --model {VIT} --query class --query 3,4")) == 2
    assert "--query is one token's name, or places" in capsys.readouterr().err
    assert main(shlex.split(f"attend --image cup --model {VIT} --layer 0 --layer 1")) == 2
    assert "once for each of the 1 models" in capsys.readouterr().err


def test_only_what_differs_is_written() -> None:
    plain = View(("lab/mhsa",), Scene("star"))
    assert command(plain) == "explorer compare --scene label=star --model lab/mhsa"
    assert 'result = explorer.compare(models, explorer.Scene(label="star"))' in python(plain)
    usual = View(("lab/mhsa",), Scene("star"), parameters={"stage": None})
    assert command(usual) == command(plain)
    assert scene_text(Scene("ring", dx=0.1 + 0.2)) == "label=ring,dx=0.30000000000000004"


def test_own_files_go_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Image.open(samples()["cup"]) as image:
        image.resize((90, 60)).save(tmp_path / "my cup.png")
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "mine.safetensors")
    own = ModelSpec.parse(RESNET, weights_file=str(tmp_path / "mine.safetensors"))
    for source in (str(tmp_path / "my cup.png"), read_image(tmp_path / "my cup.png")):
        view = View((VIT, own), source)
        code, line = python(view), command(view)
        assert str(tmp_path) not in code + line
        assert '# "my cup.png" is your own picture: put it beside this code.' in code
        assert '# "mine.safetensors" is your own file of weights' in code
        expected = view.compare()
        same(executed(code)[0]["result"], expected)
        assert main([*shlex.split(line)[1:], "--json"]) == 0
        row = json.loads(capsys.readouterr().out)["models"][1]
        assert row["weights"] == "file"
        assert row["predictions"][0]["prediction"][0]["logit"] == expected.rows[1].predictions[0].top[0].logit


def test_a_name_cannot_leave_its_comment() -> None:
    evil = read_image(samples()["cup"])
    code = python(View((VIT,), type(evil)(evil.image, (), 'x"\nraise SystemExit("out")\n.png')))
    assert not any(line.startswith("raise") for line in code.splitlines())
    compile(code, "generated", "exec")


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        (ProbeRequest("consistency", ("lab/conv", "lab/mhsa"), {"passes": 1}, seed=2), 4),
        (ProbeRequest("scale", ("lab/conv",)), Scene("ring", dx=0.05)),
        (ProbeRequest("receptive-field", ("random/test_resnet",)), "cup"),
        (ProbeRequest("effective-receptive-field", ("lab/conv",)), None),
    ],
    ids=lambda one: getattr(one, "probe", ""),
)
def test_code_and_command_of_a_probe(request_: ProbeRequest, shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    images = str(samples()[shown]) if isinstance(shown, str) else shown
    expected = explorer.probe(
        request_.probe, list(request_.models), images, seed=request_.seed, **dict(request_.parameters)
    )
    for asked in (request_, expected):
        assert executed(probe_python(asked, shown))[0]["result"].rows == expected.rows
    assert probe_command(expected, shown) == probe_command(request_, shown)
    assert main([*shlex.split(probe_command(expected, shown))[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == json.loads(json.dumps(expected.rows))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: View((), "cup"), "at least one model"),
        (lambda: View(("lab/conv",) * 7, "cup"), "at most 6"),
        (lambda: View(("lab/conv",), "cup", pin="wall"), "pin is one of"),  # type: ignore[arg-type]
        (lambda: View(("lab/conv",), "cup", method="gradcan"), "gradcam"),
        (lambda: View(("lab/conv",), "cup", parameters={"window": 3}), "gradcam has no parameter 'window'"),
        (lambda: View(("lab/conv",), "cup", layers={1: 0}), "model 1 is named"),
        (lambda: command(View((ModelSpec("resnet18", options=(("act_layer", "x"),)),), "cup")), "use the Python"),
        (lambda: View(("lab/conv",), "nofile.png").compare(), "no picture file 'nofile.png'"),
    ],
)
def test_a_wrong_view_is_refused_in_words(make: Any, message: str) -> None:
    with pytest.raises(explorer.ExplorerError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, (ParameterError, explorer.ExplorerError))
