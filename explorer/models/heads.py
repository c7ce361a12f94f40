"""What do a model's outputs mean? Its head says how logits become probabilities, and what counts as the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.messages import Message
from explorer.models.spec import HeadKind

#: From this p after the sigmoid on a label is part of the answer.
THRESHOLD = 0.5
#: Entries of a config.json by which models say what their outputs are; timm itself writes none.
#: ``problem_type`` and ``function_to_apply`` are transformers', the others what people add by hand.
CONFIG_KEYS = ("problem_type", "function_to_apply", "multi_label", "multilabel", "activation", "classifier_activation")

_KINDS: Mapping[str, HeadKind] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
    "regression": "none",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
}


@dataclass(frozen=True)
class Head:
    """How a model's outputs are read.

    Attributes:
        kind: "softmax": one of several classes; "sigmoid": one label, or several independent ones; "none": no classes.
        note: what has to be said of it beside an answer, in a sentence, or "".

    Of a sigmoid head the answer is the set of labels with p of 0.5 and more; of one label that is yes or no. Two
    answers are the same where the sets are equal (the exact match of the multi-label literature).
    """

    kind: HeadKind = "softmax"
    note: str = ""

    @property
    def unit(self) -> str:
        """What the numbers of a prediction are."""
        return {"softmax": Message("softmax probability"), "sigmoid": Message("p after the sigmoid"), "none": ""}[
            self.kind
        ]

    @property
    def p_unit(self) -> str:
        """The unit of p in a probe's rows."""
        return "probability" if self.kind == "softmax" else self.unit

    def probabilities(self, logits: Tensor) -> Tensor:
        """p of every output, (..., outputs) to the same; those of a sigmoid head do not sum to 1."""
        return logits.sigmoid() if self.kind == "sigmoid" else logits.softmax(-1)

    def answer(self, p: Tensor) -> Tensor:
        """The answer as a row that equals that of the same answer: (..., outputs) to (..., 1 or outputs) long.

        Of a softmax head the class; of a sigmoid head 1 for each label that is part of the answer, else 0.
        """
        return (p >= THRESHOLD).long() if self.kind == "sigmoid" else p.argmax(-1, keepdim=True)

    def same(self, p: Tensor, other: Tensor) -> Tensor:
        """Whether two sets of p (..., outputs) give the same answer: (...) bool."""
        return (self.answer(p) == self.answer(other)).all(-1)

    def leading(self, p: Tensor) -> Tensor:
        """What p is followed of: (..., outputs) to (...) long.

        The class or label of the largest p; of one label alone 1 for yes and 0 for no.
        """
        return self.answer(p)[..., 0] if self._one(p) else p.argmax(-1)

    def p_of(self, p: Tensor, leading: Tensor) -> Tensor:
        """p of what was leading: (..., outputs) and (...) to (...). Of one label alone, p of its yes or of its no."""
        if self._one(p):
            return torch.where(leading == 1, p[..., 0], 1 - p[..., 0])
        return p.gather(-1, leading[..., None])[..., 0]

    def target(self, leading: int, outputs: int) -> int:
        """The output whose logit an attribution explains; of one label alone its only one, whether yes or no."""
        return 0 if self.kind == "sigmoid" and outputs == 1 else leading

    def _one(self, p: Tensor) -> bool:
        return self.kind == "sigmoid" and p.shape[-1] == 1


def find_head(said: HeadKind | None, config: Mapping[str, Any], outputs: int, known: bool) -> tuple[Head, str]:
    """What kind of head is it, by the user's word, its configuration, or its number of outputs?

    Args:
        said: what the user says, which goes before all else.
        config: the model's config.json, or {} where it has none.
        outputs: how many it has, at least one.
        known: whether the outputs are known to be classes of which one holds (ImageNet's, timm's own models).

    Returns the head, and why its outputs are no classes, or "".

    Raises ParameterError for a softmax over one output, which is always 1.
    """
    kind, by = (said, "") if said is not None else _configured(config)
    if kind == "softmax" and outputs == 1:
        if said is not None:
            raise ParameterError(
                Message(
                    "a softmax over one output is 1 for every picture; with head 'sigmoid' the output is read as one "
                    "label, with 'none' as no class"
                )
            )
        kind = None
    if kind == "none":
        if said is not None:
            return Head("none"), Message(
                "you say that it has no classes: its outputs ({outputs}) are read as numbers", outputs=outputs
            )
        return Head("none"), Message(
            "its configuration has {by}, so its outputs ({outputs}) are read as numbers, not classes",
            by=by,
            outputs=outputs,
        )
    if kind is None and outputs == 1:
        return Head("sigmoid", Message("its one output is read as the logit of one label: p after the sigmoid")), ""
    if kind == "sigmoid":
        return Head("sigmoid"), ""
    if kind is None and not known:
        note = Message(
            "softmax over its {outputs} outputs is assumed, as its configuration does not say what they are; if "
            "they are independent labels, set head to 'sigmoid'",
            outputs=outputs,
        )
        return Head("softmax", note), ""
    return Head("softmax"), ""


def _configured(config: Mapping[str, Any]) -> tuple[HeadKind | None, str]:
    """What a config.json says of the head, and in which entry; entries of other values say nothing."""
    for part in _parts(config):
        for key in CONFIG_KEYS:
            value = part.get(key)
            if isinstance(value, bool):
                if key in ("multi_label", "multilabel"):
                    return "sigmoid" if value else "softmax", f"{key}: {str(value).lower()}"
            elif isinstance(value, str) and (kind := _KINDS.get(value.strip().lower())) is not None:
                return kind, f"{key}: {value}"
    return None, ""


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A config.json and its parts in which such entries stand."""
    yield config
    for name in ("pretrained_cfg", "head", "task_specific_params"):
        if isinstance(part := config.get(name), Mapping):
            yield part
