"""What every block shows: its captured maps against the weights of an independent implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from naive_blocks import NAIVE
from test_blocks import each_known, made
from timm.models.metaformer import MetaFormer
from torch import Tensor, nn

from explorer.attention.layouts import place
from explorer.attention.maps import AttentionMap
from explorer.attention.watch import capture, recording
from explorer.blocks import BLOCKS
from explorer.errors import NoAttentionError, ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec

GRID, SIZE = (3, 5), (96, 160)  # a grid that is no square; cells of 32 px


class Alone(nn.Module):
    """A network that is one block: the picture's means over cells, and twelve channels made of them."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def features(self, x: Tensor) -> Tensor:
        cells = nn.functional.adaptive_avg_pool2d(x, GRID)
        return torch.cat([cells * 3, cells.square(), cells.sin() * 4, (cells + 1).cos()], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.features(x))


def shown(name: str, options: dict[str, Any]) -> tuple[nn.Module, Tensor, list[AttentionMap]]:
    """A block in a network of its own, the features that it was given, and its maps for two pictures."""
    model = load("random/test_resnet", "cpu")
    network = Alone(made(name, 12, GRID, options)).eval()
    object.__setattr__(model, "module", network)
    x = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    with recording(model) as recorder, torch.inference_mode():
        network(x)
    placed = place(recorder.operations, network, SIZE, lambda path: "random")  # noqa: ARG005
    return network.block, network.features(x), [one for _, one in placed]


def expected_picture(values: Tensor, one: AttentionMap, item: int, query: tuple[int, int]) -> Tensor:
    """The naive map as `rows` gives it: a query's picture, or the one picture there is."""
    return values[item, :, query[0], query[1]] if one.per_query else values[item]


@each_known
def test_captured_maps_are_the_blocks_own_weights(name: str, options: dict[str, Any]) -> None:
    block, x, maps = shown(name, options)
    with torch.no_grad():
        _, naive = NAIVE[name](block, x)
    assert {one.layer.removeprefix("block") for one in maps} == set(naive)
    for one in maps:
        values = naive[one.layer.removeprefix("block")]
        assert one.state == "random"
        for item in range(2):
            if one.layout is None:
                assert one.kind == "channel"
                for head in range(one.heads):
                    matrix = one.matrix(head, item)
                    theirs = (
                        values[item, head] if values.dim() == 4 and values.shape[-1] > 1 else values[item].view(1, -1)
                    )
                    assert (matrix - theirs).abs().max() < 1e-5
                continue
            for i in range(GRID[0]):
                for j in range(GRID[1]):
                    picture = one.rows(Point(32 * j + 7, 32 * i + 31), item)
                    theirs = expected_picture(values, one, item, (i, j))
                    assert picture.shape == theirs.shape
                    assert (picture - theirs).abs().max() < 1e-5, (one.layer, i, j)


@pytest.mark.parametrize("name", list(BLOCKS))
def test_the_kind_that_is_declared_is_the_kind_that_is_shown(name: str) -> None:
    _, _, maps = shown(name, {})
    kind = BLOCKS[name].kind
    # CBAM has a gate a place and a gate a channel.
    also = {"channel"} if name == "cbam" else set()
    assert {one.kind for one in maps} - also == ({kind} if kind else set())
    for one in maps:
        assert one.unit


@pytest.mark.parametrize("merge", ["sum", "sequence"])
def test_axial_maps_are_lines_and_what_is_read_from_both(merge: str) -> None:
    _, _, (column, row, both) = shown("axial", {"merge": merge})
    assert [one.kind for one in (column, row, both)] == ["axial"] * 3
    point = Point(32 * 3, 32 * 1)
    across, down, whole = (one.rows(point) for one in (row, column, both))
    assert (across.sum((1, 2)) - 1).abs().max() < 1e-5
    assert (down.sum((1, 2)) - 1).abs().max() < 1e-5
    assert (whole.sum((1, 2)) - 1).abs().max() < 1e-5
    assert across[:, [0, 2]].abs().max() == 0
    assert down[:, :, [0, 1, 2, 4]].abs().max() == 0
    assert (whole > 0).sum() == (GRID[0] + GRID[1] - 1 if merge == "sum" else 15) * both.heads
    assert ("mean" if merge == "sum" else "path") in both.note
    # What is held grows with the places, not with their square, and all rows at once are the rows one by one.
    full = both.weights.block(1, 0, 0, 15)
    assert torch.allclose(full[:, 8].view(-1, *GRID), both.rows(point, 1), atol=1e-6)
    assert both.weights.shape == (2, 1, 1, 15, 15)
    assert both.weights.nbytes == row.weights.nbytes + column.weights.nbytes == 2 * 2 * 2 * 12 * 15 * 4


def test_the_path_of_axial_attention_is_what_moves_through_it() -> None:
    """With values that pass through unchanged, the output for a basis vector at (a, b) is E[., (a, b)]."""
    block = made("axial", 16, (3, 5), {"merge": "sequence", "heads": 1})
    with torch.no_grad():
        for line in (block.row, block.column):  # type: ignore[union-attr]
            line.projections.weight[32:] = torch.eye(16)  # type: ignore[union-attr, index, operator]
            line.projections.bias[32:] = 0  # type: ignore[union-attr, index, operator]
            line.out.weight.copy_(torch.eye(16))  # type: ignore[union-attr, operator]
            line.out.bias.zero_()  # type: ignore[union-attr, operator]
        x = torch.cat([torch.eye(15).view(1, 15, 3, 5), torch.zeros(1, 1, 3, 5)], 1)
        out = block(x)[0, :15]  # (source, query row, query column)
        _, naive = NAIVE["axial"](block, x)
        path = naive[" (path)"][0, 0]
        assert (out.view(3, 5, 3, 5) - path.permute(2, 3, 0, 1)).abs().max() < 1e-6


def metaformer(name: str, size: tuple[int, int], **options: Any) -> Model:
    """A MetaFormer of one stage whose token mixers are the block."""
    model = load(ModelSpec.parse("random/test_resnet", input_size=size), "cpu")
    network = MetaFormer(depths=(2,), dims=(24,), token_mixers=nn.Identity, num_classes=4, use_mlp_head=False)
    for layer in network.stages[0].blocks:
        layer.token_mixer = BLOCKS[name](24, (4, 4), **options)  # type: ignore[arg-type]
    object.__setattr__(model, "module", network.eval())
    return model


@pytest.mark.parametrize("size", [(64, 64), (64, 160)])
@pytest.mark.parametrize("name", list(BLOCKS))
def test_blocks_in_a_metaformer_show_one_map_after_the_other(name: str, size: tuple[int, int]) -> None:
    model = metaformer(name, size)
    batch = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    if BLOCKS[name].kind is None:
        with pytest.raises(NoAttentionError, match=r"attribution") as caught:
            capture(model, batch)
        assert BLOCKS[name].no_map in str(caught.value)
        return
    maps = capture(model, batch)
    paths = [one.layer for one in maps]
    half = len(maps) // 2
    assert all(path.startswith("stages.0.blocks.0.token_mixer") for path in paths[:half])
    assert all(path.startswith("stages.0.blocks.1.token_mixer") for path in paths[half:])
    grid = (size[0] // 4, size[1] // 4)
    for one in maps:
        if one.kind == "channel":
            with pytest.raises(ParameterError, match="no known position"):
                one.row(Point(1, 1))
        else:
            rows, columns = one.rows(Point(size[1] - 1, 0)).shape[1:]
            assert (rows, columns) in {grid, (grid[0], 1), (1, grid[1])}
    # What is looked at first is the last map: a picture wherever the block has one.
    if BLOCKS[name].kind != "channel":
        assert maps[-1].grid == grid


def test_recording_leaves_the_bits_and_the_hooks_of_every_block_as_they_were() -> None:
    for name in BLOCKS:
        model = metaformer(name, (64, 64))
        x = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            plain = model.module(x)
            with recording(model):
                watched = model.module(x)
        assert torch.equal(plain, watched), name
        assert not any(child._forward_hooks or child._forward_pre_hooks for child in model.module.modules())
