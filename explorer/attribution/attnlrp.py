"""AttnLRP: how much does each pixel add to the answer, attention included?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explorer.attention.watch import watching
from explorer.attribution.base import METHODS, Explanation, InputMethod, PassCount, Progress, explained
from explorer.attribution.relevance import Rules
from explorer.messages import Message
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.models.model import Model


@METHODS.register("attnlrp")
@dataclass(frozen=True)
class AttnLrp(InputMethod):
    """How much does each pixel add to the target, followed back through every operation, attention included?

    Layer-wise relevance propagation with the rules of Achtibat et al. 2024 (AttnLRP). Products of activations, as the
    two of attention are, give each factor half of their relevance; softmax by R_i = x_i (R_i - s_i sum_j R_j);
    activation functions and normalisations hand on what they get; linear layers by the epsilon rule inside modules that
    run attention, elsewhere and in convolutions by the gamma rule, which favours what agrees with the sign of the sum.
    The authors search the gammas for each vision transformer; the values here lie in the middle of their example's
    search. Summed over the channels of the normalised picture. What biases, position embeddings, the class token and
    softmax keep for themselves is missing in the map's sum; without them it is the target's value.
    """

    title: ClassVar[str] = "AttnLRP"
    unit: ClassVar[str] = "share of the target's value"

    gamma: float = parameter(
        0.05, "gamma of the linear layers outside of attention; 0: epsilon rule", low=0.0, high=1e3
    )
    gamma_conv: float = parameter(0.25, "gamma of the convolutions; 0: epsilon rule", low=0.0, high=1e3)

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        return _facts(model)[0]

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(2, 1)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        rules = Rules(gamma=self.gamma, gamma_conv=self.gamma_conv, projecting=set(_facts(model)[1]))
        x = model.normalise(x01).detach().requires_grad_()
        with watching(model.module, rules), rules:
            output = model.module(x)
        progress(0.5)
        chosen = explained(model, output).gather(1, target[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, x)
        return Explanation((x.detach() * gradient).sum(1))


_tried: WeakKeyDictionary[nn.Module, tuple[str | None, frozenset[str]]] = WeakKeyDictionary()


def _facts(model: Model) -> tuple[str | None, frozenset[str]]:
    """Why the rules do not fit a network, or None; and the modules that run its attention. Tried on a grey picture."""
    with model.lock:
        if model.module not in _tried:
            rules = Rules()
            with torch.inference_mode(False), torch.enable_grad():
                grey = torch.full((1, 3, *model.input_size), 0.5, device=model.device)
                x = model.normalise(grey).requires_grad_()
                with watching(model.module, rules), rules:
                    model.module(x)
            _tried[model.module] = (_why_not(rules), frozenset(rules.projecting))
        return _tried[model.module]


def _why_not(rules: Rules) -> str | None:
    if not rules.attentions:
        return Message("the network runs no attention, for which AttnLRP has its rules")
    if not rules.unknown:
        return None
    name, path = rules.unknown[0]
    if name in ("batch_norm", "_batch_norm_impl_index"):
        return Message(
            "{path} runs a batch normalisation, which would first have to be merged into the layer before it",
            path=path or Message("the network itself"),
        )
    return Message(
        "{path} runs {name}, for which AttnLRP has no rule", path=path or Message("the network itself"), name=name
    )
