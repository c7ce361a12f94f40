"""The cost probe: counts against closed forms, fits against power laws, memory against known operations."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
import torch

from explorer.blocks import BLOCKS, cost
from explorer.blocks.explain import explain
from explorer.errors import MethodError, ParameterError
from explorer.lab.networks import available
from explorer.models.loading import load
from explorer.probes.cost import BACKWARD, Cost, numbers, subject
from explorer.probes.exponents import fits, theories
from explorer.probes.result import ProbeResult
from explorer.probes.rows import Row, row
from explorer.probes.run import probe, steps

each_block = pytest.mark.parametrize("name", list(BLOCKS))
TINY: dict[str, Any] = {"sizes": "2,3,4", "widths": "8,16", "side": 3, "longest": 60.0}


def tiny(models: list[str], **changes: Any) -> ProbeResult:
    return probe("cost", models, device="cpu", **{**TINY, **changes})


@pytest.fixture(scope="module")
def both() -> ProbeResult:
    return tiny(["lab/mhsa", "random/test_resnet+linear@3"])


def test_multiply_adds_equal_the_closed_forms(both: ProbeResult) -> None:
    for one in both.of("lab/mhsa", measure="multiply-adds"):
        n, d = one["positions"], one["channels"]
        assert one["value"] == 2 * n * n * d + 4 * n * d * d
    for one in both.of("random/test_resnet+linear@3", measure="multiply-adds"):
        n, d = one["positions"], one["channels"]
        assert one["value"] == 3 * n * d * d + 2 * n * d
    assert {(one["axis"], one["positions"], one["channels"]) for one in both.of("lab/mhsa", measure="time")} == {
        *(("n", side * side, 8) for side in (2, 3, 4)),
        *(("d", 9, width) for width in (8, 16)),
    }


def test_a_backward_pass_takes_two_products_for_every_one() -> None:
    # Of y = a b both gradients are a product of the same size.
    for name in ("mhsa", "axial", "channel"):
        block = cost.made(name, 8, 4, "meta")
        assert cost.count(block, 4, backward=True) == 3 * block.multiply_adds(4, 4)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_the_fit_recovers_a_power_law_within_its_interval(power: float) -> None:
    random = np.random.default_rng(int(10 * power))
    hits = 0
    for _ in range(200):
        n = [side * side for side in (16, 32, 64, 96, 128, 192, 256)]
        # Small sizes cost a constant; they must not count.
        times = [1e9 if one < 4096 else 3e-5 * one**power * math.exp(random.normal(0, 0.05)) for one in n]
        fit = _fitted(n, times)
        assert fit["value"] == pytest.approx(power, abs=0.2)
        assert fit["n"] == 5
        hits += fit["low"] <= power <= fit["high"]
    # 95 % of 200 are 190, with a standard deviation of 3.
    assert 178 <= hits <= 199


def test_an_exact_power_law_has_an_interval_of_no_width() -> None:
    fit = _fitted([16, 64, 256, 1024], [0.25 * n**1.5 for n in (16, 64, 256, 1024)])
    assert (fit["value"], fit["low"], fit["high"]) == pytest.approx((1.5, 1.5, 1.5))
    assert fit["theory"] == 2
    assert _fitted([16, 64], [1.0, 4.0])["low"] is None
    # What takes no memory at all has no power.
    assert fits(_measured([16, 64], [0.0, 0.0]), {}) == []


def _measured(n: list[int], values: list[float]) -> list[Row]:
    head: Row = {"model": "m", "block": "mhsa", "direction": "forward", "axis": "n", "channels": 8}
    return [row("time", value, "ms", **head, positions=one) for one, value in zip(n, values, strict=True)]


def _fitted(n: list[int], values: list[float]) -> Row:
    (fit,) = fits(_measured(n, values), {("time", "n"): 2.0})
    assert fit["measure"] == "time exponent in n"
    return fit


def test_memory_is_the_peak_of_what_is_held_at_once() -> None:
    a = torch.randn(256, 256)
    # Both terms live while their product is made; the input was there before.
    assert cost.peak_memory(lambda: (a + 1) @ (a * 2), "cpu") == pytest.approx(3 * a.nbytes, abs=64)
    # One after the other: the first is gone before the second is made.
    assert cost.peak_memory(lambda: [(a + 1).sum(), (a * 2).sum()], "cpu") == pytest.approx(a.nbytes, abs=64)
    assert cost.peak_memory(lambda: a.view(-1), "cpu") == 0
    # For the gradient of exp its result is kept, and the gradient is of the same size.
    b = a.clone().requires_grad_()
    upstream = torch.ones_like(a)
    held = cost.peak_memory(lambda: torch.autograd.grad(b.exp(), b, upstream), "cpu")
    assert held == pytest.approx(2 * a.nbytes, abs=64)


def test_memory_of_blocks_is_what_their_formulas_hold() -> None:
    d = 8
    for side in (16, 32):
        n = side * side
        x = n * d * 4

        def held(name: str, side: int = side) -> int:
            return cost.peak_memory(cost.call(cost.made(name, d, side, "cpu"), side, "cpu"), "cpu")

        assert held("none") == 0
        # x * gate and the gate of d numbers; the mean and what lies between are d numbers each, too.
        assert x <= held("se") <= x + 20 * d * 4
        # The map before and after its softmax.
        assert 2 * n * n * 4 <= held("nonlocal") <= 2 * n * n * 4 + 6 * x
    for name in ("mhsa", "axial", "linear"):
        once = [cost.peak_memory(cost.call(cost.made(name, d, side, "cpu"), side, "cpu"), "cpu") for side in (64, 128)]
        # Never the map itself, n^2 numbers a head: the kernels are fused.
        assert once[1] < 5 * once[0]


def test_the_number_of_threads_is_as_before() -> None:
    before = torch.get_num_threads()
    for work in (lambda: None, lambda: 1 / 0):
        for measure in (cost.milliseconds, cost.peak_memory):
            with contextlib.suppress(ZeroDivisionError):
                measure(work, "cpu")
            assert torch.get_num_threads() == before


def test_powers_are_those_of_the_leading_terms() -> None:
    expected = {
        "none": (0, 0),
        "conv": (1, 1),
        "mhsa": (2, 2),
        "axial": (1.5, 2),
        "channel": (1, 2),
        "linear": (1, 2),
        "coord": (0.5, 2),
        "se": (0, 2),
        "eca": (0, 1),
        "nonlocal": (2, 2),
    }
    assert {name: cost.powers(name, 8) for name in expected} == expected
    # A gate of fixed width is linear in d; what touches every position grows with n at least.
    assert cost.powers("c2f_gate", 8, width=4) == (1, 1)
    assert theories("coord", 8)["time", "n"] == 1
    assert theories("none", 8)["time", "n"] == 0
    assert theories("mhsa", 8, position="relative")["memory", "n"] == 2


@pytest.mark.parametrize("name", [name for name in BLOCKS if f"lab/{name}" in available()])
def test_every_block_runs(name: str) -> None:
    result = tiny([f"lab/{name}"], direction=BACKWARD)
    rows = result.of(f"lab/{name}")
    assert {one["block"] for one in rows} == {name}
    assert {one["direction"] for one in rows} == {BACKWARD}
    times = [one for one in rows if one["measure"] == "time"]
    assert len(times) == 5
    assert all(one["value"] > 0 and one["unit"] == "ms" for one in times)
    assert result.of(f"lab/{name}", measure="parameters")[0]["value"] == BLOCKS[name](8, (3, 3)).parameter_count()
    about = explain(name)
    assert all((about.memory, about.reach, about.use, about.difficulty))
    assert any(section.heading == "Cost against the number of positions" for section in Cost().sections(result))


def test_scores_and_sections(both: ProbeResult) -> None:
    first = "lab/mhsa"
    names = ["time exponent in n", *(f"{one} at 3 x 3, d = 8" for one in ("time", "memory", "parameters"))]
    assert {one.measure for one in both.summary.values() if one.model == first} == set(names)
    assert both.summary[f"{first}: parameters at 3 x 3, d = 8"].value == 4 * 8 * 9
    fit = both.summary[f"{first}: time exponent in n"]
    assert (fit.better, fit.n, fit.interval) == ("lower", 3, "Student's t over sizes")

    probe = Cost(**TINY)
    against_n, against_d, table = probe.sections(both)
    charts = [panel for line in against_n.rows for panel in line]
    assert [chart.title.split()[0] for chart in charts] == ["Time", "Memory", "Multiply-adds"]
    for chart in (*charts, against_d.rows[0][0]):
        assert chart.x.log
        assert chart.y.log
    lines = charts[2].lines
    assert [(one.dash, one.colour == lines[0].colour) for one in lines] == [
        *(("solid", True), ("dash", True)),
        *(("solid", False), ("dash", False)),
    ]
    # The theory goes through the largest size: n^2 from 16 positions down to 4.
    assert lines[1].y[-1] == lines[0].y[-1]
    assert lines[1].y[0] == pytest.approx(lines[0].y[-1] / 16)
    shown = table.rows[0][0]
    assert [line[0] for line in shown.rows] == list(both.models)
    assert all(len(line) == len(shown.columns) and all(line) for line in shown.rows)
    assert shown.rows[0][2] == explain("mhsa").order
    assert shown.rows[0][5].endswith("ms at n = 16")


def test_partial_results_are_drawn() -> None:
    running = steps("cost", [load("lab/linear", "cpu")], **TINY)
    probe = Cost(**TINY)
    shares = []
    for result in running:
        shares.append(result.share)
        for section in probe.sections(result):
            assert section.rows
    assert shares == sorted(shares)
    # Every size is a step of its own in every round, so that it can be ended between them.
    assert len(shares) > 5 * 5


def test_sizes_beyond_the_limit_are_left_out() -> None:
    # No call takes less than a microsecond, so that all sizes after the first are foreseen to take too long.
    result = tiny(["lab/mhsa"], longest=0.001, sizes="2,400", side=2)
    assert {one["positions"] for one in result.of("lab/mhsa", measure="time", axis="n")} == {4}
    assert result.of("lab/mhsa", measure="time exponent in n") == []


def test_widths_that_the_heads_do_not_divide_are_left_out() -> None:
    spec = load("random/test_resnet+mhsa@3", "cpu").spec
    model = load(type(spec).parse(str(spec), block_options=(("heads", 3),)), "cpu")
    assert subject(model) == ("mhsa", {"heads": 3})
    result = probe("cost", [model], **{**TINY, "channels": 6, "widths": "6,8,12"})
    assert [one["channels"] for one in result.of(str(model.spec), measure="time", axis="d")] == [6, 12]


def test_subjects() -> None:
    assert subject(load("lab/axial-aug", "cpu"))[0] == "axial"
    assert subject(load("lab/coord", "cpu"))[0] == "coord"
    assert subject(load("random/test_resnet+mhsa@3", "cpu"))[0] == "mhsa"
    with pytest.raises(MethodError, match="no attention block of the registry"):
        probe("cost", "random/test_resnet", device="cpu", **TINY)


@pytest.mark.parametrize("text", ["", "16", "16,16", "16,x", "0,4", "16,4096", "4;5", "-1,4"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="sizes"):
        numbers("sizes", text, 1024)
    with pytest.raises(ParameterError, match="sizes"):
        Cost(sizes=text)
    assert numbers("sizes", " 8, 4,4", 8) == [4, 8]


def test_time_of_full_attention_grows_faster_than_of_linear() -> None:
    result = tiny(["lab/mhsa", "lab/linear"], sizes="16,24,32,48,64", widths="8,16", side=16)
    full, linear = (result.of(one, measure="time exponent in n")[0]["value"] for one in result.models)
    # Timings on a busy machine are rough; the difference is not.
    assert full > linear + 0.4
