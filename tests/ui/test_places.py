"""Invariance under the hand: the grid is what the library answers at each place, and keeps no drag waiting."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from typing import Any

import gradio as gr
import pytest

from explorer.comparison.compare import compare, predict
from explorer.models.loading import load
from explorer.scenes import PRESETS, motion
from explorer.transforms import Transform
from explorer.ui import places
from explorer.ui.answers import Answers
from explorer.ui.handlers import Handlers
from explorer.ui.worker import ANSWERS, PLACES, Worker

from .asking import run_alone
from .visit import Visit

SCENE, _ = next(iter(PRESETS.values()))
MODELS = ["lab/conv", "lab/mhsa"]
QUESTION: dict[str, Any] = {"scene": dataclasses.asdict(SCENE), "zoom": 0.75, "dx": 5}


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(Answers(folders=False))


@pytest.mark.parametrize("number", [0, 11])
def test_a_row_is_what_predict_and_compare_answer_at_the_same_places(handlers: Handlers, number: int):
    found = json.loads(places.row(handlers, MODELS, QUESTION, number))
    assert len(found["dx"]) == places.SIDE
    assert (found["dx"][0], found["dx"][-1]) == (-24, 24), "half of the frame's 48 px to each side"
    assert found["dy"] == -24 + 3 * number
    for text, told in zip(MODELS, found["models"]):
        model = load(text)
        for at in (0, 7, 16):
            move = Transform(dx=found["dx"][at], dy=found["dy"], zoom=0.75)
            single = predict(model, motion.moved(SCENE, move, (48, 48)), top=len(model.labels))
            p = {one.label: one.probability for one in single.top}[SCENE.label]
            assert told["p"][at] == pytest.approx(p, abs=1e-4)
            assert told["right"][at] == (single.answer == SCENE.label)
        (view,) = compare([model], SCENE, Transform(dx=found["dx"][7], dy=found["dy"], zoom=0.75)).rows
        same = {one.label: one.probability for one in view.predictions[1].top}
        if SCENE.label in same:
            assert told["p"][7] == pytest.approx(same[SCENE.label], abs=1e-4)


def test_a_model_that_does_not_know_the_class_has_none_and_a_photograph_is_refused(handlers: Handlers):
    found = json.loads(places.row(handlers, ["random/test_vit", "lab/conv"], QUESTION, 8))
    assert found["models"][0] is None
    assert found["models"][1] is not None
    with pytest.raises(gr.Error, match="photograph"):
        places.row(handlers, MODELS, {"picture": "cat"}, 8)
    for wrong in (-1, 17, "0", True, None):
        with pytest.raises(gr.Error, match="a row is a number"):
            places.row(handlers, MODELS, QUESTION, wrong)


def test_however_many_rows_are_asked_for_an_answer_does_not_wait_for_their_lane():
    worker, gate = Worker(), threading.Event()

    async def ask() -> None:
        rows = [asyncio.ensure_future(worker.once(PLACES, lambda: True, "page", gate.wait)) for _ in range(8)]
        await asyncio.sleep(0.2)
        answer = await asyncio.wait_for(worker.once(ANSWERS, lambda: True, "page", lambda: "answer"), 5)
        assert answer == "answer"
        assert not any(row.done() for row in rows)
        gate.set()
        await asyncio.gather(*rows)

    run_alone(ask())


@pytest.mark.browser
def test_the_grid_fills_while_nothing_moves_leads_anywhere_and_never_asks_during_a_drag(visit: Visit):
    page = visit.page
    rows: list[str] = []
    page.on(
        "request", lambda request: rows.append(request.url) if '"fn_name":"row"' in (request.post_data or "") else None
    )
    page.wait_for_timeout(1000)
    assert rows == [], "nothing is computed while the fold is closed"
    fold = page.locator("#places summary")
    fold.wait_for()
    fold.click()
    canvas = page.locator("#places canvas").first
    page.wait_for_function("document.querySelectorAll('#places canvas').length === 4")
    page.wait_for_function(
        "[...document.querySelectorAll('#places figure p')].every((one) => one.textContent.startsWith('right in'))"
    )
    assert len(rows) == places.SIDE
    assert "Convolution: right in" in (canvas.get_attribute("aria-label") or "")
    # The middle is where the object stands; a step of the keys is one of the grid.
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("explorer.question.get().dx === 3")
    box = canvas.bounding_box()
    canvas.click(position={"x": 1, "y": box["height"] - 2})
    page.wait_for_function("explorer.question.get().dx === -24 && explorer.question.get().dy === 24")
    assert len(rows) == places.SIDE, "the grid is of every place, and is not computed anew for another"
    # Another size is another grid; while the hand moves nothing of it is asked for.
    page.evaluate("explorer.question.set({ zoom: 0.8 })")
    page.locator("#scene .large canvas").scroll_into_view_if_needed()
    large = page.locator("#scene .large canvas").bounding_box()
    page.mouse.move(large["x"] + large["width"] / 2, large["y"] + large["height"] / 2)
    page.mouse.down()
    before = len(rows)
    for part in range(30):
        page.mouse.move(large["x"] + large["width"] / 2 + part, large["y"] + large["height"] / 2)
        page.wait_for_timeout(40)
    assert len(rows) <= before + 1, "one may have been under way"
    assert page.evaluate("explorer.question.get().dx") > -24
    page.mouse.up()
    page.wait_for_function(
        "[...document.querySelectorAll('#places figure p')].every((one) => one.textContent.startsWith('right in'))"
    )
    assert visit.complaints == []
