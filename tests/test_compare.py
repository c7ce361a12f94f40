"""Comparisons against the parts they are made of, and what real models must show on a real photograph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from explorer.attention.watch import capture
from explorer.attribution import METHODS, attribute
from explorer.comparison.compare import compare, predict, seen
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.transforms import Transform

REAL = ("vit_tiny_patch16_224", "deit_tiny_patch16_224", "mobilenetv2_100")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, 40, 50, generator=generator).mul(255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(noise).resize((300, 260), Image.Resampling.BICUBIC)


def test_a_move_of_what_was_resized_before_is_the_move_of_the_picture(picture: Image.Image) -> None:
    model = load("random/resnet18")
    kept = seen(model, picture)
    for move in (Transform(), Transform(dx=7), Transform(dx=2.5, zoom=0.7, angle=12, border="mean")):
        assert torch.equal(seen(model, kept, move), seen(model, picture, move))
    with pytest.raises(ParameterError, match=r"takes one picture \(1, 3, 224, 224\), got \(2, 3, 224, 224\)"):
        seen(model, torch.cat([kept, kept]))
    with pytest.raises(ParameterError, match=r"got \(1, 3, 64, 64\); give the picture itself"):
        seen(model, torch.zeros(1, 3, 64, 64))


def test_a_view_is_what_its_parts_say(picture: Image.Image) -> None:
    model = load("random/vit_tiny_patch16_224")
    move = Transform(dx=32, dy=-16, border="reflect")
    (view,) = compare([model], picture, move, query=Point(100, 90)).rows
    before = model.preprocess(picture)
    after = move.apply(before)
    assert torch.equal(view.images[0], before[0])
    assert torch.equal(view.images[1], after[0])
    for image, prediction in zip((before, after), view.predictions):
        with torch.inference_mode():
            probabilities = model.module(model.normalise(image))[0].softmax(0)
        assert [one.index for one in prediction.top] == probabilities.topk(5).indices.tolist()
        assert [one.probability for one in prediction.top] == pytest.approx(
            probabilities.topk(5).values.tolist(), rel=1e-4
        )
    assert predict(model, picture).top[0].index == view.predictions[0].top[0].index
    alone = capture(model, after)
    assert [one.layer for one in view.maps] == [one.layer for one in alone]
    assert view.queries == (Point(100, 90), Point(132, 74))
    for one, two in zip(view.maps, alone):
        assert torch.allclose(one.rows(view.queries[1], item=1), two.rows(Point(132, 74)), atol=1e-6)
    assert view.attributions is not None
    target = view.predictions[0].top[0].index
    for image, attribution in zip((before, after), view.attributions):
        assert torch.allclose(attribution.values, attribute(model, image, "gradcam", target=target).values, atol=1e-5)
    # Two cells right and one up: pulled back by indexing, with what came in from beyond the frame left out.
    assert view.pulled_back is not None
    assert view.difference is not None
    moved, valid = view.attributions[1].values, view.pulled_back.valid
    expected = torch.zeros(14, 14, dtype=torch.bool)
    expected[1:, :12] = True
    assert torch.equal(valid, expected)
    assert torch.equal(view.pulled_back.values[1:, :12], moved[:13, 2:])
    assert torch.equal(view.difference[valid], view.pulled_back.values[valid] - view.attributions[0].values[valid])


def test_models_of_other_sizes_get_the_same_share(picture: Image.Image) -> None:
    models = [load("random/vit_tiny_patch16_224"), load(ModelSpec("resnet18", "random", input_size=(112, 112)))]
    result = compare(models, picture, Transform(dx=32, centre=Point(100, 50), zoom=0.5), query=Point(56, 28))
    assert [view.shift for view in result.rows] == [(32, 0), (16, 0)]
    assert [view.queries[0] for view in result.rows] == [(56, 28), (28, 14)]
    assert result.rows[1].queries[1] == pytest.approx((50 + (28 - 50) / 2 + 16, 25 + (14 - 25) / 2))
    assert [view.images[1].shape[-1] for view in result.rows] == [224, 112]


def test_not_moved_is_the_picture_itself(picture: Image.Image) -> None:
    (view,) = compare([load("random/resnet18+mhsa@3")], picture).rows
    assert torch.equal(*view.images)
    assert view.predictions[0] == view.predictions[1]
    assert view.difference is not None
    assert not view.difference.any()


def test_what_cannot_be_shown_is_said(picture: Image.Image) -> None:
    plain, headless = (
        load("random/mobilenetv2_100"),
        load(ModelSpec("vit_tiny_patch16_224", "random", options=(("num_classes", 0),))),
    )
    result = compare([plain, headless], picture, Transform(dx=8), method="attention_rollout")
    assert result.rows[0].maps == ()
    assert result.rows[0].attributions is None
    assert any("explorer knows: convolutions" in note for note in result.rows[0].notes)
    assert any(note.startswith("attention rollout: ") for note in result.rows[0].notes)
    assert METHODS["attention_rollout"].unavailable(plain) in result.rows[0].notes[0]
    assert result.rows[1].predictions[0].top == ()
    assert result.rows[1].predictions[0].reason in result.rows[1].notes
    assert result.rows[1].attributions is not None


def test_a_query_that_leaves_the_frame_is_none(picture: Image.Image) -> None:
    (view,) = compare([load("random/vit_tiny_patch16_224")], picture, Transform(dx=100), query=Point(200, 100)).rows
    assert view.queries == (Point(200, 100), None)


def test_bad_requests(picture: Image.Image) -> None:
    model = load("random/vit_tiny_patch16_224")
    for models in ([], [model] * 7):
        with pytest.raises(ParameterError, match="1 to 6 models"):
            compare(models, picture)
    with pytest.raises(ParameterError, match="outside"):
        compare([model], picture, query=Point(300, 0))
    with pytest.raises(ParameterError, match="no parameter 'steps'"):
        compare([model], picture, method="saliency", steps=3)
    with pytest.raises(ParameterError, match="Did you mean gradcam"):
        compare([model], picture, method="grad_cam")


def test_progress_runs_to_one_and_cancels(picture: Image.Image) -> None:
    models = [load("random/resnet18"), load("random/vit_tiny_patch16_224")]
    told: list[float] = []
    compare(models, picture, method="saliency", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1

    def cancel(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(models, picture, progress=cancel)


@pytest.mark.parametrize("name", REAL)
def test_real_models_know_the_photographs(data: Path, name: str) -> None:
    model = load(f"local-dir:{data}/weights/{name}")
    for photo in json.loads((data / "photos" / "labels.json").read_text()):
        top = predict(model, data / "photos" / photo["file"]).top[0]
        assert top.index == photo["expected"][name]["top1"], photo["name"]
        assert top.probability == pytest.approx(photo["expected"][name]["p"], abs=0.01), photo["name"]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224"])
def test_attention_follows_the_dog(data: Path, name: str) -> None:
    """A shift by 32 px moves the class token's attention by two cells, in the middle layers and in the last.

    Not in all: layers 9 and 10 of this vit_tiny keep looking at the same places of the frame, whatever is there.
    """
    model = load(f"local-dir:{data}/weights/{name}")
    (view,) = compare([model], data / "photos" / "samoyed.png", Transform(dx=32, border="reflect"), method=None).rows
    for one in (*view.maps[4:8], view.maps[11]):
        before, after = one.row("class", item=0), one.row("class", item=1)

        def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
            return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

        stayed = likeness(before, after)
        followed = likeness(before[:, :-2], after[:, 2:])
        assert followed > 0.7, one.layer
        assert followed > stayed + 0.2, one.layer


def test_a_query_pinned_to_a_place_stays_there(picture: Image.Image) -> None:
    model, asked = load("random/test_vit"), Point(20, 30)
    (view,) = compare([model], picture, Transform(dx=16), None, asked, pin="place").rows
    assert view.queries == (asked, asked)
    (still,) = compare([model], picture, Transform(), None, asked).rows
    assert torch.equal(view.maps[0].rows(view.queries[0], 0), still.maps[0].rows(asked, 0))
    with pytest.raises(ParameterError, match="pin is one of image, place"):
        compare([model], picture, Transform(), None, asked, pin="object")
