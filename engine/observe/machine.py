"""What the machine has left, and who and what runs on it.

Law: looking changes nothing; a folder that is not there yet is judged by the one it will be made in.
"""

from __future__ import annotations

import os
import pwd
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import psutil

from engine.model.health import HealthCheckResult, HealthStatus
from engine.ports.mailbox import Lease

MEGABYTE = 1024 * 1024
LEAST_FREE_MB = 64  # below this a commit or a log line may fail at any moment, however large the disk
LEAST_FREE_INODES = 5.0  # percent
_ENVIRONMENT = "PENSTOCK_HEALTH_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Percent of use above which a machine is degraded or unhealthy (HLT-02)."""

    memory_degraded: float = 80.0
    memory_unhealthy: float = 90.0
    disk_degraded: float = 85.0
    disk_unhealthy: float = 95.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Thresholds:
        """PENSTOCK_HEALTH_MEMORY_DEGRADED and so on; ValueError names the one that is no percentage."""
        given: dict[str, float] = {}
        for name in (field.name for field in fields(cls)):
            text = environ.get(_ENVIRONMENT + name.upper())
            if text is not None:
                given[name] = _percent(_ENVIRONMENT + name.upper(), text)
        return cls(**given)


def resources(now: datetime, state: Path, thresholds: Thresholds) -> HealthCheckResult:
    """Memory, disk and CPU of the machine (HLT-02)."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_usage(str(_existing(state)))
    status = max(
        _graded(memory.percent, thresholds.memory_degraded, thresholds.memory_unhealthy),
        _graded(disk.percent, thresholds.disk_degraded, thresholds.disk_unhealthy),
        key=_ORDER.index,
    )
    return HealthCheckResult(
        component="system",
        status=status,
        message=f"Memory {memory.percent:.0f} % and disk {disk.percent:.0f} % used.",
        metrics={
            "memory_usage_percent": round(memory.percent, 1),
            "disk_usage_percent": round(disk.percent, 1),
            "cpu_usage_percent": round(psutil.cpu_percent(interval=0.1), 1),
            "available_memory_mb": memory.available // MEGABYTE,
        },
        at=now,
    )


def disks(now: datetime, folders: Mapping[str, Path], thresholds: Thresholds) -> HealthCheckResult:
    """Room where state, logs and staged rows grow; folders on one disk are told of once."""
    status, words, told = HealthStatus.HEALTHY, [], set[int]()
    metrics: dict[str, float | int | str] = {}
    for name, folder in folders.items():
        place = _existing(folder)
        usage, node = psutil.disk_usage(str(place)), os.statvfs(place)
        free_mb = usage.free // MEGABYTE
        grade = _graded(usage.percent, thresholds.disk_degraded, thresholds.disk_unhealthy)
        if free_mb < LEAST_FREE_MB:
            grade = HealthStatus.UNHEALTHY
        elif node.f_files and 100.0 * node.f_favail / node.f_files < LEAST_FREE_INODES:
            grade = max(grade, HealthStatus.DEGRADED, key=_ORDER.index)
            words.append(f"few inodes left under {folder}")
        status = max(status, grade, key=_ORDER.index)
        if (disk := place.stat().st_dev) not in told:
            told.add(disk)
            words.append(f"{free_mb} MB free under {folder}")
        metrics[f"{name}_free_mb"] = free_mb
        metrics[f"{name}_used_percent"] = round(usage.percent, 1)
    return HealthCheckResult(
        component="disk", status=status, message=f"{'; '.join(words)}.", metrics=metrics, at=now
    )


def logs(now: datetime, used: int, allowed_mb: int) -> HealthCheckResult:
    """What the logs take of what they may take (retention.logs_mb)."""
    used_mb = used / MEGABYTE
    over = used_mb > allowed_mb
    message = f"{used_mb:.0f} of {allowed_mb} MB of logs."
    if over:
        message += " The oldest runs' logs go at the next clean-up; retention.logs_mb says how much may stay."
    status = HealthStatus.DEGRADED if over else HealthStatus.HEALTHY
    metrics = {"used_mb": round(used_mb, 1), "allowed_mb": allowed_mb}
    return HealthCheckResult(component="logs", status=status, message=message, metrics=metrics, at=now)


def database(now: datetime, state: str, version: tuple[int, ...] | None = None) -> HealthCheckResult:
    """Which database program holds the state, and whether its known faults matter here."""
    if "://" in state:
        kind = state.partition("://")[0].partition("+")[0]
        message, metrics = f"The state is held by {kind}.", {"kind": kind}
        return HealthCheckResult(
            component="database", status=HealthStatus.HEALTHY, message=message, metrics=metrics, at=now
        )
    version = version or sqlite3.sqlite_version_info
    shown = ".".join(map(str, version))
    message = f"SQLite {shown}."
    if has_reset_bug(version):
        message += (
            " It has the WAL-reset bug (fixed in 3.50.7 and 3.51.3); one process alone writes and checkpoints "
            "the state, so it is not met here. Do not write to the state file with other programs."
        )
    return HealthCheckResult(
        component="database",
        status=HealthStatus.HEALTHY,
        message=message,
        metrics={"kind": "sqlite", "version": shown},
        at=now,
    )


def has_reset_bug(version: tuple[int, ...]) -> bool:
    """SQLite 3.7.0 to 3.51.2, but for 3.50.7 and later of 3.50 (FAULTS)."""
    return (3, 7, 0) <= version < (3, 50, 7) or (3, 51, 0) <= version < (3, 51, 3)


def user(now: datetime, lease: Lease | None) -> HealthCheckResult:
    """As whom attempts run: as the user whose engine leads."""
    own = _user_name()
    if lease is None:
        message = f"No engine leads; one started here would run tasks as '{own}'."
    else:
        other = "" if lease.user == own else f", while this command runs as '{own}'"
        message = f"Tasks run as '{lease.user}'{other}."
    metrics = {"engine": lease.user if lease else "", "own": own}
    return HealthCheckResult(
        component="user", status=HealthStatus.HEALTHY, message=message, metrics=metrics, at=now
    )


_ORDER = [HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY]


def _graded(percent: float, degraded: float, unhealthy: float) -> HealthStatus:
    if percent > unhealthy:
        return HealthStatus.UNHEALTHY
    return HealthStatus.DEGRADED if percent > degraded else HealthStatus.HEALTHY


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"  # containers run users without a name


def _percent(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ValueError(f"{name} must be a percentage from 0 to 100, not '{text[:20]}'.")
    return value
