"""How long does the page take from hand to eye? ``python -m tests.ui.latency`` prints p50 and p95 of each, ms.

With ``--first`` only how long the page takes to open.

Everything is measured inside one Chromium, with its own clock, from the input event to the end of the frame in which
the canvases were drawn. Not a test: a shared machine keeps no limits.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from .conftest import CHROMIUM, FLAGS, ROOT, answering, free_port
from .modules import Chromium

RUNS = 40
_EMPTY = """import gradio as gr
with gr.Blocks() as page:
    gr.HTML('<p id=there>x</p>')
page.launch(server_port={port}, ssr_mode=False, run_history=False)
"""
_PAGE = "from explorer.ui.page import serve; serve(None, port={port})"

# Runs in the page: calls `act(step)`, waits until `done()` holds in an animation frame, returns each time in ms.
_MEASURE = """async ([act, done, runs]) => {
    const [start, over] = [eval(act), eval(done)];
    const times = [];
    for (let step = 0; step < runs; step++) {
        const before = performance.now();
        const state = start(step);
        await new Promise((resolve, reject) => {
            const look = (now) => {
                if (over(state, step)) setTimeout(resolve, 0); // behind this frame's painting
                else if (now - before > 20000) reject(new Error("never done"));
                else requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
        });
        times.push(performance.now() - before);
        await new Promise((resolve) => setTimeout(resolve, 120));
    }
    return times;
}"""

_POINTER = """(kind, x, y) => {
    const canvas = document.querySelector("#scene .large canvas");
    const box = canvas.getBoundingClientRect();
    canvas.setPointerCapture = () => {};
    const at = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
    canvas.dispatchEvent(new PointerEvent(kind, { bubbles: true, button: 0, pointerId: 1, ...at }));
}"""


def _serve(code: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code.format(port=port)], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    answering(f"http://127.0.0.1:{port}", process, log)
    return process


def _quantiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50": round(statistics.median(ordered), 1), "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1)}


def measure(first_only: bool = False) -> dict[str, Any]:
    """Measure everything; returns name -> {"p50", "p95"} in ms, and the first view's ratio to an empty page.

    Args:
        first_only: leave out what happens once the page is open.
    """
    ports = free_port(), free_port()
    logs = tempfile.TemporaryDirectory()
    folder = Path(logs.name)
    servers = [_serve(_EMPTY, ports[0], folder / "empty.txt"), _serve(_PAGE, ports[1], folder / "page.txt")]
    found: dict[str, Any] = {}
    try:
        with sync_playwright() as playwright:
            browser = Chromium(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS))
            opened: dict[str, list[float]] = {"empty gradio page": [], "first view": [], "link to full view": []}
            link = ""
            for _ in range(7):
                for name, address, ready in (
                    ("empty gradio page", f"http://127.0.0.1:{ports[0]}", "document.querySelector('#there')"),
                    ("first view", f"http://127.0.0.1:{ports[1]}", _DRAWN),
                    (
                        "link to full view",
                        link,
                        f"{_SHOWN} && explorer.question.isAnsweredBy(explorer.now.answer)"
                        " && explorer.now.answer.at.dx === 7",
                    ),
                ):
                    if not address:
                        continue
                    page = browser.new_page(viewport={"width": 1440, "height": 900})
                    page.goto(address, wait_until="commit")
                    # Told by the frame in which it is there: gradio goes on with what is out of sight.
                    there = page.wait_for_function(f"{ready} && performance.now()", polling="raf")
                    opened[name].append(there.json_value())
                    if name == "first view" and not link:
                        page.wait_for_function(_SHOWN)
                        page.evaluate("explorer.question.set({ dx: 7, zoom: 1.2 })")
                        page.wait_for_timeout(1500)
                        link = page.evaluate("explorer.link.address()")
                    page.close()
            found |= {name: _quantiles(times) for name, times in opened.items()}
            if not first_only:
                found |= _moved(browser, f"http://127.0.0.1:{ports[1]}")
            browser.close()
    finally:
        for server in servers:
            server.terminate()
            server.wait(10)
    forward = _forward()
    found["one forward of the 4 models"] = forward
    allowed = 1.5 * found["empty gradio page"]["p50"] + forward["p50"]
    found["first view / (1.5 x empty page + forward)"] = round(found["first view"]["p50"] / allowed, 2)
    return found


#: What somebody sees; tests have their own modules to wait for until they can look inside.
_DRAWN = (
    "document.querySelectorAll('#stage .model:not(.waiting) .attribution canvas').length === 4"
    " && document.querySelector('#stage .part[data-painted]')"
)
_SHOWN = f"{_DRAWN} && window.explorer && explorer.now.answer"


def _moved(browser: Any, address: str) -> dict[str, Any]:
    """What takes how long once the page is open, ms."""
    found: dict[str, Any] = {}
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_function(_SHOWN)
    page.wait_for_timeout(1500)
    page.evaluate(f"window.point = {_POINTER}; point('pointerdown', 0.5, 0.5); point('pointermove', 0.53, 0.5)")

    def timed(name: str, act: str, done: str, runs: int = RUNS) -> None:
        found[name] = _quantiles(page.evaluate(_MEASURE, [act, done, runs]))

    sweep = "0.5 + 0.3 * Math.sin(step / 5), 0.5 + 0.2 * Math.cos(step / 3)"
    found["pointer move to picture moved"] = _quantiles(_followed(page))
    timed(
        "pointer move to maps and answers of 4 models",
        f"(step) => {{ point('pointermove', {sweep}); }}",
        "() => explorer.question.isAnsweredBy(explorer.now.answer)",
    )
    page.evaluate("point('pointerup', 0.5, 0.5); explorer.question.set({ dx: 0, dy: 0 })")
    page.wait_for_timeout(1000)
    timed(
        "layer slider to map",
        """(step) => {
            const slider = document.querySelector('[aria-label="Layer of model 2"]');
            slider.value = step % 3;
            slider.dispatchEvent(new Event("input"));
            return explorer.now.answer.rows[1].maps[step % 3].layer;
        }""",
        "(layer) => document.querySelectorAll('#stage .model .attention .where')[1].textContent === layer",
    )
    page.locator("#stage article:nth-of-type(2) .attention canvas").first.hover()
    page.wait_for_selector("#stage .part[data-bank]", state="attached")
    page.wait_for_timeout(500)
    timed(
        "click to the query's row",
        """(step) => {
            const before = explorer.question.get().pins[0];
            const canvas = document.querySelectorAll("#stage .model .attention canvas")[1];
            const box = canvas.getBoundingClientRect();
            canvas.setPointerCapture = () => {};
            const [x, y] = [0.1 + 0.8 * ((step * 7 + 3) % 11) / 11, 0.1 + 0.8 * ((step * 5 + 2) % 13) / 13];
            const at = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
            for (const kind of ["pointerdown", "pointerup"]) {
                canvas.dispatchEvent(new PointerEvent(kind, { bubbles: true, button: 0, pointerId: 1, ...at }));
            }
            return before;
        }""",
        """(before) => {
            const row = explorer.now.answer.rows[1];
            return explorer.question.get().pins[0] !== before
                && Boolean(explorer.maps.rowsOf(row, row.maps.length - 1, "after", 0));
        }""",
    )
    return found


def _followed(page: Any) -> list[float]:
    """From the browser's own time of a pointer event to the end of the frame that shows it, ms."""
    page.evaluate("point('pointerup', 0.5, 0.5)")
    page.evaluate(
        """() => {
            window.followed = [];
            document.querySelector("#scene .large canvas").addEventListener("pointermove", (event) => {
                requestAnimationFrame(() => setTimeout(() => followed.push(performance.now() - event.timeStamp), 0));
            });
        }"""
    )
    box = page.locator("#scene .large canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(RUNS):
        page.mouse.move(x + 60 * math.sin(step / 5), y + 40 * math.cos(step / 3))
        page.wait_for_timeout(40)
    page.mouse.up()
    times: list[float] = page.evaluate("followed")
    page.evaluate("point('pointerdown', 0.5, 0.5); point('pointermove', 0.53, 0.5)")
    return times


def _forward() -> dict[str, float]:
    """What the four models take for one bare forward each, ms."""
    import torch

    from explorer.comparison.compare import seen
    from explorer.models.loading import load
    from explorer.scenes import Scene
    from explorer.ui.page import FIRST_MODELS

    models = [load(text) for text in FIRST_MODELS]
    batches = [seen(model, Scene()) for model in models]
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        with torch.inference_mode():
            for model, batch in zip(models, batches):
                model.logits(batch)
        times.append(1000 * (time.perf_counter() - start))
    return _quantiles(times)


if __name__ == "__main__":
    print(json.dumps(measure(first_only="--first" in sys.argv[1:]), indent=1))
