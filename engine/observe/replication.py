"""Replication slots of change capture: how much of a server's log is kept for those that nobody reads.

Law: looking moves nothing. A slot that a server has given up has lost changes, and that is worse than one that is
behind; a server that does not answer is told, and hides none of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from engine.model.health import HealthCheckResult, HealthStatus
from engine.ports.health import SlotLag

LAG_MB = 1024.0
VARIABLE = "PENSTOCK_HEALTH_REPLICATION_LAG_MB"
MEGABYTE = 1024 * 1024
_NAMED = 5


def threshold(environ: Mapping[str, str]) -> float:
    """MB of log kept for one slot above which it is degraded; ValueError where the variable is no number."""
    text = environ.get(VARIABLE)
    if text is None:
        return LAG_MB
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{VARIABLE} must be a number of MB, not '{text[:20]}'.")
    return value


def slots(now: datetime, found: Sequence[SlotLag], most_mb: float) -> HealthCheckResult:
    """What is kept for each slot, the worst named."""
    known = [each for each in found if each.problem is None]
    lost = [each for each in known if each.status == "lost"]
    late = [each for each in known if each not in lost and each.retained_bytes > most_mb * MEGABYTE]
    silent = [each for each in found if each.problem is not None]
    metrics: dict[str, float | int | str] = {
        "slots": len(known),
        "lag_mb": _mb(max((each.behind_bytes for each in known), default=0)),
        "retained_mb": _mb(max((each.retained_bytes for each in known), default=0)),
        "threshold_mb": most_mb,
    }
    metrics |= {f"{each.connection}.{each.slot}_lag_mb": _mb(each.behind_bytes) for each in known[:100]}
    words = []
    if lost:
        words.append(
            f"{_names(lost)}: given up by the server, and changes with it; read the table anew: penstock "
            "watermarks reset"
        )
    if late:
        words.append(
            f"{_names(late)}: more than {most_mb:g} MB of the server's log kept; run the pipeline that reads it, "
            "or drop the slot: SELECT pg_drop_replication_slot(...)"
        )
    words += [f"{each.connection}: {each.problem}" for each in silent[:_NAMED]]
    status = HealthStatus.UNHEALTHY if lost else HealthStatus.DEGRADED if words else HealthStatus.HEALTHY
    message = "; ".join(words) + "." if words else _well(known)
    return HealthCheckResult(component="replication", status=status, message=message, metrics=metrics, at=now)


def _well(known: Sequence[SlotLag]) -> str:
    if not known:
        return "No slot of change capture."
    return f"{len(known)} slot(s) of change capture: {_names(known)}."


def _names(found: Sequence[SlotLag]) -> str:
    worst = sorted(found, key=lambda each: (-each.retained_bytes, each.connection, each.slot))
    told = [f"{each.connection}/{each.slot} {_mb(each.behind_bytes):g} MB behind" for each in worst[:_NAMED]]
    return ", ".join(told) + (f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else "")


def _mb(count: int) -> float:
    return round(count / MEGABYTE, 1)
