"""The tab of a sweep's board: the same numbers as its page, and each leads to a view on this page."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.errors import ParameterError
from explorer.sweep.board import board
from explorer.sweep.run import sweep
from explorer.sweep.summary import Sweep
from explorer.ui.page import build

from .conftest import running

pytestmark = pytest.mark.browser
PLAN: dict[str, Any] = {
    "models": ["lab/mhsa", {"model": "lab/c2f", "name": "</iframe><b>ours"}],
    "probes": ["edges", "accuracy"],
    "data": [24],
    "device": "cpu",
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep(PLAN, tmp_path_factory.mktemp("swept") / "study")


@pytest.fixture(scope="module")
def served(swept: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    code = "from explorer.ui.page import serve; serve(port={port}, sweep={sweep!r})"
    with running(code, tmp_path_factory.mktemp("board"), sweep=str(swept.root)) as address:
        yield address


def test_a_tab_shows_the_board_and_its_numbers_lead_to_views(served: str, swept: Sweep, chromium: Any) -> None:
    made = board(swept)
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    wrong: list[str] = []
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.goto(served)
    page.get_by_role("tab", name="Board").click()
    inside = page.frame_locator("#board iframe")
    rows = inside.locator("#body tr")
    rows.first.wait_for()
    assert rows.count() == 2
    assert rows.nth(0).locator("th span").text_content() == "Self-attention"
    assert rows.nth(0).locator("th small").text_content() == "lab/mhsa, lab weights"
    assert rows.nth(1).locator("th span").text_content() == "</iframe><b>ours"
    headlines = [one.id for one in made.columns if one.headline]
    for place, name in enumerate(made.models):
        said = rows.nth(place).locator("td a").all_text_contents()
        assert [float(one) for one in said] == [float(f"{made.scores[name, one].value:.3g}") for one in headlines]
    # What belongs to the views is not beside it.
    assert not page.locator("#workbench").is_visible()
    assert not page.locator("#sets").is_visible()
    rows.nth(1).locator("td a").first.click()
    page.wait_for_function("document.documentElement.dataset.tab === 'compare'")
    page.wait_for_function("document.querySelectorAll('.model').length === 1")
    assert "models=lab/c2f" in page.url
    assert page.url.startswith(f"{served}#")
    page.go_back()
    page.wait_for_function("document.documentElement.dataset.tab === 'board'")
    rows.first.wait_for()
    assert not wrong
    page.close()


def test_a_link_leads_to_the_tab(served: str, chromium: Any) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{served}#tab=board")
    page.frame_locator("#board iframe").locator("#body tr").first.wait_for()
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    page.close()


def test_the_folder_is_named_by_who_starts_the_page(swept: Sweep, tmp_path: Path) -> None:
    page = build(sweep=str(swept.root))
    (name,) = (one for one in page.files if one.startswith("board-"))
    assert re.fullmatch(r"board-[0-9a-f]{16}\.html", name)
    content = page.files[name].plain.decode()  # type: ignore[union-attr]
    assert str(swept.root) not in content
    assert str(swept.root) not in repr(page.config)
    assert not any(one.startswith("board-") for one in build().files)
    with pytest.raises(ParameterError, match="has no sweep"):
        build(sweep=str(tmp_path))


def test_a_folder_without_a_sweep_is_said_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "explorer", "serve", "--board", str(tmp_path), "--port", "1"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 2
    assert "has no sweep" in found.stderr
    assert "Traceback" not in found.stderr
