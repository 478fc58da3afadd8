"""The state store as everybody else reads it.

Law: reading never writes, never blocks the engine and works while no engine runs. On a workspace that has no
state yet every list is empty, and nothing is created. Lists are bounded by `limit` and paged by `before`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from engine.model.breaker import Breaker
from engine.model.dataset import Dataset, DatasetEdge, DatasetVersion, Direction, TouchRecord, Watermark
from engine.model.errors import Queue
from engine.model.event import AuditEntry, Event
from engine.model.run import (
    Attempt,
    DeadLetter,
    LetterStatus,
    PipelineRun,
    RunState,
    TaskExecution,
    Transition,
    Verdict,
)
from engine.ports.failures import FailureQueries
from engine.ports.store import Checkpoint, DefinitionStatus, PipelineVersion, ScheduleState


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The vital signs, from live rows."""

    runs: Mapping[str, int]  # by state, active ones and those of the last 24 hours
    tasks: Mapping[str, int]  # by state, of active runs
    letters: Mapping[str, int]  # open ones by queue


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatistics:
    """What history says of one pipeline."""

    runs: int
    success_rate: float | None
    median_seconds: float | None
    p95_seconds: float | None
    last_states: Sequence[str]  # newest last, at most 20
    trend: float | None = None  # median of the last 10 successes over that of those before: 1.2 is a fifth slower


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Open dead letters that look alike: one row per fingerprint."""

    fingerprint: str
    queue: str
    kind: str
    error_type: str
    message: str  # of the newest
    count: int  # open ones
    claimed: int  # of these, somebody works on
    seen: int  # all that are kept, closed ones too
    first_seen: datetime
    last_seen: datetime
    tasks: tuple[tuple[str, str], ...]  # pipeline and task ids, most letters first; the first of them
    task_count: int
    newest: str  # the letter that stands for them
    run_id: str  # of the newest
    map_index: int | None


class Queries(FailureQueries, Protocol):
    """Every read a console or command needs. Safe to call from several threads."""

    def runs(
        self,
        *,
        pipeline_id: str | None = None,
        state: RunState | None = None,
        active: bool = False,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[Sequence[PipelineRun], str | None]:
        """Newest first, and the cursor of the next page. Subset of columns may not be omitted."""

    def resolve_run(self, name: str) -> PipelineRun:
        """An id, any unique prefix, `last` or `last:PIPELINE`. NotFound; RequestError when ambiguous."""

    def executions(self, run_id: str, *, history: bool = False) -> Sequence[TaskExecution]:
        """Latest execution per task and map index in definition order; with history every one."""

    def attempts(self, run_id: str, task_id: str | None = None) -> Sequence[Attempt]:
        """Every attempt, oldest first."""

    def transitions(
        self, run_id: str, task_id: str | None = None, limit: int = 1000, *, skip: int = 0
    ) -> Sequence[Transition]:
        """Oldest first, without the first `skip` of them."""

    def verdicts(self, run_id: str) -> Mapping[str, Verdict]:
        """Open verdicts by execution id."""

    def live(self) -> Sequence[tuple[TaskExecution, Attempt]]:
        """Everything RUNNING now with its live attempt: who holds slots, pools and resources."""

    def queued(self, limit: int = 1000) -> Sequence[tuple[TaskExecution, Verdict | None]]:
        """Everything QUEUED or RETRYING, oldest first."""

    def recent_executions(
        self, pipeline_id: str, task_ids: Sequence[str], *, runs: int = 20, limit: int = 500
    ) -> Sequence[TaskExecution]:
        """The latest executions of these tasks in the pipeline's last runs, newest run first."""

    def letters(
        self,
        *,
        queue: Queue | None = None,
        status: LetterStatus | None = None,
        fingerprint: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> tuple[Sequence[DeadLetter], str | None]:
        """Newest first; without a status the open ones (new, in_progress)."""

    def letter(self, name: str) -> DeadLetter:
        """By id or unique prefix. NotFound."""

    def letter_groups(self, *, queue: Queue | None = None, limit: int = 1000) -> Sequence[LetterGroup]:
        """Open ones by fingerprint, the group that was hit last first."""

    def schedules(self) -> Sequence[ScheduleState]:
        """Every remembered schedule."""

    def versions(self, pipeline_id: str) -> Sequence[PipelineVersion]:
        """Newest first."""

    def version(self, pipeline_id: str, version: int) -> PipelineVersion | None:
        """One pinned version."""

    def broken_definitions(self) -> Sequence[DefinitionStatus]:
        """Files that do not load now."""

    def checkpoint(self, run_id: str, task_id: str, map_index: int | None) -> Checkpoint | None:
        """The last saved value."""

    def task_seconds(self, pipeline_id: str) -> Mapping[str, float]:
        """task id -> median duration of its last successes."""

    def statistics(self, pipeline_id: str) -> PipelineStatistics:
        """Success rate and durations."""

    def failures_like(self, fingerprint: str) -> Mapping[str, Any]:
        """first_seen, last_seen, count of letters with this fingerprint."""

    def last_success(self, pipeline_id: str, before: datetime | None = None) -> PipelineRun | None:
        """The newest SUCCESS run."""

    def counts(self) -> Counts:
        """Vital signs."""

    def progress(self, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """run id -> latest executions by state."""

    def activity(self, since: datetime, seconds: int, count: int) -> Mapping[str, Sequence[int]]:
        """state -> runs that ended in it, in `count` stretches of `seconds` from `since` on. Runs that were
        triggered more than a day before `since` are not counted."""

    def events(self, after: int, limit: int = 500, run_id: str | None = None) -> Sequence[Event]:
        """Outbox rows with seq > after, oldest first."""

    def last_seq(self) -> int:
        """The newest outbox row's number; 0 when there is none."""

    def changed(self, last: object) -> tuple[bool, object]:
        """Cheap: has the store changed since `last` was returned? (data_version on SQLite)"""

    def wait(self, last: object, seconds: float) -> tuple[bool, object]:
        """`changed`, waiting for at most so long (LISTEN on PostgreSQL, polling data_version on SQLite)."""

    def audit(self, *, limit: int = 100, before: int | None = None) -> Sequence[AuditEntry]:
        """Newest first."""

    def verify_audit(self) -> tuple[int, int | None, str]:
        """Entries checked, seq of the first bad one or None, a sentence."""

    def stored_bytes(self) -> int | None:
        """How large the state is on disk, what is not yet checkpointed included; None when there is none."""

    def watermarks(
        self, profile: str | None, *, pipeline_id: str | None = None, source: str | None = None, limit: int = 10_000
    ) -> Sequence[Watermark]:
        """Of one pipeline, of one source, or all of a profile."""

    def breakers(self) -> Sequence[Breaker]:
        """Every remembered circuit breaker."""

    def datasets(self, profile: str | None, limit: int = 10_000) -> Sequence[Dataset]:
        """What runs have touched, by name; the ones touched last where there are more."""

    def dataset(self, profile: str | None, name: str) -> Dataset | None:
        """One dataset as runs have left it."""

    def dataset_versions(self, profile: str | None, name: str, limit: int = 100) -> Sequence[DatasetVersion]:
        """Its columns through time, newest first."""

    def touches(
        self, profile: str | None, name: str, *, direction: Direction | None = None, limit: int = 100
    ) -> Sequence[TouchRecord]:
        """What attempts read and wrote of one dataset, newest first."""

    def touches_of_run(self, run_id: str, limit: int = 10_000) -> Sequence[TouchRecord]:
        """What one run read and wrote, in its order."""

    def touching_runs(self, profile: str | None, since: datetime, limit: int = 1_000) -> Sequence[str]:
        """Ids of runs that touched data since then, oldest first."""

    def dataset_edges(
        self, profile: str | None, *, at: datetime | None = None, limit: int = 100_000
    ) -> Sequence[DatasetEdge]:
        """What was made from what; with a time only what had been seen by then."""

    def touchers(self, profile: str | None, names: Sequence[str], limit: int = 10_000) -> Sequence[tuple[str, ...]]:
        """(dataset, direction, pipeline, task) of those that touched these datasets."""

    def versions_at(self, at: datetime) -> Sequence[PipelineVersion]:
        """Every pipeline's definition as it stood at a time, as far as runs had pinned one."""

    def snapshot(self, run_id: str) -> tuple[int, PipelineRun, Sequence[TaskExecution], Mapping[str, Verdict]]:
        """A run and the outbox seq in ONE read transaction: what the feed starts from."""

    def part(
        self, run_id: str, task_ids: Sequence[str]
    ) -> tuple[PipelineRun, Sequence[TaskExecution], Mapping[str, Verdict], Sequence[Attempt]]:
        """A run and, of some of its tasks, the latest executions, open verdicts and every attempt. NotFound."""

    def close(self) -> None:
        """Let go of every connection."""
