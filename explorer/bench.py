"""What does seeing attention cost? Ratios, measured in one process, against the bare model and the usual way.

Every pair is run in alternation and compared by the median, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import timm
import torch
from timm.layers.config import set_fused_attn
from timm.utils.attention_extract import AttentionExtract
from torch import Tensor, nn

from explorer.attribution import answer
from explorer.attribution.base import scores_of
from explorer.attribution.gradcam import GradCam
from explorer.models.model import Model
from explorer.transforms import Transform, apply_many


@dataclass(frozen=True)
class Timing:
    """One comparison: seconds are medians over ``n`` alternating runs; ratio is ``first / second``.

    ``goal`` says what the ratio should be, or is "" where it is for information.
    """

    name: str
    model: str
    first: float
    second: float
    ratio: float
    n: int
    goal: str
    note: str = ""


def _alternate(first: Callable[[], Any], second: Callable[[], Any], n: int) -> tuple[float, float, float]:
    """Median seconds of both, and the median of the runs' own ratios: neighbours in time share the machine's mood."""
    for warm in (first, second):
        warm()
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(n):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (first, second)[which]()
            times[which].append(time.perf_counter() - start)
    return median(times[0]), median(times[1]), median(a / b for a, b in zip(*times))


def shared_pass(model: Model, image: Tensor, n: int) -> Timing:
    """Prediction, all attention maps and Grad-CAM together against what Grad-CAM alone cannot do without.

    That is one forward pass and the backward pass from the answer to the stage that Grad-CAM reads, whose graph begins
    there.
    """
    gradcam = GradCam()

    def ours() -> None:
        answer(model, image, method="gradcam")

    def limit() -> None:
        with gradcam.attached(model) as layer, torch.enable_grad():
            scores = scores_of(model, image)[1]
            torch.autograd.grad(scores[0, scores[0].argmax()], layer.features)

    times = _alternate(ours, limit, n)
    return Timing(
        "prediction + attention + Grad-CAM / forward + backward to its stage",
        str(model.spec),
        *times,
        n,
        "at most 1.15",
    )


def _explicit_twin(model: Model) -> nn.Module:
    """The same network with explicit attention, as timm's AttentionExtract needs; the switch acts at construction."""
    set_fused_attn(False)
    try:
        twin: nn.Module = timm.create_model(
            str(model.spec.backbone),
            pretrained=False,
            num_classes=model.num_classes,
            **dict(model.spec.options),
        )
    finally:
        set_fused_attn(True)
    twin.load_state_dict(model.module.state_dict())
    return twin.eval().to(model.device)


def usual_way(model: Model, image: Tensor, n: int) -> Timing | None:
    """The same work by the usual way at its leanest: grad-cam's GradCAM for answer and map, timm's AttentionExtract.

    One pass gives the logits and Grad-CAM, no gradient of a parameter is computed, and attention is fused in it; maps
    need a second forward pass, with explicit attention.

    None where the package grad-cam is not installed (it is a development dependency), and for a model whose twin with
    explicit attention cannot be built from its name alone (an inserted block, another input size).
    """
    if model.inserted is not None or model.spec.input_size is not None:
        return None
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError:
        return None
    stage = model.stages[-1]
    tokens = stage.layout == "tokens"
    layer: Any = model.module.get_submodule(stage.name)
    height, width = stage.grid

    def to_picture(features: Tensor) -> Tensor:
        return features[:, stage.prefix :].reshape(len(features), height, width, -1).permute(0, 3, 1, 2)

    extract = AttentionExtract(_explicit_twin(model), method="hook") if tokens else None
    x = model.normalise(image)

    def usual() -> None:
        if extract is not None:
            with torch.inference_mode():
                extract(x)
        # The weights ask for no gradient, so the graph begins at the picture; None explains the first choice.
        cam(input_tensor=x.clone().requires_grad_(), targets=None)

    def ours() -> None:
        answer(model, image, method="gradcam")

    target = [layer.norm1 if tokens else layer]
    with model.lock:
        cam = GradCAM(model.module, target, to_picture if tokens else None)
        try:
            times = _alternate(usual, ours, n)
        finally:
            cam.activations_and_grads.release()
    note = "" if tokens else "no attention in this model: Grad-CAM and prediction only"
    goal = "at least 2.5" if tokens else "at least 1.7"
    return Timing("usual way / ours", str(model.spec), *times, n, goal, note)


def ready_made(model: Model, image: Tensor, side: int, size: int) -> list[Tensor]:
    """A translation map's inputs, shifted by whole pixels and normalised: (size, 3, H, W) each, the last may be fewer.

    At 224 x 224 px, 33 x 33 of them are 655 MB.
    """
    along = range(-(side // 2), side // 2 + 1)
    moves = [Transform(dx, dy) for dy in along for dx in along]
    return [model.normalise(apply_many(moves[start : start + size], image[0])) for start in range(0, len(moves), size)]


def translation_map(model: Model, picture: Any, n: int, side: int = 33) -> Timing:
    """A translation map by its probe, from the picture to the rows, against the forward of ready-made inputs.

    Args:
        model: a live model with a classifier.
        picture: a PIL image.
        n: alternating runs.
        side: side x side shifts, odd.
    """
    from explorer.probes import steps
    from explorer.probes.passes import Passes

    passes = Passes(model)
    batches = ready_made(model, model.preprocess(picture), side, passes.size)

    def probed() -> None:
        for _ in steps("translation", [model], picture, side=side):
            pass

    def bare() -> None:
        with passes.exact(), torch.inference_mode():
            for batch in batches:
                model.module(batch)

    times = _alternate(probed, bare, n)
    name = f"{side} x {side} translation map / bare batched forward"
    return Timing(name, str(model.spec), *times, n, "at most 1.15", f"batches of {passes.size}")


def run(
    models: Sequence[Model],
    picture: Any,
    repeats: int = 15,
    side: int = 33,
) -> list[Timing]:
    """Measure every model on a picture.

    Args:
        models: live models.
        picture: a PIL image.
        repeats: alternating runs a pair; a fifth of them for the translation map.
        side: side x side shifts, odd.
    """
    out: list[Timing] = []
    for model in models:
        image = model.preprocess(picture)
        out.append(shared_pass(model, image, repeats))
        usual = usual_way(model, image, repeats)
        if usual is not None:
            out.append(usual)
        if not model.headless:
            out.append(translation_map(model, picture, max(1, repeats // 5), side))
    return out
