"""Translation invariance: hand-made models with known answers at every shift, naive loops, torchvision and PIL."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms as tv
from PIL import Image
from torch import Tensor, nn

from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Chart, Map
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes import probe
from explorer.probes.base import Run
from explorer.probes.consistency import Consistency, Looked, canvas, consistency_rows, margin
from explorer.probes.passes import Passes
from explorer.probes.result import ProbeResult
from explorer.probes.rooms import MovingRoom, rooms
from explorer.probes.stimuli import Shown, read
from explorer.probes.translation import CHANGED, Translation
from explorer.scenes import CLASSES, Scene, Scenes, render
from explorer.statistics import wilson
from explorer.transforms import Transform

SIZE = 24


class Net(nn.Module):
    """A network as timm makes them: features, then a head."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.seen = 0

    def forward_features(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.body(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        pooled = x.flatten(1) if x.shape[-1] == 1 else x.mean((2, 3))
        return pooled if pre_logits else self.head(pooled)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def wrapped(module: nn.Module, classes: int = 2, size: int = SIZE, labels: tuple[str, ...] = (), **more: Any) -> Model:
    """A network as the loader gives it; what it sees is not normalised."""
    given: dict[str, Any] = {
        "spec": ModelSpec.parse("random/resnet18"),
        "module": module.requires_grad_(False).eval(),
        "architecture": "resnet18",
        "input_size": (size, size),
        "mean": (0.0,) * 3,
        "std": (1.0,) * 3,
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "labels": labels,
        "num_classes": classes,
        "headless_reason": "",
        "stages": (),
        "device": torch.device("cpu"),
        "state": "random",
        "inserted": None,
        "inserted_state": "random",
        "transform": tv.Compose([tv.Resize(size), tv.CenterCrop(size), tv.PILToTensor()]),
        "lock": threading.RLock(),
    }
    return Model(**(given | more))


def convolutional(classes: int = 5, size: int = SIZE, seed: int = 0, **more: Any) -> Model:
    """A random strided network whose answers change from shift to shift."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Conv2d(3, 8, 5, 3, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        head = nn.Linear(16, classes)
        nn.init.normal_(head.weight, std=20.0)
    return wrapped(Net(body, head), classes, size, **more)


def noise(count: int, size: int = SIZE, seed: int = 0) -> list[Image.Image]:
    draw = np.random.default_rng(seed)
    return [Image.fromarray(draw.integers(0, 256, (size, size, 3), dtype=np.uint8)) for _ in range(count)]


def dot(x: int, y: int) -> np.ndarray[Any, Any]:
    """Black with one white pixel."""
    picture = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    picture[y, x] = 255
    return picture


def at_the_middle() -> Model:
    """Class 0 with logit 3 where the middle pixel is white, class 1 with p sigmoid(1) where it is black."""

    def look(x: Tensor) -> Tensor:
        bright = x[:, 0, SIZE // 2, SIZE // 2]
        return torch.stack([4 * bright - 1, torch.zeros_like(bright)], 1)[:, :, None, None]

    return wrapped(Net(Function(look), nn.Identity()))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def cells(result: ProbeResult, measure: str) -> dict[tuple[int, int], dict[str, Any]]:
    return {(one["dx"], one["dy"]): one for one in result.rows if one["measure"] == measure}


def value(result: ProbeResult, measure: str) -> float:
    (found,) = [one.value for one in result.summary.values() if one.measure == measure]
    return found


# ---- the map over all shifts ----------------------------------------------------------------------------------------


def test_what_leaves_its_place_is_lost_at_every_shift_but_none() -> None:
    result = probe("translation", at_the_middle(), dot(SIZE // 2, SIZE // 2), side=5)
    found = cells(result, CHANGED)
    assert len(found) == 25
    for shift, one in found.items():
        assert one["value"] == pytest.approx(sigmoid(3) if shift == (0, 0) else sigmoid(-1), rel=1e-5)
        assert one["low"] is None  # a single picture has no interval
    assert value(result, "flip rate") == 1.0
    assert value(result, "p kept") == pytest.approx(sigmoid(-1) / sigmoid(3), rel=1e-5)
    # the pooled features are (3, 0) before and (-1, 0) after
    assert value(result, "mean cosine") == pytest.approx(-1.0, abs=1e-6)


def test_right_is_positive_dx_and_down_positive_dy() -> None:
    """The dot lies 4 px right of and 2 px above the place looked at: only the shift (-4, 2) brings it there."""
    result = probe("translation", at_the_middle(), dot(SIZE // 2 + 4, SIZE // 2 - 2), side=5, step=2)
    for shift, one in cells(result, "top-1 flips").items():
        assert one["value"] == float(shift == (-4, 2)), shift
    assert cells(result, CHANGED)[-4, 2]["value"] == pytest.approx(sigmoid(-3), rel=1e-5)
    assert value(result, "flip rate") == pytest.approx(1 / 24)
    (section,) = Translation(side=5, step=2).sections(result)
    (the_map,) = section.rows[0]
    assert isinstance(the_map, Map)
    # column 0 is dx = -4, row 3 is dy = 2; ten px of five cells, the middle one around no shift
    assert the_map.values[3, 0] == pytest.approx(sigmoid(-3), rel=1e-5)
    assert (the_map.values < 0.5).sum() == 1
    assert the_map.frame == (10, 10)
    assert the_map.origin == Point(-5, -5)


def test_a_mean_over_the_picture_does_not_change_when_it_is_rolled() -> None:
    model = wrapped(Net(nn.Identity(), nn.Linear(3, 2)))
    result = probe("translation", model, noise(3), side=7, border="wrap")
    assert value(result, "p kept") == pytest.approx(1, abs=1e-5)
    assert value(result, "mean cosine") == pytest.approx(1, abs=1e-6)
    assert value(result, "flip rate") == 0
    assert value(probe("translation", model, noise(3), side=7, border="zero"), "mean cosine") < 1 - 1e-6


@pytest.mark.parametrize("border", ["wrap", "zero"])
def test_every_cell_equals_a_naive_loop(border: str) -> None:
    model, pictures = convolutional(), noise(4)
    result = probe("translation", model, pictures, side=5, step=3, border=border, memory=10_000_000)
    found = {measure: cells(result, measure) for measure in (CHANGED, "top-1 flips", "cosine")}
    flips = []
    for dy in (-6, -3, 0, 3, 6):
        for dx in (-6, -3, 0, 3, 6):
            p, flip, cosine = [], [], []
            for picture in pictures:
                before = np.asarray(picture).astype(np.float32) / 255
                after = np.roll(before, (dy, dx), (0, 1)) if border == "wrap" else _zeroed(before, dx, dy)
                a, b = (torch.from_numpy(one).permute(2, 0, 1)[None] for one in (before, after))
                first, then = (model.module(one)[0].softmax(0) for one in (a, b))
                p.append(float(then[first.argmax()]))
                flip.append(float(then.argmax() != first.argmax()))
                cosine.append(float(torch.cosine_similarity(model.pooled(a), model.pooled(b))))
            for measure, values in ((CHANGED, p), ("top-1 flips", flip), ("cosine", cosine)):
                assert found[measure][dx, dy]["value"] == pytest.approx(np.mean(values), abs=1e-5), (dx, dy, measure)
                assert found[measure][dx, dy]["n"] == 4
            flips += flip
    assert value(result, "flip rate") == pytest.approx(np.sum(flips) / (4 * 24))
    assert np.sum(flips) > 0
    # an image's shifts are no independent draws: the interval is that of four, not of 96
    (one,) = [one for one in result.summary.values() if one.measure == "flip rate"]
    assert (one.low, one.high, one.n) == (*wilson(np.sum(flips) / 24, 4), 4)


def _zeroed(picture: np.ndarray[Any, Any], dx: int, dy: int) -> np.ndarray[Any, Any]:
    out = np.zeros_like(picture)
    for y in range(SIZE):
        for x in range(SIZE):
            if 0 <= y - dy < SIZE and 0 <= x - dx < SIZE:
                out[y, x] = picture[y - dy, x - dx]
    return out


def test_one_forward_pass_a_shift() -> None:
    model = convolutional()
    probe("translation", model, noise(2), side=9)
    assert model.module.seen == 2 * 81 + 2  # type: ignore[comparison-overlap]


def lab_like(look: Callable[[Tensor], Tensor] | None = None) -> Model:
    return (
        convolutional(12, 48, labels=CLASSES)
        if look is None
        else wrapped(Net(Function(look), nn.Identity()), 12, 48, CLASSES)
    )


def test_scenes_are_rendered_anew_and_count_while_their_object_is_whole() -> None:
    model = lab_like()
    scenes = [Scene(label="star", dx=0.1), Scene(label="bar", dy=-0.05)]
    result = probe("translation", model, scenes, side=5, step=4)
    found, whole = cells(result, CHANGED), cells(result, "cosine")
    first = [model.module(render(Scenes.of([one]), 48).images)[0].softmax(0).argmax() for one in scenes]
    kept: list[list[float]] = [[], []]
    for (dx, dy), cell in found.items():
        p, inside = [], []
        for number, scene in enumerate(scenes):
            moved = render(Scenes.of([replace(scene, dx=scene.dx + dx / 48, dy=scene.dy + dy / 48)]), 48)
            p.append(float(model.module(moved.images)[0].softmax(0)[first[number]]))
            pixels = render(Scenes.of([scene]), 48).masks[0].nonzero()
            inside.append(bool(((pixels + torch.tensor([dy, dx]) >= 0) & (pixels + torch.tensor([dy, dx]) < 48)).all()))
            if inside[-1] and (dx, dy) != (0, 0):
                kept[number].append(p[-1])
        assert cell["value"] == pytest.approx(np.mean(p), abs=1e-5)
        assert whole[dx, dy]["whole"] == np.mean(inside)
    assert len(kept[0]) < 24  # the star leaves the frame at some
    before = [_p_before(model, scene) for scene in scenes]
    assert value(result, "p kept") == pytest.approx(np.mean([np.mean(one) for one in kept]) / np.mean(before), rel=1e-4)


def _p_before(model: Model, scene: Scene) -> float:
    return float(model.module(render(Scenes.of([scene]), 48).images)[0].softmax(0).max())


def test_strides_are_marked_and_models_have_their_colours() -> None:
    rows = []
    for number in (0, 2):  # the second model of three has failed
        rows += [
            {"model": f"m{number}", "measure": CHANGED, "dx": dx, "dy": dy, "value": 0.5, "low": None, "high": None}
            for dx in (-8, 0, 8)
            for dy in (-8, 0, 8)
        ]
        rows += [{"model": f"m{number}", "measure": "stride", "stage": k, "value": 2.0**k} for k in (1, 2, 3)]
    result = _result("translation", rows, ("m0", "m1", "m2"), {"side": 3, "step": 8})
    (section,) = Translation(side=3, step=8).sections(result)
    maps, (chart,) = section.rows
    assert [one.title for one in maps] == ["m0", "m2"]
    assert isinstance(chart, Chart)
    assert [line.colour for line in chart.lines] == [result.colours[0], result.colours[2]]
    assert chart.marks == ((-8.0, "8 px"), (-4.0, "4 px"), (4.0, "4 px"), (8.0, "8 px"))
    assert Translation().sections(_result("translation", [], ("m0",), {"side": 3, "step": 8})) == ()


def _result(name: str, rows: list[dict[str, Any]], models: tuple[str, ...], parameters: dict[str, Any]) -> ProbeResult:
    none: dict[str, Any] = {}
    return ProbeResult(name, "translation", rows, none, (), models, parameters, none, "model", 0, "cpu", "f", none)


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ParameterError, match="odd"):
        Translation(side=4)
    with pytest.raises(MethodError, match="leave nothing"):
        probe("translation", convolutional(), noise(1), side=65)
    for name in ("translation", "consistency"):
        with pytest.raises(MethodError, match="answers no class"):
            probe(name, convolutional(headless_reason="a tower"), noise(1))


# ---- consistency ----------------------------------------------------------------------------------------------------


def look(model: Model, images: Any, seed: int = 0, **parameters: Any) -> tuple[Consistency, Shown, Looked]:
    one, shown = Consistency(**parameters), Shown(model, read(images))
    steps = one.look(model, shown, Run(Passes(model, memory=10**8), seed))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return one, shown, end.value


def naive(model: Model, paths: list[Any], border: str, mode: str, shifts: Any) -> list[list[Tensor]]:
    """Answers (images, views) of softmax, by torchvision's transforms and loops: shift (x, y) of each view."""
    size = model.input_size[0]
    room = round(size * 32 / 224)
    side = size + room
    own = {"bicubic": tv.InterpolationMode.BICUBIC, "bilinear": tv.InterpolationMode.BILINEAR}[model.interpolation]
    out = []
    for path, of_image in zip(paths, shifts):
        image = (path if isinstance(path, Image.Image) else Image.open(path)).convert("RGB")
        if mode == "paper":
            large = tv.CenterCrop(side)(tv.Resize(side, tv.InterpolationMode.BILINEAR, antialias=True)(image))
            seen = tv.CenterCrop(size)(large)
        else:
            resized = math.floor(size / model.crop_pct)
            large = tv.CenterCrop(side)(tv.Resize(max(side, resized), own)(image))
            seen = tv.CenterCrop(size)(tv.Resize(resized, own)(image))
        answers = []
        for x, y in of_image:
            if border == "crop":
                left, top = room // 2 - x, room // 2 - y
                shifted = np.asarray(large.crop((left, top, left + size, top + size)))
            else:
                shifted = np.roll(np.asarray(seen), (y, x), (0, 1))
            normalise = tv.Compose([tv.ToTensor(), tv.Normalize(model.mean, model.std)])
            with torch.inference_mode():
                answers.append(model.module(normalise(shifted.copy())[None])[0].softmax(0))
        out.append(answers)
    return out


def agree(model: Model, images: list[Any], border: str, mode: str, passes: int) -> tuple[Looked, Shown]:
    """Check image by image, pair by pair, that ours equals the naive script's."""
    one, shown, looked = look(model, images, border=border, mode=mode, passes=passes)
    shifts = one.places(shown, 0)
    for number, answers in enumerate(naive(model, images, border, mode, shifts)):
        tops = [int(answer.argmax()) for answer in answers]
        assert looked.middle[number] == tops[0]
        for k in range(passes):
            first, near, second = answers[1 + 3 * k : 4 + 3 * k]
            assert looked.first[number, k] == first.argmax()
            assert looked.near[number, k] == near.argmax()
            assert looked.second[number, k] == second.argmax()
            jump = abs(float(near[first.argmax()] - first.max()))
            assert float(looked.jump[number, k]) == pytest.approx(jump, abs=2e-4)
    return looked, shown


@pytest.mark.parametrize("mode", ["paper", "model"])
@pytest.mark.parametrize("border", ["crop", "wrap"])
def test_a_naive_script_agrees_on_random_models(border: str, mode: str) -> None:
    model = convolutional(
        size=56,
        crop_pct=0.7,
        transform=tv.Compose([tv.Resize(80, tv.InterpolationMode.BICUBIC), tv.CenterCrop(56), tv.PILToTensor()]),
    )
    pictures = [one.resize((90, 110), Image.Resampling.BICUBIC) for one in noise(4, 30)]
    net: Any = model.module
    # Else one class wins whatever is shown.
    net.head.bias.copy_(-net.head.weight @ model.pooled(Shown(model, read(pictures)).images).mean(0))
    looked, _ = agree(model, pictures, border, mode, 3)
    assert 0 < (looked.first == looked.second).float().mean() < 1  # both answers occur


@pytest.mark.parametrize(
    ("name", "border", "mode"),
    [
        ("vit_tiny_patch16_224", "crop", "paper"),
        ("vit_tiny_patch16_224", "crop", "model"),
        ("mobilenetv2_100", "wrap", "model"),
    ],
)
def test_a_naive_script_agrees_on_real_weights_and_photographs(
    real_specs: dict[str, str], data: Path, name: str, border: str, mode: str
) -> None:
    photographs = [data / "photos" / f"{one}.png" for one in ("tabby_cat", "hotdog", "grace_hopper")]
    agree(load(real_specs[name], "cpu"), [str(one) for one in photographs], border, mode, 2)


def test_the_protocol_at_224_px() -> None:
    """256 px, offsets 0 to 31 either way, all alike often; the crop in the middle is at 16."""
    model = convolutional(size=224)
    assert margin(224) == 32
    assert margin(48) == 7
    shown = Shown(model, read(noise(60, 8)))
    places = Consistency(passes=20).places(shown, 0)
    assert (places[:, 0] == 0).all()
    first, near, second = places[:, 1::3], places[:, 2::3], places[:, 3::3]
    assert (near == first - 1).all()
    offsets = 16 - np.concatenate([first.reshape(-1, 2), second.reshape(-1, 2)])
    for axis in (0, 1):
        counts = np.bincount(offsets[:, axis], minlength=32)
        assert len(counts) == 32
        # 2400 draws of 32 places: chi-square with 31 degrees of freedom is below 61 in 999 of 1000 cases
        assert ((counts - 75) ** 2 / 75).sum() < 61
    a, b = first.reshape(-1), second.reshape(-1)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    x, y = first.reshape(-1, 2).T
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1
    # another seed, other shifts; fewer images, the same
    assert (Consistency(passes=20).places(shown, 1) != places).any()
    assert (Consistency(passes=20).places(Shown(model, read(noise(2, 8))), 0) == places[:2]).all()
    middle = tv.CenterCrop(224)(canvas(noise(1, 300)[0], model, "paper"))
    assert torch.equal(middle, canvas(noise(1, 300)[0], model, "paper")[:, 16:240, 16:240])


def test_a_model_that_answers_whether_a_place_is_odd() -> None:
    """The dot's column, odd or even, is the class: pairs agree where the difference of their shifts is even."""

    def column(x: Tensor) -> Tensor:
        place = x[:, 0].flatten(1).argmax(1) % SIZE
        return 10 * nn.functional.one_hot(place % 2, 2).float()[:, :, None, None]

    model = wrapped(Net(Function(column), nn.Identity()))
    pictures = [dot(9 + k, 12) for k in range(5)]
    result = probe("consistency", model, pictures, border="wrap", passes=8, mode="model")
    places = Consistency(border="wrap", passes=8, mode="model").places(Shown(model, read(pictures)), 0)
    expected = np.mean((places[:, 1::3, 0] - places[:, 3::3, 0]) % 2 == 0)
    assert value(result, "consistency") == pytest.approx(expected)
    assert 0.2 < expected < 0.8
    assert value(result, "one-pixel flips") == 1.0
    share = math.exp(10) / (1 + math.exp(10))
    assert value(result, "one-pixel change of p") == pytest.approx(2 * share - 1, abs=1e-6)
    assert all("wrap" in one["border"] for one in result.rows)


def test_rows_of_a_hand_made_table() -> None:
    looked = Looked(
        middle=torch.tensor([1, 2, 3]),
        first=torch.tensor([[1, 1], [2, 2], [0, 3]]),
        second=torch.tensor([[1, 1], [2, 0], [3, 0]]),
        near=torch.tensor([[1, 0], [2, 2], [0, 3]]),
        jump=torch.tensor([[0.1, 0.3], [0.0, 0.0], [0.2, 0.0]]),
    )
    found = {one["measure"]: one for one in consistency_rows(looked, [1, None, 0], border="crop", pairs=6)}
    assert found["consistency"]["value"] == pytest.approx(3 / 6)
    assert (found["consistency"]["low"], found["consistency"]["high"]) == wilson(1.5, 3)
    assert (found["consistency"]["n"], found["consistency"]["pairs"]) == (3, 6)
    assert (found["accuracy"]["value"], found["accuracy"]["n"]) == (0.5, 2)
    assert (found["consistency, right at first"]["value"], found["consistency, right at first"]["n"]) == (1.0, 1)
    assert found["one-pixel flips"]["value"] == pytest.approx(1 / 6)
    assert found["one-pixel change of p"]["value"] == pytest.approx(0.1)
    unknown = {one["measure"] for one in consistency_rows(looked, [None] * 3)}
    assert unknown == {"consistency", "one-pixel flips", "one-pixel change of p"}


def test_objects_of_scenes_stay_in_the_frame() -> None:
    scenes = [Scene(label="star", dx=0.16), Scene(label="ring"), Scene(label="heart", dy=-0.14)]
    model = lab_like()
    shown = Shown(model, read(scenes))
    for number, places in enumerate(Consistency(passes=30).places(shown, 0)):
        pixels = render(Scenes.of([scenes[number]]), 48).masks[0].nonzero().numpy()
        ends = pixels[None] + places[:, None, ::-1]
        assert ends.min() >= 0
        assert ends.max() <= 47
        assert len(np.unique(places[1::3], axis=0)) > 3
    with pytest.raises(MethodError, match="no room to move"):
        probe("consistency", model, [Scene(label="star", scale=3.0)])


def test_a_model_that_knows_the_scene_is_consistent_and_right() -> None:
    """Counts the colour, wherever it is: the sum over the picture does not know of shifts."""
    result = probe("consistency", lab_like(lambda x: torch.eye(12)[[0] * len(x)][:, :, None, None]), 12, passes=2)
    assert value(result, "consistency") == 1.0
    assert value(result, "accuracy") == pytest.approx(1 / 12)
    assert value(result, "consistency, right at first") == 1.0
    assert {one["border"] for one in result.rows} == {"rendered anew"}
    (section,) = Consistency().sections(result)
    charts = section.rows[0]
    assert all((isinstance(one, Chart) and "nvariance" in one.title) or "Jaggedness" in one.title for one in charts)
    assert charts[0].lines[0].x == ("consistency", "consistency, right at first", "accuracy")
    assert Consistency().sections(_result("consistency", [], ("m",), {})) == ()


def test_rooms_of_an_object_are_the_distances_of_its_mask_to_the_frame() -> None:
    shown = Shown(lab_like(), read([Scene(label="square", dx=0.1)]))
    (room,) = rooms(shown)
    mask = shown.masks[0]
    assert mask is not None
    for dx, dy in ((room.right, 0), (-room.left, 0), (0, room.down), (0, -room.up)):
        assert room.holds(dx, dy)
        assert Transform(dx, dy).apply(mask[None, None].float()).sum() == mask.sum()
    for dx, dy in ((room.right + 1, 0), (-room.left - 1, 0), (0, room.down + 1), (0, -room.up - 1)):
        assert not room.holds(dx, dy)
        assert Transform(dx, dy).apply(mask[None, None].float()).sum() < mask.sum()
    assert rooms(Shown(convolutional(), read(noise(1)))) == [MovingRoom()]
