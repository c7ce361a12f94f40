"""Blocks, methods and probes of other packages: found by entry points, so that installing a package is all it takes.

A package names a module of its own in its pyproject.toml, which registers what it brings when it is imported:

    [project.entry-points."explorer.blocks"]
    mine = "my_package.my_block"

The groups are ``explorer.blocks``, ``explorer.methods`` and ``explorer.probes``.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from typing import Literal

Group = Literal["explorer.blocks", "explorer.methods", "explorer.probes"]

#: What could not be loaded, by group: "NAME of PACKAGE" -> why.
LEFT_OUT: dict[Group, dict[str, str]] = {}


def invite(group: Group) -> None:
    """Import the modules of a group.

    One that fails is left out, kept in LEFT_OUT and warned of: a package that breaks must not take the explorer with
    it.
    """
    for guest in sorted(entry_points(group=group), key=lambda one: one.name):
        package = guest.dist.name if guest.dist is not None else guest.module
        try:
            guest.load()
        except Exception as error:
            LEFT_OUT.setdefault(group, {})[f"{guest.name} of {package}"] = f"{type(error).__name__}: {error}"
            warnings.warn(
                f"'{guest.name}', which the package '{package}' brings to {group}, is left out: {error}", stacklevel=2
            )
