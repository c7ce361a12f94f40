"""Pictures of a folder that are too many to be held give the same numbers as held ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.lab import fit_data
from explorer.lab.fit_data import FitRecipe
from explorer.lab.fitting import fit
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.probes import probe, stimuli
from explorer.probes.stimuli import Pictures, Shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for number in range(12):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        pixels = chance.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / str(number % 2) / f"{number}.png")
    (tmp_path / "1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return tmp_path


def test_pictures_read_when_they_are_looked_at_are_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("random/test_resnet", "cpu")
    held = Shown(model, stimuli.read(folder)).images
    assert isinstance(held, torch.Tensor)
    monkeypatch.setattr(stimuli, "HELD_BYTES", 0)
    many = Shown(model, stimuli.read(folder)).images
    assert isinstance(many, Pictures)
    assert (len(many), many.shape) == (12, held.shape)
    for which in (3, -1, slice(2, 7), slice(5, 5), [4, 0, 4], torch.tensor([1, 11])):
        assert torch.equal(many[which], held[which])


@pytest.mark.parametrize("name", ["consistency", "patch-shuffle", "scale"])
def test_a_probe_gives_the_same_numbers_and_names_what_was_left_out(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"passes": 1} if name == "consistency" else {}
    held = probe(name, "random/test_resnet", folder, device="cpu", **given)
    monkeypatch.setattr(stimuli, "HELD_BYTES", 0)
    many = probe(name, "random/test_resnet", folder, device="cpu", **given)
    assert many.rows == held.rows
    assert many.notes[0].startswith("1 picture could not be read")
    assert str(folder / "1" / "broken.png") in many.notes[0]


def test_a_fit_of_more_than_fits_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec.parse("random/test_resnet+mhsa@3", input_size=(64, 64))
    held = fit(spec, folder, FitRecipe(epochs=1, batch=4), "cpu")
    monkeypatch.setattr(fit_data, "HELD_BYTES", 3 * 3 * 64 * 64)
    some = fit(spec, folder, FitRecipe(epochs=1, batch=4), "cpu")
    assert all(torch.equal(held.tensors[name], some.tensors[name]) for name in held.tensors)
    assert held.record["pictures"] + held.record["held_out"] == 12
    assert any("1 picture could not be read" in note for note in held.notes)
