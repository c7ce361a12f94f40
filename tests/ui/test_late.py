"""Replies that come late, in any order: what is shown is the answer to what is asked now, or is dimmed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from explorer.lessons import as_json, shipped
from explorer.ui.answers import Answers
from explorer.ui.handlers import Handlers

from .unpack import Unpacked

pytestmark = pytest.mark.browser

#: Every reply reaches the page after a time of its own, up to so long.
LATEST_MS = 250
#: Nothing is under way and nothing is dimmed.
_SETTLED = """() => !window.dragging && !("stale" in document.documentElement.dataset)
    && !document.querySelector("#stage article[data-stale]")"""

_SHOWN = """() => {
    const { answer } = explorer.now;
    const { question } = explorer.state.get();
    return {
        models: explorer.chosen.models(), question, stale: "stale" in document.documentElement.dataset,
        answered: answer.models, at: answer.at,
        tops: [...document.querySelectorAll("#stage article.model")].map((row) =>
            [...row.querySelectorAll(".top li")]
                .map(({ children: [label, share] }) => [label.textContent, share.textContent])),
        dimmed: document.querySelectorAll("#stage article[data-stale]").length,
    };
}"""


class Hurried:
    """A page whose replies are late, and what its answers have to be."""

    def __init__(self, page: Any, address: str, seed: int) -> None:
        self.page, self.seed = page, seed
        self.random, self.delays = random.Random(seed), random.Random(seed + 1)
        self.handlers = Handlers(Answers(folders=False, device="cpu"))
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(30_000)
        self.under = self.sent = self.overtaken = self.latest = 0
        page.route("**/gradio_api/component_server**", self._late)
        page.goto(address)
        page.wait_for_function("() => window.explorer && document.querySelector('#stage .top li')")
        self.steps = [
            state
            for lesson in map(as_json, (one for one in shipped() if not one.needs))
            for step in lesson["steps"]
            for state in (step["before"], step["after"])
            if state
        ]

    def _late(self, route: Any) -> None:
        """Hold a reply back: replies of different kinds overtake each other."""
        self.sent += 1
        number, self.under = self.sent, self.under + 1
        # Not a sleep: others are asked and answered meanwhile.
        response = route.fetch()
        self.page.wait_for_timeout(self.delays.random() * LATEST_MS)
        self.overtaken += number < self.latest
        self.latest, self.under = max(self.latest, number), self.under - 1
        route.fulfill(response=response)

    def expected(self, models: list[str], question: dict[str, Any]) -> list[list[list[str]]]:
        """What has to stand in every row: label and percentage of each of the first five classes."""
        rows = Unpacked(self.handlers.answer(models, question)).data["rows"]
        return [[[one["label"], _percent(one["p"])] for one in row["predictions"][-1]["top"]] for row in rows]

    def step(self) -> None:
        """Ask for something else, in one of the ways that there are."""
        kind = self.random.choice(["lesson", "move", "drag", "models", "method", "pin", "scene", "tab"])
        page = self.page
        if kind == "lesson":
            state = self.random.choice(self.steps)
            page.evaluate(
                "({ models, question }) => { explorer.state.apply({ models }); explorer.state.apply({ question }); }",
                state,
            )
        elif kind == "move":
            page.evaluate("(dx) => explorer.question.set({ dx })", self.random.randint(-12, 12))
        elif kind == "drag":
            ways = [self.random.randint(-12, 12) for _ in range(4)]
            page.evaluate(
                """(ways) => ways.forEach((dy, at) => {
                    window.dragging = (window.dragging || 0) + 1;
                    setTimeout(() => { window.dragging -= 1; explorer.question.set({ dy }); }, 15 * at);
                })""",
                ways,
            )
        elif kind == "models":
            names = self.random.sample(["lab/conv", "lab/mhsa", "lab/c2f", "lab/axial", "lab/none"], 2)
            page.evaluate("(names) => explorer.state.apply({ models: names })", names)
        elif kind == "method":
            page.evaluate("(method) => explorer.question.set({ method })", self.random.choice(["gradcam", "saliency"]))
        elif kind == "pin":
            place = {"x": self.random.random() * 0.99, "y": self.random.random() * 0.99}
            page.evaluate("(place) => explorer.question.set({ pins: [place] })", place)
        elif kind == "scene":
            page.evaluate(
                """(tilt) => {
                    const { scene } = explorer.question.get();
                    if (scene) explorer.question.set({ scene: { ...scene, tilt } });
                }""",
                self.random.randint(-30, 30),
            )
        else:
            page.evaluate("(name) => explorer.openTab(name)", self.random.choice(["lecture", "compare", "blocks"]))

    def check(self) -> None:
        """Wait until the page says that it shows the answer, and see whether it does."""
        # In one look: a moment later a page may have been asked something else.
        shown = self.page.wait_for_function(f"() => ({_SETTLED})() && ({_SHOWN})()").json_value()
        assert not shown["stale"]
        assert shown["dimmed"] == 0
        assert shown["answered"] == shown["models"]
        assert shown["tops"] == self.expected(shown["models"], shown["question"]), shown


def _percent(p: float) -> str:
    return "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce", locale="en-GB")
    made = context.new_page()
    yield made
    # Replies that are still held back have nobody to reach.
    made.unroute_all(behavior="ignoreErrors")
    context.close()


def _many(hurried: Hurried, transitions: int) -> None:
    made = 0
    while made < transitions:
        burst = min(hurried.random.randint(1, 10), transitions - made)
        for _ in range(burst):
            hurried.step()
            hurried.page.wait_for_timeout(hurried.random.choice([0, 0, 30, 120]))
        made += burst
        hurried.check()
    assert hurried.complaints == []
    assert hurried.sent > transitions / 2


def test_no_late_answer_is_shown_as_the_present_one(page: Any, server: str) -> None:
    _many(Hurried(page, server, 1), 60)


@pytest.mark.long
def test_no_late_answer_is_shown_in_two_hundred_transitions(page: Any, server: str) -> None:
    _many(Hurried(page, server, 2), 200)


def test_a_step_of_a_lesson_is_one_request(page: Any, server: str) -> None:
    page.goto(f"{server}#tab=lecture&lecture=lesson:scale;step:2")
    page.wait_for_function(
        "() => document.documentElement.dataset.lecture && !('stale' in document.documentElement.dataset)"
    )
    page.wait_for_timeout(1500)
    asked: list[Any] = []
    page.on("request", lambda one: asked.append(one.post_data_json) if "component_server" in one.url else None)
    for _ in range(3):  # the reveal, the next step with other models, its reveal
        before = len(asked)
        page.keyboard.press("PageDown")
        page.wait_for_function("() => !('stale' in document.documentElement.dataset)")
        page.wait_for_timeout(400)
        assert len([one for one in asked[before:] if one["fn_name"] == "answer"]) == 1


def test_an_answer_about_a_lost_picture_changes_nothing_newer(page: Any, server: str) -> None:
    page.goto(server)
    page.wait_for_function("() => window.explorer && document.querySelector('#stage .top li')")
    shown = "[explorer.question.get().picture, JSON.stringify(explorer.question.get().scene)]"
    page.evaluate("explorer.question.set({ scene: null, picture: 'own:' + '0'.repeat(24) })")
    page.evaluate("explorer.question.set({ scene: null, picture: 'dahlia' })")
    page.wait_for_timeout(1500)
    assert page.evaluate(shown)[0] == "dahlia"
    page.evaluate("explorer.question.set({ picture: 'own:' + '0'.repeat(24) })")
    page.wait_for_function("() => !explorer.question.get().picture.startsWith('own:')")
    page.wait_for_function("() => !('stale' in document.documentElement.dataset)")
