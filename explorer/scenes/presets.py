"""Scenes that show one thing each, for a first look: what the page offers, and what a finding is shown with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from explorer.scenes.scene import Scene

#: Name -> (scene, what it shows). The first is shown on opening.
PRESETS: Mapping[str, tuple[Scene, str]] = MappingProxyType(
    {
        "star": (Scene("star", "checks", "red gradient", seed=1), "A star; texture and background agree with it"),
        "crescent": (
            Scene("crescent", "zigzag", "green noise", seed=5),
            "A crescent; texture and background agree with it",
        ),
        "arrangement": (
            Scene("triangle above circle", "rays", "blue noise", seed=3),
            "A triangle above a circle: the class is the arrangement of two parts",
        ),
        "conflict": (
            Scene("heart", "stripes", "green gradient", seed=4),
            "Shape against texture: a heart with the stripes of squares",
        ),
        "swapped": (
            Scene("drop", "speckle", "red weave", seed=1),
            "A swapped background: a drop before the background of rings",
        ),
    }
)
