"""Say and draw what probes found: one probe's sheet, and models beside each other over all biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.figures.looks import colours_of
from explorer.figures.sheet import Line, Radar, Section, Sheet, Table
from explorer.messages import Message, listed, ranged
from explorer.probes.base import BIASES, PROBES, Bias, Probe
from explorer.probes.charting import in_words
from explorer.probes.reach import on_one_axis
from explorer.probes.result import Better, ProbeResult, Score
from explorer.registry import question


@dataclass(frozen=True)
class Headline:
    """What stands for a bias in the summary: the headline of one probe.

    Attributes:
        heading: short, for a column.
        probes: names in PROBES; the first that was measured for every model counts.
        relative: it is no share: the radar shows it over the largest of the models compared.
    """

    heading: str
    probes: tuple[str, ...]
    relative: bool = False


#: What stands for each bias, in the order of the tabs. Photographs with cue conflicts are not at hand everywhere.
HEADLINES: Mapping[Bias, Headline] = {
    "locality": Headline(Message("Locality"), ("effective-receptive-field",)),
    "translation": Headline(Message("Translation"), ("consistency",)),
    "relations": Headline(Message("Arrangement"), ("patch-shuffle",)),
    "scale": Headline(Message("Scale"), ("scale",)),
    "context": Headline(Message("Context"), ("context",)),
    "shape": Headline(Message("Shape"), ("shape-bias", "edges")),
    "cost": Headline(Message("Cost"), ("cost",), relative=True),
    "maps": Headline(Message("Maps"), ("map-equivariance",)),
}

_ARROWS = {
    "higher": Message("higher is better"),
    "lower": Message("lower is better"),
    "none": Message("neither is better"),
}
#: How pictures were brought to a model's input, by a result's mode.
_PREPARED = {
    "model": Message("pictures prepared as the model expects them"),
    "paper": Message("pictures prepared as in the paper"),
}


def of(result: ProbeResult) -> Probe:
    """The probe, with the parameters that a result was measured with."""
    return PROBES[result.probe](**result.parameters)


def sheet(result: ProbeResult) -> Sheet:
    """A probe's result as a figure, with what it depends on below it."""
    kind = PROBES[result.probe]
    notes = (
        *result.notes,
        Message("What this does not show: {limits}", limits=Message(kind.limits)),
        f"{kind.formula} ({kind.source})",
    )
    about = Section("", (), notes=notes)
    numbers = Section("", ((scores_table(result),),)) if result.summary else Section("", ())
    sections = (*of(result).sections(result), numbers, about)
    return Sheet(
        listed([result.probe, Message(question(PROBES[result.probe]))], "{first}: {rest}"), sections, provenance(result)
    )


def scores_table(result: ProbeResult) -> Table:
    """The summary of a result: a row a model, a column a measure."""
    measures = list(dict.fromkeys(score.measure for score in result.summary.values()))
    found = {(score.model, score.measure): score for score in result.summary.values()}
    rows = tuple(
        (model, *(number(found[model, measure]) if (model, measure) in found else "-" for measure in measures))
        for model in result.models
    )
    colours = result.colours
    counts = sorted({score.n for score in result.summary.values()})
    n = counts[0] if len(counts) == 1 else Message("{low} to {high}", low=counts[0], high=counts[-1])
    said = Message("95 % intervals in brackets; n = {n}", n=n)
    return Table(Message("In numbers"), (Message("model"), *measures), rows, colours, said)


def provenance(result: ProbeResult) -> str:
    """What a result depends on, in a line."""
    alike = len(set(result.stimuli.values())) == 1
    each = [listed([model, what], "{first}: {rest}") for model, what in result.stimuli.items()]
    shown = next(iter(result.stimuli.values())) if alike else listed(each, "{first}; {rest}")
    # Names and values are said as the page's controls say them; how pictures are prepared has its own place.
    parts = [
        Message(
            "{name} {value}", name=Message(name), value=Message(in_words(value)) if isinstance(value, str) else value
        )
        for name, value in result.parameters.items()
        if value not in (None, "") and name != "mode"
    ]
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    said = [
        shown,
        listed(parts),
        _PREPARED[result.mode],
        Message("seed {seed}", seed=result.seed),
        # What ships does not say where it ran.
        result.origin or Message("{dtype} on {device}", dtype=result.dtype, device=result.device),
        packages,
    ]
    return listed(filter(None, said), "{first}; {rest}")


def spoken(result: ProbeResult) -> list[str]:
    """The summary in lines, for a terminal."""
    lines = [f"{result.probe}: {question(PROBES[result.probe])}"]
    for model in result.models:
        own = [score for score in result.summary.values() if score.model == model]
        if own:
            lines.append(f"{model}  [{result.stimuli.get(model, '')}]")
        lines += [f"  {score.measure:36} {number(score)}  n = {score.n} ({_ARROWS[score.better]})" for score in own]
    return [*lines, *result.notes, provenance(result)]


def with_arrow(measure: str, better: Better) -> str:
    """A measure and which way of it is better, in words."""
    return Message("{measure} ({better})", measure=Message(measure), better=_ARROWS[better])


def number(score: Score) -> str:
    """A score with its unit and interval."""
    named = {
        "share": "%",
        "probability": "%",
        "of p before": Message("% of p before"),
        "difference of shares": Message("percentage points"),
    }.get(score.unit)
    percent = named is not None
    factor, unit = (1.0, score.unit_in_words) if named is None else (100.0, named)

    def short(value: float) -> str:
        return f"{factor * value:.1f}" if percent else f"{value:.3g}"

    low, high = (None if end is None else short(end) for end in (score.low, score.high))
    value = ranged(short(score.value), low, high)
    return Message("{value} {unit}", value=value, unit=Message(unit)) if unit else value


def standing_for(bias: Bias, results: Sequence[ProbeResult], models: Sequence[str]) -> dict[str, Score]:
    """Model -> the score that stands for a bias; of probes that may, the one that was measured for the most models."""
    found: dict[str, Score] = {}
    for name in HEADLINES[bias].probes:
        measure = PROBES[name].headline
        of_one = {
            score.model: score
            for result in results
            if result.probe == name
            for score in result.summary.values()
            if score.measure == measure and score.model in models
        }
        if len(of_one) > len(found):
            found = of_one
    return found


def summary_sheet(results: Sequence[ProbeResult]) -> Sheet:
    """Models x biases: a table, and a radar of those that were measured for every model.

    The models are those of the last result; what was measured of others is left out.
    """
    models = list(results[-1].models) if results else []
    every = {bias: standing_for(bias, results, models) for bias in BIASES}
    found = {bias: scores for bias, scores in every.items() if scores}
    colours = colours_of(models)
    rows = tuple(
        (model, *(number(scores[model]) if model in scores else "-" for scores in found.values())) for model in models
    )
    first = {bias: next(iter(scores.values())) for bias, scores in found.items()}
    headings = (
        listed([HEADLINES[bias].heading, with_arrow(one.measure, one.better)], "{first}: {rest}")
        for bias, one in first.items()
    )
    unit = Message("95 % interval in brackets; -: not measured")
    table = Table(Message("Models and biases"), (Message("model"), *headings), rows, colours, unit=unit)
    whole = {bias: scores for bias, scores in found.items() if len(scores) == len(models)}
    panels: list[tuple[Radar | Table, ...]] = [(table,)]
    if len(whole) >= 3:
        panels.append((_radar(models, whole),))
    about = tuple(listed([result.probe, provenance(result)], "{first}: {rest}") for result in results)
    return Sheet(Message("Spatial inductive biases"), (Section("", tuple(panels)), Section("", (), notes=about)))


def beside(result: ProbeResult, others: Sequence[ProbeResult]) -> tuple[Section, ...]:
    """What a result is drawn with from other probes of its bias and the same models: locality has one axis, in px."""
    same = [one for one in others if one.bias == result.bias and one.models == result.models]
    probes = {one.probe for one in (*same, result)}
    return (on_one_axis([*same, result]),) if result.bias == "locality" and len(probes) > 1 else ()


def whole_sheet(results: Sequence[ProbeResult]) -> Sheet:
    """The summary, and every result below it."""
    first = summary_sheet(results)
    near = [result for result in results if result.bias == "locality"]
    sections = [*first.sections, *(beside(near[-1], near[:-1]) if near else ())]
    for result in results:
        own = sheet(result)
        sections += [Section(own.title, ()), *own.sections]
    return Sheet(first.title, tuple(sections))


def _radar(models: Sequence[str], found: Mapping[Bias, Mapping[str, Score]]) -> Radar:
    signs = {"higher": " +", "lower": " -", "none": ""}
    names = tuple(HEADLINES[bias].heading + signs[next(iter(scores.values())).better] for bias, scores in found.items())

    def share(model: str, bias: Bias) -> float:
        scores = found[bias]
        largest = max(one.value for one in scores.values()) if HEADLINES[bias].relative else 1.0
        return max(0.0, min(1.0, scores[model].value / (largest or 1.0)))  # of a correlation, no agreement

    lines = tuple(
        Line(model, names, tuple(share(model, bias) for bias in found), colour=colour)
        for model, colour in zip(models, colours_of(models))
    )
    relative = [HEADLINES[bias].heading for bias in found if HEADLINES[bias].relative]
    unit = Message("shares, 0 to 1; + higher is better, - lower is better")
    return Radar(
        Message("All biases"),
        lines,
        listed([unit, Message("{relative}: over the largest", relative=listed(relative))], "{first}; {rest}")
        if relative
        else unit,
    )
