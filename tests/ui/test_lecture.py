"""The lecture in a real browser: keys through a lesson, the reveal, one screen, and what is taken along to Compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pypdf import PdfReader

from explorer.cli.main import main
from explorer.detection import decode
from explorer.errors import ModelError, ParameterError
from explorer.lab.boxes import boxes_of, precision, scenes, specs
from explorer.lab.findings import in_percent
from explorer.lab.networks import SIZE
from explorer.lessons import SHIPPED, as_json, course, read, shipped
from explorer.models.loading import load
from explorer.resources import asset
from explorer.ui.answers import Answers
from explorer.ui.tabs.lecture import _compared, _wanted

from .conftest import _serving

pytestmark = pytest.mark.browser

SLOW = 60_000
#: Those whose models ship.
OFFLINE = [one for one in shipped() if not one.needs]
WIDE, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
OWN = """\
title: My own
steps:
  - title: A drop
    models: [lab/conv, lab/c2f]
    scene: {label: drop, texture: speckle, background: blue gradient, seed: 1}
    panels: [answers]
    cover: [answers]
    question: What do they say?
    explanation: They say drop.
"""


class Lecture:
    """The page on its second tab."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        page.set_default_timeout(SLOW)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, lesson: str = SHIPPED[0], step: int = 1) -> Lecture:
        self.page.goto(f"{self.address}#tab=lecture&lecture=lesson:{lesson};step:{step}")
        self.settled()
        return self

    def settled(self) -> None:
        """Wait until the answers are those to the step that is shown."""
        self.page.wait_for_function(
            """() => window.explorer
                && document.querySelector("#lecture .question:not(:empty), #lecture .summary table")
                && explorer.state.get().lecture
                && document.documentElement.dataset.lecture && !("stale" in document.documentElement.dataset)"""
        )

    def at(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("explorer.state.get().lecture")
        return found

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.settled()

    def answers(self) -> list[str]:
        """The first answer of every model, as it stands on the page."""
        found: list[str] = self.page.locator("#stage article.model .top li:first-child .label").all_inner_texts()
        return found

    def question(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("explorer.state.get().question")
        return found


def visit(chromium: Any, address: str, size: dict[str, int], motion: str = "reduce") -> Iterator[Lecture]:
    context = chromium.new_context(viewport=size, reduced_motion=motion, locale="en-GB")
    lecture = Lecture(context.new_page(), address)
    yield lecture
    context.close()
    assert lecture.complaints == []


@pytest.fixture
def lecture(chromium: Any, server: str) -> Iterator[Lecture]:
    yield from visit(chromium, server, WIDE)


def test_every_step_of_every_lesson_fits_on_one_screen(lecture: Lecture) -> None:
    lecture.open()
    page = lecture.page
    for lesson in map(as_json, OFFLINE):
        for number, step in enumerate(lesson["steps"], 1):
            assert lecture.at() == {"lesson": lesson["name"], "step": number, "revealed": False}
            for key in (None, "Enter"):
                if key:
                    lecture.press(key)
                if step["cost"]:
                    page.locator("#lecture polyline" if key else "#lecture svg .name").first.wait_for()
                if step["boxes"]:
                    page.locator("#lecture .boxes .box" if key else "#lecture .boxes .true").first.wait_for()
                where = f"{lesson['name']} {number} {key}"
                shown = step["after" if key else "before"]
                assert page.evaluate("explorer.chosen.models()") == (
                    shown["models"] if shown else page.evaluate("explorer.chosen.models()")
                )
                assert page.evaluate("document.documentElement.scrollHeight") <= 720, where
                lowest = page.evaluate(
                    """() => Math.max(...[...document.querySelectorAll(
                        "#lecture :is(.sources, svg, .seen), #scene canvas, #stage article.model, .frame canvas")]
                        .filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect().bottom))"""
                )
                assert 600 < lowest <= 720, where
                # Readable from the last row.
                for name in (".question", ".explanation"):
                    size = page.evaluate(f"getComputedStyle(document.querySelector('#lecture {name}')).fontSize")
                    assert float(size.removesuffix("px")) >= 20
                for name in (".answer", ".formula .katex"):
                    assert page.locator(f"#lecture {name}").is_visible() == bool(key), where
                page.wait_for_function(
                    """() => ![...document.querySelectorAll("#stage .frame canvas")].some(
                        (one) => one.checkVisibility() && one.clientWidth < 90)"""
                )
            lecture.press("PageDown")
        # The summary of the lesson stands between it and the next.
        assert lecture.at() == {"lesson": lesson["name"], "step": len(lesson["steps"]) + 1, "revealed": True}
        assert page.locator("#lecture .summary tbody tr").count() == len(lesson["steps"])
        assert page.evaluate("document.documentElement.scrollHeight") <= 720
        if lesson["name"] != OFFLINE[-1].name:
            lecture.press("PageDown")


def test_the_page_takes_whatever_a_lesson_shows(lecture: Lecture) -> None:
    page = lecture.open().page
    for lesson in map(as_json, shipped()):
        for number, step in enumerate(lesson["steps"], 1):
            for shown in filter(None, (step["before"], step["after"])):
                # Models that are fetched first are left out: only what is asked of them is applied.
                assert page.evaluate("(asked) => explorer.state.apply({ question: asked })", shown["question"]) == [], (
                    f"{lesson['name']} {number}"
                )
    assert page.evaluate("explorer.state.apply({ question: { picture: 'none such' } }).length") == 1


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_what_stands_at_a_box_hides_nothing_that_stands_at_another(
    chromium: Any, server: str, size: dict[str, int]
) -> None:
    for lecture in visit(chromium, server, size):
        page = lecture.open("finding-objects").page
        page.locator("#lecture .boxes .true").first.wait_for()
        page.keyboard.press("Enter")
        page.locator("#lecture .boxes .label").first.wait_for()
        page.wait_for_function(
            """() => [...document.querySelectorAll("#lecture .seen")].every((seen) => {
                const frame = seen.getBoundingClientRect();
                const labels = [...seen.querySelectorAll(".label")].map((one) => one.getBoundingClientRect());
                return labels.length > 1 && labels.every((one, at) => one.left > frame.left - 1
                    && one.right < frame.right + 1 && one.top > frame.top - 1 && one.bottom < frame.bottom + 1
                    && labels.every((other, where) => where <= at || one.right < other.left + 1
                        || one.left > other.right - 1 || one.bottom < other.top + 1 || one.top > other.bottom - 1));
            })"""
        )


def test_keys_lead_through_a_lesson(lecture: Lecture) -> None:
    page = lecture.open("equivariance-invariance-aliasing", 2).page
    assert lecture.answers() == ["drop"] * 4
    assert page.locator("#lecture .wait").is_visible()
    page.keyboard.press("2")
    assert page.locator("#lecture .choices button").nth(1).get_attribute("aria-pressed") == "true"
    lecture.press("r")
    page.wait_for_function("explorer.state.get().question.dx === 8")
    assert lecture.answers()[:2] == ["drop", "drop"]
    assert "drop" not in lecture.answers()[2:]
    assert page.locator("#lecture .choices .right").inner_text().endswith("The two with convolutions")
    page.keyboard.press("1")  # too late for a bet
    assert page.locator("#lecture .choices button").nth(0).get_attribute("aria-pressed") == "false"
    # As a clicker does: forward reveals and then goes on, back takes the reveal back and then goes back.
    for key, back in (("ArrowRight", "ArrowLeft"), ("PageDown", "PageUp"), (" ", "PageUp")):
        lecture.press(key)
        assert (lecture.at()["step"], lecture.at()["revealed"]) == (3, False)
        lecture.press(key)
        assert (lecture.at()["step"], lecture.at()["revealed"]) == (3, True)
        lecture.press(back)
        assert (lecture.at()["step"], lecture.at()["revealed"]) == (3, False)
        assert not page.locator("#lecture .explanation").is_visible()
        assert lecture.question()["dx"] == 0
        lecture.press(back)
        assert lecture.at() == {"lesson": "equivariance-invariance-aliasing", "step": 2, "revealed": False}
        assert lecture.question()["dx"] == 0
        lecture.press(key)
        assert (lecture.at()["step"], lecture.at()["revealed"]) == (2, True)
    lecture.press("PageUp")
    assert lecture.at() == {"lesson": "equivariance-invariance-aliasing", "step": 2, "revealed": False}
    assert page.locator("#lecture .progress").inner_text() == "Step 2 of 5"
    # The arrows belong to the picture while it has the focus.
    page.locator("#scene .large canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("1")
    assert lecture.at()["step"] == 2
    assert lecture.question()["dx"] == 1
    page.keyboard.press("Escape")
    lecture.press("ArrowRight")
    lecture.press("ArrowRight")
    assert lecture.at()["step"] == 3
    dark = "document.body.classList.contains('dark')"
    before = page.evaluate(dark)
    page.keyboard.press("d")
    assert page.evaluate(dark) != before
    page.locator("#lecture select").select_option(label="Scale")
    lecture.settled()
    assert lecture.at() == {"lesson": "scale", "step": 1, "revealed": False}


def test_what_would_give_it_away_is_covered_until_the_reveal(lecture: Lecture) -> None:
    page = lecture.open("gates-and-attention", 3).page
    canvas = page.locator("#stage article.model").first.locator(".attribution canvas")
    assert not canvas.is_visible()
    assert page.locator("#stage article.model").first.locator(".attention canvas").is_visible()
    page.get_by_role("button", name="Reveal").click()
    assert canvas.is_visible()


#: Everything that can be seen, read aloud or hovered over.
_READABLE = """() => {
    const seen = [...document.querySelectorAll("body *")]
        .filter((one) => one.checkVisibility({ visibilityProperty: true }));
    const said = seen.flatMap((one) => ["aria-label", "title", "alt", "placeholder", "aria-valuetext"]
        .map((name) => one.getAttribute(name)));
    return [document.title, document.body.innerText, ...said.filter(Boolean)].join("\\n");
}"""
_TELLING = ("keeps its answer", "changes its answer", "follows the ", "What the scene shows", "before the move")


def test_nothing_readable_tells_the_answer_before_the_reveal(lecture: Lecture) -> None:
    page = lecture.open().page
    for lesson in map(as_json, OFFLINE):
        for number, step in enumerate(lesson["steps"], 1):
            where = f"{lesson['name']} {number}"
            assert lecture.at() == {"lesson": lesson["name"], "step": number, "revealed": False}
            if step["cost"]:
                page.locator("#lecture svg .name").first.wait_for()
            if step["boxes"]:
                page.locator("#lecture .boxes .true").first.wait_for()
            readable = page.evaluate(_READABLE)
            told = [step["explanation"], step["title"], *step["sources"], *_TELLING]
            question = step["question"] + lesson["title"] + "".join(one for one in step["choices"])
            assert [one for one in told if one in readable and one not in question] == [], where
            assert step["question"] in readable  # so that what is looked for would be found
            tree = page.locator("body").aria_snapshot()
            assert [
                one for one in (step["explanation"], step["title"], *_TELLING) if one in tree and one not in question
            ] == [], where
            assert (
                page.locator("#lecture .right, #stage .right, #stage [data-kept], #stage [data-lost]").count() == 0
            ), where
            assert page.locator("#lecture polyline, #lecture .box").count() == 0, where
            for name in step["cover"]:
                assert (
                    page.locator(f"#stage .panel.{name} canvas:visible, #stage .panel.{name} .top:visible").count() == 0
                )
            page.keyboard.press("t")  # Compare would show what is covered
            assert page.evaluate("explorer.tab()") == "lecture", where
            assert "revealed:true" not in page.evaluate("explorer.link.address()"), where
            lecture.press("PageDown")
            readable = page.evaluate(_READABLE)
            assert step["explanation"] in readable, where
            assert step["title"] in readable, where
            if step["right"]:
                assert page.locator("#lecture .choices .right").count() == 1, where
            if number == 1:
                lecture.press("PageUp")
                readable = page.evaluate(_READABLE)
                assert [one for one in told if one in readable and one not in question] == [], f"{where} taken back"
                lecture.press("PageDown")
            lecture.press("PageDown")
        if lesson["name"] != OFFLINE[-1].name:
            lecture.press("PageDown")  # past the summary


def test_the_object_slides_before_everybodys_eyes(chromium: Any, server: str) -> None:
    for lecture in visit(chromium, server, WIDE, "no-preference"):
        page = lecture.open("equivariance-invariance-aliasing", 1).page
        page.evaluate(
            "() => { window.ways = []; explorer.hear('asked', ({ dx }) => window.ways.push(dx)); }",
        )
        page.keyboard.press("Enter")
        page.wait_for_function("explorer.state.get().question.dx === 8")
        ways = page.evaluate("window.ways")
        assert len(ways) > 3
        assert ways == sorted(ways)
        assert any(0 < dx < 8 for dx in ways)


def test_the_summary_is_made_of_bets_and_answers(lecture: Lecture) -> None:
    page = lecture.open("background", 1).page
    for bet in ("2", "1", "2"):
        page.keyboard.press(bet)
        lecture.press("Enter")
        lecture.press("ArrowRight")
    steps = as_json(read(asset("lessons", "background.yaml")))["steps"]
    rows = page.locator("#lecture .summary tbody tr")
    assert rows.locator("th").all_inner_texts() == [step["title"] for step in steps]
    predicted = [step["choices"][bet - 1] + mark for step, bet, mark in zip(steps, (2, 1, 2), (" ✓", " ✗", " ✓"))]
    assert rows.locator("td:nth-child(2)").all_inner_texts() == predicted
    right = [step["choices"][step["right"] - 1] for step in steps]
    assert rows.locator("td:nth-child(3)").all_inner_texts() == right
    seen = rows.locator("td:nth-child(4)").all_inner_texts()
    assert "crescent → star" in seen[0]
    assert "star → crescent" in seen[2]
    assert not page.locator("#workbench").is_visible()
    # A reload has seen nothing: nothing is made up. The address follows the page by a moment.
    page.wait_for_function("location.hash.includes('step:4')")
    page.reload()
    rows.first.wait_for()
    assert rows.locator("td:nth-child(2)").all_inner_texts() == ["–"] * 3
    assert rows.locator("td:nth-child(4)").all_inner_texts() == [""] * 3


def test_a_course_leads_through_its_lessons_and_no_others(lecture: Lecture) -> None:
    page = lecture.open().page
    page.locator("#lecture select").select_option("course")
    lecture.settled()
    names = [one.name for one in course(shipped())]
    assert lecture.at() == {"lesson": names[0], "step": 1, "revealed": False, "course": True}
    for name in names:
        count = len(read(asset("lessons", f"{name}.yaml")).steps)
        assert (lecture.at()["lesson"], lecture.at()["step"]) == (name, 1)
        for _ in range(2 * count):
            lecture.press("PageDown")
        assert lecture.at()["step"] == count + 1
        assert page.get_by_role("button", name="Next").is_disabled() == (name == names[-1])
        lecture.press("PageDown")
    assert lecture.at()["lesson"] == names[-1]


def test_the_presenter_window_follows_and_leads(lecture: Lecture) -> None:
    page = lecture.open("scale", 1).page
    with page.context.expect_page() as opened:
        page.keyboard.press("p")
    window = opened.value
    window.on("pageerror", lambda error: lecture.complaints.append(str(error)))
    steps = as_json(read(asset("lessons", "scale.yaml")))["steps"]
    window.get_by_role("heading", name=steps[0]["title"]).wait_for()
    assert steps[0]["explanation"] in window.inner_text("main")
    assert steps[1]["question"] in window.inner_text(".next")
    assert "of 8:00 passed; this step should end at 2:00" in window.inner_text("header")
    lecture.press("ArrowRight")
    window.get_by_text("· revealed").wait_for()
    window.get_by_role("button", name="Next").click()
    page.wait_for_function("explorer.state.get().lecture.step === 2")
    lecture.settled()
    window.get_by_role("heading", name=steps[1]["title"]).wait_for()
    window.keyboard.press("PageUp")
    page.wait_for_function("explorer.state.get().lecture.step === 1")
    page.goto("about:blank")
    window.get_by_text("The lecture is not open.").wait_for()


def test_a_blocked_window_has_a_way_on(lecture: Lecture) -> None:
    page = lecture.open("scale", 1).page
    page.evaluate("() => { window.open = () => null; }")
    page.get_by_role("button", name="Presenter").click()
    link = page.get_by_role("link", name="Open the presenter window")
    with page.context.expect_page() as opened:
        link.click()
    opened.value.get_by_text("this step should end at 2:00").wait_for()
    assert not link.is_visible()


def test_trying_it_takes_the_step_along_and_the_way_back_returns(lecture: Lecture) -> None:
    page = lecture.page
    page.goto(lecture.address)
    page.wait_for_function("window.explorer && explorer.chosen && explorer.question && explorer.looked")
    own = page.evaluate("[explorer.chosen.models(), explorer.state.get().question]")
    page.get_by_role("tab", name="Lecture").click()
    lecture.settled()
    page.locator("#lecture select").select_option(label="Scale")
    lecture.settled()
    lecture.press("Enter")
    page.keyboard.press("t")
    page.wait_for_function("explorer.tab() === 'compare'")
    assert page.evaluate("explorer.chosen.models()") == ["lab/conv", "lab/mhsa", "lab/c2f", "lab/ca_c2f"]
    assert lecture.question()["zoom"] == 0.9
    assert page.locator("#controls").is_visible()
    page.get_by_role("button", name="Back to the lecture").click()
    lecture.settled()
    assert lecture.at() == {"lesson": "scale", "step": 1, "revealed": True}
    # Who leaves by the tabs finds what was there before.
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_function("explorer.tab() === 'compare'")
    assert page.evaluate("[explorer.chosen.models(), explorer.state.get().question]") == own
    assert page.evaluate("explorer.state.get().lecture") is None
    assert not page.get_by_role("button", name="Back to the lecture").is_visible()


def test_a_link_to_a_step_that_is_not_there_says_so(lecture: Lecture) -> None:
    page = lecture.page
    page.goto(f"{lecture.address}#tab=lecture&lecture=lesson:scale;step:9")
    lecture.settled()
    page.locator("#lecture .problem", has_text="This lesson has steps 1 to 4").wait_for()
    # What is said of the lesson stands beside that lesson.
    assert lecture.at() == {"lesson": "scale", "step": 1, "revealed": False}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_handout_is_the_lesson_on_paper(lecture: Lecture, language: str, tmp_path: Path) -> None:
    page = lecture.page
    page.goto(f"{lecture.address}#lang={language}&tab=lecture&lecture=lesson:background;step:1")
    lecture.settled()
    steps = as_json(read(asset("lessons", "background.yaml")), language)["steps"]
    button, choices = page.locator("#lecture [aria-haspopup=true]"), page.locator("#lecture .takeaway button")

    def downloaded(place: int) -> tuple[str, str]:
        assert not choices.first.is_visible()
        button.click()
        with page.expect_download() as download:
            choices.nth(place).click()
        path = tmp_path / "handout.pdf"
        download.value.save_as(path)
        assert path.read_bytes().startswith(b"%PDF-")
        page.wait_for_function("!document.querySelector('#lecture [aria-haspopup=true]').disabled")
        return download.value.suggested_filename, "".join("".join(p.extract_text() for p in PdfReader(path).pages))

    def squeezed(text: str) -> str:
        return "".join(text.split())

    name, asked = downloaded(0)
    assert name == "background.pdf"
    name, answered = downloaded(1)
    assert name == "background-answers.pdf"
    for step in steps:
        assert squeezed(step["question"]) in squeezed(asked)
        assert squeezed(step["question"]) in squeezed(answered)
        assert squeezed(step["explanation"]) not in squeezed(asked)
        assert squeezed(step["explanation"]) in squeezed(answered)
    # The same once more is the same file, and is saved all the same.
    assert downloaded(1) == (name, answered)


def test_what_no_handout_can_be_made_of_is_said() -> None:
    lessons = shipped()
    assert _wanted(lessons, 1, True) == (lessons[1], True)
    for number, answers in ((len(lessons), True), (-1, True), (True, True), ("1", False), (0, 1), (None, None)):
        with pytest.raises(ParameterError, match=f"the number of a lesson, 0 to {len(lessons) - 1}"):
            _wanted(lessons, number, answers)
    shown = lessons[0].steps[0].before
    assert shown is not None
    with pytest.raises(ModelError, match=r"lab/nothing: unknown laboratory model"):
        _compared(Answers(folders=False), shown.changed(models=("lab/conv", "lab/nothing")))


def test_boxes_wait_for_the_reveal_and_are_those_of_the_models(lecture: Lecture) -> None:
    page = lecture.open("finding-objects", 1).page
    page.locator("#lecture .boxes .true").first.wait_for()
    names = page.locator("#lecture .boxes figcaption strong").all_inner_texts()
    assert names == ["No mixing", "Coordinate attention"]
    assert page.locator("#lecture .boxes .box").count() == 0
    lecture.press("Enter")
    shown = scenes(SIZE)
    for at, spec in enumerate(specs(("none", "coord")).values()):
        with torch.inference_mode():
            found = boxes_of(decode(load(spec, "cpu").logits(shown.images).float()), shown)[0]
        labels = page.locator("#lecture .boxes figure").nth(at).locator(".label").all_inner_texts()
        assert sorted(labels) == sorted(f"{one.label} {one.score:.2f}" for one in found)
    # The numbers of the text are the table's.
    (step, *_) = as_json(read(asset("lessons", "finding-objects.yaml")))["steps"]
    assert in_percent(precision("coord")) in step["explanation"]
    assert page.locator("#lecture .explanation").inner_text() == step["explanation"]


def test_a_chart_of_costs_keeps_its_end_for_the_reveal(lecture: Lecture) -> None:
    page = lecture.open("cost-in-n", 1).page
    page.locator("#lecture svg .name").first.wait_for()
    points = (
        "[...document.querySelectorAll('#lecture polyline')].map((one) => one.getAttribute('points').split(' ').length)"
    )
    assert page.evaluate(points) == []
    assert page.locator("#lecture svg .name").all_text_contents() == [
        "Self-attention",
        "Rows and columns",
        "Linear attention",
    ]
    lecture.press("Enter")
    assert page.evaluate(points) == [6, 6, 6]
    slopes = page.evaluate(
        """() => [...document.querySelectorAll("#lecture polyline")].map((one) => {
            const [a, b] = one.getAttribute("points").split(" ").slice(-2).map((place) => place.split(",").map(Number));
            return (a[1] - b[1]) / (b[0] - a[0]);
        })"""
    )
    assert slopes[0] > slopes[1] > slopes[2] > 0  # mhsa, axial, linear


def test_a_phone_may_scroll_but_not_sideways(chromium: Any, server: str) -> None:
    for lecture in visit(chromium, server, PHONE):
        page = lecture.open("scale", 2).page
        lecture.press("Enter")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for name in ("#lecture .explanation", "#scene canvas", "#stage article.model"):
            box = page.locator(name).first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert 200 < box["width"] <= 390


def test_a_lesson_of_ones_own_comes_first(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN, encoding="utf-8")
    with _serving(tmp_path_factory, f"None, lessons=[{str(path)!r}]") as address:
        for lecture in visit(chromium, address, WIDE):
            page = lecture.page
            page.goto(address)
            lecture.settled()
            assert lecture.at() == {"lesson": "mine", "step": 1, "revealed": False}
            assert page.locator("#lecture select option").all_inner_texts()[0] == "My own"
            assert not page.locator("#stage .top").first.is_visible()
            lecture.press("Enter")
            assert lecture.answers() == ["drop", "drop"]
            assert not page.locator("#lecture .formula").is_visible()


def test_the_command_passes_lessons_on_and_tells_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace("lab/c2f", "lab/c3f"), encoding="utf-8")
    assert main(["serve", "--lesson", str(path)]) == 2
    assert f"{path}, line 4: unknown laboratory model 'lab/c3f'" in capsys.readouterr().err
    asked: dict[str, Any] = {}
    monkeypatch.setattr("explorer.ui.page.serve", lambda *_, **named: asked.update(named))
    assert main(["serve", "--lesson", "a.yaml", "--lesson", "b.yaml"]) == 0
    assert asked["lessons"] == ["a.yaml", "b.yaml"]
