"""No tab shuts anybody out: axe finds nothing serious, in both themes, on a screen and on a telephone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

SCREEN, TELEPHONE = (1440, 900), (390, 844)
GRAVE = ("serious", "critical")


def _violations(page: Any) -> list[str]:
    """What axe complains about, each with the first places."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['help']} at {[node['target'] for node in one['nodes'][:4]]}"
        for one in found
        if one["impact"] in GRAVE
    ]


def _tab(page: Any, name: str) -> None:
    page.locator("#tabs").get_by_role("tab", name=name, exact=True).first.click()


def _compare(page: Any) -> None:
    _tab(page, "Compare")
    page.locator("#stage article.model .attribution canvas:visible").first.wait_for()


def _lecture(page: Any) -> None:
    _tab(page, "Lecture")
    page.wait_for_timeout(1000)


def _blocks(page: Any) -> None:
    _tab(page, "Blocks")
    page.locator("#blocks-text .cost table").wait_for()
    page.locator("#example canvas").nth(1).wait_for()


def _laboratory(page: Any) -> None:
    _tab(page, "Laboratory")
    page.locator("#lab-found article").first.wait_for()
    page.get_by_role("button", name="Objects found, with their boxes").click()
    page.locator("#lab-boxes figure").first.wait_for()
    page.get_by_role("button", name="All measurements").click()
    page.wait_for_function("document.querySelectorAll('#lab [role=figure][aria-label]').length === 8")


def _bring(page: Any) -> None:
    """Where one's own pictures are dropped."""
    # On a telephone the tab stands in a menu.
    page.goto(f"{page.url.partition('#')[0]}#tab=biases&bias=6")
    page.reload()
    page.locator("#bring-shape").get_by_role("button", name="Your own pictures").click()
    page.get_by_text("cat7-elephant2.png").locator("visible=true").wait_for()


def _biases(page: Any) -> None:
    _tab(page, "Biases")
    page.locator("#biases").get_by_role("tab", name="Translation", exact=True).click()
    page.locator("#biases [role=radio][data-name=consistency]").click()
    page.locator("#probe-translation summary", has_text="Parameters").click()
    page.locator("#translation-consistency-passes").fill("1")
    page.locator("#translation-consistency-passes").press("Enter")
    page.locator("#probe-translation summary", has_text="Formula").click()
    page.locator("#probe-translation button", has_text="Measure").click()
    page.locator("#state-translation .working span", has_text="Measured").wait_for()
    page.locator("#plots-translation [role=figure][aria-label]").first.wait_for()


TABS: dict[str, Callable[[Any], None]] = {
    "Compare": _compare,
    "Lecture": _lecture,
    "Blocks": _blocks,
    "Laboratory": _laboratory,
    "Biases": _biases,
    "Biases, own pictures": _bring,
}


@pytest.fixture(params=[(SCREEN, "light"), (SCREEN, "dark"), (TELEPHONE, "light")], ids=["screen", "dark", "telephone"])
def page(request: Any, server: str, chromium: Any) -> Iterator[Any]:
    (width, height), theme = request.param
    page = chromium.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.set_default_timeout(60_000)
    page.goto(f"{server}/?__theme={theme}")
    page.locator("#stage article.model:visible").first.wait_for()
    yield page
    page.close()


@pytest.mark.browser
def test_axe_finds_nothing_serious(page: Any):
    found = {}
    for name, show in TABS.items():
        show(page)
        # What is no answer to the present question is dimmed, and what fades in is there a little later.
        page.wait_for_function("!('stale' in document.documentElement.dataset)")
        page.wait_for_timeout(800)
        found[name] = _violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    assert {name: each for name, each in found.items() if each} == {}
