"""What the laboratory's models say to the claims of `explorer.lab.claims`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from explorer.lab.claims import CLAIMS, JUDGES, UNITS, BlockClaim, Count, Effect, Term
from explorer.lab.intervals import LEVEL, difference
from explorer.lab.networks import LabModel
from explorer.lab.summary import Index, within
from explorer.lab.table import TableRow, load_few
from explorer.messages import Message, ranged
from explorer.models.spec import ModelSpec
from explorer.statistics import ANY, POSITIVE, Estimate, Range, holm, interval

Verdict = Literal["supported", "contradicted", "undecided", "not tested"]


@dataclass(frozen=True)
class Tested:
    """What one test gave.

    Attributes:
        says: the effect in words.
        effect: its number with the 95 % interval over seeds, and what it had to exceed.
        p: two-sided, of Student's t, as it is; None for a count and without two seeds.
        verdict: of this test alone.
        seeds: how many judged; 0 for a count.
    """

    says: str
    effect: str
    p: float | None
    verdict: Verdict
    seeds: int


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    It is supported where each of its tests is (so the largest p counts), contradicted where one is (so the smallest
    counts, times their number). That p is corrected after Holm for all claims; None where nothing has been tested.
    """

    claim: BlockClaim
    verdict: Verdict
    p: float | None
    results: tuple[Tested, ...]


def _values(index: Index, term: Term) -> tuple[dict[int, float], Range]:
    """A value for each seed, and between which these can lie."""
    model = _model(term.model)
    found: dict[int, list[float]] = {}
    range_ = ANY
    for row in index.rows(model, term.key):
        if row.value is not None:
            found.setdefault(row.seed, []).append(row.value)
            range_ = within(row.measure, row.unit)
    if term.spread:
        return {seed: max(values) - min(values) for seed, values in found.items()}, POSITIVE
    several = next((values for values in found.values() if len(values) > 1), None)
    if several is not None:
        raise LookupError(f"{term.key} of {term.model} leaves a condition open: it has {len(several)} rows")
    return {seed: value for seed, (value,) in found.items()}, range_


def _model(spec: str) -> LabModel:
    return LabModel.of(ModelSpec.parse(spec))


def _judging(values: Mapping[int, float]) -> Mapping[int, float]:
    late = {seed: value for seed, value in values.items() if seed >= JUDGES}
    return late or values


def judge_claims(rows: Index | Iterable[TableRow], claims: Sequence[BlockClaim] = CLAIMS) -> list[Judged]:
    """Judge every claim on a table, or on its index."""
    index = Index.of(rows)
    results = [
        tuple(
            _counted(test) if isinstance(test, Count) else _tested(test, _effect(index, test)) for test in claim.tests
        )
        for claim in claims
    ]
    said = [_said(some) for some in results]
    raw = {at: p for at, (_, p) in enumerate(said) if p is not None}
    corrected = dict(zip(raw, holm(list(raw.values()))))
    out = []
    for at, (claim, some, (verdict, _)) in enumerate(zip(claims, results, said)):
        p = corrected.get(at)
        out.append(Judged(claim, "undecided" if p is not None and p > LEVEL else verdict, p, some))
    return out


def shipped_claims() -> list[Judged]:
    """The claims judged on the table that ships, of which no more rows are read than they need."""
    tests = [test for claim in CLAIMS for test in claim.tests if isinstance(test, Effect)]
    return judge_claims(load_few(term.key for test in tests for term in (test.first, test.second) if term is not None))


def _said(results: Sequence[Tested]) -> tuple[Verdict, float | None]:
    """What the tests of a claim say together, and its p before it is corrected for other claims."""
    if all(one.verdict == "not tested" for one in results):
        return "not tested", None
    against = [_p(one) for one in results if one.verdict == "contradicted"]
    if against:
        return "contradicted", min(1.0, min(against) * len(results))
    if all(one.verdict == "supported" for one in results):
        return "supported", max(map(_p, results))
    return "undecided", 1.0


def _p(one: Tested) -> float:
    return 0.0 if one.p is None else one.p  # a count is certain


def _effect(index: Index, test: Effect) -> Estimate | None:
    first, range_ = _values(index, test.first)
    first = dict(_judging(first))
    if test.second is None:
        return interval(list(first.values()), range_) if first else None
    second = dict(_judging(_values(index, test.second)[0]))
    return difference(first, second, range_) if first and second else None


def _tested(test: Effect, effect: Estimate | None) -> Tested:
    words, factor, digits = UNITS[test.unit]
    if effect is None:
        return Tested(test.says, Message("its models are not trained yet"), None, "not tested", 0)
    mean, *ends = (
        None if one is None else f"{round(one * factor, digits) + 0.0:.{digits}f}"  # there is no -0.00
        for one in (effect.mean, effect.low, effect.high)
    )
    number = Message("{value} {unit}", value=mean, unit=words)
    said = Message("{effect}, claimed: more than {threshold}", effect=ranged(number, *ends), threshold=test.threshold)
    p = effect.p_value(test.above)
    verdict: Verdict = "undecided"
    if p is not None and p <= LEVEL:
        verdict = "supported" if effect.mean > test.above else "contradicted"
    return Tested(test.says, said, p, verdict, effect.n)


def _counted(test: Count) -> Tested:
    value = test.of()
    return Tested(test.says, f"{value:.{test.digits}f}", None, "supported" if test.holds(value) else "contradicted", 0)


#: Verdicts in words.
VERDICTS: Mapping[Verdict, str] = {
    "supported": Message("supported"),
    "contradicted": Message("contradicted"),
    "undecided": Message("undecided"),
    "not tested": Message("not tested"),
}


def lines(judged: Sequence[Judged]) -> list[str]:
    """The claims for the terminal: a sentence with its verdict, and its tests below."""
    out: list[str] = []
    for one in judged:
        out.append(f"{one.verdict:>12}  {one.claim.sentence}")
        out += [f"{'':>12}  - {test.says}: {test.effect}{_tail(test)}" for test in one.results]
    return out


def markdown(judged: Sequence[Judged]) -> list[str]:
    """The claims as a table of Markdown."""
    out = ["| What is said | Verdict | What was measured |", "| --- | --- | --- |"]
    for one in judged:
        tests = "<br>".join(f"{test.says}: {test.effect}{_tail(test)}" for test in one.results)
        out.append(f"| {one.claim.sentence} | {one.verdict} | {tests} |")
    return out


def _tail(test: Tested) -> str:
    return f" ({test.seeds} seeds, p = {test.p:.2g}: {test.verdict})" if test.p is not None else ""


def record(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """The claims as plain values."""
    return [
        {
            "name": one.claim.name,
            "claim": str(one.claim.sentence),
            "verdict": one.verdict,
            "p": one.p,
            "tests": [
                {"what": str(test.says), "effect": str(test.effect), "p": test.p, "seeds": test.seeds,
                 "verdict": test.verdict}
                for test in one.results
            ],
        }
        for one in judged
    ]  # fmt: skip
