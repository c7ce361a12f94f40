"""Read a picture from anywhere into one form: RGB, upright, 8 bits, within the limits below.

The limits are checked on the header, before a single pixel is decoded: a file of some hundred kilobytes can unfold to
gigabytes. Colour profiles are ignored, as timm and torchvision ignore them, so that answers equal theirs.
"""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from explorer.errors import ImageError
from explorer.resources import asset

#: Largest file accepted, in bytes.
MAX_BYTES: Final = 32 * 2**20
#: Most pixels accepted, width x height: the largest common phone photograph has 49 million.
MAX_PIXELS: Final = 50_000_000
#: Longest side over shortest. Models resize the shorter side to their input, so that a 1 x 5000 px strip would become
#: 224 x 1,120,000 px, of which they would look at a fraction of a pixel: neither affordable nor worth a picture.
MAX_ASPECT: Final = 16
#: The formats decoded; every other decoder of Pillow stays shut (some run other programs). JPEG takes in the
#: several pictures of a phone's or stereo camera's file (MPO), of which the first is the photograph.
FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
#: What a file dialogue should offer.
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")

_FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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


def read_image(source: Any) -> Picture:
    """Read a picture, upright and in RGB, from wherever it comes.

    Args:
        source: a path; the bytes of a file; a PIL image (its current frame); a numpy array (H, W) or (H, W, 1, 3 or 4);
            a tensor (H, W) or (1, 3 or 4, H, W); or a Picture, which is returned as it is. Numbers in arrays: uint8;
            uint16 over 0..65535; floats over 0..1; anything else is rescaled from its own range, and said so.

    Transparent pixels are laid on white. Of an animation the first frame is taken. Raises ImageError.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _finish(source, "picture")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read_file(io.BytesIO(source), len(source), "the file")
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fsdecode(source))
        if not path.is_file():
            raise ImageError(f"there is no picture file '{path}'; give the path of a {_FORMATS_IN_WORDS} file")
        try:
            with path.open("rb") as file:
                return _read_file(file, path.stat().st_size, path.name)
        except OSError as error:
            raise ImageError(f"'{path.name}' cannot be opened: {error.strerror or error}") from error
    if hasattr(source, "detach") and hasattr(source, "cpu"):  # a tensor, without importing torch to read a file
        tensor = source.detach().cpu()
        if tensor.ndim == 3:
            tensor = tensor.permute(1, 2, 0)
        return _read_array((tensor.double() if tensor.is_floating_point() else tensor).numpy())  # numpy has no bfloat16
    if isinstance(source, np.ndarray):
        return _read_array(source)
    raise ImageError(
        f"a picture cannot be read from {type(source).__name__}; "
        "give a path, the bytes of a file, a PIL image, an array or a tensor"
    )


def samples() -> dict[str, Path]:
    """Name the photographs that ship with the explorer: name -> file. ``alt_text`` describes each."""
    return {entry["name"]: asset("images", entry["file"]) for entry in _index()}


def alt_text(name: str) -> str:
    """Say in words what the sample photograph ``name`` shows."""
    return next(entry["alt"] for entry in _index() if entry["name"] == name)


def _index() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(asset("images", "index.json").read_text(encoding="utf-8"))
    return entries


def _read_file(file: Any, size: int, name: str) -> Picture:
    if size == 0:
        raise ImageError(f"{name} is empty (0 bytes); choose another {_FORMATS_IN_WORDS} file")
    if size > MAX_BYTES:
        raise ImageError(
            f"{name} has {size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are accepted. Save a smaller copy of it"
        )
    head = file.read(512)
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"{name} is {_guess(head)}; {_FORMATS_IN_WORDS} is expected") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # Pillow's own, higher limit
        pixels = re.search(r"\d+", str(error))
        raise _too_many(name, int(pixels.group()) if pixels else None) from None
    except Exception as error:
        raise ImageError(
            f"{name} is damaged and cannot be read ({error}); open and save it again, or choose another"
        ) from error
    with image:
        return _finish(image, name)


def _guess(head: bytes) -> str:
    """Say what a file that is no picture seems to be."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing, which has no pixels: export it as PNG"
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "a HEIC photograph, as iPhones make: export it as JPEG"
    if brand in (b"avif", b"avis"):
        return "an AVIF picture: save it as PNG or JPEG"
    if brand:
        return "a video"
    if text.startswith(b"%pdf"):
        return "a PDF document: save the picture in it as PNG"
    if text.startswith((b"<!doctype", b"<html")):
        return "a web page, not the picture on it"
    if b"\0" not in head:
        try:
            head.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(head) - 3:  # a character cut off at the end of the sniffed bytes is no matter
                return "no picture that can be read, or a damaged one"
        return "a text file, whatever its name says"
    return "no picture that can be read, or a damaged one"


def _too_many(name: str, pixels: int | None, size: str = "") -> ImageError:
    count = "too many" if pixels is None else f"{pixels / 1e6:.0f} million"
    return ImageError(
        f"{name} has {count} pixels{size}; at most {MAX_PIXELS / 1e6:.0f} million are accepted. "
        "Save a smaller copy of it"
    )


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width} x {height} px: it has no pixels")
    if width * height > MAX_PIXELS:
        raise _too_many(name, width * height, f" ({width} x {height})")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{name} is {width} x {height} px, a strip {max(width, height) / min(width, height):.0f} times as long as "
            f"wide; at most {MAX_ASPECT} times is accepted, as models look at a square. Cut a piece out of it"
        )


def _finish(image: Image.Image, name: str) -> Picture:
    """Check the limits, decode, and bring to upright RGB."""
    _check_size(*image.size, name)
    notes = []
    try:
        if image.format in ("GIF", "WEBP", "PNG") and getattr(image, "is_animated", False):
            frame = image.tell()
            notes.append("Animated: " + ("the first frame is used." if frame == 0 else f"frame {frame + 1} is used."))
        elif image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            notes.append(f"Several pages: page {image.tell() + 1} is used.")
        # Known only before decoding: afterwards the mode says 8 bits.
        deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        image.load()
    except Exception as error:
        broken = "truncated" in str(error) or isinstance(error, EOFError)
        what = "breaks off in the middle: it was not copied completely" if broken else f"is damaged ({error})"
        raise ImageError(f"{name} {what}; get it again, or choose another") from error
    _check_size(*image.size, name)  # a decoder may correct what the header said
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF data is common and no reason to refuse the picture
        orientation = 1
    rgb = _to_rgb(image, deep, name, notes)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        notes.append("Turned upright, as its EXIF data asks.")
    return Picture(rgb, tuple(notes), name)


def _to_rgb(image: Image.Image, deep: bool, name: str, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        array = np.asarray(image)
        # Pillow keeps the byte order of the file in these modes; numpy knows it by the dtype.
        levels = _levels(array.astype(array.dtype.newbyteorder("=")), name, notes)
        return Image.fromarray(levels).convert("RGB")
    if deep:
        notes.append("16 bits a channel: reduced to 8.")
    if image.mode == "CMYK":
        notes.append("CMYK, made for print: converted to RGB, its colours may look a little off.")
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema()[0] == 255:
                return image.convert("RGB")
            notes.append("Transparent: shown on white.")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        # A copy even of RGB: what the caller does to its image later is no concern of ours.
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    except ValueError as error:
        raise ImageError(f"{name} has colour mode {image.mode}, which cannot be shown; save it as RGB") from error


def _levels(array: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """Bring numbers of any type to 0..255, and say how where it is not plain."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        notes.append("16 bits a channel: reduced to 8.")
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 255 x 257
    if array.dtype.kind not in "iuf":
        raise ImageError(f"{name} holds {array.dtype} values; numbers are expected")
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError(f"{name} has pixels that are NaN or infinite; replace them by numbers")
    low, high = float(values.min()), float(values.max())
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(values * 255).astype(np.uint8)
    if array.dtype.kind != "f" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    kind = "Fractional numbers" if array.dtype.kind == "f" else "Whole numbers beyond 8 bits"
    notes.append(f"{kind}: {low:g} is shown black and {high:g} white.")
    return np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _read_array(array: np.ndarray) -> Picture:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError(
            f"an array of shape {tuple(array.shape)} is no picture; (height, width) or (height, width, 3 or 4) "
            "is expected, for a tensor (height, width) or (3 or 4, height, width)"
        )
    _check_size(array.shape[1], array.shape[0], "the array")
    notes: list[str] = []
    image = Image.fromarray(np.ascontiguousarray(_levels(array, "the array", notes)))
    picture = _finish(image, "array")
    return Picture(picture.image, (*notes, *picture.notes), "array")
