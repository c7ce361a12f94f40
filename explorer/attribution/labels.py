"""Several classes asked about as one: any dog instead of one breed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.messages import Message

if TYPE_CHECKING:
    from explorer.models.model import Model

_PART = re.compile(r"\s*([0-9]{1,6})\s*(?:\.\.\s*([0-9]{1,6})\s*)?")
_together: ContextVar[tuple[int, ...]] = ContextVar("classes asked about as one", default=())


def labels_of(text: str) -> tuple[int, ...]:
    """The classes that a text names, ascending: "151..268" (both ends belong to it), "5,7", "5,151..268".

    Raises ParameterError for anything else.
    """
    found: set[int] = set()
    for part in text.split(","):
        ends = _PART.fullmatch(part)
        if ends is None or (ends[2] is not None and int(ends[2]) < int(ends[1])):
            raise ParameterError(
                Message(
                    "several classes are written as 151..268, as 5,7 or as 5,151..268, the smaller number first; got "
                    "'{text}'",
                    text=text[:60],
                )
            )
        found.update(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return tuple(sorted(found))


def need_class(model: Model, number: int, asked: int | str) -> None:
    """Raises ParameterError for a number that is none of a model's classes; ``asked`` is what asked for it."""
    if not 0 <= number < model.num_classes:
        raise ParameterError(
            Message(
                "{spec} has classes 0 to {last}, target {target} asked for",
                spec=model.spec,
                last=model.num_classes - 1,
                target=asked,
            )
        )


@contextmanager
def together(model: Model, text: str) -> Iterator[int]:
    """Inside, what is explained has one column more, the score of these classes; its number is yielded.

    Raises ParameterError for a model that has not got them.
    """
    labels = labels_of(text)
    if model.head.kind == "none":
        raise ParameterError(
            Message("{spec} gives numbers, not classes, so there is no score of several as one", spec=model.spec)
        )
    need_class(model, labels[-1], text)
    token = _together.set(labels)
    try:
        yield model.num_classes
    finally:
        _together.reset(token)


def with_score(model: Model, logits: Tensor) -> Tensor:
    """Logits (B, classes) as they are, or inside `together` with one column more.

    Of a softmax head the score is log sum exp of the classes' logits: but for the normaliser, which all classes share,
    it is the logarithm of the p that one of them is the answer. Of independent labels (a sigmoid head) it is their
    largest logit: how sure the model is of the one that it is surest of.
    """
    if not (labels := _together.get()):
        return logits
    of_them = logits[:, list(labels)]
    score = of_them.amax(1, keepdim=True) if model.head.kind == "sigmoid" else torch.logsumexp(of_them, 1, True)
    return torch.cat([logits, score], 1)


def in_words(model: Model, text: str) -> str:
    """What is explained, for people: "classes 151..268 together, log sum exp of 118 logits"."""
    if len(labels_of(text)) == 1:  # 5..5, or 5,5: its score is the class's own
        return Message("class {number} ({label})", number=labels_of(text)[0], label=model.label(labels_of(text)[0]))
    if model.head.kind == "sigmoid":
        return Message(
            "labels {text} together, the largest of {count} logits before the sigmoid",
            text=text,
            count=len(labels_of(text)),
        )
    return Message("classes {text} together, log sum exp of {count} logits", text=text, count=len(labels_of(text)))
