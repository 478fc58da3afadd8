"""Branching: what a `branch` task's choice means for the tasks right below it.

Law: a branch follows direct dependants only, and a choice that names anything else is an error, never a
silent skip of everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

from engine.model.errors import ConfigurationError


def chosen(value: Any) -> list[str]:
    """The ids a choice names, in its order, each once: a string, a list of strings, or nothing at all."""
    if value is None or value is False:
        return []
    if isinstance(value, str):
        name = value.strip()
        return [] if name in ("", "None") else [name]  # a text template renders None as 'None'
    if isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        names = list(value)
        if all(isinstance(name, str) for name in names):
            return list(dict.fromkeys(name.strip() for name in names if name.strip()))
    raise ConfigurationError(
        f"A branch chooses by the id of a task, a list of ids, or nothing; it got {_described(value)}. "
        "Let `choose` (or the callable) give such ids."
    )


def follow_of(value: Any, dependants: Collection[str]) -> list[str]:
    """The direct dependants to follow, the others being SKIPPED. ConfigurationError names every stranger."""
    names = chosen(value)
    strangers = [name for name in names if name not in dependants]
    if strangers:
        raise ConfigurationError(" ".join(_stranger(name, dependants) for name in strangers[:5]))
    return names


def _stranger(name: str, dependants: Collection[str]) -> str:
    near = get_close_matches(name, list(dependants), n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    shown = ", ".join(sorted(dependants)[:10]) or "none"
    found = f"The branch chose '{name[:80]}', which does not depend on it directly"
    return f"{found}; {hint}It can choose among: {shown}."


def _described(value: Any) -> str:
    if isinstance(value, (bool, int, float)):
        return f"{value!r}"
    if isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        odd = next(item for item in value if not isinstance(item, str))
        return f"a {type(value).__name__} that holds a {type(odd).__name__}"
    return f"a {type(value).__name__}"
