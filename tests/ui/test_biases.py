"""The tabs of the biases, asked as plain functions and used in a real browser."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import re
import shlex
import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.cli.main import main
from explorer.figures.looks import colours_of, names_of
from explorer.figures.sheet import Chart
from explorer.lab.shipped import shipped_result
from explorer.messages import renamed
from explorer.models.loading import load
from explorer.probes import BIASES, PROBES, examples, show
from explorer.probes.finding import finding
from explorer.ui.answers import Answers
from explorer.ui.examples import strip
from explorer.ui.handlers import Handlers
from explorer.ui.measuring import PLOTS, Measuring, Wanted, described, summary
from explorer.ui.saving import export, figures_of
from explorer.ui.share import written_out
from explorer.ui.telling import scores, told

from .unpack import read

MODELS = ["lab/conv", "lab/mhsa"]
ASKED = {"probe": "consistency", "parameters": {"passes": 1}, "shown": "several"}
SCENE = {"scene": {"label": "star"}}
LINK, HREF = "{http://www.w3.org/2000/svg}a", "{http://www.w3.org/1999/xlink}href"


@pytest.fixture(scope="module")
def measuring() -> Measuring:
    return Measuring(Handlers(Answers(folders=False)))


def test_a_measurement_streams_and_ends_with_the_librarys_numbers(measuring):
    told = list(measuring.measure({}, MODELS, SCENE, ASKED))
    assert all(len(one) == 4 + PLOTS for one in told)
    states = [read(one[0]) for one in told]
    assert states[0]["share"] == 0
    kept = told[-1][1]
    found = finding(kept["consistency"])
    assert found
    names = names_of(MODELS)
    assert states[-1] == {
        "words": "Measured",
        "share": 1.0,
        "notes": [],
        "finding": renamed(found, names),
        "models": [
            {"name": names[text], "spec": text, "colour": colour} for text, colour in zip(MODELS, colours_of(MODELS))
        ],
        "asked": {**ASKED, "parameters": dict(kept["consistency"].parameters)},
    }
    assert not states[-2]["finding"], "nothing is found before all is measured"
    own = explorer.probe("consistency", MODELS, passes=1)
    assert kept["consistency"].rows == own.rows
    table = read(told[-1][2])
    assert [row["spec"] for row in table["rows"]] == MODELS
    assert [row["name"] for row in table["rows"]] == list(names.values())
    value = own.summary[f"{MODELS[0]}: consistency"].value
    assert value in [cell.get("value") for cell in table["rows"][0]["cells"]]
    assert any(one.get("visible") for one in told[-1][4:])


def test_what_is_under_compare_can_be_measured(measuring):
    asked = {**ASKED, "shown": "stage"}
    *_, last = measuring.measure({}, MODELS, SCENE, asked)
    assert last[1]["consistency"].stimuli[MODELS[0]].startswith("1 scene")


@pytest.mark.parametrize(
    ("probe", "models", "measured", "note"),
    [
        ("detection", ["lab/detect+c2f", "lab/conv"], "AP", "Convolution: it was not trained to find objects"),
        (
            "heads",
            ["lab/mhsa", "lab/nonlocal"],
            "mean head diversity",
            ": its attention has one head",
        ),
    ],
)
def test_a_probe_of_some_models_measures_those_and_says_it_of_others(measuring, probe, models, measured, note):
    asked = {"probe": probe, "parameters": {"count": 10} if probe == "detection" else {}, "shown": "stage"}
    *_, last = measuring.measure({}, models, SCENE, asked)
    assert next(score.measure for score in last[1][probe].summary.values()) == measured
    assert [row["spec"] for row in read(last[2])["rows"]] == models
    assert note in "".join(map(str, read(last[0])["notes"]))
    assert any(one.get("visible") for one in last[4:])


def test_what_ships_is_drawn_without_a_model(measuring, monkeypatch):
    monkeypatch.setattr(measuring.handlers, "ask", None)  # which would load them
    state, kept, table, _, *plots = measuring.open({}, [*MODELS, "resnet18.a1_in1k"], {"probe": "translation"})
    shipped = shipped_result("translation", [*MODELS, "resnet18.a1_in1k"])
    assert shipped is not None
    assert kept["translation"].rows == shipped.rows
    said = read(state)
    assert said["finding"] == renamed(finding(shipped), names_of(shipped.models))
    assert "144 scenes of the laboratory, seed 0" in said["words"]
    assert said["asked"] == {"probe": "translation", "parameters": dict(shipped.parameters), "shown": "several"}
    assert said["notes"] == [renamed(one, names_of(shipped.models)) for one in shipped.notes]
    assert [row["spec"] for row in read(table)["rows"]] == list(shipped.models)
    assert sum(bool(one.get("visible")) for one in plots) == 2
    # what was measured of the same models here comes before it, what was of others does not
    mine = {"translation": dataclasses.replace(shipped, origin="", models=tuple(MODELS))}
    assert read(measuring.open(mine, MODELS, {"probe": "translation"})[0])["words"] == "Measured"
    assert "144 scenes" in read(measuring.open(mine, MODELS[:1], {"probe": "translation"})[0])["words"]


def test_where_nothing_ships_that_is_said_and_nothing_is_drawn(measuring):
    for models, probe in ((["resnet18.a1_in1k"], "translation"), (MODELS, "consistency")):
        state, _, table, _, *plots = measuring.open({}, models, {"probe": probe})
        assert "press Measure" in read(state)["words"]
        assert table == ""
        assert not any(one.get("visible") for one in plots)


def test_all_biases_open_with_what_ships(measuring):
    state, kept, table, radar = measuring.open_all({}, MODELS)
    assert "shipped" in read(state)["words"]
    assert {"context", "patch-shuffle", "shape-bias"} <= set(kept)
    assert [row["spec"] for row in read(table)["rows"]] == MODELS
    assert radar["visible"]
    state, kept, table, radar = measuring.open_all({}, ["resnet18.a1_in1k"])
    assert (read(state)["words"], kept, table) == ("", {}, "")


def test_closing_ends_the_work_and_gives_the_turn_back(measuring):
    running = measuring.measure({}, MODELS, SCENE, {"probe": "translation", "parameters": {"side": 33}})
    for _ in range(2):
        next(running)
    running.close()
    deadline = time.monotonic() + 30
    while any(thread.name == "probe translation" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert measuring.answers.turn.acquire(timeout=1)
    measuring.answers.turn.release()


@pytest.mark.parametrize(
    "asked",
    [
        None,
        {"probe": 3},
        {"probe": "no such"},
        {"probe": "consistency", "parameters": {"passes": 0}},
        {"probe": "consistency", "parameters": {"size": 1}},
        {"probe": "consistency", "parameters": [3]},
    ],
)
def test_nothing_that_a_browser_sends_is_trusted(measuring, asked):
    with pytest.raises(gr.Error):
        next(measuring.measure({}, MODELS, SCENE, asked))


def test_a_model_that_cannot_be_had_is_said(measuring):
    running = measuring.measure({}, ["lab/conv", "lab/nothing"], SCENE, ASKED)
    next(running)
    with pytest.raises(gr.Error, match="lab/nothing"):
        next(running)


def test_a_probe_that_serves_no_model_says_why(measuring):
    running = measuring.measure({}, ["random/test_resnet"], SCENE, {"probe": "shape-bias", "shown": "stage"})
    next(running)
    with pytest.raises(gr.Error) as caught:
        list(running)
    assert len(str(caught.value)) > 30


@pytest.mark.parametrize("name", ["shape-bias", "patch-shuffle"])
def test_nobody_answers_to_pictures_that_only_others_were_shown(measuring, name):
    models = ["random/test_resnet", "lab/none"]
    told = [json.loads(strip(measuring, of, SCENE, {"probe": name})) for of in (models, models[::-1], models[:1])]
    answering = [[one["name"] for one in each["models"]] for each in told]
    assert [len(each) for each in answering] == [1, 1, 1]
    assert answering[0] == answering[2] != answering[1]
    # Both are shown what is asked for.
    both = json.loads(strip(measuring, models, SCENE, {"probe": "patch-shuffle", "shown": "stage"}))
    assert len(both["models"]) == 2


@pytest.mark.parametrize("bias", BIASES)
def test_the_page_knows_every_probe_from_its_declaration(bias):
    told = described(bias)
    assert [one["name"] for one in told] == [name for name, kind in PROBES.items() if kind.bias == bias]
    for one in told:
        assert one["title"].endswith("?")
        assert one["formula"]
        assert one["limits"]
        Wanted.parse(
            {"probe": one["name"], "parameters": {each["name"]: each["default"] for each in one["parameters"]}}
        )
    json.dumps(told)


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    quick: dict[str, dict[str, Any]] = {"consistency": {"passes": 1}, "patch-shuffle": {"draws": 1}, "edges": {}}
    return {name: explorer.probe(name, MODELS, 4, **given) for name, given in quick.items()}


def test_the_summary_and_what_is_exported_hold_everything(kept):
    table, radar = summary(kept)
    assert [row["spec"] for row in read(table)["rows"]] == MODELS
    assert radar["visible"]
    files = {Path(path).suffix: Path(path) for path in export(kept)}
    assert set(files) == {".csv", ".json", ".png", ".html"}
    with files[".csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(result.rows) for result in kept.values())
    assert {row["probe"] for row in rows} == set(kept)
    assert [one["probe"] for one in json.loads(files[".json"].read_text())] == list(kept)
    text = files[".html"].read_text()
    assert "consistency" in text
    assert not re.search(r"<script[^>]+src=", text)
    assert summary({})[0] == ""
    with pytest.raises(gr.Error, match="Nothing"):
        export({})


def test_the_figures_that_are_shown_are_saved_with_their_finding(kept):
    names = names_of(MODELS)
    files = {Path(path).suffix: Path(path) for path in figures_of(kept, {"probe": "consistency"})}
    assert set(files) == {".png", ".svg"}
    with Image.open(files[".png"]) as picture:
        assert picture.width >= 1000
    drawn = files[".svg"].read_text()
    for word in (*names.values(), "consistency"):
        assert word in drawn
    assert "lab/mhsa" not in drawn
    assert "一致" in Path(figures_of(kept, {"probe": "consistency"}, language="zh")[1]).read_text()
    with pytest.raises(gr.Error, match="Nothing"):
        figures_of(kept, {"probe": "scale"})


def test_what_is_saved_carries_its_link(kept):
    link = f"http://127.0.0.1:7860/?__theme=dark#models=lab/conv,lab/mhsa&tab=biases&{'pins=0.5,0.5;' * 30}"
    png, svg = map(Path, figures_of(kept, {"probe": "consistency"}, link))
    without = [Path(path) for path in figures_of(kept, {"probe": "consistency"})]
    with Image.open(png) as linked, Image.open(without[0]) as plain:
        assert linked.info["Source"] == link
        assert "Source" not in plain.info
        assert linked.width == plain.width
        assert linked.height >= plain.height + 30, "it stands below the figure, in lines that fit"
        blue = (np.asarray(linked).astype(int) - np.asarray(plain)[0, 0])[plain.height - 20 :, :, :]
        assert (blue[..., 2] - blue[..., 0] > 60).any(axis=1).sum() > 20
    root = ElementTree.parse(svg).getroot()
    assert {one.get(HREF) for one in root.iter(LINK)} == {link}
    shown = ["".join(one.itertext()) for one in root.iter(LINK)]
    assert len(shown) > 1
    assert "".join("".join(shown).split()) == link
    assert link in [one.text for one in root.iter("{http://purl.org/dc/elements/1.1/}source")]
    assert "http://127" not in without[1].read_text()
    page = next(Path(path) for path in export(kept, link) if path.endswith(".html")).read_text()
    escaped = json.dumps(f'<a href="{html.escape(link)}">')[1:-1]
    for sign in "<>/":
        escaped = escaped.replace(sign, f"\\u{ord(sign):04x}")
    assert escaped in page
    for wrong in (7, None, "javascript:alert(1)", f"https://a/{'b' * 8000}", "https://a b"):
        with pytest.raises(gr.Error, match="http address of at most 8000 signs"):
            figures_of(kept, {"probe": "consistency"}, wrong)
        with pytest.raises(gr.Error, match="http address of at most 8000 signs"):
            export(kept, wrong)


def test_a_figure_is_told_in_its_own_numbers(kept):
    panels = [one for section in show.of(kept["consistency"]).sections(kept["consistency"]) for one in section.rows]
    charts = [panel for row in panels for panel in row if isinstance(panel, Chart)]
    assert charts
    for chart in charts:
        said = told(chart)
        assert [line["name"] for line in said["lines"]] == [line.name for line in chart.lines]
        for line, points in zip(chart.lines, (line["points"] for line in said["lines"])):
            known = list(zip(line.x, line.y, line.low or [None] * len(line.x), line.high or [None] * len(line.x)))
            assert points
            assert all(tuple(point) in known for point in points)
            assert max(line.y) in [point[1] for point in points]
        json.dumps(said, allow_nan=False)


def test_scores_say_which_way_is_better(kept):
    told = read(scores(kept["consistency"]))
    assert "consistency ↑" in told["columns"]
    assert "95 %" in told["notes"][0]
    assert show.provenance(kept["consistency"]) in told["notes"]


# ---- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def page(server: str, chromium: Any) -> Any:
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    page.complaints = []
    page.on("console", lambda line: page.complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(server)
    page.locator("#stage article.model:visible").first.wait_for()
    page.get_by_role("tab", name="Biases").click()
    yield page
    page.close()


def _open(page: Any, bias: str, probe: str) -> None:
    page.locator("#biases").get_by_role("tab", name=bias, exact=True).click()
    page.locator(f"#biases [role=radio][data-name={probe}]").click()


def _open_translation(page: Any, side: int) -> None:
    _open(page, "Translation", "translation")
    page.locator("#probe-translation summary", has_text="Parameters").click()
    page.locator("#translation-translation-side").fill(str(side))
    page.locator("#translation-translation-side").press("Enter")


def _at_rest(place: Any) -> Any:
    """Where a part of the page is once it has stopped moving: figures take their width when they are seen."""
    before, still = place.bounding_box(), 0
    for _ in range(60):
        place.page.wait_for_timeout(250)
        now = place.bounding_box()
        still = still + 1 if now == before else 0
        if still == 6:
            return now
        before = now
    pytest.fail("the figure does not come to rest")


def _measured(page: Any, bias: str) -> None:
    page.locator(f"#state-{bias} .working span", has_text="Measured").wait_for()


@pytest.mark.browser
def test_the_link_in_a_saved_figure_shows_it_again(page: Any, tmp_path: Path):
    _open(page, "Shape", "edges")
    page.wait_for_function("document.querySelectorAll('#plots-shape .js-plotly-plot').length > 0")
    page.locator("#save-shape").click()
    files = page.locator("#saved-shape a[download]")
    files.nth(1).wait_for()
    with page.expect_download() as download:
        files.and_(page.locator("[download$='.svg']")).first.click()
    download.value.save_as(tmp_path / "figure.svg")
    root = ElementTree.parse(tmp_path / "figure.svg").getroot()
    (link,) = {one.get(HREF) for one in root.iter(LINK)}
    assert link == page.evaluate("explorer.link.address()")
    page.goto("about:blank")
    page.goto(link)
    page.locator("#probe-shape [data-name=edges][aria-checked=true]:visible").wait_for()
    page.wait_for_function("document.querySelectorAll('#plots-shape .js-plotly-plot').length > 0")
    page.wait_for_function("location.hash.includes('probe=edges')")
    page.goto("about:blank")
    page.goto(link.replace("probe=edges", "probe=nothing"))
    page.get_by_text("There is no probe “nothing”.").wait_for()
    page.locator("#probe-shape [role=radio][aria-checked=true]:visible").wait_for()


@pytest.mark.browser
def test_a_shift_clicked_in_the_map_moves_the_picture(page: Any):
    _open_translation(page, side=3)
    page.locator("#shown-translation").select_option("stage")
    page.locator("#probe-translation button", has_text="Measure").click()
    _measured(page, "translation")
    assert page.locator("#scores-translation tbody tr").count() == 4
    # a map a model, and the profile of all
    page.wait_for_function("document.querySelectorAll('#plots-translation .js-plotly-plot').length >= 5")
    plots = page.locator("#plots-translation .js-plotly-plot")
    place = plots.first.locator(".nsewdrag").first
    place.scroll_into_view_if_needed()
    box = _at_rest(place)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] / 6, box["y"] + box["height"] / 2, steps=3)
    page.wait_for_timeout(500)  # the text of where the pointer came from goes
    said = (plots.first.locator(".hoverlayer .hovertext").text_content() or "").replace("\u2212", "-")
    dx, dy = (round(float(value)) for value in re.findall(r"px: (-?\d+\.\d{3})", said))
    assert (dx, dy) != (0, 0)
    page.mouse.down()
    page.mouse.up()
    page.locator(".linked").wait_for(timeout=10_000)
    assert page.evaluate("[explorer.question.get().dx, explorer.question.get().dy]") == [dx, dy]
    # the same without a mouse
    page.locator("#there-translation-dx").fill("1")
    page.locator("#there-translation-dy").fill("-1")
    page.locator("#probe-translation .there button").press("Enter")
    assert page.evaluate("[explorer.question.get().dx, explorer.question.get().dy]") == [1, -1]
    page.locator(".linked button", has_text="Show").click()
    assert page.locator("#move-dx").input_value() == "1"
    assert page.complaints == []


@pytest.mark.browser
def test_a_bias_opens_with_a_figure_and_what_it_found(page: Any):
    state = page.locator("#state-locality")
    state.locator(".finding").wait_for()
    page.locator("#plots-locality .js-plotly-plot .main-svg").first.wait_for()
    models = page.evaluate("explorer.now.answer.rows.map(({ spec }) => spec)")
    shipped = shipped_result("effective-receptive-field", models)
    assert shipped is not None
    assert state.locator(".finding").inner_text() == renamed(finding(shipped), names_of(models))
    assert state.locator(".legend-of-models li").all_inner_texts() == list(names_of(models).values())
    # a probe that changes pictures shows them, with the models' answers
    page.locator("#biases").get_by_role("tab", name="Shape").click()
    page.locator("#examples-shape figure").first.wait_for()
    told = read(strip(Measuring(Handlers(Answers(folders=False, device="cpu"))), models, {}, {"probe": "shape-bias"}))
    answers = page.locator("#examples-shape figure").first.locator("li .class").all_inner_texts()
    assert answers == [one["answers"][0]["label"] for one in told["models"]]
    assert page.locator("#examples-shape figure").count() == len(told["pictures"])
    assert "144 scenes of the laboratory" in state.inner_text()
    # another probe of the bias, without anything to show
    _open(page, "Translation", "consistency")
    page.locator("#state-translation", has_text="press Measure").wait_for()
    page.locator("#plots-translation .js-plotly-plot").first.wait_for(state="hidden")
    # and back to what ships
    page.locator("#biases [role=radio][data-name=translation]").click()
    page.locator("#state-translation .finding", has_text="Moved by up to 10 px").wait_for()
    page.locator("#plots-translation .js-plotly-plot .main-svg").first.wait_for()
    # a place in the figure leads to Compare, as in what is measured
    page.locator("#there-translation-dx").fill("2")
    page.locator("#probe-translation .there button").press("Enter")
    assert page.evaluate("explorer.question.get().dx") == 2
    assert page.complaints == []


@pytest.mark.browser
def test_models_from_elsewhere_are_named_with_what_to_do(page: Any, plain_server: str):
    page.goto(plain_server)
    page.locator("#stage article.model:visible").first.wait_for()
    page.get_by_role("tab", name="Biases").click()
    page.locator("#state-locality", has_text="press Measure").wait_for()
    assert page.locator("#probe-locality [aria-checked=true]").get_attribute("data-name") == "receptive-field"
    page.get_by_role("tab", name="Compare").click()
    page.evaluate("explorer.state.apply({ models: ['random/resnet18+mhsa@3', 'lab/mhsa'] })")
    page.wait_for_function("explorer.now.answer?.rows.some(({ spec }) => spec === 'lab/mhsa')")
    page.get_by_role("tab", name="Biases").click()
    page.locator("#state-locality .finding", has_text="Self-attention").wait_for()
    assert "random/resnet18+mhsa@3 is not among" in page.locator("#state-locality").inner_text()
    page.locator("#plots-locality .js-plotly-plot .main-svg").first.wait_for()


@pytest.mark.browser
def test_formula_source_and_limits_are_one_click_away(page: Any):
    _open(page, "Shape", "edges")
    assert "What this does not show" in page.locator("#probe-shape .probe-limits").inner_text()
    page.locator("#probe-shape summary", has_text="Formula").click()
    assert page.locator("#probe-shape .formula").is_visible()
    page.locator("#probe-shape [role=radio][data-name=edges]").press("ArrowRight")
    assert page.locator("#probe-shape [role=radio][aria-checked=true]").get_attribute("data-name") == "shape-bias"


@pytest.mark.browser
def test_leaving_the_tab_ends_the_work(page: Any):
    _open_translation(page, side=65)
    page.locator("#probe-translation button", has_text="Measure").click()
    page.locator("#state-translation progress").wait_for()
    # the page stays usable meanwhile
    page.get_by_role("tab", name="Compare").click()
    page.locator("#scene .large canvas").press("ArrowRight")
    page.wait_for_function("explorer.now.answer && Math.abs(explorer.now.answer.at.dx) > 0")
    page.get_by_role("tab", name="Biases").click()
    before = page.locator("#state-translation .working").inner_text()
    page.wait_for_timeout(2500)
    assert page.locator("#state-translation .working").inner_text() == before
    assert "Measured" not in before


@pytest.mark.browser
def test_stop_ends_the_work_and_keeps_what_there_is(page: Any):
    _open_translation(page, side=65)
    page.locator("#probe-translation button", has_text="Measure").click()
    page.locator("#probe-translation button", has_text="Stop").click()
    stopped = page.locator("#state-translation .working span", has_text="Stopped")
    stopped.wait_for()
    page.wait_for_timeout(1500)
    assert stopped.is_visible(), "what was stopped says nothing more"
    assert page.locator("#probe-translation button", has_text="Measure").is_enabled()


@pytest.mark.browser
def test_a_phone_shows_the_biases_without_scrolling_sideways(server: str, chromium: Any):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(60_000)
    page.goto(server)
    page.locator("#stage article.model:visible").first.wait_for()
    page.get_by_role("tab", name="Biases").click()
    page.locator("#biases [role=radio][data-name=consistency], #biases [role=radio]").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_the_strip_holds_what_the_models_answer_to_its_pictures(measuring):
    models = ["lab/mhsa", "lab/conv"]
    told = read(strip(measuring, models, {}, {"probe": "edges"}))
    assert [one["name"] for one in told["models"]] == ["Self-attention", "Convolution"]
    for one, text in zip(told["models"], models):
        model = load(text, "cpu")
        pictures = torch.stack([each.image for each in examples("edges", [model])[0]])
        p = model.logits(pictures).softmax(1)
        assert [each["label"] for each in one["answers"]] == [model.label(place) for place in p.argmax(1).tolist()]
        assert [each["p"] for each in one["answers"]] == pytest.approx(p.amax(1).tolist(), abs=1e-4)
    assert len(told["pictures"]) == len(pictures)
    # one that changes no picture, and one that serves none of the models
    for probe in ("receptive-field", "detection"):
        assert read(strip(measuring, models, {}, {"probe": probe}))["pictures"] == []
    with pytest.raises(gr.Error, match="probe"):
        strip(measuring, models, {}, {"probe": "edge"})


def test_the_code_of_a_measurement_gives_its_numbers(measuring, capsys):
    *_, last = measuring.measure({}, MODELS, SCENE, ASKED)
    shown = json.loads(written_out(measuring.handlers, MODELS, SCENE, ASKED))
    names: dict[str, Any] = {}
    exec(shown["python"], names)
    assert names["result"].rows == last[1]["consistency"].rows
    capsys.readouterr()
    assert main([*shlex.split(shown["command"])[1:], "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert {name: one["value"] for name, one in summary.items()} == {
        name: one.value for name, one in names["result"].summary.items()
    }
