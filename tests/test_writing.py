"""Files are written whole or not at all: on a full disk every verb says so in a sentence, and loses nothing else."""

from __future__ import annotations

import ast
import contextlib
import errno
import json
import os
import resource
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from explorer import writing
from explorer.cli.main import main
from explorer.errors import TrainingError, WriteError
from explorer.lab import experiment, grid, tasks, training
from explorer.lab.grid import train_grid
from explorer.lab.networks import LabModel
from explorer.lab.recipes import Recipe
from explorer.lab.table import FILE
from explorer.lab.training import train
from explorer.scenes import CENTRED
from explorer.writing import check_writable, make_folder, write

ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def room(count: int) -> Iterator[None]:
    """Files of this process have at most ``count`` bytes; what is more is refused by the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    """Every file and folder below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ---- the one way ----------------------------------------------------------------------------------------------------


def test_nothing_else_opens_a_file_for_writing():
    """Found by the calls in the code: who writes makes bytes and hands them to `write`."""
    writers = {"write_text", "write_bytes", "to_parquet", "to_csv", "to_json", "save_file", "write_html", "write_image"}
    writers |= {"mkdir", "makedirs", "touch", "rename", "mkstemp", "mkdtemp", "gettempdir", "NamedTemporaryFile"}
    writers |= {"TemporaryDirectory", "TemporaryFile", "SpooledTemporaryFile", "copyfile", "copy2", "copytree"}
    found = []
    for file in sorted((ROOT / "explorer").rglob("*.py")):
        if file == ROOT / "explorer" / "writing.py":
            continue
        code = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(code)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            owner = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
            wrong = name in writers or (owner in ("shutil", "os") and name in ("copy", "move", "replace"))
            if name in ("savefig", "write_table", "ParquetWriter", "ZipFile") or (
                name == "save" and len(node.args) > 1
            ):
                given = [one.id for one in node.args if isinstance(one, ast.Name)]
                in_memory = any(f"{one} = io.{kind}()" in code for one in given for kind in ("BytesIO", "StringIO"))
                # Ours, and that of a ParquetWriter, which was told where to.
                ours = name == "write_table" and (owner == "" or len(node.args) == 1)
                wrong = not (in_memory or ours or (name == "ZipFile" and len(node.args) == 1))
                # The one that draws a sheet, and the one that makes bytes.
                wrong = wrong and not (
                    name == "save" and (owner == "" or ast.unparse(called) == "safetensors.torch.save")
                )
            if name == "open" and owner != "os":
                modes = [one.value for one in (*node.args, *(key.value for key in node.keywords)) if _is_text(one)]
                wrong = wrong or any(set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes)
            if wrong:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno} {name}")
    assert not found


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_a_file_is_written_whole_and_replaces_another_of_its_name(tmp_path):
    file = tmp_path / "a.txt"
    assert write(file, "né") == file
    assert file.read_bytes() == "né".encode()
    file.chmod(0o640)
    write(file, b"other")
    assert file.read_bytes() == b"other"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    (tmp_path / "link").symlink_to(file)
    write(tmp_path / "link", b"through")
    assert (tmp_path / "link").is_symlink()
    assert file.read_bytes() == b"through"
    write(tmp_path / ("n" * 255), b"")  # a name as long as one can be
    write(file, "\udcff")  # of a file's name that is no text
    assert file.read_bytes() == rb"\udcff"
    assert names(tmp_path) == sorted(["a.txt", "link", "n" * 255])


@pytest.mark.parametrize("number", [*writing._REASONS, errno.ENXIO])
@pytest.mark.parametrize("step", ["open", "fsync", "chmod", "replace"])
def test_whatever_fails_at_whatever_step_leaves_what_was_there(tmp_path, monkeypatch, number, step):
    file = tmp_path / "a.txt"
    file.write_bytes(b"before")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere/else")

    if step == "open":
        monkeypatch.setattr(Path, "open", fail)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(WriteError, match=r"a\.txt' cannot be written: .+\. The rest is kept$") as caught:
        write(file, b"after", "The rest is kept")
    monkeypatch.undo()
    said = str(caught.value)
    assert "somewhere" not in said
    assert "Errno" not in said
    assert number == errno.ENXIO or writing._REASONS[number] in said
    assert names(tmp_path) == ["a.txt"]
    assert file.read_bytes() == b"before"


def test_an_interruption_leaves_what_was_there(tmp_path, monkeypatch):
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.txt", b"after")
    assert not names(tmp_path)


def places(folder: Path) -> dict[str, tuple[Path, str]]:
    """Places where no file can be written, and what is said of each."""
    (folder / "folder").mkdir()
    (folder / "file").touch()
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "device").symlink_to("/dev/full")
    os.mkfifo(folder / "pipe")
    return {
        "folder": (folder / "folder", "a folder has this name"),
        "absent": (folder / "absent" / "a", "there is no folder '.*absent'; make it"),
        "file": (folder / "file" / "a", "what should be its folder is a file"),
        "long": (folder / ("n" * 256), "its name is too long"),
        "device": (folder / "device", "it is a device or a pipe"),
        "pipe": (folder / "pipe", "it is a device or a pipe"),
        "nul": (folder / "a\0b", "null"),
    }


@pytest.mark.parametrize("name", ["folder", "absent", "file", "long", "device", "pipe", "nul"])
def test_a_place_that_cannot_be_written_is_told_before_the_work_and_after_it(tmp_path, name):
    path, said = places(tmp_path)[name]
    before = names(tmp_path)
    for attempt in (check_writable, lambda place: write(place, b"")):
        with pytest.raises(WriteError, match=f"cannot be written: .*{said}"):
            attempt(path)
    assert names(tmp_path) == before
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    if name in ("file", "nul"):
        with pytest.raises(WriteError, match="cannot be written"):
            make_folder(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_is_not_yours_to_write_is_told(tmp_path):
    file = tmp_path / "a"
    file.touch(0o444)
    with pytest.raises(WriteError, match="you may not write there"):
        check_writable(file)


# ---- every verb, with too little room ------------------------------------------------------------------------------

MODEL = "random/test_resnet"
Said = Callable[[], str]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with what verbs read: two classes of two pictures."""
    for number, colour in enumerate(("red", "blue", "green", "white")):
        place = tmp_path / "pictures" / ("a" if number < 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), colour).save(place / f"{number}.png")
    (tmp_path / "out").mkdir()
    return tmp_path


def _lines(error: str) -> list[str]:
    return [line for line in error.replace("\r", "\n").splitlines() if "explorer: error:" in line]


def _refused(command: list[str], capsys, count: int = 200) -> tuple[str, str]:
    """What a verb prints with room for files of ``count`` bytes: its answer, and the one sentence of its error."""
    capsys.readouterr()
    with room(count):
        assert main(command) == 2
    out, error = capsys.readouterr()
    assert "Traceback" not in error
    (said,) = _lines(error)
    assert "ulimit -f" in said
    assert "Errno" not in said
    return out, said


FIGURES = {
    "predict": ["predict", "--model", MODEL, "--image", "cat"],
    "attend": ["attend", "--model", "random/vit_tiny_patch16_224", "--image", "cat"],
    "attribute": ["attribute", "--model", MODEL, "--image", "cat", "--method", "saliency"],
    "compare": ["compare", "--model", MODEL, "--image", "cat", "--method", "none", "--dx", "8"],
    "probe": ["probe", "consistency", "--model", MODEL, "--image", "cat"],
}


@pytest.mark.parametrize("verb", FIGURES)
@pytest.mark.parametrize("ending", [".png", ".svg", ""])
def test_what_was_found_is_printed_where_its_figure_cannot_be_written(folder, capsys, verb, ending):
    if verb in ("attend", "attribute", "compare") and ending != ".png":
        pytest.skip("the same code as predict's")
    place = folder / "out" / f"figure{ending}"
    out, said = _refused([*FIGURES[verb], "--out", str(place), "--json"], capsys)
    record = json.loads(out)
    assert record["command"] == verb
    assert "files" not in record
    assert "What was found is printed all the same" in said
    assert names(folder / "out") == ([] if ending else ["figure"])


def test_files_that_found_room_stay(folder, capsys):
    out, said = _refused([*FIGURES["probe"], "--out", str(folder / "out"), "--json"], capsys, 100_000)
    assert json.loads(out)["files"] == [str(folder / "out" / f"probe.{ending}") for ending in ("png", "svg")]
    assert "probe.html' cannot be written" in said
    assert names(folder / "out") == ["probe.png", "probe.svg"]


def test_an_answer_for_a_full_disk_ends_in_a_sentence(capsys, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["methods"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("explorer: error: 'standard output' cannot be written: the disk is full; make room on it")


def test_a_report_that_finds_no_room_is_kept_among_the_temporary_files_or_said_to_be_lost(folder, capsys, monkeypatch):
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    file = folder / "out" / "a.zip"
    command = ["report", "--model", MODEL, "--image", "cat", "--method", "none", "--out", str(file)]
    _, said = _refused(command, capsys)
    assert "it is lost" in said
    assert not names(temporary)
    assert not names(folder / "out")

    original = writing._beside
    full = folder / "out" / "none" / "a"
    monkeypatch.setattr(writing, "_beside", lambda place: full if place == file and armed else original(place))
    armed = True
    monkeypatch.setattr(sys.modules["explorer.evidence.bundle"], "check_writable", Path)
    assert main(command) == 2
    (line,) = _lines(capsys.readouterr().err)
    (kept,) = temporary.rglob("a.zip")
    assert f"It is kept as '{kept}'" in line
    armed = False
    assert main(command) == 0
    with zipfile.ZipFile(kept) as one, zipfile.ZipFile(file) as other:
        assert one.read("results.parquet") == other.read("results.parquet")


def test_a_fit_without_room_says_so_and_gives_the_same_when_there_is_some(folder, capsys, monkeypatch):
    (folder / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
    file = folder / "out" / "fitted.safetensors"
    file.write_bytes(b"before")
    command = ["fit", f"{MODEL}+eca@3", "--images", str(folder / "pictures"), "--epochs", "1", "--out"]
    _, said = _refused([*command, str(file)], capsys)
    assert "fitted.safetensors' cannot be written" in said
    assert file.read_bytes() == b"before"
    assert names(folder / "out") == ["fitted.safetensors"]
    assert not names(folder / "temporary")
    assert main([*command, str(file)]) == 0
    other = folder / "other.safetensors"
    assert main([*command, str(other)]) == 0
    assert all(torch.equal(one, load_file(other)[name]) for name, one in load_file(file).items())


# ---- training -------------------------------------------------------------------------------------------------------

CHANGED = {"images": 96, "epochs": 2, "batch": 32}
SHORT = Recipe(**CHANGED)
LITTLE = LabModel("conv")


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr(tasks, "JUDGED", 50)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)  # after every step


@pytest.mark.usefixtures("_quick")
def test_a_run_that_finds_no_room_goes_on_from_its_checkpoint_to_the_same_end(tmp_path):
    train(LITTLE, 0, tmp_path / "whole", SHORT, pool=tmp_path / "pictures")

    def fill(progress):
        if progress.step == 3:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    with room(resource.RLIM_INFINITY), pytest.raises(WriteError, match=r"conv-0\.resume.*after step 3 of 6"):
        train(LITTLE, 0, tmp_path / "cut", SHORT, progress=fill, pool=tmp_path / "pictures")
    assert names(tmp_path / "cut") == ["conv-0.resume"]
    steps: list[int] = []

    def counted(progress):
        steps.append(progress.step)

    train(LITTLE, 0, tmp_path / "cut", SHORT, progress=counted, pool=tmp_path / "pictures")
    assert steps == [4, 5, 6]
    whole, cut = (load_file(tmp_path / name / "conv-0.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(one, cut[name]) for name, one in whole.items())
    assert names(tmp_path / "cut") == ["conv-0.safetensors"]


def test_the_verb_train_keeps_what_is_finished(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tasks, "JUDGED", 50)
    command = ["train", "lab/conv", "--seeds", "1", "--images", "64", "--epochs", "1", "--batch", "32", "--out"]
    _, said = _refused([*command, str(tmp_path)], capsys)
    assert "cannot be written" in said
    assert "What was rendered before is kept" in said
    cpu = torch.device("cpu")
    tasks.TASKS["metaformer"].pictures(tasks.TRAINING_STREAM, CENTRED, 64, tmp_path / training.PICTURES, cpu)
    _, said = _refused([*command, str(tmp_path)], capsys)
    assert "conv-0.safetensors' cannot be written" in said
    assert "lab/conv begins anew" in said
    assert not _files(tmp_path)
    size = 400_000
    monkeypatch.setattr(grid, "write", _without_room(grid.write, "manifest.json"))
    assert main([*command, str(tmp_path)]) == 2
    assert "The weights beside it are kept" in capsys.readouterr().err
    assert _files(tmp_path) == ["conv-0.safetensors"]
    assert (tmp_path / "conv-0.safetensors").stat().st_size < size
    monkeypatch.undo()
    assert main([*command, str(tmp_path)]) == 0  # nothing is trained again
    assert _files(tmp_path) == ["conv-0.safetensors", "manifest.json"]


def _files(folder: Path) -> list[str]:
    """Files of a folder, but not of those in it: pictures are in one."""
    return sorted(one.name for one in folder.iterdir() if one.is_file())


def _without_room(original: Callable[..., Path], name: str) -> Callable[..., Path]:
    def attempt(path: Path, data: bytes | str, kept: str = "") -> Path:
        if Path(path).name == name:
            raise writing.cannot_write(path, OSError(errno.ENOSPC, "full"), kept)
        return original(path, data, kept)

    return attempt


@pytest.mark.usefixtures("_quick")
def test_damaged_checkpoints_are_told(tmp_path):
    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(LITTLE, 0, tmp_path, SHORT, progress=stop)
    file = tmp_path / "conv-0.resume"
    good = file.read_bytes()
    damaged = {"empty": b"", "text": b"hello", "cut": good[:-100], "half": good[: len(good) // 2]}
    generator = torch.Generator().manual_seed(0)
    for number in range(20):  # a bit that is turned somewhere
        place = int(torch.randint(len(good) // 10, 9 * len(good) // 10, (), generator=generator))
        damaged[f"bit {number}"] = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
    saved = torch.load(file, weights_only=True)
    forms = {
        "list": [1],
        "tensor": torch.zeros(3),
        **{f"no {name}": {key: value for key, value in saved.items() if key != name} for name in saved},
        **{f"{name} a list": {**saved, name: [1]} for name in saved},
        "no layers": {**saved, "network": {}},
        "shapes": {**saved, "network": {key: torch.zeros(3) for key in saved["network"]}},
        "no groups": {**saved, "optimiser": {"state": {}, "param_groups": []}},
        "a group": {**saved, "optimiser": {"state": {}, "param_groups": [1, 2]}},
        "past the end": {**saved, "step": 7},
        "before the start": {**saved, "step": -1},
    }
    for name, form in forms.items():
        torch.save(form, tmp_path / "form")
        damaged[name] = (tmp_path / "form").read_bytes()
    (tmp_path / "form").unlink()
    for name, content in damaged.items():
        file.write_bytes(content)
        # What a zip file holds beside its content, as times, changes nothing.
        told = (TrainingError, KeyboardInterrupt) if name.startswith("bit") else TrainingError
        with pytest.raises(told) as caught:
            train(LITTLE, 0, tmp_path, SHORT, progress=stop)
        assert caught.type is KeyboardInterrupt or "remove it, and the run begins anew" in str(caught.value), name
    file.unlink()
    file.mkdir()
    with pytest.raises(TrainingError, match="remove it"):
        train_grid([(LITTLE, 0)], tmp_path, CHANGED)


# ---- the laboratory's table -----------------------------------------------------------------------------------------


def test_a_table_without_room_keeps_what_it_had_and_goes_on(tmp_path, capsys, monkeypatch):
    short = [experiment.Measurement("shape-bias", experiment.ShownScenes(12))]
    monkeypatch.setattr(experiment, "experiment", lambda _: short)
    command = ["lab", "evaluate", "--models", "lab/conv#0", "lab/none#0", "--quick", "--out"]
    _, said = _refused([*command, str(tmp_path / "cut")], capsys)
    assert "goes on with lab/conv" in said
    assert not names(tmp_path / "cut")
    original = experiment.write_table

    def second(rows, folder, about, kept=""):
        with room(200) if len({row.model for row in rows}) > 1 else contextlib.nullcontext():
            return original(rows, folder, about, kept)

    monkeypatch.setattr(experiment, "write_table", second)
    assert main([*command, str(tmp_path / "cut")]) == 2
    capsys.readouterr()
    rows, _ = experiment.read_table(tmp_path / "cut" / FILE)
    assert {row.model for row in rows} == {"lab/conv"}
    monkeypatch.setattr(experiment, "write_table", original)
    assert main([*command, str(tmp_path / "cut")]) == 0
    assert main([*command, str(tmp_path / "whole")]) == 0
    assert (tmp_path / "cut" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()
    assert names(tmp_path / "cut") == [FILE]


# ---- full temporary folders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["predict", "--model", "random/test_resnet", "--image", "cat"], ["serve", "--port", "0", "--json"]]
)
def test_no_room_for_temporary_files(tmp_path, command):
    """Nothing at all can be written by the process: what needs no file works, what needs one says so."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("GRADIO_TEMP_DIR", None)
    done = subprocess.run(
        [sys.executable, "-m", "explorer", *command],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    if command[0] == "predict":
        assert done.returncode == 0
    else:
        assert done.returncode == 2
        assert "no temporary file can be written" in done.stderr
    assert not names(tmp_path)
