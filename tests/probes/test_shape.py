"""The shape bias against naive recomputation, and the views of the input against loops."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import explorer.probes.shape_bias as shape
from explorer.errors import MethodError, ParameterError
from explorer.figures.sheet import Chart
from explorer.images.on_disk import OnDisk
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.probes import cues, filters, probe, sheet
from explorer.probes.answers import as_it_is
from explorer.probes.cues import others
from explorer.probes.edges import Edges
from explorer.probes.masks import gaussian_blur
from explorer.probes.stimuli import Stimulus, scenes
from explorer.scenes import BACKGROUNDS, CLASSES, TEXTURES, render
from explorer.transforms import random_orders, shuffle_patches

# ---- the rule -------------------------------------------------------------------------------------------------------


def test_categories_are_the_protocols(data: Path) -> None:
    official = json.loads((data / "cue_conflict" / "categories.json").read_text())
    assert {name: list(members) for name, members in shape.CATEGORIES.items()} == {
        name: sorted(members) for name, members in official.items()
    }


def test_the_rule_takes_the_mean_and_not_the_sum_or_the_largest() -> None:
    p = torch.full((3, 1000), 1e-6, dtype=torch.float64)
    p[0, 207] = 0.5  # a dog, one of 109: mean 0.0046
    p[0, 499] = 0.01  # the one knife: mean 0.01
    p[1, 281:287] = 0.05  # cats, six: mean 0.05, sum 0.3
    p[1, 404] = 0.06  # the one airplane
    p[2, 294:298] = 0.05  # bears, four: mean 0.05
    p[2, 766] = 0.04  # the one oven
    assert shape.category_answers(p.log()) == ["knife", "airplane", "bear"]


def test_bias_of_a_hand_made_table() -> None:
    shapes = ["cat", "cat", "cat", "dog", "dog", "car"]
    textures = ["dog", "dog", "car", "car", "cat", "car"]  # the last agrees: it does not count
    answers = ["cat", "dog", "oven", "dog", "cat", "car"]
    rows = {(row["measure"], row["category"]): row for row in shape.bias_rows(shapes, textures, answers, "x")}
    bias = rows["shape bias", "all"]
    assert (bias["value"], bias["n"]) == (0.5, 4)
    z = 1.959963984540054
    half = z / (1 + z * z / 4) * math.sqrt(0.25 / 4 + z * z / 64)  # Wilson's, around one half
    assert (bias["low"], bias["high"]) == pytest.approx((0.5 - half, 0.5 + half))
    assert rows["shape or texture answers", "all"]["value"] == pytest.approx(4 / 5)
    assert rows["shape answers", "all"]["value"] == rows["texture answers", "all"]["value"] == pytest.approx(2 / 5)
    assert (rows["shape bias", "cat"]["value"], rows["shape bias", "cat"]["n"]) == (0.5, 2)
    assert rows["shape or texture answers", "cat"]["value"] == pytest.approx(2 / 3)
    assert ("shape bias", "car") not in rows


def test_no_bias_without_an_answer_that_names_either() -> None:
    rows = shape.bias_rows(["cat"], ["dog"], ["car"], "x")
    assert {row["measure"] for row in rows} == {"shape or texture answers", "shape answers", "texture answers"}
    assert all(row["value"] == 0 for row in rows)


# ---- cue conflicts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "mobilenetv2_100"])
def test_decisions_equal_a_naive_script_image_by_image(
    name: str, data: Path, real_specs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data / "cue_conflict"
    members = json.loads((folder / "categories.json").read_text())
    network = timm.create_model(real_specs[name], pretrained=True).eval()
    mean, std = (np.array(network.pretrained_cfg[key]) for key in ("mean", "std"))
    files = sorted(one.name for one in folder.glob("*.png") if not one.name.startswith("mask_"))
    naive = {}
    with torch.no_grad():
        for file in files[::4]:
            pixels = (np.asarray(Image.open(folder / file).convert("RGB")) / 255 - mean) / std
            (logits,) = network(torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32)).double().numpy()
            exp = np.exp(logits)
            scores = {category: exp[indices].mean() for category, indices in members.items()}
            naive[file] = max(scores, key=scores.__getitem__)
    decided: list[str] = []

    def recorded(logits: torch.Tensor, rule=shape.category_answers) -> list[str]:  # type: ignore[no-untyped-def]
        decided.extend(rule(logits))
        return decided[-len(logits) :]

    monkeypatch.setattr(shape, "category_answers", recorded)
    result = probe("shape-bias", real_specs[name], folder, device="cpu")
    assert len(files) == len(decided) == 96
    assert {file: answer for file, answer in zip(files, decided) if file in naive} == naive
    # The counts by string work alone.
    stems = [file.removesuffix(".png").split("-") for file in files]
    cues = [tuple(part.rstrip("0123456789") for part in stem) for stem in stems]
    by_shape = sum(answer == cue[0] for answer, cue in zip(decided, cues))
    by_texture = sum(answer == cue[1] for answer, cue in zip(decided, cues))
    found = result.summary[f"{real_specs[name]}: shape bias"]
    assert (found.value, found.n) == (pytest.approx(by_shape / (by_shape + by_texture)), by_shape + by_texture)
    assert found.better == "higher"
    assert result.mode == "paper"
    # On all 1200 conflicts: 27.9, 25.1 and 21.9 %.
    published = {"vit_tiny_patch16_224": 0.279, "deit_tiny_patch16_224": 0.251, "mobilenetv2_100": 0.219}[name]
    assert found.low is not None
    assert found.high is not None
    assert found.low < published < found.high


def _conflicts(folder: Path, names: list[str], size: int = 160) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 255, (size, size, 3), np.uint8)).save(
            folder / name
        )
    return folder


def test_which_files_are_cue_conflicts(tmp_path: Path) -> None:
    names = [
        "cat/cat1-dog2.png",
        "bear10-bottle3.png",
        "cat2-cat1.png",
        "mask_cat1-dog2.png",
        "sofa1-dog2.png",
        "a.png",
    ]
    found = shape.ShapeBias().stimuli(_conflicts(tmp_path, names), [], 0)
    assert found is not None
    assert [(one.name, one.label) for one in found.items] == [
        ("bear10-bottle3.png", "bear/bottle"),
        ("cat1-dog2.png", "cat/dog"),
    ]
    assert found.origin == "2 cue conflicts, 1 with shape = texture dropped"


def test_a_folder_without_any_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"cat7-elephant2\.png"):
        probe("shape-bias", "lab/none", _conflicts(tmp_path, ["dog.png"]), device="cpu")


def test_who_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"1000 classes; lab/none has 12"):
        probe("shape-bias", "lab/none", _conflicts(tmp_path, ["cat1-dog2.png"]), device="cpu")
    with pytest.raises(MethodError, match="texture-vs-shape"):
        probe("shape-bias", "random/test_resnet", [Image.new("RGB", (64, 64))], device="cpu")
    with pytest.raises(MethodError, match="does not know the scenes"):
        probe("shape-bias", "random/test_resnet", 12, device="cpu")


def test_each_model_is_shown_what_it_knows_where_nothing_is_asked_for() -> None:
    result = probe("shape-bias", ["random/test_resnet", "lab/none"], device="cpu")
    assert dict(result.stimuli) == {
        "random/test_resnet": "the 39 cue conflicts that ship",
        "lab/none": "144 scenes, rendered anew",
    }
    counted = {row["model"]: row for row in result.rows if row["measure"] == "shape or texture answers"}
    protocols = {row["model"]: row["protocol"] for row in result.rows}
    assert protocols == {"random/test_resnet": "shipped", "lab/none": "scenes"}
    assert len(counted) == 2
    assert [note for note in result.notes if "ship with the explorer" in note]
    # Nothing of Geirhos' pictures, or of what people answer to them, is said of others.
    sections = sheet(result).sections
    charts = [chart for section in sections for row in section.rows for chart in row if isinstance(chart, Chart)]
    said = [*(section.heading for section in sections), *(chart.unit for chart in charts)]
    assert len(charts) == 4
    assert not any(word in text for text in said for word in ("Geirhos", "People"))


def test_what_the_credits_say_that_models_answer_to_what_ships(real_specs: dict[str, str]) -> None:
    """Of 39 pictures; one answer more or less is a matter of the machine."""
    said = {
        "mobilenetv2_100": (0.49, 0.90),
        "vit_tiny_patch16_224": (0.53, 0.92),
        "deit_tiny_patch16_224": (0.51, 0.95),
    }
    for name, (bias, either) in said.items():
        result = probe("shape-bias", real_specs[name], device="cpu")
        found = {row["measure"]: row["value"] for row in result.rows if row["category"] == "all"}
        assert found["shape bias"] == pytest.approx(bias, abs=1.5 / 39)
        assert found["shape or texture answers"] == pytest.approx(either, abs=1.5 / 39)


def test_pictures_are_shown_as_they_are(tmp_path: Path) -> None:
    model = load("random/test_resnet", "cpu")
    _conflicts(tmp_path, ["cat1-dog2.png"])
    picture = OnDisk(tmp_path / "cat1-dog2.png")
    pixels = np.asarray(Image.open(tmp_path / "cat1-dog2.png"))
    assert torch.equal(as_it_is(model, picture)[0], torch.tensor(pixels.transpose(2, 0, 1)).float() / 255)
    _conflicts(tmp_path, ["car1-dog2.png"], size=200)
    large = OnDisk(tmp_path / "car1-dog2.png")
    resized = as_it_is(model, large)
    assert resized.shape == (1, 3, 160, 160)
    # The whole of it, as the model resizes.
    assert model.interpolation == "bilinear"
    whole = np.asarray(Image.open(tmp_path / "car1-dog2.png").resize((160, 160), Image.Resampling.BILINEAR))
    assert torch.equal(resized[0], torch.tensor(whole.transpose(2, 0, 1)).float() / 255)


def test_mode_model_brings_them_as_the_model_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(shape, "category_answers", lambda logits: ["cat"] * len(logits))
    model = load("random/test_resnet", "cpu")
    normalise = model.normalise
    monkeypatch.setattr(model, "normalise", lambda x: seen.append(x) or normalise(x))
    folder = _conflicts(tmp_path, ["cat1-dog2.png"], size=200)
    result = probe("shape-bias", model, folder, mode="model")
    assert torch.equal(seen[0], model.preprocess(Image.open(folder / "cat1-dog2.png")))
    assert result.mode == "model"
    assert result.rows[0]["value"] == 1.0


# ---- scenes that contradict themselves ------------------------------------------------------------------------------


def test_others_are_neither_the_class_nor_each_other() -> None:
    labels = [label for label in range(12) for _ in range(30)]
    second, third = others(labels)
    for label in range(12):
        of_class = [(a, b) for own, a, b in zip(labels, second, third) if own == label]
        assert all(len({label, a, b}) == 3 for a, b in of_class)
        assert {a for a, _ in of_class} == set(range(12)) - {label}


def test_conflicting_scenes_change_texture_and_background_alone() -> None:
    before = scenes(24, 3)
    after, textures = cues.conflicts(before)
    for old, new, texture in zip(before, after, textures):
        assert TEXTURES.index(new.texture) == CLASSES.index(texture)
        assert len({old.label, texture, CLASSES[BACKGROUNDS.index(new.background)]}) == 3
        assert dataclasses.replace(new, texture=old.texture, background=old.background) == old


def test_scenes_bias_recomputed() -> None:
    model = load("lab/none", "cpu")
    result = probe("shape-bias", model, 36, seed=1)
    after, textures = cues.conflicts(scenes(36, 1))
    with torch.inference_mode():
        said = [CLASSES[one] for one in model.logits(render(after, 48).images).argmax(1).tolist()]
    by_shape = sum(answer == scene.label for answer, scene in zip(said, after))
    by_texture = sum(answer == texture for answer, texture in zip(said, textures))
    found = result.summary["lab/none: shape bias"]
    assert by_shape
    assert by_texture
    assert (found.value, found.n) == (pytest.approx(by_shape / (by_shape + by_texture)), by_shape + by_texture)
    assert "36 scenes" in result.stimuli["lab/none"]


# ---- views ----------------------------------------------------------------------------------------------------------


def _picture(seed: int = 0, height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _correlated(grey: np.ndarray, kernel: list[list[float]]) -> np.ndarray:
    """By loops, the edge pixel repeated."""
    height, width = grey.shape
    out = np.zeros_like(grey)
    for i in range(height):
        for j in range(width):
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    y, x = min(max(i + a, 0), height - 1), min(max(j + b, 0), width - 1)
                    out[i, j] += kernel[a + 1][b + 1] * grey[y, x]
    return out


def _grey(x: torch.Tensor) -> np.ndarray:
    red, green, blue = x[0].numpy()
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_sobel_by_loops() -> None:
    x = _picture()
    across = _correlated(_grey(x), [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    down = _correlated(_grey(x), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    length = np.sqrt(across**2 + down**2)
    found = filters.sobel(x)
    assert found.shape == x.shape
    for channel in found[0]:
        np.testing.assert_allclose(channel.numpy(), length / length.max(), atol=1e-12)


def test_laplacian_by_loops() -> None:
    x = _picture(1)
    curved = _correlated(_grey(x), [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_allclose(
        filters.laplacian(x)[0, 2].numpy(), 0.5 + 0.5 * curved / np.abs(curved).max(), atol=1e-12
    )


def test_views_of_a_plain_picture_and_of_a_step() -> None:
    plain = torch.full((1, 3, 8, 8), 0.3)
    assert bool((filters.sobel(plain) == 0).all())
    assert bool((filters.laplacian(plain) == 0.5).all())
    step = torch.zeros(1, 3, 8, 8)
    step[..., 4:] = 1
    edges = filters.sobel(step)[0, 0]
    assert torch.equal(edges.nonzero()[:, 1].unique(), torch.tensor([3, 4]))
    torch.testing.assert_close(edges[:, 3:5], torch.ones(8, 2))
    torch.testing.assert_close(filters.laplacian(step)[0, 0, 0, 2:6], torch.tensor([0.5, 1.0, 0.0, 0.5]))


def test_greyscale_and_silhouette() -> None:
    x = torch.zeros(1, 3, 1, 3)
    for place in range(3):
        x[0, place, 0, place] = 1
    torch.testing.assert_close(filters.greyscale(x)[0, 1, 0], torch.tensor([0.299, 0.587, 0.114]))
    masks = torch.tensor([[[True, False]]])
    assert filters.silhouette(masks).tolist() == [[[[0.0, 1.0]]] * 3]


@pytest.mark.parametrize("sigma", [0.6, 2.3])
def test_blur_as_scipy(sigma: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is not installed")
    x = _picture(2, 40, 30)
    expected = ndimage.gaussian_filter(x.numpy(), sigma=(0, 0, sigma, sigma), mode="nearest", truncate=4.0)
    np.testing.assert_allclose(gaussian_blur(x, sigma).numpy(), expected, atol=1e-12)


def test_patches_change_places_by_loops() -> None:
    x = torch.cat([_picture(3), _picture(4)])
    orders = torch.stack([torch.randperm(16, generator=torch.Generator().manual_seed(one)) for one in range(2)])
    found = shuffle_patches(x, orders, (4, 4))
    high, wide = 12 // 4, 16 // 4
    for item in range(2):
        for place in range(16):
            i, j = divmod(place, 4)
            a, b = divmod(int(orders[item, place]), 4)
            patch = x[item, :, a * high : (a + 1) * high, b * wide : (b + 1) * wide]
            assert torch.equal(found[item, :, i * high : (i + 1) * high, j * wide : (j + 1) * wide], patch)
    assert torch.equal(shuffle_patches(x, torch.arange(16).expand(2, -1), (4, 4)), x)


def test_orders_differ_and_are_never_the_original() -> None:
    orders = random_orders(200, 4, 0)
    assert orders.shape == (200, 4)
    assert bool((orders.sort(1).values == torch.arange(4)).all())
    assert not bool((orders == torch.arange(4)).all(1).any())
    assert len(orders.unique(dim=0)) == 23  # all but one of 24
    assert torch.equal(orders, random_orders(200, 4, 0))


# ---- the probe of edges ---------------------------------------------------------------------------------------------


def test_edges_recomputed() -> None:
    model = load("lab/mhsa", "cpu")
    result = probe("edges", model, 24, seed=2)
    some = scenes(24, 2)
    images, masks, labels = render(some, 48)
    with torch.inference_mode():
        clean = model.logits(images).softmax(1)
        for view, x in (
            ("silhouette", (~masks)[:, None].float().repeat(1, 3, 1, 1)),
            ("blur", gaussian_blur(images, 0.02 * 48)),
            ("Sobel", filters.sobel(images)),
        ):
            found = model.logits(x).softmax(1)
            agreement = float((found.argmax(1) == clean.argmax(1)).double().mean())
            accuracy = float((found.argmax(1) == labels).double().mean())
            p = float(found.gather(1, clean.argmax(1)[:, None]).double().mean())
            for measure, value in (("agreement", agreement), ("accuracy", accuracy), ("p(original class)", p)):
                (row,) = result.of("lab/mhsa", measure=measure, view=view)
                assert row["value"] == pytest.approx(value, abs=1e-5), (view, measure)
                assert row["n"] == 24
                assert row["low"] <= row["value"] <= row["high"]
    assert not result.of("lab/mhsa", measure="agreement", view="clean")
    headline = result.summary[f"lab/mhsa: {Edges.headline}"]
    assert headline.value == result.of("lab/mhsa", measure="agreement", view="Sobel")[0]["value"]


def test_what_is_impossible_is_left_out() -> None:
    picture = Stimulus("noise", shape.read(np.zeros((48, 48, 3), np.uint8)).items[0].source)
    rows = probe("edges", "lab/none", [picture], grid=5, device="cpu").rows
    assert {row["view"] for row in rows} == {"clean", "Sobel", "Laplacian", "blur", "greyscale"}
    assert {row["measure"] for row in rows} == {"agreement", "p(original class)"}  # nobody knows what it shows
    assert all(row["low"] is None for row in rows if row["measure"] == "p(original class)")


def test_a_model_without_classes_is_refused() -> None:
    headless = ModelSpec("test_resnet", "random", options=(("num_classes", 0),))
    with pytest.raises(MethodError, match="no class"):
        probe("edges", headless, np.zeros((160, 160, 3), np.uint8), device="cpu")


@pytest.mark.parametrize("name", ["edges", "shape-bias"])
def test_sections_of_several_models_of_one_and_of_none(name: str) -> None:
    kind = shape.PROBES[name]
    result = probe(name, ["lab/none", "lab/mhsa"], 12, device="cpu")
    charts = [panel for section in kind().sections(result) for row in section.rows for panel in row]
    assert charts
    for chart in charts:
        assert [line.name for line in chart.lines] == ["lab/none", "lab/mhsa"]
        assert len({line.colour for line in chart.lines}) == 2
        for line in chart.lines:
            assert len(line.x) == len(line.y) == len(line.low) == len(line.high)
            assert line.x == chart.lines[0].x
    second = dataclasses.replace(result, rows=result.of("lab/mhsa"))
    (line,) = kind().sections(second)[0].rows[0][0].lines
    assert line.colour == charts[0].lines[1].colour
    empty = kind().sections(dataclasses.replace(result, rows=[]))
    assert all(not section.rows for section in empty)
