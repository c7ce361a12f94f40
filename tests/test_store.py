"""The store counts what is alive: bytes are reserved before loading, nothing in use is given up, nobody thrashes."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from explorer.attribution import attribute
from explorer.errors import BusyError, Cancelled, ModelError
from explorer.models import store as stores
from explorer.models.loading import _size_of, load, size_of
from explorer.models.model import Model
from explorer.models.sizes import Limits
from explorer.models.spec import ModelSpec
from explorer.models.store import ModelStore

NAME = "random/test_resnet"
ONE = size_of(ModelSpec.parse(NAME)).nbytes


def names(*seeds: int) -> list[str]:
    return [f"{NAME}#{seed}" if seed else NAME for seed in seeds]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is loaded, in order."""
    found: list[str] = []

    def counting(spec: ModelSpec, *rest: Any) -> Model:
        found.append(str(spec))
        return load(spec, *rest)

    monkeypatch.setattr(stores, "load", counting)
    return found


def test_the_size_before_loading_is_that_of_the_model() -> None:
    for name in (NAME, "random/test_vit", "lab/mhsa"):
        size, model = size_of(ModelSpec.parse(name)), load(name, "cpu")
        assert model.nbytes <= size.nbytes <= 1.2 * model.nbytes
    # Multiply-adds of a linear layer and of attention, by hand: a ViT of one block on 32 px.
    spec = ModelSpec.parse("random/vit_tiny_patch16_224", options=(("depth", 1),), input_size=(32, 32))
    n, d = 5, 192
    by_hand = 4 * 3 * 16 * 16 * d + 4 * n * d * d + 2 * n * n * d + 8 * n * d * d + d * 1000
    assert size_of(spec).multiply_adds == by_hand


def test_six_models_of_one_request_are_never_alive_at_once_under_a_bound_of_two(loads: list[str]) -> None:
    store = ModelStore(int(2.5 * ONE))
    for _ in range(3):
        found = store.all(names(0, 1, 2, 3, 4, 5), "cpu")
        live = [one for one in found if isinstance(one, Model)]
        assert [str(one.spec) for one in live] == names(0, 1)
        assert all(isinstance(one, ModelError) for one in found[2:])
        assert "does not fit beside 'random/test_resnet'" in str(found[2])
        assert "Take one of them out" in str(found[2])
        assert store.nbytes == sum(one.nbytes for one in live) <= 2.5 * ONE
    assert loads == names(0, 1)  # asked for again and again, loaded once


def test_what_somebody_holds_counts_though_the_store_forgot_it(loads: list[str]) -> None:
    store = ModelStore(int(2.5 * ONE))
    held = [store.get(name, "cpu") for name in names(0, 1)]
    store.clear()
    with pytest.raises(BusyError, match="ask again in a minute"):
        store.get(names(2)[0], "cpu")
    assert store.get(names(0)[0], "cpu") is held[0]  # alive, so nothing is loaded
    held.clear()
    gc.collect()
    store.clear()
    assert store.nbytes == 0
    assert store.get(names(2)[0], "cpu").nbytes == ONE
    assert loads == names(0, 1, 2)


def test_loads_in_flight_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = []

    def slow(spec: ModelSpec, *rest: Any) -> Model:
        time.sleep(0.1)
        model = load(spec, *rest)
        alive.add(model.module)
        most.append(len(alive))
        return model

    monkeypatch.setattr(stores, "load", slow)
    store = ModelStore(int(2.5 * ONE))

    def ask(name: str) -> int:
        (model,) = store.all([name], "cpu", patience=30)
        assert isinstance(model, Model)
        time.sleep(0.1)
        return model.nbytes

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, names(*range(6)))) == [ONE] * 6
    assert (len(most), max(most)) == (6, 2)


def test_two_models_that_do_not_fit_together_do_not_drive_each_other_out(loads: list[str]) -> None:
    store = ModelStore(int(1.5 * ONE))
    for _ in range(5):
        first, second = store.all(names(0, 1), "cpu", visitor="a")
        assert isinstance(first, Model)
        assert isinstance(second, ModelError)
        del first
    assert loads == names(0)


def test_visitors_who_take_turns_do_not_load_each_others_models_away(
    loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(int(1.5 * ONE))
    for _ in range(5):
        assert isinstance(store.all(names(0), "cpu", visitor="a")[0], Model)
        assert isinstance(store.all(names(1), "cpu", visitor="b")[0], BusyError)
    assert loads == names(0)
    # Who turns to another model gives up the one before, at once.
    assert isinstance(store.all(names(2), "cpu", visitor="a")[0], Model)
    monkeypatch.setattr(stores, "LOOKED_AT", 0.0)
    assert isinstance(store.all(names(1), "cpu", visitor="b")[0], Model)
    assert isinstance(store.all(names(0), "cpu", visitor="a")[0], Model)
    assert loads == names(0, 2, 1, 0)


def test_a_request_waits_for_memory_and_gets_it() -> None:
    store = ModelStore(int(1.5 * ONE))
    held = [store.get(NAME, "cpu")]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: store.all(names(1), "cpu", patience=20)[0].nbytes)  # type: ignore[union-attr]
        time.sleep(0.5)
        assert not waiting.done()
        held.clear()
        assert waiting.result(20) == ONE


def test_who_is_gone_waits_for_nothing_and_loads_nothing(loads: list[str]) -> None:
    store = ModelStore(int(1.5 * ONE))

    def gone() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        store.all(names(0), "cpu", waited_for=gone)
    assert (loads, store.nbytes) == ([], 0)
    looks = []

    def leaving() -> None:
        looks.append(1)
        if len(looks) > 3:
            raise Cancelled

    with pytest.raises(Cancelled):  # between two models: what was reserved for the second is given back
        ModelStore.all(wide := ModelStore(10 * ONE), names(0, 1, 2), "cpu", waited_for=leaving)
    gc.collect()
    assert wide.nbytes == ONE * len(loads)
    assert isinstance(wide.get(names(2)[0], "cpu"), Model)


def test_who_waits_for_anothers_load_that_was_given_up_loads_it() -> None:
    store, gone, inside = ModelStore(10 * ONE), threading.Event(), threading.Event()

    def first() -> None:
        if inside.is_set() and gone.is_set():
            raise Cancelled

    with store._turn, ThreadPoolExecutor(2) as pool:  # nothing can be loaded yet
        one = pool.submit(store.all, [NAME], "cpu", visitor="a", waited_for=first)
        while not store._loading:
            time.sleep(0.01)
        two = pool.submit(store.all, [NAME], "cpu", visitor="b")
        inside.set()
        gone.set()
        with pytest.raises(Cancelled):
            one.result(20)
        store._turn.release()
        try:
            assert isinstance(two.result(20)[0], Model)
        finally:
            store._turn.acquire()


def test_a_model_larger_than_the_room_is_refused_before_it_is_loaded(loads: list[str]) -> None:
    store = ModelStore(ONE // 2)
    for _ in range(5):
        (found,) = store.all([NAME], "cpu")
        assert "take one of up to" in str(found)
    assert loads == []


def test_models_that_would_never_end_are_refused_before_they_are_built(tmp_path: Path) -> None:
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 10, "num_features": 192, "pretrained_cfg": {}}
    for arguments, said in (
        ({"depth": 100000}, "more than 20,000 modules"),
        ({"depth": 10**9}, "a number of 1,000,000,000"),
        ({"embed_dim": 999936, "num_heads": 3}, "its configuration cannot be right|GiB"),
        ({"img_size": 4096}, "multiply-adds"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, "model_args": arguments}))
        began = time.monotonic()
        with pytest.raises(ModelError, match=said):
            load(f"random/local-dir:{tmp_path}", "cpu")
        assert time.monotonic() - began < 30
    with pytest.raises(ModelError, match="multiply-adds"):
        load(ModelSpec.parse("random/vit_tiny_patch16_224", input_size=(4096, 4096)), "cpu")
    tight = Limits(multiply_adds=10**9)
    with pytest.raises(ModelError, match=r"needs 2 billion multiply-adds .* up to 1 billion"):
        load("random/resnet18", "cpu", None, tight)


def test_multiply_adds_are_torchs_own_and_counting_touches_no_other_thread() -> None:
    """torch's own counter hooks into every thread's modules, and broke gradients that were computed meanwhile."""
    with torch.device("meta"):
        module = timm.create_model("test_vit").eval()
    x = torch.empty(1, *module.pretrained_cfg["input_size"], device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as theirs:
        module(x)
    spec = ModelSpec.parse("random/test_vit")
    assert size_of(spec).multiply_adds == theirs.get_total_flops() // 2
    model, stop = load(NAME, "cpu"), threading.Event()

    def count() -> None:
        while not stop.is_set():
            _size_of.cache_clear()
            size_of(spec)

    counting = threading.Thread(target=count)
    counting.start()
    try:
        picture = torch.rand(1, 3, 64, 64)
        first = attribute(model, picture, "integrated_gradients", n_steps=4).values
        for _ in range(10):
            assert torch.equal(attribute(model, picture, "integrated_gradients", n_steps=4).values, first)
    finally:
        stop.set()
        counting.join()
