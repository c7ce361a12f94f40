"""The benchmark measures what it says, on a small model; its numbers are shown, not tested."""

from __future__ import annotations

import json

import pytest
import torch

from explorer.bench import run, shifted_copies
from explorer.cli import main
from explorer.images import read_image, samples
from explorer.models import load


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


def test_shifted_copies_are_made_as_ready_made_ones_are() -> None:
    model = load("random/test_resnet")
    image = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    assert shifted_copies(model, image, n=1, side=3, chunk=4).n == 1


def test_the_command_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
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
    assert {row["goal"] for row in rows} >= {"at most 1.2", "at most 1.15"}
    assert main(["bench", "--model", "random/test_resnet", "--image", image, "--repeats", "0"]) == 2
