"""Run a plan: give units to an engine, try again what fails, and tell how far it is."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.comparison.compare import versions
from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.models.device import choose_device
from explorer.models.spec import ModelSpec
from explorer.probes import PROBES
from explorer.sweep.engines import Engine, Here, Processes
from explorer.sweep.plan import SweepPlan
from explorer.sweep.store import PROGRESS, SWEEP, Store
from explorer.sweep.summary import Sweep
from explorer.sweep.units import SCHEMA, Unit, divided, divides, units
from explorer.sweep.work import Outcome, Station

#: How often a unit is tried before it is recorded as failed.
ATTEMPTS = 3
#: Seconds between two notes of how far it is.
_OFTEN = 2.0


@dataclass(frozen=True)
class SweepProgress:
    """How far is a sweep?

    Attributes:
        units: how many there are.
        done: of them, those whose rows are there, this run's and earlier ones'.
        failed: those that could not be measured.
        images: pictures shown in this run, each once a model and probe.
        seconds: since this run began.
        rate: images a second in this run, or 0.
        left: seconds until its end as far as is known, or None.
        model: name of the model that was measured last, or "".
        probe: the probe.
    """

    units: int
    done: int
    failed: int
    images: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    left: float | None = None
    model: str = ""
    probe: str = ""


Told = Callable[[SweepProgress], None]


def sweep(
    plan: SweepPlan | str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    workers: int = 1,
    ray: str | None = None,
    gpu_share: float = 1.0,
    progress: Told | None = None,
) -> Sweep:
    """Measure a plan; what is done already, by this run or one that was ended, is not done again.

    Args:
        plan: a `SweepPlan`, the path of a YAML file, or the same as plain values.
        out: the sweep's folder, or the address of one on storage, as s3://BUCKET/PATH. It may hold a sweep of the same
            or of another plan, whose rows stay.
        workers: 1 measures in this process; more, by as many processes (a script then needs
            ``if __name__ == "__main__":``, as they import it).
        ray: address of a Ray cluster ("auto", "HOST:PORT") whose machines measure instead.
        gpu_share: of a GPU, for each worker of the cluster; 0.25 puts four of them on each.
        progress: told after every unit.

    Returns what was measured. Units that failed are in its ``failed``; the same call tries them again.

    Raises ParameterError for a plan that cannot be, BusyError where another sweep is at work in the folder, WriteError.
    """
    made = (
        plan
        if isinstance(plan, SweepPlan)
        else SweepPlan.of(plan)
        if isinstance(plan, Mapping)
        else SweepPlan.read(plan)
    )
    if workers < 1:
        raise ParameterError(Message("workers is 1 or more, got {workers}", workers=workers))
    own = [one.name for one in made.models if one.spec.source.scheme == "module"]
    if own and (workers > 1 or ray is not None):
        raise ParameterError(
            Message(
                "{name} is a module of this process, which others do not have: leave workers and ray out",
                name=", ".join(own),
            )
        )
    if ray is None:
        choose_device(made.device)  # of a cluster's machines each sees to its own
    todo, notes = divided(made)
    store = Store(out)
    store.make()
    with store.place.alone():
        store.tidy()
        about = {"schema": SCHEMA, "plan": made.record(), "versions": {**versions()}, "notes": notes}
        store.write_note(SWEEP, {**about, "units": [one.about() for one in todo]})
        done = set(store.done([one.key for one in todo]))
        waiting = [one for one in todo if one.key not in done]
        if waiting:
            engine = _engine(store, min(workers, len(waiting)), ray, gpu_share, made)
            try:
                work_off(store, engine, waiting, SweepProgress(len(todo), len(done), 0), progress)
            finally:
                engine.end()
        elif progress is not None:
            progress(SweepProgress(len(todo), len(done), 0, left=0.0))
    return Sweep(out)


def _engine(store: Store, workers: int, ray: str | None, share: float, plan: SweepPlan) -> Engine:
    if ray is not None:
        from explorer.sweep.ray import Cluster

        return Cluster(store, ray, plan, share)
    return Here(store) if workers == 1 else Processes(store, workers)


def work_off(store: Store, engine: Engine, waiting: Sequence[Unit], begun: SweepProgress, told: Told | None) -> None:
    """Measure units until none is left, and tell after each."""
    by_key = {one.key: one for one in waiting}
    queue, attempts, pace = _Queue(waiting), Counter[str](), Pace(store.read_note(PROGRESS), waiting)
    start, now, noted = time.monotonic(), begun, 0.0
    under_way: set[str] = set()
    while queue or under_way:
        for worker, warm in engine.idle().items():
            unit = queue.take(warm)
            if unit is None:
                break
            under_way.add(unit.key)
            engine.give(worker, unit)
        for outcome in engine.outcomes():
            unit = by_key[outcome.key]
            under_way.discard(outcome.key)
            if outcome.error:
                attempts[outcome.key] += 1
                if attempts[outcome.key] < ATTEMPTS:
                    queue.again(unit)
                    continue
                store.fail(unit, outcome.error, attempts[outcome.key])
                pace.drop(unit)
                now = dataclasses.replace(now, failed=now.failed + 1)
            else:
                pace.drop(unit)
                pace.add(unit, outcome)
                now = dataclasses.replace(now, done=now.done + 1, images=now.images + unit.weight)
            seconds = time.monotonic() - start
            last = not queue and not under_way
            now = dataclasses.replace(
                now,
                seconds=seconds,
                rate=now.images / seconds if seconds else 0.0,
                left=0.0 if last else pace.left(seconds, now.images),
                model=unit.model.name,
                probe=unit.probe.probe,
            )
            if time.monotonic() - noted > _OFTEN or last:
                noted = time.monotonic()
                store.write_note(PROGRESS, {**dataclasses.asdict(now), "at": time.time(), "pace": pace.record()})
            if told is not None:
                told(now)


class _Queue:
    """Units that wait, handed out so that a worker keeps its model as long as there is work for it."""

    def __init__(self, some: Sequence[Unit]) -> None:
        #: Of the models that have units left.
        self._by_model: dict[ModelSpec, deque[Unit]] = {}
        for one in some:
            self.again(one)
        self._taken = Counter[ModelSpec]()

    def __bool__(self) -> bool:
        return bool(self._by_model)

    def take(self, warm: ModelSpec | None) -> Unit | None:
        """A unit of the model that needs no loading; else of one that fewest have, of these the one with most left."""
        left = self._by_model
        if not left:
            return None
        spec = warm if warm in left else min(left, key=lambda one: (self._taken[one], -len(left[one])))
        assert spec is not None
        if spec != warm:
            self._taken[spec] += 1
        unit = left[spec].popleft()
        if not left[spec]:
            del left[spec]
        return unit

    def again(self, unit: Unit) -> None:
        """Take one back, to be tried when all others have been."""
        self._by_model.setdefault(unit.model.spec, deque()).append(unit)


class Pace:
    """How long a picture takes, for each model and probe: what the end is reckoned from.

    Every step of it takes as long however many units there are: sums are kept, of each model and probe and of all.

    Args:
        before: a note of an earlier run, or None.
        waiting: the units that the end waits for.
    """

    def __init__(self, before: Mapping[str, Any] | None = None, waiting: Sequence[Unit] = ()) -> None:
        #: Of each model and probe that was measured: pictures, seconds, bytes; and of all of them.
        self._sums: dict[str, list[float]] = {}
        #: Pictures of each that wait.
        self._waiting = Counter[str]()
        for one in waiting:
            self._waiting[self._name(one)] += one.weight
        known = before.get("pace") if before is not None else None
        if isinstance(known, dict):
            self._sums = {str(name): [float(each) for each in one] for name, one in known.items()}
        self._every = [sum(one[place] for one in self._sums.values()) for place in range(3)]
        #: Pictures that wait and whose pace is not known, and the seconds of the others.
        self._unknown = sum(count for name, count in self._waiting.items() if name not in self._sums)
        self._seconds = sum(self._of(name) for name in self._waiting if name in self._sums)

    def add(self, unit: Unit, outcome: Outcome) -> None:
        """Count a unit that was measured."""
        name = self._name(unit)
        if name in self._sums:
            self._seconds -= self._of(name)
        else:
            self._unknown -= self._waiting[name]
        one = self._sums.setdefault(name, [0.0, 0.0, 0.0])
        for place, value in enumerate((unit.weight, outcome.seconds, outcome.nbytes)):
            one[place] += value
            self._every[place] += value
        self._seconds += self._of(name)

    def drop(self, unit: Unit) -> None:
        """The end waits for a unit no longer."""
        name = self._name(unit)
        self._waiting[name] -= unit.weight
        if name in self._sums:
            self._seconds -= self.expected(unit)[0]
        else:
            self._unknown -= unit.weight

    def knows(self, unit: Unit) -> bool:
        """Whether units of its model and probe were measured."""
        return self._name(unit) in self._sums

    def expected(self, unit: Unit) -> tuple[float, float]:
        """Seconds and bytes of a unit; of a model and probe that were not measured, as of the others on average."""
        images, seconds, nbytes = self._sums.get(self._name(unit), self._every)
        return (unit.weight * seconds / images, unit.weight * nbytes / images) if images else (0.0, 0.0)

    def left(self, seconds: float, images: int) -> float | None:
        """Seconds until the end: the work that is left, as fast as the work of this run was done.

        Args:
            seconds: since this run began.
            images: pictures that it has shown.
        """
        every, spent, _ = self._every
        if not images or not spent:
            return None
        work = self._seconds + self._unknown * spent / every
        # Several workers do more than a second's work in a second; loading models is in it too.
        return max(0.0, work) * seconds / (spent * images / every)

    def record(self) -> dict[str, list[float]]:
        """As plain values."""
        return self._sums

    def _of(self, name: str) -> float:
        """Seconds that the pictures of a model and probe that was measured wait for."""
        images, seconds, _ = self._sums[name]
        return self._waiting[name] * seconds / images if images else 0.0

    @staticmethod
    def _name(unit: Unit) -> str:
        return f"{unit.model.name} {unit.probe.probe}"


@dataclass(frozen=True)
class SweepEstimate:
    """What a plan would take.

    Attributes:
        units: how many there are.
        done: of them, those whose rows are there.
        images: pictures to be shown, each once a model and probe.
        seconds: of one worker.
        nbytes: of rows.
        tried: pictures that the reckoning was tried on, of each model and probe that was not measured before.
        whole: probes that cannot be measured in parts: each is one unit.
        refused: "MODEL PROBE" -> why it cannot be measured.
    """

    units: int
    done: int
    images: int
    seconds: float
    nbytes: float
    tried: int
    whole: tuple[str, ...]
    refused: Mapping[str, str]


def estimate(
    plan: SweepPlan, out: str | Path, pictures: int = 4, progress: Callable[[float], None] | None = None
) -> SweepEstimate:
    """What would a plan take? Measures a few pictures of each model and probe, and writes nothing.

    Args:
        plan: the plan.
        out: the sweep's folder, which need not be there.
        pictures: how many are tried, where the folder does not know.
        progress: told the share done, 0 to 1.

    Raises ParameterError.
    """
    choose_device(plan.device)
    todo, store = units(plan), Store(out)
    done = set(store.done([one.key for one in todo]))
    rest = [one for one in todo if one.key not in done]
    pace, station, refused = Pace(store.read_note(PROGRESS)), Station(None), dict[str, str]()
    first = {(one.model.name, one.probe.probe, one.data.name): one for one in reversed(rest)}
    fresh = [one for one in reversed(first.values()) if not pace.knows(one)]
    for number, unit in enumerate(fresh):
        few = dataclasses.replace(
            unit,
            data=dataclasses.replace(unit.data, scenes=min(unit.data.scenes, pictures)),
            shard=dataclasses.replace(
                unit.shard, count=min(pictures, unit.shard.count), files=unit.shard.files[:pictures]
            ),
        )
        outcome = station.do(few)
        if outcome.error:
            refused[f"{unit.model.name} {unit.probe.probe}"] = outcome.error
        else:
            # A probe that reads its folder itself was shown all of it.
            pace.add(unit if unit.shard.count and unit.data.images and not unit.shard.files else few, outcome)
        if progress is not None:
            progress((number + 1) / len(fresh))
    expected = [pace.expected(one) for one in rest]
    kinds = [(PROBES[one.probe.probe], one) for one in todo]
    whole = dict.fromkeys(one.probe.probe for kind, one in kinds if kind.looks and not divides(kind, one.data))
    return SweepEstimate(
        len(todo),
        len(todo) - len(rest),
        sum(one.shard.count for one in rest),
        sum(one[0] for one in expected),
        sum(one[1] for one in expected),
        pictures if fresh else 0,
        tuple(whole),
        refused,
    )
