"""Records as the JSON that scripts read: the shapes CONTRACT promises.

Law: pure, one function per shape. Keys are added, never renamed or left out; times are ISO 8601 UTC with Z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.model.breaker import Breaker, BreakerState
from engine.model.errors import Problem, TaskError
from engine.model.event import AuditEntry
from engine.model.health import HealthCheckResult
from engine.model.run import Attempt, DeadLetter, PipelineRun, TaskExecution, Verdict
from engine.model.workspace import Connection
from engine.ports.catalog import PipelineReport
from engine.ports.health import overall
from engine.ports.logs import LogLine
from engine.ports.mailbox import Lease
from engine.rules.breaker import BAD, state_at
from engine.rules.explain_facts import Explanation

Json = dict[str, Any]


def iso(moment: datetime | None) -> str | None:
    """An instant as people and scripts read it."""
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def error(failure: TaskError | None) -> Json | None:
    """type, kind, message; the traceback is the log's business."""
    if failure is None:
        return None
    return {"type": failure.type, "kind": failure.kind.value, "message": failure.message}


def run_row(run: PipelineRun) -> Json:
    """A run without its tasks, as lists show it."""
    return {
        "run_id": run.run_id,
        "pipeline_id": run.pipeline_id,
        "version": run.version,
        "state": run.state.value,
        "reason": run.reason,
        "triggered_by": run.triggered_by,
        "logical_date": iso(run.logical_date),
        "data_interval_start": iso(run.data_interval_start),
        "data_interval_end": iso(run.data_interval_end),
        "triggered_at": iso(run.triggered_at),
        "started_at": iso(run.started_at),
        "completed_at": iso(run.completed_at),
        "profile": run.profile,
        "priority": run.priority,
        "parameters": dict(run.parameters),
        "selection": list(run.selection) if run.selection is not None else None,
        "retry_of": run.retry_of,
        "cancelled_by": run.cancelled_by,
    }


def run(
    record: PipelineRun, executions: Sequence[TaskExecution], verdicts: Mapping[str, Verdict] | None = None
) -> Json:
    """`show`: a run and each task's latest execution."""
    tasks = [task(each, (verdicts or {}).get(each.execution_id)) for each in executions]
    return {**run_row(record), "tasks": tasks}


def task(execution: TaskExecution, verdict: Verdict | None = None) -> Json:
    """One task of a run."""
    return {
        "id": execution.task_id,
        "map_index": execution.map_index,
        "state": execution.state.value,
        "reason": execution.reason.value if execution.reason else None,
        "attempts": execution.attempt_count,
        "started_at": iso(execution.started_at),
        "completed_at": iso(execution.completed_at),
        "next_retry_at": iso(execution.next_retry_at),
        "error": error(execution.error),
        "metrics": dict(execution.metrics),
        "outputs": dict(execution.outputs),
        "progress": dict(execution.progress) or None,
        "verdict": _verdict(verdict),
        "child_run_id": execution.child_run_id,
        "marked_by": execution.marked_by,
    }


def with_history(shown: Json, executions: Sequence[TaskExecution], attempts: Sequence[Attempt]) -> Json:
    """`show --history`: every attempt of every execution, and the executions an operator's retry made."""
    for row in shown["tasks"]:
        key = (row["id"], row["map_index"])
        made = [each for each in executions if (each.task_id, each.map_index) == key]
        sequence = {each.execution_id: each.sequence for each in made}
        row["executions"] = [_execution(each) for each in sorted(made, key=lambda each: each.sequence)]
        row["history"] = [
            _attempt(each, sequence[each.execution_id])
            for each in attempts
            if each.execution_id in sequence and not each.poke
        ]
    return shown


def letter_row(letter: DeadLetter) -> Json:
    """A dead letter as lists show it."""
    return {
        "id": letter.id,
        "queue": letter.queue.value,
        "status": letter.status.value,
        "pipeline_id": letter.pipeline_id,
        "run_id": letter.run_id,
        "task_id": letter.task_id,
        "map_index": letter.map_index,
        "kind": letter.kind.value,
        "type": letter.error_type,
        "message": letter.message,
        "fingerprint": letter.fingerprint,
        "failed_at": iso(letter.failed_at),
        "attempts": letter.attempts,
    }


def letter(record: DeadLetter) -> Json:
    """`dlq show`: everything needed to look, edit and requeue."""
    whole = {
        **letter_row(record),
        "parameters": dict(record.parameters),
        "config": dict(record.config),
        "retry_policy": dict(record.retry_policy),
        "errors": [dict(each) for each in record.errors],
        "history": [dict(each) for each in record.history],
        "requeued_as": record.requeued_as,
    }
    return {"letter": whole}


def explanation(told: Explanation) -> Json:
    """`why`."""
    shown: Json = {
        "run_id": told.run_id,
        "task_id": told.task_id,
        "map_index": told.map_index,
        "state": told.state,
        "code": told.code,
        "sentence": told.sentence,
        "holders": list(told.holders),
        "since": iso(told.since),
        "expected": iso(told.expected),
        "details": list(told.details),
        "actions": [{"label": each.label, "command": each.command} for each in told.actions],
    }
    if told.task_id is None:
        shown["causes"] = [explanation(each) for each in told.causes]
    return shown


def validation(reports: Sequence[PipelineReport]) -> Json:
    """`validate`."""
    pipelines = [
        {
            "id": each.id,
            "file": each.file,
            "errors": [problem(one) for one in each.errors],
            "warnings": [problem(one) for one in each.warnings],
            "suggestions": [problem(one) for one in each.suggestions],
        }
        for each in reports
    ]
    return {"valid": not any(each.errors for each in reports), "pipelines": pipelines}


def problem(one: Problem) -> Json:
    """One error, warning or suggestion."""
    shown = {"path": one.path, "line": one.line, "message": one.message, "suggestion": one.suggestion}
    return shown if one.file is None else {**shown, "file": one.file}


def health(results: Sequence[HealthCheckResult]) -> Json:
    """`health`."""
    checks = [
        {
            "component": each.component,
            "status": each.status.value,
            "message": each.message,
            "metrics": dict(each.metrics),
            "at": iso(each.at),
        }
        for each in results
    ]
    return {"status": overall(results).value, "checks": checks}


def audit(entry: AuditEntry) -> Json:
    """One line of the trail."""
    return {
        "seq": entry.seq,
        "at": iso(entry.at),
        "actor": entry.actor.name,
        "address": entry.actor.address,
        "session": entry.actor.session,
        "event_type": entry.event_type,
        "action": entry.action,
        "resource_type": entry.resource_type,
        "resource_id": entry.resource_id,
        "result": entry.result,
        "details": dict(entry.details),
        "hash": entry.hash,
    }


def lease(held: Lease | None) -> Json:
    """`engine status`."""
    if held is None:
        return {"leads": False, "pid": None, "since": None, "started_by": None, "scope": None}
    return {
        "leads": True,
        "pid": held.pid,
        "since": iso(held.acquired_at),
        "started_by": held.started_by,
        "scope": held.scope,
        "host": held.host,
        "user": held.user,
        "epoch": held.epoch,
        "expires_at": iso(held.expires_at),
    }


def connection(one: Connection, circuit: Json | None = None) -> Json:
    """A connection as written: secrets are references; one written out literally is not repeated."""
    rate = None if one.per_second is None else {"per_second": one.per_second, "burst": one.burst}
    return {
        "id": one.id,
        "type": one.type,
        "direction": one.direction,
        "pool": one.pool,
        "rate_limit": rate,
        "config": {name: _unless_secret(name, value) for name, value in one.config.items()},
        "circuit": circuit or {"state": "off" if one.breaker is None else BreakerState.CLOSED.value},
    }


def circuit(breaker: Breaker, now: datetime) -> Json:
    """What the breaker of a connection remembers."""
    return {
        "state": state_at(breaker, now).value,
        "failures": breaker.calls.count(BAD),
        "calls": len(breaker.calls),
        "opened_at": iso(breaker.opened_at),
        "retry_at": iso(breaker.retry_at),
        "reason": breaker.reason,
    }


def log_line(line: LogLine) -> Json:
    """One line of `logs --json`."""
    return {
        "seq": line.seq,
        "at": iso(line.at),
        "task_id": line.task_id,
        "map_index": line.map_index,
        "attempt": line.attempt,
        "stream": line.stream,
        "level": line.level,
        "text": line.text,
    }


_SECRET_WORDS = ("password", "secret", "token", "key", "credential", "auth", "url", "dsn", "passwd", "webhook")


def _unless_secret(name: str, value: Any) -> Any:
    secret = any(word in name.casefold() for word in _SECRET_WORDS)
    if secret and isinstance(value, str) and value and "${" not in value:
        return "***"
    if isinstance(value, Mapping):
        return {inner: _unless_secret(inner, each) for inner, each in value.items()}
    return value


def _verdict(verdict: Verdict | None) -> Json | None:
    if verdict is None:
        return None
    return {
        "code": verdict.code,
        "sentence": verdict.sentence,
        "about": verdict.about,
        "holders": list(verdict.holders),
        "since": iso(verdict.since),
        "expected": iso(verdict.expected),
    }


def _execution(execution: TaskExecution) -> Json:
    return {
        "sequence": execution.sequence,
        "state": execution.state.value,
        "reason": execution.reason.value if execution.reason else None,
        "attempts": execution.attempt_count,
        "failures": execution.failures,
        "losses": execution.losses,
        "created_at": iso(execution.created_at),
        "completed_at": iso(execution.completed_at),
        "marked_by": execution.marked_by,
        "mark_reason": execution.mark_reason,
        "error": error(execution.error),
    }


def _attempt(attempt: Attempt, sequence: int) -> Json:
    return {
        "attempt": attempt.number,
        "execution": sequence,
        "state": attempt.state.value,
        "started_at": iso(attempt.started_at or attempt.submitted_at),
        "completed_at": iso(attempt.completed_at),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "error": error(attempt.error),
        "cpu_seconds": attempt.cpu_seconds,
        "peak_mb": attempt.peak_mb,
        "pid": attempt.pid,
    }
