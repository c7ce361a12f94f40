"""The laboratory's table: models that answer by one property of the scene have known rows; intervals by hand."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
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
from explorer.blocks import BLOCKS
from explorer.cli import main as cli
from explorer.errors import ParameterError
from explorer.lab import evaluation, figures, networks, table
from explorer.lab.evaluation import PER_CLASS, QUICK, SHIFTS, evaluate, evaluate_all, map_ratios, mass_ratio, pictures
from explorer.lab.networks import LabModel
from explorer.lab.table import (
    CHANCE,
    MEASURES,
    Row,
    difference,
    findings,
    judge,
    key_of,
    read_table,
    summary,
    write_table,
)
from explorer.lab.training import JUDGING_STREAM, TRAINING_STREAM
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.stages import find_stages
from explorer.models.weights import fingerprint
from explorer.scenes import CENTRED, CLASSES, Scenes, render
from explorer.statistics import CHANGE, POSITIVE, SHARE, interval

SIZE = networks.SIZE
#: Of untrained networks; finding the one that gives equal parameters takes a second.
WIDTH = 32


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
        inserted="layer3.block" if model.backbone == "resnet" else None,
        inserted_state="lab",
        nbytes=0,
        parameters=0,
        transform=None,
        lock=threading.RLock(),
    )


def untrained(spec: str) -> Model:
    parsed = ModelSpec.parse(spec)
    return wrapped(networks.build(LabModel.of(parsed), parsed.seed, WIDTH), spec)


class Oracle(nn.Module):
    """Answers by what it knows of the scene behind each picture; class 0 where it has never seen the picture."""

    def __init__(self, known: dict[bytes, tuple[Scenes, int]], rule: Callable[[Scenes, int], int]) -> None:
        super().__init__()
        self.known, self.rule = known, rule

    def forward(self, x: Tensor) -> Tensor:
        pixels = ((x * networks.STD + networks.MEAN) * 255).round().to(torch.uint8)
        answers = [self.rule(*self.known[key]) if (key := _key(one)) in self.known else 0 for one in pixels]
        return nn.functional.one_hot(torch.tensor(answers), len(CLASSES)).float()


def _key(picture: Tensor) -> bytes:
    return picture.contiguous().numpy().tobytes()


@pytest.fixture(scope="module")
def shown() -> Iterator[tuple[dict[bytes, tuple[Scenes, int]], list[Scenes]]]:
    """Every picture of a quick evaluation with the scene behind it, and all scenes in the order of rendering."""
    known: dict[bytes, tuple[Scenes, int]] = {}
    order: list[Scenes] = []

    def recorded(some: Scenes, size: int, device: str = "cpu") -> scenes.Rendered:
        got = render(some, size, device)
        order.append(some)
        for number, picture in enumerate((got.images * 255).round().to(torch.uint8)):
            known[_key(picture)] = (some, number)
        return got

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "render", recorded)
        pictures.cache_clear()
        pictures(QUICK)
    yield known, order
    pictures.cache_clear()


@pytest.fixture(scope="module")
def oracle(shown: tuple[dict[bytes, tuple[Scenes, int]], list[Scenes]]) -> Callable[..., dict[table.Key, Row]]:
    def rows(rule: Callable[[Scenes, int], int]) -> dict[table.Key, Row]:
        found = evaluate(wrapped(Oracle(shown[0], rule), stages=False), QUICK)
        keyed = {key_of(row): row for row in found}
        assert len(keyed) == len(found)  # a measurement has one row
        return keyed

    return rows


# ---- known answers --------------------------------------------------------------------------------------------------


def test_a_model_that_answers_the_shape_is_right_wherever_the_object_is(oracle) -> None:
    rows = oracle(lambda some, i: int(some.label[i]))
    for (bias, measure, condition, value), row in rows.items():
        if bias == "patch-shuffle" and value != 1:
            continue  # the oracle does not know pictures whose patches changed places
        expected = 0.0 if measure in ("BG-gap", "texture answers") else 1.0
        assert row.value == expected, (bias, measure, condition, value)
    assert rows["shape", "shape bias", "background of neither", None].n == QUICK * 12
    assert rows["in distribution", "accuracy", "all", None].n == 4 * QUICK * 12
    assert rows["in distribution", "accuracy", "arrangements", None].n == 4 * QUICK * 4
    assert rows["translation", "accuracy", "four directions", 8.0].n == 4 * QUICK * 12
    assert rows["translation", "accuracy", "four directions", 0.0].n == QUICK * 12


def test_a_model_that_answers_the_texture_has_no_shape_bias(oracle) -> None:
    rows = oracle(lambda some, i: int(some.texture[i]))
    for background in ("neither", "the shape's class", "the texture's class"):
        assert rows["shape", "shape bias", f"background of {background}", None].value == 0
        assert rows["shape", "texture answers", f"background of {background}", None].value == 1
    # Of textures that tell nothing one in twelve is the class's own, exactly.
    assert rows["shape", "accuracy", "uninformative cues", None].value == pytest.approx(CHANCE, abs=1e-6)
    assert rows["context", "BG-gap", "own - another's", None].value == 0  # the texture is held


def test_a_model_that_answers_the_background_has_the_whole_gap(oracle) -> None:
    rows = oracle(lambda some, i: int(some.background[i]))
    assert rows["context", "accuracy", "own", None].value == 1
    assert rows["context", "accuracy", "another's", None].value == 0
    assert rows["context", "BG-gap", "own - another's", None].value == 1
    # A scene of the same class has its class's background about every second time, one of another class about never.
    assert 0.2 < rows["context", "BG-gap", "mixed-same - mixed-rand", None].value < 0.8
    assert rows["shape", "shape bias", "background of the shape's class", None].value == 1
    assert rows["shape", "shape bias", "background of the texture's class", None].value == 0
    # Where no answer names shape or texture there is no bias, and no row that says 0.
    assert ("shape", "shape bias", "background of neither", None) not in rows
    assert rows["shape", "texture answers", "background of neither", None].value == 0


def test_a_model_that_knows_the_centre_only_has_a_known_curve(oracle) -> None:
    near = 5 / SIZE

    def rule(some: Scenes, i: int) -> int:
        label = int(some.label[i])
        return label if max(abs(float(some.dx[i])), abs(float(some.dy[i]))) < near else (label + 1) % 12

    rows = oracle(rule)
    curve = {distance: rows["translation", "accuracy", "four directions", float(distance)].value for distance in SHIFTS}
    assert (curve[0], curve[2], curve[8], curve[10]) == (1, 1, 0, 0)  # scenes lie up to 1.44 px off the centre
    one_way = oracle(lambda some, i: int(some.label[i]) if some.dx[i] < near else (int(some.label[i]) + 1) % 12)
    assert one_way["translation", "accuracy", "right", 10.0].value == 0
    for direction in ("left", "up", "down"):
        assert one_way["translation", "accuracy", direction, 10.0].value == 1
    assert one_way["translation", "accuracy", "four directions", 10.0].value == 0.75


def test_an_oracle_of_one_size_falls_at_the_others(oracle) -> None:
    rows = oracle(lambda some, i: int(some.label[i]) if some.scale[i] >= 0.75 else (int(some.label[i]) + 1) % 12)
    values = {key[3]: row.value for key, row in rows.items() if key[0] == "scale"}
    assert values == {scale: float(scale >= 0.75) for scale in evaluation.SCALES}


def test_among_arrangements_the_others_do_not_count(oracle) -> None:
    rows = oracle(lambda _, __: 0)  # never an arrangement: of the four, the first
    key = ("arrangement", "accuracy among arrangements", "in distribution", None)
    assert rows[key].value == 0.25
    assert rows["arrangement", "accuracy", "in distribution", None].value == 0
    tilts = [abs(float(row)) for row in evaluation._balanced(1, 1).tilt]
    assert max(tilts) <= CENTRED.tilt


# ---- the pictures ---------------------------------------------------------------------------------------------------


def test_no_scene_of_the_table_was_trained_or_judged_on(shown) -> None:
    keys = torch.cat([some.key for some in shown[1]]).unique()
    for stream in (TRAINING_STREAM, JUDGING_STREAM):
        assert not torch.isin(keys, scenes.draw(stream, torch.arange(60_000)).key).any()


def test_classes_are_equally_many_and_the_object_stays_in_the_frame() -> None:
    roomy = replace(CENTRED, scales=(0.9, 0.92), gaps=(0.95, 0.97))
    reach = max(SHIFTS) / SIZE
    still = evaluation._balanced(5, 2, roomy, lambda some: evaluation._in_frame(some, reach))
    assert still.label.bincount().tolist() == [2] * 12
    area = render(still, SIZE).masks.flatten(1).sum(1)
    for x, y in evaluation.DIRECTIONS.values():
        assert torch.equal(render(still.moved(dx=x * reach, dy=y * reach), SIZE).masks.flatten(1).sum(1), area)
    with pytest.raises(ParameterError, match="enough room"):
        evaluation._balanced(5, 1, CENTRED, lambda some: torch.zeros(len(some), dtype=torch.bool))


def test_patches_change_places_and_nothing_else() -> None:
    images = torch.randint(0, 256, (7, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for grid in (2, 3, 4, 6):
        moved, side = evaluation.shuffled(images, grid), SIZE // grid
        assert torch.equal(moved, evaluation.shuffled(images, grid))  # the same for every model
        for before, after in zip(images, moved):
            assert not torch.equal(before, after)
            cut = [
                sorted(
                    _key(one[:, i : i + side, j : j + side]) for i in range(0, SIZE, side) for j in range(0, SIZE, side)
                )
                for one in (before, after)
            ]
            assert cut[0] == cut[1]
    assert evaluation.shuffled(images, 1) is images
    with pytest.raises(ParameterError, match="cannot be cut"):
        evaluation.shuffled(images, 5)


def test_per_class_and_classes_are_checked() -> None:
    with pytest.raises(ParameterError, match="at least one"):
        pictures(0)
    with pytest.raises(ParameterError, match="1000 classes"):
        evaluate(replace(wrapped(nn.Flatten(), stages=False), num_classes=1000), QUICK)


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
    cells = evaluation._by_area(mask, (12, 12)).flatten()
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


NATIVE = {
    "mhsa": "pairwise",
    "nonlocal": "pairwise",
    "axial": "axial",
    "linear": "context",
    **dict.fromkeys(("c2f_gate", "coord", "ca_c2f", "cbam"), "gate"),
}


@pytest.mark.parametrize("spec", [*(f"lab/{block}" for block in BLOCKS), "lab/resnet+mhsa", "lab/resnet+coord"])
def test_every_block_has_the_rows_of_its_own_kind_of_map(spec: str) -> None:
    model = untrained(spec)
    drawn = scenes.draw(9, torch.arange(3))
    got = render(drawn, SIZE)
    some = evaluation.Pictures((got.images * 255).round().byte(), got.labels, drawn.texture, got.masks)
    rows = evaluation._Head(model).maps(model, some, got.labels, 3)
    block = LabModel.of(model.spec).block
    native = [row for row in rows if row.condition != "Grad-CAM"]
    if block not in NATIVE:
        assert native == []  # no row, never a zero
    else:
        mean, *layers = native
        assert {row.condition for row in native} == {f"native {NATIVE[block]}"}
        assert mean.value == pytest.approx(sum(row.value for row in layers) / len(layers), abs=1e-5)
        assert [row.value_of_condition for row in layers] == [float(i + 1) for i in range(len(layers))]
        depth = 1 if model.architecture == "resnet" else networks.DEPTH
        assert len(layers) % depth == 0
        # No map has more on the object than one that has all.
        largest = float(1 / got.masks.double().mean((1, 2)).min())
        assert all(0 < row.value <= largest for row in native)
    assert all(math.isfinite(row.value) and row.n <= 3 for row in rows)


def test_the_same_weights_give_the_same_rows_and_a_changed_one_others() -> None:
    model = untrained("lab/resnet+conv#1")
    assert fingerprint(model.module) == fingerprint(untrained("lab/resnet+conv#1").module)
    assert fingerprint(model.module) != fingerprint(untrained("lab/resnet+conv").module)


# ---- intervals ------------------------------------------------------------------------------------------------------


def test_differences_are_paired_by_seed_where_seeds_match() -> None:
    first, second = {0: 0.9, 1: 0.5, 2: 0.7}, {0: 0.8, 1: 0.4, 2: 0.6, 3: 0.1}
    found = difference(first, second, SHARE)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((0.1, 0.1, 0.1, 3))
    assert found.p_value(0.0) == 0
    # Without common seeds, Welch, and no share differs by more than 1.
    found = difference({0: 0.9, 1: 0.7}, {5: 0.4, 6: 0.8}, SHARE)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, -1, 1))
    alone = difference({0: 0.9}, {0: 0.4}, SHARE)
    assert (alone.mean, alone.low, alone.p_value(0.0)) == (0.5, None, None)
    assert difference({0: 9.0, 1: 1.0}, {0: 1.0, 1: 9.0}, POSITIVE).low < -1


def test_what_is_judged_is_corrected_and_says_what_it_could_have_shown() -> None:
    # Three seeds, s / sqrt(3) = 0.01: p of t = d / 0.01 with 2 degrees of freedom.
    spread = 0.01 * math.sqrt(3)
    estimates = {str(d): interval([d - spread, d, d + spread], CHANGE) for d in (0.05, 0.055, 0.3)}
    alone = {name: one.p_value(0.0) for name, one in estimates.items()}
    assert all(p < 0.05 for p in alone.values())
    found = judge(estimates)
    assert found["0.3"].p == pytest.approx(3 * alone["0.3"])
    assert found["0.05"].p == found["0.055"].p == pytest.approx(2 * alone["0.055"])
    assert [one.shown for one in found.values()] == [False, False, True]
    assert judge({"0.05": estimates["0.05"]})["0.05"].shown
    # A difference of the least size is shown beside the same others, one that is a little smaller is not.
    least = found["0.055"].least
    assert least is not None
    for size, shown in ((least + 1e-6, True), (least - 1e-6, False)):
        again = judge({**estimates, "0.055": interval([size - spread, size, size + spread], CHANGE)})
        assert again["0.055"].shown is shown
    one = judge({"a": interval([0.4], CHANGE)})["a"]
    assert (one.p, one.shown, one.least) == (None, None, None)


def test_no_interval_of_the_table_that_ships_lies_beyond_what_is_possible() -> None:
    shipped = table.load_summary()
    assert shipped
    for one in shipped:
        within = MEASURES[one.measure].within
        assert one.low is None or within.low <= one.low <= one.mean <= one.high <= within.high
        assert one.difference is None or one.shown_to_differ == (one.p <= 0.05)
    for row in table.load_table():
        assert MEASURES[row.measure].within.low <= row.value <= MEASURES[row.measure].within.high


def test_a_measure_of_both_benches_has_one_name_and_one_unit() -> None:
    rows = [
        row
        for name in ("context", "patch-shuffle", "consistency")
        for row in explorer.probe(name, ["lab/none"], 3, device="cpu").rows
    ]
    units = {row["measure"]: row["unit"] for row in rows}
    both = set(units) & set(MEASURES)
    assert {"accuracy", "BG-gap", "accuracy among arrangements"} <= both
    for name in both:
        assert MEASURES[name].unit == units[name], name
    assert units["attribution mass ratio"] == MEASURES["mass ratio"].unit
    # And what is said to be a share is one.
    for row in rows:
        if row["unit"] in ("share", "probability") and row["measure"] != "change of p":
            assert row["low"] is None or 0 <= row["low"] <= row["value"] <= row["high"] <= 1, row
    gap = next(row for row in rows if row["measure"] == "BG-gap")
    assert -1 <= gap["low"] <= gap["value"] <= gap["high"] <= 1


def test_no_sentence_claims_sameness() -> None:
    shipped = table.load_table()
    drawn = [panel(table.load_summary()) for panel in figures.PANELS.values()]
    said = " ".join([*table.lines(shipped), *(text for figure in drawn for text in _words(figure))])
    assert "not shown to differ" in said
    for word in ("indistinguish", "no change beyond", "same as the control", "not to be told"):
        assert word not in said.lower()


def _words(figure: Any) -> list[str]:
    return [str(text) for one in figure.data for text in (one.name, *(one.text or ()))]


# ---- summary, sentences, files --------------------------------------------------------------------------------------


def _row(block: str, seed: int, key: table.Key, value: float, **more: object) -> Row:
    bias, measure, condition, number = key
    row = Row(
        f"lab/{block}", block, "metaformer", False, seed, "0123", bias, measure, condition, number, "", value, 144
    )
    return replace(row, **more)


ALL = ("in distribution", "accuracy", "all", None)
NEAR, FAR = (("translation", "accuracy", "four directions", distance) for distance in (0.0, 8.0))


def _some_rows(seeds: int = 3) -> list[Row]:
    values = {
        "none": {ALL: 0.4, NEAR: 0.4, FAR: 0.38},
        "se": {ALL: 0.4, NEAR: 0.4, FAR: 0.39},
        "mhsa": {ALL: 0.95, NEAR: 0.95, FAR: 0.15},
        "c2f": {ALL: 0.98, NEAR: 0.98, FAR: 0.97},
    }
    jitter = {"none": 0.001, "se": -0.001, "mhsa": 0.002, "c2f": 0.0}  # differs between seeds, not in the mean
    rows = [
        _row(block, seed, key, value + jitter[block] * (seed - (seeds - 1) / 2))
        for block, keys in values.items()
        for seed in range(seeds)
        for key, value in keys.items()
    ]
    rows += [_row("mhsa", seed, ("maps", "mass ratio", "native pairwise", None), 1.7) for seed in range(seeds)]
    return rows


def test_the_summary_compares_with_the_control() -> None:
    found = {(one.block, key_of(one)): one for one in summary(_some_rows())}
    assert found["none", ALL].shown_to_differ is None
    assert found["se", ALL].shown_to_differ is False
    mhsa = found["mhsa", ALL]
    assert mhsa.mean == pytest.approx(0.95)
    assert mhsa.difference == pytest.approx(0.55)
    assert mhsa.shown_to_differ is True
    assert mhsa.n == 3 * 144
    assert found["mhsa", ("maps", "mass ratio", "native pairwise", None)].shown_to_differ is None  # none has no map
    one = {(one.block, key_of(one)): one for one in summary(_some_rows(1))}
    assert one["mhsa", ALL].low is None
    assert one["mhsa", ALL].shown_to_differ is None
    other = [replace(row, backbone="resnet") for row in _some_rows() if row.block == "mhsa"]
    assert all(one.difference is None for one in summary(other))  # a control of another set-up is none


def test_sentences_come_from_the_numbers() -> None:
    text = "\n".join(findings(_some_rows()))
    assert "mhsa loses 80 points (80 to 80), 15 % left" in text
    assert "c2f loses 1.0 points" in text
    assert "Not shown to differ from the control none (3 seeds): se 40 %, seen from 0.5 points." in text
    assert "mhsa 1.70" in text
    swapped = [replace(row, block={"mhsa": "c2f", "c2f": "mhsa"}.get(row.block, row.block)) for row in _some_rows()]
    assert "c2f loses 80 points" in "\n".join(findings(swapped))
    assert "one seed" in findings(_some_rows(1))[0]
    assert findings(_some_rows(), "resnet") == []
    both = _some_rows() + [replace(row, augmented=True, value=0.9) for row in _some_rows()]
    assert "mhsa 0 instead of 80" in "\n".join(findings(both, "metaformer", True))


def test_the_short_table_marks_what_is_like_the_control() -> None:
    lines = table.lines(_some_rows())
    line = next(line for line in lines if line.startswith("se "))
    assert "~40" in line
    assert "98 (98 to 98)" in next(line for line in lines if line.startswith("c2f "))


def test_the_table_is_the_same_from_both_files(tmp_path: Path) -> None:
    rows, about = _some_rows(), {"protocol": 1, "per_class": 12}
    files = write_table(rows, tmp_path / "new", about)
    assert [file.name for file in files] == ["evaluation.json", "evaluation.parquet"]
    for file in files:
        assert read_table(file) == (rows, about)
    assert set(json.loads(files[0].read_text())["rows"][0]) == set(Row.__dataclass_fields__)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["evaluation.json", "evaluation.parquet"]
    with pytest.raises(ParameterError, match="explorer lab evaluate"):
        read_table(tmp_path / "none.json")
    files[0].write_text("{}")
    with pytest.raises(ParameterError, match="not a table"):
        read_table(files[0])


def test_chance_is_one_class_of_all() -> None:
    assert 1 / len(CLASSES) == CHANCE


# ---- many models ----------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measuring is noted, and gives one row."""
    calls: list[str] = []

    def one_row(model: Model, per_class: int) -> list[Row]:
        calls.append(str(model.spec))
        head = evaluation._Head(model)
        return [head.row(("in distribution", "all", None, ""), "accuracy", 0.5, per_class)]

    monkeypatch.setattr(evaluation, "evaluate", one_row)
    monkeypatch.setattr(evaluation, "load", lambda spec, _: untrained(str(spec)))
    return calls


def test_what_is_measured_is_kept(tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [ModelSpec.parse(text) for text in ("lab/se", "lab/none", "lab/none#1")]

    class Stop(Exception):
        pass

    def stop(done: int, _: int, __: str) -> None:
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        evaluate_all(specs, tmp_path, "cpu", progress=stop)
    assert measured == ["lab/se", "lab/none"]
    told: list[tuple[int, int, str]] = []
    rows = evaluate_all(specs, tmp_path, "cpu", progress=lambda *now: told.append(now))
    assert measured == ["lab/se", "lab/none", "lab/none#1"]  # what was there is not measured again
    assert told == [(0, 3, "lab/se"), (1, 3, "lab/none"), (2, 3, "lab/none#1"), (3, 3, "")]
    assert [(row.model, row.seed) for row in rows] == [("lab/none", 0), ("lab/none", 1), ("lab/se", 0)]
    assert read_table(tmp_path / "evaluation.parquet")[0] == rows
    evaluate_all(specs[:1], tmp_path, "cpu", again=True)
    assert measured[3:] == ["lab/se"]
    # Other weights, another protocol: measured anew.
    monkeypatch.setattr(evaluation, "load", lambda spec, _: untrained(str(replace(spec, seed=7))))
    monkeypatch.setattr(evaluation, "_identity", lambda _: ("lab/se", "se", "metaformer", False, 0))
    assert len(evaluate_all(specs[:1], tmp_path, "cpu")) == 3
    assert len(measured) == 5
    assert len(evaluate_all(specs[:1], tmp_path, "cpu", per_class=QUICK)) == 1


def test_models_are_chosen_by_spec(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"no manifest\.json"):
        evaluation.trained_specs(None, tmp_path)
    records = [{"spec": spec, "file": "x.safetensors"} for spec in ("lab/mhsa", "lab/mhsa#1", "lab/resnet+se#2")]
    (tmp_path / "manifest.json").write_text(json.dumps({"models": records}))

    def chosen(*wanted: str) -> list[str]:
        return [str(one) for one in evaluation.trained_specs(wanted or None, tmp_path)]

    assert chosen() == ["lab/mhsa", "lab/mhsa#1", "lab/resnet+se#2"]
    assert chosen("lab/mhsa") == ["lab/mhsa", "lab/mhsa#1"]
    assert chosen("lab/mhsa#0", "lab/resnet+se") == ["lab/mhsa", "lab/resnet+se#2"]
    assert evaluation.trained_specs(None, tmp_path)[0].weights_file == str(tmp_path / "x.safetensors")
    with pytest.raises(ParameterError, match="no trained model 'lab/mhsa#4'; there are: lab/mhsa, lab/mhsa#1"):
        chosen("lab/mhsa#4")
    with pytest.raises(ParameterError, match="write for example lab/mhsa"):
        chosen("resnet18")


def test_the_command_measures_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = LabModel("conv")
    network = networks.build(model, 0, WIDTH)
    record = {"spec": "lab/conv", "seed": 0, "width": WIDTH}
    save_file(dict(network.state_dict()), tmp_path / "conv-0.safetensors", {"record": json.dumps(record)})
    (tmp_path / "manifest.json").write_text(json.dumps({"models": [{**record, "file": "conv-0.safetensors"}]}))
    out = tmp_path / "table"
    flags = ["--checkpoints", str(tmp_path), "--device", "cpu", "--quick", "--out", str(out), "--json"]
    assert cli.main(["lab", "evaluate", *flags]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["command"] == "lab"
    assert {row["block"] for row in record["rows"]} == {"conv"}
    assert len(record["summary"]) == len(record["rows"])
    assert record["files"] == [str(out / "evaluation.json"), str(out / "evaluation.parquet")]
    drawn = tmp_path / "page.html"
    assert cli.main(["lab", "show", "--table", str(out / "evaluation.parquet"), "--html", str(drawn)]) == 0
    text = capsys.readouterr().out
    assert "in distribution" in text
    assert "Grad-CAM" in text
    page = drawn.read_text()
    assert page.count("<section>") == len(figures.PANELS)
    assert "<script src=" not in page
    assert cli.main(["lab", "show", "--table", str(tmp_path / "no.json")]) == 2
    assert "explorer lab evaluate writes one" in capsys.readouterr().err


# ---- the panels -----------------------------------------------------------------------------------------------------


def test_every_block_has_its_own_look() -> None:
    assert set(figures.LOOKS) == set(BLOCKS)
    assert len({look.colour for look in figures.LOOKS.values()}) == len(BLOCKS)


@pytest.fixture(scope="module")
def many() -> list[table.Summary]:
    """A summary with every panel's measurements."""
    keys = [
        *(("in distribution", "accuracy", one, None) for one in ("all", "one part", "arrangements")),
        *(("translation", "accuracy", "four directions", float(one)) for one in SHIFTS),
        *(("scale", "accuracy", "scaled", one) for one in evaluation.SCALES),
        *(("shape", "shape bias", f"background of {one}", None) for one in ("neither", "the texture's class")),
        *(("context", "BG-gap", one, None) for one in ("own - another's", "mixed-same - mixed-rand")),
        *(
            ("arrangement", "accuracy", one, None)
            for one in ("in distribution", "tilted 25 to 40 degrees", "1.4 to 1.7 x apart")
        ),
        *(("patch-shuffle", "accuracy", "shuffled", float(one)) for one in evaluation.GRIDS),
        ("maps", "mass ratio", "Grad-CAM", None),
    ]
    means = {"none": 0.4, "se": 0.4, "mhsa": 0.8}
    rows = [
        _row(block, seed, key, mean + 0.01 * (seed - 1) * (1 if block == "se" else -1))
        for block, mean in means.items()
        for seed in range(3)
        for key in keys
    ]
    return summary([*rows, _row("mhsa", 0, ("maps", "mass ratio", "native pairwise", None), 1.5)])


@pytest.mark.parametrize("name", figures.PANELS)
def test_a_panel_shows_blocks_intervals_and_what_is_like_the_control(name: str, many: list[table.Summary]) -> None:
    figure = figures.PANELS[name](many)
    words = " ".join([*(str(one.name) for one in figure.data), *(str(one.text) for one in figure.layout.annotations)])
    assert "hollow: not shown to differ from the control" in words
    texts = [text for one in figure.data if one.text is not None for text in one.text]
    assert any("<b>mhsa</b>" in text and "95 % interval" in text for text in texts)
    assert all(("not shown to differ" in text) == ("<b>se</b>" in text) for text in texts)
    colour = figures.LOOKS["mhsa"].colour
    assert any(one.marker.line.color == colour for one in figure.data)
    if name in ("translation", "scale", "patch-shuffle"):
        band = [one for one in figure.data if one.fill == "toself"]
        assert len(band) == 3
        assert "chance" in words
    else:
        drawn = [one for one in figure.data if one.error_x.array is not None]
        assert any(one.error_x.array[0] > 0 for one in drawn)
    assert figure.layout.xaxis.title.text
    chosen = figures.PANELS[name](many, blocks=["mhsa"])
    assert all("se</b>" not in text for one in chosen.data if one.text is not None for text in one.text)


def test_panels_refuse_what_was_not_measured(many: list[table.Summary]) -> None:
    with pytest.raises(ParameterError, match="no measurement of 'eca'"):
        figures.translation(many, blocks=["eca"])
    with pytest.raises(ParameterError, match="there are: none"):
        figures.translation(many, backbone="resnet", blocks=["mhsa"])
    assert len(figures.translation(many, backbone="resnet").data) == 0


def test_a_map_that_a_block_does_not_have_is_no_point(many: list[table.Summary]) -> None:
    figure = figures.maps(many)
    assert "none (no map)" in "".join(figure.layout.yaxis.ticktext)
    assert "mhsa (pairwise)" in "".join(figure.layout.yaxis.ticktext)
    native = [text for one in figure.data if one.text is not None for text in one.text if "native" in text]
    assert len(native) == 1
    assert "one seed, no interval" in native[0]


def test_the_quick_look_is_a_part_of_the_whole() -> None:
    assert QUICK < PER_CLASS
