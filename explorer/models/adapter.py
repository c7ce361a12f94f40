"""Any network behind the calls that timm's networks have: logits, and the feature that the classifier is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from explorer.errors import ModelError, ParameterError
from explorer.messages import Message

#: Which of a module's outputs are its answer: the name of an entry or attribute, a number, or a function that takes it.
Output = str | int | Callable[[Any], Tensor] | None

#: What libraries call a network's answer, and the picture's feature of one without classes.
_NAMES = ("logits", "image_embeds", "pooler_output")


class Features(NamedTuple):
    """What a network made of a batch: its answer, and what its last layer was given."""

    logits: Tensor
    pooled: Tensor


@dataclass
class Adapted:
    """What an `Adapter` stands before.

    Attributes:
        network: somebody's network.
        output: which of its outputs are its answer.
        classifier: dotted path of the linear layer whose output is the answer, or "" where there is none; then the
            answer stands for the pooled feature too.
    """

    network: nn.Module
    output: Output = None
    classifier: str = ""


class Adapter(nn.Module):
    """A network that gives its answer alone, (B, outputs), with timm's ``forward_features`` and ``forward_head``.

    It shares the network's parameters, buffers and children, under their own names, and changes none of them.
    """

    #: Its only attribute, of a name that no network's child has.
    _adapted: Adapted

    def __init__(self, network: nn.Module, output: Output = None) -> None:
        super().__init__()
        # The network is no child of it: paths stay those of the network.
        self._adapted = Adapted(network, output)
        self._parameters, self._buffers, self._modules = network._parameters, network._buffers, network._modules
        self._non_persistent_buffers_set = network._non_persistent_buffers_set
        self.training = network.training

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the answer (B, outputs)."""
        return answer_of(self._adapted.network(x), self._adapted.output)

    def forward_features(self, x: Tensor) -> Features:
        """(B, 3, H, W) to the answer and the feature before the classifier."""
        if not self._adapted.classifier:
            logits = self(x)
            return Features(logits, logits)
        given: list[Tensor] = []

        def keep(_module: nn.Module, args: tuple[Any, ...]) -> None:
            given.append(args[0])

        handle = self.get_submodule(self._adapted.classifier).register_forward_pre_hook(keep)
        try:
            logits = self(x)
        finally:
            handle.remove()
        return Features(logits, given[-1].flatten(1))

    def forward_head(self, features: Features, pre_logits: bool = False) -> Tensor:
        """What `forward_features` gave to the answer, or with ``pre_logits`` to the pooled feature."""
        return features.pooled if pre_logits else features.logits

    def find_classifier(self, x: Tensor) -> Tensor:
        """Run the network once, find the layer whose output is its answer, and return the answer."""
        seen: list[tuple[str, Tensor]] = []
        handles = [
            module.register_forward_hook(lambda _m, _i, out, name=name: seen.append((name, out)))
            for name, module in self.named_modules()
            if name and isinstance(module, (nn.Linear, nn.Conv2d))
        ]
        try:
            answer = self(x)
        finally:
            for handle in handles:
                handle.remove()
        last = [name for name, out in seen if out.numel() == answer.numel() and torch.equal(out.flatten(1), answer)]
        if last and [name for name, _ in seen].count(last[-1]) == 1:
            self._adapted.classifier = last[-1]
        return answer

    @property
    def has_classifier(self) -> bool:
        """Whether a linear layer gives the answer, so that what it is given is the pooled feature."""
        return bool(self._adapted.classifier)


def answer_of(given: Any, output: Output) -> Tensor:
    """The answer among what a network gives, (B, outputs).

    Raises ParameterError where ``output`` does not lead to one, and ModelError where it is not said and not certain.
    """
    found: Any
    if callable(output):
        found = output(given)
    elif output is not None:
        try:
            found = getattr(given, output) if isinstance(output, str) and hasattr(given, output) else given[output]
        except (KeyError, IndexError, TypeError):
            raise ParameterError(
                Message(
                    "output '{output}' is not among what the module gives: {given}", output=output, given=_in(given)
                )
            ) from None
    elif isinstance(given, (tuple, list)) and sum(isinstance(one, Tensor) for one in given) == 1:
        found = next(one for one in given if isinstance(one, Tensor))
    elif isinstance(given, Tensor):
        found = given
    else:
        named = (getattr(given, name, given.get(name) if isinstance(given, Mapping) else None) for name in _NAMES)
        found = next((one for one in named if isinstance(one, Tensor)), None)
    if isinstance(found, Tensor) and found.ndim >= 2 and found.numel() == found.shape[0] * found.shape[1]:
        return found.flatten(1)
    raise ModelError(
        Message(
            "the module gives {given}, of which (pictures, outputs) is expected; say with output which part of it is "
            "the answer: a name, a number, or a function, as in output=lambda given: given[0][:, 0]",
            given=_in(found if isinstance(found, Tensor) else given),
        )
    )


def _in(given: Any) -> str:
    """What a module gives, in short."""
    if isinstance(given, Tensor):
        return f"Tensor {tuple(given.shape)}"
    if isinstance(given, Mapping):
        return ", ".join(f"{name} {_in(one)}" for name, one in given.items())
    if isinstance(given, (tuple, list)):
        return f"{type(given).__name__} (" + ", ".join(_in(one) for one in given) + ")"
    return type(given).__name__
