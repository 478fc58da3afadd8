"""Definitions: what a pipeline author wrote, normalised, checked and frozen.

Law: a definition never changes; an edit makes another value with another hash. Nothing here knows of runs.
Mappings inside (config, args) hold plain JSON values and are never mutated after construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.model.schedule import Schedule

JSON = Any  # None, bool, int, float, str, list and dict of these


class Jitter(StrEnum):
    """How retries of tasks that failed together are spread in time."""

    NONE = "none"
    FULL = "full"
    DECORRELATED = "decorrelated"


class TriggerRule(StrEnum):
    """Which ends of its upstream tasks let a task start."""

    ALL_SUCCESS = "all_success"
    ALL_DONE = "all_done"
    ALL_FAILED = "all_failed"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    NONE_FAILED = "none_failed"
    NONE_SKIPPED = "none_skipped"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    ALWAYS = "always"


class FailurePolicy(StrEnum):
    """What a FAILED task does to the rest of its run."""

    CONTINUE = "continue"
    FAIL_FAST = "fail_fast"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is tried again, and after how long. max_attempts counts the first try too."""

    max_attempts: int = 3
    backoff_seconds: float = 60.0
    exponential_backoff: bool = True
    max_delay_seconds: float = 300.0
    max_total_seconds: float | None = None  # retry budget from the first start
    jitter_type: Jitter = Jitter.DECORRELATED
    retry_on_error_types: tuple[str, ...] = ("NetworkError", "TimeoutError", "ResourceExhaustion", "RateLimited")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a task holds while it runs, beside one worker."""

    cpu: float = 0.0
    memory_mb: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A declared run parameter; a bare default implies its type."""

    name: str
    type: str | None = None  # string integer number boolean array object date datetime; None: anything
    default: JSON = None
    required: bool = False
    description: str = ""
    schema: Mapping[str, JSON] = field(default_factory=dict)  # minimum, enum, pattern ... (JSON Schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One notification fired by the engine when a task or run ends or retries."""

    connection: str | None = None
    url: str | None = None
    message: str = ""
    title: str = ""
    severity: str = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Notifications by outcome; each fires once per run and event."""

    failure: tuple[Hook, ...] = ()
    success: tuple[Hook, ...] = ()
    retry: tuple[Hook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One node of the graph."""

    id: str
    name: str
    type: str
    config: Mapping[str, JSON]
    dependencies: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    when: JSON = None  # a template or a bool
    foreach: JSON = None  # a template or a list
    retry_policy: RetryPolicy = RetryPolicy()
    timeout_seconds: float = 3600.0
    pool: str | None = None
    resources: Resources = Resources()
    on: Hooks = Hooks()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How runs of a pipeline behave as a whole."""

    max_active_runs: int = 1
    depends_on_past: bool = False
    timeout_seconds: float | None = None
    failure_policy: FailurePolicy = FailurePolicy.CONTINUE
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A whole definition. `document` is its canonical JSON form, from which the hash is taken."""

    id: str
    name: str
    tasks: tuple[Task, ...]
    description: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    parameters: tuple[Parameter, ...] = ()
    schedule: Schedule | None = None
    schedule_parameters: Mapping[str, JSON] = field(default_factory=dict)
    execution: Execution = Execution()
    on: Hooks = Hooks()
    source_id: str | None = None
    file: str | None = None  # workspace-relative path; not part of the hash
    document: Mapping[str, JSON] = field(default_factory=dict)
    hash: str = ""

    def task(self, task_id: str) -> Task:
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise KeyError(task_id)

    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """task id -> upstream ids, in definition order: what rules.graph works on."""
        return {task.id: task.dependencies for task in self.tasks}
