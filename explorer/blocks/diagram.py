"""A block's diagram as SVG: data in, text out."""

from __future__ import annotations

from html import escape

from explorer.blocks.about import Diagram, Node
from explorer.messages import ENGLISH, Message, say

#: Width of every diagram, px: it fits a telephone.
WIDTH = 360
_BOX, _GAP, _MARGIN, _FONT = 28, 26, 6, 12.5
#: Radius of a sum or a product, px.
_JOIN = 12
#: Longest advance of a letter on average, px; a box is as wide as its label.
_LETTER = 6.9


def draw(diagram: Diagram, title: str = "", language: str = ENGLISH) -> str:
    """Return one <svg> that is readable on light and dark: it takes the text's colour, and --ring for the map.

    Args:
        diagram: boxes in rows, and arrows.
        title: said to who cannot see it.
        language: that its boxes are labelled in.
    """
    places = place(diagram)
    mapped = any(node.role == "map" for row in diagram.rows for node in row)
    height = 2 * _MARGIN + len(diagram.rows) * (_BOX + _GAP) - _GAP + (22 if mapped else 0)
    name = escape(say(title, language), quote=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="100%" '
        f'style="max-width:{WIDTH}px" role="img" aria-label="{name}" fill="none" stroke="currentColor" '
        f'stroke-width="1.2" font-size="{_FONT}" font-family="system-ui, sans-serif">'
    ]
    for start, end, *via in diagram.edges:
        (x0, y0), (x1, y1) = places[start], places[end]
        parts += _arrow(x0, y0 + _half(diagram, start), x1, y1 - _half(diagram, end), via[0] * WIDTH if via else None)
    for row in diagram.rows:
        for node in row:
            parts += _box(node, say(node.label, language), *places[node.name])
    if mapped:
        y = height - 12
        parts.append(f'<rect x="{_MARGIN}" y="{y - 6}" width="14" height="11" rx="3" {_style("map")}/>')
        parts.append(
            _text(
                _MARGIN + 20,
                y,
                say(Message("what is shown as its map"), language),
                'text-anchor="start" opacity="0.75"',
            )
        )
    return "".join([*parts, "</svg>"])


def place(diagram: Diagram) -> dict[str, tuple[float, float]]:
    """Centre (x, y) of every box, px."""
    return {
        node.name: (
            WIDTH * (node.at if node.at is not None else (column + 0.5) / len(row)),
            _MARGIN + _BOX / 2 + number * (_BOX + _GAP),
        )
        for number, row in enumerate(diagram.rows)
        for column, node in enumerate(row)
    }


def width(node: Node) -> float:
    """Width of a box, px."""
    return 2 * _JOIN if node.role == "join" else len(node.label) * _LETTER + 18


def _half(diagram: Diagram, name: str) -> float:
    node = next(node for row in diagram.rows for node in row if node.name == name)
    return _JOIN if node.role == "join" else _BOX / 2


def _style(role: str) -> str:
    if role == "map":
        return 'stroke="var(--ring, #3b6fd4)" stroke-width="2.2" fill="var(--field, none)"'
    return 'stroke="none"' if role == "data" else 'stroke-opacity="0.55" fill="var(--field, none)"'


def _box(node: Node, label: str, x: float, y: float) -> list[str]:
    if node.role == "join":
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_JOIN}" {_style("step")}/>'
    else:
        w = width(node)
        shape = (
            f'<rect x="{x - w / 2:.1f}" y="{y - _BOX / 2:.1f}" width="{w:.1f}" height="{_BOX}" rx="7" '
            f"{_style(node.role)}/>"
        )
    return [
        shape,
        _text(x, y, label, 'text-anchor="middle"' + (' font-weight="600"' if node.role == "data" else "")),
    ]


def _text(x: float, y: float, words: str, how: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" stroke="none" fill="currentColor" {how}>{escape(words)}</text>'


def _arrow(x0: float, y0: float, x1: float, y1: float, via: float | None) -> list[str]:
    """From above to below, leaving and arriving upright; ``via`` is the column that a long one keeps to."""
    tip, bend = y1 - 5, (y1 - y0) / 2
    if via is None:
        path = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {tip - bend:.1f} {x1:.1f} {tip:.1f}"
    else:
        bend = _GAP
        path = (
            f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + bend:.1f} {via:.1f} {y0:.1f} {via:.1f} {y0 + 1.5 * bend:.1f}"
            f"L{via:.1f} {tip - 1.5 * bend:.1f}C{via:.1f} {tip:.1f} {x1:.1f} {tip - bend:.1f} {x1:.1f} {tip:.1f}"
        )
    head = f"M{x1 - 3.5:.1f} {tip - 1:.1f}L{x1:.1f} {y1 - 0.5:.1f}L{x1 + 3.5:.1f} {tip - 1:.1f}z"
    return [
        f'<path d="{path}" stroke-opacity="0.55"/>',
        f'<path d="{head}" stroke="none" fill="currentColor" fill-opacity="0.7"/>',
    ]
