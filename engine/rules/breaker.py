"""Circuit breakers: when a connection is left alone, and how it comes back (CBR-01 to CBR-04, C-23).

Law: pure. One call is one attempt of a task that names the connection. It trips when `failure_threshold` of the
last `window_size` calls failed; while open nobody starts; after `retry_at` one probe at a time may.
`success_threshold` good probes close it, one bad one opens it again for twice as long. An answer that says the
request was wrong is a good call: the system is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from engine.model.breaker import Breaker, BreakerConfig, BreakerState
from engine.model.errors import ErrorKind, TaskError

GOOD, BAD = ".", "x"
# What says that the system itself is not well. Memory and disk are ours as often as theirs; the rest are answers.
UNWELL = frozenset({ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.RATE_LIMITED})


def state_at(breaker: Breaker, now: datetime) -> BreakerState:
    """The state as it is: an open one whose time is up is half open."""
    if breaker.state is BreakerState.OPEN and breaker.retry_at is not None and breaker.retry_at <= now:
        return BreakerState.HALF_OPEN
    return breaker.state


def blamed(error: TaskError | None, connections: Sequence[str]) -> str | None:
    """The one of a task's connections whose system an error speaks of; None where it speaks of none or can't be
    told: several are named, and the message says which."""
    if error is None or error.kind not in UNWELL:
        return None
    if len(connections) == 1:
        return connections[0]
    named = [each for each in connections if f"'{each}'" in error.message]
    return named[0] if len(named) == 1 else None


def succeeded(breaker: Breaker, config: BreakerConfig, now: datetime) -> Breaker:
    """After a good call. One that began before the breaker opened and ends while it is open proves nothing."""
    state = state_at(breaker, now)
    if state is BreakerState.OPEN:
        return breaker
    if state is BreakerState.CLOSED:
        return replace(breaker, calls=_noted(breaker, GOOD, config), updated_at=now)
    probes = breaker.successes + 1
    if probes >= config.success_threshold:
        return Breaker(connection=breaker.connection, profile=breaker.profile, updated_at=now)
    return replace(breaker, state=BreakerState.HALF_OPEN, successes=probes, updated_at=now)


def failed(breaker: Breaker, config: BreakerConfig, reason: str, now: datetime, wait: float = 0.0) -> Breaker:
    """After a bad call; `wait` is what the other side asked for itself (Retry-After)."""
    state = state_at(breaker, now)
    if state is BreakerState.OPEN:
        return breaker
    calls = _noted(breaker, BAD, config)
    if state is BreakerState.CLOSED and calls.count(BAD) < config.failure_threshold:
        return replace(breaker, calls=calls, updated_at=now)
    longer = min(breaker.open_seconds * 2, config.max_timeout_seconds) if breaker.open_seconds else 0.0
    seconds = max(longer, config.timeout_seconds, min(wait, config.max_timeout_seconds))
    return replace(
        breaker,
        state=BreakerState.OPEN,
        calls=calls,
        successes=0,
        open_seconds=seconds,
        opened_at=now,
        retry_at=now + timedelta(seconds=seconds),
        reason=reason[:300],
        updated_at=now,
    )


def sentence(breaker: Breaker, now: datetime) -> str:
    """Why nobody may use the connection now."""
    failures, calls = breaker.calls.count(BAD), len(breaker.calls)
    why = f"{failures} of its last {calls} calls failed" if calls else "calls to it failed"
    said = f" ({breaker.reason})" if breaker.reason else ""
    if state_at(breaker, now) is BreakerState.HALF_OPEN:
        return f"Connection '{breaker.connection}' is being tried by one task; {why}{said}"
    until = breaker.retry_at.strftime("%H:%M:%S") if breaker.retry_at else "it is closed by hand"
    return f"Connection '{breaker.connection}' is left alone until {until} UTC: {why}{said}"


def _noted(breaker: Breaker, result: str, config: BreakerConfig) -> str:
    return (breaker.calls + result)[-config.window_size :]
