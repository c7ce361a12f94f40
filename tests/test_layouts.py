"""Where maps lie: every layout in the table, checked by planting a patch in the picture and finding it in the map."""

from __future__ import annotations

import importlib
import math
import pkgutil
from dataclasses import replace

import pytest
import timm.layers
import timm.models
import torch
import torchvision.models
from timm.models.swin_transformer import window_partition
from torch import Tensor, nn

import explorer.blocks
from explorer.attention import layouts
from explorer.attention.layouts import grids
from explorer.attention.maps import AttentionMap
from explorer.attention.watch import capture, recording
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec

# family -> the layouts its maps have, in the order in which they first appear
FAMILIES: dict[str, tuple[str, ...]] = {
    "vit_tiny_patch16_224": ("tokens",),
    "deit_tiny_distilled_patch16_224": ("tokens",),
    "vit_small_patch16_dinov3": ("tokens",),
    "vit_base_patch16_siglip_224": ("tokens", "pooling query"),
    "naflexvit_base_patch16_gap": ("tokens",),
    "beit_base_patch16_224": ("tokens",),
    "eva02_tiny_patch14_224": ("tokens",),
    "pit_ti_224": ("tokens",),
    "test_vit": ("tokens",),
    "vitamin_small_224": ("tokens",),
    "swin_tiny_patch4_window7_224": ("windows", "shifted windows"),
    "swinv2_cr_tiny_224": ("windows", "shifted windows"),
    "swinv2_tiny_window8_256": ("windows", "shifted windows"),
    "maxvit_rmlp_pico_rw_256": ("windows", "dilated grid"),
    "gcvit_xxtiny": ("windows",),
    "tiny_vit_5m_224": ("windows",),
    "nest_tiny_jx": ("windows",),
    "twins_svt_small": ("windows", "pooled keys", "tokens"),
    "davit_tiny": ("windows",),
    "efficientvit_m0": ("windows",),
    "samvit_base_patch16_224": ("windows", "tokens"),
    "hieradet_small": ("windows", "windows, pooled queries", "tokens"),
    "hiera_tiny_224": ("mask units", "tokens"),
    "pvt_v2_b0": ("pooled keys", "tokens"),
    "mvitv2_tiny": ("pooled keys", "tokens", "pooled queries"),
    "mobilenetv4_hybrid_medium": ("pooled keys", "tokens"),
    "nextvit_small": ("keys pooled along reading order", "tokens"),
    "levit_128s": ("tokens", "pooled queries"),
    "coatnet_nano_rw_224": ("tokens",),
    "caformer_s18": ("tokens",),
    "efficientformer_l1": ("tokens",),
    "efficientformerv2_s0": ("tokens", "pooled queries"),
    "botnet26t_256": ("tokens",),
    "halonet26t": ("halo",),
    "mobilevit_xxs": ("patch-unfolded",),
    "mobilevitv2_050": ("context scores",),
    "coat_tiny": ("context scores",),
    "gcresnet50t": ("context scores",),
    "lambda_resnet26t": ("context scores",),
    "xcit_nano_12_p16_224": ("pooling query",),
    "edgenext_xx_small": (),
    "cait_xxs24_224": ("tokens", "pooling query"),
    "convit_tiny": ("tokens",),
    "crossvit_9_240": ("tokens", "pooling query"),
    "volo_d1_224": ("outlook", "tokens", "pooling query"),
    "tnt_s_legacy_patch16_224": ("windows", "tokens"),
    "mobilenetv3_small_100": (),
    "resnet18+coord@2": ("gate",),
}

# Large families at a depth at which they still show all they have.
SHALLOW = {
    "vit_base_patch16_siglip_224": 1,
    "naflexvit_base_patch16_gap": 1,
    "beit_base_patch16_224": 1,
    "samvit_base_patch16_224": 3,
}


def network(name: str) -> Model:
    depth = SHALLOW.get(name)
    spec = ModelSpec.parse(f"random/{name}")
    return load(replace(spec, options=(("depth", depth),)) if depth else spec)


def total(one: AttentionMap) -> Tensor:
    """The sum of every row, padding and prefix tokens included."""
    batch, groups, _, queries, _ = one.weights.shape
    return torch.stack([one.weights.block(b, g, 0, queries).sum(-1) for b in range(batch) for g in range(groups)])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_placed(name: str) -> None:
    model = network(name)
    maps = capture(model, torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(1)))
    placed = tuple(dict.fromkeys(one.layout.name for one in maps if one.layout is not None))
    assert placed == FAMILIES[name]
    for one in maps:
        if one.kind == "pairwise":
            assert (total(one) - 1).abs().max() < 1e-5, one.layer
        elif one.kind == "context":
            phases = int(one.unit.rsplit(" ", 1)[-1]) if "sums to" in one.unit else 1
            assert (total(one) - phases).abs().max() < 1e-5 * phases, one.layer
        if one.layout is None:
            assert one.kind == "channel"
            continue
        height, width = one.image_size
        picture = one.rows(Point(width * 0.7, height * 0.2))
        assert picture.shape == (one.heads, *one.layout.key_grid)
        assert picture.min() >= 0
        for index, grid in (
            (one.layout.key_index, one.layout.key_grid),
            (one.layout.query_index, one.layout.query_grid),
        ):
            if index is None or grid is None:
                continue
            positions = index[index >= 0]
            assert positions.max() < grid[0] * grid[1]
            # Every place of the grid is somewhere: nothing is lost, whatever the partition.
            assert len(positions.unique()) == grid[0] * grid[1]


# model, layer, how far (px) the receptive field below that layer may spread a patch of 16 px
PLANTED: list[tuple[str, str, int]] = [
    ("vit_tiny_patch16_224", "blocks.0.attn", 8),
    ("deit_tiny_distilled_patch16_224", "blocks.0.attn", 8),
    ("vit_small_patch16_dinov3", "blocks.0.attn", 8),
    ("beit_base_patch16_224", "blocks.0.attn", 8),
    ("swin_tiny_patch4_window7_224", "layers.0.blocks.0.attn", 8),
    ("swin_tiny_patch4_window7_224", "layers.0.blocks.1.attn", 8),
    ("swinv2_cr_tiny_ns_224", "stages.0.blocks.1.attn", 8),
    ("swinv2_tiny_window8_256", "layers.0.blocks.1.attn", 8),
    ("maxvit_rmlp_pico_rw_256", "stages.0.blocks.0.attn_block.attn", 16),
    ("maxvit_rmlp_pico_rw_256", "stages.0.blocks.0.attn_grid.attn", 16),
    ("coatnet_nano_rw_224", "stages.2.blocks.0.attn", 32),
    ("twins_svt_small", "blocks.0.0.attn", 8),
    ("twins_svt_small", "blocks.0.1.attn", 16),
    ("davit_tiny", "stages.0.blocks.0.0.attn", 12),
    ("gcvit_xxtiny", "stages.0.blocks.0.attn", 16),
    ("tiny_vit_5m_224", "stages.1.blocks.0.attn", 16),
    ("nest_tiny_jx", "levels.0.transformer_encoder.0.attn", 8),
    ("efficientvit_m0", "stages.0.blocks.0.mixer.m.attn", 32),
    ("samvit_base_patch16_224", "blocks.0.attn", 8),
    ("hiera_tiny_224", "blocks.0.attn", 10),
    ("hiera_tiny_224", "blocks.1.attn", 12),
    ("hieradet_small", "blocks.0.attn", 10),
    ("hieradet_small", "blocks.1.attn", 12),
    ("pvt_v2_b0", "stages.0.blocks.0.attn", 20),
    ("mvitv2_tiny", "stages.0.blocks.0.attn", 16),
    ("mobilenetv4_hybrid_medium", "blocks.2.4.attn", 48),
    ("nextvit_small", "stages.1.blocks.3.e_mhsa", 32),
    ("levit_128s", "stages.0.blocks.0.attn", 24),
    ("botnet26t_256", "stages.2.1.self_attn", 40),
    ("halonet26t", "stages.2.1.self_attn", 40),
    ("mobilevit_xxs", "stages.2.1.transformer.0.attn", 24),
    ("mobilevitv2_050", "stages.2.1.transformer.0.attn", 24),
    ("coat_tiny", "serial_blocks1.0.factoratt_crpe", 12),
    ("gcresnet50t", "stages.0.0.attn", 16),
    ("lambda_resnet26t", "stages.2.1.self_attn", 40),
    ("crossvit_9_240", "blocks.0.blocks.0.0.attn", 10),
    ("crossvit_9_240", "blocks.0.blocks.1.0.attn", 16),
    ("convit_tiny", "blocks.0.attn", 8),
    ("cait_xxs24_224", "blocks.0.attn", 8),
    ("tnt_s_legacy_patch16_224", "blocks.0.attn_in", 8),
    ("tnt_s_legacy_patch16_224", "blocks.0.attn_out", 8),
]


class Reached(Exception):
    """The layer that is asked about has run; the rest of the network need not."""


def up_to(model: Model, layer: str, images: Tensor) -> AttentionMap:
    """The map of one layer, with batch norms that have seen these images: random ones let a signal fade with depth."""

    def stop(*_: object) -> None:
        raise Reached

    handle = model.module.get_submodule(layer).register_forward_hook(stop)
    norms = [module for module in model.module.modules() if isinstance(module, nn.BatchNorm2d)]
    try:
        for norm in norms:
            norm.momentum = 1.0
            norm.train()
        if norms:
            with pytest.raises(Reached), torch.inference_mode():
                model.logits(images)
            model.module.eval()
        with recording(model) as recorder, pytest.raises(Reached), torch.inference_mode():
            model.logits(images)
    finally:
        handle.remove()
    return next(one for one in recorder.maps() if one.layer == layer)


def located(score: Tensor, index: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Point:
    """The centre, in px, of the grid cell whose entries changed most."""
    where = index.expand(len(score), -1)
    cells = torch.zeros(grid[0] * grid[1], dtype=score.dtype)
    cells.scatter_reduce_(0, where[where >= 0], score[where >= 0], "amax")
    # The centre of all that changed about as much: a patch covers several cells of a fine grid.
    strong = (cells > 0.5 * cells.max()).nonzero().flatten()
    y, x = (strong // grid[1]).float().median(), (strong % grid[1]).float().median()
    return Point(float(x + 0.5) * size[1] / grid[1], float(y + 0.5) * size[0] / grid[0])


@pytest.mark.parametrize(("name", "layer", "spread"), PLANTED)
def test_a_planted_patch_is_found_where_it_was_planted(name: str, layer: str, spread: int) -> None:
    model = network(name)
    height, width = model.input_size
    generator = torch.Generator().manual_seed(5)
    background = torch.rand(3, height, width, generator=generator) * 0.4 + 0.3
    places = [(0.2, 0.75), (0.6, 0.15), (0.85, 0.55)]
    batch = [background]
    centres = []
    for down, right in places:
        top, left = int(down * height) // 16 * 16, int(right * width) // 16 * 16
        planted = background.clone()
        planted[:, top : top + 16, left : left + 16] = torch.rand(3, 16, 16, generator=generator).round()
        batch.append(planted)
        centres.append(Point(left + 8, top + 8))
    one = up_to(model, layer, torch.stack(batch))
    assert one.layout is not None
    _, groups, _, queries, _ = one.weights.shape

    def logs(item: int) -> Tensor:
        rows = torch.stack([one.weights.block(item, group, 0, queries) for group in range(groups)])
        return rows.double().clamp_min(1e-300).log()

    for item, centre in enumerate(centres, 1):
        change = logs(item) - logs(0)  # (G, h, Nq, Nk)
        # A changed key changes its column against the others; a changed query changes its whole row at random.
        change = change - change.median(-1, keepdim=True).values
        by_key = change.abs().median(2).values.mean(1)
        tolerance = spread + max(height / one.layout.key_grid[0], width / one.layout.key_grid[1]) / 2
        found = located(by_key, one.layout.key_index, one.layout.key_grid, (height, width))
        assert math.dist(found, centre) <= tolerance * math.sqrt(2), f"key planted at {centre}, found at {found}"
        if one.layout.query_index is not None and one.layout.query_grid is not None:
            by_query = change.abs().median(3).values.mean(1)
            found = located(by_query, one.layout.query_index, one.layout.query_grid, (height, width))
            tolerance = spread + max(height / one.layout.query_grid[0], width / one.layout.query_grid[1]) / 2
            assert math.dist(found, centre) <= tolerance * math.sqrt(2), f"query planted at {centre}, found at {found}"


def test_every_row_of_the_table_names_a_class_that_exists() -> None:
    sources = {}
    for package in (timm.models, timm.layers, torchvision.models, explorer.blocks, torch.nn.modules):
        for found in pkgutil.iter_modules(package.__path__):
            sources.setdefault(found.name, []).append(f"{package.__name__}.{found.name}")
    for key in layouts.TABLE:
        source, name = key.split(".")
        assert any(hasattr(importlib.import_module(path), name) for path in sources[source]), key


def test_a_module_outside_the_table_gives_the_raw_matrix_only() -> None:
    one = capture(load("random/efficientvim_m1"), torch.rand(1, 3, 224, 224))[0]
    assert one.layout is None
    assert layouts.NO_POSITION in one.note
    assert one.matrix().shape == one.weights.shape[-2:]
    with pytest.raises(ParameterError, match="no known position"):
        one.row(Point(1, 1))


@pytest.mark.parametrize("size", [(160, 224), (224, 96)])
def test_grids_of_oblong_inputs(size: tuple[int, int]) -> None:
    one = capture(load(ModelSpec("vit_tiny_patch16_224", "random", input_size=size)), torch.rand(1, 3, *size))[0]
    assert one.layout is not None
    assert one.layout.key_grid == (size[0] // 16, size[1] // 16)
    assert one.layout.prefix == ("class",)


def test_windows_pad_and_shift_like_the_features() -> None:
    """Against timm's own roll, pad and partition, of an image whose every pixel is its own number."""
    grid, window, shift = (9, 12), (7, 5), (3, 2)
    numbers = torch.arange(1.0, 109).view(1, *grid, 1)
    rolled = torch.roll(numbers, (-shift[0], -shift[1]), (1, 2))
    padded = torch.nn.functional.pad(rolled, (0, 0, 0, -grid[1] % window[1], 0, -grid[0] % window[0]))
    theirs = window_partition(padded, window).flatten(1).long() - 1
    assert torch.equal(grids.windows(grid, window, shift), theirs)


def test_rows_answer_points_names_and_heads() -> None:
    one = capture(load("random/vit_tiny_patch16_224"), torch.rand(2, 3, 224, 224))[3]
    assert one.layout is not None
    full = one.weights.block(1, 0, 0, 197)  # a row alone may differ from it in the last bit
    cell = 5 * 14 + 9
    point = Point(9 * 16 + 15.99, 5 * 16)
    assert torch.allclose(one.row(point, 2, item=1), full[2, 1 + cell, 1:].view(14, 14))
    assert torch.allclose(one.row(point, item=1), full[:, 1 + cell, 1:].mean(0).view(14, 14))
    assert torch.allclose(one.row("class", 0, item=1), full[0, 0, 1:].view(14, 14))
    assert torch.allclose(one.prefix_mass(point, item=1)[:, 0], full[:, 1 + cell, 0])
    assert torch.allclose(one.matrix(1, item=1), full[1])
    for bad in (Point(224, 0), Point(-1, 5), "register 1"):
        with pytest.raises(ParameterError):
            one.row(bad)
    with pytest.raises(ParameterError, match="heads 0 to 2"):
        one.row(point, 3)
    with pytest.raises(ParameterError, match="query is needed"):
        one.row()


def test_overlapping_windows_add_up() -> None:
    """A place in an outlook window's overlap collects a softmax from each window that holds it."""
    model = load("random/volo_d1_224")
    one = capture(model, torch.rand(1, 3, 224, 224))[0]
    # Of the 3 x 3 windows at stride 2 (padding 1), an odd row lies in two, an even one in one.
    for (row, column), windows in {(4, 4): 1, (5, 4): 2, (5, 5): 4}.items():
        assert one.rows(Point(column * 8 + 4, row * 8 + 4)).sum((1, 2)).sub(windows).abs().max() < 1e-5
