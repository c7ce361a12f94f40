"""Scale: answers that cannot change, naive pyramids, and what each remedy may and may not do."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import explorer.probes.remedies as remedies
import explorer.probes.scale as scale
from explorer.errors import MethodError
from explorer.models.loading import load
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.models.stages import find_stages
from explorer.probes import PROBES, probe, show
from explorer.probes.passes import Passes, stage_features
from explorer.probes.result import ProbeResult
from explorer.probes.stimuli import Shown, Stimulus, read
from explorer.transforms import Transform

OVER = "over zoom 0.5 to 2"


@pytest.fixture(scope="module")
def resnet() -> Model:
    return load(ModelSpec("test_resnet", "random", input_size=(64, 64)), "cpu")


def arrays(count: int, size: int = 64) -> list[np.ndarray]:
    """Smooth pictures, which differ."""
    chance = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 5, 5, generator=chance)
    smooth = F.interpolate(coarse, (size, size), mode="bilinear")
    return [(one.permute(1, 2, 0).numpy() * 255).astype(np.uint8) for one in smooth]


class Centre(nn.Module):
    """Answers with the mean colour of the centre, 8 x 8 px: rescaling about the centre changes it little or not."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.fc, self.num_classes = nn.Identity(), nn.Linear(3, 5), 5
        with torch.no_grad():
            chance = torch.Generator().manual_seed(1)
            self.fc.weight.copy_(torch.randn(5, 3, generator=chance))
            self.fc.bias.zero_()
        self.feature_info = [{"num_chs": 3, "reduction": 1, "module": "features"}]

    def forward_features(self, x: Tensor) -> Tensor:
        return self.features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        height, width = x.shape[-2:]
        pooled = x[..., height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4].mean((2, 3))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def centred(base: Model) -> Model:
    module = Centre().eval().requires_grad_(False)
    stages, _ = find_stages(module, torch.randn(1, 3, *base.input_size))
    return dataclasses.replace(base, module=module, stages=stages)


def value(result: ProbeResult, measure: str, **conditions: object) -> float:
    (found,) = result.of(result.models[0], measure=measure, **conditions)
    return found["value"]


def test_zooms_are_equal_steps_and_hold_one() -> None:
    assert scale.zoom_steps(5) == (0.25, 0.5, 1.0, 2.0, 4.0)
    for count in range(5, 42):
        zooms = scale.zoom_steps(count)
        assert (zooms[0], zooms[-1]) == (0.25, 4.0)
        assert 1.0 in zooms
        assert len(zooms) == count + (count % 2 == 0)


def test_zoom_one_is_the_picture_as_it_is(resnet: Model) -> None:
    result = probe("scale", resnet, arrays(3), steps=5)
    assert value(result, "consistency", zoom=1.0) == 1
    assert value(result, "cosine of the pooled feature", zoom=1.0) == pytest.approx(1)
    x = torch.cat([resnet.preprocess(Image.fromarray(one)) for one in arrays(3)])
    with torch.inference_mode():
        p = resnet.logits(x).softmax(1).amax(1).mean()
    assert value(result, "p(original class)", zoom=1.0) == pytest.approx(float(p), rel=1e-5)
    assert all(one["low"] is not None and one["low"] <= one["value"] + 1e-9 for one in result.rows)
    assert all(one["low"] is None for one in probe("scale", resnet, arrays(1), steps=5).rows)


def test_rows_equal_a_naive_loop(resnet: Model) -> None:
    images = arrays(3)
    result = probe("scale", resnet, images, steps=5, border="reflect")
    x = torch.cat([resnet.preprocess(Image.fromarray(one)) for one in images])
    with torch.inference_mode():
        clean, same, kept = resnet.logits(x).softmax(1), [], []
        for zoom in (0.5, 2.0):
            p = resnet.logits(Transform(zoom=zoom, border="reflect").apply(x)).softmax(1)
            same.append((p.argmax(1) == clean.argmax(1)).float().mean())
            kept.append(p[torch.arange(3), clean.argmax(1)].mean())
            assert value(result, "p(original class)", zoom=zoom) == pytest.approx(float(kept[-1]), rel=1e-4)
    assert value(result, f"consistency {OVER}") == pytest.approx(float(sum(same)) / 2)
    assert value(result, f"p(original class) {OVER}") == pytest.approx(float(sum(kept)) / 2, rel=1e-4)
    assert result.summary[f"{resnet.spec}: {PROBES['scale'].headline}"].n == 3


def test_an_answer_by_the_centre_of_even_pictures_is_invariant(resnet: Model) -> None:
    model = centred(resnet)
    flat = [np.full((64, 64, 3), tone, np.uint8) for tone in ((200, 30, 60), (10, 90, 220), (120, 130, 0))]
    result = probe("scale", model, flat)
    assert value(result, f"consistency {OVER}") == 1
    assert value(result, f"cosine of the pooled feature {OVER}") == pytest.approx(1, abs=1e-6)
    assert value(result, scale.LIE) == pytest.approx(0, abs=1e-3)
    for zoom in scale.zoom_steps(9):
        assert value(result, "p(original class)", zoom=zoom) == pytest.approx(
            value(result, "p(original class)", zoom=1.0), rel=1e-5
        )
    # The corners are another matter: the same model of a picture that is not even does change.
    assert value(probe("scale", model, arrays(3)), scale.LIE) > 0.01


def test_lie_derivative_of_a_known_function() -> None:
    """Of brightness |x - middle| over width, mean over the frame, d / d log zoom is minus itself."""
    x = (torch.arange(64) + 0.5 - 32).abs() / 64
    image = x.expand(1, 3, 64, 64)
    slope = scale.lie_derivative(lambda batch: batch[..., 24:40, 24:40].mean((1, 2, 3))[:, None], image, group="scale")
    assert float(slope) == pytest.approx(-float(image[..., 24:40, 24:40].mean()), rel=0.02)


def test_pyramid_is_the_mean_over_scales(resnet: Model) -> None:
    result = probe("scale", resnet, arrays(2), steps=5, remedy="pyramid", border="reflect")
    x = torch.cat([resnet.preprocess(Image.fromarray(one)) for one in arrays(2)])

    def naive(pictures: Tensor) -> tuple[Tensor, Tensor]:
        p, pooled = torch.zeros(2, resnet.num_classes), 0
        for zoom in (0.5, math.sqrt(0.5), 1.0, math.sqrt(2), 2.0):
            at = Transform(zoom=zoom, border="reflect").apply(pictures)
            p += resnet.logits(at).softmax(1) / 5
            pooled = pooled + resnet.pooled(at) / 5
        return p, torch.as_tensor(pooled)

    with torch.inference_mode():
        one, feature = naive(x)
        two, moved = naive(Transform(zoom=2.0, border="reflect").apply(x))
    p = two[torch.arange(2), one.argmax(1)].mean()
    assert value(result, "p(original class)", zoom=2.0) == pytest.approx(float(p), rel=1e-4)
    cosine = F.cosine_similarity(feature, moved).mean()
    assert value(result, "cosine of the pooled feature", zoom=2.0) == pytest.approx(float(cosine), rel=1e-4)


def test_fuse_equals_a_naive_computation() -> None:
    chance = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, c, s, s, generator=chance) for c, s in ((4, 8), (6, 4), (10, 2))]
    laterals = [torch.randn(5, c, generator=chance) for c in (4, 6, 10)]
    fused = remedies.fuse(maps, laterals)
    assert fused.shape == (2, 15)
    for item in range(2):
        levels: list[np.ndarray] = []
        for features, lateral in zip(maps[::-1], laterals[::-1]):
            size = features.shape[-1]
            level = np.zeros((5, size, size))
            for i in range(size):
                for j in range(size):
                    level[:, i, j] = lateral.numpy() @ features[item, :, i, j].numpy()
                    if levels:
                        level[:, i, j] += levels[-1][:, i // 2, j // 2]
            levels.append(level)
        naive = np.concatenate([level.mean((1, 2)) for level in levels[::-1]])
        assert np.allclose(fused[item].numpy(), naive, atol=1e-5)


@pytest.mark.parametrize(("width", "channels"), [(8, 20), (20, 8)])
def test_laterals_are_orthogonal_and_fixed(width: int, channels: int) -> None:
    lateral = remedies.orthogonal(width, channels, 3)
    gram = lateral @ lateral.T if width <= channels else lateral.T @ lateral
    assert torch.allclose(gram, torch.eye(min(width, channels)), atol=1e-5)
    assert torch.equal(lateral, remedies.orthogonal(width, channels, 3))
    assert not torch.equal(lateral, remedies.orthogonal(width, channels, 4))


def test_fpn_has_a_cosine_and_no_answer(resnet: Model) -> None:
    result = probe("scale", resnet, arrays(2), steps=5, remedy="fpn", seed=2)
    measures = {one["measure"] for one in result.rows}
    assert measures == {"cosine of the pooled feature", f"cosine of the pooled feature {OVER}"}
    x = torch.cat([resnet.preprocess(Image.fromarray(one)) for one in arrays(2)])

    def fused(pictures: Tensor) -> Tensor:
        maps = stage_features(resnet, pictures)
        laterals = [remedies.orthogonal(256, maps[number].shape[1], 2 + number) for number in maps]
        return remedies.fuse(list(maps.values()), laterals)

    with torch.inference_mode():
        cosine = F.cosine_similarity(fused(x), fused(Transform(zoom=2.0, border="mean").apply(x))).mean()
    assert value(result, "cosine of the pooled feature", zoom=2.0) == pytest.approx(float(cosine), rel=1e-4)
    assert not resnet.module.get_submodule(resnet.stages[0].name)._forward_hooks
    options = (("depth", 1),)
    flat = load(ModelSpec("vit_tiny_patch16_224", "random", options=options, input_size=(64, 64)), "cpu")
    with pytest.raises(MethodError, match="one grid"):
        probe("scale", flat, arrays(1), remedy="fpn")


def test_other_test_sizes(resnet: Model) -> None:
    assert remedies.test_sizes((224, 224)) == [(160, 160), (320, 320)]
    assert remedies.test_sizes((48, 48)) == [(32, 32), (64, 64)]
    result = probe("scale", resnet, arrays(2), steps=5, remedy="test size")
    assert {one["input"] for one in result.rows} == {"64x64", "32x32", "96x96"}
    large = load(dataclasses.replace(resnet.spec, input_size=(96, 96)), "cpu")
    with torch.inference_mode():
        small_x, large_x = (
            torch.cat([one.preprocess(Image.fromarray(picture)) for picture in arrays(2)]) for one in (resnet, large)
        )
        said = resnet.logits(small_x).argmax(1)
        p = large.logits(large_x).softmax(1)[torch.arange(2), said].mean()
    assert value(result, "p(original class)", zoom=1.0, input="96x96") == pytest.approx(float(p), rel=1e-4)
    names = {one.measure for one in result.summary.values()}
    assert {f"consistency {OVER}", f"consistency {OVER}, input 96x96"} <= names
    sections = PROBES["scale"](remedy="test size").sections(result)
    assert len(sections[0].rows[0][0].lines) == 3


def test_a_model_that_is_not_its_spec_has_no_other_test_size(resnet: Model) -> None:
    with pytest.raises(MethodError, match="not those that its name stands for"):
        probe("scale", centred(resnet), arrays(1), steps=5, remedy="test size")


# ---- the object alone -----------------------------------------------------------------------------------------------


def disc(size: int = 64, radius: float = 9.0) -> tuple[np.ndarray, np.ndarray]:
    """A red disc off the centre on a grey ground, and its mask."""
    y, x = np.mgrid[:size, :size] + 0.5
    mask = np.hypot(x - 24, y - 30) < radius
    picture = np.full((size, size, 3), 128, np.uint8)
    picture[mask] = (255, 0, 0)
    return picture, mask


def test_the_object_alone_grows_about_its_own_centre(tmp_path: Path) -> None:
    base = load(ModelSpec("test_resnet", "random", input_size=(64, 64), preprocessing=(("crop_pct", 1.0),)), "cpu")
    picture, mask = disc()
    Image.fromarray(picture).save(tmp_path / "disc.png")
    shown = Shown(base, read([Stimulus("disc", read(picture).items[0].source, mask=mask)]))
    colour = shown.images[0].mean((1, 2))
    for zoom in (0.5, 1.0, 2.0):
        canvas = scale.on_canvas(shown, 0, zoom)[0]
        red = canvas[0] - colour[0]
        area = float((red / (shown.images[0][0, 30, 24] - colour[0])).sum())
        assert area == pytest.approx(math.pi * (9 * zoom) ** 2, rel=0.03)
        weights = red.clamp(min=0)
        axis = torch.arange(64) + 0.5
        assert float((weights.sum(0) * axis).sum() / weights.sum()) == pytest.approx(24, abs=0.1)
        assert float((weights.sum(1) * axis).sum() / weights.sum()) == pytest.approx(30, abs=0.1)
        assert torch.allclose(canvas[:, 0, 0], colour, atol=1e-5)


def test_canvas_needs_a_mask(resnet: Model) -> None:
    with pytest.raises(MethodError, match="mask"):
        probe("scale", resnet, arrays(2), variant="canvas")
    picture, mask = disc()
    given = [Stimulus("disc", read(picture).items[0].source, mask=mask), *read(arrays(1)).items]
    result = probe("scale", resnet, given, steps=5, variant="canvas")
    assert all(one["n"] == 1 for one in result.rows)  # the other picture has no mask


def test_scenes_are_rendered_anew_and_stay_in_range() -> None:
    model = load("lab/mhsa", "cpu")
    result = probe("scale", model, 12, steps=5)
    zooms = {one["zoom"] for one in result.rows if one["measure"] == "consistency"}
    assert zooms == {0.25, 0.5, 1.0, 2.0}  # the largest object would be larger than four times the training size
    assert "accuracy" in {one["measure"] for one in result.rows}
    cut = probe("scale", model, 12, steps=5, variant="canvas")
    shown = Shown(model, read(12))
    canvas = scale.on_canvas(shown, 0, 1.0)[0]
    mask = shown.masks[0]
    assert torch.equal(canvas[:, mask], shown.images[0][:, mask])
    assert canvas[:, ~mask].std(1).max() < 1e-6
    with torch.inference_mode():
        clean = torch.cat([scale.on_canvas(shown, index, 1.0) for index in range(12)])
        p = Passes(model).answers(clean)[0].softmax(1).amax(1).mean()
    assert value(cut, "p(original class)", zoom=1.0) == pytest.approx(float(p), rel=1e-5)


def test_several_models_keep_their_places_in_the_figure() -> None:
    result = probe("scale", ["lab/mhsa", "lab/none"], 12, steps=5, device="cpu")
    (curves,) = PROBES["scale"]().sections(result)
    for chart in curves.rows[0]:
        assert [one.name for one in chart.lines] == ["lab/mhsa", "lab/none"]
        assert all(one.low is not None for one in chart.lines)
        assert chart.x.log
    assert len(show.scores_table(result).rows) == 2
    # What has been measured so far is drawn too.
    half = dataclasses.replace(result, rows=result.rows[:2])
    assert PROBES["scale"]().sections(half)
    assert PROBES["scale"]().sections(dataclasses.replace(result, rows=[]))
