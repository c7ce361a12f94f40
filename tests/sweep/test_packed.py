"""Pictures in WebDataset's and Parquet's shards are the pictures of a folder."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from explorer.errors import ParameterError
from explorer.images import read_image
from explorer.images.folders import Folder
from explorer.images.packed import pictures_of, shards_of
from explorer.sweep.plan import SweepPlan
from explorer.sweep.run import sweep
from explorer.sweep.units import units

PLAN: dict[str, Any] = {
    "models": ["random/test_vit"],
    "probes": ["consistency", "heads"],
    "shard": 4,
    "batch": 4,
    "device": "cpu",
}
CLASSES = ["hen", "tench"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same eleven pictures as a folder, as two .tar files and as two Parquet files."""
    chance, root = np.random.default_rng(0), tmp_path_factory.mktemp("sets")
    found = {name: root / name for name in ("folder", "tar", "parquet", "plain")}
    for one in found.values():
        one.mkdir()
    files: list[tuple[str, str, bytes]] = []
    for number in range(11):
        label = CLASSES[number // 6]
        pixels = np.kron(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8), np.ones((30, 30, 1), dtype=np.uint8))
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files.append((f"{number:02}", label, buffer.getvalue()))
        (found["folder"] / label).mkdir(exist_ok=True)
        (found["folder"] / label / f"{number:02}.png").write_bytes(buffer.getvalue())
    info = {"info": {"features": {"label": {"names": CLASSES, "_type": "ClassLabel"}}}}
    for part, some in enumerate((files[:7], files[7:])):
        with tarfile.open(found["tar"] / f"{part}.tar", "w") as archive:
            for name, label, data in some:
                for ending, content in (("cls", label.encode()), ("png", data), ("json", b"{}")):
                    member = tarfile.TarInfo(f"a/{name}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        columns = {
            "image": [{"bytes": data, "path": name} for name, _, data in some],
            "label": [CLASSES.index(label) for _, label, _ in some],
        }
        table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(info)})
        pq.write_table(table, found["parquet"] / f"{part}.parquet", row_group_size=3)
        pq.write_table(pa.table({"image": [data for _, _, data in some]}), found["plain"] / f"{part}.parquet")
    return found


def test_every_picture_is_there_with_its_class(sets: dict[str, Path]) -> None:
    expected = [(one.path.read_bytes(), one.label) for one in Folder(sets["folder"])]
    assert len(expected) == 11
    for name in ("tar", "parquet"):
        found = list(pictures_of(shards_of(sets[name])))
        assert [(one.bytes(), one.label) for one in found] == expected, name
        assert found[8].bytes() == expected[8][0]  # in any order
        assert read_image(found[2].bytes()).image.size == (180, 180)
    assert [(one.bytes(), one.label) for one in pictures_of(shards_of(sets["plain"]))] == [
        (data, "") for data, _ in expected
    ]
    assert not shards_of(sets["folder"])


def test_numbers_are_those_of_a_folder(sets: dict[str, Path], tmp_path: Path) -> None:
    def summary(name: str) -> dict[str, Any]:
        plan = {**PLAN, "data": [{"images": str(sets[name]), "name": "set"}]}
        found = sweep(plan, tmp_path / name)
        assert not found.failed
        return {key: score for one in found.results() for key, score in one.summary.items()}

    expected = summary("folder")
    assert expected["random/test_vit: consistency"].n == 11
    assert any("head" in key for key in expected)  # of a probe that is shown all at once
    assert summary("tar") == expected
    assert summary("parquet") == expected


def test_units_know_what_is_in_a_shard(sets: dict[str, Path]) -> None:
    def keys(path: Path) -> list[str]:
        return [one.key for one in units(SweepPlan.of({**PLAN, "data": [{"images": str(path), "name": "set"}]}))]

    before = keys(sets["tar"])
    assert len(before) == 3 + 1
    one = keys(sets["tar"] / "0.tar")
    assert one[0] == before[0]
    assert len(one) == 2 + 1


def test_cue_conflicts_in_a_shard_are_known_by_their_names(data: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cues.tar", "w") as archive:
        for file in sorted((data / "cue_conflict").glob("*.png"))[:40]:
            archive.add(file, file.name)
    plan = {**PLAN, "probes": ["shape-bias"], "models": [f"local-dir:{data / 'weights' / 'mobilenetv2_100'}"]}
    found = sweep({**plan, "data": [str(tmp_path / "cues.tar")]}, tmp_path / "out")
    (result,) = found.results()
    assert sum(one["images"] for one in found.units) == 40 - sum(
        one.name.startswith("mask_") for one in sorted((data / "cue_conflict").glob("*.png"))[:40]
    )
    assert any(row["measure"] == "shape bias" for row in result.rows)


def test_what_is_no_shard_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive at all, but long enough to be one" * 40)
    pq.write_table(pa.table({"pixels": [1]}), tmp_path / "y.parquet")
    (tmp_path / "z.txt").write_text("")
    for name, says in (
        ("x.tar", "cannot be read as a shard"),
        ("y.parquet", "no column 'image' but pixels"),
        ("z.txt", "no .tar or .parquet file"),
    ):
        with pytest.raises(ParameterError, match=says):
            units(SweepPlan.of({**PLAN, "data": [str(tmp_path / name)]}))
