"""Plain values that a person wrote: every key once, and what is wrong is told with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from explorer.errors import ParameterError
from explorer.plain import read_json, read_yaml
from explorer.probes.background import IN9_MAP, in9_map
from explorer.sweep.plan import SweepPlan, probe_of


def test_values_are_read() -> None:
    assert read_yaml("a: 1\nb: [x, {c: 2.5}]\nd: &one {e: 1}\nf: *one\n", "x") == {
        "a": 1,
        "b": ["x", {"c": 2.5}],
        "d": {"e": 1},
        "f": {"e": 1},
    }
    assert read_yaml("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\n", "x")["more"] == {"x": 1, "y": 3}
    assert read_yaml("", "x") is None
    assert read_json('{"a": [1, {"a": 2}]}', "x") == {"a": [1, {"a": 2}]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "'f.yaml', line 3: 'a' stands here a second time, after line 1"),
        ("{a: 1, a: 1}", "line 1: 'a' stands"),
        ("x:\n  - y: {b: 1}\n    z: 1\n    'z': 2\n", "line 4: 'z' stands here a second time, after line 3"),
        ("a: [", "is no YAML"),
        ("a: !!python/object/apply:os.system [ls]", "is no YAML"),
        ("a: 2001-99-99", "is no YAML"),
        ("a: 1\n---\na: 2\n", "is no YAML"),
        ("[" * 5000, "is no YAML"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        read_yaml(text, "f.yaml")


def test_an_alias_bomb_is_looked_at_once() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    assert len(read_yaml(f"a0: &a0 [x]\n{levels}\n", "f.yaml")) == 30


def test_json_says_a_doubled_key() -> None:
    with pytest.raises(ParameterError, match=r"'f\.json': 'a' stands twice"):
        read_json('{"b": {"a": 1, "a": 2}}', "f.json")
    with pytest.raises(ParameterError, match="is no JSON"):
        read_json("{", "f.json")


def test_plans_flags_and_class_maps_are_read_so(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"file": tmp_path / "plan.yaml"}
    plan["file"].write_text("models: lab/mhsa\nprobes: edges\ndata: 8\nshard: 16\nshard: 32\n")
    with pytest.raises(ParameterError, match=r"plan\.yaml', line 5: 'shard' stands here a second time, after line 4"):
        SweepPlan.read(plan["file"])
    with pytest.raises(ParameterError, match="is no YAML"):
        probe_of("translation:side=[")
    (tmp_path / IN9_MAP).write_text('{"1": 2, "1": 3}')
    with pytest.raises(ParameterError, match="'1' stands twice"):
        in9_map(tmp_path)
