"""Whether a failed attempt is tried again, and when (REQUIREMENTS 3.2).

Law: three counters stay apart. `failures` are the task's own since the last clear by hand and are what
max_attempts bounds; losses of the infrastructure are bounded by max_losses and never use up attempts; clears
make a new execution. The die comes in as a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import Jitter, RetryPolicy
from engine.model.run import TaskEvent

LONGEST_RETRY_AFTER = 3600.0  # a server that asks for more is not obeyed: the night would be over


@dataclass(frozen=True, slots=True)
class Again:
    """Try again at `at`; `delay` feeds the next decorrelated step."""

    at: datetime
    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No retry will follow; the event says why in the transition log."""

    event: TaskEvent
    why: str


def retried(policy: RetryPolicy, kind: ErrorKind) -> bool:
    """Whether the policy retries failures of this kind at all."""
    return "*" in policy.retry_on_error_types or kind.value in policy.retry_on_error_types


def after_failure(
    policy: RetryPolicy,
    error: TaskError,
    *,
    failures: int,
    last_delay: float | None,
    first_started_at: datetime | None,
    now: datetime,
    dice: float,
) -> Again | GiveUp:
    """Decide after a failure of the task itself; `failures` counts this one too."""
    if error.final:
        return GiveUp(TaskEvent.EXECUTION_FAILED, "this failure is never retried")
    if not retried(policy, error.kind):
        return GiveUp(TaskEvent.EXECUTION_FAILED, f"{error.kind.value} is not retried")
    if failures >= policy.max_attempts:
        return GiveUp(TaskEvent.MAX_RETRIES_EXCEEDED, f"{failures} of {policy.max_attempts} attempts failed")
    delay = delay_seconds(policy, failures=failures, last_delay=last_delay, dice=dice)
    if error.retry_after is not None and error.retry_after > 0:
        delay = max(delay, min(error.retry_after, LONGEST_RETRY_AFTER))
    at = now + timedelta(seconds=delay)
    if over_budget(policy, first_started_at, at):
        return GiveUp(
            TaskEvent.MAX_RETRIES_EXCEEDED, f"the retry budget of {policy.max_total_seconds} s is used up"
        )
    return Again(at, delay)


def after_loss(*, losses: int, max_losses: int, now: datetime) -> Again | GiveUp:
    """Decide after the infrastructure failed the task; `losses` counts this one too."""
    if losses >= max_losses:
        return GiveUp(TaskEvent.MAX_RETRIES_EXCEEDED, f"lost {losses} times without a finished attempt")
    return Again(now, 0.0)


def over_budget(policy: RetryPolicy, first_started_at: datetime | None, at: datetime) -> bool:
    """Whether a try at `at` would lie past the retry budget."""
    if policy.max_total_seconds is None or first_started_at is None:
        return False
    return at > first_started_at + timedelta(seconds=policy.max_total_seconds)


def delay_seconds(policy: RetryPolicy, *, failures: int, last_delay: float | None, dice: float) -> float:
    """Seconds to wait after the failure with this number (1 for the first)."""
    base = max(0.0, policy.backoff_seconds)
    if not policy.exponential_backoff:
        return base
    cap = max(policy.max_delay_seconds, base)
    # 2**64 s is past every cap; the bound keeps the power from growing into an overflow.
    plain = min(cap, base * 2.0 ** min(failures - 1, 64))
    if policy.jitter_type is Jitter.NONE:
        return plain
    if policy.jitter_type is Jitter.FULL:
        return plain * dice
    if last_delay is None:
        return base
    return min(cap, base + dice * (max(base, 3.0 * last_delay) - base))


def canonical_kinds(names: Iterable[str]) -> tuple[str, ...]:
    """Kind names as authors spell them (NETWORK_ERROR, networkerror, ConnectionError) in their canonical form.

    Raises ValueError with the first name that is none."""
    known = {kind.value.lower(): kind.value for kind in ErrorKind} | {"connectionerror": ErrorKind.NETWORK.value}
    out: list[str] = []
    for name in names:
        key = name.strip().replace("_", "").lower()
        if name.strip() == "*":
            out.append("*")
        elif key in known:
            out.append(known[key])
        else:
            raise ValueError(name)
    return tuple(dict.fromkeys(out))
