"""The board in a browser: it sorts, filters, draws and is usable by everybody, from a file and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.sweep.board import board
from explorer.sweep.publishing import save
from explorer.sweep.run import sweep

PLAN = {
    "models": ["lab/none", "lab/mhsa", "lab/c2f"],
    "probes": ["edges", "consistency", "attention-distance"],
    "data": [24],
    "device": "cpu",
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    return save(board(sweep(PLAN, folder / "swept")), folder / "board.html")


@pytest.fixture(params=[(1280, 720), (390, 844)], ids=["screen", "telephone"])
def opened(request: pytest.FixtureRequest, chromium: Any, file: Path) -> Iterator[Any]:
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height}, offline=True, accept_downloads=True)
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda one: told.append(one.text))
    page.on("pageerror", lambda one: told.append(str(one)))
    page.goto(file.as_uri())
    page.locator("#body tr").first.wait_for()
    yield page
    assert not told
    context.close()


def _names(page: Any) -> list[str]:
    return page.locator("#body th span").all_inner_texts()


@pytest.mark.browser
def test_it_sorts_and_filters_by_keyboard(opened: Any) -> None:
    assert _names(opened) == ["lab/none", "lab/mhsa", "lab/c2f"]
    heads = opened.locator("#head th")
    assert heads.count() == 4
    heads.nth(2).locator("button").focus()
    opened.keyboard.press("Enter")
    assert heads.nth(2).get_attribute("aria-sort") == "descending"
    values = [float(one) for one in opened.locator("#body td:nth-child(3) a").all_inner_texts()]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    opened.keyboard.press("Enter")  # the focus stays on the column
    assert heads.nth(2).get_attribute("aria-sort") == "ascending"
    assert [float(one) for one in opened.locator("#body td:nth-child(3) a").all_inner_texts()] == values[::-1]
    opened.locator("#filter").fill("c2f")
    assert _names(opened) == ["lab/c2f"]
    assert opened.locator("#count").inner_text().startswith("1 of 3 models")
    assert opened.locator("#scatter circle").count() == 1


@pytest.mark.browser
def test_measures_are_chosen_and_drawn_against_each_other(opened: Any) -> None:
    opened.locator("summary", has_text="Measures in the table").click()
    boxes = opened.locator("#choice input")
    shown = boxes.evaluate_all("all => all.filter((one) => one.checked).length")
    assert 0 < shown < boxes.count()
    boxes.locator("visible=true").nth(shown).check()
    assert (
        opened.locator("#head th").count() == boxes.evaluate_all("all => all.filter((one) => one.checked).length") + 1
    )
    assert opened.locator("#scatter circle").count() == 3
    point = opened.locator("#scatter circle").first
    point.focus()
    assert "lab/none" in opened.locator("#point").inner_text()
    options = opened.locator("#x option")
    distance = next(one for one in options.all_inner_texts() if "mean attention distance" in one)
    opened.locator("#x").select_option(label=distance)
    assert opened.locator("#scatter circle").count() == 1
    assert opened.locator("#without").inner_text().startswith("Models not shown: 2")


@pytest.mark.browser
def test_what_the_table_shows_is_saved(opened: Any) -> None:
    with opened.expect_download() as download:
        opened.locator("#csv").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("model,weights,data,probe")
    assert len(lines) == 1 + opened.locator("#body td a").count()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shuts_nobody_out_and_fits(opened: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened.emulate_media(color_scheme=scheme)
    opened.locator("summary").first.click()
    found = Axe().run(opened).response["violations"]
    assert not [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found]
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for label in opened.locator("#scatter text").all():
        box, frame = label.bounding_box(), opened.locator("#scatter").bounding_box()
        assert box["x"] >= frame["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1, label.inner_text()
