"""Strangers' pictures are decoded in a process of its own, which is ended when one takes too long."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.errors import ImageError
from explorer.images import read_image
from explorer.images.worker import MEMORY, Decoders, decode

from .files import png

#: A decoder that never comes back from a picture called hang.png, dies of one called crash.png, and for want of memory
#: of one called large.png.
STAND_IN = """
import os, time
import numpy as np
from explorer.images import worker
real = worker.read_image
def read_image(path):
    if path.endswith("hang.png"):
        time.sleep(600)
    if path.endswith("crash.png"):
        os._exit(3)
    if path.endswith("large.png"):
        np.ones(2**40, np.uint8)
    if path.endswith("limited.png"):
        np.zeros(worker.MEMORY + 1, np.uint8)
    return real(path)
worker.read_image = read_image
worker.main()
"""


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    """With the stand-in, and a short limit."""
    found = Decoders(3.0, (sys.executable, "-c", STAND_IN))
    yield found
    found.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture that is turned by its EXIF data, so that there is a note."""
    path = tmp_path / "photo.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path, exif=exif)
    return path


def copy(photo: Path, name: str) -> Path:
    path = photo.with_name(name)
    path.write_bytes(photo.read_bytes())
    return path


def test_it_answers_as_in_the_process(photo: Path) -> None:
    picture, digest = decode(photo)
    here = read_image(photo)
    assert picture.image.tobytes() == here.image.tobytes()
    assert (picture.image.size, picture.notes, picture.name) == ((40, 60), here.notes, "photo.png")
    assert digest == hashlib.sha256(repr(picture.image.size).encode() + picture.image.tobytes()).hexdigest()
    photo.write_bytes(b"no picture at all")
    with pytest.raises(ImageError) as there:
        decode(photo)
    with pytest.raises(ImageError) as own:
        read_image(photo)
    assert str(there.value) == str(own.value)


def test_a_place_on_the_server_is_not_said(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no longer there") as caught:
        decode(tmp_path / "gone.png")
    assert str(tmp_path) not in str(caught.value)


def test_a_decoder_that_hangs_is_ended_while_others_are_served(decoders: Decoders, photo: Path) -> None:
    hanging = copy(photo, "hang.png")
    with ThreadPoolExecutor() as pool:  # both processes start, which takes its time on a busy machine
        assert len(list(pool.map(decoders.decode, [photo] * 4))) == 4
    said: list[str] = []

    def hang() -> None:
        try:
            decoders.decode(hanging)
        except ImageError as error:
            said.append(str(error))

    other = threading.Thread(target=hang)
    begin = time.perf_counter()
    other.start()
    time.sleep(0.1)
    assert decoders.decode(photo)[0].image.size == (40, 60)
    assert not said  # it was served while the other hung
    other.join()
    assert time.perf_counter() - begin < 20
    assert "hang.png took more than 3 seconds" in said[0]
    assert decoders.decode(photo)[0].image.size == (40, 60)


def test_a_decoder_that_dies_is_replaced(decoders: Decoders, photo: Path) -> None:
    with pytest.raises(ImageError, match=r"crash\.png"):
        decoders.decode(copy(photo, "crash.png"))
    assert decoders.decode(photo)[0].image.size == (40, 60)
    for one in decoders._free:  # as when the system takes one for want of memory
        one._process.kill()
        one._process.wait()
    assert decoders.decode(photo)[0].image.size == (40, 60)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps RLIMIT_AS")
def test_memory_is_bounded(decoders: Decoders, photo: Path) -> None:
    assert MEMORY < 2**40
    for name in ("large.png", "limited.png"):
        with pytest.raises(ImageError, match="too much memory"):
            decoders.decode(copy(photo, name))
    assert decoders.decode(photo)[0].image.size == (40, 60)


def test_the_largest_pictures_fit_the_memory(tmp_path: Path) -> None:
    side = 7071
    (tmp_path / "large.png").write_bytes(png(side, side, 8, 6, bytes((4 * side + 1) * side)))
    with_time = Decoders(60.0)
    assert with_time.decode(tmp_path / "large.png")[0].image.size == (side, side)
    with_time.close()


def test_the_process_starts_without_torch() -> None:
    code = "import sys, explorer.images.worker; print({'torch', 'gradio', 'timm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_nothing_is_left_at_exit(photo: Path) -> None:
    code = """
import sys
from explorer.images import worker
worker.decode(sys.argv[1])
print(worker._decoders._free[0]._process.pid)
"""
    done = subprocess.run([sys.executable, "-c", code, str(photo)], capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
