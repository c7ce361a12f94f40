"""Finding objects: the numbers are those of pycocotools, and a model that knows where things are finds them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from detecting import coco, perfect
from torch import Tensor, nn

import explorer
from explorer.detection import SIZES, decode
from explorer.errors import MethodError
from explorer.figures.sheet import Chart
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes import show
from explorer.probes.base import PROBES, Run
from explorer.probes.passes import Passes
from explorer.probes.result import ProbeResult
from explorer.probes.stimuli import STREAM, Shown, Stimuli
from explorer.scenes import draw_groups, render_groups

COUNT = 40
#: Places so small that no two objects have their centres in one.
FINE = (96, 96)


@pytest.fixture(scope="module")
def shown() -> tuple[Tensor, dict[str, Tensor]]:
    """The pictures of seed 0, and what is in them."""
    made = render_groups(draw_groups(STREAM, torch.arange(COUNT)), 48)
    return made.images, {"boxes": made.boxes, "labels": made.labels, "counts": made.counts}


@pytest.fixture(scope="module")
def detector() -> Model:
    return load("lab/detect+c2f", "cpu")


class Knows(nn.Module):
    """Gives to each of these pictures the answer that it has."""

    def __init__(self, pictures: Tensor, answers: Tensor) -> None:
        super().__init__()
        self.answers = {one.numpy().tobytes(): answer for one, answer in zip(pictures, answers, strict=True)}

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.answers[one.contiguous().numpy().tobytes()] for one in x])


@pytest.fixture
def told(detector: Model, shown: Any) -> Callable[[Tensor], ProbeResult]:
    """Measure a model that gives these answers."""

    def result(answers: Tensor) -> ProbeResult:
        model = replace(detector, module=Knows(detector.normalise(shown[0]), answers))
        return explorer.probe("detection", model, count=COUNT)

    return result


def values(result: ProbeResult) -> dict[str, float]:
    return {f"{row['measure']} {row['size']}": row["value"] for row in result.rows}


def test_the_numbers_are_those_of_pycocotools(detector: Model, shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, truth = shown
    with torch.inference_mode():
        found = decode(detector.logits(pictures))
    every = coco(found, truth)
    expected = {"AP all": every.mean(), "AP50 all": every[0], "AP75 all": every[5]}
    expected |= {f"AP50 {name}": coco(found, truth, area)[0] for name, area in SIZES.items()}
    capsys.readouterr()
    result = explorer.probe("detection", detector, count=COUNT)
    own = values(result)
    assert 0.3 < own["AP all"] < own["AP50 all"] < 1
    for name, value in expected.items():
        assert own[name] == pytest.approx(value, abs=1e-6), name
    counted = {row["size"]: row["n"] for row in result.rows if row["measure"] == "AP50"}
    assert counted["all"] == int(truth["counts"].sum()) == sum(counted[name] for name in SIZES)


def test_who_knows_where_objects_are_finds_them_all(told: Any, shown: Any) -> None:
    found = values(told(perfect(shown[1], FINE)))
    assert found.pop("centre error all") == pytest.approx(0, abs=1e-4)
    assert found == dict.fromkeys(["AP all", "AP50 all", "AP75 all", *(f"AP50 {name}" for name in SIZES)], 1.0)


def test_boxes_that_are_off_are_worth_less(told: Any, shown: Any) -> None:
    shift = 2 / 48
    off = {**shown[1], "boxes": shown[1]["boxes"] + torch.tensor([shift, 0, shift, 0])}
    answers = perfect(off, FINE)
    found = values(told(answers))
    assert found["centre error all"] == pytest.approx(2, abs=0.01)
    # Two pixels are a tenth of a large object and a fifth and more of a small one.
    assert found["AP50 small"] < found["AP50 large"]
    assert found["AP75 all"] < found["AP50 all"] < 1.01
    assert found["AP all"] < 0.7


def test_of_nothing_found_there_is_no_centre(told: Any, shown: Any) -> None:
    silent = torch.full_like(perfect(shown[1]), -12.0)
    result = told(silent)
    found = values(result)
    assert found["AP all"] == found["AP50 large"] == 0
    assert "centre error all" not in found
    assert [score.measure for score in result.summary.values()] == ["AP", "AP50", "AP75"]
    assert result.record()


def test_objects_of_the_wrong_class_are_not_found(told: Any, shown: Any) -> None:
    wrong = {**shown[1], "labels": (shown[1]["labels"] + 1) % 12}
    assert values(told(perfect(wrong, FINE)))["AP50 all"] < 0.2


def test_blocks_that_mix_places_find_more_than_none() -> None:
    result = explorer.probe("detection", ["lab/detect+c2f", "lab/detect+none"], count=COUNT, device="cpu")
    better, worse = (result.summary[f"{spec}: AP"].value for spec in result.models)
    assert better > worse + 0.2
    assert set(result.stimuli.values()) == {"scenes of several objects, rendered anew"}
    charts = [panel for section in show.of(result).sections(result) for group in section.rows for panel in group]
    assert [len(chart.lines) for chart in charts if isinstance(chart, Chart)] == [2, 2]
    assert charts[0].lines[0].x == ("0.5:0.95", "0.5", "0.75")
    assert charts[1].lines[0].x == tuple(SIZES)


def test_batches_that_do_not_fit_change_nothing(detector: Model) -> None:
    class Small(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("out of memory")
            return detector.module(x)

    def rows(model: Model) -> list[Any]:
        passes = Passes(model)
        passes.size = 16
        nothing = Shown(model, Stimuli((), "none"))
        *_, last = PROBES["detection"](count=20).measure(model, nothing, Run(passes, 0))  # type: ignore[call-arg]
        return [(row["measure"], row["size"], row["n"], pytest.approx(row["value"], abs=1e-6)) for row in last.rows]

    assert rows(detector) == rows(replace(detector, module=Small()))


def test_another_seed_shows_other_scenes(detector: Model) -> None:
    first, second, again = (
        values(explorer.probe("detection", detector, count=20, seed=seed))["AP all"] for seed in (0, 1, 0)
    )
    assert first == again != second


def test_models_that_do_not_find_objects_are_refused(detector: Model) -> None:
    with pytest.raises(MethodError, match="not trained to find objects"):
        explorer.probe("detection", "lab/conv", device="cpu")
    with pytest.raises(MethodError, match="scenes are square"):
        explorer.probe("detection", replace(detector, input_size=(48, 64)))
    result = explorer.probe("detection", ["lab/conv", detector], count=10, device="cpu")
    assert "not trained to find objects" in result.notes[0]
    assert np.isfinite(result.summary["lab/detect+c2f: AP"].value)
