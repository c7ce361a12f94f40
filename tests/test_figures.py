"""Figures show exactly the numbers of their results, where they belong, in plotly and in the PNG alike."""

from __future__ import annotations

import base64
import io
import itertools
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import plotly.colors
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import Tensor

from explorer.attention.maps import AttentionMap, Layout
from explorer.attribution.result import Attribution
from explorer.comparison.result import ClassScore, Comparison, ModelView, Prediction
from explorer.errors import ParameterError
from explorer.figures import interactive, static
from explorer.figures.looks import LOOKS, colours_of
from explorer.figures.plan import bar_boxes, coloured, cut, measure, pixels, plan_of
from explorer.figures.results import (
    attention_sheet,
    attribution_sheet,
    comparison_sheet,
    joined,
    lines_sheet,
    prediction_sheet,
)
from explorer.figures.saving import save
from explorer.figures.sheet import (
    DIVERGING,
    MODEL_COLOURS,
    SEQUENTIAL,
    Axis,
    Bars,
    Chart,
    InputPicture,
    Line,
    Map,
    Panel,
    Radar,
    Section,
    Sheet,
    Words,
)
from explorer.geometry import Point, PulledBack
from explorer.kinds import MapKind

FRAME = (64, 64)


@dataclass(frozen=True, eq=False)
class Stored:
    """Weights as they are: (batch, groups, heads, Nq, Nk)."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        return tuple(self.values.shape)  # type: ignore[return-value]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def block(self, item: int, group: int, start: int, stop: int) -> Tensor:
        return self.values[item, group, :, start:stop]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tokens(layer: str = "blocks.0.attn", batch: int = 2, heads: int = 3) -> AttentionMap:
    """A ViT's attention on a 4 x 4 grid with a class token in front."""
    index = torch.cat([torch.tensor([-2]), torch.arange(16)])[None]
    layout = Layout("tokens", (4, 4), index, (4, 4), index, ("class",))
    weights = random(batch, 1, heads, 17, 17).softmax(-1)
    return AttentionMap(
        layer, "Attention", "pairwise", Stored(weights), layout, FRAME, unit="softmax over 17 positions"
    )


def unplaced(shape: tuple[int, int], kind: MapKind = "channel", unit: str = "softmax over channels") -> AttentionMap:
    return AttentionMap("stages.2.xca", "XCA", kind, Stored(random(2, 1, 2, *shape)), None, FRAME, unit=unit)


def attribution(values: Tensor, **fields: object) -> Attribution:
    return Attribution(values, "gradcam", "cup (968)", "layer4", unit="weighted activation", **fields)  # type: ignore[arg-type]


TOP = Prediction((ClassScore(968, "cup", 0.75, 3.0), ClassScore(1, "goldfish, Carassius auratus", 0.25, 1.0)))


def view(moved: bool = True, maps: tuple[AttentionMap, ...] | None = None, **fields: object) -> ModelView:
    before = random(4, 4, seed=1) - 0.5
    pulled = PulledBack(torch.full((4, 4), 0.1), torch.ones(4, 4, dtype=torch.bool))
    pulled.valid[:, 3] = False
    image = random(3, *FRAME, seed=2)
    values: dict[str, object] = {
        "spec": "vit_tiny",
        "state": "pretrained",
        "device": "cpu",
        "images": (image, image.roll(16, -1) if moved else image),
        "predictions": (TOP, TOP),
        "maps": (tokens(), tokens("blocks.1.attn")) if maps is None else maps,
        "attributions": (attribution(before), attribution(2 * before)),
        "pulled_back": pulled,
        "difference": torch.where(pulled.valid, pulled.values - before, 0),
        "queries": (Point(20, 40), Point(36, 40)),
        "shift": (16.0, 0.0),
        "notes": ("a note",),
    }
    return ModelView(**{**values, **fields})  # type: ignore[arg-type]


def comparison(*rows: ModelView) -> Comparison:
    return Comparison(rows, "16 px right; border zero", "gradcam", {"torch": "2.8", "timm": "1.0.31"})


def panels(sheet: Sheet) -> list[list[Panel]]:
    return [list(row) for section in sheet.sections for row in section.rows]


def words(sheet: Sheet) -> str:
    """All text of the plotly figure, in one."""
    return "\n".join(annotation.hovertext or "" for annotation in interactive.figure(sheet).layout.annotations)


# -------------------------------------------------------------------------------------------------- the colours


@pytest.mark.parametrize(
    ("ours", "published"), [(SEQUENTIAL, plotly.colors.sequential.Cividis), (DIVERGING, plotly.colors.diverging.RdBu_r)]
)
def test_colour_maps_are_the_published_ones(ours: tuple[str, ...], published: list[str]) -> None:
    expected = plotly.colors.convert_colors_to_same_type(published, "tuple")[0]
    np.testing.assert_allclose(_tuples(ours), expected, atol=1e-6)


def _tuples(colours: tuple[str, ...]) -> list[tuple[float, ...]]:
    return [tuple(c / 255 for c in plotly.colors.hex_to_rgb(one)) for one in colours]


def _lightness(linear: np.ndarray) -> np.ndarray:
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def _linear(colours: tuple[str, ...]) -> np.ndarray:
    srgb = np.array(_tuples(colours))
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def test_steps_of_the_sequential_map_look_equal_and_the_diverging_one_is_symmetric() -> None:
    steps = np.diff(_lightness(_linear(SEQUENTIAL)))
    assert steps.min() > 0.6 * steps.mean()
    assert steps.max() < 1.4 * steps.mean()
    light = _lightness(_linear(DIVERGING))
    assert light.argmax() == 5
    assert np.abs(light - light[::-1]).max() < 10


def test_a_model_has_the_colour_of_what_it_is() -> None:
    lab = ["lab/mhsa", "lab/conv", "lab/c2f", "lab/ca_c2f"]
    assert list(colours_of(lab)) == [LOOKS[one.removeprefix("lab/")].colour for one in lab]
    assert colours_of(lab[::-1]) == colours_of(lab)[::-1]
    for text in ("lab/mhsa#5", "lab/mhsa-aug", "lab/detect+mhsa", "random/resnet18+mhsa@3", "mhsa"):
        assert colours_of([text]) == (LOOKS["mhsa"].colour,), text
    # Any other has one by its name, whatever stands beside it.
    wild = ["resnet50.a1_in1k", "vit_tiny_patch16_224", "hf-hub:org/name", "no such model at all!"]
    alone = {text: colours_of([text])[0] for text in wild}
    assert set(alone.values()) <= set(MODEL_COLOURS)
    for text in wild:
        assert (
            dict(zip(["lab/none", text, "lab/conv"], colours_of(["lab/none", text, "lab/conv"])))[text] == alone[text]
        )


def test_models_that_are_shown_together_have_colours_of_their_own() -> None:
    same = ["lab/mhsa", "lab/mhsa#1", "lab/mhsa#2", "random/resnet18+mhsa@3", "lab/axial", "lab/coord"]
    found = colours_of(same)
    assert len(set(found)) == 6
    assert (found[0], found[4], found[5]) == tuple(LOOKS[one].colour for one in ("mhsa", "axial", "coord"))
    assert len(set(colours_of([f"model{n}" for n in range(6)]))) == 6
    # One that is shown twice is one model; nobody has to be told apart from itself.
    assert len(set(colours_of(["lab/mhsa", "resnet18", "lab/mhsa"]))) == 2
    assert colours_of([]) == ()


def test_model_colours_can_be_told_apart_by_the_colour_blind() -> None:
    assert len(MODEL_COLOURS) == 6
    # Machado 2009, severity 1.0: protan, deutan, tritan; on linear RGB.
    simulations = [
        np.eye(3),
        np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
        np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
        np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
    ]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for simulation in simulations:
        xyz = np.clip(_linear(MODEL_COLOURS) @ simulation.T, 0, 1) @ to_xyz.T / (0.9505, 1, 1.089)
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], -1)
        closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))
        assert closest > 10  # a just noticeable difference is about 2.3


# --------------------------------------------------------------------------------------------- the right numbers


def test_the_attention_drawn_is_the_row_asked_for() -> None:
    one = tokens()
    image = random(3, *FRAME)
    for query, head, item in [(Point(20, 40), 1, 0), ("class", None, 1), (None, 2, 1)]:
        sheet = attention_sheet([one], image, "vit", query, head, item)
        seen, shown = panels(sheet)[0]
        assert isinstance(seen, InputPicture)
        assert isinstance(shown, Map)
        expected = one.row(Point(32, 32) if query is None else query, head, item)
        assert torch.equal(shown.values, expected)
        assert (shown.low, shown.high) == (0, float(expected.max()))
        assert shown.mark == (None if query == "class" else Point(32, 32) if query is None else query)
        assert ("mean of heads" if head is None else f"head {head}") in shown.title
        assert ("from the class token" in shown.title) == (query == "class")
        assert shown.unit == "pretrained; softmax over 17 positions"
        trace = next(trace for trace in interactive.figure(sheet).data if trace.type == "heatmap")
        np.testing.assert_array_equal(trace.z, expected.double().numpy())
        # cells of 16 px, their centres at 8, 24, ...
        assert (trace.x0, trace.dx, trace.y0, trace.dy) == (8, 16, 8, 16)
        assert (trace.zmin, trace.zmax) == (0, float(expected.max()))
        assert "pretrained: weights as published for this model" in words(sheet)


def test_many_maps_stand_in_rows_and_one_that_cannot_answer_says_why() -> None:
    maps = [tokens(f"blocks.{k}.attn") for k in range(5)]
    sheet = attention_sheet([*maps, unplaced((8, 8))], random(3, *FRAME), query="distillation")
    grid = panels(sheet)
    assert [len(row) for row in grid] == [5, 2]
    assert isinstance(grid[0][1], Words)
    assert "no prefix token 'distillation'" in grid[0][1].text
    assert isinstance(grid[1][1], Map)
    with pytest.raises(ParameterError, match="head 9"):
        attention_sheet(maps[:1], random(3, *FRAME), head=9)


def test_channels_are_a_matrix_or_bars_and_never_a_picture_of_the_image() -> None:
    one = unplaced((8, 8))
    shown = panels(attention_sheet([one], random(3, *FRAME), head=1))[0][1]
    assert isinstance(shown, Map)
    assert shown.frame == (8, 8)
    assert torch.equal(shown.values, one.matrix(1))
    assert "no picture of the image" in shown.unit
    gates = unplaced((1, 12), "channel", "gate a channel, 0 to 1")
    bars = panels(attention_sheet([gates], random(3, *FRAME), head=0))[0][1]
    assert isinstance(bars, Bars)
    assert bars.high == 1
    np.testing.assert_allclose(bars.values, gates.matrix(0)[0])
    single = AttentionMap("x", "X", "channel", Stored(torch.tensor([[[[[0.7]]]]])), None, FRAME)
    assert isinstance(panels(attention_sheet([single], random(3, *FRAME)))[0][1], Bars)


def test_a_gate_is_drawn_from_0_to_1() -> None:
    index = torch.arange(16)[None]
    layout = Layout("gate", (4, 4), index)
    gate = AttentionMap("gate", "G", "gate", Stored(0.5 * random(1, 1, 6, 1, 16)), layout, FRAME, "identity-init")
    shown = panels(attention_sheet([gate], random(3, *FRAME), query=Point(1, 1)))[0][1]
    assert isinstance(shown, Map)
    assert (shown.low, shown.high) == (0, 1)
    assert shown.mark is None  # no query: every place has the same map
    assert "mean of channels" in shown.title
    assert shown.unit == "identity-init; gate, 0 to 1"


def test_signed_attributions_are_symmetric_about_zero() -> None:
    values = torch.tensor([[0.5, -2.0], [1.0, 0.0]])
    sheet = attribution_sheet(attribution(values, delta=-0.125, note="a note"), random(3, *FRAME), "vit")
    shown = panels(sheet)[0][1]
    assert isinstance(shown, Map)
    assert (shown.low, shown.high) == (-2, 2)
    trace = next(trace for trace in interactive.figure(sheet).data if trace.type == "heatmap")
    assert trace.colorscale[5] == (0.5, "#F7F7F7")
    text = words(sheet)
    for said in ("vit: Grad-CAM of cup (968)", "layer4", "weighted activation", "convergence delta -0.125", "a note"):
        assert said in text
    unsigned = panels(attribution_sheet(attribution(values.abs()), random(3, *FRAME)))[0][1]
    assert isinstance(unsigned, Map)
    assert (unsigned.low, unsigned.high) == (0, 2)
    flat = panels(attribution_sheet(attribution(torch.zeros(2, 2)), random(3, *FRAME)))[0][1]
    assert isinstance(flat, Map)
    assert (flat.low, flat.high) == (0, 1)


def test_a_comparison_shows_before_and_after_on_one_scale() -> None:
    row = view()
    sheet = comparison_sheet(comparison(row, view(spec="resnet", state="random")), head=2)
    colours = colours_of([row.spec, "resnet"])
    assert [section.colour for section in sheet.sections] == list(colours)
    before, after = panels(sheet)[:2]
    for item, line in enumerate((before, after)):
        picture, bars, attention, explained, _ = line
        assert isinstance(picture, InputPicture)
        assert picture.image is row.images[item]
        assert picture.mark == row.queries[item]
        assert isinstance(bars, Bars)
        assert bars.values == (0.75, 0.25)
        assert bars.labels == ("cup", "goldfish")
        assert bars.colour == colours[0]
        assert isinstance(attention, Map)
        assert torch.equal(attention.values, row.maps[1].row(row.queries[item], 2, item))
        assert isinstance(explained, Map)
        assert row.attributions is not None
        assert explained.values is row.attributions[item].values
    assert before[2].high == after[2].high == max(float(line[2].values.max()) for line in (before, after))  # type: ignore[union-attr]
    assert before[3].high == after[3].high == before[4].high  # type: ignore[union-attr]
    brought, difference = before[4], after[4]
    assert isinstance(brought, Map)
    assert isinstance(difference, Map)
    assert brought.values[:, 3].isnan().all()  # what the moved picture does not show is not drawn as a value
    assert difference.values[:, 3].isnan().all()
    assert row.difference is not None
    assert torch.equal(difference.values[:, :3], row.difference[:, :3])
    text = words(sheet)
    for said in (
        "16 px right; border zero",
        "vit_tiny (pretrained: weights as published",
        "resnet (random: random weights: the map shows the architecture",
        "a note",
        "torch 2.8, timm 1.0.31",
        "blocks.1.attn, head 2",
    ):
        assert said in text, said


def test_a_comparison_of_a_picture_that_was_not_moved_has_one_row_a_model() -> None:
    sheet = comparison_sheet(comparison(view(moved=False)))
    assert [len(row) for row in panels(sheet)] == [4]


def test_a_comparison_says_what_it_cannot_show() -> None:
    bare = view(maps=(), attributions=None, pulled_back=None, difference=None)
    gone = view(queries=(Point(60, 40), None), predictions=(Prediction((), "it has no head"),) * 2)
    grid = panels(comparison_sheet(comparison(bare, gone)))
    assert [type(panel) for panel in grid[0]] == [InputPicture, Bars, Words]
    assert isinstance(grid[2][1], Words)
    assert grid[2][1].text == "it has no head"
    assert isinstance(grid[2][2], Map)
    assert isinstance(grid[3][2], Words)
    assert "left the frame" in grid[3][2].text
    wrong = panels(comparison_sheet(comparison(view()), layer="blocks.7.attn"))[0][2]
    assert isinstance(wrong, Words)
    assert "blocks.7.attn" in wrong.text


@pytest.mark.parametrize(("layer", "expected"), [(None, "blocks.1.attn"), (0, "blocks.0.attn"), (-1, "stages.2.xca")])
def test_the_layer_asked_for_is_shown(layer: int | None, expected: str) -> None:
    row = view(maps=(tokens(), tokens("blocks.1.attn"), unplaced((8, 8))))
    shown = panels(comparison_sheet(comparison(row), layer=layer))[0][2]
    assert shown.title.startswith(expected)
    named = panels(comparison_sheet(comparison(row), layer=expected, query="class"))[0][2]
    assert named.title.startswith(expected)


def test_sheets_of_several_models_stand_below_each_other() -> None:
    sheets = [prediction_sheet(TOP, random(3, 8, 8), name, "pretrained") for name in ("vit", "resnet")]
    both = joined("two", list(zip(("vit", "resnet"), sheets)), "torch 2.8")
    colours = list(colours_of(["vit", "resnet"]))
    assert [section.colour for section in both.sections] == colours
    assert [row[1].colour for row in panels(both)] == colours  # type: ignore[union-attr]
    for said in ("two", "vit: prediction (pretrained", "resnet: prediction (pretrained", "torch 2.8"):
        assert said in words(both)
    assert "line two" in words(lines_sheet("list", ["line one", "line two"]))
    assert static.image(lines_sheet("list", ["line one"])).size[0] >= 640


# ------------------------------------------------------------------------------------------ in the right places


def test_a_prediction_shows_what_the_model_saw() -> None:
    image = random(3, 20, 30)
    sheet = prediction_sheet(TOP, image, "vit", "random")
    trace = next(trace for trace in interactive.figure(sheet).data if trace.type == "image")
    with Image.open(io.BytesIO(base64.b64decode(trace.source.split(",")[1]))) as shown:
        np.testing.assert_array_equal(np.asarray(shown), (image * 255).round().byte().permute(1, 2, 0).numpy())
    text = words(sheet)
    assert "75.0%" in text
    assert "random weights: the map shows the architecture" in text
    assert "goldfish" in text


def test_panels_of_a_figure_do_not_overlap_and_stay_inside() -> None:
    sheet = comparison_sheet(comparison(*(view(spec=f"model {k}") for k in range(6))))
    layout = interactive.figure(sheet).layout
    boxes = []
    for name in [name for name in layout if name.startswith("xaxis")]:
        x, y = layout[name].domain, layout["y" + name[1:]].domain
        assert 0 <= x[0] < x[1] <= 1
        assert 0 <= y[0] < y[1] <= 1
        boxes.append((*x, *y))
    assert len(boxes) >= 6 * 2 * 4
    for (a, b, c, d), (e, f, g, h) in itertools.combinations(boxes, 2):
        assert b <= e + 1e-9 or f <= a + 1e-9 or d <= g + 1e-9 or h <= c + 1e-9


def test_the_png_has_the_colour_of_every_value_at_its_place() -> None:
    values = random(4, 4, seed=5) - 0.4
    bound = float(values.abs().max())
    panel = Map("m", values, (64, 32), -bound, bound)
    sheet = Sheet("title", (Section("", ((panel,),)),))
    ((_, box),) = plan_of(sheet).maps
    assert box.height == 2 * box.width  # the frame's proportions
    drawn = np.asarray(static.image(sheet))
    scale = [[k / 10, colour] for k, colour in enumerate(DIVERGING)]
    for i, j in itertools.product(range(4), range(4)):
        place = float((values[i, j] + bound) / (2 * bound))
        expected = plotly.colors.sample_colorscale(scale, [place], colortype="tuple")[0]
        pixel = drawn[box.y + int((i + 0.5) * box.height / 4), box.x + int((j + 0.5) * box.width / 4)]
        assert np.abs(pixel - np.array(expected) * 255).max() <= 1.5


def test_the_png_marks_the_query_and_draws_bars_to_scale() -> None:
    image = torch.zeros(3, *FRAME)
    sheet = Sheet(
        "t", (Section("", ((InputPicture("p", image, Point(16, 48)), Bars("b", (0.75, 0.25), 1.0, ("a", "b"))),)),)
    )
    plan = plan_of(sheet)
    drawn = np.asarray(static.image(sheet)).astype(int)
    _, box = plan.pictures[0]
    red = (np.abs(drawn - (0xD0, 0, 0)).max(-1) == 0)[box.y : box.y + box.height, box.x : box.x + box.width]
    y, x = red.nonzero()
    assert abs(x.mean() / box.width - 0.25) < 0.02
    assert abs(y.mean() / box.height - 0.75) < 0.02
    colour = tuple(int(MODEL_COLOURS[0][k : k + 2], 16) for k in (1, 3, 5))
    lengths = (np.abs(drawn - colour).max(-1) == 0).sum(1)
    assert sorted(set(lengths.tolist())) == [0, round(0.25 * 224), round(0.75 * 224)]


# ---------------------------------------------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sheet = comparison_sheet(comparison(view(notes=('<script>alert(1)</script> & "quotes"',))))
    return save(sheet, tmp_path_factory.mktemp("figures") / "sheet.html")


def test_png_needs_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    sheet = comparison_sheet(comparison(view()))
    path = save(sheet, tmp_path / "sheet.PNG")
    with Image.open(path) as image:
        layout = interactive.figure(sheet).layout
        assert image.size == (layout.width, layout.height)


def test_html_holds_everything_and_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tags = re.findall(
        r"<(?:script|link|img|iframe|style)\b[^>]*>", re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.S)
    )
    assert tags == []
    assert not re.search(r"<script[^>]+src=", text)
    assert "<script>alert(1)" not in text
    assert "charset" in text[:200]
    assert len(text) > 3_000_000  # plotly.js is inside


@pytest.mark.browser
def test_a_browser_draws_the_html_without_any_request(page: Path) -> None:
    api = pytest.importorskip("playwright.sync_api")
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    browser_path = next(filter(None, map(shutil.which, names)), None)

    def drawn() -> tuple[int, int, list[str], list[str]] | None:
        with api.sync_playwright() as playwright:
            if browser_path is None and not Path(playwright.chromium.executable_path).exists():
                return None
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            tab = browser.new_page()
            requests: list[str] = []
            problems: list[str] = []
            tab.on("request", lambda request: requests.append(request.url))
            tab.on("pageerror", lambda error: problems.append(str(error)))
            tab.goto(page.as_uri())
            tab.wait_for_selector(".heatmaplayer image")
            found = tab.locator(".heatmaplayer image").count(), tab.get_by_text("alert(1)").count()
            browser.close()
            return *found, requests, problems

    # In a thread of its own: browser tests leave an event loop running in this one.
    with ThreadPoolExecutor(1) as alone:
        found = alone.submit(drawn).result()
    if found is None:
        pytest.skip("no Chromium on this machine")
    images, alerts, requests, problems = found
    assert images == 6
    assert alerts >= 1
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []


def test_other_files_are_refused(tmp_path: Path) -> None:
    sheet = prediction_sheet(TOP, random(3, 8, 8), "vit", "random")
    with pytest.raises(ParameterError, match=r"\.png, \.svg or \.html"):
        save(sheet, tmp_path / "sheet.pdf")
    with pytest.raises(ParameterError, match="cannot be written"):
        save(sheet, tmp_path / "missing" / "sheet.png")


def test_long_words_are_cut_to_their_place() -> None:
    spec = "hf-hub:" + "a_very_long_name_" * 30
    sheet = comparison_sheet(comparison(view(spec=spec)))
    plan = plan_of(sheet)
    for text in plan.texts:
        shown = cut(text.text, text.size, text.width)
        assert text.x + measure(shown, text.size) <= plan.width
    assert static.image(sheet).size[0] < 2400


# ----------------------------------------------------------------------------------------------------------- SVG

SVG = "{http://www.w3.org/2000/svg}"


def svg_numbers(text: str | None) -> list[float]:
    return [float(one) for one in re.findall(r"-?[0-9.]+(?:e-?[0-9]+)?", text or "")]


def test_an_svg_stands_where_the_plan_says_and_keeps_words_and_cells(tmp_path: Path) -> None:
    values = random(3, 5, seed=4) - 0.5
    values[0, 0] = torch.nan
    shown = Map("A <map> & more $x$", values, FRAME, -0.5, 0.5, "unit of it", Point(16, 48))
    picture = InputPicture("Seen", random(3, 6, 9))
    bars = Bars("Answers", (0.25, 0.75), 1.0, ("tench", "Samoyed"), "softmax probability")
    sheet = Sheet("Title", (Section("One", ((picture, bars, shown),), notes=("A note.",)),), "the footer")
    path = save(sheet, tmp_path / "sheet.svg")
    text = path.read_text(encoding="utf-8")
    assert text == static.svg(sheet)  # the same each time
    root = ElementTree.fromstring(text)
    plan = plan_of(sheet)
    # In points of 1/72 inch, of which a pixel of 1/100 inch has 0.72.
    assert svg_numbers(root.get("viewBox")) == pytest.approx([0, 0, 0.72 * plan.width, 0.72 * plan.height], abs=1e-3)

    words = ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]
    assert words == [one.text for one in plan.texts if one.text]
    assert {"A <map> & more $x$", "25.0%", "75.0%", "0.5", "-0.5", "tench", "A note.", "the footer"} <= set(words)

    images = list(root.iter(f"{SVG}image"))
    boxes = [box for _, box in (*plan.pictures, *plan.maps)]
    found = []
    for one in images:
        head, data = one.get("{http://www.w3.org/1999/xlink}href", "").split(",", 1)
        assert head == "data:image/png;base64"
        found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")))
    assert np.array_equal(found[0], pixels(picture.image))
    assert np.array_equal(found[1], coloured(shown, values.double().numpy()))
    assert "pixelated" in images[1].get("style", "")
    for one, box in zip(images, boxes):
        a, _, _, d, x, y = svg_numbers(one.get("transform"))
        assert abs(a) * float(one.get("width", "")) == pytest.approx(0.72 * box.width, abs=0.01)
        assert abs(d) * float(one.get("height", "")) == pytest.approx(0.72 * box.height, abs=0.01)
        assert x == pytest.approx(0.72 * box.x, abs=0.01)
        assert 0.72 * box.y - 0.01 <= y <= 0.72 * (box.y + box.height) + 0.01
    # The bar of colours beside the map, from its highest value above to its lowest below.
    bar = found[2]
    assert np.array_equal(bar[0, 0], coloured(shown, np.array([[0.5]]))[0, 0])
    assert np.array_equal(bar[-1, 0], coloured(shown, np.array([[-0.5]]))[0, 0])

    paths = [svg_numbers(one.get("d")) for one in root.iter(f"{SVG}path")]
    for box in bar_boxes(*plan.bars[0]):
        corners = {round(0.72 * one, 2) for one in (box.x, box.x + box.width, box.y, box.y + box.height)}
        assert any(corners <= {round(one, 2) for one in path} for path in paths)
    box = plan.maps[0][1]
    x, y = box.x + box.width / 4, box.y + 3 * box.height / 4  # of the mark at (16, 48) in 64 x 64
    across = [0.72 * (x - 8), 0.72 * y, 0.72 * (x + 8), 0.72 * y]
    assert sum(path == pytest.approx(across, abs=1e-3) for path in paths if len(path) == 4) == 2


def test_charts_are_vectors_in_an_svg_and_keep_apart() -> None:
    def chart(title: str) -> Chart:
        line = Line("lab/x", (1.0, 2.0, 4.0), (0.1, 0.5, 0.3), (0.0, 0.4, 0.2), (0.2, 0.6, 0.4))
        return Chart("Title", (line,), Axis("zoom, x", log=True), Axis(title))

    radar = Radar("All", (Line("m", ("Locality", "Scale", "Shape"), (0.5, 0.2, 1.0)),))
    sheet = Sheet("Charts", (Section("", ((chart("share $a$ of <them>"), chart("accuracy")), (radar,))),))
    text = static.svg(sheet)
    assert text == static.svg(sheet)
    root = ElementTree.fromstring(text)
    words = {"".join(one.itertext()).strip() for one in root.iter(f"{SVG}text")}
    assert {"zoom, x", "share $a$ of <them>", "accuracy", "Locality", "Scale", "Shape", "lab/x"} <= words
    assert not list(root.iter(f"{SVG}image"))
    names = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(names) == len(set(names))
    wanted = re.findall(r"(?:url\(|href=\")#([^)\"]+)", text)
    assert wanted
    assert set(wanted) <= set(names)
    plan = plan_of(sheet)
    assert len(plan.charts) == 3
    # No chart's words leave its box, title and names of its lines aside, which stand above it.
    drawn = static._drawn(sheet, still=True)
    FigureCanvasAgg(drawn).draw()
    for axes, (_, box) in zip(drawn.axes[1:], plan.charts):
        tight = axes.get_tightbbox()
        assert tight is not None
        assert box.x - 1 <= tight.x0 < tight.x1 <= box.x + box.width + 1
        assert plan.height - box.y - box.height - 1 <= tight.y0 < tight.y1 <= plan.height - box.y + 1


def test_many_long_categories_stay_inside_of_their_chart() -> None:
    names = tuple(f"a category with a long name {k}" for k in range(13))
    lines = tuple(Line(f"m{k}", names, (0.5,) * 13, (0.4,) * 13, (0.6,) * 13, joined=False) for k in range(2))
    sheet = Sheet("t", (Section("", ((Chart("c", lines, Axis("block"), Axis("share of right answers")),),)),))
    drawn = static._drawn(sheet, still=True)
    FigureCanvasAgg(drawn).draw()
    ((_, box),) = plan_of(sheet).charts
    tight = drawn.axes[1].get_tightbbox()
    assert tight is not None
    assert tight.x0 >= box.x - 1
    assert tight.y0 >= drawn.bbox.height - box.y - box.height - 1
    assert drawn.axes[1].get_position().height * drawn.bbox.height > 80
