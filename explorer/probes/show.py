"""Say and draw what probes found: one probe's sheet, and models beside each other over all biases."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.probes.base import BIASES, PROBES, Bias, Probe
from explorer.sheet import Line, Radar, Section, Sheet, Table, colour_of
from explorer.types import ProbeResult, Score


@dataclass(frozen=True)
class Headline:
    """The one number that stands for a bias in the summary.

    Attributes:
        probe: name in PROBES.
        measure: of its scores.
        heading: short, for a column.
        relative: it is no share: the radar shows it over the largest of the models compared.
    """

    probe: str
    measure: str
    heading: str
    relative: bool = False


#: What stands for each bias, in the order of the tabs.
HEADLINES: Mapping[Bias, Headline] = {
    "locality": Headline("effective-receptive-field", "area ratio at 50 %", "Locality: ERF area, 50 %"),
    "translation": Headline("consistency", "consistency", "Translation: consistency"),
    "relations": Headline("patch-shuffle", "agreement at 4x4", "Relations: same answer, 4 x 4 shuffled"),
    "scale": Headline("scale", "consistency over zoom 0.5 to 2", "Scale: consistency"),
    "context": Headline("context", "p kept without background", "Context: p without background"),
    "shape": Headline("edges", "agreement on Sobel", "Shape: same answer on edges"),
    "cost": Headline("cost", "time exponent in n", "Cost: time exponent", relative=True),
}

_ARROWS = {"higher": "higher is better", "lower": "lower is better", "none": "neither is better"}


def question(name: str) -> str:
    """The question that a probe answers."""
    return (inspect.getdoc(PROBES[name]) or "").split("\n", 1)[0]


def of(result: ProbeResult) -> Probe:
    """The probe, with the parameters that a result was measured with."""
    return PROBES[result.probe](**result.parameters)


def sheet(result: ProbeResult) -> Sheet:
    """A probe's result as a figure, with what it depends on below it."""
    kind = PROBES[result.probe]
    notes = (*result.notes, f"What this does not show: {kind.limits}", f"{kind.formula} ({kind.source})")
    about = Section("", (), notes=notes)
    return Sheet(f"{result.probe}: {question(result.probe)}", (*of(result).sections(result), about), provenance(result))


def provenance(result: ProbeResult) -> str:
    """What a result depends on, in a line."""
    alike = len(set(result.stimuli.values())) == 1
    each = [f"{model}: {what}" for model, what in result.stimuli.items()]
    shown = next(iter(result.stimuli.values())) if alike else "; ".join(each)
    parts = [f"{name} {value}" for name, value in result.parameters.items() if value not in (None, "")]
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    said = [shown, ", ".join(parts), f"evaluation mode {result.mode}", f"seed {result.seed}"]
    return "; ".join(filter(None, [*said, f"{result.dtype} on {result.device}", packages]))


def spoken(result: ProbeResult) -> list[str]:
    """The summary in lines, for a terminal."""
    lines = [f"{result.probe}: {question(result.probe)}"]
    for model in result.models:
        own = [score for score in result.summary.values() if score.model == model]
        if own:
            lines.append(f"{model}  [{result.stimuli.get(model, '')}]")
        lines += [f"  {score.measure:36} {number(score)}  n = {score.n} ({_ARROWS[score.better]})" for score in own]
    return [*lines, *result.notes, provenance(result)]


def number(score: Score) -> str:
    """A score with its unit and interval."""
    percent = score.unit == "share"
    factor, unit = (100.0, "%") if percent else (1.0, score.unit)

    def short(value: float) -> str:
        return f"{factor * value:.1f}" if percent else f"{value:.3g}"

    interval = "" if score.low is None or score.high is None else f" ({short(score.low)} to {short(score.high)})"
    return f"{short(score.value)}{interval} {unit}".rstrip()


def headline_scores(results: Sequence[ProbeResult]) -> dict[tuple[str, Bias], Score]:
    """(model, bias) -> the score that stands for the bias, of those that were measured; the last result counts."""
    found: dict[tuple[str, Bias], Score] = {}
    for result in results:
        for bias, headline in HEADLINES.items():
            if headline.probe == result.probe:
                for score in result.summary.values():
                    if score.measure == headline.measure:
                        found[score.model, bias] = score
    return found


def summary_sheet(results: Sequence[ProbeResult]) -> Sheet:
    """Models x biases: a table, and a radar of those that were measured for every model."""
    models = list(dict.fromkeys(model for result in results for model in result.models))
    found = headline_scores(results)
    biases = [bias for bias in BIASES if any((model, bias) in found for model in models)]
    ways = {bias: next(found[model, bias].better for model in models if (model, bias) in found) for bias in biases}
    colours = tuple(colour_of(number) for number in range(len(models)))
    rows = tuple(
        (model, *(number(found[model, bias]) if (model, bias) in found else "-" for bias in biases)) for model in models
    )
    columns = ("model", *(f"{HEADLINES[bias].heading} ({_ARROWS[ways[bias]]})" for bias in biases))
    table = Table("Models and biases", columns, rows, colours, unit="95 % interval in brackets; -: not measured")
    whole = [bias for bias in biases if all((model, bias) in found for model in models)]
    panels: list[tuple[Radar | Table, ...]] = [(table,)]
    if len(whole) >= 3:
        panels.append((_radar(models, whole, found, ways),))
    about = tuple(provenance(result) for result in results)
    return Sheet("Spatial inductive biases", (Section("", tuple(panels)), Section("", (), notes=about)))


def whole_sheet(results: Sequence[ProbeResult]) -> Sheet:
    """The summary, and every result below it."""
    first = summary_sheet(results)
    sections = [*first.sections]
    for result in results:
        own = sheet(result)
        sections += [Section(own.title, ()), *own.sections]
    return Sheet(first.title, tuple(sections))


def _radar(
    models: Sequence[str], biases: Sequence[Bias], found: Mapping[tuple[str, Bias], Score], ways: Mapping[Bias, str]
) -> Radar:
    signs = {"higher": "+", "lower": "-", "none": ""}
    names = tuple(f"{bias} ({signs[ways[bias]]})" if signs[ways[bias]] else bias for bias in biases)

    def share(model: str, bias: Bias) -> float:
        value = found[model, bias].value
        if not HEADLINES[bias].relative:
            return value
        return value / (max(found[other, bias].value for other in models) or 1.0)

    lines = tuple(
        Line(model, names, tuple(share(model, bias) for bias in biases), colour=colour_of(place))
        for place, model in enumerate(models)
    )
    relative = [bias for bias in biases if HEADLINES[bias].relative]
    unit = "shares, 0 to 1; + higher is better, - lower is better"
    return Radar("All biases", lines, unit + (f"; {', '.join(relative)}: over the largest" if relative else ""))
