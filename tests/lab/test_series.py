"""The series: what is said of each model is its rows' mean, and the paired difference of the same seeds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from explorer.cli.main import main
from explorer.lab.experiment import FEW_BLOCKS
from explorer.lab.findings import WHOLE, shifted
from explorer.lab.networks import SERIES, LabModel, all_models, available
from explorer.lab.series import COLUMNS, SIZES, markdown, members, pyramids
from explorer.lab.table import load_table
from explorer.models.spec import ModelSpec

PYRAMIDS = {str(one.model.spec()): one for one in pyramids(load_table())}
FOUND = {str(one.model.spec()): one for one in members(load_table())}


def values(model: str, measure: str, **where: object) -> dict[int, float]:
    """Seed -> value, read from the table by hand."""
    out = {}
    for row in load_table():
        spec = ModelSpec.parse(row.model)
        if row.model.split("#")[0] == model and row.measure == measure:
            conditions = json.loads(row.conditions)
            if all(conditions.get(name) == value for name, value in where.items()):
                out[spec.seed] = row.value
    return out


def test_every_model_of_a_series_has_four_seeds_and_three_that_ship() -> None:
    varied = [model for model in all_models() if model.options]
    assert len(varied) == sum(map(len, SERIES.values()))
    shipped = set(available())
    for model in varied:
        assert FOUND[str(model.spec())].seeds >= 4, model
        assert {str(model.spec(seed)) for seed in range(3)} <= shipped


@pytest.mark.parametrize("text", ["lab/mhsa(heads=8)", "lab/c2f(padding=circular)"])
def test_means_and_changes_are_those_of_the_rows(text: str) -> None:
    one, usual = FOUND[text], f"lab/{FOUND[text].model.block}"
    for name, key in (("in distribution", WHOLE), ("8 px off", shifted(8))):
        own, other = (values(model, key.measure, **dict(key.where)) for model in (text, usual))
        own = {seed: value for seed, value in own.items() if seed in one_seeds(text, key.probe)}
        assert one.accuracy[name].mean == pytest.approx(sum(own.values()) / len(own), abs=1e-9)
        pairs = [own[seed] - other[seed] for seed in own]
        mean = sum(pairs) / len(pairs)
        spread = math.sqrt(sum((pair - mean) ** 2 for pair in pairs) / (len(pairs) - 1))
        half = 3.182446 * spread / math.sqrt(len(pairs))  # Student's t, 0.975, 3 degrees of freedom
        change = one.change[name]
        assert change.mean == pytest.approx(mean, abs=1e-9)
        assert (change.low, change.high) == pytest.approx((mean - half, mean + half), abs=1e-6)


def one_seeds(model: str, probe: str) -> set[int]:
    """The seeds of a model that a probe was measured on."""
    return {row.seed for row in load_table() if row.model.split("#")[0] == model and row.probe == probe}


def test_a_pyramid_is_compared_with_the_same_weights_without() -> None:
    assert sorted(PYRAMIDS) == sorted(f"lab/{block}" for block in FEW_BLOCKS)
    one = PYRAMIDS["lab/axial"]
    assert one.seeds == 3
    for name, zoom in SIZES.items():
        with_, without = (values("lab/axial", "accuracy", zoom=zoom, remedy=remedy) for remedy in ("pyramid", "none"))
        assert len(without) == 8
        assert one.accuracy[name].mean == pytest.approx(sum(with_.values()) / 3, abs=1e-9)
        assert one.change[name].mean == pytest.approx(sum(with_[seed] - without[seed] for seed in with_) / 3, abs=1e-9)


def test_a_table_without_series_has_none() -> None:
    rows = [row for row in load_table() if row.model.startswith("lab/mhsa") and "(" not in row.model]
    (usual,) = members(rows)
    assert usual.model == LabModel("mhsa")
    assert usual.change == {}
    assert usual.seeds == 8
    assert pyramids([row for row in rows if row.probe != "scale"]) == []


def test_the_document_quotes_them() -> None:
    text = (Path(__file__).parents[2] / "docs" / "laboratory.md").read_text(encoding="utf-8")
    for line in (*markdown("series", list(FOUND.values())), *markdown("pyramid", list(PYRAMIDS.values()))):
        assert line in text


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "series"]) == 0
    out = capsys.readouterr().out
    for name, one in FOUND.items():
        assert name in out
        assert f"{100 * one.accuracy['in distribution'].mean:.1f}" in out
    assert all(str(column) in out for column in COLUMNS)
    assert main(["lab", "series", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {one["model"] for one in record["series"]} == set(FOUND)
    assert {one["model"] for one in record["pyramid"]} == set(PYRAMIDS)
