"""What operators ask of failures and of how work went: rows of errors, sums of them, days, tasks, waits.

Law: values only. Every list is bounded by `limit`, every sum by a stretch of time or one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from engine.model.run import Attempt, PipelineRun, TaskState, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One attempt that failed or was lost."""

    attempt: Attempt  # its error is there
    pipeline_id: str
    task_state: TaskState  # what has become of the execution since
    tries: int  # attempts the execution has had altogether


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one error type."""

    error_type: str
    kind: str
    count: int  # failed attempts
    tasks: int  # executions they belong to
    recovered: int  # of these, SUCCESS in the end
    runs: int
    first_at: datetime
    last_at: datetime
    newest: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Runs that ended on one day (UTC)."""

    day: date
    succeeded: int
    failed: int
    cancelled: int

    @property
    def failure_rate(self) -> float | None:
        """Of those that succeeded or failed; None where none did."""
        decided = self.succeeded + self.failed
        return self.failed / decided if decided else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTries:
    """How often one task had to be tried."""

    pipeline_id: str
    task_id: str
    executions: int
    attempts: int
    most: int  # attempts of one execution
    recovered: int  # SUCCESS after more than one attempt
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A verdict that held, and until when; None: it holds now."""

    verdict: Verdict
    until: datetime | None


class FailureQueries(Protocol):
    """Part of engine.ports.queries.Queries."""

    def failures(
        self,
        *,
        since: datetime | None = None,
        run_id: str | None = None,
        task_id: str | None = None,
        pipeline_id: str | None = None,
        error_type: str | None = None,
        retried: bool = False,
        limit: int = 100,
        before: str | None = None,
    ) -> tuple[Sequence[Failure], str | None]:
        """Newest first, and the cursor of the next page; `retried`: of executions with more than one attempt."""

    def failure_groups(
        self,
        *,
        since: datetime | None = None,
        run_id: str | None = None,
        task_id: str | None = None,
        pipeline_id: str | None = None,
        error_type: str | None = None,
        retried: bool = False,
        limit: int = 100,
    ) -> Sequence[FailureGroup]:
        """The same by error type, the most frequent first."""

    def days(self, since: datetime, pipeline_id: str | None = None, limit: int = 400) -> Sequence[Day]:
        """Days on which runs ended, oldest first. Runs triggered more than a day before `since` are not counted."""

    def task_tries(
        self, since: datetime, pipeline_id: str | None = None, limit: int = 100
    ) -> tuple[Sequence[TaskTries], int]:
        """Those tried again most often first, and how many runs were looked at: the last of that time."""

    def running_since(
        self, before: datetime, pipeline_id: str | None = None, limit: int = 100
    ) -> Sequence[PipelineRun]:
        """Runs RUNNING that started before a time, the oldest first."""

    def waits(self, execution_ids: Sequence[str], limit: int = 10_000) -> Sequence[Wait]:
        """Every verdict these executions have had, oldest first."""
