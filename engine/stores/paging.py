"""Pages of a list, and things found by the beginning of their name.

Law: a cursor is the sort key of the last row shown, so rows that arrive meanwhile shift nothing; a name that fits
more than one thing is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, tuple_

from engine.model.errors import NotFound, RequestError
from engine.stores.values import micros

Answer = TypeVar("Answer")

_LAST = "\U0010ffff"  # sorts behind every character, so prefix..prefix+_LAST is what begins with the prefix


def page(query: Select[Any], at: Any, key: Any, limit: int, before: str | None) -> Select[Any]:
    """Newest first; one row more than asked for tells whether there is a next page."""
    if before is not None:
        count, _, name = before.partition(".")
        if not count.lstrip("-").isdigit():
            raise RequestError(f"'{before[:40]}' is not the `next` of an earlier page.")
        query = query.where(tuple_(at, key) < tuple_(int(count), name))
    return query.order_by(at.desc(), key.desc()).limit(limit + 1)


def cut(
    found: list[Answer], limit: int, key: Callable[[Answer], tuple[datetime, str]]
) -> tuple[Sequence[Answer], str | None]:
    """The page, and the cursor of the next one."""
    if len(found) <= limit or limit < 1:
        return found[: max(limit, 0)], None
    at, name = key(found[limit - 1])
    return found[:limit], f"{micros(at)}.{name}"


def named(query: Select[Any], column: Any, name: str) -> Select[Any]:
    """Whatever begins with the name; five are enough to say that it is ambiguous."""
    return query.where(column >= name, column < name + _LAST).order_by(column).limit(5)


def only(found: Sequence[Answer], name: str, key: Callable[[Answer], str], noun: str, hint: str) -> Answer:
    """The one thing that is meant. NotFound; RequestError when there are several."""
    exact = [each for each in found if key(each) == name]
    if exact:
        return exact[0]
    if not found or not name:
        raise NotFound(f"There is no {noun} '{name[:80]}'; {hint}.")
    if len(found) > 1:
        names = ", ".join(key(each) for each in found)
        raise RequestError(f"'{name[:80]}' begins the name of more than one {noun}: {names}. Give more of it.")
    return found[0]
