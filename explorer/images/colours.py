"""Red, green and blue from whatever a picture holds: its bands, chosen where it has more, and other colour spaces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from explorer.errors import ImageError
from explorer.images.levels import to_levels
from explorer.images.picture import Bands
from explorer.messages import Message


def choose_bands(count: int, alpha: int | None, bands: Bands | None, name: str, notes: list[str]) -> tuple[int, ...]:
    """The places, from 0, of the bands that are shown, of ``count``; tells which where there is a choice."""
    if bands is not None:
        if max(bands) > count:
            raise ImageError(
                Message(
                    "{name} has {count} bands; bands {bands} are asked for, from 1",
                    name=name,
                    count=count,
                    bands=",".join(map(str, bands)),
                )
            )
        places = tuple(one - 1 for one in bands)
    else:
        places = (0, 1, 2) if count - (alpha is not None) >= 3 else (0,)
    if count - (alpha is not None) not in (1, 3) or bands is not None:
        said = [str(one + 1) for one in places]
        if len(said) == 1:
            notes.append(
                Message(
                    "{count} bands: band {said} is shown as grey. The library and the command show others.",
                    count=count,
                    said=said[0],
                )
            )
        else:
            notes.append(
                Message(
                    "{count} bands: {red}, {green} and {blue} are shown as red, green and blue. The library and the "
                    "command show others.",
                    count=count,
                    red=said[0],
                    green=said[1],
                    blue=said[2],
                )
            )
    return places


def with_bands(rgb: Image.Image, bands: Bands | None, name: str) -> Image.Image:
    """An ordinary picture with its bands in the order asked for."""
    if bands is None:
        return rgb
    places = choose_bands(3, None, bands, name, [])
    return Image.merge("RGB", [rgb.getchannel(one) for one in (places * 3)[:3]])


def from_bands(
    array: np.ndarray,
    places: Sequence[int],
    alpha: int | None,
    name: str,
    notes: list[str],
    inverted: bool = False,
    cmyk: bool = False,
) -> Image.Image:
    """RGB of an array (H, W, bands): ``places`` share one range, ``alpha`` has its own and is laid on white."""
    levels = to_levels(np.ascontiguousarray(array[..., list(places)]), name, notes)
    if inverted:
        levels = 255 - levels
    if levels.shape[2] == 1:
        levels = levels[..., 0]
    image = (
        Image.fromarray(levels).convert("RGB")
        if not cmyk
        else Image.frombytes("CMYK", levels.shape[1::-1], levels.tobytes())
    )
    if alpha is not None:
        image.putalpha(Image.fromarray(to_levels(np.ascontiguousarray(array[..., alpha]), name)))
    return to_rgb(image, name, notes)


def to_rgb(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """Bring an image of Pillow's to RGB, transparency laid on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        array = np.asarray(image)
        # Pillow keeps the byte order of the file in these modes; numpy knows it by the dtype.
        levels = to_levels(array.astype(array.dtype.newbyteorder("=")), name, notes)
        return Image.fromarray(levels).convert("RGB")
    if image.mode == "CMYK":
        notes.append(Message("CMYK, made for print: converted to RGB, its colours may look a little off."))
    if image.mode == "LAB":
        notes.append(Message("CIELAB colours: converted to sRGB."))
        return ImageCms.applyTransform(image, _lab_to_srgb()) or image
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema()[0] == 255:
                return image.convert("RGB")
            notes.append(Message("Transparent: shown on white."))
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        # A copy even of RGB: what the caller does to its image later is no concern of ours.
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    except ValueError as error:
        raise ImageError(
            Message("{name} has colour mode {mode}, which cannot be shown; save it as RGB", name=name, mode=image.mode)
        ) from error


@cache
def _lab_to_srgb() -> Any:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
