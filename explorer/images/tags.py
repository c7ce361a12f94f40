"""The first directory of a TIFF, or of EXIF data: its tags, bounded; and a file written anew with that page alone.

Tags that are not needed go, and all other pages: a file of 60,000 pages or of tags that each claim the whole file costs
no more than its first page.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

#: Most tags of a page that are looked at.
_MAX_TAGS = 4096
#: Most bytes of a tag; the places of a strip for every row of the tallest picture take a quarter of a megabyte.
_MAX_TAG = 2**22


class Tag(IntEnum):
    """The tags that say how a page's samples lie."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL = 266
    STRIPS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS = 278
    STRIP_BYTES = 279
    PLANAR = 284
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    TILE_BYTES = 325
    EXTRA = 338
    FORMAT = 339
    SUBSAMPLING = 530


#: What decoding needs: the above, fax options, colour map, JPEG tables, coefficients and reference levels.
NEEDED = frozenset((*Tag, 292, 293, 320, 347, *range(512, 522), 529, 531, 532))
_SIZE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(frozen=True)
class TiffPage:
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


def read_page(data: bytes, needed: frozenset[int] = NEEDED) -> TiffPage | None:
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
    return TiffPage(order, big, tags, any(following) and count <= _MAX_TAGS)


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none. Nothing else of the data is read."""
    page = read_page(exif.removeprefix(b"Exif\0\0"), frozenset((Tag.ORIENTATION,)))
    found = 1 if page is None else page.number(Tag.ORIENTATION, 1)
    return found if 1 <= found <= 8 else 1


def written(data: bytes, page: TiffPage, changes: Mapping[int, Sequence[int] | None] | None = None) -> bytes:
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
