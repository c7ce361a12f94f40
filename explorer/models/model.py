"""A live model, ready to answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from explorer.images import MAX_ASPECT
from explorer.messages import Message
from explorer.models.heads import Head
from explorer.models.sizes import nbytes_of
from explorer.models.spec import ModelSpec, WeightsState
from explorer.models.stages import Stage

#: Of red, green and blue in luminance, as PIL's ``convert("L")`` has it.
_LUMA = (0.299, 0.587, 0.114)
#: What has to be said of a model that reads so many channels.
CHANNEL_NOTES = {
    1: Message("it reads one channel: pictures are given to it as their luminance"),
    4: Message("it reads four channels: red, green, blue, and a fourth that is 1 everywhere, as of an opaque picture"),
}


@dataclass(eq=False)
class Model:
    """A live model, ready to answer; it belongs to a store, never to a session.

    Attributes:
        spec: what was asked for.
        module: the network, in eval mode, no parameter asks for a gradient.
        architecture: timm's name of it, without tag.
        input_size: (height, width) of its input, px.
        mean: per channel of its input, of a picture in 0..1.
        std: per channel of its input, of a picture in 0..1.
        interpolation: how pictures are resized.
        crop_pct: share of the resized picture's shorter side that is seen.
        labels: class names by index, or () where they are not known.
        num_classes: number of outputs that are classes; 0 without a head.
        headless: whether the outputs are no classes.
        headless_reason: why, in a sentence, or "".
        stages: its stages, stems left out.
        device: where it lives.
        state: what its weights are (of the backbone, where a block is inserted).
        inserted: dotted path of the inserted block, or None.
        inserted_state: what the inserted block's weights are.
        nbytes: bytes of its parameters and buffers.
        parameters: number of its parameters.
        lock: hold it while hooking into the module.
        head: how its outputs are read.
        label_source: where the class names are from, in words.
        notes: what has to be said beside its answers: of its head and its class names.
        detects: whether it answers for every place which objects are there, as `explorer.detection.decode` reads it.
        trace: where attention lies in a network that was wrapped, as `explorer.attention.tracing` found it, or None.
    """

    spec: ModelSpec
    module: nn.Module
    architecture: str
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    labels: tuple[str, ...]
    num_classes: int
    headless_reason: str
    stages: tuple[Stage, ...]
    device: torch.device
    state: WeightsState
    inserted: str | None
    inserted_state: WeightsState
    transform: Any = field(repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    head: Head = Head()  # noqa: RUF009 - frozen
    label_source: str = ""
    notes: tuple[str, ...] = ()
    detects: bool = False
    trace: Any = field(default=None, repr=False)
    nbytes: int = field(init=False)
    parameters: int = field(init=False)

    def __post_init__(self) -> None:
        self.nbytes = nbytes_of(self.module)
        self.parameters = sum(parameter.numel() for parameter in self.module.parameters())
        self._mean = torch.tensor(self.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(self.std, device=self.device).view(1, -1, 1, 1)

    def __repr__(self) -> str:
        height, width = self.input_size
        return f"Model({self.spec}: {width} x {height} px, {self.parameters:,} parameters, {self.state}, {self.device})"

    @property
    def channels(self) -> int:
        """How many channels it reads: 3, or 1 or 4, which are made of red, green and blue by `normalise`."""
        return len(self.mean)

    @property
    def mean_colour(self) -> tuple[float, ...]:
        """Its mean as red, green and blue in 0..1."""
        return self.mean[:3] if self.channels >= 3 else self.mean * 3

    @property
    def std_colour(self) -> tuple[float, ...]:
        """Its standard deviation of red, green and blue in 0..1."""
        return self.std[:3] if self.channels >= 3 else self.std * 3

    @property
    def headless(self) -> bool:
        """Whether the outputs are no classes."""
        return bool(self.headless_reason)

    def preprocess(self, image: Image.Image) -> Tensor:
        """Bring a picture to the model's input as timm does: (1, 3, H, W) float32 in 0..1, on the device."""
        image = image.convert("RGB")
        width, height = image.size
        short = min(width, height)
        if max(width, height) > MAX_ASPECT * short:
            # 1 x 5000 px would first grow to 248 x 1,240,000; only its centre is ever seen.
            keep_w, keep_h = min(width, MAX_ASPECT * short), min(height, MAX_ASPECT * short)
            left, top = (width - keep_w) // 2, (height - keep_h) // 2
            image = image.crop((left, top, left + keep_w, top + keep_h))
        return self.transform(image).float().div(255).unsqueeze(0).to(self.device)

    def normalise(self, x: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation: (B, 3, H, W) in 0..1 to the network's own input.

        Of one channel that is the luminance (ITU-R BT.601); of four the last is 1 everywhere, as of an opaque picture.
        """
        if self.channels == 1:
            x = (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        elif self.channels == 4:
            x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        return (x - self._mean) / self._std

    def logits(self, x: Tensor) -> Tensor:
        """Return the network's output for pictures (B, 3, H, W) in 0..1: (B, classes), or (B, width) without a head."""
        return self.module(self.normalise(x))

    def pooled(self, x: Tensor) -> Tensor:
        """Return the pooled feature before the classifier for pictures (B, 3, H, W) in 0..1: (B, width)."""
        return self.module.forward_head(self.module.forward_features(self.normalise(x)), pre_logits=True)  # type: ignore[operator]

    def label(self, index: int) -> str:
        """Return the name of a class, or "class 7" where names are not known; `notes` say so."""
        return self.labels[index] if 0 <= index < len(self.labels) else f"class {index}"

    def state_of(self, module_path: str) -> WeightsState:
        """Return what the weights of one module are; an untrained inserted block differs from its backbone."""
        if self.inserted is not None and (module_path + ".").startswith(self.inserted + "."):
            return self.inserted_state
        return self.state
