"""Pictures on storage are the pictures of a folder here: the same units, the same rows, and no word of access."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explorer.errors import ParameterError
from explorer.images.folders import Folder
from explorer.images.storage import StoredFile, public, reach
from explorer.images.stored import stored_pictures
from explorer.sweep.board import board
from explorer.sweep.board_page import page_of
from explorer.sweep.plan import SweepPlan
from explorer.sweep.run import sweep
from explorer.sweep.units import units
from tests.sweep.killing import files
from tests.sweep.test_packed import PLAN, sets  # noqa: F401 - a fixture


def uploaded(folder: Path, address: str) -> str:
    """Copy a folder to storage; its address."""
    store, root = reach(address)
    store.create_dir(root, recursive=True)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            name = file.relative_to(folder).as_posix()
            store.create_dir(f"{root}/{name}".rpartition("/")[0], recursive=True)
            with store.open_output_stream(f"{root}/{name}") as out:
                out.write(file.read_bytes())
    return address


@pytest.mark.parametrize("form", ["folder", "tar", "parquet"])
def test_s3_gives_the_rows_of_a_folder(form: str, sets: dict[str, Path], s3: str, tmp_path: Path) -> None:  # noqa: F811
    here = sweep({**PLAN, "data": [{"images": str(sets[form]), "name": "set"}]}, tmp_path / "here")
    assert not here.failed
    # With two workers, each of which reads the store itself.
    plan = {**PLAN, "data": [{"images": uploaded(sets[form], s3.format(form)), "name": "set"}]}
    there = sweep(plan, tmp_path / "there", workers=2)
    assert not there.failed
    assert [one["key"] for one in there.units] == [one["key"] for one in here.units]
    consistency = {one["key"] for one in here.units if one["probe"] == "consistency"}
    own, other = files(tmp_path / "here"), files(tmp_path / "there")
    assert len(consistency) == 3
    assert {key: own[f"{key}.parquet"] for key in consistency} == {key: other[f"{key}.parquet"] for key in consistency}
    scores = [{key: one for found in each.results() for key, one in found.summary.items()} for each in (here, there)]
    assert scores[0] == scores[1]


def test_one_shard_is_named_as_it_is_here(sets: dict[str, Path], s3: str) -> None:  # noqa: F811
    address = uploaded(sets["tar"], s3.format("tar")).replace("tar?", "tar/0.tar?")
    keys = [
        [one.key for one in units(SweepPlan.of({**PLAN, "data": [{"images": one, "name": "set"}]}))]
        for one in (address, str(sets["tar"] / "0.tar"))
    ]
    assert keys[0] == keys[1]


def test_the_walk_of_a_folder_is_the_same(tmp_path: Path) -> None:
    for name in ("b/x.png", "a/deep/y.png", "a/z.png", "a/a.png", "n01440764_3.png", "c/.hidden.png", "c/k.png"):
        (tmp_path / "flat" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "flat" / name)
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "flat" / "a" / "z_mask.png")
    (tmp_path / "flat" / "notes.txt").write_text("no picture")
    (tmp_path / "flat" / "labels.csv").write_text("filename,label\nb/x.png,bee\n")
    for name in ("val/hen/1.png", "val/hen/deep/0.png", "train/cock/2.png", "val/0.png"):
        (tmp_path / "split" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "split" / name)
    for name in ("flat", "split"):
        address = uploaded(tmp_path / name, f"memory://walk/{name}")
        found = [
            (str(one.path).removeprefix(address), one.label, one.split, one.mask and one.mask.name)
            for one in stored_pictures(StoredFile(address))
        ]
        expected = [
            (str(one.path).removeprefix(str(tmp_path / name)), one.label, one.split, one.mask and one.mask.name)
            for one in Folder(tmp_path / name)
        ]
        assert found == expected
        assert len(found) == (6 if name == "flat" else 4)


def test_what_gives_access_is_in_no_hash_row_board_or_error(
    sets: dict[str, Path],  # noqa: F811
    s3: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = uploaded(sets["tar"], s3.format("tar"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    said = address.replace("s3://", "s3://AKIDOFNOBODY:topsecretword@")
    plan = SweepPlan.of({**PLAN, "data": [said]})
    assert plan.data[0].name == "tar"
    plain = SweepPlan.of({**PLAN, "data": [address.replace("s3://", "s3://other:other@")]})
    assert [one.key for one in units(plan)] == [one.key for one in units(plain)]
    found = sweep(plan, tmp_path / "out")
    texts = [page_of(board(found)), json.dumps(found.units), json.dumps(dict(found.plan))]
    texts += [one.decode("latin-1") for one in files(tmp_path / "out").values()]
    texts += [one.read_text() for one in (tmp_path / "out").glob("*.json")]
    texts += [repr(StoredFile(said)), str(StoredFile(said, "x.png")), public(said)]
    with pytest.raises(ParameterError) as gone:
        SweepPlan.of({**PLAN, "data": [said.replace("/tar?", "/nothing?")]})
    with pytest.raises(ParameterError) as refused:
        SweepPlan.of({**PLAN, "data": [said.replace("swept/", "no-such-bucket/")]})
    with pytest.raises(ParameterError) as unknown:
        SweepPlan.of({**PLAN, "data": ["nosuch://AKIDOFNOBODY:topsecretword@host/x"]})
    with pytest.raises(OSError, match=r".") as missing:
        StoredFile(said, "none.png").read()
    texts += [str(one.value) for one in (gone, refused, unknown, missing)]
    assert "nothing at 's3://swept/nothing'" in str(gone.value)
    for text in texts:
        assert "topsecretword" not in text
        assert "AKIDOFNOBODY" not in text
        assert "endpoint_override" not in text
    assert pickle.loads(pickle.dumps(StoredFile(said))) == StoredFile(said)  # workers are told where they lie


def test_a_picture_that_is_lost_meanwhile_is_left_out(sets: dict[str, Path]) -> None:  # noqa: F811
    address = uploaded(sets["folder"], "memory://lost/set")
    plan: dict[str, Any] = {**PLAN, "probes": ["consistency"], "data": [address]}
    some = SweepPlan.of(plan)
    before = units(some)
    store, root = reach(address)
    store.delete_file(f"{root}/hen/00.png")
    assert len(units(some)) == len(before)  # eleven and ten both make three
    from explorer.models.loading import load
    from explorer.sweep.work import measure

    rows, notes = measure(before[0], load("random/test_vit", "cpu"))
    assert {row["n"] for row in rows if row["measure"] == "consistency"} == {3}
    assert any("00.png" in note for note in notes)
