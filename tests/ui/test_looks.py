"""How maps are looked at: sinks, percentiles, one model minus another, in a real browser."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from explorer.attention.mass import by_area
from explorer.attention.sinks import sinks
from explorer.comparison.compare import compare
from explorer.models.loading import load
from explorer.scenes import PRESETS, render

from .test_stage import SCENE, _asks, _is_hatch
from .visit import Visit

pytestmark = pytest.mark.browser

ATTENTION = "#stage article:nth-of-type(2) .panel.attention canvas"


def shown(visit: Visit, row: int, panel: str = "attention") -> dict[str, Any]:
    """What a panel of a row has painted: values, valid, rows, columns, the ends of its colour bar."""
    return visit.page.evaluate(
        """([row, panel]) => {
            const { values, valid, rows, columns } = explorer.rows[row][panel].shown;
            const ends = [explorer.rows[row][panel].low, explorer.rows[row][panel].high].map((one) => one.textContent);
            return { values: [...values], valid: valid && [...valid], rows, columns, ends };
        }""",
        [row, panel],
    )


def test_sinks_are_named_with_their_share_and_hidden_on_wish(visit: Visit):
    scene, _ = PRESETS["arrangement"]
    view = compare([load("lab/mhsa")], scene, method=None).rows[0]
    one = view.maps[-1]
    found = sinks(one)[4]
    assert len(found.cells) > 1, "this head has sinks of this scene"
    row = one.row(view.queries[0], head=3).flatten()
    _asks(visit, {"scene": asdict(scene)})
    visit.row(1).get_by_label("Head of model 2").fill("4")
    note = visit.row(1).locator(".panel.attention .note")
    said = f"{len(found.cells)} cells take {round(100 * found.share)} % of the weight whatever asks."
    assert (note.text_content() or "").startswith(said)
    visit.page.get_by_text("How maps are drawn").click()
    visit.page.get_by_label("Hide sinks").check()
    visit.page.wait_for_timeout(150)
    told = shown(visit, 1)
    assert [at for at, valid in enumerate(told["valid"]) if not valid] == sorted(found.cells)
    # The scale ends at the largest of what is left, and the cells are hatched.
    left = [value for at, value in enumerate(row.tolist()) if at not in found.cells]
    assert float(told["ends"][1]) == pytest.approx(max(left), rel=6e-3)
    assert max(left) < float(row.max())
    pixels = visit.pixels(ATTENTION)
    side = pixels.shape[0] / 12
    for cell in found.cells:
        top, left_edge = round(cell // 12 * side), round(cell % 12 * side)
        assert _is_hatch(pixels[top + 2 : top + int(side) - 2, left_edge + 2 : left_edge + int(side) - 2])
    visit.page.wait_for_function("location.hash.includes('look=sinkless:true')")
    visit.page.get_by_label("Hide sinks").uncheck()
    visit.page.wait_for_timeout(150)
    assert shown(visit, 1)["valid"] is None
    assert np.allclose(shown(visit, 1)["values"], row, rtol=2e-3, atol=1e-6)


def test_percentiles_colour_by_rank_and_the_pointer_still_reads_the_value(visit: Visit):
    value = shown(visit, 1)
    before = visit.pixels(ATTENTION)
    visit.page.get_by_text("How maps are drawn").click()
    visit.page.get_by_role("button", name="percentile", exact=True).click()
    visit.page.wait_for_timeout(150)
    told = shown(visit, 1)
    assert told["ends"] == ["percentile 0", "percentile 100"]
    assert told["values"] == value["values"], "what is read is the value"
    # Cells in the order of their values stand in the order of the scale's lightness, and fill all of it.
    visit.page.get_by_label("over the picture", exact=True).uncheck()
    visit.page.wait_for_timeout(150)
    pixels = visit.pixels(ATTENTION)
    assert np.abs(pixels - before).max() > 20
    side = pixels.shape[0] / 12
    light = [pixels[int((at // 12 + 0.5) * side), int((at % 12 + 0.5) * side)].mean() for at in range(144)]
    order = np.argsort(told["values"])
    assert (np.diff(np.array(light)[order]) > -2).all()
    assert np.ptp(light) > 120
    assert abs(np.median(light) - (min(light) + max(light)) / 2) < 25, "half of the cells lie in half of the scale"
    canvas = visit.row(1).locator(".panel.attention canvas").first
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] * 3.5 / 12, "y": box["height"] * 5.5 / 12})
    said = visit.row(1).locator(".panel.attention .reading").text_content() or ""
    assert float(said.split(": ")[1]) == pytest.approx(value["values"][5 * 12 + 3], rel=6e-3)
    visit.page.wait_for_function("location.hash.includes('steps:percentile')")


def test_heads_stand_in_a_row_and_are_chosen_by_click_and_key(visit: Visit):
    heads = visit.row(1).locator(".heads button")
    assert heads.count() == 5, "the mean and four heads"
    assert visit.row(0).locator(".heads button").count() == 0, "a convolution has none"
    view = compare([load("lab/mhsa")], SCENE, method=None).rows[0]
    assert heads.nth(0).get_attribute("aria-pressed") == "true"
    heads.nth(3).click()
    visit.page.wait_for_timeout(150)
    one = view.maps[-1]
    assert np.allclose(shown(visit, 1)["values"], one.row(view.queries[0], head=2).flatten(), rtol=2e-3, atol=1e-6)
    assert [heads.nth(at).get_attribute("aria-pressed") for at in range(5)] == ["false"] * 3 + ["true", "false"]
    heads.nth(2).focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_timeout(150)
    assert np.allclose(shown(visit, 1)["values"], one.row(view.queries[0], head=1).flatten(), rtol=2e-3, atol=1e-6)
    assert visit.row(1).get_by_label("Head of model 2").input_value() == "2"
    # The small map is the head's own: it is lightest where the head looks most.
    visit.page.get_by_label("Layer of model 2").fill("0")
    visit.page.wait_for_timeout(600)  # small maps are drawn once nothing comes any more
    small = visit.pixels("#stage article:nth-of-type(2) .heads button:nth-of-type(5) canvas").mean(-1)
    row = view.maps[0].row(view.queries[0], head=3)
    at = int(row.argmax())
    height, width = small.shape
    y, x = int((at // 12 + 0.5) * height / 12), int((at % 12 + 0.5) * width / 12)
    assert small[y, x] == small.max()


def on_object(values: torch.Tensor, mask: torch.Tensor) -> float:
    """The share of a map's positive weight that lies on an object."""
    positive = values.clamp(min=0).double()
    return float((positive * by_area(mask, (values.shape[0], values.shape[1]))).sum() / positive.sum())


def test_one_model_minus_another_is_the_difference_of_their_shares_with_a_verdict(visit: Visit):
    visit.page.get_by_text("How maps are drawn").click()
    panel = visit.page.locator("#stage .minus")
    assert panel.is_hidden()
    visit.page.get_by_role("button", name="A minus B", exact=True).click()
    visit.page.get_by_label("The model A").select_option("2")
    visit.page.get_by_label("The model B").select_option("4")
    visit.page.wait_for_timeout(200)
    assert panel.locator("h2").text_content() == "Self-attention minus C2f + coordinate attention"
    texts = ["lab/mhsa", "lab/ca_c2f"]
    names = ["Self-attention", "C2f + coordinate attention"]
    rows = compare([load(text) for text in texts], SCENE).rows
    mask = render(SCENE, 48).masks[0] > 0
    found = [row.attributions[1].values for row in rows if row.attributions]
    assert len(found) == 2
    # The numbers of the sentence are the library's.
    percents = [round(100 * on_object(one, mask)) for one in found]
    assert percents[0] != percents[1]
    more = int(percents[1] > percents[0])
    said = panel.locator(".attribution .about").text_content() or ""
    assert said.startswith(
        f"{names[more]} rests more on the star: {max(percents)} % of its evidence against {min(percents)} %."
    )
    # Both ends of the one scale are the largest difference of shares, in percentage points.
    assert found[0].shape == found[1].shape
    one, two = (values.clamp(min=0) / values.clamp(min=0).sum() for values in found)
    ends = [float(text) for text in panel.locator(".attribution .scale span:not(.strip)").all_text_contents()]
    assert ends[1] == pytest.approx(float((one - two).abs().max()) * 100, rel=2e-2)
    assert ends[0] == -ends[1]
    alike = spearman(one.flatten(), two.flatten())
    assert float(said.split("two: ")[1].split(" ")[0]) == pytest.approx(alike, abs=0.02)
    # A model without a map says so, and the link keeps the two.
    visit.page.get_by_label("The model A").select_option("1")
    visit.page.wait_for_timeout(200)
    assert panel.locator(".attention .blank").text_content() == "No such map here: Convolution."
    visit.page.wait_for_function("location.hash.includes('show:minus;second:4')")
    visit.page.get_by_role("button", name="each model", exact=True).click()
    visit.page.wait_for_timeout(200)
    assert panel.is_hidden()


def spearman(one: torch.Tensor, two: torch.Tensor) -> float:
    """Rank correlation, equal values having the middle of their ranks."""

    def ranks(values: torch.Tensor) -> torch.Tensor:
        return (values[:, None] > values).double().sum(1) + (values[:, None] == values).double().sum(1) / 2

    return float(torch.corrcoef(torch.stack([ranks(one), ranks(two)]))[0, 1])


def test_small_maps_wait_for_answers_and_never_draw_from_earlier_ones(visit: Visit):
    """They are drawn a moment after an answer; a row of an earlier answer has no numbers by then."""
    visit.page.evaluate(
        """() => {
            window.earlier = explorer.now.answer.rows[1];
            explorer.question.set({ dx: 6 });
        }"""
    )
    visit.page.wait_for_function("explorer.now.answer.at.dx === 6")
    last = len(visit.page.evaluate("earlier.maps")) - 1
    for side in ("before", "after"):
        assert visit.page.evaluate(f"explorer.maps.rowsOf(earlier, {last}, '{side}', 0) === undefined")
        assert visit.page.evaluate(
            f"explorer.maps.rowsOf(explorer.now.answer.rows[1], {last}, '{side}', 0) !== undefined"
        )


def test_a_drag_changes_no_class_of_what_holds_much(visit: Visit):
    """A style of gradio's asks for parts of class names: with one, the styles of all that is within are found anew."""
    stage = visit.page.locator("#scene .large canvas").bounding_box()
    at = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    visit.page.mouse.move(*at)
    visit.page.mouse.down()
    visit.page.mouse.move(at[0] + 20, at[1])
    visit.page.evaluate(
        """() => {
            window.large = [];
            window.drawn = 0;
            new MutationObserver((changes) => {
                for (const { target, oldValue } of changes) {
                    const within = target.querySelectorAll("*").length, changed = oldValue !== target.className;
                    if (within > 60 && changed) large.push(`${target.className}: ${within}`);
                }
            }).observe(document.querySelector("#workbench"),
                { subtree: true, attributeFilter: ["class"], attributeOldValue: true });
            new MutationObserver(() => { drawn += 1; })
                .observe(document.querySelector("#stage .part"), { attributeFilter: ["data-painted"] });
        }"""
    )
    for step in range(12):
        visit.page.mouse.move(at[0] + 20 + 5 * step, at[1] - 3 * step)
        visit.page.wait_for_timeout(60)
    visit.page.wait_for_function("drawn >= 1")
    visit.page.mouse.up()
    # What changes on the way is marked all the same.
    visit.page.wait_for_function("document.querySelector('#stage article[data-lost]')")
    visit.page.wait_for_function("!document.querySelector('#stage article[data-stale]')")
    assert visit.page.evaluate("large") == []
