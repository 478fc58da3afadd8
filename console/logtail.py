"""Reads the logs of a run for a view: the end first, then everything, then what is added.

Law: called from threads, by one at a time. A reading of everything goes on where it stopped, so a million lines
never keep anybody waiting; what is read is handed over as records and never kept here.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

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


class LogTail:
    """One run, or one task of it."""

    def __init__(self, run_id: str, task: str | None) -> None:
        self._run_id = run_id
        self._task = task
        self._follower: Follower | None = None
        self._stream: Iterator[LogLine] | None = None

    def end(self, client: Client) -> list[LogRecord]:
        """The last lines, without reading the rest."""
        sources = self._sources(client, client.run(self._run_id))
        found = [client.logs.tail(each.log or "", _END) for each in sources]
        merged = heapq.merge(*found, key=lambda line: line.at)
        return [_record(line) for line in merged][-_END:]

    def more(self, client: Client, into: LogStore | None = None) -> Read:
        """The next lines from the beginning on; put `into` a store right here, while nobody else looks at it."""
        run = client.run(self._run_id)
        ended = self._over(client, run)
        if self._stream is None:
            self._follower = self._follower or Follower(client.logs)
            self._stream = iter(self._follower.poll(self._sources(client, run)))
        records = [_record(line) for line in islice(self._stream, CHUNK)]
        whole = len(records) < CHUNK
        if whole:
            self._stream = None
        if into is not None:
            into.add(records)
        return Read(records=records if into is None else [], whole=whole, ended=ended and whole)

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


def _record(line: LogLine) -> LogRecord:
    name = label(line.task_id, line.map_index)
    return LogRecord(line.at.timestamp(), line.level, line.stream, name, line.attempt, line.text)
