"""What is wrong with a file, gathered: every problem with its place, and the near spelling where there is one.

Law: gathering never stops at the first problem, and nothing here grows with a hostile value: at most 80
characters of a value are quoted, at most 1,000 problems are kept, and the search for near spellings has a
budget.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from engine.model.errors import Problem

Path = tuple[str | int, ...]

QUOTED = 80
MOST = 1_000
_LONGEST_NAME = 100
_COMPARISONS = 50_000
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def spell(path: Sequence[str | int]) -> str:
    """A path as people write it: tasks[2].config.command."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quote(step)}]"
    return text


def printable(text: str) -> str:
    """Text without control, direction and lone surrogate characters, which are spelled out."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def quote(value: Any) -> str:
    """A value in a message: its beginning if it is short, its kind if it is a structure."""
    if isinstance(value, str):
        cut = value if len(value) <= QUOTED else value[: QUOTED - 1] + "…"
        return f"'{printable(cut)}'"
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:QUOTED]


def kind(value: Any) -> str:
    """The JSON type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a mapping" if isinstance(value, Mapping) else "a list"


class Speller:
    """Near spellings, until so many names have been compared that a hostile file would notice."""

    def __init__(self) -> None:
        self._left = _COMPARISONS

    def near(self, name: Any, known: Iterable[str]) -> str | None:
        """The known name that was probably meant."""
        if not isinstance(name, str) or not name or len(name) > _LONGEST_NAME:
            return None
        if self._left <= 0:
            return None
        candidates = [other for other in known if len(other) <= _LONGEST_NAME and other != name]
        if len(candidates) > self._left:
            return None
        self._left -= len(candidates)
        folded: dict[str, str] = {}
        for other in candidates:
            folded.setdefault(other.lower(), other)
        found = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
        return folded[found[0]] if found else None


class Findings:
    """The problems of one definition. `line_of` answers the line of a path, or of the nearest thing around it."""

    def __init__(self, file: str | None = None, line_of: Callable[[Path], int | None] | None = None) -> None:
        self.file = file
        self.speller = Speller()
        self._line_of = line_of or (lambda path: None)
        self._found: list[Problem] = []
        self._seen: set[tuple[str, str]] = set()

    def error(self, path: Path, message: str, suggestion: str | None = None, line: int | None = None) -> None:
        self._add("error", path, message, suggestion, line)

    def warning(self, path: Path, message: str, suggestion: str | None = None) -> None:
        self._add("warning", path, message, suggestion, None)

    def suggest(self, path: Path, message: str, suggestion: str | None = None) -> None:
        self._add("suggestion", path, message, suggestion, None)

    def add(self, problem: Problem, path: Path) -> None:
        """A problem that somebody else found, at this path."""
        self._add(problem.severity, path, problem.message, problem.suggestion, problem.line)

    def unknown(self, path: Path, what: str, name: Any, known: Iterable[str]) -> None:
        """A name that means nothing here, with the one it was probably meant to be."""
        if len(self._found) > MOST:
            return
        names = known if isinstance(known, (dict, frozenset, tuple, list)) else list(known)
        near = self.speller.near(name, names)
        listed = ", ".join(islice(names, 20)) + (", …" if len(names) > 20 else "")
        hint = f"did you mean '{near}'?" if near else f"expected one of: {listed}" if names else "there are none"
        self.error(path, f"{what} {quote(name)} is not known; {hint}", near)

    def problems(self, severity: str) -> tuple[Problem, ...]:
        """Those of one severity, in the order of the file."""
        chosen = [problem for problem in self._found if problem.severity == severity]
        return tuple(sorted(chosen, key=lambda problem: problem.line or 0))

    @property
    def failed(self) -> bool:
        return any(problem.severity == "error" for problem in self._found)

    def _add(self, severity: str, path: Path, message: str, suggestion: str | None, line: int | None) -> None:
        where = spell(path)
        if (where, message) in self._seen or len(self._found) > MOST:
            return
        self._seen.add((where, message))
        if len(self._found) == MOST:
            message, suggestion = f"there are more than {MOST} problems; the rest is not listed", None
        self._found.append(
            Problem(
                severity=severity,
                message=message,
                path=where,
                file=self.file,
                line=line if line is not None else self._line_of(path),
                suggestion=suggestion,
            )
        )
