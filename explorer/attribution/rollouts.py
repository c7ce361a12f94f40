"""Rollout methods: attention of all layers multiplied, see `explorer.attention.rollout`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from explorer.attention import rollout
from explorer.attribution import facts
from explorer.attribution.base import METHODS, Explanation, PassCount, PassMethod
from explorer.errors import MethodError, ParameterError
from explorer.messages import Message
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.attention.maps import AttentionMap
    from explorer.attribution.base import Placed
    from explorer.models.model import Model


@dataclass(frozen=True)
class RolloutMethod(PassMethod):
    """Attention over one set of tokens in all layers can be served."""

    live: ClassVar[bool] = True
    records: ClassVar[bool] = True

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        for stage in model.stages:
            if stage.layout != "tokens":
                return Message(
                    "rollout multiplies attention between the same tokens through all layers; {name} gives {place}",
                    name=stage.name,
                    place=stage.layout + " features"
                    if stage.layout != "unknown"
                    else Message("features without a known place"),
                )
        reason = facts.rollouts(model)[cls.records_graph]
        return None if reason is None else Message("rollout is not defined here: {reason}", reason=reason)

    def attached(self, model: Model) -> AbstractContextManager[Any]:  # noqa: ARG002 - the contract
        return nullcontext()


def answering_token(model: Model, maps: Sequence[AttentionMap]) -> tuple[str | None, str]:
    """What the answer is read from (the class token, or None: the pool or the mean over patches), and in words."""
    body, pool = rollout.split(maps)
    layout = body[-1].layout
    if pool is not None:
        return None, Message("row of the attention pool {layer}", layer=pool.layer)
    if model.trace is not None:
        by_class = not model.trace.reads_places
    else:
        by_class = getattr(model.module, "global_pool", "token") in ("token", "")
    if layout is not None and "class" in layout.prefix and by_class:
        return "class", Message("row of the class token")
    if model.trace is not None and by_class and layout is not None:
        # A network of somebody's own, whose code does not call its token so.
        if len(layout.prefix) == 1:
            return layout.prefix[0], Message("row of the one token that is no place, from which the model answers")
        raise ParameterError(
            Message(
                "{spec}: the answer is read from one of its tokens that are no places ({tokens}), and it is not known "
                "from which; call it class in the argument layout",
                spec=model.spec,
                tokens=", ".join(layout.prefix) or "none",
            )
        )
    return None, Message("mean over the rows of all patches, as the model pools them")


@METHODS.register("attention_rollout")
@dataclass(frozen=True)
class AttentionRollout(RolloutMethod):
    """Through all layers, how much of each patch flows into the token that answers?

    Row of the product of residual I + (1 - residual) A over layers, A reduced over heads (Abnar & Zuidema 2020, section
    3; heads averaged and residual 0.5 there). The same for every target. Ignores values, MLPs and the head.
    """

    unit: ClassVar[str] = "share of the answering token's attention, 0 to 1"
    differentiates: ClassVar[bool] = False

    heads: Literal["mean", "max", "min"] = parameter("mean", "how heads are reduced")
    residual: float = parameter(0.5, "share of the skip connection", low=0.0, high=1.0)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(1, 0)

    def read(self, model: Model, watched: Any, placed: Sequence[Placed], scores: Tensor | None) -> Explanation:  # noqa: ARG002 - the contract
        maps = [one for _, one in placed if one.kind == "pairwise"]
        query, note = answering_token(model, maps)
        rows = [
            rollout.rollout(maps, query, item=item, heads=self.heads, residual=self.residual)
            for item in range(maps[0].weights.shape[0])
        ]
        return Explanation(torch.stack(rows), note=note)


@METHODS.register("gradient_rollout")
@dataclass(frozen=True)
class GradientRollout(RolloutMethod):
    """Through all layers, which patches flow into the answering token along attention that raises the target?

    Row of the product of I + mean over heads of (A * d target / d A)^+ over layers, without the query itself (Chefer,
    Gur & Wolf, ICCV 2021, equations 5 and 6). Never negative.
    """

    unit: ClassVar[str] = "relevance, from 0"
    records_graph: ClassVar[bool] = True

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(1, 1)

    def read(self, model: Model, watched: Any, placed: Sequence[Placed], scores: Tensor | None) -> Explanation:  # noqa: ARG002 - the contract
        assert scores is not None
        pairs = [pair for pair in placed if pair[1].kind == "pairwise"]
        wanted = []
        for operations, one in pairs:
            tensor = rollout.differentiable(operations, one)
            if tensor is None or not tensor.requires_grad:
                raise MethodError(
                    Message(
                        "gradient rollout: {layer} does not show the gradient of its attention map", layer=one.layer
                    )
                )
            wanted.append(tensor)
        gradients = torch.autograd.grad(scores.sum(), wanted, allow_unused=True)
        filled = [torch.zeros_like(t) if g is None else g for g, t in zip(gradients, wanted)]
        query, note = answering_token(model, [one for _, one in pairs])
        with torch.no_grad():
            rows = [
                rollout.gradient_rollout(pairs, filled, query, item=item)
                for item in range(pairs[0][1].weights.shape[0])
            ]
        return Explanation(torch.stack(rows), note=note)
