"""Cue conflicts made of photographs: what is quilted and worn, against naive ways, and the set that ships."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from explorer.images.conflicts import SHAPES, SIDE, TEXTURES, conflicts, quilted, seam, worn
from explorer.probes.categories import CATEGORIES

RNG = np.random.default_rng(0)


def test_the_seam_is_the_cheapest_of_all_paths() -> None:
    differ = RNG.random((5, 4))
    paths = [
        path
        for path in itertools.product(range(4), repeat=5)
        if all(abs(one - other) <= 1 for one, other in itertools.pairwise(path))
    ]
    best = min(paths, key=lambda path: sum(differ[row, at] for row, at in enumerate(path)))
    assert seam(differ).tolist() == [[column >= at for column in range(4)] for at in best]


def test_a_quilt_is_made_of_its_texture_alone() -> None:
    # Each pixel's red is its row and its green its column, so that a quilt's neighbours tell where they were cut from.
    texture = np.stack([*np.mgrid[0:40, 0:50], np.full((40, 50), 7)], -1).astype(float)
    quilt = quilted([texture], 64, 24, 0)
    assert quilt.shape == (64, 64, 3)
    assert set(map(tuple, quilt.reshape(-1, 3))) <= set(map(tuple, texture.reshape(-1, 3)))
    together = (np.diff(quilt[..., 1], axis=1) == 1) & (np.diff(quilt[..., 0], axis=1) == 0)
    assert 0.9 < together.mean() < 1


def test_a_quilt_is_another_with_another_seed_and_the_same_with_the_same() -> None:
    texture = RNG.random((60, 60, 3)) * 255
    first, again, other = (quilted([texture], 64, 24, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_light_is_worn_on_the_object_alone() -> None:
    shape = np.full((2, 2, 3), 255.0)
    shape[0, 0] = 0, 255, 0  # green: a luminance of 0.587
    mask = np.array([[True, True], [False, False]])
    on, behind = np.full((2, 2, 3), 100.0), np.full((2, 2, 3), 40.0)
    assert worn(shape, mask, on, behind)[..., 0].tolist() == [[59, 100], [40, 40]]
    assert worn(shape, mask, on, behind, depth=2)[0, 0, 0] == round(100 * 0.587**2)
    assert worn(shape, mask, on, behind, depth=0)[0, 0, 0] == 100


def test_the_set_that_ships_is_whole() -> None:
    pictures = sorted(path.stem for path in conflicts().glob("*.jpg"))
    made = {name.partition("-")[::2] for name in pictures}
    assert {shape for shape, _ in made} == set(SHAPES)
    assert {texture for _, texture in made} == set(TEXTURES)
    kinds = sorted((SHAPES[shape].category, TEXTURES[texture].category) for shape, texture in made)
    assert all(shape != texture and {shape, texture} <= set(CATEGORIES) for shape, texture in kinds)
    # Every shape meets every other category of texture once.
    textures = {one.category for one in TEXTURES.values()}
    assert kinds == sorted(
        (one.category, texture) for one in SHAPES.values() for texture in textures if texture != one.category
    )
    assert {Image.open(conflicts() / f"{name}.jpg").size for name in pictures} == {(SIDE, SIDE)}
    assert sum(path.stat().st_size for path in conflicts().iterdir()) < 2**20


@pytest.mark.parametrize("name", SHAPES)
def test_the_object_is_the_darker_part_where_the_mask_says(name: str) -> None:
    """A picture wears the light of its shape: on the object it is darker than its texture is elsewhere."""
    mask = np.asarray(Image.open(conflicts() / f"mask_{name}.png").convert("L")) < 128
    assert 0.03 < mask.mean() < 0.6
    for path in conflicts().glob(f"{name}-*.jpg"):
        light = np.asarray(Image.open(path).convert("L"), float)
        assert light[mask].mean() < 0.95 * light[~mask].mean(), path.name


def test_every_photograph_has_an_author_a_source_and_a_licence_that_allows_it() -> None:
    lines = [line for line in (conflicts() / "credits.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    rows = {cells[0]: cells for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:])}
    assert set(rows) == {one.file for one in (*SHAPES.values(), *TEXTURES.values())}
    for file, (_, shows, author, source, licence, shape, texture) in rows.items():
        assert shows
        assert author
        assert "://" in source or source.startswith("scikit-image")
        assert licence.startswith(("CC BY", "CC0 1.0", "public domain"))
        assert [shape] == ([name for name, one in SHAPES.items() if one.file == file] or [""])
        assert [texture] == ([name for name, one in TEXTURES.items() if one.file == file] or [""])
