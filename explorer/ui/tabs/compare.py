"""The first tab: one picture, one move, several models side by side."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
from PIL.Image import Image

from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.cache import Bounded
from explorer.compare import compare
from explorer.errors import BusyError, ExplorerError
from explorer.figures import DIVERGING, MODEL_COLOURS, SEQUENTIAL
from explorer.images import alt_text, samples
from explorer.models import Model, ModelStore
from explorer.transforms import Transform
from explorer.types import ModelView
from explorer.ui import payload
from explorer.ui.controls import MAX_MODELS, Question, methods, moves, parse_models, parse_question, parse_spec
from explorer.ui.stage import listen, part
from explorer.ui.upload import Picked, pick, picture_input

log = logging.getLogger(__name__)

#: Bytes of live models, and of answers, kept for all sessions together.
MODELS_BYTES = 4 * 2**30
ANSWERS_BYTES = 512 * 2**20
#: Forward passes at once. One uses every core already; more only make each slower.
COMPUTING = 1
#: Seconds a request waits for its turn to compute before it is told to come back.
PATIENCE = 90.0
#: Requests of one kind answered at once: most of them wait for their model or for their turn, not for a processor.
ANSWERING = 16


class Cancelled(Exception):
    """Raised inside a computation that nobody waits for any more."""


@dataclass(frozen=True)
class Answers:
    """What all sessions share: live models and answers, both bounded, and the turn to compute.

    Attributes:
        folders: whether any ``local-dir:`` folder of this machine may be named.
        named: specs given at launch; a folder among them is allowed to everyone.
        device: where models run, or None to choose.
    """

    folders: bool
    named: tuple[str, ...] = ()
    device: str | None = None
    models: ModelStore = field(default_factory=lambda: ModelStore(MODELS_BYTES))
    views: Bounded[Any, ModelView] = field(default_factory=lambda: Bounded(ANSWERS_BYTES, payload.nbytes))
    turn: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(COMPUTING))

    def model(self, text: str) -> Model | payload.Failure:
        """Return the live model of a text, or why there is none. Only those who ask for it wait for its loading."""
        try:
            return self.models.get(parse_spec(text, self.folders, self.named), self.device)
        except ExplorerError as error:
            return payload.Failure(text, str(error))
        except Exception:
            log.exception("loading %s", text)
            return payload.Failure(text, "could not be loaded; the server's log says why")

    def view(
        self,
        model: Model,
        image: Image,
        key: str,
        transform: Transform,
        method: str | None,
        parameters: tuple[tuple[str, Any], ...],
        progress: Callable[[float], None] | None = None,
    ) -> ModelView | payload.Failure:
        """Return one model's answer, kept from before or computed now; ``transform`` in this model's pixels."""

        def make() -> ModelView:
            with self._turn(progress):
                chosen = dict(parameters) if method else {}
                return compare([model], image, transform, method=method, progress=progress, **chosen).rows[0]

        name = (repr(model.spec), id_of(model), key, transform, method, parameters if method else ())
        try:
            return self.views.get(name, make)
        except ExplorerError as error:
            return payload.Failure(str(model.spec), str(error))
        except Cancelled:
            raise
        except Exception:
            log.exception("asking %s", model.spec)
            return payload.Failure(str(model.spec), "failed on this picture; the server's log says why")

    def has(self, model: Model, key: str, transform: Transform, question: Question) -> bool:
        """Whether an answer is kept."""
        return (repr(model.spec), id_of(model), key, transform, question.method, question.parameters) in self.views

    @contextmanager
    def _turn(self, progress: Callable[[float], None] | None) -> Iterator[None]:
        waited = 0.0
        while not self.turn.acquire(timeout=0.25):
            waited += 0.25
            if progress is not None:
                progress(0.0)  # a cancelled request must not wait for its turn
            elif waited >= PATIENCE:
                raise BusyError("many are asking at once; move a slider to try again")
        try:
            yield
        finally:
            self.turn.release()


def id_of(model: Model) -> tuple[Any, ...]:
    """What tells two loads of one spec apart: the device and the bytes; weights of one spec never change."""
    return (str(model.device), model.nbytes)


@dataclass(frozen=True)
class Asked:
    """A checked request with its live models."""

    picked: Picked
    question: Question
    texts: tuple[str, ...]
    models: tuple[Model | payload.Failure, ...]
    frame: tuple[int, int]

    def key(self, complete: bool) -> str:
        """Name the matrices that belong to the answer; where they hold rows too, these depend on the query."""
        place = None if complete else self.question.query
        named = repr((self.picked.key, self.texts, self.question.transform, place))
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def transform(self, model: Model) -> Transform:
        """The move in this model's pixels."""
        height, width = self.frame
        return self.question.transform.scaled(model.input_size[1] / width, model.input_size[0] / height)


class Handlers:
    """What the page's events call; plain functions of plain values, each checked here and nowhere else."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def answer(self, picture: Picked | None, models: Any, question: Any, last: str = "") -> str:
        """Answer one question for every model: the text that follows a drag.

        Args:
            picture: what is in the picture's place now.
            models: texts of the models.
            question: the controls' value.
            last: where the session's last good picture lies on the server, for a place that was emptied.
        """
        return self._live(self._ask(picture, models, question, last))

    def bank(self, picture: Picked | None, models: Any, question: Any, last: str = "") -> str:
        """Deliver whole attention matrices for an answer that has settled."""
        asked = self._ask(picture, models, question, last)
        slots = self._slots(asked)
        complete = payload.is_complete(slots)
        return payload.bank(slots, asked.key(complete), complete)

    def attribute(
        self, picture: Picked | None, models: Any, question: Any, last: str = ""
    ) -> Iterator[tuple[Any, Any]]:
        """Compute a costly attribution step by step: yields (the page's text or nothing new, progress).

        The work runs in a thread of its own, as gradio advances this generator from several and the work holds
        thread-bound state. Closing the generator cancels it at its next step.
        """
        asked = self._ask(picture, models, question, last)
        live = [one for one in asked.models if isinstance(one, Model)]
        news: queue.Queue[tuple[int, float] | None] = queue.Queue()
        cancelled = threading.Event()

        def work() -> None:
            try:
                for number, model in enumerate(live):

                    def told(share: float, number: int = number) -> None:
                        if cancelled.is_set():
                            raise Cancelled
                        news.put((number, share))

                    self._view(asked, model, asked.question.method, told)
            except Cancelled:
                pass
            finally:
                news.put(None)

        worker = threading.Thread(target=work, name="attribution", daemon=True)
        worker.start()
        try:
            while (told := news.get()) is not None:
                while news.qsize() > 1:  # only the latest news is worth a message
                    told = news.get() or told
                number, share = told
                yield gr.skip(), {"share": (number + share) / len(live), "model": str(live[number].spec)}
            yield self._live(asked), {"share": 1.0, "model": ""}
        finally:
            cancelled.set()

    def choose(self, picture: Picked | None, last: str, refused: int) -> tuple[str, int]:
        """Take a new picture, or say what is wrong with it.

        Returns where the last good picture lies, and how many were refused: a change of that puts the last good one
        back. The place itself is left alone meanwhile, for the next picture may already be on its way into it.
        """
        if picture is None:
            return last, refused
        if picture.image is None:
            gr.Warning(_sentence(picture.problem), duration=12, title="This picture cannot be used")
            return last, refused + 1
        return picture.path, refused

    def sample(self, name: Any) -> str:
        """Return the file of a sample photograph by its name."""
        known = samples()
        if name not in known:
            raise gr.Error(f"there is no sample '{str(name)[:40]}'", print_exception=False)
        return str(known[name])

    def _ask(self, picture: Picked | None, models: Any, question: Any, last: str) -> Asked:
        try:
            checked, texts = parse_question(question), parse_models(models)
        except ExplorerError as error:
            raise gr.Error(_sentence(str(error)), print_exception=False) from error
        picked = picture
        if picked is None or (picked.image is None and last):
            picked = pick(last or first_sample())
        if picked.image is None:
            raise gr.Error(_sentence(picked.problem), title="This picture cannot be used", print_exception=False)
        found = tuple(self.answers.model(text) for text in texts)
        frame = next((one.input_size for one in found if isinstance(one, Model)), (224, 224))
        return Asked(picked, checked, tuple(texts), found, frame)

    def _view(
        self, asked: Asked, model: Model, method: str | None, progress: Callable[[float], None] | None = None
    ) -> ModelView | payload.Failure:
        assert asked.picked.image is not None
        question, transform = asked.question, asked.transform(model)
        view = self.answers.view(
            model, asked.picked.image, asked.picked.key, transform, method, question.parameters, progress
        )
        if isinstance(view, payload.Failure):
            return view
        return payload.asked_again(view, transform, question.query)

    def _slots(self, asked: Asked) -> list[ModelView | payload.Failure]:
        """One answer a model. A costly method is shown where it was computed before, and never computed here."""
        slots: list[ModelView | payload.Failure] = []
        for model in asked.models:
            if isinstance(model, payload.Failure):
                slots.append(model)
                continue
            method: str | None = asked.question.method
            if not METHODS[asked.question.method].live and not self.answers.has(
                model, asked.picked.key, asked.transform(model), asked.question
            ):
                method = None
            view = self._view(asked, model, method)
            if isinstance(view, ModelView) and method is None:
                refused = METHODS[asked.question.method].unavailable(model)
                if refused:
                    view = replace(view, notes=(*view.notes, f"{asked.question.method}: {refused}"))
            slots.append(view)
        return slots

    def _live(self, asked: Asked) -> str:
        question = asked.question
        pending = "" if METHODS[question.method].live else "press"
        slots = self._slots(asked)
        return payload.live(
            slots,
            asked.texts,
            question.transform,
            question.query,
            asked.key(payload.is_complete(slots)),
            asked.frame,
            question.method,
            pending,
            asked.picked.notes,
        )


def first_sample() -> Path:
    """The photograph shown on opening."""
    return next(iter(samples().values()))


def _sentence(text: str) -> str:
    """A message as a sentence; gradio shows errors as markup, so what could be markup is taken out."""
    text = text.replace("<", "‹").replace(">", "›").strip()
    return text[:1].upper() + text[1:]


def draw(answers: Answers, models: Sequence[str], names: Sequence[str]) -> None:
    """Lay the tab out inside the Blocks that are being built.

    Args:
        answers: what all sessions share.
        models: specs on opening.
        names: model names for the search.
    """
    handlers = Handlers(answers)
    with gr.Row(elem_id="workbench", equal_height=False):
        with gr.Column(elem_id="bench", scale=0, min_width=300):
            picture = picture_input(
                first_sample(),
                sources=["upload", "clipboard", "webcam"],
                label="Picture",
                show_label=False,
                buttons=[],
                height=210,
                elem_id="picture",
                alt_text="the picture as it was chosen",
                placeholder="Drop a picture here, paste one,\nor click to choose",
            )
            sample = part(
                "samples",
                label="Sample photographs",
                elem_id="samples",
                events=("pick",),
                options=[
                    {"name": name, "alt": alt_text(name), "image": _thumbnail(path)} for name, path in samples().items()
                ],
            )
            controls = part(
                "controls",
                label="Controls",
                elem_id="controls",
                options={"moves": moves(), "methods": methods(), "method": Question().method},
                value={},
                events=("compute", "cancel"),
            )
        with gr.Column(elem_id="answers", scale=1, min_width=320):
            chosen = part(
                "models",
                list(models),
                label="Models",
                elem_id="models",
                options={
                    "most": MAX_MODELS,
                    "colours": list(MODEL_COLOURS),
                    "names": "\n".join(names),
                    "short": list(SHORT_LIST),
                    "blocks": [[name, _first_line(block)] for name, block in BLOCKS.items()],
                },
            )
            stage = part(
                "stage",
                label="Answers",
                elem_id="stage",
                events=("settled",),
                options={"palettes": {"sequential": list(SEQUENTIAL), "diverging": list(DIVERGING)}},
                skeleton=_SKELETON,
            )
    store = part("bank", label="", elem_id="bank")
    progress = part("progress", label="", elem_id="progress")
    last = gr.State(str(first_sample()))
    refused = gr.State(0)

    asked = {"picture": picture, "models": chosen, "question": controls, "last": last}
    live: dict[str, Any] = {
        "inputs_kwargs": asked,
        "show_progress": "hidden",
        "concurrency_limit": ANSWERING,
        "concurrency_id": "answers",
    }
    gr.on(
        [controls.input, chosen.input],
        handlers.answer,
        outputs=stage,
        trigger_mode="always_last",
        api_name="answer",
        **live,
    )
    context = gr.context.Context.root_block
    assert isinstance(context, gr.Blocks)
    context.load(handlers.answer, outputs=stage, api_visibility="private", **live)
    picture.input(
        handlers.choose,
        inputs=[picture, last, refused],
        outputs=[last, refused],
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    ).then(handlers.answer, outputs=stage, trigger_mode="always_last", api_visibility="private", **live)
    refused.change(_same, inputs=last, outputs=picture, show_progress="hidden", api_visibility="private")
    listen(sample, "pick")(
        _picked(handlers), inputs=None, outputs=[picture, last], show_progress="hidden", api_visibility="private"
    ).then(handlers.answer, outputs=stage, trigger_mode="always_last", api_visibility="private", **live)
    listen(stage, "settled")(
        handlers.bank,
        outputs=store,
        trigger_mode="always_last",
        api_name="bank",
        **live,
    )
    computing = listen(controls, "compute")(
        handlers.attribute,
        inputs_kwargs=asked,
        outputs=[stage, progress],
        show_progress="hidden",
        concurrency_limit=4,
        concurrency_id="attributions",
        api_name="attribute",
    )
    # An error must not leave the bar standing.
    computing.failure(_over, outputs=progress, show_progress="hidden", api_visibility="private")
    listen(controls, "cancel")(None, cancels=[computing], api_visibility="private")


def _over() -> dict[str, Any]:
    return {"share": 1.0, "model": ""}


def _same(value: str) -> str:
    return value


def _picked(handlers: Handlers) -> Callable[..., tuple[str, str]]:
    def pick_sample(event: gr.EventData) -> tuple[str, str]:
        path = handlers.sample((getattr(event, "_data", None) or {}).get("name"))
        return path, path

    return pick_sample


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""


def _thumbnail(path: Path) -> str:
    import base64
    import io

    from PIL import ImageOps

    image = pick(path).image
    assert image is not None
    file = io.BytesIO()
    ImageOps.fit(image, (112, 112)).save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


#: Models for a first choice; any other name can be typed.
SHORT_LIST: tuple[str, ...] = (
    "random/vit_tiny_patch16_224",
    "random/resnet18+mhsa@3",
    "random/resnet18+coord@3",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "deit_tiny_distilled_patch16_224.fb_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "resnet50.a1_in1k",
    "resnet50.a1_in1k+mhsa@3",
    "convnext_tiny.fb_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "mobilenetv4_hybrid_medium.ix_e550_r256_in1k",
    "mobilevitv2_100.cvnets_in1k",
    "maxvit_tiny_tf_224.in1k",
    "xcit_tiny_12_p16_224.fb_in1k",
    "pvt_v2_b0.in1k",
)

_SKELETON = (
    '<div class="skeleton" role="status">'
    '<p>Asking the models…</p><div class="ghost-row"></div><div class="ghost-row"></div></div>'
)
