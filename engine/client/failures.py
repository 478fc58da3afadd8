"""What operators ask of failures and of how work went: errors, their types, days, tries, runs that hang.

Law: looks only; every answer is plain JSON, bounded by `limit`, and says what it was asked for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.client import views
from engine.client.views import Json, iso
from engine.ports.failures import Day, Failure, FailureGroup, TaskTries

if TYPE_CHECKING:
    from engine.client.client import Client

STUCK_AFTER = timedelta(hours=2)  # LOG-04


def errors(client: Client, *, limit: int = 100, before: str | None = None, **asked: Any) -> Json:
    """Attempts that failed or were lost, newest first; `asked` as in engine.ports.failures."""
    found, following = client.queries.failures(limit=limit, before=before, **asked)
    return {"errors": [_row(each) for each in found], **_asked(asked), "next": following}


def errors_by_type(client: Client, *, limit: int = 100, **asked: Any) -> Json:
    """The same by error type, the most frequent first."""
    return {
        "types": [_group(each) for each in client.queries.failure_groups(limit=limit, **asked)],
        **_asked(asked),
    }


def days(client: Client, since: datetime, pipeline_id: str | None = None) -> Json:
    """Runs that ended by day, with the share that failed."""
    found = client.queries.days(since, pipeline_id)
    return {"days": [_day(each) for each in found], "since": iso(since), "pipeline_id": pipeline_id}


def task_tries(client: Client, since: datetime, pipeline_id: str | None = None, limit: int = 100) -> Json:
    """Attempts per task, those tried again most often first."""
    found, runs = client.queries.task_tries(since, pipeline_id, limit)
    return {
        "tasks": [_tries(each) for each in found],
        "since": iso(since),
        "pipeline_id": pipeline_id,
        "runs": runs,
    }


def stuck(client: Client, over: timedelta, pipeline_id: str | None = None, limit: int = 100) -> Json:
    """Runs that have been RUNNING for longer than this, the oldest first."""
    now = client.clock.now()
    found = client.queries.running_since(now - over, pipeline_id, limit)
    rows = [
        {**views.run_row(each), "running_seconds": round((now - each.started_at).total_seconds())}
        for each in found
        if each.started_at is not None
    ]
    return {"runs": rows, "next": None}


def _asked(asked: dict[str, Any]) -> Json:
    return {"since": iso(asked.get("since")), "run_id": asked.get("run_id")}


def _row(failure: Failure) -> Json:
    attempt = failure.attempt
    return {
        "at": iso(attempt.completed_at),
        "pipeline_id": failure.pipeline_id,
        "run_id": attempt.run_id,
        "task_id": attempt.task_id,
        "map_index": attempt.map_index,
        "attempt": attempt.number,
        "attempts": failure.tries,
        "state": attempt.state.value,
        "task_state": failure.task_state.value,
        "error": views.error(attempt.error),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
    }


def _group(group: FailureGroup) -> Json:
    return {
        "type": group.error_type,
        "kind": group.kind,
        "count": group.count,
        "tasks": group.tasks,
        "recovered": group.recovered,
        "runs": group.runs,
        "first_at": iso(group.first_at),
        "last_at": iso(group.last_at),
        "newest": _row(group.newest),
    }


def _day(day: Day) -> Json:
    rate = day.failure_rate
    return {
        "day": day.day.isoformat(),
        "succeeded": day.succeeded,
        "failed": day.failed,
        "cancelled": day.cancelled,
        "failure_rate": None if rate is None else round(rate, 4),
    }


def _tries(tries: TaskTries) -> Json:
    return {
        "pipeline_id": tries.pipeline_id,
        "task_id": tries.task_id,
        "executions": tries.executions,
        "attempts": tries.attempts,
        "most": tries.most,
        "recovered": tries.recovered,
        "failed": tries.failed,
    }
