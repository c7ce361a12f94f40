"""How much a map depends on who asks, where that is known, and the layers that models open with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_sinks import CELLS, GRID, near, on_one, placed

from explorer.attention.dependence import opening_map, query_dependence
from explorer.attention.layouts import Computed
from explorer.attention.maps import AttentionMap, Layout
from explorer.attention.sinks import sinks
from explorer.comparison.compare import Side, look
from explorer.images import read_image
from explorer.models.loading import load
from explorer.scenes import PRESETS
from explorer.ui.page import FIRST_MODELS


def layer(number: int, rows: torch.Tensor) -> AttentionMap:
    return replace(placed(rows[None]), layer=f"blocks.{number}.attn")


def test_the_same_row_for_all_is_nothing_and_a_row_for_each_is_nearly_all():
    assert query_dependence(placed(on_one(3, 0.5)[None])) == pytest.approx(0, abs=1e-6)
    assert query_dependence(placed(torch.eye(CELLS)[None])) == pytest.approx(1 - 1 / CELLS)
    # Half of each row follows the query, half does not.
    half = (torch.eye(CELLS) + on_one(3, 1.0)) / 2
    assert query_dependence(placed(half[None])) == pytest.approx((1 - 1 / CELLS) / 2, abs=0.01)


def test_heads_are_averaged_before_rows_are_compared():
    # Each head has rows that differ; their mean is even for every query.
    one = torch.eye(CELLS)
    other = (1 - one) / (CELLS - 1)
    even = torch.stack([one] + [other] * (CELLS - 1))
    assert query_dependence(placed(even)) == pytest.approx(0, abs=1e-5)


def test_windows_are_compared_within_themselves():
    rows = torch.full((1, 2, 1, 18, 18), 1 / 18)
    index = torch.arange(CELLS).view(2, 18)
    layout = Layout("windows", GRID, index, GRID, index)
    one = replace(placed(torch.eye(CELLS)[None]), weights=Computed(rows), layout=layout)
    assert query_dependence(one) == pytest.approx(0, abs=1e-6), "the windows differ, their queries do not"


def test_what_has_no_query_depends_on_none():
    one = placed(torch.eye(CELLS)[None])
    assert one.layout is not None
    context = replace(one, kind="context", layout=replace(one.layout, query_grid=None, query_index=None))
    assert query_dependence(context) is None
    assert query_dependence(replace(one, layout=None)) is None
    assert opening_map([layer(0, near(1.0)), context]) == 0
    assert opening_map([context, context]) == 1
    assert opening_map([]) is None


@pytest.mark.parametrize(
    ("layers", "opens"),
    [
        ([near(1.0), near(1.0), near(1.0)], 2),
        ([near(1.0), near(1.0), on_one(3, 0.9)], 1),
        ([near(0.5), near(1.0), on_one(3, 0.9)], 1),
        ([near(0.5), near(1.0), near(3.0)], 1),
        ([near(0.5), on_one(2, 0.9), on_one(3, 0.9)], 0),
        ([on_one(1, 0.9), on_one(2, 0.9), on_one(3, 0.9)], 2),
    ],
)
def test_a_network_opens_with_the_last_layer_in_which_the_query_matters(layers: list[torch.Tensor], opens: int):
    assert opening_map([layer(number, rows) for number, rows in enumerate(layers)]) == opens


def test_the_models_of_the_first_view_open_with_their_last_layer():
    scene, _ = next(iter(PRESETS.values()))
    for text in FIRST_MODELS:
        maps = look(load(text, "cpu"), scene, method=None).maps
        assert opening_map(maps) == (len(maps) - 1 if maps else None), text


@pytest.mark.parametrize("text", ["lab/mhsa", "lab/mhsa-cue", "lab/axial", "lab/nonlocal-aug"])
def test_models_of_the_laboratory_never_open_with_less_than_their_last_layer_shows(text: str):
    model = load(text, "cpu")
    for scene, _ in PRESETS.values():
        maps = look(model, scene, method=None).maps
        opens = opening_map(maps)
        assert opens is not None
        shown, last = query_dependence(maps[opens]), query_dependence(maps[-1])
        assert shown is not None
        assert last is not None
        assert shown >= last
        assert shown > 0.15


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224"])
@pytest.mark.parametrize("photo", ["samoyed", "tabby_cat", "macaw"])
def test_a_pretrained_vit_opens_with_a_layer_that_is_not_all_sinks(
    name: str, photo: str, data: object, real_specs: dict[str, str]
):
    side: Side = look(load(real_specs[name], "cpu"), read_image(f"{data}/photos/{photo}.png"), method=None)
    opens = opening_map(side.maps)
    assert opens is not None
    assert 0 < opens < len(side.maps) - 1
    assert sinks(side.maps[opens])[0].share < 0.4
    assert sinks(side.maps[opens])[0].share < sinks(side.maps[-1])[0].share
    assert (query_dependence(side.maps[opens]) or 0) > 0.3
