"""The task state machine: one table, REQUIREMENTS 3.1, drawn in docs/states.md.

Law: this table alone says which event may move which state. An event that is not in the row of a state changes
nothing. Terminal states have no row: what an operator does afterwards is a new execution. Only RUNNING +
EXECUTION_FAILED has two ways out; engine.rules.retry chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from engine.model.errors import TaskError
from engine.model.replacing import replaced
from engine.model.run import Reason, TaskEvent, TaskExecution, TaskState, Transition

S, E = TaskState, TaskEvent

TABLE: Mapping[TaskState, Mapping[TaskEvent, frozenset[TaskState]]] = MappingProxyType(
    {
        S.PENDING: {
            E.DEPENDENCIES_UNMET: frozenset({S.WAITING}),
            E.DEPENDENCIES_MET: frozenset({S.QUEUED}),
            E.UPSTREAM_FAILED: frozenset({S.SKIPPED}),
            E.CANCELLED_BY_USER: frozenset({S.CANCELLED}),
        },
        S.WAITING: {
            E.DEPENDENCIES_MET: frozenset({S.QUEUED}),
            E.UPSTREAM_FAILED: frozenset({S.SKIPPED}),
            E.CANCELLED_BY_USER: frozenset({S.CANCELLED}),
        },
        S.QUEUED: {
            E.EXECUTION_STARTED: frozenset({S.RUNNING}),
            E.CANCELLED_BY_USER: frozenset({S.CANCELLED}),
        },
        S.RUNNING: {
            E.EXECUTION_COMPLETED: frozenset({S.SUCCESS}),
            E.EXECUTION_FAILED: frozenset({S.RETRYING, S.FAILED}),
            E.EXECUTION_SKIPPED: frozenset({S.SKIPPED}),
            E.RETRY_SCHEDULED: frozenset({S.RETRYING}),
            E.MAX_RETRIES_EXCEEDED: frozenset({S.FAILED}),
            E.CANCELLED_BY_USER: frozenset({S.CANCELLED}),
        },
        S.RETRYING: {
            E.EXECUTION_STARTED: frozenset({S.RUNNING}),
            E.MAX_RETRIES_EXCEEDED: frozenset({S.FAILED}),
            E.CANCELLED_BY_USER: frozenset({S.CANCELLED}),
        },
    }
)


@dataclass(frozen=True, slots=True)
class Applied:
    """The execution after the event, and the row for the transition log."""

    execution: TaskExecution
    transition: Transition


def valid_events(state: TaskState) -> tuple[TaskEvent, ...]:
    """Events that may move this state, in the table's order."""
    return tuple(TABLE.get(state, {}))


def terminal_states() -> frozenset[TaskState]:
    """States without a way out."""
    return frozenset(state for state in TaskState if state not in TABLE)


def next_states(state: TaskState, event: TaskEvent) -> frozenset[TaskState]:
    """Where the event leads; empty when it is refused."""
    return TABLE.get(state, {}).get(event, frozenset())


def transition(
    execution: TaskExecution,
    event: TaskEvent,
    at: datetime,
    *,
    to: TaskState | None = None,
    error: TaskError | None = None,
    reason: Reason | None = None,
    message: str | None = None,
) -> Applied | None:
    """Apply one event, or None when the table refuses it. `to` chooses where the table leaves a choice."""
    targets = next_states(execution.state, event)
    if not targets or (to is not None and to not in targets):
        return None
    if to is None:
        if len(targets) > 1:
            raise ValueError(f"{execution.state} + {event} has several ways out; say which")
        (to,) = targets
    changed = _entered(execution, to, at, error, reason)
    row = Transition(
        run_id=execution.run_id,
        execution_id=execution.execution_id,
        task_id=execution.task_id,
        map_index=execution.map_index,
        from_state=execution.state,
        to_state=to,
        event=event,
        at=at,
        attempt=changed.attempt_count,
        message=message if message is not None else (error.message if error else None),
    )
    return Applied(changed, row)


def _entered(
    execution: TaskExecution, to: TaskState, at: datetime, error: TaskError | None, reason: Reason | None
) -> TaskExecution:
    version = execution.row_version + 1
    if to is S.QUEUED:
        return replaced(execution, state=to, queued_at=at, row_version=version)
    if to is S.RUNNING:
        return replaced(
            execution,
            state=to,
            started_at=at,
            first_started_at=execution.first_started_at or at,
            attempt_count=execution.attempt_count + 1,
            next_retry_at=None,
            progress={},
            row_version=version,
        )
    if to.terminal:
        return replaced(
            execution,
            state=to,
            completed_at=at,
            error=error if error is not None else (None if to is S.SUCCESS else execution.error),
            reason=reason,
            next_retry_at=None,
            cancelling=None,
            row_version=version,
        )
    return replaced(execution, state=to, error=error or execution.error, row_version=version)
