"""The tab that explains each block: what it computes, an example, what it costs, what its map means and does not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from explorer.attention.maps import AttentionMap
from explorer.blocks import BLOCKS
from explorer.blocks.cost import MeasuredCost, measured_cost
from explorer.blocks.diagram import laid_out
from explorer.blocks.explain import BlockExplanation, explain
from explorer.comparison.result import ModelView
from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.kinds import KINDS
from explorer.lab import networks
from explorer.messages import ENGLISH, Message, language_of, listed, say, sentences
from explorer.models.model import Model
from explorer.models.spec import WEIGHTS_STATES
from explorer.scenes import PRESETS
from explorer.transforms import Transform
from explorer.ui.answers import Answers
from explorer.ui.handlers import checked
from explorer.ui.live import Live
from explorer.ui.navigation import tells_block
from explorer.ui.request import Failure, Request
from explorer.ui.scene import layers
from explorer.ui.stage import part
from explorer.ui.words import dumps, i18n
from explorer.ui.worker import ANSWERS, MEASUREMENTS, Worker
from explorer.view import View

#: The block that is explained first, and the one whose cost stands beside every other's.
FIRST, BESIDE = "axial", "mhsa"
#: Sides of the grids that costs are measured on, and channels.
SIDES, CHANNELS = (8, 16, 24, 32, 48, 64), 64
LATEX: list[dict[str, str | bool]] = [{"left": "$$", "right": "$$", "display": True}]
#: The scene of the examples.
SCENE = PRESETS["star"][0]


def draw(worker: Worker, live: Live, answers: Answers, tab: gr.Tab, language: gr.Textbox) -> gr.Radio:
    """Lay the tab out.

    Args:
        worker: does what is asked.
        live: makes what the browser asks while something moves.
        answers: what all sessions share; a measurement takes its turn like a model.
        tab: measures the first block's cost when it is opened, not before.
        language: holds the page's language.

    Returns the choice of the block.
    """

    def answer(question: Any) -> str:
        """Let a block work on the example's scene; JSON for the browser."""
        return example(answers, question)

    with gr.Row(elem_id="blocks", equal_height=False):
        with gr.Column(scale=0, min_width=170, elem_id="blocks-list"):
            chosen = tells_block(gr.Radio(list(BLOCKS), value=FIRST, label=i18n("Block"), elem_id="block"))
        with gr.Column(scale=1, min_width=320, elem_id="blocks-text"):
            formula = gr.Markdown(head(FIRST), latex_delimiters=LATEX, elem_id="block-head")
            part(
                "example",
                label=Message("A live example"),
                elem_id="example",
                live=[live.function("example", ANSWERS, answer), live.function("example_scene", ANSWERS, _scene)],
            )
            facts = part("explanation", body(FIRST), label=Message("What the block costs, shows and is good for"))

    def show(name: Any, language: Any = ENGLISH) -> Iterator[tuple[str, str]]:
        """Explain a block: (formula, the rest as JSON); at once, and again with its measured cost."""
        found = checked(lambda one: explain(str(one)), name)
        language = language_of(language)
        yield head(found.name, language), body(found.name)
        costs = []
        for one in (found.name, BESIDE):
            # A turn each: nobody waits for both.
            with answers.turn_to_compute():
                costs.append(measured(one))
        yield head(found.name, language), body(found.name, (costs[0], costs[1]))

    gr.on(
        [chosen.change, tab.select],
        worker.event(MEASUREMENTS, show),
        inputs=[chosen, language],
        outputs=[formula, facts],
        show_progress="hidden",
        trigger_mode="always_last",
        api_name="explain",
        api_visibility="private",
    )
    return chosen


# ---- the live example


@dataclass(frozen=True)
class Tried:
    """A checked question of the example: a block, how far the object is moved, and a pin, in shares of the frame."""

    block: str
    dx: float
    dy: float
    pin: Point

    @classmethod
    def parse(cls, asked: Any) -> Tried:
        """Check what a browser sent; raises ParameterError, UnknownNameError."""
        if not isinstance(asked, Mapping) or not isinstance(asked.get("block"), str):
            raise ParameterError(Message("an example is an object that names a block"))
        pin = asked.get("pin")
        if not isinstance(pin, Mapping):
            raise ParameterError(Message("an example's pin is a place {x, y}, each from 0 to 1"))
        given = (asked.get("dx"), asked.get("dy"), pin.get("x"), pin.get("y"))
        numbers = [float(one) for one in given if isinstance(one, (int, float)) and math.isfinite(one)]
        if len(numbers) < 4 or max(map(abs, numbers[:2])) > 1 or not all(0 <= one < 1 for one in numbers[2:]):
            raise ParameterError(Message("an example's dx and dy go from -1 to 1, and its pin's x and y from 0 to 1"))
        return cls(explain(asked["block"]).name, numbers[0], numbers[1], Point(*numbers[2:]))


def model_of(block: str) -> str:
    """The text of the model that shows a block at work: trained where one ships."""
    text = f"lab/{block}"
    return text if text in networks.available() else f"random/test_resnet+{block}@3"


def example(answers: Answers, asked: Any) -> str:
    """What does a block make of the example's scene, moved? JSON for assets/web/example.js.

    Shown are all maps of the network's last such block, each head's mean; Grad-CAM where the block has none.
    """
    tried = checked(Tried.parse, asked)
    text = model_of(tried.block)
    told: dict[str, Any] = {
        "block": tried.block,
        "spec": text,
        "dx": tried.dx,
        "dy": tried.dy,
        "pin": tried.pin._asdict(),
        "panels": [],
    }
    model = answers.model(text)
    view = model if isinstance(model, Failure) else _seen(answers, model, tried)
    if isinstance(view, Failure):
        return dumps({**told, "note": view.problem})
    top = view.predictions[1].top[:1]
    told |= {"state": view.state, "state_title": WEIGHTS_STATES[view.state]}
    told["answers"] = {"label": top[0].label, "p": top[0].probability} if top else None
    maps = of_last(view.maps)
    if maps:
        told["panels"] = [_panel(one, view, several=len({one.module for one in maps}) > 1) for one in maps]
        told["note"] = sentences(*dict.fromkeys(one.note for one in maps if one.note))
    elif view.attributions is not None:
        found = view.attributions[1]
        told["panels"] = [{"title": "Grad-CAM", "unit": found.unit, "picture": True, "of": 1, **_values(found.values)}]
        told["note"] = Message(
            "This block has no map of its own. Grad-CAM shows what the whole network's answer rests on."
        )
    return dumps(told)


def _seen(answers: Answers, model: Model, tried: Tried) -> ModelView | Failure:
    height, width = model.input_size
    move = Transform(dx=tried.dx * width, dy=tried.dy * height)
    asked = View((model.spec,), SCENE, move, (tried.pin,), "place", unit="share")
    request = checked(lambda view: Request.scene(view, model.input_size), asked)
    return answers.view(model, request, None if explain(tried.block).kind else "gradcam")


def of_last(maps: tuple[AttentionMap, ...]) -> list[AttentionMap]:
    """All maps of the last block, in the order of the forward pass: a gate may have several in modules side by side."""
    if not maps:
        return []
    last = maps[-1].module
    beside = last.rpartition(".")[0] + "."
    return [one for one in maps if one.module == last or one.module.startswith(beside)]


def _panel(one: AttentionMap, view: ModelView, several: bool) -> dict[str, Any]:
    title = one.part or (one.module.rpartition(".")[2] if several else "Map")
    item = one.weights.shape[0] - 1
    heads: Tensor | None = None
    if one.layout is None:
        values = torch.stack([one.matrix(head, item) for head in range(one.heads)]).mean(0)
    else:
        every = one.rows(view.queries[1] if one.per_query else None, item)
        values, heads = every.mean(0), every if one.per_query else None
    return {
        "title": title,
        "unit": one.unit or KINDS[one.kind],
        "picture": one.layout is not None,
        "kind": one.kind,
        "asked": one.per_query,
        "line": one.part if one.part in ("row", "column", "cross") else "",
        "of": one.heads,
        **({} if heads is None else {"heads": [_rounded(own) for own in heads]}),
        **_values(values, unit=one.kind == "gate" or values.shape[0] == 1),
    }


def _values(values: Tensor, unit: bool = False) -> dict[str, Any]:
    """(rows, columns) for the browser, with the ends of its colours; ``unit``: they go from 0 to 1."""
    low, high = (0.0, 1.0) if unit else (float(values.min()), float(values.max()))
    far = max(-low, high)
    return {
        "rows": values.shape[0],
        "columns": values.shape[1],
        "values": _rounded(values),
        "low": -far if low < 0 else 0.0,
        "high": far or 1.0,
    }


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.flatten().tolist()]


def _scene() -> dict[str, Any]:
    """The example's scene for the browser, which moves its object by itself."""
    drawn = json.loads(layers(SCENE))
    return {
        **{name: drawn[name] for name in ("background", "object", "share")},
        "label": SCENE.label,
        "dx": SCENE.dx,
        "dy": SCENE.dy,
    }


# ---- the explanation


@lru_cache(maxsize=32)
def measured(name: str) -> MeasuredCost:
    """A block's cost on this machine, measured once."""
    return measured_cost(name, SIDES, CHANNELS)


def head(name: str, language: str = ENGLISH) -> str:
    """The name, the question and the formula in Markdown."""
    found = explain(name)
    return f"## {say(found.title, language)}\n\n{say(found.question, language)}\n\n$$ {found.formula} $$\n"


def body(name: str, costs: tuple[MeasuredCost, MeasuredCost] | None = None) -> str:
    """Everything else for the browser, as JSON; without costs while they are being measured."""
    found = explain(name)
    return dumps(
        {
            "name": found.name,
            "title": found.title,
            "diagram": laid_out(found.diagram),
            "definition": found.definition,
            "facts": _facts(found),
            "strengths": found.strengths,
            "weaknesses": found.weaknesses,
            "correction": found.correction,
            "options": [[key, one.text, str(one.default)] for key, one in found.options.items()],
            "order": found.order,
            "cost": found.cost,
            "example": found.example,
            "measured": None if costs is None else _table(*costs),
        }
    )


def _facts(found: BlockExplanation) -> list[tuple[str, str]]:
    shown: str = Message(found.map)
    if found.kind and found.kind_title.startswith(found.kind):
        shown = listed([Message(found.kind_title), shown], "{first}: {rest}")
    elif found.kind:
        what = Message("{kind} ({title})", kind=found.kind, title=Message(found.kind_title))
        shown = listed([what, shown], "{first}: {rest}")
    facts = (
        (Message("Map"), shown),
        (Message("It means"), found.means),
        (Message("It does not mean"), found.means_not),
        (Message("Source"), found.source),
    )
    return [(label, text) for label, text in facts if text]


def _table(own: MeasuredCost, other: MeasuredCost) -> dict[str, Any]:
    """The measured costs of a block, of another beside it, and how many times dearer the other is."""
    both = [own] if own.block == other.block else [own, other]
    rows = []
    for points in zip(*(one.points for one in both)):
        costs = [value for point in points for value in (point.multiply_adds, point.milliseconds)]
        times = [_times(costs[2], costs[0]), _times(costs[3], costs[1])] if len(both) > 1 else []
        rows.append([f"{points[0].side} × {points[0].side}", points[0].positions, *costs, *times])
    return {
        "blocks": [one.block for one in both],
        "rows": rows,
        "counted": [one.words for one in both],
        "channels": own.channels,
    }


def _times(one: float, other: float) -> float | None:
    """How many times as much; None where the other costs nothing."""
    return one / other if other else None
