"""Selections that the engine and its readers share: a connection in, records out.

Law: nothing here writes, opens or closes anything, and nothing here knows which database it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, and_, or_, select

from engine.model.event import Event
from engine.model.run import Attempt, DeadLetter, PipelineRun, TaskExecution, TaskState, Verdict
from engine.ports.store import Checkpoint, PipelineVersion, RunRecord, ScheduleState
from engine.stores import schema as s
from engine.stores.ledgers import (
    read_checkpoint,
    read_event,
    read_letter,
    read_schedule,
    read_verdict,
    read_version,
)
from engine.stores.records import Row, read_attempt, read_execution, read_run
from engine.stores.values import map_key, micros

Record = TypeVar("Record")

_MEDIAN_RUNS = 10  # how many of the last runs tell how long a task takes
_MEDIAN_ROWS = 50_000
_ANSWERS = ("command.accepted", "command.refused")
_HOOK_ENDS = ("hook.sent", "hook.failed")
_CHUNK = 500  # ids in one IN list; SQLite bounds the number of parameters


def one(connection: Connection, query: Select[Any], read: Callable[[Row], Record]) -> Record | None:
    """The first row as a record."""
    row = connection.execute(query.limit(1)).first()
    return None if row is None else read(row)


def every(connection: Connection, query: Select[Any], read: Callable[[Row], Record]) -> list[Record]:
    """All rows as records."""
    return [read(row) for row in connection.execute(query)]


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids in lists that fit into one statement."""
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def run(connection: Connection, run_id: str) -> PipelineRun | None:
    """By its whole id."""
    return one(connection, select(s.pipeline_runs).where(s.pipeline_runs.c.run_id == run_id), read_run)


def version(connection: Connection, pipeline_id: str, number: int | None) -> PipelineVersion | None:
    """One pinned version; None for the newest."""
    columns = s.pipeline_versions.c
    query = select(s.pipeline_versions).where(columns.pipeline_id == pipeline_id)
    if number is not None:
        query = query.where(columns.version == number)
    return one(connection, query.order_by(columns.version.desc()), read_version)


def recent_executions(pipeline_id: str, task_ids: Sequence[str], runs: int, limit: int) -> Select[Any]:
    """The latest executions of some tasks in the last runs of a pipeline, newest run first."""
    of = s.pipeline_runs.c
    newest = select(of.run_id, of.triggered_at).where(of.pipeline_id == pipeline_id)
    last = newest.order_by(of.triggered_at.desc(), of.run_id.desc()).limit(runs).subquery()
    columns = s.task_executions.c
    query = select(s.task_executions).join(last, last.c.run_id == columns.run_id)
    query = query.where(columns.task_id.in_(task_ids), columns.current == 1)
    return query.order_by(
        last.c.triggered_at.desc(), columns.run_id.desc(), columns.task_id, columns.map_index
    ).limit(limit)


def executions(connection: Connection, run_id: str, *, history: bool) -> list[TaskExecution]:
    """Of one run in definition order; the older ones of a task before the newer."""
    columns = s.task_executions.c
    query = select(s.task_executions).where(columns.run_id == run_id)
    rows = connection.execute(query.order_by(columns.created_at, columns.sequence, columns.ordinal)).all()
    place: dict[str, int] = {}
    for row in rows:  # a task's place is that of the first execution it ever had, replaced ones included
        place.setdefault(row.task_id, len(place))
    wanted = [row for row in rows if history or row.current]
    wanted.sort(key=lambda row: (place[row.task_id], row.map_index, row.sequence))
    return [read_execution(row) for row in wanted]


Part = tuple[PipelineRun, Sequence[TaskExecution], Mapping[str, Verdict], Sequence[Attempt]]


def part(connection: Connection, run_id: str, task_ids: Sequence[str]) -> Part | None:
    """A run and what belongs to the latest executions of some of its tasks; None when there is no such run."""
    found = run(connection, run_id)
    if found is None:
        return None
    tasks, verdicts, attempts = s.task_executions.c, s.verdicts.c, s.attempts.c
    of_verdicts = s.verdicts.join(s.task_executions, tasks.execution_id == verdicts.execution_id)
    of_attempts = s.attempts.join(s.task_executions, tasks.execution_id == attempts.execution_id)
    executions_: list[TaskExecution] = []
    verdicts_: dict[str, Verdict] = {}
    attempts_: list[Attempt] = []
    for ids in chunks(task_ids):
        here = (tasks.run_id == run_id, tasks.task_id.in_(ids))
        latest = select(s.task_executions).where(*here, tasks.current == 1)
        executions_ += every(connection, latest.order_by(tasks.task_id, tasks.map_index), read_execution)
        still = select(s.verdicts).select_from(of_verdicts).where(*here, verdicts.until.is_(None))
        verdicts_ |= {each.execution_id: each for each in every(connection, still, read_verdict)}
        tried = select(s.attempts).select_from(of_attempts).where(*here)
        order = (attempts.submitted_at, attempts.number, attempts.token)
        attempts_ += every(connection, tried.order_by(*order), read_attempt)
    return found, executions_, verdicts_, attempts_


def attempts_of(connection: Connection, execution_id: str) -> list[Attempt]:
    """Every attempt of one execution, oldest first."""
    columns = s.attempts.c
    query = select(s.attempts).where(columns.execution_id == execution_id)
    return every(connection, query.order_by(columns.submitted_at, columns.number), read_attempt)


def open_verdicts(connection: Connection, run_id: str) -> list[Verdict]:
    """Why tasks of a run are not running now, as it was last written."""
    join = s.task_executions.join(s.verdicts, s.verdicts.c.execution_id == s.task_executions.c.execution_id)
    here = (s.task_executions.c.run_id == run_id, s.verdicts.c.until.is_(None))
    return every(connection, select(s.verdicts).select_from(join).where(*here), read_verdict)


def record(connection: Connection, run_id: str) -> RunRecord | None:
    """One run with all that is needed to go on with it."""
    found = run(connection, run_id)
    return None if found is None else _records(connection, [found])[0]


def active_records(connection: Connection, scope: str | None) -> list[RunRecord]:
    """The same for every run that is not over."""
    columns = s.pipeline_runs.c
    query = select(s.pipeline_runs).where(columns.state.in_(s.ACTIVE_RUN))
    if scope is not None:
        query = query.where(columns.scope == scope)
    return _records(connection, every(connection, query.order_by(columns.triggered_at, columns.run_id), read_run))


def _records(connection: Connection, runs: Sequence[PipelineRun]) -> list[RunRecord]:
    live = _live_attempts(connection, {run.run_id for run in runs})
    versions: dict[tuple[str, int], PipelineVersion] = {}
    found = []
    for each in runs:
        pinned = (each.pipeline_id, each.version)
        if pinned not in versions:
            definition = version(connection, *pinned)
            if definition is None:  # a foreign key says otherwise: the file is damaged
                raise LookupError(f"run {each.run_id} pins a version that is not there")
            versions[pinned] = definition
        found.append(
            RunRecord(
                run=each,
                version=versions[pinned],
                executions=executions(connection, each.run_id, history=False),
                attempts=live.get(each.run_id, ()),
                verdicts=open_verdicts(connection, each.run_id),
            )
        )
    return found


def _live_attempts(connection: Connection, run_ids: set[str]) -> Mapping[str, Sequence[Attempt]]:
    query = select(s.attempts).where(s.LIVE).order_by(s.attempts.c.submitted_at)
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in every(connection, query, read_attempt):
        if attempt.run_id in run_ids:
            found[attempt.run_id].append(attempt)
    return found


def version_with_hash(connection: Connection, pipeline_id: str, digest: str) -> PipelineVersion | None:
    """The version pinned for this very definition."""
    columns = s.pipeline_versions.c
    chosen = and_(columns.pipeline_id == pipeline_id, columns.hash == digest)
    return one(connection, select(s.pipeline_versions).where(chosen), read_version)


def child_runs(connection: Connection, execution_ids: Sequence[str]) -> list[PipelineRun]:
    """Runs that these executions wait for, oldest first."""
    columns = s.pipeline_runs.c
    found: list[PipelineRun] = []
    for some in chunks(execution_ids):
        found += every(connection, select(s.pipeline_runs).where(columns.parent_execution.in_(some)), read_run)
    return sorted(found, key=lambda each: (each.triggered_at, each.run_id))


def answered(connection: Connection, request_ids: Sequence[str]) -> frozenset[str]:
    """Requests that have their answer among the events."""
    columns = s.events.c
    found: set[str] = set()
    for some in chunks(request_ids):
        query = select(columns.correlation_id).where(columns.correlation_id.in_(some), columns.type.in_(_ANSWERS))
        found.update(row.correlation_id for row in connection.execute(query))
    return frozenset(found)


def unsent_hooks(connection: Connection) -> list[Event]:
    """Hooks that fell due and of which nobody knows how they ended, oldest first."""
    due, end = s.events.alias("due"), s.events.alias("ended")
    ended = select(end.c.seq).where(end.c.correlation_id == due.c.correlation_id, end.c.type.in_(_HOOK_ENDS))
    query = select(due).where(s.HOOK_DUE, due.c.correlation_id.is_not(None), ~ended.exists())
    return every(connection, query.order_by(due.c.seq), read_event)


def fired_hooks(connection: Connection, run_id: str) -> frozenset[str]:
    """Names of the hooks a run has fired."""
    columns = s.events.c
    query = select(columns.correlation_id).where(columns.run_id == run_id, columns.type == "hook.due")
    return frozenset(row.correlation_id for row in connection.execute(query) if row.correlation_id)


def letter(connection: Connection, letter_id: str) -> DeadLetter | None:
    """By its whole id."""
    return one(connection, select(s.dead_letters).where(s.dead_letters.c.id == letter_id), read_letter)


def open_letters_of(connection: Connection, execution_ids: Sequence[str]) -> list[DeadLetter]:
    """The open letters of these executions, oldest first."""
    columns = s.dead_letters.c
    found: list[DeadLetter] = []
    for some in chunks(execution_ids):
        chosen = and_(columns.execution_id.in_(some), columns.status.in_(s.OPEN_LETTER))
        found += every(connection, select(s.dead_letters).where(chosen), read_letter)
    return sorted(found, key=lambda each: (each.failed_at, each.id))


def open_letters(connection: Connection, before: datetime, limit: int) -> list[DeadLetter]:
    """Open letters of tasks that failed before then, the oldest first."""
    columns = s.dead_letters.c
    late = select(s.dead_letters).where(s.OPEN, columns.failed_at < micros(before))
    return every(connection, late.order_by(columns.failed_at, columns.id).limit(limit), read_letter)


def checkpoint(connection: Connection, run_id: str, task_id: str, index: int | None) -> Checkpoint | None:
    """The last saved value, if it is undamaged."""
    columns = s.checkpoints.c
    chosen = and_(columns.run_id == run_id, columns.task_id == task_id, columns.map_index == map_key(index))
    return one(connection, select(s.checkpoints).where(chosen), read_checkpoint)


def schedules(connection: Connection) -> list[ScheduleState]:
    """Every remembered schedule."""
    columns = s.schedules.c
    return every(connection, select(s.schedules).order_by(columns.pipeline_id, columns.profile), read_schedule)


def median_seconds(connection: Connection, pipeline_id: str) -> dict[str, float]:
    """task id -> median duration of its successes in the last runs."""
    runs, tasks = s.pipeline_runs.c, s.task_executions.c
    ended = or_(runs.state == "SUCCESS", runs.state == "FAILED")
    last = (
        select(runs.run_id)
        .where(runs.pipeline_id == pipeline_id, ended)
        .order_by(runs.triggered_at.desc(), runs.run_id.desc())
        .limit(_MEDIAN_RUNS)
    )
    query = (
        select(tasks.task_id, tasks.started_at, tasks.completed_at)
        .where(tasks.run_id.in_(last), tasks.state == TaskState.SUCCESS.value)
        .where(tasks.started_at.is_not(None), tasks.completed_at.is_not(None))
        .limit(_MEDIAN_ROWS)
    )
    seconds: dict[str, list[float]] = defaultdict(list)
    for task_id, started, completed in connection.execute(query):
        seconds[task_id].append((completed - started) / 1_000_000)
    return {task_id: median(found) for task_id, found in seconds.items()}
