"""Which files are new: the watermark of an incremental read of files (SRC-13).

    modified (default)   changed since the newest file that was read, looked for a little further back
    name                 beyond the last name, in the order of names
    manifest             not among the files that were read, whatever their time

Law: a file is remembered by name with size, time and tag as long as it could be found again, so looking back never
reads it twice, and one that was rewritten is read anew. The value is a timestamp with what is remembered beside it:
it compares, resets and prints as a time. Memory is bounded: where names have to be forgotten, what is older than
them counts as read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from engine.connectors.files.names import encoded, shown
from engine.connectors.files.place import Entry
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError
from engine.ports.source import Seen, Window
from engine.rules.watermarks import read

WAYS = ("modified", "name", "manifest")
MOST_REMEMBERED = 5_000
MOST_IN_MANIFEST = 20_000
_SECOND = 1_000_000_000


class Newness:
    """One incremental read: what it takes, and where it has come to."""

    def __init__(self, window: Window, entries: Sequence[Entry]) -> None:
        if window.strategy not in (None, Strategy.FILE):
            raise ConfigurationError(
                f"Files are read incrementally by `strategy: file`, not '{window.strategy}'; "
                "rows that are already there are kept apart by `mode: upsert` at the target."
            )
        self.way = window.column or "modified"
        if self.way not in WAYS:
            raise ConfigurationError(
                f"`column: {shown(self.way)}` is no way to tell new files; there are {', '.join(WAYS)}."
            )
        self._window, self._there = window, entries
        after = window.after if isinstance(window.after, Mapping) else {}
        self._known: Mapping[str, Sequence[Any]] = after.get("files") or {}
        self._after = _beginning(self.way, after)
        self._since = int(after.get("since") or 0)
        self.entries = self._taken()

    def _taken(self) -> list[Entry]:
        upto = _beginning(self.way, self._window.upto or {})
        if self.way == "name":
            by_name = sorted(self._there, key=lambda entry: encoded(entry.name))
            return [each for each in by_name if _between(encoded(each.name), self._after, upto)]
        floor = 0 if self.way == "manifest" or self._after is None else max(self._floor(self._after), self._since)
        new = [
            each
            for each in self._there
            if each.mtime_ns >= floor
            and (upto is None or each.mtime_ns <= upto)
            and list(self._known.get(encoded(each.name)) or ()) != _remembered(each)
        ]
        return sorted(new, key=lambda entry: (entry.mtime_ns, entry.name))

    def _floor(self, newest: int) -> int:
        return newest - int(self._window.lookback_seconds * _SECOND)

    def seen(self, done: Sequence[Entry], fingerprint: str) -> Seen:
        """The watermark after these files."""
        value = self._value(done) if done else None
        return Seen(strategy=Strategy.FILE, column=self.way, value=value, fingerprint=fingerprint)

    def _value(self, done: Sequence[Entry]) -> Mapping[str, Any]:
        if self.way == "name":
            return {"type": "string", "value": encoded(done[-1].name)}
        # A file dated in the future must not make later ones look old.
        newest = max(self._after or 0, min(max(each.mtime_ns for each in done), time.time_ns()))
        known = {**self._known, **{encoded(each.name): _remembered(each) for each in done}}
        since = 0
        if self.way == "manifest":
            known = self._still_there(known)
        else:
            since = max(self._since, self._floor(newest))
            known, since = _newest(known, since)
        at = datetime.fromtimestamp(newest // _SECOND, UTC).replace(microsecond=newest % _SECOND // 1000)
        return {"type": "timestamp", "value": at.isoformat(), "since": since, "files": known}

    def _still_there(self, known: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        there = {encoded(each.name) for each in self._there}
        kept = {name: each for name, each in known.items() if name in there}
        if len(kept) > MOST_IN_MANIFEST:
            raise ConfigurationError(
                f"`column: manifest` remembers every file, and {len(kept):,} are too many; move files that were "
                "loaded elsewhere, or read by `column: modified`."
            )
        return kept


def _newest(known: Mapping[str, Sequence[Any]], since: int) -> tuple[dict[str, Sequence[Any]], int]:
    """What has to be remembered from a time on, bounded; what is forgotten counts as read."""
    kept = {name: each for name, each in known.items() if each[1] >= since}
    if len(kept) <= MOST_REMEMBERED:
        return kept, since
    ordered = sorted(kept.items(), key=lambda item: item[1][1], reverse=True)
    since = int(ordered[MOST_REMEMBERED][1][1]) + 1
    return {name: each for name, each in ordered[:MOST_REMEMBERED] if each[1] >= since}, since


def _remembered(entry: Entry) -> list[Any]:
    return [entry.size, entry.mtime_ns, entry.tag]


def _between(name: str, after: Any, upto: Any) -> bool:
    return (after is None or name > after) and (upto is None or name <= upto)


def _beginning(way: str, value: Mapping[str, Any]) -> Any:
    """A watermark's value as names or nanoseconds are compared with it; None from the beginning."""
    given = read(value) if value else None
    if given is None or way == "name":
        return None if given is None else str(given)
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    if isinstance(given, str):
        given = _instant(given)
    if not isinstance(given, datetime):
        raise ConfigurationError(f"A file's time is compared with a timestamp, not with {shown(str(given))}.")
    aware = given if given.tzinfo is not None else given.replace(tzinfo=UTC)
    return int(aware.replace(microsecond=0).timestamp()) * _SECOND + aware.microsecond * 1000


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"'{shown(text)}' is no time; write 2024-01-31T00:00:00Z.") from error


def newest(entries: Iterable[Entry]) -> Mapping[str, Any] | None:
    """The time of the newest file."""
    at = max((entry.mtime_ns for entry in entries), default=None)
    if at is None:
        return None
    instant = datetime.fromtimestamp(at // _SECOND, UTC).replace(microsecond=at % _SECOND // 1000)
    return {"type": "timestamp", "value": instant.isoformat()}
