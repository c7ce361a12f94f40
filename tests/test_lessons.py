"""Lessons: what ships is true of the shipped models, and what is wrong in a file is told with its line."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hubs import PUBLISHED, WEIGHTS, publish, served, use_hub

from explorer.blocks import BLOCKS
from explorer.blocks.axial import Axial
from explorer.cli.main import main
from explorer.errors import LessonError
from explorer.geometry import Point
from explorer.lab.networks import available
from explorer.lab.summary import Key
from explorer.lab.summary import shipped as laboratory
from explorer.lessons import COURSE_MINUTES, MEASURES, SHIPPED, SIDES, Claim, as_json, check, course, read, shipped
from explorer.lessons.lesson import STEP_MINUTES
from explorer.messages import ENGLISH, codes, entries, say
from explorer.models.loading import load
from explorer.resources import asset
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.ui.catalogues import lesson_texts
from explorer.ui.request import Request
from explorer.ui.tabs import blocks
from explorer.ui.tabs.lecture import _missing
from explorer.view import View
from explorer.view.forms import of_request

LESSON = """\
title: {en: One, zh: 一}
steps:
  - title: First
    models: [lab/conv]
    scene: {label: star, texture: checks}
    query: [{x: 0.25, y: 0.5}, {x: 0.5, y: 0.5}]
    question: What now?
    choices: [Yes, "No"]
    right: 2
    panels: [attribution, answers]
    cover: [answers]
    reveal: {move: {dx: 8}, scene: {texture: dots}}
    explanation: So it is.
    formula: 'x^2'
    claims:
      - {model: lab/conv, measure: answer, when: before, is: star}
"""


@pytest.fixture
def written(tmp_path: Path):
    """Write a lesson, changed in places, and return its path."""

    def write(*changes: tuple[str, str], text: str = LESSON) -> Path:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "own.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_minutes_and_notes_are_read_and_a_course_fits_its_time(written) -> None:
    timed = read(written(("    formula: 'x^2'", "    minutes: 3.5\n    notes: {en: Wait, zh: 等}\n    formula: 'x^2'")))
    assert (timed.minutes, as_json(timed)["steps"][0]["notes"], as_json(timed, "zh")["steps"][0]["notes"]) == (
        *(3.5, "Wait"),
        "等",
    )
    assert read(written()).minutes == STEP_MINUTES
    with pytest.raises(LessonError, match=r"line 8.*a number from 0.5 to 90 is expected here, not '0'"):
        read(written(("    choices:", "    minutes: 0\n    choices:")))
    lessons = shipped()
    chosen = course(lessons)
    assert 40 <= sum(one.minutes for one in chosen) <= COURSE_MINUTES
    assert [one for one in lessons if one in chosen] == list(chosen)
    assert course(lessons, 0) == ()
    # One that is too long does not keep a shorter one after it out.
    assert course((timed, dataclasses.replace(timed, steps=timed.steps * 3), timed), 8) == (timed, timed)


@pytest.mark.parametrize("name", [one.name for one in shipped() if not one.needs])
def test_what_a_shipped_lesson_says_is_true_of_the_models(name: str) -> None:
    checked = check(read(asset("lessons", f"{name}.yaml")), "cpu")
    assert not [str(one) for one in checked if not one.holds]


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the real weights are not beside this tree")
def test_published_models_are_fetched_once_and_do_what_their_lesson_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = read(asset("lessons", "published-models.yaml"))
    assert {f"timm/{one}" for one in lesson.needs} == set(PUBLISHED)
    publish(tmp_path / "hub")
    with served(tmp_path / "hub") as hub:
        use_hub(monkeypatch, hub.server_port, tmp_path / "cache")
        assert _missing(lesson) == list(lesson.needs)
        assert main(["fetch", "--lessons", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["fetched"]
        assert [one["model"] for one in told] == list(lesson.needs)
        assert all(one["bytes"] > 10e6 for one in told)
    # The hub is gone.
    assert _missing(lesson) == []
    assert [str(one) for one in check(lesson, "cpu") if not one.holds] == []


def test_what_cannot_be_fetched_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for given, why in (
        (["fetch"], "name models, or ask for --lessons"),
        (["fetch", "lab/mhsa"], "no published weights"),
    ):
        assert main(given) == 2
        assert why in capsys.readouterr().err


def test_every_shipped_step_can_be_predicted_is_explained_and_is_claimed() -> None:
    lessons = shipped()
    assert {path.stem for path in asset("lessons").iterdir()} == set(SHIPPED)
    for lesson in lessons:
        assert 3 <= len(lesson.steps) <= 6
        for step in lesson.steps:
            words = [lesson.title, step.title, step.question, step.explanation, *step.choices]
            assert all(one[ENGLISH] in entries(code) for one in words for code in codes()[1:])
            assert step.formula
            assert step.sources
            assert len(step.choices) >= 2
            # A measured time is the machine's: nothing can be claimed of it beforehand.
            assert step.claims or (step.cost and step.cost.show == "milliseconds")
            there = {*available(), *lesson.needs}
            assert all(model in there for shown in (step.before, step.after) if shown for model in shown.texts)
    assert {claim.measure for lesson in lessons for step in lesson.steps for claim in step.claims} <= set(MEASURES)


@pytest.mark.parametrize("code", codes())
def test_lessons_call_models_as_their_cards_do(code: str) -> None:
    # Names of blocks that are English words too are no sign of code.
    coded = re.compile(rf"\b({'|'.join(BLOCKS.keys() - {'none', 'channel', 'linear'})})\b|-(aug|cue)\b", re.ASCII)
    assert all(map(coded.search, ("only mhsa", "only x-cue", "只有conv")))
    said = [say(text, code) for lesson in shipped() for text in lesson_texts(lesson)]
    assert len(said) > 200
    assert [text for text in said if coded.search(text)] == []


def test_places_of_the_page_that_a_lesson_names_are_named_in_the_readers_language() -> None:
    for lesson in shipped():
        for english, chinese in zip(as_json(lesson)["steps"], as_json(lesson, "zh")["steps"]):
            for one, other in zip(english["sources"], chinese["sources"]):
                # A paper is cited as it is called.
                assert (one == other) == bool(re.search(r"\d{4}", one)), one


def test_the_page_accepts_what_every_shipped_step_shows() -> None:
    for lesson in shipped():
        for step in as_json(lesson)["steps"]:
            for state in (step["before"], step["after"]):
                if state:
                    of_request(state["models"], state["question"])


def test_costs_are_claimed_of_the_grids_that_are_drawn() -> None:
    assert SIDES == blocks.SIDES


def test_a_lesson_is_read(written) -> None:
    lesson = read(written())
    (step,) = lesson.steps
    assert lesson.name == "own"
    assert lesson.title == {"en": "One", "zh": "一"}
    assert step.title == {"en": "First"}
    assert [one["en"] for one in step.choices] == ["Yes", "No"]
    assert step.panels == ("answers", "attribution")
    assert step.before is not None
    assert step.after is not None
    assert step.before.scene == Scene("star", "checks")
    assert step.before.queries == (Point(0.25, 0.5), Point(0.5, 0.5))
    assert step.after.scene == Scene("star", "dots")
    assert (step.before.transform, step.after.transform) == (Transform(), Transform(dx=8))
    assert step.claims == (Claim("answer", "lab/conv", "before", expected="star", line=16),)


def test_a_photograph_is_shown_as_well(written) -> None:
    path = written(
        ("scene: {label: star, texture: checks}", "picture: cat"),
        ("reveal: {move: {dx: 8}, scene: {texture: dots}}", "reveal: {move: {flip: true, border: reflect}}"),
        ("lab/conv", "random/resnet18"),
        ("is: star", "is: tabby"),
    )
    (step,) = as_json(read(path))["steps"]
    assert step["after"]["question"]["picture"] == "cat"
    assert step["after"]["question"]["flip"] is True
    assert of_request(step["after"]["models"], step["after"]["question"]).transform == Transform(
        flip=True, border="reflect"
    )


def test_a_false_claim_is_found(written) -> None:
    claims = """\
    claims:
      - {model: lab/conv, measure: answer, when: before, is: heart}
      - {model: lab/conv, measure: probability, about: star, when: before, at most: 0.01}
      - {model: lab/conv, measure: changed, is: maybe}
      - {model: lab/conv, measure: attribution stays, at least: 0.999}
"""
    text = LESSON[: LESSON.index("    claims:")] + claims
    assert [one.holds for one in check(read(written(text=text)), "cpu")] == [False] * 4


def test_a_map_that_a_model_does_not_have_is_no_number(written) -> None:
    path = written(("measure: answer, when: before, is: star", "measure: map stays, at least: 0"))
    with pytest.raises(LessonError, match="'lab/conv' has no attention map"):
        check(read(path), "cpu")


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("models: [lab/conv]", "models: [lab/konv]", 4, r"unknown laboratory model 'lab/konv'.*lab/conv"),
        ("models: [lab/conv]", "models: [resnet5O]", 4, r"unknown model 'resnet5O'"),
        ("models: [lab/conv]", "models: [random/resnet18+mhza@3]", 4, r"unknown block 'mhza'.*mhsa"),
        ("models: [lab/conv]", "models: []", 4, r"1 to 4 models are expected here, there are 0"),
        ("label: star,", "label: stra,", 5, r"unknown label 'stra'.*star"),
        ("texture: checks", "size: 3", 5, r"unknown key 'size'"),
        ("x: 0.25", "x: 1.5", 6, r"a number from 0 to 1 is expected here, not '1.5'"),
        ("right: 2", "right: 3", 9, r"from 1 to 2"),
        ("cover: [answers]", "cover: [attention]", 11, r"'attention' is not among the panels"),
        ("dx: 8", "dx: far", 12, r"dx is a number"),
        ("dx: 8", "zoom: 9", 12, r"zoom is a number from 0.25 to 4"),
        ("question: What now?", "qestion: What now?", 7, r"unknown key 'qestion'. Did you mean question"),
        ("    question: What now?\n", "", 3, r"'question' is missing"),
        ("formula: 'x^2'", "formula: x\n    formula: y", 15, r"a second time"),
        ("measure: answer", "measure: anwser", 16, r"unknown measure 'anwser'.*answer"),
        ("is: star", "at least: many", 16, r"a number"),
        ("{model: lab/conv, measure", "{model: lab/mhsa, measure", 16, r"unknown model of this step 'lab/mhsa'"),
        ("explanation: So it is.", "explanation: [So, it is.]", 13, r"a list of keys and values|a text"),
        ("title: First", "title: {zh: 一}", 3, r"'en' is missing"),
        ("title: First", "title: 'First", 3, r"this is no YAML"),
        ("steps:\n", "steps: none\nrest:\n", 2, r"."),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(written, old: str, new: str, line: int, why: str) -> None:
    path = written((old, new))
    with pytest.raises(LessonError, match=why) as caught:
        read(path)
    if "YAML" not in why and why != ".":
        assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"- a\n- b\n"])
def test_what_is_no_lesson_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(LessonError, match=r"own\.yaml"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"none\.yaml cannot be read: No such file"):
        read(tmp_path / "none.yaml")


def test_a_chart_has_no_workbench(written) -> None:
    text = """\
title: Cost
steps:
  - title: First
    cost: {blocks: [mhsa, linear]}
    question: Which?
    explanation: This.
    claims:
      - {block: mhsa, measure: power of n, is: 2.0}
      - {block: linear, measure: power of n, is: 2.0}
"""
    assert [one.holds for one in check(read(written(text=text)))] == [True, False]
    assert set(BLOCKS) >= {"mhsa", "linear"}
    with pytest.raises(LessonError, match="line 5: a step with a chart of costs has no 'models'"):
        read(written(("    question", "    models: [lab/conv]\n    question"), text=text))


NUMBERS = """\
title: Boxes
steps:
  - title: First
    boxes: {blocks: [none, coord]}
    question: Who?
    numbers:
      coord: {model: lab/detect+coord, probe: detection, measure: AP}
      gap: {model: lab/detect+coord, minus: lab/detect+none, probe: detection, measure: AP}
    explanation: {en: "Coordinate attention has {coord}, {gap} more.", zh: "坐标注意力为 {coord}，多 {gap}。"}
    claims:
      - {number: gap, measure: in the table, at least: -1, at most: 1}
      - {number: gap, measure: in the table, at least: 1}
"""


def test_numbers_in_texts_are_those_of_the_table(written) -> None:
    lesson = read(written(text=NUMBERS))
    found, key = laboratory("detect"), Key.of("detection", "AP")
    coord, none = (found.of(block, key) for block in ("coord", "none"))
    mean = sum(coord.values()) / len(coord)
    gap = sum(coord[seed] - none[seed] for seed in coord) / len(coord)
    english, chinese = (as_json(lesson, code)["steps"][0]["explanation"] for code in ("en", "zh"))
    assert english.startswith(f"Coordinate attention has {100 * mean:.0f} % (")
    assert f"{100 * gap:.{0 if abs(gap) >= 0.0995 else 1}f} points (" in english
    assert chinese.startswith(f"坐标注意力为 {100 * mean:.0f} %（")
    assert [one.value for one in check(lesson)] == [pytest.approx(gap)] * 2
    assert [one.holds for one in check(lesson)] == [True, False]


def test_a_number_that_the_table_does_not_have_is_said_to_be_missing(written) -> None:
    lesson = read(written(("measure: AP}\n      gap", "measure: AP99}\n      gap"), text=NUMBERS))
    assert "has (not measured yet)," in as_json(lesson)["steps"][0]["explanation"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("{gap} more", "{gaps} more", "line 9: unknown number 'gaps'.*gap"),
        ("blocks: [none, coord]", "blocks: [none, cbam]", "line 4: unknown block of a model that finds objects 'cbam'"),
        ("coord]}", "coord], scene: 9}", "line 4: a number from 1 to 2 is expected here, not '9'"),
        ("    question", "    models: [lab/conv]\n    question", "line 5: a step with boxes .* has no 'models'"),
        ("    question", "    cost: {blocks: [mhsa]}\n    question", "has no '(cost|boxes)'"),
        ("minus: lab/detect+none", "minus: lab/nothing", "line 8: .*nothing"),
        (
            "probe: detection, measure: AP}\n      gap",
            "probe: detections, measure: AP}\n      gap",
            "line 7: .*detections",
        ),
        ("measure: AP}\n      gap", "measure: AP50}\n      gap", "line 7: the table has several numbers of 'AP50'"),
        ("number: gap", "number: more", "line 11: unknown number of this step 'more'"),
    ],
)
def test_what_is_wrong_with_numbers_and_boxes_is_told_with_its_line(written, old: str, new: str, why: str) -> None:
    with pytest.raises(LessonError, match=why):
        read(written((old, new), text=NUMBERS))


def _notes(dx: float, zoom: float = 1) -> str:
    return " ".join(
        Request.scene(View(("lab/conv",), Scene("star", "checks"), Transform(dx=dx, zoom=zoom)), (48, 48)).notes
    )


def test_a_scene_says_whether_the_frame_cuts_its_object() -> None:
    assert "cut" not in _notes(0)
    assert "left the frame" not in _notes(0)
    for one in (_notes(20), _notes(-20), _notes(0, 4)):
        assert "The frame cuts off a part of the object." in one
    assert "The object has left the frame." in _notes(48)


def test_formulas_are_those_of_the_blocks_that_are_shown() -> None:
    # Row and column attention are added in the laboratory's networks: no path through both.
    blocks = [one for one in load("lab/axial", "cpu").module.modules() if isinstance(one, Axial)]
    assert blocks
    assert {one.merge for one in blocks} == {"sum"}
    for lesson in shipped():
        for step in lesson.steps:
            if step.after and "lab/axial" in step.after.models and "column" in step.formula:
                assert "+" in step.formula
            # Maps are signed; a formula that cuts negative values is that of another map.
            assert "]_+" not in step.formula
            assert "ReLU" not in step.formula


def test_the_laboratory_says_of_the_non_local_block_what_the_lesson_says() -> None:
    found = laboratory("centred").of(
        "nonlocal", Key.of("shape-bias", "shape bias", category="all", background="neither")
    )
    assert len(found) >= 3
    assert sum(found.values()) / len(found) > 0.5
