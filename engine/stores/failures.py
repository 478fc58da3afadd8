"""Failures and how work went, as selections: rows of failed attempts, sums by error type, days, tries, waits.

Law: a question about a stretch of time walks an index of that time (`attempts_failed`, `runs_by_time`), one about a
run walks that run's executions; nothing here reads a table whole. Error types are read from the stored error, of
which nothing else is loaded for a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, literal, select

from engine.model.run import PipelineRun, TaskState
from engine.ports.failures import Day, Failure, FailureGroup, TaskTries, Wait
from engine.stores import reading
from engine.stores import schema as s
from engine.stores.ledgers import read_verdict
from engine.stores.paging import page
from engine.stores.records import read_attempt, read_run
from engine.stores.values import instant, instant_or_none, micros

_DAY = 86_400_000_000
_LONGEST = timedelta(days=1)
_MOST_RUNS = 2_000  # of the last, whose tasks' tries are counted
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which failures are meant."""

    since: datetime | None = None
    run_id: str | None = None
    task_id: str | None = None
    pipeline_id: str | None = None
    error_type: str | None = None
    retried: bool = False


def failures(connection: Connection, asked: Asked, limit: int, before: str | None) -> list[Failure]:
    """One more than asked for, newest first: whether there is another page."""
    columns = s.attempts.c
    query = page(_failed(connection, asked, *_shown()), columns.completed_at, columns.token, limit, before)
    return reading.every(connection, query, _failure)


def failure_groups(connection: Connection, asked: Asked, limit: int) -> list[FailureGroup]:
    """Sums by error type and kind, and the newest of each."""
    columns, tasks = s.attempts.c, s.task_executions.c
    kind, name = _said(connection, "kind").label("kind"), _said(connection, "type").label("error_type")
    recovered = case((tasks.state == TaskState.SUCCESS.value, columns.execution_id), else_=None)
    sums = (
        name,
        kind,
        func.count().label("many"),
        func.count(columns.execution_id.distinct()).label("tasks"),
        func.count(recovered.distinct()).label("recovered"),
        func.count(tasks.run_id.distinct()).label("runs"),
        func.min(columns.completed_at).label("first"),
        func.max(columns.completed_at).label("last"),
    )
    query = _failed(connection, asked, *sums).group_by("error_type", "kind")
    rows = connection.execute(query.order_by(func.count().desc(), name, kind).limit(limit)).all()
    newest = _newest(connection, asked, [row.last for row in rows])
    return [
        FailureGroup(
            error_type=row.error_type,
            kind=row.kind,
            count=row.many,
            tasks=row.tasks,
            recovered=row.recovered,
            runs=row.runs,
            first_at=instant(row.first),
            last_at=instant(row.last),
            newest=newest.get((row.error_type, row.kind, row.last)) or newest["", "", row.last],
        )
        for row in rows
    ]


def _newest(connection: Connection, asked: Asked, moments: Sequence[int]) -> dict[tuple[str, str, int], Failure]:
    """The failures of these very moments, one for each type."""
    found: dict[tuple[str, str, int], Failure] = {}
    for moment in dict.fromkeys(moments):
        query = _failed(connection, asked, *_shown()).where(s.attempts.c.completed_at == moment)
        for each in reading.every(connection, query.order_by(s.attempts.c.token), _failure):
            error = each.attempt.error
            found.setdefault(("", "", moment), each)  # a type may read otherwise in a sum: NUL is no text there
            if error is not None:
                found[error.type, error.kind.value, moment] = each
    return found


def _shown() -> tuple[Any, ...]:
    tasks = s.task_executions.c
    return s.attempts, tasks.pipeline_id, tasks.state.label("task_state"), tasks.attempt_count


def _failed(connection: Connection, asked: Asked, *wanted: Any) -> Select[Any]:
    """Failed attempts with their executions, as far as they are meant."""
    columns, tasks = s.attempts.c, s.task_executions.c
    join = s.attempts.join(s.task_executions, tasks.execution_id == columns.execution_id)
    query = select(*wanted).select_from(join)
    query = query.where(s.FAILED_ATTEMPT, columns.error.is_not(None), columns.completed_at.is_not(None))
    if asked.since is not None:
        query = query.where(columns.completed_at >= micros(asked.since))
    if asked.run_id is not None:
        query = query.where(tasks.run_id == asked.run_id)
    if asked.task_id is not None:
        query = query.where(tasks.task_id == asked.task_id)
    if asked.pipeline_id is not None:
        query = query.where(tasks.pipeline_id == asked.pipeline_id)
    if asked.error_type is not None:
        query = query.where(_said(connection, "type") == asked.error_type)
    return query.where(tasks.attempt_count > 1) if asked.retried else query


def _said(connection: Connection, key: str) -> Any:
    """A word of the stored error."""
    if connection.dialect.name == "sqlite":
        return func.json_extract(s.attempts.c.error, f"$.{key}")
    # A NUL inside any string would be refused by ->>; written this way it is none, however it was escaped.
    text = func.replace(s.attempts.c.error, literal("\\u0000"), literal("\\ufffd"))
    return func.json_extract_path_text(_json(text), key)


def _json(text: Any) -> Any:
    from sqlalchemy import JSON, cast  # only where the server speaks it

    return cast(text, JSON)


def _failure(row: Any) -> Failure:
    return Failure(
        attempt=read_attempt(row),
        pipeline_id=row.pipeline_id,
        task_state=TaskState(row.task_state),
        tries=row.attempt_count,
    )


def days(connection: Connection, since: datetime, pipeline_id: str | None, limit: int) -> list[Day]:
    """Ended runs by UTC day and state."""
    columns = s.pipeline_runs.c
    day = (columns.completed_at // _DAY).label("day")
    query = select(day, columns.state, func.count().label("many")).where(
        columns.triggered_at >= micros(since - _LONGEST), columns.completed_at >= micros(since)
    )
    if pipeline_id is not None:
        query = query.where(columns.pipeline_id == pipeline_id)
    found: dict[int, dict[str, int]] = {}
    for row in connection.execute(query.group_by("day", columns.state)):
        found.setdefault(int(row.day), {})[row.state] = row.many
    return [
        Day(
            day=_EPOCH + timedelta(days=number),
            succeeded=states.get("SUCCESS", 0),
            failed=states.get("FAILED", 0),
            cancelled=states.get("CANCELLED", 0),
        )
        for number, states in sorted(found.items())[-limit:]
    ]


def task_tries(
    connection: Connection, since: datetime, pipeline_id: str | None, limit: int
) -> tuple[list[TaskTries], int]:
    """Of the last runs since then."""
    runs, tasks = s.pipeline_runs.c, s.task_executions.c
    newest = select(runs.run_id).where(runs.triggered_at >= micros(since))
    if pipeline_id is not None:
        newest = newest.where(runs.pipeline_id == pipeline_id)
    last = newest.order_by(runs.triggered_at.desc(), runs.run_id.desc()).limit(_MOST_RUNS).subquery()
    again = and_(tasks.state == TaskState.SUCCESS.value, tasks.attempt_count > 1)
    executions, tries = func.count().label("executions"), func.sum(tasks.attempt_count).label("attempts")
    query = (
        select(
            tasks.pipeline_id, tasks.task_id, executions, tries,
            func.max(tasks.attempt_count).label("most"),
            func.sum(case((again, 1), else_=0)).label("recovered"),
            func.sum(case((tasks.state == TaskState.FAILED.value, 1), else_=0)).label("failed"),
        )
        .select_from(s.task_executions.join(last, last.c.run_id == tasks.run_id))
        .where(tasks.attempt_count > 0)
        .group_by(tasks.pipeline_id, tasks.task_id)
        .order_by((func.sum(tasks.attempt_count) - func.count()).desc(), tasks.pipeline_id, tasks.task_id)
        .limit(limit)
    )  # fmt: skip
    looked_at: int = connection.execute(select(func.count()).select_from(last)).scalar_one()
    names = ("pipeline_id", "task_id", "executions", "attempts", "most", "recovered", "failed")
    rows = connection.execute(query)
    return [TaskTries(**{name: _plain(getattr(row, name)) for name in names}) for row in rows], looked_at


def _plain(value: Any) -> Any:
    """PostgreSQL sums whole numbers to a Decimal."""
    return value if isinstance(value, str) else int(value)


def running_since(
    connection: Connection, before: datetime, pipeline_id: str | None, limit: int
) -> list[PipelineRun]:
    """Runs that have been RUNNING for long."""
    columns = s.pipeline_runs.c
    query = select(s.pipeline_runs).where(columns.state == "RUNNING", columns.started_at <= micros(before))
    if pipeline_id is not None:
        query = query.where(columns.pipeline_id == pipeline_id)
    return reading.every(connection, query.order_by(columns.started_at, columns.run_id).limit(limit), read_run)


def waits(connection: Connection, execution_ids: Sequence[str], limit: int) -> list[Wait]:
    """Verdicts with their ends."""
    columns = s.verdicts.c
    found: list[Wait] = []
    for some in reading.chunks(execution_ids):
        query = select(s.verdicts).where(columns.execution_id.in_(some))
        query = query.order_by(columns.since, columns.execution_id, columns.code).limit(limit)
        found += reading.every(
            connection, query, lambda row: Wait(verdict=read_verdict(row), until=instant_or_none(row.until))
        )
    return sorted(found, key=lambda each: each.verdict.since.astimezone(UTC))[:limit]
