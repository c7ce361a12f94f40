"""The tab of the laboratory: what is found stands on two screens, everything else opens when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from explorer.detection import decode
from explorer.lab.boxes import boxes_of, scenes, specs
from explorer.lab.cards import largest, shipped_cards
from explorer.lab.factors import shipped_factors
from explorer.lab.networks import SIZE
from explorer.models.loading import load
from explorer.ui import boxes as boxes_of_page
from explorer.ui.answers import Answers
from explorer.ui.cards import large, tables

from .unpack import read
from .visit import SLOW

HEIGHT = 720


def test_building_the_page_does_not_read_the_table():
    code = """
from explorer.lab import table
read = []
for name in ("read_table", "load_table", "load_few", "_columns"):
    setattr(table, name, lambda *given, name=name: read.append(name) or 1 / 0)
from explorer.ui.page import build
build()
print(read)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_figures_hold_what_the_cards_and_tables_say():
    for told, card in zip(read(large()), largest(shipped_cards()), strict=True):
        assert told["sentence"] == card.sentence
        assert told["axis"] == card.axis
        assert [row["value"] for row in told["rows"]] == [one.mean for one in card.every.values()]
        assert sum(row["named"] for row in told["rows"]) == 3
        assert [row["named"] for row in (told["rows"][0], told["rows"][-1])] == [True, True]
    for told, table in zip(read(tables()), shipped_factors(), strict=True):
        assert told["sentence"] == table.sentence
        values = [[cell["value"] for cell in row["cells"]] for row in told["rows"]]
        assert values == [[table.cells[training, block].mean for block in table.blocks] for training in table.trainings]


@pytest.mark.skipif(not specs(), reason="no models that find objects ship")
def test_boxes_are_those_that_the_models_draw():
    drawn = read(boxes_of_page.drawing(Answers(folders=False, device="cpu")))
    shown = scenes(SIZE)
    assert [len(one["boxes"]) for one in drawn["scenes"]] == shown.counts.sum(1).tolist()
    for panel, text in zip(drawn["panels"], specs().values(), strict=True):
        found = boxes_of(decode(load(text, "cpu").logits(shown.images)), shown)
        for told, own in zip(panel["scenes"], found, strict=True):
            assert [one["label"] for one in told["boxes"]] == [one.label for one in own]
            assert [one["found"] for one in told["boxes"]] == [one.found for one in own]
            for one, box in zip(told["boxes"], own):
                assert one["edges"] == pytest.approx(box.edges, abs=1e-5)
            assert told["said"].startswith(f"{sum(one.found for one in own)} of ")
        assert panel["precision"].startswith("AP ")


def test_without_weights_that_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boxes_of_page, "specs", lambda *_: {})
    drawn = read(boxes_of_page.drawing(Answers(folders=False)))
    assert drawn["scenes"] == []
    assert "No weights of models that find objects" in drawn["note"]


@pytest.fixture
def page(chromium: Any, server: str) -> Any:
    """The tab, on a screen of 1280 x 720."""
    page = chromium.new_page(viewport={"width": 1280, "height": HEIGHT}, reduced_motion="reduce")
    page.set_default_timeout(SLOW)
    page.goto(f"{server}#tab=lab")
    for part in ("found article", "factors table", "claims details"):
        page.locator(f"#lab-{part}").first.wait_for()
    yield page
    page.close()


def top(page: Any, part: str) -> float:
    return float(page.evaluate("(id) => document.getElementById(id).getBoundingClientRect().top", part))


@pytest.mark.browser
def test_what_was_found_stands_on_two_screens_and_nothing_below_is_drawn(page: Any):
    assert page.locator("#lab-found article").count() == 3
    first = min(top(page, "lab-detection"), top(page, "lab-measurements"))
    assert 0 < first + page.evaluate("scrollY") <= 2 * HEIGHT
    assert page.locator("#lab .js-plotly-plot, #lab-boxes figure").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_phone_what_was_found_stands_on_two_screens(chromium: Any, server: str, language: str):
    page = chromium.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.set_default_timeout(SLOW)
    page.goto(f"{server}#tab=lab&lang={language}")
    for part in ("found article", "factors table", "claims summary"):
        page.locator(f"#lab-{part}").first.wait_for()
    # The claims are the first of what is folded; the heads of all that is stand within a thumb's width below.
    assert 0 < top(page, "lab-claims") + page.evaluate("scrollY") <= 2 * 844
    assert page.evaluate("document.getElementById('lab').getBoundingClientRect().bottom + scrollY") <= 2 * 844 + 250
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cut = """() => [...document.querySelectorAll("#lab :is(p, th, td, li, h3, h4, summary, .name, .number)")]
        .filter((one) => one.checkVisibility()).filter((one) => {
            const { left, right } = one.getBoundingClientRect();
            return left < 0 || right > innerWidth || one.scrollWidth > one.clientWidth + 1 && one.clientWidth;
        }).map((one) => one.textContent)"""
    assert page.evaluate(cut) == []
    claim, guide = page.locator("#lab-claims .said"), page.locator("#lab-found .guide p")
    assert not claim.first.is_visible()
    assert not guide.first.is_visible()
    for group in page.locator("#lab-claims .judged > summary").all():
        group.click()
    page.locator("#lab-found .guide > summary").first.click()
    assert all(one.is_visible() for one in [*claim.all(), guide.first])
    assert page.evaluate(cut) == []
    # Turned, or on a larger screen, everything is open, and what needs no heading there has none.
    page.set_viewport_size({"width": 900, "height": 500})
    guide.last.wait_for()
    assert not page.locator("#lab-found .guide > summary").first.is_visible()
    page.close()


@pytest.mark.browser
def test_another_number_can_be_chosen_for_architecture_or_training(page: Any):
    told = read(tables())
    sentence = page.locator("#lab-factors .sentence")
    for at, one in enumerate(told):
        page.get_by_label("What is measured").select_option(str(at))
        assert sentence.text_content() == one["sentence"]
        assert page.locator("#lab-factors td").count() == 1 + 4


@pytest.mark.browser
def test_folds_open_with_the_keyboard_and_draw_then(page: Any):
    page.get_by_role("button", name="Objects found, with their boxes").focus()
    page.keyboard.press("Enter")
    page.locator("#lab-boxes .box").first.wait_for()
    assert page.locator("#lab-boxes figure").count() == 2 * len(specs())
    # The boxes lie where they were found: shares of the picture.
    drawn = page.locator("#lab-boxes .seen").first.evaluate(
        """(seen) => {
            const all = seen.getBoundingClientRect();
            return [...seen.querySelectorAll(".true")].map((one) => {
                const { left, top, right, bottom } = one.getBoundingClientRect();
                return [(left - all.left) / all.width, (top - all.top) / all.height,
                        (right - all.left) / all.width, (bottom - all.top) / all.height];
            });
        }"""
    )
    shown = scenes(SIZE)
    assert json.dumps(sorted(len(one) for one in drawn)) == json.dumps([4] * int(shown.counts[0].sum()))
    for one, exact in zip(drawn, shown.boxes[0][shown.counts[0]].tolist(), strict=True):
        assert one == pytest.approx(exact, abs=0.01)
    page.get_by_role("button", name="All measurements").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#lab .js-plotly-plot').length === 8")
    page.wait_for_function("location.hash.includes('fold=measurements')")
    claim = page.locator("#lab-claims .judged > details").first
    claim.locator("summary").focus()
    page.keyboard.press("Enter")
    assert claim.locator("li").first.is_visible()


@pytest.mark.browser
def test_links_arrive_at_what_is_folded_and_open_it(page: Any, server: str, chromium: Any):
    page.locator("#lab-found article").first.get_by_role("link", name="All measurements").click()
    page.wait_for_function("document.querySelectorAll('#lab .js-plotly-plot').length === 8")
    page.wait_for_function("Math.abs(document.getElementById('lab-measurements').getBoundingClientRect().top) < 40")
    other = chromium.new_page(viewport={"width": 1280, "height": HEIGHT}, reduced_motion="reduce")
    other.set_default_timeout(SLOW)
    other.goto(f"{server}#tab=lab&fold=detection")
    other.locator("#lab-boxes figure").first.wait_for()
    other.locator("#lab-claims details").first.wait_for()
    other.wait_for_function(
        "(most) => Math.abs(document.getElementById('lab-detection').getBoundingClientRect().top) < most",
        arg=HEIGHT / 2,
    )
    other.goto(f"{server}#tab=lab&fold=nothing")
    other.get_by_text("There is no part “nothing” of the laboratory.").wait_for()
    other.close()
