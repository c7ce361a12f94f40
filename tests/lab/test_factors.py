"""Two blocks, each trained in two ways: main effects known in advance, and the table that ships."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from explorer.lab.factors import Factors, factors, shipped_factors
from explorer.lab.findings import SHAPE_BIAS, WHOLE, shifted
from explorer.lab.summary import shipped

from .test_cards import Made

#: What is added to a number in each of four seeds: it has no mean.
NOISE = (0.01, -0.01, 0.005, -0.005)


def made(name: str, lost: Mapping[str, float], noise: tuple[float, ...] = NOISE) -> Made:
    """Blocks that lose so much of their accuracy 8 px off, the same noise in the seeds of each."""
    return Made(
        name,
        {
            block: {
                WHOLE: [0.99] * len(noise),
                shifted(0): [0.99] * len(noise),
                shifted(8): [0.99 - one - (index + 1) * extra for extra in noise],
            }
            for index, (block, one) in enumerate(lost.items())
        },
    )


def only(centred: Mapping[str, float], aug: Mapping[str, float]) -> Factors:
    (found,) = factors({"centred": made("centred", centred), "aug": made("aug", aug)})
    return found


def test_main_effects_are_means_of_the_differences():
    found = only({"conv": 0.1, "mhsa": 0.8, "c2f": 0.3}, {"conv": 0.0, "mhsa": 0.1, "c2f": 0.05})
    assert found.blocks == ("conv", "mhsa")
    assert found.trainings == ("centred", "aug")
    assert found.block.mean == pytest.approx((0.7 + 0.1) / 2)
    assert found.training.mean == pytest.approx((0.1 + 0.7) / 2)
    assert found.interaction.mean == pytest.approx(0.7 - 0.1)
    assert found.cells["aug", "mhsa"].mean == pytest.approx(0.1)
    assert found.seeds == 4
    assert found.more == ""
    assert found.depends
    assert "Neither is shown to explain more (4 seeds)" in found.sentence
    assert "they act together: the two blocks are 70 points apart when trained on centred objects, 10" in found.sentence


def test_training_explains_more_where_it_does():
    found = only({"conv": 0.7, "mhsa": 0.8}, {"conv": 0.1, "mhsa": 0.2})
    assert found.more == "training"
    assert not found.depends
    assert found.sentence.startswith("Training explains more: it makes 60 points")
    assert "That they act together is not shown" in found.sentence


def test_the_block_explains_more_where_it_does():
    found = only({"conv": 0.1, "mhsa": 0.8}, {"conv": 0.05, "mhsa": 0.75})
    assert found.more == "block"
    assert found.sentence.startswith("The block explains more: it makes 70 points")


def test_an_effect_counts_whichever_way_it_goes():
    found = only({"conv": 0.1, "mhsa": 0.2}, {"conv": 0.7, "mhsa": 0.8})
    assert found.training.mean == pytest.approx(0.6)
    assert found.more == "training"


def test_with_one_seed_nothing_is_shown():
    centred, aug = made("centred", {"conv": 0.1, "mhsa": 0.8}, (0.0,)), made("aug", {"conv": 0.1, "mhsa": 0.2}, (0.0,))
    (found,) = factors({"centred": centred, "aug": aug})
    assert (found.more, found.depends, found.seeds) == ("", False, 1)


def test_there_is_none_without_the_other_training():
    assert factors({}) == []
    assert factors({"centred": made("centred", {"conv": 0.1, "mhsa": 0.8})}) == []


def test_the_tables_that_ship_have_the_numbers_of_the_set_ups():
    off, scale, shape = shipped_factors()
    assert [one.trainings for one in (off, scale, shape)] == [
        ("centred", "aug"),
        ("centred", "aug"),
        ("cue", "centred"),
    ]
    for (training, block), number in off.cells.items():
        before, after = (shipped(training).mean(block, shifted(distance)) for distance in (0, 8))
        assert before is not None
        assert after is not None
        assert number.mean == pytest.approx(before.mean - after.mean, abs=1e-9)
        assert number.low is not None
    for (training, block), number in shape.cells.items():
        bias = shipped(training).mean(block, SHAPE_BIAS)
        assert bias is not None
        assert number.mean == pytest.approx(bias.mean)
