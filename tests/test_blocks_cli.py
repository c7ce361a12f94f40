"""``explorer blocks``: the list, one block explained, and its measured cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from explorer.blocks import BLOCKS
from explorer.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["blocks", *arguments]) == 0
    return capsys.readouterr().out


def record(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(said(capsys, "--json", *arguments))
    assert answer.pop("command") == "blocks"
    return answer


def test_the_list_gives_kind_and_cost_of_every_block(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    rows = record(capsys)["rows"]
    assert [row["name"] for row in rows] == list(BLOCKS)
    assert [row["kind"] for row in rows] == [block.kind for block in BLOCKS.values()]
    for row in rows:
        assert row["question"] in text
        assert row["order"] in text
        assert set(row["options"]) == set(BLOCKS[row["name"]].options)
    assert "O(n (H + W) d)" in text
    assert text.count("no map") == 3


@pytest.mark.parametrize("name", list(BLOCKS))
def test_one_block_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, name)
    one = record(capsys, name)
    assert text.startswith(f"{name}: {one['title']}\n")
    assert "measured" not in one
    assert "diagram" not in one
    together = " ".join(text.split())
    for key in ("question", "definition", "plain", "order", "cost", "means", "means_not", "source", "correction"):
        assert " ".join(one[key].split()) in together, key
    for sentence in (*one["strengths"], *one["weaknesses"]):
        assert sentence in together
    for option in BLOCKS[name].options:
        assert f"  {option}: " in text
    # The lines of Python can be taken from the terminal as they are, less the indent.
    start = text.index("In Python\n") + len("In Python\n")
    assert (
        "".join(line[2:] if line.strip() else line for line in text[start:].splitlines(keepends=True)) == one["example"]
    )
    assert max(map(len, text.splitlines())) <= 120


def test_the_cost_is_measured_beside_full_attention(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "axial", "--measure")
    assert "axial, d = 64: 256 n^1.5 + 32768 n multiply-adds; time grows as n^" in text
    assert "mhsa, d = 64: 128 n^2 + 16384 n multiply-adds; time grows as n^" in text
    assert "32 x 32  n = 1024" in text


def test_the_measurement_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = record(capsys, "mhsa", "--measure")["measured"]
    assert (one["block"], one["order"]) == ("mhsa", 2.0)
    assert one["terms"] == {"1.0": 16384.0, "2.0": 128.0}
    assert [point["side"] for point in one["points"]] == [8, 16, 24, 32, 48]
    assert all(point["milliseconds"] > 0 for point in one["points"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["axail"], "unknown block 'axail'. Did you mean axial"), (["--measure"], "--measure needs a block's name")],
)
def test_what_cannot_be_answered_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blocks", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
