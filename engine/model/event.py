"""Messages: events of the outbox, commands of the mailbox, entries of the audit trail.

Law: an event is a fact already committed; a command is a wish until the engine has answered it with an event
that carries the same request id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the outbox (EVT-02). `seq` is given by the store."""

    type: str  # task.state, run.started, run.completed, command.accepted, command.refused, schedule.triggered ...
    at: datetime
    source: str = "engine"
    pipeline_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    correlation_id: str | None = None  # a command's request id
    payload: Mapping[str, Any] = field(default_factory=dict)
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: engine, schedule:<id>, or user@host taken from the login and SSH_CONNECTION."""

    name: str
    address: str | None = None
    session: str | None = None


ENGINE = Actor(name="engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A wish dropped into the mailbox."""

    request_id: str
    name: str  # run.trigger run.cancel run.retry task.mark letter.requeue letter.discard schedule.pause ...
    arguments: Mapping[str, Any] = field(default_factory=dict)
    actor: Actor
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the append-only trail. The store adds seq and the two hashes."""

    at: datetime
    actor: Actor
    event_type: str  # USER_ACTION | SYSTEM_EVENT | DATA_ACCESS
    action: str  # run.trigger, task.retry, schedule.pause ...
    resource_type: str  # PIPELINE | RUN | TASK | LETTER | SCHEDULE | ENGINE
    resource_id: str
    result: str = "SUCCESS"  # SUCCESS | FAILURE | PARTIAL
    details: Mapping[str, Any] = field(default_factory=dict)
    seq: int | None = None
    previous_hash: str | None = None
    hash: str | None = None
