"""The state store as the engine writes it.

Law: the engine is the sole writer. Everything that happened together is one `Changes` and becomes one
transaction, which first checks that this engine's epoch still stands. A row update is a compare-and-set on its
row version. What is not committed has not happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol

from engine.model.breaker import Breaker
from engine.model.dataset import TouchRecord, Watermark
from engine.model.event import AuditEntry, Event
from engine.model.run import Attempt, DeadLetter, PipelineRun, TaskExecution, Transition, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineVersion:
    """A definition as a run pinned it. `document` is canonical JSON; the hash is over it."""

    pipeline_id: str
    version: int
    hash: str
    document: Mapping[str, Any]
    file: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """What is remembered of one pipeline's schedule (key: pipeline and profile)."""

    pipeline_id: str
    profile: str | None = None
    cron_key: str = ""  # fingerprint of cron+timezone+start: an edit moves the watermark, it never fires old slots
    last_slot: datetime | None = None  # the watermark: slots up to here are dealt with
    next_fire: datetime | None = None
    paused: bool = False
    paused_by: str | None = None
    pause_reason: str | None = None
    paused_at: datetime | None = None
    skipped: int = 0  # slots passed over by the overlap policy
    last_skip_reason: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The last value a task saved; belongs to (run, task, map index), not to an attempt."""

    run_id: str
    task_id: str
    map_index: int | None
    value: Any
    at: datetime
    attempt_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionStatus:
    """A definition file that does not load now, while an earlier good version goes on being used."""

    pipeline_id: str
    file: str
    problems: Sequence[Mapping[str, Any]]
    since: datetime


@dataclass(slots=True, kw_only=True)
class Changes:
    """One transaction being gathered. Lists of new rows, mappings of replaced rows (by key)."""

    versions: list[PipelineVersion] = field(default_factory=list)
    new_runs: list[PipelineRun] = field(default_factory=list)
    runs: dict[str, PipelineRun] = field(default_factory=dict)  # row_version is the new one; the store checks -1
    new_executions: list[TaskExecution] = field(default_factory=list)
    executions: dict[str, TaskExecution] = field(default_factory=dict)
    # Replaced by a newer execution (retry, requeue, mark) or by its items (foreach): the row stays as history with
    # `retired` set; "the latest executions" are those not retired.
    retired_executions: list[str] = field(default_factory=list)
    new_attempts: list[Attempt] = field(default_factory=list)
    attempts: dict[str, Attempt] = field(default_factory=dict)  # by token
    removed_attempts: list[str] = field(default_factory=list)  # tokens of a sensor's pokes that saw nothing
    transitions: list[Transition] = field(default_factory=list)
    verdicts: dict[str, Verdict | None] = field(default_factory=dict)  # by execution; None ends the open one
    events: list[Event] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    new_letters: list[DeadLetter] = field(default_factory=list)
    letters: dict[str, DeadLetter] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    dropped_checkpoints: list[tuple[str, str, int | None]] = field(default_factory=list)  # run, task, map index
    schedules: dict[tuple[str, str | None], ScheduleState] = field(default_factory=dict)
    broken: dict[str, DefinitionStatus | None] = field(default_factory=dict)  # by file; None: mended
    metrics: list[tuple[str, str, int | None, str, float, datetime]] = field(default_factory=list)
    # run, task, map index, name, value, at
    touches: list[TouchRecord] = field(default_factory=list)  # lineage; datasets and edges follow from them
    watermarks: list[Watermark] = field(
        default_factory=list
    )  # one whose `resets` is behind the row's is passed over
    breakers: dict[tuple[str, str | None], Breaker] = field(default_factory=dict)  # by connection and profile

    def __bool__(self) -> bool:
        return any(_everything(self))


_everything = attrgetter(*Changes.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All the engine needs to go on with a run: its latest executions and live attempts."""

    run: PipelineRun
    version: PipelineVersion
    executions: Sequence[TaskExecution]  # the latest per task and map index
    attempts: Sequence[Attempt]  # SUBMITTED and RUNNING only
    verdicts: Sequence[Verdict] = ()  # those that stand


class StateStore(Protocol):
    """The engine's side of the state. One instance, one writer connection, used by one thread.

    `commit` raises Deposed when another epoch stands, Conflict when a compare-and-set failed (nothing was
    written), StoreBusy when the store could not be had in time (nothing was written, the same Changes may be
    committed again), StoreUnusable otherwise. A duplicate (pipeline, profile, slot) or run id is Conflict.
    After a lost commit reply the caller may commit again: `commit_id` makes the second one a no-op.
    """

    def take_over(self, epoch: int, holder: str, at: datetime) -> None:
        """Write the epoch as this engine's first transaction; Deposed if a higher one stands."""

    def allow_checkpoints(self, allowed: bool) -> None:
        """Whether the write-ahead log may be moved into the file; not while an old holder still has it open."""

    def commit(self, changes: Changes, commit_id: str) -> int:
        """Write everything in one durable transaction; the sequence number of its last event (0: none)."""

    def active_runs(self, scope: str | None = None) -> Sequence[RunRecord]:
        """Runs not in a terminal state; with a scope only those that carry it."""

    def load_run(self, run_id: str) -> RunRecord | None:
        """Any run, whatever its state."""

    def run_exists(self, run_id: str) -> bool:
        """Whether this id is taken."""

    def previous_run(self, pipeline_id: str, profile: str | None, before: datetime) -> PipelineRun | None:
        """The latest run of the pipeline with an earlier logical date (depends_on_past)."""

    def latest_version(self, pipeline_id: str) -> PipelineVersion | None:
        """The newest pinned version."""

    def version(self, pipeline_id: str, version: int) -> PipelineVersion | None:
        """One pinned version."""

    def version_with_hash(self, pipeline_id: str, hash: str) -> PipelineVersion | None:
        """The version pinned for this very definition, if there is one: an edit taken back mints no third."""

    def answered(self, request_ids: Sequence[str]) -> frozenset[str]:
        """Those that already have a `command.accepted` or `command.refused` event (by correlation id)."""

    def schedules(self) -> Sequence[ScheduleState]:
        """Every remembered schedule."""

    def letter(self, letter_id: str) -> DeadLetter | None:
        """One dead letter."""

    def letters_of(self, execution_ids: Sequence[str]) -> Sequence[DeadLetter]:
        """The open letters of these executions."""

    def open_letters(self, before: datetime, limit: int) -> Sequence[DeadLetter]:
        """Open letters of tasks that failed before then, the oldest first."""

    def attempts_of(self, execution_id: str) -> Sequence[Attempt]:
        """Every attempt of one execution, oldest first."""

    def checkpoint(self, run_id: str, task_id: str, map_index: int | None) -> Checkpoint | None:
        """The last saved value."""

    def watermarks(self, pipeline_id: str, profile: str | None) -> Sequence[Watermark]:
        """Every watermark of one pipeline."""

    def breakers(self) -> Sequence[Breaker]:
        """Every remembered circuit breaker."""

    def median_seconds(self, pipeline_id: str) -> Mapping[str, float]:
        """task id -> median duration of its last successes; empty when none is known."""

    def unsent_hooks(self) -> Sequence[Event]:
        """`hook.due` events without a `hook.sent` or `hook.failed` event of the same correlation id."""

    def fired_hooks(self, run_id: str) -> frozenset[str]:
        """Correlation ids of the run's `hook.due` events."""

    def child_runs(self, execution_ids: Sequence[str]) -> Sequence[PipelineRun]:
        """Runs whose parent_execution is one of these."""

    def prune(self, *, before: datetime, keep_runs: int, limit: int) -> Sequence[str]:
        """Delete at most `limit` finished runs past retention, whole; their ids (for the logs folder).

        A run with an open dead letter stays: somebody still owes its work.
        """

    def close(self) -> None:
        """Checkpoint the write-ahead log and close."""

    def abandon(self) -> None:
        """Roll back and let go without checkpointing or closing (a deposed engine)."""
