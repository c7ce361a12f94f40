"""Every text that a visitor of the page can meet, gathered from where it stands."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.blocks.explain import explain
from explorer.images import alt_text, samples
from explorer.kinds import KINDS
from explorer.models.spec import WEIGHTS_STATES
from explorer.probes import PROBES, QUESTIONS, show
from explorer.scenes import BACKGROUNDS, CLASSES, SHAPES, TEXTURES, Scene
from explorer.statistics import BY
from explorer.transforms import BORDERS, Transform
from explorer.ui.scene import PRESETS
from explorer.ui.tabs.biases import TITLES
from explorer.ui.tabs.lab import SET_UPS

ROOT = Path(__file__).resolve().parents[2]
#: Files whose sentences reach the page, errors among them.
PYTHON = (
    *("ui/*.py", "ui/tabs/*.py", "attribution/*.py", "blocks/*.py", "attention/*.py", "attention/layouts/*.py"),
    *("probes/*.py", "scenes/*.py", "images/*.py", "models/*.py", "comparison/*.py", "view/*.py", "kinds.py"),
    *("figures/saving.py", "figures/interactive.py", "lab/sheets.py", "lab/findings.py", "lab/table.py"),
    *("lab/networks.py", "lab/origin.py", "geometry.py", "transforms.py", "registry.py", "errors.py", "writing.py"),
)
#: What these names hold is the same in every language.
_SAME = {"formula", "source", "plain", "example"}
#: Single words, which the gathering of sentences leaves out.
WORDS = (
    *("Measured", "model", "share", "number", "block", "probe", "Probe", "method", "seed", "Loading", "Reveal"),
    *("Comparison", "Opacity", "Threshold", "Colours", "Scale", "View", "smooth", "difference", "Models"),
    *("random", "pretrained", "lab", "Strengths", "Weaknesses", "Cost", "Map", "Source", "row", "column"),
    *("cross", "ms", "s", "bytes", "time", "memory", "forward", "both", "windows", "tokens", "channels"),
    *("gate", "object", "everything", "silhouettes", "patches", "clean", "greyscale", "chance", "accuracy"),
    *("control", "noise", "zeroed", "moved", "learnt", "Seed", "Set-up", "Block", "token", "identity-init"),
    *("file", "right", "left", "agreement", "consistency", "cosine", "points", "seeds", "parameters", "epochs"),
    *("head", "Warning", "Error", "Info", "category", "complexity", "theory", "view", "protocol", "unit"),
    *("scenes", "silhouette", "probability", "raw", "multiply-adds", "Background", "segments", "chunks", "blocks"),
    "convolutions",
)
#: Texts that are put together of pieces.
COMPOSED = (
    *(
        "{heading} measured",
        "Stopped. What was measured so far stays.",
        "Asking the models…",
        "class token",
        "What the numbers say",
    ),
    *("{n} px right", "{n} px left", "{n} px down", "{n} px up", "zoom {zoom}"),
    *("{n} points", "{n} points ({low} to {high})", "{seeds} seeds", "{seeds} seed"),
    "With the object 8 px off {rest}",
    *("At half the size {rest}", "At one and a half times the size {rest}"),
    *("With arrangements tilted by 25 to 40 degrees {rest}", "Cut into 4 x 4 patches and shuffled {rest}"),
    *("{measure} against depth", "{measure} over zoom 0.5 to 2", "{quantity} against the number of positions"),
    *("{quantity} against the width", "mean p(original class)", "absolute unchanged", "absolute zeroed"),
    *("absolute moved", "relative unchanged", "relative zeroed", "relative moved"),
    *("{quantity} at {side} x {side_}, d = {d}", "one thread's own time", "Bands: 95 % over images."),
    *("{block} loses {points}", "{block} gains {points}"),
    BY,
    *("Bars: 95 % over images.", "{direction}, one image, {side} x {side_} positions"),
    *("dashed: the power of the leading term, through the largest size (for large d)", "memory, MiB"),
)
_WORD = re.compile(r"[A-Za-z]{2}")


def skeleton(text: str) -> str:
    """A text without the names of its places."""
    return re.sub(r"\{\w*\}", "{}", text)


def newcomers() -> set[type]:
    """Entries that nobody has begun to translate: their question is in no catalogue. They may stay in English."""
    catalogue = json.loads((ROOT / "assets" / "locales" / "zh.json").read_text(encoding="utf-8"))
    entries = (*METHODS.values(), *PROBES.values(), *BLOCKS.values())
    return {one for one in entries if (one.__doc__ or "").strip().splitlines()[0] not in catalogue}


def declared() -> Iterator[str]:
    """Texts of the registries, and other declarations."""
    new = newcomers()
    yield from TITLES.values()
    yield from QUESTIONS.values()
    yield from (*SHAPES, *CLASSES, *TEXTURES, *BACKGROUNDS, *BORDERS)
    yield from (*KINDS.values(), *WEIGHTS_STATES.values(), *SET_UPS.values())
    yield from (words for _, words in PRESETS.values())
    yield from PRESETS
    yield from (*WORDS, *COMPOSED)
    yield from (alt_text(name) for name in samples())
    yield from samples()
    for kind in (Scene, Transform):
        for field in dataclasses.fields(kind):
            yield from (str(field.metadata.get("text", "")), str(field.metadata.get("unit", "")))
    for entry in set(METHODS.values()) - new:
        yield (entry.__doc__ or "").strip().splitlines()[0]
        yield entry.unit
        yield from _parameters(entry)
    for name, probe in PROBES.items():
        if probe in new:
            continue
        yield from (show.question(name), probe.limits, probe.headline, name.replace("-", " "))
        yield from _parameters(probe)
    for name, block in BLOCKS.items():
        if block not in new:
            yield from _explained(explain(name))


def _parameters(entry: Any) -> Iterator[str]:
    for field in dataclasses.fields(entry):
        yield field.name.replace("_", " ")
        yield from (field.metadata.get("text", ""), field.metadata.get("unit", ""))


def _explained(found: Any) -> Iterator[str]:
    yield from (found.title, found.question, *found.strengths, *found.weaknesses)
    for text in (found.definition, found.cost, found.map, found.means, found.means_not, found.correction, found.order):
        yield text.replace("``", "")
    yield from (found.memory, found.reach, found.use, found.difficulty)
    yield from (option.text for option in found.options.values())
    yield from (node.label for row in found.diagram.rows for node in row)


def written() -> Iterator[str]:
    """Sentences in the library's code: literals and f-strings of more than one word."""
    new = {Path(inspect.getfile(one)) for one in newcomers()}
    for pattern in PYTHON:
        for path in sorted({*(ROOT / "explorer").glob(pattern)} - new):
            yield from _literals(ast.parse(path.read_text(encoding="utf-8")))


def _literals(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _prose(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield from _prose(_template(node))
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _literals(part.value)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "log.exception",
        "log.error",
        "log.warning",
        "re.compile",
        "re.sub",
    ):
        return
    else:
        for field, child in ast.iter_fields(node):
            for one in child if isinstance(child, list) else [child]:
                if isinstance(one, ast.keyword) and one.arg in _SAME:
                    continue
                if isinstance(one, (ast.Assign, ast.AnnAssign)) and _target(one) in _SAME:
                    continue
                if isinstance(one, ast.AST) and field != "annotation":
                    yield from _literals(one)


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


#: Lines of Python and of markup.
_CODE = re.compile(
    r"""^(for|if) .*:|^(import \w+$|(models|result|top) = |# )|print\(|="|^\(?"|^explorer\.|^one\.|^Registry|\(values"""
    r"""|^\{"|^\w+ \| None$|sayWithin|^# """
)


def _prose(text: str) -> Iterator[str]:
    fixed = re.sub(r"\{\w+\}", "", text).strip()
    if (
        " " in fixed
        and not _CODE.search(text.strip())
        and re.search(r"[a-z]{2,}", fixed)
        and not re.search(r"[<>\\]|\n\S|^\W*$|sans-serif|domain$", fixed)
    ):
        yield text.strip().removesuffix(";")


def _template(node: ast.JoinedStr) -> str:
    """An f-string as a key: its values named by what they are made of."""
    said, names = "", set()
    for part in node.values:
        if isinstance(part, ast.Constant):
            said += str(part.value)
            continue
        words = re.findall(r"[a-z]\w*", ast.unparse(part)) or ["value"]
        name = next((word for word in reversed(words) if len(word) > 1), words[-1])
        while name in names:
            name += "_"
        names.add(name)
        said += f"{{{name}}}"
    # What follows a whole sentence is one of its own.
    return re.sub(r"\.\{\w+\}$", ".", said)


def spoken() -> Iterator[str]:
    """What the scripts hand to say(), and what the server gives to i18n()."""
    for path in sorted((ROOT / "assets" / "web").glob("*.js")):
        if path.name.endswith(".test.js"):
            continue
        code = path.read_text(encoding="utf-8")
        for found in re.finditer(r"\bsay\(", code):
            yield from _strings(_argument(code, found.end()))
        # What gets to say() by a name: every literal that is prose.
        code = re.sub(r"(?m)^\s*(//|/?\*).*$", "", code)
        for found in re.finditer(r'([^\n"`]*)"((?:[^"\\\n]|\\.)*)"', code):
            if (
                found[2] != "use strict"
                and not _NO_TEXT.search(found[1])
                and re.search(r"[A-Za-z]{2,} [a-z(“]", found[2])
            ):
                yield ast.literal_eval(f'"{found[2]}"').strip().removesuffix(":")
    for path in sorted((ROOT / "explorer" / "ui").rglob("*.py")):
        for found in re.finditer(r'i18n\(\s*("(?:[^"\\]|\\.)*")', path.read_text(encoding="utf-8")):
            yield ast.literal_eval(found[1])


#: What stands before a string that is no text: a class, a selector, a style, an import.
_NO_TEXT = re.compile(
    r"""(class: [^,]*|class["']?, |querySelector\w*\(|closest\(|matches\(|style: |Attribute\(|font = )$"""
)


def _argument(code: str, start: int) -> str:
    """The first argument of a call: up to a comma or a bracket outside of strings and brackets."""
    depth, at = 0, start
    while at < len(code):
        sign = code[at]
        if sign in "\"'`":
            end = at + 1
            while code[end] != sign:
                end += 2 if code[end] == "\\" else 1
            at = end
        elif sign in "([{":
            depth += 1
        elif sign in ")]}" or sign == ",":
            if depth == 0:
                break
            depth -= sign != ","
        at += 1
    return code[start:at]


def _strings(code: str) -> Iterator[str]:
    joined = re.sub(r'"\s*\+\s*"', "", code)
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"', joined):
        text = ast.literal_eval(f'"{found[1]}"')
        if _WORD.search(text) and not joined[: found.start()].rstrip().endswith(("===", "!==")):
            yield text


def gathered() -> list[str]:
    """All of them, each once, in the order in which they stand."""
    found = (text for part in (declared(), spoken(), written()) for text in part)
    return list(dict.fromkeys(text for text in found if _WORD.search(re.sub(r"\{\w*\}", "", text))))
