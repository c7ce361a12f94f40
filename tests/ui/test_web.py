"""The page's files, and the ground that it stands on: where it can be served, what it weighs, what it leaves alone."""

from __future__ import annotations

import ast
import gzip
import re
from pathlib import Path
from typing import Any

import gradio
import httpx
import pytest

from explorer.resources import asset
from explorer.ui import web

from .conftest import ROOT, running
from .visit import Visit

WEB = asset("web")
#: The minor version of gradio that this page is tested with; pyproject.toml bounds it.
GRADIO = "6.31"
#: kB on the wire: of the page itself, and of everything of ours at a first and at a second visit.
PAGE_KB, FIRST_KB, SECOND_KB = 250, 350, 250

#: The page by itself; in an application; and in one behind a proxy that takes a prefix off.
ALONE = "from explorer.ui.page import build\nbuild(['lab/conv']).launch(server_port={port}, root_path={root!r})"
MOUNTED = """
import uvicorn
from fastapi import FastAPI
from explorer.ui.page import mount
app = FastAPI()
@app.get("/")
def hello(): return "somebody's own"
@app.get("/favicon.ico")
def icon(): return ""
mount(app, "/tools/explorer", models=["lab/conv"])
uvicorn.run(app, port={port}, log_level="warning")
"""
PLAIN = """
import gradio as gr, uvicorn
from fastapi import FastAPI
from explorer.ui.page import build
app = gr.mount_gradio_app(FastAPI(), build(["lab/conv"]), path="/")
uvicorn.run(app, port={port}, log_level="warning")
"""
PROXY = """
import httpx, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
client = httpx.AsyncClient(base_url="{behind}", timeout=60)
async def forward(request):
    headers = [(n, v) for n, v in request.headers.raw if n != b"host"]
    headers.append((b"x-forwarded-host", request.headers["host"].encode()))
    headers.append((b"x-forwarded-proto", b"http"))
    headers.append((b"host", b"127.0.0.1"))
    path = "/" + request.path_params["path"] + ("?" + request.url.query if request.url.query else "")
    asked = client.build_request(request.method, path, headers=headers, content=await request.body())
    got = await client.send(asked, stream=True)
    kept = {{n: v for n, v in got.headers.items() if n not in ("content-length", "transfer-encoding", "connection")}}
    return StreamingResponse(got.aiter_raw(), got.status_code, kept)
async def icon(request):
    return Response()
app = Starlette(routes=[Route("/favicon.ico", icon),
    Route("/hall/{{path:path}}", forward, methods=["GET", "HEAD", "POST"])])
uvicorn.run(app, port={port}, log_level="warning")
"""


def test_gradio_is_the_version_that_the_page_is_tested_with():
    assert gradio.__version__.startswith(f"{GRADIO}."), (
        f"The page is tested with gradio {GRADIO}; {gradio.__version__} is installed. Run tests/ui against it, then "
        "raise the bound in pyproject.toml and the number here."
    )
    low, high = GRADIO.split(".")[0], int(GRADIO.split(".")[1]) + 1
    assert f'"gradio>={GRADIO},<{low}.{high}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_file_is_served_compressed_for_ever_under_an_address_of_its_content():
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    client = TestClient(Starlette(routes=web.routes("b1", {})))
    assert {"page.js", "page.css", "texts-zh.json"} <= set(web.files())
    assert not [name for name in web.files() if "test" in name or "tsconfig" in name]
    for name, file in web.files().items():
        got = client.get(f"/{web.folder()}/{name}")
        assert got.content == file.plain
        assert got.headers["content-encoding"] == "gzip"
        assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert got.headers["content-type"].startswith(file.kind)
        assert gzip.decompress(file.packed) == file.plain
    assert client.get(f"/{web.folder()}/page.js", headers={"accept-encoding": "identity"}).content
    build = client.get(f"/{web.folder()}/build")
    assert (build.text, build.headers["cache-control"]) == ("b1", "no-store")
    for name in ("nothing.js", "..%2f..%2fapp.py", "tsconfig.json"):
        assert client.get(f"/{web.folder()}/{name}").status_code == 404


#: Names by which a script would reach into gradio, and ways to change what belongs to the browser.
_FORBIDDEN = re.compile(
    r"gradio_config|gradio_api|__gradio|__i18n__|__type__|fn_index|session_hash|queue/|process_completed|heartbeat"
    r"|svelte|tab-wrapper|tab-container|toast|data-testid|\bgradio-app\b|\.gradio-|\.click\(\)"
    r"|window\.fetch|\bfetch\s*=[^=>]|(?:define(?:Property|Properties)|assign)\(\s*(?:window|navigator|globalThis|document)\b"
    r"|navigator\.\w+\s*=[^=>]|(?:^|[^.\w])window\.(?!open|parent|devicePixelRatio)\w+\s*=[^=>]"
)


def test_no_script_reaches_into_gradio_or_changes_what_is_the_browsers():
    found = {}
    for path in sorted(WEB.glob("*.js")):
        code = re.sub(r"(?m)^\s*(//|/\*|\*).*$|\s//[: ].*$", "", path.read_text(encoding="utf-8"))
        # The one click is on an element of our own, which is how a browser is told to save a file.
        code = code.replace('make("a", { href, download: name }).click()', "")
        if hits := [one.group() for one in _FORBIDDEN.finditer(code)]:
            found[path.name] = hits
    assert not found
    made = "Object.defineProperty(navigator, 'x', {})"
    for bad in ("window.fetch = 1", "navigator.language = 'x'", made, "a.click()", "document.querySelector('.toast')"):
        assert _FORBIDDEN.search(bad), bad


#: Of gradio's elements, those that the style sheets name because it has no other way to say it, and what for. Its
#: version is bounded, and the tests of layout fail where a name is gone.
OF_GRADIO = {
    "gradio-container": "the page's colours and width",
    "main": "the page's margins",
    "fillable": "the page's margins",
    "contain": "the gap between the page's parts; a lecture that fills the window",
    "column": "the same",
    "html-container": "no margin around the parts that are ours",
    "tab-wrapper": "the line of tabs: its height, hidden on a full screen",
    "tab-container": "the line below the tabs",
    "tabitem": "no frame around a tab",
    "form": "no frame around the list of blocks and the laboratory's choice",
    "block": "the same",
    "wrap": "the list of blocks stands upright, on a telephone in lines",
    "selected": "what is chosen in it",
}


def test_style_sheets_name_no_more_of_gradios_elements_than_is_said_here():
    own = " ".join(
        path.read_text(encoding="utf-8")
        for path in (*asset("web").glob("*.js"), *(ROOT / "explorer" / "ui").rglob("*.py"))
    )
    ours = set(re.findall(r"[\w-]+", own)) - set(OF_GRADIO)
    for path in asset("web").glob("*.css"):
        plain = re.sub(r"/\*.*?\*/|\{[^{}]*\}", "{}", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        names = set(re.findall(r"\.(-?[A-Za-z_][\w-]*)", plain))
        strangers = {name for name in names - ours if not name.startswith(("katex", "js-plotly"))}
        # Plotly's own names, in its figures.
        assert path.name == "figures.css" or strangers <= set(OF_GRADIO), (path.name, strangers - set(OF_GRADIO))


#: Of gradio, what Python code uses beyond the names that gradio offers (``gradio.__all__``), and why it stays. Its
#: version is bounded, and the tests beside the names fail where one is gone.
OF_GRADIO_IN_PYTHON = {
    "gr.themes": "documented, though not in __all__: the page's fonts",
    "gr.api": "documented, though not in __all__: an endpoint that no component stands for",
    "page.blocks": "labels follow a language that is not the browser's, and gradio tells which components there are "
    "in no other way; test_gradio_speaks_the_same_language_and_a_switch_keeps_the_address",
    "/gradio_api": "guard.py stands before gradio and bounds what comes in by its address: files, live questions; "
    "web.py leaves answers as they are. Gradio's documentation of its API names the prefix; tests/ui/test_trust.py",
    "/queue": "listening.py: no event tells that a connection was lost, and what nobody hears would be worked on to "
    "its end; tests/ui/test_worker.py",
    "/call": "the same, for those who ask by gradio's documented API",
    "session_hash": "the same: by this name a stream says whose it is; gr.Request gives it too",
    "event_id": "the same: by this name an answer to /call says which stream it will have",
}
_WIRE = re.compile(r"/gradio_api|/queue|/call\b|session_hash|event_id|fn_index|__type__|__i18n__|component_server")


def of_gradio(code: str) -> set[str]:
    """What a module uses of gradio beyond the names that it offers: imports, names, patches, words of its wire."""
    found: set[str] = set()
    tree = ast.parse(code)
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names if re.match(r"gradio(_client)?(\.|$)", one.name)} - {"gradio"}
        elif isinstance(node, ast.ImportFrom) and re.match(r"gradio(_client)?(\.|$)", node.module or ""):
            found |= {f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if re.fullmatch(r"gr\.\w+", name) and node.attr not in gradio.__all__:
                found.add(name)
            private = node.attr.startswith("_") and not node.attr.endswith("__")
            if private and not re.match(r"(self|cls)\._\w+$", name) and node.attr not in ("_asdict", "_replace"):
                found.add(name)
            if name.endswith("page.blocks"):
                found.add("page.blocks")
            if name.endswith(".session_hash"):
                found.add("session_hash")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and id(node) not in said:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            found |= set(_WIRE.findall(text)) - ({"component_server"} if "/gradio_api" in text else set())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {ast.unparse(one) for one in targets if re.match(r"(gr|gradio)\.", ast.unparse(one))}
    return found


def test_python_code_uses_no_more_of_gradio_than_it_offers_and_is_said_here():
    found: dict[str, set[str]] = {}
    for path in (*(ROOT / "explorer" / "ui").rglob("*.py"), ROOT / "app.py"):
        for name in of_gradio(path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(path.name)
    new = {name: files for name, files in found.items() if name not in OF_GRADIO_IN_PYTHON}
    assert not new, f"gradio does not document this: take a documented way, or say in the list above why not: {new}"
    assert set(OF_GRADIO_IN_PYTHON) <= set(found), "no longer used: take it out of the list"
    for bad in (
        "from gradio.utils import get_upload_folder",
        "import gradio.routes",
        "gr.routes.App",
        "component._id",
        "setattr(component, 'preprocess', mine)",
        "gr.Image.preprocess = mine",
        "path.endswith('/queue/join')",
    ):
        assert of_gradio(bad), bad


def test_modules_import_each_other_by_name_and_no_function_is_long():
    for path in sorted(WEB.glob("*.js")):
        code = path.read_text(encoding="utf-8")
        for name in re.findall(r'(?m)^(?:import|export) .*from "([^"]+)";$', code):
            if path.name.endswith(".test.js") and name.startswith("node:"):
                continue
            assert re.fullmatch(r"\./[a-z-]+\.js", name), (path.name, name)
            assert (WEB / name).is_file()
        assert code.count("\n") < 400, path.name
        # A function at the top of a module ends at the next line that begins with a bracket.
        for found in re.finditer(r"(?m)^(?:export )?const \w+ = .*\{\n(?:.*\n)*?^\}", code):
            assert found.group().count("\n") < 130, (path.name, found.group().splitlines()[0])


def transferred(page: Any, address: str) -> dict[str, int]:
    """Bytes on the wire of the page itself and of each of our files, that came with the last load."""
    sizes: dict[str, int] = page.evaluate(
        """() => Object.fromEntries([...performance.getEntriesByType("navigation"),
            ...performance.getEntriesByType("resource")].map((one) => [one.name, one.transferSize]))"""
    )
    return {
        name: size
        for name, size in sizes.items()
        if name.partition("#")[0].rstrip("/") == address.rstrip("/") or "/web/" in name
    }


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_first_and_a_second_visit_weigh_little(chromium: Any, server: str, language: str, record_property: Any):
    page = chromium.new_context(locale={"en": "en-GB", "zh": "zh-CN"}[language]).new_page()
    visit = Visit(page, server).open()
    first = transferred(page, server)
    assert any("page.js" in name for name in first)
    whole = next(size for name, size in first.items() if "/web/" not in name)
    page.goto("about:blank")
    visit.open()
    second = transferred(page, server)
    record_property("kB", [round(one / 1000) for one in (whole, sum(first.values()), sum(second.values()))])
    assert whole <= 1000 * PAGE_KB
    assert sum(first.values()) <= 1000 * FIRST_KB
    assert sum(second.values()) <= 1000 * SECOND_KB
    page.context.close()


@pytest.mark.browser
def test_every_module_of_the_page_is_there_and_hands_on_what_it_exports(chromium: Any, server: str):
    page = chromium.new_page()
    page.goto(server)
    page.wait_for_selector("#stage .part[data-painted]")
    modules = page.evaluate(f"""async () => {{
        const {{ modules }} = await {web.module()};
        return Object.fromEntries(Object.entries(modules).map(([name, one]) => [name, Object.keys(one).sort()]));
    }}""")
    page.close()
    sources = {one.stem: one.read_text(encoding="utf-8") for one in WEB.glob("*.js") if "." not in one.stem}
    alone = {name.partition(".")[0] for name in (web.ENTRY, *web.SMALL)}
    assert set(modules) == set(sources) - alone
    assert len(modules) > 40
    for name, exported in modules.items():
        assert exported == sorted(re.findall(r"(?m)^export const (\w+)", sources[name])), name


def test_what_the_page_says_ahead_is_there(server: str):
    page = httpx.get(server, headers={"accept": "text/html"})
    said = re.findall(r"<([^>]+)>;rel=(\w+)", page.headers["link"])
    assert {kind for _, kind in said} == {"preload", "modulepreload"}
    assert len(said) == 3
    for address, _ in said:
        found = httpx.get(f"{server.rstrip('/')}/{address}")
        assert found.status_code == 200, address
        assert found.headers["cache-control"] == "public, max-age=31536000, immutable"


def answers_anew(visit: Visit) -> None:
    """The page that is open answers a move, and opens a tab that a link leads to."""
    visit.sets("move-dx", 5)
    visit.settled("5 px right; rendered anew")
    visit.page.evaluate("explorer.openTab('blocks')")
    visit.page.wait_for_function("document.documentElement.dataset.tab === 'blocks'")
    visit.page.locator("#example .part[data-block]").wait_for(state="attached")
    assert visit.complaints == []


@pytest.mark.browser
def test_the_first_view_asks_no_model_anything(chromium: Any, server: str):
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    asked: list[str] = []

    # The findings below come from the laboratory's table, which the page is not kept waiting for.
    def counts(one: Any) -> bool:
        return "component_server" in one.url and '"cards"' not in (one.post_data or "")

    page.on("request", lambda one: asked.append(one.url) if counts(one) else None)
    page.goto(server)
    page.wait_for_selector("#stage .part[data-painted]")
    page.wait_for_timeout(500)
    assert asked == []
    # Another scene is asked for: the list would have shown it.
    page.wait_for_function("window.explorer")
    with page.expect_request(counts):
        page.evaluate("explorer.question.shows({ scene: { ...explorer.question.get().scene, angle: 30 } })")
    assert asked
    page.close()


#: Where the parts of the first view stand, px.
_PLACES = """() => Object.fromEntries(["masthead", "scene", "samples", "controls", "stage"].map((name) => {
    const box = document.querySelector(`#${name} .part`).getBoundingClientRect();
    return [name, [box.x, box.y, box.width, box.height]];
}))"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 800])
def test_the_first_view_is_there_before_gradio_and_stays_where_it_is(chromium: Any, server: str, width: int):
    page = chromium.new_page(viewport={"width": width, "height": 900})
    visit, held = Visit(page, server), []
    # The part of gradio that builds pages comes late.
    page.route(re.compile(r"/assets/Blocks-[^/]*\.js$"), lambda route: held.append(route))
    page.goto(server, wait_until="commit")
    page.wait_for_selector("#opening #stage .part[data-painted]")
    assert page.locator("#stage article.model:not(.waiting) .attribution canvas").count() == 4
    assert held
    assert page.locator("#tabs").count() == 0
    before = page.evaluate(_PLACES)
    # What is asked meanwhile is asked when gradio is there; who is at the keyboard stays there.
    visit.sets("move-dx", 5)
    page.locator("#scene canvas").first.focus()
    for route in held:
        route.continue_()
    visit.settled("5 px right; rendered anew")
    page.wait_for_selector("#tabs #lab-tab, #tabs [role=tab]")
    page.wait_for_selector("#opening", state="detached")
    assert page.evaluate("document.activeElement === document.querySelector('#scene .large canvas')")
    assert page.locator("#stage, #scene, #masthead, #workbench").count() == 4
    assert visit.painted() > 0
    assert visit.complaints == []
    visit.sets("move-dx", 0)
    visit.settled("not moved")
    after = page.evaluate(_PLACES)
    for name, box in before.items():
        assert after[name] == pytest.approx(box, abs=3), name
    assert page.evaluate("window.shifted") < 0.05
    # What is chosen is what gradio's events are given.
    visit.sets("move-dx", 3)
    visit.settled("3 px right; rendered anew")
    page.locator("#code").click()
    page.wait_for_function("document.querySelector('dialog.code pre').textContent.includes('dx=3')")
    page.close()


@pytest.mark.browser
def test_the_page_is_launched_as_any_page_of_gradio(chromium: Any, tmp_path: Path):
    with running(ALONE, tmp_path, root=None) as address:
        assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
        visit = Visit(chromium.new_page(viewport={"width": 1440, "height": 900}), address.rstrip("/")).open()
        answers_anew(visit)
        assert visit.strangers() == []
        visit.page.close()


@pytest.mark.browser
def test_the_page_is_put_into_an_application_and_behind_a_proxy_under_a_path_and_in_a_frame(
    chromium: Any, tmp_path: Path
):
    with running(MOUNTED, tmp_path, "/tools/explorer/") as address:
        assert httpx.get(address.replace("/tools/explorer/", "/")).json() == "somebody's own"
        visit = Visit(chromium.new_page(viewport={"width": 1440, "height": 900}), address).open()
        answers_anew(visit)
        assert visit.strangers() == []
        visit.page.close()
    with (
        running(ALONE, tmp_path, root="/hall") as behind,
        running(PROXY, tmp_path, "/hall/", behind=behind.rstrip("/")) as outer,
    ):
        visit = Visit(chromium.new_page(viewport={"width": 1440, "height": 900}), outer).open()
        answers_anew(visit)
        assert visit.strangers() == [], "an address leads past the proxy"
        visit.page.close()
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.route("**/frame.html", lambda route: route.fulfill(
            content_type="text/html", body=f'<iframe src="{outer}" width=1400 height=860></iframe>'
        ))  # fmt: skip
        page.goto(f"{outer}frame.html")
        page.frame_locator("iframe").locator("#stage article.model .top li").first.wait_for(timeout=60_000)
        page.close()


@pytest.mark.browser
def test_a_page_whose_files_are_not_served_says_how_to_serve_them(chromium: Any, tmp_path: Path):
    with running(PLAIN, tmp_path) as address:
        page = chromium.new_page()
        page.goto(address)
        page.get_by_text("Start it with build().launch()").first.wait_for(timeout=60_000)
        page.close()
