"""The browser's types: TypeScript declarations made from a JSON Schema."""

from __future__ import annotations

import json
from typing import Any

_NAMES = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}
#: Characters of a line, as in the rest of assets/web/.
_WIDTH = 120
_HEAD = "// What a page asks: made from the schema of explorer.view by `python -m explorer.view --types`. Do not edit."


def declarations(schema: dict[str, Any]) -> str:
    """TypeScript for a schema: an interface for each object that has a title, the parts of others in their place.

    Raises KeyError for a kind of schema that it does not know.
    """
    found: dict[str, str] = {}
    _type(schema, found)
    return "\n\n".join([_HEAD, *found.values()])


def _type(schema: dict[str, Any], found: dict[str, str]) -> str:
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one, found) for one in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(one) for one in schema["enum"])
    if schema["type"] == "object":
        return _object(schema, found)
    if schema["type"] == "array":
        return _array(schema, found)
    return _NAMES[schema["type"]]


def _array(schema: dict[str, Any], found: dict[str, str]) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(_type(one, found) for one in schema['prefixItems'])}]"
    item = _type(schema["items"], found)
    return f"({item})[]" if " | " in item else f"{item}[]"


def _object(schema: dict[str, Any], found: dict[str, str]) -> str:
    if "properties" not in schema:
        return "Record<string, unknown>"
    required = schema.get("required", ())
    fields = [
        _field(name if name in required else f"{name}?", _type(one, found), one.get("description", ""))
        for name, one in schema["properties"].items()
    ]
    if "title" not in schema:
        return f"{{ {'; '.join(line.strip().rstrip(';') for line in fields)} }}"
    body = "\n".join(fields)
    found[schema["title"]] = f"export interface {schema['title']} {{\n{body}\n}}"
    return str(schema["title"])


def _field(name: str, kind: str, description: str) -> str:
    line = f"  {name}: {kind};"
    if len(line) > _WIDTH:
        line = f"  {name}:\n    | " + "\n    | ".join(kind.split(" | ")) + ";"
    return f"  /** {description} */\n{line}" if description else line
