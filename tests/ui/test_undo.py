"""Undo and redo in a real browser, by keys and by the browser's Back and Forward: a step a deed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.ui.page import FIRST_MODELS

from .visit import Visit

pytestmark = pytest.mark.browser

STAGE = "#scene .large canvas"
BEFORE = "about:blank"


@pytest.fixture
def visit(chromium: Any, server: str) -> Any:
    """The page as it opens, reached from another one."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto(BEFORE)
    visit = Visit(page, server).open()
    rests(visit)
    yield visit
    page.close()


#: As in assets/web/steps.js.
PAUSE_MS = 700


def rests(visit: Visit) -> None:
    """Wait until answers have come, and the address has what they brought."""
    visit.page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
    visit.page.wait_for_timeout(500)


def entries(visit: Visit) -> int:
    """How many entries the page's history has."""
    return int(visit.page.evaluate("history.length")) - 1


def at(visit: Visit) -> tuple[float, float, float]:
    asked = visit.page.evaluate("explorer.question.get()")
    return asked["dx"], asked["dy"], asked["zoom"]


def drag(visit: Visit, right: float, down: float, rest: bool = False) -> None:
    """Drag what is shown over the large canvas in many small moves; `rest` holds it still on the way."""
    box = visit.page.locator(STAGE).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    for part in range(1, 21):
        visit.page.mouse.move(x + right * part / 20, y + down * part / 20)
        if rest and part == 10:
            visit.page.wait_for_timeout(1200)
    visit.page.mouse.up()


def undone(visit: Visit, expected: tuple[float, float, float]) -> None:
    visit.page.wait_for_function(
        "([dx, dy, zoom]) => { const now = explorer.question.get(); "
        "return now.dx === dx && now.dy === dy && now.zoom === zoom; }",
        arg=list(expected),
    )


def test_a_drag_is_one_step_that_back_and_the_keys_undo_and_redo(visit: Visit):
    before = entries(visit)
    drag(visit, 40, 0, rest=True)
    one = at(visit)
    assert one[0] > 0
    assert entries(visit) == before + 1
    rests(visit)
    drag(visit, 0, 40)
    two = at(visit)
    assert entries(visit) == before + 2
    visit.page.go_back()
    undone(visit, one)
    visit.page.keyboard.press("Control+z")
    undone(visit, (0, 0, 1))
    visit.page.keyboard.press("Control+z")
    rests(visit)
    assert visit.page.url.startswith(visit.address), "the keys never leave the page"
    visit.page.keyboard.press("Control+y")
    undone(visit, one)
    visit.page.keyboard.press("Control+Shift+z")
    undone(visit, two)
    visit.page.go_back()
    undone(visit, one)
    visit.page.go_forward()
    undone(visit, two)
    rests(visit)
    # What is undone is answered anew, and nothing of that is a step.
    assert entries(visit) == before + 2
    # The address is the link to what is shown: another page opens with it.
    assert f"dx={two[0]:g}" in visit.page.url
    assert visit.complaints == []


def test_pushes_controls_and_methods_are_a_step_each(visit: Visit):
    page, before = visit.page, entries(visit)
    page.get_by_role("group", name="Try").get_by_role("button", name="Into the corner", exact=True).click()
    undone(visit, (10, -10, 1))
    page.get_by_role("group", name="Try").get_by_role("button", name="Half the size", exact=True).click()
    undone(visit, (0, 0, 0.5))
    page.locator("#method").select_option("saliency")
    assert entries(visit) == before + 3
    rests(visit)
    page.get_by_text("Move by numbers").click()
    page.locator("#move-angle").scroll_into_view_if_needed()
    box = page.locator("#move-angle").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for part in range(12):
        page.mouse.move(box["x"] + box["width"] / 2 + 3 * part, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert page.evaluate("explorer.question.get().angle") > 0
    assert entries(visit) == before + 4
    page.keyboard.press("Control+z")  # the slider has the focus
    page.wait_for_function("explorer.question.get().angle === 0")
    assert page.evaluate("explorer.question.get().method") == "saliency"
    page.keyboard.press("Control+z")
    page.wait_for_function("explorer.question.get().method !== 'saliency'")
    assert page.locator("#method").input_value() == page.evaluate("explorer.question.get().method")
    page.keyboard.press("Control+z")
    undone(visit, (10, -10, 1))
    page.keyboard.press("Control+z")
    undone(visit, (0, 0, 1))


def test_models_and_layers_are_a_step_each(visit: Visit):
    page, before = visit.page, entries(visit)
    visit.row(3).locator(".remove").click()
    page.wait_for_function("explorer.now.answer.rows.length === 3")
    rests(visit)
    assert entries(visit) == before + 1
    visit.row(0).locator(".laboratory select").first.select_option("mhsa")
    page.wait_for_function("explorer.now.answer.rows[0].asked === 'lab/mhsa'")
    rests(visit)
    assert entries(visit) == before + 2, "the layers that the program chooses are no step"
    layer = visit.row(1).get_by_label("Layer of model 2")
    last = layer.input_value()
    layer.focus()
    page.wait_for_timeout(PAUSE_MS)  # what follows faster by the keyboard is the same step
    page.keyboard.press("ArrowLeft")
    assert layer.input_value() != last
    rests(visit)
    assert entries(visit) == before + 3
    page.keyboard.press("Control+z")
    page.wait_for_function(
        "last => document.querySelectorAll('#stage article')[1].querySelector('input[type=range]').value === last",
        arg=last,
    )
    page.go_back()
    page.wait_for_function("explorer.chosen.models()[0] === 'lab/conv'")
    assert page.evaluate("explorer.chosen.models().length") == 3
    page.go_back()
    page.wait_for_function("explorer.chosen.models().length === 4")
    assert page.evaluate("explorer.chosen.models()") == list(FIRST_MODELS)


def test_back_leaves_the_page_once_all_is_undone(visit: Visit):
    page = visit.page
    drag(visit, 30, 30)
    rests(visit)
    page.locator(STAGE).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    rests(visit)
    # Neither another tab nor a lesson's steps stand between the visitor and the way back.
    page.get_by_role("tab", name="Lecture").click()
    page.wait_for_function("document.documentElement.dataset.lecture")
    page.keyboard.press("Enter")
    rests(visit)
    page.keyboard.press("Control+z")
    rests(visit)
    assert page.evaluate("document.documentElement.dataset.tab") == "lecture"
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_function("document.documentElement.dataset.tab === 'compare'")
    rests(visit)
    for _ in range(2):
        page.go_back()
        page.wait_for_timeout(300)
    undone(visit, (0, 0, 1))
    page.go_back()
    page.wait_for_url(BEFORE)


def test_back_out_of_a_lecture_shows_what_was_there_before(visit: Visit):
    page = visit.page
    drag(visit, 40, 0)
    rests(visit)
    one = at(visit)
    drag(visit, 0, 40)
    rests(visit)
    page.get_by_role("tab", name="Lecture").click()
    page.wait_for_function("document.documentElement.dataset.lecture")
    rests(visit)
    page.go_back()
    page.wait_for_function("document.documentElement.dataset.tab === 'compare'")
    undone(visit, one)
    rests(visit)
    assert at(visit) == one
    assert page.evaluate("explorer.chosen.models()") == list(FIRST_MODELS)


def test_what_is_typed_is_undone_by_the_browser(visit: Visit):
    page = visit.page
    drag(visit, 40, 0)
    rests(visit)
    one = at(visit)
    page.get_by_text("Move by numbers").click()
    number = page.locator("#controls input[type=number]").first
    number.focus()
    page.keyboard.press("Control+z")
    rests(visit)
    assert at(visit) == one


def test_a_reload_keeps_the_steps(visit: Visit):
    page = visit.page
    drag(visit, 40, 0)
    rests(visit)
    one = at(visit)
    page.reload()
    visit.settled()
    rests(visit)
    assert at(visit) == one
    page.keyboard.press("Control+z")
    undone(visit, (0, 0, 1))
