"""The laboratory's findings for the browser: cards, the three large ones, and the tables of blocks and trainings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from explorer.blocks import short_name
from explorer.figures.looks import look_of
from explorer.lab.cards import Card, in_words, largest, shipped_cards, told
from explorer.lab.factors import TRAINED, Factors, shipped_factors
from explorer.lab.findings import SET_UPS
from explorer.lab.networks import LabModel
from explorer.messages import Message, listed
from explorer.statistics import Estimate
from explorer.ui.words import dumps
from explorer.view import View
from explorer.view.forms import link


@lru_cache(maxsize=1)
def cards() -> str:
    """What assets/web/cards.js draws, as JSON: a record a card; none where no table ships."""
    return dumps([_record(one) for one in shipped_cards()])


@lru_cache(maxsize=1)
def large() -> str:
    """What assets/web/findings.js draws, as JSON: the three findings in which blocks lie farthest apart."""
    return dumps([_large(one) for one in largest(shipped_cards())])


@lru_cache(maxsize=1)
def tables() -> str:
    """What assets/web/factors.js draws, as JSON: a 2 x 2 a number."""
    return dumps([_table(one) for one in shipped_factors()])


def _record(card: Card) -> dict[str, Any]:
    bars = [_bar(_name(one, card), one.block, number, card) for one, number in zip(card.models, card.numbers)]
    return {**_told(card), "bars": bars}


def _told(card: Card) -> dict[str, Any]:
    lesson, step = card.lesson
    view = View(models=tuple(one.spec() for one in card.models), source=card.scene, transform=card.move)
    return {
        "name": card.name,
        "sentence": card.sentence,
        "view": link(view),
        "lesson": f"#tab=lecture&lecture=lesson:{lesson};step:{step}",
    }


def _bar(name: str, block: str, number: Estimate, card: Card) -> dict[str, Any]:
    return {
        "name": name,
        "colour": look_of(block).colour,
        "value": number.mean,
        "low": number.low,
        "high": number.high,
        "text": told(number, card.unit),
    }


def _name(model: LabModel, card: Card) -> str:
    same = len({one.block for one in card.models}) == 1
    return SET_UPS[model.training] if same else short_name(model.block)


def _large(card: Card) -> dict[str, Any]:
    named = (card.models[0].block, card.middle, card.models[1].block)
    rest = [Message(short_name(block)) for block in card.every if block not in named]
    middle = {"middle": Message(short_name(card.middle)), "number": in_words(card.every[card.middle], card.unit)}
    seeds = {"count": len(card.every), "seeds": card.seeds}
    caption = (
        Message(
            "Of the {count} blocks that learn the task, {middle} lies in the middle with {number}; small and grey: "
            "{rest}. Bars: 95 % intervals over {seeds} seeds.",
            rest=listed(rest),
            **middle,
            **seeds,
        )
        if rest
        else Message(
            "Of the {count} blocks that learn the task, {middle} lies in the middle with {number}. "
            "Bars: 95 % intervals over {seeds} seeds.",
            **middle,
            **seeds,
        )
    )
    rows = [
        {**_bar(short_name(block), block, number, card), "named": block in named}
        for block, number in card.every.items()
    ]
    return {**_told(card), "rows": rows, "axis": card.axis, "caption": caption}


def _table(found: Factors) -> dict[str, Any]:
    def cell(number: Estimate) -> Mapping[str, Any]:
        return {"value": number.mean, "text": in_words(number, found.topic.unit)}

    return {
        "name": found.topic.name,
        "axis": found.topic.axis,
        "columns": [{"name": short_name(block), "colour": look_of(block).colour} for block in found.blocks],
        "rows": [
            {
                "name": Message("trained {where}", where=TRAINED[training]),
                "cells": [cell(found.cells[training, block]) for block in found.blocks],
            }
            for training in found.trainings
        ],
        "sentence": found.sentence,
    }
