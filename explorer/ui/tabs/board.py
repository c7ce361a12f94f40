"""The tab of a sweep's board: the page that ``explorer board`` writes, in a frame; its numbers lead to views here."""

from __future__ import annotations

import hashlib

from explorer.messages import Message
from explorer.sweep.board import board
from explorer.sweep.board_page import page_of
from explorer.sweep.summary import Sweep
from explorer.ui import web
from explorer.ui.stage import part

#: The page as the frame's own address has it: web/HASH/board.html.
_PAGE = "../../"


def served(sweep: str) -> dict[str, web.File]:
    """The board of a sweep as a file of the page, under a name that changes with its content.

    Args:
        sweep: the sweep's folder, or its address. It is named by who starts the page, never by a visitor.

    Raises ParameterError where it has no sweep, or nothing of it is done.
    """
    content = page_of(board(Sweep(sweep), _PAGE), framed=True).encode()
    return {f"board-{hashlib.sha256(content).hexdigest()[:16]}.html": web.packed(".html", content)}


def draw(name: str) -> None:
    """Show the file of such a name."""
    part("board", label=Message("Board"), elem_id="board", options={"file": name})
