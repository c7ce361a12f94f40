"""A question with what is live: the picture that is shown, and the models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from PIL.Image import Image
from torch import Tensor

from explorer.messages import Message
from explorer.scenes import Scene, cues, motion, render
from explorer.transforms import Transform
from explorer.ui.guard import pathless
from explorer.view import View

if TYPE_CHECKING:
    from explorer.models.model import Model

_RENDERED = Message("The object is rendered anew at every step and the background stays: nothing is filled in.")
_CUT = Message("The frame cuts off a part of the object.")
_GONE = Message("The object has left the frame.")


@dataclass(frozen=True)
class Failure:
    """A model that could not answer, and why: it stands where its row would."""

    spec: str
    problem: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", pathless(self.problem))


@dataclass(frozen=True, eq=False)
class Request:
    """A checked question with what is live: the picture, and the models.

    Attributes:
        view: what is asked.
        source: the picture that is shown, or the scene.
        picture: tells what is shown from every other.
        notes: what has to be said about it, a sentence each.
        frame: (height, width) of the first model's input, px.
        name: of the picture's file, "" for a scene.
        models: the live ones, in the order asked for, or why one is not.
        gone: why the picture that was asked for cannot be shown any more, or "".
        lost: the name of that picture, or "".
    """

    view: View
    source: Image | Scene
    picture: str
    notes: tuple[str, ...]
    frame: tuple[int, int]
    name: str = ""
    models: tuple[Model | Failure, ...] = ()
    gone: str = ""
    lost: str = ""

    @classmethod
    def scene(cls, view: View, frame: tuple[int, int], models: tuple[Model | Failure, ...] = ()) -> Request:
        """Ask about a scene; raises ParameterError for a move that it cannot make."""
        scene = view.scene
        assert scene is not None
        seen = motion.moved(scene, view.transform, frame)
        return cls(view, scene, repr(scene), (_RENDERED, *_lost(seen, frame)), frame, models=models)

    def key(self, complete: bool) -> str:
        """Name the matrices that belong to the answer; where they hold rows too, these depend on the query."""
        view = self.view
        places = None if complete else (view.queries, view.pin)
        named = repr((self.picture, view.models, view.transform, places))
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def masks(self) -> tuple[Tensor, ...]:
        """Where a scene's object is before and after the move, (height, width) bool each; empty for a picture."""
        if not isinstance(self.source, Scene):
            return ()
        moved = motion.moved(self.source, self.view.transform, self.frame)
        return _mask(self.source, self.frame[0]), _mask(moved, self.frame[0])

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
        move = self.view.transform
        return motion.in_words(move) if isinstance(self.source, Scene) else move.words

    def on(self, size: tuple[int, int]) -> Transform:
        """The move in pixels of a frame of another size, (height, width)."""
        return self.view.transform.scaled(size[1] / self.frame[1], size[0] / self.frame[0])

    def places(self, size: tuple[int, int]) -> Transform:
        """What becomes of places, in pixels of a frame of this size: of those on the object, where it is a scene."""
        move = self.on(size)
        return motion.about_object(self.source, move, size) if isinstance(self.source, Scene) else move


@lru_cache(maxsize=256)
def _mask(scene: Scene, side: int) -> Tensor:
    """Where a scene's object is: (side, side) bool."""
    return render(scene, side).masks[0] > 0


@lru_cache(maxsize=256)
def _lost(scene: Scene, frame: tuple[int, int]) -> tuple[str, ...]:
    """What has to be said of a scene whose object is not wholly inside the frame, by its mask."""
    mask = _mask(scene, frame[0])
    if not mask.any():
        return (_GONE,)
    # An object that ends at the frame's edge is cut there: none of the shapes has such an edge of its own.
    edges = torch.cat([mask[..., 0, :], mask[..., -1, :], mask[..., :, 0], mask[..., :, -1]], -1)
    return (_CUT,) if edges.any() else ()
