"""Scenes: the same wherever and however they are rendered, exact masks, and the cues as often as declared."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch

from explorer import scenes
from explorer.errors import ParameterError, UnknownNameError
from explorer.scenes import (
    AUGMENTED,
    BACKGROUNDS,
    CENTRED,
    CLASSES,
    SHAPES,
    TEXTURES,
    Scene,
    Scenes,
    draw,
    render,
    rendering,
    scene,
    shapes,
)

PLAIN = {"texture": "plain", "background": "red gradient", "noise": 0.0}


def test_the_hash_is_splitmix64():
    # First outputs of the reference implementation (Steele, Lea and Flood 2014) for the state 0.
    golden = -7046029254386353131
    states = torch.tensor([golden, 2 * golden % 2**64 - 2**64 if 2 * golden % 2**64 >= 2**63 else 2 * golden % 2**64])
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert [value % 2**64 for value in scene._mix(states).tolist()] == expected


def test_hashed_numbers_are_uniform_and_independent():
    u = scenes.hashed(scenes.keys_of(3, torch.arange(20_000)), 4)
    assert u.min() >= 0
    assert u.max() < 1
    assert torch.allclose(u.mean(0), torch.full((4,), 0.5, dtype=torch.float64), atol=0.01)
    assert torch.allclose(u.var(0), torch.full((4,), 1 / 12, dtype=torch.float64), atol=0.002)
    assert torch.corrcoef(u.T).fill_diagonal_(0).abs().max() < 0.03


def test_a_scene_does_not_depend_on_its_neighbours():
    many = render(draw(5, torch.arange(100)))
    some = torch.tensor([99, 3, 40])
    alone = render(draw(5, some))
    assert torch.equal(many.images[some], alone.images)
    assert torch.equal(many.masks[some], alone.masks)
    assert torch.equal(many.labels[some], alone.labels)


def test_streams_differ():
    assert not torch.equal(render(draw(1, torch.arange(4))).images, render(draw(2, torch.arange(4))).images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_renders_the_same():
    which = torch.arange(64)
    here, there = render(draw(0, which)), render(draw(0, which), device="cuda")
    assert torch.equal(here.labels, there.labels.cpu())
    assert (here.masks != there.masks.cpu()).sum() <= 2
    assert (here.images - there.images.cpu()).abs().median() < 1e-5


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("square", (2 * 0.76) ** 2),
        ("ring", math.pi * (0.92**2 - 0.44**2)),
        ("bar", 2.1 * 0.72),
        ("cross", 2 * 1.96 * 0.6 - 0.6**2),
        ("star", 5 * 1.1 * 0.45 * math.sin(math.pi / 5)),
    ],
)
def test_masks_have_the_area_of_their_shape(shape, area):
    mask = render(Scene(label=shape, **PLAIN), 1024).masks[0]
    assert float(mask.double().mean()) == pytest.approx(area * scenes.RADIUS**2, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_distances_near_the_edge(shape):
    """The distance to the nearest point of another sign, found by looking at every pixel."""
    size = 160
    axis = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 3 - 1.5
    x, y = axis[None].expand(size, size), axis[:, None].expand(size, size)
    found = shapes.DISTANCE[shape](x, y)
    inside = found < 0
    places = torch.stack([x, y], -1)
    errors = []
    for row, column in (found.abs() < 0.06).nonzero()[::11].tolist():
        others = places[inside != inside[row, column]]
        naive = float((others - places[row, column]).norm(dim=1).min())
        errors.append(abs(abs(float(found[row, column])) - naive))
    # The pixel beyond the edge is up to a pixel's diagonal further than the edge itself; at the tips and in the inner
    # corners of shapes made of two the function is a bound, not the distance.
    assert torch.tensor(errors).quantile(0.85) < 1.5 * 3 / size


@pytest.mark.parametrize("label", ["star", "triangle above circle"])
def test_a_shift_moves_the_mask_without_a_trace(label):
    still = render(Scene(label=label, **PLAIN)).masks[0]
    moved = render(Scene(label=label, dx=5 / 48, dy=-3 / 48, **PLAIN)).masks[0]
    assert torch.equal(moved, still.roll((-3, 5), (0, 1)))


def test_only_the_object_moves():
    still, moved = render(Scene(seed=4)), render(Scene(seed=4, dx=0.1))
    border = torch.nn.functional.max_pool2d((still.masks | moved.masks).float()[:, None], 5, 1, 2)[:, 0] > 0
    same = (still.images == moved.images).all(1)
    assert same[~border].all()
    assert not same[still.masks ^ moved.masks].all()


def test_scaling_scales_the_area():
    small = render(Scene(label="heart", scale=0.7, **PLAIN), 256).masks.double().mean()
    large = render(Scene(label="heart", scale=1.4, **PLAIN), 256).masks.double().mean()
    assert float(large / small) == pytest.approx(4, rel=0.01)


def test_resolution_changes_the_sampling_not_the_scene():
    coarse = render(Scene(noise=0.0), 48).images
    fine = torch.nn.functional.avg_pool2d(render(Scene(noise=0.0), 192).images, 4)
    assert (coarse - fine).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("label", "upper_or_left"),
    [
        ("triangle above circle", "triangle"),
        ("circle above triangle", "circle"),
        ("triangle left of circle", "triangle"),
        ("circle left of triangle", "circle"),
    ],
)
def test_arrangements_are_what_they_say(label, upper_or_left):
    parts = [
        (SHAPES[int(shape)], float(x), float(y))
        for shape, x, y, _ in rendering._parts(Scenes.of([Scene(label=label)]))
        if int(shape) >= 0
    ]
    axis = 2 if "above" in label else 1
    assert min(parts, key=lambda part: part[axis])[0] == upper_or_left
    assert parts[0][3 - axis] == pytest.approx(parts[1][3 - axis])


def test_a_quarter_turn_of_the_axis_makes_one_arrangement_the_other():
    above = render(Scene(label="triangle above circle", tilt=-90.0, **PLAIN)).masks
    assert torch.equal(above, render(Scene(label="triangle left of circle", **PLAIN)).masks)


def test_cues_agree_with_the_class_as_often_as_declared():
    drawn = draw(7, torch.arange(40_000))
    texture, background = drawn.texture == drawn.label, drawn.background == drawn.label
    assert float(texture.double().mean()) == pytest.approx(CENTRED.texture_agreement, abs=0.01)
    assert float(background.double().mean()) == pytest.approx(CENTRED.background_agreement, abs=0.01)
    # independent of one another, every class alike often, every other texture alike often
    both = CENTRED.texture_agreement * CENTRED.background_agreement
    assert float((texture & background).double().mean()) == pytest.approx(both, abs=0.01)
    assert drawn.label.bincount().double().div(40_000).sub(1 / 12).abs().max() < 0.006
    assert drawn.texture.bincount().double().div(40_000).sub(1 / 12).abs().max() < 0.006
    never = draw(7, torch.arange(2000), replace(CENTRED, texture_agreement=0.0, background_agreement=0.0))
    assert not (never.texture == never.label).any()
    assert not (never.background == never.label).any()


def test_drawn_scenes_stay_in_their_ranges_and_in_the_frame():
    for distribution in (CENTRED, AUGMENTED):
        drawn = draw(1, torch.arange(3000), distribution)
        assert drawn.dx.abs().max() <= distribution.shift
        assert drawn.scale.min() >= distribution.scales[0] * 0.999
        assert drawn.scale.max() <= distribution.scales[1] * 1.001
    masks = render(draw(1, torch.arange(500))).masks
    border = torch.ones(48, 48, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert not masks[:, border].any()


def test_every_class_texture_and_background_can_be_told_from_the_others():
    for field, names in (("label", CLASSES), ("texture", TEXTURES), ("background", BACKGROUNDS)):
        pictures = render([Scene(**{**PLAIN, "label": "square", field: name}) for name in names]).images.flatten(1)
        apart = torch.cdist(pictures, pictures).fill_diagonal_(math.inf)
        assert apart.min() > 1.0, field


def test_of_and_changed_set_what_is_asked():
    pair = Scenes.of([Scene(label="ring", dx=0.1), Scene(label="bar", scale=2.0)])
    assert [CLASSES[i] for i in pair.label.tolist()] == ["ring", "bar"]
    moved = pair.moved(dx=torch.tensor([0.1, 0.2]), zoom=0.5)
    assert moved.dx.tolist() == pytest.approx([0.2, 0.2])
    assert moved.scale.tolist() == [0.5, 1.0]
    assert pair.changed(texture=3).texture.tolist() == [3, 3]
    assert {field.name for field in fields(Scenes)} >= {"label", "texture", "background", "key"}


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"label": "stra"}, UnknownNameError),
        ({"texture": "fur"}, UnknownNameError),
        ({"scale": 0.0}, ParameterError),
        ({"scale": math.nan}, ParameterError),
        ({"dx": "left"}, ParameterError),
        ({"seed": 1.5}, ParameterError),
        ({"seed": True}, ParameterError),
    ],
)
def test_bad_scenes_are_refused(bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        Scene(**bad)


def test_a_bad_size_is_refused():
    with pytest.raises(ParameterError, match="size is 4"):
        render(Scene(), 4)
