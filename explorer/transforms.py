"""Move what is in a picture (shift, rescale, turn, mirror), and bring a map of the moved picture back.

Conventions, with the frame and `Point` of explorer.geometry: a place p of the picture goes to

    M(c + zoom * R(angle) (p - c)) + (dx, dy)

that is: rescale and turn about the centre c, then mirror the frame left to right, then shift. So a centre is a place
of the picture as it was, and a shift is in pixels of the picture as it will be seen. Positive dx moves to the right,
positive dy down, a positive angle turns anticlockwise, zoom above 1 enlarges.

Moves that take pixel centres to pixel centres (whole shifts, mirrors, quarter turns) are pure indexing and exact.
Every other one samples bilinearly, on as many points per output pixel as it shrinks by, and averages them, so that
fine texture turns into its mean and not into a false pattern.
"""

# ruff: noqa: RUF009 (the calls in the dataclass make its fields)
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from explorer.errors import ParameterError
from explorer.geometry import Point, PulledBack
from explorer.messages import Message, listed
from explorer.registry import parameter, parameters
from explorer.resampling import EXACT, Array, extend, grid_of, invert, resample, samples_of

Border = Literal["zero", "mean", "reflect", "wrap"]
BORDERS: Final[tuple[Border, ...]] = get_args(Border)


@dataclass(frozen=True)
class Transform:
    """How is the picture moved?

    Attributes:
        dx: shift to the right, px of the frame it is applied to.
        dy: shift down, px.
        zoom: rescaling; 2 shows everything twice as large.
        angle: turn, degrees, anticlockwise.
        flip: mirror left to right.
        centre: the place about which it is rescaled and turned, px; None for the centre of the frame.
        border: what fills the places that the picture does not cover: "zero" (black), "mean" (the picture's mean
            colour), "reflect" (mirrored at the frame's edge, the edge pixel repeated: numpy's "symmetric"), "wrap"
            (the picture repeated).

    Raises ParameterError for a value out of range.
    """

    dx: float = parameter(0.0, "shift to the right", -10_000, 10_000, "px")
    dy: float = parameter(0.0, "shift down", -10_000, 10_000, "px")
    zoom: float = parameter(1.0, "rescale; 2 shows everything twice as large", 0.25, 4)
    angle: float = parameter(0.0, "turn anticlockwise", -360, 360, "degrees")
    flip: bool = parameter(False, "mirror left to right")
    centre: Point | None = parameter(None, "place about which to rescale and turn; the middle if not given", unit="px")
    border: Border = parameter("zero", "what fills in beside the picture")

    def __post_init__(self) -> None:
        for name, one in parameters(Transform).items():
            value = getattr(self, name)
            # Of any kind of number, numpy's too.
            real = one.kind is float and isinstance(value, Real) and not isinstance(value, bool)
            if one.allows(float(value) if real else value):
                object.__setattr__(self, name, float(value) if real else value)
                continue
            if one.choices:
                raise ParameterError(
                    Message(
                        "{name} is one of {choices}, got {value}",
                        name=name,
                        choices=", ".join(one.choices),
                        value=f"{value!r}",
                    )
                )
            if one.kind is bool:
                raise ParameterError(f"{name} is True or False, got {value!r}")
            unit = " " * bool(one.unit) + one.unit
            raise ParameterError(
                Message(
                    "{name} is a number from {low} to {high}{unit}, got {value}",
                    name=name,
                    low=f"{one.low:g}",
                    high=f"{one.high:g}",
                    unit=unit,
                    value=f"{value!r}",
                )
            )
        if self.centre is not None:
            try:
                centre = Point(*map(float, self.centre))
            except (TypeError, ValueError):
                raise ParameterError(f"centre is a place (x, y) in pixels, got {self.centre!r}") from None
            if not all(map(math.isfinite, centre)):
                raise ParameterError(f"centre is a place (x, y) in pixels, got {self.centre!r}")
            object.__setattr__(self, "centre", centre)

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return not (self.dx or self.dy or self.flip or self.angle % 360) and self.zoom == 1

    def __str__(self) -> str:
        return str(self.words)

    @property
    def words(self) -> str:
        """The move in words, for titles and exports."""
        if self.is_identity:
            return Message("not moved")
        return Message("{moves}; border {border}", moves=listed(self.moves), border=Message(self.border))

    @property
    def moves(self) -> list[str]:
        """Each part of the move in words, in the order in which they are made."""
        parts: list[str] = []
        if self.zoom != 1:
            parts.append(Message("zoom {zoom}", zoom=f"{self.zoom:g}"))
        if self.angle % 360:
            parts.append(Message("turned {angle}° anticlockwise", angle=f"{self.angle:g}"))
        if parts and self.centre is not None:
            x, y = (f"{one:g}" for one in self.centre)
            parts[-1] = Message("{move} about ({x}, {y})", move=parts[-1], x=x, y=y)
        if self.flip:
            parts.append(Message("mirrored"))
        if self.dx:
            n = f"{abs(self.dx):g}"
            parts.append(Message("{n} px right", n=n) if self.dx > 0 else Message("{n} px left", n=n))
        if self.dy:
            n = f"{abs(self.dy):g}"
            parts.append(Message("{n} px down", n=n) if self.dy > 0 else Message("{n} px up", n=n))
        return parts

    def scaled(self, x: float, y: float | None = None) -> Transform:
        """The same move on a frame ``x`` times as wide and ``y`` (or ``x``) times as high.

        A shift and the centre stay the same share of the frame. A turn by other than half turns has no exact
        counterpart on a frame of other proportions: the angle is kept.
        """
        y = x if y is None else y
        centre = None if self.centre is None else Point(self.centre.x * x, self.centre.y * y)
        return dataclasses.replace(self, dx=self.dx * x, dy=self.dy * y, centre=centre)

    def point(self, point: Point, frame: tuple[int, int]) -> Point:
        """Where a place of the picture goes, in px; it may lie outside the ``frame`` (height, width).

        With border "wrap" a shift goes round and comes in on the other side.
        """
        if self.is_identity:
            return Point(*point)
        linear, offset = self._affine(frame)
        x, y = linear @ np.array(point, dtype=np.float64) + offset
        if self._is_cyclic(linear, frame):
            x, y = x % frame[1], y % frame[0]
        return Point(float(x), float(y))

    def apply(self, images: Tensor) -> Tensor:
        """Move every image of a batch.

        Args:
            images: (B, C, H, W) floating point, on any device; colours in 0..1 (0 is what border "zero" shows).

        Returns (B, C, H, W) of the same type on the same device; the very same tensor for the identity.
        """
        _check(images)
        if self.is_identity:
            return images
        frame = (images.shape[-2], images.shape[-1])
        inverse, offset = invert(*self._affine(frame))
        return resample(images, inverse, offset, self.border)

    def valid(self, height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
        """Which pixels of the moved picture show the picture and nothing of the border: (height, width) bool.

        A pixel counts when everything it is averaged from lies in the picture. A cyclic move (a shift with border
        "wrap") shows the picture everywhere.
        """
        frame = (height, width)
        if self.is_identity:
            return torch.ones(frame, dtype=torch.bool, device=device)
        linear, offset = self._affine(frame)
        if self._is_cyclic(linear, frame):
            return torch.ones(frame, dtype=torch.bool, device=device)
        inverse, offset = invert(linear, offset)
        x, y = grid_of(inverse, offset, frame)
        samples = samples_of(inverse)
        reach = np.abs(inverse).sum(1) * (samples - 1) / (2 * samples)  # from the middle to the outermost sample
        left, top = 0.5 + reach - EXACT  # half a pixel: a sample beyond the outermost centre mixes in the border
        inside = (x >= left) & (x <= width - left) & (y >= top) & (y <= height - top)
        return torch.from_numpy(inside).to(device)

    def pull_back(self, maps: Tensor, frame: tuple[int, int]) -> PulledBack:
        """Bring maps of the moved picture back to where things were before it was moved.

        Args:
            maps: (..., h, w); any resolution, its cells lying evenly over the frame.
            frame: (height, width) of the picture that was moved, px.

        Returns values (..., h, w), zero where invalid, and valid (h, w): a cell is valid when its centre is still in
        the moved picture. Exact where the move is a whole number of cells. Values are read, not redistributed: a map
        that summed to 1 need not do so afterwards.
        """
        if maps.ndim < 2 or not maps.is_floating_point():
            raise ParameterError(f"maps are floating point (..., h, w), got {maps.dtype} {tuple(maps.shape)}")
        height, width = maps.shape[-2:]
        if self.is_identity:
            return PulledBack(maps, torch.ones(height, width, dtype=torch.bool, device=maps.device))
        linear, offset = self._affine(frame)
        cyclic = self._is_cyclic(linear, frame)
        cells = np.array([width / frame[1], height / frame[0]])
        linear, offset = linear * cells[:, None] / cells[None, :], offset * cells
        values = resample(maps.reshape(1, -1, height, width), linear, offset, "wrap" if cyclic else "clamp")
        if cyclic:
            valid = torch.ones(height, width, dtype=torch.bool, device=maps.device)
        else:
            x, y = grid_of(linear, offset, (height, width))
            inside = (x > -EXACT) & (x < width + EXACT) & (y > -EXACT) & (y < height + EXACT)
            valid = torch.from_numpy(inside).to(maps.device)
        return PulledBack(torch.where(valid, values.reshape(maps.shape), 0), valid)

    def _affine(self, frame: tuple[int, int]) -> tuple[Array, Array]:
        """(2, 2) and (2,): a place p goes to ``linear @ p + offset``; order (x, y), px."""
        height, width = frame
        quarter, rest = divmod(self.angle % 360, 90)
        if rest == 0:  # sines of quarter turns are not quite 0 in floating point
            cos, sin = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarter)]
        else:
            cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        linear = self.zoom * np.array([[cos, sin], [-sin, cos]], dtype=np.float64)  # y points down
        centre = np.array(self.centre or (width / 2, height / 2))
        offset = centre - linear @ centre
        if self.flip:
            linear[0] = -linear[0]
            offset[0] = width - offset[0]
        return linear, offset + np.array([self.dx, self.dy])

    def _is_cyclic(self, linear: Array, frame: tuple[int, int]) -> bool:
        """Whether the move takes the picture repeated without end onto itself: only then is nothing lost."""
        if self.border != "wrap":
            return False
        straight = np.array_equal(np.abs(linear), np.eye(2))
        return straight or (frame[0] == frame[1] and np.array_equal(np.abs(linear), np.eye(2)[::-1]))


def apply_many(transforms: Sequence[Transform], image: Tensor) -> Tensor:
    """Move one image in many ways.

    Args:
        transforms: N of them.
        image: (C, H, W) or (1, C, H, W), as in `Transform.apply`.

    Returns (N, C, H, W), equal to applying them one by one. Whole-pixel shifts, as a translation map needs by the
    hundred, are windows on one larger picture and cost no more than copying them.
    """
    if image.ndim == 3:
        image = image[None]
    _check(image)
    if image.shape[0] != 1:
        raise ParameterError(f"one image (C, H, W) is expected, got {tuple(image.shape)}")
    if not transforms:
        return image[:0]
    frame = (image.shape[-2], image.shape[-1])
    borders = {move.border for move in transforms}
    if len(borders) == 1 and all(_is_window(move, frame) for move in transforms):
        return _windows(transforms, image[0], borders.pop())
    out = image.new_empty(len(transforms), *image.shape[1:])
    groups: dict[Border, list[int]] = {}
    for index, move in enumerate(transforms):
        if _is_window(move, frame):
            groups.setdefault(move.border, []).append(index)
        else:
            out[index] = move.apply(image)[0]
    for border, group in groups.items():
        out[torch.tensor(group, device=out.device)] = _windows([transforms[k] for k in group], image[0], border)
    return out


def shuffle_patches(images: Tensor, orders: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cut images into equal patches and let them change places.

    Args:
        images: (B, C, H, W).
        orders: (B, rows * columns) long: place k, in raster order, shows patch ``orders[:, k]``.
        grid: (rows, columns), which divide H and W.
    """
    (batch, channels, height, width), (rows, columns) = images.shape, grid
    patches = images.view(batch, channels, rows, height // rows, columns, width // columns)
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    patches = patches.gather(1, orders.to(images.device)[:, :, None, None, None].expand_as(patches))
    patches = patches.unflatten(1, (rows, columns)).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(batch, channels, height, width)


def random_orders(count: int, patches: int, seed: int) -> Tensor:
    """``count`` random orders (count, patches), all but the original one alike likely."""
    chance = torch.Generator().manual_seed(seed)
    orders = torch.empty(count, patches, dtype=torch.long)
    for index in range(count):
        while True:
            orders[index] = torch.randperm(patches, generator=chance)
            if not torch.equal(orders[index], torch.arange(patches)):
                break
    return orders


def _is_window(move: Transform, frame: tuple[int, int]) -> bool:
    plain = move.zoom == 1 and move.angle == 0 and not move.flip and move.dx.is_integer() and move.dy.is_integer()
    return plain and abs(move.dy) <= frame[0] and abs(move.dx) <= frame[1]  # else the larger picture grows too large


def _windows(moves: Sequence[Transform], image: Tensor, border: Border) -> Tensor:
    """Whole-pixel shifts of (C, H, W): (N, C, H, W), cut out of the picture continued by its border."""
    height, width = image.shape[-2:]
    left, top = (int(max(getattr(move, name) for move in moves)) for name in ("dx", "dy"))
    right, bottom = (int(min(getattr(move, name) for move in moves)) for name in ("dx", "dy"))
    canvas = extend(image, range(-top, height - bottom), range(-left, width - right), border)
    # All windows in one operation: a copy for each costs a hundred times its own time in waking up threads.
    windows = canvas.unfold(1, height, 1).unfold(2, width, 1).permute(1, 2, 0, 3, 4)
    rows = torch.tensor([top - int(move.dy) for move in moves], device=image.device)
    columns = torch.tensor([left - int(move.dx) for move in moves], device=image.device)
    return windows[rows, columns]


def _check(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        raise ParameterError(f"images are floating point (batch, channels, height, width), got {_describe(images)}")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
