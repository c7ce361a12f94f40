"""Measure on the machines of a Ray cluster: an actor a worker, each with a model that stays warm."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.sweep.plan import SweepPlan
from explorer.sweep.store import Store
from explorer.sweep.units import Unit
from explorer.sweep.work import Outcome, Station

#: Seconds that are waited at a time for something to be known.
_MOMENT = 1.0
#: Seconds in which a cluster has to answer.
_REACH = 10.0
#: How often a worker that cannot begin is asked for.
_TRIES = 3


class Cluster:
    """Measures by as many actors as the cluster has room for; one whose machine is lost is begun anew elsewhere.

    Pictures are read and rows written by the actors, so that both have to lie where every machine finds them by the
    same path or address.

    Args:
        store: where rows go.
        address: of the cluster, "auto" or "HOST:PORT"; one that this process has joined already is used as it is.
        plan: says how many threads a worker has, and whether it needs a GPU.
        share: of a GPU, for each worker that needs one.

    Raises ParameterError where Ray is not installed, no cluster answers, or it has no room for a single worker.
    """

    def __init__(self, store: Store, address: str, plan: SweepPlan, share: float = 1.0) -> None:
        # Its machines have the explorer: Ray would else send them this folder, where `uv run` began this process.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        try:
            import ray
        except ImportError:
            raise ParameterError(
                Message("Ray is not installed; install it with: pip install 'attention-explorer[ray]'")
            ) from None
        if not 0 < share <= 1:
            raise ParameterError(Message("gpu_share lies above 0 and goes to 1, got {share}", share=share))
        self._ray: Any = ray
        self._joined = not ray.is_initialized()
        if self._joined:
            try:
                _check(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, ValueError, RuntimeError) as error:
                raise ParameterError(
                    Message("no Ray cluster answers at '{address}': {error}", address=address, error=error)
                ) from error
        on_gpu = plan.device.startswith("cuda")
        # A worker is on one machine, whatever all of them have together.
        room = [one["Resources"] for one in ray.nodes() if one["Alive"]]
        resource, need = ("GPU", share) if on_gpu else ("CPU", float(plan.threads))
        count = sum(int(one.get(resource, 0) / need + 1e-9) for one in room)
        if count < 1:
            self._leave()
            what = Message("a GPU") if on_gpu else Message("{threads} CPUs", threads=plan.threads)
            raise ParameterError(Message("the Ray cluster has no machine with {what} for a worker", what=what))
        needs: dict[str, Any] = {"num_cpus": plan.threads, **({"num_gpus": share} if on_gpu else {})}
        actor = ray.remote(Bench).options(max_restarts=-1, max_task_retries=0, **needs)
        self._actors: list[Any] = [actor.remote(str(store.address)) for _ in range(count)]
        #: What each actor was asked: whether it is there, or for a unit.
        self._asked: dict[Any, int] = {one.there.remote(): number for number, one in enumerate(self._actors)}
        self._failures = Counter[int]()
        self._units: dict[int, Unit] = {}
        self._warm: dict[int, ModelSpec | None] = {}

    def idle(self) -> dict[int, ModelSpec | None]:
        return {number: spec for number, spec in self._warm.items() if number not in self._units}

    def give(self, worker: int, unit: Unit) -> None:
        self._warm[worker] = unit.model.spec
        self._units[worker] = unit
        self._asked[self._actors[worker].do.remote(unit)] = worker

    def outcomes(self) -> Iterator[Outcome]:
        if not self._asked:
            return
        ready, _ = self._ray.wait(list(self._asked), timeout=_MOMENT)
        for one in ready:
            number = self._asked.pop(one)
            unit = self._units.pop(number, None)
            try:
                found = self._ray.get(one)
            except self._ray.exceptions.RayError as error:
                self._again(number, error)
                if unit is not None:
                    yield Outcome(unit.key, f"the machine or process that measured it was lost: {_first(error)}")
                continue
            if unit is None:
                self._warm[number] = None
                self._failures.pop(number, None)
            else:
                yield found

    def _again(self, number: int, error: Exception) -> None:
        """Ask whether a worker that was lost is there again; nothing is given to it until it answers.

        Raises ParameterError where no worker can begin at all.
        """
        self._warm.pop(number, None)
        if isinstance(error, self._ray.exceptions.ActorUnavailableError):
            time.sleep(_MOMENT)  # it is being moved to another machine
        else:
            self._failures[number] += 1
        if self._failures[number] < _TRIES:
            self._asked[self._actors[number].there.remote()] = number
        elif not self._asked and not self._warm:
            raise ParameterError(
                Message(
                    "no worker of the Ray cluster can begin ({error}); is the explorer installed on its machines?",
                    error=_first(error),
                )
            )

    def end(self) -> None:
        for one in self._actors:
            self._ray.kill(one)
        self._leave()

    def _leave(self) -> None:
        if self._joined:
            self._ray.shutdown()


class Bench:
    """What an actor is: a station that measures units.

    Args:
        address: of the sweep's folder.
    """

    def __init__(self, address: str) -> None:
        self._station = Station(Store(address))

    def there(self) -> bool:
        """Answers once the actor runs."""
        return True

    def do(self, unit: Unit) -> Outcome:
        """Measure a unit."""
        return self._station.do(unit)


def _check(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT: Ray would try for many minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
