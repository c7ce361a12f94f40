"""The laboratory's findings for the browser, which draws a card for each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from explorer.blocks import short_name
from explorer.figures.looks import look_of
from explorer.lab.cards import Card, shipped_cards, told
from explorer.lab.findings import SET_UPS
from explorer.lab.networks import LabModel
from explorer.view import View
from explorer.view.forms import link


@lru_cache(maxsize=1)
def drawn() -> list[dict[str, Any]]:
    """What assets/web/cards.js draws: a record a card; none where no table ships."""
    return [_record(one) for one in shipped_cards()]


def _record(card: Card) -> dict[str, Any]:
    lesson, step = card.lesson
    view = View(models=tuple(one.spec() for one in card.models), source=card.scene, transform=card.move)
    return {
        "name": card.name,
        "sentence": card.sentence,
        "view": link(view),
        "lesson": f"#tab=lecture&lecture=lesson:{lesson};step:{step}",
        "bars": [
            {
                "name": _name(model, card),
                "colour": look_of(model.block).colour,
                "value": number.mean,
                "low": number.low,
                "high": number.high,
                "text": told(number, card.unit),
            }
            for model, number in zip(card.models, card.numbers)
        ],
    }


def _name(model: LabModel, card: Card) -> str:
    same = len({one.block for one in card.models}) == 1
    return SET_UPS[model.training] if same else short_name(model.block)
