"""Every error the explorer raises on purpose; each message says what came, what was expected and what to do.

ExplorerError
|-- ParameterError        a value out of range or of the wrong form (a transform, a flag, a query)
|   |-- LessonError       a lesson's file says something that cannot be shown
|   |-- UnknownNameError  a name no registry or model list has; offers the closest ones
|   `-- WriteError        a file that cannot be written where it should be
|-- ImageError            a picture that cannot be read, or that is larger than the limits
|-- ModelError            a backbone that cannot be built or run as asked
|   |-- WeightsError      weights that cannot be had, do not fit, or are not finite
|   `-- InsertionError    a block that this backbone cannot take at this stage
|-- NoAttentionError      a forward pass in which no attention was seen
|-- MethodError           an attribution method that cannot serve this model
|-- TrainingError         a training run that cannot begin or go on
`-- BusyError             too much is asked for at once
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from explorer.messages import Message, listed, message_of, sentences


class ExplorerError(Exception):
    """Base of all errors that are the explorer's answer to its input; anything else is a defect."""

    @property
    def message(self) -> str:
        """What it says, as a Message where it was raised with one."""
        return message_of(self)


class ParameterError(ExplorerError, ValueError):
    """A value is out of range or of the wrong form."""


class LessonError(ParameterError):
    """A lesson's file is wrong; the message has its name and the line."""


class UnknownNameError(ParameterError, KeyError):
    """A name is not known; the message offers the closest names."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = Message("Did you mean {names}?", names=listed(close, "{first} or {rest}")) if close else ""
        if not hint and len(known) <= 30:
            hint = Message("Known: {names}.", names=", ".join(known))
        super().__init__(sentences(Message("unknown {what} '{name}'.", what=Message(what), name=name), hint))

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class WriteError(ParameterError):
    """A file cannot be written; the message says why, and what is not lost."""


class ImageError(ExplorerError, ValueError):
    """A picture cannot be read, or exceeds the limits."""


class ModelError(ExplorerError):
    """A backbone cannot be built or run as asked."""


class WeightsError(ModelError):
    """Weights cannot be had, do not fit the model, or are not finite."""


class InsertionError(ModelError):
    """A block cannot be inserted at this stage of this backbone."""


class NoAttentionError(ExplorerError):
    """A forward pass in which no attention was seen."""


class MethodError(ExplorerError):
    """An attribution method cannot serve this model."""


class TrainingError(ExplorerError):
    """A training run cannot begin or go on."""


class BusyError(ExplorerError):
    """Too much is asked for at once."""


class Cancelled(BaseException):
    """Raised inside work that nobody waits for any more; not an error, so that nothing that handles errors stops it."""
