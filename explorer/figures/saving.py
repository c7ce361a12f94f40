"""Write a `Sheet` to a file."""

from __future__ import annotations

import io
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from explorer.errors import ParameterError
from explorer.figures.sheet import Sheet
from explorer.writing import write

#: How the name of a figure's file ends.
FIGURES = (".png", ".svg", ".html")


def save(sheet: Sheet, path: str | Path) -> Path:
    """Write a sheet to ``path``: .png, .svg, or .html; each is one file that asks for nothing from elsewhere.

    Its title and its link stand in the file's metadata too, where a PNG and an SVG have any.

    Raises ParameterError for another ending, or where the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FIGURES:
        raise ParameterError(f"a figure is written as .png, .svg or .html, got '{path.name}'")
    # Either library takes a moment to import, and only one is needed.
    if suffix == ".html":
        from explorer.figures.interactive import page

        return write(path, page(sheet))
    from explorer.figures.static import image, svg

    if suffix == ".svg":
        return write(path, svg(sheet))
    about = PngInfo()
    about.add_itxt("Title", sheet.title)
    if sheet.link:
        about.add_itxt("Source", sheet.link)
    buffer = io.BytesIO()
    image(sheet).save(buffer, "PNG", pnginfo=about)
    return write(path, buffer.getvalue())
