"""What the page answers, asked as plain functions; the library's own numbers are the oracle."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from explorer.compare import compare, look
from explorer.errors import ParameterError
from explorer.images import read_image, samples
from explorer.models import load
from explorer.transforms import Transform
from explorer.types import Point
from explorer.ui import answers as shared
from explorer.ui import payload
from explorer.ui.answers import Answers
from explorer.ui.controls import parse_models, parse_question, parse_spec
from explorer.ui.handlers import Handlers, first_sample
from explorer.ui.upload import pick

from .unpack import Unpacked

VIT = "random/vit_tiny_patch16_224"
CNN = "random/resnet18"


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(Answers(folders=True))


@pytest.fixture(scope="module")
def picked():
    return pick(first_sample())


def test_answer_holds_the_numbers_of_compare(handlers, picked):
    question = {"dx": 32, "dy": -16, "query": {"x": 0.5, "y": 0.25}, "method": "gradcam"}
    got = Unpacked(handlers.answer(picked, [VIT, CNN], question))
    models = [load(VIT), load(CNN)]
    expected = compare(
        models, read_image(first_sample()), Transform(dx=32, dy=-16), query=Point(112, 56), method="gradcam"
    )
    assert got.data["transform"] == expected.transform
    for row, view in zip(got.data["rows"], expected.rows):
        assert row["spec"] == view.spec
        assert row["state"] == "random"
        for sent, prediction in zip(row["predictions"], view.predictions):
            assert [one["index"] for one in sent["top"]] == [one.index for one in prediction.top]
            assert [one["p"] for one in sent["top"]] == [one.probability for one in prediction.top]
        assert len(row["maps"]) == len(view.maps)
        for sent, one in zip(row["maps"], view.maps):
            for item, query in enumerate(view.queries):
                rows = got.array(sent["rows"]["point"][item])
                np.testing.assert_allclose(rows, one.rows(query, item), rtol=2**-10, atol=1e-7)
        for name, values in (
            ("before", view.attributions[0].values),
            ("after", view.attributions[1].values),
            ("pulled", view.pulled_back.values),
            ("difference", view.difference),
        ):
            np.testing.assert_allclose(got.array(row["attribution"][name]), values, rtol=2**-10, atol=1e-7)


@pytest.mark.parametrize(
    ("move", "place", "to"),
    [
        ({"dx": 56.0}, (0.25, 0.5), (0.5, 0.5)),
        ({"zoom": 2.0}, (0.5, 0.75), (0.5, 1.0)),
        ({"flip": True}, (0.1, 0.2), (0.9, 0.2)),
        ({"angle": 90.0}, (0.75, 0.5), (0.5, 0.25)),  # anticlockwise: from the right to the top
    ],
)
def test_browser_can_follow_the_object(move, place, to):
    sent = payload._move(Transform(**move), (224, 224))
    moved = np.array(sent["linear"]) @ place + sent["offset"]
    np.testing.assert_allclose(moved, to, atol=1e-9)
    assert not sent["cyclic"]


def test_only_a_wrapped_shift_is_cyclic():
    assert payload._move(Transform(dx=30, border="wrap"), (224, 224))["cyclic"]
    assert not payload._move(Transform(dx=30, zoom=2, border="wrap"), (224, 224))["cyclic"]
    assert not payload._move(Transform(dx=30, border="reflect"), (224, 224))["cyclic"]


def test_bank_holds_every_row_of_the_moved_picture(handlers, picked):
    question = {"dx": 32, "query": {"x": 0.1, "y": 0.1}}
    live = Unpacked(handlers.answer(picked, [VIT], question))
    bank = Unpacked(handlers.bank(picked, [VIT], question))
    assert bank.data["key"] == live.data["key"]
    view = compare([load(VIT)], read_image(first_sample()), Transform(dx=32)).rows[0]
    maps = bank.data["rows"][0]["maps"]
    assert sorted(map(int, maps)) == list(range(len(view.maps)))
    for number in (0, 11):
        sent, one = maps[str(number)], view.maps[number]
        weights, keys, queries = (bank.array(sent[name]) for name in ("weights", "keys", "queries"))
        for place in (Point(3, 3), Point(120, 77), Point(223, 223)):
            code = int(place.y * 14 / 224) * 14 + int(place.x * 14 / 224)
            group, position = np.argwhere(queries == code)[0]
            picture = np.zeros((weights.shape[1], 196))
            for key, column in zip(keys[0].astype(int), weights[group, :, position].T):
                if key >= 0:
                    picture[:, key] += column
            np.testing.assert_allclose(picture.reshape(-1, 14, 14), one.rows(place, 1), rtol=2**-10, atol=1e-7)


def test_bank_stays_within_its_budget(handlers, picked, monkeypatch):
    one_layer = 2 * 3 * 197 * 197
    monkeypatch.setattr(payload, "BANK_BYTES", 2 * one_layer)
    bank = Unpacked(handlers.bank(picked, [VIT], {}))
    assert sorted(map(int, bank.data["rows"][0]["maps"])) == [10, 11]


def test_large_maps_send_the_mean_of_heads_until_settled(handlers, picked, monkeypatch):
    monkeypatch.setattr(payload, "LIVE_BYTES", 1000)
    question = {"query": {"x": 0.3, "y": 0.6}}
    live = Unpacked(handlers.answer(picked, [VIT], question))
    bank = Unpacked(handlers.bank(picked, [VIT], question))
    assert live.data["key"] == bank.data["key"]
    mean = live.array(live.data["rows"][0]["maps"][5]["rows"]["point"][1])
    every = bank.array(bank.data["rows"][0]["maps"]["5"]["rows"]["point"][1])
    assert mean.shape == (1, 14, 14)
    assert every.shape == (3, 14, 14)
    np.testing.assert_allclose(mean[0], every.mean(0), rtol=2**-9, atol=1e-7)


def test_query_that_left_the_picture_has_no_row(handlers, picked):
    got = Unpacked(handlers.answer(picked, [VIT], {"dx": 100, "query": {"x": 0.9, "y": 0.5}}))
    before, after = got.data["rows"][0]["maps"][0]["rows"]["point"]
    assert before is not None
    assert after is None
    assert all(pair is not None for pair in got.data["rows"][0]["maps"][0]["rows"]["class"])


def test_models_that_fail_leave_the_others_alone(handlers, picked):
    got = Unpacked(handlers.answer(picked, ["vit_tinny_patch16_224", CNN, "random/resnet18+mhsaa@3"], {}))
    wrong, right, block = got.data["rows"]
    assert "vit_tiny_patch16_224" in wrong["error"]
    assert "mhsa" in block["error"]
    assert right["predictions"][1]["top"]


def test_defect_in_one_model_is_a_sentence(handlers, picked, monkeypatch):
    def broken(model, *args, **kwargs):
        if "vit" in str(model.spec):
            raise RuntimeError("secret path /srv/x")
        return look(model, *args, **kwargs)

    monkeypatch.setattr(shared, "look", broken)
    got = Unpacked(handlers.answer(picked, [VIT, CNN], {"dx": 7}))
    assert "log" in got.data["rows"][0]["error"]
    assert "secret" not in json.dumps(got.data["rows"][0])
    assert got.data["rows"][1]["predictions"]


@pytest.mark.parametrize(
    "question",
    [
        {"zoom": 99}, {"dx": "far"}, {"dx": float("nan")}, {"border": "tile"}, {"method": "magic"},
        {"query": {"x": 2, "y": 0}}, {"query": "here"}, ["dx"], {"parameters": 3},
        {"method": "integrated_gradients", "parameters": {"n_steps": -5}},
    ],
)  # fmt: skip
def test_questions_are_checked(handlers, picked, question):
    with pytest.raises(ParameterError):
        parse_question(question)
    with pytest.raises(gr.Error):
        handlers.answer(picked, [CNN], question)


@pytest.mark.parametrize("models", [None, "resnet18", [], [""], ["a"] * 7, [3], ["x" * 1000]])
def test_model_lists_are_checked(models):
    with pytest.raises(ParameterError):
        parse_models(models)


def test_folders_are_closed_to_strangers():
    named = "local-dir:/models/mine"
    with pytest.raises(ParameterError, match="--model"):
        parse_spec("local-dir:/etc", folders=False, named_at_launch=[named])
    assert parse_spec(named, folders=False, named_at_launch=[named]).backbone == named
    assert parse_spec("local-dir:/etc", folders=True, named_at_launch=[]).backbone == "local-dir:/etc"


def test_costly_method_waits_for_its_button_and_then_stays(handlers, picked):
    question = {"method": "integrated_gradients", "parameters": {"n_steps": 4}}
    before = Unpacked(handlers.answer(picked, [CNN], question))
    assert before.data["rows"][0]["attribution"] == {"why": "press"}
    told = list(handlers.attribute(picked, [CNN], question))
    assert told[-1][1]["share"] == 1.0
    shares = [news["share"] for _, news in told]
    assert shares == sorted(shares)
    done = Unpacked(told[-1][0]).data["rows"][0]["attribution"]
    assert done["method"] == "integrated_gradients"
    again = Unpacked(handlers.answer(picked, [CNN], question | {"query": {"x": 0.2, "y": 0.2}}))
    assert again.data["rows"][0]["attribution"]["delta"] == done["delta"]


def test_costly_method_can_be_cancelled(handlers, picked):
    question = {"method": "occlusion", "dx": 3}
    steps = handlers.attribute(picked, [CNN], question)
    next(steps)
    steps.close()
    for thread in threading.enumerate():
        if thread.name == "attribution":
            thread.join(30)
            assert not thread.is_alive()
    got = Unpacked(handlers.answer(picked, [CNN], question))
    assert got.data["rows"][0]["attribution"] == {"why": "press"}
    assert handlers.answers.turn.acquire(timeout=1), "a cancelled computation kept its turn"
    handlers.answers.turn.release()


def test_bad_picture_puts_the_last_good_one_back(handlers, tmp_path: Path):
    last = str(first_sample())
    for name, data in (("text.png", b"hello"), ("empty.png", b""), ("cut.jpg", first_sample().read_bytes()[:4000])):
        path = tmp_path / name
        path.write_bytes(data)
        picked = pick(path)
        assert picked.image is None
        assert len(picked.problem) > 20
        assert handlers.choose(picked, last, 3) == (last, 4)
    good = pick(list(samples().values())[1])
    assert handlers.choose(good, last, 3) == (good.path, 3)
    assert handlers.choose(None, good.path, 3) == (good.path, 3)


def test_emptied_or_broken_place_keeps_the_last_good_picture(handlers, tmp_path: Path):
    cat = pick(samples()["cat"])
    expected = handlers.answer(cat, [CNN], {})
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert handlers.answer(None, [CNN], {}, cat.path) == expected
    assert handlers.answer(pick(broken), [CNN], {}, cat.path) == expected


def test_pictures_are_read_once_and_told_apart(tmp_path: Path):
    path = tmp_path / "one.png"
    Image.new("RGB", (64, 64), "red").save(path)
    first = pick(path)
    assert pick(path) is first
    other = tmp_path / "two.png"
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(data, "PNG")
    other.write_bytes(data.getvalue())
    assert pick(other).key != first.key


def test_eight_at_once_get_what_one_gets_alone():
    pictures = [pick(path) for path in samples().values()]
    specs = [VIT, CNN, "random/resnet18#1", "random/resnet18+mhsa@3"]
    requests = [
        (
            pictures[number % len(pictures)],
            [specs[number % 4], specs[(number + 1) % 4]],
            {"dx": 8 * number, "zoom": 1.5},
        )
        for number in range(8)
    ]
    alone = Handlers(Answers(folders=False))
    expected = [alone.answer(*request) for request in requests]
    together = Handlers(Answers(folders=False))  # models and answers of its own: nothing is merely remembered
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda request: together.answer(*request), requests))
    assert got == expected


def test_nobody_waits_for_a_model_another_is_loading(handlers, picked, monkeypatch):
    loading, go_on = threading.Event(), threading.Event()
    real = type(handlers.answers.models).get

    def slow(store, spec, device=None):
        if spec.seed == 77:
            loading.set()
            assert go_on.wait(60)
        return real(store, spec, device)

    monkeypatch.setattr(type(handlers.answers.models), "get", slow)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(handlers.answer, picked, ["random/resnet18#77"], {})
        assert loading.wait(30)
        assert Unpacked(handlers.answer(picked, [CNN], {"dx": 1})).data["rows"][0]["predictions"]
        assert not other.done()
        go_on.set()
        assert Unpacked(other.result(60)).data["rows"][0]["predictions"]


def test_a_drag_asks_the_unmoved_picture_once(picked, monkeypatch):
    asked = []

    def counted(model, image, transform, *args, **kwargs):
        asked.append((str(model.spec), str(transform)))
        return look(model, image, transform, *args, **kwargs)

    monkeypatch.setattr(shared, "look", counted)
    mine = Handlers(Answers(folders=False))
    for step in (0, 4, 8, 4):
        mine.answer(picked, [CNN], {"dx": step})
    assert asked == [(CNN, "not moved"), (CNN, "4 px right; border zero"), (CNN, "8 px right; border zero")]


def test_answers_keep_no_graph(handlers, picked):
    handlers.answer(picked, [VIT], {"dx": 11})
    sides = [side for side, _ in handlers.answers.sides._kept.values()]
    assert sides
    assert all(not side.image.requires_grad for side in sides)
    assert not any(side.attribution.values.requires_grad for side in sides if side.attribution is not None)
    assert handlers.answers.sides.nbytes <= handlers.answers.sides.max_bytes
    assert torch.is_grad_enabled()
