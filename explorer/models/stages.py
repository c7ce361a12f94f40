"""Where a backbone's stages are, and how each lays its features out on the image; found by running it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from explorer.messages import Message

StageLayout = Literal["NCHW", "NHWC", "tokens", "unknown"]

#: timm lists the stem of many convolutional networks as its first feature level; 'layer3' of a ResNet is stage 3.
_STEM = re.compile(r"(.*\.)?(stem|conv_stem|act1|bn1|conv1|norm0|conv1_1|conv_head)(\..*)?$")


@dataclass(frozen=True)
class Stage:
    """One stage of a backbone: a feature level of timm (a block of a ViT), stems left out.

    Attributes:
        number: counted from 1.
        name: dotted path of the module whose output is the stage's.
        channels: width of its features.
        reduction: input pixels per cell, nominal.
        grid: (rows, columns) of its features, evenly over the input frame; (0, 0) where unknown.
        layout: ``NCHW``; ``NHWC``; ``tokens`` (batch, prefix + rows * columns, channels), in raster order; ``unknown``.
        prefix: number of prefix tokens (class, registers, ...), which come first.
        problem: why the features have no known place on the image, or "".
        part: which of the module's outputs they are, where it hands on several.
    """

    number: int
    name: str
    channels: int
    reduction: int
    grid: tuple[int, int] = (0, 0)
    layout: StageLayout = "unknown"
    prefix: int = 0
    problem: str = ""
    part: int = 0

    def spatial(self, features: Tensor) -> Tensor:
        """Bring this stage's output to (batch, channels, rows, columns), prefix tokens dropped."""
        if self.layout == "tokens":
            rows, columns = self.grid
            return features[:, self.prefix :].transpose(1, 2).unflatten(2, (rows, columns))
        return features.permute(0, 3, 1, 2) if self.layout == "NHWC" else features


def feature_levels(module: nn.Module) -> list[Mapping[str, Any]]:
    """Return timm's feature levels of a model without its stem; empty where it has none."""
    levels = list(getattr(module, "feature_info", None) or [])
    if levels and _STEM.match(str(levels[0]["module"])) is not None:
        levels = levels[1:]
    return levels


def _resolve(module: nn.Module, path: str, branch: int | None = None) -> tuple[str, nn.Module] | None:
    """Find the module that computes a feature level; the names of twins and mvitv2 lack a letter or a level.

    Stages that hand on several tensors are read where one tensor is a level's: in CrossViT the last block of a branch,
    in PiT the last block, in HRNet what the head makes of a branch.

    ``branch``: which of the levels of this name it is, where there are several.
    """
    path = (
        re.sub(r"^stage(\d+)$", lambda found: f"incre_modules.{int(found[1]) - 1}", path)
        if _is(module, "hrnet")
        else path
    )
    for name in (path, re.sub(r"^block\.", "blocks.", path), re.sub(r"^block\.", "stages.", path)):
        try:
            found = module.get_submodule(name)
        except AttributeError:
            continue
        # A list is never called itself; what leaves its last module leaves the stage.
        if isinstance(found, nn.ModuleList) and len(found):
            name, found = f"{name}.{len(found) - 1}", found[len(found) - 1]
        inner = getattr(found, "blocks", None)
        if branch is not None and isinstance(inner, nn.ModuleList) and branch < len(inner):
            name, found, inner = f"{name}.blocks.{branch}", inner[branch], inner[branch]
            if isinstance(inner, nn.Sequential) and len(inner):
                name, found = f"{name}.{len(inner) - 1}", inner[len(inner) - 1]
            return name, found
        if isinstance(inner, nn.Sequential) and len(inner) and _is(found, "pit"):
            return f"{name}.blocks.{len(inner) - 1}", inner[len(inner) - 1]
        if name != path and isinstance(inner, nn.ModuleList) and len(inner):
            name, found = f"{name}.blocks.{len(inner) - 1}", inner[len(inner) - 1]
        return name, found
    return None


def _is(module: nn.Module, family: str) -> bool:
    """Whether a module is of this family of timm's."""
    return type(module).__module__ == f"timm.models.{family}"


def main_output(output: Any) -> Tensor | None:
    """Return the one tensor of a module's output: itself, or the first of a tuple whose others are sizes."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return (
            None
            if any(isinstance(part, (Tensor, list, tuple, dict)) and not _size(part) for part in output[1:])
            else output[0]
        )
    return None


def _size(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and all(isinstance(number, int) for number in part)


def find_stages(module: nn.Module, x: Tensor) -> tuple[tuple[Stage, ...], Any]:
    """Run a model on ``x`` (1, 3, H, W) and return its stages and its output; any error of the model passes."""
    levels = feature_levels(module)
    paths = [str(level["module"]) for level in levels]
    resolved = [
        _resolve(module, path, paths[:at].count(path) if paths.count(path) > 1 and _is(module, "crossvit") else None)
        for at, path in enumerate(paths)
    ]
    outputs: dict[str, list[list[Tensor]]] = {}
    handles = []
    try:
        for name, part in {item[0]: item[1] for item in resolved if item is not None}.items():

            def keep(_part: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
                tensor = main_output(output)
                given = output if tensor is None and isinstance(output, tuple) else (tensor,)
                # Cloned, because an in-place activation may follow.
                copies = [one.detach().clone() for one in given if isinstance(one, Tensor)]
                outputs.setdefault(name, []).append(copies if len(copies) == len(given) else [])

            handles.append(part.register_forward_hook(keep))
        with torch.inference_mode():
            answer = module(x)
    finally:
        for handle in handles:
            handle.remove()
    maps: list[Tensor] | None = None
    stages: list[Stage] = []
    names = [item[0] if item is not None else "" for item in resolved]
    for number, (level, name) in enumerate(zip(levels, names), start=1):
        path, channels, reduction = str(level["module"]), int(level["num_chs"]), int(level["reduction"])
        seen = outputs.get(name, [])

        def unknown(
            problem: str, at: str = name or path, n: int = number, c: int = channels, r: int = reduction
        ) -> Stage:
            return Stage(n, at, c, r, problem=problem)

        if not name:
            stages.append(unknown(Message("timm's name for it leads to no module")))
            continue
        if names.count(name) > 1:
            stages.append(unknown(Message("timm gives several stages this one module")))
            continue
        if len(seen) > 1:
            stages.append(unknown(Message("its module runs more than once in a pass")))
            continue
        if not seen:
            stages.append(unknown(Message("the model never calls it as a whole")))
            continue
        found = []
        for at, features in enumerate(seen[0]):
            if features.ndim == 3 or (features.ndim == 4 and features.shape[1] == features.shape[3]):
                maps = _reference(module, x) if maps is None else maps
            placed = _place(Stage(number, name, channels, reduction, part=at), features, maps or [], module)
            found += [placed] if len(seen[0]) == 1 or not placed.problem else []
        stages.append(found[0] if len(found) == 1 else unknown(Message("it gives several tensors, not one")))
    return tuple(stages), answer


def _reference(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Return timm's own (1, channels, rows, columns) feature maps, or none where the model does not give them."""
    if not hasattr(module, "forward_intermediates"):
        return []
    for norm in ({"norm": False}, {}):
        try:
            with torch.inference_mode():
                maps = module.forward_intermediates(x, intermediates_only=True, output_fmt="NCHW", **norm)  # type: ignore[operator]
        except Exception:
            continue
        return [item for item in maps if isinstance(item, Tensor) and item.ndim == 4]
    return []


def _place(stage: Stage, features: Tensor, maps: list[Tensor], module: nn.Module) -> Stage:
    """Find the layout of a stage's output."""

    def placed(layout: StageLayout, channels: int, grid: tuple[int, int], prefix: int = 0) -> Stage:
        return replace(stage, channels=channels, grid=grid, layout=layout, prefix=prefix)

    if features.ndim == 4:
        _, a, b, c = features.shape
        first, last = a == stage.channels, c == stage.channels
        if first and last:  # as many channels as columns: only the values tell
            first = any(_same(features, item) for item in maps) or getattr(module, "output_fmt", "NCHW") == "NCHW"
        if first:
            return placed("NCHW", a, (b, c))
        if last:
            return placed("NHWC", c, (a, b))
        return replace(
            stage,
            problem=Message(
                "its output {shape} has not the {channels} channels timm names",
                shape=tuple(features.shape),
                channels=stage.channels,
            ),
        )
    if features.ndim == 3:
        _, tokens, channels = features.shape
        for item in maps:
            rows, columns = item.shape[2:]
            prefix = tokens - rows * columns
            if (
                item.shape[1] == channels
                and 0 <= prefix < tokens
                and _same(features[:, prefix:].transpose(1, 2).unflatten(2, (rows, columns)), item)
            ):
                return placed("tokens", channels, (rows, columns), prefix)
        problem = (
            Message("its tokens do not lie on the image in raster order")
            if maps
            else Message("the place of its tokens is not known")
        )
        return replace(stage, problem=problem)
    return replace(stage, problem=Message("its output {shape} is no feature map", shape=tuple(features.shape)))


def _same(a: Tensor, b: Tensor) -> bool:
    # Two runs of one computation; on a GPU they need not agree to the last bit.
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-2, atol=1e-3 * float(b.abs().max()))
