"""Which findings of the first seeds hold on seeds that nobody had looked at?

What is found by looking at many numbers may be chance. So a finding is chosen on the seeds before `JUDGES`, as the
short table has it, and tested on the others, corrected for every finding that is tested there (Holm). What is not shown
is no proof of sameness: beside it stands the difference that could have been seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from explorer.lab.claims import JUDGES
from explorer.lab.findings import FindingsColumn, measured
from explorer.lab.intervals import POWER, Verdict, judge
from explorer.lab.summary import CONTROL, SetUp
from explorer.messages import Message, listed, ranged
from explorer.statistics import ANY, CHANGE, Estimate, interval

Held = Literal["held", "did not hold", "not shown"]


@dataclass(frozen=True)
class Finding:
    """A block's effect in one number of the short table, on the first seeds and, if it is shown there, on the others.

    Attributes:
        headline: the number. Its effect is what is lost, or how far it is from `Headline.null`, or from the control.
        block: name of the block.
        first: the effect on the seeds before `JUDGES`, corrected for the blocks of the headline.
        second: on the later seeds, corrected for every finding that is tested there; None where none was chosen.
    """

    headline: FindingsColumn
    block: str
    first: Verdict
    second: Verdict | None = None

    @property
    def held(self) -> Held:
        """Whether it was found, and found again with the same sign."""
        if self.second is None:
            return "not shown"
        same = self.first.estimate.mean * self.second.estimate.mean > 0
        return "held" if self.second.shown and same else "did not hold"


def effects(found: SetUp, headline: FindingsColumn) -> dict[str, dict[int, float]]:
    """Block -> seed -> effect, the larger the farther from nothing: of the blocks that have it."""
    out: dict[str, dict[int, float]] = {}
    control = found.of(CONTROL, headline.key)
    for block in found.blocks:
        values = found.of(block, headline.key)
        if headline.before is not None:
            before = found.of(block, headline.before)
            out[block] = {seed: before[seed] - value for seed, value in values.items() if seed in before}
        elif headline.null is not None:
            out[block] = {seed: value - headline.null for seed, value in values.items()}
        elif block != CONTROL:
            out[block] = {seed: value - control[seed] for seed, value in values.items() if seed in control}
    return out


def second_look(found: SetUp) -> list[Finding]:
    """Every effect of a set-up whose blocks have two seeds or more on both sides of `JUDGES`, by headline."""
    firsts: dict[tuple[str, str], Finding] = {}
    later: dict[tuple[str, str], Estimate] = {}
    for headline in measured(found):
        looks = {
            block: (_estimate(headline, early), _estimate(headline, late))
            for block, values in effects(found, headline).items()
            if len(early := [value for seed, value in values.items() if seed < JUDGES]) >= 2
            and len(late := [value for seed, value in values.items() if seed >= JUDGES]) >= 2
        }
        for block, verdict in judge({block: first for block, (first, _) in looks.items()}).items():
            firsts[headline.name, block] = Finding(headline, block, verdict)
            if verdict.shown:
                later[headline.name, block] = looks[block][1]
    tested = judge(later)
    return [Finding(one.headline, one.block, one.first, tested.get(name)) for name, one in firsts.items()]


def _estimate(headline: FindingsColumn, values: Sequence[float]) -> Estimate:
    return interval(values, CHANGE if headline.percent else ANY)


# ---- in words -------------------------------------------------------------------------------------------------------

#: The columns of `table`: whether a finding holds.
COLUMNS: Mapping[Held, str] = {
    "held": Message("found, and found again"),
    "did not hold": Message("found, and not found again"),
    "not shown": Message("not shown at the first look"),
}


def table(findings: Sequence[Finding]) -> list[tuple[str, Mapping[Held, str]]]:
    """A row for each headline: what its effect is, and the blocks of each column in words."""
    rows: dict[FindingsColumn, list[Finding]] = {}
    for one in findings:
        rows.setdefault(one.headline, []).append(one)
    return [
        (
            _effect(headline),
            {held: listed([_said(one) for one in some if one.held == held], "{first}; {rest}") for held in COLUMNS},
        )
        for headline, some in rows.items()
    ]


def _effect(headline: FindingsColumn) -> str:
    if headline.before is not None:
        return Message("{name}, points lost", name=Message(headline.name))
    if headline.null is None:
        return Message("{name}, points above the control", name=Message(headline.name))
    if headline.percent:
        return Message("{name}, points above {null} %", name=Message(headline.name), null=round(100 * headline.null))
    return Message("{name}, above {null}", name=Message(headline.name), null=round(headline.null))


def about(findings: Sequence[Finding]) -> list[str]:
    """How many were chosen and held, and what the table shows, in sentences."""
    tested = [one for one in findings if one.second is not None]
    if not findings:
        return [Message("No block has two seeds or more on both sides of seed {seed}.", seed=JUDGES)]
    return [
        Message(
            "{count} effects were looked at on the seeds before {seed}; {tested} were shown there and tested on "
            "the later ones, and {held} held.",
            count=len(findings),
            seed=JUDGES,
            tested=len(tested),
            held=sum(one.held == "held" for one in tested),
        ),
        Message(
            "First the effect on the first seeds, then that on the others, each with its 95 % interval over seeds. "
            "Effects are shown by t tests at 0.05, at the first look after Holm's correction for the blocks of a row, "
            "at the second for all that were tested. What was not shown may still be there: after “seen from” stands "
            "the effect that would have been shown in about {power} % of such experiments.",
            power=round(100 * POWER),
        ),
    ]


def _said(one: Finding) -> str:
    first = _number(one.headline, one.first.estimate)
    if one.second is None:
        return _seen(Message("{block} {said}", block=one.block, said=first), one.headline, one.first)
    second = _number(one.headline, one.second.estimate)
    if one.held == "held":
        return Message("{block} {first}, again {second}", block=one.block, first=first, second=second)
    said = Message("{block} {first}, then {second}", block=one.block, first=first, second=second)
    return _seen(said, one.headline, one.second)


def _seen(said: str, headline: FindingsColumn, one: Verdict) -> str:
    return Message("{said}, seen from {size}", said=said, size=_short(headline, one.likely)) if one.likely else said


def _number(headline: FindingsColumn, one: Estimate) -> str:
    low, high = (None if end is None else _short(headline, end) for end in (one.low, one.high))
    return ranged(_short(headline, one.mean), low, high)


def _short(headline: FindingsColumn, value: float) -> str:
    return f"{100 * value:.1f}" if headline.percent else f"{value:.2f}"


def lines(findings: Sequence[Finding]) -> list[str]:
    """The findings for the terminal."""
    out = [str(one) for one in about(findings)]
    for name, columns in table(findings):
        out += ["", str(name)]
        out += [f"  {COLUMNS[held]}: {said}" for held, said in columns.items() if said]
    return out


def markdown(findings: Sequence[Finding]) -> list[str]:
    """The findings as a table of Markdown, with what it shows before it."""
    out = [" ".join(map(str, about(findings))), "", f"| effect | {' | '.join(COLUMNS.values())} |"]
    out.append("| --- " * (1 + len(COLUMNS)) + "|")
    return [*out, *(f"| {name} | {' | '.join(columns.values())} |" for name, columns in table(findings))]


def record(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as plain values."""
    return [
        {
            "headline": str(one.headline.name),
            "block": one.block,
            "held": one.held,
            "first": _plain(one.first),
            "second": None if one.second is None else _plain(one.second),
        }
        for one in findings
    ]


def _plain(one: Verdict) -> dict[str, Any]:
    estimate = one.estimate
    return {
        "effect": estimate.mean, "low": estimate.low, "high": estimate.high, "seeds": estimate.n, "p": one.p,
        "could_be_seen": one.likely,
    }  # fmt: skip
