"""Every kind of reach on one axis: receptive fields, attention distances and attribution radii in pixels."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.figures.looks import colours_of
from explorer.figures.sheet import Axis, Chart, Section
from explorer.messages import Message
from explorer.probes.charting import curve
from explorer.probes.result import ProbeResult
from explorer.probes.rows import Row


def on_one_axis(results: Sequence[ProbeResult]) -> Section:
    """How far could a model look, how far does it look, and how far apart is its evidence? All in px of the input.

    Args:
        results: of the four probes of locality, in any number; what is missing is left out. Models have their colours.

    Squares are shown by half their side, beside distances and radii.
    """
    models = list(dict.fromkeys(model for result in results for model in result.models))
    lines = []
    for model, colour in zip(models, colours_of(models)):
        points = {name: one for result in results for name, one in _radii_of(result, model).items()}
        rows = [{**points[name], "category": name} for name in CATEGORIES if name in points]
        if rows:
            lines.append(curve(model, colour, rows, "category", joined=False))
    chart = Chart(
        Message("Receptive fields, attention and evidence on one axis"),
        tuple(lines),
        Axis("measure"),
        Axis(Message("distance, px of the input"), log=True),
        unit=Message(
            "Fields are shown by half their side. A field without an end inside the input is drawn at half the input."
        ),
    )
    return Section(Message("How far could it look, how far does it look, where is the evidence?"), ((chart,),))


#: What `on_one_axis` shows, from left to right: name -> probe, measure, factor.
CATEGORIES: dict[str, tuple[str, str, float]] = {
    "receptive field, half side": ("receptive-field", "receptive field", 0.5),
    "effective field, half side, 99 %": ("effective-receptive-field", Message("side of the square at 99 %"), 0.5),
    "effective field, half side, 50 %": ("effective-receptive-field", Message("side of the square at 50 %"), 0.5),
    "attention distance, last layer": ("attention-distance", "attention distance", 1.0),
    "attention distance, mean over layers": ("attention-distance", "mean attention distance", 1.0),
    "evidence, radius, 90 %": ("attribution-radius", Message("radius holding 90 %"), 1.0),
    "evidence, radius, 50 %": ("attribution-radius", "radius holding 50 %", 1.0),
}


def _radii_of(result: ProbeResult, model: str) -> dict[str, Row]:
    """The points of `on_one_axis` that one result has of a model: category -> row, values scaled."""
    out = {}
    for name, (probe, measure, factor) in CATEGORIES.items():
        if probe != result.probe:
            continue
        # The last row is that of the last stage, or of the last layer's mean over heads.
        rows = [one for one in result.of(model, measure=measure) if one.get("head", "mean") == "mean"]
        if rows:
            scaled = {
                key: None if rows[-1][key] is None else rows[-1][key] * factor for key in ("value", "low", "high")
            }
            out[name] = {**rows[-1], **scaled}
    return out
