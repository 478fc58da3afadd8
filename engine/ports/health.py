"""Health checks as consoles and commands ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.model.health import HealthCheckResult, HealthStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLag:
    """A replication slot of change capture, or why it could not be asked."""

    connection: str
    slot: str
    active: bool = False
    behind_bytes: int = 0  # written since the last change that was confirmed
    retained_bytes: int = 0  # of the server's log, kept for this slot
    status: str = ""  # reserved, extended, unreserved, lost
    problem: str | None = None


class HealthChecks(Protocol):
    """Runs every check; never raises."""

    def run(self) -> Sequence[HealthCheckResult]:
        """One result per component."""


def overall(results: Sequence[HealthCheckResult]) -> HealthStatus:
    """The worst of all."""
    order = [HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY]
    return max((result.status for result in results), key=order.index, default=HealthStatus.HEALTHY)
