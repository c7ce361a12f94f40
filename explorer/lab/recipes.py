"""How the laboratory's models are trained: one recipe a set-up, and where a block needs another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from explorer.errors import ParameterError
from explorer.lab.networks import LabModel, Training
from explorer.scenes import AUGMENTED, CENTRED, CROWDED, CUED, Distribution


@dataclass(frozen=True)
class Recipe:
    """How is a model of the laboratory trained?

    Attributes:
        images: how many pictures there are; every model of a set-up sees the same ones.
        epochs: how often each is seen.
        batch: pictures a step.
        rate: highest learning rate, of AdamW; it rises over the first tenth and falls along a cosine to zero.
        decay: weight decay of matrices and kernels.
        clip: largest norm of the gradient.
        distribution: which scenes.
    """

    images: int = 32_000
    epochs: int = 1
    batch: int = 32
    rate: float = 5e-3
    decay: float = 0.05
    clip: float = 1.0
    distribution: Distribution = field(default=CENTRED)

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= self.images or self.epochs < 1 or not self.rate > 0:
            raise ParameterError(
                f"{self.images} images, {self.epochs} epochs, batches of {self.batch}, rate {self.rate}: at least one "
                f"epoch, a batch no larger than the images, and a rate above 0 are needed"
            )

    @property
    def steps(self) -> int:
        """Steps of one training run."""
        return self.epochs * (self.images // self.batch)

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(1, self.steps // 10)
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


#: The recipe of each set-up, (backbone, training): fresh pictures, each seen once, as many as it takes to converge.
RECIPES: Mapping[tuple[str, Training], Recipe] = {
    ("metaformer", "centred"): Recipe(images=48_000),
    ("metaformer", "aug"): Recipe(images=96_000, distribution=AUGMENTED),
    ("metaformer", "cue"): Recipe(images=24_000, distribution=CUED),
    ("detect", "aug"): Recipe(images=128_000, distribution=CROWDED),
}
#: Where one recipe does not suit all: blocks that learn better at half the rate, on seeds that are none of the
#: experiment's, and blocks that need twice or four times the pictures to learn objects at any place and of any size.
RATES: Mapping[str, float] = dict.fromkeys(("mhsa", "axial", "channel", "nonlocal"), 2.5e-3)
IMAGES: Mapping[tuple[str, Training], int] = {
    ("axial", "aug"): 192_000,
    ("conv", "aug"): 384_000,
    ("mhsa", "aug"): 384_000,
}


def recipe_of(model: LabModel) -> Recipe:
    """The recipe of a model: that of its set-up, with its block's rate and pictures."""
    recipe = RECIPES[model.backbone, model.training]
    images = recipe.images
    if model.backbone == "metaformer":
        images = IMAGES.get((model.block, model.training), images)
    return replace(recipe, rate=RATES.get(model.block, recipe.rate), images=images)
