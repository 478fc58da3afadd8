"""What is typed after `/`: words, /regular expressions/, `field:value` with patterns, `since:2h`.

Law: pure. All terms have to hold; a leading `-` turns a term round. What cannot be understood is a sentence,
and a filter that is being typed never hides everything by being half a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from console.pattern import Pattern
from console.present.times import since
from engine.client.names import near
from engine.model.errors import RequestError

Facts = tuple[Mapping[str, str], datetime | None]
"""A record's fields by name, and its time."""

_Term = Callable[[Mapping[str, str], datetime | None], bool]


def parse(
    text: str, fields: Sequence[str], now: datetime, complain: Callable[[str], None] | None = None
) -> Callable[[Facts], bool] | None:
    """A test for records; None for an empty filter. RequestError says what is wrong.

    `complain` is told when an expression had to be given up while it was used.
    """
    terms = [_term(each, fields, now, complain) for each in _split(text)]
    if not terms:
        return None
    return lambda facts: all(term(*facts) for term in terms)


def _split(text: str) -> list[str]:
    """Words; a /pattern with blanks/ is one."""
    return re.findall(r"-?/(?:[^/\\]|\\.)*/?|\S+", text)


def _term(word: str, fields: Sequence[str], now: datetime, complain: Callable[[str], None] | None = None) -> _Term:
    if word.startswith("-") and len(word) > 1:
        inner = _term(word[1:], fields, now, complain)
        return lambda values, at: not inner(values, at)
    if word.startswith("/"):
        return _pattern(word, complain)
    name, colon, value = word.partition(":")
    if not colon or not name.isidentifier():
        folded = word.casefold()
        return lambda values, at: any(folded in each.casefold() for each in values.values())
    if name == "since":
        return _since(value, now)
    if name not in fields:
        raise RequestError(f"There is no field '{name}'.{near(name, fields)} There are {', '.join(fields)}, since.")
    return _field(name, value)


def _pattern(word: str, complain: Callable[[str], None] | None) -> _Term:
    text = word[1:-1] if len(word) > 1 and word.endswith("/") else word[1:]
    found = Pattern(text, complain=complain)
    return lambda values, at: any(found.search(each) for each in values.values())


def _since(value: str, now: datetime) -> _Term:
    if not value:
        return lambda values, at: True
    length = since(value)
    if length is None:
        raise RequestError("since: takes 30s, 10m, 2h, 3d or 1w.")
    start = now - length
    return lambda values, at: at is not None and at >= start


def _field(name: str, value: str) -> _Term:
    wanted = [each.casefold() for each in value.split(",") if each]
    if not wanted:
        return lambda values, at: True

    def holds(values: Mapping[str, str], at: datetime | None) -> bool:
        has = values.get(name, "").casefold()
        return any(fnmatchcase(has, each) if "*" in each else has.startswith(each) for each in wanted)

    return holds
