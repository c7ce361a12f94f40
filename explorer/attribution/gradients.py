"""Methods from the gradient with respect to the picture: saliency, input x gradient, integrated gradients, SmoothGrad.

The function explained is the one from the picture in 0..1 to the logits, normalisation included, so a gradient is per
unit of pixel value. Against the mean colour as reference, input x gradient, integrated gradients and DeepLIFT are the
same numbers as in normalised values with reference zero, the usual convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

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
)
from explorer.registry import parameter

if TYPE_CHECKING:
    from explorer.models.model import Model


@dataclass(frozen=True)
class _Gradient(InputMethod):
    """Any differentiable network can be served."""

    @classmethod
    def unavailable(cls, model: Model) -> str | None:  # noqa: ARG003 - the contract of all methods
        return None


@METHODS.register("saliency")
@dataclass(frozen=True)
class SaliencyMap(_Gradient):
    """Which pixels would change the target most, per unit of change?

    d target / d x, of the three channels the value of the largest magnitude with its sign; its absolute value is the
    map of Simonyan, Vedaldi & Zisserman 2014 (section 3.1).
    """

    live: ClassVar[bool] = True
    unit: ClassVar[str] = "target per unit of pixel value (0 to 1)"

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(2, 1)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        scores = Scores(model, progress)
        return Explanation(largest(captum_attr().Saliency(scores).attribute(x01.requires_grad_(), target, abs=False)))


@METHODS.register("input_x_gradient")
@dataclass(frozen=True)
class InputTimesGradient(_Gradient):
    """How much does each pixel add to the target, if the network were as steep everywhere as it is here?

    (x - reference) * d target / d x, summed over channels (Shrikumar et al. 2017, "Not just a black box"). Exact for a
    linear network only.
    """

    title: ClassVar[str] = "input × gradient"
    live: ClassVar[bool] = True
    unit: ClassVar[str] = "share of the target's value"

    baseline: Literal["mean", "black", "white"] = parameter("mean", REFERENCE)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(2, 1)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        scores, reference = Scores(model, progress), baseline_like(model, x01, self.baseline)
        method = captum_attr().InputXGradient(lambda difference: scores(difference + reference))
        return Explanation(method.attribute((x01 - reference).requires_grad_(), target).sum(1))


@METHODS.register("integrated_gradients")
@dataclass(frozen=True)
class Integrated(_Gradient):
    """How much does each pixel add to the target, on the straight way from a reference picture to this one?

    (x - reference) * integral of d target / d x along the way, summed over channels (Sundararajan, Taly & Yan 2017,
    equation 1), by Gauss-Legendre quadrature. The values sum to target(x) - target(reference); the convergence delta is
    what is missing.
    """

    unit: ClassVar[str] = "share of the target's change from the reference"

    n_steps: int = parameter(50, "points of the quadrature", low=2, high=500)
    baseline: Literal["mean", "black", "white"] = parameter("mean", REFERENCE)
    internal_batch_size: int = parameter(8, "pictures in one pass; more needs more memory", low=1, high=64)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(self.n_steps + 3, self.n_steps)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        # Captum asks for at least one point of every image in a pass.
        batch = max(self.internal_batch_size, len(x01))
        points = max(1, batch // len(x01))
        scores = Scores(model, progress, passes=-(-self.n_steps // points) + 2)
        values, delta = (
            captum_attr()
            .IntegratedGradients(scores)
            .attribute(
                x01,
                baseline_like(model, x01, self.baseline),
                target,
                n_steps=self.n_steps,
                internal_batch_size=batch,
                return_convergence_delta=True,
            )
        )
        return Explanation(values.sum(1).float(), delta=tuple(delta.tolist()))


@METHODS.register("smoothgrad")
@dataclass(frozen=True)
class SmoothGrad(_Gradient):
    """Which pixels would change the target most, averaged over noisy copies of the picture?

    Mean of d target / d x over x + normal noise (Smilkov et al. 2017), of the three channels the value of the largest
    magnitude with its sign. The same seed gives the same map.
    """

    title: ClassVar[str] = "SmoothGrad"
    unit: ClassVar[str] = "target per unit of pixel value (0 to 1)"

    samples: int = parameter(16, "noisy copies", low=1, high=200)
    noise: float = parameter(0.15, "standard deviation of the noise", low=0.0, high=1.0, unit="of the pixel range")
    seed: int = parameter(0, "seed of the noise", low=0, high=2**31 - 1)
    internal_batch_size: int = parameter(8, "pictures in one pass; more needs more memory", low=1, high=64)

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(self.samples + 1, self.samples)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        # Captum's NoiseTunnel draws from the process-wide generator, which other sessions draw from at the same time.
        generator = torch.Generator().manual_seed(self.seed)
        copies = max(1, self.internal_batch_size // len(x01))
        method = captum_attr().Saliency(Scores(model, progress, passes=-(-self.samples // copies)))
        total = torch.zeros_like(x01)
        for start in range(0, self.samples, copies):
            count = min(copies, self.samples - start)
            noise = torch.stack([torch.randn(x01.shape, generator=generator) for _ in range(count)])
            noisy = (x01 + self.noise * noise.to(x01.device)).flatten(0, 1)
            gradient = method.attribute(noisy.requires_grad_(), target.repeat(count), abs=False)
            total += gradient.unflatten(0, (count, len(x01))).sum(0)
        return Explanation(largest(total / self.samples))
