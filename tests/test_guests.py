"""Blocks, methods and probes of other packages: what `explorer new` writes works, and what breaks stays outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.cli.main import main

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
KINDS = ("block", "method", "probe")


def installed(source: Path, where: Path) -> None:
    """Install a package of single modules into a folder, as an installer does: its files, and its metadata."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for file in source.glob("*.py"):
        (where / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    about = where / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"]
    (about / "METADATA").write_text("".join(lines), encoding="utf-8")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def ran(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the folder's packages installed."""
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(where), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a guest of each kind, and three that break."""
    where = tmp_path_factory.mktemp("installed")
    made = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        assert main(["new", kind, f"my_{kind}", "--out", str(made / kind)]) == 0
        installed(made / kind, where)
    for name, code, group in (
        ("fails", "raise RuntimeError('no <luck>')", "blocks"),
        ("absent", None, "probes"),
        ("twice", "from explorer.blocks import BLOCKS, Block\nBLOCKS.register('mhsa')(Block)", "blocks"),
        (
            "half",
            "from explorer.blocks import BLOCKS, Block\nBLOCKS.register('half')(type('Half', (Block,), {}))",
            "blocks",
        ),
    ):
        folder = made / name
        folder.mkdir()
        if code is not None:
            (folder / f"guest_{name}.py").write_text(code, encoding="utf-8")
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "guest-{name}"\nversion = "1"\n'
            f'[project.entry-points."explorer.{group}"]\n{name} = "guest_{name}"\n',
            encoding="utf-8",
        )
        installed(folder, where)
    return where


def test_what_is_written_passes_its_own_tests(guests: Path) -> None:
    done = ran(guests, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(guests), str(guests))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


SPEC = "random/test_resnet+my_block@3"
COMMANDS = {
    **{f"{kind}s": [f"{kind}s"] for kind in KINDS},
    **{f"{kind}s in JSON": [f"{kind}s", "--json"] for kind in KINDS},
    "attend": ["attend", "--model", SPEC, "--image", "cat", "--json"],
    "explain": ["blocks", "my_block"],
}
# Every command and the page in one process: what takes the time is to import all that they stand on.
ASKS = """
import contextlib, io, json, sys
from explorer.cli.main import main
from explorer.ui.page import build

told = {}
for name, command in json.loads(sys.argv[1]).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(command)
    told[name] = [status, out.getvalue(), err.getvalue()]
told["page"] = [0, json.dumps(build().get_config_file(), default=str), ""]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(guests: Path) -> dict[str, str]:
    """What each command prints where the guests are installed, and the page's description of itself."""
    done = ran(guests, "-c", ASKS, json.dumps(COMMANDS))
    assert done.returncode == 0, done.stderr
    answers: dict[str, tuple[int, str, str]] = json.loads(done.stdout.splitlines()[-1])
    assert {name: err for name, (status, _, err) in answers.items() if status} == {}
    return {name: out for name, (_, out, _) in answers.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_lists_guests_last_and_says_which_are_left_out(told: dict[str, str], kind: str) -> None:
    record = json.loads(told[f"{kind}s in JSON"])
    assert record["rows"][-1]["name"] == f"my_{kind}"
    listed = told[f"{kind}s"]
    assert f"my_{kind}" in listed
    if kind == "block":
        for name, why in (("fails", "no <luck>"), ("twice", "registered twice"), ("half", "about")):
            (line,) = [line for line in listed.splitlines() if f"{name} of guest-{name}" in line]
            assert why in line
        assert "half" not in {one["name"] for one in record["rows"]}
    if kind == "probe":
        assert "absent of guest-absent" in listed


def test_a_guest_block_is_used_as_any_other(told: dict[str, str]) -> None:
    (model,) = json.loads(told["attend"])["models"]
    assert [one["kind"] for one in model["layers"] if one["layer"].endswith("block")] == ["gate"]
    assert "How much of each place is let through?" in told["explain"]


def test_the_page_has_guests_too(told: dict[str, str]) -> None:
    assert [name for name in ("my_block", "my_method", "my_probe") if name not in told["page"]] == []


@pytest.mark.parametrize("name", ["Mine", "1x", "a b", "../x", "", "häuser", "a-b"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "block", name, "--out", str(tmp_path / "x")]) == 2
    assert "small letter" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "block", "mhsa", "--out", str(tmp_path / "x")]) == 2
    assert "there is a block 'mhsa' already" in capsys.readouterr().err
    (tmp_path / "file.txt").write_text("mine")
    assert main(["new", "probe", "mine", "--out", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
