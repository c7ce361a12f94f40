"""How maps are looked at: sinks, percentiles, one model minus another, in a real browser."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from explorer.attention.sinks import sinks
from explorer.comparison.compare import compare
from explorer.models.loading import load
from explorer.ui.scene import PRESETS

from .test_stage import _asks, _is_hatch
from .visit import Visit

pytestmark = pytest.mark.browser

ATTENTION = "#stage article:nth-of-type(2) .panel.attention canvas"


def looks(visit: Visit, **change: Any) -> None:
    """Change how maps are looked at, as a link does, and wait until they are drawn."""
    visit.page.evaluate("(look) => explorer.state.apply({ look })", change)
    visit.page.wait_for_timeout(150)


def shown(visit: Visit, row: int, panel: str = "attention") -> dict[str, Any]:
    """What a panel of a row has painted: values, valid, rows, columns, the ends of its colour bar."""
    return visit.page.evaluate(
        """([row, panel]) => {
            const { values, valid, rows, columns } = explorer.rows[row][panel].shown;
            const ends = [explorer.rows[row][panel].low, explorer.rows[row][panel].high].map((one) => one.textContent);
            return { values: [...values], valid: valid && [...valid], rows, columns, ends };
        }""",
        [row, panel],
    )


def test_sinks_are_named_with_their_share_and_hidden_on_wish(visit: Visit):
    scene, _ = PRESETS["arrangement"]
    view = compare([load("lab/mhsa")], scene, method=None).rows[0]
    one = view.maps[-1]
    found = sinks(one)[4]
    assert len(found.cells) > 1, "this head has sinks of this scene"
    row = one.row(view.queries[0], head=3).flatten()
    _asks(visit, {"scene": asdict(scene)})
    visit.row(1).get_by_label("Head of model 2").fill("4")
    note = visit.row(1).locator(".panel.attention .note")
    said = f"{len(found.cells)} cells take {round(100 * found.share)} % of the weight whatever asks."
    assert (note.text_content() or "").startswith(said)
    visit.page.get_by_text("How maps are drawn").click()
    visit.page.get_by_label("Hide sinks").check()
    visit.page.wait_for_timeout(150)
    told = shown(visit, 1)
    assert [at for at, valid in enumerate(told["valid"]) if not valid] == sorted(found.cells)
    # The scale ends at the largest of what is left, and the cells are hatched.
    left = [value for at, value in enumerate(row.tolist()) if at not in found.cells]
    assert float(told["ends"][1]) == pytest.approx(max(left), rel=6e-3)
    assert max(left) < float(row.max())
    pixels = visit.pixels(ATTENTION)
    side = pixels.shape[0] / 12
    for cell in found.cells:
        top, left_edge = round(cell // 12 * side), round(cell % 12 * side)
        assert _is_hatch(pixels[top + 2 : top + int(side) - 2, left_edge + 2 : left_edge + int(side) - 2])
    visit.page.wait_for_function("location.hash.includes('look=sinkless:true')")
    visit.page.get_by_label("Hide sinks").uncheck()
    visit.page.wait_for_timeout(150)
    assert shown(visit, 1)["valid"] is None
    assert np.allclose(shown(visit, 1)["values"], row, rtol=2e-3, atol=1e-6)
