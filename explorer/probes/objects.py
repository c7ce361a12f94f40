"""Objects and what lies around them: views without either, and the answer of the centre alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from explorer.errors import MethodError
from explorer.messages import Message
from explorer.models.heads import Head
from explorer.probes.rows import Row, mean, rate, share
from explorer.probes.stimuli import Shown, render_many
from explorer.scenes import BACKGROUNDS, CLASSES, Scene
from explorer.statistics import CHANGE, POSITIVE, SHARE


@dataclass(frozen=True, eq=False)
class Objects:
    """The stimuli whose object is known, as one model sees them.

    Attributes:
        shown: all stimuli.
        places: which of them have a mask.
        images: (n, 3, H, W) in 0..1.
        masks: (n, H, W) bool, True on the object.
    """

    shown: Shown
    places: tuple[int, ...]
    images: Tensor
    masks: Tensor

    @classmethod
    def of(cls, shown: Shown) -> Objects:
        """Those of all stimuli; raises MethodError where none has a mask that covers a part of the input."""
        masks = {place: mask for place, mask in enumerate(shown.masks) if mask is not None and mask.any()}
        masks = {place: mask for place, mask in masks.items() if not mask.all()}
        if not masks:
            raise MethodError(
                Message(
                    "no stimulus has a mask of its object: put dog_mask.png, white on the object, beside dog.jpg and "
                    "give that file or its folder; or give a number of scenes, whose masks are exact"
                )
            )
        places = tuple(masks)
        return cls(shown, places, shown.images[list(places)], torch.stack(list(masks.values())))

    def swaps(self, count: int, seed: int) -> list[tuple[int, Any]]:
        """Objects and the backgrounds they are given, at most ``count`` each: (number of the object, background).

        A background is a name of BACKGROUNDS, neither the scene's own nor its class's, or the place of another stimulus
        without the object's label. The same for every model.
        """
        generator = torch.Generator().manual_seed(seed)
        out: list[tuple[int, Any]] = []
        for number, place in enumerate(self.places):
            item = self.shown.stimuli.items[place]
            choices: list[Any]
            if isinstance(item.source, Scene):
                own = {item.source.background, BACKGROUNDS[CLASSES.index(item.source.label)]}
                choices = [name for name in BACKGROUNDS if name not in own]
            else:
                choices = [
                    other
                    for other, one in enumerate(self.shown.stimuli.items)
                    if other != place and not (item.label and one.label == item.label)
                ]
            order = torch.randperm(len(choices), generator=generator).tolist()
            out += [(number, choices[one]) for one in order[:count]]
        return out

    def swapped(self, pairs: Sequence[tuple[int, Any]]) -> Any:
        """(start, stop) to those of the pairs: (stop - start, 3, H, W), as `Passes.each` makes its pictures."""
        shown = self.shown

        def make(start: int, stop: int) -> Tensor:
            some = pairs[start:stop]
            if shown.rendered:
                scenes = [replace(shown.scenes[self.places[number]], background=name) for number, name in some]
                return render_many(scenes, shown.model.input_size[0])[0].to(shown.model.device)
            numbers = [number for number, _ in some]
            behind = shown.images[[place for _, place in some]]
            return torch.where(self.masks[numbers][:, None], self.images[numbers], behind)

        return make


def view_rows(
    view: str,
    clean: Tensor,
    after: Tensor,
    numbers: Tensor | None = None,
    head: Head = Head(),  # noqa: B008 - frozen
) -> list[Row]:
    """Agreement, p, p kept and the change of p in one view.

    Args:
        view: what was changed.
        clean: (n, classes) p of the images as they are.
        after: (m, classes) p of the changed images.
        numbers: (m,) which of the n images each is, where an image is changed in several ways: these are averaged
            first, so that the intervals are over images. None: image by image.
        head: how answers are read off p.
    """
    original = head.leading(clean)
    which = torch.arange(len(original)) if numbers is None else numbers
    p_each = head.p_of(after, original[which])
    same_each = head.same(after, clean[which]).double()
    images = which.unique().tolist()
    p = torch.stack([p_each[which == image].mean() for image in images])
    same = torch.stack([same_each[which == image].mean() for image in images])
    before = head.p_of(clean, original)[images]
    agreement = rate("agreement", int(same.sum()), len(same), view=view)
    if numbers is not None:
        agreement = share("agreement", same, view=view)
    return [
        agreement,
        mean(Message("p(original class)"), p, head.p_unit, SHARE, view=view),
        mean(
            "p kept",
            torch.stack([before, p], 1),
            Message("of p before"),
            POSITIVE,
            lambda both: both[1] / both[0],
            view=view,
        ),
        mean(Message("change of p"), p - before, head.p_unit, CHANGE, view=view),
    ]


# ---- the centre instead of the average ------------------------------------------------------------------------------
