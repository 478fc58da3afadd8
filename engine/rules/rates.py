"""Rates: the token bucket behind every `per_second` and `burst`, and what a server's Retry-After means.

Law: a bucket is a value. Taking from it makes another bucket and says how long to wait; nobody here sleeps.
Time is whatever float the caller counts in (seconds of one clock); a clock that goes back refills nothing and
never makes a bucket worse than it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

_EPSILON = 1e-9  # a caller that waited exactly as long as it was told is served, whatever floats made of it
LONGEST_WAIT = 3600.0  # a server that asks for more is asked again after an hour (FAULTS 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """`burst` tokens at most, `per_second` new ones each second; one token is one request."""

    per_second: float
    burst: int = 1
    tokens: float
    at: float  # when `tokens` was true

    def __post_init__(self) -> None:
        if not self.per_second > 0:
            raise ValueError(f"per_second must be above 0, not {self.per_second}")
        if self.burst < 1:
            raise ValueError(f"burst must be at least 1, not {self.burst}")

    @classmethod
    def full(cls, per_second: float, burst: int, now: float) -> Bucket:
        """A bucket nobody has taken from yet."""
        return cls(per_second=per_second, burst=burst, tokens=float(burst), at=now)

    @classmethod
    def replayed(cls, per_second: float, burst: int, starts: Iterable[float], now: float) -> Bucket:
        """The bucket after requests at these moments: derived from rows, so that a restart forgets none."""
        moments = sorted(starts)
        bucket = cls.full(per_second, burst, moments[0] if moments else now)
        for moment in moments:
            filled = bucket.refilled(moment)
            bucket = replace(filled, tokens=max(0.0, filled.tokens - 1.0))
        return bucket.refilled(now)

    def refilled(self, now: float) -> Bucket:
        """The same bucket at `now`."""
        elapsed = max(0.0, now - self.at)
        return replace(self, tokens=min(float(self.burst), self.tokens + elapsed * self.per_second), at=now)

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0.0 when one is."""
        missing = 1.0 - self.refilled(now).tokens
        return missing / self.per_second if missing > _EPSILON else 0.0

    def take(self, now: float) -> tuple[Bucket, float]:
        """One token and 0.0; or, with none there, nothing taken and the seconds after which to ask again."""
        bucket, seconds = self.refilled(now), self.wait(now)
        if seconds > 0.0:
            return bucket, seconds
        return replace(bucket, tokens=max(0.0, bucket.tokens - 1.0)), 0.0


def next_moment(full_at: float, now: float, per_second: float, burst: int) -> tuple[float, float]:
    """When the next request may go, and when a whole burst may go again after it.

    The same bucket told by one number, which several processes can share."""
    moment = max(now, full_at - (burst - 1) / per_second)
    return moment, max(full_at, now) + 1 / per_second


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds a Retry-After header asks for (a number or a date), at most an hour; None if it says none."""
    text = (header or "").strip()
    if not text:
        return None
    seconds = _number(text)
    if seconds is None:
        seconds = _until(text, now)
    if seconds is None or seconds < 0 or seconds != seconds:
        return None
    return min(seconds, LONGEST_WAIT)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float | None:
    from email.utils import parsedate_to_datetime  # brings sockets along, and dates are rare here

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
