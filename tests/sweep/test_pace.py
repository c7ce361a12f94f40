"""What a sweep reckons with is as dear for the last unit as for the first, and equals the plain sum over all units."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.models.spec import ModelSpec
from explorer.sweep.places import LocalPlace
from explorer.sweep.plan import PlannedData, PlannedModel, PlannedProbe
from explorer.sweep.run import Pace, SweepProgress, sweep, work_off
from explorer.sweep.store import Store
from explorer.sweep.summary import Sweep
from explorer.sweep.units import Shard, Unit
from explorer.sweep.work import Outcome


def made(count: int, models: int = 4) -> list[Unit]:
    """Units of several models and two probes, of which nothing is measured."""
    data, out = PlannedData("scenes", scenes=count), list[Unit]()
    for number in range(count):
        name = f"random/resnet18#{number % models}"
        shard = Shard(number // models, max(1, count // models), number, 1 + number % 3)
        probe = PlannedProbe(("edges", "scale")[number % 2], {})
        model = PlannedModel(ModelSpec.parse(name), name)
        out.append(Unit(f"{number:032x}", model, probe, data, shard, 0, 16, 1, "float32", "cpu"))
    return out


class Idle:
    """An engine that measures nothing; each unit is said to have taken a time of its own."""

    def __init__(self) -> None:
        self.given: Unit | None = None

    def idle(self) -> dict[int, ModelSpec | None]:
        return {} if self.given else {0: None}

    def give(self, worker: int, unit: Unit) -> None:  # noqa: ARG002 - there is one
        self.given = unit

    def outcomes(self) -> Iterator[Outcome]:
        unit, self.given = self.given, None
        assert unit is not None
        yield Outcome(unit.key, "", 0.01 * unit.weight, 100)

    def end(self) -> None:
        pass


def test_the_time_left_is_the_sum_over_all_that_wait() -> None:
    some, chance = made(200), random.Random(0)
    chance.shuffle(some)
    before = {"pace": {"random/resnet18#0 edges": [10.0, 5.0, 100.0]}}
    pace = Pace(before, some)
    sums = {"random/resnet18#0 edges": (10.0, 5.0)}
    shown, seconds = 0, 0.0
    for number, unit in enumerate(some):
        pace.drop(unit)
        seconds += 0.7
        if chance.random() < 0.9:  # others failed
            took = chance.uniform(0.1, 2.0)
            pace.add(unit, Outcome(unit.key, "", took, 10))
            name = f"{unit.model.name} {unit.probe.probe}"
            images, spent = sums.get(name, (0.0, 0.0))
            sums[name] = (images + unit.weight, spent + took)
            shown += unit.weight
        total = tuple(sum(one[place] for one in sums.values()) for place in (0, 1))
        work = 0.0
        for one in some[number + 1 :]:
            images, spent = sums.get(f"{one.model.name} {one.probe.probe}", total)
            work += one.weight * spent / images
        if shown:
            expected = work * seconds / (total[1] * shown / total[0])
            assert pace.left(seconds, shown) == pytest.approx(expected, abs=1e-9)
    assert shown


def test_a_unit_more_costs_the_same_however_many_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by what is asked of units, which is exact where times are not."""
    asked = Counter[int]()
    weight = Unit.weight.fget  # type: ignore[attr-defined]
    counts = Counter[int]()
    monkeypatch.setattr(Unit, "weight", property(lambda self: asked.update(n=1) or weight(self)))  # type: ignore[arg-type]
    for count in (100, 400):
        asked.clear()
        store = Store(tmp_path / str(count))
        store.make()
        told: list[SweepProgress] = []
        work_off(store, Idle(), made(count), SweepProgress(count, 0, 0), told.append)
        assert len(told) == count
        assert told[-1].left == 0
        counts[count] = asked.total()
    assert counts[400] < 1.1 * 4 * counts[100]


def test_each_file_is_read_once_to_know_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {"models": ["lab/none"], "probes": ["edges"], "data": [12], "shard": 4, "batch": 4, "device": "cpu"}
    found = sweep(plan, tmp_path)
    reads, real = Counter[str](), LocalPlace.read

    def counted(self: LocalPlace, name: str) -> bytes:
        reads[name] += 1
        return real(self, name)

    monkeypatch.setattr(LocalPlace, "read", counted)
    found = Sweep(tmp_path)
    assert len(found.done) == 3
    assert not found.failed
    assert {name: number for name, number in reads.items() if name.startswith("rows/")} == {
        f"rows/{one['key']}.parquet": 1 for one in found.units
    }
    damaged = tmp_path / "rows" / f"{found.units[0]['key']}.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert [one["key"] for one in found.units[1:]] == found.done
