"""Maps that follow, maps that stay and maps that are the same everywhere; and all numbers once more, by naive loops."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from torch import Tensor

import explorer
from explorer.attention.mass import received
from explorer.attention.watch import capture
from explorer.errors import MethodError, ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes import position_embeddings
from explorer.probes.agreement import agreement, top_overlap
from explorer.statistics import rank_correlation
from explorer.transforms import Transform

PICTURES = [(torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(n)) * 255).byte().numpy() for n in range(3)]


def vit() -> Model:
    """A small random ViT on 64 x 64 px, a grid of 4 x 4, that pools the mean over patches."""
    given = {"depth": 2, "global_pool": "avg", "class_token": False, "fc_norm": True, "num_classes": 10}
    spec = ModelSpec("vit_tiny_patch16_224", "random", options=tuple(sorted(given.items())), input_size=(64, 64))
    return load(spec, "cpu")


def shifted(model: Model, **given: Any) -> Any:
    return explorer.probe("map-equivariance", model, PICTURES, shift=16, **given)


# ---- known answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["attention", "gradcam"])
def test_maps_of_a_vit_without_position_follow_a_cyclic_shift_of_patches(what: str) -> None:
    model = position_embeddings.without_position(vit(), "absolute")
    result = shifted(model)
    rows = result.of(str(model.spec), map=what, move="shift")
    slopes = [one for one in rows if one["measure"] == "slope of the centre of mass"]
    assert [one["value"] for one in slopes] == pytest.approx([1.0] * len(slopes), abs=1e-3)
    ranks = [one["value"] for one in rows if one["measure"] == "rank correlation"]
    assert ranks == pytest.approx([1.0] * len(ranks), abs=1e-6)
    tops = [one["value"] for one in rows if one["measure"] == "overlap of the top tenth"]
    assert tops == pytest.approx([1.0] * len(tops), abs=1e-6)
    # two layers with three heads and their mean, and the mean over layers; or one attribution
    assert len(slopes) == {"attention": 9, "gradcam": 1}[what]
    stays = next(one for one in result.of(str(model.spec), measure="answer stays", move="shift"))
    assert stays["value"] == 1


def test_maps_of_learnt_positions_alone_stay() -> None:
    model = vit()
    model.module.patch_embed.proj.weight.data.zero_()  # type: ignore[union-attr,operator]
    model.module.patch_embed.proj.bias.data.zero_()  # type: ignore[union-attr,operator]
    model.module.pos_embed.data.mul_(50)  # type: ignore[union-attr,operator]
    result = shifted(model)
    rows = [one for one in result.of(str(model.spec), move="shift") if one.get("map") in ("attention", "gradcam")]
    slopes = [one["value"] for one in rows if one["measure"] == "slope of the centre of mass"]
    assert len(slopes) == 10
    assert slopes == pytest.approx([0.0] * 10, abs=1e-6)
    still = [one["value"] for one in rows if one["measure"] == "rank correlation, not brought back"]
    assert still == pytest.approx([1.0] * 10, abs=1e-6)
    ranks = [one["value"] for one in rows if one["measure"] == "rank correlation"]
    assert max(ranks) < 0.9


def test_a_constant_map_gives_no_number_and_is_counted() -> None:
    model = position_embeddings.without_position(vit(), "absolute")
    model.module.patch_embed.proj.weight.data.zero_()  # type: ignore[union-attr,operator]
    result = shifted(model)
    rows = [one for one in result.of(str(model.spec)) if one.get("map") == "attention"]
    assert rows
    for one in rows:
        assert one["value"] is None
        assert (one["n"], one["undefined"]) == (0, len(PICTURES))
    assert not any("attention" in name for name in result.summary)
    flat, ramp = torch.full((4, 4), 0.25), torch.arange(16.0).view(4, 4)
    for before, after in ((flat, ramp), (ramp, flat), (flat + 1e-9 * ramp, ramp)):
        found = agreement(before, after, Transform(dx=16, border="wrap"), (64, 64), None, wraps=True)
        assert all(map(math.isnan, found))


def test_random_maps_agree_by_chance_alone() -> None:
    pictures = [
        (torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(n)) * 255).byte().numpy() for n in range(24)
    ]
    model = load("random/test_resnet", "cpu")
    result = explorer.probe("map-equivariance", model, pictures)
    rows = {one["measure"]: one for one in result.of(str(model.spec), map="random maps", move="shift")}
    assert rows["rank correlation"]["low"] < 0 < rows["rank correlation"]["high"]
    assert rows["rank correlation"]["n"] == 24
    assert rows["slope of the centre of mass"]["low"] < 0 < rows["slope of the centre of mass"]["high"]
    assert rows["slope of the centre of mass"]["high"] < 0.7
    cells = model.stages[-1].grid[0] * model.stages[-1].grid[1]
    assert rows["overlap of the top tenth"]["value"] == pytest.approx(max(1, round(cells / 10)) / cells, abs=0.03)


def test_what_cannot_be_followed_or_moved_so_far_is_refused() -> None:
    with pytest.raises(ParameterError, match="at most a third of the frame, 16 px"):
        explorer.probe("map-equivariance", "lab/conv", 2, device="cpu", shift=30)
    with pytest.raises(ParameterError, match="shift"):
        explorer.probe("map-equivariance", "lab/conv", 2, device="cpu", shift=0)
    model = load("random/test_resnet", "cpu")
    with pytest.raises(MethodError, match=r"nothing to follow: .*rollout"):
        explorer.probe("map-equivariance", model, PICTURES, method="attention_rollout")


# ---- the same numbers, by loops -------------------------------------------------------------------------------------


def naive_rank(values: list[float]) -> list[float]:
    return [sum(b < a for b in values) + (1 + sum(b == a for b in values)) / 2 for a in values]


def naive_spearman(a: list[float], b: list[float]) -> float:
    a, b = naive_rank(a), naive_rank(b)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    return top / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))


def naive_overlap(a: list[float], b: list[float]) -> float:
    count = max(1, round(len(a) / 10))
    top = [set(sorted(range(len(a)), key=lambda place, values=values: -values[place])[:count]) for values in (a, b)]
    return len(top[0] & top[1]) / count


class Naive:
    """A move about the middle of the frame, point by point, by its description."""

    def __init__(self, move: Transform, frame: tuple[int, int]) -> None:
        self.move, (self.height, self.width) = move, frame
        turn = math.radians(move.angle)
        self.cos, self.sin = math.cos(turn), math.sin(turn)

    def to(self, x: float, y: float) -> tuple[float, float]:
        x, y = x - self.width / 2, y - self.height / 2
        out = (self.cos * x + self.sin * y, -self.sin * x + self.cos * y)
        zoom = self.move.zoom
        return zoom * out[0] + self.width / 2 + self.move.dx, zoom * out[1] + self.height / 2 + self.move.dy

    def back(self, x: float, y: float) -> tuple[float, float]:
        x = (x - self.move.dx - self.width / 2) / self.move.zoom
        y = (y - self.move.dy - self.height / 2) / self.move.zoom
        return self.cos * x - self.sin * y + self.width / 2, self.sin * x + self.cos * y + self.height / 2

    def inside(self, x: float, y: float, margin: float = 0.0) -> bool:
        e = 1e-9
        across = margin - e <= x <= self.width - margin + e
        return across and margin - e <= y <= self.height - margin + e


def bilinear(values: list[list[float]], x: float, y: float) -> float:
    """The value of (h, w) at a place in cells, the edge continued."""
    h, w = len(values), len(values[0])
    x, y = min(max(x - 0.5, 0), w - 1), min(max(y - 0.5, 0), h - 1)
    i, j = min(int(y), h - 2), min(int(x), w - 2)
    v, u = y - i, x - j
    below = (1 - u) * values[i + 1][j] + u * values[i + 1][j + 1]
    return (1 - v) * ((1 - u) * values[i][j] + u * values[i][j + 1]) + v * below


def naive(before: Tensor, after: Tensor, move: Transform, frame: tuple[int, int]) -> dict[str, float]:
    """Ranks, top and slope of a move without a border round the frame, cell by cell."""
    m0, m1 = before.tolist(), after.tolist()
    h, w = len(m0), len(m0[0])
    cell_y, cell_x = frame[0] / h, frame[1] / w
    way = Naive(move, frame)
    samples = max(1, math.ceil(move.zoom - 1e-6))
    brought, was = [], []
    centres = []
    for which in (m0, m1):
        mass = sx = sy = 0.0
        for i in range(h):
            for j in range(w):
                x, y = (j + 0.5) * cell_x, (i + 0.5) * cell_y
                if move.zoom == 1 and not move.angle:
                    counts = True
                elif which is m0:
                    counts = way.inside(*way.to(x, y))
                else:
                    counts = showing(way, x, y, (cell_x, cell_y))
                positive = max(0.0, which[i][j]) * counts
                mass, sx, sy = mass + positive, sx + positive * x, sy + positive * y
        centres.append((sx / mass, sy / mass))
    for i in range(h):
        for j in range(w):
            x, y = (j + 0.5) * cell_x, (i + 0.5) * cell_y
            if not way.inside(*way.to(x, y)):
                continue
            total = 0.0
            for a in range(samples):
                for b in range(samples):
                    px = x + ((a + 0.5) / samples - 0.5) * cell_x
                    py = y + ((b + 0.5) / samples - 0.5) * cell_y
                    tx, ty = way.to(px, py)
                    total += bilinear(m1, tx / cell_x, ty / cell_y)
            brought.append(total / samples**2)
            was.append(m0[i][j])
    goal = way.to(*centres[0])
    due = (goal[0] - centres[0][0], goal[1] - centres[0][1])
    went = (centres[1][0] - centres[0][0], centres[1][1] - centres[0][1])
    return {
        "ranks": naive_spearman(brought, was),
        "top": naive_overlap(brought, was),
        "slope": (went[0] * due[0] + went[1] * due[1]) / (due[0] ** 2 + due[1] ** 2),
    }


def showing(way: Naive, x: float, y: float, cell: tuple[float, float]) -> bool:
    """Whether a cell of the moved picture shows nothing of the border: all it is sampled from lies in the picture."""
    zoom = way.move.zoom
    samples = max(1, math.ceil(1 / zoom - 1e-6))
    for a in range(samples):
        for b in range(samples):
            px = x + ((a + 0.5) / samples - 0.5) * cell[0]
            py = y + ((b + 0.5) / samples - 0.5) * cell[1]
            if not way.inside(*way.back(px, py), margin=cell[0] / 2):
                return False
    return True


MOVES = [
    Transform(dx=16),
    Transform(dy=-16),
    Transform(dx=-5, dy=9),
    Transform(zoom=1.25),
    Transform(zoom=0.8),
    Transform(angle=30),
    Transform(angle=-77, zoom=1.5),
]


@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_any_maps_agree_with_loops(move: Transform, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    before, after = (torch.randn(8, 8, generator=chance, dtype=torch.float64) for _ in range(2))
    expected = naive(before, after, move, (64, 64))
    found = agreement(before, after, move, (64, 64), None, wraps=False)
    assert found.ranks == pytest.approx(expected["ranks"], abs=1e-9)
    assert found.top == pytest.approx(expected["top"], abs=1e-9)
    assert found.along / found.squared == pytest.approx(expected["slope"], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_ranks_with_ties_agree_with_loops(seed: int) -> None:
    chance = random.Random(seed)
    a, b = ([float(chance.randrange(6)) for _ in range(40)] for _ in range(2))
    assert rank_correlation(a, b) == pytest.approx(naive_spearman(a, b), abs=1e-12)
    assert rank_correlation(a, [-one for one in a]) == pytest.approx(-1, abs=1e-12)


def test_tied_cells_share_the_last_places() -> None:
    a = torch.tensor([1.0] * 5 + [0.0] * 15)  # two places, five cells
    assert top_overlap(a, a) == 1
    assert top_overlap(a, a.flip(0)) == 0
    assert top_overlap(a, torch.tensor([3.0, 2.0] + [0.0] * 18)) == pytest.approx(0.4)


@pytest.mark.parametrize("distance", [4, 8, 20, -28])
def test_the_centre_goes_round_the_frame(distance: int) -> None:
    x = torch.arange(16, dtype=torch.float64)
    before = torch.exp(-((x - 13) ** 2) / 4).expand(16, 16) * torch.exp(-((x - 3) ** 2) / 9)[:, None]
    move = Transform(dx=distance, border="wrap")
    after = before.roll(distance // 4, 1)
    moved, stayed = (agreement(before, one, move, (64, 64), None, wraps=True) for one in (after, before))
    assert moved.along / moved.squared == pytest.approx(1, abs=1e-9)
    assert stayed.along / stayed.squared == pytest.approx(0, abs=1e-9)
    assert (moved.ranks, moved.top, stayed.still) == pytest.approx((1, 1, 1))


def test_what_a_place_receives_is_the_mean_over_queries() -> None:
    model = vit()
    with torch.inference_mode():
        maps = capture(model, torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    for one in maps:
        found = received(one)
        for item in range(2):
            middle = [Point(16 * (n % 4) + 8, 16 * (n // 4) + 8) for n in range(16)]
            expected = sum(one.rows(place, item).double() for place in middle) / 16
            assert torch.allclose(found[item], expected, atol=1e-7)


def test_scenes_are_compared_where_the_object_was() -> None:
    result = explorer.probe("map-equivariance", "lab/conv-aug", 12, device="cpu")
    (spec,) = result.models
    moved = {one["move"]: one for one in result.of(spec, map="gradcam", measure="slope of the centre of mass")}
    assert 0.5 < moved["shift"]["value"] < 1.1
    # an object that turns or grows about its own centre has no way to go
    assert moved["turn"]["value"] is None
    assert moved["rescale"]["value"] is None
    (ranks,) = result.of(spec, map="gradcam", measure="rank correlation", move="shift")
    (still,) = result.of(spec, map="gradcam", measure="rank correlation, not brought back", move="shift")
    assert ranks["low"] > still["high"]
