"""What may be asked, as JSON Schema: the browser's types are made from it."""

from __future__ import annotations

from typing import Any

from explorer.messages import Message
from explorer.registry import Parameter, parameters

_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def of_parameter(one: Parameter) -> dict[str, Any]:
    """The schema of one declared parameter."""
    if one.kind not in _TYPES:  # a place is the only other kind
        number = {"type": "number"}
        found: dict[str, Any] = {"type": "array", "prefixItems": [number, number], "minItems": 2, "maxItems": 2}
    elif one.choices:
        found = {"enum": list(one.choices)}
    else:
        found = {"type": _TYPES[one.kind]}
        found |= {key: limit for key, limit in (("minimum", one.low), ("maximum", one.high)) if limit is not None}
    if one.optional:
        found = {"anyOf": [found, {"type": "null"}]}
    if not isinstance(one.default, tuple):
        found["default"] = one.default
    return {**found, "description": f"{one.text}, {one.unit}" if one.unit else one.text}


def of_entry(kind: type) -> dict[str, Any]:
    """The schema of a scene, a move or a registry's entry: its fields, none of which is needed."""
    return {
        "title": kind.__name__,
        "type": "object",
        "properties": {name: of_parameter(one) for name, one in parameters(kind).items()},
        "additionalProperties": False,
    }


def of_browser(view: dict[str, Any], moves: tuple[str, ...]) -> dict[str, Any]:
    """What a browser sends, `Request`: the models and the question, its parts those of a view.

    Args:
        view: the schema of `View`.
        moves: which fields of a move the page has.
    """
    known = view["properties"]
    scene, _ = known["source"]["anyOf"]
    share = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    pin = {
        "title": "Place",
        "type": "object",
        "properties": {"x": share, "y": share},
        "required": ["x", "y"],
        "additionalProperties": False,
    }
    layer = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "null"}]}
    head = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}
    most = {"maxItems": known["models"]["maxItems"]}
    question = {
        "title": "Question",
        "type": "object",
        "properties": {
            "scene": {"anyOf": [scene, {"type": "null"}]},
            "picture": {"type": "string", "description": Message("a sample photograph's name, or own:ID of one's own")},
            **{name: known["transform"]["properties"][name] for name in moves},
            "pins": {"type": "array", "items": pin, "minItems": 1, "maxItems": known["queries"]["maxItems"]},
            "pin": known["pin"],
            "method": {"type": "string", "default": known["method"]["default"]},
            "parameters": known["parameters"],
            "layers": {"type": "array", "items": layer, **most},
            "heads": {"type": "array", "items": head, **most},
        },
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Request",
        "type": "object",
        "properties": {"models": known["models"], "question": question},
        "required": ["models", "question"],
        "additionalProperties": False,
    }
