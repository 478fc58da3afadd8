"""Health as values (HLT-01). Law: a check that raises is an unhealthy result, never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class HealthStatus(StrEnum):
    """Three grades, worst last."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheckResult:
    """One component's answer."""

    component: str
    status: HealthStatus
    message: str
    metrics: Mapping[str, float | int | str] = field(default_factory=dict)
    at: datetime
