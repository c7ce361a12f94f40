"""A lesson on paper: with answers and without, in both languages, and what the command makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reportlab.platypus import Image, Paragraph, Table

from explorer.blocks import short_name
from explorer.cli.main import main
from explorer.lessons import as_json, read, shipped
from explorer.lessons.handout import _CHINESE, _Page, _register, handout
from explorer.messages import say
from explorer.resources import asset
from explorer.view import View

GATES = read(asset("lessons", "gates-and-attention.yaml"))


def texts(value: Any) -> Iterator[str]:
    """Every text of flowables, in any depth."""
    if isinstance(value, Paragraph):
        yield value.getPlainText()
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts(one)
    elif isinstance(value, Table):
        yield from texts(value._cellvalues)
    elif hasattr(value, "_content"):
        yield from texts(value._content)


def pictures(value: Any) -> int:
    """Pictures among flowables, in any depth."""
    if isinstance(value, Image):
        return 1
    if isinstance(value, (list, tuple)):
        return sum(map(pictures, value))
    inner = value._cellvalues if isinstance(value, Table) else getattr(value, "_content", [])
    return pictures(inner)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_stand_in_the_handout_with_answers_alone(language: str) -> None:
    _register()
    # The third step covers its attribution until the reveal.
    step, told = GATES.steps[2], as_json(GATES, language)["steps"][2]
    asked, answered = (_Page(language, one, View.compare).step(3, step) for one in (False, True))
    before, after = ("\n".join(texts(one)) for one in (asked, answered))
    assert told["question"] in before
    for choice in told["choices"]:
        assert choice in before
        assert choice in after
    for telling in (told["title"], told["explanation"], *told["sources"], "☑"):
        assert telling not in before
        assert telling in after
    assert after.count("☑") == 1
    models = len(told["before"]["models"])
    covered = len(step.cover)
    assert covered
    # The picture and the maps that are not covered; with answers all, before and after, and the formula.
    shown = len(set(step.panels) - {"answers"})
    assert pictures(asked) == 1 + models * (shown - covered)
    assert pictures(answered) == 2 * (1 + models * shown) + 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_boxes_stand_in_the_handout_with_answers_alone(language: str) -> None:
    _register()
    lesson = read(asset("lessons", "finding-objects.yaml"))
    step, told = lesson.steps[0], as_json(lesson, language)["steps"][0]
    asked, answered = (_Page(language, one, View.compare, "cpu").step(1, step) for one in (False, True))
    before, after = ("\n".join(texts(one)) for one in (asked, answered))
    named = [say(short_name(block), language) for block in step.boxes.blocks]
    assert told["explanation"] in after
    assert all(name in after for name in named)
    assert not any(f"{sign}" in before for sign in "✓✗☑")
    assert "✓" in after
    # The scene with its objects, and one for each block; and the formula.
    assert (pictures(asked), pictures(answered)) == (1, 1 + len(named) + 1)


@pytest.mark.parametrize(("language", "name"), [("en", "{} ({})"), ("zh", "{}（{}）")])
def test_models_are_called_on_paper_as_on_the_page(language: str, name: str) -> None:
    _register()
    page = _Page(language, False, View.compare)
    for lesson, number, set_up in (
        ("equivariance-invariance-aliasing", 5, "any place and size"),
        ("architecture-or-training", 2, "position=none"),
    ):
        step = read(asset("lessons", f"{lesson}.yaml")).steps[number - 1]
        found = list(texts(page.step(number, step)))
        block = say("Rows and columns", language)
        assert block in found
        assert name.format(block, say(set_up, language)) in found
        assert not [one for one in found if "lab/" in one]


def test_chinese_is_set_in_a_font_that_has_it() -> None:
    _register()
    mixed = _Page("zh", True, View.compare).text("Grad-CAM 会怎样？")
    found = {(one.fontName, one.text.strip()) for one in mixed.frags}
    assert found == {("DejaVuSans", "Grad-CAM"), (_CHINESE, "会怎样？")}


@pytest.mark.parametrize("lesson", [one for one in shipped() if not one.needs], ids=lambda one: str(one.name))
def test_every_formula_is_on_paper(lesson: Any) -> None:
    _register()
    page = _Page("en", True, View.compare)
    for step in lesson.steps:
        made = page.formula(step.formula)
        lines = step.formula.count(r"\\") + 1
        assert pictures(made) == lines or list(texts(made)) == [step.formula]


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cost.pdf"
    assert main(["lesson", "cost-in-n", "--pdf", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["lesson"], told["minutes"], told["pdf"]) == ("cost-in-n", 6.0, str(path))
    assert path.read_bytes().startswith(b"%PDF-")
    assert path.read_bytes() == handout(read(asset("lessons", "cost-in-n.yaml")), device="cpu")
    assert main(["lesson", "cost-in-m"]) == 2
    assert "Did you mean cost-in-n?" in capsys.readouterr().err
    assert main(["lesson", "cost-in-n", "--language", "xx"]) == 2
    assert "unknown language 'xx'" in capsys.readouterr().err
