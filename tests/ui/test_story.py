"""The first ten seconds: a line, four answers above the fold, pushes with their outcome, and what was found."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.ui.cards import cards

from .unpack import read
from .visit import Visit

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(chromium: Any, server: str) -> Any:
    """A page as it opens in a lecture hall."""
    page = chromium.new_page(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    page.goto(server)
    visit = Visit(page, server)
    visit.settled("not moved")
    yield visit
    page.close()


def push(visit: Visit, name: str) -> None:
    visit.page.get_by_role("group", name="Try").get_by_role("button", name=name, exact=True).click()


def test_the_first_view_says_what_it_shows_and_has_four_answers_above_the_fold(visit: Visit):
    page = visit.page
    said = page.locator("#masthead .story").text_content()
    assert said == "Four networks. Same size, same training. One block differs. Push the star into the corner."
    names = page.locator("#stage .laboratory select:first-child option:checked").all_text_contents()
    assert names == ["Convolution", "Self-attention", "Rows and columns", "C2f + coordinate attention"]
    for at in range(4):
        row = page.locator("#stage article.model").nth(at)
        for part in (".top li:last-child", ".attribution canvas"):
            box = row.locator(part).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 720, (at, part)
    picture = page.locator("#scene .large canvas").bounding_box()
    assert picture is not None
    assert picture["width"] == pytest.approx(picture["height"], abs=1)
    assert picture["width"] > 250
    # What is alike in all four is told once.
    assert page.locator(".legend").inner_text().split("\n") == ["for the answer", "against it"]


def test_a_push_moves_what_is_shown_says_who_keeps_the_answer_and_is_taken_back(visit: Visit):
    page = visit.page
    push(visit, "Into the corner")
    visit.settled("10 px right, 10 px up; rendered anew")
    verdicts = {
        name: page.locator("#stage article.model").nth(at).get_attribute("data-kept") is not None
        for at, name in enumerate(["Convolution", "Self-attention", "Rows and columns", "C2f + coordinate attention"])
    }
    assert set(verdicts.values()) == {True, False}
    expected = {"Kept": ", ".join(n for n, kept in verdicts.items() if kept)}
    expected["Changed"] = ", ".join(n for n, kept in verdicts.items() if not kept)
    assert page.locator(".verdicts").text_content() == " ".join(f"{word}: {them}." for word, them in expected.items())
    push(visit, "Into the corner")
    visit.settled("not moved")
    assert page.locator(".verdicts").text_content() == ""
    push(visit, "Half the size")
    visit.settled("zoom 0.5; rendered anew")
    push(visit, "Another texture")
    page.wait_for_function("explorer.question.get().scene.texture !== 'checks'")
    assert page.evaluate("explorer.question.get().zoom") == 0.5


def test_the_line_is_true_for_other_models_and_pictures(visit: Visit):
    page = visit.page
    story = page.locator("#masthead .story")
    page.locator("#stage article.model").nth(3).locator(".remove").click()
    page.wait_for_function("document.querySelector('.story').textContent.startsWith('Three networks.')")
    # One that was trained otherwise, or a photograph: the sentence would be false.
    page.locator("#stage .laboratory select").nth(1).select_option("any place and size")
    page.wait_for_function("document.querySelector('.story').textContent.startsWith('Drag the object')")
    assert "One block differs" not in (story.text_content() or "")


def test_findings_are_those_of_the_laboratory_and_lead_to_where_they_are_seen(visit: Visit):
    page = visit.page
    page.locator("#cards").scroll_into_view_if_needed()
    page.wait_for_selector("#cards article")
    texts = page.locator("#cards article > p:not(.ways)").all_text_contents()
    assert texts == [card["sentence"] for card in read(cards())]
    page.locator("#cards article").first.get_by_role("link", name="See it").click()
    page.wait_for_function("explorer.question.get().dx === 8 && explorer.models?.length !== 4")
    visit.settled("8 px right; rendered anew")
    assert page.locator("#stage article.model").count() == 2
    page.locator("#cards article").nth(1).get_by_role("link", name="The lesson").click()
    page.wait_for_function("document.documentElement.dataset.tab === 'lecture'")
    page.wait_for_function(
        "document.querySelector('#lecture select')?.selectedOptions[0]?.textContent.includes('Scale')"
    )


def test_on_a_phone_the_answers_are_chips_below_the_picture_and_one_is_opened(chromium: Any, server: str):
    page = chromium.new_page(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, reduced_motion="reduce"
    )
    page.goto(server)
    visit = Visit(page, server)
    visit.settled("not moved")
    chips = page.get_by_role("group", name="Answers").get_by_role("button")
    assert chips.count() == 4
    for at in range(4):
        box = chips.nth(at).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 844
        top = page.locator("#stage article.model").nth(at).locator(".top li").first
        said = [top.locator(f".{part}").text_content() for part in ("label", "share")]
        assert [chips.nth(at).locator(f".{part}").text_content() for part in ("what", "share")] == said
    # The first that has a map; another where that is pressed, with its maps drawn.
    assert [one.get_attribute("aria-pressed") for one in chips.all()] == ["false", "true", "false", "false"]
    chips.nth(3).click()
    rows = page.locator("#stage article.model")
    assert [rows.nth(at).is_visible() for at in range(4)] == [False, False, False, True]
    page.wait_for_function(
        "document.querySelectorAll('#stage article.model')[3].querySelector('.attention canvas').width > 50"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # No more than two scrolls, whichever is opened, and the fold of places comes last on the bench.
    page.locator("#places .places").wait_for()
    for at in (0, 1, 2, 3):
        chips.nth(at).click()
        page.locator("#stage article.model").nth(at).wait_for()
        assert page.evaluate("document.documentElement.scrollHeight") <= 3 * 844, at
    above, below = (page.locator(name).bounding_box() for name in ("#controls", "#places"))
    assert above is not None
    assert below is not None
    assert above["y"] < below["y"]
    push(visit, "Into the corner")
    visit.settled("10 px right, 10 px up; rendered anew")
    lost = ["lost" in (chips.nth(at).get_attribute("class") or "").split() for at in range(4)]
    assert lost == [rows.nth(at).get_attribute("data-lost") is not None for at in range(4)]
    assert set(lost) == {True, False}
    page.close()
