"""The page's languages: every text has a translation, a third language is one file, and nothing is left in English."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

import explorer
from explorer import messages
from explorer.attribution import METHODS
from explorer.blocks import BLOCKS
from explorer.messages import Message, say
from explorer.models.spec import WEIGHTS_STATES
from explorer.probes import PROBES, show
from explorer.registry import question
from explorer.resources import asset
from explorer.ui import catalogues, web, words
from explorer.ui.answers import Answers
from explorer.ui.handlers import Handlers
from explorer.ui.measuring import Measuring
from explorer.ui.tabs import lab

from .conftest import ROOT, running

CHINESE = re.compile(r"[一-鿿]")
#: English prose: three words in a row that begin with small letters.
PROSE = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b")
PLACE = re.compile(r"\{\w+\}")


def newcomers() -> set[type]:
    """Entries that nobody has begun to translate: their question is in no catalogue. They may stay in English."""
    known = messages.entries("zh")
    entries = (*METHODS.values(), *PROBES.values(), *BLOCKS.values())
    return {one for one in entries if question(one) not in known}


@pytest.fixture(scope="module")
def template() -> Catalog:
    return catalogues.extracted(ROOT, {Path(inspect.getfile(one)) for one in newcomers()})


@pytest.mark.parametrize("code", messages.codes()[1:])
def test_every_text_has_a_translation_and_every_translation_a_text(code, template):
    known = messages.entries(code)
    texts = {one.id for one in template if one.id}
    assert len(texts) > 1500
    translated = {one.id for one in known if one.id and one.string and all(one.string)}
    assert not texts - translated, (
        "without a translation; python -m explorer.ui.catalogues puts them into the catalogue"
    )
    assert not translated - texts, "translations of texts that are gone; python -m explorer.ui.catalogues drops them"


def test_no_text_within_another_is_overlooked(template):
    """Babel does not look into every call: what is written as a text is found here by other means."""
    found = {one.id if isinstance(one.id, str) else one.id[0] for one in template if one.id}
    for path in sorted((ROOT / "assets" / "web").glob("*.js")):
        if not path.name.endswith(".test.js"):
            code = re.sub(r"(?m)^\s*(//|/?\*).*$", "", path.read_text(encoding="utf-8"))
            texts = {json.loads(f'"{text}"') for text in re.findall(r'\b(?:say|msg)\(\s*"((?:[^"\\]|\\.)+)"', code)}
            assert texts <= found, (path.name, texts - found)
            chosen = re.findall(r'\bsay\([^"()]*\? "(?:[^"\\]|\\.)+"', code)
            assert not chosen, (path.name, chosen, "Babel does not see a text that is chosen inside of say(...)")
    new = {Path(inspect.getfile(one)) for one in newcomers()}
    for path in sorted(set((ROOT / "explorer").rglob("*.py")) - new):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Message", "counted", "i18n"):
                text = node.args[0]
                assert not isinstance(text, ast.Constant) or text.value in {"", *found}, (path.name, text.value)


@pytest.mark.parametrize("code", messages.codes()[1:])
def test_translations_have_the_places_of_their_texts(code):
    for one in messages.entries(code):
        forms = one.string if isinstance(one.string, (list, tuple)) else (one.string,)
        wanted = set(PLACE.findall(one.id if isinstance(one.id, str) else one.id[1]))
        assert one.id == "" or all(set(PLACE.findall(form)) == wanted for form in forms), one.id


def test_a_catalogue_that_is_brought_up_to_date_is_the_one_that_is_there():
    for code in messages.codes()[1:]:
        path = messages.FOLDER / f"{code}.po"
        known = read_po(path.open("rb"), locale=code)
        known.update(catalogues.extracted(ROOT), no_fuzzy_matching=True)
        current = catalogues.written(known) == path.read_bytes()
        assert current or newcomers(), f"{path.name} is behind the texts: run python -m explorer.ui.catalogues"


def test_translations_are_chinese_with_chinese_signs():
    texts = [one.string for one in messages.entries("zh") if isinstance(one.string, str)]
    assert not [text for text in texts if re.search(r"[一-鿿][,;:?!]|[,;?!][一-鿿]", PLACE.sub("", text))]


def test_what_goes_to_the_browser_keeps_its_template():
    one = Message("{label} ({number})", label=Message("star"), number=1)
    told = messages.encoded({"title": one, Message("k"): [Message("star"), "star", 1.5, None]})
    assert told == {
        "title": {
            "template": "{label} ({number})",
            "values": {"label": {"template": "star", "values": {}}, "number": 1},
        },
        "k": ["star", "star", 1.5, None],
    }
    many = messages.counted("{n} seed", "{n} seeds", 3)
    assert json.loads(words.dumps(many)) == {
        "template": "{n} seed",
        "plural": "{n} seeds",
        "number": 3,
        "values": {"n": 3},
    }


def test_a_figure_is_translated_and_its_models_are_not():
    sheet = show.sheet(explorer.probe("consistency", ["lab/conv", "lab/mhsa"], 2, passes=1))
    assert words.translated(sheet, "en") is sheet
    told = list(_texts(words.translated(sheet, "zh")))
    assert [text for text in _texts(sheet) if text in ("lab/conv", "lab/mhsa")] == [
        text for text in told if text in ("lab/conv", "lab/mhsa")
    ]
    assert any(CHINESE.search(text) for text in told)
    # Formulas and sources stay.
    assert not [text for text in told if PROSE.search(text) and "Zhang 2019" not in text]


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, (tuple, list)):
        for one in part:
            yield from _texts(one)
    elif hasattr(part, "__dataclass_fields__"):
        for name in part.__dataclass_fields__:
            yield from _texts(getattr(part, name))


def test_the_laboratorys_figures_are_translated():
    set_up = lab.there()[0]
    english, chinese = (
        [one["value"] for one in lab.paint(set_up, lab.blocks_of(set_up)[:2], language) if one["visible"]]
        for language in ("en", "zh")
    )
    assert len(english) > 5
    for before, after in zip(english, chinese):
        title, said = (figure.layout.annotations[0].text for figure in (before, after))
        assert said == say(title, "zh") != title
        for along in ("xaxis", "yaxis"):
            words_ = after.layout[along].title.text or ""
            assert CHINESE.search(words_) or words_ == ""
        assert not [one.text for one in after.layout.annotations if PROSE.search(one.text)]
        assert [len(trace.x) for trace in before.data] == [len(trace.x) for trace in after.data]
        assert not [trace.name for trace in after.data if trace.name and PROSE.search(trace.name)]


def test_what_the_page_answers_and_measures_is_said_in_chinese():
    handlers = Handlers(Answers(folders=False))
    models = ["lab/conv", "lab/mhsa", "lab/axial", "lab/ca_c2f"]
    answered = json.loads(handlers.answer(models, {"scene": {"label": "star"}, "dx": 4, "angle": 10}))
    measured = Measuring(handlers).measure(
        {}, models[:2], {}, {"probe": "consistency", "parameters": {"passes": 1}}, "zh"
    )
    *_, (state, _, scores, *rest) = measured
    figures = [one["value"] for one in rest if isinstance(one, dict) and one.get("value") is not None]
    assert figures
    for figure in figures:
        assert CHINESE.search(json.dumps(figure.to_plotly_json(), ensure_ascii=False, default=str))
    found = [text for part in (answered, json.loads(state), json.loads(scores)) for text in _human(part)]
    assert len(found) > 30
    assert not [text for text in found if PROSE.search(say(messages.decoded(text), "zh"))]


#: Fields of the page's JSON that hold texts for people.
_HUMAN = {"transform", "state_title", "kind_title", "unit", "note", "notes", "reason", "problem", "layout", "words"}
_HUMAN |= {"title", "columns", "first", "error", "no_map"}


def _human(part: Any, name: str = "") -> Iterator[Any]:
    if name in _HUMAN and (isinstance(part, str) or (isinstance(part, dict) and "template" in part)):
        yield part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _human(value, key)
    elif isinstance(part, list):
        for one in part:
            yield from _human(one, name)


# ---- in a browser


#: A page with nothing on it but the module of the texts.
ALONE = "http://words.test"


def _page(chromium: Any, locale: str = "zh-CN", part: str = "") -> Any:
    page = chromium.new_context(locale=locale).new_page()

    def serve(route: Any) -> None:
        name = route.request.url.partition("#")[0].rpartition("/")[2]
        if name.endswith(".js"):
            route.fulfill(content_type="text/javascript", body=asset(f"web/{name}").read_text(encoding="utf-8"))
        elif file := web.files().get(name):
            route.fulfill(content_type=file.kind, body=file.plain)
        else:
            route.fulfill(content_type="text/html", body="<!doctype html><title>words</title>")

    page.route(f"{ALONE}/**", serve)
    page.goto(f"{ALONE}/{part}")
    page.evaluate(
        """async (languages) => {
            window.words = await import(`/words.js`);
            await words.begin(languages);
        }""",
        messages.languages(),
    )
    return page


@pytest.mark.browser
def test_the_browser_says_what_the_server_says(chromium):
    page = _page(chromium)
    known = [one.id for one in messages.entries("zh") if isinstance(one.id, str) and one.id]
    elsewhere = words.of_lessons()
    texts = [one for one in known if one not in elsewhere]
    assert len(known) - len(texts) > 60, "lessons come translated"
    composed = [
        messages.listed([Message("Map"), "lab/mhsa", Message("{n} px right", n=3)], "{first}; {rest}"),
        messages.ranged(Message("{n} points", n="7.5"), "1", "12"),
        messages.counted("{n} image", "{n} images", 5),
        Message("{label} ({number})", label=Message("star"), number=1.0),
    ]
    told = [*texts, *map(messages.encoded, composed)]
    said = page.evaluate("(texts) => texts.map((text) => words.say(text))", told)
    assert said == [say(text, "zh") for text in (*texts, *composed)]
    page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("locale", "part", "language"),
    [
        ("zh", "", "zh"),
        ("zh-CN", "", "zh"),
        ("zh-TW", "", "zh"),
        ("de-DE", "", "en"),
        ("zh-CN", "#x=1&lang=en", "en"),
        ("en-US", "#lang=zh&x=1", "zh"),
        ("en-US", "#lang=xx", "en"),
    ],
)
def test_the_language_is_the_addresss_or_the_browsers(chromium, locale, part, language):
    page = _page(chromium, locale, part)
    assert page.evaluate("words.language()") == language
    assert page.evaluate("document.documentElement.lang") == language
    assert page.evaluate("navigator.language") == locale, "the browser's own word was replaced"
    page.context.close()


@pytest.mark.browser
def test_gradio_speaks_the_same_language_and_a_switch_keeps_the_address(chromium, server):
    page = chromium.new_context(locale="de-DE").new_page()
    page.goto(f"{server}/#lang=zh")
    tabs = page.locator("#tabs").get_by_role("tab")
    for name in ("Compare", "Lecture", "Biases", "Blocks", "Laboratory"):
        tabs.filter(has_text=say(name, "zh")).first.wait_for(timeout=60_000)
    assert page.evaluate("document.documentElement.lang") == "zh"
    page.locator("#bring", has_text=say("Load a fitted block (.safetensors)", "zh")).wait_for()
    page.wait_for_function("window.explorer", timeout=60_000)
    page.evaluate("history.replaceState(null, '', '#x=1&lang=zh')")
    with page.expect_navigation():
        page.evaluate("explorer.setLanguage('en')")
    tabs.filter(has_text="Compare").first.wait_for(timeout=60_000)
    page.locator("#stage article").first.wait_for(timeout=60_000)
    assert tabs.all_inner_texts()[:2] == ["Compare", "Lecture"]
    assert "lang=en" in page.evaluate("location.hash")
    page.context.close()


# ---- a third language is one file


#: Letters with signs on them: what is said in this language can be told from what is not.
_SIGNED = str.maketrans("aeiounsczAEIOUNSCZ", "àéîöûñšçžÀÉÎÖÛÑŠÇŽ")


def pseudo(text: str) -> str:
    """A text in the invented language: in brackets, with signs on its letters; its places stay."""
    pieces = re.split(r"(\{\w+\})", text)
    return "⟦" + "".join(one if one[:1] == "{" else one.translate(_SIGNED) for one in pieces) + "⟧"


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page that has a further language, by nothing but one file."""
    folder = tmp_path_factory.mktemp("locales")
    for path in messages.FOLDER.glob("*.po"):
        shutil.copy(path, folder)
    made = Catalog(locale="pl", charset="utf-8")
    for one in catalogues.extracted(ROOT):
        if one.id:
            made.add(one.id, pseudo(one.id) if isinstance(one.id, str) else (pseudo(one.id[1]),) * 3)
    (folder / "pl.po").write_bytes(catalogues.written(made))
    code = (
        "from pathlib import Path; from explorer import messages; messages.FOLDER = Path({locales!r});"
        "from explorer.ui.page import serve; serve(port={port})"
    )
    with running(code, folder, path="", locales=str(folder)) as address:
        yield address


#: What people read or are told, everywhere in the page: texts, names that nobody sees, and what is chosen from. The
#: place for a picture is gradio's, which speaks the browser's language there.
_READ = """() => {
    const skipped = ".katex, code, pre, kbd, style, script, .formula, [translate=no], .modebar, #picture";
    const isRead = (one) => !one.closest(skipped) && one.checkVisibility({ visibilityProperty: true });
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const parent = node.parentElement;
        if (node.data.trim() && isRead(parent)) found.push(node.data.trim());
    }
    for (const name of ["aria-label", "title", "placeholder", "alt"]) {
        for (const one of document.querySelectorAll(`[${name}]`)) {
            if (isRead(one)) found.push(one.getAttribute(name).trim());
        }
    }
    return [...new Set(found.filter(Boolean))];
}"""


#: What is the same in every language: our own name, the languages', keys, packages and devices, and what figures of
#: papers are called.
_SAME = {"Attention", "Explorer", "English", "Enter", "Grad-CAM", "BG-gap", "attention-explorer", "python", "torch"}
_SAME |= {"Python", "timm", "captum", "cpu", "cuda", "NVIDIA"}
#: Of registries: names of blocks, as a command takes them, and of their classes; methods, probes, states of weights.
_SAME |= {*BLOCKS, *METHODS, *PROBES, *WEIGHTS_STATES, *(one.__name__ for one in BLOCKS.values())}
#: Values of parameters, as a command takes them.
_VALUES = ("(sum)",)
#: Paths of layers, with the part of the map; models, versions and identifiers of code.
_CODE = re.compile(r"\w+(\.\w+)+( \([a-z x]+\))?|\S*/\S+|\w*\d\w*|\w*[a-z][A-Z]\w*|\w+_\w+")
#: Letters that have signs in the invented language: who writes one without was not translated.
_PLAIN = re.compile(f"[{''.join(map(chr, _SIGNED))}]")


def _english(texts: list[str]) -> dict[str, list[str]]:
    """Text -> the words in it that nobody translated and that are no names; a letter alone is of a formula."""
    left = {}
    for text in texts:
        told = text
        for value in _VALUES:
            told = told.replace(value, "")
        words = re.findall(r"[^\W\d_](?:[\w-]*\w)", _CODE.sub(" ", told))
        if found := [one for one in words if _PLAIN.search(one) and one not in _SAME]:
            left[text] = found
    return left


def test_english_is_told_from_what_was_translated_and_from_names():
    fine = [
        pseudo("all classes"),
        f"{pseudo('Block')}: mhsa",
        "lab/conv#1",
        "stages.0.blocks.2 (rows x columns)",
        "n d²",
    ]
    assert _english([*fine, "px", "99.1 %", f"⟦{pseudo('Trained on')} float32 cuda⟧", "random"]) == {}
    bad = {"found": ["found"], f"{pseudo('ring')} 0.5, found": ["found"], "⟦shape bias, pöîñtš⟧": ["shape", "bias"]}
    assert _english(list(bad)) == bad


@pytest.mark.browser
def test_no_english_is_left_in_a_further_language(chromium, invented):
    """Every tab, the first step of a lesson before and after the reveal, a measurement, an error, menus opened."""
    page = chromium.new_context(locale="pl-PL", viewport={"width": 1280, "height": 720}).new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(invented)
    page.wait_for_function("window.explorer?.now.answer", timeout=60_000)
    assert page.evaluate("document.documentElement.lang") == "pl"
    read: Counter[str] = Counter()
    left: dict[str, dict[str, list[str]]] = {}

    def look(where: str) -> None:
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        page.wait_for_timeout(300)
        texts = page.evaluate(_READ)
        read[where] = len(texts)
        if found := _english(texts):
            left[where] = found
        assert sum("⟦" in one for one in texts) > 10, where

    look("compare")
    page.evaluate("explorer.question.set({ dx: 4, angle: 10 })")
    page.wait_for_function("explorer.now.answer.at.dx === 4")
    look("moved")
    page.locator("#code").click()
    page.locator("dialog.code pre").first.wait_for()
    look("code")
    page.keyboard.press("Escape")
    page.locator("dialog.code").wait_for(state="hidden")
    tabs = page.locator("#tabs").get_by_role("tab")
    for name in ("Lecture", "Biases", "Blocks", "Laboratory"):
        tabs.filter(has_text=pseudo(name)).first.click()
        if name == "Lecture":
            page.locator("#lecture .question").filter(has_text="⟦").wait_for()
            look("lesson")
            page.keyboard.press("Enter")
            page.locator("#lecture .explanation").filter(has_text="⟦").wait_for()
        elif name == "Biases":
            page.get_by_role("button", name=pseudo("Measure"), exact=True).first.click()
            page.locator("#state-locality").get_by_text(pseudo("Measured")).wait_for()
            page.locator("#plots-locality .js-plotly-plot").first.wait_for()
        elif name == "Blocks":
            page.locator("#blocks-text h2").filter(has_text="⟦").wait_for()
            page.locator("#blocks-text .cost table").wait_for()
        else:
            page.locator("#lab-claims h4").filter(has_text="⟦").first.wait_for()
            page.get_by_role("button", name=pseudo("Objects found, with their boxes")).click()
            page.locator("#lab-boxes figcaption").filter(has_text="⟦").first.wait_for()
            page.get_by_role("button", name=pseudo("All measurements")).click()
            page.locator("#lab-findings").filter(has_text="⟦").wait_for()
            page.locator("#lab-panels .js-plotly-plot").last.wait_for()
        look(name)
    assert not left, ("said in English, or names that _SAME does not list", left)
    assert not complaints
    page.context.close()
