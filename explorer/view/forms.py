"""The forms of a view: plain values, what a browser sends, a link, and a step of a lesson; each is read back as it was.

Nothing that is read is trusted: what is wrong is a ParameterError. The command line is another form; `code` writes it
and `explorer.cli` reads it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from explorer.errors import ParameterError
from explorer.geometry import Point
from explorer.images import Picture, samples
from explorer.messages import Message
from explorer.models.spec import ModelSpec
from explorer.registry import parameters
from explorer.scenes import Scene
from explorer.transforms import Transform
from explorer.view.code import TEXTLESS, changed_fields, number, own_name
from explorer.view.question import DEFAULT_METHOD, MAX_MODELS, MAX_QUERIES, View, entry_of
from explorer.view.schema import of_browser

#: A picture of a visitor's own, as the page names it.
OWN = re.compile(r"own:[0-9a-f]{24}")
#: Characters of a model's name: longer than any of timm's, short enough to be repeated in a message.
MAX_SPEC_CHARS = 300
#: Fields of a move that the page and lessons have.
MOVES = tuple(name for name in parameters(Transform) if name != "centre")
_MIDDLE = (Point(0.5, 0.5),)


# ---- plain values, as in an evidence bundle -------------------------------------------------------------------------


def record(view: View) -> dict[str, Any]:
    """A view as plain values, for JSON. Of a person's own files the name alone is held."""
    source: dict[str, Any]
    if isinstance(view.source, Scene):
        source = {"scene": dataclasses.asdict(view.source)}
    elif isinstance(view.source, Picture):
        source = {"picture": view.source.name}
    else:
        source = {"picture": view.source if view.source in samples() else own_name(view.source)}
    return {
        "models": [_spec_record(one) for one in view.models],
        **source,
        "move": dataclasses.asdict(view.transform),
        "queries": [list(one) for one in view.queries],
        "unit": view.unit,
        "pin": view.pin,
        "method": view.method,
        "parameters": dict(view.parameters),
        "layers": {str(place): layer for place, layer in view.layers.items()},
        "head": view.head,
        "heads": {str(place): head for place, head in view.heads.items()},
        "target": view.target,
        "bands": None if view.bands is None else list(view.bands),
    }


def of_record(values: Any) -> View:
    """Read what `record` wrote; raises ParameterError."""
    if not isinstance(values, Mapping):
        raise ParameterError(f"a view is an object with the names of its fields, got {type(values).__name__}")
    given = dict(values)
    if ("scene" in given) == ("picture" in given):
        raise ParameterError("a view has a scene or a picture, one of them")
    source = given.pop("scene") if "scene" in given else given.pop("picture")
    models = given.pop("models", ())
    if isinstance(models, Sequence) and not isinstance(models, str):
        models = tuple(map(_spec_of, models))
    if "move" in given:
        given["transform"] = given.pop("move")
    return View(models=models, source=source, **given)


def _spec_record(one: str | ModelSpec) -> Any:
    if isinstance(one, str):
        return one
    given = {name: value for name, value in changed_fields(one).items() if name in TEXTLESS}
    if one.weights_file is not None:
        given["weights_file"] = own_name(one.weights_file)
    return {"model": str(one), **given}


def _spec_of(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    fields = {str(name): _tupled(value) for name, value in given.items() if name != "model"}
    for name in fields:
        if name not in TEXTLESS:
            raise ParameterError(f"a model has no field '{name[:40]}'; it has: model, {', '.join(TEXTLESS)}")
    if not isinstance(given.get("model"), str):
        raise ParameterError("a model with fields of its own is named by 'model', a text")
    return ModelSpec.parse(given["model"], **fields)


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


# ---- what a browser sends -------------------------------------------------------------------------------------------


def request(view: View) -> tuple[list[str], dict[str, Any]]:
    """The models and the question as the page's controls have them; raises ParameterError for what these cannot say.

    The question has the fields of a move, scene (or null), picture, pins (places {x, y} as shares of the frame), pin,
    method, parameters, and layers and heads (one a model, null for the usual ones).
    """
    if view.queries and view.unit != "share":
        raise ParameterError("the page has places as shares of the frame, and these are pixels")
    for name in ("head", "target", "bands"):
        if getattr(view, name) is not None:
            raise ParameterError(f"the page has no '{name}' of a view")
    if view.method is None:
        raise ParameterError("the page shows an attribution; a view without a method cannot be asked there")
    if view.transform.centre is not None:
        raise ParameterError("the page moves about the middle; a view with a centre cannot be asked there")
    question = {
        "scene": None if view.scene is None else dataclasses.asdict(view.scene),
        "picture": "" if view.scene is not None else _page_picture(view.source),
        **{name: getattr(view.transform, name) for name in MOVES},
        "pins": [{"x": one.x, "y": one.y} for one in view.queries or _MIDDLE],
        "pin": view.pin,
        "method": view.method,
        "parameters": dict(view.parameters),
        "layers": [view.layers.get(place) for place in range(len(view.models))],
        "heads": [view.heads.get(place) for place in range(len(view.models))],
    }
    return [_text(one) for one in view.models], question


def of_request(models: Any, question: Any) -> View:
    """Check what a browser sent. Nothing in it is trusted; raises ParameterError."""
    texts, asked = of_models(models), {} if question is None else question
    if not isinstance(asked, Mapping):
        raise ParameterError(
            Message("a question is an object with the names of the controls, got {got}", got=type(asked).__name__)
        )
    chosen = {name: asked[name] for name in MOVES if asked.get(name) is not None}
    for name, value in chosen.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(Message("{name} is a finite number, got {value}", name=name, value=value))
    method = asked.get("method") or DEFAULT_METHOD
    if not isinstance(method, str):
        raise ParameterError(Message("method is the name of an attribution method"))
    given = asked.get("parameters") or {}
    if not isinstance(given, Mapping):
        raise ParameterError(Message("parameters is an object with the names of the method's parameters"))
    scene = of_scene(asked.get("scene"))
    return View(
        models=tuple(texts),
        source=_picture(asked.get("picture")) if scene is None else scene,
        transform=Transform(**chosen),
        queries=_pins(asked.get("pins")),
        pin=asked.get("pin") or "image",
        method=method,
        parameters={str(name): value for name, value in given.items() if value is not None},
        layers=_of_each(asked.get("layers"), len(texts)),
        heads={place: one for place, one in _of_each(asked.get("heads"), len(texts)).items() if isinstance(one, int)},
        unit="share",
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of what a browser sends, made of that of `View`; `python -m explorer.view` prints it."""
    return of_browser(View.model_json_schema(), MOVES)


def of_models(asked: Any) -> list[str]:
    """Check a list of models sent by a browser: 1 to 6 texts; raises ParameterError. The texts are read one by one."""
    if not isinstance(asked, Sequence) or isinstance(asked, str) or not all(isinstance(one, str) for one in asked):
        raise ParameterError(Message("models is a list of names"))
    named = [one.strip() for one in asked if one.strip()]
    if not named:
        raise ParameterError(Message("choose at least one model"))
    if len(named) > MAX_MODELS:
        raise ParameterError(
            Message("at most {most} models fit side by side, got {count}", most=MAX_MODELS, count=len(named))
        )
    for one in named:
        if len(one) > MAX_SPEC_CHARS:
            raise ParameterError(
                Message(
                    "a model's name has at most {most} characters, got {count}", most=MAX_SPEC_CHARS, count=len(one)
                )
            )
    return named


def of_scene(asked: Any) -> Scene | None:
    """Check a scene sent by a browser; None for none. Raises ParameterError."""
    if asked is not None and not isinstance(asked, Mapping):
        raise ParameterError(
            Message("a scene is an object with the names of its fields, got {got}", got=type(asked).__name__)
        )
    scene: Scene | None = entry_of(Scene, "scene", asked)
    return scene


def _text(one: str | ModelSpec) -> str:
    if isinstance(one, ModelSpec) and any(name in TEXTLESS for name in changed_fields(one)):
        raise ParameterError(f"the page has no way to say the fields of '{one}' that its name does not hold")
    return str(one)


def _page_picture(source: Any) -> str:
    if isinstance(source, str) and (source in samples() or OWN.fullmatch(source)):
        return source
    raise ParameterError("the page shows sample photographs and what was given to it; no file of this machine")


def _picture(value: Any) -> str:
    known = samples()
    if not value:
        return next(iter(known))
    if not isinstance(value, str) or not (value in known or OWN.fullmatch(value)):
        raise ParameterError(
            Message(
                "there is no sample photograph '{value}'; there are: {known}",
                value=str(value)[:40],
                known=", ".join(known),
            )
        )
    return value


def _of_each(value: Any, count: int) -> dict[int, int | str]:
    """What is chosen of each model, by its place; what is no choice is the usual one."""
    if value is None:
        return {}
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MAX_MODELS:
        raise ParameterError(Message("layers and heads are lists of numbers, one a model"))
    return {
        place: one
        for place, one in enumerate(value[:count])
        if isinstance(one, str) or (isinstance(one, int) and not isinstance(one, bool) and one >= 0)
    }


def _pins(value: Any) -> tuple[Point, ...]:
    if value is None:
        return _MIDDLE
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= MAX_QUERIES:
        raise ParameterError(Message("pins is a list of 1 to {most} places", most=MAX_QUERIES))
    return tuple(map(_pin, value))


def _pin(value: Any) -> Point:
    try:
        return Point(float(value["x"]), float(value["y"]))
    except (TypeError, KeyError, ValueError):
        raise ParameterError(Message("a pin is a place {x, y}, each from 0 to 1")) from None


# ---- a link: the part of the page's address behind the # ------------------------------------------------------------

#: Parts of a question with a name of their own in the address.
_ASKED = (*MOVES, "pins", "pin", "method", "picture")
#: What an address leaves as it is; percent signs stand only where it needs them.
_PLAIN = "-_.!~*'()/@"


def link(view: View) -> str:
    """The view as the page's address has it behind the #; raises ParameterError as `request` does."""
    models, question = request(view)
    pins = ";".join(f"{number(one['x'])},{number(one['y'])}" for one in question["pins"])
    parts = [("models", ",".join(map(_encoded, models)))]
    for name in _ASKED:
        if name == "picture" and question["scene"] is not None:
            continue
        parts.append((name, pins if name == "pins" else _encoded(question[name])))
    if question["scene"] is not None:
        parts.append(("scene", _packed(question["scene"])))
    if question["parameters"]:
        parts.append(("parameters", _packed(question["parameters"])))
    layers = {
        place: f"{view.layers.get(place, '')}" + (f"#{view.heads[place]}" if place in view.heads else "")
        for place in sorted({*view.layers, *view.heads})
    }
    if layers:
        parts.append(("layers", _packed(layers)))
    return "&".join(f"{name}={text}" for name, text in parts)


def of_link(text: str) -> View:
    """Read a link, or what stands in it behind the #; what is not of the view is passed over. Raises ParameterError."""
    models: list[str] = []
    question: dict[str, Any] = {}
    layers: dict[int, int | str] = {}
    heads: dict[int, int] = {}
    for part in filter(None, text.rpartition("#")[2].split("&")):
        name, _, said = part.partition("=")
        if name == "models":
            models = [unquote(one) for one in said.split(",")]
        elif name == "pins":
            question[name] = [_unpinned(one) for one in said.split(";")]
        elif name in _ASKED:
            question[name] = _parsed(unquote(said))
        elif name in ("scene", "parameters"):
            question[name] = _unpacked(said)
        elif name == "layers":
            for place, chosen in _unpacked(said, parse=False).items():
                layer, sign, head = chosen.rpartition("#") if re.search(r"#\d+$", chosen) else (chosen, "", "")
                if not place.isdecimal():
                    raise ParameterError(f"layers names models by their places, from 0; got '{place[:40]}'")
                if layer:
                    layers[int(place)] = int(layer) if re.fullmatch(r"\d+", layer) else layer
                if sign:
                    heads[int(place)] = int(head)
    return of_request(models, question).changed(layers=layers, heads=heads)


def _encoded(value: Any) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, float):
        value = number(value)
    elif value is None:
        value = "null"
    return quote(str(value), safe=_PLAIN)


def _packed(fields: Mapping[Any, Any]) -> str:
    return ";".join(f"{name}:{_encoded(value)}" for name, value in fields.items())


def _unpacked(text: str, parse: bool = True) -> dict[str, Any]:
    pairs = (one.partition(":") for one in filter(None, text.split(";")))
    return {name: _parsed(unquote(value)) if parse else unquote(value) for name, _, value in pairs}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unpinned(text: str) -> dict[str, Any]:
    x, _, y = text.partition(",")
    return {"x": x, "y": y}


# ---- a step of a lesson ---------------------------------------------------------------------------------------------


def lesson(view: View) -> dict[str, Any]:
    """What a lesson's step says of the view, for YAML: models, scene or picture, move, query, pin and method.

    Raises ParameterError for what a step has no way to say. `explorer.lessons` reads it.
    """
    models, question = request(view)
    for name in ("parameters", "layers", "heads"):
        if getattr(view, name):
            raise ParameterError(f"a lesson's step has no '{name}' of a view")
    places = question["pins"]
    shown = {"picture": question["picture"]} if view.scene is None else {"scene": question["scene"]}
    return {
        "models": models,
        **shown,
        "move": {name: question[name] for name in MOVES},
        "query": places[0] if len(places) == 1 else places,
        "pin": view.pin,
        "method": view.method,
    }
