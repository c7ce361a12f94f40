"""Reduce a file to what decoding its first picture needs, without decoding anything.

What a file costs is its author's choice: scans that each go over the whole picture, pages, frames, megabytes of text
that unfold to gigabytes. So the parts of a file are walked, counted within bounds and written anew: those of the first
picture, and no others. Decoders never see the rest. What is damaged is left for the decoder to say.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from explorer.errors import ImageError
from explorer.images import tags
from explorer.messages import Message

#: Most scans of a JPEG: each goes over all of the picture. Programs write one, or about ten for a progressive one.
MAX_SCANS: Final = 64
#: Most segments, chunks or blocks of a file; a photograph has some ten, a large PNG in small pieces ten thousand.
MAX_PARTS: Final = 200_000
#: Most bytes of a BMP in runs: each run is a step of Pillow's in Python.
MAX_RUNS: Final = 2 * 2**20


@dataclass(frozen=True)
class First:
    """A file's first picture.

    Attributes:
        data: a file with nothing else in it.
        format: Pillow's name of its format.
        size: (width, height) where it is known without a decoder, px.
        orientation: EXIF's, 1 to 8.
        animated: whether frames follow it.
        page: the TIFF's page.
        deep: whether it is a PNG of 16 bits a channel.
    """

    data: bytes
    format: str
    size: tuple[int, int] | None = None
    orientation: int = 1
    animated: bool = False
    page: tags.TiffPage | None = None
    deep: bool = False


def format_of(head: bytes) -> str | None:
    """The format that a file's first 16 bytes say, of those that are read, or None."""
    for start, name in (
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
    ):
        if head.startswith(start):
            # Two letters begin many a text; a bitmap goes on with its size and four bytes that are zero.
            return name if name != "BMP" or head[6:10] == bytes(4) else None
    return "WEBP" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def reduced(data: bytes, name: str) -> First | None:
    """Return the first picture of a file; None where it is in no format that is read.

    Args:
        data: the file.
        name: what it is called in an error.

    Raises ImageError for what is beyond the bounds, or of a kind that no decoder here knows.
    """
    format = format_of(data[:16])
    return None if format is None else _READERS[format](data, name)


def _count(parts: int, name: str, what: str) -> None:
    if parts > MAX_PARTS:
        raise ImageError(
            Message(
                "{name} is made of more than {most} {parts}, no photograph is; save it anew",
                name=name,
                most=MAX_PARTS,
                parts=what,
            )
        )


# ---- JPEG -----------------------------------------------------------------------------------------------------------

_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def _jpeg(data: bytes, name: str) -> First:
    out, at, scans, orientation, size = bytearray(b"\xff\xd8"), 2, 0, 1, None
    for parts in range(MAX_PARTS + 2):
        _count(parts, name, "segments")
        found = _MARKER.search(data, at)
        if found is None:  # breaks off, which the decoder says
            out += data[at:]
            break
        if scans:  # what is coded lies between the markers
            out += data[at : found.start()]
        code, at = found[1][0], found.end()
        if code == 0xD9:
            out += b"\xff\xd9"
            break
        if code in (0x01, 0xD8):
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at : at + max(2, length)]
        at += max(2, length)
        if code == 0xE1 and segment[2:8] == b"Exif\0\0" and orientation == 1:
            orientation = tags.orientation(segment[2:])
        if code in _FRAMES and len(segment) >= 8:
            size = struct.unpack_from(">HH", segment, 3)[::-1]
            _check_frame(code, segment, name)
        if code == 0xDA:
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError(
                    Message(
                        "{name} is a JPEG of more than {most} scans, each of which goes over the whole picture; "
                        "save it anew",
                        name=name,
                        most=MAX_SCANS,
                    )
                )
        # Of the application's own segments only Adobe's says how to decode; comments say nothing.
        if (0xE0 <= code <= 0xEF and code not in (0xE0, 0xEE)) or code == 0xFE:
            continue
        out += bytes((0xFF, code)) + segment
    return First(bytes(out), "JPEG", size, orientation)


def _check_frame(code: int, segment: bytes, name: str) -> None:
    bits, channels = segment[2], segment[7]
    kind = {0xC3: "lossless", 0xC7: "lossless", 0xCB: "lossless", 0xCF: "lossless"}.get(code, "")
    if kind or bits != 8 or channels not in (1, 3, 4):
        what = (
            f"{kind} JPEG"
            if kind
            else Message("JPEG of {channels} channels of {bits} bits", channels=channels, bits=bits)
        )
        raise ImageError(Message("{name} is a {kind}, which cannot be read; save it as PNG", name=name, kind=what))


# ---- PNG ------------------------------------------------------------------------------------------------------------


def _png(data: bytes, name: str) -> First:
    out, orientation, size, animated, deep = [data[:8]], 1, None, False, False
    for parts, (kind, body, whole) in enumerate(_chunks(data, 8, ">", 12)):
        _count(parts, name, "chunks")
        if kind == b"IHDR" and len(body) >= 13:
            size = struct.unpack_from(">II", body)
            deep = body[8] == 16
        elif kind == b"acTL":
            animated = len(body) >= 4 and int.from_bytes(body[:4], "big") > 1
        elif kind == b"eXIf":
            orientation = tags.orientation(body)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            out.append(whole)
        if kind == b"IEND":
            break
    return First(b"".join(out), "PNG", size, orientation, animated, deep=deep)


def _chunks(data: bytes, at: int, order: str, around: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(name, body, all) of the chunks of a PNG, or of a RIFF file; the last one may break off."""
    while at + 8 <= len(data):
        if order == ">":
            length, kind = struct.unpack_from(">I4s", data, at)
        else:
            kind, length = struct.unpack_from("<4sI", data, at)
        end = at + around + length + (length % 2 if order == "<" else 0)
        yield kind, data[at + 8 : at + 8 + length], data[at:end]
        at = end


# ---- GIF ------------------------------------------------------------------------------------------------------------


def _gif(data: bytes, name: str) -> First:
    def blocks(at: int) -> int:
        """The end of the data blocks that begin at ``at``."""
        for parts in range(MAX_PARTS + 2):
            _count(parts, name, "blocks")
            length = data[at] if at < len(data) else 0
            at += 1 + length
            if not length:
                return at
        return at

    def table(flags: int) -> int:
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    if len(data) < 13:
        return First(data, "GIF")
    at = 13 + table(data[10])
    head, control = data[:at], b""
    for parts in range(MAX_PARTS + 2):
        _count(parts, name, "blocks")
        if data[at : at + 1] == b"!":
            end = blocks(at + 2)
            if data[at + 1 : at + 2] == b"\xf9":  # what is transparent
                control = data[at:end]
            at = end
        elif data[at : at + 1] == b",":
            flags = data[at + 9] if at + 9 < len(data) else 0
            end = blocks(at + 10 + table(flags) + 1)
            picture = data[at:end]
            return First(head + control + picture + b";", "GIF", animated=_another(data, end, blocks))
        else:
            break
    return First(head + data[at:], "GIF")


def _another(data: bytes, at: int, blocks: Callable[[int], int]) -> bool:
    """Whether a further frame of a GIF follows; extensions before it are few."""
    for _ in range(16):
        if data[at : at + 1] != b"!":
            break
        at = blocks(at + 2)
    return data[at : at + 1] == b","


# ---- WebP -----------------------------------------------------------------------------------------------------------


def _webp(data: bytes, name: str) -> First:
    kept, orientation, size, frames = [], 1, None, 0
    for parts, (kind, body, whole) in enumerate(_chunks(data, 12, "<", 8)):
        _count(parts, name, "chunks")
        if kind == b"VP8X" and len(body) >= 10:
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        elif kind == b"VP8 " and size is None and len(body) >= 10:
            width, height = struct.unpack_from("<HH", body, 6)
            size = width & 0x3FFF, height & 0x3FFF
        elif kind == b"VP8L" and size is None and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"EXIF":
            orientation = tags.orientation(body)
        frames += kind == b"ANMF"
        if kind in (b"VP8X", b"ANIM", b"ALPH", b"VP8 ", b"VP8L") or (kind == b"ANMF" and frames == 1):
            kept.append(whole)
    body = b"WEBP" + b"".join(kept)
    # A file that breaks off keeps saying that it should be longer.
    missing = len(data) < 8 + int.from_bytes(data[4:8], "little")
    length = len(body) + 2 * missing
    return First(b"RIFF" + length.to_bytes(4, "little") + body, "WEBP", size, orientation, frames > 1)


# ---- BMP and TIFF ---------------------------------------------------------------------------------------------------


def _bmp(data: bytes, name: str) -> First:
    runs = len(data) >= 34 and int.from_bytes(data[14:18], "little") >= 40 and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if runs and len(data) > MAX_RUNS:
        raise ImageError(
            Message(
                "{name} is a compressed BMP of {size} MB; at most {most} MB are accepted. Save it as PNG",
                name=name,
                size=f"{len(data) / 2**20:.0f}",
                most=MAX_RUNS // 2**20,
            )
        )
    return First(data, "BMP")


def _tiff(data: bytes, name: str) -> First:
    page = tags.read_page(data)
    if page is None:
        raise ImageError(
            Message("{name} is a TIFF whose first page is damaged; get it again, or choose another", name=name)
        )
    size = page.number(256, 0), page.number(257, 0)
    return First(data, "TIFF", size, page.number(tags.Tag.ORIENTATION, 1), page.several, page)


_READERS: dict[str, Callable[[bytes, str], First]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
}
