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

from explorer.comparison.compare import compare, look, seen
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import read_image, samples
from explorer.models.loading import load
from explorer.transforms import Transform
from explorer.ui import answers as shared
from explorer.ui import payload, upload
from explorer.ui.answers import Answers
from explorer.ui.controls import parse_spec
from explorer.ui.handlers import Handlers
from explorer.ui.upload import pick
from explorer.view.forms import of_models, of_request

from .unpack import Unpacked

VIT = "random/vit_tiny_patch16_224"
CNN = "random/resnet18"
FIRST = next(iter(samples().values()))


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(Answers(folders=True))


def test_answer_holds_the_numbers_of_compare(handlers):
    question = {"dx": 32, "dy": -16, "pins": [{"x": 0.5, "y": 0.25}], "method": "gradcam"}
    got = Unpacked(handlers.answer([VIT, CNN], question))
    models = [load(VIT), load(CNN)]
    expected = compare(models, read_image(FIRST), Transform(dx=32, dy=-16), query=Point(112, 56), method="gradcam")
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
                rows = got.array(sent["rows"]["0"][item])
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


def test_bank_holds_every_row_of_the_moved_picture(handlers):
    question = {"dx": 32, "pins": [{"x": 0.1, "y": 0.1}]}
    live = Unpacked(handlers.answer([VIT], question))
    bank = Unpacked(handlers.bank([VIT], question))
    assert bank.data["key"] == live.data["key"]
    view = compare([load(VIT)], read_image(FIRST), Transform(dx=32)).rows[0]
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


def test_bank_stays_within_its_budget(handlers, monkeypatch):
    one_layer = 2 * 3 * 197 * 197
    monkeypatch.setattr(payload, "BANK_BYTES", 2 * one_layer)
    bank = Unpacked(handlers.bank([VIT], {}))
    assert sorted(map(int, bank.data["rows"][0]["maps"])) == [9, 10, 11]
    # What is looked at comes first, and for itself.
    bank = Unpacked(handlers.bank([VIT], {"layers": [3]}))
    assert sorted(map(int, bank.data["rows"][0]["maps"])) == [3, 10, 11]


def test_large_maps_come_as_queries_and_keys(handlers):
    """O(n d), not O(n^2): 4096 tokens of one head would take 33 MB; a softmax in the browser gives the row."""
    model = "random/vit_tiny_patch16_384"
    question = {"dx": 16}
    (view,) = compare([load(model)], read_image(FIRST), Transform(dx=16)).rows
    number = len(view.maps) - 1
    one = view.maps[number]
    _, groups, heads, queries, keys = one.weights.shape
    bank = Unpacked(handlers.bank([model], question))
    sent = bank.data["rows"][0]["maps"][str(number)]
    q, k = bank.array(sent["q"]), bank.array(sent["k"])
    assert 4 * (q.size + k.size) < 2 * groups * heads * queries * keys
    scores = np.einsum("ghqd,ghkd->ghqk", q, np.broadcast_to(k, (*q.shape[:2], *k.shape[2:]))) * sent["scale"]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(weights[0], one.weights.block(1, 0, 0, queries), rtol=1e-5, atol=1e-8)


def test_large_maps_send_the_mean_of_heads_until_settled(handlers, monkeypatch):
    monkeypatch.setattr(payload, "LIVE_BYTES", 1000)
    question = {"pins": [{"x": 0.3, "y": 0.6}]}
    live = Unpacked(handlers.answer([VIT], question))
    bank = Unpacked(handlers.bank([VIT], question))
    assert live.data["key"] == bank.data["key"]
    mean = live.array(live.data["rows"][0]["maps"][5]["rows"]["0"][1])
    every = bank.array(bank.data["rows"][0]["maps"]["5"]["rows"]["0"][1])
    assert mean.shape == (1, 14, 14)
    assert every.shape == (3, 14, 14)
    np.testing.assert_allclose(mean[0], every.mean(0), rtol=2**-9, atol=1e-7)


def test_query_that_left_the_picture_has_no_row(handlers):
    got = Unpacked(handlers.answer([VIT], {"dx": 100, "pins": [{"x": 0.9, "y": 0.5}]}))
    before, after = got.data["rows"][0]["maps"][0]["rows"]["0"]
    assert before is not None
    assert after is None
    assert all(pair is not None for pair in got.data["rows"][0]["maps"][0]["rows"]["class"])


def test_models_that_fail_leave_the_others_alone(handlers):
    got = Unpacked(handlers.answer(["vit_tinny_patch16_224", CNN, "random/resnet18+mhsaa@3"], {}))
    wrong, right, block = got.data["rows"]
    assert "vit_tiny_patch16_224" in wrong["error"]
    assert "mhsa" in block["error"]
    assert right["predictions"][1]["top"]


def test_defect_in_one_model_is_a_sentence(handlers, monkeypatch):
    def broken(model, *args, **kwargs):
        if "vit" in str(model.spec):
            raise RuntimeError("secret path /srv/x")
        return look(model, *args, **kwargs)

    monkeypatch.setattr(shared, "look", broken)
    got = Unpacked(handlers.answer([VIT, CNN], {"dx": 7}))
    assert "log" in got.data["rows"][0]["error"]
    assert "secret" not in json.dumps(got.data["rows"][0])
    assert got.data["rows"][1]["predictions"]


@pytest.mark.parametrize(
    "question",
    [
        {"zoom": 99}, {"dx": "far"}, {"dx": float("nan")}, {"border": "tile"}, {"method": "magic"},
        {"pins": [{"x": 2, "y": 0}]}, {"pins": "here"}, {"pins": []}, {"pins": [{"x": 0.5, "y": 0.5}] * 5},
        {"pin": "object"}, {"picture": "nobody"}, {"layers": 3}, ["dx"], {"parameters": 3},
        {"method": "integrated_gradients", "parameters": {"n_steps": -5}},
    ],
)  # fmt: skip
def test_questions_are_checked(handlers, question):
    with pytest.raises(ParameterError):
        of_request([CNN], question)
    with pytest.raises(gr.Error):
        handlers.answer([CNN], question)


@pytest.mark.parametrize("models", [None, "resnet18", [], [""], ["a"] * 7, [3], ["x" * 1000]])
def test_model_lists_are_checked(models):
    with pytest.raises(ParameterError):
        of_models(models)


def test_folders_are_closed_to_strangers():
    named = "local-dir:/models/mine"
    with pytest.raises(ParameterError, match="--model"):
        parse_spec("local-dir:/etc", folders=False, named_at_launch=[named])
    assert parse_spec(named, folders=False, named_at_launch=[named]).backbone == named
    assert parse_spec("local-dir:/etc", folders=True, named_at_launch=[]).backbone == "local-dir:/etc"


def test_costly_method_waits_for_its_button_and_then_stays(handlers):
    question = {"method": "integrated_gradients", "parameters": {"n_steps": 4}}
    before = Unpacked(handlers.answer([CNN], question))
    assert before.data["rows"][0]["attribution"] == {"why": "press"}
    told = list(handlers.attribute([CNN], question))
    assert told[-1][1]["share"] == 1.0
    shares = [news["share"] for _, news in told]
    assert shares == sorted(shares)
    done = Unpacked(told[-1][0]).data["rows"][0]["attribution"]
    assert done["method"] == "integrated_gradients"
    again = Unpacked(handlers.answer([CNN], question | {"pins": [{"x": 0.2, "y": 0.2}]}))
    assert again.data["rows"][0]["attribution"]["delta"] == done["delta"]


def test_costly_method_can_be_cancelled(handlers):
    question = {"method": "occlusion", "dx": 3}
    steps = handlers.attribute([CNN], question)
    next(steps)
    steps.close()
    for thread in threading.enumerate():
        if thread.name == "told":
            thread.join(30)
            assert not thread.is_alive()
    got = Unpacked(handlers.answer([CNN], question))
    assert got.data["rows"][0]["attribution"] == {"why": "press"}
    assert handlers.answers.turn.acquire(timeout=1), "a cancelled computation kept its turn"
    handlers.answers.turn.release()


def test_bad_pictures_are_refused_and_good_ones_keep_their_name(handlers, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name, data in (("text.png", b"hello"), ("empty.png", b""), ("cut.jpg", FIRST.read_bytes()[:4000])):
        path = tmp_path / name
        path.write_bytes(data)
        picked = pick(path)
        assert picked.image is None
        assert len(picked.problem) > 20
        kept, place = handlers.choose({"path": str(path)})
        assert place is None
        assert isinstance(kept, dict), "nothing new is told"
    good = tmp_path / "my cat.png"
    good.write_bytes(samples()["cat"].read_bytes())
    name, place = handlers.choose({"path": str(good)})
    assert place is None
    good.unlink()  # gradio deletes its uploads after a while
    own, sample = (Unpacked(handlers.answer([CNN], {"picture": one})).data for one in (name, "cat"))
    assert own["rows"] == sample["rows"]
    assert own["at"]["picture"] == name
    assert handlers.answers.own.get(name).name == "my cat.png"


def test_an_own_picture_that_is_gone_is_said_and_a_photograph_shown(handlers):
    got = Unpacked(handlers.answer([CNN], {"picture": "own:" + "0" * 24})).data
    assert "no longer on the server" in got["gone"]
    assert got["at"]["picture"] == next(iter(samples()))
    assert got["rows"] == Unpacked(handlers.answer([CNN], {})).data["rows"]


def test_old_pictures_make_room(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(upload, "OWN_BYTES", 1500)
    own, names = upload.Own(), []
    for number in range(3):
        path = tmp_path / f"{number}.bmp"
        Image.new("RGB", (16, 16), (number, 0, 0)).save(path)  # 822 bytes
        names.append(own.add(pick(path)))
    assert [own.get(name).image is not None for name in names] == [False, False, True]


def test_several_pins_have_a_row_each_and_may_stay_in_their_place(handlers):
    pins = [{"x": 0.5, "y": 0.25}, {"x": 0.2, "y": 0.7}, {"x": 0.9, "y": 0.5}]
    for pin in ("image", "place"):
        got = Unpacked(handlers.answer([VIT], {"dx": 40, "pins": pins, "pin": pin}))
        assert got.data["pin"] == pin
        for number, place in enumerate(pins):
            query = Point(place["x"] * 224, place["y"] * 224)
            (view,) = compare([load(VIT)], read_image(FIRST), Transform(dx=40), None, query, pin=pin).rows
            for item, where in enumerate(view.queries):
                sent = got.data["rows"][0]["maps"][7]["rows"][str(number)][item]
                if where is None:
                    assert sent is None
                else:
                    expected = view.maps[7].rows(where, item)
                    np.testing.assert_allclose(got.array(sent), expected, rtol=2**-10, atol=1e-7)


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
    pictures = list(samples())
    specs = [VIT, CNN, "random/resnet18#1", "random/resnet18+mhsa@3"]
    requests = [
        (
            [specs[number % 4], specs[(number + 1) % 4]],
            {"picture": pictures[number % len(pictures)], "dx": 8 * number, "zoom": 1.5},
        )
        for number in range(8)
    ]
    alone = Handlers(Answers(folders=False))
    expected = [alone.answer(*request) for request in requests]
    together = Handlers(Answers(folders=False))  # models and answers of its own: nothing is merely remembered
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda request: together.answer(*request), requests))
    assert got == expected


def test_nobody_waits_for_a_model_another_is_loading(handlers, monkeypatch):
    loading, go_on = threading.Event(), threading.Event()
    real = type(handlers.answers.models).all

    def slow(store, specs, *rest):
        if any(spec.seed == 77 for spec in specs):
            loading.set()
            assert go_on.wait(60)
        return real(store, specs, *rest)

    monkeypatch.setattr(type(handlers.answers.models), "all", slow)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(handlers.answer, ["random/resnet18#77"], {})
        assert loading.wait(30)
        assert Unpacked(handlers.answer([CNN], {"dx": 1})).data["rows"][0]["predictions"]
        assert not other.done()
        go_on.set()
        assert Unpacked(other.result(60)).data["rows"][0]["predictions"]


def test_a_drag_asks_the_unmoved_picture_once(monkeypatch):
    asked = []

    def counted(model, image, transform, *args, **kwargs):
        asked.append((str(model.spec), str(transform)))
        return look(model, image, transform, *args, **kwargs)

    monkeypatch.setattr(shared, "look", counted)
    mine = Handlers(Answers(folders=False))
    for step in (0, 4, 8, 4):
        mine.answer([CNN], {"dx": step})
    assert asked == [(CNN, "not moved"), (CNN, "4 px right; border zero"), (CNN, "8 px right; border zero")]


def test_a_drag_resizes_its_picture_once(monkeypatch):
    resized = []

    def counted(model, image, *rest):
        resized.append(str(model.spec))
        return seen(model, image, *rest)

    monkeypatch.setattr(shared, "seen", counted)
    mine = Handlers(Answers(folders=False))
    texts = [Unpacked(mine.answer([CNN, VIT], {"dx": step / 2, "zoom": 1.1})) for step in range(3)]
    assert resized == [CNN, VIT]
    picture = pick(FIRST).image
    expected = compare([mine.answers.model(CNN)], picture, Transform(dx=1.0, zoom=1.1)).rows[0]
    got = texts[2].data["rows"][0]["predictions"]
    for side, prediction in zip(got, expected.predictions):
        assert [(one["index"], one["p"]) for one in side["top"]] == [
            (one.index, one.probability) for one in prediction.top
        ]
    assert 0 < mine.answers.inputs.nbytes <= mine.answers.inputs.max_bytes


def test_answers_keep_no_graph(handlers):
    handlers.answer([VIT], {"dx": 11})
    sides = [side for side, _ in handlers.answers.sides._kept.values()]
    assert sides
    assert all(not side.image.requires_grad for side in sides)
    assert not any(side.attribution.values.requires_grad for side in sides if side.attribution is not None)
    assert handlers.answers.sides.nbytes <= handlers.answers.sides.max_bytes
    assert torch.is_grad_enabled()
