"""Patterns in logs that are worth a look: gaps in time, repeated errors, errors without a stack trace, attempts
that got slower, states that contradict each other (LOG-06).

Law: pure, one pass over the lines; memory grows with the attempts, never with the lines: gaps and kinds of errors
are bounded. A pattern is a hint with its evidence, never a verdict.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from engine.rules.fingerprint import normalised

ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL"})
TRACES = ("Traceback (most recent call last)", "Caused by:", "\tat ", "goroutine ", "panic:", "stack backtrace:")
REPEATED = 3  # of the same error, from then on it is told
SLOWER = 2.0  # times the median of the history
SLOWER_BY = 5.0  # and so many seconds at least
TOLERANCE = timedelta(seconds=5)  # between what an attempt writes and what the engine notes
MOST_GAPS = 20
MOST_KINDS = 500
Key = tuple[str, int | None, int]  # task, map index, attempt


class PatternKind(StrEnum):
    """What was seen."""

    GAP = "gap"
    REPEATED = "repeated_error"
    NO_TRACE = "error_without_trace"
    SLOWER = "slower"
    INCONSISTENT = "inconsistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line of one attempt's log."""

    key: Key
    at: datetime
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What is recorded of an attempt."""

    key: Key
    state: str
    started_at: datetime
    ended_at: datetime | None = None
    failed: bool = False
    traced: bool = False  # its stored error has a stack trace
    has_error: bool = False
    usual_seconds: float | None = None  # the median of the task's successes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One thing to look at; without a key it is of the whole run."""

    kind: PatternKind
    sentence: str
    key: Key | None
    at: datetime
    count: int = 1


@dataclass(slots=True)
class _Told:
    """What the lines of one attempt came to."""

    last: datetime | None = None
    back: datetime | None = None  # first line that is older than the one before it
    errors: int = 0
    first_error: datetime | None = None
    traced: bool = False


@dataclass(slots=True)
class _Kind:
    text: str
    key: Key
    at: datetime
    count: int = 0
    keys: set[Key] = field(default_factory=set)


class Watcher:
    """Takes lines as they come, those of one attempt in their order."""

    def __init__(self, gap: timedelta) -> None:
        self._gap = gap
        self._told: dict[Key, _Told] = {}
        self._kinds: dict[str, _Kind] = {}
        self._gaps: list[tuple[timedelta, int, Key, datetime]] = []
        self._lines = 0

    def see(self, line: Said) -> None:
        """One line."""
        self._lines += 1
        told = self._told.setdefault(line.key, _Told())
        self._see_time(line, told)
        told.traced = told.traced or any(mark in line.text for mark in TRACES)
        if line.level.upper() in ERRORS:
            told.errors += 1
            told.first_error = told.first_error or line.at
            self._see_error(line)

    def _see_time(self, line: Said, told: _Told) -> None:
        last = told.last
        if last is not None and line.at - last >= self._gap:
            entry = (line.at - last, -self._lines, line.key, last)
            (heapq.heappush if len(self._gaps) < MOST_GAPS else heapq.heappushpop)(self._gaps, entry)
        if last is not None and last - line.at > TOLERANCE and told.back is None:
            told.back = line.at
        told.last = line.at if last is None else max(last, line.at)

    def _see_error(self, line: Said) -> None:
        name = normalised(line.text)
        if name not in self._kinds and len(self._kinds) >= MOST_KINDS:
            return
        kind = self._kinds.setdefault(name, _Kind(line.text, line.key, line.at))
        kind.count += 1
        if len(kind.keys) < MOST_KINDS:
            kind.keys.add(line.key)

    def patterns(self, tried: Iterable[Tried], run_ended: datetime | None, now: datetime) -> list[Pattern]:
        """Everything worth a look, in order of time."""
        found = [*self._gap_patterns(), *self._repeated()]
        for each in tried:
            told = self._told.get(each.key, _Told())
            found += _traces(each, told)
            found += _slower(each, now)
            found += _inconsistent(each, told, run_ended)
        return sorted(found, key=lambda one: (one.at, one.kind.value, one.sentence))

    def _gap_patterns(self) -> list[Pattern]:
        return [
            Pattern(kind=PatternKind.GAP, sentence=f"It said nothing for {_long(length)}.", key=key, at=begin)
            for length, _, key, begin in self._gaps
        ]

    def _repeated(self) -> list[Pattern]:
        return [
            Pattern(
                kind=PatternKind.REPEATED,
                sentence=f"The same error {each.count} times in {len(each.keys)} attempt(s): {_short(each.text)}",
                key=each.key if len(each.keys) == 1 else None,
                at=each.at,
                count=each.count,
            )
            for each in self._kinds.values()
            if each.count >= REPEATED
        ]


def watched(lines: Iterable[Said], tried: Sequence[Tried], *, gap: timedelta, ended: datetime | None,
            now: datetime) -> list[Pattern]:  # fmt: skip
    """All at once."""
    watcher = Watcher(gap)
    for line in lines:
        watcher.see(line)
    return watcher.patterns(tried, ended, now)


def _traces(tried: Tried, told: _Told) -> list[Pattern]:
    if told.traced or tried.traced or not (tried.failed or told.errors):
        return []
    at = told.first_error or tried.ended_at or tried.started_at
    said = f"{told.errors} error(s) were logged" if told.errors else "It failed"
    sentence = f"{said}, and there is no stack trace."
    return [Pattern(kind=PatternKind.NO_TRACE, sentence=sentence, key=tried.key, at=at, count=max(1, told.errors))]


def _slower(tried: Tried, now: datetime) -> list[Pattern]:
    usual = tried.usual_seconds
    if usual is None:
        return []
    took = ((tried.ended_at or now) - tried.started_at).total_seconds()
    if took < max(usual * SLOWER, usual + SLOWER_BY):
        return []
    is_over = tried.ended_at is not None
    times = f", {took / usual:.1f} times as long" if usual > 0 else ""
    took_so_long = f"It {'took' if is_over else 'has been running for'} {_long(timedelta(seconds=took))}{times}"
    sentence = f"{took_so_long}; the median of its successes is {_long(timedelta(seconds=usual))}."
    return [Pattern(kind=PatternKind.SLOWER, sentence=sentence, key=tried.key, at=tried.started_at)]


def _inconsistent(tried: Tried, told: _Told, run_ended: datetime | None) -> list[Pattern]:
    found: list[tuple[datetime, str]] = []
    ended = tried.ended_at
    if tried.state == "SUCCESS" and told.errors:
        found.append((told.first_error or tried.started_at, f"It succeeded, yet logged {told.errors} error(s)."))
    if tried.failed and not tried.has_error:
        found.append((ended or tried.started_at, "It failed, yet no error is stored."))
    if ended is None and run_ended is not None:
        found.append((run_ended, f"Its run has ended, yet it is {tried.state}."))
    if ended is not None and told.last is not None and told.last - ended > TOLERANCE:
        found.append((told.last, f"It wrote {_long(told.last - ended)} after it had ended."))
    if told.back is not None:
        found.append((told.back, "Its lines go back in time; the clock was set, or several processes write."))
    return [Pattern(kind=PatternKind.INCONSISTENT, sentence=text, key=tried.key, at=at) for at, text in found]


def _long(length: timedelta) -> str:
    seconds = length.total_seconds()
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _short(text: str) -> str:
    words = " ".join(text[:400].split())
    return words if len(words) <= 160 else words[:159] + "…"
