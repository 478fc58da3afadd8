"""The exception tree and the kinds of task failure.

Law: an error says in its type whose fault it is and whether trying again can help. Messages are whole
sentences that name what, where and what to do next; they never carry a secret.

    PenstockError
    ├── RequestError            the request was wrong (exit 2)
    │   ├── Refused             the engine or a rule said no
    │   └── ValidationFailed    a definition has errors
    ├── NotFound                no such pipeline, run, task, letter, connection or file (exit 3)
    ├── NotInThisVersion        a known idea this version does not carry (exit 2)
    ├── StoreError              the state store could not answer
    │   ├── StoreBusy           another process holds it; trying again helps
    │   ├── StoreUnusable       damaged, foreign or newer than this program; trying again does not help
    │   └── Conflict            a row was not as expected; somebody else wrote it
    ├── Deposed                 this engine no longer leads; it must stop writing at once
    └── TaskFailure             raised by task code; carries the kind that decides retry and queue
        ├── NetworkError · TimeoutFailure · RateLimited · ResourceExhaustion
        ├── PermissionFailure · ConfigurationError · DataQualityError · LogicError
        └── SkipTask            not a failure: the task ends SKIPPED
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Queue(StrEnum):
    """The four dead letter queues (DLQ-02)."""

    TRANSIENT = "transient"
    DATA_QUALITY = "data_quality"
    SYSTEM = "system"
    PERMANENT = "permanent"


class ErrorKind(StrEnum):
    """What sort of failure it was. The kind decides retry and queue."""

    NETWORK = "NetworkError"
    TIMEOUT = "TimeoutError"
    RATE_LIMITED = "RateLimited"
    RESOURCE = "ResourceExhaustion"
    LOST = "Lost"
    PERMISSION = "PermissionError"
    CONFIGURATION = "ConfigurationError"
    DATA_QUALITY = "DataQualityError"
    LOGIC = "LogicError"

    @property
    def queue(self) -> Queue:
        return _QUEUES[self]


_QUEUES = {
    ErrorKind.NETWORK: Queue.TRANSIENT,
    ErrorKind.TIMEOUT: Queue.TRANSIENT,
    ErrorKind.RATE_LIMITED: Queue.TRANSIENT,
    ErrorKind.RESOURCE: Queue.TRANSIENT,
    ErrorKind.LOST: Queue.SYSTEM,
    ErrorKind.PERMISSION: Queue.SYSTEM,
    ErrorKind.CONFIGURATION: Queue.SYSTEM,
    ErrorKind.DATA_QUALITY: Queue.DATA_QUALITY,
    ErrorKind.LOGIC: Queue.PERMANENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """One failure as it is stored: what the exception was and what kind we took it for."""

    type: str  # the exception's class, or "exit 3", "signal 11"
    kind: ErrorKind
    message: str
    traceback: str | None = None  # kept for logs and letters, capped at 16 KiB
    retry_after: float | None = None  # seconds the other side asked us to wait
    final: bool = False  # never retried whatever the policy says (a sensor that ran out of time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error, warning or suggestion about a file that a user wrote."""

    severity: str  # error | warning | suggestion
    message: str  # what was found, what was expected
    path: str = ""  # tasks[2].config.command
    file: str | None = None
    line: int | None = None
    suggestion: str | None = None  # the likely intended spelling, or what to do


class PenstockError(Exception):
    """Every error of ours; its text is fit to be shown to a user."""


class RequestError(PenstockError):
    """What was asked for was wrong: options, parameters, names."""


class Refused(RequestError):
    """The request was understood and a rule forbids it; the message says which."""


class ValidationFailed(RequestError):
    """A definition has errors; all of them are listed."""

    def __init__(self, pipeline_id: str, problems: Sequence[Problem]) -> None:
        self.pipeline_id = pipeline_id
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity == "error"]
        first = f": {errors[0].message}" if errors else ""
        super().__init__(f"Pipeline '{pipeline_id}' has {len(errors)} error(s){first}")


class NotFound(PenstockError):
    """No such thing under this name."""


class NotInThisVersion(RequestError):
    """A known idea that this version does not carry; the message names the alternative."""


class StoreError(PenstockError):
    """The state store could not do what was asked."""


class StoreBusy(StoreError):
    """Somebody else holds the store; the same call may succeed later."""


class StoreUnusable(StoreError):
    """The store is damaged, foreign, on an unsafe file system or newer than this program."""


class Conflict(StoreError):
    """A compare-and-set found another value: somebody else has written."""


class Deposed(PenstockError):
    """Another engine leads now; nothing more may be written by this one."""


class TaskFailure(Exception):
    """Raise this (or a subclass) in a task to say what kind of failure it is."""

    kind: ClassVar[ErrorKind] = ErrorKind.LOGIC

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NetworkError(TaskFailure):
    """The other side could not be reached."""

    kind = ErrorKind.NETWORK


class TimeoutFailure(TaskFailure):
    """It took too long."""

    kind = ErrorKind.TIMEOUT


class RateLimited(TaskFailure):
    """The other side asked us to slow down; `retry_after` says for how long."""

    kind = ErrorKind.RATE_LIMITED


class ResourceExhaustion(TaskFailure):
    """Memory, disk or handles ran out."""

    kind = ErrorKind.RESOURCE


class PermissionFailure(TaskFailure):
    """Access was denied."""

    kind = ErrorKind.PERMISSION


class ConfigurationError(TaskFailure):
    """The definition or the environment is wrong; trying again cannot help."""

    kind = ErrorKind.CONFIGURATION


class DataQualityError(TaskFailure):
    """The data broke a rule."""

    kind = ErrorKind.DATA_QUALITY


class LogicError(TaskFailure):
    """The program is wrong."""

    kind = ErrorKind.LOGIC


class SkipTask(Exception):
    """Raise this in a task to end it SKIPPED."""
