"""Results that a notebook shows as a picture, and that can be written as one."""

from __future__ import annotations

import sys
import webbrowser
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from explorer.writing import make_temporary_folder, temporary_folder


class Drawn:
    """A result with a figure of its own.

    Figures are made in rooms above the results', so what makes one is named here as text and imported when it is asked
    for.
    """

    #: "module:function" that takes the result and returns the `Sheet` of what is shown of it.
    drawn_by: ClassVar[str]

    def _sheet(self) -> Any:
        module, _, function = self.drawn_by.partition(":")
        return getattr(import_module(f"explorer.{module}"), function)(self)

    def _repr_html_(self) -> str:
        """Its figure for a notebook: HTML that holds the picture and asks for nothing from elsewhere."""
        html: str = import_module("explorer.figures.static").html(self._sheet())
        return html

    def show(self) -> None:
        """Show its figure: below the cell of a notebook, elsewhere in the browser."""
        shell: Any = sys.modules.get("IPython")
        if shell is not None and shell.get_ipython() is not None:
            import_module("IPython.display").display(self)
            return
        # The browser reads it after this program has gone on, so that it stays.
        folder = make_temporary_folder("figure-", temporary_folder())
        webbrowser.open(self.save(folder / "figure.html").as_uri())

    def save(self, path: str | Path) -> Path:
        """Write its figure to ``path``: .png, .svg or .html, as `explorer.figures.saving.save` does."""
        saved: Path = import_module("explorer.figures.saving").save(self._sheet(), path)
        return saved
