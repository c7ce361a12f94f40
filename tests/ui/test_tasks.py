"""What a new user wants, each within the number of actions that it may take: a click, a drag, a text."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hubs import WEIGHTS
from PIL import Image

from explorer.blocks.cost import measured_cost
from explorer.comparison.compare import compare
from explorer.geometry import Point
from explorer.images import read_image, samples
from explorer.lab.cards import shipped_cards
from explorer.lab.factors import shipped_factors
from explorer.models.loading import load
from explorer.probes import probe
from explorer.scenes import PRESETS
from explorer.transforms import Transform
from explorer.ui.page import FIRST_MODELS

from .conftest import _serving
from .visit import Visit

pytestmark = pytest.mark.browser


class Hand:
    """Does what a visitor does and counts it."""

    def __init__(self, page: Any) -> None:
        self.page, self.actions = page, 0

    def click(self, place: Any, **how: Any) -> None:
        self.actions += 1
        place.click(**how)

    def types(self, text: str) -> None:
        self.actions += 1
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def picks(self, place: Any, value: str) -> None:
        self.actions += 1
        place.select_option(value)

    def gives(self, place: Any, file: Path) -> None:
        self.actions += 1
        place.set_input_files(str(file))

    def drags(self, canvas: Any, way: tuple[float, float]) -> None:
        self.actions += 1
        box = canvas.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for step in range(1, 9):
            self.page.mouse.move(x + way[0] * box["width"] * step / 8, y + way[1] * box["height"] * step / 8)
        self.page.mouse.up()


@pytest.fixture
def hand(chromium: Any, server: str, request: pytest.FixtureRequest, record_property: Any) -> Iterator[Hand]:
    """A page as it opens; SCREENSHOTS=DIR keeps what stands on it in the end."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    visit = Visit(context.new_page(), server).open()
    hand = Hand(visit.page)
    started = time.monotonic()
    yield hand
    record_property("actions", hand.actions)
    record_property("seconds", round(time.monotonic() - started, 1))
    if folder := os.environ.get("SCREENSHOTS"):
        visit.page.screenshot(path=str(Path(folder) / f"{request.node.name}.png"))
    context.close()


def _row(hand: Hand, index: int) -> Any:
    return hand.page.locator("#stage article.model").nth(index)


def test_where_the_second_of_two_timm_models_looks_for_the_ear_of_my_animal(hand: Hand):
    models = ("random/resnet18+mhsa@3", "random/vit_tiny_patch16_224")
    hand.gives(hand.page.locator("#picture input[type=file]"), samples()["cat"])
    for index, name in enumerate(models):
        hand.click(_row(hand, index).locator("input.name"))
        hand.types(name)
    hand.page.wait_for_function(
        "(name) => explorer.now.answer.at.picture.startsWith('own:') && explorer.now.answer.rows[1].spec === name",
        arg=models[1],
    )
    hand.page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
    hand.page.wait_for_timeout(300)
    canvas = _row(hand, 1).locator(".panel.seen canvas").first
    box = canvas.bounding_box()
    hand.click(canvas, position={"x": 0.3 * box["width"], "y": 0.1 * box["height"]})
    assert hand.actions <= 6
    hand.page.wait_for_timeout(800)
    pin = hand.page.evaluate("explorer.question.get().pins[0]")
    (view,) = compare([load(models[1])], read_image(samples()["cat"]), query=Point(pin["x"] * 224, pin["y"] * 224)).rows
    said = _row(hand, 1).locator(".panel.attention .reading").text_content()
    looked = hand.page.evaluate("explorer.looked().layers[1]")
    assert float(said.split()[1]) == pytest.approx(float(view.maps[looked].row(view.queries[0]).max()), rel=5e-3)


def test_which_block_keeps_its_answer_when_the_object_goes_to_the_corner(hand: Hand):
    hand.drags(hand.page.locator("#scene .large canvas"), (0.3, 0.3))
    assert hand.actions <= 2
    # What is asked follows the pointer by a frame, which a busy machine draws late.
    hand.page.wait_for_function("() => explorer.question.get().dx > 12 && explorer.question.get().dy > 12")
    hand.page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
    hand.page.wait_for_timeout(200)
    dx, dy = hand.page.evaluate("[explorer.question.get().dx, explorer.question.get().dy]")
    assert dx > 12
    assert dy > 12
    scene, _ = next(iter(PRESETS.values()))
    views = compare([load(text) for text in FIRST_MODELS], scene, Transform(dx=dx, dy=dy)).rows
    for index, view in enumerate(views):
        kept = view.predictions[0].top[0].label == view.predictions[1].top[0].label
        said = _row(hand, index).locator(".verdict").inner_text()
        assert ("keeps its answer" in said) == kept


def test_whether_a_model_for_which_both_cues_agreed_follows_texture_or_shape(hand: Hand):
    hand.click(hand.page.get_by_label("Scene: Shape against texture"))
    hand.picks(hand.page.get_by_label("Set-up of model 1"), "two cues agree")
    assert hand.actions <= 4
    hand.page.wait_for_function(
        "() => explorer.now.answer.truth === 'heart' && explorer.now.answer.rows[0].spec.includes('-cue')"
    )
    hand.page.wait_for_timeout(200)
    scene, _ = PRESETS["conflict"]
    name = hand.page.evaluate("explorer.now.answer.rows[0].spec")
    (view,) = compare([load(name)], scene).rows
    top = view.predictions[0].top[0].label
    follows = {"heart": "follows the shape", "square": "follows the texture"}.get(top, "")
    assert follows in _row(hand, 0).locator(".verdict").inner_text()
    assert follows, "the set-up's first model answers with one of the two cues"


def test_how_much_dearer_full_attention_is_than_axial(hand: Hand):
    hand.click(hand.page.get_by_role("tab", name="Blocks"))
    assert hand.actions <= 2
    row = hand.page.locator("#blocks-text tr", has_text="64 × 64")
    row.wait_for()
    full, axial = (measured_cost(name, (32, 64), 64).points[1].multiply_adds for name in ("mhsa", "axial"))
    times = [float(one) for one in re.findall(r"([\d.]+) ?×(?! 64)", row.inner_text().replace("64 × 64", ""))]
    assert any(one == pytest.approx(full / axial, rel=0.06) for one in times), row.inner_text()


def test_why_answers_are_lost_in_the_corner(hand: Hand):
    """The finding behind it, with its numbers, the scene that shows it and every measurement."""
    hand.page.locator("#cards").scroll_into_view_if_needed()
    card = next(one for one in shipped_cards() if one.name == "Translation")
    shown = hand.page.locator("#cards article", has_text=card.sentence)
    shown.wait_for()
    hand.click(shown.get_by_role("link", name="See it"))
    hand.page.wait_for_function("Math.hypot(explorer.question.get().dx, explorer.question.get().dy) >= 8")
    hand.page.wait_for_function("() => explorer.now.answer && explorer.question.isAnsweredBy(explorer.now.answer)")
    hand.page.locator("#cards").scroll_into_view_if_needed()
    hand.click(shown.get_by_role("link", name="All measurements"))
    hand.page.locator("#tab-lab .js-plotly-plot, .panel-of-lab .js-plotly-plot").first.wait_for()
    assert hand.actions <= 3


def test_whether_answers_are_lost_by_architecture_or_by_training(hand: Hand):
    hand.click(hand.page.get_by_role("tab", name="Laboratory"))
    table = shipped_factors()[0]
    said = hand.page.locator("#lab-factors .sentence", has_text=table.sentence)
    said.wait_for()
    assert hand.actions <= 3
    # Both kinds of training stand beside each other, with a number for every block.
    assert hand.page.locator("#lab-factors table").first.locator("td").count() >= 4


def test_a_map_goes_into_slides(hand: Hand, tmp_path: Path):
    canvas = "#stage article:nth-of-type(2) .panel.attention .frame > canvas"
    hand.page.locator(canvas).hover()
    hand.click(hand.page.locator(f"{canvas} + .take"))
    with hand.page.expect_download() as download:
        hand.click(hand.page.locator(".takeaway:popover-open").get_by_role("button", name="Save as PNG"))
    assert hand.actions <= 2
    download.value.save_as(tmp_path / "map.png")
    shown = hand.page.locator(canvas).bounding_box()
    with Image.open(tmp_path / "map.png") as saved:
        assert saved.width >= 2 * int(shown["width"])


def test_a_step_is_shown_to_the_class_with_a_vote(chromium: Any, tmp_path_factory: pytest.TempPathFactory):
    # The browser is on this machine: what it has for an address would be refused, as phones cannot reach it.
    lines = "import explorer.ui.vote as vote; vote.is_loopback = lambda host: False\n"
    with _serving(tmp_path_factory, "None, vote=True", lines) as address:
        hand = Hand(Visit(chromium.new_page(viewport={"width": 1440, "height": 900}), address).open().page)
        hand.click(hand.page.get_by_role("tab", name="Lecture"))
        hand.page.locator("#lecture .choices button").nth(1).wait_for()
        hand.click(hand.page.get_by_role("button", name="Vote"))
        hand.page.wait_for_function("document.querySelector('#class-vote .address').textContent")
        assert hand.actions <= 3
        phone = chromium.new_page(viewport={"width": 390, "height": 844})
        phone.goto(f"http://{hand.page.locator('#class-vote .address').inner_text()}")
        phone.locator("#choices button").nth(1).click()
        hand.page.get_by_role("status").filter(has_text=re.compile("^1 vote$")).wait_for()
        hand.page.keyboard.press("v")  # the code goes, the vote stays
        hand.page.keyboard.press("Enter")
        hand.page.locator("#lecture .bets").first.wait_for()
        assert hand.page.locator("#lecture .bets").all_inner_texts()[1] == "1 of 1"
        for page in (phone, hand.page):
            page.close()


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="no real weights beside this tree")
def test_whether_a_network_of_photographs_follows_texture(chromium: Any, tmp_path_factory: pytest.TempPathFactory):
    model = f"local-dir:{WEIGHTS / 'mobilenetv2_100'}"
    with _serving(tmp_path_factory, repr([model])) as address:
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(120_000)
        hand = Hand(Visit(page, address).open().page)
        hand.click(page.get_by_role("tab", name="Biases"))
        hand.click(page.locator("#biases").get_by_role("tab", name="Shape", exact=True))
        hand.click(page.locator("#probe-shape [role=radio][data-name=shape-bias]"))
        hand.click(page.locator("#probe-shape").get_by_role("button", name="Measure"))
        page.locator("#state-shape .working span", has_text=re.compile("^Measured$")).wait_for()
        assert hand.actions <= 4
        # On what ships, and what it cannot tell is said.
        assert page.locator("#shown-shape option:checked").inner_text() == "scenes, or the cue conflicts that ship"
        page.locator("#state-shape li", has_text="These cue conflicts ship with the explorer and are few.").wait_for()
        (found,) = [
            row["value"]
            for row in probe("shape-bias", model, device="cpu").rows
            if (row["measure"], row["category"]) == ("shape bias", "all")
        ]
        page.locator("#scores-shape td", has_text=f"{100 * found:.1f}").first.wait_for()
        page.close()


def test_what_i_see_is_sent_to_a_colleague(hand: Hand):
    hand.drags(hand.page.locator("#scene .large canvas"), (0.1, -0.1))
    hand.page.wait_for_function("() => explorer.question.isAnsweredBy(explorer.now.answer)")
    before = hand.actions
    hand.click(hand.page.locator("#share"))
    assert hand.actions - before <= 2
    hand.page.wait_for_timeout(300)
    link = hand.page.evaluate("navigator.clipboard.readText()")
    state = hand.page.evaluate("explorer.state.get()")
    other = hand.page.context.new_page()
    other.goto(link)
    other.wait_for_function(
        "window.explorer && explorer.now && explorer.now.answer && explorer.question.isAnsweredBy(explorer.now.answer)"
    )
    other.wait_for_timeout(300)
    assert other.evaluate("explorer.state.get()") == state
