"""Moving the object of a scene: rendered anew, so what is known of the geometry holds to the pixel."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from explorer.comparison.compare import compare, look, predict, seen, target_of, view
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.scenes import PART, RADIUS, SPREAD, Scene, render
from explorer.scenes.motion import about_object, moved
from explorer.transforms import Transform

PAIR = Scene("triangle above circle", noise=0.0)
FRAME = (64, 64)


@pytest.fixture(scope="module")
def small() -> Model:
    return load(ModelSpec("resnet18", "random", block="mhsa", stage=3, input_size=FRAME))


def test_a_shift_moves_the_object_and_leaves_the_background(small: Model) -> None:
    scene = Scene("star", noise=0.1, shade=0.0, clutter=0.0)  # light and sticks stay where they are
    move = Transform(dx=12, dy=-8)
    before, after = seen(small, scene)[0], seen(small, scene, move)[0]
    masks = [render(one, 64).masks[0] for one in (scene, moved(scene, move, FRAME))]
    assert torch.equal(masks[1], masks[0].roll((-8, 12), (0, 1)))
    # The rim of an object is blended with what is behind it, a pixel beyond its mask.
    rim = torch.nn.functional.max_pool2d(torch.stack(masks)[:, None].float(), 3, 1, 1)[:, 0].bool().any(0)
    assert torch.equal(before[:, ~rim], after[:, ~rim])
    assert not torch.equal(before[:, masks[1]], after[:, masks[1]])


def test_what_a_model_sees_is_the_render(small: Model) -> None:
    move = Transform(dx=5, dy=3, zoom=1.5, angle=30)
    expected = dataclasses.replace(PAIR, dx=5 / 64, dy=3 / 64, scale=1.5, angle=-30.0, tilt=-30.0)
    assert torch.equal(seen(small, PAIR, move), render(expected, 64).images)
    assert predict(small, expected) == look(small, PAIR, move).prediction


@pytest.mark.parametrize(
    ("angle", "to"), [(90.0, (-1, 0)), (180.0, (0, 1)), (-90.0, (1, 0)), (0.0, (0, -1))], ids=lambda one: str(one)
)
def test_zoom_and_turn_are_about_the_object_and_the_query_follows(
    small: Model, angle: float, to: tuple[int, int]
) -> None:
    scene = dataclasses.replace(PAIR, dx=0.1, dy=0.05, scale=0.8)
    half = 64 * 0.5 * SPREAD * RADIUS * 0.8
    centre = (0.6 * 64, 0.55 * 64)
    move = Transform(dx=-6, zoom=1.25, angle=angle)
    (row,) = compare([small], scene, move, query=Point(centre[0], centre[1] - half)).rows
    expected = (centre[0] - 6 + 1.25 * half * to[0], centre[1] + 1.25 * half * to[1])
    assert row.queries[1] == pytest.approx(expected)
    mask = render(moved(scene, move, FRAME), 64).masks[0]
    radius = 64 * RADIUS * PART * 0.8
    assert mask[round(expected[1] - radius / 4) : round(expected[1] + radius / 4), round(expected[0])].all()


def test_maps_are_pulled_back_about_the_object(small: Model) -> None:
    move = Transform(dx=8, zoom=0.5)
    scene = Scene("ring", dx=-0.1)
    (row,) = compare([small], scene, move).rows
    about = Transform(dx=8, zoom=0.5, centre=Point(0.4 * 64, 32))
    assert about_object(scene, move, FRAME) == about
    assert row.attributions is not None
    assert row.pulled_back is not None
    expected = about.pull_back(row.attributions[1].values, FRAME)
    assert torch.equal(row.pulled_back.values, expected.values)
    assert torch.equal(row.pulled_back.valid, expected.valid)


def test_each_model_renders_at_its_own_size(small: Model) -> None:
    large = load("random/resnet18")
    result = compare([small, large], PAIR, Transform(dx=16))
    assert result.transform == "16 px right; rendered anew"
    assert [one.shift[0] for one in result.rows] == [16, 56]
    for one, size in zip(result.rows, (64, 224)):
        assert torch.equal(one.images[1], render(dataclasses.replace(PAIR, dx=0.25), size).images[0])


def test_halves_kept_from_before_give_the_same_view(small: Model) -> None:
    """What the page does at every step of a drag."""
    move = Transform(dx=4, dy=4)
    before = look(small, PAIR)
    kept = view(small, PAIR, move, before, look(small, PAIR, move, target=target_of(before)), Point(32, 20))
    (whole,) = compare([small], PAIR, move, query=Point(32, 20)).rows
    assert kept.predictions == whole.predictions
    assert kept.queries == whole.queries
    for one, two in zip(kept.maps, whole.maps):
        for item, query in enumerate(whole.queries):
            assert torch.equal(one.rows(query, item), two.rows(query, item))
    assert kept.difference is not None
    assert whole.difference is not None
    assert torch.equal(kept.difference, whole.difference)


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (Transform(flip=True), "mirrored"),
        (Transform(border="reflect"), "border 'reflect'"),
        (Transform(centre=Point(1, 1)), "own centre"),
        (Transform(dx=70), "dx .* would be 1.09"),
        (Transform(zoom=4), "scale .* would be 8"),
    ],
)
def test_what_a_scene_cannot_do_is_refused(small: Model, move: Transform, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        compare([small], Scene(scale=2.0), move)


def test_scenes_are_square() -> None:
    wide = load(ModelSpec("resnet18", "random", input_size=(64, 96)))
    with pytest.raises(ParameterError, match="96 x 64 px"):
        compare([wide], PAIR)
