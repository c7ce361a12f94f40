"""Pictures of every kind either come out right or are refused in words."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from explorer import images
from explorer.errors import ImageError
from explorer.images import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, alt_text, photographs, read_image, samples
from explorer.images.made import SIDE, in_pieces, square, two_at_once
from explorer.resources import asset

from .files import chunk, deep_png, encode, png, tiff

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)


def pixels(source: Any) -> np.ndarray:
    picture = read_image(source)
    assert picture.image.mode == "RGB"
    return np.asarray(picture.image)


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
    """Just above our limit, above it, and where Pillow itself would only warn: it is not asked."""

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    data = png(*size, 8, 2, b"")
    assert len(data) < 100
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
    assert 4 <= len(photographs()) <= 6
    for name, path in samples().items():
        picture = read_image(path)
        assert picture.notes == ()
        # Cue conflicts are as large as models of photographs look at.
        assert min(picture.image.size) >= (300 if path.parent == asset("images") else 224)
        assert path.stat().st_size < 150_000
        assert (f"| {path.name} |" if name in photographs() else f"`{path.name}`") in credits
        assert len(alt_text(name)) > 20
    shipped = {path.name for path in asset("images").iterdir()} - {"credits.md", "index.json"}
    assert shipped == {path.name for path in samples().values() if path.parent == asset("images")}


def test_pictures_made_of_photographs_are_what_the_code_makes() -> None:
    taken = {name: read_image(path).image for name, path in photographs().items()}
    made = {"pieces": in_pieces(taken["cat"]), "hybrid": two_at_once(taken["cup"], taken["cat"])}
    conflicts = {"elephant-bear", "knife-truck"}  # see test_conflicts
    assert set(samples()) - set(taken) - conflicts == set(made)
    for name, picture in made.items():
        shipped = read_image(samples()[name]).image
        assert shipped.size == picture.size == (SIDE, SIDE)
        apart = np.abs(np.asarray(shipped, dtype=float) - np.asarray(picture, dtype=float))
        assert apart.mean() < 4  # JPEG
        # Another order of the pieces, or the photographs the other way round, would be told.
        other = in_pieces(taken["cat"], seed=6) if name == "pieces" else two_at_once(taken["cat"], taken["cup"])
        assert np.abs(np.asarray(shipped, dtype=float) - np.asarray(other, dtype=float)).mean() > 20


def test_pieces_are_the_picture_in_another_order() -> None:
    photograph = read_image(samples()["cat"]).image
    pixels, moved = (np.asarray(one) for one in (square(photograph), in_pieces(photograph)))
    assert not np.array_equal(pixels, moved)
    assert np.array_equal(np.sort(pixels.reshape(-1, 3), 0), np.sort(moved.reshape(-1, 3), 0))


def test_suffixes_cover_the_formats() -> None:
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in images.SUFFIXES} == set(images.FORMATS)
    assert json.loads(asset("images", "index.json").read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------- numbers that are not of 8 bits


@pytest.mark.parametrize(("largest", "white"), [(200, 255), (256, 1023), (1023, 1023), (4095, 4095), (4096, 16383)])
@pytest.mark.parametrize("kind", ["uint16", "int16", "int32", "uint32", "int64", "float32", "float64"])
def test_white_is_what_the_fewest_bits_hold(kind: str, largest: int, white: int) -> None:
    """A 12-bit picture is as bright in a 16-bit file as in an array, and is told."""
    ramp = np.linspace(0, largest, 40 * 50).reshape(40, 50).astype(kind)
    expected = np.repeat(np.rint(ramp.astype(float) * 255 / white).astype(np.uint8)[..., None], 3, 2)
    tensor = torch.from_numpy(ramp.astype("int64") if kind in ("uint32",) else ramp)
    for source in (ramp, tensor, tiff(ramp[..., None])):
        picture = read_image(source)
        np.testing.assert_array_equal(np.asarray(picture.image), expected)
        assert f"0 is shown black and {white} white" in picture.notes[0]


def test_the_same_numbers_give_the_same_picture_however_they_are_stored() -> None:
    """12 bits in colour: PNG (each filter and kind of colour), TIFF, array, tensor; with and without transparency."""
    colour = RNG.integers(0, 4096, (21, 34, 3), dtype=np.uint16)
    expected = np.rint(colour / 4095.0 * 255).astype(np.uint8)
    alpha = np.full((21, 34, 1), 65535, np.uint16)
    alpha[:5] = 0
    on_white = np.where(alpha == 0, 255, expected)
    for filter in (0, 1, 2, 4):
        np.testing.assert_array_equal(pixels(deep_png(colour, filter)), expected)
        np.testing.assert_array_equal(pixels(deep_png(np.dstack([colour, alpha]), filter)), on_white)
        grey = np.ascontiguousarray(colour[..., :1])
        np.testing.assert_array_equal(pixels(deep_png(grey, filter))[..., 0], expected[..., 0])
        np.testing.assert_array_equal(pixels(deep_png(np.dstack([grey, alpha]), filter))[..., 0], on_white[..., 0])
    for source in (colour, torch.from_numpy(colour.astype(np.int32)).permute(2, 0, 1), tiff(colour, 2)):
        np.testing.assert_array_equal(pixels(source), expected)
    assert "12 bits" in read_image(deep_png(colour)).notes[0]
    key = deep_png(colour, 0, chunk(b"tRNS", colour[3, 4].astype(">u2").tobytes()))
    assert (pixels(key)[3, 4] == 255).all()


def test_floats() -> None:
    ramp = np.linspace(0, 1, 2000).reshape(40, 50)
    expected = np.rint(ramp * 255)
    for kind in (np.float16, np.float32, np.float64):
        picture = read_image(ramp.astype(kind))
        assert np.abs(np.asarray(picture.image)[..., 0] - expected).max() <= (1 if kind == np.float16 else 0)
        assert picture.notes == ()
    np.testing.assert_array_equal(pixels(torch.from_numpy(ramp))[..., 0], expected)
    # What resampling overshoots is cut off, not stretched; both are said.
    over = read_image(ramp * 1.06 - 0.03)
    assert "0 is shown black and 1 white" in over.notes[0]
    np.testing.assert_array_equal(np.asarray(over.image)[..., 0], np.rint((ramp * 1.06 - 0.03).clip(0, 1) * 255))
    # A radiance up to 3.7, and a normalised tensor.
    np.testing.assert_array_equal(pixels(ramp * 3.7)[..., 0], expected)
    normalised = read_image((ramp - 0.5) / 0.25)
    assert "-2 is shown black and 2 white" in normalised.notes[0]
    assert "infinite" in refusal(np.array([[0.0, np.inf]]))


def test_constant_numbers_and_extremes() -> None:
    assert (pixels(np.full((4, 4), 1000, np.uint16)) == round(1000 / 1023 * 255)).all()
    assert (pixels(np.full((4, 4), 0.5)) == 128).all()
    assert (pixels(np.full((4, 4), -3, np.int16)) == 0).all()
    wide = np.array([[0, 2**40 - 1]], np.int64)
    assert pixels(wide)[0, :, 0].tolist() == [0, 255]
    assert pixels(np.array([[-(2**31), 2**31 - 1]], np.int32))[0, :, 0].tolist() == [0, 255]
    assert pixels(np.array([[0, 2**64 - 1]], np.uint64))[0, :, 0].tolist() == [0, 255]


def test_what_is_nearly_black_or_white_is_told() -> None:
    dark = RNG.integers(0, 10, (50, 60, 3), dtype=np.uint8)
    for source, word in ((dark, "black"), (255 - dark, "white"), (encode(Image.fromarray(dark)), "black")):
        notes = read_image(source).notes
        assert [note.startswith(f"Nearly {word}") for note in notes] == [True]
        assert "8 bits" in notes[0]  # the way on
    lit = dark.copy()
    lit[20:30, 20:40] = 200
    assert read_image(lit).notes == ()
    # One hot pixel of a camera makes all others dark: told too.
    hot = RNG.integers(0, 100, (100, 100), dtype=np.uint16)
    hot[3, 3] = 65535
    assert any("Nearly black" in note for note in read_image(hot).notes)


# ---------------------------------------------------------------------------------------------- unusual TIFFs


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("rows", "tile"), [(None, None), (7, None), (16, 32)])
@pytest.mark.parametrize(
    ("kind", "predictor"),
    [("u1", 1), ("u1", 2), ("i2", 1), ("u2", 2), ("u4", 2), ("i8", 1), ("f2", 3), ("f4", 1), ("f4", 3), ("f8", 3)],
)
def test_bands_of_a_tiff(
    order: str, planar: bool, rows: int | None, tile: int | None, kind: str, predictor: int
) -> None:
    """Every arrangement of samples gives what the same numbers give as an array."""
    for count in (1, 3, 5, 13):
        numbers = RNG.random((37, 53, count)) * (1 if kind[0] == "f" else 250 if kind == "u1" else 3000)
        array = np.ascontiguousarray(numbers.astype(kind))
        data = tiff(
            array,
            1 if count == 1 else 2,
            order=order,
            planar=planar,
            predictor=predictor,
            compression=1 if predictor == 1 else 8,
            rows=rows,
            tile=tile,
            extra=(0,) * max(0, count - 3),
        )
        np.testing.assert_array_equal(pixels(data), pixels(np.ascontiguousarray(array[..., : 3 if count > 1 else 1])))
        if count > 3:
            assert f"{count} bands: 1, 2 and 3 are shown" in read_image(data).notes[0]
            chosen = np.asarray(read_image(data, (5, 2, 4)).image)
            np.testing.assert_array_equal(chosen, np.asarray(read_image(array, (5, 2, 4)).image))
            single = np.asarray(read_image(data, (4,)).image)
            np.testing.assert_array_equal(single, pixels(np.ascontiguousarray(array[..., 3])))


def test_bands_are_chosen_of_any_picture() -> None:
    np.testing.assert_array_equal(np.asarray(read_image(encode(PHOTO), (3, 2, 1)).image), PIXELS[..., ::-1])
    np.testing.assert_array_equal(np.asarray(read_image(encode(PHOTO, "TIFF"), (3, 2, 1)).image), PIXELS[..., ::-1])
    np.testing.assert_array_equal(np.asarray(read_image(PIXELS, (2,)).image)[..., 0], PIXELS[..., 1])
    for wrong, words in (((4, 1, 1), "3 bands"), ((1, 2), "one number or three"), ((0,), "counted from 1")):
        with pytest.raises(ImageError, match=words):
            read_image(encode(PHOTO), wrong)


def test_colours_of_a_tiff() -> None:
    smooth = Image.fromarray(np.kron(RNG.integers(60, 190, (5, 7, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)))
    rgb = np.asarray(smooth).astype(int)

    def far(data: bytes) -> int:
        return int(np.abs(pixels(data).astype(int) - rgb).max())

    ycc = np.asarray(smooth.convert("YCbCr"))
    assert far(tiff(ycc, 6, t530=(1, 1))) <= 3
    blocks = ycc[..., 0].reshape(20, 2, 28, 2).swapaxes(1, 2).reshape(20, 28, 4)
    packed = np.concatenate([blocks, ycc[::2, ::2, 1:]], 2)
    halved = tiff(packed.reshape(20, 28, 6), 6, t256=(56,), t257=(40,), t278=(40,), t277=(3,), t258=(8, 8, 8))
    assert far(halved) <= 3
    assert far(encode(smooth, "TIFF", compression="jpeg", quality=98)) <= 6
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    as_lab = ImageCms.profileToProfile(smooth, srgb, lab, outputMode="LAB")
    assert as_lab is not None
    assert far(encode(as_lab, "TIFF")) <= 12  # 8 bits of CIELAB are coarse
    ink = np.full((9, 9, 4), (0, 65535, 65535, 0), np.uint16)
    assert pixels(tiff(ink, 5))[0, 0].tolist() == [255, 0, 0]
    assert pixels(encode(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "TIFF"))[0, 0].tolist() == [255, 0, 0]
    dark_first = np.tile(np.array([0, 65535], np.uint16), (9, 9))[..., None]
    assert pixels(tiff(dark_first, 0))[0, :2, 0].tolist() == [255, 0]  # WhiteIsZero
    for mode in ("1", "L", "LA", "P", "RGBA"):
        stored = smooth.convert(mode)
        np.testing.assert_array_equal(pixels(encode(stored, "TIFF")), np.asarray(stored.convert("RGB")))
    for turn in range(1, 9):
        turned = read_image(tiff(np.asarray(smooth), 2, t274=(turn,))).image
        exif = Image.Exif()
        exif[0x0112] = turn
        assert turned.tobytes() == read_image(encode(smooth, exif=exif)).image.tobytes()


def test_a_tiff_that_cannot_be_read_says_what_it_is() -> None:
    for tags, words in (
        ({"t258": (12, 12, 12)}, "3 bands of 12 bits, RGB"),
        ({"t258": (8, 8, 16)}, "3 bands of 8/16 bits"),
        ({"t259": (34712,)}, "compression 34712"),
        ({"t339": (6, 6, 6), "t258": (32, 32, 32)}, "complex"),
        ({"t339": (1, 1, 3)}, "several types"),
    ):
        message = refusal(tiff(PIXELS, 2, **tags))
        assert words in message
        assert "save" in message


def test_a_jpeg_that_cannot_be_read_says_what_it_is() -> None:
    data = encode(PHOTO, "JPEG")
    place = data.index(b"\xff\xc0")
    deep = data[: place + 4] + b"\x0c" + data[place + 5 :]
    assert "JPEG of 3 channels of 12 bits" in refusal(deep)
    assert "lossless JPEG" in refusal(data[: place + 1] + b"\xc3" + data[place + 2 :])


# ------------------------------------------------------------------------------------------- files that cost too much


def hostile() -> dict[str, tuple[bytes, str]]:
    """Name -> file, and what is said: the beginning of an error, or of a note."""
    progressive = encode(PHOTO.resize((2000, 1500)), "JPEG", progressive=True, quality=5)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    page = tiff(PIXELS, 2)
    start = struct.unpack_from("<I", page, 4)[0]
    entries = page[start:-4]
    pages = bytearray(page[:-4])
    for _ in range(60_000):
        pages += struct.pack("<I", len(pages) + 4) + entries
    loop = page[:-4] + struct.pack("<I", start)
    frames = [Image.new("L", (64, 64), 40 + number % 200) for number in range(2000)]
    gif = encode(frames[0], "GIF")
    after = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 100_000 + b"\0"
    text = zlib.compress(bytes(2**27), 9)
    picture, end = encode(PHOTO), 33
    claims = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535)
    claims += b"".join(struct.pack("<HHII", number, 7, 2**22, 8) for number in range(65535)) + bytes(2**22)
    run = struct.pack("<IHHI", 0, 0, 0, 1078) + struct.pack("<IiiHHIIiiII", 40, 7000, 7000, 1, 8, 1, 0, 0, 0, 256, 0)
    webp = bytearray(encode(PHOTO, "WEBP", exif=b"Exif\0\0II*\0"))
    canvas = webp.index(b"VP8X") + 12
    webp[canvas : canvas + 6] = b"\xff\xff\0\xff\xff\0"

    def with_chunk(kind: bytes, data: bytes, times: int = 1) -> bytes:
        return picture[:end] + chunk(kind, data) * times + picture[end:]

    return {
        "20,000 scans": (progressive[:-2] + scan * 20_000 + b"\xff\xd9", "more than 64 scans"),
        "a million segments": (
            b"\xff\xd8" + b"\xff\xe0\0\2" * 1_000_000 + encode(PHOTO, "JPEG")[2:],
            "200000 segments",
        ),
        "60,000 pages": (bytes(pages) + bytes(4), "Several pages: page 1 is used."),
        "pages in a ring": (loop, "Several pages: page 1 is used."),
        "tags that claim everything": (claims, "it has no pixels"),
        "2,000 frames": (encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), "Animated"),
        "25 MB of comment": (gif[:after] + comment + gif[after:], ""),
        "blocks without end": (gif[:after] + b"!\xfe" + b"\1a" * 9_000_000, "200000 blocks"),
        "megabytes of text": (with_chunk(b"tEXt", b"Comment\0" + b"a" * 5_000_000), ""),
        "text that unfolds": (with_chunk(b"zTXt", b"Comment\0\0" + text, 20), ""),
        "international text that unfolds": (with_chunk(b"iTXt", b"Comment\0\1\0\0\0" + text, 20), ""),
        "a profile that unfolds": (with_chunk(b"iCCP", b"x\0\0" + text), ""),
        "two million chunks": (with_chunk(b"tEXt", b"", 2_000_000), "200000 chunks"),
        "pixels that go on": (png(100, 100, 8, 2, bytes(2**28)), "Nearly black"),
        "EXIF that claims everything": (with_chunk(b"eXIf", claims), ""),
        "a bitmap in runs": (b"BM" + run + bytes(1024) + b"\1\1" * 5_000_000, "compressed BMP of 10 MB"),
        "a canvas of 4 billion pixels": (bytes(webp), "4295 million pixels"),
        "a tile of 4 billion pixels": (tiff(PIXELS, 2, rows=20, tile=30, t322=(65536,), t323=(65536,)), "tiles of"),
        "a thousand bands": (tiff(np.zeros((400, 500, 1), np.uint8), 1, t277=(1000,)), "unfolds to 200 MB"),
    }


HOSTILE = hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_what_costs_too_much_is_answered_at_once(name: str) -> None:
    data, words = HOSTILE[name]
    assert len(data) <= MAX_BYTES  # no other limit answers
    start = time.perf_counter()
    try:
        said = " ".join(read_image(data).notes)
    except ImageError as error:
        said = str(error)
    assert time.perf_counter() - start < 2
    assert words in said if words else not said


def test_frames_are_not_counted_by_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    files = [encode(frames[0], format, save_all=True, append_images=frames[1:]) for format in ("GIF", "TIFF")]
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.n_frames", property(lambda _: pytest.fail("counted")))
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.n_frames", property(lambda _: pytest.fail("counted")))
    for data in files:
        assert read_image(data).notes
        with Image.open(io.BytesIO(data)) as opened:
            assert read_image(opened).notes == read_image(data).notes
