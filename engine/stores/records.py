"""Runs, executions and attempts as rows, and rows as records.

Law: the row is never the record. A function that writes gives a tuple in the order of the names beside it (the
hot path: no mapping is built), a function that reads takes a row by column name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.model.errors import TaskError
from engine.model.pipeline import RetryPolicy
from engine.model.run import (
    Attempt,
    AttemptState,
    PipelineRun,
    Reason,
    RunState,
    TaskExecution,
    TaskState,
)
from engine.stores.values import (
    clean,
    clean_or_none,
    dump,
    dump_or_none,
    instant,
    instant_or_none,
    load,
    map_index,
    map_key,
    mapping,
    micros,
    micros_or_none,
)

Row = Any  # sqlalchemy.Row: its columns are attributes
Values = tuple[Any, ...]

_task_error = msgspec.json.Decoder(TaskError).decode

RUN_BIRTH = (
    "run_id", "pipeline_id", "version", "triggered_by", "triggered_at", "logical_date", "data_interval_start",
    "data_interval_end", "profile", "parameters", "event", "selection", "parent_execution", "retry_of", "slot",
)  # fmt: skip
RUN_LIFE = (
    "state", "started_at", "completed_at", "priority", "scope", "cancelled_by", "reason", "row_version",
)  # fmt: skip

EXECUTION_BIRTH = (
    "execution_id", "run_id", "pipeline_id", "task_id", "map_index", "sequence", "created_at", "item", "retry_of",
)  # fmt: skip
EXECUTION_LIFE = (
    "state", "reason", "attempt_count", "failures", "losses", "pokes", "queued_at", "started_at", "completed_at",
    "next_retry_at", "first_started_at", "error", "metrics", "outputs", "detail", "row_version",
)  # fmt: skip

ATTEMPT_BIRTH = (
    "token", "execution_id", "run_id", "task_id", "map_index", "number", "epoch", "submitted_at",
)  # fmt: skip
ATTEMPT_LIFE = (
    "state", "started_at", "completed_at", "pid", "pid_started", "exit_code", "signal", "error", "cpu_seconds",
    "peak_mb", "read_bytes", "write_bytes", "heartbeat_at", "log", "poke",
)  # fmt: skip


def run_birth(run: PipelineRun) -> Values:
    """What never changes of a run."""
    return (
        run.run_id,
        run.pipeline_id,
        run.version,
        clean(run.triggered_by),
        micros(run.triggered_at),
        micros(run.logical_date),
        micros(run.data_interval_start),
        micros(run.data_interval_end),
        run.profile or "",
        dump_or_none(run.parameters),
        dump_or_none(run.event),
        None if run.selection is None else dump(run.selection),
        run.parent_execution,
        run.retry_of,
        micros_or_none(run.slot),
    )


def run_life(run: PipelineRun) -> Values:
    """What changes."""
    return (
        run.state.value,
        micros_or_none(run.started_at),
        micros_or_none(run.completed_at),
        run.priority,
        run.scope,
        clean_or_none(run.cancelled_by),
        clean_or_none(run.reason),
        run.row_version,
    )


def read_run(row: Row) -> PipelineRun:
    """A row of pipeline_runs."""
    return PipelineRun(
        run_id=row.run_id,
        pipeline_id=row.pipeline_id,
        version=row.version,
        state=RunState(row.state),
        triggered_by=row.triggered_by,
        triggered_at=instant(row.triggered_at),
        logical_date=instant(row.logical_date),
        data_interval_start=instant(row.data_interval_start),
        data_interval_end=instant(row.data_interval_end),
        started_at=instant_or_none(row.started_at),
        completed_at=instant_or_none(row.completed_at),
        profile=row.profile or None,
        parameters=mapping(row.parameters),
        event=mapping(row.event),
        priority=row.priority,
        selection=None if row.selection is None else tuple(load(row.selection)),
        parent_execution=row.parent_execution,
        retry_of=row.retry_of,
        scope=row.scope,
        cancelled_by=row.cancelled_by,
        reason=row.reason,
        slot=instant_or_none(row.slot),
        row_version=row.row_version,
    )


def execution_birth(execution: TaskExecution) -> Values:
    """What never changes of an execution."""
    return (
        execution.execution_id,
        execution.run_id,
        execution.pipeline_id,
        execution.task_id,
        map_key(execution.map_index),
        execution.sequence,
        micros(execution.created_at),
        None if execution.item is None else dump(execution.item),
        execution.retry_of,
    )


def execution_life(execution: TaskExecution) -> Values:
    """What changes."""
    reason, error = execution.reason, execution.error
    return (
        execution.state.value,
        None if reason is None else reason.value,
        execution.attempt_count,
        execution.failures,
        execution.losses,
        execution.pokes,
        micros_or_none(execution.queued_at),
        micros_or_none(execution.started_at),
        micros_or_none(execution.completed_at),
        micros_or_none(execution.next_retry_at),
        micros_or_none(execution.first_started_at),
        None if error is None else dump(error),
        dump_or_none(execution.metrics),
        dump_or_none(execution.outputs),
        _detail(execution),
        execution.row_version,
    )


def _detail(execution: TaskExecution) -> str | None:
    """Whatever most executions never have; NULL when there is nothing of it."""
    found: dict[str, Any] = {}
    if execution.first_poke_at is not None:
        found["first_poke_at"] = micros(execution.first_poke_at)
    if execution.cancelling is not None:
        found["cancelling"] = execution.cancelling.value
    if execution.last_delay is not None:
        found["last_delay"] = execution.last_delay
    if execution.progress:
        found["progress"] = execution.progress
    if execution.marked_by is not None:
        found["marked_by"] = execution.marked_by
    if execution.mark_reason is not None:
        found["mark_reason"] = execution.mark_reason
    if execution.parameter_overrides:
        found["parameter_overrides"] = execution.parameter_overrides
    if execution.config_overrides:
        found["config_overrides"] = execution.config_overrides
    if execution.retry_override is not None:
        found["retry_override"] = execution.retry_override
    if execution.child_run_id is not None:
        found["child_run_id"] = execution.child_run_id
    if execution.generation:
        found["generation"] = execution.generation
    return dump(found) if found else None


def read_execution(row: Row) -> TaskExecution:
    """A row of task_executions."""
    detail = mapping(row.detail)
    override = detail.get("retry_override")
    return TaskExecution(
        execution_id=row.execution_id,
        run_id=row.run_id,
        pipeline_id=row.pipeline_id,
        task_id=row.task_id,
        map_index=map_index(row.map_index),
        sequence=row.sequence,
        state=TaskState(row.state),
        reason=None if row.reason is None else Reason(row.reason),
        attempt_count=row.attempt_count,
        failures=row.failures,
        losses=row.losses,
        pokes=row.pokes,
        first_poke_at=instant_or_none(detail.get("first_poke_at")),
        created_at=instant(row.created_at),
        queued_at=instant_or_none(row.queued_at),
        started_at=instant_or_none(row.started_at),
        completed_at=instant_or_none(row.completed_at),
        next_retry_at=instant_or_none(row.next_retry_at),
        cancelling=None if "cancelling" not in detail else Reason(detail["cancelling"]),
        last_delay=detail.get("last_delay"),
        first_started_at=instant_or_none(row.first_started_at),
        error=None if row.error is None else _task_error(row.error),
        metrics=mapping(row.metrics),
        outputs=mapping(row.outputs),
        progress=detail.get("progress", {}),
        item=load(row.item),
        retry_of=row.retry_of,
        marked_by=detail.get("marked_by"),
        mark_reason=detail.get("mark_reason"),
        parameter_overrides=detail.get("parameter_overrides", {}),
        config_overrides=detail.get("config_overrides", {}),
        retry_override=None if override is None else msgspec.convert(override, RetryPolicy),
        child_run_id=detail.get("child_run_id"),
        generation=detail.get("generation", 0),
        row_version=row.row_version,
    )


def attempt_birth(attempt: Attempt) -> Values:
    """What never changes of an attempt."""
    return (
        attempt.token,
        attempt.execution_id,
        attempt.run_id,
        attempt.task_id,
        map_key(attempt.map_index),
        attempt.number,
        attempt.epoch,
        micros(attempt.submitted_at),
    )


def attempt_life(attempt: Attempt) -> Values:
    """What changes."""
    error = attempt.error
    return (
        attempt.state.value,
        micros_or_none(attempt.started_at),
        micros_or_none(attempt.completed_at),
        attempt.pid,
        attempt.pid_started,
        attempt.exit_code,
        attempt.signal,
        None if error is None else dump(error),
        attempt.cpu_seconds,
        attempt.peak_mb,
        attempt.read_bytes,
        attempt.write_bytes,
        micros_or_none(attempt.heartbeat_at),
        clean_or_none(attempt.log),
        int(attempt.poke),
    )


def read_attempt(row: Row) -> Attempt:
    """A row of attempts."""
    return Attempt(
        token=row.token,
        execution_id=row.execution_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=map_index(row.map_index),
        number=row.number,
        epoch=row.epoch,
        state=AttemptState(row.state),
        submitted_at=instant(row.submitted_at),
        started_at=instant_or_none(row.started_at),
        completed_at=instant_or_none(row.completed_at),
        pid=row.pid,
        pid_started=row.pid_started,
        exit_code=row.exit_code,
        signal=row.signal,
        error=None if row.error is None else _task_error(row.error),
        cpu_seconds=row.cpu_seconds,
        peak_mb=row.peak_mb,
        read_bytes=row.read_bytes,
        write_bytes=row.write_bytes,
        heartbeat_at=instant_or_none(row.heartbeat_at),
        log=row.log,
        poke=bool(row.poke),
    )
