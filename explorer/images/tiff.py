"""The first page of a TIFF: its tags, bounded, and its samples, whatever their number and type.

Pillow decodes every compression of TIFF but knows few arrangements of samples. So the page is written anew as what
Pillow does know: one band of bytes, as wide as a row of samples; what the bytes mean is numpy's to say. With that the
tags that are not needed go, and all other pages: a file of 60,000 pages or of tags that each claim the whole file costs
no more than its first page.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from explorer.errors import ImageError
from explorer.messages import Message

#: Most bytes that a page may unfold to. Pillow itself stops at 179 million.
MAX_DECODED: Final = 178_000_000
#: Most tags of a page that are looked at.
_MAX_TAGS = 4096
#: Most bytes of a tag; the places of a strip for every row of the tallest picture take a quarter of a megabyte.
_MAX_TAG = 2**22

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL = 256, 257, 258, 259, 262, 266
_STRIPS, ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 274, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 317, 322, 323, 324, 325
_EXTRA, _FORMAT, _SUBSAMPLING = 338, 339, 530
#: What decoding needs: the above, fax options, colour map, JPEG tables, coefficients and reference levels.
_NEEDED = frozenset(
    (
        *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL, _STRIPS, ORIENTATION, _SAMPLES, _ROWS),
        *(_STRIP_BYTES, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA, _FORMAT),
        *(_SUBSAMPLING, 292, 293, 320, 347, *range(512, 522), 529, 531, 532),
    )
)
_SIZE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
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
class Page:
    """The first directory of a TIFF (or of EXIF data, which has the same form).

    Attributes:
        order: "<" or ">", the file's byte order.
        big: whether it is a BigTIFF.
        tags: number -> (type, count, bytes), of those that are needed.
        several: whether pages follow.
    """

    order: str
    big: bool
    tags: Mapping[int, tuple[int, int, bytes]]
    several: bool

    def numbers(self, tag: int, most: int = 64) -> tuple[int, ...]:
        """Return the whole numbers of a tag, at most ``most``; () where it is absent or of another type."""
        kind, count, raw = self.tags.get(tag, (0, 0, b""))
        if kind not in _CODE:
            return ()
        count = min(count, most, len(raw) // _SIZE[kind])
        return struct.unpack_from(f"{self.order}{count}{_CODE[kind]}", raw)

    def number(self, tag: int, default: int) -> int:
        """Return the first number of a tag."""
        return (*self.numbers(tag, 1), default)[0]


def read_page(data: bytes, needed: frozenset[int] = _NEEDED) -> Page | None:
    """Read the first directory; None where there is none that can be read."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    head, entry, offset = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    try:
        start = struct.unpack_from(order + offset, data, 8 if big else 4)[0]
        count = struct.unpack_from(order + head, data, start)[0]
        at, step, inline = start + struct.calcsize(head), (20 if big else 12), (8 if big else 4)
        tags: dict[int, tuple[int, int, bytes]] = {}
        for place in range(min(count, _MAX_TAGS)):
            tag, kind, number = struct.unpack_from(order + entry, data, at + place * step)
            if tag not in needed or tag in tags or kind not in _SIZE:
                continue
            value = at + place * step + struct.calcsize("<" + entry)
            size = _SIZE[kind] * number
            if size > _MAX_TAG:
                continue
            if size > inline:
                value = struct.unpack_from(order + offset, data, value)[0]
            tags[tag] = kind, number, data[value : value + size]
        end = at + count * step
        following = data[end : end + inline]
    except (struct.error, OverflowError):
        return None
    return Page(order, big, tags, any(following) and count <= _MAX_TAGS)


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none. Nothing else of the data is read."""
    page = read_page(exif.removeprefix(b"Exif\0\0"), frozenset((ORIENTATION,)))
    found = 1 if page is None else page.number(ORIENTATION, 1)
    return found if 1 <= found <= 8 else 1


def written(data: bytes, page: Page, changes: Mapping[int, Sequence[int] | None] | None = None) -> bytes:
    """Write the file anew with ``page`` alone, some tags changed, or left out where they are None."""
    tags = dict(page.tags)
    kind, code = (16, "Q") if page.big else (4, "I")
    for tag, numbers in (changes or {}).items():
        tags.pop(tag, None)
        if numbers is not None:
            tags[tag] = kind, len(numbers), struct.pack(f"{page.order}{len(numbers)}{code}", *numbers)
    out = bytearray(data)
    entries, inline = [], 8 if page.big else 4
    for tag, (kind, count, raw) in sorted(tags.items()):
        if len(raw) > inline:
            out += bytes(len(out) % 2)
            place, raw = len(out), raw
            out += raw
            raw = struct.pack(page.order + code, place)
        entries.append(
            struct.pack(page.order + ("HHQ" if page.big else "HHI"), tag, kind, count) + raw.ljust(inline, b"\0")
        )
    out += bytes(len(out) % 2)
    start = len(out)
    out += struct.pack(page.order + ("Q" if page.big else "H"), len(entries)) + b"".join(entries) + bytes(inline)
    struct.pack_into(page.order + code, out, 8 if page.big else 4, start)
    return bytes(out)


@dataclass(frozen=True)
class Layout:
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
        """ "5 bands of 16 bits, LZW"."""
        bits = "/".join(map(str, dict.fromkeys(self.bits)))
        kind = {3: "floating-point ", 5: "complex ", 6: "complex "}.get(self.format, "")
        how = _COMPRESSIONS.get(self.compression, f"compression {self.compression}")
        colours = _COLOURS.get(self.photometric, Message("colours of kind {photometric}", photometric=self.photometric))
        return Message(
            "{count} {kind}band{count_} of {bits} bits, {colours}, {how}",
            count=self.count,
            kind=kind,
            count_="s" * (self.count > 1),
            bits=bits,
            colours=colours,
            how=how,
        )


def layout(page: Page, name: str) -> Layout:
    """Return how a page's samples lie. Raises ImageError where that is not said, or is too much."""
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    photometric = page.number(_PHOTOMETRIC, 1)
    compression = page.number(_COMPRESSION, 1)
    bits = page.numbers(_BITS) or (1,)
    count = page.number(_SAMPLES, 3 if compression in (6, 7) and photometric in (RGB, YCBCR) else len(bits))
    if not 1 <= count <= 4096 or not all(1 <= one <= 128 for one in bits):
        raise ImageError(
            Message(
                "{name} is damaged: it says that it has {count} bands; get it again, or choose another",
                name=name,
                count=count,
            )
        )
    bits = bits * count if len(bits) == 1 else page.numbers(_BITS, count)
    formats = set(page.numbers(_FORMAT, count)) or {1}
    if len(bits) != count or len(formats) > 1:
        raise ImageError(
            Message(
                "{name} is a TIFF whose {count} bands are of several types, which cannot be shown; save the bands "
                "that you want to see as a TIFF or PNG of their own",
                name=name,
                count=count,
            )
        )
    found = Layout(
        width,
        height,
        bits,
        formats.pop(),
        photometric,
        compression,
        page.number(_PLANAR, 1) == 2,
        page.numbers(_EXTRA),
        page.number(_PREDICTOR, 1),
    )
    total = width * height * sum(bits) / 8
    if total > MAX_DECODED and not found.pillow:
        raise ImageError(
            Message(
                "{name} unfolds to {total} MB ({width} x {height} px, {in_words}); at most {f} MB are accepted. Save "
                "a smaller copy of it, or fewer bands",
                name=name,
                total=f"{total / 1e6:.0f}",
                width=width,
                height=height,
                in_words=found.in_words,
                f=f"{MAX_DECODED / 1e6:.0f}",
            )
        )
    tile = page.number(_TILE_WIDTH, 0) * page.number(_TILE_HEIGHT, 0)
    if tile * sum(bits) / 8 > MAX_DECODED:
        raise ImageError(
            Message(
                "{name} has tiles of {tile} million pixels, too many; save it in strips",
                name=name,
                tile=f"{tile / 1e6:.0f}",
            )
        )
    return found


def trimmed(data: bytes, page: Page) -> bytes:
    """The file with its first page alone, no more strips than it has rows of them, for Pillow to decode."""
    return written(data, page, {**_pieces(page, 1, 1), ORIENTATION: None})


def samples(data: bytes, page: Page, found: Layout, bands: Sequence[int]) -> np.ndarray:
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
    tile = page.number(_TILE_WIDTH, 0) or parts[0].shape[1] // (one * size)
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


def ycbcr(data: bytes, page: Page, found: Layout) -> Image.Image:
    """Decode a YCbCr page that is not JPEG: each h x v pixels lie as their brightnesses and one pair of colours."""
    if found.predictor != 1 or page.number(_TILE_WIDTH, 0) or found.planar or found.bits != (8, 8, 8):
        raise ValueError(Message("this arrangement of YCbCr is not known"))
    h, v = (page.numbers(_SUBSAMPLING) or (2, 2))[:2]
    if h not in (1, 2, 4) or v not in (1, 2, 4):
        raise ValueError(Message("a subsampling of {h} x {v} is not known", h=h, v=v))
    across, down = -(-found.width // h), -(-found.height // v)
    unit = h * v + 2
    rows = page.number(_ROWS, found.height)
    changes = _bytes_page(across * unit, down) | _pieces(page, 1, 1)
    packed = _decoded(written(data, page, {**changes, _ROWS: (max(1, min(rows, found.height) // v),)}))
    packed = packed.reshape(down, across, unit)
    light = packed[..., : h * v].reshape(down, across, v, h).swapaxes(1, 2).reshape(down * v, across * h)
    colours = packed[..., h * v :].repeat(v, 0).repeat(h, 1)
    whole = np.concatenate([light[..., None], colours], 2)[: found.height, : found.width]
    return Image.frombytes("YCbCr", (found.width, found.height), np.ascontiguousarray(whole).tobytes()).convert("RGB")


def _pieces(page: Page, planes: int, factor: int, plane: int = 0) -> dict[int, Sequence[int] | None]:
    """The strips or tiles of one of ``planes``, no more than there can be, tiles ``factor`` times as wide."""
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    high = page.number(_TILE_HEIGHT, 0) or page.number(_ROWS, height) or height
    wide = page.number(_TILE_WIDTH, 0)
    # Where Pillow reads all planes itself, they may lie apart.
    apart = page.number(_SAMPLES, 1) if planes == 1 and page.number(_PLANAR, 1) == 2 else 1
    each = -(-height // max(1, high)) * (-(-width // wide) if wide else 1) * apart
    out: dict[int, Sequence[int] | None] = {}
    for tag in (_TILES, _TILE_BYTES) if wide else (_STRIPS, _STRIP_BYTES):
        if found := page.numbers(tag, each * planes):
            out[tag] = found[plane * each : (plane + 1) * each] if planes > 1 else found
    if wide and factor > 1:
        out[_TILE_WIDTH] = (wide * factor,)
    return out


def _bytes_page(width: int, height: int) -> dict[int, Sequence[int] | None]:
    """The tags of one band of bytes."""
    gone = (ORIENTATION, _EXTRA, _FORMAT, _SUBSAMPLING, _PREDICTOR, 320, 529, 532)
    return {
        **dict.fromkeys(gone),
        _WIDTH: (width,),
        _HEIGHT: (height,),
        _BITS: (8,),
        _PHOTOMETRIC: (1,),
        _SAMPLES: (1,),
        _PLANAR: (1,),
    }


def _rows(data: bytes, page: Page, found: Layout, size: int, plane: int) -> np.ndarray:
    """The rows of one plane as bytes, (H, padded width * size)."""
    tile = page.number(_TILE_WIDTH, 0)
    padded = -(-found.width // tile) * tile if tile else found.width
    if padded * size * found.height > MAX_DECODED:
        raise ValueError(Message("its tiles are far larger than the picture"))
    changes = _bytes_page(padded * size, found.height)
    changes |= _pieces(page, found.count if found.planar else 1, size, plane)
    if not tile:
        changes[_ROWS] = (max(1, min(page.number(_ROWS, found.height), found.height)),)
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
