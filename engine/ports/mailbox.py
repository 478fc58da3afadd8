"""The mailbox: wishes on their way to the engine, and the lease that says which engine leads.

Law: anyone may drop a command; only the leader takes them. A command is taken away in the moment its answer is
committed or later, never before: a crash between makes it be answered again, so handling is idempotent by
request id. On SQLite this is a database of its own in rollback-journal mode beside the state file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.model.event import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who leads."""

    holder: str  # unique per engine process
    host: str
    pid: int
    pid_started: float
    boot_id: str
    user: str
    started_by: str
    scope: str  # engine | run:<token> | command
    epoch: int
    acquired_at: datetime
    expires_at: datetime


class Mailbox(Protocol):
    """Used by any process. Safe from several threads."""

    def send(self, command: Command) -> None:
        """Drop a command in; durable when this returns. Creates the database when there is none yet."""

    def pending(self, limit: int = 100) -> Sequence[Command]:
        """Commands not yet removed, in order of arrival."""

    def remove(self, request_ids: Sequence[str]) -> None:
        """After their answers are committed."""

    def changed(self, last: object) -> tuple[bool, object]:
        """Cheap: has the mailbox changed since `last` was returned?"""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None] | None:
        """Call back (on a thread of its own) whenever something is dropped in, until the returned function is
        called; None where nobody can be told, and `changed` has to be asked more often."""

    def lease(self) -> Lease | None:
        """The lease as it stands, expired or not; None when nobody ever led or it was given back."""

    def acquire(self, candidate: Lease, now: datetime, *, holder_gone: bool) -> Lease | None:
        """Take the lease if it is free, expired or `holder_gone` was proven by the caller for exactly the lease
        that stands (compare its holder and epoch). Returns the lease won, with the next epoch (never reused,
        also not after a release or a deleted state file), or None."""

    def renew(self, lease: Lease, until: datetime) -> bool:
        """Extend it; False when it is no longer ours."""

    def release(self, lease: Lease) -> None:
        """Give it back, if it is still ours. The epoch counter stays."""

    def close(self) -> None:
        """Let go."""
