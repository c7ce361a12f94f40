"""Scenes on the page, asked as plain functions; the library's own renders and numbers are the oracle."""

from __future__ import annotations

import base64
import dataclasses
import io
import json

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from explorer.comparison.compare import compare, predict
from explorer.errors import ExplorerError
from explorer.geometry import Point
from explorer.models.loading import load
from explorer.registry import parameters
from explorer.scenes import PRESETS, Scene, render
from explorer.scenes.motion import moved
from explorer.transforms import Transform
from explorer.ui.answers import Answers
from explorer.ui.handlers import Handlers
from explorer.ui.page import FIRST_MODELS, UNTRAINED, opening
from explorer.ui.scene import fields, layers, presets
from explorer.view.forms import of_request

from .unpack import Unpacked, read

SCENE, _ = PRESETS["star"]
MOVE = {"dx": 11.5, "dy": -6, "zoom": 0.8, "angle": 20}


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(Answers(folders=False))


def asked(scene: Scene = SCENE, **question: object) -> dict[str, object]:
    return {"scene": dataclasses.asdict(scene), **question}


def test_the_moved_scene_is_rendered_and_answered_as_the_library_does(handlers):
    got = Unpacked(handlers.answer(list(FIRST_MODELS), asked(**MOVE, pins=[{"x": 0.5, "y": 0.25}])))
    transform = Transform(**MOVE)
    models = [load(text) for text in FIRST_MODELS]
    expected = compare(models, SCENE, transform, query=Point(24, 12))
    after = render(moved(SCENE, transform, (48, 48)), 48).images[0]
    assert got.data["transform"] == expected.transform
    assert got.data["truth"] == "star"
    for row, model, view in zip(got.data["rows"], models, expected.rows):
        assert row["state"] == "lab"
        pixels = got.array(got.data["images"][row["images"][1]])
        np.testing.assert_array_equal(pixels, (after.permute(1, 2, 0) * 255).round().numpy())
        top = predict(model, moved(SCENE, transform, (48, 48))).top
        assert [(one["label"], one["p"]) for one in row["predictions"][1]["top"]] == [
            (one.label, one.probability) for one in top
        ]
        for sent, one in zip(row["maps"], view.maps):
            name = "0"
            for item, query in enumerate(view.queries):
                rows = got.array(sent["rows"][name][item])
                np.testing.assert_allclose(rows, one.rows(query, item), rtol=2**-10, atol=1e-7)
        for name, values in (("after", view.attributions[1].values), ("pulled", view.pulled_back.values)):
            np.testing.assert_allclose(got.array(row["attribution"][name]), values, rtol=2**-10, atol=1e-7)
        to = np.array(row["move"]["linear"]) @ (0.5, 0.25) + row["move"]["offset"]
        np.testing.assert_allclose(to * 48, view.queries[1], atol=1e-9)


def test_blocks_without_a_map_say_so_and_have_gradcam(handlers):
    row = read(handlers.answer(["lab/conv"], asked()))["rows"][0]
    assert row["maps"] == []
    assert row["no_map"]
    assert row["attribution"]["method"] == "gradcam"


def test_axial_and_coordinate_maps_come_in_their_parts(handlers):
    axial, gates = read(handlers.answer(["lab/axial", "lab/ca_c2f"], asked()))["rows"]
    assert {one["part"] for one in axial["maps"]} == {"row", "column", "cross"}
    assert all(one["kind"] == "axial" for one in axial["maps"])
    assert {one["kind"] for one in gates["maps"]} == {"gate"}
    assert {one["part"] for one in gates["maps"]} == {"rows", "columns", "rows x columns"}
    assert all(one["module"].endswith(".coord") for one in gates["maps"])


def test_who_is_shown_what_it_was_not_made_for_says_so(handlers):
    (row,) = read(handlers.answer(["lab/conv"], {"picture": "cat"}))["rows"]
    assert any("Trained on scenes alone" in note for note in row["notes"])
    (row,) = read(handlers.answer(["lab/conv"], asked()))["rows"]
    assert not any("Trained" in note for note in row["notes"])


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        ({"label": "blob"}, "blob"),
        ({"noise": 2}, "noise is 2"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": True}, "seed is True"),
        ({"noise": "much"}, "noise is 'much'"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"colour": "red"}, "no field 'colour'"),
        ({"label": ["star"]}, "label"),
        ("star", "an object"),
        ([1], "an object"),
    ],
)
def test_bad_scenes_are_refused_in_a_sentence(handlers, scene, said):
    with pytest.raises(ExplorerError, match=said):
        of_request(["lab/conv"], {"scene": scene})
    for ask in (
        lambda: handlers.answer(["lab/conv"], {"scene": scene}),
        lambda: handlers.layers({"scene": scene}),
    ):
        with pytest.raises(gr.Error):
            ask()


@pytest.mark.parametrize("move", [{"flip": True}, {"border": "reflect"}, {"dx": 60}, {"dy": -100}])
def test_moves_that_a_scene_cannot_make_are_refused(handlers, move):
    with pytest.raises(gr.Error):
        handlers.answer(["lab/conv"], asked(**move))


def test_fields_come_from_the_declaration():
    described = {one["name"]: one for one in fields()}
    declared = parameters(Scene)
    assert set(described) == set(declared) - {"dx", "dy", "scale", "angle"}
    for name, one in described.items():
        assert one["default"] == declared[name].default
        assert one["text"] == declared[name].text
        assert bool(one["choices"]) or one["step"] > 0


@pytest.mark.parametrize("name", PRESETS)
def test_layers_laid_over_each_other_are_the_scene(name):
    """As the browser does it: the object's layer at its share of the frame, about the object's centre."""
    scene = dataclasses.replace(PRESETS[name][0], noise=0.0, dx=0.1, dy=-0.05, scale=0.9)
    sent = json.loads(layers(scene))
    background, object_ = (
        Image.open(io.BytesIO(base64.b64decode(sent[key].split(",")[1]))) for key in ("background", "object")
    )
    size = background.width
    across = round(sent["share"] * size)
    laid = background.convert("RGB")
    layer = object_.resize((across, across), Image.Resampling.BICUBIC)
    laid.paste(layer, (round(0.6 * size - across / 2), round(0.45 * size - across / 2)), layer)
    exact = render(scene, size)
    difference = (torch.from_numpy(np.array(laid)).permute(2, 0, 1) / 255 - exact.images[0]).abs()
    assert difference.mean() < 0.02
    assert difference[:, exact.masks[0]].mean() < 0.08


def test_presets_have_names_pictures_and_sense():
    assert [one["name"] for one in presets()] == list(PRESETS)
    assert all(one["image"].startswith("data:image/") and len(one["alt"]) > 20 for one in presets())


def test_missing_checkpoints_are_said(monkeypatch):
    assert opening() == (FIRST_MODELS, "")
    monkeypatch.setattr("explorer.lab.networks.available", lambda: ("lab/conv", "lab/axial", "lab/none"))
    models, notice = opening()
    assert models == ("lab/conv", "lab/axial")
    assert "lab/mhsa, lab/ca_c2f" in notice
    monkeypatch.setattr("explorer.lab.networks.available", lambda: ())
    models, notice = opening()
    assert models == UNTRAINED
    assert "learnt nothing" in notice
