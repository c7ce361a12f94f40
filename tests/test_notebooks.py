"""What a notebook and a terminal show of a result: one line, and its figure as a piece of HTML."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
import types
import urllib.parse
from html.parser import HTMLParser
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import explorer
from explorer.cli.main import main
from explorer.drawn import Drawn
from explorer.errors import ParameterError
from explorer.figures import static
from explorer.figures.results import comparison_sheet
from explorer.scenes import Scene


@pytest.fixture(scope="module")
def results() -> dict[str, Drawn]:
    models = [explorer.load("lab/mhsa", device="cpu"), explorer.load("lab/c2f", device="cpu")]
    picture = explorer.render(Scene(), models[0].input_size[0]).images
    return {
        "map": explorer.capture(models[0], picture)[-1],
        "attribution": explorer.attribute(models[0], picture, "gradcam"),
        "comparison": explorer.compare(models, Scene()),
        "probe": explorer.probe("consistency", ["lab/mhsa"], 2),
    }


@pytest.fixture(params=["map", "attribution", "comparison", "probe"])
def result(request: pytest.FixtureRequest, results: dict[str, Drawn]) -> Drawn:
    return results[request.param]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def picture_in(html: str) -> tuple[Image.Image, str]:
    """The one picture that a piece of HTML holds, and its alternative text."""
    reader = _Tags()
    reader.feed(html)
    ((tag, attributes),) = reader.found
    assert tag == "img"
    source = attributes["src"] or ""
    assert source.startswith("data:image/png;base64,")
    drawn = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    return drawn, attributes["alt"] or ""


def test_a_result_says_itself_in_one_line(result: Drawn) -> None:
    said = repr(result)
    assert said.startswith(type(result).__name__ + "(")
    assert "\n" not in said
    assert len(said) < 200


def test_the_line_says_what_it_is(results: dict[str, Drawn]) -> None:
    assert "4 heads, 12 x 12, a row for each query, lab" in repr(results["map"])
    assert "gradcam at stages.0 of star" in repr(results["attribution"])
    assert repr(results["comparison"]) == "Comparison(lab/mhsa, lab/c2f: not moved, gradcam)"
    assert repr(results["probe"]).startswith("ProbeResult(consistency of lab/mhsa: ")
    model = repr(explorer.load("lab/mhsa", device="cpu"))
    assert model.startswith("Model(lab/mhsa: 48 x 48 px, ")
    assert "\n" not in model


def test_a_notebook_shows_the_figure_and_asks_for_nothing(result: Drawn) -> None:
    drawn, alternative = picture_in(result._repr_html_())
    assert alternative
    assert np.asarray(drawn).std() > 0, "something is drawn"


def test_the_figure_is_that_of_the_page_and_the_command(results: dict[str, Drawn]) -> None:
    comparison = results["comparison"]
    assert isinstance(comparison, explorer.Comparison)
    drawn, _ = picture_in(comparison._repr_html_())
    assert np.array_equal(np.asarray(drawn), np.asarray(static.image(comparison_sheet(comparison))))


def test_titles_are_escaped(results: dict[str, Drawn]) -> None:
    from dataclasses import replace

    attribution = results["attribution"]
    assert isinstance(attribution, explorer.Attribution)
    _, alternative = picture_in(replace(attribution, target='"><script>')._repr_html_())
    assert alternative == 'Grad-CAM of "><script>'


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_a_figure_is_saved(result: Drawn, suffix: str, tmp_path: Path) -> None:
    assert result.save(tmp_path / f"figure{suffix}").stat().st_size > 1000


def test_another_ending_is_refused(result: Drawn, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"\.png, \.svg"):
        result.save(tmp_path / "figure.bmp")


def test_the_package_is_typed() -> None:
    assert files("explorer").joinpath("py.typed").is_file()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"explorer {version('attention-explorer')}\n"


def test_version_asks_for_no_torch() -> None:
    """It is asked for by scripts, which need not wait for it."""
    program = (
        "import sys; from explorer.cli.main import parser_of; parser_of(['--version']); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_show_opens_the_figure_that_is_saved(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    for result in results.values():
        result.show()
        figure = Path(urllib.parse.unquote(urllib.parse.urlsplit(opened[-1]).path))
        assert figure.read_text(encoding="utf-8").startswith("<!")
        shutil.rmtree(figure.parent)
    assert len(opened) == len(results)


def test_show_is_the_notebooks_where_there_is_one(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    shell, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    shell.get_ipython = lambda: object()  # type: ignore[attr-defined]
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    results["map"].show()
    assert shown == [results["map"]]
