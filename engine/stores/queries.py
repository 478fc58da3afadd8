"""The state as everybody but the engine reads it.

Law: connections that cannot write, one read transaction per question, and an empty answer where there is no state
yet. Lists are pages: a cursor is the sort key of the last row shown, so rows that arrive meanwhile shift nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, Select, and_, func, or_, select

from engine.model.errors import NotFound, Queue
from engine.model.event import AuditEntry, Event
from engine.model.run import (
    Attempt,
    DeadLetter,
    LetterStatus,
    PipelineRun,
    RunState,
    TaskExecution,
    TaskState,
    Transition,
    Verdict,
)
from engine.ports.queries import Counts, LetterGroup, PipelineStatistics
from engine.ports.store import Checkpoint, DefinitionStatus, PipelineVersion, ScheduleState
from engine.stores import chain, lettergroups, reading
from engine.stores import schema as s
from engine.stores.data_queries import DataQueries
from engine.stores.failure_queries import SqlFailureQueries
from engine.stores.faults import readable
from engine.stores.ledgers import (
    read_broken,
    read_event,
    read_letter,
    read_transition,
    read_verdict,
    read_version,
)
from engine.stores.paging import cut, named, only, page
from engine.stores.records import read_attempt, read_execution, read_run
from engine.stores.statistics import activity, pipeline_statistics, progress
from engine.stores.values import instant, micros

Answer = TypeVar("Answer")


class SqlQueries(DataQueries, SqlFailureQueries, ABC):
    """Queries over SQLAlchemy Core. `_source` and the two ways to notice a change differ by database."""

    def __init__(self, where: str, now: Callable[[], datetime]) -> None:
        self._where = where
        self._now = now

    @abstractmethod
    def _source(self) -> Engine | None:
        """Connections to a state of the right revision; None when there is no state."""

    @abstractmethod
    def changed(self, last: object) -> tuple[bool, object]:
        """As in the port."""

    @abstractmethod
    def wait(self, last: object, seconds: float) -> tuple[bool, object]:
        """As in the port."""

    @abstractmethod
    def stored_bytes(self) -> int | None:
        """As in the port."""

    @abstractmethod
    def close(self) -> None:
        """As in the port."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        with readable(self._where):
            engine = self._source()
            if engine is None:
                yield None
                return
            with engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN").close()
                yield connection

    def _ask(self, ask: Callable[[Connection], Answer], empty: Answer) -> Answer:
        with self._reading() as connection:
            return empty if connection is None else ask(connection)

    def _list(self, query: Select[Any], read: Callable[[Any], Answer]) -> list[Answer]:
        return self._ask(lambda connection: reading.every(connection, query, read), [])

    # ------------------------------------------------------------------------------------- runs

    def runs(
        self,
        *,
        pipeline_id: str | None = None,
        state: RunState | None = None,
        active: bool = False,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[Sequence[PipelineRun], str | None]:
        columns = s.pipeline_runs.c
        query = select(s.pipeline_runs)
        if pipeline_id is not None:
            query = query.where(columns.pipeline_id == pipeline_id)
        if state is not None:
            query = query.where(columns.state == state.value)
        if active:
            query = query.where(columns.state.in_(s.ACTIVE_RUN))
        found = self._list(page(query, columns.triggered_at, columns.run_id, limit, before), read_run)
        return cut(found, limit, lambda run: (run.triggered_at, run.run_id))

    def resolve_run(self, name: str) -> PipelineRun:
        if name == "last" or name.startswith("last:"):
            return self._last_run(name.partition(":")[2])
        columns = s.pipeline_runs.c
        found = self._list(named(select(s.pipeline_runs), columns.run_id, name), read_run)
        return only(found, name, lambda run: run.run_id, "run", "`penstock runs` lists them")

    def _last_run(self, pipeline_id: str) -> PipelineRun:
        found, _ = self.runs(pipeline_id=pipeline_id or None, limit=1)
        if not found:
            of = f" of pipeline '{pipeline_id}'" if pipeline_id else ""
            raise NotFound(f"There is no run{of} yet. Start one with `penstock run PIPELINE`.")
        return found[0]

    def last_success(self, pipeline_id: str, before: datetime | None = None) -> PipelineRun | None:
        columns = s.pipeline_runs.c
        query = select(s.pipeline_runs).where(columns.pipeline_id == pipeline_id, columns.state == "SUCCESS")
        if before is not None:
            query = query.where(columns.triggered_at < micros(before))
        query = query.order_by(columns.triggered_at.desc(), columns.run_id.desc())
        return self._ask(lambda connection: reading.one(connection, query, read_run), None)

    def statistics(self, pipeline_id: str) -> PipelineStatistics:
        none = PipelineStatistics(runs=0, success_rate=None, median_seconds=None, p95_seconds=None, last_states=())
        return self._ask(lambda connection: pipeline_statistics(connection, pipeline_id), none)

    def task_seconds(self, pipeline_id: str) -> Mapping[str, float]:
        return self._ask(lambda connection: reading.median_seconds(connection, pipeline_id), {})

    # ------------------------------------------------------------------------------------- tasks

    def executions(self, run_id: str, *, history: bool = False) -> Sequence[TaskExecution]:
        return self._ask(lambda connection: reading.executions(connection, run_id, history=history), [])

    def attempts(self, run_id: str, task_id: str | None = None) -> Sequence[Attempt]:
        tasks = s.task_executions.c
        join = s.attempts.join(s.task_executions, tasks.execution_id == s.attempts.c.execution_id)
        query = select(s.attempts).select_from(join).where(tasks.run_id == run_id)
        if task_id is not None:
            query = query.where(tasks.task_id == task_id)
        order = (s.attempts.c.submitted_at, s.attempts.c.number, s.attempts.c.token)
        return self._list(query.order_by(*order), read_attempt)

    def transitions(
        self, run_id: str, task_id: str | None = None, limit: int = 1000, *, skip: int = 0
    ) -> Sequence[Transition]:
        columns = s.transitions.c
        query = select(s.transitions).where(columns.run_id == run_id)
        if task_id is not None:
            query = query.where(columns.task_id == task_id)
        return self._list(query.order_by(columns.seq).limit(limit).offset(skip), read_transition)

    def verdicts(self, run_id: str) -> Mapping[str, Verdict]:
        return self._ask(lambda connection: _run_verdicts(connection, run_id), {})

    def live(self) -> Sequence[tuple[TaskExecution, Attempt]]:
        return self._ask(_live, [])

    def queued(self, limit: int = 1000) -> Sequence[tuple[TaskExecution, Verdict | None]]:
        return self._ask(lambda connection: _queued(connection, limit), [])

    def recent_executions(
        self, pipeline_id: str, task_ids: Sequence[str], *, runs: int = 20, limit: int = 500
    ) -> Sequence[TaskExecution]:
        query = reading.recent_executions(pipeline_id, task_ids, runs, limit)
        return self._list(query, read_execution) if task_ids else []

    def checkpoint(self, run_id: str, task_id: str, map_index: int | None) -> Checkpoint | None:
        return self._ask(lambda found: reading.checkpoint(found, run_id, task_id, map_index), None)

    # ------------------------------------------------------------------------------------- letters

    def letters(
        self,
        *,
        queue: Queue | None = None,
        status: LetterStatus | None = None,
        fingerprint: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> tuple[Sequence[DeadLetter], str | None]:
        columns = s.dead_letters.c
        query = select(s.dead_letters).where(s.OPEN if status is None else columns.status == status.value)
        if queue is not None:
            query = query.where(columns.queue == queue.value)
        if fingerprint is not None:
            query = query.where(columns.fingerprint == fingerprint)
        found = self._list(page(query, columns.failed_at, columns.id, limit, before), read_letter)
        return cut(found, limit, lambda letter: (letter.failed_at, letter.id))

    def letter(self, name: str) -> DeadLetter:
        found = self._list(named(select(s.dead_letters), s.dead_letters.c.id, name), read_letter)
        return only(found, name, lambda letter: letter.id, "dead letter", "`penstock dlq` lists them")

    def letter_groups(self, *, queue: Queue | None = None, limit: int = 1000) -> Sequence[LetterGroup]:
        return self._ask(lambda found: lettergroups.letter_groups(found, queue, limit), [])

    def failures_like(self, fingerprint: str) -> Mapping[str, Any]:
        columns = s.dead_letters.c
        query = select(func.min(columns.failed_at), func.max(columns.failed_at), func.count())
        query = query.where(columns.fingerprint == fingerprint)
        nothing: tuple[Any, ...] = (None, None, 0)
        first, last, count = self._ask(lambda found: tuple(found.execute(query).one()), nothing)
        return {
            "first_seen": None if first is None else instant(first),
            "last_seen": None if last is None else instant(last),
            "count": count,
        }

    # ------------------------------------------------------------------------------------- definitions

    def schedules(self) -> Sequence[ScheduleState]:
        return self._ask(reading.schedules, [])

    def versions(self, pipeline_id: str) -> Sequence[PipelineVersion]:
        columns = s.pipeline_versions.c
        query = select(s.pipeline_versions).where(columns.pipeline_id == pipeline_id)
        return self._list(query.order_by(columns.version.desc()), read_version)

    def version(self, pipeline_id: str, version: int) -> PipelineVersion | None:
        return self._ask(lambda connection: reading.version(connection, pipeline_id, version), None)

    def broken_definitions(self) -> Sequence[DefinitionStatus]:
        return self._list(select(s.definition_status).order_by(s.definition_status.c.file), read_broken)

    # ------------------------------------------------------------------------------------- the whole

    def counts(self) -> Counts:
        return self._ask(self._count, Counts(runs={}, tasks={}, letters={}))

    def progress(self, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        return self._ask(lambda connection: progress(connection, run_ids), {})

    def activity(self, since: datetime, seconds: int, count: int) -> Mapping[str, Sequence[int]]:
        return self._ask(lambda connection: activity(connection, since, seconds, count), {})

    def _count(self, connection: Connection) -> Counts:
        runs, tasks, letters = s.pipeline_runs.c, s.task_executions.c, s.dead_letters.c
        recent = runs.triggered_at >= micros(self._now() - timedelta(hours=24))
        active = runs.state.in_(s.ACTIVE_RUN)
        join = s.task_executions.join(s.pipeline_runs, runs.run_id == tasks.run_id)
        of_active = select(tasks.state, func.count()).select_from(join).where(active, tasks.current == 1)
        return Counts(
            runs=_tally(connection, select(runs.state, func.count()).where(or_(active, recent)), runs.state),
            tasks=_tally(connection, of_active, tasks.state),
            letters=_tally(connection, select(letters.queue, func.count()).where(s.OPEN), letters.queue),
        )

    def events(self, after: int, limit: int = 500, run_id: str | None = None) -> Sequence[Event]:
        columns = s.events.c
        query = select(s.events).where(columns.seq > after)
        if run_id is not None:
            query = query.where(columns.run_id == run_id)
        return self._list(query.order_by(columns.seq).limit(limit), read_event)

    def last_seq(self) -> int:
        return self._ask(_last_seq, 0)

    def epoch(self) -> int:
        """The epoch that stands; 0 when no engine ever led."""
        return self._ask(lambda found: found.execute(select(s.leadership.c.epoch)).scalar_one(), 0)

    def snapshot(self, run_id: str) -> tuple[int, PipelineRun, Sequence[TaskExecution], Mapping[str, Verdict]]:
        with self._reading() as connection:
            run = None if connection is None else reading.run(connection, run_id)
            if connection is None or run is None:
                raise _no_run(run_id)
            tasks = reading.executions(connection, run_id, history=False)
            return _last_seq(connection), run, tasks, _run_verdicts(connection, run_id)

    def part(
        self, run_id: str, task_ids: Sequence[str]
    ) -> tuple[PipelineRun, Sequence[TaskExecution], Mapping[str, Verdict], Sequence[Attempt]]:
        found = self._ask(lambda connection: reading.part(connection, run_id, task_ids), None)
        if found is None:
            raise _no_run(run_id)
        return found

    # ------------------------------------------------------------------------------------- audit

    def audit(self, *, limit: int = 100, before: int | None = None) -> Sequence[AuditEntry]:
        query = select(s.audit)
        if before is not None:
            query = query.where(s.audit.c.seq < before)
        return self._list(query.order_by(s.audit.c.seq.desc()).limit(limit), chain.read_entry)

    def verify_audit(self) -> tuple[int, int | None, str]:
        nothing: tuple[int, int | None, str] = (0, None, "No entries yet.")
        return self._ask(_verify_audit, nothing)


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"There is no run '{run_id}'. `penstock runs` lists them.")


def _tally(connection: Connection, query: Select[Any], by: Any) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(query.group_by(by))}


def _last_seq(connection: Connection) -> int:
    found: int = connection.execute(select(s.leadership.c.event_seq)).scalar_one()
    return found


def _run_verdicts(connection: Connection, run_id: str) -> dict[str, Verdict]:
    tasks, columns = s.task_executions.c, s.verdicts.c
    join = s.task_executions.join(s.verdicts, columns.execution_id == tasks.execution_id)
    query = select(s.verdicts).select_from(join).where(tasks.run_id == run_id, columns.until.is_(None))
    return {row.execution_id: read_verdict(row) for row in connection.execute(query)}


def _live(connection: Connection) -> list[tuple[TaskExecution, Attempt]]:
    running = select(s.task_executions).where(s.HELD, s.task_executions.c.state == TaskState.RUNNING.value)
    tasks = {each.execution_id: each for each in reading.every(connection, running, read_execution)}
    query = select(s.attempts).where(s.LIVE).order_by(s.attempts.c.submitted_at, s.attempts.c.token)
    attempts = reading.every(connection, query, read_attempt)
    return [(tasks[each.execution_id], each) for each in attempts if each.execution_id in tasks]


def _queued(connection: Connection, limit: int) -> list[tuple[TaskExecution, Verdict | None]]:
    columns = s.task_executions.c
    waiting = columns.state.in_((TaskState.QUEUED.value, TaskState.RETRYING.value))
    since = func.coalesce(columns.queued_at, columns.created_at)
    query = select(s.task_executions).where(s.HELD, waiting, columns.current == 1)
    tasks = reading.every(connection, query.order_by(since, columns.execution_id).limit(limit), read_execution)
    verdicts = _open_verdicts(connection, [each.execution_id for each in tasks])
    return [(each, verdicts.get(each.execution_id)) for each in tasks]


def _open_verdicts(connection: Connection, execution_ids: Sequence[str]) -> dict[str, Verdict]:
    columns = s.verdicts.c
    found: dict[str, Verdict] = {}
    for some in reading.chunks(execution_ids):
        query = select(s.verdicts).where(and_(columns.execution_id.in_(some), columns.until.is_(None)))
        found.update((row.execution_id, read_verdict(row)) for row in connection.execute(query))
    return found


def _verify_audit(connection: Connection) -> tuple[int, int | None, str]:
    head = connection.execute(select(s.leadership.c.audit_seq, s.leadership.c.audit_hash)).one()
    streaming = connection.execution_options(yield_per=1000)
    with streaming.execute(select(s.audit).order_by(s.audit.c.seq)) as rows:
        return chain.verify(rows, head.audit_seq, head.audit_hash)
