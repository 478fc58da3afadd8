"""What a rehearsed run leaves behind, and who decides in it.

Law: values, a protocol, and what follows from them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from engine.model.errors import ErrorKind, TaskError
from engine.model.event import AuditEntry, Event
from engine.model.pipeline import Task
from engine.model.run import Attempt, DeadLetter, Outcome, PipelineRun, RunState, TaskExecution, Transition
from engine.rules.context import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one attempt, or of a sensor's whole wait."""

    seconds: float
    outcome: Outcome
    lost: str | None = None  # the machine went away; the outcome does not count
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    pokes: int = 1
    out_of_time: float | None = None  # a sensor's `timeout_seconds` when it saw nothing


class Cast(Protocol):
    """Who says what happens."""

    def wait(self, task: Task, execution: TaskExecution) -> float:
        """Seconds between ready and started."""

    def fate(self, task: Task, execution: TaskExecution, at: datetime) -> Fate:
        """How the attempt that starts now will end. `attempt_count` counts it already, but for a sensor."""

    def answer(self, task: Task, field: str) -> Any:
        """What a template of `when`, `foreach` or `choose` comes to."""

    def child(self, task: Task, execution: TaskExecution, at: datetime) -> Story | None:
        """The run of another pipeline that a `pipeline` task stands for."""


@dataclass(slots=True, kw_only=True)
class Story:
    """Every row one run left, in the order of time."""

    run: PipelineRun
    executions: dict[str, TaskExecution] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    letters: dict[str, DeadLetter] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    metrics: list[tuple[str, str, int | None, str, float, datetime]] = field(default_factory=list)
    children: list[Story] = field(default_factory=list)
    end: datetime  # when the last thing happened


def with_usage(fate: Fate, seconds: float) -> Outcome:
    """The outcome with what the attempt cost."""
    usage = {"execution_duration_seconds": round(seconds, 3)}
    if fate.cpu_seconds is not None:
        usage["cpu_seconds"] = fate.cpu_seconds
    if fate.peak_mb is not None:
        usage["memory_usage_mb"] = fate.peak_mb
    return replace(fate.outcome, metrics={**usage, **fate.outcome.metrics})


def child_outcome(run: PipelineRun) -> Outcome:
    """How a waiting `pipeline` task ends when its run has."""
    outputs = {"run_id": run.run_id, "state": run.state.value}
    if run.state is RunState.SUCCESS:
        return Outcome(result="success", outputs=outputs)
    message = f"The run {run.run_id} of '{run.pipeline_id}' ended {run.state}; `penstock why {run.run_id}` says why"
    error = TaskError(type="SubPipelineFailed", kind=ErrorKind.LOGIC, message=message, final=True)
    return Outcome(result="failed", error=error, outputs=outputs)


def error_row(attempt: Attempt) -> Mapping[str, Any]:
    """One attempt's failure as a letter keeps it."""
    error = attempt.error
    assert error is not None  # the caller filtered
    return {
        "attempt": attempt.number,
        "type": error.type,
        "kind": error.kind.value,
        "message": error.message,
        "failed_at": iso(attempt.completed_at or attempt.submitted_at),
    }
