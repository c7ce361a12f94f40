"""DAAM: block by block, what did the class token take from each patch that raises the target?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explorer.attention import rollout
from explorer.attention.watch import recording
from explorer.attribution import facts
from explorer.attribution.base import METHODS, Explanation, PassCount
from explorer.attribution.rollouts import RolloutMethod, answering_token
from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.attribution.base import Placed
    from explorer.models.model import Model

_reasons: WeakKeyDictionary[nn.Module, str | None] = WeakKeyDictionary()


@METHODS.register("daam")
@dataclass(frozen=True)
class AccumulatedMap(RolloutMethod):
    """Block by block, what did the class token take from each patch that raises the target?

    Attention gives the class token of block b the sum over patches n of A_hn V_hn, with A its row of weights and V the
    values of head h. The map of a block is the sum over heads and channels of (d target / d output)^+ A_hn V_hn, its
    negative values cut; the map shown is the sum of those of the first block to the one asked for (Liao, Gao & Zhang
    2025, Dynamic Accumulated Attention Map, as the authors' code has it for supervised networks, without the scaling to
    0..1 that is a matter of display). Never negative.
    """

    title: ClassVar[str] = "DAAM"
    unit: ClassVar[str] = "contribution to the class token by the target's slope, from 0"
    records_graph: ClassVar[bool] = True

    block: int | None = parameter(None, "sum up to this block, counted from 1; the last one if left out", low=1)

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        if any(stage.layout != "tokens" for stage in model.stages):
            return Message("it follows the class token of a transformer through blocks that all have the same tokens")
        if (reason := facts.rollouts(model)[1]) is not None:
            return Message("what its class token takes from each patch cannot be read: {reason}", reason=reason)
        with model.lock:
            if model.module not in _reasons:
                with recording(model, values=True) as recorder:
                    facts.grey(model)
                _reasons[model.module] = _why_not(model, recorder.placed())
            return _reasons[model.module]

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(1, 1)

    def read(self, model: Model, watched: Any, placed: Sequence[Placed], scores: Tensor | None) -> Explanation:  # noqa: ARG002 - the contract
        assert scores is not None
        pairs = [pair for pair in placed if pair[1].kind == "pairwise"]
        last = len(pairs) if self.block is None else self.block
        if last > len(pairs):
            raise ParameterError(
                Message(
                    "DAAM: {spec} has blocks 1 to {blocks}, block {block} asked for",
                    spec=model.spec,
                    blocks=len(pairs),
                    block=last,
                )
            )
        outputs = [operations[0].output for operations, _ in pairs[:last]]
        slopes = torch.autograd.grad(scores.sum(), outputs, allow_unused=True)  # type: ignore[arg-type]
        with torch.no_grad():
            token, _ = answering_token(model, [one for _, one in pairs])
            total = [
                sum(_of_block(pair, slope, item, token) for pair, slope in zip(pairs, slopes) if slope is not None)
                for item in range(len(scores))
            ]
            shape = pairs[0][1].layout.key_grid  # type: ignore[union-attr]
            values = [one if isinstance(one, Tensor) else scores.new_zeros(shape) for one in total]
        return Explanation(torch.stack(values), pairs[last - 1][1].layer)


def _of_block(pair: Placed, slope: Tensor, item: int, token: str | None) -> Tensor:
    """One block's map of one picture of the batch: (rows, columns), of what the token that answers takes."""
    (operation, *_), one = pair
    assert operation.value is not None
    at = int(rollout.start_row(one, token).argmax())
    weights = one.weights.block(item, 0, at, at + 1)[:, 0]  # (heads, tokens)
    values = operation.value[item].detach().float()  # (heads, tokens, channels)
    raising = slope[item, :, at].float().clamp(min=0)  # (heads, channels)
    return rollout.on_image((weights * (values @ raising[..., None])[..., 0]).sum(0), one).clamp(min=0)


def _why_not(model: Model, placed: Sequence[Placed]) -> str | None:
    pairs = [pair for pair in placed if pair[1].kind == "pairwise"]
    try:
        token, _ = answering_token(model, [one for _, one in pairs])
    except ParameterError as error:
        return error.message
    if token is None:
        return Message("its answer is not read from a class token")
    for operations, one in pairs:
        if operations[0].value is None:
            return Message("{layer}: the values of its attention cannot be read", layer=one.layer)
    return None
