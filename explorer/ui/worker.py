"""The one way in which the page works: lanes for what is asked, threads that do it, and an end when nobody waits.

Every event of the page that costs something goes through a `Worker`. It is an ``async`` function for gradio, so that a
request that waits costs no thread, and its own queue's single bound cannot be filled by one kind of request.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import queue
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import gradio as gr

from explorer.errors import Cancelled, ExplorerError
from explorer.messages import ENGLISH, Message, language_of, say
from explorer.ui.guard import pathless
from explorer.ui.listening import Listening

#: Title of the message of a turn that did not come; by it assets/web/live.js knows that it has to ask again.
BUSY = "Busy"
#: Title of the message of what nobody waits for any more, as something newer was asked.
SUPERSEDED = "Superseded"
#: Seconds between two looks whether somebody still waits.
LOOK = 0.25

News = TypeVar("News")


@dataclass(frozen=True)
class Lane:
    """Requests of one kind.

    Attributes:
        name: of the kind.
        at_once: how many are worked on; most of them wait for a model or for the turn to compute.
        waiting: how many more may wait; others are told to come back.
        seconds: after which the work on one is ended.
    """

    name: str
    at_once: int
    waiting: int
    seconds: float


ANSWERS = Lane("answers", 16, 64, 120)
#: What nobody asked for yet; a place of its own, so that it keeps no answer waiting.
PLACES = Lane("places", 1, 16, 120)
UPLOADS = Lane("uploads", 2, 32, 60)
ATTRIBUTIONS = Lane("attributions", 4, 16, 900)
MEASUREMENTS = Lane("measurements", 4, 16, 3600)
DOWNLOADS = Lane("downloads", 2, 16, 300)
#: What every lane together can hold, with room for those who are told to come back: gradio's own bounds.
AT_ONCE = 256


@dataclass(eq=False)
class Task:
    """The work on one request.

    Attributes:
        visitor: session of who asked, or "".
        seconds: that it may take.
        language: of who asked.
        ended: set when nobody waits for it any more.
    """

    visitor: str = ""
    seconds: float = float("inf")
    language: str = ENGLISH
    ended: threading.Event = field(default_factory=threading.Event)
    begun: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raises Cancelled where nobody waits, ExplorerError where it has taken too long."""
        if self.ended.is_set():
            raise Cancelled
        if time.monotonic() - self.begun > self.seconds:
            raise ExplorerError(
                Message(
                    "this took longer than {seconds} seconds and was ended; ask for less at once, or take a smaller "
                    "model or picture",
                    seconds=f"{self.seconds:.0f}",
                )
            )


_task: ContextVar[Task | None] = ContextVar("task", default=None)
#: What is asked for by nobody in particular: by Python, or while the page is built.
_ANYBODY = Task()


def task() -> Task:
    """The request that this thread works on."""
    return _task.get() or _ANYBODY


class Worker:
    """Does what the page's visitors ask for, each kind in its own lane.

    Args:
        listening: tells whether somebody waits; None where nothing can tell.
    """

    def __init__(self, listening: Listening | None = None) -> None:
        self.listening = listening or Listening()
        self._lines: dict[str, _Line] = {}

    def event(self, lane: Lane, work: Callable[..., Any]) -> Callable[..., Any]:
        """Make gradio's function of a plain one: the same inputs and outputs, done in a lane.

        A generator's steps are sent as they come, all of them advanced by one thread. What `task` returns inside is
        the request; the work has to look at it between its steps. An ExplorerError becomes a message on the page, in
        the language that is one input more, the last one; work that has a parameter ``language`` is given it.
        """
        # Of gr.Request gradio knows by its annotation that it has to be filled in.
        signature = inspect.signature(work)
        parameters = list(signature.parameters.values())
        speaks = "language" in signature.parameters
        plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
        if not speaks:
            parameters.append(inspect.Parameter("language", plain, default=ENGLISH, annotation=Any))
        asker = inspect.Parameter("asker", plain, default=None, annotation=gr.Request)

        async def steps(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            given = signature_with.bind(*args, **kwargs)
            request = given.arguments.pop("asker", None)
            language = language_of(given.arguments.get("language"))
            if not speaks:
                given.arguments.pop("language", None)
            call = functools.partial(work, *given.args, **given.kwargs)
            asked = call if inspect.isgeneratorfunction(work) else lambda: iter((call(),))
            try:
                async for step in self._steps(lane, *self._asker(request), asked, language):
                    yield step
            except gr.Error as error:
                error.message, error.title = sentence(error.message, language), say(Message(error.title), language)
                raise

        async def once(*args: Any, **kwargs: Any) -> Any:
            (found,) = [step async for step in steps(*args, **kwargs)]
            return found

        done: Any = steps if inspect.isgeneratorfunction(work) else once
        signature_with = signature.replace(parameters=[*parameters, asker])
        done.__name__ = getattr(work, "__name__", "work")
        done.__doc__ = work.__doc__
        done.__signature__ = signature_with
        hints = {name: one for name, one in inspect.get_annotations(work, eval_str=True).items() if name != "return"}
        done.__annotations__ = {"language": Any, **hints, "asker": gr.Request}
        return done

    async def once(self, lane: Lane, waits: Callable[[], bool], visitor: str, work: Callable[[], Any]) -> Any:
        """What one piece of work comes to, done in a lane.

        Args:
            lane: where it is done.
            waits: whether somebody still waits for it; asked now and then.
            visitor: who asked.
            work: what is done.

        Raises gr.Error as `event` does.
        """
        (found,) = [step async for step in self._steps(lane, visitor, waits, lambda: True, lambda: iter((work(),)))]
        return found

    def _asker(self, request: gr.Request | None) -> tuple[str, Callable[[], bool], Callable[[], bool]]:
        """Of an event's request: who asked, whether they wait, and whether they listen just now."""
        came = time.monotonic()
        if request is None:
            return "", lambda: True, lambda: True
        visitor = request.session_hash or ""
        return visitor, lambda: self.listening.waits(request, came), lambda: self.listening.hears(request)

    async def _steps(
        self,
        lane: Lane,
        visitor: str,
        waits: Callable[[], bool],
        heard: Callable[[], bool],
        work: Callable[[], Iterator[Any]],
        language: str = ENGLISH,
    ) -> AsyncIterator[Any]:
        """What the work yields; it is ended when this is closed, or when nobody waits any more."""
        line = self._lines.setdefault(lane.name, _Line(lane))
        await line.enter(waits)
        if not waits():  # a place came free just as nobody waited for it any more
            line.places.release()
            raise _gone()
        current = Task(visitor, lane.seconds, language)
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[tuple[Any, BaseException | None] | None] = asyncio.Queue()
        context = contextvars.copy_context()
        context.run(_task.set, current)

        def tell(one: tuple[Any, BaseException | None] | None) -> None:
            loop.call_soon_threadsafe(news.put_nowait, one)

        thread = loop.run_in_executor(line.threads, context.run, _do, work, current, tell)
        # The place is free when the thread is, even if nobody is there any more to see it.
        thread.add_done_callback(lambda _: line.places.release())
        try:
            while True:
                try:
                    found = await asyncio.wait_for(news.get(), LOOK)
                except (TimeoutError, asyncio.TimeoutError):
                    if not waits():
                        current.ended.set()
                    continue
                if found is None:
                    break
                step, error = found
                if isinstance(error, ExplorerError):
                    raise gr.Error(error.message, print_exception=False) from error
                if isinstance(error, Cancelled):
                    raise _gone()
                if error is not None:
                    raise error
                # What nobody hears, gradio would keep for ever.
                while not heard():
                    if not waits():
                        raise _gone()
                    await asyncio.sleep(LOOK / 25)
                yield step
        finally:
            current.ended.set()


def _do(work: Callable[[], Iterator[Any]], current: Task, tell: Callable[[Any], Any]) -> None:
    """Do the work, in a thread of the lane's."""
    steps: Iterator[Any] = iter(())
    try:
        current.check()
        steps = work()
        for step in steps:
            tell((step, None))
            current.check()
    except BaseException as error:
        tell((None, error))
    finally:
        if isinstance(steps, Generator):
            steps.close()
        tell(None)


class _Line:
    """The state of a lane: its threads, and who waits for one."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.threads = ThreadPoolExecutor(lane.at_once, thread_name_prefix=lane.name)
        self.places = asyncio.Semaphore(lane.at_once)
        self._waiting = 0

    async def enter(self, waits: Callable[[], bool]) -> None:
        """Wait for a place; raises gr.Error where too many wait already, or nobody waits any more for this one."""
        if self.places.locked() and self._waiting >= self.lane.waiting:
            raise gr.Error(
                Message("Many are asking at once; ask again in a moment."), title=BUSY, print_exception=False
            )
        self._waiting += 1
        mine = asyncio.ensure_future(self.places.acquire())
        try:
            while not (await asyncio.wait({mine}, timeout=LOOK))[0]:
                if not waits():
                    raise _gone()
        except BaseException:
            if not mine.cancel() and not mine.cancelled():
                self.places.release()
            raise
        finally:
            self._waiting -= 1


def _gone() -> gr.Error:
    return gr.Error(Message("Nobody waited for this any more."), title=SUPERSEDED, print_exception=False)


def told(work: Callable[[Callable[[News], None]], None]) -> Iterator[News]:
    """Make a generator of work that tells its progress to a function; closing it ends the work at its next word."""
    news: queue.Queue[tuple[News | None, BaseException | None] | None] = queue.Queue()
    closed = threading.Event()

    def tell(one: News) -> None:
        if closed.is_set():
            raise Cancelled
        news.put((one, None))

    def run() -> None:
        try:
            work(tell)
        except Cancelled:
            pass
        except BaseException as error:
            news.put((None, error))
        finally:
            news.put(None)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="told", daemon=True).start()
    try:
        while (found := news.get()) is not None:
            while news.qsize() > 1:  # only the latest news is worth a message
                found = news.get() or found
            one, error = found
            if error is not None:
                raise error
            yield cast(News, one)
    finally:
        closed.set()


def sentence(text: str, language: str) -> str:
    """A message as a sentence in a language, without paths.

    Gradio shows errors as markup, so what could be markup is taken out. A file or a model at its beginning stays as it
    is written; a name that is a word gets its capital.
    """
    said = say(pathless(text), language).replace("<", "‹").replace(">", "›").strip()
    return said if _begins_with_name(text) else said[:1].upper() + said[1:]


def _begins_with_name(text: str) -> bool:
    """Whether a message begins with what is written in one way, as cut.png or lab/mhsa."""
    place = re.match(r"\{(\w+)\}", text.template) if isinstance(text, Message) else None
    if place is None or not isinstance(text, Message):
        return False
    value = text.values.get(place[1], "")
    if isinstance(value, Message):
        return _begins_with_name(value)
    return isinstance(value, str) and not value.isalpha()
