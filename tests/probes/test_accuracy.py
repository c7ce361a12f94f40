"""accuracy: what timm's own validation counts, over any number of pictures, in parts or at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import ImageDataset, create_loader, resolve_data_config
from timm.data.imagenet_info import ImageNetInfo

from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.probes import PROBES, probe
from explorer.probes.accuracy import _ranks
from explorer.sweep.run import sweep

SYNSETS = ("n01440764", "n02085620", "n02123045")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven pictures of three of ImageNet's classes, of different sizes and shapes."""
    chance = np.random.default_rng(0)
    for number in range(11):
        place = tmp_path / "set" / SYNSETS[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.kron(
            chance.integers(0, 256, (5, 4 + number % 3, 3), dtype=np.uint8), np.ones((40, 40, 1), np.uint8)
        )
        Image.fromarray(pixels).save(place / f"{number:02}.png")
    return tmp_path / "set"


def test_it_counts_what_timms_validation_counts(data: Path, folder: Path) -> None:
    weights = data / "weights" / "vit_tiny_patch16_224"
    network = timm.create_model(f"local-dir:{weights}", pretrained=True).eval()
    config = resolve_data_config({}, model=network)
    # Classes that the model does answer, so that some are right.
    order = ImageNetInfo().label_names()
    loader = create_loader(
        ImageDataset(str(folder)),
        config["input_size"],
        4,
        use_prefetcher=False,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        num_workers=0,
        crop_pct=config["crop_pct"],
        device=torch.device("cpu"),
    )
    with torch.inference_mode():
        logits = torch.cat([network(pictures) for pictures, _ in loader])
    answers = logits.argmax(1).tolist()
    # The pictures are put into the folders of what timm's loop answers, but for two.
    files = sorted(folder.rglob("*.png"))
    named = folder.parent / "named"
    for number, (file, answer) in enumerate(zip(files, answers)):
        wrong = number in (3, 7)
        label = order[(answer + 1) % 1000] if wrong else order[answer]
        (named / label).mkdir(parents=True, exist_ok=True)
        file.rename(named / label / file.name)
    truth = torch.tensor(
        [order.index(one.parent.name) for one in sorted(named.rglob("*.png"), key=lambda one: one.name)]
    )
    by_name = torch.tensor([sorted(files, key=lambda one: one.name).index(one) for one in files]).argsort()
    logits = logits[by_name]
    five = (logits.topk(5, 1).indices == truth[:, None]).any(1)
    found = probe("accuracy", f"local-dir:{weights}", named, device="cpu")
    rows = {str(row["measure"]): row for row in found.rows}
    assert rows["accuracy"]["value"] == pytest.approx(9 / 11)
    assert rows["accuracy"]["n"] == 11
    assert rows["top-5 accuracy"]["value"] == pytest.approx(five.double().mean().item())
    assert rows["accuracy"]["low"] < 9 / 11 < rows["accuracy"]["high"]


def test_ranks_are_those_of_a_sort() -> None:
    chance = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 5, (50, 12), generator=chance).float()  # many are equal
    truth = torch.randint(0, 12, (50,), generator=chance).tolist()
    order = logits.sort(dim=1, descending=True, stable=True).indices
    assert _ranks(logits, truth) == [row.tolist().index(one) for row, one in zip(order, truth)]
    logits[3, 5] = float("nan")
    assert _ranks(logits, truth)[3] == 12


def test_what_cannot_be_counted_is_left_out_and_said(folder: Path) -> None:
    (folder / SYNSETS[0] / "00.png").write_bytes((folder / SYNSETS[0] / "00.png").read_bytes()[:200])
    (folder / "my own class").mkdir()
    (folder / SYNSETS[1] / "01.png").rename(folder / "my own class" / "01.png")
    found = probe("accuracy", "random/test_vit", folder, device="cpu")
    assert {row["n"] for row in found.rows} == {9}
    notes = " ".join(map(str, found.notes))
    assert "1 picture could not be read and was left out: 00.png" in notes
    assert "1 picture was left out, as its class is not known" in notes
    for one in SYNSETS:
        (folder / one).rename(folder / f"not {one[1:]}")
    with pytest.raises(MethodError, match="none of these pictures' classes"):
        probe("accuracy", "random/test_vit", folder, device="cpu")


def test_models_of_few_classes_have_no_top_5() -> None:
    found = probe("accuracy", "lab/mhsa", 24, device="cpu")
    assert [str(row["measure"]) for row in found.rows] == ["accuracy", "top-5 accuracy"]
    few = load("random/test_vit", "cpu")
    few.num_classes = 10
    few.labels = ()
    few.module.head = torch.nn.Linear(few.module.head.in_features, 10)
    from explorer.images import read_image
    from explorer.probes.stimuli import Stimuli, Stimulus

    picture = read_image(np.zeros((40, 40, 3), dtype=np.uint8))
    found = probe("accuracy", few, Stimuli((Stimulus("x", picture, "3"),), "one"))
    assert [row["measure"] for row in found.rows] == ["accuracy"]


def test_parts_are_the_whole(folder: Path, tmp_path: Path) -> None:
    expected = probe("accuracy", "random/test_vit", folder, device="cpu")
    plan: dict[str, Any] = {"models": ["random/test_vit"], "probes": ["accuracy"], "data": [str(folder)]}
    swept = sweep({**plan, "shard": 4, "batch": 4, "device": "cpu"}, tmp_path / "out")
    assert len(swept.units) == 3
    (found,) = swept.results()
    assert found.summary == expected.summary
    assert found.summary["random/test_vit: accuracy"].n == 11


def test_pictures_are_read_ahead_and_let_go(folder: Path) -> None:
    from explorer.images.folders import Folder
    from explorer.images.on_disk import OnDisk
    from explorer.probes.ahead import Ahead

    model = load("random/test_vit", "cpu")
    sources = [OnDisk(one) for one in Folder(folder)]
    with Ahead(model, sources) as read:
        for start in range(0, 11, 2):
            stop = min(11, start + 2)
            expected = torch.cat([model.preprocess(one.image) for one in sources[start:stop]])
            assert torch.equal(read.batch(start, stop), expected)
            assert len(read._under_way) <= 6
    assert PROBES["accuracy"].streams
