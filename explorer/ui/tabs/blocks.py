"""The tab that explains each block: what it computes, what it costs, what its map means and does not mean."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import gradio as gr

from explorer.blocks import BLOCKS
from explorer.blocks.cost import MeasuredCost, measured_cost
from explorer.blocks.diagram import draw as diagram
from explorer.blocks.explain import Explanation, explain
from explorer.errors import UnknownNameError
from explorer.ui.answers import Answers
from explorer.ui.stage import part

#: The block that is explained first, and the one whose cost stands beside every other's.
FIRST, BESIDE = "axial", "mhsa"
#: Sides of the grids that costs are measured on, and channels.
SIDES, CHANNELS = (8, 16, 24, 32, 48), 64


def draw(answers: Answers, tab: gr.Tab) -> None:
    """Lay the tab out.

    Args:
        answers: what all sessions share; a measurement takes its turn like a model.
        tab: measures the first block's cost when it is opened, not before.
    """
    with gr.Row(elem_id="blocks", equal_height=False):
        with gr.Column(scale=0, min_width=170, elem_id="blocks-list"):
            chosen = gr.Radio(list(BLOCKS), value=FIRST, label="Block", elem_id="block")
        with gr.Column(scale=1, min_width=320, elem_id="blocks-text"):
            formula = gr.Markdown(head(FIRST), latex_delimiters=[{"left": "$$", "right": "$$", "display": True}])
            facts = part("explanation", body(FIRST), label="What the block costs, shows and is good for")
            code = gr.Code(explain(FIRST).example, language="python", label="Use it", interactive=False, lines=10)

    def show(name: Any) -> tuple[str, str, str]:
        """Explain a block: (formula, the rest as JSON, lines of Python)."""
        try:
            found = explain(str(name))
        except UnknownNameError as error:
            raise gr.Error(str(error), print_exception=False) from error
        with answers.turn:
            costs = measured(found.name), measured(BESIDE)
        return head(found.name), body(found.name, costs), found.example

    gr.on(
        [chosen.input, tab.select],
        show,
        inputs=chosen,
        outputs=[formula, facts, code],
        show_progress="hidden",
        trigger_mode="always_last",
        api_name="explain",
    )


@lru_cache(maxsize=32)
def measured(name: str) -> MeasuredCost:
    """A block's cost on this machine, measured once."""
    return measured_cost(name, SIDES, CHANNELS)


def head(name: str) -> str:
    """The name, the question and the formula in Markdown."""
    found = explain(name)
    return f"## {found.title}\n\n{found.question}\n\n$$ {found.formula} $$\n"


def body(name: str, costs: tuple[MeasuredCost, MeasuredCost] | None = None) -> str:
    """Everything else for the browser, as JSON; without costs while they are being measured."""
    found = explain(name)
    return json.dumps(
        {
            "name": found.name,
            "diagram": diagram(found.diagram, found.title),
            "definition": found.definition.replace("``", ""),
            "facts": _facts(found),
            "strengths": found.strengths,
            "weaknesses": found.weaknesses,
            "correction": found.correction,
            "options": [[key, one.help, str(one.default)] for key, one in found.options.items()],
            "order": found.order,
            "cost": found.cost,
            "measured": None if costs is None else _table(*costs),
        }
    )


def _facts(found: Explanation) -> list[list[str]]:
    kind = f"{found.kind} ({found.kind_title}): " if found.kind else ""
    if found.kind and found.kind_title.startswith(found.kind):
        kind = f"{found.kind_title}: "
    facts = [["Map", kind + found.map], ["It means", found.means], ["It does not mean", found.means_not]]
    return [[label, text.replace("``", "")] for label, text in [*facts, ["Source", found.source]] if text]


def _table(own: MeasuredCost, other: MeasuredCost) -> dict[str, Any]:
    """The measured costs of a block, and of another beside it."""
    both = [own] if own.block == other.block else [own, other]
    return {
        "blocks": [one.block for one in both],
        "rows": [
            [f"{points[0].side} × {points[0].side}", points[0].positions]
            + [value for point in points for value in (point.multiply_adds, point.milliseconds)]
            for points in zip(*(one.points for one in both))
        ],
        "counted": [str(one) for one in both],
        "where": f"counted by torch, d = {own.channels}; time of one picture on one thread of this server's processor",
    }
