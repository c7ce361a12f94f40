"""Pictures made of the photographs that ship: one in pieces, and one of two photographs at once.

They ship beside the photographs, for a lesson on real models; this is how they were made.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

#: Side of a made picture, px: twice what most models look at.
SIDE = 448


def square(image: Image.Image, side: int = SIDE) -> Image.Image:
    """The middle of a picture as a square of this side, px."""
    width, height = image.size
    own = min(width, height)
    left, top = (width - own) // 2, (height - own) // 2
    cut = image.convert("RGB").crop((left, top, left + own, top + own))
    return cut.resize((side, side), Image.Resampling.LANCZOS)


def in_pieces(image: Image.Image, grid: int = 8, seed: int = 5) -> Image.Image:
    """A picture cut into ``grid`` x ``grid`` squares that are put together in another order.

    What lies within a square stays, texture above all; what lies between squares, as a shape does, is gone. ``grid``
    divides `SIDE`.
    """
    pixels, piece = np.array(square(image)), SIDE // grid
    made = np.empty_like(pixels)
    for to, source in enumerate(np.random.default_rng(seed).permutation(grid * grid)):
        rows, columns = (slice(at * piece, (at + 1) * piece) for at in divmod(to, grid))
        own = tuple(slice(at * piece, (at + 1) * piece) for at in divmod(int(source), grid))
        made[rows, columns] = pixels[own]
    return Image.fromarray(made)


def two_at_once(coarse: Image.Image, fine: Image.Image, blurred: float = 16.0, sharp: float = 6.0) -> Image.Image:
    """A hybrid picture (Oliva, Torralba and Schyns 2006): coarse structure of one photograph, fine of another.

    Args:
        coarse: seen from far away.
        fine: seen from near by.
        blurred: standard deviation of the Gaussian that leaves the coarse structure, px of `SIDE`.
        sharp: of the one whose difference from the picture is the fine structure.
    """
    far, near = square(coarse), square(fine)
    detail = _values(near) - _values(near.filter(ImageFilter.GaussianBlur(sharp)))
    both = _values(far.filter(ImageFilter.GaussianBlur(blurred))) + 1.2 * detail
    return Image.fromarray(np.clip(both, 0, 255).astype(np.uint8))


def _values(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=float)
