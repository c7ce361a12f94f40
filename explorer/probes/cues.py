"""Scenes whose cues were changed: texture and background that go with another class, or with none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from explorer.messages import Message
from explorer.scenes import BACKGROUNDS, CLASSES, TEXTURES, Scene

#: Which class the background goes with where shape and texture contradict each other.
BEHIND = ("neither", Message("the shape's class"), Message("the texture's class"))


def others(labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """For each of many scenes another class, and a third one; within a class both change from scene to scene.

    Args:
        labels: places in CLASSES.
    """
    count, seen = len(CLASSES), Counter[int]()
    second, third = [], []
    for label in labels:
        number = seen[label]
        seen[label] += 1
        second.append((label + 1 + number % (count - 1)) % count)
        rest = [one for one in range(count) if one not in (label, second[-1])]
        third.append(rest[(number + label) % len(rest)])
    return second, third


def conflicts(scenes: Sequence[Scene], behind: str = "neither") -> tuple[list[Scene], list[str]]:
    """Scenes with the texture of another class, and the class of each texture.

    Args:
        scenes: as drawn.
        behind: one of BEHIND, whose class the background goes with; "neither": a third class's.
    """
    labels = [CLASSES.index(scene.label) for scene in scenes]
    second, third = others(labels)
    backgrounds = {"neither": third, "the shape's class": labels, "the texture's class": second}[behind]
    changed = [
        replace(scene, texture=TEXTURES[texture], background=BACKGROUNDS[background])
        for scene, texture, background in zip(scenes, second, backgrounds)
    ]
    return changed, [CLASSES[one] for one in second]


def uninformative(scenes: Sequence[Scene], seed: int) -> list[Scene]:
    """The same scenes with texture and background that tell nothing.

    Within a class the textures go round all twelve, so that one in twelve is the class's own; backgrounds are drawn.
    """
    count, seen = len(CLASSES), Counter[str]()
    behind = torch.randint(count, (len(scenes),), generator=torch.Generator().manual_seed(seed)).tolist()
    out = []
    for scene, background in zip(scenes, behind):
        place = (2 * CLASSES.index(scene.label) + seen[scene.label]) % count
        seen[scene.label] += 1
        out.append(replace(scene, texture=TEXTURES[place], background=BACKGROUNDS[background]))
    return out
