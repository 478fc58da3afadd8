"""Attempt logs as readers see them: one JSON-lines file per attempt, sequence numbers, bytes kept.

Each line of a file: {"seq": n, "at": ISO, "stream": "stdout|stderr|log|engine", "level": "INFO", "text": "..."}
("b64" instead of "text" where the bytes are not UTF-8). Two keys are there only when they say something:
"logger" (of a `logging` record) and "more": true (the line was cut at 64 KiB and goes on in the next one of its
stream).

A log that outgrows its cap is up to four files, read in this order: `<log>` (the first half), `<log>.gap` (one
line: how much is missing; made when something is), `<log>.old` and `<log>.new` (the last half; when .new is full
it becomes .old, and the .old before it is lost). Sequence numbers rise through all of them and name a line for
good. After a disk was full a line may be torn; the next one then begins on a new line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line as stored; `text` may hold hostile bytes, sanitise before a terminal sees it."""

    seq: int
    at: datetime
    stream: str
    level: str
    text: str
    task_id: str = ""
    map_index: int | None = None
    attempt: int = 0


class LogReader(Protocol):
    """Reads below the logs folder only."""

    def lines(self, log: str, *, after: int = 0, grep: str | None = None) -> Iterator[LogLine]:
        """Lines of one attempt's log with seq > after, streaming; empty when there is no file (yet)."""

    def tail(self, log: str, count: int) -> list[LogLine]:
        """The last lines, without reading the whole file; `lines` after the last of them does not either."""

    def delete_run(self, run_id: str) -> int:
        """Remove a run's logs; bytes freed."""

    def used_bytes(self) -> int:
        """Size of all logs."""
