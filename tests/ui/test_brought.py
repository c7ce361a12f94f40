"""Sets of pictures that visitors bring: what a zip may hold, what is refused and why, and measuring on them."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explorer.errors import ParameterError
from explorer.ui import brought
from explorer.ui.answers import Answers
from explorer.ui.brought import Sets
from explorer.ui.handlers import Handlers
from explorer.ui.measuring import Measuring, Wanted
from explorer.ui.scratch import scratch, take_uploads
from explorer.ui.share import written_out

from .visit import SLOW

CONFLICTS = ("cat1-elephant2.png", "dog3-clock1.png", "car2-car5.png", "bear1-bottle2.png")
MODELS = ["random/test_resnet"]


def picture(seed: int = 0, side: int = 40) -> bytes:
    file = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def upload(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """Lay files where gradio lays uploads, and say of them what gradio says."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    take_uploads()

    def lay(**files: bytes) -> list[dict[str, str]]:
        out = []
        for number, (name, content) in enumerate(files.items()):
            path = Path(os.environ["GRADIO_TEMP_DIR"], f"{tmp_path.name}-{number}", "sent")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            out.append({"path": str(path), "name": name})
        return out

    return lay


def test_a_zip_becomes_a_folder_that_the_probes_read(upload: Any):
    files = {f"cues/cat/{name}": picture(at) for at, name in enumerate(CONFLICTS)}
    files |= {
        "__MACOSX/cues/._x.png": b"x",
        "cues/readme.txt": b"x",
        "cues/dog1-cat1.png": b"no picture",
        "cues/empty/": b"",
    }
    sets = Sets()
    sent = upload(**{"my cues.zip": zipped(files)})
    found = sets.add(sent)
    assert found.count == 4
    assert sorted(one.name for one in found.folder.rglob("*.png")) == sorted(CONFLICTS)
    assert not list(found.folder.rglob("readme.txt"))
    (note,) = found.notes
    assert "1 file could not be read and was left out: dog1-cat1.png" in note
    assert sets.add(sent) == found, "the same files are the same set"
    assert sets.get(found.name) == found
    # Two zips and a picture together.
    more = sets.add(
        upload(**{"a.zip": zipped({"a/x.png": picture()}), "b.zip": zipped({"b/x.png": picture()}), "y.png": picture()})
    )
    assert (more.count, more.name == found.name) == (3, False)


def test_shape_bias_is_measured_on_what_was_brought(upload: Any):
    measuring = Measuring(Handlers(Answers(folders=False, device="cpu")))
    told = json.loads(measuring.bring(upload(**{"cues.zip": zipped({n: picture(i) for i, n in enumerate(CONFLICTS)})})))
    asked = {"probe": "shape-bias", "parameters": {}, "shown": told["shown"]}
    *_, last = measuring.measure({}, MODELS, {}, asked)
    result = last[1]["shape-bias"]
    assert result.share == 1
    (shown,) = result.stimuli.values()
    assert shown.startswith("3 cue conflicts, 1 with shape = texture dropped")
    assert json.loads(last[0])["asked"]["shown"] == told["shown"]
    code = json.loads(written_out(measuring.handlers, MODELS, {}, asked))
    assert "'pictures'" in code["python"] or '"pictures"' in code["python"]
    assert "--images pictures" in code["command"]
    # Other pictures: what is missing is said, and no place of the server.
    told = json.loads(measuring.bring(upload(**{"x.png": picture(9)})))
    with pytest.raises(Exception, match="has no cue conflicts") as error:
        list(measuring.measure({}, MODELS, {}, {**asked, "shown": told["shown"]}))
    assert "cat7-elephant2.png" in str(error.value)
    with pytest.raises(Exception, match="no longer on the server"):
        list(measuring.measure({}, MODELS, {}, {**asked, "shown": f"set:{'0' * 24}"}))


def test_context_is_measured_on_pictures_with_masks(upload: Any):
    mask = io.BytesIO()
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), 10)).save(mask, "PNG")
    files = {
        f"{name}{end}": content
        for name in "ab"
        for end, content in ((".png", picture(1)), ("_mask.png", mask.getvalue()))
    }
    measuring = Measuring(Handlers(Answers(folders=False, device="cpu")))
    told = json.loads(measuring.bring(upload(**files)))
    asked = {"probe": "context", "parameters": {"swaps": 1}, "shown": told["shown"]}
    *_, last = measuring.measure({}, MODELS, {}, asked)
    assert {row["view"] for row in last[1]["context"].rows if "view" in row} >= {
        "background occluded",
        "object occluded",
    }
    told = json.loads(measuring.bring(upload(**{"bare.png": picture(2)})))
    with pytest.raises(Exception, match=r"dog_mask\.png"):
        list(measuring.measure({}, MODELS, {}, {**asked, "shown": told["shown"]}))


def linked() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        one = zipfile.ZipInfo("x.png")
        one.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(one, "/etc/passwd")
    return file.getvalue()


def locked() -> bytes:
    made = bytearray(zipped({"x.png": picture()}))
    for head, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        made[made.index(head) + place] |= 1
    return bytes(made)


def understated(real: int, said: int) -> bytes:
    """An archive whose entry holds more than it says."""
    made = bytearray(zipped({"x.png": bytes(real)}))
    for head, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = made.index(head) + place
        made[at : at + 4] = said.to_bytes(4, "little")
    return bytes(made)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (zipped({"../x.png": picture()}), "leads out of the archive"),
        (zipped({"a/../../x.png": picture()}), "leads out of the archive"),
        (zipped({"/etc/x.png": picture()}), "leads out of the archive"),
        (zipped({"..\\x.png": picture()}), "leads out of the archive"),
        (zipped({"C:/x.png": picture()}), "leads out of the archive"),
        (zipped({"a/b/c/d/e/x.png": picture()}), "too deep"),
        (zipped({f"{'n' * 200}.png": picture()}), "too long"),
        (zipped({"x.png": picture(), "X.png": picture()}), "two files are called"),
        (zipped({"x.png": picture(), "x.png/y.png": picture()}), "a file and a folder at once"),
        (zipped({"x.png": bytes(brought.MAX_BYTES + 1)}), "larger than 32 MB"),
        (zipped({f"{at}.png": bytes(30 * 2**20) for at in range(9)}), "take more than 256 MB"),
        (zipped({f"{at}.png": b"" for at in range(brought.MOST_FILES + 1)}), "more than 2000 files"),
        (zipped({"readme.txt": b"x"}), "nothing in it is a picture"),
        (zipped({"x.png": b"x"}), "nothing in it is a picture"),
        (zipped({}), "nothing in it is a picture"),
        (linked(), "is a link"),
        (locked(), "locked by a password"),
        (understated(2**20, 100), "no zip that can be read"),
        (b"PK no zip", "no zip that can be read"),
        (zipped({"x.png": picture()})[:-30], "no zip that can be read"),
    ],
)
def test_what_a_zip_may_not_hold_is_refused_and_said(upload: Any, content: bytes, problem: str):
    sent = upload(**{"set.zip": content})
    before = set(scratch().iterdir())
    with pytest.raises(ParameterError, match=problem):
        Sets().add(sent)
    assert set(scratch().iterdir()) == before, "nothing of it stays"


@pytest.mark.parametrize("sent", [None, "x", [], [None], [{"path": "/etc/passwd", "name": "x.png"}], [{}]])
def test_what_was_not_uploaded_is_not_read(sent: Any):
    with pytest.raises(ParameterError, match=r"no file came|was not uploaded here"):
        Sets().add(sent)


def test_old_sets_go_where_there_is_no_room(upload: Any, monkeypatch: pytest.MonkeyPatch):
    sets = Sets()
    first = sets.add(upload(**{"x.png": picture(1)}))
    monkeypatch.setattr(brought, "SETS_BYTES", first.nbytes + 10)
    second = sets.add(upload(**{"x.png": picture(2)}))
    assert not first.folder.exists()
    assert second.folder.exists()
    with pytest.raises(ParameterError, match="no longer on the server"):
        sets.get(first.name)


@pytest.mark.parametrize("shown", ["set:../../x", "set:", f"set:{'0' * 23}", f"set:{'0' * 24}/..", 7, None, ["stage"]])
def test_no_other_name_is_a_set(shown: Any):
    assert Wanted.parse({"probe": "shape-bias", "shown": shown}).shown == "several"


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png", "C:/x.png", "..\\x.png"])
def test_a_folders_file_leads_nowhere_else(upload: Any, name: str):
    with pytest.raises(ParameterError, match="leads out of"):
        Sets().add(upload(**{name: picture()}))


def test_a_folder_keeps_its_folders_and_an_archive_in_it_is_unpacked(upload: Any):
    sent = {
        "mine/cat/a.png": picture(1),
        "mine/dog/a.png": picture(2),
        "mine/dog/more.zip": zipped({"b.png": picture(3)}),
    }
    found = Sets().add(upload(**sent))
    assert found.count == 3
    assert {one.relative_to(found.folder).as_posix() for one in found.folder.rglob("*.png")} == {
        "mine/cat/a.png", "mine/dog/a.png", "b.png",
    }  # fmt: skip


def test_why_a_set_is_not_taken_is_told_without_paths(upload: Any):
    told = json.loads(Measuring(Handlers(Answers(False))).bring(upload(**{"x.png": b"no picture"})))
    assert "nothing in it is a picture" in str(told["refused"])
    assert os.environ["GRADIO_TEMP_DIR"] not in json.dumps(told)
    assert told["shown"] == ""


@pytest.mark.browser
def test_a_set_is_dropped_and_measured(chromium: Any, plain_server: str):
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(SLOW)
    page.goto(f"{plain_server}#tab=biases&bias=6")
    page.locator("#probe-shape [role=radio][data-name=shape-bias]").click()
    page.locator("#bring-shape").get_by_role("button", name="Your own pictures").click()
    page.get_by_text("cat7-elephant2.png").locator("visible=true").wait_for()
    chosen = page.locator("#own-files-shape")

    def bring(name: str, content: bytes) -> None:
        chosen.set_input_files([{"name": name, "mimeType": "application/zip", "buffer": content}])

    bring("bad.zip", zipped({"../x.png": picture()}))
    page.get_by_text("'../x.png' leads out of the archive").wait_for()
    bring("cues.zip", zipped({name: picture(at) for at, name in enumerate(CONFLICTS)}))
    page.get_by_text("Read: your 4 pictures. Press Measure.").wait_for()
    assert page.locator("#shown-shape option:checked").text_content() == "your 4 pictures"
    page.locator("#probe-shape").get_by_role("button", name="Measure").click()
    page.locator("#state-shape .working span", has_text="Measured").wait_for()
    page.get_by_text("3 cue conflicts, 1 with shape = texture dropped").first.wait_for()
    page.close()


@pytest.mark.browser
def test_a_folder_is_dropped_from_the_desktop_or_chosen(chromium: Any, plain_server: str, tmp_path: Path):
    folder = tmp_path / "cues"
    for at, name in enumerate(CONFLICTS):
        place = folder / ("first" if at % 2 else "second")
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(picture(at))
    (folder / "notes.txt").write_text("not sent", encoding="utf-8")
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(SLOW)
    page.on("filechooser", lambda _: None)  # from now on the browser tells of them, in place of opening a window
    page.goto(f"{plain_server}#tab=biases&bias=6")
    page.locator("#bring-shape").get_by_role("button", name="Your own pictures").click()
    zone = page.locator("#brought-shape .drop")
    zone.scroll_into_view_if_needed()
    box = zone.bounding_box()
    devtools = page.context.new_cdp_session(page)

    def drop(path: Path) -> None:
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})

    status = page.locator("#brought-shape [role=status]")
    drop(folder / "notes.txt")
    status.get_by_text("Nothing in it is a picture or a zip").wait_for()
    drop(folder)
    status.get_by_text("Read: your 4 pictures. Press Measure.").wait_for()
    page.locator("#own-folder-shape").set_input_files(folder / "first")
    status.get_by_text("Read: your 2 pictures. Press Measure.").wait_for()
    assert page.locator("#shown-shape option:checked").text_content() == "your 2 pictures"
    # With the keyboard alone.
    page.locator("#brought-shape").get_by_role("button", name="Choose a folder").focus()
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Enter")
    choosing.value.set_files(folder / "second")
    status.get_by_text("Read: your 2 pictures. Press Measure.").wait_for()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"no picture")
    drop(tmp_path / "broken")
    status.get_by_text("Nothing in it is a picture that can be read").wait_for()
    assert zone.get_by_role("button", name="Choose files").is_enabled()
    page.close()
