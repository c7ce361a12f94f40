"""Locality: published fields, closed forms, hand-made networks and attention, naive loops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer import load
from explorer.attention.layouts import Computed
from explorer.attention.layouts.grids import windows
from explorer.attention.maps import AttentionMap, Layout
from explorer.attention.watch import capture
from explorer.errors import MethodError, ParameterError
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.stages import Stage
from explorer.probes import (
    attention_distance,
    attribution_radius,
    effective_receptive_field,
    reach,
    receptive_field,
)
from explorer.probes.attention_distance import distances
from explorer.probes.attribution_radius import radii, spread
from explorer.probes.base import PROBES, Run
from explorer.probes.effective_receptive_field import second_moment, square_profile
from explorer.probes.passes import Passes
from explorer.probes.result import ProbeResult
from explorer.probes.rows import Row
from explorer.probes.run import probe
from explorer.probes.stimuli import Shown, read

NAMES = ("receptive-field", "effective-receptive-field", "attention-distance", "attribution-radius")


@pytest.fixture(scope="module")
def lab() -> list[Model]:
    """Two small models: one that attends and one that does not."""
    return [load("lab/mhsa", "cpu"), load("lab/conv", "cpu")]


def fields(spec: str | Model) -> dict[int, Row]:
    """Stage -> its row of the receptive field's width."""
    result = probe("receptive-field", spec, device="cpu")
    return {row["stage"]: row for row in result.rows if row["measure"] == "receptive field"}


# the theoretical receptive field


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 435),
        ("resnet34", 899),
        ("resnet50", 427),
        ("resnet101", 971),
        ("vgg16", 212),
        ("mobilenetv2_100", 491),
        ("densenet121", 2071),
    ],
)
def test_receptive_field_of_known_networks(name: str, published: int) -> None:
    # Without VGG's 120 million weights behind its features, which take longer to draw than the field.
    options = (("mlp_ratio", 0.01),) if name == "vgg16" else ()
    found = fields(load(ModelSpec(name, "random", options=options), "cpu"))
    last = found[max(found)]
    assert (last["value"], last["reach"]) == (published, "bounded")


def by_formula(layers: list[tuple[int, int]]) -> int:
    """1 + sum of (kernel - 1) times earlier strides, of (kernel, stride) pairs."""
    field, jump = 1, 1
    for kernel, stride in layers:
        field, jump = field + (kernel - 1) * jump, jump * stride
    return field


def test_every_stage_agrees_with_the_formula() -> None:
    # ConvNeXt-atto: 4 x 4 stem, blocks of one 7 x 7, 2 x 2 with stride 2 between stages
    layers, expected = [(4, 4)], []
    for number, depth in enumerate((2, 2, 6, 2)):
        layers += ([(2, 2)] if number else []) + [(7, 1)] * depth
        expected.append(by_formula(layers))
    assert [row["value"] for row in fields("random/convnext_atto").values()] == expected


def test_an_inserted_block_widens_the_field_though_its_gate_is_shut() -> None:
    before, after = fields("random/resnet18"), fields("random/resnet18+conv@2")
    model = load("random/resnet18+conv@2", "cpu")
    kernels = [one.kernel_size[0] for one in model.module.get_submodule("layer2.block").modules() if _conv(one)]
    wider = 8 * sum(kernel - 1 for kernel in kernels)
    assert wider > 0
    assert after[1]["value"] == before[1]["value"]
    assert [after[stage]["value"] - before[stage]["value"] for stage in (2, 3, 4)] == [wider] * 3


def _conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def test_fields_of_laboratory_models() -> None:
    assert fields("lab/conv")[1]["value"] == by_formula([(3, 2), (3, 2)] + [(3, 1)] * 3)
    assert fields("lab/none")[1]["reach"] == "bounded"


@pytest.mark.parametrize("spec", ["lab/mhsa", "lab/axial", "lab/channel", "lab/eca", "lab/coord", "lab/linear"])
def test_attention_and_squeezing_reach_the_whole_input(spec: str) -> None:
    found = fields(spec)
    assert (found[1]["value"], found[1]["reach"]) == (48, "whole input")


def test_a_response_over_the_mean_of_all_channels_reaches_the_whole_input() -> None:
    """ConvNeXt V2's normalisation of responses: with weights all alike its gradient would cancel out."""
    assert {row["reach"] for row in fields("random/convnextv2_atto").values()} == {"whole input"}


def test_windows_bound_the_field_and_their_shift_widens_it() -> None:
    # Stage 1: the shifted window of the centre spans two windows of 7 tokens of 4 px; stage 2: 14 tokens of 8 px span
    # 28 tokens of 4 px, these 5 shifted windows, these 6 windows: 42 tokens
    found = fields("random/swin_tiny_patch4_window7_224")
    assert [(row["value"], row["reach"]) for row in found.values()] == [
        (56, "bounded"),
        (168, "bounded"),
        (224, "whole input"),
        (224, "whole input"),
    ]


class Plain(nn.Module):
    """A network of any layers whose output is its one stage."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.stage = nn.Sequential(*layers)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the stage's features."""
        return self.stage(x)  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: ARG002 - timm's signature
        """The mean over places."""
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """The mean over places."""
        return self.forward_head(self.forward_features(x))


def plain(lab: Model, *layers: nn.Module, channels: int = 4) -> Model:
    """A live model of these layers, of the laboratory's size."""
    module = Plain(*layers).eval().requires_grad_(False)
    with torch.no_grad():
        grid = module.forward_features(torch.zeros(1, 3, 48, 48)).shape[2:]
    stage = Stage(1, "stage", channels, 48 // grid[0], (grid[0], grid[1]), "NCHW")
    return replace(lab, module=module, stages=(stage,))


def test_width_and_height_are_told_apart_and_zero_weights_count(lab: list[Model]) -> None:
    layers = (
        nn.Conv2d(3, 4, (3, 9), padding=(1, 4)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, (1, 5), padding=(0, 2)),
    )
    nn.init.zeros_(layers[3].weight)  # type: ignore[arg-type]
    model = plain(lab[0], *layers)
    found = {row["measure"]: row["value"] for row in probe("receptive-field", model).rows}
    assert found == {
        "receptive field": by_formula([(9, 1), (2, 2), (5, 1)]),
        "receptive field, height": by_formula([(3, 1), (2, 2)]),
    }


def test_the_live_network_stays_as_it_was(lab: list[Model]) -> None:
    model = lab[0]
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    for name in NAMES:
        probe(name, model, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    assert not any(one.training or one._forward_hooks or one._forward_pre_hooks for one in model.module.modules())
    assert not any(one.requires_grad for one in model.module.parameters())


# the effective receptive field


def test_squares_and_moments_agree_with_loops() -> None:
    field = torch.rand(1, 9, 12, generator=torch.Generator().manual_seed(0)).double()
    profile, moment = square_profile(field)[0], second_moment(field)[0]
    for radius in range(len(profile)):
        inside = sum(
            float(field[0, i, j]) for i in range(9) for j in range(12) if max(abs(i - 4), abs(j - 6)) <= radius
        )
        assert profile[radius] == pytest.approx(inside)
    second = sum(float(field[0, i, j]) * ((i - 4) ** 2 + (j - 6) ** 2) for i in range(9) for j in range(12))
    assert moment.tolist() == pytest.approx([float(field.sum()), second])
    assert len(profile) == 7


def test_one_convolution_has_its_own_size(lab: list[Model]) -> None:
    """A 9 x 9 box filter: A is a box; sigma sqrt((81 - 1) / 12), half of it lies in 7 x 7, 99 % in 9 x 9."""
    convolution = nn.Conv2d(3, 4, 9, padding=4)
    nn.init.constant_(convolution.weight, 1 / 243)
    nn.init.ones_(convolution.bias)  # type: ignore[arg-type]
    result = probe("effective-receptive-field", plain(lab[0], convolution), 3)
    found = {row["measure"]: row for row in result.rows if row["measure"] != "share of mass"}
    assert found["raw mass"]["value"] == pytest.approx(4 * 81 * 3 / 243, rel=1e-5)
    assert found["sigma"]["value"] == pytest.approx(math.sqrt(80 / 12), rel=1e-5)
    sides = [found[f"side of the square at {share} %"]["value"] for share in (20, 30, 50, 99)]
    assert sides == [5, 5, 7, 9]  # 25 of 81 are 31 %, 49 are 60 %
    assert found["area ratio at 50 %"]["value"] == pytest.approx(49 / 48**2)
    assert found["area ratio at 50 %"]["input"] == "48 x 48 px"
    curve = {row["side"]: row["value"] for row in result.rows if row["measure"] == "share of mass"}
    assert curve[1] == pytest.approx(1 / 81, rel=1e-5)
    assert curve[48] == 1


def test_the_gradient_is_that_of_the_normalised_input(lab: list[Model]) -> None:
    model = replace(plain(lab[0], nn.Conv2d(3, 4, 5, padding=2), nn.Tanh()), std=(0.2, 0.5, 1.5))
    x01 = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    x = model.normalise(x01).requires_grad_()
    model.module.stage(x)[:, :, 24, 24].relu().sum().backward()  # type: ignore[operator,union-attr]
    assert x.grad is not None
    expected = x.grad.relu().sum(1)
    assert torch.allclose(effective_receptive_field.input_gradient(model, x01, 1), expected, atol=1e-7)


def test_replknet_log_agrees_with_its_definition(lab: list[Model]) -> None:
    model, seen = lab[1], Shown(lab[1], read(4))
    maps = effective_receptive_field.input_gradient(model, seen.images, 1).double()
    scaled = (maps.mean(0) + 1).log10()
    scaled /= scaled.max()
    total = float(scaled.sum())
    expected = next(2 * r + 1 for r in range(25) if float(scaled[24 - r : 25 + r, 24 - r : 25 + r].sum()) > 0.5 * total)
    result = probe("effective-receptive-field", model, 4, variant="replknet-log")
    (row,) = result.of(str(model.spec), measure="side of the square at 50 %")
    assert row["value"] == expected
    assert (row["n"], row["low"]) == (4, None)


def test_effective_lies_inside_theoretical(lab: list[Model]) -> None:
    result = probe("effective-receptive-field", lab[1], 4)
    side = result.summary["lab/conv: side of the square at 99 %"].value
    assert side <= fields("lab/conv")[1]["value"] + 4  # the centre unit lies half a cell beside the centre pixel


def test_a_stage_that_is_not_there_is_refused(lab: list[Model]) -> None:
    with pytest.raises(MethodError, match="no stage 7"):
        probe("effective-receptive-field", lab[1], 2, stage=7)


def test_a_field_without_gradient_is_refused(lab: list[Model]) -> None:
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    nn.init.constant_(convolution.bias, -100.0)  # type: ignore[arg-type]
    with pytest.raises(MethodError, match="no gradient"):
        probe("effective-receptive-field", plain(lab[0], convolution, nn.ReLU()), 2)


# attention distance


def uniform_map(grid: tuple[int, int], size: int, index: Tensor) -> AttentionMap:
    """Uniform attention inside each group of an index table (groups, N), one head, one image."""
    groups, entries = index.shape
    weights = Computed(torch.full((1, groups, 1, entries, entries), 1 / entries))
    return AttentionMap("layer", "Attention", "pairwise", weights, Layout("x", grid, index, grid, index), (size, size))


@pytest.mark.parametrize(("side", "patch", "expected"), [(14, 16, 116.492), (7, 32, 115.503), (16, 14, 116.565)])
def test_uniform_attention_over_tokens(side: int, patch: int, expected: float) -> None:
    one = uniform_map((side, side), side * patch, torch.arange(side * side)[None])
    assert distances(one)[0, 0].tolist() == pytest.approx([expected, expected, 0], abs=5e-4)


@pytest.mark.parametrize(("stride", "expected"), [(4, 14.44), (8, 28.88), (16, 57.75), (32, 115.50)])
def test_uniform_attention_in_windows(stride: int, expected: float) -> None:
    side = 224 // stride
    one = uniform_map((side, side), 224, windows((side, side), (7, 7)))
    assert distances(one)[0, 0].tolist() == pytest.approx([expected, expected, 0], abs=5e-3)


def silenced(spec: str) -> Model:
    """A model whose attention is uniform: queries, keys and position biases zero."""
    model = load(spec, "cpu")
    for name, one in model.module.named_parameters():
        if ".qkv." in name:
            one.data[: 2 * len(one) // 3] = 0
        if "relative_position_bias_table" in name:
            one.data.zero_()
    return model


def test_uniform_attention_of_a_real_vit() -> None:
    """The class token takes 1 / 197 of the weight: raw is 196 / 197 of renormalised."""
    result = probe("attention-distance", silenced("random/vit_tiny_patch16_224"), _grey(224))
    means = {row["measure"]: row["value"] for row in result.rows if "layer" not in row}
    assert means["mean attention distance, renormalised"] == pytest.approx(116.492, abs=5e-4)
    assert means["mean attention distance"] == pytest.approx(116.4919 * 196 / 197, abs=1e-3)
    assert means["mean mass on prefix tokens"] == pytest.approx(1 / 197, abs=1e-6)
    heads = result.of("random/vit_tiny_patch16_224", measure="attention distance, renormalised")
    assert len(heads) == 12 * (3 + 1)
    assert all(row["value"] == pytest.approx(116.492, abs=5e-4) for row in heads)


def test_uniform_attention_of_a_real_swin() -> None:
    result = probe("attention-distance", silenced("random/swin_tiny_patch4_window7_224"), _grey(224))
    rows = result.of("random/swin_tiny_patch4_window7_224", measure="attention distance", head="mean")
    assert [row["layer"] for row in rows] == list(range(1, 13))
    # The first of two blocks is not shifted; the last stage is one window.
    unshifted = [row["value"] for row in rows if row["layer"] % 2 == 1]
    expected = [14.438, 28.876] + [57.752] * 3 + [115.503]
    assert unshifted == pytest.approx(expected, abs=2e-3)
    # Cut by the mask where a shifted window goes round the border, the others are shorter or equal.
    assert all(row["value"] < 14.43 for row in rows if row["layer"] == 2)


def _grey(size: int) -> Any:
    return np.full((size, size, 3), 128, dtype=np.uint8)


def naive(one: AttentionMap) -> Tensor:
    """Distances of image 0 by a loop over every query and key: (heads, 3)."""
    layout = one.layout
    assert layout is not None
    assert layout.query_grid is not None
    assert layout.query_index is not None
    _, groups, heads, queries, keys = one.weights.shape

    def centre(code: int, grid: tuple[int, int]) -> tuple[float, float]:
        return (
            (code // grid[1] + 0.5) * one.image_size[0] / grid[0],
            (code % grid[1] + 0.5) * one.image_size[1] / grid[1],
        )

    out = torch.zeros(heads, 3, dtype=torch.float64)
    for head in range(heads):
        count, held_by = 0, 0
        for group in range(groups):
            query_codes = layout.query_index[group if len(layout.query_index) > 1 else 0].tolist()
            key_codes = layout.key_index[group if len(layout.key_index) > 1 else 0].tolist()
            weights = one.weights.block(0, group, 0, queries)[head].tolist()
            for q in range(queries):
                if query_codes[q] < 0:
                    continue
                here = centre(query_codes[q], layout.query_grid)
                on = [k for k in range(keys) if key_codes[k] >= 0]
                far = sum(weights[q][k] * math.dist(here, centre(key_codes[k], layout.key_grid)) for k in on)
                held = sum(weights[q][k] for k in on)
                count += 1
                out[head, 0] += far
                out[head, 2] += sum(weights[q][k] for k in range(keys) if key_codes[k] <= -2)
                if held > 0:
                    held_by += 1
                    out[head, 1] += far / held
        out[head] /= torch.tensor([count, held_by, count])
    return out


def hand_made() -> Iterator[AttentionMap]:
    """Random attention over pooled keys with prefix tokens, and over padded windows, of an oblong input."""
    draw = torch.Generator().manual_seed(3)
    prefixed = torch.tensor([[-2, -3, *range(6)]])
    queries = torch.tensor([[-2, *range(24)]])
    pooled = Layout("pooled keys", (2, 3), prefixed, (4, 6), queries, ("class", "register 1"))
    weights = torch.rand(1, 1, 2, 25, 8, generator=draw).softmax(-1)
    yield AttentionMap("pooled", "Attention", "pairwise", Computed(weights), pooled, (64, 96))
    index = windows((5, 6), (4, 4), (1, 1))
    assert (index == -1).any()
    weights = torch.rand(1, len(index), 3, 16, 16, generator=draw).mul(4).softmax(-1)
    yield AttentionMap(
        "windows", "Attention", "pairwise", Computed(weights), Layout("windows", (5, 6), index, (5, 6), index), (50, 90)
    )


@pytest.mark.parametrize("number", [0, 1])
def test_distances_agree_with_a_loop(number: int) -> None:
    one = list(hand_made())[number]
    assert torch.allclose(distances(one)[0], naive(one), atol=1e-4)


def test_distances_do_not_depend_on_how_queries_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [distances(one) for one in hand_made()]
    monkeypatch.setattr(attention_distance, "_AT_A_TIME", 60)
    assert all(torch.allclose(distances(one), other) for one, other in zip(hand_made(), whole))


@pytest.mark.parametrize("spec", ["lab/mhsa", "lab/axial", "random/pvt_v2_b0"])
def test_distances_of_networks_agree_with_a_loop(spec: str) -> None:
    """The loop is slow: of PVT the last layers, 7 x 7 queries over pooled keys."""
    model = load(spec, "cpu")
    image = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one = attention_distance.placed_maps(model, image)[-1]
    assert torch.allclose(distances(one)[0], naive(one), atol=1e-3)


def test_attention_by_rows_and_columns_is_one_layer() -> None:
    model = load("lab/axial", "cpu")
    maps = capture(model, torch.rand(1, 3, 48, 48))
    assert [one.kind for one in maps] == ["axial"] * 9
    rows = probe("attention-distance", model, 2).of("lab/axial", measure="attention distance", head="mean")
    assert [row["layer"] for row in rows] == [1, 2, 3]
    assert [row["depth"] for row in rows] == pytest.approx([1 / 3, 2 / 3, 1])


def test_means_are_those_of_images_heads_and_layers(lab: list[Model]) -> None:
    model, seen = lab[0], Shown(lab[0], read(5))
    with torch.inference_mode():
        table = torch.stack([distances(one) for one in capture(model, seen.images)])[..., 0]  # layers, images, heads
    result = probe("attention-distance", model, 5)
    (row,) = result.of("lab/mhsa", measure="mean attention distance")
    assert (row["value"], row["n"]) == (pytest.approx(float(table.mean()), rel=1e-6), 5)
    assert row["low"] < row["value"] < row["high"]
    (row,) = result.of("lab/mhsa", measure="attention distance", layer=2, head=1)
    assert row["value"] == pytest.approx(float(table[1, :, 1].mean()), rel=1e-6)
    assert not result.of("lab/mhsa", measure="mass on prefix tokens")


@pytest.mark.parametrize("spec", ["lab/conv", "lab/linear", "lab/coord", "lab/channel"])
def test_attention_without_a_query_has_no_distance(spec: str) -> None:
    with pytest.raises(MethodError, match="attention"):
        probe("attention-distance", spec, 2, device="cpu")


# attribution radius


def test_radii_of_known_masses() -> None:
    point = torch.zeros(21, 21, dtype=torch.float64)
    point[4, 7] = 3
    assert radii(point, (0.5, 0.9)) == [0, 0]
    point[4, 17] = 3  # two equal points 10 px apart: their centre lies 5 px from both
    assert radii(point, (0.5, 0.9)) == pytest.approx([5, 5])
    y, x = np.mgrid[:401, :401] - 200
    disc = torch.from_numpy(((x**2 + y**2) <= 150**2).astype(float))
    assert radii(disc, (0.5, 0.9)) == pytest.approx([150 * math.sqrt(0.5), 150 * math.sqrt(0.9)], abs=0.5)


def test_cells_are_spread_over_their_area() -> None:
    values = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).double()
    even = spread(values, (12, 8))
    assert torch.allclose(even, values.repeat_interleave(4, 0).repeat_interleave(2, 1) / 8)
    odd = spread(values, (10, 7))
    assert float(odd.sum()) == pytest.approx(float(values.sum()))
    # Pixel row 3 of 10 holds the last third of cell row 0 (to 10 / 3) and the first two thirds of cell row 1.
    assert torch.allclose(odd.sum(1)[3], 0.1 * values[0].sum() + 0.2 * values[1].sum())


def test_one_cell_of_evidence_has_the_radius_of_a_cell(lab: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(model: Model, x01: Tensor, **kwargs: Any) -> Any:
        found = real(model, x01, **kwargs)
        values = torch.zeros(3, 3)
        values[1, 1] = -1.0
        return replace(found, attributions=(replace(found.attributions[0], values=values),))

    real = attribution_radius.answer
    monkeypatch.setattr(attribution_radius, "answer", fake)
    result = probe("attribution-radius", lab[1], 2)
    # A square of 16 px, half of which lies in a circle of radius sqrt(128 / pi)
    assert result.summary["lab/conv: radius holding 50 %"].value == pytest.approx(math.sqrt(128 / math.pi), abs=0.35)
    (row,) = result.of("lab/conv", share=0.9)
    assert (row["n"], row["low"], row["high"]) == (2, row["value"], row["value"])


def test_attribution_method_is_a_choice(lab: list[Model]) -> None:
    with pytest.raises(ParameterError, match="method is one of"):
        probe("attribution-radius", lab[0], 1, method="occlusion")
    with pytest.raises(MethodError, match="gradient rollout cannot serve"):
        probe("attribution-radius", lab[0], 1, method="gradient_rollout")


# drawing


@pytest.fixture(scope="module")
def results(lab: list[Model]) -> list[ProbeResult]:
    """Every probe of two models, of three scenes."""
    return [probe(name, lab, 3) for name in NAMES]


def test_every_probe_says_what_it_is() -> None:
    for name in NAMES:
        kind = PROBES[name]
        assert kind.bias == "locality"
        assert (kind.__doc__ or "").splitlines()[0].endswith("?")
        assert all((kind.formula, kind.source, kind.limits, kind.headline))


def test_sections_show_all_models_in_their_colours(results: list[ProbeResult]) -> None:
    for result in results:
        (section,) = PROBES[result.probe](**result.parameters).sections(result)
        chart = section.rows[0][0]
        assert {line.colour for line in chart.lines} <= set(result.colours)  # type: ignore[union-attr]
        named = " ".join(line.name for line in chart.lines)  # type: ignore[union-attr]
        assert "lab/mhsa" in named
        assert ("lab/conv" in named) == (result.probe != "attention-distance")
        assert "px" in chart.y.title + chart.x.title  # type: ignore[union-attr]
        assert f"lab/mhsa: {PROBES[result.probe].headline}" in result.summary


def test_sections_of_nothing_yet_are_empty(results: list[ProbeResult]) -> None:
    for result in results:
        assert PROBES[result.probe](**result.parameters).sections(replace(result, rows=[])) == ()


def test_all_on_one_axis(results: list[ProbeResult]) -> None:
    chart = reach.on_one_axis(results).rows[0][0]
    one, two = chart.lines  # type: ignore[union-attr]
    assert (one.name, one.joined, two.name) == ("lab/mhsa", False, "lab/conv")
    assert len(one.x) == len(one.y) == 7
    values = dict(zip(two.x, two.y))
    assert values["receptive field, half side"] == 15.5
    assert not any("attention" in name for name in two.x)
    summary = results[1].summary
    assert values["effective field, half side, 50 %"] == summary["lab/conv: side of the square at 50 %"].value / 2
    last = results[2].of("lab/mhsa", measure="attention distance", layer=3, head="mean")[0]["value"]
    assert dict(zip(one.x, one.y))["attention distance, last layer"] == last
    assert one.low is not None
    assert all(low <= y for low, y in zip(one.low, one.y))


def test_steps_end_at_one_and_give_all_rows_at_the_end(lab: list[Model]) -> None:
    for name in NAMES:
        kind = PROBES[name]
        seen = Shown(lab[0], read(2))
        steps = list(kind().measure(lab[0], seen, Run(Passes(lab[0]), 0)))
        assert steps[-1].share == 1
        assert steps[-1].rows
        assert all(a.share <= b.share for a, b in pairwise(steps))


def test_a_field_that_fits_no_strip_is_measured_at_the_own_size(
    lab: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receptive_field, "LENGTHS", (16,))
    found = fields(lab[1])
    # 31 px do not fit a strip of 16: measured at the input's own 48, where they do.
    assert (found[1]["value"], found[1]["reach"]) == (31, "bounded")
