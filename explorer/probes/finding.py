"""What a result found, in one sentence with its numbers: which of the models has most of what its probe measures."""

from __future__ import annotations

import math
from collections import Counter

from explorer.messages import Message, sentences
from explorer.probes.base import PROBES, Extremes
from explorer.probes.result import ProbeResult, Score
from explorer.probes.show import of


def finding(result: ProbeResult) -> str:
    """Say what a complete result found.

    The numbers are the probe's headline, or, where its parameters leave that out, the score that most models have. ""
    where there is no score.
    """
    kind = PROBES[result.probe]
    # A row without a number has None, and so has its score.
    every = [one for one in result.summary.values() if one.value is not None and math.isfinite(one.value)]
    models = Counter(one.measure for one in every)
    if not models:
        return ""
    measure = kind.headline if kind.headline in models else max(models, key=lambda one: models[one])
    found = [one for one in every if one.measure == measure]
    measure = measure if isinstance(measure, Message) else Message(measure)
    most, least = max(found, key=lambda one: one.value), min(found, key=lambda one: one.value)
    high, low = short(most), short(least)
    if len(found) == 1:
        return Message("{measure} of {model}: {value}.", measure=measure, model=most.model, value=high)
    if high == low:
        return Message("{measure}: {value} for every model shown.", measure=measure, value=high)
    extremes = Extremes(measure, most.model, high, least.model, low)
    said = of(result).finding(extremes) if measure == kind.headline else extremes.plain
    return sentences(said, _OVERLAP) if _overlap(most, least) else said


_OVERLAP = Message("Their 95 % intervals overlap.")


def short(score: Score) -> str:
    """A score's number for a sentence, without its interval: shares, and what is left of p, in whole percent."""
    if score.unit in ("share", "of p before", "probability"):
        return f"{100 * score.value:.0f} %"
    number = f"{score.value:.3g}"
    bare = score.unit in ("", "R2", "cosine")
    return number if bare else Message("{value} {unit}", value=number, unit=Message(score.unit))


def _overlap(most: Score, least: Score) -> bool:
    return most.low is not None and least.high is not None and most.low <= least.high
