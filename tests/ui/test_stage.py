"""The stage in a real browser: moving by hand and key, pins, views, scales, links, code and evidence."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explorer.cli.main import main
from explorer.comparison.compare import compare
from explorer.geometry import Point
from explorer.images import read_image, samples
from explorer.models.loading import load
from explorer.scenes import PRESETS
from explorer.scenes.motion import about_object, in_words
from explorer.transforms import Transform
from explorer.ui.page import FIRST_MODELS

from .visit import Visit

pytestmark = pytest.mark.browser

SCENE, _ = next(iter(PRESETS.values()))
STAGE = "#scene .large canvas"


def _question(visit: Visit) -> dict[str, Any]:
    return visit.page.evaluate("explorer.question.get()")


def _asks(visit: Visit, change: dict[str, Any]) -> None:
    """Change the question and wait for its answer."""
    visit.page.evaluate("(change) => explorer.question.set(change)", change)
    visit.page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
    visit.page.wait_for_timeout(150)


def test_the_wheel_rescales_about_the_pointer(plain: Visit):
    canvas = plain.page.locator(STAGE)
    box = canvas.bounding_box()
    at = (0.25, 0.75)
    plain.page.mouse.move(box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"])
    before = plain.page.evaluate(
        "([x, y]) => explorer.maps.backward(explorer.scenery.moveOf(explorer.question.get()), {x, y})", at
    )
    for _ in range(3):
        plain.page.mouse.wheel(0, -120)
    asked = _question(plain)
    assert asked["zoom"] > 1.4
    after = plain.page.evaluate(
        "([x, y]) => explorer.maps.backward(explorer.scenery.moveOf(explorer.question.get()), {x, y})", at
    )
    assert after["x"] == pytest.approx(before["x"], abs=0.02)
    assert after["y"] == pytest.approx(before["y"], abs=0.02)
    assert plain.page.evaluate("scrollY") == 0, "the wheel rescales the picture and leaves the page where it is"
    plain.page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
    # What the browser thinks becomes of places is what the library does with the picture.
    move = Transform(dx=asked["dx"], dy=asked["dy"], zoom=asked["zoom"])
    sent = plain.page.evaluate("explorer.now.answer.rows[0].move")
    own = plain.page.evaluate("explorer.scenery.moveOf(explorer.question.get())")
    np.testing.assert_allclose(own["linear"], sent["linear"], atol=1e-9)
    np.testing.assert_allclose(own["offset"], sent["offset"], atol=1e-9)
    assert plain.stage.get_attribute("data-transform") == str(move)


@pytest.mark.parametrize("change", [{"angle": 30, "dx": 5}, {"flip": True, "zoom": 0.7}, {"border": "wrap", "dx": 90}])
def test_the_browser_moves_places_as_the_library_does(plain: Visit, change: dict[str, Any]):
    _asks(plain, change)
    sent = plain.page.evaluate("explorer.now.answer.rows[0].move")
    own = plain.page.evaluate("explorer.scenery.moveOf(explorer.question.get())")
    np.testing.assert_allclose(own["linear"], sent["linear"], atol=1e-9)
    np.testing.assert_allclose(own["offset"], sent["offset"], atol=1e-9)
    assert own["cyclic"] == sent["cyclic"]


def test_fingers_drag_and_pinch(chromium: Any, server: str):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visit = Visit(context.new_page(), server).open()
    session = context.new_cdp_session(visit.page)
    # Fingers are sent to where the browser last drew the picture: it has to have drawn it where it stays.
    visit.page.locator(STAGE).element_handle().wait_for_element_state("stable")
    box = visit.page.locator(STAGE).bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.evaluate(
        """() => {
            window.fingers = [];
            for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"])
                addEventListener(kind, ({ target }) => fingers.push(`${kind} on ${target.id || target.tagName}`), true);
        }"""
    )

    def touch(kind: str, *points: tuple[float, float]) -> None:
        given = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})

    touch("touchStart", middle)
    for step in range(1, 6):
        touch("touchMove", (middle[0] + 8 * step, middle[1]))
    touch("touchEnd")
    dx = _question(visit)["dx"]
    assert dx == pytest.approx(40 / box["width"] * 48, abs=0.3), visit.page.evaluate("fingers")
    touch("touchStart", (middle[0] - 30, middle[1]), (middle[0] + 30, middle[1]))
    for step in range(1, 7):
        touch("touchMove", (middle[0] - 30 - 5 * step, middle[1]), (middle[0] + 30 + 5 * step, middle[1]))
    touch("touchEnd")
    asked = _question(visit)
    assert asked["zoom"] == pytest.approx(2.0, abs=0.05)
    # The object was right of the fingers' middle: rescaling about it carries the object further away.
    assert asked["dx"] == pytest.approx(2 * dx, abs=0.5)
    visit.settled(in_words(Transform(dx=asked["dx"], dy=asked["dy"], zoom=asked["zoom"])))
    assert visit.page.evaluate("scrollX") == 0
    assert visit.complaints == []
    context.close()


def test_a_pin_stays_on_the_object_or_in_its_place(visit: Visit):
    visit.page.locator(STAGE).click(position={"x": 100, "y": 150})
    pin = _question(visit)["pins"][0]
    for stays, pinned in (("image", "what it is on"), ("place", "its place")):
        visit.page.get_by_role("button", name=pinned).click()
        _asks(visit, {"dx": 9.5, "dy": -4})
        move = Transform(dx=9.5, dy=-4)
        (view,) = compare([load("lab/mhsa")], SCENE, move, None, Point(pin["x"] * 48, pin["y"] * 48), pin=stays).rows
        reading = visit.row(1).locator(".panel.attention .reading").text_content()
        largest = float(view.maps[-1].row(view.queries[1], item=1).max())
        assert float(reading.split()[1]) == pytest.approx(largest, rel=5e-3)
        _asks(visit, {"dx": 0, "dy": 0})


def test_several_pins_have_their_own_maps_and_colours(visit: Visit):
    canvas = visit.page.locator(STAGE)
    canvas.click(position={"x": 90, "y": 120}, modifiers=["Shift"])
    visit.page.get_by_label("Add a pin").click()
    pins = _question(visit)["pins"]
    assert len(pins) == 3
    assert visit.page.locator(".chips .chip").count() == 3
    colours = visit.page.evaluate("[0, 1, 2].map(explorer.pinColour)")
    assert len(set(colours)) == 3
    visit.page.wait_for_function("() => explorer.now.answer.pins.length === 3")
    others = visit.row(1).locator(".others button")
    assert others.count() == 3
    model = load("lab/mhsa")
    for number, pin in enumerate(pins):
        others.nth(number).click()
        (view,) = compare([model], SCENE, query=Point(pin["x"] * 48, pin["y"] * 48)).rows
        largest = float(view.maps[-1].row(view.queries[0]).max())
        shown = visit.row(1).locator(".panel.attention .reading").text_content()
        assert float(shown.split()[1]) == pytest.approx(largest, rel=5e-3)
    visit.page.get_by_label("Take pin 3 out").click()
    assert len(_question(visit)["pins"]) == 2


def test_maps_pulled_back_and_their_difference_are_the_librarys(visit: Visit):
    move = Transform(dx=6.5, dy=-3, zoom=1.25, angle=15)
    _asks(visit, {"dx": 6.5, "dy": -3, "zoom": 1.25, "angle": 15})
    (view,) = compare([load("lab/mhsa")], SCENE, move).rows
    one = view.maps[-1]
    places = about_object(SCENE, move, (48, 48))
    pulled = places.pull_back(one.row(view.queries[1], item=1), (48, 48))
    before = one.row(view.queries[0], item=0)
    got = visit.page.evaluate(
        """() => {
            const { answer } = explorer.now;
            const row = answer.rows[1];
            const number = row.maps.length - 1;
            const [rows, columns] = row.maps[number].grid;
            const after = explorer.maps.headOf(explorer.maps.rowsOf(row, number, "after", 0), rows * columns, -1);
            const { values, valid } = explorer.maps.pullBack(after, rows, columns, row.move);
            return { values: [...values], valid: [...valid] };
        }"""
    )
    valid = np.array(got["valid"], bool).reshape(12, 12)
    np.testing.assert_array_equal(valid, pulled.valid)
    np.testing.assert_allclose(np.array(got["values"]).reshape(12, 12)[valid], pulled.values[pulled.valid], atol=2e-4)
    for name, values in (
        ("pulled back", pulled.values),
        ("difference", torch.where(pulled.valid, pulled.values - before, 0)),
    ):
        visit.page.get_by_role("button", name=name).click()
        visit.page.wait_for_timeout(150)
        row = visit.row(1)
        reading = row.locator(".panel.attention .reading").text_content()
        assert float(reading.split()[1]) == pytest.approx(float(values[pulled.valid].max()), rel=2e-2)
        hatched = visit.pixels("#stage article:nth-of-type(2) .panel.attribution canvas")
        assert _is_hatch(hatched[2:12, -12:]), "what the moved picture does not show is hatched"
    assert visit.page.evaluate("explorer.now.answer.identity") is False


def _is_hatch(pixels: np.ndarray) -> bool:
    """Greys of two kinds, and nothing else."""
    grey = np.abs(pixels - pixels.mean(-1, keepdims=True)).max() < 12
    return bool(grey and pixels.std() > 4)


def test_the_border_of_a_moved_photograph_is_hatched(plain: Visit):
    _asks(plain, {"dx": 100})
    assert _is_hatch(plain.pixels(f"{STAGE}")[100:130, 10:60])
    assert _is_hatch(plain.pixels("#stage .panel.seen canvas")[60:90, 10:50])


def test_maps_of_a_kind_share_a_scale_or_have_their_own(visit: Visit):
    def highs() -> list[str]:
        return [visit.row(index).locator(".panel.attention .scale span").last.inner_text() for index in (0, 1)]

    visit.page.evaluate("explorer.state.apply({ models: ['lab/mhsa', 'lab/mhsa#1'] })")
    visit.page.wait_for_function("() => explorer.now.answer.rows.length === 2")
    visit.page.wait_for_timeout(200)
    largest = [
        float(view.maps[-1].row(view.queries[0]).max())
        for view in compare([load("lab/mhsa"), load("lab/mhsa#1")], SCENE).rows
    ]
    assert highs()[0] == highs()[1]
    assert float(highs()[0]) == pytest.approx(max(largest), rel=5e-3)
    visit.page.get_by_text("How maps are drawn").click()
    visit.page.get_by_role("button", name="each its own").click()
    visit.page.wait_for_timeout(150)
    assert [float(one) for one in highs()] == pytest.approx(largest, rel=5e-3)


def test_hover_reads_the_value_and_its_unit(visit: Visit):
    canvas = visit.row(1).locator(".panel.attention canvas").first
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] * 3.5 / 12, "y": box["height"] * 5.5 / 12})
    reading = visit.row(1).locator(".panel.attention .reading")
    row = compare([load("lab/mhsa")], SCENE).rows[0]
    value = float(row.maps[-1].row(row.queries[0])[5, 3])
    said = reading.inner_text()
    assert said.startswith("row 6, column 4: ")
    assert float(re.findall(r": ([\d.]+)", said)[0]) == pytest.approx(value, rel=6e-3, abs=1e-6)
    assert visit.row(1).locator(".panel.attention .tip").inner_text().endswith("· softmax over 144 positions")


def test_rows_of_many_tokens_come_without_the_server(chromium: Any, server: str):
    """576 tokens: queries and keys are sent once, and a click makes its row in the browser."""
    model = "random/vit_tiny_patch16_384"
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    visit = Visit(page, f"{server}#models={model}&picture=cat")
    page.goto(visit.address)
    visit.settled()
    canvas = visit.row(0).locator(".panel.attention canvas").first
    canvas.hover()
    page.wait_for_selector("#stage .part[data-bank]", state="attached")
    assert page.evaluate("Boolean(explorer.now.bank.rows[0].maps[11].q)")
    visit.rested()
    before = len(visit.urls)
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.8, "y": box["height"] * 0.3})
    page.mouse.move(5, 5)
    pin = _question(visit)["pins"][0]
    (view,) = compare([load(model)], read_image(samples()["cat"]), query=Point(pin["x"] * 384, pin["y"] * 384)).rows
    got = page.evaluate(
        """() => { const row = explorer.now.answer.rows[0];
            return [...explorer.maps.headOf(explorer.maps.rowsOf(row, 11, "after", 0), 576, -1)]; }"""
    )
    np.testing.assert_allclose(got, view.maps[11].row(view.queries[0]).flatten(), rtol=1e-4, atol=1e-7)
    page.wait_for_timeout(400)
    assert visit.urls[before:] == []
    page.close()


LINK = {
    "models": ["lab/mhsa", "lab/axial#1"],
    "question": {"dx": 7.5, "zoom": 1.2, "pins": [{"x": 0.25, "y": 0.5}, {"x": 0.6, "y": 0.4}], "pin": "place"},
    "look": {"view": "pulled", "opacity": 0.4, "map": "viridis"},
}


@pytest.fixture
def linked(visit: Visit) -> Visit:
    visit.page.evaluate("(state) => explorer.state.apply(state)", LINK)
    visit.page.wait_for_function(
        "() => explorer.now.answer.rows.length === 2 && explorer.question.isAnsweredBy(explorer.now.answer)"
    )
    visit.row(0).get_by_label("Layer of model 1").fill("0")
    visit.page.wait_for_timeout(700)
    return visit


def test_a_link_shows_the_same_view_and_so_does_a_reload(linked: Visit, chromium: Any):
    state = linked.page.evaluate("explorer.state.get()")
    assert state["layers"]["0"] == "stages.0.blocks.0.token_mixer"
    readings = linked.page.locator("#stage .reading").all_text_contents()
    picture = linked.pixels("#stage .model .attention canvas")
    other = chromium.new_page(viewport={"width": 1440, "height": 900})
    other.goto(linked.page.url)
    pages = [other]
    linked.page.reload()
    pages.append(linked.page)
    for page in pages:
        again = Visit(page, linked.address)
        again.settled()
        page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
        page.wait_for_timeout(500)
        assert page.evaluate("explorer.state.get()") == state
        assert page.locator("#stage .reading").all_text_contents() == readings
        np.testing.assert_array_equal(again.pixels("#stage .model .attention canvas"), picture)
        assert page.locator("#masthead .notice").is_hidden()
    other.close()


def test_a_broken_link_says_what_it_could_not_restore(chromium: Any, server: str):
    page = chromium.new_page()
    page.goto(
        f"{server}#models=lab/conv,lab/nothing&dx=far&zoom=1.5&scene=label:star;texture:nope&pins=7,3&tab=nowhere&colour=red"
    )
    notice = page.locator("#masthead .notice")
    notice.wait_for()
    said = notice.inner_text()
    for part in ("dx", "nope", "pins", "nowhere", "colour"):
        assert part in said
    page.wait_for_function("() => window.explorer && explorer.question.get().zoom === 1.5")
    page.locator("#stage .problem:visible").wait_for()
    assert (
        "laboratory" in page.locator("#stage .problem:visible").inner_text()
        or "nothing" in page.locator("#stage .problem:visible").inner_text()
    )
    page.close()


def test_a_link_whose_question_is_none_says_so_and_the_page_goes_on(chromium: Any, server: str):
    page = chromium.new_page()
    page.goto(f"{server}#question=null")
    page.locator("#masthead .notice").wait_for()
    assert "“question” cannot be read" in page.locator("#masthead .notice").inner_text()
    page.locator("#stage .model:not(.waiting) .top li").first.wait_for()
    # What comes last when a page begins: its address is kept.
    page.wait_for_function("() => location.hash.includes('models=')")
    page.close()


def test_a_link_to_a_tab_alone_has_the_first_view_behind_it(chromium: Any, server: str):
    page = chromium.new_page()
    page.goto(f"{server}#tab=blocks&block=coord")
    page.locator("#blocks-text h2", has_text="oordinate").wait_for()
    page.get_by_role("tab", name="Compare").click()
    page.locator("#stage .model:not(.waiting) .top li").first.wait_for()
    assert page.evaluate("explorer.chosen.models()") == list(FIRST_MODELS)
    page.close()


def test_an_own_picture_survives_a_reload(plain: Visit, tmp_path: Path):
    own = tmp_path / "mine.png"
    own.write_bytes(samples()["cat"].read_bytes())
    plain.page.locator("#picture input[type=file]").set_input_files(str(own))
    plain.page.wait_for_function("() => explorer.now.answer.at.picture.startsWith('own:')")
    labels = plain.row(0).locator(".top .label").all_inner_texts()
    plain.page.wait_for_timeout(500)
    plain.page.reload()
    plain.settled()
    plain.page.wait_for_function("() => explorer.now.answer.at.picture.startsWith('own:')")
    assert plain.row(0).locator(".top .label").all_inner_texts() == labels


def test_the_code_shown_gives_what_is_on_the_screen(linked: Visit, capsys: pytest.CaptureFixture[str]):
    linked.page.locator("#code").click()
    python, command = (linked.page.locator("dialog.code pre").nth(number) for number in (0, 1))
    linked.page.wait_for_function(
        "() => document.querySelector('dialog.code pre').textContent.includes('explorer.compare')"
    )
    rows = linked.page.evaluate(
        "explorer.now.answer.rows.map((row) => row.predictions.map((one) => one.top.map(({ label, p }) => [label, p])))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", python.inner_text()], capture_output=True, text=True, check=True
    ).stdout
    arguments = shlex.split(command.inner_text())
    assert arguments[0] == "explorer"
    assert main([*arguments[1:], "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for sent, row in zip(rows, record["models"]):
        for side, answer in zip(sent, row["predictions"]):
            for (label, p), one in zip(side, answer["prediction"]):
                assert one["label"] == label
                assert one["probability"] == pytest.approx(p, abs=1e-6)
                assert f"{label} {p:.6f}" in printed


def test_the_evidence_gives_the_same_numbers(linked: Visit, tmp_path: Path):
    with linked.page.expect_download() as download:
        linked.page.locator("#evidence").click()
    assert re.fullmatch(r"evidence-\d{8}-\d{6}\.zip", download.value.suggested_filename)
    download.value.save_as(tmp_path / "evidence.zip")
    with zipfile.ZipFile(tmp_path / "evidence.zip") as bundle:
        bundle.extractall(tmp_path / "bundle")
    results = json.loads((tmp_path / "bundle" / "results.json").read_text())
    assert results
    done = subprocess.run([sys.executable, "reproduce.py"], cwd=tmp_path / "bundle", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    models = json.loads((tmp_path / "bundle" / "models.json").read_text())
    assert "lab/axial#1" in json.dumps(models)
    linked.page.get_by_role("button", name="Evidence").wait_for()
    with linked.page.expect_download():
        linked.page.locator("#evidence").click()


def test_a_first_visit_meets_four_short_sentences_and_one_thing_to_drag(visit: Visit):
    said = visit.page.locator("#masthead header > p").first.inner_text()
    assert len(re.findall(r"\.(\s|$)", said)) == 4
    assert len(said) < 100
    nudge = visit.page.locator(".nudge")
    assert nudge.is_visible()
    visible = visit.page.locator("#controls input:visible, #controls select:visible")
    assert visible.count() <= 1, "all but the attribution method is folded away"
    visit.page.locator(STAGE).focus()
    visit.page.keyboard.press("ArrowRight")
    nudge.wait_for(state="hidden")
    assert list(FIRST_MODELS) == visit.page.evaluate("explorer.chosen.models()")


def test_a_change_of_answer_is_said(visit: Visit):
    _asks(visit, {"dx": 16, "dy": 16})
    views = compare([load(text) for text in FIRST_MODELS], SCENE, Transform(dx=16, dy=16)).rows
    for index, view in enumerate(views):
        before, after = (one.top[0].label for one in view.predictions)
        said = visit.row(index).locator(".verdict").inner_text()
        assert said == ("keeps its answer" if before == after else f"changes its answer: {before} → {after}")


def test_what_an_answer_follows_is_said_where_cues_disagree(visit: Visit):
    scene, _ = PRESETS["conflict"]
    visit.page.get_by_label("Scene: Shape against texture").click()
    visit.page.wait_for_function("() => explorer.now.answer.truth === 'heart'")
    visit.page.wait_for_timeout(200)
    for index, view in enumerate(compare([load(text) for text in FIRST_MODELS], scene).rows):
        top = view.predictions[0].top[0].label
        said = visit.row(index).locator(".verdict").inner_text()
        follows = {"heart": "follows the shape", "square": "follows the texture"}.get(top)
        if follows:
            assert said == follows
