"""Messages, and the two ends of a queue as the shared half of the connectors uses them.

Law: what was pulled is confirmed all at once, by `acknowledge`, or comes back. What was sent is confirmed by the
broker before `send` returns. What goes wrong is a TaskFailure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it came."""

    payload: bytes
    id: str | None = None
    at: datetime | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to be sent. Its id is the same whenever the same row is sent again by the same load."""

    payload: bytes
    id: str
    key: str | None = None


class Consumer(Protocol):
    """One open read of one queue."""

    def pull(self, limit: int, seconds: float) -> list[Message]:
        """At most so many, as soon as there are any; none when there are none for so long."""

    def acknowledge(self) -> None:
        """All that was pulled is safe elsewhere."""

    def close(self) -> None:
        """Let go; what was not acknowledged comes back. At any time, twice too."""


class Producer(Protocol):
    """One open way into one queue."""

    def send(self, batch: Sequence[Outgoing]) -> None:
        """Returns when the broker has all of them."""

    def close(self) -> None:
        """Let go. At any time, twice too."""
