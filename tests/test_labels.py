"""Class names as people write them in a config.json: each form is read, or said to be unusable; none is "None"."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from explorer.cli import main as cli
from explorer.comparison.compare import look
from explorer.images import samples
from explorer.models.labels import class_names
from explorer.models.loading import load
from explorer.models.model import Model

NAMES = ["cat", "dog", "fox"]
BY_ID = {"0": "cat", "1": "dog", "2": "fox"}


def model(path: Path, outputs: int = 3, legacy: bool = False, **config: Any) -> Model:
    """A folder's model with these entries in its config.json, in the present form or in timm's old one."""
    path.mkdir(exist_ok=True)
    base: dict[str, Any] = {"architecture": "test_resnet", "num_classes": outputs}
    if legacy:
        base |= {"input_size": [3, 64, 64]}
    else:
        base |= {"pretrained_cfg": {"input_size": [3, 64, 64]}}
    (path / "config.json").write_text(json.dumps(base | config))
    return load(f"random/local-dir:{path}", "cpu")


def about_names(one: Model) -> list[str]:
    return [note for note in one.notes if "softmax over" not in note]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        {"label_names": NAMES},
        {"labels": NAMES},
        {"class_names": NAMES},
        {"classes": NAMES},
        {"id2label": BY_ID},
        {"id2label": {"2": "fox", "0": "cat", "1": "dog"}},
        {"label2id": {"fox": 2, "cat": 0, "dog": 1}},
        {"label2id": {"fox": "2", "cat": "0", "dog": "1"}},
        {"labels": BY_ID},
        {"label_names": None, "id2label": BY_ID},
        {"label_names": ["c", "d", "f"], "label_descriptions": {"c": "cat", "d": "dog", "f": "fox"}},
        {"label_descriptions": NAMES},
        {"label_descriptions": BY_ID},
        {"label_names": [" cat\n", "dog", "fox"]},
        {"id2label": {"0": "cat", "1": "dog", "2": None}, "labels": NAMES},
    ],
)
def test_every_form_is_read(tmp_path: Path, config: dict[str, Any], legacy: bool) -> None:
    one = model(tmp_path / "m", legacy=legacy, **config)
    assert one.labels == ("cat", "dog", "fox")
    assert about_names(one) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"labels": ["cat", "dog"]}, "'labels' .* cannot be used: it has 2 names, and the model has 3 outputs"),
        ({"label_names": [*NAMES, "owl"]}, "'label_names' .* it has 4 names, and the model has 3 outputs"),
        ({"id2label": {"1": "cat", "2": "dog", "3": "fox"}}, "names class 3, and the model has classes 0 to 2"),
        ({"id2label": {"-1": "cat", "0": "dog"}}, "names class -1"),
        ({"id2label": {"cat": "0", "dog": "1", "fox": "2"}}, "its entry 'cat' is no number of a class"),
        ({"label2id": {"cat": 0, "dog": 0, "fox": 2}}, "two names have the same number"),
        ({"label2id": {"cat": None, "dog": 1, "fox": 2}}, "its entry 'None' is no number"),
        ({"labels": "cat, dog, fox"}, "a list of names or an object from number to name is expected, got str"),
        ({"labels": 3}, "got int"),
        ({"labels": True}, "got bool"),
        ({"labels": []}, "it has 0 names"),
        ({"labels": {}}, "it has no name that is a text"),
        ({"labels": [None, None, None]}, "it has no name that is a text"),
        ({"labels": [["cat"], {"name": "dog"}, 1.5]}, "it has no name that is a text"),
        ({}, "the names of its 3 classes are not known"),
    ],
)
def test_what_cannot_be_used_is_said_and_classes_are_numbered(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    one = model(tmp_path / "m", **config)
    assert one.labels == ()
    assert one.label(2) == "class 2"
    notes = about_names(one)
    assert re.search(said, " ".join(notes))
    assert "numbered from 0" in notes[-1]


@pytest.mark.parametrize(
    "config",
    [
        {"labels": ["cat", None, "fox"]},
        {"labels": ["cat", "  ", "fox"]},
        {"labels": ["cat", ["dog"], "fox"]},
        {"id2label": {"0": "cat", "2": "fox"}},
        {"id2label": {"2": "fox", "1": None, "0": "cat"}},
        {"label_names": ["cat", None, "fox"], "label_descriptions": {"cat": None}},
    ],
)
def test_one_missing_name_is_a_number_with_a_note(tmp_path: Path, config: dict[str, Any]) -> None:
    one = model(tmp_path / "m", **config)
    assert one.labels == ("cat", "class 1", "fox")
    assert len(about_names(one)) == 1
    assert about_names(one)[0].endswith("has no name for 1 of 3: 1")


def test_numbers_are_names_and_synsets_are_put_in_words(tmp_path: Path) -> None:
    assert model(tmp_path / "a", labels=[7, 8, 9]).labels == ("7", "8", "9")
    assert model(tmp_path / "b", labels=["n02111889", "mine", "n13044778"]).labels == (
        "Samoyed",
        "mine",
        "earthstar",
    )


def test_names_of_a_thousand_that_cannot_be_used_are_not_guessed() -> None:
    """ImageNet's names stand for a model without names, not for one whose names are wrong."""
    assert class_names({}, 1000).names[258] == "Samoyed"
    assert class_names({"label_names": None}, 1000).names[258] == "Samoyed"
    wrong = class_names({"labels": ["kind"] * 999}, 1000)
    assert wrong.names == ()
    assert "999 names" in wrong.notes[0]


def test_a_user_reads_it_on_the_command_line_and_beside_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = model(tmp_path / "m", labels=["cat", "dog"])
    assert cli.main(["predict", "--model", str(one.spec), "--image", "cat"]) == 0
    out = capsys.readouterr().out
    assert "it has 2 names, and the model has 3 outputs" in out
    assert "None" not in out
    assert any("2 names" in note for note in look(one, samples()["cat"], method=None).notes)
