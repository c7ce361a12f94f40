"""Insert an attention block after a stage of any backbone, so that nothing changes until it is trained."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from explorer.blocks import BLOCKS, Block
from explorer.errors import InsertionError
from explorer.messages import Message, listed
from explorer.models.spec import ModelSpec
from explorer.models.stages import Stage
from explorer.seeding import Seeded


class Inserted(nn.Module):
    """A stage with a block after it, behind a learnt gate g that is zero at first.

    x + g block(x) for blocks that compute a residual, x + g (block(x) - x) for those that replace their input; prefix
    tokens pass by. With g = 0 the output is the stage's own, to the last bit. Attributes that it does not have itself
    are the stage's.
    """

    def __init__(self, wrapped: nn.Module, block: Block, stage: Stage) -> None:
        super().__init__()
        self.wrapped, self.block = wrapped, block
        self.gate = nn.Parameter(torch.zeros(()))
        self.placed = stage

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # A half-made copy has no modules yet.
            modules = self.__dict__.get("_modules") or {}
            if "wrapped" not in modules:
                raise
            return getattr(modules["wrapped"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the stage, then the block on the stage's features."""
        output = self.wrapped(*args, **kwargs)
        if isinstance(output, tuple):  # (features, sizes), or features among others
            part = self.placed.part
            return (*output[:part], self._after(output[part]), *output[part + 1 :])
        return self._after(output)

    def _after(self, x: Tensor) -> Tensor:
        features = self.placed.spatial(x)
        change = self.block(features)
        change = (change if self.block.residual else change - features) * self.gate.to(x.dtype)
        # Added in the layout of x, whose strides the result then has: what follows takes the same kernels as before.
        if self.placed.layout == "tokens":
            change = change.flatten(2).transpose(1, 2)
            prefix = self.placed.prefix
            return torch.cat([x[:, :prefix], x[:, prefix:] + change], 1) if prefix else x + change
        return x + (change.permute(0, 2, 3, 1) if self.placed.layout == "NHWC" else change)


def insert(module: nn.Module, stages: tuple[Stage, ...], spec: ModelSpec, probe: Tensor) -> str:
    """Insert the spec's block into a network, in place; return the dotted path of the block.

    Args:
        module: the network, weights loaded.
        stages: its stages.
        spec: names the block, its parameters, the stage and the seed.
        probe: a normalised input (1, 3, H, W).

    Raises UnknownNameError, ParameterError, or InsertionError where the block could have no effect or no place.
    """
    kind = BLOCKS[str(spec.block)]
    if not stages:
        raise InsertionError(
            Message("'{backbone}' has no stages that timm names, so no block can be inserted", backbone=spec.backbone)
        )
    if spec.stage is None or not 1 <= spec.stage <= len(stages):
        each = [
            Message(
                "{number} ({name}, {channels} channels)", number=stage.number, name=stage.name, channels=stage.channels
            )
            for stage in stages
        ]
        raise InsertionError(
            Message(
                "'{backbone}' has no stage {stage}; its stages: {listed}",
                backbone=spec.backbone,
                stage=spec.stage,
                listed=listed(each),
            )
        )
    stage = stages[spec.stage - 1]
    where = Message(
        "stage {number} ({name}) of '{backbone}'", number=stage.number, name=stage.name, backbone=spec.backbone
    )
    usable = [str(other.number) for other in stages if not other.problem]
    advice = (
        Message("stages that can: {usable}", usable=", ".join(usable))
        if usable
        else Message("no stage of this backbone can take a block")
    )
    if stage.problem:
        raise InsertionError(
            Message(
                "{where} cannot take a block: {problem}; {advice}", where=where, problem=stage.problem, advice=advice
            )
        )
    kind.settings(dict(spec.block_options))
    with Seeded(spec.seed):
        block = kind(stage.channels, stage.grid, **dict(spec.block_options))
    original = module.get_submodule(stage.name)
    wrapper = Inserted(original, block, stage).requires_grad_(False).eval().to(probe.device)
    module.set_submodule(stage.name, wrapper)
    try:
        with torch.inference_mode():
            closed = _answers(module, probe)
            wrapper.gate.fill_(1.0)
            opened = _answers(module, probe)
            wrapper.gate.fill_(0.0)
    except Exception as error:
        module.set_submodule(stage.name, original)
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InsertionError(
            Message("{where} cannot take '{block}': {line}", where=where, block=spec.block, line=line)
        ) from error
    # The control alone is meant to have no effect.
    if spec.block != "none" and all(torch.equal(a, b) for a, b in zip(closed, opened, strict=True)):
        module.set_submodule(stage.name, original)
        earlier = stage.number - 1
        hint = (
            Message("insert after stage {earlier} or earlier", earlier=earlier)
            if earlier
            else Message("insert after another stage")
        )
        raise InsertionError(
            Message(
                "a block after {where} has no effect on the answer: what it changes is not read any more (only the "
                "class token is, after the last block). {upper}{hint}, or take a model that pools by average",
                where=where,
                upper=hint[0].upper(),
                hint=hint[1:],
            )
        )
    return f"{stage.name}.block"


def _answers(module: nn.Module, x: Tensor) -> list[Tensor]:
    # The pooled feature too: a fresh classifier may be all zeros, as a Mixer's is.
    answers = [module(x)]
    with contextlib.suppress(AttributeError, TypeError):
        answers.append(module.forward_head(module.forward_features(x), pre_logits=True))  # type: ignore[operator]
    return answers
