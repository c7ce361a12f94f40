"""The benchmark measures what it says, on a small model; its numbers are shown, not tested."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from explorer.bench import ready_made, run, shared_pass, translation_map, usual_way
from explorer.cli.main import main
from explorer.comparison.compare import predict
from explorer.images import read_image, samples
from explorer.models.loading import load
from explorer.probes import probe


def test_every_ratio_has_its_parts() -> None:
    picture = read_image(next(iter(samples().values()))).image
    measured = run([load("random/test_vit"), load("random/test_resnet")], picture, repeats=2, side=3)
    assert [one.model for one in measured] == ["random/test_vit"] * 3 + ["random/test_resnet"] * 3
    for one in measured:
        assert one.first > 0
        assert one.second > 0
        # The ratio is the median of the runs' own ratios: near that of the medians, not equal.
        assert one.ratio == pytest.approx(one.first / one.second, rel=0.9)
        assert one.goal.startswith("at ")
    goals = [one.goal for one in measured]
    assert goals == ["at most 1.15", "at least 2.5", "at most 1.15", "at most 1.15", "at least 1.7", "at most 1.15"]


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = load("random/test_vit")
    image = model.preprocess(read_image(next(iter(samples().values()))).image)
    before = predict(model, image)
    assert usual_way(model, image, 1) is not None
    shared_pass(model, image, 1)
    hooks = [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.module.modules()]
    assert sum(hooks) == 0
    assert all(one.grad is None and not one.requires_grad for one in model.module.parameters())
    assert predict(model, image) == before


def test_the_translation_map_is_of_the_ready_made_inputs() -> None:
    model = load("random/test_resnet")
    picture = read_image(next(iter(samples().values()))).image
    batches = ready_made(model, model.preprocess(picture), side=3, size=4)
    assert [len(batch) for batch in batches] == [4, 4, 1]
    with torch.inference_mode():
        p = torch.cat([model.module(batch) for batch in batches]).softmax(1)
    rows = [one for one in probe("translation", model, picture, side=3).rows if one["measure"] == "p(original class)"]
    assert [(one["dx"], one["dy"]) for one in rows] == [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    # The first answer is that in the middle.
    assert [one["value"] for one in rows] == pytest.approx(p[:, int(p[4].argmax())].tolist(), rel=1e-4)
    measured = translation_map(model, picture, n=1, side=3)
    assert (measured.n, measured.goal) == (1, "at most 1.15")
    assert measured.name.startswith("3 x 3 ")


def test_the_command_prints_one_object(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.bench.run", partial(run, side=3))
    image = str(next(iter(samples().values())))
    assert (
        main(
            [
                "bench",
                "--model",
                "random/test_resnet",
                "--image",
                image,
                "--input-size",
                "64",
                "--repeats",
                "1",
                "--json",
            ]
        )
        == 0
    )
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["goal"] for row in rows} == {"at most 1.15"}
    assert main(["bench", "--model", "random/test_resnet", "--image", image, "--repeats", "0"]) == 2


def test_a_move_is_refused_as_it_would_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    image = str(next(iter(samples().values())))
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--model", "random/test_resnet", "--image", image, "--dx", "8"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --dx 8" in capsys.readouterr().err
