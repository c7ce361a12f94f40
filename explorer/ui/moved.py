"""What is shown to the models, and how it is moved."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from PIL.Image import Image

from explorer.scenes import Scene, cues, motion, render
from explorer.transforms import Transform

_RENDERED = "The object is rendered anew at every step and the background stays: nothing is filled in."
_CUT = "The frame cuts off a part of the object."
_GONE = "The object has left the frame."


@dataclass(frozen=True, eq=False)
class Moved:
    """A picture or a scene, moved.

    Attributes:
        source: a picture, or a scene.
        key: tells it from every other.
        notes: what has to be said about it, a sentence each.
        transform: the move, in pixels of ``frame``.
        frame: (height, width) of the first model's input, px.
        name: of the picture's file, "" for a scene.
    """

    source: Image | Scene
    key: str
    notes: tuple[str, ...]
    transform: Transform
    frame: tuple[int, int]
    name: str = ""

    @classmethod
    def scene(cls, scene: Scene, transform: Transform, frame: tuple[int, int]) -> Moved:
        """A scene, moved; raises ParameterError for a move that it cannot make."""
        seen = motion.moved(scene, transform, frame)
        return cls(scene, repr(scene), (_RENDERED, *_lost(seen, frame)), transform, frame)

    @property
    def truth(self) -> str:
        """The class of a scene, "" for a picture."""
        return self.source.label if isinstance(self.source, Scene) else ""

    @property
    def cues(self) -> dict[str, str]:
        """The classes that a scene's texture and background stand for in training; empty for a picture."""
        return cues(self.source) if isinstance(self.source, Scene) else {}

    @property
    def words(self) -> str:
        """The move in words."""
        return motion.in_words(self.transform) if isinstance(self.source, Scene) else str(self.transform)

    def asked(self) -> dict[str, Any]:
        """The move and the scene as the browser asked for them, so that it can tell an answer that is overtaken."""
        move = {
            field.name: getattr(self.transform, field.name) for field in fields(Transform) if field.name != "centre"
        }
        return {**move, "scene": asdict(self.source) if isinstance(self.source, Scene) else None}

    def on(self, size: tuple[int, int]) -> Transform:
        """The move in pixels of a frame of another size, (height, width)."""
        return self.transform.scaled(size[1] / self.frame[1], size[0] / self.frame[0])

    def places(self, size: tuple[int, int]) -> Transform:
        """What becomes of places, in pixels of a frame of this size: of those on the object, where it is a scene."""
        move = self.on(size)
        return motion.about_object(self.source, move, size) if isinstance(self.source, Scene) else move


@lru_cache(maxsize=256)
def _lost(scene: Scene, frame: tuple[int, int]) -> tuple[str, ...]:
    """What has to be said of a scene whose object is not wholly inside the frame, by its mask."""
    mask = render(scene, frame[0]).masks[0] > 0
    if not mask.any():
        return (_GONE,)
    # An object that ends at the frame's edge is cut there: none of the shapes has such an edge of its own.
    edges = torch.cat([mask[..., 0, :], mask[..., -1, :], mask[..., :, 0], mask[..., :, -1]], -1)
    return (_CUT,) if edges.any() else ()
