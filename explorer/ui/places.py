"""Invariance under the hand: how sure each model is of the right class wherever the object may be moved.

The grid is asked for a row at a time, so that an answer to a drag waits for a row of one model at most, and nothing is
computed for a question that has changed.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import gradio as gr
from torch import Tensor

from explorer.messages import Message
from explorer.models.model import Model
from explorer.scenes import Scene, motion, render
from explorer.ui.controls import REACH
from explorer.ui.handlers import Handlers
from explorer.ui.request import Request

#: Displacements across and down, as far as the controls reach.
SIDE = 17


def shifts(size: int) -> list[float]:
    """The displacements along a side of the frame of ``size`` px, in px."""
    return [int(REACH * size + 0.5) * (2 * number / (SIDE - 1) - 1) for number in range(SIDE)]


def row(handlers: Handlers, models: Any, question: Any, number: Any) -> str:
    """Return one row of the grid as JSON: {dy, dx, models: [{p, right} or null]}.

    ``p`` is of the scene's class and ``right`` whether it is the answer, one a displacement; null stands for a model
    that did not load or does not know the class. The rest of the move, as its size, is the question's.

    Args:
        handlers: check the request and have the models.
        models: texts of the models.
        question: what is on the stage, which has to be a scene.
        number: of the row, from 0 at the top.

    Raises gr.Error where the question shows no scene, or there is no such row.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < SIDE:
        raise gr.Error(f"a row is a number from 0 to {SIDE - 1}", print_exception=False)
    asked = handlers.ask(models, question)
    if not isinstance(asked.source, Scene):
        raise gr.Error(Message("Of a photograph it is not known which class is right."), print_exception=False)
    height, width = asked.frame
    dy, across = shifts(height)[number], shifts(width)
    moves = [dataclasses.replace(asked.view.transform, dx=dx, dy=dy) for dx in across]
    pictures: dict[tuple[int, int], Tensor] = {}
    found: list[dict[str, Any] | None] = []
    for model in asked.models:
        if not isinstance(model, Model) or model.headless or asked.truth not in (model.labels or ()):
            found.append(None)
            continue
        size = model.input_size
        if size not in pictures:
            scaled = [move.scaled(size[1] / width, size[0] / height) for move in moves]
            pictures[size] = render([motion.moved(asked.source, move, size) for move in scaled], size[0]).images
        found.append(_sure(handlers, model, asked, pictures[size]))
    return json.dumps({"dy": dy, "dx": across, "models": found})


def _sure(handlers: Handlers, model: Model, asked: Request, pictures: Tensor) -> dict[str, Any]:
    """How sure a model is of the scene's class in each picture, and whether that is its answer."""
    p = model.head.probabilities(handlers.answers.logits(model, pictures).float())
    index = list(model.labels or ()).index(asked.truth)
    return {"p": [round(one, 6) for one in p[:, index].tolist()], "right": (p.argmax(1) == index).tolist()}
