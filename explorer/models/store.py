"""Live models that fit the memory: bytes are reserved before a model is loaded, and given back when it is gone."""

from __future__ import annotations

import gc
import os
import threading
import time
import traceback
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from pathlib import Path

import torch

from explorer.errors import BusyError, ModelError
from explorer.messages import Message, listed
from explorer.models.device import choose_device
from explorer.models.loading import fingerprint_of, load, size_of
from explorer.models.model import Model
from explorer.models.sizes import Limits, gib
from explorer.models.spec import ModelSpec

#: Share of the memory there is that models may take; the rest is for pictures, answers and one model's loading.
SHARE = 0.5
#: Seconds for which what a visitor asked for last is not given up for another's models: two who take turns would
#: otherwise load each other's models away at every step.
LOOKED_AT = 60.0
#: Seconds between two looks whether somebody still waits.
_LOOK = 0.25


def room(device: torch.device) -> int:
    """Bytes that live models may take on a device: half of its memory, or of what this process may have of it."""
    if device.type == "cuda":
        return int(SHARE * torch.cuda.get_device_properties(device).total_memory)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 * 2**30
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # a container's own bound, cgroup 2 and 1
        try:
            said = (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if said.isdecimal():
            whole = min(whole, int(said))
    return int(SHARE * whole)


@dataclass(frozen=True)
class _Wanted:
    """One model of a request."""

    key: str
    spec: ModelSpec
    token: bool | None
    nbytes: int


class _Abandoned(Exception):
    """Whoever was to load a model is gone; those who waited for it have to load it themselves."""


class ModelStore:
    """Keep live models; all that are alive, or being loaded, never take more than the bound.

    A model counts until nobody holds it any more, not just until the store forgets it. The same spec asked for twice
    at once loads once. What nobody holds and nobody looks at goes first, the least recently used before others.

    Args:
        max_bytes: the bound on parameters and buffers together; half of the device's memory if None.
        limits: the largest single model; a model is never larger than the bound.
    """

    def __init__(self, max_bytes: int | None = None, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._max_bytes, self._limits = max_bytes, limits
        self._changed = threading.Condition(threading.RLock())
        self._kept: OrderedDict[str, Model] = OrderedDict()
        self._seen: dict[str, weakref.ref[Model]] = {}
        self._loading: dict[str, Future[Model]] = {}
        self._reserved: dict[str, int] = {}
        self._alive: dict[int, int] = {}
        self._looked_at: dict[Hashable, tuple[float, frozenset[str]]] = {}
        #: Only one model is loaded at a time: while it is, its file's bytes are in memory too.
        self._turn = threading.Lock()

    def get(self, spec: ModelSpec | str, device: str | None = None, token: bool | None = None) -> Model:
        """Return the model of a spec, loaded now or before; raises what ``all`` answers it by."""
        (found,) = self.all([spec], device, [token])
        if isinstance(found, Exception):
            raise found
        return found

    def all(
        self,
        specs: Sequence[ModelSpec | str],
        device: str | None = None,
        tokens: Sequence[bool | None] = (),
        visitor: Hashable = None,
        patience: float = 0.0,
        waited_for: Callable[[], None] = lambda: None,
    ) -> list[Model | Exception]:
        """Return the models of a request, each loaded now or before, or why there is none.

        They are taken together: no request holds some of its models while it waits for the memory of others.

        Args:
            specs: of the models.
            device: where they run, or None to choose.
            tokens: as for `load`, one a model; what was loaded with this machine's token is not given to who asks
                without it.
            visitor: who asks; what they asked for last is not given up for others for `LOOKED_AT` seconds.
            patience: seconds to wait for memory that others have.
            waited_for: called again and again; what it raises ends the waiting and is raised here.

        A model that does not fit is answered by a ModelError, or by a BusyError where it would fit if others had gone;
        one that cannot be loaded by the error of `load`, or by whatever went wrong.
        """
        where = choose_device(device)
        bound = room(where) if self._max_bytes is None else self._max_bytes
        answers: list[Model | Exception | None] = [None] * len(specs)
        wanted: list[_Wanted | None] = []
        for place, (given, token) in enumerate(zip(specs, tokens or [None] * len(specs))):
            waited_for()
            try:
                wanted.append(self._wanted(given, token, where, bound))
            except Exception as error:
                wanted.append(None)
                answers[place] = error
        fitting: list[_Wanted] = []
        for place, one in enumerate(wanted):
            if one is None:
                continue
            before = {other.key: other for other in fitting if other.key != one.key}
            taken = sum(other.nbytes for other in before.values())
            if taken + one.nbytes > bound:
                answers[place] = ModelError(_beside(one, list(before.values()), bound))
            else:
                fitting.append(one)
        live, coming, lacking = self._reserve(fitting, visitor, bound, patience, waited_for)
        reserved = [one for one in fitting if not any(one.key in has for has in (live, coming, lacking))]
        try:
            for place, one in enumerate(wanted):
                if one is not None and answers[place] is None:
                    found = lacking.get(one.key) or self._have(one, live, coming, str(where), waited_for)
                    answers[place] = found
                    if isinstance(found, Exception):
                        lacking[one.key] = found
        finally:
            for one in reserved:
                self._end(one.key, None, _Abandoned())
        return [one for one in answers if one is not None]

    def clear(self) -> None:
        """Forget the models kept now; who holds one keeps it, and it counts until it is gone."""
        with self._changed:
            self._kept.clear()
            self._looked_at.clear()
            self._changed.notify_all()

    @property
    def nbytes(self) -> int:
        """Bytes of the models that are alive, and of those being loaded."""
        with self._changed:
            return sum(self._alive.values()) + sum(self._reserved.values())

    def __len__(self) -> int:
        return len(self._kept)

    # ---- one request

    def _wanted(self, given: ModelSpec | str, token: bool | None, where: torch.device, bound: int) -> _Wanted:
        spec = ModelSpec.parse(given) if isinstance(given, str) else given
        key = f"{spec!r} {fingerprint_of(spec)} {where} {token}"
        with self._changed:
            known = self._find(key)
        if known is not None:
            return _Wanted(key, spec, token, known.nbytes)
        size = size_of(spec, token, self._limits)
        self._limits.check(spec, size)
        if size.nbytes > bound:
            raise ModelError(
                Message(
                    "'{spec}' takes {size}, and there is room for {room} of models: take one of up to {room}",
                    spec=spec,
                    size=gib(size.nbytes),
                    room=gib(bound),
                )
            )
        return _Wanted(key, spec, token, size.nbytes)

    def _find(self, key: str) -> Model | None:
        """A model that is alive, kept again where somebody else held it."""
        model = self._kept.get(key) or (self._seen[key]() if key in self._seen else None)
        if model is not None:
            self._kept[key] = model
            self._kept.move_to_end(key)
        return model

    def _reserve(
        self, wanted: Sequence[_Wanted], visitor: Hashable, bound: int, patience: float, waited_for: Callable[[], None]
    ) -> tuple[dict[str, Model], dict[str, Future[Model]], dict[str, Exception]]:
        """Take what is alive or on its way, and reserve the bytes of the rest: all of it or nothing.

        Returns the live ones by key; those on their way, to be waited for; and why others cannot be had.
        """
        deadline = time.monotonic() + patience
        keys = frozenset(one.key for one in wanted)
        with self._changed:
            if visitor is not None:
                self._looked_at[visitor] = (time.monotonic(), keys)
            first = True
            while True:
                waited_for()
                live = {one.key: model for one in wanted if (model := self._find(one.key)) is not None}
                coming = {key: future for key, future in self._loading.items() if key in keys}
                rest = {one.key: one for one in wanted if one.key not in live and one.key not in coming}
                need = sum(one.nbytes for one in rest.values())
                if not need or self._make_room(need, keys, visitor, bound, first):
                    for key, one in rest.items():
                        self._reserved[key] = one.nbytes
                        self._loading[key] = Future()
                    return live, coming, {}
                if time.monotonic() >= deadline:
                    return live, coming, {key: BusyError(_taken(one, bound)) for key, one in rest.items()}
                first = False
                self._changed.wait(min(_LOOK, max(0.0, deadline - time.monotonic())))

    def _make_room(self, need: int, keys: frozenset[str], visitor: Hashable, bound: int, first: bool) -> bool:
        """Give up what nobody holds or looks at, the least recently used first, until ``need`` bytes are free."""
        if self.nbytes + need <= bound:
            return True
        now = time.monotonic()
        self._looked_at = {who: look for who, look in self._looked_at.items() if now - look[0] < LOOKED_AT}
        looked_at = {key for who, (_, theirs) in self._looked_at.items() if who != visitor for key in theirs}
        for key in [key for key in self._kept if key not in keys and key not in looked_at]:
            model = self._kept.pop(key)
            left = weakref.ref(model)
            del model
            if (held := left()) is not None:  # somebody works with it: it would count all the same
                self._kept[key] = held
                self._kept.move_to_end(key, last=False)
                del held
                continue
            if self.nbytes + need <= bound:
                return True
        if first:
            gc.collect()  # a network that refers to itself goes only now
        return self.nbytes + need <= bound

    def _have(
        self,
        one: _Wanted,
        live: dict[str, Model],
        coming: dict[str, Future[Model]],
        device: str,
        waited_for: Callable[[], None],
    ) -> Model | Exception:
        """The model of a request whose bytes are there: alive, on its way, or loaded now."""
        if one.key in live:
            return live[one.key]
        try:
            if one.key not in coming:
                live[one.key] = self._load(one, device, waited_for)
                return live[one.key]
            while True:
                try:
                    return coming[one.key].result(_LOOK)
                except NotYet:
                    waited_for()
        except _Abandoned:
            return self.all([one.spec], device, [one.token], waited_for=waited_for)[0]
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold what was loaded so far
            return error

    def _load(self, one: _Wanted, device: str, waited_for: Callable[[], None]) -> Model:
        while not self._turn.acquire(timeout=_LOOK):
            waited_for()
        try:
            waited_for()
            model = load(one.spec, device, one.token, self._limits)
        except Exception as error:
            self._end(one.key, None, error)
            raise
        finally:
            self._turn.release()
        self._end(one.key, model, None)
        return model

    def _end(self, key: str, model: Model | None, error: Exception | None) -> None:
        """Turn a reservation into what the model really takes, or give it back; does nothing where that was done."""
        with self._changed:
            self._reserved.pop(key, None)
            future = self._loading.pop(key, None)
            if model is not None:
                self._kept[key] = model
                self._seen = {other: ref for other, ref in self._seen.items() if ref() is not None}
                self._seen[key] = weakref.ref(model)
                self._alive[id(model.module)] = model.nbytes
                weakref.finalize(model.module, self._gone, id(model.module)).atexit = False
            self._changed.notify_all()
        if future is not None and model is not None:
            future.set_result(model)
        elif future is not None:
            future.set_exception(error or _Abandoned())

    def _gone(self, number: int) -> None:
        # Runs wherever the last reference goes, perhaps while this thread holds the lock: hence a reentrant one.
        with self._changed:
            self._alive.pop(number, None)
            self._changed.notify_all()


def _beside(one: _Wanted, others: Sequence[_Wanted], bound: int) -> str:
    names = listed([f"'{other.spec}' ({gib(other.nbytes)})" for other in others], "{first} and {rest}")
    left = bound - sum(other.nbytes for other in others)
    fits = Message("up to {left} fit", left=gib(left)) if left > 0 else Message("no other fits")
    return Message(
        "'{spec}' takes {nbytes} and does not fit beside {names} into the {bound} that there are for models; "
        "beside these, {fits}. Take one of them out",
        spec=one.spec,
        nbytes=gib(one.nbytes),
        names=names,
        bound=gib(bound),
        fits=fits,
    )


def _taken(one: _Wanted, bound: int) -> str:
    return Message(
        "'{spec}' takes {nbytes}, and others are using so much of the {bound} that there are for models that "
        "it does not fit now; ask again in a minute, or take a smaller one",
        spec=one.spec,
        nbytes=gib(one.nbytes),
        bound=gib(bound),
    )
