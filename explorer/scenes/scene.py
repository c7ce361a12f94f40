"""What a procedural scene is, and how scenes are drawn at random.

A scene is one object (or two parts whose arrangement is the class) with a texture before a background. Every random
number is a hash of (seed, index), never of a generator's state: scene 1234 is the same alone, in a batch, on a CPU and
on a GPU.

Coordinates are shares of the frame, x to the right and y down, the centre at (0.5, 0.5); lengths too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from explorer.errors import ParameterError, UnknownNameError
from explorer.messages import Message
from explorer.registry import parameter, parameters
from explorer.scenes.chance import hashed, keys_of, mix

#: Raised whenever the same (seed, index) would give another picture.
DATA_VERSION = 2
SHAPES = ("square", "star", "cross", "ring", "crescent", "heart", "bar", "drop", "triangle", "circle")
#: The texture in place k is the one that goes with class k more often than not.
TEXTURES = (
    *("stripes", "checks", "dots", "rings", "zigzag", "grid"),
    *("bricks", "speckle", "rays", "waves", "pales", "plain"),
)
FAMILIES = ("noise", "gradient", "clutter", "weave")
HUES = ("red", "green", "blue")
#: The background in place k is the one that goes with class k more often than not.
BACKGROUNDS = tuple(f"{hue} {family}" for hue in HUES for family in FAMILIES)
#: Classes of one part are their shape; (first shape, direction from the second to the first, second shape) of two.
ARRANGEMENTS = {
    "triangle above circle": ("triangle", (0.0, -1.0), "circle"),
    "circle above triangle": ("circle", (0.0, -1.0), "triangle"),
    "triangle left of circle": ("triangle", (-1.0, 0.0), "circle"),
    "circle left of triangle": ("circle", (-1.0, 0.0), "triangle"),
}
CLASSES = (*SHAPES[:8], *ARRANGEMENTS)
#: Places of the arrangements among the classes.
PAIRS = tuple(CLASSES.index(name) for name in ARRANGEMENTS)
#: Radius of an object of scale 1: its circumscribed circle, roughly, or half the extent of an arrangement.
RADIUS = 0.27
#: Radius of one part of an arrangement, and the distance of the parts' centres at gap 1; shares of RADIUS.
PART, SPREAD = 0.56, 1.2


def cues(scene: Scene) -> dict[str, str]:
    """Which classes do a scene's texture and background go with more often than not in training?"""
    return {
        "texture": CLASSES[TEXTURES.index(scene.texture)],
        "background": CLASSES[BACKGROUNDS.index(scene.background)],
    }


# ---- what a scene is ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """What is in the picture? One procedural scene; render it with `render`.

    Attributes:
        label: its class, one of CLASSES: a shape, or an arrangement of two.
        texture: one of TEXTURES.
        background: one of BACKGROUNDS.
        dx: shift to the right, share of the frame.
        dy: shift down, share of the frame.
        scale: size of the object over the training size.
        angle: turn of each part, degrees, clockwise.
        tilt: turn of an arrangement's axis, degrees; no effect on a single shape.
        gap: distance of an arrangement's parts over the training distance.
        wobble: how far its outline bends, radii of the object; chance decides where.
        shade: strength of light from one side, and of the shadow that the object casts.
        clutter: how many sticks lie about, some of them before the object, share of the most there are.
        noise: amplitude of the pixel noise, share of full contrast.
        seed: what chance decides: colours, details of outline and background, light, sticks, noise.
    """

    label: str = parameter("star", "the class: a shape or an arrangement", choices=CLASSES)
    texture: str = parameter("rings", "texture of the object", choices=TEXTURES)
    background: str = parameter("green gradient", "what lies behind it", choices=BACKGROUNDS)
    dx: float = parameter(0.0, "shift to the right", -1.0, 1.0, "of the frame")
    dy: float = parameter(0.0, "shift down", -1.0, 1.0, "of the frame")
    scale: float = parameter(1.0, "size over the training size", 0.1, 4.0, "x")
    angle: float = parameter(0.0, "turn of each part, clockwise", -180.0, 180.0, "degrees")
    tilt: float = parameter(0.0, "turn of an arrangement's axis", -180.0, 180.0, "degrees")
    gap: float = parameter(1.0, "distance of an arrangement's parts", 0.5, 3.0, "x")
    wobble: float = parameter(0.06, "how far the outline bends", 0.0, 0.3, "of the radius")
    shade: float = parameter(0.5, "strength of light and shadow", 0.0, 1.0)
    clutter: float = parameter(0.3, "how many sticks lie about", 0.0, 1.0, "of the most there are")
    noise: float = parameter(0.04, "amplitude of the pixel noise", 0.0, 1.0, "of full contrast")
    seed: int = parameter(0, "decides colours, details, light and noise", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for name, one in parameters(Scene).items():
            value = getattr(self, name)
            if one.allows(value):
                continue
            if one.choices:
                raise UnknownNameError(name, str(value), one.choices)
            kind = Message("a whole number") if one.kind is int else Message("a number")
            raise ParameterError(
                Message(
                    "{name} is {value}; it is {kind} from {low} to {high}",
                    name=name,
                    value=f"{value!r}",
                    kind=kind,
                    low=f"{one.low:g}",
                    high=f"{one.high:g}",
                )
            )


@dataclass(frozen=True)
class Distribution:
    """Which scenes does a data set hold? Ranges are uniform.

    Attributes:
        texture_agreement: how often the texture is the class's own; otherwise any other, alike often.
        background_agreement: the same for the background, drawn independently of the texture.
        shift: largest shift of the object along each axis, share of the frame.
        scales: smallest and largest scale; uniform in the logarithm.
        angle: largest turn either way, degrees.
        tilt: largest turn of an arrangement's axis either way, degrees.
        gaps: smallest and largest gap of an arrangement.
        wobble: how far outlines bend.
        shade: strength of light and shadow.
        clutter: how many sticks lie about.
        noise: amplitude of the pixel noise.
    """

    texture_agreement: float = 0.6
    background_agreement: float = 0.5
    shift: float = 0.03
    scales: tuple[float, float] = (0.9, 1.1)
    angle: float = 15.0
    tilt: float = 10.0
    gaps: tuple[float, float] = (0.95, 1.1)
    wobble: float = 0.06
    shade: float = 0.5
    clutter: float = 0.3
    noise: float = 0.04


#: What the laboratory's models are trained on: the object near the centre, one size.
CENTRED = Distribution()
#: The counter-experiment: the object anywhere, at sizes from half to one and a half.
AUGMENTED = Distribution(shift=0.21, scales=(0.5, 1.5))
#: Of several objects: textures rarely tell the class and backgrounds never, more lies about, and noise is
#: twice as strong. With less of it C2f finds nearly all of them, and nothing that is added to C2f can show.
CROWDED = Distribution(
    texture_agreement=0.25, background_agreement=1 / len(CLASSES), angle=30.0, clutter=0.6, noise=0.08
)
#: The other counter-experiment: shape and texture are equally good cues, and the background is none.
CUED = Distribution(texture_agreement=1.0, background_agreement=1 / len(CLASSES))


@dataclass(frozen=True, eq=False)
class Scenes:
    """Many scenes: a tensor for each property, all of length n, on the CPU. See `Scene` for the meanings.

    Attributes:
        label: (n,) int64, place in CLASSES.
        texture: (n,) int64, place in TEXTURES.
        background: (n,) int64, place in BACKGROUNDS.
        dx: (n,) float64, as dy, scale, angle, tilt, gap, wobble, shade, clutter and noise.
        key: (n,) int64; colours, details, light, sticks and noise are its hashes.
    """

    label: Tensor
    texture: Tensor
    background: Tensor
    dx: Tensor
    dy: Tensor
    scale: Tensor
    angle: Tensor
    tilt: Tensor
    gap: Tensor
    wobble: Tensor
    shade: Tensor
    clutter: Tensor
    noise: Tensor
    key: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Scenes:
        return Scenes(*(change(getattr(self, field.name)) for field in fields(self)))

    def __getitem__(self, which: Any) -> Scenes:
        return self._each(lambda values: values[which])

    def changed(self, **properties: Any) -> Scenes:
        """The same scenes with some properties replaced: a tensor (n,), or one value for all."""
        given = {
            name: torch.as_tensor(value).to(getattr(self, name).dtype).expand(len(self))
            for name, value in properties.items()
        }
        return replace(self, **given)

    def moved(self, dx: float | Tensor = 0.0, dy: float | Tensor = 0.0, zoom: float | Tensor = 1.0) -> Scenes:
        """The same scenes, the object shifted further (shares of the frame) and scaled."""
        return self.changed(dx=self.dx + dx, dy=self.dy + dy, scale=self.scale * zoom)

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Scenes:
        """Put single scenes together."""
        columns: dict[str, Tensor] = {
            "label": torch.tensor([CLASSES.index(scene.label) for scene in scenes]),
            "texture": torch.tensor([TEXTURES.index(scene.texture) for scene in scenes]),
            "background": torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]),
            "key": keys_of(0, torch.tensor([scene.seed for scene in scenes])),
        }
        for field in fields(cls):
            if field.name not in columns:
                values = [getattr(scene, field.name) for scene in scenes]
                columns[field.name] = torch.tensor(values, dtype=torch.float64)
        return cls(**columns)


def draw(seed: int, indices: Tensor, distribution: Distribution = CENTRED) -> Scenes:
    """Draw scenes of a seed's stream: (n,) indices to n scenes; scene i depends on (seed, i) alone."""
    keys = keys_of(seed, indices)
    u = iter(hashed(keys, 12).unbind(1))
    count = len(CLASSES)

    def cue(label: Tensor, agreement: float) -> Tensor:
        agrees, other = next(u), next(u)
        return torch.where(agrees < agreement, label, (label + 1 + (other * (count - 1)).long()) % count)

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * next(u)

    def every(value: float) -> Tensor:
        return torch.full(keys.shape, value, dtype=torch.float64)

    label = (next(u) * count).long()
    small, large = distribution.scales
    return Scenes(
        label=label,
        texture=cue(label, distribution.texture_agreement),
        background=cue(label, distribution.background_agreement),
        dx=between(-distribution.shift, distribution.shift),
        dy=between(-distribution.shift, distribution.shift),
        scale=torch.exp(between(math.log(small), math.log(large))),
        angle=between(-distribution.angle, distribution.angle),
        tilt=between(-distribution.tilt, distribution.tilt),
        gap=between(*distribution.gaps),
        **{name: every(getattr(distribution, name)) for name in ("wobble", "shade", "clutter", "noise")},
        key=mix(keys + 1),
    )
