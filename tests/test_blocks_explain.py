"""Explanations: complete, true to the block, drawn inside the width of a telephone, and their Python runs."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from naive_blocks import NAIVE

import explorer
from explorer.blocks import BLOCKS
from explorer.blocks.cost import measured_cost
from explorer.blocks.diagram import WIDTH, laid_out, place, width
from explorer.blocks.explain import explain
from explorer.errors import ParameterError, UnknownNameError
from explorer.kinds import KINDS

each_block = pytest.mark.parametrize("name", list(BLOCKS))


@pytest.mark.parametrize("name", NAIVE)
def test_nothing_is_left_unsaid(name: str) -> None:
    one, block = explain(name), BLOCKS[name]
    assert one.name == name
    for field in ("title", "question", "definition", "formula", "plain", "order", "cost", "map", "means", "source"):
        words = getattr(one, field)
        assert words or (name, field) == ("none", "definition"), field
        assert "\n" not in words
    assert one.strengths
    assert one.weaknesses
    assert all(sentence.endswith(".") for sentence in (*one.strengths, *one.weaknesses, one.means))
    assert one.options is block.options
    if block.kind is None:
        assert (one.kind_title, one.means) == ("", block.no_map)
    else:
        assert one.kind_title == KINDS[block.kind]
        assert one.means_not
    assert not re.search(r"[<>&]\w+>", one.definition + one.means)  # words, no markup
    assert set(block.about.example) <= set(block.options)


def test_nothing_refers_readers_to_a_note_that_they_have_never_seen() -> None:
    named = re.compile(
        r"study.note|\bnote's|\bthe note (?:says|calls|gives|spells|writes|draws)|as printed|笔记(?!本)", re.IGNORECASE
    )
    root = Path(explorer.__file__).parents[1]
    files = [path for folder in ("explorer", "assets", "docs", "examples") for path in (root / folder).rglob("*")]
    read = [
        root / "README.md",
        *(path for path in files if path.suffix in {".py", ".js", ".css", ".json", ".yaml", ".md"}),
    ]
    assert len(read) > 100
    assert not [(path.name, found.group()) for path in read if (found := named.search(path.read_text("utf-8")))]


def test_what_is_often_said_is_corrected_where_it_is_said() -> None:
    for name in ("axial", "channel", "linear"):
        assert "O(n d + n^2)" in explain(name).correction
    assert "equivariance" in explain("conv").correction
    assert "Cascaded Cross Fusion" in explain("c2f").correction


def test_an_unknown_block_offers_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="axial"):
        explain("axail")


@each_block
def test_the_lines_of_python_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    example = explain(name).example
    assert 8 <= len(example.strip().splitlines()) <= 12
    exec(compile(example, f"<{name}>", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("torch.Size([2, 64, 14, 14])")
    assert ("layer3.block" in said) == (BLOCKS[name].kind is not None)


@each_block
def test_diagrams_fit_and_nothing_overlaps(name: str) -> None:
    diagram = explain(name).diagram
    places = place(diagram)
    nodes = {node.name: node for row in diagram.rows for node in row}
    assert len(nodes) == sum(len(row) for row in diagram.rows)
    level = {node.name: number for number, row in enumerate(diagram.rows) for node in row}
    for start, end, *_ in diagram.edges:
        assert level[start] < level[end]
    joined = {name for edge in diagram.edges for name in edge[:2]}
    assert joined == set(nodes)
    for row in diagram.rows:
        spans = sorted((places[n.name][0] - width(n) / 2, places[n.name][0] + width(n) / 2) for n in row)
        assert spans[0][0] >= 2
        assert spans[-1][1] <= WIDTH - 2
        assert all(left[1] + 4 <= right[0] for left, right in pairwise(spans))
    # A map is outlined exactly where the block has one.
    assert any(node.role == "map" for node in nodes.values()) == (BLOCKS[name].kind is not None)


@each_block
def test_arrows_lead_from_box_to_box(name: str) -> None:
    diagram = explain(name).diagram
    found = laid_out(diagram)
    assert found["width"] == WIDTH
    boxes = {(node.name): box for node, box in zip((node for row in diagram.rows for node in row), found["boxes"])}
    assert len(boxes) == len(found["boxes"])
    for (start, end, *via), points in zip(diagram.edges, found["arrows"], strict=True):
        (x0, y0), (x1, y1) = points[0], points[-1]
        above, below = boxes[start], boxes[end]
        assert [x0, y0] == pytest.approx([above["at"][0], above["at"][1] + above["size"][1] / 2], abs=0.1)
        assert x1 == below["at"][0]
        assert 0 < below["at"][1] - below["size"][1] / 2 - y1 < 10  # the tip
        assert len(points) == (8 if via else 4)
        assert not via or points[3][0] == points[4][0] == pytest.approx(via[0] * WIDTH, abs=0.1)
        assert all(0 <= x <= WIDTH and 0 <= y <= found["height"] for x, y in points)
    assert all(box["at"][1] + box["size"][1] / 2 <= found["height"] for box in found["boxes"])
    assert (found["key"] is None) == (BLOCKS[name].kind is None)


#: Terms of the multiply-adds at d channels with the defaults: power of n -> coefficient.
D = 32
TERMS: dict[str, dict[float, float]] = {
    "none": {},
    "conv": {1: 9 * D},
    "mhsa": {1: 4 * D * D, 2: 2 * D},
    "axial": {1: 8 * D * D, 1.5: 4 * D},
    "channel": {1: 4 * D * D + 2 * D * D},
    "linear": {1: 3 * D * D + 2 * D},
    "c2f": {1: 2 * 16 * D + 18 * 256 + 3 * 16 * D},
    "c2f_gate": {1: 18 * D * D + D},
    "coord": {0.5: 2 * 2 * 8 * D},
    "ca_c2f": {1: 2 * 16 * D + 18 * 256 + 3 * 16 * D, 0.5: 2 * 2 * 8 * 16},
    "se": {0: 2 * 8 * D},
    "eca": {0: 3 * D},
    "cbam": {0: 4 * 8 * D, 1: 98},
    "nonlocal": {1: 4 * 8 * D, 2: 2 * 8},
}


@pytest.mark.parametrize("name", TERMS)
def test_counted_costs_have_the_terms_of_the_formula_and_no_others(name: str) -> None:
    measured = measured_cost(name, (2, 3), D, repeats=1)
    assert measured.terms == pytest.approx(TERMS[name])
    assert set(measured.terms) == set(TERMS[name])
    assert measured.order == max(TERMS[name], default=0)
    block = BLOCKS[name](D, (2, 2))
    for point in measured.points:
        assert point.positions == point.side**2
        assert point.multiply_adds == block.multiply_adds(point.side, point.side)
        assert point.milliseconds >= 0


def test_time_grows_faster_with_full_attention_than_with_separable() -> None:
    full, axial, linear = (measured_cost(name, (16, 32, 56), 16) for name in ("mhsa", "axial", "linear"))
    # Timings on a busy machine are rough; the difference is not.
    assert full.exponent > axial.exponent + 0.2
    assert full.exponent > linear.exponent + 0.3
    assert str(axial).startswith("axial, d = 16: 64 n^1.5 + 2048 n multiply-adds; time grows as n^")


def test_options_reach_what_is_measured_and_nonsense_is_refused() -> None:
    assert measured_cost("c2f_gate", (2, 3), D, repeats=1, width=4).terms == {1.0: 18 * D * 4 + 4}
    with pytest.raises(ParameterError, match="at least two"):
        measured_cost("mhsa", (4,))
    with pytest.raises(ParameterError, match="no parameter"):
        measured_cost("mhsa", (2, 3), nonsense=1)
