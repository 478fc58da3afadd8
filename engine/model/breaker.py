"""A circuit breaker's memory of one connection (CBR-01 to CBR-04).

Law: values only; what moves it is engine.rules.breaker. Kept per profile: the same id may be another system there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BreakerState(StrEnum):
    """closed: used. open: not used until `retry_at`. half_open: one probe at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerConfig:
    """When it trips and how it comes back; `breaker:` of a connection (CBR-02)."""

    failure_threshold: int = 5
    success_threshold: int = 3
    timeout_seconds: float = 60.0  # the first open period; it doubles up to max_timeout_seconds (C-23)
    max_timeout_seconds: float = 300.0
    window_size: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One connection's breaker."""

    connection: str
    profile: str | None = None
    state: BreakerState = BreakerState.CLOSED
    calls: str = ""  # the last window_size results, oldest first: '.' good, 'x' failed
    successes: int = 0  # good probes since it was half open
    open_seconds: float = 0.0  # how long the present (or last) open period is
    opened_at: datetime | None = None
    retry_at: datetime | None = None  # when the first probe may go
    reason: str = ""  # the error that opened it
    updated_at: datetime
