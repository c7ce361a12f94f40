"""Saving and copying pictures and maps in a real browser: size, pixels, caption and link of what is taken away."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from .visit import Visit

pytestmark = pytest.mark.browser

MAP = "#stage article:nth-of-type(2) .panel.attention .frame > canvas"
SVG = "{http://www.w3.org/2000/svg}"


def menu(visit: Visit, canvas: str) -> Any:
    """Open the menu of a canvas with the keyboard."""
    button = visit.page.locator(f"{canvas} + .take")
    button.focus()
    visit.page.keyboard.press("Enter")
    found = visit.page.locator(".takeaway:popover-open")
    found.wait_for()
    return found


def saved(visit: Visit, canvas: str, way: str, folder: Path) -> Path:
    opened = menu(visit, canvas)
    with visit.page.expect_download() as download:
        opened.get_by_role("button", name=way).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def same_cells(visit: Visit, canvas: str, taken: np.ndarray) -> None:
    """What was taken shows at twice the size what the canvas shows, but for lines and signs, which are finer."""
    shown = visit.pixels(canvas)
    height, width = shown.shape[:2]
    assert taken.shape == (2 * height, 2 * width, 3)
    apart = np.abs(taken[1::2, 1::2].astype(float) - shown).max(-1)
    assert np.mean(apart <= 3) > 0.93, np.mean(apart <= 3)
    assert shown.std() > 5, "something is drawn"


def test_a_map_saved_as_png_has_twice_the_size_and_the_same_cells(visit: Visit, tmp_path: Path):
    visit.page.wait_for_timeout(400)
    path = saved(visit, MAP, "Save as PNG", tmp_path)
    assert path.name == "lab-mhsa-attention.png"
    with Image.open(path) as saved_map:
        saved_map.load()
        assert saved_map.info["Source"] == visit.page.evaluate("explorer.link.address()")
        assert saved_map.info["Title"].startswith("lab/mhsa ")
        sheet = np.asarray(saved_map.convert("RGB"))
    width = round(visit.page.locator(MAP).bounding_box()["width"])
    same_cells(visit, MAP, sheet[: 2 * width, : 2 * width])
    assert sheet.shape[0] > 2 * width + 100, "the caption stands below"
    assert sheet[2 * width + 40 :].min() < 80, "the caption is drawn"
    # The canvas is drawn as before, and the browser still answers.
    visit.page.wait_for_timeout(300)
    assert visit.page.evaluate("(name) => document.querySelector(name).width", MAP) == width
    assert visit.complaints == []


def test_a_map_saved_as_svg_has_caption_link_and_the_same_cells(visit: Visit, tmp_path: Path):
    visit.page.evaluate("explorer.question.set({ dx: 9, dy: 4 })")
    visit.settled("9 px right, 4 px down; rendered anew")
    visit.page.wait_for_timeout(500)
    root = ElementTree.parse(saved(visit, MAP, "Save as SVG", tmp_path)).getroot()
    assert root.tag == f"{SVG}svg"
    caption = root.findtext(f"{SVG}title") or ""
    unit = visit.page.evaluate("explorer.now.answer.rows[1].maps.at(-1).unit.template")
    for said in (
        "lab/mhsa",
        "Attention of ",
        "mean of ",
        unit.split("{")[0],
        "9 px right, 4 px down",
        "Colours from 0 to ",
    ):
        assert said in caption, said
    lines = "".join(one.text or "" for one in root.iter(f"{SVG}text")).replace(" ", "")
    assert caption.replace(" ", "")[:60] in lines, "the caption is text that can be searched"
    (link,) = root.iter(f"{SVG}a")
    assert link.get("href") == visit.page.evaluate("explorer.link.address()")
    assert "dx=9" in str(link.get("href"))
    (image,) = root.iter(f"{SVG}image")
    assert "pixelated" in str(image.get("style"))
    data = base64.b64decode(str(image.get("href")).partition(",")[2])
    same_cells(visit, MAP, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_percentiles_and_one_model_minus_another_are_saved_as_what_they_are(visit: Visit, tmp_path: Path):
    page = visit.page
    page.locator(".looks > summary").click()
    page.get_by_role("button", name="percentile", exact=True).click()
    page.wait_for_timeout(300)
    root = ElementTree.parse(saved(visit, MAP, "Save as SVG", tmp_path)).getroot()
    assert "Colours from percentile 0 to percentile 100." in (root.findtext(f"{SVG}title") or "")
    page.get_by_role("button", name="by value", exact=True).click()
    page.get_by_role("button", name="A minus B", exact=True).click()
    page.get_by_label("The model A").select_option("2")
    page.get_by_label("The model B").select_option("4")
    page.wait_for_timeout(300)
    path = saved(visit, "#stage .minus .panel.attribution .frame > canvas", "Save as SVG", tmp_path)
    assert path.name == "attribution.svg"
    caption = ElementTree.parse(path).getroot().findtext(f"{SVG}title") or ""
    ends = page.locator("#stage .minus .panel.attribution .scale span").all_text_contents()
    assert "Self-attention minus C2f + coordinate attention" in caption
    assert "lab/mhsa" in caption
    assert f"Colours from {ends[0]} to {ends[-1]}." in caption


def test_attributions_and_pictures_are_taken_away_too(visit: Visit, tmp_path: Path):
    visit.page.wait_for_timeout(400)
    attribution = "#stage article:nth-of-type(1) .panel.attribution .frame > canvas"
    sheet = np.asarray(Image.open(saved(visit, attribution, "Save as PNG", tmp_path)).convert("RGB"))
    width = round(visit.page.locator(attribution).bounding_box()["width"])
    same_cells(visit, attribution, sheet[: 2 * width, : 2 * width])
    # A scene is drawn finer than the screen has room for.
    picture = "#scene .large > canvas"
    path = saved(visit, picture, "Save as PNG", tmp_path)
    assert path.name == "picture.png"
    shown = visit.pixels(picture)
    size = shown.shape[0]
    taken = np.asarray(Image.open(path).convert("RGB"))[: 2 * size, : 2 * size].astype(float)
    assert np.abs(taken.reshape(size, 2, size, 2, 3).mean((1, 3)) - shown).mean() < 5


def test_a_copy_is_a_png_and_where_the_clipboard_is_refused_a_file_is_offered(chromium: Any, server: str):
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.rstrip("/"))
    visit = Visit(context.new_page(), server).open()
    menu(visit, MAP).get_by_role("button", name="Copy the picture").click()
    visit.page.wait_for_function("document.querySelector('#stage .status').textContent === 'Copied'")
    size = visit.page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const { width, height } = await createImageBitmap(await item.getType("image/png"));
            return [width, height];
        }"""
    )
    assert size[0] >= 2 * round(visit.page.locator(MAP).bounding_box()["width"])
    visit.page.evaluate("() => { navigator.clipboard.write = () => Promise.reject(new Error('refused')); }")
    opened = menu(visit, MAP)
    with visit.page.expect_download() as download:
        opened.get_by_role("button", name="Copy the picture").click()
    assert download.value.suggested_filename == "lab-mhsa-attention.png"
    notice = visit.page.locator("#masthead .notice")
    notice.wait_for()
    assert "saved as a file" in notice.inner_text()
    context.close()


def test_the_menu_is_named_closes_with_escape_and_takes_no_room(visit: Visit):
    page = visit.page
    before = page.locator("#stage article").nth(0).bounding_box()
    opened = menu(visit, MAP)
    assert opened.get_attribute("aria-label") == "Save or copy: Attention"
    assert page.evaluate("document.activeElement.textContent") == "Save as PNG"
    assert page.locator("#stage article").nth(0).bounding_box() == before
    page.keyboard.press("Escape")
    opened.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.className") == "take", "the focus is where it was"


def test_the_button_of_an_open_menu_stays_in_sight(visit: Visit):
    button = visit.page.locator(f"{MAP} + .take")
    menu(visit, MAP)
    assert button.get_attribute("aria-expanded") == "true"
    visit.page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.take[aria-expanded]')).opacity === '1'"
    )
    visit.page.keyboard.press("Escape")
    visit.page.wait_for_function("() => !document.querySelector('.take[aria-expanded]')")
