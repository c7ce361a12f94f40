"""Messages are English texts that can be said in another language; nothing is parsed."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path

import pytest

from explorer import messages
from explorer.errors import ParameterError, UnknownNameError
from explorer.messages import Message, counted, listed, message_of, ranged, say, sentences

#: Polish has three forms: 1; 2 to 4 but for 12 to 14; the others.
POLISH = """
msgid ""
msgstr ""
"Language: pl\\n"
"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\\n"
"Content-Type: text/plain; charset=utf-8\\n"

msgid "English"
msgstr "polski"

msgid "star"
msgstr "gwiazda"

msgid "{what} of {model}"
msgstr "{model}: {what}"

msgid "{n} seed"
msgid_plural "{n} seeds"
msgstr[0] "{n} ziarno"
msgstr[1] "{n} ziarna"
msgstr[2] "{n} ziaren"

msgid "{first}, {rest}"
msgstr "{first} i {rest}"
"""


@pytest.fixture
def polish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pl.po").write_text(POLISH.replace("\\\\", "\\"), encoding="utf-8")
    monkeypatch.setattr(messages, "FOLDER", tmp_path)


def test_a_message_is_english_text():
    one = Message("{what} of {model}, {n} {x} {missing}", what="star", model="lab/conv", n=2.0, x=0.25)
    assert one == "star of lab/conv, 2 0.25 {missing}"
    assert isinstance(one, str)
    assert json.dumps(one) == json.dumps(str(one))
    assert {one: 1}[str(one)] == 1
    assert Message("no {values}") == "no {values}"
    assert Message("") == ""
    assert (one.template, dict(one.values)["n"]) == ("{what} of {model}, {n} {x} {missing}", 2.0)


@pytest.mark.parametrize("through", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_a_message_survives_the_way_to_another_process(through):
    one = counted("{n} seed of {what}", "{n} seeds of {what}", 3, what=Message("star"))
    again = through(one)
    assert again == one == "3 seeds of star"
    assert (again.template, again.plural, again.number) == (one.template, one.plural, one.number)
    assert isinstance(again.values["what"], Message)


def test_errors_keep_their_messages():
    inner = ParameterError(Message("{what} is wrong", what="zoom"))
    outer = ParameterError(Message("lesson: {error}", error=inner))
    assert str(outer) == "lesson: zoom is wrong"
    assert message_of(outer).values["error"].template == "{what} is wrong"
    assert outer.message is message_of(outer)
    assert message_of(OSError(2, "gone")) == "[Errno 2] gone"
    unknown = UnknownNameError("block", "mhsaa", ["mhsa", "axial"])
    assert str(unknown) == "unknown block 'mhsaa'. Did you mean mhsa?"


@pytest.mark.usefixtures("polish")
def test_texts_are_put_together_without_losing_what_they_are():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    both = listed([Message("star"), "b", ParameterError("c")])
    assert both == "star, b, c"
    assert say(both, "pl") == "gwiazda i b i c"
    assert sentences("", Message("One."), None, "Two.") == "One. Two."
    with pytest.raises(ValueError, match="first} - "):
        listed(["a", "b"], "{first} - {rest}")
    assert ranged("52 %", None, None) == "52 %"
    assert ranged("52 %", "40", "64") == "52 % (40 to 64)"


@pytest.mark.usefixtures("polish")
def test_a_message_is_said_by_its_template_and_names_stay():
    one = Message("{what} of {model}", what=Message("star"), model="star")
    assert say(one, "en") == "star of star"
    assert say(one, "pl") == "star: gwiazda"
    assert say("star", "pl") == "gwiazda", "a plain text is looked up as it stands"
    assert say("a star", "pl") == "a star", "and no part of it"
    assert say(Message("star {x}", x="{y}"), "pl") == "star {y}"
    assert say(one, "xx") == "star of star"
    assert say("", "pl") == ""
    assert messages.languages() == {"en": "English", "pl": "polski"}
    assert messages.language_of("pl") == "pl"
    assert messages.language_of("xx") == messages.language_of(None) == messages.language_of({}) == "en"


@pytest.mark.usefixtures("polish")
def test_plurals_follow_the_catalogues_rule():
    def seeds(n: int) -> Message:
        return counted("{n} seed", "{n} seeds", n)

    assert [str(seeds(n)) for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert [say(seeds(n), "pl") for n in (1, 3, 5, 12, 22)] == [
        *("1 ziarno", "3 ziarna", "5 ziaren", "12 ziaren", "22 ziarna"),
    ]


def test_what_is_changed_in_a_message_are_its_plain_texts_alone():
    one = Message("{path} of {inner}: {n}", path="/a/b", inner=Message("{path}", path="/c/d"), n=3)
    assert one.each(lambda text: re.sub(".*/", "", text)) == "b of d: 3"
    assert one == "/a/b of /c/d: 3"


def test_a_message_goes_as_json_and_comes_back():
    one = counted("{n} seed of {what}", "{n} seeds of {what}", 3, what=Message("star"))
    told = {"error": one, "notes": (Message("{x} px", x=1.5), "plain"), "size": [3, 4]}
    back = messages.decoded(json.loads(json.dumps(messages.encoded(told))))
    assert back == {"error": "3 seeds of star", "notes": ["1.5 px", "plain"], "size": [3, 4]}
    assert (back["error"].plural, back["error"].number) == (one.plural, 3)
    assert isinstance(back["error"].values["what"], Message)
