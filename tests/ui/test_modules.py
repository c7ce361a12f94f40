"""The browser's modules as one file: it does what they do, and what cannot be joined is told."""

from __future__ import annotations

import graphlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from explorer.resources import asset
from explorer.ui.modules import COMMENT, joined

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

SOURCES = {
    "page.js": """import { hear, said as told } from "./bus.js";
import * as sums from "./sums.js";
export { hear } from "./bus.js";

const start = () => `${told()} ${sums.sum(1, 2)} ${sums.twice(4)}`;
export const result = start();
export const loud = async () => result.toUpperCase();
export { start };
""",
    "bus.js": """// import of nothing: a comment stays one
/** @typedef {import("./types").Bus} Bus */
let count = 0;
export const hear = () => { count += 1; return count; };
export const said = () => `said ${count}`;
""",
    "sums.js": """import { hear } from "./bus.js";
const add = (a, b) => a + b;
export { add as sum, twice };
const twice = (a) => { hear(); return 2 * a; };
""",
}


def with_another(source: str) -> dict[str, str]:
    """The modules, and one more that the entry imports."""
    entry = 'import * as extra from "./extra.js";\n' + SOURCES["page.js"]
    return {**SOURCES, "page.js": entry, "extra.js": source}


def run(folder: Path, code: str) -> str:
    """What JavaScript prints that runs beside the files of a folder."""
    assert NODE is not None
    (folder / "run.mjs").write_text(code, encoding="utf-8")
    done = subprocess.run([NODE, "run.mjs"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_node
def test_joined_modules_do_what_they_did_apart(tmp_path):
    code = """import * as page from "./page.js";
console.log(JSON.stringify([page.result, await page.loud(), page.start(), page.hear(), page.hear()]));"""
    said = []
    for name, sources in (("apart", SOURCES), ("joined", {"page.js": joined(SOURCES, "page.js")})):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
        for file, source in sources.items():
            (folder / file).write_text(source, encoding="utf-8")
        said.append(run(folder, code))
    assert said[0] == said[1] == json.dumps(["said 0 3 8", "SAID 0 3 8", "said 1 3 8", 3, 4], separators=(",", ":"))


def test_comments_leave_empty_lines_and_everything_else_stays():
    code = 'const told = "/** @type {X} */ // no comment"; // after code\n/** @type {Y} */ (told).at(0); /** stays */\n'
    bus = SOURCES["bus.js"] + code + "/**\n * Says.\n * @returns {void} */\n  // indented\n/* plain */\n"
    made, plain = joined({**SOURCES, "bus.js": bus}, "page.js"), joined(SOURCES, "page.js")
    for gone in ("@typedef", "import of nothing", "Says.", "@returns", "indented", "plain"):
        assert gone not in made, gone
    assert code in made
    assert made.count("\n") == plain.count("\n") + 7


@pytest.mark.parametrize("path", sorted(asset("web").glob("*.js")), ids=lambda path: path.name)
def test_what_is_taken_for_a_comment_stands_in_no_text(path):
    source = path.read_text(encoding="utf-8")
    for found in COMMENT.finditer(source):
        assert COMMENT.sub("", source[: found.start()]).count("`") % 2 == 0, found[0]


def test_the_same_sources_make_the_same_file():
    turned = dict(reversed(SOURCES.items()))
    assert joined(SOURCES, "page.js") == joined(turned, "page.js")


@pytest.mark.parametrize(
    "line",
    [
        'import thing from "./bus.js";',
        'import "./bus.js";',
        'import { hear } from "elsewhere";',
        "import {hear} from './bus.js';",
        "export default 3;",
        "export let changing = 3;",
        "export function named() {}",
        'export * from "./bus.js";',
        'export { hear } from "./bus.js";',
        'const later = () => import("./bus.js");',
        "const later = (name) => import(name);",
    ],
)
def test_what_cannot_be_joined_is_told(line):
    with pytest.raises(ValueError, match=r"extra\.js"):
        joined(with_another(f"{line}\n"), "page.js")


def test_a_module_that_is_not_there_and_a_circle_are_told():
    with pytest.raises(ValueError, match=r"gone\.js"):
        joined(with_another('import { a } from "./gone.js";\n'), "page.js")
    with pytest.raises(ValueError, match=r"nobody imports extra\.js"):
        joined({**SOURCES, "extra.js": "export const a = 1;\n"}, "page.js")
    # What another page begins with is none of this one's, and what both need is in both.
    small = {**SOURCES, "small.js": 'import { hear } from "./bus.js";\nhear();\n'}
    assert joined(small, "page.js", ["small.js"]) == joined(SOURCES, "page.js")
    assert "sums.js" not in joined(small, "small.js", ["page.js"])
    with pytest.raises(graphlib.CycleError):
        joined({**SOURCES, "bus.js": 'import { sum } from "./sums.js";\nexport const hear = sum;\n'}, "page.js")
