"""The page's languages: every text has a translation, and the server and the browser translate alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer.probes import show
from explorer.ui import web, words
from explorer.ui.answers import Answers
from explorer.ui.handlers import Handlers
from explorer.ui.measuring import Measuring
from explorer.ui.tabs import lab

from .texts import gathered, skeleton, spoken

ZH = words.tables()["zh"]
HERE = Path(__file__).parent
KEPT = {line for line in (HERE / "kept_in_english.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"}
#: Keys of the tables that are no texts: the language's own name, and how sentences are put together.
PARTS = {" to ", "English", ".", ". ", ": ", "; ", ", "}
CHINESE = re.compile(r"[一-鿿]")
#: English prose: three words in a row that begin with small letters.
PROSE = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b")

CASES = {
    "softmax over 144 positions": "对 144 个位置做 softmax",
    "Choose at least one model.": "请至少选择一个模型。",
    "choose at least one model": "请至少选择一个模型",
    "scale: Does the answer stay when things get smaller or larger?": "尺度：物体变小或变大时，答案是否不变？",
    "Moved: 3 px right, 2 px down.": "已移动：向右 3 px，向下 2 px。",
    "border: wrap; compared: valid cells": "边界：循环；比较：有效单元",
    "Scale +": "尺度 +",
    "p kept ↑": "p 保留 ↑",
    "unknown block 'mhsaa'.": "未知的模块“mhsaa”。",
    "Turned upright, as its EXIF data asks. Transparent: shown on white.": (
        "已按其 EXIF 数据转正。透明：以白色为底显示。"
    ),
    "memory at 32 x 32, d = 8 ↓": "内存，32 x 32，d = 8 ↓",
    "0.78 (0.417 to 1.04) of p before": "0.78 (0.417 到 1.04) 占之前 p 的比例",
    "lab/mhsa, heads": "lab/mhsa，各头",
    "lab/mhsa": "lab/mhsa",
    "lab/mhsa; lab/conv": "lab/mhsa; lab/conv",
    "The shadow of a doubt, as they say, and a star": "The shadow of a doubt, as they say, and a star",
    " and white space ": " and white space ",
    "": "",
}


def test_every_text_has_a_translation_and_every_translation_a_text():
    every = gathered()
    exact, known = set(spoken()), {skeleton(key) for key in ZH}
    # What a script says is looked up as it stands; what Python composed is found by its fixed parts.
    missing = [
        text for text in every if not (text in ZH if text in exact else skeleton(text) in known)
    ]  # fmt: skip
    assert not [text for text in missing if skeleton(text) not in KEPT], (
        "without a translation in assets/locales/zh.json"
    )
    used = {skeleton(text) for text in every}
    assert not [key for key in ZH if skeleton(key) not in used and key not in PARTS], (
        "translations of texts that are gone"
    )
    assert not KEPT - used - {""}, "kept in English, but gone"


def test_translations_have_the_places_of_their_texts():
    wrong = [key for key, text in ZH.items() if set(re.findall(r"\{\w+\}", key)) != set(re.findall(r"\{\w+\}", text))]
    assert not wrong


def test_translations_are_chinese_with_chinese_signs():
    bare = [
        key for key, text in ZH.items() if CHINESE.search(text) and re.search(r"[一-鿿][,;:?!]|[,;?!][一-鿿]", text)
    ]
    assert not bare


@pytest.mark.parametrize("text", CASES)
def test_a_composed_text_is_translated(text):
    assert words.say(text, "zh") == CASES[text]
    assert words.say(text, "en") == text


def test_values_are_filled_in_and_said_but_for_names():
    assert words.say("{count} cue conflicts and {label}", "en", count=2.0, label="star") == "2 cue conflicts and star"
    assert words.say("{bias}: what to measure", "zh", bias="Locality") == "局部性：测量什么"
    assert words.say("A scene with a {label}.", "zh", label="star") == "含有星形的场景。"
    # A class of ImageNet, and a stage of timm's.
    assert words.say("{method} for {target}", "zh", method="gradcam", target="stage") == "stage 的 gradcam"
    assert words.say("{method} for {target}", "zh", method="gradcam", target="star (1)") == "星形 (1) 的 gradcam"
    assert words.say("{values} of nobody", "zh", values="star") == "星形 of nobody"
    assert words.language_of("zh") == "zh"
    assert words.language_of("xx") == words.language_of(None) == "en"


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
    english, chinese = (lab.paint(set_up, lab.blocks_of(set_up)[:2], language) for language in ("en", "zh"))
    for before, after in zip(english, chinese):
        title, said = (figure.layout.annotations[0].text for figure in (before, after))
        assert said == ZH[title]
        for along in ("xaxis", "yaxis"):
            words = after.layout[along].title.text or ""
            assert CHINESE.search(words) or words == ""
        assert not [one.text for one in after.layout.annotations if PROSE.search(one.text)]
        assert [len(trace.x) for trace in before.data] == [len(trace.x) for trace in after.data]
        left = [trace.name for trace in after.data if trace.name and PROSE.search(trace.name)]
        assert not left


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
    left = [text for text in found if PROSE.search(words.say(text, "zh"))]
    assert not left


#: Fields of the page's JSON that hold texts for people.
_HUMAN = {"transform", "state_title", "kind_title", "unit", "note", "notes", "reason", "problem", "layout", "words"}
_HUMAN |= {"title", "columns", "first", "error"}


def _human(part: Any, name: str = "") -> Iterator[str]:
    if isinstance(part, str) and name in _HUMAN:
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
        file = web.files().get(name)
        if file is None:
            route.fulfill(content_type="text/html", body="<!doctype html><title>words</title>")
        else:
            route.fulfill(content_type=file.kind, body=file.plain)

    page.route(f"{ALONE}/**", serve)
    page.goto(f"{ALONE}/{part}")
    page.evaluate(
        """async (languages) => {
            window.words = await import(`/words.js`);
            await words.begin(languages);
        }""",
        words.languages(),
    )
    return page


@pytest.mark.browser
def test_the_browser_says_what_the_server_says(chromium):
    page = _page(chromium)
    texts = [*CASES, *gathered(), "head 3", "stage 2: its tokens do not lie on the image in raster order"]
    said = page.evaluate("(texts) => texts.map((text) => words.say(text))", texts)
    assert said == [words.say(text, "zh") for text in texts]
    filled = [
        ("{bias}: what to measure", {"bias": "Locality"}),
        ("{method} for {target}", {"method": "gradcam", "target": "stage"}),
        ("{number} of {count}", {"number": 2, "count": 3.5}),
        ("{values} of nobody", {"values": "star"}),
    ]
    for text, values in filled:
        assert page.evaluate("([text, values]) => words.say(text, values)", [text, values]) == words.say(
            text, "zh", **values
        )
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
        tabs.filter(has_text=ZH[name]).first.wait_for(timeout=60_000)
    assert page.evaluate("document.documentElement.lang") == "zh"
    page.locator("#bring", has_text=ZH["Load a fitted block (.safetensors)"]).wait_for()
    page.wait_for_function("window.explorer", timeout=60_000)
    page.evaluate("history.replaceState(null, '', '#x=1&lang=zh')")
    with page.expect_navigation():
        page.evaluate("explorer.setLanguage('en')")
    tabs.filter(has_text="Compare").first.wait_for(timeout=60_000)
    page.locator("#stage article").first.wait_for(timeout=60_000)
    assert tabs.all_inner_texts()[:2] == ["Compare", "Lecture"]
    assert "lang=en" in page.evaluate("location.hash")
    page.context.close()
