"""What happened: runs, task executions, attempts, transitions, verdicts and dead letters.

Law: these are records of facts. A record is replaced by a newer one, never changed in place; which change is
allowed is decided by engine.rules.lifecycle alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from engine.model.dataset import DatasetTouch, WatermarkMove
from engine.model.errors import ErrorKind, Queue, TaskError
from engine.model.pipeline import RetryPolicy


class TaskState(StrEnum):
    """Where a task execution is."""

    PENDING = "PENDING"
    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED})


class TaskEvent(StrEnum):
    """What can happen to a task execution."""

    DEPENDENCIES_UNMET = "DEPENDENCIES_UNMET"
    DEPENDENCIES_MET = "DEPENDENCIES_MET"
    EXECUTION_STARTED = "EXECUTION_STARTED"
    EXECUTION_COMPLETED = "EXECUTION_COMPLETED"
    EXECUTION_FAILED = "EXECUTION_FAILED"
    EXECUTION_SKIPPED = "EXECUTION_SKIPPED"
    RETRY_SCHEDULED = "RETRY_SCHEDULED"
    MAX_RETRIES_EXCEEDED = "MAX_RETRIES_EXCEEDED"
    CANCELLED_BY_USER = "CANCELLED_BY_USER"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"


class RunState(StrEnum):
    """Where a run is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in (RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED)


class Reason(StrEnum):
    """Why a task ended as it did, where the state alone does not say."""

    UPSTREAM_FAILED = "upstream_failed"  # counts as failed below; every other skip counts as skipped
    UPSTREAM_SKIPPED = "upstream_skipped"
    RULE_NOT_MET = "rule_not_met"  # a failure handler in a run without failures
    WHEN = "when"
    BRANCH = "branch"
    EMPTY = "empty"
    EXIT_CODE = "exit_code"
    SKIP_RAISED = "skip_raised"
    SOFT_FAIL = "soft_fail"
    MARKED = "marked"
    RUN_CANCELLED = "run_cancelled"
    FAIL_FAST = "fail_fast"
    RUN_TIMEOUT = "run_timeout"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    """Where one try is. SUBMITTED: committed, handed over, process not yet reported."""

    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    LOST = "LOST"


class LetterStatus(StrEnum):
    """What became of a dead letter."""

    NEW = "new"
    IN_PROGRESS = "in_progress"
    REQUEUED = "requeued"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """One execution of one pipeline version for one logical time or trigger."""

    run_id: str
    pipeline_id: str
    version: int
    state: RunState = RunState.PENDING
    triggered_by: str  # alice@10.2.3.4, schedule:orders_daily, run:<id>
    triggered_at: datetime
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    profile: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    selection: tuple[str, ...] | None = None  # a subset run: only these tasks
    parent_execution: str | None = None  # the `pipeline` task that started it
    retry_of: str | None = None  # the run this one was made from, if any
    scope: str | None = None  # token of the `penstock run` that alone carries it; None: any engine
    cancelled_by: str | None = None  # set when the run itself was cancelled
    reason: str | None = None  # a sentence: why PENDING, why FAILED
    slot: datetime | None = None  # the schedule's slot; (pipeline, profile, slot) is unique
    row_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExecution:
    """One task (and map index) inside one run. An operator's retry makes another one, linked by retry_of."""

    execution_id: str
    run_id: str
    pipeline_id: str
    task_id: str
    map_index: int | None = None
    sequence: int = 0  # 0, 1, ... among executions of the same run, task and map index; the highest counts
    state: TaskState = TaskState.PENDING
    reason: Reason | None = None
    attempt_count: int = 0  # every EXECUTION_STARTED
    failures: int = 0  # failures of the task since the last clear
    losses: int = 0  # losses since the last finished attempt
    pokes: int = 0  # a sensor's
    first_poke_at: datetime | None = None
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    next_retry_at: datetime | None = None  # also a sensor's next poke
    cancelling: Reason | None = None  # cancel was asked for; the process is being ended
    last_delay: float | None = None  # decorrelated jitter grows from it
    first_started_at: datetime | None = None  # the retry budget counts from it
    error: TaskError | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)  # done, total, unit
    item: Any = None  # the foreach item
    retry_of: str | None = None
    marked_by: str | None = None
    mark_reason: str | None = None
    parameter_overrides: Mapping[str, Any] = field(default_factory=dict)  # requeue edits, this execution only
    config_overrides: Mapping[str, Any] = field(default_factory=dict)
    retry_override: RetryPolicy | None = None
    child_run_id: str | None = None  # a `pipeline` task's
    generation: int = 0  # rises when a success is run again (load tokens)
    row_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try: one process, one log file, one outcome."""

    token: str  # unguessable; also in the process's environment
    execution_id: str
    run_id: str
    task_id: str
    map_index: int | None
    number: int
    epoch: int
    state: AttemptState = AttemptState.SUBMITTED
    submitted_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    pid: int | None = None
    pid_started: float | None = None  # the process's start time: a reused pid is not the same process
    exit_code: int | None = None
    signal: int | None = None
    error: TaskError | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    heartbeat_at: datetime | None = None
    log: str | None = None  # path below the logs folder
    poke: bool = False  # a sensor's look; not counted as an attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One applied row of the state table."""

    run_id: str
    execution_id: str
    task_id: str
    map_index: int | None
    from_state: TaskState
    to_state: TaskState
    event: TaskEvent
    at: datetime
    attempt: int
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a task execution is not running right now."""

    execution_id: str
    code: str  # see engine.rules.explain
    sentence: str
    holders: tuple[str, ...] = ()  # run/task of those in the way, at most 5
    since: datetime
    expected: datetime | None = None
    about: str | None = None  # what it speaks of by name: the connection of a CIRCUIT, the pool that is full


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What is kept of a task execution that no retry will help."""

    id: str
    queue: Queue
    status: LetterStatus = LetterStatus.NEW
    pipeline_id: str
    run_id: str
    task_id: str
    map_index: int | None
    execution_id: str
    kind: ErrorKind
    error_type: str
    message: str
    fingerprint: str
    failed_at: datetime
    attempts: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)  # as written, secrets as references
    retry_policy: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()  # attempt, type, kind, message, failed_at
    history: tuple[Mapping[str, Any], ...] = ()  # at, actor, action, reason
    requeued_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt reports at its end."""

    result: str  # success | failed | skipped | not_yet (a sensor's poke that saw nothing)
    error: TaskError | None = None
    reason: Reason | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    touches: tuple[DatasetTouch, ...] = ()  # datasets it read and wrote
    moves: tuple[WatermarkMove, ...] = ()  # how far its data now reaches
