"""Move the object of a scene as a `Transform` moves a picture: rendered anew, so nothing is sampled or filled in."""

from __future__ import annotations

import dataclasses
from typing import Any

from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.messages import Message, listed
from explorer.registry import parameters
from explorer.scenes import Scene
from explorer.transforms import Transform

_ANEW = Message("a scene is rendered anew: its object moves, its background stays")


def about_object(scene: Scene, transform: Transform, frame: tuple[int, int]) -> Transform:
    """The move as what it does to places on the object: zoom and turn are about the object's centre.

    Args:
        scene: before the move.
        transform: a shift, a zoom, a turn.
        frame: (height, width) of the frame that the transform's pixels belong to.

    Raises ParameterError for a mirror, a border or a centre, which a scene has no use for.
    """
    if transform.flip:
        raise ParameterError(Message("{reason}, and cannot be mirrored; leave flip out", reason=_ANEW))
    if transform.border != "zero":
        raise ParameterError(
            Message(
                "{reason}, so no border is filled in; leave border '{border}' out",
                reason=_ANEW,
                border=transform.border,
            )
        )
    if transform.centre is not None:
        raise ParameterError(
            Message("{reason}, always about the object's own centre; leave the centre out", reason=_ANEW)
        )
    height, width = frame
    return dataclasses.replace(transform, centre=Point((0.5 + scene.dx) * width, (0.5 + scene.dy) * height))


def moved(scene: Scene, transform: Transform, frame: tuple[int, int]) -> Scene:
    """The scene with its object shifted, scaled and turned; raises ParameterError where that leaves a scene's ranges.

    Args:
        scene: before the move.
        transform: in pixels of ``frame``; its angle is anticlockwise, as everywhere, a scene's own is clockwise.
        frame: (height, width), px.
    """
    about_object(scene, transform, frame)
    changed: dict[str, Any] = {
        "dx": scene.dx + transform.dx / frame[1],
        "dy": scene.dy + transform.dy / frame[0],
        "scale": scene.scale * transform.zoom,
    }
    for name, one in parameters(Scene).items():
        if name in changed and not one.allows(changed[name]):
            raise ParameterError(
                Message(
                    "after this move the scene's {name} ({meaning}) would be {value}; it lies from {low} to {high}",
                    name=name,
                    meaning=one.text,
                    value=f"{changed[name]:.3g}",
                    low=f"{one.low:g}",
                    high=f"{one.high:g}",
                )
            )
    if transform.angle % 360:
        # The axis of an arrangement turns with its parts.
        changed |= {name: _within(getattr(scene, name) - transform.angle) for name in ("angle", "tilt")}
    return dataclasses.replace(scene, **changed)


def in_words(transform: Transform) -> str:
    """The move in words, for titles and exports."""
    if transform.is_identity:
        return transform.words
    return Message("{moves}; rendered anew", moves=listed(transform.moves))


def _within(degrees: float) -> float:
    """The same turn between -180 and 180 degrees."""
    return (degrees + 180) % 360 - 180
