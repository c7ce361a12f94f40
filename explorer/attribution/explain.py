"""What does a model answer, what does it attend to, and what is the answer based on? One pass for all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from explorer.attention import layouts
from explorer.attention.layouts.weights import tensors_of, with_tensors
from explorer.attention.maps import AttentionMap
from explorer.attention.watch import recording
from explorer.attribution.base import (
    METHODS,
    Explanation,
    InputMethod,
    Method,
    PassMethod,
    Progress,
    method_title,
    scores_of,
)
from explorer.attribution.labels import in_words, need_class, together
from explorer.attribution.result import Attribution
from explorer.errors import MethodError, ParameterError
from explorer.images import read_image
from explorer.messages import Message
from explorer.transfer import to_cpu

if TYPE_CHECKING:
    from explorer.models.model import Model


@dataclass(frozen=True, eq=False)
class Answer:
    """One model's answer about a batch.

    Attributes:
        logits: (B, classes) float32; pooled features (B, channels) of a model without a head.
        maps: attention maps of the batch in the order of the forward pass; empty where there are none.
        attributions: one for each image, or None where no method was asked for.
        pictures: (B, 3, H, W) float32 in 0..1, what the model was given.

    Tensors are on the model's device, or all on the CPU where that was asked for; attributions always are.
    """

    logits: Tensor
    maps: tuple[AttentionMap, ...]
    attributions: tuple[Attribution, ...] | None
    pictures: Tensor


def method_of(name: str, parameters: Mapping[str, Any]) -> Method:
    """The method of this name with these parameters; raises ParameterError for an unknown name, parameter or value."""
    made: Method = METHODS.make(name, parameters)
    return made


def answer(
    model: Model,
    x01: Tensor,
    *,
    target: int | str | Sequence[int] | None = None,
    maps: bool = True,
    method: str | None = "gradcam",
    progress: Progress | None = None,
    fetch: bool = False,
    **parameters: Any,
) -> Answer:
    """What does the model answer, what does it attend to, and what is the answer based on?

    For Grad-CAM and the rollouts one forward pass and at most one backward pass serve all three; any other method runs
    after it. Derivatives are in float32.

    Args:
        model: a live model; its lock is held meanwhile.
        x01: (B, 3, H, W) in 0..1 at the model's input size.
        target: the class to explain, one for all images or one for each; None for the largest logit of image 0,
            shared by all, so that a moved picture is asked about the class of the unmoved one. A text names several
            classes that are asked about as one, "151..268" for any dog of ImageNet: see `labels.with_score`. A model
            without a head has no classes: the L2 norm of its pooled feature is explained.
        maps: whether attention maps are wanted.
        method: name in METHODS, or None for no attribution.
        progress: told the share done, 0 to 1, between passes; what it raises ends the work.
        fetch: whether everything is wanted on the CPU, in one transfer from the device.
        parameters: of the method.

    Raises:
        MethodError: the method cannot serve this model.
        ParameterError: an unknown method, parameter, value or target.
    """
    tell = progress or (lambda _: None)
    chosen = None if method is None else method_of(method, parameters)
    if chosen is None and parameters:
        raise ParameterError(
            Message("no method is asked for, so '{parameters}' means nothing", parameters=next(iter(parameters)))
        )
    with ExitStack() as stack:
        stack.enter_context(model.lock)
        stack.enter_context(torch.inference_mode(False))
        if chosen is not None and (reason := chosen.unavailable(model)) is not None:
            raise MethodError(
                Message(
                    "{method} cannot serve {spec}: {reason}",
                    method=method_title(str(method)),
                    spec=model.spec,
                    reason=reason,
                )
            )
        _check(model, x01, target)
        column = stack.enter_context(together(model, target)) if isinstance(target, str) else target
        # A tensor made under inference_mode cannot take part in a graph, its copy can.
        x01 = (x01.clone() if x01.is_inference() else x01.detach()).to(model.device, torch.float32)
        tell(0.0)
        one_pass = chosen if isinstance(chosen, PassMethod) else None
        output, seen, columns, explanation = _pass(model, x01, column, maps, one_pass)
        if isinstance(chosen, InputMethod):
            with torch.enable_grad():
                explanation = chosen.explain(model, x01.clone(), columns, tell)
        attributions = None
        known: list[Tensor] = []
        if explanation is not None:
            noted = explanation.noted
            known = [explanation.values.detach().float(), columns, *([] if noted is None else [noted])]
        rest = [output, x01, *(tensor for one in seen for tensor in tensors_of(one.weights))] if fetch else []
        brought = to_cpu([*known, *rest])
        known, rest = brought[: len(known)], brought[len(known) :]
        if fetch:
            output, x01, *held = rest
            tensors = iter(held)
            seen = tuple(replace(one, weights=with_tensors(one.weights, tensors)) for one in seen)
        if method is not None and chosen is not None and explanation is not None:
            attributions = _labelled(model, method, chosen, explanation, known, target)
        tell(1.0)
    return Answer(output, seen, attributions, x01)


def attribute(
    model: Model,
    image: Any,
    method: str = "gradcam",
    target: int | str | None = None,
    *,
    progress: Progress | None = None,
    **parameters: Any,
) -> Attribution:
    """What in this picture does the model's answer rest on?

    Args:
        model: a live model.
        image: a picture in any form that `read_image` takes, or a tensor (3, H, W) or (1, 3, H, W) in 0..1
        method: name in METHODS.
        target: the class to explain, or several as one ("151..268"); None for the model's first choice. See `answer`.
        progress: told the share done, 0 to 1, between passes; what it raises ends the work.
        parameters: of the method.

    Raises:
        MethodError: the method cannot serve this model; its `unavailable` tells beforehand.
        ParameterError: an unknown method, parameter, value or target.
    """
    x01 = image if isinstance(image, Tensor) else model.preprocess(read_image(image).image)
    if x01.dim() == 3:
        x01 = x01[None]
    if len(x01) != 1:
        raise ParameterError(f"attribute explains one picture, got {len(x01)}; answer() takes a batch")
    found = answer(model, x01, target=target, maps=False, method=method, progress=progress, **parameters).attributions
    assert found is not None
    return found[0]


def _pass(
    model: Model, x01: Tensor, target: int | Sequence[int] | None, maps: bool, method: PassMethod | None
) -> tuple[Tensor, tuple[AttentionMap, ...], Tensor, Explanation | None]:
    """One forward pass and at most one backward: output, maps, (B,) columns explained, explanation."""
    differentiates = method is not None and method.differentiates
    graph = method is not None and method.records_graph
    with torch.enable_grad() if differentiates else torch.no_grad():
        # Hooks and interception end with the forward pass: what follows would only be slowed down by them.
        with ExitStack() as stack:
            records = maps or (method is not None and method.records)
            recorder = stack.enter_context(recording(model, values=graph)) if records else None
            watched = None if method is None else stack.enter_context(method.attached(model))
            # Grad-CAM's graph begins at its layer; a method that follows attention needs it from the start.
            output, scores = scores_of(model, x01.clone().requires_grad_() if graph else x01)
        columns = _columns(scores, target)
        placed = [] if recorder is None else recorder.placed()
        explanation = None
        if method is not None:
            wanted = scores.gather(1, columns[:, None])[:, 0] if differentiates else None
            explanation = method.read(model, watched, placed, wanted)
    seen = [one for _, one in placed] if maps else []
    if graph and recorder is not None and maps:
        # Maps that are handed out must not keep the graph alive.
        bare = [
            replace(one, weights=None if one.weights is None else one.weights.detach(), value=None, output=None)
            for one in recorder.operations
        ]
        seen = [one for _, one in layouts.place(bare, model.module, model.input_size, model.state_of, model.trace)]
    return output.detach().float(), tuple(seen), columns, explanation


def _columns(scores: Tensor, target: int | Sequence[int] | None) -> Tensor:
    batch = len(scores)
    if target is None:
        return scores[0].argmax().expand(batch)
    chosen = [target] * batch if isinstance(target, int) else list(target)
    return torch.tensor(chosen, device=scores.device)


def _check(model: Model, x01: Tensor, target: int | str | Sequence[int] | None) -> None:
    if x01.dim() != 4 or x01.shape[1] != 3 or len(x01) == 0 or not x01.is_floating_point():
        raise ParameterError(
            f"a float batch (B, 3, height, width) in 0..1 is expected, got {tuple(x01.shape)} {x01.dtype}"
        )
    if target is None:
        return
    plain: Any = target.tolist() if hasattr(target, "tolist") else target  # a tensor's or an array's
    several = isinstance(plain, Sequence) and not isinstance(plain, str)
    given: Sequence[Any] = plain if several else [plain]
    kinds = Integral if several else (Integral, str)
    if not all(isinstance(one, kinds) and not isinstance(one, bool) for one in given):
        raise ParameterError(
            Message(
                "target is the number of a class, one for each picture, or several classes as one in a text such as "
                "'151..268'; got {target}",
                target=repr(target)[:60],
            )
        )
    if model.headless:
        raise ParameterError(
            Message(
                "{spec} has no classes to choose target {chosen} from; leave the target out, and the norm of its "
                "pooled feature is explained",
                spec=model.spec,
                chosen=given[0],
            )
        )
    if isinstance(target, str):
        return
    if not isinstance(target, int) and len(given) != len(x01):
        raise ParameterError(
            f"{len(given)} targets for {len(x01)} images; give one for all or one for each; several classes "
            "as one are a text, as in '151..268'"
        )
    for one in given:
        need_class(model, one, one)


def _labelled(
    model: Model,
    name: str,
    method: Method,
    explanation: Explanation,
    known: Sequence[Tensor],
    target: int | str | Sequence[int] | None,
) -> tuple[Attribution, ...]:
    """An explanation with its labels; ``known`` on the CPU are its values, columns, and whether its note holds."""
    values, columns, *noted = known
    note = explanation.note if all(map(bool, noted)) else ""
    out = []
    for item, column in enumerate(columns.tolist()):
        out.append(
            Attribution(
                values=values[item].clone(),
                method=name,
                target=in_words(model, target) if isinstance(target, str) else _target(model, column),
                layer=explanation.layer,
                delta=None if explanation.delta is None else explanation.delta[item],
                unit=method.unit,
                state=model.state,
                parameters=asdict(method),
                note=note,
            )
        )
    return tuple(out)


def _target(model: Model, column: int) -> str:
    if model.headless:
        return Message("norm of the pooled feature")
    name = Message("{label} ({number})", label=model.label(column), number=column)
    return Message("{name}, logit before the sigmoid", name=name) if model.head.kind == "sigmoid" else name
