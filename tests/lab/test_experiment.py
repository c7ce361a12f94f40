"""The laboratory's experiment: models that answer by one property of the scene have known rows; the table and its file.

What the numbers say over seeds is tested in test_findings.py.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import explorer
from explorer import scenes
from explorer.attention.layouts import Computed
from explorer.attention.maps import AttentionMap, Layout
from explorer.attention.mass import by_area, map_ratios, mass_ratio
from explorer.blocks import BLOCKS
from explorer.cli import main as cli
from explorer.errors import ParameterError
from explorer.lab import experiment, networks
from explorer.lab.experiment import (
    PER_CLASS,
    QUICK,
    REACH,
    Measurement,
    ShownScenes,
    again,
    evaluate,
    in_frame,
    measure,
)
from explorer.lab.networks import LabModel
from explorer.lab.table import FILE, PROTOCOL, TableRow, load_table, packed, read_table, unpacked, write_table
from explorer.lab.tasks import JUDGING_STREAM, TRAINING_STREAM
from explorer.lab.workers import finish
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.stages import find_stages
from explorer.models.weights import fingerprint
from explorer.probes import PROBES, stimuli
from explorer.scenes import BACKGROUNDS, CLASSES, PAIRS, TEXTURES, Scene, Scenes, render

SIZE = networks.SIZE
#: Of untrained networks; finding the one that gives equal parameters takes a second.
WIDTH = 32
LABELS = {name: place for place, name in enumerate(CLASSES)}


def wrapped(module: nn.Module, spec: str = "lab/none", stages: bool = True) -> Model:
    """A network as the loader gives it."""
    parsed = ModelSpec.parse(spec)
    model = LabModel.of(parsed)
    module = module.requires_grad_(False).eval()
    found = find_stages(module, torch.zeros(1, 3, SIZE, SIZE))[0] if stages else ()
    return Model(
        spec=parsed,
        module=module,
        architecture=model.backbone,
        input_size=(SIZE, SIZE),
        mean=(networks.MEAN,) * 3,
        std=(networks.STD,) * 3,
        interpolation="bicubic",
        crop_pct=1.0,
        labels=CLASSES,
        num_classes=len(CLASSES),
        headless_reason="",
        stages=found,
        device=torch.device("cpu"),
        state="lab",
        inserted=None,
        inserted_state="lab",
        transform=None,
        lock=threading.RLock(),
    )


def untrained(spec: str) -> Model:
    parsed = ModelSpec.parse(spec)
    return wrapped(networks.build(LabModel.of(parsed), parsed.seed, WIDTH), spec)


# ---- models that know the answer ------------------------------------------------------------------------------------


class Oracle(nn.Module):
    """Answers by what it knows of the scene behind each picture; class 0 where it has never seen the picture."""

    def __init__(self, known: dict[bytes, Scene], rule: Callable[[Scene], int]) -> None:
        super().__init__()
        self.known, self.rule = known, rule

    def forward_features(self, x: Tensor) -> Tensor:
        answers = [self.rule(self.known[key]) if (key := _key(one)) in self.known else 0 for one in x]
        return 10 * nn.functional.one_hot(torch.tensor(answers), len(CLASSES)).float()

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: ARG002 - as timm's
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x)


def _key(picture: Tensor) -> bytes:
    return picture.contiguous().numpy().tobytes()


@pytest.fixture(scope="module")
def oracle() -> Any:
    """Measure a rule: rows of a quick experiment, by probe, measure and what conditions are asked for."""
    known: dict[bytes, Scene] = {}  # by the picture as a network is given it

    def noted(some: Any, size: int) -> tuple[Tensor, Tensor]:
        made = rendered(some, size)
        for scene, picture in zip(some, normalise(made[0])):
            known[_key(picture)] = scene
        return made

    rendered, normalise = stimuli.render_many, wrapped(nn.Flatten(), stages=False).normalise
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stimuli", "patch_shuffle", "shape_bias", "background", "objects", "scale"):
            patch.setattr(f"explorer.probes.{name}.render_many", noted)

        def rows(rule: Callable[[Scene], int], *probes: str) -> Callable[..., list[TableRow]]:
            model = wrapped(Oracle(known, rule), stages=False)
            # A pyramid shows pictures that are no scene's, so a rule about scenes cannot answer them.
            wanted = [
                one for one in experiment.experiment(QUICK) if one.probe in probes and "remedy" not in one.parameters
            ]
            found = [row for one in wanted for row in measure(model, one)]

            def of(measure: str, **where: Any) -> list[TableRow]:
                return [row for row in found if row.measure == measure and where.items() <= row.where.items()]

            return of

        yield rows


def value_of(rows: list[TableRow]) -> float:
    (row,) = rows
    assert row.value is not None
    return row.value


def label(scene: Scene) -> int:
    return LABELS[scene.label]


def texture(scene: Scene) -> int:
    return TEXTURES.index(scene.texture)


def background(scene: Scene) -> int:
    return BACKGROUNDS.index(scene.background)


COUNT = QUICK * len(CLASSES)


def test_a_model_that_answers_the_shape_is_right_wherever_the_object_is(oracle) -> None:
    of = oracle(label, "patch-shuffle", "translation", "scale", "shape-bias", "context")
    some = of("accuracy")
    assert {row.probe for row in some} == {"patch-shuffle", "translation", "scale", "shape-bias", "context"}
    # The oracle does not know pictures whose patches changed places.
    wrong = [row for row in some if row.where.get("grid", "1x1") in ("1x1", "axes") and row.value != 1]
    assert wrong == []
    assert all(row.value == 1 for row in of("shape bias", category="all"))
    assert len(of("shape bias", category="all")) == 3
    assert all(row.value == 0 for row in [*of("BG-gap"), *of("texture answers")])
    assert of("accuracy", distance=8)[0].n == COUNT
    assert of("accuracy", grid="1x1", group="all")[0].n == 2 * COUNT
    assert of("shape bias", category="all", background="neither")[0].n == COUNT
    # Nobody tells cues that tell nothing from the rest.
    assert [row.value for row in of("accuracy", background="uninformative cues")] == [1, 1, 1]


def test_a_model_that_answers_the_texture_has_no_shape_bias(oracle) -> None:
    of = oracle(texture, "shape-bias", "context")
    for behind in ("neither", "the shape's class", "the texture's class"):
        assert value_of(of("shape bias", category="all", background=behind)) == 0
        assert value_of(of("texture answers", background=behind)) == 1
    assert value_of(of("BG-gap", between="own - another's")) == 0  # the texture is held


def test_textures_that_tell_nothing_are_the_own_once_in_twelve() -> None:
    some = stimuli.scenes(144, 0)
    silent = explorer.probes.cues.uninformative(some, 0)
    assert sum(texture(one) == label(one) for one in silent) == 12
    for before, after in zip(some, silent):
        assert replace(after, texture=before.texture, background=before.background) == before
    assert len({one.background for one in silent}) == 12


def test_a_model_that_answers_the_background_has_the_whole_gap(oracle) -> None:
    of = oracle(background, "shape-bias", "context")
    assert value_of(of("accuracy", view="own")) == 1
    assert value_of(of("accuracy", view="another's")) == 0
    assert value_of(of("BG-gap", between="own - another's")) == 1
    # A scene of the same class has its class's background about every second time, one of another class about never.
    assert 0.2 < value_of(of("BG-gap", between="mixed-same - mixed-rand")) < 0.8
    assert value_of(of("shape bias", category="all", background="the shape's class")) == 1
    assert value_of(of("shape bias", category="all", background="the texture's class")) == 0
    # Where no answer names shape or texture there is no bias, and no row that says 0.
    assert not of("shape bias", category="all", background="neither")
    assert value_of(of("texture answers", background="neither")) == 0


def test_a_model_that_knows_the_centre_only_has_a_known_curve(oracle) -> None:
    near = 5 / SIZE

    def centre(scene: Scene) -> int:
        return label(scene) if max(abs(scene.dx), abs(scene.dy)) < near else (label(scene) + 1) % 12

    of = oracle(centre, "translation")
    curve = {distance: value_of(of("accuracy", distance=distance)) for distance in (0, 2, 8, 10)}
    assert curve == {0: 1, 2: 1, 8: 0, 10: 0}  # scenes lie up to 1.44 px off the centre
    one_way = oracle(lambda scene: label(scene) if scene.dx < near else (label(scene) + 1) % 12, "translation")
    assert value_of(one_way("accuracy", dx=10, dy=0)) == 0
    for dx, dy in ((-10, 0), (0, -10), (0, 10)):
        assert value_of(one_way("accuracy", dx=dx, dy=dy)) == 1
    assert value_of(one_way("accuracy", distance=10)) == 0.75
    assert all(row.where["whole"] == 1 for row in one_way("accuracy"))


def test_an_oracle_of_one_size_falls_at_the_others(oracle) -> None:
    of = oracle(lambda scene: label(scene) if scene.scale >= 0.75 else (label(scene) + 1) % 12, "scale")
    found = {row.where["zoom"]: row.value for row in of("accuracy")}
    assert {0.5, 1.0, 1.5} <= set(found)
    assert found == {zoom: float(zoom >= 0.75) for zoom in found}


def test_among_arrangements_the_others_do_not_count(oracle) -> None:
    of = oracle(lambda _: 0, "patch-shuffle")  # never an arrangement: of the four, the first
    shares = [row.value for row in of("accuracy among arrangements", grid="1x1", group="uninformative cues")]
    assert shares == [pytest.approx(0.25, abs=0.03)]  # those that would leave the frame are left out
    assert value_of(of("accuracy", grid="1x1", group="arrangements")) == 0
    assert [CLASSES[place] for place in PAIRS] == list(scenes.ARRANGEMENTS)


# ---- what is shown --------------------------------------------------------------------------------------------------


def test_no_scene_of_the_experiment_was_trained_or_judged_on() -> None:
    for one in experiment.experiment(QUICK):
        if not PROBES[one.probe].looks:
            continue
        keys = Scenes.of(one.shown.scenes()).key
        for stream in (TRAINING_STREAM, JUDGING_STREAM):
            assert not torch.isin(keys, scenes.draw(stream, torch.arange(60_000)).key).any()


def test_classes_are_equally_many_and_the_object_stays_in_the_frame() -> None:
    still = ShownScenes(COUNT, room="move").scenes()
    assert [one.label for one in still] == [*CLASSES] * QUICK
    still = [replace(one, clutter=0.0) for one in still]  # sticks that stay hide other parts of what moves
    area = render(Scenes.of(still), SIZE).masks.flatten(1).sum(1)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        moved = Scenes.of(still).moved(dx=dx * REACH / SIZE, dy=dy * REACH / SIZE)
        assert torch.equal(render(moved, SIZE).masks.flatten(1).sum(1), area)
    grown = [replace(one, scale=experiment.LARGEST) for one in ShownScenes(COUNT, room="grow").scenes()]
    assert all(in_frame(grown, 1))
    assert {one.scale for one in ShownScenes(COUNT, room="grow").scenes()} == {1.0}
    assert not any(in_frame([replace(one, dx=0.4) for one in still], 1))
    with pytest.raises(ParameterError, match="of class 'star' 0 may be shown and 1 are needed"):
        stimuli.scenes(12, keep=lambda some: [one.label != "star" for one in some])


def test_per_class_and_classes_are_checked() -> None:
    with pytest.raises(ParameterError, match="at least one"):
        experiment.experiment(0)
    other = replace(wrapped(nn.Flatten(), stages=False), num_classes=1000, labels=None)
    with pytest.raises(ParameterError, match="1000 classes"):
        measure(other, experiment.experiment(QUICK)[0])
    assert QUICK < PER_CLASS


# ---- mass on the object ---------------------------------------------------------------------------------------------


def _mask() -> Tensor:
    mask = torch.zeros(48, 48, dtype=torch.bool)
    mask[12:24, 8:24] = True
    return mask


def test_an_even_map_has_ratio_one_and_the_mask_itself_the_most() -> None:
    mask = _mask()
    share = float(mask.double().mean())
    for grid in ((48, 48), (12, 12), (6, 6), (5, 7)):
        assert mass_ratio(torch.full(grid, 0.3), mask) == pytest.approx(1)
    assert mass_ratio(mask.double(), mask) == pytest.approx(1 / share)
    assert mass_ratio((~mask).double(), mask) == 0
    assert mass_ratio(torch.zeros(6, 6), mask) is None  # no mass, no ratio
    assert mass_ratio(torch.ones(6, 6), torch.zeros(48, 48, dtype=torch.bool)) is None
    # Half of a cell's mass counts where the mask covers half of it.
    values = torch.zeros(6, 6)
    values[1, 2] = 1  # rows 8 to 16, columns 16 to 24: covered from row 12 on
    assert mass_ratio(values, mask) == pytest.approx(0.5 / share)


def _placed(weights: Tensor, queries: bool) -> AttentionMap:
    grid, index = (12, 12), torch.arange(144)[None]
    layout = Layout("tokens", grid, index, grid if queries else None, index if queries else None)
    return AttentionMap("layer", "Test", "pairwise" if queries else "context", Computed(weights), layout, (48, 48))


def test_of_a_map_with_queries_those_on_the_object_count() -> None:
    mask, share = _mask(), float(_mask().double().mean())
    cells = by_area(mask, (12, 12)).flatten()
    even = torch.full((1, 1, 2, 144, 144), 1 / 144)
    assert map_ratios(_placed(even, True), mask[None]) == pytest.approx([1])
    assert map_ratios(_placed(even[:, :, :, :1], False), mask[None]) == pytest.approx([1])
    # Queries on the object look at the object, all others away from it: only the first count.
    split = torch.where(cells[:, None] > 0, cells[None] / cells.sum(), (1 - cells)[None] / (1 - cells).sum())
    assert map_ratios(_placed(split.expand(1, 1, 1, 144, 144), True), mask[None]) == pytest.approx([1 / share])
    # Of a gate: its mean on the object over its mean everywhere.
    gate = torch.where(cells > 0, 0.9, 0.3)
    expected = float((gate * cells).sum() / cells.sum() / gate.mean())
    assert map_ratios(_placed(gate.view(1, 1, 1, 1, 144), False), mask[None]) == pytest.approx([expected])
    assert map_ratios(_placed(0 * even, True), mask[None]) == [None]


NATIVE = {
    "mhsa": "pairwise",
    "nonlocal": "pairwise",
    "axial": "axial",
    "linear": "context",
    **dict.fromkeys(("c2f_gate", "coord", "ca_c2f", "cbam"), "gate"),
}


@pytest.mark.parametrize("spec", [*(f"lab/{block}" for block in BLOCKS), "lab/mhsa(heads=8)"])
def test_every_block_has_the_rows_of_its_own_kind_of_map(spec: str) -> None:
    model = untrained(spec)
    result = explorer.probe("context", [model], stimuli.scenes(12, 0)[:3], swaps=1)
    block = LabModel.of(model.spec).block
    native = result.of(spec, measure="attention mass ratio")
    if block not in NATIVE:
        assert native == []  # no row, never a zero
    else:
        mean, *layers = native
        assert {row["kind"] for row in native} == {NATIVE[block]}
        assert mean["layer"] == "all"
        assert mean["value"] == pytest.approx(sum(row["value"] for row in layers) / len(layers), abs=1e-5)
        assert len({row["layer"] for row in layers}) == len(layers)
        assert len(layers) % networks.DEPTH == 0
        # No map has more on the object than one that has all.
        masks = render(Scenes.of(stimuli.scenes(12, 0)[:3]), SIZE).masks
        largest = float(1 / masks.double().mean((1, 2)).min())
        assert all(0 < row["value"] <= largest for row in native)
    assert all(math.isfinite(row["value"]) and row["n"] <= 3 for row in native)


# ---- rows and their file --------------------------------------------------------------------------------------------


def _rows(count: int = 5, model: str = "lab/conv") -> list[TableRow]:
    shown = packed(asdict(ShownScenes(24)))
    return [
        TableRow(model, "0123", "scale", packed({"steps": 9}), shown, packed({"zoom": place / 4, "variant": "resize"}),
            "accuracy", "share", 0.5, 0.25 if place else None, 0.75 if place else None, "Wilson" if place else "", 24)
        for place in range(count)
    ]  # fmt: skip


def test_the_table_is_the_same_when_it_is_read(tmp_path: Path) -> None:
    rows, about = _rows(), {"protocol": PROTOCOL, "data_version": 1}
    file = write_table(rows, tmp_path / "new", about)
    assert read_table(file) == (rows, about)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]
    assert (rows[2].lab, rows[2].seed) == (LabModel("conv"), 0)
    assert rows[2].where == {"steps": 9, "zoom": 0.5, "variant": "resize"}
    one = again(rows[0])
    assert (one.probe, one.shown, one.key) == (
        "scale",
        ShownScenes(24),
        (rows[0].probe, rows[0].parameters, rows[0].scenes),
    )
    with pytest.raises(ParameterError, match="explorer lab evaluate"):
        read_table(tmp_path / "none.parquet")


@pytest.mark.parametrize("broken", [b"", b"PAR1", b"{}", "cut", "columns", "model", "conditions"])
def test_a_file_that_is_no_table_is_a_sentence(tmp_path: Path, broken: bytes | str) -> None:
    file = tmp_path / FILE
    if isinstance(broken, bytes):
        file.write_bytes(broken)
    elif broken == "cut":
        whole = write_table(_rows(), tmp_path, {"protocol": PROTOCOL}).read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    elif broken == "columns":
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([pa.field("a", pa.int64())], metadata={"about": packed({"protocol": PROTOCOL})})
        pq.write_table(pa.Table.from_pydict({"a": [1]}, schema=schema), file)
    else:
        write_table([replace(row, **{broken: "no such"}) for row in _rows()], tmp_path, {"protocol": PROTOCOL})
    with pytest.raises(ParameterError, match=r"is not a table of the laboratory.*remove it and measure again"):
        read_table(file)


def test_an_older_table_is_told_from_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"protocol": 1, "data_version": 1, "per_class": 12}
    old = tmp_path / "evaluation.json"
    old.write_text(json.dumps({"about": about, "rows": [{"model": "lab/mhsa", "bias": "scale"}]}))
    new = write_table(_rows(), tmp_path, about)
    for file in (old, new):
        assert cli.main(["lab", "show", "--table", str(file)]) == 2
        said = capsys.readouterr().err
        assert "is a table of an older version of Attention Explorer (protocol 1" in said
        assert "measure anew with explorer lab evaluate" in said
        assert "Traceback" not in said


def test_the_table_that_ships_is_whole() -> None:
    shipped = load_table()
    measured: dict[str, set[tuple[str, str, str]]] = {}
    for row in shipped:
        measured.setdefault(row.model, set()).add((row.probe, row.parameters, row.scenes))
    assert list(measured) != []
    assert set(networks.available()) <= set(measured)  # seeds whose weights do not ship are in the table too
    for model, found in measured.items():
        lab = LabModel.of(ModelSpec.parse(model))
        wanted = [one for one in experiment.experiment() if one.applies(lab)]
        # A pyramid at test time, and maps, were measured when the weights of other seeds were gone.
        maps = {name for name, one in PROBES.items() if one.bias == "maps"}
        late = {one.key for one in wanted if one.parameters.get("remedy") == "pyramid" or one.probe in maps}
        assert found >= {one.key for one in wanted} - (set() if model in networks.available() else late), model
        assert found <= {one.key for one in wanted}, model
    assert len(
        {(row.model, row.probe, row.parameters, row.scenes, row.conditions, row.measure) for row in shipped}
    ) == len(shipped)


def test_the_weights_that_ship_are_those_of_the_table() -> None:
    weights = {row.model: row.weights for row in load_table() if row.model in networks.available()}
    for name in random.Random(3).sample(sorted(weights), 5):
        assert fingerprint(load(name, "cpu").module).startswith(weights[name])


def _picked() -> list[int]:
    """Rows at random, no two of one measurement of one probe."""
    return random.Random(5).sample(range(10**6), 6)


@pytest.mark.parametrize("number", _picked())
def test_a_row_of_the_table_is_what_the_probe_says(number: int) -> None:
    shipped = [row for row in load_table() if row.model in networks.available()]
    row = shipped[number % len(shipped)]
    result = again(row).run(load(row.model, "cpu"))
    conditions = unpacked(row.conditions)
    (found,) = result.of(row.model, measure=row.measure, **conditions)
    assert (found["unit"], found["n"], found["interval"]) == (row.unit, row.n, row.interval)
    for name in ("value", "low", "high"):
        expected = getattr(row, name)
        if expected is None:
            assert found[name] is None
        else:
            # Another processor may round one answer of n otherwise.
            slack = 1.01 / row.n if row.unit in ("share", "difference of shares") else 0.0
            assert found[name] == pytest.approx(expected, rel=1e-3, abs=1e-5 + slack), (row, name)


# ---- many models ----------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measuring is noted, and gives one row; an experiment has two measurements."""
    calls: list[str] = []

    def one_row(model: Model, one: Measurement, progress: Callable[[float], None] | None = None) -> list[TableRow]:
        calls.append(f"{model.spec} {one.probe}")
        if progress is not None:
            progress(0.5)
        found = {
            "measure": "accuracy",
            "unit": "share",
            "value": 0.5,
            "low": None,
            "high": None,
            "interval": "",
            "n": 9,
        }
        name = experiment.name_of(model.spec)
        return [experiment.row_of(found, name, fingerprint(model.module)[:16], one)]

    def two(per_class: int = PER_CLASS) -> list[Measurement]:
        return [Measurement("scale", ShownScenes(12 * per_class)), Measurement("context", ShownScenes(12 * per_class))]

    monkeypatch.setattr(experiment, "measure", one_row)
    monkeypatch.setattr(experiment, "experiment", two)
    monkeypatch.setattr(experiment, "load", lambda spec, _: untrained(str(spec)))
    return calls


def test_what_is_measured_is_kept(tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [ModelSpec.parse(text) for text in ("lab/se", "lab/none", "lab/none#1")]

    class Stop(Exception):
        pass

    def stop(done: float, _: int, __: str) -> None:
        if done > 1.5:
            raise Stop

    with pytest.raises(Stop):
        evaluate(specs, tmp_path, "cpu", progress=stop)
    # What is cut off within a model is measured again as a whole model.
    assert measured == ["lab/se scale", "lab/se context", "lab/none scale", "lab/none context"]
    told: list[tuple[float, int, str]] = []
    rows = evaluate(specs, tmp_path, "cpu", progress=lambda *now: told.append(now))
    both = ("scale", "context")
    assert measured[4:] == [f"{name} {probe}" for name in ("lab/none", "lab/none#1") for probe in both]
    assert told[:3] == [(0, 3, "lab/se"), (1, 3, "lab/none"), (1.25, 3, "lab/none")]
    assert told[-2:] == [(2.75, 3, "lab/none#1"), (3, 3, "")]
    assert [row.model for row in rows] == ["lab/none"] * 2 + ["lab/none#1"] * 2 + ["lab/se"] * 2
    assert [row.probe for row in rows] == ["scale", "context"] * 3
    assert read_table(tmp_path / FILE)[0] == rows
    before = len(measured)
    assert evaluate(specs, tmp_path, "cpu") == rows
    assert len(measured) == before  # what was there is not measured again
    evaluate(specs[:1], tmp_path, "cpu", again=True)
    assert measured[before:] == ["lab/se scale", "lab/se context"]
    # A probe that is added is measured alone.
    three = [*experiment.experiment(), Measurement("cost", ShownScenes(12))]
    monkeypatch.setattr(experiment, "experiment", lambda _: three)
    before = len(measured)
    assert len(evaluate(specs[:1], tmp_path, "cpu")) == 7
    assert measured[before:] == ["lab/se cost"]


def test_other_weights_versions_or_scenes_are_measured_anew(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [ModelSpec.parse(text) for text in ("lab/se", "lab/none")]
    evaluate(specs, tmp_path, "cpu")
    del measured[:]
    monkeypatch.setattr(experiment, "load", lambda spec, _: untrained(str(replace(spec, seed=7))))
    monkeypatch.setattr(experiment, "name_of", lambda _: "lab/se")
    assert len(evaluate(specs[:1], tmp_path, "cpu")) == 4
    assert measured == ["lab/se#7 scale", "lab/se#7 context"]
    # Fewer scenes, or another version of the data: nothing of the old table stays.
    assert len(evaluate(specs[:1], tmp_path, "cpu", per_class=QUICK)) == 2
    monkeypatch.setattr(experiment, "DATA_VERSION", experiment.DATA_VERSION + 1)
    assert len(measured) == 4
    assert len(evaluate(specs[:1], tmp_path, "cpu", per_class=QUICK)) == 2
    assert len(measured) == 6
    # A table of an older version is measured anew over it.
    write_table(_rows(), tmp_path, {"protocol": PROTOCOL - 1})
    assert len(evaluate(specs[:1], tmp_path, "cpu", per_class=QUICK)) == 2
    assert len(measured) == 8
    # A broken file is said, not written over.
    (tmp_path / FILE).write_bytes(b"PAR1")
    with pytest.raises(ParameterError, match="remove it and measure again"):
        evaluate(specs[:1], tmp_path, "cpu")


def test_a_model_is_measured_in_what_it_has() -> None:
    wanted = experiment.experiment(1)

    def probes(spec: str) -> set[str]:
        lab = LabModel.of(ModelSpec.parse(spec))
        return {one.probe for one in wanted if one.applies(lab)}

    every = {one.probe for one in wanted}
    assert probes("lab/detect+mhsa") == {"detection"}
    maps = {name for name, one in PROBES.items() if one.bias == "maps"}
    assert probes("lab/axial-cue") == probes("lab/mhsa(heads=8)") == every - {"detection"} - maps
    assert probes("lab/mhsa") == every - {"detection"}
    assert probes("lab/nonlocal") == probes("lab/mhsa(heads=1)") == every - {"detection", "heads"} - maps
    # What takes long is measured of the blocks that learn the task whole.
    assert probes("lab/conv") == every - {"detection", "heads", "attention-distance"}
    assert probes("lab/coord") == probes("lab/conv") - maps


def test_workers_measure_the_same(tmp_path: Path) -> None:
    names = ["lab/detect+none", "lab/detect+conv"]
    specs = [ModelSpec.parse(name) for name in names]
    told: list[tuple[float, int, str]] = []
    one = evaluate(specs, tmp_path / "one", "cpu", per_class=1)
    assert [row.model for row in one if row.measure == "AP"] == names
    assert len({row.value for row in one if row.measure == "AP"}) == 2
    two = evaluate(specs, tmp_path / "two", "cpu", per_class=1, progress=lambda *now: told.append(now), workers=2)
    assert [now[0] for now in told] == [1, 2, 2]
    assert {now[2] for now in told} == {*names, ""}
    assert read_table(tmp_path / "two" / FILE)[0] == two
    assert [replace(row, value=None) for row in two] == [replace(row, value=None) for row in one]
    # Threads may add up in another order.
    assert [row.value for row in two] == pytest.approx([row.value for row in one], abs=1e-4)
    with pytest.raises(ParameterError, match="workers is 0"):
        evaluate(specs, tmp_path / "two", "cpu", workers=0)


def test_an_error_ends_what_has_not_begun() -> None:
    begun: list[int] = []
    go = threading.Event()

    def work(number: int) -> int:
        go.wait(30)
        begun.append(number)
        time.sleep(0.01)
        return number

    def refused(number: int) -> None:
        raise ValueError(number)

    with ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(work, number) for number in range(50)]
        go.set()
        with pytest.raises(ValueError, match="0"):
            finish(pool, futures, refused)
    assert len(begun) < 50
    told: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        finish(pool, [pool.submit(work, number) for number in range(5)], told.append)
    assert sorted(told) == [0, 1, 2, 3, 4]


def untrained_weights(folder: Path, *specs: str) -> Path:
    """A folder of weights and their manifest, as training leaves it."""
    records = []
    for text in specs:
        model = LabModel.of(ModelSpec.parse(text))
        record = {"spec": text, "seed": 0, "width": WIDTH}
        file = f"{networks.file_name(model, 0)}.safetensors"
        state = dict(networks.build(model, 0, WIDTH).state_dict())
        save_file(state, folder / file, {"record": json.dumps(record)})
        records.append({**record, "file": file})
    (folder / "manifest.json").write_text(json.dumps({"models": records}))
    return folder


def test_models_are_chosen_by_spec(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"no manifest\.json"):
        experiment.trained_specs(None, tmp_path)
    records = [{"spec": spec, "file": "x.safetensors"} for spec in ("lab/mhsa", "lab/mhsa#1", "lab/se-cue#2")]
    (tmp_path / "manifest.json").write_text(json.dumps({"models": records}))

    def chosen(*wanted: str) -> list[str]:
        return [str(one) for one in experiment.trained_specs(wanted or None, tmp_path)]

    assert chosen() == ["lab/mhsa", "lab/mhsa#1", "lab/se-cue#2"]
    assert chosen("lab/mhsa") == ["lab/mhsa", "lab/mhsa#1"]
    assert chosen("lab/mhsa#0", "lab/se-cue") == ["lab/mhsa", "lab/se-cue#2"]
    assert experiment.trained_specs(None, tmp_path)[0].weights_file == str(tmp_path / "x.safetensors")
    with pytest.raises(ParameterError, match="no trained model 'lab/mhsa#4'; there are: lab/mhsa, lab/mhsa#1"):
        chosen("lab/mhsa#4")
    with pytest.raises(ParameterError, match="write for example lab/mhsa"):
        chosen("resnet18")


def test_the_command_measures_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table"
    flags = [
        "--checkpoints",
        str(untrained_weights(tmp_path, "lab/conv")),
        "--device",
        "cpu",
        "--quick",
        "--out",
        str(out),
        "--json",
    ]
    assert cli.main(["lab", "evaluate", *flags]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["command"] == "lab"
    assert {row["model"] for row in record["rows"]} == {"lab/conv"}
    assert len(record["summary"]) == len([row for row in record["rows"] if row["value"] is not None])
    assert record["files"] == [str(out / FILE)]
    drawn = tmp_path / "page.html"
    assert cli.main(["lab", "show", "--table", str(out / FILE), "--html", str(drawn)]) == 0
    text = capsys.readouterr().out
    assert "in distribution" in text
    assert "Grad-CAM" in text
    page = drawn.read_text()
    assert "Patch shuffle" in page
    assert "<script src=" not in page
    assert cli.main(["lab", "show", "--table", str(tmp_path / "no.parquet")]) == 2
    assert "explorer lab evaluate writes one" in capsys.readouterr().err
