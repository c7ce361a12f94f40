"""Charts show their numbers where they belong, on the screen and in the PNG."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.errors import ParameterError
from explorer.figures import charts, interactive, static
from explorer.figures.plan import plan_of
from explorer.figures.saving import save
from explorer.figures.sheet import MODEL_COLOURS, Axis, Bars, Chart, Line, Map, Radar, Section, Sheet, Table
from explorer.figures.traces import traces
from explorer.geometry import Point

CURVE = Line("first", (1.0, 2.0, 4.0), (0.2, math.nan, 0.8), (0.1, math.nan, 0.7), (0.3, math.nan, 0.9))
OTHER = Line("second <b>", (1.0, 2.0, 4.0), (0.5, 0.5, 0.5), colour=MODEL_COLOURS[1], dash="dash")
CHART = Chart(
    "rate", (CURVE, OTHER), Axis("zoom", log=True), Axis("share", low=0.0, high=1.0), marks=((2.0, "stride"),)
)
POINTS = tuple(
    Line(f"m{k}", ("one", "two"), (1.0 + k, 2.0), (0.5 + k, 1.5), (1.5 + k, 2.5), MODEL_COLOURS[k], joined=False)
    for k in range(3)
)


def test_curves_keep_their_numbers_and_bands():
    band, curve, other = traces(CHART)
    assert list(curve["x"]) == [1.0, 2.0, 4.0]
    assert curve["y"][0] == 0.2
    # there and back, without the point that has no interval
    assert band["x"] == [1.0, 4.0, 4.0, 1.0]
    assert band["y"] == [0.3, 0.9, 0.7, 0.1]
    assert other["line"]["dash"] == "dash"
    assert other["line"]["color"] == MODEL_COLOURS[1]


def test_names_are_never_markup():
    assert "<b>" not in interactive.separate(CHART).to_json().replace("\\u003c", "<")


def test_points_of_several_models_stand_side_by_side():
    chart = Chart("radius", POINTS, Axis(""), Axis("px"))
    places = [charts.places(line, chart) for line in POINTS]
    assert len({place for row in places for place in row}) == 6
    for row in places:
        assert [round(place) for place in row] == [0, 1]
    assert [text for _, text in charts.ticks(chart, "x") or ()] == ["one", "two"]
    whiskers = traces(chart)[0]["error_y"]
    assert whiskers["array"] == [0.5, 0.5]
    assert whiskers["arrayminus"] == [0.5, 0.5]


def test_a_range_holds_everything_drawn():
    low, high = charts.span(Chart("t", POINTS, Axis(""), Axis("px")), "y")
    assert low < 0.5
    assert high > 3.5
    assert charts.span(CHART, "x")[0] < 1 < 4 < charts.span(CHART, "x")[1]
    assert charts.span(Chart("none yet", (), Axis("x"), Axis("y", log=True)), "y") == pytest.approx(
        (0.1 / 10**0.05, 10**0.05)
    )


def test_logarithmic_ticks_are_round():
    tall = Chart("t", (Line("m", (1.0, 1000.0), (1.0, 1000.0)),), Axis("n"), Axis("ms", log=True))
    assert {text for _, text in charts.ticks(tall, "y") or ()} >= {"1", "10", "100", "1000"}


def test_a_map_that_is_no_image_has_its_own_axes():
    values = torch.arange(25.0).reshape(5, 5)
    panel = Map("p", values, (5, 5), 0, 24, "p", None, Point(-2.5, -2.5), ("dx, px", "dy, px"))
    figure = interactive.separate(panel)
    heat = figure.data[0]
    assert (heat.x0, heat.dx, heat.y0, heat.dy) == (-2, 1, -2, 1)
    assert figure.layout.xaxis.title.text == "dx, px"
    assert figure.layout.yaxis.range == (2.5, -2.5)
    words = [text.text for text in plan_of(Sheet("t", (Section("", ((panel,),)),))).texts]
    assert "across: dx, px; down: dy, px" in words
    assert {"-2.5", "0", "2.5"} <= set(words)


def test_a_sheet_of_charts_is_drawn_both_ways(tmp_path):
    radar = Radar("all", (Line("m", ("a", "b", "c"), (0.1, 0.5, 1.0)),))
    table = Table("t", ("block", "order"), (("mhsa", "n^2"), ("conv", "n")), MODEL_COLOURS[:2])
    sheet = Sheet("charts", (Section("", ((CHART, Chart("p", POINTS, Axis(""), Axis("px"))), (radar, table))),))
    drawn = static.image(sheet)
    pixels = np.asarray(drawn).reshape(-1, 3)
    for colour in MODEL_COLOURS[:3]:
        wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert (pixels == wanted).all(1).sum() > 100, colour
    figure = interactive.figure(sheet)
    assert {trace.type for trace in figure.data} == {"scatter", "scatterpolar"}
    assert any(note.text == "mhsa" for note in figure.layout.annotations)
    assert Image.open(save(sheet, tmp_path / "charts.png")).size == drawn.size


def test_what_has_no_figure_of_its_own_says_so():
    with pytest.raises(ParameterError, match="stand alone"):
        interactive.separate(Bars("b", (1.0,), 1.0))
