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
addEventListener("message", ({{ origin, data }}) => {{
  if (data && "hash" in data) said.push({{ origin, ...data }});
}});
</script><style>body {{ margin: 0; padding: {above}px 0 400px }} iframe {{ border: 0; display: block }}</style>
<iframe src="{address}" style="width: {width}px; height: {height}px"></iframe>"""
#: Height of a frame that a hub makes as high as the page in it, px, and of what the hub has above it.
TALL, ABOVE = 2600, 60


def framed(
    chromium: Any, origin: str, address: str, size: tuple[int, int] = (1440, 900), height: int = 860, above: int = 0
) -> tuple[Any, list[str]]:
    """A page of an origin, which has our page in a frame; and what the browser complained about.

    Args:
        chromium: the browser.
        origin: of the page of somebody else's.
        address: of ours.
        size: (width, height) of the window, px.
        height: of the frame, px.
        above: what the page has above the frame, px.
    """
    # A browser asks its user first whether a page from afar may show one of this machine.
    window = {"width": size[0], "height": size[1]}
    page = chromium.new_page(viewport=window, permissions=["local-network-access"])
    page.set_default_timeout(SLOW)
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    body = PARENT.format(address=address, width=size[0] - 40, height=height, above=above)
    page.route(f"{origin}/**", lambda route: route.fulfill(content_type="text/html", body=body))
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
    visit.page.locator("#lab-panels .js-plotly-plot").first.wait_for()
    visit.page.get_by_role("tab", name="Blocks").click()
    visit.page.locator("#example canvas, #example svg").first.wait_for()
    visit.idle()
    assert visit.page.evaluate("violations") == []
    assert visit.complaints == []


def test_what_draws_figures_comes_while_nobody_touches_the_page(visit: Visit):
    ahead = visit.page.locator("#ahead .js-plotly-plot")
    ahead.wait_for(state="attached")
    assert not ahead.is_visible()
    assert visit.complaints == []


def test_those_who_count_bytes_get_what_draws_figures_when_they_go_for_a_tab(chromium: Any, server: str):
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
    visit = Visit(page, server).open()
    ahead = page.locator("#ahead .js-plotly-plot")
    page.wait_for_timeout(5000)  # longer than the page's rest, after which it would come
    assert ahead.count() == 0
    page.get_by_role("tab", name="Biases").hover()
    ahead.wait_for(state="attached")
    assert not ahead.is_visible()
    assert page.evaluate("document.documentElement.dataset.tab") == "compare"
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


@pytest.mark.parametrize("scrolled", [250, 450])
def test_in_a_frame_higher_than_its_window_the_bench_stays_in_sight_and_a_step_fits(
    chromium: Any, server: str, scrolled: int
):
    page, _ = framed(chromium, "https://huggingface.co", server, (950, 720), TALL, ABOVE)  # narrow: long answers
    page.frame_locator("iframe").locator("#stage article.model").first.wait_for()
    inner = page.frames[1]
    inner.wait_for_function("window.explorer")
    for tab, what in (("Compare", "#bench"), ("Lecture", "main.contain > .column")):
        page.frame_locator("iframe").get_by_role("tab", name=tab).click()
        inner.wait_for_function("(tab) => document.documentElement.dataset.tab === tab", arg=tab.lower())
        page.evaluate("(to) => scrollTo(0, to)", scrolled)
        # What of the frame is in the window, from its own upper edge.
        seen = [max(0, scrolled - ABOVE), scrolled - ABOVE + 720]
        inner.wait_for_function(
            """([what, from, to]) => {
                const at = document.querySelector(what).getBoundingClientRect();
                return at.height > 300 && at.top >= from - 1 && at.bottom <= to + 1;
            }""",
            arg=[what, *seen],
        )
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
