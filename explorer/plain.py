"""Plain values out of YAML that a person wrote: read without running anything, every key once."""

from __future__ import annotations

import json
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from explorer.errors import ParameterError
from explorer.messages import Message


def read_yaml(text: str, name: str) -> Any:
    """The value of a YAML text.

    Args:
        text: of one document; JSON is YAML too.
        name: what errors call it, the path of its file.

    Raises ParameterError for what is no YAML, and for a key that stands twice in one mapping: of the two values one
    would be lost.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return None
        _check(root, name)
        return SafeConstructor().construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ParameterError):
            raise
        said = " ".join(str(error).split())
        raise ParameterError(Message("'{path}' is no YAML: {error}", path=name, error=said)) from error


def read_json(text: str, name: str) -> Any:
    """The value of a JSON text in which every key stands once. Raises ParameterError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for number, key in enumerate(names) if key in names[:number])
            raise ParameterError(
                Message("'{path}': '{key}' stands twice in it; leave one out", path=name, key=twice[:40])
            )
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(Message("'{path}' is no JSON: {error}", path=name, error=error)) from error


def _check(root: yaml.Node, name: str) -> None:
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # what an alias names again
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                waiting += [key, value]
                if not isinstance(key, yaml.ScalarNode):
                    continue
                line, first = key.start_mark.line + 1, lines.get((key.tag, key.value))
                lines[key.tag, key.value] = line
                if first is not None:
                    raise ParameterError(
                        Message(
                            "'{path}', line {line}: '{key}' stands here a second time, after line {first}; leave one "
                            "out",
                            path=name,
                            line=line,
                            key=key.value[:40],
                            first=first,
                        )
                    )
