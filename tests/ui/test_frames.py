"""The page under its content policy, alone and in a frame, and what it says of its address to others."""

from __future__ import annotations

from typing import Any

import pytest

from .visit import SLOW, Visit

pytestmark = pytest.mark.browser

SIGN = "a-token-of-this-visitor"
#: A page of somebody else's that shows ours in a frame and keeps what it is told.
PARENT = """<!doctype html><title>parent</title><script>
window.said = [];
addEventListener("message", ({ origin, data }) => { if (data && "hash" in data) said.push({ origin, ...data }); });
</script><iframe src="ADDRESS" style="width: 1400px; height: 860px"></iframe>"""


def framed(chromium: Any, origin: str, address: str) -> tuple[Any, list[str]]:
    """A page of an origin, which has our page in a frame; and what the browser complained about."""
    # A browser asks its user first whether a page from afar may show one of this machine.
    page = chromium.new_page(viewport={"width": 1440, "height": 900}, permissions=["local-network-access"])
    page.set_default_timeout(SLOW)
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.route(f"{origin}/**", lambda route: route.fulfill(
        content_type="text/html", body=PARENT.replace("ADDRESS", address)
    ))  # fmt: skip
    page.goto(f"{origin}/spaces/me/explorer")
    return page, complaints


def test_the_policy_lets_all_of_the_page_through(visit: Visit):
    visit.page.evaluate(
        """() => {
            window.violations = [];
            addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
                violations.push(`${violatedDirective} ${blockedURI}`));
        }"""
    )
    visit.sets("move-dx", 6)
    visit.idle()
    visit.page.get_by_role("tab", name="Laboratory").click()
    visit.page.get_by_role("button", name="All measurements").click()
    visit.page.locator("#lab-plots .js-plotly-plot, .js-plotly-plot").first.wait_for()
    visit.page.get_by_role("tab", name="Blocks").click()
    visit.page.locator("#example canvas, #example svg").first.wait_for()
    visit.idle()
    assert visit.page.evaluate("violations") == []
    assert visit.complaints == []


def test_in_a_frame_of_hugging_face_the_address_that_is_seen_is_the_view(chromium: Any, server: str):
    page, complaints = framed(chromium, "https://huggingface.co", f"{server}/?__sign={SIGN}&__theme=dark&logs=1")
    frame = page.frame_locator("iframe")
    frame.locator("#stage article.model").first.wait_for()
    page.wait_for_function("said.length > 0")
    inner = page.frames[1]
    inner.wait_for_function("window.explorer")
    before = page.evaluate("said.length")
    inner.evaluate(
        """() => {
            const slider = document.getElementById("move-dx");
            slider.value = 5;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
        }"""
    )
    page.wait_for_function("(before) => said.length > before && said.at(-1).hash.includes('dx=5')", arg=before)
    said = page.evaluate("said")
    last = said[-1]
    assert set(last) == {"origin", "queryString", "hash"}  # as huggingface.co documents it
    assert last["origin"] == server
    assert last["queryString"] == "?__theme=dark"
    assert last["hash"].startswith("#models=")
    assert last["hash"] == inner.evaluate("location.hash")
    assert SIGN not in str(said)
    copied = inner.evaluate("explorer.link.address()")
    assert copied == f"{server}/?__theme=dark{last['hash']}"
    # The frame's own address keeps what its host needs for a reload.
    assert f"__sign={SIGN}" in inner.evaluate("location.search")
    assert [one for one in complaints if "Content Security Policy" in one or "postMessage" in one] == []
    page.close()


def test_nobody_else_may_show_the_page_in_a_frame(chromium: Any, server: str):
    for origin in ("https://huggingface.co.evil.example", "https://evil.example"):
        page, complaints = framed(chromium, origin, server)
        page.wait_for_function("document.readyState === 'complete'")
        for _ in range(100):
            if complaints:
                break
            page.wait_for_timeout(100)
        assert any("frame-ancestors" in one for one in complaints), complaints
        assert page.frame_locator("iframe").locator("#stage").count() == 0
        page.close()


def test_a_copied_link_holds_the_view_and_nothing_of_its_visitor(chromium: Any, server: str):
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    query = f"?__sign={SIGN}&__lang=en&session=x&__theme=light&__signed={SIGN}"
    visit = Visit(page, f"{server}/{query}").open()
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.locator("#share").click()
    page.wait_for_function("window.copied")
    copied = page.evaluate("copied")
    assert copied.startswith(f"{server}/?__lang=en&__theme=light#models=")
    assert SIGN not in copied
    assert "session" not in copied.split("#")[0]
    assert page.evaluate("location.search") == query
    assert visit.complaints == []
    page.close()
