"""The board: the numbers of the probes, each where it belongs, and nothing that is private or asks a network."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from explorer.cli.main import main
from explorer.errors import ParameterError
from explorer.scenes import Scene
from explorer.sweep.board import COLUMNS, board
from explorer.sweep.board_page import page_of
from explorer.sweep.publishing import save
from explorer.sweep.run import sweep
from explorer.sweep.store import name_of
from explorer.sweep.summary import Sweep
from explorer.view.forms import of_link

PLAN: dict[str, Any] = {
    "models": ["lab/none", {"model": "lab/mhsa", "name": "</script><b>ours"}],
    "probes": ["edges", {"probe": "translation", "side": 3, "step": 4}, "heads"],
    "data": [24],
    "device": "cpu",
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep(PLAN, tmp_path_factory.mktemp("swept") / "study")


def test_every_score_stands_in_it_once(swept: Sweep) -> None:
    made = board(swept)
    assert made.models == {"lab/none": "lab", "</script><b>ours": "lab"}
    results = list(swept.results())
    assert len(made.scores) == sum(len(one.summary) for one in results) == 13
    for one in results:
        for score in one.summary.values():
            (column,) = (each for each in made.columns if each.probe == one.probe and each.measure == score.measure)
            assert made.scores[score.model, column.id] == score
    assert [one.measure for one in made.columns if one.headline] == [
        "agreement on Sobel",
        "p kept",
        "mean head diversity",
    ]
    assert {one.parameters for one in made.columns} == {"", "side 3, step 4"}
    (heads,) = (one.id for one in made.columns if one.probe == "heads")
    assert "no attention was seen" in made.missing["lab/none", heads]


def test_a_number_leads_to_a_view_that_shows_it(swept: Sweep) -> None:
    made = board(swept, "https://explorer.example/page")
    assert set(made.links) == set(made.scores)
    for (_, column), address in made.links.items():
        before, _, after = address.partition("#")
        assert before == "https://explorer.example/page"
        view = of_link(after)
        assert len(view.models) == 1
        assert isinstance(view.source, Scene)
        probe = next(one.probe for one in made.columns if one.id == column)
        assert after.endswith("&tab=compare")
        assert view.transform.dx == (4 if probe == "translation" else 0)
    assert {of_link(one).models for one in made.links.values()} == {("lab/none",), ("lab/mhsa",)}


def test_a_model_of_a_person_s_own_has_numbers_and_no_links(data: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "black.png").rename(tmp_path / "pictures" / "black.png")
    plan = {
        "models": [f"local-dir:{data / 'weights' / 'mobilenetv2_100'}"],
        "probes": ["consistency"],
        "data": [str(tmp_path / "pictures")],
        "device": "cpu",
    }
    made = board(sweep(plan, tmp_path / "out"))
    assert made.scores
    assert not made.links
    page = page_of(made)
    assert str(data) not in page
    assert str(tmp_path) not in page


def test_the_page_opens_without_a_network_and_names_are_names(swept: Sweep) -> None:
    page = page_of(board(swept))
    assert page == page_of(board(swept))
    assert "<b>ours" not in page
    assert "default-src 'none'" in page
    outside = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.S)
    assert not re.search(r"(?:src|href)=|url\(|@import", outside)
    data = re.search(r'<script type="application/json" id="board">(.*?)</script>', page, flags=re.S)
    assert data is not None
    values = json.loads(data[1])
    assert [one["name"] for one in values["models"]] == ["lab/none", "</script><b>ours"]
    assert sum(len(one) for one in values["cells"].values()) == 13


def test_tables_and_a_data_set_have_the_same_numbers(swept: Sweep, tmp_path: Path) -> None:
    made = board(swept)
    rows = made.rows()
    assert len(rows) == 13
    assert pq.read_table(save(made, tmp_path / "b.parquet")).to_pylist() == rows
    read = list(csv.DictReader(io.StringIO(save(made, tmp_path / "b.csv").read_text())))
    assert list(read[0]) == list(COLUMNS)
    assert [float(one["value"]) for one in read] == [one["value"] for one in rows]
    folder = save(made, tmp_path / "set", swept)
    head = (folder / "README.md").read_text().split("---\n")[1]
    card = yaml.safe_load(head)
    assert [one["config_name"] for one in card["configs"]] == ["scores", "rows"]
    for one in card["configs"]:
        files = sorted(folder.glob(one["data_files"]))
        assert files
        assert ds.dataset(files, format="parquet").to_table().num_rows >= 13
    assert (folder / "board.html").read_text() == page_of(made)
    with pytest.raises(ParameterError, match="or a folder"):
        save(made, tmp_path / "b.xlsx")
    with pytest.raises(ParameterError, match=r"\.html is a file"):
        save(made, f"{tmp_path}/b.html/")
    # A folder may have a dot in its name, as versions and models have.
    assert (save(made, f"{tmp_path}/our-v1.0/") / "README.md").is_file()
    assert (save(made, tmp_path / "our-v1.0") / "README.md").is_file()


def test_nothing_is_written_where_one_of_the_boards_cannot_be(
    swept: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--out", str(tmp_path / "b.html"), "--out", str(tmp_path / "b.xlsx")]
    assert main(["board", str(swept.root), *flags]) == 2
    assert "or a folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_sweep_that_is_not_done_has_holes_with_their_reason(tmp_path: Path) -> None:
    found = sweep(PLAN, tmp_path)
    gone = next(one for one in found.units if one["probe"] == "edges" and one["model"] == "lab/none")
    (tmp_path / name_of(gone["key"])).unlink()
    made = board(found)
    edges = [one.id for one in made.columns if one.probe == "edges"]
    for column in edges:
        assert ("lab/none", column) not in made.scores
        assert made.missing["lab/none", column].startswith("1 of 1 units are missing")
    for one in found.units:
        (tmp_path / name_of(one["key"])).unlink(missing_ok=True)
    with pytest.raises(ParameterError, match="0 of 6 units are done"):
        board(found)


def test_the_command(swept: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, table = tmp_path / "board.html", tmp_path / "board.csv"
    assert main(["board", str(swept.root), "--out", str(page), "--out", str(table), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(page), str(table)]
    assert page.stat().st_size > 10_000
    for wrong in (
        ["board", str(tmp_path)],
        ["board", str(swept.root), "--page", "javascript:alert(1)"],
        ["board", str(swept.root), "--out", str(tmp_path / "no" / "b.html")],
    ):
        assert main(wrong) == 2
        assert capsys.readouterr().err.startswith("explorer: error: ")
