"""Patch-shuffle and position: exact cases, closed forms and naive loops."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.stages import find_stages
from explorer.probes import PROBES, position_embeddings, probe
from explorer.probes.pairs import compared
from explorer.probes.patch_shuffle import roomy
from explorer.probes.position import position_rows
from explorer.probes.result import ProbeResult
from explorer.probes.ridge import ridge
from explorer.probes.stimuli import render_many, scenes
from explorer.scenes import ARRANGEMENTS
from explorer.transforms import random_orders, shuffle_patches


def vit(pool: str = "token", **options: object) -> Model:
    """A small random ViT on 64 x 64 px: a grid of 4 x 4."""
    given = {"depth": 2, "global_pool": pool, "num_classes": 10, **options}
    spec = ModelSpec("vit_tiny_patch16_224", "random", options=tuple(sorted(given.items())), input_size=(64, 64))
    return load(spec, "cpu")


def pictures(count: int = 3, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def arrays(count: int = 3, size: int = 64) -> list[np.ndarray]:
    return [(one.permute(1, 2, 0).numpy() * 255).astype(np.uint8) for one in pictures(count, size)]


def with_module(model: Model, module: nn.Module) -> Model:
    """The model with another network."""
    stages, _ = find_stages(module, torch.randn(1, 3, *model.input_size))
    return dataclasses.replace(model, module=module.eval().requires_grad_(False), stages=stages)


# ---- shuffling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(2, 2), (2, 4), (4, 8)])
def test_patches_change_places_as_in_a_naive_loop(grid: tuple[int, int]) -> None:
    images = pictures(2, 16)
    rows, columns = grid
    orders = random_orders(2, rows * columns, 5)
    moved = shuffle_patches(images, orders, grid)
    h, w = 16 // rows, 16 // columns
    for item in range(2):
        for place in range(rows * columns):
            (r, c), (i, j) = divmod(place, columns), divmod(int(orders[item, place]), columns)
            was = images[item, :, i * h : (i + 1) * h, j * w : (j + 1) * w]
            assert torch.equal(moved[item, :, r * h : (r + 1) * h, c * w : (c + 1) * w], was)


def test_orders_are_permutations_and_never_the_original() -> None:
    orders = random_orders(500, 4, 0)
    assert torch.equal(orders.sort(1).values, torch.arange(4).expand(500, -1))
    assert not (orders == torch.arange(4)).all(1).any()
    # 23 orders are left, and all of them come.
    assert len({tuple(one) for one in orders.tolist()}) == 23
    assert torch.equal(orders, random_orders(500, 4, 0))
    assert not torch.equal(orders, random_orders(500, 4, 1))


@pytest.mark.parametrize("pool", ["avg", "token"])
def test_vit_without_position_does_not_see_an_aligned_shuffle(pool: str) -> None:
    model = vit(pool)
    images = pictures()
    moved = shuffle_patches(images, random_orders(3, 16, 1), (4, 4))
    with torch.inference_mode():
        with_position = model.logits(moved) - model.logits(images)
        size = model.logits(images).abs().max()
        free = position_embeddings.without_position(model, "absolute")
        without = free.logits(moved) - free.logits(images)
    assert without.abs().max() < 1e-4 * size
    assert with_position.abs().max() > 1e-3 * size


def test_probe_of_a_position_free_vit_agrees_at_aligned_grids_only() -> None:
    model = position_embeddings.without_position(vit(), "absolute")
    result = probe("patch-shuffle", model, arrays(), draws=2)
    for grid in ("2x2", "2x4", "4x4"):
        (one,) = result.of(str(model.spec), measure="agreement", grid=grid, group="all")
        assert one["value"] == 1
        assert one["n"] == 3
        assert one["low"] is not None
    (clean,) = result.of(str(model.spec), measure="p(original class)", grid="1x1")
    (aligned,) = result.of(str(model.spec), measure="p(original class)", grid="4x4")
    (across,) = result.of(str(model.spec), measure="p(original class)", grid="8x8")
    assert aligned["value"] == pytest.approx(clean["value"], rel=1e-4)
    assert across["value"] != pytest.approx(clean["value"], rel=1e-4)
    assert all(one["left_out"] == "14x14" for one in result.rows)
    assert result.summary[f"{model.spec}: agreement at 4x4"].value == 1
    (section,) = PROBES["patch-shuffle"]().sections(result)
    assert "14x14" in section.rows[0][0].unit


def test_one_picture_has_no_interval() -> None:
    result = probe("patch-shuffle", vit(), arrays(1), draws=2)
    assert all(one["low"] is None for one in result.rows)


def test_agreement_is_the_mean_over_orders_and_p_that_of_the_original_class() -> None:
    clean = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    logits = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, 1.0], [0.0, 2.0]])  # two orders of each image
    rows = {one["measure"]: one for one in compared(logits, clean, [1, None], 2)}
    assert rows["agreement"]["value"] == pytest.approx(0.75)
    p = [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(3)), 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))]
    assert rows["p(original class)"]["value"] == pytest.approx(np.mean(p))
    # Only the first label is known, 1: its second order is right.
    assert rows["accuracy"]["value"] == 0.5
    assert rows["accuracy"]["n"] == 1


def test_scenes_by_group() -> None:
    result = probe("patch-shuffle", "lab/mhsa", 12, draws=1, device="cpu")
    model = "lab/mhsa"
    groups = {one["group"] for one in result.rows}
    further = {"tilted 25 to 40 degrees", "1.4 to 1.7 x apart", "uninformative cues"}
    assert groups == {"all", "one part", "arrangements", *further}
    (near,) = result.of(model, measure="accuracy among arrangements", grid="1x1", group="arrangements")
    (free,) = result.of(model, measure="accuracy", grid="1x1", group="arrangements")
    assert near["n"] == free["n"] >= 40
    assert near["value"] >= free["value"]  # with fewer classes to choose from
    assert near["value"] > 0.6  # chance is 0.25
    (cut,) = result.of(model, measure="accuracy among arrangements", grid="16x16", group="arrangements")
    assert cut["low"] < 0.25 < near["low"]
    assert len(PROBES["patch-shuffle"]().sections(result)) == 2
    # The model that averages over places cannot tell arrangements apart.
    flat = probe("patch-shuffle", "lab/none", 12, draws=1, device="cpu")
    (blind,) = flat.of("lab/none", measure="accuracy among arrangements", grid="1x1", group="arrangements")
    assert blind["value"] < near["low"]


def test_arrangements_further_apart_stay_in_the_frame() -> None:
    drawn = scenes(120, 0)
    kept = [drawn[index] for index in roomy(drawn, 48)]
    assert {one.label for one in kept} == set(ARRANGEMENTS)
    assert roomy(drawn[:8], 48) == []
    pairs = [dataclasses.replace(one, gap=1.7) for one in kept]
    masks = render_many(pairs, 48)[1]
    assert len(pairs) > 10
    assert not masks[:, [0, -1]].any()
    assert not masks[:, :, [0, -1]].any()


def test_models_without_classes_are_refused() -> None:
    with pytest.raises(MethodError, match="no classes"):
        probe("patch-shuffle", vit(num_classes=0), arrays(1))


# ---- positions taken away and moved ---------------------------------------------------------------------------------


def test_prefix_rows_stay_and_the_grid_rolls() -> None:
    model = vit(class_token=True, reg_tokens=2)
    table = model.module.pos_embed
    before = copy.deepcopy(model.module.state_dict())
    prefix = table.shape[1] - 16
    assert prefix >= 1
    moved = position_embeddings.with_moved_position(model, "absolute").module.pos_embed
    off = position_embeddings.without_position(model, "absolute").module.pos_embed
    assert torch.equal(moved[:, :prefix], table[:, :prefix])
    assert torch.equal(off[:, :prefix], table[:, :prefix])
    assert not off[:, prefix:].any()
    for row in range(4):
        for column in range(4):
            there = prefix + (row + 2) % 4 * 4 + (column + 2) % 4
            assert torch.equal(moved[0, there], table[0, prefix + row * 4 + column])
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, before[name])


def test_moving_positions_equals_moving_the_picture() -> None:
    """Rolled positions see a picture as unmoved positions see it rolled back: exact with average pooling."""
    model = vit("avg")
    images = pictures()
    moved = position_embeddings.with_moved_position(model, "absolute")
    with torch.inference_mode():
        one, two = moved.logits(images.roll((32, 32), (2, 3))), model.logits(images)
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(moved.logits(images), two, rtol=1e-3, atol=1e-4)


def test_rows_of_changed_positions() -> None:
    model = vit()
    result = probe("position", model, arrays(), count=4, input="noise")
    name = str(model.spec)
    (same,) = result.of(name, measure="agreement", position="unchanged")
    assert same["value"] == 1
    (off,) = result.of(name, measure="p(original class)", position="zeroed", kind="absolute")
    images = torch.cat([model.preprocess(Image.fromarray(one)) for one in arrays()])
    with torch.inference_mode():
        original = model.logits(images).argmax(1)
        changed = copy.deepcopy(model.module)
        changed.pos_embed[:, 1:] = 0
        p = changed(model.normalise(images)).softmax(1)[torch.arange(3), original]
    assert off["value"] == pytest.approx(float(p.mean()), rel=1e-5)
    assert off["low"] <= off["value"] <= off["high"]
    assert {one["position"] for one in result.of(name, measure="agreement")} == {"unchanged", "zeroed", "moved"}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("swin_tiny_patch4_window7_224", ("relative",)),
        ("swinv2_tiny_window8_256", ("relative",)),
        ("beit_base_patch16_224", ("relative",)),
        ("levit_128s", ("relative",)),
        ("eva02_tiny_patch14_224", ("absolute", "rotary")),
        ("resnet18", ()),
        ("cait_xxs24_224", ("absolute",)),
    ],
)
def test_kinds_of_position(name: str, kinds: tuple[str, ...]) -> None:
    import timm

    with torch.device("meta"):
        module = timm.create_model(name)
    assert position_embeddings.position_kinds(module) == kinds


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("levit_128s", ()),
        ("eva02_tiny_patch14_224", (("depth", 1),)),
        ("swin_tiny_patch4_window7_224", (("depths", (1, 1, 1, 1)),)),
    ],
)
def test_taking_positions_away_changes_the_answer_and_not_the_model(
    name: str, options: tuple[tuple[str, object], ...]
) -> None:
    model = position_embeddings.copied(load(ModelSpec(name, "random", options=options), "cpu"))
    x = pictures(1, model.input_size[0])
    chance = torch.Generator().manual_seed(0)
    for value in model.module.parameters():
        if not value.any():  # what begins at zero, tables and the last norms of branches, would hide the change
            value.copy_(torch.randn(value.shape, generator=chance))
    with torch.inference_mode():
        before = model.logits(x)
        for kind in position_embeddings.position_kinds(model.module):
            assert not torch.equal(position_embeddings.without_position(model, kind).logits(x), before)
        assert torch.equal(model.logits(x), before)


def test_rotary_off_is_attention_without_it() -> None:
    """With both kinds zeroed EVA does not see an aligned shuffle, as no kind is left."""
    options = (("depth", 2), ("num_classes", 10))
    model = load(ModelSpec("eva02_tiny_patch14_224", "random", options=options, input_size=(56, 56)), "cpu")
    free = position_embeddings.without_position(position_embeddings.without_position(model, "absolute"), "rotary")
    half = position_embeddings.without_position(model, "absolute")
    images = pictures(2, 56)
    moved = shuffle_patches(images, random_orders(2, 16, 1), (4, 4))
    with torch.inference_mode():
        size = free.logits(images).abs().max()
        assert (free.logits(moved) - free.logits(images)).abs().max() < 1e-4 * size
        assert (half.logits(moved) - half.logits(images)).abs().max() > 1e-3 * size


def test_rows_of_the_class_token_stay_in_a_relative_table() -> None:
    assert position_embeddings._class_rows("a.relative_position_bias_table", torch.zeros(27 * 27 + 3, 12)) == 3
    assert position_embeddings._class_rows("a.relative_position_bias_table", torch.zeros(13 * 13, 3)) == 0


def test_places_of_the_laboratory_blocks() -> None:
    model = load("lab/mhsa", "cpu")
    assert position_embeddings.position_kinds(model.module) == ("absolute",)
    moved = position_embeddings.with_moved_position(model, "absolute")
    name = "stages.0.blocks.0.token_mixer.places"
    was, now = model.module.get_parameter(name), moved.module.get_parameter(name)
    assert torch.equal(now[0, :, 6, 6], was[0, :, 0, 0])
    assert torch.equal(now[0, :, 1, 2], was[0, :, 7, 8])
    assert position_embeddings.position_kinds(load("lab/none", "cpu").module) == ()


# ---- reading positions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), [(40, 5), (12, 30)])
def test_ridge_solves_the_normal_equations(n: int, p: int) -> None:
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=chance, dtype=torch.float64) * 3 + 1
    y = torch.randn(n, 2, generator=chance, dtype=torch.float64)
    (found,) = ridge(x, y, [0.1])
    z = (x - x.mean(0)) / x.std(0, correction=0)
    weights = torch.linalg.solve(z.T @ z + 0.1 * n * torch.eye(p, dtype=torch.float64), z.T @ (y - y.mean(0)))
    assert torch.allclose(found(x), z @ weights + y.mean(0))


def test_r2_of_features_known_in_advance() -> None:
    chance = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, 6)
    places = torch.stack([axis.repeat(6), axis.repeat_interleave(6)], -1).expand(8, -1, -1)
    noise = torch.randn(8, 36, 20, generator=chance)

    def values(features: Tensor) -> dict[str, float]:
        return {one["measure"]: one["value"] for one in position_rows(features, places)}

    both = values(torch.cat([noise, places], -1))
    assert both["R2 of x"] > 0.999
    assert both["R2 of y"] > 0.999
    only = values(torch.cat([noise, places[..., :1]], -1))
    assert only["R2 of x"] > 0.999
    assert only["R2 of y"] < 0.05
    assert only["R2 of position"] == pytest.approx((only["R2 of x"] + only["R2 of y"]) / 2)
    # Many more channels than samples would fit anything; what is not fitted shows it.
    assert values(torch.randn(8, 36, 400, generator=chance))["R2 of position"] < 0.05
    # A known mixture: x plus noise of the same variance is read to half.
    blurred = places[..., :1] + places[..., 0].std() * torch.randn(8, 36, 1, generator=chance)
    assert values(blurred)["R2 of x"] == pytest.approx(0.5, abs=0.12)


class Convolutions(nn.Module):
    """Six random 3x3 convolutions with a pooling in the middle; timm's names."""

    def __init__(self, padding: str) -> None:
        super().__init__()
        torch.manual_seed(0)

        def pair(inner: int, outer: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for a, b in ((inner, outer), (outer, outer), (outer, outer)):
                layers += [nn.Conv2d(a, b, 3, padding=1, padding_mode=padding), nn.ReLU()]
            return nn.Sequential(*layers)

        self.first, self.second = pair(3, 16), nn.Sequential(nn.AvgPool2d(2), pair(16, 32))
        self.fc = nn.Linear(32, 10)
        self.num_classes = 10
        self.feature_info = [
            {"num_chs": 16, "reduction": 1, "module": "first"},
            {"num_chs": 32, "reduction": 2, "module": "second"},
        ]

    def forward_features(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        pooled = x.mean((2, 3))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def read(model: Model, **parameters: object) -> ProbeResult:
    return probe("position", model, arrays(1, 32), **parameters)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_zero_padding_tells_where_and_circular_padding_does_not(padding: str) -> None:
    base = load(ModelSpec("test_resnet", "random", input_size=(16, 16)), "cpu")
    model = with_module(base, Convolutions(padding))
    result = read(model, count=12)
    last = {one["input"]: one for one in result.of(str(model.spec), measure="R2 of position", stage=2)}
    if padding == "circular":
        assert last["noise"]["value"] < 0.02
        assert last["constant"]["value"] < 0.02
    else:
        assert last["noise"]["low"] > 0.1
        assert last["constant"]["low"] > 0.1
        (first,) = result.of(str(model.spec), measure="R2 of position", stage=1, input="noise")
        assert last["noise"]["value"] > first["value"]
    # It has no position that could be taken away: what can be measured still is, and this is said.
    assert not result.of(str(model.spec), measure="agreement")
    assert "R² of noise images, last stage" in " ".join(result.summary)
    assert len(PROBES["position"]().sections(result)) == 1


def test_position_embedding_is_read() -> None:
    model = vit()
    model.module.pos_embed.mul_(30)  # random ones are small beside the patches of noise
    name = str(model.spec)
    result = probe("position", model, arrays(1), count=12)
    free = probe("position", position_embeddings.without_position(model, "absolute"), arrays(1), count=12)
    for kind in ("noise", "constant"):
        (with_it,) = result.of(name, measure="R2 of position", stage=1, input=kind)
        (without,) = free.of(name, measure="R2 of position", stage=1, input=kind)
        assert with_it["value"] > 0.9
        assert without["value"] < 0.05


def test_real_vit_knows_where_it_is(real_specs: dict[str, str]) -> None:
    result = probe("position", real_specs["vit_tiny_patch16_224"], arrays(1), count=4, input="noise", device="cpu")
    values = {one["stage"]: one["value"] for one in result.rows if one["measure"] == "R2 of position"}
    assert len(values) == 12
    assert max(values.values()) > 0.9
