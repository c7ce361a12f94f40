"""Occlusion: what is lost when a part of the picture is covered?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from explorer.attribution.base import (
    METHODS,
    Explanation,
    InputMethod,
    PassCount,
    Progress,
    Scores,
    baseline_like,
    captum_attr,
)
from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.models.model import Model


@METHODS.register("occlusion")
@dataclass(frozen=True)
class Occlusion(InputMethod):
    """How much does the target lose when a window of the picture is covered?

    target(x) - target(x with the window covered), at each pixel the mean over the windows that hold it (Zeiler &
    Fergus 2014, section 4.2). Needs no gradient, so it serves every model.
    """

    unit: ClassVar[str] = "loss of the target's value"

    window: int = parameter(32, "edge of the covering square", low=1, high=4096, unit="px")
    stride: int = parameter(16, "step between windows", low=1, high=4096, unit="px")
    baseline: Literal["mean", "black", "white"] = parameter("mean", "colour that covers")
    internal_batch_size: int = parameter(8, "pictures in one pass; more needs more memory", low=1, high=64)

    @classmethod
    def unavailable(cls, model: Model) -> str | None:  # noqa: ARG003 - the contract of all methods
        return None

    def cost(self, input_size: tuple[int, int]) -> PassCount:
        return PassCount(self._windows(input_size) + 2, 0)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        height, width = x01.shape[2:]
        if self.window > min(height, width):
            raise ParameterError(
                Message(
                    "occlusion: window {window} px is larger than the {width} x {height} px input",
                    window=self.window,
                    width=width,
                    height=height,
                )
            )
        if self.stride > self.window:
            raise ParameterError(
                Message(
                    "occlusion: stride {stride} px is larger than window {window} px and would skip pixels",
                    stride=self.stride,
                    window=self.window,
                )
            )
        at_once = max(1, self.internal_batch_size // len(x01))
        scores = Scores(model, progress, passes=-(-self._windows((height, width)) // at_once) + 1)
        with torch.no_grad():
            values = (
                captum_attr()
                .Occlusion(scores)
                .attribute(
                    x01,
                    sliding_window_shapes=(x01.shape[1], self.window, self.window),
                    strides=(x01.shape[1], self.stride, self.stride),
                    baselines=baseline_like(model, x01, self.baseline),
                    target=target,
                    perturbations_per_eval=at_once,
                )
            )
        # A window covers all channels at once, so they all carry the same loss.
        return Explanation(values[:, 0].float())

    def _windows(self, input_size: tuple[int, int]) -> int:
        rows, columns = (-(-max(0, size - self.window) // self.stride) + 1 for size in input_size)
        return rows * columns
