"""Scenes: the same wherever and however they are rendered, exact masks, and the cues as often as declared."""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace
from functools import lru_cache

import pytest
import torch
from matplotlib.path import Path

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
    backgrounds,
    chance,
    draw,
    draw_groups,
    render,
    render_groups,
    rendering,
    shapes,
)

PLAIN = {"texture": "plain", "background": "red gradient", "noise": 0.0, "wobble": 0.0, "shade": 0.0, "clutter": 0.0}


def test_the_hash_is_splitmix64():
    # First outputs of the reference implementation (Steele, Lea and Flood 2014) for the state 0.
    golden = -7046029254386353131
    states = torch.tensor([golden, 2 * golden % 2**64 - 2**64 if 2 * golden % 2**64 >= 2**63 else 2 * golden % 2**64])
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert [value % 2**64 for value in chance.mix(states).tolist()] == expected


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


def test_a_batch_takes_a_fraction_of_the_time_of_its_scenes_alone():
    """What makes training sets affordable: 1500 scenes a second on a core that runs nothing else."""
    drawn = draw(5, torch.arange(48))

    def seconds(run) -> float:
        begun = time.process_time()
        run()
        return time.process_time() - begun

    together = min(seconds(lambda: render(drawn)) for _ in range(3))
    alone = seconds(lambda: [render(drawn[[place]]) for place in range(48)])
    assert together < alone / 3


# ---- masks, against a rendering point by point with nothing in common ------------------------------------------------


@lru_cache
def _corners(count: int, radii: tuple[float, ...], down: float = 0.0) -> Path:
    angles = [-math.pi / 2 + 2 * math.pi * place / count for place in range(count)]
    radius = [radii[place % len(radii)] for place in range(count)]
    return Path([(r * math.cos(a), r * math.sin(a) + down) for r, a in zip(radius, angles)])


def _inside(shape: str, x: float, y: float) -> bool:
    far = math.hypot(x, y)
    if shape in ("triangle", "star"):
        corners = _corners(3, (1.08,), -0.12) if shape == "triangle" else _corners(10, (1.1, 0.45))
        return corners.contains_point((x, y))
    if shape == "heart":
        square = Path([(0, 0.88), (0.79, 0.09), (0, -0.70), (-0.79, 0.09)])
        return square.contains_point((x, y)) or math.hypot(abs(x) - 0.395, y + 0.305) < 1.58 * math.sqrt(2) / 4
    if shape == "drop":
        cone = Path([(0, -1.1), (0.546, 0.102), (-0.546, 0.102)])
        return cone.contains_point((x, y)) or math.hypot(x, y - 0.35) < 0.6
    return {
        "circle": far < 0.86,
        "ring": 0.44 < far < 0.92,
        "square": max(abs(x), abs(y)) < 0.76,
        "bar": abs(x) < 1.05 and abs(y) < 0.36,
        "cross": (abs(x) < 0.98 and abs(y) < 0.3) or (abs(x) < 0.3 and abs(y) < 0.98),
        "crescent": far < 0.95 and math.hypot(x - 0.48, y) > 0.72,
    }[shape]


def _is_object(one: Scene, parts: list[tuple[str, float, float, float]], u: list[float], x: float, y: float) -> bool:
    """Whether a point of the frame is on the object of a scene, whatever lies before it."""
    bend, turn = one.wobble, math.radians(one.angle)
    for shape, left, top, share in parts:
        r = scenes.RADIUS * share * one.scale
        dx, dy = (x - left) / r, (y - top) / r
        across, down = math.cos(turn) * dx + math.sin(turn) * dy, math.cos(turn) * dy - math.sin(turn) * dx
        long = 1 + 2 * bend * (2 * u[10] - 1)
        bent_x = across * long + bend * math.sin(2.6 * down + 2 * math.pi * u[11])
        bent_y = down / long + bend * math.sin(2.6 * across + 2 * math.pi * u[12])
        if _inside(shape, bent_x, bent_y):
            return True
    return False


def _is_before(clutter: float, u: list[float], x: float, y: float) -> bool:
    """Whether a point of the frame is on a stick before the object."""
    for number in range(rendering.BEHIND, rendering.BEHIND + rendering.BEFORE):
        there, cx, cy, turn, length, width = u[60 + 8 * number : 66 + 8 * number]
        if there >= clutter:
            continue
        c, s, half = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn), 0.08 + 0.17 * length
        along = min(max((x - cx) * c + (y - cy) * s, -half), half)
        if math.hypot(x - cx - along * c, y - cy - along * s) < 0.012 + 0.014 * width:
            return True
    return False


def test_masks_are_exact():
    chosen = [
        Scene(label=label, dx=0.03, dy=-0.02, angle=12.0, tilt=8.0, clutter=0.95, wobble=0.08, seed=seed)
        for seed, label in enumerate(CLASSES)
    ]
    masks = render(chosen).masks
    middles = [(place + 0.5) / 48 for place in range(48)]
    wrong, hidden = 0, 0
    for one, mask in zip(chosen, masks.tolist()):
        made = Scenes.of([one])
        u = scenes.hashed(made.key, 200)[0].tolist()
        parts = [(SHAPES[int(n)], float(x), float(y), share) for n, x, y, share in rendering.parts(made) if int(n) >= 0]
        for row, y in enumerate(middles):
            for column, x in enumerate(middles):
                on, before = _is_object(one, parts, u, x, y), _is_before(one.clutter, u, x, y)
                hidden += on and before
                wrong += mask[row][column] != (on and not before)
    assert hidden > 20  # the sticks do lie before objects
    assert wrong <= 1  # a point on the edge itself may round to either side


def test_groups_have_exact_masks_and_boxes():
    which = torch.arange(60)
    drawn = draw_groups(3, which)
    made = render_groups(drawn)
    assert set(drawn.present.sum(1).tolist()) == {1, 2, 3, 4, 5}
    alone = torch.stack([render(one.changed(clutter=0.0)).masks for one in drawn.objects], 1)
    expected = alone & drawn.present[:, :, None, None]
    for behind in range(scenes.MOST):
        expected[:, behind] &= ~expected[:, behind + 1 :].any(1)
    # What is seen of each is what it has alone, less what lies before it; sticks before all of them take more.
    assert not (made.masks & ~expected).any()
    without = render_groups(replace(drawn, ground=drawn.ground.changed(clutter=0.0)))
    assert torch.equal(without.masks, expected)
    assert (without.masks.flatten(2).sum(2) < alone.flatten(2).sum(2))[drawn.present].any()  # some overlap
    for picture in range(60):
        for number in range(scenes.MOST):
            places = made.masks[picture, number].nonzero()
            if not len(places):
                assert not made.counts[picture, number]
                continue
            (top, left), (bottom, right) = places.amin(0).tolist(), (places.amax(0) + 1).tolist()
            box = [left / 48, top / 48, right / 48, bottom / 48]
            assert made.boxes[picture, number].tolist() == pytest.approx(box, abs=1e-6)
    assert torch.equal(made.labels, torch.stack([one.label for one in drawn.objects], 1))
    share = made.counts.sum() / drawn.present.sum()
    assert 0.9 < float(share) <= 1
    assert not made.counts[~drawn.present].any()


def test_a_group_does_not_depend_on_its_neighbours():
    many, some = render_groups(draw_groups(6, torch.arange(40))), torch.tensor([39, 2])
    alone = render_groups(draw_groups(6, some))
    for name in ("images", "masks", "boxes", "labels", "counts"):
        assert torch.equal(getattr(many, name)[some], getattr(alone, name)), name


def test_fields_have_the_spectrum_of_photographs():
    """Power falls as the square of frequency: between waves of a frame and of an eighth of it."""
    size = 128
    made = backgrounds.fields(torch.arange(200), size).flatten(0, 1).double()
    assert float(made.var()) == pytest.approx(1, abs=0.1)
    assert float(made.mean()) == pytest.approx(0, abs=0.05)
    window = torch.hann_window(size, dtype=torch.float64)
    power = torch.fft.fft2(made * window * window[:, None]).abs().square().mean(0)
    frequency = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)
    radius = torch.hypot(frequency[:, None], frequency)
    rings = [power[(radius >= low) & (radius < low + 1)].mean() for low in range(2, 8)]
    x, y = torch.log(torch.arange(2, 8, dtype=torch.float64) + 0.5), torch.log(torch.stack(rings))
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
    assert -2.6 < slope < -1.6


def test_bits_are_even():
    made = chance.bits(scenes.keys_of(1, torch.arange(200)), 1000)
    for place in range(32):
        assert float(((made >> place) & 1).double().mean()) == pytest.approx(0.5, abs=0.01)
    shares = made.double() / 2**31
    assert torch.corrcoef(torch.stack([shares[:, :-1].flatten(), shares[:, 1:].flatten()]))[0, 1].abs() < 0.01
    assert len(made.unique()) > 0.999 * made.numel()


def test_shade_and_clutter_change_the_picture_and_what_is_seen():
    bare = render(Scene(shade=0.0, clutter=0.0, noise=0.0))
    shaded = render(Scene(shade=0.8, clutter=0.0, noise=0.0))
    assert torch.equal(bare.masks, shaded.masks)
    assert (bare.images - shaded.images).abs().mean() > 0.02
    full = render(Scene(shade=0.0, clutter=1.0, noise=0.0))
    assert not (full.masks & ~bare.masks).any()
    assert (full.images != bare.images).any()


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
    # without the shadow, which goes with it
    still, moved = render(Scene(seed=4, shade=0.0)), render(Scene(seed=4, shade=0.0, dx=0.1))
    border = torch.nn.functional.max_pool2d((still.masks | moved.masks).float()[:, None], 5, 1, 2)[:, 0] > 0
    same = (still.images == moved.images).all(1)
    assert same[~border].all()
    assert not same[still.masks ^ moved.masks].all()


def test_scaling_scales_the_area():
    small = render(Scene(label="heart", scale=0.7, **PLAIN), 256).masks.double().mean()
    large = render(Scene(label="heart", scale=1.4, **PLAIN), 256).masks.double().mean()
    assert float(large / small) == pytest.approx(4, rel=0.01)


def test_resolution_changes_the_sampling_not_the_scene():
    drawn = draw(4, torch.arange(24)).changed(noise=0.0)
    coarse = render(drawn, 48).images
    fine = torch.nn.functional.avg_pool2d(render(drawn, 192).images, 4)
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
        for shape, x, y, _ in rendering.parts(Scenes.of([Scene(label=label)]))
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
