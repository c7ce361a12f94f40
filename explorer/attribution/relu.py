"""Methods that change the backward pass of certain nonlinearities, and mean nothing where there are none of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from explorer.attribution import facts
from explorer.attribution.base import (
    METHODS,
    REFERENCE,
    Explanation,
    InputMethod,
    PassCount,
    Progress,
    Scores,
    baseline_like,
    captum_attr,
    largest,
    untouched,
)
from explorer.attribution.gradcam import layer_of, unplaceable
from explorer.messages import Message
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.models.model import Model

for _message in ("Setting backward hooks on ReLU", "Setting forward, backward hooks and attributes"):
    warnings.filterwarnings("ignore", f"\\s*{_message}")

_DEEPLIFT = {
    nn.ReLU: "relu",
    nn.ELU: "elu",
    nn.LeakyReLU: "leaky_relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Softplus: "softplus",
    nn.MaxPool2d: "max_pool2d",
    nn.Softmax: "softmax",
}


def _not_relu(model: Model) -> str | None:
    """Why guided backpropagation is not itself on this model, or None: it changes the backward pass of ReLU modules."""
    if not any(isinstance(child, nn.ReLU) for child in model.module.modules()):
        return Message("the network has no ReLU, so guided backpropagation would be the plain gradient")
    for one in facts.nonlinearities(model):
        if one.name in ("max_pool2d", "layer_norm", "group_norm", "normalize"):
            continue
        if one.name != "relu" or not issubclass(one.module, nn.ReLU):
            where = f"{one.path} ({one.module.__name__})" if one.path else Message("the network itself")
            return Message(
                "guided backpropagation changes ReLU modules only, and {where} runs {name}: the map would be a mixture",
                where=where,
                name=Message("relu as a function") if one.name == "relu" else one.name,
            )
    return None


def _not_deeplift(model: Model) -> str | None:
    """Why DeepLIFT is not itself on this model, or None."""
    if not any(type(child) in _DEEPLIFT for child in model.module.modules()):
        return Message(
            "the network has no nonlinearity that DeepLIFT's rescale rule covers: it would be input x gradient"
        )
    for one in facts.nonlinearities(model):
        where = f"{one.path} ({one.module.__name__})" if one.path else Message("the network itself")
        if _DEEPLIFT.get(one.module) != one.name:
            return Message("DeepLIFT's rescale rule does not cover {name} in {where}", name=one.name, where=where)
        pool = model.module.get_submodule(one.path)
        if isinstance(pool, nn.MaxPool2d) and any(k > s for k, s in zip(_pair(pool.kernel_size), _pair(pool.stride))):
            # It spreads contributions with max_unpool, which keeps one of those that meet in a pixel.
            return Message(
                "captum's rule for max pooling loses contributions where windows overlap, as in {where} (kernel "
                "{kernel_size}, stride {stride})",
                where=where,
                kernel_size=pool.kernel_size,
                stride=pool.stride,
            )
        if one.calls > 1:
            return Message(
                "{where} is called {calls} times in one pass; DeepLIFT needs one module a call",
                where=where,
                calls=one.calls,
            )
    return None


def _pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else size


def _apart(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ARG001 - signature of a hook
    """Give a nonlinearity an input of its own.

    Where one follows another directly, they share a tensor, and captum's hooks on it run in the wrong order: the first
    one never sees what the second did to the gradient.
    """
    return (args[0].clone(), *args[1:])


@METHODS.register("guided_backprop")
@dataclass(frozen=True)
class GuidedBackpropagation(InputMethod):
    """Which pixels raise the target, along paths on which every ReLU passes a positive gradient?

    d target / d x with negative gradients set to zero at every ReLU (Springenberg et al. 2015), of the three channels
    the value of the largest magnitude with its sign. Nearly the same for every target (Adebayo et al. 2018): it shows
    edges more than reasons.
    """

    title: ClassVar[str] = "guided backpropagation"
    unit: ClassVar[str] = "guided gradient per unit of pixel value (0 to 1)"

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        return _not_relu(model)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(2, 1)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        with untouched(model.module):
            values = captum_attr().GuidedBackprop(Scores(model, progress)).attribute(x01.requires_grad_(), target)
        return Explanation(largest(values))


@METHODS.register("deeplift")
@dataclass(frozen=True)
class DeepLiftRescale(InputMethod):
    """How much does each pixel add to the target, against a reference picture, with differences for slopes?

    Rescale rule of DeepLIFT (Shrikumar, Greenside & Kundaje 2017), summed over channels. The values sum to target(x) -
    target(reference); the convergence delta is what is missing.
    """

    title: ClassVar[str] = "DeepLIFT"
    unit: ClassVar[str] = "share of the target's change from the reference"

    baseline: Literal["mean", "black", "white"] = parameter("mean", REFERENCE)

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        return _not_deeplift(model)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(5, 2)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        with untouched(model.module):
            for child in model.module.modules():
                if type(child) in _DEEPLIFT:
                    child.register_forward_pre_hook(_apart)
            values, delta = (
                captum_attr()
                .DeepLift(Scores(model, progress, passes=3))
                .attribute(
                    x01.requires_grad_(),
                    baseline_like(model, x01, self.baseline),
                    target,
                    return_convergence_delta=True,
                )
            )
        return Explanation(values.detach().sum(1), delta=tuple(delta.tolist()))


@METHODS.register("guided_gradcam")
@dataclass(frozen=True)
class GuidedGradientCam(InputMethod):
    """Which pixels, inside the regions that raise the target, raise it along positive ReLU paths?

    Guided backpropagation times the positive part of Grad-CAM, upsampled bilinearly (Selvaraju et al. 2017, section
    3.2).
    """

    title: ClassVar[str] = "guided Grad-CAM"
    unit: ClassVar[str] = "guided gradient x weighted activation"

    stage: int | None = parameter(
        None, "stage of the Grad-CAM, counted from 1; the last with a grid if left out", low=1
    )

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        if (reason := unplaceable(model) or _not_relu(model)) is not None:
            return reason
        layout = layer_of(model, None).stage.layout
        return (
            None
            if layout == "NCHW"
            else Message("captum's Grad-CAM reads channels-first features only; these are {layout}", layout=layout)
        )

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(3, 2)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        layer = layer_of(model, self.stage)
        with untouched(model.module):
            values = (
                captum_attr()
                .GuidedGradCam(Scores(model, progress, passes=2), layer.module)
                .attribute(x01.requires_grad_(), target, interpolate_mode="bilinear")
            )
        return Explanation(largest(values.detach()), layer.path)
