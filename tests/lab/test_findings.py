"""What the laboratory's numbers say: intervals by hand, comparisons, sentences and figures from made-up rows."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

import explorer
from explorer.blocks import BLOCKS
from explorer.errors import ParameterError
from explorer.figures.interactive import separate
from explorer.figures.looks import LOOKS
from explorer.figures.saving import save
from explorer.figures.sheet import Section, Sheet
from explorer.figures.static import image
from explorer.lab import sheets
from explorer.lab.findings import HEADLINES, findings_of, lines, measured
from explorer.lab.intervals import difference, judge
from explorer.lab.summary import CONTROL, Key, SetUp, set_ups, shipped_blocks, shipped_index, summary, within
from explorer.lab.table import TableRow, load_table, packed
from explorer.statistics import CHANGE, POSITIVE, SHARE, Estimate, interval

# ---- intervals ------------------------------------------------------------------------------------------------------


def test_differences_are_paired_by_seed_where_seeds_match() -> None:
    first, second = {0: 0.9, 1: 0.5, 2: 0.7}, {0: 0.8, 1: 0.4, 2: 0.6, 3: 0.1}
    found = difference(first, second, SHARE)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((0.1, 0.1, 0.1, 3))
    assert found.p_value(0.0) == 0
    # Without common seeds, Welch, and no share differs by more than 1.
    found = difference({0: 0.9, 1: 0.7}, {5: 0.4, 6: 0.8}, SHARE)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, -1, 1))
    alone = difference({0: 0.9}, {0: 0.4}, SHARE)
    assert (alone.mean, alone.low, alone.p_value(0.0)) == (0.5, None, None)
    low = difference({0: 9.0, 1: 1.0}, {0: 1.0, 1: 9.0}, POSITIVE).low
    assert low is not None
    assert low < -1


def test_what_is_judged_is_corrected_and_says_what_it_could_have_shown() -> None:
    # Three seeds, s / sqrt(3) = 0.01: p of t = d / 0.01 with 2 degrees of freedom.
    spread = 0.01 * math.sqrt(3)
    estimates = {str(d): interval([d - spread, d, d + spread], CHANGE) for d in (0.05, 0.055, 0.3)}
    alone = {name: one.p_value(0.0) for name, one in estimates.items()}
    assert all(p < 0.05 for p in alone.values())
    found = judge(estimates)
    assert found["0.3"].p == pytest.approx(3 * alone["0.3"])
    assert found["0.05"].p == found["0.055"].p == pytest.approx(2 * alone["0.055"])
    assert [one.shown for one in found.values()] == [False, False, True]
    assert judge({"0.05": estimates["0.05"]})["0.05"].shown
    # A difference of the least size is shown beside the same others, one that is a little smaller is not.
    least = found["0.055"].least
    assert least is not None
    for size, shown in ((least + 1e-6, True), (least - 1e-6, False)):
        again = judge({**estimates, "0.055": interval([size - spread, size, size + spread], CHANGE)})
        assert again["0.055"].shown is shown
    one = judge({"a": interval([0.4], CHANGE)})["a"]
    assert (one.p, one.shown, one.least, one.likely) == (None, None, None, None)


def test_a_difference_that_could_have_been_seen_is_shown_four_times_of_five() -> None:
    draw = random.Random(6)
    size = Estimate(0.0, None, None, 4, 0.01, 3).least(0.05, 0.8)  # four seeds whose spread is 0.02
    assert size is not None
    assert size > (Estimate(0.0, None, None, 4, 0.01, 3).least(0.05) or 0)
    shown = 0
    for _ in range(3000):
        p = interval([size + draw.gauss(0, 0.02) for _ in range(4)], CHANGE).p_value(0.0)
        assert p is not None
        shown += p <= 0.05
    assert shown / 3000 == pytest.approx(0.8, abs=0.05)


# ---- the table that ships -------------------------------------------------------------------------------------------


def test_no_interval_of_the_table_that_ships_lies_beyond_what_is_possible() -> None:
    some = [row for row in load_table() if row.lab.training == "aug"]
    found = summary(some)
    assert found
    for one in found:
        bounds = within(one.measure, one.unit)
        assert one.low is None or bounds.low <= one.low <= one.mean <= one.high <= bounds.high, one
        assert one.shown_to_differ == (None if one.p is None else one.p <= 0.05)
    for row in load_table():
        bounds = within(row.measure, row.unit)
        assert row.value is None or bounds.low <= row.value <= bounds.high, row


def test_the_set_ups_are_known_without_the_rows() -> None:
    assert {name: list(blocks) for name, blocks in shipped_blocks().items()} == {
        name: SetUp(shipped_index(), name).blocks for name in set_ups(load_table())
    }


def test_every_headline_was_measured_and_has_one_row_a_seed() -> None:
    for name in set_ups(load_table()):
        found = SetUp(load_table(), name)
        assert found.seeds >= 4
        detects = [headline for headline in HEADLINES if headline.key.probe == "detection"]
        assert measured(found) == (detects if name == "detect" else [one for one in HEADLINES if one not in detects])
        for headline in measured(found):
            for block in found.blocks:
                if headline.name != "map on object":
                    assert len(found.of(block, headline.key)) >= 4, (block, headline.name)
            for key in filter(None, (headline.key, headline.before)):
                rows = [row for block in found.blocks for row in found.rows(block, key).values()]
                assert len({(row.unit, row.parameters, row.scenes) for row in rows}) == 1


def test_a_measure_has_one_unit_whichever_probe_has_it() -> None:
    units: dict[str, set[str]] = {}
    for row in load_table():
        units.setdefault(row.measure, set()).add(row.unit)
    assert {"accuracy", "BG-gap", "shape bias", "attention mass ratio", "accuracy among arrangements"} <= set(units)
    assert all(len(some) == 1 for some in units.values()), units
    # And what is said to be a share is one.
    for row in explorer.probe("consistency", ["lab/none"], 3, device="cpu").rows:
        if row["unit"] in ("share", "probability"):
            assert row["low"] is None or 0 <= row["low"] <= row["value"] <= row["high"] <= 1, row


def test_no_sentence_claims_sameness() -> None:
    shipped = load_table()
    drawn = [chart for one in set_ups(shipped) for chart in sheets.charts(SetUp(shipped, one)).values()]
    said = " ".join([*lines(shipped), *(text for chart in drawn for text in (chart.title, chart.unit))])
    assert "not shown to differ" in said
    for word in ("indistinguish", "no change beyond", "same as the control", "not to be told"):
        assert word not in said.lower()


# ---- summary and sentences ------------------------------------------------------------------------------------------

_PARAMETERS = {"context": {}, "patch-shuffle": {"draws": 1}, "translation": {"grid": "axes"}, "scale": {}}


def _row(block: str, seed: int, key: Key, value: float, set_up: str = "lab/{}{}") -> TableRow:
    name = set_up.format(block, f"#{seed}" if seed else "")
    unit = "x an even map" if "ratio" in key.measure else "difference of shares" if "gap" in key.measure else "share"
    parameters = packed(_PARAMETERS.get(key.probe, {}))
    what = (key.probe, parameters, "{}", packed(dict(key.where)), key.measure, unit)
    return TableRow(name, "0123", *what, value, None, None, "", 144)


BY_NAME = {headline.name: headline for headline in HEADLINES}
ALL, FAR, NEAR = BY_NAME["in distribution"].key, BY_NAME["8 px off"].key, BY_NAME["8 px off"].before
assert NEAR is not None
NATIVE = BY_NAME["map on object"].key


def _some_rows(seeds: int = 3, set_up: str = "lab/{}{}") -> list[TableRow]:
    values = {
        "none": {ALL: 0.4, NEAR: 0.4, FAR: 0.38},
        "se": {ALL: 0.4, NEAR: 0.4, FAR: 0.39},
        "mhsa": {ALL: 0.95, NEAR: 0.95, FAR: 0.15},
        "c2f": {ALL: 0.98, NEAR: 0.98, FAR: 0.97},
    }
    jitter = {"none": 0.001, "se": -0.001, "mhsa": 0.002, "c2f": 0.0}  # differs between seeds, not in the mean
    rows = [
        _row(block, seed, key, value + jitter[block] * (seed - (seeds - 1) / 2), set_up)
        for block, keys in values.items()
        for seed in range(seeds)
        for key, value in keys.items()
    ]
    return rows + [_row("mhsa", seed, NATIVE, 1.7, set_up) for seed in range(seeds)]


def test_the_summary_compares_with_the_control() -> None:
    def keyed(rows: list[TableRow]) -> dict[tuple[str, str, str], object]:
        return {(one.block, one.probe, one.conditions): one for one in summary(rows)}

    def at(block: str, key: Key) -> tuple[str, str, str]:
        return block, key.probe, packed(dict(key.where))

    found = keyed(_some_rows())
    assert found[at("none", ALL)].shown_to_differ is None
    assert found[at("se", ALL)].shown_to_differ is False
    mhsa = found[at("mhsa", ALL)]
    assert (mhsa.mean, mhsa.difference) == pytest.approx((0.95, 0.55))
    assert mhsa.shown_to_differ is True
    assert (mhsa.n, mhsa.seeds) == (3 * 144, 3)
    assert found[at("mhsa", NATIVE)].shown_to_differ is None  # none has no map
    one = keyed(_some_rows(1))[at("mhsa", ALL)]
    assert (one.low, one.shown_to_differ) == (None, None)
    other = [row for row in _some_rows(set_up="lab/{}-cue{}") if "mhsa" in row.model]
    assert all(one.difference is None for one in summary(other))  # a control of another set-up is none
    nothing = [replace(row, value=None) for row in _some_rows()]
    assert summary(nothing) == []


def test_a_key_that_leaves_a_condition_open_is_refused() -> None:
    found = SetUp(_some_rows(), "centred")
    with pytest.raises(LookupError, match="distance"):
        found.of("mhsa", Key("translation", "accuracy"))
    assert found.places(Key("translation", "accuracy"), "distance") == [0, 8]
    assert found.of("mhsa", Key.of("translation", "accuracy", distance=8, grid="axes")) == found.of("mhsa", FAR)
    assert found.of("mhsa", Key.of("translation", "accuracy", distance=8, grid="square")) == {}


def test_sentences_come_from_the_numbers() -> None:
    text = "\n".join(findings_of(_some_rows()))
    assert "mhsa loses 80 points (80 to 80), 15 % left" in text
    assert "c2f loses 1.0 points" in text
    assert "Not shown to differ from the control none (3 seeds): se 40 %, seen from 0.5 points." in text
    assert "mhsa 1.70" in text
    names = {"lab/mhsa": "lab/c2f", "lab/c2f": "lab/mhsa"}
    swapped = [
        replace(row, model=names.get(row.model.partition("#")[0], row.model.partition("#")[0]) + f"#{row.seed}")
        for row in _some_rows()
    ]
    assert "c2f loses 80 points" in "\n".join(findings_of(swapped))
    assert "one seed" in findings_of(_some_rows(1))[0]
    assert findings_of(_some_rows(), "cue") == []
    both = _some_rows() + [replace(row, value=0.9) for row in _some_rows(set_up="lab/{}-aug{}") if "mhsa" in row.model]
    assert "mhsa 0 instead of 80" in "\n".join(findings_of(both, "aug"))


def test_the_short_table_marks_what_is_like_the_control() -> None:
    said = lines(_some_rows())
    line = next(line for line in said if line.startswith("se "))
    assert "~40" in line
    assert "98 (98 to 98)" in next(line for line in said if line.startswith("c2f "))


# ---- figures --------------------------------------------------------------------------------------------------------


def test_every_block_has_its_own_look() -> None:
    assert set(LOOKS) == set(BLOCKS)
    assert len({look.colour for look in LOOKS.values()}) == len(BLOCKS)


@pytest.fixture(scope="module")
def many() -> SetUp:
    """A set-up with every chart's measurements."""
    some = [row for row in load_table() if row.model in ("lab/mhsa", "lab/detect+mhsa")]
    means = {"none": 0.4, "se": 0.4, "mhsa": 0.8}
    rows = [
        replace(
            row,
            model=f"lab/{block}#{seed}",
            value=mean + 0.01 * (seed - 1) * (1 if block == "se" else -1),
        )
        for block, mean in means.items()
        for seed in range(3)
        for row in some
        if row.measure != "attention mass ratio" or (block, seed) == ("mhsa", 0)
    ]
    return SetUp(rows, "centred")


@pytest.mark.parametrize("name", sheets.CHARTS)
def test_a_chart_shows_blocks_intervals_and_what_is_like_the_control(name: str, many: SetUp) -> None:
    chart = sheets.charts(many)[name]
    assert [line.name for line in chart.lines] == ["none † (control)", "mhsa †", "se †"]
    assert "not shown to differ from the control" in chart.unit
    none, mhsa, se = chart.lines
    assert all(se.hollow)
    assert not any(mhsa.hollow)
    assert not any(none.hollow)
    for line, block in ((none, "none"), (mhsa, "mhsa"), (se, "se")):
        assert (line.colour, line.symbol) == (LOOKS[block].colour, LOOKS[block].symbol)
    if name == "maps":
        assert mhsa.x == ("native map", "Grad-CAM")
        assert se.x == ("Grad-CAM",)  # a map that a block does not have is no point
        assert math.isnan(mhsa.low[0])  # one seed, no interval
    else:
        assert all(low < y < high for low, y, high in zip(mhsa.low, mhsa.y, mhsa.high))
        assert {round(y, 6) for y in mhsa.y} == {0.8}
    if name in ("translation", "scale", "patch-shuffle"):
        assert mhsa.joined
        assert chart.levels == ((1 / 12, "chance, 1/12"),)
        assert list(mhsa.x) == sorted(mhsa.x)
        assert len(mhsa.x) >= 6
    assert [line.name for line in sheets.charts(many, ["mhsa"])[name].lines] == ["mhsa †"]


def test_charts_refuse_what_was_not_measured(many: SetUp) -> None:
    with pytest.raises(ParameterError, match="no measurement of 'eca'"):
        sheets.charts(many, ["eca"])
    empty = SetUp([], "cue")
    with pytest.raises(ParameterError, match="there are: none"):
        sheets.charts(empty, ["mhsa"])
    assert all(chart.lines == () for chart in sheets.charts(empty).values())


def test_hollow_points_and_levels_are_drawn_on_the_page_and_still(many: SetUp) -> None:
    for name in ("translation", "context"):
        chart = sheets.charts(many)[name]
        figure = separate(chart)
        (trace,) = [one for one in figure.data if one.name == "se †" and one.marker.symbol]
        assert set(trace.marker.color) == {"#FFFFFF"}
        assert trace.marker.line.color == LOOKS["se"].colour
        level, words = chart.levels[0]
        assert any(one.y0 == one.y1 == level for one in figure.layout.shapes)
        assert any(one.text == words and one.y == level for one in figure.layout.annotations)
        filled = tuple(replace(line, hollow=()) for line in chart.lines)
        others = (replace(chart, levels=()), replace(chart, lines=filled))
        drawn, *without = (image(Sheet("t", (Section("", ((one,),)),))).tobytes() for one in (chart, *others))
        assert drawn not in without


def test_the_sheet_has_each_set_up_with_its_findings(tmp_path) -> None:
    rows = [*_some_rows(), *_some_rows(set_up="lab/{}-cue{}")]
    sheet = sheets.sheet(rows)
    assert [section.heading for section in sheet.sections] == [
        "Trained on centred objects",
        "Trained where shape and texture agree",
    ]
    for section in sheet.sections:
        drawn = {panel.title for row in section.rows for panel in row}
        assert drawn == {"In distribution", "Translation", "Maps on the object"}  # what was measured, and no more
        assert any("mhsa loses 80 points" in note for note in section.notes)
    page = save(sheet, tmp_path / "lab.html").read_text()
    assert "<script src=" not in page
    assert CONTROL in page
