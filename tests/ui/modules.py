"""The page's modules, for tests that look inside."""

from __future__ import annotations

from typing import Any

#: Runs before anything else in every page and frame: once the page is there, `explorer` holds what tests look into.
EXPOSED = """(() => {
    const look = async () => {
        if (!document.querySelector("#stage .rows")) { setTimeout(look, 30); return; }
        const file = document.querySelector("script[type=module][src*='/opening-']").src;
        const { bus, chosen, follow, geometry, lesson, link, maps, "method-fields": methods, panel, question, scenery,
            shown, state, ways, words } = (await import(new URL("page.js", file))).modules;
        window.explorer = {
            ...bus, ...follow, chosen, link, question, scenery, state, lesson, ways,
            maps: { ...geometry, ...maps }, now: shown.now, rows: shown.rows, looked: shown.looked,
            compute: methods.compute, pinColour: panel.pinColour,
            tab: ways.current, openTab: ways.open,
            say: words.say, setLanguage: words.setLanguage, language: words.language,
        };
    };
    addEventListener("DOMContentLoaded", look);
})();"""


class Chromium:
    """A browser whose pages let tests look into this page's modules.

    Args:
        browser: Playwright's.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    def new_page(self, **options: Any) -> Any:
        """A page in a context of its own."""
        page = self._browser.new_page(**options)
        page.context.add_init_script(EXPOSED)
        return page

    def new_context(self, **options: Any) -> Any:
        """A context."""
        context = self._browser.new_context(**options)
        context.add_init_script(EXPOSED)
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._browser, name)
