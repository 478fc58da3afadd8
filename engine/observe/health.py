"""Health as a list of checks: implements engine.ports.health.HealthChecks.

Law: a check that raises is an unhealthy component, never an exception (HLT-01); one broken check hides no other.
What is checked is put together here, how is in the files beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.model.health import HealthCheckResult, HealthStatus
from engine.model.workspace import Settings
from engine.observe import machine, replication, sandbox, work
from engine.observe.machine import Thresholds
from engine.ports.health import SlotLag
from engine.ports.mailbox import Lease
from engine.ports.queries import Queries

Check = Callable[[datetime], HealthCheckResult]


class Health:
    """Runs checks one after the other."""

    def __init__(self, checks: Mapping[str, Check], now: Callable[[], datetime]) -> None:
        self._checks = checks
        self._now = now

    def run(self) -> Sequence[HealthCheckResult]:
        """One result per component, in the order given."""
        return [self._one(component, check) for component, check in self._checks.items()]

    def _one(self, component: str, check: Check) -> HealthCheckResult:
        now = self._now()
        try:
            return check(now)
        except Exception as error:  # noqa: BLE001  # whatever is broken is what is to be reported
            message = f"Could not be checked: {type(error).__name__}: {str(error)[:300]}"
            return HealthCheckResult(component=component, status=HealthStatus.UNHEALTHY, message=message, at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What the checks of a workspace ask. Everything here answers from any process."""

    settings: Settings
    queries: Queries
    lease: Callable[[], Lease | None]
    alive: Callable[[Lease], bool]  # whether the holder's process still exists (pid and start time)
    logs: Path
    logs_bytes: Callable[[], int]
    monotonic: Callable[[], float]
    write: Callable[[], None] | None = None
    """Writes and removes a row where this process may write: the engine in its state, others in the mailbox."""
    thresholds: Thresholds = Thresholds()
    guarded: work.Guarded = work.everything
    slots: Callable[[], Sequence[SlotLag]] = list
    slot_mb: Callable[[], float] = lambda: replication.LAG_MB


def workspace_checks(probes: Probes) -> dict[str, Check]:
    """Every check of this version, by component."""
    settings, queries, lease = probes.settings, probes.queries, probes.lease
    folders = {"state": _state_folder(settings), "logs": probes.logs, "staging": settings.home / "staging"}
    return {
        "engine": lambda now: work.engine(now, lease, probes.alive, queries),
        "state": lambda now: work.state(now, queries, probes.write, probes.monotonic),
        "system": lambda now: machine.resources(now, folders["state"], probes.thresholds),
        "disk": lambda now: machine.disks(now, folders, probes.thresholds),
        "logs": lambda now: machine.logs(now, probes.logs_bytes(), settings.retention.logs_mb),
        "runs": lambda now: work.stuck_runs(now, queries),
        "error_rate": lambda now: work.error_rate(now, queries),
        "dead_letters": lambda now: work.dead_letters(now, queries),
        "connections": lambda now: work.connections(now, queries, probes.guarded),
        "replication": lambda now: replication.slots(now, probes.slots(), probes.slot_mb()),
        "definitions": lambda now: work.definitions(now, queries),
        "clock": lambda now: work.clock(now, queries, lease),
        "database": lambda now: machine.database(now, settings.state),
        "user": lambda now: machine.user(now, lease()),
        "sandbox": lambda now: sandbox.tier(now, sandbox.probe()),
    }


def _state_folder(settings: Settings) -> Path:
    return settings.home if "://" in settings.state else (settings.root / settings.state).parent
