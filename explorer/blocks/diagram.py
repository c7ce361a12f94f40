"""Where the boxes and arrows of a block's diagram stand: numbers, for whoever draws them.

The page draws them (assets/web/diagram.js).
"""

from __future__ import annotations

from typing import Any

from explorer.blocks.about import Diagram, Node

#: Width of every diagram, px: it fits a telephone.
WIDTH = 360
_BOX, _GAP, _MARGIN = 28, 26, 6
#: Room for the line that says what is outlined, px.
_KEY = 22
#: Radius of a sum or a product, px.
_JOIN = 12
#: Longest advance of a letter on average, px; a box is as wide as its label.
_LETTER = 6.9
#: How far an arrow ends above its box, px: there its tip is drawn.
_TIP = 5


def laid_out(diagram: Diagram) -> dict[str, Any]:
    """Lay a diagram out, in px, y down.

    Returns width and height; ``boxes``: label, role, the centre ``at`` [x, y] and ``size`` [width, height], of a join
    its diameter; ``arrows``: the points of cubic curves, four each, that a straight line joins where there are two;
    ``key``: [x, y] of the left end of the line that says what is outlined, None where nothing is.
    """
    places = place(diagram)
    nodes = {node.name: node for row in diagram.rows for node in row}
    height = 2 * _MARGIN + len(diagram.rows) * (_BOX + _GAP) - _GAP
    mapped = any(node.role == "map" for node in nodes.values())
    arrows = []
    for start, end, *via in diagram.edges:
        (x0, y0), (x1, y1) = places[start], places[end]
        arrows.append(
            _arrow(x0, y0 + tall(nodes[start]) / 2, x1, y1 - tall(nodes[end]) / 2, via[0] * WIDTH if via else None)
        )
    return {
        "width": WIDTH,
        "height": height + (_KEY if mapped else 0),
        "boxes": [
            {
                "label": node.label,
                "role": node.role,
                "at": [round(along, 1) for along in places[name]],
                "size": [round(width(node), 1), tall(node)],
            }
            for name, node in nodes.items()
        ],
        "arrows": [[[round(along, 1) for along in point] for point in points] for points in arrows],
        "key": [_MARGIN, height + _KEY - 12] if mapped else None,
    }


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


def tall(node: Node) -> int:
    """Height of a box, px."""
    return 2 * _JOIN if node.role == "join" else _BOX


def _arrow(x0: float, y0: float, x1: float, y1: float, via: float | None) -> list[tuple[float, float]]:
    """From above to below, leaving and arriving upright; ``via`` is the column that a long one keeps to."""
    end = y1 - _TIP
    if via is None:
        bend = (y1 - y0) / 2
        return [(x0, y0), (x0, y0 + bend), (x1, end - bend), (x1, end)]
    bend = _GAP
    away = [(x0, y0), (x0, y0 + bend), (via, y0), (via, y0 + 1.5 * bend)]
    return [*away, (via, end - 1.5 * bend), (via, end), (x1, end - bend), (x1, end)]
