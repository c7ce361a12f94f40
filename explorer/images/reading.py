"""Read a picture from anywhere into one form: RGB, upright, 8 bits, within the limits below.

The limits are checked on the header, before a single pixel is decoded: a file of some hundred kilobytes can unfold to
gigabytes. Decoders are given the first picture of a file and nothing else (see `first`). Colour profiles are ignored,
as timm and torchvision ignore them, so that answers equal theirs.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from explorer.errors import ImageError
from explorer.images import tiff
from explorer.images.colours import choose_bands, from_bands, to_rgb, with_bands
from explorer.images.first import reduced
from explorer.images.levels import warn
from explorer.images.picture import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, Bands, Picture
from explorer.images.tags import TiffPage
from explorer.messages import Message

_FORMATS_IN_WORDS = Message("PNG, JPEG, WebP, GIF, BMP or TIFF")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: Any, bands: Bands | None = None) -> Picture:
    """Read a picture, upright and in RGB, from wherever it comes.

    Args:
        source: a path; the bytes of a file; a PIL image (its current frame); a numpy array (H, W) or (H, W, 1, 3 or 4);
            a tensor (H, W) or (1, 3 or 4, H, W); or a Picture, which is returned as it is. Of numbers that are not of 8
            bits the range is found by the rule of `levels`, and said in a note.
        bands: which bands are shown, counted from 1: (3, 2, 1) as red, green and blue, (4,) as grey. None: the first
            three (or the only one) and its transparency; where there are more, a note says so. With it, arrays may have
            any number of bands.

    Transparent pixels are laid on white. Of an animation the first frame is taken. Raises ImageError.
    """
    if bands is not None and (len(bands) not in (1, 3) or any(isinstance(one, bool) or one < 1 for one in bands)):
        raise ImageError(
            Message(
                "bands are one number or three, counted from 1, as in 3,2,1; got {bands}",
                bands=",".join(map(str, bands)),
            )
        )
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _read_pil(source, bands)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return (
            _read_file(bytes(source), Message("the file"), bands)
            if len(source) <= MAX_BYTES
            else _too_large(len(source))
        )
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fsdecode(source))
        if not path.is_file():
            raise ImageError(
                Message(
                    "there is no picture file '{path}'; give the path of a {formats} file",
                    path=path,
                    formats=_FORMATS_IN_WORDS,
                )
            )
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read(MAX_BYTES + 1) if size <= MAX_BYTES else b""
        except OSError as error:
            raise ImageError(
                Message("'{name}' cannot be opened: {error}", name=path.name, error=error.strerror or error)
            ) from error
        if max(size, len(data)) > MAX_BYTES:
            return _too_large(max(size, len(data)), path.name)
        return _read_file(data, path.name, bands)
    if hasattr(source, "detach") and hasattr(source, "cpu"):  # a tensor, without importing torch to read a file
        tensor = source.detach().cpu()
        if tensor.ndim == 3:
            tensor = tensor.permute(1, 2, 0)
        half = tensor.is_floating_point() and tensor.element_size() < 4  # numpy has no bfloat16
        return _read_array((tensor.float() if half else tensor).numpy(), bands)
    if isinstance(source, np.ndarray):
        return _read_array(source, bands)
    raise ImageError(
        f"a picture cannot be read from {type(source).__name__}; "
        "give a path, the bytes of a file, a PIL image, an array or a tensor"
    )


# ---- files ----------------------------------------------------------------------------------------------------------


def _too_large(size: int, name: str = Message("the file")) -> Picture:
    raise ImageError(
        Message(
            "{name} has {size} MB; at most {most} MB are accepted. Save a smaller copy of it",
            name=name,
            size=f"{size / 2**20:.0f}",
            most=MAX_BYTES // 2**20,
        )
    )


def _read_file(data: bytes, name: str, bands: Bands | None) -> Picture:
    if not data:
        raise ImageError(
            Message("{name} is empty (0 bytes); choose another {formats} file", name=name, formats=_FORMATS_IN_WORDS)
        )
    first = reduced(data, name)
    if first is None:
        raise ImageError(
            Message(
                "{name} is {found}; {formats} is expected",
                name=name,
                found=_guess(data[:512]),
                formats=_FORMATS_IN_WORDS,
            )
        )
    del data
    if first.size is not None:
        _check_size(*first.size, name)
    notes: list[str] = []
    if first.animated:
        notes.append(
            Message("Several pages: page 1 is used.") if first.page else Message("Animated: the first frame is used.")
        )
    if first.page is not None:
        rgb = _decode_tiff(first.data, first.page, name, bands, notes)
    elif first.deep:
        array = _deep_png(first.data, name)
        alpha = array.shape[2] - 1 if array.shape[2] in (2, 4) else None
        rgb = from_bands(array, choose_bands(array.shape[2], alpha, bands, name, notes), alpha, name, notes)
    else:
        rgb = with_bands(to_rgb(_open(first.data, first.format, name), name, notes), bands, name)
    if first.orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[first.orientation])
        notes.append(Message("Turned upright, as its EXIF data asks."))
    warn(rgb, notes)
    return Picture(rgb, tuple(notes), name)


def _open(data: bytes, format: str, name: str) -> Image.Image:
    """Decode with Pillow, within the limits; whatever goes wrong is an ImageError."""
    try:
        image = Image.open(io.BytesIO(data), formats=(format,))
        _check_size(*image.size, name)
        image.load()
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # Pillow's own, higher limit
        pixels = re.search(r"\d+", str(error))
        raise _too_many(name, int(pixels.group()) if pixels else None) from None
    except MemoryError:
        raise ImageError(
            Message("{name} needs more memory than there is to decode it; save a smaller copy of it", name=name)
        ) from None
    except UnidentifiedImageError:
        raise ImageError(
            Message(
                "{name} is a {format} file that is damaged or of a rare kind; open and save it again, or choose "
                "another",
                name=name,
                format=format,
            )
        ) from None
    except Exception as error:
        broken = "truncated" in str(error) or isinstance(error, EOFError)
        what = (
            Message("breaks off in the middle: it was not copied completely")
            if broken
            else Message("is damaged ({error})", error=error)
        )
        raise ImageError(Message("{name} {fault}; get it again, or choose another", name=name, fault=what)) from error
    _check_size(*image.size, name)  # a decoder may correct what the header said
    return image


def _deep_png(data: bytes, name: str) -> np.ndarray:
    """A PNG of 16 bits a channel, (H, W, 1 to 4) uint16; Pillow alone would drop the low byte of all but grey."""
    if data[25] == 4:
        # Grey and transparency of 16 bits lie as RGBA of 8 do, and are filtered alike, by what is four bytes before.
        header = b"IHDR" + data[16:24] + b"\x08\x06" + data[26:29]
        as_rgba = data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]
        return np.asarray(_open(as_rgba, "PNG", name)).view(">u2").astype(np.uint16)
    high = _open(data, "PNG", name)
    if data[25] == 0:
        array = np.asarray(high).astype(np.uint16)[..., None]
    else:  # the high byte of each two, and then, read as if they lay the other way round, the low one
        low = Image.open(io.BytesIO(data), formats=("PNG",))
        low.tile = [one._replace(args=f"{high.mode};16L") for one in low.tile]
        low.load()
        array = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
    key = high.info.get("transparency")
    if key is None:
        return array
    alpha = np.where((array == np.asarray(key, np.uint16)).all(2), 0, 65535).astype(np.uint16)
    return np.dstack([array, alpha])


def _decode_tiff(data: bytes, page: TiffPage, name: str, bands: Bands | None, notes: list[str]) -> Image.Image:
    found = tiff.layout(page, name)
    if found.compression not in TiffImagePlugin.COMPRESSION_INFO:
        raise ImageError(
            Message(
                "{name} is a TIFF of {in_words}, a compression that cannot be read here; save it uncompressed or "
                "with LZW",
                name=name,
                in_words=found.in_words,
            )
        )
    if found.pillow and (bands is None or found.photometric != tiff.RGB):
        return with_bands(to_rgb(_open(tiff.trimmed(data, page), "TIFF", name), name, notes), bands, name)
    try:
        if found.photometric == tiff.YCBCR:
            return with_bands(tiff.ycbcr(data, page, found), bands, name)
        if not found.even or found.photometric in (tiff.PALETTE, tiff.LAB):
            raise ValueError(Message("bands of 8, 16, 32 or 64 bits each are expected"))
        cmyk = found.photometric == tiff.CMYK and found.count == 4
        places = (0, 1, 2, 3) if cmyk and bands is None else choose_bands(found.count, found.alpha, bands, name, notes)
        alpha = found.alpha
        array = tiff.samples(data, page, found, places if alpha is None else (*places, alpha))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            Message(
                "{name} is a TIFF of {in_words}, which is damaged or cannot be read here ({error}); save what you "
                "want to see of it as an RGB TIFF or PNG",
                name=name,
                in_words=found.in_words,
                error=error,
            )
        ) from error
    last = None if alpha is None else len(places)
    shown = tuple(range(len(places)))
    return from_bands(array, shown, last, name, notes, found.photometric == 0, cmyk and bands is None)


def _read_array(array: np.ndarray, bands: Bands | None) -> Picture:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or (bands is None and array.shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"an array of shape {tuple(array.shape)} is no picture; (height, width) or (height, width, 3 or 4) "
            "is expected, for a tensor (height, width) or (3 or 4, height, width); of others name the bands to show"
        )
    _check_size(array.shape[1], array.shape[0], "the array")
    notes: list[str] = []
    alpha = 3 if bands is None and array.shape[2] == 4 else None
    rgb = from_bands(array, choose_bands(array.shape[2], alpha, bands, "the array", notes), alpha, "the array", notes)
    warn(rgb, notes)
    return Picture(rgb, tuple(notes), "array")


# ---- PIL images -----------------------------------------------------------------------------------------------------


def _read_pil(image: Image.Image, bands: Bands | None) -> Picture:
    """An image that somebody else has opened: its current frame, upright."""
    name, notes = "picture", list[str]()
    _check_size(*image.size, name)
    try:
        if image.format in ("GIF", "WEBP", "PNG") and getattr(image, "is_animated", False):
            frame = image.tell()
            notes.append(
                Message("Animated: the first frame is used.")
                if frame == 0
                else Message("Animated: frame {frame} is used.", frame=frame + 1)
            )
        elif image.format == "TIFF" and (image.tell() or getattr(getattr(image, "tag_v2", None), "next", 0)):
            notes.append(Message("Several pages: page {tell} is used.", tell=image.tell() + 1))
        # Known only before decoding: afterwards the mode says 8 bits.
        dropped = any(";16" in str(tile[3]) and image.mode[:1] != "I" for tile in getattr(image, "tile", ()))
        image.load()
    except Exception as error:
        raise ImageError(
            Message("{name} is damaged ({error}); get it again, or choose another", name=name, error=error)
        ) from error
    _check_size(*image.size, name)
    if dropped:
        notes.append(Message("16 bits a channel, of which Pillow keeps the upper 8: give the file itself to keep all."))
    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF data is common and no reason to refuse the picture
        turn = 1
    rgb = with_bands(to_rgb(image, name, notes), bands, name)
    if turn in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[turn])
        notes.append(Message("Turned upright, as its EXIF data asks."))
    warn(rgb, notes)
    return Picture(rgb, tuple(notes), name)


# ---- words ----------------------------------------------------------------------------------------------------------


def _guess(head: bytes) -> str:
    """Say what a file that is no picture seems to be."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return Message("an SVG drawing, which has no pixels: export it as PNG")
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return Message("a HEIC photograph, as iPhones make: export it as JPEG")
    if brand in (b"avif", b"avis"):
        return Message("an AVIF picture: save it as PNG or JPEG")
    if brand:
        return Message("a video")
    if text.startswith(b"%pdf"):
        return Message("a PDF document: save the picture in it as PNG")
    if text.startswith((b"<!doctype", b"<html")):
        return Message("a web page, not the picture on it")
    if b"\0" not in head:
        try:
            head.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(head) - 3:  # a character cut off at the end of the sniffed bytes is no matter
                return Message("no picture that can be read, or a damaged one")
        return Message("a text file, whatever its name says")
    return Message("no picture that can be read, or a damaged one")


def _too_many(name: str, pixels: int | None, size: str = "") -> ImageError:
    count = Message("too many") if pixels is None else f"{pixels / 1e6:.0f} million"
    return ImageError(
        Message(
            "{name} has {count} pixels{size}; at most {most} million are accepted. Save a smaller copy of it",
            name=name,
            count=count,
            size=size,
            most=f"{MAX_PIXELS / 1e6:.0f}",
        )
    )


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(
            Message("{name} is {width} x {height} px: it has no pixels", name=name, width=width, height=height)
        )
    if width * height > MAX_PIXELS:
        raise _too_many(name, width * height, f" ({width} x {height})")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            Message(
                "{name} is {width} x {height} px, a strip {times} times as long as wide; at most {most} times is "
                "accepted, as models look at a square. Cut a piece out of it",
                name=name,
                width=width,
                height=height,
                times=f"{max(width, height) / min(width, height):.0f}",
                most=MAX_ASPECT,
            )
        )
