"""How the engine and its work are: who leads, whether the state answers, what is stuck, failed or broken.

Law: answers come from what is committed, so that any process may ask and none disturbs the engine. The state file
is written by the engine alone; that it can write is proven by the lease it renews.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from engine.model.breaker import Breaker, BreakerState
from engine.model.health import HealthCheckResult, HealthStatus
from engine.model.run import RunState
from engine.ports.mailbox import Lease
from engine.ports.queries import Queries
from engine.rules.breaker import sentence, state_at

Metrics = Mapping[str, float | int | str]
Guarded = Callable[[str | None], Collection[str] | None]
"""Ids of a profile's connections that have a breaker now; None while that cannot be read: all count then."""

SLOW_MS = 5000.0  # HLT-03
STUCK_AFTER = timedelta(hours=2)  # LOG-04
_MOST_RUNS = 1000
_FEWEST_RUNS = 4  # an error rate over fewer says nothing
_TOLERANCE = timedelta(seconds=2)  # between the clocks of two processes' records
_NAMED = 5


def everything(profile: str | None) -> Collection[str] | None:
    """Nobody knows what there is."""
    return None


def engine(
    now: datetime, lease: Callable[[], Lease | None], alive: Callable[[Lease], bool], queries: Queries
) -> HealthCheckResult:
    """Who leads."""
    held = lease()
    if held is None:
        return _nobody(now, queries)
    metrics: Metrics = {"pid": held.pid, "epoch": held.epoch, "scope": held.scope, "host": held.host}
    who = f"pid {held.pid} of {held.user}, started by {held.started_by}"
    if not alive(held):
        message = f"The engine ({who}) is gone; the next one takes over. Start one: penstock engine"
        return _result("engine", HealthStatus.DEGRADED, message, now, metrics)
    late = (now - held.expires_at).total_seconds()
    if late > 0:
        message = f"The engine ({who}) has not renewed its lease for {late:.0f} s beyond its time; it may hang."
        return _result("engine", HealthStatus.DEGRADED, message, now, metrics)
    since = held.acquired_at.strftime("%Y-%m-%d %H:%M:%SZ")
    return _result("engine", HealthStatus.HEALTHY, f"An engine leads since {since} ({who}).", now, metrics)


def _nobody(now: datetime, queries: Queries) -> HealthCheckResult:
    active, _ = queries.runs(active=True, limit=_MOST_RUNS)
    if not active:
        return _result("engine", HealthStatus.HEALTHY, "No engine leads, and no run needs one.", now)
    message = f"No engine leads, and {len(active)} run(s) wait for one. Start it: penstock engine"
    return _result("engine", HealthStatus.DEGRADED, message, now, {"active_runs": len(active)})


def state(
    now: datetime, queries: Queries, write: Callable[[], None] | None, monotonic: Callable[[], float]
) -> HealthCheckResult:
    """A read, and a write where this process may write (HLT-03)."""
    started = monotonic()
    seq = queries.last_seq()
    if write is not None:
        write()
    milliseconds = (monotonic() - started) * 1000
    did = "Reading and writing" if write is not None else "Reading"
    slow = milliseconds > SLOW_MS
    message = f"{did} took {milliseconds:.0f} ms" + (
        "; the disk or another process is in the way." if slow else "."
    )
    metrics = {"response_time_ms": round(milliseconds, 1), "last_event": seq}
    return _result("state", HealthStatus.DEGRADED if slow else HealthStatus.HEALTHY, message, now, metrics)


def stuck_runs(now: datetime, queries: Queries) -> HealthCheckResult:
    """Runs that have been RUNNING for more than two hours (LOG-04)."""
    active, _ = queries.runs(active=True, limit=_MOST_RUNS)
    running = [run for run in active if run.state is RunState.RUNNING and run.started_at is not None]
    stuck = [run.run_id for run in running if run.started_at and now - run.started_at > STUCK_AFTER]
    metrics = {"active": len(active), "running": len(running), "stuck": len(stuck)}
    if not stuck:
        return _result("runs", HealthStatus.HEALTHY, f"{len(running)} run(s) running.", now, metrics)
    message = f"{len(stuck)} run(s) running for more than 2 hours: {_some(stuck)}. See why: penstock why {stuck[0]}"
    return _result("runs", HealthStatus.DEGRADED, message, now, metrics)


def error_rate(now: datetime, queries: Queries) -> HealthCheckResult:
    """Runs that failed among those of the last day (HLT-06)."""
    runs = queries.counts().runs
    failed, succeeded = runs.get(RunState.FAILED, 0), runs.get(RunState.SUCCESS, 0)
    ended = failed + succeeded
    percent = 100.0 * failed / ended if ended else 0.0
    bad = ended >= _FEWEST_RUNS and percent >= 50.0
    message = f"{failed} of {ended} run(s) failed in the last day." if ended else "No run ended in the last day."
    metrics = {"failed": failed, "succeeded": succeeded, "error_rate_percent": round(percent, 1)}
    return _result("error_rate", HealthStatus.DEGRADED if bad else HealthStatus.HEALTHY, message, now, metrics)


def dead_letters(now: datetime, queries: Queries) -> HealthCheckResult:
    """Open letters by queue."""
    letters = {str(queue): count for queue, count in queries.counts().letters.items() if count}
    if not letters:
        return _result("dead_letters", HealthStatus.HEALTHY, "No open dead letter.", now, {"open": 0})
    queues = ", ".join(f"{count} {queue}" for queue, count in sorted(letters.items()))
    message = f"Open dead letters: {queues}. Look at them: penstock dlq"
    metrics = {"open": sum(letters.values()), **letters}
    return _result("dead_letters", HealthStatus.DEGRADED, message, now, metrics)


def connections(now: datetime, queries: Queries, guarded: Guarded = everything) -> HealthCheckResult:
    """Connections that tasks leave alone, of every profile (CBR-03). One that is being tried again is no trouble
    of its own: what waits for it is let through one by one. One that is no longer in connections.yaml, or has no
    breaker now, holds nobody back."""
    remembered = [(state_at(each, now), each) for each in queries.breakers()]
    troubled = [pair for pair in remembered if pair[0] is not BreakerState.CLOSED]
    found = [(state, each) for state, each in troubled if _guards(each, guarded)]
    opened = [each for state, each in found if state is BreakerState.OPEN]
    tried = [each for state, each in found if state is BreakerState.HALF_OPEN]
    metrics = {"open": len(opened), "half_open": len(tried), "forgotten": len(troubled) - len(found)}
    if opened:
        first = sentence(opened[0], now)
        names = _some([_named(each) for each in opened])
        message = (
            f"{len(opened)} circuit(s) open: {names}. {first}. Close it by hand: penstock connections close ID"
        )
        return _result("connections", HealthStatus.DEGRADED, message, now, metrics)
    message = "No circuit is open."
    if tried:
        names = _some([_named(each) for each in tried])
        message = f"{len(tried)} circuit(s) half open, one task at a time: {names}."
    gone = [_named(each) for _, each in troubled if not _guards(each, guarded)]
    if gone:
        message += f" Remembered of connections that are gone or unguarded now, in nobody's way: {_some(gone)}."
    return _result("connections", HealthStatus.HEALTHY, message, now, metrics)


def _guards(breaker: Breaker, guarded: Guarded) -> bool:
    known = guarded(breaker.profile)
    return known is None or breaker.connection in known


def _named(breaker: Breaker) -> str:
    return f"{breaker.connection} of profile {breaker.profile}" if breaker.profile else breaker.connection


def definitions(now: datetime, queries: Queries) -> HealthCheckResult:
    """Files that do not load, while their last good version goes on being used."""
    broken = sorted({status.file for status in queries.broken_definitions()})
    if not broken:
        return _result("definitions", HealthStatus.HEALTHY, "Every definition loads.", now, {"broken": 0})
    message = f"{len(broken)} file(s) do not load: {_some(broken)}. See what is wrong: penstock validate"
    return _result("definitions", HealthStatus.DEGRADED, message, now, {"broken": len(broken)})


def clock(now: datetime, queries: Queries, lease: Callable[[], Lease | None]) -> HealthCheckResult:
    """Whether this machine's clock is behind what has been recorded: it went back, or was ahead before."""
    seq, held = queries.last_seq(), lease()
    recorded = [event.at for event in (queries.events(seq - 1, limit=1) if seq else ())]
    recorded += [held.acquired_at] if held is not None else []
    ahead = max((moment - now for moment in recorded), default=timedelta(0))
    metrics = {"behind_seconds": max(0, round(ahead.total_seconds()))}
    if ahead <= _TOLERANCE:
        return _result("clock", HealthStatus.HEALTHY, f"It is {now:%Y-%m-%d %H:%M:%S}Z.", now, metrics)
    message = (
        f"The clock is {ahead.total_seconds():.0f} s behind what was recorded last; schedules fire late until it "
        "has caught up. Check the time service of this machine."
    )
    return _result("clock", HealthStatus.DEGRADED, message, now, metrics)


def _result(
    component: str,
    status: HealthStatus,
    message: str,
    now: datetime,
    metrics: Metrics | None = None,
) -> HealthCheckResult:
    return HealthCheckResult(component=component, status=status, message=message, metrics=metrics or {}, at=now)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
