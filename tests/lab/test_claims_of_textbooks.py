"""Claims of textbooks, judged on tables whose answer is known, and the verdicts that the documents quote."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.lab.claims import CLAIMS, JUDGES, BlockClaim, Count, Effect, Term
from explorer.lab.judging import judge_claims, lines, markdown, record
from explorer.lab.networks import LabModel
from explorer.lab.summary import Key
from explorer.lab.table import TableRow, load_table, packed
from explorer.models.spec import ModelSpec

KEY = Key.of("patch-shuffle", "accuracy", grid="1x1", group="all")


def rows(model: str, values: dict[int, float]) -> list[TableRow]:
    where = packed(dict(KEY.where))
    return [
        TableRow(
            str(ModelSpec.parse(f"{model}#{seed}")), "", "patch-shuffle", packed({}), packed({}), where,
            "accuracy", "share", value, None, None, "", 100,
        )
        for seed, value in values.items()
    ]  # fmt: skip


def judged(effect: float, above: float = 0.05, seeds: range = range(8)) -> str:
    jitter = {seed: 0.002 * (-1) ** seed for seed in seeds}
    table = [
        *rows("lab/mhsa", {seed: 0.6 + effect + jitter[seed] for seed in seeds}),
        *rows("lab/conv", dict.fromkeys(seeds, 0.6)),
    ]
    claim = BlockClaim("one", "One.", (Effect("more", Term("lab/mhsa", KEY), Term("lab/conv", KEY), above),))
    return judge_claims(table, [claim])[0].verdict


@pytest.mark.parametrize(
    ("effect", "verdict"), [(0.1, "supported"), (0.0, "contradicted"), (-0.3, "contradicted"), (0.0505, "undecided")]
)
def test_a_verdict_follows_from_the_effect(effect: float, verdict: str) -> None:
    assert judged(effect) == verdict


def test_one_seed_decides_nothing_and_none_tests_nothing() -> None:
    assert judged(0.3, seeds=range(1)) == "undecided"
    assert judged(0.3, seeds=range(0)) == "not tested"


def test_late_seeds_judge_where_there_are_any() -> None:
    early, late = dict.fromkeys(range(JUDGES), 0.9), {seed: 0.6 + 0.001 * seed for seed in range(JUDGES, 8)}
    table = [*rows("lab/mhsa", early | late), *rows("lab/conv", dict.fromkeys(range(8), 0.6))]
    claim = BlockClaim("one", "One.", (Effect("more", Term("lab/mhsa", KEY), Term("lab/conv", KEY), 0.05),))
    (one,) = judge_claims(table, [claim])
    assert one.verdict == "contradicted"
    assert one.results[0].seeds == 8 - JUDGES


def test_a_claim_needs_all_of_its_tests() -> None:
    table = [*rows("lab/mhsa", {s: 0.9 + 0.001 * s for s in range(4)}), *rows("lab/conv", dict.fromkeys(range(4), 0.5))]
    good = Effect("more", Term("lab/mhsa", KEY), Term("lab/conv", KEY), 0.1)
    bad = Effect("less", Term("lab/conv", KEY), Term("lab/mhsa", KEY), 0.1)
    counts = [Count("two", lambda: 2.0, lambda value, two=two: value == two) for two in (2, 3)]

    def said(*tests: Effect | Count) -> str:
        return judge_claims(table, [BlockClaim("one", "One.", tests)])[0].verdict

    assert said(good, counts[0]) == "supported"
    assert said(good, counts[1]) == "contradicted"
    assert said(good, bad) == "contradicted"
    assert said(counts[0]) == "supported"


def test_verdicts_are_corrected_for_the_number_of_claims() -> None:
    # One claim alone is shown; beside a hundred that are open it is not.
    values = {0: 0.62, 1: 0.66, 2: 0.61, 3: 0.67}
    table = [*rows("lab/mhsa", values), *rows("lab/conv", dict.fromkeys(range(4), 0.6))]
    test = Effect("more", Term("lab/mhsa", KEY), Term("lab/conv", KEY), -0.02)
    claim = BlockClaim("one", "One.", (test,))
    assert judge_claims(table, [claim])[0].verdict == "supported"
    assert {one.verdict for one in judge_claims(table, [claim] * 100)} == {"undecided"}


def test_every_model_of_a_claim_is_one_of_the_laboratory() -> None:
    for claim in CLAIMS:
        for test in claim.tests:
            for term in () if isinstance(test, Count) else filter(None, (test.first, test.second)):
                assert str(LabModel.of(ModelSpec.parse(term.model)).spec()) == term.model
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_the_documents_quote_the_verdicts_of_the_table() -> None:
    found = judge_claims(load_table())
    text = (Path(__file__).parents[2] / "docs" / "laboratory.md").read_text(encoding="utf-8")
    for line in markdown(found):
        assert line in text
    said = "\n".join(lines(found))
    for one, recorded in zip(found, record(found), strict=True):
        assert f"{one.verdict:>12}  {one.claim.sentence}" in said
        assert recorded["verdict"] == one.verdict
    # What was measured is never passed over: only models that are not trained are not tested.
    assert sum(one.verdict == "not tested" for one in found) <= 3
