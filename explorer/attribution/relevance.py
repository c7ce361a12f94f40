"""The rules of AttnLRP as gradients: a forward pass whose backward pass hands down relevance over value.

Layer-wise relevance propagation gives every number x of a network a relevance R, from the output down. Written as
R = x g, every rule becomes a rule for g, and where a layer's rule is its own linear part, g is the gradient. So the
pass runs as ever, bit for bit, and only operations whose rule is not their gradient are given another backward step
(Achtibat et al. 2024, AttnLRP, sections 3.3 and B; the form with g is that of the authors' library).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.attention.watch import MULTI_HEAD, SOFTMAX, Watch

#: Elementwise, and zero at zero: the identity rule gives all relevance of f(x) to x.
_ELEMENTWISE = "gelu relu relu6 silu mish hardswish tanh leaky_relu elu selu celu softsign hardtanh"
#: Products of two activations: the uniform rule gives each of them a half.
_PRODUCTS = "matmul __matmul__ __rmatmul__ bmm einsum mul __mul__ __rmul__ multiply mul_ __imul__"
_DIVISIONS = "div __truediv__ true_divide divide div_ __itruediv__"
#: Linear in what depends on the picture, or a choice among its numbers: the rule is the gradient. So is softmax's,
#: R_i = x_i (R_i - s_i sum_j R_j), x times the gradient.
_PLAIN = """
add __add__ __radd__ add_ __iadd__ sub __sub__ __rsub__ rsub sub_ __isub__ neg __neg__ sum mean
view reshape flatten unflatten transpose permute movedim swapaxes t squeeze unsqueeze expand expand_as repeat
repeat_interleave contiguous clone cat concat stack unbind chunk split tensor_split narrow select index_select gather
take_along_dim __getitem__ roll flip rot90 pad unfold fold pixel_shuffle pixel_unshuffle masked_fill where view_as
reshape_as to float double type type_as adaptive_avg_pool2d adaptive_avg_pool1d avg_pool2d avg_pool1d max_pool2d amax
interpolate dropout feature_dropout softmax __get__ requires_grad_
"""
_NAMES = {"elementwise": _ELEMENTWISE, "product": _PRODUCTS, "division": _DIVISIONS, "plain": _PLAIN}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_CONVOLUTIONS = frozenset({F.conv1d, F.conv2d, F.conv3d})


def _depends(value: Any) -> bool:
    """Whether a value depends on the picture: weights are frozen, so whatever has a gradient does."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, (tuple, list)) and any(map(_depends, value))


class _Divided(torch.autograd.Function):
    """A tensor as it is, with a part of its relevance."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, parts: int) -> Tensor:
        ctx.parts = parts
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient / ctx.parts, None


class _Identity(torch.autograd.Function):
    """f(x) whose relevance goes to x whole: g f(x) / x (equation 9 of the paper)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Tensor) -> Tensor:
        ctx.save_for_backward(torch.where(x == 0, 0.0, out / x))
        return out.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * ctx.saved_tensors[0], None


class _Scaled(torch.autograd.Function):
    """A normalisation whose scale counts as a constant, so that it is linear (proposition 3.4 of the paper)."""

    @staticmethod
    def forward(ctx: Any, _x: Tensor, out: Tensor, scale: Tensor, centred: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(scale)
        ctx.centred = centred
        return out.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        down = gradient * ctx.saved_tensors[0]
        return (down - down.mean(ctx.centred, keepdim=True) if ctx.centred else down), None, None, None


class _Gamma(torch.autograd.Function):
    """A linear layer by the gamma rule, for inputs of either sign.

    Of the contributions c_ij = x_i w_ij (and b_j, which keeps its share) to z_j = sum_i c_ij those with the sign of z_j
    count (1 + gamma) times: R_i = sum_j R_j (c_ij + gamma c_ij^same) / sum_i (c_ij + gamma c_ij^same). The sum below is
    never smaller than |z_j|.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, out: Tensor, weight: Tensor, bias: Tensor | None, gamma: float, run: Callable[..., Tensor]
    ) -> Tensor:
        ctx.save_for_backward(x, out)
        ctx.weight, ctx.bias, ctx.gamma, ctx.run = weight, bias, gamma, run
        return out.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (x, out), run = ctx.saved_tensors, ctx.run
        up, down = ctx.weight.clamp(min=0), ctx.weight.clamp(max=0)
        up_bias, down_bias = (None, None) if ctx.bias is None else (ctx.bias.clamp(min=0), ctx.bias.clamp(max=0))
        positive = out > 0
        above, below = x.clamp(min=0), x.clamp(max=0)
        same = torch.where(
            positive,
            run(above, up, up_bias) + run(below, down, None),
            run(above, down, down_bias) + run(below, up, None),
        )
        whole = out + ctx.gamma * same
        share = torch.where(whole == 0, 0.0, out * gradient / whole)

        def back(weight: Tensor, what: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = torch.zeros_like(x, requires_grad=True)
                (found,) = torch.autograd.grad(run(leaf, weight, None), leaf, what)
            return found

        raising, lowering = share * positive, share * ~positive
        same_sign = torch.where(
            x > 0, back(up, raising) + back(down, lowering), back(down, raising) + back(up, lowering)
        )
        return back(ctx.weight, share) + ctx.gamma * same_sign, None, None, None, None, None


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Two products of activations: of queries with keys, and of the weights with the values."""
    scores = int(_depends(query)) + int(_depends(key))
    parts = scores * (2 if _depends(value) else 1)
    if scores and _depends(value):
        value = _Divided.apply(value, 2)
    if parts > 1:
        query, key = (_Divided.apply(one, parts) if _depends(one) else one for one in (query, key))
    return F.scaled_dot_product_attention(query, key, value, *args, **kwargs)


@dataclass(eq=False)
class Rules(Watch):
    """Gives the operations of a forward pass the rules of AttnLRP, while it is entered.

    Attributes:
        gamma: of the linear layers outside of attention; 0 is the epsilon rule with epsilon towards zero.
        gamma_conv: of the convolutions.
        projecting: paths of the modules that run attention, whose linear layers keep the epsilon rule; found by a pass.
        unknown: operations for which there is no rule, with the module they ran in.
    """

    gamma: float = 0.0
    gamma_conv: float = 0.0
    projecting: set[str] = field(default_factory=set)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    attentions: int = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not _depends(args) and not _depends(tuple(kwargs.values())):
            return func(*args, **kwargs)
        return self._ruled(func, args, kwargs)

    def gate(self, module: Any, args: Any, out: Any) -> None:
        """Gates are operations like others."""

    def _ruled(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        name = getattr(func, "__name__", str(func))
        if func is F.scaled_dot_product_attention:
            self._attends()
            return _attention(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            return self._multi_head_attention(func, args, kwargs)
        if func is F.linear or func in _CONVOLUTIONS:
            return self._linear(func, *args, **kwargs)
        if func is F.layer_norm:
            return self._layer_norm(*args, **kwargs)
        if func in (F.rms_norm, F.normalize):
            return self._length(func, args, kwargs)
        kind = _KINDS.get(name)
        if kind == "elementwise":
            kwargs.pop("inplace", None)
            x = args[0] if args else kwargs["input"]
            with torch.no_grad():
                out = func(*args, **kwargs)
            return _Identity.apply(x, out)
        if func in SOFTMAX and len(self.entered) > 1:  # one of the outermost module is a head's
            self._attends()
        out = func(*args, **kwargs)
        if kind == "product":
            factors = args[1:] if name == "einsum" else (*args, *kwargs.values())
            factors = factors[0] if name == "einsum" and isinstance(factors[0], (list, tuple)) else factors
            return _Divided.apply(out, 2) if sum(map(_depends, factors)) > 1 else out
        divisor = (*args[1:], *kwargs.values())
        if kind != "plain" and not (kind == "division" and not _depends(divisor)) and _depends(out):
            self._refuse(name)
        return out

    def _attends(self) -> None:
        self.attentions += 1
        if self.entered:
            self.projecting.add(self.entered[-1].path)

    def _refuse(self, name: str) -> None:
        self.unknown.append((name, self.entered[-1].path if self.entered else ""))

    def _multi_head_attention(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """`torch.nn.MultiheadAttention` written out, since its own operations are hidden inside one function."""
        bound = MULTI_HEAD.bind(*args, **kwargs)
        bound.apply_defaults()
        one = bound.arguments
        given = [one["query"], one["key"], one["value"]]
        others = ("bias_k", "bias_v", "static_k", "static_v", "attn_mask", "key_padding_mask")
        if any(one[name] is not None for name in others) or one["add_zero_attn"] or given[0].dim() != 3:
            self._refuse("multi_head_attention_forward")
            return func(*args, **kwargs)
        self.attentions += 1
        separate = [one["q_proj_weight"], one["k_proj_weight"], one["v_proj_weight"]]
        into = separate if one["use_separate_proj_weight"] else one["in_proj_weight"].chunk(3)
        bias = [None] * 3 if one["in_proj_bias"] is None else one["in_proj_bias"].chunk(3)
        heads = one["num_heads"]
        query, key, value = (
            # (tokens, batch, width) to (batch, heads, tokens, width of a head)
            F.linear(x, w, b).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)
            for x, w, b in zip(given, into, bias)
        )
        out = _attention(query, key, value)
        out = F.linear(out.permute(2, 0, 1, 3).flatten(2), one["out_proj_weight"], one["out_proj_bias"])
        if not one["need_weights"]:
            return out, None
        with torch.no_grad():
            weights = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
        return out, weights.mean(1) if one["average_attn_weights"] else weights

    def _linear(
        self,
        func: Callable[..., Any],
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Linear layers and convolutions: the gamma rule, or the epsilon rule, which is the gradient."""
        gamma = self.gamma if func is F.linear else self.gamma_conv
        if func is F.linear and self.entered and self.entered[-1].path in self.projecting:
            gamma = 0.0
        if _depends(weight) or _depends(bias):
            self._refuse(func.__name__)
        if not gamma or not _depends(input):
            return func(input, weight, bias, *args, **kwargs)

        def run(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            return func(x, w, b, *args, **kwargs)

        with torch.no_grad():
            out = run(input, weight, bias)
        return _Gamma.apply(input, out, weight, bias, gamma, run)

    def _layer_norm(
        self,
        input: Tensor,
        normalized_shape: Any,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        dims = tuple(range(-len(normalized_shape), 0))
        with torch.no_grad():
            out = F.layer_norm(input, normalized_shape, weight, bias, eps)
            scale = (input.var(dims, correction=0, keepdim=True) + eps).rsqrt()
            scale = scale if weight is None else scale * weight
        return _Scaled.apply(input, out, scale, dims)

    def _length(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Tensor:
        """Normalisations without a mean, x times a scale: the scale is what the function makes of x."""
        x = args[0] if args else kwargs["input"]
        with torch.no_grad():
            out = func(*args, **kwargs)
            scale = torch.where(x == 0, 0.0, out / x)
        return _Scaled.apply(x, out, scale, ())
