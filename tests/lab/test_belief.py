"""The table of what maps are worth: its numbers are the rows', and the document quotes it."""

from __future__ import annotations

from pathlib import Path

from explorer.lab.belief import COLUMNS, markdown
from explorer.lab.experiment import FEW_BLOCKS
from explorer.lab.summary import shipped_index
from explorer.lab.table import load_table


def test_the_document_quotes_what_maps_are_worth() -> None:
    text = (Path(__file__).parents[2] / "docs" / "laboratory.md").read_text(encoding="utf-8")
    for line in markdown(shipped_index()):
        assert line in text


def test_its_numbers_are_means_of_the_rows() -> None:
    key = COLUMNS["answer stays"]
    own = [
        row.value
        for row in load_table()
        if row.model.split("#")[0] == "lab/mhsa" and (row.probe, row.measure) == (key.probe, key.measure)
        if key.fits(row)
    ]
    head, _, *lines = markdown(shipped_index())
    place = [cell.strip() for cell in head.split("|")].index("answer stays")
    (line,) = [one for one in lines if one.startswith("| Self-attention |")]
    assert len(lines) == len(FEW_BLOCKS)
    assert len(own) >= 3
    assert line.split("|")[place].strip().startswith(f"{100 * sum(own) / len(own):.0f} % (")
