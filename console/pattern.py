"""Regular expressions that people type, so bounded that none of them can make the console stand still.

Law: three bounds. What repeats a repetition or refers back is refused with a sentence. Of a text only its beginning
is looked at. And in the main thread, where Python's matcher heeds signals, a search that takes longer than a moment
is broken off: the expression is given up and said so. A plain text needs none of this.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from re import _constants, _parser  # type: ignore[attr-defined]  # typeshed does not know them
from types import FrameType
from typing import Any, TypeVar

from engine.model.errors import RequestError

T = TypeVar("T")
MOST_TEXT = 4_000  # characters of a text that are looked at
_LONGEST = 200  # characters of an expression
_SECONDS = 0.1  # one search may take
_MOST_LOOSE = 8  # places of an expression that may match in several ways

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_REFERENCES = (_constants.GROUPREF, _constants.GROUPREF_EXISTS)


class TooSlow(Exception):
    """A search took longer than a moment."""


class Pattern:
    """What is searched for. `search` and `spans` never take long; `trouble` says when they gave up."""

    def __init__(self, text: str, *, plain: bool = False, complain: Callable[[str], None] | None = None) -> None:
        self.text = text
        self.plain = plain
        self.trouble = ""
        self._complain = complain
        self._found = re.compile(re.escape(text), re.IGNORECASE) if plain else _compiled(text)

    def search(self, text: str) -> bool:
        """Whether it occurs; of one that was given up, everywhere: it must not hide what it could not judge."""
        return self._bounded(lambda: self._found.search(text, 0, MOST_TEXT) is not None, True)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it occurs."""
        return self._bounded(lambda: [each.span() for each in self._found.finditer(text, 0, MOST_TEXT)], [])

    def _bounded(self, look: Callable[[], T], otherwise: T) -> T:
        if self.plain:
            return look()
        if self.trouble:
            return otherwise
        try:
            with _moment():
                return look()
        except TooSlow:
            self.trouble = f"/{self.text[:40]}/ takes too long on what is there, and was given up; make it simpler."
            if self._complain is not None:
                self._complain(self.trouble)
            return otherwise


def _compiled(text: str) -> re.Pattern[str]:
    """RequestError says what is wrong with it."""
    if len(text) > _LONGEST:
        raise RequestError(f"A regular expression may have {_LONGEST} characters.")
    try:
        found, tree = re.compile(text, re.IGNORECASE), _parser.parse(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise RequestError(f"/{text[:40]}/ is no regular expression: {error}.") from error
    kinds = list(_loose(tree, inside=False))
    if True in kinds or len(kinds) > _MOST_LOOSE:
        what = "repeats what already varies" if True in kinds else f"varies in more than {_MOST_LOOSE} places"
        raise RequestError(f"/{text[:40]}/ {what}, which can take for ever; write it more simply.")
    return found


def _loose(tree: Any, *, inside: bool) -> Iterator[bool]:
    """For each part that may match in several ways, whether it can take for ever: within a repetition."""
    for name, value in tree:
        if name in _REFERENCES:
            yield True
        elif name in _REPEATS:
            if value[0] != value[1]:
                yield inside
            yield from _loose(value[2], inside=inside or value[1] > 1)
        else:
            if name is _constants.BRANCH and inside:
                yield True
            for part in _parts(value):
                yield from _loose(part, inside=inside)


def _parts(value: Any) -> Iterator[Any]:
    """Expressions within one: of groups, branches, assertions."""
    for each in value if isinstance(value, tuple | list) else ():
        if isinstance(each, _parser.SubPattern):
            yield each
        elif isinstance(each, tuple | list):
            yield from _parts(each)


@contextmanager
def _moment() -> Iterator[None]:
    """An alarm while the block runs. Only the main thread hears it; elsewhere the other bounds have to do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooSlow
