"""What the server sends has the types that the browser's modules are checked against, and none escapes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from explorer.resources import asset
from explorer.scenes import Scene
from explorer.sweep.run import sweep
from explorer.ui.answers import Answers
from explorer.ui.boxes import drawing
from explorer.ui.cards import cards, large, tables
from explorer.ui.examples import strip
from explorer.ui.handlers import Handlers
from explorer.ui.measuring import Measuring
from explorer.ui.page import build
from explorer.ui.scene import layers
from explorer.ui.share import written_out
from explorer.ui.tabs import blocks, compare, lab, lecture
from explorer.ui.words import dumps

from .asking import opening_of
from .conftest import ROOT
from .test_live import ask, body

WEB = asset("web")
TSC = ROOT / "node_modules" / ".bin" / "tsc"
MODELS = ["lab/mhsa", "random/test_resnet+channel@3", "lab/nothing"]
#: Parts of the page -> the types of their options; others have none.
OPTIONS = {
    "masthead": "MastheadOptions",
    "ways": "WaysOptions",
    "board": "BoardOptions",
    "models": "ModelsOptions",
    "controls": "ControlsOptions",
    "samples": "SamplesOptions",
    "sets": "SetsOptions",
    "stage": "StageOptions",
    "examples": "ExamplesOptions",
    "lecture": "LectureOptions",
    "probe": "ProbeOptions",
    "working": "WorkingOptions",
    "places": "PlacesOptions",
    "written": "WrittenOptions",
    "brought": "BroughtOptions",
}


@pytest.fixture(scope="module")
def tsc() -> Path:
    """TypeScript, which .ci/run installs; without it the tests are skipped, but never in CI."""
    if not TSC.exists():
        why = "there is no TypeScript here: `npm install --no-package-lock` fetches it"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return TSC


def told(tsc: Path, folder: Path, found: list[tuple[str, Any]]) -> list[str]:
    """What TypeScript has to say of values that are held against types of wire.d.ts, a line each."""
    names = sorted({name for name, _ in found})
    lines = [f'import type {{ {", ".join(names)} }} from "{WEB / "wire"}";']
    lines += [f"export const v{at}: {name} = {json.dumps(value)};" for at, (name, value) in enumerate(found)]
    (folder / "sent.ts").write_text("\n".join(lines), encoding="utf-8")
    settings = {"extends": str(WEB / "tsconfig.json"), "include": ["sent.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    done = subprocess.run(
        [str(tsc), "-p", str(folder), "--pretty", "false"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()


def parts() -> list[tuple[str, Any]]:
    """The options of every part of a page, by their types."""
    with tempfile.TemporaryDirectory() as folder:
        sweep({"models": ["lab/none"], "probes": ["edges"], "data": [12], "device": "cpu"}, folder)
        page = build(["lab/conv"], sweep=folder)
    given = [
        (name, part["options"])
        for name, part in opening_of(page.files[page.opening].plain.decode()).items()
        if part["options"]
    ]
    for part in page.blocks.values():
        if isinstance(part, gr.HTML):
            named = re.search(r"page\.mount\('(\w+)'", part.js_on_load or "")
            assert named
            given.append((named[1], json.loads(part.props["options"])))
    found = [(name, options) for name, options in given if options is not None]
    assert {name for name, _ in found} == set(OPTIONS)
    return [(OPTIONS[name], options) for name, options in found]


def answers() -> list[tuple[str, Any]]:
    """What server functions and events send, by the types of their texts."""
    shared = Answers(folders=False)
    handlers = Handlers(shared)
    scene: dict[str, Any] = {"scene": {"label": "heart"}, "dx": 9}
    photograph = {"method": "integrated_gradients", "zoom": 1.5}
    texts = [("LiveAnswer", handlers.answer(MODELS, one)) for one in ({}, scene, photograph)]
    texts += [("Bank", handlers.bank(MODELS[:2], one)) for one in ({}, {**scene, "layers": ["", None]})]
    texts.append(("Explanation", blocks.body("mhsa")))
    texts.append(("Explanation", blocks.body("linear", (blocks.measured("linear"), blocks.measured(blocks.BESIDE)))))
    for block in ("mhsa", "axial", "channel", "eca", "conv"):
        asked = {"block": block, "dx": 0.1, "dy": 0, "pin": {"x": 0.5, "y": 0.5}}
        texts.append(("ExampleAnswer", blocks.example(shared, asked)))
    texts.append(("SceneLayers", layers(Scene())))
    texts.append(("CodeShown", written_out(handlers, MODELS[:2], {}, number=3)))
    _, short, looked, runs = lab.tell(lab.there()[0], ["mhsa", "conv"])
    texts += [("TableSheet", one) for one in (short, looked, runs)]
    texts += [("ClaimsBoard", lab.board()), ("DrawnBoxes", drawing(shared))]
    asked = {"probe": "translation", "parameters": {"side": 3}, "shown": "stage"}
    *_, (state, _, scores, _, figure, *_) = Measuring(handlers).measure({}, MODELS[:1], scene, asked)
    texts += [("MeasuringState", state), ("TableSheet", scores)]
    texts.append(("ShownExamples", strip(Measuring(handlers), MODELS[:2], scene, asked)))
    found = [(name, json.loads(text)) for name, text in texts]
    listed = (("FindingCard", cards()), ("LargeFinding", large()), ("FactorTable", tables()))
    found += [(name, one) for name, text in listed for one in json.loads(text)]
    found.append(("FigureMeta", figure["value"].layout.meta))
    drawn = [one["value"] for one in lab.paint(lab.there()[0], ["mhsa"]) if one["visible"]]
    found += [("FigureMeta", one.layout.meta) for one in drawn]
    costly = {**photograph, "parameters": {"n_steps": 2}}
    found.append(("SetTable", json.loads(dumps(compare.columns("resnet26t")))))
    found += [("Progress", one) for _, one in handlers.attribute(MODELS[:1], costly)]
    found.append(("ExampleScene", blocks._scene()))
    found.append(("BlockCosts", lecture._curve(blocks.measured("linear"))))
    found.append(("Reply", ask(lambda value: value, body(asked={"value": 1}))[0]))
    return found


def test_what_the_server_sends_is_what_the_modules_expect(tsc: Path, tmp_path: Path):
    found = [*parts(), *answers()]
    assert {name for name, _ in found} >= {*OPTIONS.values(), "LiveAnswer", "Bank", "FigureMeta", "Reply"}
    assert told(tsc, tmp_path, found) == []


def test_what_is_sent_otherwise_is_found(tsc: Path, tmp_path: Path):
    right = {"title": "t", "columns": [], "rows": [{"name": "n", "colour": "", "cells": [{"text": "1"}]}], "notes": []}
    wrong = [
        {**right, "title": None},
        {**right, "more": 1},
        {key: value for key, value in right.items() if key != "notes"},
        {**right, "rows": [{"name": "n", "colour": "", "cells": [{"text": 1}]}]},
    ]
    lines = told(tsc, tmp_path, [("TableSheet", right), *(("TableSheet", one) for one in wrong)])
    assert {line[: line.index("(")] for line in lines if not line.startswith(" ")} == {"sent.ts"}
    # The first line imports, the second is right.
    assert {int(line.split("(")[1].split(",")[0]) for line in lines if not line.startswith(" ")} == {3, 4, 5, 6}


def test_every_module_is_checked_strictly():
    settings = json.loads((WEB / "tsconfig.json").read_text(encoding="utf-8"))
    assert settings["include"] == ["*.js", "*.d.ts"]
    assert not {"exclude", "files", "extends", "references"} & set(settings)
    options = settings["compilerOptions"]
    assert options["strict"] is options["checkJs"] is options["allowJs"] is True
    assert not [name for name, value in options.items() if value is False], "nothing of strict is taken back"
    modules = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js")}
    assert len(modules) > 50
    assert {name for name, code in modules.items() if re.search(r"@ts-(nocheck|ignore|expect-error)", code)} == set()
    # A declaration beside a module stands for it: the module itself would not be looked at.
    declared = {path.name.removesuffix(".d.ts") for path in WEB.glob("*.d.ts")}
    assert not {name for name in modules if name.removesuffix(".js") in declared}
    assert not [path for path in WEB.iterdir() if path.is_dir() or path.suffix in {".mjs", ".cjs", ".jsx"}]


def test_types_are_not_served():
    from explorer.ui import web

    assert not [name for name in web.files() if name.endswith(".ts")]
