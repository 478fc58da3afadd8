"""Time and ids as a dependency, so that tests own both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for waiting, dice for jitter."""

    def now(self) -> datetime:
        """Aware UTC; never earlier than an instant this clock has already told."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""

    def random(self) -> float:
        """A die: 0.0 <= x < 1.0."""


NewId = Callable[[], str]  # unguessable, ordered by time, [a-z0-9]
