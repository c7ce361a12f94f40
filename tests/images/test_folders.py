"""One reader of folders: every layout that people have, and what is said of the rest."""

from __future__ import annotations

import itertools
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.errors import ParameterError
from explorer.images.folders import Folder

from .files import encode

PICTURE = encode(Image.new("RGB", (3, 2), "red"))


def put(root: Path, *names: str, data: bytes = PICTURE) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def found(root: Path) -> dict[str, str]:
    return {one.path.relative_to(root).as_posix(): one.label for one in Folder(root)}


def test_the_class_is_the_first_folder_and_what_is_deeper_belongs_to_it(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.png", "dog/2019/summer/b.png", "cat/c.png")
    assert found(tmp_path) == {"cat/c.png": "cat", "dog/a.png": "dog", "dog/2019/summer/b.png": "dog"}


@pytest.mark.parametrize("name", ["train", "TRAIN", "Val", "valid", "Validation", "test"])
def test_splits_have_classes_in_them_in_any_case(name: str, tmp_path: Path) -> None:
    put(tmp_path, f"{name}/dog/a.png", f"{name}/dog/deep/b.png", f"{name}/cat/c.png")
    put(tmp_path, "notes/readme.txt", data=b"words")
    assert set(found(tmp_path).values()) == {"dog", "cat"}
    assert {one.split for one in Folder(tmp_path)} == {name}


def test_a_picture_is_what_can_be_opened_by_its_content(tmp_path: Path) -> None:
    jpeg = encode(Image.new("RGB", (3, 2)), "JPEG")
    put(tmp_path, "dog/a.jfif", "dog/b.dat", "dog/c", "dog/d.PNG", "dog/e.txt", data=jpeg)
    for number, format in enumerate(("GIF", "BMP", "TIFF", "WEBP")):
        put(tmp_path, f"dog/{number}.img", data=encode(Image.new("RGB", (3, 2)), format))
    put(tmp_path, "dog/notes.txt", "dog/data.json", "dog/BMW.md", data=b"BM is what it begins with")
    folder = Folder(tmp_path)
    assert len(list(folder)) == 9
    assert folder.left_out == {}


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.png", ".git/x.png", "__MACOSX/dog/._a.png", "dog/._a.png", ".ipynb_checkpoints/a.png")
    put(tmp_path, "dog/.ipynb_checkpoints/a-checkpoint.png", "dog/Thumbs.db", "dog/desktop.ini", "dog/.DS_Store")
    put(tmp_path, "dog/THUMBS.DB", ".hidden.png")
    folder = Folder(tmp_path)
    assert [one.path.name for one in folder] == ["a.png"]
    assert folder.notes == ()


def test_what_cannot_be_read_is_counted_and_named_with_its_path(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.png")
    put(tmp_path, "dog/empty.png", data=b"")
    put(tmp_path, "dog/phone.heic", data=b"\0\0\0\x18ftypheic")
    folder = Folder(tmp_path)
    assert len(list(folder)) == 1
    assert folder.notes[0].startswith("2 pictures could not be read")
    assert str(tmp_path / "dog" / "empty.png") in folder.notes[0]
    assert str(tmp_path / "dog" / "phone.heic") in folder.notes[0]


def test_links_are_followed_once_and_rings_end(tmp_path: Path) -> None:
    outside = put(tmp_path / "elsewhere", "x.png", "y.png")
    root = put(tmp_path / "root", "zebra/a.png", "ant/b.png")
    (root / "ant" / "up").symlink_to(root)
    (root / "ant" / "sibling").symlink_to(root / "zebra")
    (root / "alias").symlink_to(root / "zebra")
    (root / "linked").symlink_to(outside)
    (root / "linked2").symlink_to(outside)
    (root / "around").symlink_to(tmp_path)
    (root / "zebra" / "again.png").symlink_to(root / "zebra" / "a.png")
    (root / "zebra" / "far.png").symlink_to(outside / "x.png")
    (root / "zebra" / "gone.png").symlink_to(outside / "none.png")
    folder = Folder(root)
    seen = [one.path.relative_to(root).as_posix() for one in folder]
    assert seen == ["ant/b.png", "zebra/a.png", "zebra/far.png", "linked/x.png", "linked/y.png"]
    assert list(folder.left_out) == ["zebra/gone.png"]


def test_a_link_into_a_hidden_store_is_a_picture(tmp_path: Path) -> None:
    put(tmp_path, ".git/annex/objects/1.png", "dog/a.png")
    (tmp_path / "dog" / "b.png").symlink_to(tmp_path / ".git" / "annex" / "objects" / "1.png")
    assert found(tmp_path) == {"dog/a.png": "dog", "dog/b.png": "dog"}


@pytest.mark.parametrize(
    "text",
    [
        "filename,label\na.png,dog\nb.png,cat\n",
        "a.png,dog\nb.png,cat\n",
        "label,extra,file\ndog,1,a.png\ncat,2,./b.png\n",
        "ImageId,PredictionString\na,dog\nb,cat\n",
        "\ufefffilename,label\r\na.png,dog\r\nb.png,cat\r\n",
    ],
)
def test_a_flat_folder_has_the_labels_of_its_csv(text: str, tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    assert found(tmp_path) == {"a.png": "dog", "b.png": "cat", "c.png": ""}


def test_a_csv_may_name_pictures_in_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    (tmp_path / "labels.csv").write_text("file,label\nimages/a.png,n02111889 10 20 30 40\nimages/b.png,cat\n")
    assert found(tmp_path) == {"images/a.png": "n02111889", "images/b.png": "cat"}
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ParameterError, match=r"labels\.csv.*cannot be read as labels.*are expected"):
        found(tmp_path)


def test_a_flat_folder_has_the_synsets_of_its_names(tmp_path: Path) -> None:
    put(tmp_path, "n02111889_123.JPEG", "ILSVRC2012_val_00000293_n02110185.JPEG", "N02085620-x.png", "dog.png")
    assert found(tmp_path) == {
        "n02111889_123.JPEG": "n02111889",
        "ILSVRC2012_val_00000293_n02110185.JPEG": "n02110185",
        "N02085620-x.png": "n02085620",
        "dog.png": "",
    }


def test_masks_belong_to_their_pictures(tmp_path: Path) -> None:
    put(tmp_path, "dog/dog.jpg", "dog/dog_mask.png", "dog/gas_mask.png")
    masks = {one.path.name: one.mask for one in Folder(tmp_path)}
    assert masks == {"dog.jpg": tmp_path / "dog" / "dog_mask.png", "gas_mask.png": None}


def test_another_layout_is_answered_with_what_is_expected_and_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no folder"):
        Folder(tmp_path / "none")
    put(tmp_path / "docs", "a/readme.md", "b.pdf", "c.pdf", data=b"%PDF")
    with pytest.raises(ParameterError, match=r"DIR/CLASS/picture.*found: a/, 2 files with \.pdf"):
        found(tmp_path / "docs")
    put(tmp_path / "mixed", "train/dog/a.png", "cat/b.png")
    with pytest.raises(ParameterError, match=r"both train and cat.*expected"):
        found(tmp_path / "mixed")


def test_memory_does_not_grow_with_the_folder(tmp_path: Path) -> None:
    """Pictures come one by one: the first before the last class is looked at, and none is kept."""
    pixels = encode(Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)), "BMP")

    def peak(classes: int) -> int:
        root = tmp_path / str(classes)
        for name, number in itertools.product(range(classes), range(50)):
            put(root, f"{name:03}/{number}.bmp", data=pixels)
        tracemalloc.start()
        assert sum(1 for _ in Folder(root)) == classes * 50
        out = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return out

    few, many = peak(4), peak(60)
    assert many < few + 150_000  # 2,800 more files of 4,800 bytes
    first = next(iter(Folder(tmp_path / "60")))
    assert first.path.name == "0.bmp"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_opened_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.png", "cat/b.png")
    (tmp_path / "cat").chmod(0)
    folder = Folder(tmp_path)
    assert len(list(folder)) == 1
    assert list(folder.left_out) == ["cat"]
