"""Executors start attempts, watch them and report.

Law: an executor never decides about a task. It turns an AttemptSpec into a process, and everything that
process says or suffers into reports. Reports may come late, twice or never; the dispatcher copes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from engine.model.dataset import Watermark
from engine.model.run import Attempt, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSpec:
    """Everything one try needs; JSON-shaped throughout, no secret in it."""

    token: str
    epoch: int
    run_id: str
    pipeline_id: str
    task_id: str
    map_index: int | None
    execution_id: str
    attempt: int
    type: str  # task type
    config: Mapping[str, Any]  # as written; rendered in the attempt process with `context`
    context: Mapping[str, Any]  # parameters, params, ds, logical_date (ISO), upstream, item, event, run_id ...
    checkpoint: Any = None
    timeout_seconds: float = 3600.0
    grace_seconds: float = 5.0
    memory_mb: int | None = None  # RLIMIT_AS where the task asked for memory
    log: str = ""  # path below the logs folder, chosen by the dispatcher
    profile: str | None = None
    poke: bool = False
    heavy: bool = False  # needs Arrow and DuckDB loaded
    generation: int = 0  # rises when a success is run again: part of a load's token
    watermarks: Sequence[Watermark] = ()  # where the consumers of what this task reads stand


@dataclass(frozen=True, slots=True)
class Started:
    """A process exists."""

    token: str
    pid: int
    pid_started: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Progressed:
    """ctx.progress, at most a few per second."""

    token: str
    done: float
    total: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Measured:
    """ctx.metric."""

    token: str
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class CheckpointOffered:
    """ctx.checkpoint.save: the attempt waits until the dispatcher calls `acknowledge`."""

    token: str
    number: int
    value: Any


@dataclass(frozen=True, slots=True)
class Sampled:
    """psutil's view of live attempts, every few seconds (persisted every 30 s)."""

    token: str
    cpu_seconds: float
    rss_mb: float
    peak_mb: float
    read_bytes: int
    write_bytes: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Finished:
    """The process is gone and every process of it too. `outcome` is what it reported, else what its end says."""

    token: str
    outcome: Outcome
    exit_code: int | None
    signal: int | None
    at: datetime
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    killed_for: str | None = None  # "cancel" | "timeout" | "shutdown": it was ended by us


@dataclass(frozen=True, slots=True)
class Vanished:
    """A loss: it could not be started, or the executor's own machinery died under it."""

    token: str
    reason: str
    at: datetime


Report = Started | Progressed | Measured | CheckpointOffered | Sampled | Finished | Vanished


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleProcess:
    """A process of an earlier engine's attempt that still lives."""

    token: str
    pid: int
    pid_started: float
    user: str
    killed: bool  # False: we may not kill it (another user's)


class Executor(Protocol):
    """One way of running attempts. All methods return at once; reports come on the executor's own thread."""

    def start(self, deliver: Callable[[Report], None]) -> None:
        """Make ready; from now on reports go to `deliver` (thread-safe, never blocks)."""

    def submit(self, spec: AttemptSpec) -> None:
        """Start an attempt. Trouble comes as Vanished."""

    def kill(self, token: str, why: str, grace_seconds: float) -> None:
        """TERM to the whole group, after the grace KILL; then Finished with killed_for=why."""

    def acknowledge(self, token: str, number: int) -> None:
        """The checkpoint `number` is committed; let the attempt go on."""

    def renew(self) -> None:
        """What attempts inherit may have changed (a variable has become a secret): those submitted from now on have
        it as it is now, those that live keep what they have."""

    def reap_stale(self, attempts: Sequence[Attempt]) -> Sequence[StaleProcess]:
        """At take-over: find and kill every process that carries the token of one of these attempts (by pid and
        start time, by the token in its environment); returns what was found. Returns when the killed are gone."""

    def stop(self, grace_seconds: float) -> None:
        """End every attempt (TERM, grace, KILL) and the machinery itself."""

    def alive(self) -> bool:
        """Whether the machinery can start attempts."""

    def vitals(self) -> Mapping[str, Any]:
        """For health: zygote pid, attempts alive, started so far."""
