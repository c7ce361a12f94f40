"""What all sessions share: live models, what they answered, and the turn to compute."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import gradio as gr
import torch

from explorer.cache import Bounded
from explorer.comparison.compare import Side, look, seen, target_of, view
from explorer.comparison.result import ModelView
from explorer.errors import BusyError, ExplorerError, ModelError
from explorer.geometry import Point
from explorer.messages import Message
from explorer.models.device import choose_device, out_of_memory
from explorer.models.model import Model
from explorer.models.sizes import Limits
from explorer.models.spec import HeadKind, ModelSpec
from explorer.models.store import ModelStore
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.ui.brought import Sets
from explorer.ui.controls import is_offered, parse_spec
from explorer.ui.fitted import Files, split
from explorer.ui.request import Failure, Request
from explorer.ui.upload import Own
from explorer.ui.worker import BUSY, task

log = logging.getLogger(__name__)

#: Bytes of answers kept for all sessions together.
ANSWERS_BYTES = 512 * 2**20
#: Bytes of pictures kept as models are given them: a step of a drag moves what is kept, however large the file was.
INPUTS_BYTES = 64 * 2**20
#: The largest model that a visitor may ask for: some ten seconds a picture on two processor cores.
LARGEST = Limits(multiply_adds=500 * 10**9)
#: Forward passes at once. One uses every core already; more only make each slower.
COMPUTING = 1
#: Inputs up to this side, px, are computed on one thread.
SMALL_SIDE = 64
#: Seconds a request waits for its turn to compute before it is told to come back, and for the memory of its models.
PATIENCE = 90.0
PATIENCE_FOR_MEMORY = 10.0

Made = TypeVar("Made")

_STILL = Transform()


@dataclass(frozen=True)
class Answers:
    """Live models and answers, both bounded, and the turn to compute.

    Attributes:
        folders: whether any ``local-dir:`` folder of this machine may be named.
        named: specs given at launch; everyone may ask for them, for a folder or a private repository among them too.
        device: where models run, or None to choose.
        hub_token: whether other models are looked up on the hub with this machine's token, or as by somebody unknown.
        heads: text of a model -> what its outputs are, where the host said so.
    """

    folders: bool
    named: tuple[str, ...] = ()
    device: str | None = None
    hub_token: bool = False
    heads: Mapping[str, HeadKind] = field(default_factory=dict)
    models: ModelStore = field(default_factory=lambda: ModelStore(limits=LARGEST))
    sides: Bounded[Hashable, Side] = field(default_factory=lambda: Bounded(ANSWERS_BYTES, lambda side: side.nbytes))
    inputs: Bounded[Hashable, torch.Tensor] = field(
        default_factory=lambda: Bounded(INPUTS_BYTES, lambda shown: shown.numel() * shown.element_size())
    )
    files: Files = field(default_factory=Files)
    own: Own = field(default_factory=Own)
    sets: Sets = field(default_factory=Sets)
    turn: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(COMPUTING))

    def model(self, text: str) -> Model | Failure:
        """Return the live model of a text, or why there is none."""
        return self.several([text])[0]

    def several(self, texts: Sequence[str]) -> list[Model | Failure]:
        """Return the live models of a request's texts, or why there is none; they are alive as long as they are held.

        Only those who ask for a model wait for its loading.
        """
        found: dict[int, Model | Failure | Exception] = {}
        specs: dict[int, ModelSpec] = {}
        for place, text in enumerate(texts):
            try:
                specs[place] = self._spec(text)
            except ExplorerError as error:
                found[place] = error
        who = task().visitor or None
        tokens = [self._token(spec) for spec in specs.values()]
        got = self.models.all([*specs.values()], self.device, tokens, who, PATIENCE_FOR_MEMORY, task().check)
        found |= dict(zip(specs, got))
        return [self._had(text, found[place], specs.get(place)) for place, text in enumerate(texts)]

    def _spec(self, text: str) -> ModelSpec:
        name, digest = split(text)
        spec = replace(parse_spec(name, self.folders, self.named), head=self.heads.get(name))
        return self.files.spec(spec, digest) if digest else spec

    def _token(self, spec: ModelSpec) -> bool | None:
        """False where the hub is asked as by somebody unknown."""
        return None if self.hub_token or is_offered(spec, self.named) else False

    def _had(self, text: str, found: Model | Failure | Exception, spec: ModelSpec | None) -> Model | Failure:
        """A model, or why there is none; what did not fit into the memory is tried once more when it is empty."""
        failures = [found] if isinstance(found, Exception) else []

        def have() -> Model | Failure:
            if failures:
                raise failures.pop()
            if not isinstance(found, Exception):
                return found
            assert spec is not None  # only loading can run out of memory
            return self.models.get(spec, self.device, self._token(spec))

        try:
            return self._fitting(have, choose_device(self.device))
        except ExplorerError as error:
            return Failure(text, error.message)
        except Exception:
            log.exception("loading %s", text)
            return Failure(text, Message("could not be loaded; the server's log says why"))

    def view(
        self,
        model: Model,
        request: Request,
        method: str | None,
        progress: Callable[[float], None] | None = None,
    ) -> ModelView | Failure:
        """Return one model's view, each half kept from before or computed now.

        The half before the move is the same at every step of a drag: a step costs one picture, not two.
        Raises gr.Error where its turn to compute did not come.
        """
        move = request.on(model.input_size)
        halves = 1 if move.is_identity else 2

        def part(number: int) -> Callable[[float], None] | None:
            return None if progress is None else lambda share: progress((number + share) / halves)

        try:
            before = after = self._side(model, request, _STILL, method, None, part(0))
            if halves == 2:
                after = self._side(model, request, move, method, target_of(before), part(1))
        except BusyError as error:
            raise gr.Error(error.message, title=BUSY, print_exception=False) from error
        except ExplorerError as error:
            return Failure(str(model.spec), error.message)
        except Exception:
            log.exception("asking %s", model.spec)
            return Failure(str(model.spec), Message("failed on this picture; the server's log says why"))
        height, width = model.input_size
        query, *further = (Point(pin.x * width, pin.y * height) for pin in request.view.queries)
        return view(model, request.source, move, before, after, query, request.view.pin, further)

    def logits(self, model: Model, pictures: torch.Tensor) -> torch.Tensor:
        """Return a model's logits (B, classes) of pictures (B, 3, H, W) in 0..1, on the CPU; waits for its turn."""

        def make() -> torch.Tensor:
            with self.turn_to_compute(), _threads(model), model.lock, torch.inference_mode():
                return model.logits(pictures.to(model.device)).cpu()

        return self._fitting(make, model.device)

    def has(self, model: Model, request: Request) -> bool:
        """Whether both halves of an answer are kept."""
        moves = {_STILL, request.on(model.input_size)}
        return all(_name(model, request, move, request.view.method) in self.sides for move in moves)

    def _side(
        self,
        model: Model,
        request: Request,
        move: Transform,
        method: str | None,
        target: int | str | None,
        progress: Callable[[float], None] | None,
    ) -> Side:
        def make() -> Side:
            with self.turn_to_compute(), _threads(model):
                chosen: dict[str, Any] = dict(request.view.parameters) if method else {}
                return self._fitting(
                    lambda: look(model, self._shown(model, request), move, method, target, progress, **chosen),
                    model.device,
                )

        return self.sides.get(_name(model, request, move, method), make)

    def _shown(self, model: Model, request: Request) -> torch.Tensor | Scene:
        """A picture at the model's input size before it is moved; a scene is rendered anew at every step."""
        if isinstance(request.source, Scene):
            return request.source
        return self.inputs.get((_loaded(model), request.picture), lambda: seen(model, request.source))

    def _fitting(self, make: Callable[[], Made], device: torch.device) -> Made:
        """Make something; where the memory does not suffice, forget all that is kept and try once more.

        Raises ModelError where it does not suffice then either.
        """
        try:
            return make()
        except Exception as error:
            if not _out_of_memory(error):
                raise
        # Outside of the handler: the error's frames hold what has to go.
        self._forget(device)
        try:
            return make()
        except Exception as error:
            if not _out_of_memory(error):
                raise
            raise ModelError(
                Message(
                    "the memory of {device} does not suffice for this model; show fewer models, take one of a smaller "
                    "input size, or start the explorer with another --device",
                    device=device,
                )
            ) from error

    def _forget(self, device: torch.device) -> None:
        log.warning("out of memory on %s; all that was kept is forgotten", device)
        self.sides.clear()
        self.inputs.clear()
        self.models.clear()
        gc.collect()
        if device.type in ("cuda", "mps"):
            getattr(torch, device.type).empty_cache()

    @contextmanager
    def turn_to_compute(self) -> Iterator[None]:
        """Wait for the turn, and have it; raises BusyError where it does not come, Cancelled where nobody waits."""
        deadline = time.monotonic() + PATIENCE
        while not self.turn.acquire(timeout=0.25):
            task().check()
            if time.monotonic() > deadline:
                raise BusyError(Message("Many are asking at once; ask again in a moment."))
        try:
            task().check()
            yield
        finally:
            self.turn.release()


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that the memory did not suffice."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and out_of_memory(error)):
            return True
        error = error.__cause__
    return False


@contextmanager
def _threads(model: Model) -> Iterator[None]:
    """One thread for a network so small that a second one costs twice the processor and saves no time."""
    before = torch.get_num_threads()
    few = model.device.type == "cpu" and max(model.input_size) <= SMALL_SIDE
    if few:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if few:
            torch.set_num_threads(before)


def _name(model: Model, request: Request, move: Transform, method: str | None) -> Hashable:
    """What an answer depends on; the class explained follows from these, as the page asks for no other."""
    return (
        _loaded(model),
        request.picture,
        move,
        method,
        tuple(sorted(request.view.parameters.items())) if method else (),
    )


def _loaded(model: Model) -> Hashable:
    """Tells a live model from others: two loads of one spec by device and bytes; weights of one spec never change."""
    return (repr(model.spec), str(model.device), model.nbytes)
