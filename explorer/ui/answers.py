"""What all sessions share: live models, what they answered, and the turn to compute."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import gradio as gr
import torch

from explorer.cache import Bounded
from explorer.compare import Side, look, target_of, view
from explorer.errors import BusyError, ExplorerError, ModelError
from explorer.models import Model, ModelStore, choose_device, out_of_memory
from explorer.transforms import Transform
from explorer.types import ModelView, Point
from explorer.ui.controls import Question, is_offered, parse_spec
from explorer.ui.fitted import Files, split
from explorer.ui.moved import Moved
from explorer.ui.payload import Failure
from explorer.ui.upload import Own

log = logging.getLogger(__name__)

#: Bytes of live models, and of answers, kept for all sessions together.
MODELS_BYTES = 4 * 2**30
ANSWERS_BYTES = 512 * 2**20
#: Forward passes at once. One uses every core already; more only make each slower.
COMPUTING = 1
#: Inputs up to this side, px, are computed on one thread.
SMALL_SIDE = 64
#: Seconds a request waits for its turn to compute before it is told to come back.
PATIENCE = 90.0
#: Title of the message of a turn that did not come; by it assets/web/net.js knows that it has to ask again.
BUSY = "Busy"

Made = TypeVar("Made")

_STILL = Transform()


class Cancelled(Exception):
    """Raised inside a computation that nobody waits for any more."""


@dataclass(frozen=True)
class Answers:
    """Live models and answers, both bounded, and the turn to compute.

    Attributes:
        folders: whether any ``local-dir:`` folder of this machine may be named.
        named: specs given at launch; everyone may ask for them, for a folder or a private repository among them too.
        device: where models run, or None to choose.
        hub_token: whether other models are looked up on the hub with this machine's token, or as by somebody unknown.
    """

    folders: bool
    named: tuple[str, ...] = ()
    device: str | None = None
    hub_token: bool = False
    models: ModelStore = field(default_factory=lambda: ModelStore(MODELS_BYTES))
    sides: Bounded[Hashable, Side] = field(default_factory=lambda: Bounded(ANSWERS_BYTES, lambda side: side.nbytes))
    files: Files = field(default_factory=Files)
    own: Own = field(default_factory=Own)
    turn: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(COMPUTING))

    def model(self, text: str) -> Model | Failure:
        """Return the live model of a text, or why there is none. Only those who ask for it wait for its loading."""
        name, digest = split(text)
        try:
            spec = parse_spec(name, self.folders, self.named)
            spec = self.files.spec(spec, digest) if digest else spec
            token = None if self.hub_token or is_offered(spec, self.named) else False
            return self._fitting(lambda: self.models.get(spec, self.device, token), choose_device(self.device))
        except ExplorerError as error:
            return Failure(text, str(error))
        except Exception:
            log.exception("loading %s", text)
            return Failure(text, "could not be loaded; the server's log says why")

    def view(
        self,
        model: Model,
        moved: Moved,
        question: Question,
        method: str | None,
        progress: Callable[[float], None] | None = None,
    ) -> ModelView | Failure:
        """Return one model's view, each half kept from before or computed now.

        The half before the move is the same at every step of a drag: a step costs one picture, not two.
        Raises gr.Error where its turn to compute did not come.
        """
        move = moved.on(model.input_size)
        halves = 1 if move.is_identity else 2

        def part(number: int) -> Callable[[float], None] | None:
            return None if progress is None else lambda share: progress((number + share) / halves)

        try:
            before = after = self._side(model, moved, _STILL, question, method, None, part(0))
            if halves == 2:
                after = self._side(model, moved, move, question, method, target_of(before), part(1))
        except BusyError as error:
            raise gr.Error(f"{error}.", title=BUSY, print_exception=False) from error
        except ExplorerError as error:
            return Failure(str(model.spec), str(error))
        except Cancelled:
            raise
        except Exception:
            log.exception("asking %s", model.spec)
            return Failure(str(model.spec), "failed on this picture; the server's log says why")
        height, width = model.input_size
        query, *further = (Point(pin.x * width, pin.y * height) for pin in question.pins)
        return view(model, moved.source, move, before, after, query, question.pin, further)

    def has(self, model: Model, moved: Moved, question: Question) -> bool:
        """Whether both halves of an answer are kept."""
        moves = {_STILL, moved.on(model.input_size)}
        return all(_name(model, moved, move, question, question.method) in self.sides for move in moves)

    def _side(
        self,
        model: Model,
        moved: Moved,
        move: Transform,
        question: Question,
        method: str | None,
        target: int | None,
        progress: Callable[[float], None] | None,
    ) -> Side:
        def make() -> Side:
            with self._turn(progress), _threads(model):
                chosen: dict[str, Any] = dict(question.parameters) if method else {}
                return self._fitting(
                    lambda: look(model, moved.source, move, method, target, progress, **chosen), model.device
                )

        return self.sides.get(_name(model, moved, move, question, method), make)

    def _fitting(self, make: Callable[[], Made], device: torch.device) -> Made:
        """Make something; where the memory does not suffice, forget all that is kept and try once more.

        Raises ModelError where it does not suffice then either.
        """
        try:
            return make()
        except Exception as error:
            if not _out_of_memory(error):
                raise
            log.warning("out of memory on %s; all that was kept is forgotten", device)
        # Outside of the handler: the error's frames hold what has to go.
        self.sides.clear()
        self.models.clear()
        gc.collect()
        if device.type in ("cuda", "mps"):
            getattr(torch, device.type).empty_cache()
        try:
            return make()
        except Exception as error:
            if not _out_of_memory(error):
                raise
            raise ModelError(
                f"the memory of {device} does not suffice for this model; show fewer models, take one of a smaller "
                "input size, or start the explorer with another --device"
            ) from error

    @contextmanager
    def _turn(self, progress: Callable[[float], None] | None) -> Iterator[None]:
        waited = 0.0
        while not self.turn.acquire(timeout=0.25):
            waited += 0.25
            if progress is not None:
                progress(0.0)  # a cancelled request must not wait for its turn
            elif waited >= PATIENCE:
                raise BusyError("Many are asking at once; ask again in a moment")
        try:
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


def _name(model: Model, moved: Moved, move: Transform, question: Question, method: str | None) -> Hashable:
    """What an answer depends on; the class explained follows from these, as the page asks for no other.

    Two loads of one spec are told apart by device and bytes; weights of one spec never change.
    """
    loaded = (repr(model.spec), str(model.device), model.nbytes)
    return (loaded, moved.key, move, method, question.parameters if method else ())
