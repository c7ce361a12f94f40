"""A matched set is opened by one click, and says what else its models do not share."""

from __future__ import annotations

import pytest

from explorer.models.sets import matched_set

from .visit import Visit

pytestmark = pytest.mark.browser


def test_a_click_opens_a_set_side_by_side(visit: Visit):
    page = visit.page
    before = page.evaluate("document.querySelectorAll('#stage article.model').length")
    page.locator("#sets summary").click()
    page.locator("#sets button", has_text="CoAtNet").click()
    page.locator("#sets table").wait_for()
    models = list(matched_set("coatnet_nano").models)
    assert page.locator("#sets tbody th").all_inner_texts() == models
    assert page.locator("#sets button[aria-pressed=true]").all_inner_texts() == ["CoAtNet"]
    assert "RelPosMlp" in page.locator("#sets tbody").inner_text()
    shown = "(count) => document.querySelectorAll('#stage article.model').length === count"
    page.wait_for_function(shown, arg=len(models))
    page.go_back()
    page.wait_for_function("!document.querySelector('#sets table')")
    assert page.locator("#sets button[aria-pressed=true]").count() == 0
    page.wait_for_function(shown, arg=before)
