"""Contact sheets: what they show is what is trained on and what the library computes; what they say is the table's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import explorer
from explorer.attention.mass import placed
from explorer.cli.main import main
from explorer.figures.sheet import InputPicture, Map, Words
from explorer.lab.contact import SCENES, maps_sheet, scenes_sheet
from explorer.lab.summary import Key, SetUp, shipped
from explorer.lab.table import TableRow, packed
from explorer.lab.tasks import TRAINING_STREAM
from explorer.scenes import AUGMENTED, CENTRED, CLASSES, draw, render

RATIO = Key.of("context", "attention mass ratio")


@pytest.mark.parametrize("distribution", [CENTRED, AUGMENTED])
def test_the_scenes_are_those_of_training_in_their_order(distribution) -> None:
    drawn = draw(TRAINING_STREAM, torch.arange(23), distribution)
    pictures = [panel for row in scenes_sheet(23, distribution).sections[0].rows for panel in row]
    assert [one.title for one in pictures] == [CLASSES[label] for label in drawn.label]
    side = pictures[0].image.shape[-1]
    assert all(torch.equal(one.image, image) for one, image in zip(pictures, render(drawn, side).images))


def test_every_layer_is_shown_and_what_is_said_is_the_tables_mean() -> None:
    found = shipped("centred")
    mhsa, conv = maps_sheet(found, ["mhsa", "conv"]).sections
    assert len(mhsa.rows) == len(conv.rows) == SCENES
    model = explorer.load("lab/mhsa")
    for row in mhsa.rows:
        seen, *maps, based = row
        assert isinstance(seen, InputPicture)
        expected = placed(explorer.capture(model, seen.image)).values()
        assert len(maps) == len(expected) == 3
        for shown, one in zip(maps, expected):
            assert isinstance(shown, Map)
            assert torch.equal(shown.values, one.row(seen.mark))
        assert torch.equal(based.values, explorer.attribute(model, seen.image).values)
    for row in conv.rows:
        assert [type(one) for one in row] == [InputPicture, Words, Map]
    whole = found.mean("mhsa", Key.of(*RATIO[:2], layer="all"))
    assert whole is not None
    assert f"{whole.mean:.2f} ({whole.low:.2f} to {whole.high:.2f})" in mhsa.notes[0]
    assert len(re.findall(r"token_mixer: ", mhsa.notes[0])) == 3
    assert not any("not" in one for one in mhsa.notes)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.5, 0.51, 0.49), "Its map is not on the object."),
        ((0.8, 1.1, 1.3), "Its map is not shown to be on the object."),
        ((2.0, 2.1, 1.9), None),
    ],
)
def test_a_map_that_is_not_on_the_object_is_a_finding(values, said) -> None:
    where = packed({"kind": "pairwise", "layer": "all", "view": "clean"})
    rows = [
        TableRow(
            f"lab/mhsa#{seed}" if seed else "lab/mhsa",
            *("0123", "context", "{}", "{}", where, RATIO.measure, "x an even map"),
            *(value, None, None, "", 144),
        )
        for seed, value in enumerate(values)
    ]
    (section,) = maps_sheet(SetUp(rows, "centred"), ["mhsa"]).sections
    assert list(section.notes[1:]) == ([] if said is None else [said])


def test_the_command_writes_both_and_says_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["maps", "--blocks", "coord"], ["scenes", "--count", "3", "--set-up", "cue"]):
        file = tmp_path / f"{words[0]}.png"
        assert main(["lab", *words, "--out", str(file)]) == 0
        assert file.stat().st_size > 10_000
    for words, told in (
        (["maps", "--blocks", "cord"], "coord"),
        (["maps", "--set-up", "everything"], "centred"),
        (["scenes", "--count", "0"], "from 1 to 1000"),
        (["scenes", "--out", "a.gif"], "gif"),
    ):
        out = [] if "--out" in words else ["--out", str(tmp_path / "never.png")]
        assert main(["lab", *words, *out]) != 0
        assert told in capsys.readouterr().err
    assert not (tmp_path / "never.png").exists()
