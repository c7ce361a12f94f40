"""Procedural pictures with exact masks, rendered from signed distance functions on any device.

A scene is one object (or two parts whose arrangement is the class) with a texture before a background. Moving or
scaling a scene renders it anew, so a shift has no interpolation and no border. Every random number is a hash of
(seed, index), never of a generator's state: scene 1234 is the same alone, in a batch, on a CPU and on a GPU.

Coordinates are shares of the frame, x to the right and y down, the centre at (0.5, 0.5); lengths too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from explorer.errors import ParameterError, UnknownNameError
from explorer.registry import parameter

#: Raised whenever the same (seed, index) would give another picture.
DATA_VERSION = 1

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
#: Radius of an object of scale 1: its circumscribed circle, roughly, or half the extent of an arrangement.
RADIUS = 0.27
#: Radius of one part of an arrangement, and the distance of the parts' centres at gap 1; shares of RADIUS.
PART, SPREAD = 0.56, 1.2


_TURN = 2 * math.pi


def cues(scene: Scene) -> dict[str, str]:
    """Which classes do a scene's texture and background go with more often than not in training?"""
    return {
        "texture": CLASSES[TEXTURES.index(scene.texture)],
        "background": CLASSES[BACKGROUNDS.index(scene.background)],
    }


# ---- random numbers that depend on (seed, index) alone --------------------------------------------------------------


def _mix(x: Tensor) -> Tensor:
    """Scramble int64 numbers (the finaliser of splitmix64, Steele et al. 2014; products wrap)."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def hashed(keys: Tensor, count: int) -> Tensor:
    """Uniform numbers in [0, 1): (n,) int64 keys to (n, count) float64, both on the CPU."""
    counter = torch.arange(1, count + 1, dtype=torch.int64) * -7046029254386353131
    return ((_mix(keys[:, None] + counter) >> 11) & 0x1FFFFFFFFFFFFF).double() * 2.0**-53


def keys_of(seed: int, indices: Tensor) -> Tensor:
    """One int64 key for each scene: (n,) indices of a seed's stream."""
    start = _mix(torch.tensor([seed], dtype=torch.int64) + 0x5EED)
    return _mix(start + indices.long() * -7046029254386353131)


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
        noise: amplitude of the pixel noise, share of full contrast.
        seed: what chance decides: colours, details of the background, noise.
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
    noise: float = parameter(0.04, "amplitude of the pixel noise", 0.0, 1.0, "of full contrast")
    seed: int = parameter(0, "decides colours, background details and noise", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for field in fields(self):
            value, choices = getattr(self, field.name), field.metadata["choices"]
            if choices:
                if value not in choices:
                    raise UnknownNameError(field.name, str(value), choices)
                continue
            low, high = field.metadata["low"], field.metadata["high"]
            whole = field.name == "seed"
            number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise ParameterError(f"{field.name} is {value!r}; it is {kind} from {low:g} to {high:g}")


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
        noise: amplitude of the pixel noise.
    """

    texture_agreement: float = 0.6
    background_agreement: float = 0.5
    shift: float = 0.03
    scales: tuple[float, float] = (0.9, 1.1)
    angle: float = 15.0
    tilt: float = 10.0
    gaps: tuple[float, float] = (0.95, 1.1)
    noise: float = 0.04


#: What the laboratory's models are trained on: the object near the centre, one size.
CENTRED = Distribution()
#: The counter-experiment: the object anywhere, at sizes from half to one and a half.
AUGMENTED = Distribution(shift=0.21, scales=(0.5, 1.5))


@dataclass(frozen=True, eq=False)
class Scenes:
    """Many scenes: a tensor for each property, all of length n, on the CPU. See `Scene` for the meanings.

    Attributes:
        label: (n,) int64, place in CLASSES.
        texture: (n,) int64, place in TEXTURES.
        background: (n,) int64, place in BACKGROUNDS.
        dx: (n,) float64, as dy, scale, angle, tilt, gap and noise.
        key: (n,) int64; colours, background details and noise are its hashes.
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
        noise=torch.full_like(keys, 1, dtype=torch.float64) * distribution.noise,
        key=_mix(keys + 1),
    )


# ---- signed distance functions --------------------------------------------------------------------------------------
# Each takes coordinates in radii of the object, y down, and gives the distance to its edge, negative inside: exact near
# the edge, where antialiasing looks, but for the tips and inner corners of shapes made of two, where it is a bound.


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    dx, dy = x.abs() - half_width, y.abs() - half_height
    return torch.hypot(dx.clamp(min=0), dy.clamp(min=0)) + torch.maximum(dx, dy).clamp(max=0)


def _polygon(x: Tensor, y: Tensor, corners: Sequence[tuple[float, float]]) -> Tensor:
    """Distance to a simple polygon: the nearest edge, and the sign by counting crossings."""
    nearest = torch.full_like(x, math.inf)
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0])):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        nearest = torch.minimum(nearest, (px - ex * along) ** 2 + (py - ey * along) ** 2)
        if ey != 0:
            inside ^= ((y >= min(ay, by)) & (y < max(ay, by))) & (px - ex * (py / ey) < 0)
    distance = nearest.sqrt()
    return torch.where(inside, -distance, distance)


def _around(count: int, radii: Sequence[float], start: float = -math.pi / 2) -> list[tuple[float, float]]:
    angles = [start + 2 * math.pi * i / count for i in range(count)]
    return [(radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles)]


def _heart(t: float) -> tuple[float, float]:
    height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
    return 0.96 * math.sin(t) ** 3, -0.06 * height


_HEART = [_heart(_TURN * i / 24) for i in range(24)]

_DISTANCE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": lambda x, y: torch.hypot(x, y) - 0.86,
    "ring": lambda x, y: (torch.hypot(x, y) - 0.68).abs() - 0.24,
    "square": lambda x, y: _box(x, y, 0.76, 0.76),
    "bar": lambda x, y: _box(x, y, 1.05, 0.36),
    "cross": lambda x, y: torch.minimum(_box(x, y, 0.98, 0.3), _box(x, y, 0.3, 0.98)),
    "triangle": lambda x, y: _polygon(x, y + 0.12, _around(3, (1.08,))),
    "star": lambda x, y: _polygon(x, y, _around(10, (1.1, 0.45))),
    "heart": lambda x, y: _polygon(x, y, _HEART),
    "crescent": lambda x, y: torch.maximum(torch.hypot(x, y) - 0.95, 0.72 - torch.hypot(x - 0.48, y)),
    # a disc and the two tangents from a point above it
    "drop": lambda x, y: torch.minimum(
        torch.hypot(x, y - 0.35) - 0.6, _polygon(x, y, [(0.0, -1.1), (0.546, 0.102), (-0.546, 0.102)])
    ),
}


# ---- textures and backgrounds ---------------------------------------------------------------------------------------


def _edge(values: Tensor, softness: float = 0.35) -> Tensor:
    """A soft step at 0, so that patterns do not alias."""
    return (values / softness + 0.5).clamp(0, 1)


_PERIOD = 0.42  # of a pattern, in radii of the object: 5.4 px at 48 px


def _wave(x: Tensor) -> Tensor:
    return torch.sin(x * (_TURN / _PERIOD))


def _cell(x: Tensor, period: float) -> Tensor:
    """Distance to the middle of the cell of a period, as a share of it, -0.5 to 0.5."""
    return x / period - torch.floor(x / period) - 0.5


def _bricks(x: Tensor, y: Tensor) -> Tensor:
    row = torch.floor(y / 0.36)
    across = _cell(x + 0.36 * (row % 2), 0.72)
    return torch.minimum((0.5 - _cell(y, 0.36).abs()) * 0.36, (0.5 - across.abs()) * 0.72) / 0.12 - 0.6


_PATTERN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "plain": lambda x, _y: torch.ones_like(x),
    "stripes": lambda _x, y: _wave(y),
    "pales": lambda x, _y: _wave(x),
    "checks": lambda x, y: 2 * _wave(x * 0.75) * _wave(y * 0.75),
    "dots": lambda x, y: 0.3 - torch.hypot(_cell(x, 0.44), _cell(y, 0.44)),
    "rings": lambda x, y: _wave(torch.hypot(x, y)),
    "zigzag": lambda x, y: _wave(y + 0.5 * (_cell(x, 0.7).abs())),
    "grid": lambda x, y: torch.maximum(_cell(x, 0.5).abs(), _cell(y, 0.5).abs()) * 2 - 0.62,
    "bricks": _bricks,
    "speckle": lambda x, y: (
        torch.sin(9.1 * x + 3.7 * y) + torch.sin(-5.3 * x + 8.9 * y + 1.3) + torch.sin(12.7 * x - 7.9 * y + 4.1)
    ),
    "rays": lambda x, y: torch.sin(9 * torch.atan2(y, x)),
    "waves": lambda x, y: _wave(0.75 * (x - y) + 0.13 * torch.sin(6 * (x + y))),
}


def _colours(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """HSV to RGB: three (n,) in 0 to 1 to (n, 3)."""
    k = (torch.tensor([5.0, 3.0, 1.0], device=hue.device, dtype=hue.dtype) + hue[:, None] * 6) % 6
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] * ramp)


def _backdrop(family: str, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """One family of backgrounds: (H, W) frame coordinates and (n, 40) random numbers to (n, H, W) in about -1 to 1."""

    def col(i: int) -> Tensor:
        return u[:, i, None, None]

    if family == "gradient":
        turn = col(0) * _TURN
        return 1.6 * ((x - 0.5) * torch.cos(turn) + (y - 0.5) * torch.sin(turn)) + 0 * col(0)
    if family == "noise":
        total = torch.zeros((), device=x.device, dtype=x.dtype)
        for i in range(5):
            turn, rate = col(3 * i) * _TURN, _TURN * (1.0 + 3.0 * col(3 * i + 1))
            total = total + torch.sin(rate * (x * torch.cos(turn) + y * torch.sin(turn)) + _TURN * col(3 * i + 2))
        return total / 2.4
    if family == "clutter":
        total = torch.zeros((), device=x.device, dtype=x.dtype)
        for i in range(9):
            r, tone = 0.03 + 0.07 * col(4 * i + 2), 1.6 * col(4 * i + 3) - 0.8
            off_x, off_y = x - col(4 * i), y - col(4 * i + 1)
            far = torch.hypot(off_x, off_y) if i % 2 else torch.maximum(off_x.abs(), off_y.abs())
            total = total + tone * ((r - far) * 60 + 0.5).clamp(0, 1)
        return total.clamp(-1, 1)
    turn, rate = col(0) * _TURN, _TURN * (7.0 + 3.0 * col(1))
    along, across = x * torch.cos(turn) + y * torch.sin(turn), -x * torch.sin(turn) + y * torch.cos(turn)
    return 0.8 * torch.sin(rate * along) * torch.sin(rate * across)


# ---- rendering ------------------------------------------------------------------------------------------------------


class Rendered(NamedTuple):
    """Pictures of scenes: images (n, 3, size, size) float32 in 0..1, masks (n, size, size) bool, labels (n,) int64."""

    images: Tensor
    masks: Tensor
    labels: Tensor


def render(scenes: Scenes | Sequence[Scene] | Scene, size: int = 48, device: torch.device | str = "cpu") -> Rendered:
    """Render scenes as pictures with exact masks.

    Args:
        scenes: what to render.
        size: height and width of the pictures, px.
        device: where the pictures are made.

    Returns:
        Pictures, masks (a pixel belongs to the object where its centre does), and labels.
    """
    if isinstance(scenes, Scene):
        scenes = [scenes]
    if not isinstance(scenes, Scenes):
        scenes = Scenes.of(scenes)
    if not 8 <= size <= 2048:
        raise ParameterError(f"size is {size}; pictures of 8 to 2048 px are rendered")
    where = torch.device(device)
    images = torch.empty(len(scenes), 3, size, size, device=where)
    masks = torch.empty(len(scenes), size, size, dtype=torch.bool, device=where)
    # On a CPU in pieces that stay in its cache, on a GPU in large ones; a picture is the same in any.
    chunk = max(1, (32 if where.type == "cpu" else 4096) * 64**2 // size**2)
    for start in range(0, len(scenes), chunk):
        piece = slice(start, start + chunk)
        images[piece], masks[piece] = _render(scenes[piece], size, where)
    return Rendered(images, masks, scenes.label.to(where))


def _render(scenes: Scenes, size: int, where: torch.device) -> tuple[Tensor, Tensor]:
    n = len(scenes)
    # What a scene is stays on the CPU, in float64, which not every device has; pixels are float32 and made where asked.
    u, background, texture = (
        some.to(where) for some in (hashed(scenes.key, 64).float(), scenes.background, scenes.texture)
    )
    axis = (torch.arange(size, device=where, dtype=torch.float32) + 0.5) / size
    x, y = axis[None, :].expand(size, size), axis[:, None].expand(size, size)

    tone = torch.empty(n, size, size, device=where)
    for number, family in enumerate(FAMILIES):
        rows = (background % len(FAMILIES) == number).nonzero()[:, 0]
        if len(rows):
            tone[rows] = _backdrop(family, x, y, u[rows, 24:])
    hue = (background // len(FAMILIES)).float() / len(HUES) + 0.1 * (u[:, 0] - 0.5)
    base = _colours(hue % 1, 0.45 + 0.25 * u[:, 1], 0.34 + 0.1 * u[:, 2])
    images = base[:, :, None, None] * (1 + 0.45 * tone[:, None])

    bright = _colours(u[:, 3], 0.2 + 0.5 * u[:, 4], 0.85 + 0.15 * u[:, 5])
    dark = _colours((u[:, 3] + 0.3 + 0.4 * u[:, 6]) % 1, 0.5 + 0.4 * u[:, 7], 0.42 + 0.16 * u[:, 8])
    masks = torch.zeros(n, size, size, dtype=torch.bool, device=where)
    for shapes, cx, cy, share in _parts(scenes):
        radius, turn, left, top = (
            some.float().to(where) for some in (RADIUS * share * scenes.scale, scenes.angle * (math.pi / 180), cx, cy)
        )
        for number in shapes.unique().tolist():
            if number < 0:
                continue
            rows = (shapes == number).nonzero()[:, 0].to(where)
            r, c, s = (v[rows, None, None] for v in (radius, torch.cos(turn), torch.sin(turn)))
            off_x, off_y = (x - left[rows, None, None]) / r, (y - top[rows, None, None]) / r
            local_x, local_y = c * off_x + s * off_y, c * off_y - s * off_x
            distance = _DISTANCE[SHAPES[number]](local_x, local_y)
            cover = (0.5 - distance * r * size).clamp(0, 1)[:, None]
            # The pattern keeps its period whatever share of the object a part is.
            grain = _weave(texture[rows], local_x, local_y, share)[:, None]
            front = bright[rows, :, None, None] * grain + dark[rows, :, None, None] * (1 - grain)
            images[rows] = images[rows] * (1 - cover) + front * cover
            masks[rows] |= distance < 0
    if bool((scenes.noise > 0).any()):
        pixel = torch.arange(size * size, device=where, dtype=torch.int64) * -7046029254386353131
        bits = _mix(_mix(scenes.key + 2).to(where)[:, None] + pixel).view(n, size, size)
        amplitude = 1.5 * scenes.noise.float().to(where)[:, None, None]
        for channel, shift in enumerate((0, 21, 42)):  # 21 bits for each colour out of one hash
            grain = ((bits >> shift) & 0x1FFFFF).float() * (2.0 / 0x1FFFFF) - 1
            images[:, channel] += amplitude * grain
    return images.clamp(0, 1), masks


def _parts(scenes: Scenes) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    """The one or two parts of each scene: (n,) shape or -1, (n,) centre x, (n,) centre y, share of the radius."""
    label, x, y = scenes.label, 0.5 + scenes.dx, 0.5 + scenes.dy
    single = torch.where(label < 8, label, -1)
    parts = [(single, x, y, 1.0)]
    tilt = scenes.tilt * (math.pi / 180)
    half = 0.5 * SPREAD * RADIUS * scenes.scale * scenes.gap
    table = [(SHAPES.index(a), direction, SHAPES.index(b)) for a, direction, b in ARRANGEMENTS.values()]
    which = (label - 8).clamp(min=0)
    direction = torch.tensor([row[1] for row in table], dtype=torch.float64)[which]
    off_x = half * (direction[:, 0] * torch.cos(tilt) - direction[:, 1] * torch.sin(tilt))
    off_y = half * (direction[:, 0] * torch.sin(tilt) + direction[:, 1] * torch.cos(tilt))
    for side, sign in ((0, 1.0), (2, -1.0)):
        shape = torch.tensor([row[side] for row in table])[which]
        parts.append((torch.where(label < 8, -1, shape), x + sign * off_x, y + sign * off_y, PART))
    return parts


def _weave(texture: Tensor, x: Tensor, y: Tensor, share: float) -> Tensor:
    """The pattern of each scene's texture: (n,) int64 and two (n, H, W) to (n, H, W) in 0 to 1."""
    out = torch.empty_like(x)
    for number in texture.unique().tolist():
        rows = (texture == number).nonzero()[:, 0]
        name = TEXTURES[number]
        softness = 0.12 if name == "dots" else 0.35 if name == "grid" else 0.8
        out[rows] = _edge(_PATTERN[name](x[rows] * share, y[rows] * share), softness)
    return out
