"""Time and ids of the real world."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(90, -10, -10)


class SystemClock:
    """Wall time that never goes back within this process, whatever is done to the machine's clock."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()
        self._dice = random.Random()

    def now(self) -> datetime:
        """Aware UTC."""
        with self._lock:
            now = datetime.now(UTC)
            # A clock put back by hours is followed after an hour of standing still: schedules must go on some day.
            if now < self._last and self._last - now < timedelta(hours=1):
                return self._last
            self._last = now
            return now

    def monotonic(self) -> float:
        """Seconds for waiting."""
        return time.monotonic()

    def random(self) -> float:
        """A die."""
        return self._dice.random()


def new_id() -> str:
    """Twenty characters: nine of time in milliseconds (so ids sort by age), eleven of chance."""
    number = (time.time_ns() // 1_000_000) << 55 | int.from_bytes(os.urandom(7)) >> 1
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
