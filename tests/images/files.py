"""Picture files written by hand, so that their pixels and their costs are known without a library."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *before: bytes, interlace: int = 0) -> bytes:
    """A PNG of filtered rows, with chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace))
    pixels = chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + pixels + chunk(b"IEND", b"")


def deep_png(array: np.ndarray, filter: int = 0, *before: bytes) -> bytes:
    """A PNG of 16 bits a channel of (H, W, 1 to 4) uint16; filter 0 (none), 1 (left), 2 (above) or 4 (Paeth)."""
    height, width, count = array.shape
    raw = np.frombuffer(array.astype(">u2").tobytes(), np.uint8).reshape(height, width, count * 2).astype(int)
    padded = np.pad(raw, ((1, 0), (1, 0), (0, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    estimate = left + above - corner
    far = [abs(estimate - one) for one in (left, above, corner)]
    paeth = np.where((far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], above, corner))
    guess = {0: 0, 1: left, 2: above, 4: paeth}[filter]
    rows = ((raw - guess) % 256).astype(np.uint8).reshape(height, -1)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    return png(width, height, 16, colour, b"".join(bytes([filter]) + row.tobytes() for row in rows), *before)


def tiff(
    array: np.ndarray,
    photometric: int = 1,
    *,
    order: str = "<",
    planar: bool = False,
    predictor: int = 1,
    compression: int = 1,
    rows: int | None = None,
    tile: int | None = None,
    extra: tuple[int, ...] = (),
    **tags: tuple[int, ...],
) -> bytes:
    """A TIFF of (H, W, bands) of any type.

    Args:
        rows: of a strip, or of a tile.
        tile: width of a tile.
        tags: further ones, ``t530=(2, 2)``.
    """
    height, width, count = array.shape
    rows, wide = rows or height, tile or width
    size = array.dtype.itemsize
    planes = [array[..., one : one + 1] for one in range(count)] if planar else [array]
    pieces = []
    for plane in planes:
        for top in range(0, height, rows):
            for start in range(0, width, wide):
                part = plane[top : top + rows, start : start + wide]
                if tile:
                    part = np.pad(part, ((0, rows - part.shape[0]), (0, wide - part.shape[1]), (0, 0)))
                pieces.append(_packed(part, order, predictor, compression))
    offsets, body = [], b""
    for piece in pieces:
        offsets.append(8 + len(body))
        body += piece + bytes(len(piece) % 2)
    places, lengths = (324, 325) if tile else (273, 279)
    found: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (8 * size,) * count,
        259: (compression,),
        262: (photometric,),
        277: (count,),
        284: (2 if planar else 1,),
        317: (predictor,),
        339: ({"u": 1, "i": 2, "f": 3}[array.dtype.kind],) * count,
        places: tuple(offsets),
        lengths: tuple(map(len, pieces)),
        **({322: (wide,), 323: (rows,)} if tile else {278: (rows,)}),
        **({338: extra} if extra else {}),
        **{int(name[1:]): value for name, value in tags.items()},
    }
    return _directory(body, found, order)


def _packed(part: np.ndarray, order: str, predictor: int, compression: int) -> bytes:
    whole = part.view(f"u{part.dtype.itemsize}")
    if predictor == 2:
        whole = np.diff(whole, axis=1, prepend=whole.dtype.type(0))
    if predictor == 3:
        height, width, count = part.shape
        planes = np.frombuffer(whole.astype(whole.dtype.newbyteorder(">")).tobytes(), np.uint8)
        planes = planes.reshape(height, width * count, -1).swapaxes(1, 2).reshape(height, -1, count)
        raw = np.diff(planes, axis=1, prepend=np.uint8(0)).tobytes()
    else:
        raw = whole.astype(whole.dtype.newbyteorder(order)).tobytes()
    return zlib.compress(raw) if compression == 8 else raw


def _directory(body: bytes, tags: dict[int, tuple[int, ...]], order: str) -> bytes:
    body += bytes(len(body) % 2)
    entries = b""
    for tag, values in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(values)}I", *values)
        if len(raw) > 4:
            place, body = 8 + len(body), body + raw
            raw = struct.pack(order + "I", place)
        entries += struct.pack(order + "HHI", tag, 4, len(values)) + raw
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(body))
    return head + body + struct.pack(order + "H", len(tags)) + entries + bytes(4)
