"""Pictures of every kind either come out right or are refused in words."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from explorer import images
from explorer.errors import ImageError
from explorer.images import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, alt_text, read_image, samples
from explorer.resources import asset

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(source: Any) -> np.ndarray:
    picture = read_image(source)
    assert picture.image.mode == "RGB"
    return np.asarray(picture.image)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG written by hand, so that its pixels are known without Pillow."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------------ the right picture


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    picture = read_image(encode(PHOTO, format, **options))
    np.testing.assert_array_equal(np.asarray(picture.image), PIXELS)
    assert picture.notes == ()


def test_every_way_to_hand_over_a_picture_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    PHOTO.save(path)
    chw = torch.from_numpy(PIXELS).permute(2, 0, 1)
    sources = [
        path,
        str(path),
        path.read_bytes(),
        PHOTO,
        PIXELS,
        PIXELS / 255.0,
        chw,
        chw.float() / 255,
        read_image(path),
    ]
    for source in sources:
        np.testing.assert_array_equal(pixels(source), PIXELS)
    assert read_image(path).name == "photo.png"
    assert read_image(PHOTO).image is not PHOTO  # what the caller does to its image later changes nothing


def test_arrays_of_other_types() -> None:
    grey = PIXELS[:, :, 0]
    for array in (grey, grey[:, :, None], grey.astype(np.int64), torch.from_numpy(grey)[None]):
        np.testing.assert_array_equal(pixels(array), np.repeat(grey[:, :, None], 3, 2))
    np.testing.assert_array_equal(pixels(grey > 99), np.repeat(np.where(grey > 99, 255, 0)[:, :, None], 3, 2))
    assert np.abs(pixels(torch.full((3, 4, 4), 0.5, dtype=torch.bfloat16)).astype(int) - 128).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(PHOTO, "PNG", exif=exif)
    with Image.open(io.BytesIO(data)) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    picture = read_image(data)
    np.testing.assert_array_equal(np.asarray(picture.image), expected)
    assert any("upright" in note for note in picture.notes) == (orientation != 1)


def test_exif_of_a_jpeg_turns_a_portrait_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the right side of the scene is at the top of the file
    scene = np.zeros((32, 16, 3), np.uint8)
    scene[:8] = 255  # a bright sky above
    stored = Image.fromarray(np.rot90(scene).copy())  # 6 asks to be turned clockwise
    upright = read_image(encode(stored, "JPEG", exif=exif, quality=95)).image
    assert upright.size == (16, 32)
    assert np.asarray(upright)[:6].mean() > 240
    assert np.asarray(upright)[12:].mean() < 15


def test_animation_gives_its_first_frame_and_says_so() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for format, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        data = encode(frames[0], format, save_all=True, append_images=frames[1:], duration=50, **options)
        picture = read_image(data)
        assert (np.asarray(picture.image) == (255, 0, 0)).all(), format
        assert picture.notes == ("Animated: the first frame is used.",), format
    pages = read_image(encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    assert pages.notes == ("Several pages: page 1 is used.",)
    # A phone's photograph with a depth map or a preview behind it is one photograph.
    phone = read_image(encode(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert phone.notes == ()
    assert np.abs(np.asarray(phone.image).astype(int) - (255, 0, 0)).max() < 3


def test_sixteen_bits_are_rescaled_not_clipped() -> None:
    ramp = np.arange(256, dtype=np.uint16) * 257
    square = np.tile(ramp, (256, 1))
    hand = png(256, 256, 16, 0, b"".join(b"\0" + row.astype(">u2").tobytes() for row in square))
    expected = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (256, 1))[:, :, None], 3, 2)
    for source in (
        hand,
        square,
        encode(Image.fromarray(square), "TIFF"),
        Image.fromarray(square),
        torch.from_numpy(square),
    ):
        np.testing.assert_array_equal(pixels(source), expected)
        assert any("16 bits" in note for note in read_image(source).notes)
    colour = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in square)
    np.testing.assert_array_equal(pixels(png(256, 256, 16, 2, colour)), expected)
    assert any("16 bits" in note for note in read_image(png(256, 256, 16, 2, colour)).notes)


def test_wide_numbers_are_rescaled_by_their_range_and_said_so() -> None:
    wide = np.linspace(-1000, 3000, 400).reshape(20, 20)
    expected = np.rint((wide + 1000) / 4000 * 255)
    for source in (
        wide,
        Image.fromarray(wide.astype(np.float32)),
        encode(Image.fromarray(wide.astype(np.float32)), "TIFF"),
    ):
        picture = read_image(source)
        assert np.abs(np.asarray(picture.image)[:, :, 0] - expected).max() <= 1
        assert "-1000 is shown black and 3000 white" in picture.notes[0]
    whole = Image.fromarray((wide * 100).astype(np.int32))
    assert whole.mode == "I"
    assert np.abs(pixels(whole)[:, :, 0] - expected).max() <= 1
    np.testing.assert_array_equal(pixels(np.full((4, 4), 7.5)), 0)  # a constant has no range


def test_transparency_is_laid_on_white_not_uncovered() -> None:
    rgba = np.dstack([PIXELS, np.zeros((20, 30), np.uint8)])
    rgba[:10, :, 3] = 255
    expected = PIXELS.copy()
    expected[10:] = 255
    for source in (rgba, Image.fromarray(rgba), encode(Image.fromarray(rgba))):
        picture = read_image(source)
        np.testing.assert_array_equal(np.asarray(picture.image), expected)
        assert picture.notes == ("Transparent: shown on white.",)
    grey = encode(Image.fromarray(rgba).convert("LA"))
    assert (pixels(grey)[10:] == 255).all()
    assert (pixels(grey)[:10] == np.asarray(PHOTO.convert("L"))[:10, :, None]).all()
    half = np.zeros((4, 4, 4), np.uint8)
    half[:, :, 3] = 51  # a fifth of black over white
    assert (pixels(half) == 204).all()
    opaque = np.dstack([PIXELS, np.full((20, 30), 255, np.uint8)])
    assert read_image(opaque).notes == ()


def test_palette_with_and_without_transparency() -> None:
    palette = PHOTO.quantize(16)
    np.testing.assert_array_equal(pixels(encode(palette)), np.asarray(palette.convert("RGB")))
    picture = read_image(encode(palette, transparency=3))
    expected = np.asarray(palette.convert("RGB")).copy()
    expected[np.asarray(palette) == 3] = 255
    np.testing.assert_array_equal(np.asarray(picture.image), expected)
    assert picture.notes == ("Transparent: shown on white.",)


def test_cmyk_and_grey_and_bilevel() -> None:
    red = read_image(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(np.asarray(red.image).astype(int) - (255, 0, 0)).max() < 6
    assert "CMYK" in red.notes[0]
    grey = PHOTO.convert("L")
    np.testing.assert_array_equal(pixels(encode(grey)), np.repeat(np.asarray(grey)[:, :, None], 3, 2))
    np.testing.assert_array_equal(pixels(encode(grey.convert("1")))[:, :, 0], np.asarray(grey.convert("1")) * 255)


def test_one_pixel_is_a_picture() -> None:
    assert pixels(encode(Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


# ------------------------------------------------------------------------------------------------------ refused


def refusal(source: Any) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    return message


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
REFUSED = {
    "empty": (b"", "empty"),
    "text": ("just a note, Grüße".encode(), "text file"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG drawing"),
    "heic": (HEIC, "HEIC"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    "html": (b"<!DOCTYPE html><html></html>", "web page"),
    "mp4": (b"\0\0\0\x18ftypisom" + bytes(100), "video"),
    "noise": (RNG.bytes(3000), "no picture"),
    "ico": (encode(Image.new("RGB", (16, 16)), "ICO"), "no picture"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "expected"),
    "truncated png": (encode(Image.fromarray(RNG.integers(0, 256, (99, 99, 3), dtype=np.uint8)))[:9000], "breaks off"),
    "truncated jpeg": (encode(PHOTO.resize((300, 300)), "JPEG")[:3000], "breaks off"),
    "header only": (encode(PHOTO)[:40], ""),
    "truncated webp": (encode(PHOTO.resize((300, 300)), "WEBP")[:500], ""),
    "truncated gif": (encode(PHOTO.resize((300, 300)), "GIF")[:1200], ""),
    "1 x 5000": (encode(Image.new("RGB", (1, 5000))), "1 x 5000 px, a strip"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_renamed_to_png_is_refused_in_words(name: str, tmp_path: Path) -> None:
    data, words = REFUSED[name]
    path = tmp_path / "holiday.png"
    path.write_bytes(data)
    message = refusal(path)
    assert words in message
    assert message.startswith("holiday.png")  # whose fault it is
    assert words in refusal(data)


def test_damaged_in_the_middle() -> None:
    data = bytearray(encode(Image.fromarray(RNG.integers(0, 256, (99, 99, 3), dtype=np.uint8))))
    data[5000:5100] = bytes(100)
    assert "damaged" in refusal(bytes(data))


@pytest.mark.filterwarnings("ignore")  # Pillow's own complaints about the damage
def test_whatever_is_flipped_in_a_file_no_other_error_comes_out() -> None:
    """A thousand damaged files: a picture or an ImageError, nothing else."""
    originals = [
        encode(PHOTO, "PNG"),
        encode(PHOTO, "JPEG"),
        encode(PHOTO, "GIF"),
        encode(PHOTO, "WEBP"),
        encode(PHOTO, "TIFF", compression="tiff_lzw"),
        encode(PHOTO, "BMP"),
    ]
    refused = 0
    for trial in range(1000):
        data = bytearray(originals[trial % len(originals)])
        for position in RNG.integers(0, min(len(data), 400), 4):
            data[position] = RNG.integers(256)
        try:
            assert read_image(bytes(data)).image.mode == "RGB"
        except ImageError:
            refused += 1
    assert refused > 300


def test_other_sources_are_refused(tmp_path: Path) -> None:
    assert "there is no picture file" in refusal(tmp_path / "missing.png")
    assert "there is no picture file" in refusal(tmp_path)
    assert "there is no picture file" in refusal("https://example.org/cat.png")
    assert "NoneType" in refusal(None)
    assert "(2, 3, 20, 30)" in refusal(np.zeros((2, 3, 20, 30)))
    assert "(20, 30, 2)" in refusal(np.zeros((20, 30, 2)))
    assert "no pixels" in refusal(np.zeros((0, 5, 3), np.uint8))
    assert "NaN" in refusal(np.full((4, 4), np.nan))
    assert "complex" in refusal(np.zeros((4, 4), complex))


# ------------------------------------------------------------------------------------------------------- limits


def huge() -> bytes:
    """A valid PNG of 20,000 x 20,000 px and some fifty kilobytes."""
    return png(20_000, 20_000, 1, 0, bytes(20_000 * 2501))


def test_twenty_thousand_square_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge())
    assert path.stat().st_size < 300_000  # small enough for any limit on bytes
    # Peak memory only ever grows, so it is measured in a process of its own. Decoded it would be 400 MB.
    code = """
import resource, sys, time
from explorer.errors import ImageError
from explorer.images import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
try:
    read_image(sys.argv[1])
except ImageError as error:
    print(error)
print(time.perf_counter() - start)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (2**20 if sys.platform == "darwin" else 2**10))
"""
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    message, seconds, megabytes = result.stdout.splitlines()
    assert "huge.png has 400 million pixels" in message
    assert "50 million" in message
    assert float(seconds) < 5
    assert float(megabytes) < 20


@pytest.mark.parametrize("size", [(10_000, 5001), (9000, 9000), (13_000, 13_000)])
def test_pixels_are_limited_by_the_header(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Just above our limit, above it, and where Pillow itself would only warn."""

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    data = png(*size, 8, 2, b"")
    assert len(data) < 100
    with pytest.warns(Image.DecompressionBombWarning) if size[0] == 13_000 else nullcontext():
        assert f"({size[0]} x {size[1]})" in refusal(data)


def test_bytes_are_limited_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: takes no room
    start = time.perf_counter()
    assert "at most 32 MB" in refusal(path)
    assert time.perf_counter() - start < 0.5


def test_limits_hold_for_arrays_and_pil_images_too() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    assert "million pixels" in refusal(np.broadcast_to(np.uint8(0), (side, side, 3)))
    assert "strip" in refusal(np.zeros((MAX_ASPECT + 1, 1, 3), np.uint8))
    assert read_image(np.zeros((MAX_ASPECT, 1, 3), np.uint8)).image.size == (1, MAX_ASPECT)
    assert "strip" in refusal(Image.new("RGB", (5000, 1)))


def test_exif_and_header_lies_are_harmless() -> None:
    assert read_image(encode(PHOTO, "JPEG", exif=b"Exif\0\0" + RNG.bytes(60))).image.size == (30, 20)


# ------------------------------------------------------------------------------------------------------ samples


def test_samples_are_photographs_with_credits_and_words() -> None:
    credits = asset("images", "credits.md").read_text(encoding="utf-8")
    assert 4 <= len(samples()) <= 6
    for name, path in samples().items():
        picture = read_image(path)
        assert picture.notes == ()
        assert min(picture.image.size) >= 300
        assert path.stat().st_size < 150_000
        assert f"| {path.name} |" in credits
        assert len(alt_text(name)) > 20
    shipped = {path.name for path in asset("images").iterdir()} - {"credits.md", "index.json"}
    assert shipped == {path.name for path in samples().values()}


def test_suffixes_cover_the_formats() -> None:
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in images.SUFFIXES} == set(images.FORMATS)
    assert json.loads(asset("images", "index.json").read_text(encoding="utf-8"))
