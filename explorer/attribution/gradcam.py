"""Grad-CAM: which regions of a stage's features raise the target?

Our own, not captum's: it shares the prediction's forward pass, its graph begins at the stage, and it knows tokens and
channels-last features, on which captum's LayerGradCam is silently wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from explorer.attribution.base import METHODS, Explanation, PassCount, PassMethod
from explorer.errors import MethodError, ParameterError
from explorer.messages import Message, listed
from explorer.models.stages import Stage
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.attribution.base import Placed
    from explorer.models.model import Model


@dataclass
class Layer:
    """Where Grad-CAM reads: a stage, the module at it, and the features of the last pass, from which a graph begins."""

    stage: Stage
    path: str
    module: nn.Module
    before: bool
    features: list[Tensor] = field(default_factory=list)

    def on_output(self, module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG002 - signature of a hook
        if isinstance(output, Tensor):
            return self._begin(output)
        part = self.stage.part
        return (*output[:part], self._begin(output[part]), *output[part + 1 :])

    def on_input(self, module: nn.Module, args: tuple[Any, ...]) -> Any:  # noqa: ARG002 - signature of a hook
        part = self.stage.part
        return (*args[:part], self._begin(args[part]), *args[part + 1 :])

    def _begin(self, tensor: Tensor) -> Tensor:
        leaf = tensor.detach().requires_grad_()
        self.features.append(leaf)
        # A view, on which an in-place activation that follows is allowed, would overwrite the leaf; a copy does not.
        return leaf.clone()


def _spatial(model: Model) -> list[Stage]:
    return [stage for stage in model.stages if stage.layout != "unknown" and stage.grid[0] * stage.grid[1] > 1]


def layer_of(model: Model, number: int | None) -> Layer:
    """The layer at which Grad-CAM reads for a stage: its output, or for tokens the `norm1` of its block.

    After the last block of a network that pools by its class token the patch tokens have no gradient; at the block's
    first normalisation, from which its attention reads, they still have. A block with prefix tokens that does not begin
    with a `norm1` is read at its input, for the same reason.
    """
    stages = _spatial(model)
    if number is None:
        if not stages:
            raise MethodError(listed(["Grad-CAM", unplaceable(model)], "{first}: {rest}"))
        stage = stages[-1]
    else:
        found = next((one for one in model.stages if one.number == number), None)
        if found is None:
            raise ParameterError(
                Message(
                    "Grad-CAM: {spec} has stages 1 to {stages}, stage {number} asked for",
                    spec=model.spec,
                    stages=len(model.stages),
                    number=number,
                )
            )
        if found not in stages:
            reason = found.problem or Message(
                "its grid is {rows} x {columns}, which is no picture", rows=found.grid[0], columns=found.grid[1]
            )
            raise MethodError(
                Message("Grad-CAM at stage {number} ({name}): {reason}", number=number, name=found.name, reason=reason)
            )
        stage = found
    module = model.module.get_submodule(stage.name)
    norm = getattr(module, "norm1", None)
    path = next((name for name, child in module.named_modules() if child is norm), "")
    after = "Post" in type(module).__name__ or not getattr(module, "norm_first", True)  # it normalises what it made
    if stage.layout == "tokens" and path and not after:
        return Layer(stage, f"{stage.name}.{path}", model.module.get_submodule(f"{stage.name}.{path}"), before=False)
    return Layer(stage, stage.name, module, before=stage.prefix > 0)


def unplaceable(model: Model) -> str | None:
    """Why no stage of this model gives a picture, or None."""
    if _spatial(model):
        return None
    if not model.stages:
        if model.spec.source.scheme in ("module", "tv", "hf"):
            return Message("no stages were found in this model; a module of your own names them, as stages=['layer4']")
        return Message("timm names no stages in this model, so there is no layer to read")
    last = model.stages[-1]
    return Message(
        "no stage of this model has a known place on the image ({name}: {cell})",
        name=last.name,
        cell=last.problem or Message("a single cell"),
    )


@METHODS.register("gradcam")
@dataclass(frozen=True)
class GradCam(PassMethod):
    """Which regions of a stage's features raise the target?

    sum over channels c of w_c A_c, with w_c the mean of d target / d A_c over positions (Selvaraju et al. 2017,
    equations 1 and 2, without their ReLU: signed values are kept, and cutting negative ones is a matter of display).
    Of tokens only those on patches count.
    """

    title: ClassVar[str] = "Grad-CAM"
    live: ClassVar[bool] = True
    unit: ClassVar[str] = "weighted activation, raises (+) or lowers (-) the target"

    stage: int | None = parameter(None, "stage it reads, counted from 1; the last one with a grid if left out", low=1)

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        return unplaceable(model)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(1, 1)

    @contextmanager
    def attached(self, model: Model) -> Iterator[Layer]:
        layer = layer_of(model, self.stage)
        handle = (
            layer.module.register_forward_pre_hook(layer.on_input)
            if layer.before
            else layer.module.register_forward_hook(layer.on_output)
        )
        try:
            yield layer
        finally:
            handle.remove()

    def read(self, model: Model, watched: Layer, placed: Sequence[Placed], scores: Tensor | None) -> Explanation:  # noqa: ARG002 - the contract
        assert scores is not None
        if len(watched.features) != 1:
            raise MethodError(
                Message(
                    "Grad-CAM: {path} ran {features} times in one pass, expected once",
                    path=watched.path,
                    features=len(watched.features),
                )
            )
        leaf = watched.features[0]
        (gradient,) = torch.autograd.grad(scores.sum(), leaf, allow_unused=True)
        with torch.no_grad():
            features = watched.stage.spatial(leaf.detach()).float()
            note = Message("no gradient of the target reaches this layer: the map is zero everywhere")
            if gradient is None:
                return Explanation(torch.zeros_like(features[:, 0]), watched.path, note=note)
            weights = watched.stage.spatial(gradient).float().mean((2, 3))
            values = torch.einsum("bc,bchw->bhw", weights, features)
            # Whether it holds is not asked here, where that would wait for the device.
            return Explanation(values, watched.path, note=note, noted=(gradient == 0).all())
