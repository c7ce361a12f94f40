"""A probe run on parts gives, put together, the numbers that it gives on the whole: for every probe that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explorer.models.loading import load
from explorer.models.model import Model
from explorer.probes import PROBES
from explorer.probes.parts import whole
from explorer.probes.rows import Row
from explorer.probes.run import steps
from explorer.probes.stimuli import Stimuli, read

#: Cheap parameters of probes that take long.
FEW: dict[str, dict[str, Any]] = {"translation": {"side": 3, "step": 4}, "scale": {"steps": 5}}
PICTURES = [name for name, kind in PROBES.items() if kind.parts and name != "shape-bias"]
SCENES = [name for name, kind in PROBES.items() if kind.parts == "pictures and scenes"]
#: What a picture's numbers may differ by where it is computed in a batch of another size.
ROUNDING = 2e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance, root = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    for number in range(11):
        (root / f"{200 + number % 3}").mkdir(exist_ok=True)
        pixels = np.kron(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8), np.ones((30, 30, 1), dtype=np.uint8))
        Image.fromarray(pixels).save(root / f"{200 + number % 3}" / f"{number}.png")
    return root


def rows_of(name: str, model: Model, shown: Stimuli, batch: int = 4) -> list[Row]:
    given = FEW.get(name, {})
    *_, last = steps(name, [model], shown, seed=3, batch=batch, keep=True, **given)
    return last.rows


def parts_of(name: str, model: Model, shown: Stimuli, sizes: Sequence[int]) -> list[list[Row]]:
    out, start = [], 0
    for size in sizes:
        numbers = range(start, start + size)
        part = replace(shown, items=shown.items[start : start + size], numbers=tuple(numbers))
        out.append(rows_of(name, model, part))
        start += size
    assert start == len(shown.items)
    return out


def compare(found: list[Row], expected: list[Row], rel: float = 1e-4, rounding: float = ROUNDING) -> None:
    assert expected, "nothing was measured"

    def key(row: Row) -> str:
        numbers = ("value", "low", "high", "n", "interval", "stimuli", "whole")
        return repr(sorted((name, str(value)) for name, value in row.items() if name not in numbers))

    one, other = ({key(row): row for row in rows} for rows in (found, expected))
    assert one.keys() == other.keys()
    assert len(other) == len(expected)
    for name, row in other.items():
        assert one[name]["n"] == row["n"], name
        assert one[name]["interval"] == row["interval"], name
        for end in ("value", "low", "high", "whole"):
            if row.get(end) is None:
                assert one[name].get(end) is None, (name, end)
            else:
                assert one[name][end] == pytest.approx(row[end], rel=rel, abs=rounding), (name, end)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_in_parts_are_the_whole(name: str, folder: Path) -> None:
    shown = read(folder)
    model = load("random/test_vit", "cpu")
    compare(whole(PROBES[name], parts_of(name, model, shown, (4, 1, 6))), rows_of(name, model, shown))


@pytest.mark.parametrize("name", SCENES)
def test_scenes_in_parts_are_the_whole(name: str) -> None:
    shown = read(14, 2)
    model = load("lab/mhsa", "cpu")
    compare(whole(PROBES[name], parts_of(name, model, shown, (5, 9))), rows_of(name, model, shown))


def test_parts_of_whole_batches_are_the_same(folder: Path) -> None:
    shown = read(folder)
    model = load("random/test_vit", "cpu")
    for name in ("consistency", "edges", "attention-distance"):
        # What is left is the order in which shares are added.
        found = whole(PROBES[name], parts_of(name, model, shown, (4, 4, 3)))
        compare(found, rows_of(name, model, shown), 1e-14, 0.0)


def test_rows_that_are_made_of_nothing_are_no_part(folder: Path) -> None:
    shown = read(folder)
    model = load("random/test_vit", "cpu")
    parts = [[dict(row) for row in rows] for rows in parts_of("edges", model, shown, (5, 6))]
    with pytest.raises(ValueError, match="do not say what they are made of"):
        whole(PROBES["edges"], parts)
