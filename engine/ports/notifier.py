"""Notifiers send one message to one place outside.

Law: a notifier is called off the dispatcher's thread, may fail, and never breaks a run. Rates are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.model.workspace import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What to say."""

    title: str
    body: str
    severity: str = "info"  # info | warning | error | critical
    key: str | None = None  # dedupe key: one per run and event


class Notifier(Protocol):
    """One way of sending."""

    def accepts(self, connection: Connection) -> bool:
        """Whether this notifier serves the connection's type."""

    def send(self, connection: Connection, message: Message) -> None:
        """Deliver; raises a TaskFailure of the right kind (NetworkError, RateLimited ...) when it could not."""
