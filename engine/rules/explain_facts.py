"""What an explanation is made from, and what it is: values of `engine.rules.explain`.

Law: facts are gathered elsewhere and never guessed; an explanation carries no more than what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.model.pipeline import Task
from engine.model.run import Attempt, PipelineRun, TaskExecution, Verdict


class VerdictCode(StrEnum):
    """What can hold a task or a run back."""

    NO_ENGINE = "NO_ENGINE"  # nobody leads
    NOT_ADMITTED = "NOT_ADMITTED"  # its run has not been looked at yet
    MAX_ACTIVE_RUNS = "MAX_ACTIVE_RUNS"  # its pipeline has as many runs as it may
    DEPENDS_ON_PAST = "DEPENDS_ON_PAST"  # the run before has not succeeded
    UPSTREAM = "UPSTREAM"  # upstream tasks are not done
    READY = "READY"  # the next look of the engine starts it
    NO_WORKER = "NO_WORKER"  # every worker is taken
    POOL_FULL = "POOL_FULL"  # every slot of its pool is taken
    RATE_LIMITED = "RATE_LIMITED"  # its pool or connection lets it start later
    NO_CPU = "NO_CPU"  # the processors it asks for are taken
    NO_MEMORY = "NO_MEMORY"  # so is the memory
    DRAINING = "DRAINING"  # the engine is being stopped and starts nothing more
    CIRCUIT = "CIRCUIT"  # the circuit of its connection is open
    BACKOFF = "BACKOFF"  # it waits before the next attempt
    SENSING = "SENSING"  # a sensor between two looks
    CHILD_RUN = "CHILD_RUN"  # the run it started has not ended
    FOREIGN_PROCESS = "FOREIGN_PROCESS"  # another user's process of an earlier attempt still lives


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that can be done about it."""

    label: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer of `penstock why`."""

    run_id: str
    task_id: str | None = None
    map_index: int | None = None
    state: str
    code: str
    sentence: str
    holders: tuple[str, ...] = ()
    since: datetime | None = None
    expected: datetime | None = None
    details: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    causes: tuple[Explanation, ...] = ()  # of a run: the tasks to look at first


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How often the same failure (by fingerprint) is known."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """All that is known of one task execution."""

    run: PipelineRun
    execution: TaskExecution
    attempts: Sequence[Attempt] = ()  # of this execution, oldest first
    task: Task | None = None  # as the run pinned it
    verdict: Verdict | None = None
    live: frozenset[str] = frozenset()  # `run/task` of everything RUNNING now
    upstream: Sequence[TaskExecution] = ()  # direct ones, latest executions
    roots: Sequence[TaskExecution] = ()  # failed or cancelled ones above it that nothing above them explains
    letter_id: str | None = None
    seen: Seen | None = None
    changes: Sequence[str] = ()  # since the last success
    engine_leads: bool = True
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """All that is known of a run."""

    run: PipelineRun
    executions: Sequence[TaskExecution]
    causes: Sequence[Explanation] = ()
    engine_leads: bool = True
    now: datetime
