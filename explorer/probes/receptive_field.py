"""The theoretical receptive field: what a stage could see at most, read off the architecture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer.figures.sheet import Axis, Chart, Line, Section
from explorer.messages import Message, listed
from explorer.models.device import out_of_memory
from explorer.models.model import Model
from explorer.probes.base import PROBES, Bias, Extremes, Probe, Run, Step
from explorer.probes.charting import at_one_place
from explorer.probes.passes import stage_features
from explorer.probes.result import ProbeResult, Score
from explorer.probes.rows import Row, row, score
from explorer.probes.stimuli import Shown

#: Lengths of the strip on which a field is measured, px; one longer than the last counts as the whole input.
LENGTHS = (1024, 2048, 4096, 8192)
#: Where a field ends: at nothing but itself; nowhere; or at one border of an input that cannot be made larger.
Reach = Literal["bounded", "whole input", "cut off by the border"]
Support = dict[int, tuple[int, int]]
"""Stage number -> (first, last) input pixel along one axis that its centre unit depends on."""


@PROBES.register("receptive-field")
@dataclass(frozen=True)
class ReceptiveField(Probe):
    """How far could each stage see at most, by its architecture alone?

    The side, px, of the smallest upright rectangle of the input that holds every pixel on which the unit at the centre
    of a stage's feature map (row and column number size // 2, all channels) depends. It is exact: in a copy of the
    network every weight is made positive, no two neighbours alike; every normalisation and activation passes on only
    which of its values depend on which; maximum pooling becomes average pooling. The pixels where the gradient is not
    zero are the field. The statistics of group, instance and layer normalisation are left out, as is usual; gates,
    squeeze and excitation and attention count, also where they are shut at first.

    Width and height are each measured on a strip, made longer until the field ends inside it: "reach" is "bounded".
    Where it never does (global attention, squeeze and excitation), the field is measured at the model's own input size
    and is the "whole input". A model that runs at its own size alone is measured there; a field that meets only some
    borders is "cut off by the border". Inside windows of attention the field depends on the place of the unit.
    """

    bias: ClassVar[Bias] = "locality"
    formula: ClassVar[str] = "r = 1 + sum over layers of (k - 1) * product of earlier strides, maximum over paths"
    source: ClassVar[str] = "Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural Networks, 2019"
    limits: ClassVar[str] = "It bounds what a stage can see; how much of it has any weight, the effective field shows."
    looks: ClassVar[bool] = False
    headline: ClassVar[str] = "receptive field"

    def measure(self, model: Model, shown: Shown, run: Run) -> Iterator[Step]:  # noqa: ARG002 - architecture only
        """Measure every stage; raises MethodError where no stage can be read."""
        with model.lock:
            bare = replace(model, module=_positive(model.module))
        square = _is_square(bare.module)
        wide = _Axis(bare, across=True)
        yield from (Step(share * (1.0 if square else 0.5)) for share in wide.steps())
        tall = wide
        if not square or model.input_size[0] != model.input_size[1]:
            tall = _Axis(bare, across=False)
            yield from (Step(0.5 + share / 2) for share in tall.steps())
        rows = []
        for stage in model.stages:
            if stage.number not in wide.found:
                continue
            where: dict[str, Any] = {"stage": stage.number, "layer": stage.name, "stride": stage.reduction}
            for measure, field in (
                ("receptive field", wide.found[stage.number]),
                (Message("receptive field, height"), tall.found[stage.number]),
            ):
                rows.append(row(measure, float(field.pixels), "px", **where, reach=field.reach))
        yield Step(1.0, rows)

    def scores(self, rows: Sequence[Row]) -> list[Score]:
        """The width of the last stage's field."""
        last = max((one["stage"] for one in rows), default=None)
        return score(rows, self.headline, "none", stage=last)

    def finding(self, found: Extremes) -> str:
        return found.say(
            Message("Features of the last stage can depend on {high} of the picture in {most}, on {low} in {least}.")
        )

    def sections(self, result: ProbeResult) -> tuple[Section, ...]:
        """The width of the field against the stage."""
        lines, said = [], []
        for number, model in enumerate(result.models):
            rows = result.of(model, measure=self.headline)
            if not rows:
                continue
            x, y = (tuple(float(one[name]) for one in rows) for name in ("stage", "value"))
            lines.append(Line(model, x, y, colour=result.colours[number]))
            open_ = [one for one in rows if one["reach"] != "bounded"]
            if open_:
                said.append(
                    Message(
                        "{model}: no end inside its input of {size} px from stage {stage} on",
                        model=model,
                        size=f"{open_[-1]['value']:.0f}",
                        stage=open_[0]["stage"],
                    )
                )
        chart = Chart(
            Message("Theoretical receptive field, by stage"),
            tuple(lines),
            Axis("stage"),
            Axis(Message("width of the receptive field, px"), log=True),
            unit=listed(said, "{first}; {rest}"),
        )
        return (Section(Message("How far could each stage see?"), ((at_one_place(chart),),)),) if lines else ()


class _Field(NamedTuple):
    """Extent of one field along one axis, px, and where it ends."""

    pixels: int
    reach: Reach


class _Axis:
    """The fields of all stages along one axis, ``found`` by stage number once `steps` has run."""

    def __init__(self, model: Model, across: bool) -> None:
        self.model, self.across = model, across
        self.found: dict[int, _Field] = {}

    def steps(self) -> Iterator[float]:
        """Measure; yields the share done. Raises MethodError where no stage can be read."""
        pending = [stage.number for stage in self.model.stages if not stage.problem]
        for number, length in enumerate(LENGTHS):
            support = self._on_strip(length, pending)
            if support is None:
                break
            for stage, (first, last) in support.items():
                if first > 0 and last < length - 1:
                    self.found[stage] = _Field(last - first + 1, "bounded")
            pending = [stage for stage in pending if stage not in self.found]
            if not pending:
                return
            yield (number + 1) / (len(LENGTHS) + 1)
        height, width = self.model.input_size
        length = width if self.across else height
        # Stages without a place on the image are refused here, with the reason.
        for stage, (first, last) in self._support(height, width, pending or None).items():
            ends = (first > 0) + (last < length - 1)
            reach: Reach = ("whole input", "cut off by the border", "bounded")[ends]
            self.found[stage] = _Field(last - first + 1, reach)
        yield 1.0

    def _on_strip(self, length: int, stages: list[int]) -> Support | None:
        """The support on a strip of this length; None where the network runs on no such input.

        The strip is as high as the total stride, or, for networks that need more, as the model's own input: what it
        costs grows with its area, and how far a unit sees along it does not depend on its height.
        """
        own = self.model.input_size[0 if self.across else 1]
        for side in (max((stage.reduction for stage in self.model.stages), default=32), own):
            try:
                return self._support(*((side, length) if self.across else (length, side)), stages)
            except Exception as error:
                # A network says in many ways (assertions, shapes) that it has one size only.
                if isinstance(error, RuntimeError) and out_of_memory(error):
                    return None
        return None

    def _support(self, height: int, width: int, stages: list[int] | None) -> Support:
        with torch.inference_mode(False), torch.enable_grad():
            x = torch.ones(1, 3, height, width, device=self.model.device, requires_grad=True)
            # A copy each time: some networks keep the window of the smallest input that they ever saw.
            fresh = replace(self.model, module=copy.deepcopy(self.model.module))
            with _Dependence():
                features = stage_features(fresh, x, stages)
                out: Support = {}
                for number, one in features.items():
                    centre = one[..., one.shape[-2] // 2, one.shape[-1] // 2].sum()
                    (gradient,) = torch.autograd.grad(centre, x, retain_graph=True)
                    touched = (gradient != 0).any(1)[0].any(0 if self.across else 1).nonzero()
                    out[number] = (int(touched[0]), int(touched[-1]))
        return out


def _positive(module: nn.Module) -> nn.Module:
    """A copy whose parameters are positive: weights 1 to 2 over the fan-in, scales and gates 1 to 2, biases 0."""
    out = copy.deepcopy(module).requires_grad_(False).eval()
    for name, one in out.named_parameters():
        fan = one[0].numel() if one.dim() > 1 else 1
        one.data.copy_(torch.zeros_like(one) if name.endswith("bias") else _unequal(one) / fan)
    return out


def _unequal(like: Tensor) -> Tensor:
    """Numbers from 1 to 2 in the shape of a tensor, neighbours never alike: what is equal can cancel out.

    The response of a channel over the mean of all channels would seem to depend on nothing, were all equal.
    """
    # A prime, so that no row, plane or layer repeats in step.
    some = 1 + (torch.arange(4093, device=like.device) * 0.618034).frac()
    return some.to(like.dtype).repeat(like.numel() // 4093 + 1)[: like.numel()].view(like.shape)


def _is_square(module: nn.Module) -> bool:
    """Whether no kernel, stride, padding or dilation tells rows from columns, so that one axis stands for both."""
    names = ("kernel_size", "stride", "padding", "dilation")
    pairs = (getattr(one, name, None) for one in module.modules() for name in names)
    return all(not isinstance(pair, tuple) or len(set(pair)) <= 1 for pair in pairs)


#: Swin masks with -100: exp(-100) is 4e-44.
_MASKED = 1e-30


class _Pass(torch.autograd.Function):
    """Each value depends on the value at its place. The values themselves, of no interest here, become 1.

    The gradient becomes 1 to 2 wherever it is not 0, so that no network is so deep that it overflows or vanishes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - signature of a Function
        return torch.ones_like(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return (gradient != 0) * _unequal(gradient)


class _Mix(torch.autograd.Function):
    """Softmax: each weight depends on all scores along the axis that are not masked, also where all are equal.

    Some networks mask with a large negative number instead of minus infinity: weights below `_MASKED` of the largest
    count as masked.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        out = x.softmax(dim)
        ctx.dim, ctx.seen = dim, out > _MASKED * out.amax(dim, keepdim=True)
        return out * ctx.seen

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        reached = ((gradient != 0) & ctx.seen).any(ctx.dim, keepdim=True)
        return (reached & ctx.seen) * _unequal(gradient), None


class _Dependence(TorchFunctionMode):
    """Inside, operations pass on what depends on what, nothing else; parameters are expected to be positive."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        replaced = _REPLACED.get(getattr(func, "__name__", ""))
        return (func if replaced is None else replaced)(*args, **(kwargs or {}))


def _pass(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return _Pass.apply(x)


def _softmax(x: Tensor, dim: int = -1, *_args: Any, **_kwargs: Any) -> Tensor:
    return _Mix.apply(x, dim)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - signature of the replaced function
    is_causal: bool = False,  # noqa: ARG001
    scale: float | None = None,  # noqa: ARG001
    enable_gqa: bool = False,  # noqa: ARG001
) -> Tensor:
    scores = query @ key.transpose(-1, -2)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return _softmax(scores) @ value


def _average(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,  # noqa: ARG001 - no network here has a dilated pooling
    ceil_mode: bool = False,
    return_indices: bool = False,  # noqa: ARG001
) -> Tensor:
    return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)


def _convolution(x: Tensor, weight: Tensor, _bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
    # Not the weights given: those that a network standardises as it runs have both signs.
    kwargs.pop("bias", None)
    return F.conv2d(x, _unequal(weight) / weight[0].numel(), None, *args, **kwargs)


#: Operations by name, as functions and as methods: what each is replaced with.
_REPLACED: dict[str, Callable[..., Tensor]] = {
    "conv2d": _convolution,
    "max_pool2d": _average,
    "softmax": _softmax,
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"), _pass),
    **dict.fromkeys(("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "prelu", "elu", "elu_", "gelu"), _pass),
    **dict.fromkeys(("silu", "silu_", "mish", "softplus", "hardswish", "hardtanh", "hardtanh_", "selu"), _pass),
    **dict.fromkeys(("sigmoid", "sigmoid_", "hardsigmoid", "tanh", "tanh_"), _pass),
}
