"""Bring numbers of any type to the 256 levels that models are trained on, by one rule, and say which range was used.

The range is taken from the numbers, because a file's type says only what would fit: cameras and scanners of 10, 12 and
14 bits write 16-bit files, in which their white is far below the type's. So

- booleans: False is black and True white; 8 bits without sign are as they are;
- whole numbers from 0: black is 0, white is the largest number of the fewest bits that hold the maximum, of 8, 10, 12,
  14, 16 and then any more. A picture that is truly dark in all of its 16 bits comes out brighter, which is why the
  range is said;
- floats within 0..1, or beyond it by no more than resampling overshoots (`OVERSHOOT`): as they are, cut off at 0 and 1;
- floats from 0 up to `SMALL`: black is 0 and white their maximum; up to larger ones: as whole numbers (0..255, ...);
- anything with negative numbers: black is the smallest and white the largest, as they have no zero to be black.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from explorer.errors import ImageError
from explorer.messages import Message

#: How far resampled floats in 0..1 may lie outside it.
OVERSHOOT: Final = 0.05
#: Floats whose maximum is below this are no 8-bit numbers (radiances, for example): their maximum is white.
SMALL: Final = 16.0
#: Depths that cameras, scanners and screens have.
DEPTHS: Final = (8, 10, 12, 14, 16)
#: What counts as nearly black or white: all but a two-hundredth of the pixels within a twentieth of it.
_MARGIN, _SHARE = 13, 0.005
#: Rows converted at a time hold about so many numbers, so that no second copy in float64 is made of a whole picture.
_AT_ONCE = 2**20


def bits_for(maximum: float) -> int:
    """Return the fewest bits, of `DEPTHS` or more, whose largest number is not below ``maximum``."""
    return next((bits for bits in DEPTHS if maximum <= 2**bits - 1), max(17, int(np.ceil(maximum)).bit_length()))


def number_range(array: np.ndarray, name: str) -> tuple[float, float]:
    """Return the numbers that are black and white; see the module for the rule. Raises ImageError."""
    kind = array.dtype.kind
    if kind not in "iufb":
        raise ImageError(f"{name} holds {array.dtype} values; numbers are expected")
    if kind == "b":
        return 0, 1
    if array.dtype == np.uint8:
        return 0, 255
    low, high = array.min().item(), array.max().item()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(Message("{name} has pixels that are NaN or infinite; replace them by numbers", name=name))
    if kind == "f" and low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return 0, 1
    if low < 0:
        return low, high
    if kind == "f" and high < SMALL:
        return (0, high) if low < high else (low, high)  # a constant has no range
    return 0, 2 ** bits_for(high) - 1


def to_levels(array: np.ndarray, name: str, notes: list[str] | None = None) -> np.ndarray:
    """Bring numbers of any type to 0..255, uint8 of the same shape.

    Args:
        array: all channels of a picture, which share one range; not empty.
        name: what it is called in an error.
        notes: is told the range, where it is not that of 8 bits or of 0..1.

    Raises ImageError for what is no number, is NaN or infinite.
    """
    if array.dtype == np.uint8:
        return array
    black, white = number_range(array, name)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = array.min().item(), array.max().item()
    if notes is not None and not (array.dtype.kind == "f" and (black, white) == (0, 1) and low >= 0 and high <= 1):
        notes.append(_said(array.dtype.kind, low, high, black, white))
    span = float(white) - float(black)
    if array.dtype.itemsize == 2 and array.dtype.kind in "ui":
        # Far quicker for a photograph than arithmetic: one look into a table of all numbers there can be.
        numbers = np.arange(2**16, dtype=np.uint16).view(array.dtype).astype(np.float64)
        return _scaled(numbers, black, span)[array.view(np.uint16)]
    levels = np.empty(array.shape, np.uint8)
    rows = max(1, _AT_ONCE // max(1, array[0].size))
    for start in range(0, len(array), rows):
        levels[start : start + rows] = _scaled(array[start : start + rows].astype(np.float64), black, span)
    return levels


def _scaled(numbers: np.ndarray, black: float, span: float) -> np.ndarray:
    return np.rint(np.clip((numbers - black) * (255 / span if span else 0.0), 0, 255)).astype(np.uint8)


def _said(kind: str, low: float, high: float, black: float, white: float) -> str:
    if kind != "f" and black == 0:
        bits = bits_for(high)
        return Message(
            "Whole numbers up to {high}: read as {bits} bits, 0 is shown black and {white} white.",
            high=high,
            bits=bits,
            white=white,
        )
    return Message(
        "Numbers from {low} to {high}: {black} is shown black and {white} white.",
        low=f"{low:g}",
        high=f"{high:g}",
        black=f"{black:g}",
        white=f"{white:g}",
    )


def warn(image: Image.Image, notes: list[str]) -> None:
    """Add a note where a picture is nearly all black or white, on a sample of its pixels."""
    small = image.convert("L") if max(image.size) <= 256 else image.resize((256, 256), Image.Resampling.NEAREST)
    low, high = np.quantile(np.asarray(small.convert("L")), (_SHARE, 1 - _SHARE))
    if high <= _MARGIN:
        notes.append(
            Message(
                "Nearly black: models see next to nothing in it. If it should be brighter, stretch its levels in a "
                "picture editor and save it as PNG with 8 bits a channel."
            )
        )
    elif low >= 255 - _MARGIN:
        notes.append(
            Message(
                "Nearly white: models see next to nothing in it. If it should be darker, stretch its levels in a "
                "picture editor and save it as PNG with 8 bits a channel."
            )
        )
