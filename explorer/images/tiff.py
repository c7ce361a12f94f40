"""The samples of a TIFF's first page, whatever their number and type.

Pillow decodes every compression of TIFF but knows few arrangements of samples. So the page is written anew as what
Pillow does know: one band of bytes, as wide as a row of samples; what the bytes mean is numpy's to say.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from explorer.errors import ImageError
from explorer.images.tags import Tag, TiffPage, written
from explorer.messages import Message, counted, listed

#: Most bytes that a page may unfold to. Pillow itself stops at 179 million.
MAX_DECODED: Final = 178_000_000
_COMPRESSIONS = {
    1: Message("not compressed"),
    5: "LZW",
    6: "JPEG",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
}
_COLOURS = {
    0: "grey",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
    9: Message("ICC Lab"),
}
#: Photometric interpretations.
_GREY, RGB, PALETTE, CMYK, YCBCR, LAB = (0, 1), 2, 3, 5, 6, 8


@dataclass(frozen=True)
class SampleLayout:
    """How a page's samples lie, in the tags' own numbers, and what is to be said where it cannot be read."""

    width: int
    height: int
    bits: tuple[int, ...]
    format: int
    photometric: int
    compression: int
    planar: bool
    extra: tuple[int, ...]
    predictor: int

    @property
    def count(self) -> int:
        """Bands."""
        return len(self.bits)

    @property
    def alpha(self) -> int | None:
        """Place of the band that is the transparency, from 0; None without one."""
        colours = 1 if self.photometric in _GREY else 3
        if self.count != colours + 1 or self.photometric not in (*_GREY, RGB):
            return None
        # Four bands of RGB of which the last is not explained are RGBA: many programs leave the tag out.
        known = self.extra[:1] in ((1,), (2,)) or (not self.extra and colours == 3)
        return colours if known else None

    @property
    def even(self) -> bool:
        """Whether all bands are of one size that numpy has a type for."""
        sizes = {1: (8, 16, 32, 64), 2: (8, 16, 32, 64), 3: (16, 32, 64), 4: (8, 16, 32, 64)}
        return len(set(self.bits)) == 1 and self.bits[0] in sizes.get(self.format, ())

    @property
    def pillow(self) -> bool:
        """Whether Pillow knows the arrangement, and shows all of it."""
        if max(self.bits) > 8 or self.format not in (1, 4):
            return False
        if self.photometric in (RGB, *_GREY) and not (self.photometric != RGB and self.count == 1):
            return (self.count == 3 and self.photometric == RGB) or self.alpha is not None
        if self.photometric == YCBCR:
            return self.compression in (6, 7)
        return self.photometric in (*_GREY, PALETTE, CMYK, LAB)

    @property
    def in_words(self) -> str:
        """ "5 bands of 16 bits, RGB, LZW"."""
        bits = "/".join(map(str, dict.fromkeys(self.bits)))
        size = counted("{n} band of {bits} bits", "{n} bands of {bits} bits", self.count, bits=bits)
        kind = {3: Message("floating point"), 5: Message("complex"), 6: Message("complex")}.get(self.format)
        how = _COMPRESSIONS.get(self.compression, f"compression {self.compression}")
        colours = _COLOURS.get(self.photometric, Message("colours of kind {photometric}", photometric=self.photometric))
        return listed(filter(None, (size, kind, colours, how)))


def layout(page: TiffPage, name: str) -> SampleLayout:
    """Return how a page's samples lie. Raises ImageError where that is not said, or is too much."""
    width, height = page.number(Tag.WIDTH, 0), page.number(Tag.HEIGHT, 0)
    photometric = page.number(Tag.PHOTOMETRIC, 1)
    compression = page.number(Tag.COMPRESSION, 1)
    bits = page.numbers(Tag.BITS) or (1,)
    count = page.number(Tag.SAMPLES, 3 if compression in (6, 7) and photometric in (RGB, YCBCR) else len(bits))
    if not 1 <= count <= 4096 or not all(1 <= one <= 128 for one in bits):
        raise ImageError(
            Message(
                "{name} is damaged: it says that it has {count} bands; get it again, or choose another",
                name=name,
                count=count,
            )
        )
    bits = bits * count if len(bits) == 1 else page.numbers(Tag.BITS, count)
    formats = set(page.numbers(Tag.FORMAT, count)) or {1}
    if len(bits) != count or len(formats) > 1:
        raise ImageError(
            Message(
                "{name} is a TIFF whose {count} bands are of several types, which cannot be shown; save the bands "
                "that you want to see as a TIFF or PNG of their own",
                name=name,
                count=count,
            )
        )
    found = SampleLayout(
        width,
        height,
        bits,
        formats.pop(),
        photometric,
        compression,
        page.number(Tag.PLANAR, 1) == 2,
        page.numbers(Tag.EXTRA),
        page.number(Tag.PREDICTOR, 1),
    )
    total = width * height * sum(bits) / 8
    if total > MAX_DECODED and not found.pillow:
        raise ImageError(
            Message(
                "{name} unfolds to {total} MB ({width} x {height} px, {in_words}); at most {most} MB are accepted. "
                "Save a smaller copy of it, or fewer bands",
                name=name,
                total=f"{total / 1e6:.0f}",
                width=width,
                height=height,
                in_words=found.in_words,
                most=f"{MAX_DECODED / 1e6:.0f}",
            )
        )
    tile = page.number(Tag.TILE_WIDTH, 0) * page.number(Tag.TILE_HEIGHT, 0)
    if tile * sum(bits) / 8 > MAX_DECODED:
        raise ImageError(
            Message(
                "{name} has tiles of {tile} million pixels, too many; save it in strips",
                name=name,
                tile=f"{tile / 1e6:.0f}",
            )
        )
    return found


def trimmed(data: bytes, page: TiffPage) -> bytes:
    """The file with its first page alone, no more strips than it has rows of them, for Pillow to decode."""
    return written(data, page, {**_pieces(page, 1, 1), Tag.ORIENTATION: None})


def samples(data: bytes, page: TiffPage, found: SampleLayout, bands: Sequence[int]) -> np.ndarray:
    """Decode bands of a page, (H, W, len(bands)) in its own type; ``bands`` are places from 0.

    Raises whatever Pillow raises where the file is damaged or compressed in a way that it does not know.
    """
    size = found.bits[0] // 8
    one = 1 if found.planar else found.count
    parts = (
        [_rows(data, page, found, one * size, band) for band in bands]
        if found.planar
        else [_rows(data, page, found, one * size, 0)]
    )
    kind = {1: "u", 2: "i", 3: "f", 4: "u"}[found.format]
    tile = page.number(Tag.TILE_WIDTH, 0) or parts[0].shape[1] // (one * size)
    arrays = []
    for part in parts:
        if found.predictor == 3:
            array = _from_float_predictor(part, tile, one, size, kind)
        else:
            array = part.view(f"{page.order}{kind}{size}").reshape(found.height, -1, one)
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            if found.predictor == 2:
                array = _summed(array, tile)
        arrays.append(array[:, : found.width] if found.planar else array[:, : found.width, list(bands)])
    return np.concatenate(arrays, 2) if len(arrays) > 1 else arrays[0]


def ycbcr(data: bytes, page: TiffPage, found: SampleLayout) -> Image.Image:
    """Decode a YCbCr page that is not JPEG: each h x v pixels lie as their brightnesses and one pair of colours."""
    if found.predictor != 1 or page.number(Tag.TILE_WIDTH, 0) or found.planar or found.bits != (8, 8, 8):
        raise ValueError(Message("this arrangement of YCbCr is not known"))
    h, v = (page.numbers(Tag.SUBSAMPLING) or (2, 2))[:2]
    if h not in (1, 2, 4) or v not in (1, 2, 4):
        raise ValueError(Message("a subsampling of {across} x {down} is not known", across=h, down=v))
    across, down = -(-found.width // h), -(-found.height // v)
    unit = h * v + 2
    rows = page.number(Tag.ROWS, found.height)
    changes = _bytes_page(across * unit, down) | _pieces(page, 1, 1)
    packed = _decoded(written(data, page, {**changes, Tag.ROWS: (max(1, min(rows, found.height) // v),)}))
    packed = packed.reshape(down, across, unit)
    light = packed[..., : h * v].reshape(down, across, v, h).swapaxes(1, 2).reshape(down * v, across * h)
    colours = packed[..., h * v :].repeat(v, 0).repeat(h, 1)
    whole = np.concatenate([light[..., None], colours], 2)[: found.height, : found.width]
    return Image.frombytes("YCbCr", (found.width, found.height), np.ascontiguousarray(whole).tobytes()).convert("RGB")


def _pieces(page: TiffPage, planes: int, factor: int, plane: int = 0) -> dict[int, Sequence[int] | None]:
    """The strips or tiles of one of ``planes``, no more than there can be, tiles ``factor`` times as wide."""
    width, height = page.number(Tag.WIDTH, 0), page.number(Tag.HEIGHT, 0)
    high = page.number(Tag.TILE_HEIGHT, 0) or page.number(Tag.ROWS, height) or height
    wide = page.number(Tag.TILE_WIDTH, 0)
    # Where Pillow reads all planes itself, they may lie apart.
    apart = page.number(Tag.SAMPLES, 1) if planes == 1 and page.number(Tag.PLANAR, 1) == 2 else 1
    each = -(-height // max(1, high)) * (-(-width // wide) if wide else 1) * apart
    out: dict[int, Sequence[int] | None] = {}
    for tag in (Tag.TILES, Tag.TILE_BYTES) if wide else (Tag.STRIPS, Tag.STRIP_BYTES):
        if found := page.numbers(tag, each * planes):
            out[tag] = found[plane * each : (plane + 1) * each] if planes > 1 else found
    if wide and factor > 1:
        out[Tag.TILE_WIDTH] = (wide * factor,)
    return out


def _bytes_page(width: int, height: int) -> dict[int, Sequence[int] | None]:
    """The tags of one band of bytes."""
    gone = (Tag.ORIENTATION, Tag.EXTRA, Tag.FORMAT, Tag.SUBSAMPLING, Tag.PREDICTOR, 320, 529, 532)
    return {
        **dict.fromkeys(gone),
        Tag.WIDTH: (width,),
        Tag.HEIGHT: (height,),
        Tag.BITS: (8,),
        Tag.PHOTOMETRIC: (1,),
        Tag.SAMPLES: (1,),
        Tag.PLANAR: (1,),
    }


def _rows(data: bytes, page: TiffPage, found: SampleLayout, size: int, plane: int) -> np.ndarray:
    """The rows of one plane as bytes, (H, padded width * size)."""
    tile = page.number(Tag.TILE_WIDTH, 0)
    padded = -(-found.width // tile) * tile if tile else found.width
    if padded * size * found.height > MAX_DECODED:
        raise ValueError(Message("its tiles are far larger than the picture"))
    changes = _bytes_page(padded * size, found.height)
    changes |= _pieces(page, found.count if found.planar else 1, size, plane)
    if not tile:
        changes[Tag.ROWS] = (max(1, min(page.number(Tag.ROWS, found.height), found.height)),)
    return _decoded(written(data, page, changes))


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        return np.asarray(image)


def _summed(array: np.ndarray, tile: int) -> np.ndarray:
    """Undo the differences between neighbours of a row, which begin anew with every tile."""
    whole = array.view(f"u{array.dtype.itemsize}")
    out = np.empty_like(whole)
    for start in range(0, array.shape[1], tile):
        np.cumsum(whole[:, start : start + tile], 1, dtype=whole.dtype, out=out[:, start : start + tile])
    return out.view(array.dtype)


def _from_float_predictor(rows: np.ndarray, tile: int, bands: int, size: int, kind: str) -> np.ndarray:
    """Undo predictor 3: of each row of a tile the first bytes of all numbers, the second ones, ..., as differences."""
    height, wide = len(rows), tile * bands
    parts = rows.reshape(height, -1, wide * size)
    whole = np.cumsum(parts.reshape(height, parts.shape[1], -1, bands), 2, dtype=np.uint8)
    planes = whole.reshape(height, parts.shape[1], size, wide).swapaxes(2, 3)
    array: np.ndarray[Any, Any] = np.ascontiguousarray(planes).view(f">{kind}{size}").astype(f"{kind}{size}")
    return array.reshape(height, -1, bands)
