"""What a picture is to the explorer, and the limits of what is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

#: Largest file accepted, in bytes.
MAX_BYTES: Final = 32 * 2**20
#: Most pixels accepted, width x height: the largest common phone photograph has 49 million.
MAX_PIXELS: Final = 50_000_000
#: Longest side over shortest. Models resize the shorter side to their input, so that a 1 x 5000 px strip would become
#: 224 x 1,120,000 px, of which they would look at a fraction of a pixel: neither affordable nor worth a picture.
MAX_ASPECT: Final = 16
#: The formats decoded; every other decoder of Pillow stays shut (some run other programs). Of the several pictures of a
#: phone's or stereo camera's JPEG (MPO) the first is the photograph.
FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
#: What a file dialogue should offer.
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
#: Places of bands, from 1: one for grey, three for red, green and blue.
Bands = Sequence[int]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture ready for any model.

    Attributes:
        image: RGB, 8 bits, upright.
        notes: what was done to it that its owner should know, a sentence each; empty for an ordinary photograph.
        name: the file's name, or what it was made from.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()
    name: str = "picture"
