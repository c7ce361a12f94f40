"""Where are the stages of a network that names none? Found by running it once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.attention.layouts.entries import Trace
from explorer.attention.layouts.grids import grid_of
from explorer.errors import ParameterError, UnknownNameError
from explorer.messages import Message
from explorer.models.stages import Stage, main_output

#: How a layout is given to `explorer.wrap`.
EXAMPLE = "{'prefix': ['class'], 'grid': (14, 14)}"
HOW = Message("give layout to explorer.wrap, as in layout={example}", example=EXAMPLE)

#: Pictures in the pass: one, and two that are changed in opposite corners.
_PICTURES = 3
_STEM = re.compile(r"(^|\.)stem(\.|$)")


@dataclass(frozen=True)
class _Given:
    """What a module gave in a pass.

    Attributes:
        shape: of its features, None if they are several tensors.
        calls: how often it ran.
        follows: of features (B, a, b, c), how far their changes along a, b and c follow a change of the picture that
            goes from its upper left to its lower right, as a share of the side.
    """

    shape: tuple[int, ...] | None
    calls: int
    follows: tuple[float, ...] = ()


def find_stages(module: nn.Module, x: Tensor, trace: Trace, names: Sequence[str] | None = None) -> tuple[Stage, ...]:
    """Run a network on ``x`` (1, 3, H, W) and return its stages.

    Args:
        module: the network.
        x: a picture.
        trace: where its tokens lie.
        names: dotted paths of the modules whose outputs are the stages; found if None: the last module of each grid
            that gives a feature map, or of a network with one grid its blocks.

    Raises UnknownNameError for a path that does not exist.
    """
    given = _run(module, x)
    size = (int(x.shape[-2]), int(x.shape[-1]))
    if isinstance(names, str) or not all(isinstance(one, str) for one in names or ()):
        raise ParameterError(Message("stages are a list of paths, got '{names}'", names=names))
    if names is not None:
        known = [name for name, _ in module.named_modules() if name]
        if missing := [name for name in names if name not in known]:
            raise UnknownNameError("module", missing[0], known)
        return tuple(_stage(number, name, given, size, trace) for number, name in enumerate(names, start=1))
    found = _walk(module, "", given, size, trace)
    last = {stage.grid: stage for stage in found if not _STEM.search(stage.name)}
    if len(last) == 1 and (blocks := _blocks(module, given, size, trace, next(iter(last)))):
        found = blocks
    else:
        found = list(last.values())
    return tuple(replace(stage, number=number) for number, stage in enumerate(found, start=1))


def _run(module: nn.Module, x: Tensor) -> Mapping[str, _Given]:
    """What each module gave, in the order in which they ended."""
    given: dict[str, _Given] = {}

    def keep(name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        tensor = main_output(output)
        before = given.pop(name).calls if name in given else 0
        # Tables of positions and features of windows have no axis of pictures in front.
        features = tensor is not None and len(tensor) == _PICTURES
        follows = _follows(tensor) if tensor is not None and features and tensor.ndim == 4 else ()
        given[name] = _Given(tuple(tensor.shape) if tensor is not None else None, before + 1, follows)

    handles = [one.register_forward_hook(partial(keep, name)) for name, one in module.named_modules()]
    try:
        height, width = x.shape[-2:]
        upper, lower = x.clone(), x.clone()
        upper[..., : height // 4, : width // 4] += 1
        lower[..., -(height // 4) :, -(width // 4) :] += 1
        with torch.inference_mode():
            module(torch.cat([x, upper, lower]))
    finally:
        for handle in handles:
            handle.remove()
    return given


def _follows(features: Tensor) -> tuple[float, ...]:
    """See `_Given`; of the features of a picture, and of two that are changed in opposite corners."""
    first, second = (features[1:].double() - features[:1].double()).abs()
    centres = []
    for moved in (first, second):
        total = moved.sum().clamp_min(1e-30)
        along = [moved.movedim(axis, 0).flatten(1).sum(1) for axis in range(3)]
        centres.append([float((one * torch.arange(len(one)).to(one)).sum() / total / len(one)) for one in along])
    return tuple(there - here for here, there in zip(*centres))


def _stage(number: int, name: str, given: Mapping[str, _Given], size: tuple[int, int], trace: Trace) -> Stage:
    """A module's output as a stage, with its place on the image or why it has none."""
    one = given.get(name)
    shape = None if one is None else one.shape
    bare = Stage(number, name, 0, 0)
    if one is None:
        return replace(bare, problem=Message("the model never calls it as a whole"))
    if one.calls > 1:
        return replace(bare, problem=Message("its module runs more than once in a pass"))
    if shape is None:
        return replace(bare, problem=Message("it gives several tensors, not one"))
    if shape[0] != _PICTURES:
        return replace(bare, problem=Message("its output has no axis of pictures in front"))
    if len(shape) == 4:
        first, last = _fits(shape[2:], size), _fits(shape[1:3], size)
        if first and last:
            # Channels follow nothing, rows and columns do.
            lead, trail = (abs(one.follows[axis]) for axis in (0, 2))
            first, last = 3 * lead < trail, 3 * trail < lead
        if first != last:
            grid, channels = (shape[2:], shape[1]) if first else (shape[1:3], shape[3])
            return replace(
                bare,
                channels=channels,
                grid=(grid[0], grid[1]),
                layout="NCHW" if first else "NHWC",
                reduction=round(size[0] / grid[0]),
            )
        return replace(
            bare,
            problem=Message(
                "which axes of its output {shape} are rows and columns is not certain", shape=(1, *shape[1:])
            ),
        )
    if len(shape) == 3 and (entries := trace.outputs.get(name)) is not None:
        return replace(
            bare,
            channels=shape[2],
            grid=entries.grid,
            layout="tokens",
            prefix=entries.prefix,
            reduction=round(size[0] / entries.grid[0]),
        )
    if len(shape) == 3:
        return replace(bare, problem=Message("the place of its tokens is not certain; {how}", how=HOW))
    return replace(bare, problem=Message("its output {shape} is no feature map", shape=(1, *shape[1:])))


def _fits(grid: Sequence[int], size: tuple[int, int]) -> bool:
    """Whether (rows, columns) lie evenly over the frame: it divided by one stride, rounded up or down."""
    return grid_of(grid[0] * grid[1], size) == tuple(grid)


def _walk(
    module: nn.Module, path: str, given: Mapping[str, _Given], size: tuple[int, int], trace: Trace
) -> list[Stage]:
    """The outermost modules whose parts all lie on one grid, in the order of the pass."""
    found: list[Stage] = []
    inner = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
    ended = [*given]
    order = {name: next((n for n, one in enumerate(ended) if f"{one}.".startswith(f"{name}.")), 0) for name, _ in inner}
    for name, child in sorted(inner, key=lambda pair: order[pair[0]]):
        if not [*child.children()]:
            continue
        stage = _stage(0, name, given, size, trace)
        parts = {
            part.grid
            for part in (_stage(0, f"{name}.{one}", given, size, trace) for one, _ in child.named_children())
            if not part.problem
        }
        if stage.problem or len(parts) > 1:
            deeper = _walk(child, name, given, size, trace)
            found += deeper or ([] if stage.problem else [stage])
        elif stage.grid != (1, 1):
            found.append(stage)
    return found


def _blocks(
    module: nn.Module, given: Mapping[str, _Given], size: tuple[int, int], trace: Trace, grid: tuple[int, int]
) -> list[Stage]:
    """The longest list of modules that follow each other on one grid: the blocks of a network that has one alone."""
    best: list[Stage] = []
    for path, part in module.named_modules():
        if isinstance(part, (nn.ModuleList, nn.Sequential)):
            names = [f"{path}.{name}" if path else name for name, _ in part.named_children()]
            stages = [_stage(0, name, given, size, trace) for name in names]
            alike = all(not one.problem and one.grid == grid for one in stages)
            if alike and len(stages) > max(1, len(best)) and all([*child.children()] for child in part.children()):
                best = stages
    return best
