"""Every probe of the registry: declared whole, run to an end, drawn, and gone without a trace."""

from __future__ import annotations

import csv
import dataclasses
import inspect
import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import explorer
from explorer.errors import MethodError, ParameterError, UnknownNameError
from explorer.figures import interactive, static
from explorer.figures.saving import save
from explorer.figures.sheet import Chart, Map, Radar, Table
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes import BIASES, PROBES, examples, passes, sheet, show, steps, stimuli
from explorer.probes.base import Probe, Run, Step
from explorer.probes.passes import Passes, stage_features
from explorer.probes.result import ProbeResult
from explorer.probes.rows import mean, rate, row, score
from explorer.registry import parameters, question
from explorer.scenes import CLASSES
from explorer.statistics import SHARE
from explorer.transforms import Transform

#: Parameters with which a probe takes a second or two.
QUICK: dict[str, dict[str, Any]] = {
    "translation": {"side": 3, "step": 2},
    "consistency": {"passes": 1},
    "patch-shuffle": {"draws": 1},
    "position": {"count": 4},
    "context": {"swaps": 1},
    "detection": {"count": 10},
}
SCENES = 3
LAB = ("lab/mhsa", "lab/conv-aug")
#: What probes that serve no model of these two measure beside one of them.
OTHERS = {"detection": "lab/detect+conv"}


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return [load(spec, "cpu") for spec in LAB]


@pytest.fixture(scope="module")
def results() -> dict[str, ProbeResult]:
    return {}


@pytest.fixture
def served(name, models) -> list[Model]:
    """Two models, at least one of which the probe can serve."""
    return [load(OTHERS[name], "cpu"), models[1]] if name in OTHERS else models


def state(module: nn.Module) -> list[Any]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [
        [(name, part.training, [len(getattr(part, h)) for h in hooks]) for name, part in module.named_modules()],
        [(name, p.requires_grad, p.grad is None, p.data_ptr()) for name, p in module.named_parameters()],
        [(name, p.detach().clone()) for name, p in module.state_dict().items()],
    ]


def same(before: list[Any], after: list[Any]) -> bool:
    tensors = all(torch.equal(a, b) for (_, a), (_, b) in zip(before[2], after[2], strict=True))
    return before[:2] == after[:2] and tensors


@pytest.mark.parametrize("name", PROBES)
def test_what_a_probe_says_it_shows_is_what_it_shows(name, served):
    model = served[-1]
    told = examples(name, [model], SCENES, **QUICK.get(name, {}))[0]
    seen: list[Tensor] = []
    stem = next(part for part in model.module.modules() if isinstance(part, nn.Conv2d))
    with stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().cpu())):
        try:
            explorer.probe(name, [model], SCENES, **QUICK.get(name, {}))
        except MethodError:
            assert not told
            return
    for one in told:
        image = model.normalise(one.image[None])[0]
        same = [torch.equal(image, each) for some in seen if some.shape[1:] == image.shape for each in some]
        assert any(same), one.name


# ---- every probe ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_declares_everything(name):
    kind = PROBES[name]
    assert kind.bias in BIASES
    assert question(PROBES[name]).endswith("?")
    assert len(kind.formula) > 5
    assert len(kind.source) > 10
    assert kind.limits.endswith(".")
    for key, one in parameters(kind).items():
        assert one.text, key
        assert one.allows(getattr(kind(), key)), key


def test_every_bias_has_a_probe_and_a_headline():
    assert {kind.bias for kind in PROBES.values()} == set(BIASES)
    assert set(show.HEADLINES) == set(BIASES)
    for bias, headline in show.HEADLINES.items():
        for name in headline.probes:
            assert PROBES[name].bias == bias
            assert PROBES[name].headline


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_runs_is_drawn_and_leaves_no_trace(name, served, results):
    before = [state(model.module) for model in served]
    seed, grad_mode = torch.get_rng_state(), torch.is_grad_enabled()
    seen = list(steps(name, served, SCENES if PROBES[name].looks else None, **QUICK.get(name, {})))
    for model, was in zip(served, before):
        assert same(was, state(model.module))
        assert not model.lock._is_owned()
    assert torch.equal(seed, torch.get_rng_state())
    assert torch.is_grad_enabled() == grad_mode
    shares = [one.share for one in seen]
    assert all(later >= sooner - 1e-9 for sooner, later in itertools.pairwise(shares))
    result = results[name] = seen[-1]
    assert result.share == 1
    measured = {one["model"] for one in result.rows}
    assert measured
    assert measured <= {str(model.spec) for model in served}
    # what could not be measured is said
    for model in served:
        assert str(model.spec) in measured or any(str(model.spec) in note for note in result.notes)
    for one in result.rows:
        assert {"model", "weights", "stimuli", "measure", "value", "unit", "n", "low", "high"} <= set(one)
        assert one["value"] is None or math.isfinite(one["value"])
        assert one["low"] is None or one["low"] <= one["value"] + 1e-9
        assert one["high"] is None or one["high"] >= one["value"] - 1e-9
    assert result.summary
    for key, found in result.summary.items():
        assert key == f"{found.model}: {found.measure}"
        assert found.better in ("higher", "lower", "none")
        assert found.n >= 1
    assert PROBES[name].headline in {found.measure for found in result.summary.values()}
    panels = [panel for section in show.of(result).sections(result) for group in section.rows for panel in group]
    assert panels
    for panel in panels:
        if isinstance(panel, (Chart, Map, Radar)):
            assert interactive.separate(panel).data
    assert static.image(sheet(result)).size[0] >= 640
    assert interactive.figure(sheet(result)).data
    json.dumps(result.record(), allow_nan=False)


@pytest.mark.parametrize("name", PROBES)
def test_what_is_measured_so_far_can_be_drawn_and_work_can_be_ended(name, served):
    running = steps(name, served[:1], SCENES if PROBES[name].looks else None, **QUICK.get(name, {}))
    first = next(running)
    show.of(first).sections(first)
    running.close()
    assert not served[0].lock._is_owned()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", [name for name in PROBES if PROBES[name].looks])
def test_the_same_seed_gives_the_same_numbers(name, models, results):
    again = explorer.probe(name, models[:1], SCENES, **QUICK.get(name, {}))
    first = str(models[0].spec)
    values = [(one["measure"], one["value"]) for one in again.of(first)]
    assert values == [(one["measure"], pytest.approx(one["value"], abs=1e-5)) for one in results[name].of(first)]


def test_the_summary_puts_all_biases_side_by_side(results, models, tmp_path):
    drawn = show.summary_sheet(list(results.values()))
    panels = [panel for section in drawn.sections for group in section.rows for panel in group]
    table = next(panel for panel in panels if isinstance(panel, Table))
    assert [cells[0] for cells in table.rows] == [str(model.spec) for model in models]
    assert len(table.columns) == 1 + len(BIASES)
    radar = next(panel for panel in panels if isinstance(panel, Radar))
    assert len(radar.lines) == len(models)
    assert all(0 <= value <= 1 for line in radar.lines for value in line.y)
    assert Image.open(save(show.whole_sheet(list(results.values())), tmp_path / "all.png")).size[1] > 2000


# ---- the framework --------------------------------------------------------------------------------------------------


def test_results_are_written_whole(results, tmp_path):
    result = results["translation"]
    read = json.loads(result.save(tmp_path / "t.json").read_text())
    assert read["rows"] == result.rows
    assert set(read["summary"]) == set(result.summary)
    assert {"versions", "seed", "device", "dtype", "mode"} <= set(read)
    with result.save(tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.rows)
    assert float(rows[0]["value"]) == pytest.approx(result.rows[0]["value"])
    with pytest.raises(ParameterError, match=r"\.json or \.csv"):
        result.save(tmp_path / "t.xlsx")
    with pytest.raises(ParameterError, match="cannot be written"):
        result.save(tmp_path / "none" / "t.csv")


@dataclasses.dataclass(frozen=True)
class Fussy(Probe):
    """Does it raise?"""

    bias = "shape"
    formula = source = limits = ""

    def measure(self, model, shown, run):  # noqa: ARG002
        yield Step(0.5, [row("constant", 1.0, "share")])
        if "conv" in str(model.spec):
            raise MethodError("it has no attention")

    def scores(self, rows):
        return score(rows, "constant", "none")

    def sections(self, result):  # noqa: ARG002
        return ()


@pytest.fixture
def fussy(monkeypatch):
    monkeypatch.setitem(PROBES._entries, "fussy", Fussy)


@pytest.mark.usefixtures("fussy")
def test_a_model_that_cannot_be_served_does_not_stop_the_others(models):
    found = explorer.probe("fussy", [models[1], models[0]], SCENES)
    assert found.notes == (f"{models[1].spec}: it has no attention",)
    assert f"{models[0].spec}: constant" in found.summary
    with pytest.raises(MethodError, match="no attention"):
        explorer.probe("fussy", models[1], SCENES)


@pytest.mark.usefixtures("fussy")
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"name": "translatoin"}, UnknownNameError, "translation"),
        ({"size": 3}, ParameterError, "no parameter 'size'"),
        ({"seed": -1}, ParameterError, "seed"),
        ({"precision": "float16"}, ParameterError, "float32, bfloat16"),
        ({"precision": "bfloat16"}, ParameterError, "float32 only"),
        ({"images": []}, ParameterError, "no picture"),
        ({"models": []}, ParameterError, "at least one model"),
    ],
)
def test_wrong_requests_are_refused_in_a_sentence(models, given, error, words):
    request = {"name": "fussy", "models": models, "images": SCENES, **given}
    with pytest.raises(error, match=words):
        explorer.probe(**request)


def test_progress_is_told_and_ends_the_work(models):
    class Enough(Exception):
        pass

    told = []

    def progress(share):
        told.append(share)
        raise Enough

    with pytest.raises(Enough):
        explorer.probe("consistency", models, SCENES, progress=progress, passes=1)
    assert len(told) == 1
    assert not models[0].lock._is_owned()


def test_rows_carry_their_intervals():
    one = rate("agreement", 3, 4, grid="2x2")
    assert (one["value"], one["n"], one["unit"], one["grid"]) == (0.75, 4, "share", "2x2")
    assert one["low"] < 0.75 < one["high"]
    assert mean("p", [0.5], "probability", SHARE)["low"] is None
    profile = mean("half", [[1.0, 3.0], [3.0, 1.0]], "share", SHARE, lambda middle: middle[0] / middle.sum())
    assert profile["value"] == 0.5
    assert profile["n"] == 2


# ---- passes ---------------------------------------------------------------------------------------------------------


def test_batches_halve_until_they_fit(models):
    model = models[0]
    tried = []

    def read(x: Tensor) -> int:
        tried.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return len(x)

    runs = Passes(model)
    runs.size = 16
    found = list(runs.each(10, lambda a, b: torch.zeros(b - a, 3, 48, 48), read))
    assert [(a, b) for a, b, _ in found] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert tried[:3] == [10, 5, 2]
    with pytest.raises(torch.OutOfMemoryError):
        list(Passes(model).each(1, lambda a, b: torch.zeros(b - a, 3, 48, 48), lambda x: read(torch.cat([x] * 9))))
    with pytest.raises(RuntimeError, match="another"):
        list(Passes(model).each(2, lambda a, b: torch.zeros(b - a, 3, 48, 48), _fail))


def _fail(_: Tensor) -> None:
    raise RuntimeError("another matter")


def test_answers_of_batches_are_the_models_own(models):
    shown = stimuli.Shown(models[1], stimuli.read(5))
    runs = Passes(models[1])
    runs.size = 2
    logits, pooled = (
        torch.cat(parts) for parts in zip(*(f for _, _, f in runs.each(5, lambda a, b: shown.images[a:b])))
    )
    with torch.inference_mode():
        assert torch.allclose(logits, models[1].logits(shown.images), atol=1e-5)
        assert torch.allclose(pooled, models[1].pooled(shown.images), atol=1e-5)


def test_memory_bounds_the_batch(models):
    assert Passes(models[0], memory=1).size == 1
    assert Passes(models[0]).size == passes.LARGEST
    assert Passes(models[0], memory=3 * 4 * 48 * 48 * passes.EXPANSION * 5).size == 5


def test_features_of_stages_lie_on_the_image(models):
    model = models[1]
    before = state(model.module)
    with torch.no_grad():
        found = stage_features(model, torch.rand(2, 3, 48, 48))
    assert list(found) == [one.number for one in model.stages]
    for one in model.stages:
        assert found[one.number].shape == (2, one.channels, *one.grid)
    assert same(before, state(model.module))


# ---- stimuli --------------------------------------------------------------------------------------------------------


def test_scenes_are_of_all_classes_in_turn_and_always_the_same():
    some = stimuli.scenes(24)
    assert [one.label for one in some] == [*CLASSES, *CLASSES]
    assert some == stimuli.scenes(24)
    assert some != stimuli.scenes(24, seed=1)
    assert stimuli.scenes(3) == some[:3]


def test_what_is_shown_by_default_depends_on_what_a_model_knows(models):
    assert "24 scenes" in stimuli.default(models[0]).origin
    assert "images" in stimuli.default(load("random/test_resnet", "cpu")).origin


def test_a_folder_has_labels_and_masks(tmp_path, models):
    for name, colour in (("star", "red"), ("no such class", "blue")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (60, 60), colour).save(tmp_path / name / "a.png")
    half = np.zeros((60, 60), np.uint8)
    half[:, 30:] = 255
    Image.fromarray(half).save(tmp_path / "star" / "a_mask.png")
    read = stimuli.read(tmp_path)
    assert [one.label for one in read.items] == ["no such class", "star"]
    assert read.folder == tmp_path
    shown = stimuli.Shown(models[0], read)
    assert shown.truth == [None, CLASSES.index("star")]
    assert shown.masks[0] is None
    mask = shown.masks[1]
    assert mask is not None
    assert mask[:, 26:].all()
    assert not mask[:, :22].any()
    assert not shown.rendered


def test_moved_scenes_are_rendered_and_moved_pictures_shifted(models):
    scene = stimuli.Shown(models[0], stimuli.read(1))
    moves = [Transform(dx=dx, border="wrap") for dx in (0, 4)]
    still, moved = scene.moved(0, moves)
    assert torch.equal(still, scene.images[0])
    assert torch.equal(still[:, :4, :4], moved[:, :4, :4])  # the background stays
    assert not torch.equal(still, moved)
    assert scene.in_range(Transform(dx=40))
    assert not scene.in_range(Transform(dx=60))
    picture = stimuli.Shown(models[0], stimuli.read(np.random.default_rng(0).random((48, 48, 3))))
    still, moved = picture.moved(0, moves)
    assert torch.equal(moved, still.roll(4, -1))


def test_pictures_and_scenes_are_not_mixed(tmp_path):
    with pytest.raises(ParameterError, match="apart"):
        stimuli.read([explorer.Scene(), np.zeros((48, 48, 3))])
    with pytest.raises(ParameterError, match="no pictures"):
        stimuli.read(tmp_path)


def test_every_probe_can_be_run_by_its_name_alone():
    assert inspect.signature(explorer.probe).parameters["name"].default is inspect.Parameter.empty
    assert set(explorer.PROBES) == set(PROBES)


def test_a_run_has_what_probes_need(models):
    run = Run(Passes(models[0]), 3)
    assert run.seed == 3
    assert run.passes.model is models[0]
