"""A few rows of the table that ships: the same as those that reading all of it gives."""

from __future__ import annotations

import re

import pytest

from explorer.lab.cards import TOPICS, cards, shipped_cards
from explorer.lab.findings import WHOLE, shifted
from explorer.lab.judging import judge_claims, shipped_claims
from explorer.lab.summary import Key, SetUp
from explorer.lab.table import load_few, load_table

pytestmark = pytest.mark.skipif(not load_table(), reason="no table ships")


@pytest.mark.parametrize("key", [shifted(8), WHOLE, Key.of("detection", "AP"), Key("scale", "accuracy")])
def test_they_are_the_rows_that_a_key_fits(key):
    every = [row for row in load_table() if (row.probe, row.measure) == (key.probe, key.measure) and key.fits(row)]
    few = load_few([key])
    assert few
    assert sorted(few, key=repr) == sorted(every, key=repr)


def test_a_row_that_two_keys_fit_comes_once():
    wide = Key("translation", "accuracy")
    assert len(load_few([wide, shifted(8), wide])) == len(load_few([wide]))


def test_what_nobody_measured_has_none():
    assert load_few([Key.of("translation", "accuracy", distance=-1)]) == []
    assert load_few([]) == []


def test_cards_and_claims_are_those_of_the_whole_table():
    assert len(TOPICS) == 4
    rows = load_table()
    assert shipped_cards() == cards({name: SetUp(rows, name) for name in ("centred", "aug", "cue")})
    assert shipped_claims() == judge_claims(rows)
    # What rounds to nothing has no sign.
    assert not [
        test.effect for one in shipped_claims() for test in one.results if re.search(r"-0\.0+\b", str(test.effect))
    ]
