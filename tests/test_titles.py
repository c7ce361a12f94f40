"""A person reads names, not the code's words for them: methods and units wherever they are shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from explorer.attribution import METHODS, method_title
from explorer.attribution.result import Attribution
from explorer.figures.plan import plan_of
from explorer.figures.results import attribution_sheet
from explorer.probes import PROBES
from explorer.probes.charting import curve
from explorer.probes.position import position_rows
from explorer.probes.result import Score
from explorer.probes.show import number
from explorer.ui.controls import methods, parameters_of

#: Names that are the field's own word, as they are registered.
OWN = {"saliency", "occlusion"}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_a_title_everywhere_it_is_shown(name: str) -> None:
    title = method_title(name)
    assert "_" not in title
    assert (title == name) == (name in OWN), "a name with capitals or spaces is not the code's"
    drawn = plan_of(attribution_sheet(Attribution(torch.eye(4), name, "cup (968)", delta=0.5), spec="vit"))
    words = " ".join(text.text for text in drawn.texts)
    assert title in words
    assert name in OWN or not re.search(rf"\b{name}\b", words)
    row: dict[str, Any] = {"value": 1.0, "low": None, "high": None, "map": name}
    assert curve("vit", "#000000", [row], "map").x == (title,)
    (told,) = [one for one in methods() if one["name"] == name]
    assert told["called"] == title


@pytest.mark.parametrize("name", PROBES)
def test_a_choice_of_methods_is_one_of_titles(name: str) -> None:
    for one in parameters_of(PROBES[name]):
        assert len(one["called"]) == len(one["choices"])
        for choice, called in zip(one["choices"], one["called"]):
            assert called == (method_title(choice) if choice in METHODS else choice)
    assert "R2" not in PROBES[name].headline


def test_the_coefficient_of_determination_is_written_as_the_field_does() -> None:
    rows = position_rows(torch.randn(8, 4, 3), torch.rand(8, 4, 2))
    assert {row["unit"] for row in rows} == {"R2"}, "the key of stored tables stays"
    assert number(Score("vit", "position", 0.5, "R2")) == "0.5 R²"
