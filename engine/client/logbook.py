"""Logs of a run's attempts, merged and followed.

Law: lines of one attempt stay in their order; attempts are merged by time. Nothing is read into memory whole.
Reading starts nothing and waits for nobody: `Follower.poll` gives what there is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from engine.client.names import executions_named
from engine.model.errors import NotFound
from engine.model.run import Attempt, PipelineRun
from engine.ports.logs import LogLine, LogReader
from engine.ports.queries import Queries

_Open = tuple[datetime, int, LogLine, Iterator[LogLine]]  # an open log: its next line, and the rest


def sources(
    queries: Queries, run: PipelineRun, *, task: str | None = None, attempt: int | None = None
) -> list[Attempt]:
    """The attempts whose logs are meant. NotFound when the task or the attempt is not there."""
    attempts = list(queries.attempts(run.run_id))
    if task is not None:
        named = executions_named(task, run.run_id, queries.executions(run.run_id))
        wanted = {(each.task_id, each.map_index) for each in named}
        attempts = [each for each in attempts if (each.task_id, each.map_index) in wanted]
    if attempt is not None:
        numbers = sorted({each.number for each in attempts})
        attempts = [each for each in attempts if each.number == attempt]
        if not attempts:
            has = f"there are attempts {numbers[0]} to {numbers[-1]}" if numbers else "nothing was tried yet"
            raise NotFound(f"Run {run.run_id} has no attempt {attempt} of {task or 'any task'}; {has}.")
    return [each for each in attempts if each.log]


def merged(reader: LogReader, attempts: Sequence[Attempt], *, grep: str | None = None) -> Iterator[LogLine]:
    """Every line, oldest first. A log is opened when its attempt's time has come: ten thousand need no more
    handles than ran at once."""
    return _in_time(attempts, lambda attempt: _lines(reader, attempt, after=0, grep=grep))


class Follower:
    """Remembers how far each attempt's log was read, and which will not grow any more.

    With `last`, a log that is new to it is not read from its beginning, but from so many lines before its end.
    """

    def __init__(self, reader: LogReader, *, grep: str | None = None, last: int | None = None) -> None:
        self._reader = reader
        self._grep = grep
        self._last = last
        self._read: dict[str, int] = {}
        self._complete: set[str] = set()

    def poll(self, attempts: Iterable[Attempt]) -> Iterator[LogLine]:
        """What was written since the last poll."""
        growing = [each for each in attempts if each.log and each.token not in self._complete]
        yield from _in_time(growing, self._new)
        self._complete |= {each.token for each in growing if each.completed_at is not None}

    def _new(self, attempt: Attempt) -> Iterator[LogLine]:
        log = attempt.log or ""
        if self._last is not None and log not in self._read:
            found: Iterator[LogLine] = _of(attempt, self._reader.tail(log, self._last))
        else:
            found = _lines(self._reader, attempt, after=self._read.get(log, 0), grep=self._grep)
        for line in found:
            self._read[log] = line.seq or self._read.get(log, 0)  # a damaged line has no number
            yield line


def _in_time(attempts: Sequence[Attempt], lines: Callable[[Attempt], Iterator[LogLine]]) -> Iterator[LogLine]:
    """Lines of several attempts by time; no line is older than the submission of its attempt."""
    coming = sorted(attempts, key=lambda each: each.submitted_at, reverse=True)
    heap: list[_Open] = []
    opened = 0
    while coming or heap:
        while coming and (not heap or coming[-1].submitted_at <= heap[0][0]):
            opened += 1
            _push(heap, opened, lines(coming.pop()))
        if heap:
            _, number, line, rest = heapq.heappop(heap)
            yield line
            _push(heap, number, rest)


def _push(heap: list[_Open], number: int, rest: Iterator[LogLine]) -> None:
    line = next(rest, None)
    if line is not None:
        heapq.heappush(heap, (line.at, number, line, rest))


def _lines(reader: LogReader, attempt: Attempt, *, after: int, grep: str | None) -> Iterator[LogLine]:
    return _of(attempt, reader.lines(attempt.log or "", after=after, grep=grep))


def _of(attempt: Attempt, lines: Iterable[LogLine]) -> Iterator[LogLine]:
    task_id, index, number = attempt.task_id, attempt.map_index, attempt.number
    for line in lines:
        if line.attempt == number and line.map_index == index and line.task_id == task_id:
            yield line  # as the file's name says, and so nearly always
        else:
            yield LogLine(  # `replace` takes three times as long
                seq=line.seq,
                at=line.at,
                stream=line.stream,
                level=line.level,
                text=line.text,
                task_id=task_id,
                map_index=index,
                attempt=number,
            )
