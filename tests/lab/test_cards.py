"""The laboratory's findings as sentences: what they say follows the table, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from explorer.blocks import short_name
from explorer.lab.cards import Card, cards, largest, shipped_cards
from explorer.lab.findings import GAP, SHAPE_BIAS, WHOLE, shifted, zoomed
from explorer.lab.summary import Key, SetUp, shipped
from explorer.lab.table import TableRow, load_table

NAMES = ["Translation", "Scale", "Shape", "Context", "Architecture or training?"]


class Made(SetUp):
    """A set-up whose numbers are given: block -> key -> a value a seed."""

    def __init__(self, name: str, values: Mapping[str, Mapping[Key, list[float]]]) -> None:
        super().__init__((), name)
        self.values = values

    @property
    def blocks(self) -> list[str]:
        return list(self.values)

    def of(self, block: str, key: Key) -> dict[int, float]:
        return dict(enumerate(self.values[block].get(key, ())))


def made(lost: Mapping[str, list[float]], accuracy: float = 0.99) -> Made:
    """Blocks that lose so much of their accuracy 8 px off, a value a seed."""
    return Made(
        "centred",
        {
            block: {
                WHOLE: [accuracy] * len(own),
                shifted(0): [accuracy] * len(own),
                shifted(8): [accuracy - one for one in own],
            }
            for block, own in lost.items()
        },
    )


def only(found: Mapping[str, SetUp]) -> Card:
    (card,) = cards(found)
    return card


def test_a_card_names_who_loses_least_and_most():
    card = only({"centred": made({"conv": [0.1, 0.11, 0.1], "mhsa": [0.8, 0.82, 0.81], "c2f": [0.3, 0.31, 0.3]})})
    assert card.name == "Translation"
    assert [one.block for one in card.models] == ["conv", "mhsa"]
    assert card.shown
    assert "Convolution loses 10 points" in card.sentence
    assert "Self-attention 81 points" in card.sentence
    assert card.seeds == 3


def test_it_turns_with_the_table():
    card = only({"centred": made({"conv": [0.8, 0.82, 0.81], "mhsa": [0.1, 0.11, 0.1]})})
    assert [one.block for one in card.models] == ["mhsa", "conv"]
    assert "Self-attention loses 10 points" in card.sentence


def test_what_is_not_shown_is_said():
    card = only({"centred": made({"conv": [0.1, 0.5, 0.3], "mhsa": [0.4, 0.2, 0.5]})})
    assert not card.shown
    assert "That they differ is not shown (3 seeds)." in card.sentence


def test_one_seed_may_be_chance():
    card = only({"centred": made({"conv": [0.1], "mhsa": [0.4]})})
    assert not card.shown
    assert "it may be chance" in card.sentence


def test_many_blocks_are_corrected_for():
    pair = {"conv": [0.10, 0.12, 0.11], "mhsa": [0.20, 0.19, 0.24]}
    assert only({"centred": made(pair)}).shown
    noisy = {name: [0.15, 0.16, 0.14] for name in ("axial", "c2f", "ca_c2f", "coord", "linear")}
    assert not only({"centred": made({**pair, **noisy})}).shown


def test_blocks_that_have_not_learnt_are_left_out():
    assert cards({"centred": made({"conv": [0.1, 0.1], "none": [0.6, 0.6]}, accuracy=0.9)}) == []
    assert cards({}) == []


def test_the_cards_that_ship_say_what_the_table_says():
    found = shipped_cards()
    assert [one.name for one in found] == NAMES
    keys = {"Translation": (shifted(8), shifted(0)), "Scale": (zoomed(0.5), zoomed(1.0))}
    centred = shipped("centred")
    for card in found:
        for number in card.numbers:
            assert number.low is not None
        if card.name in keys:
            after, before = (centred.mean(card.models[1].block, key) for key in keys[card.name])
            assert after is not None
            assert before is not None
            assert card.numbers[1].mean == pytest.approx(before.mean - after.mean, abs=1e-9)
            assert short_name(card.models[1].block) in card.sentence
    shape = next(one for one in found if one.name == "Shape")
    assert shape.numbers[1].mean == pytest.approx(shipped("cue").mean(shape.models[1].block, SHAPE_BIAS).mean)
    context = next(one for one in found if one.name == "Context")
    assert context.numbers[0].mean == pytest.approx(centred.mean(context.models[0].block, GAP).mean)


def test_the_largest_findings_have_every_block_from_least_to_most_and_come_by_how_far_these_lie_apart():
    found = largest(shipped_cards())
    assert len(found) == 3
    learnt = [block for block in shipped("centred").blocks if _accuracy(block) >= 0.95]
    for card in found:
        assert sorted(card.every) == sorted(learnt)
        means = [one.mean for one in card.every.values()]
        assert means == sorted(means)
        assert (means[0], means[-1]) == tuple(one.mean for one in card.numbers)
        assert card.middle in learnt
    gaps = [card.apart for card in found]
    assert gaps == sorted(gaps, reverse=True)
    others = [card for card in shipped_cards() if card.every and card.name not in [one.name for one in found]]
    assert all(card.apart <= gaps[-1] or not card.shown for card in others)


def test_another_table_gives_another_figure():
    def figure(lost: Mapping[str, list[float]]) -> tuple[list[str], str]:
        (card,) = largest(cards({"centred": made(lost)}))
        return list(card.every), card.middle

    assert figure({"conv": [0.1, 0.11], "mhsa": [0.8, 0.82], "c2f": [0.3, 0.31]}) == (["conv", "c2f", "mhsa"], "c2f")
    assert figure({"conv": [0.5, 0.51], "mhsa": [0.2, 0.22], "c2f": [0.7, 0.71]}) == (["mhsa", "conv", "c2f"], "conv")


def test_what_is_not_shown_comes_after_what_is():
    sure = only({"centred": made({"conv": [0.1, 0.11, 0.1], "mhsa": [0.3, 0.31, 0.3]})})
    unsure = only({"centred": made({"conv": [0.1, 0.9, 0.3], "mhsa": [0.9, 0.3, 0.95]})})
    assert unsure.apart > sure.apart
    assert largest([unsure, sure]) == [sure, unsure]
    assert largest([unsure, sure], 1) == [sure]


def _accuracy(block: str) -> float:
    found = shipped("centred").mean(block, WHOLE)
    assert found is not None
    return found.mean


def test_another_table_gives_another_card():
    def swapped(row: TableRow) -> TableRow:
        """Convolution and self-attention have each other's numbers."""
        other = {"lab/conv": "lab/mhsa", "lab/mhsa": "lab/conv"}
        name, _, seed = row.model.partition("#")
        return replace(row, model=f"{other[name]}#{seed}" if seed else other[name]) if name in other else row

    rows = [swapped(row) for row in load_table()]
    card = cards({"centred": SetUp(rows, "centred")})[0]
    assert card.models[1].block == "conv"
    loss = SetUp(rows, "centred").lost(shifted(0), shifted(8))["conv"].estimate
    assert f"Convolution {abs(loss.mean) * 100:.0f} points" in card.sentence
