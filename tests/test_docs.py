"""Documents point at code that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md"))
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_every_link_leads_to_what_it_names(document: Path) -> None:
    for words, target in _LINK.findall(document.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        there = (document.parent / target).resolve()
        assert there.exists(), f"{document.name}: {target}"
        if there.suffix != ".py" or there.name == "__init__.py":
            continue
        code = there.read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", words):
            if name != there.stem:
                made = rf"(?m)^\s*(?:class|def|async def) {name}\b|^{name}\b *[:=]"
                assert re.search(made, code), f"{document.name}: {name} is not made in {target}"


def test_every_room_is_on_the_map() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room in (ROOT / "explorer").iterdir():
        if room.is_dir() and (room / "__init__.py").exists():
            assert f"`{room.name}`" in text, room.name
