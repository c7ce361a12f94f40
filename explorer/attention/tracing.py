"""Where on the image does each entry of an unknown network's attention lie? Found by changing parts of the picture.

The picture is changed in stripes, one binary digit of the row or the column at a time, while every attention is kept
from mixing (each entry attends to itself). An entry then changes with the stripes of its own place alone, so that what
changes it spells its position, whatever rolls, windows and prefix tokens the network has; an entry that nothing changes
is a class or register token, or padding. A placement counts where every cell of the grid is spelt exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.attention.layouts.entries import Entries, Trace
from explorer.attention.layouts.grids import grid_of
from explorer.attention.layouts.operations import Operation
from explorer.attention.watch import MULTI_HEAD, SOFTMAX, Watch, watching
from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.models.stages import main_output
from explorer.seeding import Seeded

#: Pictures in a pass: the unchanged one and seven pairs.
_CHUNK = 15
#: An entry is changed where it changes by more than this share of the most changed.
_CHANGED = 1e-3


@dataclass(eq=False)
class _Unmixed(Watch):
    """Notes the scores of every attention operation, and lets every entry attend to itself."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            query, key, value = _bound(("query", "key", "value"), args, kwargs)
            out = func(*args, **kwargs)
            self._dot_product(query, key, None)
            return value if value.shape == out.shape else out
        if func is F.multi_head_attention_forward:
            self._multi_head(*args, **kwargs)
            given = MULTI_HEAD.bind(*args, **kwargs)
            if len(given.arguments["query"]) == len(given.arguments["key"]):
                itself = torch.eye(len(given.arguments["query"]), dtype=torch.bool, device=args[0].device)
                given.arguments.update(attn_mask=~itself, is_causal=False)
            return func(*given.args, **given.kwargs)
        out = func(*args, **kwargs)
        if func in SOFTMAX and isinstance(out, Tensor) and out.is_floating_point():
            (scores,) = _bound(("input",), args, kwargs)
            dim = kwargs["dim"] if "dim" in kwargs else args[1] if len(args) > 1 else -1
            self._note(Operation("softmax", self._frames(), weights=scores.detach(), dim=int(dim)))
            if out.ndim > 2 and out.shape[-1] == out.shape[-2] and dim in (-1, out.ndim - 1):
                return torch.eye(out.shape[-1], dtype=out.dtype, device=out.device).expand_as(out)
        return out


def _bound(names: tuple[str, ...], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    return [args[place] if place < len(args) else kwargs[name] for place, name in enumerate(names)]


#: Of a pass: for each operation (path, entries of queries, entries of keys), for each output its entries; as features
#: (B, groups, entries, width), or None.
_Seen = tuple[list[tuple[str, Tensor | None, Tensor | None]], dict[str, Tensor]]


def trace(
    module: nn.Module,
    input_size: tuple[int, int],
    device: torch.device,
    given: Entries | None = None,
    prefix: Sequence[str] = (),
    channels: int = 3,
) -> Trace:
    """Find where the entries of a network's attention, and the tokens that its modules give, lie on the image.

    Args:
        module: the network, in eval mode; (B, channels, H, W) to anything.
        input_size: (height, width) of its input, px.
        device: where it lives.
        given: where the entries of every sequence of this length lie, by somebody's word.
        prefix: names of its prefix tokens; found by the names of its parameters if empty.
        channels: that it reads.

    What is not certain is left out. Costs a few forward passes; any error of the network passes. Raises ParameterError
    where no sequence has the length of ``given``.
    """
    height, width = input_size
    with Seeded(0):
        plain, other = torch.randn(2, channels, height, width).to(device)
    whole = torch.ones(1, height, width, dtype=torch.bool, device=device)
    operations, outputs = _pass(module, plain, other, whole)
    changed: dict[Any, Tensor] = {}
    for name, features in _each(operations, outputs):
        moved = _change(features)[0]
        changed[name] = moved > _CHANGED * moved.max()
    grids = {
        name: grid
        for name, found in changed.items()
        if (grid := grid_of(int(found.sum()), input_size)) is not None and grid != (1, 1)
    }
    told: dict[Any, Entries] = {}
    if given is not None:
        told = {name: given for name, one in changed.items() if one.shape == given.index.shape}
        if not told:
            raise ParameterError(
                Message(
                    "layout: {prefix} tokens and {rows} x {columns} make {length}; the sequences here have {lengths}",
                    prefix=given.prefix,
                    rows=given.grid[0],
                    columns=given.grid[1],
                    length=given.index.shape[1],
                    lengths=", ".join(map(str, sorted({one.shape[1] for one in changed.values()}))) or "0",
                )
            )
    asked = {name: grid for name, grid in grids.items() if name not in told}
    found = told | (_spelt(module, plain, other, asked, changed) if asked else {})
    names = tuple(prefix)
    most = max((one.prefix for one in found.values()), default=0)
    if not names and most:
        names = _names(module, most)
    sequences = {name: found[name] for name in outputs if name in found and found[name].in_order}
    return Trace(
        tuple((path, found.get((number, 0)), found.get((number, 1))) for number, (path, *_) in enumerate(operations)),
        sequences,
        names,
        not sequences or _reads_places(module, plain, other, *[*sequences.items()][-1]),
    )


def _reads_places(module: nn.Module, plain: Tensor, other: Tensor, last: str, entries: Entries) -> bool:
    """Whether an answer changes where the places that the module ``last`` gives are those of another picture."""

    def mix(_module: nn.Module, _args: Any, output: Any) -> Any:
        tensor = main_output(output)
        assert tensor is not None
        own = torch.cat([tensor[:, : entries.prefix], tensor[[1, 1], entries.prefix :]], 1)
        return own if isinstance(output, Tensor) else (own, *output[1:])

    with torch.inference_mode():
        batch = torch.stack([plain, other])
        before = module(batch)
        handle = module.get_submodule(last).register_forward_hook(mix)
        try:
            after = module(batch)
        finally:
            handle.remove()
    return not torch.allclose(before[0], after[0], rtol=1e-4, atol=1e-6 * float(before.abs().max()))


def _spelt(
    module: nn.Module,
    plain: Tensor,
    other: Tensor,
    grids: Mapping[Any, tuple[int, int]],
    changed: Mapping[Any, Tensor],
) -> dict[Any, Entries]:
    """Where entries lie, by what changes them."""
    height, width = plain.shape[-2:]
    bases: list[dict[int, int]] = []
    for axis in (0, 1):
        counts = {grid[axis] for grid in grids.values()}
        bases.append({one: _base(one, counts) for one in counts})
    digits: list[tuple[int, int, int]] = []
    masks: list[Tensor] = []
    for axis, side in ((0, height), (1, width)):
        for base in sorted(set(bases[axis].values())):
            places = torch.arange(side, device=plain.device) * base // side
            for digit in range(_digits(base)):
                stripe = (places >> digit & 1).bool()
                stripe = (stripe[:, None] if axis == 0 else stripe[None, :]).expand(height, width)
                digits.append((axis, base, digit))
                masks += [stripe, ~stripe]
    changes: dict[Any, list[Tensor]] = {name: [] for name in grids}
    for start in range(0, len(masks), _CHUNK - 1):
        seen = _pass(module, plain, other, torch.stack(masks[start : start + _CHUNK - 1]))
        for name, features in _each(*seen):
            if name in changes:
                changes[name].append(_change(features))
    found: dict[Any, Entries] = {}
    for name, grid in grids.items():
        moved = torch.cat(changes[name])
        ones = dict(zip(digits, moved[0::2] > moved[1::2]))
        place = []
        for axis in (0, 1):
            base = bases[axis][grid[axis]]
            spelt = torch.stack([ones[axis, base, digit].long() << digit for digit in range(_digits(base))]).sum(0)
            place.append(spelt // (base // grid[axis]))
        flat = (place[0] * grid[1] + place[1]).cpu()
        mine = changed[name].cpu()
        if not torch.equal(flat[mine].sort().values, torch.arange(grid[0] * grid[1])):
            continue
        # Tokens that nothing changes are class and register tokens in front, and padding in between.
        index, rest = torch.full_like(flat, -1), int((~mine).sum())
        index[mine] = flat[mine]
        prefix = rest if len(flat) == 1 and not mine[0, :rest].any() else 0
        if len(flat) == 1 and rest and not prefix and mine[0, :-rest].all():
            continue  # at the end they could be either
        index[0, :prefix] = -2 - torch.arange(prefix)
        found[name] = Entries(grid, index, prefix)
    return found


def _digits(base: int) -> int:
    """How many binary digits spell the places 0 to ``base`` - 1; at least one."""
    return max(base - 1, 1).bit_length()


def _base(count: int, counts: Collection[int]) -> int:
    """The largest of some counts that is ``count`` doubled some times: its digits spell this one's too."""
    return max(one for one in counts if one % count == 0 and (one // count).bit_count() == 1)


def _pass(module: nn.Module, plain: Tensor, other: Tensor, masks: Tensor) -> _Seen:
    """Run the unchanged picture and those that are changed where masks (n, H, W) say, without mixing."""
    batch = torch.cat([plain[None], torch.where(masks[:, None], other, plain)])
    watch, outputs = _Unmixed(), dict[str, Tensor]()
    with torch.inference_mode(), watching(module, watch), _sequences(module, outputs, len(batch)), watch:
        module(batch)
    operations = []
    for one in watch.operations:
        if one.kind == "dot product":
            assert one.query is not None
            assert one.key is not None
            operations.append((one.frames[-1].path, _grouped(one.query, len(batch)), _grouped(one.key, len(batch))))
        elif one.kind == "softmax":
            assert one.weights is not None
            scores = one.weights
            square = scores.ndim > 2 and scores.shape[-1] == scores.shape[-2] and one.dim in (-1, scores.ndim - 1)
            # The score of an entry for itself changes where the entry does.
            own = _grouped(scores.diagonal(dim1=-2, dim2=-1)[..., None], len(batch)) if square else None
            operations.append((one.frames[-1].path, own, own))
    return operations, outputs


@contextmanager
def _sequences(module: nn.Module, outputs: dict[str, Tensor], batch: int) -> Iterator[None]:
    """Keep the sequences of tokens (B, tokens, width) that modules with children give; of one that runs twice, none."""

    def keep(name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        tensor = main_output(output)
        if name in outputs:
            outputs[name] = outputs[name][:, :, :0]
        elif tensor is not None and tensor.ndim == 3 and len(tensor) == batch:
            outputs[name] = tensor.detach()[:, None].clone()

    handles = [
        one.register_forward_hook(partial(keep, name))
        for name, one in module.named_modules()
        if name and [*one.children()]
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _grouped(tensor: Tensor, batch: int) -> Tensor | None:
    """(B groups, heads, entries, width) and the like to (B, groups, entries, width of all heads)."""
    if tensor.ndim < 3 or tensor.shape[0] % batch:
        return None
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    if tensor.ndim == 4:
        tensor = tensor.unflatten(0, (batch, -1))
    return tensor.transpose(2, 3).flatten(3) if tensor.ndim == 5 else None


def _each(
    operations: Sequence[tuple[str, Tensor | None, Tensor | None]], outputs: Mapping[str, Tensor]
) -> Iterator[tuple[Any, Tensor]]:
    for number, (_, *sides) in enumerate(operations):
        for side, features in enumerate(sides):
            if features is not None and features.numel():
                yield (number, side), features
    for name, features in outputs.items():
        if features.numel():
            yield name, features


def _change(features: Tensor) -> Tensor:
    """How much each entry differs from that of the first picture: (B, groups, entries, width) to (B - 1, ...)."""
    return (features[1:].float() - features[:1].float()).norm(dim=-1)


#: What prefix tokens' parameters are called, in the order of the sequence.
_CLASS = {"cls_token", "class_token", "class_embedding", "cls_embedding"}
_DISTILLATION = {"distillation_token", "dist_token"}
_REGISTERS = {"register_tokens", "reg_token", "reg_tokens", "storage_tokens"}


def _names(module: nn.Module, count: int) -> tuple[str, ...]:
    """What ``count`` prefix tokens are called, where the names of parameters say it for all of them."""
    names: list[str] = []
    learnt = [(name.rpartition(".")[2], one) for name, one in module.named_parameters()]
    for known, called in ((_CLASS, "class"), (_DISTILLATION, "distillation"), (_REGISTERS, "register")):
        for name, one in learnt:
            if name in known:
                several = one.shape[-2] if one.ndim > 1 else 1
                names += [f"{called} {n + 1}" for n in range(several)] if called == "register" else [called] * several
    return tuple(names) if len(names) == count else tuple(f"prefix {number + 1}" for number in range(count))
