"""A page that is open in a browser, and what a test does with it."""

from __future__ import annotations

from typing import Any

import numpy as np

SLOW = 60_000


class Visit:
    """A page that is open, with what it asked of the network and what it complained about."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.urls: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(SLOW)
        page.add_init_script(
            """window.shifted = 0;
            new PerformanceObserver((list) => {
                for (const one of list.getEntries()) window.shifted += one.value;
            }).observe({ type: "layout-shift", buffered: true });"""
        )
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self) -> Visit:
        self.page.goto(self.address)
        self.settled()
        self.page.evaluate("(painted) => { window.first = painted; }", self.painted())
        return self

    @property
    def stage(self) -> Any:
        return self.page.locator("#stage .part")

    def row(self, index: int) -> Any:
        return self.page.locator("#stage article.model").nth(index)

    def strangers(self) -> list[str]:
        """Addresses elsewhere that were asked for."""
        return [url for url in self.urls if not url.startswith((self.address, "data:", "blob:"))]

    def pixels(self, canvas: str) -> np.ndarray:
        """(height, width, 3) of a canvas."""
        found = self.page.evaluate(
            """(name) => {
                const canvas = document.querySelector(name);
                const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return { data: Array.from(data), width, height };
            }""",
            canvas,
        )
        return np.array(found["data"], dtype=float).reshape(found["height"], found["width"], 4)[:, :, :3]

    def painted(self) -> float:
        return float(self.stage.get_attribute("data-painted") or 0)

    def settled(self, transform: str | None = None, after: float = 0.0) -> None:
        """Wait for an answer, newer than ``after``, to this transform, in every row."""
        self.page.wait_for_function(
            """([transform, after]) => {
                const stage = document.querySelector("#stage .part");
                return stage && Number(stage.dataset.painted) > after
                    && (!transform || stage.dataset.transform === transform)
                    && !document.querySelector("#stage article.waiting, #opening") && window.explorer;
            }""",
            arg=[transform, after],
        )

    def sets(self, control: str, value: float) -> None:
        """Set a slider as a drag does, without waiting."""
        self.page.evaluate(
            """([id, value]) => {
                const slider = document.getElementById(id);
                slider.value = value;
                slider.dispatchEvent(new Event("input", { bubbles: true }));
            }""",
            [control, value],
        )

    def rested(self) -> None:
        """Wait until what draws figures has come, which the page brings by itself, and nothing more is asked."""
        self.page.locator("#ahead .js-plotly-plot").wait_for(state="attached")
        self.idle()

    def idle(self) -> None:
        """Wait until nothing has been asked for a while."""
        count = -1
        while count != len(self.urls):
            count = len(self.urls)
            self.page.wait_for_timeout(900)
