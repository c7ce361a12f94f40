"""Logit lens: what would the head answer if it saw one place alone?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explorer.attribution.base import METHODS, Explanation, InputMethod, PassCount, Progress, explained
from explorer.attribution.gradcam import unplaceable
from explorer.messages import Message

if TYPE_CHECKING:
    from explorer.models.model import Model
    from explorer.models.stages import Stage

_OTHERWISE = Message("its head does not read the last stage's features place by place")
_reasons: WeakKeyDictionary[nn.Module, str | None] = WeakKeyDictionary()


@METHODS.register("logit_lens")
@dataclass(frozen=True)
class LogitLens(InputMethod):
    """What would the head answer if every place looked like this one?

    The target's logit of the model's own head, given the last features of one place at all places, prefix tokens among
    them (nostalgebraist 2020; for ViTs Vilas et al. 2023, section 3). Where the head is linear after a mean over places
    this is the class activation map with the bias (Zhou et al. 2016, equation 2), whose mean over places is the logit.
    """

    unit: ClassVar[str] = "logit of the target, were every place like this one"

    @classmethod
    def unavailable(cls, model: Model) -> str | None:
        reason = unplaceable(model)
        if reason is not None:
            return reason
        with model.lock:
            if model.module not in _reasons:
                _reasons[model.module] = _why_not(model)
            return _reasons[model.module]

    def cost(self, input_size: tuple[int, int]) -> PassCount:  # noqa: ARG002 - the contract of all methods
        return PassCount(2, 0)

    def explain(self, model: Model, x01: Tensor, target: Tensor, progress: Progress) -> Explanation:
        with torch.no_grad():
            stage = _last(model)
            cells = cells_of(_features(model, x01), stage)
            assert cells is not None
            values = []
            for number, (own, column) in enumerate(zip(cells, target.tolist()), start=1):
                values.append(answers(model, own.flatten(0, 1), stage)[:, column].view(own.shape[:2]))
                progress(number / (len(cells) + 1))
        return Explanation(torch.stack(values), stage.name)


def cells_of(features: Any, stage: Stage) -> Tensor | None:
    """What the head is given, by place: (B, rows, columns, channels); None where it is not laid out as the stage."""
    if not isinstance(features, Tensor):
        return None
    if features.ndim == 3 and stage.layout == "tokens":
        rows, columns = stage.grid
        if features.shape[1] != stage.prefix + rows * columns:
            return None
        return features[:, stage.prefix :].unflatten(1, (rows, columns))
    if features.ndim != 4 or stage.layout not in ("NCHW", "NHWC"):
        return None
    return features if stage.layout == "NHWC" else features.permute(0, 2, 3, 1)


def answers(model: Model, cells: Tensor, stage: Stage) -> Tensor:
    """What is explained of pictures that look alike everywhere: cells (n, channels) to (n, classes or 1)."""
    if stage.layout == "tokens":
        whole = cells[:, None].expand(-1, stage.prefix + 1, -1)
    else:
        whole = cells[:, None, None] if stage.layout == "NHWC" else cells[:, :, None, None]
    output: Tensor = model.module.forward_head(whole.contiguous())  # type: ignore[operator]
    return explained(model, output)


def _last(model: Model) -> Stage:
    return next(one for one in reversed(model.stages) if one.layout != "unknown" and min(one.grid) > 0)


def _features(model: Model, x01: Tensor) -> Any:
    return model.module.forward_features(model.normalise(x01))  # type: ignore[operator]


def _why_not(model: Model) -> str | None:
    """Tried on a grey picture: networks are too many to tell by their names."""
    if model.detects or not hasattr(model.module, "forward_head") or not hasattr(model.module, "forward_features"):
        return _OTHERWISE
    with torch.inference_mode():
        stage = _last(model)
        cells = cells_of(_features(model, torch.full((1, 3, *model.input_size), 0.5, device=model.device)), stage)
        if cells is None or min(cells.shape[1:3]) < 2:
            return _OTHERWISE
        try:
            found = answers(model, cells[:, 0, 0], stage)
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError, AssertionError):
            return _OTHERWISE  # it wants more than one place
        fits = found.ndim == 2 and (model.headless or found.shape[1] == model.num_classes)
        return None if fits else _OTHERWISE
