"""Paths into an answer: where its records are, and its other values.

Law: pure. A path is names joined by dots; a name that itself has dots is found too. What is not there is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.model.errors import ConfigurationError, DataQualityError

_MISSING = object()
_KNOWN = ("data", "items", "results", "records", "value", "values", "entries", "rows", "list", "content", "hits")


def at_path(body: Any, path: str) -> Any:
    """The value at a path; None when it is not there."""
    found = _at(body, path)
    return None if found is _MISSING else found


def records_at(body: Any, path: str | None, where: str) -> list[Mapping[str, Any]]:
    """The records of an answer. Values that are no objects become {value: ...}."""
    found = _found(body, path, where) if path is not None else body
    if found is None:
        return []
    many = found if isinstance(found, list) else [found]
    return [each if isinstance(each, Mapping) else {"value": each} for each in many]


def path_seen(body: Any, where: str) -> str | None:
    """Where the records of an answer are, by looking; None: the answer itself is them, or is one."""
    if not isinstance(body, Mapping):
        return None
    lists = [name for name, value in body.items() if isinstance(value, list)]
    known = [name for name in _KNOWN if name in lists]
    if known or len(lists) == 1:
        return known[0] if known else lists[0]
    if lists:
        raise ConfigurationError(
            f"{where} has several lists: {_names(lists)}. Say which holds the records: `data_path`."
        )
    for name in _KNOWN:
        inner = body.get(name)
        if isinstance(inner, Mapping) and any(isinstance(each, list) for each in inner.values()):
            deeper = path_seen(inner, where)
            return f"{name}.{deeper}" if deeper else name
    return None


def _found(body: Any, path: str, where: str) -> Any:
    found = _at(body, path) if path else body
    if found is not _MISSING:
        return found
    there = f"has {_names(list(body))}" if isinstance(body, Mapping) else f"is {_kind(body)}"
    raise DataQualityError(f"{where} has nothing at `data_path: {path[:80]}`; it {there}.")


def _at(body: Any, path: str) -> Any:
    if isinstance(body, Mapping) and path in body:
        return body[path]
    current = body
    for name in path.split("."):
        if isinstance(current, Mapping) and name in current:
            current = current[name]
        elif isinstance(current, list) and name.isdecimal() and int(name) < len(current):
            current = current[int(name)]
        else:
            return _MISSING
    return current


def _names(names: Sequence[Any]) -> str:
    shown = ", ".join(str(each)[:40] for each in names[:8])
    return shown + (" ..." if len(names) > 8 else "") if names else "nothing"


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else type(value).__name__
