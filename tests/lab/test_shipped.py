"""Results that ship are those that measuring again gives, and are said by their own numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import explorer
from explorer.errors import UnknownNameError
from explorer.figures.sheet import Axis, Chart, Line
from explorer.lab.experiment import again
from explorer.lab.shipped import shipped_result
from explorer.lab.table import FILE, TableRow, load_table, read_table
from explorer.probes import PROBES
from explorer.probes.charting import at_one_place
from explorer.probes.finding import finding
from explorer.resources import asset

MODELS = ["lab/mhsa", "lab/conv#1"]


@pytest.fixture(scope="module")
def rows() -> list[TableRow]:
    return read_table(asset("lab", FILE), MODELS)[0]


def test_a_shipped_result_is_what_measuring_again_gives(rows: list[TableRow]) -> None:
    shipped = shipped_result("edges", MODELS)
    assert shipped is not None
    one = again(next(row for row in rows if row.probe == "edges"))
    own = explorer.probe("edges", MODELS, one.shown.scenes(), seed=one.shown.seed, **one.parameters)
    assert [set(row) for row in shipped.rows] == [set(row) for row in own.rows]
    for here, there in zip(shipped.rows, own.rows, strict=True):
        for name, value in there.items():
            # Kernels of another machine sum in another order.
            near = pytest.approx(value, abs=2e-4) if isinstance(value, float) else value
            assert here[name] == near, (name, here)
    assert list(shipped.summary) == list(own.summary)
    for name in ("probe", "bias", "models", "parameters", "stimuli", "mode", "seed", "dtype", "input_sizes", "notes"):
        assert getattr(shipped, name) == getattr(own, name), name
    assert finding(shipped) == finding(own)
    assert (own.origin, shipped.device) == ("", "")
    assert "144 scenes" in shipped.origin


def test_some_models_of_a_table_are_read_as_they_are_among_all(rows: list[TableRow]) -> None:
    assert rows == [row for row in load_table() if row.model in MODELS]
    assert {row.model for row in rows} == set(MODELS)


def test_models_that_are_not_in_the_table_are_named() -> None:
    found = shipped_result("scale", ["lab/mhsa", "resnet18.a1_in1k", "lab/mhsa#99"])
    assert found is not None
    assert {row["model"] for row in found.rows} == {"lab/mhsa"}
    assert [note.split()[0] for note in found.notes] == ["resnet18.a1_in1k", "lab/mhsa#99"]
    assert shipped_result("scale", ["resnet18.a1_in1k"]) is None
    assert shipped_result("consistency", MODELS) is None
    with pytest.raises(UnknownNameError):
        shipped_result("no such", MODELS)


def test_the_parameters_choose_between_measurements() -> None:
    first, other = (
        shipped_result("shape-bias", MODELS),
        shipped_result("shape-bias", MODELS, behind="the shape's class"),
    )
    assert first is not None
    assert other is not None
    assert (first.parameters["behind"], other.parameters["behind"]) == ("neither", "the shape's class")
    assert first.rows != other.rows
    assert shipped_result("scale", MODELS, steps=41) is None


def _with(rows: list[TableRow], model: str, value: float, low: float, high: float) -> list[TableRow]:
    """A table in which a model keeps another share of its probability when things move."""
    return [
        replace(row, value=value, low=low, high=high) if (row.model, row.measure) == (model, "p kept") else row
        for row in rows
        if row.probe == "translation"
    ]


def _said(rows: list[TableRow]) -> str:
    found = shipped_result("translation", MODELS, rows)
    assert found is not None
    return finding(found)


def test_the_sentence_follows_the_table(rows: list[TableRow]) -> None:
    high, low = _with(rows, "lab/mhsa", 0.993, 0.99, 0.995), _with(rows, "lab/mhsa", 0.021, 0.01, 0.03)
    assert _said(high).startswith("Moved by up to 10 px, lab/mhsa keeps 99 % of its probability, lab/conv#1 ")
    assert _said(low).endswith("lab/mhsa 2 %.")
    other = next(row for row in rows if (row.model, row.measure) == ("lab/conv#1", "p kept"))
    assert other.value is not None
    near = _with(rows, "lab/mhsa", other.value + 0.02, other.value - 0.1, other.value + 0.1)
    assert _said(near).endswith("Their 95 % intervals overlap.")
    equal = _with(rows, "lab/mhsa", other.value, other.value, other.value)
    assert _said(equal).endswith("for every model shown.")


def test_one_model_is_said_alone(rows: list[TableRow]) -> None:
    found = shipped_result("translation", ["lab/mhsa"])
    assert found is not None
    value = next(row.value for row in rows if (row.model, row.measure) == ("lab/mhsa", "p kept"))
    assert value is not None
    assert finding(found) == f"p kept of lab/mhsa: {100 * value:.0f} %."


@pytest.mark.parametrize("name", [name for name in PROBES if shipped_result(name, MODELS) is not None])
def test_every_shipped_result_is_drawn_and_said(name: str) -> None:
    found = shipped_result(name, MODELS)
    assert found is not None
    assert PROBES[name](**found.parameters).sections(found)
    said = finding(found)
    assert said.endswith(".")
    assert any(model in said for model in MODELS) or "every model" in said


def test_a_probe_without_its_headline_is_said_by_what_it_has() -> None:
    read = explorer.probe("position", ["lab/mhsa", "lab/ca_c2f"], 2, input="constant", count=4)
    assert finding(read).startswith("The R² of constant images, last stage is highest for ")
    assert "noise" not in finding(read)


def test_a_table_that_is_not_there_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.lab.shipped.asset", lambda *_: tmp_path / "none.parquet")
    assert shipped_result("translation", ["lab/none", "lab/mhsa"]) is None


def test_networks_of_one_stage_have_points_and_no_axis_around_one_number() -> None:
    found = shipped_result("position", MODELS)
    assert found is not None
    section, *_ = PROBES["position"](**found.parameters).sections(found)
    for chart in section.rows[0]:
        assert isinstance(chart, Chart)
        assert [(line.x, line.joined) for line in chart.lines] == [(("1",), False)] * len(MODELS)
        assert (chart.x.low, chart.x.high) == (None, None)
    curves = [Line("a", (1.0, 2.0), (3.0, 4.0)), Line("b", (1.0,), (2.0,))]
    chart = Chart("t", tuple(curves), Axis("stage", low=1), Axis("y"))
    assert at_one_place(chart) is chart, "stages of one network are a curve"
