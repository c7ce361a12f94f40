"""LeGrad: how does the answer react to each layer's attention?"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explorer.attention import rollout
from explorer.attention.watch import recording
from explorer.attribution import facts
from explorer.attribution.base import METHODS, Explanation, InputMethod, PassCount, Progress
from explorer.attribution.logit_lens import answers
from explorer.messages import Message

if TYPE_CHECKING:
    from explorer.attribution.base import Placed
    from explorer.models.model import Model

_OTHERWISE = Message("its head does not read the tokens of its last block after one normalisation")
_reasons: WeakKeyDictionary[nn.Module, str | None] = WeakKeyDictionary()


@METHODS.register("legrad")
@dataclass(frozen=True)
class LeGrad(InputMethod):
    """Which patches would raise the target, layer by layer, if attention gave them more?

    The mean over layers l of the mean over heads and queries of (d s_l / d A_l)^+, s_l the target's logit of the
    network's own normalisation and head, given the mean of all tokens after block l (Bousselham et al. 2024, LeGrad,
    as the authors' code for CLIP has it). Tokens that come before the patches are left out, and the authors' scaling
    to 0..1 is a matter of display. Never negative.
    """

    title: ClassVar[str] = "LeGrad"
    unit: ClassVar[str] = "slope of the target's logit by attention, from 0"

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        if any(stage.layout != "tokens" for stage in model.stages) or not model.stages:
            return Message("it reads transformers whose blocks all give the same tokens")
        if (reason := facts.rollouts(model)[1]) is not None:
            return Message("the gradient of its attention cannot be read: {reason}", reason=reason)
        with model.lock:
            if model.module not in _reasons:
                with torch.inference_mode(False), torch.enable_grad():
                    grey = torch.full((1, 3, *model.input_size), 0.5, device=model.device)
                    _reasons[model.module] = _why_not(model, grey)
            return _reasons[model.module]

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        # A backward pass a layer, each through its own block alone.
        return PassCount(1, 1)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        placed, tokens = _forward(model, x01)
        maps = []
        for number, ((operations, one), after, stage) in enumerate(zip(placed, tokens, model.stages), start=1):
            scores = answers(model, _normalised(model, after.mean(1, keepdim=True))[:, 0], stage)
            wanted = rollout.differentiable(operations, one)
            assert wanted is not None
            chosen = scores.gather(1, target[:, None]).sum()
            (slope,) = torch.autograd.grad(chosen, wanted, retain_graph=number < len(placed))
            with torch.no_grad():
                if (value := operations[0].value) is not None:
                    # O = A V of a fused attention: the slope by A is that by O times V.
                    slope = slope @ value.detach().transpose(-1, -2)
                keys = slope.float().clamp(min=0).mean((1, 2))
                maps.append(torch.stack([rollout.on_image(row, one) for row in keys]))
            progress(number / (len(placed) + 1))
        return Explanation(torch.stack(maps).mean(0))


def _forward(model: Model, x01: Tensor) -> tuple[list[Placed], list[Tensor]]:
    """Each block's own attention, and its tokens (B, N, channels) with their graph; one of each a stage."""
    tokens: list[Tensor] = []
    with ExitStack() as stack:
        recorder = stack.enter_context(recording(model, values=True))
        for stage in model.stages:

            def keep(_module: Any, _inputs: Any, output: Any, part: int = stage.part) -> None:
                tokens.append(output if isinstance(output, Tensor) else output[part])

            stack.callback(model.module.get_submodule(stage.name).register_forward_hook(keep).remove)
        model.module(model.normalise(x01.requires_grad_()))
        placed = [pair for pair in recorder.placed() if pair[1].kind == "pairwise"]
    return placed, tokens


def _normalised(model: Model, tokens: Tensor) -> Tensor:
    """Tokens as the head is given them."""
    found: Tensor = model.module.norm(tokens)  # type: ignore[operator]
    return found


def _why_not(model: Model, picture: Tensor) -> str | None:
    """Tried on a picture: networks are too many to tell by their names."""
    network = model.module
    if not all(hasattr(network, name) for name in ("norm", "forward_features", "forward_head")):
        return _OTHERWISE
    try:
        placed, tokens = _forward(model, picture)
        with torch.no_grad():
            features = network.forward_features(model.normalise(picture))  # type: ignore[operator]
            last = _normalised(model, tokens[-1])
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError, AssertionError):
        return _OTHERWISE
    if not isinstance(features, Tensor) or features.shape != last.shape:
        return _OTHERWISE
    if not torch.allclose(features, last, rtol=1e-3, atol=1e-4 * float(features.abs().max())):
        return _OTHERWISE
    inside = [one.layer.startswith(f"{stage.name}.") for (_, one), stage in zip(placed, model.stages)]
    if len(placed) != len(model.stages) or not all(inside):
        return Message("its blocks have not one attention map each")
    return None
