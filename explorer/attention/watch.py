"""What attention maps does one forward pass contain?

The only file that intercepts attention. `scaled_dot_product_attention` and `softmax` are intercepted with a
`TorchFunctionMode` (thread-bound, so two threads never see each other's), and forward hooks tell in which module the
operation ran; gates are read as the output of the module that makes them. Nothing in the model is changed, fused
kernels stay on, and every hook is removed on every way out.

For fused attention the query and the key are kept, O(n d), never the map, O(n^2); a row is computed when somebody
looks at it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer.attention import layouts
from explorer.attention.maps import AttentionMap
from explorer.errors import NoAttentionError
from explorer.images import read_image
from explorer.messages import Message, listed

if TYPE_CHECKING:
    from explorer.models.model import Model

SOFTMAX = frozenset({torch.softmax, F.softmax, Tensor.softmax})
_WATCHED = SOFTMAX | {F.scaled_dot_product_attention, F.multi_head_attention_forward, F.normalize}
#: Where layers are defined of which none holds attention: a hook on each would only cost time.
_PLAIN = (
    "torch.nn.",
    "timm.layers.activations",
    "timm.layers.adaptive_avgmax_pool",
    "timm.layers.blur_pool",
    "timm.layers.conv",
    "timm.layers.drop",
    "timm.layers.layer_scale",
    "timm.layers.linear",
    "timm.layers.mlp",
    "timm.layers.norm",
    "timm.layers.patch_",
    "timm.layers.pool",
)

MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)


def _mask(attention: Tensor | None, padding: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """The masks of `torch.nn.MultiheadAttention` as what is added to the scores (batch, heads, Nq, Nk), or None."""
    batch, heads, queries, _ = query.shape
    total: Tensor | None = None
    for mask in (attention, None if padding is None else padding.view(batch, 1, 1, -1)):
        if mask is None:
            continue
        if mask is attention and mask.dim() == 3:
            mask = mask.view(batch, heads, queries, -1)
        if mask.dtype == torch.bool:  # True: not allowed
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, -torch.inf)
        total = mask if total is None else total + mask
    if total is None:
        return None
    # The keys that the module adds itself are never masked.
    return F.pad(total, (0, key.shape[-2] - total.shape[-1]))


def _owned(tensor: Tensor) -> Tensor:
    """The tensor without its graph, and without a larger storage (the fused q-k-v projection) that it would keep."""
    tensor = tensor.detach()
    if tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size():
        tensor = tensor.contiguous() if not tensor.is_contiguous() else tensor.clone()
    return tensor


@dataclass(eq=False)
class _Entered:
    """A module call that has begun: what it was given is looked at only where attention runs inside it."""

    path: str
    module: nn.Module
    given: tuple[Any, ...]

    @cached_property
    def frame(self) -> layouts.Frame:
        shapes = tuple(tuple(value.shape) for value in self.given if isinstance(value, Tensor))
        sizes = tuple(
            tuple(value)
            for value in self.given
            if isinstance(value, (tuple, list, torch.Size))
            and len(value) == 2
            and all(isinstance(number, int) for number in value)
        )
        return layouts.Frame(self.path, self.module, shapes, sizes)


@dataclass(eq=False)
class Watch(TorchFunctionMode):
    """Notes every attention operation and the modules it ran in."""

    paths: dict[nn.Module, str] = field(default_factory=dict)
    entered: list[_Entered] = field(default_factory=list)
    operations: list[layouts.Operation] = field(default_factory=list)
    keep_graph: bool = False
    #: Whether the whole network has run.
    passed: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **kwargs) if kwargs else func(*args)
        # Every operation of the pass comes by here: all but a few have to be let through at once.
        if func in _WATCHED:
            self._watched(func, out, args, kwargs or {})
        return out

    def _watched(self, func: Callable[..., Any], out: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if func is F.scaled_dot_product_attention:
            self._attention(out, *args, **kwargs)
        elif func is F.multi_head_attention_forward:
            self._multi_head(*args, **kwargs)
        elif func is F.normalize:
            if not self.entered or not isinstance(out, Tensor):
                return
            row, dim = layouts.row_of(self.entered[-1].module), kwargs.get("dim", args[2] if len(args) > 2 else 1)
            if row is not None and row.normalised and dim == 1:
                self._note(layouts.Operation("score", self._frames(), weights=self._kept(out), dim=1))
        elif isinstance(out, Tensor) and out.is_floating_point():
            dim = kwargs["dim"] if "dim" in kwargs else args[1] if len(args) > 1 else -1
            self._note(layouts.Operation("softmax", self._frames(), weights=self._kept(out), dim=int(dim)))

    def _attention(
        self,
        out: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,  # noqa: ARG002 - signature of the intercepted function
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,  # noqa: ARG002 - seen from the shapes
    ) -> None:
        if is_causal:
            size = (query.shape[-2], key.shape[-2])
            attn_mask = torch.ones(size, dtype=torch.bool, device=query.device).tril()
        bias = None if attn_mask is None else attn_mask.detach()
        self._dot_product(query, key, bias, scale, value, out)

    def _multi_head(self, *args: Any, **kwargs: Any) -> None:
        """Attention of `torch.nn.MultiheadAttention`, whose own operations are hidden inside one function of torch.

        Its queries and keys are projected once more, from what that function was given.
        """
        given = MULTI_HEAD.bind(*args, **kwargs)
        given.apply_defaults()
        one = given.arguments
        query, key, heads = one["query"], one["key"], one["num_heads"]
        if query.dim() == 2:  # a sequence without a batch
            query, key = query[:, None], key[:, None]
        width = query.shape[-1]
        if one["use_separate_proj_weight"]:
            to_query, to_key = one["q_proj_weight"], one["k_proj_weight"]
        else:
            to_query, to_key = one["in_proj_weight"][:width], one["in_proj_weight"][width : 2 * width]
        bias = one["in_proj_bias"]
        with torch.no_grad():
            query = F.linear(query, to_query, None if bias is None else bias[:width])
            key = F.linear(key, to_key, None if bias is None else bias[width : 2 * width])
            if one["bias_k"] is not None:
                key = torch.cat([key, one["bias_k"].expand(1, key.shape[1], -1)])
            if one["add_zero_attn"]:
                key = torch.cat([key, key.new_zeros(1, *key.shape[1:])])
            # (tokens, batch, width) to (batch, heads, tokens, width of a head)
            query, key = (part.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for part in (query, key))
            mask = _mask(one["attn_mask"], one["key_padding_mask"], query, key)
        self._dot_product(query, key, mask)

    def _dot_product(
        self,
        query: Tensor,
        key: Tensor,
        bias: Tensor | None,
        scale: float | None = None,
        value: Tensor | None = None,
        output: Tensor | None = None,
    ) -> None:
        """Note softmax(scale query key^T + bias), with what its gradient needs where that is kept."""
        self._note(
            layouts.Operation(
                "dot product",
                self._frames(),
                query=_owned(query),
                key=_owned(key),
                bias=bias,
                scale=query.shape[-1] ** -0.5 if scale is None else scale,
                value=value if self.keep_graph else None,
                output=output if self.keep_graph else None,
            )
        )

    def _kept(self, tensor: Tensor) -> Tensor:
        return tensor if self.keep_graph else tensor.detach()

    def _note(self, operation: layouts.Operation) -> None:
        # A softmax of the network's outermost module (a head, a learnt sum of outputs) is no attention.
        if len(self.entered) > 1:
            self.operations.append(operation)

    def _frames(self) -> tuple[layouts.Frame, ...]:
        return tuple(one.frame for one in self.entered)

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.entered.append(_Entered(self.paths[module], module, (*args, *kwargs.values()) if kwargs else args))

    def leave(self, module: nn.Module, args: Any, out: Any) -> None:  # noqa: ARG002 - signature of a forward hook
        # A module that raised inside a caught exception leaves its call behind: unwind to this one.
        while self.entered and self.entered.pop().module is not module:
            pass
        self.passed |= not self.paths[module]

    def gate(self, module: nn.Module, args: Any, out: Tensor) -> None:  # noqa: ARG002 - signature of a forward hook
        self._note(layouts.Operation("gate", self._frames(), weights=self._kept(out)))


@dataclass(eq=False)
class Recorder:
    """What one or more forward passes did, readable after (and during) `recording`."""

    model: Model
    _watch: Watch

    @property
    def operations(self) -> Sequence[layouts.Operation]:
        """The intercepted operations, in the order of the forward pass."""
        return self._watch.operations

    def maps(self) -> list[AttentionMap]:
        """The attention maps, placed on the image, in the order of the forward pass; empty where none was seen."""
        return [attention_map for _, attention_map in self.placed()]

    def placed(self) -> list[tuple[tuple[layouts.Operation, ...], AttentionMap]]:
        """Each map with the operations it was made from."""
        return layouts.place(
            self.operations, self.model.module, self.model.input_size, self.model.state_of, self.model.trace
        )


@contextmanager
def watching(network: nn.Module, watch: Watch) -> Iterator[None]:
    """Tell ``watch`` which modules a forward pass enters and leaves, and what their gates give."""
    with ExitStack() as stack:
        for path, module in network.named_modules():
            row = layouts.row_of(module)
            for name in row.gates if row else ():
                child = module.get_submodule(name)
                stack.callback(child.register_forward_hook(watch.gate).remove)
            if row is None and type(module).__module__.startswith(_PLAIN):
                continue
            watch.paths[module] = path
            stack.callback(module.register_forward_pre_hook(watch.enter, with_kwargs=True).remove)
            # Runs before hooks that were there already would see the call gone: always last.
            stack.callback(module.register_forward_hook(watch.leave).remove)
        yield


@contextmanager
def recording(model: Model, values: bool = False) -> Iterator[Recorder]:
    """Record the attention operations of every forward pass of ``model.module`` inside the block.

    Args:
        model: a live model; its lock is held meanwhile, since hooks sit on the shared module.
        values: also keep each operation's value, output and graph, so that a gradient with respect to the attention
            weights can be had afterwards. Costs memory.

    The pass itself runs as it would without: same kernels, same bits, same grad mode. There is one exception:
    `torch.nn.MultiheadAttention` leaves its fused path for inference whenever it is watched, so that the outputs of
    such a model can differ from the bare pass by rounding.
    """
    with model.lock, ExitStack() as stack:
        watch = Watch(keep_graph=values)
        if model.module in _WITHOUT:
            yield Recorder(model, watch)
            return
        stack.enter_context(watching(model.module, watch))
        with watch:
            yield Recorder(model, watch)
        if watch.passed and not watch.operations and _same_every_time(model.module):
            _WITHOUT.add(model.module)


#: Networks that are known to run no attention: watching a convolution network costs a tenth of its forward pass.
_WITHOUT: WeakSet[nn.Module] = WeakSet()


def _same_every_time(network: nn.Module) -> bool:
    """Whether a network runs the same operations for every picture: torch's and timm's layers do, others may not."""
    return all(type(module).__module__.startswith(("torch.nn.", "timm.")) for module in network.modules())


def capture(model: Model, image: Any) -> list[AttentionMap]:
    """Which attention maps does one forward pass contain, and where do they lie on the image?

    Args:
        model: a live model.
        image: a picture in any form that `read_image` takes, or a batch (B, 3, H, W) in 0..1 at the input size.

    Returns:
        Every map in the order of the forward pass, native and inserted, for all images of the batch.

    Raises:
        NoAttentionError: none was seen; the message says what mixes the positions, as far as it is known.
    """
    batch = image if isinstance(image, Tensor) else model.preprocess(read_image(image).image)
    with recording(model) as recorder, torch.inference_mode():
        model.logits(batch.to(model.device))
    maps = recorder.maps()
    if not maps:
        # The laboratory's models have a name for each block instead of a place for one.
        if model.spec.origin == "lab":
            advice = Message("take a block with a map, as in 'lab/mhsa'")
        elif model.spec.source.scheme == "module":
            advice = Message("a model whose attention is a softmax or a scaled dot product of torch's")
        else:
            advice = Message("insert a block, as in '{backbone}+mhsa@2'", backbone=model.spec.backbone)
        raise NoAttentionError(
            listed(
                [
                    model.spec,
                    Message(
                        "no attention was seen in its forward pass. {why} Use an attribution, or {advice}.",
                        why=layouts.why_none(model.module),
                        advice=advice,
                    ),
                ],
                "{first}: {rest}",
            )
        )
    return maps
