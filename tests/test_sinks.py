"""Attention sinks of maps whose sinks are known, and those of a real vision transformer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from explorer.attention.layouts import Computed
from explorer.attention.maps import AttentionMap, Layout
from explorer.attention.sinks import FEWEST, MOST, sinks
from explorer.comparison.compare import look
from explorer.images import read_image
from explorer.models.loading import load

GRID = (6, 6)
CELLS = 36


def placed(rows: Tensor, prefix: tuple[str, ...] = ()) -> AttentionMap:
    """A map of (heads, queries, keys) on GRID, with prefix tokens before the cells."""
    index = torch.cat([-2 - torch.arange(len(prefix)), torch.arange(CELLS)])[None]
    layout = Layout("tokens", GRID, index, GRID, index, prefix)
    return AttentionMap("blocks.0.attn", "Attention", "pairwise", Computed(rows[None, None]), layout, (48, 48))


def on_one(cell: int, share: float, keys: int = CELLS) -> Tensor:
    """Rows that all put a share on one key, and the rest on all others evenly: (keys, keys)."""
    rows = torch.full((keys, keys), (1 - share) / (keys - 1))
    rows[:, cell] = share
    return rows


def near(sigma: float) -> Tensor:
    """Rows that follow the query: a Gaussian about its place, (CELLS, CELLS)."""
    at = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij"), -1).view(-1, 2)
    return (-torch.cdist(at, at).square() / (2 * sigma**2)).softmax(1)


@pytest.mark.parametrize(
    "rows",
    [torch.full((CELLS, CELLS), 1 / CELLS), torch.eye(CELLS), near(1.0), near(2.5)],
    ids=["uniform", "diagonal", "follows the query", "follows it loosely"],
)
def test_a_map_that_is_even_or_follows_the_query_has_none(rows: Tensor):
    for found in sinks(placed(rows[None])):
        assert (found.cells, found.share) == ((), 0.0)


def test_a_cell_that_takes_half_of_every_row_is_one_with_half_of_the_weight():
    mean, head = sinks(placed(on_one(8, 0.5)[None]))
    assert mean.cells == head.cells == (8,)
    assert mean.share == head.share == pytest.approx(0.5)


def test_sinks_are_those_of_the_mean_over_heads_and_of_each_head():
    found = sinks(placed(torch.stack([on_one(8, 0.5), torch.full((CELLS, CELLS), 1 / CELLS)])))
    assert [one.cells for one in found] == [(8,), (8,), ()]
    assert [one.share for one in found] == pytest.approx([(0.5 + 1 / CELLS) / 2, 0.5, 0])


def test_what_takes_much_from_some_queries_alone_is_none():
    # A quarter of the queries gives all it has: far above an even share on the mean, but not whatever asks.
    rows = torch.full((CELLS, CELLS), 1 / CELLS)
    rows[: CELLS // 4] = on_one(8, 1.0)[0]
    assert float(rows.mean(0)[8]) > 5 / CELLS
    assert sinks(placed(rows[None]))[0].cells == ()


def test_prefix_tokens_ask_but_are_no_cells():
    keys = CELLS + 1
    # The class token takes 40 % and the second cell 30 % of every row.
    rows = torch.full((keys, keys), 0.3 / (keys - 2))
    rows[:, 0], rows[:, 2] = 0.4, 0.3
    assert sinks(placed(rows[None], ("class",)))[0].cells == (1,)
    assert sinks(placed(rows[None], ("class",)))[0].share == pytest.approx(0.3)
    # All the weight that the class token itself gives is counted too.
    rows[0] = 0
    rows[0, 0] = 1
    assert sinks(placed(rows[None], ("class",)))[0].share == pytest.approx(0.3 * (keys - 1) / keys)


def test_of_windows_each_cell_is_asked_by_its_own():
    # Two windows of 18 cells: one has a sink, the other is even.
    rows = torch.stack([on_one(3, 0.5, 18), torch.full((18, 18), 1 / 18)])[None, :, None]
    index = torch.arange(CELLS).view(2, 18)
    layout = Layout("windows", GRID, index, GRID, index)
    one = replace(placed(torch.eye(CELLS)[None]), weights=Computed(rows), layout=layout)
    assert sinks(one)[0].cells == (3,)
    assert sinks(one)[0].share == pytest.approx(0.25), "half of what half of the queries give"
    # What lies nowhere, as padding does, neither asks nor takes.
    padded = index.clone()
    padded[0, 3] = -1
    assert sinks(replace(one, layout=replace(layout, key_index=padded, query_index=padded)))[0].cells == ()


def test_a_large_map_is_known_by_some_of_its_queries():
    side, heads = 32, 4
    keys = side**2
    assert heads * keys**2 > MOST
    rows = torch.full((keys, keys), 0.5 / (keys - 1))
    rows[:, 77] = 0.5
    index = torch.arange(keys)[None]
    layout = Layout("tokens", (side, side), index, (side, side), index)
    one = replace(placed(torch.eye(CELLS)[None]), weights=Computed(rows.expand(1, 1, heads, -1, -1)), layout=layout)
    found = sinks(one)
    assert len(found) == 1 + heads
    assert {one.cells for one in found} == {(77,)}
    assert found[0].share == pytest.approx(0.5)


def test_only_pairwise_maps_asked_by_many_have_sinks():
    one = placed(on_one(8, 0.5)[None])
    assert one.layout is not None
    assert sinks(replace(one, kind="context", layout=replace(one.layout, query_grid=None, query_index=None))) == ()
    few = replace(one.layout, query_index=one.layout.key_index[:, : FEWEST - 1])
    assert sinks(replace(one, weights=Computed(on_one(8, 0.5)[None, None, None, : FEWEST - 1]), layout=few)) == ()


@pytest.mark.parametrize("photo", ["samoyed", "tabby_cat", "macaw"])
def test_the_last_layers_of_a_pretrained_vit_use_its_corners(photo: str, data: Path, real_specs: dict[str, str]):
    model = load(real_specs["vit_tiny_patch16_224"], "cpu")
    maps = look(model, read_image(data / "photos" / f"{photo}.png"), method=None).maps
    found = [sinks(one)[0] for one in maps]
    corners = {0, 13, 182, 195}
    assert [set(one.cells) for one in found] == [set()] * 8 + [corners] * 4
    assert all(0.2 < one.share < 0.9 for one in found[8:])
    # The share is what the weights themselves say.
    last = maps[-1].weights.block(0, 0, 0, 197).mean(0)
    assert found[-1].share == pytest.approx(float(last[:, [1, 14, 183, 196]].sum(1).mean()), rel=1e-4)
