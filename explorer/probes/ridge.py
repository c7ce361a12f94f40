"""What can be read out of features linearly: ridge regression with nested folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: Ridge penalties that are tried, per sample of standardised features; places in an image at most.
PENALTIES = tuple(10.0**power for power in range(-6, 3))
PLACES = 256
FOLDS = 4


def ridge(x: Tensor, y: Tensor, penalties: Sequence[float]) -> list[Callable[[Tensor], Tensor]]:
    """Ridge regression of y (n, d) from features x (n, p), standardised, for each penalty; in closed form.

    Minimises |y - z w|^2 / n + penalty |w|^2. Returns a prediction for each penalty: (m, p) to (m, d).
    """
    middle, spread = x.mean(0), x.std(0, correction=0)
    # A channel that never changes is left out by an infinite spread.
    spread = torch.where(spread > 1e-6 * spread.max(), spread, torch.inf)
    z, level = (x - middle) / spread, y.mean(0)
    n, p = z.shape
    # Of the two equal forms of the solution the one whose matrix is smaller.
    wide = p > n
    values, vectors = torch.linalg.eigh(z @ z.T if wide else z.T @ z)
    right = vectors.T @ ((y - level) if wide else z.T @ (y - level))

    def solved(penalty: float) -> Callable[[Tensor], Tensor]:
        inner = vectors @ (right / (values.clamp(min=0) + penalty * n)[:, None])
        weights = z.T @ inner if wide else inner
        return lambda new: (new - middle) / spread @ weights + level

    return [solved(penalty) for penalty in penalties]


def readable(features: Tensor, places: Tensor) -> np.ndarray[Any, Any]:
    """How well places can be read off features of images that were not fitted.

    Args:
        features: (n, places, channels) of n images, at least 4.
        places: (n, places, 2), x and y of each.

    In each of four folds half of the images are fitted, the penalty is the best on a quarter, and the last quarter is
    predicted. Returns (n, 4): for each image the squared error of x and of y, and the squares of x and y about their
    means over all; R2 is 1 - sum of errors / sum of squares.
    """
    features, places = features.double(), places.double()
    fold = torch.arange(len(features)) % FOLDS
    middle = places.flatten(0, 1).mean(0)
    errors = torch.zeros(len(features), 2, dtype=torch.float64)
    for number in range(FOLDS):
        test, choose = fold == number, fold == (number + 1) % FOLDS
        fit = ~(test | choose)
        models = ridge(features[fit].flatten(0, 1), places[fit].flatten(0, 1), PENALTIES)
        # x and y each have their own penalty: one may be known and the other not.
        tried = torch.stack([((one(features[choose]) - places[choose]) ** 2).sum((0, 1)) for one in models])
        for axis, best in enumerate(tried.argmin(0).tolist()):
            errors[test, axis] = ((models[best](features[test]) - places[test]) ** 2)[..., axis].sum(1)
    return torch.cat([errors, ((places - middle) ** 2).sum(1)], 1).numpy()
