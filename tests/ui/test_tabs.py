"""The tabs that explain and report, and files that visitors bring, asked as plain functions."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import gradio as gr
import pytest
import torch
from safetensors.torch import save_file

import explorer
from explorer.blocks import BLOCKS
from explorer.blocks.explain import explain
from explorer.comparison.compare import compare, predict
from explorer.figures.looks import LOOKS
from explorer.geometry import Point
from explorer.lab import summary
from explorer.lab.claims import CLAIMS
from explorer.lab.findings import SET_UPS
from explorer.lab.judging import judge_claims
from explorer.lab.networks import manifest
from explorer.lab.summary import CONTROL
from explorer.lab.table import load_table
from explorer.models.loading import load
from explorer.models.spec import ModelSpec
from explorer.resources import asset
from explorer.scenes import CLASSES, Scene, motion, render
from explorer.transforms import Transform
from explorer.ui import fitted
from explorer.ui.answers import Answers
from explorer.ui.fitted import split
from explorer.ui.handlers import Handlers
from explorer.ui.live import Live
from explorer.ui.tabs import blocks, lab
from explorer.ui.worker import Worker

from .conftest import FITTED_SPEC
from .unpack import Unpacked, english, read


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_explained_from_its_own_declaration(name):
    said, told = blocks.head(name), read(blocks.body(name))
    found = explain(name)
    assert found.title in said
    assert f"$$ {found.formula} $$" in said
    assert [box["label"] for box in told["diagram"]["boxes"]] == [
        node.label for row in found.diagram.rows for node in row
    ]
    assert told["title"] == found.title
    assert told["order"] == found.order
    assert {label for label, _ in told["facts"]} >= {"Map", "Source"}
    assert told["measured"] is None


def test_a_cost_is_measured_beside_full_attention():
    own, other = blocks.measured("conv"), blocks.measured("mhsa")
    table = read(blocks.body("conv", (own, other)))["measured"]
    assert table["blocks"] == ["conv", "mhsa"]
    assert [row[1] for row in table["rows"]] == [64, 256, 576, 1024, 2304, 4096]
    assert [row[2] for row in table["rows"]] == [one.multiply_adds for one in own.points]
    assert read(blocks.body("mhsa", (other, other)))["measured"]["blocks"] == ["mhsa"]
    dearer = [row[6:] for row in table["rows"]]
    assert [one[0] for one in dearer] == [b.multiply_adds / a.multiply_adds for a, b in zip(own.points, other.points)]
    assert [one[1] for one in dearer] == [b.milliseconds / a.milliseconds for a, b in zip(own.points, other.points)]
    # on 64 x 64 places full attention is known to cost n^2 d twice, and four projections
    assert other.points[-1].multiply_adds == 2 * 4096**2 * 64 + 4 * 4096 * 64**2


def test_what_costs_nothing_has_no_ratio():
    costs = blocks.measured("none"), blocks.measured("mhsa")
    assert [row[6] for row in read(blocks.body("none", costs))["measured"]["rows"]] == [None] * 6


ASKED = {"dx": 0.125, "dy": -0.0625, "pin": {"x": 0.3, "y": 0.7}}


@pytest.mark.parametrize(
    ("block", "titles"),
    [
        ("mhsa", ["Map"]),
        ("axial", ["column", "row", "cross"]),
        ("coord", ["rows", "columns", "rows x columns"]),
        ("cbam", ["channel", "spatial"]),
        ("channel", ["Map"]),
        ("se", ["Map"]),
        ("conv", ["Grad-CAM"]),
    ],
)
def test_an_example_shows_what_compare_answers(block, titles):
    got = read(blocks.example(Answers(folders=False), {"block": block, **ASKED}))
    assert [panel["title"] for panel in got["panels"]] == titles
    model = load(f"lab/{block}", "cpu")
    move, query = Transform(dx=6, dy=-3), Point(0.3 * 48, 0.7 * 48)
    (row,) = compare([model], blocks.SCENE, move, "gradcam", query, pin="place").rows
    assert got["answers"] == {"label": row.predictions[1].top[0].label, "p": row.predictions[1].top[0].probability}
    shown = blocks.of_last(row.maps)
    if row.maps:
        assert shown[-1] is row.maps[-1]
        # the first head alone is what a map between channels gives without asking for another
        expected = [
            row.attention(one.layer)[0][1]
            if one.layout
            else sum(one.matrix(head, 1) for head in range(one.heads)) / one.heads
            for one in shown
        ]
    else:
        expected = [row.attributions[1].values]
    for panel, values in zip(got["panels"], expected, strict=True):
        assert (panel["rows"], panel["columns"]) == tuple(values.shape)
        assert panel["values"] == pytest.approx(values.flatten().tolist(), rel=1e-4, abs=1e-6)
        assert panel["low"] - 1e-5 <= min(panel["values"]) <= max(panel["values"]) <= panel["high"] + 1e-5
    assert ("no map of its own" in got.get("note", "")) == (not row.maps)


@pytest.mark.parametrize("block", ["mhsa", "axial", "nonlocal"])
def test_the_lines_of_a_block_at_work_carry_each_heads_weights(block):
    got = read(blocks.example(Answers(folders=False), {"block": block, **ASKED}))
    model = load(f"lab/{block}", "cpu")
    scene = motion.moved(blocks.SCENE, Transform(dx=6, dy=-3), model.input_size)
    shown = render([scene], model.input_size[0]).images
    captured = explorer.capture(model, shown)
    own = {one.part or "Map": one for one in captured if one.module == captured[-1].module}
    for panel in got["panels"]:
        rows = [own[panel["title"]].row(Point(0.3 * 48, 0.7 * 48), head) for head in range(panel["of"])]
        assert panel["heads"] == [pytest.approx(row.flatten().tolist(), abs=1e-3) for row in rows]


@pytest.mark.browser
def test_a_block_is_watched_at_work_stopped_and_still_for_those_who_ask_for_it(server, chromium):
    for motion_asked in ("no-preference", "reduce"):
        page = chromium.new_page(viewport={"width": 1280, "height": 720}, reduced_motion=motion_asked)
        page.set_default_timeout(60_000)
        page.goto(server)
        page.wait_for_function("window.explorer && explorer.now.answer")
        page.get_by_role("tab", name="Blocks").click()
        page.locator("#block label", has_text="mhsa").click()
        page.locator("#example .part[data-block=mhsa] canvas").nth(1).wait_for()
        button, told = page.locator("#example .player button"), page.locator("#example .moving")
        picture = "document.querySelector('#example canvas.scene').toDataURL()"
        page.wait_for_function("!document.querySelector('#example .part').classList.contains('stale')")
        before = page.evaluate(picture)
        button.click()
        if motion_asked == "no-preference":
            told.get_by_text("is compared with every place").wait_for()
            first = page.evaluate(picture)
            page.wait_for_function(f"{picture} !== {first!r}")
            button.get_by_text("Stop").click()
        button.get_by_text("Hide it").wait_for()
        assert "4 heads" in told.inner_text()
        still = page.evaluate(picture)
        assert still != before
        page.wait_for_timeout(300)
        assert page.evaluate(picture) == still, "what stands still does not move"
        # lines follow the query
        page.locator("#example canvas.scene").press("d")
        page.wait_for_function(f"{picture} !== {still!r}")
        button.click()
        button.get_by_text("Watch it work").wait_for()
        # a block without a map of its own has nothing to watch
        page.locator("#block label", has_text="conv").first.click()
        page.locator("#example .part[data-block=conv]").wait_for()
        button.wait_for(state="hidden")
        page.close()


def test_a_block_without_a_trained_model_says_so(monkeypatch):
    monkeypatch.setattr(blocks.networks, "available", dict)
    got = read(blocks.example(Answers(folders=False), {"block": "mhsa", **ASKED}))
    assert got["spec"].startswith("random/")
    assert got["state"] == load(got["spec"], "cpu").state == "random"
    assert got["panels"]


@pytest.mark.browser
def test_an_example_follows_the_keys_and_leaves_compare_alone(server, chromium):
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server)
    page.wait_for_function("window.explorer && explorer.now.answer")
    before = page.evaluate("JSON.stringify(explorer.question.get())")
    page.get_by_role("tab", name="Blocks").click()
    page.locator("#block label", has_text="mhsa").click()
    page.locator("#example .part[data-block=mhsa] canvas").nth(1).wait_for()
    for _ in range(6):
        page.locator("#example canvas.scene").press("ArrowRight")
    page.locator("#example canvas.scene").press("Shift+ArrowUp")
    query = Point(24, 24)
    (row,) = compare([load("lab/mhsa", "cpu")], blocks.SCENE, Transform(dx=6, dy=-8), None, query, pin="place").rows
    best = row.predictions[1].top[0]
    page.locator("#example .answered", has_text=f"{best.label}, {100 * best.probability:.0f} %").wait_for()
    view = page.locator("#example canvas").nth(1)
    box = view.bounding_box()
    page.mouse.move(box["x"] + 2.5 / 12 * box["width"], box["y"] + 4.5 / 12 * box["height"])
    said = page.locator("#example .reading").inner_text()
    assert said.startswith("row 5, column 3: ")
    assert float(said.rpartition(" ")[2]) == pytest.approx(float(row.attention()[0][1][4, 2]), rel=6e-3, abs=1e-4)
    assert page.evaluate("JSON.stringify(explorer.question.get())") == before
    assert complaints == []
    page.close()


@pytest.mark.parametrize(
    "asked",
    [
        None,
        {"block": "mhsa"},
        {"block": 3, **ASKED},
        {"block": "no such", **ASKED},
        {"block": "mhsa", **ASKED, "dx": float("nan")},
        {"block": "mhsa", **ASKED, "dy": 2},
        {"block": "mhsa", **ASKED, "pin": {"x": 1, "y": 0}},
        {"block": "mhsa", **ASKED, "pin": [0, 0]},
    ],
)
def test_nothing_that_an_example_is_asked_is_trusted(asked):
    with pytest.raises(gr.Error):
        blocks.example(Answers(folders=False), asked)


def test_every_colour_of_a_block_can_be_seen_in_the_dark():
    css = asset("web", "figures.css").read_text()
    ground = re.search(r"\.dark \{[^}]*--surface: (#\w+)", asset("web", "page.css").read_text())[1]
    for block, look in LOOKS.items():
        red, green, blue = (int(look.colour[at : at + 2], 16) for at in (1, 3, 5))
        given = re.search(rf'"stroke: rgb\({red}, {green}, {blue}\)"[^{{]*{{ stroke: (#\w+)', css)
        colour = given[1] if given else look.colour
        assert _contrast(colour, ground) >= 3, block


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours #rrggbb."""
    low, high = sorted(_luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


needs_table = pytest.mark.skipif(not load_table(), reason="no table of measurements ships yet")


@needs_table
def test_the_page_starts_without_the_rows_of_the_table(monkeypatch):
    def read_them():
        raise AssertionError("the table's rows are read before anybody looks at them")

    monkeypatch.setattr("explorer.lab.summary.load_table", read_them)
    for one in (summary.shipped, summary.shipped_index, summary.shipped_blocks):
        one.cache_clear()
    with gr.Blocks():
        worker = Worker()
        answers = Answers(folders=False)
        folds = lab.draw(worker, Live(worker, ""), answers, gr.Tab(), gr.Textbox(), gr.Textbox())
    assert list(folds) == ["detection", "measurements"]
    assert not any(fold.open for fold in folds.values())
    assert lab.blocks_of(lab.there()[0])


@needs_table
def test_a_set_up_is_drawn_with_its_table_and_findings():
    set_up = lab.there()[0]
    wanted = lab.blocks_of(set_up)[:3]
    *figures, detection = lab.paint(set_up, wanted)
    assert not detection["visible"]  # these models give classes, and find no objects
    for figure in figures:
        said = english(figure["value"].layout.meta["told"]["lines"])
        names = {line["name"].removesuffix(" (control)").removesuffix(" †") for line in said}
        assert names == set(wanted)
        for line in said:
            assert all(low is None or low <= y <= high for _, y, low, high in line["points"])
    said, sheet, looked, runs = lab.tell(set_up, wanted)
    assert len(figures) + 1 == len(lab.ORDER)
    assert "In distribution" in said
    rows = read(sheet)["rows"]
    assert [row["name"].removesuffix(" †") for row in rows] == wanted
    held = read(looked)
    assert [len(row["cells"]) for row in held["rows"]] == [3] * 10
    assert any("again" in english(row["cells"][0]["text"]) for row in held["rows"])
    assert all(not cell["alike"] for row in rows if row["name"] == CONTROL for cell in row["cells"])
    assert [row["name"] for row in read(runs)["rows"]] == wanted
    assert any("Recipe" in note for note in read(runs)["notes"])


@needs_table
def test_every_claim_stands_once_under_its_verdict_with_the_test_that_decided():
    judged = {one.claim.sentence: one for one in judge_claims(load_table())}
    groups = read(lab.board())["groups"]
    said = [(group["verdict"], claim) for group in groups for claim in group["claims"]]
    assert sorted(claim["sentence"] for _, claim in said) == sorted(one.sentence for one in CLAIMS)
    for verdict, claim in said:
        one = judged[claim["sentence"]]
        assert one.verdict == verdict
        # Holm's correction for all claims can leave one undecided whose tests alone are not.
        deciding = [test for test in one.results if test.verdict == verdict] or one.results
        assert (claim["what"], claim["effect"]) in [(test.says, test.effect) for test in deciding]
        assert claim["tests"] == [f"{test.says}: {test.effect}" for test in one.results]


@needs_table
def test_models_that_find_objects_are_shown_by_how_well_they_do():
    set_up = SET_UPS["detect"]
    assert set_up in lab.there()
    *others, figure = lab.paint(set_up, ["none", "c2f"])
    assert figure["visible"]
    assert not any(other["visible"] for other in others)
    assert [line.name for line in figure["value"].data][:2] == ["none (control)", "c2f"]
    said, sheet, looked, runs = lab.tell(set_up, ["none", "c2f"])
    assert "Average precision" in said
    assert looked == ""  # these models have three seeds at most
    assert read(sheet)["columns"] == ["AP", "AP50", "AP75"]
    assert [len(row["cells"]) for row in read(sheet)["rows"]] == [3, 3]
    assert [row["name"] for row in read(runs)["rows"]] == ["none", "c2f"]
    assert "AP50, % (least to most)" in english(read(runs)["columns"])


@needs_table
@pytest.mark.parametrize(("set_up", "chosen"), [("Transformer", []), (None, None), (["MetaFormer"], [])])
def test_unknown_set_ups_are_refused(set_up, chosen):
    with pytest.raises(gr.Error):
        lab.tell(set_up, chosen)
    with pytest.raises(gr.Error):
        lab.paint(set_up, chosen)


@needs_table
def test_blocks_that_were_not_measured_are_left_out():
    set_up = lab.there()[0]
    known = lab.blocks_of(set_up)[0]
    assert [row["name"].split(" †")[0] for row in read(lab.tell(set_up, [known, "no such block"])[1])["rows"]] == [
        known
    ]
    assert read(lab.tell(set_up, None)[1])["rows"] == []


# ---- files that visitors bring --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(Answers(folders=False))


@pytest.fixture(autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of uploads, as gradio has one."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))


def sent(path: Path) -> str:
    """Where a visitor's file lies on the server."""
    return str(shutil.copy(path, os.environ["GRADIO_TEMP_DIR"]))


def test_a_fitted_block_stands_beside_the_others_with_its_state(handlers, fitted_file):
    models = handlers.bring(sent(fitted_file), ["lab/conv"])
    assert models[0] == "lab/conv"
    assert models[1].startswith(f"{FITTED_SPEC} file:")
    assert handlers.bring(sent(fitted_file), models) == models
    scene = Scene("drop")
    got = Unpacked(handlers.answer(models, {"scene": {"label": "drop"}}))
    row = got.data["rows"][1]
    assert row["state"] == "file"
    assert any("from the file" in note for note in row["notes"])
    assert {one["state"] for one in row["maps"]} == {"file"}
    expected = predict(load(ModelSpec.parse(FITTED_SPEC, weights_file=str(fitted_file)), "cpu"), scene)
    assert [(one["label"], one["p"]) for one in row["predictions"][1]["top"]] == [
        (one.label, one.probability) for one in expected.top
    ]
    assert expected.top[0].label in CLASSES


def test_a_trained_laboratory_model_can_be_brought_too(handlers):
    record = manifest()["lab/linear#1"]
    (text,) = handlers.bring(sent(asset("checkpoints", record["file"])), ["lab/conv"])[1:]
    assert split(text)[0] == "lab/linear#1"
    own, shipped = Unpacked(handlers.answer([text, "lab/linear#1"], {"scene": {}})).data["rows"]
    assert own["state"] == "file"
    assert "All weights are from the file." in own["notes"]
    assert own["predictions"] == shipped["predictions"]


def test_a_full_page_gives_its_last_place(handlers, fitted_file):
    models = handlers.bring(sent(fitted_file), [f"lab/conv#{seed}" for seed in range(6)])
    assert len(models) == 6
    assert models[-1].startswith(FITTED_SPEC)


def test_a_file_that_is_gone_is_said(fitted_file):
    answers = Answers(folders=False)
    text = answers.files.add(fitted_file)
    shutil.rmtree(answers.files.folder)
    failure = answers.model(text)
    assert "load it again" in failure.problem


def test_old_files_make_room(fitted_file, monkeypatch, tmp_path):
    monkeypatch.setattr(fitted, "KEPT_BYTES", fitted_file.stat().st_size + 10)
    files = fitted.Files(tmp_path)
    first = files.add(fitted_file)
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(4)}, other, {"fitted": json.dumps({"spec": FITTED_SPEC})})
    files.add(other)
    left = {path.name for path in tmp_path.iterdir()} - {"other.safetensors"}
    assert len(left) == 1
    assert f"{fitted.split(first)[1]}.safetensors" not in left


@pytest.mark.parametrize("what", ["text", "pickle", "empty", "plain", "spec", "json", "folder", "large", "long"])
def test_bad_files_are_refused_in_a_sentence(handlers, tmp_path, monkeypatch, what):
    path = tmp_path / ("weights.pt" if what == "pickle" else "weights.safetensors")
    notes = {
        "plain": {},
        "spec": {"fitted": json.dumps({"spec": 3})},
        "json": {"fitted": "{"},
        "folder": {"fitted": json.dumps({"spec": "local-dir:/etc+mhsa@3"})},
        "long": {"fitted": json.dumps({"spec": "x" * 1000 + "+mhsa@3"})},
        "large": {"fitted": json.dumps({"spec": FITTED_SPEC})},
    }
    if what in notes:
        save_file({"a": torch.zeros(4)}, path, notes[what])
    else:
        path.write_bytes(b"" if what == "empty" else b"hello" * 100)
    if what == "large":
        monkeypatch.setattr(fitted, "MAX_BYTES", 10)
    with pytest.raises(gr.Error) as error:
        handlers.bring(sent(path), ["lab/conv"])
    assert str(tmp_path) not in str(error.value)
    assert len(str(error.value)) > 30


def test_a_file_for_another_model_fails_in_its_row_alone(handlers, tmp_path):
    path = tmp_path / "odd.safetensors"
    record = {"spec": FITTED_SPEC, "backbone": "x", "whole": False, "classes": None}
    save_file({"a": torch.zeros(4)}, path, {"fitted": json.dumps(record)})
    models = handlers.bring(sent(path), ["lab/conv"])
    good, bad = Unpacked(handlers.answer(models, {"scene": {}})).data["rows"]
    assert good["predictions"]
    assert "other weights" in bad["error"]
    assert str(handlers.answers.files.folder) not in bad["error"]
