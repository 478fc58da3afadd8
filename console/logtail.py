"""Reads the logs of a run for a view: the end first, then everything, then what is added; or the end alone.

Law: called from threads, by one at a time. A reading of everything goes on where it stopped, so a million lines
never keep anybody waiting; what is read is handed over as records and never kept here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from console.widgets.logstore import LogRecord, LogStore
from engine.client.logbook import Follower
from engine.client.names import executions_named, label
from engine.client.values import LogLine
from engine.model.errors import NotFound
from engine.model.run import Attempt, PipelineRun

if TYPE_CHECKING:
    from engine.client import Client

CHUNK = 20_000  # lines of one reading
_END = 1_000  # lines shown at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one reading found. `whole`: nothing more was there; `ended`: nothing more will come."""

    records: list[LogRecord]
    whole: bool
    ended: bool


class Tail(Protocol):
    """What is written, one reading after the other."""

    def more(self, client: Client, into: LogStore | None = None) -> Read:
        """The next lines; put `into` a store right here, while nobody else looks at it."""


class _Chunks:
    """What was written, a bounded number of lines at a time."""

    def __init__(self, *, last: int | None = None) -> None:
        self._last = last
        self._follower: Follower | None = None
        self._stream: Iterator[LogLine] | None = None

    def following(self, client: Client, attempts: Callable[[], Sequence[Attempt]]) -> tuple[list[LogRecord], bool]:
        """The next lines, and whether those were all; the attempts are asked for when all before was read."""
        if self._stream is None:
            self._follower = self._follower or Follower(client.logs, last=self._last)
            self._stream = iter(self._follower.poll(attempts()))
        records = [_record(line) for line in islice(self._stream, CHUNK)]
        whole = len(records) < CHUNK
        if whole:
            self._stream = None
        return records, whole


class LogTail:
    """One run, or one task of it."""

    def __init__(self, run_id: str, task: str | None) -> None:
        self._run_id = run_id
        self._task = task
        self._chunks = _Chunks()

    def end(self, client: Client) -> list[LogRecord]:
        """The last lines, without reading the rest."""
        sources = self._sources(client, client.run(self._run_id))
        found = [client.logs.tail(each.log or "", _END) for each in sources]
        merged = heapq.merge(*found, key=lambda line: line.at)
        return [_record(line) for line in merged][-_END:]

    def more(self, client: Client, into: LogStore | None = None) -> Read:
        """The next lines from the beginning on."""
        run = client.run(self._run_id)
        ended = self._over(client, run)
        records, whole = self._chunks.following(client, lambda: self._sources(client, run))
        return _read(records, into, whole=whole, ended=ended)

    def _over(self, client: Client, run: PipelineRun) -> bool:
        """Asked before reading: what is written after the end was seen cannot be missed."""
        if self._task is None:
            return run.state.terminal
        executions = client.queries.executions(run.run_id)
        return all(each.state.terminal for each in executions_named(self._task, run.run_id, executions))

    def _sources(self, client: Client, run: PipelineRun) -> list[Attempt]:
        try:
            return list(client.log_sources(run, self._task, None))
        except NotFound:  # the task is not there yet
            return []


class TaskTail:
    """A task whose run somebody reads anyway: asks the store nothing, and begins near the end of each attempt."""

    def __init__(self) -> None:
        self._chunks = _Chunks(last=_END)
        self._attempts: dict[str, Attempt] = {}

    def note(self, attempts: Iterable[Attempt]) -> bool:
        """Attempts as they are now, besides those known before; whether there may be more to read."""
        before = self._attempts
        self._attempts = {**before, **{each.token: each for each in attempts}}
        return any(
            token not in before or before[token].completed_at != each.completed_at
            for token, each in self._attempts.items()
        )

    def more(self, client: Client, into: LogStore | None = None) -> Read:
        """What was written meanwhile. `ended`: nothing more will come before an attempt is noted that begins."""
        attempts = list(self._attempts.values())
        records, whole = self._chunks.following(client, lambda: attempts)
        return _read(records, into, whole=whole, ended=all(each.completed_at is not None for each in attempts))


def _read(records: list[LogRecord], into: LogStore | None, *, whole: bool, ended: bool) -> Read:
    if into is not None:
        into.add(records)
    return Read(records=records if into is None else [], whole=whole, ended=ended and whole)


def _record(line: LogLine) -> LogRecord:
    name = label(line.task_id, line.map_index)
    return LogRecord(line.at.timestamp(), line.level, line.stream, name, line.attempt, line.text)
