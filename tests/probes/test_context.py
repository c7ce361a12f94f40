"""What lies around the object: occlusion, swaps, masses and gaps against independent computations."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import explorer.probes.context as context
from explorer.attribution.explain import Answer
from explorer.attribution.result import Attribution
from explorer.errors import MethodError, ParameterError
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.probes import PROBES, probe
from explorer.probes.background import in9_map, mixed
from explorer.probes.base import Run
from explorer.probes.centre import centre_answers
from explorer.probes.masks import boxes, gaussian_blur
from explorer.probes.passes import Passes
from explorer.probes.shares import newcombe, paired
from explorer.probes.stimuli import Shown, Stimuli, Stimulus, read, scenes
from explorer.scenes import BACKGROUNDS, CLASSES, render

# ---- intervals ------------------------------------------------------------------------------------------------------


def test_newcombes_published_example() -> None:
    # Newcombe 1998, table II (a): 56/70 - 48/80, method 10.
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_pairs_correlation_by_hand() -> None:
    first = [True] * 8 + [True] * 2 + [False] * 1 + [False] * 9
    second = [True] * 8 + [False] * 2 + [True] * 1 + [False] * 9
    # a 8, b 2, c 1, d 9: (72 - 2 - 10) / sqrt(10 * 10 * 9 * 11)
    assert paired(first, second) == pytest.approx(60 / 9900**0.5)
    assert paired(first, [not one for one in second]) == pytest.approx(-70 / 9900**0.5)
    assert paired([True] * 5, [True, False, True, True, True]) == 0.0


@pytest.mark.parametrize("kept", [0.0, 0.8])
def test_intervals_cover_the_true_gap(kept: float) -> None:
    """Right answers of 60 pairs with shares 0.85 and 0.7; ``kept`` is how often the second hangs on the first."""
    draw = np.random.default_rng(0)
    inside = []
    for _ in range(1500):
        u = draw.random(60)
        v = np.where(draw.random(60) < kept, u, draw.random(60))
        first, second = (u < 0.85).tolist(), (v < 0.7).tolist()
        low, high = newcombe(sum(first), 60, sum(second), 60, paired(first, second))
        inside.append(low <= 0.15 <= high)
    assert 0.935 <= np.mean(inside) <= 0.985


# ---- what is occluded -----------------------------------------------------------------------------------------------


def test_boxes_by_hand() -> None:
    mask = torch.zeros(2, 5, 6, dtype=torch.bool)
    mask[0, 1, 2] = mask[0, 3, 4] = True
    mask[1, 4, 0] = True
    expected = torch.zeros_like(mask)
    expected[0, 1:4, 2:5] = True
    expected[1, 4, 0] = True
    assert torch.equal(boxes(mask), expected)
    assert torch.equal(boxes(mask[:, None]), expected[:, None])


@pytest.mark.parametrize("fill", ["mean", "black", "blur"])
def test_occlusion_recomputed(fill: str) -> None:
    model = load("lab/mhsa", "cpu")
    result = probe("context", model, 12, seed=4, fill=fill, method="gradcam")
    images, masks, _ = render(scenes(12, 4), 48)
    filled = {
        "mean": torch.full_like(images, 0.5),
        "black": torch.zeros_like(images),
        "blur": gaussian_blur(images, 0.05 * 48),
    }[fill]
    box = torch.zeros_like(masks)
    for item, mask in enumerate(masks):
        rows, columns = mask.nonzero().T
        box[item, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    with torch.inference_mode():
        clean = model.logits(images).softmax(1).double()
        original = clean.argmax(1)
        before = clean.gather(1, original[:, None])[:, 0]
        for view, gone in (("background occluded", ~masks), ("object occluded", box), ("object cut out", masks)):
            x = images.clone()
            for item in range(12):
                x[item, :, gone[item]] = filled[item, :, gone[item]]
            after = model.logits(x).softmax(1).double()
            p = after.gather(1, original[:, None])[:, 0]
            expected = {
                "agreement": float((after.argmax(1) == original).double().mean()),
                "p(original class)": float(p.mean()),
                "p kept": float(p.mean() / before.mean()),
                "change of p": float((p - before).mean()),
            }
            for measure, value in expected.items():
                (row,) = result.of("lab/mhsa", measure=measure, view=view)
                assert row["value"] == pytest.approx(value, abs=1e-5), (view, measure)
                assert row["n"] == 12
                assert row["low"] <= row["value"] <= row["high"]
    assert result.summary["lab/mhsa: p kept without object"].better == "lower"
    assert result.summary["lab/mhsa: p kept without background"].better == "higher"


def test_several_versions_of_an_image_are_averaged_before_the_interval() -> None:
    clean = torch.tensor([[0.5, 0.5], [0.0, 1.0]], dtype=torch.float64)
    after = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.1, 0.9]], dtype=torch.float64)
    rows = context.view_rows("x", clean, after, torch.tensor([0, 0, 1]))
    found = {row["measure"]: (row["value"], row["n"]) for row in rows}
    assert found["agreement"] == (pytest.approx((0.5 + 1) / 2), 2)
    assert found["p(original class)"] == (pytest.approx((0.4 + 0.9) / 2), 2)
    assert found["p kept"] == (pytest.approx(0.65 / 0.75), 2)
    assert found["change of p"] == (pytest.approx(-0.1), 2)
    # The second image alone.
    (alone, *_) = context.view_rows("x", clean, after[2:], torch.tensor([1]))
    assert (alone["value"], alone["n"], alone["low"]) == (1.0, 1, None)


# ---- swapped backgrounds --------------------------------------------------------------------------------------------


def test_scenes_are_rendered_before_other_classes_backgrounds() -> None:
    some = scenes(12, 0)
    objects = context.Objects.of(Shown(load("lab/none", "cpu"), read(12, 0)))
    pairs = objects.swaps(11, 0)
    for number, scene in enumerate(some):
        names = [name for one, name in pairs if one == number]
        own = {scene.background, BACKGROUNDS[CLASSES.index(scene.label)]}
        assert set(names) == set(BACKGROUNDS) - own
        assert len(set(names)) == len(names)
    images = objects.swapped(pairs)(3, 5)
    expected = [dataclasses.replace(some[number], background=name) for number, name in pairs[3:5]]
    assert torch.equal(images, render(expected, 48).images)
    assert [one[0] for one in objects.swaps(2, 0)] == [number for number in range(12) for _ in range(2)]


def _picture(colour: int, size: int = 48) -> np.ndarray:
    return np.full((size, size, 3), colour, np.uint8)


def _stimulus(name: str, colour: int, label: str = "", mask: np.ndarray | None = None) -> Stimulus:
    return Stimulus(name, read(_picture(colour)).items[0].source, label, mask)


def test_pictures_are_pasted_on_others_of_another_label() -> None:
    mask = np.zeros((48, 48), bool)
    mask[10:30, 5:25] = True
    items = (
        _stimulus("a", 0, "x", mask),
        _stimulus("b", 51, "x"),
        _stimulus("c", 102, "y"),
        _stimulus("d", 255, "y", mask.T),
    )
    objects = context.Objects.of(Shown(load("lab/none", "cpu"), Stimuli(items, "4 images")))
    assert objects.places == (0, 3)
    pairs = objects.swaps(5, 0)
    assert sorted(pairs) == [(0, 2), (0, 3), (1, 0), (1, 1)]
    images = objects.swapped([(0, 2), (1, 1)])(0, 2)
    on = torch.from_numpy(mask)
    assert torch.equal(images[0, 0], torch.where(on, 0.0, 0.4))
    assert torch.equal(images[1, 2], torch.where(on.T, 1.0, 0.2))


def test_pictures_without_a_mask_are_left_out() -> None:
    mask = np.zeros((48, 48), bool)
    mask[10:30, 5:25] = True
    items = [_stimulus("a", 0, "", mask), _stimulus("b", 90), _stimulus("c", 90, "", np.zeros((48, 48), bool))]
    result = probe("context", "lab/none", items, device="cpu")
    assert {row["n"] for row in result.rows} == {1}
    assert all(row["low"] is None for row in result.rows if row["measure"] == "p kept")
    assert result.of("lab/none", view="background swapped")
    alone = probe("context", "lab/none", items[:1], device="cpu")
    assert not alone.of("lab/none", view="background swapped")  # there is no other picture
    with pytest.raises(MethodError, match=r"dog_mask\.png"):
        probe("context", "lab/none", items[1:], device="cpu")


# ---- attributions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "ratio"), [("even", 1.0), ("on", None), ("off", 0.0)])
def test_mass_of_known_maps(values: str, ratio: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    some = scenes(12, 0)
    masks = render(some, 48).masks
    given = iter(range(12))

    def known(_model, images, *, target, maps, method):  # type: ignore[no-untyped-def]
        assert (method, maps, tuple(images.shape)) == ("saliency", True, (1, 3, 48, 48))
        assert len(target) == 1
        mask = masks[next(given)].float()
        # Negative values have no mass.
        drawn = {"even": torch.ones(48, 48), "on": 2 * mask - 1, "off": 1 - 2 * mask}[values]
        return Answer(torch.zeros(1, 12), (), (Attribution(drawn, method, ""),), torch.zeros(1, 3, 64, 64))

    monkeypatch.setattr(context, "answer", known)
    result = probe("context", "lab/none", 12, device="cpu", method="saliency")
    shares = masks.double().mean((1, 2))
    expected = float((1 / shares).mean()) if ratio is None else ratio
    found = result.summary["lab/none: attribution mass ratio"]
    assert (found.value, found.n) == (pytest.approx(expected), 12)
    (energy,) = result.of("lab/none", measure="attribution mass on the object")
    assert energy["value"] == pytest.approx({"even": float(shares.mean()), "on": 1.0, "off": 0.0}[values])


def test_a_method_that_cannot_serve_the_model_leaves_its_rows_out() -> None:
    result = probe("context", "lab/none", 12, device="cpu", method="attention_rollout")
    assert not result.of("lab/none", method="attention_rollout")
    assert result.of("lab/none", view="object occluded")


# ---- the centre instead of the average ------------------------------------------------------------------------------


def _centre(model, images: torch.Tensor) -> torch.Tensor | None:  # type: ignore[no-untyped-def]
    steps = centre_answers(model, Run(Passes(model), 0), images)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _noise(model, count: int = 2) -> torch.Tensor:  # type: ignore[no-untyped-def]
    return torch.rand(count, 3, *model.input_size, generator=torch.Generator().manual_seed(0))


def test_centre_of_a_network_with_one_middle_cell(real_specs: dict[str, str]) -> None:
    model = load(real_specs["mobilenetv2_100"], "cpu")
    images = _noise(model)
    with torch.inference_mode():
        features = model.module.forward_features(model.normalise(images))
        assert features.shape[2:] == (7, 7)
        classifier = model.module.classifier
        expected = features[:, :, 3, 3] @ classifier.weight.T + classifier.bias
    found = _centre(model, images)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_centre_of_an_even_grid_is_the_mean_of_four() -> None:
    model = load("lab/none", "cpu")
    images = render(scenes(3, 0), 48).images
    with torch.inference_mode():
        features = model.module.forward_features(model.normalise(images))
        height, width = features.shape[2:]
        assert (height % 2, width % 2) == (0, 0)
        four = [features[:, :, height // 2 - a, width // 2 - b] for a in (0, 1) for b in (0, 1)]
        head = model.module.head
        expected = head.fc(head.norm((sum(four) / 4)[:, :, None, None]).flatten(1))
    found = _centre(model, images)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_centre_of_tokens_pooled_by_average_and_none_of_a_class_token() -> None:
    averaged = load(ModelSpec("test_vit", "random", options=(("global_pool", "avg"),)), "cpu")
    images = _noise(averaged)
    with torch.inference_mode():
        module = averaged.module
        tokens = module.forward_features(averaged.normalise(images))
        side = round((tokens.shape[1] - 1) ** 0.5)
        grid = tokens[:, 1:].unflatten(1, (side, side))
        middle = slice((side - 1) // 2, side // 2 + 1)
        expected = module.head(module.fc_norm(grid[:, middle, middle].mean((1, 2))))
    found = _centre(averaged, images)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert _centre(load("random/test_vit", "cpu"), images) is None


def test_pooling_by_maximum_has_no_centre() -> None:
    model = load(ModelSpec("test_resnet", "random", options=(("global_pool", "max"),)), "cpu")
    assert _centre(model, _noise(model)) is None


# ---- BG-gap ---------------------------------------------------------------------------------------------------------


def test_only_the_background_is_mixed() -> None:
    some = scenes(48, 0)
    found = mixed(some, 0)
    for part in ("mixed-same", "mixed-rand"):
        for old, new in zip(some, found[part]):
            assert dataclasses.replace(new, background=old.background) == old
    # As in training, a scene has its class's own background about every other time.
    own = [BACKGROUNDS[CLASSES.index(scene.label)] for scene in some]
    same = np.mean([scene.background == name for scene, name in zip(found["mixed-same"], own)])
    rand = np.mean([scene.background == name for scene, name in zip(found["mixed-rand"], own)])
    assert 0.3 < same < 0.75
    assert rand < 0.2
    assert mixed(some, 0) == found


def test_gap_on_scenes_recomputed() -> None:
    model = load("lab/none", "cpu")
    result = probe("context", model, 24, seed=0)
    right = {}
    for part, some in mixed(scenes(24, 0), 0).items():
        images, _, labels = render(some, 48)
        with torch.inference_mode():
            right[part] = (model.logits(images).argmax(1) == labels).double().mean()
        (row,) = result.of("lab/none", measure="accuracy", view=part)
        assert (row["value"], row["n"]) == (pytest.approx(float(right[part])), 24)
    gap = result.summary["lab/none: BG-gap"]
    assert gap.value == pytest.approx(float(right["mixed-same"] - right["mixed-rand"]))
    assert (gap.unit, gap.better, gap.interval) == ("difference of shares", "lower", "Newcombe")
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < gap.value < gap.high


def _in9(folder: Path, colours: dict[str, list[tuple[str, int]]], inner: str) -> Path:
    """A folder in IN-9's layout: of each part, pictures of one grey each, in the folders of their classes."""
    for part, pictures in colours.items():
        for number, (name, colour) in enumerate(pictures):
            place = folder / part / inner / name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_picture(colour, 160)).save(place / f"{number}.png")
    return folder


#: The stand-in answers with the class of a picture's grey. Class 0 to 1 are dogs, 2 is a bird, 3 of none.
_NINE = {"0": 0, "1": 0, "2": 1, "3": -1}
_SAME = [("00_dog", 0), ("00_dog", 1), ("01_bird", 2), ("01_bird", 2), ("01_bird", 3)]  # 4 of 5 right
_RAND = [("00_dog", 0), ("00_dog", 2), ("01_bird", 3), ("01_bird", 7)]  # 1 of 4 right


@pytest.mark.parametrize("inner", ["val", ""])
@pytest.mark.parametrize("beside", [True, False])
def test_gap_of_a_known_folder(tmp_path: Path, inner: str, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def greys(_self: Passes, x01: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = (x01[:, 0, 0, 0] * 255).round().long()
        logits = torch.nn.functional.one_hot(numbers, 1000).float()
        return logits, logits

    monkeypatch.setattr(Passes, "answers", greys)
    folder = _in9(tmp_path / "in9", {"mixed_same": _SAME, "mixed_rand": _RAND}, inner)
    (tmp_path if beside else folder).joinpath("in_to_in9.json").write_text(json.dumps(_NINE))
    result = probe("context", "random/test_resnet", folder, device="cpu")
    assert [(row["measure"], row.get("view"), row["value"], row["n"]) for row in result.rows] == [
        ("accuracy", "mixed-same", pytest.approx(0.8), 5),
        ("accuracy", "mixed-rand", pytest.approx(0.25), 4),
        ("BG-gap", None, pytest.approx(0.55), 4),
    ]
    low, high = newcombe(4, 5, 1, 4)
    gap = result.summary["random/test_resnet: BG-gap"]
    assert (gap.low, gap.high) == pytest.approx((low, high))
    assert "9 images" in result.stimuli["random/test_resnet"]
    (section,) = context.Context().sections(result)
    assert section.heading == "Background gap"


def test_the_map_may_be_a_list_and_must_be_there(tmp_path: Path) -> None:
    folder = _in9(tmp_path / "in9", {"mixed_same": _SAME, "mixed_rand": _RAND}, "val")
    with pytest.raises(ParameterError, match="MadryLab/backgrounds_challenge"):
        probe("context", "random/test_resnet", folder, device="cpu")
    file = folder / "in_to_in9.json"
    file.write_text("[0, 0, 1, null, -1]")
    assert in9_map(folder) == {0: 0, 1: 0, 2: 1}
    file.write_text('{"dog": 1}')
    with pytest.raises(ParameterError, match="maps no class"):
        in9_map(folder)
    file.write_text(json.dumps(_NINE))
    with pytest.raises(MethodError, match="1000 classes"):
        probe("context", "lab/none", folder, device="cpu")


# ---- figures and traces ---------------------------------------------------------------------------------------------


def test_sections_and_an_untouched_model() -> None:
    models = [load("lab/none", "cpu"), load("lab/mhsa", "cpu")]
    before = [(one.module.training, [p.requires_grad for p in one.module.parameters()]) for one in models]
    result = probe("context", models, 12)
    for model, (training, grads) in zip(models, before):
        assert model.module.training == training
        assert [p.requires_grad for p in model.module.parameters()] == grads
        assert all(not one._forward_hooks and not one._forward_pre_hooks for one in model.module.modules())
    kind = PROBES["context"]()
    charts = [panel for section in kind.sections(result) for row in section.rows for panel in row]
    assert len(charts) == 7
    (native,) = [chart for chart in charts if chart.title.startswith("Attention mass")]
    assert [line.name for line in native.lines] == ["lab/mhsa"]  # none has no map, and no point
    charts.remove(native)
    for chart in charts:
        assert [line.name for line in chart.lines] == ["lab/none", "lab/mhsa"]
        assert all(len(line.x) == len(line.y) == len(line.low) == len(line.high) for line in chart.lines)
    second = dataclasses.replace(result, rows=result.of("lab/mhsa", view="background occluded"))
    (section,) = kind.sections(second)
    assert [line.colour for line in section.rows[0][0].lines] == [charts[0].lines[1].colour]
    assert section.rows[0][0].lines[0].x == ("background occluded",)
    assert kind.sections(dataclasses.replace(result, rows=[])) == ()
    assert f"lab/mhsa: {kind.headline}" in result.summary
