"""Keep the catalogues of assets/locales up to date: ``python -m explorer.ui.catalogues``.

Babel extracts every text that is written as a `Message`, handed to ``say`` in the browser's modules, or given to a
component of gradio by ``i18n``; texts that are declared (of registries, of scenes) come from where they are declared.
A text of the catalogue that is gone is dropped, a new one stands in it without a translation.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Collection, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from explorer.attribution import METHODS, method_title
from explorer.blocks import BLOCKS, short_name
from explorer.blocks.explain import BlockExplanation, explain
from explorer.images import alt_text, samples
from explorer.kinds import KINDS
from explorer.lessons import Lesson, shipped
from explorer.messages import ENGLISH, FOLDER
from explorer.models.spec import WEIGHTS_STATES
from explorer.probes import PROBES, QUESTIONS
from explorer.registry import parameters, question
from explorer.resources import ASSETS
from explorer.scenes import BACKGROUNDS, CLASSES, PRESETS, SHAPES, TEXTURES, Scene
from explorer.statistics import BY
from explorer.transforms import BORDERS, Transform
from explorer.writing import write

#: Functions whose first argument is a text, or whose first two are it in the singular and in the plural.
KEYWORDS: dict[str, Any] = {"Message": None, "counted": (1, 2), "i18n": None, "say": None, "msg": None}
#: For Babel: texts stand in template literals too.
_OPTIONS = {"encoding": "utf-8", "parse_template_string": "true"}
#: What has no word in it (px, 3×3) is the same in every language.
_WORD = re.compile(r"[A-Za-z]{3}")
#: Lines of a catalogue's header that are left out: dates, and what nobody filled in.
_CHANGING = tuple(
    f'"{name}'.encode()
    for name in ("POT-", "PO-Rev", "Generated-By", "Project-Id", "Report-", "Last-Tr", "Language-Team")
)


def extracted(root: Path, without: Collection[Path] = ()) -> Catalog:
    """Every text of the product, without translations.

    Args:
        root: the folder of the checkout.
        without: files of blocks, methods and probes that are left out.
    """
    found = Catalog(charset="utf-8")
    for folder, method, ending in (("explorer", "python", ".py"), ("assets/web", "javascript", ".js")):
        for path in sorted((root / folder).rglob(f"*{ending}")):
            if path in without or path.name.endswith(".test.js"):
                continue
            # Babel warns of values that are formatted beside a text, and of texts that are "" for want of another.
            with redirect_stderr(io.StringIO()):
                texts = extract_from_file(method, path, keywords=KEYWORDS, options=_OPTIONS)
            for _, text, _, _ in texts:
                found.add(text)
    for text in declared(without):
        if _WORD.search(text):
            found.add(text)
    return found


def declared(without: Collection[Path] = ()) -> Iterator[str]:
    """Texts of our registries, of scenes and samples: they are looked up as they stand."""

    def ours(entry: type) -> bool:
        return entry.__module__.startswith("explorer.") and Path(inspect.getfile(entry)) not in without

    yield from QUESTIONS.values()
    yield from (*SHAPES, *CLASSES, *TEXTURES, *BACKGROUNDS, *BORDERS)
    yield from (*KINDS.values(), *WEIGHTS_STATES.values(), BY)
    yield from (*PRESETS, *(words for _, words in PRESETS.values()))
    yield from (*samples(), *map(alt_text, samples()))
    for kind in (Scene, Transform):
        yield from _parameters(kind)
    for lesson in shipped():
        yield from lesson_texts(lesson)
    for name, method in METHODS.items():
        if ours(method):
            yield from (method_title(name), question(method), method.unit, *_parameters(method))
    for name, probe in PROBES.items():
        if ours(probe):
            yield from (question(probe), probe.limits, probe.headline, name.replace("-", " "), *_parameters(probe))
    for name, block in BLOCKS.items():
        if ours(block):
            yield from (short_name(name), *_explained(explain(name)))


def lesson_texts(lesson: Lesson) -> Iterator[str]:
    """The English texts of a lesson."""
    yield lesson.title[ENGLISH]
    for step in lesson.steps:
        if step.notes:
            yield step.notes[ENGLISH]
        yield from (one[ENGLISH] for one in (step.title, step.question, step.explanation, *step.choices))
        # A paper is cited with its year, in its own language; what has none is a place of the page.
        yield from (one for one in step.sources if not re.search(r"\b(?:19|20)\d\d\b", one))


def _parameters(entry: type) -> Iterator[str]:
    for name, one in parameters(entry).items():
        yield from (name.replace("_", " "), one.text, one.unit)
        # Methods have their titles, blocks are names.
        yield from (str(choice) for choice in one.choices if choice not in METHODS and choice not in BLOCKS)


def _explained(found: BlockExplanation) -> Iterator[str]:
    yield from (found.title, found.question, *found.strengths, *found.weaknesses)
    yield from (found.definition, found.cost, found.map, found.means, found.means_not, found.correction, found.order)
    yield from (found.memory, found.reach, found.use, found.difficulty)
    yield from (option.text for option in found.options.values())
    yield from (node.label for row in found.diagram.rows for node in row)


def written(catalogue: Catalog) -> bytes:
    """A catalogue as a .po file; the same texts give the same bytes."""
    file = io.BytesIO()
    catalogue.fuzzy = False
    for one in catalogue:
        # Babel takes "95 % interval" for a place.
        one.flags.discard("python-format")
    write_po(file, catalogue, width=0, no_location=True, ignore_obsolete=True)
    return b"".join(line for line in file.getvalue().splitlines(keepends=True) if not line.startswith(_CHANGING))


def _is_told(translation: Any) -> bool:
    """Whether there is a translation, of a text that counts in every form."""
    return all(translation) if isinstance(translation, (list, tuple)) else bool(translation)


def main() -> None:
    """Bring every catalogue up to date, and say what has no translation."""
    template = extracted(ASSETS.parent)
    for path in sorted(FOLDER.glob("*.po")):
        with path.open("rb") as file:
            known = read_po(file, locale=path.stem)
        known.update(template, no_fuzzy_matching=True)
        write(path, written(known))
        missing = [one.id for one in known if one.id and not _is_told(one.string)]
        print(f"{path.name}: {len(known)} texts, {len(missing)} without a translation", *missing, sep="\n  ")


if __name__ == "__main__":
    main()
