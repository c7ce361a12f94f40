"""Probes on the page: run in a thread of their own, streamed as they are measured, ended when nobody waits."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.errors import ExplorerError, ParameterError
from explorer.figures.interactive import separate
from explorer.figures.looks import names_of
from explorer.figures.sheet import Chart, Map, Radar, Table
from explorer.lab.experiment import experiment
from explorer.lab.shipped import shipped_result
from explorer.messages import ENGLISH, Message, counted, encoded, language_of, listed, renamed, sentences
from explorer.models.model import Model
from explorer.models.spec import ModelSpec
from explorer.probes import PROBES, show, steps
from explorer.probes.base import Bias
from explorer.probes.finding import finding
from explorer.probes.result import ProbeResult
from explorer.registry import question
from explorer.ui.brought import SET
from explorer.ui.controls import parameters_of
from explorer.ui.fitted import split
from explorer.ui.guard import pathless
from explorer.ui.handlers import Handlers, checked
from explorer.ui.request import Failure
from explorer.ui.telling import scores, table, told
from explorer.ui.words import dumps, translated_panel
from explorer.view.forms import of_models

log = logging.getLogger(__name__)

#: Figures that a tab has room for; one that has fewer hides the rest.
PLOTS = 8
#: Bytes of a batch: small, so that a drag on the first tab waits for a short one only.
BATCH = 2**28
#: Seconds between two drawings of what has been measured so far: a figure takes the browser a third of one.
PACE = 1.2

Kept = dict[str, ProbeResult]
"""A session's results by the probe's name."""


@dataclass(frozen=True)
class Wanted:
    """A checked request: which probe, with which parameters, on what.

    Attributes:
        name: of the probe.
        parameters: of it, those that were given.
        shown: "several", what it is shown by itself; "stage", what is under Compare; or the name of a set that was
            brought (see `explorer.ui.brought`).
    """

    name: str
    parameters: Mapping[str, Any]
    shown: str = "several"

    @property
    def on_stage(self) -> bool:
        """Whether it is what is shown under Compare."""
        return self.shown == "stage"

    @property
    def on_set(self) -> bool:
        """Whether it is a set that was brought."""
        return SET.fullmatch(self.shown) is not None

    @classmethod
    def parse(cls, asked: Any) -> Wanted:
        """Check what a browser sent; raises ParameterError."""
        if not isinstance(asked, Mapping) or not isinstance(asked.get("probe"), str):
            raise ParameterError(Message("a measurement is an object that names a probe"))
        name, given = asked["probe"], asked.get("parameters") or {}
        if not isinstance(given, Mapping):
            raise ParameterError(Message("parameters is an object with the names of the probe's parameters"))
        parameters = {str(key): value for key, value in given.items() if value is not None}
        PROBES.make(name, parameters)
        shown = str(asked.get("shown"))
        return cls(name, parameters, shown if shown == "stage" or SET.fullmatch(shown) else "several")


def refused(why: str) -> str:
    """What a visitor is told of a set of pictures that is not taken, as JSON."""
    return dumps({"shown": "", "words": "", "notes": [], "refused": why})


class Measuring:
    """The events of the tabs of biases."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers, self.answers = handlers, handlers.answers

    def measure(
        self, kept: Kept | None, models: Any, question: Any, asked: Any, language: Any = ENGLISH
    ) -> Iterator[tuple[Any, ...]]:
        """Measure one bias of the page's models, step by step.

        Yields the session's results, the state of the work, the scores, a table, and `PLOTS` figures. Closing the
        generator ends the work at its next step.
        """
        wanted = checked(Wanted.parse, asked)
        yield _state(Message("Loading the models…"), 0.0), *_skip(PLOTS + 3)
        models, stage = self.asked(models, question)
        for result in self._stream(wanted, models, self.shown_to(wanted, stage)):
            kept = {**(kept or {}), wanted.name: result}
            yield _state_of(result, wanted), kept, *shown(result, kept, language)

    def open(self, kept: Kept | None, models: Any, asked: Any, language: Any = ENGLISH) -> tuple[Any, ...]:
        """What there is of a probe without measuring: what this session has of the models shown, or what ships.

        Returns the same as `measure` yields. Nothing is loaded and no model runs.
        """
        wanted = checked(Wanted.parse, asked)
        names = [_name(text) for text in checked(of_models, models)]
        result = (kept or {}).get(wanted.name)
        if result is None or result.models != tuple(names) or result.share < 1:
            result = shipped_result(wanted.name, names)
        if result is None:
            return _state(_NOTHING, 1.0), gr.skip(), "", "", *_hidden(PLOTS)
        kept = {**(kept or {}), wanted.name: result}
        return _state_of(result, wanted), kept, *shown(result, kept, language)

    def open_all(self, kept: Kept | None, models: Any, language: Any = ENGLISH) -> tuple[Any, ...]:
        """The summary of what this session has of the models shown, and, where it has nothing, of what ships.

        Returns the same as `measure_all` yields.
        """
        names = [_name(text) for text in checked(of_models, models)]
        own = {name: one for name, one in (kept or {}).items() if one.models == tuple(names)}
        headlines = [name for headline in show.HEADLINES.values() for name in headline.probes if name not in own]
        ships = {name: one for name in headlines if (one := shipped_result(name, names)) is not None}
        together = {**own, **ships}
        said = _SHIPPED if any(one.origin for one in together.values()) else ""
        return _state(said, 1.0), {**(kept or {}), **ships}, *summary(together or kept, language)

    def measure_all(
        self, kept: Kept | None, models: Any, question: Any, language: Any = ENGLISH
    ) -> Iterator[tuple[Any, ...]]:
        """Measure the one probe that stands for each bias, one after the other.

        Yields the state of the work, the session's results, the table of models and biases, and the radar.
        """
        yield _state(Message("Loading the models…"), 0.0), *_skip(3)
        models, _ = self.asked(models, question)
        problems: list[str] = []
        for number, headline in enumerate(show.HEADLINES.values()):
            for name in headline.probes:
                try:
                    for result in self._stream(Wanted(name, {}), models, None):
                        kept = {**(kept or {}), name: result}
                        share = (number + result.share) / len(show.HEADLINES)
                        yield (
                            _state(listed([name, f"{100 * result.share:.0f} %"], "{first}: {rest}"), share, problems),
                            kept,
                            *_skip(2),
                        )
                except gr.Error as error:
                    problems.append(listed([name, error.message], "{first}: {rest}"))
                else:
                    if not result.notes:
                        break
                    problems += [listed([name, note], "{first}: {rest}") for note in result.notes]
            share = (number + 1) / len(show.HEADLINES)
            words = Message("Measured") if share == 1 else Message("{heading} measured", heading=headline.heading)
            yield _state(words, share, problems), kept, *summary(kept, language)

    def bring(self, sent: Any) -> str:
        """Take a visitor's set of pictures: its name, size and what was left out, or why it is not taken, as JSON."""
        try:
            found = self.answers.sets.add(sent)
        except ExplorerError as error:
            return refused(pathless(error.message))
        count = counted("your {n} picture", "your {n} pictures", found.count)
        return dumps(
            {"shown": found.name, "words": count, "notes": [pathless(one) for one in found.notes], "refused": ""}
        )

    def shown_to(self, wanted: Wanted, stage: Any) -> Any:
        """What a probe is shown: what is on the stage, the folder of a set, or None for what it takes by itself."""
        if wanted.on_set:
            return str(checked(self.answers.sets.get, wanted.shown).folder)
        return stage if wanted.on_stage else None

    def asked(self, models: Any, question: Any) -> tuple[list[Model], Any]:
        """The page's live models, and what is on its stage."""
        asked = self.handlers.ask(models, question)
        live = [one for one in asked.models if isinstance(one, Model)]
        if len(live) < len(asked.models):
            # Measured without it, the others would be drawn in each other's colours.
            each = [one for one in asked.models if isinstance(one, Failure)]
            failed = listed([listed([one.spec, one.problem], "{first}: {rest}") for one in each], "{first}; {rest}")
            raise gr.Error(
                (Message("{failed}. Take it out to measure the others", failed=failed)), print_exception=False
            )
        return live, asked.source

    def _stream(self, wanted: Wanted, models: Sequence[Model], image: Any) -> Iterator[ProbeResult]:
        """Results so far, not more often than they can be drawn; the last one is complete."""
        running = steps(wanted.name, models, image, memory=BATCH, **wanted.parameters)
        drawn = 0.0
        try:
            while True:
                with self.answers.turn_to_compute():
                    result = next(running, None)
                if result is None:
                    return
                if wanted.on_set:  # what it says of files is for their owner, who does not know where they lie here
                    result = dataclasses.replace(result, notes=tuple(map(pathless, result.notes)))
                if result.share >= 1 or time.monotonic() - drawn >= PACE:
                    drawn = time.monotonic()
                    yield result
        except ExplorerError as error:
            raise gr.Error(error.message, duration=15, print_exception=False) from error
        except Exception as error:
            log.exception("measuring %s", wanted.name)
            raise gr.Error(
                Message("The measurement failed; the server's log says why."), print_exception=False
            ) from error
        finally:
            running.close()


def shown(result: ProbeResult, kept: Kept, language: Any = ENGLISH) -> tuple[Any, ...]:
    """A result for the page: scores, a table if it has one, and the figures; beside it what else its bias has."""
    sections = show.of(result).sections(result)
    if result.share >= 1:
        sections += show.beside(result, [one for one in kept.values() if one.probe != result.probe])
    panels = [panel for section in sections for row in section.rows for panel in row]
    tables = [panel for panel in panels if isinstance(panel, Table)]
    names = names_of(result.models)
    plots = []
    for panel in [panel for panel in panels if isinstance(panel, (Chart, Radar, Map))][:PLOTS]:
        # A click's goal is found in the English title, which names the model as the rest of the page does.
        own = translated_panel(panel, language_of(language), names)
        # One legend stands above all figures, of what is a model's alone.
        alone = isinstance(panel, Radar) or not {line.name for line in getattr(panel, "lines", ())} <= set(names)
        figure = separate(own, legend=alone)
        figure.update_layout(meta=encoded({**_link(result, panel), "told": told(own)}))
        plots.append(gr.update(value=figure, visible=True))
    found = table(tables[0], names) if tables else ""
    return scores(result), found, *plots, *_hidden(PLOTS - len(plots))


def summary(kept: Kept | None, language: Any = ENGLISH) -> tuple[str, Any]:
    """The table of models and biases as JSON, and the radar, hidden where fewer than three biases are measured."""
    results = list((kept or {}).values())
    drawn, names = show.summary_sheet(results), names_of([name for one in results for name in one.models])
    panels = [panel for section in drawn.sections for row in section.rows for panel in row]
    tables = [table(panel, names) for panel in panels if isinstance(panel, Table)]
    radars = [panel for panel in panels if isinstance(panel, Radar)]
    if not radars:
        return tables[0] if kept else "", gr.update(visible=False)
    radar = translated_panel(radars[0], language_of(language), names)
    figure = separate(radar).update_layout(meta=encoded({"told": told(radar)}))
    return tables[0] if kept else "", gr.update(value=figure, visible=True)


def described(bias: Bias) -> list[dict[str, Any]]:
    """What the browser has to know of a bias's probes."""
    ships = {one.probe for one in experiment()}
    return [
        {
            "name": name,
            "title": question(kind),
            "formula": kind.formula,
            "source": kind.source,
            "limits": kind.limits,
            "looks": kind.looks,
            "by_itself": kind.by_itself,
            "link": kind.link,
            "shipped": name in ships,
            "parameters": parameters_of(kind),
        }
        for name, kind in PROBES.items()
        if kind.bias == bias
    ]


def _link(result: ProbeResult, panel: Any) -> dict[str, Any]:
    """What a click in a figure goes to; read by assets/web/biases.js."""
    link = PROBES[result.probe].link
    if not link or isinstance(panel, Radar) or (link == "zoom" and not panel.x.log):
        return {}
    layers = [list(dict.fromkeys(row["path"] for row in result.of(model) if "path" in row)) for model in result.models]
    return {
        "link": link,
        "layers": layers,
        "models": list(result.models),
        "sizes": [list(result.input_sizes.get(model, ())) for model in result.models],
        # The model that a figure of one alone is about, -1 for one of several.
        "own": next((place for place, model in enumerate(result.models) if model in panel.title), -1),
    }


_NOTHING = Message("Nothing of this is measured yet of the models shown, and nothing ships; press Measure.")
_SHIPPED = Message("What was not measured here is shipped: measured on scenes of the laboratory.")
_AGAIN = Message("Press Measure to measure again here, or with your pictures.")


def _name(text: str) -> str:
    """A model's name in results: its spec, however it was written."""
    try:
        return str(ModelSpec.parse(split(text)[0])) if not split(text)[1] else text
    except ExplorerError:
        return text  # what it has wrong is said under Compare


def _said(result: ProbeResult) -> str:
    """How far a result is, or where it is from."""
    if result.origin:
        return sentences(Message("{origin}.", origin=result.origin), _AGAIN)
    return Message("Measured") if result.share >= 1 else f"{100 * result.share:.0f} %"


def _state_of(result: ProbeResult, wanted: Wanted) -> str:
    names = names_of(result.models)
    found = finding(result) if result.share >= 1 else ""
    notes = [renamed(one, names) for one in result.notes]
    # What ships was measured with parameters of its own.
    given = {name: value for name, value in result.parameters.items() if value is not None}
    asked = {"probe": result.probe, "parameters": given, "shown": wanted.shown}
    measured = {row["model"] for row in result.rows}
    models = [
        {"name": names[model], "spec": model, "colour": colour}
        for model, colour in zip(result.models, result.colours)
        if model in measured
    ]
    return _state(_said(result), result.share, notes, renamed(found, names), models, asked)


def _state(
    words: str,
    share: float,
    notes: Sequence[str] = (),
    found: str = "",
    models: Sequence[Mapping[str, Any]] = (),
    asked: Mapping[str, Any] | None = None,
) -> str:
    """How far the work is, what it found, of which models, and by which request; for assets/web/biases.js."""
    plain = [pathless(one) for one in notes]
    told = {"words": words, "share": share, "notes": plain, "finding": found, "models": models, "asked": asked}
    return dumps(told)


def _hidden(count: int) -> list[Any]:
    return [gr.update(visible=False)] * count


def _skip(count: int) -> list[Any]:
    return [gr.skip()] * count
