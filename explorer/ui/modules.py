"""The browser's modules as one file: a page that asks for fifty waits for fifty answers before it draws anything.

Each module becomes a function that is run once and hands on what it exports, after those that it imports. Comments on
lines of their own, which say nothing to a browser, leave empty lines. Nothing else of it changes, not even the number
of its lines. What a module may write for that is little, and what it may not write is told: one-line imports by name or
as a whole, ``export const``, a list of exports, and no two modules that import each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter

_NAMES, _FILE = r"\{ ([\w$, ]+?) \}", r'"\./([a-z-]+\.js)"'
_IMPORTED = re.compile(rf"(?m)^import (?:{_NAMES}|\* as (\w+)) from {_FILE};$")
_HANDED_ON = re.compile(rf"(?m)^export {_NAMES} from {_FILE};$")
_EXPORTED = re.compile(r"(?m)^export const (\w+)")
_LISTED = re.compile(rf"(?m)^export {_NAMES};$")
#: A comment on lines of its own. No text of ours has a line that begins as one does.
COMMENT = re.compile(r"(?ms)^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/[ \t]*)$")
#: What is left of imports and exports; types in comments name a module without its ending.
_LEFT = re.compile(r"(?m)^(?:import|export)\b.*|\bimport\((?!\"\./[\w-]+\"\)\.).*")


def joined(sources: Mapping[str, str], entry: str, others: Collection[str] = ()) -> str:
    """One module that does what many do.

    Args:
        sources: file name -> source of each module.
        entry: the module that the page begins with. What it exports, the joined one exports; and as ``modules`` all
            others by their names, for those who look inside.
        others: modules that further pages begin with.

    Raises:
        ValueError: a module writes an import or an export in a way that is not known here, names none that is there, or
            is imported by nobody.
        graphlib.CycleError: modules import each other.
    """
    # Sorted, so that the same sources give the same file whenever and wherever they are joined.
    needs = {
        name: sorted(
            {found[found.lastindex or 0] for form in (_IMPORTED, _HANDED_ON) for found in form.finditer(source)}
        )
        for name, source in sorted(sources.items())
    }
    if missing := {one for named in needs.values() for one in named} - set(sources):
        raise ValueError(f"the page's modules import {', '.join(sorted(missing))}, which are not there")
    beside = {*others} & set(sources)
    reached, by_all = _reached(needs, [entry]), _reached(needs, [entry, *sorted(beside)])
    if idle := set(sources) - set(by_all):
        raise ValueError(f"nobody imports {', '.join(sorted(idle))}")
    own = {name: needs[name] for name in reached}
    order = [name for name in TopologicalSorter(own).static_order() if name != entry]
    named = ", ".join(f'"{name.removesuffix(".js")}": {_variable(name)}' for name in order)
    wrapped = [_wrapped(name, sources[name]) for name in order]
    return "\n".join([*wrapped, _outermost(sources[entry]), f"export const modules = {{ {named} }};"])


def _reached(needs: Mapping[str, Sequence[str]], entries: Sequence[str]) -> list[str]:
    reached = list(entries)
    for name in reached:
        reached += [one for one in needs[name] if one not in reached]
    return reached


def _wrapped(name: str, source: str) -> str:
    exported = _EXPORTED.findall(source)
    for names in _LISTED.findall(source):
        exported += [re.sub(r"(\S+) as (\S+)", r"\2: \1", one) for one in names.split(", ")]
    body = _LISTED.sub("", _EXPORTED.sub(r"const \1", _taken(source)))
    _checked(name, body)
    return f"const {_variable(name)} = (() => {{ // {name}\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"


def _outermost(source: str) -> str:
    def handed_on(found: re.Match[str]) -> str:
        # Under names of their own: the entry module may have imported them too.
        names, of = found[1].split(", "), _variable(found[2])
        taken = ", ".join(f"{of}_{name} = {of}.{name}" for name in names)
        return f"const {taken}; export {{ {', '.join(f'{of}_{name} as {name}' for name in names)} }};"

    body = _HANDED_ON.sub(handed_on, _taken(source))
    _checked("the entry module", _LISTED.sub("", body.replace("export const ", "const ")))
    return body


def _taken(source: str) -> str:
    """A module's source that takes from variables what it imported."""

    def taken(found: re.Match[str]) -> str:
        names, whole, file = found.groups()
        given = whole or f"{{ {re.sub(r' as ', ': ', names)} }}"
        return f"const {given} = {_variable(file)};"

    return COMMENT.sub(lambda found: "\n" * found[0].count("\n"), _IMPORTED.sub(taken, source))


def _checked(name: str, body: str) -> None:
    if left := _LEFT.search(body):
        raise ValueError(f"{name}: {left.group()!r} is written in a way that explorer/ui/modules.py does not know")


def _variable(file: str) -> str:
    """The variable that holds what a module exports; no module of ours begins a name like this."""
    return "$" + re.sub(r"\W", "_", file.removesuffix(".js"))
